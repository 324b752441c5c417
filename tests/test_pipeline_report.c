/* The report: what was put in comes out of both files, whole or not at all.
 * The page is read back by libxml2 as strict XML and as HTML, the other file
 * by jansson. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <libxml/HTMLparser.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <locale.h>
#include <png.h>

#include "echosolid/report.h"

static char folder[] = "/tmp/es_report_XXXXXX";
static char html_path[64], json_path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(html_path, sizeof html_path, "%s/report.html", folder);
    snprintf(json_path, sizeof json_path, "%s/report.json", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder); /* fails when a test left something */
}

static es_report *small_report(void) {
    es_report *report = es_report_new("Knee", NULL);
    assert_non_null(report);
    es_report_section(report, "What was done");
    es_report_number(report, "frames", "Frames used", 412, "", NAN);
    return report;
}

static char *write_html(const es_report *report, size_t *length) {
    es_error err = {0};
    if (!es_report_write_html(report, html_path, &err)) fail_msg("%s", err.message);
    char *html = es_file_read(html_path, 1 << 24, length, NULL);
    assert_non_null(html);
    unlink(html_path);
    return html;
}

static json_t *write_json(const es_report *report) {
    es_error err = {0};
    if (!es_report_write_json(report, json_path, &err)) fail_msg("%s", err.message);
    json_t *root = json_load_file(json_path, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    unlink(json_path);
    return root;
}

/* The text that an XPath expression finds, or NULL; names are without
 * namespace because the page is read as HTML. */
static char *find(const char *html, size_t length, const char *xpath) {
    htmlDocPtr doc = htmlReadMemory(html, (int)length, "report", "utf-8",
                                    HTML_PARSE_NOERROR | HTML_PARSE_NONET | HTML_PARSE_NOWARNING);
    assert_non_null(doc);
    xmlXPathContext *context = xmlXPathNewContext(doc);
    xmlXPathObject *found = xmlXPathEvalExpression((const xmlChar *)xpath, context);
    assert_non_null(found);
    char *text = NULL;
    if (found->nodesetval && found->nodesetval->nodeNr > 0) {
        xmlChar *content = xmlNodeGetContent(found->nodesetval->nodeTab[0]);
        text = strdup((const char *)content);
        xmlFree(content);
    }
    xmlXPathFreeObject(found);
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
    return text;
}

static void check_text(const es_report *report, const char *xpath, const char *expected) {
    size_t length;
    char *html = write_html(report, &length), *text = find(html, length, xpath);
    if (!text) fail_msg("nothing at %s", xpath);
    assert_string_equal(text, expected);
    free(text);
    es_free(html);
}

static void check_well_formed(const es_report *report) {
    size_t length;
    char *html = write_html(report, &length);
    xmlDoc *doc = xmlReadMemory(html, (int)length, "report", NULL, XML_PARSE_NONET);
    assert_non_null(doc);
    xmlFreeDoc(doc);
    es_free(html);
}

/* ---- what is in it -------------------------------------------------------------- */

static es_image checker(void) {
    es_image picture = {0};
    assert_true(es_picture_new(&picture, 31, 17, (es_colour){10, 200, 30}, NULL));
    es_picture_disc(&picture, 9, 9, 5, (es_colour){255, 0, 0});
    return picture;
}

static es_report *full_report(void) {
    es_report *report = small_report();
    es_image picture = checker();
    const float values[4] = {0, 1, 2, 3};
    es_histogram histogram = {.values = values, .count = 4, .label = "mm"};
    es_text svg = {0};
    assert_true(es_plot_histogram(&histogram, &svg, NULL));
    es_report_summary(report, "Within 0.43 mm.");
    es_report_row(report, "chain", "Chain", "Image -> Probe");
    es_report_note(report, ES_NOTE, "Voxels of 0.5 mm were chosen.");
    es_report_number(report, "rms", "RMS", 0.43123, "mm", 0.0213);
    es_report_section(report, "Pictures");
    es_report_picture(report, "From the front", &picture);
    es_report_plot(report, "Distances", &svg);
    es_report_note(report, ES_WARNING, "3 frames have no pose.");
    es_report_section(report, "What was done");
    es_report_number(report, "depth", "Depth", NAN, "mm", NAN);
    es_report_option(report, "--spacing", "0.5");
    es_report_input(report, "knee.igs.mha", "00112233445566778899aabbccddeeff");
    es_text_free(&svg);
    es_image_clear(&picture);
    return report;
}

static void the_page_is_well_formed(void **state) {
    (void)state;
    es_report *report = full_report();
    check_well_formed(report);
    es_report_free(report);
    report = es_report_new("", NULL); /* nothing at all in it */
    check_well_formed(report);
    es_report_free(report);
}

/* A triangle to turn. */
static es_view *small_view(void) {
    float corners[9] = {0, 0, 0, 10, 0, 0, 0, 10, 0};
    uint32_t triangle[3] = {0, 1, 2};
    es_mesh mesh = {.vertices = corners, .vertex_count = 3, .triangles = triangle};
    mesh.triangle_count = 1;
    es_view *view = es_view_new("Triangle", NULL);
    es_view_mesh shown = {.name = "a <b> & c", .mesh = &mesh, .sheet = true};
    assert_non_null(view);
    assert_true(es_view_add_mesh(view, &shown, NULL, NULL));
    return view;
}

static void a_view_stands_in_both_files_and_keeps_the_page_well_formed(void **state) {
    (void)state;
    es_report *report = full_report();
    es_view *view = small_view();
    bool interactive = es_view_program_get() != NULL;
    es_report_section(report, "In three dimensions");
    es_report_view(report, "Turn & see", view);
    es_view_free(view);
    check_well_formed(report);
    json_t *root = write_json(report);
    json_t *section = json_object_get(json_object_get(root, "sections"), "in_three_dimensions");
    json_t *views = json_object_get(section, "views");
    if (interactive) {
        check_text(report, "//figure[@class='view'][@hidden]/figcaption", "Turn & see");
        assert_string_equal(json_string_value(json_array_get(views, 0)), "Turn & see");
    } else {
        check_text(report, "//section[@id='in_three_dimensions']/p[@class='note']/b", "Note:");
        assert_null(views);
        assert_int_equal(json_array_size(json_object_get(section, "notes")), 1);
    }
    json_decref(root);
    es_report_free(report);
}

static void a_page_without_a_view_may_run_no_script(void **state) {
    (void)state;
    es_report *report = full_report();
    size_t length;
    char *html = write_html(report, &length);
    assert_null(strstr(html, "script"));
    es_free(html);
    es_report_free(report);
}

static void a_second_view_is_refused(void **state) {
    (void)state;
    if (!es_view_program_get()) {
        print_message("built without npm: no view comes into the report\n");
        skip();
    }
    es_report *report = small_report();
    es_view *view = small_view();
    es_error err = {0};
    es_report_view(report, "One", view);
    es_report_view(report, "Two", view);
    assert_false(es_report_write_html(report, html_path, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_int_not_equal(access(html_path, F_OK), 0);
    es_view_free(view);
    es_report_free(report);
}

static void the_page_says_what_was_put_in(void **state) {
    (void)state;
    es_report *report = full_report();
    check_text(report, "//title", "Knee");
    check_text(report, "//h1", "Knee");
    check_text(report, "//p[@class='summary']", "Within 0.43 mm.");
    check_text(report, "//tr[th='Frames used']/td", "412");
    check_text(report, "//tr[th='Chain']/td", "Image -> Probe");
    check_text(report, "//tr[th='RMS']/td", "0.431 \xc2\xb1 0.021\xc2\xa0mm");
    check_text(report, "//tr[th='Depth']/td", "not known");
    check_text(report, "//p[@class='warning']", "Warning: 3 frames have no pose.");
    check_text(report, "//section[@id='pictures']//figcaption", "From the front");
    check_text(report, "//tr[th='--spacing']/td", "0.5");
    check_text(report, "//tr[th='knee.igs.mha']/td/code", "00112233445566778899aabbccddeeff");
    check_text(report, "//section[@id='what_was_done']/table[2]//tr[2]/th", "Depth");
    es_report_free(report);
}

static void the_page_says_that_it_is_not_for_patients(void **state) {
    (void)state;
    es_report *report = small_report();
    size_t length;
    char *html = write_html(report, &length), *notice = find(html, length, "//p[@class='notice']");
    assert_non_null(strstr(notice, "Research software"));
    assert_non_null(strstr(notice, "not for diagnosis"));
    free(notice);
    es_free(html);
    es_report_free(report);
}

static void the_page_loads_nothing_from_elsewhere(void **state) {
    (void)state;
    es_report *report = full_report();
    size_t length;
    char *html = write_html(report, &length);
    const char *const outside[] = {
        "//script", "//link",   "//iframe",
        "//@href",  "//object", "//@src[not(starts-with(., 'data:image/png;base64,'))]"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_null(find(html, length, outside[i]));
    assert_null(strstr(html, "url("));
    assert_null(strstr(html, "@import"));
    es_free(html);
    es_report_free(report);
}

static uint8_t base64_value(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = strchr(digits, c);
    assert_true(c && at);
    return (uint8_t)(at - digits);
}

static size_t decode_base64(const char *text, uint8_t *bytes) {
    size_t length = 0;
    uint32_t bits = 0;
    for (int count = 0; *text && *text != '='; text++) {
        bits = bits << 6 | base64_value(*text);
        if ((count += 6) >= 8) bytes[length++] = (uint8_t)(bits >> (count -= 8));
    }
    return length;
}

static void a_picture_in_the_page_is_the_picture(void **state) {
    (void)state;
    es_report *report = full_report();
    size_t length;
    char *html = write_html(report, &length), *src = find(html, length, "//img/@src");
    es_image picture = checker();
    uint8_t *bytes = malloc(strlen(src)), back[31 * 17 * 3];
    size_t size = decode_base64(strchr(src, ',') + 1, bytes);
    png_image header = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_memory(&header, bytes, size));
    header.format = PNG_FORMAT_RGB;
    assert_int_equal(PNG_IMAGE_SIZE(header), sizeof back);
    assert_true(png_image_finish_read(&header, NULL, back, 0, NULL));
    assert_memory_equal(back, picture.data, sizeof back);
    free(bytes);
    free(src);
    es_free(html);
    es_image_clear(&picture);
    es_report_free(report);
}

static void figures_are_rounded_by_their_error(void **state) {
    (void)state;
    const struct {
        double value, error;
        const char *shown; /* with thin spaces, a true minus and "mm" */
    } cases[] = {
        {0.431234, 0.0213, "0.431 \xc2\xb1 0.021"},
        {0.4, 0.051, "0.400 \xc2\xb1 0.051"},
        {-0.04, 0.011,
         "\xe2\x88\x92"
         "0.040 \xc2\xb1 0.011"},
        {123.456, 12, "123 \xc2\xb1 12"},
        {0.98, NAN, "0.98"},
        {1.0 / 3, NAN, "0.3333"},
        {2, NAN, "2"},
        {1234.5678, NAN, "1235"},
        {58231984, NAN,
         "58\xe2\x80\x89"
         "231\xe2\x80\x89"
         "984"},
        {0, NAN, "0"},
        {0.00058067, NAN, "0.00058"},
        {1e-12, NAN, "1e-12"},
        {-2.5e20, NAN, "-2.5e+20"},
        {INFINITY, 1, "not known"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_report *report = es_report_new("r", NULL);
        es_report_section(report, "s");
        es_report_number(report, "k", "K", cases[i].value, "", cases[i].error);
        check_text(report, "//tr[th='K']/td", cases[i].shown);
        es_report_free(report);
    }
}

static void square_and_cubic_units_are_raised(void **state) {
    (void)state;
    es_report *report = es_report_new("r", NULL);
    es_report_section(report, "s");
    es_report_number(report, "a", "A", 3, "mm2", NAN);
    es_report_number(report, "b", "B", 3, "mm3", NAN);
    es_report_number(report, "c", "C", 3, "2", NAN);
    check_text(report, "//tr[th='A']/td", "3\xc2\xa0mm\xc2\xb2");
    check_text(report, "//tr[th='B']/td", "3\xc2\xa0mm\xc2\xb3");
    check_text(report, "//tr[th='C']/td",
               "3\xc2\xa0"
               "2");
    es_report_free(report);
}

static void figures_do_not_follow_the_locale(void **state) {
    (void)state;
    const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < 4 && !set; i++) set = setlocale(LC_ALL, commas[i]);
    if (!set) print_message("no locale with a decimal comma here: skipped\n");
    if (!set) skip();
    es_report *report = small_report();
    es_report_number(report, "x", "X", 0.25, "mm", NAN);
    check_text(report, "//tr[th='X']/td", "0.25\xc2\xa0mm");
    json_t *root = write_json(report);
    json_decref(root);
    setlocale(LC_ALL, "C");
    es_report_free(report);
}

static json_t *at(json_t *root, const char *a, const char *b, const char *c) {
    json_t *value = json_object_get(root, a);
    if (b) value = json_object_get(value, b);
    if (c) value = json_object_get(value, c);
    return value;
}

static void the_json_has_the_keys_of_the_sections(void **state) {
    (void)state;
    es_report *report = full_report();
    json_t *root = write_json(report);
    assert_string_equal(json_string_value(at(root, "title", NULL, NULL)), "Knee");
    assert_string_equal(json_string_value(at(root, "summary", NULL, NULL)), "Within 0.43 mm.");
    assert_string_equal(json_string_value(at(root, "version", NULL, NULL)), es_version());
    assert_string_equal(json_string_value(at(root, "options", "--spacing", NULL)), "0.5");
    json_t *done = at(root, "sections", "what_was_done", NULL);
    assert_string_equal(json_string_value(json_object_get(done, "chain")), "Image -> Probe");
    assert_int_equal(json_integer_value(at(done, "frames", "value", NULL)), 412);
    assert_true(json_is_null(at(done, "frames", "error", NULL)));
    /* 15 digits are written: the value comes back to 1e-14 or better. */
    assert_true(fabs(json_real_value(at(done, "rms", "value", NULL)) - 0.43123) < 1e-14);
    assert_true(fabs(json_real_value(at(done, "rms", "error", NULL)) - 0.0213) < 1e-14);
    assert_string_equal(json_string_value(at(done, "rms", "unit", NULL)), "mm");
    assert_true(json_is_null(at(done, "depth", "value", NULL)));
    json_t *note = json_array_get(json_object_get(done, "notes"), 0);
    assert_string_equal(json_string_value(json_object_get(note, "level")), "note");
    json_t *pictures = at(root, "sections", "pictures", "pictures");
    assert_int_equal(json_array_size(pictures), 2);
    json_t *input = json_array_get(json_object_get(root, "inputs"), 0);
    assert_string_equal(json_string_value(json_object_get(input, "name")), "knee.igs.mha");
    json_decref(root);
    es_report_free(report);
}

static void the_same_calls_give_the_same_bytes(void **state) {
    (void)state;
    es_report *first = full_report(), *second = full_report();
    size_t a_length, b_length;
    char *a = write_html(first, &a_length), *b = write_html(second, &b_length);
    assert_int_equal(a_length, b_length);
    assert_memory_equal(a, b, a_length);
    es_free(a);
    es_free(b);
    es_report_free(first);
    es_report_free(second);
}

/* ---- hostile text ---------------------------------------------------------------- */

static void texts_are_shown_and_never_run(void **state) {
    (void)state;
    const char *evil = "</td></style><script>alert(\"1\" + '2')</script><!-- & ]]> &amp;";
    es_report *report = es_report_new(evil, NULL);
    es_image picture = checker();
    es_report_summary(report, evil);
    es_report_section(report, evil);
    es_report_row(report, "row", evil, evil);
    es_report_number(report, "number", evil, 1, evil, NAN);
    es_report_note(report, ES_WARNING, evil);
    es_report_picture(report, evil, &picture);
    es_report_option(report, evil, evil);
    es_report_input(report, evil, evil);
    check_well_formed(report);
    check_text(report, "//title", evil);
    check_text(report, "//h1", evil);
    check_text(report, "//h2", evil);
    check_text(report, "//td", evil);
    check_text(report, "//img/@alt", evil);
    check_text(report, "//figcaption", evil);
    size_t length;
    char *html = write_html(report, &length);
    assert_null(find(html, length, "//script"));
    json_t *root = write_json(report);
    assert_string_equal(json_string_value(at(root, "title", NULL, NULL)), evil);
    json_decref(root);
    es_free(html);
    es_image_clear(&picture);
    es_report_free(report);
}

static void bytes_that_are_no_text_are_replaced(void **state) {
    (void)state;
#define BAD "\xef\xbf\xbd"
    const char *const cases[][2] = {
        {"f\xfcr", "f" BAD "r"},                     /* Latin-1 */
        {"a\x01\x1b[0m\x7f", "a" BAD BAD "[0m" BAD}, /* control characters */
        {"\xc0\xaf", BAD BAD},                       /* overlong */
        {"\xed\xa0\x80", BAD BAD BAD},               /* surrogate */
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},       /* past U+10FFFF */
        {"cut \xe2\x82", "cut " BAD BAD},            /* ends too early */
        {"\xef\xbf\xbe", BAD BAD BAD},               /* no character */
        {"\xc2\x85 \xc2\xb1 \xf0\x9f\xa6\xb4", BAD BAD " \xc2\xb1 \xf0\x9f\xa6\xb4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_report *report = es_report_new("r", NULL);
        es_report_section(report, "s");
        es_report_row(report, "k", "K", cases[i][0]);
        check_well_formed(report);
        json_t *root = write_json(report);
        json_t *value = at(root, "sections", "s", "k");
        assert_string_equal(json_string_value(value), cases[i][1]);
        json_decref(root);
        es_report_free(report);
    }
}

/* ---- wrong use, full disks, no memory ------------------------------------------------ */

static void check_refused(es_report *report, es_code code, const char *word) {
    es_error err = {0};
    assert_false(es_report_write_html(report, html_path, &err));
    assert_int_equal(err.code, code);
    if (!strstr(err.message, word)) fail_msg("%s: no word of %s", err.message, word);
    err.code = ES_OK;
    assert_false(es_report_write_json(report, json_path, &err));
    assert_int_equal(err.code, code);
    assert_true(access(html_path, F_OK) != 0 && access(json_path, F_OK) != 0);
    es_report_free(report);
}

static void wrong_keys_are_refused_when_written(void **state) {
    (void)state;
    const char *const keys[] = {"", "Frames", "a b", "notes", "pictures", "a-b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        es_report *report = small_report();
        es_report_row(report, keys[i], "label", "text");
        check_refused(report, ES_USAGE, "is no key");
    }
    es_report *report = small_report();
    es_report_row(report, "frames", "again", "text");
    check_refused(report, ES_USAGE, "twice");
    report = small_report();
    es_report_option(report, "-o", "x");
    es_report_option(report, "-o", "y");
    check_refused(report, ES_USAGE, "twice");
}

static void the_first_problem_is_the_one_reported(void **state) {
    (void)state;
    es_report *report = small_report();
    es_report_row(report, "frames", "again", "text");
    es_report_row(report, "Not A Key", "again", "text");
    check_refused(report, ES_USAGE, "twice");
}

static void the_same_key_may_stand_in_two_sections(void **state) {
    (void)state;
    es_report *report = small_report();
    es_report_section(report, "Another");
    es_report_number(report, "frames", "Frames", 3, "", NAN);
    json_t *root = write_json(report);
    assert_int_equal(json_object_size(json_object_get(root, "sections")), 2);
    json_decref(root);
    es_report_free(report);
}

static void items_before_a_section_are_refused(void **state) {
    (void)state;
    es_report *report = es_report_new("r", NULL);
    es_report_row(report, "k", "K", "v");
    check_refused(report, ES_USAGE, "section");
    report = es_report_new("r", NULL);
    es_report_section(report, "--- \xc3\xa9 ---");
    check_refused(report, ES_USAGE, "section");
}

static void a_picture_that_cannot_be_png_is_reported(void **state) {
    (void)state;
    es_report *report = small_report();
    es_image empty = {0};
    es_report_picture(report, "nothing", &empty);
    check_refused(report, ES_USAGE, "PNG");
}

static void a_failed_write_leaves_the_old_report(void **state) {
    (void)state;
    es_report *report = full_report();
    for (long n = 0; n < 2; n++) { /* the write, the flush */
        es_error err = {0};
        FILE *old = fopen(html_path, "w");
        fputs("old", old);
        fclose(old);
        es_output_fail_after(n);
        assert_false(es_report_write_html(report, html_path, &err));
        assert_int_equal(err.code, ES_IO);
        es_output_fail_after(n);
        assert_false(es_report_write_json(report, json_path, &err));
        es_output_fail_after(-1);
        char *left = es_file_read(html_path, 100, NULL, NULL);
        assert_string_equal(left, "old");
        assert_true(access(json_path, F_OK) != 0);
        es_free(left);
        unlink(html_path);
    }
    es_error err = {0};
    assert_false(es_report_write_html(report, "/nowhere/at/all.html", &err));
    assert_int_equal(err.code, ES_IO);
    es_report_free(report);
}

static bool build_and_write(es_error *err) {
    es_report *report = es_report_new("r", err);
    if (!report) return false;
    es_image picture = {
        .type = ES_U8, .channels = 1, .width = 2, .height = 2, .data = (char[]){"abcd"}};
    es_text svg = {.bytes = (char[]){"<svg/>"}, .length = 6};
    es_report_summary(report, "s");
    es_report_section(report, "one");
    for (char key[2] = "a"; key[0] <= 'r'; key[0]++) es_report_row(report, key, "label", "text");
    es_report_picture(report, "p", &picture);
    es_report_plot(report, "q", &svg);
    es_report_section(report, "two");
    es_report_note(report, ES_NOTE, "n");
    bool ok = es_report_write_html(report, html_path, err) &&
              es_report_write_json(report, json_path, err);
    es_report_free(report);
    return ok;
}

static void each_failed_allocation_is_reported(void **state) {
    (void)state;
    bool done = false;
    for (long n = 0; n < 500 && !done; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        done = build_and_write(&err);
        es_alloc_fail_after(-1);
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        unlink(html_path);
        unlink(json_path);
    }
    assert_true(done);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_well_formed),
        cmocka_unit_test(a_view_stands_in_both_files_and_keeps_the_page_well_formed),
        cmocka_unit_test(a_page_without_a_view_may_run_no_script),
        cmocka_unit_test(a_second_view_is_refused),
        cmocka_unit_test(the_page_says_what_was_put_in),
        cmocka_unit_test(the_page_says_that_it_is_not_for_patients),
        cmocka_unit_test(the_page_loads_nothing_from_elsewhere),
        cmocka_unit_test(a_picture_in_the_page_is_the_picture),
        cmocka_unit_test(figures_are_rounded_by_their_error),
        cmocka_unit_test(square_and_cubic_units_are_raised),
        cmocka_unit_test(figures_do_not_follow_the_locale),
        cmocka_unit_test(the_json_has_the_keys_of_the_sections),
        cmocka_unit_test(the_same_calls_give_the_same_bytes),
        cmocka_unit_test(texts_are_shown_and_never_run),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
        cmocka_unit_test(wrong_keys_are_refused_when_written),
        cmocka_unit_test(the_first_problem_is_the_one_reported),
        cmocka_unit_test(the_same_key_may_stand_in_two_sections),
        cmocka_unit_test(items_before_a_section_are_refused),
        cmocka_unit_test(a_picture_that_cannot_be_png_is_reported),
        cmocka_unit_test(a_failed_write_leaves_the_old_report),
        cmocka_unit_test(each_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
