/* The OpenIGTLink server: one thread, any number of clients.
 *
 * A message is kept once, however many clients wait for it (it is counted, in
 * the forms of header version 1 and 2). Each client has a line of messages to
 * be sent; what a slow one cannot take is dropped there, the oldest of the same
 * type and device first, so that it sees the newest picture and never an old
 * one late. The sender only adds to the lines and wakes the thread. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/live.h"
#include "socket.h"
#include "subscribe.h"

enum {
    CLIENTS_MOST = 256,
    LINE = 512, /* messages that wait for one client */
    ANSWERS_MOST = 64,
    COMMANDS = 32,
    KEPT = 32,
    LAST_IDS = 10,
    IN_FIRST = 4096,
    BODY_MOST = 1 << 20, /* what clients send is small */
};
static const double KEEP_ALIVE_S = 0.25, TOKEN_S = 10;

typedef struct parcel {
    int users; /* guarded by the lock */
    char type[ES_IGTL_TYPE + 1], device[ES_IGTL_DEVICE + 1];
    bool answer;         /* never dropped */
    uint64_t whole;      /* its number, if it is kept; 0 else */
    uint64_t part_of;    /* the whole that it changes; 0: it is no part */
    es_igtl_out form[2]; /* header version 1 (made when needed) and 2 */
} parcel;

typedef struct client {
    int fd; /* -1: the place is free */
    uint64_t number;
    bool near_by, trusted;
    bool doomed, gone;         /* thrown out; went by itself */
    int version, sent_version; /* what it understands; of the message that is half sent */
    double since_s, sent_s;
    parcel *line[LINE]; /* a ring */
    size_t first, count, sent_bytes;
    uint64_t bytes;
    int answers;
    uint64_t whole; /* the last one that it got, or will get; 0: none */
    uint8_t *in;
    size_t in_filled, in_capacity;
    uint32_t last_ids[LAST_IDS];
    int id_count, next_id;
    subscription asked;
} client;

struct es_live_server {
    es_live_server_options options;
    char token[128];
    int listener, port, wake[2];
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    /* All guarded by the lock. */
    client *clients;
    int capacity;
    uint64_t next_number, wholes;
    parcel *kept[KEPT];
    es_live_command commands[COMMANDS]; /* a ring */
    size_t command_first, command_count;
    es_live_server_stats stats;
    bool stop;
};

/* ---- parcels --------------------------------------------------------------------- */

static void let_go(parcel *p) {
    if (!p || --p->users > 0) return;
    es_igtl_out_clear(&p->form[0]);
    es_igtl_out_clear(&p->form[1]);
    es_free(p);
}

/* A copy of one message of version 2; one user. */
static parcel *wrap(const es_igtl_message *message, const uint8_t *bytes, size_t length) {
    parcel *p = es_alloc_zero(1, sizeof *p, NULL);
    if (!p) return NULL;
    p->users = 1;
    strcpy(p->type, message->type);
    strcpy(p->device, message->device);
    es_igtl_out *out = &p->form[message->version - 1];
    if ((out->bytes = es_alloc(length, 1, NULL))) {
        memcpy(out->bytes, bytes, length);
        out->length = out->capacity = length;
        return p;
    }
    let_go(p);
    return NULL;
}

/* The message as this client understands it; NULL without memory. */
static const es_igtl_out *form_of(parcel *p, int version) {
    const es_igtl_limits limits = {.body_max = UINT64_MAX / 4, .ignore_crc = true};
    es_igtl_message message;
    size_t used;
    if (p->form[version - 1].length) return &p->form[version - 1];
    if (p->form[0].length) return &p->form[0]; /* everybody understands version 1 */
    if (es_igtl_parse(p->form[1].bytes, p->form[1].length, &limits, &message, &used, NULL) !=
        ES_IGTL_WHOLE)
        return NULL;
    message.version = 1;
    es_igtl_put_message(&p->form[0], &message);
    if (!p->form[0].failed) return &p->form[0];
    es_igtl_out_clear(&p->form[0]);
    return NULL;
}

static size_t weight(const parcel *p) {
    return p->form[1].length ? p->form[1].length : p->form[0].length;
}

/* ---- the line of a client ----------------------------------------------------------- */

static parcel **place(client *c, size_t i) { return &c->line[(c->first + i) % LINE]; }

static void remove_at(client *c, size_t i) {
    parcel *p = *place(c, i);
    c->bytes -= weight(p);
    c->answers -= p->answer;
    for (; i + 1 < c->count; i++) *place(c, i) = *place(c, i + 1);
    c->count--;
    let_go(p);
}

/* Parts take no whole's place. */
static bool is_same(const parcel *a, const parcel *b) {
    return strcmp(a->type, b->type) == 0 && strcmp(a->device, b->device) == 0 &&
           !a->part_of == !b->part_of;
}

/* What changes a whole that does not come means nothing. */
static void drop_parts(client *c, uint64_t whole) {
    if (c->whole == whole) c->whole = 0;
    for (size_t i = c->count; i-- > (size_t)(c->sent_bytes > 0);)
        if ((*place(c, i))->part_of == whole) remove_at(c, i);
}

/* The first from the front that may go, of the kind of `like` (NULL: of any);
 * the one that is half sent must be sent whole. */
static bool drop_one(client *c, const parcel *like) {
    for (size_t i = c->sent_bytes > 0; i < c->count; i++) {
        const parcel *p = *place(c, i);
        if (p->answer || (like && !is_same(p, like))) continue;
        const uint64_t whole = p->whole;
        remove_at(c, i);
        if (whole) drop_parts(c, whole);
        return true;
    }
    return false;
}

static int count_same(client *c, const parcel *like) {
    int same = 0;
    for (size_t i = 0; i < c->count; i++) same += is_same(*place(c, i), like);
    return same;
}

static void add_to_line(es_live_server *s, client *c, parcel *p) {
    if (c->fd < 0 || c->doomed || (!c->trusted && !p->answer)) return;
    if (!p->answer && !subscription_wants(&c->asked, p->type, p->device)) return;
    if (p->part_of && p->part_of != c->whole) return;
    if (!p->answer && count_same(c, p) >= s->options.same_most) s->stats.dropped += drop_one(c, p);
    while (c->count > 0 && (c->count == LINE || c->bytes + weight(p) > s->options.queue_bytes)) {
        if (!drop_one(c, NULL)) break;
        s->stats.dropped++;
    }
    c->answers += p->answer;
    if (c->count == LINE || c->answers > ANSWERS_MOST) {
        c->doomed = true;
        return;
    }
    if (p->part_of && p->part_of != c->whole) return; /* the whole had to make room for it */
    if (p->whole) c->whole = p->whole;
    p->users++;
    *place(c, c->count++) = p;
    c->bytes += weight(p);
}

/* ---- commands ------------------------------------------------------------------------- */

void es_live_command_clear(es_live_command *command) {
    es_free(command->text);
    memset(command, 0, sizeof *command);
}

static void add_reply(es_text *text, const es_live_command *command, const es_live_reply *reply) {
    if (reply->content) {
        es_text_add(text, "%s", reply->content);
        return;
    }
    es_text_add(text, "<CommandReply");
    if (!command->as_string) {
        es_text_add(text, " Name=\"");
        es_text_add_escaped(text, command->name);
        es_text_add(text, "\"");
    }
    es_text_add(text, " Status=\"%s\"", reply->ok ? "SUCCESS" : "FAIL");
    if (reply->error && *reply->error) {
        es_text_add(text, " Error=\"");
        es_text_add_escaped(text, reply->error);
        es_text_add(text, "\"");
    }
    es_text_add(text, " Message=\"");
    es_text_add_escaped(text, reply->message ? reply->message : "");
    es_text_add(text, command->as_string ? "\" />" : "\"></CommandReply>");
}

/* Status first: receivers look at nothing else to know whether it went well. */
static void put_reply(es_igtl_out *out, const es_live_command *command, const es_live_reply *reply,
                      const es_text *text) {
    enum { PAIRS = 32 };
    const char *meta[2 * PAIRS + 1] = {"Status", reply->ok ? "SUCCESS" : "FAIL"};
    char device[ES_IGTL_DEVICE + 1];
    size_t n = 2;
    if (command->as_string) {
        snprintf(device, sizeof device, "ACK_%u", command->id);
        es_igtl_head head = {.version = 1, .device = device};
        es_igtl_put_string(out, &head, text->bytes, text->length);
        return;
    }
    meta[n++] = "Message";
    meta[n++] = reply->message ? reply->message : "";
    if (reply->error && *reply->error) {
        meta[n++] = "Error";
        meta[n++] = reply->error;
    }
    for (size_t i = 0; reply->meta && reply->meta[i] && n + 2 < 2 * PAIRS; i++)
        meta[n++] = reply->meta[i];
    es_igtl_head head = {.version = 2, .device = command->device, .id = 0, .meta = meta};
    es_igtl_put_command(out, &head, true, command->id, command->name, text->bytes, text->length);
}

static client *find_client(es_live_server *s, uint64_t number) {
    for (int i = 0; i < s->capacity; i++)
        if (s->clients[i].fd >= 0 && s->clients[i].number == number) return &s->clients[i];
    return NULL;
}

/* Under the lock. Takes the message. */
static bool add_message(es_live_server *s, client *c, es_igtl_out *out, bool is_answer) {
    const es_igtl_limits limits = {.body_max = UINT64_MAX / 4, .ignore_crc = true};
    es_igtl_message message;
    size_t used;
    parcel *p = NULL;
    if (!out->failed &&
        es_igtl_parse(out->bytes, out->length, &limits, &message, &used, NULL) == ES_IGTL_WHOLE)
        p = wrap(&message, out->bytes, out->length);
    es_igtl_out_clear(out);
    if (!p) return false;
    p->answer = is_answer;
    add_to_line(s, c, p);
    let_go(p);
    return true;
}

static bool answer(es_live_server *s, client *c, es_igtl_out *out) {
    return add_message(s, c, out, true);
}

static void wake(const es_live_server *s) {
    ssize_t n = write(s->wake[1], "", 1);
    (void)n; /* full: it is awake */
}

/* Under the lock. */
static bool reply_now(es_live_server *s, client *c, const es_live_command *command,
                      const es_live_reply *reply) {
    es_igtl_out out = {0};
    es_text text = {0};
    add_reply(&text, command, reply);
    if (!text.failed) put_reply(&out, command, reply, &text);
    bool ok = !text.failed && answer(s, c, &out);
    es_text_free(&text);
    return ok;
}

bool es_live_server_reply(es_live_server *s, const es_live_command *command,
                          const es_live_reply *reply) {
    pthread_mutex_lock(&s->lock);
    client *c = find_client(s, command->client);
    bool ok = !c || reply_now(s, c, command, reply);
    pthread_mutex_unlock(&s->lock);
    wake(s);
    return ok;
}

bool es_live_server_command(es_live_server *s, es_live_command *command) {
    pthread_mutex_lock(&s->lock);
    bool some = s->command_count > 0;
    if (some) {
        *command = s->commands[s->command_first];
        s->command_first = (s->command_first + 1) % COMMANDS;
        s->command_count--;
    }
    pthread_mutex_unlock(&s->lock);
    return some;
}

static bool is_repeated(client *c, uint32_t id) {
    for (int i = 0; i < c->id_count; i++)
        if (c->last_ids[i] == id) return true;
    c->last_ids[c->next_id] = id;
    c->next_id = (c->next_id + 1) % LAST_IDS;
    c->id_count += c->id_count < LAST_IDS;
    return false;
}

static void take_command(es_live_server *s, client *c, es_live_command *command, const char *text,
                         size_t length) {
    static const es_live_reply busy = {.message = "Command failed. See error message.",
                                       .error = "busy: too many commands wait"};
    if (is_repeated(c, command->id)) return;
    command->client = c->number;
    command->near_by = c->near_by;
    command->text = s->command_count < COMMANDS ? es_alloc(length + 1, 1, NULL) : NULL;
    if (!command->text) {
        reply_now(s, c, command, &busy);
        return;
    }
    memcpy(command->text, text, length);
    command->text[length] = '\0';
    s->commands[(s->command_first + s->command_count++) % COMMANDS] = *command;
}

/* ---- what clients say --------------------------------------------------------------------- */

static void take_string(es_live_server *s, client *c, const es_igtl_message *m) {
    es_igtl_text text;
    int64_t id = 0;
    if (!es_igtl_get_string(m, &text, NULL)) return;
    if (strcmp(m->device, "Token") == 0) {
        c->trusted |= s->token[0] && text.length == strlen(s->token) &&
                      memcmp(text.bytes, s->token, text.length) == 0;
        c->doomed |= !c->trusted;
    } else if (c->trusted && strncmp(m->device, "CMD", 3) == 0) {
        es_live_command command = {.as_string = true};
        bool numbered =
            m->device[3] == '_' && es_parse_int(m->device + 4, &id) && id >= 0 && id <= UINT32_MAX;
        static const es_live_reply bad = {.message = "Command failed. See error message.",
                                          .error = "expected the device name CMD_<number>"};
        command.id = (uint32_t)id;
        if (numbered)
            take_command(s, c, &command, text.bytes, text.length);
        else
            reply_now(s, c, &command, &bad);
    }
}

static void take_query(es_live_server *s, client *c, const es_igtl_message *m) {
    static const char *const types[] = {"IMAGE",       "TRANSFORM",  "POLYDATA",  "STATUS",
                                        "STRING",      "COMMAND",    "TDATA",     "QTDATA",
                                        "RTS_COMMAND", "CAPABILITY", "CLIENTINFO"};
    es_igtl_head head = {.version = c->version, .device = m->device};
    es_igtl_out out = {0};
    if (strcmp(m->type, "GET_STATUS") == 0)
        es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    else
        es_igtl_put_capability(&out, &head, types, sizeof types / sizeof *types);
    answer(s, c, &out);
}

/* STT_TDATA and its like: from now on, or no more, and an answer that says so. */
static void take_stream(es_live_server *s, client *c, const es_igtl_message *m) {
    bool quaternions = strstr(m->type, "QTDATA") != NULL, starts = m->type[2] == 'T';
    es_igtl_head head = {.version = c->version, .device = m->device};
    es_igtl_stream asked;
    es_igtl_out out = {0};
    uint8_t refused = starts && !es_igtl_get_stream(m, &asked, NULL);
    if (starts && !refused) subscription_start(&c->asked, asked.resolution_ms, quaternions);
    if (!starts) c->asked.tools = false;
    es_igtl_put_raw(&out, &head, quaternions ? "RTS_QTDATA" : "RTS_TDATA", &refused, 1);
    answer(s, c, &out);
}

static void take_client_info(client *c, const es_igtl_message *m) {
    es_igtl_message text = *m;
    es_igtl_text xml;
    strcpy(text.type, "STRING"); /* whose content it has */
    if (!es_igtl_get_string(&text, &xml, NULL)) return;
    char *copy = es_alloc(xml.length + 1, 1, NULL);
    if (!copy) return;
    memcpy(copy, xml.bytes, xml.length);
    copy[xml.length] = '\0';
    subscription_read(&c->asked, copy);
    es_free(copy);
}

static bool is_stream(const char *type) {
    return strcmp(type, "STT_TDATA") == 0 || strcmp(type, "STP_TDATA") == 0 ||
           strcmp(type, "STT_QTDATA") == 0 || strcmp(type, "STP_QTDATA") == 0;
}

static void take_input(es_live_server *s, client *c, const es_igtl_message *m) {
    es_igtl_command read;
    s->stats.received++;
    if (m->version == 2) c->version = 2;
    if (strcmp(m->type, "STRING") == 0) {
        take_string(s, c, m);
    } else if (!c->trusted) {
        return;
    } else if (strcmp(m->type, "COMMAND") == 0 && es_igtl_get_command(m, &read, NULL)) {
        es_live_command command = {.id = read.id};
        strcpy(command.device, m->device);
        strcpy(command.name, read.name);
        take_command(s, c, &command, read.text.bytes, read.text.length);
    } else if (strcmp(m->type, "GET_STATUS") == 0 || strncmp(m->type, "GET_CAPABIL", 11) == 0) {
        take_query(s, c, m);
    } else if (is_stream(m->type)) {
        take_stream(s, c, m);
    } else if (strcmp(m->type, "CLIENTINFO") == 0) {
        take_client_info(c, m);
    }
}

static void parse_input(es_live_server *s, client *c) {
    const es_igtl_limits limits = {.body_max = BODY_MOST};
    size_t start = 0, used;
    while (!c->doomed) {
        es_igtl_message m;
        es_igtl_state state =
            es_igtl_parse(c->in + start, c->in_filled - start, &limits, &m, &used, NULL);
        if (state == ES_IGTL_SHORT) break;
        s->stats.crc += state == ES_IGTL_CRC;
        c->doomed = state != ES_IGTL_WHOLE && state != ES_IGTL_CRC;
        s->stats.malformed += c->doomed;
        if (state == ES_IGTL_WHOLE) take_input(s, c, &m);
        if (!c->doomed) start += used;
    }
    memmove(c->in, c->in + start, c->in_filled - start);
    c->in_filled -= start;
}

/* The buffer grows as bytes come, to one message of BODY_MOST. */
static void read_client(es_live_server *s, client *c) {
    size_t got;
    if (c->in_filled == c->in_capacity) {
        size_t capacity = c->in_capacity ? 2 * c->in_capacity : IN_FIRST;
        if (!es_resize(&c->in, capacity, 1, NULL)) {
            c->doomed = true;
            return;
        }
        c->in_capacity = capacity;
    }
    if (socket_receive(c->fd, c->in + c->in_filled, c->in_capacity - c->in_filled, &got) ==
        SOCKET_GONE)
        c->gone = true;
    c->in_filled += got;
    if (got) parse_input(s, c);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Sends the front of the line until the socket is full. */
static void write_client(es_live_server *s, client *c) {
    while (c->count > 0 && !c->doomed) {
        if (c->sent_bytes == 0) c->sent_version = c->version;
        const es_igtl_out *out = form_of(*place(c, 0), c->sent_version);
        size_t sent;
        if (!out) {
            remove_at(c, 0);
            continue;
        }
        socket_state state =
            socket_send(c->fd, out->bytes + c->sent_bytes, out->length - c->sent_bytes, &sent);
        c->gone |= state == SOCKET_GONE;
        if (state != SOCKET_SOME) return;
        c->sent_s = es_clock_s();
        c->sent_bytes += sent;
        if (c->sent_bytes < out->length) continue;
        c->sent_bytes = 0;
        s->stats.sent++;
        remove_at(c, 0);
    }
}

/* What PlusServer sends when it has nothing else. */
static void keep_alive(es_live_server *s, client *c, double now) {
    if (c->count > 0 || now - c->sent_s < KEEP_ALIVE_S) return;
    es_igtl_head head = {.version = 1, .device = ""};
    es_igtl_out out = {0};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    if (c->trusted) answer(s, c, &out);
    es_igtl_out_clear(&out);
}

static void drop_client(client *c) {
    while (c->count > 0) remove_at(c, 0);
    close(c->fd);
    es_free(c->in);
    memset(c, 0, sizeof *c);
    c->fd = -1;
}

static void admit(es_live_server *s) {
    bool near_by;
    int fd;
    while ((fd = socket_accept(s->listener, &near_by)) >= 0) {
        client *free_place = NULL;
        for (int i = 0; i < s->capacity && !free_place; i++)
            if (s->clients[i].fd < 0) free_place = &s->clients[i];
        s->stats.connections++;
        if (!free_place || (!near_by && !s->token[0])) {
            s->stats.refused++;
            close(fd);
            continue;
        }
        *free_place = (client){.fd = fd,
                               .number = ++s->next_number,
                               .near_by = near_by,
                               .trusted = near_by,
                               .version = 1,
                               .since_s = es_clock_s()};
        for (int k = 0; k < KEPT; k++)
            if (s->kept[k]) add_to_line(s, free_place, s->kept[k]);
    }
}

static void look_after(es_live_server *s, client *c, short events) {
    double now = es_clock_s();
    bool was_trusted = c->trusted;
    if (events & (POLLIN | POLLHUP | POLLERR)) read_client(s, c);
    for (int k = 0; !was_trusted && c->trusted && k < KEPT; k++)
        if (s->kept[k]) add_to_line(s, c, s->kept[k]);
    c->doomed |= !c->trusted && now - c->since_s > TOKEN_S;
    keep_alive(s, c, now);
    if (c->count > 0 && !c->gone) write_client(s, c);
    if (!c->doomed && !c->gone) return;
    s->stats.refused += !c->gone;
    drop_client(c);
}

/* Waits for something to do; the lock is free meanwhile. */
static bool poll_all(es_live_server *s, struct pollfd *polls, int *map) {
    int n = 2;
    pthread_mutex_lock(&s->lock);
    polls[0] = (struct pollfd){.fd = s->wake[0], .events = POLLIN};
    polls[1] = (struct pollfd){.fd = s->listener, .events = POLLIN};
    for (int i = 0; i < s->capacity; i++) {
        const client *c = &s->clients[i];
        if (c->fd < 0) continue;
        short events = (short)(POLLIN | (c->count > 0 ? POLLOUT : 0));
        polls[n] = (struct pollfd){.fd = c->fd, .events = events};
        map[n++] = i;
    }
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    if (stop) return false;
    poll(polls, (nfds_t)n, 50);
    char bytes[64];
    while (read(s->wake[0], bytes, sizeof bytes) > 0) {
    }
    pthread_mutex_lock(&s->lock);
    for (int k = 2; k < n; k++) look_after(s, &s->clients[map[k]], polls[k].revents);
    admit(s);
    pthread_mutex_unlock(&s->lock);
    return true;
}

static void *serve(void *context) {
    struct pollfd polls[CLIENTS_MOST + 2];
    int map[CLIENTS_MOST + 2];
    while (poll_all(context, polls, map)) {
    }
    return NULL;
}

/* ---- the sender's side ------------------------------------------------------------------------
 */

static void keep_parcel(es_live_server *s, parcel *p) {
    int free_place = -1;
    for (int k = 0; k < KEPT; k++) {
        if (s->kept[k] && is_same(s->kept[k], p)) {
            let_go(s->kept[k]);
            s->kept[k] = NULL;
        }
        if (!s->kept[k] && free_place < 0) free_place = k;
    }
    if (free_place < 0) return;
    p->users++;
    s->kept[free_place] = p;
}

static void send_tools(es_live_server *s, const tool_list *tools) {
    double now_s = es_clock_s();
    for (int i = 0; i < s->capacity && tools->count > 0; i++) {
        client *c = &s->clients[i];
        es_igtl_out out = {0};
        if (c->fd < 0 || !subscription_is_due(&c->asked, now_s)) continue;
        tool_list_put(tools, c->version, c->asked.quaternions, &out);
        add_message(s, c, &out, false);
    }
}

/* The kept message that a part changes; 0: none. */
static uint64_t whole_of(const es_live_server *s, const parcel *p) {
    for (int k = 0; k < KEPT; k++)
        if (s->kept[k] && is_same(s->kept[k], p)) return s->kept[k]->whole;
    return 0;
}

enum { PASSES, STAYS, CHANGES }; /* nobody else gets it; later clients; those with the whole */

/* To all who may have it. */
static void hand_out(es_live_server *s, parcel *p, int how) {
    if (how == STAYS) p->whole = ++s->wholes;
    if (how == CHANGES && !(p->part_of = whole_of(s, p))) return;
    for (int i = 0; i < s->capacity; i++) add_to_line(s, &s->clients[i], p);
    if (how == STAYS) keep_parcel(s, p);
}

static bool send_all(es_live_server *s, es_igtl_out *out, int how) {
    const es_igtl_limits limits = {.body_max = UINT64_MAX / 4, .ignore_crc = true};
    bool ok = !out->failed;
    size_t at = 0, used;
    es_igtl_message m;
    tool_list tools = {0};
    pthread_mutex_lock(&s->lock);
    while (ok && at < out->length &&
           es_igtl_parse(out->bytes + at, out->length - at, &limits, &m, &used, NULL) ==
               ES_IGTL_WHOLE) {
        parcel *p = wrap(&m, out->bytes + at, used);
        at += used;
        tool_list_take(&tools, &m);
        if (!(ok = p != NULL)) break;
        hand_out(s, p, how);
        let_go(p);
    }
    send_tools(s, &tools);
    pthread_mutex_unlock(&s->lock);
    out->length = 0;
    wake(s);
    return ok;
}

bool es_live_server_send(es_live_server *s, es_igtl_out *out, bool keep) {
    return send_all(s, out, keep ? STAYS : PASSES);
}

bool es_live_server_send_part(es_live_server *s, es_igtl_out *out) {
    return send_all(s, out, CHANGES);
}

es_live_server_stats es_live_server_statistics(es_live_server *s) {
    pthread_mutex_lock(&s->lock);
    es_live_server_stats stats = s->stats;
    for (int i = 0; i < s->capacity; i++) stats.clients += s->clients[i].fd >= 0;
    pthread_mutex_unlock(&s->lock);
    return stats;
}

size_t es_live_server_waiting(es_live_server *s) {
    size_t waiting = 0;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->capacity; i++) waiting += s->clients[i].count;
    pthread_mutex_unlock(&s->lock);
    return waiting;
}

int es_live_server_port(const es_live_server *s) { return s->port; }

void es_live_server_free(es_live_server *s) {
    if (!s) return;
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_mutex_unlock(&s->lock);
        wake(s);
        pthread_join(s->thread, NULL);
    }
    for (int i = 0; s->clients && i < s->capacity; i++)
        if (s->clients[i].fd >= 0) drop_client(&s->clients[i]);
    for (int k = 0; k < KEPT; k++) let_go(s->kept[k]);
    for (size_t i = 0; i < s->command_count; i++)
        es_live_command_clear(&s->commands[(s->command_first + i) % COMMANDS]);
    for (int i = 0; i < 2; i++)
        if (s->wake[i] >= 0) close(s->wake[i]);
    if (s->listener >= 0) close(s->listener);
    pthread_mutex_destroy(&s->lock);
    es_free(s->clients);
    es_free(s);
}

static bool is_loopback(const char *address) {
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "localhost") == 0 ||
           strcmp(address, "::1") == 0;
}

static bool start(es_live_server *s, es_error *err) {
    const es_live_server_options *o = &s->options;
    bool has_token = o->token && *o->token;
    if (!is_loopback(o->address) && !has_token)
        return es_fail(err, ES_USAGE,
                       "listening on %s lets other machines in: give a token that they must know",
                       o->address);
    if (has_token && strlen(o->token) >= sizeof s->token)
        return es_fail(err, ES_USAGE, "a token of %zu letters; %zu are the most", strlen(o->token),
                       sizeof s->token - 1);
    if (has_token) strcpy(s->token, o->token);
    if (pipe2(s->wake, O_NONBLOCK | O_CLOEXEC) != 0)
        return es_fail_errno(err, "a pipe could not be made");
    s->listener = socket_listen(o->address, o->port, &s->port, err);
    if (s->listener < 0) return false;
    s->started = pthread_create(&s->thread, NULL, serve, s) == 0;
    return s->started || es_fail(err, ES_MEMORY, "the thread that serves could not be started");
}

es_live_server *es_live_server_new(const es_live_server_options *options, es_error *err) {
    es_live_server *s = es_alloc_zero(1, sizeof *s, err);
    if (!s) return NULL;
    s->options = *options;
    s->listener = s->wake[0] = s->wake[1] = -1;
    pthread_mutex_init(&s->lock, NULL);
    int most = options->clients_max;
    s->capacity = most < 1 ? 1 : most > CLIENTS_MOST ? CLIENTS_MOST : most;
    s->clients = es_alloc_zero((size_t)s->capacity, sizeof *s->clients, err);
    for (int i = 0; s->clients && i < s->capacity; i++) s->clients[i].fd = -1;
    if (s->clients && start(s, err)) return s;
    es_live_server_free(s);
    return NULL;
}
