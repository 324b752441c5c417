/* Simulated recordings of wire phantoms for tests and benches. */
#ifndef TESTS_WIRE_SCENE_H
#define TESTS_WIRE_SCENE_H

#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

static inline void wire_scene_bath(es_bath *bath, const char *phantom, uint64_t seed) {
    es_wire_phantom p;
    es_wire_phantom_named(phantom, &p, NULL);
    es_wire_phantom_bath(&p, bath);
    bath->seed = seed;
}

static inline es_wire_options wire_scene_options(bool lag_free) {
    return (es_wire_options){.phantom_to_reference = es_bath_phantom_to_reference(),
                             .lag_free = lag_free,
                             .max_gap_s = 0.5};
}

/* The whole way: pictures, spots, matching, solution. */
static inline bool wire_scene_run(const es_bath *bath, const es_wire_phantom *phantom,
                                  const es_wire_options *options, es_wire_recording *recording,
                                  es_wire_outcome *outcome, es_error *err) {
    es_source *source = es_bath_open(bath, err);
    memset(recording, 0, sizeof *recording);
    bool ok =
        source &&
        es_wire_recording_read(source, NULL, "ProbeToReference", phantom, NULL, recording, err) &&
        es_wire_calibrate(phantom, recording, NULL, options, outcome, err);
    es_source_free(source);
    return ok;
}

/* How far a point 50 mm below the face's middle is off, mm. */
static inline double wire_scene_miss(const es_bath *bath, es_mat4 image_to_probe) {
    es_vec3 at = es_vec3_make(0.5 * (bath->width - 1), 50 / bath->spacing_mm[1], 0);
    return es_vec3_length(es_vec3_sub(es_mat4_point(image_to_probe, at),
                                      es_mat4_point(es_bath_image_to_probe(bath), at)));
}

/* How many of `asked` intervals (translation, spacing, lag) hold the truth. */
static inline int wire_scene_covered(const es_bath *bath, const es_wire_result *r, int *asked) {
    es_mat4 truth = es_bath_image_to_probe(bath);
    int held = 0;
    for (int k = 0; k < 3; k++)
        held +=
            fabs(r->image_to_probe.m[4 * k + 3] - truth.m[4 * k + 3]) <= r->translation_ci95_mm[k];
    for (int k = 0; k < 2; k++)
        held += fabs(r->spacing_mm[k] - bath->spacing_mm[k]) <= r->spacing_ci95_mm[k];
    held += fabs(r->lag_s - bath->lag_s) <= r->lag_ci95_s;
    *asked = 6;
    return held;
}

/* Dots and poses without pictures: fast enough for hundreds of runs. */
typedef struct wire_scene_track {
    es_wire_frame *frames;
    double *times;
    es_mat4 *poses;
    size_t count;
} wire_scene_track;

static inline bool wire_scene_track_make(const es_bath *bath, wire_scene_track *t, es_error *err) {
    es_source *source = es_bath_open(bath, err);
    es_placement *placement = es_placement_new(NULL, "ProbeToReference", err);
    es_frame frame = {0};
    bool end = false, placed;
    size_t n = (size_t)bath->frames;
    memset(t, 0, sizeof *t);
    t->frames = es_alloc_zero(n, sizeof *t->frames, err);
    t->times = es_alloc(n, sizeof *t->times, err);
    t->poses = es_alloc(n, sizeof *t->poses, err);
    bool ok = source && placement && t->frames && t->times && t->poses;
    for (; ok && t->count < n; t->count++) {
        size_t k = t->count;
        double dots[ES_BATH_WIRES][2];
        ok = es_source_next(source, &frame, 0, &end, err) && !end &&
             es_placement_find(placement, &frame, &t->poses[k], &placed, err);
        if (!ok) break;
        if (!placed) t->poses[k] = es_mat4_scaling(NAN, NAN, NAN);
        t->times[k] = t->frames[k].time_s = frame.time_s;
        t->frames[k].index = frame.index;
        es_bath_dots(bath, frame.index, dots);
        for (int w = 0; w < bath->wire_count; w++) {
            t->frames[k].seen[w] = isfinite(dots[w][0]);
            memcpy(t->frames[k].dots[w], dots[w], sizeof dots[w]);
        }
    }
    es_frame_clear(&frame);
    es_placement_free(placement);
    es_source_free(source);
    return ok;
}

static inline void wire_scene_track_clear(wire_scene_track *t) {
    es_free(t->frames);
    es_free(t->times);
    es_free(t->poses);
}

#endif
