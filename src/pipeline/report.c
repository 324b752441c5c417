/* Collecting what a report says. */
#include <string.h>

#include "report_internal.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Length of the UTF-8 character at `s` (RFC 3629), 0 when it is not one that
 * may stand in HTML and XML. */
static size_t utf8_length(const unsigned char *s) {
    if (s[0] < 0x80) return s[0] >= 0x20 ? s[0] != 0x7f : s[0] == '\n' || s[0] == '\t';
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f, too_high = s[0] == 0xf4 && s[1] > 0x8f;
    bool control = s[0] == 0xc2 && s[1] < 0xa0;
    bool no_character = s[0] == 0xef && s[1] == 0xbf && s[2] > 0xbd;
    return overlong || surrogate || too_high || control || no_character ? 0 : length;
}

/* Keeps the first problem, for the writers to report. */
ES_PRINTF(3, 4)
static void complain(es_report *report, es_code code, const char *format, ...) {
    if (report->problem.code != ES_OK) return;
    char message[sizeof report->problem.message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    es_fail(&report->problem, code, "report: %s", message);
}

char *report_clean(const char *text, es_error *err) {
    es_text clean = {0};
    const unsigned char *s = (const unsigned char *)(text ? text : "");
    es_text_add_bytes(&clean, "", 0);
    while (*s) {
        size_t length = utf8_length(s);
        es_text_add_bytes(&clean, length ? (const char *)s : replacement, length ? length : 3);
        s += length ? length : 1;
    }
    if (!clean.failed) return clean.bytes;
    es_fail(err, ES_MEMORY, "out of memory");
    es_text_free(&clean);
    return NULL;
}

static char *clean_copy(es_report *report, const char *text) {
    char *clean = report_clean(text, NULL);
    if (!clean) complain(report, ES_MEMORY, "out of memory");
    return clean;
}

/* ---- beginning and end ---------------------------------------------------- */

es_report *es_report_new(const char *title, es_error *err) {
    es_report *report = es_alloc_zero(1, sizeof *report, err);
    if (!report) return NULL;
    report->title = clean_copy(report, title);
    if (report->title) return report;
    if (err) *err = report->problem;
    es_report_free(report);
    return NULL;
}

static void item_clear(item *entry) {
    es_free(entry->key);
    es_free(entry->label);
    es_free(entry->text);
    es_free(entry->bytes);
}

void es_report_free(es_report *report) {
    if (!report) return;
    for (size_t i = 0; i < report->item_count; i++) item_clear(&report->items[i]);
    for (size_t i = 0; i < report->section_count; i++) {
        es_free(report->sections[i].key);
        es_free(report->sections[i].title);
    }
    es_free(report->items);
    es_free(report->sections);
    es_free(report->title);
    es_free(report->summary);
    es_free(report);
}

void es_report_summary(es_report *report, const char *text) {
    es_free(report->summary);
    report->summary = clean_copy(report, text);
}

/* ---- sections --------------------------------------------------------------- */

/* Grows an array of `size` byte elements so that one more fits. */
static bool make_room(es_report *report, void *array_address, size_t count, size_t *capacity,
                      size_t size) {
    if (report->problem.code != ES_OK) return false;
    if (count < *capacity) return true;
    size_t larger = *capacity ? *capacity * 2 : 16;
    if (!es_resize(array_address, larger, size, &report->problem)) return false;
    *capacity = larger;
    return true;
}

static bool is_key_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

/* "What was done?" -> "what_was_done". */
static char *section_key(es_report *report, const char *title) {
    char *key = clean_copy(report, title);
    if (!key) return NULL;
    size_t length = 0;
    for (const char *s = key; *s; s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
        if (is_key_letter(c))
            key[length++] = c;
        else if (length > 0 && key[length - 1] != '_')
            key[length++] = '_';
    }
    while (length > 0 && key[length - 1] == '_') length--;
    key[length] = '\0';
    return key;
}

void es_report_section(es_report *report, const char *title) {
    report_section added = {section_key(report, title), clean_copy(report, title)};
    bool ok = added.key && added.title;
    size_t known = 0;
    while (ok && known < report->section_count &&
           strcmp(report->sections[known].key, added.key) != 0)
        known++;
    if (ok && added.key[0] == '\0')
        complain(report, ES_USAGE, "the section \"%s\" has no letter a to z or digit to name it by",
                 added.title);
    if (ok && known == report->section_count &&
        make_room(report, &report->sections, known, &report->section_capacity,
                  sizeof *report->sections)) {
        report->sections[report->section_count++] = added;
        added = (report_section){0};
    }
    if (ok && known < report->section_count) report->current = known;
    es_free(added.key);
    es_free(added.title);
}

/* ---- items -------------------------------------------------------------------- */

/* Adds `entry` with clean copies of the texts (NULL: none); it takes
 * entry.bytes even when it fails. */
static void add_item(es_report *report, item entry, const char *key, const char *label,
                     const char *text) {
    bool anywhere = entry.kind == ITEM_OPTION || entry.kind == ITEM_INPUT;
    if (!anywhere && report->section_count == 0)
        complain(report, ES_USAGE, "es_report_section comes before its items");
    entry.section = report->current;
    entry.key = key ? clean_copy(report, key) : NULL;
    entry.label = label ? clean_copy(report, label) : NULL;
    entry.text = text ? clean_copy(report, text) : NULL;
    if (make_room(report, &report->items, report->item_count, &report->item_capacity,
                  sizeof *report->items))
        report->items[report->item_count++] = entry;
    else
        item_clear(&entry);
}

static bool is_key(const char *key) {
    const char *s = key;
    while (is_key_letter(*s) || *s == '_') s++;
    return s > key && *s == '\0' && strcmp(key, "notes") != 0 && strcmp(key, "pictures") != 0 &&
           strcmp(key, "views") != 0;
}

static bool is_used(const es_report *report, const char *key) {
    for (size_t i = 0; i < report->item_count; i++) {
        const item *entry = &report->items[i];
        if (entry->section == report->current && entry->key && strcmp(entry->key, key) == 0)
            return true;
    }
    return false;
}

static void check_key(es_report *report, const char *key) {
    if (!is_key(key))
        complain(
            report, ES_USAGE,
            "\"%s\" is no key; use a to z, 0 to 9 and _, not \"notes\", \"pictures\" or \"views\"",
            key);
    else if (is_used(report, key))
        complain(report, ES_USAGE, "key \"%s\" is used twice in one section", key);
}

void es_report_row(es_report *report, const char *key, const char *label, const char *text) {
    check_key(report, key);
    add_item(report, (item){.kind = ITEM_ROW}, key, label, text);
}

void es_report_number(es_report *report, const char *key, const char *label, double value,
                      const char *unit, double error) {
    check_key(report, key);
    add_item(report, (item){.kind = ITEM_NUMBER, .value = value, .error = error}, key, label, unit);
}

void es_report_note(es_report *report, es_level level, const char *text) {
    add_item(report, (item){.kind = ITEM_NOTE, .level = level}, NULL, NULL, text);
}

void es_report_picture(es_report *report, const char *caption, const es_image *picture) {
    if (report->problem.code != ES_OK) return;
    item entry = {.kind = ITEM_PICTURE, .width = picture->width, .height = picture->height};
    entry.bytes = es_png_encode(picture, &entry.length, &report->problem);
    if (entry.bytes) add_item(report, entry, NULL, caption, NULL);
}

void es_report_plot(es_report *report, const char *caption, const es_text *svg) {
    if (report->problem.code != ES_OK) return;
    item entry = {.kind = ITEM_PLOT, .length = svg->length};
    entry.bytes = es_alloc(svg->length, 1, &report->problem);
    if (!entry.bytes) return;
    if (svg->length) memcpy(entry.bytes, svg->bytes, svg->length);
    add_item(report, entry, NULL, caption, NULL);
}

/* Without the browser's side there is nothing to show it with, and that is said. */
void es_report_view(es_report *report, const char *caption, const es_view *view) {
    if (report->problem.code != ES_OK) return;
    for (size_t i = 0; i < report->item_count; i++)
        if (report->items[i].kind == ITEM_VIEW)
            complain(report, ES_USAGE, "a second 3-D view; a report has one");
    if (!es_view_program_get()) {
        es_report_note(
            report, ES_NOTE,
            "No interactive 3-D view: this echosolid was built without npm; the pictures show "
            "the same.");
        return;
    }
    item entry = {.kind = ITEM_VIEW};
    entry.bytes = es_view_encode(view, &entry.length, &report->problem);
    if (entry.bytes) add_item(report, entry, NULL, caption, NULL);
}

void es_report_option(es_report *report, const char *name, const char *value) {
    for (size_t i = 0; i < report->item_count; i++)
        if (report->items[i].kind == ITEM_OPTION && strcmp(report->items[i].label, name) == 0)
            complain(report, ES_USAGE, "option \"%s\" is named twice", name);
    add_item(report, (item){.kind = ITEM_OPTION}, NULL, name, value);
}

void es_report_input(es_report *report, const char *name, const char *digest) {
    add_item(report, (item){.kind = ITEM_INPUT}, NULL, name, digest);
}

/* ---- writing -------------------------------------------------------------------- */

bool report_check(const es_report *report, const char *path, es_error *err) {
    if (report->problem.code == ES_OK) return true;
    if (err) *err = report->problem;
    return es_prefix(err, "%s", path);
}

bool report_write_text(const char *path, const es_text *text, es_error *err) {
    if (text->failed) return es_fail(err, ES_MEMORY, "%s: out of memory", path);
    es_output *out = es_output_open(path, err);
    if (out && es_output_write(out, text->bytes, text->length, err))
        return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}
