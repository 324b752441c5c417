/* What the calibrate commands share. */
#ifndef ECHOSOLID_APP_CALIBRATE_H
#define ECHOSOLID_APP_CALIBRATE_H

#include "app.h"
#include "echosolid/calibration.h"
#include "recording.h"

/* A recording's poses of one tool, with the configuration they were read by. */
typedef struct calibrate_input {
    es_plus *plus; /* NULL without --config */
    es_pose_list poses;
    char transform[2 * ES_NAME_SIZE];
} calibrate_input;
/* How poses are read; all may be NULL. Without tool and reference these are chosen,
 * and said; `table`: poses may come from a table (--poses). */
typedef struct calibrate_how {
    const char *config, *tool, *reference;
    const recording_options *table;
} calibrate_how;
bool calibrate_open(const common_options *common, const char *file, const calibrate_how *how,
                    calibrate_input *input, es_error *err);
/* A table stands in for a second recording: ES_USAGE when both are given. */
bool calibrate_check_poses(const recording_options *table, int files, es_error *err);
void calibrate_close(calibrate_input *input);

/* Puts From -> To into a copy of the configuration (or a new one) at `path`;
 * `error` as PLUS writes it, NaN for none. Does nothing for a NULL path. */
bool calibrate_write(const es_plus *plus, const char *path, const char *from, const char *to,
                     es_mat4 matrix, double error, es_error *err);

json_t *calibrate_json_vector(es_vec3 v);
json_t *calibrate_json_matrix(es_mat4 m);

#define CALIBRATE_CONFIG_OPTION(T)                                                                 \
    {                                                                                              \
        .name = "config", .letter = 'c', .type = OPT_TEXT, .value = "XML",                         \
        .offset = offsetof(T, config), .help = "PLUS configuration with the fixed transforms"      \
    }

#define CALIBRATE_TOOL_OPTIONS(T)                                                                  \
    CALIBRATE_CONFIG_OPTION(T),                                                                    \
        {.name = "tool",                                                                           \
         .type = OPT_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .offset = offsetof(T, tool),                                                              \
         .help = "the tracked stylus; without it: Stylus, or the only tool"},                      \
        {.name = "reference",                                                                      \
         .type = OPT_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .offset = offsetof(T, reference),                                                         \
         .help = "what its poses are taken to; without it: Reference, else Tracker"},              \
    {                                                                                              \
        .name = "output", .letter = 'o', .type = OPT_TEXT, .value = "XML",                         \
        .offset = offsetof(T, output), .help = "write the result into a copy of the configuration" \
    }

/* Of the marker on the probe. `still`: what its reference must be still to, as text after a
 * comma, or "". */
#define CALIBRATE_PROBE_OPTIONS(T, still)                                                          \
    CALIBRATE_CONFIG_OPTION(T),                                                                    \
        {.name = "tool",                                                                           \
         .type = OPT_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .fallback = "Probe",                                                                      \
         .offset = offsetof(T, tool),                                                              \
         .help = "the tracked marker on the probe"},                                               \
    {                                                                                              \
        .name = "reference", .type = OPT_TEXT, .value = "NAME", .offset = offsetof(T, reference),  \
        .help = "what its poses are taken to" still "; without it: Reference, else Tracker"        \
    }

#endif
