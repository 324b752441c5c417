# Writes the bytes of INPUT (may be absent) as C, so that the library looks for
# nothing at run time: cmake -DINPUT=... -DOUTPUT=... -P embed.cmake
set(bytes "0")
set(length 0)
if(EXISTS "${INPUT}")
  file(READ "${INPUT}" hex HEX)
  string(LENGTH "${hex}" length)
  math(EXPR length "${length} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
         bytes "${bytes}")
endif()
file(WRITE "${OUTPUT}" "#include <stddef.h>
extern const unsigned char network_built_in_bytes[];
extern const size_t network_built_in_length;
const unsigned char network_built_in_bytes[] = {
${bytes}};
const size_t network_built_in_length = ${length};
")
