/* The benches of `echosolid bench NAME`: each is one file bench_NAME.c with one
 * row in command_bench.c. A bench prints a table, or with --json one object with
 * `rows`, whose names stay. */
#ifndef ECHOSOLID_APP_BENCH_H
#define ECHOSOLID_APP_BENCH_H

#include "app.h"

typedef struct bench_options {
    common_options common;
    bool quick, instructions, best;
    const char *sequence, *only;
    int64_t frames; /* of each sweep at most; 0: all */
} bench_options;

typedef struct bench {
    const char *name, *summary;
    int (*run)(const bench_options *options); /* the exit status */
} bench;

int run_bench_reconstruct(const bench_options *options);

#endif
