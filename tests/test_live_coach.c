/* The coach: what it says of sweeps and pictures whose faults are known, and that
 * it says nothing of good ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/coach.h"
#include "echosolid/format.h"

enum { SIDE = 96 };
static const double RATE = 25;

typedef struct scan {
    es_coach *coach;
    es_frame frame;
    uint8_t pixels[SIDE * SIDE];
    double now_s;
    int64_t frames;
    es_coach_advice advice[ES_COACH_WHATS];
    size_t count;
} scan;

static int begin(void **state) {
    static scan s;
    const es_coach_options options = ES_COACH_DEFAULTS;
    memset(&s, 0, sizeof s);
    s.coach = es_coach_new(&options, NULL);
    s.frame.has_image = true;
    s.frame.image =
        (es_image){.type = ES_U8, .channels = 1, .width = SIDE, .height = SIDE, .data = s.pixels};
    *state = &s;
    return s.coach ? 0 : -1;
}

static int end(void **state) {
    es_coach_free(((scan *)*state)->coach);
    return 0;
}

/* Speckle round `grey`, never the same twice. */
static void draw(scan *s, int grey, int spread) {
    es_random random = es_random_new(7, (uint64_t)s->frames);
    for (int i = 0; i < SIDE * SIDE; i++) {
        double value = grey + spread * (2 * es_random_uniform(&random) - 1);
        s->pixels[i] = (uint8_t)fmin(fmax(value, 0), 255);
    }
}

/* A picture of 48 mm x 48 mm at z, across the sweep. */
static es_mat4 place_at(double x, double z) {
    es_mat4 place = es_mat4_scaling(0.5, 0.5, 0.5);
    place.m[3] = x;
    place.m[11] = z;
    return place;
}

static void take(scan *s, const es_mat4 *place) {
    s->frame.index = s->frames;
    es_coach_frame(s->coach, &s->frame, place, s->now_s);
    s->now_s += 1 / RATE;
    s->frames++;
}

static void sweep(scan *s, int frames, double z, double step_mm) {
    for (int i = 0; i < frames; i++) {
        es_mat4 place = place_at(0, z + step_mm * i);
        draw(s, 60, 40);
        take(s, &place);
    }
}

static const es_coach_advice *advice(scan *s, es_coach_what what) {
    s->count = es_coach_advise(s->coach, s->now_s, s->advice);
    for (size_t i = 0; i < s->count; i++)
        if (s->advice[i].what == what) return &s->advice[i];
    return NULL;
}

static void nothing_is_said_of_a_good_sweep_and_before_it(void **state) {
    scan *s = *state;
    assert_int_equal(es_coach_advise(s->coach, 5, s->advice), 0);
    sweep(s, 100, 0, 0.5);
    assert_int_equal(es_coach_advise(s->coach, s->now_s, s->advice), 0);
}

static void too_fast_is_said_with_the_distance_that_was_measured(void **state) {
    scan *s = *state;
    sweep(s, 60, 0, 4.2);
    const es_coach_advice *a = advice(s, ES_COACH_FAST);
    assert_non_null(a);
    assert_float_equal(a->measured, 4.2, 1e-6);
    assert_float_equal(a->limit, 3, 0);
    assert_non_null(strstr(a->text, "4.2 mm"));
    assert_non_null(strstr(a->text, "3.0 mm"));
    /* 3 mm at 25 pictures a second; of one second, a picture more or less. */
    assert_true(strstr(a->text, "72 mm/s") || strstr(a->text, "75 mm/s") ||
                strstr(a->text, "78 mm/s"));
    sweep(s, 60, 300, 1); /* slower: it is over a second later */
    assert_null(advice(s, ES_COACH_FAST));
}

static void fine_voxels_ask_for_nearer_pictures(void **state) {
    scan *s = *state;
    es_coach_set_voxel(s->coach, 0.5);
    assert_float_equal(es_coach_limit_mm(s->coach), 1.5, 0);
    sweep(s, 60, 0, 2);
    assert_non_null(advice(s, ES_COACH_FAST));
    es_coach_set_voxel(s->coach, 2); /* never more than the picture is thick */
    assert_float_equal(es_coach_limit_mm(s->coach), 3, 0);
}

static void motion_within_the_picture_is_no_gap(void **state) {
    scan *s = *state;
    for (int i = 0; i < 60; i++) {
        es_mat4 place = place_at(8.0 * (i % 2), 0);
        draw(s, 60, 40);
        take(s, &place);
    }
    assert_null(advice(s, ES_COACH_FAST));
    assert_null(advice(s, ES_COACH_GAP));
}

static void a_gap_stays_until_it_is_gone_over(void **state) {
    scan *s = *state;
    es_vec3 gaps[ES_COACH_GAPS];
    sweep(s, 40, 0, 0.5); /* to 19.5 mm */
    sweep(s, 40, 26, 0.5);
    const es_coach_advice *a = advice(s, ES_COACH_GAP);
    assert_non_null(a);
    assert_true(a->has_place);
    assert_float_equal(a->place.z, (19.5 + 26) / 2, 1e-9);
    assert_non_null(strstr(a->text, "1 gap"));
    assert_int_equal(es_coach_gaps(s->coach, gaps), 1);
    assert_null(advice(s, ES_COACH_FAST)); /* one jump is no speed */
    sweep(s, 30, 30, -0.5);
    assert_null(advice(s, ES_COACH_GAP));
    assert_int_equal(es_coach_gaps(s->coach, gaps), 0);
}

static void pictures_that_were_taken_back_left_and_covered_no_gap(void **state) {
    scan *s = *state;
    es_vec3 gaps[ES_COACH_GAPS];
    sweep(s, 40, 0, 0.5); /* to 19.5 mm */
    sweep(s, 40, 26, 0.5);
    int64_t covering = s->frames;
    sweep(s, 30, 30, -0.5);
    int64_t leaving = s->frames;
    sweep(s, 10, 60 - 24, 0.5); /* from 15.5 to 36 mm, past pictures that were there */
    sweep(s, 10, 60, 0.5);      /* and on to where none was */
    assert_int_equal(es_coach_gaps(s->coach, gaps), 1);
    es_coach_undo(s->coach, leaving);
    assert_int_equal(es_coach_gaps(s->coach, gaps), 0);
    es_coach_undo(s->coach, covering);
    assert_int_equal(es_coach_gaps(s->coach, gaps), 1);
    assert_float_equal(gaps[0].z, (19.5 + 26) / 2, 1e-9);
    /* What they have seen was not seen: hurrying past there leaves a gap. */
    es_coach_undo(s->coach, 0);
    assert_int_equal(es_coach_gaps(s->coach, gaps), 0);
    sweep(s, 2, 5, 6);
    assert_int_equal(es_coach_gaps(s->coach, gaps), 1);
    es_coach_undo(s->coach, s->frames);
    assert_int_equal(es_coach_gaps(s->coach, gaps), 1);
}

static void a_probe_put_down_elsewhere_leaves_no_gap(void **state) {
    scan *s = *state;
    sweep(s, 40, 0, 0.5);
    sweep(s, 40, 80, 0.5); /* 60 mm away */
    assert_null(advice(s, ES_COACH_GAP));
    s->now_s += 3; /* or after a pause */
    sweep(s, 40, 110, 0.5);
    assert_null(advice(s, ES_COACH_GAP));
}

static void gaps_never_outgrow_their_list(void **state) {
    scan *s = *state;
    es_vec3 gaps[ES_COACH_GAPS];
    sweep(s, 400, 0, 5);
    assert_int_equal(es_coach_gaps(s->coach, gaps), ES_COACH_GAPS);
    assert_float_equal(gaps[ES_COACH_GAPS - 1].z, 399 * 5 - 2.5, 1e-9); /* the newest stays */
}

static void a_lost_tracker_is_said_with_its_time(void **state) {
    scan *s = *state;
    sweep(s, 50, 0, 0.5);
    for (int i = 0; i < 40; i++) {
        draw(s, 60, 40);
        take(s, NULL);
    }
    const es_coach_advice *a = advice(s, ES_COACH_LOST);
    assert_non_null(a);
    assert_float_equal(a->measured, 40 / RATE, 1e-6);
    assert_non_null(strstr(a->text, "1.6 s"));
    sweep(s, 50, 30, 0.5);
    assert_null(advice(s, ES_COACH_LOST));
}

static void a_tracker_that_sees_half_of_the_time_is_said_with_its_share(void **state) {
    scan *s = *state;
    for (int i = 0; i < 60; i++) {
        es_mat4 place = place_at(0, 0.5 * i);
        draw(s, 60, 40);
        take(s, i % 2 ? &place : NULL);
    }
    const es_coach_advice *a = advice(s, ES_COACH_LOST);
    assert_non_null(a);
    assert_float_equal(a->measured, 50, 3); /* 25 or 26 frames are in a second */
    assert_non_null(strstr(a->text, "%"));
}

static void silence_is_said_and_nothing_beside_it(void **state) {
    scan *s = *state;
    sweep(s, 50, 0, 4);
    s->now_s += 2;
    assert_non_null(advice(s, ES_COACH_SILENT));
    assert_int_equal(s->count, 1);
    assert_float_equal(s->advice[0].measured, 2 + 1 / RATE, 1e-6);
}

static void a_frozen_picture_is_said(void **state) {
    scan *s = *state;
    es_mat4 place = place_at(0, 0);
    draw(s, 60, 40);
    for (int i = 0; i < 50; i++) take(s, &place);
    const es_coach_advice *a = advice(s, ES_COACH_FROZEN);
    assert_non_null(a);
    assert_float_equal(a->measured, 2, 1e-6); /* since the first of them */
}

static void gain_is_said_too_high_with_the_white_share(void **state) {
    scan *s = *state;
    for (int i = 0; i < 50; i++) {
        es_mat4 place = place_at(0, 0.5 * i);
        draw(s, 80, 60);
        memset(s->pixels, 255, SIDE * SIDE / 5);
        take(s, &place);
    }
    const es_coach_advice *a = advice(s, ES_COACH_BRIGHT);
    assert_non_null(a);
    assert_float_equal(a->measured, 20, 1.5); /* 48 rows of samples: 2 % each */
    assert_null(advice(s, ES_COACH_DARK));
}

static void a_dark_picture_is_said_once_it_was_lit(void **state) {
    scan *s = *state;
    sweep(s, 30, 0, 0.5);
    for (int i = 0; i < 50; i++) {
        draw(s, 9, 3); /* above what counts as no contact, 8 of 255 */
        es_mat4 place = place_at(0, 15 + 0.5 * i);
        take(s, &place);
    }
    const es_coach_advice *a = advice(s, ES_COACH_DARK);
    assert_non_null(a);
    assert_float_equal(a->measured, 100 * 9 / 255.0, 0.3);
}

/* Ring-down at the face, nothing below; the black round a fan says nothing. */
static void no_contact_is_said_where_it_is_dark_below_the_face(void **state) {
    scan *s = *state;
    for (int i = 0; i < 80; i++) {
        es_mat4 place = place_at(0, 0.5 * i);
        draw(s, 70, 50);
        for (int v = 0; v < SIDE; v++)
            for (int u = 0; u < SIDE; u++)
                if (u < 20 || u > 75 || (i >= 40 && v > 5)) s->pixels[v * SIDE + u] = 0;
        take(s, &place);
        if (i == 39) assert_int_equal(es_coach_advise(s->coach, s->now_s, s->advice), 0);
    }
    const es_coach_advice *a = advice(s, ES_COACH_CONTACT);
    assert_non_null(a);
    assert_true(a->measured > 90);
    assert_null(advice(s, ES_COACH_DARK)); /* one reason is enough */
}

static void other_types_empty_pictures_and_odd_numbers_do_no_harm(void **state) {
    scan *s = *state;
    float values[4] = {NAN, INFINITY, -5, 3};
    es_mat4 place = place_at(NAN, INFINITY);
    const es_frame frames[] = {
        {0},
        {.has_image = true},
        {.has_image = true,
         .image = {.type = ES_F32, .channels = 1, .width = 2, .height = 2, .data = values}},
        {.has_image = true,
         .image = {.type = ES_U8, .channels = 3, .width = 1, .height = 1, .data = values}}};
    for (size_t i = 0; i < 400; i++) {
        es_coach_frame(s->coach, &frames[i % 4], i % 3 ? &place : NULL, s->now_s);
        s->now_s += i % 5 ? 0.01 : -0.02; /* the clock may even jump back */
        s->count = es_coach_advise(s->coach, s->now_s, s->advice);
        assert_true(s->count <= ES_COACH_WHATS);
    }
}

static void options_that_cannot_be_are_refused_and_memory_may_fail(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        const double bad[] = {0, -1, NAN, INFINITY};
        es_error err = {0};
        const es_coach_options options = {bad[i]};
        assert_null(es_coach_new(&options, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    const es_coach_options good = ES_COACH_DEFAULTS;
    es_alloc_fail_after(0);
    assert_null(es_coach_new(&good, NULL));
    es_alloc_fail_after(-1);
}

/* ---- real recordings ------------------------------------------------------------------- */

/* Recordings of the field, played at their own rate: the scanners were set by people
 * who knew how, so the pictures are neither too bright nor too dark nor frozen. */
static void pictures_of_real_recordings_are_not_complained_about(void **state) {
    (void)state;
    const char *data = getenv("ES_TEST_DATA");
    char path[1024];
    snprintf(path, sizeof path, "%s/plus/sequences/%s", data ? data : "",
             "SpinePhantomFreehand.igs.mha");
    es_source *source = data ? es_sequence_open(path, NULL) : NULL;
    if (!source) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    const es_coach_options options = ES_COACH_DEFAULTS;
    es_coach *coach = es_coach_new(&options, NULL);
    es_frame frame = {0};
    bool over = false;
    size_t looks = 0, complaints = 0;
    for (double now = 0;; now += 0.05) {
        es_coach_advice all[ES_COACH_WHATS];
        assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &over, NULL));
        if (over) break;
        es_coach_frame(coach, &frame, NULL, now);
        size_t count = es_coach_advise(coach, now, all);
        looks++;
        for (size_t i = 0; i < count; i++)
            complaints += all[i].what == ES_COACH_BRIGHT || all[i].what == ES_COACH_DARK ||
                          all[i].what == ES_COACH_FROZEN;
    }
    assert_true(looks > 20);
    assert_int_equal(complaints, 0);
    es_frame_clear(&frame);
    es_source_free(source);
    es_coach_free(coach);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_said_of_a_good_sweep_and_before_it),
        TEST(too_fast_is_said_with_the_distance_that_was_measured),
        TEST(fine_voxels_ask_for_nearer_pictures),
        TEST(motion_within_the_picture_is_no_gap),
        TEST(a_gap_stays_until_it_is_gone_over),
        TEST(pictures_that_were_taken_back_left_and_covered_no_gap),
        TEST(a_probe_put_down_elsewhere_leaves_no_gap),
        TEST(gaps_never_outgrow_their_list),
        TEST(a_lost_tracker_is_said_with_its_time),
        TEST(a_tracker_that_sees_half_of_the_time_is_said_with_its_share),
        TEST(silence_is_said_and_nothing_beside_it),
        TEST(a_frozen_picture_is_said),
        TEST(gain_is_said_too_high_with_the_white_share),
        TEST(a_dark_picture_is_said_once_it_was_lit),
        TEST(no_contact_is_said_where_it_is_dark_below_the_face),
        TEST(other_types_empty_pictures_and_odd_numbers_do_no_harm),
        cmocka_unit_test(options_that_cannot_be_are_refused_and_memory_may_fail),
        cmocka_unit_test(pictures_of_real_recordings_are_not_complained_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
