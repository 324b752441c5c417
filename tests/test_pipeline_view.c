/* The data of the 3-D view: unpacked again here by zlib and jansson, and held
 * against the mesh and the volume that went in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <zlib.h>

#include "echosolid/surface.h"
#include "echosolid/view.h"

/* ---- unpacking -------------------------------------------------------------------- */

typedef struct scene {
    uint8_t *bytes;
    size_t length;
    json_t *head;
    const uint8_t *arrays;
} scene;

static uint32_t little(const uint8_t *at, size_t size) {
    uint32_t value = 0;
    for (size_t i = size; i-- > 0;) value = value << 8 | at[i];
    return value;
}

static scene unpack(const es_view *view) {
    scene s = {0};
    size_t packed_length = 0;
    es_error err = {0};
    void *packed = es_view_encode(view, &packed_length, &err);
    if (!packed) fail_msg("%s", err.message);
    uLongf length = 1 << 26;
    s.bytes = malloc(length);
    assert_int_equal(uncompress(s.bytes, &length, packed, packed_length), Z_OK);
    es_free(packed);
    s.length = length;
    assert_memory_equal(s.bytes, "ESVIEW1\n", 8);
    uint32_t head_length = little(s.bytes + 8, 4);
    assert_int_equal(head_length % 4, 0);
    s.head = json_loadb((const char *)s.bytes + 12, head_length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(s.head);
    s.arrays = s.bytes + 12 + head_length;
    return s;
}

static void scene_clear(scene *s) {
    json_decref(s->head);
    free(s->bytes);
}

/* Number `index` of the array that `of` describes; `count` (may be NULL) is its length. */
static uint32_t number(const scene *s, const json_t *of, size_t index, size_t *count) {
    const char *kind = json_string_value(json_object_get(of, "kind"));
    size_t size = strcmp(kind, "u8") == 0 ? 1 : strcmp(kind, "u16") == 0 ? 2 : 4;
    size_t offset = (size_t)json_integer_value(json_object_get(of, "offset"));
    size_t all = (size_t)json_integer_value(json_object_get(of, "count"));
    assert_int_equal(offset % 4, 0);
    assert_true(s->arrays + offset + all * size <= s->bytes + s->length);
    assert_true(index < all);
    if (count) *count = all;
    return little(s->arrays + offset + index * size, size);
}

static double real(const json_t *object, const char *key) {
    assert_true(json_is_number(json_object_get(object, key)));
    return json_number_value(json_object_get(object, key));
}

static double element(const json_t *object, const char *key, size_t index) {
    return json_number_value(json_array_get(json_object_get(object, key), index));
}

static json_t *first_mesh(const scene *s) {
    return json_array_get(json_object_get(s->head, "meshes"), 0);
}

/* ---- meshes that are known ---------------------------------------------------------- */

/* n x n squares of `side` mm each at height z, with confidence if asked. */
static es_mesh plate(size_t n, double side, double z, bool confidence) {
    es_mesh mesh = {.vertex_count = (n + 1) * (n + 1), .triangle_count = 2 * n * n};
    mesh.vertices = es_alloc(3 * mesh.vertex_count, sizeof *mesh.vertices, NULL);
    mesh.triangles = es_alloc(3 * mesh.triangle_count, sizeof *mesh.triangles, NULL);
    if (confidence) mesh.confidence = es_alloc(mesh.vertex_count, sizeof *mesh.confidence, NULL);
    for (size_t i = 0; i < mesh.vertex_count; i++) {
        mesh.vertices[3 * i] = (float)(-30 + side * (double)(i % (n + 1)));
        mesh.vertices[3 * i + 1] = (float)(100 + side * (double)(i / (n + 1)));
        mesh.vertices[3 * i + 2] = (float)z;
        if (confidence) mesh.confidence[i] = (float)i / (float)(mesh.vertex_count - 1);
    }
    uint32_t *t = mesh.triangles, row = (uint32_t)n + 1;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t x = 0; x < n; x++, t += 6) {
            uint32_t a = y * row + x;
            const uint32_t two[6] = {a, a + 1, a + row, a + 1, a + row + 1, a + row};
            memcpy(t, two, sizeof two);
        }
    return mesh;
}

static es_view *new_view(void) {
    es_view *view = es_view_new("test", NULL);
    assert_non_null(view);
    return view;
}

static void add(es_view *view, const es_view_mesh *mesh) {
    es_error err = {0};
    if (!es_view_add_mesh(view, mesh, NULL, &err)) fail_msg("%s", err.message);
}

static void corners_come_back_to_half_a_step(void **state) {
    (void)state;
    es_mesh mesh = plate(40, 1.7, 12, false);
    es_view *view = new_view();
    add(view, &(es_view_mesh){.name = "plate", .mesh = &mesh, .sheet = true});
    scene s = unpack(view);
    json_t *m = first_mesh(&s);
    double step = real(m, "step");
    assert_true(step <= 40 * 1.7 / 65535 * (1 + 1e-6)); /* floats of the box's corners */
    size_t count;
    for (size_t i = 0; i < 3 * mesh.vertex_count; i++) {
        double at = element(m, "origin", i % 3) +
                    step * number(&s, json_object_get(m, "positions"), i, &count);
        /* half a step, and the nine digits of the head */
        assert_true(fabs(at - (double)mesh.vertices[i]) <= 0.5 * step + 1e-6);
    }
    assert_int_equal(count, 3 * mesh.vertex_count);
    for (size_t i = 0; i < 3 * mesh.triangle_count; i++)
        assert_int_equal(number(&s, json_object_get(m, "indices"), i, &count), mesh.triangles[i]);
    assert_int_equal(count, 3 * mesh.triangle_count);
    assert_true(json_is_true(json_object_get(m, "sheet")));
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
}

/* Of a colouring's vertex; NaN where it says that none is known. */
static double coloured(const scene *s, size_t scalar, size_t vertex, const char **name) {
    json_t *c = json_array_get(json_object_get(first_mesh(s), "scalars"), scalar);
    assert_non_null(c);
    *name = json_string_value(json_object_get(c, "name"));
    uint32_t value = number(s, json_object_get(c, "values"), vertex, NULL);
    if (value == 0) return NAN;
    return real(c, "low") + (real(c, "high") - real(c, "low")) * (value - 1) / 254;
}

static void distance_to_the_truth_and_confidence_are_colourings(void **state) {
    (void)state;
    es_mesh mesh = plate(10, 2, 12, true), truth = plate(10, 2, 10.75, false);
    mesh.confidence[5] = NAN;
    es_view *view = new_view();
    add(view, &(es_view_mesh){.name = "plate", .mesh = &mesh, .truth = &truth});
    scene s = unpack(view);
    const char *name;
    for (size_t i = 0; i < mesh.vertex_count; i++) {
        assert_true(fabs(coloured(&s, 0, i, &name) - 1.25) <= 1.0 / 254); /* half of 2 mm / 254 */
        assert_string_equal(name, "distance to the truth");
        double confidence = coloured(&s, 1, i, &name);
        if (i == 5)
            assert_true(isnan(confidence));
        else
            assert_true(fabs(confidence - (double)mesh.confidence[i]) <= 0.5 / 254 + 1e-6);
        assert_string_equal(name, "confidence");
    }
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
    es_mesh_clear(&truth);
}

static void a_large_mesh_is_shown_with_fewer_triangles_and_says_so(void **state) {
    (void)state;
    es_mesh mesh = plate(240, 0.25, 3, true); /* 115,200 triangles */
    es_view *view = new_view();
    add(view, &(es_view_mesh){.name = "plate", .mesh = &mesh});
    scene s = unpack(view);
    json_t *m = first_mesh(&s);
    assert_true(real(m, "triangles") <= ES_VIEW_TRIANGLES);
    assert_int_equal(real(m, "of_triangles"), mesh.triangle_count);
    assert_true(real(m, "within_mm") < 0.01); /* a plate can lose triangles for nothing */
    size_t vertices, corners;
    number(&s, json_object_get(m, "positions"), 0, &vertices);
    number(&s, json_object_get(m, "indices"), 0, &corners);
    for (size_t i = 0; i < corners; i++)
        assert_true(number(&s, json_object_get(m, "indices"), i, NULL) < vertices / 3);
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
}

static void a_large_mesh_with_bad_edges_is_shown_too(void **state) {
    (void)state;
    es_mesh mesh = plate(240, 0.25, 3, true);
    memcpy(mesh.triangles, mesh.triangles + 3, 3 * sizeof *mesh.triangles); /* one twice */
    es_view *view = new_view();
    add(view, &(es_view_mesh){.name = "plate", .mesh = &mesh});
    scene s = unpack(view);
    json_t *m = first_mesh(&s);
    double triangles = real(m, "triangles"), within = real(m, "within_mm");
    assert_true(triangles > ES_VIEW_TRIANGLES / 10 && triangles <= ES_VIEW_TRIANGLES);
    assert_true(within > 0.1 && within < 2); /* some cells of the grid it was put on */
    size_t count;
    number(&s, json_object_get(m, "positions"), 0, &count);
    for (size_t i = 0; i < count; i += 3) { /* still on the plate */
        double z = element(m, "origin", 2) +
                   real(m, "step") * number(&s, json_object_get(m, "positions"), i + 2, NULL);
        assert_true(fabs(z - 3) < 0.001);
    }
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
}

/* ---- volumes that are known ------------------------------------------------------------ */

static es_grid ramp(uint64_t x, uint64_t y, uint64_t z, es_type type) {
    es_grid grid = {.info = {.size = {x, y, z},
                             .origin_mm = {5, -7, 11},
                             .spacing_mm = {0.5, 0.5, 1},
                             .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .type = type,
                             .channels = 1}};
    assert_true(es_grid_alloc(&grid, NULL));
    for (uint64_t i = 0; i < x * y * z; i++) es_type_set(type, grid.data, i, 10 + (double)(i % x));
    return grid;
}

static void set(es_view *view, es_grid *grid) {
    es_error err = {0};
    if (!es_view_set_volume(view, "grey", &grid->info, es_grid_slab, grid, &err))
        fail_msg("%s", err.message);
}

static void a_small_volume_comes_back_voxel_by_voxel(void **state) {
    (void)state;
    es_grid grid = ramp(101, 20, 7, ES_F32);
    ((float *)grid.data)[3] = NAN;
    es_view *view = new_view();
    set(view, &grid);
    scene s = unpack(view);
    json_t *v = json_object_get(s.head, "volume");
    double low = element(v, "window", 0), high = element(v, "window", 1);
    assert_true(fabs(low - 11) <= 0.1 &&
                fabs(high - 109) <= 0.1); /* bins of 100 / 4096, of 101 values */
    for (size_t i = 0; i < 101 * 20 * 7; i++) {
        uint32_t value = number(&s, json_object_get(v, "values"), i, NULL);
        if (i == 3) {
            assert_int_equal(value, 0);
            continue;
        }
        double expected = fmin(high, fmax(low, 10 + (double)(i % 101)));
        assert_true(fabs(low + (value - 1) * (high - low) / 254 - expected) <=
                    0.5 * (high - low) / 254 + 1e-6);
    }
    for (size_t k = 0; k < 3; k++)
        assert_true(fabs(element(v, "origin", k) - grid.info.origin_mm[k]) < 1e-6);
    scene_clear(&s);
    es_view_free(view);
    es_grid_clear(&grid);
}

/* The place of the block (x, y, z) as the page computes it. */
static es_vec3 place(const json_t *v, double x, double y, double z) {
    const double at[3] = {x, y, z};
    double sum[3];
    for (size_t k = 0; k < 3; k++) {
        sum[k] = element(v, "origin", k);
        for (size_t a = 0; a < 3; a++)
            sum[k] += at[a] * json_number_value(
                                  json_array_get(json_array_get(json_object_get(v, "axes"), a), k));
    }
    return es_vec3_make(sum[0], sum[1], sum[2]);
}

static void a_large_volume_is_averaged_over_blocks_that_lie_where_they_did(void **state) {
    (void)state;
    es_grid grid = ramp(600, 40, 90, ES_U16);
    const double turned[9] = {0, -1, 0, 1, 0, 0, 0, 0, 1};
    memcpy(grid.info.direction, turned, sizeof turned);
    es_view *view = new_view();
    set(view, &grid);
    scene s = unpack(view);
    json_t *v = json_object_get(s.head, "volume");
    double size[3] = {element(v, "size", 0), element(v, "size", 1), element(v, "size", 2)};
    assert_true(size[0] <= 256 && size[0] * size[1] * size[2] <= ES_VIEW_VOXELS);
    /* 600 in blocks of 3: the middle of block k is voxel 3 k + 1, its mean 10 + that. */
    assert_true(size[0] == 200);
    double low = element(v, "window", 0), high = element(v, "window", 1);
    uint32_t value = number(&s, json_object_get(v, "values"), 100, NULL);
    assert_true(fabs(low + (value - 1) * (high - low) / 254 - (10 + 301)) <= (high - low) / 254);
    es_vec3 expected = es_mat4_point(es_grid_to_mm(&grid.info), es_vec3_make(301, 0, 0));
    assert_true(es_vec3_length(es_vec3_sub(place(v, 100, 0, 0), expected)) < 0.5);
    expected = es_mat4_point(es_grid_to_mm(&grid.info), es_vec3_make(301, 20, 30));
    double y = 20 * size[1] / 40, z = 30 * size[2] / 90;
    assert_true(es_vec3_length(es_vec3_sub(place(v, 100, y, z), expected)) < 1.5); /* a block */
    scene_clear(&s);
    es_view_free(view);
    es_grid_clear(&grid);
}

static void zero_of_an_unsigned_volume_was_never_seen_but_not_of_a_signed_one(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++) {
        es_grid grid = ramp(8, 8, 8, k ? ES_I16 : ES_U8);
        es_type_set(grid.info.type, grid.data, 9, 0);
        es_view *view = new_view();
        set(view, &grid);
        scene s = unpack(view);
        json_t *values = json_object_get(json_object_get(s.head, "volume"), "values");
        assert_int_equal(number(&s, values, 9, NULL), k);
        scene_clear(&s);
        es_view_free(view);
        es_grid_clear(&grid);
    }
}

/* ---- the same bytes, bad input, no memory ----------------------------------------------- */

static void the_same_calls_give_the_same_bytes_on_any_number_of_threads(void **state) {
    (void)state;
    es_mesh mesh = plate(90, 0.25, 3, true), truth = plate(10, 7, 2, false);
    es_grid grid = ramp(30, 20, 10, ES_U8);
    void *packed[2];
    size_t length[2];
    for (int k = 0; k < 2; k++) {
        es_pool *pool = k ? es_pool_new(3, NULL) : NULL;
        es_view *view = new_view();
        es_view_mesh shown = {.name = "plate", .mesh = &mesh, .truth = &truth};
        assert_true(es_view_add_mesh(view, &shown, pool, NULL));
        set(view, &grid);
        packed[k] = es_view_encode(view, &length[k], NULL);
        es_view_free(view);
        es_pool_free(pool);
    }
    assert_int_equal(length[0], length[1]);
    assert_memory_equal(packed[0], packed[1], length[0]);
    es_free(packed[0]);
    es_free(packed[1]);
    es_mesh_clear(&mesh);
    es_mesh_clear(&truth);
    es_grid_clear(&grid);
}

static void refuse_mesh(es_view *view, const es_mesh *mesh, es_code code) {
    es_error err = {0};
    assert_false(es_view_add_mesh(view, &(es_view_mesh){.name = "bad", .mesh = mesh}, NULL, &err));
    assert_int_equal(err.code, code);
}

static void broken_meshes_are_refused_and_leave_the_view_as_it_was(void **state) {
    (void)state;
    es_view *view = new_view();
    es_mesh mesh = plate(4, 1, 0, false);
    refuse_mesh(view, &(es_mesh){0}, ES_GEOMETRY);
    mesh.triangles[7] = 25;
    refuse_mesh(view, &mesh, ES_GEOMETRY);
    mesh.triangles[7] = 1;
    mesh.vertices[4] = INFINITY;
    refuse_mesh(view, &mesh, ES_GEOMETRY);
    mesh.vertices[4] = 0;
    for (int i = 0; i < ES_VIEW_MESHES; i++)
        add(view, &(es_view_mesh){.name = "good", .mesh = &mesh});
    refuse_mesh(view, &mesh, ES_USAGE);
    scene s = unpack(view);
    assert_int_equal(json_array_size(json_object_get(s.head, "meshes")), ES_VIEW_MESHES);
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
}

static void refuse_volume(es_view *view, es_grid *grid, es_code code) {
    es_error err = {0};
    assert_false(es_view_set_volume(view, "bad", &grid->info, es_grid_slab, grid, &err));
    assert_int_equal(err.code, code);
}

static void volumes_that_cannot_be_shown_are_refused(void **state) {
    (void)state;
    es_view *view = new_view();
    es_grid grid = ramp(4, 4, 4, ES_U8), black = ramp(4, 4, 4, ES_U8);
    grid.info.channels = 3;
    refuse_volume(view, &grid, ES_UNSUPPORTED);
    grid.info.channels = 1;
    grid.info.spacing_mm[1] = 0;
    refuse_volume(view, &grid, ES_GEOMETRY);
    grid.info.spacing_mm[1] = 1;
    memset(black.data, 0, 64);
    refuse_volume(view, &black, ES_GEOMETRY);
    set(view, &grid);
    refuse_volume(view, &grid, ES_USAGE);
    es_view_free(view);
    es_grid_clear(&grid);
    es_grid_clear(&black);
}

static void an_empty_view_is_a_head_alone(void **state) {
    (void)state;
    es_view *view = new_view();
    scene s = unpack(view);
    assert_int_equal(json_array_size(json_object_get(s.head, "meshes")), 0);
    assert_null(json_object_get(s.head, "volume"));
    assert_int_equal(json_array_size(json_object_get(s.head, "colours")), 13);
    assert_ptr_equal(s.arrays, s.bytes + s.length);
    scene_clear(&s);
    es_view_free(view);
}

static void names_may_hold_anything(void **state) {
    (void)state;
    es_mesh mesh = plate(2, 1, 0, false);
    es_view *view = es_view_new("a\"\\</script>\xff\x01", NULL);
    add(view, &(es_view_mesh){.name = "\xc0\xaf\"", .mesh = &mesh});
    scene s = unpack(view);
    assert_string_equal(json_string_value(json_object_get(s.head, "title")),
                        "a\"\\</script>\xef\xbf\xbd\xef\xbf\xbd");
    scene_clear(&s);
    es_view_free(view);
    es_mesh_clear(&mesh);
}

/* Everything that allocates through es_alloc, with the n-th allocation failing. */
static bool make_all(es_mesh *mesh, es_grid *grid, es_error *err) {
    size_t length;
    es_view *view = es_view_new("t", err);
    es_view_mesh shown = {.name = "plate", .mesh = mesh, .truth = mesh};
    void *packed = NULL;
    if (view && es_view_add_mesh(view, &shown, NULL, err) &&
        es_view_set_volume(view, "grey", &grid->info, es_grid_slab, grid, err))
        packed = es_view_encode(view, &length, err);
    es_view_free(view);
    es_free(packed);
    return packed != NULL;
}

static void running_out_of_memory_anywhere_is_an_error_and_no_leak(void **state) {
    (void)state;
    es_mesh mesh = plate(6, 1, 0, true);
    es_grid grid = ramp(9, 8, 7, ES_U8);
    long n = 0;
    for (bool done = false; !done; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        done = make_all(&mesh, &grid, &err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        assert_true(n < 500);
    }
    assert_true(n > 10);
    es_mesh_clear(&mesh);
    es_grid_clear(&grid);
}

static void the_browser_side_can_stand_in_a_page(void **state) {
    (void)state;
    const es_view_program *program = es_view_program_get();
    if (!program) {
        print_message("built without npm: there is no browser side\n");
        skip();
    }
    assert_int_equal(strlen(program->script), program->script_length);
    assert_null(strstr(program->script, "</script"));
    assert_null(strstr(program->script, "<!--"));
    const char *end = strstr(program->script, "]]>");
    assert_non_null(end);
    assert_string_equal(end, "]]>"); /* the only one, at the end */
    assert_null(strpbrk(program->style, "<&"));
    assert_memory_equal(program->script_hash, "sha256-", 7);
    assert_int_equal(strlen(program->script_hash), 7 + 44); /* base64 of 32 bytes */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corners_come_back_to_half_a_step),
        cmocka_unit_test(distance_to_the_truth_and_confidence_are_colourings),
        cmocka_unit_test(a_large_mesh_is_shown_with_fewer_triangles_and_says_so),
        cmocka_unit_test(a_large_mesh_with_bad_edges_is_shown_too),
        cmocka_unit_test(a_small_volume_comes_back_voxel_by_voxel),
        cmocka_unit_test(a_large_volume_is_averaged_over_blocks_that_lie_where_they_did),
        cmocka_unit_test(zero_of_an_unsigned_volume_was_never_seen_but_not_of_a_signed_one),
        cmocka_unit_test(the_same_calls_give_the_same_bytes_on_any_number_of_threads),
        cmocka_unit_test(broken_meshes_are_refused_and_leave_the_view_as_it_was),
        cmocka_unit_test(volumes_that_cannot_be_shown_are_refused),
        cmocka_unit_test(an_empty_view_is_a_head_alone),
        cmocka_unit_test(names_may_hold_anything),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_no_leak),
        cmocka_unit_test(the_browser_side_can_stand_in_a_page),
    };
    return cmocka_run_group_tests_name("view", tests, NULL, NULL);
}
