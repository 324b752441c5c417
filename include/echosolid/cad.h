/* echosolid/cad.h: models in and out: STL, PLY, OBJ; 3MF, GLB and STEP out. */
#ifndef ECHOSOLID_CAD_H
#define ECHOSOLID_CAD_H

#include "echosolid/patches.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A further number of each vertex, under a name of letters and "_". */
typedef struct es_mesh_values {
    const char *name;
    const float *values;
} es_mesh_values;

typedef struct es_mesh_write_options {
    /* One line for the header, cut to what it holds (STL: 80 bytes). Unless it
     * starts with "echosolid" it gets "echosolid <version> mm " in front. */
    const char *title;
    bool ascii;                   /* STL and PLY are binary otherwise */
    bool open;                    /* the mesh is a sheet and bounds no solid: 3MF says so */
    const es_mesh_values *values; /* .ply only; 8 at most */
    size_t value_count;
} es_mesh_write_options;

/* By extension: .stl, .ply, .obj, .3mf, .glb. options may be NULL. Coordinates are
 * written as they are: millimetres (a .glb has a matrix to glTF's metres, y up). ES_UNSUPPORTED for
 * another extension, ES_GEOMETRY for a mesh without triangles, with indices past the vertices or
 * coordinates that are not finite, ES_IO when the file cannot be written; then an older file of
 * that name stays. */
bool es_mesh_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
/* The bytes of a binary STL file; es_free them. ES_GEOMETRY as above. */
void *es_mesh_stl(const es_mesh *mesh, const char *title, size_t *length, es_error *err);
/* Whether the extension is known; ES_UNSUPPORTED, listing the known ones. */
bool es_mesh_can_write(const char *path, es_error *err);

/* OBJ (v and f), STL (binary, ASCII; corners of equal coordinates are welded, the file's
 * normals ignored) and PLY (binary little and big endian, ASCII; polygons are
 * fanned; `confidence` or `quality` is kept, clamped to 0..1). Facets of which
 * two corners are one are left out, with a note. `mesh` is overwritten, {0} on
 * failure. ES_FORMAT names the line, facet, vertex or face that is wrong;
 * ES_UNSUPPORTED for PLY files without faces. */
bool es_mesh_read(const char *path, es_mesh *mesh, es_error *err);

/* ---- STEP ----------------------------------------------------------------------- */

typedef enum es_step_schema {
    ES_STEP_AP214, /* AUTOMOTIVE_DESIGN: what every CAD system reads */
    ES_STEP_AP203, /* CONFIG_CONTROL_DESIGN */
    ES_STEP_AP242, /* managed model based 3d engineering, edition 1 */
} es_step_schema;

/* What STEP calls a body; exactly one of mesh, patches and cube. A mesh becomes
 * planar facets, or a tessellated solid if that is set, and must be closed. Patches
 * become spline faces: closed ones a solid, others an open shell if `open` is set.
 * Pieces of a mesh or of patches that do not hang together become bodies of their
 * own, named "name 1", "name 2". A cube becomes a solid of six faces. */
typedef struct es_step_body {
    const char *name; /* UTF-8 */
    const es_mesh *mesh;
    const es_patches *patches;
    const es_spline_cube *cube;
    bool open, tessellated;
} es_step_body;

typedef struct es_step_options {
    es_step_schema schema;
    const char *name;        /* of the product, UTF-8; NULL: "bone" */
    const char *description; /* one line for the header; NULL: none */
    const char *time;        /* "2026-11-21T08:00:00+00:00"; NULL: the start of 1970, for the
                                bytes depend on what is given alone */
    bool many_facets;        /* write more than ES_STEP_FACETS_MAX triangles all the same */
} es_step_options;

enum { ES_STEP_FACETS_MAX = 50000 };

typedef struct es_step_report {
    size_t solids, shells; /* closed ones, open ones */
    size_t faces, edges, vertices;
    size_t hollows; /* small shells of closed patches with their inside out: left out */
    uint64_t bytes;
    /* Of what is written, as in the file's validation properties; volume and
     * centroid of solids only. */
    double volume_mm3, area_mm2;
    es_vec3 centroid;
} es_step_report;

/* Writes ISO 10303-21 in millimetres with the validation properties volume, area
 * and centroid. Coordinates are rounded to 1e-4 mm (patches: 1e-5) first; facets
 * that lose their area by it are an error. Bodies are of one kind: meshes, closed
 * patches and cubes, open patches, or tessellated meshes (AP242 only). `options` and `report` may
 * be NULL. ES_GEOMETRY for nothing to write, numbers that are not finite or past the points, a mesh
 * or patches that are not closed and oriented outwards (with the count of what is wrong);
 * ES_UNSUPPORTED for more than ES_STEP_FACETS_MAX triangles, saying what a CAD system would need;
 * ES_USAGE for names that are not UTF-8 and mixed kinds; ES_IO when the file cannot be written:
 * then an older file of that name stays. */
bool es_step_write(const char *path, const es_step_body *bodies, size_t count,
                   const es_step_options *options, es_step_report *report, es_error *err);
/* Whether the extension is .step or .stp. */
bool es_step_is_path(const char *path);

#ifdef __cplusplus
}
#endif
#endif
