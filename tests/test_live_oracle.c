/* Our OpenIGTLink against Debian's libopenigtlink (tests/oracle_igtl.cc), both ways
 * round; skipped where that is not installed. */
#include "live_scene.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* ---- the judge in a process of its own ------------------------------------------------- */

typedef struct judge {
    pid_t child;
    FILE *says;
} judge;

static judge start_judge(const char *mode, const char *port, const char *count) {
    const char *path = getenv("ES_IGTL_ORACLE");
    judge j = {0};
    int ends[2];
    if (!path || access(path, X_OK) != 0) {
        print_message("left out: libopenigtlink-dev is not installed (ES_IGTL_ORACLE)\n");
        skip();
    }
    assert_int_equal(pipe(ends), 0);
    j.child = fork();
    assert_true(j.child >= 0);
    if (j.child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the library's own do not count */
        execl(path, path, mode, port, count, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    j.says = fdopen(ends[0], "r");
    assert_non_null(j.says);
    return j;
}

static int port_of(const judge *j) {
    int port = 0;
    assert_int_equal(fscanf(j->says, "%d", &port), 1);
    return port;
}

/* Its exit status. */
static int end_judge(judge *j) {
    int status = 0;
    fclose(j->says);
    waitpid(j->child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- one of each type ------------------------------------------------------------------- */

enum { TYPES = 13 };

static void put_picture(es_igtl_out *out, const es_igtl_head *head) {
    static const uint16_t pixels[24] = {1, 2, 3, 65535, 256};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U16,
                           .little = true,
                           .frame = 1,
                           .size = {4, 3, 2},
                           .part_size = {4, 3, 2},
                           .matrix = es_mat4_scaling(0.5, 0.25, 2),
                           .pixels = (const uint8_t *)pixels,
                           .bytes = sizeof pixels};
    es_igtl_put_image(out, head, &image);
}

/* The library takes no name that fills its field of 20. */
static void put_tools(es_igtl_out *out, const es_igtl_head *head) {
    es_mat4 turn = es_mat4_rotation(es_vec3_make(0, 0, 1), acos(0));
    es_igtl_tool tools[2] = {
        {.name = "Probe", .type = 2, .matrix = turn, .turn = es_quat_from_mat4(turn)},
        {.name = "A name of nineteen.",
         .type = 3,
         .matrix = es_mat4_translation(1, 2, 3),
         .turn = {.w = 1}}};
    es_igtl_put_tools(out, head, tools, 2, false);
    es_igtl_put_tools(out, head, tools, 2, true);
}

static void put_lists(es_igtl_out *out, const es_igtl_head *head) {
    static const char *const types[] = {"IMAGE", "TRANSFORM", "RTS_COMMAND"};
    static const uint8_t numbers[16] = {0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6};
    es_igtl_point points[2] = {{.name = "Tip",
                                .group = "Landmarks",
                                .owner = "Probe",
                                .rgba = {255, 0, 1, 2},
                                .place = {1, 2, 3},
                                .radius = 4.5F},
                               {.name = "Other", .place = {-1, -2, -3}}};
    es_igtl_sensor sensor = {.count = 3, .values = {1.5, -2, 1e-300}};
    es_igtl_array array = {.scalar = 5, .axes = 2, .size = {3, 2}, .data = numbers, .bytes = 12};
    es_igtl_put_points(out, head, points, 2);
    es_igtl_put_capability(out, head, types, 3);
    es_igtl_put_sensor(out, head, &sensor);
    es_igtl_put_array(out, head, &array);
}

static void put_mesh(es_igtl_out *out, const es_igtl_head *head) {
    float vertices[12] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1.5F},
          confidence[4] = {0, 0.25F, 0.5F, 1};
    uint32_t triangles[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
    es_mesh mesh = {.vertices = vertices,
                    .triangles = triangles,
                    .confidence = confidence,
                    .vertex_count = 4,
                    .triangle_count = 4};
    es_igtl_put_mesh(out, head, &mesh);
}

static void put_all(es_igtl_out *out) {
    const es_igtl_head head = {.version = 1, .device = "Ours", .time = (12ULL << 32) + 77};
    const es_igtl_position position = {
        .place = {1, 2, 3}, .turn = {.w = 0.5, .x = 0.5, .y = 0.5, .z = 0.5}, .numbers = 7};
    const es_igtl_stream stream = {.resolution_ms = 50, .frame = "Tracker"};
    es_igtl_put_transform(out, &head, es_mat4_translation(1.5, -2, 1e6));
    es_igtl_put_position(out, &head, &position);
    put_picture(out, &head);
    es_igtl_put_status(out, &head, 5, -7, "Denied", "not now");
    es_igtl_put_string(out, &head, "some text", 9);
    put_tools(out, &head);
    put_lists(out, &head);
    put_mesh(out, &head);
    es_igtl_put_stream(out, &head, "STT_TDATA", &stream);
    assert_false(out->failed);
}

/* ---- the tests ------------------------------------------------------------------------------ */

/* POSITION and POLYDATA are among them: the library packs what it understood of them. */
static void what_the_library_reads_and_writes_again_is_what_we_sent(void **state) {
    (void)state;
    judge j = start_judge("echo", NULL, NULL);
    raw_reader r = {.fd = raw_connect(port_of(&j))};
    const es_igtl_limits limits = ES_IGTL_LIMITS;
    es_igtl_out out = {0};
    es_igtl_message sent, back;
    size_t used, count = 0;
    put_all(&out);
    for (size_t at = 0; at < out.length; at += used, count++) {
        assert_int_equal(
            es_igtl_parse(out.bytes + at, out.length - at, &limits, &sent, &used, NULL),
            ES_IGTL_WHOLE);
        raw_send(r.fd, out.bytes + at, used);
        if (!raw_next(&r, "", &back)) fail_msg("%s did not come back", sent.type);
        assert_string_equal(back.type, sent.type);
        assert_string_equal(back.device, "Ours");
        assert_int_equal(back.content_size, sent.content_size);
        for (size_t i = 0; i < sent.content_size; i++)
            if (back.content[i] != sent.content[i])
                fail_msg("%s: byte %zu came back as %d instead of %d", sent.type, i,
                         back.content[i], sent.content[i]);
    }
    assert_int_equal(count, TYPES);
    es_igtl_out_clear(&out);
    raw_close(&r);
    assert_int_equal(end_judge(&j), 0);
}

static void our_server_is_understood_by_the_library_as_client(void **state) {
    (void)state;
    es_live_server_options o = ES_LIVE_SERVER_DEFAULTS;
    char port[16], count[16], type[32], verdict[32];
    o.port = 0;
    es_live_server *server = es_live_server_new(&o, NULL);
    assert_non_null(server);
    es_igtl_out out = {0};
    put_all(&out);
    assert_true(es_live_server_send(server, &out, true));
    snprintf(port, sizeof port, "%d", es_live_server_port(server));
    snprintf(count, sizeof count, "%d", TYPES);
    judge j = start_judge("read", port, count);
    for (int i = 0; i < TYPES; i++) {
        assert_int_equal(fscanf(j.says, "%31s %31s", type, verdict), 2);
        if (strcmp(verdict, "ok") != 0) fail_msg("%s: %s", type, verdict);
    }
    assert_int_equal(end_judge(&j), 0);
    es_igtl_out_clear(&out);
    es_live_server_free(server);
}

static void our_client_takes_pictures_and_poses_of_the_library_as_server(void **state) {
    (void)state;
    judge j = start_judge("scan", NULL, NULL);
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    es_frame frame = {0};
    bool end;
    o.port = port_of(&j);
    es_live *live = es_live_open(&o, &err);
    if (!live) fail_msg("%s", err.message);
    for (int f = 0; f < 10; f++) {
        assert_true(es_live_wait(live, 5));
        assert_true(es_source_next(es_live_source(live), &frame, ES_READ_PIXELS, &end, NULL));
        assert_int_equal(frame.image.width, 5);
        assert_int_equal(frame.image.height, 4);
        for (int i = 0; i < 20; i++) assert_int_equal(((uint8_t *)frame.image.data)[i], f + i);
        /* The stamp holds 2^-32 s, the library's clock whole microseconds or finer. */
        assert_float_equal(frame.time_s, 1000 + 0.05 * f, 2e-6);
        const es_frame_transform *pose = es_frame_find_transform(&frame, "ProbeToTracker");
        assert_non_null(pose);
        assert_true(pose->valid);
        assert_float_equal(pose->matrix.m[1], -1, 0);
        assert_float_equal(pose->matrix.m[11], f, 0);
    }
    es_frame_clear(&frame);
    es_live_free(live);
    end_judge(&j);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_library_reads_and_writes_again_is_what_we_sent),
        cmocka_unit_test(our_server_is_understood_by_the_library_as_client),
        cmocka_unit_test(our_client_takes_pictures_and_poses_of_the_library_as_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
