/* The volume out of its bricks: dense slabs, hits, spread, a sparse field. */
#include <string.h>

#include "recon_internal.h"

/* ---- the box ---------------------------------------------------------------------- */

typedef struct voxel_box {
    int64_t low[3], high[3];
} voxel_box;

/* Visits the voxels of a brick that belong to the volume. */
typedef void visit_voxel_fn(void *context, const int64_t voxel[3], const reading *r);

static void visit_voxels(const es_volume *volume, const cell *c, int channel, voxel_box within,
                         visit_voxel_fn *visit, void *context) {
    int64_t first[3], last[3], v[3];
    if (!brick_range(&volume->options, c->at, first, last)) return;
    for (int a = 0; a < 3; a++) {
        if (within.low[a] > first[a]) first[a] = within.low[a];
        if (within.high[a] < last[a]) last[a] = within.high[a];
    }
    const char *state = (const char *)c->state + (size_t)channel * volume->channel_bytes;
    for (v[2] = first[2]; v[2] <= last[2]; v[2]++)
        for (v[1] = first[1]; v[1] <= last[1]; v[1]++)
            for (v[0] = first[0]; v[0] <= last[0]; v[0]++) {
                reading r;
                volume->kernel->read(state,
                                     state_index(&volume->options, (int)(v[0] & (ES_BRICK - 1)),
                                                 (int)(v[1] & (ES_BRICK - 1)),
                                                 (int)(v[2] & (ES_BRICK - 1))),
                                     &r);
                if (r.hits > 0) visit(context, v, &r);
            }
}

static const voxel_box everywhere = {{INT64_MIN, INT64_MIN, INT64_MIN},
                                     {INT64_MAX, INT64_MAX, INT64_MAX}};

static void add_voxel(void *context, const int64_t voxel[3], const reading *r) {
    voxel_box *box = context;
    (void)r;
    for (int a = 0; a < 3; a++) {
        if (voxel[a] < box->low[a]) box->low[a] = voxel[a];
        if (voxel[a] > box->high[a]) box->high[a] = voxel[a];
    }
}

/* Bricks that lie inside the box found so far have nothing to add. */
static bool lies_inside(const cell *c, const voxel_box *box) {
    for (int a = 0; a < 3; a++)
        if ((int64_t)c->at[a] * ES_BRICK < box->low[a] ||
            (int64_t)c->at[a] * ES_BRICK + ES_BRICK - 1 > box->high[a])
            return false;
    return true;
}

static bool find_box(const es_volume *volume, voxel_box *box, es_error *err) {
    const es_recon_options *o = &volume->options;
    *box = (voxel_box){{INT64_MAX, INT64_MAX, INT64_MAX}, {INT64_MIN, INT64_MIN, INT64_MIN}};
    if (o->has_extent) {
        for (int a = 0; a < 3; a++) {
            box->low[a] = o->extent[2 * a];
            box->high[a] = o->extent[2 * a + 1];
        }
        return true;
    }
    for (size_t i = 0; i < volume->store.settled; i++)
        if (!lies_inside(&volume->store.cells[i], box))
            visit_voxels(volume, &volume->store.cells[i], 0, everywhere, add_voxel, box);
    if (box->low[0] > box->high[0])
        return es_fail(err, ES_GEOMETRY,
                       "the volume is empty: no pixel of %llu frames was inserted",
                       (unsigned long long)volume->stats.frames);
    return true;
}

bool es_volume_grid_info(const es_volume *volume, es_grid_info *info, es_error *err) {
    const es_recon_options *o = &volume->options;
    voxel_box box;
    if (!find_box(volume, &box, err)) return false;
    *info = (es_grid_info){
        .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .type = o->type, .channels = o->channels};
    for (int a = 0; a < 3; a++) {
        info->size[a] = (uint64_t)(box.high[a] - box.low[a] + 1);
        info->spacing_mm[a] = o->spacing_mm[a];
        info->origin_mm[a] = o->origin_mm[a] + o->spacing_mm[a] * (double)box.low[a];
    }
    return true;
}

/* ---- slabs ------------------------------------------------------------------------- */

typedef enum what { VALUES, HITS, SPREAD } what;

typedef struct slab {
    voxel_box box;
    size_t width, height; /* of a slice */
    es_type type;
    int channels, channel;
    what what;
    void *out;
} slab;

static void write_voxel(void *context, const int64_t voxel[3], const reading *r) {
    const slab *s = context;
    size_t x = (size_t)(voxel[0] - s->box.low[0]), y = (size_t)(voxel[1] - s->box.low[1]);
    size_t z = (size_t)(voxel[2] - s->box.low[2]);
    size_t element = ((z * s->height + y) * s->width + x) * (size_t)s->channels;
    double number = r->value;
    if (s->what == HITS) number = r->hits < 1 ? 1 : r->hits;
    if (s->what == SPREAD) number = r->spread;
    es_type_set(s->type, s->out, element + (size_t)s->channel, number);
}

static bool write_slab(es_volume *volume, slab *s, uint64_t z0, uint64_t count, es_error *err) {
    if (!find_box(volume, &s->box, err)) return false;
    uint64_t depth = (uint64_t)(s->box.high[2] - s->box.low[2] + 1);
    if (z0 > depth || count > depth - z0)
        return es_fail(err, ES_USAGE, "slices %llu to %llu were asked for; the volume has %llu",
                       (unsigned long long)z0, (unsigned long long)(z0 + count),
                       (unsigned long long)depth);
    s->width = (size_t)(s->box.high[0] - s->box.low[0] + 1);
    s->height = (size_t)(s->box.high[1] - s->box.low[1] + 1);
    s->box.low[2] += (int64_t)z0;
    s->box.high[2] = s->box.low[2] + (int64_t)count - 1;
    memset(s->out, 0,
           s->width * s->height * (size_t)count * es_type_size(s->type) * (size_t)s->channels);
    for (size_t i = 0; i < volume->store.settled; i++)
        for (s->channel = 0; s->channel < s->channels; s->channel++)
            visit_voxels(volume, &volume->store.cells[i], s->channel, s->box, write_voxel, s);
    return true;
}

bool es_volume_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_recon_options *o = &((const es_volume *)volume)->options;
    slab s = {.type = o->type, .channels = o->channels, .what = VALUES, .out = out};
    return write_slab(volume, &s, z0, count, err);
}

bool es_volume_hits_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err) {
    slab s = {.type = ES_U16, .channels = 1, .what = HITS, .out = out};
    return write_slab(volume, &s, z0, count, err);
}

bool es_volume_spread_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err) {
    if (!((const es_volume *)volume)->options.spread)
        return es_fail(err, ES_USAGE,
                       "the volume did not collect the spread of its hits: set the option spread");
    slab s = {.type = ES_F32, .channels = 1, .what = SPREAD, .out = out};
    return write_slab(volume, &s, z0, count, err);
}

/* ---- the sparse field ----------------------------------------------------------------- */

static void copy_voxel(void *context, const int64_t voxel[3], const reading *r) {
    es_brick *brick = context;
    size_t i =
        (size_t)((voxel[0] & (ES_BRICK - 1)) +
                 ES_BRICK * ((voxel[1] & (ES_BRICK - 1)) + ES_BRICK * (voxel[2] & (ES_BRICK - 1))));
    brick->value[i] = (float)r->value;
    brick->weight[i] = (float)r->hits;
}

es_bricks *es_volume_bricks(const es_volume *volume, es_error *err) {
    es_bricks *bricks = es_bricks_new(volume->options.origin_mm, volume->options.spacing_mm, err);
    if (!bricks) return NULL;
    for (size_t i = 0; i < volume->store.settled; i++) {
        const cell *c = &volume->store.cells[i];
        es_brick *brick = es_bricks_add(bricks, c->at[0], c->at[1], c->at[2], err);
        if (!brick) {
            es_bricks_free(bricks);
            return NULL;
        }
        visit_voxels(volume, c, 0, everywhere, copy_voxel, brick);
    }
    es_bricks_sort(bricks);
    return bricks;
}
