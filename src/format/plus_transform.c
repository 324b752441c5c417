/* CoordinateDefinitions: the transforms that do not change from frame to frame,
 * such as the calibrated ImageToProbe. */
#include <math.h>
#include <string.h>

#include "plus_internal.h"

enum { TRANSFORM_LIMIT = 1024 };

#define AT(member) offsetof(es_plus_transform, member)
static const plus_field items[] = {
    {.name = "From",
     .kind = PLUS_TEXT,
     .count = ES_NAME_SIZE,
     .value = AT(from),
     .has = PLUS_ALWAYS,
     .required = true},
    {.name = "To",
     .kind = PLUS_TEXT,
     .count = ES_NAME_SIZE,
     .value = AT(to),
     .has = PLUS_ALWAYS,
     .required = true},
    {.name = "Matrix",
     .kind = PLUS_DOUBLE,
     .count = 16,
     .value = AT(matrix),
     .has = PLUS_ALWAYS,
     .low = -1e12,
     .high = 1e12,
     .required = true},
    {.name = "Error",
     .kind = PLUS_DOUBLE,
     .count = 1,
     .value = AT(error),
     .has = PLUS_ALWAYS,
     .low = -1e12,
     .high = 1e12},
    {.name = "Date", .kind = PLUS_TEXT, .count = 64, .value = AT(date), .has = PLUS_ALWAYS},
};
static const plus_fields fields = {items, sizeof items / sizeof *items};

/* Of a configuration, or of the results file of a calibration. */
static xmlNode *first_transform(const es_plus *plus) {
    xmlNode *parent = plus_find(plus, "CoordinateDefinitions");
    if (!parent) parent = plus_find(plus, "CalibrationResults");
    return parent ? plus_first_child(parent, "Transform") : NULL;
}

size_t es_plus_transform_count(const es_plus *plus) {
    size_t count = 0;
    for (xmlNode *at = first_transform(plus); at; at = plus_next_sibling(at, "Transform")) count++;
    return count;
}

static bool read_transform(const es_plus *plus, const xmlNode *node, es_plus_transform *transform,
                           es_error *err) {
    *transform = (es_plus_transform){.error = NAN};
    if (!plus_read_fields(plus, node, fields, transform, err)) return false;
    if (transform->from[0] && transform->to[0] && strcmp(transform->from, transform->to) != 0)
        return true;
    return plus_fail(plus, node, err, "From and To must name two different frames of reference");
}

bool es_plus_transform_get(const es_plus *plus, size_t index, es_plus_transform *transform,
                           es_error *err) {
    xmlNode *at = first_transform(plus);
    for (size_t i = 0; at && i < index; i++) at = plus_next_sibling(at, "Transform");
    if (at) return read_transform(plus, at, transform, err);
    return es_fail(err, ES_USAGE, "%s: transform %zu was asked for, there are %zu", plus->name,
                   index, es_plus_transform_count(plus));
}

/* ---- setting ----------------------------------------------------------- */

static bool has_text(const xmlNode *node, const char *name, const char *text, bool *same,
                     es_error *err) {
    char *value;
    if (!plus_get(node, name, &value, err)) return false;
    *same = value && strcmp(value, text) == 0;
    es_free(value);
    return true;
}

/* *found: the element From -> To, or NULL. */
static bool find_transform(const es_plus *plus, const char *from, const char *to, xmlNode **found,
                           es_error *err) {
    for (*found = first_transform(plus); *found; *found = plus_next_sibling(*found, "Transform")) {
        bool same_from, same_to;
        if (!has_text(*found, "From", from, &same_from, err) ||
            !has_text(*found, "To", to, &same_to, err))
            return false;
        if (same_from && same_to) return true;
    }
    return true;
}

static bool check_transform(const es_plus *plus, const es_plus_transform *t, es_error *err) {
    xmlNode *inverse;
    if (!t->from[0] || !t->to[0] || strcmp(t->from, t->to) == 0)
        return es_fail(err, ES_USAGE, "a transform needs the names of two frames of reference");
    if (!find_transform(plus, t->to, t->from, &inverse, err)) return false;
    if (!inverse) return true;
    return plus_fail(plus, inverse, err, "stands in the way of %sTo%s; remove it or set it instead",
                     t->from, t->to);
}

static bool add_transform(es_plus *plus, const es_plus_transform *transform, es_error *err) {
    xmlNode *parent = plus_find_or_add(plus, "CoordinateDefinitions", err);
    xmlNode *node = parent ? plus_add_child(parent, "Transform", err) : NULL;
    if (!node) return false;
    if (plus_write_fields(node, fields, transform, err)) return true;
    xmlUnlinkNode(node);
    xmlFreeNode(node);
    return false;
}

bool es_plus_transform_set(es_plus *plus, const es_plus_transform *transform, es_error *err) {
    xmlNode *node;
    if (!check_transform(plus, transform, err) ||
        !find_transform(plus, transform->from, transform->to, &node, err))
        return false;
    return node ? plus_write_fields(node, fields, transform, err)
                : add_transform(plus, transform, err);
}

/* ---- into the graph ---------------------------------------------------- */

/* The same transform twice is an error unless both say the same. */
static bool check_repeated(const es_plus *plus, const xmlNode *node, const es_plus_transform *t,
                           es_error *err) {
    xmlNode *first;
    es_plus_transform earlier;
    if (!find_transform(plus, t->from, t->to, &first, err)) return false;
    if (first == node) return true;
    if (!read_transform(plus, first, &earlier, err)) return false;
    if (memcmp(&earlier.matrix, &t->matrix, sizeof t->matrix) == 0) return true;
    return plus_fail(plus, node, err,
                     "given again with another matrix (the first is on line %ld); remove one",
                     plus_line(first));
}

bool es_plus_to_graph(const es_plus *plus, es_graph *graph, es_error *err) {
    size_t count = es_plus_transform_count(plus);
    if (count > TRANSFORM_LIMIT)
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: %zu transforms in CoordinateDefinitions; at most "
                       "%d are read",
                       plus->name, count, TRANSFORM_LIMIT);
    for (xmlNode *at = first_transform(plus); at; at = plus_next_sibling(at, "Transform")) {
        es_plus_transform t;
        if (!read_transform(plus, at, &t, err) || !check_repeated(plus, at, &t, err)) return false;
        if (!es_graph_set(graph, t.from, t.to, t.matrix, true, err))
            return es_prefix(err, "%s:%ld", plus->name, plus_line(at));
    }
    return true;
}
