/* What the doctor's files share: the recording as it was collected, and the
 * finding that is being written. */
#ifndef ECHOSOLID_SPACING_DOCTOR_INTERNAL_H
#define ECHOSOLID_SPACING_DOCTOR_INTERNAL_H

#include "echosolid/doctor.h"

#define DEGREE 0.017453292519943295

enum { DOCTOR_TRACKS = 64, DOCTOR_FRAMES = 1 << 20 };

typedef enum pose_state { POSE_ABSENT, POSE_INVALID, POSE_VALID } pose_state;

/* What is wrong with all the matrices of a track, most basic first. */
typedef enum track_fault {
    FAULT_NONE,
    FAULT_ORDER,  /* translation in the bottom row: written column by column */
    FAULT_SCALE,  /* rotation times a constant */
    FAULT_NOISE,  /* not quite orthogonal */
    FAULT_METRES, /* lengths in metres */
    FAULT_OTHER,  /* mirrored, skewed: nothing that we can mend */
} track_fault;

/* One named transform over all frames. */
typedef struct doctor_track {
    char name[ES_NAME_SIZE], from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    bool splits;      /* the name says From and To */
    es_mat4 *pose;    /* frames; put right (order, scale, metres) by check_matrices */
    uint8_t *state;   /* pose_state */
    uint8_t *discard; /* 1: a stand-in, es_doctor_repair makes it INVALID */
    track_fault fault;
    bool metres;
    double scale;     /* FAULT_SCALE: the constant */
    int64_t valid;    /* frames */
    bool moves;       /* further than noise, see check_poses */
    double path_mm;   /* of its origin, over the valid frames */
    double range_mm;  /* largest distance from its first valid origin */
    double range_rad; /* largest rotation from its first valid pose */
    double step_mm;   /* median */
} doctor_track;

/* A small grey copy of a picture: cells of `cell` pixels, mean of each. */
enum { THUMB = 64 };
typedef struct doctor_thumb {
    int64_t frame;
    float *grey; /* width x height of the thumbs */
} doctor_thumb;

struct es_doctor {
    es_doctor_options options;
    es_doctor_about about;
    es_doctor_transform *statics;
    char pixel_failure[500];
    es_spacing_verdict verdict;
    bool has_verdict, finished, full;

    int64_t frames, capacity;
    double *time_s, *raw_s; /* NaN: none */
    int64_t *number;        /* FrameNumber, -1: none */
    uint64_t *digest;       /* of the pixels, 0: not given */
    doctor_track tracks[DOCTOR_TRACKS];
    int track_count;
    int64_t pictures;

    doctor_thumb *thumbs; /* one every thumb_step pictures */
    size_t thumb_count, thumb_capacity;
    int64_t thumb_step; /* counted in pictures */
    uint32_t thumb_width, thumb_height, cell, picture_width, picture_height;
    es_image grey; /* scratch */
    es_still_maker *maker;
    es_still still;
    char changed_field[200]; /* a depth or pixel size that changes between frames */
    char field_value[4][40];

    /* The pose of the picture, filled by check_chain. */
    es_mat4 *image_pose;
    uint8_t *has_pose;
    bool placed; /* some frame has one */
    int probe;   /* index of the track that moves the picture; -1: none */
    char reference[ES_NAME_SIZE];

    int64_t repaired[8]; /* by repair_kind */
    es_findings findings;
};

/* Starts a finding; NULL and *failed on lack of memory. Fill evidence, cause
 * and fix with finding_say. */
es_finding *finding_add(es_doctor *d, const char *check, es_severity severity, const char *subject,
                        es_error *err);
#define SAY(field, ...) doctor_say(field, sizeof field, __VA_ARGS__)
/* Cuts what does not fit. */
void doctor_say(char *field, size_t size, const char *format, ...) ES_PRINTF(3, 4);

/* One family of checks each; false only for lack of memory. */
bool doctor_check_matrices(es_doctor *d, es_error *err); /* puts order, scale, units right */
bool doctor_check_statics(es_doctor *d, es_error *err);
bool doctor_check_spacing(es_doctor *d, es_error *err);
bool doctor_check_poses(es_doctor *d, es_error *err);
bool doctor_check_chain(es_doctor *d, es_error *err); /* fills image_pose */
bool doctor_check_time(es_doctor *d, es_error *err);
bool doctor_check_image(es_doctor *d, es_error *err);
bool doctor_check_motion(es_doctor *d, es_error *err);
bool doctor_check_agreement(es_doctor *d, es_error *err);

/* Small things. */
double doctor_distance(const es_mat4 *a, const es_mat4 *b);        /* of the origins, mm */
double doctor_rotation(const es_mat4 *a, const es_mat4 *b);        /* between them, rad */
double doctor_median(double *values, size_t count);                /* reorders; NaN for none */
double doctor_spread(double *values, size_t count, double median); /* MAD; reorders, overwrites */
bool doctor_is_size(double width, double height);                  /* of a picture */
bool doctor_is_reference(const char *name);
bool doctor_is_picture(const char *from); /* Image, or pixels of it */
double doctor_column_length(const es_mat4 *m, int column);

#endif
