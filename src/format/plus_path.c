/* Any attribute of a PLUS file by the path of its element: for Segmentation,
 * PhantomDefinition and whatever else another room wants to interpret. */
#include <string.h>

#include "plus_internal.h"

enum { PATH_LIMIT = 16 };

/* One name of a path; `only` -1: all elements of the name. */
typedef struct step {
    char name[ES_NAME_SIZE];
    long only;
} step;

typedef struct path {
    step steps[PATH_LIMIT];
    size_t count;
} path;

/* "Pattern" or "Pattern[1]", the first `length` bytes of `text`. */
static bool read_step(step *s, const char *text, size_t length) {
    const char *bracket = memchr(text, '[', length);
    size_t name_length = bracket ? (size_t)(bracket - text) : length;
    int used = 0;
    s->only = -1;
    if (name_length == 0 || name_length >= sizeof s->name) return false;
    memcpy(s->name, text, name_length);
    s->name[name_length] = '\0';
    if (!bracket) return true;
    return sscanf(bracket, "[%6ld]%n", &s->only, &used) == 1 && s->only >= 0 &&
           bracket + used == text + length;
}

static bool read_path(path *p, const char *text) {
    for (p->count = 0; p->count < PATH_LIMIT; p->count++) {
        size_t length = strcspn(text, "/");
        if (!read_step(&p->steps[p->count], text, length)) return false;
        text += length;
        if (!*text++) {
            p->count++;
            return true;
        }
    }
    return false;
}

static xmlNode *first_of(const xmlNode *parent, const step *s) {
    xmlNode *node = plus_first_child(parent, s->name);
    for (long i = 0; node && i < s->only; i++) node = plus_next_sibling(node, s->name);
    return node;
}

static xmlNode *next_of(const xmlNode *node, const step *s) {
    return s->only < 0 ? plus_next_sibling(node, s->name) : NULL;
}

/* The element number `index` at the path, in the order of the file, or NULL;
 * *seen: how many there are before it. */
static xmlNode *find_at(const es_plus *plus, const path *p, size_t index, size_t *seen) {
    xmlNode *at[PATH_LIMIT];
    size_t level = 0;
    *seen = 0;
    at[0] = first_of(xmlDocGetRootElement(plus->doc), &p->steps[0]);
    for (;;) {
        if (!at[level] && level == 0) return NULL;
        if (!at[level]) {
            level--;
        } else if (level + 1 < p->count) {
            at[level + 1] = first_of(at[level], &p->steps[level + 1]);
            level++;
            continue;
        } else if (*seen == index) {
            return at[level];
        } else {
            ++*seen;
        }
        at[level] = next_of(at[level], &p->steps[level]);
    }
}

size_t es_plus_element_count(const es_plus *plus, const char *text) {
    path p;
    size_t count = 0;
    if (read_path(&p, text)) find_at(plus, &p, SIZE_MAX, &count);
    return count;
}

static bool fail_path(const char *text, es_error *err) {
    return es_fail(err, ES_USAGE,
                   "\"%.200s\" is not a path of elements; expected names with / between them, as "
                   "in PhantomDefinition/Geometry/Pattern[0]",
                   text);
}

char *es_plus_attribute(const es_plus *plus, const char *text, size_t index, const char *name,
                        es_error *err) {
    path p;
    size_t seen;
    char *value = NULL;
    if (!read_path(&p, text)) {
        fail_path(text, err);
        return NULL;
    }
    const xmlNode *node = find_at(plus, &p, index, &seen);
    if (node) plus_get(node, name, &value, err);
    return value;
}

static xmlNode *add_at(es_plus *plus, const path *p, es_error *err) {
    xmlNode *node = xmlDocGetRootElement(plus->doc);
    for (size_t i = 0; node && i < p->count; i++) {
        xmlNode *child = first_of(node, &p->steps[i]);
        node = child ? child : plus_add_child(node, p->steps[i].name, err);
    }
    return node;
}

bool es_plus_attribute_set(es_plus *plus, const char *text, size_t index, const char *name,
                           const char *value, es_error *err) {
    path p;
    size_t seen;
    if (!read_path(&p, text)) return fail_path(text, err);
    xmlNode *node = find_at(plus, &p, index, &seen);
    if (!node && index == 0)
        node = add_at(plus, &p, err);
    else if (!node)
        return es_fail(err, ES_USAGE, "%s: element %zu of %.200s was asked for, there are %zu",
                       plus->name, index, text, seen);
    return node && plus_set(node, name, value, err);
}
