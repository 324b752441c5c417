/* A VRPN client: after the cookie the server sends by itself. Its poses have no
 * word for "not seen": a tool that is lost just says nothing. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tracker_internal.h"

enum { BUFFER = 1 << 21, NAMES = 256 };

typedef struct stream {
    es_tracker *tracker;
    int fd;
    char senders[NAMES][ES_NAME_SIZE];
    bool is_pose[NAMES]; /* types */
    size_t length;
    uint8_t bytes[BUFFER];
} stream;

static bool on_name(stream *s, const es_vrpn_message *m, es_error *err) {
    char name[ES_NAME_SIZE];
    if (!es_vrpn_get_name(m, name, err)) return false;
    if (m->sender < 0 || m->sender >= NAMES)
        return es_fail(err, ES_UNSUPPORTED, "VRPN: id %d; up to %d are kept", (int)m->sender,
                       NAMES - 1);
    if (m->type == ES_VRPN_SENDER)
        memcpy(s->senders[m->sender], name, sizeof name);
    else
        s->is_pose[m->sender] = strcmp(name, "vrpn_Tracker Pos_Quat") == 0;
    return true;
}

static bool on_pose(stream *s, const es_vrpn_message *m, double arrived_s, es_error *err) {
    es_vrpn_pose pose;
    char name[ES_NAME_SIZE + 16];
    const char *wanted = s->tracker->address.user;
    bool known = m->sender >= 0 && m->sender < NAMES && s->senders[m->sender][0];
    const char *sender = known ? s->senders[m->sender] : "Sender";
    if (wanted[0] && strcmp(sender, wanted) != 0) return true;
    if (!es_vrpn_get_pose(m, &pose, err)) return false;
    /* Most servers have a sender for each tool and sensor 0; some one sender for all. */
    if (pose.sensor == 0)
        snprintf(name, sizeof name, "%s", sender);
    else
        snprintf(name, sizeof name, "%s_%d", sender, (int)pose.sensor);
    tracker_sample sample = {.name = name,
                             .time_s = tracker_stamp(s->tracker, m->time_s, arrived_s),
                             .received_s = arrived_s,
                             .error_mm = NAN,
                             .valid = true,
                             .turn = pose.turn,
                             .place_mm = es_vec3_scale(pose.place_m, 1000)};
    tracker_give(s->tracker, &sample);
    return true;
}

static bool on_message(stream *s, const es_vrpn_message *m, double arrived_s, es_error *err) {
    if (m->type == ES_VRPN_SENDER || m->type == ES_VRPN_TYPE) return on_name(s, m, err);
    if (m->type >= 0 && m->type < NAMES && s->is_pose[m->type])
        return on_pose(s, m, arrived_s, err);
    return true;
}

/* False when the stream cannot be read on. */
static bool take_messages(stream *s, double arrived_s, es_error *err) {
    size_t used = 0;
    for (;;) {
        es_vrpn_message m;
        es_error own = {0};
        long size = es_vrpn_parse(s->bytes + used, s->length - used, &m, err);
        if (size < 0) return false;
        if (size == 0) break;
        tracker_count(s->tracker, COUNT_PACKET, 1);
        if (!on_message(s, &m, arrived_s, &own)) tracker_malformed(s->tracker, &own);
        used += (size_t)size;
    }
    memmove(s->bytes, s->bytes + used, s->length - used);
    s->length -= used;
    return true;
}

/* More bytes; false when the connection is over. */
static bool read_more(stream *s, es_error *err) {
    long got = socket_receive_within(s->fd, s->bytes + s->length, BUFFER - s->length, 0.1);
    if (got < 0) return es_fail(err, ES_IO, "the VRPN server closed the connection");
    s->length += (size_t)got;
    return true;
}

static bool greet(stream *s, es_error *err) {
    uint8_t cookie[ES_VRPN_COOKIE];
    double until = es_clock_s() + 3;
    es_vrpn_put_cookie(cookie);
    if (!socket_send_all(s->fd, cookie, sizeof cookie, err)) return false;
    while (s->length < ES_VRPN_COOKIE) {
        if (tracker_stopping(s->tracker) || es_clock_s() > until)
            return es_fail(err, ES_IO, "no VRPN server answers there (%zu bytes in 3 s)",
                           s->length);
        if (!read_more(s, err)) return false;
    }
    if (!es_vrpn_check_cookie(s->bytes, err)) return false;
    s->length -= ES_VRPN_COOKIE;
    memmove(s->bytes, s->bytes + ES_VRPN_COOKIE, s->length);
    return true;
}

static bool talk(stream *s, es_error *err) {
    const tracker_address *a = &s->tracker->address;
    s->fd = socket_connect(a->host, a->port, 3, &s->tracker->stop, err);
    if (s->fd < 0 || !greet(s, err)) return false;
    tracker_connected(s->tracker, "VRPN");
    while (!tracker_stopping(s->tracker))
        if (!take_messages(s, tracker_now(s->tracker), err) || !read_more(s, err)) return false;
    return true;
}

void tracker_run_vrpn(es_tracker *tracker) {
    es_error err = {0};
    stream *s = es_alloc(1, sizeof *s, &err);
    if (!s) {
        tracker_problem(tracker, "%s", err.message);
        return;
    }
    while (!tracker_stopping(tracker)) {
        memset(s, 0, offsetof(stream, bytes));
        s->tracker = tracker;
        s->fd = -1;
        tracker->arrivals = (clock_fit){0};
        if (!talk(s, &err)) {
            tracker_problem(tracker, "%.390s", err.message);
            tracker_pause(tracker, 1);
        }
        if (s->fd >= 0) close(s->fd);
    }
    es_free(s);
}
