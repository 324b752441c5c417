/* A coarser field for previews: a surface of a quarter of the triangles, in a tenth
 * of the time that decimating the fine one takes.
 *
 * A brick of the field becomes a cube of ES_BRICK / by voxels within one coarse
 * brick, so that bricks are taken one by one. */
#include "preview_field.h"

typedef struct block {
    double value, weight; /* sums: weight * value, weight */
    int known;
} block;

static block sum_block(const es_brick *brick, const int at[3], int by) {
    block sum = {0};
    for (int w = at[2]; w < at[2] + by; w++)
        for (int v = at[1]; v < at[1] + by; v++)
            for (int u = at[0]; u < at[0] + by; u++) {
                int i = (w * ES_BRICK + v) * ES_BRICK + u;
                double weight = (double)brick->weight[i];
                if (!(weight > 0)) continue;
                sum.value += weight * (double)brick->value[i];
                sum.weight += weight;
                sum.known++;
            }
    return sum;
}

/* Rounded down, also below 0. */
static int32_t divide(int32_t a, int by) { return a >= 0 ? a / by : -((by - 1 - a) / by); }

static bool add_brick(es_bricks *out, const es_brick *brick, int by, es_error *err) {
    const int side = ES_BRICK / by;
    int32_t in[3], first[3]; /* the coarse brick, and the first voxel there */
    for (int a = 0; a < 3; a++) {
        in[a] = divide(brick->at[a], by);
        first[a] = (brick->at[a] - by * in[a]) * side;
    }
    es_brick *to = es_bricks_add(out, in[0], in[1], in[2], err);
    for (int i = 0; to && i < side * side * side; i++) {
        const int x = i % side, y = i / side % side, z = i / side / side;
        const int at[3] = {x * by, y * by, z * by};
        block sum = sum_block(brick, at, by);
        int j = ((first[2] + z) * ES_BRICK + first[1] + y) * ES_BRICK + first[0] + x;
        if (2 * sum.known < by * by * by) continue;
        to->value[j] = (float)(sum.value / sum.weight);
        to->weight[j] = (float)(sum.weight / (by * by * by));
    }
    return to != NULL;
}

es_bricks *preview_coarsen(const es_bricks *field, int by, es_error *err) {
    double origin[3], spacing[3];
    for (int a = 0; a < 3; a++) {
        double fine = es_bricks_spacing(field)[a];
        origin[a] = es_bricks_origin(field)[a] + fine * (by - 1) / 2;
        spacing[a] = fine * by;
    }
    es_bricks *out = es_bricks_new(origin, spacing, err);
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < es_bricks_count(field); i++)
        ok = add_brick(out, es_bricks_get(field, i), by, err);
    if (ok) return out;
    es_bricks_free(out);
    return NULL;
}
