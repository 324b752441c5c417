/* The volume against a reference that another program made of a real recording:
 * IGSIO's VolumeReconstructorTestNNLATE (nearest, latest, clip and fan). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/format.h"
#include "echosolid/recon.h"

enum { FRAMES = 21 };

typedef struct recording {
    es_plus *plus;
    es_frame frames[FRAMES];
    es_mat4 poses[FRAMES];
    const es_image *images[FRAMES];
    size_t count;
} recording;

/* The path of a data file, or a skipped test. */
static const char *data_path(const char *name) {
    static char path[4096];
    const char *folder = getenv("ES_TEST_DATA");
    snprintf(path, sizeof path, "%s/plus/%s", folder ? folder : "", name);
    FILE *file = folder ? fopen(path, "rb") : NULL;
    if (!file) {
        print_message("skipped: ES_TEST_DATA has no plus/%s\n", name);
        skip();
    }
    fclose(file);
    return path;
}

static void read_poses(recording *r) {
    es_graph *graph = es_graph_new(NULL);
    assert_true(es_plus_to_graph(r->plus, graph, NULL));
    for (size_t f = 0; f < r->count; f++) {
        es_error err = {0};
        assert_true(es_frame_to_graph(&r->frames[f], graph, NULL));
        if (!es_graph_find(graph, "Image", "Reference", &r->poses[f], NULL, &err))
            fail_msg("%s", err.message);
    }
    es_graph_free(graph);
}

static recording *read_recording(const char *sequence, const char *config) {
    es_error err = {0};
    const char *path = data_path(config); /* skips without data */
    recording *r = calloc(1, sizeof *r);
    r->plus = es_plus_read(path, &err);
    es_source *source = es_sequence_open(data_path(sequence), &err);
    if (!r->plus || !source) fail_msg("%s", err.message);
    for (bool end = false; r->count < FRAMES; r->count++) {
        if (!es_source_next(source, &r->frames[r->count], ES_READ_PIXELS, &end, &err))
            fail_msg("%s", err.message);
        if (end) break;
        r->images[r->count] = &r->frames[r->count].image;
    }
    es_source_free(source);
    read_poses(r);
    return r;
}

static void free_recording(recording *r) {
    for (size_t f = 0; f < FRAMES; f++) es_frame_clear(&r->frames[f]);
    es_plus_free(r->plus);
    free(r);
}

static es_recon_options options_of(const recording *r) {
    es_plus_reconstruction plus;
    bool present;
    assert_true(es_plus_reconstruction_get(r->plus, &plus, &present, NULL) && present);
    es_recon_options o = ES_RECON_DEFAULTS;
    o.compounding = strcmp(plus.compounding, "LATEST") == 0 ? ES_LATEST : ES_MEAN;
    memcpy(o.spacing_mm, plus.spacing_mm, sizeof o.spacing_mm);
    o.has_clip = plus.has_clip;
    memcpy(o.clip_origin, plus.clip_origin, sizeof o.clip_origin);
    memcpy(o.clip_size, plus.clip_size, sizeof o.clip_size);
    if (plus.has_fan_angles)
        o.fan = (es_fan){.kind = ES_FAN_CURVED,
                         .apex_u = plus.fan_origin_px[0],
                         .apex_v = plus.fan_origin_px[1],
                         .radius_start = plus.fan_radius_start_px,
                         .radius_stop = plus.fan_radius_stop_px,
                         .angle_start_rad = plus.fan_angles_deg[0] * acos(-1) / 180,
                         .angle_stop_rad = plus.fan_angles_deg[1] * acos(-1) / 180,
                         .aspect = 1};
    es_box3 box = es_box3_empty();
    for (size_t f = 0; f < r->count; f++)
        es_recon_box_add(&box, &o, r->images[f]->width, r->images[f]->height, &r->poses[f]);
    assert_true(es_recon_options_set_box(&o, box, NULL));
    return o;
}

static es_grid reconstruct(const recording *r, const es_recon_options *o) {
    es_error err = {0};
    es_grid grid = {0};
    es_volume *volume = es_volume_new(o, NULL, &err);
    if (!volume || !es_volume_insert(volume, r->images, r->poses, r->count, &err) ||
        !es_volume_grid_info(volume, &grid.info, &err) || !es_grid_alloc(&grid, &err) ||
        !es_volume_slab(volume, 0, grid.info.size[2], grid.data, &err))
        fail_msg("%s", err.message);
    es_volume_free(volume);
    return grid;
}

static void the_spine_with_nearest_and_latest_is_the_reference_but_for_its_rounding(void **state) {
    (void)state;
    recording *r =
        read_recording("sequences/SpinePhantomFreehand.igs.mha",
                       "config/Config_VolumeReconstruction_SonixRP_TRUS_D70mm_NN_LATE.xml");
    es_grid reference = {0};
    assert_true(es_grid_read(data_path("reference/VolumeReconstructorTestNNLATEvolumeRef.mha"),
                             &reference, NULL));
    es_recon_options o = options_of(r);
    es_grid grid = reconstruct(r, &o);
    for (int a = 0; a < 3; a++) {
        assert_int_equal(grid.info.size[a], reference.info.size[a]);
        /* The reference's header has six digits. */
        assert_true(fabs(grid.info.origin_mm[a] - reference.info.origin_mm[a]) < 1e-3);
    }
    const uint8_t *ours = grid.data, *theirs = reference.data;
    size_t voxels = 80 * 93 * 98, far = 0, unlike = 0, seen = 0;
    for (size_t i = 0; i < voxels; i++) {
        far += abs(ours[i] - theirs[i]) > 2;
        unlike += abs(ours[i] - theirs[i]) > 2 && (ours[i] == 0) != (theirs[i] == 0);
        seen += theirs[i] > 0;
    }
    print_message("%.2f %% of %zu voxels differ by more than 2 grey levels (%zu of them empty in "
                  "one only); the reference has %zu that are not 0\n",
                  100. * (double)far / (double)voxels, voxels, unlike, seen);
    /* The rest is the peer's 14-bit arithmetic, which moves pixels to neighbouring voxels. */
    assert_true(far < voxels / 20);
    es_grid_clear(&grid);
    es_grid_clear(&reference);
    free_recording(r);
}

/* ---- a plain mean in double --------------------------------------------------------- */

typedef struct mean_grid {
    int64_t size[3];
    double *sum, *weight;
} mean_grid;

static void add_weighted(mean_grid *g, const int64_t at[3], double weight, double value) {
    for (int a = 0; a < 3; a++)
        if (at[a] < 0 || at[a] >= g->size[a]) return;
    size_t i = (size_t)(at[0] + g->size[0] * (at[1] + g->size[1] * at[2]));
    g->sum[i] += weight * value;
    g->weight[i] += weight;
}

/* One pixel at x, in voxels. */
static void add_pixel(mean_grid *g, es_interpolation interpolation, const double x[3],
                      double weight, double value) {
    int64_t at[3];
    if (interpolation == ES_NEAREST) {
        for (int a = 0; a < 3; a++) at[a] = (int64_t)floor(x[a] + 0.5);
        add_weighted(g, at, weight, value);
        return;
    }
    for (int corner = 0; corner < 8; corner++) {
        double part = weight;
        for (int a = 0; a < 3; a++) {
            const double low = floor(x[a]), rest = x[a] - low;
            at[a] = (int64_t)low + (corner >> a & 1);
            part *= corner >> a & 1 ? rest : 1 - rest;
        }
        if (part > 0) add_weighted(g, at, part, value);
    }
}

static bool counts(const es_recon_options *o, int64_t u, int64_t v) {
    if (o->has_clip &&
        !(u >= o->clip_origin[0] && u < (int64_t)o->clip_origin[0] + o->clip_size[0] &&
          v >= o->clip_origin[1] && v < (int64_t)o->clip_origin[1] + o->clip_size[1]))
        return false;
    if (o->fan.kind == ES_FAN_NONE) return true;
    double du = (double)u - o->fan.apex_u, dv = (double)v - o->fan.apex_v;
    double radius = hypot(du, dv), angle = atan2(du, dv);
    return radius >= o->fan.radius_start && radius <= o->fan.radius_stop &&
           angle >= o->fan.angle_start_rad && angle <= o->fan.angle_stop_rad;
}

static mean_grid mean_in_double(const recording *r, const es_recon_options *o) {
    mean_grid g;
    size_t voxels = 1;
    for (int a = 0; a < 3; a++) {
        assert_int_equal(o->extent[2 * a], 0);
        g.size[a] = o->extent[2 * a + 1] + 1;
        voxels *= (size_t)g.size[a];
    }
    g.sum = calloc(voxels, sizeof *g.sum);
    g.weight = calloc(voxels, sizeof *g.weight);
    for (size_t f = 0; f < r->count; f++)
        for (int64_t v = 0; v < r->images[f]->height; v++)
            for (int64_t u = 0; u < r->images[f]->width; u++) {
                const size_t i = (size_t)(u + v * r->images[f]->width);
                const double weight = o->mask ? ((const uint8_t *)o->mask->data)[i] / 255. : 1;
                if (weight == 0 || !counts(o, u, v)) continue;
                double x[3];
                const double *m = r->poses[f].m;
                for (int a = 0; a < 3; a++)
                    x[a] = (m[4 * a] * (double)u + m[4 * a + 1] * (double)v + m[4 * a + 3] -
                            o->origin_mm[a]) /
                           o->spacing_mm[a];
                add_pixel(&g, o->interpolation, x, weight,
                          ((const uint8_t *)r->images[f]->data)[i]);
            }
    return g;
}

/* Every voxel that the double mean saw has it, to half a grey level (the
 * rounding to whole ones), and all others are 0. Voxels whose weight is next to
 * nothing are left to rounding: there a float weight of 24 bits may be 0. */
static void check_mean(const recording *r, const es_recon_options *o) {
    mean_grid truth = mean_in_double(r, o);
    es_grid grid = reconstruct(r, o);
    size_t voxels = (size_t)(truth.size[0] * truth.size[1] * truth.size[2]), seen = 0;
    assert_int_equal(grid.info.size[0] * grid.info.size[1] * grid.info.size[2], voxels);
    double worst = 0;
    for (size_t i = 0; i < voxels; i++) {
        if (truth.weight[i] > 0 && truth.weight[i] < 1e-6) continue;
        double mean = truth.weight[i] > 0 ? truth.sum[i] / truth.weight[i] : 0;
        worst = fmax(worst, fabs(mean - ((const uint8_t *)grid.data)[i]));
        seen += truth.weight[i] > 0;
    }
    print_message("%zu voxels, the worst %.6f grey levels from the mean in double\n", seen, worst);
    assert_true(seen > voxels / 20);
    /* Sums gathered in float move a mean that lies halfway between two levels. */
    assert_true(worst <= 0.5 + 1e-3);
    free(truth.sum);
    free(truth.weight);
    es_grid_clear(&grid);
}

/* Weights that change over the picture, with a part that does not count. */
static void make_mask(es_image *mask, uint32_t width, uint32_t height) {
    assert_true(es_image_resize(mask, ES_U8, 1, width, height, NULL));
    for (uint32_t v = 0; v < height; v++)
        for (uint32_t u = 0; u < width; u++)
            ((uint8_t *)mask->data)[v * width + u] =
                u > 300 && u < 400 && v > 200 && v < 300 ? 0 : (uint8_t)(1 + (u + 2 * v) % 255);
}

static void check_means(const char *config, bool masked) {
    recording *r = read_recording("sequences/SpinePhantomFreehand.igs.mha", config);
    es_recon_options o = options_of(r);
    es_image mask = {0};
    o.compounding = ES_MEAN;
    if (masked) {
        make_mask(&mask, r->images[0]->width, r->images[0]->height);
        o.mask = &mask;
    }
    for (int i = ES_NEAREST; i <= ES_LINEAR; i++) {
        o.interpolation = (es_interpolation)i;
        check_mean(r, &o);
    }
    es_image_clear(&mask);
    free_recording(r);
}

static void the_mean_of_the_spine_is_the_mean_in_double(void **state) {
    (void)state;
    check_means("config/Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml", false);
}

static void the_masked_mean_in_clip_and_fan_is_the_mean_in_double(void **state) {
    (void)state;
    check_means("config/Config_VolumeReconstruction_SonixRP_TRUS_D70mm_NN_LATE.xml", true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spine_with_nearest_and_latest_is_the_reference_but_for_its_rounding),
        cmocka_unit_test(the_mean_of_the_spine_is_the_mean_in_double),
        cmocka_unit_test(the_masked_mean_in_clip_and_fan_is_the_mean_in_double),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
