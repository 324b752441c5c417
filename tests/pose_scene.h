/* Simulated frames whose poses are known, and the same poses written as tables
 * in many layouts. The tissue is a random field fixed in space, so that the
 * pictures move as the probe does: the simulator's own speckle is drawn anew
 * for every frame and cannot be followed. */
#ifndef POSE_SCENE_H
#define POSE_SCENE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/pipeline.h"

enum { SCENE_SIDE = 160, SCENE_FRAMES = 64, SCENE_WAVES = 2 };
static const double SCENE_PIXEL_MM = 0.4, SCENE_GRAIN_MM = 1.6;

typedef struct pose_scene {
    uint64_t seed;
    bool in_plane; /* false: the probe moves across its plane only */
    int frames;
    double start_s, rate_hz; /* rate 0: frames without times */
    es_mat4 image_to_probe;
    es_mat4 *truth; /* probe to tracker, a frame each */
    int next;
} pose_scene;

static inline double scene_hash(uint64_t seed, int64_t x, int64_t y, int64_t z) {
    uint64_t h = seed * 0x9E3779B97F4A7C15u + (uint64_t)x * 0xBF58476D1CE4E5B9u +
                 (uint64_t)y * 0x94D049BB133111EBu + (uint64_t)z * 0xD6E8FEB86659FD93u;
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
    h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
    return (double)(h >> 40) / (1 << 24);
}

/* Trilinear between random values a grain apart. */
static inline double scene_tissue(uint64_t seed, es_vec3 p) {
    double f[3] = {p.x / SCENE_GRAIN_MM, p.y / SCENE_GRAIN_MM, p.z / SCENE_GRAIN_MM}, sum = 0;
    int64_t i[3];
    for (int a = 0; a < 3; a++) {
        i[a] = (int64_t)floor(f[a]);
        f[a] -= (double)i[a];
    }
    for (int c = 0; c < 8; c++) {
        double w =
            (c & 1 ? f[0] : 1 - f[0]) * (c & 2 ? f[1] : 1 - f[1]) * (c & 4 ? f[2] : 1 - f[2]);
        sum += w * scene_hash(seed, i[0] + (c & 1), i[1] + (c >> 1 & 1), i[2] + (c >> 2 & 1));
    }
    return sum;
}

static inline es_vec3 scene_direction(es_random *r) {
    return es_vec3_unit(
        es_vec3_make(es_random_normal(r), es_random_normal(r), es_random_normal(r)));
}

/* A slow wander of about `size` on each side. */
static inline double scene_wander(es_random *r, double size, double t) {
    double sum = 0;
    for (int w = 0; w < SCENE_WAVES; w++) {
        double phase = es_random_uniform(r) * 2 * M_PI, turns = 0.6 + 1.1 * es_random_uniform(r);
        sum += size / SCENE_WAVES * 1.4 * sin(2 * M_PI * turns * t + phase);
    }
    return sum;
}

/* The picture's plane moves in its own axes about its middle: u and v (and the
 * turn in the plane) when in_plane, else only across, as a steady sweep. */
static inline es_mat4 scene_motion(const pose_scene *s, int frame) {
    es_random r = es_random_new(s->seed, 77);
    double t = (double)frame / s->frames;
    double u = scene_wander(&r, 14, t), v = scene_wander(&r, 10, t), w = scene_wander(&r, 3, t);
    double turn_w = scene_wander(&r, 0.25, t), turn_u = scene_wander(&r, 0.12, t),
           turn_v = scene_wander(&r, 0.12, t);
    if (!s->in_plane) {
        u = v = turn_w = turn_u = turn_v = 0;
        w = 40 * t;
    }
    es_mat4 turn =
        es_mat4_multiply(es_mat4_rotation(es_vec3_make(0, 0, 1), turn_w),
                         es_mat4_multiply(es_mat4_rotation(es_vec3_make(1, 0, 0), turn_u),
                                          es_mat4_rotation(es_vec3_make(0, 1, 0), turn_v)));
    return es_mat4_multiply(es_mat4_translation(u, v, w), turn);
}

/* A probe mounted at any angle, before a tracker that looks from anywhere. */
static inline void scene_make(pose_scene *s, uint64_t seed, bool in_plane) {
    es_random r = es_random_new(seed, 5);
    *s = (pose_scene){.seed = seed, .in_plane = in_plane, .frames = SCENE_FRAMES};
    s->truth = calloc(SCENE_FRAMES, sizeof *s->truth);
    es_mat4 mount = es_mat4_rotation(scene_direction(&r), M_PI * es_random_uniform(&r));
    es_mat4 view = es_mat4_rotation(scene_direction(&r), M_PI * es_random_uniform(&r));
    es_vec3 away = es_vec3_scale(scene_direction(&r), 150 + 1000 * es_random_uniform(&r));
    double middle = 0.5 * SCENE_SIDE * SCENE_PIXEL_MM;
    /* image px -> mm about the picture's middle -> probe */
    es_mat4 centred =
        es_mat4_multiply(es_mat4_translation(-middle, -middle, 0),
                         es_mat4_scaling(SCENE_PIXEL_MM, SCENE_PIXEL_MM, SCENE_PIXEL_MM));
    es_mat4 to_probe = es_mat4_multiply(es_mat4_translation(30, -20, 60), mount);
    s->image_to_probe = es_mat4_multiply(to_probe, centred);
    es_mat4 from_probe;
    es_mat4_invert(to_probe, &from_probe, NULL);
    es_mat4 to_tracker = es_mat4_multiply(es_mat4_translation(away.x, away.y, away.z), view);
    for (int f = 0; f < s->frames; f++)
        s->truth[f] =
            es_mat4_multiply(to_tracker, es_mat4_multiply(scene_motion(s, f), from_probe));
}

static inline void scene_clear(pose_scene *s) { free(s->truth); }

/* ---- as a source ----------------------------------------------------------------- */

static inline bool scene_next(void *self, es_frame *frame, unsigned flags, bool *end,
                              es_error *err) {
    pose_scene *s = self;
    frame->transform_count = 0;
    frame->has_image = frame->has_time = false;
    *end = s->next >= s->frames;
    if (*end) return true;
    frame->index = s->next;
    frame->has_time = s->rate_hz > 0;
    frame->time_s = s->start_s + (frame->has_time ? s->next / s->rate_hz : 0);
    es_mat4 to_body = es_mat4_multiply(s->truth[s->next++], s->image_to_probe);
    if (!(flags & ES_READ_PIXELS)) return true;
    if (!es_image_resize(&frame->image, ES_U8, 1, SCENE_SIDE, SCENE_SIDE, err)) return false;
    es_random noise = es_random_new(s->seed, 1000 + (uint64_t)s->next);
    uint8_t *pixels = frame->image.data;
    for (int v = 0; v < SCENE_SIDE; v++)
        for (int u = 0; u < SCENE_SIDE; u++) {
            double tissue = scene_tissue(s->seed, es_mat4_point(to_body, es_vec3_make(u, v, 0)));
            double grey = 200 * tissue + 20 * es_random_uniform(&noise);
            pixels[v * SCENE_SIDE + u] = (uint8_t)grey;
        }
    frame->has_image = true;
    return true;
}
static inline bool scene_rewind(void *self, es_error *err) {
    (void)err;
    ((pose_scene *)self)->next = 0;
    return true;
}
static inline void scene_leave(void *self) { ((pose_scene *)self)->next = 0; }

/* The scene stays the caller's. */
static inline es_source *scene_open(pose_scene *s, es_error *err) {
    static const es_source_ops ops = {scene_next, scene_rewind, scene_leave};
    es_stream_info info = {.frame_count = s->frames,
                           .width = SCENE_SIDE,
                           .height = SCENE_SIDE,
                           .type = ES_U8,
                           .channels = 1,
                           .spacing_mm = {1, 1}};
    s->next = 0;
    return es_source_new(&ops, s, &info, err);
}

static inline es_plus *scene_plus(const pose_scene *s, es_error *err) {
    es_plus *plus = es_plus_new(err);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = s->image_to_probe, .error = NAN};
    if (plus && es_plus_transform_set(plus, &t, err)) return plus;
    es_plus_free(plus);
    return NULL;
}

/* ---- as tables ------------------------------------------------------------------- */

enum { ORDERS = 4, UNITS = 3, LAYOUTS = ORDERS * UNITS * 2 * 2 };

typedef struct scene_layout {
    int order; /* 0: t, q wxyz; 1: q xyzw, t; 2: 3x4 rows; 3: t, Euler ZYX in degrees */
    int unit;  /* mm, cm, m */
    bool left, inverse;
} scene_layout;

static inline scene_layout scene_layout_number(int n) {
    return (scene_layout){n % ORDERS, n / ORDERS % UNITS, n / (ORDERS * UNITS) % 2,
                          n / (ORDERS * UNITS * 2) % 2};
}

/* What a tracker of that layout would write. */
static inline es_mat4 scene_written(es_mat4 pose, scene_layout l) {
    static const double mm[UNITS] = {1, 10, 1000};
    if (l.inverse) es_mat4_invert(pose, &pose, NULL);
    if (l.left) {
        es_mat4 mirror = es_mat4_scaling(1, 1, -1);
        pose = es_mat4_multiply(mirror, es_mat4_multiply(pose, mirror));
    }
    for (int i = 0; i < 3; i++) pose.m[4 * i + 3] /= mm[l.unit];
    return pose;
}

static inline void scene_write_row(FILE *file, es_mat4 m, int order, const char *cut) {
    double n[12];
    int count = 7;
    es_quat q = es_quat_from_mat4(m);
    const double t[3] = {m.m[3], m.m[7], m.m[11]};
    const double wxyz[4] = {q.w, q.x, q.y, q.z}, xyzw[4] = {q.x, q.y, q.z, q.w};
    if (order == 0) {
        memcpy(n, t, sizeof t);
        memcpy(n + 3, wxyz, sizeof wxyz);
    } else if (order == 1) {
        memcpy(n, xyzw, sizeof xyzw);
        memcpy(n + 4, t, sizeof t);
    } else if (order == 2) {
        count = 12;
        memcpy(n, m.m, sizeof n);
    } else { /* R = Rz(a) Ry(b) Rx(c) */
        count = 6;
        memcpy(n, t, sizeof t);
        n[3] = atan2(m.m[4], m.m[0]) * 180 / M_PI;
        n[4] = asin(fmax(-1, fmin(1, -m.m[8]))) * 180 / M_PI;
        n[5] = atan2(m.m[9], m.m[10]) * 180 / M_PI;
    }
    for (int i = 0; i < count; i++) fprintf(file, "%s%.7f", i ? cut : "", n[i]);
    fputc('\n', file);
}

static inline void scene_write(const pose_scene *s, const char *path, scene_layout l) {
    FILE *file = fopen(path, "w");
    if (!file) abort();
    for (int f = 0; f < s->frames; f++)
        scene_write_row(file, scene_written(s->truth[f], l), l.order, ",");
    fclose(file);
}

/* ---- judging ------------------------------------------------------------------------ */

/* How far, mm, a corner of any picture lies from where it should, seen from
 * the first one. */
static inline double scene_error_mm(const pose_scene *s, es_source *joined) {
    es_error err = {0};
    es_frame frame = {0};
    bool end = false;
    double most = 0;
    es_mat4 home = es_mat4_identity(), true_home = home;
    for (int f = 0; es_source_next(joined, &frame, 0, &end, &err) && !end; f++) {
        const es_frame_transform *t = es_frame_find_transform(&frame, "ProbeToTracker");
        if (!t || !t->valid) return INFINITY;
        if (f == 0) {
            es_mat4_invert(t->matrix, &home, NULL);
            es_mat4_invert(s->truth[0], &true_home, NULL);
        }
        for (int c = 0; c < 4; c++) {
            es_vec3 at = es_mat4_point(
                s->image_to_probe, es_vec3_make(c & 1 ? SCENE_SIDE : 0, c & 2 ? SCENE_SIDE : 0, 0));
            es_vec3 is = es_mat4_point(home, es_mat4_point(t->matrix, at));
            es_vec3 should = es_mat4_point(true_home, es_mat4_point(s->truth[f], at));
            most = fmax(most, es_vec3_length(es_vec3_sub(is, should)));
        }
    }
    es_frame_clear(&frame);
    return most;
}

#endif
