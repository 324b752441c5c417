/* What the calibrate commands share. */
#ifndef ECHOSOLID_APP_CALIBRATE_H
#define ECHOSOLID_APP_CALIBRATE_H

#include "app.h"
#include "echosolid/calibration.h"

/* A recording's poses of one tool, with the configuration they were read by. */
typedef struct calibrate_input {
    es_plus *plus; /* NULL without --config */
    es_pose_list poses;
    char transform[2 * ES_NAME_SIZE];
} calibrate_input;
/* `tool` and `reference` may be NULL: chosen, and said. */
bool calibrate_open(const common_options *common, const char *file, const char *config,
                    const char *tool, const char *reference, calibrate_input *input, es_error *err);
void calibrate_close(calibrate_input *input);

/* Puts From -> To into a copy of the configuration (or a new one) at `path`;
 * `error` as PLUS writes it, NaN for none. Does nothing for a NULL path. */
bool calibrate_write(const es_plus *plus, const char *path, const char *from, const char *to,
                     es_mat4 matrix, double error, es_error *err);

json_t *calibrate_json_vector(es_vec3 v);
json_t *calibrate_json_matrix(es_mat4 m);
void calibrate_print_matrix(const char *name, es_mat4 m);

#define CALIBRATE_TOOL_OPTIONS(T)                                                                  \
    {.name = "config",                                                                             \
     .letter = 'c',                                                                                \
     .type = OPT_TEXT,                                                                             \
     .value = "XML",                                                                               \
     .offset = offsetof(T, config),                                                                \
     .help = "PLUS configuration with the fixed transforms"},                                      \
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

#endif
