/* bench_wall.c: simulated water tanks, from pixels to ImageToProbe: the miss of
 * a point at 50 mm depth, how often the intervals hold, and the time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "echosolid/calibration.h"

enum { RUNS = 50 };

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of one setting of the lag, over the runs. */
typedef struct tally {
    double misses[RUNS], lags[RUNS], solve_s;
    int held, lag_held, refused;
} tally;

static es_simulation tank(uint64_t seed) {
    es_simulation s;
    es_simulation_preset("floor", &s, NULL);
    s.frames = 200;
    s.probe.image_size[0] = 256;
    s.probe.image_size[1] = 384;
    s.pose_noise_mm = 0.3;
    s.seed = seed;
    s.threads = 2;
    return s;
}

/* The picture's middle, 50 mm under the face. */
static double miss_of(const es_simulation *s, const es_wall_result *r) {
    es_mat4 truth = es_simulation_image_to_probe(s);
    es_fan fan = es_simulation_fan(s);
    double px = es_vec3_length(es_mat4_column(truth, 0));
    es_vec3 at = es_vec3_make((fan.u0 + fan.u1) / 2, fan.v0 + 50 / px, 0);
    return es_vec3_length(
        es_vec3_sub(es_mat4_point(truth, at), es_mat4_point(r->image_to_probe, at)));
}

static void solve(const es_simulation *s, const es_wall_line *lines, size_t count,
                  const es_pose_track *track, bool lag_free, int k, tally *t) {
    es_wall_options options = ES_WALL_DEFAULTS;
    es_wall_result result;
    options.lag_free = lag_free;
    double start = now_s();
    t->refused += !es_wall_solve(lines, count, track, &options, &result, NULL, NULL, NULL);
    t->solve_s += now_s() - start;
    t->misses[k] = miss_of(s, &result);
    t->held += t->misses[k] <= result.target_ci95_mm;
    t->lags[k] = fabs(result.lag_s - s->lag_s);
    t->lag_held += t->lags[k] <= result.lag_ci95_s;
}

static bool run(int k, tally tallies[2], es_error *err) {
    es_simulation s = tank((uint64_t)k + 1);
    es_line_list list = {0};
    es_pose_list poses = {0};
    es_wall_line *lines = NULL;
    es_wall_reject *rejects = NULL;
    size_t count = 0, reject_count = 0;
    es_source *source = es_simulation_open(&s, err);
    bool ok = source && es_line_list_read(source, NULL, &list, err) &&
              es_source_rewind(source, err) &&
              es_pose_list_read(source, NULL, "ProbeToReference", &poses, err) &&
              es_wall_lines(&list, &lines, &count, &rejects, &reject_count, err);
    es_pose_track *track = ok ? es_pose_list_track(&poses, err) : NULL;
    for (int lag_free = 0; track && lag_free < 2; lag_free++)
        solve(&s, lines, count, track, lag_free, k, &tallies[lag_free]);
    ok = track != NULL;
    es_pose_track_free(track);
    es_free(lines);
    es_free(rejects);
    es_pose_list_clear(&poses);
    es_line_list_clear(&list);
    es_source_free(source);
    return ok;
}

static void print(bool lag_free, tally *t, int runs) {
    const char *lag = lag_free ? "free" : "0";
    qsort(t->misses, (size_t)runs, sizeof *t->misses, es_compare_doubles);
    printf("wall, lag %-5s  miss at 50 mm: median %.2f mm, worst %.2f; interval holds in %d of %d; "
           "refused %d; solved in %.2f s\n",
           lag, t->misses[runs / 2], t->misses[runs - 1], t->held, runs, t->refused,
           t->solve_s / runs);
    if (!lag_free) return;
    qsort(t->lags, (size_t)runs, sizeof *t->lags, es_compare_doubles);
    printf("wall, lag %-5s  off: median %.1f ms, worst %.1f; interval holds in %d of %d\n", lag,
           1e3 * t->lags[runs / 2], 1e3 * t->lags[runs - 1], t->lag_held, runs);
}

/* bench_wall [RUNS] */
int main(int argc, char **argv) {
    static tally tallies[2];
    int runs = argc > 1 ? atoi(argv[1]) : RUNS;
    if (runs < 1 || runs > RUNS) runs = RUNS;
    printf("200 pictures of 256 x 384, 30 degrees each way, poses with 0.3 mm of noise\n");
    for (int k = 0; k < runs; k++) {
        es_error err = {0};
        if (run(k, tallies, &err)) continue;
        fprintf(stderr, "bench_wall: %s\n", err.message);
        return 1;
    }
    for (int lag_free = 0; lag_free < 2; lag_free++) print(lag_free, &tallies[lag_free], runs);
    return 0;
}
