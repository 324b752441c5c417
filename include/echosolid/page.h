/* echosolid/page.h: gives pages held in memory to a browser on this machine. */
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
} es_page;

/* Listens on 127.0.0.1 alone, on a free port for port 0. Only GET and HEAD of
 * these addresses are answered, and only when the browser asked for this machine
 * by name (an address that another site made to point here is refused); at most
 * 64 connections of 30 idle seconds each. ES_IO when the port cannot be had,
 * ES_USAGE for one past 65535. */
typedef struct es_page_server es_page_server;
es_page_server *es_page_server_new(const es_page *pages, size_t count, int port, es_error *err);
void es_page_server_free(es_page_server *server);
int es_page_server_port(const es_page_server *server);
/* Serves until es_cancelled, and then returns true; looks for that five times
 * a second. */
bool es_page_server_run(es_page_server *server, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
