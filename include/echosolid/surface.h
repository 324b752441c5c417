/* echosolid/surface.h: sparse fields to meshes, and what a mesh measures. */
#ifndef ECHOSOLID_SURFACE_H
#define ECHOSOLID_SURFACE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most triangles a mesh may have here: three half-edges each are numbered
 * in 32 bits. */
#define ES_MESH_TRIANGLES_MAX ((size_t)1 << 30)

typedef struct es_iso_options {
    double level;
    bool inside_below;    /* true: inside where value < level (distances); false: above (grey) */
    float min_weight;     /* voxels with less are unknown: the surface ends there */
    bool outside_unknown; /* true: unknown counts as outside, so that the mesh is closed */
    /* Above 0: each vertex gets the confidence w / (w + half_weight), w being
     * the weight there; 0 on caps that outside_unknown made. 0: none. */
    float half_weight;
} es_iso_options;
#define ES_ISO_DEFAULTS { .inside_below = true }

/* The surface where the field crosses the level, counter-clockwise seen from
 * outside. Two-manifold by construction at any level, with a boundary where
 * the field ends; voxels without weight, under min_weight or NaN are unknown.
 * A vertex stays 1/1000 of a voxel away from lattice points, so that no facet
 * is without area even where values equal the level. Deterministic for any
 * thread count (pool may be NULL). A field that never crosses the level gives
 * a mesh without triangles. `mesh` is overwritten, {0} on failure; free it
 * with es_mesh_clear. ES_USAGE for a level or weights that are not numbers,
 * ES_GEOMETRY when 32-bit vertices cannot tell the voxels apart. Method:
 * marching cubes (Lorensen and Cline 1987) with face-consistent cases. */
bool es_surface_extract(const es_bricks *bricks, const es_iso_options *options, es_pool *pool,
                        es_mesh *mesh, es_error *err);

/* Keeps the `count` components of the largest area (0: all), none under
 * min_area_mm2. *kept and *dropped (may be NULL) are counts of components. */
bool es_mesh_keep_components(es_mesh *mesh, size_t count, double min_area_mm2, size_t *kept,
                             size_t *dropped, es_error *err);
/* Taubin's lambda|mu smoothing (Taubin 1995); boundary vertices move along
 * the boundary only. */
bool es_mesh_smooth(es_mesh *mesh, int iterations, double lambda, double mu, es_error *err);
/* The sheet and a copy moved by thickness_mm against the normals, joined
 * along the rim: closed, two-manifold. Closed components stay as they are. */
bool es_mesh_thicken(const es_mesh *sheet, double thickness_mm, es_mesh *solid, es_error *err);

typedef struct es_mesh_check {
    size_t components, boundary_edges, boundary_loops, bad_edges, bad_vertices, degenerate;
    bool closed;                 /* every edge used twice in opposite senses, one fan a vertex */
    long euler;                  /* V - E + F */
    double area_mm2, volume_mm3; /* volume is only meaningful when closed */
} es_mesh_check;
bool es_mesh_inspect(const es_mesh *mesh, es_mesh_check *check, es_error *err);

/* Distances of points spread evenly over `from` (about one per sample_mm^2
 * and every vertex, weighted by area) to the nearest point of `to`. */
typedef struct es_mesh_distance {
    double mean_mm, rms_mm, p95_mm, max_mm;
    double signed_mean_mm; /* positive: `from` lies outside `to` */
    size_t samples;
} es_mesh_distance;
bool es_mesh_compare(const es_mesh *from, const es_mesh *to, double sample_mm, es_pool *pool,
                     es_mesh_distance *distance, es_error *err);
/* Unsigned distance of each of `count` points (3 floats each) to the mesh. */
bool es_mesh_point_distances(const es_mesh *mesh, const float *points, size_t count, es_pool *pool,
                             float *distances, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
