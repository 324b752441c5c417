/* The OpenIGTLink client: reads whatever a server sends.
 *
 * PlusServer throws out a client whose socket stays full, so the thread never
 * waits for anything but the socket. Bytes gather in one buffer; it grows as bytes
 * come, never by what a header announces. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/capture.h"
#include "feed.h"
#include "intake.h"
#include "socket.h"

enum { FIRST_BUFFER = 1 << 16, ASK_ID = 1 };

static const double CONNECT_S = 3, BACK_OFF_S = 0.25, BACK_OFF_MOST_S = 4;
/* Servers send something, if only a STATUS, several times a second. */
static const double SILENT_S = 10;

typedef struct client {
    char host[256];
    int fd;
    uint8_t *buffer;
    size_t start, filled, capacity;
    double heard_s;
    es_image whole;    /* the last picture, which parts are laid over */
    es_fields sensors; /* the last values of each, for the pictures that follow */
    bool warned_odd;
    es_decoder *decoder; /* of VIDEO; NULL: none yet */
    char codec[5];       /* what it decodes, or what cannot be decoded */
    uint16_t size[2];    /* as announced */
    es_image decoded;
    bool warned_video;
} client;

bool es_live_endpoint(const char *text, char host[256], int *port, es_error *err) {
    const char *colon = strrchr(text, ':'), *first = text, *last = text + strlen(text);
    int64_t number = ES_LIVE_PORT;
    bool bare6 = colon && strchr(text, ':') != colon && text[0] != '[';
    if (colon && !bare6 && !strchr(colon, ']')) {
        if (!es_parse_int(colon + 1, &number) || number < 1 || number > 65535)
            return es_fail(err, ES_USAGE, "%s: expected HOST:PORT with a port from 1 to 65535",
                           text);
        last = colon;
    }
    if (*first == '[' && last > first && last[-1] == ']') first++, last--;
    if (first == last || last - first >= 256)
        return es_fail(err, ES_USAGE, "%s: expected HOST:PORT, as in 192.168.0.5:18944", text);
    snprintf(host, 256, "%.*s", (int)(last - first), first);
    *port = (int)number;
    return true;
}

/* ---- messages ---------------------------------------------------------------------- */

static void count_odd(es_live *l) {
    feed_lock(l);
    l->stats.odd++;
    feed_unlock(l);
}

static bool refuse_odd(es_live *l) {
    client *c = l->link;
    count_odd(l);
    if (!c->warned_odd)
        es_log(ES_WARNING,
               "%s: an image that is neither a flat picture nor a part of the last one is left "
               "out, as all of its kind will be",
               l->name);
    return c->warned_odd = true;
}

/* What all pictures have in common. */
static bool give_picture(es_live *l, const es_igtl_message *message, const double spacing_mm[2],
                         double arrived_s, es_error *err) {
    client *c = l->link;
    if (message->time == 0) l->incoming.time_s = feed_now();
    for (size_t i = 0; i < c->sensors.count; i++)
        if (!es_fields_set(&l->incoming.fields, c->sensors.items[i].key, c->sensors.items[i].value,
                           err))
            return false;
    return feed_picture(l, spacing_mm, arrived_s, err);
}

static bool take_picture(es_live *l, const es_igtl_message *message, es_error *err) {
    client *c = l->link;
    double spacing_mm[2], now = es_clock_s();
    bool flat;
    if (!intake_picture(message, &l->incoming, &c->whole, spacing_mm, &flat, err)) return false;
    return flat ? give_picture(l, message, spacing_mm, now, err) : refuse_odd(l);
}

static bool take_tools(es_live *l, const es_igtl_message *message, es_error *err) {
    size_t count = es_igtl_tool_count(message);
    for (size_t i = 0; i < count && i < MATCH_STREAMS; i++) {
        es_live_pose pose;
        bool is_pose;
        intake_tool(message, i, &pose, &is_pose);
        if (is_pose && !feed_pose(l, &pose, err)) return false;
    }
    return true;
}

/* ---- VIDEO ---------------------------------------------------------------------------- */

/* Told once of each codec: what cannot be decoded is left out. */
static void refuse_video(es_live *l, const es_error *why) {
    client *c = l->link;
    count_odd(l);
    if (!c->warned_video)
        es_log(ES_WARNING, "%s: VIDEO is left out: %s; let the server send IMAGE", l->name,
               why->message);
    c->warned_video = true;
}

/* A decoder of what the message says; the one that is there, as long as it says the same. */
static bool make_decoder(client *c, const es_igtl_video *video, es_error *err) {
    bool same = strcmp(c->codec, video->codec) == 0 && c->size[0] == video->size[0] &&
                c->size[1] == video->size[1];
    if (same && c->decoder) return true;
    if (same && c->warned_video) return es_fail(err, ES_UNSUPPORTED, "as was told");
    es_decoder_free(c->decoder);
    c->warned_video = false;
    strcpy(c->codec, video->codec);
    memcpy(c->size, video->size, sizeof c->size);
    c->decoder = es_decoder_new(video->codec, video->size[0], video->size[1], err);
    return c->decoder != NULL;
}

/* The decoded picture as the content of an IMAGE. */
static es_igtl_image image_of(const es_igtl_video *video, const es_image *picture) {
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = video->frame,
                           .size = {video->size[0], video->size[1], 1},
                           .part_size = {video->size[0], video->size[1], 1},
                           .matrix = video->matrix,
                           .pixels = picture->data,
                           .bytes = es_image_bytes(picture)};
    return image;
}

static bool take_video(es_live *l, const es_igtl_message *message, es_error *err) {
    client *c = l->link;
    es_igtl_video video;
    es_error why = {0};
    double now = es_clock_s(), spacing_mm[2];
    bool got = false;
    bool ok = es_igtl_get_video(message, &video, &why) && make_decoder(c, &video, &why) &&
              es_decoder_put(c->decoder, video.bytes, video.length, &c->decoded, &got, &why);
    if (!ok && why.code == ES_MEMORY) {
        if (err) *err = why;
        return false;
    }
    if (!ok) {
        refuse_video(l, &why);
        return true;
    }
    if (!got) { /* it hangs on a picture that is not there */
        feed_lock(l);
        l->stats.damaged++;
        feed_unlock(l);
        return true;
    }
    es_igtl_image image = image_of(&video, &c->decoded);
    if (!intake_image(message, &image, &l->incoming, spacing_mm, err)) return false;
    return give_picture(l, message, spacing_mm, now, err);
}

/* The answer to GetUsParameter: as metadata, else in the text. */
static void take_answer(es_live *l, const es_igtl_message *message) {
    char value[64];
    double depth;
    if (!intake_meta(message, "DepthMm", value, sizeof value) || !es_parse_double(value, &depth) ||
        !(depth > 0 && depth < 1000))
        return;
    feed_lock(l);
    l->depth_mm = depth;
    feed_unlock(l);
}

static bool take_message(es_live *l, const es_igtl_message *message, es_error *err) {
    es_live_pose pose;
    bool is_pose;
    feed_lock(l);
    l->stats.messages++;
    feed_unlock(l);
    if (strcmp(message->type, "IMAGE") == 0) return take_picture(l, message, err);
    if (strcmp(message->type, "TDATA") == 0 || strcmp(message->type, "QTDATA") == 0)
        return take_tools(l, message, err) && feed_release(l, err);
    if (strcmp(message->type, "RTS_COMMAND") == 0) take_answer(l, message);
    if (strcmp(message->type, "VIDEO") == 0) return take_video(l, message, err);
    if (strcmp(message->type, "SENSOR") == 0)
        return intake_sensor(message, &((client *)l->link)->sensors, err);
    intake_pose(message, &pose, &is_pose);
    return !is_pose || (feed_pose(l, &pose, err) && feed_release(l, err));
}

/* ---- the connection ------------------------------------------------------------------- */

static void disconnect(es_live *l) {
    client *c = l->link;
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    c->start = c->filled = 0;
    feed_connected(l, false, NULL);
}

/* Whole or not at all: the first bytes of a new connection find room. */
static bool send_now(const client *c, es_igtl_out *out) {
    size_t sent = 0;
    bool ok = !out->failed && socket_send(c->fd, out->bytes, out->length, &sent) == SOCKET_SOME &&
              sent == out->length;
    es_igtl_out_clear(out);
    return ok;
}

/* A server of PLUS sends version 2, and with it the statuses, to clients that
 * have shown it first. The depth setting is evidence for the pixel spacing. */
static bool say_hello(const client *c) {
    static const char *const meta[] = {"client", "echosolid", NULL};
    static const char question[] =
        "<Command Name=\"GetUsParameter\"><Parameter Name=\"DepthMm\"/></Command>";
    es_igtl_head head = {.version = 2, .device = "echosolid", .meta = meta};
    es_igtl_out out = {0};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    head.meta = NULL;
    es_igtl_put_command(&out, &head, false, ASK_ID, "GetUsParameter", question,
                        sizeof question - 1);
    return send_now(c, &out);
}

static bool connect_now(es_live *l) {
    client *c = l->link;
    es_error why = {0};
    c->fd = socket_connect(c->host, l->options.port, CONNECT_S, NULL, &why);
    bool ok = c->fd >= 0 && say_hello(c);
    if (c->fd >= 0 && !ok) {
        es_fail(&why, ES_IO, "%s: it took the connection and closed it", l->name);
        disconnect(l);
    }
    feed_connected(l, ok, &why);
    if (ok) matcher_reset(l->match);
    c->heard_s = es_clock_s();
    return ok;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Room for more bytes: twice what is there at most. */
static bool make_room(client *c, es_error *err) {
    if (c->start > 0 && (c->start == c->filled || c->filled == c->capacity)) {
        memmove(c->buffer, c->buffer + c->start, c->filled - c->start);
        c->filled -= c->start;
        c->start = 0;
    }
    if (c->filled < c->capacity) return true;
    size_t capacity = c->capacity ? 2 * c->capacity : FIRST_BUFFER;
    if (!es_resize(&c->buffer, capacity, 1, err)) return false;
    c->capacity = capacity;
    return true;
}

/* Takes all whole messages from the buffer. False in *go_on when the stream cannot be trusted any
 * more. */
static bool take_messages(es_live *l, bool *go_on, es_error *err) {
    client *c = l->link;
    const es_igtl_limits limits = {.body_max = l->options.body_max,
                                   .ignore_crc = l->options.ignore_crc};
    for (;;) {
        es_igtl_message message;
        es_error why = {0};
        size_t used;
        es_igtl_state state = es_igtl_parse(c->buffer + c->start, c->filled - c->start, &limits,
                                            &message, &used, &why);
        if (state == ES_IGTL_SHORT) return *go_on = true;
        *go_on = state == ES_IGTL_WHOLE || state == ES_IGTL_CRC;
        feed_lock(l);
        l->stats.crc += state == ES_IGTL_CRC;
        l->stats.malformed += !*go_on;
        feed_unlock(l);
        if (!*go_on) es_log(ES_WARNING, "%s: %s; connecting anew", l->name, why.message);
        if (!*go_on) return true;
        if (state == ES_IGTL_WHOLE && !take_message(l, &message, err)) return false;
        c->start += used;
    }
}

static bool read_some(es_live *l, bool *go_on, es_error *err) {
    client *c = l->link;
    size_t got;
    if (!make_room(c, err)) return false;
    socket_state state =
        socket_receive(c->fd, c->buffer + c->filled, c->capacity - c->filled, &got);
    c->filled += got;
    *go_on = state != SOCKET_GONE;
    if (got == 0) return true;
    c->heard_s = es_clock_s();
    feed_lock(l);
    l->stats.bytes += got;
    feed_unlock(l);
    return take_messages(l, go_on, err);
}

/* Until the server goes away or the work is stopped. */
static bool read_all(es_live *l, es_error *err) {
    client *c = l->link;
    bool go_on = true, ok = true;
    while (ok && go_on && !feed_is_stopped(l)) {
        /* Other trackers and pictures that wait are looked after in between. */
        bool some = socket_wait(c->fd, false, l->options.poses ? 0.002 : 0.02);
        if (some) ok = read_some(l, &go_on, err);
        go_on = go_on && es_clock_s() - c->heard_s < SILENT_S;
        ok = ok && feed_look_around(l, err);
    }
    return ok;
}

static bool run(es_live *l, es_error *err) {
    bool ok = true;
    double pause_s = BACK_OFF_S;
    while (ok && !feed_is_stopped(l)) {
        if (connect_now(l)) {
            uint64_t before = l->stats.messages;
            ok = read_all(l, err);
            if (l->stats.messages > before) pause_s = BACK_OFF_S;
            disconnect(l);
        }
        if (ok) feed_pause(l, pause_s);
        pause_s = fmin(2 * pause_s, BACK_OFF_MOST_S);
    }
    return ok;
}

/* ---- the door -------------------------------------------------------------------------- */

static bool refuse(const es_live *l, const es_live_stats *s, es_error *err) {
    return es_fail(err, ES_IO,
                   "%s: connected, but no picture came within %g s (%llu other messages, %llu "
                   "with a wrong sum); start the scanner, and let the server send IMAGE",
                   l->name, l->options.first_s, (unsigned long long)(s->messages - s->pictures),
                   (unsigned long long)s->crc);
}

static void free_client(void *link) {
    client *c = link;
    if (!c) return;
    es_image_clear(&c->whole);
    es_image_clear(&c->decoded);
    es_fields_clear(&c->sensors);
    es_decoder_free(c->decoder);
    es_free(c->buffer);
    es_free(c);
}

es_live *es_live_open(const es_live_options *options, es_error *err) {
    static const feed_kind kind = {"OpenIGTLink", "MFA", run, refuse, free_client};
    char name[300];
    client *c = es_alloc_zero(1, sizeof *c, err);
    if (!c) return NULL;
    c->fd = -1;
    snprintf(c->host, sizeof c->host, "%s", options->host);
    snprintf(name, sizeof name, "%s:%d", c->host, options->port);
    return feed_open(&kind, c, options, name, err);
}
