/* The rectangle of a linear array's echoes.
 *
 * Columns and rows with enough lit pixels give the rectangle; a thin lit strip
 * beside it, apart from it by dark, is a ruler. Whether an edge is the field's
 * own edge or only how far something shone is told by two signs: the contour
 * begins there together over much of the edge's length, and the mean grey
 * rises through half of the inside's level within two pixels. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

enum {
    LEAST_SIDE = 32,    /* of the rectangle, pixels */
    MOST_GAP = 4,       /* dark columns within the echoes */
    GAP_SHARE = 6,      /* or this part of the run so far */
    RULER = 6,          /* a strip this thin beside a gap is not the echoes */
    FAINT_ROW = 12,     /* percent of the mean row: not the echoes */
    LIT_SHARE = 2,      /* percent of its pixels that a column needs */
    NOT_ALL_SHARE = 97, /* a mask that fills more of the picture is all noise */
    TOP_PART = 8,       /* the first rows are one eighth */
    LEAST_FILLED = 35,  /* percent of the rectangle, of a single picture */
    MANY = 4,           /* frames: what moves is told from overlay */
    STRIP = 3,          /* columns of echoes beside the rectangle */
    LEAST_STAND = 5,    /* columns beyond a shadow that make it one */
    LEAST_MOVING = 4    /* of a recording, whose overlay was taken out */
};
#define MOVES 3        /* deviation, grey, of what is no overlay */
#define LEAST_LEVEL .5 /* just inside of an edge, of the level further in */
#define LEAST_BRIGHT 2 /* grey over the surround */
#define LEAST_TOGETHER .3
#define ALIKE 1.5 /* the two ends' rises; compression alone makes 1.65 of .38 and .62 pixels */
#define ALIKE_PX .15
#define REACH 12 /* pixels that the grey inside an edge is taken from */

/* Lit pixels of each column (axis 0) or row within the range of the other axis. */
static void count_lines(const shape_box *b, int axis, uint32_t from, uint32_t to,
                        uint32_t *counts) {
    const shape_mask *m = &b->mask;
    memset(counts, 0, (axis ? m->height : m->width) * sizeof *counts);
    for (uint32_t v = axis ? 0 : from; v <= (axis ? m->height - 1 : to); v++)
        for (uint32_t u = axis ? from : 0; u <= (axis ? to : m->width - 1); u++)
            counts[axis ? v : u] += shape_lit(m, u, v, SHAPE_LARGE);
}

/* The run of lines with most lit pixels; small gaps (a shadow) belong to it. */
static bool longest_run(const uint32_t *counts, uint32_t lines, uint32_t least, uint32_t *first,
                        uint32_t *last) {
    uint64_t best = 0, sum = 0;
    uint32_t start = 0, end = 0, gap = lines;
    for (uint32_t k = 0; k < lines; k++) {
        if (counts[k] <= least) {
            gap++;
            continue;
        }
        if (gap > MOST_GAP && gap > (end - start + 1) / GAP_SHARE) sum = 0, start = k;
        gap = 0;
        sum += counts[k];
        end = k;
        if (sum > best) best = sum, *first = start, *last = end;
    }
    return best > 0;
}

/* Takes a thin strip off an end of the run if dark parts it from the rest. */
static void drop_ruler(const uint32_t *counts, uint32_t least, uint32_t *first, uint32_t *last) {
    for (uint32_t k = *first; k <= *first + RULER && k < *last; k++)
        if (counts[k] <= least) {
            while (counts[k] <= least && k < *last) k++;
            *first = k;
            break;
        }
    for (uint32_t k = *last; k + RULER >= *last && k > *first; k--)
        if (counts[k] <= least) {
            while (counts[k] <= least && k > *first) k--;
            *last = k;
            break;
        }
}

static uint32_t faint_row(const uint32_t *counts, uint32_t lines, uint32_t least) {
    uint64_t sum = 0, lit = 0;
    for (uint32_t k = 0; k < lines; k++)
        if (counts[k] > least) sum += counts[k], lit++;
    uint32_t share = lit ? (uint32_t)(sum / lit * FAINT_ROW / 100) : 0;
    return share > least ? share : least;
}

static bool find_run(shape_box *b, int axis, uint32_t *counts) {
    int other = !axis;
    uint32_t lines = axis ? b->mask.height : b->mask.width;
    uint32_t length = b->last[other] - b->first[other] + 1, least = length * LIT_SHARE / 100;
    count_lines(b, axis, b->first[other], b->last[other], counts);
    /* a line of letters above the echoes is a row, too */
    if (axis) least = faint_row(counts, lines, least);
    if (!longest_run(counts, lines, least, &b->first[axis], &b->last[axis])) return false;
    drop_ruler(counts, least, &b->first[axis], &b->last[axis]);
    return b->last[axis] - b->first[axis] + 1 >= LEAST_SIDE;
}

/* Grey above the surround; what is bright and not of the mask is overlay, such
 * as a frame drawn two pixels outside of the field, and counts as dark. */
static float grey_at(const shape_box *b, const es_still *still, size_t i) {
    const float *high = still->high.data;
    if (high[i] > b->mask.floor && !b->mask.label[i]) return 0;
    return fmaxf(high[i] - b->mask.dark, 0);
}

/* Mean grey of one column or row of the rectangle. */
static double line_grey(const shape_box *b, const es_still *still, int axis, int64_t line) {
    int64_t lines = axis ? b->mask.height : b->mask.width;
    if (line < 0 || line >= lines) return 0;
    double sum = 0;
    uint32_t from = b->first[!axis], to = b->last[!axis];
    for (uint32_t k = from; k <= to; k++) {
        size_t u = axis ? k : (size_t)line, v = axis ? (size_t)line : k;
        sum += grey_at(b, still, v * b->mask.width + u);
    }
    return sum / (to - from + 1);
}

/* A field's side edge is as bright as what lies further in; where contact
 * ends, the grey grows over many columns. */
static bool full_at_once(const shape_box *b, const es_still *still, double at, int step) {
    int64_t outer = lrint(at);
    double near = 0, far = 0;
    for (int k = 1; k <= 3; k++) near += line_grey(b, still, 0, outer + (int64_t)step * k) / 3;
    for (int k = REACH; k < 2 * REACH; k++)
        far += line_grey(b, still, 0, outer + (int64_t)step * k) / REACH;
    return near >= LEAST_LEVEL * far;
}

/* The edge by half maximum, from `outer` (outermost lit line) inwards by `step`;
 * NaN when it takes more than two pixels from a fifth to four fifths, which is
 * left in *rise_px. */
static double half_maximum(const shape_box *b, const es_still *still, int axis, uint32_t outer,
                           int step, double *rise_px) {
    double inside = 0, values[REACH + 7], low = NAN, half = NAN, high = NAN;
    for (int k = -3; k <= REACH; k++)
        values[k + 3] = line_grey(b, still, axis, (int64_t)outer + (int64_t)step * k);
    for (int k = 4; k < REACH; k++) inside += values[k + 3] / (REACH - 4);
    inside = fmax(inside, (values[4] + values[5] + values[6] + values[7]) / 4); /* a sliver */
    for (int k = -2; k <= REACH; k++) {
        double before = values[k + 2], here = values[k + 3], rise = here - before;
        if (rise <= 0) continue;
        if (isnan(low) && here > .2 * inside) low = k - (here - .2 * inside) / rise;
        if (isnan(half) && here > .5 * inside) half = k - (here - .5 * inside) / rise;
        if (isnan(high) && here > .8 * inside) high = k - (here - .8 * inside) / rise;
    }
    *rise_px = high - low;
    return high - low <= 2 ? outer + step * half : NAN;
}

/* Mean grey of one row (or column) over the three pixels from `from` on. */
static double three(const shape_box *b, const es_still *still, int axis, int64_t from,
                    uint32_t along) {
    int64_t lines = axis ? b->mask.height : b->mask.width;
    double sum = 0;
    for (int64_t k = from; k < from + 3; k++) {
        if (k < 0 || k >= lines) continue;
        size_t u = axis ? along : (size_t)k, v = axis ? (size_t)k : along;
        sum += grey_at(b, still, v * b->mask.width + u) / 3;
    }
    return sum;
}

/* Share of the rows (or columns) `from`..`to` that turn bright at the edge. */
static double together(const shape_box *b, const es_still *still, shape_side side, double at,
                       uint32_t from, uint32_t to) {
    int axis = side == SHAPE_LEFT || side == SHAPE_RIGHT ? 0 : 1;
    bool low = side == SHAPE_LEFT || side == SHAPE_TOP;
    /* the pixel on either side of the edge belongs to neither */
    int64_t first = (int64_t)lrint(low ? at + 1.5 : at - 1.5);
    int64_t inside = low ? first : first - 2, outside = low ? first - 5 : first + 3;
    uint32_t count = 0;
    for (uint32_t k = from; k <= to; k++) {
        double bright = three(b, still, axis, inside, k);
        count += bright > LEAST_BRIGHT && three(b, still, axis, outside, k) < .35 * bright;
    }
    return (double)count / (to - from + 1);
}

/* Are there columns of echoes beside the rectangle, lit and moving over much of
 * its height? Then its edge is that of a shadow. */
static bool goes_on(const shape_box *b, const es_still *still, bool left) {
    const float *high = still->high.data, *deviation = still->deviation.data;
    uint32_t from = left ? 0 : b->last[0] + 1, to = left ? b->first[0] : b->mask.width;
    uint32_t rows = b->last[1] - b->first[1] + 1, columns = 0;
    for (uint32_t u = from; u < to; u++) {
        uint32_t lit = 0;
        for (uint32_t v = b->first[1]; v <= b->last[1]; v++) {
            size_t i = (size_t)v * b->mask.width + u;
            lit += high[i] > b->mask.floor && (still->frames < MANY || deviation[i] > MOVES);
        }
        columns += lit * 10 > rows * 4;
    }
    return columns >= STRIP;
}

/* ---- past a black sector --------------------------------------------------------- */

/* Columns beyond the rectangle that are lit and moving from its first row on. */
static bool is_echo_column(const shape_box *b, const es_still *still, uint32_t u) {
    const float *high = still->high.data, *deviation = still->deviation.data;
    uint32_t rows = b->last[1] - b->first[1] + 1, lit = 0, moving = 0;
    for (uint32_t v = b->first[1]; v <= b->last[1]; v++) {
        size_t i = (size_t)v * b->mask.width + u;
        lit += high[i] > b->mask.floor;
        moving += high[i] > b->mask.floor && deviation[i] > MOVES;
    }
    return lit * 10 > rows * 6 && moving * 10 > rows * 4;
}

/* The outermost of the columns beyond that stand together; the rectangle's own
 * edge when there are none. */
static uint32_t farthest_column(const shape_box *b, const es_still *still, bool left) {
    uint32_t edge = left ? b->first[0] : b->last[0], end = left ? 0 : b->mask.width - 1;
    uint32_t run = 0, found = edge;
    while (edge != end) {
        edge = left ? edge - 1 : edge + 1;
        run = is_echo_column(b, still, edge) ? run + 1 : 0;
        if (run >= LEAST_STAND) found = edge;
    }
    return found;
}

/* Two fields of one width with a gap between them are two pictures. */
static bool is_pair(uint32_t first, uint32_t inner, uint32_t outer, uint32_t last) {
    double one = (double)inner - first + 1, other = (double)last - outer + 1;
    return fabs(one - other) < .04 * (one + other) + 2;
}

/* A black shadow from the face to the last row splits the field: the part
 * beyond it belongs to it, too. Only a recording tells echoes by their motion. */
static void join_beyond(shape_box *b, const es_still *still) {
    if (still->frames < MANY) return;
    for (int side = 0; side < 2; side++) {
        bool left = side == 0;
        uint32_t far = farthest_column(b, still, left), near = left ? b->first[0] : b->last[0];
        if (far == near) continue;
        uint32_t inner = near; /* of the part beyond, its column next to the gap */
        do inner = left ? inner - 1 : inner + 1;
        while (!is_echo_column(b, still, inner));
        bool pair =
            left ? is_pair(far, inner, near, b->last[0]) : is_pair(b->first[0], near, inner, far);
        if (pair) continue;
        if (left)
            b->first[0] = far;
        else
            b->last[0] = far;
    }
}

/* Share of what is lit in the columns from..to that moves. */
static double moving_share(const shape_box *b, const es_still *still, uint32_t from, uint32_t to) {
    const float *high = still->high.data, *deviation = still->deviation.data;
    size_t lit = 0, moving = 0;
    for (uint32_t v = b->first[1]; v <= b->last[1]; v++)
        for (uint32_t u = from; u <= to; u++) {
            size_t i = (size_t)v * b->mask.width + u;
            lit += high[i] > b->mask.floor;
            moving += high[i] > b->mask.floor && deviation[i] > MOVES;
        }
    return lit ? (double)moving / (double)lit : 0;
}

/* Does what begins at this edge stand still while the rest moves? Then it is a
 * grey bar or a ruler that touches the echoes. */
static bool stands_still(const shape_box *b, const es_still *still, double at, bool left) {
    uint32_t wide = b->last[0] - b->first[0] + 1;
    uint32_t from = (uint32_t)lrint(left ? at + 1.5 : at - .5 - STRIP);
    if (still->frames < MANY) return false;
    return moving_share(b, still, from, from + STRIP - 1) <
           .4 * moving_share(b, still, b->first[0] + wide / 4, b->last[0] - wide / 4);
}

static void measure_edge(shape_box *b, const es_still *still, shape_side side) {
    int axis = side == SHAPE_LEFT || side == SHAPE_RIGHT ? 0 : 1;
    bool low = side == SHAPE_LEFT || side == SHAPE_TOP;
    uint32_t lines = axis ? b->mask.height : b->mask.width;
    uint32_t outer = low ? b->first[axis] : b->last[axis];
    shape_edge *e = &b->edge[side];
    double lit = low ? outer - .5 : outer + .5;
    e->border = low ? outer == 0 : outer + 1 == lines;
    double at = half_maximum(b, still, axis, outer, low ? 1 : -1, &e->rise_px);
    uint32_t from = b->first[!axis], to = b->last[!axis];
    double edge = isnan(at) ? lit : at;
    e->together = together(b, still, side, edge, from, to);
    e->sharp = !e->border && !isnan(at) && e->together >= LEAST_TOGETHER;
    /* a fan or a trapezoid that was cut at the sides reaches its cut only below */
    if (axis == 0 && e->sharp)
        e->sharp = full_at_once(b, still, at, low ? 1 : -1) && !goes_on(b, still, low) &&
                   !stands_still(b, still, at, low) &&
                   together(b, still, side, edge, from, from + (to - from) / TOP_PART) >= .5;
    e->at = e->sharp ? at : lit;
}

/* The scanner cuts both ends of its field alike. A shadow over one end is drawn
 * from scan line to scan line, so that its edge rises more slowly than the
 * field's own at the other end: that edge is only how far the probe sees. */
static void compare_ends(shape_box *b) {
    shape_edge *l = &b->edge[SHAPE_LEFT], *r = &b->edge[SHAPE_RIGHT];
    if (!l->sharp || !r->sharp) return;
    shape_edge *soft = l->rise_px > r->rise_px ? l : r, *hard = soft == l ? r : l;
    soft->sharp = soft->rise_px <= ALIKE * hard->rise_px + ALIKE_PX;
}

/* The rectangle in one mask; false when there is none. */
static bool find_rectangle(shape_box *b, const es_still *still, uint32_t *counts) {
    uint32_t w = b->mask.width, h = b->mask.height;
    if (b->mask.count[SHAPE_LARGE] * 100 > (size_t)w * h * NOT_ALL_SHARE) {
        snprintf(b->why, sizeof b->why, "the whole picture is lit: no edge of the echoes is in it");
        return false;
    }
    b->first[0] = b->first[1] = 0;
    b->last[0] = w - 1, b->last[1] = h - 1;
    snprintf(b->why, sizeof b->why, "nothing lit that is as large as a field of echoes");
    for (int k = 0; k < 2; k++)
        if (!find_run(b, 0, counts) || !find_run(b, 1, counts)) return false;
    size_t lit = 0, area = (size_t)(b->last[0] - b->first[0] + 1) * (b->last[1] - b->first[1] + 1);
    for (uint32_t v = b->first[1]; v <= b->last[1]; v++)
        for (uint32_t u = b->first[0]; u <= b->last[0]; u++)
            lit += shape_lit(&b->mask, u, v, SHAPE_LARGE);
    b->filled = (double)lit / (double)area;
    if (b->filled * 100 >= (still->frames >= MANY ? LEAST_MOVING : LEAST_FILLED)) return true;
    snprintf(b->why, sizeof b->why,
             "only %.0f %% of the place where something is lit: text or too dark a field",
             100 * b->filled);
    return false;
}

static bool runs_out(const shape_box *b) {
    return b->first[0] == 0 && b->last[0] + 1 == b->mask.width;
}

bool shape_box_make(const es_still *still, shape_box *b, es_error *err) {
    memset(b, 0, sizeof *b);
    if (still->width < LEAST_SIDE || still->height < LEAST_SIDE) {
        snprintf(b->why, sizeof b->why, "%u x %u pixels are too few", still->width, still->height);
        return true;
    }
    uint32_t most = still->width > still->height ? still->width : still->height;
    uint32_t *counts = es_alloc(most, sizeof *counts, err);
    bool ok = counts != NULL;
    /* noise and the halos of compression run into the borders: look higher */
    for (int k = 0; ok && (!b->found || runs_out(b)) && k < SHAPE_LEVELS; k++) {
        shape_mask_clear(&b->mask);
        ok = shape_mask_make(still, shape_levels[k], &b->mask, err);
        b->found = ok && find_rectangle(b, still, counts);
    }
    es_free(counts);
    if (ok && b->found) join_beyond(b, still);
    if (ok && b->found) ok = shape_contour_make(&b->mask, SHAPE_LARGE, false, &b->contour, err);
    for (int side = 0; ok && b->found && side < 4; side++) measure_edge(b, still, side);
    if (ok && b->found) compare_ends(b);
    if (!ok) shape_box_clear(b);
    return ok;
}

void shape_box_clear(shape_box *b) {
    shape_mask_clear(&b->mask);
    shape_contour_clear(&b->contour);
    b->found = false;
}
