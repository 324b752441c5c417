/* Elements and attributes of a PLUS file.
 *
 * PLUS keeps everything in attributes: numbers separated by blanks, words
 * without regard to case, texts. What an element may hold is a table of fields
 * (name, kind, range, place in a C struct), and the functions here read and
 * write a whole struct by its table, so that all attributes are checked in the
 * same way and complain in the same words. */
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "plus_internal.h"

enum { NUMBER_LIMIT = 16, WORDS_SIZE = 200 };

_Static_assert(sizeof(int) == sizeof(int32_t), "int fields are read as PLUS_INT32");

/* ---- elements ---------------------------------------------------------- */

static xmlNode *first_element(xmlNode *node) {
    while (node && node->type != XML_ELEMENT_NODE) node = node->next;
    return node;
}

xmlNode *plus_next_element(xmlNode *node) {
    xmlNode *next = first_element(node->children);
    while (!next && node && node->type == XML_ELEMENT_NODE) {
        next = first_element(node->next);
        node = node->parent;
    }
    return next;
}

static bool is_named(const xmlNode *node, const char *name) {
    return node->type == XML_ELEMENT_NODE && strcmp((const char *)node->name, name) == 0;
}

static xmlNode *find_named(xmlNode *node, const char *name) {
    while (node && !is_named(node, name)) node = node->next;
    return node;
}

xmlNode *plus_first_child(const xmlNode *parent, const char *name) {
    return find_named(parent->children, name);
}

xmlNode *plus_next_sibling(const xmlNode *node, const char *name) {
    return find_named(node->next, name);
}

xmlNode *plus_find(const es_plus *plus, const char *name) {
    xmlNode *root = xmlDocGetRootElement(plus->doc), *node = plus_first_child(root, name);
    if (node) return node;
    for (node = root; node; node = plus_next_element(node))
        if (is_named(node, name)) return node;
    return NULL;
}

/* A line break and the blanks of an element `depth` deep. */
static xmlNode *new_indent(int depth) {
    xmlNode *text = xmlNewText(BAD_CAST "\n");
    for (; text && depth > 0; depth--) xmlNodeAddContent(text, BAD_CAST "  ");
    return text;
}

static int depth_of(const xmlNode *node) {
    int depth = 0;
    for (; node->parent && node->parent->type == XML_ELEMENT_NODE; node = node->parent) depth++;
    return depth;
}

xmlNode *plus_add_child(xmlNode *parent, const char *name, es_error *err) {
    if (xmlValidateNCName(BAD_CAST name, 0) != 0) {
        es_fail(err, ES_USAGE, "\"%.60s\" cannot be the name of an element", name);
        return NULL;
    }
    int depth = depth_of(parent);
    bool closed = parent->last && xmlIsBlankNode(parent->last);
    xmlNode *added = xmlNewNode(NULL, BAD_CAST name), *before = new_indent(depth + 1);
    xmlNode *after = closed ? NULL : new_indent(depth);
    if (!added || !before || (!after && !closed)) {
        xmlFreeNode(added);
        xmlFreeNode(before);
        xmlFreeNode(after);
        es_fail(err, ES_MEMORY, "out of memory for the element %s", name);
        return NULL;
    }
    if (after) xmlAddChild(parent, after);
    xmlAddPrevSibling(parent->last, added);
    xmlAddPrevSibling(added, before);
    return added;
}

xmlNode *plus_find_or_add(es_plus *plus, const char *name, es_error *err) {
    xmlNode *node = plus_find(plus, name);
    return node ? node : plus_add_child(xmlDocGetRootElement(plus->doc), name, err);
}

long plus_line(const xmlNode *node) { return (long)(intptr_t)node->_private; }

/* "Transform ImageToProbe" for a transform, else the element's name. */
static void describe(const xmlNode *node, char *text, size_t size) {
    char *from = NULL, *to = NULL;
    if (plus_get(node, "From", &from, NULL) && plus_get(node, "To", &to, NULL) && from && to)
        snprintf(text, size, "%.40s %.60sTo%.60s", (const char *)node->name, from, to);
    else
        snprintf(text, size, "%.40s", (const char *)node->name);
    es_free(from);
    es_free(to);
}

bool plus_fail(const es_plus *plus, const xmlNode *node, es_error *err, const char *format, ...) {
    char element[200], what[600];
    va_list args;
    describe(node, element, sizeof element);
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (plus_line(node) > 0)
        return es_fail(err, ES_FORMAT, "%s:%ld: %s: %s", plus->name, plus_line(node), element,
                       what);
    return es_fail(err, ES_FORMAT, "%s: %s: %s", plus->name, element, what);
}

/* ---- single attributes ------------------------------------------------- */

bool plus_has(const xmlNode *node, const char *name) {
    return xmlHasProp(node, BAD_CAST name) != NULL;
}

bool plus_get(const xmlNode *node, const char *name, char **text, es_error *err) {
    *text = NULL;
    xmlAttr *attribute = xmlHasProp(node, BAD_CAST name);
    if (!attribute) return true;
    xmlChar *value = xmlNodeListGetString(node->doc, attribute->children, 1);
    if (attribute->children && !value)
        return es_fail(err, ES_MEMORY, "out of memory for the attribute %s", name);
    *text = es_copy_text(value ? (const char *)value : "", err);
    xmlFree(value);
    return *text != NULL;
}

/* XML cannot hold control characters, and the tree is UTF-8. */
static bool can_be_stored(const char *text) {
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < 0x20 && !strchr("\t\n\r", *at)) return false;
    return xmlCheckUTF8(BAD_CAST text);
}

bool plus_set(xmlNode *node, const char *name, const char *text, es_error *err) {
    if (xmlValidateNCName(BAD_CAST name, 0) != 0)
        return es_fail(err, ES_USAGE, "\"%.60s\" cannot be the name of an attribute", name);
    if (!can_be_stored(text))
        return es_fail(err, ES_USAGE, "%s: the text has bytes that XML cannot hold", name);
    if (xmlSetProp(node, BAD_CAST name, BAD_CAST text)) return true;
    return es_fail(err, ES_MEMORY, "out of memory for the attribute %s", name);
}

void plus_remove(xmlNode *node, const char *name) {
    xmlAttr *attribute = xmlHasProp(node, BAD_CAST name);
    if (attribute) xmlRemoveProp(attribute);
}

/* ---- reading fields ---------------------------------------------------- */

/* Where an attribute is being read, for its messages. */
typedef struct place {
    const es_plus *plus;
    const xmlNode *node;
    const char *name;
    es_error *err;
} place;

static void list_words(const char *const *words, char text[WORDS_SIZE]) {
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; words[i] && length < WORDS_SIZE; i++) {
        const char *separator = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        length += (size_t)snprintf(text + length, WORDS_SIZE - length, "%s%s", separator, words[i]);
    }
}

static bool match_word(const place *p, const char *text, const char *const *words, int *index) {
    for (*index = 0; words[*index]; ++*index)
        if (strcasecmp(text, words[*index]) == 0) return true;
    char allowed[WORDS_SIZE];
    list_words(words, allowed);
    return plus_fail(p->plus, p->node, p->err, "%s is \"%.60s\", expected %s", p->name, text,
                     allowed);
}

bool plus_read_word(const es_plus *plus, const xmlNode *node, const char *name,
                    const char *const *words, int *index, es_error *err) {
    place p = {plus, node, name, err};
    char *text;
    *index = -1;
    if (!plus_get(node, name, &text, err)) return false;
    bool good = !text || match_word(&p, text, words, index);
    es_free(text);
    return good;
}

static bool in_range(const plus_field *field, double value) {
    return value >= field->low && value <= field->high &&
           (field->kind == PLUS_DOUBLE || value == floor(value));
}

static bool parse_numbers(const place *p, const plus_field *field, const char *text,
                          double values[NUMBER_LIMIT]) {
    const char *kind = field->kind == PLUS_DOUBLE ? "number" : "whole number";
    const char *plural = field->count == 1 ? "" : "s";
    long found = es_parse_doubles(text, values, NUMBER_LIMIT);
    if (found >= 0 && found != field->count)
        return plus_fail(p->plus, p->node, p->err, "%s has %ld number%s, expected %d", p->name,
                         found, found == 1 ? "" : "s", field->count);
    bool good = found >= 0;
    for (long i = 0; i < found; i++) good = good && in_range(field, values[i]);
    return good || plus_fail(p->plus, p->node, p->err,
                             "%s is \"%.60s\", expected %d %s%s from %.10g to %.10g", p->name, text,
                             field->count, kind, plural, field->low, field->high);
}

static void store_numbers(const plus_field *field, const double *values, void *record) {
    char *to = (char *)record + field->value;
    for (int i = 0; i < field->count; i++) {
        if (field->kind == PLUS_DOUBLE) ((double *)(void *)to)[i] = values[i];
        if (field->kind == PLUS_INT32) ((int32_t *)(void *)to)[i] = (int32_t)values[i];
        if (field->kind == PLUS_INT64) ((int64_t *)(void *)to)[i] = (int64_t)values[i];
    }
}

static bool store_text(const place *p, const plus_field *field, const char *text, void *record) {
    size_t length = strlen(text);
    if (length >= (size_t)field->count)
        return plus_fail(p->plus, p->node, p->err, "%s has %zu characters, expected at most %d",
                         p->name, length, field->count - 1);
    memcpy((char *)record + field->value, text, length + 1);
    return true;
}

static bool read_value(const place *p, const plus_field *field, const char *text, void *record) {
    double values[NUMBER_LIMIT];
    int index;
    switch (field->kind) {
    case PLUS_TEXT: return store_text(p, field, text, record);
    case PLUS_WORD:
        return match_word(p, text, field->words, &index) &&
               store_text(p, field, field->words[index], record);
    case PLUS_FLAG:
        if (!match_word(p, text, field->words, &index)) return false;
        *((bool *)record + field->value) = index == 1;
        return true;
    default:
        if (!parse_numbers(p, field, text, values)) return false;
        store_numbers(field, values, record);
        return true;
    }
}

static bool read_field(const es_plus *plus, const xmlNode *node, const plus_field *field,
                       void *record, es_error *err) {
    bool old = field->old_name && !plus_has(node, field->name);
    place p = {plus, node, old ? field->old_name : field->name, err};
    char *text;
    if (!plus_get(node, p.name, &text, err)) return false;
    if (field->has != PLUS_ALWAYS) *((bool *)record + field->has) = text != NULL;
    if (!text && field->required)
        return plus_fail(plus, node, err, "the attribute %s is missing", field->name);
    bool good = !text || read_value(&p, field, text, record);
    es_free(text);
    return good;
}

bool plus_read_fields(const es_plus *plus, const xmlNode *node, plus_fields fields, void *record,
                      es_error *err) {
    for (size_t i = 0; i < fields.count; i++)
        if (!read_field(plus, node, &fields.items[i], record, err)) return false;
    return true;
}

/* ---- writing fields ---------------------------------------------------- */

static double number_at(const plus_field *field, const void *record, int i) {
    const void *at = (const char *)record + field->value;
    if (field->kind == PLUS_INT32) return ((const int32_t *)at)[i];
    if (field->kind == PLUS_INT64) return (double)((const int64_t *)at)[i];
    return ((const double *)at)[i];
}

static bool is_set(const plus_field *field, const void *record) {
    if (field->has != PLUS_ALWAYS) return *((const bool *)record + field->has);
    switch (field->kind) {
    case PLUS_TEXT:
    case PLUS_WORD: return *((const char *)record + field->value) != '\0';
    case PLUS_FLAG: return true;
    case PLUS_DOUBLE: return !isnan(number_at(field, record, 0));
    default: return number_at(field, record, 0) != 0;
    }
}

/* Numbers with a blank between them; the rows of a matrix with two. */
static void add_numbers(es_text *text, const plus_field *field, const void *record) {
    char number[ES_NUMBER_SIZE];
    for (int i = 0; i < field->count; i++) {
        const char *separator = i == 0 ? "" : field->count == 16 && i % 4 == 0 ? "  " : " ";
        es_text_add(text, "%s%s", separator, es_format_double(number_at(field, record, i), number));
    }
}

static bool write_field(xmlNode *node, const plus_field *field, const void *record, es_error *err) {
    const char *at = (const char *)record + field->value;
    if (field->old_name) plus_remove(node, field->old_name);
    if (!is_set(field, record)) {
        plus_remove(node, field->name);
        return true;
    }
    if (field->kind == PLUS_TEXT || field->kind == PLUS_WORD)
        return plus_set(node, field->name, at, err);
    if (field->kind == PLUS_FLAG)
        return plus_set(node, field->name, field->words[*(const bool *)at], err);
    es_text text = {0};
    add_numbers(&text, field, record);
    bool good = text.failed ? es_fail(err, ES_MEMORY, "out of memory for %s", field->name)
                            : plus_set(node, field->name, text.bytes, err);
    es_text_free(&text);
    return good;
}

static bool is_word(const char *const *words, const char *text) {
    for (size_t i = 0; words[i]; i++)
        if (strcasecmp(text, words[i]) == 0) return true;
    return false;
}

/* What could not be read again is not written. */
static bool check_field(const plus_field *field, const void *record, es_error *err) {
    const char *at = (const char *)record + field->value;
    if (!is_set(field, record) || field->kind == PLUS_FLAG) return true;
    if (field->kind == PLUS_TEXT)
        return can_be_stored(at) ||
               es_fail(err, ES_USAGE, "%s: the text has bytes that XML cannot hold", field->name);
    if (field->kind == PLUS_WORD)
        return is_word(field->words, at) ||
               es_fail(err, ES_USAGE, "%s: \"%.60s\" is not among its words", field->name, at);
    for (int i = 0; i < field->count; i++)
        if (!in_range(field, number_at(field, record, i)))
            return es_fail(err, ES_USAGE, "%s: %g is not from %.10g to %.10g", field->name,
                           number_at(field, record, i), field->low, field->high);
    return true;
}

bool plus_write_fields(xmlNode *node, plus_fields fields, const void *record, es_error *err) {
    for (size_t i = 0; i < fields.count; i++)
        if (!check_field(&fields.items[i], record, err)) return false;
    for (size_t i = 0; i < fields.count; i++)
        if (!write_field(node, &fields.items[i], record, err)) return false;
    return true;
}
