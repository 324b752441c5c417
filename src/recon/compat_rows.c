/* Which pixels of a row the peer inserts.
 *
 * With FULL and PARTIAL it looks for one run of pixels that lies inside the
 * volume. It finds where the row meets the two faces across the axis along
 * which the row moves fastest; an end that lies outside along another axis is
 * pulled to that axis's face; and a row that misses both first faces is sought
 * by the faces it crosses. Each meeting point is checked once and never
 * mended, so a row that grazes an edge can be lost, and a row that lies
 * outside along its fastest axis alone keeps one pixel. The fan then takes one
 * pixel more from either side than its border says.
 *
 * With NONE each pixel is asked for itself. */
#include <math.h>

#include "compat_internal.h"

/* ---- meeting the faces ---------------------------------------------------------- */

enum { LOW, HIGH };

/* A row as a line through the volume. */
typedef struct row_line {
    double start[3];
    const double *step;
    bool rising[3];
    int64_t low[3], high[3]; /* first and last voxel */
    int64_t last;            /* pixel */
    int axes[3];             /* the fastest, the slowest, the third */
} row_line;

static int64_t coordinate(const row_line *l, int axis, int64_t u) {
    return compat_nearest(l->start[axis] + (double)u * l->step[axis]);
}

static bool beyond(const row_line *l, int axis, int side, int64_t at) {
    return side == LOW ? at < l->low[axis] : at > l->high[axis];
}

/* Walking so that the coordinate grows: the first pixel that is not below the
 * volume, or the last that is not above it. */
static int64_t meet(const row_line *l, int axis, int side) {
    bool from_left = l->rising[axis] == (side == LOW);
    int64_t u = from_left ? 0 : l->last, end = from_left ? l->last : 0, step = from_left ? 1 : -1;
    while (u != end && beyond(l, axis, side, coordinate(l, axis, u))) u += step;
    return u;
}

static bool inside_along(const row_line *l, int axis, int64_t u) {
    int64_t at = coordinate(l, axis, u);
    return !beyond(l, axis, LOW, at) && !beyond(l, axis, HIGH, at);
}

static bool inside_but_for(const row_line *l, int axis, int64_t u) {
    return inside_along(l, (axis + 1) % 3, u) && inside_along(l, (axis + 2) % 3, u);
}

/* Ends of the run, in the order in which the coordinate of an axis grows. */
typedef struct row_ends {
    int64_t from, to;
    int axis;
} row_ends;

/* ---- finding the run --------------------------------------------------------------- */

/* Pulls an end, which lies at `at`, to the face it sticks out of. */
static bool pull(const row_line *l, const int64_t at[3], int64_t *end) {
    for (int i = 1; i < 3; i++) {
        int axis = l->axes[i];
        bool low = beyond(l, axis, LOW, at[axis]);
        if (!low && !beyond(l, axis, HIGH, at[axis])) continue;
        *end = meet(l, axis, low ? LOW : HIGH);
        if (inside_but_for(l, axis, *end)) return true;
    }
    return false;
}

/* The row passes through one of the faces across its fastest axis. */
static bool through_fastest(const row_line *l, const int64_t at_from[3], const int64_t at_to[3],
                            row_ends *ends) {
    int fastest = l->axes[0];
    if (inside_but_for(l, fastest, ends->from) &&
        (inside_but_for(l, fastest, ends->to) || pull(l, at_to, &ends->to)))
        return true;
    return inside_but_for(l, fastest, ends->to) && pull(l, at_from, &ends->from);
}

/* In at one face across the slowest axis, out at the other one or at one across
 * the third. */
static bool through_slowest(const row_line *l, int side, const int64_t at_from[3],
                            const int64_t at_to[3], row_ends *ends) {
    int slowest = l->axes[1], third = l->axes[2];
    bool from_out = beyond(l, slowest, side, at_from[slowest]);
    bool to_out = beyond(l, slowest, side, at_to[slowest]);
    if (from_out == to_out) return false;
    int64_t *here = side == LOW ? &ends->from : &ends->to;
    int64_t *there = side == LOW ? &ends->to : &ends->from;
    ends->axis = slowest;
    *here = meet(l, slowest, side);
    if (!inside_but_for(l, slowest, *here)) return false;
    if (side == LOW &&
        beyond(l, slowest, HIGH, at_from[slowest]) != beyond(l, slowest, HIGH, at_to[slowest])) {
        *there = meet(l, slowest, HIGH);
        if (inside_but_for(l, slowest, *there)) return true;
    }
    for (int other = LOW; other <= HIGH; other++) {
        if (!(beyond(l, third, other, at_from[third]) && to_out) &&
            !(beyond(l, third, other, at_to[third]) && from_out))
            continue;
        *there = meet(l, third, other);
        return inside_but_for(l, third, *there);
    }
    return false;
}

static bool through_third(const row_line *l, const int64_t at_from[3], const int64_t at_to[3],
                          row_ends *ends) {
    int third = l->axes[2];
    if (beyond(l, third, LOW, at_from[third]) == beyond(l, third, LOW, at_to[third])) return false;
    ends->axis = third;
    ends->from = meet(l, third, LOW);
    if (!inside_but_for(l, third, ends->from)) return false;
    if (!beyond(l, third, HIGH, at_from[third]) && !beyond(l, third, HIGH, at_to[third]))
        return false;
    ends->to = meet(l, third, HIGH);
    return inside_but_for(l, third, ends->to);
}

static void order_axes(row_line *l) {
    int fastest = 0;
    for (int a = 1; a < 3; a++)
        if (fabs(l->step[a]) > fabs(l->step[fastest])) fastest = a;
    int slowest = (fastest + 1) % 3, third = (fastest + 2) % 3;
    bool swap = fabs(l->step[slowest]) > fabs(l->step[third]);
    l->axes[0] = fastest;
    l->axes[1] = swap ? third : slowest;
    l->axes[2] = swap ? slowest : third;
}

static row_line make_line(const es_compat_volume *volume, const compat_frame *frame, int64_t v) {
    row_line l = {.step = frame->du, .last = (int64_t)frame->image->width - 1};
    for (int a = 0; a < 3; a++) {
        l.start[a] = frame->origin[a] + (double)v * frame->dv[a];
        l.rising[a] = l.start[a] <= l.start[a] + l.step[a];
        l.low[a] = volume->first[a];
        l.high[a] = volume->first[a] + volume->size[a] - 1;
    }
    order_axes(&l);
    return l;
}

static const compat_run no_pixels = {0, -1};

static compat_run run_in_volume(const row_line *l) {
    int fastest = l->axes[0];
    row_ends ends = {meet(l, fastest, LOW), meet(l, fastest, HIGH), fastest};
    int64_t at_from[3], at_to[3];
    for (int a = 0; a < 3; a++) {
        at_from[a] = coordinate(l, a, ends.from);
        at_to[a] = coordinate(l, a, ends.to);
    }
    if (!through_fastest(l, at_from, at_to, &ends) &&
        !through_slowest(l, LOW, at_from, at_to, &ends) &&
        !through_slowest(l, HIGH, at_from, at_to, &ends) &&
        !through_third(l, at_from, at_to, &ends))
        return no_pixels;
    compat_run run = {ends.from, ends.to};
    if (!l->rising[ends.axis]) run = (compat_run){ends.to, ends.from};
    return run.first <= run.last ? run : no_pixels;
}

/* ---- clip and fan -------------------------------------------------------------------- */

/* First and last pixel of the clip rectangle along an axis of the image. */
static compat_run clip_range(const es_recon_options *o, int axis, uint32_t size) {
    compat_run whole = {0, (int64_t)size - 1};
    if (!o->has_clip) return whole;
    compat_run r = {o->clip_origin[axis], (int64_t)o->clip_origin[axis] + o->clip_size[axis]};
    if (r.first < 0) r.first = 0;
    if (r.last > whole.last) r.last = whole.last;
    return r.first <= r.last ? r : no_pixels;
}

static bool contains(compat_run run, int64_t i) { return run.first <= i && i <= run.last; }

/* Columns per row that the left and right border of the fan lean; false when
 * there is no fan to clip to. */
static bool fan_slopes(const es_fan *fan, double slopes[2]) {
    if (fan->kind != ES_FAN_CURVED) return false;
    double a = tan(fan->angle_start_rad), b = tan(fan->angle_stop_rad);
    slopes[0] = a < b ? a : b;
    slopes[1] = a < b ? b : a;
    return slopes[0] != 0 || slopes[1] != 0;
}

/* Columns from one pixel inside `low` to one pixel inside `high`. */
static compat_run shrunk(double low, double high) {
    return (compat_run){-compat_floor(-(low + 1)), compat_floor(high - 1)};
}

static compat_run both(compat_run a, compat_run b) {
    return (compat_run){a.first > b.first ? a.first : b.first, a.last < b.last ? a.last : b.last};
}

static void cut_to_fan(const es_fan *fan, const double slopes[2], int64_t v, compat_row *row) {
    double y = (double)v - fan->apex_v, x = fan->apex_u;
    double outer = fan->radius_stop * fan->radius_stop - y * y;
    double inner = fan->radius_start * fan->radius_start - y * y;
    if (outer < 0) {
        row->run = no_pixels;
        return;
    }
    outer = sqrt(outer);
    row->run = both(row->run, shrunk(slopes[0] * y + x, slopes[1] * y + x));
    row->run = both(row->run, shrunk(x - outer, x + outer));
    if (inner <= 0) return;
    inner = sqrt(inner);
    row->gap = shrunk(x - inner, x + inner);
    row->has_gap = true;
}

/* A gap that reaches over an end shortens the run instead. */
static void settle_gap(compat_row *row) {
    compat_run *run = &row->run, gap = row->gap;
    if (gap.first < run->first) {
        row->has_gap = false;
        if (run->first > gap.last) return;
        run->first = gap.last + 1;
    } else if (gap.last > run->last) {
        row->has_gap = false;
        if (run->last < gap.first) return;
        run->last = gap.first - 1;
    } else {
        return;
    }
    if (run->last < run->first) run->last = run->first - 1;
}

compat_row compat_cut_row(const es_compat_volume *volume, const compat_frame *frame, int64_t v) {
    const es_recon_options *o = &volume->options;
    row_line line = make_line(volume, frame, v);
    compat_row row = {.run = run_in_volume(&line)};
    double slopes[2];
    if (fan_slopes(&o->fan, slopes) && row.run.first <= row.run.last)
        cut_to_fan(&o->fan, slopes, v, &row);
    row.run = both(row.run, clip_range(o, 0, frame->image->width));
    if (row.run.first > row.run.last || !contains(clip_range(o, 1, frame->image->height), v))
        row.run = no_pixels;
    if (row.has_gap) settle_gap(&row);
    return row;
}

bool compat_wanted(const es_compat_volume *volume, const es_image *image, int64_t u, int64_t v) {
    const es_recon_options *o = &volume->options;
    const es_fan *fan = &o->fan;
    double slopes[2];
    if (!contains(clip_range(o, 0, image->width), u) ||
        !contains(clip_range(o, 1, image->height), v))
        return false;
    if (!fan_slopes(fan, slopes)) return true;
    double x = (double)u - fan->apex_u, y = (double)v - fan->apex_v;
    /* On the apex x / y is no number, which is not out of bounds. */
    if (y < 0 || x / y < slopes[0] || x / y > slopes[1]) return false;
    double squared = x * x + y * y;
    return !(squared < fan->radius_start * fan->radius_start) &&
           !(squared > fan->radius_stop * fan->radius_stop);
}
