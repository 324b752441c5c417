/* Going back: what is left is, in every byte, what never having inserted would give. */
#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/recon.h"

enum { WIDTH = 40, HEIGHT = 30, FRAMES = 60 };
static const es_undo_limit much = {100, 1 << 30};

/* ---- frames that are told by their number ------------------------------------------- */

static uint32_t mix(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x45d9f3bu;
    return (x ^ (x >> 16)) * 0x45d9f3bu ^ x >> 11;
}

/* A sweep that comes back over itself: neighbours share bricks, and bricks come late. */
static es_mat4 pose_of(int frame) {
    double z = frame < FRAMES / 2 ? frame : FRAMES - frame;
    return es_mat4_multiply(es_mat4_translation(0.13 * frame, -0.2 * frame, 2.3 * z),
                            es_mat4_scaling(0.7, 0.7, 0.7));
}

static es_image picture_of(int frame) {
    es_image image = {0};
    assert_true(es_image_resize(&image, ES_U8, 1, WIDTH, HEIGHT, NULL));
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++)
        ((uint8_t *)image.data)[i] = (uint8_t)mix((uint32_t)frame * 7919 + i);
    return image;
}

static void insert(es_volume *volume, int frame) {
    es_error err = {0};
    es_image image = picture_of(frame);
    const es_image *images = &image;
    es_mat4 pose = pose_of(frame);
    if (!es_volume_insert(volume, &images, &pose, 1, &err)) fail_msg("%s", err.message);
    es_image_clear(&image);
}

static void check_slab(es_slab_fn *slab, es_volume *a, es_volume *b, const es_grid_info *info,
                       size_t voxel_bytes) {
    size_t bytes = (size_t)(info->size[0] * info->size[1] * info->size[2]) * voxel_bytes;
    void *of_a = malloc(bytes), *of_b = malloc(bytes);
    assert_true(slab(a, 0, info->size[2], of_a, NULL) && slab(b, 0, info->size[2], of_b, NULL));
    assert_memory_equal(of_a, of_b, bytes);
    free(of_a);
    free(of_b);
}

/* Values and hits of all voxels, and what is counted. */
static void check_same(es_volume *a, es_volume *b) {
    es_grid_info of_a = {0}, of_b = {0};
    es_volume_stats sa = es_volume_statistics(a), sb = es_volume_statistics(b);
    assert_true(sa.frames == sb.frames && sa.bricks == sb.bricks && sa.bytes == sb.bytes);
    assert_true(sa.pixels_inserted == sb.pixels_inserted);
    bool any = es_volume_grid_info(a, &of_a, NULL);
    assert_int_equal(any, es_volume_grid_info(b, &of_b, NULL));
    if (!any) return;
    assert_memory_equal(of_a.size, of_b.size, sizeof of_a.size);
    assert_memory_equal(of_a.origin_mm, of_b.origin_mm, sizeof of_a.origin_mm);
    check_slab(es_volume_slab, a, b, &of_a, 1);
    check_slab(es_volume_hits_slab, a, b, &of_a, 2);
}

static es_volume *volume_with(es_interpolation interpolation, es_compounding compounding,
                              es_pool *pool) {
    es_error err = {0};
    es_recon_options o = ES_RECON_DEFAULTS;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 0.8;
    o.interpolation = interpolation;
    o.compounding = compounding;
    es_volume *volume = es_volume_new(&o, pool, &err);
    if (!volume) fail_msg("%s", err.message);
    return volume;
}

/* ---- any order of inserting and going back ------------------------------------------- */

/* What should be in the volume: frames, and where among them the checkpoints lie. */
typedef struct plain {
    int frames[400], points[100];
    size_t count, point_count;
} plain;

static void go_back(es_volume *volume, plain *p, size_t steps) {
    size_t kept = es_volume_checkpoints(volume);
    assert_true(kept <= p->point_count);
    assert_false(es_volume_undo(volume, kept + 1));
    if (steps > kept) steps = kept;
    assert_true(es_volume_undo(volume, steps));
    if (steps == 0) return;
    p->point_count -= steps;
    p->count = (size_t)p->points[p->point_count];
    assert_int_equal(es_volume_checkpoints(volume), kept - steps);
}

static void check_plain(es_volume *volume, const plain *p, es_interpolation interpolation,
                        es_compounding compounding) {
    es_volume *other = volume_with(interpolation, compounding, NULL);
    for (size_t i = 0; i < p->count; i++) insert(other, p->frames[i]);
    check_same(volume, other);
    es_volume_free(other);
}

static void wander(uint32_t seed, es_interpolation interpolation, es_compounding compounding,
                   es_undo_limit limit, es_pool *pool) {
    es_volume *volume = volume_with(interpolation, compounding, pool);
    plain p = {0};
    for (int step = 0; step < 90; step++) {
        uint32_t dice = mix(seed * 1000 + (uint32_t)step) % 10;
        if (dice < 2 && p.point_count < 100) {
            es_volume_checkpoint(volume, &limit);
            p.points[p.point_count++] = (int)p.count;
        } else if (dice == 2) {
            go_back(volume, &p, mix(seed + (uint32_t)step) % 4);
        } else {
            p.frames[p.count++] = step % FRAMES;
            insert(volume, step % FRAMES);
        }
        if (step % 30 == 29) check_plain(volume, &p, interpolation, compounding);
    }
    es_volume_free(volume);
}

static void whatever_was_taken_back_left_no_trace_in_any_kind_of_volume(void **state) {
    (void)state;
    static const es_interpolation ways[] = {ES_NEAREST, ES_LINEAR};
    static const es_compounding kinds[] = {ES_LATEST, ES_MEAN, ES_MAXIMUM};
    es_pool *pool = es_pool_new(3, NULL);
    for (int w = 0; w < 2; w++)
        for (int k = 0; k < 3; k++)
            for (uint32_t seed = 1; seed <= 2; seed++)
                wander(seed, ways[w], kinds[k], much, seed == 2 ? pool : NULL);
    es_pool_free(pool);
}

static void little_memory_shortens_how_far_back_it_goes_and_nothing_else(void **state) {
    (void)state;
    for (uint32_t seed = 1; seed <= 3; seed++) {
        wander(seed, ES_NEAREST, ES_MEAN, (es_undo_limit){100, 600000}, NULL);
        wander(seed, ES_NEAREST, ES_MEAN, (es_undo_limit){2, 1 << 30}, NULL);
        wander(seed, ES_NEAREST, ES_MEAN, (es_undo_limit){100, 0}, NULL);
        wander(seed, ES_NEAREST, ES_MEAN, (es_undo_limit){0, 1 << 30}, NULL);
    }
}

/* Bytes in use; 0 under a sanitizer, which has an allocator of its own. */
static size_t in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void copies_keep_to_their_limit_and_take_no_memory_for_ever(void **state) {
    (void)state;
    es_recon_options o = ES_RECON_DEFAULTS; /* NEAREST MEAN of u8 */
    const size_t brick = es_volume_brick_bytes(&o);
    const es_undo_limit limit = {1000, 20 * brick};
    es_volume *volume = volume_with(ES_NEAREST, ES_MEAN, NULL);
    for (int f = 0; f < FRAMES; f++) insert(volume, f);
    size_t before = in_use();
    for (int round = 0; round < 5; round++)
        for (int f = 0; f < FRAMES; f++) {
            es_volume_checkpoint(volume, &limit);
            insert(volume, f);
        }
    /* 20 copies, of each checkpoint a list, and pages that the allocator rounds up to */
    assert_true(in_use() - before <= 20 * brick + (1 << 18));
    assert_true(es_volume_checkpoints(volume) >= 1 && es_volume_checkpoints(volume) < 21);
    es_volume_free(volume);
}

static void to_the_empty_volume_and_on_again(void **state) {
    (void)state;
    es_volume *volume = volume_with(ES_NEAREST, ES_MEAN, NULL), *other;
    es_grid_info info = {0};
    es_error err = {0};
    assert_int_equal(es_volume_checkpoints(volume), 0);
    assert_true(es_volume_undo(volume, 0));
    assert_false(es_volume_undo(volume, 1));
    es_volume_checkpoint(volume, &much);
    for (int f = 0; f < 20; f++) insert(volume, f);
    assert_true(es_volume_undo(volume, 1));
    assert_false(es_volume_grid_info(volume, &info, &err));
    assert_int_equal(err.code, ES_GEOMETRY);
    assert_int_equal(es_volume_statistics(volume).frames, 0);
    other = volume_with(ES_NEAREST, ES_MEAN, NULL);
    for (int f = 30; f < 50; f++) {
        insert(volume, f);
        insert(other, f);
    }
    check_same(volume, other);
    es_volume_free(volume);
    es_volume_free(other);
}

/* Frames of WIDTH * HEIGHT hits in one voxel. */
static void insert_on_one_voxel(es_volume *volume, int count) {
    es_image image = picture_of(3);
    const es_image *images = &image;
    es_mat4 pose = es_mat4_scaling(0.01, 0.01, 1);
    for (int i = 0; i < count; i++) assert_true(es_volume_insert(volume, &images, &pose, 1, NULL));
    es_image_clear(&image);
}

/* So many hits in one voxel that its brick takes more memory: that goes back too. */
static void hits_past_what_a_small_voxel_holds_go_back_as_well(void **state) {
    (void)state;
    enum { FEW = 1, MANY = 10, MORE = 25 };
    es_volume *few = volume_with(ES_NEAREST, ES_MEAN, NULL), *volume;
    es_volume *many = volume_with(ES_NEAREST, ES_MEAN, NULL);
    insert_on_one_voxel(few, FEW);
    insert_on_one_voxel(many, MANY);
    assert_true(es_volume_statistics(many).bytes > es_volume_statistics(few).bytes);
    for (size_t steps = 1; steps <= 2; steps++) {
        volume = volume_with(ES_NEAREST, ES_MEAN, NULL);
        insert_on_one_voxel(volume, FEW);
        es_volume_checkpoint(volume, &much);
        insert_on_one_voxel(volume, MANY - FEW);
        es_volume_checkpoint(volume, &much);
        insert_on_one_voxel(volume, MORE - MANY);
        assert_true(es_volume_undo(volume, steps));
        check_same(volume, steps == 1 ? many : few);
        insert_on_one_voxel(volume, steps == 1 ? 0 : MANY - FEW);
        check_same(volume, many);
        assert_true(es_volume_undo(volume, es_volume_checkpoints(volume)));
        es_volume_free(volume);
    }
    es_volume_free(few);
    es_volume_free(many);
}

static void a_failed_allocation_costs_checkpoints_but_never_the_frame(void **state) {
    (void)state;
    for (long n = 0; n < 60; n++) {
        es_volume *volume = volume_with(ES_NEAREST, ES_MEAN, NULL);
        plain p = {0};
        for (int f = 0; f < 8; f++) insert(volume, p.frames[p.count++] = f);
        es_alloc_fail_after(n);
        es_volume_checkpoint(volume, &much);
        es_alloc_fail_after(-1);
        p.points[p.point_count++] = (int)p.count;
        es_image image = picture_of(9);
        const es_image *images = &image;
        es_mat4 pose = pose_of(7); /* no new bricks: what fails is a copy */
        es_alloc_fail_after(n);
        bool ok = es_volume_insert(volume, &images, &pose, 1, NULL);
        es_alloc_fail_after(-1);
        es_image_clear(&image);
        if (ok && es_volume_checkpoints(volume) == 1) {
            assert_true(es_volume_undo(volume, 1));
            check_plain(volume, &p, ES_NEAREST, ES_MEAN);
        }
        es_volume_free(volume);
    }
}

/* ---- the distance field ----------------------------------------------------------------- */

static void insert_trace(es_distance *distance, int frame) {
    es_error err = {0};
    es_trace trace = {0};
    const es_trace *traces = &trace;
    es_mat4 pose = pose_of(frame);
    assert_true(es_trace_resize(&trace, 30, NULL));
    for (size_t i = 0; i < 30; i++)
        trace.lines[i] = (es_scan_line){.u = (double)i,
                                        .dv = 1 / 0.7,
                                        .length_mm = 20,
                                        .found = true,
                                        .depth_mm = 8 + (mix((uint32_t)frame) % 10) / 10.0,
                                        .confidence = 1,
                                        .cos_incidence = 1};
    if (!es_distance_insert(distance, &traces, &pose, 1, &err)) fail_msg("%s", err.message);
    es_trace_clear(&trace);
}

static void check_bricks(const es_bricks *a, const es_bricks *b) {
    size_t count = es_bricks_count(a);
    assert_int_equal(count, es_bricks_count(b));
    for (size_t i = 0; i < count; i++) {
        const es_brick *one = es_bricks_get(a, i);
        const es_brick *two = es_bricks_find(b, one->at[0], one->at[1], one->at[2]);
        assert_non_null(two);
        assert_memory_equal(one->value, two->value, sizeof one->value);
        assert_memory_equal(one->weight, two->weight, sizeof one->weight);
    }
}

static es_distance *new_distance(void) {
    es_distance_options o = ES_DISTANCE_DEFAULTS;
    for (int a = 0; a < 3; a++) o.spacing_mm[a] = 1;
    o.slice_thickness_mm = 2.5;
    es_distance *distance = es_distance_new(&o, NULL, NULL);
    assert_non_null(distance);
    return distance;
}

static void the_field_and_its_copy_go_back_too(void **state) {
    (void)state;
    es_distance *distance = new_distance(), *other = new_distance();
    es_distance_copy copy, fresh;
    assert_true(es_distance_copy_new(distance, 1, &copy, NULL));
    for (int f = 0; f < 25; f++) insert_trace(distance, f), insert_trace(other, f);
    es_distance_checkpoint(distance, &much);
    for (int f = 25; f < 45; f++) insert_trace(distance, f);
    assert_true(es_distance_follow(distance, &copy, NULL));
    assert_int_equal(es_distance_checkpoints(distance), 1);
    assert_false(es_distance_undo(distance, 2));
    assert_true(es_distance_undo(distance, 1));
    for (int f = 45; f < 50; f++) insert_trace(distance, f), insert_trace(other, f);
    assert_true(es_distance_follow(distance, &copy, NULL));
    assert_true(es_distance_copy_new(other, 1, &fresh, NULL));
    assert_true(es_distance_follow(other, &fresh, NULL));
    check_bricks(copy.bricks, fresh.bricks);
    es_bricks *a = es_distance_bricks(distance, 0.6, NULL),
              *b = es_distance_bricks(other, 0.6, NULL);
    check_bricks(a, b);
    assert_int_equal(es_distance_statistics(distance).frames, 30);
    es_bricks *c = es_distance_seen(distance, NULL), *d = es_distance_seen(other, NULL);
    check_bricks(c, d);
    es_bricks_free(a);
    es_bricks_free(b);
    es_bricks_free(c);
    es_bricks_free(d);
    es_bricks_free(copy.bricks);
    es_bricks_free(fresh.bricks);
    es_distance_free(distance);
    es_distance_free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_was_taken_back_left_no_trace_in_any_kind_of_volume),
        cmocka_unit_test(little_memory_shortens_how_far_back_it_goes_and_nothing_else),
        cmocka_unit_test(copies_keep_to_their_limit_and_take_no_memory_for_ever),
        cmocka_unit_test(to_the_empty_volume_and_on_again),
        cmocka_unit_test(hits_past_what_a_small_voxel_holds_go_back_as_well),
        cmocka_unit_test(a_failed_allocation_costs_checkpoints_but_never_the_frame),
        cmocka_unit_test(the_field_and_its_copy_go_back_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
