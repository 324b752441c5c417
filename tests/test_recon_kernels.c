/* The kernels of this processor against the plain ones: every bit of every
 * output, over random frames, poses, clips, fans, thresholds, types and threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/recon.h"

enum { MOST_FRAMES = 6, FRAME_ROOM = 64 };

typedef struct scene {
    es_recon_options options;
    size_t count;
    es_image images[FRAME_ROOM];
    const es_image *pointers[FRAME_ROOM];
    es_mat4 poses[FRAME_ROOM];
    es_image mask;
} scene;

/* ---- random scenes ------------------------------------------------------------------ */

static double between(es_random *random, double low, double high) {
    return low + (high - low) * es_random_uniform(random);
}

static bool chance(es_random *random, double probability) {
    return es_random_uniform(random) < probability;
}

static void fill_image(es_random *random, es_image *image) {
    double low = -3e5, high = 3e5;
    if (image->type < ES_F32) es_type_range(image->type, &low, &high);
    size_t values = (size_t)image->width * image->height * (size_t)image->channels;
    for (size_t i = 0; i < values; i++) {
        double value = between(random, low, high);
        if (image->type >= ES_F32 && chance(random, 0.01)) value = chance(random, 0.5) ? NAN : -0.;
        es_type_set(image->type, image->data, i, value);
    }
}

/* Rows along an axis or anywhere, pixels of 0.04 to 2 voxels, now and then
 * exactly on the lattice, where rounding would show. */
static es_mat4 random_pose(es_random *random) {
    if (chance(random, 0.2)) {
        double pixel = chance(random, 0.5) ? 0.5 : 1;
        es_mat4 whole = es_mat4_translation(floor(between(random, -40, 40)), 0.5, -3);
        return es_mat4_multiply(whole, es_mat4_scaling(pixel, pixel, pixel));
    }
    es_vec3 axis =
        es_vec3_make(es_random_normal(random), es_random_normal(random), es_random_normal(random));
    double angle = chance(random, 0.3) ? between(random, 0, 0.1) : between(random, 0, 3.2);
    double u_mm = exp(between(random, log(0.05), log(1.2))), v_mm = u_mm * between(random, 0.5, 2);
    es_mat4 m = es_mat4_translation(between(random, -50, 50), between(random, -50, 50),
                                    between(random, -50, 50));
    m = es_mat4_multiply(m, es_mat4_rotation(es_vec3_unit(axis), angle));
    return es_mat4_multiply(m, es_mat4_scaling(u_mm, v_mm, 1));
}

static void limit_pixels(es_random *random, es_recon_options *o, uint32_t width, uint32_t height) {
    if (chance(random, 0.4)) {
        o->has_clip = true;
        for (int a = 0; a < 2; a++) {
            o->clip_origin[a] = (int32_t)between(random, -5, 20);
            o->clip_size[a] = (int32_t)between(random, 1, 120);
        }
    }
    if (chance(random, 0.3))
        o->fan = (es_fan){.kind = ES_FAN_CURVED,
                          .apex_u = width / 2.,
                          .apex_v = -10,
                          .radius_start = 12,
                          .radius_stop = 13. + height,
                          .angle_start_rad = -0.7,
                          .angle_stop_rad = 0.6,
                          .aspect = 1};
    if (chance(random, 0.3)) {
        o->has_extent = true;
        for (int a = 0; a < 3; a++) {
            o->extent[2 * a] = (int64_t)between(random, -60, 0);
            o->extent[2 * a + 1] = (int64_t)between(random, 0, 60);
        }
    }
}

/* Weights of all sizes, many of them 0 or 255. */
static void make_mask(es_random *random, es_image *mask, uint32_t width, uint32_t height) {
    assert_true(es_image_resize(mask, ES_U8, 1, width, height, NULL));
    for (size_t i = 0; i < (size_t)width * height; i++) {
        uint8_t weight = (uint8_t)between(random, 0, 256);
        ((uint8_t *)mask->data)[i] = chance(random, 0.3) ? 0 : chance(random, 0.3) ? 255 : weight;
    }
}

static void make_scene(scene *s, uint64_t number, es_type type, es_interpolation interpolation,
                       es_compounding compounding) {
    es_random random = es_random_new(7, number);
    es_recon_options o = ES_RECON_DEFAULTS;
    for (int a = 0; a < 3; a++) {
        o.spacing_mm[a] = between(&random, 0.7, 1.4);
        o.origin_mm[a] = between(&random, -1, 1);
    }
    if (chance(&random, 0.3)) o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = 1;
    o.type = type;
    o.interpolation = interpolation;
    o.compounding = compounding;
    o.channels = chance(&random, 0.15) ? 3 : 1;
    o.spread = compounding == ES_MEAN && chance(&random, 0.3);
    if (chance(&random, 0.3)) {
        double low = 0, high = 100;
        if (type < ES_F32) es_type_range(type, &low, &high);
        o.threshold = between(&random, low, high);
    }
    uint32_t width = (uint32_t)between(&random, 1, 150), height = (uint32_t)between(&random, 1, 90);
    limit_pixels(&random, &o, width, height);
    *s = (scene){.options = o, .count = (size_t)between(&random, 1, MOST_FRAMES + 1)};
    for (size_t f = 0; f < s->count; f++) {
        assert_true(es_image_resize(&s->images[f], type, o.channels, width, height, NULL));
        fill_image(&random, &s->images[f]);
        s->pointers[f] = &s->images[f];
        s->poses[f] = random_pose(&random);
    }
    if (compounding != ES_MEAN || !chance(&random, 0.4)) return;
    make_mask(&random, &s->mask, width, height);
    s->options.mask = &s->mask;
}

static void clear_scene(scene *s) {
    for (size_t f = 0; f < s->count; f++) es_image_clear(&s->images[f]);
    es_image_clear(&s->mask);
}

/* ---- everything that comes out -------------------------------------------------------- */

typedef struct output {
    bool empty;
    es_volume_stats stats;
    size_t voxels, value_bytes;
    uint8_t *values;
    uint16_t *hits;
    float *spread;
    es_bricks *bricks;
} output;

static void pull(es_volume *volume, const es_recon_options *o, output *out) {
    es_grid_info info;
    out->stats = es_volume_statistics(volume);
    out->empty = !es_volume_grid_info(volume, &info, NULL);
    if (out->empty) return;
    out->voxels = (size_t)(info.size[0] * info.size[1] * info.size[2]);
    out->value_bytes = out->voxels * es_type_size(o->type) * (size_t)o->channels;
    out->values = malloc(out->value_bytes);
    out->hits = malloc(out->voxels * sizeof *out->hits);
    assert_true(es_volume_slab(volume, 0, info.size[2], out->values, NULL));
    assert_true(es_volume_hits_slab(volume, 0, info.size[2], out->hits, NULL));
    if (o->spread) {
        out->spread = malloc(out->voxels * sizeof *out->spread);
        assert_true(es_volume_spread_slab(volume, 0, info.size[2], out->spread, NULL));
    }
    out->bricks = es_volume_bricks(volume, NULL);
    assert_non_null(out->bricks);
}

static output reconstruct(const scene *s, const char *level, int threads) {
    es_error err = {0};
    output out = {0};
    es_pool *pool = threads > 1 ? es_pool_new(threads, NULL) : NULL;
    setenv("ES_CPU", level, 1);
    es_volume *volume = es_volume_new(&s->options, pool, &err);
    if (!volume || !es_volume_insert(volume, s->pointers, s->poses, s->count, &err))
        fail_msg("%s", err.message);
    pull(volume, &s->options, &out);
    es_volume_free(volume);
    es_pool_free(pool);
    return out;
}

static void clear_output(output *out) {
    free(out->values);
    free(out->hits);
    free(out->spread);
    es_bricks_free(out->bricks);
}

static void same_bricks(const es_bricks *a, const es_bricks *b) {
    assert_int_equal(es_bricks_count(a), es_bricks_count(b));
    for (size_t i = 0; i < es_bricks_count(a); i++)
        assert_memory_equal(es_bricks_get(a, i), es_bricks_get(b, i), sizeof(es_brick));
}

static void same_output(const output *a, const output *b) {
    assert_int_equal(a->empty, b->empty);
    assert_int_equal(a->stats.pixels_inserted, b->stats.pixels_inserted);
    assert_int_equal(a->stats.pixels_ignored, b->stats.pixels_ignored);
    assert_int_equal(a->stats.pixels_outside, b->stats.pixels_outside);
    if (a->empty) return;
    assert_int_equal(a->value_bytes, b->value_bytes);
    assert_memory_equal(a->values, b->values, a->value_bytes);
    assert_memory_equal(a->hits, b->hits, a->voxels * sizeof *a->hits);
    if (a->spread) assert_memory_equal(a->spread, b->spread, a->voxels * sizeof *a->spread);
    same_bricks(a->bricks, b->bricks);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void skip_without_kernels(void) {
    es_cpu level;
    unsetenv("ES_CPU");
    assert_true(es_cpu_level(&level, NULL));
    if (level >= ES_CPU_AVX2) return;
    print_message("this processor has no AVX2: nothing to compare\n");
    skip();
}

enum { SCENES = 8 };

static void compare_modes(es_interpolation interpolation) {
    static const int threads[4] = {1, 2, 3, 8};
    size_t empty = 0, all = 0;
    for (int type = ES_U8; type <= ES_F64; type++)
        for (int compounding = ES_LATEST; compounding <= ES_MAXIMUM; compounding++)
            for (uint64_t n = 0; n < SCENES; n++, all++) {
                scene s;
                make_scene(&s, all + 1000 * (uint64_t)interpolation, (es_type)type, interpolation,
                           (es_compounding)compounding);
                output plain = reconstruct(&s, "scalar", 1);
                output fast = reconstruct(&s, "avx2", threads[n % 4]);
                same_output(&plain, &fast);
                empty += plain.empty;
                clear_output(&plain);
                clear_output(&fast);
                clear_scene(&s);
            }
    assert_true(empty < all / 4); /* most scenes say something */
}

static void nearest_kernels_give_the_bits_of_the_plain_ones(void **state) {
    (void)state;
    skip_without_kernels();
    compare_modes(ES_NEAREST);
}

static void linear_kernels_give_the_bits_of_the_plain_ones(void **state) {
    (void)state;
    skip_without_kernels();
    compare_modes(ES_LINEAR);
}

/* Pixels from a fourteenth of a voxel, where a voxel gets up to fifteen of a row and
 * rows of a brick are longest, to more than one; images that cross whole bricks. */
static void bytes_in_runs_of_any_length_give_the_bits_of_the_plain_kernel(void **state) {
    (void)state;
    skip_without_kernels();
    static const double pixel_mm[] = {0.065, 0.0701, 0.08, 0.12, 0.25, 0.4, 1.1};
    enum { SIZES = sizeof pixel_mm / sizeof *pixel_mm };
    for (uint64_t n = 0; n < 3 * SIZES; n++) {
        es_random random = es_random_new(11, n);
        scene s = {.options = ES_RECON_DEFAULTS, .count = 1};
        for (int a = 0; a < 3; a++) s.options.spacing_mm[a] = 1;
        s.options.type = n % 2 ? ES_I8 : ES_U8;
        const double pixel = pixel_mm[n % SIZES];
        assert_true(es_image_resize(&s.images[0], s.options.type, 1, 420, 150, NULL));
        fill_image(&random, &s.images[0]);
        s.pointers[0] = &s.images[0];
        es_vec3 axis =
            es_vec3_make(between(&random, -1, 1), between(&random, -1, 1), between(&random, -1, 1));
        const double angle = n < SIZES ? between(&random, 0, 0.1) : between(&random, 0, 3);
        s.poses[0] = es_mat4_multiply(es_mat4_rotation(es_vec3_unit(axis), angle),
                                      es_mat4_scaling(pixel, pixel, 1));
        output plain = reconstruct(&s, "scalar", 1), fast = reconstruct(&s, "avx2", 2);
        same_output(&plain, &fast);
        clear_output(&plain);
        clear_output(&fast);
        clear_scene(&s);
    }
}

/* 64 frames in one batch, all white and all on one another: what a kernel gathers for
 * a batch before it goes to the state must not run over. Rows rise and fall along x. */
static void many_white_frames_on_one_another_give_the_bits_of_the_plain_kernel(void **state) {
    (void)state;
    skip_without_kernels();
    static const double pixel_mm[] = {0.05, 0.1, 0.3, 0.5};
    static const int threads[4] = {1, 2, 3, 8};
    for (int n = 0; n < 16; n++) {
        es_random random = es_random_new(13, (uint64_t)n);
        scene s = {.options = ES_RECON_DEFAULTS, .count = FRAME_ROOM};
        for (int a = 0; a < 3; a++) s.options.spacing_mm[a] = 1;
        s.options.type = n / 4 % 2 ? ES_I8 : ES_U8;
        assert_true(es_image_resize(&s.images[0], s.options.type, 1, 90, 40, NULL));
        memset(s.images[0].data, s.options.type == ES_I8 ? 127 : 255, 90 * 40);
        const double pixel = pixel_mm[n % 4], turned = n / 8 ? M_PI : 0;
        for (size_t f = 0; f < s.count; f++) {
            s.pointers[f] = &s.images[0];
            s.poses[f] = es_mat4_multiply(
                es_mat4_rotation(es_vec3_unit(es_vec3_make(between(&random, -0.1, 0.1),
                                                           between(&random, -0.1, 0.1), 1)),
                                 turned + between(&random, -0.1, 0.1)),
                es_mat4_scaling(pixel, pixel, 1));
        }
        output plain = reconstruct(&s, "scalar", 1);
        output fast = reconstruct(&s, "avx2", threads[n / 4]);
        same_output(&plain, &fast);
        clear_output(&plain);
        clear_output(&fast);
        clear_scene(&s);
    }
}

static void rows_that_end_with_the_image_are_not_read_past(void **state) {
    (void)state;
    skip_without_kernels();
    /* Every width up to more than a chunk, and a block that ends with its last
     * pixel: the address sanitizer sees a byte too many. */
    for (uint32_t width = 1; width < 80; width++)
        for (int interpolation = ES_NEAREST; interpolation <= ES_LINEAR; interpolation++) {
            scene s = {.options = ES_RECON_DEFAULTS, .count = 1};
            es_random random = es_random_new(9, width);
            for (int a = 0; a < 3; a++) s.options.spacing_mm[a] = 1;
            s.options.interpolation = (es_interpolation)interpolation;
            s.images[0] = (es_image){.type = ES_U8, .channels = 1, .width = width, .height = 1};
            s.images[0].data = malloc(width);
            fill_image(&random, &s.images[0]);
            s.pointers[0] = &s.images[0];
            s.poses[0] = es_mat4_scaling(0.2, 0.2, 0.2);
            output plain = reconstruct(&s, "scalar", 1), fast = reconstruct(&s, "avx2", 1);
            same_output(&plain, &fast);
            clear_output(&plain);
            clear_output(&fast);
            free(s.images[0].data);
        }
}

static void an_unknown_processor_level_is_refused_before_any_work(void **state) {
    (void)state;
    es_recon_options o = ES_RECON_DEFAULTS;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 1;
    es_error err = {0};
    setenv("ES_CPU", "sse9", 1);
    assert_null(es_volume_new(&o, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "sse9"));
    unsetenv("ES_CPU");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_kernels_give_the_bits_of_the_plain_ones),
        cmocka_unit_test(linear_kernels_give_the_bits_of_the_plain_ones),
        cmocka_unit_test(bytes_in_runs_of_any_length_give_the_bits_of_the_plain_kernel),
        cmocka_unit_test(many_white_frames_on_one_another_give_the_bits_of_the_plain_kernel),
        cmocka_unit_test(rows_that_end_with_the_image_are_not_read_past),
        cmocka_unit_test(an_unknown_processor_level_is_refused_before_any_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
