/* The transducer's ring: where the field is dark, all that shows of a convex
 * probe is the bright, unchanging arc of its face.
 *
 * If the fan's side edges are known, the first radius at which most rays turn
 * bright, with dark before it, is the face. Otherwise each bright part of the
 * temporal minimum that is wide enough is tried: the upper border of a ring is
 * an arc of a circle around a centre above it, symmetric, and spans a wide
 * angle, which reflectors and letters do not. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define LEAST_ARC (75 * PI / 180)
#define MOST_LEAN (4 * PI / 180) /* of the middle of the arc from upright */
#define MOST_RMS .75
#define SIGMA_PX .6 /* half maximum lies inside of the ring's blur */

#define ASPECT_DOUBT .012
#define RING_ABOVE 12 /* grey, over the level of the mask */

#define ABOVE .93 /* of the radius: nearer than that to the centre */

enum { MOST_ABOVE = 40, LEAST_WIDTH = 25, RAYS = 121, LEAST_POINTS = 20, TRIES = 150 };

/* ---- with known side edges ------------------------------------------------------ */

static double lit_share(const es_still *still, const shape_mask *mask, const es_fan_found *found,
                        double radius) {
    const es_fan *f = &found->fan;
    double middle = (f->angle_start_rad + f->angle_stop_rad) / 2;
    double half = .9 * (f->angle_stop_rad - f->angle_start_rad) / 2;
    int lit = 0, all = 0;
    for (int k = 0; k < RAYS; k++) {
        double t = middle + half * (2. * k / (RAYS - 1) - 1);
        float g =
            shape_sample(&still->high, found->flipped, f->apex_u + radius * sin(t) / f->aspect,
                         f->apex_v + radius * cos(t));
        if (isnan(g)) continue;
        all++;
        lit += g > mask->floor;
    }
    return all * 3 > RAYS ? (double)lit / all : 0;
}

/* The first radius with most rays lit and hardly any before it; 0: none. */
static double first_bright(const es_still *still, const shape_mask *mask,
                           const es_fan_found *found) {
    double before[3] = {0};
    for (double r = 5; r < .9 * found->fan.radius_stop; r++) {
        double share = lit_share(still, mask, found, r);
        if (share > .6) return before[0] < .15 ? r - .5 : 0;
        if (before[0] > .3) return 0;
        before[0] = before[1], before[1] = before[2], before[2] = share;
    }
    return 0;
}

static bool complete_fan(const es_still *still, const shape_mask *mask, int parts,
                         es_fan_found *found, es_error *err) {
    double radius = first_bright(still, mask, found);
    if (radius == 0) return true;
    es_fan_found again = {0};
    const es_fan *f = &found->fan;
    shape_fan coarse = {.fan = *f, .left = true, .right = true, .start = true, .stop = true};
    coarse.fan.radius_start = radius;
    coarse.fan.angle_start_rad = atan(tan(f->angle_start_rad) / f->aspect);
    coarse.fan.angle_stop_rad = atan(tan(f->angle_stop_rad) / f->aspect);
    coarse.flipped = found->flipped;
    if (!shape_fan_refine(still, mask, parts, &coarse, &again, err)) return false;
    if (!again.found || !again.start_seen || !again.pinned) return true;
    again.ring = true;
    again.radius_start_sigma = hypot(again.radius_start_sigma, SIGMA_PX);
    *found = again;
    return true;
}

/* ---- alone ------------------------------------------------------------------------ */

/* Points of an arc and the circle through them. */
typedef struct arc {
    double (*points)[2];
    size_t count, room;
    double circle[3]; /* u, v, radius */
    double rms, from, to;
} arc;

static bool circle_residuals(void *context, const double *x, double *residuals, es_error *err) {
    (void)err;
    const arc *a = context;
    for (size_t i = 0; i < a->count; i++)
        residuals[i] =
            es_fit_soft(hypot(a->points[i][0] - x[0], a->points[i][1] - x[1]) - x[2], .5);
    return true;
}

static bool fit_circle(arc *a, es_error *err) {
    es_fit fit = {.residuals = circle_residuals, .context = a, .n = 3, .m = (int)a->count};
    es_fit_result result;
    if (!es_fit_run(&fit, a->circle, NULL, &result, err)) return false;
    double sum = 0;
    a->from = PI, a->to = -PI;
    for (size_t i = 0; i < a->count; i++) {
        double x = a->points[i][0] - a->circle[0], y = a->points[i][1] - a->circle[1];
        sum += pow(hypot(x, y) - a->circle[2], 2);
        a->from = fmin(a->from, atan2(x, y));
        a->to = fmax(a->to, atan2(x, y));
    }
    a->rms = sqrt(sum / (double)a->count);
    return true;
}

/* The upper border of the part, one point a column. */
static bool upper_border(const shape_flood *f, arc *a) {
    uint32_t wide = f->u1 - f->u0 + 1;
    if (wide < LEAST_WIDTH || f->count < 2 * LEAST_WIDTH) return false;
    a->count = wide;
    for (uint32_t k = 0; k < wide; k++) a->points[k][1] = INFINITY;
    for (size_t k = 0; k < f->count; k++) {
        uint32_t u = f->stack[k] % f->width, v = f->stack[k] / f->width;
        double *p = a->points[u - f->u0];
        p[0] = u;
        p[1] = fmin(p[1], v - .5);
    }
    return true;
}

/* The circle through three points whose centre lies above them. */
static bool circle_through(const double *p, const double *q, const double *r, double circle[3]) {
    double ax = q[0] - p[0], ay = q[1] - p[1], bx = r[0] - p[0], by = r[1] - p[1];
    double det = 2 * (ax * by - ay * bx), a = ax * ax + ay * ay, b = bx * bx + by * by;
    if (fabs(det) < 10) return false;
    double x = (by * a - ay * b) / det, y = (ax * b - bx * a) / det;
    circle[0] = p[0] + x;
    circle[1] = p[1] + y;
    circle[2] = hypot(x, y);
    return circle[2] > 10 && circle[1] < fmin(p[1], fmin(q[1], r[1]));
}

static double circle_distance(const double circle[3], const double *p) {
    return fabs(hypot(p[0] - circle[0], p[1] - circle[1]) - circle[2]);
}

/* The circle that most of the border lies on; only its points stay. */
static bool start_arc(arc *a) {
    es_random random = es_random_new(2, 0);
    size_t best = 0, kept = 0;
    for (int k = 0; k < TRIES; k++) {
        const double *p[3];
        double circle[3];
        for (int j = 0; j < 3; j++)
            p[j] = a->points[(size_t)(es_random_uniform(&random) * (double)a->count)];
        if (!circle_through(p[0], p[1], p[2], circle)) continue;
        size_t votes = 0;
        for (size_t i = 0; i < a->count; i++) votes += circle_distance(circle, a->points[i]) < 1.2;
        if (votes > best) best = votes, memcpy(a->circle, circle, sizeof circle);
    }
    if (best < LEAST_POINTS || best * 3 < a->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (circle_distance(a->circle, a->points[i]) < 1.5)
            memmove(a->points[kept++], a->points[i], sizeof *a->points);
    a->count = kept;
    return true;
}

/* The border by half maximum along rays from the centre. */
static void refine_points(const es_image *low, double dark, arc *a) {
    double from = a->from * .95, to = a->to * .95, step = 1 / a->circle[2];
    size_t n = 0;
    step = fmax(step, (to - from) / (double)a->room);
    for (double t = from; t < to && n < a->room; t += step) {
        float values[25], inside = 0;
        for (int k = 0; k < 25; k++) {
            double r = a->circle[2] - 3 + k * .25;
            values[k] =
                shape_sample(low, false, a->circle[0] + r * sin(t), a->circle[1] + r * cos(t));
            if (k >= 16) inside += (values[k] - (float)dark) / 9;
        }
        for (int k = 1; k < 25; k++) {
            float half = (float)dark + .5F * inside;
            if (!(values[k - 1] <= half && values[k] > half)) continue;
            double r = a->circle[2] - 3 +
                       .25 * (k - 1 + (half - values[k - 1]) / (values[k] - values[k - 1]));
            a->points[n][0] = a->circle[0] + r * sin(t);
            a->points[n][1] = a->circle[1] + r * cos(t);
            n++;
            break;
        }
    }
    a->count = n;
}

static bool is_ring(const arc *a) {
    return a->circle[2] > 10 && a->rms < MOST_RMS && a->to - a->from > LEAST_ARC &&
           fabs(a->from + a->to) / 2 < MOST_LEAN;
}

/* Are there echoes between the arc and its centre? Then it is a reflector: what
 * lies above a transducer's face is the transducer. */
static bool echoes_above(const shape_mask *mask, const arc *a) {
    double most = ABOVE * a->circle[2];
    size_t lit = 0;
    for (uint32_t v = 0; v < mask->height; v++)
        for (uint32_t u = 0; u < mask->width; u++) {
            double x = u - a->circle[0], y = v - a->circle[1], angle = atan2(x, y);
            lit += angle > a->from && angle < a->to && x * x + y * y < most * most &&
                   shape_lit(mask, u, v, SHAPE_LARGE);
        }
    return lit > MOST_ABOVE;
}

/* Whether the part in `f` is a ring, and which. */
static bool try_part(const es_still *still, const shape_mask *mask, const shape_flood *f, arc *a,
                     bool *yes, es_error *err) {
    *yes = false;
    if (!upper_border(f, a) || !start_arc(a)) return true;
    if (!fit_circle(a, err)) return false;
    if (!(a->circle[2] > 10 && a->rms < 6 * MOST_RMS)) return true;
    refine_points(&still->low, mask->dark, a);
    if (a->count < LEAST_POINTS) return true;
    if (!fit_circle(a, err)) return false;
    *yes = is_ring(a) && !echoes_above(mask, a);
    return true;
}

static void take_ring(const arc *a, const es_still *still, es_fan_found *found) {
    *found = (es_fan_found){.found = true, .ring = true, .start_seen = true};
    found->fan = (es_fan){.kind = ES_FAN_CURVED,
                          .apex_u = a->circle[0],
                          .apex_v = a->circle[1],
                          .radius_start = a->circle[2],
                          .radius_stop = still->height - a->circle[1],
                          .angle_start_rad = a->from,
                          .angle_stop_rad = a->to,
                          .aspect = 1};
    /* the shorter the arc, the less it fixes its radius */
    double fraction = 1 - cos((a->to - a->from) / 2);
    double drawn = hypot(SIGMA_PX, a->rms / sqrt((double)a->count) * 4 / fraction);
    /* and nothing shows whether the pixels are square: the radius of a short arc
     * goes with the square of the stretch, that of half a circle with itself */
    double stretch = 2 - fraction;
    found->radius_start_sigma = hypot(drawn, stretch * ASPECT_DOUBT * a->circle[2]);
    found->radius_stop_sigma = INFINITY;
    found->apex_sigma = found->radius_start_sigma;
    found->aspect_sigma = ASPECT_DOUBT;
}

/* The largest ring among the bright parts of the temporal minimum. */
static bool lone_ring(const es_still *still, const shape_mask *mask, es_fan_found *found,
                      es_error *err) {
    size_t n = (size_t)still->width * still->height, best = 0;
    const float *low = still->low.data;
    shape_flood f = {0};
    arc a = {.points = es_alloc(still->width, sizeof *a.points, err), .room = still->width};
    bool ok = a.points && shape_flood_make(still->width, still->height, &f, err);
    for (size_t i = 0; ok && i < n; i++) f.inside[i] = low[i] > mask->floor + RING_ABOVE;
    for (size_t i = 0; ok && i < n; i++) {
        bool yes;
        if (!f.inside[i]) continue;
        shape_flood_fill(&f, i);
        ok = try_part(still, mask, &f, &a, &yes, err);
        if (!ok || !yes || a.count <= best) continue;
        best = a.count;
        take_ring(&a, still, found);
    }
    shape_flood_clear(&f);
    es_free(a.points);
    return ok;
}

bool shape_ring_find(const es_still *still, const shape_mask *mask, int parts, es_fan_found *found,
                     es_error *err) {
    if (!mask->label) return true;
    if (!found->found) return lone_ring(still, mask, found, err);
    return !found->pinned || complete_fan(still, mask, parts, found, err);
}
