#!/bin/sh
# `cmake --install` gives program, library, headers, pkg-config file, man page
# and completion, in any folder, and another program can be built on them.
set -eu
: "${ES_TEST_BINARY:?}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
build=$(dirname "$ES_TEST_BINARY")
cmake --install "$build" --prefix "$folder/usr" >/dev/null
cat >"$folder/use.c" <<'END'
#include <echosolid/pipeline.h>
int main(void) {
    es_scene *scene = es_scene_new("sphere", NULL);
    int wrong = !scene || es_plus_new(NULL) == NULL;
    es_scene_free(scene);
    puts(es_version());
    return wrong;
}
END
PKG_CONFIG_PATH=$(dirname "$(find "$folder/usr" -name echosolid.pc)")
export PKG_CONFIG_PATH
# shellcheck disable=SC2046
cc "$folder/use.c" $(pkg-config --cflags --libs echosolid) -o "$folder/use"
[ "echosolid $("$folder/use")" = "$("$folder/usr/bin/echosolid" --version)" ]
[ -s "$folder/usr/share/man/man1/echosolid.1" ]
[ -s "$folder/usr/share/bash-completion/completions/echosolid" ]
echo "the installed library builds and runs a program"
