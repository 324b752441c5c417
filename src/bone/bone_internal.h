/* Inside the bone room: a frame as scan lines, the maps that detectors make
 * of it, and the path through a map.
 *
 * Every array over the frame is line-major: value[line * samples + sample],
 * so that the loops along depth and the loops across lines both run over
 * contiguous memory. */
#ifndef ES_BONE_INTERNAL_H
#define ES_BONE_INTERNAL_H

#include "echosolid/bone.h"

/* ---- beams.c: the image as scan lines x depth --------------------------- */

struct beam_tap {
    uint32_t left, right; /* columns, and the share of the right one */
    float share;
};

/* Pixels that may be read: first inclusive, last exclusive. */
struct beam_area {
    uint32_t u0, v0, u1, v1;
};

/* How far apart lines and samples are wanted, and how many there may be; more
 * ground is covered by larger steps. */
struct beam_steps {
    double line_mm, depth_mm, most_lines, most_samples;
};
extern const struct beam_steps beam_steps_fine; /* of detection and trace */

struct beams {
    size_t lines, samples;
    double depth_step_mm, line_step_mm; /* line step: half way down, where curved */
    es_scan_line *line;                 /* start and direction; found = false */
    uint32_t *first, *last;             /* samples inside the picture: [first, last) */
    float *echo;                        /* grey values, averaged over a sample's area */
    float *tone;                        /* the same on a fixed scale 0..1, see tone.c */
    const es_image *grey;               /* the image as f32 */
    float most;                         /* its brightest pixel */
    es_fan fan;                         /* that the lines run through: linear or curved */
    struct beam_area area;              /* that was read */
    es_image own_grey;                  /* scratch */
    struct beam_tap *tap;               /* scratch: a row's points, lines x MOST_TAPS */
    float *row[3];                      /* scratch: lines each */
    size_t line_capacity, sample_capacity;
};

bool beams_from_image(struct beams *beams, const es_bone_options *options, const es_image *image,
                      es_error *err);
/* The same picture and fan in other steps; `of` must live on. */
bool beams_again(struct beams *beams, const struct beams *of, const struct beam_steps *steps,
                 const double spacing_mm[2], es_error *err);
void beams_clear(struct beams *beams);

/* ---- tone.c ---------------------------------------------------------------- */

/* Fills beams->tone from beams->echo, and shifts echo so that its darkest is 0. False when there is
 * no echo at all. */
bool beams_tone(struct beams *beams);

/* ---- filter.c: smoothing in beam space ------------------------------------- */

/* Gaussian of sigma_mm along depth and across lines; may work in place.
 * `scratch` has lines * samples floats. */
void beams_smooth(const struct beams *beams, const float *in, double depth_sigma_mm,
                  double line_sigma_mm, float *scratch, float *out);

/* A Gaussian of sigma_mm along a slope (mm of depth per mm across): an echo of
 * that slope stays sharp while speckle averages out. */
enum { MOST_RADIUS = 24 };
struct slant {
    double slope;
    int radius; /* lines on either side */
    float kernel[MOST_RADIUS + 1];
};
void beams_slant(const struct beams *beams, double slope, double sigma_mm, struct slant *slant);

/* One line of the frame smoothed so. */
void beams_smooth_line(const struct beams *beams, const float *in, size_t line,
                       const struct slant *slant, float *out);

struct reach {
    double onset_mm, range_mm;
};

/* out = weighted mean of what lies deeper (or less deep) on the same line, the
 * weight of a distance d being (1 - exp(-d / onset)) exp(-d / range); 1 where
 * less than 3 mm are left. */
void beams_mean_below(const struct beams *beams, const float *in, struct reach reach, float *out);
void beams_mean_above(const struct beams *beams, const float *in, struct reach reach, float *out);

/* Bone shadows all that is deeper: a candidate of the map with another one
 * below it, on the same line, nearly as good and nearly as bright, loses to
 * it. Bright, because the echoes that a bone sends to and fro appear below it
 * again, in the dark and dimmer. */
void beams_give_way(const struct beams *beams, const float *echo, float *map);

/* ---- the detectors: maps 0..1 from the tone --------------------------------- */

enum { BONE_SCRATCHES = 4 };
/* map and each scratch have lines * samples floats. */
typedef void detector_fn(const struct beams *beams, float *scratch[BONE_SCRATCHES], float *map);
detector_fn shadow_map, foroughi_map;

/* ---- network.c ----------------------------------------------------------------- */

/* A network and what it needs to look at frames; one per detector. */
struct eye {
    const es_network *network;
    es_network *own; /* where none was given */
    es_network_run *run;
    struct beams coarse;                /* in the network's spacing */
    float *grey, *logits, *probability; /* its picture, row by row */
    size_t capacity;
};

/* `network` NULL: the built-in one. */
bool eye_open(struct eye *eye, const es_network *network, es_error *err);
void eye_close(struct eye *eye);
/* map: calibrated probability; worth: how far its log-odds exceed those of the
 * threshold, -1..1, for the path. `white`: the grey that counts as 1. */
bool eye_look(struct eye *eye, const struct beams *beams, const es_bone_options *options,
              float white, float *map, float *worth, es_error *err);

/* ---- path.c ------------------------------------------------------------------ */

struct path {
    size_t lines;
    int32_t *sample; /* per line, -1: no bone */
    bool *joined;    /* per line: reached from the line before by a step, not a jump */
    /* scratch */
    double *crest_mm;     /* per line */
    int8_t *from;         /* lines * samples: the step that led here */
    int32_t *best;        /* per line: the sample a jump starts from */
    bool *none_from_bone; /* per line */
    float *score[2];      /* samples each */
    size_t line_capacity, depth_capacity, sample_capacity;
};

/* The best path, at and below min_depth. `worth` is what each sample earns per
 * millimetre of line step; negative where "no bone" is the better answer. */
bool path_find(struct path *path, const struct beams *beams, const float *worth,
               double min_depth_mm, es_error *err);
void path_clear(struct path *path);

/* ---- pieces.c ------------------------------------------------------------------ */

/* The picture, lightly smoothed: as it is, and on the fixed scale. */
struct smoothed {
    const float *echo, *tone;
};

/* Takes back what of the path is not believed: crossings between echoes, faint
 * and short pieces, wires in water, layers above bone. */
void pieces_judge(const struct beams *beams, const float *map, const struct smoothed *smooth,
                  const es_bone_options *options, struct path *path);

/* The line after the last one that is joined to `first`. */
size_t piece_end(const struct path *path, size_t first);

/* ---- crest.c ------------------------------------------------------------------- */

/* Turns the path into the trace: crest of the echo, smoothed slope,
 * confidence. The trace has room for all the lines. */
void crest_trace(const struct beams *beams, const float *echo, const float *map, struct path *path,
                 const es_bone_options *options, es_trace *trace);

#endif
