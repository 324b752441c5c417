/* The report for programs. */
#include <jansson.h>
#include <math.h>

#include "report_internal.h"

/* jansson's _new calls take the value, free it on failure and accept NULL, so
 * that a failed allocation anywhere comes out as one false. */

static json_t *number_or_null(double value) {
    if (!isfinite(value)) return json_null();
    bool whole = value == round(value) && fabs(value) < 1e15;
    return whole ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *number_object(const item *entry) {
    json_t *object = json_object();
    bool ok = object && json_object_set_new(object, "value", number_or_null(entry->value)) == 0 &&
              json_object_set_new(object, "unit", json_string(entry->text)) == 0 &&
              json_object_set_new(object, "error", number_or_null(entry->error)) == 0;
    if (ok) return object;
    json_decref(object);
    return NULL;
}

static json_t *two_texts(const char *key1, const char *text1, const char *key2, const char *text2) {
    return json_pack("{s:s, s:s}", key1, text1, key2, text2);
}

/* Appends to the array of this name, made when it is missing. */
static bool append(json_t *object, const char *name, json_t *value) {
    json_t *array = json_object_get(object, name);
    if (!array) {
        array = json_array();
        if (json_object_set_new(object, name, array) != 0) {
            json_decref(value);
            return false;
        }
    }
    return json_array_append_new(array, value) == 0;
}

static bool add_item(json_t *root, json_t *section, const item *entry) {
    switch (entry->kind) {
    case ITEM_ROW: return json_object_set_new(section, entry->key, json_string(entry->text)) == 0;
    case ITEM_NUMBER: return json_object_set_new(section, entry->key, number_object(entry)) == 0;
    case ITEM_NOTE:
        return append(section, "notes",
                      two_texts("level", entry->level == ES_WARNING ? "warning" : "note", "text",
                                entry->text));
    case ITEM_PICTURE:
    case ITEM_PLOT: return append(section, "pictures", json_string(entry->label));
    case ITEM_VIEW: return append(section, "views", json_string(entry->label));
    case ITEM_OPTION:
        return json_object_set_new(json_object_get(root, "options"), entry->label,
                                   json_string(entry->text)) == 0;
    case ITEM_INPUT:
        return append(root, "inputs", two_texts("name", entry->label, "xxh3_128", entry->text));
    }
    return false;
}

static json_t *report_object(const es_report *report) {
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:{}, s:{}, s:[]}", "title", report->title, "summary",
                  report->summary ? report->summary : "", "program", "echosolid", "version",
                  es_version(), "notice", REPORT_NOTICE, "sections", "options", "inputs");
    json_t *sections = json_object_get(root, "sections");
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < report->section_count; i++)
        ok = json_object_set_new(sections, report->sections[i].key, json_object()) == 0;
    for (size_t i = 0; ok && i < report->item_count; i++) {
        const item *entry = &report->items[i];
        json_t *section = NULL;
        if (entry->section < report->section_count)
            section = json_object_get(sections, report->sections[entry->section].key);
        ok = add_item(root, section, entry);
    }
    if (ok) return root;
    json_decref(root);
    return NULL;
}

static int write_piece(const char *bytes, size_t length, void *context) {
    es_text *text = context;
    es_text_add_bytes(text, bytes, length);
    return text->failed ? -1 : 0;
}

bool es_report_write_json(const es_report *report, const char *path, es_error *err) {
    if (!report_check(report, path, err)) return false;
    es_text text = {0};
    json_t *root = report_object(report);
    size_t flags = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
    if (!root || json_dump_callback(root, write_piece, &text, flags) != 0) text.failed = true;
    es_text_add(&text, "\n");
    json_decref(root);
    bool ok = report_write_text(path, &text, err);
    es_text_free(&text);
    return ok;
}
