/* Sparse bricks: cubes of 16^3 voxels that exist only where data fell.
 *
 * Bricks stand side by side in blocks and never move, so that pointers to them
 * stay good while others are added: memory that comes brick by brick takes as long
 * to fault in as many a use of it. Two tables point at them: `bricks`, in
 * order of age (or sorted), and `slots`, an open-addressing hash table of
 * positions in `bricks` keyed by brick coordinates. The table is kept at most
 * half full, so that a look-up costs one or two probes. Nothing here depends
 * on addresses: the same calls give the same order on every run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/image.h"

struct es_bricks {
    double origin_mm[3], spacing_mm[3];
    es_brick **bricks;
    size_t count, capacity;
    size_t *slots;    /* position in `bricks` + 1; 0: free */
    size_t slot_mask; /* slots - 1, slots a power of two >= 2 * count */
    es_brick **blocks;
    size_t block_count, block_capacity;
    es_brick *block_end;
    size_t left; /* bricks before the end of the last block that nobody has */
};

/* A few bricks are small blocks, which grow with what is there; after them come blocks of
 * more than 32 MiB, which the C library always takes from the system: such memory is there
 * once it is touched, in whole huge pages. */
enum { FIRST_CAPACITY = 64, FEW = 64, MANY = 1024, PART = 4 };

/* ---- the hash table ---------------------------------------------------- */

/* The slot that holds `at`, or the free one where it belongs. */
static size_t find_slot(const es_bricks *bricks, const int32_t at[3]) {
    size_t slot = es_place_hash(at) & bricks->slot_mask;
    while (bricks->slots[slot] != 0) {
        const es_brick *brick = bricks->bricks[bricks->slots[slot] - 1];
        if (memcmp(brick->at, at, sizeof brick->at) == 0) break;
        slot = (slot + 1) & bricks->slot_mask;
    }
    return slot;
}

static void fill_slots(es_bricks *bricks) {
    memset(bricks->slots, 0, (bricks->slot_mask + 1) * sizeof *bricks->slots);
    for (size_t i = 0; i < bricks->count; i++)
        bricks->slots[find_slot(bricks, bricks->bricks[i]->at)] = i + 1;
}

static bool reserve(es_bricks *bricks, size_t capacity, es_error *err) {
    if (!es_resize(&bricks->bricks, capacity, sizeof *bricks->bricks, err)) return false;
    size_t *slots = es_alloc(capacity, 2 * sizeof *slots, err);
    if (!slots) return false;
    es_free(bricks->slots);
    bricks->slots = slots;
    bricks->slot_mask = 2 * capacity - 1;
    bricks->capacity = capacity;
    fill_slots(bricks);
    return true;
}

/* ---- life --------------------------------------------------------------- */

static bool check_lattice(const double origin_mm[3], const double spacing_mm[3], es_error *err) {
    for (int a = 0; a < 3; a++) {
        if (!isfinite(origin_mm[a]))
            return es_fail(err, ES_USAGE, "the origin of the bricks is not a finite number");
        if (!isfinite(spacing_mm[a]) || spacing_mm[a] <= 0)
            return es_fail(err, ES_USAGE, "voxel spacing %g mm: expected a number above 0",
                           spacing_mm[a]);
    }
    return true;
}

es_bricks *es_bricks_new(const double origin_mm[3], const double spacing_mm[3], es_error *err) {
    if (!check_lattice(origin_mm, spacing_mm, err)) return NULL;
    es_bricks *bricks = es_alloc_zero(1, sizeof *bricks, err);
    if (!bricks) return NULL;
    memcpy(bricks->origin_mm, origin_mm, sizeof bricks->origin_mm);
    memcpy(bricks->spacing_mm, spacing_mm, sizeof bricks->spacing_mm);
    if (!reserve(bricks, FIRST_CAPACITY, err)) {
        es_bricks_free(bricks);
        return NULL;
    }
    return bricks;
}

void es_bricks_free(es_bricks *bricks) {
    if (!bricks) return;
    for (size_t i = 0; i < bricks->block_count; i++) es_free(bricks->blocks[i]);
    es_free(bricks->blocks);
    es_free(bricks->bricks);
    es_free(bricks->slots);
    es_free(bricks);
}

const double *es_bricks_origin(const es_bricks *bricks) { return bricks->origin_mm; }
const double *es_bricks_spacing(const es_bricks *bricks) { return bricks->spacing_mm; }
size_t es_bricks_count(const es_bricks *bricks) { return bricks->count; }

/* ---- finding and adding ------------------------------------------------- */

es_brick *es_bricks_get(const es_bricks *bricks, size_t index) {
    return index < bricks->count ? bricks->bricks[index] : NULL;
}

es_brick *es_bricks_find(const es_bricks *bricks, int32_t x, int32_t y, int32_t z) {
    int32_t at[3] = {x, y, z};
    size_t position = bricks->slots[find_slot(bricks, at)];
    return position ? bricks->bricks[position - 1] : NULL;
}

static bool add_block(es_bricks *bricks, es_error *err) {
    if (bricks->block_count == bricks->block_capacity) {
        const size_t capacity = 2 * bricks->block_capacity + FIRST_CAPACITY;
        if (!es_resize(&bricks->blocks, capacity, sizeof(es_brick *), err)) return false;
        bricks->block_capacity = capacity;
    }
    const size_t size = bricks->count < FEW ? bricks->count / PART + 1 : MANY;
    es_brick *block = es_alloc_large(size, sizeof *block, err);
    if (!block) return false;
    bricks->blocks[bricks->block_count++] = block;
    bricks->left = size;
    bricks->block_end = block + size;
    return true;
}

/* A brick that nobody has. */
static es_brick *take_brick(es_bricks *bricks, es_error *err) {
    if (bricks->left == 0 && !add_block(bricks, err)) return NULL;
    return bricks->block_end - bricks->left--;
}

es_brick *es_bricks_add(es_bricks *bricks, int32_t x, int32_t y, int32_t z, es_error *err) {
    es_brick *brick = es_bricks_find(bricks, x, y, z);
    if (brick) return brick;
    if (bricks->count == bricks->capacity && !reserve(bricks, 2 * bricks->capacity, err))
        return NULL;
    brick = take_brick(bricks, err);
    if (!brick) return NULL;
    brick->at[0] = x;
    brick->at[1] = y;
    brick->at[2] = z;
    bricks->slots[find_slot(bricks, brick->at)] = bricks->count + 1;
    bricks->bricks[bricks->count++] = brick;
    return brick;
}

static int compare_bricks(const void *a, const void *b) {
    const es_brick *p = *(es_brick *const *)a, *q = *(es_brick *const *)b;
    for (int axis = 2; axis >= 0; axis--)
        if (p->at[axis] != q->at[axis]) return p->at[axis] < q->at[axis] ? -1 : 1;
    return 0;
}

void es_bricks_sort(es_bricks *bricks) {
    qsort(bricks->bricks, bricks->count, sizeof *bricks->bricks, compare_bricks);
    fill_slots(bricks);
}

/* ---- extent --------------------------------------------------------------- */

static void add_brick_extent(const es_brick *brick, int64_t low[3], int64_t high[3]) {
    for (int i = 0; i < ES_BRICK_VOXELS; i++) {
        if (!(brick->weight[i] > 0)) continue;
        int offset[3] = {i % ES_BRICK, i / ES_BRICK % ES_BRICK, i / (ES_BRICK * ES_BRICK)};
        for (int a = 0; a < 3; a++) {
            int64_t voxel = (int64_t)ES_BRICK * brick->at[a] + offset[a];
            if (voxel < low[a]) low[a] = voxel;
            if (voxel > high[a]) high[a] = voxel;
        }
    }
}

bool es_bricks_extent(const es_bricks *bricks, int64_t low[3], int64_t high[3]) {
    for (int a = 0; a < 3; a++) {
        low[a] = INT64_MAX;
        high[a] = INT64_MIN;
    }
    for (size_t i = 0; i < bricks->count; i++) add_brick_extent(bricks->bricks[i], low, high);
    return low[0] <= high[0];
}

/* ---- from a dense grid ---------------------------------------------------- */

/* How a grid lies on the lattice of the space's own axes: space axis a runs
 * along grid axis `axis[a]`, backwards if flip[a]. */
typedef struct grid_axes {
    int axis[3];
    bool flip[3];
    double origin_mm[3], spacing_mm[3];
    uint64_t size[3];
} grid_axes;

static bool find_axes(const es_grid_info *info, grid_axes *axes, es_error *err) {
    bool used[3] = {false, false, false};
    for (int a = 0; a < 3; a++) {
        int found = -1;
        for (int g = 0; g < 3; g++)
            if (fabs(fabs(info->direction[3 * a + g]) - 1) < 1e-6) found = g;
        if (found < 0 || used[found])
            return es_fail(err, ES_UNSUPPORTED,
                           "the grid's direction is oblique; only directions along the axes can "
                           "become bricks: resample the volume first");
        used[found] = true;
        axes->axis[a] = found;
        axes->flip[a] = info->direction[3 * a + found] < 0;
        axes->spacing_mm[a] = info->spacing_mm[found];
        axes->size[a] = info->size[found];
        axes->origin_mm[a] = info->origin_mm[a];
        if (axes->flip[a] && axes->size[a] > 0)
            axes->origin_mm[a] -= axes->spacing_mm[a] * (double)(axes->size[a] - 1);
        if (axes->size[a] > (uint64_t)INT32_MAX * ES_BRICK)
            return es_fail(err, ES_UNSUPPORTED, "a grid of %llu voxels along one axis is too long",
                           (unsigned long long)axes->size[a]);
    }
    return true;
}

/* Element of the grid at a lattice voxel. */
static size_t element_at(const grid_axes *axes, const uint64_t grid_size[3],
                         const uint64_t voxel[3]) {
    uint64_t at[3];
    for (int a = 0; a < 3; a++)
        at[axes->axis[a]] = axes->flip[a] ? axes->size[a] - 1 - voxel[a] : voxel[a];
    return (size_t)(at[0] + grid_size[0] * (at[1] + grid_size[1] * at[2]));
}

/* Copies one brick's voxels; adds the brick at its first known voxel. A NaN
 * in the grid says that the voxel is not known. */
static bool fill_brick(es_bricks *bricks, const es_grid *grid, const uint8_t *mask,
                       const grid_axes *axes, const int32_t at[3], es_error *err) {
    es_brick *brick = NULL;
    for (int i = 0; i < ES_BRICK_VOXELS; i++) {
        int offset[3] = {i % ES_BRICK, i / ES_BRICK % ES_BRICK, i / (ES_BRICK * ES_BRICK)};
        uint64_t voxel[3];
        bool inside = true;
        for (int a = 0; a < 3; a++) {
            voxel[a] = (uint64_t)at[a] * ES_BRICK + (uint64_t)offset[a];
            inside = inside && voxel[a] < axes->size[a];
        }
        if (!inside) continue;
        size_t element = element_at(axes, grid->info.size, voxel);
        double value =
            es_type_get(grid->info.type, grid->data, element * (size_t)grid->info.channels);
        if (isnan(value) || (mask && mask[element] == 0)) continue;
        if (!brick && !(brick = es_bricks_add(bricks, at[0], at[1], at[2], err))) return false;
        brick->value[i] = (float)value;
        brick->weight[i] = 1;
    }
    return true;
}

es_bricks *es_bricks_from_grid(const es_grid *grid, const uint8_t *mask, es_error *err) {
    grid_axes axes;
    if (!grid->data) {
        es_fail(err, ES_USAGE, "the grid has no data to make bricks of");
        return NULL;
    }
    if (!find_axes(&grid->info, &axes, err)) return NULL;
    es_bricks *bricks = es_bricks_new(axes.origin_mm, axes.spacing_mm, err);
    if (!bricks) return NULL;
    int32_t count[3];
    for (int a = 0; a < 3; a++) count[a] = (int32_t)((axes.size[a] + ES_BRICK - 1) / ES_BRICK);
    bool ok = true;
    for (int32_t z = 0; ok && z < count[2]; z++)
        for (int32_t y = 0; ok && y < count[1]; y++)
            for (int32_t x = 0; ok && x < count[0]; x++) {
                int32_t at[3] = {x, y, z};
                ok = fill_brick(bricks, grid, mask, &axes, at, err);
            }
    if (ok) return bricks;
    es_bricks_free(bricks);
    return NULL;
}
