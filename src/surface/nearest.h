/* The point of a mesh that is nearest to a given one; shared inside the room. */
#ifndef ECHOSOLID_SURFACE_NEAREST_H
#define ECHOSOLID_SURFACE_NEAREST_H

#include "echosolid/surface.h"

typedef struct nearest_tree nearest_tree;

/* Keeps a pointer to the mesh, which must have a triangle (ES_GEOMETRY). With
 * `with_sign` it also knows inside from outside. NULL on failure. */
nearest_tree *surface_nearest_new(const es_mesh *mesh, bool with_sign, es_error *err);
void surface_nearest_free(nearest_tree *tree);

/* Distance in mm; with sign, negative behind the surface. NaN for a point that
 * is not finite. Safe from several threads at once. */
double surface_nearest_distance(const nearest_tree *tree, es_vec3 point);

/* The same, faster for points in a row, and INFINITY past `limit`: *near is where
 * the last search of this row ended, any number at first. Of equally near triangles
 * it decides which one is met, so a row is a fixed part of the work, never "what
 * this thread did last". */
double surface_nearest_within(const nearest_tree *tree, es_vec3 point, double limit,
                              uint32_t *near);

/* The nearest point itself. Of a tree with sign; `near` as above. */
typedef struct nearest_place {
    es_vec3 at, normal; /* unit pseudo-normal, outwards */
    double distance;
    bool rim; /* on the boundary of an open mesh */
} nearest_place;
nearest_place surface_nearest_place(const nearest_tree *tree, es_vec3 point, uint32_t *near);

/* es_mesh_compare with points in the triangles only, for fine meshes, and with a
 * tree that is there. `from` must be sound and have an area of at least some
 * sample_mm2. */
typedef struct surface_deviation {
    es_mesh_distance all;
    es_vec3 farthest; /* the sample at max_mm */
} surface_deviation;
bool surface_compare_points(const es_mesh *from, const nearest_tree *to, double sample_mm2,
                            es_pool *pool, surface_deviation *found, es_error *err);

/* The same for patches, drawn as steps x steps squares each, and a mesh: [0] patches to
 * the mesh, [1] back. */
typedef struct patch_judge {
    const nearest_tree *tree; /* of the mesh */
    double sample_mm2;
    es_pool *pool;
} patch_judge;
bool surface_compare_patches(const es_patches *patches, int steps, const es_mesh *mesh,
                             const patch_judge *judge, surface_deviation found[2], es_error *err);

/* The squared distance of a point from one triangle, exact below `limit`. */
double surface_triangle_squared(const es_vec3 corner[3], es_vec3 point, double limit);

#endif
