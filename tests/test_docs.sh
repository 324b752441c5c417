#!/bin/sh
# docs/commands.md, the man page and the completion say what the program says;
# README and docs name no command or option that does not exist.
set -eu
: "${ES_TEST_BINARY:?}" "${ES_TEST_SOURCE:?}"
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$ES_TEST_BINARY" --docs markdown >"$fresh/commands.md"
"$ES_TEST_BINARY" --docs man >"$fresh/echosolid.1"
"$ES_TEST_BINARY" --docs completion >"$fresh/echosolid.bash-completion"
for name in commands.md echosolid.1 echosolid.bash-completion; do
    diff -u "$ES_TEST_SOURCE/docs/$name" "$fresh/$name" || {
        echo "docs/$name is stale: run ./do docs" >&2
        exit 1
    }
done
bash -n "$fresh/echosolid.bash-completion"
if command -v man >/dev/null; then
    warnings=$(man --warnings -l -E UTF-8 -Tutf8 "$fresh/echosolid.1" 2>&1 >/dev/null || true)
    [ -z "$warnings" ] || {
        echo "the man page: $warnings" >&2
        exit 1
    }
fi
grep -ohE '(`|^    |/)echosolid [a-z]+' "$ES_TEST_SOURCE"/README.md "$ES_TEST_SOURCE"/docs/*.md |
    sed 's/.*echosolid //' | sort -u | while read -r command; do
    grep -q "^## echosolid $command" "$fresh/commands.md" || {
        echo "the docs mention 'echosolid $command', which does not exist" >&2
        exit 1
    }
done
cd "$ES_TEST_SOURCE"
for page in *.md docs/*.md; do
    grep -oE '\]\([^)#:]+\)' "$page" | sed 's/](//; s/)//' | while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || {
            echo "$page links to $link, which is not there" >&2
            exit 1
        }
    done
done
echo "docs are fresh"
