/* Numbers in text, chance, the processor and the clock. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/base.h"

/* ---- numbers in text ---------------------------------------------------------- */

static void whole_texts_are_numbers(void **state) {
    (void)state;
    const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},           {"-1.5", -1.5},      {" +2e3 ", 2000},
                 {"\t.5\r\n", 0.5},  {"5.", 5},           {"1E-2", 0.01},
                 {"0008", 8},        {"-inf", -INFINITY}, {"Infinity", INFINITY},
                 {"1e999", INFINITY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 77;
        assert_true(es_parse_double(cases[i].text, &value));
        assert_true(value == cases[i].value);
    }
    double value = 0;
    assert_true(es_parse_double("nan", &value));
    assert_true(isnan(value));
}

static void other_texts_are_not_numbers(void **state) {
    (void)state;
    const char *const cases[] = {"",           " ",    "x",        "1x",  "1 2",   "1,5",  "--1",
                                 "1e",         "e5",   ".",        "+",   "1 mm",  "0.2;", "1..2",
                                 "\xc2\xa0-1", "nanx", "infinite", "one", "1_000", "- 1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double value = 77;
        int64_t whole = 77;
        if (es_parse_double(cases[i], &value)) fail_msg("\"%s\" was taken for %g", cases[i], value);
        assert_false(es_parse_int(cases[i], &whole));
        assert_true(value == 77 && whole == 77);
    }
}

static void whole_numbers_keep_64_bits(void **state) {
    (void)state;
    int64_t value = 0;
    assert_true(es_parse_int("9223372036854775807", &value));
    assert_true(value == INT64_MAX);
    assert_true(es_parse_int(" -9223372036854775808\n", &value));
    assert_true(value == INT64_MIN);
    const char *const wrong[] = {"9223372036854775808", "-9223372036854775809", "1.0", "1e3",
                                 "0x10"};
    for (size_t i = 0; i < 5; i++) assert_false(es_parse_int(wrong[i], &value));
}

static void lists_of_numbers_are_counted(void **state) {
    (void)state;
    double v[4] = {0};
    assert_int_equal(es_parse_doubles("", v, 4), 0);
    assert_int_equal(es_parse_doubles("  \n", v, 4), 0);
    assert_int_equal(es_parse_doubles(" 1 -2.5,3;\t4e1 ", v, 4), 4);
    assert_true(v[0] == 1 && v[1] == -2.5 && v[2] == 3 && v[3] == 40);
    v[2] = 99;
    assert_int_equal(es_parse_doubles("7 8 9 10 11", v, 2), 5);
    assert_true(v[0] == 7 && v[1] == 8 && v[2] == 99); /* past the limit: only counted */
    assert_int_equal(es_parse_doubles("1 2 3", NULL, 0), 3);
    const char *const wrong[] = {"1 x", "1x", "1 2 3z", "a", "1-2", "1 2 (3)", "1 - 2"};
    for (size_t i = 0; i < 7; i++) assert_int_equal(es_parse_doubles(wrong[i], v, 4), -1);
}

static void written_numbers_read_back_exactly(void **state) {
    (void)state;
    es_random random = es_random_new(11, 0);
    const double special[] = {0, -0.0, 0.1, 1.0 / 3, DBL_MAX, -DBL_MAX, DBL_MIN, 5e-324, 1e23};
    char text[ES_NUMBER_SIZE];
    for (int i = 0; i < 20009; i++) {
        double value = i < 9 ? special[i] : 0, back = 77;
        uint64_t bits = es_random_bits(&random);
        if (i >= 9) memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        assert_ptr_equal(es_format_double(value, text), text);
        assert_true(es_parse_double(text, &back));
        assert_memory_equal(&back, &value, sizeof value); /* the sign of zero too */
    }
}

static void written_numbers_are_short(void **state) {
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {{0.1, "0.1"},
                 {0.3, "0.3"},
                 {1e-5, "1e-05"},
                 {100, "100"},
                 {-2.5, "-2.5"},
                 {5e-324, "5e-324"},
                 {1e15, "1e+15"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {123456789, "123456789"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"}};
    char text[ES_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(es_format_double(cases[i].value, text), cases[i].text);
    double back;
    assert_true(es_parse_double(es_format_double(NAN, text), &back));
    assert_true(isnan(back));
}

static void numbers_do_not_follow_the_locale(void **state) {
    (void)state;
    const char *const commas[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    const char *set = NULL;
    for (size_t i = 0; i < 4 && !set; i++) set = setlocale(LC_ALL, commas[i]);
    if (!set) print_message("no locale with a decimal comma here: skipped\n");
    if (!set) skip();
    char text[ES_NUMBER_SIZE];
    double value = 0, list[2];
    assert_string_equal(es_format_double(0.25, text), "0.25");
    assert_true(es_parse_double("0.25", &value) && value == 0.25);
    assert_false(es_parse_double("0,25", &value));
    assert_int_equal(es_parse_doubles("0,25", list, 2), 2);
    setlocale(LC_ALL, "C");
}

/* ---- chance ---------------------------------------------------------------------- */

static void the_same_seed_gives_the_same_sequence(void **state) {
    (void)state;
    es_random a = es_random_new(5, 9), b = es_random_new(5, 9);
    for (int i = 0; i < 100; i++) assert_true(es_random_bits(&a) == es_random_bits(&b));
    /* The published first outputs of SplitMix64 from state 1234567. */
    es_random published = {1234567};
    assert_true(es_random_bits(&published) == 6457827717110365317u);
    assert_true(es_random_bits(&published) == 3203168211198807973u);
    assert_true(es_random_bits(&published) == 9817491932198370423u);
}

static void seeds_and_streams_differ(void **state) {
    (void)state;
    enum { COUNT = 200 };
    static uint64_t first[2 * COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        es_random by_seed = es_random_new(i, 1000), by_stream = es_random_new(1000000, i);
        first[i] = es_random_bits(&by_seed);
        first[COUNT + i] = es_random_bits(&by_stream);
    }
    for (int i = 0; i < 2 * COUNT; i++)
        for (int j = 0; j < i; j++) assert_true(first[i] != first[j]);
}

static void neighbouring_streams_are_not_correlated(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    for (uint64_t stream = 0; stream < 8; stream++) {
        es_random a = es_random_new(1, stream), b = es_random_new(1, stream + 1);
        double sum = 0;
        for (int i = 0; i < COUNT; i++)
            sum += (es_random_uniform(&a) - 0.5) * (es_random_uniform(&b) - 0.5);
        /* The mean of products has a deviation of 1/12 / sqrt(n); 5 of them. */
        assert_true(fabs(sum / COUNT) < 5.0 / 12 / sqrt(COUNT));
    }
}

static void uniform_and_normal_have_their_moments(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    es_random random = es_random_new(3, 4);
    double mean = 0, square = 0, normal = 0, normal2 = 0, normal4 = 0;
    for (int i = 0; i < COUNT; i++) {
        double u = es_random_uniform(&random), n = es_random_normal(&random);
        assert_true(u >= 0 && u < 1 && isfinite(n));
        mean += u / COUNT;
        square += u * u / COUNT;
        normal += n / COUNT;
        normal2 += n * n / COUNT;
        normal4 += n * n * n * n / COUNT;
    }
    /* Five deviations of each mean over 200,000 draws. */
    double five = 5 / sqrt(COUNT);
    assert_true(fabs(mean - 0.5) < five * sqrt(1.0 / 12));
    assert_true(fabs(square - 1.0 / 3) < five * sqrt(4.0 / 45));
    assert_true(fabs(normal) < five);
    assert_true(fabs(normal2 - 1) < five * sqrt(2));
    assert_true(fabs(normal4 - 3) < five * sqrt(96));
}

/* ---- processor, clock, memory, version --------------------------------------------- */

static void the_kernel_level_can_be_lowered_but_not_raised(void **state) {
    (void)state;
    es_cpu best, level;
    es_error err = {0};
    const char *old = getenv("ES_CPU");
    char *kept = old ? es_copy_text(old, NULL) : NULL;
    unsetenv("ES_CPU");
    assert_true(es_cpu_level(&best, &err));
    for (es_cpu wish = ES_CPU_SCALAR; wish <= ES_CPU_AVX512; wish++) {
        setenv("ES_CPU", es_cpu_name(wish), 1);
        assert_true(es_cpu_level(&level, &err));
        assert_int_equal(level, wish < best ? wish : best);
    }
    setenv("ES_CPU", "", 1);
    assert_true(es_cpu_level(&level, &err));
    assert_int_equal(level, best);
    setenv("ES_CPU", "sse9", 1);
    assert_false(es_cpu_level(&level, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_non_null(strstr(err.message, "sse9"));
    unsetenv("ES_CPU");
    if (kept) setenv("ES_CPU", kept, 1);
    es_free(kept);
}

static void the_clock_runs_forward(void **state) {
    (void)state;
    double last = es_clock_s(), start = last;
    for (int i = 0; i < 100000; i++) {
        double now = es_clock_s();
        assert_true(now >= last);
        last = now;
    }
    assert_true(last > start && last - start < 60);
}

static void memory_figures_follow_what_is_used(void **state) {
    (void)state;
    enum { MIB = 64 };
    uint64_t before = es_memory_peak();
    assert_true(before > 0);
    volatile char *block = es_alloc(MIB, 1 << 20, NULL);
    for (size_t i = 0; i < (size_t)MIB << 20; i += 1024) block[i] = 1;
    assert_true(es_memory_peak() >= (uint64_t)MIB << 20);
    assert_true(es_memory_peak() >= before);
    assert_true(es_memory_free() > 0);
    es_free((void *)block);
}

static void the_version_has_three_numbers(void **state) {
    (void)state;
    int a = -1, b = -1, c = -1, length = 0;
    assert_int_equal(sscanf(es_version(), "%d.%d.%d%n", &a, &b, &c, &length), 3);
    assert_int_equal(es_version()[length], '\0');
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_texts_are_numbers),
        cmocka_unit_test(other_texts_are_not_numbers),
        cmocka_unit_test(whole_numbers_keep_64_bits),
        cmocka_unit_test(lists_of_numbers_are_counted),
        cmocka_unit_test(written_numbers_read_back_exactly),
        cmocka_unit_test(written_numbers_are_short),
        cmocka_unit_test(numbers_do_not_follow_the_locale),
        cmocka_unit_test(the_same_seed_gives_the_same_sequence),
        cmocka_unit_test(seeds_and_streams_differ),
        cmocka_unit_test(neighbouring_streams_are_not_correlated),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(the_kernel_level_can_be_lowered_but_not_raised),
        cmocka_unit_test(the_clock_runs_forward),
        cmocka_unit_test(memory_figures_follow_what_is_used),
        cmocka_unit_test(the_version_has_three_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
