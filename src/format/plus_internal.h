/* Inside the PLUS reader: the handle, elements, and attributes by table. */
#ifndef ES_FORMAT_PLUS_INTERNAL_H
#define ES_FORMAT_PLUS_INTERNAL_H

#include <libxml/tree.h>

#include "echosolid/format.h"

struct es_plus {
    xmlDoc *doc;
    char *name; /* for messages: the path, or what the caller called it */
};

/* ---- elements ---------------------------------------------------------- */

/* The next element in the order of the file, or NULL. */
xmlNode *plus_next_element(xmlNode *node);
/* The first child and the next sibling of that name, or NULL. */
xmlNode *plus_first_child(const xmlNode *parent, const char *name);
xmlNode *plus_next_sibling(const xmlNode *node, const char *name);
/* The element of that name: right below the root, else the first anywhere. */
xmlNode *plus_find(const es_plus *plus, const char *name);
/* A new last child, on a line of its own. NULL and ES_MEMORY on failure. */
xmlNode *plus_add_child(xmlNode *parent, const char *name, es_error *err);
xmlNode *plus_find_or_add(es_plus *plus, const char *name, es_error *err);

/* The line of the file where the element begins; 0 for a new one. */
long plus_line(const xmlNode *node);
/* ES_FORMAT: "<file>:<line>: <element>: <what>". Returns false. */
bool plus_fail(const es_plus *plus, const xmlNode *node, es_error *err, const char *format, ...)
    ES_PRINTF(4, 5);

/* ---- attributes -------------------------------------------------------- */

/* *text: es_free it; NULL when the attribute is absent. */
bool plus_get(const xmlNode *node, const char *name, char **text, es_error *err);
bool plus_set(xmlNode *node, const char *name, const char *text, es_error *err);
bool plus_has(const xmlNode *node, const char *name);
void plus_remove(xmlNode *node, const char *name);

typedef enum plus_kind {
    PLUS_DOUBLE,
    PLUS_INT32,
    PLUS_INT64,
    PLUS_FLAG, /* bool: words[0] is false, words[1] is true */
    PLUS_WORD, /* one of words, upper case in the record */
    PLUS_TEXT,
} plus_kind;

/* An attribute and its place in a record. Where `has` is PLUS_ALWAYS, NaN, 0
 * and "" mean absent: reading leaves the record as it is, writing removes the
 * attribute. Otherwise the bool at `has` says whether it is there. */
typedef struct plus_field {
    const char *name;
    const char *old_name; /* a former spelling, read when `name` is absent; or NULL */
    plus_kind kind;
    int count; /* of numbers; of bytes with the NUL for words and texts */
    size_t value, has;
    double low, high; /* of numbers */
    const char *const *words;
    bool required;
} plus_field;
#define PLUS_ALWAYS ((size_t)-1)

typedef struct plus_fields {
    const plus_field *items;
    size_t count;
} plus_fields;

/* Words compare without case. Errors name file, line, element, attribute, what
 * was found and what is allowed. */
bool plus_read_fields(const es_plus *plus, const xmlNode *node, plus_fields fields, void *record,
                      es_error *err);
/* ES_USAGE, and nothing changed, for values that could not be read again. */
bool plus_write_fields(xmlNode *node, plus_fields fields, const void *record, es_error *err);
/* Reads one word that has no place of its own in a record; *index -1: absent. */
bool plus_read_word(const es_plus *plus, const xmlNode *node, const char *name,
                    const char *const *words, int *index, es_error *err);

/* Warns of attributes of VolumeReconstruction that nobody reads. */
void plus_review_reconstruction(const es_plus *plus);

#endif
