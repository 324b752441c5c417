/* Pages for a browser on this machine, by libwebsockets: one thread, everything
 * driven by its callbacks. A page goes out in pieces; the next one is copied when
 * the socket has taken the last, so that a slow reader costs one piece of memory. */
#include "echosolid/page.h"

#include <libwebsockets.h>
#include <string.h>

enum { PIECE = 64 * 1024, CONNECTIONS_MAX = 64, IDLE_S = 30, LOOKS_PER_S = 5 };

struct es_page_server {
    const es_page *pages;
    size_t count;
    struct lws_context *context;
    struct lws_vhost *host;
    lws_sorted_usec_list_t timer;
    uint8_t piece[LWS_PRE + PIECE]; /* one thread writes one piece at a time */
};

/* Of one request. */
typedef struct request {
    const es_page *page;
    size_t sent;
} request;

static es_page_server *server_of(struct lws *wsi) { return lws_context_user(lws_get_context(wsi)); }

/* ---- what is asked for ------------------------------------------------------- */

/* "localhost:8080" names this machine; "evil.example:8080" may well lead here, but
 * then the page that asks belongs to someone else. */
static bool names_this_machine(struct lws *wsi) {
    static const char *const names[] = {"127.0.0.1", "localhost"};
    char host[128];
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (strncmp(host, names[i], length) == 0 && (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

static const es_page *find_page(const es_page_server *server, const char *address) {
    for (size_t i = 0; i < server->count; i++)
        if (strcmp(server->pages[i].address, address) == 0) return &server->pages[i];
    return NULL;
}

static int refuse(struct lws *wsi, unsigned status, const char *words) {
    if (lws_return_http_status(wsi, status, words)) return -1;
    return lws_http_transaction_completed(wsi);
}

/* ---- what is answered ----------------------------------------------------------- */

typedef struct headers {
    uint8_t bytes[LWS_PRE + 1024];
    uint8_t *at, *end;
    bool failed;
} headers;

static void add_header(headers *h, struct lws *wsi, const char *name, const char *value) {
    h->failed |= lws_add_http_header_by_name(wsi, (const uint8_t *)name, (const uint8_t *)value,
                                             (int)strlen(value), &h->at, h->end) != 0;
}

/* The page's own policy says what may run in it; no other page may frame it. */
static bool send_headers(struct lws *wsi, const es_page *page) {
    headers h = {.at = h.bytes + LWS_PRE, .end = h.bytes + sizeof h.bytes - 1};
    h.failed = lws_add_http_common_headers(wsi, HTTP_STATUS_OK, page->type, page->length, &h.at,
                                           h.end) != 0;
    add_header(&h, wsi, "x-content-type-options:", "nosniff");
    add_header(&h, wsi, "referrer-policy:", "no-referrer");
    add_header(&h, wsi, "cache-control:", "no-store");
    add_header(&h, wsi, "content-security-policy:", "frame-ancestors 'none'");
    return !h.failed && !lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end);
}

static int answer(struct lws *wsi, request *r, const char *address) {
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    if (!names_this_machine(wsi)) return refuse(wsi, HTTP_STATUS_FORBIDDEN, "ask for 127.0.0.1");
    if (!get && !head) return refuse(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, "only GET and HEAD");
    r->page = find_page(server_of(wsi), address);
    r->sent = 0;
    if (!r->page) return refuse(wsi, HTTP_STATUS_NOT_FOUND, "there is no such page");
    if (!send_headers(wsi, r->page)) return -1;
    if (head || r->page->length == 0) return lws_http_transaction_completed(wsi);
    lws_callback_on_writable(wsi);
    return 0;
}

static int send_piece(struct lws *wsi, request *r) {
    es_page_server *server = server_of(wsi);
    if (!r || !r->page) return 0;
    size_t rest = r->page->length - r->sent, count = rest < PIECE ? rest : PIECE;
    bool last = count == rest;
    memcpy(server->piece + LWS_PRE, (const uint8_t *)r->page->bytes + r->sent, count);
    int written = lws_write(wsi, server->piece + LWS_PRE, count,
                            last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (written < (int)count) return -1;
    r->sent += count;
    if (last) {
        r->page = NULL;
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length) {
    (void)length;
    switch (reason) {
    case LWS_CALLBACK_HTTP: return answer(wsi, user, in);
    case LWS_CALLBACK_HTTP_WRITEABLE: return send_piece(wsi, user);
    default: return 0;
    }
}

/* ---- beginning and end ------------------------------------------------------------ */

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_event, .per_session_data_size = sizeof(request)}, {0}};

es_page_server *es_page_server_new(const es_page *pages, size_t count, int port, es_error *err) {
    if (port < 0 || port > 65535) {
        es_fail(err, ES_USAGE, "port %d; expected 1 to 65535, or 0 for any that is free", port);
        return NULL;
    }
    es_page_server *server = es_alloc_zero(1, sizeof *server, err);
    if (!server) return NULL;
    server->pages = pages;
    server->count = count;
    lws_set_log_level(0, NULL); /* it would write to standard error */
    /* With IPv6, libwebsockets 4.1 takes no notice of `iface` and listens to all. */
    struct lws_context_creation_info info = {.port = port,
                                             .iface = "127.0.0.1",
                                             .protocols = protocols,
                                             .user = server,
                                             .gid = (gid_t)-1,
                                             .uid = (uid_t)-1,
                                             .keepalive_timeout = IDLE_S,
                                             .timeout_secs = IDLE_S,
                                             .fd_limit_per_thread = CONNECTIONS_MAX,
                                             .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                                                        LWS_SERVER_OPTION_DISABLE_IPV6};
    server->context = lws_create_context(&info);
    server->host = server->context ? lws_create_vhost(server->context, &info) : NULL;
    if (server->host) return server;
    es_fail(err, ES_IO, "127.0.0.1:%d cannot be listened on; is another program there?", port);
    es_page_server_free(server);
    return NULL;
}

void es_page_server_free(es_page_server *server) {
    if (!server) return;
    if (server->context) lws_context_destroy(server->context);
    es_free(server);
}

int es_page_server_port(const es_page_server *server) {
    return lws_get_vhost_listen_port(server->host);
}

/* Wakes the service, so that cancelling is noticed. */
static void wake(lws_sorted_usec_list_t *timer) {
    es_page_server *server = lws_container_of(timer, es_page_server, timer);
    lws_sul_schedule(server->context, 0, timer, wake, LWS_US_PER_SEC / LOOKS_PER_S);
}

bool es_page_server_run(es_page_server *server, es_error *err) {
    wake(&server->timer);
    while (!es_cancelled(NULL))
        if (lws_service(server->context, 0) < 0)
            return es_fail(err, ES_IO, "the page server stopped");
    lws_sul_schedule(server->context, 0, &server->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
    return true;
}
