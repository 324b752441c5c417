/* The volume out of its bricks: dense slabs, hits, spread, a sparse field. */
#include <string.h>

#include "recon_internal.h"

/* ---- the box ---------------------------------------------------------------------- */

typedef struct voxel_box {
    int64_t low[3], high[3];
} voxel_box;

/* A row of voxels of one brick and channel. */
typedef struct voxel_row {
    int64_t at[3]; /* the first voxel */
    uint32_t count;
    const void *state, *deep;
    size_t first; /* element of the state */
} voxel_row;

/* Visits the rows of a brick that belong to the volume, cut to `within`. */
typedef void visit_row_fn(void *context, const kernel *k, const voxel_row *row);

static void visit_rows(const es_volume *volume, const cell *c, int channel, voxel_box within,
                       visit_row_fn *visit, void *context) {
    int64_t first[3], last[3];
    if (!brick_range(&volume->options, c->at, first, last)) return;
    for (int a = 0; a < 3; a++) {
        if (within.low[a] > first[a]) first[a] = within.low[a];
        if (within.high[a] < last[a]) last[a] = within.high[a];
        if (first[a] > last[a]) return;
    }
    const int x = (int)(first[0] & (ES_BRICK - 1));
    const kernel *k = &volume->kernel;
    const size_t nth = (size_t)channel;
    voxel_row row = {.at[0] = first[0],
                     .count = (uint32_t)(last[0] - first[0] + 1),
                     .state = (const char *)c->state + nth * k->brick_bytes};
    if (c->deep) row.deep = (const char *)c->deep + nth * k->deep_bytes;
    for (row.at[2] = first[2]; row.at[2] <= last[2]; row.at[2]++)
        for (row.at[1] = first[1]; row.at[1] <= last[1]; row.at[1]++) {
            row.first = state_index(&volume->options, x, (int)(row.at[1] & (ES_BRICK - 1)),
                                    (int)(row.at[2] & (ES_BRICK - 1)));
            visit(context, k, &row);
        }
}

static const voxel_box everywhere = {{INT64_MIN, INT64_MIN, INT64_MIN},
                                     {INT64_MAX, INT64_MAX, INT64_MAX}};

static void add_row(void *context, const kernel *k, const voxel_row *row) {
    voxel_box *box = context;
    reading readings[ES_BRICK];
    uint32_t from = 0, to = row->count;
    k->read(row->state, row->deep, row->first, row->count, readings);
    while (from < to && !(readings[from].hits > 0)) from++;
    while (from < to && !(readings[to - 1].hits > 0)) to--;
    if (from == to) return;
    const int64_t low[3] = {row->at[0] + from, row->at[1], row->at[2]};
    const int64_t high[3] = {row->at[0] + to - 1, row->at[1], row->at[2]};
    for (int a = 0; a < 3; a++) {
        if (low[a] < box->low[a]) box->low[a] = low[a];
        if (high[a] > box->high[a]) box->high[a] = high[a];
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
            visit_rows(volume, &volume->store.cells[i], 0, everywhere, add_row, box);
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
    const es_volume *volume;
    voxel_box box;
    size_t width, height; /* of a slice */
    es_type type;
    int channels;
    what what;
    void *out;
} slab;

/* Where in the slab a row goes. */
static size_t slab_element(const slab *s, const voxel_row *row) {
    size_t x = (size_t)(row->at[0] - s->box.low[0]), y = (size_t)(row->at[1] - s->box.low[1]);
    size_t z = (size_t)(row->at[2] - s->box.low[2]);
    return ((z * s->height + y) * s->width + x) * (size_t)s->channels;
}

static void write_values(void *context, const kernel *k, const voxel_row *row) {
    const slab *s = context;
    k->values(row->state, row->deep, row->first, row->count,
              (char *)s->out + slab_element(s, row) * es_type_size(s->type));
}

typedef struct channel_slab {
    const slab *slab;
    int channel;
} channel_slab;

static void write_numbers(void *context, const kernel *k, const voxel_row *row) {
    const channel_slab *c = context;
    const slab *s = c->slab;
    const size_t element = slab_element(s, row) + (size_t)c->channel;
    reading readings[ES_BRICK];
    k->read(row->state, row->deep, row->first, row->count, readings);
    for (uint32_t i = 0; i < row->count; i++) {
        const reading *r = &readings[i];
        if (!(r->hits > 0)) continue;
        double number = s->what == VALUES ? r->value : s->what == SPREAD ? r->spread : r->hits;
        if (s->what == HITS && number < 1) number = 1;
        es_type_set(s->type, s->out, element + i * (size_t)s->channels, number);
    }
}

/* Bricks share no voxel, so that they are written side by side. */
static void write_brick(void *context, size_t index, int worker) {
    slab *s = context;
    const cell *c = &s->volume->store.cells[index];
    (void)worker;
    if (s->what == VALUES && s->channels == 1) {
        visit_rows(s->volume, c, 0, s->box, write_values, s);
        return;
    }
    for (int channel = 0; channel < s->channels; channel++) {
        channel_slab one = {s, channel};
        visit_rows(s->volume, c, channel, s->box, write_numbers, &one);
    }
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
    s->volume = volume;
    es_pool_run(volume->pool, volume->store.settled, write_brick, s);
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

static void copy_row(void *context, const kernel *k, const voxel_row *row) {
    es_brick *brick = context;
    const int x = (int)(row->at[0] & (ES_BRICK - 1)), y = (int)(row->at[1] & (ES_BRICK - 1));
    const int z = (int)(row->at[2] & (ES_BRICK - 1)), first = x + ES_BRICK * (y + ES_BRICK * z);
    reading readings[ES_BRICK];
    k->read(row->state, row->deep, row->first, row->count, readings);
    for (uint32_t i = 0; i < row->count; i++) {
        brick->value[(uint32_t)first + i] = (float)readings[i].value;
        brick->weight[(uint32_t)first + i] = (float)readings[i].hits;
    }
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
        visit_rows(volume, c, 0, everywhere, copy_row, brick);
    }
    es_bricks_sort(bricks);
    return bricks;
}
