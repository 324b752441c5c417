/* A coarse copy of the distance field, kept up to date while frames come.
 *
 * Sums of w d and of w over cubes of voxels are what the field would hold had
 * its voxels been that large, but for the noise, which the mean takes out. Each
 * brick falls into a cube of one coarse brick, which nobody else writes, so that
 * only bricks that a batch has touched need to be done again. */
#include <string.h>

#include "recon_internal.h"

enum { MOST_LEVEL = 4, LEAST_KNOWN = 4 /* of so many voxels, one */ };

bool es_distance_copy_new(const es_distance *distance, int level, es_distance_copy *copy,
                          es_error *err) {
    const es_distance_options *o = &distance->options;
    double origin_mm[3], spacing_mm[3];
    *copy = (es_distance_copy){.level = level, .undos = distance->undos};
    if (level < 0 || level > MOST_LEVEL)
        return es_fail(err, ES_USAGE, "a copy of level %d: expected 0 to %d", level, MOST_LEVEL);
    for (int a = 0; a < 3; a++) {
        spacing_mm[a] = o->spacing_mm[a] * (double)(1 << level);
        origin_mm[a] = o->origin_mm[a] + (spacing_mm[a] - o->spacing_mm[a]) / 2;
    }
    copy->bricks = es_bricks_new(origin_mm, spacing_mm, err);
    return copy->bricks != NULL;
}

/* A row of coarse voxels: sums of w d, of w, and the number of voxels with a weight. */
typedef struct coarse_row {
    float weighted[ES_BRICK], weight[ES_BRICK];
    int known[ES_BRICK];
} coarse_row;

static void add_row(const distance_voxel *row, int level, coarse_row *sums) {
    for (int x = 0; x < ES_BRICK; x++) {
        sums->weighted[x >> level] += row[x].weighted;
        sums->weight[x >> level] += row[x].weight;
        sums->known[x >> level] += row[x].weight > 0;
    }
}

/* The rows y, z of a coarse brick's part: `side` voxels from the first one. */
static void write_row(const cell *c, int level, int y, int z, float *value, float *weight) {
    const distance_voxel *voxels = c->state;
    const int side = ES_BRICK >> level, step = 1 << level, all = step * step * step;
    coarse_row sums = {0};
    for (int dz = 0; dz < step; dz++)
        for (int dy = 0; dy < step; dy++)
            add_row(voxels + ES_BRICK * (step * y + dy + ES_BRICK * (step * z + dz)), level, &sums);
    for (int x = 0; x < side; x++) {
        bool known = sums.weight[x] > 0 && sums.known[x] * LEAST_KNOWN >= all;
        value[x] = known ? sums.weighted[x] / sums.weight[x] : 0;
        weight[x] = known ? sums.weight[x] / (float)sums.known[x] : 0;
    }
}

static bool follow_brick(const cell *c, const es_distance_copy *copy, es_error *err) {
    const int level = copy->level, side = ES_BRICK >> level;
    int32_t at[3];
    int first[3];
    for (int a = 0; a < 3; a++) {
        at[a] = c->at[a] >> level;
        first[a] = side * (c->at[a] & ((1 << level) - 1));
    }
    es_brick *brick = es_bricks_add(copy->bricks, at[0], at[1], at[2], err);
    if (!brick) return false;
    for (int z = 0; z < side; z++)
        for (int y = 0; y < side; y++) {
            int i = first[0] + ES_BRICK * (first[1] + y + ES_BRICK * (first[2] + z));
            write_row(c, level, y, z, brick->value + i, brick->weight + i);
        }
    return true;
}

/* What was taken back is not in a new copy. */
static bool begin_anew(const es_distance *distance, es_distance_copy *copy, es_error *err) {
    es_distance_copy fresh;
    if (!es_distance_copy_new(distance, copy->level, &fresh, err)) return false;
    es_bricks_free(copy->bricks);
    *copy = fresh;
    return true;
}

bool es_distance_follow(const es_distance *distance, es_distance_copy *copy, es_error *err) {
    const store *s = &distance->store;
    if (copy->undos != distance->undos && !begin_anew(distance, copy, err)) return false;
    for (size_t i = 0; i < s->settled; i++)
        if (s->cells[i].stamp > copy->seen && !follow_brick(&s->cells[i], copy, err)) return false;
    copy->seen = distance->batches;
    return true;
}
