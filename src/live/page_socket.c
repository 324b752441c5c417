/* WebSockets of open pages.
 *
 * What is sent stands in channels, of each only the newest message, counted and
 * shared. A page that can take more gets the next channel that has something new
 * for it, in turn; a slow page thereby leaves messages out, and costs no more than
 * the one that is on its way to it. Of binary ones two at most are on their way until
 * the page says that it has seen one: megabytes fit into the buffers between here and
 * there, and would be seconds old when they are shown. */
#include <string.h>
#include <strings.h>

#include "page_internal.h"

enum { UNSEEN_MOST = 2 };

/* ---- messages -------------------------------------------------------------------- */

/* With the lock held. */
static void let_go(page_message *m) {
    if (m && --m->holders == 0) es_free(m);
}

void page_channels_clear(es_page_server *server) {
    for (int i = 0; i < ES_PAGE_CHANNELS; i++) let_go(server->channels[i].newest);
}

bool es_page_server_send(es_page_server *server, int channel, bool text, const void *bytes,
                         size_t length, es_error *err) {
    page_message *m = NULL;
    if (length > SIZE_MAX - sizeof *m)
        return es_fail(err, ES_MEMORY, "a message of %zu bytes", length);
    m = es_alloc(1, sizeof *m + length, err);
    if (!m) return false;
    m->holders = 1;
    m->text = text;
    m->length = length;
    memcpy(m->bytes, bytes, length);
    pthread_mutex_lock(&server->lock);
    page_channel *c = &server->channels[channel];
    let_go(c->newest);
    c->newest = m;
    c->number++;
    c->taken = false;
    pthread_mutex_unlock(&server->lock);
    lws_cancel_service(server->context); /* the thread that serves looks what is new */
    return true;
}

/* Whether this page may have this message now: what stands in the buffers of the
 * system and of the browser would be old when it is shown. */
static bool may_have(const page_client *client, const page_message *m) {
    return m->text || client->text.unseen < UNSEEN_MOST;
}

/* The next message for this page, held for it; NULL: it has seen all. */
static page_message *take_next(es_page_server *server, page_client *client) {
    page_message *m = NULL;
    pthread_mutex_lock(&server->lock);
    for (int i = 1; i <= ES_PAGE_CHANNELS && !m; i++) {
        int at = (client->last + i) % ES_PAGE_CHANNELS;
        page_channel *c = &server->channels[at];
        if (!c->newest || c->number == client->seen[at] || !may_have(client, c->newest)) continue;
        client->seen[at] = c->number;
        c->taken = true;
        m = c->newest;
        if (!m->text)
            client->last = at; /* else texts, which come often, would give all turns away */
        m->holders++;
        client->text.unseen += !m->text;
    }
    pthread_mutex_unlock(&server->lock);
    return m;
}

static void drop_current(es_page_server *server, page_client *client) {
    pthread_mutex_lock(&server->lock);
    let_go(client->current);
    pthread_mutex_unlock(&server->lock);
    client->current = NULL;
}

static int send_piece(struct lws *wsi, es_page_server *server, page_client *client) {
    if (!client->current) {
        client->current = take_next(server, client);
        client->sent = 0;
    }
    page_message *m = client->current;
    if (!m) return 0;
    size_t rest = m->length - client->sent, count = rest < PAGE_PIECE ? rest : PAGE_PIECE;
    memcpy(server->piece + LWS_PRE, m->bytes + client->sent, count);
    int kind = m->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY;
    int flags = lws_write_ws_flags(kind, client->sent == 0, count == rest);
    if (lws_write(wsi, server->piece + LWS_PRE, count, (enum lws_write_protocol)flags) < (int)count)
        return -1;
    client->sent += count;
    if (count == rest) drop_current(server, client);
    lws_callback_on_writable(wsi);
    return 0;
}

/* ---- texts from a page -------------------------------------------------------------- */

static int close_with(struct lws *wsi, enum lws_close_status status) {
    lws_close_reason(wsi, status, NULL, 0);
    return -1;
}

static int receive(struct lws *wsi, es_page_server *server, page_client *client, const char *bytes,
                   size_t length) {
    page_text *text = &client->text;
    if (lws_frame_is_binary(wsi) || !server->options.text)
        return close_with(wsi, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE);
    switch (page_text_take(text, bytes, length, lws_is_final_fragment(wsi), es_clock_s())) {
    case PAGE_TEXT_SEEN: lws_callback_on_writable(wsi); return 0;
    case PAGE_TEXT_WHOLE:
        server->options.text(server->options.context, text->bytes, text->length);
        return 0;
    case PAGE_TEXT_TOO_LONG: return close_with(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE);
    case PAGE_TEXT_TOO_MANY: return close_with(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION);
    default: return 0;
    }
}

/* ---- who may open one ----------------------------------------------------------------- */

/* Browsers say which page asks: it must be one of this server. */
static bool comes_from_here(struct lws *wsi) {
    char host[128], origin[160];
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0) return true; /* no browser */
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0) return false;
    if (lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) <= 0) return false;
    return strncmp(origin, "http://", 7) == 0 && strcasecmp(origin + 7, host) == 0;
}

/* The first channel comes first. */
static int begin(struct lws *wsi, es_page_server *server, page_client *client) {
    *client = (page_client){.last = ES_PAGE_CHANNELS - 1};
    client->counted = true;
    if (atomic_fetch_add(&server->sockets, 1) >= ES_PAGE_SOCKETS)
        return close_with(wsi, LWS_CLOSE_STATUS_POLICY_VIOLATION);
    lws_callback_on_writable(wsi);
    return 0;
}

static void end(es_page_server *server, page_client *client) {
    drop_current(server, client);
    if (client->counted) atomic_fetch_sub(&server->sockets, 1);
    client->counted = false;
}

static bool may_open(struct lws *wsi, es_page_server *server) {
    char address[64];
    return server->options.socket &&
           lws_hdr_copy(wsi, address, sizeof address, WSI_TOKEN_GET_URI) > 0 &&
           strcmp(address, server->options.socket) == 0 && page_is_allowed(wsi, false) &&
           comes_from_here(wsi);
}

int page_socket_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                      size_t length) {
    es_page_server *server = page_server_of(wsi);
    page_client *client = user;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return may_open(wsi, server) ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED: return begin(wsi, server, client);
    case LWS_CALLBACK_SERVER_WRITEABLE: return send_piece(wsi, server, client);
    case LWS_CALLBACK_RECEIVE: return receive(wsi, server, client, in, length);
    case LWS_CALLBACK_CLOSED: end(server, client); return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: /* something was sent */
        lws_callback_on_writable_all_protocol(lws_get_context(wsi), lws_get_protocol(wsi));
        return 0;
    default: return 0;
    }
}

int es_page_server_sockets(es_page_server *server) { return atomic_load(&server->sockets); }

bool es_page_server_wants(es_page_server *server, int channel, bool *anybody) {
    const bool open = es_page_server_sockets(server) > 0;
    pthread_mutex_lock(&server->lock);
    const page_channel *c = &server->channels[channel];
    const bool wants = open && (c->taken || !c->newest);
    pthread_mutex_unlock(&server->lock);
    if (anybody) *anybody = open;
    return wants;
}
