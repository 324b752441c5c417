/* What a page sends: texts in pieces, and what they ask for. Everything in them is
 * hostile; nothing here knows of sockets. */
#ifndef ES_LIVE_PAGE_TEXT_H
#define ES_LIVE_PAGE_TEXT_H

#include "echosolid/page.h"
#include "page_evidence.h"

/* One page's; {0} at first. */
typedef struct page_text {
    char bytes[ES_PAGE_TEXT + 1]; /* NUL terminated when it is whole */
    size_t length;
    bool whole;
    int unseen;      /* binary messages that it has not answered yet */
    double second_s; /* texts of one second are counted */
    int texts;
} page_text;

typedef enum page_text_state {
    PAGE_TEXT_PART, /* more is to come */
    PAGE_TEXT_SEEN, /* an answer: one binary message less is unseen */
    PAGE_TEXT_WHOLE,
    PAGE_TEXT_EMPTY, /* nothing that could be a text: it holds NULs */
    PAGE_TEXT_TOO_LONG,
    PAGE_TEXT_TOO_MANY
} page_text_state;

/* The next piece, at this time; the one after a whole text begins another. */
page_text_state page_text_take(page_text *text, const char *bytes, size_t length, bool last,
                               double now_s);

typedef enum page_wish {
    PAGE_NOTHING, /* that is known */
    PAGE_SAVE,
    PAGE_UNDO,
    PAGE_PAUSE,
    PAGE_START,
    PAGE_SLICE,
    PAGE_SPACING,
    PAGE_WIZARD /* es_wizard_said_read tells more */
} page_wish;

typedef struct page_asked {
    page_wish wish;
    bool has_place; /* PAGE_SLICE: at `place`, mm; else they follow the picture */
    es_vec3 place;
    evidence_request evidence; /* PAGE_SPACING */
} page_asked;

/* {"do": "pause"} and so on. Whatever else comes, and whatever cannot be, asks for
 * nothing. */
page_asked page_asked_read(const char *text, size_t length);

#endif
