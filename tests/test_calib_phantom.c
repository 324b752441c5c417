/* The printable phantom: a closed solid of the right size, whose holes and
 * divots are where the wire table says, and which calibrates. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire_scene.h"

static es_phantom_design made(es_phantom_options options) {
    es_phantom_design design;
    es_error err = {0};
    if (!es_phantom_make(&options, &design, &err)) print_message("%s\n", err.message);
    assert_int_equal(err.code, ES_OK);
    return design;
}

static es_mesh solid_of(const es_phantom_design *design) {
    es_mesh solid;
    es_error err = {0};
    if (!es_phantom_solid(design, &solid, &err)) print_message("%s\n", err.message);
    assert_int_equal(err.code, ES_OK);
    return solid;
}

static void assert_near(double a, double b, double tolerance) {
    assert_true(fabs(a - b) <= tolerance);
}

static void assert_good_solid(const es_phantom_design *design) {
    es_mesh solid = solid_of(design);
    es_mesh_check check, welded;
    assert_true(es_mesh_inspect(&solid, &check, NULL));
    assert_true(es_mesh_inspect_welded(&solid, &welded, NULL));
    assert_true(check.closed && welded.closed);
    assert_int_equal(check.components, 1);
    assert_int_equal(check.degenerate + check.bad_edges + check.bad_vertices, 0);
    /* without holes the box is a dish, like a ball; each hole through a wall or the floor is a
     * handle more: two a wire, the screws', the floor's window */
    long handles = 2L * 3 * design->wires.patterns + 2 + 1;
    assert_int_equal(check.euler, 2 - 2 * handles);
    es_box3 box = es_mesh_box(&solid);
    assert_near(box.min.x, 0, 1e-4);
    assert_near(box.min.y, 0, 1e-4);
    assert_near(box.min.z, 0, 1e-4);
    assert_near(box.max.x, design->size.x, 1e-4);
    assert_near(box.max.y, design->size.y, 1e-4);
    assert_near(box.max.z, design->size.z, 1e-4);
    es_mesh_clear(&solid);
}

static void every_usual_phantom_is_one_closed_solid_of_its_size(void **state) {
    (void)state;
    for (int probe = 0; probe < ES_PHANTOM_PROBES; probe++) {
        es_phantom_design design = made(es_phantom_preset((es_phantom_probe)probe));
        assert_good_solid(&design);
    }
}

static void odd_sizes_make_closed_solids_too(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        es_random random = es_random_new(seed, 3);
        es_phantom_options o = es_phantom_preset((es_phantom_probe)(seed % ES_PHANTOM_PROBES));
        o.rows = 1 + (int)(ES_PATTERNS_MAX * es_random_uniform(&random));
        o.width *= 1 + es_random_uniform(&random);
        o.length *= 1 + es_random_uniform(&random);
        o.stagger = 5 * es_random_uniform(&random);
        o.gap += 3 * es_random_uniform(&random);
        o.above += 20 * es_random_uniform(&random);
        o.wall += es_random_uniform(&random);
        o.stylus = 3 * es_random_uniform(&random);
        es_phantom_design design = made(o);
        assert_good_solid(&design);
    }
}

/* The volume without its holes is a sum of boxes. */
static void the_solid_holds_the_volume_of_its_walls(void **state) {
    (void)state;
    es_phantom_design d = made(es_phantom_preset(ES_PHANTOM_LINEAR));
    es_mesh solid = solid_of(&d);
    es_mesh_check check;
    assert_true(es_mesh_inspect(&solid, &check, NULL));
    double t = d.options.wall, l = d.options.length, x = d.size.x, in = x - 2 * t;
    double walls = 2 * x * t * d.size.z + 2 * l * t * d.side_top;
    double floor = in * l * t - (in - 2 * d.rim) * (l - 2 * d.rim) * t;
    double round = 0.5 * d.options.hole, tear = 3.14159265 * 0.75 + 1; /* areas by radius squared */
    double holes = 18 * tear * round * round * t + 2 * tear * 1.7 * 1.7 * t;
    double cones = 8 * 3.14159265 * d.divot * d.divot * d.divot / 3;
    /* polygons of 16 sides for circles: 3 % of the holes */
    assert_near(check.volume_mm3, walls + floor - holes - cones, 0.05 * (holes + cones));
    es_mesh_clear(&solid);
}

/* The rim's lower points lie on a circle about the wire's end. */
static void assert_hole(const es_mesh *solid, es_vec3 at, double radius) {
    es_vec3 sum = {0, 0, 0};
    int n = 0;
    for (size_t i = 0; i < solid->vertex_count; i++) {
        const float *v = &solid->vertices[3 * i];
        double off = hypot(v[0] - at.x, v[2] - at.z);
        if (fabs(v[1] - at.y) > 1e-4 || off > radius + 0.01) continue;
        assert_near(off, radius, 0.01);
        if (v[2] - at.z > 0.01) continue; /* the half below is round: its sides balance */
        sum = es_vec3_add(sum, es_vec3_make(v[0], v[1], v[2]));
        n++;
    }
    assert_int_equal(n, 9); /* of 16 points around, those from one side to the other */
    assert_near(sum.x / n, at.x, 0.01);
}

static void every_wires_ends_are_the_middles_of_holes_to_a_hundredth(void **state) {
    (void)state;
    for (int probe = 0; probe < ES_PHANTOM_PROBES; probe++) {
        es_phantom_design d = made(es_phantom_preset((es_phantom_probe)probe));
        es_mesh solid = solid_of(&d);
        for (int w = 0; w < 3 * d.wires.patterns; w++) {
            assert_hole(&solid, d.wires.wires[w].front, 0.5 * d.options.hole);
            assert_hole(&solid, d.wires.wires[w].back, 0.5 * d.options.hole);
        }
        es_mesh_clear(&solid);
    }
}

static void a_ball_rests_in_its_divot_where_the_landmark_is(void **state) {
    (void)state;
    es_phantom_options o = es_phantom_preset(ES_PHANTOM_LINEAR);
    for (o.stylus = 0; o.stylus <= 3; o.stylus += 1.5) {
        es_phantom_design d = made(o);
        es_mesh solid = solid_of(&d);
        for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
            double nearest = INFINITY;
            es_vec3 apex = es_vec3_sub(d.cones[k], es_vec3_make(0, 0, d.divot));
            for (size_t i = 0; i < solid.vertex_count; i++) {
                const float *v = &solid.vertices[3 * i];
                es_vec3 off = es_vec3_sub(es_vec3_make(v[0], v[1], v[2]), apex);
                nearest = fmin(nearest, es_vec3_length(off));
            }
            assert_true(nearest < 0.001);
            /* the cone's sides are 45 degrees: a centre h above the apex is h / sqrt 2 off them */
            assert_near((d.landmarks[k].z - apex.z) / sqrt(2), 0.5 * o.stylus, 1e-6);
        }
        es_mesh_clear(&solid);
    }
}

static void one_thread_goes_through_every_hole_once(void **state) {
    (void)state;
    es_phantom_design d = made(es_phantom_preset(ES_PHANTOM_CURVED));
    es_phantom_step steps[ES_PHANTOM_STEPS];
    double length, sum = 0;
    int n = es_phantom_thread(&d, steps, &length), seen[ES_WIRES_MAX] = {0};
    assert_int_equal(n, 2 * 3 * d.wires.patterns - 1);
    for (int k = 0; k < n; k++) {
        sum += steps[k].length;
        assert_true(steps[k].length > 0);
        assert_true((steps[k].wire < 0) == (k % 2 == 1));
        if (k > 0) assert_string_equal(steps[k].from, steps[k - 1].to);
        if (steps[k].wire >= 0)
            seen[steps[k].wire]++;
        else /* along one wall: both letters capital, or both small */
            assert_true((steps[k].from[0] < 'a') == (steps[k].to[0] < 'a'));
    }
    for (int w = 0; w < 3 * d.wires.patterns; w++) assert_int_equal(seen[w], 1);
    assert_near(sum, length, 1e-9);
}

static void the_wire_table_is_read_back_as_it_was_made(void **state) {
    (void)state;
    es_phantom_design d = made(es_phantom_preset(ES_PHANTOM_CURVED));
    es_point item = {.name = "L1", .at_mm = d.landmarks[0]};
    es_points landmarks = {.items = &item, .count = 1}, read;
    es_wire_phantom phantom;
    es_plus *plus = es_wire_phantom_plus(&d.wires, &landmarks, NULL);
    assert_non_null(plus);
    assert_true(es_wire_phantom_read(plus, &phantom, NULL));
    assert_int_equal(phantom.patterns, d.wires.patterns);
    for (int w = 0; w < 3 * phantom.patterns; w++) {
        assert_string_equal(phantom.wires[w].name, d.wires.wires[w].name);
        assert_near(es_vec3_length(es_vec3_sub(phantom.wires[w].front, d.wires.wires[w].front)), 0,
                    1e-4);
        assert_near(es_vec3_length(es_vec3_sub(phantom.wires[w].back, d.wires.wires[w].back)), 0,
                    1e-4);
    }
    assert_true(es_plus_landmarks(plus, &read, NULL));
    assert_int_equal(read.count, 1);
    es_points_clear(&read);
    es_plus_free(plus);
}

/* Turned, permuted or mirrored touches must not pass for the landmarks. */
static void the_landmarks_are_told_apart_in_any_order_and_a_mirror_is_named(void **state) {
    (void)state;
    es_phantom_design d = made(es_phantom_preset(ES_PHANTOM_LINEAR));
    es_vec3 touched[ES_PHANTOM_LANDMARKS];
    es_landmark_result result;
    es_error err = {0};
    es_mat4 to = es_bath_phantom_to_reference();
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++)
        touched[k] = es_mat4_point(to, d.landmarks[(k * 3 + 2) % ES_PHANTOM_LANDMARKS]);
    assert_true(es_landmarks_solve(d.landmarks, ES_PHANTOM_LANDMARKS, touched, ES_PHANTOM_LANDMARKS,
                                   d.size, NAN, &result, NULL));
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++)
        assert_int_equal((result.point_of[k] * 3 + 2) % ES_PHANTOM_LANDMARKS, k);
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) touched[k].x = -touched[k].x;
    assert_false(es_landmarks_solve(d.landmarks, ES_PHANTOM_LANDMARKS, touched,
                                    ES_PHANTOM_LANDMARKS, d.size, NAN, &result, &err));
    assert_non_null(strstr(err.message, "mirror"));
}

/* The array that each phantom is for, over it, the whole way. */
static void simulated_recordings_of_every_phantom_calibrate_to_the_truth(void **state) {
    (void)state;
    static const char *const names[] = {"printed-linear", "printed-curved", "printed-endocavity"};
    static const double faces[] = {0, 60, 10}, angles[] = {0, 0.55, 1.2};
    for (int k = 0; k < 3; k++) {
        es_bath bath;
        es_wire_phantom phantom;
        es_wire_recording recording;
        es_wire_outcome out;
        es_wire_options options = wire_scene_options(false);
        assert_true(es_wire_phantom_named(names[k], &phantom, NULL));
        wire_scene_bath(&bath, names[k], 5);
        bath.width = 320;
        bath.height = 267;
        for (int i = 0; i < 2; i++) bath.spacing_mm[i] *= 1.5;
        bath.frames = 40;
        bath.pose_noise_mm = 0.1;
        bath.face_mm = faces[k];
        bath.half_angle_rad = angles[k];
        assert_true(wire_scene_run(&bath, &phantom, &options, &recording, &out, NULL));
        /* the project's figure for 0.3 mm of noise */
        assert_true(wire_scene_miss(&bath, out.result.image_to_probe) <= 0.4);
        assert_true(out.result.frames_used >= 36);
        es_wire_outcome_clear(&out);
        es_wire_recording_clear(&recording);
    }
}

static void refused(es_phantom_options options, const char *words) {
    es_phantom_design design;
    es_error err = {0};
    assert_false(es_phantom_make(&options, &design, &err));
    assert_int_equal(err.code, ES_USAGE);
    if (!strstr(err.message, words)) print_message("%s\n", err.message);
    assert_non_null(strstr(err.message, words));
}

static void sizes_that_do_not_go_together_are_named(void **state) {
    (void)state;
    static const struct {
        size_t offset;
        double value;
        const char *words;
    } bad[] = {{offsetof(es_phantom_options, width), 10, "width"},
               {offsetof(es_phantom_options, width), NAN, "width"},
               {offsetof(es_phantom_options, length), 10, "length"},
               {offsetof(es_phantom_options, gap), 2, "gap"},
               {offsetof(es_phantom_options, stagger), -1, "stagger"},
               {offsetof(es_phantom_options, inset), 1, "inset"},
               {offsetof(es_phantom_options, above), 1, "above"},
               {offsetof(es_phantom_options, below), 3, "below"},
               {offsetof(es_phantom_options, side), 3, "side"},
               {offsetof(es_phantom_options, wall), 2, "wall"},
               {offsetof(es_phantom_options, hole), 0.3, "hole"},
               {offsetof(es_phantom_options, line), 0, "thread"},
               {offsetof(es_phantom_options, stylus), 8, "wall"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        es_phantom_options o = es_phantom_preset(ES_PHANTOM_LINEAR);
        memcpy((char *)&o + bad[k].offset, &bad[k].value, sizeof(double));
        refused(o, bad[k].words);
    }
    es_phantom_options o = es_phantom_preset(ES_PHANTOM_LINEAR);
    o.rows = 0;
    refused(o, "rows");
    o.rows = ES_PATTERNS_MAX + 1;
    refused(o, "rows");
}

static void without_memory_there_is_an_error_and_no_solid(void **state) {
    (void)state;
    es_phantom_design d = made(es_phantom_preset(ES_PHANTOM_LINEAR));
    for (long n = 0; n < 12; n++) {
        es_mesh solid;
        es_error err = {0};
        es_alloc_fail_after(n);
        bool ok = es_phantom_solid(&d, &solid, &err);
        es_alloc_fail_after(-1);
        if (ok) {
            es_mesh_clear(&solid);
            continue;
        }
        assert_int_equal(err.code, ES_MEMORY);
        assert_null(solid.vertices);
        assert_null(solid.triangles);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_usual_phantom_is_one_closed_solid_of_its_size),
        cmocka_unit_test(odd_sizes_make_closed_solids_too),
        cmocka_unit_test(the_solid_holds_the_volume_of_its_walls),
        cmocka_unit_test(every_wires_ends_are_the_middles_of_holes_to_a_hundredth),
        cmocka_unit_test(a_ball_rests_in_its_divot_where_the_landmark_is),
        cmocka_unit_test(one_thread_goes_through_every_hole_once),
        cmocka_unit_test(the_wire_table_is_read_back_as_it_was_made),
        cmocka_unit_test(the_landmarks_are_told_apart_in_any_order_and_a_mirror_is_named),
        cmocka_unit_test(simulated_recordings_of_every_phantom_calibrate_to_the_truth),
        cmocka_unit_test(sizes_that_do_not_go_together_are_named),
        cmocka_unit_test(without_memory_there_is_an_error_and_no_solid),
    };
    return cmocka_run_group_tests_name("printable phantom", tests, NULL, NULL);
}
