/* echosolid/cad.h: models in and out: STL and PLY (STEP, 3MF, OBJ, glTF come
 * with their issue). */
#ifndef ECHOSOLID_CAD_H
#define ECHOSOLID_CAD_H

#include "echosolid/geom.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_mesh_write_options {
    /* One line for the header, cut to what it holds (STL: 80 bytes). Unless it
     * starts with "echosolid" it gets "echosolid <version> mm " in front. */
    const char *title;
    bool ascii; /* STL and PLY are binary otherwise */
} es_mesh_write_options;

/* By extension: .stl, .ply. options may be NULL. Coordinates are written as
 * they are: millimetres. ES_UNSUPPORTED for another extension, ES_GEOMETRY for
 * a mesh without triangles, with indices past the vertices or coordinates that
 * are not finite, ES_IO when the file cannot be written; then an older file of
 * that name stays. */
bool es_mesh_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
/* Whether the extension is known; ES_UNSUPPORTED, listing the known ones. */
bool es_mesh_can_write(const char *path, es_error *err);

/* STL (binary, ASCII; corners of equal coordinates are welded, the file's
 * normals ignored) and PLY (binary little and big endian, ASCII; polygons are
 * fanned; `confidence` or `quality` is kept, clamped to 0..1). Facets of which
 * two corners are one are left out, with a note. `mesh` is overwritten, {0} on
 * failure. ES_FORMAT names the line, facet, vertex or face that is wrong;
 * ES_UNSUPPORTED for PLY files without faces. */
bool es_mesh_read(const char *path, es_mesh *mesh, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
