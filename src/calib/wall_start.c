/* Where to start the fit of a floor.
 *
 * Once the floor's normal n is given, the distance of a line's point from the
 * floor, n . (P (c0 u + c1 v + t)) - d, is linear in the columns of
 * ImageToProbe and in d: ten unknowns by least squares. So normals are tried
 * over half a sphere, at a few lags, and the best solutions, made orthogonal,
 * are the starts. */
#include <math.h>
#include <string.h>

#include "calib_internal.h"
#include "wall.h"

enum { UNKNOWNS = 10, DIRECTIONS = 160, TRIMS = 3, STEPS = 4 };
static const double LAG_STEP_S = 0.1, PX_UNIT = 100;

typedef struct placed_end {
    es_mat4 pose;
    double px[2];
} placed_end;

typedef struct search {
    const wall_fit *fit;
    placed_end *ends;
    double *misses, *sorted; /* one an end */
    size_t count;
    wall_state *starts;
    double *scores;
    size_t found, room;
} search;

/* Evenly over the half of the sphere with z > 0 (a Fibonacci lattice). */
static es_vec3 direction(int k) {
    double z = (k + 0.5) / DIRECTIONS, turn = 2.399963229728653 * k, r = sqrt(1 - z * z);
    return es_vec3_make(r * cos(turn), r * sin(turn), z);
}

static void fill_row(const placed_end *e, es_vec3 n, double row[UNKNOWNS], double *right) {
    const double *m = e->pose.m;
    for (int a = 0; a < 3; a++) {
        double g = m[a] * n.x + m[4 + a] * n.y + m[8 + a] * n.z;
        row[a] = g * e->px[0] / PX_UNIT;
        row[3 + a] = g * e->px[1] / PX_UNIT;
        row[6 + a] = g;
    }
    row[9] = -1;
    *right = -(n.x * m[3] + n.y * m[7] + n.z * m[11]);
}

/* Least squares through the eigenvectors; what is not determined stays 0. */
static void solve_normal(const double *a, const double *b, double x[UNKNOWNS]) {
    double values[UNKNOWNS], v[UNKNOWNS * UNKNOWNS];
    es_eigen_symmetric(a, UNKNOWNS, values, v);
    memset(x, 0, UNKNOWNS * sizeof *x);
    for (int k = 0; k < UNKNOWNS && values[k] > 1e-8 * values[0]; k++) {
        double along = 0;
        for (int i = 0; i < UNKNOWNS; i++) along += v[i * UNKNOWNS + k] * b[i];
        for (int i = 0; i < UNKNOWNS; i++) x[i] += v[i * UNKNOWNS + k] * along / values[k];
    }
}

/* Leaves the misses for this normal; returns their median. */
static double solve_linear(search *s, es_vec3 n, double limit, double x[UNKNOWNS]) {
    double a[UNKNOWNS * UNKNOWNS] = {0}, b[UNKNOWNS] = {0}, row[UNKNOWNS], right;
    for (size_t i = 0; i < s->count; i++) {
        if (s->misses[i] > limit) continue;
        fill_row(&s->ends[i], n, row, &right);
        for (int r = 0; r < UNKNOWNS; r++) {
            b[r] += row[r] * right;
            for (int c = 0; c < UNKNOWNS; c++) a[r * UNKNOWNS + c] += row[r] * row[c];
        }
    }
    solve_normal(a, b, x);
    for (size_t i = 0; i < s->count; i++) {
        fill_row(&s->ends[i], n, row, &right);
        double sum = -right;
        for (int r = 0; r < UNKNOWNS; r++) sum += row[r] * x[r];
        s->sorted[i] = s->misses[i] = fabs(sum);
    }
    return calib_median(s->sorted, s->count);
}

static wall_state state_of(const double x[UNKNOWNS], es_vec3 n, const wall_fit *fit, double lag) {
    es_vec3 c0 = es_vec3_make(x[0], x[1], x[2]), c1 = es_vec3_make(x[3], x[4], x[5]);
    es_vec3 a = es_vec3_unit(c0);
    es_vec3 b = es_vec3_unit(es_vec3_sub(c1, es_vec3_scale(a, es_vec3_dot(a, c1))));
    es_vec3 c = es_vec3_cross(a, b);
    wall_state s = {.turn = {{a.x, b.x, c.x, 0, a.y, b.y, c.y, 0, a.z, b.z, c.z, 0, 0, 0, 0, 1}},
                    .shift = es_vec3_make(x[6], x[7], x[8]),
                    .scale = {es_vec3_length(c0) / PX_UNIT, es_vec3_length(c1) / PX_UNIT},
                    .normal = n,
                    .distance = x[9],
                    .lag = lag};
    if (wall_spacing_given(fit->options))
        memcpy(s.scale, fit->options->spacing_mm, sizeof s.scale);
    else if (fit->options->isotropic)
        s.scale[0] = s.scale[1] = sqrt(s.scale[0] * s.scale[1]);
    return s;
}

/* Of neighbouring normals only the best is kept. True: there is a better one. */
static bool is_beaten(search *s, const wall_state *state, double score) {
    for (size_t i = 0; i < s->found; i++) {
        if (fabs(es_vec3_dot(s->starts[i].normal, state->normal)) < 0.94) continue; /* 20 deg */
        if (s->scores[i] <= score) return true;
        s->found--;
        memmove(s->starts + i, s->starts + i + 1, (s->found - i) * sizeof *s->starts);
        memmove(s->scores + i, s->scores + i + 1, (s->found - i) * sizeof *s->scores);
        i--;
    }
    return false;
}

/* Sorted in, the best first. */
static void keep(search *s, const wall_state *state, double score) {
    if (is_beaten(s, state, score)) return;
    size_t at = s->found < s->room ? s->found++ : s->room;
    while (at > 0 && s->scores[at - 1] > score) {
        if (at < s->room) s->starts[at] = s->starts[at - 1], s->scores[at] = s->scores[at - 1];
        at--;
    }
    if (at < s->room) s->starts[at] = *state, s->scores[at] = score;
}

/* The best state with this normal, for the poses that were placed at `lag`, and
 * its median miss in pixels; INFINITY: there is none. */
static double try_normal(search *s, es_vec3 n, double lag, wall_state *state) {
    double x[UNKNOWNS], limit = INFINITY, middle = 0;
    memset(s->misses, 0, s->count * sizeof *s->misses);
    for (int round = 0; round < TRIMS; round++) {
        middle = solve_linear(s, n, limit, x);
        limit = 3 * 1.4826 * middle + 1e-6;
    }
    *state = state_of(x, n, s->fit, lag);
    double scale = sqrt(state->scale[0] * state->scale[1]);
    bool sound = scale > 1e-3 && scale < 10 && es_mat4_rigid_defect(state->turn) < 1e-6;
    return sound ? middle / scale : INFINITY;
}

static void place(search *s, double lag) {
    const wall_fit *fit = s->fit;
    s->count = 0;
    for (size_t i = 0; i < fit->count; i += fit->stride) {
        es_mat4 pose;
        if (!wall_pose(fit, &fit->lines[i], lag, &pose)) continue;
        for (int e = 0; e < 2; e++) {
            placed_end *end = &s->ends[s->count++];
            end->pose = pose;
            memcpy(end->px, fit->lines[i].ends[e], sizeof end->px);
        }
    }
}

static void search_lags(search *s) {
    const es_wall_options *o = s->fit->options;
    int steps = o->lag_free ? (int)(o->lag_range_s / LAG_STEP_S) : 0;
    for (int step = -steps; step <= steps; step++) {
        double lag = o->lag_free ? step * LAG_STEP_S : o->lag_s;
        place(s, lag);
        if (s->count < 3 * UNKNOWNS) continue;
        for (int k = 0; k < DIRECTIONS; k++) {
            wall_state state;
            double score = try_normal(s, direction(k), lag, &state);
            if (isfinite(score)) keep(s, &state, score);
        }
    }
}

/* One step of a search: to the best of the neighbours, normals `lean` away on
 * four sides and lags `late` away on both. False: none is better. */
static bool step_from(search *s, wall_state *at, double *score, double lean, double late) {
    es_vec3 n = at->normal,
            a = es_vec3_unit(
                es_vec3_cross(n, fabs(n.x) < 0.6 ? es_vec3_make(1, 0, 0) : es_vec3_make(0, 1, 0))),
            b = es_vec3_cross(n, a);
    double lag = at->lag;
    bool better = false;
    for (int k = s->fit->options->lag_free ? -2 : 0; k < 4; k++) {
        double side = k & 1 ? -1 : 1, there = k < 0 ? lag + side * late : lag;
        wall_state state;
        es_vec3 to = k < 0 ? n : es_vec3_add(n, es_vec3_scale(k < 2 ? a : b, side * lean));
        if (k <= 0) place(s, there); /* the rest share the lag */
        double now =
            s->count < 3 * UNKNOWNS ? INFINITY : try_normal(s, es_vec3_unit(to), there, &state);
        if (!(now < *score)) continue;
        *at = state, *score = now;
        better = true;
    }
    return better;
}

/* The grid of normals is coarse: each start goes down to its own valley's
 * floor, where lines of other echoes stand out. */
static void polish(search *s) {
    const double first_rad = 0.1, last_rad = 0.008;
    for (size_t i = 0; i < s->found; i++)
        for (double lean = first_rad; lean > last_rad; lean *= 0.5)
            for (int k = 0; k < STEPS; k++)
                if (!step_from(s, &s->starts[i], &s->scores[i], lean,
                               LAG_STEP_S * lean / first_rad))
                    break;
}

size_t wall_find_starts(const wall_fit *fit, wall_state *starts, size_t room, es_error *err) {
    size_t ends = 2 * (fit->count / fit->stride + 1);
    search s = {.fit = fit, .starts = starts, .room = room};
    s.ends = es_alloc(ends, sizeof *s.ends, err);
    s.misses = es_alloc(ends, sizeof *s.misses, err);
    s.sorted = es_alloc(ends, sizeof *s.sorted, err);
    s.scores = es_alloc(room, sizeof *s.scores, err);
    bool ok = s.ends && s.misses && s.sorted && s.scores;
    if (ok) search_lags(&s);
    if (ok) polish(&s);
    if (ok && s.found == 0)
        es_fail(err, ES_GEOMETRY,
                "too little in the motion to tell where the floor lies: move the probe up and "
                "down, rock and tilt it");
    es_free(s.scores);
    es_free(s.sorted);
    es_free(s.misses);
    es_free(s.ends);
    return ok ? s.found : 0;
}
