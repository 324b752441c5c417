/* The 256 cases of marching cubes, traced rather than typed in.
 *
 * Corner c of a cell lies at (c & 1, c >> 1 & 1, c >> 2 & 1). Edge e runs
 * along axis e / 4; the offset of its start from the cell's first corner is
 * e & 1 along the next axis and e >> 1 & 1 along the one after (cyclic). */
#ifndef ECHOSOLID_SURFACE_CASES_H
#define ECHOSOLID_SURFACE_CASES_H

#include <stdint.h>

enum { CUBE_EDGES = 12, CASE_TRIANGLES = 5 };

typedef struct iso_case {
    uint8_t triangles;                  /* at most CASE_TRIANGLES */
    uint16_t edges;                     /* bit e: edge e is crossed */
    uint8_t corner[CASE_TRIANGLES * 3]; /* cube edges, counter-clockwise seen from outside */
} iso_case;

/* Fills the table; bit c of a case says that corner c is inside. */
void surface_cases(iso_case cases[256]);

/* The axis that cube edge e runs along, and the corner where it starts. */
static inline int surface_edge_axis(int edge) { return edge / 4; }

static inline int surface_edge_corner(int edge) {
    int axis = edge / 4;
    return (edge & 1) << (axis + 1) % 3 | (edge >> 1 & 1) << (axis + 2) % 3;
}

#endif
