# The texts of the live page (viewer/live, and its 3-D view bundled from viewer/src
# where npm works) as one C file: as a part of the build, by
# cmake -DSOURCE=... -DSCENE=... -DOUTPUT=... -P cmake/live_pages.cmake
string(CONCAT policy "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
       "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
set(arrays "")
set(rows "")

function(embed name address type file more)
  file(READ "${file}" hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes
         "${bytes}")
  set(arrays "${arrays}static const unsigned char ${name}[] = {\n${bytes}};\n" PARENT_SCOPE)
  string(APPEND rows "    {.address = \"${address}\", .type = \"${type}\", .bytes = ${name}, "
         ".length = sizeof ${name}${more}},\n")
  set(rows "${rows}" PARENT_SCOPE)
endfunction()

embed(page_index "/" "text/html; charset=utf-8" "${SOURCE}/index.html" ", .policy = policy")
embed(page_style "/live.css" "text/css; charset=utf-8" "${SOURCE}/live.css" ", .open = true")
embed(page_wizard_style "/wizard.css" "text/css; charset=utf-8" "${SOURCE}/wizard.css" ", .open = true")
foreach(name live link picture cuts panel measure wizard)
  embed(page_${name} "/${name}.js" "text/javascript; charset=utf-8" "${SOURCE}/${name}.js"
        ", .open = true")
endforeach()
embed(page_scene "/scene.js" "text/javascript; charset=utf-8" "${SCENE}" ", .open = true")
embed(page_icon "/favicon.ico" "image/svg+xml" "${SOURCE}/icon.svg" ", .open = true")

set(has true)
file(READ "${SCENE}" words LIMIT 14)
if(words MATCHES "^// No 3-D view") # scene_none.js
  set(has false)
endif()
file(WRITE "${OUTPUT}" "/* Made by cmake/live_pages.cmake from viewer/live and three.js (MIT). */
#include \"live_pages.h\"
${arrays}static const char policy[] = \"${policy}\";
const es_page live_pages[] = {
${rows}};
const size_t live_page_count = sizeof live_pages / sizeof *live_pages;
const bool live_pages_have_scene = ${has};
")
