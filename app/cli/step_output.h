/* STEP as an output of the commands that make surfaces. */
#ifndef ECHOSOLID_APP_STEP_OUTPUT_H
#define ECHOSOLID_APP_STEP_OUTPUT_H

#include "app.h"
#include "echosolid/solid.h"

enum { OUTPUTS_MAX = 4 };

typedef struct step_options {
    const char *outputs[OUTPUTS_MAX]; /* the first that are not NULL */
    int mode, schema;
    double tolerance;
    int64_t facets;
    bool force;
} step_options;

extern const char *const step_mode_words[], *const step_schema_words[];

/* Rows of the option table of a command whose struct T has `step_options step`. */
#define STEP_OPTIONS(T)                                                                            \
    {.name = "output",                                                                             \
     .letter = 'o',                                                                                \
     .type = OPT_TEXTS,                                                                            \
     .count = OUTPUTS_MAX,                                                                         \
     .offset = offsetof(T, step.outputs),                                                          \
     .help = "the model: .stl, .ply, .obj, .3mf, .glb, .step, .stp, or .dcm (STL inside DICOM); "  \
             "may be given "                                                                       \
             "several times"},                                                                     \
        {.name = "step",                                                                           \
         .type = OPT_WORD,                                                                         \
         .words = step_mode_words,                                                                 \
         .fallback = "smooth",                                                                     \
         .offset = offsetof(T, step.mode),                                                         \
         .help = "faces of a STEP solid: smooth fits bicubic patches, faceted writes triangles, "  \
                 "patches6 fits six B-splines to a star-shaped bone, tessellated lists the "       \
                 "triangles as AP242 does, beside another output only"},                           \
        {.name = "step-tolerance",                                                                 \
         .type = OPT_NUMBER,                                                                       \
         .unit = UNIT_MM,                                                                          \
         .low = 0.001,                                                                             \
         .high = 10,                                                                               \
         .fallback = "0.25",                                                                       \
         .offset = offsetof(T, step.tolerance),                                                    \
         .help =                                                                                   \
             "smooth, patches6: 95 % of the surface shall be nearer than this; the size of the "   \
             "patches follows, and what was reached is printed"},                                  \
        {.name = "step-facets",                                                                    \
         .type = OPT_INT,                                                                          \
         .low = 4,                                                                                 \
         .high = 1e6,                                                                              \
         .fallback = "10000",                                                                      \
         .offset = offsetof(T, step.facets),                                                       \
         .help = "faceted: at most so many triangles; the mesh is reduced to them"},               \
        {.name = "step-force",                                                                     \
         .type = OPT_FLAG,                                                                         \
         .offset = offsetof(T, step.force),                                                        \
         .help = "faceted: allow more than 50000 triangles, which CAD systems read in minutes"},   \
    {                                                                                              \
        .name = "step-schema", .type = OPT_WORD, .words = step_schema_words, .fallback = "ap214",  \
        .offset = offsetof(T, step.schema), .help = "application protocol of a STEP file"          \
    }

/* Whether each output can be written by its name; ES_USAGE without any. `who`:
 * the command's name. */
bool step_check_outputs(const step_options *o, const char *who, es_error *err);
/* The first STEP file among the outputs, or NULL. */
const char *step_first(const step_options *o);

typedef struct step_source {
    const es_mesh *sheet; /* what was seen, or a closed surface */
    bool open;            /* write it as it is */
    double thickness_mm;
    const char *seen;   /* what the surface is, for the description; NULL: by its rims */
    const char *origin; /* for the description */
    es_pool *pool;
} step_source;
/* All the STEP files among the outputs, alike. */
bool step_write_outputs(const step_options *o, const step_source *source, es_solid_report *report,
                        es_error *err);
void step_print(const step_options *o, const es_solid_report *report);
/* "step" and "deviation_mm" of the JSON of a command. */
void step_add_json(const step_options *o, const es_solid_report *report, json_t *root);
/* ["a.stl", "a.step"] */
json_t *step_outputs_json(const step_options *o);

#endif
