/* The transform graph: chains, inverses, and what is said when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "echosolid/geom.h"

/* A handful of products of matrices with elements up to 1e3. */
#define ROUNDING 1e-9

static es_mat4 pose(double angle_rad, double x, double y, double z) {
    es_vec3 axis = {1, 2, 3};
    return es_mat4_multiply(es_mat4_translation(x, y, z), es_mat4_rotation(axis, angle_rad));
}

/* A calibration: pixels of 0.1 x 0.2 mm. */
static es_mat4 calibration(void) {
    return es_mat4_multiply(pose(0.4, 12, -7, 3), es_mat4_scaling(0.1, 0.2, 0.1));
}

static es_mat4 inverse(es_mat4 a) {
    es_mat4 result;
    assert_true(es_mat4_invert(a, &result, NULL));
    return result;
}

static void assert_same(es_mat4 a, es_mat4 b, double tolerance) {
    for (int i = 0; i < 16; i++)
        if (!(fabs(a.m[i] - b.m[i]) <= tolerance))
            fail_msg("element %d: %.12g is not within %g of %.12g", i, a.m[i], tolerance, b.m[i]);
}

static void set(es_graph *graph, const char *from, const char *to, es_mat4 matrix, bool valid) {
    es_error err = {0};
    if (!es_graph_set(graph, from, to, matrix, valid, &err)) fail_msg("%s", err.message);
}

static es_mat4 found(const es_graph *graph, const char *from, const char *to, const char *chain) {
    es_error err = {0};
    es_mat4 matrix;
    char *text = NULL;
    if (!es_graph_find(graph, from, to, &matrix, &text, &err)) fail_msg("%s", err.message);
    assert_string_equal(text, chain);
    es_free(text);
    return matrix;
}

/* The message of a search that must fail. */
static const char *missed(const es_graph *graph, const char *from, const char *to) {
    static es_error err;
    es_mat4 matrix;
    err = (es_error){0};
    assert_false(es_graph_find(graph, from, to, &matrix, NULL, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    return err.message;
}

static void assert_says(const char *message, const char *part) {
    if (!strstr(message, part)) fail_msg("\"%s\" does not say \"%s\"", message, part);
}

static es_graph *new_graph(void) {
    es_graph *graph = es_graph_new(NULL);
    assert_non_null(graph);
    return graph;
}

/* Image - Probe - Tracker - Reference, as a recording and its configuration
 * give them. */
static es_graph *usual_graph(void) {
    es_graph *graph = new_graph();
    set(graph, "Image", "Probe", calibration(), true);
    set(graph, "Probe", "Tracker", pose(1.1, 100, 200, -300), true);
    set(graph, "Reference", "Tracker", pose(-0.7, -50, 20, 10), true);
    return graph;
}

/* ---- names ------------------------------------------------------------- */

static void split(const char *name, const char *from, const char *to) {
    char a[ES_NAME_SIZE], b[ES_NAME_SIZE];
    es_error err = {0};
    if (!es_transform_name_split(name, a, b, &err)) fail_msg("%s", err.message);
    assert_string_equal(a, from);
    assert_string_equal(b, to);
}

static void names_of_the_field_are_split_at_their_to(void **state) {
    (void)state;
    split("ProbeToTracker", "Probe", "Tracker");
    split("ProbeToTrackerTransform", "Probe", "Tracker");
    split("StylusTipToStylus", "StylusTip", "Stylus");
    split("ToolToTracker", "Tool", "Tracker");
    split("ImageToTool2", "Image", "Tool2");
    split("ImageTo3DVolume", "Image", "3DVolume");
    split("TotalStationToTorso", "TotalStation", "Torso");
}

static void names_that_are_no_transforms_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "Probe",
                                      "To",
                                      "ProbeTo",
                                      "ToTracker",
                                      "probetotracker",
                                      "ProbeTotracker",
                                      "Transform",
                                      "ProbeToTransform",
                                      "ProbeToTrackerToReference"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char a[ES_NAME_SIZE], b[ES_NAME_SIZE];
        es_error err = {0};
        assert_false(es_transform_name_split(bad[i], a, b, &err));
        assert_int_equal(err.code, ES_FORMAT);
    }
}

static void a_name_longer_than_its_place_is_refused(void **state) {
    (void)state;
    char name[600], a[ES_NAME_SIZE], b[ES_NAME_SIZE];
    es_error err = {0};
    memset(name, 'P', sizeof name);
    strcpy(name + 300, "ToTracker");
    assert_false(es_transform_name_split(name, a, b, &err));
    assert_int_equal(err.code, ES_FORMAT);
    assert_true(es_transform_name_split(name + 300 - (ES_NAME_SIZE - 1), a, b, NULL));
    assert_false(es_transform_name_split(name + 300 - ES_NAME_SIZE, a, b, NULL));
}

/* ---- chains ------------------------------------------------------------ */

static void a_chain_is_the_product_of_its_edges(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    es_mat4 truth = es_mat4_multiply(inverse(pose(-0.7, -50, 20, 10)),
                                     es_mat4_multiply(pose(1.1, 100, 200, -300), calibration()));
    es_mat4 matrix = found(graph, "Image", "Reference", "Image -> Probe -> Tracker -> Reference");
    assert_same(matrix, truth, ROUNDING);
    es_mat4 back = found(graph, "Reference", "Image", "Reference -> Tracker -> Probe -> Image");
    assert_same(es_mat4_multiply(back, matrix), es_mat4_identity(), ROUNDING);
    es_graph_free(graph);
}

static void a_frame_is_where_it_is(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    assert_same(found(graph, "Probe", "Probe", "Probe"), es_mat4_identity(), 0);
    assert_says(missed(graph, "Stylus", "Stylus"), "Stylus is in no known transform");
    es_graph_free(graph);
}

static void the_shortest_chain_is_taken(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    set(graph, "Image", "Reference", es_mat4_translation(7, 8, 9), true);
    assert_same(found(graph, "Image", "Reference", "Image -> Reference"),
                es_mat4_translation(7, 8, 9), 0);
    es_graph_free(graph);
}

static void an_invalid_short_chain_gives_way_to_a_longer_one(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    set(graph, "Image", "Reference", es_mat4_translation(7, 8, 9), false);
    found(graph, "Image", "Reference", "Image -> Probe -> Tracker -> Reference");
    es_graph_free(graph);
}

static void names_are_listed_in_the_order_of_their_first_mention(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    char *nodes = es_graph_nodes(graph, NULL);
    assert_string_equal(nodes, "Image, Probe, Tracker, Reference");
    es_free(nodes);
    assert_true(es_graph_has_node(graph, "Tracker"));
    assert_false(es_graph_has_node(graph, "tracker"));
    es_graph_free(graph);
    graph = new_graph();
    nodes = es_graph_nodes(graph, NULL);
    assert_string_equal(nodes, "");
    es_free(nodes);
    es_graph_free(graph);
}

static void a_copy_lives_its_own_life(void **state) {
    (void)state;
    es_graph *graph = usual_graph(), *copy = es_graph_copy(graph, NULL);
    set(graph, "Probe", "Tracker", pose(0, 0, 0, 0), false);
    es_graph_free(graph);
    found(copy, "Image", "Reference", "Image -> Probe -> Tracker -> Reference");
    es_graph_free(copy);
    graph = new_graph();
    copy = es_graph_copy(graph, NULL);
    assert_non_null(copy);
    es_graph_free(copy);
    es_graph_free(graph);
    es_graph_free(NULL);
}

/* Random rigid poses of 40 frames in space are the truth; a random tree joins
 * them, so that every pair has one chain. */
static void any_pair_of_a_random_tree_is_found_with_the_true_transform(void **state) {
    (void)state;
    enum { COUNT = 40 };
    es_mat4 to_world[COUNT];
    char names[COUNT][16];
    es_random random = es_random_new(11, 0);
    es_graph *graph = new_graph();
    for (int n = 0; n < COUNT; n++) {
        snprintf(names[n], sizeof names[n], "Frame%d", n);
        to_world[n] = pose(6 * es_random_uniform(&random), 100 * es_random_normal(&random),
                           100 * es_random_normal(&random), 100 * es_random_normal(&random));
        if (n == 0) continue;
        int parent = (int)(es_random_bits(&random) % (uint64_t)n);
        es_mat4 edge = es_mat4_multiply(inverse(to_world[parent]), to_world[n]);
        if (n % 2)
            set(graph, names[n], names[parent], edge, true);
        else
            set(graph, names[parent], names[n], inverse(edge), true);
    }
    for (int a = 0; a < COUNT; a++)
        for (int b = 0; b < COUNT; b++) {
            es_mat4 matrix;
            assert_true(es_graph_find(graph, names[a], names[b], &matrix, NULL, NULL));
            assert_same(matrix, es_mat4_multiply(inverse(to_world[b]), to_world[a]), ROUNDING);
        }
    es_graph_free(graph);
}

/* ---- replacing poses --------------------------------------------------- */

static void replacing_a_pose_and_finding_allocate_nothing(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    for (int f = 0; f < 20000; f++) {
        es_mat4 matrix, truth = pose(0.001 * f, f, -f, 3);
        es_alloc_fail_after(0);
        bool good = es_graph_set(graph, "Probe", "Tracker", truth, f % 7 != 3, NULL) &&
                    es_graph_find(graph, "Probe", "Tracker", &matrix, NULL, NULL) == (f % 7 != 3);
        es_alloc_fail_after(-1);
        assert_true(good);
        if (f % 7 != 3) assert_same(matrix, truth, 0);
    }
    es_graph_free(graph);
}

static void a_frame_that_gives_both_directions_is_understood(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    for (int f = 0; f < 10; f++) {
        es_mat4 truth = pose(0.3 * f, 10 * f, 5, -f);
        set(graph, "Probe", "Tracker", truth, f % 3 != 1);
        set(graph, "Tracker", "Probe", inverse(truth), f % 3 != 2);
        assert_same(found(graph, "Probe", "Tracker", "Probe -> Tracker"), truth, ROUNDING);
    }
    es_graph_free(graph);
}

static void an_inverse_written_with_six_digits_agrees(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    es_mat4 rounded = inverse(pose(1, 1234.56, -777, 900));
    for (int i = 0; i < 12; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.6g", rounded.m[i]);
        assert_true(es_parse_double(text, &rounded.m[i]));
    }
    set(graph, "Probe", "Tracker", pose(1, 1234.56, -777, 900), true);
    set(graph, "Tracker", "Probe", rounded, true);
    es_graph_free(graph);
}

static void a_stored_inverse_that_disagrees_is_refused(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    es_error err = {0};
    set(graph, "Probe", "Tracker", pose(1, 10, 20, 30), true);
    assert_false(es_graph_set(graph, "Tracker", "Probe", pose(1, 10, 20, 30), true, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_says(err.message, "TrackerToProbe and ProbeToTracker");
    assert_same(found(graph, "Probe", "Tracker", "Probe -> Tracker"), pose(1, 10, 20, 30), 0);
    es_graph_free(graph);
}

/* ---- what is missing --------------------------------------------------- */

static void a_missing_link_is_said_in_plain_words(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    set(graph, "Image", "Probe", calibration(), true);
    set(graph, "Probe", "Tracker", pose(1, 1, 2, 3), true);
    set(graph, "Stylus", "Reference", pose(1, 1, 2, 3), true);
    const char *message = missed(graph, "Image", "Reference");
    assert_says(message, "no transform from Image to Reference");
    assert_says(message, "Image -> Probe -> Tracker is known");
    assert_says(message, "Reference is only connected to Stylus");
    assert_says(message, "missing: one of TrackerToReference, TrackerToStylus");
    es_graph_free(graph);
}

static void a_missing_calibration_is_named(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    set(graph, "Probe", "Tracker", pose(1, 1, 2, 3), true);
    set(graph, "Reference", "Tracker", pose(1, 1, 2, 3), true);
    const char *message = missed(graph, "Image", "Reference");
    assert_says(message, "Image is in no known transform");
    assert_says(message, "Reference is only connected to Tracker, Probe");
    assert_says(message, "(add ImageToProbe with --config)");
    es_graph_free(graph);
}

static void a_start_with_branches_lists_what_it_is_connected_to(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    set(graph, "Image", "Probe", calibration(), true);
    set(graph, "Image", "TransducerOriginPixel", calibration(), true);
    set(graph, "TransducerOriginPixel", "TransducerOrigin", calibration(), true);
    const char *message = missed(graph, "Image", "Reference");
    assert_says(message,
                "Image is connected to Probe, TransducerOriginPixel, TransducerOrigin, Reference");
    assert_says(message, "missing: one of ProbeToReference, ");
    es_graph_free(graph);
}

static void an_empty_graph_knows_nothing(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    const char *message = missed(graph, "Image", "Reference");
    assert_says(message, "Image is in no known transform, Reference is in no known transform");
    assert_says(message, "missing: ImageToReference (add ImageToReference with --config)");
    es_graph_free(graph);
}

static void an_invalid_edge_on_the_only_chain_is_named(void **state) {
    (void)state;
    es_graph *graph = usual_graph();
    set(graph, "Probe", "Tracker", pose(1, 1, 2, 3), false);
    assert_string_equal(missed(graph, "Image", "Reference"),
                        "Image -> Probe -> Tracker -> Reference: ProbeToTracker is not valid in "
                        "this frame (status INVALID)");
    set(graph, "Reference", "Tracker", pose(1, 1, 2, 3), false);
    assert_says(missed(graph, "Image", "Reference"), "ReferenceToTracker is not valid");
    es_graph_free(graph);
}

static void matrices_without_an_inverse_are_kept_as_invalid_with_the_reason(void **state) {
    (void)state;
    struct {
        es_mat4 matrix;
        const char *reason;
    } bad[] = {{es_mat4_scaling(1, 0, 1), "singular"},
               {es_mat4_scaling(0, 0, 0), "singular"},
               {{{1, 2, 3, 0, 2, 4, 6, 0, 1, 1, 1, 0, 0, 0, 0, 1}}, "singular"},
               {es_mat4_translation(NAN, 0, 0), "NaN"},
               {es_mat4_translation(0, INFINITY, 0), "infinity"},
               {{{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1}}, "0 0 0 1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_graph *graph = usual_graph();
        set(graph, "Image", "Probe", bad[i].matrix, true);
        const char *message = missed(graph, "Image", "Reference");
        assert_says(message, "ImageToProbe is not valid");
        assert_says(message, bad[i].reason);
        set(graph, "Image", "Probe", calibration(), true);
        found(graph, "Image", "Probe", "Image -> Probe");
        es_graph_free(graph);
    }
}

/* ---- two answers ------------------------------------------------------- */

/* A square: A to D by B and by C. */
static es_graph *square(es_mat4 last) {
    es_graph *graph = new_graph();
    set(graph, "A", "B", pose(0.5, 1, 2, 3), true);
    set(graph, "A", "C", pose(0.9, 4, 5, 6), true);
    set(graph, "B", "D", es_mat4_multiply(pose(0.2, 10, 20, 30), inverse(pose(0.5, 1, 2, 3))),
        true);
    set(graph, "C", "D", last, true);
    set(graph, "D", "E", pose(1, 0, 0, 0), true);
    return graph;
}

static es_mat4 agreeing(void) {
    return es_mat4_multiply(pose(0.2, 10, 20, 30), inverse(pose(0.9, 4, 5, 6)));
}

static void two_chains_that_agree_are_one_answer(void **state) {
    (void)state;
    es_graph *graph = square(agreeing());
    assert_same(found(graph, "A", "D", "A -> B -> D"), pose(0.2, 10, 20, 30), ROUNDING);
    es_graph_free(graph);
}

static void two_chains_that_disagree_are_both_named(void **state) {
    (void)state;
    /* 30 mm is the size of the translation: a shift of 1e-3 mm is 3e-5 of it. */
    es_mat4 last = es_mat4_multiply(es_mat4_translation(1e-3, 0, 0), agreeing());
    es_graph *graph = square(last);
    assert_says(missed(graph, "A", "D"), "A -> B -> D, and A -> C -> D");
    assert_says(missed(graph, "A", "E"), "A -> B -> D -> E, and A -> C -> D -> E");
    assert_says(missed(graph, "E", "A"), "disagree");
    found(graph, "A", "B", "A -> B"); /* what does not pass there is not touched by it */
    es_graph_free(graph);
}

static void a_difference_below_a_millionth_is_no_ambiguity(void **state) {
    (void)state;
    es_mat4 last = es_mat4_multiply(es_mat4_translation(1e-5, 0, 0), agreeing());
    es_graph *graph = square(last);
    found(graph, "A", "E", "A -> B -> D -> E");
    es_graph_free(graph);
}

/* 100 squares in a row have 2^100 shortest chains. */
static void a_lattice_of_countless_chains_is_answered_at_once(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    char a[16], b[16], c[16], d[16];
    for (int i = 0; i < 100; i++) {
        snprintf(a, sizeof a, "N%d", i);
        snprintf(b, sizeof b, "L%d", i);
        snprintf(c, sizeof c, "R%d", i);
        snprintf(d, sizeof d, "N%d", i + 1);
        set(graph, a, b, es_mat4_translation(1, 0, 0), true);
        set(graph, a, c, es_mat4_translation(0, 1, 0), true);
        set(graph, b, d, es_mat4_translation(0, 1, 0), true);
        set(graph, c, d, es_mat4_translation(1, 0, 0), true);
    }
    es_mat4 matrix;
    assert_true(es_graph_find(graph, "N0", "N100", &matrix, NULL, NULL));
    assert_same(matrix, es_mat4_translation(100, 100, 0), ROUNDING);
    set(graph, "R99", "N100", es_mat4_translation(1, 0, 1), true);
    assert_says(missed(graph, "N0", "N100"), "disagree");
    es_graph_free(graph);
}

/* ---- limits ------------------------------------------------------------ */

static void names_that_cannot_be_are_refused(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    char name[300];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(es_graph_set(graph, name, "Probe", es_mat4_identity(), true, NULL));
    assert_false(es_graph_set(graph, "Probe", name, es_mat4_identity(), true, NULL));
    assert_false(es_graph_set(graph, "", "Probe", es_mat4_identity(), true, NULL));
    assert_false(es_graph_set(graph, "Probe", "Probe", es_mat4_identity(), true, NULL));
    assert_false(es_graph_has_node(graph, "Probe"));
    es_graph_free(graph);
}

static void a_flood_of_frames_of_reference_is_refused(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    es_error err = {0};
    char name[32];
    int n = 0;
    do {
        snprintf(name, sizeof name, "Marker%d", n);
    } while (es_graph_set(graph, name, "Tracker", es_mat4_identity(), true, &err) && ++n < 5000);
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_in_range(n, 500, 1024);
    es_mat4 matrix;
    assert_true(es_graph_find(graph, "Marker0", "Marker499", &matrix, NULL, NULL));
    es_graph_free(graph);
}

static void the_longest_chain_and_its_message_fit(void **state) {
    (void)state;
    es_graph *graph = new_graph();
    char from[64], to[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(from, sizeof from, "AFrameOfReferenceWithALongName%d", i);
        snprintf(to, sizeof to, "AFrameOfReferenceWithALongName%d", i + 1);
        set(graph, from, to, es_mat4_translation(1, 0, 0), i != 500);
    }
    es_mat4 matrix;
    char *chain = NULL;
    assert_says(missed(graph, "AFrameOfReferenceWithALongName0", to), "...");
    assert_says(missed(graph, "AFrameOfReferenceWithALongName0", to),
                "Name500ToAFrameOfReferenceWithALongName501 is not valid");
    snprintf(from, sizeof from, "AFrameOfReferenceWithALongName%d", 501);
    assert_true(es_graph_find(graph, from, to, &matrix, &chain, NULL));
    assert_same(matrix, es_mat4_translation(499, 0, 0), 0);
    assert_true(strlen(chain) > 499 * 32);
    es_free(chain);
    assert_says(missed(graph, from, "Reference"), "Reference is in no known transform");
    es_graph_free(graph);
}

/* Every allocation in turn fails: an error, nothing lost, and the graph as it
 * was. */
static void a_failed_allocation_leaves_the_graph_as_it_was(void **state) {
    (void)state;
    for (long n = 0; n < 4; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        es_graph *graph = es_graph_new(&err);
        bool good = graph && es_graph_set(graph, "A", "B", es_mat4_identity(), true, &err);
        es_graph *copy = good ? es_graph_copy(graph, &err) : NULL;
        es_alloc_fail_after(-1);
        assert_null(copy);
        assert_int_equal(err.code, ES_MEMORY);
        if (graph && !good) assert_false(es_graph_has_node(graph, "A"));
        es_graph_free(graph);
    }
    es_graph *graph = usual_graph();
    es_error err = {0};
    es_mat4 matrix;
    char *chain = NULL;
    es_alloc_fail_after(0);
    assert_false(es_graph_find(graph, "Image", "Tracker", &matrix, &chain, &err));
    es_alloc_fail_after(0);
    assert_null(es_graph_nodes(graph, &err));
    es_alloc_fail_after(-1);
    assert_null(chain);
    assert_int_equal(err.code, ES_MEMORY);
    es_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_the_field_are_split_at_their_to),
        cmocka_unit_test(names_that_are_no_transforms_are_refused),
        cmocka_unit_test(a_name_longer_than_its_place_is_refused),
        cmocka_unit_test(a_chain_is_the_product_of_its_edges),
        cmocka_unit_test(a_frame_is_where_it_is),
        cmocka_unit_test(the_shortest_chain_is_taken),
        cmocka_unit_test(an_invalid_short_chain_gives_way_to_a_longer_one),
        cmocka_unit_test(names_are_listed_in_the_order_of_their_first_mention),
        cmocka_unit_test(a_copy_lives_its_own_life),
        cmocka_unit_test(any_pair_of_a_random_tree_is_found_with_the_true_transform),
        cmocka_unit_test(replacing_a_pose_and_finding_allocate_nothing),
        cmocka_unit_test(a_frame_that_gives_both_directions_is_understood),
        cmocka_unit_test(an_inverse_written_with_six_digits_agrees),
        cmocka_unit_test(a_stored_inverse_that_disagrees_is_refused),
        cmocka_unit_test(a_missing_link_is_said_in_plain_words),
        cmocka_unit_test(a_missing_calibration_is_named),
        cmocka_unit_test(a_start_with_branches_lists_what_it_is_connected_to),
        cmocka_unit_test(an_empty_graph_knows_nothing),
        cmocka_unit_test(an_invalid_edge_on_the_only_chain_is_named),
        cmocka_unit_test(matrices_without_an_inverse_are_kept_as_invalid_with_the_reason),
        cmocka_unit_test(two_chains_that_agree_are_one_answer),
        cmocka_unit_test(two_chains_that_disagree_are_both_named),
        cmocka_unit_test(a_difference_below_a_millionth_is_no_ambiguity),
        cmocka_unit_test(a_lattice_of_countless_chains_is_answered_at_once),
        cmocka_unit_test(names_that_cannot_be_are_refused),
        cmocka_unit_test(a_flood_of_frames_of_reference_is_refused),
        cmocka_unit_test(the_longest_chain_and_its_message_fit),
        cmocka_unit_test(a_failed_allocation_leaves_the_graph_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
