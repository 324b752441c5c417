/* Filling from a cube round the hole: by inverse distance, and the nearest.
 *
 * Two cheap questions come first, for whole slices: does the hole lie between
 * known voxels, and is its cube known well enough (box sums of bits, one axis
 * after the other)? Only rows with such holes are computed, 16 voxels at a
 * time. Sums run over mirrored places in pairs, (a + b) + (c + d), so that a
 * mirrored volume gives mirrored bits. */
#include "fill_internal.h"

/* ---- is enough known? ------------------------------------------------------- */

/* Known voxels within the radius along x of 16 voxels in a row. */
static void sum_row(const fill_window *w, int radius, int y, int z, uint8_t out[ES_BRICK]) {
    const size_t plane = (size_t)w->side * (size_t)w->side;
    const int first = ES_BRICK * w->ring;
    const uint16_t *rows =
        w->rows + (size_t)(w->ring - 1) * plane + (size_t)(first + z) * (size_t)w->side + first + y;
    uint8_t bytes[3 * ES_BRICK];
    for (int c = 0; c < 3; c++) fill_unpack(rows[(size_t)c * plane], bytes + ES_BRICK * c);
    memset(out, 0, ES_BRICK);
    for (int k = -radius; k <= radius; k++)
        for (int x = 0; x < ES_BRICK; x++) out[x] = (uint8_t)(out[x] + bytes[ES_BRICK + k + x]);
}

/* Known voxels in the squares across z of one slice. */
static void sum_squares(const fill_window *w, int radius, int z, uint8_t out[FILL_SLICE]) {
    uint8_t rows[FILL_MOST_BLOCK * ES_BRICK];
    for (int y = -radius; y < ES_BRICK + radius; y++)
        sum_row(w, radius, y, z, rows + ES_BRICK * (y + radius));
    memset(out, 0, FILL_SLICE);
    for (int k = 0; k <= 2 * radius; k++)
        for (int i = 0; i < FILL_SLICE; i++) out[i] = (uint8_t)(out[i] + rows[ES_BRICK * k + i]);
}

static void drop_unknown(const uint16_t known[FILL_SLICE], int least, uint64_t holes[FILL_WORDS]) {
    for (int y = 0; y < ES_BRICK; y++) {
        uint8_t few[ES_BRICK];
        for (int x = 0; x < ES_BRICK; x++) few[x] = known[ES_BRICK * y + x] < least;
        holes[y / 4] &= ~((uint64_t)fill_pack(few) << 16 * (y % 4));
    }
}

/* Drops the holes whose cube is not known well enough. */
static void drop_all_unknown(const fill_method *method, fill_room *room,
                             uint64_t holes[ES_BRICK][FILL_WORDS]) {
    const int r = method->radius;
    uint16_t known[FILL_SLICE] = {0}; /* of the cubes round one slice */
    for (int z = -r; z < ES_BRICK + r; z++) {
        uint8_t *square = room->counts[z + r], *old = z > r ? room->counts[z - r - 1] : NULL;
        sum_squares(&room->window, r, z, square);
        for (int i = 0; i < FILL_SLICE; i++) known[i] = (uint16_t)(known[i] + square[i]);
        if (z < r) continue;
        for (int i = 0; old && i < FILL_SLICE; i++) known[i] = (uint16_t)(known[i] - old[i]);
        drop_unknown(known, method->least_known, holes[z - r]);
    }
}

bool fill_cube_holes(const fill_method *method, fill_room *room, const fill_result *result,
                     uint64_t holes[ES_BRICK][FILL_WORDS]) {
    bool any = false;
    memcpy(holes, result->open, sizeof result->open);
    for (int z = 0; z < ES_BRICK; z++) {
        if (!fill_any(holes[z])) continue;
        fill_sight_start(&room->sight, &room->window, z);
        any |= fill_between(&room->sight, method->longest, holes[z]);
    }
    if (!any || method->least_known <= 1) return any;
    drop_all_unknown(method, room, holes);
    any = false;
    for (int z = 0; z < ES_BRICK; z++) any |= fill_any(holes[z]);
    return any;
}

/* ---- values and weights round a brick ------------------------------------------- */

/* Voxels from .. to - 1 of a brick's row. */
static void gather_run(const fill_bits *bits, int row, int from, int to, fill_pair out) {
    if (!bits) {
        for (int x = from; x < to; x++) out.value[x] = out.weight[x] = 0;
        return;
    }
    const float *v = bits->brick->value + ES_BRICK * row;
    const float *w = bits->brick->weight + ES_BRICK * row;
    for (int x = from; x < to; x++) {
        bool known = fill_known(v[x], w[x]);
        out.value[x] = known ? v[x] : 0;
        out.weight[x] = known ? w[x] : 0;
    }
}

void fill_gather_row(const fill_method *m, const fill_window *w, int y, int z, fill_pair out) {
    const int n = 2 * w->ring + 1, r = m->radius, first = ES_BRICK * w->ring;
    const int row = (y + first) % ES_BRICK + ES_BRICK * ((z + first) % ES_BRICK);
    const fill_bits *const *bricks =
        w->bricks + w->ring + n * ((y + first) / ES_BRICK + n * ((z + first) / ES_BRICK));
    const fill_pair left = {out.value + r - ES_BRICK, out.weight + r - ES_BRICK};
    const fill_pair middle = {out.value + r, out.weight + r};
    const fill_pair right = {out.value + r + ES_BRICK, out.weight + r + ES_BRICK};
    gather_run(bricks[-1], row, ES_BRICK - r, ES_BRICK, left);
    gather_run(bricks[0], row, 0, ES_BRICK, middle);
    gather_run(bricks[1], row, 0, r, right);
    if (m->step.kind == ES_FILL_GAUSSIAN_ACCUMULATION)
        for (int x = 0; x < ES_BRICK + 2 * r; x++) out.value[x] *= out.weight[x];
    else
        for (int x = 0; x < ES_BRICK + 2 * r; x++) out.weight[x] = out.weight[x] > 0 ? 1.0f : 0.0f;
}

void fill_put_slice(const float value[FILL_SLICE], const float weight[FILL_SLICE], int z,
                    uint64_t holes[FILL_WORDS], fill_result *result) {
    for (int word = 0, voxel; (voxel = fill_next(holes, &word)) >= 0;) {
        /* Far voxels alone may weigh nothing at all under a narrow Gaussian. */
        if (!(weight[voxel] > 0)) continue;
        result->value[FILL_SLICE * z + voxel] = value[voxel] / weight[voxel];
        result->open[z][word] &= ~((uint64_t)1 << voxel % 64);
    }
}

/* ---- inverse distance -------------------------------------------------------------- */

/* Adds the rows (+-b, +-c) round one, pairwise. */
static void add_rows(const float *row, ptrdiff_t b, ptrdiff_t c, int width, float *out) {
    if (b == 0 && c == 0)
        for (int x = 0; x < width; x++) out[x] = row[x];
    else if (b == 0 || c == 0)
        for (int x = 0; x < width; x++) out[x] = row[x - b - c] + row[x + b + c];
    else
        for (int x = 0; x < width; x++)
            out[x] = (row[x - b - c] + row[x + b - c]) + (row[x - b + c] + row[x + b + c]);
}

/* Sums of the cubes round 16 voxels in a row; `block` is at the corner of the
 * first one's cube. */
static void sum_cubes(const fill_method *m, const float *block, float out[ES_BRICK]) {
    const int r = m->radius, side = ES_BRICK + 2 * r;
    const float *row = block + side * (r + side * r), *weight = m->weights;
    float rows[FILL_MOST_BLOCK], *middle = rows + r;
    for (int x = 0; x < ES_BRICK; x++) out[x] = 0;
    for (int c = 0; c <= r; c++)
        for (int b = 0; b <= r; b++, weight += r + 1) {
            add_rows(row, (ptrdiff_t)b * side, (ptrdiff_t)c * side * side, side, rows);
            for (int x = 0; x < ES_BRICK; x++) out[x] += weight[0] * middle[x];
            for (int a = 1; a <= r; a++)
                for (int x = 0; x < ES_BRICK; x++)
                    out[x] += weight[a] * (middle[x - a] + middle[x + a]);
        }
}

void fill_by_distance(const fill_method *method, fill_room *room, fill_result *result) {
    const int r = method->radius, side = ES_BRICK + 2 * r;
    uint64_t holes[ES_BRICK][FILL_WORDS];
    float value[FILL_SLICE], weight[FILL_SLICE];
    if (!fill_cube_holes(method, room, result, holes)) return;
    for (int z = 0; z < side; z++)
        for (int y = 0; y < side; y++) {
            size_t at = (size_t)side * (size_t)(y + side * z);
            fill_pair out = {room->value + at, room->weight + at};
            fill_gather_row(method, &room->window, y - r, z - r, out);
        }
    for (int z = 0; z < ES_BRICK; z++) {
        for (int y = 0; y < ES_BRICK; y++) {
            if (fill_row_bits(holes[z], y) == 0) continue;
            size_t at = (size_t)side * (size_t)(y + side * z);
            sum_cubes(method, room->value + at, value + ES_BRICK * y);
            sum_cubes(method, room->weight + at, weight + ES_BRICK * y);
        }
        fill_put_slice(value, weight, z, holes[z], result);
    }
}
