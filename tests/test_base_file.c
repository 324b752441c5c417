/* Files that appear whole or not at all, reading, digests, names. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

#include "echosolid/base.h"

/* ---- a folder of its own for every test ------------------------------------------ */

static char folder[32], a_path[64], b_path[64];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/es_file_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(a_path, sizeof a_path, "%s/a.mhd", folder);
    snprintf(b_path, sizeof b_path, "%s/b.raw", folder);
    return 0;
}

/* Removes both files; anything else that was left fails the test. */
static int remove_folder(void **state) {
    (void)state;
    unlink(a_path);
    unlink(b_path);
    rmdir(b_path);
    return rmdir(folder);
}

static int files_in_folder(void) {
    int count = 0;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void write_plain(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void check_content(const char *path, const char *expected) {
    char *text = es_file_read(path, 1 << 20, NULL, NULL);
    assert_non_null(text);
    assert_string_equal(text, expected);
    es_free(text);
}

static es_output *open_with(const char *path, const char *text) {
    es_output *out = es_output_open(path, NULL);
    assert_non_null(out);
    assert_true(es_output_write(out, text, strlen(text), NULL));
    return out;
}

/* ---- writing ------------------------------------------------------------------------ */

static void a_file_appears_when_it_is_committed(void **state) {
    (void)state;
    es_error err = {0};
    es_output *out = open_with(a_path, "hello ");
    assert_true(es_output_print(out, &err, "%d %s", 42, "frames"));
    assert_int_equal(es_output_position(out), 15);
    assert_true(access(a_path, F_OK) != 0);
    assert_true(es_output_commit(out, &err));
    check_content(a_path, "hello 42 frames");
    assert_int_equal(files_in_folder(), 1);
}

static void a_discarded_file_leaves_the_old_one(void **state) {
    (void)state;
    write_plain(a_path, "old");
    es_output_discard(open_with(a_path, "new"));
    es_output_discard(NULL);
    check_content(a_path, "old");
    assert_int_equal(files_in_folder(), 1);
}

static void a_long_print_arrives_whole(void **state) {
    (void)state;
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    es_output *out = open_with(a_path, "<");
    assert_true(es_output_print(out, NULL, "%s>", text));
    assert_int_equal(es_output_position(out), sizeof text + 1);
    es_error err = {0};
    es_alloc_fail_after(0);
    assert_false(es_output_print(out, &err, "%s>", text));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
    es_output_discard(out);
}

static void written_bytes_can_be_patched(void **state) {
    (void)state;
    es_output *out = open_with(a_path, "count=00000;");
    assert_true(es_output_patch(out, 6, "12345", 5, NULL));
    assert_true(es_output_write(out, "end", 3, NULL)); /* goes on at the end */
    assert_true(es_output_patch(out, 0, "C", 1, NULL));
    assert_int_equal(es_output_position(out), 15);
    assert_true(es_output_commit(out, NULL));
    check_content(a_path, "Count=12345;end");
}

static void patches_past_the_end_are_refused(void **state) {
    (void)state;
    es_output *out = open_with(a_path, "12345");
    const uint64_t offsets[] = {5, 4, 6, UINT64_MAX, UINT64_MAX - 1};
    for (size_t i = 0; i < 5; i++) {
        es_error err = {0};
        assert_false(es_output_patch(out, offsets[i], "xy", 2, &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    assert_true(es_output_patch(out, 3, "xy", 2, NULL));
    assert_true(es_output_commit(out, NULL));
    check_content(a_path, "123xy");
}

static void bytes_with_zeros_survive(void **state) {
    (void)state;
    es_output *out = es_output_open(a_path, NULL);
    assert_true(es_output_write(out, "a\0b", 3, NULL));
    assert_true(es_output_write(out, NULL, 0, NULL));
    assert_true(es_output_commit(out, NULL));
    size_t length;
    char *bytes = es_file_read(a_path, 3, &length, NULL);
    assert_int_equal(length, 3);
    assert_memory_equal(bytes, "a\0b", 4);
    es_free(bytes);
}

static void places_that_cannot_be_written_are_refused(void **state) {
    (void)state;
    const char *const places[] = {"", "/nowhere/at/all.mha", folder, "/dev/null", "/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        es_error err = {0};
        assert_null(es_output_open(places[i], &err));
        assert_int_equal(err.code, ES_IO);
        assert_true(strlen(err.message) > strlen(places[i]) + 5);
    }
    struct stat status;
    assert_true(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
}

static void a_pipe_is_not_replaced_by_a_file(void **state) {
    (void)state;
    es_error err = {0};
    assert_int_equal(mkfifo(a_path, 0600), 0);
    assert_null(es_output_open(a_path, &err));
    assert_int_equal(err.code, ES_IO);
}

/* ---- full disks ----------------------------------------------------------------------- */

/* Three writes, a patch, the flush: step n fails. The whole must fail, with
 * the reason, and leave the old file. */
static void a_full_disk_at_any_step_leaves_the_old_file(void **state) {
    (void)state;
    for (long n = 0; n < 6; n++) {
        es_error err = {0};
        write_plain(a_path, "old");
        es_output_fail_after(n);
        es_output *out = es_output_open(a_path, &err);
        bool ok = es_output_write(out, "one", 3, &err) && es_output_write(out, "two", 3, &err) &&
                  es_output_print(out, &err, "%d", 3) && es_output_patch(out, 0, "O", 1, &err);
        if (ok)
            ok = es_output_commit(out, &err);
        else
            es_output_discard(out);
        es_output_fail_after(-1);
        assert_int_equal(ok, n == 5);
        if (!ok) assert_int_equal(err.code, ES_IO);
        if (!ok) assert_non_null(strstr(err.message, "No space left"));
        check_content(a_path, ok ? "Onetwo3" : "old");
        assert_int_equal(files_in_folder(), 1);
    }
}

static void a_failed_write_that_was_overlooked_fails_the_commit(void **state) {
    (void)state;
    for (int step = 0; step < 2; step++) {
        es_error err = {0};
        es_output *out = open_with(a_path, "one");
        es_output_fail_after(0);
        if (step == 0)
            es_output_write(out, "two", 3, NULL);
        else
            es_output_patch(out, 0, "x", 1, NULL);
        es_output_fail_after(-1);
        assert_false(es_output_commit(out, &err));
        assert_int_equal(err.code, ES_IO);
        assert_int_equal(files_in_folder(), 0);
    }
}

/* The system's own refusal: a limit on the size of files. */
static void a_real_refusal_of_the_system_is_reported(void **state) {
    (void)state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    es_error err = {0};
    es_output *out = open_with(a_path, "start");
    static char block[40000];
    bool ok = true;
    for (int i = 0; i < 5 && ok; i++) ok = es_output_write(out, block, sizeof block, &err);
    if (ok)
        ok = es_output_commit(out, &err);
    else
        es_output_discard(out);
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, handler);
    assert_false(ok);
    assert_int_equal(err.code, ES_IO);
    assert_non_null(strstr(err.message, strerror(EFBIG)));
    assert_int_equal(files_in_folder(), 0);
}

/* ---- sets of files --------------------------------------------------------------------- */

static void a_set_appears_together(void **state) {
    (void)state;
    write_plain(a_path, "old");
    es_output *outs[2] = {open_with(a_path, "header"), open_with(b_path, "pixels")};
    assert_true(es_output_commit_all(outs, 2, NULL));
    check_content(a_path, "header");
    check_content(b_path, "pixels");
    assert_int_equal(files_in_folder(), 2);
}

static void a_set_fails_together_when_the_disk_is_full(void **state) {
    (void)state;
    for (long n = 0; n < 2; n++) {
        es_error err = {0};
        write_plain(a_path, "old");
        es_output *outs[2] = {open_with(a_path, "header"), open_with(b_path, "pixels")};
        es_output_fail_after(n); /* the flush of the first, of the second */
        assert_false(es_output_commit_all(outs, 2, &err));
        es_output_fail_after(-1);
        assert_int_equal(err.code, ES_IO);
        check_content(a_path, "old");
        assert_int_equal(files_in_folder(), 1);
    }
}

static void a_set_fails_together_when_a_name_is_taken(void **state) {
    (void)state;
    for (int had_old = 0; had_old < 2; had_old++) {
        es_error err = {0};
        if (had_old) write_plain(a_path, "old");
        es_output *outs[2] = {open_with(a_path, "header"), open_with(b_path, "pixels")};
        assert_int_equal(mkdir(b_path, 0700), 0); /* a folder comes in between */
        assert_false(es_output_commit_all(outs, 2, &err));
        assert_int_equal(err.code, ES_IO);
        if (had_old) check_content(a_path, "old");
        assert_int_equal(files_in_folder(), 1 + had_old); /* that folder, the old file */
        rmdir(b_path);
    }
}

static void a_set_fails_together_without_memory(void **state) {
    (void)state;
    es_error err = {0};
    es_output *outs[2] = {open_with(a_path, "header"), open_with(b_path, "pixels")};
    es_alloc_fail_after(0);
    assert_false(es_output_commit_all(outs, 2, &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
    assert_int_equal(files_in_folder(), 0);
}

static void opening_without_memory_leaves_nothing(void **state) {
    (void)state;
    es_output *out = NULL;
    for (long n = 0; n < 10 && !out; n++) {
        es_error err = {0};
        es_alloc_fail_after(n);
        out = es_output_open(a_path, &err);
        es_alloc_fail_after(-1);
        assert_true(out || err.code == ES_MEMORY);
        assert_int_equal(files_in_folder(), out != NULL);
    }
    assert_non_null(out);
    es_output_discard(out);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void a_file_is_read_up_to_its_limit(void **state) {
    (void)state;
    static char text[200001];
    memset(text, 'z', sizeof text - 1);
    write_plain(a_path, text);
    const struct {
        size_t limit;
        bool fits;
    } cases[] = {{200000, true}, {1 << 30, true}, {199999, false}, {65535, false}, {0, false}};
    for (size_t i = 0; i < 5; i++) {
        es_error err = {0};
        size_t length = 0;
        char *bytes = es_file_read(a_path, cases[i].limit, &length, &err);
        assert_int_equal(bytes != NULL, cases[i].fits);
        assert_int_equal(err.code, cases[i].fits ? ES_OK : ES_FORMAT);
        if (bytes) assert_int_equal(length, 200000);
        if (bytes) assert_int_equal(bytes[length], '\0');
        es_free(bytes);
    }
    write_plain(a_path, "");
    check_content(a_path, "");
}

static void what_cannot_be_read_is_reported(void **state) {
    (void)state;
    es_error err = {0};
    char hex[33];
    assert_null(es_file_read(a_path, 100, NULL, &err));
    assert_int_equal(err.code, ES_IO);
    assert_non_null(strstr(err.message, a_path));
    assert_null(es_file_read(folder, 100, NULL, &err));
    assert_int_equal(err.code, ES_IO);
    assert_false(es_file_digest(a_path, hex, &err));
    assert_false(es_file_digest(folder, hex, &err));
    assert_int_equal(err.code, ES_IO);
    write_plain(a_path, "text");
    es_alloc_fail_after(0);
    assert_null(es_file_read(a_path, 100, NULL, &err));
    assert_int_equal(err.code, ES_MEMORY);
    es_alloc_fail_after(0);
    err.code = ES_OK;
    assert_false(es_file_digest(a_path, hex, &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
}

static void a_digest_is_the_published_one(void **state) {
    (void)state;
    char hex[33];
    write_plain(a_path, "");
    assert_true(es_file_digest(a_path, hex, NULL));
    /* XXH3-128 of nothing, seed 0, as xxHash's own sanity table has it. */
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void a_digest_sees_every_byte_and_nothing_else(void **state) {
    (void)state;
    enum { SIZE = 3 << 20 }; /* several blocks of reading */
    char *bytes = es_alloc_zero(SIZE + 1, 1, NULL), hex[33], other[33];
    memset(bytes, 'q', SIZE);
    write_plain(a_path, bytes);
    write_plain(b_path, bytes);
    assert_true(es_file_digest(a_path, hex, NULL) && es_file_digest(b_path, other, NULL));
    assert_string_equal(hex, other);
    assert_int_equal(strlen(hex), 32);
    bytes[SIZE - 1] = 'r';
    write_plain(b_path, bytes);
    assert_true(es_file_digest(b_path, other, NULL));
    assert_string_not_equal(hex, other);
    es_error err = {0};
    es_cancel();
    assert_false(es_file_digest(a_path, hex, &err));
    es_cancel_reset();
    assert_int_equal(err.code, ES_CANCELLED);
    es_free(bytes);
}

static void a_folder_and_a_choice_have_digests_too(void **state) {
    (void)state;
    char whole[33], again[33], file[33], chosen[33], name[80];
    write_plain(a_path, "one");
    write_plain(b_path, "two");
    assert_true(es_input_digest(folder, whole, NULL));
    assert_true(es_input_digest(folder, again, NULL));
    assert_string_equal(whole, again);
    snprintf(name, sizeof name, "%s/frame%%04d.png", folder);
    assert_true(es_input_digest(name, again, NULL));
    assert_string_equal(whole, again);
    snprintf(name, sizeof name, "%s#3", a_path);
    assert_true(es_input_digest(name, chosen, NULL) && es_file_digest(a_path, file, NULL));
    assert_string_equal(chosen, file);
    write_plain(b_path, "twa");
    assert_true(es_input_digest(folder, again, NULL));
    assert_string_not_equal(whole, again);
    es_error err = {0};
    assert_false(es_input_digest("/tmp/es-no/such/file", again, &err));
    assert_int_equal(err.code, ES_IO);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void suffixes_are_compared_without_case(void **state) {
    (void)state;
    assert_true(es_has_suffix("scan.IGS.MHA", ".mha"));
    assert_true(es_has_suffix("scan.igs.mha", ".igs.mha"));
    assert_true(es_has_suffix(".mha", ".mha"));
    assert_false(es_has_suffix("mha", ".mha"));
    assert_false(es_has_suffix("scan.mhax", ".mha"));
    assert_false(es_has_suffix("", ".mha"));
}

static void names_are_taken_beside_a_file(void **state) {
    (void)state;
    const char *const cases[][3] = {{"/data/scan.mhd", "scan.raw", "/data/scan.raw"},
                                    {"scan.mhd", "scan.raw", "scan.raw"},
                                    {"/data/scan.mhd", "/other/scan.raw", "/other/scan.raw"},
                                    {"a/b/", "c", "a/b/c"},
                                    {"/x", "y", "/y"}};
    for (size_t i = 0; i < 5; i++) {
        char *path = es_path_beside(cases[i][0], cases[i][1], NULL);
        assert_string_equal(path, cases[i][2]);
        es_free(path);
    }
    assert_string_equal(es_path_name("/a/b.c"), "b.c");
    assert_string_equal(es_path_name("b.c"), "b.c");
    assert_string_equal(es_path_name("a/"), "");
    es_error err = {0};
    es_alloc_fail_after(0);
    assert_null(es_path_beside("a", "b", &err));
    es_alloc_fail_after(-1);
    assert_int_equal(err.code, ES_MEMORY);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        FILE_TEST(a_file_appears_when_it_is_committed),
        FILE_TEST(a_discarded_file_leaves_the_old_one),
        FILE_TEST(a_long_print_arrives_whole),
        FILE_TEST(written_bytes_can_be_patched),
        FILE_TEST(patches_past_the_end_are_refused),
        FILE_TEST(bytes_with_zeros_survive),
        FILE_TEST(places_that_cannot_be_written_are_refused),
        FILE_TEST(a_pipe_is_not_replaced_by_a_file),
        FILE_TEST(a_full_disk_at_any_step_leaves_the_old_file),
        FILE_TEST(a_failed_write_that_was_overlooked_fails_the_commit),
        FILE_TEST(a_real_refusal_of_the_system_is_reported),
        FILE_TEST(a_set_appears_together),
        FILE_TEST(a_set_fails_together_when_the_disk_is_full),
        FILE_TEST(a_set_fails_together_when_a_name_is_taken),
        FILE_TEST(a_set_fails_together_without_memory),
        FILE_TEST(opening_without_memory_leaves_nothing),
        FILE_TEST(a_file_is_read_up_to_its_limit),
        FILE_TEST(what_cannot_be_read_is_reported),
        FILE_TEST(a_digest_is_the_published_one),
        FILE_TEST(a_digest_sees_every_byte_and_nothing_else),
        FILE_TEST(a_folder_and_a_choice_have_digests_too),
        FILE_TEST(suffixes_are_compared_without_case),
        FILE_TEST(names_are_taken_beside_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
