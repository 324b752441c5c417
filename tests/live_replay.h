/* What the tests of live runs share: a calibration, and what a recording makes when
 * it is read again. */
#ifndef LIVE_REPLAY_H
#define LIVE_REPLAY_H

#include "live_scene.h"

/* A calibration of 0.5 mm pixels. */
static inline es_plus *make_plus(void) {
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_mat4_scaling(0.5, 0.5, 0.5), .error = NAN};
    assert_non_null(plus);
    assert_true(es_plus_transform_set(plus, &t, NULL));
    return plus;
}

static inline es_setup_request make_request(const es_plus *plus) {
    es_setup_request request;
    es_setup_request_init(&request);
    request.plus = plus;
    request.compounding = ES_MEAN;
    return request;
}

static inline void volume_bytes(es_volume *volume, es_grid *grid) {
    assert_true(es_volume_grid_info(volume, &grid->info, NULL));
    assert_true(es_grid_alloc(grid, NULL));
    assert_true(es_volume_slab(volume, 0, grid->info.size[2], grid->data, NULL));
}

static inline void check_same(const es_grid *a, const es_grid *b) {
    size_t bytes = es_type_size(a->info.type);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(a->info.size[i], b->info.size[i]);
        assert_memory_equal(&a->info.origin_mm[i], &b->info.origin_mm[i], sizeof(double));
        assert_memory_equal(&a->info.spacing_mm[i], &b->info.spacing_mm[i], sizeof(double));
        bytes *= (size_t)a->info.size[i];
    }
    assert_memory_equal(a->data, b->data, bytes);
}

/* What reconstruct does with a recording. */
static inline void rebuild(const char *path, const es_setup_request *request, bool all,
                           es_grid *grid, int64_t *inserted) {
    es_error err = {0};
    es_setup setup;
    es_flow_stats stats;
    es_source *source = es_sequence_open(path, &err);
    if (!source || !es_setup_make(source, request, &setup, &err)) fail_msg("%s", err.message);
    es_placement *placement = es_placement_new(request->plus, NULL, NULL);
    es_volume *volume = es_volume_new(&setup.recon, NULL, NULL);
    es_flow flow = {
        .source = source, .placement = placement, .skip = setup.skip, .total = -1, .all = all};
    if (!es_flow_run(&flow, es_stage_volume, volume, &stats, &err)) fail_msg("%s", err.message);
    *inserted = stats.inserted;
    volume_bytes(volume, grid);
    es_volume_free(volume);
    es_placement_free(placement);
    es_setup_clear(&setup);
    es_source_free(source);
}

#endif
