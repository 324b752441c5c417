# One cmocka executable per tests/test_*.c; fuzz targets per tests/fuzz/fuzz_*.c
# (libFuzzer with clang under the fuzz preset).
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
get_filename_component(ES_DATA "${CMAKE_SOURCE_DIR}/../shared/data" ABSOLUTE)
set(ES_TEST_DATA "${ES_DATA}" CACHE PATH "real recordings; tests that need them skip without")
set(ES_TEST_ENVIRONMENT "ES_TEST_DATA=${ES_TEST_DATA}" "ES_TEST_SOURCE=${CMAKE_SOURCE_DIR}"
    "ES_TEST_BINARY=${CMAKE_BINARY_DIR}/echosolid" "ECHOSOLID_MODULES=${CMAKE_BINARY_DIR}")

# The judge of STEP files, where Open CASCADE is installed; its tests skip without.
find_path(OCCT_INCLUDE STEPCAFControl_Reader.hxx PATH_SUFFIXES opencascade)
find_library(OCCT_TKXDESTEP TKXDESTEP)
find_path(OCCT_RESOURCES XSTEPResource/STEP PATHS /usr/share/opencascade/resources)
if(OCCT_INCLUDE AND OCCT_TKXDESTEP AND OCCT_RESOURCES)
  add_executable(oracle_step tests/oracle_step.cc)
  target_include_directories(oracle_step SYSTEM PRIVATE ${OCCT_INCLUDE})
  target_link_libraries(oracle_step PRIVATE TKXDESTEP TKSTEP TKXSBase TKXCAF TKLCAF TKCDF TKCAF
                        TKShHealing TKTopAlgo TKBRep TKGeomBase TKG3d TKG2d TKMath TKernel)
  set_target_properties(oracle_step PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(APPEND ES_TEST_ENVIRONMENT "ES_STEP_ORACLE=${CMAKE_BINARY_DIR}/tests/oracle_step"
       "ES_STEP_RESOURCES=${OCCT_RESOURCES}/XSTEPResource")
endif()

# The judge of Enhanced US Volumes: DCMTK's own rules.
find_library(DCMTK_dcmfg dcmfg)
find_library(DCMTK_dcmiod dcmiod)
if(DCMTK_dcmfg AND DCMTK_dcmiod)
  add_executable(oracle_us_volume tests/oracle_us_volume.cc)
  target_link_libraries(oracle_us_volume PRIVATE ${DCMTK_dcmfg} ${DCMTK_dcmiod} ${DCMTK_LIBRARIES})
  set_target_properties(oracle_us_volume PROPERTIES
                        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(APPEND ES_TEST_ENVIRONMENT "ES_US_ORACLE=${CMAKE_BINARY_DIR}/tests/oracle_us_volume")
endif()

# The judge of OpenIGTLink, where Debian's library is installed; its tests skip without.
find_path(IGTL_INCLUDE igtlMessageBase.h PATH_SUFFIXES openigtlink)
find_library(IGTL_LIBRARY OpenIGTLink)
if(IGTL_INCLUDE AND IGTL_LIBRARY)
  add_executable(oracle_igtl tests/oracle_igtl.cc)
  target_include_directories(oracle_igtl SYSTEM PRIVATE ${IGTL_INCLUDE})
  target_link_libraries(oracle_igtl PRIVATE ${IGTL_LIBRARY} Threads::Threads)
  set_target_properties(oracle_igtl PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(APPEND ES_TEST_ENVIRONMENT "ES_IGTL_ORACLE=${CMAKE_BINARY_DIR}/tests/oracle_igtl")
endif()

# A grabber to be preloaded (Linux alone has them).
if(CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT ES_SANITIZE)
  add_library(fake_v4l2 MODULE tests/fake_v4l2.c)
  target_link_libraries(fake_v4l2 PRIVATE ${CMAKE_DL_LIBS})
  set_target_properties(fake_v4l2 PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  list(APPEND ES_TEST_ENVIRONMENT "ES_FAKE_V4L2=$<TARGET_FILE:fake_v4l2>")
endif()

file(GLOB ES_TESTS CONFIGURE_DEPENDS tests/test_*.c)
foreach(file IN LISTS ES_TESTS)
  get_filename_component(name ${file} NAME_WE)
  add_executable(${name} ${file})
  target_link_libraries(${name} PRIVATE echosolid_lib PkgConfig::CMOCKA PkgConfig::JANSSON
                        LibXml2::LibXml2 PNG::PNG ZLIB::ZLIB)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(TARGET echosolid_ffmpeg) # opened while it runs
    add_dependencies(${name} echosolid_ffmpeg)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ES_TEST_ENVIRONMENT}" TIMEOUT 900)
endforeach()

file(GLOB ES_SCRIPTS CONFIGURE_DEPENDS tests/test_*.sh tests/test_*.py)
if(ES_SANITIZE) # the installed library and the emulator are for plain programs, and the demo's knee takes minutes
  list(FILTER ES_SCRIPTS EXCLUDE REGEX "test_install|test_docs|test_arrows|test_avx512")
  list(APPEND ES_TEST_ENVIRONMENT "ES_TEST_QUICK=1")
endif()
foreach(file IN LISTS ES_SCRIPTS)
  get_filename_component(name ${file} NAME)
  add_test(NAME ${name} COMMAND ${file})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "${ES_TEST_ENVIRONMENT}" TIMEOUT 2400
                       SKIP_RETURN_CODE 77 COST 10) # the long ones begin first
endforeach()
set_tests_properties(test_cli.py PROPERTIES COST 100)

if(TARGET bench_accuracy AND NOT ES_SANITIZE)
  add_test(NAME accuracy COMMAND bench_accuracy --check)
  set_tests_properties(accuracy PROPERTIES TIMEOUT 600)
endif()

option(ES_FUZZ "build the fuzz targets (clang)" OFF)
if(ES_FUZZ)
  file(GLOB ES_FUZZERS CONFIGURE_DEPENDS tests/fuzz/fuzz_*.c)
  foreach(file IN LISTS ES_FUZZERS)
    get_filename_component(name ${file} NAME_WE)
    add_executable(${name} ${file})
    target_link_libraries(${name} PRIVATE echosolid_lib PkgConfig::ZIP)
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
    list(APPEND ES_FUZZ_NAMES ${name})
  endforeach()
  add_custom_target(fuzzers DEPENDS ${ES_FUZZ_NAMES})
endif()
