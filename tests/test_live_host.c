/* The NatNet server of the simulator: what the client of NatNet gets from it is what was
 * put in, in step with pictures that come another way. */
#include "live_scene.h"

#include "echosolid/natnet.h"
#include "echosolid/trackers.h"

/* ---- poses in step with pictures --------------------------------------------------- */

static es_tracker *open_tracker(const es_natnet_host *host, es_live_poses *poses) {
    char address[64];
    es_error err = {0};
    const es_tracker_options options = {.pose = es_tracker_push, .context = poses};
    snprintf(address, sizeof address, "natnet://127.0.0.1:%d", es_natnet_host_port(host));
    es_tracker *tracker = es_tracker_open(address, &options, &err);
    if (!tracker) fail_msg("%s", err.message);
    return tracker;
}

/* Which frame of the scene a picture is. */
static int64_t number_of(const es_image *image) {
    const uint8_t *pixels = image->data;
    for (int64_t f = 0; f < 255; f++)
        if (pixels[0] == scene_pixel(f, 0, 0) && pixels[1] == scene_pixel(f, 1, 0)) return f;
    fail_msg("a picture that was never sent");
    return -1;
}

/* The places of the packets are floats of metres: 2^-24 of some 20 mm, and the turn of a
 * lever of that length. */
static void check_pose(const es_frame_transform *t, int64_t f) {
    es_mat4 truth = scene_pose(f);
    for (int i = 0; i < 12; i++) assert_true(fabs(t->matrix.m[i] - truth.m[i]) < 1e-4);
}

static void the_poses_are_those_of_the_pictures(void **state) {
    (void)state;
    live_player p = player_make(100, 25);
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    es_frame frame = {0};
    bool end = false;
    p.options.natnet = es_natnet_host_new(0, &err);
    if (!p.options.natnet) fail_msg("%s", err.message);
    o.port = player_start(&p, 0);
    o.poses = es_live_poses_new(1000, NULL);
    o.wait_s = 10; /* on a busy machine too */
    o.first_s = 60;
    es_tracker *tracker = open_tracker(p.options.natnet, o.poses);
    es_live *live = es_live_open(&o, &err);
    if (!live) fail_msg("%s", err.message);
    int joined = 0, unseen = 0;
    for (int k = 0; k < 100; k++) {
        assert_true(es_live_wait(live, 60));
        assert_true(es_source_next(es_live_source(live), &frame, ES_READ_PIXELS, &end, NULL));
        const es_frame_transform *t = es_frame_find_transform(&frame, "ProbeToTracker");
        int64_t f = number_of(&frame.image);
        assert_true(frame.transform_count <= 1); /* no body without a name, no pose beside */
        if (t && t->valid) check_pose(t, f);
        joined += t && t->valid;
        bool not_seen = t && !t->valid && strcmp(t->status, "MISSING") != 0;
        if (not_seen) assert_false(scene_sees(f));
        unseen += not_seen;
    }
    /* The first second is only listened to; six of seven of the rest see the probe. */
    assert_true(joined >= 20);
    assert_true(unseen >= 2);
    es_frame_clear(&frame);
    es_tracker_close(tracker);
    es_live_free(live);
    player_end(&p);
    es_natnet_host_free(p.options.natnet);
    es_live_poses_free(o.poses);
}

/* ---- what comes to it ------------------------------------------------------------------ */

static int udp_to(const es_natnet_host *host) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)es_natnet_host_port(host))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static bool ask(int fd, int id, const void *payload, size_t size, uint8_t *bytes,
                es_natnet_packet *reply, double timeout_s) {
    es_text out = {0};
    es_natnet_put(&out, id, payload, size);
    assert_int_equal(send(fd, out.bytes, out.length, 0), (ssize_t)out.length);
    es_text_free(&out);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, (int)(1000 * timeout_s)) <= 0) return false;
    ssize_t got = recv(fd, bytes, 4096, 0);
    return got > 0 && es_natnet_parse(bytes, (size_t)got, reply, NULL);
}

static void it_says_what_it_is_and_which_bodies_it_has(void **state) {
    (void)state;
    es_natnet_host *host = es_natnet_host_new(0, NULL);
    uint8_t bytes[4096];
    es_natnet_packet reply;
    es_natnet_server server;
    static es_natnet_models models;
    es_frame frame = {0};
    int fd = udp_to(host);
    assert_true(ask(fd, ES_NATNET_CONNECT, NULL, 0, bytes, &reply, 60));
    assert_true(es_natnet_get_server(&reply, &server, NULL));
    assert_int_equal(server.version.major, 3);
    assert_false(server.multicast);
    /* Before it knows its bodies it does not say that there are none. */
    assert_false(ask(fd, ES_NATNET_REQUEST_MODELDEF, NULL, 0, bytes, &reply, 0.3));
    const char *const names[] = {"ProbeToTracker", "ImageToProbe", "ReferenceToTracker"};
    for (int i = 0; i < 3; i++)
        assert_true(es_frame_set_transform(&frame, names[i], es_mat4_identity(), true, NULL));
    es_natnet_host_learn(host, &frame);
    assert_true(ask(fd, ES_NATNET_REQUEST_MODELDEF, NULL, 0, bytes, &reply, 60));
    assert_true(es_natnet_get_models(&reply, server.version, &models, NULL));
    assert_int_equal(models.count, 2);
    assert_string_equal(models.items[0].name, "Probe");
    assert_string_equal(models.items[1].name, "Reference");
    es_frame_clear(&frame);
    close(fd);
    es_natnet_host_free(host);
}

static void hostile_packets_and_many_clients_do_no_harm(void **state) {
    (void)state;
    es_natnet_host *host = es_natnet_host_new(0, NULL);
    uint8_t bytes[4096];
    es_natnet_packet reply;
    es_frame frame = {0};
    int fds[40];
    uint32_t seed = 1;
    assert_true(es_frame_set_transform(&frame, "ProbeToTracker", es_mat4_identity(), true, NULL));
    for (int i = 0; i < 40; i++) {
        fds[i] = udp_to(host);
        assert_true(ask(fds[i], ES_NATNET_CONNECT, NULL, 0, bytes, &reply, 60));
        for (int k = 0; k < 20; k++) {
            size_t size = (seed = seed * 1664525 + 1013904223) % 1500;
            for (size_t b = 0; b < size; b++)
                bytes[b] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
            send(fds[i], bytes, size, 0);
        }
        es_natnet_host_put(host, &frame, es_clock_s());
    }
    for (int i = 0; i < 40; i++) close(fds[i]); /* later packets go nowhere */
    es_natnet_host_put(host, &frame, es_clock_s());
    int fd = udp_to(host);
    assert_true(ask(fd, ES_NATNET_CONNECT, NULL, 0, bytes, &reply, 60));
    close(fd);
    es_frame_clear(&frame);
    es_natnet_host_free(host);
}

static void a_port_that_is_taken_is_told(void **state) {
    (void)state;
    es_error err = {0};
    es_natnet_host *host = es_natnet_host_new(0, NULL);
    assert_null(es_natnet_host_new(es_natnet_host_port(host), &err));
    assert_int_equal(err.code, ES_IO);
    es_natnet_host_free(host);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_poses_are_those_of_the_pictures),
        cmocka_unit_test(it_says_what_it_is_and_which_bodies_it_has),
        cmocka_unit_test(hostile_packets_and_many_clients_do_no_harm),
        cmocka_unit_test(a_port_that_is_taken_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
