/* How well pictures of different passes agree.
 *
 * A place of picture i lies at x in the reference. Where x falls between two
 * neighbouring pictures j and j + 1 of another pass, the grey value there is
 * read from both (bilinear in the picture) and mixed by the distances from
 * their planes. The difference to picture i is the residual. Of a surface,
 * where x lies on it in picture i, how far it is under x is read from both and
 * mixed; times the cosine to its normal that is the residual, in mm. The
 * derivative is exact for all parameters, because x moves in i and in j alike:
 *
 *     q = B m + b,  dq = B (w x m + s m + d) - w x q - s q - d
 *
 * with m, q the places in i and j (mm, image axes), B the turn from i to j,
 * and w, d, s the changes of ImageToProbe in the image's own axes. A turn and
 * a shift that both pictures share drop out (B = 1): that is why passes must
 * be held differently. */
#include <math.h>
#include <string.h>

#include "self.h"

enum { MOST_LOOKUPS = 8, LEAST_LOOKUPS = 200 };

typedef struct lookup {
    es_vec3 m, q[2];               /* the place in the sample's picture and in the two */
    double value[2], du[2], dv[2]; /* grey, or mm, and slope per mm */
    uint32_t frame[2];
    double mix;    /* share of the second */
    double cosine; /* of a surface to the beam; 1 for greys */
} lookup;

int self_block(const self_fit *fit, size_t frame) {
    return (int)(frame * SELF_BLOCKS / fit->pictures->count);
}

int self_pair(int a, int b) {
    int low = a < b ? a : b, high = a < b ? b : a;
    return high * (high + 1) / 2 + low;
}

/* ---- places --------------------------------------------------------------------- */

static es_mat4 rigid_back(es_mat4 m) {
    es_mat4 r = {{m.m[0], m.m[4], m.m[8], 0, m.m[1], m.m[5], m.m[9], 0, m.m[2], m.m[6], m.m[10], 0,
                  0, 0, 0, 1}};
    es_vec3 t = es_mat4_vector(r, es_mat4_column(m, 3));
    r.m[3] = -t.x, r.m[7] = -t.y, r.m[11] = -t.z;
    return r;
}

/* How the picture moves when the lag grows, from the poses around. */
static void find_rates(const self_fit *fit, const es_mat4 *image, double time_s, self_place *p) {
    const double step = 0.02;
    es_mat4 before, after;
    double gap = fit->options->max_gap_s;
    p->turning = p->moving = es_vec3_make(0, 0, 0);
    if (!es_pose_track_at(fit->poses, time_s - step, gap, &before, NULL) ||
        !es_pose_track_at(fit->poses, time_s + step, gap, &after, NULL))
        return;
    es_mat4 change = es_mat4_multiply(rigid_back(es_mat4_multiply(before, *image)),
                                      es_mat4_multiply(after, *image));
    p->turning = es_vec3_scale(es_mat4_turn(change), 0.5 / step);
    p->moving = es_vec3_scale(es_mat4_column(change, 3), 0.5 / step);
}

static void place_all(self_fit *fit, const self_state *state, bool rates) {
    es_mat4 image = self_pose(state), pose;
    for (size_t f = 0; f < fit->pictures->count; f++) {
        self_place *p = &fit->places[f];
        double time_s = fit->pictures->times_s[f] + state->lag;
        p->valid = es_pose_track_at(fit->poses, time_s, fit->options->max_gap_s, &pose, NULL);
        fit->planes[f] = (self_plane){NAN, NAN, NAN, NAN};
        if (!p->valid) continue;
        p->image = es_mat4_multiply(pose, image);
        p->back = rigid_back(p->image);
        if (rates) find_rates(fit, &image, time_s, p);
        const double *b = p->back.m;
        fit->planes[f] = (self_plane){b[8], b[9], b[10], b[11]};
    }
}

/* ---- what the pictures show -------------------------------------------------------- */

typedef struct cell {
    double u, v, mm_u, mm_v; /* cells; mm per cell */
} cell;

static double cell_offset(const es_self_pictures *p) { return 0.5 * (p->cell_px - 1) / p->cell_px; }

static cell cell_at(const self_fit *fit, const self_state *state, es_vec3 q) {
    const es_self_pictures *p = fit->pictures;
    cell c = {.mm_u = state->scale[0] * p->cell_px, .mm_v = state->scale[1] * p->cell_px};
    c.u = q.x / c.mm_u - cell_offset(p), c.v = q.y / c.mm_v - cell_offset(p);
    return c;
}

/* Bilinear; false outside of the echoes. */
static bool read_grey(const self_fit *fit, const cell *at, lookup *l, int side) {
    const es_self_pictures *p = fit->pictures;
    if (!(at->u >= 0 && at->v >= 0 && at->u < p->width - 1 && at->v < p->height - 1)) return false;
    size_t x = (size_t)at->u, y = (size_t)at->v, k = y * p->width + x;
    double s = at->u - (double)x, t = at->v - (double)y;
    if (!(fit->lit[k] && fit->lit[k + 1] && fit->lit[k + p->width] && fit->lit[k + p->width + 1]))
        return false;
    const float *g = fit->level + l->frame[side] * (size_t)p->width * p->height + k;
    double a = g[0], b = g[1], c = g[p->width], d = g[p->width + 1];
    l->value[side] = (1 - t) * ((1 - s) * a + s * b) + t * ((1 - s) * c + s * d);
    l->du[side] = ((1 - t) * (b - a) + t * (d - c)) / at->mm_u;
    l->dv[side] = ((1 - s) * (c - a) + s * (d - b)) / at->mm_v;
    return true;
}

/* How far the surface is below, mm; false where there is none. */
static bool read_depth(const self_fit *fit, const cell *at, lookup *l, int side) {
    const double step = 3; /* rows from one column to the next: no surface goes on */
    const es_self_pictures *p = fit->pictures;
    if (!(at->u >= 0 && at->u < p->width - 1)) return false;
    size_t x = (size_t)at->u;
    double s = at->u - (double)x;
    const self_crest *c = fit->crests + l->frame[side] * (size_t)p->width + x;
    if (!(fabsf(c[1].row - c[0].row) < step)) return false; /* also where it is not seen */
    l->value[side] = ((1 - s) * c[0].row + s * c[1].row - at->v) * at->mm_v;
    l->du[side] = ((1 - s) * c[0].slope + s * c[1].slope) * at->mm_v / at->mm_u;
    l->dv[side] = -1;
    return fabs(l->value[side]) < fit->reach_mm;
}

/* ---- derivatives ------------------------------------------------------------------- */

static es_vec3 turned(const self_place *i, const self_place *j, es_vec3 v) {
    return es_mat4_vector(j->back, es_mat4_vector(i->image, v));
}

/* dq of one of the two pictures by every parameter kind. */
static void move_place(const self_place *i, const self_place *j, es_vec3 m, es_vec3 q,
                       es_vec3 d[SELF_PARAMETERS]) {
    es_vec3 b[3];
    for (int k = 0; k < 3; k++) b[k] = turned(i, j, es_vec3_make(k == 0, k == 1, k == 2));
    d[0] = es_vec3_sub(es_vec3_scale(b[2], m.y), es_vec3_make(0, -q.z, q.y));
    d[1] = es_vec3_sub(es_vec3_scale(b[2], -m.x), es_vec3_make(q.z, 0, -q.x));
    d[2] = es_vec3_add(es_vec3_scale(b[0], -m.y), es_vec3_scale(b[1], m.x));
    d[2] = es_vec3_sub(d[2], es_vec3_make(-q.y, q.x, 0));
    for (int k = 0; k < 3; k++)
        d[SELF_SHIFT + k] = es_vec3_sub(b[k], es_vec3_make(k == 0, k == 1, k == 2));
    d[SELF_SCALE_U] = es_vec3_sub(es_vec3_scale(b[0], m.x), es_vec3_make(q.x, 0, 0));
    d[SELF_SCALE_V] = es_vec3_sub(es_vec3_scale(b[1], m.y), es_vec3_make(0, q.y, 0));
    es_vec3 here = es_vec3_add(es_vec3_cross(i->turning, m), i->moving);
    es_vec3 there = es_vec3_add(es_vec3_cross(j->turning, q), j->moving);
    d[SELF_LAG] = es_vec3_sub(turned(i, j, here), there);
}

static void derive(const self_fit *fit, const lookup *l, uint32_t frame,
                   double j[SELF_PARAMETERS]) {
    es_vec3 d[2][SELF_PARAMETERS];
    const self_place *places = fit->places;
    double thick = l->q[0].z - l->q[1].z;
    for (int side = 0; side < 2; side++)
        move_place(&places[frame], &places[l->frame[side]], l->m, l->q[side], d[side]);
    double all[SELF_PARAMETERS];
    for (int k = 0; k < SELF_PARAMETERS; k++) {
        double mix = (d[0][k].z * thick - l->q[0].z * (d[0][k].z - d[1][k].z)) / (thick * thick);
        double first = l->du[0] * d[0][k].x + l->dv[0] * d[0][k].y;
        double second = l->du[1] * d[1][k].x + l->dv[1] * d[1][k].y;
        all[k] = (1 - l->mix) * first + l->mix * second + (l->value[1] - l->value[0]) * mix;
    }
    if (fit->options->isotropic) all[SELF_SCALE_U] += all[SELF_SCALE_V];
    for (int k = 0; k < self_parameter_count(fit); k++) j[k] = l->cosine * all[self_kind(fit, k)];
}

/* ---- lookups -------------------------------------------------------------------------- */

/* Cauchy's. */
static double robust_loss(double r, double soft2) { return soft2 * log1p(r * r / soft2); }

/* The mean loss of a surface that lies anywhere within reach. */
static double loss_of_chance(const self_fit *fit) {
    double x = fit->reach_mm / fit->soft;
    return fit->soft * fit->soft * (log1p(x * x) - 2 + 2 * atan(x) / x);
}

static void add_lookup(const self_fit *fit, const self_sample *sample, const lookup *l, bool slopes,
                       self_view *view) {
    bool grey = fit->channel == SELF_GREY;
    double a = sample->grey, b = l->cosine * ((1 - l->mix) * l->value[0] + l->mix * l->value[1]);
    double r = b - a, soft = fit->soft * fit->soft, weight = 1 / (1 + r * r / soft);
    double alone = grey ? 1 / (1 + b * b / soft) : 0, j[SELF_PARAMETERS];
    self_sums *s =
        &view->pairs[self_pair(self_block(fit, sample->frame), self_block(fit, l->frame[0]))];
    s->n++;
    s->loss += robust_loss(r, soft);
    s->blank += grey ? robust_loss(a, soft) + robust_loss(b, soft) : fit->chance;
    s->aa += a * a, s->bb += b * b, s->ab += a * b;
    if (!slopes) return;
    derive(fit, l, sample->frame, j);
    int n = self_parameter_count(fit);
    for (int row = 0; row < n; row++) {
        s->slope[row] += weight * j[row] * r;
        s->blank_slope[row] += alone * j[row] * b;
        for (int c = 0; c <= row; c++) s->normal[row * n + c] += weight * j[row] * j[c];
    }
}

static es_vec3 place_of(const self_fit *fit, const self_state *state, const self_sample *sample) {
    const es_self_pictures *p = fit->pictures;
    double off = cell_offset(p);
    return es_vec3_make(state->scale[0] * p->cell_px * (sample->u + off),
                        state->scale[1] * p->cell_px * (sample->v + off), 0);
}

static double height_over(const self_plane *p, es_vec3 x) {
    return p->x * x.x + p->y * x.y + p->z * x.z + p->off;
}

/* Neighbours in time look alike wherever they lie. */
static bool is_other_pass(const self_fit *fit, size_t i, size_t j) {
    size_t apart = i > j ? i - j : j - i, least = fit->pictures->count / 25;
    return apart > (least > 5 ? least : 5);
}

static bool look_between(const self_fit *fit, const self_state *state, es_vec3 x, size_t j,
                         lookup *l) {
    for (int side = 0; side < 2; side++) {
        l->frame[side] = (uint32_t)(j + (size_t)side);
        l->q[side] = es_mat4_point(fit->places[j + (size_t)side].back, x);
        cell at = cell_at(fit, state, l->q[side]);
        if (!(fit->channel == SELF_GREY ? read_grey : read_depth)(fit, &at, l, side)) return false;
    }
    double thick = l->q[0].z - l->q[1].z;
    l->mix = l->q[0].z / thick;
    l->cosine = 1;
    if (fit->channel == SELF_SURFACE) {
        double along = (1 - l->mix) * l->du[0] + l->mix * l->du[1];
        double across = (l->value[1] - l->value[0]) / thick;
        l->cosine = 1 / sqrt(1 + along * along + across * across);
    }
    return fabs(thick) < fit->gap_mm;
}

static void look_up(const self_fit *fit, const self_state *state, const self_sample *sample,
                    bool slopes, self_view *view) {
    const self_place *own = &fit->places[sample->frame];
    if (!own->valid) return;
    lookup l = {.m = place_of(fit, state, sample)};
    es_vec3 x = es_mat4_point(own->image, l.m);
    size_t count = fit->pictures->count,
           start = (sample->frame * 7919U + (size_t)(sample->u + 131 * sample->v) * 31U) % count;
    double before = NAN;
    int found = 0;
    /* begun anywhere, so that all passes are asked alike */
    for (size_t k = 0; k <= count && found < MOST_LOOKUPS; k++) {
        size_t j = start + k < count ? start + k : start + k - count;
        double height = height_over(&fit->planes[j], x);
        bool between = before * height < 0 && fabs(before - height) < fit->gap_mm * 1.5;
        before = height;
        if (!between || j == 0 || !is_other_pass(fit, sample->frame, j) ||
            !look_between(fit, state, x, j - 1, &l))
            continue;
        add_lookup(fit, sample, &l, slopes, view);
        found++;
    }
    view->found += found > 0;
}

void self_look(self_fit *fit, const self_state *state, bool slopes, self_view *view) {
    memset(view, 0, sizeof *view);
    place_all(fit, state, slopes && fit->options->lag_free);
    fit->chance = loss_of_chance(fit);
    for (size_t k = 0; k < fit->sample_count; k++)
        look_up(fit, state, &fit->samples[k], slopes, view);
}

/* ---- sums ------------------------------------------------------------------------------- */

void self_total(const self_view *view, int without, self_sums *total) {
    memset(total, 0, sizeof *total);
    double *sum = (double *)total;
    for (int high = 0; high < SELF_BLOCKS; high++)
        for (int low = 0; low <= high; low++) {
            if (high == without || low == without) continue;
            const double *one = (const double *)&view->pairs[self_pair(low, high)];
            for (size_t k = 0; k < sizeof *total / sizeof *sum; k++) sum[k] += one[k];
        }
}

double self_agreement(const self_fit *fit, const self_sums *s) {
    if (fit->channel == SELF_SURFACE) return s->n > 2 && s->blank > 0 ? 1 - s->loss / s->blank : 0;
    return s->aa > 0 && s->bb > 0 ? s->ab / sqrt(s->aa * s->bb) : 0;
}

double self_misfit(const self_sums *s) {
    return s->n >= LEAST_LOOKUPS && s->blank > 0 ? s->loss / s->blank : INFINITY;
}
