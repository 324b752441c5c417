/* The text of ISO 10303-21: numbered entities, reals, strings. Inside the room. */
#ifndef ECHOSOLID_CAD_STEP_FILE_H
#define ECHOSOLID_CAD_STEP_FILE_H

#include "echosolid/cad.h"

typedef struct step_file {
    es_output *out;
    es_text text;  /* not yet written */
    uint32_t last; /* number of the entity begun last */
    bool failed;   /* err has been told */
    es_error *err;
} step_file;

/* "#n=KEYWORD(...);" whole, or piece by piece; returns n. After a failure
 * nothing more is written, and only the end needs a check. */
uint32_t step_add(step_file *file, const char *format, ...) ES_PRINTF(2, 3);
uint32_t step_begin(step_file *file);
void step_put(step_file *file, const char *format, ...) ES_PRINTF(2, 3);
void step_end(step_file *file); /* ");" and the end of the line */
/* #first,#second,... */
void step_put_list(step_file *file, const uint32_t *numbers, size_t count);
uint32_t step_point(step_file *file, const char *name, es_vec3 at);
uint32_t step_direction(step_file *file, es_vec3 unit);
/* The buffered rest to the file; false when anything has failed. */
bool step_flush(step_file *file);

/* A real as the standard wants it: always with a point, exponent "E". */
enum { STEP_REAL_SIZE = ES_NUMBER_SIZE + 2 };
char *step_real(double value, char text[STEP_REAL_SIZE]);
/* UTF-8 as a STEP string without its quotes: ' and \ doubled, controls as
 * blanks, the rest as \X2\....\X0\ or \X4\........\X0\. ES_USAGE when it is not
 * UTF-8. */
bool step_string(const char *utf8, es_text *encoded, es_error *err);

/* ---- bodies --------------------------------------------------------------------- */

/* What the bodies of a file add up to while they are written. */
typedef struct step_sum {
    uint32_t *items; /* solids or surface models */
    size_t item_count, item_capacity;
    es_step_report report;
    double moment[3]; /* volume times centroid */
} step_sum;
bool step_add_item(step_sum *sum, uint32_t item, es_error *err);
/* "'name'" or "'name 2'": a body of several pieces. */
void step_put_name(step_file *file, const char *encoded, size_t piece, size_t pieces);

/* One more solid, by its measures. */
void step_add_measures(step_sum *sum, const es_patches_measure *solid);

bool step_write_mesh(step_file *file, const es_mesh *mesh, const char *encoded, step_sum *sum);
bool step_write_patches(step_file *file, const es_patches *patches, bool open, const char *encoded,
                        step_sum *sum);

bool step_write_cube(step_file *file, const es_spline_cube *cube, const char *encoded,
                     step_sum *sum);
bool step_write_tessellated(step_file *file, const es_mesh *mesh, const char *encoded,
                            step_sum *sum);

/* Disjoint sets of `count` members; a set is known by its smallest. */
uint32_t *step_sets_new(size_t count, es_error *err);
uint32_t step_sets_root(uint32_t *sets, uint32_t member);
void step_sets_join(uint32_t *sets, uint32_t a, uint32_t b);

/* Pieces: members in order of their sets. members[start[p]..start[p + 1]). */
typedef struct step_pieces {
    uint32_t *members, *start;
    size_t count;
} step_pieces;
bool step_pieces_find(uint32_t *sets, size_t count, step_pieces *pieces, es_error *err);
/* One set of triangles per piece: those that share vertices. */
bool step_mesh_pieces(const es_mesh *mesh, step_pieces *pieces, es_error *err);
void step_pieces_clear(step_pieces *pieces);

#endif
