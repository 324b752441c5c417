/* echosolid/doctor.h: can the geometry of a recording be true? A second header
 * of the room spacing.
 *
 * The doctor is a collector: it is told what a configuration says, then given
 * the frames one by one, and at the end lists what cannot be, or is not likely
 * to be, as it stands: each finding with numbers, the likely cause and what to
 * do. It keeps the poses of all frames and small copies of some pictures. The
 * rules, their thresholds and where they come from are in docs/doctor.md. */
#ifndef ECHOSOLID_DOCTOR_H
#define ECHOSOLID_DOCTOR_H

#include "echosolid/spacing.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NOTE: worth knowing, nothing is wrong. WARNING: probably wrong, or wrong for
 * some uses. ERROR: what is built on it will be wrong. */
typedef enum es_severity { ES_SEVERITY_NOTE, ES_SEVERITY_WARNING, ES_SEVERITY_ERROR } es_severity;
const char *es_severity_name(es_severity severity); /* "note", "warning", "error" */

typedef struct es_finding {
    char check[40]; /* a stable word, e.g. "mirrored-matrix"; es_doctor_checks lists them */
    es_severity severity;
    char subject[ES_NAME_SIZE]; /* the transform or thing meant; "" the whole recording */
    char evidence[500];         /* what was seen, with numbers */
    char cause[300];            /* what usually leads to this */
    char fix[300];              /* what to do */
    bool fix_is_safe;           /* es_doctor_repair does it */
} es_finding;
typedef struct es_findings {
    es_finding *items; /* most severe first */
    size_t count, capacity;
} es_findings;
void es_findings_clear(es_findings *findings);

/* All the words that a finding's `check` can be; NULL terminated. */
const char *const *es_doctor_checks(void);

typedef struct es_doctor_options {
    double elevation_mm; /* thickness of the slice: frames further apart leave gaps */
    double speed_mm_s;   /* a probe that scans is slower */
    char image[ES_NAME_SIZE], reference[ES_NAME_SIZE]; /* of the chain; "": Image, and the first
                                                          known of Reference, World, Tracker */
} es_doctor_options;
#define ES_DOCTOR_DEFAULTS                                                                         \
    { .elevation_mm = 3, .speed_mm_s = 200 }

/* A transform of a configuration. `commented`: it stands in a comment, so it
 * only counts as what somebody once measured. */
typedef struct es_doctor_transform {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    es_mat4 matrix;
    bool commented;
} es_doctor_transform;

/* How a configuration says that the picture was drawn; NaN: not said. */
typedef struct es_doctor_scan {
    bool present, curved;
    char probe[128];
    double spacing_mm[2], depth_mm, width_mm, radius_start_mm, radius_stop_mm;
} es_doctor_scan;

/* What is known beside the frames. Copied; `verdict` is only read in
 * es_doctor_config and may be NULL. */
typedef struct es_doctor_about {
    const es_doctor_transform *transforms;
    size_t transform_count;
    bool has_config;
    es_doctor_scan scan;
    int64_t frame_count; /* declared by the recording; -1: not said */
    uint32_t width, height;
    double spacing_mm[2];      /* of the recording's header; NaN: not said */
    char orientation[8];       /* the mark in the file, "MFA"; "" when absent */
    char image_kind[32];       /* "BRIGHTNESS", "RF_IQ_LINE"; "" when absent */
    char modes[ES_MODES_TEXT]; /* of es_picture_modes; "" when nothing is told */
    double clip_px[4];         /* u v width height that is used of the picture; NaN: all of it */
    const es_spacing_verdict *verdict; /* what the pictures say of the spacing */
    const char *pixel_failure; /* why the pixels could not be read to the end; NULL: they could */
} es_doctor_about;
/* Everything unknown. */
void es_doctor_about_init(es_doctor_about *about);

typedef struct es_doctor es_doctor;
/* options may be NULL. ES_USAGE for a thickness or speed that is not positive. */
es_doctor *es_doctor_new(const es_doctor_options *options, es_error *err);
void es_doctor_free(es_doctor *doctor);
/* Replaces what was told before. */
bool es_doctor_config(es_doctor *doctor, const es_doctor_about *about, es_error *err);
/* Frames in order. Pictures count where has_image is set; give those of all
 * frames, or of runs of some neighbours. Only errors of memory. */
bool es_doctor_add(es_doctor *doctor, const es_frame *frame, es_error *err);
/* May be called once, after the frames; needs none for a configuration alone. */
bool es_doctor_finish(es_doctor *doctor, es_findings *findings, es_error *err);

/* After es_doctor_finish: what is safe to mend in this frame of the same
 * recording. Lengths in metres become mm, matrices in column order are turned
 * round, a common scale or a little noise is taken out of rotations, and poses
 * that are stand-ins (identity, repeats, outliers) get the status INVALID. */
bool es_doctor_repair(es_doctor *doctor, es_frame *frame, es_error *err);
/* What es_doctor_repair has changed so far, one line each; "" when nothing.
 * es_free it. */
char *es_doctor_repairs(const es_doctor *doctor, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
