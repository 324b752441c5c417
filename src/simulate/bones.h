/* bones.h: a lumbar spine from behind, ribs and a forearm as signed distances,
 * mm. In each y points out of the body at the probe of azimuth 0 and z along
 * the limb or the trunk. The sizes are round numbers near those of an adult. */
#ifndef SIMULATE_BONES_H
#define SIMULATE_BONES_H

#include "scene.h"

/* Three lumbar vertebrae, x to the right, y posterior, z cranial; the middle one's
 * canal is about the origin. */
double spine_field(const scene_model *model, es_vec3 p);
double spine_skin(const scene_model *model, es_vec3 p);
#define SPINE_BOX                                                                                  \
    {                                                                                              \
        {-44, -46, -64}, { 44, 44, 60 }                                                            \
    }

/* Four ribs of a chest about the z axis, in front of the right lung's side. */
double ribs_field(const scene_model *model, es_vec3 p);
double ribs_skin(const scene_model *model, es_vec3 p);
#define RIBS_BOX                                                                                   \
    {                                                                                              \
        {-73, 62, -64}, { 73, 104, 64 }                                                            \
    }

/* The middle of a right forearm's ulna and radius, x lateral, y to the palm's side. */
double forearm_field(const scene_model *model, es_vec3 p);
double forearm_skin(const scene_model *model, es_vec3 p);
#define FOREARM_BOX                                                                                \
    {                                                                                              \
        {-23, -18, -72}, { 27, 12, 72 }                                                            \
    }

#endif
