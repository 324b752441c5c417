/* Polygons with holes as triangles, for the printable phantom's faces. */
#ifndef ECHOSOLID_CALIB_PHANTOM_INTERNAL_H
#define ECHOSOLID_CALIB_PHANTOM_INTERNAL_H

#include "echosolid/base.h"

/* Loops one behind the other: the first runs counter-clockwise around the
 * face, the others clockwise around its holes. They touch nowhere. */
enum { FACE_POINTS = 512, FACE_LOOPS = 32, FACE_CORNERS = FACE_POINTS + 2 * FACE_LOOPS };
typedef struct face_outline {
    double points[FACE_POINTS][2];
    int first[FACE_LOOPS + 1]; /* of each loop; behind the last: all the points */
    int loops;
} face_outline;

/* Triangles by point, counter-clockwise; their number, 0 when the outline
 * crosses itself. Ear clipping, with every hole first joined to the rest by a
 * bridge: Eberly, "Triangulation by ear clipping", 2002. */
int outline_triangles(const face_outline *outline, int triangles[FACE_CORNERS][3]);

#endif
