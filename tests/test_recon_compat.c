/* The compatibility mode: small cases worked out by hand, and the reference
 * volumes that IGSIO publishes with its tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/compat.h"
#include "echosolid/pipeline.h"

/* ---- the published references ---------------------------------------------------- */

static bool data_path(char path[4096], const char *name) {
    const char *data = getenv("ES_TEST_DATA");
    if (!data) return false;
    snprintf(path, 4096, "%s/plus/%s", data, name);
    return access(path, R_OK) == 0;
}

#define SKIP_WITHOUT(path, name)                                                                   \
    do {                                                                                           \
        if (!data_path(path, name)) {                                                              \
            print_message("skipped: no %s below ES_TEST_DATA\n", name);                            \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call)) fail_msg("%s", err.message);                                                  \
    } while (0)

static bool insert_frames(void *volume, const es_frame *const *frames, const es_mat4 *transforms,
                          size_t count, es_error *err) {
    for (size_t i = 0; i < count; i++)
        if (!es_compat_insert(volume, &frames[i]->image, &transforms[i], err)) return false;
    return true;
}

/* What `echosolid reconstruct` does with a configuration. */
static es_compat_volume *reconstruct(es_source *source, const char *config) {
    es_error err = {0};
    es_setup_request request;
    es_setup setup;
    es_plus *plus = es_plus_read(config, &err);
    if (!plus) fail_msg("%s", err.message);
    es_setup_request_init(&request);
    request.plus = plus;
    OK(es_setup_make(source, &request, &setup, &err));
    es_compat_volume *volume = es_compat_new(&setup.recon, ES_COMPAT_FULL, NULL, &err);
    if (!volume) fail_msg("%s", err.message);
    es_placement *placement = es_placement_new(plus, NULL, &err);
    es_flow flow = {.source = source, .placement = placement, .skip = setup.skip, .total = -1};
    es_flow_stats stats = {0};
    OK(placement && es_flow_run(&flow, insert_frames, volume, &stats, &err));
    assert_true(stats.inserted > 0);
    es_placement_free(placement);
    es_setup_clear(&setup);
    es_plus_free(plus);
    return volume;
}

/* The references' files round the origin to six digits. */
static void check_geometry(const es_grid_info *ours, const es_grid_info *theirs) {
    for (int a = 0; a < 3; a++) {
        assert_int_equal(ours->size[a], theirs->size[a]);
        assert_float_equal(ours->spacing_mm[a], theirs->spacing_mm[a], 0);
        assert_float_equal(ours->origin_mm[a], theirs->origin_mm[a], 1e-3);
    }
    assert_int_equal(ours->type, theirs->type);
}

/* Not one voxel may differ: the arithmetic is the same, so there is nothing to
 * allow for. */
static void compare(es_compat_volume *volume, const char *reference) {
    es_error err = {0};
    es_grid theirs = {0}, ours = {0};
    OK(es_grid_read(reference, &theirs, &err));
    OK(es_compat_grid_info(volume, &ours.info, &err));
    check_geometry(&ours.info, &theirs.info);
    OK(es_grid_alloc(&ours, &err));
    OK(es_compat_slab(volume, 0, ours.info.size[2], ours.data, &err));
    size_t voxels = ours.info.size[0] * ours.info.size[1] * ours.info.size[2], differing = 0;
    double worst = 0;
    for (size_t i = 0; i < voxels; i++) {
        double d = fabs(es_type_get(ours.info.type, ours.data, i) -
                        es_type_get(theirs.info.type, theirs.data, i));
        if (d > 0) differing++;
        if (d > worst) worst = d;
    }
    print_message("%zu of %zu voxels differ, worst %g\n", differing, voxels, worst);
    assert_int_equal(differing, 0);
    es_grid_clear(&ours);
    es_grid_clear(&theirs);
}

static es_compat_volume *reconstruct_spine(const char *config) {
    es_error err = {0};
    char path[4096];
    assert_true(data_path(path, "sequences/SpinePhantomFreehand.igs.mha"));
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    es_compat_volume *volume = reconstruct(source, config);
    es_source_free(source);
    return volume;
}

#define CONFIG "config/Config_VolumeReconstruction_"
#define REFERENCE "reference/VolumeReconstructorTest"

static void nearest_latest_in_a_fan_equals_the_published_volume(void **state) {
    (void)state;
    char config[4096], reference[4096];
    SKIP_WITHOUT(config, CONFIG "SonixRP_TRUS_D70mm_NN_LATE.xml");
    SKIP_WITHOUT(reference, REFERENCE "NNLATEvolumeRef.mha");
    es_compat_volume *volume = reconstruct_spine(config);
    compare(volume, reference);
    es_compat_free(volume);
}

static void nearest_mean_with_stick_fill_equals_the_published_volume(void **state) {
    (void)state;
    char config[4096], reference[4096];
    SKIP_WITHOUT(config, CONFIG "SpinePhantom_NN_MEAN.xml");
    SKIP_WITHOUT(reference, REFERENCE "NNMEANvolumeRef.mha");
    es_error err = {0};
    es_compat_volume *volume = reconstruct_spine(config);
    es_compat_fill_step step = {.kind = ES_COMPAT_STICK, .stick_length = 9, .sticks = 1};
    OK(es_compat_fill(volume, &step, 1, &err));
    compare(volume, reference);
    es_compat_free(volume);
}

static void linear_maximum_equals_the_published_volume(void **state) {
    (void)state;
    char config[4096], reference[4096];
    SKIP_WITHOUT(config, CONFIG "SpinePhantom_LN_MAXI.xml");
    SKIP_WITHOUT(reference, REFERENCE "LNMAXIvolumeRef.mha");
    es_compat_volume *volume = reconstruct_spine(config);
    compare(volume, reference);
    es_compat_free(volume);
}

/* The three float frames of the published test are not public; they have the
 * pixels of frames 1, 2, 3 of the spine and the poses of frames 0, 1, 2. */
typedef struct float_spine {
    es_frame frames[3];
    int next;
} float_spine;

static void read_float_spine(float_spine *s) {
    es_error err = {0};
    char path[4096];
    bool end = false;
    es_frame frame = {0};
    assert_true(data_path(path, "sequences/SpinePhantomFreehand.igs.mha"));
    es_source *source = es_sequence_open(path, &err);
    if (!source) fail_msg("%s", err.message);
    for (int f = 0; f < 4; f++) {
        OK(es_source_next(source, &frame, ES_READ_PIXELS, &end, &err));
        if (f < 3) OK(es_frame_copy(&frame, &s->frames[f], &err));
        if (f > 0) OK(es_image_to_f32(&frame.image, &s->frames[f - 1].image, &err));
    }
    es_frame_clear(&frame);
    es_source_free(source);
}

static bool float_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    float_spine *s = self;
    (void)flags;
    if ((*end = s->next == 3)) return true;
    return es_frame_copy(&s->frames[s->next++], frame, err);
}

static bool float_rewind(void *self, es_error *err) {
    (void)err;
    ((float_spine *)self)->next = 0;
    return true;
}

static void float_free(void *self) { (void)self; }

static void linear_latest_of_floats_equals_the_published_volume(void **state) {
    (void)state;
    char config[4096], reference[4096];
    SKIP_WITHOUT(config, CONFIG "SpinePhantom_LN_LATE.xml");
    SKIP_WITHOUT(reference, REFERENCE "LNLATEvolumeRef.mha");
    static const es_source_ops ops = {float_next, float_rewind, float_free};
    float_spine spine = {0};
    read_float_spine(&spine);
    const es_image *image = &spine.frames[0].image;
    es_stream_info info = {.frame_count = 3,
                           .width = image->width,
                           .height = image->height,
                           .type = ES_F32,
                           .channels = 1,
                           .spacing_mm = {1, 1}};
    es_source *source = es_source_new(&ops, &spine, &info, NULL);
    assert_non_null(source);
    es_compat_volume *volume = reconstruct(source, config);
    compare(volume, reference);
    es_compat_free(volume);
    es_source_free(source);
    for (int f = 0; f < 3; f++) es_frame_clear(&spine.frames[f]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearest_latest_in_a_fan_equals_the_published_volume),
        cmocka_unit_test(nearest_mean_with_stick_fill_equals_the_published_volume),
        cmocka_unit_test(linear_maximum_equals_the_published_volume),
        cmocka_unit_test(linear_latest_of_floats_equals_the_published_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
