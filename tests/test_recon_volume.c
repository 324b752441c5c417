/* Frames into voxels: small cases by hand, every type, what is ignored, what is
 * refused, and the same bytes on any number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/recon.h"

/* ---- small helpers ------------------------------------------------------------- */

static es_recon_options options_1mm(void) {
    es_recon_options o = ES_RECON_DEFAULTS;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 1;
    return o;
}

static es_image image_of(es_type type, int channels, uint32_t width, uint32_t height) {
    es_image image = {0};
    assert_true(es_image_resize(&image, type, channels, width, height, NULL));
    memset(image.data, 0, es_image_bytes(&image));
    return image;
}

static void insert_one(es_volume *volume, const es_image *image, es_mat4 pose) {
    es_error err = {0};
    if (!es_volume_insert(volume, &image, &pose, 1, &err)) fail_msg("%s", err.message);
}

static es_volume *volume_of(const es_recon_options *o) {
    es_error err = {0};
    es_volume *volume = es_volume_new(o, NULL, &err);
    if (!volume) fail_msg("%s", err.message);
    return volume;
}

/* The dense result; its origin must be at the volume's voxel `low`. */
static es_grid resolve(es_volume *volume) {
    es_error err = {0};
    es_grid grid = {0};
    if (!es_volume_grid_info(volume, &grid.info, &err) || !es_grid_alloc(&grid, &err) ||
        !es_volume_slab(volume, 0, grid.info.size[2], grid.data, &err))
        fail_msg("%s", err.message);
    return grid;
}

static uint16_t *hits_of(es_volume *volume, const es_grid *grid) {
    uint16_t *hits = calloc(grid->info.size[0] * grid->info.size[1] * grid->info.size[2], 2);
    assert_true(es_volume_hits_slab(volume, 0, grid->info.size[2], hits, NULL));
    return hits;
}

static double at(const es_grid *grid, size_t x, size_t y, size_t z) {
    size_t i = x + grid->info.size[0] * (y + grid->info.size[1] * z);
    return es_type_get(grid->info.type, grid->data, i * (size_t)grid->info.channels);
}

/* ---- by hand -------------------------------------------------------------------- */

static void each_pixel_falls_into_its_nearest_voxel(void **state) {
    (void)state;
    /* Five pixels 0.6 mm apart from x = -0.5: -0.5 0.1 0.7 1.3 1.9 -> 0 0 1 1 2 */
    static const uint8_t pixels[5] = {10, 20, 30, 50, 70};
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 5, 1);
    memcpy(image.data, pixels, 5);
    insert_one(volume, &image,
               es_mat4_multiply(es_mat4_translation(-0.5, 7, -3), es_mat4_scaling(0.6, 0.6, 0.6)));
    es_grid grid = resolve(volume);
    assert_true(grid.info.size[0] == 3 && grid.info.size[1] == 1 && grid.info.size[2] == 1);
    assert_true(grid.info.origin_mm[0] == 0 && grid.info.origin_mm[1] == 7);
    assert_true(grid.info.origin_mm[2] == -3);
    assert_true(at(&grid, 0, 0, 0) == 15 && at(&grid, 1, 0, 0) == 40 && at(&grid, 2, 0, 0) == 70);
    uint16_t *hits = hits_of(volume, &grid);
    assert_true(hits[0] == 2 && hits[1] == 2 && hits[2] == 1);
    free(hits);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void a_pixel_between_voxels_counts_for_its_neighbours_by_distance(void **state) {
    (void)state;
    /* One pixel of 100 at (0.25, 0.5, 0): weights .375 .375 .125 .125. One of 60
     * at (1, 0, 0): weight 1 in one voxel. */
    es_recon_options o = options_1mm();
    o.interpolation = ES_LINEAR;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 1, 1);
    *(uint8_t *)image.data = 100;
    insert_one(volume, &image, es_mat4_translation(0.25, 0.5, 0));
    *(uint8_t *)image.data = 60;
    insert_one(volume, &image, es_mat4_translation(1, 0, 0));
    es_grid grid = resolve(volume);
    assert_true(grid.info.size[0] == 2 && grid.info.size[1] == 2 && grid.info.size[2] == 1);
    assert_true(at(&grid, 0, 0, 0) == 100 && at(&grid, 0, 1, 0) == 100);
    /* (0.125 * 100 + 1 * 60) / 1.125 = 64.4 */
    assert_true(at(&grid, 1, 0, 0) == 64 && at(&grid, 1, 1, 0) == 100);
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    const es_brick *brick = es_bricks_find(bricks, 0, 0, 0);
    assert_true(fabsf(brick->weight[0] - 0.375f) < 1e-6f);
    assert_true(fabsf(brick->weight[1] - 1.125f) < 1e-6f);
    assert_true(fabsf(brick->value[1] - 72.5f / 1.125f) < 1e-4f);
    es_bricks_free(bricks);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

/* One voxel, hit by 7, then 9, then 5; the first frame also has an 8 there. */
static double compounded(es_interpolation interpolation, es_compounding compounding) {
    static const uint8_t first[2] = {8, 7}, others[2] = {9, 5};
    es_recon_options o = options_1mm();
    o.interpolation = interpolation;
    o.compounding = compounding;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 2, 1);
    memcpy(image.data, first, 2);
    insert_one(volume, &image, es_mat4_scaling(1e-6, 1, 1));
    for (int i = 0; i < 2; i++) {
        memset(image.data, others[i], 2);
        insert_one(volume, &image, es_mat4_scaling(1e-6, 1, 1));
    }
    es_grid grid = resolve(volume);
    double value = at(&grid, 0, 0, 0);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
    return value;
}

static void latest_mean_and_maximum_are_what_they_say(void **state) {
    (void)state;
    for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
        assert_true(compounded(i, ES_LATEST) == 5);
        assert_true(compounded(i, ES_MEAN) == 7); /* 43 / 6 = 7.17 */
        assert_true(compounded(i, ES_MAXIMUM) == 9);
    }
}

static void latest_takes_the_last_pixel_of_a_frame_in_the_order_of_rows(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.compounding = ES_LATEST;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 3, 3);
    for (int i = 0; i < 9; i++) ((uint8_t *)image.data)[i] = (uint8_t)(i + 1);
    insert_one(volume, &image, es_mat4_scaling(-0.1, 0.1, 0.1));
    es_grid grid = resolve(volume);
    assert_true(grid.info.size[0] == 1 && at(&grid, 0, 0, 0) == 9);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void the_far_corner_of_a_pixel_does_not_replace_a_good_value(void **state) {
    (void)state;
    /* The second pixel gives voxel 0 a weight of 0.05 only. */
    for (es_compounding compounding = ES_LATEST; compounding <= ES_MAXIMUM; compounding += 2) {
        es_recon_options o = options_1mm();
        o.interpolation = ES_LINEAR;
        o.compounding = compounding;
        es_volume *volume = volume_of(&o);
        es_image image = image_of(ES_U8, 1, 1, 1);
        *(uint8_t *)image.data = 100;
        insert_one(volume, &image, es_mat4_translation(0, 0, 0));
        *(uint8_t *)image.data = 200;
        insert_one(volume, &image, es_mat4_translation(0.95, 0, 0));
        es_grid grid = resolve(volume);
        assert_true(at(&grid, 0, 0, 0) == 100 && at(&grid, 1, 0, 0) == 200);
        es_grid_clear(&grid);
        es_image_clear(&image);
        es_volume_free(volume);
    }
}

/* ---- types ------------------------------------------------------------------------- */

static void every_type_keeps_its_extremes_and_its_mean(void **state) {
    (void)state;
    for (int type = ES_U8; type <= ES_F64; type++)
        for (int mode = 0; mode < 6; mode++) {
            double low, high;
            es_type_range((es_type)type, &low, &high);
            if (type >= ES_F32) low = -1e30, high = 2e30;
            es_recon_options o = options_1mm();
            o.type = (es_type)type;
            o.interpolation = mode % 2 ? ES_LINEAR : ES_NEAREST;
            o.compounding = (es_compounding)(mode / 2);
            es_volume *volume = volume_of(&o);
            es_image image = image_of((es_type)type, 1, 3, 1);
            es_type_set((es_type)type, image.data, 0, low);
            es_type_set((es_type)type, image.data, 1, high);
            es_type_set((es_type)type, image.data, 2, low);
            insert_one(volume, &image, es_mat4_identity());
            insert_one(volume, &image, es_mat4_translation(2, 0, 0));
            es_grid grid = resolve(volume);
            assert_int_equal(grid.info.size[0], 5);
            /* voxels: low, high, low (twice), high, low */
            double step = type >= ES_F32 ? high * 1e-6 : 0;
            for (size_t x = 0; x < 5; x++)
                assert_true(fabs(at(&grid, x, 0, 0) - (x % 2 ? high : low)) <= step);
            es_grid_clear(&grid);
            es_image_clear(&image);
            es_volume_free(volume);
        }
}

static void the_largest_of_negative_values_is_found(void **state) {
    (void)state;
    for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
        es_recon_options o = options_1mm();
        o.type = ES_I16;
        o.interpolation = i;
        o.compounding = ES_MAXIMUM;
        es_volume *volume = volume_of(&o);
        es_image image = image_of(ES_I16, 1, 1, 1);
        static const int16_t values[3] = {-300, -20, -100};
        for (int n = 0; n < 3; n++) {
            *(int16_t *)image.data = values[n];
            insert_one(volume, &image, es_mat4_identity());
        }
        es_grid grid = resolve(volume);
        assert_true(at(&grid, 0, 0, 0) == -20);
        es_grid_clear(&grid);
        es_image_clear(&image);
        es_volume_free(volume);
    }
}

static void colours_stay_apart(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.channels = 3;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 3, 2, 1);
    static const uint8_t pixels[6] = {10, 20, 30, 40, 60, 90};
    memcpy(image.data, pixels, 6);
    insert_one(volume, &image, es_mat4_scaling(0.4, 1, 1)); /* both into voxel 0 */
    es_grid grid = resolve(volume);
    const uint8_t *rgb = grid.data;
    assert_true(rgb[0] == 25 && rgb[1] == 40 && rgb[2] == 60);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

/* ---- seen and unseen ----------------------------------------------------------------- */

static void a_pixel_seen_black_is_not_unseen(void **state) {
    (void)state;
    for (int mode = 0; mode < 6; mode++) {
        es_recon_options o = options_1mm();
        o.interpolation = mode % 2 ? ES_LINEAR : ES_NEAREST;
        o.compounding = (es_compounding)(mode / 2);
        es_volume *volume = volume_of(&o);
        es_image image = image_of(ES_U8, 1, 20, 30);
        insert_one(volume, &image, es_mat4_identity());
        es_grid grid = resolve(volume);
        assert_true(grid.info.size[0] == 20 && grid.info.size[1] == 30 && grid.info.size[2] == 1);
        uint16_t *hits = hits_of(volume, &grid);
        for (int i = 0; i < 600; i++) assert_int_equal(hits[i], 1);
        free(hits);
        es_grid_clear(&grid);
        es_image_clear(&image);
        es_volume_free(volume);
    }
}

static void pixels_below_the_threshold_and_not_finite_are_ignored(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.type = ES_F32;
    o.threshold = 5;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_F32, 1, 6, 1);
    static const float pixels[6] = {4.9f, 5, NAN, INFINITY, 8, -INFINITY};
    memcpy(image.data, pixels, sizeof pixels);
    insert_one(volume, &image, es_mat4_identity());
    es_grid grid = resolve(volume);
    assert_true(grid.info.size[0] == 4 && grid.info.origin_mm[0] == 1); /* voxels 1 to 4 */
    assert_true(at(&grid, 0, 0, 0) == 5 && at(&grid, 1, 0, 0) == 0 && at(&grid, 3, 0, 0) == 8);
    es_volume_stats stats = es_volume_statistics(volume);
    assert_int_equal(stats.pixels_inserted, 2);
    assert_int_equal(stats.pixels_ignored, 4);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void a_colour_is_ignored_when_all_its_channels_are_below(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.channels = 3;
    o.threshold = 50;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 3, 2, 1);
    static const uint8_t pixels[6] = {49, 40, 49, 0, 50, 0};
    memcpy(image.data, pixels, 6);
    insert_one(volume, &image, es_mat4_identity());
    assert_int_equal(es_volume_statistics(volume).pixels_inserted, 1);
    es_grid grid = resolve(volume);
    assert_true(grid.info.size[0] == 1 && ((uint8_t *)grid.data)[1] == 50);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void only_the_clip_rectangle_is_inserted(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.has_clip = true;
    o.clip_origin[0] = 3;
    o.clip_origin[1] = -2;
    o.clip_size[0] = 4;
    o.clip_size[1] = 7;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 10, 10);
    insert_one(volume, &image, es_mat4_identity());
    es_grid grid = resolve(volume);
    assert_true(grid.info.origin_mm[0] == 3 && grid.info.origin_mm[1] == 0);
    assert_true(grid.info.size[0] == 4 && grid.info.size[1] == 5);
    assert_int_equal(es_volume_statistics(volume).pixels_inserted, 20);
    es_grid_clear(&grid);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void only_the_fan_is_inserted_on_both_sides_of_its_inner_arc(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.fan = (es_fan){.kind = ES_FAN_CURVED,
                     .apex_u = 50,
                     .apex_v = -5,
                     .radius_start = 20,
                     .radius_stop = 90,
                     .angle_start_rad = -1,
                     .angle_stop_rad = 0.8,
                     .aspect = 1};
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 101, 80);
    insert_one(volume, &image, es_mat4_identity());
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    uint64_t inside = 0;
    for (int v = 0; v < 80; v++)
        for (int u = 0; u < 101; u++) {
            const es_brick *brick = es_bricks_find(bricks, u / 16, v / 16, 0);
            bool hit = brick && brick->weight[u % 16 + 16 * (v % 16)] > 0;
            double radius = hypot(u - 50, v + 5), angle = atan2(u - 50, v + 5);
            /* Pixels on the border may go either way. */
            if (fabs(radius - 20) > 1e-6 && fabs(radius - 90) > 1e-6)
                assert_int_equal(hit, radius > 20 && radius < 90 && angle > -1 && angle < 0.8);
            inside += hit;
        }
    assert_int_equal(es_volume_statistics(volume).pixels_inserted, inside);
    es_bricks_free(bricks);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void pixels_outside_the_extent_are_left_out_and_counted(void **state) {
    (void)state;
    for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
        es_recon_options o = options_1mm();
        o.interpolation = i;
        o.has_extent = true;
        static const int64_t extent[6] = {5, 24, -3, 4, 0, 0};
        memcpy(o.extent, extent, sizeof extent);
        es_volume *volume = volume_of(&o);
        es_image image = image_of(ES_U8, 1, 40, 10);
        memset(image.data, 9, 400);
        insert_one(volume, &image, es_mat4_identity());
        insert_one(volume, &image, es_mat4_translation(0, 0, 5)); /* wholly outside */
        es_grid grid = resolve(volume);
        assert_true(grid.info.size[0] == 20 && grid.info.size[1] == 8 && grid.info.size[2] == 1);
        assert_true(grid.info.origin_mm[0] == 5 && grid.info.origin_mm[1] == -3);
        for (size_t y = 0; y < 8; y++)
            for (size_t x = 0; x < 20; x++) assert_true(at(&grid, x, y, 0) == (y < 3 ? 0 : 9));
        es_volume_stats stats = es_volume_statistics(volume);
        assert_int_equal(stats.pixels_inserted, 100);
        assert_int_equal(stats.pixels_outside, 700);
        es_grid_clear(&grid);
        es_image_clear(&image);
        es_volume_free(volume);
    }
}

/* ---- an independent reckoning, and threads ------------------------------------------------ */

enum { FRAMES = 90, SIDE = 60 };

typedef struct sweep {
    es_image images[FRAMES];
    const es_image *pointers[FRAMES];
    es_mat4 poses[FRAMES];
} sweep;

static void make_sweep(sweep *s, es_type type) {
    es_random random = es_random_new(7, 1);
    for (int f = 0; f < FRAMES; f++) {
        s->images[f] = image_of(type, 1, SIDE, SIDE);
        s->pointers[f] = &s->images[f];
        for (size_t i = 0; i < SIDE * SIDE; i++)
            es_type_set(type, s->images[f].data, i, floor(256 * es_random_uniform(&random)));
        es_mat4 m = es_mat4_translation(-20.0137 + 0.1 * f, -13.0071, -50.0093 + 0.7 * f);
        m = es_mat4_multiply(m, es_mat4_rotation(es_vec3_make(1, 2, f % 5), 0.017 + 0.02 * f));
        s->poses[f] = es_mat4_multiply(m, es_mat4_scaling(0.31, 0.37, 0.3));
    }
}

static void clear_sweep(sweep *s) {
    for (int f = 0; f < FRAMES; f++) es_image_clear(&s->images[f]);
}

static void the_mean_is_that_of_a_plain_reckoning_in_double(void **state) {
    (void)state;
    sweep s;
    make_sweep(&s, ES_U8);
    es_recon_options o = options_1mm();
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 0.8;
    enum { N = 128 }; /* voxels -64 .. 63 hold the whole sweep */
    double *sum = calloc((size_t)N * N * N, sizeof *sum), *hits = calloc((size_t)N * N * N, 8);
    for (int f = 0; f < FRAMES; f++)
        for (int i = 0; i < SIDE * SIDE; i++) {
            es_vec3 p = es_mat4_point(s.poses[f], es_vec3_make(i % SIDE, i / SIDE, 0));
            size_t x = (size_t)(floor(p.x / 0.8 + 0.5) + 64),
                   y = (size_t)(floor(p.y / 0.8 + 0.5) + 64);
            size_t z = (size_t)(floor(p.z / 0.8 + 0.5) + 64);
            assert_true(x < N && y < N && z < N);
            sum[x + N * (y + N * z)] += ((uint8_t *)s.images[f].data)[i];
            hits[x + N * (y + N * z)] += 1;
        }
    es_volume *volume = volume_of(&o);
    assert_true(es_volume_insert(volume, s.pointers, s.poses, FRAMES, NULL));
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    size_t unlike = 0;
    for (int i = 0; i < N * N * N; i++) {
        int at[3] = {i % N - 64, i / N % N - 64, i / N / N - 64};
        const es_brick *brick = es_bricks_find(bricks, at[0] >> 4, at[1] >> 4, at[2] >> 4);
        size_t k = (size_t)((at[0] & 15) + 16 * ((at[1] & 15) + 16 * (at[2] & 15)));
        double ours = brick ? brick->weight[k] : 0;
        if (ours != hits[i] || (ours > 0 && fabs(brick->value[k] - sum[i] / ours) > 1e-4)) unlike++;
    }
    /* The poses are such that no pixel lies on the border of two voxels. */
    assert_int_equal(unlike, 0);
    free(sum);
    free(hits);
    es_bricks_free(bricks);
    es_volume_free(volume);
    clear_sweep(&s);
}

static es_grid swept(const sweep *s, es_recon_options o, int threads, size_t batch) {
    es_error err = {0};
    es_pool *pool = threads > 1 ? es_pool_new(threads, &err) : NULL;
    es_volume *volume = es_volume_new(&o, pool, &err);
    for (size_t f = 0; f < FRAMES; f += batch)
        if (!es_volume_insert(volume, s->pointers + f, s->poses + f,
                              FRAMES - f < batch ? FRAMES - f : batch, &err))
            fail_msg("%s", err.message);
    es_grid grid = resolve(volume);
    es_volume_free(volume);
    es_pool_free(pool);
    return grid;
}

static void threads_and_batches_do_not_change_a_byte(void **state) {
    (void)state;
    sweep s;
    make_sweep(&s, ES_F32);
    for (int mode = 0; mode < 6; mode++) {
        es_recon_options o = options_1mm();
        o.type = ES_F32;
        o.interpolation = mode % 2 ? ES_LINEAR : ES_NEAREST;
        o.compounding = (es_compounding)(mode / 2);
        es_grid one = swept(&s, o, 1, FRAMES);
        size_t bytes = (size_t)(one.info.size[0] * one.info.size[1] * one.info.size[2]) * 4;
        static const struct {
            int threads;
            size_t batch;
        } others[] = {{1, 1}, {2, FRAMES}, {3, 7}, {8, 64}};
        for (size_t i = 0; i < 4; i++) {
            es_grid other = swept(&s, o, others[i].threads, others[i].batch);
            assert_memory_equal(one.info.size, other.info.size, sizeof one.info.size);
            assert_memory_equal(one.data, other.data, bytes);
            es_grid_clear(&other);
        }
        es_grid_clear(&one);
    }
    clear_sweep(&s);
}

static void a_constant_stays_constant_under_linear_insertion(void **state) {
    (void)state;
    sweep s;
    make_sweep(&s, ES_U8);
    for (int f = 0; f < FRAMES; f++) memset(s.images[f].data, 77, SIDE * SIDE);
    for (es_compounding c = ES_LATEST; c <= ES_MAXIMUM; c++) {
        es_recon_options o = options_1mm();
        o.interpolation = ES_LINEAR;
        o.compounding = c;
        es_grid grid = swept(&s, o, 2, 16);
        size_t seen = 0,
               voxels = (size_t)(grid.info.size[0] * grid.info.size[1] * grid.info.size[2]);
        for (size_t i = 0; i < voxels; i++) {
            uint8_t value = ((uint8_t *)grid.data)[i];
            assert_true(value == 0 || value == 77);
            seen += value == 77;
        }
        assert_true(seen > voxels / 10);
        es_grid_clear(&grid);
    }
    clear_sweep(&s);
}

static void slabs_are_slices_of_the_whole(void **state) {
    (void)state;
    sweep s;
    make_sweep(&s, ES_U8);
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    assert_true(es_volume_insert(volume, s.pointers, s.poses, FRAMES, NULL));
    es_grid grid = resolve(volume);
    size_t slice = (size_t)(grid.info.size[0] * grid.info.size[1]);
    uint8_t *part = malloc(3 * slice);
    for (uint64_t z = 0; z + 3 <= grid.info.size[2]; z += 3) {
        assert_true(es_volume_slab(volume, z, 3, part, NULL));
        assert_memory_equal(part, (uint8_t *)grid.data + z * slice, 3 * slice);
    }
    assert_false(es_volume_slab(volume, grid.info.size[2], 1, part, NULL));
    free(part);
    es_grid_clear(&grid);
    es_volume_free(volume);
    clear_sweep(&s);
}

/* ---- refused ------------------------------------------------------------------------------- */

static void refuse_options(const es_recon_options *o, const char *word) {
    es_error err = {0};
    assert_null(es_volume_new(o, NULL, &err));
    assert_int_equal(err.code, ES_USAGE);
    if (!strstr(err.message, word)) fail_msg("'%s' does not say '%s'", err.message, word);
}

static void contradictory_options_are_refused_in_words(void **state) {
    (void)state;
    es_recon_options o = ES_RECON_DEFAULTS;
    refuse_options(&o, "spacing"); /* never a silent default */
    o = options_1mm();
    o.spacing_mm[1] = NAN;
    refuse_options(&o, "spacing");
    o = options_1mm();
    o.origin_mm[2] = INFINITY;
    refuse_options(&o, "origin");
    o = options_1mm();
    o.channels = 2;
    refuse_options(&o, "channels");
    o = options_1mm();
    o.has_extent = true;
    o.extent[0] = 5;
    refuse_options(&o, "extent");
    o = options_1mm();
    o.has_clip = true;
    refuse_options(&o, "clip");
    o = options_1mm();
    o.spread = true;
    o.compounding = ES_LATEST;
    refuse_options(&o, "spread");
    o = options_1mm();
    o.fan = (es_fan){.kind = ES_FAN_CURVED, .radius_start = 9, .radius_stop = 3, .aspect = 1};
    refuse_options(&o, "radii");
    o = options_1mm();
    o.type = (es_type)17;
    refuse_options(&o, "type");
}

static void refuse_pose(es_mat4 pose, const char *word) {
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 20, 20);
    const es_image *images[2] = {&image, &image};
    es_mat4 poses[2] = {es_mat4_identity(), pose};
    es_error err = {0};
    assert_false(es_volume_insert(volume, images, poses, 2, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    if (!strstr(err.message, word) || !strstr(err.message, "frame 1"))
        fail_msg("'%s' does not say '%s'", err.message, word);
    assert_int_equal(es_volume_statistics(volume).frames, 0);
    assert_int_equal(es_volume_statistics(volume).bricks, 0);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void poses_that_are_no_poses_are_refused_before_any_frame_goes_in(void **state) {
    (void)state;
    es_mat4 bad = es_mat4_identity();
    bad.m[3] = NAN;
    refuse_pose(bad, "finite");
    refuse_pose(es_mat4_scaling(0, 1, 1), "singular");
    bad = es_mat4_identity();
    bad.m[4] = bad.m[0];
    bad.m[1] = bad.m[5] = 1; /* v parallel to u */
    refuse_pose(bad, "singular");
    bad = es_mat4_identity();
    bad.m[12] = 0.5;
    refuse_pose(bad, "last row");
    refuse_pose(es_mat4_translation(1e12, 0, 0), "past the");
    refuse_pose(es_mat4_translation(0, 0, -1e300), "past the");
    refuse_pose(es_mat4_scaling(1e7, 1, 1), "spans");
}

static void a_singular_third_column_does_not_matter_to_pixels(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 20, 20);
    insert_one(volume, &image, es_mat4_scaling(1, 1, 0));
    assert_int_equal(es_volume_statistics(volume).pixels_inserted, 400);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void images_of_another_type_are_refused(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image images[3] = {image_of(ES_U16, 1, 4, 4), image_of(ES_U8, 3, 4, 4), {0}};
    es_mat4 pose = es_mat4_identity();
    for (int i = 0; i < 3; i++) {
        const es_image *image = &images[i];
        es_error err = {0};
        assert_false(es_volume_insert(volume, &image, &pose, 1, &err));
        assert_int_equal(err.code, ES_USAGE);
        es_image_clear(&images[i]);
    }
    es_volume_free(volume);
}

static void frames_outside_clip_or_extent_leave_an_empty_volume_that_says_so(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.has_clip = true;
    o.clip_origin[0] = 100;
    o.clip_size[0] = o.clip_size[1] = 10;
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 20, 20);
    insert_one(volume, &image, es_mat4_identity());
    assert_int_equal(es_volume_statistics(volume).bricks, 0);
    es_grid_info info;
    es_error err = {0};
    assert_false(es_volume_grid_info(volume, &info, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    es_box3 box = es_box3_empty();
    es_mat4 pose = es_mat4_identity();
    es_recon_box_add(&box, &o, 20, 20, &pose);
    assert_false(es_recon_options_set_box(&o, box, &err));
    es_image_clear(&image);
    es_volume_free(volume);
}

static void
a_frame_past_the_memory_limit_is_refused_with_a_spacing_and_changes_nothing(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.memory_limit = 30 * es_volume_brick_bytes(&o);
    es_volume *volume = volume_of(&o);
    es_image small = image_of(ES_U8, 1, 64, 64), large = image_of(ES_U8, 1, 600, 600);
    insert_one(volume, &small, es_mat4_translation(0.2, 0.2, 0)); /* 16 or 25 bricks */
    uint64_t bricks = es_volume_statistics(volume).bricks;
    const es_image *image = &large;
    es_mat4 pose = es_mat4_translation(0, 0, 40);
    for (int again = 0; again < 2; again++) {
        es_error err = {0};
        assert_false(es_volume_insert(volume, &image, &pose, 1, &err));
        assert_int_equal(err.code, ES_MEMORY);
        assert_non_null(strstr(err.message, "spacing of about"));
        assert_int_equal(es_volume_statistics(volume).bricks, bricks);
        assert_int_equal(es_volume_statistics(volume).frames, 1);
    }
    insert_one(volume, &small, es_mat4_translation(0.2, 0.2, 0));
    es_image_clear(&small);
    es_image_clear(&large);
    es_volume_free(volume);
}

/* Bricks that must count many hits take more memory than others. */
static void hits_past_the_memory_limit_are_refused_too(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.memory_limit = 2 * es_volume_brick_bytes(&o);
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 40, 40); /* 1600 hits in one voxel */
    const es_image *pointer = &image;
    es_mat4 pose = es_mat4_scaling(0.01, 0.01, 1);
    es_error err = {0};
    insert_one(volume, &image, pose);
    insert_one(volume, &image, pose);
    for (int again = 0; again < 2; again++) {
        assert_false(es_volume_insert(volume, &pointer, &pose, 1, &err));
        assert_int_equal(err.code, ES_MEMORY);
        assert_int_equal(es_volume_statistics(volume).frames, 2);
        assert_int_equal(es_volume_statistics(volume).bytes, es_volume_brick_bytes(&o));
    }
    insert_one(volume, &image, es_mat4_multiply(es_mat4_translation(100, 0, 0), pose));
    es_image_clear(&image);
    es_volume_free(volume);
}

static void a_cancelled_insertion_stops(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 20, 20);
    const es_image *pointer = &image;
    es_mat4 pose = es_mat4_identity();
    es_error err = {0};
    es_cancel();
    bool ok = es_volume_insert(volume, &pointer, &pose, 1, &err);
    es_cancel_reset();
    assert_false(ok);
    assert_int_equal(err.code, ES_CANCELLED);
    insert_one(volume, &image, pose);
    es_image_clear(&image);
    es_volume_free(volume);
}

static void a_failed_allocation_anywhere_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    o.fan = (es_fan){.kind = ES_FAN_LINEAR, .u1 = 64, .v1 = 64};
    es_image image = image_of(ES_U8, 1, 64, 64);
    const es_image *pointer = &image;
    es_mat4 pose = es_mat4_identity();
    bool done = false;
    for (long n = 0; !done && n < 200; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_volume *volume = es_volume_new(&o, NULL, &err);
        done = volume && es_volume_insert(volume, &pointer, &pose, 1, &err);
        es_bricks *bricks = done ? es_volume_bricks(volume, &err) : NULL;
        done = done && bricks;
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        es_bricks_free(bricks);
        es_volume_free(volume);
    }
    assert_true(done);
    es_image_clear(&image);
}

static void memory_follows_the_bricks_touched(void **state) {
    (void)state;
    /* Frames in a plane through brick centres touch one layer of bricks. */
    es_recon_options o = options_1mm();
    es_volume *volume = volume_of(&o);
    es_image image = image_of(ES_U8, 1, 160, 160);
    insert_one(volume, &image, es_mat4_translation(0, 0, 8));
    insert_one(volume, &image, es_mat4_translation(0, 0, 1e9)); /* far away: no bridge */
    es_volume_stats stats = es_volume_statistics(volume);
    assert_int_equal(stats.bricks, 200);
    assert_int_equal(stats.bytes, 200 * es_volume_brick_bytes(&o));
    es_image_clear(&image);
    es_volume_free(volume);
}

/* ---- chosen values -----------------------------------------------------------------------------
 */

static void the_box_starts_at_the_lowest_corner_and_rounds_its_size(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 0.5;
    es_box3 box = es_box3_empty();
    es_mat4 first = es_mat4_multiply(es_mat4_translation(-2, 3, 1), es_mat4_scaling(0.1, 0.1, 0.1));
    es_mat4 second = es_mat4_multiply(es_mat4_translation(0, 0, 3.2), first);
    es_recon_box_add(&box, &o, 101, 52, &first);
    es_recon_box_add(&box, &o, 101, 52, &second);
    assert_true(es_recon_options_set_box(&o, box, NULL));
    assert_true(o.has_extent && o.origin_mm[0] == -2 && o.origin_mm[1] == 3 && o.origin_mm[2] == 1);
    /* 10 mm, 5.1 mm and 3.2 mm: 20, 10 and 6 steps */
    assert_true(o.extent[1] == 20 && o.extent[3] == 10 && o.extent[5] == 6);
    o.has_clip = true;
    o.clip_origin[0] = 10;
    o.clip_size[0] = 20;
    o.clip_size[1] = 1000; /* as far as there are pixels */
    box = es_box3_empty();
    es_recon_box_add(&box, &o, 101, 52, &first);
    assert_true(fabs(box.min.x + 1) < 1e-12 && fabs(box.max.x - 1) < 1e-12);
    assert_true(fabs(box.max.y - 8.1) < 1e-12);
}

static void a_box_without_end_is_refused(void **state) {
    (void)state;
    es_recon_options o = options_1mm();
    es_box3 box = {{0, 0, 0}, {1, 1, 1e12}};
    es_error err = {0};
    assert_false(es_recon_options_set_box(&o, box, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_false(o.has_extent);
}

static void the_chosen_spacing_is_not_finer_than_pixels_or_frames(void **state) {
    (void)state;
    assert_true(fabs(es_recon_choose_spacing(0.2, 0) - 0.2) < 1e-12);
    assert_true(fabs(es_recon_choose_spacing(0.085, 0.53) - 0.4) < 1e-12); /* 0.353 */
    assert_true(fabs(es_recon_choose_spacing(0.31, 0.1) - 0.35) < 1e-12);
    assert_true(fabs(es_recon_choose_spacing(0.0123, NAN) - 0.013) < 1e-12);
    assert_true(es_recon_choose_spacing(0, -1) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_pixel_falls_into_its_nearest_voxel),
        cmocka_unit_test(a_pixel_between_voxels_counts_for_its_neighbours_by_distance),
        cmocka_unit_test(latest_mean_and_maximum_are_what_they_say),
        cmocka_unit_test(latest_takes_the_last_pixel_of_a_frame_in_the_order_of_rows),
        cmocka_unit_test(the_far_corner_of_a_pixel_does_not_replace_a_good_value),
        cmocka_unit_test(every_type_keeps_its_extremes_and_its_mean),
        cmocka_unit_test(the_largest_of_negative_values_is_found),
        cmocka_unit_test(colours_stay_apart),
        cmocka_unit_test(a_pixel_seen_black_is_not_unseen),
        cmocka_unit_test(pixels_below_the_threshold_and_not_finite_are_ignored),
        cmocka_unit_test(a_colour_is_ignored_when_all_its_channels_are_below),
        cmocka_unit_test(only_the_clip_rectangle_is_inserted),
        cmocka_unit_test(only_the_fan_is_inserted_on_both_sides_of_its_inner_arc),
        cmocka_unit_test(pixels_outside_the_extent_are_left_out_and_counted),
        cmocka_unit_test(the_mean_is_that_of_a_plain_reckoning_in_double),
        cmocka_unit_test(threads_and_batches_do_not_change_a_byte),
        cmocka_unit_test(a_constant_stays_constant_under_linear_insertion),
        cmocka_unit_test(slabs_are_slices_of_the_whole),
        cmocka_unit_test(contradictory_options_are_refused_in_words),
        cmocka_unit_test(poses_that_are_no_poses_are_refused_before_any_frame_goes_in),
        cmocka_unit_test(a_singular_third_column_does_not_matter_to_pixels),
        cmocka_unit_test(images_of_another_type_are_refused),
        cmocka_unit_test(frames_outside_clip_or_extent_leave_an_empty_volume_that_says_so),
        cmocka_unit_test(
            a_frame_past_the_memory_limit_is_refused_with_a_spacing_and_changes_nothing),
        cmocka_unit_test(hits_past_the_memory_limit_are_refused_too),
        cmocka_unit_test(a_cancelled_insertion_stops),
        cmocka_unit_test(a_failed_allocation_anywhere_is_an_error_and_leaks_nothing),
        cmocka_unit_test(memory_follows_the_bricks_touched),
        cmocka_unit_test(the_box_starts_at_the_lowest_corner_and_rounds_its_size),
        cmocka_unit_test(a_box_without_end_is_refused),
        cmocka_unit_test(the_chosen_spacing_is_not_finer_than_pixels_or_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
