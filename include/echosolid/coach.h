/* echosolid/coach.h: what the person with the probe should do differently,
 * each in a sentence with the number that was measured. A header of the live room. */
#ifndef ECHOSOLID_COACH_H
#define ECHOSOLID_COACH_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In the order in which they matter. */
typedef enum es_coach_what {
    ES_COACH_SILENT,  /* no pictures come */
    ES_COACH_LOST,    /* frames without a valid position */
    ES_COACH_FROZEN,  /* the same picture again and again */
    ES_COACH_CONTACT, /* dark below the probe's face */
    ES_COACH_BRIGHT,  /* too much of the picture is white */
    ES_COACH_DARK,
    ES_COACH_FAST, /* pictures further apart than they are thick */
    ES_COACH_GAP,  /* such a place, not gone over since */
    ES_COACH_WHATS
} es_coach_what;
extern const char *const es_coach_names[]; /* "silent" ... */

typedef struct es_coach_advice {
    es_coach_what what;
    double measured, limit; /* in the unit that the sentence names */
    bool has_place;
    es_vec3 place; /* reference mm, of a gap */
    char text[240];
} es_coach_advice;

typedef struct es_coach_options {
    double elevation_mm; /* thickness of a picture: further apart they leave a gap */
} es_coach_options;
#define ES_COACH_DEFAULTS                                                                          \
    { .elevation_mm = 3 }

/* Belongs to one thread at a time; takes no memory after the start. */
typedef struct es_coach es_coach;
es_coach *es_coach_new(const es_coach_options *options, es_error *err); /* ES_USAGE: no thickness */
void es_coach_free(es_coach *coach);

/* Voxels that are finer than a third of the elevation ask for pictures that are
 * nearer: at most three voxels apart. */
void es_coach_set_voxel(es_coach *coach, double voxel_mm);
/* Pictures further apart than this leave a gap, mm. */
double es_coach_limit_mm(const es_coach *coach);

/* A frame as it came at now_s (any clock that runs on); `place` NULL: no valid
 * position. The distance of two pictures is the mean one of the four corners of one
 * from the other's plane: motion within the picture leaves no gap. */
void es_coach_frame(es_coach *coach, const es_frame *frame, const es_mat4 *place, double now_s);

/* Frames from this number on (es_frame.index) were taken out of the volume: gaps that they
 * left go, gaps that they covered are there again (the last 64 of these are known). */
void es_coach_undo(es_coach *coach, int64_t first);

/* What holds now, at most one of each kind; how many. */
size_t es_coach_advise(const es_coach *coach, double now_s, es_coach_advice out[ES_COACH_WHATS]);
/* The middles of gaps that no later picture has covered, newest last. */
enum { ES_COACH_GAPS = 64 };
size_t es_coach_gaps(const es_coach *coach, es_vec3 out[ES_COACH_GAPS]);

#ifdef __cplusplus
}
#endif
#endif
