/* The coarse fan: which points of the contour are the side edges, which the
 * two arcs, and roughly where.
 *
 * Straight pieces of the contour that open downwards are candidates for the
 * side edges (RANSAC, three a side); where a left and a right one meet is the
 * apex, whatever the pixels' aspect. With the apex known, a point (x, y) of
 * an arc obeys y^2 = r^2 - a^2 x^2, a line in (x^2, y^2): votes give the radii
 * and, if the picture insists, an aspect that is not one. Where a side edge is
 * missing, circles through three points of an arc give the apex instead. The
 * hypothesis that explains most of the contour wins. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define NEAR_PX 1.5               /* a contour point agrees within this */
#define LEAST_TILT (3 * PI / 180) /* of a side edge from upright */
#define MOST_TILT (87 * PI / 180)

enum {
    LINES = 3, /* candidates for each side */
    LINE_TRIES = 250,
    LINE_POINTS = 20, /* that a side edge needs */
    CIRCLE_TRIES = 250,
    ASPECT_TRIES = 60,
    ARC_POINTS = 25,
    LEAST_AGREEING = 60
};

/* A side edge in normal form, x = sign * u: x cos(tilt) - v sin(tilt) = offset. */
typedef struct side_line {
    double tilt, offset;
    size_t points;
} side_line;

typedef struct point_pool {
    const shape_point **points;
    size_t count;
    size_t split; /* where the second kind of points begins */
} point_pool;

typedef struct search {
    const shape_contour *contour;
    bool *used; /* contour points that a line has taken */
    point_pool line, outer, inner;
    uint32_t width, height;
    es_random random;
} search;

static size_t pick(es_random *random, size_t count) {
    return (size_t)(es_random_uniform(random) * (double)count);
}

static double line_distance(const side_line *line, double sign, double u, double v) {
    return sign * u * cos(line->tilt) - v * sin(line->tilt) - line->offset;
}

/* ---- side edges ------------------------------------------------------------ */

static void pool_line(search *s, shape_side side) {
    const shape_contour *c = s->contour;
    shape_side kinds[2] = {side, SHAPE_TOP};
    s->line.count = 0;
    for (int k = 0; k < 2; k++) {
        if (k) s->line.split = s->line.count;
        for (size_t i = c->first[kinds[k]]; i < c->first[kinds[k] + 1]; i++)
            if (!c->points[i].cut && !s->used[i]) s->line.points[s->line.count++] = &c->points[i];
    }
}

static size_t line_votes(const point_pool *pool, const side_line *line, double sign) {
    size_t votes = 0;
    double c = sign * cos(line->tilt), d = sin(line->tilt);
    for (size_t i = 0; i < pool->count; i++) {
        const shape_point *p = pool->points[i];
        votes += fabs(p->u * c - p->v * d - line->offset) < NEAR_PX;
    }
    return votes;
}

/* A line through two points of one kind, not too far apart. */
static bool line_try(search *s, double sign, side_line *line) {
    size_t n = s->line.count;
    if (n < LINE_POINTS) return false;
    size_t i = pick(&s->random, n), j = i + 8 + pick(&s->random, 100);
    if (j >= n || (i < s->line.split && j >= s->line.split)) return false;
    const shape_point *p = s->line.points[i], *q = s->line.points[j];
    double dx = sign * ((double)q->u - p->u), dv = (double)q->v - p->v;
    if (dv < 0) dx = -dx, dv = -dv;
    line->tilt = atan2(dx, dv);
    line->offset = sign * p->u * cos(line->tilt) - p->v * sin(line->tilt);
    return line->tilt > LEAST_TILT && line->tilt < MOST_TILT;
}

/* The total least squares line of the points near this one. */
static void line_polish(const point_pool *pool, double sign, side_line *line) {
    double n = 0, mx = 0, mv = 0, xx = 0, xv = 0, vv = 0;
    for (size_t i = 0; i < pool->count; i++) {
        const shape_point *p = pool->points[i];
        if (fabs(line_distance(line, sign, p->u, p->v)) >= NEAR_PX) continue;
        double x = sign * p->u, v = p->v;
        n++, mx += x, mv += v, xx += x * x, xv += x * v, vv += v * v;
    }
    if (n < 3) return;
    mx /= n, mv /= n;
    xx = xx / n - mx * mx, xv = xv / n - mx * mv, vv = vv / n - mv * mv;
    double angle = .5 * atan2(2 * xv, vv - xx); /* of the long axis from upright */
    line->tilt = angle;
    line->offset = mx * cos(angle) - mv * sin(angle);
}

static void line_take(search *s, double sign, const side_line *line) {
    for (size_t i = 0; i < s->line.count; i++) {
        const shape_point *p = s->line.points[i];
        if (fabs(line_distance(line, sign, p->u, p->v)) < 2 * NEAR_PX)
            s->used[p - s->contour->points] = true;
    }
}

static int find_lines(search *s, shape_side side, side_line lines[LINES]) {
    double sign = side == SHAPE_LEFT ? -1 : 1;
    int count = 0;
    memset(s->used, 0, s->contour->count * sizeof *s->used);
    while (count < LINES) {
        side_line best = {0}, line;
        pool_line(s, side);
        for (int k = 0; k < LINE_TRIES; k++) {
            if (!line_try(s, sign, &line)) continue;
            line.points = line_votes(&s->line, &line, sign);
            if (line.points > best.points) best = line;
        }
        if (best.points < LINE_POINTS) break;
        for (int k = 0; k < 2; k++) line_polish(&s->line, sign, &best);
        best.points = line_votes(&s->line, &best, sign);
        line_take(s, sign, &best);
        if (best.tilt > LEAST_TILT && best.tilt < MOST_TILT) lines[count++] = best;
    }
    return count;
}

/* Where the two lines meet; false when they open upwards. */
static bool meet(const side_line *left, const side_line *right, es_fan *fan) {
    /* -u cos l - v sin l = ol;  u cos r - v sin r = or */
    double cl = cos(left->tilt), sl = sin(left->tilt), cr = cos(right->tilt), sr = sin(right->tilt),
           det = cl * sr + sl * cr;
    if (det < 1e-3) return false;
    fan->apex_u = (-left->offset * sr + right->offset * sl) / det;
    fan->apex_v = -(left->offset * cr + right->offset * cl) / det;
    fan->angle_start_rad = -left->tilt;
    fan->angle_stop_rad = right->tilt;
    return true;
}

/* ---- arcs ------------------------------------------------------------------- */

/* Points for the arcs: the outer one is seen from below and from the sides,
 * the inner one from above; those near a side edge are left out. */
static void pool_arcs(search *s, const shape_fan *fan) {
    const shape_contour *c = s->contour;
    s->outer.count = s->inner.count = 0;
    for (size_t i = 0; i < c->count; i++) {
        const shape_point *p = &c->points[i];
        if (p->cut) continue;
        double x = p->u - fan->fan.apex_u, y = p->v - fan->fan.apex_v;
        double l = fan->fan.angle_start_rad, r = fan->fan.angle_stop_rad;
        if (fan->left && x * cos(l) - y * sin(l) < 2 * NEAR_PX) continue;
        if (fan->right && y * sin(r) - x * cos(r) < 2 * NEAR_PX) continue;
        if (p->side == SHAPE_TOP)
            s->inner.points[s->inner.count++] = p;
        else
            s->outer.points[s->outer.count++] = p;
    }
}

static double scaled_radius(const es_fan *fan, const shape_point *p) {
    return hypot((p->u - fan->apex_u) * fan->aspect, p->v - fan->apex_v);
}

/* How many points lie on the arc. Compared by squares: this is where the
 * search spends its time. */
static size_t arc_votes(const point_pool *pool, const es_fan *fan, double radius) {
    double low = fmax(radius - NEAR_PX, 0), high = radius + NEAR_PX;
    double least = low * low, most = high * high;
    size_t votes = 0;
    for (size_t i = 0; i < pool->count; i++) {
        double x = (pool->points[i]->u - fan->apex_u) * fan->aspect,
               y = pool->points[i]->v - fan->apex_v, square = x * x + y * y;
        votes += square > least && square < most;
    }
    return votes;
}

/* The radius that most points have, in steps of half a pixel. */
static size_t arc_radius(const point_pool *pool, const es_fan *fan, double *radius) {
    size_t best = 0;
    for (size_t k = 0; k < pool->count; k += 1 + pool->count / 80) {
        double r = scaled_radius(fan, pool->points[k]);
        size_t votes = arc_votes(pool, fan, r);
        if (votes > best) best = votes, *radius = r;
    }
    return best;
}

/* An aspect other than one must explain clearly more of the outer arc. */
static size_t arc_aspect(search *s, es_fan *fan) {
    fan->aspect = 1;
    size_t square = arc_radius(&s->outer, fan, &fan->radius_stop), best = square;
    es_fan stretched = *fan, winner = *fan;
    for (int k = 0; k < ASPECT_TRIES && s->outer.count >= ARC_POINTS; k++) {
        const shape_point *p = s->outer.points[pick(&s->random, s->outer.count)],
                          *q = s->outer.points[pick(&s->random, s->outer.count)];
        double px = pow(p->u - fan->apex_u, 2), qx = pow(q->u - fan->apex_u, 2);
        double py = pow(p->v - fan->apex_v, 2), qy = pow(q->v - fan->apex_v, 2);
        double square_aspect = (py - qy) / (qx - px);
        if (!(square_aspect > .7 && square_aspect < 1.4)) continue;
        stretched.aspect = sqrt(square_aspect);
        stretched.radius_stop = sqrt(py + square_aspect * px);
        size_t votes = arc_votes(&s->outer, &stretched, stretched.radius_stop);
        if (votes > best) best = votes, winner = stretched;
    }
    if (best * 10 > square * 11 + 80) {
        *fan = winner;
        return best;
    }
    return square;
}

static bool circle_try(search *s, const point_pool *pool, es_fan *fan) {
    if (pool->count < ARC_POINTS) return false;
    const shape_point *p[3];
    for (int k = 0; k < 3; k++) p[k] = pool->points[pick(&s->random, pool->count)];
    double ax = (double)p[1]->u - p[0]->u, ay = (double)p[1]->v - p[0]->v,
           bx = (double)p[2]->u - p[0]->u, by = (double)p[2]->v - p[0]->v;
    double det = 2 * (ax * by - ay * bx), a = ax * ax + ay * ay, b = bx * bx + by * by;
    if (fabs(det) < 100) return false;
    double x = (by * a - ay * b) / det, y = (ax * b - bx * a) / det, r = hypot(x, y);
    double size = hypot(s->width, s->height);
    fan->apex_u = p[0]->u + x;
    fan->apex_v = p[0]->v + y;
    fan->aspect = 1;
    fan->radius_stop = r;
    /* the centre lies above its arc */
    for (int k = 0; k < 3; k++)
        if (p[k]->v - fan->apex_v < .1 * r) return false;
    return r > 20 && r < 4 * size;
}

static size_t find_circle(search *s, const point_pool *pool, es_fan *best) {
    size_t most = 0;
    es_fan fan = {.kind = ES_FAN_CURVED};
    for (int k = 0; k < CIRCLE_TRIES; k++) {
        if (!circle_try(s, pool, &fan)) continue;
        size_t votes = arc_votes(pool, &fan, fan.radius_stop);
        if (votes > most) most = votes, *best = fan;
    }
    return most;
}

/* ---- hypotheses --------------------------------------------------------------- */

/* How a contour point is explained: 1 left, 2 right, 3 start, 4 stop, 0 not. */
static int explained(const shape_fan *f, const shape_point *p) {
    double x = p->u - f->fan.apex_u, y = p->v - f->fan.apex_v;
    double l = f->fan.angle_start_rad, r = f->fan.angle_stop_rad, radius;
    if (f->left && fabs(x * cos(l) - y * sin(l)) < NEAR_PX) return 1;
    if (f->right && fabs(x * cos(r) - y * sin(r)) < NEAR_PX) return 2;
    radius = hypot(x * f->fan.aspect, y);
    if (f->start && p->side != SHAPE_BOTTOM && fabs(radius - f->fan.radius_start) < NEAR_PX)
        return 3;
    return f->stop && p->side != SHAPE_TOP && fabs(radius - f->fan.radius_stop) < NEAR_PX ? 4 : 0;
}

static void count_agreeing(const search *s, shape_fan *f) {
    const shape_contour *c = s->contour;
    f->agreeing = f->all = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (c->points[i].cut) continue;
        f->all++;
        f->agreeing += explained(f, &c->points[i]) != 0;
    }
    f->score = (double)f->agreeing - .3 * (double)(f->all - f->agreeing);
}

static void consider(const search *s, shape_fan *f, shape_fan *best) {
    if (!f->start && !f->stop) return;
    if (f->start && f->stop && f->fan.radius_start > .97 * f->fan.radius_stop) return;
    count_agreeing(s, f);
    if (f->agreeing >= LEAST_AGREEING && f->agreeing * 4 > f->all && f->score > best->score)
        *best = *f;
}

/* With both side edges: the apex is known. */
static void try_pinned(search *s, const side_line *left, const side_line *right, shape_fan *best) {
    shape_fan f = {.fan = {.kind = ES_FAN_CURVED}, .left = true, .right = true};
    if (!meet(left, right, &f.fan)) return;
    pool_arcs(s, &f);
    f.stop = arc_aspect(s, &f.fan) >= ARC_POINTS;
    f.start = arc_radius(&s->inner, &f.fan, &f.fan.radius_start) >= ARC_POINTS / 2;
    consider(s, &f, best);
}

/* Does this side edge pass the apex? */
static void attach_line(const side_line *lines, int count, double sign, shape_fan *f) {
    for (int k = 0; k < count; k++) {
        if (fabs(line_distance(&lines[k], sign, f->fan.apex_u, f->fan.apex_v)) > 6) continue;
        if (sign < 0)
            f->left = true, f->fan.angle_start_rad = -lines[k].tilt;
        else
            f->right = true, f->fan.angle_stop_rad = lines[k].tilt;
        return;
    }
}

/* The angles that the contour spans, for sides that were not found. */
static void span_angles(const search *s, shape_fan *f) {
    double low = 0, high = 0, radius, angle;
    for (size_t i = 0; i < s->contour->count; i++) {
        const shape_point *p = &s->contour->points[i];
        es_fan_polar(&f->fan, p->u, p->v, &radius, &angle);
        if (radius < .3 * f->fan.radius_stop) continue;
        low = fmin(low, angle);
        high = fmax(high, angle);
    }
    if (!f->left) f->fan.angle_start_rad = low;
    if (!f->right) f->fan.angle_stop_rad = high;
}

/* Without: a circle through one of the arcs. */
static void try_circle(search *s, bool outer, const side_line lines[2][LINES], const int counts[2],
                       shape_fan *best) {
    shape_fan f = {.fan = {.kind = ES_FAN_CURVED, .aspect = 1}};
    pool_arcs(s, &f);
    if (find_circle(s, outer ? &s->outer : &s->inner, &f.fan) < 2 * ARC_POINTS) return;
    double radius = f.fan.radius_stop;
    attach_line(lines[0], counts[0], -1, &f);
    attach_line(lines[1], counts[1], 1, &f);
    span_angles(s, &f);
    pool_arcs(s, &f);
    f.fan.radius_stop = f.fan.radius_start = radius;
    if (outer)
        f.start = arc_radius(&s->inner, &f.fan, &f.fan.radius_start) >= ARC_POINTS;
    else
        f.stop = arc_radius(&s->outer, &f.fan, &f.fan.radius_stop) >= ARC_POINTS;
    if (outer)
        f.stop = true;
    else
        f.start = true;
    consider(s, &f, best);
}

static bool search_begin(search *s, const shape_contour *contour, const shape_mask *mask,
                         es_error *err) {
    *s = (search){.contour = contour, .width = mask->width, .height = mask->height};
    s->random = es_random_new(1, 0);
    s->used = es_alloc(contour->count, sizeof *s->used, err);
    point_pool *pools[] = {&s->line, &s->outer, &s->inner};
    for (int k = 0; k < 3; k++)
        pools[k]->points = es_alloc(contour->count, sizeof *pools[k]->points, err);
    return s->used && s->line.points && s->outer.points && s->inner.points;
}

static void search_end(search *s) {
    es_free(s->used);
    es_free(s->line.points);
    es_free(s->outer.points);
    es_free(s->inner.points);
}

bool shape_fan_coarse(const shape_contour *contour, const shape_mask *mask, shape_fan *best,
                      es_error *err) {
    search s;
    side_line lines[2][LINES];
    memset(best, 0, sizeof *best);
    bool ok = search_begin(&s, contour, mask, err);
    if (ok) {
        int counts[2] = {find_lines(&s, SHAPE_LEFT, lines[0]),
                         find_lines(&s, SHAPE_RIGHT, lines[1])};
        for (int i = 0; i < counts[0]; i++)
            for (int j = 0; j < counts[1]; j++) try_pinned(&s, &lines[0][i], &lines[1][j], best);
        try_circle(&s, true, lines, counts, best);
        try_circle(&s, false, lines, counts, best);
    }
    search_end(&s);
    return ok;
}

/* ---- a trapezoid ------------------------------------------------------------------ */

/* Both lines must meet above the top, and be as far apart there as the first
 * row is wide. */
static bool wedge_fits(const search *s, const shape_fan *f, double top) {
    const shape_contour *c = s->contour;
    double width =
        (top - f->fan.apex_v) * (tan(f->fan.angle_stop_rad) - tan(f->fan.angle_start_rad));
    size_t flat = 0;
    for (size_t i = c->first[SHAPE_TOP]; i < c->first[SHAPE_TOP + 1]; i++)
        flat += fabs(c->points[i].v - top) < NEAR_PX;
    return f->fan.apex_v < top - 10 && width > 30 && fabs((double)flat - width) < .1 * width + 3;
}

bool shape_wedge_coarse(const shape_contour *contour, const shape_mask *mask, double top,
                        double bottom, shape_fan *best, es_error *err) {
    search s;
    side_line lines[2][LINES];
    memset(best, 0, sizeof *best);
    bool ok = search_begin(&s, contour, mask, err);
    int counts[2] = {0};
    if (ok) counts[0] = find_lines(&s, SHAPE_LEFT, lines[0]);
    if (ok) counts[1] = find_lines(&s, SHAPE_RIGHT, lines[1]);
    for (int i = 0; i < counts[0]; i++)
        for (int j = 0; j < counts[1]; j++) {
            shape_fan f = {.fan = {.kind = ES_FAN_CURVED, .aspect = 1}, .wedge = true};
            f.left = f.right = true;
            f.score = (double)(lines[0][i].points + lines[1][j].points);
            if (f.score <= best->score || !meet(&lines[0][i], &lines[1][j], &f.fan) ||
                !wedge_fits(&s, &f, top))
                continue;
            double slant = cos(fmax(-f.fan.angle_start_rad, f.fan.angle_stop_rad));
            f.fan.radius_start = (top - f.fan.apex_v) / slant;
            f.fan.radius_stop = (bottom - f.fan.apex_v) / slant;
            *best = f;
        }
    search_end(&s);
    return ok;
}

/* ---- over thresholds and both ways up ---------------------------------------- */

static bool look(const shape_mask *mask, int parts, bool flipped, shape_fan *best, es_error *err) {
    shape_contour contour;
    if (!shape_contour_make(mask, parts, flipped, &contour, err)) return false;
    bool ok = shape_fan_coarse(&contour, mask, best, err);
    best->flipped = flipped;
    best->cut_left = contour.cut_left;
    best->cut_right = contour.cut_right;
    shape_contour_clear(&contour);
    return ok;
}

/* The largest part alone, and with the other large ones; both ways up. */
static bool look_at_mask(const shape_mask *mask, shape_fan *best, int *parts, es_error *err) {
    bool several = mask->count[SHAPE_LARGE] > mask->count[SHAPE_LARGEST];
    memset(best, 0, sizeof *best);
    for (int p = SHAPE_LARGEST; p <= (several ? SHAPE_LARGE : SHAPE_LARGEST); p++)
        for (int flipped = 0; flipped < 2; flipped++) {
            shape_fan fan;
            if (!look(mask, p, flipped, &fan, err)) return false;
            if (fan.score <= best->score) continue;
            *best = fan;
            *parts = p;
        }
    return true;
}

bool shape_fan_search(const es_still *still, shape_fan *best, shape_mask *mask, int *parts,
                      es_error *err) {
    memset(best, 0, sizeof *best);
    memset(mask, 0, sizeof *mask);
    *parts = SHAPE_LARGEST;
    for (int k = 0; k < SHAPE_LEVELS; k++) {
        shape_mask m;
        shape_fan fan;
        int p = SHAPE_LARGEST;
        if (!shape_mask_make(still, shape_levels[k], &m, err)) return false;
        bool ok = look_at_mask(&m, &fan, &p, err), better = ok && fan.score > 1.1 * best->score;
        if (better) {
            shape_mask_clear(mask);
            *mask = m;
            *best = fan;
            *parts = p;
        } else
            shape_mask_clear(&m);
        if (!ok) return false;
        /* nothing left to explain: a higher threshold sees less */
        if (best->left && best->right && best->agreeing * 20 > best->all * 19) break;
    }
    return true;
}
