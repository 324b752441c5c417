/* echosolid/bone.h: where the bone is in one frame, with a confidence. */
#ifndef ECHOSOLID_BONE_H
#define ECHOSOLID_BONE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Detectors share one interface, so that better ones join. Each gives every
 * sample of every scan line a value 0..1; one path finder then traces the
 * bone through that map. */
typedef enum es_bone_method {
    ES_BONE_SHADOW,  /* ridge along its slope x darkness below it; the better one */
    ES_BONE_FOROUGHI /* Foroughi et al. 2007: (echo^3 + LoG) x shadow^5. Takes a bright fascia
                        for bone in a frame that has none */
} es_bone_method;

typedef struct es_bone_options {
    es_bone_method method;
    es_fan fan; /* where the echoes are; NONE: columns of the clip, black borders left out */
    double spacing_mm[2]; /* of a pixel, u and v: from the calibration; required */
    bool has_clip;        /* pixels outside the clip are never looked at */
    int32_t clip_origin[2], clip_size[2];
    double min_depth_mm;  /* nearer to the face nothing is bone */
    double threshold;     /* 0..1: what the map must exceed */
    double min_length_mm; /* shorter pieces of bone are dropped */
    double offset_mm;     /* added to every depth, e.g. crest -> front edge of the echo */
} es_bone_options;
#define ES_BONE_DEFAULTS                                                                           \
    { .method = ES_BONE_SHADOW, .min_depth_mm = 3, .threshold = 0.3, .min_length_mm = 3 }

/* A detector keeps its scratch memory; one per thread. ES_USAGE when an
 * option is not finite or contradicts another. */
typedef struct es_bone es_bone;
es_bone *es_bone_new(const es_bone_options *options, es_error *err);
void es_bone_free(es_bone *bone);

/* Traces the bone in a grey or RGB image of any size and type. The result
 * depends on this image and the options alone, not on earlier frames; gain
 * and gamma of the picture matter little.
 *
 * The trace has one line per scan line, about 0.3 mm apart: image columns, or
 * rays of a curved fan, all starting at the transducer's face. depth_mm is
 * the crest (the brightest depth) of the echo on the bone, plus offset_mm;
 * cos_incidence comes from the slope of the smoothed trace in the image plane;
 * confidence is the detector's map along the trace, averaged over about a
 * millimetre: low where the echo is weak or what lies below it is not dark.
 *
 * Without a fan the face is taken to be where the first echoes are, so in
 * water, which is black, min_depth_mm counts from the first reflector.
 *
 * ES_USAGE: the image is empty, too small for scan lines, or does not hold
 * the clip or the fan; ES_FORMAT: a pixel is not finite;
 * ES_UNSUPPORTED: more than 65535 pixels a side. */
bool es_bone_detect(es_bone *bone, const es_image *image, es_trace *trace, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
