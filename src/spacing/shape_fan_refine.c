/* The fan to a part of a pixel.
 *
 * Along each edge of the coarse fan, in pieces of some 14 pixels, the grey is
 * sampled across the edge and averaged along it; the place where it rises
 * through half of the inside's level is one edge point. Averaging along the
 * edge keeps speckle away, and half maximum is right for hard and for smooth
 * borders alike. Then apex, radii, angles and (where the edges insist) the
 * aspect are fitted jointly to all edge points, soft-L1 by reweighted
 * Gauss-Newton; a second and third round samples along the better fan. */
#include "shape_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

#define SOFT_PX .5 /* scale of the soft-L1 loss */
#define LEAST_SCALE_PX .25
#define AGREE_PX 1.  /* an edge point within this supports its edge */
#define CORNER_PX 5. /* edges are not sampled this close to a corner */
#define STEP_PX .25  /* of the samples across an edge */
#define FLOOR_PX .06 /* no edge is known better, whatever the fit says */
/* Of the level that an edge rises to, as far as speckle and halos leave it unknown. The
 * middle .6 of the level take rise_px: the half is off by LEVEL_DOUBT of rise_px / .6. That
 * is .04 px of an edge cut at pixel centres, and grows with the blur. The cut itself leaves
 * less: off by a sawtooth of half a pixel that averages out along an arc, but for its
 * lowest part, which runs along one row: .25 root r over the arc's length (the sawtooth's
 * Fourier series, each wave a Fresnel integral), .02 px at a radius of 200. */
#define LEVEL_DOUBT .03
#define RAY_STEP .0025 /* radians */
#define MOST_EXTENSION .8
#define THINNEST .82       /* r_in / r_out: thinner is a reflector */
#define LEAST_STRETCH .002 /* less is no grabber's doing */
#define LEAST_LIT .5       /* of a fan whose sides do not hold it */
#define MOST_RISE_PX 2.    /* of a trapezoid's side, from a fifth to four fifths */
#define CREST_SHARE .92    /* of a crest: speckle makes crests of its own */
#define CORRELATED 2       /* neighbouring edge points share speckle: sigma times this */

enum {
    LEFT_EDGE,
    RIGHT_EDGE,
    START_EDGE,
    STOP_EDGE,
    EDGES,
    APEX_U = 0,
    APEX_V,
    R_START,
    R_STOP,
    ANGLE_L,
    ANGLE_R,
    ASPECT,
    PARAMETERS,
    PIECES = 64, /* an edge, at most */
    PIECE_PX = 14,
    LEAST_PIECE_PX = 5,
    FEW_PIECES = 9, /* a short edge is cut into this many */
    ROUNDS = 3,
    FIT_STEPS = 12,
    LEAST_RAY = 12, /* samples of a ray that are in the picture */
    ACROSS = 97     /* samples across an edge, at most: 12 px either way */
};

typedef struct edge_point {
    double u, v;
    int edge;
    double residual;
    double rise_px; /* from a fifth to four fifths of the level inside */
} edge_point;

typedef struct refiner {
    const es_still *still;
    const es_image *grey;
    const shape_mask *mask;
    bool flipped;
    es_fan fan;
    bool use[EDGES];
    bool wedge;
    edge_point points[EDGES * PIECES];
    int count;
    int pieces[EDGES]; /* that lie in the picture */
    int agree[EDGES];
    double covariance[PARAMETERS * PARAMETERS];
    double spread; /* robust deviation of the edge points, px */
    bool near;     /* the fan is as good as fitted: outliers are told by the spread */
} refiner;

float shape_sample(const es_image *grey, bool flipped, double u, double v) {
    double w = grey->width, h = grey->height;
    if (flipped) v = h - 1 - v;
    if (!(u >= 0 && v >= 0 && u <= w - 1 && v <= h - 1)) return NAN;
    uint32_t x = (uint32_t)u, y = (uint32_t)v;
    uint32_t right = x + 1 < grey->width, below = y + 1 < grey->height ? grey->width : 0;
    const float *g = (const float *)grey->data + (size_t)y * grey->width + x;
    float a = (float)(u - x), b = (float)(v - y);
    return (1 - b) * ((1 - a) * g[0] + a * g[right]) +
           b * ((1 - a) * g[below] + a * g[below + right]);
}

/* ---- edge points ----------------------------------------------------------- */

/* One piece of an edge: `at` runs along it (angle for arcs, radius for sides). */
typedef struct piece {
    int edge;
    double from, to;
    int along, across; /* samples */
    double reach;      /* px to either side of the edge */
} piece;

/* The place `d` px inside of the edge. */
static void place(const es_fan *fan, const piece *p, double at, double d, double *u, double *v) {
    double x, y;
    if (p->edge == START_EDGE || p->edge == STOP_EDGE) {
        double r = p->edge == START_EDGE ? fan->radius_start + d : fan->radius_stop - d;
        x = r * sin(at), y = r * cos(at);
    } else {
        bool left = p->edge == LEFT_EDGE;
        double angle = left ? fan->angle_start_rad : fan->angle_stop_rad, n = left ? d : -d;
        x = at * sin(angle) + n * cos(angle), y = at * cos(angle) - n * sin(angle);
    }
    *u = fan->apex_u + x / fan->aspect;
    *v = fan->apex_v + y;
}

static double mean_of(const double *values, int from, int to) {
    double sum = 0;
    for (int k = from; k < to; k++) sum += values[k];
    return to > from ? sum / (to - from) : 0;
}

/* Grey over the surround along one ray across the edge; false when it leaves
 * the picture. */
static bool sample_ray(const refiner *r, const piece *p, double at, double values[ACROSS]) {
    for (int k = 0; k < p->across; k++) {
        double u, v;
        place(&r->fan, p, at, -p->reach + k * 2 * p->reach / (p->across - 1), &u, &v);
        values[k] = shape_sample(r->grey, r->flipped, u, v) - r->mask->dark;
        if (isnan(values[k])) return false;
    }
    return true;
}

/* Mean profile across the piece; false when it leaves the picture. Each ray is
 * scaled by its own level just inside, so that a reflector at the edge counts
 * as one ray and the half of each stays where it is: cut off at a common level
 * bright rays would rise too early. Faint rays count by how bright they are. */
static bool profile(const refiner *r, const piece *p, float faint, double out[ACROSS]) {
    int rays = 0, middle = p->across / 2, near = (int)lrint(4 / STEP_PX);
    double values[ACROSS];
    memset(out, 0, ACROSS * sizeof *out);
    for (int i = 0; i < p->along; i++) {
        double at = p->from + (p->to - p->from) * (i + .5) / p->along;
        if (!sample_ray(r, p, at, values)) continue;
        double level =
            mean_of(values, middle + 1, middle + near < p->across ? middle + near : p->across);
        double scale = 1 / fmax(level, faint);
        rays++;
        for (int k = 0; k < p->across; k++) out[k] += values[k] * scale;
    }
    for (int k = 0; k < p->across && rays; k++) out[k] *= faint / rays;
    return rays * 3 >= p->along * 2;
}

/* The highest level, over a pixel and a half, in values[from .. to). */
static double crest(const double *values, int from, int to) {
    int window = (int)lrint(1.5 / STEP_PX);
    double best = -INFINITY;
    for (int k = from; k + window <= to; k++) best = fmax(best, mean_of(values, k, k + window));
    return best;
}

/* The level that an edge at `at` rises to: the mean of what follows. A
 * bright ring along the face is thinner than that, there it is the crest. */
static double level_inside(const double *values, const piece *p, int at) {
    int px = (int)lrint(1 / STEP_PX);
    double mean = mean_of(values, at, at + 4 * px);
    return p->edge == START_EDGE ? fmax(mean, CREST_SHARE * crest(values, at, at + 4 * px)) : mean;
}

/* Where the profile, followed outwards and inwards from sample `at`, is at
 * `share` of the level, in samples. */
static double pass(const double *values, const piece *p, int at, double level, double share) {
    int k = at;
    double want = share * level;
    while (k > 0 && values[k] > want) k--;
    while (k + 1 < p->across && values[k + 1] <= want) k++;
    return k + 1 < p->across ? k + (want - values[k]) / (values[k + 1] - values[k]) : k;
}

/* Where the profile rises through half the level just inside, next to its
 * steepest two-pixel step; NaN without a clear step. The level is that of the
 * crest: a bright ring along the face is thinner than the step is wide. */
static double rise(const double *values, const piece *p, float least) {
    double step = 2 * p->reach / (p->across - 1), best = 0, half = 0;
    int width = (int)lrint(2 / step), at = -1;
    for (int k = width; k + 2 * width < p->across; k++) {
        double before = mean_of(values, k - width, k), after = mean_of(values, k, k + 2 * width);
        if (after - before > best) best = after - before, at = k, half = before / 2;
    }
    if (at < 0 || best < least) return NAN;
    half += level_inside(values, p, at) / 2;
    double outside = mean_of(values, 0, at - width / 2),
           inside = mean_of(values, at + 1, p->across);
    if (outside > .5 * inside) return NAN;
    for (int reach = 0; reach <= width; reach++)
        for (int side = -1; side <= 1; side += 2) {
            int k = at + side * reach;
            if (k < 1 || k >= p->across || values[k - 1] > half || values[k] <= half) continue;
            return -p->reach +
                   step * (k - 1 + (half - values[k - 1]) / (values[k] - values[k - 1]));
        }
    return NAN;
}

static void measure_piece(refiner *r, const piece *p) {
    double values[ACROSS];
    float least = .5F * (r->mask->floor - r->mask->dark);
    if (!profile(r, p, 2 * least, values)) return;
    r->pieces[p->edge]++;
    double d = rise(values, p, least);
    if (isnan(d)) return;
    edge_point *e = &r->points[r->count++];
    place(&r->fan, p, (p->from + p->to) / 2, d, &e->u, &e->v);
    e->edge = p->edge;
    int at = (int)lrint((d + p->reach) / STEP_PX);
    double level = mean_of(values, p->across - p->across / 4, p->across);
    e->rise_px = STEP_PX * (pass(values, p, at, level, .8) - pass(values, p, at, level, .2));
}

/* The stretch of an edge that is sampled, and how many px one unit of it is. */
static double stretch(const es_fan *fan, int edge, double *from, double *to) {
    if (edge == START_EDGE || edge == STOP_EDGE) {
        double radius = edge == START_EDGE ? fan->radius_start : fan->radius_stop;
        *from = fan->angle_start_rad + CORNER_PX / radius;
        *to = fan->angle_stop_rad - CORNER_PX / radius;
        return radius;
    }
    *from = fmax(fan->radius_start, 0) + CORNER_PX;
    *to = fan->radius_stop - CORNER_PX;
    return 1;
}

static void measure_edges(refiner *r, double reach) {
    r->count = 0;
    memset(r->pieces, 0, sizeof r->pieces);
    for (int edge = 0; edge < EDGES; edge++) {
        double from, to, scale = stretch(&r->fan, edge, &from, &to), length = (to - from) * scale;
        if (!r->use[edge] || !(length > PIECE_PX)) continue;
        double size = fmin(fmax(length / FEW_PIECES, LEAST_PIECE_PX), PIECE_PX);
        int n = (int)fmin(length / size, PIECES);
        piece p = {.edge = edge, .reach = reach};
        p.along = (int)fmin(ceil(length / n), 60);
        p.across = (int)fmin(2 * lrint(reach / STEP_PX) + 1, ACROSS);
        for (int k = 0; k < n; k++) {
            p.from = from + (to - from) * k / n;
            p.to = from + (to - from) * (k + 1) / n;
            measure_piece(r, &p);
        }
    }
}

/* ---- the joint fit ----------------------------------------------------------- */

static double *parameter(es_fan *fan, int which) {
    double *all[PARAMETERS] = {&fan->apex_u,      &fan->apex_v,          &fan->radius_start,
                               &fan->radius_stop, &fan->angle_start_rad, &fan->angle_stop_rad,
                               &fan->aspect};
    return all[which];
}

/* Distance of the point from its edge and its derivative by each parameter. */
static double edge_residual(const es_fan *fan, const edge_point *p, double jacobian[PARAMETERS]) {
    double a = fan->aspect, du = p->u - fan->apex_u, x = a * du, y = p->v - fan->apex_v;
    memset(jacobian, 0, PARAMETERS * sizeof *jacobian);
    if (p->edge == START_EDGE || p->edge == STOP_EDGE) {
        double radius = fmax(hypot(x, y), 1e-9);
        bool start = p->edge == START_EDGE;
        jacobian[APEX_U] = -a * x / radius;
        jacobian[APEX_V] = -y / radius;
        jacobian[start ? R_START : R_STOP] = -1;
        jacobian[ASPECT] = x * du / radius;
        return radius - (start ? fan->radius_start : fan->radius_stop);
    }
    bool left = p->edge == LEFT_EDGE;
    double angle = left ? fan->angle_start_rad : fan->angle_stop_rad, c = cos(angle),
           s = sin(angle);
    jacobian[APEX_U] = -a * c;
    jacobian[APEX_V] = s;
    jacobian[left ? ANGLE_L : ANGLE_R] = -x * s - y * c;
    jacobian[ASPECT] = du * c;
    return x * c - y * s;
}

static void measure_spread(refiner *r) {
    double all[EDGES * PIECES], unused[PARAMETERS];
    for (int i = 0; i < r->count; i++) {
        r->points[i].residual = edge_residual(&r->fan, &r->points[i], unused);
        all[i] = fabs(r->points[i].residual);
    }
    qsort(all, (size_t)r->count, sizeof *all, es_compare_doubles);
    r->spread = r->count ? 1.4826 * all[r->count / 2] : INFINITY;
}

/* Far off the shape the first rounds pull softly (soft-L1); once it is near,
 * points that scatter by more than the others are of something else, such as a
 * corner or a cut, and hardly count (Geman and McClure). */
static double weight_of(const refiner *r, double e) {
    if (!r->near) {
        double w = 1 / sqrt(1 + (e / SOFT_PX) * (e / SOFT_PX));
        return fabs(e) > 8 * SOFT_PX ? .05 * w : w;
    }
    double scale = fmax(3 * r->spread, LEAST_SCALE_PX), z = 1 + (e / scale) * (e / scale);
    return 1 / (z * z);
}

/* One step of reweighted Gauss-Newton over the free parameters; leaves the
 * inverse of the normal matrix in r->covariance. False when it is singular. */
static bool fit_step(refiner *r, const bool free_parameters[PARAMETERS], double *change) {
    double normal[PARAMETERS * PARAMETERS] = {0}, right[PARAMETERS] = {0}, j[PARAMETERS];
    for (int i = 0; i < r->count; i++) {
        double e = edge_residual(&r->fan, &r->points[i], j);
        double w = weight_of(r, e);
        for (int a = 0; a < PARAMETERS; a++) {
            if (!free_parameters[a]) j[a] = 0;
            right[a] -= w * j[a] * e;
        }
        for (int a = 0; a < PARAMETERS; a++)
            for (int b = 0; b < PARAMETERS; b++) normal[a * PARAMETERS + b] += w * j[a] * j[b];
    }
    for (int a = 0; a < PARAMETERS; a++)
        if (!free_parameters[a]) normal[a * PARAMETERS + a] = 1;
    if (LAPACKE_dpotrf(LAPACK_ROW_MAJOR, 'L', PARAMETERS, normal, PARAMETERS) ||
        LAPACKE_dpotrs(LAPACK_ROW_MAJOR, 'L', PARAMETERS, 1, normal, PARAMETERS, right, 1) ||
        LAPACKE_dpotri(LAPACK_ROW_MAJOR, 'L', PARAMETERS, normal, PARAMETERS))
        return false;
    memcpy(r->covariance, normal, sizeof normal);
    *change = 0;
    for (int a = 0; a < PARAMETERS; a++) {
        if (!free_parameters[a]) continue;
        *parameter(&r->fan, a) += right[a];
        *change = fmax(*change, fabs(right[a]));
    }
    return isfinite(*change);
}

static bool fit(refiner *r, bool with_aspect) {
    bool free_parameters[PARAMETERS] = {true,
                                        true,
                                        r->use[START_EDGE],
                                        r->use[STOP_EDGE],
                                        r->use[LEFT_EDGE],
                                        r->use[RIGHT_EDGE],
                                        with_aspect};
    double change = 1;
    for (int k = 0; k < FIT_STEPS && change > 1e-6; k++)
        if (!fit_step(r, free_parameters, &change)) return false;
    measure_spread(r);
    return true;
}

static double sigma_of(const refiner *r, int which) {
    double variance = r->covariance[which * PARAMETERS + which];
    return CORRELATED * sqrt(fmax(variance, 0)) * fmax(r->spread, FLOOR_PX);
}

/* Edges without enough points leave the fit. True when one left. */
static bool drop_unsupported(refiner *r) {
    bool dropped = false;
    memset(r->agree, 0, sizeof r->agree);
    int points[EDGES] = {0}, kept = 0;
    for (int i = 0; i < r->count; i++) {
        points[r->points[i].edge]++;
        r->agree[r->points[i].edge] += fabs(r->points[i].residual) < AGREE_PX;
    }
    for (int e = 0; e < EDGES; e++) {
        if (!r->use[e]) continue;
        bool supported =
            r->agree[e] >= 4 && r->agree[e] * 5 >= r->pieces[e] && r->agree[e] * 5 >= points[e] * 2;
        if (supported) continue;
        r->use[e] = false;
        dropped = true;
        if (e == START_EDGE) r->fan.radius_start = .1 * r->fan.radius_stop;
    }
    for (int i = 0; i < r->count; i++)
        if (r->use[r->points[i].edge]) r->points[kept++] = r->points[i];
    r->count = kept;
    return dropped;
}

/* Enough to hold apex and a radius: two sides and an arc, a side and an arc
 * and more, or two wide arcs. */
static bool held(const refiner *r) {
    int sides = r->use[LEFT_EDGE] + r->use[RIGHT_EDGE],
        arcs = r->use[START_EDGE] + r->use[STOP_EDGE];
    if (r->wedge) return sides == 2 && r->count >= 12;
    return arcs && sides + arcs >= 2 && r->count >= 12;
}

static bool rounds(refiner *r) {
    for (int k = 0; k < ROUNDS; k++) {
        measure_edges(r, k ? 6 : 12);
        if (!held(r) || !fit(r, false)) return false;
        if (drop_unsupported(r) && (!held(r) || !fit(r, false))) return false;
    }
    return true;
}

/* ---- past a black sector -------------------------------------------------------- */

/* Share of what is lit along the ray at `angle`; NaN when too little of it is
 * in the picture. */
static double ray_lit(const refiner *r, double angle) {
    int lit = 0, all = 0;
    double from = r->fan.radius_start + CORNER_PX, to = r->fan.radius_stop - CORNER_PX;
    for (double radius = from; radius < to; radius += 2) {
        float g = shape_sample(&r->still->high, r->flipped,
                               r->fan.apex_u + radius * sin(angle) / r->fan.aspect,
                               r->fan.apex_v + radius * cos(angle));
        if (isnan(g)) continue;
        all++;
        lit += g > r->mask->floor;
    }
    return all >= LEAST_RAY ? (double)lit / all : NAN;
}

/* A black sector can take the place of a side edge: are there lit rays beyond
 * it? Then the outermost of them is the edge. */
static bool extend_side(refiner *r, int edge) {
    double *angle = edge == LEFT_EDGE ? &r->fan.angle_start_rad : &r->fan.angle_stop_rad;
    double step = (edge == LEFT_EDGE ? -1 : 1) * RAY_STEP, found = 0;
    int run = 0;
    if (!r->use[START_EDGE] || !r->use[STOP_EDGE]) return false;
    for (double t = *angle + 4 * step; fabs(t - *angle) < MOST_EXTENSION && fabs(t) < 1.5;
         t += step) {
        run = ray_lit(r, t) > .6 ? run + 1 : 0;
        if (run >= 4) found = t;
    }
    if (found == 0) return false;
    *angle = found + step / 2;
    r->use[edge] = true;
    return true;
}

static bool extend(refiner *r) {
    refiner before = *r;
    bool left = extend_side(r, LEFT_EDGE), right = extend_side(r, RIGHT_EDGE);
    if (!left && !right) return true;
    if (rounds(r) && r->use[LEFT_EDGE] >= before.use[LEFT_EDGE] &&
        r->use[RIGHT_EDGE] >= before.use[RIGHT_EDGE])
        return true;
    *r = before;
    return true;
}

/* The last arc is where the lines end, not a reflector along a part of it? */
static bool stop_seen(const refiner *r) {
    return r->use[STOP_EDGE] && r->agree[STOP_EDGE] * 5 >= r->pieces[STOP_EDGE] * 2;
}

/* The coarse search's stretch is a guess; where the edges cannot tell, the
 * pixels are taken as square. */
static void make_square(refiner *r) {
    r->fan.angle_start_rad = atan(tan(r->fan.angle_start_rad) / r->fan.aspect);
    r->fan.angle_stop_rad = atan(tan(r->fan.angle_stop_rad) / r->fan.aspect);
    r->fan.aspect = 1;
    for (int k = 1; k < ROUNDS; k++) {
        measure_edges(r, 6);
        if (!fit(r, false)) return;
    }
}

/* The last fit. Frees the aspect; keeps it where it is clearly not one. */
static double settle_aspect(refiner *r) {
    bool can = r->use[LEFT_EDGE] && r->use[RIGHT_EDGE] && stop_seen(r);
    double sigma = .02;
    if (!can && r->fan.aspect != 1) make_square(r);
    r->near = true;
    refiner square = *r;
    if (can && fit(r, true)) {
        sigma = sigma_of(r, ASPECT);
        if (fabs(r->fan.aspect - 1) > fmax(4 * sigma, LEAST_STRETCH)) return sigma;
    }
    *r = square;
    if (!fit(r, false)) *r = square;
    return fmin(fmax(sigma, .001), .02);
}

/* ---- verdict ------------------------------------------------------------------ */

/* Share of the lit pixels that lie outside of the fan. */
static double share_outside(const refiner *r, int parts) {
    es_fan wide = r->fan;
    wide.radius_start -= 3;
    wide.radius_stop += 3;
    if (!r->use[START_EDGE]) wide.radius_start = 0;
    if (!r->use[STOP_EDGE]) wide.radius_stop = INFINITY;
    double margin = 3 / fmax(r->fan.radius_stop, 10);
    wide.angle_start_rad -= margin + (r->use[LEFT_EDGE] ? 0 : .2);
    wide.angle_stop_rad += margin + (r->use[RIGHT_EDGE] ? 0 : .2);
    size_t lit = 0, outside = 0;
    for (uint32_t v = 0; v < r->mask->height; v += 2)
        for (uint32_t u = 0; u < r->mask->width; u += 2) {
            if (!shape_lit(r->mask, u, v, parts)) continue;
            double row = r->flipped ? r->mask->height - 1. - v : v;
            lit++;
            outside += !es_fan_contains(&wide, u, row);
        }
    return lit ? (double)outside / (double)lit : 1;
}

/* Share of the fan, as far as it is in the picture, that is lit. */
static double share_lit(const refiner *r) {
    size_t lit = 0, all = 0;
    for (uint32_t v = 0; v < r->mask->height; v += 2)
        for (uint32_t u = 0; u < r->mask->width; u += 2) {
            double row = r->flipped ? r->mask->height - 1. - v : v;
            if (!es_fan_contains(&r->fan, u, row)) continue;
            all++;
            lit += shape_lit(r->mask, u, v, SHAPE_LARGE);
        }
    return all ? (double)lit / (double)all : 0;
}

/* From a fifth to four fifths of the level, of half of the edge's pieces; NaN where there are
 * none. */
static double median_rise(const refiner *r, int edge) {
    double rises[PIECES];
    int n = 0;
    for (int i = 0; i < r->count; i++)
        if (r->points[i].edge == edge) rises[n++] = r->points[i].rise_px;
    qsort(rises, (size_t)n, sizeof *rises, es_compare_doubles);
    return n ? rises[n / 2] : NAN;
}

static double level_sigma(const refiner *r, int edge) {
    double rise = median_rise(r, edge);
    return LEVEL_DOUBT / .6 * (isnan(rise) ? 1 : rise);
}

/* LAPACK leaves the lower half of it. */
static double covariance_of(const refiner *r, int one, int other) {
    return one > other ? r->covariance[one * PARAMETERS + other]
                       : r->covariance[other * PARAMETERS + one];
}

/* Of a wedge's width at its first row, by what the fit knows of its sides; the row is cut
 * at pixel centres. */
static double width_sigma(const refiner *r) {
    const es_fan *f = &r->fan;
    double left = tan(f->angle_start_rad), right = tan(f->angle_stop_rad), variance = 0;
    double depth = f->radius_start * cos(fmax(-f->angle_start_rad, f->angle_stop_rad));
    const int of[3] = {APEX_V, ANGLE_L, ANGLE_R};
    const double by[3] = {left - right, -depth * (1 + left * left), depth * (1 + right * right)};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) variance += by[i] * by[k] * covariance_of(r, of[i], of[k]);
    double sides = CORRELATED * fmax(r->spread, FLOOR_PX) * sqrt(fmax(variance, 0));
    double level = hypot(level_sigma(r, LEFT_EDGE), level_sigma(r, RIGHT_EDGE));
    return hypot(hypot(sides, level), (right - left) / sqrt(12)) / f->aspect;
}

static void tell(const refiner *r, es_fan_found *f) {
    const es_fan *fan = &r->fan;
    double w = r->mask->width, h = r->mask->height;
    f->fan = *fan;
    f->start_seen = r->use[START_EDGE];
    f->stop_seen = stop_seen(r);
    f->pinned = r->use[LEFT_EDGE] && r->use[RIGHT_EDGE];
    f->radius_start_sigma = hypot(sigma_of(r, R_START), level_sigma(r, START_EDGE));
    f->width_sigma = r->wedge ? width_sigma(r) : NAN;
    f->radius_stop_sigma = hypot(sigma_of(r, R_STOP), level_sigma(r, STOP_EDGE));
    f->apex_sigma = hypot(fmax(sigma_of(r, APEX_U), sigma_of(r, APEX_V)), FLOOR_PX);
    f->cut_left = fan->apex_u + fan->radius_stop * sin(fan->angle_start_rad) / fan->aspect < -.5;
    f->cut_right = fan->apex_u + fan->radius_stop * sin(fan->angle_stop_rad) / fan->aspect > w - .5;
    f->cut_bottom = fan->apex_v + fan->radius_stop > h - .5;
    f->flipped = r->flipped;
    f->found = true;
}

/* A trapezoid's first row passes for an arc where only few pieces count. */
static bool flat_face(const refiner *r) {
    double flat = 0, curved = 0, mean = 0, n = 0;
    for (int i = 0; i < r->count; i++)
        if (r->points[i].edge == START_EDGE) mean += r->points[i].v, n++;
    if (n < 1) return false;
    mean /= n;
    for (int i = 0; i < r->count; i++)
        if (r->points[i].edge == START_EDGE) {
            flat += fabs(r->points[i].v - mean);
            curved += fabs(r->points[i].residual);
        }
    return flat < curved;
}

/* A side as sharp as scanners cut their fields? Where contact ends, the grey
 * grows over many pixels. */
static bool is_sharp(const refiner *r, int edge) { return median_rise(r, edge) <= MOST_RISE_PX; }

/* Refuses what looks like a fan by chance. */
static void judge(const refiner *r, const shape_fan *coarse, int parts, es_fan_found *f) {
    double outside = share_outside(r, parts);
    const char *why = NULL;
    if (outside > .1)
        why = "it leaves a tenth of the echoes outside";
    else if (f->start_seen && f->stop_seen && r->fan.radius_start > THINNEST * r->fan.radius_stop)
        why = "it is as thin as a reflector";
    else if (!(r->use[LEFT_EDGE] || coarse->cut_left) || !(r->use[RIGHT_EDGE] || coarse->cut_right))
        why = "a side edge is neither seen nor cut off by the picture";
    else if (r->wedge && !(is_sharp(r, LEFT_EDGE) && is_sharp(r, RIGHT_EDGE)))
        why = "its sides are not sharp";
    else if (!f->pinned && !r->wedge && share_lit(r) < LEAST_LIT)
        why = "arcs alone in a dark field may be reflectors";
    else if (f->start_seen && !f->stop_seen && flat_face(r))
        why = "its face is flat";
    else if (sigma_of(r, f->stop_seen ? R_STOP : R_START) > .02 * r->fan.radius_stop)
        why = "its edges fix it too loosely";
    if (!why) return;
    f->found = false;
    snprintf(f->why, sizeof f->why, "the best fan (radii %.0f to %.0f px) is refused: %s",
             r->fan.radius_start, r->fan.radius_stop, why);
}

bool shape_fan_refine(const es_still *still, const shape_mask *mask, int parts,
                      const shape_fan *coarse, es_fan_found *found, es_error *err) {
    refiner *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return false;
    r->still = still;
    r->grey = &still->high;
    r->mask = mask;
    r->flipped = coarse->flipped;
    r->fan = coarse->fan;
    double a = coarse->fan.aspect;
    r->wedge = coarse->wedge;
    if (!coarse->start && !r->wedge) r->fan.radius_start = 0;
    if (!coarse->stop && !r->wedge) r->fan.radius_stop = hypot(mask->width * a, mask->height);
    /* the coarse angles are those of the picture, not of square pixels */
    r->fan.angle_start_rad = atan(a * tan(coarse->fan.angle_start_rad));
    r->fan.angle_stop_rad = atan(a * tan(coarse->fan.angle_stop_rad));
    bool edges[EDGES] = {coarse->left, coarse->right, coarse->start, coarse->stop};
    memcpy(r->use, edges, sizeof edges);
    if (!rounds(r) || !extend(r)) {
        snprintf(found->why, sizeof found->why,
                 "a shape like a fan, but its edges are not sharp enough to measure");
    } else {
        found->aspect_sigma = settle_aspect(r);
        tell(r, found);
        judge(r, coarse, parts, found);
    }
    es_free(r);
    return true;
}
