/* Where rows enter and leave a box, estimated for many rows at a time. Compiled
 * once for any processor and once for AVX2: the same C, the same bits. */
#ifndef PLACE_ROWS_H
#define PLACE_ROWS_H

#include "recon_internal.h"

static const double ESTIMATE_MARGIN = 0x1p-16; /* pixels; rounding errs by less than 2^-30 */
static const double WIDEST_MARGIN = 0x1p-4;    /* where most rows would be unsure */

enum { ROW_BLOCK = 8 }; /* divides CUTS: no remainders when compilers vectorise */

/* Where the rows enter and leave, between the columns that count. No branches: compilers
 * vectorise it. */
static inline void meet_rows(const row_lines *lines, int32_t rows, double low[CUTS],
                             double high[CUTS]) {
    const row_lines l = *lines;
    for (int32_t r = 0; r < rows; r++) {
        const double at = r;
        double x0 = l.enter[0] + at * l.step[0], x1 = l.leave[0] + at * l.step[0];
        double y0 = l.enter[1] + at * l.step[1], y1 = l.leave[1] + at * l.step[1];
        double z0 = l.enter[2] + at * l.step[2], z1 = l.leave[2] + at * l.step[2];
        double enter = x0 > y0 ? x0 : y0, leave = x1 < y1 ? x1 : y1;
        enter = enter > z0 ? enter : z0;
        leave = leave < z1 ? leave : z1;
        leave = leave < l.last ? leave : l.last;
        low[r] = enter > l.first ? enter : l.first;
        high[r] = leave > -0.5 ? leave : -0.5;
    }
}

static void estimate_rows(const row_lines *lines, uint32_t rows, row_ends *out) {
    const int32_t count = (int32_t)((rows + ROW_BLOCK - 1) / ROW_BLOCK * ROW_BLOCK);
    double low[CUTS], high[CUTS];
    const double after = 1 + lines->margin, before = 1 - lines->margin;
    int32_t all_sure = -1;
    meet_rows(lines, count, low, high);
    for (int32_t r = 0; r < count; r++) {
        /* The first whole number not below t is floor(t) + 1 for all t but whole ones. */
        const int32_t from = (int32_t)(low[r] + after);
        const int32_t to = (int32_t)(high[r] + after);
        const bool sure =
            (from == (int32_t)(low[r] + before)) & (to == (int32_t)(high[r] + before));
        out->from[r] = sure ? from : UNSURE_ROW;
        out->to[r] = to;
        all_sure &= -(int32_t)sure;
    }
    out->sure = all_sure != 0;
}

#endif
