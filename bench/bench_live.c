/* The live link and the live pipeline over loopback: TRANSFORM messages a second,
 * IMAGE bytes a second with and without the check sum beside a plain memcpy of
 * the same bytes, and the time from a frame's last byte to its insertion.
 * --seconds N sets how long each latency run takes (10). Prints a table. */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echosolid/bone_flow.h"
#include "echosolid/live_run.h"

enum { SIDE = 512, POSES = 400000, PICTURES = 3000, BATCH = 200 };

/* ---- a server that sends as fast as it can ----------------------------------------- */

typedef struct hose {
    int listener, port;
    es_igtl_out first, again; /* sent once, and `times` times */
    int times;
    pthread_t thread;
} hose;

static void send_all(int fd, const es_igtl_out *out) {
    for (size_t at = 0; at < out->length;) {
        ssize_t n = send(fd, out->bytes + at, out->length - at, MSG_NOSIGNAL);
        if (n <= 0) return;
        at += (size_t)n;
    }
}

static void *pour(void *context) {
    hose *h = context;
    int fd = accept(h->listener, NULL, NULL);
    send_all(fd, &h->first);
    for (int i = 0; i < h->times; i++) send_all(fd, &h->again);
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    } /* until the client has gone */
    close(fd);
    return NULL;
}

static void hose_open(hose *h) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(h->listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(h->listener, 4) != 0 ||
        getsockname(h->listener, (struct sockaddr *)&at, &size) != 0 ||
        pthread_create(&h->thread, NULL, pour, h) != 0)
        exit(1);
    h->port = ntohs(at.sin_port);
}

static void hose_close(hose *h) {
    pthread_join(h->thread, NULL);
    close(h->listener);
    es_igtl_out_clear(&h->first);
    es_igtl_out_clear(&h->again);
}

static void put_picture(es_igtl_out *out, const uint8_t *pixels) {
    es_igtl_head head = {.version = 2, .device = "Image_Image", .time = 5ULL << 32};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {SIDE, SIDE, 1},
                           .part_size = {SIDE, SIDE, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = SIDE * SIDE};
    es_igtl_put_image(out, &head, &image);
}

static es_live *open_live(int port, bool ignore_crc) {
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    o.port = port;
    o.wait_s = 0;
    o.ignore_crc = ignore_crc;
    es_live *live = es_live_open(&o, &err);
    if (!live) {
        fprintf(stderr, "bench_live: %s\n", err.message);
        exit(1);
    }
    return live;
}

static void bench_poses(const uint8_t *pixels) {
    static const char *const meta[] = {"TransformValid", "1", "TransformStatus", "OK", NULL};
    hose h = {.times = POSES / BATCH};
    put_picture(&h.first, pixels);
    for (int i = 0; i < BATCH; i++) {
        es_igtl_head head = {.version = 2,
                             .device = "ProbeToTracker",
                             .time = (5ULL << 32) + (uint64_t)i,
                             .meta = meta};
        es_igtl_put_transform(&h.again, &head, es_mat4_translation(i, 2, 3));
    }
    hose_open(&h);
    es_live *live = open_live(h.port, false);
    uint64_t first = es_live_statistics(live).poses, now = first;
    double start = es_clock_s();
    while ((now = es_live_statistics(live).poses) < POSES && es_clock_s() - start < 20)
        usleep(1000);
    double took = es_clock_s() - start;
    printf("TRANSFORM with status and sum   %9.0f messages/s\n", (double)(now - first) / took);
    es_live_free(live);
    hose_close(&h);
}

static double bench_pictures(const uint8_t *pixels, bool ignore_crc) {
    hose h = {.times = PICTURES};
    put_picture(&h.first, pixels);
    put_picture(&h.again, pixels);
    hose_open(&h);
    es_live *live = open_live(h.port, ignore_crc);
    es_frame frame = {0};
    double start = es_clock_s();
    bool end = false;
    while (es_live_statistics(live).pictures < PICTURES && es_clock_s() - start < 20)
        if (es_live_wait(live, 0.01)) es_source_next(es_live_source(live), &frame, 0, &end, NULL);
    double took = es_clock_s() - start,
           bytes = (double)es_live_statistics(live).pictures * SIDE * SIDE;
    es_frame_clear(&frame);
    es_live_free(live);
    hose_close(&h);
    return bytes / took * 1e-9;
}

static double bench_copy(const uint8_t *pixels) {
    uint8_t *to = malloc((size_t)64 * SIDE * SIDE);
    volatile uint8_t sink = 0;
    memset(to, 1, (size_t)64 * SIDE * SIDE);
    double start = es_clock_s();
    for (int i = 0; i < PICTURES; i++) {
        memcpy(to + (size_t)(i % 64) * SIDE * SIDE, pixels, SIDE * SIDE);
        sink = (uint8_t)(sink + to[(size_t)(i % 64) * SIDE * SIDE]);
    }
    double took = es_clock_s() - start;
    free(to);
    return (double)PICTURES * SIDE * SIDE / took * 1e-9;
}

/* ---- from received to inserted ---------------------------------------------------------- */

typedef struct show {
    es_live_server *server;
    es_source *source;
    pthread_t thread;
    double rate_hz, end_s;
} show;

static bool is_over(void *context) { return es_clock_s() >= ((const show *)context)->end_s; }

static void *play(void *context) {
    show *s = context;
    int64_t frames;
    es_live_play_options o = {.rate_hz = s->rate_hz,
                              .repeat = true,
                              .preload_bytes = 1 << 30,
                              .stop = is_over,
                              .context = s};
    es_live_play(s->server, s->source, &o, &frames, NULL);
    return NULL;
}

static es_plus *calibration(const es_simulation *sim) {
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_simulation_image_to_probe(sim), .error = NAN};
    if (!plus || !es_plus_transform_set(plus, &t, NULL)) exit(1);
    return plus;
}

/* The most memory so far, once a tenth of the run is over: flat when it stays so. */
typedef struct early {
    double after_s, memory;
} early;

static void look_early(void *context, const es_live_state *s) {
    early *e = context;
    if (e->memory == 0 && s->seconds >= e->after_s) e->memory = (double)s->memory_peak;
}

static void print_latency(const char *what, const es_live_state *s, const early *e) {
    printf("%-31s %6.1f frames/s inserted, %lld dropped of %lld, latency median %.1f ms, 99 %% "
           "%.1f ms, memory %.0f MB after a tenth of the time, %.0f MB at the end\n",
           what, (double)s->inserted / s->seconds, (long long)s->dropped, (long long)s->received,
           1e3 * s->latency_median_s, 1e3 * s->latency_p99_s, e->memory * 1e-6,
           (double)s->memory_peak * 1e-6);
    if (s->previews == 0) return;
    printf("%-31s %6.1f surfaces/s sent, of received frames: median %.1f ms, 99 %% %.1f ms; a "
           "surface takes %.1f ms of one core (the last, of %zu triangles: %.1f ms)\n",
           "", (double)s->previews / s->seconds, 1e3 * s->shown_median_s, 1e3 * s->shown_p99_s,
           1e3 * s->previews_s / (double)s->previews, s->triangles, 1e3 * s->preview_s);
}

static void no_mesh(void *context, const es_mesh *mesh) {
    (void)context;
    (void)mesh;
}

/* The network finds the bone, on two threads. */
static void bench_latency(const char *what, double rate_hz, bool bone, double seconds) {
    es_simulation sim = ES_SIMULATION_DEFAULTS;
    es_live_server_options so = ES_LIVE_SERVER_DEFAULTS;
    es_live_options lo = ES_LIVE_DEFAULTS;
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_model_options model = ES_MODEL_DEFAULTS;
    es_setup_request request;
    es_error err = {0};
    sim.frames = 120;
    model.method = es_bone_method_default();
    so.port = 0;
    so.same_most = 400;
    show s = {.rate_hz = rate_hz, .end_s = es_clock_s() + seconds + 60};
    es_plus *plus = calibration(&sim);
    s.source = es_simulation_open(&sim, &err);
    s.server = es_live_server_new(&so, &err);
    if (!s.source || !s.server || pthread_create(&s.thread, NULL, play, &s) != 0) exit(1);
    lo.port = es_live_server_port(s.server);
    lo.first_s = 60;
    es_live *live = es_live_open(&lo, &err);
    es_setup_request_init(&request);
    request.plus = plus;
    for (int a = 0; a < 3; a++) request.spacing_mm[a] = 0.5;
    s.end_s = es_clock_s() + seconds;
    o.source = live ? es_live_source(live) : NULL;
    o.live = live;
    o.request = &request;
    o.bone = bone ? &model : NULL;
    o.threads = 2;
    early e = {.after_s = seconds / 10};
    o.watch.mesh = bone ? no_mesh : NULL;
    o.watch.state = look_early;
    o.watch.context = &e;
    o.stop = is_over;
    o.stop_context = &s;
    es_live_run *run = live ? es_live_run_new(&o, &err) : NULL;
    if (run && es_live_run_go(run, &err)) {
        es_live_state state = es_live_run_state(run);
        print_latency(what, &state, &e);
    } else {
        fprintf(stderr, "bench_live: %s\n", err.message);
    }
    es_live_run_free(run);
    es_live_free(live);
    pthread_join(s.thread, NULL);
    es_live_server_free(s.server);
    es_source_free(s.source);
    es_plus_free(plus);
}

static void bench_wire(void) {
    uint8_t *pixels = malloc(SIDE * SIDE);
    if (!pixels) exit(1);
    for (int i = 0; i < SIDE * SIDE; i++) pixels[i] = (uint8_t)(i * 7 + (i >> 9));
    bench_poses(pixels);
    double with = bench_pictures(pixels, false), without = bench_pictures(pixels, true);
    printf("IMAGE 512 x 512, sum checked    %9.2f GB/s\n", with);
    printf("IMAGE 512 x 512, sum ignored    %9.2f GB/s\n", without);
    printf("memcpy of the same pictures     %9.2f GB/s\n", bench_copy(pixels));
    free(pixels);
}

int main(int argc, char **argv) {
    double seconds = 10;
    const char *only = "";
    bool ok = argc % 2 == 1;
    for (int i = 1; ok && i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atof(argv[i + 1]);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else
            ok = false;
    }
    if (!ok || !(seconds > 0)) {
        fprintf(stderr, "usage: bench_live [--seconds S] [--only wire|grey|bone]\n");
        return 2;
    }
    if (!*only || strcmp(only, "wire") == 0) bench_wire();
    if (!*only || strcmp(only, "grey") == 0) {
        bench_latency("grey, 512 x 512 at 30/s", 30, false, seconds);
        bench_latency("grey, 512 x 512 at 120/s", 120, false, seconds);
    }
    if (!*only || strcmp(only, "bone") == 0)
        bench_latency("grey and bone, 30/s", 30, true, seconds);
    return 0;
}
