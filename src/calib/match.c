/* Which dot is which wire, by geometry.
 *
 * All outer wires are parallel: the image plane cuts them in an affine image
 * of their cross-section, six numbers, close to a similarity. A row (dot,
 * dot between, dot) taken as one pattern gives a similarity, twice for the
 * mirror; that says roughly where a third outer wire must be; three dots give
 * the affine map, which is judged by all the others. Nothing is sorted, and
 * neither the pixel spacing nor the side from which the phantom is seen need
 * be known. */
#include <math.h>
#include <string.h>

#include "calib_internal.h"
#include "echosolid/calib.h"

enum { OUTER_MAX = 2 * ES_PATTERNS_MAX, ROWS_MAX = ES_DOTS_MAX * ES_DOTS_MAX };
static const double OUTER_MM = 1.2;  /* from a map of three dots, each some 0.3 mm off */
static const double FITTED_MM = 0.8; /* from a map of all of them */
static const double MIDDLE_MM = 0.9; /* from the row's line */
static const double MAX_STRETCH = 1.6;
static const double MAX_ANGLE = 1.31; /* 75 degrees */
static const double LOOSE = 0.4;      /* share of the distance: tilt and pixels not square */

typedef struct vec2 {
    double x, y;
} vec2;

/* The phantom across its outer wires. */
typedef struct section {
    int patterns;
    vec2 outer[OUTER_MAX];                              /* wires 1 and 3 of each pattern, mm */
    double low[ES_PATTERNS_MAX], high[ES_PATTERNS_MAX]; /* of the middle's ratio */
} section;

typedef struct affine { /* mm -> pixels */
    double a, b, c, d, tu, tv;
} affine;

static vec2 map(const affine *m, vec2 p) {
    return (vec2){m->a * p.x + m->b * p.y + m->tu, m->c * p.x + m->d * p.y + m->tv};
}

static double determinant(const affine *m) { return m->a * m->d - m->b * m->c; }

/* ---- the phantom ---------------------------------------------------------------------- */

static es_vec3 direction(const es_wire *w) { return es_vec3_unit(es_vec3_sub(w->back, w->front)); }

bool es_wire_match_check(const es_wire_phantom *phantom, es_error *err) {
    if (!es_wire_phantom_check(phantom, err)) return false;
    es_vec3 first = direction(&phantom->wires[0]);
    for (int p = 1; p < phantom->patterns; p++)
        if (es_vec3_length(es_vec3_cross(first, direction(&phantom->wires[3 * p]))) > 0.0175)
            return es_fail(err, ES_UNSUPPORTED,
                           "wires %s and %s are not parallel: patterns that stand aslant to one "
                           "another cannot be matched",
                           phantom->wires[0].name, phantom->wires[3 * p].name);
    return true;
}

static void make_section(const es_wire_phantom *phantom, section *s) {
    es_vec3 d = direction(&phantom->wires[0]), origin = phantom->wires[0].front;
    es_vec3 across = es_vec3_sub(phantom->wires[2].front, origin);
    es_vec3 e1 = es_vec3_unit(es_vec3_sub(across, es_vec3_scale(d, es_vec3_dot(across, d))));
    es_vec3 e2 = es_vec3_cross(d, e1);
    s->patterns = phantom->patterns;
    for (int p = 0; p < phantom->patterns; p++) {
        const es_wire *w = &phantom->wires[3 * p];
        for (int k = 0; k < 2; k++) {
            es_vec3 at = es_vec3_sub(w[2 * k].front, origin);
            s->outer[2 * p + k] = (vec2){es_vec3_dot(at, e1), es_vec3_dot(at, e2)};
        }
        vec2 a = s->outer[2 * p], b = s->outer[2 * p + 1];
        double width = (b.x - a.x) * (b.x - a.x) + (b.y - a.y) * (b.y - a.y), ratio[2];
        for (int k = 0; k < 2; k++) {
            es_vec3 at = es_vec3_sub(k ? w[1].back : w[1].front, origin);
            ratio[k] = ((es_vec3_dot(at, e1) - a.x) * (b.x - a.x) +
                        (es_vec3_dot(at, e2) - a.y) * (b.y - a.y)) /
                       width;
        }
        s->low[p] = fmin(ratio[0], ratio[1]) - 0.04;
        s->high[p] = fmax(ratio[0], ratio[1]) + 0.04;
    }
}

/* ---- rows of dots ------------------------------------------------------------------------ */

static double ratio_between(const es_dot *a, const es_dot *b, const es_dot *p) {
    double du = b->u - a->u, dv = b->v - a->v;
    return ((p->u - a->u) * du + (p->v - a->v) * dv) / (du * du + dv * dv);
}

static double off_line(const es_dot *a, const es_dot *b, const es_dot *p) {
    double du = b->u - a->u, dv = b->v - a->v;
    return fabs((p->u - a->u) * dv - (p->v - a->v) * du) / sqrt(du * du + dv * dv);
}

/* Pairs of dots with a third between them and on their line. */
static int find_rows(const es_dot *dots, int count, uint8_t rows[ROWS_MAX][2]) {
    int found = 0;
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++) {
            double length = hypot(dots[i].u - dots[j].u, dots[i].v - dots[j].v);
            if (length < 12 ||
                atan2(fabs(dots[i].v - dots[j].v), fabs(dots[i].u - dots[j].u)) > MAX_ANGLE + 0.05)
                continue;
            for (int k = 0; k < count; k++) {
                if (k == i || k == j) continue;
                double t = ratio_between(&dots[i], &dots[j], &dots[k]);
                if (t < 0.02 || t > 0.98 ||
                    off_line(&dots[i], &dots[j], &dots[k]) > fmax(0.05 * length, 2))
                    continue;
                rows[found][0] = (uint8_t)i;
                rows[found++][1] = (uint8_t)j;
                break;
            }
        }
    return found;
}

/* ---- a hypothesis -------------------------------------------------------------------------- */

typedef struct guess {
    affine map;
    int outer[OUTER_MAX]; /* dot of each, -1: none */
    int middle[ES_PATTERNS_MAX];
    es_wire_match match;
} guess;

typedef struct search {
    section s;
    const es_dot *dots;
    int count;
    const es_wire_prior *prior;
    guess best, refused; /* refused: good, but against what is known */
    bool any, any_refused;
    int most_outer; /* outer wires that some map explained, for the reason */
} search;

/* The similarity that takes outer wires 2p and 2p + 1 to two dots. */
static affine similarity(const section *s, int p, const es_dot *from, const es_dot *to,
                         bool mirror) {
    vec2 o = s->outer[2 * p], e = s->outer[2 * p + 1];
    double x = e.x - o.x, y = mirror ? -(e.y - o.y) : e.y - o.y, n = x * x + y * y;
    double du = to->u - from->u, dv = to->v - from->v;
    double re = (du * x + dv * y) / n, im = (dv * x - du * y) / n, flip = mirror ? -1 : 1;
    affine m = {re, -im * flip, im, re * flip, 0, 0};
    vec2 at = map(&m, o);
    m.tu = from->u - at.x;
    m.tv = from->v - at.y;
    return m;
}

/* Least squares over the outer wires that have a dot; 3 or more, not on a line. */
static bool fit_affine(const search *q, const int *outer, affine *m) {
    double n = 0, mx = 0, my = 0, mu = 0, mv = 0, xx = 0, xy = 0, yy = 0, ux = 0, uy = 0, vx = 0,
           vy = 0;
    for (int i = 0; i < 2 * q->s.patterns; i++) {
        if (outer[i] < 0) continue;
        n++;
        mx += q->s.outer[i].x;
        my += q->s.outer[i].y;
        mu += q->dots[outer[i]].u;
        mv += q->dots[outer[i]].v;
    }
    if (n < 3) return false;
    mx /= n, my /= n, mu /= n, mv /= n;
    for (int i = 0; i < 2 * q->s.patterns; i++) {
        if (outer[i] < 0) continue;
        double x = q->s.outer[i].x - mx, y = q->s.outer[i].y - my;
        double u = q->dots[outer[i]].u - mu, v = q->dots[outer[i]].v - mv;
        xx += x * x, xy += x * y, yy += y * y;
        ux += u * x, uy += u * y, vx += v * x, vy += v * y;
    }
    double det = xx * yy - xy * xy;
    if (!(det > 1e-6 * (xx + yy) * (xx + yy))) return false;
    m->a = (ux * yy - uy * xy) / det;
    m->b = (uy * xx - ux * xy) / det;
    m->c = (vx * yy - vy * xy) / det;
    m->d = (vy * xx - vx * xy) / det;
    m->tu = mu - m->a * mx - m->b * my;
    m->tv = mv - m->c * mx - m->d * my;
    return true;
}

static double square_distance(const es_dot *dot, vec2 at) {
    double du = dot->u - at.x, dv = dot->v - at.y;
    return du * du + dv * dv;
}

static int nearest(const search *q, vec2 at, double reach_px) {
    int best = -1;
    double least = reach_px * reach_px;
    for (int k = 0; k < q->count; k++) {
        double square = square_distance(&q->dots[k], at);
        if (square < least) least = square, best = k;
    }
    return best;
}

/* Gives every outer wire the dot nearest to its place, each dot once. */
static int assign(const search *q, const affine *m, double reach_mm, int *outer) {
    double reach = reach_mm * sqrt(fabs(determinant(m)));
    int n = 0;
    for (int i = 0; i < 2 * q->s.patterns; i++) {
        outer[i] = nearest(q, map(m, q->s.outer[i]), reach);
        for (int k = 0; k < i && outer[i] >= 0; k++)
            if (outer[k] == outer[i]) outer[i] = -1;
        n += outer[i] >= 0;
    }
    return n;
}

/* The brightest dot on the row's segment where the middle wire can be. */
static int find_middle(const search *q, const guess *g, int p) {
    const es_dot *a = &q->dots[g->outer[2 * p]], *b = &q->dots[g->outer[2 * p + 1]];
    double reach = MIDDLE_MM * sqrt(fabs(determinant(&g->map)));
    int best = -1;
    for (int k = 0; k < q->count; k++) {
        if (k == g->outer[2 * p] || k == g->outer[2 * p + 1]) continue;
        double t = ratio_between(a, b, &q->dots[k]);
        if (t < q->s.low[p] || t > q->s.high[p] || off_line(a, b, &q->dots[k]) > reach) continue;
        if (best < 0 || q->dots[k].contrast > q->dots[best].contrast) best = k;
    }
    return best;
}

/* ---- judging -----------------------------------------------------------------------------------
 */

static double strength(const es_dot *dot) { return 1 + log2(1 + dot->contrast) / 8; }

/* Singular values of the map: pixels per mm in its best and worst direction. */
static void measure(guess *g) {
    const affine *m = &g->map;
    double p = m->a + m->d, q = m->c - m->b, r = m->a - m->d, s = m->c + m->b;
    double e = sqrt(p * p + q * q), f = sqrt(r * r + s * s);
    double most = 0.5 * (e + f), least = 0.5 * fabs(e - f);
    g->match.stretch = least > 0 ? most / least : INFINITY;
    g->match.spacing_mm = 1 / sqrt(fabs(determinant(m)));
    g->match.angle_rad = atan(m->c / m->a);
    g->match.view = (determinant(m) < 0 ? ES_VIEW_MIRRORED : 0) | (m->a < 0 ? ES_VIEW_REVERSED : 0);
}

static double outer_error(const search *q, const guess *g) {
    double sum = 0;
    int n = 0;
    for (int i = 0; i < 2 * q->s.patterns; i++) {
        if (g->outer[i] < 0) continue;
        vec2 at = map(&g->map, q->s.outer[i]);
        sum += pow(q->dots[g->outer[i]].u - at.x, 2) + pow(q->dots[g->outer[i]].v - at.y, 2);
        n++;
    }
    return g->match.spacing_mm * sqrt(sum / n);
}

static bool against_prior(const es_wire_prior *prior, const es_wire_match *m) {
    bool off = m->spacing_mm < 0.01 || m->spacing_mm > 2;
    if (!isnan(prior->spacing_mm)) {
        double ratio = m->spacing_mm / prior->spacing_mm;
        off = fmax(ratio, 1 / ratio) > 1 + prior->spacing_spread;
    }
    return off || !(prior->views >> m->view & 1) || fabs(m->angle_rad) > MAX_ANGLE;
}

static int rows_needed(int patterns) { return patterns < 2 ? 1 : 2; }

/* Whole rows of a map with their dots; keeps it when it is the best so far. */
static void judge(search *q, guess *g) {
    es_wire_match *m = &g->match;
    measure(g);
    if (m->stretch > MAX_STRETCH) return;
    m->rows = 0;
    m->score = 0;
    for (int p = 0; p < q->s.patterns; p++) {
        g->middle[p] = -1;
        if (g->outer[2 * p] < 0 || g->outer[2 * p + 1] < 0) continue;
        g->middle[p] = find_middle(q, g, p);
        if (g->middle[p] < 0) continue;
        m->rows++;
        m->score += 2 + strength(&q->dots[g->outer[2 * p]]) +
                    strength(&q->dots[g->outer[2 * p + 1]]) + strength(&q->dots[g->middle[p]]);
    }
    if (m->rows < rows_needed(q->s.patterns)) return;
    m->error_mm = outer_error(q, g);
    m->score -= 3 * pow(m->error_mm / FITTED_MM, 2) + 2 * (m->stretch - 1);
    guess *best = against_prior(q->prior, m) ? &q->refused : &q->best;
    bool *any = best == &q->best ? &q->any : &q->any_refused;
    if (*any && best->match.score >= m->score) return;
    *best = *g;
    *any = true;
}

/* From three outer wires: all the others, then all together. */
static void try_three(search *q, const int wires[3], const int dots[3]) {
    guess g;
    memset(&g, 0, sizeof g);
    for (int i = 0; i < OUTER_MAX; i++) g.outer[i] = -1;
    for (int k = 0; k < 3; k++) g.outer[wires[k]] = dots[k];
    if (!fit_affine(q, g.outer, &g.map)) return;
    measure(&g);
    if (g.match.stretch > 1.2 * MAX_STRETCH) return;
    int n = assign(q, &g.map, OUTER_MM, g.outer);
    if (n < 4 || !fit_affine(q, g.outer, &g.map)) return;
    n = assign(q, &g.map, FITTED_MM, g.outer);
    if (n < 4 || !fit_affine(q, g.outer, &g.map)) return;
    if (n > q->most_outer) q->most_outer = n;
    judge(q, &g);
}

/* The outer wire farthest from the row's line tells most about the map. */
static int farthest_wire(const section *s, int p) {
    vec2 a = s->outer[2 * p], b = s->outer[2 * p + 1];
    double most = 0;
    int best = -1;
    for (int i = 0; i < 2 * s->patterns; i++) {
        vec2 c = s->outer[i];
        double off = fabs((c.x - a.x) * (b.y - a.y) - (c.y - a.y) * (b.x - a.x));
        if (i / 2 != p && off > most) most = off, best = i;
    }
    return best;
}

static void try_row(search *q, int p, int from, int to) {
    int third = farthest_wire(&q->s, p);
    for (int mirror = 0; mirror < 2; mirror++) {
        affine m = similarity(&q->s, p, &q->dots[from], &q->dots[to], mirror != 0);
        if (third < 0) { /* one pattern: the similarity is all there is */
            guess g = {.map = m, .outer = {from, to}};
            judge(q, &g);
            continue;
        }
        vec2 o = q->s.outer[2 * p], e = q->s.outer[2 * p + 1], t = q->s.outer[third];
        double dx = t.x - 0.5 * (o.x + e.x), dy = t.y - 0.5 * (o.y + e.y);
        double reach = LOOSE * LOOSE * (dx * dx + dy * dy) * fabs(determinant(&m));
        vec2 at = map(&m, t);
        for (int k = 0; k < q->count; k++)
            if (k != from && k != to && square_distance(&q->dots[k], at) < reach)
                try_three(q, (int[3]){2 * p, 2 * p + 1, third}, (int[3]){from, to, k});
    }
}

/* ---- the reason when nothing fits --------------------------------------------------------------
 */

bool es_wire_refuse(es_wire_reject *why, const char *step, const char *format, ...) {
    va_list list;
    snprintf(why->step, sizeof why->step, "%s", step);
    va_start(list, format);
    vsnprintf(why->reason, sizeof why->reason, format, list);
    va_end(list);
    return false;
}

static bool explain_refused(const search *q, es_wire_reject *why) {
    const es_wire_match *m = &q->refused.match;
    if (!isnan(q->prior->spacing_mm)) {
        double off = 100 * (m->spacing_mm / q->prior->spacing_mm - 1);
        if (fabs(off) > 100 * q->prior->spacing_spread)
            return es_wire_refuse(
                why, "match",
                "the wires fit only with a pixel spacing of %.4f mm, off by %+.1f %% from "
                "the other pictures' %.4f",
                m->spacing_mm, off, q->prior->spacing_mm);
    }
    if (!(q->prior->views >> m->view & 1))
        return es_wire_refuse(why, "match", "the wires fit only %s against the other pictures",
                              m->view & ES_VIEW_MIRRORED ? "mirrored" : "turned over or mirrored");
    if (fabs(m->angle_rad) > MAX_ANGLE)
        return es_wire_refuse(why, "match", "the rows stand at %.0f degrees; 75 at most",
                              fabs(m->angle_rad) * 180 / 3.14159265358979);
    return es_wire_refuse(why, "match", "the wires fit only with a pixel spacing of %.4f mm",
                          m->spacing_mm);
}

static bool explain(const search *q, int rows, es_wire_reject *why) {
    int outer = 2 * q->s.patterns;
    if (q->any_refused) return explain_refused(q, why);
    if (rows == 0)
        return es_wire_refuse(
            why, "match",
            "collinearity: no three of the %d spots lie on a line as a row of wires does",
            q->count);
    if (q->most_outer < 4)
        return es_wire_refuse(
            why, "match",
            "row distances: %d rows of three spots, but no two stand to each other as the "
            "phantom's rows do; is it the right phantom?",
            rows);
    return es_wire_refuse(
        why, "match",
        "%d of the %d outer wires are there, but not the middle wires between enough of "
        "them",
        q->most_outer, outer);
}

static void take(const search *q, const es_wire_phantom *phantom, es_wire_frame *frame) {
    for (int p = 0; p < phantom->patterns; p++) {
        const guess *g = &q->best;
        const int dot[3] = {g->outer[2 * p], g->middle[p], g->outer[2 * p + 1]};
        bool whole = dot[0] >= 0 && dot[1] >= 0 && dot[2] >= 0;
        for (int k = 0; k < 3; k++) {
            frame->seen[3 * p + k] = whole;
            frame->dots[3 * p + k][0] = whole ? q->dots[dot[k]].u : 0;
            frame->dots[3 * p + k][1] = whole ? q->dots[dot[k]].v : 0;
        }
    }
}

bool es_wire_match_dots(const es_wire_phantom *phantom, const es_dot *dots, int count,
                        const es_wire_prior *prior, es_wire_frame *frame, es_wire_match *match,
                        es_wire_reject *why) {
    uint8_t rows[ROWS_MAX][2];
    search q = {.dots = dots, .count = count, .prior = prior};
    int needed = 3 * rows_needed(phantom->patterns);
    memset(why, 0, sizeof *why);
    memset(match, 0, sizeof *match);
    why->index = frame->index;
    memset(frame->seen, 0, sizeof frame->seen);
    if (count < needed)
        return es_wire_refuse(
            why, "dots",
            "%d bright spots; two rows of wires take %d: more gain, or move the probe so "
            "that the wires are in the picture",
            count, needed);
    make_section(phantom, &q.s);
    int found = find_rows(dots, count, rows);
    for (int r = 0; r < found; r++)
        for (int p = 0; p < phantom->patterns; p++) {
            try_row(&q, p, rows[r][0], rows[r][1]);
            try_row(&q, p, rows[r][1], rows[r][0]);
        }
    if (!q.any) return explain(&q, found, why);
    *match = q.best.match;
    take(&q, phantom, frame);
    return true;
}

/* ---- by expectation
 * ------------------------------------------------------------------------------ */

bool es_wire_match_expected(const es_wire_phantom *phantom, const es_dot *dots, int count,
                            double expected[ES_WIRES_MAX][2], double tolerance_px,
                            es_wire_frame *frame, es_wire_reject *why) {
    search q = {.dots = dots, .count = count};
    int rows = 0;
    memset(why, 0, sizeof *why);
    why->index = frame->index;
    for (int p = 0; p < phantom->patterns; p++) {
        int dot[3];
        bool whole = true;
        for (int k = 0; k < 3; k++) {
            const double *at = expected[3 * p + k];
            dot[k] = isfinite(at[0]) ? nearest(&q, (vec2){at[0], at[1]}, tolerance_px) : -1;
            whole = whole && dot[k] >= 0 && (k == 0 || dot[k] != dot[k - 1]);
        }
        whole = whole && dot[0] != dot[2];
        rows += whole;
        for (int k = 0; k < 3; k++) {
            frame->seen[3 * p + k] = whole;
            frame->dots[3 * p + k][0] = whole ? dots[dot[k]].u : 0;
            frame->dots[3 * p + k][1] = whole ? dots[dot[k]].v : 0;
        }
    }
    return rows >= rows_needed(phantom->patterns) ||
           es_wire_refuse(why, "match",
                          "%d whole rows of wires within %.0f px of where the poses put them", rows,
                          tolerance_px);
}
