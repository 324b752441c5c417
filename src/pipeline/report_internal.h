/* Inside the report: its items, shared by the two writers. */
#ifndef ES_PIPELINE_REPORT_INTERNAL_H
#define ES_PIPELINE_REPORT_INTERNAL_H

#include "echosolid/report.h"

#define REPORT_NOTICE                                                                              \
    "Research software: not a medical device, not for diagnosis or for planning a treatment."

typedef enum item_kind {
    ITEM_ROW,     /* key, label, text */
    ITEM_NUMBER,  /* key, label, value, text = unit, error */
    ITEM_NOTE,    /* text, level */
    ITEM_PICTURE, /* label = caption, bytes = PNG */
    ITEM_PLOT,    /* label = caption, bytes = SVG */
    ITEM_VIEW,    /* label = caption, bytes = es_view_encode */
    ITEM_OPTION,  /* label = name, text; in no section */
    ITEM_INPUT,   /* label = name, text = digest; in no section */
} item_kind;

typedef struct item {
    item_kind kind;
    size_t section;
    char *key, *label, *text; /* clean UTF-8 */
    double value, error;
    es_level level;
    void *bytes;
    size_t length;
    uint32_t width, height;
} item;

typedef struct report_section {
    char *key, *title;
} report_section;

struct es_report {
    char *title, *summary; /* summary may be NULL */
    report_section *sections;
    size_t section_count, section_capacity, current;
    item *items;
    size_t item_count, item_capacity;
    es_error problem; /* the first one; ES_OK: none */
};

/* A copy in which what is not UTF-8 or a control character is replaced; NULL
 * text is "". es_free it. */
char *report_clean(const char *text, es_error *err);

/* The kept problem, with the path in front; true when there is none. */
bool report_check(const es_report *report, const char *path, es_error *err);
/* Also says so when the text ran out of memory. */
bool report_write_text(const char *path, const es_text *text, es_error *err);

#endif
