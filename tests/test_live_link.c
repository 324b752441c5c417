/* The OpenIGTLink client and server over loopback: what was sent is what comes,
 * and nothing that anybody sends or leaves unsent does harm. */
#include "live_scene.h"

#include <signal.h>
#include <sys/wait.h>

static es_live *open_live(int port, double first_s, es_error *err) {
    es_live_options o = ES_LIVE_DEFAULTS;
    o.port = port;
    o.first_s = first_s;
    return es_live_open(&o, err);
}

static es_live *open_sure(int port) {
    es_error err = {0};
    es_live *live = open_live(port, 8, &err);
    if (!live) fail_msg("%s", err.message);
    return live;
}

static bool next_frame(es_live *live, es_frame *frame, double timeout_s) {
    bool end = true;
    if (!es_live_wait(live, timeout_s)) return false;
    assert_true(es_source_next(es_live_source(live), frame, ES_READ_PIXELS, &end, NULL));
    return !end;
}

/* ---- the client ----------------------------------------------------------------------- */

static void check_frame(const es_frame *got, const es_frame *sent, double first_s) {
    assert_int_equal(got->index, sent->index);
    assert_int_equal(es_image_bytes(&got->image), es_image_bytes(&sent->image));
    assert_memory_equal(got->image.data, sent->image.data, es_image_bytes(&sent->image));
    /* The stamp's unit is 2^-32 s; a double holds Unix seconds to 2.4e-7 s. */
    assert_true(fabs((got->time_s - first_s) - (sent->time_s - 5)) < 1e-6);
    const es_frame_transform *a = es_frame_find_transform(got, "ProbeToTracker");
    const es_frame_transform *b = es_frame_find_transform(sent, "ProbeToTracker");
    assert_non_null(a);
    assert_int_equal(a->valid, b->valid);
    assert_string_equal(a->status, b->status);
    if (b->valid) assert_memory_equal(&a->matrix, &b->matrix, sizeof a->matrix);
    assert_string_equal(es_fields_get(&got->fields, "ProbeButton"),
                        es_fields_get(&sent->fields, "ProbeButton"));
}

static void the_frames_that_come_are_those_of_the_recording(void **state) {
    (void)state;
    live_player p = player_make(SCENE_FRAMES, 100);
    live_scene again = p.scene;
    es_live *live = open_sure(player_start(&p, 0));
    es_source *recording = scene_open(&again);
    es_frame got = {0}, sent = {0};
    double first_s = 0;
    bool end;
    const es_stream_info *info = es_source_info(es_live_source(live));
    assert_int_equal(info->width, 32);
    assert_int_equal(info->height, 24);
    assert_int_equal(info->frame_count, -1);
    for (int f = 0; f < SCENE_FRAMES; f++) {
        assert_true(next_frame(live, &got, 5));
        assert_true(es_source_next(recording, &sent, ES_READ_PIXELS, &end, NULL));
        if (f == 0) first_s = got.time_s;
        check_frame(&got, &sent, first_s);
    }
    es_live_stats s = es_live_statistics(live);
    assert_int_equal(s.pictures, SCENE_FRAMES);
    assert_int_equal(s.lost + s.odd + s.crc + s.malformed, 0);
    assert_true(s.poses >= SCENE_FRAMES - 1); /* the last may still be on its way */
    es_frame_clear(&got);
    es_frame_clear(&sent);
    es_source_free(recording);
    es_live_free(live);
    player_end(&p);
}

static void stopping_ends_the_frames(void **state) {
    (void)state;
    live_player p = player_make(4, 100);
    es_live *live = open_sure(player_start(&p, 0));
    es_frame frame = {0};
    while (next_frame(live, &frame, 0.3)) {
    }
    es_live_stop(live);
    bool end = false;
    assert_true(es_source_next(es_live_source(live), &frame, 0, &end, NULL));
    assert_true(end);
    assert_false(es_source_can_rewind(es_live_source(live)));
    es_frame_clear(&frame);
    es_live_free(live);
    player_end(&p);
}

static void a_server_that_goes_away_and_returns_is_found_again(void **state) {
    (void)state;
    live_player p = player_make(20, 100);
    int port = player_start(&p, 0);
    es_live *live = open_sure(port);
    es_frame frame = {0};
    for (int f = 0; f < 10; f++) assert_true(next_frame(live, &frame, 5));
    player_end(&p);
    p = player_make(20, 100);
    assert_int_equal(player_start(&p, port), port);
    int after = 0;
    for (double end = es_clock_s() + 10; after < 20 && es_clock_s() < end;)
        after += next_frame(live, &frame, 0.5);
    assert_true(after >= 20);
    assert_true(es_live_statistics(live).connections >= 2);
    es_frame_clear(&frame);
    es_live_free(live);
    player_end(&p);
}

static void nobody_at_the_port_is_told_in_words(void **state) {
    (void)state;
    int port, listener = raw_listen(&port);
    es_error err = {0};
    close(listener);
    assert_null(open_live(port, 0.5, &err));
    assert_int_equal(err.code, ES_IO);
    assert_non_null(strstr(err.message, "refused"));
}

/* A server made of bytes: accepts one client, sends them, and stays. */
static void serve_bytes(const void *bytes, size_t length, es_error *err) {
    int port, listener = raw_listen(&port);
    es_live_options o = ES_LIVE_DEFAULTS;
    o.port = port;
    o.first_s = 1;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 4; i++) {
            int fd = accept(listener, NULL, NULL);
            if (fd < 0 || send(fd, bytes, length, MSG_NOSIGNAL) < 0) _exit(0);
            rest_s(0.2);
            close(fd);
        }
        _exit(0);
    }
    es_live *live = es_live_open(&o, err);
    assert_null(live);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(listener);
}

static void garbage_from_a_server_is_no_picture(void **state) {
    (void)state;
    uint8_t garbage[4000];
    es_error err = {0};
    es_random random = es_random_new(7, 0);
    for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (uint8_t)es_random_bits(&random);
    serve_bytes(garbage, sizeof garbage, &err);
    assert_int_equal(err.code, ES_IO);
}

static void four_gigabytes_that_are_announced_are_not_waited_for(void **state) {
    (void)state;
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 1, .device = "Image_Image"};
    es_error err = {0};
    es_igtl_put_raw(&out, &head, "IMAGE", "", 0);
    memset(out.bytes + 42, 0, 8);
    out.bytes[45] = 1; /* body of 2^32 bytes */
    uint64_t before = es_memory_peak();
    serve_bytes(out.bytes, out.length, &err);
    assert_int_equal(err.code, ES_IO);
    assert_true(es_memory_peak() < before + (64 << 20));
    es_igtl_out_clear(&out);
}

static void a_text_that_is_no_address_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", ":", ":18944", "host:", "host:0", "host:65536", "host:x", "[]:1"};
    char host[256];
    int port;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_error err = {0};
        assert_false(es_live_endpoint(bad[i], host, &port, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    assert_true(es_live_endpoint("10.0.0.5:1234", host, &port, NULL));
    assert_string_equal(host, "10.0.0.5");
    assert_int_equal(port, 1234);
    assert_true(es_live_endpoint("scanner", host, &port, NULL));
    assert_int_equal(port, 18944);
    assert_true(es_live_endpoint("[::1]:77", host, &port, NULL));
    assert_string_equal(host, "::1");
    assert_int_equal(port, 77);
    assert_true(es_live_endpoint("fe80::1", host, &port, NULL));
    assert_string_equal(host, "fe80::1");
}

/* ---- what messages mean ------------------------------------------------------------------ */

typedef struct one_picture {
    const char *device;
    const char *const *image_meta;
    es_mat4 place, pose;
    const char *const *pose_meta;
    int version;
} one_picture;

typedef struct sender {
    es_live_server *server;
    es_igtl_out out;
} sender;

/* Sends once the client has said hello, so that it gets what it asked for. */
static void *send_after_hello(void *context) {
    sender *s = context;
    for (int i = 0; i < 500 && es_live_server_statistics(s->server).received == 0; i++)
        rest_s(0.01);
    es_live_server_send(s->server, &s->out, false);
    return NULL;
}

/* Sends the picture and the pose with one stamp; gives the frame. */
static void exchange(const one_picture *o, es_frame *frame) {
    es_live_server_options so = ES_LIVE_SERVER_DEFAULTS;
    so.port = 0;
    sender s = {.server = es_live_server_new(&so, NULL)};
    assert_non_null(s.server);
    uint8_t pixels[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {4, 3, 1},
                           .part_size = {4, 3, 1},
                           .pixels = pixels,
                           .bytes = 12};
    image.matrix = es_igtl_image_centre(o->place, image.size);
    es_igtl_head head = {
        .version = o->version, .device = o->device, .time = 77ULL << 32, .meta = o->image_meta};
    es_igtl_put_image(&s.out, &head, &image);
    head.device = "ProbeToTracker";
    head.meta = o->pose_meta;
    es_igtl_put_transform(&s.out, &head, o->pose);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_after_hello, &s), 0);
    es_live *live = open_sure(es_live_server_port(s.server));
    assert_true(next_frame(live, frame, 5));
    pthread_join(thread, NULL);
    es_igtl_out_clear(&s.out);
    es_live_free(live);
    es_live_server_free(s.server);
}

static es_mat4 some_place(void) {
    es_mat4 place = es_mat4_rotation(es_vec3_make(0, 1, 0.5), 0.7);
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 2; column++) place.m[4 * row + column] *= 0.25;
    place.m[3] = 12;
    place.m[7] = -3;
    return place;
}

static bool is_valid(const es_frame *frame, const char *name) {
    const es_frame_transform *t = es_frame_find_transform(frame, name);
    return t && t->valid;
}

static void the_name_of_a_picture_says_where_its_matrix_leads(void **state) {
    (void)state;
    es_frame frame = {0};
    one_picture o = {
        .device = "Image_Reference", .place = some_place(), .pose = scene_pose(2), .version = 1};
    exchange(&o, &frame);
    assert_true(frame.time_s == 77);
    assert_true(is_valid(&frame, "ImageToReference"));
    const es_frame_transform *t = es_frame_find_transform(&frame, "ImageToReference");
    for (int i = 0; i < 16; i++) /* floats on the wire: 24 bits of numbers up to 12 */
        assert_true(fabs(t->matrix.m[i] - o.place.m[i]) < 4e-6);
    assert_true(is_valid(&frame, "ProbeToTracker"));
    es_frame_clear(&frame);
}

static void a_picture_with_an_old_place_is_not_believed(void **state) {
    (void)state;
    static const char *const lost[] = {"ProbeToTrackerTransform", "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                                       "ProbeToTrackerTransformStatus", "OUT_OF_VIEW", NULL};
    static const char *const flag[] = {"ImageToReferenceTransformStatus", "MISSING", NULL};
    es_frame frame = {0};
    one_picture o = {
        .device = "Image_Reference", .place = some_place(), .pose = scene_pose(2), .version = 2};
    const char *const *metas[] = {lost, flag};
    for (int i = 0; i < 2; i++) {
        o.image_meta = metas[i];
        exchange(&o, &frame);
        assert_non_null(es_frame_find_transform(&frame, "ImageToReference"));
        assert_false(is_valid(&frame, "ImageToReference"));
        es_frame_clear(&frame);
    }
    o.image_meta = NULL;
    o.place = es_mat4_scaling(0.2, 0.2, 1); /* no turn, no place: nobody's probe is there */
    exchange(&o, &frame);
    assert_false(is_valid(&frame, "ImageToReference"));
    es_frame_clear(&frame);
}

static void a_tool_out_of_view_is_not_seen_however_it_is_told(void **state) {
    (void)state;
    static const char *const missing[] = {"TransformStatus", "OUT_OF_VIEW", NULL};
    static const char *const invalid[] = {"TransformValid", "0", NULL};
    static const char *const fine[] = {"TransformValid", "1", "TransformStatus", "OK", NULL};
    const struct {
        es_mat4 pose;
        const char *const *meta;
        bool valid;
    } cases[] = {
        {scene_pose(1), missing, false}, {scene_pose(1), invalid, false},
        {scene_pose(1), fine, true},     {es_mat4_identity(), NULL, false},
        {scene_pose(1), NULL, true},     {es_mat4_identity(), fine, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_frame frame = {0};
        one_picture o = {.device = "Image_Image",
                         .place = es_mat4_identity(),
                         .pose = cases[i].pose,
                         .pose_meta = cases[i].meta,
                         .version = 2};
        exchange(&o, &frame);
        assert_int_equal(is_valid(&frame, "ProbeToTracker"), cases[i].valid);
        assert_null(es_frame_find_transform(&frame, "ImageToImage"));
        es_frame_clear(&frame);
    }
}

/* A recording's lines are "name:=value": no name may break them. */
static void names_that_no_recording_can_hold_do_not_come_in(void **state) {
    (void)state;
    static const char *const odd[] = {"a:b",
                                      "1",
                                      "c=d",
                                      "2",
                                      "e\nf",
                                      "3",
                                      "Good",
                                      "4",
                                      "x:ToTrackerTransform",
                                      "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
                                      NULL};
    static const char *const device[] = {"IGTL_DEVICE_NAME", "Pro:beTo=Tracker", NULL};
    es_frame frame = {0};
    one_picture o = {.device = "Image_Image",
                     .image_meta = odd,
                     .place = es_mat4_identity(),
                     .pose = scene_pose(1),
                     .pose_meta = device,
                     .version = 2};
    exchange(&o, &frame);
    assert_int_equal(frame.fields.count, 1);
    assert_string_equal(es_fields_get(&frame.fields, "Good"), "4");
    for (size_t i = 0; i < frame.transform_count; i++)
        assert_null(strpbrk(frame.transforms[i].name, ":=\n"));
    assert_int_equal(frame.transform_count, 1);
    es_frame_clear(&frame);
}

/* ---- the server -------------------------------------------------------------------------------
 */

static es_live_server *open_server(const es_live_server_options *change) {
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    if (change) o = *change;
    o.port = 0;
    es_live_server *server = es_live_server_new(&o, &err);
    if (!server) fail_msg("%s", err.message);
    return server;
}

static void send_pose(es_live_server *server, const char *name, double x) {
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = name, .time = 1};
    es_igtl_put_transform(&out, &head, es_mat4_translation(x, 0, 0));
    assert_true(es_live_server_send(server, &out, false));
    es_igtl_out_clear(&out);
}

static bool wait_clients(es_live_server *server, int clients) {
    for (int i = 0; i < 500; i++) {
        if (es_live_server_statistics(server).clients == clients) return true;
        rest_s(0.01);
    }
    return false;
}

static void a_client_gets_version_two_once_it_has_shown_it(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_message m;
    assert_true(wait_clients(server, 1));
    send_pose(server, "ProbeToTracker", 1);
    assert_true(raw_next(&r, "TRANSFORM", &m));
    assert_int_equal(m.version, 1);
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "x"};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    raw_send(r.fd, out.bytes, out.length);
    es_igtl_out_clear(&out);
    for (int i = 0; i < 100 && m.version == 1; i++) {
        rest_s(0.01);
        send_pose(server, "ProbeToTracker", 2);
        assert_true(raw_next(&r, "TRANSFORM", &m));
    }
    assert_int_equal(m.version, 2);
    raw_close(&r);
    es_live_server_free(server);
}

static void garbage_a_wrong_sum_and_half_a_header_harm_nobody_else(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    int port = es_live_server_port(server);
    raw_reader good = {.fd = raw_connect(port)};
    int garbage = raw_connect(port), half = raw_connect(port), sum = raw_connect(port);
    uint8_t bytes[200];
    memset(bytes, 0x5a, sizeof bytes);
    raw_send(garbage, bytes, sizeof bytes);
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 1, .device = "x"};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    raw_send(half, out.bytes, 30);
    out.bytes[50] ^= 1;
    raw_send(sum, out.bytes, out.length);
    assert_true(raw_closes(garbage));
    for (int i = 0; i < 100 && es_live_server_statistics(server).crc == 0; i++) rest_s(0.01);
    assert_int_equal(es_live_server_statistics(server).crc, 1);
    assert_int_equal(es_live_server_statistics(server).malformed, 1);
    assert_true(wait_clients(server, 3)); /* the other two are still welcome */
    es_igtl_message m;
    send_pose(server, "ProbeToTracker", 1);
    assert_true(raw_next(&good, "TRANSFORM", &m));
    close(garbage);
    close(half);
    close(sum);
    raw_close(&good);
    assert_true(wait_clients(server, 0));
    es_igtl_out_clear(&out);
    es_live_server_free(server);
}

static void a_huge_body_that_is_announced_ends_the_connection(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    int fd = raw_connect(es_live_server_port(server));
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 1, .device = "x"};
    es_igtl_put_raw(&out, &head, "STRING", "", 0);
    memset(out.bytes + 42, 0x7f, 8);
    raw_send(fd, out.bytes, ES_IGTL_HEADER);
    assert_true(raw_closes(fd));
    close(fd);
    es_igtl_out_clear(&out);
    es_live_server_free(server);
}

static void a_slow_reader_gets_the_newest_and_keeps_nobody_waiting(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    int port = es_live_server_port(server);
    raw_reader slow = {.fd = raw_connect(port)}, quick = {.fd = raw_connect(port)};
    assert_true(wait_clients(server, 2));
    uint8_t *pixels = test_calloc(1000 * 1000, 1);
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .frame = 1,
                           .size = {1000, 1000, 1},
                           .part_size = {1000, 1000, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = 1000 * 1000};
    double start = es_clock_s();
    es_igtl_message m;
    for (int i = 1; i <= 60; i++) {
        es_igtl_out out = {0};
        es_igtl_head head = {.version = 2, .device = "Image", .time = (uint64_t)i << 32};
        es_igtl_put_image(&out, &head, &image);
        assert_true(es_live_server_send(server, &out, false));
        es_igtl_out_clear(&out);
        assert_true(raw_next(&quick, "IMAGE", &m));
        assert_int_equal(m.time >> 32, i); /* nothing is dropped for who reads */
    }
    assert_true(es_clock_s() - start < 120); /* 60 MB; a blocked sender would never come here */
    assert_true(es_live_server_statistics(server).dropped > 20);
    uint64_t last = 0;
    int count = 0;
    while (last < 60 && raw_next(&slow, "IMAGE", &m)) {
        assert_true(m.time >> 32 > last);
        last = m.time >> 32;
        count++;
    }
    assert_int_equal(last, 60);
    assert_true(count < 40);
    test_free(pixels);
    raw_close(&slow);
    raw_close(&quick);
    es_live_server_free(server);
}

static void fifty_clients_come_and_go(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    int port = es_live_server_port(server);
    raw_reader readers[50] = {{0}};
    es_igtl_message m;
    for (int i = 0; i < 50; i++) readers[i].fd = raw_connect(port);
    assert_true(wait_clients(server, 50));
    send_pose(server, "ProbeToTracker", 3);
    for (int i = 0; i < 50; i += 7) assert_true(raw_next(&readers[i], "TRANSFORM", &m));
    for (int i = 0; i < 50; i++) raw_close(&readers[i]);
    assert_true(wait_clients(server, 0));
    es_live_server_free(server);
}

static void clients_beyond_the_limit_are_turned_away(void **state) {
    (void)state;
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    o.clients_max = 2;
    es_live_server *server = open_server(&o);
    int fds[3];
    for (int i = 0; i < 3; i++) fds[i] = raw_connect(es_live_server_port(server));
    assert_true(raw_closes(fds[2]));
    assert_int_equal(es_live_server_statistics(server).clients, 2);
    assert_int_equal(es_live_server_statistics(server).refused, 1);
    for (int i = 0; i < 3; i++) close(fds[i]);
    es_live_server_free(server);
}

static void who_comes_late_gets_what_is_kept(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    es_igtl_message m;
    for (int i = 1; i <= 2; i++) {
        es_igtl_out out = {0};
        es_igtl_head head = {.version = 2, .device = "Bone", .time = (uint64_t)i};
        es_igtl_put_transform(&out, &head, es_mat4_identity());
        assert_true(es_live_server_send(server, &out, true));
        es_igtl_out_clear(&out);
    }
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    assert_true(raw_next(&r, "TRANSFORM", &m));
    assert_int_equal(m.time, 2);
    raw_close(&r);
    es_live_server_free(server);
}

static void other_machines_need_a_token(void **state) {
    (void)state;
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    o.address = "0.0.0.0";
    o.port = 0;
    assert_null(es_live_server_new(&o, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "token"));
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static bool wait_command(es_live_server *server, es_live_command *command) {
    for (int i = 0; i < 500; i++) {
        if (es_live_server_command(server, command)) return true;
        rest_s(0.01);
    }
    return false;
}

static void a_command_is_answered_in_the_way_it_came(void **state) {
    (void)state;
    static const char text[] = "<Command Name=\"Version\" />";
    static const char *const meta[] = {"PlusVersion", "1", NULL};
    const es_live_reply reply = {.ok = true, .message = "a < b", .meta = meta};
    es_live_server *server = open_server(NULL);
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 1, .device = "CMD_12"};
    es_igtl_message m;
    es_live_command command;
    es_igtl_text said;
    es_igtl_put_string(&out, &head, text, strlen(text));
    raw_send(r.fd, out.bytes, out.length);
    raw_send(r.fd, out.bytes, out.length); /* the same number again is left out */
    assert_true(wait_command(server, &command));
    assert_true(command.as_string && command.near_by);
    assert_string_equal(command.text, text);
    assert_true(es_live_server_reply(server, &command, &reply));
    es_live_command_clear(&command);
    assert_true(raw_next(&r, "STRING", &m));
    assert_string_equal(m.device, "ACK_12");
    assert_true(es_igtl_get_string(&m, &said, NULL));
    static const char expected[] = "<CommandReply Status=\"SUCCESS\" Message=\"a &lt; b\" />";
    assert_int_equal(said.length, strlen(expected));
    assert_memory_equal(said.bytes, expected, said.length);

    out.length = 0;
    head = (es_igtl_head){.version = 2, .device = "command"};
    es_igtl_put_command(&out, &head, false, 12, "Version", text, strlen(text));
    raw_send(r.fd, out.bytes, out.length);
    assert_false(es_live_server_command(server, &command));
    out.length = 0;
    es_igtl_put_command(&out, &head, false, 13, "Version", text, strlen(text));
    raw_send(r.fd, out.bytes, out.length);
    assert_true(wait_command(server, &command));
    assert_string_equal(command.name, "Version");
    assert_true(es_live_server_reply(server, &command, &reply));
    es_live_command_clear(&command);
    assert_true(raw_next(&r, "RTS_COMMAND", &m));
    es_igtl_command answer;
    es_igtl_meta status;
    assert_int_equal(m.version, 2);
    assert_true(es_igtl_get_command(&m, &answer, NULL));
    assert_int_equal(answer.id, 13);
    assert_string_equal(answer.name, "Version");
    assert_true(es_igtl_meta_find(&m, "Status", &status));
    assert_int_equal(status.value_length, 7);
    assert_memory_equal(status.value, "SUCCESS", 7);
    assert_true(es_igtl_meta_find(&m, "PlusVersion", &status));
    es_igtl_out_clear(&out);
    raw_close(&r);
    es_live_server_free(server);
}

static void a_flood_of_commands_is_answered_with_busy(void **state) {
    (void)state;
    es_live_server *server = open_server(NULL);
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "command"};
    es_igtl_message m;
    es_igtl_meta error;
    for (uint32_t i = 0; i < 40; i++)
        es_igtl_put_command(&out, &head, false, 100 + i, "Version", "<Command/>", 10);
    raw_send(r.fd, out.bytes, out.length);
    for (int i = 0; i < 8; i++) { /* 32 find room */
        assert_true(raw_next(&r, "RTS_COMMAND", &m));
        assert_true(es_igtl_meta_find(&m, "Error", &error));
        assert_memory_equal(error.value, "busy", 4);
    }
    es_igtl_out_clear(&out);
    raw_close(&r);
    es_live_server_free(server);
}

static void memory_that_runs_out_ends_in_an_error_not_in_a_crash(void **state) {
    (void)state;
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    o.port = 0;
    for (long n = 0; n < 2; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_null(es_live_server_new(&o, &err));
        es_alloc_fail_after(-1);
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_live_options client = ES_LIVE_DEFAULTS;
    for (long n = 0; n < 2; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        assert_null(es_live_open(&client, &err));
        es_alloc_fail_after(-1);
        assert_int_equal(err.code, ES_MEMORY);
    }
    es_live_free(NULL);
    es_live_server_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frames_that_come_are_those_of_the_recording),
        cmocka_unit_test(stopping_ends_the_frames),
        cmocka_unit_test(a_server_that_goes_away_and_returns_is_found_again),
        cmocka_unit_test(nobody_at_the_port_is_told_in_words),
        cmocka_unit_test(garbage_from_a_server_is_no_picture),
        cmocka_unit_test(four_gigabytes_that_are_announced_are_not_waited_for),
        cmocka_unit_test(a_text_that_is_no_address_is_refused),
        cmocka_unit_test(the_name_of_a_picture_says_where_its_matrix_leads),
        cmocka_unit_test(a_picture_with_an_old_place_is_not_believed),
        cmocka_unit_test(a_tool_out_of_view_is_not_seen_however_it_is_told),
        cmocka_unit_test(names_that_no_recording_can_hold_do_not_come_in),
        cmocka_unit_test(a_client_gets_version_two_once_it_has_shown_it),
        cmocka_unit_test(garbage_a_wrong_sum_and_half_a_header_harm_nobody_else),
        cmocka_unit_test(a_huge_body_that_is_announced_ends_the_connection),
        cmocka_unit_test(a_slow_reader_gets_the_newest_and_keeps_nobody_waiting),
        cmocka_unit_test(fifty_clients_come_and_go),
        cmocka_unit_test(clients_beyond_the_limit_are_turned_away),
        cmocka_unit_test(who_comes_late_gets_what_is_kept),
        cmocka_unit_test(other_machines_need_a_token),
        cmocka_unit_test(a_command_is_answered_in_the_way_it_came),
        cmocka_unit_test(a_flood_of_commands_is_answered_with_busy),
        cmocka_unit_test(memory_that_runs_out_ends_in_an_error_not_in_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
