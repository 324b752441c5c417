/* Pages for a browser, by libwebsockets: one thread, everything driven by its
 * callbacks. A page or file goes out in pieces; the next one is copied when the
 * socket has taken the last, so that a slow reader costs one piece of memory. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "page_internal.h"

enum { CONNECTIONS_MAX = 64, IDLE_S = 30, LOOKS_PER_S = 5, TOKEN_MAX = 100 };

/* Of one request: a page, or a file that is offered. */
typedef struct request {
    const es_page *page;
    int file; /* -1: none */
    uint64_t length, sent;
} request;

es_page_server *page_server_of(struct lws *wsi) { return lws_context_user(lws_get_context(wsi)); }

/* ---- who may ask ---------------------------------------------------------------- */

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

/* In a time that tells nothing of the letters. */
static bool knows_token(struct lws *wsi, const char *token) {
    char buffer[TOKEN_MAX + 16] = {0}, given[TOKEN_MAX + 1] = {0};
    unsigned other = 0;
    const char *found = lws_get_urlarg_by_name(wsi, "token=", buffer, sizeof buffer);
    if (!found || strlen(found) > TOKEN_MAX) return false;
    strcpy(given, found);
    for (size_t i = 0; i <= TOKEN_MAX; i++)
        other |= (unsigned)(given[i] ^ (i < strlen(token) ? token[i] : '\0'));
    return other == 0;
}

bool page_is_allowed(struct lws *wsi, bool open) {
    const es_page_server *server = page_server_of(wsi);
    if (server->near_by && !names_this_machine(wsi)) return false;
    return open || !server->token || knows_token(wsi, server->token);
}

/* ---- what is asked for ------------------------------------------------------- */

static const es_page *find_page(const es_page_server *server, const char *address) {
    for (size_t i = 0; i < server->options.count; i++)
        if (strcmp(server->options.pages[i].address, address) == 0)
            return &server->options.pages[i];
    return NULL;
}

/* An open file that is offered, its length in *length; -1: none. */
static int open_offered(es_page_server *server, const char *address, uint64_t *length) {
    int fd = -1;
    struct stat about;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < ES_PAGE_FILES && fd < 0; i++) {
        const page_file *f = &server->files[i];
        if (f->address && strcmp(f->address, address) == 0)
            fd = open(f->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    }
    pthread_mutex_unlock(&server->lock);
    if (fd < 0) return -1;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode)) {
        *length = (uint64_t)about.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

bool es_page_server_offer(es_page_server *server, const char *address, const char *path,
                          es_error *err) {
    page_file f = {es_copy_text(address, err), es_copy_text(path, err)};
    bool ok = f.address && f.path;
    if (ok) {
        pthread_mutex_lock(&server->lock);
        page_file *place = &server->files[server->file_count++ % ES_PAGE_FILES], old = *place;
        *place = f;
        f = old;
        pthread_mutex_unlock(&server->lock);
    }
    es_free(f.address);
    es_free(f.path);
    return ok;
}

static void end_request(request *r) {
    if (r->file >= 0) close(r->file);
    *r = (request){.file = -1};
}

static int refuse(struct lws *wsi, unsigned status, const char *words) {
    if (lws_return_http_status(wsi, status, words)) return -1;
    return lws_http_transaction_completed(wsi);
}

/* ---- what is answered ----------------------------------------------------------- */

typedef struct headers {
    uint8_t bytes[LWS_PRE + 2048];
    uint8_t *at, *end;
    bool failed;
} headers;

static void add_header(headers *h, struct lws *wsi, const char *name, const char *value) {
    h->failed |= lws_add_http_header_by_name(wsi, (const uint8_t *)name, (const uint8_t *)value,
                                             (int)strlen(value), &h->at, h->end) != 0;
}

/* No other page may frame one; what may run in it, it says itself. */
static bool send_headers(struct lws *wsi, const request *r) {
    headers h = {.at = h.bytes + LWS_PRE, .end = h.bytes + sizeof h.bytes - 1};
    const char *type = r->page ? r->page->type : "application/octet-stream";
    const char *policy = r->page && r->page->policy ? r->page->policy : "frame-ancestors 'none'";
    h.failed = lws_add_http_common_headers(wsi, HTTP_STATUS_OK, type, r->length, &h.at, h.end) != 0;
    add_header(&h, wsi, "x-content-type-options:", "nosniff");
    add_header(&h, wsi, "referrer-policy:", "no-referrer");
    add_header(&h, wsi, "cache-control:", "no-store");
    add_header(&h, wsi, "content-security-policy:", policy);
    if (!r->page) add_header(&h, wsi, "content-disposition:", "attachment");
    return !h.failed && !lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end);
}

static bool find(struct lws *wsi, request *r, const char *address) {
    es_page_server *server = page_server_of(wsi);
    r->page = find_page(server, address);
    if (r->page)
        r->length = r->page->length;
    else
        r->file = open_offered(server, address, &r->length);
    return r->page || r->file >= 0;
}

static int answer(struct lws *wsi, request *r, const char *address) {
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    bool head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    const es_page *page = find_page(page_server_of(wsi), address);
    *r = (request){.file = -1};
    if (!page_is_allowed(wsi, page && page->open))
        return refuse(wsi, HTTP_STATUS_FORBIDDEN,
                      page_server_of(wsi)->token ? "add ?token=WORD to the address"
                                                 : "ask for 127.0.0.1");
    if (!get && !head) return refuse(wsi, HTTP_STATUS_METHOD_NOT_ALLOWED, "only GET and HEAD");
    if (!find(wsi, r, address)) return refuse(wsi, HTTP_STATUS_NOT_FOUND, "there is no such page");
    bool ok = send_headers(wsi, r), more = ok && get && r->length > 0;
    if (!more) end_request(r);
    if (!ok) return -1;
    if (!more) return lws_http_transaction_completed(wsi);
    lws_callback_on_writable(wsi);
    return 0;
}

/* The next bytes; a file may have become shorter. */
static bool read_piece(const request *r, uint8_t *piece, size_t count) {
    if (r->file >= 0) return pread(r->file, piece, count, (off_t)r->sent) == (ssize_t)count;
    memcpy(piece, (const uint8_t *)r->page->bytes + r->sent, count);
    return true;
}

static int send_piece(struct lws *wsi, request *r) {
    es_page_server *server = page_server_of(wsi);
    if (!r || (!r->page && r->file < 0)) return 0;
    uint64_t rest = r->length - r->sent;
    size_t count = rest < PAGE_PIECE ? (size_t)rest : PAGE_PIECE;
    bool last = count == rest;
    if (!read_piece(r, server->piece + LWS_PRE, count)) return -1;
    int written = lws_write(wsi, server->piece + LWS_PRE, count,
                            last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (written < (int)count) return -1;
    r->sent += count;
    if (last) {
        end_request(r);
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t length) {
    request *r = user;
    (void)length;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return -1; /* a socket of no known protocol */
    case LWS_CALLBACK_HTTP_BIND_PROTOCOL:
        if (r) *r = (request){.file = -1};
        return 0;
    case LWS_CALLBACK_HTTP: return answer(wsi, r, in);
    case LWS_CALLBACK_HTTP_WRITEABLE: return send_piece(wsi, r);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (r) end_request(r);
        return 0;
    default: return 0;
    }
}

/* ---- beginning and end ------------------------------------------------------------ */

static const struct lws_protocols protocols[] = {
    {.name = "http", .callback = on_event, .per_session_data_size = sizeof(request)},
    {.name = PAGE_PROTOCOL,
     .callback = page_socket_event,
     .per_session_data_size = sizeof(page_client),
     .rx_buffer_size = 4096},
    {0}};

/* A page that was closed without a word (a tablet asleep) is noticed. */
static const lws_retry_bo_t idle_policy = {.secs_since_valid_ping = 15,
                                           .secs_since_valid_hangup = 30};

static bool is_near_by(const char *address) {
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "localhost") == 0;
}

static bool check(const es_page_options *o, es_error *err) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (o->port < 0 || o->port > 65535)
        return es_fail(err, ES_USAGE, "port %d; expected 1 to 65535, or 0 for any that is free",
                       o->port);
    if (o->address && !is_near_by(o->address) && (!o->token || !*o->token))
        return es_fail(err, ES_USAGE,
                       "listening on %s lets other machines in: give a token that they must know",
                       o->address);
    if (!o->token) return true;
    size_t length = strlen(o->token);
    if (length > 0 && length <= TOKEN_MAX && strspn(o->token, letters) == length) return true;
    return es_fail(err, ES_USAGE,
                   "the token stands in the page's address: 1 to %d letters of a-z A-Z 0-9 - _ .",
                   TOKEN_MAX);
}

static bool copy_words(es_page_server *s, es_error *err) {
    const es_page_options *o = &s->options;
    const char *address = o->address && strcmp(o->address, "localhost") ? o->address : "127.0.0.1";
    s->near_by = is_near_by(address);
    s->address = es_copy_text(address, err);
    if (!s->address || !o->token) return s->address != NULL;
    s->token = es_copy_text(o->token, err);
    return s->token != NULL;
}

static bool listen_there(es_page_server *s, es_error *err) {
    bool everywhere = strcmp(s->address, "0.0.0.0") == 0;
    lws_set_log_level(0, NULL); /* it would write to standard error */
    /* With IPv6, libwebsockets 4.1 takes no notice of `iface` and listens to all. */
    struct lws_context_creation_info info = {.port = s->options.port,
                                             .iface = everywhere ? NULL : s->address,
                                             .protocols = protocols,
                                             .user = s,
                                             .gid = (gid_t)-1,
                                             .uid = (uid_t)-1,
                                             .keepalive_timeout = IDLE_S,
                                             .timeout_secs = IDLE_S,
                                             .fd_limit_per_thread = CONNECTIONS_MAX,
                                             .retry_and_idle_policy = &idle_policy,
                                             .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                                                        LWS_SERVER_OPTION_DISABLE_IPV6};
    s->context = lws_create_context(&info);
    s->host = s->context ? lws_create_vhost(s->context, &info) : NULL;
    return s->host || es_fail(err, ES_IO,
                              "%s:%d cannot be listened on; is another program there, and is it an "
                              "IPv4 address of this machine?",
                              s->address, s->options.port);
}

es_page_server *es_page_server_new(const es_page_options *options, es_error *err) {
    es_page_server *s = check(options, err) ? es_alloc_zero(1, sizeof *s, err) : NULL;
    if (!s) return NULL;
    s->options = *options;
    pthread_mutex_init(&s->lock, NULL);
    if (copy_words(s, err) && listen_there(s, err)) return s;
    es_page_server_free(s);
    return NULL;
}

void es_page_server_free(es_page_server *server) {
    if (!server) return;
    if (server->context) lws_context_destroy(server->context);
    page_channels_clear(server);
    for (size_t i = 0; i < ES_PAGE_FILES; i++) {
        es_free(server->files[i].address);
        es_free(server->files[i].path);
    }
    pthread_mutex_destroy(&server->lock);
    es_free(server->address);
    es_free(server->token);
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

void es_page_server_stop(es_page_server *server) {
    atomic_store(&server->stop, true);
    lws_cancel_service(server->context);
}

bool es_page_server_run(es_page_server *server, es_error *err) {
    wake(&server->timer);
    while (!es_cancelled(NULL) && !atomic_load(&server->stop))
        if (lws_service(server->context, 0) < 0)
            return es_fail(err, ES_IO, "the page server stopped");
    lws_sul_schedule(server->context, 0, &server->timer, NULL, LWS_SET_TIMER_USEC_CANCEL);
    return true;
}
