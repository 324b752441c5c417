/* Which pixels of a row the peer inserts.
 *
 * With FULL and PARTIAL: one run of the row, cut to the volume, the fan and the
 * clip rectangle. The fan takes one pixel more from either side than its border
 * says, and its inner circle leaves a gap in the run. A row that lies wholly
 * outside the volume along the axis along which it moves fastest, but inside
 * along the others, keeps the one pixel that is nearest to the volume in its
 * row: the search for the run stops there and does not look again.
 *
 * With NONE each pixel is asked for itself. */
#include <math.h>

#include "compat_internal.h"

static const compat_run no_pixels = {0, -1};

/* ---- the run in the volume --------------------------------------------------------- */

/* A row as a line through the volume. */
typedef struct row_line {
    const es_compat_volume *volume;
    double start[3];
    const double *step;
    int64_t last; /* pixel */
} row_line;

/* Voxels below (< 0) or above (> 0) the volume along an axis; 0 inside. */
static int64_t outside(const row_line *l, int axis, int64_t u) {
    int64_t at = compat_nearest(l->start[axis] + (double)u * l->step[axis]);
    int64_t low = l->volume->first[axis], high = low + l->volume->size[axis] - 1;
    return at < low ? at - low : at > high ? at - high : 0;
}

static bool is_inside(const row_line *l, int64_t u) {
    return !outside(l, 0, u) && !outside(l, 1, u) && !outside(l, 2, u);
}

static int fastest_axis(const double step[3]) {
    int fastest = 0;
    for (int a = 1; a < 3; a++)
        if (fabs(step[a]) > fabs(step[fastest])) fastest = a;
    return fastest;
}

/* The pixel that is kept of a row outside the volume. */
static compat_run stray_pixel(const row_line *l) {
    int axis = fastest_axis(l->step);
    int64_t first = outside(l, axis, 0), last = outside(l, axis, l->last);
    if (first == 0 || last == 0 || (first < 0) != (last < 0)) return no_pixels;
    bool rises = l->start[axis] <= l->start[axis] + l->step[axis];
    int64_t u = rises == (first > 0) ? 0 : l->last;
    bool beside = !outside(l, (axis + 1) % 3, u) && !outside(l, (axis + 2) % 3, u);
    return beside ? (compat_run){u, u} : no_pixels;
}

static compat_run run_in_volume(const es_compat_volume *volume, const compat_frame *frame,
                                int64_t v) {
    row_line l = {.volume = volume, .step = frame->du, .last = (int64_t)frame->image->width - 1};
    for (int a = 0; a < 3; a++) l.start[a] = frame->origin[a] + (double)v * frame->dv[a];
    compat_run run = {0, l.last};
    while (run.first <= run.last && !is_inside(&l, run.first)) run.first++;
    if (run.first > run.last) return stray_pixel(&l);
    while (!is_inside(&l, run.last)) run.last--;
    return run;
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
    compat_row row = {.run = run_in_volume(volume, frame, v)};
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
