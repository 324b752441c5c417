/* The scan lines that speckle shows.
 *
 * A scanner has echoes on its lines only and draws what is between by
 * interpolation. Speckle is as fine as the lines, so that its curvature across
 * them goes with the place between two: the mean of |second difference| over
 * each column of a linear array's picture rises and falls with the lines
 * (Gallagher 2005 tells resized pictures by this), once a line, or twice where
 * what lies midway between two lines stands out as well. The peak of its
 * spectrum is that rate a pixel, or what it is folded to at half a pixel. It
 * takes nothing but a few hundred columns of moving speckle: the ends of the
 * array may be dark.
 *
 * The deviation over the frames is looked at, as overlay and tissue at rest are
 * not in it; of few frames, their mean. Blocks of compression repeat every 8
 * pixels: their frequencies are left out, and where they stand out nothing is
 * told, as they mix with those of the lines. */
#include "shape_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MANY = 4,   /* frames whose deviation is speckle */
    MARGIN = 4, /* columns at the field's ends, which have a step of their own */
    LEAST_COLUMNS = 100,
    LEAST_ROWS = 10, /* percent of the rows that a column needs */
    SMOOTH = 7,      /* columns to either side whose mean is taken off */
    FINENESS = 8,    /* frequencies a resolution */
    BLOCK = 8        /* pixels of compression */
};
#define MOST_CURVE 30   /* grey: more is an outline */
#define LEAST_LEVEL .02 /* grey, against the logarithm of nothing */
#define CLIP 4.5        /* median deviations */
#define LOWEST .12      /* lines a pixel; shadows and tissue are below */
#define LEAST_PEAK 10   /* times the spectrum's median: noise makes 5 */
#define BLOCK_REACH 2.  /* resolutions around a block's frequency */
#define MOST_BLOCKS .5  /* of the peak, that blocks may have */
#define PEAK_SIGMA .2   /* of a resolution: where a clear peak lies */
#define TURN 6.283185307179586

/* ---- the curvature of each column ------------------------------------------------ */

static float curve_at(const float *grey, size_t i) {
    return fminf(fabsf(grey[i - 1] - 2 * grey[i] + grey[i + 1]), MOST_CURVE);
}

/* ln of the mean |second difference| of each column; 0 columns when too many are dark. */
static size_t take_curves(const es_still *still, const shape_box *b, double *curves) {
    const shape_mask *m = &b->mask;
    const es_image *from = still->frames >= MANY ? &still->deviation : &still->mean;
    uint32_t first = b->first[0] + MARGIN, last = b->last[0] - MARGIN;
    uint32_t rows = b->last[1] - b->first[1] + 1;
    size_t count = 0;
    for (uint32_t u = first; u <= last && u + 1 < m->width; u++) {
        double sum = 0;
        uint32_t lit = 0;
        for (uint32_t v = b->first[1]; v <= b->last[1]; v++) {
            if (!shape_lit(m, u, v, SHAPE_LARGE)) continue;
            sum += curve_at(from->data, (size_t)v * m->width + u);
            lit++;
        }
        if (lit * 100 < rows * LEAST_ROWS && count < LEAST_COLUMNS)
            count = 0; /* a dark end */
        else if (lit * 100 < rows * LEAST_ROWS)
            break;
        else
            curves[count++] = log(sum / lit + LEAST_LEVEL);
    }
    return count;
}

/* Takes off what changes slowly, clips what stands out, and lets both ends run out
 * (Hann's window). */
static void flatten(double *values, size_t count, double *room) {
    for (size_t i = 0; i < count; i++) {
        size_t from = i > SMOOTH ? i - SMOOTH : 0, to = i + SMOOTH < count ? i + SMOOTH : count - 1;
        double sum = 0;
        for (size_t k = from; k <= to; k++) sum += values[k];
        room[i] = values[i] - sum / (double)(to - from + 1);
    }
    for (size_t i = 0; i < count; i++) values[i] = fabs(room[i]);
    qsort(values, count, sizeof *values, es_compare_doubles);
    double most = CLIP * values[count / 2];
    for (size_t i = 0; i < count; i++) {
        double window = .5 - .5 * cos(TURN * ((double)i + .5) / (double)count);
        values[i] = window * fmin(fmax(room[i], -most), most);
    }
}

/* ---- its spectrum ------------------------------------------------------------------ */

/* Amplitude at `f` cycles a column: a pointer turned from column to column. */
static double amplitude(const double *values, size_t count, double f) {
    double c = 0, s = 0, x = 1, y = 0, turn_x = cos(TURN * f), turn_y = sin(TURN * f);
    for (size_t i = 0; i < count; i++) {
        c += values[i] * x;
        s += values[i] * y;
        double next = x * turn_x - y * turn_y;
        y = x * turn_y + y * turn_x;
        x = next;
    }
    return hypot(c, s);
}

/* Which multiple of a block's frequency `f` is, 1 to 4; 0: none. */
static int of_blocks(double f, size_t count) {
    int k = (int)lround(f * BLOCK);
    return fabs(f - (double)k / BLOCK) < BLOCK_REACH / (double)count ? k : 0;
}

/* The middle one of three: blocks make all of them, harmonics of the lines one. */
static double middle_of(const double three[3]) {
    double low = fmin(three[0], three[1]), high = fmax(three[0], three[1]);
    return fmax(low, fmin(high, three[2]));
}

/* The highest peak and what it is of the median; 0 where blocks stand out. */
static double find_peak(const double *values, size_t count, double *spectrum, double *ratio) {
    double step = 1. / (FINENESS * (double)count), best = 0, blocks[5] = {0};
    size_t n = 0, at = 0;
    for (double f = LOWEST; f < .5; f += step) {
        double a = amplitude(values, count, f);
        int block = of_blocks(f, count);
        blocks[block] = fmax(blocks[block], a);
        if (!block && a > best) best = a, at = n;
        spectrum[n++] = a;
    }
    double left = at > 0 ? spectrum[at - 1] : best, right = at + 1 < n ? spectrum[at + 1] : best;
    double bend = 2 * best - left - right;
    qsort(spectrum, n, sizeof *spectrum, es_compare_doubles);
    bool clear = spectrum[n / 2] > 0 && middle_of(blocks + 1) < MOST_BLOCKS * best;
    *ratio = clear ? best / spectrum[n / 2] : 0;
    return LOWEST + step * ((double)at + (bend > 0 ? (right - left) / (2 * bend) : 0));
}

bool shape_lines(const es_still *still, const shape_box *box, const es_fan_found *fan,
                 es_lines_found *found, es_error *err) {
    memset(found, 0, sizeof *found);
    if (!box->found || fan->found || box->last[0] < box->first[0] + LEAST_COLUMNS) {
        snprintf(found->why, sizeof found->why, "no rectangle of echoes that is wide enough");
        return true;
    }
    size_t most = box->last[0] - box->first[0] + 1;
    double *values = es_alloc(most, sizeof *values, err);
    double *room = es_alloc(FINENESS * most, sizeof *room, err), ratio = 0;
    bool ok = values && room;
    size_t count = ok ? take_curves(still, box, values) : 0;
    if (count >= LEAST_COLUMNS) {
        flatten(values, count, room);
        found->per_px = find_peak(values, count, room, &ratio);
        found->sigma = PEAK_SIGMA / (double)count;
    }
    found->found = ratio >= LEAST_PEAK;
    snprintf(found->why, sizeof found->why,
             found->found
                 ? "scan lines show as a rate of %.4f or %.4f a pixel (a peak of %.0f medians)"
                 : "no scan lines show",
             found->per_px, 1 - found->per_px, ratio);
    es_free(values);
    es_free(room);
    return ok;
}
