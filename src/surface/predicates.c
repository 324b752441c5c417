/* Do two triangles meet? All answers are signs of volumes, and of areas where the
 * triangles lie in one plane. A sign from doubles counts when the value is larger than
 * its rounding error can be; the rare others are summed again without rounding: each
 * product of two doubles is two doubles by fma, and sums are kept as lists of doubles
 * that do not overlap (Shewchuk, "Adaptive precision floating-point arithmetic and
 * fast robust geometric predicates", 1997). */
#include "predicates.h"

#include <math.h>

enum { TERMS_MOST = 32 };

/* A sum of doubles that do not overlap, the small ones first. */
typedef struct exact_sum {
    double part[TERMS_MOST];
    int count;
} exact_sum;

static void add(exact_sum *s, double term) {
    int kept = 0;
    for (int i = 0; i < s->count; i++) {
        double sum = term + s->part[i], grown = sum - term;
        double error = (term - (sum - grown)) + (s->part[i] - grown);
        if (error != 0) s->part[kept++] = error;
        term = sum;
    }
    if (term != 0 || kept == 0) s->part[kept++] = term;
    s->count = kept;
}

static int sign_of(double value) { return (value > 0) - (value < 0); }

static int sum_sign(const exact_sum *s) { return sign_of(s->part[s->count - 1]); }

/* Adds sign * a * b * c. */
static void add_triple(exact_sum *s, double sign, double a, double b, double c) {
    double high = a * b, low = fma(a, b, -high);
    double h = high * c, l = low * c;
    add(s, sign * fma(low, c, -l));
    add(s, sign * l);
    add(s, sign * fma(high, c, -h));
    add(s, sign * h);
}

static int exact_side(es_vec3 u, es_vec3 v, es_vec3 w) {
    exact_sum s = {.count = 0};
    add_triple(&s, 1, u.y, v.z, w.x);
    add_triple(&s, -1, u.z, v.y, w.x);
    add_triple(&s, 1, u.z, v.x, w.y);
    add_triple(&s, -1, u.x, v.z, w.y);
    add_triple(&s, 1, u.x, v.y, w.z);
    add_triple(&s, -1, u.y, v.x, w.z);
    return sum_sign(&s);
}

/* Each of the six products has an error of a few 2^-53; 2^-49 of the sum of their
 * sizes is more than all of them. */
static const double ROUNDING = 0x1p-49;

int surface_side(es_vec3 a, es_vec3 b, es_vec3 c, es_vec3 d) {
    es_vec3 u = es_vec3_sub(b, a), v = es_vec3_sub(c, a), w = es_vec3_sub(d, a);
    double yz = u.y * v.z, zy = u.z * v.y, zx = u.z * v.x, xz = u.x * v.z, xy = u.x * v.y,
           yx = u.y * v.x;
    double value = (yz - zy) * w.x + (zx - xz) * w.y + (xy - yx) * w.z;
    double size = (fabs(yz) + fabs(zy)) * fabs(w.x) + (fabs(zx) + fabs(xz)) * fabs(w.y) +
                  (fabs(xy) + fabs(yx)) * fabs(w.z);
    if (fabs(value) > ROUNDING * size) return sign_of(value);
    return size > 0 ? exact_side(u, v, w) : 0;
}

/* ---- in one plane ----------------------------------------------------------------- */

typedef struct flat_point {
    double x, y;
} flat_point;

/* The sign of the area of a, b, c. */
static int turn(flat_point a, flat_point b, flat_point c) {
    double ux = b.x - a.x, uy = b.y - a.y, vx = c.x - a.x, vy = c.y - a.y;
    double one = ux * vy, two = uy * vx;
    exact_sum s = {.count = 0};
    add(&s, fma(ux, vy, -one));
    add(&s, -fma(uy, vx, -two));
    add(&s, one);
    add(&s, -two);
    return sum_sign(&s);
}

static bool between(double a, double b, double x) { return fmin(a, b) <= x && x <= fmax(a, b); }

static bool on_side(flat_point a, flat_point b, flat_point p) {
    return turn(a, b, p) == 0 && between(a.x, b.x, p.x) && between(a.y, b.y, p.y);
}

static bool sides_meet(flat_point a, flat_point b, flat_point c, flat_point d) {
    int abc = turn(a, b, c), abd = turn(a, b, d), cda = turn(c, d, a), cdb = turn(c, d, b);
    if (abc * abd < 0 && cda * cdb < 0) return true;
    return on_side(a, b, c) || on_side(a, b, d) || on_side(c, d, a) || on_side(c, d, b);
}

static bool flat_inside(const flat_point t[3], flat_point p) {
    int one = turn(t[0], t[1], p), two = turn(t[1], t[2], p), three = turn(t[2], t[0], p);
    bool left = one >= 0 && two >= 0 && three >= 0, right = one <= 0 && two <= 0 && three <= 0;
    return (left || right) && turn(t[0], t[1], t[2]) != 0;
}

/* The two coordinates in which triangle p is widest. */
static void flatten(const es_vec3 p[3], const es_vec3 q[3], flat_point f[3], flat_point g[3]) {
    es_vec3 n = es_vec3_cross(es_vec3_sub(p[1], p[0]), es_vec3_sub(p[2], p[0]));
    double x = fabs(n.x), y = fabs(n.y), z = fabs(n.z);
    for (int k = 0; k < 3; k++) {
        if (z >= x && z >= y) {
            f[k] = (flat_point){p[k].x, p[k].y};
            g[k] = (flat_point){q[k].x, q[k].y};
        } else if (y >= x) {
            f[k] = (flat_point){p[k].z, p[k].x};
            g[k] = (flat_point){q[k].z, q[k].x};
        } else {
            f[k] = (flat_point){p[k].y, p[k].z};
            g[k] = (flat_point){q[k].y, q[k].z};
        }
    }
}

/* Side k of one against the other triangle; `shared`: only what does not start at
 * the first corner, which both have. */
static bool flat_meet(const flat_point f[3], const flat_point g[3], int shared) {
    if (shared == 2) return turn(f[0], f[1], f[2]) * turn(f[0], f[1], g[2]) > 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            bool at_f = i != 1, at_g = j != 1; /* sides 0 and 2 end at corner 0 */
            if (shared == 1 && at_f && at_g) continue;
            if (sides_meet(f[i], f[(i + 1) % 3], g[j], g[(j + 1) % 3])) return true;
        }
    if (shared == 1)
        return flat_inside(f, g[1]) || flat_inside(f, g[2]) || flat_inside(g, f[1]) ||
               flat_inside(g, f[2]);
    return flat_inside(f, g[0]) || flat_inside(g, f[0]);
}

/* ---- in space --------------------------------------------------------------------- */

/* Whether the closed segment from a to b meets the closed triangle; the segment does
 * not lie in its plane. */
static bool pierces(es_vec3 a, es_vec3 b, const es_vec3 t[3], int side_a, int side_b) {
    if (side_a * side_b > 0) return false;
    int one = surface_side(a, b, t[0], t[1]), two = surface_side(a, b, t[1], t[2]),
        three = surface_side(a, b, t[2], t[0]);
    return (one >= 0 && two >= 0 && three >= 0) || (one <= 0 && two <= 0 && three <= 0);
}

/* A segment in the triangle's plane against it. */
static bool flat_segment_meets(es_vec3 a, es_vec3 b, const es_vec3 t[3]) {
    const es_vec3 segment[3] = {a, b, b};
    flat_point f[3], g[3];
    flatten(t, segment, f, g);
    for (int i = 0; i < 3; i++)
        if (sides_meet(f[i], f[(i + 1) % 3], g[0], g[1])) return true;
    return flat_inside(f, g[0]);
}

/* A side of one triangle against the other. With one shared corner only the sides
 * across from it can tell: what they meet is more than the corner. */
static bool sides_pierce(const es_vec3 p[3], const es_vec3 q[3], const int side[3], int shared) {
    for (int k = 0; k < 3; k++) {
        int n = (k + 1) % 3;
        if (shared == 1 && k != 1) continue;
        if (side[k] * side[n] > 0) continue;
        if (side[k] == 0 && side[n] == 0) {
            if (flat_segment_meets(p[k], p[n], q)) return true;
        } else if (pierces(p[k], p[n], q, side[k], side[n])) {
            return true;
        }
    }
    return false;
}

bool surface_triangles_meet(const es_vec3 p[3], const es_vec3 q[3], int shared) {
    int of_p[3], of_q[3];
    for (int k = 0; k < 3; k++) of_p[k] = k < shared ? 0 : surface_side(q[0], q[1], q[2], p[k]);
    if (shared == 2 && of_p[2] != 0) return false; /* two planes meet in the common side */
    if (of_p[0] == of_p[1] && of_p[1] == of_p[2] && of_p[0] != 0) return false;
    if (shared == 1 && of_p[1] * of_p[2] > 0) return false; /* in the corner alone */
    for (int k = 0; k < 3; k++) of_q[k] = k < shared ? 0 : surface_side(p[0], p[1], p[2], q[k]);
    if (shared == 1 && of_q[1] * of_q[2] > 0) return false;
    if (of_q[0] == of_q[1] && of_q[1] == of_q[2] && of_q[0] != 0) return false;
    bool flat = !of_p[0] && !of_p[1] && !of_p[2];
    if (flat) {
        flat_point f[3], g[3];
        flatten(p, q, f, g);
        return flat_meet(f, g, shared);
    }
    return sides_pierce(p, q, of_p, shared) || sides_pierce(q, p, of_q, shared);
}
