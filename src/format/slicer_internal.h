/* What the parts of the reader of Slicer scenes share. */
#ifndef ES_FORMAT_SLICER_INTERNAL_H
#define ES_FORMAT_SLICER_INTERNAL_H

#include <libxml/hash.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include "archive.h"

/* ---- the text of a scene (slicer_xml.c) ------------------------------------ */

/* An archive with its scene; the archive stays the caller's. */
typedef struct es_mrml {
    zip_t *zip;
    xmlDoc *doc;
    xmlHashTable *nodes; /* by id */
    char folder[400];    /* of the .mrml within the archive, with its slash */
} es_mrml;
bool es_mrml_open(es_mrml *mrml, zip_t *zip, es_error *err);
void es_mrml_close(es_mrml *mrml);

xmlNode *es_mrml_first(const es_mrml *mrml);
xmlNode *es_mrml_find(const es_mrml *mrml, const char *id); /* NULL: none */
bool es_mrml_is(const xmlNode *node, const char *name);
/* The value of an attribute up to `size` bytes; "" when absent or longer. */
const char *es_mrml_get(const xmlNode *node, const char *name, char *text, size_t size);
/* "a:x;b:y" -> the value of `key`. */
const char *es_mrml_get_part(const xmlNode *node, const char *name, const char *key, char *text,
                             size_t size);
/* The name of the file behind a node, %20 and so on decoded; "" without one. */
void es_mrml_file(const es_mrml *mrml, const xmlNode *node, char *file, size_t size);
/* The entry of that name; -1. Anywhere: in whatever folder, which takes longer. */
zip_int64_t es_mrml_entry(const es_mrml *mrml, const char *file, bool anywhere);

/* The items of a sequence, "id:value;id:value", one after another. */
typedef struct es_mrml_item {
    xmlNode *node; /* NULL: the scene has none of that id */
    double value;  /* NaN: no number */
} es_mrml_item;
bool es_mrml_next_item(const es_mrml *mrml, const char **at, es_mrml_item *item);

/* ---- pictures in files of their own (slicer_pictures.c) -------------------- */

/* Where Slicer places pixel (u, v, 0) of each picture. */
typedef struct es_placements {
    es_mat4 *pixel_to_ras;
    size_t count; /* 1: the same for all */
} es_placements;

/* The pictures of a sequence as frames. Opens the archive `path` once more;
 * messages call it `shown`. `values` are the sequence's index values.
 * placements gets a list to es_free. */
es_source *es_pictures_open(const char *path, const char *shown, const es_mrml *mrml,
                            const char *values, es_placements *placements, es_error *err);

#endif
