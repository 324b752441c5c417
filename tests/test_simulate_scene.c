/* The scenes against their closed forms, and the knee against a man's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "../src/simulate/knee.h"
#include "echosolid/simulate.h"
#include "echosolid/surface.h"

#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        double a_ = (a), b_ = (b);                                                                 \
        if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("%s is %.9g, expected %.9g", #a, a_, b_);    \
    } while (0)

static es_scene *open_scene(const char *name) {
    es_error err = {0};
    es_scene *scene = es_scene_new(name, &err);
    if (!scene) fail_msg("%s", err.message);
    return scene;
}

static double distance_at(const char *name, double x, double y, double z) {
    es_scene *scene = open_scene(name);
    double d = es_scene_distance(scene, es_vec3_make(x, y, z));
    es_scene_free(scene);
    return d;
}

/* A point in a box that is a good deal larger than the scene. */
static es_vec3 random_point(es_random *random, es_box3 box, double margin_mm) {
    es_vec3 p;
    p.x =
        box.min.x - margin_mm + (box.max.x - box.min.x + 2 * margin_mm) * es_random_uniform(random);
    p.y =
        box.min.y - margin_mm + (box.max.y - box.min.y + 2 * margin_mm) * es_random_uniform(random);
    p.z =
        box.min.z - margin_mm + (box.max.z - box.min.z + 2 * margin_mm) * es_random_uniform(random);
    return p;
}

/* 1e-12: rounding of a few operations on numbers under 100. */
static void simple_scenes_have_their_closed_forms(void **state) {
    (void)state;
    assert_near(distance_at("sphere", 30, 0, 0), 10, 1e-12);
    assert_near(distance_at("sphere", 0, 3, -4), -15, 1e-12);
    assert_near(distance_at("box", 25, 19, 0), 5, 1e-12);               /* off an edge: 3, 4 */
    assert_near(distance_at("box", 22 + 2, -15 - 3, 26 + 6), 7, 1e-12); /* a corner */
    assert_near(distance_at("box", 0, 14, 25.5), -0.5, 1e-12);
    assert_near(distance_at("cylinder", 0, 18, 39), 5, 1e-12); /* off the rim */
    assert_near(distance_at("cylinder", 0, 0, 30), -5, 1e-12);
    assert_near(distance_at("torus", 0, 12, 24), 3, 1e-12);
    assert_near(distance_at("torus", 0, 0, 0), 15, 1e-12);
    assert_near(distance_at("torus", -24, 0, 0), -9, 1e-12);
    assert_near(distance_at("abdomen", -24, -55 + 12, -12), 2, 1e-12);
    assert_near(distance_at("abdomen", 20, -65, 12), -15, 1e-12);
}

static void no_distance_grows_faster_than_the_way_walked(void **state) {
    (void)state;
    const char *const exact[] = {"sphere", "box", "cylinder", "torus", "abdomen"};
    es_random random = es_random_new(5, 1);
    for (size_t s = 0; s < 5; s++) {
        es_scene *scene = open_scene(exact[s]);
        for (int i = 0; i < 4000; i++) {
            es_vec3 p = random_point(&random, es_scene_box(scene), 20);
            es_vec3 q = random_point(&random, es_scene_box(scene), 20);
            double change = fabs(es_scene_distance(scene, p) - es_scene_distance(scene, q));
            assert_true(change <= es_vec3_length(es_vec3_sub(p, q)) + 1e-9);
        }
        es_scene_free(scene);
    }
}

static const knee_anatomy standard;

/* The rays of the simulator rest on this: a step of .8 times the field never
 * passes the surface. Walked along random ways outside the bones. */
static void the_field_of_the_knee_changes_by_at_most_a_quarter_more_than_the_way(void **state) {
    (void)state;
    es_random random = es_random_new(6, 1);
    es_box3 box = KNEE_BOX;
    int steep = 0, tried = 0;
    for (int i = 0; i < 200000; i++) {
        es_vec3 p = random_point(&random, box, 20), q = p;
        q.x += 0.2 * es_random_normal(&random);
        q.y += 0.2 * es_random_normal(&random);
        q.z += 0.2 * es_random_normal(&random);
        double a = knee_field(&standard, p), b = knee_field(&standard, q),
               way = es_vec3_length(es_vec3_sub(p, q));
        if (a < 0 || b < 0) continue;
        tried++;
        if (fabs(a - b) > 1.25 * way) steep++;
        assert_true(fabs(a - b) < 1.6 * way);
    }
    assert_true(tried > 50000);
    assert_true(steep * 10000 < tried); /* corners of facets, which tracing takes back */
}

static void the_box_holds_the_surface(void **state) {
    (void)state;
    for (const char *const *name = es_scene_names(); *name; name++) {
        es_scene *scene = open_scene(*name);
        es_box3 box = es_scene_box(scene);
        es_random random = es_random_new(7, 1);
        for (int i = 0; i < 5000; i++) {
            es_vec3 p = random_point(&random, box, 15);
            bool outside = p.x < box.min.x || p.x > box.max.x || p.y < box.min.y ||
                           p.y > box.max.y || p.z < box.min.z || p.z > box.max.z;
            if (outside) assert_true(es_scene_distance(scene, p) > 0);
        }
        es_scene_free(scene);
    }
}

static void an_unknown_scene_is_refused_with_the_list(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_scene_new("elbow", &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "elbow"));
    for (const char *const *name = es_scene_names(); *name; name++)
        assert_non_null(strstr(err.message, *name));
    assert_null(es_scene_new(NULL, &err));
    assert_null(es_scene_new("", &err));
    assert_null(es_scene_new("Knee", &err));
}

/* ---- the knee ------------------------------------------------------------- */

/* Extent of a bone within a slab of z, sampled at half a millimetre. */
static es_box3 bone_extent(int bone, double z_low, double z_high) {
    es_box3 extent = es_box3_empty();
    for (double z = z_low; z <= z_high; z += 1)
        for (double y = -45; y <= 62; y += 0.5)
            for (double x = -50; x <= 55; x += 0.5) {
                es_vec3 p = es_vec3_make(x, y, z);
                if (knee_bone(&standard, bone, p) <= 0) es_box3_add(&extent, p);
            }
    return extent;
}

/* Targets: distal femur 84 x 69, tibial plateau 75 x 48-56 wide and deep,
 * patella 44 x 21 and 41 high: the measures of adult men; 2 mm is less than
 * the spread between men, .5 mm of it is the sampling. */
static void the_knee_has_the_size_of_a_mans(void **state) {
    (void)state;
    es_box3 femur = bone_extent(KNEE_FEMUR, 4, 60);
    assert_near(femur.max.x - femur.min.x, 84, 2);
    assert_near(femur.max.y - femur.min.y, 69, 2);
    es_box3 plateau = bone_extent(KNEE_TIBIA, -20, 4);
    assert_near(plateau.max.x - plateau.min.x, 75, 2.5);
    assert_in_range((int)(plateau.max.y - plateau.min.y), 48, 56);
    es_box3 patella = bone_extent(KNEE_PATELLA, 10, 66);
    assert_near(patella.max.x - patella.min.x, 44, 2);
    assert_near(patella.max.y - patella.min.y, 21.5, 2);
    assert_near(patella.max.z - patella.min.z, 41, 2);
}

/* Where the bones come near each other, one of them is always at least .2 mm
 * away (the least gap that the design has is .7, between tibia and fibula). */
static void no_two_bones_overlap(void **state) {
    (void)state;
    for (double z = -40; z <= 64; z += 0.8)
        for (double y = -40; y <= 60; y += 0.8)
            for (double x = -46; x <= 52; x += 0.8) {
                es_vec3 p = es_vec3_make(x, y, z);
                if (knee_field(&standard, p) > 0.4) continue;
                int near = 0;
                for (int bone = 0; bone < KNEE_BONES; bone++)
                    near += knee_bone(&standard, bone, p) < 0.2;
                if (near > 1) fail_msg("two bones at %g %g %g", x, y, z);
            }
}

/* ---- other people's knees --------------------------------------------------- */

enum { PEOPLE = 8 };

static void no_two_bones_of_another_person_overlap(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= PEOPLE; seed++) {
        knee_anatomy a = knee_vary(seed);
        es_random random = es_random_new(seed, 3);
        es_box3 joint = {{-46, -40, -40}, {52, 62, 64}};
        for (int i = 0; i < 40000; i++) {
            es_vec3 p = random_point(&random, joint, 0);
            int inside = 0;
            for (int bone = 0; bone < KNEE_BONES; bone++) inside += knee_bone(&a, bone, p) < 0;
            if (inside > 1) fail_msg("person %d: two bones at %g %g %g", (int)seed, p.x, p.y, p.z);
        }
    }
}

/* As for the standard knee: rays step by .8 times the field. */
static void the_field_of_another_knee_is_as_safe_to_walk(void **state) {
    (void)state;
    int steep = 0, tried = 0;
    for (uint64_t seed = 1; seed <= PEOPLE; seed++) {
        knee_anatomy a = knee_vary(seed);
        es_random random = es_random_new(seed, 4);
        for (int i = 0; i < 20000; i++) {
            es_vec3 p = random_point(&random, knee_box(&a), 20), q = p;
            q.x += 0.2 * es_random_normal(&random);
            q.y += 0.2 * es_random_normal(&random);
            q.z += 0.2 * es_random_normal(&random);
            double from = knee_field(&a, p), to = knee_field(&a, q);
            if (from < 0 || to < 0) continue;
            tried++;
            steep += fabs(from - to) > 1.25 * es_vec3_length(es_vec3_sub(p, q));
        }
    }
    assert_true(tried > 50000);
    assert_true(steep * 5000 < tried);
}

static void another_knee_lies_in_its_box_and_its_truth_is_there(void **state) {
    (void)state;
    es_error err = {0};
    for (uint64_t seed = 1; seed <= PEOPLE; seed++) {
        es_scene *scene = es_scene_new_anatomy("knee", seed, &err);
        assert_non_null(scene);
        es_box3 box = es_scene_box(scene);
        es_random random = es_random_new(seed, 5);
        for (int i = 0; i < 3000; i++) {
            es_vec3 p = random_point(&random, box, 15);
            bool outside = p.x < box.min.x || p.x > box.max.x || p.y < box.min.y ||
                           p.y > box.max.y || p.z < box.min.z || p.z > box.max.z;
            if (outside) assert_true(es_scene_distance(scene, p) > 0);
        }
        es_scene_free(scene);
    }
}

/* Width of the femur between 20 and 36 mm above the joint: what shall vary does, about
 * the range that anatomy.c says (84 mm times .86 * .96 to 1.05 * 1.04, the condyles' own
 * places and waves on top). */
static void people_differ(void **state) {
    (void)state;
    double least = 1000, most = 0;
    for (uint64_t seed = 1; seed <= PEOPLE; seed++) {
        knee_anatomy a = knee_vary(seed);
        es_box3 extent = es_box3_empty();
        for (double z = 18; z <= 40; z += 2)
            for (double y = -30; y <= 25; y += 1)
                for (double x = -50; x <= 50; x += 0.5) {
                    es_vec3 p = es_vec3_make(x, y, z);
                    if (knee_bone(&a, KNEE_FEMUR, p) <= 0) es_box3_add(&extent, p);
                }
        least = fmin(least, extent.max.x - extent.min.x);
        most = fmax(most, extent.max.x - extent.min.x);
    }
    assert_true(least > 84 * 0.86 * 0.96 - 5 && most < 84 * 1.05 * 1.04 + 5);
    assert_true(most - least > 6);
}

static void only_the_knee_has_other_people(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_scene_new_anatomy("sphere", 3, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "sphere"));
    es_scene *a = es_scene_new("knee", &err), *b = es_scene_new_anatomy("knee", 0, &err);
    es_random random = es_random_new(9, 1);
    for (int i = 0; i < 1000; i++) {
        es_vec3 p = random_point(&random, es_scene_box(a), 10);
        assert_true(es_scene_distance(a, p) == es_scene_distance(b, p));
    }
    es_scene_free(a);
    es_scene_free(b);
}

static void the_groove_the_notch_and_the_spines_are_there(void **state) {
    (void)state;
    /* The trochlea's floor lies deeper than both its lips in front. */
    double floor_y = 60, lip_y = 0;
    for (double y = 60; y > 0; y -= 0.1) {
        if (knee_bone(&standard, KNEE_FEMUR, es_vec3_make(0, y, 34)) > 0)
            floor_y = y;
        else
            break;
    }
    for (double y = 60; y > 0; y -= 0.1)
        if (knee_bone(&standard, KNEE_FEMUR, es_vec3_make(15, y, 34)) <= 0) {
            lip_y = y;
            break;
        }
    assert_near(lip_y - floor_y, 4, 1.5); /* depth of the groove, about 5 mm */
    /* The notch between the condyles, seen from behind. */
    assert_true(knee_bone(&standard, KNEE_FEMUR, es_vec3_make(0, -20, 8)) > 2);
    assert_true(knee_bone(&standard, KNEE_FEMUR, es_vec3_make(-22, -20, 12)) < -2);
    assert_true(knee_bone(&standard, KNEE_FEMUR, es_vec3_make(23, -20, 12)) < -2);
    /* The tibial spines rise above the plateau. */
    assert_true(knee_bone(&standard, KNEE_TIBIA, es_vec3_make(5, -1, 0)) < 0);
    assert_true(knee_bone(&standard, KNEE_TIBIA, es_vec3_make(20, -1, 0)) > 0);
}

/* ---- bricks ---------------------------------------------------------------- */

static es_bricks *make_bricks(const char *name, double spacing, double band, int threads) {
    es_error err = {0};
    es_scene *scene = open_scene(name);
    es_pool *pool = es_pool_new(threads, &err);
    es_bricks *bricks = es_scene_bricks(scene, spacing, band, pool, &err);
    if (!bricks) fail_msg("%s", err.message);
    es_pool_free(pool);
    es_scene_free(scene);
    return bricks;
}

static float *brick_voxel(const es_bricks *bricks, int x, int y, int z, float **weight) {
    int32_t at[3] = {(int32_t)floor(x / 16.0), (int32_t)floor(y / 16.0), (int32_t)floor(z / 16.0)};
    es_brick *brick = es_bricks_find(bricks, at[0], at[1], at[2]);
    if (!brick) return NULL;
    int i = (x - 16 * at[0]) + 16 * ((y - 16 * at[1]) + 16 * (z - 16 * at[2]));
    *weight = &brick->weight[i];
    return &brick->value[i];
}

static void the_band_of_the_sphere_is_exact_and_whole(void **state) {
    (void)state;
    es_bricks *bricks = make_bricks("sphere", 0.5, 3, 2);
    for (int z = -48; z <= 48; z++)
        for (int y = -48; y <= 48; y++)
            for (int x = -48; x <= 48; x++) {
                double truth = 0.5 * sqrt((double)x * x + (double)y * y + (double)z * z) - 20;
                float *weight = NULL, *value = brick_voxel(bricks, x, y, z, &weight);
                bool known = value && *weight > 0;
                if (fabs(fabs(truth) - 1.5) > 1e-9) assert_int_equal(known, fabs(truth) < 1.5);
                /* 2e-7: half a unit in the last place of a float under 2 */
                if (known) assert_near(*value, truth, 2e-7);
            }
    es_bricks_free(bricks);
}

static void assert_same_bricks(const es_bricks *a, const es_bricks *b) {
    assert_int_equal(es_bricks_count(a), es_bricks_count(b));
    for (size_t i = 0; i < es_bricks_count(a); i++)
        assert_memory_equal(es_bricks_get(a, i), es_bricks_get(b, i), sizeof(es_brick));
}

static void any_number_of_threads_gives_the_same_bricks(void **state) {
    (void)state;
    es_bricks *one = make_bricks("knee", 2, 2, 1), *three = make_bricks("knee", 2, 2, 3);
    assert_same_bricks(one, three);
    es_bricks_free(one);
    es_bricks_free(three);
}

/* Zero crossings between neighbours of the band within a brick. */
static size_t crossings(const es_bricks *bricks, es_vec3 *points, size_t limit) {
    static const int stride[3] = {1, ES_BRICK, ES_BRICK * ES_BRICK};
    size_t count = 0;
    double spacing = es_bricks_spacing(bricks)[0];
    for (size_t b = 0; b < es_bricks_count(bricks); b++) {
        const es_brick *brick = es_bricks_get(bricks, b);
        for (int k = 0; k < 3 * ES_BRICK_VOXELS && count < limit; k++) {
            int i = k / 3, axis = k % 3, at[3] = {i % 16, i / 16 % 16, i / 256};
            if (at[axis] == ES_BRICK - 1) continue;
            int j = i + stride[axis];
            double d0 = brick->value[i], d1 = brick->value[j], p[3];
            if (!(brick->weight[i] > 0 && brick->weight[j] > 0) || d0 * d1 >= 0) continue;
            for (int a = 0; a < 3; a++) p[a] = 16.0 * brick->at[a] + at[a];
            p[axis] += d0 / (d0 - d1);
            points[count++] = es_vec3_scale(es_vec3_make(p[0], p[1], p[2]), spacing);
        }
    }
    return count;
}

/* At 1 mm voxels linear interpolation misses a surface of 4 mm radius (the
 * sharpest crest, tibia) by 1^2 / (8 * 4) = .03 mm; .1 leaves room for the
 * rims of facets. */
static void the_zero_level_of_the_bricks_is_the_surface_of_the_knee(void **state) {
    (void)state;
    enum { LIMIT = 150000 };
    static es_vec3 points[LIMIT];
    es_bricks *bricks = make_bricks("knee", 1, 3, 0);
    size_t count = crossings(bricks, points, LIMIT);
    double sum2 = 0;
    size_t far_off = 0;
    assert_true(count > 10000);
    for (size_t i = 0; i < count; i++) {
        double d = knee_field(&standard, points[i]);
        sum2 += d * d;
        far_off += fabs(d) > 0.1;
    }
    assert_true(sqrt(sum2 / (double)count) < 0.03);
    assert_true(far_off * 200 < count);
    es_bricks_free(bricks);
}

/* The distance to the nearest of many points of the surface: another way to
 * the same number, for points up to 3 mm from it. Points lie about .7 mm
 * apart, so the nearest is up to .4 mm beside the foot: .08 mm too far at
 * 1 mm. The rest of .12 mm is that the field is true to first order only. */
static void distances_to_the_knee_agree_with_its_nearest_point(void **state) {
    (void)state;
    enum { LIMIT = 150000 };
    static es_vec3 points[LIMIT];
    es_bricks *bricks = make_bricks("knee", 1, 2, 0);
    es_scene *scene = open_scene("knee");
    size_t count = crossings(bricks, points, LIMIT);
    es_random random = es_random_new(8, 1);
    double sum2 = 0;
    int compared = 0;
    for (int i = 0; i < 200; i++) {
        es_vec3 p = points[es_random_bits(&random) % count];
        p.x += 3 - 6 * es_random_uniform(&random);
        p.y += 3 - 6 * es_random_uniform(&random);
        double d = fabs(es_scene_distance(scene, p)), best = 1e9;
        if (d < 0.8 || d > 3) continue; /* below, the sampling hides it */
        for (size_t j = 0; j < count; j++) {
            es_vec3 way = es_vec3_sub(points[j], p);
            double d2 = es_vec3_dot(way, way);
            if (d2 < best) best = d2;
        }
        sum2 += (sqrt(best) - d) * (sqrt(best) - d);
        compared++;
    }
    assert_true(compared > 50);
    assert_true(sqrt(sum2 / compared) < 0.12);
    es_scene_free(scene);
    es_bricks_free(bricks);
}

/* The band of two voxels holds all that the iso-surface needs. */
static void every_true_surface_can_be_meshed_closed(void **state) {
    (void)state;
    for (const char *const *name = es_scene_names(); *name; name++) {
        es_error err = {0};
        es_bricks *bricks = make_bricks(*name, 1.5, 2, 0);
        es_iso_options options = ES_ISO_DEFAULTS;
        es_mesh mesh = {0};
        es_mesh_check check;
        if (!es_surface_extract(bricks, &options, NULL, &mesh, &err) ||
            !es_mesh_inspect(&mesh, &check, &err))
            fail_msg("%s", err.message);
        if (!check.closed) fail_msg("%s has %zu open edges", *name, check.boundary_edges);
        es_mesh_clear(&mesh);
        es_bricks_free(bricks);
    }
}

static void senseless_bands_are_refused(void **state) {
    (void)state;
    const double bad[][2] = {{0, 2}, {-1, 2}, {NAN, 2}, {INFINITY, 2}, {1e-9, 2},
                             {1, 0}, {1, -3}, {1, NAN}, {1, 1e9},      {0.01, 1}};
    es_scene *scene = open_scene("knee");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_error err = {0};
        assert_null(es_scene_bricks(scene, bad[i][0], bad[i][1], NULL, &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_true(strlen(err.message) > 20);
    }
    es_scene_free(scene);
}

static void a_failed_allocation_is_reported_and_nothing_leaks(void **state) {
    (void)state;
    es_error err = {0};
    es_alloc_fail_after(0);
    assert_null(es_scene_new("knee", &err));
    assert_int_equal(err.code, ES_MEMORY);
    es_scene *scene = open_scene("sphere");
    bool done = false;
    for (long n = 0; n < 200 && !done; n++) {
        es_alloc_fail_after(n);
        es_bricks *bricks = es_scene_bricks(scene, 4, 1, NULL, &err);
        es_alloc_fail_after(-1);
        done = bricks != NULL;
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        es_bricks_free(bricks);
    }
    assert_true(done);
    es_scene_free(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_scenes_have_their_closed_forms),
        cmocka_unit_test(no_distance_grows_faster_than_the_way_walked),
        cmocka_unit_test(the_field_of_the_knee_changes_by_at_most_a_quarter_more_than_the_way),
        cmocka_unit_test(the_box_holds_the_surface),
        cmocka_unit_test(an_unknown_scene_is_refused_with_the_list),
        cmocka_unit_test(the_knee_has_the_size_of_a_mans),
        cmocka_unit_test(no_two_bones_overlap),
        cmocka_unit_test(the_groove_the_notch_and_the_spines_are_there),
        cmocka_unit_test(no_two_bones_of_another_person_overlap),
        cmocka_unit_test(the_field_of_another_knee_is_as_safe_to_walk),
        cmocka_unit_test(another_knee_lies_in_its_box_and_its_truth_is_there),
        cmocka_unit_test(people_differ),
        cmocka_unit_test(only_the_knee_has_other_people),
        cmocka_unit_test(the_band_of_the_sphere_is_exact_and_whole),
        cmocka_unit_test(any_number_of_threads_gives_the_same_bricks),
        cmocka_unit_test(the_zero_level_of_the_bricks_is_the_surface_of_the_knee),
        cmocka_unit_test(distances_to_the_knee_agree_with_its_nearest_point),
        cmocka_unit_test(every_true_surface_can_be_meshed_closed),
        cmocka_unit_test(senseless_bands_are_refused),
        cmocka_unit_test(a_failed_allocation_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
