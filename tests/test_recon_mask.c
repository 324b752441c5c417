/* Importance masks: each pixel counts as much as the mask says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/recon.h"

enum { WIDTH = 90, HEIGHT = 40, SHIFT = 10, FRAMES = 2 };

/* Two frames of WIDTH x HEIGHT whose pixels lie on voxels; the second is SHIFT
 * voxels further along x, so that a voxel is seen with two weights. */
typedef struct scene {
    es_recon_options options;
    es_image images[FRAMES], mask;
    es_mat4 poses[FRAMES];
} scene;

static uint8_t weight_at(int u, int v) {
    if (u < 0 || u >= WIDTH || v < 0 || v >= HEIGHT) return 0;
    return u > 30 && u < 45 && v > 10 ? 0 : (uint8_t)((37 * u + 91 * v) % 256);
}

static double value_at(int frame, int u, int v) { return (frame * 50 + 3 * u + 7 * v) % 120; }

static void make_scene(scene *s, es_type type, es_interpolation interpolation) {
    *s = (scene){.options = ES_RECON_DEFAULTS};
    es_recon_options *o = &s->options;
    for (int a = 0; a < 3; a++) o->spacing_mm[a] = 1;
    o->type = type;
    o->interpolation = interpolation;
    o->mask = &s->mask;
    assert_true(es_image_resize(&s->mask, ES_U8, 1, WIDTH, HEIGHT, NULL));
    for (int f = 0; f < FRAMES; f++) {
        assert_true(es_image_resize(&s->images[f], type, 1, WIDTH, HEIGHT, NULL));
        s->poses[f] = es_mat4_translation(f * SHIFT, 0, 0);
    }
    for (int v = 0; v < HEIGHT; v++)
        for (int u = 0; u < WIDTH; u++) {
            size_t i = (size_t)(u + v * WIDTH);
            ((uint8_t *)s->mask.data)[i] = weight_at(u, v);
            for (int f = 0; f < FRAMES; f++)
                es_type_set(type, s->images[f].data, i, value_at(f, u, v));
        }
}

static void clear_scene(scene *s) {
    for (int f = 0; f < FRAMES; f++) es_image_clear(&s->images[f]);
    es_image_clear(&s->mask);
}

static es_volume *reconstruct(const scene *s, es_pool *pool) {
    es_error err = {0};
    const es_image *images[FRAMES] = {&s->images[0], &s->images[1]};
    es_volume *volume = es_volume_new(&s->options, pool, &err);
    if (!volume || !es_volume_insert(volume, images, s->poses, FRAMES, &err))
        fail_msg("%s", err.message);
    return volume;
}

/* Value and weight of a voxel; both 0 where unseen. */
static void voxel_at(const es_bricks *bricks, int x, int y, float *value, float *weight) {
    *value = *weight = 0;
    const es_brick *brick = es_bricks_find(bricks, x >> 4, y >> 4, 0);
    if (!brick) return;
    *value = brick->value[(x & 15) + ES_BRICK * (y & 15)];
    *weight = brick->weight[(x & 15) + ES_BRICK * (y & 15)];
}

static bool is_clipped(const scene *s, int u, int v) {
    const es_recon_options *o = &s->options;
    return o->has_clip && !(u >= o->clip_origin[0] && u < o->clip_origin[0] + o->clip_size[0] &&
                            v >= o->clip_origin[1] && v < o->clip_origin[1] + o->clip_size[1]);
}

/* Against the sums written out: both interpolations give the pixel itself here. */
static void check_scene(const scene *s, int threads) {
    es_pool *pool = es_pool_new(threads, NULL);
    es_volume *volume = reconstruct(s, pool);
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    uint64_t kept = 0, ignored = 0;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH + SHIFT; x++) {
            double sum = 0, weights = 0;
            for (int f = 0; f < FRAMES; f++) {
                int u = x - f * SHIFT;
                if (u < 0 || u >= WIDTH || is_clipped(s, u, y)) continue;
                bool counts = weight_at(u, y) > 0 && !(value_at(f, u, y) < s->options.threshold);
                kept += counts;
                ignored += !counts;
                if (!counts) continue;
                sum += weight_at(u, y) * value_at(f, u, y);
                weights += weight_at(u, y);
            }
            float value, weight;
            voxel_at(bricks, x, y, &value, &weight);
            /* Weights are floats (24 bits), values below 128. */
            assert_true(fabs((double)weight - weights / 255) < 1e-6);
            assert_true(fabs((double)value - (weights > 0 ? sum / weights : 0)) < 1e-4);
        }
    es_volume_stats stats = es_volume_statistics(volume);
    assert_int_equal(stats.pixels_inserted, kept);
    assert_int_equal(stats.pixels_ignored, ignored);
    es_bricks_free(bricks);
    es_volume_free(volume);
    es_pool_free(pool);
}

static void a_voxel_is_the_mean_of_its_pixels_by_their_weights(void **state) {
    (void)state;
    for (int type = ES_U8; type <= ES_F64; type++)
        for (int i = ES_NEAREST; i <= ES_LINEAR; i++)
            for (int spread = 0; spread <= 1; spread++) {
                scene s;
                make_scene(&s, (es_type)type, (es_interpolation)i);
                s.options.spread = spread;
                check_scene(&s, 1 + type % 3);
                clear_scene(&s);
            }
}

static void masks_go_with_clip_and_threshold(void **state) {
    (void)state;
    for (int i = ES_NEAREST; i <= ES_LINEAR; i++)
        for (int threshold = 0; threshold <= 1; threshold++) {
            scene s;
            make_scene(&s, ES_U8, (es_interpolation)i);
            s.options.has_clip = true;
            s.options.clip_origin[0] = 5;
            s.options.clip_origin[1] = 3;
            s.options.clip_size[0] = 71;
            s.options.clip_size[1] = 22;
            if (threshold) s.options.threshold = 40;
            check_scene(&s, 2);
            clear_scene(&s);
        }
}

static void pixels_of_weight_0_are_not_seen(void **state) {
    (void)state;
    for (int i = ES_NEAREST; i <= ES_LINEAR; i++) {
        scene s;
        make_scene(&s, ES_F32, (es_interpolation)i);
        memset(s.mask.data, 0, WIDTH * HEIGHT);
        /* Not even where they are no numbers. */
        for (int p = 0; p < WIDTH * HEIGHT; p++) ((float *)s.images[0].data)[p] = NAN;
        es_volume *volume = reconstruct(&s, NULL);
        es_grid_info info;
        es_error err = {0};
        assert_false(es_volume_grid_info(volume, &info, &err));
        assert_int_equal(err.code, ES_GEOMETRY);
        es_volume_free(volume);
        clear_scene(&s);
    }
}

static void *values_of(const scene *s, size_t *bytes) {
    es_volume *volume = reconstruct(s, NULL);
    es_grid_info info;
    assert_true(es_volume_grid_info(volume, &info, NULL));
    size_t voxels = (size_t)(info.size[0] * info.size[1] * info.size[2]);
    *bytes = voxels * es_type_size(info.type);
    void *values = malloc(*bytes);
    assert_true(es_volume_slab(volume, 0, info.size[2], values, NULL));
    es_volume_free(volume);
    return values;
}

static void weights_of_255_change_nothing(void **state) {
    (void)state;
    for (int type = ES_U8; type <= ES_F64; type++)
        for (int i = ES_NEAREST; i <= ES_LINEAR; i++) {
            scene s;
            size_t bytes, masked_bytes;
            make_scene(&s, (es_type)type, (es_interpolation)i);
            memset(s.mask.data, 255, WIDTH * HEIGHT);
            for (int f = 0; f < FRAMES; f++)
                s.poses[f] = es_mat4_multiply(es_mat4_rotation(es_vec3_make(0.6, 0.8, 0), 0.3),
                                              es_mat4_scaling(0.31, 0.37, 1));
            void *masked = values_of(&s, &masked_bytes);
            s.options.mask = NULL;
            void *plain = values_of(&s, &bytes);
            assert_int_equal(bytes, masked_bytes);
            assert_memory_equal(plain, masked, bytes);
            free(plain);
            free(masked);
            clear_scene(&s);
        }
}

static void refused(const es_recon_options *o, const char *word) {
    es_error err = {0};
    assert_null(es_volume_new(o, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, word));
}

static void masks_that_do_not_fit_are_refused(void **state) {
    (void)state;
    scene s;
    make_scene(&s, ES_U8, ES_NEAREST);
    es_recon_options o = s.options;
    o.compounding = ES_MAXIMUM;
    refused(&o, "MEAN");
    es_image mask = s.mask;
    o = s.options;
    o.mask = &mask;
    mask.type = ES_U16;
    refused(&o, "8-bit");
    mask = (es_image){.type = ES_U8, .channels = 1};
    refused(&o, "0 x 0");
    mask = s.mask;
    mask.height--;
    es_error err = {0};
    const es_image *image = &s.images[0];
    es_volume *volume = es_volume_new(&o, NULL, &err);
    assert_false(es_volume_insert(volume, &image, s.poses, 1, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "90 x 39"));
    assert_int_equal(es_volume_statistics(volume).frames, 0);
    es_volume_free(volume);
    clear_scene(&s);
}

static void the_mask_is_the_volumes_own_and_want_of_memory_is_an_error(void **state) {
    (void)state;
    scene s;
    make_scene(&s, ES_U8, ES_LINEAR);
    for (long n = 0;; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_volume *volume = es_volume_new(&s.options, NULL, &err);
        es_alloc_fail_after(-1);
        if (!volume) {
            assert_int_equal(err.code, ES_MEMORY);
            continue;
        }
        assert_true(n > 2);
        es_image_clear(&s.mask); /* and the volume goes on without */
        const es_image *image = &s.images[0];
        assert_true(es_volume_insert(volume, &image, s.poses, 1, &err));
        es_volume_free(volume);
        break;
    }
    clear_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_voxel_is_the_mean_of_its_pixels_by_their_weights),
        cmocka_unit_test(masks_go_with_clip_and_threshold),
        cmocka_unit_test(pixels_of_weight_0_are_not_seen),
        cmocka_unit_test(weights_of_255_change_nothing),
        cmocka_unit_test(masks_that_do_not_fit_are_refused),
        cmocka_unit_test(the_mask_is_the_volumes_own_and_want_of_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
