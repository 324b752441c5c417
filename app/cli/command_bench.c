/* echosolid bench: how fast the parts of the program are on this machine. */
#include <string.h>

#include "bench.h"

static const bench benches[] = {
    {"reconstruct", "frames into volumes, per kernel", run_bench_reconstruct},
};
enum { BENCHES = sizeof benches / sizeof *benches };

static const opt table[] = {
    {.name = "quick",
     .letter = 'q',
     .type = OPT_FLAG,
     .offset = offsetof(bench_options, quick),
     .help = "measure each row once, not the best of several times"},
    {.name = "only",
     .type = OPT_TEXT,
     .value = "ROW",
     .offset = offsetof(bench_options, only),
     .help =
         "only this row, as SYN0,nearest,mean,1: workload, interpolation, compounding, threads; "
         "or all rows of a workload, as SYN30"},
    {.name = "frames",
     .type = OPT_INT,
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .offset = offsetof(bench_options, frames),
     .help = "only the first N frames of each workload; 0: all"},
    {.name = "best",
     .type = OPT_FLAG,
     .offset = offsetof(bench_options, best),
     .help = "only the best kernel, without the plain one beside it and without the memory "
             "bandwidth"},
    {.name = "instructions",
     .type = OPT_FLAG,
     .offset = offsetof(bench_options, instructions),
     .help = "also count instructions per pixel of SYN0 and SYN30, by valgrind's callgrind (slow)"},
    {.name = "sequence",
     .type = OPT_TEXT,
     .value = "FILE",
     .offset = offsetof(bench_options, sequence),
     .help = "take the pictures from a recording of 21 or more grey frames of 820 x 616 pixels "
             "(default: speckle)"},
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid bench reconstruct --quick --frames 16 --only SYN0,nearest,mean,1 --json", NULL};

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    for (int i = 0; i < BENCHES; i++)
        if (strcmp(files[0], benches[i].name) == 0) return benches[i].run(options);
    es_text names = {0};
    for (int i = 0; i < BENCHES; i++)
        es_text_add(&names, "%s%s (%s)", i ? ", " : "", benches[i].name, benches[i].summary);
    es_error err = {0};
    es_fail(&err, ES_USAGE, "bench: no bench is called %s; there is %s", files[0],
            names.failed ? "reconstruct" : names.bytes);
    es_text_free(&names);
    return app_fail(&err);
}

const command command_bench = {
    .name = "bench",
    .summary = "how fast this machine is at it",
    .usage = "NAME [options]",
    .description =
        "Measures a part of the program on generated data. reconstruct: a sweep of 500 frames of "
        "512 x 512 grey pixels (0.15 mm) over 150 mm into voxels of 0.5 mm, its rows along the "
        "volume's x axis (SYN0) or turned by 30 degrees across all axes (SYN30), for each "
        "interpolation and compounding, one and two threads, the plain kernel beside the "
        "processor's best; and small frames in larger numbers and on longer paths. Times are per "
        "frame, the dense output included; memory bandwidth is measured in the same run. "
        "ES_CPU=scalar measures the plain kernels alone.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(bench_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
