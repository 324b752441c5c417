/* Taking back the last seconds of a live run: the volume is that of a run which never
 * inserted them, and so is what the recording makes. */
#include "live_replay.h"

#include <dirent.h>
#include <stdio.h>

#include "../src/live/run.h"
#include "echosolid/coach.h"

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
    snprintf(folder, sizeof folder, "%s/echosolid-undo-XXXXXX", base ? base : "/tmp");
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

/* ---- a run in which things are done at given frames ------------------------------------ */

typedef enum deed { UNDO, UNDO_NOTHING, PAUSE, START, CAPTURE, CAPTURE_END } deed;
typedef struct act {
    int64_t at; /* frames that were received before */
    deed what;
} act;

typedef struct script {
    const act *acts;
    size_t count, next;
    es_live_run *run;
    const char *capture;
    es_live_undone undone[16];
    size_t undos;
    int64_t told[16]; /* what the watch was told */
    size_t told_count;
} script;

static void do_it(script *s, deed what) {
    es_live_undone undone;
    es_error err = {0};
    bool ok = true;
    switch (what) {
    case UNDO:
        ok = es_live_run_undo(s->run, &undone);
        s->undone[s->undos++] = undone;
        break;
    case UNDO_NOTHING: ok = !es_live_run_undo(s->run, &undone) && undone.frames == 0; break;
    case PAUSE: es_live_run_pause(s->run, true); break;
    case START: es_live_run_pause(s->run, false); break;
    case CAPTURE: ok = run_capture_start(s->run, s->capture, &err); break;
    case CAPTURE_END: ok = run_capture_stop(s->run, &err); break;
    }
    if (!ok)
        fail_msg("act %d at frame %lld: %s", (int)what, (long long)s->acts[s->next].at,
                 err.message);
}

static bool act_now(void *context) {
    script *s = context;
    int64_t received = es_live_run_state(s->run).received;
    for (; s->next < s->count && s->acts[s->next].at == received; s->next++)
        do_it(s, s->acts[s->next].what);
    return false;
}

static void hear_undone(void *context, int64_t first) {
    script *s = context;
    s->told[s->told_count++] = first;
}

static es_live_run_options options_of(script *s, const es_setup_request *request) {
    es_live_run_options o = ES_LIVE_RUN_DEFAULTS;
    o.request = request;
    o.undo_s = 1;
    o.undo_keep_s = 6;
    o.warm_up = 5;
    o.stop = act_now;
    o.stop_context = s;
    o.watch = (es_live_watch){.context = s, .undone = hear_undone};
    return o;
}

/* Runs the scene, 25 frames a second; `grid` may be NULL. */
static es_live_state act_out(script *s, es_live_run_options o, int64_t frames, es_grid *grid) {
    live_scene scene = {.width = 32, .height = 24, .frames = frames, .rate_hz = 25};
    es_error err = {0};
    o.source = scene_open(&scene);
    s->run = es_live_run_new(&o, &err);
    if (!s->run || !es_live_run_go(s->run, &err)) fail_msg("%s", err.message);
    assert_int_equal(s->next, s->count);
    if (grid) volume_bytes(es_live_run_volume(s->run), grid);
    es_live_state state = es_live_run_state(s->run);
    es_live_run_free(s->run);
    es_source_free(o.source);
    return state;
}

/* Pausing in place of what was taken back. */
static void check_without(const script *s, const es_setup_request *request, int64_t frames,
                          const es_live_state *state, const es_grid *with) {
    act pauses[32];
    script plain = {.acts = pauses};
    es_grid without = {0};
    for (size_t i = 0, undo = 0; i < s->count; i++) {
        if (s->acts[i].what != UNDO) continue;
        pauses[plain.count++] = (act){s->undone[undo++].first, PAUSE};
        pauses[plain.count++] = (act){s->acts[i].at, START};
    }
    es_live_state other = act_out(&plain, options_of(&plain, request), frames, &without);
    check_same(with, &without);
    assert_int_equal(state->inserted, other.inserted);
    assert_int_equal(state->bricks, other.bricks);
    es_grid_clear(&without);
}

/* Runs with `acts`, without what they take back, and again from the recording. Where the
 * warm-up is taken back, a run without it would have chosen another lattice. */
static void check_against_a_run_without(const act *acts, size_t count, int64_t frames,
                                        const char *name) {
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    script s = {.acts = acts, .count = count};
    es_live_run_options o = options_of(&s, &request);
    es_grid with = {0}, again = {0}, all = {0};
    int64_t inserted, every;
    o.record = in_folder(name);
    es_live_state state = act_out(&s, o, frames, &with);
    assert_int_equal(state.received, state.recorded);
    if (s.undone[0].first > 0) check_without(&s, &request, frames, &state, &with);
    rebuild(in_folder(name), &request, false, &again, &inserted);
    check_same(&with, &again);
    assert_int_equal(inserted, state.inserted);
    rebuild(in_folder(name), &request, true, &all, &every);
    assert_int_equal(every, state.inserted + state.undone + state.dropped);
    es_grid_clear(&with);
    es_grid_clear(&again);
    es_grid_clear(&all);
    es_plus_free(plus);
}

static void what_was_taken_back_is_as_if_it_had_never_been_inserted(void **state) {
    (void)state;
    static const act once[] = {{100, UNDO}};
    static const act apart[] = {{60, UNDO}, {110, UNDO}};
    static const act at_the_end[] = {{90, UNDO}};
    check_against_a_run_without(once, 1, 140, "once.igs.nhdr");
    check_against_a_run_without(apart, 2, 150, "apart.igs.nhdr");
    check_against_a_run_without(at_the_end, 1, 90, "end.igs.nhdr");
}

static void one_press_takes_back_a_second_and_the_next_one_goes_on_from_there(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    static const act acts[] = {{120, UNDO}, {120, UNDO}, {121, UNDO}, {130, UNDO}};
    script s = {.acts = acts, .count = 4};
    es_live_state state_then = act_out(&s, options_of(&s, &request), 140, NULL);
    assert_int_equal(s.undos, 4);
    int64_t sum = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.told[i], s.undone[i].first);
        sum += s.undone[i].frames;
    }
    assert_int_equal(state_then.undone, sum);
    /* 1 s is 25 frames at 25 a second: a slice (0.1 s) more at most, a frame's step less */
    assert_in_range(s.undone[0].first, 120 - 29, 120 - 24);
    assert_in_range(s.undone[1].first, s.undone[0].first - 29, s.undone[0].first - 23);
    assert_true(s.undone[0].seconds > 0.9 && s.undone[0].seconds < 1.15);
    /* the frame that came between, and what is missing of a second before it */
    assert_true(s.undone[2].first < s.undone[1].first);
    /* the nine frames since, and on */
    assert_true(s.undone[3].first < s.undone[2].first);
    es_plus_free(plus);
}

static void nothing_is_taken_back_where_there_is_nothing(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    /* before any frame, in the warm-up, when all is taken back */
    static const act acts[] = {{0, UNDO_NOTHING},  {3, UNDO_NOTHING}, {40, UNDO}, {40, UNDO},
                               {40, UNDO_NOTHING}, {41, UNDO},        {55, UNDO}};
    script s = {.acts = acts, .count = 7};
    es_grid grid = {0};
    es_live_state then = act_out(&s, options_of(&s, &request), 60, &grid);
    assert_int_equal(s.undone[1].first, 0); /* the warm-up too */
    assert_int_equal(s.undos, 4);
    assert_int_equal(then.inserted + then.undone + then.unplaced, then.received);
    es_grid_clear(&grid);
    script none = {.acts = (const act[]){{50, UNDO_NOTHING}}, .count = 1};
    es_live_run_options o = options_of(&none, &request);
    o.undo_s = o.undo_keep_s = 0;
    assert_int_equal(act_out(&none, o, 60, NULL).undone, 0);
    es_plus_free(plus);
}

/* Frame 31 has no pose. */
static void a_press_in_vain_is_no_harm(void **state) {
    (void)state;
    static const act acts[] = {{20, UNDO}, {31, UNDO}, {32, UNDO_NOTHING}};
    check_against_a_run_without(acts, 3, 80, "vain.igs.nhdr");
}

static void all_of_it_can_be_taken_back_and_scanned_again(void **state) {
    (void)state;
    static const act acts[] = {{20, UNDO}};
    check_against_a_run_without(acts, 1, 80, "all.igs.nhdr");
}

static void a_paused_run_takes_back_what_was_before_the_pause(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    static const act acts[] = {{80, PAUSE}, {120, UNDO}, {130, START}};
    script s = {.acts = acts, .count = 3}, plain = {0};
    es_live_run_options o = options_of(&s, &request);
    es_grid a = {0}, b = {0}, again = {0};
    int64_t inserted;
    o.record = in_folder("paused.igs.nhdr");
    es_live_state then = act_out(&s, o, 150, &a);
    assert_in_range(s.undone[0].first, 80 - 29, 80 - 24);
    act pauses[] = {{s.undone[0].first, PAUSE}, {130, START}};
    plain.acts = pauses;
    plain.count = 2;
    es_live_state other = act_out(&plain, options_of(&plain, &request), 150, &b);
    check_same(&a, &b);
    assert_int_equal(then.inserted, other.inserted);
    rebuild(o.record, &request, false, &again, &inserted);
    check_same(&a, &again);
    es_grid_clear(&a);
    es_grid_clear(&b);
    es_grid_clear(&again);
    es_plus_free(plus);
}

static void it_goes_back_as_far_as_is_kept(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    static const act acts[] = {{140, UNDO}, {140, UNDO}, {140, UNDO}, {140, UNDO_NOTHING}};
    script s = {.acts = acts, .count = 4};
    es_live_run_options o = options_of(&s, &request);
    o.undo_keep_s = 2;
    es_live_state then = act_out(&s, o, 140, NULL);
    assert_true(then.undo_s == 0);
    /* Twenty slices, which at 25 frames a second are of three frames each. */
    assert_in_range(s.undone[2].first, 140 - 70, 140 - 50);
    static const act vain[] = {{140, UNDO_NOTHING}};
    script little = {.acts = vain, .count = 1};
    o = options_of(&little, &request);
    o.undo_bytes = 1000; /* less than a brick */
    assert_int_equal(act_out(&little, o, 140, NULL).undone, 0);
    static const act none[] = {{5, PAUSE}};
    script first = {.acts = none};
    o = options_of(&first, &request);
    es_live_state told = act_out(&first, o, 140, NULL);
    /* 140 frames are 5.6 s, less what frames without a pose leave out */
    assert_true(told.undo_s > 5 && told.undo_s < 5.7);
    es_plus_free(plus);
}

/* ---- recordings ---------------------------------------------------------------------- */

static int64_t count_left_out(const char *path, int64_t *first) {
    es_error err = {0};
    es_frame frame = {0};
    bool end = false;
    int64_t count = 0;
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    *first = -1;
    assert_null(es_fields_get(&es_source_info(source)->fields, ES_LIVE_UNDONE "1"));
    for (int64_t f = 0;; f++) {
        if (!es_source_next(source, &frame, 0, &end, &err)) fail_msg("%s", err.message);
        if (end) break;
        count += es_frame_was_dropped(&frame);
        if (*first < 0 && es_frame_was_dropped(&frame)) *first = f;
    }
    es_frame_clear(&frame);
    es_source_free(source);
    return count;
}

static void what_clients_record_says_it_by_its_own_numbers(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    /* Starts in what will be taken back; starts before it. */
    static const act within[] = {{90, CAPTURE}, {100, UNDO}, {110, CAPTURE_END}};
    static const act before[] = {{50, CAPTURE}, {100, UNDO}, {110, CAPTURE_END}};
    static const act early[] = {{2, CAPTURE}, {18, UNDO}, {40, CAPTURE_END}};
    int64_t first;
    script s = {.acts = within, .count = 3, .capture = in_folder("within.igs.mha")};
    act_out(&s, options_of(&s, &request), 140, NULL);
    assert_int_equal(count_left_out(in_folder("within.igs.mha"), &first), 10);
    assert_int_equal(first, 0);
    s = (script){.acts = before, .count = 3, .capture = in_folder("before.igs.nhdr")};
    act_out(&s, options_of(&s, &request), 140, NULL);
    assert_int_equal(count_left_out(in_folder("before.igs.nhdr"), &first), 100 - s.undone[0].first);
    assert_int_equal(first, s.undone[0].first - 50);
    s = (script){.acts = early, .count = 3, .capture = in_folder("early.igs.nhdr")};
    act_out(&s, options_of(&s, &request), 60, NULL);
    assert_int_equal(s.undone[0].first, 0);
    assert_int_equal(count_left_out(in_folder("early.igs.nhdr"), &first), 16);
    es_plus_free(plus);
}

static void a_recording_that_is_made_of_another_keeps_the_marks_at_their_frames(void **state) {
    (void)state;
    es_plus *plus = make_plus();
    es_setup_request request = make_request(plus);
    static const act acts[] = {{100, UNDO}};
    script s = {.acts = acts, .count = 1};
    es_live_run_options o = options_of(&s, &request);
    int64_t frames, first, inserted;
    es_grid live = {0}, again = {0};
    es_error err = {0};
    o.record = in_folder("converted.live.nhdr");
    act_out(&s, o, 120, &live);
    if (!es_journal_convert(o.record, in_folder("converted.igs.mha"), NULL, &frames, &err))
        fail_msg("%s", err.message);
    assert_int_equal(frames, 120);
    assert_int_equal(count_left_out(in_folder("converted.igs.mha"), &first),
                     100 - s.undone[0].first);
    assert_int_equal(first, s.undone[0].first);
    rebuild(in_folder("converted.igs.mha"), &request, false, &again, &inserted);
    check_same(&live, &again);
    es_grid_clear(&live);
    es_grid_clear(&again);
    es_plus_free(plus);
}

/* A recording of four frames with one mark. */
static const char *recording_with(const char *value) {
    live_scene scene = {.width = 8, .height = 6, .frames = 4, .rate_hz = 25};
    const char *path = in_folder("mark.igs.nhdr");
    es_source *source = scene_open(&scene);
    es_frame frame = {0};
    bool end = false;
    unlink(in_folder("mark.igs.raw"));
    unlink(path);
    es_journal *journal = es_journal_create(path, es_source_info(source), NULL);
    assert_non_null(journal);
    while (es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL) && !end)
        assert_true(es_journal_put(journal, &frame, NULL));
    assert_true(es_journal_field(journal, ES_LIVE_UNDONE "1", value, NULL));
    assert_true(es_journal_field(journal, ES_LIVE_UNDONE "22", "3 900", NULL));
    assert_true(es_journal_field(journal, ES_LIVE_UNDONE "By", "nobody", NULL)); /* another's */
    es_journal_free(journal);
    es_frame_clear(&frame);
    es_source_free(source);
    return path;
}

static void marks_that_make_no_sense_are_refused_in_words(void **state) {
    (void)state;
    static const char *const bad[] = {"",      "1",     "2 1", "-1 2",  "0.5 2",
                                      "0 nan", "0 1 2", "a b", "0 inf", "0 1e300"};
    int64_t first;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_error err = {0};
        const char *path = recording_with(bad[i]);
        assert_null(es_sequence_open(path, &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_non_null(strstr(err.message, ES_LIVE_UNDONE "1"));
        assert_non_null(strstr(err.message, "mark.igs.nhdr"));
    }
    assert_int_equal(count_left_out(recording_with("1 1"), &first), 2); /* 1 and 3 */
    assert_int_equal(count_left_out(recording_with("0 2"), &first), 4);
    assert_int_equal(count_left_out(recording_with("2 5"), &first), 2);
    assert_int_equal(count_left_out(recording_with("7 9"), &first), 1);
}

static void memory_that_fails_while_marks_are_read_is_an_error(void **state) {
    (void)state;
    const char *path = recording_with("1 1");
    bool opened = false;
    for (long n = 0; !opened && n < 2000; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_source *source = es_sequence_open(path, &err);
        es_alloc_fail_after(-1);
        opened = source != NULL;
        if (!opened) assert_int_not_equal(err.code, ES_OK);
        es_source_free(source);
    }
    assert_true(opened);
}

/* ---- bone ---------------------------------------------------------------------------- */

typedef struct seen_meshes {
    script script;
    atomic_int count;
    atomic_size_t triangles; /* of the last one */
} seen_meshes;

static void see_mesh(void *context, const es_mesh *mesh) {
    seen_meshes *seen = context;
    atomic_fetch_add(&seen->count, 1);
    atomic_store(&seen->triangles, mesh->triangle_count);
}

static es_plus *plus_of(const es_simulation *sim) {
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {
        .from = "Image", .to = "Probe", .matrix = es_simulation_image_to_probe(sim), .error = NAN};
    assert_true(es_plus_transform_set(plus, &t, NULL));
    return plus;
}

static es_live_state run_bone(seen_meshes *seen, es_live_run_options o, es_model_result *result) {
    es_simulation sim = ES_SIMULATION_DEFAULTS;
    es_error err = {0};
    es_model_options model = ES_MODEL_DEFAULTS;
    sim.frames = 70;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 160;
    es_plus *plus = plus_of(&sim);
    es_setup_request request = make_request(plus);
    o.source = es_simulation_open(&sim, &err);
    if (!o.source) fail_msg("%s", err.message);
    o.request = &request;
    o.bone = &model;
    o.watch = (es_live_watch){.context = seen, .mesh = see_mesh};
    seen->script.run = es_live_run_new(&o, &err);
    if (!seen->script.run || !es_live_run_go(seen->script.run, &err)) fail_msg("%s", err.message);
    if (result && !es_model_finish(es_live_run_model(seen->script.run), result, &err))
        fail_msg("%s", err.message);
    es_live_state state = es_live_run_state(seen->script.run);
    es_live_run_free(seen->script.run);
    es_source_free(o.source);
    es_plus_free(plus);
    return state;
}

static void the_bone_and_what_is_counted_of_it_go_back_too(void **state) {
    (void)state;
    es_setup_request unused = {0};
    static const act acts[] = {{50, UNDO}};
    seen_meshes with = {.script = {.acts = acts, .count = 1}}, without = {0};
    es_model_result a = {0}, b = {0};
    es_live_run_options o = options_of(&with.script, &unused);
    run_bone(&with, o, &a);
    act pauses[] = {{with.script.undone[0].first, PAUSE}, {50, START}};
    without.script = (script){.acts = pauses, .count = 2};
    run_bone(&without, options_of(&without.script, &unused), &b);
    assert_true(a.sheet.triangle_count > 200);
    assert_int_equal(a.sheet.vertex_count, b.sheet.vertex_count);
    assert_int_equal(a.sheet.triangle_count, b.sheet.triangle_count);
    assert_memory_equal(a.sheet.vertices, b.sheet.vertices,
                        3 * a.sheet.vertex_count * sizeof(float));
    assert_int_equal(a.frames, b.frames);
    assert_int_equal(a.frames_with_bone, b.frames_with_bone);
    assert_int_equal(a.lines_found, b.lines_found);
    assert_int_equal(a.scatter.points, b.scatter.points);
    assert_true(a.scatter.rms_mm == b.scatter.rms_mm && a.depth_mm == b.depth_mm);
    es_model_result_clear(&a);
    es_model_result_clear(&b);
}

/* The last mesh that is shown is what is left; nothing, when nothing is. */
static void a_surface_that_was_taken_back_is_shown_no_more(void **state) {
    (void)state;
    es_setup_request unused = {0};
    static const act acts[] = {{70, UNDO}, {70, UNDO}, {70, UNDO}, {70, UNDO_NOTHING}};
    seen_meshes seen = {.script = {.acts = acts, .count = 4}};
    es_live_state then = run_bone(&seen, options_of(&seen.script, &unused), NULL);
    assert_int_equal(then.inserted, 0);
    /* Whether a surface was shown before is up to the machine. */
    if (seen.count > 0) assert_int_equal(seen.triangles, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_back_is_as_if_it_had_never_been_inserted),
        cmocka_unit_test(one_press_takes_back_a_second_and_the_next_one_goes_on_from_there),
        cmocka_unit_test(nothing_is_taken_back_where_there_is_nothing),
        cmocka_unit_test(a_press_in_vain_is_no_harm),
        cmocka_unit_test(all_of_it_can_be_taken_back_and_scanned_again),
        cmocka_unit_test(a_paused_run_takes_back_what_was_before_the_pause),
        cmocka_unit_test(it_goes_back_as_far_as_is_kept),
        cmocka_unit_test(what_clients_record_says_it_by_its_own_numbers),
        cmocka_unit_test(a_recording_that_is_made_of_another_keeps_the_marks_at_their_frames),
        cmocka_unit_test(marks_that_make_no_sense_are_refused_in_words),
        cmocka_unit_test(memory_that_fails_while_marks_are_read_is_an_error),
        cmocka_unit_test(the_bone_and_what_is_counted_of_it_go_back_too),
        cmocka_unit_test(a_surface_that_was_taken_back_is_shown_no_more),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
