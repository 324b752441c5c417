/* Surfaces that run through themselves: counted exactly, against another method with
 * whole numbers, and on shapes where the number is known. */
#include "surface_fields.h"

/* ---- the oracle: an axis that parts two triangles, in whole numbers ----------- */

typedef struct whole {
    int64_t x, y, z;
} whole;

static whole minus(whole a, whole b) { return (whole){a.x - b.x, a.y - b.y, a.z - b.z}; }
static whole cross(whole a, whole b) {
    return (whole){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
static int64_t dot(whole a, whole b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

static bool axis_parts(whole axis, const whole p[3], const whole q[3]) {
    int64_t low[2] = {INT64_MAX, INT64_MAX}, high[2] = {INT64_MIN, INT64_MIN};
    if (axis.x == 0 && axis.y == 0 && axis.z == 0) return false;
    for (int k = 0; k < 3; k++) {
        int64_t at[2] = {dot(axis, p[k]), dot(axis, q[k])};
        for (int i = 0; i < 2; i++) {
            if (at[i] < low[i]) low[i] = at[i];
            if (at[i] > high[i]) high[i] = at[i];
        }
    }
    return high[0] < low[1] || high[1] < low[0];
}

/* Two closed convex sets are apart when an axis parts them: for triangles a normal, a
 * product of two sides, or a side turned in its plane is enough. */
static bool are_apart(const whole p[3], const whole q[3]) {
    whole n = cross(minus(p[1], p[0]), minus(p[2], p[0]));
    whole m = cross(minus(q[1], q[0]), minus(q[2], q[0]));
    if (axis_parts(n, p, q) || axis_parts(m, p, q)) return true;
    for (int i = 0; i < 3; i++) {
        whole a = minus(p[(i + 1) % 3], p[i]), b = minus(q[(i + 1) % 3], q[i]);
        if (axis_parts(cross(n, a), p, q) || axis_parts(cross(m, b), p, q) ||
            axis_parts(cross(n, b), p, q) || axis_parts(cross(m, a), p, q))
            return true;
        for (int j = 0; j < 3; j++)
            if (axis_parts(cross(a, minus(q[(j + 1) % 3], q[j])), p, q)) return true;
    }
    return false;
}

static size_t crossings_of(const es_mesh *mesh, es_pool *pool, bool *crossed) {
    size_t pairs;
    es_error err = {0};
    if (!es_mesh_find_crossings(mesh, pool, crossed, &pairs, &err)) fail_msg("%s", err.message);
    return pairs;
}

/* Loose triangles with corners on a lattice: many touch, lie in one plane, or meet in
 * a corner or along a side. */
static void lattice_soup(int seed, int count, int range, es_mesh *mesh, whole *corners) {
    float vertices[3 * 3 * 64];
    uint32_t triangles[3 * 64];
    es_random random = es_random_new((uint64_t)seed, 0);
    for (int t = 0; t < count; t++) {
        whole *c = corners + 3 * t, n;
        do {
            for (int k = 0; k < 3; k++)
                c[k] = (whole){(int)(range * es_random_uniform(&random)),
                               (int)(range * es_random_uniform(&random)),
                               (int)(range * es_random_uniform(&random))};
            n = cross(minus(c[1], c[0]), minus(c[2], c[0]));
        } while (n.x == 0 && n.y == 0 && n.z == 0);
        for (int k = 0; k < 3; k++) {
            float *v = vertices + 9 * t + 3 * k;
            v[0] = (float)c[k].x;
            v[1] = (float)c[k].y;
            v[2] = (float)c[k].z;
            triangles[3 * t + k] = (uint32_t)(3 * t + k);
        }
    }
    *mesh = mesh_by_hand(vertices, 3 * (size_t)count, triangles, (size_t)count);
}

static bool same(whole a, whole b) { return a.x == b.x && a.y == b.y && a.z == b.z; }

static int count_shared(const whole p[3], const whole q[3]) {
    int shared = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) shared += same(p[i], q[j]);
    return shared;
}

/* With one common corner: what is more than it reaches the side across from it in
 * one of the two, for it is a convex set that starts at the corner. With a common
 * side: the third corners are on one side of it in one plane. */
static bool truly_meet(const whole p[3], const whole q[3]) {
    int shared = count_shared(p, q), i = 0, j = 0;
    if (shared == 0) return !are_apart(p, q);
    if (shared == 3) return true;
    if (shared == 2) {
        while (same(p[i], q[0]) || same(p[i], q[1]) || same(p[i], q[2])) i++;
        while (same(q[j], p[0]) || same(q[j], p[1]) || same(q[j], p[2])) j++;
        whole a = p[(i + 1) % 3], side = minus(p[(i + 2) % 3], a);
        whole n = cross(side, minus(p[i], a)), m = cross(side, minus(q[j], a)), nm = cross(n, m);
        return nm.x == 0 && nm.y == 0 && nm.z == 0 && dot(n, m) > 0;
    }
    while (!same(p[i], q[0]) && !same(p[i], q[1]) && !same(p[i], q[2])) i++;
    while (!same(q[j], p[i])) j++;
    const whole across_p[3] = {p[(i + 1) % 3], p[(i + 2) % 3], p[(i + 2) % 3]};
    const whole across_q[3] = {q[(j + 1) % 3], q[(j + 2) % 3], q[(j + 2) % 3]};
    return !are_apart(across_p, q) || !are_apart(across_q, p);
}

static void soups_on_a_lattice_agree_with_whole_numbers(void **state) {
    (void)state;
    enum { COUNT = 40 };
    whole corners[3 * COUNT];
    size_t total = 0, by_shared[4] = {0};
    for (int seed = 0; seed < 150; seed++) {
        es_mesh mesh;
        bool crossed[COUNT];
        size_t pairs = 0;
        lattice_soup(seed, COUNT, 4 + seed % 9, &mesh, corners);
        size_t found = crossings_of(&mesh, NULL, crossed);
        for (int t = 0; t < COUNT; t++) {
            bool any = false;
            for (int u = 0; u < COUNT; u++) {
                if (t == u || !truly_meet(corners + 3 * t, corners + 3 * u)) continue;
                any = true;
                pairs += u > t;
                by_shared[count_shared(corners + 3 * t, corners + 3 * u)]++;
            }
            if (any != crossed[t]) fail_msg("seed %d, triangle %d: %d", seed, t, any);
        }
        assert_int_equal(found, pairs);
        total += pairs;
        es_mesh_clear(&mesh);
    }
    assert_true(total > 1000);
    assert_true(by_shared[0] > 0 && by_shared[1] > 0 && by_shared[2] > 0);
}

/* ---- known shapes --------------------------------------------------------------- */

static double ball20(es_vec3 p) { return es_vec3_length(p) - 20; }
static double white(es_vec3 p) { return place_noise(p); }

static void surfaces_as_extracted_have_none(void **state) {
    (void)state;
    es_mesh ball = mesh_of_field(ball20, 23, 1), noise = mesh_of_field(white, 12, 0.5);
    assert_int_equal(crossings_of(&ball, NULL, NULL), 0);
    assert_int_equal(crossings_of(&noise, NULL, NULL), 0);
    es_mesh_clear(&ball);
    es_mesh_clear(&noise);
}

static void two_balls_that_overlap_cross_all_along_a_circle(void **state) {
    (void)state;
    es_mesh ball = mesh_of_field(ball20, 23, 1), both = {0};
    size_t v = ball.vertex_count, t = ball.triangle_count;
    both = (es_mesh){.vertex_count = 2 * v, .triangle_count = 2 * t};
    both.vertices = es_alloc(6 * v, sizeof(float), NULL);
    both.triangles = es_alloc(6 * t, sizeof(uint32_t), NULL);
    memcpy(both.vertices, ball.vertices, 3 * v * sizeof(float));
    memcpy(both.triangles, ball.triangles, 3 * t * sizeof(uint32_t));
    for (size_t i = 0; i < 3 * v; i++)
        both.vertices[3 * v + i] = ball.vertices[i] + (i % 3 == 0 ? 12.3f : 0.4f);
    for (size_t i = 0; i < 3 * t; i++) both.triangles[3 * t + i] = ball.triangles[i] + (uint32_t)v;
    bool *crossed = es_alloc(2 * t, sizeof *crossed, NULL);
    es_pool *pool = es_pool_new(2, NULL);
    size_t pairs = crossings_of(&both, pool, crossed);
    assert_int_equal(pairs, crossings_of(&both, NULL, NULL));
    /* A circle of radius 19 mm through facets of up to 1.4 mm on either side. */
    assert_true(pairs > 2 * 3.14159 * 19 / 1.4);
    for (size_t i = 0; i < 2 * t; i++) {
        const float *at = both.vertices + 3 * both.triangles[3 * i];
        if (crossed[i]) assert_near(at[0], 6.15, 2); /* the circle's plane, and a facet */
    }
    es_pool_free(pool);
    es_free(crossed);
    es_mesh_clear(&ball);
    es_mesh_clear(&both);
}

/* Differences of a last bit, where doubles alone would not know. */
static void a_hair_is_told_from_a_touch(void **state) {
    (void)state;
    const float base = 1000.0f;
    for (int step = -1; step <= 1; step++) {
        float z = step == 0 ? base : nextafterf(base, step > 0 ? 2000 : 0);
        const float vertices[] = {base,         base, base,     base + 1, base,
                                  base,         base, base + 1, base,     base + 0.25f,
                                  base + 0.25f, z,    base + 1, base + 1, base + 1,
                                  base,         base, base + 1};
        const uint32_t triangles[] = {0, 1, 2, 3, 4, 5};
        es_mesh mesh = mesh_by_hand(vertices, 6, triangles, 2);
        assert_int_equal(crossings_of(&mesh, NULL, NULL), step <= 0);
        es_mesh_clear(&mesh);
    }
}

static void an_empty_mesh_has_none_and_a_wrong_one_is_refused(void **state) {
    (void)state;
    es_mesh empty = {0}, ball = mesh_of_field(ball20, 23, 4);
    size_t pairs;
    es_error err = {0};
    assert_int_equal(crossings_of(&empty, NULL, NULL), 0);
    for (long n = 0;; n++) {
        es_alloc_fail_after(n);
        bool ok = es_mesh_find_crossings(&ball, NULL, NULL, &pairs, &err);
        es_alloc_fail_after(-1);
        if (ok) break;
        assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 20);
    }
    ball.triangles[5] = (uint32_t)ball.vertex_count;
    assert_false(es_mesh_find_crossings(&ball, NULL, NULL, &pairs, &err));
    assert_int_equal(err.code, ES_FORMAT);
    es_mesh_clear(&ball);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soups_on_a_lattice_agree_with_whole_numbers),
        cmocka_unit_test(surfaces_as_extracted_have_none),
        cmocka_unit_test(two_balls_that_overlap_cross_all_along_a_circle),
        cmocka_unit_test(a_hair_is_told_from_a_touch),
        cmocka_unit_test(an_empty_mesh_has_none_and_a_wrong_one_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
