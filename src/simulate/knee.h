/* knee.h: the bones of a right knee in extension as signed distances, mm.
 * Axes: x lateral, y anterior, z proximal, origin in the middle of the joint
 * line. */
#ifndef SIMULATE_KNEE_H
#define SIMULATE_KNEE_H

#include "echosolid/geom.h"

enum { KNEE_FEMUR, KNEE_TIBIA, KNEE_FIBULA, KNEE_PATELLA, KNEE_BONES };

/* Distance to one bone. Its gradient is between about .8 and 1.15 long near
 * the surface, 1 for most of it. */
double knee_bone(int bone, es_vec3 p);

/* Distance to the nearest bone. */
double knee_field(es_vec3 p);

/* Distance to the skin: the bones, smoothly joined, under soft tissue. */
double knee_skin(es_vec3 p);

/* Thickness of the cartilage over a point of the bone's surface, 0 where
 * there is none. */
double knee_cartilage_mm(es_vec3 p);

/* Contains the four bones. */
#define KNEE_BOX                                                                                   \
    {                                                                                              \
        {-46, -42, -165}, { 52, 59, 166 }                                                          \
    }

#endif
