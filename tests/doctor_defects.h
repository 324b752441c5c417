/* Clean simulated recordings in memory, and every defect of the doctor's list
 * put into them on their way to the doctor. Used by the tests and by
 * bench_doctor. */
#ifndef ECHOSOLID_TESTS_DOCTOR_DEFECTS_H
#define ECHOSOLID_TESTS_DOCTOR_DEFECTS_H

#include <math.h>
#include <string.h>

#include "echosolid/doctor.h"
#include "echosolid/picture.h"
#include "echosolid/simulate.h"

#define PROBE "ProbeToTracker"
#define REFERENCE "ReferenceToTracker"

typedef struct clean_recording {
    es_frame *frames;
    size_t count;
    es_stream_info info;
    es_doctor_transform calibration;
    double spacing_mm;
} clean_recording;

static inline void clean_clear(clean_recording *r) {
    for (size_t i = 0; i < r->count; i++) es_frame_clear(&r->frames[i]);
    es_free(r->frames);
    es_stream_info_clear(&r->info);
    *r = (clean_recording){0};
}

/* As many frames as suit the scene, at most `frames`. */
static inline bool clean_make(const char *scene, int frames, uint32_t side, uint64_t seed,
                              clean_recording *r, es_error *err) {
    es_simulation s;
    bool end = false;
    *r = (clean_recording){0};
    if (!es_simulation_preset(scene, &s, err)) return false;
    if (s.frames > frames) s.frames = frames;
    frames = s.frames;
    s.seed = seed;
    s.probe.image_size[0] = s.probe.image_size[1] = side;
    s.probe.spacing_mm = 0;
    es_source *source = es_simulation_open(&s, err);
    r->frames = es_alloc_zero((size_t)frames, sizeof *r->frames, err);
    bool ok = source && r->frames && es_stream_info_copy(es_source_info(source), &r->info, err);
    while (ok && r->count < (size_t)frames &&
           (ok = es_source_next(source, &r->frames[r->count], ES_READ_PIXELS, &end, err)) && !end)
        r->count++;
    es_source_free(source);
    strcpy(r->calibration.from, "Image");
    strcpy(r->calibration.to, "Probe");
    r->calibration.matrix = es_simulation_image_to_probe(&s);
    r->spacing_mm = es_vec3_length(es_mat4_column(r->calibration.matrix, 0));
    return ok;
}

/* ---- the defects ----------------------------------------------------------------- */

typedef struct defect {
    const char *name;  /* what is done */
    const char *check; /* what the doctor must call it */
    void (*spoil_frame)(es_frame *frame, size_t index, const clean_recording *r);
    void (*spoil_about)(es_doctor_about *about, es_doctor_transform *statics);
    size_t keep_every, keep_first; /* frames left out; 0: none */
    bool drop_some;                /* every 15th frame is missing */
} defect;

static inline es_frame_transform *own(es_frame *frame, const char *name) {
    return (es_frame_transform *)(void *)es_frame_find_transform(frame, name);
}
static inline const es_mat4 *pose_at(const clean_recording *r, size_t i, const char *name) {
    return &es_frame_find_transform(&r->frames[i], name)->matrix;
}
static inline bool after_half(size_t i, const clean_recording *r) { return i >= r->count / 2; }

static void spoil_mirror_matrix(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (int row = 0; row < 3; row++) own(f, PROBE)->matrix.m[4 * row + 2] *= -1;
}
static void spoil_noise(es_frame *f, size_t i, const clean_recording *r) {
    es_random random = es_random_new(5, i);
    (void)r;
    for (int row = 0; row < 3; row++)
        for (int c = 0; c < 3; c++)
            own(f, PROBE)->matrix.m[4 * row + c] += 0.01 * es_random_normal(&random);
}
static void spoil_scale(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (int row = 0; row < 3; row++)
        for (int c = 0; c < 3; c++) own(f, PROBE)->matrix.m[4 * row + c] *= 1.02;
}
static inline es_mat4 turned(es_mat4 a, int size) {
    es_mat4 t = a;
    for (int row = 0; row < size; row++)
        for (int c = 0; c < size; c++) t.m[4 * row + c] = a.m[4 * c + row];
    return t;
}
static void spoil_order(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (size_t k = 0; k < f->transform_count; k++)
        f->transforms[k].matrix = turned(f->transforms[k].matrix, 4);
}
static void spoil_transpose(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    own(f, PROBE)->matrix = turned(own(f, PROBE)->matrix, 3);
}
static void spoil_transpose_all(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (size_t k = 0; k < f->transform_count; k++)
        f->transforms[k].matrix = turned(f->transforms[k].matrix, 3);
}
static void spoil_invert(es_frame *f, size_t i, const clean_recording *r) {
    es_mat4 inverse = es_mat4_identity();
    (void)i, (void)r;
    es_mat4_invert(own(f, PROBE)->matrix, &inverse, NULL);
    own(f, PROBE)->matrix = inverse;
}
static void spoil_metres(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (size_t k = 0; k < f->transform_count; k++)
        for (int row = 0; row < 3; row++) f->transforms[k].matrix.m[4 * row + 3] /= 1000;
}
/* R = Rz Ry Rx, its angles times `factor`, as a table in the wrong unit. */
static inline void wrong_unit(es_mat4 *m, double factor) {
    double z = atan2(m->m[4], m->m[0]), y = -asin(m->m[8]), x = atan2(m->m[9], m->m[10]);
    es_mat4 t = es_mat4_translation(m->m[3], m->m[7], m->m[11]);
    es_mat4 rz = es_mat4_rotation(es_vec3_make(0, 0, 1), z * factor);
    es_mat4 ry = es_mat4_rotation(es_vec3_make(0, 1, 0), y * factor);
    es_mat4 rx = es_mat4_rotation(es_vec3_make(1, 0, 0), x * factor);
    *m = es_mat4_multiply(t, es_mat4_multiply(rz, es_mat4_multiply(ry, rx)));
}
static void spoil_degrees(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    wrong_unit(&own(f, PROBE)->matrix, 180 / M_PI);
}
static void spoil_radians(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    wrong_unit(&own(f, PROBE)->matrix, M_PI / 180);
}
static inline void permute(es_frame *f, const char *name, bool later) {
    es_mat4 *m = &own(f, name)->matrix;
    es_quat q = es_quat_from_mat4(*m);
    es_quat p = later ? (es_quat){q.x, q.y, q.z, q.w} : (es_quat){q.z, q.w, q.x, q.y};
    *m = es_quat_to_mat4(p, es_mat4_column(*m, 3));
}
static void spoil_quaternion(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    permute(f, PROBE, true);
    permute(f, REFERENCE, true);
}
static void spoil_quaternion_probe(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    permute(f, PROBE, false);
}
static inline void flip(es_image *image, bool sideways) {
    uint8_t *p = image->data;
    uint32_t w = image->width, h = image->height;
    for (uint32_t v = 0; v < (sideways ? h : h / 2); v++)
        for (uint32_t u = 0; u < (sideways ? w / 2 : w); u++) {
            uint8_t *a = p + (size_t)v * w + u;
            uint8_t *b =
                sideways ? p + (size_t)v * w + (w - 1 - u) : p + (size_t)(h - 1 - v) * w + u;
            uint8_t keep = *a;
            *a = *b;
            *b = keep;
        }
}
static void spoil_left_right(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    flip(&f->image, true);
}
static void spoil_up_down(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    flip(&f->image, false);
}
static void spoil_default(es_doctor_about *about, es_doctor_transform *statics) {
    (void)about;
    statics[0].matrix = es_mat4_scaling(0.2, 0.2, 0.2);
}
static es_spacing_verdict other_verdict;
static void spoil_verdict(es_doctor_about *about, es_doctor_transform *statics) {
    double s = 1.05 * es_vec3_length(es_mat4_column(statics[0].matrix, 0));
    other_verdict = (es_spacing_verdict){.known = true, .spacing_mm = {s, s}};
    for (int a = 0; a < 2; a++) {
        other_verdict.ci95_mm[a][0] = 0.99 * s;
        other_verdict.ci95_mm[a][1] = 1.01 * s;
    }
    about->verdict = &other_verdict;
}
static void spoil_scan(es_doctor_about *about, es_doctor_transform *statics) {
    double s = 1.2 * es_vec3_length(es_mat4_column(statics[0].matrix, 0));
    about->scan.present = true;
    about->scan.spacing_mm[0] = about->scan.spacing_mm[1] = s;
}
static void spoil_water(es_doctor_about *about, es_doctor_transform *statics) {
    (void)about;
    statics[0].matrix = es_mat4_multiply(statics[0].matrix, es_mat4_scaling(1, 0.96, 1));
}
static void spoil_kind(es_doctor_about *about, es_doctor_transform *statics) {
    (void)statics;
    strcpy(about->image_kind, "RF_REAL");
    strcpy(about->orientation, "FM");
}
static void spoil_no_calibration(es_doctor_about *about, es_doctor_transform *statics) {
    (void)statics;
    about->transform_count = 0;
}
static void spoil_no_probe(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    strcpy(own(f, PROBE)->name, "StylusToTracker");
}
static void spoil_twice(es_doctor_about *about, es_doctor_transform *statics) {
    statics[1] = statics[0];
    statics[1].matrix.m[3] += 2;
    about->transform_count = 2;
}
static void spoil_status(es_frame *f, size_t i, const clean_recording *r) {
    (void)r;
    own(f, PROBE)->valid = i % 8 != 3;
}
static void spoil_identity(es_frame *f, size_t i, const clean_recording *r) {
    if (i >= r->count / 3 && i < r->count / 3 + 5) own(f, PROBE)->matrix = es_mat4_identity();
}
static void spoil_freeze(es_frame *f, size_t i, const clean_recording *r) {
    size_t from = r->count / 3;
    if (i >= from && i < from + 12) own(f, PROBE)->matrix = *pose_at(r, from, PROBE);
}
static void spoil_jumps(es_frame *f, size_t i, const clean_recording *r) {
    if (i % (r->count / 5) == r->count / 7) own(f, PROBE)->matrix.m[7] += 20;
}
static void spoil_swap(es_frame *f, size_t i, const clean_recording *r) {
    es_mat4 *m = &own(f, PROBE)->matrix;
    es_mat4 slip = es_mat4_multiply(es_mat4_translation(15, 20, 0),
                                    es_mat4_rotation(es_vec3_make(0, 0, 1), 0.5));
    if (after_half(i, r)) *m = es_mat4_multiply(*m, slip);
}
static void spoil_knock(es_frame *f, size_t i, const clean_recording *r) {
    if (after_half(i, r)) own(f, REFERENCE)->matrix.m[3] += 15;
}
static void spoil_exchange(es_frame *f, size_t i, const clean_recording *r) {
    es_mat4 probe = own(f, PROBE)->matrix;
    (void)i, (void)r;
    own(f, PROBE)->matrix = own(f, REFERENCE)->matrix;
    own(f, REFERENCE)->matrix = probe;
}
static void spoil_clock(es_frame *f, size_t i, const clean_recording *r) {
    if (i == r->count / 2) f->time_s -= 0.3;
}
static void spoil_gap(es_frame *f, size_t i, const clean_recording *r) {
    if (after_half(i, r)) f->time_s += 1;
}
static void spoil_jitter(es_frame *f, size_t i, const clean_recording *r) {
    es_random random = es_random_new(9, i);
    double step = r->frames[1].time_s - r->frames[0].time_s;
    f->time_s += 0.8 * step * (es_random_uniform(&random) - 0.5);
}
static void spoil_number(es_frame *f, size_t i, const clean_recording *r) {
    (void)r;
    f->time_s = (double)i;
}
static void spoil_lag(es_frame *f, size_t i, const clean_recording *r) {
    size_t late = (size_t)lround(0.24 / (r->frames[1].time_s - r->frames[0].time_s));
    size_t from = i < late ? 0 : i - late;
    own(f, PROBE)->matrix = *pose_at(r, from, PROBE);
    own(f, REFERENCE)->matrix = *pose_at(r, from, REFERENCE);
}
static void spoil_frozen_image(es_frame *f, size_t i, const clean_recording *r) {
    size_t from = r->count / 3;
    if (i > from && i < from + 10) es_image_copy(&r->frames[from].image, &f->image, NULL);
}
static void spoil_speed(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    f->time_s /= 40;
}
static void spoil_far(es_frame *f, size_t i, const clean_recording *r) {
    (void)i, (void)r;
    for (size_t k = 0; k < f->transform_count; k++) f->transforms[k].matrix.m[11] += 3000;
}
static void spoil_count(es_doctor_about *about, es_doctor_transform *statics) {
    (void)statics;
    about->frame_count += 20;
}
static void spoil_views(es_doctor_about *about, es_doctor_transform *statics) {
    (void)statics;
    strcpy(about->modes, "M-mode (0,240 to 639,479)");
}
static void spoil_text(es_frame *f, size_t i, const clean_recording *r) {
    es_image page = {0};
    uint8_t *to = f->image.data;
    (void)i, (void)r;
    if (!es_picture_new(&page, f->image.width, f->image.height, (es_colour){0, 0, 0}, NULL)) return;
    es_picture_text(&page, (int)page.width / 4, (int)page.height / 2, 1, (es_colour){255, 255, 255},
                    "DEPTH 60 MM");
    const uint8_t *from = page.data;
    for (size_t k = 0; k < (size_t)page.width * page.height; k++)
        if (from[3 * k] > 127) to[k] = 255;
    es_image_clear(&page);
}
/* The picture drawn 0.8 times as large about the middle of its first row. */
static void spoil_depth(es_frame *f, size_t i, const clean_recording *r) {
    const es_image *from = &r->frames[i].image;
    const uint8_t *p = from->data;
    double w = from->width, middle = (w - 1) / 2;
    uint8_t *out = f->image.data;
    if (!after_half(i, r)) return;
    for (uint32_t v = 0; v < from->height; v++)
        for (uint32_t u = 0; u < from->width; u++) {
            double x = middle + (u - middle) / 0.8, y = v / 0.8;
            bool in = x >= 0 && x < w - 0.5 && y < from->height - 0.5;
            out[(size_t)v * from->width + u] =
                in ? p[(size_t)lround(y) * from->width + (size_t)lround(x)] : 0;
        }
}
static void spoil_size(es_doctor_about *about, es_doctor_transform *statics) {
    (void)about;
    statics[0].matrix = es_mat4_multiply(statics[0].matrix, es_mat4_scaling(10, 10, 10));
}

static const defect defects[] = {
    {.name = "an axis of the probe's matrix negated",
     .check = "mirrored-matrix",
     .spoil_frame = spoil_mirror_matrix},
    {.name = "noise of 0.01 on the rotations", .check = "not-rigid", .spoil_frame = spoil_noise},
    {.name = "poses times 1.02", .check = "scale-in-pose", .spoil_frame = spoil_scale},
    {.name = "4 x 4 matrices transposed", .check = "row-column-order", .spoil_frame = spoil_order},
    {.name = "the probe's rotation transposed",
     .check = "rotation-transposed",
     .spoil_frame = spoil_transpose},
    {.name = "all rotations transposed",
     .check = "rotation-transposed",
     .spoil_frame = spoil_transpose_all},
    {.name = "tracker-to-probe for probe-to-tracker",
     .check = "inverse-pose",
     .spoil_frame = spoil_invert},
    {.name = "metres for millimetres",
     .check = "metres-for-millimetres",
     .spoil_frame = spoil_metres},
    {.name = "degrees read as radians", .check = "degrees-radians", .spoil_frame = spoil_degrees},
    {.name = "radians read as degrees", .check = "degrees-radians", .spoil_frame = spoil_radians},
    {.name = "all quaternions read in the wrong order",
     .check = "quaternion-order",
     .spoil_frame = spoil_quaternion},
    {.name = "the probe's quaternion in the wrong order",
     .check = "quaternion-order",
     .spoil_frame = spoil_quaternion_probe},
    {.name = "pictures mirrored left to right",
     .check = "mirrored-image",
     .spoil_frame = spoil_left_right},
    {.name = "0.2 mm in the calibration", .check = "spacing-default", .spoil_about = spoil_default},
    {.name = "the pictures say 5 % more",
     .check = "spacing-contradicts-image",
     .spoil_about = spoil_verdict},
    {.name = "a scan conversion of 20 % more",
     .check = "spacing-contradicts-itself",
     .spoil_about = spoil_scan},
    {.name = "a calibration in water", .check = "water-calibration", .spoil_about = spoil_water},
    {.name = "pictures upside down", .check = "orientation-mark", .spoil_frame = spoil_up_down},
    {.name = "RF kind and mark", .check = "rf-data", .spoil_about = spoil_kind},
    {.name = "no ImageToProbe", .check = "missing-link", .spoil_about = spoil_no_calibration},
    {.name = "no ProbeToTracker", .check = "missing-link", .spoil_frame = spoil_no_probe},
    {.name = "ImageToProbe twice", .check = "duplicate-names", .spoil_about = spoil_twice},
    {.name = "every 8th pose INVALID", .check = "invalid-poses", .spoil_frame = spoil_status},
    {.name = "five identity poses", .check = "identity-poses", .spoil_frame = spoil_identity},
    {.name = "twelve equal poses", .check = "frozen-poses", .spoil_frame = spoil_freeze},
    {.name = "single poses 20 mm off", .check = "pose-jumps", .spoil_frame = spoil_jumps},
    {.name = "the marker slips", .check = "marker-swap", .spoil_frame = spoil_swap},
    {.name = "the reference is knocked", .check = "reference-moves", .spoil_frame = spoil_knock},
    {.name = "probe and reference exchanged",
     .check = "reference-swapped",
     .spoil_frame = spoil_exchange},
    {.name = "a time that goes back", .check = "time-not-increasing", .spoil_frame = spoil_clock},
    {.name = "a second without frames", .check = "time-gaps", .spoil_frame = spoil_gap},
    {.name = "every 15th frame dropped", .check = "dropped-frames", .drop_some = true},
    {.name = "times that scatter", .check = "time-jitter", .spoil_frame = spoil_jitter},
    {.name = "frame numbers as times",
     .check = "time-is-frame-number",
     .spoil_frame = spoil_number},
    {.name = "poses 0.24 s late", .check = "lag", .spoil_frame = spoil_lag},
    {.name = "ten equal pictures", .check = "frozen-image", .spoil_frame = spoil_frozen_image},
    {.name = "times 40 times too short", .check = "probe-speed", .spoil_frame = spoil_speed},
    {.name = "every 8th frame only", .check = "frame-gaps", .keep_every = 8},
    {.name = "a tracker 3 m away", .check = "far-origin", .spoil_frame = spoil_far},
    {.name = "ten frames only", .check = "little-motion", .keep_first = 10},
    {.name = "20 frames fewer than declared",
     .check = "count-mismatch",
     .spoil_about = spoil_count},
    {.name = "M-mode below the picture", .check = "several-views", .spoil_about = spoil_views},
    {.name = "writing in the picture", .check = "overlay-text", .spoil_frame = spoil_text},
    {.name = "another depth from the middle on",
     .check = "depth-change",
     .spoil_frame = spoil_depth},
    {.name = "pixels ten times too large", .check = "depth-implausible", .spoil_about = spoil_size},
};
enum { DEFECTS = sizeof defects / sizeof *defects };

/* ---- the examination ---------------------------------------------------------------- */

static inline bool is_left_out(const defect *spoilt, size_t i) {
    if (!spoilt) return false;
    return (spoilt->keep_every && i % spoilt->keep_every) ||
           (spoilt->keep_first && i >= spoilt->keep_first) || (spoilt->drop_some && i % 15 == 7);
}

static inline bool feed(es_doctor *doctor, const clean_recording *r, const defect *spoilt,
                        int64_t *fed, es_error *err) {
    es_frame frame = {0};
    bool ok = true;
    for (size_t i = 0; i < r->count && ok; i++) {
        if (is_left_out(spoilt, i)) continue;
        ok = es_frame_copy(&r->frames[i], &frame, err);
        frame.index = (*fed)++;
        if (ok && spoilt && spoilt->spoil_frame) spoilt->spoil_frame(&frame, i, r);
        ok = ok && es_doctor_add(doctor, &frame, err);
    }
    es_frame_clear(&frame);
    return ok;
}

/* The doctor after es_doctor_finish; `spoilt` NULL: the clean recording. */
static inline es_doctor *examine_recording(const clean_recording *r, const defect *spoilt,
                                           es_findings *findings, es_error *err) {
    es_doctor_about about;
    es_doctor_transform statics[2] = {r->calibration, r->calibration};
    int64_t fed = 0;
    es_doctor *doctor = es_doctor_new(NULL, err);
    bool ok = doctor && feed(doctor, r, spoilt, &fed, err);
    es_doctor_about_init(&about);
    about.has_config = true;
    about.transforms = statics;
    about.transform_count = 1;
    about.frame_count = fed;
    about.width = r->info.width;
    about.height = r->info.height;
    memcpy(about.spacing_mm, r->info.spacing_mm, sizeof about.spacing_mm);
    strcpy(about.orientation, r->info.orientation);
    strcpy(about.image_kind, r->info.image_kind);
    if (spoilt && spoilt->spoil_about) spoilt->spoil_about(&about, statics);
    ok = ok && es_doctor_config(doctor, &about, err) && es_doctor_finish(doctor, findings, err);
    if (ok) return doctor;
    es_doctor_free(doctor);
    return NULL;
}

static inline const es_finding *find_check(const es_findings *findings, const char *check) {
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].check, check) == 0) return &findings->items[i];
    return NULL;
}

static inline int count_alarms(const es_findings *findings) {
    int count = 0;
    for (size_t i = 0; i < findings->count; i++)
        count += findings->items[i].severity > ES_SEVERITY_NOTE;
    return count;
}

#endif
