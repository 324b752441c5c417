/* The page's server and the live page under many threads at once, and with memory
 * that fails: what goes over the wire is judged in test_live_page.py. */
#include "live_scene.h"

#include "../src/live/page_wire.h"
#include "echosolid/live_page.h"
#include "echosolid/surface.h"

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
    for (; !atomic_load(&f->stop); f->done++) {
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_bone_mesh_and_saving_come_from_threads_of_their_own),
        cmocka_unit_test(a_run_is_told_to_a_page_and_its_snapshot_is_the_volume),
        cmocka_unit_test(a_page_that_cannot_be_is_refused_and_memory_may_fail),
        cmocka_unit_test(large_pictures_are_averaged_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
