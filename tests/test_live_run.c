/* The live run: what it makes is what its recording makes again, byte for byte,
 * whatever was dropped on the way. */
#include "live_replay.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

static char folder[256];

static const char *in_folder(const char *name) {
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/echosolid-live-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.') unlink(in_folder(entry->d_name));
    if (dir) closedir(dir);
    return rmdir(folder);
}

static bool stop_at(void *context) {
    live_player *p = context;
    return p->done && es_live_server_waiting(p->server) == 0;
}

/* Plays the scene to a run and gives its volume. */
static es_live_state play(live_player *p, es_live_run_options o, es_grid *grid) {
    es_error err = {0};
    es_live_options link = ES_LIVE_DEFAULTS;
    link.port = player_start(p, 0);
    es_live *live = es_live_open(&link, &err);
    if (!live) fail_msg("%s", err.message);
    o.source = es_live_source(live);
    o.live = live;
    o.stop = stop_at;
    o.stop_context = p;
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err)) fail_msg("%s", err.message);
    volume_bytes(es_live_run_volume(run), grid);
    es_live_state state = es_live_run_state(run);
    es_live_run_free(run);
    es_live_free(live);
    player_end(p);
    return state;
}

static void the_recording_makes_the_live_volume_again_byte_for_byte(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_player p = player_make(60, 100);
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_grid live = {0}, again = {0};
    int64_t inserted;
    o.request = &request;
    o.record = in_folder("same.igs.nhdr");
    o.queue = 64;
    es_live_state s = play(&p, o, &live);
    assert_int_equal(s.received, s.recorded);
    assert_true(s.received >= 59); /* the end is seen when the last one was sent */
    assert_int_equal(s.dropped, 0);
    assert_int_equal(s.inserted + s.unplaced, s.received);
    assert_true(s.unplaced >= 8);
    assert_true(s.latency_median_s > 0 && s.latency_median_s <= s.latency_p99_s);
    rebuild(o.record, &request, false, &again, &inserted);
    assert_int_equal(inserted, s.inserted);
    check_same(&live, &again);
    es_grid_clear(&live);
    es_grid_clear(&again);
    es_plus_free(plus);
}

/* Frames come ten times as fast as they can be inserted. */
static void frames_that_were_dropped_are_marked_and_left_out_again(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_player p = player_make(120, 400);
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_grid live = {0}, again = {0}, all = {0};
    int64_t inserted, every;
    p.scene.width = p.scene.height = 400;
    request.interpolation = ES_LINEAR;
    for (int a = 0; a < 3; a++) request.spacing_mm[a] = 0.5;
    o.request = &request;
    o.record = in_folder("dropped.igs.nhdr");
    o.queue = 2;
    o.warm_up = 2;
    o.catch_up_s = 0;
    o.threads = 1;
    es_live_state s = play(&p, o, &live);
    assert_true(s.dropped > 0);
    assert_int_equal(s.received, s.recorded);
    assert_int_equal(s.inserted + s.dropped + s.unplaced, s.received);
    rebuild(o.record, &request, false, &again, &inserted);
    assert_int_equal(inserted, s.inserted);
    check_same(&live, &again);
    rebuild(o.record, &request, true, &all, &every);
    assert_int_equal(every, s.inserted + s.dropped);
    es_grid_clear(&live);
    es_grid_clear(&again);
    es_grid_clear(&all);
    es_plus_free(plus);
}

static void a_source_that_is_not_live_is_waited_for(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_scene scene = {.width = 64, .height = 64, .frames = 50, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    o.source = scene_open(&scene);
    o.request = &request;
    o.queue = 2;
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err)) fail_msg("%s", err.message);
    es_live_state s = es_live_run_state(run);
    assert_int_equal(s.received, 50);
    assert_int_equal(s.dropped, 0);
    assert_int_equal(s.inserted, 43); /* frames 3, 10, ... 45 have no pose */
    es_live_run_free(run);
    es_source_free(o.source);
    es_plus_free(plus);
}

static void fewer_frames_than_the_warm_up_are_inserted_too(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_scene scene = {.width = 32, .height = 24, .frames = 3, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    o.source = scene_open(&scene);
    o.request = &request;
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err)) fail_msg("%s", err.message);
    assert_int_equal(es_live_run_state(run).inserted, 3);
    es_live_run_free(run);
    es_source_free(o.source);
    es_plus_free(plus);
}

static void without_any_pose_the_recording_stays_and_the_reason_is_told(void **state) {
    (void)state;
    es_setup_request request = make_request(NULL); /* no ImageToProbe */
    live_scene scene = {.width = 32, .height = 24, .frames = 5, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    o.source = scene_open(&scene);
    o.request = &request;
    o.record = in_folder("unplaced.igs.nhdr");
    es_live_run *run = es_live_run_new(&o, NULL);
    assert_non_null(run);
    assert_false(es_live_run_go(run, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_non_null(strstr(err.message, "5 frames"));
    assert_null(es_live_run_volume(run));
    es_live_run_free(run);
    es_source_free(o.source);
    es_source *recording = es_sequence_open(o.record, NULL);
    assert_non_null(recording);
    assert_int_equal(es_source_info(recording)->frame_count, 5);
    es_source_free(recording);
}

static void a_full_disk_ends_the_recording_not_the_run(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_scene scene = {.width = 64, .height = 64, .frames = 50, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 30 * 64 * 64 + 5;
    o.source = scene_open(&scene);
    o.request = &request;
    o.record = in_folder("full.igs.nhdr");
    es_live_run *run = es_live_run_new(&o, NULL);
    assert_non_null(run);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool ok = es_live_run_go(run, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    if (!ok) fail_msg("%s", err.message);
    es_live_state s = es_live_run_state(run);
    assert_int_equal(s.received, 50);
    assert_int_equal(s.recorded, 30);
    assert_non_null(s.record_error);
    assert_int_equal(s.inserted, 43);
    es_live_run_free(run);
    es_source_free(o.source);
    es_source *recording = es_sequence_open(o.record, NULL);
    assert_int_equal(es_source_info(recording)->frame_count, 30);
    es_source_free(recording);
    es_plus_free(plus);
}

/* ---- what Slicer gets ------------------------------------------------------------- */

typedef struct viewer {
    int port;
    pthread_t thread;
    atomic_bool stop;
    int pictures, poses, volumes;
    bool placed, full;
} viewer;

static void look_at(viewer *v, const es_igtl_message *m) {
    es_igtl_image image;
    if (strcmp(m->type, "TRANSFORM") == 0) v->poses++;
    if (!es_igtl_get_image(m, &image, NULL)) return;
    if (strcmp(m->device, "Volume") == 0) {
        v->volumes++;
        v->full = image.size[2] > 1;
    } else if (strcmp(m->device, "Image_Tracker") == 0) {
        es_mat4 place = es_igtl_image_place(&image);
        double mm = es_vec3_length(es_mat4_column(place, 0));
        v->pictures++;
        v->placed = fabs(mm - 0.5) < 1e-6;
    }
}

static void *view(void *context) {
    viewer *v = context;
    raw_reader r = {.fd = raw_connect(v->port)};
    es_igtl_message m;
    es_igtl_out out = {0};
    es_igtl_head head = {.version = 2, .device = "Slicer"};
    es_igtl_put_status(&out, &head, 1, 0, "OK", "");
    raw_send(r.fd, out.bytes, out.length);
    while (!v->stop && raw_next(&r, "", &m)) look_at(v, &m);
    es_igtl_out_clear(&out);
    raw_close(&r);
    return NULL;
}

static void a_viewer_gets_pictures_in_place_poses_and_the_growing_volume(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    live_player p = player_make(60, 60);
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_live_server_options so = ES_LIVE_SERVER_DEFAULTS;
    es_grid live = {0};
    so.port = 0;
    o.request = &request;
    o.server = es_live_server_new(&so, NULL);
    o.warm_up = 5;
    viewer v = {.port = es_live_server_port(o.server)};
    assert_int_equal(pthread_create(&v.thread, NULL, view, &v), 0);
    play(&p, o, &live);
    v.stop = true;
    pthread_join(v.thread, NULL);
    es_live_server_free(o.server);
    /* Frames that find three older ones in the line are left out. */
    assert_true(v.pictures > 20 && v.placed);
    assert_true(v.poses > 20);
    assert_true(v.volumes >= 1 && v.full);
    es_grid_clear(&live);
    es_plus_free(plus);
}

/* ---- bone --------------------------------------------------------------------------- */

typedef struct seen_meshes {
    int count;
    size_t most;
} seen_meshes;

static void see_mesh(void *context, const es_mesh *mesh) {
    seen_meshes *seen = context;
    seen->count++;
    if (mesh->triangle_count > seen->most) seen->most = mesh->triangle_count;
}

/* The sheet that model makes of the recording. */
static void rebuild_bone(const char *path, const es_setup_request *request,
                         es_model_result *result) {
    es_error err = {0};
    es_setup setup;
    es_flow_stats stats;
    es_model_options options = ES_MODEL_DEFAULTS;
    es_source *source = es_sequence_open(path, &err);
    if (!source || !es_setup_make(source, request, &setup, &err)) fail_msg("%s", err.message);
    es_placement *placement = es_placement_new(request->plus, NULL, NULL);
    es_model *model = es_model_new(&setup, &options, NULL, &setup.decisions, &err);
    es_flow flow = {.source = source, .placement = placement, .skip = setup.skip, .total = -1};
    if (!model || !es_flow_run(&flow, es_model_stage, model, &stats, &err) ||
        !es_model_finish(model, result, &err))
        fail_msg("%s", err.message);
    es_model_free(model);
    es_placement_free(placement);
    es_setup_clear(&setup);
    es_source_free(source);
}

static es_plus *plus_of(const es_simulation *sim) {
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_simulation_image_to_probe(sim), .error = NAN};
    assert_true(es_plus_transform_set(plus, &t, NULL));
    return plus;
}

static void the_recording_makes_the_live_bone_again_byte_for_byte(void **state) {
    (void)state;
    es_simulation sim = ES_SIMULATION_DEFAULTS;
    es_error err = {0};
    sim.frames = 60;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 192;
    es_plus *plus = plus_of(&sim);
    es_setup_request request = make_request(plus);
    es_model_options model = ES_MODEL_DEFAULTS;
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_model_result live = {0}, again = {0};
    seen_meshes seen = {0};
    o.source = es_simulation_open(&sim, &err);
    if (!o.source) fail_msg("%s", err.message);
    o.request = &request;
    o.bone = &model;
    o.record = in_folder("bone.igs.nhdr");
    o.preview_hz = 60;
    o.preview_triangles = 2000;
    o.watch = (es_live_watch){.context = &seen, .mesh = see_mesh};
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err) || !es_model_finish(es_live_run_model(run), &live, &err))
        fail_msg("%s", err.message);
    assert_true(live.sheet.triangle_count > 500);
    assert_true(seen.count > 0 && seen.most > 0 && seen.most <= 2000);
    rebuild_bone(o.record, &request, &again);
    assert_int_equal(live.sheet.vertex_count, again.sheet.vertex_count);
    assert_int_equal(live.sheet.triangle_count, again.sheet.triangle_count);
    assert_memory_equal(live.sheet.vertices, again.sheet.vertices,
                        3 * live.sheet.vertex_count * sizeof(float));
    assert_memory_equal(live.sheet.triangles, again.sheet.triangles,
                        3 * live.sheet.triangle_count * sizeof(uint32_t));
    es_model_result_clear(&live);
    es_model_result_clear(&again);
    es_live_run_free(run);
    es_source_free(o.source);
    es_plus_free(plus);
}

static bool is_busy(void *context, bool *anybody) {
    (void)context;
    *anybody = true;
    return false;
}

static void who_is_busy_all_the_time_gets_one_mesh_at_the_end(void **state) {
    (void)state;
    es_simulation sim = ES_SIMULATION_DEFAULTS;
    es_error err = {0};
    sim.frames = 30;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 192;
    es_plus *plus = plus_of(&sim);
    es_setup_request request = make_request(plus);
    es_model_options model = ES_MODEL_DEFAULTS;
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    seen_meshes seen = {0};
    o.source = es_simulation_open(&sim, &err);
    if (!o.source) fail_msg("%s", err.message);
    o.request = &request;
    o.bone = &model;
    o.watch = (es_live_watch){.context = &seen, .mesh = see_mesh, .wants_mesh = is_busy};
    es_live_run *run = es_live_run_new(&o, &err);
    if (!run || !es_live_run_go(run, &err)) fail_msg("%s", err.message);
    assert_int_equal(seen.count, 1);
    assert_true(seen.most > 100); /* of all that was inserted */
    es_live_run_free(run);
    es_source_free(o.source);
    es_plus_free(plus);
}

static void a_recording_with_a_broken_survey_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "1 2 3", "1 2 3 4 5 x", "1 2 3 4 5 inf", "1 2 3 4 5 6 7"};
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        live_scene scene = {.width = 32, .height = 24, .frames = 5, .rate_hz = 25};
        es_source *inner = scene_open(&scene);
        es_stream_info info = *es_source_info(inner);
        const es_source_ops ops = {scene_next, scene_rewind, scene_free};
        es_error err = {0};
        es_setup setup;
        assert_true(es_fields_set(&info.fields, ES_LIVE_SURVEY, bad[i], NULL));
        es_source *source = es_source_new(&ops, &scene, &info, NULL);
        assert_false(es_setup_make(source, &request, &setup, &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_non_null(strstr(err.message, ES_LIVE_SURVEY));
        es_fields_clear(&info.fields);
        es_source_free(source);
        es_source_free(inner);
    }
    es_plus_free(plus);
}

static void options_out_of_range_are_refused(void **state) {
    (void)state;
    es_setup_request request = make_request(NULL);
    live_scene scene = {.width = 32, .height = 24, .frames = 3, .rate_hz = 25};
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    es_error err = {0};
    o.source = scene_open(&scene);
    o.request = &request;
    o.queue = 1;
    assert_null(es_live_run_new(&o, &err));
    assert_int_equal(err.code, ES_USAGE);
    o.queue = 8;
    o.warm_up = 0;
    assert_null(es_live_run_new(&o, &err));
    o.warm_up = 5;
    o.record = in_folder("name.mha");
    assert_null(es_live_run_new(&o, &err));
    es_live_run_free(NULL);
    es_source_free(o.source);
}

static void memory_that_runs_out_is_an_error_wherever_it_does(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    for (long n = 0; n < 400; n += 1 + n / 20) {
        live_scene scene = {.width = 32, .height = 24, .frames = 10, .rate_hz = 25};
        es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
        es_error err = {0};
        o.source = scene_open(&scene);
        o.request = &request;
        o.warm_up = 3;
        es_alloc_fail_after(n);
        es_live_run *run = es_live_run_new(&o, &err);
        bool ok = run && es_live_run_go(run, &err);
        es_alloc_fail_after(-1);
        if (!ok) assert_int_not_equal(err.code, ES_OK);
        es_live_run_free(run);
        es_source_free(o.source);
    }
    es_plus_free(plus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_recording_makes_the_live_volume_again_byte_for_byte),
        cmocka_unit_test(frames_that_were_dropped_are_marked_and_left_out_again),
        cmocka_unit_test(a_source_that_is_not_live_is_waited_for),
        cmocka_unit_test(fewer_frames_than_the_warm_up_are_inserted_too),
        cmocka_unit_test(without_any_pose_the_recording_stays_and_the_reason_is_told),
        cmocka_unit_test(a_full_disk_ends_the_recording_not_the_run),
        cmocka_unit_test(a_viewer_gets_pictures_in_place_poses_and_the_growing_volume),
        cmocka_unit_test(the_recording_makes_the_live_bone_again_byte_for_byte),
        cmocka_unit_test(who_is_busy_all_the_time_gets_one_mesh_at_the_end),
        cmocka_unit_test(a_recording_with_a_broken_survey_is_refused),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error_wherever_it_does),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
