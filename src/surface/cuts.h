/* Flat ends of a closed mesh; shared inside the room. */
#ifndef ECHOSOLID_SURFACE_CUTS_H
#define ECHOSOLID_SURFACE_CUTS_H

#include "echosolid/surface.h"

typedef struct flat_cut {
    es_vec3 at, normal; /* in the plane; unit, outwards */
} flat_cut;

typedef struct flat_cuts {
    flat_cut *items;
    size_t count;
    es_mesh sheet; /* the mesh without them: rim number i lies in the plane of cut rim_cut[i] */
    size_t *rim_cut;
} flat_cuts;

/* The flat parts of one closed component that end in sharp edges all round, one rim
 * each. The sheet ends where its side meets the plane, were it not rounded there. Its rims are
 * those of es_mesh_find_loops, in that order. Count 0 and no sheet when there are none. */
bool surface_cuts_find(const es_mesh *mesh, flat_cuts *cuts, es_error *err);
void surface_cuts_clear(flat_cuts *cuts);

static inline double surface_cut_height(const flat_cut *cut, es_vec3 p) {
    return es_vec3_dot(es_vec3_sub(p, cut->at), cut->normal);
}

#endif
