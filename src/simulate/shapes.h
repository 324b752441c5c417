/* shapes.h: signed distances (mm, negative inside) that scenes are made of,
 * and smooth unions and intersections of them.
 *
 * Sphere, box, cylinder, torus, rcone and barrel are exact; ellipsoid is the
 * first-order distance k0 (k0 - 1) / k1, true at the surface and bent away
 * from it; smooth blends are exact outside their blending width only. */
#ifndef SIMULATE_SHAPES_H
#define SIMULATE_SHAPES_H

#include <math.h>

#include "echosolid/geom.h"

static inline double shape_length(es_vec3 p) { return sqrt(es_vec3_dot(p, p)); }

static inline double shape_clamp(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* 0 below `low`, 1 above `high`, with flat ends. */
static inline double shape_ramp(double value, double low, double high) {
    double t = shape_clamp((value - low) / (high - low), 0, 1);
    return t * t * (3 - 2 * t);
}

/* Polynomial smooth minimum: differs from min by k/4 at most, and only where
 * |a - b| < k. */
static inline double smooth_min(double a, double b, double k_mm) {
    double h = fmax(k_mm - fabs(a - b), 0) / k_mm;
    return fmin(a, b) - h * h * k_mm * 0.25;
}

static inline double smooth_max(double a, double b, double k_mm) {
    return -smooth_min(-a, -b, k_mm);
}

/* Distance to a rectangle in a plane, from the two distances to its sides. */
static inline double shape_corner(double side_a, double side_b) {
    double a = fmax(side_a, 0), b = fmax(side_b, 0);
    return fmin(fmax(side_a, side_b), 0) + sqrt(a * a + b * b);
}

static inline double shape_sphere(es_vec3 p, es_vec3 centre, double radius) {
    return shape_length(es_vec3_sub(p, centre)) - radius;
}

static inline double shape_box(es_vec3 p, es_vec3 half) {
    es_vec3 q = es_vec3_make(fabs(p.x) - half.x, fabs(p.y) - half.y, fabs(p.z) - half.z);
    es_vec3 out = es_vec3_make(fmax(q.x, 0), fmax(q.y, 0), fmax(q.z, 0));
    return fmin(fmax(q.x, fmax(q.y, q.z)), 0) + shape_length(out);
}

/* About the z axis. */
static inline double shape_cylinder(es_vec3 p, double radius, double half_height) {
    return shape_corner(sqrt(p.x * p.x + p.y * p.y) - radius, fabs(p.z) - half_height);
}

/* About the y axis. */
static inline double shape_torus(es_vec3 p, double ring_radius, double tube_radius) {
    double ring = sqrt(p.x * p.x + p.z * p.z) - ring_radius;
    return sqrt(ring * ring + p.y * p.y) - tube_radius;
}

/* Round cone: the union of the spheres whose centre runs from a to b and
 * whose radius runs from ra to rb. The nearest of them is the one whose
 * normal, tilted by asin((ra - rb) / |b - a|), passes through p. */
static inline double shape_rcone(es_vec3 p, es_vec3 a, double ra, es_vec3 b, double rb) {
    es_vec3 axis = es_vec3_sub(b, a), from_a = es_vec3_sub(p, a);
    double length = shape_length(axis);
    double along = es_vec3_dot(from_a, axis) / length;
    double across = sqrt(fmax(es_vec3_dot(from_a, from_a) - along * along, 0));
    double sine = (ra - rb) / length;
    double tangent = sine / sqrt(1 - sine * sine);
    double centre = shape_clamp(along - across * tangent, 0, length);
    double left = along - centre;
    return sqrt(left * left + across * across) - (ra - centre * sine);
}

static inline double shape_ellipsoid(es_vec3 p, es_vec3 centre, es_vec3 radii) {
    es_vec3 q = es_vec3_sub(p, centre);
    es_vec3 once = es_vec3_make(q.x / radii.x, q.y / radii.y, q.z / radii.z);
    es_vec3 twice = es_vec3_make(once.x / radii.x, once.y / radii.y, once.z / radii.z);
    double k1 = shape_length(twice);
    if (k1 < 1e-9) return -fmin(radii.x, fmin(radii.y, radii.z));
    double k0 = shape_length(once);
    return k0 * (k0 - 1) / k1;
}

/* A disc about the x axis through `centre`, edges rounded by `edge`. */
static inline double shape_barrel(es_vec3 p, es_vec3 centre, double radius, double half_width,
                                  double edge) {
    es_vec3 q = es_vec3_sub(p, centre);
    double radial = sqrt(q.y * q.y + q.z * q.z);
    return shape_corner(fabs(q.x) - (half_width - edge), radial - (radius - edge)) - edge;
}

#endif
