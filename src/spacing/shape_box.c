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
    LEAST_MOVING = 4,   /* of a recording, whose overlay was taken out */
    BEFORE = 3,         /* lines outside of the outermost lit one */
    REACH = 12,         /* and inside of it, that the level is taken from */
    OUTLINE = 3         /* a panel's outline, blurred, is at most this wide */
};
#define MOVES 3        /* deviation, grey, of what is no overlay */
#define LEAST_LEVEL .5 /* just inside of an edge, of the level further in */
#define LEAST_BRIGHT 2 /* grey over the surround */
#define LEAST_TOGETHER .3
#define LEAST_FACE .12 /* of the rows, where only the first ones are bright */
#define FACE_TOGETHER .8
#define ALIKE 1.15 /* the two ends' rises: the grey behind them differs by speckle */
#define ALIKE_PX .1
#define CUT_PX                                                                                     \
    .6            /* rise of an edge that is cut between two pixels; compression makes .4 to .63   \
                   */
#define LINES 128 /* that the width has, at most of the usual arrays */
#define DARK_SHARE .2   /* of the level inside: outside of the edge */
#define LEAST_HALO .9   /* pixels from the outermost lit one to half of the level */
#define MOST_RISE 2.    /* pixels from a fifth to four fifths of the level */
#define LEAST_STEP .15  /* of the level further in, that an edge beside a shadow has */
#define LEAST_PLATEAU 8 /* grey: above the halo of compression */
#define EVEN .2         /* a plateau's two halves */
#define SATURATED 250   /* white that can move no further */
#define TELLING 40      /* grey over the surround, whose movement tells */
#define STILL_SHARE .15 /* a bar has less, speckle more */
#define LEAST_TELLING 12
#define SAME_SIZE .06   /* two views of one scanner */
#define BESIDE .8       /* of the shorter one, that lies beside the other */
#define LEAST_FIELD .4  /* of its box, that a field fills: half of a fan's */
#define STRIP_FILLED .7 /* of M-mode and spectra */

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

/* The outermost, blurred pixels of the echoes are dim and hardly change, so that
 * they pass for overlay: they touch what is brighter and of the mask. */
static bool is_rim(const shape_box *b, const float *high, uint32_t u, uint32_t v) {
    const shape_mask *m = &b->mask;
    size_t i = (size_t)v * m->width + u;
    return (u > 0 && m->label[i - 1] && high[i - 1] > high[i]) ||
           (u + 1 < m->width && m->label[i + 1] && high[i + 1] > high[i]) ||
           (v > 0 && m->label[i - m->width] && high[i - m->width] > high[i]) ||
           (v + 1 < m->height && m->label[i + m->width] && high[i + m->width] > high[i]);
}

/* Grey above the surround; what is bright and not of the mask is overlay, such
 * as a frame drawn two pixels outside of the field, and counts as dark. */
static float grey_at(const shape_box *b, const es_still *still, uint32_t u, uint32_t v) {
    const float *high = still->high.data;
    size_t i = (size_t)v * b->mask.width + u;
    if (high[i] > b->mask.floor && !b->mask.label[i] && !is_rim(b, high, u, v)) return 0;
    return fmaxf(high[i] - b->mask.dark, 0);
}

/* Mean grey of one column or row of the rectangle. */
static double line_grey(const shape_box *b, const es_still *still, int axis, int64_t line) {
    int64_t lines = axis ? b->mask.height : b->mask.width;
    if (line < 0 || line >= lines) return 0;
    double sum = 0;
    uint32_t from = b->first[!axis], to = b->last[!axis];
    for (uint32_t k = from; k <= to; k++) {
        uint32_t at = (uint32_t)line;
        sum += axis ? grey_at(b, still, k, at) : grey_at(b, still, at, k);
    }
    return sum / (to - from + 1);
}

/* ---- one end of the rectangle ----------------------------------------------------- */

/* Mean grey of the lines from BEFORE outside of the outermost lit one inwards. */
typedef struct end_profile {
    double grey[BEFORE + 2 * REACH];
    double inside; /* the level further in */
} end_profile;

static double mean_of(const double *values, int from, int to) {
    double sum = 0;
    for (int k = from; k < to; k++) sum += values[k];
    return sum / (to - from);
}

/* Sets a thin line to nothing that has dark between itself and the echoes: the
 * outline of a panel, which compression keeps from standing still. */
static void skip_outline(end_profile *p) {
    double dark = DARK_SHARE * p->inside;
    int k = 0, end;
    while (k < BEFORE + REACH && p->grey[k] <= dark) k++;
    for (end = k; end < BEFORE + REACH && p->grey[end] > dark;) end++;
    if (end - k > OUTLINE) return;
    int dark_end = end;
    while (dark_end < BEFORE + REACH && p->grey[dark_end] <= dark) dark_end++;
    if (dark_end - k <= REACH)
        for (; k < end; k++) p->grey[k] = 0;
}

static void take_profile(const shape_box *b, const es_still *still, int axis, uint32_t outer,
                         int step, end_profile *p) {
    for (int k = 0; k < BEFORE + 2 * REACH; k++)
        p->grey[k] = line_grey(b, still, axis, (int64_t)outer + (int64_t)step * (k - BEFORE));
    double sliver = mean_of(p->grey, BEFORE + 1, BEFORE + 5);
    p->inside = fmax(mean_of(p->grey, BEFORE + 4, BEFORE + REACH), sliver);
    skip_outline(p);
}

/* Where the profile rises above the level, lines from the outermost lit one. */
static double first_above(const end_profile *p, double level) {
    for (int k = 1; k <= BEFORE + REACH; k++) {
        double before = p->grey[k - 1], here = p->grey[k];
        if (here > before && here > level) return k - BEFORE - (here - level) / (here - before);
    }
    return NAN;
}

/* The level right behind the edge, where it stays the same for four lines: a
 * shadow beside the edge that begins somewhere below makes it darker than what
 * lies further in. NaN where the grey grows, as where contact ends. */
static double find_plateau(const end_profile *p) {
    for (int k = 1; k < BEFORE + 4; k++) {
        double near = mean_of(p->grey, k + 2, k + 4), next = mean_of(p->grey, k + 4, k + 6);
        if (p->grey[k - 1] > DARK_SHARE * next || next < LEAST_STEP * p->inside) continue;
        if (next >= LEAST_PLATEAU && fabs(near - next) < EVEN * next) return (near + next) / 2;
    }
    return NAN;
}

/* A field's side edge is as bright as what lies further in. */
static bool full_at_once(const end_profile *p, double at) {
    int first = BEFORE + (int)lrint(at);
    double near = mean_of(p->grey, first + 1, first + 4);
    return near >= LEAST_LEVEL * mean_of(p->grey, first + REACH, BEFORE + 2 * REACH);
}

/* The edge by half of the level, lines inwards from the outermost lit one; NaN
 * when it takes more than two pixels from a fifth to four fifths, which is left
 * in *rise_px. */
static double half_maximum(const end_profile *p, double level, double *rise_px) {
    *rise_px = first_above(p, .8 * level) - first_above(p, DARK_SHARE * level);
    return *rise_px <= MOST_RISE ? first_above(p, .5 * level) : NAN;
}

/* The same, of a side: its level may be that of the first lines alone. */
static double side_maximum(const end_profile *p, double *rise_px) {
    double rise, at = half_maximum(p, p->inside, rise_px);
    if (!isnan(at) && full_at_once(p, at)) return at;
    double local = half_maximum(p, find_plateau(p), &rise);
    if (!isnan(local)) *rise_px = rise;
    return local;
}

/* Mean grey of one row (or column) over the three pixels from `from` on. */
static double three(const shape_box *b, const es_still *still, int axis, int64_t from,
                    uint32_t along) {
    int64_t lines = axis ? b->mask.height : b->mask.width;
    double sum = 0;
    for (int64_t k = from; k < from + 3; k++) {
        if (k < 0 || k >= lines) continue;
        uint32_t at = (uint32_t)k;
        sum += (axis ? grey_at(b, still, along, at) : grey_at(b, still, at, along)) / 3;
    }
    return sum;
}

/* Rows (or columns) `from`..`to` that turn bright at the edge, as a share of all
 * and of those that are bright behind it. */
typedef struct beginnings {
    double of_all, of_bright;
} beginnings;

static beginnings together(const shape_box *b, const es_still *still, shape_side side, double at,
                           uint32_t from, uint32_t to) {
    int axis = side == SHAPE_LEFT || side == SHAPE_RIGHT ? 0 : 1;
    bool low = side == SHAPE_LEFT || side == SHAPE_TOP;
    /* the pixel on either side of the edge belongs to neither */
    int64_t first = (int64_t)lrint(low ? at + 1.5 : at - 1.5);
    int64_t inside = low ? first : first - 2, outside = low ? first - 5 : first + 3;
    uint32_t count = 0, bright = 0;
    for (uint32_t k = from; k <= to; k++) {
        double grey = three(b, still, axis, inside, k);
        if (grey <= LEAST_BRIGHT) continue;
        bright++;
        count += three(b, still, axis, outside, k) < .35 * grey;
    }
    return (beginnings){(double)count / (to - from + 1), bright ? (double)count / bright : 0};
}

/* Of a field that fades, or whose end lies in a shadow, only the first rows are
 * bright: then all of those must begin together. */
static bool begins_together(beginnings b) {
    return b.of_all >= LEAST_TOGETHER || (b.of_all >= LEAST_FACE && b.of_bright >= FACE_TOGETHER);
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

/* What moves in these columns is of the mask, however few they are. */
static void take_columns(shape_box *b, const es_still *still, uint32_t one, uint32_t other) {
    const float *high = still->high.data, *deviation = still->deviation.data;
    uint32_t from = one < other ? one : other, to = one < other ? other : one;
    for (uint32_t v = b->first[1]; v <= b->last[1]; v++)
        for (uint32_t u = from; u <= to; u++) {
            size_t i = (size_t)v * b->mask.width + u;
            if (!b->mask.label[i] && high[i] > b->mask.floor && deviation[i] > MOVES)
                b->mask.label[i] = SHAPE_LARGE;
        }
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
        take_columns(b, still, far, inner);
        if (left)
            b->first[0] = far;
        else
            b->last[0] = far;
    }
}

/* Of row v, the pixels in columns from..to that are bright enough to tell, and
 * those of them that move. White that never gets darker cannot, and what a
 * shadow leaves hardly does. */
typedef struct movement {
    uint32_t telling, moving;
} movement;

static movement move_in_row(const shape_box *b, const es_still *still, uint32_t v, uint32_t from,
                            uint32_t to) {
    const float *high = still->high.data, *low = still->low.data;
    const float *deviation = still->deviation.data;
    movement m = {0, 0};
    for (uint32_t u = from; u <= to; u++) {
        size_t i = (size_t)v * b->mask.width + u;
        if (high[i] <= b->mask.floor + TELLING || low[i] >= SATURATED) continue;
        m.telling++;
        m.moving += deviation[i] > MOVES;
    }
    return m;
}

/* Does what begins at this edge stand still where the rest of its rows moves?
 * Then it is a grey bar or a ruler that touches the echoes. */
static bool stands_still(const shape_box *b, const es_still *still, double at, bool left) {
    uint32_t quarter = (b->last[0] - b->first[0] + 1) / 4, telling = 0, moving = 0;
    uint32_t from = (uint32_t)lrint(left ? at + 1.5 : at - .5 - STRIP);
    if (still->frames < MANY) return false;
    for (uint32_t v = b->first[1]; v <= b->last[1]; v++) {
        movement middle = move_in_row(b, still, v, b->first[0] + quarter, b->last[0] - quarter);
        if (middle.telling < quarter / 4 || 2 * middle.moving < middle.telling) continue;
        movement edge = move_in_row(b, still, v, from, from + STRIP - 1);
        telling += edge.telling;
        moving += edge.moving;
    }
    return telling >= LEAST_TELLING && moving < STILL_SHARE * telling;
}

static double side_of(const shape_box *b, const es_still *still, uint32_t outer, int step,
                      double *rise_px) {
    end_profile p;
    take_profile(b, still, 0, outer, step, &p);
    return side_maximum(&p, rise_px);
}

static double end_of(const shape_box *b, const es_still *still, uint32_t outer, int step,
                     double *rise_px) {
    end_profile p;
    take_profile(b, still, 1, outer, step, &p);
    return half_maximum(&p, p.inside, rise_px);
}

/* Do the echoes run into the picture's border, at this side? A halo of compression
 * between them and the border is not what runs into it. */
static bool at_border(const shape_box *b, int axis, uint32_t outer, bool low, double at) {
    uint32_t lines = axis ? b->mask.height : b->mask.width;
    return (low ? outer == 0 : outer + 1 == lines) && !(at >= LEAST_HALO);
}

static void measure_edge(shape_box *b, const es_still *still, shape_side side) {
    int axis = side == SHAPE_LEFT || side == SHAPE_RIGHT ? 0 : 1;
    bool low = side == SHAPE_LEFT || side == SHAPE_TOP;
    uint32_t outer = low ? b->first[axis] : b->last[axis];
    shape_edge *e = &b->edge[side];
    double lit = low ? outer - .5 : outer + .5;
    double at = (axis ? end_of : side_of)(b, still, outer, low ? 1 : -1, &e->rise_px);
    e->border = at_border(b, axis, outer, low, at);
    if (!isnan(at)) at = low ? outer + at : outer - at;
    uint32_t from = b->first[!axis], to = b->last[!axis];
    double edge = isnan(at) ? lit : at;
    beginnings all = together(b, still, side, edge, from, to);
    e->together = all.of_all;
    e->sharp = !e->border && !isnan(at) && begins_together(all);
    /* a fan or a trapezoid that was cut at the sides reaches its cut only below */
    if (axis == 0 && e->sharp)
        e->sharp = !goes_on(b, still, low) && !stands_still(b, still, at, low) &&
                   together(b, still, side, edge, from, from + (to - from) / TOP_PART).of_all >= .5;
    e->at = e->sharp ? at : lit;
}

/* How slowly the other end may rise and still be cut by the scanner, too. */
static double most_alike(double rise_px) { return ALIKE * fmax(rise_px, CUT_PX) + ALIKE_PX; }

/* Would an edge that goes from one scan line to the next look different? In 20
 * to 80 % of a blurred edge, 1.68 of its deviation; of a ramp, the length / root 12. */
static bool shows_lines(double rise_px, double width) {
    double blur = fmax(rise_px, CUT_PX) / 1.683, line = width / LINES / sqrt(12);
    return 1.683 * hypot(blur, line) > most_alike(rise_px);
}

/* The scanner cuts both ends of its field alike. A shadow over one end is drawn
 * from scan line to scan line, so that its edge rises more slowly than the
 * field's own at the other end: that edge is only how far the probe sees. A
 * picture too blurred, or too small, to show this tells of no end whether it is
 * the array's. */
static void compare_ends(shape_box *b) {
    shape_edge *l = &b->edge[SHAPE_LEFT], *r = &b->edge[SHAPE_RIGHT];
    if (!l->sharp || !r->sharp) return;
    shape_edge *soft = l->rise_px > r->rise_px ? l : r, *hard = soft == l ? r : l;
    soft->sharp = soft->rise_px <= most_alike(hard->rise_px);
    if (soft->sharp && !shows_lines(soft->rise_px, r->at - l->at)) l->sharp = r->sharp = false;
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

/* ---- other fields in the picture --------------------------------------------------- */

/* Box of what has this label, and how much of the box has it. */
typedef struct field {
    uint32_t first[2], last[2];
    double filled;
} field;

static field find_field(const shape_mask *m, uint8_t label) {
    field f = {{m->width, m->height}, {0, 0}, 0};
    size_t lit = 0;
    for (uint32_t v = 0; v < m->height; v++)
        for (uint32_t u = 0; u < m->width; u++) {
            if (m->label[(size_t)v * m->width + u] != label) continue;
            const uint32_t at[2] = {u, v};
            for (int a = 0; a < 2; a++) {
                if (at[a] < f.first[a]) f.first[a] = at[a];
                if (at[a] > f.last[a]) f.last[a] = at[a];
            }
            lit++;
        }
    if (!lit) return f;
    double area = (double)(f.last[0] - f.first[0] + 1) * (f.last[1] - f.first[1] + 1);
    f.filled = (double)lit / area;
    return f;
}

static double length_of(const field *f, int axis) {
    return (double)f->last[axis] - (double)f->first[axis] + 1;
}

/* What of the shorter one lies beside the other, along `axis`. */
static double shared(const field *f, const field *g, int axis) {
    double from = fmax(f->first[axis], g->first[axis]), to = fmin(f->last[axis], g->last[axis]);
    return fmax(to - from + 1, 0) / fmin(length_of(f, axis), length_of(g, axis));
}

static bool alike(const field *f, const field *g, int axis) {
    return fabs(length_of(f, axis) / length_of(g, axis) - 1) < SAME_SIZE;
}

/* Two pictures of one size side by side, or a filled strip under (or over) the
 * picture: M-mode, a spectrum. Parts of one field that a shadow splits differ
 * in size; reflectors fill no rectangle. */
static void tell_views(shape_box *b) {
    if (b->mask.count[SHAPE_LARGE] == b->mask.count[SHAPE_LARGEST]) return;
    field one = find_field(&b->mask, SHAPE_LARGEST), other = find_field(&b->mask, SHAPE_LARGE);
    bool large = length_of(&other, 0) >= 2 * LEAST_SIDE && length_of(&other, 1) >= LEAST_SIDE;
    if (!large || one.filled < LEAST_FIELD || other.filled < LEAST_FIELD) return;
    const char *what = NULL;
    if (shared(&one, &other, 0) == 0 && shared(&one, &other, 1) > BESIDE &&
        alike(&one, &other, 0) && alike(&one, &other, 1))
        what = "2 pictures beside one another";
    else if (shared(&one, &other, 1) == 0 && shared(&one, &other, 0) > BESIDE &&
             fmax(one.filled, other.filled) > STRIP_FILLED &&
             fmin(length_of(&one, 0), length_of(&other, 0)) > b->mask.width / 4.)
        what = "a second field above or below the first, such as M-mode or a spectrum";
    b->views_wide = (uint32_t)(length_of(&one, 0) + length_of(&other, 0));
    if (what)
        snprintf(b->views, sizeof b->views, "%s (%u,%u to %u,%u and %u,%u to %u,%u)", what,
                 one.first[0], one.first[1], one.last[0], one.last[1], other.first[0],
                 other.first[1], other.last[0], other.last[1]);
}

/* A black shadow through the middle of an array splits it, too, into two fields
 * of one width: but its edge goes from scan line to scan line, and the outer
 * edge is cut; or the rectangle has both. */
static void doubt_views(shape_box *b) {
    double left = b->edge[SHAPE_LEFT].rise_px, right = b->edge[SHAPE_RIGHT].rise_px;
    double hard = fmin(left, right), soft = isnan(left) || isnan(right) ? NAN : fmax(left, right);
    bool uneven = hard <= MOST_RISE && !(soft <= most_alike(hard));
    bool whole = b->edge[SHAPE_LEFT].sharp && b->edge[SHAPE_RIGHT].sharp &&
                 b->last[0] - b->first[0] >= b->views_wide;
    if (uneven || whole) b->views[0] = 0;
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
    if (ok && b->found) tell_views(b);
    if (ok && b->found) join_beyond(b, still);
    if (ok && b->found) ok = shape_contour_make(&b->mask, SHAPE_LARGE, false, &b->contour, err);
    for (int side = 0; ok && b->found && side < 4; side++) measure_edge(b, still, side);
    if (ok && b->found) compare_ends(b);
    if (ok && b->found) doubt_views(b);
    if (!ok) shape_box_clear(b);
    return ok;
}

void shape_box_clear(shape_box *b) {
    shape_mask_clear(&b->mask);
    shape_contour_clear(&b->contour);
    b->found = false;
}
