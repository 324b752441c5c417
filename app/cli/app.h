/* What the commands share: failing in words, progress, notes, JSON. */
#ifndef ECHOSOLID_APP_H
#define ECHOSOLID_APP_H

#include <jansson.h>

#include "echosolid/pipeline.h"
#include "options.h"

/* Prints the message; returns the exit status: 2 for wrong usage, else 1. */
int app_fail(const es_error *err);

/* Progress on standard error: a bar on a terminal, nothing elsewhere. NULL
 * with --quiet. */
const es_progress *app_progress(const common_options *common);
void app_progress_end(void);

/* Notes of the program on standard error; silent with --quiet. */
void app_note(const common_options *common, const char *format, ...) ES_PRINTF(2, 3);
void app_decisions(const common_options *common, const es_decisions *decisions);

/* Prints and frees `root`; the exit status. */
int app_print_json(json_t *root);
json_t *app_json_decisions(const es_decisions *decisions);
/* A number, or null when it is not finite. */
json_t *app_json_number(double value);
json_t *app_json_distance(const es_mesh_distance *distance);
json_t *app_json_check(const es_mesh_check *check);

/* "12.3 MB", in a buffer of 32. */
char *app_bytes(uint64_t bytes, char text[32]);

/* Who made this from what: version, options, digests of the inputs, as fields
 * for volumes and recordings, and as one line for models. NULL inputs are
 * skipped. */
typedef struct app_origin {
    char *options;
    char digests[8][33];
    const char *inputs[8];
    int input_count;
} app_origin;
bool app_origin_make(app_origin *origin, const command *cmd, const void *options,
                     const char *const *inputs, int count, es_error *err);
bool app_origin_fields(const app_origin *origin, es_fields *fields, es_error *err);
/* "mm thickened 2 mm, input 1234abcd": fits the 80 bytes of an STL header. */
void app_origin_title(const app_origin *origin, const char *what, char title[80]);
void app_origin_clear(app_origin *origin);

/* "<path without its extensions><suffix>": out/knee.igs.mha, ".xml" ->
 * out/knee.xml. es_free it. */
char *app_sibling(const char *path, const char *suffix, es_error *err);

#endif
