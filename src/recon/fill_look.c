/* What a hole sees: known voxels along 13 lines, for 256 holes at a time.
 *
 * A brick's known voxels are kept as 16-bit rows. Looking k steps along a line
 * is then a shift of rows by k dx bits, taken from rows k dy and k dz away, and
 * "the first known voxel lies at step k" is `shifted & ~met so far`. A voxel
 * lies between two known ones when it meets one forward at step f and one
 * backward at step b; both are sets of bits, so no voxel is looked at alone. */
#include <string.h>

#include "fill_internal.h"

const int fill_lines[FILL_LINES][3] = {{1, 0, 0},  {0, 1, 0},  {0, 0, 1},  {1, 1, 0},  {1, -1, 0},
                                       {1, 0, 1},  {1, 0, -1}, {0, 1, 1},  {0, 1, -1}, {1, 1, 1},
                                       {1, 1, -1}, {1, -1, 1}, {1, -1, -1}};

/* ---- a brick as bits ------------------------------------------------------- */

static void make_row(fill_bits *bits, int row) {
    const float *value = bits->brick->value + ES_BRICK * row;
    const float *weight = bits->brick->weight + ES_BRICK * row;
    unsigned seen = 0, known = 0;
    for (int x = 0; x < ES_BRICK; x++) {
        seen |= (unsigned)(weight[x] > 0) << x;
        known |= (unsigned)fill_known(value[x], weight[x]) << x;
    }
    bits->seen[row] = (uint16_t)seen;
    bits->known[row] = (uint16_t)known;
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

bool fill_window_gather(fill_window *w, const store *cells, const int32_t at[3]) {
    const int n = 2 * w->ring + 1;
    bool any = false;
    w->side = ES_BRICK * n;
    for (int z = 0; z < n; z++)
        for (int y = 0; y < n; y++)
            for (int x = 0; x < n; x++) {
                int step[3] = {x - w->ring, y - w->ring, z - w->ring};
                const fill_bits *bits = find_bits(cells, at, step);
                w->bricks[x + n * (y + n * z)] = bits;
                set_rows(w, bits, x, y, z);
                any = any || bits;
            }
    return any;
}

fill_voxel fill_window_voxel(const fill_window *w, int x, int y, int z) {
    const int n = 2 * w->ring + 1, first = ES_BRICK * w->ring;
    x += first;
    y += first;
    z += first;
    const fill_bits *bits = w->bricks[x / ES_BRICK + n * (y / ES_BRICK + n * (z / ES_BRICK))];
    int row = y % ES_BRICK + ES_BRICK * (z % ES_BRICK);
    if (!bits || !(bits->known[row] >> x % ES_BRICK & 1)) return (fill_voxel){NULL, 0};
    return (fill_voxel){bits->brick, ES_BRICK * row + x % ES_BRICK};
}

static inline uint64_t load_rows(const uint16_t *rows) {
    uint64_t word;
    memcpy(&word, rows, sizeof word);
    return word;
}

void fill_window_slice(const fill_window *w, int z, const int d[3], uint64_t out[FILL_WORDS]) {
    const int first = ES_BRICK * w->ring, x = first + d[0], shift = x % ES_BRICK;
    const size_t plane = (size_t)w->side * (size_t)w->side;
    const uint16_t *rows = w->rows + (size_t)(x / ES_BRICK) * plane +
                           (size_t)(first + z + d[2]) * (size_t)w->side + first + d[1];
    const uint64_t keep = 0x0001000100010001u * (0xffffu >> shift);
    if (shift == 0) {
        memcpy(out, rows, FILL_WORDS * sizeof *out);
        return;
    }
    for (int i = 0; i < FILL_WORDS; i++) /* the rest of a row stands in the next column */
        out[i] = (load_rows(rows + 4 * i) >> shift & keep) |
                 (load_rows(rows + plane + 4 * i) << (ES_BRICK - shift) & ~keep);
}

/* ---- looking along lines ------------------------------------------------------ */

/* Fills first[k] for k + 1 = 1 .. steps along d; out: met any. */
static void look_along(const fill_window *w, int z, const int d[3], int steps,
                       uint64_t (*first)[FILL_WORDS], uint64_t met[FILL_WORDS]) {
    for (int i = 0; i < FILL_WORDS; i++) met[i] = 0;
    for (int k = 0; k < steps; k++) {
        int far[3] = {d[0] * (k + 1), d[1] * (k + 1), d[2] * (k + 1)};
        uint64_t known[FILL_WORDS];
        fill_window_slice(w, z, far, known);
        for (int i = 0; i < FILL_WORDS; i++) {
            first[k][i] = known[i] & ~met[i];
            met[i] |= known[i];
        }
    }
}

/* Voxels with forward + backward <= longest, where steps = longest - 1. */
static void join(uint64_t (*forward)[FILL_WORDS], uint64_t (*backward)[FILL_WORDS], int steps,
                 uint64_t out[FILL_WORDS]) {
    uint64_t behind[FILL_WORDS] = {0};
    for (int i = 0; i < FILL_WORDS; i++) out[i] = 0;
    for (int k = steps - 1; k >= 0; k--)
        for (int i = 0; i < FILL_WORDS; i++) {
            behind[i] |= backward[steps - 1 - k][i];
            out[i] |= forward[k][i] & behind[i];
        }
}

bool fill_look(const fill_window *w, int z, int longest, uint64_t open[FILL_WORDS],
               fill_sight *sight) {
    uint64_t found[FILL_WORDS] = {0};
    for (int line = 0; line < FILL_LINES; line++) {
        const int *d = fill_lines[line], back[3] = {-d[0], -d[1], -d[2]};
        uint64_t(*forward)[FILL_WORDS] = sight->first[line][0];
        uint64_t(*backward)[FILL_WORDS] = sight->first[line][1];
        uint64_t here[FILL_WORDS];
        look_along(w, z, d, longest - 1, forward, here);
        for (int i = 0; i < FILL_WORDS; i++) here[i] &= open[i];
        sight->useful[line] = fill_any(here);
        if (!sight->useful[line]) continue;
        look_along(w, z, back, longest - 1, backward, here);
        join(forward, backward, longest - 1, here);
        for (int i = 0; i < FILL_WORDS; i++) {
            here[i] &= open[i];
            found[i] |= here[i];
        }
        sight->useful[line] = fill_any(here);
    }
    for (int i = 0; i < FILL_WORDS; i++) open[i] = found[i];
    return fill_any(found);
}
