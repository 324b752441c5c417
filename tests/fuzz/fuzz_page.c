/* Any bytes as what an open page sends, in pieces: no crash, never more held than there is
 * room for, and what is taken for a wish is one that can be. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/live/page_text.h"
#include "echosolid/wizard.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_wizard(const char *text, size_t length) {
    const es_wizard_said said = es_wizard_said_read(text, length);
    const es_wizard_request *q = &said.request;
    if (said.act != ES_WIZARD_BEGIN) return;
    if ((int)q->method < 0 || q->method >= ES_WIZARD_METHODS) abort();
    if (!memchr(q->tool, 0, sizeof q->tool) || !memchr(q->phantom, 0, sizeof q->phantom)) abort();
    if (isinf(q->temperature_c) || isinf(q->spacing_mm)) abort();
}

static void check_wish(const char *text, size_t length) {
    const page_asked asked = page_asked_read(text, length);
    const evidence_request *e = &asked.evidence;
    const double mm[3] = {asked.place.x, asked.place.y, asked.place.z};
    for (int a = 0; a < 3; a++)
        if (!(fabs(mm[a]) <= 1e5)) abort();
    if (!memchr(e->probe, 0, sizeof e->probe)) abort();
    if (!isnan(e->depth_mm) && !(e->depth_mm >= 1 && e->depth_mm <= 1000)) abort();
    if (asked.wish == PAGE_WIZARD) check_wizard(text, length);
}

static void begin(page_text *t) { *t = (page_text){.unseen = 2}; }

/* A byte says how long the next piece is, and whether it is the last one of its text. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static page_text t;
    double now_s = 0;
    begin(&t);
    if (length > 0 && bytes[0] == '{') check_wish((const char *)bytes, length);
    while (length > 0) {
        const bool last = bytes[0] & 128;
        size_t count = 16 * (size_t)(bytes[0] & 127);
        bytes++;
        length--;
        if (count > length) count = length;
        now_s += 0.01;
        page_text_state state = page_text_take(&t, (const char *)bytes, count, last, now_s);
        if (t.length > ES_PAGE_TEXT || t.unseen < 0) abort();
        if (state == PAGE_TEXT_WHOLE) check_wish(t.bytes, t.length);
        if (state == PAGE_TEXT_TOO_LONG || state == PAGE_TEXT_TOO_MANY) begin(&t);
        bytes += count;
        length -= count;
    }
    return 0;
}
