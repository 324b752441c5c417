/* A NatNet 3.0 server as Motive is one by unicast: for trying without cameras. It is at
 * 127.0.0.1; what comes to it is answered by a thread, the frames are sent by who puts
 * them in. */
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/live.h"
#include "echosolid/natnet.h"
#include "socket.h"

enum { CLIENTS = 8, BODIES = 32 };

static const es_natnet_version VERSION = {3, 0};
static const double CLOCK_HZ = 1e7;
/* Who has not said for so long that it listens does not any more. */
static const double GONE_S = 5;

typedef struct listener {
    struct sockaddr_in address;
    double heard_s;
} listener;

struct es_natnet_host {
    int fd, port;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    listener listeners[CLIENTS];
    int listener_count;
    es_natnet_model models[BODIES];
    int model_count;
    int32_t number; /* of the next frame */
};

static uint64_t ticks(double clock_s) { return (uint64_t)(clock_s * CLOCK_HZ); }

static void send_to(const es_natnet_host *h, const struct sockaddr_in *to, es_text *packet) {
    if (!packet->failed && packet->length)
        sendto(h->fd, packet->bytes, packet->length, 0, (const struct sockaddr *)to, sizeof *to);
    es_text_free(packet);
}

/* ---- who listens ---------------------------------------------------------------------- */

static int find(const es_natnet_host *h, const struct sockaddr_in *from) {
    int i = 0;
    while (i < h->listener_count && h->listeners[i].address.sin_port != from->sin_port) i++;
    return i;
}

/* Connecting, and each sign of life. */
static void remember(es_natnet_host *h, const struct sockaddr_in *from, bool connects) {
    int i = find(h, from);
    bool is_new = i == h->listener_count && connects && i < CLIENTS;
    if (is_new) h->listeners[h->listener_count++].address = *from;
    if (i < h->listener_count) h->listeners[i].heard_s = es_clock_s();
}

static void forget(es_natnet_host *h, int i) {
    h->listeners[i] = h->listeners[--h->listener_count];
}

static void forget_the_silent(es_natnet_host *h) {
    for (int i = h->listener_count - 1; i >= 0; i--)
        if (es_clock_s() - h->listeners[i].heard_s > GONE_S) forget(h, i);
}

/* ---- answers ---------------------------------------------------------------------------- */

static void tell_server(const es_natnet_host *h, es_text *out) {
    es_natnet_server server = {.name = "echosolid simulate",
                               .version = VERSION,
                               .clock_hz = (uint64_t)CLOCK_HZ,
                               .data_port = (uint16_t)h->port};
    es_natnet_put_server(out, &server);
}

/* Until the bodies are known there is no answer: who asks will ask again. */
static void tell_models(const es_natnet_host *h, es_text *out) {
    if (h->model_count) es_natnet_put_models(out, VERSION, h->models, (size_t)h->model_count);
}

static void tell_echo(const es_natnet_packet *packet, es_text *out) {
    es_natnet_echo echo;
    if (!es_natnet_get_echo(packet, &echo, NULL)) return;
    echo.ticks = ticks(es_clock_s());
    es_natnet_put_echo(out, ES_NATNET_ECHO_RESPONSE, &echo);
}

/* Under the lock. */
static void answer(es_natnet_host *h, const es_natnet_packet *packet,
                   const struct sockaddr_in *from) {
    es_text out = {0};
    remember(h, from, packet->id == ES_NATNET_CONNECT);
    switch (packet->id) {
    case ES_NATNET_CONNECT: tell_server(h, &out); break;
    case ES_NATNET_REQUEST_MODELDEF: tell_models(h, &out); break;
    case ES_NATNET_ECHO_REQUEST: tell_echo(packet, &out); break;
    case ES_NATNET_KEEPALIVE: break;
    case ES_NATNET_DISCONNECT:
        if (find(h, from) < h->listener_count) forget(h, find(h, from));
        break;
    default: es_natnet_put(&out, ES_NATNET_UNRECOGNIZED, NULL, 0);
    }
    send_to(h, from, &out);
}

static void receive(es_natnet_host *h) {
    uint8_t bytes[2048];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(h->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
    es_natnet_packet packet;
    if (got < 0 || !es_natnet_parse(bytes, (size_t)got, &packet, NULL)) return;
    pthread_mutex_lock(&h->lock);
    answer(h, &packet, &from);
    pthread_mutex_unlock(&h->lock);
}

static void *run(void *context) {
    es_natnet_host *h = context;
    while (!h->stop)
        if (socket_wait(h->fd, false, 0.05)) receive(h);
    return NULL;
}

/* ---- frames -------------------------------------------------------------------------------- */

/* "ProbeToTracker" is the body Probe; others are none. */
static bool is_body(const es_frame_transform *t, char name[ES_NAME_SIZE]) {
    char to[ES_NAME_SIZE];
    return es_transform_name_split(t->name, name, to, NULL) && strcmp(to, "Tracker") == 0;
}

/* The body's number, from 1; 0: there is no room for one more. */
static int32_t body_id(es_natnet_host *h, const char *name) {
    int i = 0;
    while (i < h->model_count && strcmp(h->models[i].name, name) != 0) i++;
    if (i == BODIES) return 0;
    if (i == h->model_count) {
        h->models[i] = (es_natnet_model){.id = i + 1, .parent = -1};
        snprintf(h->models[i].name, ES_NAME_SIZE, "%s", name);
        h->model_count++;
    }
    return i + 1;
}

static size_t list_bodies(es_natnet_host *h, const es_frame *frame, es_natnet_body *bodies) {
    char name[ES_NAME_SIZE];
    size_t count = 0;
    for (size_t i = 0; i < frame->transform_count && count < BODIES; i++) {
        const es_frame_transform *t = &frame->transforms[i];
        int32_t id = is_body(t, name) ? body_id(h, name) : 0;
        if (!id) continue;
        bodies[count++] =
            (es_natnet_body){.id = id,
                             .place_m = es_vec3_scale(es_mat4_column(t->matrix, 3), 1e-3),
                             .turn = es_quat_from_mat4(t->matrix),
                             .error_m = 1e-4,
                             .tracked = t->valid};
    }
    return count;
}

void es_natnet_host_learn(es_natnet_host *h, const es_frame *frame) {
    es_natnet_body bodies[BODIES];
    pthread_mutex_lock(&h->lock);
    list_bodies(h, frame, bodies);
    pthread_mutex_unlock(&h->lock);
}

void es_natnet_host_put(es_natnet_host *h, const es_frame *frame, double moment_s) {
    es_natnet_body bodies[BODIES];
    es_natnet_frame sent = {.timestamp_s = moment_s,
                            .has_ticks = true,
                            .exposed = ticks(moment_s),
                            .received = ticks(moment_s),
                            .sent = ticks(es_clock_s())};
    pthread_mutex_lock(&h->lock);
    size_t count = list_bodies(h, frame, bodies);
    sent.number = h->number++;
    forget_the_silent(h);
    for (int i = 0; i < h->listener_count; i++) {
        es_text out = {0};
        es_natnet_put_frame(&out, VERSION, &sent, bodies, count);
        send_to(h, &h->listeners[i].address, &out);
    }
    pthread_mutex_unlock(&h->lock);
}

/* ---- the door ------------------------------------------------------------------------------ */

int es_natnet_host_port(const es_natnet_host *h) { return h->port; }

void es_natnet_host_free(es_natnet_host *h) {
    if (!h) return;
    h->stop = true;
    if (h->started) pthread_join(h->thread, NULL);
    if (h->fd >= 0) close(h->fd);
    pthread_mutex_destroy(&h->lock);
    es_free(h);
}

es_natnet_host *es_natnet_host_new(int port, es_error *err) {
    struct in_addr here = {htonl(INADDR_LOOPBACK)};
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;
    es_natnet_host *h = es_alloc_zero(1, sizeof *h, err);
    if (!h) return NULL;
    pthread_mutex_init(&h->lock, NULL);
    h->fd = socket_datagram(here, port, false, err);
    bool ok = h->fd >= 0;
    if (ok && getsockname(h->fd, (struct sockaddr *)&bound, &size) != 0)
        ok = es_fail_errno(err, "the port of NatNet");
    if (ok) h->port = ntohs(bound.sin_port);
    if (ok) h->started = pthread_create(&h->thread, NULL, run, h) == 0;
    if (ok && !h->started)
        ok = es_fail(err, ES_MEMORY, "the thread of NatNet could not be started");
    if (ok) return h;
    es_natnet_host_free(h);
    return NULL;
}
