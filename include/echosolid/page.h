/* echosolid/page.h: gives pages held in memory to a browser, and speaks with
 * those pages while they are open. */
#ifndef ECHOSOLID_PAGE_H
#define ECHOSOLID_PAGE_H

#include "echosolid/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What stands at an address; bytes stay the caller's until es_page_server_free. */
typedef struct es_page {
    const char *address; /* "/" or "/name" */
    const char *type;    /* "text/html; charset=utf-8" */
    const void *bytes;
    size_t length;
    bool open;          /* given without the token too: program text, nothing of the scan */
    const char *policy; /* its Content-Security-Policy; NULL: stands in the page itself */
} es_page;

enum {
    ES_PAGE_CHANNELS = 8,
    ES_PAGE_SOCKETS = 16, /* pages that are open at a time */
    ES_PAGE_TEXT = 2048,  /* bytes of a text from a page at most */
    ES_PAGE_FILES = 96    /* offered at a time; the oldest goes first */
};

typedef struct es_page_options {
    const es_page *pages;
    size_t count;
    const char *address; /* to listen at; NULL: 127.0.0.1 */
    int port;            /* 0: a free one */
    const char *token;   /* asked for as ?token=WORD; NULL: this machine needs none */
    /* The address of the pages' WebSocket (sub-protocol "echosolid"); NULL: none. */
    const char *socket;
    /* A text (NUL terminated, no NUL within) that a page sent; from the thread
     * that serves. NULL: pages may listen only. */
    void (*text)(void *context, const char *text, size_t length);
    void *context;
} es_page_options;

/* Only GET and HEAD of the pages' and offered files' addresses are answered. At
 * 127.0.0.1 only when the browser asked for this machine by name (an address that
 * another site made to point here is refused); elsewhere, and wherever there is a
 * token, only with the token. A WebSocket must also come from a page of this
 * server. At most 64 connections of 30 idle seconds each. ES_IO when the port
 * cannot be had; ES_USAGE for one past 65535, for an address that others can reach
 * without a token, for a token of more than 100 letters or of others than
 * a-z A-Z 0-9 - _ . */
typedef struct es_page_server es_page_server;
es_page_server *es_page_server_new(const es_page_options *options, es_error *err);
void es_page_server_free(es_page_server *server);
int es_page_server_port(const es_page_server *server);
/* Serves until es_cancelled or es_page_server_stop, and then returns true; looks
 * for that five times a second. */
bool es_page_server_run(es_page_server *server, es_error *err);

/* ---- from any thread, while it serves ------------------------------------- */

void es_page_server_stop(es_page_server *server);
int es_page_server_sockets(es_page_server *server); /* pages that listen */

/* The newest message of a channel (copied), for every open page and for those
 * that come later; the one before is forgotten. So a slow page sees fewer of
 * them, and nobody waits. `text`: UTF-8, else binary. A page answers each binary
 * message with the text ES_PAGE_SEEN; until then it gets no third one. ES_MEMORY. */
#define ES_PAGE_SEEN "seen"
bool es_page_server_send(es_page_server *server, int channel, bool text, const void *bytes,
                         size_t length, es_error *err);

/* Whether a page is open that has taken the newest message of this channel, so that
 * making another one is not in vain. *anybody (may be NULL): whether any is open. */
bool es_page_server_wants(es_page_server *server, int channel, bool *anybody);

/* Offers the file as a download at `address`. The file is opened anew for each
 * request; no link is followed. ES_MEMORY. */
bool es_page_server_offer(es_page_server *server, const char *address, const char *path,
                          es_error *err);

#ifdef __cplusplus
}
#endif
#endif
