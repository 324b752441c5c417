/* The question that started it, through the whole way: pictures of a C5-2R60
 * fan at 150 mm, 512 x 512, in a recording that says 0.2. And writing what
 * came out into a configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/judge.h"

/* ---- a source of fan pictures ------------------------------------------------------ */

enum { SIDE = 512, FRAMES = 6 };

typedef struct fan_source {
    double spacing, top; /* mm a pixel; row of the face's ends */
    double depth;        /* below the middle of the face */
    int next;
} fan_source;

static bool inside(const fan_source *s, int u, int v) {
    double half = M_PI / 6, r = 60 / s->spacing;
    double x = u - 255.5, y = v - (s->top - .5 - r * cos(half));
    double radius = hypot(x, y);
    return radius >= r && radius <= r + s->depth / s->spacing && fabs(atan2(x, y)) <= half;
}

static bool next_frame(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    fan_source *s = self;
    *end = s->next == FRAMES;
    if (*end) return true;
    frame->index = s->next++;
    frame->has_image = (flags & ES_READ_PIXELS) != 0;
    if (!frame->has_image) return true;
    if (!es_image_resize(&frame->image, ES_U8, 1, SIDE, SIDE, err)) return false;
    es_random random = es_random_new(31, (uint64_t)s->next);
    uint8_t *out = frame->image.data;
    for (int v = 0; v < SIDE; v++)
        for (int u = 0; u < SIDE; u++)
            *out++ = inside(s, u, v) ? (uint8_t)(20 + 180 * es_random_uniform(&random)) : 0;
    return true;
}

static bool start_again(void *self, es_error *err) {
    (void)err;
    ((fan_source *)self)->next = 0;
    return true;
}

static es_source *open_fan(const fan_source *model) {
    static const es_source_ops ops = {next_frame, start_again, es_free};
    es_stream_info info = {.frame_count = FRAMES,
                           .width = SIDE,
                           .height = SIDE,
                           .channels = 1,
                           .spacing_mm = {.2, .2},
                           .format = "mha"};
    fan_source *self = es_alloc(1, sizeof *self, NULL);
    assert_non_null(self);
    *self = *model;
    es_source *source = es_source_new(&ops, self, &info, NULL);
    assert_non_null(source);
    return source;
}

static es_judgement judge(const fan_source *model, double depth, const char *probe) {
    es_source *source = open_fan(model);
    es_judge_request request;
    es_judgement j;
    es_error err = {0};
    es_judge_request_init(&request);
    request.depth_mm = depth;
    request.probe = probe;
    if (!es_judge(source, &request, &j, &err)) fail_msg("%s", err.message);
    es_source_free(source);
    return j;
}

/* ---- tests ---------------------------------------------------------------------------- */

static const double sagitta = 60 * (1 - 0.8660254037844386);

static void each_reading_of_the_depth_gives_its_spacing(void **state) {
    (void)state;
    const fan_source readings[3] = {{150. / 512, 0, 150 - sagitta, 0},
                                    {(150 + sagitta) / 512, 0, 150, 0},
                                    {(150 + sagitta) / 482, 15, 150, 0}};
    for (int i = 0; i < 3; i++) {
        es_judgement j = judge(&readings[i], 150, "C5-2R60S-3");
        const es_spacing_verdict *v = &j.verdict;
        double truth = readings[i].spacing;
        if (!v->known) fail_msg("reading %d: %s", i, v->summary);
        for (int a = 0; a < 2; a++) {
            assert_true(v->ci95_mm[a][0] <= truth && truth <= v->ci95_mm[a][1]);
            assert_true(v->ci95_mm[a][1] / v->ci95_mm[a][0] < 1.03); /* not by width alone */
        }
        assert_non_null(strstr(v->summary, "0.2 is the constant of PLUS's sample"));
        assert_int_equal(strstr(v->summary, "is the height of the picture") != NULL, i == 0);
        es_judgement_clear(&j);
    }
}

static void without_probe_and_depth_it_asks_for_the_cheapest_thing(void **state) {
    (void)state;
    fan_source model = {(150 + sagitta) / 512, 0, 150, 0};
    es_judgement j = judge(&model, NAN, NULL);
    assert_false(j.verdict.known);
    assert_non_null(strstr(j.verdict.ask[0], "depth"));
    es_judgement_clear(&j);
}

static void a_picture_shows_what_was_seen(void **state) {
    (void)state;
    fan_source model = {(150 + sagitta) / 512, 0, 150, 0};
    es_judgement j = judge(&model, 150, "C5-2R60S-3");
    es_image picture = {0};
    assert_true(es_judge_picture(&j, &picture, NULL));
    const uint8_t *p = picture.data;
    int coloured = 0;
    for (size_t i = 0; i < (size_t)picture.width * picture.height; i++)
        coloured += p[3 * i] != p[3 * i + 2];
    assert_true(coloured > 1000); /* two arcs and two sides, each over 200 px */
    es_image_clear(&picture);
    es_judgement_clear(&j);
}

static void an_unknown_probe_and_a_mad_depth_are_wrong_usage(void **state) {
    (void)state;
    fan_source model = {.3, 0, 150, 0};
    es_source *source = open_fan(&model);
    es_judge_request request;
    es_judgement j;
    es_error err = {0};
    es_judge_request_init(&request);
    request.probe = "Foo 7";
    assert_false(es_judge(source, &request, &j, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "Foo 7"));
    request.probe = NULL;
    request.depth_mm = -1;
    assert_false(es_judge(source, &request, &j, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_source_free(source);
}

static void running_out_of_memory_leaves_nothing(void **state) {
    (void)state;
    fan_source model = {(150 + sagitta) / 512, 0, 150, 0};
    es_source *source = open_fan(&model);
    es_judge_request request;
    es_judge_request_init(&request);
    for (long n = 0; n < 24; n++) {
        es_judgement j;
        es_error err = {0};
        es_alloc_fail_after(n);
        bool ok = es_judge(source, &request, &j, &err);
        es_alloc_fail_after(-1);
        if (ok) {
            es_judgement_clear(&j);
            break;
        }
        assert_int_equal(err.code, ES_MEMORY);
        assert_true(es_source_rewind(source, NULL));
    }
    es_source_free(source);
}

/* ---- writing ----------------------------------------------------------------------------- */

#define PLUS(body) "<PlusConfiguration version=\"2.3\">" body "</PlusConfiguration>"
#define TELEMED                                                                                    \
    "<CoordinateDefinitions><Transform From=\"Image\" To=\"Reference\" Matrix=\"0.2 0 0 -20 0 "    \
    "0.2 0 0 0 0 0.2 0 0 0 0 1\"/></CoordinateDefinitions>"
#define MEASURED                                                                                   \
    "<CoordinateDefinitions><Transform From=\"Image\" To=\"Probe\" Matrix=\"0.078 0.002 0 3 "      \
    "0.001 -0.074 0 4 0 0.001 0.076 5 0 0 0 1\"/></CoordinateDefinitions>"

static es_spacing_verdict known_verdict(void) {
    return (es_spacing_verdict){.known = true, .spacing_mm = {.3087, .309}};
}

static void a_bare_scale_in_the_configuration_is_replaced(void **state) {
    (void)state;
    es_error err = {0};
    es_decisions changes = {0};
    es_spacing_verdict v = known_verdict();
    es_plus *plus = es_plus_parse(PLUS(TELEMED), strlen(PLUS(TELEMED)), "t.xml", &err);
    assert_non_null(plus);
    if (!es_judge_write_plus(&v, plus, &changes, &err)) fail_msg("%s", err.message);
    es_plus_transform t;
    assert_true(es_plus_transform_get(plus, 0, &t, &err));
    assert_true(fabs(t.matrix.m[0] - .3087) < 1e-9 && fabs(t.matrix.m[5] - .309) < 1e-9);
    assert_true(fabs(t.matrix.m[3] + 20 * .3087 / .2) < 1e-6); /* a place in pixels */
    assert_int_equal(changes.count, 1);
    es_decisions_clear(&changes);
    es_plus_free(plus);
}

static void a_measured_calibration_is_left_alone(void **state) {
    (void)state;
    es_error err = {0};
    es_decisions changes = {0};
    es_spacing_verdict v = known_verdict();
    es_plus *plus = es_plus_parse(PLUS(MEASURED), strlen(PLUS(MEASURED)), "m.xml", &err);
    assert_non_null(plus);
    assert_false(es_judge_write_plus(&v, plus, &changes, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_int_equal(changes.count, 0);
    v.known = false;
    assert_false(es_judge_write_plus(&v, plus, &changes, &err));
    es_plus_free(plus);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reading_of_the_depth_gives_its_spacing),
        cmocka_unit_test(without_probe_and_depth_it_asks_for_the_cheapest_thing),
        cmocka_unit_test(a_picture_shows_what_was_seen),
        cmocka_unit_test(an_unknown_probe_and_a_mad_depth_are_wrong_usage),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(a_bare_scale_in_the_configuration_is_replaced),
        cmocka_unit_test(a_measured_calibration_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
