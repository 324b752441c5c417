/* Filling from a cube round the hole: weighted means and the nearest voxels.
 *
 * Two cheap questions come first, for whole bricks: does the hole lie between
 * known voxels (fill_look), and is its cube known well enough (box sums of
 * bits, one axis after the other)? Only rows with such holes are computed, 16
 * voxels at a time. Sums run over mirrored places in pairs, (a + b) + (c + d),
 * so that a mirrored volume gives mirrored bits. */
#include <string.h>

#include "fill_internal.h"

/* ---- is enough known? ------------------------------------------------------- */

/* 16 bits as 16 bytes of 0 or 1. */
static void spread_bits(unsigned bits, uint8_t out[ES_BRICK]) {
    for (int half = 0; half < 2; half++) {
        uint64_t picked = 0x0101010101010101u * (bits >> 8 * half & 0xff) & 0x8040201008040201u;
        uint64_t bytes = (picked + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
        memcpy(out + 8 * half, &bytes, 8);
    }
}

/* Known voxels within the radius along x of 16 voxels in a row. */
static void sum_row(const fill_window *w, int radius, int y, int z, uint8_t out[ES_BRICK]) {
    const size_t plane = (size_t)w->side * (size_t)w->side;
    const int first = ES_BRICK * w->ring;
    const uint16_t *rows =
        w->rows + (size_t)(w->ring - 1) * plane + (size_t)(first + z) * (size_t)w->side + first + y;
    uint8_t bytes[3 * ES_BRICK];
    for (int c = 0; c < 3; c++) spread_bits(rows[(size_t)c * plane], bytes + ES_BRICK * c);
    memset(out, 0, ES_BRICK);
    for (int k = -radius; k <= radius; k++)
        for (int x = 0; x < ES_BRICK; x++) out[x] += bytes[ES_BRICK + k + x];
}

/* cube->known: the known voxels of each voxel's cube. */
static void count_known(const fill_window *w, int radius, fill_cube *cube) {
    const int side = ES_BRICK + 2 * radius;
    for (int z = 0; z < side; z++) {
        uint8_t *rows = cube->along_x;
        uint16_t *sums = cube->along_y + FILL_SLICE * z;
        for (int y = 0; y < side; y++)
            sum_row(w, radius, y - radius, z - radius, rows + ES_BRICK * y);
        memset(sums, 0, FILL_SLICE * sizeof *sums);
        for (int k = 0; k <= 2 * radius; k++)
            for (int i = 0; i < FILL_SLICE; i++)
                sums[i] = (uint16_t)(sums[i] + rows[ES_BRICK * k + i]);
    }
    memset(cube->known, 0, sizeof cube->known);
    for (int z = 0; z < ES_BRICK; z++)
        for (int k = 0; k <= 2 * radius; k++)
            for (int i = 0; i < FILL_SLICE; i++)
                cube->known[FILL_SLICE * z + i] =
                    (uint16_t)(cube->known[FILL_SLICE * z + i] +
                               cube->along_y[FILL_SLICE * (z + k) + i]);
}

static void drop_unknown(const uint16_t known[FILL_SLICE], int least, uint64_t holes[FILL_WORDS]) {
    uint64_t all[FILL_WORDS];
    memcpy(all, holes, sizeof all);
    for (int word = 0, voxel; (voxel = fill_next(all, &word)) >= 0;)
        if (known[voxel] < least) holes[word] &= ~((uint64_t)1 << voxel % 64);
}

bool fill_cube_holes(const fill_method *method, fill_room *room, const fill_result *result,
                     uint64_t holes[ES_BRICK][FILL_WORDS]) {
    bool any = false;
    memcpy(holes, result->open, sizeof result->open);
    for (int z = 0; z < ES_BRICK; z++)
        if (fill_any(holes[z]) &&
            fill_look(&room->window, z, method->longest, holes[z], &room->sight))
            any = true;
    if (!any || method->least_known <= 1) return any;
    count_known(&room->window, method->radius, &room->cube);
    any = false;
    for (int z = 0; z < ES_BRICK; z++) {
        if (!fill_any(holes[z])) continue;
        drop_unknown(room->cube.known + FILL_SLICE * z, method->least_known, holes[z]);
        any = any || fill_any(holes[z]);
    }
    return any;
}

/* ---- weighted means ------------------------------------------------------------ */

/* Part of a row in one brick into the block: weight, and value times weight; 0
 * where nothing is known. */
static void gather_run(const fill_bits *bits, int row, int from, int to, float *value,
                       float *weight) {
    for (int x = from; x < to; x++) value[x] = weight[x] = 0;
    if (!bits) return;
    const float *v = bits->brick->value + ES_BRICK * row;
    const float *w = bits->brick->weight + ES_BRICK * row;
    for (int x = from; x < to; x++) {
        bool known = fill_known(v[x], w[x]);
        value[x] = known ? v[x] : 0;
        weight[x] = known ? w[x] : 0;
    }
}

/* Row (y, z) of the block, x from -radius on. */
static void gather_row(const fill_window *w, int r, int y, int z, fill_cube *cube) {
    const int n = 2 * w->ring + 1, side = ES_BRICK + 2 * r, first = ES_BRICK * w->ring;
    const int row = (y + first) % ES_BRICK + ES_BRICK * ((z + first) % ES_BRICK);
    const fill_bits *const *bricks =
        w->bricks + w->ring + n * ((y + first) / ES_BRICK + n * ((z + first) / ES_BRICK));
    float *value = cube->value + r + side * (y + r + side * (z + r));
    float *weight = cube->weight + r + side * (y + r + side * (z + r));
    gather_run(bricks[-1], row, ES_BRICK - r, ES_BRICK, value - ES_BRICK, weight - ES_BRICK);
    gather_run(bricks[0], row, 0, ES_BRICK, value, weight);
    gather_run(bricks[1], row, 0, r, value + ES_BRICK, weight + ES_BRICK);
}

static void gather_block(const fill_method *m, const fill_window *w, fill_cube *cube) {
    const int r = m->radius, side = ES_BRICK + 2 * r;
    for (int z = -r; z < ES_BRICK + r; z++)
        for (int y = -r; y < ES_BRICK + r; y++) gather_row(w, r, y, z, cube);
    if (m->step.kind == ES_FILL_GAUSSIAN_ACCUMULATION)
        for (int i = 0; i < side * side * side; i++) cube->value[i] *= cube->weight[i];
    else
        for (int i = 0; i < side * side * side; i++)
            cube->weight[i] = cube->weight[i] > 0 ? 1.0f : 0.0f;
}

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

/* Sums of the cubes round 16 voxels in a row; `block` is at the first's cube's corner. */
static void sum_cubes(const fill_method *m, const float *block, float out[ES_BRICK]) {
    const int r = m->radius, side = ES_BRICK + 2 * r;
    const float *row = block + side * (r + side * r);
    float rows[FILL_MOST_BLOCK], *middle = rows + r;
    const float *weight = m->weights;
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

/* Row y of slice z; bit x of `holes` is set for each voxel to fill. */
static void fill_row(const fill_method *m, const fill_cube *cube, int y, int z, unsigned holes,
                     fill_result *result) {
    const size_t side = (size_t)(ES_BRICK + 2 * m->radius);
    const size_t corner = side * ((size_t)y + side * (size_t)z);
    float value[ES_BRICK], weight[ES_BRICK];
    sum_cubes(m, cube->value + corner, value);
    sum_cubes(m, cube->weight + corner, weight);
    for (int x = 0; x < ES_BRICK; x++) {
        /* Far voxels alone may weigh nothing at all under a very narrow Gaussian. */
        if (!(holes >> x & 1) || !(weight[x] > 0)) continue;
        result->value[x + ES_BRICK * (y + ES_BRICK * z)] = value[x] / weight[x];
        result->open[z][y / 4] &= ~((uint64_t)1 << (16 * (y % 4) + x));
    }
}

void fill_by_weights(const fill_method *method, fill_room *room, fill_result *result) {
    uint64_t holes[ES_BRICK][FILL_WORDS];
    if (!fill_cube_holes(method, room, result, holes)) return;
    gather_block(method, &room->window, &room->cube);
    for (int z = 0; z < ES_BRICK; z++)
        for (int y = 0; y < ES_BRICK; y++) {
            unsigned row = (unsigned)(holes[z][y / 4] >> 16 * (y % 4)) & 0xffff;
            if (row != 0) fill_row(method, &room->cube, y, z, row, result);
        }
}

/* ---- the nearest ---------------------------------------------------------------- */

/* Known voxels round a hole, summed over mirrored places in pairs. */
typedef struct nearby {
    double sum;
    int count;
} nearby;

static nearby add(nearby a, nearby b) { return (nearby){a.sum + b.sum, a.count + b.count}; }

static nearby at(const fill_window *w, const int from[3], int x, int y, int z) {
    fill_voxel v = fill_window_voxel(w, from[0] + x, from[1] + y, from[2] + z);
    return v.brick ? (nearby){(double)v.brick->value[v.index], 1} : (nearby){0, 0};
}

static nearby pair(const fill_window *w, const int from[3], int x, int y, int z) {
    nearby a = at(w, from, x, y, z);
    return x == 0 ? a : add(at(w, from, -x, y, z), a);
}

static nearby quad(const fill_window *w, const int from[3], int x, int y, int z) {
    nearby a = pair(w, from, x, y, z);
    return y == 0 ? a : add(pair(w, from, x, -y, z), a);
}

static nearby orbit_sum(const fill_window *w, const int from[3], const fill_orbit *o) {
    nearby a = quad(w, from, o->x, o->y, o->z);
    return o->z == 0 ? a : add(quad(w, from, o->x, o->y, -o->z), a);
}

/* Orbits first .. last - 1, all at one distance, are the nearest of the voxel. */
static float nearest_mean(const fill_method *m, const fill_window *w, const int from[3],
                          size_t first, size_t last) {
    nearby all = {0, 0};
    for (size_t i = first; i < last; i++) all = add(all, orbit_sum(w, from, &m->orbits[i]));
    return (float)(all.sum / all.count);
}

/* Holes that have a known voxel in the orbit. */
static void look_round(const fill_window *w, int z, const fill_orbit *o, uint64_t out[FILL_WORDS]) {
    for (int n = 0; n < 8; n++) {
        int d[3] = {n & 1 ? -o->x : o->x, n & 2 ? -o->y : o->y, n & 4 ? -o->z : o->z};
        uint64_t known[FILL_WORDS];
        fill_window_slice(w, z, d, known);
        for (int i = 0; i < FILL_WORDS; i++) out[i] |= known[i];
    }
}

static size_t end_of_distance(const fill_method *m, size_t first) {
    size_t last = first + 1;
    while (last < m->count && m->orbits[last].distance_mm == m->orbits[first].distance_mm) last++;
    return last;
}

static void fill_nearest_slice(const fill_method *m, const fill_window *w, int z,
                               uint64_t holes[FILL_WORDS], fill_result *result) {
    for (size_t first = 0, last; first < m->count && fill_any(holes); first = last) {
        uint64_t hit[FILL_WORDS] = {0};
        last = end_of_distance(m, first);
        for (size_t i = first; i < last; i++) look_round(w, z, &m->orbits[i], hit);
        for (int i = 0; i < FILL_WORDS; i++) {
            hit[i] &= holes[i];
            holes[i] &= ~hit[i];
            result->open[z][i] &= ~hit[i];
        }
        for (int word = 0, voxel; (voxel = fill_next(hit, &word)) >= 0;) {
            int from[3] = {voxel % ES_BRICK, voxel / ES_BRICK, z};
            result->value[FILL_SLICE * z + voxel] = nearest_mean(m, w, from, first, last);
        }
    }
}

void fill_by_nearest(const fill_method *method, fill_room *room, fill_result *result) {
    uint64_t holes[ES_BRICK][FILL_WORDS];
    if (!fill_cube_holes(method, room, result, holes)) return;
    for (int z = 0; z < ES_BRICK; z++)
        fill_nearest_slice(method, &room->window, z, holes[z], result);
}
