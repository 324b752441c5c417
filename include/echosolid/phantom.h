/* echosolid/phantom.h: an N-wire phantom to print and thread: where its holes
 * and landmarks are, and its solid. A second header of calib.
 *
 * A box without a lid: front and back wall carry the holes, two lower walls
 * keep them apart against the pull of the thread, the floor is a frame (what
 * lies below it is the bath). Axes: the origin is the box's outer corner at the
 * lower front left, x along the walls with the holes, y from the front wall to
 * the back one, z up to the probe. The same axes are Phantom in the wire table,
 * and the STL's. */
#ifndef ECHOSOLID_PHANTOM_H
#define ECHOSOLID_PHANTOM_H

#include "echosolid/calib.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum es_phantom_probe {
    ES_PHANTOM_LINEAR,     /* depths to 50 mm */
    ES_PHANTOM_CURVED,     /* to 120 mm */
    ES_PHANTOM_ENDOCAVITY, /* small, to 45 mm */
    ES_PHANTOM_PROBES
} es_phantom_probe;

/* Millimetres, all of them but the number of rows. */
typedef struct es_phantom_options {
    int rows;       /* of three wires, one above the other: 1 .. ES_PATTERNS_MAX */
    double width;   /* between the outer wires; the uppermost row has five sixths of it */
    double length;  /* of the wires between the walls */
    double gap;     /* from row to row */
    double stagger; /* each row stands further to the right by this */
    double inset;   /* of the middle wire from the outer ones, at the walls */
    double above;   /* from the uppermost wires to the walls' top */
    double below;   /* from the lowest wires to the floor */
    double side;    /* free room beside the wires, for the probe */
    double wall;    /* thickness of walls and floor */
    double hole;    /* across a hole */
    double line;    /* thickness of the thread */
    double stylus;  /* across the ball of the stylus; 0: a point */
} es_phantom_options;
/* What suits a kind of array. */
es_phantom_options es_phantom_preset(es_phantom_probe probe);

enum { ES_PHANTOM_LANDMARKS = 8 };
typedef struct es_phantom_design {
    es_phantom_options options;
    es_vec3 size;          /* of the whole; from the origin */
    double side_top;       /* height of the lower walls */
    double floor_top;      /* of the floor's upper side */
    double rim;            /* of the floor, inside the walls */
    double divot;          /* radius and depth of a landmark's cone */
    es_wire_phantom wires; /* ends: the holes' middles in the walls' inner faces; by rows from
                              above; named by their holes, "1:A1_a1": front A1, back a1 */
    es_vec3 landmarks[ES_PHANTOM_LANDMARKS]; /* the stylus' point or its ball's centre */
    es_vec3 cones[ES_PHANTOM_LANDMARKS];     /* the rims' middles */
} es_phantom_design;
/* ES_USAGE naming the size that does not go with the others. */
bool es_phantom_make(const es_phantom_options *options, es_phantom_design *design, es_error *err);

/* One step of the threading: through hole `from` on to hole `to`. */
typedef struct es_phantom_step {
    int wire;     /* 0..: this wire; -1: along the outside of a wall */
    char from[8]; /* "A1" of the front wall, "a1" of the back one */
    char to[8];
    double length; /* of thread, mm: through both walls, or along one */
} es_phantom_step;
enum { ES_PHANTOM_STEPS = 2 * ES_WIRES_MAX };
/* One thread through all the holes, row by row; *length_mm: all of it, without
 * the ends to be knotted. The number of steps. */
int es_phantom_thread(const es_phantom_design *design, es_phantom_step steps[ES_PHANTOM_STEPS],
                      double *length_mm);

/* The closed solid: planar faces with holes, and what joins their rims. Holes
 * are round below and roofed by 45 degrees, so nothing needs support; divots
 * are cones of 90 degrees; two holes of 3.4 mm in the wall at the right take
 * the marker's screws. `mesh` is overwritten, {0} on failure. */
bool es_phantom_solid(const es_phantom_design *design, es_mesh *mesh, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
