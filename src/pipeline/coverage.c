/* What a recording left out: cells between frames that no frame passes through,
 * and successive frames too far apart.
 *
 * Cells are 1.5 voxels, so that frames as near as they should be touch every
 * one. A gap is an unseen cell with seen ones on both sides along x, y or z. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/plan.h"

enum { SEEN = 1, GAP = 2, TAKEN = 4, LEAST_CELLS = 8, NEW_SWEEP = 10 };
static const double VOXELS_APART = 1.5, CELLS_MAX = 128e6;

typedef struct poses {
    es_mat4 *items;
    double *times;
    int64_t *frames;
    size_t count, capacity;
} poses;

typedef struct cells {
    uint8_t *state;
    int64_t size[3], stride[3];
    double origin[3], mm;
} cells;

typedef struct finder {
    const es_setup *setup;
    es_coverage *out;
    poses p;
    cells c;
    double u0, v0, u1, v1; /* of the clip, pixels */
    es_error *err;
} finder;

/* ---- poses ------------------------------------------------------------------------ */

static bool poses_add(poses *p, es_mat4 pose, double time, int64_t frame, es_error *err) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 1024;
        if (!es_resize(&p->items, capacity, sizeof *p->items, err) ||
            !es_resize(&p->times, capacity, sizeof *p->times, err) ||
            !es_resize(&p->frames, capacity, sizeof *p->frames, err))
            return false;
        p->capacity = capacity;
    }
    p->items[p->count] = pose;
    p->times[p->count] = time;
    p->frames[p->count++] = frame;
    return true;
}

static bool read_poses(finder *f, es_source *source, es_placement *placement) {
    es_frame frame = {0};
    bool end = false, ok = es_source_rewind(source, f->err);
    for (int64_t i = 0; ok; i++) {
        es_mat4 pose;
        bool placed = false;
        ok = es_source_next(source, &frame, 0, &end, f->err);
        if (!ok || end) break;
        ok = es_placement_find(placement, &frame, &pose, &placed, f->err);
        if (ok && placed && (f->setup->skip <= 1 || i % f->setup->skip == 0))
            ok = poses_add(&f->p, pose, frame.has_time ? frame.time_s : NAN, i, f->err);
    }
    es_frame_clear(&frame);
    ok = ok && es_source_rewind(source, f->err);
    if (ok && f->p.count == 0)
        ok = es_fail(f->err, ES_GEOMETRY, "no frame has a place: %s",
                     es_placement_reason(placement));
    f->out->frames = (int64_t)f->p.count;
    return ok;
}

static void find_clip(finder *f, const es_stream_info *info) {
    const es_recon_options *o = &f->setup->recon;
    f->u1 = info->width - 1.0;
    f->v1 = info->height - 1.0;
    if (!o->has_clip) return;
    f->u0 = o->clip_origin[0];
    f->v0 = o->clip_origin[1];
    f->u1 = fmin(f->u1, f->u0 + o->clip_size[0] - 1);
    f->v1 = fmin(f->v1, f->v0 + o->clip_size[1] - 1);
}

static es_vec3 middle_of(const finder *f, size_t i) {
    return es_mat4_point(f->p.items[i], es_vec3_make((f->u0 + f->u1) / 2, (f->v0 + f->v1) / 2, 0));
}

/* ---- steps between frames ------------------------------------------------------------- */

/* The largest distance of the picture's corners. */
static double step_of(const finder *f, size_t i) {
    double most = 0;
    for (int k = 0; k < 4; k++) {
        es_vec3 corner = es_vec3_make(k & 1 ? f->u1 : f->u0, k & 2 ? f->v1 : f->v0, 0);
        es_vec3 moved = es_vec3_sub(es_mat4_point(f->p.items[i], corner),
                                    es_mat4_point(f->p.items[i - 1], corner));
        most = fmax(most, es_vec3_length(moved));
    }
    return most;
}

/* Keeps the largest, largest first. */
static void keep_far(es_coverage *out, es_step_gap gap) {
    int at = out->far_count;
    if (at == ES_GAPS_MAX && out->far[--at].distance_mm >= gap.distance_mm) return;
    if (out->far_count < ES_GAPS_MAX) out->far_count++;
    for (; at > 0 && out->far[at - 1].distance_mm < gap.distance_mm; at--)
        out->far[at] = out->far[at - 1];
    out->far[at] = gap;
}

static bool judge_steps(finder *f) {
    es_coverage *out = f->out;
    size_t steps = 0, times = 0;
    double *mm = es_alloc(2 * f->p.count, sizeof *mm, f->err),
           *seconds = mm ? mm + f->p.count : NULL;
    if (!mm) return false;
    out->sweeps = 1;
    for (size_t i = 1; i < f->p.count; i++) {
        double step = step_of(f, i), dt = f->p.times[i] - f->p.times[i - 1];
        if (dt > 0) seconds[times++] = dt;
        if (step > NEW_SWEEP * out->limit_mm) {
            out->sweeps++;
            continue;
        }
        mm[steps++] = step;
        if (step <= out->limit_mm) continue;
        out->too_far++;
        keep_far(out, (es_step_gap){f->p.frames[i], f->p.times[i], step});
    }
    qsort(mm, steps, sizeof *mm, es_compare_doubles);
    qsort(seconds, times, sizeof *seconds, es_compare_doubles);
    out->steps = (int64_t)steps;
    out->step_p50_mm = steps ? mm[steps / 2] : NAN;
    out->step_p95_mm = steps ? mm[(steps - 1) * 95 / 100] : NAN;
    out->rate_hz = times ? 1 / seconds[times / 2] : NAN;
    es_free(mm);
    return true;
}

/* ---- cells ---------------------------------------------------------------------------- */

static bool make_cells(finder *f) {
    const es_recon_options *o = &f->setup->recon;
    cells *c = &f->c;
    double extent[3], volume = 1;
    for (int a = 0; a < 3; a++) {
        c->origin[a] = o->origin_mm[a] + (double)o->extent[2 * a] * o->spacing_mm[a];
        extent[a] = (double)(o->extent[2 * a + 1] - o->extent[2 * a] + 1) * o->spacing_mm[a];
        volume *= extent[a] + f->out->limit_mm;
    }
    c->mm = fmax(f->out->limit_mm, cbrt(volume / CELLS_MAX));
    f->out->coarsened = c->mm > f->out->limit_mm;
    f->out->cell_mm = c->mm;
    int64_t count = 1;
    for (int a = 0; a < 3; a++) {
        c->size[a] = 1 + (int64_t)(extent[a] / c->mm);
        c->stride[a] = count;
        count *= c->size[a];
    }
    c->state = es_alloc_zero((size_t)count, 1, f->err);
    return c->state != NULL;
}

static int64_t cell_at(const cells *c, es_vec3 p) {
    const double at[3] = {p.x, p.y, p.z};
    int64_t index = 0;
    for (int a = 0; a < 3; a++) {
        double k = floor((at[a] - c->origin[a]) / c->mm);
        if (!(k >= 0 && k < (double)c->size[a])) return -1;
        index += (int64_t)k * c->stride[a];
    }
    return index;
}

/* Samples half a cell apart over the picture. */
static void mark_frame(finder *f, es_mat4 pose) {
    const es_fan *fan = &f->setup->recon.fan;
    double du = 0.5 * f->c.mm / es_vec3_length(es_mat4_column(pose, 0));
    double dv = 0.5 * f->c.mm / es_vec3_length(es_mat4_column(pose, 1));
    for (double v = f->v0; v <= f->v1; v += dv)
        for (double u = f->u0; u <= f->u1; u += du) {
            if (fan->kind != ES_FAN_NONE && !es_fan_contains(fan, u, v)) continue;
            int64_t index = cell_at(&f->c, es_mat4_point(pose, es_vec3_make(u, v, 0)));
            if (index >= 0) f->c.state[index] |= SEEN;
        }
}

/* One line of cells along axis a: what lies between seen ones. */
static void close_line(cells *c, int64_t start, int a) {
    int64_t last = -1;
    for (int64_t k = 0; k < c->size[a]; k++) {
        int64_t index = start + k * c->stride[a];
        if (!(c->state[index] & SEEN)) continue;
        for (int64_t g = last + 1; last >= 0 && g < k; g++)
            c->state[start + g * c->stride[a]] |= GAP;
        last = k;
    }
}

static void close_lines(cells *c) {
    for (int a = 0; a < 3; a++) {
        int b = (a + 1) % 3, d = (a + 2) % 3;
        for (int64_t i = 0; i < c->size[b]; i++)
            for (int64_t j = 0; j < c->size[d]; j++)
                close_line(c, i * c->stride[b] + j * c->stride[d], a);
    }
}

/* ---- gaps ----------------------------------------------------------------------------- */

typedef struct blob {
    double count, sum[3], square[9];
} blob;

static void blob_add(blob *b, const double at[3]) {
    b->count++;
    for (int i = 0; i < 3; i++) b->sum[i] += at[i];
    for (int i = 0; i < 9; i++) b->square[i] += at[i / 3] * at[i % 3];
}

/* Neighbours across faces, from `start`; the stack holds each cell once. */
static void grow_blob(cells *c, int64_t start, int64_t *stack, blob *b) {
    size_t depth = 0;
    stack[depth++] = start;
    c->state[start] |= TAKEN;
    while (depth) {
        int64_t index = stack[--depth], at[3];
        double mm[3];
        at[2] = index / c->stride[2];
        at[1] = index % c->stride[2] / c->stride[1];
        at[0] = index % c->stride[1];
        for (int a = 0; a < 3; a++) mm[a] = c->origin[a] + ((double)at[a] + 0.5) * c->mm;
        blob_add(b, mm);
        for (int k = 0; k < 6; k++) {
            int a = k / 2, step = k & 1 ? 1 : -1;
            if (at[a] + step < 0 || at[a] + step >= c->size[a]) continue;
            int64_t next = index + step * c->stride[a];
            if (c->state[next] != GAP) continue;
            c->state[next] |= TAKEN;
            stack[depth++] = next;
        }
    }
}

/* A box of the blob's second moments: a uniform bar of length L has L^2 / 12. */
static es_gap describe(const finder *f, const blob *b) {
    double spread[9], values[3], vectors[9], n = b->count, cell = f->c.mm;
    es_gap gap = {.centre = es_vec3_make(b->sum[0] / n, b->sum[1] / n, b->sum[2] / n)};
    for (int i = 0; i < 9; i++)
        spread[i] = b->square[i] / n - b->sum[i / 3] * b->sum[i % 3] / (n * n) +
                    (i % 4 == 0 ? cell * cell / 12 : 0);
    es_eigen_symmetric(spread, 3, values, vectors);
    gap.direction = es_vec3_make(vectors[0], vectors[3], vectors[6]);
    gap.length_mm = sqrt(12 * values[0]);
    gap.width_mm = sqrt(12 * values[1]);
    gap.volume_mm3 = n * cell * cell * cell;
    gap.frames = 1 + (int64_t)ceil(gap.length_mm / f->out->limit_mm);
    double nearest = INFINITY;
    for (size_t i = 0; i < f->p.count; i++) {
        double mm = es_vec3_length(es_vec3_sub(middle_of(f, i), gap.centre));
        if (mm >= nearest) continue;
        nearest = mm;
        gap.near_frame = f->p.frames[i];
        gap.near_s = f->p.times[i];
    }
    return gap;
}

static void keep_gap(es_coverage *out, es_gap gap) {
    out->gaps_in_all++;
    int at = out->gap_count;
    if (at == ES_GAPS_MAX && out->gaps[--at].volume_mm3 >= gap.volume_mm3) return;
    if (out->gap_count < ES_GAPS_MAX) out->gap_count++;
    for (; at > 0 && out->gaps[at - 1].volume_mm3 < gap.volume_mm3; at--)
        out->gaps[at] = out->gaps[at - 1];
    out->gaps[at] = gap;
}

static bool find_gaps(finder *f) {
    cells *c = &f->c;
    es_coverage *out = f->out;
    int64_t count = c->stride[2] * c->size[2], seen = 0, gaps = 0;
    close_lines(c);
    for (int64_t i = 0; i < count; i++) {
        if (c->state[i] & SEEN) c->state[i] = SEEN;
        seen += c->state[i] == SEEN;
        gaps += c->state[i] == GAP;
    }
    double cell = c->mm * c->mm * c->mm;
    out->seen_mm3 = (double)seen * cell;
    out->gaps_mm3 = (double)gaps * cell;
    out->share = (double)seen / (double)(seen + gaps);
    int64_t *stack = es_alloc((size_t)gaps + 1, sizeof *stack, f->err);
    if (!stack) return false;
    for (int64_t i = 0; i < count; i++) {
        blob b = {0};
        if (c->state[i] != GAP) continue;
        grow_blob(c, i, stack, &b);
        if (b.count >= LEAST_CELLS) keep_gap(out, describe(f, &b));
    }
    es_free(stack);
    return true;
}

bool es_coverage_find(es_source *source, const es_setup *setup, es_placement *placement,
                      double voxel_mm, es_coverage *coverage, es_error *err) {
    *coverage = (es_coverage){.limit_mm = VOXELS_APART * voxel_mm};
    if (!(voxel_mm > 0) || !isfinite(voxel_mm))
        return es_fail(err, ES_USAGE, "the voxel is %g mm; it must be above 0", voxel_mm);
    finder f = {.setup = setup, .out = coverage, .err = err};
    find_clip(&f, es_source_info(source));
    bool ok = read_poses(&f, source, placement) && judge_steps(&f) && make_cells(&f);
    for (size_t i = 0; ok && i < f.p.count; i++) mark_frame(&f, f.p.items[i]);
    ok = ok && find_gaps(&f);
    es_free(f.c.state);
    es_free(f.p.items);
    es_free(f.p.times);
    es_free(f.p.frames);
    return ok;
}
