/* A NatNet client.
 *
 * CONNECT goes out from the socket that shall receive: a server set to unicast then
 * sends its frames there, as long as KEEPALIVE comes about once a second. The answer,
 * SERVERINFO, says the version of the stream, its clock, and whether frames go to a
 * multicast group instead; that is joined by a second socket. Names of bodies come
 * by MODELDEF, asked for at the start, when the list changed, and when a
 * frame has a body that is not known. Only the server's address is listened to. */
#include <arpa/inet.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tracker_internal.h"

enum { PACKET = 65536, RESTART = 1000, ECHO_FIRST = 8 };

typedef struct client {
    es_tracker *tracker;
    int command, data; /* sockets; data -1: unicast */
    struct in_addr interface;
    bool known, versioned;
    es_natnet_server server;
    es_natnet_models models;
    bool models_asked, models_came;
    bool has_number;
    int32_t number; /* of the last frame */
    clock_fit echoes;
    uint64_t base_ticks; /* stamps count from here, so that seconds keep their digits */
    bool has_base;
    double heard_s, known_s, asked_s, kept_s, echoed_s, models_s;
    int echo_count;
    uint8_t packet[PACKET];
} client;

static void send_packet(client *c, const es_text *packet) {
    if (packet->failed) return;
    sendto(c->command, packet->bytes, packet->length, MSG_NOSIGNAL,
           (const struct sockaddr *)&c->tracker->peer, sizeof c->tracker->peer);
}

static void send_simple(client *c, int id, const char *text) {
    es_text packet = {0};
    es_natnet_put(&packet, id, text, text ? strlen(text) + 1 : 0);
    send_packet(c, &packet);
    es_text_free(&packet);
}

static void send_connect(client *c) {
    es_text packet = {0};
    es_natnet_version asked = c->tracker->address.version;
    if (!asked.major) asked = (es_natnet_version){3, 0}; /* the one that was verified */
    es_natnet_put_connect(&packet, "echosolid", asked);
    send_packet(c, &packet);
    es_text_free(&packet);
}

static void send_echo(client *c) {
    es_text packet = {0};
    es_natnet_echo echo = {.sent = (uint64_t)(es_clock_s() * 1e9)};
    es_natnet_put_echo(&packet, ES_NATNET_ECHO_REQUEST, &echo);
    send_packet(c, &packet);
    es_text_free(&packet);
}

/* ---- the server's clock ------------------------------------------------------------- */

static double tick_seconds(client *c, uint64_t ticks) {
    if (!c->has_base) c->base_ticks = ticks;
    c->has_base = true;
    return (double)(int64_t)(ticks - c->base_ticks) / (double)c->server.clock_hz;
}

static void on_echo(client *c, const es_natnet_echo *echo, double arrived_s) {
    double sent = (double)echo->sent * 1e-9, now = arrived_s - c->tracker->unix_s;
    double trip = now - sent;
    /* Not an answer to a question of the last second. */
    if (!c->known || c->server.clock_hz == 0 || !(trip >= 0 && trip < 1)) return;
    double offset = arrived_s - trip / 2 - tick_seconds(c, echo->ticks), best, cost;
    /* A server that was started anew has another clock: no drift is that fast. */
    if (clock_fit_best(&c->echoes, &best, &cost) && fabs(offset - best) > 0.25 + trip + cost)
        c->echoes = (clock_fit){0};
    clock_fit_add(&c->echoes, offset, trip);
    c->echo_count++;
    if (clock_fit_best(&c->echoes, &offset, &trip))
        tracker_set_clock(c->tracker, ES_CLOCK_ECHO, trip / 2);
}

/* In its first second a server is not listened to before its clock was asked and its list
 * of models came, so that times do not jump and tools keep their names. */
static bool is_too_early(const client *c, const es_natnet_frame *frame) {
    bool clock = !frame->has_ticks || c->server.clock_hz == 0 || c->echoes.count > 0;
    return !(clock && c->models_came) && es_clock_s() - c->known_s < 1;
}

/* Mid-exposure on our clock. */
static double frame_time(client *c, const es_natnet_frame *frame, double arrived_s) {
    bool ticks = frame->has_ticks && c->server.clock_hz > 0;
    double offset, trip;
    if (ticks && clock_fit_best(&c->echoes, &offset, &trip))
        return tick_seconds(c, frame->exposed) + offset;
    tracker_set_clock(c->tracker, ES_CLOCK_ARRIVAL, NAN);
    if (!ticks) return clock_fit_arrival(&c->tracker->arrivals, frame->timestamp_s, arrived_s);
    /* Only the way of the packet is unknown then: what the cameras took is stamped. */
    double sent = clock_fit_arrival(&c->tracker->arrivals, tick_seconds(c, frame->sent), arrived_s);
    return sent - (double)(int64_t)(frame->sent - frame->exposed) / (double)c->server.clock_hz;
}

/* ---- frames ----------------------------------------------------------------------------- */

static const char *body_name(client *c, int32_t id, char text[32]) {
    for (int i = 0; i < c->models.count; i++)
        if (c->models.items[i].id == id) return c->models.items[i].name;
    snprintf(text, 32, "RigidBody%d", (int)id);
    return NULL;
}

/* A frame that comes again, or behind a later one, says nothing new. Far back
 * the numbers have started anew. */
static bool is_stale(client *c, int32_t number) {
    int64_t step = (int64_t)number - c->number;
    bool stale = c->has_number && step <= 0 && step > -RESTART;
    if (c->has_number && step > 1 && step < RESTART)
        tracker_count(c->tracker, COUNT_MISSED, (uint64_t)step - 1);
    if (!stale) c->number = number;
    c->has_number = true;
    return stale;
}

static void give_body(client *c, const es_natnet_body *body, double time_s, double arrived_s) {
    char text[32];
    const char *name = body_name(c, body->id, text);
    if (!name) c->models_asked = false; /* a new one: ask for the list */
    tracker_sample sample = {.name = name ? name : text,
                             .time_s = time_s,
                             .received_s = arrived_s,
                             .error_mm = 1000 * body->error_m,
                             .valid = body->tracked,
                             .turn = body->turn,
                             .place_mm = es_vec3_scale(body->place_m, 1000)};
    tracker_give(c->tracker, &sample);
}

static bool on_frame(client *c, const es_natnet_packet *packet, double arrived_s, es_error *err) {
    es_natnet_frame frame;
    es_natnet_body body;
    size_t at = 0;
    if (!c->known) return true; /* by which version? */
    if (!es_natnet_get_frame(packet, c->server.version, &frame, err)) return false;
    if (!isfinite(frame.timestamp_s))
        return es_fail(err, ES_FORMAT, "NatNet: frame %d has no time", (int)frame.number);
    if (frame.models_changed) c->models_asked = false;
    if (is_too_early(c, &frame)) return true;
    if (is_stale(c, frame.number)) {
        tracker_count(c->tracker, COUNT_STALE, 1);
        return true;
    }
    double time_s = frame_time(c, &frame, arrived_s);
    while (es_natnet_next_body(&frame, c->server.version, &at, &body))
        give_body(c, &body, time_s, arrived_s);
    return true;
}

/* ---- the other packets ---------------------------------------------------------------------- */

static void say_connected(client *c) {
    const es_natnet_server *s = &c->server;
    char name[64];
    snprintf(name, sizeof name, "%.60s", s->name);
    for (char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127) *at = '_';
    tracker_connected(c->tracker, "%s %d.%d.%d, NatNet %d.%d, %s", name, s->program[0],
                      s->program[1], s->program[2], s->version.major, s->version.minor,
                      c->data >= 0 ? "multicast" : "unicast");
}

static bool join(client *c, es_error *err) {
    struct in_addr any = {htonl(INADDR_ANY)};
    int port = c->server.data_port ? c->server.data_port : ES_NATNET_DATA_PORT;
    if (!c->server.multicast || c->data >= 0) return true;
    if ((c->server.group[0] & 0xf0) != 0xe0)
        return es_fail(err, ES_FORMAT, "NatNet: %u.%u.%u.%u is no multicast group",
                       c->server.group[0], c->server.group[1], c->server.group[2],
                       c->server.group[3]);
    c->data = socket_datagram(any, port, true, err);
    if (c->data >= 0 && socket_join(c->data, c->server.group, c->interface, err)) return true;
    if (c->data >= 0) close(c->data);
    c->data = -1;
    return false;
}

static bool on_server(client *c, const es_natnet_packet *packet, es_error *err) {
    es_natnet_server server;
    es_natnet_version asked = c->tracker->address.version, agreed = c->server.version;
    if (!es_natnet_get_server(packet, &server, err)) return false;
    c->server = server;
    if (c->versioned) c->server.version = agreed; /* what Bitstream was answered with */
    if (!c->known) { /* first, or after a silence: perhaps another run of it */
        c->known_s = es_clock_s();
        c->echoes = c->tracker->arrivals = (clock_fit){0};
        c->has_base = c->has_number = c->models_came = false;
        c->echo_count = 0;
    }
    c->known = true;
    if (!join(c, err)) return false;
    say_connected(c);
    /* From 4 on a server can be asked for an older stream (unicast). */
    bool other = asked.major &&
                 (asked.major != c->server.version.major || asked.minor != c->server.version.minor);
    if (other && c->server.version.major >= 4 && !c->versioned) {
        char text[32];
        snprintf(text, sizeof text, "Bitstream,%d.%d", asked.major, asked.minor);
        send_simple(c, ES_NATNET_REQUEST, text);
    } else if (other && !c->versioned) {
        return es_fail(err, ES_UNSUPPORTED,
                       "NatNet: the server streams %d.%d and cannot be asked for %d.%d; leave "
                       "version= out",
                       c->server.version.major, c->server.version.minor, asked.major, asked.minor);
    }
    return true;
}

static bool on_response(client *c, const es_natnet_packet *packet, es_error *err) {
    char text[256];
    es_natnet_version version;
    es_natnet_get_text(packet, text);
    if (strncmp(text, "Bitstream,", 10) != 0) return true;
    if (!es_natnet_version_parse(text + 10, &version, err)) return false;
    c->server.version = version;
    c->versioned = true;
    if (c->known) say_connected(c);
    return true;
}

static bool on_models(client *c, const es_natnet_packet *packet, es_error *err) {
    if (!c->known) return true;
    c->models_came = true;
    return es_natnet_get_models(packet, c->server.version, &c->models, err);
}

static bool on_packet(client *c, const es_natnet_packet *packet, double arrived_s, es_error *err) {
    es_natnet_echo echo;
    switch (packet->id) {
    case ES_NATNET_SERVERINFO: return on_server(c, packet, err);
    case ES_NATNET_MODELDEF: return on_models(c, packet, err);
    case ES_NATNET_FRAMEOFDATA: return on_frame(c, packet, arrived_s, err);
    case ES_NATNET_RESPONSE: return on_response(c, packet, err);
    case ES_NATNET_ECHO_RESPONSE:
        if (!es_natnet_get_echo(packet, &echo, err)) return false;
        on_echo(c, &echo, arrived_s);
        return true;
    case ES_NATNET_DISCONNECT_BY_TIMEOUT:
        tracker_problem(c->tracker, "the server let go of us; connecting again");
        c->known = false;
        c->asked_s = 0;
        return true;
    default: return true; /* nothing for us */
    }
}

static void receive(client *c, int fd) {
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    for (int burst = 0; burst < 64; burst++) {
        ssize_t got = recvfrom(fd, c->packet, sizeof c->packet, 0, (struct sockaddr *)&from, &size);
        double arrived_s = tracker_now(c->tracker);
        if (got < 0) return;
        if (from.sin_addr.s_addr != c->tracker->peer.sin_addr.s_addr) {
            tracker_count(c->tracker, COUNT_FOREIGN, 1);
            continue;
        }
        es_natnet_packet packet;
        es_error err = {0};
        tracker_count(c->tracker, COUNT_PACKET, 1);
        c->heard_s = es_clock_s();
        if (!es_natnet_parse(c->packet, (size_t)got, &packet, &err) ||
            !on_packet(c, &packet, arrived_s, &err))
            tracker_malformed(c->tracker, &err);
    }
}

/* ---- what is asked when
 * -------------------------------------------------------------------------- */

static bool is_due(double *last_s, double period_s) {
    double now = es_clock_s();
    if (now - *last_s < period_s) return false;
    *last_s = now;
    return true;
}

static void ask(client *c) {
    bool quiet = es_clock_s() - c->heard_s > c->tracker->options.silence_s;
    if (quiet && c->known) {
        tracker_problem(c->tracker, "nothing from the server for %.1f s",
                        c->tracker->options.silence_s);
        c->known = c->versioned = false;
    }
    if (!c->known) {
        if (is_due(&c->asked_s, 0.5)) send_connect(c);
        return;
    }
    if (is_due(&c->kept_s, 1)) send_simple(c, ES_NATNET_KEEPALIVE, NULL);
    if (is_due(&c->echoed_s, c->echo_count < ECHO_FIRST ? 0.05 : 0.5)) send_echo(c);
    if ((!c->models_asked || !c->models_came) && is_due(&c->models_s, 0.5)) {
        c->models_asked = true;
        send_simple(c, ES_NATNET_REQUEST_MODELDEF, NULL);
    }
}

static bool open_client(client *c, es_error *err) {
    const tracker_address *a = &c->tracker->address;
    struct sockaddr_in own = {.sin_addr.s_addr = htonl(INADDR_ANY)};
    if (!socket_resolve(a->host, a->port, &c->tracker->peer, err)) return false;
    if (a->interface[0] && !socket_resolve(a->interface, 0, &own, err)) return false;
    c->interface = own.sin_addr;
    c->command = socket_datagram(own.sin_addr, 0, false, err);
    return c->command >= 0;
}

void tracker_run_natnet(es_tracker *tracker) {
    es_error err = {0};
    client *c = es_alloc_zero(1, sizeof *c, &err);
    if (!c) {
        tracker_problem(tracker, "%s", err.message);
        return;
    }
    c->tracker = tracker;
    c->command = c->data = -1;
    while (!tracker_stopping(tracker) && !open_client(c, &err)) {
        tracker_problem(tracker, "%.390s", err.message);
        tracker_pause(tracker, 1);
    }
    c->heard_s = es_clock_s();
    while (!tracker_stopping(tracker)) {
        ask(c);
        int ready = socket_wait_two(c->command, c->data, 0.05);
        if (ready & 1) receive(c, c->command);
        if (ready & 2) receive(c, c->data);
    }
    if (c->known && c->data < 0) send_simple(c, ES_NATNET_DISCONNECT, NULL);
    if (c->command >= 0) close(c->command);
    if (c->data >= 0) close(c->data);
    es_free(c);
}
