/* Filled voxels laid over the slices of a dense grid. */
#include <math.h>

#include "echosolid/recon.h"

/* Slices of a grid, and what is put into them. */
typedef struct slab {
    int64_t first[3]; /* lattice voxel of the slab's first */
    int64_t size[3];
    es_type type;
    uint8_t mark; /* 0: the values */
    void *out;
} slab;

static bool find_slab(const es_bricks *filled, const es_grid_info *info, uint64_t z0,
                      uint64_t count, slab *s, es_error *err) {
    static const double straight[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    bool same = true;
    for (int i = 0; i < 9; i++) same = same && info->direction[i] == straight[i];
    for (int a = 0; a < 3; a++) {
        double spacing = es_bricks_spacing(filled)[a];
        double voxel = (info->origin_mm[a] - es_bricks_origin(filled)[a]) / spacing;
        /* 1e-3 voxels: the origin may have gone through a file's decimals. */
        same = same && fabs(voxel) < 4e18 && fabs(voxel - round(voxel)) < 1e-3 &&
               fabs(info->spacing_mm[a] - spacing) < 1e-9 * spacing;
        s->first[a] = same ? (int64_t)round(voxel) : 0;
        s->size[a] = (int64_t)info->size[a];
    }
    s->first[2] += (int64_t)z0;
    s->size[2] = (int64_t)count;
    return same || es_fail(err, ES_USAGE,
                           "the grid is not on the lattice of the filled voxels; "
                           "take its geometry from the volume that was filled");
}

static void put_row(const slab *s, const es_brick *brick, int y, int z) {
    int64_t at[3] = {(int64_t)brick->at[0] * ES_BRICK - s->first[0],
                     (int64_t)brick->at[1] * ES_BRICK - s->first[1] + y,
                     (int64_t)brick->at[2] * ES_BRICK - s->first[2] + z};
    if (at[1] < 0 || at[1] >= s->size[1] || at[2] < 0 || at[2] >= s->size[2]) return;
    const int64_t row = (at[2] * s->size[1] + at[1]) * s->size[0] + at[0];
    for (int x = 0; x < ES_BRICK; x++) {
        int voxel = x + ES_BRICK * (y + ES_BRICK * z);
        if (!(brick->weight[voxel] > 0) || at[0] + x < 0 || at[0] + x >= s->size[0]) continue;
        if (s->mark)
            ((uint8_t *)s->out)[row + x] = s->mark;
        else
            es_type_set(s->type, s->out, (size_t)(row + x), brick->value[voxel]);
    }
}

static void put_bricks(const slab *s, const es_bricks *filled) {
    for (size_t i = 0; i < es_bricks_count(filled); i++) {
        const es_brick *brick = es_bricks_get(filled, i);
        int64_t z = (int64_t)brick->at[2] * ES_BRICK - s->first[2];
        if (z >= s->size[2] || z + ES_BRICK <= 0) continue;
        for (int row = 0; row < ES_BRICK * ES_BRICK; row++)
            put_row(s, brick, row % ES_BRICK, row / ES_BRICK);
    }
}

bool es_fill_overlay(const es_bricks *filled, const es_grid_info *info, uint64_t z0, uint64_t count,
                     void *out, es_error *err) {
    slab s = {.type = info->type, .out = out};
    if (info->channels != 1)
        return es_fail(err, ES_USAGE, "filled voxels have one channel, the grid has %d",
                       info->channels);
    if (!find_slab(filled, info, z0, count, &s, err)) return false;
    put_bricks(&s, filled);
    return true;
}

bool es_fill_mark(const es_bricks *filled, const es_grid_info *info, uint64_t z0, uint64_t count,
                  uint8_t *out, es_error *err) {
    slab s = {.type = ES_U8, .mark = 1, .out = out};
    if (!find_slab(filled, info, z0, count, &s, err)) return false;
    put_bricks(&s, filled);
    return true;
}
