#include "page_text.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum { TEXTS_PER_S = 50 };

/* No scanner's volume lies further from its origin. */
static const double FAR_MM = 1e5;

/* ---- pieces ------------------------------------------------------------------------ */

/* Nobody presses buttons that fast. */
static bool too_many(page_text *t, double now_s) {
    if (now_s - t->second_s >= 1) {
        t->second_s = now_s;
        t->texts = 0;
    }
    return ++t->texts > TEXTS_PER_S;
}

page_text_state page_text_take(page_text *t, const char *bytes, size_t length, bool last,
                               double now_s) {
    if (t->whole) t->length = 0;
    t->whole = false;
    if (length > ES_PAGE_TEXT - t->length) return PAGE_TEXT_TOO_LONG;
    if (length > 0) memcpy(t->bytes + t->length, bytes, length);
    t->length += length;
    if (!last) return PAGE_TEXT_PART;
    t->bytes[t->length] = '\0';
    t->whole = true;
    if (t->unseen > 0 && strcmp(t->bytes, ES_PAGE_SEEN) == 0) {
        t->unseen--;
        return PAGE_TEXT_SEEN;
    }
    if (too_many(t, now_s)) return PAGE_TEXT_TOO_MANY;
    return strlen(t->bytes) == t->length ? PAGE_TEXT_WHOLE : PAGE_TEXT_EMPTY;
}

/* ---- what is asked for ------------------------------------------------------------- */

/* {"do": "slice", "at": [x, y, z]} in mm, or null to follow the picture. */
static void read_slice(const json_t *at, page_asked *asked) {
    double mm[3] = {0};
    bool is_place = json_array_size(at) == 3;
    for (size_t a = 0; is_place && a < 3; a++) {
        const json_t *one = json_array_get(at, a);
        mm[a] = json_number_value(one);
        is_place = json_is_number(one) && fabs(mm[a]) <= FAR_MM;
    }
    if (!is_place && !json_is_null(at)) return;
    asked->wish = PAGE_SLICE;
    asked->has_place = is_place;
    asked->place = es_vec3_make(mm[0], mm[1], mm[2]);
}

/* {"do": "spacing", "depth_mm": 60, "probe": "C5-2R60S-3"}; both may be left out, and are
 * where they are nothing that can be. */
static void read_spacing(const json_t *root, page_asked *asked) {
    evidence_request *request = &asked->evidence;
    const json_t *depth = json_object_get(root, "depth_mm");
    const char *probe = json_string_value(json_object_get(root, "probe"));
    double mm = json_number_value(depth);
    asked->wish = PAGE_SPACING;
    if (json_is_number(depth) && mm >= 1 && mm <= 1000) request->depth_mm = mm;
    if (probe && strlen(probe) < sizeof request->probe) strcpy(request->probe, probe);
}

static page_wish wish_of(const char *what) {
    static const struct {
        const char *word;
        page_wish wish;
    } wishes[] = {{"save", PAGE_SAVE},   {"undo", PAGE_UNDO},     {"pause", PAGE_PAUSE},
                  {"start", PAGE_START}, {"wizard", PAGE_WIZARD}, {NULL, PAGE_NOTHING}};
    size_t i = 0;
    while (wishes[i].word && strcmp(wishes[i].word, what) != 0) i++;
    return wishes[i].wish;
}

page_asked page_asked_read(const char *text, size_t length) {
    page_asked asked = {.evidence = {.depth_mm = NAN}};
    json_t *root = json_loadb(text, length, 0, NULL);
    const char *what = json_string_value(json_object_get(root, "do"));
    if (what && strcmp(what, "slice") == 0)
        read_slice(json_object_get(root, "at"), &asked);
    else if (what && strcmp(what, "spacing") == 0)
        read_spacing(root, &asked);
    else if (what)
        asked.wish = wish_of(what);
    json_decref(root);
    return asked;
}
