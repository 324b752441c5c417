# What `cmake --install` gives: program, library, headers, pkg-config file, man
# page, shell completion.
install(TARGETS echosolid_lib ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET echosolid)
  install(TARGETS echosolid RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET echosolid_ffmpeg)
  install(TARGETS echosolid_ffmpeg LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/echosolid)
endif()
install(DIRECTORY include/echosolid DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# Relative, so that `cmake --install --prefix` may choose any folder.
file(RELATIVE_PATH ES_PREFIX_FROM_PKGCONFIG /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/echosolid.pc.in ${CMAKE_BINARY_DIR}/echosolid.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/echosolid.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if(EXISTS ${CMAKE_SOURCE_DIR}/docs/echosolid.1)
  install(FILES docs/echosolid.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES docs/echosolid.bash-completion RENAME echosolid
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endif()
