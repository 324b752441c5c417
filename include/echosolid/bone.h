/* echosolid/bone.h: where the bone is in one frame, with a confidence. */
#ifndef ECHOSOLID_BONE_H
#define ECHOSOLID_BONE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Detectors share one interface, so that better ones join. */
typedef enum es_bone_method {
    ES_BONE_SHADOW,  /* ridge x gradient x darkness below, with a column path */
    ES_BONE_FOROUGHI /* Foroughi 2007 probability, with a column path */
} es_bone_method;

typedef struct es_bone_options {
    es_bone_method method;
    es_fan fan;           /* where the echoes are; NONE: columns of the clip */
    double spacing_mm[2]; /* of a pixel, u and v: from the calibration */
    bool has_clip;
    int32_t clip_origin[2], clip_size[2];
    double min_depth_mm; /* nearer to the face nothing is bone */
    double threshold;    /* 0..1: what the map must exceed */
} es_bone_options;
#define ES_BONE_DEFAULTS                                                                           \
    { .method = ES_BONE_SHADOW, .min_depth_mm = 3, .threshold = 0.2 }

/* A detector keeps its scratch memory; one per thread. */
typedef struct es_bone es_bone;
es_bone *es_bone_new(const es_bone_options *options, es_error *err);
void es_bone_free(es_bone *bone);
/* Grey or RGB image of any size; the trace has one line per scan line. */
bool es_bone_detect(es_bone *bone, const es_image *image, es_trace *trace, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
