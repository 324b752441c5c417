/* The text of a Slicer scene, .mrml: XML whose elements below the root are nodes
 * that name one another by their id, and files of the archive through storage
 * nodes. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "slicer_internal.h"

enum { MRML_LIMIT = 1 << 25 };

/* The first entry that is a scene, and its folder; -1. */
static zip_int64_t find_scene(es_mrml *mrml) {
    zip_int64_t count = zip_get_num_entries(mrml->zip, 0);
    for (zip_int64_t i = 0; i < count; i++) {
        const char *name = es_archive_entry(mrml->zip, (size_t)i);
        if (!name || !es_has_suffix(name, ".mrml")) continue;
        const char *slash = strrchr(name, '/');
        size_t length = slash ? (size_t)(slash - name) + 1 : 0;
        if (length < sizeof mrml->folder) memcpy(mrml->folder, name, length);
        return i;
    }
    return -1;
}

/* A stranger's XML: bounded, without document types, network or entities. */
static xmlDoc *parse(const char *text, size_t length) {
    if (strstr(text, "<!DOCTYPE") || memchr(text, 0, length)) return NULL;
    return xmlReadMemory(text, (int)length, NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

/* All nodes by their id. */
static bool index_nodes(es_mrml *mrml, es_error *err) {
    mrml->nodes = xmlHashCreate(1024);
    if (!mrml->nodes) return es_fail(err, ES_MEMORY, "out of memory");
    for (xmlNode *node = es_mrml_first(mrml); node; node = xmlNextElementSibling(node)) {
        xmlChar *id = xmlGetProp(node, BAD_CAST "id");
        if (id) xmlHashAddEntry(mrml->nodes, id, node);
        xmlFree(id);
    }
    return true;
}

bool es_mrml_open(es_mrml *mrml, zip_t *zip, es_error *err) {
    memset(mrml, 0, sizeof *mrml);
    mrml->zip = zip;
    size_t length = 0;
    zip_int64_t entry = find_scene(mrml);
    if (entry < 0) return es_fail(err, ES_FORMAT, "an archive without a scene (.mrml)");
    char *text = es_archive_text(zip, (size_t)entry, MRML_LIMIT, &length, err);
    if (!text) return false;
    mrml->doc = parse(text, length);
    es_free(text);
    bool ok = mrml->doc && xmlDocGetRootElement(mrml->doc);
    if (!ok) es_fail(err, ES_FORMAT, "its scene (.mrml) is no sound XML without document types");
    if (ok && index_nodes(mrml, err)) return true;
    es_mrml_close(mrml);
    return false;
}

void es_mrml_close(es_mrml *mrml) {
    xmlHashFree(mrml->nodes, NULL);
    xmlFreeDoc(mrml->doc);
    memset(mrml, 0, sizeof *mrml);
}

xmlNode *es_mrml_first(const es_mrml *mrml) {
    return xmlFirstElementChild(xmlDocGetRootElement(mrml->doc));
}

xmlNode *es_mrml_find(const es_mrml *mrml, const char *id) {
    return *id ? xmlHashLookup(mrml->nodes, BAD_CAST id) : NULL;
}

bool es_mrml_is(const xmlNode *node, const char *name) {
    return strcmp((const char *)node->name, name) == 0;
}

const char *es_mrml_get(const xmlNode *node, const char *name, char *text, size_t size) {
    xmlChar *value = xmlGetProp(node, BAD_CAST name);
    bool fits = value && strlen((const char *)value) < size;
    snprintf(text, size, "%s", fits ? (const char *)value : "");
    xmlFree(value);
    return text;
}

const char *es_mrml_get_part(const xmlNode *node, const char *name, const char *key, char *text,
                             size_t size) {
    char all[4000];
    es_mrml_get(node, name, all, sizeof all);
    text[0] = '\0';
    for (char *at = all; at && *at;) {
        char *stop = strchr(at, ';');
        if (stop) *stop++ = '\0';
        size_t length = strlen(key);
        if (strncmp(at, key, length) == 0 && at[length] == ':')
            snprintf(text, size, "%.*s", (int)size - 1, at + length + 1);
        at = stop;
    }
    return text;
}

/* %20 and so on, in place. */
static void decode(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        unsigned value;
        if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]) &&
            sscanf(from + 1, "%2x", &value) == 1 && value) {
            *to++ = (char)value;
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

void es_mrml_file(const es_mrml *mrml, const xmlNode *node, char *file, size_t size) {
    char id[200];
    file[0] = '\0';
    if (!*es_mrml_get(node, "storageNodeRef", id, sizeof id))
        es_mrml_get_part(node, "references", "storage", id, sizeof id);
    const xmlNode *storage = es_mrml_find(mrml, id);
    if (!storage) return;
    es_mrml_get(storage, "fileName", file, size);
    decode(file);
}

zip_int64_t es_mrml_entry(const es_mrml *mrml, const char *file, bool anywhere) {
    char name[sizeof mrml->folder + 1000];
    size_t length = strlen(file);
    if (!length || length >= 1000) return -1;
    snprintf(name, sizeof name, "%s%s", mrml->folder, file);
    zip_int64_t found = zip_name_locate(mrml->zip, name, ZIP_FL_ENC_RAW);
    zip_int64_t count = anywhere ? zip_get_num_entries(mrml->zip, 0) : 0;
    for (zip_int64_t i = 0; found < 0 && i < count; i++) {
        const char *entry = es_archive_entry(mrml->zip, (size_t)i);
        size_t n = entry ? strlen(entry) : 0;
        if (n >= length && strcmp(entry + n - length, file) == 0 &&
            (n == length || entry[n - length - 1] == '/'))
            found = i;
    }
    return found;
}

bool es_mrml_next_item(const es_mrml *mrml, const char **at, es_mrml_item *item) {
    char id[200], text[64];
    while (**at) {
        const char *start = *at;
        size_t length = strcspn(start, ";"), colon = strcspn(start, ":;");
        *at += length + (start[length] == ';');
        if (colon == length || colon >= sizeof id) continue;
        snprintf(id, sizeof id, "%.*s", (int)colon, start);
        size_t digits = length - colon - 1;
        snprintf(text, sizeof text, "%.*s", (int)(digits < 60 ? digits : 60), start + colon + 1);
        item->node = es_mrml_find(mrml, id);
        if (!es_parse_double(text, &item->value)) item->value = NAN;
        return true;
    }
    return false;
}
