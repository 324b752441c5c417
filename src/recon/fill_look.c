/* What a hole sees: known voxels along 13 lines, for 256 holes at a time.
 *
 * A brick's known voxels are kept as 16-bit rows. Looking k steps along a line
 * is then a shift of rows by k dx bits, taken from rows k dy and k dz away, and
 * "the first known voxel lies at step k" is `shifted & ~met so far`. A voxel
 * lies between two known ones when it meets one forward at step f and one
 * backward at step b; both are sets of bits, so no voxel is looked at alone. */
#include <limits.h>

#include "fill_internal.h"

const int fill_lines[FILL_LINES][3] = {{1, 0, 0},  {0, 1, 0},  {0, 0, 1},  {1, 1, 0},  {1, -1, 0},
                                       {1, 0, 1},  {1, 0, -1}, {0, 1, 1},  {0, 1, -1}, {1, 1, 1},
                                       {1, 1, -1}, {1, -1, 1}, {1, -1, -1}};

/* ---- a brick as bits ------------------------------------------------------- */

static void make_row(fill_bits *bits, int row) {
    const float *value = bits->brick->value + ES_BRICK * row;
    const float *weight = bits->brick->weight + ES_BRICK * row;
    uint8_t seen[ES_BRICK], known[ES_BRICK];
    for (int x = 0; x < ES_BRICK; x++) {
        seen[x] = weight[x] > 0;
        known[x] = fill_known(value[x], weight[x]);
    }
    bits->seen[row] = (uint16_t)fill_pack(seen);
    bits->known[row] = (uint16_t)fill_pack(known);
}

static void widen(fill_bits *bits, int axis, int at) {
    if (at < bits->low[axis]) bits->low[axis] = (uint8_t)at;
    if (at > bits->high[axis]) bits->high[axis] = (uint8_t)at;
}

void fill_bits_make(fill_bits *bits) {
    unsigned columns = 0;
    for (int a = 0; a < 3; a++) {
        bits->low[a] = ES_BRICK;
        bits->high[a] = 0;
    }
    for (int row = 0; row < FILL_SLICE; row++) {
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

/* Puts the rows of one brick, or none, at brick (x, y, z) of the window. */
static void set_rows(fill_window *w, const fill_bits *bits, int x, int y, int z) {
    uint16_t *to = w->rows +
                   ((size_t)x * (size_t)w->side + (size_t)(ES_BRICK * z)) * (size_t)w->side +
                   ES_BRICK * y;
    for (int slice = 0; slice < ES_BRICK; slice++, to += w->side)
        if (bits)
            memcpy(to, bits->known + ES_BRICK * slice, ES_BRICK * sizeof *to);
        else
            memset(to, 0, ES_BRICK * sizeof *to);
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

bool fill_window_gather(fill_window *w, const store *cells, const int32_t at[3]) {
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
                w->bricks[x + n * (y + n * z)] = bits;
                set_rows(w, bits, x, y, z);
                if (bits) widen_box(w, bits, step);
            }
    return w->low[0] <= w->high[0];
}

void fill_window_cut(const fill_window *w, uint64_t holes[ES_BRICK][FILL_WORDS]) {
    unsigned columns = 0;
    for (int x = 0; x < ES_BRICK; x++)
        columns |= (unsigned)(x >= w->low[0] && x <= w->high[0]) << x;
    for (int z = 0; z < ES_BRICK; z++)
        for (int y = 0; y < ES_BRICK; y++) {
            bool inside = y >= w->low[1] && y <= w->high[1] && z >= w->low[2] && z <= w->high[2];
            uint64_t outside = 0xffff & ~(inside ? columns : 0);
            holes[z][y / 4] &= ~(outside << 16 * (y % 4));
        }
}

static inline uint64_t load_rows(const uint16_t *rows) {
    uint64_t word;
    memcpy(&word, rows, sizeof word);
    return word;
}

static inline void get_slice(const fill_window *w, int z, const int d[3],
                             uint64_t out[FILL_WORDS]) {
    const unsigned first = ES_BRICK * (unsigned)w->ring, x = first + (unsigned)d[0];
    const unsigned shift = x % ES_BRICK;
    const size_t plane = (size_t)w->side * (size_t)w->side;
    const uint16_t *rows = w->rows + x / ES_BRICK * plane +
                           (size_t)((int)first + z + d[2]) * (size_t)w->side + (int)first + d[1];
    const uint64_t keep = 0x0001000100010001u * (0xffffu >> shift);
    if (shift == 0) {
        for (int i = 0; i < FILL_WORDS; i++) out[i] = load_rows(rows + 4 * i);
        return;
    }
    for (int i = 0; i < FILL_WORDS; i++) /* the rest of a row stands in the next column */
        out[i] = (load_rows(rows + 4 * i) >> shift & keep) |
                 (load_rows(rows + plane + 4 * i) << (ES_BRICK - shift) & ~keep);
}

void fill_window_slice(const fill_window *w, int z, const int d[3], uint64_t out[FILL_WORDS]) {
    get_slice(w, z, d, out);
}

/* ---- looking along lines ------------------------------------------------------ */

void fill_sight_start(fill_sight *sight, const fill_window *window, int z) {
    sight->window = window;
    sight->z = z;
    memset(sight->depth, 0, sizeof sight->depth);
    memset(sight->met, 0, sizeof sight->met);
}

void fill_sight_extend(fill_sight *sight, int line, int steps) {
    const int *d = fill_lines[line];
    for (int side = 0; side < 2; side++) {
        uint64_t *met = sight->met[line][side];
        for (; sight->depth[line][side] < steps; sight->depth[line][side]++) {
            int k = sight->depth[line][side], far = side ? -(k + 1) : k + 1;
            const int at[3] = {d[0] * far, d[1] * far, d[2] * far};
            uint64_t known[FILL_WORDS], *first = sight->first[line][side][k];
            get_slice(sight->window, sight->z, at, known);
            for (int i = 0; i < FILL_WORDS; i++) {
                first[i] = known[i] & ~met[i];
                met[i] |= known[i];
            }
        }
    }
}

/* Adds the voxels with forward + backward <= steps + 1 on a line. */
static void join(const fill_sight *sight, int line, int steps, uint64_t out[FILL_WORDS]) {
    uint64_t behind[FILL_WORDS] = {0};
    for (int k = steps - 1; k >= 0; k--)
        for (int i = 0; i < FILL_WORDS; i++) {
            behind[i] |= sight->first[line][1][steps - 1 - k][i];
            out[i] |= sight->first[line][0][k][i] & behind[i];
        }
}

bool fill_between(fill_sight *sight, int longest, uint64_t open[FILL_WORDS]) {
    uint64_t found[FILL_WORDS] = {0}, left = 1;
    for (int line = 0; line < FILL_LINES && left != 0; line++) {
        fill_sight_extend(sight, line, longest - 1);
        join(sight, line, longest - 1, found);
        left = 0;
        for (int i = 0; i < FILL_WORDS; i++) left |= open[i] & ~found[i];
    }
    for (int i = 0; i < FILL_WORDS; i++) open[i] &= found[i];
    return fill_any(open);
}
