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
    recording *r = calloc(1, sizeof *r);
    es_error err = {0};
    r->plus = es_plus_read(data_path(config), &err);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spine_with_nearest_and_latest_is_the_reference_but_for_its_rounding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
