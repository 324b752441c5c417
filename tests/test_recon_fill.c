/* Hole filling: the same bits as the plain way, true to known volumes, mirrored
 * by mirrors, never out of the scanned region, brought up to date in part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "fill_reference.h"

static const es_fill_step stick_9_1 = {
    .kind = ES_FILL_STICK, .stick_length_limit = 9, .number_of_sticks = 1};
static const es_fill_step gaussian_5 = {
    .kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = 0.6667, .minimum_known_ratio = 0.1};

/* Every kind, at different reaches. */
static const es_fill_step many_steps[] = {
    {.kind = ES_FILL_STICK, .stick_length_limit = 3, .number_of_sticks = 1},
    {.kind = ES_FILL_STICK, .stick_length_limit = 9, .number_of_sticks = 1},
    {.kind = ES_FILL_STICK, .stick_length_limit = 9, .number_of_sticks = 3},
    {.kind = ES_FILL_STICK, .stick_length_limit = 24, .number_of_sticks = 13},
    {.kind = ES_FILL_GAUSSIAN, .size = 3, .stdev = 0.6667, .minimum_known_ratio = 0.1},
    {.kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = 0.6667, .minimum_known_ratio = 0.50001},
    {.kind = ES_FILL_GAUSSIAN, .size = 15, .stdev = 3, .minimum_known_ratio = 0.05},
    {.kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = 0.1, .minimum_known_ratio = 0},
    {.kind = ES_FILL_GAUSSIAN_ACCUMULATION, .size = 5, .stdev = 1, .minimum_known_ratio = 0},
    {.kind = ES_FILL_INVERSE_DISTANCE, .size = 5, .minimum_known_ratio = 0.2},
    {.kind = ES_FILL_NEAREST, .size = 7, .minimum_known_ratio = 0},
};
enum { MANY_STEPS = sizeof many_steps / sizeof *many_steps };

static es_fill_options one_step(es_fill_step step) {
    es_fill_options options = {.steps = {step}, .count = 1};
    return options;
}

static es_bricks *fill_or_fail(const es_bricks *seen, es_fill_options options) {
    es_error err = {0};
    es_bricks *filled = es_fill(seen, &options, NULL, &err);
    if (!filled) fail_msg("%s", err.message);
    return filled;
}

/* A field over several bricks that does not start at one: planes like frames,
 * 1 to 5 voxels apart, with pixels missing, clusters, values of all sizes. */
static void make_field(uint64_t seed, const double spacing_mm[3], dense *d) {
    *d = (dense){.size = {34, 24, 26}, .first = {-9, 21, -30}};
    memcpy(d->spacing_mm, spacing_mm, sizeof d->spacing_mm);
    dense_alloc(d);
    es_random random = es_random_new(seed, 1);
    for (int z = 0; z < d->size[2]; z++)
        for (int y = 0; y < d->size[1]; y++)
            for (int x = 0; x < d->size[0]; x++) {
                double chance = es_random_uniform(&random);
                bool frame = (z + x / 11) % 5 == 0 || (z + y / 7) % 7 == 0;
                bool gap = x > 22 && y > 12 && z > 8 && z < 18;
                size_t i = dense_index(d, x, y, z);
                if (gap || chance > (frame ? 0.9 : x < 8 ? 0.7 : 0.02)) continue;
                d->value[i] = (float)(255 * es_random_uniform(&random));
                d->weight[i] = (float)(1 + es_random_bits(&random) % 9);
            }
}

static const double cubic[3] = {0.5, 0.5, 0.5}, oblong[3] = {0.3, 0.3, 0.7};

/* ---- against the plain way -------------------------------------------------- */

/* Voxels that differ, over all the methods. */
static size_t count_all_differences(const double spacing_mm[3]) {
    size_t different = 0;
    dense field;
    make_field(11, spacing_mm, &field);
    es_bricks *seen = dense_to_bricks(&field);
    for (int i = 0; i < MANY_STEPS; i++) {
        es_fill_options options = one_step(many_steps[i]);
        dense plain;
        reference_fill(&field, &options, &plain);
        es_bricks *filled = es_fill(seen, &options, NULL, NULL);
        size_t here = filled ? count_differences(&plain, filled) : SIZE_MAX / MANY_STEPS;
        if (here > 0) print_error("step %d: %zu voxels differ\n", i, here);
        different += here;
        es_bricks_free(filled);
        dense_free(&plain);
    }
    es_bricks_free(seen);
    dense_free(&field);
    return different;
}

static void voxels_that_are_no_cubes_are_measured_in_mm(void **state) {
    (void)state;
    assert_int_equal(count_all_differences(oblong), 0);
}

static void steps_are_tried_in_order_and_read_seen_voxels_only(void **state) {
    (void)state;
    const es_fill_options options = {
        .steps = {many_steps[5], many_steps[10], many_steps[0], many_steps[3]}, .count = 4};
    dense field, plain;
    make_field(12, cubic, &field);
    reference_fill(&field, &options, &plain);
    size_t by_step[4] = {0};
    for (int i = 0; i < field.size[0] * field.size[1] * field.size[2]; i++)
        if (plain.weight[i] > 0) by_step[(int)plain.weight[i] - 1]++;
    es_bricks *seen = dense_to_bricks(&field);
    es_fill_stats stats;
    es_bricks *filled = es_fill(seen, &options, &stats, NULL);
    assert_int_equal(count_differences(&plain, filled), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(stats.filled[i], by_step[i]);
    /* The test is one: the first, second and last step all have work. */
    assert_true(by_step[0] > 0 && by_step[1] > 0 && by_step[3] > 0);
    es_bricks_free(filled);
    es_bricks_free(seen);
    dense_free(&plain);
    dense_free(&field);
}

static void a_stick_may_be_as_long_as_eight_bricks(void **state) {
    (void)state;
    dense field = {.size = {140, 3, 3}, .first = {-70, 0, 0}, .spacing_mm = {1, 1, 1}};
    dense_alloc(&field);
    field.value[dense_index(&field, 4, 1, 1)] = 0;
    field.value[dense_index(&field, 130, 1, 1)] = 126;
    field.weight[dense_index(&field, 4, 1, 1)] = field.weight[dense_index(&field, 130, 1, 1)] = 1;
    es_fill_step step = {.kind = ES_FILL_STICK, .stick_length_limit = 127, .number_of_sticks = 2};
    es_bricks *seen = dense_to_bricks(&field), *filled = fill_or_fail(seen, one_step(step));
    dense plain;
    es_fill_options options = one_step(step);
    reference_fill(&field, &options, &plain);
    assert_int_equal(count_differences(&plain, filled), 0);
    assert_true(plain.value[dense_index(&field, 67, 1, 1)] == 63);
    es_bricks_free(filled);
    step.stick_length_limit = 126;
    filled = fill_or_fail(seen, one_step(step));
    assert_int_equal(es_bricks_count(filled), 0);
    es_bricks_free(filled);
    es_bricks_free(seen);
    dense_free(&plain);
    dense_free(&field);
}

/* Processor levels are settled once in a process: each gets one of its own, before
 * anything here asks. Exit status: 0 the plain way's bits, 1 not. */
static void every_kind_of_processor_gives_the_bits_of_the_plain_way(void **state) {
    (void)state;
    static const char *const levels[] = {"scalar", "avx2"};
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            setenv("ES_CPU", levels[i], 1);
            _exit(count_all_differences(cubic) == 0 ? 0 : 1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("ES_CPU=%s differs", levels[i]);
    }
}

/* ---- against hand and truth --------------------------------------------------- */

/* A row along x: known values, NaN for holes; 9 long at least. */
static es_bricks *make_row(const double *values, int count) {
    dense row = {.size = {count, 1, 1}, .first = {-3, 0, 0}, .spacing_mm = {1, 1, 1}};
    dense_alloc(&row);
    for (int i = 0; i < count; i++) {
        if (isnan(values[i])) continue;
        row.value[i] = (float)values[i];
        row.weight[i] = 1;
    }
    es_bricks *bricks = dense_to_bricks(&row);
    dense_free(&row);
    return bricks;
}

static float row_at(const es_bricks *bricks, int i) {
    int x = i - 3 + ES_BRICK;
    const es_brick *brick = es_bricks_find(bricks, x / ES_BRICK - 1, 0, 0);
    return brick && brick->weight[x % ES_BRICK] > 0 ? brick->value[x % ES_BRICK] : NAN;
}

static void a_stick_interpolates_without_skew(void **state) {
    (void)state;
    const double values[] = {0, NAN, 200, NAN, NAN, NAN, 0, 7, 7, 7};
    es_bricks *seen = make_row(values, 10), *filled = fill_or_fail(seen, one_step(stick_9_1));
    assert_true(row_at(filled, 1) == 100);
    assert_true(row_at(filled, 3) == 150 && row_at(filled, 4) == 100 && row_at(filled, 5) == 50);
    assert_true(isnan(row_at(filled, 0)) && isnan(row_at(filled, 7)));
    es_bricks_free(filled);
    es_bricks_free(seen);
}

static void a_stick_counts_its_two_ends(void **state) {
    (void)state;
    const double values[] = {1,   NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1, /* 9 long */
                             NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 1};
    es_bricks *seen = make_row(values, 18), *filled = fill_or_fail(seen, one_step(stick_9_1));
    for (int i = 1; i < 8; i++) assert_true(row_at(filled, i) == 1);
    for (int i = 9; i < 17; i++) assert_true(isnan(row_at(filled, i)));
    es_bricks_free(filled);
    es_bricks_free(seen);
}

static void what_was_seen_black_is_no_hole_and_counts(void **state) {
    (void)state;
    const double values[] = {100, 0, 100, NAN, 0, 0, 0, 0, 0, 0};
    es_bricks *seen = make_row(values, 10), *filled = fill_or_fail(seen, one_step(stick_9_1));
    assert_true(isnan(row_at(filled, 1)));
    assert_true(row_at(filled, 3) == 50);
    es_bricks_free(filled);
    es_bricks_free(seen);
}

static void values_that_are_not_finite_are_neither_filled_nor_read(void **state) {
    (void)state;
    const double values[] = {10, INFINITY, NAN, 30, -INFINITY, 1, 1, 1, 1, 1};
    es_bricks *seen = make_row(values, 10), *filled = fill_or_fail(seen, one_step(stick_9_1));
    assert_true(isnan(row_at(filled, 1)) && isnan(row_at(filled, 4)));
    assert_float_equal(row_at(filled, 2), 10 + 20 * 2 / 3., 1e-5); /* float */
    es_bricks_free(filled);
    es_bricks_free(seen);
}

/* 30 % taken out of a smooth volume. The bias: 0.1 % of the range asked. Its
 * second derivative is at most 42.5 (2 pi)^2 (0.0192^2 + 0.0223^2 + 0.0199^2) =
 * 2.1 greys a voxel^2, and a straight line over a gap of two voxels is off by
 * that at most, 2.1 * 1 * 2 / 2. Its slope is at most 42.5 * 2 pi * (0.0192 +
 * 0.0223 + 0.0199) = 16.4 greys a voxel, and less than half of that on average;
 * a mean over a cube lies a voxel to the side at most. */
static void check_truth(int across) {
    dense seen;
    truth_with_holes(across, &seen);
    es_bricks *bricks = dense_to_bricks(&seen);
    for (int i = 1; i < MANY_STEPS; i++) {
        if (many_steps[i].size == 15 || many_steps[i].stdev == 0.1) continue; /* no one's choice */
        es_bricks *filled = fill_or_fail(bricks, one_step(many_steps[i]));
        truth_error e = measure_fill(&seen, filled);
        print_message("  %s, step %2d: RMS %.3f, bias %+.3f, worst %.2f, %zu of %zu holes\n",
                      across < 0 ? "random" : "slabs", i, e.rms, e.bias, e.worst, e.filled,
                      e.holes);
        assert_true(e.filled > e.holes / 2);
        assert_true(fabs(e.bias) <= 0.001 * 255);
        assert_true(e.rms <= (many_steps[i].kind == ES_FILL_STICK ? 2.2 : 8));
        es_bricks_free(filled);
    }
    es_bricks_free(bricks);
    dense_free(&seen);
}

static void a_known_volume_comes_back_without_bias(void **state) {
    (void)state;
    check_truth(-1);
    for (int across = 0; across < 3; across++) check_truth(across);
}

static void a_constant_stays_constant(void **state) {
    (void)state;
    dense field;
    make_field(5, oblong, &field);
    for (int i = 0; i < field.size[0] * field.size[1] * field.size[2]; i++) field.value[i] = 77;
    es_bricks *seen = dense_to_bricks(&field);
    for (int i = 0; i < MANY_STEPS; i++) {
        es_bricks *filled = fill_or_fail(seen, one_step(many_steps[i]));
        assert_true(es_bricks_count(filled) > 0);
        for (size_t b = 0; b < es_bricks_count(filled); b++)
            for (int v = 0; v < ES_BRICK_VOXELS; v++) {
                const es_brick *brick = es_bricks_get(filled, b);
                /* Sums of up to 15^3 products in float: a few units in the last place. */
                if (brick->weight[v] > 0) assert_float_equal(brick->value[v], 77, 77 * 1e-6 * 4);
            }
        es_bricks_free(filled);
    }
    es_bricks_free(seen);
    dense_free(&field);
}

/* ---- mirrors -------------------------------------------------------------------- */

/* Voxel v becomes -1 - v along the axis, so that bricks map onto bricks. */
static void mirror(const dense *from, int axis, dense *to) {
    *to = *from;
    dense_alloc(to);
    to->first[axis] = -from->first[axis] - from->size[axis];
    for (int z = 0; z < from->size[2]; z++)
        for (int y = 0; y < from->size[1]; y++)
            for (int x = 0; x < from->size[0]; x++) {
                int at[3] = {x, y, z};
                at[axis] = from->size[axis] - 1 - at[axis];
                size_t out = dense_index(to, at[0], at[1], at[2]), in = dense_index(from, x, y, z);
                to->value[out] = from->value[in];
                to->weight[out] = from->weight[in];
            }
}

static void a_mirrored_volume_gives_the_mirrored_bits(void **state) {
    (void)state;
    dense field, mirrored, dense_filled, expected;
    make_field(21, oblong, &field);
    es_bricks *seen = dense_to_bricks(&field);
    int64_t high[3];
    for (int a = 0; a < 3; a++) high[a] = field.first[a] + field.size[a] - 1;
    for (int i = 0; i < 3 * MANY_STEPS; i++) {
        es_fill_options options = one_step(many_steps[i / 3]);
        es_bricks *filled = fill_or_fail(seen, options);
        assert_true(dense_from_bricks(filled, field.first, high, &dense_filled));
        mirror(&dense_filled, i % 3, &expected);
        mirror(&field, i % 3, &mirrored);
        es_bricks *seen_mirrored = dense_to_bricks(&mirrored);
        es_bricks *filled_mirrored = fill_or_fail(seen_mirrored, options);
        assert_int_equal(count_differences(&expected, filled_mirrored), 0);
        es_bricks_free(filled_mirrored);
        es_bricks_free(seen_mirrored);
        es_bricks_free(filled);
        dense_free(&dense_filled);
        dense_free(&expected);
        dense_free(&mirrored);
    }
    es_bricks_free(seen);
    dense_free(&field);
}

/* ---- nothing grows ----------------------------------------------------------------- */

static void nothing_grows_out_of_the_scanned_region(void **state) {
    (void)state;
    /* A ball of radius 20 without holes is convex: no line has known voxels on
     * both sides of one outside, but for the steps of its rasterised edge. */
    dense ball = {.size = {48, 48, 48}, .first = {0, 0, 0}, .spacing_mm = {1, 1, 1}};
    dense_alloc(&ball);
    for (int z = 0; z < 48; z++)
        for (int y = 0; y < 48; y++)
            for (int x = 0; x < 48; x++) {
                double r2 = pow(x - 23.5, 2) + pow(y - 23.5, 2) + pow(z - 23.5, 2);
                ball.value[dense_index(&ball, x, y, z)] = 100;
                ball.weight[dense_index(&ball, x, y, z)] = r2 <= 400;
            }
    es_bricks *seen = dense_to_bricks(&ball);
    for (int i = 0; i < MANY_STEPS; i++) {
        es_bricks *filled = fill_or_fail(seen, one_step(many_steps[i]));
        assert_int_equal(es_bricks_count(filled), 0);
        es_bricks_free(filled);
    }
    es_bricks_free(seen);
    dense_free(&ball);
}

static void holes_in_bricks_that_are_not_there_are_filled(void **state) {
    (void)state;
    /* Two planes, z = 15 and z = 32: the brick between them is absent. */
    dense planes = {.size = {48, 48, 18}, .first = {0, 0, 15}, .spacing_mm = {1, 1, 1}};
    dense_alloc(&planes);
    for (int y = 0; y < 48; y++)
        for (int x = 0; x < 48; x++)
            for (int z = 0; z < 18; z += 17) {
                planes.value[dense_index(&planes, x, y, z)] = (float)(10 * z);
                planes.weight[dense_index(&planes, x, y, z)] = 1;
            }
    es_bricks *seen = dense_to_bricks(&planes);
    es_fill_step step = stick_9_1;
    step.stick_length_limit = 18;
    es_bricks *filled = fill_or_fail(seen, one_step(step));
    assert_null(es_bricks_find(seen, 1, 1, 1));
    const es_brick *between = es_bricks_find(filled, 1, 1, 1);
    assert_non_null(between);
    for (int z = 0; z < ES_BRICK; z++)
        for (int i = 0; i < ES_BRICK * ES_BRICK; i++)
            /* Ties of slanted sticks do not occur: the upright one is the shortest. */
            assert_true(between->value[256 * z + i] == (float)(10 * (z + 1)));
    es_bricks_free(filled);
    es_bricks_free(seen);
    dense_free(&planes);
}

/* ---- threads and updates --------------------------------------------------------------- */

/* Same voxels and bits; bricks without any may be there or not. */
static void assert_same(const es_bricks *a, const es_bricks *b) {
    static const float nothing[ES_BRICK_VOXELS];
    for (int turn = 0; turn < 2; turn++) {
        const es_bricks *from = turn ? b : a, *to = turn ? a : b;
        for (size_t i = 0; i < es_bricks_count(from); i++) {
            const es_brick *p = es_bricks_get(from, i);
            const es_brick *q = es_bricks_find(to, p->at[0], p->at[1], p->at[2]);
            assert_memory_equal(p->value, q ? q->value : nothing, sizeof nothing);
            assert_memory_equal(p->weight, q ? q->weight : nothing, sizeof nothing);
        }
    }
}

static void any_number_of_threads_gives_the_same_bricks(void **state) {
    (void)state;
    dense field;
    make_field(31, cubic, &field);
    es_bricks *seen = dense_to_bricks(&field);
    es_fill_options options = {.steps = {many_steps[5], many_steps[9], stick_9_1}, .count = 3};
    es_bricks *alone = fill_or_fail(seen, options);
    const int threads[] = {1, 2, 3, 8};
    for (int t = 0; t < 4; t++) {
        options.pool = es_pool_new(threads[t], NULL);
        es_bricks *filled = fill_or_fail(seen, options);
        assert_int_equal(es_bricks_count(filled), es_bricks_count(alone));
        for (size_t i = 0; i < es_bricks_count(alone); i++)
            assert_memory_equal(es_bricks_get(filled, i), es_bricks_get(alone, i),
                                sizeof(es_brick));
        es_bricks_free(filled);
        es_pool_free(options.pool);
    }
    es_bricks_free(alone);
    es_bricks_free(seen);
    dense_free(&field);
}

/* Changes some voxels of one brick: new values, new voxels, voxels gone. */
static void disturb(es_brick *brick, es_random *random) {
    for (int i = 0; i < 60; i++) {
        int voxel = (int)(es_random_bits(random) % ES_BRICK_VOXELS);
        brick->weight[voxel] = (float)(es_random_bits(random) % 3);
        brick->value[voxel] = brick->weight[voxel] > 0 ? (float)es_random_uniform(random) : 0;
    }
}

static void an_update_gives_what_a_new_fill_gives(void **state) {
    (void)state;
    const es_fill_options mixed = {
        .steps = {many_steps[5],
                  {.kind = ES_FILL_STICK, .stick_length_limit = 24, .number_of_sticks = 1}},
        .count = 2};
    const es_fill_options options[] = {one_step(stick_9_1), one_step(gaussian_5), mixed};
    for (int o = 0; o < 3; o++) {
        dense field;
        make_field(41, cubic, &field);
        es_bricks *seen = dense_to_bricks(&field), *filled = fill_or_fail(seen, options[o]);
        es_random random = es_random_new(42, (uint64_t)o);
        for (int turn = 0; turn < 6; turn++) {
            int32_t changed[2][3];
            for (int n = 0; n < 2; n++) {
                size_t index = es_random_bits(&random) % es_bricks_count(seen);
                memcpy(changed[n], es_bricks_get(seen, index)->at, sizeof changed[n]);
                if (n == 1) changed[n][turn % 3] += turn < 3 ? 2 : -2; /* may be new */
                es_brick *brick =
                    es_bricks_add(seen, changed[n][0], changed[n][1], changed[n][2], NULL);
                disturb(brick, &random);
            }
            es_brick_places places = {(const int32_t(*)[3])changed, 2};
            assert_true(es_fill_update(seen, places, &options[o], filled, NULL, NULL));
            es_bricks *anew = fill_or_fail(seen, options[o]);
            assert_same(filled, anew);
            es_bricks_free(anew);
        }
        es_bricks_free(filled);
        es_bricks_free(seen);
        dense_free(&field);
    }
}

static void an_update_looks_only_within_reach(void **state) {
    (void)state;
    dense row = {.size = {400, 20, 20}, .spacing_mm = {1, 1, 1}};
    dense_alloc(&row);
    for (int i = 0; i < 400 * 20 * 20; i++) row.value[i] = row.weight[i] = (float)(i % 3 != 0);
    es_bricks *seen = dense_to_bricks(&row), *filled = fill_or_fail(seen, one_step(stick_9_1));
    const int32_t changed[][3] = {{12, 0, 0}, {12, 0, 0}};
    es_fill_options options = one_step(stick_9_1);
    es_fill_stats stats;
    assert_true(
        es_fill_update(seen, (es_brick_places){changed, 2}, &options, filled, &stats, NULL));
    assert_int_equal(stats.bricks, 27);
    assert_true(es_fill_update(seen, (es_brick_places){NULL, 0}, &options, filled, &stats, NULL));
    assert_int_equal(stats.bricks, 0);
    es_bricks_free(filled);
    es_bricks_free(seen);
    dense_free(&row);
}

static void bricks_at_the_ends_of_the_lattice_are_filled_too(void **state) {
    (void)state;
    const double origin_mm[3] = {0, 0, 0};
    es_bricks *seen = es_bricks_new(origin_mm, cubic, NULL);
    const int32_t ends[2] = {INT32_MIN, INT32_MAX};
    for (int e = 0; e < 2; e++) {
        es_brick *brick = es_bricks_add(seen, ends[e], ends[e], ends[e], NULL);
        for (int i = 0; i < ES_BRICK_VOXELS; i += 2) {
            brick->value[i] = 5;
            brick->weight[i] = 1;
        }
    }
    es_bricks *filled = fill_or_fail(seen, one_step(stick_9_1));
    assert_int_equal(es_bricks_count(filled), 2);
    es_fill_options options = one_step(stick_9_1);
    const int32_t changed[][3] = {{INT32_MIN, INT32_MIN, INT32_MIN},
                                  {INT32_MAX, INT32_MAX, INT32_MAX}};
    assert_true(es_fill_update(seen, (es_brick_places){changed, 2}, &options, filled, NULL, NULL));
    assert_true(es_bricks_find(filled, ends[1], ends[1], ends[1])->value[1] == 5);
    es_bricks_free(filled);
    es_bricks_free(seen);
}

/* ---- for writers --------------------------------------------------------------------- */

static void filled_voxels_lie_over_a_dense_grid(void **state) {
    (void)state;
    const double values[] = {10, NAN, 21, NAN, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, NAN, 9};
    es_bricks *seen = make_row(values, 19), *filled = fill_or_fail(seen, one_step(stick_9_1));
    es_grid_info info;
    assert_true(es_bricks_grid_info(seen, &info, NULL));
    info.type = ES_U8;
    uint8_t slab[19], mark[19] = {0};
    for (int i = 0; i < 19; i++) slab[i] = isnan(values[i]) ? 0 : (uint8_t)values[i];
    assert_true(es_fill_overlay(filled, &info, 0, 1, slab, NULL));
    assert_true(es_fill_mark(filled, &info, 0, 1, mark, NULL));
    assert_int_equal(slab[1], 16); /* 15.5, half away from zero */
    assert_int_equal(slab[3], 13);
    assert_int_equal(slab[17], 7);
    assert_int_equal(slab[0], 10);
    for (int i = 0; i < 19; i++) assert_int_equal(mark[i], i == 1 || i == 3 || i == 17);
    es_error err = {0};
    info.channels = 3;
    assert_false(es_fill_overlay(filled, &info, 0, 1, slab, &err));
    assert_int_equal(err.code, ES_USAGE);
    info.channels = 1;
    info.origin_mm[1] += 0.4;
    assert_false(es_fill_overlay(filled, &info, 0, 1, slab, &err));
    assert_false(es_fill_mark(filled, &info, 0, 1, mark, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_grid_info_clear(&info);
    es_bricks_free(filled);
    es_bricks_free(seen);
}

/* ---- bad input -------------------------------------------------------------------------- */

static void steps_out_of_range_are_refused_in_words(void **state) {
    (void)state;
    static const struct {
        es_fill_step step;
        const char *word;
    } bad[] = {
        {{.kind = ES_FILL_STICK, .stick_length_limit = 2, .number_of_sticks = 1}, "StickLength"},
        {{.kind = ES_FILL_STICK, .stick_length_limit = 128, .number_of_sticks = 1}, "StickLength"},
        {{.kind = ES_FILL_STICK, .stick_length_limit = -9, .number_of_sticks = 1}, "StickLength"},
        {{.kind = ES_FILL_STICK, .stick_length_limit = 9, .number_of_sticks = 0}, "NumberOfSticks"},
        {{.kind = ES_FILL_STICK, .stick_length_limit = 9, .number_of_sticks = 14},
         "NumberOfSticks"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 4, .stdev = 1}, "Size"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 1, .stdev = 1}, "Size"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 17, .stdev = 1}, "Size"},
        {{.kind = ES_FILL_NEAREST, .size = -3}, "Size"},
        {{.kind = ES_FILL_INVERSE_DISTANCE, .size = 0}, "Size"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = 0}, "Stdev"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = -1}, "Stdev"},
        {{.kind = ES_FILL_GAUSSIAN, .size = 5, .stdev = NAN}, "Stdev"},
        {{.kind = ES_FILL_GAUSSIAN_ACCUMULATION, .size = 5, .stdev = INFINITY}, "Stdev"},
        {{.kind = ES_FILL_NEAREST, .size = 5, .minimum_known_ratio = -0.1}, "Ratio"},
        {{.kind = ES_FILL_NEAREST, .size = 5, .minimum_known_ratio = 1.1}, "Ratio"},
        {{.kind = ES_FILL_INVERSE_DISTANCE, .size = 5, .minimum_known_ratio = NAN}, "Ratio"},
        {{.kind = (es_fill_kind)99}, "99"},
    };
    const double values[] = {1, NAN, 1, 1, 1, 1, 1, 1, 1, 1};
    es_bricks *seen = make_row(values, 10);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_fill_options options = {.steps = {stick_9_1, bad[i].step}, .count = 2};
        es_error err = {0};
        assert_null(es_fill(seen, &options, NULL, &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_non_null(strstr(err.message, bad[i].word));
        assert_non_null(strstr(err.message, "step 2 of 2"));
    }
    es_fill_options none = {.count = 0}, more = {.count = ES_FILL_STEPS + 1};
    es_error err = {0};
    assert_null(es_fill(seen, &none, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_null(es_fill(seen, &more, NULL, &err));
    es_bricks_free(seen);
}

static void a_stick_longer_than_the_volume_is_refused(void **state) {
    (void)state;
    const double values[] = {1, NAN, 1, 1, 1, 1, 1, 1};
    es_bricks *seen = make_row(values, 8);
    es_fill_options options = one_step(stick_9_1);
    es_error err = {0};
    assert_null(es_fill(seen, &options, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "8 voxels"));
    options.steps[0].stick_length_limit = 8;
    es_bricks *filled = fill_or_fail(seen, options);
    assert_true(row_at(filled, 1) == 1);
    es_bricks_free(filled);
    es_bricks_free(seen);
}

static void an_empty_volume_has_nothing_to_fill(void **state) {
    (void)state;
    const double origin_mm[3] = {0, 0, 0};
    es_bricks *seen = es_bricks_new(origin_mm, cubic, NULL);
    assert_non_null(es_bricks_add(seen, 0, 0, 0, NULL));
    es_bricks *filled = fill_or_fail(seen, one_step(stick_9_1));
    assert_int_equal(es_bricks_count(filled), 0);
    es_bricks_free(filled);
    es_bricks_free(seen);
}

static void another_lattice_is_not_updated(void **state) {
    (void)state;
    const double origin_mm[3] = {0, 0, 0};
    es_bricks *seen = es_bricks_new(origin_mm, cubic, NULL);
    es_bricks *other = es_bricks_new(origin_mm, oblong, NULL);
    es_fill_options options = one_step(stick_9_1);
    es_error err = {0};
    assert_false(es_fill_update(seen, (es_brick_places){NULL, 0}, &options, other, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_bricks_free(other);
    es_bricks_free(seen);
}

static void cancelling_stops_the_work(void **state) {
    (void)state;
    const double values[] = {1, NAN, 1, 1, 1, 1, 1, 1, 1, 1};
    es_bricks *seen = make_row(values, 10);
    es_fill_options options = one_step(stick_9_1);
    es_error err = {0};
    es_cancel();
    es_bricks *filled = es_fill(seen, &options, NULL, &err);
    es_cancel_reset();
    assert_null(filled);
    assert_int_equal(err.code, ES_CANCELLED);
    es_bricks_free(seen);
}

static void every_failed_allocation_is_reported(void **state) {
    (void)state;
    dense field;
    make_field(51, cubic, &field);
    es_bricks *seen = dense_to_bricks(&field);
    const es_fill_options options = {.steps = {gaussian_5, stick_9_1}, .count = 2};
    long n = 0;
    for (;; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_bricks *filled = es_fill(seen, &options, NULL, &err);
        es_alloc_fail_after(-1);
        es_bricks_free(filled);
        if (filled) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 10000);
    }
    assert_true(n > 10); /* bricks, methods, rooms, results */
    es_bricks_free(seen);
    dense_free(&field);
}

static void a_failed_update_can_be_repeated(void **state) {
    (void)state;
    dense field;
    make_field(61, cubic, &field);
    es_bricks *seen = dense_to_bricks(&field), *filled = fill_or_fail(seen, one_step(stick_9_1));
    es_fill_options options = one_step(stick_9_1);
    int32_t changed[1][3];
    memcpy(changed[0], es_bricks_get(seen, 3)->at, sizeof changed[0]);
    es_random random = es_random_new(62, 0);
    disturb(es_bricks_get(seen, 3), &random);
    es_brick_places places = {(const int32_t(*)[3])changed, 1};
    bool ok = false;
    for (long n = 0; !ok; n += 7) {
        es_error err = {0};
        es_alloc_fail_after(n);
        ok = es_fill_update(seen, places, &options, filled, NULL, &err);
        es_alloc_fail_after(-1);
        assert_true(ok || err.code == ES_MEMORY);
    }
    es_bricks *anew = fill_or_fail(seen, options);
    assert_same(filled, anew);
    es_bricks_free(anew);
    es_bricks_free(filled);
    es_bricks_free(seen);
    dense_free(&field);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_processor_gives_the_bits_of_the_plain_way),
        cmocka_unit_test(voxels_that_are_no_cubes_are_measured_in_mm),
        cmocka_unit_test(steps_are_tried_in_order_and_read_seen_voxels_only),
        cmocka_unit_test(a_stick_may_be_as_long_as_eight_bricks),
        cmocka_unit_test(a_stick_interpolates_without_skew),
        cmocka_unit_test(a_stick_counts_its_two_ends),
        cmocka_unit_test(what_was_seen_black_is_no_hole_and_counts),
        cmocka_unit_test(values_that_are_not_finite_are_neither_filled_nor_read),
        cmocka_unit_test(a_known_volume_comes_back_without_bias),
        cmocka_unit_test(a_constant_stays_constant),
        cmocka_unit_test(a_mirrored_volume_gives_the_mirrored_bits),
        cmocka_unit_test(nothing_grows_out_of_the_scanned_region),
        cmocka_unit_test(holes_in_bricks_that_are_not_there_are_filled),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bricks),
        cmocka_unit_test(an_update_gives_what_a_new_fill_gives),
        cmocka_unit_test(an_update_looks_only_within_reach),
        cmocka_unit_test(bricks_at_the_ends_of_the_lattice_are_filled_too),
        cmocka_unit_test(filled_voxels_lie_over_a_dense_grid),
        cmocka_unit_test(steps_out_of_range_are_refused_in_words),
        cmocka_unit_test(a_stick_longer_than_the_volume_is_refused),
        cmocka_unit_test(an_empty_volume_has_nothing_to_fill),
        cmocka_unit_test(another_lattice_is_not_updated),
        cmocka_unit_test(cancelling_stops_the_work),
        cmocka_unit_test(every_failed_allocation_is_reported),
        cmocka_unit_test(a_failed_update_can_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
