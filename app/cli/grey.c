/* The grey volume as it is seen, and over it, where asked for, the filled
 * holes; a mask tells the two apart. */
#include "grey.h"

#include <string.h>

typedef struct overlay {
    es_volume *volume;
    const es_bricks *filled; /* NULL: none */
    const es_grid_info *info;
} overlay;

static bool value_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const overlay *o = context;
    return es_volume_slab(o->volume, z0, count, out, err) &&
           (!o->filled || es_fill_overlay(o->filled, o->info, z0, count, out, err));
}

static bool mask_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const overlay *o = context;
    memset(out, 0, o->info->size[0] * o->info->size[1] * count);
    return !o->filled || es_fill_mark(o->filled, o->info, z0, count, out, err);
}

static bool fill_holes(const grey_output *out, es_volume *volume, es_bricks **filled,
                       es_fill_stats *stats, es_error *err) {
    if (out->holes->count == 0) return true;
    es_fill_options options = es_holes_fill_options(out->holes, out->pool);
    es_bricks *seen = es_volume_bricks(volume, err);
    if (seen) *filled = es_fill(seen, &options, stats, err);
    es_bricks_free(seen);
    return *filled != NULL;
}

bool grey_write(const grey_output *out, es_volume *volume, es_fill_stats *stats, es_error *err) {
    memset(stats, 0, sizeof *stats);
    if (!out->path) return true;
    es_bricks *filled = NULL;
    es_grid_info info = {0};
    es_grid_options options = {.compress = !out->raw, .level = 1};
    bool ok = es_volume_grid_info(volume, &info, err);
    if (ok && info.channels != 1 && out->holes->count)
        ok = es_fail(err, ES_UNSUPPORTED,
                     "holes of colour volumes cannot be filled; use --fill none");
    ok = ok && fill_holes(out, volume, &filled, stats, err) &&
         app_origin_fields(out->origin, &info.fields, err);
    overlay o = {volume, filled, &info};
    ok = ok && es_grid_write(out->path, &info, value_slab, &o, &options, err);
    info.type = ES_U8;
    if (ok && out->filled) ok = es_grid_write(out->filled, &info, mask_slab, &o, &options, err);
    es_grid_info_clear(&info);
    es_bricks_free(filled);
    return ok;
}
