/* Errors, memory, growing text, cancelling, notes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "echosolid/base.h"

/* ---- errors ------------------------------------------------------------------ */

static void an_error_carries_code_and_message(void **state) {
    (void)state;
    es_error err = {0};
    assert_false(es_fail(&err, ES_FORMAT, "line %d: found %s", 12, "x"));
    assert_int_equal(err.code, ES_FORMAT);
    assert_string_equal(err.message, "line 12: found x");
}

static void each_layer_adds_in_front(void **state) {
    (void)state;
    es_error err = {0};
    es_fail(&err, ES_FORMAT, "expected 16 numbers");
    assert_false(es_prefix(&err, "frame %d", 12));
    assert_false(es_prefix(&err, "scan.mha"));
    assert_string_equal(err.message, "scan.mha: frame 12: expected 16 numbers");
    assert_int_equal(err.code, ES_FORMAT);
}

static void nobody_has_to_want_the_error(void **state) {
    (void)state;
    assert_false(es_fail(NULL, ES_IO, "%s", "x"));
    assert_false(es_prefix(NULL, "%s", "x"));
    assert_false(es_fail_errno(NULL, "%s", "x"));
}

static void a_message_may_be_made_of_the_old_one(void **state) {
    (void)state;
    es_error err = {0};
    es_fail(&err, ES_IO, "disk full");
    es_fail(&err, ES_FORMAT, "%s, so nothing was written", err.message);
    assert_string_equal(err.message, "disk full, so nothing was written");
    es_prefix(&err, "again %s", err.message);
    assert_string_equal(err.message, "again disk full, so nothing was written: "
                                     "disk full, so nothing was written");
}

static void a_message_too_long_is_cut_and_ended(void **state) {
    (void)state;
    char text[3000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    es_error err = {0};
    es_fail(&err, ES_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    es_prefix(&err, "b");
    assert_memory_equal(err.message, "b: aaa", 6);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    es_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void a_system_error_says_why(void **state) {
    (void)state;
    es_error err = {0};
    errno = ENOSPC;
    assert_false(es_fail_errno(&err, "%s: cannot be written", "x.mha"));
    assert_int_equal(err.code, ES_IO);
    assert_string_equal(err.message, "x.mha: cannot be written: No space left on device");
}

/* ---- memory ------------------------------------------------------------------- */

static void zeroed_memory_is_zero(void **state) {
    (void)state;
    uint8_t *block = es_alloc_zero(1000, 7, NULL);
    for (int i = 0; i < 7000; i++) assert_int_equal(block[i], 0);
    es_free(block);
    es_free(NULL);
}

static void no_elements_give_a_valid_pointer(void **state) {
    (void)state;
    void *a = es_alloc(0, 8, NULL), *b = es_alloc_zero(0, 8, NULL), *c = NULL;
    assert_true(a && b && es_resize(&c, 0, 8, NULL) && c);
    assert_true(es_resize(&c, 0, 8, NULL) && c);
    es_free(a);
    es_free(b);
    es_free(c);
}

static void sizes_that_overflow_are_refused(void **state) {
    (void)state;
    const size_t sizes[][2] = {
        {SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {SIZE_MAX, 1}, {(size_t)1 << 32, (size_t)1 << 33}};
    for (size_t i = 0; i < 4; i++) {
        es_error err = {0};
        int keep = 7, *block = &keep;
        assert_null(es_alloc(sizes[i][0], sizes[i][1], &err));
        assert_int_equal(err.code, ES_MEMORY);
        assert_null(es_alloc_zero(sizes[i][0], sizes[i][1], &err));
        assert_false(es_resize(&block, sizes[i][0], sizes[i][1], &err));
        assert_ptr_equal(block, &keep);
    }
    size_t product = 5;
    assert_true(es_multiply((size_t)1 << 31, (size_t)1 << 31, &product));
    assert_int_equal(product, (size_t)1 << 62);
    assert_false(es_multiply((size_t)1 << 32, (size_t)1 << 32, &product));
}

static void resizing_keeps_what_was_there(void **state) {
    (void)state;
    int *numbers = NULL;
    for (int n = 1; n < 2000; n *= 3) {
        assert_true(es_resize(&numbers, (size_t)n, sizeof *numbers, NULL));
        for (int i = 0; i < n / 3; i++) assert_int_equal(numbers[i], i);
        for (int i = 0; i < n; i++) numbers[i] = i;
    }
    es_free(numbers);
}

static void the_chosen_allocation_fails_once(void **state) {
    (void)state;
    for (int chosen = 0; chosen < 5; chosen++) {
        es_alloc_fail_after(chosen);
        for (int i = 0; i < 10; i++) {
            es_error err = {0};
            void *block = i % 2 ? es_alloc(1, 1, &err) : es_alloc_zero(1, 1, &err);
            assert_int_equal(block == NULL, i == chosen);
            assert_int_equal(err.code, i == chosen ? ES_MEMORY : ES_OK);
            es_free(block);
        }
    }
    es_alloc_fail_after(0);
    es_alloc_fail_after(-1);
    void *block = es_alloc(1, 1, NULL);
    assert_non_null(block);
    es_free(block);
}

static void a_failed_resize_leaves_the_block(void **state) {
    (void)state;
    char *text = es_copy_text("kept", NULL), *old = text;
    es_error err = {0};
    es_alloc_fail_after(0);
    assert_false(es_resize(&text, 1000, 1, &err));
    assert_ptr_equal(text, old);
    assert_string_equal(text, "kept");
    assert_int_equal(err.code, ES_MEMORY);
    es_alloc_fail_after(0);
    assert_null(es_copy_text("x", &err));
    es_free(text);
}

/* ---- growing text --------------------------------------------------------------- */

static void text_grows_by_pieces(void **state) {
    (void)state;
    es_text text = {0};
    for (int i = 0; i < 5000; i++) es_text_add(&text, "%d,", i);
    es_text_add_bytes(&text, "a\0b", 3);
    assert_false(text.failed);
    /* 10 + 90 * 2 + 900 * 3 + 4000 * 4 digits, a comma each, three bytes. */
    assert_int_equal(text.length, 10 + 180 + 2700 + 16000 + 5000 + 3);
    assert_memory_equal(text.bytes, "0,1,2,3,", 8);
    assert_memory_equal(text.bytes + text.length - 8, "4999,a\0b", 9); /* with its NUL */
    es_text_free(&text);
    assert_null(text.bytes);
    assert_int_equal(text.length, 0);
}

static void a_long_piece_arrives_whole(void **state) {
    (void)state;
    char piece[10000];
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 1] = '\0';
    es_text text = {0};
    es_text_add(&text, "<%s>", piece);
    assert_int_equal(text.length, sizeof piece + 1);
    assert_int_equal(text.bytes[text.length - 1], '>');
    es_text_free(&text);
}

static void an_empty_piece_makes_a_text(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add_bytes(&text, "", 0);
    assert_string_equal(text.bytes, "");
    es_text_free(&text);
}

static void a_failure_of_text_stays(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add(&text, "before");
    es_alloc_fail_after(0);
    for (int i = 0; i < 100; i++) es_text_add(&text, "filling it up ");
    es_alloc_fail_after(-1);
    assert_true(text.failed);
    size_t length = text.length;
    es_text_add(&text, "after");
    assert_int_equal(text.length, length);
    assert_int_equal(strlen(text.bytes), length);
    es_text_free(&text);
    assert_false(text.failed);
    es_text_add_bytes(&text, "x", SIZE_MAX - 3); /* never read: there is no room */
    assert_true(text.failed);
    es_text_free(&text);
}

/* ---- cancelling, progress, notes ---------------------------------------------------- */

static void cancelling_stays_until_it_is_reset(void **state) {
    (void)state;
    es_error err = {0};
    assert_false(es_cancelled(&err));
    assert_int_equal(err.code, ES_OK);
    es_cancel();
    assert_true(es_cancelled(&err));
    assert_true(es_cancelled(NULL));
    assert_int_equal(err.code, ES_CANCELLED);
    es_cancel_reset();
    assert_false(es_cancelled(NULL));
}

typedef struct heard {
    int count;
    es_level level;
    char text[1100];
    double done, total;
} heard;

static void hear_note(void *context, es_level level, const char *message) {
    heard *h = context;
    h->count++;
    h->level = level;
    snprintf(h->text, sizeof h->text, "%s", message);
}

static void hear_step(void *context, const char *what, double done, double total) {
    heard *h = context;
    h->count++;
    snprintf(h->text, sizeof h->text, "%s", what);
    h->done = done;
    h->total = total;
}

static void notes_reach_the_listener_only(void **state) {
    (void)state;
    heard h = {0};
    es_log(ES_NOTE, "dropped");
    es_log_set(hear_note, &h);
    es_log(ES_WARNING, "%d frames", 3);
    assert_int_equal(h.level, ES_WARNING);
    assert_string_equal(h.text, "3 frames");
    es_log(ES_NOTE, "%2000d", 1); /* cut, not overrun */
    assert_true(strlen(h.text) >= 500);
    es_log_set(NULL, NULL);
    es_log(ES_NOTE, "dropped");
    assert_int_equal(h.count, 2);
}

static void progress_is_optional(void **state) {
    (void)state;
    heard h = {0};
    const es_progress progress = {hear_step, &h}, silent = {0};
    es_progress_step(NULL, "x", 1, 2);
    es_progress_step(&silent, "x", 1, 2);
    es_progress_step(&progress, "frames", 3, 9);
    assert_string_equal(h.text, "frames");
    assert_true(h.count == 1 && h.done == 3 && h.total == 9);
}

static void escaped_text_holds_no_markup(void **state) {
    (void)state;
    es_text text = {0};
    es_text_add_escaped(&text, "<b a=\"1\">5' & 6</b>");
    assert_string_equal(text.bytes, "&lt;b a=&quot;1&quot;&gt;5&#39; &amp; 6&lt;/b&gt;");
    es_text_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escaped_text_holds_no_markup),
        cmocka_unit_test(an_error_carries_code_and_message),
        cmocka_unit_test(each_layer_adds_in_front),
        cmocka_unit_test(nobody_has_to_want_the_error),
        cmocka_unit_test(a_message_may_be_made_of_the_old_one),
        cmocka_unit_test(a_message_too_long_is_cut_and_ended),
        cmocka_unit_test(a_system_error_says_why),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(no_elements_give_a_valid_pointer),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(resizing_keeps_what_was_there),
        cmocka_unit_test(the_chosen_allocation_fails_once),
        cmocka_unit_test(a_failed_resize_leaves_the_block),
        cmocka_unit_test(text_grows_by_pieces),
        cmocka_unit_test(a_long_piece_arrives_whole),
        cmocka_unit_test(an_empty_piece_makes_a_text),
        cmocka_unit_test(a_failure_of_text_stays),
        cmocka_unit_test(cancelling_stays_until_it_is_reset),
        cmocka_unit_test(notes_reach_the_listener_only),
        cmocka_unit_test(progress_is_optional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
