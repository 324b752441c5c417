/* The honest mean: it does not drift, freeze or overflow, however many hits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/recon.h"

enum { SIDE = 128 };

typedef struct moments {
    double mean, sd, spread; /* spread: mean of the voxels' own standard deviation */
    double hits;             /* per voxel */
} moments;

static es_recon_options options_for(es_type type, es_interpolation interpolation) {
    es_recon_options o = ES_RECON_DEFAULTS;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 0.5;
    o.type = type;
    o.interpolation = interpolation;
    o.spread = true;
    return o;
}

static void add_voxel(moments *sum, double value, double spread, double hits) {
    sum->mean += value;
    sum->sd += value * value;
    sum->spread += spread;
    sum->hits += hits;
}

/* Over the voxels well inside the picture. */
static moments measure(es_volume *volume, double mean) {
    es_grid_info info;
    assert_true(es_volume_grid_info(volume, &info, NULL));
    size_t voxels = (size_t)(info.size[0] * info.size[1] * info.size[2]), n = 0;
    float *spread = malloc(voxels * sizeof *spread);
    assert_true(es_volume_spread_slab(volume, 0, info.size[2], spread, NULL));
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    int64_t low[3], high[3];
    assert_true(es_bricks_extent(bricks, low, high));
    moments m = {0};
    for (int64_t y = low[1] + 3; y <= high[1] - 3; y++)
        for (int64_t x = low[0] + 3; x <= high[0] - 3; x++) {
            const es_brick *brick = es_bricks_find(bricks, (int32_t)(x >> 4), (int32_t)(y >> 4),
                                                   (int32_t)(low[2] >> 4));
            size_t k = (size_t)((x & 15) + 16 * ((y & 15) + 16 * (low[2] & 15)));
            size_t i = (size_t)(x - low[0]) + info.size[0] * (size_t)(y - low[1]);
            add_voxel(&m, (double)brick->value[k] - mean, (double)spread[i],
                      (double)brick->weight[k]);
            n++;
        }
    m.mean /= (double)n;
    m.sd = sqrt(m.sd / (double)n - m.mean * m.mean);
    m.mean += mean;
    m.spread /= (double)n;
    m.hits /= (double)n;
    free(spread);
    es_bricks_free(bricks);
    return m;
}

/* `frames` frames of noise at one pose. A pixel is a voxel, but for the last. */
static moments insert_noise(es_type type, es_interpolation interpolation, double mean, double sd,
                            int frames) {
    es_recon_options o = options_for(type, interpolation);
    es_error err = {0};
    es_volume *volume = es_volume_new(&o, NULL, &err);
    es_image image = {0};
    assert_true(es_image_resize(&image, type, 1, SIDE, SIDE, NULL));
    const es_image *pointer = &image;
    es_mat4 pose =
        es_mat4_multiply(es_mat4_translation(0.1, 0.07, 0), es_mat4_scaling(0.5, 0.5, 0.5));
    for (int f = 0; f < frames; f++) {
        es_random random = es_random_new(11, (uint64_t)f);
        for (size_t i = 0; i < SIDE * SIDE; i++)
            es_type_set(type, image.data, i, mean + sd * es_random_normal(&random));
        if (!es_volume_insert(volume, &pointer, &pose, 1, &err)) fail_msg("%s", err.message);
    }
    moments m = measure(volume, mean);
    es_image_clear(&image);
    es_volume_free(volume);
    return m;
}

static void six_hundred_noisy_hits_give_their_mean(void **state) {
    (void)state;
    static const int counts[3] = {1, 24, 600};
    for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
        double first_sd = 0;
        for (int c = 0; c < 3; c++) {
            moments m = insert_noise(ES_U8, i, 100, 20, counts[c]);
            /* 15,000 voxels: the mean of one frame is known to 20 / 122 = 0.16. */
            assert_true(fabs(m.mean - 100) < (counts[c] == 1 ? 0.6 : 0.3));
            if (c == 0) first_sd = m.sd;
            /* The spread across voxels falls as 1 / sqrt(n), to 5 %. */
            assert_true(fabs(m.sd * sqrt(counts[c]) / first_sd - 1) < 0.05);
        }
        if (i == ES_NEAREST) assert_true(fabs(first_sd - 20) < 0.5);
    }
}

static void sixteen_bit_noise_does_not_overflow(void **state) {
    (void)state;
    static const es_type types[4] = {ES_U16, ES_I32, ES_U32, ES_F32};
    for (int t = 0; t < 4; t++)
        for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
            moments m = insert_noise(types[t], i, 20000, 4000, 64);
            /* One standard error is 4000 / sqrt(64 * 15000) = 4. */
            assert_true(fabs(m.mean - 20000) < 20);
            assert_true(m.sd < 4000 / sqrt(64) * 1.05);
        }
}

static void the_spread_of_the_hits_is_known_per_voxel(void **state) {
    (void)state;
    /* The population standard deviation of 24 hits is on average that of the
     * noise times sqrt(23/24) less a further 1 %; 3 % covers both. */
    static const es_type types[3] = {ES_U8, ES_I16, ES_F64};
    for (int t = 0; t < 3; t++) {
        moments m = insert_noise(types[t], ES_NEAREST, 100, 20, 24);
        assert_true(fabs(m.spread - 20) < 0.03 * 20 + 0.2);
        assert_true(m.hits == 24);
    }
}

/* All pixels of a frame into one voxel, `frames` times. */
static double mean_of_one_voxel(es_type type, es_interpolation interpolation, double a, double b,
                                int frames, double *hits, double *spread) {
    es_recon_options o = options_for(type, interpolation);
    es_volume *volume = es_volume_new(&o, NULL, NULL);
    es_image image = {0};
    assert_true(es_image_resize(&image, type, 1, 1024, 256, NULL));
    for (size_t i = 0; i < 1024 * 256; i++) es_type_set(type, image.data, i, i % 4 ? a : b);
    const es_image *pointer = &image;
    es_mat4 pose = es_mat4_scaling(1e-5, 1e-5, 1);
    for (int f = 0; f < frames; f++)
        assert_true(es_volume_insert(volume, &pointer, &pose, 1, NULL));
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    double mean = (double)es_bricks_find(bricks, 0, 0, 0)->value[0];
    *hits = (double)es_bricks_find(bricks, 0, 0, 0)->weight[0];
    float first[64] = {0};
    es_grid_info info;
    assert_true(es_volume_grid_info(volume, &info, NULL));
    assert_true(info.size[0] * info.size[1] * info.size[2] <= 64);
    assert_true(es_volume_spread_slab(volume, 0, info.size[2], first, NULL));
    *spread = (double)first[0];
    es_bricks_free(bricks);
    es_image_clear(&image);
    es_volume_free(volume);
    return mean;
}

static void a_million_hits_of_any_type_do_not_overflow(void **state) {
    (void)state;
    for (int type = ES_U8; type <= ES_F64; type++)
        for (es_interpolation i = ES_NEAREST; i <= ES_LINEAR; i++) {
            double low, high, hits, spread;
            es_type_range((es_type)type, &low, &high);
            if (type >= ES_F32) low = -1e9, high = 3e9;
            double mean = mean_of_one_voxel((es_type)type, i, high, low, 4, &hits, &spread);
            double truth = 0.75 * high + 0.25 * low, sd = (high - low) * sqrt(0.75 * 0.25);
            /* LINEAR: neighbouring pixels differ by 1e-5 in weight. */
            double tolerance = i == ES_NEAREST ? 1e-6 : 2e-5;
            assert_true(fabs(mean - truth) < tolerance * (high - low));
            assert_true(fabs(spread - sd) < 1e-4 * (high - low));
            if (i == ES_NEAREST) assert_true(hits == 4 * 1024 * 256);
        }
}

static void past_sixteen_million_hits_the_mean_still_follows(void **state) {
    (void)state;
    double hits, spread;
    double mean = mean_of_one_voxel(ES_U16, ES_NEAREST, 65535, 1, 80, &hits, &spread);
    assert_true(fabs(mean - (0.75 * 65535 + 0.25)) < 0.01);
    assert_true(hits >= 1 << 23 && hits < 1 << 24);
    assert_true(fabs(spread - 65534 * sqrt(0.1875)) < 1);
}

/* ---- bytes, whose voxels first have little room for hits ------------------------------ */

enum { FRAMES = 90, PIXELS = 16 };

static es_volume *volume_of_bytes(es_type type, int channels, double threshold, es_pool *pool) {
    es_recon_options o = options_for(type, ES_NEAREST);
    es_error err = {0};
    o.spread = false;
    o.channels = channels;
    o.threshold = threshold;
    es_volume *volume = es_volume_new(&o, pool, &err);
    if (!volume) fail_msg("%s", err.message);
    return volume;
}

/* Sums over all that was inserted, what is below the threshold left out. */
typedef struct total {
    double sum, hits;
} total;

/* Frames of one voxel each, PIXELS^2 hits; `at_once` to a batch. */
static total insert_small_frames(es_volume *volume, es_type type, int channels, double threshold,
                                 size_t at_once) {
    static es_image images[FRAMES];
    static const es_image *pointers[FRAMES];
    static es_mat4 poses[FRAMES];
    es_random random = es_random_new(17, (uint64_t)type);
    double low, high;
    total all = {0, 0};
    es_type_range(type, &low, &high);
    for (size_t f = 0; f < FRAMES; f++) {
        assert_true(es_image_resize(&images[f], type, channels, PIXELS, PIXELS, NULL));
        for (size_t i = 0; i < PIXELS * PIXELS; i++) {
            const double value = low + floor(256 * es_random_uniform(&random));
            for (int c = 0; c < channels; c++)
                es_type_set(type, images[f].data, i * (size_t)channels + (size_t)c, value);
            if (value < threshold) continue;
            all.sum += value;
            all.hits++;
        }
        pointers[f] = &images[f];
        poses[f] = es_mat4_scaling(0.01, 0.01, 1);
    }
    for (size_t f = 0, count; f < FRAMES; f += count) {
        count = FRAMES - f < at_once ? FRAMES - f : at_once;
        assert_true(es_volume_insert(volume, pointers + f, poses + f, count, NULL));
    }
    for (size_t f = 0; f < FRAMES; f++) es_image_clear(&images[f]);
    return all;
}

static void check_voxel(es_volume *volume, total all, int channels) {
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    const es_brick *brick = es_bricks_find(bricks, 0, 0, 0);
    const double mean = all.sum / all.hits;
    assert_true(fabs((double)brick->value[0] - mean) < 1e-6 * (fabs(mean) + 1));
    assert_true((double)brick->weight[0] == all.hits);
    uint8_t values[3];
    assert_true(es_volume_slab(volume, 0, 1, values, NULL));
    for (int c = 1; c < channels; c++) assert_int_equal(values[c], values[0]);
    es_bricks_free(bricks);
}

static void bytes_are_counted_past_what_a_small_voxel_holds(void **state) {
    (void)state;
    static const size_t at_once[] = {1, 7, 64, FRAMES};
    for (int n = 0; n < 16; n++) {
        const es_type type = n % 2 ? ES_I8 : ES_U8;
        const int channels = n / 2 % 2 ? 3 : 1;
        const double threshold = n >= 8 ? (n % 2 ? -28 : 100) : NAN;
        es_volume *volume = volume_of_bytes(type, channels, threshold, NULL);
        total all = insert_small_frames(volume, type, channels, threshold, at_once[n / 4]);
        assert_true(all.hits > 3 * 4095);
        check_voxel(volume, all, channels);
        es_volume_stats stats = es_volume_statistics(volume);
        /* One brick: 4 bytes a voxel and channel, and 8 more that now are needed. */
        assert_int_equal(stats.bricks, 1);
        assert_true(stats.bytes >= 12 * ES_BRICK_VOXELS * (uint64_t)channels);
        es_volume_free(volume);
    }
}

/* All pixels of a frame of 1024 x 256 into one voxel: more than a state holds at once. */
static double mean_of_large_frames(es_type type, double a, double b, int frames, double *hits) {
    es_volume *volume = volume_of_bytes(type, 1, NAN, NULL);
    es_image image = {0};
    assert_true(es_image_resize(&image, type, 1, 1024, 256, NULL));
    for (size_t i = 0; i < 1024 * 256; i++) es_type_set(type, image.data, i, i % 4 ? a : b);
    const es_image *pointer = &image;
    es_mat4 pose = es_mat4_scaling(1e-5, 1e-5, 1);
    for (int f = 0; f < frames; f++)
        assert_true(es_volume_insert(volume, &pointer, &pose, 1, NULL));
    es_bricks *bricks = es_volume_bricks(volume, NULL);
    const es_brick *brick = es_bricks_find(bricks, 0, 0, 0);
    const double mean = (double)brick->value[0];
    *hits = (double)brick->weight[0];
    es_bricks_free(bricks);
    es_image_clear(&image);
    es_volume_free(volume);
    return mean;
}

static void large_frames_of_bytes_into_one_voxel_keep_their_mean(void **state) {
    (void)state;
    double hits;
    assert_true(fabs(mean_of_large_frames(ES_U8, 255, 0, 3, &hits) - 0.75 * 255) < 1e-4);
    assert_true(hits == 3 * 1024 * 256);
    assert_true(fabs(mean_of_large_frames(ES_I8, -128, 127, 3, &hits) + 64.25) < 1e-4);
    assert_true(hits == 3 * 1024 * 256);
    /* Past 2^24 hits old ones count half. */
    assert_true(fabs(mean_of_large_frames(ES_U8, 255, 1, 80, &hits) - 191.5) < 1e-3);
    assert_true(hits >= 1 << 23 && hits < 1 << 24);
}

/* Voxels of 70 x 70 pixels one below the other: each takes more hits of one frame than a
 * small voxel holds, in more rows than are inserted at once. */
static void many_rows_of_a_frame_into_one_voxel_are_all_counted(void **state) {
    (void)state;
    enum { WIDE = 70, VOXELS = 4 };
    static const es_type types[] = {ES_U8, ES_I8};
    for (int k = 0; k < 2; k++) {
        es_volume *volume = volume_of_bytes(types[k], 1, NAN, NULL);
        es_image image = {0};
        assert_true(es_image_resize(&image, types[k], 1, WIDE * VOXELS, WIDE * VOXELS, NULL));
        for (size_t i = 0; i < (size_t)WIDE * VOXELS * WIDE * VOXELS; i++)
            es_type_set(types[k], image.data, i, (double)(i % 100));
        const es_image *pointer = &image;
        /* Voxels of 0.5 mm about whole multiples of it: the first pixel at a lower face. */
        const double pixel = 0.5 / WIDE, first = pixel / 2 - 0.25;
        es_mat4 pose = es_mat4_multiply(es_mat4_translation(first, first, 0),
                                        es_mat4_scaling(pixel, pixel, 1));
        for (int f = 0; f < 3; f++) assert_true(es_volume_insert(volume, &pointer, &pose, 1, NULL));
        es_bricks *bricks = es_volume_bricks(volume, NULL);
        const es_brick *brick = es_bricks_find(bricks, 0, 0, 0);
        double all = 0;
        for (int v = 0; v < VOXELS; v++)
            for (int u = 0; u < VOXELS; u++) {
                const double hits = (double)brick->weight[u + ES_BRICK * v];
                assert_true(hits == 3 * WIDE * WIDE);
                all += hits * (double)brick->value[u + ES_BRICK * v];
            }
        double wanted = 0;
        for (int i = 0; i < WIDE * VOXELS * WIDE * VOXELS; i++) wanted += 3 * (i % 100);
        assert_true(fabs(all - wanted) < 1e-6 * wanted);
        es_bricks_free(bricks);
        es_image_clear(&image);
        es_volume_free(volume);
    }
}

static void no_spread_was_asked_no_spread_is_given(void **state) {
    (void)state;
    es_recon_options o = options_for(ES_U8, ES_NEAREST);
    o.spread = false;
    es_volume *volume = es_volume_new(&o, NULL, NULL);
    float out;
    es_error err = {0};
    assert_false(es_volume_spread_slab(volume, 0, 1, &out, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_volume_free(volume);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(six_hundred_noisy_hits_give_their_mean),
        cmocka_unit_test(sixteen_bit_noise_does_not_overflow),
        cmocka_unit_test(the_spread_of_the_hits_is_known_per_voxel),
        cmocka_unit_test(a_million_hits_of_any_type_do_not_overflow),
        cmocka_unit_test(past_sixteen_million_hits_the_mean_still_follows),
        cmocka_unit_test(bytes_are_counted_past_what_a_small_voxel_holds),
        cmocka_unit_test(large_frames_of_bytes_into_one_voxel_keep_their_mean),
        cmocka_unit_test(many_rows_of_a_frame_into_one_voxel_are_all_counted),
        cmocka_unit_test(no_spread_was_asked_no_spread_is_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
