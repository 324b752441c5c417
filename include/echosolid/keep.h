/* echosolid/keep.h: what a run made on its way, kept in a folder, so that the next run
 * takes what it would only make again. A further header of the pipeline.
 *
 * A stage is kept under a key, a digest of all that its result depends on. kept.json in
 * the folder lists for each stage its key, its files with their digests, and numbers. A
 * stage is good when the key is the same and every file is as it was written. */
#ifndef ECHOSOLID_KEEP_H
#define ECHOSOLID_KEEP_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_keep es_keep;
/* Makes the folder where it is not there. A list that cannot be read counts as an empty
 * one, with a warning. ES_IO when the folder cannot be made or is none. */
es_keep *es_keep_open(const char *folder, es_error *err);
void es_keep_free(es_keep *keep);
/* The file of this name in the folder. es_free it. */
char *es_keep_path(const es_keep *keep, const char *name, es_error *err);

typedef enum es_kept {
    ES_KEPT_NOTHING, /* no such stage yet */
    ES_KEPT_OTHER,   /* another key: inputs or options have changed */
    ES_KEPT_BROKEN,  /* a file is missing or not as it was written; `why` says which */
    ES_KEPT_GOOD
} es_kept;
es_kept es_keep_look(const es_keep *keep, const char *stage, const char key[33], char why[300]);
/* Number or file of a stage that is good; NaN, NULL when there is none. */
double es_keep_number(const es_keep *keep, const char *stage, const char *name);
const char *es_keep_file(const es_keep *keep, const char *stage, size_t index);

enum { ES_KEEP_FILES = 8, ES_KEEP_NUMBERS = 16 };
typedef struct es_keep_stage {
    const char *name;
    char key[33];
    char files[ES_KEEP_FILES][64]; /* names in the folder, already written */
    size_t file_count;
    struct {
        const char *name;
        double value;
    } numbers[ES_KEEP_NUMBERS];
    size_t number_count;
} es_keep_stage;
/* Digests the files and writes the list, at once and whole. */
bool es_keep_put(es_keep *keep, const es_keep_stage *stage, es_error *err);

/* ---- files of our own ----------------------------------------------------------- */

/* The found bone of frames with their places, every bit of it, frame by frame. */
typedef struct es_lines_writer es_lines_writer;
es_lines_writer *es_lines_create(const char *path, es_error *err);
bool es_lines_put(es_lines_writer *writer, int64_t index, const es_mat4 *image_to_reference,
                  const es_trace *trace, es_error *err);
/* Both free the writer; discard takes NULL. */
bool es_lines_finish(es_lines_writer *writer, es_error *err);
void es_lines_discard(es_lines_writer *writer);

typedef struct es_lines_reader es_lines_reader;
es_lines_reader *es_lines_open(const char *path, es_error *err);
/* *end behind the last frame. ES_FORMAT for what is no such file or was cut. */
bool es_lines_next(es_lines_reader *reader, int64_t *index, es_mat4 *image_to_reference,
                   es_trace *trace, bool *end, es_error *err);
void es_lines_close(es_lines_reader *reader);

/* A picture, RGB u8, as .ppm. */
bool es_ppm_write(const char *path, const es_image *picture, es_error *err);
bool es_ppm_read(const char *path, es_image *picture, es_error *err);

/* Bricks in their order, every bit of them. */
bool es_bricks_save(const char *path, const es_bricks *bricks, es_error *err);
es_bricks *es_bricks_load(const char *path, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
