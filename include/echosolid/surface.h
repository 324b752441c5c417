/* echosolid/surface.h: sparse fields to meshes, and what a mesh measures. */
#ifndef ECHOSOLID_SURFACE_H
#define ECHOSOLID_SURFACE_H

#include "echosolid/image.h"
#include "echosolid/patches.h"

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
#define ES_ISO_DEFAULTS                                                                            \
    { .inside_below = true }

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

/* In place: keeps the `count` components of the largest area (0: all), none
 * under min_area_mm2, and drops vertices that no triangle uses. Triangles that
 * share a vertex are of one component. *kept and *dropped (may be NULL) are
 * counts of components. On failure the mesh is as it was. */
bool es_mesh_keep_components(es_mesh *mesh, size_t count, double min_area_mm2, size_t *kept,
                             size_t *dropped, es_error *err);

/* In place: keeps the component that is nearest to the point. *dropped (may be NULL):
 * how many others there were. ES_USAGE for a point that is not finite. */
bool es_mesh_keep_nearest(es_mesh *mesh, es_vec3 point, size_t *dropped, es_error *err);

/* In place: Taubin's lambda|mu smoothing (Taubin 1995) with equal weights;
 * usual are 20 rounds of 0.5 and -0.53, which keep the volume to a few parts in
 * ten thousand. Boundary vertices are averaged with their two neighbours along
 * the boundary only; where several boundaries touch they stay. A triangle that
 * would lose 99 % of its area (a tip of the boundary, a small hole) keeps its
 * corners. ES_USAGE unless
 * 0 <= lambda <= 1 and -1.5 <= mu <= 0. On failure the mesh is as it was. */
bool es_mesh_smooth(es_mesh *mesh, int iterations, double lambda, double mu, es_error *err);

typedef struct es_mesh_cleaning {
    size_t collapsed;      /* edges shorter than asked */
    size_t pieces_dropped; /* components without an edge that is long enough */
} es_mesh_cleaning;

/* In place: makes a mesh that stays two-manifold where it loses its indices
 * (STL). Edges shorter than min_edge_mm are collapsed wherever the surface
 * stays a two-manifold of the same shape and no facet turns over; components
 * with no longer edge are dropped. Vertices that still share their coordinates,
 * or their triangles' one vertex (fans that touch), are moved apart by
 * min_edge_mm / 100. A closed component stays closed, unless it is dropped.
 * Vertices keep their order, the doubles of touching fans last. *cleaning may
 * be NULL. On failure the mesh is as it was. ES_USAGE for a min_edge_mm not
 * above 0, ES_GEOMETRY for bad edges (see es_mesh_check). Conditions of the
 * collapse: Dey, Edelsbrunner, Guha and Nekhayev 1999. */
bool es_mesh_clean(es_mesh *mesh, double min_edge_mm, es_mesh_cleaning *cleaning, es_error *err);

/* The sheet and a copy moved by thickness_mm against the smoothed normals,
 * joined along the rim: closed, two-manifold. The first vertices and triangles
 * of the solid are the sheet's own, unchanged (vertices where two fans touch
 * are doubled, the doubles following, a thousandth of an edge aside). No copy
 * or double shares its coordinates with another vertex. Where the sheet bends
 * round more sharply than the thickness allows, or facets would cross, the solid
 * is thinner; facets of the sheet that no solid can be had of without a crossing
 * (folds of noise at the rim) are left out, with a note, and counted in *left_out (may be NULL).
 * Closed components stay as they are. `solid` is overwritten, {0} on failure. ES_USAGE for a
 * thickness not above 0, ES_GEOMETRY for a sheet with bad edges (see es_mesh_check). */
bool es_mesh_thicken(const es_mesh *sheet, double thickness_mm, es_pool *pool, es_mesh *solid,
                     size_t *left_out, es_error *err);

typedef struct es_mesh_check {
    size_t components;           /* of triangles that share vertices */
    size_t boundary_edges;       /* used by one triangle */
    size_t boundary_loops;       /* closed walks along edges without a partner */
    size_t bad_edges;            /* used more than twice, or twice in one sense */
    size_t bad_vertices;         /* with more than one fan of triangles */
    size_t degenerate;           /* facets without area */
    bool closed;                 /* has triangles, and no boundary, bad edge or bad vertex */
    long euler;                  /* V - E + F; vertices that no triangle uses do not count */
    double area_mm2, volume_mm3; /* volume is only meaningful when closed */
} es_mesh_check;
/* ES_FORMAT when an index is past the vertices or a coordinate not finite, as
 * in every function here that takes a mesh. */
bool es_mesh_inspect(const es_mesh *mesh, es_mesh_check *check, es_error *err);
/* The same of the mesh as readers of STL have it, which holds no indices:
 * vertices of equal coordinates are one. Triangles with two corners in one
 * place are left out, and count as degenerate. */
bool es_mesh_inspect_welded(const es_mesh *mesh, es_mesh_check *check, es_error *err);

/* Pairs of triangles that have a point in common besides common corners and sides:
 * the surface runs through itself, or touches itself. Vertices of equal coordinates are
 * one; triangles with two corners in one place do not count. The answer is exact.
 * `crossed` may be NULL; else per triangle whether it is in such a pair. */
bool es_mesh_find_crossings(const es_mesh *mesh, es_pool *pool, bool *crossed, size_t *pairs,
                            es_error *err);

/* The rims of a mesh, each a closed walk along edges that one triangle uses. */
typedef struct es_mesh_loop {
    size_t first, edges; /* its vertices are vertices[first .. first + edges - 1], in order */
    double length_mm;
    double area_mm2; /* of the polygon; less than what a bent loop would take to close */
    bool outer;      /* the longest of its component: goes round it; the others are holes */
} es_mesh_loop;
typedef struct es_mesh_loops {
    es_mesh_loop *items;
    size_t count;
    uint32_t *vertices;
    size_t vertex_count;
} es_mesh_loops;
/* `loops` is overwritten, {0} on failure; es_mesh_loops_clear frees it. */
bool es_mesh_find_loops(const es_mesh *mesh, es_mesh_loops *loops, es_error *err);
void es_mesh_loops_clear(es_mesh_loops *loops);

/* What was added to close a mesh. It was not measured. */
typedef struct es_mesh_closing {
    size_t closed;   /* rims */
    size_t left;     /* holes that are larger, or whose membrane would cross the surface */
    size_t vertices; /* added: their confidence is 0 */
    double area_mm2; /* added */
} es_mesh_closing;

/* In place: closes the holes of which no two points are farther apart than
 * diameter_mm (INFINITY: all of them) by membranes as fine as the mesh. A piece's
 * longest rim goes round it and is no hole, unless the piece has more area than the
 * ball that is as wide as the rim. Each added triangle has an added vertex; those have
 * confidence 0, and a mesh that had no confidence gets 1 elsewhere. Old vertices and
 * triangles come first and unchanged (vertices where two fans touch are doubled).
 * *closing may be NULL. On failure the mesh is as it was. ES_USAGE for a diameter not
 * above 0, ES_GEOMETRY for bad edges, ES_UNSUPPORTED for a hole of more than 100,000
 * vertices. Methods: least area by dynamic programming (Barequet and Sharir 1995),
 * refinement (Liepa 2003), harmonic membrane (Pinkall and Polthier 1993). */
bool es_mesh_close_holes(es_mesh *mesh, double diameter_mm, es_mesh_closing *closing,
                         es_error *err);

/* A sheet closed to a solid, two-manifold, whose back was not measured: holes are
 * closed, and behind what is left a membrane hangs in the lower rim of a wall of
 * least_mm. It keeps least_mm behind the sheet, or half of the distance to the rim if
 * that is less; a flat sheet becomes a plate. Where facets would cross it is as
 * es_mesh_thicken would have it, which also says what is left out of the sheet. All that
 * was added has confidence 0, as in es_mesh_close_holes. `solid` is overwritten, {0} on
 * failure. */
bool es_mesh_cap(const es_mesh *sheet, double least_mm, es_mesh *solid, es_mesh_closing *closing,
                 es_error *err);

/* Distances of points spread evenly over `from` (about one per sample_mm2 of
 * its area, and every vertex; weighted by the area that each stands for) to
 * the nearest point of `to`. The points depend on the mesh alone. The sign is
 * that of the angle-weighted pseudo-normal (Baerentzen and Aanaes 2005); beyond
 * the boundary of an open mesh that of the nearest triangle. */
typedef struct es_mesh_distance {
    double mean_mm, rms_mm, p95_mm, max_mm; /* of unsigned distances */
    double signed_mean_mm;                  /* positive: `from` lies outside `to` */
    size_t samples;
} es_mesh_distance;
/* ES_GEOMETRY when a mesh has no triangles or `from` no area; ES_USAGE when
 * sample_mm2 is not above 0 or asks for more than 2^28 samples. */
bool es_mesh_compare(const es_mesh *from, const es_mesh *to, double sample_mm2, es_pool *pool,
                     es_mesh_distance *distance, es_error *err);

/* The turn and shift, without scale, that lay `from` on `to` from where it is:
 * iterated nearest points along the normals (Chen and Medioni 1992), over up to
 * 5000 vertices; those on the rim of `to`, and those further off than four times
 * the median, do not count. Finds the nearest fit, so meshes must lie roughly
 * right. ES_GEOMETRY when a mesh has no triangles. */
typedef struct es_mesh_alignment {
    es_mat4 motion;
    int rounds;
    int determined; /* of six directions; a sphere determines three */
    bool converged;
} es_mesh_alignment;
bool es_mesh_align(const es_mesh *from, const es_mesh *to, es_mesh_alignment *result,
                   es_error *err);

/* Unsigned distance in mm of each of `count` points (3 floats each) to the
 * mesh; NaN for a point that is not finite. */
bool es_mesh_point_distances(const es_mesh *mesh, const float *points, size_t count, es_pool *pool,
                             float *distances, es_error *err);

/* ---- smooth patches and fewer triangles -------------------------------------- */

typedef struct es_patch_options {
    /* 95 % of the surface shall be nearer than this, both ways; the size of the
     * patches follows from it. */
    double tolerance_mm;
    double cell_mm;      /* above 0: this size of patches, whatever the deviation */
    size_t patches_max;  /* of one side; finer ones are not tried */
    double thickness_mm; /* of an open mesh: above 0 a solid, 0 the sheet itself */
} es_patch_options;
#define ES_PATCH_DEFAULTS                                                                          \
    { .tolerance_mm = 0.25, .patches_max = 2000, .thickness_mm = 2 }

typedef struct es_patch_report {
    double cell_mm; /* side of a patch, about */
    int tries;      /* grids that were tried */
    bool closed;    /* the mesh was */
    bool reached;   /* the tolerance */
    size_t patches, walls;
    size_t planes;            /* flat ends of a closed mesh that are flat faces */
    bool rimmed;              /* of a sheet: the patches end on the mesh's own rim */
    size_t bridged;           /* holes of a rimmed sheet so small that patches close them */
    double bridged_mm;        /* the longest way round one of them */
    size_t dropped;           /* patches at the rim of a sheet that hang on by a corner */
    long euler, mesh_euler;   /* of the closed surface, and of the mesh */
    es_mesh_distance to_mesh; /* patches (of the seen side) to the mesh */
    es_mesh_distance from_mesh;
    /* Of a thickened sheet: the least distance of its sides at the patches'
     * middles, and patches of the hidden side that are turned over: the sheet
     * bends more sharply there than the thickness allows. */
    double thinnest_mm;
    size_t folded;
} es_patch_report;

/* Smooth patches about one component of a mesh: the coarse dual grid of its
 * signed distance as a mesh of quadrilaterals of any genus, one bicubic patch for
 * each (Loop and Schaefer 2008), and its vertices by least squares such that the
 * patches lie on the mesh. Neighbours share their boundary control points; where
 * four patches meet they are curvature continuous. A closed mesh gives a closed
 * surface, whose flat ends with sharp edges all round (a bone that was sawn) are planes;
 * of an open one a sheet up to its rim (a smooth line along it; where no row
 * of quads fits the rim, the patches that the mesh covers), as it is or as a
 * solid with a copy behind it and ruled walls along the rim. `patches` is
 * overwritten, {0} on failure. ES_GEOMETRY for a mesh without triangles, with bad
 * edges, or with no patch that it covers (too small for the cells); ES_USAGE for
 * options out of range. The same bytes on any number of threads. */
bool es_surface_patches(const es_mesh *mesh, const es_patch_options *options, es_pool *pool,
                        es_patches *patches, es_patch_report *report, es_error *err);

typedef struct es_cube_report {
    int size;       /* controls a side */
    es_vec3 centre; /* from which the surface is seen as a star */
    bool reached;   /* the tolerance */
    es_mesh_distance to_mesh, from_mesh;
} es_cube_report;

/* Six bicubic B-spline patches about a closed mesh that is star-shaped: each ray
 * from a place inside meets it once, and not too flatly. Directions of a cube's
 * faces, spaced by equal angles, give the parameters; the controls are the least
 * squares of the rays' hits, of 8, 12, 16, 24, 32 or 48 a side, the fewest that
 * leave 95 % of the surface nearer than the tolerance. `cube` is overwritten, {0}
 * on failure. ES_GEOMETRY for a mesh that is not closed, of one piece without
 * handles, and star-shaped (saying how much of it is not); ES_USAGE for a
 * tolerance not above 0. */
bool es_surface_cube(const es_mesh *mesh, double tolerance_mm, es_pool *pool, es_spline_cube *cube,
                     es_cube_report *report, es_error *err);

/* The components (triangles that share vertices), by falling area; es_mesh_clear
 * each, then es_free the array. NULL on failure. */
es_mesh *es_mesh_split(const es_mesh *mesh, size_t *count, es_error *err);

typedef struct es_decimate_options {
    size_t triangles;       /* stop at so many; 0: as few as the distance allows */
    double max_distance_mm; /* of either surface from the other; INFINITY: any */
} es_decimate_options;
typedef struct es_decimate_report {
    size_t triangles_before;
    es_mesh_distance to_original, from_original; /* measured on the result */
} es_decimate_report;
/* In place: fewer triangles by collapsing edges, the cheapest first by the
 * quadric error of Garland and Heckbert 1997; each only if the surface stays a
 * two-manifold of the same shape, no facet turns over, and every vertex of the
 * original stays near. The result is measured both ways, and made again with a
 * smaller allowance if a sample lies further off than max_distance_mm. Rims keep
 * to their lines. Confidence goes with the vertices. On failure the mesh is as it
 * was. ES_GEOMETRY for bad edges or a distance that cannot be kept, ES_USAGE for
 * a distance not above 0, or neither of the two given. */
bool es_mesh_decimate(es_mesh *mesh, const es_decimate_options *options, es_pool *pool,
                      es_decimate_report *report, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
