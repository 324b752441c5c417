/* What is kept between runs, bit by bit, and what becomes of it when it is broken. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "echosolid/pipeline.h"

static char folder[64];

static const char *in_folder(const char *name) {
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/es-keep-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char line[120];
    snprintf(line, sizeof line, "rm -r '%s'", folder);
    return system(line);
}

static void put_file(const char *name, const void *bytes, size_t length) {
    FILE *file = fopen(in_folder(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static size_t file_size(const char *name) {
    FILE *file = fopen(in_folder(name), "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    fclose(file);
    return size;
}

/* ---- the list -------------------------------------------------------------------- */

static const es_keep_stage STAGE = {.name = "bone",
                                    .key = "0123456789abcdef0123456789abcdef",
                                    .files = {"a.bin", "b.bin"},
                                    .file_count = 2,
                                    .numbers = {{"third", 1.0 / 3}, {"many", 1e15}},
                                    .number_count = 2};

static es_keep *kept_stage(void) {
    es_error err = {0};
    put_file("a.bin", "first", 5);
    put_file("b.bin", "second", 6);
    es_keep *keep = es_keep_open(folder, &err);
    assert_non_null(keep);
    assert_true(es_keep_put(keep, &STAGE, &err));
    es_keep_free(keep);
    keep = es_keep_open(folder, &err);
    assert_non_null(keep);
    return keep;
}

static void a_stage_is_found_again_with_its_numbers_and_files(void **state) {
    (void)state;
    char why[300];
    es_keep *keep = kept_stage();
    assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_GOOD);
    assert_true(es_keep_number(keep, "bone", "third") == 1.0 / 3);
    assert_true(es_keep_number(keep, "bone", "many") == 1e15);
    assert_true(isnan(es_keep_number(keep, "bone", "none")));
    assert_string_equal(es_keep_file(keep, "bone", 1), "b.bin");
    assert_null(es_keep_file(keep, "bone", 2));
    assert_int_equal(es_keep_look(keep, "field", STAGE.key, why), ES_KEPT_NOTHING);
    assert_int_equal(es_keep_look(keep, "bone", "f123456789abcdef0123456789abcdef", why),
                     ES_KEPT_OTHER);
    es_keep_free(keep);
}

static void a_file_that_changed_shrank_or_went_is_told(void **state) {
    (void)state;
    char why[300];
    es_keep *keep = kept_stage();
    put_file("b.bin", "sEcond", 6);
    assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_BROKEN);
    assert_non_null(strstr(why, "b.bin"));
    put_file("b.bin", "secon", 5);
    assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_BROKEN);
    remove(in_folder("b.bin"));
    assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_BROKEN);
    assert_non_null(strstr(why, "b.bin"));
    es_keep_free(keep);
}

static void a_list_that_cannot_be_read_counts_as_empty(void **state) {
    (void)state;
    static const char *const broken[] = {
        "",
        "{",
        "[1]",
        "{\"echosolid_kept\": 2, \"stages\": {}}",
        "{\"echosolid_kept\": 1, \"stages\": 3}",
        "{\"echosolid_kept\": 1}",
        "{\"echosolid_kept\": 1, \"stages\": {\"bone\": 7}}",
        "{\"echosolid_kept\": 1, \"stages\": {\"bone\": {\"key\": 7, \"files\": []}}}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char why[300];
        put_file("kept.json", broken[i], strlen(broken[i]));
        es_keep *keep = es_keep_open(folder, NULL);
        assert_non_null(keep);
        assert_int_not_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_GOOD);
        es_keep_free(keep);
    }
}

static void a_list_never_leads_out_of_its_folder(void **state) {
    (void)state;
    static const char *const names[] = {"../x", "/etc/hostname", ".", "..", "", "a/b"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[300], why[300];
        snprintf(text, sizeof text,
                 "{\"echosolid_kept\": 1, \"stages\": {\"bone\": {\"key\": \"%s\", \"files\": "
                 "{\"%s\": \"0\"}}}}",
                 STAGE.key, names[i]);
        put_file("kept.json", text, strlen(text));
        es_keep *keep = es_keep_open(folder, NULL);
        assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_BROKEN);
        es_keep_free(keep);
    }
}

static void a_disk_that_is_full_leaves_the_old_list(void **state) {
    (void)state;
    char why[300];
    es_error err = {0};
    es_keep *keep = kept_stage();
    es_keep_stage other = STAGE;
    other.name = "field";
    es_output_fail_after(0);
    assert_false(es_keep_put(keep, &other, &err));
    es_output_fail_after(-1);
    es_keep_free(keep);
    keep = es_keep_open(folder, &err);
    assert_int_equal(es_keep_look(keep, "bone", STAGE.key, why), ES_KEPT_GOOD);
    assert_int_equal(es_keep_look(keep, "field", STAGE.key, why), ES_KEPT_NOTHING);
    es_keep_free(keep);
    put_file("plain", "", 0);
    assert_null(es_keep_open(in_folder("plain"), &err));
    assert_int_equal(err.code, ES_IO);
}

/* ---- lines ----------------------------------------------------------------------------- */

enum { FRAMES = 5 };

static bool fill_trace(es_trace *trace, int frame) {
    es_random r = es_random_new(3, (uint64_t)frame);
    if (!es_trace_resize(trace, (size_t)(7 * frame), NULL)) return false;
    for (size_t i = 0; i < trace->count; i++)
        trace->lines[i] = (es_scan_line){.u = es_random_normal(&r),
                                         .v = 1 / es_random_uniform(&r),
                                         .du = es_random_uniform(&r),
                                         .dv = 4.1,
                                         .length_mm = 60,
                                         .found = i % 3 == 0,
                                         .depth_mm = 60 * es_random_uniform(&r),
                                         .confidence = (float)es_random_uniform(&r),
                                         .cos_incidence = (float)es_random_uniform(&r)};
    return true;
}

static bool write_lines(es_error *err) {
    es_trace trace = {0};
    es_lines_writer *w = es_lines_create(in_folder("bone.lines"), err);
    bool ok = w != NULL;
    for (int f = 0; ok && f < FRAMES; f++) {
        es_mat4 m = es_mat4_rotation(es_vec3_make(1, f, 3), 0.1 * f);
        ok = fill_trace(&trace, f) && es_lines_put(w, 10 * f, &m, &trace, err);
    }
    es_trace_clear(&trace);
    if (ok) return es_lines_finish(w, err);
    es_lines_discard(w);
    return false;
}

/* Frames read before the end or the error. */
static int read_lines(bool *whole, es_error *err) {
    es_trace trace = {0}, expected = {0};
    es_lines_reader *r = es_lines_open(in_folder("bone.lines"), err);
    int frames = 0;
    bool end = false;
    *whole = false;
    while (r && !*whole) {
        int64_t index;
        es_mat4 m;
        if (!es_lines_next(r, &index, &m, &trace, &end, err)) break;
        *whole = end;
        if (end) break;
        es_mat4 truth = es_mat4_rotation(es_vec3_make(1, frames, 3), 0.1 * frames);
        assert_true(fill_trace(&expected, frames));
        assert_int_equal(index, 10 * frames);
        assert_memory_equal(&m, &truth, sizeof m);
        assert_int_equal(trace.count, expected.count);
        for (size_t i = 0; i < trace.count; i++) {
            const es_scan_line *a = &trace.lines[i], *b = &expected.lines[i];
            assert_true(a->u == b->u && a->v == b->v && a->du == b->du && a->dv == b->dv &&
                        a->length_mm == b->length_mm && a->found == b->found &&
                        a->depth_mm == b->depth_mm && a->confidence == b->confidence &&
                        a->cos_incidence == b->cos_incidence);
        }
        frames++;
    }
    es_lines_close(r);
    es_trace_clear(&trace);
    es_trace_clear(&expected);
    return frames;
}

static void lines_come_back_bit_by_bit(void **state) {
    (void)state;
    bool whole;
    assert_true(write_lines(NULL));
    assert_int_equal(read_lines(&whole, NULL), FRAMES);
    assert_true(whole);
}

static void lines_that_were_cut_anywhere_are_refused(void **state) {
    (void)state;
    assert_true(write_lines(NULL));
    for (size_t size = file_size("bone.lines"); size > 0;) {
        bool whole;
        es_error err = {0};
        size = size > 137 ? size - 137 : 0;
        assert_int_equal(truncate(in_folder("bone.lines"), (off_t)size), 0);
        read_lines(&whole, &err);
        assert_false(whole);
        assert_int_equal(err.code, ES_FORMAT);
    }
    put_file("bone.lines", "echosolid bone lines 1\n\1\2\3\4", 27); /* another byte order */
    es_error err = {0};
    assert_null(es_lines_open(in_folder("bone.lines"), &err));
    assert_int_equal(err.code, ES_FORMAT);
}

static void lines_survive_a_lack_of_memory_and_of_room(void **state) {
    (void)state;
    bool ok = false;
    for (long n = 0; !ok && n < 40; n++) {
        es_alloc_fail_after(n);
        ok = write_lines(NULL);
        es_alloc_fail_after(-1);
    }
    assert_true(ok);
    for (long n = 0; n < 8; n++) {
        es_error err = {0};
        es_output_fail_after(n);
        assert_false(write_lines(&err));
        es_output_fail_after(-1);
        assert_int_equal(err.code, ES_IO);
    }
    assert_int_equal(access(in_folder("bone.lines.part"), F_OK), -1);
    for (long n = 0; n < 12; n++) {
        bool whole;
        es_alloc_fail_after(n);
        es_lines_reader *r = es_lines_open(in_folder("bone.lines"), NULL);
        es_lines_close(r);
        es_alloc_fail_after(-1);
        assert_int_equal(read_lines(&whole, NULL), FRAMES);
    }
}

/* ---- bricks and pictures ----------------------------------------------------------------- */

static es_bricks *some_bricks(void) {
    const double origin[3] = {1.0 / 3, -2, 1e3}, spacing[3] = {0.1, 0.2, 0.7};
    es_random r = es_random_new(4, 4);
    es_bricks *bricks = es_bricks_new(origin, spacing, NULL);
    for (int i = 0; i < 9; i++) {
        es_brick *b = es_bricks_add(bricks, 3 - i, i * i % 5, -i, NULL);
        assert_non_null(b);
        for (int v = 0; v < ES_BRICK_VOXELS; v++) {
            b->value[v] = (float)es_random_normal(&r);
            b->weight[v] = v % 7 ? (float)es_random_uniform(&r) : 0;
        }
    }
    return bricks;
}

static void bricks_come_back_in_their_order(void **state) {
    (void)state;
    es_bricks *a = some_bricks();
    assert_true(es_bricks_save(in_folder("f.bricks"), a, NULL));
    es_bricks *b = es_bricks_load(in_folder("f.bricks"), NULL);
    assert_non_null(b);
    assert_int_equal(es_bricks_count(a), es_bricks_count(b));
    assert_memory_equal(es_bricks_origin(a), es_bricks_origin(b), 24);
    assert_memory_equal(es_bricks_spacing(a), es_bricks_spacing(b), 24);
    for (size_t i = 0; i < es_bricks_count(a); i++)
        assert_memory_equal(es_bricks_get(a, i), es_bricks_get(b, i), sizeof(es_brick));
    es_bricks_free(a);
    es_bricks_free(b);
}

static void bricks_that_were_cut_or_stand_there_twice_are_refused(void **state) {
    (void)state;
    es_bricks *a = some_bricks();
    es_error err = {0};
    assert_true(es_bricks_save(in_folder("f.bricks"), a, NULL));
    es_bricks_free(a);
    size_t whole = file_size("f.bricks");
    for (size_t size = whole; size > 9000; size -= 9000) {
        assert_int_equal(truncate(in_folder("f.bricks"), (off_t)(size - 1)), 0);
        assert_null(es_bricks_load(in_folder("f.bricks"), &err));
        assert_int_equal(err.code, ES_FORMAT);
    }
    a = some_bricks();
    memcpy(es_bricks_get(a, 1)->at, es_bricks_get(a, 0)->at, sizeof(int32_t[3]));
    assert_true(es_bricks_save(in_folder("f.bricks"), a, NULL));
    assert_null(es_bricks_load(in_folder("f.bricks"), &err));
    assert_int_equal(err.code, ES_FORMAT);
    es_bricks_free(a);
    a = some_bricks();
    for (long n = 0; n < 10; n++) {
        es_output_fail_after(n);
        assert_false(es_bricks_save(in_folder("f.bricks"), a, NULL));
        es_output_fail_after(-1);
    }
    es_bricks_free(a);
}

static void a_picture_comes_back(void **state) {
    (void)state;
    es_image a = {0}, b = {0};
    es_error err = {0};
    assert_true(es_image_resize(&a, ES_U8, 3, 13, 7, NULL));
    for (size_t i = 0; i < es_image_bytes(&a); i++) ((uint8_t *)a.data)[i] = (uint8_t)(i * 37);
    assert_true(es_ppm_write(in_folder("p.ppm"), &a, &err));
    assert_true(es_ppm_read(in_folder("p.ppm"), &b, &err));
    assert_true(b.width == 13 && b.height == 7 && b.channels == 3);
    assert_memory_equal(a.data, b.data, es_image_bytes(&a));
    assert_int_equal(truncate(in_folder("p.ppm"), (off_t)file_size("p.ppm") - 1), 0);
    assert_false(es_ppm_read(in_folder("p.ppm"), &b, &err));
    put_file("p.ppm", "P6\n99999 99999\n255\n", 19);
    assert_false(es_ppm_read(in_folder("p.ppm"), &b, &err));
    put_file("p.ppm", "P5\n9 9\n255\n", 11);
    assert_false(es_ppm_read(in_folder("p.ppm"), &b, &err));
    assert_int_equal(err.code, ES_FORMAT);
    es_image_clear(&a);
    es_image_clear(&b);
}

/* ---- bone that is given ------------------------------------------------------------------ */

static const double PIXEL[2] = {0.2, 0.3};

static es_bone_given *given(const char *text, const char *mark, es_error *err) {
    es_stream_info info = {.frame_count = 10, .width = 100, .height = 200};
    snprintf(info.orientation, sizeof info.orientation, "%s", mark);
    put_file("bone.json", text, strlen(text));
    return es_bone_given_read(in_folder("bone.json"), &info, PIXEL, err);
}

/* Columns from the picture's top, nothing found. */
static void columns(es_trace *trace) {
    assert_true(es_trace_resize(trace, 100, NULL));
    for (int i = 0; i < 100; i++)
        trace->lines[i] = (es_scan_line){.u = i, .dv = 1 / PIXEL[1], .length_mm = 200 * PIXEL[1]};
}

/* A straight line through (10, 40) and (70, 70): depth and incidence by hand. */
static void check_slope(const es_trace *trace, double confidence) {
    double slope = 0.5 * PIXEL[1] / PIXEL[0];
    for (int i = 0; i < 100; i++) {
        const es_scan_line *l = &trace->lines[i];
        assert_int_equal(l->found, i > 10 && i < 70 ? 1 : l->found);
        if (i < 10 || i > 70) assert_false(l->found);
        if (!l->found) continue;
        assert_true(fabs(l->depth_mm - (40 + (i - 10) * 0.5) * PIXEL[1]) < 1e-9);
        assert_true(fabs(l->cos_incidence - 1 / sqrt(1 + slope * slope)) < 1e-6);
        assert_true(fabs(l->confidence - confidence) < 1e-6);
    }
}

static void a_given_line_is_cut_by_the_scan_lines(void **state) {
    (void)state;
    es_trace trace = {0};
    es_bone_given *g =
        given("{\"frames\": [{\"index\": 2, \"surface\": []}, {\"index\": 4, "
              "\"surface\": [[[10, 40], [70, 70]]], \"surface_confidence\": [0.7]}]}",
              "MF", NULL);
    assert_non_null(g);
    assert_int_equal(es_bone_given_frames(g), 1);
    columns(&trace);
    es_bone_given_put(g, 4, &trace);
    check_slope(&trace, 0.7);
    columns(&trace);
    for (int64_t f = 0; f < 10; f++)
        if (f != 4) es_bone_given_put(g, f, &trace);
    for (int i = 0; i < 100; i++) assert_false(trace.lines[i].found);
    es_bone_given_free(g);
    es_trace_clear(&trace);
}

/* The same line as a picture that was stored turned by half shows it. */
static void points_are_those_of_the_stored_picture(void **state) {
    (void)state;
    es_trace trace = {0};
    es_bone_given *g =
        given("{\"frames\": [{\"index\": 0, \"surface\": [[[89, 159], [29, 129]]]}]}", "UN", NULL);
    assert_non_null(g);
    columns(&trace);
    es_bone_given_put(g, 0, &trace);
    check_slope(&trace, 1);
    es_bone_given_free(g);
    es_trace_clear(&trace);
}

static void the_first_of_two_pieces_counts(void **state) {
    (void)state;
    es_trace trace = {0};
    es_bone_given *g =
        given("{\"frames\": [{\"index\": 0, \"surface\": [[[0, 90], [99, 90]], [[20, "
              "30], [40, 30]], [[0, 120], [99, 120]]]}]}",
              "MF", NULL);
    columns(&trace);
    es_bone_given_put(g, 0, &trace);
    assert_true(fabs(trace.lines[30].depth_mm - 30 * PIXEL[1]) < 1e-9);
    assert_true(fabs(trace.lines[60].depth_mm - 90 * PIXEL[1]) < 1e-9);
    es_bone_given_free(g);
    es_trace_clear(&trace);
}

static void what_is_no_bone_is_refused(void **state) {
    (void)state;
    static const char *const broken[] = {
        "",
        "[]",
        "{",
        "{\"frames\": 3}",
        "{\"frames\": [3]}",
        "{\"frames\": [{\"index\": 0}]}",
        "{\"frames\": [{\"index\": -1, \"surface\": []}]}",
        "{\"frames\": [{\"index\": 10, \"surface\": []}]}",
        "{\"frames\": [{\"index\": 1, \"surface\": []}, {\"index\": 1, \"surface\": []}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [3]}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [[3]]}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [[[1, 2, 3]]]}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [[[1, \"2\"]]]}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [[[1, 1e300]]]}]}",
        "{\"frames\": [{\"index\": 0, \"surface\": [[[1, 2]]], \"surface_confidence\": [2]}]}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        es_error err = {0};
        assert_null(given(broken[i], "MF", &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_non_null(strstr(err.message, "bone.json"));
    }
    es_error err = {0};
    es_bone_given *g = NULL;
    for (long n = 0; !g && n < 30; n++) {
        es_alloc_fail_after(n);
        g = given("{\"frames\": [{\"index\": 0, \"surface\": [[[1, 2], [3, 4]]]}]}", "MF", &err);
        es_alloc_fail_after(-1);
    }
    assert_non_null(g);
    es_bone_given_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stage_is_found_again_with_its_numbers_and_files),
        cmocka_unit_test(a_file_that_changed_shrank_or_went_is_told),
        cmocka_unit_test(a_list_that_cannot_be_read_counts_as_empty),
        cmocka_unit_test(a_list_never_leads_out_of_its_folder),
        cmocka_unit_test(a_disk_that_is_full_leaves_the_old_list),
        cmocka_unit_test(lines_come_back_bit_by_bit),
        cmocka_unit_test(lines_that_were_cut_anywhere_are_refused),
        cmocka_unit_test(lines_survive_a_lack_of_memory_and_of_room),
        cmocka_unit_test(bricks_come_back_in_their_order),
        cmocka_unit_test(bricks_that_were_cut_or_stand_there_twice_are_refused),
        cmocka_unit_test(a_picture_comes_back),
        cmocka_unit_test(a_given_line_is_cut_by_the_scan_lines),
        cmocka_unit_test(points_are_those_of_the_stored_picture),
        cmocka_unit_test(the_first_of_two_pieces_counts),
        cmocka_unit_test(what_is_no_bone_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
