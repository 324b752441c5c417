/* How bone is found: options and words of the commands that make something of it. */
#ifndef ECHOSOLID_APP_DETECTOR_H
#define ECHOSOLID_APP_DETECTOR_H

#include "app.h"
#include "echosolid/bone_flow.h"

typedef struct detector_options {
    int method; /* below 0: not given */
    const char *network;
} detector_options;

/* Rows of the option table of a command whose struct T has `detector_options detector`. */
#define DETECTOR_OPTIONS(T, WHEN)                                                                  \
    {.name = "detector",                                                                           \
     .type = OPT_WORD,                                                                             \
     .words = es_bone_method_names,                                                                \
     .offset = offsetof(T, detector.method),                                                       \
     .help = "how bone is found in a picture" WHEN " (default: network)"},                         \
    {                                                                                              \
        .name = "network", .type = OPT_TEXT, .value = "FILE",                                      \
        .offset = offsetof(T, detector.network),                                                   \
        .help = "another network than the one that is built in: a .esnn, or a .onnx with a "       \
                ".json of its name beside it (docs/bone.md)"                                       \
    }

/* The method, and the network of --network (the caller's; NULL: the built-in one).
 * ES_USAGE where the two exclude one another. */
bool detector_open(const detector_options *options, es_bone_method *method, es_network **network,
                   es_error *err);

#endif
