/* How many frames, and what is missing: recordings made here with gaps of known
 * place and size. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/plan.h"

/* Frames of 40 x 30 mm (1 mm pixels) perpendicular to z; frame i at places[i]. */
enum { FRAMES_MAX = 400, WIDTH = 41, HEIGHT = 31 };

typedef struct sweep {
    es_vec3 places[FRAMES_MAX];
    int64_t count, next;
} sweep;

static bool sweep_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    sweep *s = self;
    (void)flags;
    if ((*end = s->next == s->count)) return true;
    es_vec3 p = s->places[s->next];
    frame->index = s->next;
    frame->has_time = true;
    frame->time_s = 0.05 * (double)s->next++;
    frame->transform_count = 0;
    return es_frame_set_transform(frame, "ImageToReference", es_mat4_translation(p.x, p.y, p.z),
                                  true, err);
}

static bool sweep_rewind(void *self, es_error *err) {
    (void)err;
    ((sweep *)self)->next = 0;
    return true;
}

static void sweep_free(void *self) { (void)self; }

static es_coverage judge(sweep *s, double voxel_mm) {
    static const es_source_ops ops = {sweep_next, sweep_rewind, sweep_free};
    es_stream_info info = {.frame_count = s->count,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .type = ES_U8,
                           .channels = 1,
                           .spacing_mm = {1, 1}};
    es_error err = {0};
    es_coverage c;
    es_setup setup;
    es_setup_request r;
    es_setup_request_init(&r);
    es_source *source = es_source_new(&ops, s, &info, NULL);
    es_placement *placement = es_placement_new(NULL, NULL, NULL);
    if (!es_setup_make(source, &r, &setup, &err) ||
        !es_coverage_find(source, &setup, placement, voxel_mm, &c, &err))
        fail_msg("%s", err.message);
    es_setup_clear(&setup);
    es_placement_free(placement);
    es_source_free(source);
    return c;
}

static void along_z(sweep *s, double x, double from, double to, double step) {
    for (int i = 0; from + i * step <= to + 1e-9; i++)
        s->places[s->count++] = es_vec3_make(x, 0, from + i * step);
}

static void a_dense_sweep_has_no_gaps(void **state) {
    (void)state;
    sweep s = {0};
    along_z(&s, 0, 0, 60, 0.7);
    es_coverage c = judge(&s, 0.5);
    assert_int_equal(c.sweeps, 1);
    assert_int_equal(c.too_far, 0);
    assert_int_equal(c.gaps_in_all, 0);
    assert_true(c.share == 1);
    assert_true(fabs(c.step_p50_mm - 0.7) < 1e-9 && fabs(c.limit_mm - 0.75) < 1e-9);
    assert_true(fabs(c.rate_hz - 20) < 1e-6);
    /* Cells of .75 mm over 40 x 30 x 60 mm: the outer ones stick out by up to one. */
    assert_true(c.seen_mm3 > 40 * 30 * 59.5 && c.seen_mm3 < 41.5 * 31.5 * 61.5);
}

static void a_part_swept_too_fast_is_found_with_its_frames(void **state) {
    (void)state;
    sweep s = {0};
    along_z(&s, 0, 0, 20, 0.7);
    double last = s.places[s.count - 1].z;
    int64_t first = s.count;
    along_z(&s, 0, last + 5, last + 5, 1); /* 5 mm in one step: too fast, not a new sweep */
    along_z(&s, 0, last + 5.7, last + 30, 0.7);
    es_coverage c = judge(&s, 0.5);
    assert_int_equal(c.sweeps, 1);
    assert_int_equal(c.too_far, 1);
    assert_int_equal(c.far[0].frame, first);
    assert_true(fabs(c.far[0].distance_mm - 5) < 1e-9);
    assert_int_equal(c.gaps_in_all, 1);
    /* What lies between, 40 x 30 mm and 5 mm less the cells of its two sides. */
    assert_true(fabs(c.gaps[0].centre.z - (last + 2.5)) < 0.75);
    assert_true(fabs(c.gaps[0].centre.x - 20) < 0.75 && fabs(c.gaps[0].centre.y - 15) < 0.75);
    assert_true(c.gaps[0].volume_mm3 > 40 * 30 * 3.5 && c.gaps[0].volume_mm3 < 41.5 * 31.5 * 5);
    assert_true(fabs(c.gaps[0].direction.x) > 0.9 && fabs(c.gaps[0].length_mm - 40) < 2);
    assert_true(llabs(c.gaps[0].near_frame - first) <= 1);
}

static void a_strip_between_two_sweeps_is_found_with_the_sweep_that_closes_it(void **state) {
    (void)state;
    sweep s = {0};
    along_z(&s, 0, 0, 80, 0.7);
    along_z(&s, 52, 0, 80, 0.7); /* the pictures end at 40 mm and start again at 52 */
    es_coverage c = judge(&s, 0.5);
    assert_int_equal(c.sweeps, 2);
    assert_int_equal(c.too_far, 0);
    assert_int_equal(c.gaps_in_all, 1);
    assert_true(fabs(c.gaps[0].centre.x - 46) < 0.75);
    assert_true(fabs(c.gaps[0].direction.z) > 0.9);
    assert_true(fabs(c.gaps[0].length_mm - 80) < 2 && fabs(c.gaps[0].width_mm - 30) < 2);
    /* From end to end no two of its frames lie further apart than the voxels allow; one fewer
     * would not do. */
    double steps = (double)c.gaps[0].frames - 1;
    assert_true(steps * 0.75 >= c.gaps[0].length_mm && (steps - 1) * 0.75 < c.gaps[0].length_mm);
    double truth = 92.0 * 30 * 80;
    assert_true(fabs((1 - c.share) - 12.0 * 30 * 80 / truth) < 0.02);
}

static void the_largest_gaps_are_kept_in_order(void **state) {
    (void)state;
    sweep s = {0};
    double z = 0;
    for (int i = 0; i < 14; i++) {
        along_z(&s, 0, z, z + 3, 0.6);
        z += 3 + 1.6 + 0.4 * (i * 5 % 14); /* gaps of different size, shuffled */
    }
    es_coverage c = judge(&s, 0.5);
    assert_int_equal(c.too_far, 13);
    assert_int_equal(c.far_count, ES_GAPS_MAX);
    for (int i = 1; i < ES_GAPS_MAX; i++)
        assert_true(c.far[i - 1].distance_mm >= c.far[i].distance_mm);
    assert_true(fabs(c.far[0].distance_mm - (1.6 + 0.4 * 13)) < 1e-9);
    for (int i = 1; i < c.gap_count; i++)
        assert_true(c.gaps[i - 1].volume_mm3 >= c.gaps[i].volume_mm3);
}

static void one_frame_is_no_sweep_and_has_no_gaps(void **state) {
    (void)state;
    sweep s = {0};
    along_z(&s, 0, 0, 0, 1);
    es_coverage c = judge(&s, 0.5);
    assert_int_equal(c.steps, 0);
    assert_int_equal(c.gaps_in_all, 0);
    assert_true(isnan(c.step_p50_mm) && isnan(c.rate_hz));
}

/* ---- before the scan ------------------------------------------------------------- */

static const es_plan_request KNEE = {.length_mm = 120,
                                     .across_mm = 90,
                                     .depth_mm = 30,
                                     .width_mm = 38,
                                     .rate_hz = 30,
                                     .voxel_mm = 0.5,
                                     .overlap = 0.2,
                                     .arc_deg = 180};

static void the_plan_covers_the_region(void **state) {
    (void)state;
    es_plan p;
    assert_true(es_plan_make(&KNEE, &p, NULL));
    assert_true(fabs(p.frame_distance_mm - 0.75) < 1e-12);
    assert_true(fabs(p.speed_mm_s - 22.5) < 1e-9);
    assert_int_equal(p.frames_per_sweep, 161);
    /* 38 mm + 2 x 30.4 mm = 98.8 >= 90, and two sweeps are 68.4 < 90. */
    assert_int_equal(p.sweeps_across, 3);
    assert_int_equal(p.directions, 5);
    assert_int_equal(p.frames, 15 * 161);
    es_plan_request round = KNEE;
    round.arc_deg = 360;
    assert_true(es_plan_make(&round, &p, NULL));
    assert_int_equal(p.directions, 8);
    round.arc_deg = 0;
    round.across_mm = 38;
    assert_true(es_plan_make(&round, &p, NULL));
    assert_int_equal(p.sweeps, 1);
}

static void numbers_out_of_range_are_refused_by_name(void **state) {
    (void)state;
    const struct {
        size_t offset;
        double value;
        const char *words;
    } cases[] = {{offsetof(es_plan_request, voxel_mm), 0, "voxel"},
                 {offsetof(es_plan_request, voxel_mm), NAN, "voxel"},
                 {offsetof(es_plan_request, rate_hz), -1, "rate"},
                 {offsetof(es_plan_request, overlap), 1, "overlap"},
                 {offsetof(es_plan_request, length_mm), INFINITY, "length"},
                 {offsetof(es_plan_request, width_mm), 0, "width"},
                 {offsetof(es_plan_request, arc_deg), 361, "arc"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_plan_request r = KNEE;
        es_plan p;
        es_error err = {0};
        memcpy((char *)&r + cases[i].offset, &cases[i].value, sizeof(double));
        assert_false(es_plan_make(&r, &p, &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_non_null(strstr(err.message, cases[i].words));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dense_sweep_has_no_gaps),
        cmocka_unit_test(a_part_swept_too_fast_is_found_with_its_frames),
        cmocka_unit_test(a_strip_between_two_sweeps_is_found_with_the_sweep_that_closes_it),
        cmocka_unit_test(the_largest_gaps_are_kept_in_order),
        cmocka_unit_test(one_frame_is_no_sweep_and_has_no_gaps),
        cmocka_unit_test(the_plan_covers_the_region),
        cmocka_unit_test(numbers_out_of_range_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
