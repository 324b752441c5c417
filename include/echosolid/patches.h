/* echosolid/patches.h: surfaces of bicubic patches as a value, between the room
 * that fits them and the room that writes them. A second header of geom. */
#ifndef ECHOSOLID_PATCHES_H
#define ECHOSOLID_PATCHES_H

#include "echosolid/geom.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A Bezier patch: bicubic, or cubic by linear (a ruled wall). Its control
 * points are numbers of points that neighbours share, which is what makes the
 * surface tight: bicubic point[4 * i + j], ruled point[2 * i + j], i along u
 * and j along v, both from 0 to 1. du x dv points outwards. */
typedef struct es_patch {
    uint32_t point[16];
    bool ruled;
} es_patch;

/* A flat face within one ring of patches, seen whole from `at`: `count` sides,
 * plane_sides[first] on, each 4 * patch + k as in es_patch_side. They follow one
 * another as the patches walk them, clockwise seen from outside, and all their
 * control points lie in the plane. */
typedef struct es_patch_plane {
    es_vec3 at, normal; /* inside of the ring; unit, outwards */
    size_t first, count;
} es_patch_plane;

typedef struct es_patches {
    double *points; /* 3 per control point, mm */
    size_t point_count;
    es_patch *patches;
    size_t count;
    es_patch_plane *planes; /* NULL when there are none */
    size_t plane_count;
    uint32_t *plane_sides;
} es_patches;
void es_patches_clear(es_patches *patches); /* leaves {0} */

/* The point at u, v. */
es_vec3 es_patch_point(const es_patches *patches, size_t patch, double u, double v);

/* steps x steps squares of two triangles per patch, and a fan per plane; vertices
 * along shared sides are shared, so that a closed surface gives a closed mesh. `mesh` is
 * overwritten, {0} on failure. ES_USAGE unless 1 <= steps <= 64, ES_GEOMETRY for
 * numbers past the points. */
bool es_patches_mesh(const es_patches *patches, int steps, es_mesh *mesh, es_error *err);

/* By Gauss's quadrature, exact for volume and centroid. Both mean something for
 * a closed surface only. */
typedef struct es_patches_measure {
    double area_mm2, volume_mm3;
    es_vec3 centroid;
} es_patches_measure;
es_patches_measure es_patches_measured(const es_patches *patches);

/* ---- sides ------------------------------------------------------------------ */

/* The side k of a patch, counter-clockwise seen from outside: 0: v = 0, 1: u =
 * 1, 2: v = 1, 3: u = 0; its control points in that order. Returns how many, 4
 * or 2. */
int es_patch_side(const es_patch *patch, int k, uint32_t side[4]);

/* Sides of patches that are one edge have one number; an edge goes from its
 * lower end to its higher one (numbers of points). A plane uses the sides of its ring
 * once more, in the opposite sense. */
typedef struct es_patch_edge {
    uint32_t point[4];
    int points;    /* 4, or 2: a straight line */
    uint32_t uses; /* 2 in a closed surface, 1 on a rim */
    bool opposite; /* used twice: in opposite senses */
} es_patch_edge;
typedef struct es_patch_edges {
    es_patch_edge *edges;
    size_t count;
    uint32_t *of_side; /* edge of side 4 * patch + k */
} es_patch_edges;
/* ES_GEOMETRY for numbers past the points or a side that ends where it starts. */
bool es_patch_edges_find(const es_patches *patches, es_patch_edges *edges, es_error *err);
void es_patch_edges_clear(es_patch_edges *edges);

/* ---- six patches about a star-shaped body ------------------------------------- */

/* A cube whose six faces are bicubic B-splines of size x size control points,
 * uniform and clamped at the borders; neighbours share the controls of their
 * common side. Face 2 a + s looks along axis a, backwards (s = 0) or forwards;
 * u and v run along the next two axes, in that order forwards and changed
 * backwards, so that du x dv points outwards. */
enum { ES_CUBE_SIZE_MAX = 64 };
typedef struct es_spline_cube {
    int size;
    double *points; /* 3 per control point, mm */
    size_t point_count;
    uint32_t *index; /* of control i along u, j along v: index[(face * size + i) * size + j] */
} es_spline_cube;
/* Room for the points, which are 0. `cube` is overwritten, {0} on failure. ES_USAGE
 * unless 4 <= size <= ES_CUBE_SIZE_MAX. */
bool es_spline_cube_new(int size, es_spline_cube *cube, es_error *err);
void es_spline_cube_clear(es_spline_cube *cube); /* leaves {0} */

/* Where 0 <= t <= 1 lies among `size` controls: the weights of four of them from the
 * one that is returned. */
int es_spline_weights(int size, double t, double weight[4]);

/* The same surface as (size - 3)^2 Bezier patches a face, exactly. They share points
 * within a face. `patches` is overwritten, {0} on failure. */
bool es_spline_cube_patches(const es_spline_cube *cube, es_patches *patches, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
