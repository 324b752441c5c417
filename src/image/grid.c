/* Dense voxel grids: geometry, memory, and slabs for writers. */
#include <string.h>

#include "echosolid/image.h"

void es_grid_info_clear(es_grid_info *info) {
    es_fields_clear(&info->fields);
    memset(info, 0, sizeof *info);
}

void es_grid_clear(es_grid *grid) {
    es_free(grid->data);
    es_grid_info_clear(&grid->info);
    grid->data = NULL;
}

/* Bytes of one slice; false when they do not fit. */
static bool slice_bytes(const es_grid_info *info, size_t *bytes) {
    size_t pixel;
    return info->size[0] <= SIZE_MAX && info->size[1] <= SIZE_MAX &&
           es_multiply(es_type_size(info->type), (size_t)info->channels, &pixel) &&
           es_multiply(pixel, (size_t)info->size[0], bytes) &&
           es_multiply(*bytes, (size_t)info->size[1], bytes);
}

bool es_grid_alloc(es_grid *grid, es_error *err) {
    const es_grid_info *info = &grid->info;
    if (info->channels < 1)
        return es_fail(err, ES_USAGE, "a grid with %d channels: expected 1 or more",
                       info->channels);
    size_t slice;
    if (!slice_bytes(info, &slice) || info->size[2] > SIZE_MAX)
        return es_fail(err, ES_MEMORY, "a grid of %llu x %llu x %llu voxels does not fit memory",
                       (unsigned long long)info->size[0], (unsigned long long)info->size[1],
                       (unsigned long long)info->size[2]);
    void *data = es_alloc_zero((size_t)info->size[2], slice, err);
    if (!data)
        return es_prefix(err, "grid of %llu x %llu x %llu voxels",
                         (unsigned long long)info->size[0], (unsigned long long)info->size[1],
                         (unsigned long long)info->size[2]);
    es_free(grid->data);
    grid->data = data;
    return true;
}

es_mat4 es_grid_to_mm(const es_grid_info *info) {
    es_mat4 m = {{0}};
    for (int row = 0; row < 3; row++) {
        for (int column = 0; column < 3; column++)
            m.m[4 * row + column] = info->direction[3 * row + column] * info->spacing_mm[column];
        m.m[4 * row + 3] = info->origin_mm[row];
    }
    m.m[15] = 1;
    return m;
}

bool es_grid_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_grid *grid = context;
    size_t slice;
    if (!grid->data || !slice_bytes(&grid->info, &slice))
        return es_fail(err, ES_USAGE, "the grid has no data");
    if (z0 > grid->info.size[2] || count > grid->info.size[2] - z0)
        return es_fail(err, ES_USAGE, "slices %llu to %llu were asked for; the grid has %llu",
                       (unsigned long long)z0, (unsigned long long)(z0 + count),
                       (unsigned long long)grid->info.size[2]);
    memcpy(out, (const char *)grid->data + (size_t)z0 * slice, (size_t)count * slice);
    return true;
}
