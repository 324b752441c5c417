/* The options that say where frames lie and what region they fill, shared by
 * the commands that reconstruct. */
#ifndef ECHOSOLID_APP_SETUP_OPTIONS_H
#define ECHOSOLID_APP_SETUP_OPTIONS_H

#include "recording.h"

typedef struct setup_options {
    recording_options recording;
    const char *config, *transform, *fill, *mask;
    double spacing[3], origin[3], size[3];
    int interpolation, compounding;
    double clip[4], fan_angles[2], fan_origin[2], fan_radii[2];
    double threshold, memory;
    int64_t skip, threads;
    bool all;
    bool peer_defaults; /* not an option of its own: --compat */
} setup_options;

extern const char *const interpolation_words[], *const compounding_words[];

/* Rows of the option table of a command whose struct T has `setup_options setup`. */
#define PLACE_OPTIONS(T)                                                                           \
    {.name = "config",                                                                             \
     .letter = 'c',                                                                                \
     .type = OPT_TEXT,                                                                             \
     .value = "XML",                                                                               \
     .offset = offsetof(T, setup.config),                                                          \
     .help = "PLUS device-set file with ImageToProbe and the reconstruction's settings"},          \
        {.name = "image-to-reference",                                                             \
         .type = OPT_TEXT,                                                                         \
         .value = "NAME",                                                                          \
         .offset = offsetof(T, setup.transform),                                                   \
         .help = "the transform that places a picture, e.g. ImageToReference; default: the "       \
                 "configuration's frames, else Image to the first known of Reference, World, "     \
                 "Tracker"},                                                                       \
        {.name = "spacing",                                                                        \
         .letter = 's',                                                                            \
         .type = OPT_NUMBERS,                                                                      \
         .count = 3,                                                                               \
         .unit = UNIT_MM,                                                                          \
         .low = 1e-3,                                                                              \
         .high = 1e3,                                                                              \
         .offset = offsetof(T, setup.spacing),                                                     \
         .help =                                                                                   \
             "voxel size, one number or three; default: the configuration's, else chosen from "    \
             "pixel size and frame distance"},                                                     \
        {.name = "origin",                                                                         \
         .type = OPT_NUMBERS,                                                                      \
         .count = 3,                                                                               \
         .unit = UNIT_MM,                                                                          \
         .low = -1e6,                                                                              \
         .high = 1e6,                                                                              \
         .value = "X,Y,Z",                                                                         \
         .offset = offsetof(T, setup.origin),                                                      \
         .help = "centre of the first voxel; default: where the frames fall"},                     \
        {.name = "size",                                                                           \
         .type = OPT_NUMBERS,                                                                      \
         .count = 3,                                                                               \
         .unit = UNIT_MM,                                                                          \
         .low = 1e-3,                                                                              \
         .high = 1e6,                                                                              \
         .value = "X,Y,Z",                                                                         \
         .offset = offsetof(T, setup.size),                                                        \
         .help = "extent of the region, with "                                                     \
                 "--origin"},                                                                      \
        {.name = "interpolation",                                                                  \
         .type = OPT_WORD,                                                                         \
         .words = interpolation_words,                                                             \
         .offset = offsetof(T, setup.interpolation),                                               \
         .help = "how a pixel reaches the voxels (default: the configuration's, else nearest)"},   \
        {.name = "compounding",                                                                    \
         .type = OPT_WORD,                                                                         \
         .words = compounding_words,                                                               \
         .offset = offsetof(T, setup.compounding),                                                 \
         .help = "what several hits give (default: the configuration's, else mean)"},              \
        {.name = "mask",                                                                           \
         .type = OPT_TEXT,                                                                         \
         .value = "PICTURE",                                                                       \
         .offset = offsetof(T, setup.mask),                                                        \
         .help = "weights of the pixels for --compounding mask: a grey PNG or one slice, of the "  \
                 "pictures' size (default: the configuration's ImportanceMaskFilename)"},          \
        {.name = "clip",                                                                           \
         .type = OPT_NUMBERS,                                                                      \
         .count = 4,                                                                               \
         .unit = UNIT_PX,                                                                          \
         .low = -1e6,                                                                              \
         .high = 1e6,                                                                              \
         .value = "U,V,WIDTH,HEIGHT",                                                              \
         .offset = offsetof(T, setup.clip),                                                        \
         .help = "the part of the picture that counts, in pixels"},                                \
        {.name = "fan-angles",                                                                     \
         .type = OPT_NUMBERS,                                                                      \
         .count = 2,                                                                               \
         .unit = UNIT_DEG,                                                                         \
         .low = -180,                                                                              \
         .high = 180,                                                                              \
         .value = "A,B",                                                                           \
         .offset = offsetof(T, setup.fan_angles),                                                  \
         .help = "keep only this sector, degrees from straight down"},                             \
        {.name = "fan-origin",                                                                     \
         .type = OPT_NUMBERS,                                                                      \
         .count = 2,                                                                               \
         .unit = UNIT_PX,                                                                          \
         .low = -1e6,                                                                              \
         .high = 1e6,                                                                              \
         .value = "U,V",                                                                           \
         .offset = offsetof(T, setup.fan_origin),                                                  \
         .help = "apex of the sector"},                                                            \
        {.name = "fan-radii",                                                                      \
         .type = OPT_NUMBERS,                                                                      \
         .count = 2,                                                                               \
         .unit = UNIT_PX,                                                                          \
         .low = 0,                                                                                 \
         .high = 1e6,                                                                              \
         .value = "A,B",                                                                           \
         .offset = offsetof(T, setup.fan_radii),                                                   \
         .help = "first and last radius of the sector"},                                           \
        {.name = "threshold",                                                                      \
         .type = OPT_NUMBER,                                                                       \
         .offset = offsetof(T, setup.threshold),                                                   \
         .help = "pixels below this value are ignored"},                                           \
        {.name = "skip",                                                                           \
         .type = OPT_INT,                                                                          \
         .low = 0,                                                                                 \
         .high = 1e6,                                                                              \
         .fallback = "0",                                                                          \
         .offset = offsetof(T, setup.skip),                                                        \
         .help = "use every N-th frame; 0: the configuration's, else all"},                        \
    {                                                                                              \
        .name = "memory", .type = OPT_NUMBER, .unit = UNIT_GB, .low = 1e-3, .high = 1e6,           \
        .offset = offsetof(T, setup.memory),                                                       \
        .help = "most memory for bricks; default: three quarters of what is free"                  \
    }

/* The same with what concerns recordings alone. */
#define SETUP_OPTIONS(T)                                                                           \
    PLACE_OPTIONS(T),                                                                              \
        {.name = "all",                                                                            \
         .type = OPT_FLAG,                                                                         \
         .offset = offsetof(T, setup.all),                                                         \
         .help = "also take the frames of a live recording that were dropped while it was made"},  \
        RECORDING_OPTIONS(T, setup.recording), THREADS_OPTION(T, setup.threads)

/* What the options ask for. *mask (es_free it) holds the name of the mask that
 * the configuration asks for; `plus` may be NULL. */
bool session_request(const setup_options *options, const es_plus *plus, char **mask,
                     es_setup_request *request, es_error *err);

/* What is open during a run. */
typedef struct session {
    es_plus *plus; /* NULL without --config */
    es_source *source;
    es_placement *placement;
    es_pool *pool;
    es_setup setup;
} session;

/* Opens and resolves everything; on failure everything is closed again. */
bool session_open(session *s, const char *file, const setup_options *options, es_error *err);
void session_close(session *s);

json_t *session_json(const session *s);

#endif
