/* OpenIGTLink to bytes and back: messages of the protocol's own implementation,
 * malformed ones, and what a message says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/igtl.h"

static const es_igtl_limits LIMITS = ES_IGTL_LIMITS;

static size_t from_hex(const char *hex, uint8_t *bytes, size_t room) {
    size_t length = strlen(hex) / 2;
    assert_true(length <= room);
    for (size_t i = 0; i < length; i++) {
        unsigned value;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &value), 1);
        bytes[i] = (uint8_t)value;
    }
    return length;
}

static const char *data_path(const char *below) {
    static char path[1000];
    const char *data = getenv("ES_TEST_DATA");
    if (!data) return NULL;
    snprintf(path, sizeof path, "%s/%s", data, below);
    return path;
}

static es_igtl_message parse(const uint8_t *bytes, size_t length) {
    es_igtl_message m;
    size_t used;
    es_error err = {0};
    if (es_igtl_parse(bytes, length, &LIMITS, &m, &used, &err) != ES_IGTL_WHOLE)
        fail_msg("%s", err.message);
    assert_int_equal(used, length);
    return m;
}

/* ---- what is read is written again, field by field ------------------------------------- */

static const char **meta_of(const es_igtl_message *m) {
    const char **list = es_alloc_zero(2 * (size_t)m->meta_count + 1, sizeof *list, NULL);
    for (int i = 0; i < m->meta_count; i++) {
        es_igtl_meta meta = es_igtl_meta_at(m, i);
        es_text key = {0}, value = {0};
        es_text_add(&key, "%.*s", (int)meta.key_length, meta.key);
        es_text_add(&value, "%.*s", (int)meta.value_length, meta.value);
        list[2 * i] = key.bytes ? key.bytes : "";
        list[2 * i + 1] = value.bytes ? value.bytes : "";
    }
    return list;
}

static bool is(const es_igtl_message *m, const char *type) { return strcmp(m->type, type) == 0; }

static bool put_small(es_igtl_out *out, const es_igtl_head *head, const es_igtl_message *m) {
    es_mat4 matrix;
    es_igtl_position position;
    es_igtl_image image;
    es_igtl_sensor sensor;
    es_igtl_array array;
    es_igtl_stream stream;
    if (es_igtl_get_transform(m, &matrix, NULL))
        es_igtl_put_transform(out, head, matrix);
    else if (es_igtl_get_position(m, &position, NULL))
        es_igtl_put_position(out, head, &position);
    else if (es_igtl_get_image(m, &image, NULL))
        es_igtl_put_image(out, head, &image);
    else if (es_igtl_get_sensor(m, &sensor, NULL))
        es_igtl_put_sensor(out, head, &sensor);
    else if (es_igtl_get_array(m, &array, NULL))
        es_igtl_put_array(out, head, &array);
    else if (es_igtl_get_stream(m, &stream, NULL))
        es_igtl_put_stream(out, head, m->type, &stream);
    else
        return false;
    return true;
}

static bool put_text(es_igtl_out *out, const es_igtl_head *head, const es_igtl_message *m) {
    es_igtl_text text;
    es_igtl_status status;
    es_igtl_command command;
    if (is(m, "STRING") && es_igtl_get_string(m, &text, NULL)) {
        es_igtl_put_string(out, head, text.bytes, text.length);
    } else if (es_igtl_get_command(m, &command, NULL)) {
        es_igtl_put_command(out, head, is(m, "RTS_COMMAND"), command.id, command.name,
                            command.text.bytes, command.text.length);
    } else if (es_igtl_get_status(m, &status, NULL)) {
        char copy[200];
        snprintf(copy, sizeof copy, "%.*s", (int)status.text.length, status.text.bytes);
        es_igtl_put_status(out, head, status.code, status.subcode, status.name, copy);
    } else {
        return false;
    }
    return true;
}

static bool put_list(es_igtl_out *out, const es_igtl_head *head, const es_igtl_message *m) {
    if (is(m, "TDATA") || is(m, "QTDATA")) {
        es_igtl_tool tools[8];
        size_t count = es_igtl_tool_count(m);
        assert_true(count <= 8);
        for (size_t i = 0; i < count; i++) assert_true(es_igtl_get_tool(m, i, &tools[i], NULL));
        es_igtl_put_tools(out, head, tools, count, is(m, "QTDATA"));
    } else if (is(m, "CAPABILITY")) {
        char types[16][ES_IGTL_TYPE + 1];
        const char *names[16];
        size_t count = es_igtl_capability_count(m);
        assert_true(count <= 16);
        for (size_t i = 0; i < count; i++) {
            es_igtl_get_capability(m, i, types[i]);
            names[i] = types[i];
        }
        es_igtl_put_capability(out, head, names, count);
    } else if (is(m, "POINT")) {
        es_igtl_point points[8];
        size_t count = es_igtl_point_count(m);
        assert_true(count <= 8);
        for (size_t i = 0; i < count; i++) es_igtl_get_point(m, i, &points[i]);
        es_igtl_put_points(out, head, points, count);
    } else {
        return false;
    }
    return true;
}

/* Whatever has fields here is made from them; other types from their content. */
static void assert_round_trip(const char *name, const uint8_t *bytes, size_t length) {
    es_igtl_message m = parse(bytes, length);
    es_igtl_out whole = {0}, fields = {0};
    const char **meta = meta_of(&m);
    es_igtl_head head = {m.version, m.device, m.time, m.id, meta};
    es_igtl_put_message(&whole, &m);
    if (!put_small(&fields, &head, &m) && !put_text(&fields, &head, &m) &&
        !put_list(&fields, &head, &m))
        es_igtl_put_raw(&fields, &head, m.type, m.content, m.content_size);
    if (whole.length != length || memcmp(whole.bytes, bytes, length) != 0)
        fail_msg("%s comes back otherwise", name);
    if (fields.length != length || memcmp(fields.bytes, bytes, length) != 0)
        fail_msg("%s comes back otherwise from its fields", name);
    es_igtl_out_clear(&whole);
    es_igtl_out_clear(&fields);
    for (int i = 0; i < 2 * m.meta_count; i++)
        if (meta[i][0]) es_free((char *)(uintptr_t)meta[i]);
    es_free(meta);
}

static void messages_of_the_protocols_own_tests_come_back_byte_for_byte(void **state) {
    (void)state;
    const char *path = data_path("openigtlink/upstream-fixtures.json"), *name;
    json_t *root = path ? json_load_file(path, 0, NULL) : NULL, *entry;
    static uint8_t bytes[1 << 16];
    size_t count = 0;
    if (!root) {
        print_message("no openigtlink/upstream-fixtures.json under ES_TEST_DATA\n");
        skip();
    }
    json_object_foreach(json_object_get(root, "fixtures"), name, entry) {
        size_t length =
            from_hex(json_string_value(json_object_get(entry, "wire_hex")), bytes, sizeof bytes);
        assert_round_trip(name, bytes, length);
        es_igtl_message m = parse(bytes, length);
        assert_string_equal(m.type, json_string_value(json_object_get(entry, "type_id")));
        assert_string_equal(m.device, json_string_value(json_object_get(entry, "device_name")));
        assert_int_equal(m.version, json_integer_value(json_object_get(entry, "version")));
        count++;
    }
    assert_int_equal(count, 24);
    json_decref(root);
}

static void vectors_of_another_implementation_come_back_byte_for_byte(void **state) {
    (void)state;
    const char *path = data_path("../facts/live_src/igtl_vectors.txt");
    FILE *file = path ? fopen(path, "r") : NULL;
    static char name[64], hex[1 << 14];
    static uint8_t bytes[1 << 13];
    size_t count = 0;
    if (!file) {
        print_message("no igtl_vectors.txt beside ES_TEST_DATA\n");
        skip();
    }
    for (; fscanf(file, "%63s %16383s", name, hex) == 2; count++)
        assert_round_trip(name, bytes, from_hex(hex, bytes, sizeof bytes));
    fclose(file);
    assert_int_equal(count, 16);
}

/* ---- what is malformed ------------------------------------------------------------------ */

static void malformed_messages_are_refused_for_the_right_reason(void **state) {
    (void)state;
    const char *index = data_path("openigtlink/negative/index.json"), *name;
    json_t *root = index ? json_load_file(index, 0, NULL) : NULL, *entry;
    size_t count = 0;
    if (!root) {
        print_message("no openigtlink/negative under ES_TEST_DATA\n");
        skip();
    }
    json_object_foreach(json_object_get(root, "entries"), name, entry) {
        char below[300];
        size_t length, used;
        es_error err = {0};
        es_igtl_message m;
        snprintf(below, sizeof below, "openigtlink/negative/%s",
                 json_string_value(json_object_get(entry, "path")));
        char *bytes = es_file_read(data_path(below), 1 << 20, &length, &err);
        if (!bytes) fail_msg("%s", err.message);
        const char *class = json_string_value(json_object_get(entry, "error_class"));
        es_igtl_state got = es_igtl_parse((uint8_t *)bytes, length, &LIMITS, &m, &used, &err);
        bool right = strcmp(class, "SHORT_BUFFER") == 0
                         ? got == ES_IGTL_TOO_LARGE || (got == ES_IGTL_SHORT && used > length)
                     : strcmp(class, "CRC_MISMATCH") == 0 ? got == ES_IGTL_CRC
                                                          : got == ES_IGTL_MALFORMED;
        if (!right) fail_msg("%s: %s, but state %d (%s)", name, class, got, err.message);
        assert_true(got == ES_IGTL_SHORT || err.message[0]);
        es_free(bytes);
        count++;
    }
    assert_int_equal(count, 32);
    json_decref(root);
}

static void the_length_of_every_type_is_held_against_the_body(void **state) {
    (void)state;
    static const char *const types[] = {
        "TRANSFORM", "POSITION",  "QTRANS",    "TDATA",     "QTDATA",     "IMAGE",
        "STRING",    "STATUS",    "COMMAND",   "SENSOR",    "NDARRAY",    "POINT",
        "BIND",      "COLORT",    "POLYDATA",  "VIDEO",     "IMGMETA",    "LBMETA",
        "TRAJ",      "VIDEOMETA", "STT_TDATA", "RTS_TDATA", "CAPABILITY", "RTS_COMMAND"};
    const uint8_t one = 7;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        es_igtl_out out = {0};
        es_igtl_head head = {.version = 1, .device = "x"};
        es_igtl_message m;
        size_t used;
        uint8_t odd[13] = {one, 1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
        es_igtl_put_raw(&out, &head, types[i], odd, sizeof odd);
        assert_int_equal(es_igtl_parse(out.bytes, out.length, &LIMITS, &m, &used, NULL),
                         ES_IGTL_MALFORMED);
        es_igtl_out_clear(&out);
    }
}

static void a_stream_cut_anywhere_asks_for_more(void **state) {
    (void)state;
    es_igtl_out out = {0};
    const char *meta[] = {"TransformStatus", "OK", NULL};
    es_igtl_head head = {2, "ProbeToTracker", 1, 5, meta};
    es_igtl_put_transform(&out, &head, es_mat4_translation(1, 2, 3));
    for (size_t cut = 0; cut < out.length; cut++) {
        es_igtl_message m;
        size_t used;
        assert_int_equal(es_igtl_parse(out.bytes, cut, &LIMITS, &m, &used, NULL), ES_IGTL_SHORT);
        assert_int_equal(used, cut < ES_IGTL_HEADER ? (size_t)ES_IGTL_HEADER : out.length);
    }
    es_igtl_out_clear(&out);
}

static void a_wrong_sum_can_be_ignored_for_old_bridges(void **state) {
    (void)state;
    es_igtl_out out = {0};
    es_igtl_head head = {1, "x", 0, 0, NULL};
    es_igtl_limits lenient = ES_IGTL_LIMITS;
    es_igtl_message m;
    size_t used;
    lenient.ignore_crc = true;
    es_igtl_put_transform(&out, &head, es_mat4_translation(1, 2, 3));
    memset(out.bytes + 50, 0, 8);
    assert_int_equal(es_igtl_parse(out.bytes, out.length, &LIMITS, &m, &used, NULL), ES_IGTL_CRC);
    assert_int_equal(used, out.length);
    assert_int_equal(es_igtl_parse(out.bytes, out.length, &lenient, &m, &used, NULL),
                     ES_IGTL_WHOLE);
    es_igtl_out_clear(&out);
}

/* ---- what a message says ------------------------------------------------------------------- */

static void the_sum_is_that_of_ecma_182(void **state) {
    (void)state;
    const char *text = "123456789";
    static uint8_t bytes[1000];
    assert_true(es_igtl_crc(0, text, 9) == 0x6C40DF5F0B497347u); /* the published check */
    assert_true(es_igtl_crc(0, text, 0) == 0);
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i + 3 * i);
    for (size_t cut = 0; cut < sizeof bytes; cut += 37)
        assert_true(es_igtl_crc(es_igtl_crc(0, bytes, cut), bytes + cut, sizeof bytes - cut) ==
                    es_igtl_crc(0, bytes, sizeof bytes));
}

static void an_image_lies_where_its_first_voxel_was_put(void **state) {
    (void)state;
    uint16_t pixels[24];
    for (int i = 0; i < 24; i++) pixels[i] = (uint16_t)(1000 * i);
    /* i along -y by 0.1 mm, j along x by 0.2, k along z by 1; voxel 0 at (5.5, 6.25, 7). */
    es_mat4 place = {{0, .2, 0, 5.5, -.1, 0, 0, 6.25, 0, 0, 1, 7, 0, 0, 0, 1}};
    es_igtl_image image = {.channels = 1,
                           .type = ES_U16,
                           .little = true,
                           .frame = 1,
                           .size = {4, 3, 2},
                           .part_size = {4, 3, 2},
                           .pixels = (const uint8_t *)pixels,
                           .bytes = sizeof pixels};
    es_igtl_out out = {0};
    es_igtl_head head = {1, "Image_Reference", es_igtl_time(1700000000.5), 0, NULL};
    image.matrix = es_igtl_image_centre(place, image.size);
    assert_float_equal(image.matrix.m[3], 5.5 + .2 * 1, 1e-12); /* (3 - 1) / 2 steps of j */
    assert_float_equal(image.matrix.m[7], 6.25 - .1 * 1.5, 1e-12);
    es_igtl_put_image(&out, &head, &image);
    es_igtl_message m = parse(out.bytes, out.length);
    es_igtl_image back;
    uint16_t copy[24];
    assert_true(es_igtl_get_image(&m, &back, NULL));
    es_mat4 again = es_igtl_image_place(&back);
    for (int i = 0; i < 16; i++) assert_true(fabs(again.m[i] - place.m[i]) < 1e-6); /* float32 */
    es_igtl_image_copy(&back, copy);
    assert_memory_equal(copy, pixels, sizeof pixels);
    assert_float_equal(es_igtl_seconds(m.time), 1700000000.5, 1e-6);
    es_igtl_out_clear(&out);
}

static void a_mesh_comes_back_and_polygons_and_strips_become_triangles(void **state) {
    (void)state;
    float vertices[12] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1}, confidence[4] = {0, .5f, 1, .25f};
    uint32_t triangles[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
    es_mesh mesh = {vertices, 4, triangles, 4, confidence}, back;
    es_igtl_out out = {0};
    es_igtl_head head = {2, "bone", 0, 0, NULL};
    es_igtl_put_mesh(&out, &head, &mesh);
    es_igtl_message m = parse(out.bytes, out.length);
    assert_true(es_igtl_get_mesh(&m, &back, NULL));
    assert_int_equal(back.triangle_count, 4);
    assert_memory_equal(back.vertices, vertices, sizeof vertices);
    assert_memory_equal(back.triangles, triangles, sizeof triangles);
    es_mesh_clear(&back);
    es_igtl_out_clear(&out);
    /* 5 points, one quadrilateral, one strip of 4 */
    uint8_t content[40 + 60 + 20 + 20] = {0};
    const uint32_t counts[10] = {5, 0, 0, 0, 0, 1, 20, 1, 20, 0};
    const uint32_t cells[10] = {4, 0, 1, 2, 3, 4, 0, 1, 2, 4};
    for (size_t i = 0; i < 10; i++) content[4 * i + 3] = (uint8_t)counts[i];
    for (size_t i = 0; i < 10; i++) content[100 + 4 * i + 3] = (uint8_t)cells[i];
    es_igtl_put_raw(&out, &head, "POLYDATA", content, sizeof content);
    m = parse(out.bytes, out.length);
    const uint32_t truth[12] = {0, 1, 2, 0, 2, 3, 0, 1, 2, 1, 4, 2};
    assert_true(es_igtl_get_mesh(&m, &back, NULL));
    assert_int_equal(back.triangle_count, 4);
    assert_memory_equal(back.triangles, truth, sizeof truth);
    es_mesh_clear(&back);
    es_igtl_out_clear(&out);
}

static void metadata_are_found_by_name(void **state) {
    (void)state;
    const char *meta[] = {"a", "", "TransformStatus", "OUT_OF_VIEW", "name", "K\xc3\xb6hler", NULL};
    es_igtl_out out = {0};
    es_igtl_head head = {2, "ProbeToTracker", 0, 77, meta};
    es_igtl_meta found;
    es_igtl_put_transform(&out, &head, es_mat4_identity());
    es_igtl_message m = parse(out.bytes, out.length);
    assert_int_equal(m.id, 77);
    assert_true(es_igtl_meta_find(&m, "TransformStatus", &found));
    assert_int_equal(found.value_length, 11);
    assert_memory_equal(found.value, "OUT_OF_VIEW", 11);
    assert_int_equal(found.encoding, 3);
    assert_true(es_igtl_meta_find(&m, "name", &found));
    assert_int_equal(found.encoding, 106);
    assert_false(es_igtl_meta_find(&m, "nam", &found));
    es_igtl_out_clear(&out);
}

static void names_and_texts_are_cut_to_their_fields(void **state) {
    (void)state;
    es_igtl_out out = {0};
    es_igtl_head head = {1, "ALongDeviceNameOfMoreThan20", 0, 0, NULL};
    static char text[70000];
    es_igtl_text back;
    memset(text, 'x', sizeof text);
    memcpy(text + 65534, "\xc3\xa4", 2); /* a letter across the limit stays out whole */
    es_igtl_put_string(&out, &head, text, sizeof text);
    es_igtl_message m = parse(out.bytes, out.length);
    assert_string_equal(m.device, "ALongDeviceNameOfMor");
    assert_true(es_igtl_get_string(&m, &back, NULL));
    assert_int_equal(back.length, 65534);
    es_igtl_out_clear(&out);
}

static void a_getter_for_another_type_says_so(void **state) {
    (void)state;
    es_igtl_out out = {0};
    es_igtl_head head = {1, "x", 0, 0, NULL};
    es_error err = {0};
    es_mat4 matrix;
    es_igtl_put_status(&out, &head, 1, 0, "", "");
    es_igtl_message m = parse(out.bytes, out.length);
    assert_false(es_igtl_get_transform(&m, &matrix, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_igtl_out_clear(&out);
}

static void a_failed_allocation_is_kept(void **state) {
    (void)state;
    es_igtl_out out = {0};
    es_igtl_head head = {1, "x", 0, 0, NULL};
    es_alloc_fail_after(0);
    es_igtl_put_transform(&out, &head, es_mat4_identity());
    es_alloc_fail_after(-1);
    assert_true(out.failed);
    es_igtl_put_transform(&out, &head, es_mat4_identity());
    assert_true(out.failed);
    es_igtl_out_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_the_protocols_own_tests_come_back_byte_for_byte),
        cmocka_unit_test(vectors_of_another_implementation_come_back_byte_for_byte),
        cmocka_unit_test(malformed_messages_are_refused_for_the_right_reason),
        cmocka_unit_test(the_length_of_every_type_is_held_against_the_body),
        cmocka_unit_test(a_stream_cut_anywhere_asks_for_more),
        cmocka_unit_test(a_wrong_sum_can_be_ignored_for_old_bridges),
        cmocka_unit_test(the_sum_is_that_of_ecma_182),
        cmocka_unit_test(an_image_lies_where_its_first_voxel_was_put),
        cmocka_unit_test(a_mesh_comes_back_and_polygons_and_strips_become_triangles),
        cmocka_unit_test(metadata_are_found_by_name),
        cmocka_unit_test(names_and_texts_are_cut_to_their_fields),
        cmocka_unit_test(a_getter_for_another_type_says_so),
        cmocka_unit_test(a_failed_allocation_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
