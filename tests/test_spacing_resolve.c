/* What evidence says together: agreement, contradiction, constants that nobody
 * measured, the three readings of a depth, the step of a ruler, the probe
 * table, and what DICOM and calibrations say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/spacing.h"

static const es_spacing_hints no_hints = {
    .depth_mm = NAN, .depth_sigma_mm = NAN, .scanner_speed_m_s = NAN, .true_speed_m_s = NAN};

static void add(es_evidence_list *list, const char *source, double u, double v, double sigma) {
    es_evidence e = {.spacing_mm = {u, v}, .sigma = {sigma, sigma}};
    snprintf(e.source, sizeof e.source, "%s", source);
    assert_true(es_evidence_add(list, &e, NULL));
}

static es_spacing_verdict resolve(const es_evidence_list *list, const es_spacing_hints *hints) {
    es_spacing_verdict verdict;
    es_error err = {0};
    if (!es_spacing_resolve(list, hints, &verdict, &err)) fail_msg("%s", err.message);
    return verdict;
}

static bool covers(const es_spacing_verdict *v, int axis, double truth) {
    return v->ci95_mm[axis][0] <= truth && truth <= v->ci95_mm[axis][1];
}

/* ---- the combination -------------------------------------------------------------- */

static void nothing_known_is_refused_with_questions(void **state) {
    (void)state;
    es_evidence_list list = {0};
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_false(v.known);
    assert_true(isnan(v.spacing_mm[0]) && isnan(v.spacing_mm[1]));
    assert_true(v.ask_count >= 4);
    assert_non_null(strstr(v.ask[0], "depth")); /* reading a display costs nothing */
}

static void suspects_are_never_used(void **state) {
    (void)state;
    es_evidence_list list = {0};
    es_evidence e = {.source = "header", .spacing_mm = {.2, .2}, .sigma = {.05, .05}};
    assert_true(es_evidence_add_written(&list, e, NULL));
    assert_true(list.items[0].suspect);
    assert_non_null(strstr(list.items[0].note, "PLUS's sample"));
    assert_false(resolve(&list, &no_hints).known);
    add(&list, "fan-radius", .309, .309, .01);
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.known);
    assert_true(fabs(v.spacing_mm[0] - .309) < 1e-9);
    assert_non_null(strstr(v.summary, "0.2 is the constant"));
    es_evidence_clear(&list);
}

static void constants_as_floats_are_suspects_too(void **state) {
    (void)state;
    const double floats[2] = {.2F, .2F}, near[2] = {.201, .2}, mixed[2] = {.2, .1};
    assert_non_null(es_spacing_default(floats));
    assert_null(es_spacing_default(near));
    assert_null(es_spacing_default(mixed));
}

/* Coverage by construction: 2000 draws of three honest sources. The binomial
 * 3-sigma of 95 % in 2000 is 1.5 %; the asked band is 90 to 98 %. */
static void the_interval_covers_the_truth_as_often_as_it_says(void **state) {
    (void)state;
    es_random random = es_random_new(5, 0);
    const double sigmas[3] = {.01, .004, .006};
    int covered = 0, total = 2000;
    for (int k = 0; k < total; k++) {
        es_evidence_list list = {0};
        for (int i = 0; i < 3; i++) {
            double s = .3 * exp(sigmas[i] * es_random_normal(&random));
            add(&list, i == 0 ? "a" : i == 1 ? "b" : "c", s, s, sigmas[i]);
        }
        es_spacing_verdict v = resolve(&list, &no_hints);
        covered += covers(&v, 0, .3);
        assert_true(v.known);
        es_evidence_clear(&list);
    }
    assert_in_range(covered, 1800, 1960);
}

static void one_wrong_source_of_three_is_outvoted(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "wrong", .25, .25, .001); /* the most precise one, too */
    add(&list, "fan-radius", .301, .301, .01);
    add(&list, "fan-depth", .2995, .2995, .004);
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.known && covers(&v, 0, .2998));
    assert_non_null(strstr(v.summary, "wrong says 0.25"));
    es_evidence_clear(&list);
}

static void two_that_contradict_one_another_are_both_covered_and_unknown(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "matrix", .0854, .0854, .005);
    add(&list, "aperture", .0814, NAN, .01);
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_false(v.known);
    assert_true(covers(&v, 0, .0854) && covers(&v, 0, .0814));
    assert_non_null(strstr(v.summary, "contradict"));
    assert_true(v.ask_count > 0);
    es_evidence_clear(&list);
}

static void sources_of_one_group_have_one_voice(void **state) {
    (void)state;
    es_evidence_list list = {0};
    for (int i = 0; i < 9; i++) {
        add(&list, "copy", .3, .3, .01);
        strcpy(list.items[i].group, "calibration");
    }
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.ci95_mm[0][1] / .3 > exp(1.9 * .01)); /* not 1/3 of it */
    es_evidence_clear(&list);
}

static void weak_evidence_alone_is_not_knowledge(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "depth-rows", NAN, .3, .08);
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
}

static void a_direction_that_nothing_measures_gets_a_wider_interval(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "ticks", NAN, .3, .002);
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.known);
    assert_true(covers(&v, 0, .3 * 1.035) && !covers(&v, 1, .3 * 1.01));
    assert_non_null(strstr(v.summary, "across"));
    es_evidence_clear(&list);
}

static void a_bound_cuts_the_interval(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "fan-radius", .3, .3, .02);
    add(&list, "aperture", .302, NAN, .001);
    list.items[1].bound = -1;
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.known);
    assert_true(v.ci95_mm[0][1] < .303 && v.ci95_mm[1][1] > .31);
    es_evidence_clear(&list);
}

static void anisotropy_is_stated_beyond_three_sigma_only(void **state) {
    (void)state;
    es_evidence_list list = {0};
    add(&list, "dicom-regions", .30, .3015, .002);
    assert_false(resolve(&list, &no_hints).anisotropic);
    list.items[0].spacing_mm[1] = .309;
    assert_true(resolve(&list, &no_hints).anisotropic);
    es_evidence_clear(&list);
}

static void speed_of_sound_scales_a_linear_array_along_the_beam(void **state) {
    (void)state;
    es_evidence_list list = {0};
    es_spacing_hints hints = no_hints;
    add(&list, "ticks", .1, .1, .002);
    hints.true_speed_m_s = es_water_speed(20);
    es_spacing_verdict v = resolve(&list, &hints);
    /* Marczak's table: 1482.4 m/s at 20 degrees. */
    assert_true(fabs(v.spacing_mm[1] - .1 * 1482.4 / 1540) < 1e-5);
    assert_true(fabs(v.spacing_mm[0] - .1) < 1e-9);
    assert_non_null(strstr(v.summary, "1482"));
    es_probe_entry curved = {.curved = true};
    hints.probe = &curved; /* a warp about the face, no scale */
    assert_true(fabs(resolve(&list, &hints).spacing_mm[1] - .1) < 1e-9);
    hints.true_speed_m_s = 330;
    es_spacing_verdict none;
    assert_false(es_spacing_resolve(&list, &hints, &none, NULL));
    es_evidence_clear(&list);
}

static void water_is_as_fast_as_the_tables_say(void **state) {
    (void)state;
    const double table[][2] = {{15, 1466.0}, {25, 1496.7}, {37, 1523.7}}; /* Marczak 1997 */
    for (int i = 0; i < 3; i++) assert_true(fabs(es_water_speed(table[i][0]) - table[i][1]) < .1);
}

/* ---- the three readings of a depth ----------------------------------------------------- */

typedef struct reading {
    double spacing;   /* truth */
    double top, rows; /* of the fan's upper end; rows of the picture */
} reading;

/* A C5-2R60 at 150 mm in a picture of 512 rows: R 60, 60 degrees. */
static es_shapes make_fan(const reading *r, double depth) {
    es_shapes shapes = {0};
    double half = M_PI / 6, radius = 60 / r->spacing;
    es_fan_found *f = &shapes.fan;
    f->found = f->start_seen = f->stop_seen = f->pinned = true;
    f->radius_start_sigma = f->radius_stop_sigma = .3;
    f->aspect_sigma = .001;
    f->fan = (es_fan){.kind = ES_FAN_CURVED,
                      .apex_u = 255.5,
                      .apex_v = r->top - .5 - radius * cos(half),
                      .radius_start = radius,
                      .radius_stop = radius + depth / r->spacing,
                      .angle_start_rad = -half,
                      .angle_stop_rad = half,
                      .aspect = 1};
    return shapes;
}

static es_spacing_verdict judge_reading(const reading *r, double depth, const char *probe,
                                        bool tell_depth, es_evidence_list *list) {
    es_shapes shapes = make_fan(r, depth);
    es_spacing_hints hints = no_hints;
    es_probe_entry entry;
    es_still still = {.width = 512, .height = 512};
    bool known = false;
    if (probe) assert_true(es_probe_find(probe, NULL, &entry, &known, NULL) && known);
    if (probe) hints.probe = &entry;
    if (tell_depth) hints.depth_mm = 150;
    es_evidence header = {.source = "header", .spacing_mm = {.2, .2}, .sigma = {.05, .05}};
    assert_true(es_evidence_add_written(list, header, NULL));
    assert_true(es_shape_evidence(&shapes, &hints, list, NULL));
    assert_true(es_depth_readings(&shapes.fan, &still, &hints, list, NULL));
    return resolve(list, &hints);
}

static const double sagitta = 60 * (1 - 0.8660254037844386);

static void the_three_readings_of_a_depth_are_told_apart(void **state) {
    (void)state;
    const struct {
        reading r;
        double depth; /* below the middle of the face */
        const char *says;
    } cases[] = {{{150. / 512, 0, 512}, 150 - sagitta, "is the height of the picture"},
                 {{(150 + sagitta) / 512, 0, 512}, 150, "would hold only if"},
                 {{(150 + sagitta) / 482, 15, 512}, 150, "would hold only if"}};
    for (int i = 0; i < 3; i++) {
        es_evidence_list list = {0};
        es_spacing_verdict v =
            judge_reading(&cases[i].r, cases[i].depth, "C5-2R60S-3", true, &list);
        double truth = cases[i].r.spacing;
        assert_true(v.known);
        assert_true(covers(&v, 0, truth) && covers(&v, 1, truth));
        assert_true(fabs(v.spacing_mm[1] / truth - 1) < .005);
        assert_true(v.ci95_mm[1][1] / v.ci95_mm[1][0] < 1.03);
        assert_non_null(strstr(v.summary, "0.2 is the constant of PLUS's sample"));
        assert_non_null(strstr(v.summary, cases[i].says));
        es_evidence_clear(&list);
    }
}

static void a_depth_without_a_probe_covers_both_readings(void **state) {
    (void)state;
    reading r = {(150 + sagitta) / 512, 0, 512};
    es_evidence_list list = {0};
    es_spacing_verdict v = judge_reading(&r, 150, NULL, true, &list);
    assert_true(covers(&v, 1, r.spacing) && covers(&v, 1, 150. / 512));
    es_evidence_clear(&list);
}

static void a_fan_without_probe_and_depth_is_refused(void **state) {
    (void)state;
    reading r = {(150 + sagitta) / 512, 0, 512};
    es_evidence_list list = {0};
    es_spacing_verdict v = judge_reading(&r, 150, NULL, false, &list);
    assert_false(v.known);
    assert_non_null(strstr(v.ask[0], "depth"));
    assert_non_null(strstr(v.ask[1], "probe"));
    es_evidence_clear(&list);
}

static void a_depth_changed_after_the_recording_is_noticed(void **state) {
    (void)state;
    reading r = {.25, 15, 512}; /* recorded at 110 mm, said to be 150 */
    es_evidence_list list = {0};
    es_spacing_verdict v = judge_reading(&r, 110, "C5-2R60S-3", true, &list);
    assert_false(v.known);
    assert_non_null(strstr(v.summary, "contradict"));
    es_evidence_clear(&list);
}

/* ---- scan lines ----------------------------------------------------------------------- */

/* .4311 or .5689 a pixel, once or twice an element of 38 / 128 mm: .1280, .1689, .0640, .0844. */
static es_evidence lines_evidence(es_evidence_list *list, const es_probe_entry *probe) {
    es_shapes shapes = {.lines = {.found = true, .per_px = .4311, .sigma = .0004}};
    es_spacing_hints hints = no_hints;
    hints.probe = probe;
    size_t before = list->count;
    assert_true(es_lines_evidence(&shapes, &hints, list, NULL));
    if (list->count == before) return (es_evidence){.spacing_mm = {NAN, NAN}};
    return list->items[list->count - 1];
}

static void scan_lines_take_the_value_that_other_evidence_names(void **state) {
    (void)state;
    const es_probe_entry probe = {.aperture_mm = 38, .elements = 128, .pitch_mm = NAN};
    const double named[] = {.0854, .13, .165};
    for (int i = 0; i < 3; i++) {
        es_evidence_list list = {0};
        add(&list, "header", named[i], named[i], .03);
        es_evidence e = lines_evidence(&list, &probe);
        assert_string_equal(e.source, "scan-lines");
        assert_true(fabs(e.spacing_mm[0] / named[i] - 1) < .03 && e.sigma[0] >= .03);
        assert_true(isnan(e.spacing_mm[1]));
        es_evidence_clear(&list);
    }
}

static void scan_lines_never_decide_and_say_when_nothing_agrees(void **state) {
    (void)state;
    const es_probe_entry probe = {.aperture_mm = 38, .elements = 128, .pitch_mm = NAN};
    es_evidence_list list = {0};
    es_evidence alone = lines_evidence(&list, &probe);
    assert_true(isinf(alone.sigma[0]));
    assert_non_null(strstr(alone.note, "nothing else tells"));
    es_evidence_clear(&list);
    add(&list, "header", .085, .085, .05); /* both weak: no answer */
    assert_true(isfinite(lines_evidence(&list, &probe).sigma[0]));
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
    add(&list, "header", .3, .3, .05); /* off by a factor */
    es_evidence against = lines_evidence(&list, &probe);
    assert_true(isinf(against.sigma[0]));
    assert_non_null(strstr(against.note, "off by a factor"));
    es_evidence_clear(&list);
    add(&list, "header", .15, .15, .08); /* .1280 and .1689 are both within three sigma */
    assert_true(isinf(lines_evidence(&list, &probe).sigma[0]));
    es_evidence_clear(&list);
}

static void scan_lines_need_a_linear_probe_whose_elements_are_known(void **state) {
    (void)state;
    const es_probe_entry no[] = {{.curved = true, .radius_mm = 60, .elements = 128, .pitch_mm = .4},
                                 {.aperture_mm = 38, .pitch_mm = NAN}};
    const es_probe_entry pitch = {.aperture_mm = NAN, .pitch_mm = .2969};
    es_evidence_list list = {0};
    add(&list, "header", .0854, .0854, .03);
    assert_true(isnan(lines_evidence(&list, NULL).spacing_mm[0]));
    for (int i = 0; i < 2; i++) lines_evidence(&list, &no[i]);
    assert_int_equal(list.count, 1);
    assert_true(fabs(lines_evidence(&list, &pitch).spacing_mm[0] / .0844 - 1) < .002);
    es_evidence_clear(&list);
}

/* ---- the step of a ruler -------------------------------------------------------------------- */

static es_shapes make_comb(int axis, double period, int count) {
    es_shapes shapes = {.tick_count = 1};
    shapes.ticks[0] = (es_ticks_found){
        .found = true, .axis = axis, .period_px = period, .period_sigma = .02, .count = count};
    return shapes;
}

static double step_found(const es_shapes *shapes, const es_spacing_hints *hints,
                         es_evidence_list *list) {
    es_still still = {.width = 640, .height = 480};
    assert_true(es_ticks_evidence(shapes, &still, hints, list, NULL));
    const es_evidence *e = &list->items[list->count - 1];
    int axis = shapes->ticks[0].axis;
    return isfinite(e->sigma[axis]) ? e->spacing_mm[axis] * shapes->ticks[0].period_px : NAN;
}

static void a_step_alone_is_left_open(void **state) {
    (void)state;
    es_shapes shapes = make_comb(1, 18.5, 15);
    es_evidence_list list = {0};
    assert_true(isnan(step_found(&shapes, &no_hints, &list)));
    assert_non_null(strstr(list.items[0].note, "5 mm"));
    assert_non_null(strstr(list.items[0].note, "10 mm"));
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
}

static void depth_or_other_evidence_tells_the_step(void **state) {
    (void)state;
    es_shapes shapes = make_comb(1, 18.5, 15);
    es_spacing_hints hints = no_hints;
    hints.depth_mm = 75;
    es_evidence_list list = {0};
    /* a ruler may be longer than the field: 5 or 10 mm */
    assert_true(isnan(step_found(&shapes, &hints, &list)));
    es_evidence_clear(&list);
    /* 300 of the 480 rows are lit, so that 75 mm cannot be fewer */
    add(&list, "depth-rows", NAN, 75. / 300, .08);
    list.items[0].bound = -1;
    assert_true(fabs(step_found(&shapes, &hints, &list) - 5) < 1e-9);
    es_evidence_clear(&list);
    add(&list, "depth-rows", NAN, .25, .08);
    assert_true(fabs(step_found(&shapes, &no_hints, &list) - 5) < 1e-9);
    es_evidence_clear(&list);
    add(&list, "header", .2, .2, INFINITY); /* suspects tell nothing */
    list.items[0].suspect = true;
    assert_true(isnan(step_found(&shapes, &no_hints, &list)));
    es_evidence_clear(&list);
}

static void a_row_of_marks_may_be_one_of_time(void **state) {
    (void)state;
    es_shapes shapes = make_comb(0, 18.5, 15);
    es_spacing_hints hints = no_hints;
    hints.depth_mm = 75; /* says nothing about a row */
    es_evidence_list list = {0};
    assert_true(isnan(step_found(&shapes, &hints, &list)));
    es_evidence_clear(&list);
    add(&list, "ticks", NAN, .29, .002); /* 7 % off: not the same scale */
    assert_true(isnan(step_found(&shapes, &hints, &list)));
    es_evidence_clear(&list);
    add(&list, "ticks", NAN, .27, .002);
    assert_true(fabs(step_found(&shapes, &hints, &list) - 5) < 1e-9);
    es_evidence_clear(&list);
}

/* ---- what files say ---------------------------------------------------------------------------
 */

static es_stream_info make_info(const char *key, const char *value) {
    es_stream_info info = {.width = 640, .height = 480, .spacing_mm = {1, 1}, .format = "dicom"};
    if (key) assert_true(es_fields_set(&info.fields, key, value, NULL));
    return info;
}

static size_t header_evidence(es_stream_info *info, es_evidence_list *list) {
    es_error err = {0};
    if (!es_header_evidence(info, list, &err)) fail_msg("%s", err.message);
    es_stream_info_clear(info);
    return list->count;
}

#define TISSUE "{\"format\":1,\"type\":1,\"flags\":0,\"box\":[10,20,600,470],\"units\":[3,3],"

static void tissue_regions_are_in_cm_and_trusted(void **state) {
    (void)state;
    es_stream_info info = make_info("DicomRegions", "[" TISSUE "\"delta\":[0.0251,-0.0256]},"
                                                    "{\"format\":3,\"type\":3,\"box\":[0,0,9,9],"
                                                    "\"units\":[4,7],\"delta\":[0.01,1]}]");
    es_evidence_list list = {0};
    assert_int_equal(header_evidence(&info, &list), 1);
    es_spacing_verdict v = resolve(&list, &no_hints);
    assert_true(v.known);
    assert_true(fabs(v.spacing_mm[0] - .251) < 1e-9 && fabs(v.spacing_mm[1] - .256) < 1e-9);
    es_evidence_clear(&list);
}

static void regions_of_another_scale_are_never_averaged(void **state) {
    (void)state;
    es_stream_info info =
        make_info("DicomRegions", "[{\"format\":1,\"type\":1,\"box\":[0,0,99,99],\"units\":[3,3],"
                                  "\"delta\":[0.05,0.05]}," TISSUE "\"delta\":[0.025,0.025]}]");
    es_evidence_list list = {0};
    assert_int_equal(header_evidence(&info, &list), 2);
    assert_true(fabs(resolve(&list, &no_hints).spacing_mm[0] - .25) < 1e-9);
    assert_non_null(strstr(list.items[1].note, "another view"));
    es_evidence_clear(&list);
}

static void regions_without_a_scale_are_shown_and_not_used(void **state) {
    (void)state;
    static const char *const bad[] = {
        "[" TISSUE "\"delta\":[1,1]}]",
        "[" TISSUE "\"delta\":[0,0.02]}]",
        "[" TISSUE "\"delta\":[0.02]}]",
        "[" TISSUE "\"delta\":[\"a\",0.02]}]",
        "[" TISSUE "\"delta\":null}]",
        "[1,2]",
        "{}",
        "\"x\"",
        "[[[[[[[[",
        "not json",
        "[{\"format\":1,\"type\":1,\"box\":[9,9,1,1],\"units\":[3,3],\"delta\":[0.02,0.02]}]",
        "[{\"format\":1,\"type\":1,\"box\":[0,0,9,9],\"units\":[4,3],\"delta\":[0.02,0.02]}]",
        "[{\"format\":1,\"type\":1,\"box\":[1e308,0,1e309,9],\"units\":[3,3],\"delta\":[1,1]}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_stream_info info = make_info("DicomRegions", bad[i]);
        es_evidence_list list = {0};
        if (header_evidence(&info, &list) < 1) fail_msg("%s: not shown", bad[i]);
        if (resolve(&list, &no_hints).known) fail_msg("%s: used", bad[i]);
        es_evidence_clear(&list);
    }
}

static void too_many_or_too_deep_regions_are_refused(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add(&text, "[");
    for (int i = 0; i < 65; i++)
        es_text_add(&text, "%s" TISSUE "\"delta\":[0.02,0.02]}", i ? "," : "");
    es_text_add(&text, "]");
    es_stream_info info = make_info("DicomRegions", text.bytes);
    es_evidence_list list = {0};
    header_evidence(&info, &list);
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
    es_text_free(&text);
    for (int i = 0; i < 100000; i++) es_text_add_bytes(&text, "[", 1);
    info = make_info("DicomRegions", text.bytes);
    header_evidence(&info, &list);
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
    es_text_free(&text);
}

static void pixel_spacing_has_the_row_first_and_is_weak(void **state) {
    (void)state;
    es_stream_info info = make_info("DicomPixelSpacing", "0.31 0.27");
    es_evidence_list list = {0};
    assert_int_equal(header_evidence(&info, &list), 1);
    assert_true(list.items[0].spacing_mm[0] == .27 && list.items[0].spacing_mm[1] == .31);
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
}

static void what_a_converter_wrote_is_a_suspect(void **state) {
    (void)state;
    es_stream_info info = make_info("DicomPixelSpacing", "0.31 0.31");
    assert_true(es_fields_set(&info.fields, "DicomImplementation", "GDCM 3.0.21", NULL));
    es_evidence_list list = {0};
    header_evidence(&info, &list);
    assert_true(list.items[0].suspect);
    assert_non_null(strstr(list.items[0].note, "converter"));
    es_evidence_clear(&list);
}

static void broken_numbers_in_tags_are_not_used(void **state) {
    (void)state;
    static const char *const bad[] = {"", "a b", "0.3", "nan 0.3", "0.3 inf", "-1 -1", "1e300 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_stream_info info = make_info("DicomMeasures", bad[i]);
        es_evidence_list list = {0};
        header_evidence(&info, &list);
        assert_false(resolve(&list, &no_hints).known);
        es_evidence_clear(&list);
    }
}

static void a_calibration_in_water_gives_one_direction_only(void **state) {
    (void)state;
    es_mat4 turn = es_mat4_rotation(es_vec3_make(1, 2, 3), .7);
    es_mat4 water = es_mat4_multiply(turn, es_mat4_scaling(.0782, .0736, .076));
    es_evidence_list list = {0};
    assert_true(es_matrix_evidence("ImageToProbe", water, &list, NULL));
    assert_true(isfinite(list.items[0].sigma[0]) && isinf(list.items[0].sigma[1]));
    assert_non_null(strstr(list.items[0].note, "water"));
    es_evidence_clear(&list);
}

static void matrices_that_nobody_measured_are_found_out(void **state) {
    (void)state;
    const struct {
        double u, v;
        bool suspect, used;
    } cases[] = {{.2, .2, true, false},
                 {1, 1, true, false},
                 {.3087, .3087, false, true},
                 {1e-4, 1e-4, false, false},
                 {4023, 10, false, false}};
    for (int i = 0; i < 5; i++) {
        es_evidence_list list = {0};
        es_mat4 m = es_mat4_scaling(cases[i].u, cases[i].v, cases[i].u);
        assert_true(es_matrix_evidence("ImageToReference", m, &list, NULL));
        assert_int_equal(list.items[0].suspect, cases[i].suspect);
        assert_int_equal(isfinite(list.items[0].sigma[0]) != 0, cases[i].used);
        es_evidence_clear(&list);
    }
    es_mat4 broken = es_mat4_scaling(NAN, 1, 1), skew = es_mat4_scaling(.1, .12, .1);
    skew.m[1] = .1;
    es_evidence_list list = {0};
    assert_true(es_matrix_evidence("x", broken, &list, NULL));
    assert_int_equal(list.count, 0);
    assert_true(es_matrix_evidence("x", skew, &list, NULL));
    assert_true(isinf(list.items[0].sigma[0]));
    es_evidence_clear(&list);
}

static void a_scale_that_changes_within_the_recording_is_named(void **state) {
    (void)state;
    es_frame_scale scale = ES_FRAME_SCALE_NONE;
    es_evidence_list list = {0};
    for (int f = 0; f < 10; f++) {
        es_frame frame = {.index = f};
        assert_true(es_fields_set(&frame.fields, "micronsPerPixel", f < 6 ? "78" : "102", NULL));
        es_frame_scale_add(&scale, &frame);
        es_frame_clear(&frame);
    }
    assert_true(es_frame_scale_evidence(&scale, &list, NULL));
    assert_non_null(strstr(list.items[0].note, "frame 6"));
    assert_false(resolve(&list, &no_hints).known);
    es_evidence_clear(&list);
}

/* ---- probes
 * -------------------------------------------------------------------------------------- */

static void probes_are_found_however_they_are_written(void **state) {
    (void)state;
    const struct {
        const char *name;
        bool curved;
        double mm;
    } probes[] = {
        {"C5-2R60S-3", true, 60},    {"telemed c5 2r60s 3", true, 60},   {"MC8-4R20", true, 20},
        {"L18-10L30H-4", false, 30}, {"Ultrasonix_L14-5/38", false, 38}, {"l14-5/38", false, 38},
        {"C7-3R50", true, 50},       {"L12-4L36S", false, 36},           {"C8-5/14", true, 14},
        {"L9-4/40", false, 40}};
    for (size_t i = 0; i < sizeof probes / sizeof *probes; i++) {
        es_probe_entry p;
        bool known = false;
        assert_true(es_probe_find(probes[i].name, NULL, &p, &known, NULL));
        if (!known || p.curved != probes[i].curved) fail_msg("%s", probes[i].name);
        assert_true((p.curved ? p.radius_mm : p.aperture_mm) == probes[i].mm);
        assert_true(p.source[0]);
    }
}

static void names_that_follow_no_rule_are_unknown(void **state) {
    (void)state;
    static const char *const names[] = {
        "",   "-",       "C5",   "R60",    "C5-2R6",   "C5-2R600", "C5-2R6000000",
        "X/", "C/60/60", "3C5A", "L14-5/", "\xff\xfe", "LC5/40"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        es_probe_entry p;
        bool known = true;
        assert_true(es_probe_find(names[i], NULL, &p, &known, NULL));
        if (known) fail_msg("%s", names[i]);
    }
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_user_s_own_probes_come_first(void **state) {
    const char *path = *state;
    es_probe_entry p;
    bool known;
    write_text(path, "{\"probes\": [{\"name\": \"C5-2R60S-3\", \"kind\": \"curved\", "
                     "\"radius_mm\": 59.4, \"radius_sigma\": 0.002}]}");
    assert_true(es_probe_find("c52r60s3", path, &p, &known, NULL));
    assert_true(known && p.radius_mm == 59.4 && p.radius_sigma == .002);
    assert_true(isnan(p.aperture_mm));
}

static void broken_probe_files_are_refused_with_their_row(void **state) {
    const char *path = *state;
    static const char *const bad[][2] = {
        {"", "JSON"},
        {"[", "JSON"},
        {"7", "JSON"},
        {"{\"probes\": 7}", "list"},
        {"[7]", "probe 1"},
        {"[{}]", "kind"},
        {"[{\"kind\":\"linear\",\"aperture_mm\":38}]", "name"},
        {"[{\"kind\":\"round\",\"name\":\"a\"}]", "kind"},
        {"[{\"kind\":\"curved\",\"name\":\"a\"}]", "radius_mm"},
        {"[{\"kind\":\"curved\",\"name\":\"a\",\"radius_mm\":-60}]", "radius_mm"},
        {"[{\"kind\":\"curved\",\"name\":\"a\",\"radius_mm\":\"60\"}]", "radius_mm"},
        {"[{\"kind\":\"curved\",\"name\":\"a\",\"radius\":60}]", "unknown key"},
        {"[{\"kind\":\"curved\",\"name\":\"a\",\"name\":\"b\"}]", "JSON"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_probe_entry p;
        bool known;
        es_error err = {0};
        write_text(path, bad[i][0]);
        if (es_probe_find("x", path, &p, &known, &err)) fail_msg("%s was read", bad[i][0]);
        if (!strstr(err.message, bad[i][1])) fail_msg("%s: %s", bad[i][0], err.message);
    }
    assert_false(
        es_probe_find("x", "/nonexistent/probes.json", &(es_probe_entry){0}, &(bool){false}, NULL));
}

static void failed_allocations_leave_the_list_whole(void **state) {
    (void)state;
    es_evidence_list list = {0};
    for (int i = 0; i < 16; i++) add(&list, "a", .3, .3, .01);
    es_alloc_fail_after(0);
    es_error err = {0};
    assert_false(es_evidence_add(&list, &list.items[0], &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
    assert_int_equal(list.count, 16);
    es_evidence_clear(&list);
}

static char probe_path[64];
static int make_folder(void **state) {
    char folder[] = "/tmp/echosolid-probes-XXXXXX";
    if (!mkdtemp(folder)) return 1;
    snprintf(probe_path, sizeof probe_path, "%s/p.json", folder);
    *state = probe_path;
    return 0;
}
static int remove_folder(void **state) {
    (void)state;
    unlink(probe_path);
    *strrchr(probe_path, '/') = 0;
    return rmdir(probe_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_is_refused_with_questions),
        cmocka_unit_test(suspects_are_never_used),
        cmocka_unit_test(constants_as_floats_are_suspects_too),
        cmocka_unit_test(the_interval_covers_the_truth_as_often_as_it_says),
        cmocka_unit_test(one_wrong_source_of_three_is_outvoted),
        cmocka_unit_test(two_that_contradict_one_another_are_both_covered_and_unknown),
        cmocka_unit_test(sources_of_one_group_have_one_voice),
        cmocka_unit_test(weak_evidence_alone_is_not_knowledge),
        cmocka_unit_test(a_direction_that_nothing_measures_gets_a_wider_interval),
        cmocka_unit_test(a_bound_cuts_the_interval),
        cmocka_unit_test(anisotropy_is_stated_beyond_three_sigma_only),
        cmocka_unit_test(speed_of_sound_scales_a_linear_array_along_the_beam),
        cmocka_unit_test(water_is_as_fast_as_the_tables_say),
        cmocka_unit_test(the_three_readings_of_a_depth_are_told_apart),
        cmocka_unit_test(a_depth_without_a_probe_covers_both_readings),
        cmocka_unit_test(a_fan_without_probe_and_depth_is_refused),
        cmocka_unit_test(a_depth_changed_after_the_recording_is_noticed),
        cmocka_unit_test(scan_lines_take_the_value_that_other_evidence_names),
        cmocka_unit_test(scan_lines_never_decide_and_say_when_nothing_agrees),
        cmocka_unit_test(scan_lines_need_a_linear_probe_whose_elements_are_known),
        cmocka_unit_test(a_step_alone_is_left_open),
        cmocka_unit_test(depth_or_other_evidence_tells_the_step),
        cmocka_unit_test(a_row_of_marks_may_be_one_of_time),
        cmocka_unit_test(tissue_regions_are_in_cm_and_trusted),
        cmocka_unit_test(regions_of_another_scale_are_never_averaged),
        cmocka_unit_test(regions_without_a_scale_are_shown_and_not_used),
        cmocka_unit_test(too_many_or_too_deep_regions_are_refused),
        cmocka_unit_test(pixel_spacing_has_the_row_first_and_is_weak),
        cmocka_unit_test(what_a_converter_wrote_is_a_suspect),
        cmocka_unit_test(broken_numbers_in_tags_are_not_used),
        cmocka_unit_test(a_calibration_in_water_gives_one_direction_only),
        cmocka_unit_test(matrices_that_nobody_measured_are_found_out),
        cmocka_unit_test(a_scale_that_changes_within_the_recording_is_named),
        cmocka_unit_test(probes_are_found_however_they_are_written),
        cmocka_unit_test(names_that_follow_no_rule_are_unknown),
        cmocka_unit_test_setup_teardown(a_user_s_own_probes_come_first, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(broken_probe_files_are_refused_with_their_row, make_folder,
                                        remove_folder),
        cmocka_unit_test(failed_allocations_leave_the_list_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
