/* What becomes of a sheet: options and words of the commands that make surfaces. */
#ifndef ECHOSOLID_APP_SHAPE_OUTPUT_H
#define ECHOSOLID_APP_SHAPE_OUTPUT_H

#include "app.h"
#include "echosolid/solid.h"

typedef struct shape_options {
    double thickness, close_holes;
    bool open, cap;
} shape_options;

/* Rows of the option table of a command whose struct T has `shape_options shape`. */
#define SHAPE_OPTIONS(T)                                                                           \
    {.name = "thickness",                                                                          \
     .type = OPT_NUMBER,                                                                           \
     .unit = UNIT_MM,                                                                              \
     .low = 0.05,                                                                                  \
     .high = 100,                                                                                  \
     .fallback = "2",                                                                              \
     .offset = offsetof(T, shape.thickness),                                                       \
     .help = "an open sheet becomes a solid of this thickness; a cap keeps as far behind it"},     \
        {.name = "open",                                                                           \
         .type = OPT_FLAG,                                                                         \
         .offset = offsetof(T, shape.open),                                                        \
         .help = "write the seen sheet itself, do not thicken"},                                   \
        {.name = "cap",                                                                            \
         .type = OPT_FLAG,                                                                         \
         .offset = offsetof(T, shape.cap),                                                         \
         .help = "close the sheet by a membrane in its rims instead; it is marked as not "         \
                 "measured: confidence 0 in a .ply"},                                              \
    {                                                                                              \
        .name = "close-holes", .type = OPT_NUMBER, .unit = UNIT_MM, .low = 0.01, .high = 1000,     \
        .offset = offsetof(T, shape.close_holes),                                                  \
        .help = "close holes up to this diameter, marked as not measured; default: none"           \
    }

es_shape_options shape_choose(const shape_options *options);
/* ES_USAGE for --open with --cap. */
bool shape_check(const shape_options *options, es_error *err);
/* What was closed, for people; nothing when nothing was. */
void shape_print_closed(const es_shape *shape);
/* "self_intersections", "closed_holes" and "cap" of the JSON of a command. */
void shape_add_json(const shape_options *options, const es_shape *shape, json_t *root);

#endif
