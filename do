#!/bin/sh
# ./do WORD: everything a person or a machine does with this project.
# Runs on a bare Debian 12; installs what is missing and says so.
set -eu
cd "$(dirname "$0")"

usage() {
    cat <<'END'
usage: ./do WORD
  demo [FILE [--config XML]]  build, simulate a knee (or take FILE) and make out/: model, volume, report
  serve [FILE --config XML]   a simulated scanner (or FILE, played) and the live page in a browser
  test [--long]               build and run every test; --long fuzzes for a minute each,
                              and lets a live link go wrong for ten minutes
  bench [NAME]                measure speed (reconstruct, fill), truth (accuracy, spacing, bone) or the surface (model)
  build                       leave the program at build/echosolid
  viewer                      bundle the 3-D view of reports again
  onnx                        install ONNX Runtime (46 MB, from npm) for bone --model FILE.onnx
  train                       make models/bone.esnn from nothing: frames, weights, figures (CPU, < 1 h)
  docs                        make docs/commands.md, the man page and completion again
  format                      clang-format over all sources
END
}

BUILD_PACKAGES="gcc g++ libc6-dev cmake ninja-build pkg-config zlib1g-dev libpng-dev libxml2-dev
    libnifti-dev libjansson-dev libxxhash-dev liblapacke-dev liblapack-dev libblas-dev libcminpack-dev
    libzip-dev libmatio-dev libhdf5-dev libopenjp2-7-dev libdcmtk-dev libavformat-dev libavcodec-dev
    libavutil-dev libswscale-dev libavdevice-dev libkissfft-dev libwebsockets-dev"
TEST_PACKAGES="libcmocka-dev clang libclang-rt-14-dev clang-format shellcheck python3 python3-vtk9
    man-db python3-numpy python3-pydicom python3-h5py python3-scipy dcmtk libgdcm-tools ffmpeg
    libocct-data-exchange-dev prusa-slicer chromium libopenigtlink-dev
    bochs bochs-term bochsbios vgabios"

# What runs under the thread sanitizer.
THREADED_TESTS="test_base_pool test_pipeline_setup test_recon_volume test_recon_distance
    test_surface_iso test_live_link test_live_commands test_live_subscribe
    test_live_faults test_live_page test_live_capture test_live_video test_live_host
    test_live_undo test_live_parts"

# Installs those of the given packages that are missing.
need() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    echo "installing:$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "please install as root: apt-get install$missing" >&2
            exit 1
        }
        as_root=sudo
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086
    { $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        echo "installing failed; the log is $log" >&2
        exit 1
    }
    rm -f "$log"
}

# The 3-D view of reports is bundled by npm, of Debian or of whoever put it here.
need_npm() {
    if ! { command -v node && command -v npm; } >/dev/null; then need nodejs npm; fi
}

configure() { # preset, cmake options...
    preset=$1
    shift
    cmake --preset "$preset" "$@" >"build-log.txt" 2>&1 || {
        cat build-log.txt >&2
        exit 1
    }
    rm -f build-log.txt
}

build() {
    # shellcheck disable=SC2086
    need $BUILD_PACKAGES
    need_npm
    configure release "-DBUILD_TESTING=${1:-OFF}"
    cmake --build build
}

demo() {
    build OFF
    mkdir -p out
    if [ $# -gt 0 ]; then
        file=$1
        shift
        build/echosolid model "$file" "$@" -o out/model.stl -o out/model.step --sheet out/sheet.stl \
            --volume out/volume.mha --report out/report.html
    else
        build/echosolid simulate --scene knee --pose-noise 0.3mm \
            --angle-noise 0.3deg -o out/knee.igs.mha
        build/echosolid model out/knee.igs.mha --config out/knee.xml --truth out/knee.seen.ply \
            -o out/knee.stl -o out/knee.step --sheet out/knee-sheet.stl --volume out/knee-volume.mha \
            --report out/report.html
    fi
    echo "open out/report.html in a browser. Research software: not for diagnosis or planning."
}

# The address of a server that writes its log to a file, once it is told there.
told_port() { # log
    for _ in $(seq 100); do
        port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$1" | head -n 1)
        [ -n "$port" ] && {
            echo "$port"
            return
        }
        sleep 0.1
    done
    cat "$1" >&2
    exit 1
}

# Saved models land in out/live.
serve() {
    build OFF
    mkdir -p out/live
    file=out/live/knee.igs.mha
    if [ $# -gt 0 ]; then
        file=$1
        shift
    else
        [ -f "$file" ] || build/echosolid simulate --scene knee --pose-noise 0.3mm \
            --angle-noise 0.3deg -o "$file"
        set -- --config out/live/knee.xml
    fi
    log=$(mktemp)
    build/echosolid simulate --live 0 --replay "$file" --repeat >"$log" 2>&1 &
    scanner=$!
    trap 'kill "$scanner" 2>/dev/null || true; rm -f "$log"' EXIT
    trap : INT # ends the scan, not this script before it
    port=$(told_port "$log")
    page=http://127.0.0.1:${ES_PAGE_PORT:-8765}/
    echo "open $page (Ctrl-C ends it)"
    if [ -n "${DISPLAY:-}" ] && command -v xdg-open >/dev/null; then
        (sleep 1 && xdg-open "$page") &
    fi
    build/echosolid live --connect "127.0.0.1:$port" "$@" --bone --page "${ES_PAGE_PORT:-8765}" \
        --folder out/live
}

PASSED=0
FAILED=0
SKIPPED=0

# Runs one step of the tests and counts it.
step() { # name, command...
    name=$1
    shift
    if "$@"; then
        echo "ok: $name"
        PASSED=$((PASSED + 1))
    else
        echo "FAILED: $name"
        FAILED=$((FAILED + 1))
    fi
}

# ctest over a build folder; its tests are counted one by one.
run_ctest() { # folder, ctest options...
    folder=$1
    shift
    log=$(mktemp)
    ctest --test-dir "$folder" --output-on-failure -j "$(nproc)" "$@" 2>&1 | tee "$log"
    total=$(sed -n 's/.* out of \([0-9]*\)$/\1/p' "$log" | tail -n 1)
    failed=$(sed -n 's/.* \([0-9]*\) tests\{0,1\} failed out of .*/\1/p' "$log" | tail -n 1)
    skipped=$(grep -c '\*\*\*Skipped' "$log" || true)
    rm -f "$log"
    PASSED=$((PASSED + ${total:-0} - ${failed:-1} - skipped))
    FAILED=$((FAILED + ${failed:-1}))
    SKIPPED=$((SKIPPED + skipped))
}

fuzz() { # seconds each
    configure fuzz
    cmake --build build-fuzz --target fuzzers
    corpus=$(mktemp -d)
    for target in build-fuzz/fuzz/fuzz_*; do
        [ -x "$target" ] || continue
        name=$(basename "$target")
        mkdir -p "$corpus/$name"
        step "$name, $1 s" "$target" -max_total_time="$1" -rss_limit_mb=3000 -verbosity=0 \
            -artifact_prefix="$corpus/" -timeout=20 "$corpus/$name"
    done
    rm -rf "$corpus"
}

tidy() {
    need clang-tidy
    find src app -name '*.c' -print0 | xargs -0 -n 1 clang-tidy --quiet -p build
}

check_format() {
    find include src app tests bench training -name '*.[ch]' -print0 |
        xargs -0 clang-format --dry-run --Werror
}

tests() {
    seconds=5
    [ "${1:-}" = --long ] && seconds=60
    # shellcheck disable=SC2086
    need $BUILD_PACKAGES $TEST_PACKAGES
    build ON
    run_ctest build
    configure asan
    cmake --build build-asan
    run_ctest build-asan
    configure tsan
    # shellcheck disable=SC2086
    cmake --build build-tsan --target $THREADED_TESTS
    # shellcheck disable=SC2086
    run_ctest build-tsan -R "^($(echo $THREADED_TESTS | tr ' ' '|'))\$"
    [ "${1:-}" = --long ] &&
        step "ten minutes of faults" env ES_FAULT_SECONDS=600 build/tests/test_live_faults
    fuzz "$seconds"
    step "sources are formatted" check_format
    [ "${1:-}" = --long ] && step "clang-tidy finds nothing" tidy
    step "scripts are clean" shellcheck ./do .ci/run tests/*.sh
    echo "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ "$FAILED" -eq 0 ]
}

bench() {
    case " $* " in *" --instructions "*) need valgrind ;; esac
    build OFF
    name=${1:-reconstruct}
    [ $# -gt 0 ] && shift
    if [ -x "build/bench/bench_$name" ]; then
        ECHOSOLID_MODULES=${ECHOSOLID_MODULES:-$PWD/build} "build/bench/bench_$name" "$@"
    else
        build/echosolid bench "$name" "$@"
    fi
}

viewer() {
    build OFF
    cmake --build build --target viewer
}

# The library alone is used; the package's own script would fetch more.
onnx() {
    command -v npm >/dev/null || need npm
    npm install --ignore-scripts --no-audit --no-fund --prefix third_party/ort \
        onnxruntime-node@1.30.0
    ls third_party/ort/node_modules/onnxruntime-node/bin/napi-v6/linux/*/libonnxruntime.so.1
}

train() {
    need python3-torch python3-numpy python3-onnx
    build OFF
    lessons=build/lessons
    data=${ES_TEST_DATA:-../shared/data}/plus/sequences
    mkdir -p models "$lessons"
    echo "drawing frames"
    build/training/make_lessons 10000 1 "$lessons/train" --bone-free 0.4
    build/training/make_lessons 300 2 "$lessons/calibrate" --unlike
    build/training/make_lessons 300 3 "$lessons/judge" --unlike
    /usr/bin/python3 training/train.py "$lessons/train" -o build/bone.pt --steps 8000 --log build/train.log
    /usr/bin/python3 training/export.py build/bone.pt --frames "$lessons/calibrate" \
        -o models/bone.esnn --onnx build/bone.onnx --reference tests/data/bone_net_reference.bin
    set --
    [ -d "$data" ] && set -- --labels "$data"
    /usr/bin/python3 training/judge.py models/bone.esnn --simulated "$lessons/judge" "$@"
}

docs() {
    build OFF
    build/echosolid --docs markdown >docs/commands.md
    build/echosolid --docs man >docs/echosolid.1
    build/echosolid --docs completion >docs/echosolid.bash-completion
}

format() {
    need clang-format
    find include src app tests bench training -name '*.[ch]' -print0 | xargs -0 clang-format -i
}

word=${1:-}
[ $# -gt 0 ] && shift
case $word in
demo) demo "$@" ;;
serve) serve "$@" ;;
test) tests "$@" ;;
bench) bench "$@" ;;
build) build OFF ;;
viewer) viewer ;;
onnx) onnx ;;
train) train ;;
docs) docs ;;
format) format ;;
*)
    usage >&2
    exit 2
    ;;
esac
