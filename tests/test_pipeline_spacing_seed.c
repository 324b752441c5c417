/* The question that started the project: 512 x 512 pixels of a C5-2R60 set to
 * 150 mm, whose recording claims 0.2 mm a pixel. Three readings of the setting
 * are drawn; each is told apart, by its numbers and in words.
 *
 * With ES_TEST_PICTURES=FOLDER the pictures of what was seen are written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/judge.h"

typedef struct reading {
    const char *name;
    double truth; /* from the geometry alone */
} reading;

/* A face of 60 mm and 30 degrees to each side is 60 (1 - cos 30) high. */
static const reading readings[] = {
    {"c5-2r60-a", 150.0 / 512},
    {"c5-2r60-b", (150 + 60 * (1 - 0.8660254037844386)) / 512},
    {"c5-2r60-c", (150 + 60 * (1 - 0.8660254037844386)) / (512 - 30)},
};
enum { READINGS = 3, FRAMES = 8 };

static void judge_screen(const es_screen *screen, double depth_mm, const char *probe,
                         es_judgement *judged) {
    es_error err = {0};
    es_judge_request request;
    es_source *source = es_screen_open(screen, 0, &err);
    es_judge_request_init(&request);
    request.depth_mm = depth_mm;
    request.probe = probe;
    if (!source || !es_judge(source, &request, judged, &err)) fail_msg("%s", err.message);
    es_source_free(source);
}

static void judge_reading(int which, double depth_mm, const char *probe, es_judgement *judged) {
    es_screen screen;
    assert_true(es_screen_named(readings[which].name, &screen, NULL));
    screen.frames = FRAMES;
    judge_screen(&screen, depth_mm, probe, judged);
}

/* What both probe and depth say of each reading, judged once. */
static es_judgement known[READINGS];

static int judge_all(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) judge_reading(i, 150, "C5-2R60S-3", &known[i]);
    return 0;
}

static int clear_all(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) es_judgement_clear(&known[i]);
    return 0;
}

static void assert_contains(const char *text, const char *part) {
    if (!strstr(text, part)) fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static const es_evidence *evidence_of(const es_judgement *judged, const char *source) {
    for (size_t i = 0; i < judged->evidence.count; i++)
        if (strcmp(judged->evidence.items[i].source, source) == 0)
            return &judged->evidence.items[i];
    return NULL;
}

static void draw(const es_judgement *judged, const char *name) {
    const char *folder = getenv("ES_TEST_PICTURES");
    es_error err = {0};
    es_image picture = {0};
    char path[1024];
    if (!es_judge_picture(judged, &picture, &err)) fail_msg("%s", err.message);
    assert_true(picture.width >= 512 && picture.channels == 3);
    if (folder && folder[0]) {
        snprintf(path, sizeof path, "%s/%s.png", folder, name);
        assert_true(es_png_write(path, &picture, &err));
    }
    es_image_clear(&picture);
}

static void each_reading_of_150_mm_gets_its_own_spacing_with_an_interval(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) {
        const es_spacing_verdict *v = &known[i].verdict;
        assert_true(v->known);
        for (int a = 0; a < 2; a++) {
            /* The contour of 500 px is good to .5 px (facts 3.1), so .1 %. */
            assert_true(fabs(v->spacing_mm[a] / readings[i].truth - 1) < 0.003);
            assert_true(v->ci95_mm[a][0] < readings[i].truth);
            assert_true(v->ci95_mm[a][1] > readings[i].truth);
            /* The radius of a name and a depth to .5 mm leave about 1 %; two
             * readings are 5 % apart, and must not both be inside. */
            for (int k = 0; k < READINGS; k++)
                if (k != i)
                    assert_true(readings[k].truth < v->ci95_mm[a][0] ||
                                readings[k].truth > v->ci95_mm[a][1]);
        }
        assert_false(v->anisotropic);
        draw(&known[i], readings[i].name);
    }
}

static void the_constant_of_the_sample_configuration_is_named_and_not_used(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) {
        const es_evidence *matrix = evidence_of(&known[i], "matrix");
        assert_non_null(matrix);
        assert_true(matrix->suspect && matrix->spacing_mm[0] == 0.2);
        assert_contains(known[i].verdict.summary, "0.2 is the constant of PLUS's sample");
        assert_contains(known[i].verdict.summary, "not a measurement");
    }
}

static void the_words_say_what_the_depth_setting_measures(void **state) {
    (void)state;
    static const char *const words[] = {"is the height of the picture",
                                        "only if 150 mm were the height of the picture",
                                        "only if 150 mm were the height of the picture"};
    for (int i = 0; i < READINGS; i++) {
        assert_contains(known[i].verdict.summary, words[i]);
        /* 150/512 is named in each, as the answer or as the trap. */
        assert_contains(known[i].verdict.summary, "0.2930");
        const es_evidence *height = evidence_of(&known[i], "depth-height");
        assert_non_null(height);
        assert_int_equal(isfinite(height->sigma[1]), i == 0);
    }
}

static void without_probe_and_depth_it_refuses_and_asks_for_the_cheapest_thing(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) {
        es_judgement judged = {0};
        judge_reading(i, NAN, NULL, &judged);
        assert_false(judged.verdict.known);
        assert_true(judged.verdict.ask_count >= 2);
        assert_contains(judged.verdict.ask[0], "depth");
        assert_contains(judged.verdict.ask[1], "probe");
        assert_contains(judged.verdict.summary, "0.2 is the constant of PLUS's sample");
        es_judgement_clear(&judged);
    }
}

static void the_probe_alone_gives_a_wider_interval_around_the_truth(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) {
        es_judgement probe = {0};
        judge_reading(i, NAN, "C5-2R60S-3", &probe);
        assert_true(probe.verdict.known);
        const double *wide = probe.verdict.ci95_mm[1], *narrow = known[i].verdict.ci95_mm[1];
        assert_true(wide[0] < readings[i].truth && wide[1] > readings[i].truth);
        assert_true(wide[1] - wide[0] > narrow[1] - narrow[0]);
        es_judgement_clear(&probe);
    }
}

static void the_depth_alone_never_excludes_the_truth(void **state) {
    (void)state;
    for (int i = 0; i < READINGS; i++) {
        es_judgement judged = {0};
        judge_reading(i, 150, NULL, &judged);
        const double *ci = judged.verdict.ci95_mm[1];
        if (judged.verdict.known)
            assert_true(ci[0] < readings[i].truth && ci[1] > readings[i].truth);
        /* (a) and (b) look alike without the probe: the interval reaches to
         * 150/512 in both (to the .2 % of the rows at the picture's edge). */
        if (judged.verdict.known && i < 2) assert_true(ci[0] < 150.0 / 512 * 1.002);
        es_judgement_clear(&judged);
    }
}

static void a_wrong_probe_is_not_believed_without_a_word(void **state) {
    (void)state;
    es_judgement judged = {0};
    judge_reading(1, 150, "MC4-2R20S-3", &judged); /* a radius of 20 instead of 60 */
    assert_false(judged.verdict.known);
    assert_contains(judged.verdict.summary, "fan-radius");
    assert_contains(judged.verdict.summary, "fan-depth");
    es_judgement_clear(&judged);
}

static void a_depth_that_was_changed_is_not_believed_without_a_word(void **state) {
    (void)state;
    es_judgement judged = {0};
    judge_reading(1, 110, "C5-2R60S-3", &judged);
    const double *ci = judged.verdict.ci95_mm[1];
    /* Either it refuses, or what it says covers the truth. */
    assert_true(!judged.verdict.known || (ci[0] < readings[1].truth && ci[1] > readings[1].truth));
    assert_contains(judged.verdict.summary, "110");
    es_judgement_clear(&judged);
}

static void an_impossible_depth_and_an_unknown_probe_are_refused(void **state) {
    (void)state;
    es_screen screen;
    es_error err = {0};
    es_judge_request request;
    es_judgement judged = {0};
    assert_true(es_screen_named("c5-2r60-b", &screen, &err));
    screen.frames = 1;
    es_source *source = es_screen_open(&screen, 1, &err);
    es_judge_request_init(&request);
    request.depth_mm = -3;
    assert_false(es_judge(source, &request, &judged, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_judge_request_init(&request);
    request.probe = "Banana 3000";
    assert_false(es_judge(source, &request, &judged, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_contains(err.message, "Banana 3000");
    es_source_free(source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reading_of_150_mm_gets_its_own_spacing_with_an_interval),
        cmocka_unit_test(the_constant_of_the_sample_configuration_is_named_and_not_used),
        cmocka_unit_test(the_words_say_what_the_depth_setting_measures),
        cmocka_unit_test(without_probe_and_depth_it_refuses_and_asks_for_the_cheapest_thing),
        cmocka_unit_test(the_probe_alone_gives_a_wider_interval_around_the_truth),
        cmocka_unit_test(the_depth_alone_never_excludes_the_truth),
        cmocka_unit_test(a_wrong_probe_is_not_believed_without_a_word),
        cmocka_unit_test(a_depth_that_was_changed_is_not_believed_without_a_word),
        cmocka_unit_test(an_impossible_depth_and_an_unknown_probe_are_refused),
    };
    return cmocka_run_group_tests(tests, judge_all, clear_all);
}
