/* What the tests of src/live share: a recording made of numbers, a raw socket,
 * waits that end. */
#ifndef LIVE_SCENE_H
#define LIVE_SCENE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "echosolid/live_run.h"

/* ---- a sweep ------------------------------------------------------------------- */

enum { SCENE_FRAMES = 40 };

typedef struct live_scene {
    uint32_t width, height;
    int64_t frames, next;
    double rate_hz;
} live_scene;

static inline es_mat4 scene_pose(int64_t f) {
    es_mat4 pose = es_mat4_rotation(es_vec3_make(1, 2, 3), 0.1 + 0.01 * (double)f);
    pose.m[3] = 0.3 * (double)f;
    pose.m[7] = 10;
    pose.m[11] = 1.0 / 3.0;
    return pose;
}

/* Every seventh frame's probe is out of view. */
static inline bool scene_sees(int64_t f) { return f % 7 != 3; }

static inline uint8_t scene_pixel(int64_t f, uint32_t u, uint32_t v) {
    return (uint8_t)(1 + (f * 31 + u * 7 + v * 13) % 255);
}

static inline bool scene_next(void *self, es_frame *frame, unsigned flags, bool *end,
                              es_error *err) {
    live_scene *s = self;
    (void)flags;
    *end = s->next == s->frames;
    if (*end) return true;
    int64_t f = s->next++;
    frame->index = f;
    frame->transform_count = 0;
    es_fields_clear(&frame->fields);
    frame->has_image = frame->has_time = true;
    frame->time_s = 5 + (double)f / s->rate_hz;
    if (!es_image_resize(&frame->image, ES_U8, 1, s->width, s->height, err)) return false;
    for (uint32_t v = 0; v < s->height; v++)
        for (uint32_t u = 0; u < s->width; u++)
            ((uint8_t *)frame->image.data)[v * s->width + u] = scene_pixel(f, u, v);
    return es_fields_set(&frame->fields, "ProbeButton", f % 2 ? "down" : "up", err) &&
           es_frame_set_transform(frame, "ProbeToTracker", scene_pose(f), scene_sees(f), err);
}
static inline bool scene_rewind(void *self, es_error *err) {
    (void)err;
    ((live_scene *)self)->next = 0;
    return true;
}
static inline void scene_free(void *self) { (void)self; }

static inline es_source *scene_open(live_scene *s) {
    static const es_source_ops ops = {scene_next, scene_rewind, scene_free};
    es_stream_info info = {.frame_count = s->frames,
                           .width = s->width,
                           .height = s->height,
                           .type = ES_U8,
                           .channels = 1,
                           .spacing_mm = {1, 1},
                           .orientation = "MFA"};
    return es_source_new(&ops, s, &info, NULL);
}

/* ---- a player in a thread --------------------------------------------------------- */

typedef struct live_player {
    live_scene scene;
    es_live_server *server;
    es_live_play_options options;
    pthread_t thread;
    int64_t frames; /* once done */
    atomic_bool stop, done;
} live_player;

static inline bool player_stops(void *context) { return ((live_player *)context)->stop; }

static inline void *player_run(void *context) {
    live_player *p = context;
    es_source *source = scene_open(&p->scene);
    es_live_play(p->server, source, &p->options, &p->frames, NULL);
    p->done = true;
    es_source_free(source);
    return NULL;
}

/* Port 0: any; the port that was taken. */
static inline int player_start(live_player *p, int port) {
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    o.port = port;
    o.same_most = 400;
    p->server = es_live_server_new(&o, &err);
    if (!p->server) fail_msg("%s", err.message);
    p->options.stop = player_stops;
    p->options.context = p;
    p->stop = p->done = false;
    assert_int_equal(pthread_create(&p->thread, NULL, player_run, p), 0);
    return es_live_server_port(p->server);
}

static inline void player_end(live_player *p) {
    p->stop = true;
    pthread_join(p->thread, NULL);
    es_live_server_free(p->server);
    p->server = NULL;
}

static inline live_player player_make(int64_t frames, double rate_hz) {
    return (live_player){
        .scene = {.width = 32, .height = 24, .frames = frames, .rate_hz = rate_hz}};
}

/* ---- raw sockets ----------------------------------------------------------------------- */

static inline int raw_connect(int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline int raw_listen(int *port) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static inline void raw_send(int fd, const void *bytes, size_t length) {
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Whether the other end closes within five seconds; what it sends is read away. */
static inline bool raw_closes(int fd) {
    double end = es_clock_s() + 5;
    char bytes[4096];
    while (es_clock_s() < end) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 50) > 0 && recv(fd, bytes, sizeof bytes, 0) <= 0) return true;
    }
    return false;
}

/* The next message of a type ("" any) within five seconds; its bytes are the
 * caller's to free. */
typedef struct raw_reader {
    int fd;
    uint8_t *bytes;
    size_t filled, used;
} raw_reader;

static inline bool raw_next(raw_reader *r, const char *type, es_igtl_message *m) {
    const es_igtl_limits limits = ES_IGTL_LIMITS;
    double end = es_clock_s() + 5;
    if (!r->bytes) r->bytes = test_malloc(1 << 24);
    while (es_clock_s() < end) {
        memmove(r->bytes, r->bytes + r->used, r->filled - r->used);
        r->filled -= r->used;
        r->used = 0;
        size_t used;
        es_igtl_state state = es_igtl_parse(r->bytes, r->filled, &limits, m, &used, NULL);
        if (state == ES_IGTL_WHOLE) {
            r->used = used;
            if (!*type || strcmp(m->type, type) == 0) return true;
            continue;
        }
        assert_int_equal(state, ES_IGTL_SHORT);
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        if (poll(&p, 1, 50) <= 0) continue;
        ssize_t n = recv(r->fd, r->bytes + r->filled, (1 << 24) - r->filled, 0);
        if (n <= 0) return false;
        r->filled += (size_t)n;
    }
    return false;
}

static inline void raw_close(raw_reader *r) {
    if (r->bytes) test_free(r->bytes);
    close(r->fd);
    r->bytes = NULL;
}

static inline void rest_s(double seconds) {
    struct timespec pause = {.tv_sec = (time_t)seconds,
                             .tv_nsec = (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&pause, NULL);
}

#endif
