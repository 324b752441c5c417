/* What clients ask the server for, and what the client makes of parts of pictures,
 * sensors and video. */
#include "live_scene.h"

static es_live_server *open_server(void) {
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    o.port = 0;
    o.same_most = 100;
    es_live_server *server = es_live_server_new(&o, &err);
    if (!server) fail_msg("%s", err.message);
    return server;
}

/* One tracked frame: a picture, the probe, and a stylus that is out of view. */
static void send_frame(es_live_server *server, int f) {
    static const uint8_t pixels[6] = {1, 2, 3, 4, 5, 6};
    static const char *const seen[] = {"TransformValid", "1", "TransformStatus", "OK", NULL};
    static const char *const lost[] = {"TransformValid", "0", "TransformStatus", "OUT_OF_VIEW",
                                       NULL};
    es_igtl_head head = {
        .version = 2, .device = "Image_Reference", .time = (5ULL + (uint64_t)f) << 32};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {3, 2, 1},
                           .part_size = {3, 2, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = 6};
    es_igtl_out out = {0};
    es_igtl_put_image(&out, &head, &image);
    head.device = "ProbeToTracker";
    head.meta = seen;
    es_igtl_put_transform(&out, &head, es_mat4_translation(f, 2, 3));
    head.device = "StylusToTracker";
    head.meta = lost;
    es_igtl_put_transform(&out, &head, es_mat4_identity());
    assert_true(es_live_server_send(server, &out, false));
    es_igtl_out_clear(&out);
}

static void say(const raw_reader *r, es_igtl_out *out) {
    assert_false(out->failed);
    raw_send(r->fd, out->bytes, out->length);
    es_igtl_out_clear(out);
}

static void ask_tools(const raw_reader *r, const char *type, int32_t resolution_ms) {
    es_igtl_head head = {.version = 2, .device = "Reader"};
    es_igtl_stream stream = {.resolution_ms = resolution_ms, .frame = "Tracker"};
    es_igtl_out out = {0};
    es_igtl_put_stream(&out, &head, type, &stream);
    say(r, &out);
}

static void wait_answer(raw_reader *r, const char *type) {
    es_igtl_message m;
    if (!raw_next(r, type, &m)) fail_msg("no %s came", type);
    assert_int_equal(m.content_size, 1);
    assert_int_equal(m.content[0], 0);
}

static void check_status(const es_igtl_message *m, const char *key, const char *expected) {
    es_igtl_meta meta;
    assert_true(es_igtl_meta_find(m, key, &meta));
    assert_int_equal(meta.value_length, strlen(expected));
    assert_memory_equal(meta.value, expected, meta.value_length);
}

static void who_asks_for_tools_gets_them_until_it_asks_no_more(void **state) {
    (void)state;
    es_live_server *server = open_server();
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_message m;
    es_igtl_tool tool;
    ask_tools(&r, "STT_TDATA", 0);
    wait_answer(&r, "RTS_TDATA");
    send_frame(server, 7);
    assert_true(raw_next(&r, "TDATA", &m));
    assert_true(m.time == 12ULL << 32);
    assert_int_equal(es_igtl_tool_count(&m), 2);
    assert_true(es_igtl_get_tool(&m, 0, &tool, NULL));
    assert_string_equal(tool.name, "ProbeToTracker");
    assert_float_equal(tool.matrix.m[3], 7, 0);
    check_status(&m, "ProbeToTrackerStatus", "OK");
    check_status(&m, "StylusToTrackerStatus", "MISSING");
    es_igtl_head head = {.version = 2, .device = "Reader"};
    es_igtl_out out = {0};
    es_igtl_put_raw(&out, &head, "STP_TDATA", NULL, 0);
    say(&r, &out);
    wait_answer(&r, "RTS_TDATA");
    send_frame(server, 8);
    while (raw_next(&r, "", &m) && strcmp(m.device, "StylusToTracker") != 0)
        assert_string_not_equal(m.type, "TDATA");
    raw_close(&r);
    es_live_server_free(server);
}

/* 50 frames 10 ms apart at a resolution of 100 ms: about every tenth. The machine may
 * be slow, then fewer frames fall between two of them, but never more of them come
 * than the time that went by allows. */
static void tools_come_at_the_resolution_that_was_asked_for(void **state) {
    (void)state;
    es_live_server *server = open_server();
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_message m;
    es_igtl_tool tool;
    ask_tools(&r, "STT_QTDATA", 100);
    wait_answer(&r, "RTS_QTDATA");
    double start = es_clock_s();
    for (int f = 0; f < 50; f++) {
        send_frame(server, f);
        rest_s(0.01);
    }
    double took = es_clock_s() - start;
    int tools = 0;
    do {
        assert_true(raw_next(&r, "", &m));
        bool one = strcmp(m.type, "QTDATA") == 0;
        tools += one;
        if (one) assert_true(es_igtl_get_tool(&m, 0, &tool, NULL));
    } while (strcmp(m.device, "StylusToTracker") != 0 || m.time != 54ULL << 32);
    assert_true(tools >= 4 && tools <= 2 + took / 0.1);
    raw_close(&r);
    es_live_server_free(server);
}

static void a_request_of_the_wrong_size_ends_the_connection(void **state) {
    (void)state;
    es_live_server *server = open_server();
    raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
    es_igtl_head head = {.version = 1, .device = "Reader"};
    es_igtl_out out = {0};
    es_igtl_put_raw(&out, &head, "STT_TDATA", "123", 3);
    say(&r, &out);
    assert_true(raw_closes(r.fd));
    raw_close(&r);
    es_live_server_free(server);
}

static void send_info(raw_reader *r, const char *xml) {
    es_igtl_head head = {.version = 2, .device = "Reader"};
    es_igtl_out text = {0}, out = {0};
    const es_igtl_limits limits = ES_IGTL_LIMITS;
    es_igtl_message m;
    size_t used;
    es_igtl_put_string(&text, &head, xml, strlen(xml));
    assert_int_equal(es_igtl_parse(text.bytes, text.length, &limits, &m, &used, NULL),
                     ES_IGTL_WHOLE);
    es_igtl_put_raw(&out, &head, "CLIENTINFO", m.content, m.content_size);
    es_igtl_put_raw(&out, &head, "GET_STATUS", NULL, 0);
    say(r, &out);
    es_igtl_out_clear(&text);
    assert_true(raw_next(r, "STATUS", &m));
}

/* Which of a frame's messages come, as letters: I, P(robe), S(tylus), T(ools). What the
 * server answers now comes after them. */
static void come(raw_reader *r, char letters[8]) {
    es_igtl_head head = {.version = 2, .device = "Reader"};
    es_igtl_out out = {0};
    es_igtl_message m;
    size_t n = 0;
    es_igtl_put_raw(&out, &head, "GET_CAPABIL", NULL, 0);
    say(r, &out);
    while (n < 7 && raw_next(r, "", &m)) {
        if (strcmp(m.type, "CAPABILITY") == 0) break;
        if (strcmp(m.type, "STATUS") == 0) continue;
        letters[n++] = strcmp(m.type, "IMAGE") == 0              ? 'I'
                       : strcmp(m.type, "TDATA") == 0            ? 'T'
                       : strcmp(m.device, "ProbeToTracker") == 0 ? 'P'
                                                                 : 'S';
    }
    letters[n] = '\0';
}

static void a_client_gets_what_its_info_names(void **state) {
    (void)state;
    static const struct {
        const char *xml, *come;
    } cases[] = {
        {"<ClientInfo><MessageTypes><Message Type=\"IMAGE\"/></MessageTypes></ClientInfo>", "I"},
        {"<ClientInfo><MessageTypes><Message Type=\"TRANSFORM\"/></MessageTypes><TransformNames>"
         "<Transform Name=\"StylusToTracker\"/></TransformNames></ClientInfo>",
         "S"},
        {"<ClientInfo TDATARequested=\"TRUE\" TDATAResolution=\"0\"><MessageTypes>"
         "<Message Type=\"TDATA\"/></MessageTypes></ClientInfo>",
         "T"},
        {"<ClientInfo><ImageNames><Image Name=\"Image\" EmbeddedTransformToFrame=\"Reference\"/>"
         "</ImageNames></ClientInfo>",
         "I"},
        {"<ClientInfo></ClientInfo>", "IPS"},
        {"no XML at all", "IPS"},
        {"<Other><Message Type=\"IMAGE\"/></Other>", "IPS"},
        {"", "IPS"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_live_server *server = open_server();
        raw_reader r = {.fd = raw_connect(es_live_server_port(server))};
        char letters[8];
        send_info(&r, cases[i].xml);
        send_frame(server, 1);
        come(&r, letters);
        assert_string_equal(letters, cases[i].come);
        raw_close(&r);
        es_live_server_free(server);
    }
}

/* ---- the client's side ----------------------------------------------------------------- */

static es_live *open_live(int port) {
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    o.port = port;
    o.wait_s = 0;
    es_live *live = es_live_open(&o, &err);
    if (!live) fail_msg("%s", err.message);
    return live;
}

/* A 4 x 3 picture, or a part of it, of one value. */
static void put_part(es_igtl_out *out, const uint16_t first[2], const uint16_t size[2],
                     uint8_t value) {
    uint8_t pixels[12];
    memset(pixels, value, sizeof pixels);
    es_igtl_head head = {.version = 2, .device = "Image_Image", .time = (uint64_t)value << 32};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {4, 3, 1},
                           .part_first = {first[0], first[1], 0},
                           .part_size = {size[0], size[1], 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = (size_t)size[0] * size[1]};
    es_igtl_put_image(out, &head, &image);
}

static void put_whole(es_igtl_out *out, uint8_t value) {
    put_part(out, (uint16_t[]){0, 0}, (uint16_t[]){4, 3}, value);
}

/* The first picture is kept for the client that comes. */
static es_live *open_pair(es_live_server **server) {
    es_igtl_out out = {0};
    *server = open_server();
    put_whole(&out, 1);
    assert_true(es_live_server_send(*server, &out, true));
    es_igtl_out_clear(&out);
    return open_live(es_live_server_port(*server));
}

static void close_pair(es_live *live, es_live_server *server) {
    es_live_free(live);
    es_live_server_free(server);
}

static void send_all(es_live_server *server, es_igtl_out *out) {
    assert_true(es_live_server_send(server, out, false));
    es_igtl_out_clear(out);
}

static void take_frame(es_live *live, es_frame *frame) {
    bool end = true;
    assert_true(es_live_wait(live, 5));
    assert_true(es_source_next(es_live_source(live), frame, ES_READ_PIXELS, &end, NULL));
    assert_false(end);
}

static void a_part_is_laid_over_the_last_picture(void **state) {
    (void)state;
    static const uint8_t expected[2][12] = {{1, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 1},
                                            {3, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 1}};
    es_live_server *server;
    es_live *live = open_pair(&server);
    es_igtl_out out = {0};
    es_frame frame = {0};
    take_frame(live, &frame);
    put_part(&out, (uint16_t[]){1, 1}, (uint16_t[]){2, 2}, 2);
    put_part(&out, (uint16_t[]){0, 0}, (uint16_t[]){1, 1}, 3);
    put_whole(&out, 9);
    send_all(server, &out);
    for (int i = 0; i < 2; i++) {
        take_frame(live, &frame);
        assert_float_equal(frame.time_s, 2 + i, 0);
        assert_memory_equal(frame.image.data, expected[i], 12);
    }
    take_frame(live, &frame);
    for (int i = 0; i < 12; i++) assert_int_equal(((uint8_t *)frame.image.data)[i], 9);
    es_frame_clear(&frame);
    close_pair(live, server);
}

static void a_part_of_another_picture_is_left_out(void **state) {
    (void)state;
    es_live_server *server;
    es_live *live = open_pair(&server);
    es_igtl_head head = {.version = 2, .device = "Image_Image"};
    const uint8_t pixels[4] = {0};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {5, 3, 1},
                           .part_size = {2, 2, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = 4};
    es_igtl_out out = {0};
    es_frame frame = {0};
    es_igtl_put_image(&out, &head, &image); /* another width */
    image.size[0] = 4;
    image.type = ES_U16;
    image.part_size[1] = 1;
    es_igtl_put_image(&out, &head, &image); /* another kind */
    image.type = ES_U8;
    image.size[2] = 2;
    image.part_size[1] = 2;
    es_igtl_put_image(&out, &head, &image); /* of a volume */
    put_whole(&out, 4);
    send_all(server, &out);
    take_frame(live, &frame);
    take_frame(live, &frame);
    assert_int_equal(*(uint8_t *)frame.image.data, 4);
    assert_int_equal(es_live_statistics(live).odd, 3);
    es_frame_clear(&frame);
    close_pair(live, server);
}

static void a_sensor_is_a_field_of_the_pictures_that_follow(void **state) {
    (void)state;
    es_live_server *server;
    es_live *live = open_pair(&server);
    es_igtl_head head = {.version = 2, .device = "Force"};
    es_igtl_sensor sensor = {.count = 3, .values = {1.5, -2, 0.25}};
    es_igtl_out out = {0};
    es_frame frame = {0};
    es_igtl_put_sensor(&out, &head, &sensor);
    put_whole(&out, 2);
    put_whole(&out, 3);
    send_all(server, &out);
    take_frame(live, &frame);
    assert_null(es_fields_get(&frame.fields, "ForceSensor"));
    for (int i = 0; i < 2; i++) {
        take_frame(live, &frame);
        assert_string_equal(es_fields_get(&frame.fields, "ForceSensor"), "1.5 -2 0.25");
    }
    es_frame_clear(&frame);
    close_pair(live, server);
}

static void video_is_refused_and_the_pictures_go_on(void **state) {
    (void)state;
    es_live_server *server;
    es_live *live = open_pair(&server);
    es_igtl_head head = {.version = 2, .device = "Video"};
    uint8_t content[80] = {0, 1, 2, 'H', '2', '6', '4'};
    es_igtl_out out = {0};
    es_frame frame = {0};
    es_igtl_put_raw(&out, &head, "VIDEO", content, sizeof content);
    es_igtl_put_raw(&out, &head, "VIDEO", content, sizeof content);
    put_whole(&out, 2);
    send_all(server, &out);
    take_frame(live, &frame);
    take_frame(live, &frame);
    es_live_stats s = es_live_statistics(live);
    assert_int_equal(s.odd, 2);
    assert_int_equal(s.connections, 1);
    es_frame_clear(&frame);
    close_pair(live, server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_for_tools_gets_them_until_it_asks_no_more),
        cmocka_unit_test(tools_come_at_the_resolution_that_was_asked_for),
        cmocka_unit_test(a_request_of_the_wrong_size_ends_the_connection),
        cmocka_unit_test(a_client_gets_what_its_info_names),
        cmocka_unit_test(a_part_is_laid_over_the_last_picture),
        cmocka_unit_test(a_part_of_another_picture_is_left_out),
        cmocka_unit_test(a_sensor_is_a_field_of_the_pictures_that_follow),
        cmocka_unit_test(video_is_refused_and_the_pictures_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
