/* Slicer's point lists and a phantom's landmarks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "echosolid/format.h"

static char path[64];

static int make_file(void **state) {
    (void)state;
    strcpy(path, "/tmp/es-points-XXXXXX");
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static bool read_text(const char *text, es_points *points, es_error *err) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return es_points_read(path, points, err);
}

static void an_fcsv_in_lps_comes_out_in_ras(void **state) {
    (void)state;
    es_points p;
    assert_true(read_text("# Markups fiducial file version = 4.11\r\n# CoordinateSystem = LPS\r\n"
                          "# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,id\r\n"
                          "1,10.5,-2,3e1,0,0,0,1,1,1,0,F-1,,\r\n\r\n2,0,0,1\n",
                          &p, NULL));
    assert_int_equal(p.count, 2);
    assert_string_equal(p.items[0].name, "F-1");
    assert_true(p.items[0].at_mm.x == -10.5 && p.items[0].at_mm.y == 2 && p.items[0].at_mm.z == 30);
    assert_string_equal(p.items[1].name, "2");
    es_points_clear(&p);
}

static void markups_json_is_read(void **state) {
    (void)state;
    es_points p;
    assert_true(read_text("{\"markups\": [{\"type\": \"Fiducial\", \"coordinateSystem\": \"RAS\", "
                          "\"controlPoints\": [{\"label\": \"a\", \"position\": [1, 2, 3.5]}]}]}",
                          &p, NULL));
    assert_int_equal(p.count, 1);
    assert_true(p.items[0].at_mm.x == 1 && p.items[0].at_mm.z == 3.5);
    es_points_clear(&p);
}

static void broken_lists_are_refused(void **state) {
    (void)state;
    static const char *const broken[] = {
        "",
        "# only a head\n",
        "1,2,three,4\n",
        "1,2\n",
        "1,nan,0,0\n",
        "{",
        "{}",
        "{\"markups\": []}",
        "{\"markups\": [{\"controlPoints\": [{\"position\": [1, 2]}]}]}",
        "{\"markups\": [{\"controlPoints\": [{\"position\": [1, 2, \"x\"]}]}]}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        es_points p;
        es_error err = {0};
        assert_false(read_text(broken[i], &p, &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_non_null(strstr(err.message, path));
        assert_null(p.items);
    }
}

static void a_phantom_names_its_landmarks(void **state) {
    (void)state;
    static const char text[] =
        "<PlusConfiguration><PhantomDefinition><Geometry><Landmarks>"
        "<Landmark Name=\"#1\" Position=\"95 5 15\"/><Landmark Name=\"#2\" Position=\"1 2 3\"/>"
        "</Landmarks></Geometry></PhantomDefinition></PlusConfiguration>";
    static const char wrong[] =
        "<PlusConfiguration><PhantomDefinition><Geometry><Landmarks><Landmark Position=\"1 2\"/>"
        "</Landmarks></Geometry></PhantomDefinition></PlusConfiguration>";
    es_points p;
    es_plus *plus = es_plus_parse(text, strlen(text), "test", NULL);
    assert_true(es_plus_landmarks(plus, &p, NULL));
    assert_int_equal(p.count, 2);
    assert_true(p.items[0].at_mm.x == 95);
    es_points_clear(&p);
    es_plus_free(plus);
    plus = es_plus_parse(wrong, strlen(wrong), "test", NULL);
    assert_false(es_plus_landmarks(plus, &p, NULL));
    es_plus_free(plus);
}

static void a_configuration_can_be_copied(void **state) {
    (void)state;
    es_plus *empty = es_plus_copy(NULL, NULL);
    es_plus_transform t = {.from = "StylusTip", .to = "Stylus", .matrix = es_mat4_identity()};
    assert_true(es_plus_transform_set(empty, &t, NULL));
    es_plus *copy = es_plus_copy(empty, NULL);
    es_plus_free(empty);
    assert_int_equal(es_plus_transform_count(copy), 1);
    es_plus_free(copy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_fcsv_in_lps_comes_out_in_ras),
        cmocka_unit_test(markups_json_is_read),
        cmocka_unit_test(broken_lists_are_refused),
        cmocka_unit_test(a_phantom_names_its_landmarks),
        cmocka_unit_test(a_configuration_can_be_copied),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
