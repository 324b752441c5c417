/* The mesh renderer against what geometry says must be seen. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/picture.h"

static es_colour pixel(const es_image *picture, uint32_t u, uint32_t v) {
    return ((const es_colour *)picture->data)[(size_t)v * picture->width + u];
}

static int brightness(es_colour c) { return c.r + c.g + c.b; }
static bool same(es_colour a, es_colour b) { return a.r == b.r && a.g == b.g && a.b == b.b; }
static bool is_blue(es_colour c) { return c.b > c.r + 10; }

static es_mesh mesh_of(const float *vertices, size_t vertex_count, const uint32_t *triangles,
                       size_t triangle_count) {
    es_mesh mesh = {.vertex_count = vertex_count, .triangle_count = triangle_count};
    mesh.vertices = es_alloc(vertex_count, 3 * sizeof(float), NULL);
    mesh.triangles = es_alloc(triangle_count, 3 * sizeof(uint32_t), NULL);
    memcpy(mesh.vertices, vertices, vertex_count * 3 * sizeof(float));
    memcpy(mesh.triangles, triangles, triangle_count * 3 * sizeof(uint32_t));
    return mesh;
}

/* An ellipsoid at (5, -7, 11), half axes rx, ry, rz, counter-clockwise from outside. */
static es_mesh ellipsoid(double rx, double ry, double rz, uint32_t rows) {
    uint32_t columns = 2 * rows;
    es_mesh mesh = {.vertex_count = (size_t)(rows + 1) * columns};
    mesh.vertices = es_alloc(mesh.vertex_count, 3 * sizeof(float), NULL);
    mesh.triangles = es_alloc((size_t)rows * columns * 2, 3 * sizeof(uint32_t), NULL);
    for (uint32_t i = 0; i <= rows; i++)
        for (uint32_t j = 0; j < columns; j++) {
            double t = M_PI * i / rows, p = 2 * M_PI * j / columns;
            float *v = mesh.vertices + 3 * (i * columns + j);
            v[0] = (float)(5 + rx * sin(t) * cos(p));
            v[1] = (float)(-7 + ry * sin(t) * sin(p));
            v[2] = (float)(11 + rz * cos(t));
        }
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < columns; j++) {
            uint32_t a = i * columns + j, b = i * columns + (j + 1) % columns;
            const uint32_t quad[6] = {a, a + columns, b, b, a + columns, b + columns};
            memcpy(mesh.triangles + 3 * mesh.triangle_count, quad, sizeof quad);
            mesh.triangle_count += 2;
        }
    return mesh;
}

/* The square -10..10 at height z, seen from +z. */
static es_mesh squares(const float *heights, uint32_t count) {
    float vertices[2][12];
    uint32_t triangles[2][6];
    assert_true(count <= 2);
    for (uint32_t i = 0; i < count; i++) {
        const float square[12] = {-10, -10, heights[i], 10,  -10, heights[i],
                                  10,  10,  heights[i], -10, 10,  heights[i]};
        const uint32_t corners[6] = {0, 1, 2, 0, 2, 3};
        memcpy(vertices[i], square, sizeof square);
        for (int k = 0; k < 6; k++) triangles[i][k] = corners[k] + 4 * i;
    }
    return mesh_of(vertices[0], 4 * count, triangles[0], 2 * count);
}

static const es_mesh_view from_above = {
    .toward_eye = {0, 0, 1}, .up = {0, 1, 0}, .width = 400, .height = 300};

static es_image render(const es_mesh *mesh, const es_mesh_view *view) {
    es_image picture = {0};
    es_error err = {0};
    assert_true(es_picture_mesh(mesh, view, &picture, &err));
    return picture;
}

/* Pixels of the mesh: rows above the foot that differ from the corner. */
typedef struct silhouette {
    uint32_t u0, u1, v0, v1;
    size_t area;
} silhouette;

enum { FOOT = 44 }; /* rows of axes and scale bar */

static silhouette measure(const es_image *picture) {
    silhouette s = {picture->width, 0, picture->height, 0, 0};
    for (uint32_t v = 0; v + FOOT < picture->height; v++)
        for (uint32_t u = 0; u < picture->width; u++) {
            if (same(pixel(picture, u, v), pixel(picture, 0, 0))) continue;
            s.area++;
            if (u < s.u0) s.u0 = u;
            if (u > s.u1) s.u1 = u;
            if (v < s.v0) s.v0 = v;
            if (v > s.v1) s.v1 = v;
        }
    return s;
}

static void a_sphere_has_the_silhouette_of_a_circle(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(20, 20, 20, 60);
    const es_vec3 eyes[] = {{0, 0, 1}, {1, 0, 0}, {0.3, -0.8, 0.4}, {-5, 5, -5}};
    for (size_t i = 0; i < 4; i++) {
        es_mesh_view view = from_above;
        view.toward_eye = eyes[i];
        view.up = es_vec3_make(0, 0.1, 1);
        es_image picture = render(&mesh, &view);
        silhouette s = measure(&picture);
        double wide = s.u1 - s.u0 + 1.0, high = s.v1 - s.v0 + 1.0;
        assert_true(fabs(wide - high) <= 1); /* one pixel of rounding */
        /* A pixel that is touched counts whole: half a pixel around the rim
         * on average, 4 / diameter of the area: 1.6 % of 250 pixels. */
        assert_true(fabs((double)s.area / (M_PI / 4 * wide * high) - 1) < 0.016);
        es_image_clear(&picture);
    }
    es_mesh_clear(&mesh);
}

static void proportions_are_kept_and_up_is_up(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(30, 5, 10, 40);
    const struct {
        es_vec3 eye, up;
        double aspect; /* width over height */
    } views[] = {{{0, 0, 1}, {0, 1, 0}, 6},
                 {{0, 0, 1}, {1, 0, 0}, 1.0 / 6},
                 {{0, 1, 0}, {0, 0, 1}, 3},
                 {{-1, 0, 0}, {0, 0, 1}, 0.5}};
    for (size_t i = 0; i < 4; i++) {
        es_mesh_view view = from_above;
        view.toward_eye = views[i].eye;
        view.up = views[i].up;
        es_image picture = render(&mesh, &view);
        silhouette s = measure(&picture);
        double wide = s.u1 - s.u0 + 1.0, high = s.v1 - s.v0 + 1.0;
        double pixel_share = 1 / fmin(wide, high); /* one pixel on the shorter side */
        assert_true(fabs(wide / high / views[i].aspect - 1) < 2 * pixel_share);
        es_image_clear(&picture);
    }
    es_mesh_clear(&mesh);
}

static void right_and_up_are_not_mirrored(void **state) {
    (void)state;
    /* A right angle at the origin, the long leg along x, the short along y. */
    const float vertices[9] = {0, 0, 0, 40, 0, 0, 0, 20, 0};
    const uint32_t triangle[3] = {0, 1, 2};
    es_mesh mesh = mesh_of(vertices, 3, triangle, 1);
    es_image picture = render(&mesh, &from_above);
    silhouette s = measure(&picture);
    es_colour ground = pixel(&picture, 0, 0);
    /* Seen from +z with y up: the right angle is lower left, the tip right. */
    assert_false(same(pixel(&picture, s.u0 + 3, s.v1 - 3), ground));
    assert_false(same(pixel(&picture, s.u1 - 12, s.v1 - 3), ground));
    assert_true(same(pixel(&picture, s.u1 - 12, s.v0 + 12), ground));
    es_image_clear(&picture);
    es_mesh_clear(&mesh);
}

static void the_nearer_of_two_squares_is_seen(void **state) {
    (void)state;
    const float heights[2] = {0, 30}, scalar[8] = {0, 0, 0, 0, 1, 1, 1, 1};
    es_mesh mesh = squares(heights, 2);
    es_mesh_view view = from_above;
    view.scalar = scalar;
    es_image above = render(&mesh, &view);
    view.toward_eye = es_vec3_make(0, 0, -1);
    es_image below = render(&mesh, &view);
    /* High values are light yellow, low ones dark blue. */
    es_colour near = pixel(&above, 120, 120), far = pixel(&below, 120, 120);
    assert_true(near.r > 200 && near.g > 180 && near.b < near.g);
    assert_true(far.b > far.r && far.b > far.g);
    es_image_clear(&above);
    es_image_clear(&below);
    es_mesh_clear(&mesh);
}

static void the_order_of_the_triangles_does_not_matter(void **state) {
    (void)state;
    const float up[2] = {0, 30}, down[2] = {30, 0};
    es_mesh first = squares(up, 2), second = squares(down, 2);
    es_mesh_view view = from_above;
    view.toward_eye = es_vec3_make(0.5, 0.2, 1);
    es_image a = render(&first, &view), b = render(&second, &view);
    assert_memory_equal(a.data, b.data, es_image_bytes(&a));
    es_image_clear(&a);
    es_image_clear(&b);
    es_mesh_clear(&first);
    es_mesh_clear(&second);
}

static void a_sphere_is_brightest_towards_the_eye_and_darkens_to_its_rim(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(20, 20, 20, 60);
    es_image picture = render(&mesh, &from_above);
    silhouette s = measure(&picture);
    uint32_t middle_u = (s.u0 + s.u1) / 2, middle_v = (s.v0 + s.v1) / 2;
    int last = brightness(pixel(&picture, middle_u, middle_v));
    for (uint32_t u = middle_u + 10; u + 3 < s.u1; u += 10) {
        int here = brightness(pixel(&picture, u, middle_v));
        assert_true(here <= last);
        last = here;
    }
    assert_true(2 * last < brightness(pixel(&picture, middle_u, middle_v)) + last);
    es_image_clear(&picture);
    es_mesh_clear(&mesh);
}

static void the_inside_of_a_sheet_is_blue(void **state) {
    (void)state;
    const float height = 0;
    es_mesh mesh = squares(&height, 1);
    es_image front = render(&mesh, &from_above);
    es_mesh_view view = from_above;
    view.toward_eye = es_vec3_make(0, 0, -1);
    es_image back = render(&mesh, &view);
    assert_false(is_blue(pixel(&front, 200, 120)));
    assert_true(is_blue(pixel(&back, 200, 120)));
    es_image_clear(&front);
    es_image_clear(&back);
    es_mesh_clear(&mesh);
}

static void neighbours_leave_no_gap(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(20, 14, 9, 90);
    es_mesh_view view = from_above;
    view.toward_eye = es_vec3_make(0.31, 0.22, 0.9);
    es_image picture = render(&mesh, &view);
    es_colour ground = pixel(&picture, 0, 0);
    for (uint32_t v = 0; v + FOOT < picture.height; v++) {
        uint32_t first = 0, last = picture.width - 1;
        while (first < last && same(pixel(&picture, first, v), ground)) first++;
        while (last > first && same(pixel(&picture, last, v), ground)) last--;
        for (uint32_t u = first; u < last; u++) /* neither ground nor inside shines through */
            assert_true(!same(pixel(&picture, u, v), ground) && !is_blue(pixel(&picture, u, v)));
    }
    es_image_clear(&picture);
    es_mesh_clear(&mesh);
}

static void equal_steps_of_a_scalar_are_ever_lighter(void **state) {
    (void)state;
    const float height = 0;
    es_mesh mesh = squares(&height, 1);
    double last = -1;
    for (int i = 0; i <= 20; i++) {
        const float value = (float)i, scalar[4] = {value, value, value, value};
        es_mesh_view view = from_above;
        view.scalar = scalar;
        view.low = 0;
        view.high = 20;
        es_image picture = render(&mesh, &view);
        es_colour c = pixel(&picture, 130, 130);
        double luma = 0.2126 * pow(c.r / 255.0, 2.2) + 0.7152 * pow(c.g / 255.0, 2.2) +
                      0.0722 * pow(c.b / 255.0, 2.2);
        assert_true(luma > last);
        last = luma;
        es_image_clear(&picture);
    }
    es_mesh_clear(&mesh);
}

static void a_vertex_without_value_is_grey(void **state) {
    (void)state;
    const float height = 0, scalar[4] = {NAN, NAN, NAN, NAN};
    es_mesh mesh = squares(&height, 1);
    es_mesh_view view = from_above;
    view.scalar = scalar;
    es_image picture = render(&mesh, &view);
    es_colour c = pixel(&picture, 130, 130);
    assert_true(c.r == c.g && c.g == c.b);
    es_image_clear(&picture);
    es_mesh_clear(&mesh);
}

static void the_same_mesh_gives_the_same_bytes(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(20, 14, 9, 50);
    es_image a = render(&mesh, &from_above), b = render(&mesh, &from_above);
    assert_memory_equal(a.data, b.data, es_image_bytes(&a));
    es_image_clear(&a);
    es_image_clear(&b);
    es_mesh_clear(&mesh);
}

/* ---- bad input -------------------------------------------------------------- */

static void check_refused(const es_mesh *mesh, const es_mesh_view *view, es_code code) {
    es_image picture = {0};
    es_error err = {0};
    assert_false(es_picture_mesh(mesh, view, &picture, &err));
    assert_int_equal(err.code, code);
    assert_true(strlen(err.message) > 10);
    es_image_clear(&picture);
}

static void what_cannot_be_drawn_is_refused(void **state) {
    (void)state;
    const float height = 0, nowhere[9] = {NAN, 0, 0, INFINITY, 0, 0, 0, NAN, 0};
    const float endless[4] = {0, 1, 2, 3};
    const uint32_t triangle[3] = {0, 1, 2}, outside[3] = {0, 1, 3};
    es_mesh empty = {0}, good = squares(&height, 1), lost = mesh_of(nowhere, 3, triangle, 1);
    es_mesh wrong = mesh_of(nowhere, 3, outside, 1);
    es_mesh_view view = from_above;
    check_refused(&empty, &view, ES_USAGE);
    check_refused(&lost, &view, ES_USAGE);
    check_refused(&wrong, &view, ES_FORMAT);
    view.toward_eye = es_vec3_make(0, 0, 0);
    check_refused(&good, &view, ES_USAGE);
    view.toward_eye = es_vec3_make(NAN, 0, 1);
    check_refused(&good, &view, ES_USAGE);
    view = from_above;
    view.width = 20;
    check_refused(&good, &view, ES_USAGE);
    view = from_above;
    view.height = 100000;
    check_refused(&good, &view, ES_USAGE);
    view = from_above;
    view.scalar = endless;
    view.high = INFINITY;
    check_refused(&good, &view, ES_USAGE);
    es_mesh_clear(&good);
    es_mesh_clear(&lost);
    es_mesh_clear(&wrong);
}

static void odd_meshes_are_drawn_without_harm(void **state) {
    (void)state;
    /* One good triangle, one without area, one with a corner that is lost. */
    const float vertices[18] = {0, 0, 0, 10, 0, 0, 0, 10, 0, 5, 5, 0, 10, 10, 0, NAN, 1, 1};
    const uint32_t triangles[9] = {0, 1, 2, 1, 3, 2, 0, 4, 5};
    es_mesh mesh = mesh_of(vertices, 6, triangles, 3);
    es_mesh_view view = from_above;
    view.up = view.toward_eye; /* no way up: one is chosen */
    es_image picture = render(&mesh, &view);
    assert_true(measure(&picture).area > 1000);
    es_image_clear(&picture);
    mesh.triangle_count = 1;
    for (int i = 0; i < 9; i++) mesh.vertices[i] = 3; /* a point */
    picture = render(&mesh, &view);
    assert_int_equal(measure(&picture).area, 0);
    es_image_clear(&picture);
    const float far_away[9] = {-3e38f, 0, 0, 3e38f, 0, 0, 0, 3e38f, 0};
    memcpy(mesh.vertices, far_away, sizeof far_away);
    picture = render(&mesh, &view);
    es_image_clear(&picture);
    es_mesh_clear(&mesh);
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    es_mesh mesh = ellipsoid(20, 20, 20, 10);
    bool done = false;
    for (long n = 0; n < 20 && !done; n++) {
        es_image picture = {0};
        es_error err = {0};
        es_alloc_fail_after(n);
        done = es_picture_mesh(&mesh, &from_above, &picture, &err);
        es_alloc_fail_after(-1);
        assert_true(done || err.code == ES_MEMORY);
        es_image_clear(&picture);
    }
    assert_true(done);
    es_mesh_clear(&mesh);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sphere_has_the_silhouette_of_a_circle),
        cmocka_unit_test(proportions_are_kept_and_up_is_up),
        cmocka_unit_test(right_and_up_are_not_mirrored),
        cmocka_unit_test(the_nearer_of_two_squares_is_seen),
        cmocka_unit_test(the_order_of_the_triangles_does_not_matter),
        cmocka_unit_test(a_sphere_is_brightest_towards_the_eye_and_darkens_to_its_rim),
        cmocka_unit_test(the_inside_of_a_sheet_is_blue),
        cmocka_unit_test(neighbours_leave_no_gap),
        cmocka_unit_test(equal_steps_of_a_scalar_are_ever_lighter),
        cmocka_unit_test(a_vertex_without_value_is_grey),
        cmocka_unit_test(the_same_mesh_gives_the_same_bytes),
        cmocka_unit_test(what_cannot_be_drawn_is_refused),
        cmocka_unit_test(odd_meshes_are_drawn_without_harm),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
