/* echosolid/view.h: what the 3-D view of a page shows: meshes with their
 * colourings and one grey volume, made small enough to stand in the page. A
 * second header of the pipeline's reports; the browser side is in viewer/. */
#ifndef ECHOSOLID_VIEW_H
#define ECHOSOLID_VIEW_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ES_VIEW_TRIANGLES = 100000, /* of a mesh; more are decimated */
    ES_VIEW_VOXELS = 2000000,   /* of the volume; more are averaged over blocks */
    ES_VIEW_MESHES = 8
};

/* Belongs to one thread at a time. */
typedef struct es_view es_view;
/* `title` names the picture for those who cannot see it. */
es_view *es_view_new(const char *title, es_error *err);
void es_view_free(es_view *view);

typedef struct es_view_mesh {
    const char *name; /* shown beside its switches */
    const es_mesh *mesh;
    bool sheet;            /* open: its inner side is blue */
    const es_mesh *truth;  /* NULL, or: can be coloured by the distance to it, 0 to 2 mm */
    const es_bricks *seen; /* NULL, or (es_distance_seen): by frames and directions */
} es_view_mesh;
/* Copies what it needs. Corners are rounded to 1/65535 of the longest side of
 * the mesh's box; confidence becomes a colouring. ES_GEOMETRY for a mesh without
 * triangles, with indices past the vertices or coordinates that are not finite;
 * ES_USAGE past ES_VIEW_MESHES. */
bool es_view_add_mesh(es_view *view, const es_view_mesh *mesh, es_pool *pool, es_error *err);

/* The grey volume, read slab by slab; grey from the 1st to the 99th percentile
 * of what is known. NaN, and 0 of an unsigned type, are unknown and stay
 * transparent. ES_UNSUPPORTED for more than one channel, ES_GEOMETRY when no
 * voxel is known, ES_USAGE for a second volume. */
bool es_view_set_volume(es_view *view, const char *name, const es_grid_info *info, es_slab_fn *slab,
                        void *context, es_error *err);

/* As the page reads it (viewer/src/scene_file.js): "ESVIEW1\n", u32 length of a
 * JSON head, the head, the arrays that it describes, all little-endian, as one
 * zlib stream. The same calls give the same bytes. es_free it. */
void *es_view_encode(const es_view *view, size_t *length, es_error *err);

/* The browser side, bundled at build: NULL when this program was built without
 * npm. Both texts can stand inside an element of HTML and of XML; `script_hash`
 * ("sha256-...") is for the page's security policy. */
typedef struct es_view_program {
    const char *script, *style, *script_hash;
    size_t script_length;
} es_view_program;
const es_view_program *es_view_program_get(void);

#ifdef __cplusplus
}
#endif
#endif
