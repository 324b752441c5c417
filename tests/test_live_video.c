/* VIDEO messages: pictures that ffmpeg coded come back as frames; what is missing,
 * hostile or unknown does no harm. */
#include "live_scene.h"

#include <stdio.h>

enum { W = 96, H = 64, FRAMES = 12, KEY = 5, BYTES = 1 << 20 };

static char folder[256];

/* A slope that moves and has a bright disc: smooth, so that codecs keep it. */
static uint8_t truth(int f, int u, int v) {
    double d = hypot(u - 12 - 6 * f, v - 32);
    return (uint8_t)(60 + u / 2 + v / 4 + 90 * exp(-d * d / 120));
}

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/echosolid-video-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) return -1;
    char path[300];
    snprintf(path, sizeof path, "%s/raw", folder);
    FILE *file = fopen(path, "wb");
    for (int f = 0; file && f < FRAMES; f++)
        for (int v = 0; v < H; v++)
            for (int u = 0; u < W; u++) fputc(truth(f, u, v), file);
    return file ? fclose(file) : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* ---- coded pictures --------------------------------------------------------------- */

typedef struct coded {
    uint8_t *bytes;
    size_t start[FRAMES + 1];
    int count;
} coded;

/* An elementary stream, cut where each picture's delimiter stands. */
static void cut_at_delimiters(coded *c, size_t length, const uint8_t *mark, size_t size) {
    for (size_t i = 0; i + size <= length; i++)
        if (memcmp(c->bytes + i, mark, size) == 0 && c->count < FRAMES) c->start[c->count++] = i;
    c->start[c->count] = length;
}

/* IVF: a head of 32 bytes, then 12 before each picture, the first four its size. */
static void cut_ivf(coded *c, size_t length) {
    size_t to = 0;
    for (size_t at = 32; at + 12 <= length && c->count < FRAMES;) {
        uint32_t size;
        memcpy(&size, c->bytes + at, 4); /* little-endian */
        memmove(c->bytes + to, c->bytes + at + 12, size);
        c->start[c->count++] = to;
        to += size;
        at += 12 + (size_t)size;
        c->start[c->count] = to;
    }
}

static coded encode(const char *words, const char *format) {
    static const uint8_t h264[] = {0, 0, 0, 1, 9}, hevc[] = {0, 0, 0, 1, 0x46, 1};
    char command[900], path[300];
    coded c = {.bytes = test_malloc(BYTES)};
    if (system("ffmpeg -version >/dev/null 2>&1") != 0) {
        print_message("skipped: no ffmpeg\n");
        skip();
    }
    snprintf(path, sizeof path, "%s/coded", folder);
    snprintf(command, sizeof command,
             "ffmpeg -y -v error -f rawvideo -pix_fmt gray -s %dx%d -r 25 -i '%s/raw' -pix_fmt "
             "yuv420p -g %d %s -f %s '%s' >/dev/null 2>&1",
             W, H, folder, KEY, words, format, path);
    if (system(command) != 0) {
        print_message("skipped: this ffmpeg has no such encoder (%s)\n", words);
        test_free(c.bytes);
        skip();
    }
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(c.bytes, 1, BYTES, file);
    fclose(file);
    if (strcmp(format, "h264") == 0)
        cut_at_delimiters(&c, length, h264, sizeof h264);
    else if (strcmp(format, "hevc") == 0)
        cut_at_delimiters(&c, length, hevc, sizeof hevc);
    else
        cut_ivf(&c, length);
    assert_int_equal(c.count, FRAMES);
    return c;
}

static coded encode_h264(void) {
    return encode("-c:v libx264 -preset ultrafast -tune zerolatency -qp 12 -x264-params "
                  "aud=1:keyint=5:min-keyint=5:scenecut=0:repeat-headers=1",
                  "h264");
}

/* ---- messages -------------------------------------------------------------------------- */

typedef struct pair {
    es_live_server *server;
    es_live *live;
} pair;

static void put_u16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_video(es_igtl_out *out, const char *codec, unsigned width, unsigned height,
                      const void *bytes, size_t length, int f) {
    static const char *const meta[] = {"ProbeToTrackerTransform", "1 0 0 5 0 1 0 6 0 0 1 7 0 0 0 1",
                                       "ProbeToTrackerTransformStatus", "OK", NULL};
    uint8_t *content = test_calloc(76 + length, 1);
    es_igtl_head head = {
        .version = 2, .device = "Image_Image", .time = es_igtl_time(100 + f), .meta = meta};
    const unsigned size[3] = {width, height, 1};
    put_u16(content, 1);
    content[2] = 2;
    memcpy(content + 3, codec, strlen(codec));
    put_u16(content + 7, 1);
    content[9] = 1;
    for (int a = 0; a < 3; a++) {
        put_u16(content + 10 + 2 * a, size[a]);
        put_u16(content + 70 + 2 * a, size[a]);
    }
    memcpy(content + 76, bytes, length);
    es_igtl_put_raw(out, &head, "VIDEO", content, 76 + length);
    test_free(content);
}

static void put_coded(es_igtl_out *out, const char *codec, const coded *c, int f) {
    put_video(out, codec, W, H, c->bytes + c->start[f], c->start[f + 1] - c->start[f], f);
}

/* A plain picture: frames of the same kind, told from the others by their time. */
static void put_image(es_igtl_out *out, int f) {
    static uint8_t pixels[W * H];
    es_igtl_head head = {.version = 2, .device = "Image_Image", .time = es_igtl_time(100 + f)};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U8,
                           .little = true,
                           .frame = 1,
                           .size = {W, H, 1},
                           .part_size = {W, H, 1},
                           .matrix = es_mat4_identity(),
                           .pixels = pixels,
                           .bytes = sizeof pixels};
    es_igtl_put_image(out, &head, &image);
}

static void send_all(es_live_server *server, es_igtl_out *out) {
    assert_false(out->failed);
    assert_true(es_live_server_send(server, out, true));
    es_igtl_out_clear(out);
}

/* The first message waits for the client; it comes without metadata, perhaps, as to one that has
 * not shown yet which version it reads. */
static pair open_pair(es_igtl_out *first) {
    es_live_server_options s = ES_LIVE_SERVER_DEFAULTS;
    es_live_options o = ES_LIVE_DEFAULTS;
    es_error err = {0};
    pair p;
    s.port = 0;
    s.same_most = 400;
    p.server = es_live_server_new(&s, &err);
    if (!p.server) fail_msg("%s", err.message);
    send_all(p.server, first);
    o.port = es_live_server_port(p.server);
    o.first_s = 60;
    p.live = es_live_open(&o, &err);
    if (!p.live) fail_msg("%s", err.message);
    /* Its two greetings have come: metadata are sent from now on. */
    for (double end = es_clock_s() + 60;
         es_live_server_statistics(p.server).received < 2 && es_clock_s() < end;)
        rest_s(0.005);
    return p;
}

static void close_pair(pair *p) {
    es_live_free(p->live);
    es_live_server_free(p->server);
}

/* The next frame, with the number that its time tells. */
static int take(pair *p, es_frame *frame) {
    bool end = true;
    assert_true(es_live_wait(p->live, 60));
    assert_true(es_source_next(es_live_source(p->live), frame, ES_READ_PIXELS, &end, NULL));
    assert_false(end);
    return (int)lround(frame->time_s - 100);
}

/* Mean difference in grey values: the codecs run at a quality at which the slope is kept
 * to about one step; chance pictures differ by tens. */
static void check_picture(const es_frame *frame, int f) {
    const uint8_t *pixels = frame->image.data;
    double sum = 0;
    assert_int_equal(frame->image.width, W);
    assert_int_equal(frame->image.height, H);
    for (int v = 0; v < H; v++)
        for (int u = 0; u < W; u++) sum += fabs((double)pixels[v * W + u] - truth(f, u, v));
    assert_true(sum / (W * H) < 3);
    const es_frame_transform *t = es_frame_find_transform(frame, "ProbeToTracker");
    assert_non_null(t);
    assert_true(t->valid && t->matrix.m[3] == 5 && t->matrix.m[11] == 7);
}

/* A picture first, of which the frames are told their size; then the whole stream. */
static void all_come(const char *codec, coded c) {
    es_igtl_out out = {0};
    es_frame frame = {0};
    put_image(&out, -1);
    pair p = open_pair(&out);
    for (int f = 0; f < FRAMES; f++) put_coded(&out, codec, &c, f);
    send_all(p.server, &out);
    assert_int_equal(take(&p, &frame), -1);
    for (int f = 0; f < FRAMES; f++) {
        assert_int_equal(take(&p, &frame), f);
        check_picture(&frame, f);
    }
    es_live_stats s = es_live_statistics(p.live);
    assert_int_equal(s.odd + s.damaged, 0);
    es_frame_clear(&frame);
    close_pair(&p);
    test_free(c.bytes);
}

/* ---- tests -------------------------------------------------------------------------------- */

static void h264_pictures_come_back(void **state) {
    (void)state;
    all_come("H264", encode_h264());
}

static void h265_pictures_come_back(void **state) {
    (void)state;
    all_come("H265", encode("-c:v libx265 -preset ultrafast -tune zerolatency -x265-params "
                            "aud=1:keyint=5:crf=12:log-level=none:pools=none",
                            "hevc"));
}

static void vp9_pictures_come_back(void **state) {
    (void)state;
    all_come("VP90", encode("-c:v libvpx-vp9 -lag-in-frames 0 -deadline realtime -cpu-used 8 -crf "
                            "12 -b:v 0 -auto-alt-ref 0",
                            "ivf"));
}

static void av1_pictures_come_back(void **state) {
    (void)state;
    all_come("AV1", encode("-c:v libaom-av1 -usage realtime -cpu-used 8 -crf 12 -b:v 0 "
                           "-lag-in-frames 0",
                           "ivf"));
}

static void pictures_that_are_not_coded_come_back(void **state) {
    (void)state;
    static uint8_t planes[W * H * 3 / 2];
    es_igtl_out out = {0};
    es_frame frame = {0};
    memset(planes, 128, sizeof planes);
    for (int v = 0; v < H; v++)
        for (int u = 0; u < W; u++)
            planes[v * W + u] = (uint8_t)lround(16 + truth(3, u, v) * 219. / 255);
    put_image(&out, -1);
    pair p = open_pair(&out);
    assert_int_equal(take(&p, &frame), -1);
    put_video(&out, "I420", W, H, planes, sizeof planes, 3);
    send_all(p.server, &out);
    assert_int_equal(take(&p, &frame), 3);
    check_picture(&frame, 3);
    put_video(&out, "I420", W, H, planes, sizeof planes - 1, 4); /* one byte is missing */
    put_image(&out, 5);
    send_all(p.server, &out);
    assert_int_equal(take(&p, &frame), 5);
    es_live_stats s = es_live_statistics(p.live);
    assert_int_equal(s.odd + s.damaged, 1);
    es_frame_clear(&frame);
    close_pair(&p);
}

static void without_its_key_picture_a_stream_waits_for_the_next(void **state) {
    (void)state;
    coded c = encode_h264();
    es_igtl_out out = {0};
    es_frame frame = {0};
    put_image(&out, -1);
    pair p = open_pair(&out);
    assert_int_equal(take(&p, &frame), -1);
    for (int f = 1; f < FRAMES; f++) put_coded(&out, "H264", &c, f);
    send_all(p.server, &out);
    for (int f = KEY; f < FRAMES; f++) {
        assert_int_equal(take(&p, &frame), f);
        check_picture(&frame, f);
    }
    assert_int_equal(es_live_statistics(p.live).damaged, KEY - 1);
    es_frame_clear(&frame);
    close_pair(&p);
    test_free(c.bytes);
}

static void what_is_broken_gives_no_picture_until_the_next_key(void **state) {
    (void)state;
    coded c = encode_h264();
    es_igtl_out out = {0};
    es_frame frame = {0};
    put_image(&out, -1);
    pair p = open_pair(&out);
    assert_int_equal(take(&p, &frame), -1);
    for (int f = 0; f < FRAMES; f++) {
        const uint8_t *bytes = c.bytes + c.start[f];
        size_t length = c.start[f + 1] - c.start[f];
        /* The second half did not arrive. */
        put_video(&out, "H264", W, H, bytes, f == 6 ? length / 2 : length, f);
    }
    send_all(p.server, &out);
    for (int f = 0; f < 6; f++) assert_int_equal(take(&p, &frame), f);
    for (int f = 10; f < FRAMES; f++) {
        assert_int_equal(take(&p, &frame), f);
        check_picture(&frame, f);
    }
    es_frame_clear(&frame);
    close_pair(&p);
    test_free(c.bytes);
}

static void hostile_sizes_and_unknown_codecs_are_left_out(void **state) {
    (void)state;
    coded c = encode_h264();
    es_igtl_out out = {0};
    es_frame frame = {0};
    const uint8_t *first = c.bytes;
    size_t length = c.start[1];
    put_image(&out, 0);
    pair p = open_pair(&out);
    assert_int_equal(take(&p, &frame), 0);
    put_video(&out, "H264", 65535, 65535, first, length, 1); /* too large */
    put_video(&out, "H264", 0, H, first, length, 2);
    put_video(&out, "H264", W / 2, H, first, length, 3); /* another size than is coded */
    put_video(&out, "ZZZZ", W, H, first, length, 4);
    put_video(&out, "H264", W, H, "", 0, 5); /* nothing */
    put_video(&out, "H264", W, H, "no stream", 9, 6);
    put_image(&out, 7);
    put_coded(&out, "H264", &c, 0);
    send_all(p.server, &out);
    assert_int_equal(take(&p, &frame), 7);
    assert_int_equal(take(&p, &frame), 0);
    check_picture(&frame, 0);
    es_live_stats s = es_live_statistics(p.live);
    assert_int_equal(s.odd + s.damaged, 6);
    assert_int_equal(s.connections, 1);
    es_frame_clear(&frame);
    close_pair(&p);
    test_free(c.bytes);
}

static void memory_that_runs_out_ends_it_in_words(void **state) {
    (void)state;
    coded c = encode_h264();
    for (int n = 0; n < 24; n++) {
        es_igtl_out out = {0};
        es_error err = {0};
        es_live_server_options s = ES_LIVE_SERVER_DEFAULTS;
        es_live_options o = ES_LIVE_DEFAULTS;
        s.port = 0;
        es_live_server *server = es_live_server_new(&s, &err);
        assert_non_null(server);
        put_coded(&out, "H264", &c, 0);
        send_all(server, &out);
        o.port = es_live_server_port(server);
        o.first_s = 1; /* the server is of this program: it may be the one that fails */
        es_alloc_fail_after(n);
        es_live *live = es_live_open(&o, &err);
        es_alloc_fail_after(-1);
        if (!live) assert_int_not_equal(err.code, ES_OK);
        es_live_free(live);
        es_live_server_free(server);
    }
    test_free(c.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h264_pictures_come_back),
        cmocka_unit_test(h265_pictures_come_back),
        cmocka_unit_test(vp9_pictures_come_back),
        cmocka_unit_test(av1_pictures_come_back),
        cmocka_unit_test(pictures_that_are_not_coded_come_back),
        cmocka_unit_test(without_its_key_picture_a_stream_waits_for_the_next),
        cmocka_unit_test(what_is_broken_gives_no_picture_until_the_next_key),
        cmocka_unit_test(hostile_sizes_and_unknown_codecs_are_left_out),
        cmocka_unit_test(memory_that_runs_out_ends_it_in_words),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
