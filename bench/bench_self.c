/* bench_self.c: simulated passes over an object, from pixels to ImageToProbe:
 * the miss of a point at 50 mm depth, how often the intervals hold, the time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "echosolid/calibration.h"

enum { RUNS = 50 };

/* Of one scene and way to begin, over the runs. */
typedef struct tally {
    double misses[RUNS], solve_s;
    int held, refused, wrong, runs;
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

static bool run(const char *scene, int seed, int mode, tally *t, es_error *err) {
    es_simulation s = passes(scene, (uint64_t)seed, err);
    es_self_pictures pictures = {0};
    es_pose_list poses = {0};
    es_self_options options = ES_SELF_DEFAULTS;
    es_self_result r;
    es_error why = {0};
    bool timed;
    es_mat4 truth = es_simulation_image_to_probe(&s);
    double px = es_vec3_length(es_mat4_column(truth, 0));
    es_source *source = es_simulation_open(&s, err);
    bool ok = source && es_self_pictures_read(source, NULL, &pictures, &timed, err) &&
              es_source_rewind(source, err) &&
              es_pose_list_read(source, NULL, "ProbeToReference", &poses, err);
    es_pose_track *track = ok ? es_pose_list_track(&poses, err) : NULL;
    if (track) {
        if (mode != 1) options.start = ruler(truth, s.seed);
        if (mode == 0) options.isotropic = true;
        if (mode == 1) options.spacing_mm[0] = options.spacing_mm[1] = px;
        if (mode == 2) options.lag_free = true;
        clock_t start = clock();
        bool taken = es_self_solve(&pictures, track, &options, &r, &why);
        double took = (double)(clock() - start) / CLOCKS_PER_SEC; /* of one core */
        es_vec3 at = target(&s, px);
        double miss = es_vec3_length(
            es_vec3_sub(es_mat4_point(truth, at), es_mat4_point(r.image_to_probe, at)));
        bool held = miss <= r.target_ci95_mm;
        t->misses[t->runs++] = miss;
        t->solve_s += took, t->held += held, t->refused += !taken, t->wrong += taken && miss > 2;
        printf("%s mode %d seed %d: miss %.2f ci %.2f r %.3f held out %.3f (%.2f mm) overlap "
               "%.2f scale %.4f %.4f of %.4f lag %.4f +- %.4f surface %d rival %.1f starts %d, "
               "%.1f s %s\n",
               scene, mode, seed, miss, r.target_ci95_mm, r.agreement, r.held_out, r.held_out_mm,
               r.overlap, r.spacing_mm[0], r.spacing_mm[1], px, r.lag_s, r.lag_ci95_s, r.surface,
               r.rival_mm, r.start_count, took, taken ? "" : why.message);
    }
    ok = track != NULL;
    es_pose_track_free(track);
    es_pose_list_clear(&poses);
    es_self_pictures_clear(&pictures);
    es_source_free(source);
    return ok;
}

/* bench_self [RUNS [SCENE [MODE [FIRST]]]]: seeds FIRST and on, so that many can be run in
 * pieces; the line of each run has its seed. */
int main(int argc, char **argv) {
    static const char *const scenes[] = {"knee", "abdomen"};
    static const char *const modes[] = {"start off by 5 mm and 5 degrees, one scale",
                                        "no start, spacing given",
                                        "start off by 5 mm and 5 degrees, two scales and lag"};
    int runs = argc > 1 ? atoi(argv[1]) : 5;
    int first = argc > 4 ? atoi(argv[4]) : 1;
    if (runs < 1 || runs > RUNS) runs = RUNS;
    setvbuf(stdout, NULL, _IOLBF, 0); /* a run takes its time */
    printf("200 pictures of 256 x 256 in six passes, poses with 0.3 mm of noise, one thread\n");
    for (int s = 0; s < 2; s++)
        for (int mode = 0; mode < 3; mode++) {
            tally t = {.runs = 0};
            es_error err = {0};
            if (argc > 2 && strcmp(argv[2], scenes[s]) != 0) continue;
            if (argc > 3 && atoi(argv[3]) != mode) continue;
            for (int k = 0; k < runs; k++)
                if (!run(scenes[s], first + k, mode, &t, &err)) {
                    fprintf(stderr, "bench_self: %s\n", err.message);
                    return 1;
                }
            qsort(t.misses, (size_t)t.runs, sizeof *t.misses, es_compare_doubles);
            printf("self, %-8s %s: miss at 50 mm: median %.2f mm, worst %.2f; interval holds in %d "
                   "of %d; refused %d; taken and off by more than 2 mm: %d; solved in %.1f s\n",
                   scenes[s], modes[mode], t.misses[t.runs / 2], t.misses[t.runs - 1], t.held,
                   t.runs, t.refused, t.wrong, t.solve_s / t.runs);
        }
    return 0;
}
