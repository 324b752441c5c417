/* The evidence for the pixel spacing in the pictures of a moment, for the live page. */
#ifndef ES_LIVE_PAGE_EVIDENCE_H
#define ES_LIVE_PAGE_EVIDENCE_H

#include "echosolid/format.h"
#include "echosolid/page.h"

enum { EVIDENCE_NAME = 64 };

/* What a page says beside the pictures. */
typedef struct evidence_request {
    double depth_mm;           /* NaN: not said */
    char probe[EVIDENCE_NAME]; /* "": not said */
} evidence_request;

/* Has a thread of its own, which rests until something is asked. Answers are JSON for
 * pages, sent on a channel of the server. `plus` (NULL: none) and `config`, its name, are
 * borrowed. */
typedef struct page_evidence page_evidence;
page_evidence *page_evidence_new(es_page_server *server, int channel, const es_plus *plus,
                                 const char *config, es_error *err);
void page_evidence_free(page_evidence *evidence); /* waits for what is being found */
/* From any thread: looks at the next few pictures; one after the other, a request that comes
 * while one is answered is left out. */
void page_evidence_ask(page_evidence *evidence, const evidence_request *request);
/* Each frame as it comes. */
void page_evidence_frame(page_evidence *evidence, const es_frame *frame);

#endif
