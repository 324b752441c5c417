/* Filling from a cube round the hole: by inverse distance, and the nearest.
 *
 * Two cheap questions come first, for whole slices: does the hole lie between
 * known voxels, and is its cube known well enough (box sums of bits, one axis
 * after the other)? Only rows with such holes are computed, 16 voxels at a
 * time. Sums run over mirrored places in pairs, (a + b) + (c + d), so that a
 * mirrored volume gives mirrored bits. */
#ifndef RECON_FILL_CUBE_H
#define RECON_FILL_CUBE_H

#include "fill_look.h"

/* ---- is enough known? ------------------------------------------------------- */

/* 256 counts as bits: bit[j] is bit j of each. `bits` of them are enough. */
static inline void add_counts(fill_slice *sum, int bits, const fill_slice *other, int other_bits) {
    fill_slice carry = {0};
    for (int j = 0; j < bits; j++) {
        const fill_slice s = sum[j], o = j < other_bits ? other[j] : (fill_slice){0};
        sum[j] = s ^ o ^ carry;
        carry = (s & o) | (carry & (s ^ o));
    }
}

static inline void subtract_counts(fill_slice *sum, int bits, const fill_slice *other,
                                   int other_bits) {
    fill_slice borrow = {0};
    for (int j = 0; j < bits; j++) {
        const fill_slice s = sum[j], o = j < other_bits ? other[j] : (fill_slice){0};
        sum[j] = s ^ o ^ borrow;
        borrow = (~s & (o | borrow)) | (o & borrow);
    }
}

/* Takes out the holes whose count is less: those where count - least borrows. */
static void drop_fewer(const fill_slice *count, int bits, int least, fill_slice *holes) {
    fill_slice borrow = {0};
    for (int j = 0; j < bits; j++)
        borrow = least >> j & 1 ? ~count[j] | borrow : ~count[j] & borrow;
    *holes &= ~borrow;
}

static int bits_of(int most) { return 32 - __builtin_clz((unsigned)most); }

/* Known voxels in the squares round the voxels of slice z. */
static void count_squares(const fill_window *w, int size, int z, fill_slice *out) {
    const int r = size / 2, row_bits = bits_of(size), bits = bits_of(size * size);
    uint16_t rows[4][2 * ES_BRICK]; /* bit j of the counts along rows -8 .. 23 */
    for (int half = 0; half < 2; half++) {
        fill_slice sum[4] = {{0}, {0}, {0}, {0}}, known;
        for (int k = -r; k <= r; k++) {
            const int d[3] = {k, half ? 8 : -8, 0};
            get_known(w, z, d, &known);
            add_counts(sum, row_bits, &known, 1);
        }
        for (int j = 0; j < row_bits; j++) memcpy(rows[j] + ES_BRICK * half, &sum[j], 32);
    }
    for (int j = 0; j < bits; j++) out[j] = (fill_slice){0};
    for (int k = -r; k <= r; k++) {
        fill_slice row[4];
        for (int j = 0; j < row_bits; j++) memcpy(&row[j], rows[j] + 8 + k, 32);
        add_counts(out, bits, row, row_bits);
    }
}

/* Takes out the holes whose cube is not known well enough. */
static void drop_unknown(const fill_method *method, fill_room *room, fill_slice holes[ES_BRICK]) {
    const int size = method->step.size, r = size / 2;
    const int square_bits = bits_of(size * size), bits = bits_of(size * size * size);
    fill_slice cubes[FILL_COUNT_BITS];
    memset(cubes, 0, sizeof cubes);
    for (int z = -r; z < ES_BRICK + r; z++) {
        fill_slice *square = room->squares[z + r];
        count_squares(&room->window, size, z, square);
        add_counts(cubes, bits, square, square_bits);
        if (z < r) continue;
        drop_fewer(cubes, bits, method->least_known, &holes[z - r]);
        subtract_counts(cubes, bits, room->squares[z - r], square_bits);
    }
}

/* Holes between seen voxels whose cube is known well enough; false when there
 * are none. */
static bool find_cube_holes(const fill_method *method, fill_room *room, const fill_result *result,
                            fill_slice holes[ES_BRICK]) {
    bool any = false;
    memcpy(holes, result->open, sizeof result->open);
    for (int z = 0; z < ES_BRICK; z++) {
        if (!fill_any(&holes[z])) continue;
        start_sight(&room->sight, &room->window, z);
        any |= keep_between(&room->sight, method->longest, &holes[z]);
    }
    if (!any || method->least_known <= 1) return any;
    drop_unknown(method, room, holes);
    any = false;
    for (int z = 0; z < ES_BRICK; z++) any |= fill_any(&holes[z]);
    return any;
}

/* ---- values and weights round a brick ------------------------------------------- */

/* Some voxels of a brick. Bit x of `known`: is voxel x read? */
static inline void gather_some(const es_brick *brick, int from, uint32_t known, bool by_weight,
                               float *value, float *weight) {
    ints mask, v = {0}, w = (ints)((floats){0} + 1.0f);
    make_mask(known, &mask);
    if (brick) v = *(const ints *)(brick->value + from);
    if (brick && by_weight) w = *(const ints *)(brick->weight + from);
    *(floats *)weight = (floats)(w & mask);
    *(floats *)value = (floats)(v & mask);
    if (by_weight) *(floats *)value *= *(floats *)weight;
}

enum { MARGIN = (FILL_ROW - ES_BRICK) / 2 };

/* Weights, and values times weights, of the voxels -8 .. 23 of row (y, z); 0
 * where nothing is known. Weights are 1 unless the step goes by them. */
static void gather_row(const fill_method *m, const fill_window *w, int y, int z,
                       float value[FILL_ROW], float weight[FILL_ROW]) {
    const int n = 2 * w->ring + 1, first = ES_BRICK * w->ring;
    const int row = ES_BRICK * ((y + first) % ES_BRICK + ES_BRICK * ((z + first) % ES_BRICK));
    const es_brick *const *bricks =
        w->bricks + w->ring - 1 + n * ((y + first) / ES_BRICK + n * ((z + first) / ES_BRICK));
    const bool by_weight = m->step.kind == ES_FILL_GAUSSIAN_ACCUMULATION;
    for (int x = 0; x < FILL_ROW; x += LANES) {
        const int column = (x + MARGIN) / ES_BRICK, from = (x + MARGIN) % ES_BRICK;
        const uint32_t known = w->rows[fill_window_row(w, w->ring - 1 + column, y, z)];
        gather_some(bricks[column], row + from, known >> from, by_weight, value + x, weight + x);
    }
}

/* The quotients of one row's sums into its holes, where there is any weight. */
static void put_row(const float value[ES_BRICK], const float weight[ES_BRICK], int row,
                    unsigned holes, fill_result *result) {
    ints filled = {0};
    for (int x = 0; x < ES_BRICK; x += LANES) {
        ints *out = (ints *)(result->value + ES_BRICK * row + x), mask;
        const floats w = *(const floats *)(weight + x);
        const floats mean = *(const floats *)(value + x) / w;
        make_mask(holes >> x, &mask);
        /* Under a narrow Gaussian far voxels alone weigh next to nothing, and
         * next to nothing has few digits. */
        mask &= w > 1e-30f;
        *out = ((ints)mean & mask) | (*out & ~mask);
        filled |= mask & *(const ints *)bit_of_lane << x;
    }
    fill_drop(&result->open[row / ES_BRICK], row % ES_BRICK, or_lanes(&filled));
}

/* All of a slice's. */
static void put_slice(const float value[FILL_AREA], const float weight[FILL_AREA], int z,
                      const fill_slice *holes, fill_result *result) {
    for (int y = 0; y < ES_BRICK; y++) {
        unsigned row = fill_row_bits(holes, y);
        if (row != 0)
            put_row(value + ES_BRICK * y, weight + ES_BRICK * y, y + ES_BRICK * z, row, result);
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

/* Sums of the cubes round 16 voxels in a row of a block, whose rows are those of
 * gather_row and whose slices have `side` of them. */
static void sum_cubes(const fill_method *m, const float *row, int side, float out[ES_BRICK]) {
    const int r = m->radius;
    const float *weight = m->weights;
    float rows[FILL_ROW], *middle = rows + MARGIN;
    for (int x = 0; x < ES_BRICK; x++) out[x] = 0;
    for (int c = 0; c <= r; c++)
        for (int b = 0; b <= r; b++, weight += r + 1) {
            add_rows(row, (ptrdiff_t)b * FILL_ROW, (ptrdiff_t)c * side * FILL_ROW, FILL_ROW, rows);
            for (int x = 0; x < ES_BRICK; x++) out[x] += weight[0] * middle[x];
            for (int a = 1; a <= r; a++)
                for (int x = 0; x < ES_BRICK; x++)
                    out[x] += weight[a] * (middle[x - a] + middle[x + a]);
        }
}

static void fill_by_distance(const fill_method *method, fill_room *room, fill_result *result) {
    const int r = method->radius, side = ES_BRICK + 2 * r;
    fill_slice holes[ES_BRICK];
    if (!find_cube_holes(method, room, result, holes)) return;
    for (int i = 0; i < side * side; i++)
        gather_row(method, &room->window, i % side - r, i / side - r, room->value + FILL_ROW * i,
                   room->weight + FILL_ROW * i);
    for (int i = 0; i < FILL_AREA; i++) {
        const int y = i % ES_BRICK, z = i / ES_BRICK, at = FILL_ROW * (y + r + side * (z + r));
        const unsigned row = fill_row_bits(&holes[z], y);
        float value[ES_BRICK], weight[ES_BRICK];
        if (row == 0) continue;
        sum_cubes(method, room->value + at, side, value);
        sum_cubes(method, room->weight + at, side, weight);
        put_row(value, weight, i, row, result);
    }
}

#endif
