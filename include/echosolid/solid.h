/* echosolid/solid.h: a measured surface as a STEP file: what is thickened, fitted
 * or reduced, written, and how far it is from the surface. A second header of the
 * pipeline. */
#ifndef ECHOSOLID_SOLID_H
#define ECHOSOLID_SOLID_H

#include "echosolid/cad.h"
#include "echosolid/surface.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum es_step_mode {
    ES_STEP_SMOOTH,      /* bicubic patches, es_surface_patches */
    ES_STEP_FACETED,     /* planar triangles, fewer than the mesh has */
    ES_STEP_PATCHES6,    /* six B-spline patches, es_surface_cube; star-shaped bones only */
    ES_STEP_TESSELLATED, /* the triangles themselves as AP242 lists, whatever `schema` says */
} es_step_mode;

typedef struct es_solid_options {
    es_step_mode mode;
    es_step_schema schema;
    double tolerance_mm; /* smooth, patches6: 95 % of the surface nearer than this */
    size_t facets;       /* faceted: at most so many triangles, 4 or more */
    bool many_facets;    /* allow more than ES_STEP_FACETS_MAX */
    bool open;           /* write sheets as they are; smooth only */
    double thickness_mm; /* of sheets otherwise */
    const char *name;    /* UTF-8; NULL: "bone" */
    const char *origin;  /* who made it from what, for the description; NULL: none */
    const char *time;    /* as in es_step_options */
} es_solid_options;
#define ES_SOLID_DEFAULTS                                                                          \
    { .tolerance_mm = 0.25, .facets = 10000, .thickness_mm = 2 }

typedef struct es_solid_report {
    es_step_report file;
    size_t pieces;    /* of the surface that are in the file */
    size_t too_small; /* that smooth patches cannot follow: left out, with a note */
    size_t hollows;   /* closed pieces with their inside out: left out, with a note */
    bool thickened;   /* at least one piece was open and is now a solid */
    bool reached;     /* the tolerance, by each piece */
    double cell_mm;   /* smooth: the largest size of patches */
    double thinnest_mm;
    size_t bridged;    /* small holes of sheets that smooth patches close */
    double bridged_mm; /* the longest way round one of them */
    size_t folded;     /* of thickened sheets, see es_patch_report */
    /* Of the file's surface (the seen side of thickened sheets) to the mesh and
     * back; over several pieces the largest, RMS and mean weighted by area. */
    es_mesh_distance to_mesh, from_mesh;
} es_solid_report;

/* The most triangles that are taken: past them the mesh must be reduced first. */
#define ES_SOLID_TRIANGLES_MAX ((size_t)4000000)

/* One solid per piece (triangles that share vertices), the largest first. The
 * deviation stands in the file's description. ES_GEOMETRY when nothing can be
 * written, ES_UNSUPPORTED past ES_SOLID_TRIANGLES_MAX, ES_USAGE for open sheets
 * unless smooth. */
bool es_solid_write_step(const char *path, const es_mesh *surface, const es_solid_options *options,
                         es_pool *pool, es_solid_report *report, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
