/* PLUS device-set files: opening, limits, saving.
 *
 * Every lab that tracks ultrasound with PLUS or 3D Slicer keeps its geometry in
 * such an XML file. libxml2 parses it into a tree, which stays as it is: the
 * other plus_*.c files read and set single attributes of it, and saving writes
 * the tree back, with whatever elements, attributes and comments it had.
 *
 * The file is not trusted. Before libxml2 sees a byte, one pass over the text
 * refuses what these files never need and what makes XML parsers slow or
 * curious: document type declarations (entities that expand without end, files
 * and addresses to fetch), deep nesting, elements with hundreds of attributes
 * (compared each with each). The same pass notes the line on which each element
 * begins, for messages; libxml2 itself knows only where the tag ends. */
#include <limits.h>
#include <string.h>

#include <libxml/parser.h>
#include <libxml/xmlerror.h>

#include "plus_internal.h"

enum {
    SIZE_LIMIT = 2 << 20, /* seen: 10 kB, and 1 MB of calibration results */
    DEPTH_LIMIT = 64,     /* seen: 9 */
    ATTRIBUTE_LIMIT = 256 /* of one element; seen: 24 */
};

/* ---- the pass before the parser ---------------------------------------- */

typedef struct pass {
    const char *at, *end, *name;
    long line, depth;
    long *lines; /* where the n-th element begins */
    size_t count, capacity;
    es_error *err;
} pass;

static bool refuse(pass *p, const char *what) {
    return es_fail(p->err, ES_FORMAT, "%s:%ld: %s", p->name, p->line, what);
}

static bool starts_with(const pass *p, const char *text) {
    size_t length = strlen(text);
    return (size_t)(p->end - p->at) >= length && memcmp(p->at, text, length) == 0;
}

static void advance(pass *p, const char *to) {
    for (; p->at < to; p->at++) p->line += *p->at == '\n';
}

/* From `open`, where the pass stands, past the next `close`; to the end where
 * there is none, which the parser will complain about. */
static void skip(pass *p, const char *open, const char *close) {
    const char *from = p->at + strlen(open);
    const char *found = memmem(from, (size_t)(p->end - from), close, strlen(close));
    advance(p, found ? found + strlen(close) : p->end);
}

static bool note_line(pass *p) {
    if (p->count == p->capacity) {
        size_t room = p->capacity ? 2 * p->capacity : 64;
        if (!es_resize(&p->lines, room, sizeof *p->lines, p->err)) return false;
        p->capacity = room;
    }
    p->lines[p->count++] = p->line;
    return true;
}

/* A quote of an attribute's value, in a start tag; *at moves to its partner. */
static bool pass_value(pass *p, const char **at) {
    const char *close = memchr(*at + 1, **at, (size_t)(p->end - *at) - 1);
    if (!close) return refuse(p, "the value of an attribute has no closing quote");
    if (memchr(*at, '<', (size_t)(close - *at)))
        return refuse(p, "a < in the value of an attribute, or a quote is missing; < is written "
                         "&lt;");
    *at = close;
    return true;
}

static bool pass_start_tag(pass *p) {
    long attributes = 0;
    if (!note_line(p)) return false;
    const char *at = p->at;
    for (; at < p->end && *at != '>'; at++) {
        if (*at != '"' && *at != '\'') continue;
        if (++attributes > ATTRIBUTE_LIMIT)
            return refuse(p, "an element with more than 256 attributes; expected a PLUS "
                             "configuration");
        if (!pass_value(p, &at)) return false;
    }
    if (at < p->end && at[-1] != '/' && ++p->depth > DEPTH_LIMIT)
        return refuse(p, "elements nested more than 64 deep; expected a PLUS configuration");
    advance(p, at < p->end ? at + 1 : p->end);
    return true;
}

static bool pass_markup(pass *p) {
    if (starts_with(p, "<!--"))
        skip(p, "<!--", "-->");
    else if (starts_with(p, "<![CDATA["))
        skip(p, "<![CDATA[", "]]>");
    else if (starts_with(p, "<?"))
        skip(p, "<?", "?>");
    else if (starts_with(p, "<!"))
        return refuse(p, "a document type declaration (<!...>); PLUS configurations have none, "
                         "remove it");
    else if (starts_with(p, "</")) {
        p->depth--;
        skip(p, "</", ">");
    } else
        return pass_start_tag(p);
    return true;
}

/* The pass reads bytes, so the text must be in an encoding whose markup is
 * plain ASCII. */
static bool check_encoding(pass *p) {
    static const char *const known[] = {"UTF-8",       "utf-8",        "US-ASCII",
                                        "ISO-8859-1",  "iso-8859-1",   "ISO-8859-15",
                                        "iso-8859-15", "windows-1252", "Windows-1252"};
    if (!starts_with(p, "<?xml")) return true;
    const char *end = memmem(p->at, (size_t)(p->end - p->at), "?>", 2);
    if (!end) return true;
    const char *found = memmem(p->at, (size_t)(end - p->at), "encoding", 8);
    if (!found) return true;
    if (memmem(found + 8, (size_t)(end - found) - 8, "encoding", 8))
        return refuse(p, "the XML declaration names two encodings");
    const char *quote = found + strcspn(found, "\"'?");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t length = strlen(known[i]);
        if (strncmp(quote + 1, known[i], length) == 0 && quote[1 + length] == *quote) return true;
    }
    return refuse(p, "the text is in an encoding that is not read here; save it as UTF-8");
}

static bool check_bytes(pass *p) {
    const char *at = p->at;
    while (at < p->end && strchr(" \t\r\n", *at)) at++;
    if (at == p->end || *at != '<') return refuse(p, "no XML; expected a PLUS configuration");
    for (at = p->at; at < p->end; at++)
        if ((unsigned char)*at < 0x20 && (*at == '\0' || !strchr("\t\r\n", *at))) {
            advance(p, at);
            return refuse(p, "a control character; expected XML text in UTF-8");
        }
    return true;
}

static bool pass_text(pass *p) {
    static const char bom[] = "\xef\xbb\xbf";
    if (starts_with(p, bom)) p->at += 3;
    if (!check_bytes(p) || !check_encoding(p)) return false;
    while (p->at < p->end) {
        const char *markup = memchr(p->at, '<', (size_t)(p->end - p->at));
        advance(p, markup ? markup : p->end);
        if (markup && !pass_markup(p)) return false;
    }
    return true;
}

/* ---- libxml2's complaints ---------------------------------------------- */

/* libxml2 prints errors unless this thread has a handler. The first error is
 * kept, the caller's handler is put back. */
typedef struct complaint {
    const char *name;
    es_error error;
    xmlStructuredErrorFunc old_handler;
    void *old_context;
} complaint;

#if LIBXML_VERSION >= 21200
static void take_complaint(void *context, const xmlError *what) {
#else
static void take_complaint(void *context, xmlError *what) {
#endif
    complaint *c = context;
    if (c->error.code != ES_OK || what->level < XML_ERR_ERROR) return;
    const char *text = what->message ? what->message : "cannot be read";
    es_fail(&c->error, what->code == XML_ERR_NO_MEMORY ? ES_MEMORY : ES_FORMAT, "%s:%d: %.*s",
            c->name, what->line, (int)strcspn(text, "\n"), text);
}

static void start_listening(complaint *c, const char *name) {
    *c = (complaint){
        .name = name, .old_handler = xmlStructuredError, .old_context = xmlStructuredErrorContext};
    xmlSetStructuredErrorFunc(c, take_complaint);
}

static void stop_listening(complaint *c) {
    xmlSetStructuredErrorFunc(c->old_context, c->old_handler);
}

static bool fail_with(const complaint *c, es_error *err) {
    if (c->error.code == ES_OK)
        return es_fail(err, ES_FORMAT, "%s: the XML cannot be read", c->name);
    return es_fail(err, c->error.code, "%s", c->error.message);
}

/* ---- opening ----------------------------------------------------------- */

static xmlDoc *parse_xml(const char *text, size_t length, const char *name, es_error *err) {
    complaint c;
    start_listening(&c, name);
    xmlParserCtxt *parser = xmlNewParserCtxt();
    xmlDoc *doc = NULL;
    if (parser) doc = xmlCtxtReadMemory(parser, text, (int)length, name, NULL, XML_PARSE_NONET);
    xmlFreeParserCtxt(parser);
    stop_listening(&c);
    if (!doc) fail_with(&c, err);
    return doc;
}

static void keep_lines(xmlDoc *doc, const pass *p) {
    size_t i = 0;
    for (xmlNode *node = xmlDocGetRootElement(doc); node; node = plus_next_element(node), i++)
        node->_private = (void *)(intptr_t)(i < p->count ? p->lines[i] : 0);
}

static bool check_root(const es_plus *plus, es_error *err) {
    const xmlNode *root = xmlDocGetRootElement(plus->doc);
    if (root && (strcmp((const char *)root->name, "PlusConfiguration") == 0 ||
                 strcmp((const char *)root->name, "ProbeCalibrationResult") == 0))
        return true;
    return es_fail(err, ES_FORMAT, "%s: the root element is <%.60s>, expected <PlusConfiguration>",
                   plus->name, root ? (const char *)root->name : "");
}

static es_plus *plus_from_pass(pass *p, const char *text, size_t length, es_error *err) {
    if (!pass_text(p)) return NULL;
    es_plus *plus = es_alloc_zero(1, sizeof *plus, err);
    if (!plus) return NULL;
    plus->name = es_copy_text(p->name, err);
    if (plus->name) plus->doc = parse_xml(text, length, p->name, err);
    if (!plus->doc || !check_root(plus, err)) {
        es_plus_free(plus);
        return NULL;
    }
    keep_lines(plus->doc, p);
    plus_review_reconstruction(plus);
    return plus;
}

es_plus *es_plus_parse(const char *text, size_t length, const char *name, es_error *err) {
    if (length > SIZE_LIMIT) {
        es_fail(err, ES_FORMAT, "%s: %zu bytes; a PLUS configuration has at most %d", name, length,
                SIZE_LIMIT);
        return NULL;
    }
    pass p = {.at = text, .end = text + length, .name = name, .line = 1, .err = err};
    es_plus *plus = plus_from_pass(&p, text, length, err);
    es_free(p.lines);
    return plus;
}

es_plus *es_plus_read(const char *path, es_error *err) {
    size_t length;
    char *text = es_file_read(path, SIZE_LIMIT, &length, err);
    if (!text) return NULL;
    es_plus *plus = es_plus_parse(text, length, path, err);
    es_free(text);
    return plus;
}

es_plus *es_plus_new(es_error *err) {
    static const char empty[] = "<PlusConfiguration version=\"2.3\">\n</PlusConfiguration>\n";
    return es_plus_parse(empty, sizeof empty - 1, "new configuration", err);
}

es_plus *es_plus_copy(const es_plus *plus, es_error *err) {
    if (!plus) return es_plus_new(err);
    es_plus *copy = es_alloc_zero(1, sizeof *copy, err);
    if (!copy) return NULL;
    copy->name = es_copy_text(plus->name, err);
    copy->doc = copy->name ? xmlCopyDoc(plus->doc, 1) : NULL;
    if (copy->doc) return copy;
    if (copy->name) es_fail(err, ES_MEMORY, "out of memory");
    es_plus_free(copy);
    return NULL;
}

void es_plus_free(es_plus *plus) {
    if (!plus) return;
    xmlFreeDoc(plus->doc);
    es_free(plus->name);
    es_free(plus);
}

/* ---- saving ------------------------------------------------------------ */

static bool write_bytes(const char *path, const xmlChar *bytes, int size, es_error *err) {
    es_output *out = es_output_open(path, err);
    if (!out) return false;
    if (!es_output_write(out, bytes, (size_t)size, err)) {
        es_output_discard(out);
        return false;
    }
    return es_output_commit(out, err);
}

bool es_plus_write(const es_plus *plus, const char *path, es_error *err) {
    complaint c;
    xmlChar *bytes = NULL;
    int size = 0;
    start_listening(&c, path);
    xmlDocDumpMemoryEnc(plus->doc, &bytes, &size, "UTF-8");
    stop_listening(&c);
    bool written = bytes ? write_bytes(path, bytes, size, err) : fail_with(&c, err);
    xmlFree(bytes);
    return written;
}
