/* A frame on the lattice: from a matrix to fixed-point steps, and which rows
 * and pixels of it fall into a box of voxels.
 *
 * The pixels of a row inside a convex box are one run. Its ends are estimated
 * in double from three slab intersections (Kay and Kajiya 1986), for many rows
 * at a time; where an estimate is too close to a whole pixel to be sure, the
 * row is cut by the exact integer test. */
#include <math.h>

#include "place_rows.h"

static const double LATTICE_REACH = 8589934592.; /* 2^33 voxels: brick coordinates fit int32 */
static const double ROW_MARGIN = 0x1p-8;         /* pixels; rounding of the duals is far less */
static const int BASE_MARGIN = 4 * ES_BRICK;     /* keeps neighbours' coordinates positive */

/* ---- placing --------------------------------------------------------------- */

bool check_matrix(const es_mat4 *m, es_error *err) {
    if (!es_mat4_finite(*m))
        return es_fail(err, ES_GEOMETRY, "ImageToReference has a number that is not finite");
    es_vec3 u = es_mat4_column(*m, 0), v = es_mat4_column(*m, 1);
    double area = es_vec3_length(es_vec3_cross(u, v));
    if (!(area > 1e-9 * es_vec3_length(u) * es_vec3_length(v)))
        return es_fail(err, ES_GEOMETRY,
                       "ImageToReference is singular: its u column (%g %g %g) and v column (%g %g "
                       "%g) span no plane",
                       u.x, u.y, u.z, v.x, v.y, v.z);
    if (m->m[12] != 0 || m->m[13] != 0 || m->m[14] != 0 || m->m[15] != 1)
        return es_fail(err, ES_GEOMETRY,
                       "ImageToReference: the last row is %g %g %g %g, expected 0 0 0 1", m->m[12],
                       m->m[13], m->m[14], m->m[15]);
    return true;
}

/* One axis of the placement: pixel (0, 0) at `start`, in voxels. */
static bool place_axis(double start, double du, double dv, pixel_box pixels, int axis,
                       placed *frame, es_error *err) {
    double along_u = du * pixels.u1, along_v = dv * pixels.v1;
    double low = start + fmin(along_u, 0) + fmin(along_v, 0);
    double high = start + fmax(along_u, 0) + fmax(along_v, 0);
    if (!(low > -LATTICE_REACH && high < LATTICE_REACH))
        return es_fail(err, ES_GEOMETRY,
                       "the frame reaches from voxel %.3g to %.3g along %c, past the %.3g that a "
                       "volume can hold: check the pose and the spacing",
                       low, high, 'x' + axis, LATTICE_REACH);
    if (high - low > FRAME_SPAN - 4 * BASE_MARGIN || fabs(du) > FRAME_SPAN || fabs(dv) > FRAME_SPAN)
        return es_fail(err, ES_GEOMETRY,
                       "the frame spans %.3g voxels along %c, more than %d: check ImageToReference "
                       "and the spacing",
                       high - low, 'x' + axis, FRAME_SPAN - 4 * BASE_MARGIN);
    int64_t base = (int64_t)floor(low / ES_BRICK) * ES_BRICK - BASE_MARGIN;
    frame->base[axis] = base;
    frame->start[axis] = llround((start - (double)base) * (double)ONE_VOXEL);
    frame->du[axis] = llround(du * (double)ONE_VOXEL);
    frame->dv[axis] = llround(dv * (double)ONE_VOXEL);
    frame->inverse_du[axis] = frame->du[axis] ? 1 / (double)frame->du[axis] : 0;
    return true;
}

/* The dual less the multiples of the normal that make one axis vanish. */
static plane_range make_range(es_vec3 dual, es_vec3 normal) {
    const double d[3] = {dual.x, dual.y, dual.z}, n[3] = {normal.x, normal.y, normal.z};
    plane_range range = {.count = 0};
    for (int k = 0; k < 3; k++) {
        if (fabs(n[k]) < 1e-12) continue;
        for (int a = 0; a < 3; a++) {
            range.dual[range.count][a] = d[a] - d[k] / n[k] * n[a];
            range.size[range.count][a] = fabs(range.dual[range.count][a]);
        }
        range.count++;
    }
    return range;
}

/* Pixels of a row, or rows, that can meet in a voxel: two of its points are less than
 * a voxel apart along each axis. Rounded up; rows start a little off. */
static double most_in_voxel(const plane_range *range) {
    double least = INFINITY;
    for (int k = 0; k < range->count; k++) {
        const double *size = range->size[k];
        least = fmin(least, (size[0] + size[1] + size[2]) * (double)(ONE_VOXEL + ROW_UNIT));
    }
    return floor(least) + 2;
}

/* The vectors that give a point's column and row: column . du = 1, column . dv = 0. */
static bool make_duals(placed *frame, es_error *err) {
    es_vec3 u = es_vec3_make((double)frame->du[0], (double)frame->du[1], (double)frame->du[2]);
    es_vec3 v = es_vec3_make((double)frame->dv[0], (double)frame->dv[1], (double)frame->dv[2]);
    double uu = es_vec3_dot(u, u), uv = es_vec3_dot(u, v), vv = es_vec3_dot(v, v);
    double det = uu * vv - uv * uv;
    if (!(det > 0))
        return es_fail(err, ES_GEOMETRY,
                       "the pixels are too small for the voxels (under 1e-12 of "
                       "a voxel): check ImageToReference and the spacing");
    const es_vec3 column = es_vec3_sub(es_vec3_scale(u, vv / det), es_vec3_scale(v, uv / det));
    const es_vec3 row = es_vec3_sub(es_vec3_scale(v, uu / det), es_vec3_scale(u, uv / det));
    frame->normal = es_vec3_unit(es_vec3_cross(u, v));
    frame->columns = make_range(column, frame->normal);
    frame->rows = make_range(row, frame->normal);
    const double most = most_in_voxel(&frame->columns) * most_in_voxel(&frame->rows);
    frame->most_hits = (uint32_t)fmin(most, UINT32_MAX);
    return true;
}

bool place_frame(const es_mat4 *image_to_reference, const double origin_mm[3],
                 const double spacing_mm[3], double shift, pixel_box pixels, placed *frame,
                 es_error *err) {
    if (!check_matrix(image_to_reference, err)) return false;
    frame->estimate = estimate_rows;
    const double *m = image_to_reference->m;
    for (int a = 0; a < 3; a++) {
        double start = (m[4 * a + 3] - origin_mm[a]) / spacing_mm[a] + shift;
        if (!place_axis(start, m[4 * a] / spacing_mm[a], m[4 * a + 1] / spacing_mm[a], pixels, a,
                        frame, err))
            return false;
    }
    return make_duals(frame, err);
}

/* ---- boxes ------------------------------------------------------------------- */

fixed_box make_fixed_box(const placed *frame, const int64_t first[3], const int64_t last[3]) {
    fixed_box box;
    for (int a = 0; a < 3; a++) {
        int64_t low = first[a] - frame->base[a], high = last[a] - frame->base[a];
        if (low < 0) low = 0;
        if (high > FRAME_SPAN) high = FRAME_SPAN;
        box.low[a] = low * ONE_VOXEL;
        box.size[a] = high < low ? 0 : (uint64_t)(high - low + 1) << FRACTION;
    }
    return box;
}

static inline bool inside(const placed *frame, const fixed_box *box, const int64_t gap[3],
                          int64_t u) {
    return (uint64_t)(u * frame->du[0] - gap[0]) < box->size[0] &&
           (uint64_t)(u * frame->du[1] - gap[1]) < box->size[1] &&
           (uint64_t)(u * frame->du[2] - gap[2]) < box->size[2];
}

/* The run of u in [from, to) for which, on every axis, gap <= u * step < gap +
 * size; `gap` is the way from the row's start to the box. */
static bool cut_row(const placed *frame, const fixed_box *box, const int64_t gap[3], run pixels,
                    run *cut) {
    double low = pixels.from, high = (double)pixels.to - 1;
    for (int a = 0; a < 3; a++) {
        if (frame->du[a] == 0) {
            if (gap[a] > 0 || (uint64_t)-gap[a] >= box->size[a]) return false;
            continue;
        }
        double t0 = (double)gap[a] * frame->inverse_du[a];
        double t1 = (double)(gap[a] + (int64_t)box->size[a]) * frame->inverse_du[a];
        double enter = t0 < t1 ? t0 : t1, leave = t0 < t1 ? t1 : t0;
        low = enter > low ? enter : low;
        high = leave < high ? leave : high;
    }
    low -= ESTIMATE_MARGIN;
    high += ESTIMATE_MARGIN;
    if (!(low <= high)) return false;
    int64_t first = (int64_t)low, end = (int64_t)high + 1;
    first += (double)first < low;
    while (first < end && !inside(frame, box, gap, first)) first++;
    while (first < end && !inside(frame, box, gap, end - 1)) end--;
    *cut = (run){(uint32_t)first, (uint32_t)end};
    return first < end;
}

static row_lines make_lines(const placed *frame, const int64_t gap[3], const fixed_box *box,
                            const support *s, uint32_t rows) {
    row_lines lines; /* not cleared first: that would take longer than the rest */
    lines.first = (double)s->box.u0 - 0.5;
    lines.last = (double)s->box.u1 + 0.5;
    lines.margin = ESTIMATE_MARGIN;
    lines.good = true;
    for (int a = 0; a < 3; a++) {
        double inverse = frame->inverse_du[a];
        double t0 = (double)gap[a] * inverse;
        double t1 = (double)(gap[a] + (int64_t)box->size[a]) * inverse;
        lines.enter[a] = inverse > 0 ? t0 : t1;
        lines.leave[a] = inverse > 0 ? t1 : t0;
        lines.step[a] = -(double)frame->dv[a] * inverse;
        /* Rows start a little before the line; rounding stays well below the margin
         * for numbers up to here. */
        const double margin = 4 * (double)ROW_UNIT * fabs(inverse);
        lines.margin = margin > lines.margin ? margin : lines.margin;
        if (inverse == 0 || fabs(t0) + fabs(t1) + rows * fabs(lines.step[a]) > 0x1p28 ||
            lines.margin > WIDEST_MARGIN)
            lines.good = false;
    }
    return lines;
}

/* The range of dual . (point - start) over the points of the plane in the box.
 * Adding multiples of the normal to `dual` changes nothing in the plane, and
 * each choice bounds the range; by the duality of linear programs the best of
 * the three that make one axis vanish is exact. */
static void range_in_box(const placed *frame, const fixed_box *box, const plane_range *range,
                         double *low, double *high) {
    double half[3], centre[3];
    for (int a = 0; a < 3; a++) {
        half[a] = 0.5 * (double)box->size[a];
        centre[a] = (double)(box->low[a] - frame->start[a]) + half[a];
    }
    *low = -INFINITY;
    *high = INFINITY;
    for (int k = 0; k < range->count; k++) {
        const double *d = range->dual[k], *size = range->size[k];
        const double middle = d[0] * centre[0] + d[1] * centre[1] + d[2] * centre[2];
        /* Rows start up to a unit before where the plane has them. */
        const double reach = size[0] * (half[0] + (double)ROW_UNIT) +
                             size[1] * (half[1] + (double)ROW_UNIT) +
                             size[2] * (half[2] + (double)ROW_UNIT) + ROW_MARGIN;
        *low = middle - reach > *low ? middle - reach : *low;
        *high = middle + reach < *high ? middle + reach : *high;
    }
}

bool rows_of_box(const placed *frame, const fixed_box *box, pixel_box pixels, uint32_t *first,
                 uint32_t *last) {
    double low, high;
    range_in_box(frame, box, &frame->columns, &low, &high);
    if (!(low <= high) || high < pixels.u0 || low > pixels.u1) return false;
    range_in_box(frame, box, &frame->rows, &low, &high);
    if (!(low <= high) || high < pixels.v0 || low > pixels.v1) return false;
    *first = low > pixels.v0 ? (uint32_t)ceil(low) : pixels.v0;
    *last = high < pixels.v1 ? (uint32_t)high : pixels.v1;
    return *first <= *last;
}

/* The way from the start of row v to the box. */
static void row_gap(const placed *frame, const fixed_box *box, uint32_t v, int64_t gap[3]) {
    for (int a = 0; a < 3; a++) gap[a] = box->low[a] - row_start(frame->start[a], frame->dv[a], v);
}

/* The runs of one row; returns how many. */
static __attribute__((noinline)) size_t cut_runs(const placed *frame, const fixed_box *box,
                                                 const support *s, uint32_t v, row_cut *cuts) {
    size_t count = 0;
    int64_t gap[3];
    row_gap(frame, box, v, gap);
    for (size_t i = s->row_first[v]; i < s->row_first[v + 1]; i++) {
        cuts[count].v = v;
        count += cut_row(frame, box, gap, s->runs[i], &cuts[count].pixels);
    }
    return count;
}

/* The part of a run from `from` to before `to`; returns how many there are. */
static inline size_t clip_run(run pixels, uint32_t from, uint32_t to, uint32_t v, row_cut *cut) {
    const uint32_t a = pixels.from > from ? pixels.from : from;
    const uint32_t b = pixels.to < to ? pixels.to : to;
    *cut = (row_cut){v, {a, b}};
    return a < b;
}

/* Rows that are all sure, each of them one run of all the columns that count. */
static size_t take_whole_rows(const row_ends *ends, uint32_t first, uint32_t rows, row_cut *cuts) {
    size_t count = 0;
    for (uint32_t r = 0; r < rows; r++) {
        const int32_t from = ends->from[r], to = ends->to[r];
        cuts[count] = (row_cut){first + r, {(uint32_t)from, (uint32_t)to}};
        count += from < to;
    }
    return count;
}

size_t cut_rows(const placed *frame, const fixed_box *box, const support *s, uint32_t *v,
                uint32_t last, row_cut cuts[CUTS]) {
    const uint32_t first = *v, rows = last - first < CUTS ? last - first + 1 : CUTS;
    const size_t most_runs = s->most_runs, *const row_first = s->row_first + first;
    const run *const runs = s->runs;
    size_t count = 0;
    int64_t gap[3];
    row_ends ends;
    row_gap(frame, box, first, gap);
    const row_lines lines = make_lines(frame, gap, box, s, rows);
    if (lines.good) frame->estimate(&lines, rows, &ends);
    if (lines.good && ends.sure && s->rectangle) {
        *v = first + rows;
        return take_whole_rows(&ends, first, rows, cuts);
    }
    uint32_t r = 0;
    for (; r < rows && count + most_runs <= CUTS; r++) {
        if (!lines.good || ends.from[r] == UNSURE_ROW) {
            count += cut_runs(frame, box, s, first + r, cuts + count);
            continue;
        }
        const uint32_t from = (uint32_t)ends.from[r], to = (uint32_t)ends.to[r];
        for (size_t i = row_first[r]; i < row_first[r + 1]; i++)
            count += clip_run(runs[i], from, to, first + r, cuts + count);
    }
    *v = first + r;
    return count;
}

/* ---- bricks ------------------------------------------------------------------- */

static int largest_axis(es_vec3 n) {
    double x = fabs(n.x), y = fabs(n.y), z = fabs(n.z);
    return x >= y && x >= z ? 0 : y >= z ? 1 : 2;
}

/* Lowest and highest brick that the parallelogram reaches, per axis. */
static void brick_bounds(const placed *frame, pixel_box pixels, double reach, int64_t low[3],
                         int64_t high[3]) {
    for (int a = 0; a < 3; a++) {
        double from = INFINITY, to = -INFINITY;
        for (int corner = 0; corner < 4; corner++) {
            double u = corner & 1 ? pixels.u1 : pixels.u0, v = corner & 2 ? pixels.v1 : pixels.v0;
            double at =
                (double)frame->start[a] + u * (double)frame->du[a] + v * (double)frame->dv[a];
            from = fmin(from, at / (double)ONE_VOXEL);
            to = fmax(to, at / (double)ONE_VOXEL);
        }
        low[a] = (int64_t)floor((from - reach - 1e-6) / ES_BRICK);
        high[a] = (int64_t)floor((to + reach + 1e-6) / ES_BRICK);
    }
}

bool visit_bricks(const placed *frame, pixel_box pixels, double reach, visit_brick_fn *visit,
                  void *context, es_error *err) {
    int64_t low[3], high[3];
    brick_bounds(frame, pixels, reach, low, high);
    const double n[3] = {frame->normal.x, frame->normal.y, frame->normal.z};
    const int k = largest_axis(frame->normal), i = (k + 1) % 3, j = (k + 2) % 3;
    /* The plane over one brick column: its height at the column's centre, and
     * how far it can stray from that over the column and `reach` round it. */
    double slope_i = -n[i] / n[k], slope_j = -n[j] / n[k];
    double stray = (fabs(slope_i) + fabs(slope_j)) * (0.5 * ES_BRICK + reach) + reach + 1e-6;
    double start[3];
    for (int a = 0; a < 3; a++) start[a] = (double)frame->start[a] / (double)ONE_VOXEL;
    for (int64_t bj = low[j]; bj <= high[j]; bj++)
        for (int64_t bi = low[i]; bi <= high[i]; bi++) {
            double height = start[k] + slope_i * (((double)bi + 0.5) * ES_BRICK - start[i]) +
                            slope_j * (((double)bj + 0.5) * ES_BRICK - start[j]);
            int64_t first = (int64_t)floor((height - stray) / ES_BRICK);
            int64_t last = (int64_t)floor((height + stray) / ES_BRICK);
            if (first < low[k]) first = low[k];
            if (last > high[k]) last = high[k];
            for (int64_t bk = first; bk <= last; bk++) {
                int32_t at[3];
                at[i] = (int32_t)(bi + frame->base[i] / ES_BRICK);
                at[j] = (int32_t)(bj + frame->base[j] / ES_BRICK);
                at[k] = (int32_t)(bk + frame->base[k] / ES_BRICK);
                if (!visit(context, at, err)) return false;
            }
        }
    return true;
}
