# Run by cmake -P: installs what viewer/package-lock.json names below FOLDER, once,
# and bundles the viewer into OUTPUT and the live page's 3-D view into SCENE.
file(MAKE_DIRECTORY ${FOLDER})
file(SHA256 ${SOURCE}/package-lock.json lock)
set(stamp ${FOLDER}/installed-${lock})
set(failed 0)
if(NOT EXISTS ${stamp})
  file(COPY ${SOURCE}/package.json ${SOURCE}/package-lock.json DESTINATION ${FOLDER})
  execute_process(
    COMMAND ${NPM} ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
            --fetch-retries=1 --fetch-timeout=60000
    WORKING_DIRECTORY ${FOLDER} RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(failed EQUAL 0)
    file(TOUCH ${stamp})
  endif()
endif()
if(failed EQUAL 0)
  execute_process(COMMAND ${NODE} ${SOURCE}/build.mjs ${FOLDER} ${OUTPUT} ${SCENE}
                  COMMAND_ERROR_IS_FATAL ANY)
elseif(REQUIRED STREQUAL "ON")
  message(FATAL_ERROR "npm could not install what the viewer is made of:\n${said}")
else()
  message(WARNING "npm could not install what the viewer is made of; reports will have no 3-D "
                  "view. Remove ${OUTPUT} and build again to retry.\n${said}")
  file(WRITE ${OUTPUT} "#include \"view_program.h\"\n"
       "const es_view_program view_program = {NULL, NULL, NULL, 0};\n")
  file(COPY_FILE ${SOURCE}/live/scene_none.js ${SCENE})
endif()
