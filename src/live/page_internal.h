/* The parts of the page server: pages and files (page_server.c), and sockets
 * (page_socket.c). */
#ifndef ES_LIVE_PAGE_INTERNAL_H
#define ES_LIVE_PAGE_INTERNAL_H

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

#include "page_text.h"

enum { PAGE_PIECE = 64 * 1024 };
#define PAGE_PROTOCOL "echosolid"

/* Shared by the channel and the pages that it is on its way to. */
typedef struct page_message {
    int holders; /* guarded by the server's lock */
    bool text;
    size_t length;
    uint8_t bytes[];
} page_message;

typedef struct page_channel {
    page_message *newest; /* NULL: nothing was sent */
    uint64_t number;      /* of messages so far */
    bool taken;           /* the newest one, by a page */
} page_channel;

typedef struct page_file {
    char *address, *path;
} page_file;

struct es_page_server {
    es_page_options options;
    char *address, *token; /* copies; token NULL: none is needed */
    bool near_by;          /* listens to this machine alone */
    struct lws_context *context;
    struct lws_vhost *host;
    lws_sorted_usec_list_t timer;
    atomic_bool stop;
    atomic_int sockets;
    pthread_mutex_t lock;
    page_channel channels[ES_PAGE_CHANNELS];
    page_file files[ES_PAGE_FILES]; /* a ring */
    size_t file_count;
    uint8_t piece[LWS_PRE + PAGE_PIECE]; /* one thread writes one piece at a time */
};

es_page_server *page_server_of(struct lws *wsi);

/* Whether who asks may: by the name that was asked for, and by the token where
 * one is needed. `open`: of something that needs none. */
bool page_is_allowed(struct lws *wsi, bool open);

/* One open page; its memory belongs to libwebsockets. */
typedef struct page_client {
    bool counted; /* among the server's sockets */
    uint64_t seen[ES_PAGE_CHANNELS];
    int last; /* the channel that had its turn; of binary ones */
    page_message *current;
    size_t sent;
    page_text text;
} page_client;

int page_socket_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t length);
void page_channels_clear(es_page_server *server);

#endif
