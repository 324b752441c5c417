/* What a hole sees: known voxels along 13 lines, for 256 holes at a time.
 *
 * A brick's known voxels are kept as 16-bit rows. Looking k steps along a line
 * is then a shift of rows by k dx bits, taken from rows k dy and k dz away, and
 * "the first known voxel lies at step k" is `shifted & ~met so far`. A voxel
 * lies between two known ones when it meets one forward at step f and one
 * backward at step b; both are sets of bits, so no voxel is looked at alone. */
#ifndef RECON_FILL_LOOK_H
#define RECON_FILL_LOOK_H

#include "fill_vector.h"

/* ---- a brick as bits ------------------------------------------------------- */

static void make_row(fill_bits *bits, int row) {
    ints seen = {0}, known = {0};
    for (int x = 0; x < ES_BRICK; x += LANES) {
        const floats v = *(const floats *)(bits->brick->value + ES_BRICK * row + x);
        const floats w = *(const floats *)(bits->brick->weight + ES_BRICK * row + x);
        const ints bit = *(const ints *)bit_of_lane << x;
        seen |= (w > 0) & bit;
        known |= (w > 0) & (w <= FLT_MAX) & (v >= -FLT_MAX) & (v <= FLT_MAX) & bit;
    }
    bits->seen[row] = (uint16_t)or_lanes(&seen);
    bits->known[row] = (uint16_t)or_lanes(&known);
}

static void widen(fill_bits *bits, int axis, int at) {
    if (at < bits->low[axis]) bits->low[axis] = (uint8_t)at;
    if (at > bits->high[axis]) bits->high[axis] = (uint8_t)at;
}

static void make_bits(fill_bits *bits) {
    unsigned columns = 0;
    for (int a = 0; a < 3; a++) {
        bits->low[a] = ES_BRICK;
        bits->high[a] = 0;
    }
    for (int row = 0; row < FILL_AREA; row++) {
        make_row(bits, row);
        if (bits->known[row] == 0) continue;
        columns |= bits->known[row];
        widen(bits, 1, row % ES_BRICK);
        widen(bits, 2, row / ES_BRICK);
    }
    bits->any = columns != 0;
    if (!bits->any) return;
    widen(bits, 0, __builtin_ctz(columns));
    widen(bits, 0, 31 - __builtin_clz(columns));
}

/* ---- the bricks round one --------------------------------------------------- */

/* Puts the rows of one brick, or none, `step` bricks from the middle. */
static void set_rows(fill_window *w, const fill_bits *bits, const int step[3]) {
    for (int z = 0; z < ES_BRICK; z++) {
        uint16_t *to = &w->rows[fill_window_row(w, step[0] + w->ring, ES_BRICK * step[1],
                                                ES_BRICK * step[2] + z)];
        if (bits)
            memcpy(to, bits->known + ES_BRICK * z, ES_BRICK * sizeof *to);
        else
            memset(to, 0, ES_BRICK * sizeof *to);
    }
}

static const fill_bits *find_bits(const store *cells, const int32_t at[3], const int step[3]) {
    int32_t other[3];
    for (int a = 0; a < 3; a++)
        if (__builtin_add_overflow(at[a], step[a], &other[a])) return NULL;
    const cell *c = store_find(cells, other);
    const fill_bits *bits = c ? c->state : NULL;
    return bits && bits->any ? bits : NULL;
}

/* Widens the box by a brick that lies `step` bricks away. */
static void widen_box(fill_window *w, const fill_bits *bits, const int step[3]) {
    for (int a = 0; a < 3; a++) {
        int low = ES_BRICK * step[a] + bits->low[a], high = ES_BRICK * step[a] + bits->high[a];
        if (low < w->low[a]) w->low[a] = low;
        if (high > w->high[a]) w->high[a] = high;
    }
}

/* Sets bricks, rows and box; false when nothing in the window is known. */
static bool gather_window(fill_window *w, const store *cells, const int32_t at[3]) {
    const int n = 2 * w->ring + 1;
    w->side = ES_BRICK * n;
    for (int a = 0; a < 3; a++) {
        w->low[a] = INT_MAX;
        w->high[a] = INT_MIN;
    }
    for (int z = 0; z < n; z++)
        for (int y = 0; y < n; y++)
            for (int x = 0; x < n; x++) {
                int step[3] = {x - w->ring, y - w->ring, z - w->ring};
                const fill_bits *bits = find_bits(cells, at, step);
                w->bricks[x + n * (y + n * z)] = bits ? bits->brick : NULL;
                set_rows(w, bits, step);
                if (bits) widen_box(w, bits, step);
            }
    return w->low[0] <= w->high[0];
}

/* Takes out of the middle brick's holes those outside the box: no line through
 * them can have a known voxel on both sides. */
static void cut_holes(const fill_window *w, fill_slice holes[ES_BRICK]) {
    unsigned columns = 0;
    for (int x = 0; x < ES_BRICK; x++)
        columns |= (unsigned)(x >= w->low[0] && x <= w->high[0]) << x;
    for (int z = 0; z < ES_BRICK; z++)
        for (int y = 0; y < ES_BRICK; y++) {
            bool inside = y >= w->low[1] && y <= w->high[1] && z >= w->low[2] && z <= w->high[2];
            fill_drop(&holes[z], y, 0xffff & ~(inside ? columns : 0));
        }
}

/* Bit (x, y) of out: is (x + d[0], y + d[1], z + d[2]) known? */
static inline void get_known(const fill_window *w, int z, const int d[3], fill_slice *out) {
    const int x = ES_BRICK * w->ring + d[0], shift = x % ES_BRICK;
    const uint16_t *rows = &w->rows[fill_window_row(w, x / ES_BRICK, d[1], z + d[2])];
    const uint64_t keep = 0x0001000100010001u * (0xffffu >> shift);
    fill_slice here, next; /* the rest of a row stands in the next column */
    memcpy(&here, rows, sizeof here);
    if (shift == 0) {
        *out = here;
        return;
    }
    memcpy(&next, rows + (size_t)w->side * (size_t)w->side, sizeof next);
    *out = (here >> shift & keep) | (next << (ES_BRICK - shift) & ~keep);
}

/* ---- looking along lines ------------------------------------------------------ */

static void start_sight(fill_sight *sight, const fill_window *window, int z) {
    sight->window = window;
    sight->z = z;
    memset(sight->depth, 0, sizeof sight->depth);
    memset(sight->met, 0, sizeof sight->met);
}

/* Looks both ways along a line, `steps` far. */
static void extend_sight(fill_sight *sight, int line, int steps) {
    const int *d = fill_lines[line];
    for (int side = 0; side < 2; side++) {
        fill_slice met = sight->met[line][side];
        for (int k = sight->depth[line][side]; k < steps; k++) {
            const int far = side ? -(k + 1) : k + 1;
            const int at[3] = {d[0] * far, d[1] * far, d[2] * far};
            fill_slice known;
            get_known(sight->window, sight->z, at, &known);
            sight->first[line][side][k] = known & ~met;
            met |= known;
        }
        sight->met[line][side] = met;
        if (sight->depth[line][side] < steps) sight->depth[line][side] = steps;
    }
}

/* Adds the voxels with forward + backward <= steps + 1 on a line. */
static void join(const fill_sight *sight, int line, int steps, fill_slice *out) {
    fill_slice behind = {0}, found = *out;
    for (int k = steps - 1; k >= 0; k--) {
        behind |= sight->first[line][1][steps - 1 - k];
        found |= sight->first[line][0][k] & behind;
    }
    *out = found;
}

/* Keeps in `open` the voxels that have a known voxel on both sides of a line,
 * with forward + backward steps at most `longest`. False when none has. */
static bool keep_between(fill_sight *sight, int longest, fill_slice *open) {
    fill_slice found = {0}, left = *open;
    for (int line = 0; line < FILL_LINES && fill_any(&left); line++) {
        extend_sight(sight, line, longest - 1);
        join(sight, line, longest - 1, &found);
        left = *open & ~found;
    }
    *open &= found;
    return fill_any(open);
}

#endif
