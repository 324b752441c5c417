# The browser's side of the 3-D view: viewer/src and three.js, bundled by esbuild
# into one C file. Both come from npm as viewer/package-lock.json names them, into
# the build folder. Without npm, or where it cannot reach a registry, reports have
# still pictures only and say so; ES_VIEWER=ON makes that an error instead.
set(ES_VIEWER "AUTO" CACHE STRING "the 3-D view of reports: ON, OFF, or AUTO where npm works")
set_property(CACHE ES_VIEWER PROPERTY STRINGS AUTO ON OFF)
find_program(ES_NODE NAMES node nodejs)
find_program(ES_NPM npm)

set(ES_VIEWER_FOLDER ${CMAKE_BINARY_DIR}/viewer)
set(ES_VIEWER_SOURCE ${ES_VIEWER_FOLDER}/view_program.c)
set(ES_VIEWER_SCENE ${ES_VIEWER_FOLDER}/scene.js)
if(ES_VIEWER STREQUAL "OFF" OR NOT ES_NODE OR NOT ES_NPM)
  if(ES_VIEWER STREQUAL "ON")
    message(FATAL_ERROR "ES_VIEWER=ON needs node and npm: apt-get install nodejs npm")
  elseif(NOT ES_VIEWER STREQUAL "OFF")
    message(STATUS "no node or npm: reports will have no 3-D view")
  endif()
  set(ES_VIEWER_SOURCE ${ES_VIEWER_FOLDER}/view_program_none.c)
  file(CONFIGURE OUTPUT ${ES_VIEWER_SOURCE} CONTENT
       "#include \"view_program.h\"\nconst es_view_program view_program = {NULL, NULL, NULL, 0};\n")
  set(ES_VIEWER_SCENE ${CMAKE_SOURCE_DIR}/viewer/live/scene_none.js)
else()
  file(GLOB ES_VIEWER_INPUTS CONFIGURE_DEPENDS viewer/src/*.js viewer/src/*.css)
  add_custom_command(
    OUTPUT ${ES_VIEWER_SOURCE} ${ES_VIEWER_SCENE}
    COMMAND ${CMAKE_COMMAND} -DNODE=${ES_NODE} -DNPM=${ES_NPM} -DREQUIRED=${ES_VIEWER}
            -DSOURCE=${CMAKE_SOURCE_DIR}/viewer -DFOLDER=${ES_VIEWER_FOLDER}
            -DOUTPUT=${ES_VIEWER_SOURCE} -DSCENE=${ES_VIEWER_SCENE} -P ${CMAKE_SOURCE_DIR}/cmake/bundle_viewer.cmake
    DEPENDS ${ES_VIEWER_INPUTS} viewer/package.json viewer/package-lock.json viewer/build.mjs
            cmake/bundle_viewer.cmake
    COMMENT "Bundling the viewer" VERBATIM)
endif()
add_custom_target(viewer DEPENDS ${ES_VIEWER_SOURCE})
set_source_files_properties(${ES_VIEWER_SOURCE} PROPERTIES
                            COMPILE_OPTIONS "-I${CMAKE_SOURCE_DIR}/src/pipeline")

# The live page: its own texts as they are, and its 3-D view from above.
set(ES_LIVE_PAGES ${CMAKE_BINARY_DIR}/live_pages.c)
file(GLOB ES_LIVE_TEXTS CONFIGURE_DEPENDS viewer/live/*)
add_custom_command(
  OUTPUT ${ES_LIVE_PAGES}
  COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR}/viewer/live -DSCENE=${ES_VIEWER_SCENE}
          -DOUTPUT=${ES_LIVE_PAGES} -P ${CMAKE_SOURCE_DIR}/cmake/live_pages.cmake
  DEPENDS ${ES_LIVE_TEXTS} ${ES_VIEWER_SCENE} cmake/live_pages.cmake
  COMMENT "Embedding the live page" VERBATIM)
set_source_files_properties(${ES_LIVE_PAGES} PROPERTIES
                            COMPILE_OPTIONS "-I${CMAKE_SOURCE_DIR}/src/live")
