/* The signed distance to bone along the beams, by brick and by voxel.
 *
 * Each voxel near a frame's plane asks: between which two scan lines am I, how
 * deep, and where is the bone there? So every voxel of the plane gets exactly
 * one sample per frame, however the lines fall on the lattice; voxels off the
 * plane count less, to nothing at one slice thickness. As in volume.c, a brick
 * is a task: one writer, frames in order. */
#include <math.h>
#include <string.h>

#include "recon_internal.h"

/* A scan line in the frame's own plane, in mm; (dx, dy) per mm of the trace. */
typedef struct beam {
    double x, y, dx, dy;
    double scale; /* length of (dx, dy): 1 when trace and matrix agree on the mm */
    bool found;
    double depth, cosine, confidence;
    uint32_t from; /* its direction, seen.c */
} beam;

/* A frame made ready. In-plane coordinates and elevation of a voxel are
 * at + step[axis] * (voxel - base)[axis]. */
typedef struct sheet {
    placed frame; /* of the rectangle 0..width, 0..height mm that the hits reach */
    pixel_box area;
    es_vec3 at, step[3]; /* x, y: in the plane; z: elevation */
    double side;         /* +1 or -1: on which side of a line the next one lies */
    double half_mm;      /* elevation at which the weight is 0 */
    beam *beams;
    size_t count, capacity;
    uint64_t hits;
} sheet;

/* ---- life -------------------------------------------------------------------------- */

static bool check_distance_options(const es_distance_options *o, es_error *err) {
    if (!check_lattice(o->origin_mm, o->spacing_mm, err)) return false;
    if (!(o->truncation_mm > 0) || !isfinite(o->truncation_mm))
        return es_fail(err, ES_USAGE, "truncation %g mm: expected a number above 0",
                       o->truncation_mm);
    if (!(o->slice_thickness_mm >= 0) || !isfinite(o->slice_thickness_mm))
        return es_fail(err, ES_USAGE, "slice thickness %g mm: expected 0 or more",
                       o->slice_thickness_mm);
    if (!(o->min_cos > 0 && o->min_cos < 1))
        return es_fail(err, ES_USAGE, "least cosine of incidence %g: expected between 0 and 1",
                       o->min_cos);
    return true;
}

es_distance *es_distance_new(const es_distance_options *options, es_pool *pool, es_error *err) {
    if (!check_distance_options(options, err)) return NULL;
    es_distance *distance = es_alloc_zero(1, sizeof *distance, err);
    if (!distance) return NULL;
    distance->options = *options;
    distance->pool = pool;
    distance->sheets = es_alloc_zero(BATCH, sizeof *distance->sheets, err);
    if (!distance->sheets || !store_init(&distance->store, ES_BRICK_VOXELS * sizeof(distance_voxel),
                                         options->memory_limit, err)) {
        es_distance_free(distance);
        return NULL;
    }
    return distance;
}

void es_distance_free(es_distance *distance) {
    if (!distance) return;
    for (size_t f = 0; distance->sheets && f < BATCH; f++) es_free(distance->sheets[f].beams);
    es_free(distance->sheets);
    store_clear(&distance->store);
    es_free(distance);
}

const es_distance_options *es_distance_get_options(const es_distance *distance) {
    return &distance->options;
}

es_volume_stats es_distance_statistics(const es_distance *distance) {
    es_volume_stats stats = distance->stats;
    stats.bricks = distance->store.settled;
    stats.bytes = store_bytes(&distance->store);
    stats.undo_bytes = store_undo_bytes(&distance->store);
    return stats;
}

/* ---- a trace made ready --------------------------------------------------------------- */

typedef struct plane {
    es_vec3 origin, x, y, normal; /* unit axes in reference mm */
} plane;

static bool make_plane(const es_mat4 *m, plane *p, es_error *err) {
    es_vec3 u = es_mat4_column(*m, 0), v = es_mat4_column(*m, 1);
    p->x = es_vec3_unit(u);
    p->normal = es_vec3_unit(es_vec3_cross(u, v));
    p->y = es_vec3_cross(p->normal, p->x);
    p->origin = es_mat4_column(*m, 3);
    return check_matrix(m, err);
}

static beam make_beam(const es_scan_line *line, const es_mat4 *m, const plane *p, double min_cos) {
    es_vec3 from = es_vec3_sub(es_mat4_point(*m, es_vec3_make(line->u, line->v, 0)), p->origin);
    es_vec3 along = es_mat4_vector(*m, es_vec3_make(line->du, line->dv, 0));
    beam b = {.x = es_vec3_dot(from, p->x),
              .y = es_vec3_dot(from, p->y),
              .dx = es_vec3_dot(along, p->x),
              .dy = es_vec3_dot(along, p->y),
              .from = seen_from(es_vec3_unit(along))};
    b.scale = hypot(b.dx, b.dy);
    b.depth = line->depth_mm;
    b.cosine = fmin((double)line->cos_incidence, 1);
    b.confidence = fmin((double)line->confidence, 1);
    b.found = line->found && b.depth >= 0 && isfinite(b.depth) && b.cosine >= min_cos &&
              b.confidence > 0 && b.scale > 0;
    return b;
}

/* Moves the plane's origin and the beams so that all that the hits reach lies
 * in 0..width, 0..height. */
static void fit_area(sheet *s, plane *p, double truncation_mm) {
    double low_x = INFINITY, low_y = INFINITY, high_x = -INFINITY, high_y = -INFINITY;
    for (size_t i = 0; i < s->count; i++) {
        const beam *b = &s->beams[i];
        if (!b->found) continue;
        double end = b->depth + truncation_mm / (b->cosine * b->scale);
        low_x = fmin(low_x, fmin(b->x, b->x + end * b->dx));
        high_x = fmax(high_x, fmax(b->x, b->x + end * b->dx));
        low_y = fmin(low_y, fmin(b->y, b->y + end * b->dy));
        high_y = fmax(high_y, fmax(b->y, b->y + end * b->dy));
    }
    /* A hit speaks for up to the next line on either side. */
    double margin = 0;
    for (size_t i = 0; i + 1 < s->count; i++)
        margin = fmax(margin,
                      hypot(s->beams[i + 1].x - s->beams[i].x, s->beams[i + 1].y - s->beams[i].y));
    low_x -= margin;
    low_y -= margin;
    for (size_t i = 0; i < s->count; i++) {
        s->beams[i].x -= low_x;
        s->beams[i].y -= low_y;
    }
    p->origin =
        es_vec3_add(p->origin, es_vec3_add(es_vec3_scale(p->x, low_x), es_vec3_scale(p->y, low_y)));
    s->area = (pixel_box){0, (uint32_t)fmin(high_x - low_x + margin + 1, 1e9), 0,
                          (uint32_t)fmin(high_y - low_y + margin + 1, 1e9)};
}

static bool place_sheet(sheet *s, const plane *p, const es_distance_options *o, es_error *err) {
    es_mat4 to_reference = {{p->x.x, p->y.x, p->normal.x, p->origin.x, p->x.y, p->y.y, p->normal.y,
                             p->origin.y, p->x.z, p->y.z, p->normal.z, p->origin.z, 0, 0, 0, 1}};
    if (!place_frame(&to_reference, o->origin_mm, o->spacing_mm, 0, s->area, &s->frame, err))
        return false;
    double base_mm[3];
    for (int a = 0; a < 3; a++)
        base_mm[a] = o->origin_mm[a] + o->spacing_mm[a] * (double)s->frame.base[a];
    es_vec3 from = es_vec3_sub(es_vec3_make(base_mm[0], base_mm[1], base_mm[2]), p->origin);
    s->at = es_vec3_make(es_vec3_dot(from, p->x), es_vec3_dot(from, p->y),
                         es_vec3_dot(from, p->normal));
    s->step[0] = es_vec3_scale(es_vec3_make(p->x.x, p->y.x, p->normal.x), o->spacing_mm[0]);
    s->step[1] = es_vec3_scale(es_vec3_make(p->x.y, p->y.y, p->normal.y), o->spacing_mm[1]);
    s->step[2] = es_vec3_scale(es_vec3_make(p->x.z, p->y.z, p->normal.z), o->spacing_mm[2]);
    s->half_mm = o->slice_thickness_mm;
    if (s->half_mm == 0)
        s->half_mm = es_vec3_length(es_vec3_make(s->step[0].z, s->step[1].z, s->step[2].z));
    return true;
}

/* How far the point lies to one side of a line, times the line's scale. */
static double side_of(const beam *b, double x, double y) {
    return b->dx * (y - b->y) - b->dy * (x - b->x);
}

static bool make_sheet(sheet *s, const es_trace *trace, const es_mat4 *m,
                       const es_distance_options *o, es_error *err) {
    plane p;
    s->hits = 0;
    s->count = 0;
    if (!make_plane(m, &p, err)) return false;
    if (trace->count < 2) return true;
    if (trace->count > s->capacity) {
        if (!es_resize(&s->beams, trace->count, sizeof *s->beams, err)) return false;
        s->capacity = trace->count;
    }
    s->count = trace->count;
    for (size_t i = 0; i < s->count; i++) {
        s->beams[i] = make_beam(&trace->lines[i], m, &p, o->min_cos);
        s->hits += s->beams[i].found;
    }
    if (s->hits == 0) return true;
    fit_area(s, &p, o->truncation_mm);
    const beam *end = &s->beams[s->count - 1];
    double middle = trace->lines[s->count - 1].length_mm / 2;
    s->side =
        side_of(&s->beams[0], end->x + middle * end->dx, end->y + middle * end->dy) < 0 ? -1 : 1;
    return place_sheet(s, &p, o, err);
}

/* ---- one voxel ---------------------------------------------------------------------------- */

/* The line i such that the point lies between i and i + 1. */
static bool find_line(const sheet *s, double x, double y, size_t *line) {
    size_t low = 0, high = s->count - 1;
    if (s->side * side_of(&s->beams[low], x, y) < 0) return false;
    if (s->side * side_of(&s->beams[high], x, y) > 0) return false;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->side * side_of(&s->beams[middle], x, y) >= 0)
            low = middle;
        else
            high = middle;
    }
    *line = low;
    return true;
}

static double depth_of(const beam *b, double x, double y) {
    return ((x - b->x) * b->dx + (y - b->y) * b->dy) / (b->scale * b->scale);
}

/* Two hits belong to one surface unless its slope between them would be
 * steeper than any that is accepted. */
static bool same_surface(const beam *a, const beam *b, double gap_mm,
                         const es_distance_options *o) {
    double steepest = sqrt(1 - o->min_cos * o->min_cos) / o->min_cos;
    return fabs(a->depth - b->depth) * a->scale <= fmax(steepest * gap_mm, o->truncation_mm);
}

static beam between(const beam *a, const beam *b, double t) {
    beam mixed = *a;
    if (t >= 0.5) mixed.from = b->from;
    mixed.depth += t * (b->depth - a->depth);
    mixed.cosine += t * (b->cosine - a->cosine);
    mixed.confidence += t * (b->confidence - a->confidence);
    mixed.scale += t * (b->scale - a->scale);
    return mixed;
}

static double plateau(double d, double truncation) {
    if (d > truncation) return 0.1;
    if (d >= -0.6 * truncation) return 1;
    return d > -truncation ? (d + truncation) / (0.4 * truncation) : 0;
}

/* The sample of a frame at a point of its plane; weight 0: none. */
static distance_voxel sample(const sheet *s, const es_distance_options *o, double x, double y) {
    const distance_voxel nothing = {0, 0, 0};
    size_t i;
    if (!find_line(s, x, y, &i)) return nothing;
    const beam *a = &s->beams[i], *b = &s->beams[i + 1];
    if (!a->found && !b->found) return nothing;
    double to_a = fabs(side_of(a, x, y)) / a->scale, to_b = fabs(side_of(b, x, y)) / b->scale;
    double t = to_a + to_b > 0 ? to_a / (to_a + to_b) : 0;
    beam hit = t < 0.5 ? *a : *b;
    if (a->found && b->found && same_surface(a, b, to_a + to_b, o)) hit = between(a, b, t);
    double depth = (1 - t) * depth_of(a, x, y) + t * depth_of(b, x, y);
    if (!hit.found || !(depth >= 0)) return nothing;
    double d = (hit.depth - depth) * hit.scale * hit.cosine;
    double weight = hit.confidence * hit.cosine * hit.cosine * plateau(d, o->truncation_mm);
    d = fmin(d, o->truncation_mm);
    return (distance_voxel){(float)(weight * d), (float)weight, hit.from};
}

/* ---- one brick ----------------------------------------------------------------------------- */

/* Voxels 0..15 of a row whose elevation is inside the slice. */
static bool row_in_slice(const sheet *s, double elevation, int *first, int *last) {
    double step = s->step[0].z, low = -s->half_mm - elevation, high = s->half_mm - elevation;
    *first = 0;
    *last = ES_BRICK - 1;
    if (fabs(step) < 1e-9) return low <= 0 && high >= 0;
    double from = step > 0 ? low / step : high / step, to = step > 0 ? high / step : low / step;
    if (from > ES_BRICK || to < -1) return false;
    if (from > 0) *first = (int)from;
    if (to < ES_BRICK - 1) *last = (int)ceil(to);
    return true;
}

/* Adds the frame to the brick's voxels; without voxels, only says whether it
 * would add anything. */
static bool add_sheet(const sheet *s, const es_distance_options *o, const int32_t at[3],
                      distance_voxel *voxels) {
    bool any = false;
    double corner[3];
    for (int a = 0; a < 3; a++) corner[a] = (double)((int64_t)at[a] * ES_BRICK - s->frame.base[a]);
    es_vec3 origin = es_vec3_add(s->at, es_vec3_scale(s->step[0], corner[0]));
    for (int row = 0; row < ES_BRICK * ES_BRICK; row++) {
        double y = corner[1] + row % ES_BRICK, z = corner[2] + row / ES_BRICK;
        es_vec3 start = es_vec3_add(
            origin, es_vec3_add(es_vec3_scale(s->step[1], y), es_vec3_scale(s->step[2], z)));
        int x, last;
        if (!row_in_slice(s, start.z, &x, &last)) continue;
        for (; x <= last; x++) {
            es_vec3 p = es_vec3_add(start, es_vec3_scale(s->step[0], x));
            double slice = 1 - fabs(p.z) / s->half_mm;
            if (slice <= 0 || p.x < 0 || p.x > s->area.u1 || p.y < 0 || p.y > s->area.v1) continue;
            distance_voxel add = sample(s, o, p.x, p.y);
            if (add.weight <= 0) continue;
            any = true;
            if (!voxels) return true;
            distance_voxel *to = &voxels[x + ES_BRICK * row];
            to->weighted += add.weighted * (float)slice;
            to->weight += add.weight * (float)slice;
            to->seen = seen_add(to->seen, add.seen);
        }
    }
    return any;
}

static void verify_brick(void *context, size_t index, int worker) {
    es_distance *distance = context;
    cell *c = &distance->store.cells[distance->store.touched[index]];
    (void)worker;
    for (int f = 0; f < BATCH; f++)
        if (c->frames >> f & 1 && !add_sheet(&distance->sheets[f], &distance->options, c->at, NULL))
            c->frames &= ~((uint64_t)1 << f);
}

static void insert_brick(void *context, size_t index, int worker) {
    es_distance *distance = context;
    cell *c = &distance->store.cells[distance->store.touched[index]];
    (void)worker;
    for (int f = 0; f < BATCH; f++)
        if (c->frames >> f & 1)
            add_sheet(&distance->sheets[f], &distance->options, c->at, c->state);
}

/* ---- batches ----------------------------------------------------------------------------------
 */

typedef struct toucher {
    es_distance *distance;
    int number;
} toucher;

static bool touch_brick(void *context, const int32_t at[3], es_error *err) {
    toucher *t = context;
    store *s = &t->distance->store;
    if (store_hopeless(s)) return store_settle(s, t->distance->options.spacing_mm, err);
    return store_touch(s, at, t->number, err);
}

static bool touch_sheet(es_distance *distance, int number, es_error *err) {
    const sheet *s = &distance->sheets[number];
    if (s->hits == 0) return true;
    const double *spacing = distance->options.spacing_mm;
    double reach = s->half_mm / fmin(spacing[0], fmin(spacing[1], spacing[2]));
    toucher t = {distance, number};
    return visit_bricks(&s->frame, s->area, reach, touch_brick, &t, err);
}

static bool make_batch(es_distance *distance, const es_trace *const *traces,
                       const es_mat4 *matrices, size_t count, es_error *err) {
    for (size_t f = 0; f < count; f++)
        if (!make_sheet(&distance->sheets[f], traces[f], &matrices[f], &distance->options, err) ||
            !touch_sheet(distance, (int)f, err))
            return es_prefix(err, "frame %llu", (unsigned long long)(distance->stats.frames + f));
    es_pool_run(distance->pool, distance->store.touched_count, verify_brick, distance);
    store_drop_idle(&distance->store);
    if (!store_settle(&distance->store, distance->options.spacing_mm, err)) return false;
    store_save(&distance->store);
    return true;
}

static void stamp_batch(es_distance *distance) {
    store *s = &distance->store;
    distance->batches++;
    for (size_t i = 0; i < s->touched_count; i++) s->cells[s->touched[i]].stamp = distance->batches;
}

static bool insert_batch(es_distance *distance, const es_trace *const *traces,
                         const es_mat4 *matrices, size_t count, es_error *err) {
    bool ok = !es_cancelled(err) && make_batch(distance, traces, matrices, count, err);
    if (ok) {
        es_pool_run(distance->pool, distance->store.touched_count, insert_brick, distance);
        stamp_batch(distance);
    }
    store_end_batch(&distance->store);
    if (!ok) return false;
    for (size_t f = 0; f < count; f++) distance->stats.pixels_inserted += distance->sheets[f].hits;
    distance->stats.frames += count;
    return true;
}

bool es_distance_insert(es_distance *distance, const es_trace *const *traces,
                        const es_mat4 *image_to_reference, size_t count, es_error *err) {
    const double start_s = es_clock_s();
    bool ok = true;
    for (size_t f = 0; ok && f < count; f += BATCH)
        ok = insert_batch(distance, traces + f, image_to_reference + f,
                          count - f < BATCH ? count - f : BATCH, err);
    distance->stats.insert_s += es_clock_s() - start_s;
    return ok;
}

/* ---- back ----------------------------------------------------------------------------------- */

void es_distance_checkpoint(es_distance *distance, const es_undo_limit *limit) {
    store_checkpoint(&distance->store, limit, &distance->stats);
}

size_t es_distance_checkpoints(const es_distance *distance) { return distance->store.log.count; }

bool es_distance_undo(es_distance *distance, size_t steps) {
    if (!store_undo(&distance->store, steps, &distance->stats)) return false;
    distance->undos += steps > 0;
    return true;
}
