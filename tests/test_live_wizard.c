/* Calibrations while frames come: fed from simulations and judged by their truth, with
 * too little, with too much, and with memory that fails. */
#include "live_scene.h"

#include "echosolid/wizard.h"

static const double DEG = 0.017453292519943295;

/* ---- a wizard and what it says ----------------------------------------------------------- */

typedef struct heard {
    es_wizard *wizard;
    atomic_int changes, results, kept;
    /* Of the last result; read once the phase is DONE. */
    es_vec3 tip;
    es_mat4 image_to_probe;
    double lag_s, miss_ci_mm;
    char transform[2 * ES_NAME_SIZE];
} heard;

static void on_change(void *context) { atomic_fetch_add(&((heard *)context)->changes, 1); }
static void on_keep(void *context) { atomic_fetch_add(&((heard *)context)->kept, 1); }

static void on_result(void *context, const es_wizard_result *r) {
    heard *h = context;
    h->tip = r->pivot.tip_mm;
    h->lag_s = r->lag.result.lag_s;
    h->image_to_probe = r->request.method == ES_WIZARD_NWIRE  ? r->nwire.result.image_to_probe
                        : r->request.method == ES_WIZARD_WALL ? r->wall.result.image_to_probe
                                                              : r->self.result.image_to_probe;
    h->miss_ci_mm = r->wall.result.target_ci95_mm;
    memcpy(h->transform, r->transform, sizeof h->transform);
    atomic_fetch_add(&h->results, 1);
}

/* It looks so often; of rare looks only the solution is left. */
static const double OFTEN = 0.001, NEVER = 1e6;

static void set_up(heard *h, const es_plus *plus, double every_s, size_t frames, uint64_t bytes) {
    es_wizard_options o = ES_WIZARD_DEFAULTS;
    es_error err = {0};
    memset(h, 0, sizeof *h);
    o.plus = plus;
    o.look_every_s = every_s;
    if (frames) o.frames_most = frames;
    if (bytes) o.bytes_most = bytes;
    o.context = h;
    o.changed = on_change;
    o.solved = on_result;
    o.keep = on_keep;
    h->wizard = es_wizard_new(&o, &err);
    if (!h->wizard) fail_msg("%s", err.message);
}

static es_wizard_request ask(es_wizard_method method) {
    return (es_wizard_request){.method = method, .temperature_c = NAN, .spacing_mm = NAN};
}

static void begin(heard *h, const es_wizard_request *request) {
    es_error err = {0};
    if (!es_wizard_begin(h->wizard, request, &err)) fail_msg("%s", err.message);
}

static es_wizard_state state_of(heard *h) {
    es_wizard_state s;
    es_wizard_state_get(h->wizard, &s);
    return s;
}

static bool is_over(const es_wizard_state *s) {
    return s->phase == ES_WIZARD_DONE || s->phase == ES_WIZARD_REFUSED;
}
static bool has_advice(const es_wizard_state *s) { return s->advice[0] != '\0'; }
static bool is_ready(const es_wizard_state *s) { return s->ready; }

static es_wizard_state wait_for(heard *h, bool (*wanted)(const es_wizard_state *s)) {
    double end = es_clock_s() + 120;
    es_wizard_state s = state_of(h);
    while (!wanted(&s)) {
        if (es_clock_s() > end) fail_msg("phase %d: %s", (int)s.phase, s.advice);
        rest_s(0.01);
        s = state_of(h);
    }
    return s;
}

/* Takes the source; the frames that were given. */
static size_t feed(heard *h, es_source *source, size_t most) {
    es_frame frame = {0};
    bool end = false;
    size_t count = 0;
    assert_non_null(source);
    while (count < most) {
        assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL));
        if (end) break;
        es_wizard_frame(h->wizard, &frame);
        count++;
    }
    es_frame_clear(&frame);
    es_source_free(source);
    return count;
}

static es_source *swing(double noise_mm) {
    es_stylus s = ES_STYLUS_DEFAULTS;
    s.pose_noise_mm = noise_mm;
    return es_stylus_open(&s, NULL);
}

/* ---- each method ----------------------------------------------------------------------------- */

/* 0.2 mm a pose; 0.20 mm is what is asked of a pivot. */
static void a_swung_stylus_gives_its_tip(void **state) {
    (void)state;
    heard h;
    es_wizard_request request = ask(ES_WIZARD_PIVOT);
    set_up(&h, NULL, OFTEN, 0, 0);
    begin(&h, &request);
    feed(&h, swing(0.2), SIZE_MAX);
    es_wizard_state s = wait_for(&h, is_ready);
    assert_string_equal(s.advice, "");
    assert_true(s.check_count >= 2 && s.checks[1].found > 30 && s.checks[1].enough);
    assert_int_equal(s.tools.count, 2);
    es_wizard_finish(h.wizard);
    s = wait_for(&h, is_over);
    assert_int_equal(s.phase, ES_WIZARD_DONE);
    assert_int_equal(h.results, 1);
    assert_string_equal(h.transform, "StylusToReference");
    const es_stylus truth = ES_STYLUS_DEFAULTS;
    assert_true(es_vec3_length(es_vec3_sub(h.tip, truth.tip_mm)) < 0.2);
    es_wizard_keep(h.wizard);
    for (int i = 0; i < 12000 && !h.kept; i++) rest_s(0.01);
    assert_int_equal(h.kept, 1);
    es_wizard_free(h.wizard);
}

/* Of the first frames alone it is told that they are too few. */
static bool asks_for_swinging(const es_wizard_state *s) { return strstr(s->advice, "swing"); }

static void too_little_swinging_is_told_and_refused(void **state) {
    (void)state;
    heard h;
    es_wizard_request request = ask(ES_WIZARD_PIVOT);
    set_up(&h, NULL, OFTEN, 0, 0);
    begin(&h, &request);
    feed(&h, swing(0), 30);
    es_wizard_state s = wait_for(&h, asks_for_swinging);
    assert_false(s.ready);
    assert_true(s.checks[1].found < 15 && !s.checks[1].enough);
    es_wizard_finish(h.wizard);
    s = wait_for(&h, is_over);
    assert_int_equal(s.phase, ES_WIZARD_REFUSED);
    assert_non_null(strstr(s.advice, "swing"));
    es_wizard_keep(h.wizard); /* there is nothing to keep */
    rest_s(0.1);
    assert_int_equal(h.results, 0);
    assert_int_equal(h.kept, 0);
    es_wizard_free(h.wizard);
}

/* 5 ms is what is asked of a lag. */
static void a_probe_that_goes_up_and_down_over_a_floor_gives_the_lag(void **state) {
    (void)state;
    heard h;
    es_simulation sim;
    es_wizard_request request = ask(ES_WIZARD_LAG);
    assert_true(es_simulation_preset("floor", &sim, NULL));
    sim.frames = 400;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 96;
    sim.hold = ES_HOLD_ROCK | ES_HOLD_TILT | ES_HOLD_TURN;
    sim.lag_s = 0.2;
    sim.speckle = 0;
    set_up(&h, NULL, NEVER, 0, 0);
    begin(&h, &request);
    feed(&h, es_simulation_open(&sim, NULL), SIZE_MAX);
    es_wizard_finish(h.wizard);
    es_wizard_state s = wait_for(&h, is_over);
    if (s.phase != ES_WIZARD_DONE) fail_msg("%s", s.advice);
    assert_true(fabs(h.lag_s - 0.2) < 0.005);
    es_wizard_free(h.wizard);
}

static es_plus *wires_config(es_bath *bath) {
    const es_points none = {0};
    es_wire_phantom phantom;
    es_plus_transform place = {
        .from = "Phantom", .to = "Reference", .matrix = es_bath_phantom_to_reference()};
    assert_true(es_wire_phantom_named("fcal-1.2", &phantom, NULL));
    es_wire_phantom_bath(&phantom, bath);
    es_plus *plus = es_wire_phantom_plus(&phantom, &none, NULL);
    assert_non_null(plus);
    assert_true(es_plus_transform_set(plus, &place, NULL));
    return plus;
}

static double miss_at(es_mat4 found, es_mat4 truth, es_vec3 px) {
    return es_vec3_length(es_vec3_sub(es_mat4_point(found, px), es_mat4_point(truth, px)));
}

/* 1 mm is far more than the noise makes; what is refused is 2 mm. */
static void wires_give_the_image_to_probe(void **state) {
    (void)state;
    heard h;
    es_bath bath;
    es_wizard_request request = ask(ES_WIZARD_NWIRE);
    es_plus *plus = wires_config(&bath);
    bath.frames = 60;
    bath.rate_hz = 5;
    set_up(&h, plus, NEVER, 0, 0);
    begin(&h, &request);
    feed(&h, es_bath_open(&bath, NULL), SIZE_MAX);
    es_wizard_finish(h.wizard);
    es_wizard_state s = wait_for(&h, is_over);
    if (s.phase != ES_WIZARD_DONE) fail_msg("%s", s.advice);
    assert_true(
        miss_at(h.image_to_probe, es_bath_image_to_probe(&bath), es_vec3_make(240, 300, 0)) < 1);
    es_wizard_free(h.wizard);
    es_plus_free(plus);
}

static void wires_without_a_place_or_a_phantom_are_refused_at_once(void **state) {
    (void)state;
    heard h;
    es_bath bath;
    es_error err = {0};
    es_plus *plus = wires_config(&bath), *empty = es_plus_new(NULL);
    es_wizard_request request = ask(ES_WIZARD_NWIRE);
    set_up(&h, NULL, OFTEN, 0, 0);
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    assert_non_null(strstr(err.message, "which phantom"));
    es_wizard_free(h.wizard);
    set_up(&h, empty, OFTEN, 0, 0);
    strcpy(request.phantom, "fcal-1.2");
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    assert_non_null(strstr(err.message, "where does the phantom lie"));
    es_wizard_free(h.wizard);
    set_up(&h, plus, OFTEN, 0, 0);
    strcpy(request.phantom, "nobody");
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    assert_int_equal(err.code, ES_USAGE);
    request.phantom[0] = '\0';
    request.temperature_c = 300;
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    request = ask(ES_WIZARD_SELF);
    request.spacing_mm = 0;
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    request = ask((es_wizard_method)17);
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    assert_int_equal(state_of(&h).phase, ES_WIZARD_IDLE);
    es_wizard_free(h.wizard);
    es_plus_free(plus);
    es_plus_free(empty);
}

static es_simulation over_a_floor(unsigned hold) {
    es_simulation sim;
    assert_true(es_simulation_preset("floor", &sim, NULL));
    sim.frames = 160;
    sim.rate_hz = 10;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 128;
    sim.hold = hold;
    return sim;
}

/* The result says how far a point may be off, and 2 mm is refused. */
static void a_floor_gives_the_image_to_probe(void **state) {
    (void)state;
    heard h;
    es_simulation sim = over_a_floor(0);
    es_wizard_request request = ask(ES_WIZARD_WALL);
    request.temperature_c = 20;
    set_up(&h, NULL, NEVER, 0, 0);
    begin(&h, &request);
    feed(&h, es_simulation_open(&sim, NULL), SIZE_MAX);
    es_wizard_finish(h.wizard);
    es_wizard_state s = wait_for(&h, is_over);
    if (s.phase != ES_WIZARD_DONE) fail_msg("%s", s.advice);
    double miss =
        miss_at(h.image_to_probe, es_simulation_image_to_probe(&sim), es_vec3_make(64, 60, 0));
    print_message("miss %.2f mm, interval %.2f mm\n", miss, h.miss_ci_mm);
    assert_true(miss < 2 && h.miss_ci_mm < 2);
    es_wizard_free(h.wizard);
}

static void a_motion_that_is_missing_over_the_floor_is_named(void **state) {
    (void)state;
    heard h;
    es_simulation sim = over_a_floor(ES_HOLD_TILT);
    es_wizard_request request = ask(ES_WIZARD_WALL);
    set_up(&h, NULL, NEVER, 0, 0);
    begin(&h, &request);
    feed(&h, es_simulation_open(&sim, NULL), SIZE_MAX);
    es_wizard_finish(h.wizard);
    es_wizard_state s = wait_for(&h, is_over);
    assert_int_equal(s.phase, ES_WIZARD_REFUSED);
    assert_non_null(strstr(s.advice, es_wall_motion_text(ES_WALL_TILT)));
    es_wizard_free(h.wizard);
}

static void passes_over_an_object_are_judged_by_their_turns(void **state) {
    (void)state;
    heard h;
    es_simulation sim;
    es_wizard_request request = ask(ES_WIZARD_SELF);
    assert_true(es_simulation_preset("abdomen", &sim, NULL));
    sim.frames = 60;
    sim.probe.image_size[0] = sim.probe.image_size[1] = 64;
    set_up(&h, NULL, OFTEN, 0, 0);
    begin(&h, &request);
    feed(&h, es_simulation_open(&sim, NULL), SIZE_MAX); /* no pass is held otherwise */
    es_wizard_state s = wait_for(&h, has_advice);
    assert_false(s.ready);
    begin(&h, &request);
    sim.sweeps = 6;
    sim.lean_rad = 20 * DEG;
    sim.turn_rad = 40 * DEG;
    feed(&h, es_simulation_open(&sim, NULL), SIZE_MAX);
    s = wait_for(&h, is_ready);
    assert_true(s.checks[1].found > s.checks[2].found && s.checks[2].found > 3);
    es_wizard_free(h.wizard);
}

/* ---- bounds ------------------------------------------------------------------------------------
 */

static void a_long_collection_is_thinned_evenly(void **state) {
    (void)state;
    heard h;
    es_wizard_request request = ask(ES_WIZARD_PIVOT);
    set_up(&h, NULL, NEVER, 50, 0);
    begin(&h, &request);
    size_t given = feed(&h, swing(0.1), SIZE_MAX);
    es_wizard_state s = state_of(&h);
    assert_int_equal(s.seen, given);
    assert_true(s.kept <= 50 && s.kept > 25);
    assert_int_equal(s.step, 16); /* 500 of 50: 2, 4, 8, 16 */
    es_wizard_finish(h.wizard);
    s = wait_for(&h, is_over);
    assert_int_equal(s.phase, ES_WIZARD_DONE); /* the whole swing is still there */
    es_wizard_free(h.wizard);
}

static void pictures_are_not_thinned_past_what_poses_can_bridge(void **state) {
    (void)state;
    heard h;
    es_wizard_request request = ask(ES_WIZARD_LAG);
    set_up(&h, NULL, NEVER, 0, 100 * 20000); /* of 160 x 120 pixels and some poses */
    begin(&h, &request);
    feed(&h, swing(0), 450); /* at 25 Hz: every fourth is 0.16 s apart */
    es_wizard_state s = state_of(&h);
    assert_int_equal(s.step, 4);
    assert_true(s.full);
    assert_true(s.bytes <= 100 * 20000);
    assert_true(s.kept <= 100 && s.kept > 80);
    assert_int_equal(s.lost, 0);
    es_wizard_free(h.wizard);
}

static void frames_without_pictures_or_poses_are_told(void **state) {
    (void)state;
    heard h;
    es_frame frame = {.has_time = true};
    es_wizard_request request = ask(ES_WIZARD_PIVOT);
    set_up(&h, NULL, OFTEN, 0, 0);
    es_wizard_frame(NULL, &frame);
    begin(&h, &request);
    es_wizard_frame(h.wizard, &frame);
    es_wizard_state s = wait_for(&h, has_advice);
    assert_non_null(strstr(s.advice, "no tool"));
    request = ask(ES_WIZARD_WALL);
    begin(&h, &request);
    es_wizard_frame(h.wizard, &frame);
    s = state_of(&h);
    assert_int_equal(s.seen, 1);
    assert_int_equal(s.kept, 0);
    es_wizard_finish(h.wizard);
    s = wait_for(&h, is_over);
    assert_int_equal(s.phase, ES_WIZARD_REFUSED);
    es_wizard_cancel(h.wizard);
    assert_int_equal(state_of(&h).phase, ES_WIZARD_IDLE);
    es_wizard_free(h.wizard);
}

/* ---- memory and threads -------------------------------------------------------------------------
 */

static void memory_that_fails_is_told_and_loses_single_frames(void **state) {
    (void)state;
    heard h;
    es_wizard_request request = ask(ES_WIZARD_PIVOT);
    es_error err = {0};
    const es_wizard_options options = ES_WIZARD_DEFAULTS;
    es_alloc_fail_after(0);
    assert_null(es_wizard_new(&options, &err));
    assert_int_equal(err.code, ES_MEMORY);
    set_up(&h, NULL, NEVER, 0, 0);
    es_alloc_fail_after(0);
    assert_false(es_wizard_begin(h.wizard, &request, &err));
    begin(&h, &request);
    feed(&h, swing(0), 100);
    es_frame frame = {.has_time = true};
    for (int n = 0; n < 3; n++) {
        assert_true(es_frame_set_transform(&frame, "StylusToTracker", scene_pose(n), true, NULL));
        es_alloc_fail_after(n);
        es_wizard_frame(h.wizard, &frame);
        es_alloc_fail_after(-1);
    }
    assert_true(state_of(&h).lost >= 1);
    for (int n = 0; n < 60; n++) {
        es_alloc_fail_after(n); /* in the wizard's thread, the only one that allocates now */
        es_wizard_finish(h.wizard);
        es_wizard_state s = wait_for(&h, is_over);
        es_alloc_fail_after(-1);
        if (s.phase == ES_WIZARD_DONE) break;
        assert_true(s.advice[0] != '\0');
        begin(&h, &request);
        feed(&h, swing(0), 100);
    }
    assert_int_equal(state_of(&h).phase, ES_WIZARD_DONE);
    es_frame_clear(&frame);
    es_wizard_free(h.wizard);
}

typedef struct feeder {
    heard *h;
    atomic_bool stop;
} feeder;

static void *feed_on(void *context) {
    feeder *f = context;
    while (!f->stop) feed(f->h, swing(0.1), 200);
    return NULL;
}

static void frames_buttons_and_looks_go_on_at_once(void **state) {
    (void)state;
    heard h;
    set_up(&h, NULL, OFTEN, 100, 0);
    feeder f = {.h = &h};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_on, &f), 0);
    for (int round = 0; round < 60; round++) {
        es_wizard_request request = ask(round % 3 ? ES_WIZARD_PIVOT : ES_WIZARD_LAG);
        begin(&h, &request);
        rest_s(0.005);
        if (round % 4 != 1) es_wizard_finish(h.wizard);
        if (round % 5 == 2) es_wizard_cancel(h.wizard);
        es_wizard_keep(h.wizard);
        es_wizard_state s = state_of(&h);
        assert_true(s.kept <= 100);
    }
    f.stop = true;
    pthread_join(thread, NULL);
    es_wizard_free(h.wizard); /* in the middle of whatever it does */
    assert_true(h.changes > 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swung_stylus_gives_its_tip),
        cmocka_unit_test(too_little_swinging_is_told_and_refused),
        cmocka_unit_test(a_probe_that_goes_up_and_down_over_a_floor_gives_the_lag),
        cmocka_unit_test(wires_give_the_image_to_probe),
        cmocka_unit_test(wires_without_a_place_or_a_phantom_are_refused_at_once),
        cmocka_unit_test(a_floor_gives_the_image_to_probe),
        cmocka_unit_test(a_motion_that_is_missing_over_the_floor_is_named),
        cmocka_unit_test(passes_over_an_object_are_judged_by_their_turns),
        cmocka_unit_test(a_long_collection_is_thinned_evenly),
        cmocka_unit_test(pictures_are_not_thinned_past_what_poses_can_bridge),
        cmocka_unit_test(frames_without_pictures_or_poses_are_told),
        cmocka_unit_test(memory_that_fails_is_told_and_loses_single_frames),
        cmocka_unit_test(frames_buttons_and_looks_go_on_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
