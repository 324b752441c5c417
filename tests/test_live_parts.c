/* Parts of the volume for clients: whoever lays them over the whole that came before has
 * the volume, and nobody gets a part of a whole that it has not got. */
#include "live_replay.h"

/* ---- the server ------------------------------------------------------------------------ */

enum { SIDE = 96, VOXELS = SIDE * SIDE * SIDE };

/* A volume, or a part of it, all of one value. */
static void send_value(es_live_server *server, uint8_t value, bool part) {
    es_igtl_out out = {0};
    const uint16_t side = part ? 3 : SIDE;
    uint8_t *pixels = test_malloc(VOXELS);
    memset(pixels, value, VOXELS);
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {SIDE, SIDE, SIDE},
                           .part_size = {side, side, side},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = (size_t)side * side * side};
    es_igtl_head head = {.version = 2, .device = "Volume"};
    es_igtl_put_image(&out, &head, &image);
    assert_true(part ? es_live_server_send_part(server, &out)
                     : es_live_server_send(server, &out, true));
    es_igtl_out_clear(&out);
    test_free(pixels);
}

static es_live_server *new_server(void) {
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    o.port = 0;
    o.queue_bytes = 5 * VOXELS; /* wholes must make room, and are dropped */
    es_live_server *server = es_live_server_new(&o, &err);
    if (!server) fail_msg("%s", err.message);
    return server;
}

static void wait_clients(es_live_server *server, int count) {
    double end = es_clock_s() + 60;
    while (es_live_server_statistics(server).clients != count && es_clock_s() < end) rest_s(0.01);
    assert_int_equal(es_live_server_statistics(server).clients, count);
}

typedef struct heard {
    int wholes, parts;
    uint8_t whole, last; /* values; `last` of whatever came last */
} heard;

/* Listens until a part of this value comes, and checks that each has its whole. */
static heard listen_for(raw_reader *r, uint8_t last) {
    heard h = {0};
    es_igtl_message m;
    es_igtl_image image;
    while (h.last != last || h.parts == 0) {
        if (!raw_next(r, "IMAGE", &m)) fail_msg("part %d did not come, but %d", last, h.last);
        assert_true(es_igtl_get_image(&m, &image, NULL));
        h.last = image.pixels[0];
        if (image.part_size[0] == SIDE) {
            h.wholes++;
            h.whole = h.last;
        } else {
            h.parts++;
            assert_int_equal(h.last / 10, h.whole / 10); /* tens: the whole's number */
        }
    }
    return h;
}

static void a_part_comes_only_to_who_has_its_whole(void **state) {
    (void)state;
    es_live_server *server = new_server();
    int port = es_live_server_port(server);
    raw_reader slow = {.fd = raw_connect(port)};
    wait_clients(server, 1);
    send_value(server, 9, true); /* of nothing */
    for (int whole = 1; whole <= 20; whole++) {
        send_value(server, (uint8_t)(10 * whole), false);
        for (int part = 1; part <= 5; part++)
            send_value(server, (uint8_t)(10 * whole + part), true);
    }
    assert_true(es_live_server_statistics(server).dropped > 0);
    raw_reader late = {.fd = raw_connect(port)};
    wait_clients(server, 2);
    send_value(server, 207, true);
    heard h = listen_for(&slow, 207);
    assert_int_equal(h.whole, 200);
    assert_true(h.wholes >= 1 && h.wholes < 20);
    h = listen_for(&late, 207);
    assert_true(h.wholes == 1 && h.parts == 1); /* the kept one, and what differs from it */
    raw_close(&slow);
    raw_close(&late);
    es_live_server_free(server);
}

/* ---- a run ------------------------------------------------------------------------------- */

typedef struct viewer {
    int port;
    pthread_t thread;
    es_grid volume; /* laid together; u8 */
    atomic_int wholes;
    int parts;
    es_live_run *run;
} viewer;

static void lay_over(viewer *v, const es_igtl_image *image) {
    const uint16_t *n = image->size, *first = image->part_first, *part = image->part_size;
    bool whole = part[0] == n[0] && part[1] == n[1] && part[2] == n[2];
    size_t voxels = (size_t)n[0] * n[1] * n[2];
    v->parts += !whole;
    if (whole) {
        free(v->volume.data);
        v->volume.data = calloc(voxels, 1);
        for (int a = 0; a < 3; a++) v->volume.info.size[a] = n[a];
    }
    for (int a = 0; a < 3; a++) assert_int_equal(v->volume.info.size[a], n[a]);
    if (whole) atomic_fetch_add(&v->wholes, 1);
    const uint8_t *from = image->pixels;
    for (size_t z = first[2]; z < (size_t)first[2] + part[2]; z++)
        for (size_t y = first[1]; y < (size_t)first[1] + part[1]; y++, from += part[0])
            memcpy((uint8_t *)v->volume.data + (z * n[1] + y) * n[0] + first[0], from, part[0]);
}

static void *view(void *context) {
    viewer *v = context;
    raw_reader r = {.fd = raw_connect(v->port)};
    es_igtl_message m;
    es_igtl_image image;
    while (raw_next(&r, "", &m))
        if (strcmp(m.device, "Volume") == 0 && es_igtl_get_image(&m, &image, NULL))
            lay_over(v, &image);
    raw_close(&r);
    return NULL;
}

/* In the middle of the scan: until the viewer has the volume. */
static bool wait_for_whole(void *context) {
    viewer *v = context;
    double end = es_clock_s() + 60;
    while (es_live_run_state(v->run).received == 30 && atomic_load(&v->wholes) == 0 &&
           es_clock_s() < end)
        rest_s(0.01);
    return false;
}

/* Gives the run's volume. */
static void watch_run(bool parts, viewer *v, es_grid *grid) {
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_scene scene = {.width = 64, .height = 48, .frames = 60, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    for (int a = 0; a < 3; a++) {
        request.spacing_mm[a] = 1;
        request.origin_mm[a] = -80;
        request.size_mm[a] = 160;
    }
    o.source = scene_open(&scene);
    o.request = &request;
    o.server = new_server();
    o.volume_parts = parts;
    o.warm_up = 2;
    *v = (viewer){.port = es_live_server_port(o.server)};
    o.stop = wait_for_whole;
    o.stop_context = v;
    assert_int_equal(pthread_create(&v->thread, NULL, view, v), 0);
    wait_clients(o.server, 1);
    v->run = es_live_run_new(&o, &err);
    if (!v->run || !es_live_run_go(v->run, &err)) fail_msg("%s", err.message);
    volume_bytes(es_live_run_volume(v->run), grid);
    double end = es_clock_s() + 60;
    while (es_live_server_waiting(o.server) > 0 && es_clock_s() < end) rest_s(0.01);
    es_live_run_free(v->run);
    es_live_server_free(o.server);
    assert_int_equal(pthread_join(v->thread, NULL), 0);
    es_source_free(o.source);
    es_plus_free(plus);
}

static void check_view(const viewer *v, const es_grid *grid) {
    size_t voxels = 1;
    for (int a = 0; a < 3; a++) {
        assert_int_equal(v->volume.info.size[a], grid->info.size[a]);
        voxels *= (size_t)grid->info.size[a];
    }
    assert_memory_equal(v->volume.data, grid->data, voxels);
}

static void parts_laid_over_the_whole_are_the_volume(void **state) {
    (void)state;
    es_grid grid = {0};
    viewer v;
    watch_run(true, &v, &grid);
    check_view(&v, &grid);
    assert_int_equal(v.wholes, 1);
    assert_true(v.parts >= 1);
    free(v.volume.data);
    es_grid_clear(&grid);
    watch_run(false, &v, &grid);
    check_view(&v, &grid);
    assert_int_equal(v.parts, 0);
    assert_true(v.wholes >= 2);
    free(v.volume.data);
    es_grid_clear(&grid);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_comes_only_to_who_has_its_whole),
        cmocka_unit_test(parts_laid_over_the_whole_are_the_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
