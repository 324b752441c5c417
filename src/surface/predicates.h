/* On which side of three points a fourth lies, exactly; shared inside the room. */
#ifndef ECHOSOLID_SURFACE_PREDICATES_H
#define ECHOSOLID_SURFACE_PREDICATES_H

#include "echosolid/surface.h"

/* 1, 0 or -1: the sign of the volume (b - a) x (c - a) . (d - a), which is above 0
 * where d sees a, b, c turn clockwise. Exact for points whose differences are (as
 * those of 32-bit floats of one mesh): decided in doubles where their rounding cannot
 * change the sign, else by sums without rounding (Shewchuk 1997). */
int surface_side(es_vec3 a, es_vec3 b, es_vec3 c, es_vec3 d);

/* Whether two closed triangles have a point in common, those of their common corners
 * left out: `shared` corners come first in both, in the same order. With two, whether
 * one is folded onto the other. */
bool surface_triangles_meet(const es_vec3 p[3], const es_vec3 q[3], int shared);

#endif
