/* knee.h: the bones of a right knee in extension as signed distances, mm.
 * Axes: x lateral, y anterior, z proximal, origin in the middle of the joint
 * line. */
#ifndef SIMULATE_KNEE_H
#define SIMULATE_KNEE_H

#include "echosolid/geom.h"

enum { KNEE_FEMUR, KNEE_TIBIA, KNEE_FIBULA, KNEE_PATELLA, KNEE_BONES };

/* One bone of another person: moved, turned, larger along its axes, its cortex
 * waved. A point of it is place + turn (size .* q) for a point q of the standard bone. */
enum { KNEE_WAVES = 4 };
typedef struct knee_person {
    es_vec3 place, size;
    es_mat4 turn; /* about `pivot` */
    es_vec3 pivot;
    es_vec3 wave[KNEE_WAVES]; /* radians a millimetre */
    double phase[KNEE_WAVES], wave_mm;
} knee_person;

/* How a knee differs from the standard one, all 0 (see knee_vary). */
typedef struct knee_anatomy {
    bool varied;
    knee_person bones[KNEE_BONES];
    double medial_mm, lateral_mm;                     /* added to the condyles' radii */
    double medial_back_mm, lateral_back_mm, apart_mm; /* and where they lie */
    double slope, dish, dome;                         /* added to the plateau's */
    double groove_mm;                                 /* the trochlea's floor is deeper */
    double tissue_mm;                                 /* added to the soft tissue over the bones */
} knee_anatomy;

/* A person by chance; the ranges stand in anatomy.c. */
knee_anatomy knee_vary(uint64_t seed);

/* Contains the bones of this knee. */
es_box3 knee_box(const knee_anatomy *anatomy);

/* Distance to one bone. Its gradient is between about .8 and 1.15 long near
 * the surface, 1 for most of it. */
double knee_bone(const knee_anatomy *a, int bone, es_vec3 p);

/* Distance to the nearest bone. */
double knee_field(const knee_anatomy *a, es_vec3 p);

/* Distance to the skin: the bones, smoothly joined, under soft tissue. */
double knee_skin(const knee_anatomy *a, es_vec3 p);

/* Thickness of the cartilage over a point of the bone's surface, 0 where
 * there is none. */
double knee_cartilage_mm(const knee_anatomy *a, es_vec3 p);

/* Contains the four bones of the standard knee. */
#define KNEE_BOX                                                                                   \
    {                                                                                              \
        {-46, -42, -165}, { 52, 59, 166 }                                                          \
    }

#endif
