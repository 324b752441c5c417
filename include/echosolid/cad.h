/* echosolid/cad.h: models in and out: STL and PLY (STEP, 3MF, OBJ, glTF come
 * with their issue). */
#ifndef ECHOSOLID_CAD_H
#define ECHOSOLID_CAD_H

#include "echosolid/geom.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_mesh_write_options {
    const char *title; /* goes into the header: "echosolid 0.1.0 mm thickened 2 mm ..." */
    bool ascii;        /* STL and PLY are binary otherwise */
} es_mesh_write_options;

/* By extension: .stl, .ply. options may be NULL. */
bool es_mesh_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
bool es_mesh_can_write(const char *path, es_error *err);
/* STL (binary, ASCII; equal corners are welded) and PLY (binary little and
 * big endian, ASCII; triangles, other polygons are fanned). */
bool es_mesh_read(const char *path, es_mesh *mesh, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
