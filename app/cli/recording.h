/* Opening a recording, with a table of poses beside it: the same options and
 * the same door for every command that reads frames. */
#ifndef ECHOSOLID_APP_RECORDING_H
#define ECHOSOLID_APP_RECORDING_H

#include "app.h"

typedef struct recording_options {
    const char *poses, *layout, *tool;
    double time_offset, fps; /* NaN: not given */
} recording_options;

/* Rows of the option table of a command whose struct T has this `field`. */
#define RECORDING_OPTIONS(T, field)                                                                \
    {.name = "poses",                                                                              \
     .letter = 'p',                                                                                \
     .type = OPT_TEXT,                                                                             \
     .value = "TABLE",                                                                             \
     .offset = offsetof(T, field.poses),                                                           \
     .help =                                                                                       \
         "table of poses of the frames (CSV, TUM, KITTI, NDI, Motive, Vicon, ...); its layout "    \
         "is found and told, see docs/poses.md"},                                                  \
        {.name = "pose-layout",                                                                    \
         .type = OPT_TEXT,                                                                         \
         .value = "WORDS",                                                                         \
         .offset = offsetof(T, field.layout),                                                      \
         .help = "what is known of the table, e.g. "                                               \
                 "quaternion=wxyz,unit=mm,direction=tool-to-tracker,handedness=right"},            \
        {.name = "pose-tool",                                                                      \
         .type = OPT_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .offset = offsetof(T, field.tool),                                                        \
         .help = "which tool of the table is the probe, or names for all: "                        \
                 "\"Body 1=Probe,Body 2=Reference\""},                                             \
        {.name = "time-offset",                                                                    \
         .type = OPT_NUMBER,                                                                       \
         .unit = UNIT_S,                                                                           \
         .low = -1e10,                                                                             \
         .high = 1e10,                                                                             \
         .offset = offsetof(T, field.time_offset),                                                 \
         .help = "added to the times of the table to get those of the frames"},                    \
    {                                                                                              \
        .name = "fps", .type = OPT_NUMBER, .unit = UNIT_HZ, .low = 1e-3, .high = 1e6,              \
        .offset = offsetof(T, field.fps),                                                          \
        .help = "rate of frames that carry no times, for joining poses by time"                    \
    }

/* Whether the file is a volume of voxels; with --poses its slices are frames. */
bool app_is_volume(const char *file, const recording_options *options, bool *is_volume,
                   es_error *err);

/* Opens the recording, joined with the poses where a table is given; what was
 * found is added to the decisions. `plus` (may be NULL) helps to find the
 * table's conventions. ES_USAGE for words about a table without a table. */
es_source *app_open_recording(const char *file, const recording_options *options,
                              const es_plus *plus, es_decisions *decisions, es_error *err);

/* The same, and tells the decisions on standard error. */
es_source *app_open_recording_told(const char *file, const recording_options *options,
                                   const es_plus *plus, const common_options *common,
                                   es_error *err);
/* The same for commands that need the configuration (may be NULL) for the
 * poses only. */
es_source *app_open_recording_config(const char *file, const recording_options *options,
                                     const char *config, const common_options *common,
                                     es_error *err);

#endif
