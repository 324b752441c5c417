/* Moving the vertices of a quad mesh until its patches lie on a surface; shared
 * inside the room. */
#ifndef ECHOSOLID_SURFACE_PATCH_FIT_H
#define ECHOSOLID_SURFACE_PATCH_FIT_H

#include "cuts.h"
#include "quads.h"

/* Each patch is held against the surface at SAMPLES x SAMPLES parameters. */
enum { FIT_SAMPLES = 4, FIT_POINTS = FIT_SAMPLES * FIT_SAMPLES };

typedef struct patch_fit {
    const nearest_tree *tree;
    es_pool *pool;
    const rim_line *rim; /* of rimmed quads */
    const flat_cut *cuts;
    const uint32_t
        *held;        /* per vertex: cut + 1 in whose plane it stays, or 0; NULL: all are free */
    quad_mesh *quads; /* its vertices move */
    const quad_masks *masks;
    double cell_mm;
    uint8_t *seen; /* per quad: samples whose nearest point is not on the rim */
} patch_fit;
bool surface_fit_quads(const patch_fit *fit, es_error *err);

#endif
