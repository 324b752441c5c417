/* The page's server and the live page under many threads at once, and with memory
 * that fails: what goes over the wire is judged in test_live_page.py. */
#include "live_scene.h"

#include "../src/live/page_text.h"
#include "../src/live/page_wire.h"
#include "echosolid/live_page.h"
#include "echosolid/surface.h"
#include "echosolid/wizard.h"

/* ---- the whole, from several threads ------------------------------------------------- */

typedef struct feeder {
    es_live_page *page;
    atomic_bool stop;
    int64_t done;
} feeder;

static void fill_frame(es_frame *frame, int64_t index) {
    assert_true(es_image_resize(&frame->image, ES_U8, 1, 64, 48, NULL));
    for (uint32_t v = 0; v < 48; v++)
        for (uint32_t u = 0; u < 64; u++)
            ((uint8_t *)frame->image.data)[v * 64 + u] = scene_pixel(index, u, v);
    frame->has_image = true;
    frame->index = index;
}

static void *feed_frames(void *context) {
    feeder *f = context;
    es_frame frame = {0};
    for (; !atomic_load(&f->stop); f->done++) {
        es_mat4 place = scene_pose(f->done % 100);
        fill_frame(&frame, f->done);
        es_live_page_frame(f->page, &frame, scene_sees(f->done) ? &place : NULL);
    }
    es_frame_clear(&frame);
    return NULL;
}

static void *feed_bone(void *context) {
    feeder *f = context;
    es_frame frame = {0};
    es_scan_line lines[3] = {{.u = 3, .v = 0, .dv = 1, .found = true, .depth_mm = 9},
                             {.u = 4, .v = 0, .dv = 1, .found = true, .depth_mm = 9},
                             {.u = 5, .v = 0, .dv = 1}};
    const es_trace trace = {.lines = lines, .count = 3};
    for (; !atomic_load(&f->stop); f->done++) {
        es_mat4 place = scene_pose(f->done % 100);
        fill_frame(&frame, f->done);
        es_live_page_bone(f->page, &frame, &place, &trace);
    }
    es_frame_clear(&frame);
    return NULL;
}

static void *feed_mesh(void *context) {
    feeder *f = context;
    float corners[12] = {0, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0, 10};
    uint32_t triangles[12] = {0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2};
    const es_mesh mesh = {corners, 4, triangles, 4, NULL};
    uint8_t voxels[24] = {7};
    const es_grid volume = {.info = {.size = {4, 3, 2},
                                     .spacing_mm = {1, 1, 1},
                                     .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                                     .type = ES_U8,
                                     .channels = 1},
                            .data = voxels};
    for (bool anybody; !atomic_load(&f->stop); f->done++) {
        if (es_live_page_wants_mesh(f->page, &anybody)) assert_true(anybody);
        es_live_page_mesh(f->page, &mesh);
        es_live_page_saving(f->page, f->done % 2, "scan-1: on its way");
        es_live_page_volume(f->page, &volume);
        es_live_page_undone(f->page, 50);
    }
    return NULL;
}

/* A page that asks for the socket and reads so long, and on until it has so many
 * bytes; false: they did not come. */
static bool listen_for(int port, double seconds, size_t bytes_wanted) {
    static const char *const hello =
        "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: echosolid\r\n\r\n";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    static const char seen[] = "\x81\x84\0\0\0\0" ES_PAGE_SEEN; /* masked by nothing */
    size_t got = 0;
    char bytes[4096];
    double said_s = 0;
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, hello, strlen(hello), 0), (ssize_t)strlen(hello));
    double start = es_clock_s();
    for (double now = start; now < start + seconds || (got < bytes_wanted && now < start + 30);
         now = es_clock_s()) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ssize_t count = poll(&wait, 1, 40) > 0 ? recv(fd, bytes, sizeof bytes, 0) : -1;
        if (count == 0) break;
        if (count > 0) got += (size_t)count;
        if (got == 0 || es_clock_s() - said_s < 0.03) continue; /* 50 a second are the most */
        said_s = es_clock_s();
        assert_int_equal(send(fd, seen, sizeof seen - 1, MSG_NOSIGNAL), sizeof seen - 1);
    }
    close(fd);
    return got >= bytes_wanted;
}

static void frames_bone_mesh_and_saving_come_from_threads_of_their_own(void **state) {
    (void)state;
    es_live_page_options options = ES_LIVE_PAGE_DEFAULTS;
    es_error err = {0};
    options.picture_hz = 1000;
    es_live_page *page = es_live_page_new(&options, &err);
    if (!page) fail_msg("%s", err.message);
    void *(*const work[])(void *) = {feed_frames, feed_bone, feed_mesh};
    feeder feeders[3] = {{.page = page}, {.page = page}, {.page = page}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work[i], &feeders[i]), 0);
    assert_true(listen_for(es_live_page_port(page), 0.5, 5000));
    assert_true(listen_for(es_live_page_port(page), 0.2, 1000)); /* another one */
    for (int i = 0; i < 3; i++) atomic_store(&feeders[i].stop, true);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++) assert_true(feeders[i].done > 3);
    es_live_page_end(page, "over");
    es_live_page_free(page);
}

static void show_frame(void *page, const es_frame *frame, const es_mat4 *place) {
    es_live_page_frame(page, frame, place);
}

static void a_run_is_told_to_a_page_and_its_snapshot_is_the_volume(void **state) {
    (void)state;
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_mat4_scaling(0.5, 0.5, 0.5), .error = NAN};
    assert_true(es_plus_transform_set(plus, &t, NULL));
    es_setup_request request;
    es_setup_request_init(&request);
    request.plus = plus;
    live_scene scene = {.width = 64, .height = 64, .frames = 50, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_live_page_options options = ES_LIVE_PAGE_DEFAULTS;
    es_error err = {0};
    o.source = scene_open(&scene);
    o.request = &request;
    es_live_page *page = es_live_page_new(&options, &err);
    if (!page) fail_msg("%s", err.message);
    o.watch.context = page;
    o.watch.frame = show_frame;
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run) fail_msg("%s", err.message);
    assert_false(es_live_page_poll(page, run));
    bool anybody = true; /* no page is open */
    assert_false(es_live_page_wants_mesh(page, &anybody));
    assert_false(anybody);
    if (!es_live_run_go(run, &err)) fail_msg("%s", err.message);
    es_live_snapshot shot;
    es_grid_info info = {0};
    if (!es_live_run_snapshot(run, &shot, &err)) fail_msg("%s", err.message);
    assert_null(shot.model); /* no bone was asked for */
    assert_true(es_volume_grid_info(es_live_run_volume(run), &info, NULL));
    for (int a = 0; a < 3; a++) assert_int_equal(shot.volume.info.size[a], info.size[a]);
    es_grid_info_clear(&info);
    es_live_snapshot_clear(&shot);
    es_alloc_fail_after(0);
    assert_false(es_live_run_snapshot(run, &shot, NULL));
    es_alloc_fail_after(-1);
    assert_false(es_live_page_poll(page, run));
    es_live_run_free(run);
    es_live_page_free(page);
    es_source_free(o.source);
    es_plus_free(plus);
}

static void a_page_that_cannot_be_is_refused_and_memory_may_fail(void **state) {
    (void)state;
    es_live_page_options options = ES_LIVE_PAGE_DEFAULTS;
    es_error err = {0};
    options.picture_hz = 0;
    assert_null(es_live_page_new(&options, &err));
    assert_int_equal(err.code, ES_USAGE);
    options = (es_live_page_options)ES_LIVE_PAGE_DEFAULTS;
    options.address = "0.0.0.0";
    assert_null(es_live_page_new(&options, &err));
    assert_non_null(strstr(err.message, "token"));
    options.address = NULL;
    for (int i = 0; i < 5; i++) {
        es_alloc_fail_after(i);
        es_live_page *page = es_live_page_new(&options, NULL);
        es_alloc_fail_after(-1);
        es_live_page_free(page); /* what is told at first may be left out */
    }
}

/* ---- bytes ------------------------------------------------------------------------------ */

static uint32_t u32_at(const es_text *text, size_t at) {
    const uint8_t *b = (const uint8_t *)text->bytes + at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* 100 x 30 shown with at most 32: blocks of 4, the last one is cut. */
static void large_pictures_are_averaged_down(void **state) {
    (void)state;
    es_frame frame = {.has_image = true};
    es_text out = {0};
    double white = 0;
    assert_true(es_image_resize(&frame.image, ES_U16, 1, 100, 30, NULL));
    for (int i = 0; i < 3000; i++) ((uint16_t *)frame.image.data)[i] = i % 100 % 2 ? 2000 : 0;
    const page_picture picture = {&frame, NULL, NULL, 32, &white};
    assert_true(page_put_picture(&out, &picture));
    assert_float_equal(white, 2000, 0);
    assert_int_equal(u32_at(&out, 24), 25);
    assert_int_equal(u32_at(&out, 28), 8);
    assert_int_equal(u32_at(&out, 32), 100);
    assert_int_equal(u32_at(&out, 40), 0); /* no place */
    assert_int_equal(out.length, 96 + 200);
    for (int i = 0; i < 200; i++) assert_int_equal((uint8_t)out.bytes[96 + i], 128);
    es_frame_clear(&frame);
    es_text_free(&out);
}

static float f32_at(const es_text *text, size_t at) {
    uint32_t bits = u32_at(text, at);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t u16_at(const es_text *text, size_t at) {
    const uint8_t *b = (const uint8_t *)text->bytes + at;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8;
}

/* A fan of triangles about the first corner, over a spiral of very different extents. */
static es_mesh make_fan(size_t corners) {
    es_mesh mesh = {.vertex_count = corners, .triangle_count = corners - 2};
    mesh.vertices = es_alloc(corners, 3 * sizeof *mesh.vertices, NULL);
    mesh.triangles = es_alloc(corners - 2, 3 * sizeof *mesh.triangles, NULL);
    assert_true(mesh.vertices && mesh.triangles);
    for (size_t i = 0; i < corners; i++) {
        double turn = (double)i / 50;
        mesh.vertices[3 * i] = (float)(-40 + 0.001 * (double)i * cos(turn));
        mesh.vertices[3 * i + 1] = (float)(25 * sin(turn));
        mesh.vertices[3 * i + 2] = 7;
    }
    for (size_t t = 0; t < corners - 2; t++) {
        const uint32_t fan[3] = {0, (uint32_t)t + 1, (uint32_t)t + 2};
        memcpy(mesh.triangles + 3 * t, fan, sizeof fan);
    }
    return mesh;
}

static size_t padded(size_t bytes) { return (bytes + 3) / 4 * 4; }

static void check_mesh(size_t corners) {
    es_mesh mesh = make_fan(corners);
    es_text out = {0};
    assert_true(page_put_mesh(&out, &mesh));
    assert_int_equal(u32_at(&out, 8), corners);
    assert_int_equal(u32_at(&out, 12), corners - 2);
    const double step = (double)f32_at(&out, 28);
    for (size_t i = 0; i < 3 * corners; i++) {
        double at = (double)f32_at(&out, 16 + 4 * (i % 3)) + step * u16_at(&out, 32 + 2 * i);
        /* Half a step, and single precision of 40 mm. */
        assert_float_equal(at, (double)mesh.vertices[i], 0.5 * step + 1e-5);
    }
    size_t indices = 32 + padded(6 * corners) + 4 * corners + padded(corners);
    bool wide = corners > 65536;
    assert_int_equal(out.length, indices + padded((wide ? 12 : 6) * (corners - 2)));
    for (size_t i = 0; i < 3 * (corners - 2); i++)
        assert_int_equal(wide ? u32_at(&out, indices + 4 * i) : u16_at(&out, indices + 2 * i),
                         mesh.triangles[i]);
    es_mesh_clear(&mesh);
    es_text_free(&out);
}

static void corners_of_a_mesh_come_within_half_a_step_and_triangles_as_they_are(void **state) {
    (void)state;
    check_mesh(3);
    check_mesh(501);
    check_mesh(65536);
    check_mesh(65537);
}

static void a_mesh_of_nothing_or_of_one_place_is_sent_and_memory_may_fail(void **state) {
    (void)state;
    es_text out = {0};
    es_mesh mesh = make_fan(3);
    for (int i = 0; i < 9; i++) mesh.vertices[i] = 5;
    assert_true(page_put_mesh(&out, &mesh));
    assert_float_equal((double)f32_at(&out, 20), 5, 0);
    assert_int_equal(u16_at(&out, 32), 0);
    es_alloc_fail_after(0);
    assert_false(page_put_mesh(&out, &mesh));
    es_alloc_fail_after(-1);
    es_mesh_clear(&mesh);
    assert_true(page_put_mesh(&out, &mesh));
    assert_int_equal(out.length, 32);
    es_text_free(&out);
}

/* ---- what pages say --------------------------------------------------------------------- */

static page_text_state take(page_text *t, const char *bytes, bool last) {
    return page_text_take(t, bytes, strlen(bytes), last, 0);
}

static void texts_come_in_pieces_and_have_their_bounds(void **state) {
    (void)state;
    static page_text t;
    char long_text[ES_PAGE_TEXT + 2];
    assert_int_equal(take(&t, "{\"do\": ", false), PAGE_TEXT_PART);
    assert_int_equal(take(&t, "\"undo\"}", true), PAGE_TEXT_WHOLE);
    assert_string_equal(t.bytes, "{\"do\": \"undo\"}");
    assert_int_equal(page_asked_read(t.bytes, t.length).wish, PAGE_UNDO);
    assert_int_equal(take(&t, ES_PAGE_SEEN, true), PAGE_TEXT_WHOLE); /* of nothing */
    t.unseen = 1;
    assert_int_equal(take(&t, "se", false), PAGE_TEXT_PART);
    assert_int_equal(take(&t, "en", true), PAGE_TEXT_SEEN);
    assert_int_equal(t.unseen, 0);
    assert_int_equal(page_text_take(&t, "a\0b", 3, true, 0), PAGE_TEXT_EMPTY);
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(page_text_take(&t, long_text, ES_PAGE_TEXT, true, 0), PAGE_TEXT_WHOLE);
    assert_int_equal(page_text_take(&t, long_text, ES_PAGE_TEXT + 1, true, 0), PAGE_TEXT_TOO_LONG);
    page_text many = {0};
    for (int i = 0; i < 50; i++) assert_int_equal(take(&many, "x", true), PAGE_TEXT_WHOLE);
    assert_int_equal(take(&many, "x", true), PAGE_TEXT_TOO_MANY);
    assert_int_equal(page_text_take(&many, "x", 1, true, 1), PAGE_TEXT_WHOLE); /* a second on */
}

static page_asked asked_of(const char *text) { return page_asked_read(text, strlen(text)); }

static void what_cannot_be_asked_for_asks_for_nothing(void **state) {
    (void)state;
    static const char *const nothing[] = {"",
                                          "{",
                                          "[]",
                                          "7",
                                          "null",
                                          "{\"do\": 7}",
                                          "{\"do\": \"format c:\"}",
                                          "{\"do\": \"slice\"}",
                                          "{\"do\": \"slice\", \"at\": [1, 2]}",
                                          "{\"do\": \"slice\", \"at\": [1e9, 0, 0]}",
                                          "{\"do\": \"slice\", \"at\": [1e999, 0, 0]}",
                                          "{\"do\": \"slice\", \"at\": [\"a\", 0, 0]}",
                                          "{\"do\": \"save\"} {}",
                                          "\xff\xfe"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(asked_of(nothing[i]).wish, PAGE_NOTHING);
    page_asked a = asked_of("{\"do\": \"slice\", \"at\": [1, -2.5, 3]}");
    assert_int_equal(a.wish, PAGE_SLICE);
    assert_true(a.has_place && a.place.y == -2.5);
    assert_false(asked_of("{\"do\": \"slice\", \"at\": null}").has_place);
    a = asked_of("{\"do\": \"spacing\", \"depth_mm\": 60, \"probe\": \"C5-2\"}");
    assert_float_equal(a.evidence.depth_mm, 60, 0);
    assert_string_equal(a.evidence.probe, "C5-2");
    a = asked_of("{\"do\": \"spacing\", \"depth_mm\": 1e300, \"probe\": [1]}");
    assert_int_equal(a.wish, PAGE_SPACING);
    assert_true(isnan(a.evidence.depth_mm) && a.evidence.probe[0] == '\0');
}

static es_wizard_said said_of(const char *text) { return es_wizard_said_read(text, strlen(text)); }

static void a_calibration_is_asked_for_by_its_name_alone(void **state) {
    (void)state;
    es_wizard_said s = said_of("{\"act\": \"begin\", \"method\": \"wall\", \"tool\": \"Probe\", "
                               "\"temperature\": 21, \"isotropic\": true}");
    assert_int_equal(s.act, ES_WIZARD_BEGIN);
    assert_int_equal(s.request.method, ES_WIZARD_WALL);
    assert_string_equal(s.request.tool, "Probe");
    assert_true(s.request.temperature_c == 21 && isnan(s.request.spacing_mm));
    assert_true(s.request.isotropic && !s.request.begin_at_config);
    assert_int_equal(said_of("{\"act\": \"keep\"}").act, ES_WIZARD_KEEP);
    assert_int_equal(said_of("{\"act\": \"begin\"}").act, ES_WIZARD_NOTHING);
    assert_int_equal(said_of("{\"act\": \"begin\", \"method\": \"magic\"}").act, ES_WIZARD_NOTHING);
    assert_int_equal(said_of("{\"act\": [\"keep\"]}").act, ES_WIZARD_NOTHING);
    char text[600];
    snprintf(text, sizeof text, "{\"act\": \"begin\", \"method\": \"pivot\", \"tool\": \"%0300d\"}",
             7);
    assert_int_equal(said_of(text).act, ES_WIZARD_NOTHING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_bone_mesh_and_saving_come_from_threads_of_their_own),
        cmocka_unit_test(a_run_is_told_to_a_page_and_its_snapshot_is_the_volume),
        cmocka_unit_test(a_page_that_cannot_be_is_refused_and_memory_may_fail),
        cmocka_unit_test(large_pictures_are_averaged_down),
        cmocka_unit_test(corners_of_a_mesh_come_within_half_a_step_and_triangles_as_they_are),
        cmocka_unit_test(a_mesh_of_nothing_or_of_one_place_is_sent_and_memory_may_fail),
        cmocka_unit_test(texts_come_in_pieces_and_have_their_bounds),
        cmocka_unit_test(what_cannot_be_asked_for_asks_for_nothing),
        cmocka_unit_test(a_calibration_is_asked_for_by_its_name_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
