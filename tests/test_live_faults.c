/* Everything goes wrong at random, and nothing that was received is lost: a scanner
 * that dies, sends half a header, a wrong sum, 4 GB announced, stamps that jump back,
 * a tracker that falls silent; viewers that are killed, read slowly, send nonsense or
 * come two hundred at a time; a disk that is full. Each round's recording must make
 * the round's volume again, and memory and descriptors must not grow.
 *
 * A few seconds; ES_FAULT_SECONDS=600 goes on for ten minutes (./do test --long).
 * ES_FAULT_SEED repeats a run. */
#include <dirent.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "echosolid/trackers.h"
#include "live_replay.h"

enum { WIDTH = 64, HEIGHT = 48, CROWD = 200 };

static char folder[256];

/* ---- chance ------------------------------------------------------------------------- */

typedef struct chance {
    uint64_t state;
} chance;

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t draw(chance *c, uint64_t below) {
    uint64_t h = c->state += 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return (h ^ (h >> 31)) % below;
}

/* ---- a round --------------------------------------------------------------------------- */

typedef struct scanner {
    int listener, port;
    chance chance;
    int64_t frame;
    double back_s; /* how far its clock has jumped back */
    int faults;
} scanner;

typedef struct fault_round {
    _Atomic double end_s;
    atomic_bool over;
    scanner scanner;
    chance viewers, tracker;
    int server_port, tracker_port, visits;
    pthread_t threads[3];
} fault_round;

static bool is_over(void *context) {
    fault_round *r = context;
    if (es_clock_s() >= r->end_s) atomic_store(&r->over, true);
    return atomic_load(&r->over);
}

/* ---- the scanner ----------------------------------------------------------------------- */

static bool send_some(int fd, const void *bytes, size_t length) {
    return send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static void put_frame(scanner *s, es_igtl_out *out) {
    uint8_t pixels[WIDTH * HEIGHT];
    char numbers[400] = "";
    const char *meta[] = {"ProbeToTrackerTransform", numbers, "ProbeToTrackerTransformStatus",
                          scene_sees(s->frame) ? "OK" : "OUT_OF_VIEW", NULL};
    es_mat4 pose = scene_pose(s->frame % 200);
    for (int i = 0, at = 0; i < 16; i++)
        at +=
            snprintf(numbers + at, sizeof numbers - (size_t)at, "%s%.9g", i ? " " : "", pose.m[i]);
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
        pixels[i] = scene_pixel(s->frame, i % WIDTH, i / WIDTH);
    es_igtl_head head = {.version = 2, .device = "Image_Image", .meta = meta};
    head.time = es_igtl_time(1e9 + 0.01 * (double)s->frame - s->back_s);
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {WIDTH, HEIGHT, 1},
                           .part_size = {WIDTH, HEIGHT, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = sizeof pixels};
    es_igtl_put_image(out, &head, &image);
    head.device = "StylusToTracker";
    head.meta = NULL;
    es_igtl_put_transform(out, &head, pose);
    s->frame++;
}

/* Does one of the things that go wrong; false when the connection is over. */
static bool misbehave(scanner *s, int fd, es_igtl_out *out) {
    const es_igtl_head head = {.version = 2, .device = "Odd"};
    s->faults++;
    switch (draw(&s->chance, 8)) {
    case 0: return false;                                /* dies between messages */
    case 1: return send_some(fd, out->bytes, 29), false; /* in the middle of a header */
    case 2: return send_some(fd, out->bytes, out->length / 2), false;
    case 3: /* a wrong sum: to be left out, not more */
        out->bytes[ES_IGTL_HEADER + 30] ^= 0x55;
        return send_some(fd, out->bytes, out->length);
    case 4: /* 4 GB announced */
        memcpy(out->bytes + 42, "\0\0\0\1\0\0\0\0", 8);
        return send_some(fd, out->bytes, out->length), false;
    case 5: s->back_s += 3600; return true;
    case 6: rest_s(0.2); return true;
    default: /* a type that nobody knows */
        out->length = 0;
        es_igtl_put_raw(out, &head, "NONSENSE", "12345", 5);
        return send_some(fd, out->bytes, out->length);
    }
}

static void serve_one(fault_round *r, int fd) {
    scanner *s = &r->scanner;
    bool open = true;
    es_igtl_out out = {0};
    char heard[4096];
    while (open && !is_over(r)) {
        out.length = 0;
        put_frame(s, &out);
        bool fault = draw(&s->chance, 60) == 0;
        open = fault ? misbehave(s, fd, &out) : send_some(fd, out.bytes, out.length);
        while (recv(fd, heard, sizeof heard, MSG_DONTWAIT) > 0) {
        }
        rest_s(0.005);
    }
    es_igtl_out_clear(&out);
    close(fd);
}

static void *run_scanner(void *context) {
    fault_round *r = context;
    while (!is_over(r)) {
        struct pollfd p = {.fd = r->scanner.listener, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(r->scanner.listener, NULL, NULL);
        if (fd >= 0) serve_one(r, fd);
    }
    return NULL;
}

/* ---- the viewers ------------------------------------------------------------------------ */

static void come_in_crowds(int port) {
    int fds[CROWD];
    for (int i = 0; i < CROWD; i++) fds[i] = raw_connect(port);
    rest_s(0.02);
    for (int i = 0; i < CROWD; i++) close(fds[i]);
}

/* Reads nothing of what is sent. */
static void read_slowly(int port, chance *c) {
    int fd = raw_connect(port), room = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    rest_s(0.05 + 0.01 * (double)draw(c, 20));
    close(fd);
}

static void send_nonsense(int port, chance *c) {
    int fd = raw_connect(port);
    uint8_t bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)draw(c, 256);
    send_some(fd, bytes, 1 + draw(c, sizeof bytes));
    rest_s(0.002);
    close(fd);
}

static void announce_much(int port) {
    es_igtl_head head = {.version = 2, .device = "Odd"};
    es_igtl_out out = {0};
    int fd = raw_connect(port);
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    memcpy(out.bytes + 42, "\0\0\0\1\0\0\0\0", 8);
    send_some(fd, out.bytes, out.length);
    assert_true(raw_closes(fd));
    es_igtl_out_clear(&out);
    close(fd);
}

/* Commands and subscriptions, and away before the answers. */
static void ask_and_leave(int port, chance *c) {
    static const char *const texts[] = {
        "<Command Name=\"RequestDeviceIds\"/>",
        "<Command Name=\"GetFrameRate\"/>",
        "<Command Name=\"GetTransform\" TransformName=\"ProbeToTracker\"/>",
        "<Command Name=\"StartRecording\"/>",
        "<Command",
        ""};
    const char *text = texts[draw(c, sizeof texts / sizeof *texts)];
    es_igtl_head head = {.version = 2, .device = "Viewer"};
    es_igtl_stream stream = {.resolution_ms = 10};
    es_igtl_out out = {0};
    raw_reader reader = {.fd = raw_connect(port)};
    es_igtl_put_stream(&out, &head, "STT_TDATA", &stream);
    es_igtl_put_command(&out, &head, false, (uint32_t)draw(c, 1000), "Ask", text, strlen(text));
    send_some(reader.fd, out.bytes, out.length - draw(c, 2) * 7);
    es_igtl_message m;
    for (uint64_t n = draw(c, 4); n > 0 && raw_next(&reader, "", &m);) n--;
    es_igtl_out_clear(&out);
    raw_close(&reader);
}

static void *run_viewers(void *context) {
    fault_round *r = context;
    while (!is_over(r)) {
        r->visits++;
        switch (draw(&r->viewers, 8)) {
        case 0: come_in_crowds(r->server_port); break;
        case 1: read_slowly(r->server_port, &r->viewers); break;
        case 2: announce_much(r->server_port); break;
        case 3:
        case 4: send_nonsense(r->server_port, &r->viewers); break;
        default: ask_and_leave(r->server_port, &r->viewers);
        }
    }
    return NULL;
}

/* ---- the tracker beside it ----------------------------------------------------------------- */

/* Lines of a tool, at times none for a while, at times nonsense. */
static void *run_tracker(void *context) {
    fault_round *r = context;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->tracker_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (int n = 0; !is_over(r); n++) {
        const char *line = draw(&r->tracker, 50) ? "{\"name\": \"Pointer\", \"matrix\": [1,0,0,1,"
                                                   "0,1,0,2,0,0,1,3,0,0,0,1]}\n"
                                                 : "{\"name\": [[[[\n";
        sendto(fd, line, strlen(line), 0, (struct sockaddr *)&to, sizeof to);
        rest_s(draw(&r->tracker, 100) ? 0.008 : 0.3);
    }
    close(fd);
    return NULL;
}

static int free_udp_port(void) {
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}

/* ---- one round and its judgement ------------------------------------------------------------- */

static void start_threads(fault_round *r) {
    static void *(*const runs[])(void *) = {run_scanner, run_viewers, run_tracker};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&r->threads[i], NULL, runs[i], r), 0);
}

/* Files may grow to so many bytes, or as before (0). */
static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void check_recording(const char *path, const es_setup_request *request,
                            const es_live_state *s, const es_grid *live, bool full) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    assert_int_equal(es_source_info(source)->frame_count, s->recorded);
    es_source_free(source);
    if (full) {
        assert_non_null(s->record_error);
        assert_true(s->recorded > 0 && s->recorded < s->received);
        return;
    }
    es_grid again = {0};
    int64_t inserted;
    assert_null(s->record_error);
    assert_int_equal(s->recorded, s->received);
    rebuild(path, request, false, &again, &inserted);
    assert_int_equal(inserted, s->inserted);
    check_same(live, &again);
    es_grid_clear(&again);
}

static es_live_state run_live(fault_round *r, es_live *live, es_live_server *server,
                              const es_setup_request *request, const char *path, es_grid *grid) {
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    o.source = es_live_source(live);
    o.live = live;
    o.request = request;
    o.record = path;
    o.server = server;
    o.output_folder = folder;
    o.stop = is_over;
    o.stop_context = r;
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err)) fail_msg("%s", err.message);
    volume_bytes(es_live_run_volume(run), grid);
    es_live_state s = es_live_run_state(run);
    static char why[1000];
    if (s.record_error) {
        snprintf(why, sizeof why, "%s", s.record_error);
        s.record_error = why;
    }
    es_live_run_free(run);
    return s;
}

static void remove_files(void) {
    char path[600];
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') unlink(path);
    }
    if (dir) closedir(dir);
}

static void do_round(uint64_t seed, double seconds, bool full) {
    char path[300], address[40];
    fault_round r = {.end_s = es_clock_s() + seconds + 5, /* until it has begun */
                     .scanner.chance = {seed},
                     .viewers = {seed + 1},
                     .tracker = {seed + 2}};
    es_live_server_options so = ES_LIVE_SERVER_DEFAULTS;
    es_live_options lo = ES_LIVE_DEFAULTS;
    es_error err = {0};
    es_grid grid = {0};
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    snprintf(path, sizeof path, "%s/round.igs.nhdr", folder);
    so.port = 0;
    es_live_server *server = es_live_server_new(&so, &err);
    lo.poses = es_live_poses_new(64, &err);
    r.tracker_port = free_udp_port();
    snprintf(address, sizeof address, "udp://127.0.0.1:%d", r.tracker_port);
    const es_tracker_options to = {.pose = es_tracker_push, .context = lo.poses};
    es_tracker *tracker = es_tracker_open(address, &to, &err);
    if (!server || !lo.poses || !tracker) fail_msg("%s", err.message);
    r.server_port = es_live_server_port(server);
    r.scanner.listener = raw_listen(&r.scanner.port);
    lo.port = r.scanner.port;
    start_threads(&r);
    es_live *live = es_live_open(&lo, &err);
    if (!live) fail_msg("%s", err.message);
    r.end_s = es_clock_s() + seconds;
    if (full) limit_files(40 * WIDTH * HEIGHT);
    es_live_state s = run_live(&r, live, server, &request, path, &grid);
    limit_files(0);
    for (int i = 0; i < 3; i++) pthread_join(r.threads[i], NULL);
    print_message("%lld frames, %d faults of the scanner, %llu connections to it, %d visits\n",
                  (long long)s.received, r.scanner.faults,
                  (unsigned long long)es_live_statistics(live).connections, r.visits);
    check_recording(path, &request, &s, &grid, full);
    assert_int_equal(es_live_statistics(live).lost, 0);
    es_grid_clear(&grid);
    es_tracker_close(tracker);
    es_live_free(live);
    es_live_poses_free(lo.poses);
    es_live_server_free(server);
    close(r.scanner.listener);
    es_plus_free(plus);
    remove_files();
}

/* ---- what must not grow
 * --------------------------------------------------------------------------- */

static int open_descriptors(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir)) count++;
    closedir(dir);
    return count;
}

static size_t resident_bytes(void) {
    unsigned long whole, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &whole, &resident), 2);
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static double number_of(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text ? atof(text) : otherwise;
}

/* The first two rounds fill the allocator's pools, those of threads among them: up to
 * eight of them for each core, a few MB each. Blocks of 1 MB go back at once. */
static void nothing_that_was_received_is_lost_whatever_goes_wrong(void **state) {
    (void)state;
    double seconds = number_of("ES_FAULT_SECONDS", 6), start = es_clock_s();
    uint64_t seed = (uint64_t)number_of("ES_FAULT_SEED", (double)time(NULL));
    double each = fmin(fmax(seconds / 3, 1), 15);
    size_t after_two = 0;
    int before = open_descriptors(), rounds = 0;
    print_message("ES_FAULT_SEED=%llu\n", (unsigned long long)seed);
    while (rounds < 2 || es_clock_s() - start < seconds) {
        do_round(seed + 100 * (uint64_t)rounds, each, rounds % 2 == 1);
        if (++rounds == 2) after_two = resident_bytes();
        assert_int_equal(open_descriptors(), before);
    }
    print_message("%d rounds, resident %.1f MB after two and %.1f MB after all\n", rounds,
                  (double)after_two * 1e-6, (double)resident_bytes() * 1e-6);
    if (!sanitized) assert_true(resident_bytes() < after_two + (24u << 20));
}

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    signal(SIGXFSZ, SIG_IGN);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    snprintf(folder, sizeof folder, "%s/echosolid-faults-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    remove_files();
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_was_received_is_lost_whatever_goes_wrong),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
