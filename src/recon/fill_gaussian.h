/* Filling by a Gaussian: the weighted mean of the known voxels in a cube,
 * normalised by the weights that fell on them (Knutsson and Westin 1993).
 *
 * Values and weights are convolved along x, then y, then z. A plane of the
 * block is gathered row by row and convolved across at once, so that only its
 * 16 x 16 sums are kept; planes that no hole needs are left out. Each
 * convolution adds the two mirrored places first: g0 v0 + g1 (v-1 + v1) + ... */
#ifndef RECON_FILL_GAUSSIAN_H
#define RECON_FILL_GAUSSIAN_H

#include "fill_cube.h"

/* `count` sums, a multiple of LANES, along an axis whose steps are `stride`
 * elements apart. */
static inline __attribute__((always_inline)) void
convolve_by(const float *weights, int radius, const float *in, int stride, int count, float *out) {
    for (int i = 0; i < count; i += LANES) {
        const float *before = in + i, *after = in + i;
        floats sum = weights[0] * *(const floats *)before;
        for (int k = 1; k <= radius; k++) {
            before -= stride;
            after += stride;
            sum += weights[k] * (*(const floats *)before + *(const floats *)after);
        }
        *(floats *)(out + i) = sum;
    }
}

/* With the radius known, compilers leave out the loop over it. */
static inline void convolve(const fill_method *m, const float *in, int stride, int count,
                            float *out) {
    if (m->radius == 1)
        convolve_by(m->weights, 1, in, stride, count, out);
    else if (m->radius == 2)
        convolve_by(m->weights, 2, in, stride, count, out);
    else
        convolve_by(m->weights, m->radius, in, stride, count, out);
}

/* The 16 x 16 sums of plane z across it. Rows are first gathered, all of them: to read
 * from across what was just written has to wait. */
static void convolve_plane(const fill_method *m, const fill_window *w, int z, float *value,
                           float *weight) {
    const int r = m->radius, side = ES_BRICK + 2 * r;
    float gathered[2][FILL_MOST_BLOCK * FILL_ROW], rows[2][FILL_MOST_BLOCK * ES_BRICK];
    for (int y = 0; y < side; y++)
        gather_row(m, w, y - r, z, gathered[0] + FILL_ROW * y, gathered[1] + FILL_ROW * y);
    for (int c = 0; c < 2; c++)
        for (int y = 0; y < side; y++)
            convolve(m, gathered[c] + FILL_ROW * y + MARGIN, 1, ES_BRICK, rows[c] + ES_BRICK * y);
    convolve(m, rows[0] + ES_BRICK * r, ES_BRICK, FILL_AREA, value);
    convolve(m, rows[1] + ES_BRICK * r, ES_BRICK, FILL_AREA, weight);
}

/* Does a slice within the radius of plane z have holes? */
static bool is_needed(const fill_method *m, const fill_slice holes[ES_BRICK], int z) {
    for (int s = z - m->radius; s <= z + m->radius; s++)
        if (s >= 0 && s < ES_BRICK && fill_any(&holes[s])) return true;
    return false;
}

static void fill_by_gaussian(const fill_method *method, fill_room *room, fill_result *result) {
    const int r = method->radius;
    fill_slice holes[ES_BRICK];
    if (!find_cube_holes(method, room, result, holes)) return;
    for (int z = -r; z < ES_BRICK + r; z++) {
        const int at = FILL_AREA * (z + r);
        if (is_needed(method, holes, z))
            convolve_plane(method, &room->window, z, room->value + at, room->weight + at);
    }
    for (int z = 0; z < ES_BRICK; z++) {
        float value[FILL_AREA], weight[FILL_AREA];
        const int at = FILL_AREA * (z + r);
        if (!fill_any(&holes[z])) continue;
        convolve(method, room->value + at, FILL_AREA, FILL_AREA, value);
        convolve(method, room->weight + at, FILL_AREA, FILL_AREA, weight);
        put_slice(value, weight, z, &holes[z], result);
    }
}

#endif
