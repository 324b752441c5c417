/* Training frames: a function of the seed, with a truth that the picture shows. */
#include "echosolid/simulate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 160, LINES = 112, FRAMES = 60 };

typedef struct frame {
    uint8_t grey[ROWS * LINES];
    es_lesson_truth truth[LINES];
} frame;

static es_lesson *lesson_of(double bone_free, bool unlike) {
    es_lesson_options o = ES_LESSON_DEFAULTS;
    es_error err = {0};
    o.bone_free = bone_free;
    o.unlike = unlike;
    es_lesson *lesson = es_lesson_new(&o, &err);
    if (!lesson) fail_msg("%s", err.message);
    return lesson;
}

static void the_same_seed_gives_the_same_bytes_whatever_came_before(void **state) {
    (void)state;
    es_lesson *one = lesson_of(0.33, false), *other = lesson_of(0.33, false);
    static frame a, b;
    for (uint64_t seed = 100; seed < 110; seed++) {
        es_lesson_draw(one, seed, a.grey, a.truth);
        es_lesson_draw(other, seed + 1, b.grey, b.truth);
        assert_memory_not_equal(a.grey, b.grey, sizeof a.grey);
        es_lesson_draw(other, seed, b.grey, b.truth);
        assert_memory_equal(a.grey, b.grey, sizeof a.grey);
        for (int i = 0; i < LINES; i++) {
            assert_int_equal(a.truth[i].visible, b.truth[i].visible);
            assert_memory_equal(&a.truth[i].row, &b.truth[i].row, sizeof(float));
        }
    }
    es_lesson_free(one);
    es_lesson_free(other);
}

static double mean_grey(const frame *f, int line, double from, double to) {
    double sum = 0;
    int count = 0;
    for (int r = (int)fmax(from, 0); r <= (int)fmin(to, ROWS - 1); r++, count++)
        sum += f->grey[r * LINES + line];
    return count ? sum / count : 0;
}

/* Brightness about each visible truth against that 2 to 6 mm below it, where
 * the shadow lies: over many frames the echo must be much the brighter. */
static void judge_contrast(bool unlike) {
    es_lesson *lesson = lesson_of(0, unlike);
    static frame f;
    double echo = 0, shadow = 0;
    int visible = 0;
    for (uint64_t seed = 1; seed <= FRAMES; seed++) {
        es_lesson_draw(lesson, seed, f.grey, f.truth);
        for (int i = 0; i < LINES; i++) {
            double row = f.truth[i].row;
            if (!f.truth[i].visible || row + 15 >= ROWS) continue;
            echo += mean_grey(&f, i, row - 0.5, row + 1.5);
            shadow += mean_grey(&f, i, row + 5, row + 15);
            visible++;
        }
    }
    assert_true(visible > FRAMES * LINES / 4);
    assert_true(echo > 2 * shadow);
    es_lesson_free(lesson);
}

static void visible_bone_is_bright_and_dark_below(void **state) {
    (void)state;
    judge_contrast(false);
    judge_contrast(true);
}

/* The brightest sample within 1 mm of the truth, in frames and lines where one
 * stands out, lies at the truth on average: the crest, not the front. Within
 * half a sample (0.2 mm), since single lines are off by speckle alone. */
static void the_truth_is_the_crest_of_the_echo(void **state) {
    (void)state;
    es_lesson *lesson = lesson_of(0, false);
    static frame f;
    double sum = 0;
    int count = 0;
    for (uint64_t seed = 1; seed <= FRAMES; seed++) {
        es_lesson_draw(lesson, seed, f.grey, f.truth);
        for (int i = 0; i < LINES; i++) {
            int middle = (int)(f.truth[i].row + 0.5f), best = middle;
            if (!f.truth[i].visible || middle < 3 || middle > ROWS - 4) continue;
            for (int r = middle - 2; r <= middle + 2; r++)
                if (f.grey[r * LINES + i] > f.grey[best * LINES + i]) best = r;
            if (f.grey[best * LINES + i] == 255) continue; /* white all over */
            sum += best - f.truth[i].row;
            count++;
        }
    }
    assert_true(count > 1000);
    assert_true(fabs(sum / count) < 0.5);
    es_lesson_free(lesson);
}

static int frames_with_bone(double bone_free) {
    es_lesson *lesson = lesson_of(bone_free, false);
    static frame f;
    int with = 0;
    for (uint64_t seed = 0; seed < FRAMES; seed++) {
        bool any = false;
        es_lesson_draw(lesson, seed, f.grey, f.truth);
        for (int i = 0; i < LINES; i++) any = any || isfinite(f.truth[i].row);
        with += any;
    }
    es_lesson_free(lesson);
    return with;
}

/* A binomial of 60 at 1/3 lies in 8..33 but for one in 10^4; bone may also
 * fall out of the picture. */
static void the_share_without_bone_is_what_was_asked(void **state) {
    (void)state;
    assert_int_equal(frames_with_bone(1), 0);
    assert_in_range(frames_with_bone(0.33), FRAMES - 34, FRAMES - 8);
    assert_in_range(frames_with_bone(0), FRAMES - 6, FRAMES);
}

static void options_out_of_range_are_refused_in_words(void **state) {
    (void)state;
    es_lesson_options bad[8];
    for (int k = 0; k < 8; k++) bad[k] = (es_lesson_options)ES_LESSON_DEFAULTS;
    bad[0].rows = 0;
    bad[1].rows = 1025;
    bad[2].lines = 31;
    bad[3].row_mm = 0;
    bad[4].line_mm = NAN;
    bad[5].line_mm = 2;
    bad[6].bone_free = -0.1;
    bad[7].bone_free = NAN;
    for (int k = 0; k < 8; k++) {
        es_error err = {0};
        assert_null(es_lesson_new(&bad[k], &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_non_null(strstr(err.message, "expected"));
    }
}

static void a_failed_allocation_leaves_nothing(void **state) {
    (void)state;
    es_lesson_options o = ES_LESSON_DEFAULTS;
    for (long n = 0;; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_lesson *lesson = es_lesson_new(&o, &err);
        es_alloc_fail_after(-1);
        if (lesson) {
            assert_true(n > 10);
            es_lesson_free(lesson);
            return;
        }
        assert_int_equal(err.code, ES_MEMORY);
    }
}

/* The smallest and the coarsest grids, where echoes and kernels meet the edges. */
static void odd_grids_are_drawn(void **state) {
    (void)state;
    const es_lesson_options odd[] = {
        {.rows = 32, .lines = 32, .row_mm = 0.05, .line_mm = 1, .bone_free = 0.3},
        {.rows = 33, .lines = 47, .row_mm = 1, .line_mm = 0.05, .bone_free = 0.3, .unlike = true},
        {.rows = 512, .lines = 32, .row_mm = 0.1, .line_mm = 0.3, .bone_free = 0.3}};
    for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
        es_error err = {0};
        es_lesson *lesson = es_lesson_new(&odd[k], &err);
        static uint8_t grey[512 * 64];
        static es_lesson_truth truth[64];
        if (!lesson) fail_msg("%s", err.message);
        for (uint64_t seed = 0; seed < 12; seed++) {
            es_lesson_draw(lesson, seed, grey, truth);
            for (uint32_t i = 0; i < odd[k].lines; i++)
                assert_true(isnan(truth[i].row) ||
                            (truth[i].row >= 0 && truth[i].row < (float)odd[k].rows));
        }
        es_lesson_free(lesson);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_bytes_whatever_came_before),
        cmocka_unit_test(visible_bone_is_bright_and_dark_below),
        cmocka_unit_test(the_truth_is_the_crest_of_the_echo),
        cmocka_unit_test(the_share_without_bone_is_what_was_asked),
        cmocka_unit_test(options_out_of_range_are_refused_in_words),
        cmocka_unit_test(a_failed_allocation_leaves_nothing),
        cmocka_unit_test(odd_grids_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
