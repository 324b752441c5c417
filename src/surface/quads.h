/* A coarse mesh of quadrilaterals about a fine one of triangles, and the patches
 * that it stands for; shared inside the room. */
#ifndef ECHOSOLID_SURFACE_QUADS_H
#define ECHOSOLID_SURFACE_QUADS_H

#include "nearest.h"
#include "topology.h"

/* Half-edge h = 4 q + k runs from corner k of quad q to the next one;
 * counter-clockwise seen from outside. */
typedef struct quad_mesh {
    double *vertices; /* 3 per vertex, mm */
    size_t vertex_count;
    uint32_t *quads; /* 4 vertices per quad */
    size_t quad_count;
    uint32_t *twin;    /* per half-edge; NO_TWIN on the rim */
    uint32_t *valence; /* per vertex, when quads go all round it; 0 on the rim */
    double cell_mm;    /* that they were made with */
    size_t bad;        /* edges and vertices that are not those of a two-manifold */
    bool rimmed;       /* two quads at each vertex of the rim, which is the surface's own */
} quad_mesh;

static inline uint32_t quad_next(uint32_t h) { return (h & ~3u) | ((h + 1) & 3u); }
static inline uint32_t quad_previous(uint32_t h) { return (h & ~3u) | ((h + 3) & 3u); }

/* Draws the grid together about a place: its cells are `scale` times as large in
 * the middle, and as they were from `radius` on. */
typedef struct quad_lens {
    es_vec3 centre;
    double radius, scale; /* mm; 0.2..1 */
} quad_lens;

typedef struct quad_grid {
    double cell_mm;
    es_vec3 shift; /* cells (0..1 each) by which it starts beside the surface's box */
    const quad_lens *lenses;
    size_t lens_count;
    bool closed; /* the surface is */
} quad_grid;

/* One quad per edge of a cubic grid that the surface crosses, one vertex per
 * sheet of it in each cell. A tree of an open mesh gives quads up to about a cell
 * beyond its rim. `quads` is overwritten; its `bad` says whether the cells were
 * too coarse for the surface. ES_MEMORY for cells too small. */
bool surface_quads_find(const nearest_tree *tree, es_box3 box, const quad_grid *grid,
                        quad_mesh *quads, es_error *err);
/* Vertices and quads, without twins. */
bool surface_quads_copy(const quad_mesh *from, quad_mesh *to, es_error *err);
/* In place: the quads with keep[q] and the vertices they use; twins anew. */
bool surface_quads_keep(quad_mesh *quads, const bool *keep, es_error *err);
/* Twins, valences and `bad` of vertices and quads that have changed. */
bool surface_quads_join(quad_mesh *quads, es_error *err);
void surface_quads_clear(quad_mesh *quads);

/* The control points of the patches as sums over the quads' vertices (Loop and
 * Schaefer, "Approximating Catmull-Clark subdivision surfaces with bicubic
 * patches", 2008). Row v: the corner at vertex v; row vertex_count + h: the point
 * next to the start of half-edge h; row vertex_count + 4 quad_count + h: the
 * point inside of quad h / 4 at that corner; row vertex_count + 8 quad_count + h: of a
 * side on the rim, the point next to its end. Rows that touch the rim are empty unless
 * the mesh is rimmed: then the rim is the uniform cubic spline of its vertices, and
 * the surface goes on straight beyond it. */
typedef struct quad_masks {
    uint32_t *start; /* rows + 1 */
    uint32_t *vertex;
    double *weight;
    size_t rows;
} quad_masks;
bool surface_masks_find(const quad_mesh *quads, quad_masks *masks, es_error *err);
void surface_masks_clear(quad_masks *masks);
void surface_masks_apply(const quad_masks *masks, const double *vertices, double *points);
/* The rows of the 16 control points of a quad, as in es_patch. */
void surface_mask_rows(const quad_mesh *quads, uint32_t quad, uint32_t row[16]);
/* All its rows are there: no vertex of it lies on the rim, or the mesh is rimmed. */
bool surface_quad_is_whole(const quad_mesh *quads, uint32_t quad);

/* ---- rims ------------------------------------------------------------------------ */

/* The rims of an open mesh that are not much shorter than a cell. */
typedef struct rim_line rim_line;
rim_line *surface_rim_new(const es_mesh *mesh, double cell_mm, es_error *err);
void surface_rim_free(rim_line *rim);
/* How many are shorter, and the longest of those. */
size_t surface_rim_bridged(const rim_line *rim, double *longest_mm);
typedef struct rim_place {
    es_vec3 at, along_unit;
    double distance, along; /* mm; along: from the loop's start */
    size_t loop;            /* SIZE_MAX: there is no rim */
} rim_place;
/* On loop `only`, or on any: SIZE_MAX. */
rim_place surface_rim_nearest(const rim_line *rim, es_vec3 point, size_t only);

/* Cuts the quads back inside of the rims and adds a row of quads up to them;
 * quads->rimmed says whether that could be done, else the quads are of no use. */
bool surface_rim_follow(const nearest_tree *tree, const rim_line *rim, double cell_mm,
                        quad_mesh *quads, es_error *err);

#endif
