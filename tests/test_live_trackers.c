/* VRPN, NDI's Combined API and lines of text: codecs against vectors from other
 * sources, hostile bytes, and clients against servers of our own on 127.0.0.1. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "echosolid/trackers.h"

/* ---- lines of text -------------------------------------------------------------------- */

static bool parse(const char *text, es_pose_line *line, es_error *err) {
    return es_pose_line_parse(text, strlen(text), line, err);
}

static void json_and_commas_say_the_same_pose(void **state) {
    (void)state;
    /* a quarter turn about z: x -> y */
    const char *lines[] = {
        "{\"time\": 12.5, \"name\": \"Probe\", \"position\": [1, 2, 3], \"quaternion\": "
        "[0.70710678, 0, 0, 0.70710678], \"valid\": true, \"error_mm\": 0.25}\r\n",
        "12.5,Probe,1,2,3,0.70710678,0,0,0.70710678,1,0.25",
        " 12.5 , Probe , 1, 2, 3, 0.7071, 0, 0, 0.7071, true, 0.25\n",
        "12.5,Probe,0,-1,0,1,1,0,0,2,0,0,1,3,0,0,0,1,1,0.25",
        "{\"name\": \"Probe\", \"time\": 12.5, \"error_mm\": 0.25, \"matrix\": [0,-1,0,1, 1,0,0,2, "
        "0,0,1,3, 0,0,0,1]}"};
    for (size_t i = 0; i < 5; i++) {
        es_pose_line line;
        es_error err = {0};
        if (!parse(lines[i], &line, &err)) fail_msg("%s: %s", lines[i], err.message);
        es_vec3 p = es_mat4_point(line.matrix, es_vec3_make(10, 0, 0));
        /* the numbers' own digits, scaled to length 1 */
        assert_float_equal(p.x, 1, 1e-6);
        assert_float_equal(p.y, 12, 1e-6);
        assert_float_equal(p.z, 3, 1e-6);
        assert_string_equal(line.name, "Probe");
        assert_true(line.has_time && line.time_s == 12.5 && line.valid && line.error_mm == 0.25);
    }
}

static void what_a_line_may_leave_out_is_told_as_absent(void **state) {
    (void)state;
    es_pose_line line;
    assert_true(parse(",Probe,1,2,3,1,0,0,0", &line, NULL));
    assert_true(!line.has_time && line.valid && isnan(line.error_mm));
    assert_true(parse("{\"name\": \"P\", \"valid\": false}", &line, NULL));
    assert_true(!line.has_time && !line.valid);
    assert_true(parse("1,P,0,0,0,0,0,0,0,0", &line, NULL)); /* zeros of a lost tool */
    assert_false(line.valid);
}

static void lines_that_are_no_pose_are_refused_with_a_reason(void **state) {
    (void)state;
    const char *bad[] = {"",
                         "hello",
                         "1,Probe",
                         "1,,1,2,3,1,0,0,0",
                         "now,Probe,1,2,3,1,0,0,0",
                         "1,Probe,1,2,3,1,0,0",
                         "1,Probe,1,2,3,1,0,0,0,maybe",
                         "1,Probe,1,2,3,1,0,0,0,1,much",
                         "1,Probe,1,2,3,1,0,0,0,1,0,7",
                         "1,Probe,1,2,x,1,0,0,0",
                         "1,Probe,1,2,nan,1,0,0,0",
                         "1,Probe,1,2,3,0,0,0,0",
                         "1,Probe,1,2,3,2,0,0,0",
                         "1e300,Probe,1,2,3,1,0,0,0",
                         "nan,Probe,1,2,3,1,0,0,0",
                         "1,P,-1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1", /* a mirror */
                         "1,P,2,0,0,0,0,2,0,0,0,0,2,0,0,0,0,1",  /* a scale */
                         "1,P,1,0,0,0,0,1,0,0,0,0,1,0,1,2,3,1",  /* by columns */
                         "1,P,1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1,1,1,1,1,1,1,1,1,1,1,1,1",
                         "{",
                         "{}",
                         "[1]",
                         "{\"name\": 5, \"valid\": false}",
                         "{\"name\": \"\", \"valid\": false}",
                         "{\"name\": \"P\"}",
                         "{\"name\": \"P\", \"position\": [1,2,3]}",
                         "{\"name\": \"P\", \"quaternion\": [1,0,0,0]}",
                         "{\"name\": \"P\", \"position\": [1,2], \"quaternion\": [1,0,0,0]}",
                         "{\"name\": \"P\", \"position\": [1,2,\"3\"], \"quaternion\": [1,0,0,0]}",
                         "{\"name\": \"P\", \"valid\": 1, \"matrix\": []}",
                         "{\"name\": \"P\", \"valid\": false, \"colour\": 1}",
                         "{\"name\": \"P\", \"name\": \"Q\", \"valid\": false}",
                         "{\"name\": \"P\", \"time\": \"now\", \"valid\": false}",
                         "{\"name\": \"P\", \"matrix\": [], \"position\": [0,0,0]}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        es_pose_line line;
        es_error err = {0};
        if (parse(bad[i], &line, &err)) fail_msg("taken: %s", bad[i]);
        assert_int_equal(err.code, ES_FORMAT);
        assert_true(strlen(err.message) > 5);
    }
    char long_line[5000];
    es_pose_line line;
    memset(long_line, 'a', sizeof long_line);
    assert_false(es_pose_line_parse(long_line, sizeof long_line, &line, NULL));
    assert_false(es_pose_line_parse("1,P\0,1,2,3,1,0,0,0", 19, &line, NULL));
}

/* ---- VRPN: bytes of a real server's library -------------------------------------------------- */

static void vrpn_bytes_are_read_and_written(void **state) {
    (void)state;
    /* laid out by hand: size 24 + 64, 100 s, 250000 us, sender 1, type 4, sequence 9;
     * sensor 2; 1 2 3 m; 0 0 0 1 */
    uint8_t bytes[88] = {0, 0, 0, 88, 0, 0, 0, 100, 0, 3, 0xd0, 0x90, 0, 0,
                         0, 1, 0, 0,  0, 4, 0, 0,   0, 9, 0,    0,    0, 2};
    const uint8_t one[2] = {0x3f, 0xf0}, two[2] = {0x40, 0}, three[2] = {0x40, 8};
    memcpy(bytes + 32, one, 2);
    memcpy(bytes + 40, two, 2);
    memcpy(bytes + 48, three, 2);
    memcpy(bytes + 80, one, 2);
    es_vrpn_message m;
    es_vrpn_pose pose;
    assert_int_equal(es_vrpn_parse(bytes, 88, &m, NULL), 88);
    assert_true(m.sender == 1 && m.type == 4 && m.time_s == 100.25);
    assert_true(es_vrpn_get_pose(&m, &pose, NULL));
    assert_true(pose.sensor == 2 && pose.place_m.y == 2 && pose.turn.w == 1);
    es_text out = {0};
    es_vrpn_put_pose(&out, &m, &pose);
    bytes[23] = 0; /* ours has no sequence numbers */
    assert_int_equal(out.length, 88);
    assert_memory_equal(out.bytes, bytes, 88);
    es_text_free(&out);
}

static void vrpn_that_is_cut_waits_and_that_is_wild_ends(void **state) {
    (void)state;
    es_text out = {0};
    es_vrpn_message m;
    char name[ES_NAME_SIZE];
    es_vrpn_put_name(&out, ES_VRPN_SENDER, 3, "Tracker0");
    for (size_t cut = 0; cut < out.length; cut++)
        assert_int_equal(es_vrpn_parse((uint8_t *)out.bytes, cut, &m, NULL), 0);
    assert_int_equal(es_vrpn_parse((uint8_t *)out.bytes, out.length, &m, NULL), out.length);
    assert_true(es_vrpn_get_name(&m, name, NULL));
    assert_string_equal(name, "Tracker0");
    uint8_t lie[64];
    for (int i = 0; i < 4; i++) { /* the name says it is longer than its message */
        memcpy(lie, out.bytes, out.length);
        lie[24 + i] = 0x7f;
        assert_true(es_vrpn_parse(lie, out.length, &m, NULL) > 0);
        assert_false(es_vrpn_get_name(&m, name, NULL));
    }
    const uint8_t sizes[4][4] = {
        {0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0}, {0, 0, 0, 23}, {0, 0x20, 0, 0}};
    for (int i = 0; i < 4; i++) {
        memcpy(lie, sizes[i], 4);
        assert_int_equal(es_vrpn_parse(lie, 64, &m, NULL), -1);
    }
    uint8_t cookie[ES_VRPN_COOKIE];
    es_vrpn_put_cookie(cookie);
    assert_memory_equal(cookie, "vrpn: ver. 07.38  0\0\0\0\0", 24);
    assert_true(es_vrpn_check_cookie(cookie, NULL));
    assert_false(es_vrpn_check_cookie((const uint8_t *)"HTTP/1.1 400 Bad Request", NULL));
    assert_false(es_vrpn_check_cookie((const uint8_t *)"vrpn: ver. 08.00  0\0\0\0\0", NULL));
    es_text_free(&out);
}

/* ---- NDI ---------------------------------------------------------------------------------- */

static const es_ndi_tools TOOLS = {
    .count = 3,
    .items = {{.handle = 1,
               .valid = true,
               .turn = {.w = 0.8, .x = 0, .y = -0.6, .z = 0},
               .place_mm = {12.5, -250.25, -1800},
               .error_mm = 0.125,
               .port_status = 0x31,
               .frame = 1234},
              {.handle = 2, .port_status = 0x40, .frame = 1234, .error_mm = NAN, .turn.w = 1},
              {.handle = 10, .disabled = true, .error_mm = NAN, .turn.w = 1}},
    .system_status = 0};

static void ndi_sums_are_those_of_the_protocol(void **state) {
    (void)state;
    assert_int_equal(es_ndi_crc("123456789", 9), 0xBB3D); /* CRC-16/ARC's check value */
    assert_int_equal(es_ndi_crc("TSTART:", 7), 0x5423);
    assert_int_equal(es_ndi_crc("TX:0801", 7), 0xC19B);
    const char *replies[] = {"OKAYA896", "RESETBE6F"};
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(replies[i]);
        assert_true(es_ndi_check_reply(replies[i], &length, NULL));
        assert_int_equal(length, strlen(replies[i]) - 4);
    }
    char error[16];
    es_error err = {0};
    snprintf(error, sizeof error, "ERROR0C%04X", (unsigned)es_ndi_crc("ERROR0C", 7));
    size_t length = 11;
    assert_false(es_ndi_check_reply(error, &length, &err));
    assert_non_null(strstr(err.message, "ERROR0C"));
    for (length = 0; length < 8;) {
        size_t cut = length++;
        assert_false(es_ndi_check_reply("OKAYA896", &cut, NULL));
    }
}

static void check_tools(const es_ndi_tools *t, double tolerance) {
    assert_int_equal(t->count, 3);
    assert_true(t->items[0].valid && !t->items[1].valid && !t->items[1].disabled);
    assert_true(t->items[2].disabled && t->items[2].handle == 10);
    assert_float_equal(t->items[0].turn.w, 0.8, tolerance);
    assert_float_equal(t->items[0].turn.y, -0.6, tolerance);
    assert_float_equal(t->items[0].place_mm.y, -250.25, tolerance);
    assert_float_equal(t->items[0].place_mm.z, -1800, tolerance);
    assert_float_equal(t->items[0].error_mm, 0.125, tolerance);
    assert_int_equal(t->items[0].frame, 1234);
    assert_int_equal(t->items[1].port_status, 0x40);
}

static void bx_and_tx_say_the_same_tools(void **state) {
    (void)state;
    es_text bx = {0}, tx = {0};
    es_ndi_tools tools;
    es_ndi_put_bx(&bx, &TOOLS);
    assert_int_equal(es_ndi_bx_size((uint8_t *)bx.bytes, NULL), bx.length);
    assert_true(es_ndi_get_bx((uint8_t *)bx.bytes, bx.length, &tools, NULL));
    check_tools(&tools, 1e-6); /* floats */
    es_ndi_put_tx(&tx, &TOOLS);
    size_t length = tx.length - 1;
    assert_true(es_ndi_check_reply(tx.bytes, &length, NULL));
    assert_true(es_ndi_get_tx(tx.bytes, length, &tools, NULL));
    check_tools(&tools, 5e-5 + 1e-12); /* half of the last digit of 1e-4; 0.01 mm is met */
    es_text_free(&bx);
    es_text_free(&tx);
}

/* A TX reply typed by hand, so that reader and writer are not wrong together. */
static void a_tx_reply_typed_by_hand_is_read(void **state) {
    (void)state;
    const char reply[] = "0201+08000+00000-06000+00000+001250-025025-180000+01250"
                         "00000031000004D2\n02MISSING00000040000004D2\n0000";
    es_ndi_tools tools;
    es_error err = {0};
    if (!es_ndi_get_tx(reply, strlen(reply), &tools, &err)) fail_msg("%s", err.message);
    assert_int_equal(tools.count, 2);
    assert_float_equal(tools.items[0].place_mm.x, 12.5, 1e-9);
    assert_float_equal(tools.items[0].turn.y, -0.6, 1e-9);
    assert_int_equal(tools.items[1].frame, 1234);
    for (size_t cut = 0; cut < strlen(reply); cut++) {
        char *copy = es_alloc(cut + 1, 1, NULL); /* a sanitizer sees a read past it */
        memcpy(copy, reply, cut);
        assert_false(es_ndi_get_tx(copy, cut, &tools, NULL));
        es_free(copy);
    }
}

static void broken_bx_replies_are_refused(void **state) {
    (void)state;
    es_text bx = {0};
    es_ndi_tools tools;
    es_ndi_put_bx(&bx, &TOOLS);
    for (size_t cut = 0; cut < bx.length; cut++)
        assert_false(es_ndi_get_bx((uint8_t *)bx.bytes, cut, &tools, NULL));
    for (size_t i = 0; i < bx.length; i++) { /* the sums find every changed byte */
        bx.bytes[i] ^= 0x20;
        assert_false(es_ndi_get_bx((uint8_t *)bx.bytes, bx.length, &tools, NULL));
        bx.bytes[i] ^= 0x20;
    }
    es_text_free(&bx);
    /* right sums about a wrong body: 255 handles, an unknown status, too short */
    const uint8_t bodies[3][3] = {{255, 0, 0}, {1, 1, 9}, {0, 0, 0}};
    const size_t sizes[3] = {3, 3, 1};
    for (int i = 0; i < 3; i++) {
        uint8_t reply[16] = {0xC4, 0xA5, (uint8_t)sizes[i], 0};
        uint16_t head = es_ndi_crc(reply, 4), sum = es_ndi_crc(bodies[i], sizes[i]);
        memcpy(reply + 4, &head, 2);
        memcpy(reply + 6, bodies[i], sizes[i]);
        memcpy(reply + 6 + sizes[i], &sum, 2);
        assert_int_equal(es_ndi_bx_size(reply, NULL), sizes[i] + 8);
        assert_false(es_ndi_get_bx(reply, sizes[i] + 8, &tools, NULL));
    }
}

/* ---- servers ----------------------------------------------------------------------------------
 */

typedef struct fake {
    int listening, port, client;
    void (*serve)(struct fake *, int fd);
    atomic_bool stop;
    atomic_int connections, frame;
    char log[4096]; /* NDI: the commands, a blank between them */
    bool no_bx, garbage;
    pthread_t thread;
} fake;

static int bound_socket(int type, int *port) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof own;
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    getsockname(fd, (struct sockaddr *)&own, &size);
    *port = ntohs(own.sin_port);
    return fd;
}

static bool readable(int fd, int ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0;
}

static void *accept_all(void *context) {
    fake *f = context;
    while (!f->stop) {
        if (!readable(f->listening, 20)) continue;
        int fd = accept(f->listening, NULL, NULL);
        if (fd < 0) continue;
        f->connections++;
        f->serve(f, fd);
        close(fd);
    }
    return NULL;
}

static void start_fake(fake *f) {
    f->listening = bound_socket(SOCK_STREAM, &f->port);
    assert_int_equal(listen(f->listening, 2), 0);
    assert_int_equal(pthread_create(&f->thread, NULL, accept_all, f), 0);
}

static void stop_fake(fake *f) {
    f->stop = true;
    pthread_join(f->thread, NULL);
    close(f->listening);
}

static bool put(int fd, const es_text *out) {
    return write(fd, out->bytes, out->length) == (ssize_t)out->length;
}

/* Descriptions, then poses of two senders at 200 Hz; every third connection of bytes is
 * sent in two halves. Ends after 60 poses, as a server that is stopped. */
static void serve_vrpn(fake *f, int fd) {
    es_text out = {0};
    uint8_t cookie[ES_VRPN_COOKIE];
    es_vrpn_put_cookie(cookie);
    if (f->garbage) memcpy(cookie, "HTTP/1.1 400 Bad Request", 24);
    es_text_add_bytes(&out, cookie, sizeof cookie);
    es_vrpn_put_name(&out, ES_VRPN_TYPE, 4, "vrpn_Tracker Pos_Quat");
    es_vrpn_put_name(&out, ES_VRPN_TYPE, 5, "vrpn_Tracker Velocity");
    es_vrpn_put_name(&out, ES_VRPN_SENDER, 0, "Probe");
    es_vrpn_put_name(&out, ES_VRPN_SENDER, 1, "Other");
    bool open = put(fd, &out);
    for (int i = 0; i < 60 && open && !f->stop; i++) {
        es_vrpn_message head = {.sender = i % 2, .type = 4, .time_s = 1000 + 0.005 * i};
        es_vrpn_pose pose = {
            .sensor = i % 4 == 2, .place_m = {0.001 * i, 0.5, 0}, .turn = {.w = 1}};
        if (i == 30) pose.turn.w = 0; /* no rotation */
        out.length = 0;
        es_vrpn_put_pose(&out, &head, &pose);
        head.type = 5; /* what we do not know is passed over */
        es_vrpn_put(&out, &head);
        open = send(fd, out.bytes, 50, MSG_NOSIGNAL) == 50;
        usleep(2500);
        open = open && send(fd, out.bytes + 50, out.length - 50, MSG_NOSIGNAL) > 0;
        usleep(2500);
    }
    es_text_free(&out);
}

static void reply_text(int fd, const char *text) {
    char line[256];
    int length =
        snprintf(line, sizeof line, "%s%04X\r", text, (unsigned)es_ndi_crc(text, strlen(text)));
    if (write(fd, line, (size_t)length) != length) return; /* a socket or a serial line */
}

static void reply_tools(fake *f, int fd, bool text) {
    es_ndi_tools tools = TOOLS;
    es_text out = {0};
    int frame = ++f->frame / 2; /* the client asks faster than the tracker measures */
    tools.items[0].frame = tools.items[1].frame = (uint32_t)frame;
    tools.items[0].place_mm.x = frame;
    if (text)
        es_ndi_put_tx(&out, &tools);
    else
        es_ndi_put_bx(&out, &tools);
    put(fd, &out);
    es_text_free(&out);
}

static void reply_ndi(fake *f, int fd, const char *line) {
    size_t used = strlen(f->log);
    if (strncmp(line, "BX", 2) != 0 && strncmp(line, "TX", 2) != 0)
        snprintf(f->log + used, sizeof f->log - used, "%.40s ", line);
    if (strcmp(line, "PHSR:01") == 0)
        reply_text(fd, "0103001");
    else if (strcmp(line, "PHSR:02") == 0)
        reply_text(fd, "020100102001");
    else if (strncmp(line, "PHSR:03", 7) == 0)
        reply_text(fd, "020100102001");
    else if (strncmp(line, "PHRQ:", 5) == 0)
        reply_text(fd, "01");
    else if (strncmp(line, "BX:", 3) == 0 && f->no_bx)
        reply_text(fd, "ERROR01");
    else if (strncmp(line, "BX:", 3) == 0)
        reply_tools(f, fd, false);
    else if (strncmp(line, "TX:", 3) == 0)
        reply_tools(f, fd, true);
    else
        reply_text(fd, "OKAY");
}

static void serve_ndi(fake *f, int fd) {
    char line[512];
    size_t length = 0;
    while (!f->stop) {
        if (!readable(fd, 20)) continue;
        ssize_t got = read(fd, line + length, 1);
        if (got <= 0) return;
        length += (size_t)got;
        if (line[length - 1] != '\r' && length < sizeof line) continue;
        /* a colon: four digits of the sum of what stands before them */
        char sum[8];
        line[length - 1] = '\0';
        snprintf(sum, sizeof sum, "%04X", (unsigned)es_ndi_crc(line, length - 5));
        bool right = strcmp(sum, line + length - 5) == 0;
        line[length - 5] = '\0';
        if (right)
            reply_ndi(f, fd, line);
        else
            reply_text(fd, "ERROR02");
        length = 0;
    }
}

/* ---- clients ------------------------------------------------------------------------------------
 */

enum { KEPT = 1024 };
typedef struct seen {
    pthread_mutex_t lock;
    es_tracked items[KEPT];
    size_t count;
} seen;

static void on_pose(void *context, const es_tracked *tracked) {
    seen *s = context;
    pthread_mutex_lock(&s->lock);
    if (s->count < KEPT) s->items[s->count++] = *tracked;
    pthread_mutex_unlock(&s->lock);
}

static bool wait_poses(seen *s, size_t count) {
    double until = es_clock_s() + 8;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        size_t have = s->count;
        pthread_mutex_unlock(&s->lock);
        if (have >= count || es_clock_s() > until) return have >= count;
        usleep(5000);
    }
}

static es_tracker *open_at(const char *form, int port, seen *s) {
    char address[400];
    es_error err = {0};
    es_tracker_options options = {.pose = on_pose, .context = s};
    pthread_mutex_init(&s->lock, NULL);
    s->count = 0;
    snprintf(address, sizeof address, form, port);
    es_tracker *tracker = es_tracker_open(address, &options, &err);
    if (!tracker) fail_msg("%s", err.message);
    return tracker;
}

/* Waits until the problem has the word; bounded. */
static bool wait_problem(es_tracker *tracker, const char *word) {
    es_tracker_state now;
    double until = es_clock_s() + 8;
    do {
        usleep(10000);
        es_tracker_look(tracker, &now);
    } while (!strstr(now.problem, word) && es_clock_s() < until);
    return strstr(now.problem, word) != NULL;
}

static void a_vrpn_client_reads_its_sender_and_comes_back(void **state) {
    (void)state;
    static seen s;
    fake f = {.serve = serve_vrpn};
    es_tracker_state now;
    start_fake(&f);
    es_tracker *tracker = open_at("vrpn://Probe@127.0.0.1:%d?up=z-to-y", f.port, &s);
    assert_true(wait_poses(&s, 40)); /* 30 a connection: it has to connect again */
    es_tracker_look(tracker, &now);
    es_tracker_close(tracker);
    stop_fake(&f);
    assert_true(now.connects >= 2 && now.malformed == 0 && now.clock == ES_CLOCK_ARRIVAL);
    for (size_t i = 0; i < 30; i++) {
        const es_live_pose *p = &s.items[i].pose;
        assert_string_equal(p->name, i % 2 ? "Probe_1ToTracker" : "ProbeToTracker");
        assert_int_equal(p->valid, i != 15); /* the thirtieth of both senders */
        if (!p->valid) continue;
        assert_float_equal(p->matrix.m[3], 2.0 * (double)i, 1e-9);
        assert_float_equal(p->matrix.m[11], -500, 1e-9); /* y up -> -z */
    }
    /* stamps are laid on our clock: 10 ms apart, whatever the ways did, once the fastest
     * packet of the half second is known */
    double steps = s.items[29].pose.time_s - s.items[0].pose.time_s;
    assert_float_equal(steps, 0.29, 0.1); /* the fit may move by the delay of the first */
}

static void what_is_no_vrpn_server_is_told(void **state) {
    (void)state;
    static seen s;
    fake f = {.serve = serve_vrpn, .garbage = true};
    start_fake(&f);
    es_tracker *tracker = open_at("vrpn://127.0.0.1:%d", f.port, &s);
    assert_true(wait_problem(tracker, "HTTP/1.1"));
    es_tracker_close(tracker);
    stop_fake(&f);
    assert_int_equal(s.count, 0);
}

static void check_ndi(const char *form, const char *commands, fake *f) {
    static seen s;
    es_tracker_state now;
    start_fake(f);
    es_tracker *tracker = open_at(form, f->port, &s);
    assert_true(wait_poses(&s, 40));
    es_tracker_look(tracker, &now);
    es_tracker_close(tracker);
    stop_fake(f);
    assert_true(now.connected && now.clock == ES_CLOCK_NONE);
    assert_int_equal(strncmp(f->log, commands, strlen(commands)), 0);

    assert_string_equal(f->log + strlen(f->log) - 7, "TSTOP: ");
    double last = -1;
    for (size_t i = 0; i < 40; i++) {
        const es_live_pose *p = &s.items[i].pose;
        assert_int_equal(p->valid, i % 2 == 0); /* the second tool is missing */
        if (!p->valid) continue;
        assert_true(p->matrix.m[3] > last); /* no frame twice */
        last = p->matrix.m[3];
        assert_float_equal(p->matrix.m[11], -1800, 1e-9);
        assert_float_equal(s.items[i].error_mm, 0.125, 1e-9);
    }
    assert_string_equal(s.items[1].pose.name, "Tool02ToTracker");
}

static void an_ndi_client_starts_the_tools_and_reads_bx_or_tx(void **state) {
    (void)state;
    static const char plain[] = "INIT: PHSR:01 PHF:03 PHSR:02 PINIT:01 PINIT:02 PHSR:03 PENA:01D "
                                "PENA:02D TSTART: ";
    fake bx = {.serve = serve_ndi}, tx = {.serve = serve_ndi, .no_bx = true};
    check_ndi("ndi://127.0.0.1:%d", plain, &bx);
    check_ndi("ndi://127.0.0.1:%d?reply=tx", plain, &tx);
}

static void *serve_line(void *context) {
    fake *f = context;
    serve_ndi(f, f->client);
    return NULL;
}

/* A pseudo terminal hears no break and has no rate: what is tried is the talk. */
static void an_ndi_tracker_on_a_serial_line_is_asked_for_a_faster_rate_first(void **state) {
    (void)state;
    static seen s;
    fake f = {.serve = serve_ndi};
    char address[200];
    f.client = posix_openpt(O_RDWR | O_NOCTTY);
    if (f.client < 0 || grantpt(f.client) != 0 || unlockpt(f.client) != 0) {
        print_message("no pseudo terminals here\n");
        skip();
    }
    snprintf(address, sizeof address, "ndi://%s", ptsname(f.client));
    int held = open(ptsname(f.client), O_RDWR | O_NOCTTY); /* else the line ends between two */
    assert_int_equal(pthread_create(&f.thread, NULL, serve_line, &f), 0);
    es_tracker *tracker = open_at(address, 0, &s);
    bool came = wait_poses(&s, 20);
    es_tracker_close(tracker);
    f.stop = true;
    pthread_join(f.thread, NULL);
    close(held);
    close(f.client);
    assert_true(came);
    assert_int_equal(strncmp(f.log, "COMM:50000 INIT: PHSR:01 ", 25), 0);
    assert_true(s.items[0].pose.valid && s.items[0].pose.matrix.m[11] == -1800);
    assert_string_equal(f.log + strlen(f.log) - 7, "TSTOP: ");
}

static void a_tracker_without_bx_is_told_with_its_error(void **state) {
    (void)state;
    static seen s;
    fake f = {.serve = serve_ndi, .no_bx = true};
    start_fake(&f);
    es_tracker *tracker = open_at("ndi://127.0.0.1:%d", f.port, &s);
    assert_true(wait_problem(tracker, "reply=tx"));
    es_tracker_close(tracker);
    stop_fake(&f);
}

static void a_tool_definition_is_loaded_in_blocks_and_names_the_tool(void **state) {
    (void)state;
    static seen s;
    char path[] = "/tmp/echosolid-rom-XXXXXX", form[200];
    int fd = mkstemp(path);
    uint8_t rom[100];
    for (int i = 0; i < 100; i++) rom[i] = (uint8_t)i;
    assert_int_equal(write(fd, rom, sizeof rom), 100);
    close(fd);
    fake f = {.serve = serve_ndi};
    start_fake(&f);
    snprintf(form, sizeof form, "ndi://127.0.0.1:%%d?rom=Probe:%s", path);
    es_tracker *tracker = open_at(form, f.port, &s);
    bool came = wait_poses(&s, 4);
    es_tracker_close(tracker);
    stop_fake(&f);
    unlink(path);
    assert_true(came);
    assert_string_equal(s.items[0].pose.name, "ProbeToTracker");
    assert_non_null(strstr(f.log, "PHRQ:*********1**** PVWR:01000000010203"));
    assert_non_null(strstr(f.log, "PVWR:0100404041424344"));
}

static void lines_over_udp_are_read_and_bad_ones_counted(void **state) {
    (void)state;
    static seen s;
    int port, sender = bound_socket(SOCK_DGRAM, &port), own;
    close(bound_socket(SOCK_DGRAM, &own)); /* a port that was free just now */
    es_tracker *tracker = open_at("udp://:%d", own, &s);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)own),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *texts[] = {"1,Probe,1,2,3,1,0,0,0\n2,Probe,2,2,3,1,0,0,0",
                           "",
                           "rubbish",
                           "# a remark",
                           "{\"name\": \"StylusToReference\", \"valid\": false}\n",
                           "\x1b[2J,\x1b[31mProbe,1,2,3,1,0,0,0",
                           "3,Pr\x1bobe,1,2,3,1,0,0,0"};
    for (size_t i = 0; i < 7; i++)
        sendto(sender, texts[i], strlen(texts[i]), 0, (struct sockaddr *)&to, sizeof to);
    assert_true(wait_poses(&s, 4));
    es_tracker_state now;
    es_tracker_look(tracker, &now);
    es_tracker_close(tracker);
    close(sender);
    assert_int_equal(now.malformed, 2);
    assert_string_equal(s.items[2].pose.name, "StylusToReference");
    assert_false(s.items[2].pose.valid);
    assert_string_equal(s.items[3].pose.name, "Pr_obeToTracker"); /* nothing for a terminal */
}

static void poses_reach_the_queue_of_the_pictures(void **state) {
    (void)state;
    int port, sender = bound_socket(SOCK_DGRAM, &port), own;
    close(bound_socket(SOCK_DGRAM, &own));
    char address[64];
    es_live_poses *poses = es_live_poses_new(4, NULL);
    es_tracker_options options = {.pose = es_tracker_push, .context = poses};
    snprintf(address, sizeof address, "udp://:%d", own);
    es_tracker *tracker = es_tracker_open(address, &options, NULL);
    assert_non_null(tracker);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)own),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    sendto(sender, ",Probe,1,2,3,1,0,0,0", 20, 0, (struct sockaddr *)&to, sizeof to);
    es_live_pose pose;
    double until = es_clock_s() + 8;
    while (es_live_poses_take(poses, &pose, 1) == 0 && es_clock_s() < until) usleep(5000);
    es_tracker_close(tracker);
    es_live_poses_free(poses);
    close(sender);
    assert_string_equal(pose.name, "ProbeToTracker");
    assert_true(pose.valid && pose.matrix.m[11] == 3);
}

static void a_port_in_use_is_told_at_once(void **state) {
    (void)state;
    int port, fd = bound_socket(SOCK_DGRAM, &port);
    char address[64];
    es_error err = {0};
    es_tracker_options options = {.pose = on_pose};
    snprintf(address, sizeof address, "udp://:%d", port);
    assert_null(es_tracker_open(address, &options, &err));
    assert_int_equal(err.code, ES_IO);
    close(fd);
}

static void lines_over_tcp_come_in_pieces_and_both_ways(void **state) {
    (void)state;
    static seen s;
    int own;
    close(bound_socket(SOCK_STREAM, &own));
    es_tracker *tracker = open_at("tcp://:%d?clock=sent", own, &s);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)own),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int round = 0; round < 2; round++) { /* the second sender comes when the first left */
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        static char flood[6000];
        memset(flood, 'x', sizeof flood);
        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
        assert_int_equal(send(fd, "77,Probe,1,2", 12, 0), 12);
        usleep(30000);
        assert_int_equal(send(fd, ",3,1,0,0,0\n", 11, 0), 11);
        assert_int_equal(send(fd, flood, sizeof flood, 0), sizeof flood);  /* one line too long */
        assert_int_equal(send(fd, "\n78,Probe,1,2,3,1,0,0,0", 23, 0), 23); /* without its end */
        close(fd);
        assert_true(wait_poses(&s, 2 * (size_t)round + 2));
    }
    es_tracker_state now;
    es_tracker_look(tracker, &now);
    es_tracker_close(tracker);
    assert_true(s.items[0].pose.time_s == 77 && s.items[1].pose.time_s == 78);
    assert_int_equal(now.malformed, 2); /* each once, however many pieces it came in */
}

static void closing_is_quick_whatever_the_other_side_does(void **state) {
    (void)state;
    static seen s;
    /* 192.0.2.0/24 is for documents: nobody is there */
    const char *forms[] = {"vrpn://192.0.2.1:%d", "ndi://192.0.2.1:%d", "tcp://192.0.2.1:%d",
                           "natnet://192.0.2.1:%d", "udp://:%d"};
    for (size_t i = 0; i < 5; i++) {
        es_tracker *tracker = open_at(forms[i], 45671, &s);
        usleep(30000);
        double before = es_clock_s();
        es_tracker_close(tracker);
        assert_true(es_clock_s() - before <
                    10); /* 0.1 s a wait; a connection is tried for minutes */
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN); /* a client may go while it is answered */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_and_commas_say_the_same_pose),
        cmocka_unit_test(what_a_line_may_leave_out_is_told_as_absent),
        cmocka_unit_test(lines_that_are_no_pose_are_refused_with_a_reason),
        cmocka_unit_test(vrpn_bytes_are_read_and_written),
        cmocka_unit_test(vrpn_that_is_cut_waits_and_that_is_wild_ends),
        cmocka_unit_test(ndi_sums_are_those_of_the_protocol),
        cmocka_unit_test(bx_and_tx_say_the_same_tools),
        cmocka_unit_test(a_tx_reply_typed_by_hand_is_read),
        cmocka_unit_test(broken_bx_replies_are_refused),
        cmocka_unit_test(a_vrpn_client_reads_its_sender_and_comes_back),
        cmocka_unit_test(what_is_no_vrpn_server_is_told),
        cmocka_unit_test(an_ndi_client_starts_the_tools_and_reads_bx_or_tx),
        cmocka_unit_test(an_ndi_tracker_on_a_serial_line_is_asked_for_a_faster_rate_first),
        cmocka_unit_test(a_tracker_without_bx_is_told_with_its_error),
        cmocka_unit_test(a_tool_definition_is_loaded_in_blocks_and_names_the_tool),
        cmocka_unit_test(lines_over_udp_are_read_and_bad_ones_counted),
        cmocka_unit_test(poses_reach_the_queue_of_the_pictures),
        cmocka_unit_test(a_port_in_use_is_told_at_once),
        cmocka_unit_test(lines_over_tcp_come_in_pieces_and_both_ways),
        cmocka_unit_test(closing_is_quick_whatever_the_other_side_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
