/* Sparse bricks as a dense grid, slab by slab: unknown voxels are NaN. */
#include <math.h>
#include <string.h>

#include "echosolid/image.h"

bool es_bricks_grid_info(const es_bricks *bricks, es_grid_info *info, es_error *err) {
    int64_t low[3], high[3];
    if (!es_bricks_extent(bricks, low, high))
        return es_fail(err, ES_GEOMETRY, "no voxel of the field is known");
    memset(info, 0, sizeof *info);
    info->type = ES_F32;
    info->channels = 1;
    for (int a = 0; a < 3; a++) {
        info->size[a] = (uint64_t)(high[a] - low[a] + 1);
        info->spacing_mm[a] = es_bricks_spacing(bricks)[a];
        info->origin_mm[a] = es_bricks_origin(bricks)[a] + info->spacing_mm[a] * (double)low[a];
        info->direction[4 * a] = 1;
    }
    return true;
}

/* Copies the brick's voxels that lie in the slab low[2] + z0 .. + count - 1. */
static void copy_brick(const es_brick *brick, const int64_t low[3], const int64_t high[3],
                       int64_t z0, int64_t count, float *out) {
    int64_t width = high[0] - low[0] + 1, height = high[1] - low[1] + 1;
    for (int i = 0; i < ES_BRICK_VOXELS; i++) {
        if (!(brick->weight[i] > 0)) continue;
        int64_t x = (int64_t)brick->at[0] * ES_BRICK + i % ES_BRICK - low[0];
        int64_t y = (int64_t)brick->at[1] * ES_BRICK + i / ES_BRICK % ES_BRICK - low[1];
        int64_t z = (int64_t)brick->at[2] * ES_BRICK + i / (ES_BRICK * ES_BRICK) - low[2] - z0;
        if (z >= 0 && z < count) out[(z * height + y) * width + x] = brick->value[i];
    }
}

bool es_bricks_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_bricks *bricks = context;
    int64_t low[3], high[3];
    if (!es_bricks_extent(bricks, low, high))
        return es_fail(err, ES_GEOMETRY, "no voxel of the field is known");
    size_t voxels = (size_t)(high[0] - low[0] + 1) * (size_t)(high[1] - low[1] + 1) * count;
    float *values = out;
    for (size_t i = 0; i < voxels; i++) values[i] = NAN;
    for (size_t k = 0; k < es_bricks_count(bricks); k++) {
        const es_brick *brick = es_bricks_get(bricks, k);
        int64_t first = (int64_t)brick->at[2] * ES_BRICK - low[2];
        if (first < (int64_t)(z0 + count) && first + ES_BRICK > (int64_t)z0)
            copy_brick(brick, low, high, (int64_t)z0, (int64_t)count, values);
    }
    return true;
}
