/* Crops, masks and grey over any source. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/image.h"

enum { WIDTH = 7, HEIGHT = 5, FRAMES = 3 };

/* RGB pictures whose red is u, green v, blue the frame's number. */
typedef struct painted {
    int64_t at;
} painted;

static bool paint(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    painted *p = self;
    *end = p->at == FRAMES;
    if (*end) return true;
    frame->index = p->at;
    frame->transform_count = 0;
    frame->has_image = true;
    if (!es_frame_set_transform(frame, "ImageToProbe", es_mat4_scaling(0.5, 0.25, 1), true, err) ||
        !es_frame_set_transform(frame, "ProbeToTracker", es_mat4_translation(1, 2, 3), true, err))
        return false;
    if (flags & ES_READ_PIXELS) {
        if (!es_image_resize(&frame->image, ES_U8, 3, WIDTH, HEIGHT, err)) return false;
        uint8_t *out = frame->image.data;
        for (int v = 0; v < HEIGHT; v++)
            for (int u = 0; u < WIDTH; u++) {
                *out++ = (uint8_t)(10 * u);
                *out++ = (uint8_t)(10 * v);
                *out++ = (uint8_t)(10 * p->at);
            }
    }
    p->at++;
    return true;
}

static bool restart(void *self, es_error *err) {
    (void)err;
    ((painted *)self)->at = 0;
    return true;
}

static es_source *open_painted(void) {
    static const es_source_ops ops = {paint, restart, es_free};
    es_stream_info info = {.frame_count = FRAMES,
                           .width = WIDTH,
                           .height = HEIGHT,
                           .type = ES_U8,
                           .channels = 3,
                           .spacing_mm = {1, 1},
                           .format = "painted"};
    es_source *source = es_source_new(&ops, es_alloc_zero(1, sizeof(painted), NULL), &info, NULL);
    assert_non_null(source);
    return source;
}

static void a_crop_keeps_its_pixels_and_moves_transforms(void **state) {
    (void)state;
    const es_window window = {.u0 = 2, .v0 = 1, .width = 4, .height = 3};
    es_source *source = es_source_window(open_painted(), &window, NULL);
    es_frame frame = {0};
    bool end = false;
    assert_int_equal(es_source_info(source)->width, 4);
    assert_string_equal(es_fields_get(&es_source_info(source)->fields, "EchosolidCropOrigin"),
                        "2 1");
    for (int round = 0; round < 2; round++) {
        for (int k = 0; k < FRAMES; k++) {
            assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL) && !end);
            const uint8_t *p = frame.image.data;
            assert_int_equal(frame.image.width * frame.image.height * 3, 36);
            assert_true(p[0] == 20 && p[1] == 10 && p[2] == 10 * k);
            assert_true(p[33] == 50 && p[34] == 30);
            /* the first pixel left is where it was: (2, 1) -> (1, 0.25) mm */
            es_vec3 at = es_mat4_point(es_frame_find_transform(&frame, "ImageToProbe")->matrix,
                                       es_vec3_make(0, 0, 0));
            assert_true(at.x == 1 && at.y == 0.25);
            at = es_mat4_point(es_frame_find_transform(&frame, "ProbeToTracker")->matrix,
                               es_vec3_make(0, 0, 0));
            assert_true(at.x == 1 && at.y == 2 && at.z == 3);
        }
        assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL) && end);
        assert_true(es_source_rewind(source, NULL));
    }
    es_frame_clear(&frame);
    es_source_free(source);
}

static void two_crops_add_up(void **state) {
    (void)state;
    const es_window first = {.u0 = 2, .v0 = 1, .width = 4, .height = 3},
                    second = {.u0 = 1, .v0 = 1, .width = 2, .height = 2};
    es_source *source =
        es_source_window(es_source_window(open_painted(), &first, NULL), &second, NULL);
    assert_string_equal(es_fields_get(&es_source_info(source)->fields, "EchosolidCropOrigin"),
                        "3 2");
    es_source_free(source);
}

static void a_mask_blackens_and_grey_is_luma(void **state) {
    (void)state;
    es_image keep = {0};
    es_frame frame = {0};
    bool end = false;
    assert_true(es_image_resize(&keep, ES_U8, 1, WIDTH, HEIGHT, NULL));
    memset(keep.data, 255, WIDTH * HEIGHT);
    ((uint8_t *)keep.data)[WIDTH + 3] = 0;
    const es_window window = {.grey = true, .keep = &keep};
    es_source *source = es_source_window(open_painted(), &window, NULL);
    es_image_clear(&keep);
    assert_int_equal(es_source_info(source)->channels, 1);
    assert_true(es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL) && !end);
    const uint8_t *p = frame.image.data;
    assert_int_equal(p[WIDTH + 3], 0);
    assert_int_equal(p[WIDTH + 4], 18); /* .299 * 40 + .587 * 10 = 17.83 */
    assert_true(es_source_next(source, &frame, 0, &end, NULL) && !end); /* poses alone */
    es_frame_clear(&frame);
    es_source_free(source);
}

static void refuse(const es_window *window, const char *word) {
    es_error err = {0};
    assert_null(es_source_window(open_painted(), window, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, word));
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    es_image keep = {0};
    assert_true(es_image_resize(&keep, ES_U8, 1, 3, 3, NULL));
    refuse(&(es_window){.u0 = 5, .width = 3, .height = 2}, "does not lie");
    refuse(&(es_window){.width = 3, .height = 0}, "does not lie");
    refuse(&(es_window){.u0 = UINT32_MAX, .width = 2, .height = 2}, "does not lie");
    refuse(&(es_window){.keep = &keep}, "mask");
    es_image_clear(&keep);
}

static void memory_runs_out_cleanly(void **state) {
    (void)state;
    const es_window window = {.u0 = 1, .width = 2, .height = 2};
    for (long n = 0; n < 3; n++) {
        es_error err = {0};
        es_source *inner = open_painted();
        es_alloc_fail_after(n);
        es_source *source = es_source_window(inner, &window, &err);
        es_alloc_fail_after(-1);
        if (source)
            es_source_free(source);
        else
            assert_int_equal(err.code, ES_MEMORY);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crop_keeps_its_pixels_and_moves_transforms),
        cmocka_unit_test(two_crops_add_up),
        cmocka_unit_test(a_mask_blackens_and_grey_is_luma),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
