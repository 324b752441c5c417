/* echosolid/bone.h: where the bone is in one frame, with a confidence. */
#ifndef ECHOSOLID_BONE_H
#define ECHOSOLID_BONE_H

#include <math.h>

#include "echosolid/image.h"
#include "echosolid/network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Detectors share one interface, so that better ones join. Each gives every
 * sample of every scan line a value 0..1; one path finder then traces the
 * bone through that map. */
typedef enum es_bone_method {
    ES_BONE_SHADOW,   /* ridge along its slope x darkness below it; the better classical one */
    ES_BONE_FOROUGHI, /* Foroughi et al. 2007: (echo^3 + LoG) x shadow^5. Takes a bright fascia
                         for bone in a frame that has none */
    ES_BONE_NETWORK   /* a trained network's probability */
} es_bone_method;
enum { ES_BONE_METHODS = 3 };

/* Which depth of an echo is reported. Cortex gives a thin echo, where the two
 * are 0.2 to 0.4 mm apart; a thick one (phantoms, oblique beams) up to some
 * millimetres. */
typedef enum es_bone_edge {
    ES_BONE_CREST, /* the brightest depth */
    ES_BONE_FRONT  /* above the crest, where half of the rise from what lies before is reached */
} es_bone_edge;

typedef struct es_bone_options {
    es_bone_method method;
    const es_network *network; /* borrowed, for ES_BONE_NETWORK; NULL: the built-in one */
    es_fan fan; /* where the echoes are; NONE: columns of the clip, black borders left out */
    double spacing_mm[2]; /* of a pixel, u and v: from the calibration; required */
    bool has_clip;        /* pixels outside the clip are never looked at */
    int32_t clip_origin[2], clip_size[2];
    double min_depth_mm;  /* nearer to the face nothing is bone */
    double threshold;     /* 0..1: what the map must exceed; NaN: the detector's own */
    double min_length_mm; /* shorter pieces of bone are dropped */
    es_bone_edge edge;
    double offset_mm; /* added to every depth, positive: deeper */
} es_bone_options;
#define ES_BONE_DEFAULTS                                                                           \
    { .method = ES_BONE_SHADOW, .min_depth_mm = 3, .threshold = NAN, .min_length_mm = 3 }

/* A detector keeps its scratch memory; one per thread. ES_USAGE when an
 * option is not finite or contradicts another; ES_UNSUPPORTED when there is no
 * network to look with. */
typedef struct es_bone es_bone;
es_bone *es_bone_new(const es_bone_options *options, es_error *err);
void es_bone_free(es_bone *bone);
/* The one in use: that of the options, of the network, or the method's own. */
double es_bone_threshold(const es_bone *bone);

/* Traces the bone in a grey or RGB image of any size and type; of RGB the least
 * channel counts, so that coloured graphics and flow are no echoes. The result
 * depends on this image and the options alone, not on earlier frames; gain
 * and gamma of the picture matter little.
 *
 * The trace has one line per scan line, about 0.3 mm apart: image columns, or
 * rays of a curved fan, all starting at the transducer's face. depth_mm is
 * the edge of the echo that the options name, plus offset_mm;
 * cos_incidence comes from the slope of the smoothed trace in the image plane;
 * confidence is the detector's map along the trace, averaged over about a
 * millimetre: low where the echo is weak or what lies below it is not dark; of
 * a network its calibrated probability.
 *
 * Without a fan the face is taken to be where the first echoes are, so in
 * water, which is black, min_depth_mm counts from the first reflector.
 *
 * ES_USAGE: the image is empty, too small for scan lines, or does not hold
 * the clip or the fan; ES_FORMAT: a pixel is not finite;
 * ES_UNSUPPORTED: more than 65535 pixels a side. */
bool es_bone_detect(es_bone *bone, const es_image *image, es_trace *trace, es_error *err);

/* The scan lines of an image, nothing found on them; errors as es_bone_detect. */
bool es_bone_lines(es_bone *bone, const es_image *image, es_trace *trace, es_error *err);

/* ---- what a trace says ------------------------------------------------------ */

/* The place of a found line's bone in pixels of the image. */
void es_bone_point(const es_scan_line *line, double *u, double *v);

/* A trace in pieces: the line after the last one whose bone goes on from that
 * of line `first` without a gap or a jump (no steeper than some 75 degrees);
 * first + 1 where nothing was found. */
size_t es_bone_piece_end(const es_trace *trace, size_t first);

/* Mean confidence of the found lines of [first, last); 0 when none was. */
double es_bone_confidence(const es_trace *trace, size_t first, size_t last);

/* Share of the lines, 0..1, on which two detectors say the same: both found
 * nothing, or both found bone within `within_mm` across the surface. The
 * traces must be of one image and the same fan, clip and spacing; ES_USAGE
 * when their lines differ. */
bool es_bone_agreement(const es_trace *a, const es_trace *b, double within_mm, double *share,
                       es_error *err);

/* Keeps of `trace` what `other` agrees with; lines as above. */
bool es_bone_keep_agreed(es_trace *trace, const es_trace *other, double within_mm, es_error *err);

/* A picture of how probable bone is, u8, 255 for certain: along the trace its
 * confidence, across it a Gaussian of ES_BONE_BAND_MM, elsewhere 0. */
#define ES_BONE_BAND_MM 0.35
bool es_bone_paint(const es_trace *trace, const double spacing_mm[2], uint32_t width,
                   uint32_t height, es_image *picture, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
