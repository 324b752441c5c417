/* Fewer triangles for what is shown while it grows. */
#ifndef ES_LIVE_THIN_H
#define ES_LIVE_THIN_H

#include "echosolid/surface.h"

/* In place: corners that fall into one cell of a lattice of cell_mm become one, their
 * mean; triangles with two corners in one cell go (Rossignac and Borrel 1993).
 * The lattice is fixed in space, so that where a growing surface stays, its thinned
 * one stays too. Quick, and for the eye alone: the result may touch itself. On
 * failure the mesh is as it was. */
bool thin_mesh(es_mesh *mesh, double cell_mm, es_error *err);

#endif
