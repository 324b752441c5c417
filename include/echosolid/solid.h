/* echosolid/solid.h: a measured surface as what is written of it: a solid or the
 * sheet, and a STEP file: what is thickened, fitted or reduced, written, and how far
 * it is from the surface. A second header of the pipeline. */
#ifndef ECHOSOLID_SOLID_H
#define ECHOSOLID_SOLID_H

#include "echosolid/cad.h"
#include "echosolid/surface.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one-sided scans --------------------------------------------------------------- */

/* The most triangles that a surface may have as it was extracted: what comes after works on
 * all of them at once, and more are those of noise or of voxels too fine. */
#define ES_SHAPE_TRIANGLES_MAX ((size_t)10000000)
/* ES_UNSUPPORTED past them, saying what to do. */
bool es_shape_check_size(const es_mesh *surface, es_error *err);

typedef enum es_shape_kind {
    ES_SHAPE_CLOSED,    /* by itself, or once its holes were closed */
    ES_SHAPE_OPEN,      /* the sheet */
    ES_SHAPE_THICKENED, /* a copy of the sheet behind it */
    ES_SHAPE_CAPPED,    /* a membrane in its rims, es_mesh_cap */
} es_shape_kind;

typedef struct es_shape_options {
    double close_holes_mm; /* holes up to this diameter; NaN: none */
    bool open, cap;        /* neither: thickened */
    double thickness_mm;   /* of what is thickened; how far a cap keeps behind the sheet */
} es_shape_options;

typedef struct es_shape {
    es_shape_kind kind;
    es_mesh mesh;        /* what is written */
    es_mesh sheet;       /* before it was thickened, holes closed; else empty */
    es_mesh_check check; /* of mesh, welded as readers of STL do */
    es_mesh_closing holes, cap;
    size_t left_out;  /* facets of the sheet that could not be thickened */
    size_t crossings; /* pairs of facets of mesh that run through one another */
} es_shape;

/* One rule for all that was seen from one side: what closes by itself stays, else the
 * options say what becomes of it. `shape` is overwritten, {0} on failure. ES_USAGE for
 * open and cap together, and what es_mesh_close_holes, es_mesh_thicken and es_mesh_cap
 * say. */
bool es_shape_make(const es_mesh *sheet, const es_shape_options *options, es_pool *pool,
                   es_shape *shape, es_error *err);
void es_shape_clear(es_shape *shape);
/* "thickened 2 mm, 3 holes closed": for titles. */
void es_shape_words(const es_shape *shape, const es_shape_options *options, char words[64]);
/* What a STEP file is made of: the sheet where there is one. */
const es_mesh *es_shape_source(const es_shape *shape);

/* ---- files -------------------------------------------------------------------------- */

/* As es_mesh_write, and .dcm: DICOM Encapsulated STL. */
bool es_surface_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                      es_error *err);
bool es_surface_can_write(const char *path, es_error *err);

/* ---- STEP --------------------------------------------------------------------------- */

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
    const char *seen;    /* what the surface is, for the description; NULL: by its rims */
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
    size_t surplus;   /* past ES_SOLID_PIECES_MAX: left out, with a note */
    bool thickened;   /* at least one piece was open and is now a solid */
    bool reached;     /* the tolerance, by each piece */
    double cell_mm;   /* smooth: the largest size of patches */
    size_t planes;    /* smooth: flat ends that are one flat face each */
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
/* The most pieces that become patches, the largest ones. */
#define ES_SOLID_PIECES_MAX ((size_t)100)

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
