/* The commands of PlusServer, asked of a live run over loopback. */
#include "live_scene.h"

#include <dirent.h>
#include <stdio.h>

#include "../src/live/tag.h"

typedef struct stage {
    char folder[256];
    es_plus *plus;
    es_setup_request request;
    live_player player;
    es_live *live;
    es_live_server *server;
    es_live_run *run;
    pthread_t thread;
    atomic_bool stop;
    bool ok;
    raw_reader client;
    uint32_t next_id;
} stage;

static bool stop_stage(void *context) { return ((stage *)context)->stop; }

static void *run_stage(void *context) {
    stage *s = context;
    s->ok = es_live_run_go(s->run, NULL);
    return NULL;
}

static void open_links(stage *s) {
    es_live_options link = ES_LIVE_DEFAULTS;
    es_live_server_options so = ES_LIVE_SERVER_DEFAULTS;
    es_error err = {0};
    s->player = player_make(1000, 100);
    link.port = player_start(&s->player, 0);
    s->live = es_live_open(&link, &err);
    if (!s->live) fail_msg("%s", err.message);
    so.port = 0;
    so.same_most = 400;
    s->server = es_live_server_new(&so, NULL);
    assert_non_null(s->server);
}

static stage *open_stage(bool with_folder) {
    stage *s = test_calloc(1, sizeof *s);
    const char *base = getenv("TMPDIR");
    snprintf(s->folder, sizeof s->folder, "%s/echosolid-commands-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(s->folder));
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_mat4_scaling(0.5, 0.5, 0.5), .error = NAN};
    s->plus = es_plus_new(NULL);
    assert_true(es_plus_transform_set(s->plus, &t, NULL));
    es_setup_request_init(&s->request);
    s->request.plus = s->plus;
    open_links(s);
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    o.source = es_live_source(s->live);
    o.live = s->live;
    o.request = &s->request;
    o.warm_up = 3;
    o.server = s->server;
    o.output_folder = with_folder ? s->folder : NULL;
    o.stop = stop_stage;
    o.stop_context = s;
    s->run = es_live_run_new(&o, NULL);
    assert_non_null(s->run);
    assert_int_equal(pthread_create(&s->thread, NULL, run_stage, s), 0);
    s->client.fd = raw_connect(es_live_server_port(s->server));
    s->next_id = 1;
    return s;
}

/* Files that were left. */
static int close_stage(stage *s) {
    int files = 0;
    s->stop = true;
    pthread_join(s->thread, NULL);
    assert_true(s->ok);
    raw_close(&s->client);
    es_live_run_free(s->run);
    es_live_free(s->live);
    es_live_server_free(s->server);
    player_end(&s->player);
    es_plus_free(s->plus);
    DIR *dir = opendir(s->folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[600];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", s->folder, entry->d_name);
        unlink(path);
        files++;
    }
    if (dir) closedir(dir);
    rmdir(s->folder);
    test_free(s);
    return files;
}

static void copy(const char *from, size_t length, char to[2000]) {
    snprintf(to, 2000, "%.*s", (int)length, from);
}

/* The answer's Status, its Message (or Error) in `text`. */
static bool ask(stage *s, const char *name, const char *xml, char text[2000]) {
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "command"};
    es_igtl_message m;
    es_igtl_meta meta;
    es_igtl_put_command(&out, &head, false, s->next_id++, name, xml, strlen(xml));
    raw_send(s->client.fd, out.bytes, out.length);
    es_igtl_out_clear(&out);
    assert_true(raw_next(&s->client, "RTS_COMMAND", &m));
    assert_true(es_igtl_meta_find(&m, "Status", &meta));
    bool ok = meta.value_length == 7 && memcmp(meta.value, "SUCCESS", 7) == 0;
    if (!es_igtl_meta_find(&m, ok ? "Message" : "Error", &meta)) meta.value_length = 0;
    copy(meta.value, meta.value_length, text);
    return ok;
}

static void wait_inserted(stage *s, int64_t frames) {
    for (int i = 0; i < 1000 && es_live_run_state(s->run).inserted < frames; i++) rest_s(0.01);
    assert_true(es_live_run_state(s->run).inserted >= frames);
}

static void a_panel_finds_the_devices_it_looks_for(void **state) {
    (void)state;
    stage *s = open_stage(true);
    char text[2000];
    assert_true(ask(s, "RequestDeviceIds", "<Command DeviceType=\"VirtualCapture\"/>", text));
    assert_string_equal(text, "CaptureDevice");
    assert_true(
        ask(s, "RequestDeviceIds", "<Command DeviceType=\"VirtualVolumeReconstructor\"/>", text));
    assert_string_equal(text, "VolumeReconstructorDevice");
    assert_true(ask(s, "RequestDeviceIds", "<Command/>", text));
    assert_string_equal(text, "CaptureDevice,VolumeReconstructorDevice");
    assert_true(ask(s, "RequestChannelIds", "<Command/>", text));
    assert_true(*text);
    assert_true(ask(s, "Version", "<Command/>", text));
    assert_false(ask(s, "Explode", "<Command/>", text));
    assert_string_equal(text, "Unknown command type requested.");
    assert_false(ask(s, "Version", "no xml at all", text));
    assert_int_equal(close_stage(s), 0);
}

static int64_t frames_in(const char *path) {
    es_source *source = es_sequence_open(path, NULL);
    if (!source) return -1;
    int64_t frames = es_source_info(source)->frame_count;
    es_source_free(source);
    return frames;
}

static void a_recording_is_started_paused_and_stopped(void **state) {
    (void)state;
    stage *s = open_stage(true);
    char text[2000];
    wait_inserted(s, 1);
    assert_false(ask(s, "StopRecording", "<Command/>", text));
    assert_true(ask(s, "StartRecording",
                    "<Command CaptureDeviceId=\"CaptureDevice\" OutputFilename=\"a.igs.mha\"/>",
                    text));
    assert_string_equal(text, "VirtualCapture (CaptureDevice) StartRecording successful.");
    assert_false(ask(s, "StartRecording", "<Command OutputFilename=\"b.igs.mha\"/>", text));
    wait_inserted(s, es_live_run_state(s->run).inserted + 10);
    assert_true(ask(s, "SuspendRecording", "<Command/>", text));
    assert_true(ask(s, "ResumeRecording", "<Command/>", text));
    assert_true(ask(s, "StopRecording", "<Command/>", text));
    const char *path = strrchr(text, ' ') + 1; /* a client takes the name from the end */
    assert_string_equal(strrchr(path, '/'), "/a.igs.mha");
    assert_true(frames_in(path) >= 10);
    assert_int_equal(close_stage(s), 1);
}

static void names_that_leave_the_folder_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"../a.mha", "/tmp/a.mha", "b/a.mha", ".a.mha", "",
                                      "a\\b.mha", "c:a.mha",    "..",      "a.txt"};
    stage *s = open_stage(true);
    char text[2000], xml[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(xml, sizeof xml, "<Command OutputFilename=\"%s\"/>", bad[i]);
        assert_false(ask(s, "StartRecording", xml, text));
        snprintf(xml, sizeof xml, "<Command Filename=\"%s\"/>", bad[i]);
        if (i < 8) assert_false(ask(s, "SaveConfig", xml, text));
    }
    assert_int_equal(close_stage(s), 0);
    s = open_stage(false);
    assert_false(ask(s, "SaveConfig", "<Command Filename=\"a.xml\"/>", text));
    assert_non_null(strstr(text, "--folder"));
    assert_int_equal(close_stage(s), 0);
}

static void a_snapshot_is_an_image_and_then_an_answer(void **state) {
    (void)state;
    stage *s = open_stage(true);
    static const char xml[] =
        "<Command OutputVolFilename=\"v.mha\" OutputVolDeviceName=\"recvol\"/>";
    char text[2000], path[600];
    es_igtl_message m;
    es_igtl_image image;
    wait_inserted(s, 10);
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "command"};
    es_igtl_put_command(&out, &head, false, 900, "GetVolumeReconstructionSnapshot", xml,
                        strlen(xml));
    raw_send(s->client.fd, out.bytes, out.length);
    es_igtl_out_clear(&out);
    bool volume = false;
    while (raw_next(&s->client, "", &m) && strcmp(m.type, "RTS_COMMAND") != 0)
        if (strcmp(m.device, "recvol") == 0)
            volume = es_igtl_get_image(&m, &image, NULL) && image.size[2] > 1;
    assert_string_equal(m.type, "RTS_COMMAND");
    assert_true(volume);
    snprintf(path, sizeof path, "%s/v.mha", s->folder);
    es_grid grid = {0};
    assert_true(es_grid_read(path, &grid, NULL));
    es_grid_clear(&grid);
    assert_true(ask(s, "StopVolumeReconstruction", "<Command/>", text));
    int64_t inserted = es_live_run_state(s->run).inserted;
    rest_s(0.2);
    inserted = es_live_run_state(s->run).inserted;
    rest_s(0.2);
    assert_int_equal(es_live_run_state(s->run).inserted, inserted);
    assert_true(ask(s, "StartVolumeReconstruction", "<Command/>", text));
    assert_false(ask(s, "StartVolumeReconstruction", "<Command/>", text));
    wait_inserted(s, inserted + 5);
    assert_true(ask(s, "SuspendVolumeReconstruction", "<Command/>", text));
    assert_true(ask(s, "ResumeVolumeReconstruction", "<Command/>", text));
    assert_int_equal(close_stage(s), 1);
}

/* Every seventh frame has no valid pose, and says so. */
static bool ask_until_seen(stage *s, const char *xml, char text[2000]) {
    for (int i = 0; i < 20; i++)
        if (ask(s, "GetTransform", xml, text)) return true;
    return false;
}

static void transforms_are_told_changed_and_saved(void **state) {
    (void)state;
    stage *s = open_stage(true);
    char text[2000], path[600];
    wait_inserted(s, 3);
    assert_true(ask(s, "GetTransform", "<Command TransformName=\"ImageToProbe\"/>", text));
    assert_non_null(strstr(text, "value=\"0.5 0 0 0 0 0.5 0 0 0 0 0.5 0 0 0 0 1\""));
    assert_true(ask_until_seen(s, "<Command TransformName=\"ProbeToTracker\"/>", text));
    assert_false(ask(s, "GetTransform", "<Command TransformName=\"MoonToSun\"/>", text));
    assert_true(ask(s, "UpdateTransform",
                    "<Command TransformName=\"StylusTipToStylus\" "
                    "TransformValue=\"1 0 0 5 0 1 0 6 0 0 1 7 0 0 0 1\"/>",
                    text));
    assert_false(ask(s, "UpdateTransform",
                     "<Command TransformName=\"StylusTipToStylus\" TransformValue=\"1 2 3\"/>",
                     text));
    assert_true(ask(s, "SaveConfig", "<Command Filename=\"c.xml\"/>", text));
    snprintf(path, sizeof path, "%s/c.xml", s->folder);
    es_plus *saved = es_plus_read(path, NULL);
    assert_non_null(saved);
    assert_int_equal(es_plus_transform_count(saved), 2);
    es_plus_free(saved);
    assert_int_equal(es_plus_transform_count(s->plus), 1); /* the caller's own stays */
    assert_int_equal(close_stage(s), 1);
}

static void a_setting_that_nobody_told_is_not_made_up(void **state) {
    (void)state;
    stage *s = open_stage(true);
    char text[2000];
    assert_false(
        ask(s, "GetUsParameter", "<Command><Parameter Name=\"DepthMm\"/></Command>", text));
    assert_false(ask(s, "SetUsParameter",
                     "<Command><Parameter Name=\"DepthMm\" Value=\"50\"/></Command>", text));
    assert_int_equal(close_stage(s), 0);
}

/* ---- the XML ------------------------------------------------------------------------- */

static void attributes_are_read_with_their_entities(void **state) {
    (void)state;
    const char *at = "<?xml version=\"1.0\"?><!-- <no/> --><Command A = 'x>y' B=\"1 &lt; 2\"><P/>";
    tag t;
    char value[16], small[3];
    assert_true(tag_next(&at, &t));
    assert_string_equal(t.name, "Command");
    assert_true(tag_attribute(&t, "A", value, sizeof value));
    assert_string_equal(value, "x>y");
    assert_true(tag_attribute(&t, "B", value, sizeof value));
    assert_string_equal(value, "1 < 2");
    assert_false(tag_attribute(&t, "B", small, sizeof small));
    assert_false(tag_attribute(&t, "C", value, sizeof value));
    assert_true(tag_next(&at, &t));
    assert_string_equal(t.name, "P");
    assert_false(tag_next(&at, &t));
}

static void broken_xml_ends_quietly(void **state) {
    (void)state;
    static const char whole[] =
        "<?a?><!--b--><Command Name=\"x&amp;y\" Other='z'><Parameter Name=\"q\"/></Command>";
    char cut[sizeof whole], value[8];
    for (size_t n = 0; n < sizeof whole; n++)
        for (int replaced = 0; replaced < 3; replaced++) {
            memcpy(cut, whole, n);
            cut[n] = '\0';
            if (replaced && n) cut[n / 2] = replaced == 1 ? '"' : '<';
            const char *at = cut;
            tag t;
            for (int i = 0; i < 100 && tag_next(&at, &t); i++) {
                tag_attribute(&t, "Name", value, sizeof value);
                assert_true(at > cut && at <= cut + n);
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_panel_finds_the_devices_it_looks_for),
        cmocka_unit_test(a_recording_is_started_paused_and_stopped),
        cmocka_unit_test(names_that_leave_the_folder_are_refused),
        cmocka_unit_test(a_snapshot_is_an_image_and_then_an_answer),
        cmocka_unit_test(transforms_are_told_changed_and_saved),
        cmocka_unit_test(a_setting_that_nobody_told_is_not_made_up),
        cmocka_unit_test(attributes_are_read_with_their_entities),
        cmocka_unit_test(broken_xml_ends_quietly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
