/* The OpenIGTLink client: a thread that reads whatever a server sends.
 *
 * PlusServer throws out a client whose socket stays full, so the thread never
 * waits for anything but the socket: finished frames go into a bounded queue,
 * and one that finds it full is lost and counted. Bytes gather in one buffer;
 * it grows as bytes come, never by what a header announces. */
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "intake.h"
#include "match.h"
#include "socket.h"

enum { FIRST_BUFFER = 1 << 16, QUEUE_LEAST = 8, QUEUE_MOST = 256, ASK_ID = 1 };

static const double CONNECT_S = 3, BACK_OFF_S = 0.25, BACK_OFF_MOST_S = 4;
/* Servers send something, if only a STATUS, several times a second. */
static const double SILENT_S = 10;

typedef struct slot {
    es_frame frame;
    double arrived_s;
} slot;

struct es_live {
    es_live_options options;
    char host[256];
    pthread_t thread;
    bool started;
    /* The reader's alone. */
    int fd;
    uint8_t *buffer;
    size_t start, filled, capacity;
    double heard_s;
    matcher *match;
    es_frame incoming, ready;
    es_image whole;    /* the last picture, which parts are laid over */
    es_fields sensors; /* the last values of each, for the pictures that follow */
    bool warned, warned_video;
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    slot *queue; /* a ring, once the first picture told its size */
    size_t capacity_slots, first, count;
    int64_t next_index;
    es_stream_info info;
    bool has_info, stop, done;
    es_live_stats stats;
    double depth_mm;
    es_error error; /* why there is no connection */
    /* The taker's alone. */
    es_source *source;
    double arrived_s;
};

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

/* ---- the queue ------------------------------------------------------------------ */

static void lock(es_live *l) { pthread_mutex_lock(&l->lock); }
static void unlock(es_live *l) { pthread_mutex_unlock(&l->lock); }

static bool is_stopped(es_live *l) {
    lock(l);
    bool stop = l->stop;
    unlock(l);
    return stop;
}

/* The first picture says what all are; under the lock. */
static bool learn_frames(es_live *l, const es_frame *frame, const double spacing_mm[2],
                         es_error *err) {
    const es_image *image = &frame->image;
    size_t bytes = es_image_bytes(image), slots = (size_t)l->options.queue_bytes / (bytes + 1);
    slots = slots < QUEUE_LEAST ? QUEUE_LEAST : slots > QUEUE_MOST ? QUEUE_MOST : slots;
    l->queue = es_alloc_zero(slots, sizeof *l->queue, err);
    if (!l->queue) return false;
    l->capacity_slots = slots;
    l->info = (es_stream_info){.frame_count = -1,
                               .width = image->width,
                               .height = image->height,
                               .type = image->type,
                               .channels = image->channels,
                               .spacing_mm = {spacing_mm[0], spacing_mm[1]},
                               .orientation = "MFA",
                               .format = "OpenIGTLink"};
    l->has_info = true;
    return true;
}

/* Under the lock. */
static void put_ready(es_live *l, const matched *how) {
    l->stats.paired += how->paired;
    l->stats.unpaired += !how->paired;
    if (l->count == l->capacity_slots) {
        l->stats.lost++;
        l->next_index++;
        return;
    }
    slot *s = &l->queue[(l->first + l->count++) % l->capacity_slots];
    es_frame swapped = s->frame;
    s->frame = l->ready;
    l->ready = swapped;
    s->frame.index = l->next_index++;
    s->arrived_s = how->arrived_s;
    pthread_cond_broadcast(&l->changed);
}

/* Everything that waits no longer. */
static bool release(es_live *l, es_error *err) {
    for (;;) {
        matched how;
        bool taken;
        if (!matcher_take(l->match, es_clock_s(), &l->ready, &how, &taken, err)) return false;
        if (!taken) return true;
        lock(l);
        put_ready(l, &how);
        unlock(l);
    }
}

/* ---- messages ---------------------------------------------------------------------- */

static double now_unix_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static bool fits(const es_live *l, const es_image *image) {
    return !l->has_info || (image->width == l->info.width && image->height == l->info.height &&
                            image->type == l->info.type && image->channels == l->info.channels);
}

/* Counts the picture; false when it is not of the kind. */
static bool admit(es_live *l, bool flat, const double spacing_mm[2], bool *ok, es_error *err) {
    lock(l);
    bool wanted = flat && fits(l, &l->incoming.image);
    *ok = true;
    if (wanted && !l->has_info) {
        *ok = learn_frames(l, &l->incoming, spacing_mm, err);
        pthread_cond_broadcast(&l->changed);
    }
    l->stats.pictures += wanted;
    l->stats.odd += !wanted;
    unlock(l);
    if (!wanted && !l->warned)
        es_log(ES_WARNING,
               "%s:%d: an image of another size or kind than the first is left out, as all "
               "of its kind will be; start anew after the scanner's setting was changed",
               l->host, l->options.port);
    l->warned |= !wanted;
    return wanted && *ok;
}

static bool take_picture(es_live *l, const es_igtl_message *message, es_error *err) {
    double spacing_mm[2], now = es_clock_s();
    bool flat, ok;
    if (!intake_picture(message, &l->incoming, &l->whole, spacing_mm, &flat, err)) return false;
    if (!admit(l, flat, spacing_mm, &ok, err)) return ok;
    if (message->time == 0) l->incoming.time_s = now_unix_s();
    for (size_t i = 0; i < l->sensors.count; i++)
        if (!es_fields_set(&l->incoming.fields, l->sensors.items[i].key, l->sensors.items[i].value,
                           err))
            return false;
    matcher_picture(l->match, &l->incoming, now);
    return release(l, err);
}

static bool take_pose(es_live *l, es_live_pose *pose) {
    es_error why = {0};
    if (!(pose->time_s > 0)) pose->time_s = now_unix_s();
    lock(l);
    l->stats.poses++;
    unlock(l);
    if (matcher_pose(l->match, pose, es_clock_s(), &why) || why.code == ES_MEMORY)
        return why.code != ES_MEMORY;
    if (!l->warned) es_log(ES_WARNING, "%s", why.message);
    return l->warned = true;
}

static bool take_tools(es_live *l, const es_igtl_message *message) {
    size_t count = es_igtl_tool_count(message);
    for (size_t i = 0; i < count && i < MATCH_STREAMS; i++) {
        es_live_pose pose;
        bool is_pose;
        intake_tool(message, i, &pose, &is_pose);
        if (is_pose && !take_pose(l, &pose)) return false;
    }
    return true;
}

/* The answer to GetUsParameter: as metadata, else in the text. */
static void take_answer(es_live *l, const es_igtl_message *message) {
    char value[64];
    double depth;
    if (!intake_meta(message, "DepthMm", value, sizeof value) || !es_parse_double(value, &depth) ||
        !(depth > 0 && depth < 1000))
        return;
    lock(l);
    l->depth_mm = depth;
    unlock(l);
}

/* The name of the codec stands after the version and the byte order. */
static void refuse_video(es_live *l, const es_igtl_message *message) {
    char codec[5] = "";
    lock(l);
    l->stats.odd++;
    unlock(l);
    for (size_t i = 0; i < 4; i++) {
        uint8_t letter = message->content[3 + i];
        codec[i] = letter >= 32 && letter < 127 ? (char)letter : '?';
    }
    if (!l->warned_video)
        es_log(ES_WARNING,
               "%s:%d: VIDEO (codec \"%s\") of %s is not decoded here and is left out; let the "
               "server send IMAGE",
               l->host, l->options.port, codec, message->device);
    l->warned_video = true;
}

static bool take_message(es_live *l, const es_igtl_message *message, es_error *err) {
    es_live_pose pose;
    bool is_pose;
    lock(l);
    l->stats.messages++;
    unlock(l);
    if (strcmp(message->type, "IMAGE") == 0) return take_picture(l, message, err);
    if (strcmp(message->type, "TDATA") == 0 || strcmp(message->type, "QTDATA") == 0)
        return take_tools(l, message) && release(l, err);
    if (strcmp(message->type, "RTS_COMMAND") == 0) take_answer(l, message);
    if (strcmp(message->type, "VIDEO") == 0) refuse_video(l, message);
    if (strcmp(message->type, "SENSOR") == 0) return intake_sensor(message, &l->sensors, err);
    intake_pose(message, &pose, &is_pose);
    return !is_pose || (take_pose(l, &pose) && release(l, err));
}

/* ---- the connection ------------------------------------------------------------------- */

static void disconnect(es_live *l) {
    if (l->fd >= 0) close(l->fd);
    l->fd = -1;
    l->start = l->filled = 0;
    lock(l);
    l->stats.connected = false;
    unlock(l);
}

/* Whole or not at all: the first bytes of a new connection find room. */
static bool send_now(const es_live *l, es_igtl_out *out) {
    size_t sent = 0;
    bool ok = !out->failed && socket_send(l->fd, out->bytes, out->length, &sent) == SOCKET_SOME &&
              sent == out->length;
    es_igtl_out_clear(out);
    return ok;
}

/* A server of PLUS sends version 2, and with it the statuses, to clients that
 * have shown it first. The depth setting is evidence for the pixel spacing. */
static bool say_hello(const es_live *l) {
    static const char *const meta[] = {"client", "echosolid", NULL};
    static const char question[] =
        "<Command Name=\"GetUsParameter\"><Parameter Name=\"DepthMm\"/></Command>";
    es_igtl_head head = {.version = 2, .device = "echosolid", .meta = meta};
    es_igtl_out out = {0};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    head.meta = NULL;
    es_igtl_put_command(&out, &head, false, ASK_ID, "GetUsParameter", question,
                        sizeof question - 1);
    return send_now(l, &out);
}

static bool connect_now(es_live *l) {
    es_error why = {0};
    l->fd = socket_connect(l->host, l->options.port, CONNECT_S, NULL, &why);
    bool ok = l->fd >= 0 && say_hello(l);
    if (l->fd >= 0 && !ok) {
        es_fail(&why, ES_IO, "%s:%d: it took the connection and closed it", l->host,
                l->options.port);
        disconnect(l);
    }
    lock(l);
    l->stats.connected = ok;
    l->stats.connections += ok;
    l->error = why;
    unlock(l);
    l->heard_s = es_clock_s();
    if (ok) matcher_reset(l->match);
    return ok;
}

static void wait_stopped(es_live *l, double seconds) {
    double end_s = es_clock_s() + seconds;
    lock(l);
    while (!l->stop && clock_wait(&l->changed, &l->lock, end_s)) {
    }
    unlock(l);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Room for more bytes: twice what is there at most. */
static bool make_room(es_live *l, es_error *err) {
    if (l->start > 0 && (l->start == l->filled || l->filled == l->capacity)) {
        memmove(l->buffer, l->buffer + l->start, l->filled - l->start);
        l->filled -= l->start;
        l->start = 0;
    }
    if (l->filled < l->capacity) return true;
    size_t capacity = l->capacity ? 2 * l->capacity : FIRST_BUFFER;
    if (!es_resize(&l->buffer, capacity, 1, err)) return false;
    l->capacity = capacity;
    return true;
}

/* Takes all whole messages from the buffer. False in *go_on when the stream cannot be trusted any
 * more. */
static bool take_messages(es_live *l, bool *go_on, es_error *err) {
    const es_igtl_limits limits = {.body_max = l->options.body_max,
                                   .ignore_crc = l->options.ignore_crc};
    for (;;) {
        es_igtl_message message;
        es_error why = {0};
        size_t used;
        es_igtl_state state = es_igtl_parse(l->buffer + l->start, l->filled - l->start, &limits,
                                            &message, &used, &why);
        if (state == ES_IGTL_SHORT) return *go_on = true;
        *go_on = state == ES_IGTL_WHOLE || state == ES_IGTL_CRC;
        lock(l);
        l->stats.crc += state == ES_IGTL_CRC;
        l->stats.malformed += !*go_on;
        unlock(l);
        if (!*go_on)
            es_log(ES_WARNING, "%s:%d: %s; connecting anew", l->host, l->options.port, why.message);
        if (!*go_on) return true;
        if (state == ES_IGTL_WHOLE && !take_message(l, &message, err)) return false;
        l->start += used;
    }
}

static bool read_some(es_live *l, bool *go_on, es_error *err) {
    size_t got;
    if (!make_room(l, err)) return false;
    socket_state state =
        socket_receive(l->fd, l->buffer + l->filled, l->capacity - l->filled, &got);
    l->filled += got;
    *go_on = state != SOCKET_GONE;
    if (got == 0) return true;
    l->heard_s = es_clock_s();
    lock(l);
    l->stats.bytes += got;
    unlock(l);
    return take_messages(l, go_on, err);
}

static bool take_other_poses(es_live *l, es_error *err) {
    es_live_pose poses[16];
    size_t count;
    if (!l->options.poses) return true;
    while ((count = es_live_poses_take(l->options.poses, poses, 16)) > 0)
        for (size_t i = 0; i < count; i++)
            if (!take_pose(l, &poses[i])) return es_fail(err, ES_MEMORY, "out of memory");
    return true;
}

/* Until the server goes away or the work is stopped. */
static bool read_all(es_live *l, es_error *err) {
    bool go_on = true, ok = true;
    while (ok && go_on && !is_stopped(l)) {
        /* Other trackers and pictures that wait are looked after in between. */
        bool some = socket_wait(l->fd, false, l->options.poses ? 0.002 : 0.02);
        if (some) ok = read_some(l, &go_on, err);
        go_on = go_on && es_clock_s() - l->heard_s < SILENT_S;
        ok = ok && take_other_poses(l, err) && release(l, err);
    }
    return ok;
}

static void *run(void *context) {
    es_live *l = context;
    es_error err = {0};
    bool ok = true;
    double pause_s = BACK_OFF_S;
    while (ok && !is_stopped(l)) {
        if (connect_now(l)) {
            uint64_t before = l->stats.messages;
            ok = read_all(l, &err);
            if (l->stats.messages > before) pause_s = BACK_OFF_S;
            disconnect(l);
        }
        if (ok) wait_stopped(l, pause_s);
        pause_s = fmin(2 * pause_s, BACK_OFF_MOST_S);
    }
    lock(l);
    l->done = true;
    if (!ok) l->error = err;
    pthread_cond_broadcast(&l->changed);
    unlock(l);
    return NULL;
}

/* ---- the taker's side ---------------------------------------------------------------------- */

static bool live_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    es_live *l = self;
    (void)flags; /* the pixels are there */
    lock(l);
    while (l->count == 0 && !l->done && !l->stop) pthread_cond_wait(&l->changed, &l->lock);
    bool some = l->count > 0;
    bool failed = !some && l->done && !l->stop;
    if (failed && err) *err = l->error;
    if (some) {
        slot *s = &l->queue[l->first];
        es_frame swapped = *frame;
        *frame = s->frame;
        s->frame = swapped;
        l->arrived_s = s->arrived_s;
        l->first = (l->first + 1) % l->capacity_slots;
        /* Starting over keeps to few slots, and so to little memory. */
        if (--l->count == 0) l->first = 0;
    }
    unlock(l);
    *end = !some;
    return !failed;
}

static void nothing(void *self) { (void)self; }

bool es_live_wait(es_live *l, double timeout_s) {
    double end_s = es_clock_s() + timeout_s;
    lock(l);
    while (l->count == 0 && !l->done && !l->stop && clock_wait(&l->changed, &l->lock, end_s)) {
    }
    bool ready = l->count > 0 || l->done || l->stop;
    unlock(l);
    return ready;
}

es_source *es_live_source(es_live *l) { return l->source; }
double es_live_arrived(const es_live *l) { return l->arrived_s; }

es_live_stats es_live_statistics(es_live *l) {
    lock(l);
    es_live_stats stats = l->stats;
    unlock(l);
    return stats;
}

double es_live_depth_mm(es_live *l) {
    lock(l);
    double depth = l->depth_mm;
    unlock(l);
    return depth;
}

void es_live_stop(es_live *l) {
    lock(l);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    unlock(l);
}

void es_live_free(es_live *l) {
    if (!l) return;
    if (l->started) {
        es_live_stop(l);
        pthread_join(l->thread, NULL);
    }
    for (size_t i = 0; i < l->capacity_slots; i++) es_frame_clear(&l->queue[i].frame);
    es_free(l->queue);
    es_frame_clear(&l->incoming);
    es_image_clear(&l->whole);
    es_fields_clear(&l->sensors);
    es_frame_clear(&l->ready);
    es_stream_info_clear(&l->info);
    matcher_free(l->match);
    es_source_free(l->source);
    es_free(l->buffer);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    es_free(l);
}

/* Why no picture came, in words. */
static bool refuse(es_live *l, es_error *err) {
    lock(l);
    es_live_stats s = l->stats;
    es_error why = l->error;
    unlock(l);
    if (why.code) return es_fail(err, why.code, "%s", why.message);
    return es_fail(err, ES_IO,
                   "%s:%d: connected, but no picture came within %g s (%llu other messages, %llu "
                   "with a wrong sum); start the scanner, and let the server send IMAGE",
                   l->host, l->options.port, l->options.first_s,
                   (unsigned long long)(s.messages - s.pictures), (unsigned long long)s.crc);
}

static bool wait_first(es_live *l, es_error *err) {
    double end = es_clock_s() + l->options.first_s;
    bool found = false, failed = false;
    while (!found && !failed && es_clock_s() < end) {
        if (es_cancelled(err)) return false;
        wait_stopped(l, 0.05);
        lock(l);
        found = l->has_info;
        failed = l->done;
        unlock(l);
    }
    return found || refuse(l, err);
}

static es_live *make(const es_live_options *options, es_error *err) {
    es_live *l = es_alloc_zero(1, sizeof *l, err);
    if (!l) return NULL;
    l->options = *options;
    l->fd = -1;
    l->depth_mm = NAN;
    snprintf(l->host, sizeof l->host, "%s", options->host);
    pthread_mutex_init(&l->lock, NULL);
    clock_condition(&l->changed);
    match_options match = {options->tolerance_s, options->wait_s, options->lag_s};
    l->match = matcher_new(&match, err);
    if (l->match) return l;
    es_live_free(l);
    return NULL;
}

es_live *es_live_open(const es_live_options *options, es_error *err) {
    static const es_source_ops ops = {live_next, NULL, nothing};
    es_live *l = make(options, err);
    if (!l) return NULL;
    l->started = pthread_create(&l->thread, NULL, run, l) == 0;
    bool ok = l->started || es_fail(err, ES_MEMORY, "the thread that reads could not be started");
    ok = ok && wait_first(l, err);
    ok = ok && (l->source = es_source_new(&ops, l, &l->info, err)) != NULL;
    if (ok) return l;
    es_live_free(l);
    return NULL;
}
