/* A polygon with holes as triangles.
 *
 * Each hole, the rightmost first, is joined to what lies around it by a bridge
 * that is walked once in either sense: what is left is one polygon, from which
 * ears (corners without another corner in their triangle) are cut. */
#include "phantom_internal.h"

#include <math.h>
#include <string.h>

typedef struct ring {
    const double (*points)[2];
    int corners[FACE_CORNERS], count;
} ring;

static double cross(const double a[2], const double b[2], const double c[2]) {
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

static const double *at(const ring *r, int k) { return r->points[r->corners[k]]; }

static const double *before(const ring *r, int k) { return at(r, (k + r->count - 1) % r->count); }

static const double *after(const ring *r, int k) { return at(r, (k + 1) % r->count); }

static const double TINY = 1e-9; /* mm2, twice a triangle's area */

/* ---- bridges -------------------------------------------------------------------------------- */

static bool between(const double a[2], const double b[2], const double p[2]) {
    return fabs(cross(a, b, p)) <= TINY && (p[0] - a[0]) * (p[0] - b[0]) <= 0 &&
           (p[1] - a[1]) * (p[1] - b[1]) <= 0;
}

/* Segments that cross, or touch where neither shares an end with the other. */
static bool in_the_way(const double a[2], const double b[2], const double p[2], const double q[2]) {
    bool shares = memcmp(a, p, sizeof(double[2])) == 0 || memcmp(a, q, sizeof(double[2])) == 0 ||
                  memcmp(b, p, sizeof(double[2])) == 0 || memcmp(b, q, sizeof(double[2])) == 0;
    if (shares) return false;
    if (between(a, b, p) || between(a, b, q)) return true;
    return (cross(a, b, p) > 0) != (cross(a, b, q) > 0) &&
           (cross(p, q, a) > 0) != (cross(p, q, b) > 0);
}

/* Whether the way from corner k to p starts inside of the ring. */
static bool leads_inside(const ring *r, int k, const double p[2]) {
    const double *here = at(r, k), *last = before(r, k), *next = after(r, k);
    bool left_of_next = cross(here, next, p) > TINY, left_of_last = cross(last, here, p) > TINY;
    return cross(last, here, next) > 0 ? left_of_next && left_of_last
                                       : left_of_next || left_of_last;
}

static bool sees(const ring *r, int k, const double p[2]) {
    if (!leads_inside(r, k, p)) return false;
    for (int j = 0; j < r->count; j++)
        if (in_the_way(at(r, k), p, at(r, j), after(r, j))) return false;
    return true;
}

static int rightmost(const face_outline *o, int loop) {
    int best = o->first[loop];
    for (int k = best + 1; k < o->first[loop + 1]; k++)
        if (o->points[k][0] > o->points[best][0]) best = k;
    return best;
}

/* The nearest corner to the right that sees the hole's rightmost one. */
static int find_bridge(const ring *r, const double p[2]) {
    double least = INFINITY;
    int best = -1;
    for (int k = 0; k < r->count; k++) {
        double length = hypot(at(r, k)[0] - p[0], at(r, k)[1] - p[1]);
        if (at(r, k)[0] <= p[0] || length >= least || !sees(r, k, p)) continue;
        least = length;
        best = k;
    }
    return best;
}

static bool join(ring *r, const face_outline *o, int loop) {
    int from = rightmost(o, loop), first = o->first[loop], n = o->first[loop + 1] - first;
    int k = find_bridge(r, o->points[from]), *c = r->corners;
    if (k < 0) return false;
    memmove(c + k + 1 + n + 2, c + k + 1, (size_t)(r->count - k - 1) * sizeof *c);
    for (int j = 0; j <= n; j++) c[k + 1 + j] = first + (from - first + j) % n;
    c[k + n + 2] = c[k];
    r->count += n + 2;
    return true;
}

static bool join_all(ring *r, const face_outline *o) {
    bool joined[FACE_LOOPS] = {true};
    for (int round = 1; round < o->loops; round++) {
        int next = 0;
        for (int l = 1; l < o->loops; l++)
            if (!joined[l] &&
                (next == 0 || o->points[rightmost(o, l)][0] > o->points[rightmost(o, next)][0]))
                next = l;
        joined[next] = true;
        if (!join(r, o, next)) return false;
    }
    return true;
}

/* ---- ears --------------------------------------------------------------------------------------
 */

static bool is_ear(const ring *r, int k) {
    const double *a = before(r, k), *b = at(r, k), *c = after(r, k);
    if (cross(a, b, c) <= TINY) return false;
    for (int j = 0; j < r->count; j++) {
        const double *p = at(r, j);
        bool corner = memcmp(p, a, sizeof(double[2])) == 0 ||
                      memcmp(p, b, sizeof(double[2])) == 0 || memcmp(p, c, sizeof(double[2])) == 0;
        if (!corner && cross(a, b, p) >= -TINY && cross(b, c, p) >= -TINY &&
            cross(c, a, p) >= -TINY)
            return false;
    }
    return true;
}

/* The ear whose cut is shortest: no slivers across the face. */
static int best_ear(const ring *r) {
    double least = INFINITY;
    int best = -1;
    for (int k = 0; k < r->count; k++) {
        double cut = hypot(before(r, k)[0] - after(r, k)[0], before(r, k)[1] - after(r, k)[1]);
        if (cut >= least || !is_ear(r, k)) continue;
        least = cut;
        best = k;
    }
    return best;
}

int outline_triangles(const face_outline *outline, int triangles[FACE_CORNERS][3]) {
    ring r = {.points = outline->points, .count = outline->first[1]};
    int n = 0;
    for (int k = 0; k < r.count; k++) r.corners[k] = k;
    if (!join_all(&r, outline)) return 0;
    while (r.count > 2) {
        int k = best_ear(&r);
        if (k < 0) return 0;
        triangles[n][0] = r.corners[(k + r.count - 1) % r.count];
        triangles[n][1] = r.corners[k];
        triangles[n++][2] = r.corners[(k + 1) % r.count];
        memmove(r.corners + k, r.corners + k + 1, (size_t)(r.count - k - 1) * sizeof *r.corners);
        r.count--;
    }
    return n;
}
