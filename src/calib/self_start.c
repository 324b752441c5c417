/* Where to begin without an ImageToProbe.
 *
 * From one picture to the next the echoes move as the probe does: a point at y
 * in the probe's axes, when the probe turns by w and moves by v, goes by
 *
 *     -(r . v + w . (y x r)) / scale
 *
 * along the picture's axis r. So the drift of the pictures (phase correlation)
 * tells the axes, the scale and the place of their middle, roughly: what comes
 * out of the picture's plane is mistaken for a drift as well. The fit begins
 * with the picture's axes along those of the marker, in all 24 ways. */
#include <math.h>
#include <string.h>

#include "self.h"

enum { WAYS = 24, UNKNOWNS = 7, LEAST_DRIFTS = 20 };
static const double LENGTH = 100; /* mm: unit of places in the fit */

/* Between two neighbours. */
typedef struct drift {
    double px[2], weight;
    es_vec3 turn, move; /* of the probe, in its own axes */
} drift;

typedef struct drifts {
    drift *items;
    size_t count;
    es_mat4 way;
    double spacing_mm; /* 0: found */
} drifts;

/* ---- drifts --------------------------------------------------------------------- */

static uint32_t window_size(const es_self_pictures *p) {
    uint32_t shorter = p->width < p->height ? p->width : p->height, size = 16;
    while (2 * size <= shorter) size *= 2;
    return size;
}

static bool probe_motion(const self_fit *fit, size_t f, double lag, drift *d) {
    es_mat4 a, b, back;
    const double *t = fit->pictures->times_s;
    if (!es_pose_track_at(fit->poses, t[f] + lag, fit->options->max_gap_s, &a, NULL) ||
        !es_pose_track_at(fit->poses, t[f + 1] + lag, fit->options->max_gap_s, &b, NULL) ||
        !es_mat4_invert(a, &back, NULL))
        return false;
    es_mat4 step = es_mat4_multiply(back, b);
    d->turn = es_mat4_turn(step);
    d->move = es_mat4_column(step, 3);
    return es_vec3_length(d->move) < 10 && es_vec3_length(d->turn) < 0.2;
}

/* The middle of the window, pixels. */
static void window_middle(const es_self_pictures *p, double px[2]) {
    px[0] = 0.5 * p->width * p->cell_px;
    px[1] = 0.5 * p->height * p->cell_px;
}

static bool measure(const self_fit *fit, drifts *all, es_error *err) {
    const es_self_pictures *p = fit->pictures;
    uint32_t size = window_size(p);
    size_t cells = (size_t)p->width * p->height;
    es_flow_plan *plan = es_flow_plan_new(size, err);
    if (!plan) return false;
    bool ok = true;
    for (size_t f = 0; ok && f + 1 < p->count; f++) {
        drift d;
        es_shift shift;
        es_image a = {.type = ES_F32, .channels = 1, .width = p->width, .height = p->height};
        es_image b = a;
        a.data = fit->level + f * cells, b.data = fit->level + (f + 1) * cells;
        if (!probe_motion(fit, f, fit->options->lag_s, &d)) continue;
        ok = es_flow_shift(plan, &a, &b, (p->width - size) / 2, (p->height - size) / 2, &shift,
                           err) &&
             !es_cancelled(err);
        d.px[0] = shift.u_px * p->cell_px, d.px[1] = shift.v_px * p->cell_px;
        d.weight = shift.response;
        if (ok && shift.response > 0) all->items[all->count++] = d;
    }
    es_flow_plan_free(plan);
    return ok;
}

/* ---- the fit ----------------------------------------------------------------------- */

static es_mat4 turned_way(const drifts *all, const double *x) {
    es_vec3 w = es_vec3_make(x[0] - 1, x[1] - 1, x[2] - 1);
    double angle = es_vec3_length(w);
    return angle > 1e-12 ? es_mat4_multiply(all->way, es_mat4_rotation(w, angle)) : all->way;
}

/* x: 1 + turn (3), 1 + place (3), log of the scale's ratio + 1. */
static bool residuals(void *context, const double *x, double *r, es_error *err) {
    const drifts *all = context;
    es_mat4 way = turned_way(all, x);
    es_vec3 y = es_vec3_make((x[3] - 1) * LENGTH, (x[4] - 1) * LENGTH, (x[5] - 1) * LENGTH);
    double scale = exp(10 * (x[6] - 1)) * (all->spacing_mm > 0 ? all->spacing_mm : 0.2);
    (void)err;
    for (size_t k = 0; k < all->count; k++) {
        const drift *d = &all->items[k];
        es_vec3 v = es_vec3_add(d->move, es_vec3_cross(d->turn, y));
        for (int axis = 0; axis < 2; axis++) {
            double seen = es_vec3_dot(es_mat4_column(way, axis), v) + d->px[axis] * scale;
            *r++ = d->weight * es_fit_soft(seen, 0.5);
        }
    }
    /* a marker is some centimetres from its picture; scales are not anything */
    for (int k = 0; k < 3; k++) *r++ = 0.3 * (x[3 + k] - 1);
    *r++ = (all->spacing_mm > 0 ? 1e4 : 1) * 10 * (x[6] - 1);
    return true;
}

/* The k-th of the 24 turns of a cube. */
static es_mat4 way(int k) {
    static const int axis[6][3] = {{1, 0, 0},  {-1, 0, 0}, {0, 1, 0},
                                   {0, -1, 0}, {0, 0, 1},  {0, 0, -1}};
    es_vec3 u = es_vec3_make(axis[k / 4][0], axis[k / 4][1], axis[k / 4][2]), v = u;
    for (int other = 0, seen = 0; other < 6 && seen <= k % 4; other++) {
        v = es_vec3_make(axis[other][0], axis[other][1], axis[other][2]);
        seen += es_vec3_dot(u, v) == 0;
    }
    es_vec3 n = es_vec3_cross(u, v);
    return (es_mat4){{u.x, v.x, n.x, 0, u.y, v.y, n.y, 0, u.z, v.z, n.z, 0, 0, 0, 0, 1}};
}

static void way_name(int k, char name[64]) {
    static const char *const axes[] = {"x", "-x", "y", "-y", "z", "-z"};
    es_mat4 m = way(k);
    const char *words[2] = {"", ""};
    for (int c = 0; c < 2; c++)
        for (int a = 0; a < 6; a++)
            if (m.m[4 * (a / 2) + c] == (a % 2 ? -1 : 1)) words[c] = axes[a];
    snprintf(name, 64, "u along the marker's %s, v along %s", words[0], words[1]);
}

static bool fit_way(const self_fit *fit, drifts *all, int k, self_start *start, es_error *err) {
    double x[UNKNOWNS] = {1, 1, 1, 1, 1, 1, 1}, middle[2];
    es_fit how = {.residuals = residuals,
                  .context = all,
                  .n = UNKNOWNS,
                  .m = (int)(2 * all->count) + 4,
                  .max_evaluations = 300,
                  .tolerance = 1e-6,
                  .step = 1e-6};
    es_fit_result info;
    all->way = way(k);
    if (!es_fit_run(&how, x, NULL, &info, err)) return false;
    self_state *s = &start->state;
    s->turn = turned_way(all, x);
    s->scale[0] = exp(10 * (x[6] - 1)) * (all->spacing_mm > 0 ? all->spacing_mm : 0.2);
    s->scale[1] = s->scale[0];
    if (all->spacing_mm > 0) memcpy(s->scale, fit->options->spacing_mm, sizeof s->scale);
    window_middle(fit->pictures, middle);
    es_vec3 y = es_vec3_make((x[3] - 1) * LENGTH, (x[4] - 1) * LENGTH, (x[5] - 1) * LENGTH);
    es_vec3 in = es_vec3_make(middle[0] * s->scale[0], middle[1] * s->scale[1], 0);
    s->shift = es_vec3_sub(y, es_mat4_vector(s->turn, in));
    s->lag = fit->options->lag_s;
    start->cost = info.cost;
    way_name(k, start->name);
    return true;
}

/* ---- the list ------------------------------------------------------------------------ */

/* Keeps the list in order of cost, without what is there already. */
static void keep(const self_fit *fit, const self_start *start, self_start *list, size_t room,
                 size_t *count) {
    size_t at = 0;
    while (at < *count && list[at].cost <= start->cost) at++;
    for (size_t k = 0; k < *count; k++) {
        if (self_apart(fit, &list[k].state, &start->state) > 8) continue;
        if (k < at) return;
        memmove(&list[k], &list[k + 1], (*count - k - 1) * sizeof *list);
        (*count)--;
        break;
    }
    if (at >= room) return;
    size_t last = *count < room ? *count : room - 1;
    memmove(&list[at + 1], &list[at], (last - at) * sizeof *list);
    list[at] = *start;
    *count = last + 1;
}

size_t self_find_starts(const self_fit *fit, self_start *list, size_t room, es_error *err) {
    drifts all = {.spacing_mm = fit->options->spacing_mm[0]};
    size_t count = 0;
    all.items = es_alloc(fit->pictures->count, sizeof *all.items, err);
    bool ok = all.items && measure(fit, &all, err);
    if (ok && all.count < LEAST_DRIFTS)
        ok = es_fail(err, ES_GEOMETRY,
                     "%zu neighbouring pictures with poses show a drift, %d or more are needed to "
                     "begin: give an ImageToProbe to start from with --start",
                     all.count, LEAST_DRIFTS);
    for (int k = 0; ok && k < WAYS; k++) {
        self_start start;
        ok = fit_way(fit, &all, k, &start, err);
        if (ok && self_scale_allowed(&start.state)) keep(fit, &start, list, room, &count);
    }
    es_free(all.items);
    return ok ? count : 0;
}
