/* bench_self.c: simulated passes over an object, from pixels to ImageToProbe:
 * the miss of a point at 50 mm depth, how often the intervals hold, the time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "echosolid/calibration.h"

enum { RUNS = 50 };

/* What is known before, and what is found. */
enum { ONE_SCALE, SPACING_GIVEN, LAG_FREE, MODES };
static const char *const modes[MODES] = {
    [ONE_SCALE] = "start off by 5 mm and 5 degrees, one scale",
    [SPACING_GIVEN] = "no start, spacing given",
    [LAG_FREE] = "start off by 5 mm and 5 degrees, two scales, 0.1 s of lag found"};

/* Of one scene and mode, over the runs. `given`: not refused. */
typedef struct tally {
    double misses[RUNS], given_misses[RUNS], lags[RUNS], expected[RUNS], solve_s, scale_off[2];
    double off[3]; /* sum, in the picture's axes, mm */
    int runs, held, given, given_held, wrong, lag_held;
} tally;

static es_simulation passes(const char *scene, uint64_t seed, es_error *err) {
    es_simulation s;
    if (!es_simulation_preset(scene, &s, err)) s.frames = 0;
    s.frames = 200;
    s.sweeps = 6;
    s.lean_rad = 0.35;
    s.turn_rad = 0.7;
    s.probe.image_size[0] = s.probe.image_size[1] = 256;
    s.pose_noise_mm = 0.3;
    s.seed = seed;
    s.threads = 1;
    return s;
}

/* The picture's middle, 50 mm under the face. */
static es_vec3 target(const es_simulation *s, double px) {
    es_fan fan = es_simulation_fan(s);
    double u = s->probe.curved ? fan.apex_u : (fan.u0 + fan.u1) / 2;
    double v = s->probe.curved ? fan.apex_v + fan.radius_start : fan.v0;
    return es_vec3_make(u, v + 50 / px, 0);
}

/* The truth, off by 5 mm and 5 degrees in a direction drawn from the seed: what
 * a ruler gives. */
static es_mat4 ruler(es_mat4 truth, uint64_t seed) {
    es_random random = es_random_new(seed, 77);
    es_vec3 v[2];
    for (int k = 0; k < 2; k++) {
        double x = es_random_normal(&random), y = es_random_normal(&random);
        v[k] = es_vec3_unit(es_vec3_make(x, y, es_random_normal(&random)));
    }
    es_mat4 m = es_mat4_multiply(truth, es_mat4_rotation(v[0], 0.087));
    m.m[3] += 5 * v[1].x, m.m[7] += 5 * v[1].y, m.m[11] += 5 * v[1].z;
    return m;
}

static es_self_options options_of(const es_simulation *s, int mode) {
    es_self_options options = ES_SELF_DEFAULTS;
    es_mat4 truth = es_simulation_image_to_probe(s);
    options.isotropic = mode == ONE_SCALE;
    options.lag_free = mode == LAG_FREE;
    if (mode != SPACING_GIVEN)
        options.start = ruler(truth, s->seed);
    else
        options.spacing_mm[0] = options.spacing_mm[1] = es_vec3_length(es_mat4_column(truth, 0));
    return options;
}

/* `why`: of a refusal, else empty. */
static void count(const es_simulation *s, const es_self_result *r, const char *why, tally *t) {
    es_mat4 truth = es_simulation_image_to_probe(s);
    double px = es_vec3_length(es_mat4_column(truth, 0));
    es_vec3 at = target(s, px);
    es_vec3 off = es_vec3_sub(es_mat4_point(r->image_to_probe, at), es_mat4_point(truth, at));
    double miss = es_vec3_length(off), along[3];
    for (int k = 0; k < 3; k++) {
        along[k] = es_vec3_dot(off, es_mat4_column(truth, k)) / px;
        t->off[k] += along[k];
    }
    bool given = !why[0], held = miss <= r->target_ci95_mm;
    double lag_off = fabs(r->lag_s - s->lag_s);
    if (given) t->given_misses[t->given++] = miss;
    t->misses[t->runs] = miss, t->expected[t->runs] = r->target_ci95_mm;
    t->lags[t->runs++] = lag_off;
    t->held += held, t->given_held += given && held, t->wrong += given && miss > 2;
    t->lag_held += lag_off <= r->lag_ci95_s;
    for (int k = 0; k < 2; k++) t->scale_off[k] += 100 * (r->spacing_mm[k] / px - 1);
    printf("  seed %2d: miss %.2f mm (%+.2f %+.2f %+.2f), expected %.2f; agreement %.3f, held out "
           "%.3f; overlap %.2f; "
           "scales %.4f %.4f of %.4f; lag %.4f +- %.4f of %.4f s; rival %.1f mm%s%s\n",
           (int)s->seed, miss, along[0], along[1], along[2], r->target_ci95_mm, r->agreement,
           r->held_out, r->overlap, r->spacing_mm[0], r->spacing_mm[1], px, r->lag_s, r->lag_ci95_s,
           s->lag_s, r->rival_mm, given ? "" : "; refused: ", why);
}

static bool run(const char *scene, int seed, int mode, tally *t, es_error *err) {
    es_simulation s = passes(scene, (uint64_t)seed, err);
    if (mode == LAG_FREE) s.lag_s = 0.1;
    es_self_pictures pictures = {0};
    es_pose_list poses = {0};
    es_self_options options = options_of(&s, mode);
    es_self_result r;
    es_error why = {0};
    bool timed;
    es_source *source = es_simulation_open(&s, err);
    bool ok = source && es_self_pictures_read(source, NULL, &pictures, &timed, err) &&
              es_source_rewind(source, err) &&
              es_pose_list_read(source, NULL, "ProbeToReference", &poses, err);
    es_pose_track *track = ok ? es_pose_list_track(&poses, err) : NULL;
    if (track) {
        clock_t start = clock();
        bool given = es_self_solve(&pictures, track, &options, &r, &why);
        t->solve_s += (double)(clock() - start) / CLOCKS_PER_SEC; /* of one core */
        count(&s, &r, given ? "" : why.message, t);
    }
    ok = track != NULL;
    es_pose_track_free(track);
    es_pose_list_clear(&poses);
    es_self_pictures_clear(&pictures);
    es_source_free(source);
    return ok;
}

static double middle(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, es_compare_doubles);
    return n > 0 ? values[n / 2] : NAN;
}

static void print(const char *scene, int mode, tally *t) {
    double median = middle(t->misses, t->runs), expected = middle(t->expected, t->runs);
    printf("self, %s, %s: miss at 50 mm: median %.2f mm, worst %.2f; interval holds in %d of %d; "
           "scales off by %+.2f, %+.2f %% in the mean; solved in %.1f s\n",
           scene, modes[mode], median, t->misses[t->runs - 1], t->held, t->runs,
           t->scale_off[0] / t->runs, t->scale_off[1] / t->runs, t->solve_s / t->runs);
    printf(
        "self, %s, expected miss: median %.2f mm, widest %.2f; off in the mean by %+.2f along u, "
        "%+.2f along v, %+.2f mm across\n",
        scene, expected, t->expected[t->runs - 1], t->off[0] / t->runs, t->off[1] / t->runs,
        t->off[2] / t->runs);
    median = middle(t->given_misses, t->given);
    printf("self, %s, given without --force: %d of %d, median %.2f mm, interval holds in %d; off "
           "by more than 2 mm: %d\n",
           scene, t->given, t->runs, median, t->given_held, t->wrong);
    if (mode != LAG_FREE) return;
    median = middle(t->lags, t->runs);
    printf("self, %s, lag off: median %.1f ms, worst %.1f; interval holds in %d of %d\n", scene,
           1e3 * median, 1e3 * t->lags[t->runs - 1], t->lag_held, t->runs);
}

static bool run_all(const char *scene, int mode, int first, int runs) {
    tally t = {.runs = 0};
    es_error err = {0};
    printf("%s, %s\n", scene, modes[mode]);
    for (int k = 0; k < runs; k++) {
        if (run(scene, first + k, mode, &t, &err)) continue;
        fprintf(stderr, "bench_self: %s\n", err.message);
        return false;
    }
    print(scene, mode, &t);
    return true;
}

/* bench_self [RUNS [SCENE [MODE [FIRST]]]]: seeds FIRST and on, so that many can be run in
 * pieces; the line of each run has its seed. */
int main(int argc, char **argv) {
    static const char *const scenes[] = {"knee", "abdomen"};
    int runs = argc > 1 ? atoi(argv[1]) : 5;
    int first = argc > 4 ? atoi(argv[4]) : 1;
    bool ok = true;
    if (runs < 1 || runs > RUNS) runs = RUNS;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a run takes its time */
    printf("200 pictures of 256 x 256 in six passes, poses with 0.3 mm of noise, one thread\n");
    for (int s = 0; s < 2; s++)
        for (int mode = 0; ok && mode < MODES; mode++) {
            if (argc > 2 && strcmp(argv[2], scenes[s]) != 0) continue;
            if (argc > 3 && atoi(argv[3]) != mode) continue;
            ok = run_all(scenes[s], mode, first, runs);
        }
    return ok ? 0 : 1;
}
