/* The whole way with a tracker that errs: what the pipeline makes of a
 * simulated sweep is closed when it comes back from a file without indices. */
#include "echosolid/pipeline.h"
#include "echosolid/simulate.h"

#include "cad_files.h"

/* A small quick sweep: fewer frames than the scene has by itself, and smaller. */
static es_simulation noisy_sweep(const char *scene) {
    es_simulation simulation;
    assert_true(es_simulation_preset(scene, &simulation, NULL));
    simulation.frames = 80;
    simulation.probe.image_size[0] = simulation.probe.image_size[1] = 192;
    simulation.pose_noise_mm = 0.3;
    simulation.pose_noise_rad = 0.3 * M_PI / 180;
    return simulation;
}

static es_setup setup_of(const es_simulation *simulation) {
    es_setup setup = {.recon = ES_RECON_DEFAULTS};
    es_mat4 image_to_probe = es_simulation_image_to_probe(simulation);
    es_vec3 origin = es_mat4_point(image_to_probe, es_vec3_make(0, 0, 0));
    for (int a = 0; a < 2; a++) {
        es_vec3 pixel = es_mat4_point(image_to_probe, es_vec3_make(a == 0, a == 1, 0));
        setup.survey.pixel_mm[a] = es_vec3_length(es_vec3_sub(pixel, origin));
    }
    setup.fan = es_simulation_fan(simulation);
    setup.survey.step_mm = 1;
    setup.survey.used = simulation->frames;
    return setup;
}

static void run_model(es_model *model, const es_simulation *simulation) {
    es_error err = {0};
    es_source *source = es_simulation_open(simulation, &err);
    es_frame frame = {0};
    bool ok = source != NULL, end = false;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, &err)) && !end) {
        const es_frame *frames[] = {&frame};
        es_mat4 tracker_to_reference, transform;
        ok = es_mat4_invert(es_frame_find_transform(&frame, "ReferenceToTracker")->matrix,
                            &tracker_to_reference, &err);
        transform = es_mat4_multiply(
            tracker_to_reference,
            es_mat4_multiply(es_frame_find_transform(&frame, "ProbeToTracker")->matrix,
                             es_simulation_image_to_probe(simulation)));
        ok = ok && es_model_stage(model, frames, &transform, 1, &err);
    }
    if (!ok) fail_msg("%s", err.message);
    es_frame_clear(&frame);
    es_source_free(source);
}

static es_mesh_check through_a_file(const es_mesh *mesh, const char *name) {
    es_mesh back;
    es_mesh_check check;
    es_error err = {0};
    if (!es_mesh_write(in_folder(name), mesh, NULL, &err) ||
        !es_mesh_read(in_folder(name), &back, &err) || !es_mesh_inspect(&back, &check, &err))
        fail_msg("%s", err.message);
    assert_int_equal(back.triangle_count, mesh->triangle_count); /* none had become a line */
    es_mesh_clear(&back);
    return check;
}

static void check_scene(const char *scene) {
    es_simulation simulation = noisy_sweep(scene);
    es_setup setup = setup_of(&simulation);
    es_model_options options = ES_MODEL_DEFAULTS;
    es_model_result result;
    es_error err = {0};
    es_pool *pool = es_pool_new(2, &err);
    options.with_grey = false;
    es_model *model = es_model_new(&setup, &options, pool, &setup.decisions, &err);
    if (!model) fail_msg("%s", err.message);
    run_model(model, &simulation);
    if (!es_model_finish(model, &result, &err)) fail_msg("%s", err.message);
    assert_true(result.sheet.triangle_count > 1000);
    assert_true(result.sheet_check.boundary_edges > 0); /* one side is seen: thickened */
    es_mesh_check solid = through_a_file(&result.shape.mesh, "solid.stl");
    es_mesh_check sheet = through_a_file(&result.sheet, "sheet.stl");
    assert_true(solid.closed);
    assert_int_equal(solid.degenerate, 0);
    assert_int_equal(sheet.bad_edges + sheet.bad_vertices, 0);
    /* What the model says of itself is what the file holds. */
    assert_true(result.shape.check.closed);
    assert_int_equal(solid.components, result.shape.check.components);
    assert_int_equal(sheet.boundary_loops, result.sheet_check.boundary_loops);
    assert_int_equal(solid.components, result.pieces_kept);
    es_model_result_clear(&result);
    es_model_free(model);
    es_setup_clear(&setup);
    es_pool_free(pool);
}

static void a_model_of_a_torus_is_closed_in_its_file(void **state) {
    (void)state;
    check_scene("torus");
}

static void a_model_of_a_box_is_closed_in_its_file(void **state) {
    (void)state;
    check_scene("box");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_of_a_torus_is_closed_in_its_file),
        cmocka_unit_test(a_model_of_a_box_is_closed_in_its_file),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
