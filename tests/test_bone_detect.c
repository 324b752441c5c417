/* The bone detectors against synthetic frames whose truth is known in mm:
 * speckled tissue, a bright echo on a surface with a shadow below it, a
 * fascia as bright that casts none, and every kind of bad input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/bone.h"

/* ---- synthetic frames ------------------------------------------------- */

/* Everything in mm, x across from the picture's middle, z from the face. */
struct scene {
    double width_mm, depth_mm, spacing_mm;
    bool bone;
    double top_mm, bend_mm, slope; /* bone at top + x^2 / (2 bend) + slope x; bend 0: flat */
    double echo;                   /* of the bone, 0..1 */
    double below;                  /* share of the tissue that is left in the shadow */
    double fascia_mm;              /* 0: none */
    double gap_mm[2];              /* no bone where gap[0] < x < gap[1] */
    uint64_t seed;
};
#define SCENE                                                                                      \
    {                                                                                              \
        .width_mm = 40, .depth_mm = 50, .spacing_mm = 0.1, .bone = true, .top_mm = 22,             \
        .bend_mm = 25, .echo = 0.9, .below = 0.1, .fascia_mm = 9, .seed = 1                        \
    }
/* Half the thickness of an echo across its surface: two cycles of 5 MHz. */
#define ECHO_SIGMA_MM 0.25

static double bone_depth(const struct scene *s, double x) {
    return s->top_mm + (s->bend_mm > 0 ? x * x / (2 * s->bend_mm) : 0) + s->slope * x;
}

static bool bone_at(const struct scene *s, double x) {
    return s->bone && !(x > s->gap_mm[0] && x < s->gap_mm[1]);
}

/* Speckle: amplitude of complex noise on a grid of 0.5 x 0.25 mm, smooth in
 * between, as a point spread function makes it. */
enum { GRAINS_ACROSS = 260, GRAINS_DEEP = 400 };
static double grain[2][GRAINS_DEEP][GRAINS_ACROSS];

static void sow(uint64_t seed) {
    es_random random = es_random_new(seed, 0);
    for (int part = 0; part < 2; part++)
        for (int j = 0; j < GRAINS_DEEP; j++)
            for (int i = 0; i < GRAINS_ACROSS; i++) grain[part][j][i] = es_random_normal(&random);
}

static double speckle(double x, double z) {
    double u = x / 0.5 + GRAINS_ACROSS / 2, v = z / 0.25, sum[2];
    int i = (int)u, j = (int)v;
    double fu = u - i, fv = v - j;
    assert_true(i >= 0 && i + 1 < GRAINS_ACROSS && j + 1 < GRAINS_DEEP);
    for (int part = 0; part < 2; part++) {
        const double *upper = &grain[part][j][i], *lower = &grain[part][j + 1][i];
        sum[part] = (1 - fv) * ((1 - fu) * upper[0] + fu * upper[1]) +
                    fv * ((1 - fu) * lower[0] + fu * lower[1]);
    }
    return hypot(sum[0], sum[1]) / sqrt(2);
}

static double bell(double distance) {
    return exp(-0.5 * distance * distance / (ECHO_SIGMA_MM * ECHO_SIGMA_MM));
}

/* Grey 0..1 of one point. */
static double grey_at(const struct scene *s, double x, double z) {
    double z_bone = bone_depth(s, x), lean = (s->bend_mm > 0 ? x / s->bend_mm : 0) + s->slope;
    double across = (z - z_bone) / sqrt(1 + lean * lean), tissue = 0.25;
    if (bone_at(s, x) && z > z_bone) tissue *= s->below;
    double value = tissue;
    if (s->fascia_mm > 0) value += 0.7 * bell(z - s->fascia_mm - 0.4 * sin(x / 4));
    if (bone_at(s, x)) value += s->echo * bell(across);
    /* log compression: speckle swings by about +-30 % of the grey */
    return fmin(fmax(value * (1 + 0.3 * log(speckle(x, z) + 0.05)), 0), 1);
}

static void paint(const struct scene *s, es_type type, double full, es_image *image) {
    uint32_t w = (uint32_t)lround(s->width_mm / s->spacing_mm);
    uint32_t h = (uint32_t)lround(s->depth_mm / s->spacing_mm);
    sow(s->seed);
    assert_true(es_image_resize(image, type, 1, w, h, NULL));
    for (uint32_t v = 0; v < h; v++)
        for (uint32_t u = 0; u < w; u++) {
            double x = (u + 0.5) * s->spacing_mm - s->width_mm / 2, z = v * s->spacing_mm;
            es_type_set(type, image->data, (size_t)v * w + u, full * grey_at(s, x, z));
        }
}

static es_bone_options options_for(const struct scene *s) {
    es_bone_options o = ES_BONE_DEFAULTS;
    uint32_t w = (uint32_t)lround(s->width_mm / s->spacing_mm);
    uint32_t h = (uint32_t)lround(s->depth_mm / s->spacing_mm);
    o.spacing_mm[0] = o.spacing_mm[1] = s->spacing_mm;
    o.fan = (es_fan){.kind = ES_FAN_LINEAR, .u1 = w, .v1 = h};
    return o;
}

static void detect(const es_bone_options *options, const es_image *image, es_trace *trace) {
    es_error err = {0};
    es_bone *bone = es_bone_new(options, &err);
    if (!bone) fail_msg("%s", err.message);
    bool ok = es_bone_detect(bone, image, trace, &err);
    es_bone_free(bone);
    if (!ok) fail_msg("%s", err.message);
}

static void detect_scene(const struct scene *s, const es_bone_options *options, es_trace *trace) {
    es_image image = {0};
    paint(s, ES_U8, 255, &image);
    detect(options, &image, trace);
    es_image_clear(&image);
}

/* ---- against the truth ------------------------------------------------- */

struct score {
    double rms_mm, worst_mm, recall, false_share;
};

/* Distances are across the surface; a line is expected where the scene has
 * bone (a margin of 1 mm at the edges of a gap is left out), false where it is
 * more than 1 mm off or where there is none. */
static struct score judge(const struct scene *s, const es_trace *trace) {
    double sum = 0, worst = 0;
    size_t expected = 0, hit = 0, wrong = 0;
    for (size_t i = 0; i < trace->count; i++) {
        const es_scan_line *line = &trace->lines[i];
        double x = (line->u + line->depth_mm * line->du + 0.5) * s->spacing_mm - s->width_mm / 2;
        double z = (line->v + line->depth_mm * line->dv) * s->spacing_mm;
        double lean = (s->bend_mm > 0 ? x / s->bend_mm : 0) + s->slope;
        double off = fabs(z - bone_depth(s, x)) / sqrt(1 + lean * lean);
        bool margin = s->gap_mm[1] > s->gap_mm[0] &&
                      (fabs(x - s->gap_mm[0]) < 1 || fabs(x - s->gap_mm[1]) < 1);
        if (margin) continue;
        expected += bone_at(s, x);
        if (!line->found) continue;
        if (!bone_at(s, x) || off > 1) {
            wrong++;
            continue;
        }
        hit++;
        sum += off * off;
        worst = fmax(worst, off);
    }
    return (struct score){hit ? sqrt(sum / (double)hit) : 0, worst,
                          expected ? (double)hit / (double)expected : 1,
                          (double)wrong / (double)trace->count};
}

static struct score judge_scene(const struct scene *s, const es_bone_options *options) {
    es_trace trace = {0};
    detect_scene(s, options, &trace);
    struct score score = judge(s, &trace);
    es_trace_clear(&trace);
    return score;
}

/* 0.15 mm rms: the crest of a speckled echo of 0.6 mm half width wanders by
 * about a sample of 0.2 mm, smoothing along the trace takes some of it. Recall
 * 0.95: the ends of the trace may be cut by a millimetre of 40. */
static void assert_traced(struct score score) {
    if (!(score.rms_mm < 0.15 && score.worst_mm < 0.6 && score.recall > 0.95 &&
          score.false_share < 0.01))
        fail_msg("rms %.3f mm, worst %.3f mm, recall %.3f, false %.3f", score.rms_mm,
                 score.worst_mm, score.recall, score.false_share);
}

static void bone_below_a_fascia_is_traced_by_both_detectors(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        for (int method = ES_BONE_SHADOW; method <= ES_BONE_FOROUGHI; method++) {
            struct scene s = SCENE;
            s.seed = seed;
            es_bone_options o = options_for(&s);
            o.method = (es_bone_method)method;
            assert_traced(judge_scene(&s, &o));
        }
}

static void pixels_of_any_size_give_the_same_bone(void **state) {
    (void)state;
    static const double spacings[] = {0.05, 0.16, 0.3};
    for (int i = 0; i < 3; i++) {
        struct scene s = SCENE;
        s.spacing_mm = spacings[i];
        es_bone_options o = options_for(&s);
        assert_traced(judge_scene(&s, &o));
    }
}

static void a_steep_flank_is_traced_and_its_incidence_is_right(void **state) {
    (void)state;
    for (int degrees = -60; degrees <= 60; degrees += 30) {
        struct scene s = SCENE;
        s.bend_mm = 0, s.fascia_mm = 0, s.depth_mm = 60, s.top_mm = 28;
        s.width_mm = 24, s.slope = tan(degrees * M_PI / 180);
        es_bone_options o = options_for(&s);
        es_trace trace = {0};
        detect_scene(&s, &o, &trace);
        assert_traced(judge(&s, &trace));
        for (size_t i = 5; i + 5 < trace.count; i++)
            if (trace.lines[i].found) {
                double angle = acos((double)trace.lines[i].cos_incidence) * 180 / M_PI;
                /* 8 degrees: 0.15 mm of noise over the millimetre that the slope is taken from */
                if (fabs(angle - abs(degrees)) > 8) fail_msg("%d: %g degrees", degrees, angle);
            }
        es_trace_clear(&trace);
    }
}

static void a_gap_in_the_bone_stays_open(void **state) {
    (void)state;
    struct scene s = SCENE;
    s.gap_mm[0] = -3, s.gap_mm[1] = 5;
    es_bone_options o = options_for(&s);
    assert_traced(judge_scene(&s, &o));
}

static void a_frame_without_bone_has_none(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct scene s = SCENE;
        s.bone = false, s.seed = seed;
        s.fascia_mm = seed % 2 ? 9 : 0;
        es_bone_options o = options_for(&s);
        assert_true(judge_scene(&s, &o).false_share == 0);
    }
}

static void an_even_picture_has_no_bone_whatever_its_grey(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0};
    es_trace trace = {0};
    for (int grey = 0; grey <= 255; grey += 51)
        for (int known = 0; known < 2; known++) {
            if (!known) o.fan = (es_fan){.kind = ES_FAN_NONE};
            assert_true(es_image_resize(&image, ES_U8, 1, 400, 500, NULL));
            memset(image.data, grey, 400 * 500);
            detect(&o, &image, &trace);
            assert_true(trace.count > 0);
            for (size_t i = 0; i < trace.count; i++) assert_false(trace.lines[i].found);
        }
    es_trace_clear(&trace);
    es_image_clear(&image);
}

static void a_bright_speck_is_too_short_to_be_bone(void **state) {
    (void)state;
    struct scene s = SCENE;
    s.gap_mm[0] = -100, s.gap_mm[1] = 18.5; /* 1.5 mm are left */
    es_bone_options o = options_for(&s);
    assert_true(judge_scene(&s, &o).recall == 0);
}

/* ---- confidence ---------------------------------------------------------- */

static double mean_confidence(const struct scene *s) {
    es_bone_options o = options_for(s);
    es_trace trace = {0};
    detect_scene(s, &o, &trace);
    double sum = 0;
    for (size_t i = 0; i < trace.count; i++) {
        if (!trace.lines[i].found) continue;
        assert_true(trace.lines[i].confidence >= 0 && trace.lines[i].confidence <= 1);
        sum += (double)trace.lines[i].confidence;
    }
    double mean = sum / (double)trace.count;
    es_trace_clear(&trace);
    return mean;
}

static void a_weak_echo_and_a_grey_shadow_lower_the_confidence(void **state) {
    (void)state;
    struct scene clear = SCENE, weak = SCENE, grey = SCENE;
    weak.echo = 0.35;
    grey.below = 0.6;
    double best = mean_confidence(&clear);
    assert_true(best > 0.5);
    assert_true(mean_confidence(&weak) < best - 0.1);
    assert_true(mean_confidence(&grey) < best - 0.1);
}

/* ---- the picture's scale and type ----------------------------------------- */

/* Median distance between two traces of the same lines; both must be found on
 * at least 90 % of the lines where one is. */
static double difference(const es_trace *a, const es_trace *b) {
    assert_int_equal(a->count, b->count);
    double off[1024];
    size_t both = 0, either = 0;
    for (size_t i = 0; i < a->count; i++) {
        either += a->lines[i].found || b->lines[i].found;
        if (a->lines[i].found && b->lines[i].found)
            off[both++] = fabs(a->lines[i].depth_mm - b->lines[i].depth_mm);
    }
    if (!(either > 0 && (double)both >= 0.9 * (double)either))
        fail_msg("%zu lines in both of %zu", both, either);
    for (size_t i = 1; i < both; i++) /* insertion sort: a hundred values */
        for (size_t j = i; j > 0 && off[j] < off[j - 1]; j--) {
            double swap = off[j];
            off[j] = off[j - 1];
            off[j - 1] = swap;
        }
    return off[both / 2];
}

static void gain_offset_and_gamma_hardly_move_the_bone(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image plain = {0}, changed = {0};
    es_trace expected = {0}, found = {0};
    paint(&s, ES_F32, 255, &plain);
    detect(&o, &plain, &expected);
    static const double gains[] = {0.5, 2, 1, 1, 1}, gammas[] = {1, 1, 0.6, 1.6, 1};
    static const double offsets[] = {0, 0, 0, 0, -300};
    for (int k = 0; k < 5; k++) {
        assert_true(es_image_copy(&plain, &changed, NULL));
        float *p = changed.data;
        for (size_t i = 0; i < (size_t)plain.width * plain.height; i++)
            p[i] = (float)(offsets[k] +
                           fmin(255, gains[k] * 255 * pow((double)p[i] / 255, gammas[k])));
        detect(&o, &changed, &found);
        /* a quarter of a sample; saturation at twice the gain flattens the crest */
        assert_true(difference(&expected, &found) < 0.05);
    }
    es_trace_clear(&expected);
    es_trace_clear(&found);
    es_image_clear(&plain);
    es_image_clear(&changed);
}

static void every_pixel_type_and_rgb_give_the_same_trace(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0}, colour = {0};
    es_trace expected = {0}, found = {0};
    paint(&s, ES_F64, 1, &image);
    detect(&o, &image, &expected);
    static const es_type types[] = {ES_U8, ES_I8, ES_U16, ES_I16, ES_U32, ES_I32, ES_F32};
    static const double full[] = {255, 127, 65535, 32767, 1e9, 1e9, 1e-3};
    for (int k = 0; k < 7; k++) {
        paint(&s, types[k], full[k], &image);
        detect(&o, &image, &found);
        assert_true(difference(&expected, &found) < 0.03); /* eight bits of grey */
    }
    paint(&s, ES_U8, 255, &image);
    assert_true(es_image_resize(&colour, ES_U8, 3, image.width, image.height, NULL));
    for (size_t i = 0; i < 3 * (size_t)image.width * image.height; i++)
        ((uint8_t *)colour.data)[i] = ((uint8_t *)image.data)[i / 3];
    detect(&o, &colour, &found);
    assert_true(difference(&expected, &found) < 0.03);
    es_trace_clear(&expected);
    es_trace_clear(&found);
    es_image_clear(&image);
    es_image_clear(&colour);
}

/* ---- where the echoes are -------------------------------------------------- */

/* Pastes `image` into a black one at (u, v). */
static void paste(const es_image *image, uint32_t w, uint32_t h, uint32_t u, uint32_t v,
                  es_image *out) {
    assert_true(es_image_resize(out, ES_U8, 1, w, h, NULL));
    memset(out->data, 0, (size_t)w * h);
    for (uint32_t row = 0; row < image->height; row++)
        memcpy((uint8_t *)out->data + (size_t)(v + row) * w + u,
               (uint8_t *)image->data + (size_t)row * image->width, image->width);
}

static void black_borders_are_left_out_when_the_fan_is_unknown(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0}, framed = {0};
    es_trace expected = {0}, found = {0};
    paint(&s, ES_U8, 255, &image);
    detect(&o, &image, &expected);
    paste(&image, 600, 540, 130, 17, &framed);
    o.fan = (es_fan){.kind = ES_FAN_NONE};
    detect(&o, &framed, &found);
    assert_int_equal(found.count, expected.count);
    /* first pixel column and row of the echoes, to a pixel */
    assert_true(fabs(found.lines[0].u - expected.lines[0].u - 130) <= 1);
    assert_true(fabs(found.lines[0].v - 17) <= 1);
    assert_true(difference(&expected, &found) < 0.15); /* a pixel and a half of the face */
    es_trace_clear(&expected);
    es_trace_clear(&found);
    es_image_clear(&image);
    es_image_clear(&framed);
}

static void nothing_outside_the_clip_is_looked_at(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0};
    es_trace trace = {0};
    paint(&s, ES_U8, 255, &image);
    o.has_clip = true;
    o.clip_origin[0] = 100, o.clip_origin[1] = 0, o.clip_size[0] = 150, o.clip_size[1] = 500;
    for (int known = 1; known >= 0; known--) {
        if (!known) o.fan = (es_fan){.kind = ES_FAN_NONE};
        detect(&o, &image, &trace);
        size_t found = 0;
        for (size_t i = 0; i < trace.count; i++) {
            if (!trace.lines[i].found) continue;
            found++;
            assert_true(trace.lines[i].u >= 99.5 && trace.lines[i].u <= 249.5);
        }
        assert_true(found > 40); /* 15 mm of lines 0.3 mm apart are 50 */
    }
    es_trace_clear(&trace);
    es_image_clear(&image);
}

static void nothing_nearer_than_the_least_depth_is_bone(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    o.min_depth_mm = 32; /* the deepest bone of the scene is at 30 */
    assert_true(judge_scene(&s, &o).recall == 0);
}

static void the_offset_is_added_to_every_depth(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_trace crest = {0}, edge = {0};
    detect_scene(&s, &o, &crest);
    o.offset_mm = -0.4;
    detect_scene(&s, &o, &edge);
    for (size_t i = 0; i < crest.count; i++)
        if (crest.lines[i].found)
            assert_true(fabs(crest.lines[i].depth_mm - 0.4 - edge.lines[i].depth_mm) < 1e-9);
    es_trace_clear(&crest);
    es_trace_clear(&edge);
}

/* A flat bone 45 mm below the middle of a convex probe's face, in pixels twice
 * as wide as high. */
static void a_curved_fan_is_traced_along_its_rays(void **state) {
    (void)state;
    struct scene s = SCENE;
    s.bend_mm = 0, s.fascia_mm = 0, s.top_mm = 45, s.depth_mm = 75;
    es_bone_options o = ES_BONE_DEFAULTS;
    o.spacing_mm[0] = 0.3, o.spacing_mm[1] = 0.15;
    o.fan = (es_fan){.kind = ES_FAN_CURVED,
                     .apex_u = 200,
                     .apex_v = -300,
                     .radius_start = 300,
                     .radius_stop = 750,
                     .angle_start_rad = -0.5,
                     .angle_stop_rad = 0.5,
                     .aspect = 2};
    es_image image = {0};
    es_trace trace = {0};
    assert_true(es_image_resize(&image, ES_U8, 1, 400, 460, NULL));
    sow(s.seed);
    for (uint32_t v = 0; v < image.height; v++)
        for (uint32_t u = 0; u < image.width; u++) {
            double x = (u - 200.) * 0.3, z = v * 0.15;
            double grey = es_fan_contains(&o.fan, u, v) ? grey_at(&s, x, z) : 0;
            ((uint8_t *)image.data)[v * image.width + u] = (uint8_t)(255 * grey);
        }
    detect(&o, &image, &trace);
    size_t found = 0;
    for (size_t i = 2; i + 2 < trace.count; i++) {
        const es_scan_line *line = &trace.lines[i];
        if (!line->found) continue;
        found++;
        double z = (line->v + line->depth_mm * line->dv) * 0.15;
        assert_true(fabs(z - 45) < 0.6);
        double along = line->dv * 0.15; /* cosine of the ray against the flat's normal */
        assert_true(fabs((double)line->cos_incidence - along) < 0.06);
    }
    /* rays beyond 0.49 rad leave the picture's sides before the bone ends */
    assert_true((double)found > 0.9 * (double)trace.count);
    es_trace_clear(&trace);
    es_image_clear(&image);
}

/* ---- one frame, nothing else ------------------------------------------------ */

static void earlier_frames_do_not_change_the_result(void **state) {
    (void)state;
    struct scene s = SCENE, other = SCENE;
    other.top_mm = 15, other.seed = 9, other.spacing_mm = 0.2;
    es_bone_options o = options_for(&s);
    o.fan = (es_fan){.kind = ES_FAN_NONE};
    es_image image = {0}, before = {0};
    es_trace expected = {0}, found = {0};
    paint(&s, ES_U8, 255, &image);
    paint(&other, ES_U8, 100, &before);
    detect(&o, &image, &expected);
    es_bone *bone = es_bone_new(&o, NULL);
    assert_non_null(bone);
    assert_true(es_bone_detect(bone, &before, &found, NULL));
    assert_true(es_bone_detect(bone, &image, &found, NULL));
    assert_int_equal(found.count, expected.count);
    for (size_t i = 0; i < found.count; i++)
        assert_true(found.lines[i].found == expected.lines[i].found &&
                    found.lines[i].depth_mm == expected.lines[i].depth_mm &&
                    found.lines[i].confidence == expected.lines[i].confidence);
    es_bone_free(bone);
    es_trace_clear(&expected);
    es_trace_clear(&found);
    es_image_clear(&image);
    es_image_clear(&before);
}

static void only_the_first_frame_of_a_size_allocates(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0};
    es_trace trace = {0};
    es_error err = {0};
    paint(&s, ES_U8, 255, &image);
    es_bone *bone = es_bone_new(&o, &err);
    assert_non_null(bone);
    assert_true(es_bone_detect(bone, &image, &trace, &err));
    es_alloc_fail_after(0);
    bool ok = es_bone_detect(bone, &image, &trace, &err);
    es_alloc_fail_after(-1);
    assert_true(ok);
    es_bone_free(bone);
    es_trace_clear(&trace);
    es_image_clear(&image);
}

static void each_failed_allocation_is_reported_and_survived(void **state) {
    (void)state;
    struct scene s = SCENE;
    s.spacing_mm = 0.4; /* a small picture: there are many allocations to fail */
    es_bone_options o = options_for(&s);
    es_image image = {0};
    paint(&s, ES_U8, 255, &image);
    bool done = false;
    for (long n = 0; n < 100 && !done; n++) {
        es_error err = {0};
        es_trace trace = {0};
        es_alloc_fail_after(n);
        es_bone *bone = es_bone_new(&o, &err);
        done = bone && es_bone_detect(bone, &image, &trace, &err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        if (bone && !done) assert_true(es_bone_detect(bone, &image, &trace, &err));
        es_bone_free(bone);
        es_trace_clear(&trace);
    }
    assert_true(done);
    es_image_clear(&image);
}

/* ---- bad input --------------------------------------------------------------- */

static void refuse_options(es_bone_options o, const char *word) {
    es_error err = {0};
    es_bone *bone = es_bone_new(&o, &err);
    assert_null(bone);
    assert_int_equal(err.code, ES_USAGE);
    if (!strstr(err.message, word)) fail_msg("\"%s\" does not say \"%s\"", err.message, word);
}

static void options_that_make_no_sense_are_refused(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options good = options_for(&s), o;
    static const double bad[] = {0, -0.1, NAN, INFINITY, 1e9};
    for (int i = 0; i < 5; i++)
        for (int axis = 0; axis < 2; axis++)
            o = good, o.spacing_mm[axis] = bad[i], refuse_options(o, "spacing");
    o = good, o.threshold = -0.1, refuse_options(o, "threshold");
    o = good, o.threshold = 1.5, refuse_options(o, "threshold");
    o = good, o.min_depth_mm = -1, refuse_options(o, "min_depth_mm");
    o = good, o.min_length_mm = NAN, refuse_options(o, "min_length_mm");
    o = good, o.offset_mm = INFINITY, refuse_options(o, "offset_mm");
    o = good, o.method = (es_bone_method)77, refuse_options(o, "77");
    o = good, o.has_clip = true, refuse_options(o, "clip");
}

static void fans_that_make_no_sense_are_refused(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options good = options_for(&s), o;
    o = good, o.fan.u1 = NAN, refuse_options(o, "rectangle");
    o = good, o.fan.v0 = 600, refuse_options(o, "rectangle");
    o = good, o.fan.kind = (es_fan_kind)9, refuse_options(o, "fan");
    good.fan = (es_fan){.kind = ES_FAN_CURVED,
                        .apex_u = 200,
                        .apex_v = -300,
                        .radius_start = 300,
                        .radius_stop = 750,
                        .angle_start_rad = -0.5,
                        .angle_stop_rad = 0.5,
                        .aspect = 1};
    o = good, o.fan.apex_u = INFINITY, refuse_options(o, "apex");
    o = good, o.fan.radius_stop = 200, refuse_options(o, "radii");
    o = good, o.fan.radius_start = NAN, refuse_options(o, "radii");
    o = good, o.fan.angle_start_rad = 0.6, refuse_options(o, "angles");
    o = good, o.fan.angle_stop_rad = NAN, refuse_options(o, "angles");
    o = good, o.fan.aspect = 2, refuse_options(o, "aspect");
    o = good, o.fan.aspect = 0, refuse_options(o, "aspect");
}

static void refuse_image(const es_bone_options *o, const es_image *image, es_code code,
                         const char *word) {
    es_error err = {0};
    es_trace trace = {0};
    es_bone *bone = es_bone_new(o, &err);
    if (!bone) fail_msg("%s", err.message);
    assert_false(es_bone_detect(bone, image, &trace, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word)) fail_msg("\"%s\" does not say \"%s\"", err.message, word);
    es_bone_free(bone);
    es_trace_clear(&trace);
}

static void images_without_room_for_scan_lines_are_refused(void **state) {
    (void)state;
    es_bone_options o = ES_BONE_DEFAULTS;
    o.spacing_mm[0] = o.spacing_mm[1] = 0.1;
    es_image image = {0};
    refuse_image(&o, &image, ES_USAGE, "empty");
    assert_true(es_image_resize(&image, ES_U8, 1, 1, 1, NULL));
    *(uint8_t *)image.data = 200;
    refuse_image(&o, &image, ES_USAGE, "mm across");
    assert_true(es_image_resize(&image, ES_U8, 1, 400, 3, NULL));
    memset(image.data, 200, 1200);
    refuse_image(&o, &image, ES_USAGE, "in depth");
    es_image_clear(&image);
}

static void pixels_that_are_not_finite_are_refused_with_their_place(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options o = options_for(&s);
    es_image image = {0};
    paint(&s, ES_F32, 1, &image);
    float *pixel = (float *)image.data + 123 * image.width + 45;
    *pixel = NAN;
    refuse_image(&o, &image, ES_FORMAT, "(45, 123)");
    *pixel = 1e35f; /* would overflow in sums */
    refuse_image(&o, &image, ES_FORMAT, "(45, 123)");
    *pixel = -INFINITY;
    refuse_image(&o, &image, ES_FORMAT, "(45, 123)");
    es_image_clear(&image);
}

static void a_clip_or_fan_of_another_image_is_refused(void **state) {
    (void)state;
    struct scene s = SCENE;
    es_bone_options good = options_for(&s), o;
    es_image image = {0};
    paint(&s, ES_U8, 255, &image);
    o = good, o.has_clip = true, o.clip_size[0] = 401, o.clip_size[1] = 500;
    refuse_image(&o, &image, ES_USAGE, "clip");
    o.clip_size[0] = 100, o.clip_origin[0] = -1;
    refuse_image(&o, &image, ES_USAGE, "clip");
    o.clip_origin[0] = INT32_MAX, o.clip_size[0] = INT32_MAX;
    refuse_image(&o, &image, ES_USAGE, "clip");
    o = good, o.fan.u1 = 820;
    refuse_image(&o, &image, ES_USAGE, "fan");
    o = good, o.fan = (es_fan){.kind = ES_FAN_CURVED,
                               .apex_u = 5000,
                               .apex_v = -300,
                               .radius_start = 300,
                               .radius_stop = 750,
                               .angle_start_rad = -0.5,
                               .angle_stop_rad = 0.5,
                               .aspect = 1};
    refuse_image(&o, &image, ES_USAGE, "no scan line");
    es_image_clear(&image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bone_below_a_fascia_is_traced_by_both_detectors),
        cmocka_unit_test(pixels_of_any_size_give_the_same_bone),
        cmocka_unit_test(a_steep_flank_is_traced_and_its_incidence_is_right),
        cmocka_unit_test(a_gap_in_the_bone_stays_open),
        cmocka_unit_test(a_frame_without_bone_has_none),
        cmocka_unit_test(an_even_picture_has_no_bone_whatever_its_grey),
        cmocka_unit_test(a_bright_speck_is_too_short_to_be_bone),
        cmocka_unit_test(a_weak_echo_and_a_grey_shadow_lower_the_confidence),
        cmocka_unit_test(gain_offset_and_gamma_hardly_move_the_bone),
        cmocka_unit_test(every_pixel_type_and_rgb_give_the_same_trace),
        cmocka_unit_test(black_borders_are_left_out_when_the_fan_is_unknown),
        cmocka_unit_test(nothing_outside_the_clip_is_looked_at),
        cmocka_unit_test(nothing_nearer_than_the_least_depth_is_bone),
        cmocka_unit_test(the_offset_is_added_to_every_depth),
        cmocka_unit_test(a_curved_fan_is_traced_along_its_rays),
        cmocka_unit_test(earlier_frames_do_not_change_the_result),
        cmocka_unit_test(only_the_first_frame_of_a_size_allocates),
        cmocka_unit_test(each_failed_allocation_is_reported_and_survived),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
        cmocka_unit_test(fans_that_make_no_sense_are_refused),
        cmocka_unit_test(images_without_room_for_scan_lines_are_refused),
        cmocka_unit_test(pixels_that_are_not_finite_are_refused_with_their_place),
        cmocka_unit_test(a_clip_or_fan_of_another_image_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
