/* Placement, setup and the flow on a source made here: frames whose place,
 * distance and pixel size are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/pipeline.h"

/* ---- a source of plain frames along z ------------------------------------- */

typedef struct plain_source {
    int64_t next, count;
    int64_t invalid_every; /* 0: none */
    double step_mm;
    const char *pose;      /* name of the transform, or NULL */
    int64_t lacking_every; /* such frames carry no transform at all; 0: none */
    bool with_loop;        /* IdentityToIdentity beside it, as some servers write it */
} plain_source;

enum { WIDTH = 40, HEIGHT = 30 };

static bool plain_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    plain_source *s = self;
    if ((*end = s->next == s->count)) return true;
    frame->index = s->next;
    frame->has_time = true;
    frame->time_s = 0.04 * (double)s->next;
    frame->has_image = (flags & ES_READ_PIXELS) != 0;
    if (frame->has_image) {
        if (!es_image_resize(&frame->image, ES_U8, 1, WIDTH, HEIGHT, err)) return false;
        memset(frame->image.data, (int)(s->next % 256), WIDTH * HEIGHT);
    }
    frame->transform_count = 0;
    bool lacks = s->lacking_every && s->next % s->lacking_every == 0;
    bool valid = !s->invalid_every || s->next % s->invalid_every != 0;
    es_mat4 pose = es_mat4_translation(0, 0, s->step_mm * (double)s->next);
    s->next++;
    if (s->with_loop && !es_frame_set_transform(frame, "IdentityToIdentity", pose, true, err))
        return false;
    return !s->pose || lacks || es_frame_set_transform(frame, s->pose, pose, valid, err);
}

static bool plain_rewind(void *self, es_error *err) {
    (void)err;
    ((plain_source *)self)->next = 0;
    return true;
}

static void plain_free(void *self) { (void)self; }

static es_source *plain_open(plain_source *s) {
    static const es_source_ops ops = {plain_next, plain_rewind, plain_free};
    es_stream_info info = {.frame_count = s->count,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .type = ES_U8,
                           .channels = 1,
                           .spacing_mm = {1, 1}};
    return es_source_new(&ops, s, &info, NULL);
}

static es_plus *config(const char *inside) {
    es_text text = {0};
    es_error err = {0};
    es_text_add(&text,
                "<PlusConfiguration><CoordinateDefinitions><Transform From=\"Image\" To=\"Probe\" "
                "Matrix=\"0.2 0 0 -4  0 0.3 0 0  0 0 0.25 0  0 0 0 1\"/></CoordinateDefinitions>"
                "%s</PlusConfiguration>",
                inside);
    es_plus *plus = es_plus_parse(text.bytes, text.length, "test.xml", &err);
    es_text_free(&text);
    assert_non_null(plus);
    return plus;
}

static bool make(plain_source *s, const char *inside, es_setup_request *r, es_setup *setup,
                 es_error *err) {
    es_plus *plus = config(inside);
    es_source *source = plain_open(s);
    r->plus = plus;
    bool ok = es_setup_make(source, r, setup, err);
    es_source_free(source);
    es_plus_free(plus);
    return ok;
}

static const es_decision *find_decision(const es_setup *setup, const char *what) {
    for (size_t i = 0; i < setup->decisions.count; i++)
        if (strcmp(setup->decisions.items[i].what, what) == 0) return &setup->decisions.items[i];
    return NULL;
}

/* ---- tests ------------------------------------------------------------------ */

static void the_survey_measures_pixels_steps_and_the_box(void **state) {
    (void)state;
    plain_source s = {.count = 50, .step_mm = 0.7, .pose = "ProbeToReference"};
    es_setup_request r;
    es_setup_request_init(&r);
    es_setup setup;
    assert_true(make(&s, "", &r, &setup, NULL));
    assert_int_equal(setup.survey.used, 50);
    assert_float_equal(setup.survey.pixel_mm[0], 0.2, 1e-12);
    assert_float_equal(setup.survey.pixel_mm[1], 0.3, 1e-12);
    assert_float_equal(setup.survey.step_mm, 0.7, 1e-9);
    assert_float_equal(setup.survey.path_mm, 49 * 0.7, 1e-9);
    assert_float_equal(setup.survey.box.min.x, -4, 1e-9);
    assert_float_equal(setup.survey.box.max.y, 0.3 * (HEIGHT - 1), 1e-9);
    assert_float_equal(setup.survey.last_s - setup.survey.first_s, 0.04 * 49, 1e-9);
    assert_string_equal(setup.reference_frame, "Reference");
    es_setup_clear(&setup);
}

static void what_the_user_gives_wins_over_the_configuration(void **state) {
    (void)state;
    const char *inside = "<VolumeReconstruction OutputSpacing=\"0.5 0.5 0.5\" "
                         "Interpolation=\"LINEAR\" CompoundingMode=\"MAXIMUM\" "
                         "ClipRectangleOrigin=\"5 5\" ClipRectangleSize=\"20 20\"/>";
    plain_source s = {.count = 10, .step_mm = 1, .pose = "ProbeToReference"};
    es_setup_request r;
    es_setup setup;
    es_setup_request_init(&r);
    assert_true(make(&s, inside, &r, &setup, NULL));
    assert_float_equal(setup.recon.spacing_mm[0], 0.5, 0);
    assert_int_equal(setup.recon.interpolation, ES_LINEAR);
    assert_int_equal(setup.recon.compounding, ES_MAXIMUM);
    assert_int_equal(setup.recon.clip_size[1], 20);
    assert_string_equal(find_decision(&setup, "voxel spacing")->why, "configuration");
    es_setup_clear(&setup);

    s.next = 0;
    r.spacing_mm[0] = r.spacing_mm[1] = r.spacing_mm[2] = 0.8;
    r.interpolation = ES_NEAREST;
    assert_true(make(&s, inside, &r, &setup, NULL));
    assert_float_equal(setup.recon.spacing_mm[0], 0.8, 0);
    assert_int_equal(setup.recon.interpolation, ES_NEAREST);
    assert_string_equal(find_decision(&setup, "voxel spacing")->why, "given");
    es_setup_clear(&setup);
}

static void a_chosen_spacing_says_so(void **state) {
    (void)state;
    plain_source s = {.count = 10, .step_mm = 1, .pose = "ProbeToReference"};
    es_setup_request r;
    es_setup setup;
    es_setup_request_init(&r);
    assert_true(make(&s, "", &r, &setup, NULL));
    const es_decision *d = find_decision(&setup, "voxel spacing");
    assert_non_null(strstr(d->why, "chosen"));
    assert_true(setup.recon.spacing_mm[0] >= 0.3); /* never finer than a pixel */
    es_setup_clear(&setup);
}

static void frames_without_a_valid_pose_are_counted_and_explained(void **state) {
    (void)state;
    plain_source s = {.count = 20, .step_mm = 1, .pose = "ProbeToReference", .invalid_every = 4};
    es_setup_request r;
    es_setup setup;
    es_setup_request_init(&r);
    assert_true(make(&s, "", &r, &setup, NULL));
    assert_int_equal(setup.survey.frames, 20);
    assert_int_equal(setup.survey.placed, 15);
    assert_non_null(strstr(setup.survey.reason, "ProbeToReference"));
    es_setup_clear(&setup);
}

static void a_frame_without_its_pose_does_not_take_the_last_one(void **state) {
    (void)state;
    plain_source s = {.count = 20, .step_mm = 1, .pose = "ProbeToReference", .lacking_every = 4};
    es_setup_request r;
    es_setup setup;
    es_setup_request_init(&r);
    assert_true(make(&s, "", &r, &setup, NULL));
    assert_int_equal(setup.survey.placed, 15);
    es_setup_clear(&setup);
}

static void a_transform_to_itself_carries_nothing(void **state) {
    (void)state;
    plain_source s = {.count = 20, .step_mm = 1, .pose = "ProbeToReference", .with_loop = true};
    es_setup_request r;
    es_setup setup;
    es_error err = {0};
    es_setup_request_init(&r);
    if (!make(&s, "", &r, &setup, &err)) fail_msg("%s", err.message);
    assert_int_equal(setup.survey.placed, 20);
    es_setup_clear(&setup);
}

static void refused(plain_source *s, const char *inside, es_setup_request *r, es_code code,
                    const char *word) {
    es_setup setup;
    es_error err = {0};
    s->next = 0;
    assert_false(make(s, inside, r, &setup, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word)) fail_msg("expected '%s' in: %s", word, err.message);
}

static void impossible_setups_are_refused_in_words(void **state) {
    (void)state;
    plain_source good = {.count = 10, .step_mm = 1, .pose = "ProbeToReference"};
    plain_source lost = {.count = 10, .pose = "ProbeToReference", .invalid_every = 1};
    plain_source other = {.count = 10, .pose = "StylusToReference"};
    plain_source bare = {.count = 10};
    plain_source empty = {.count = 0};
    es_setup_request r;
    es_setup_request_init(&r);
    refused(&lost, "", &r, ES_GEOMETRY, "valid");
    refused(&other, "", &r, ES_GEOMETRY, "Image");
    refused(&bare, "", &r, ES_GEOMETRY, "--image-to-reference");
    refused(&empty, "", &r, ES_GEOMETRY, "no frames");
    refused(&good,
            "<VolumeReconstruction ClipRectangleOrigin=\"900 0\" "
            "ClipRectangleSize=\"10 10\"/>",
            &r, ES_USAGE, "outside");
    refused(&good, "<VolumeReconstruction OutputSpacing=\"1e-4 1 1\"/>", &r, ES_USAGE, "spacing");
    refused(&good,
            "<VolumeReconstruction CompoundingMode=\"IMPORTANCE_MASK\" "
            "ImportanceMaskFilename=\"m.png\"/>",
            &r, ES_USAGE, "--mask");
    r.fan_angles_deg[0] = -10;
    r.fan_angles_deg[1] = 10;
    refused(&good, "", &r, ES_USAGE, "--fan-origin");
    es_setup_request_init(&r);
    r.transform = "ImageToNowhere";
    refused(&good, "", &r, ES_GEOMETRY, "Nowhere");
    r.transform = "nonsense";
    refused(&good, "", &r, ES_FORMAT, "nonsense");
}

static void a_calibration_in_metres_is_noticed(void **state) {
    (void)state;
    plain_source s = {.count = 5, .step_mm = 1, .pose = "ProbeToReference"};
    es_error err = {0};
    es_setup_request r;
    es_setup setup;
    es_setup_request_init(&r);
    const char *xml = "<PlusConfiguration><CoordinateDefinitions><Transform From=\"Image\" "
                      "To=\"Probe\" Matrix=\"2e-5 0 0 0 0 2e-5 0 0 0 0 2e-5 0 0 0 0 1\"/>"
                      "</CoordinateDefinitions></PlusConfiguration>";
    es_plus *plus = es_plus_parse(xml, strlen(xml), "metres.xml", &err);
    es_source *source = plain_open(&s);
    r.plus = plus;
    assert_false(es_setup_make(source, &r, &setup, &err));
    assert_non_null(strstr(err.message, "unit"));
    es_source_free(source);
    es_plus_free(plus);
}

typedef struct seen {
    int64_t frames, last;
    bool pixels_right;
} seen;

static bool look(void *context, const es_frame *const *frames, const es_mat4 *transforms,
                 size_t count, es_error *err) {
    seen *s = context;
    (void)err;
    for (size_t i = 0; i < count; i++) {
        s->pixels_right &= ((uint8_t *)frames[i]->image.data)[7] == frames[i]->index % 256;
        s->pixels_right &= fabs(transforms[i].m[11] - (double)frames[i]->index) < 1e-9;
        s->pixels_right &= frames[i]->index > s->last;
        s->last = frames[i]->index;
        s->frames++;
    }
    return true;
}

static void the_flow_gives_every_placed_frame_once_in_order(void **state) {
    (void)state;
    plain_source s = {.count = 101, .step_mm = 1, .pose = "ProbeToReference", .invalid_every = 5};
    es_plus *plus = config("");
    es_source *source = plain_open(&s);
    es_placement *placement = es_placement_new(plus, NULL, NULL);
    es_flow flow = {.source = source, .placement = placement, .skip = 1, .total = 101};
    es_flow_stats stats;
    seen all = {.last = -1, .pixels_right = true};
    assert_true(es_flow_run(&flow, look, &all, &stats, NULL));
    assert_int_equal(all.frames, 80);
    assert_int_equal(stats.read, 101);
    assert_true(all.pixels_right);

    s.next = 0;
    flow.skip = 2;
    all = (seen){.last = -1, .pixels_right = true};
    assert_true(es_flow_run(&flow, look, &all, &stats, NULL));
    assert_int_equal(all.frames, 40); /* even frames that are not multiples of 5: 51 - 11 */
    es_placement_free(placement);
    es_source_free(source);
    es_plus_free(plus);
}

static void every_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    es_plus *plus = config("");
    long n = 0;
    for (bool done = false; !done && n < 500; n++) {
        plain_source s = {.count = 20, .step_mm = 1, .pose = "ProbeToReference"};
        es_source *source = plain_open(&s);
        es_setup_request r;
        es_setup setup;
        es_error err = {0};
        es_setup_request_init(&r);
        r.plus = plus;
        es_alloc_fail_after(n);
        done = es_setup_make(source, &r, &setup, &err);
        es_alloc_fail_after(-1);
        if (done)
            es_setup_clear(&setup);
        else
            assert_int_equal(err.code, ES_MEMORY);
        es_source_free(source);
    }
    assert_in_range(n, 3, 499);
    es_plus_free(plus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_survey_measures_pixels_steps_and_the_box),
        cmocka_unit_test(what_the_user_gives_wins_over_the_configuration),
        cmocka_unit_test(a_chosen_spacing_says_so),
        cmocka_unit_test(frames_without_a_valid_pose_are_counted_and_explained),
        cmocka_unit_test(a_frame_without_its_pose_does_not_take_the_last_one),
        cmocka_unit_test(a_transform_to_itself_carries_nothing),
        cmocka_unit_test(impossible_setups_are_refused_in_words),
        cmocka_unit_test(a_calibration_in_metres_is_noticed),
        cmocka_unit_test(the_flow_gives_every_placed_frame_once_in_order),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
