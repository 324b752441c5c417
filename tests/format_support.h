/* What the tests of src/format share: a folder of their own, small files,
 * frames with known contents. */
#ifndef FORMAT_SUPPORT_H
#define FORMAT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "echosolid/format.h"

static char folder[256];

static inline const char *in_folder(const char *name) {
    static char paths[8][512];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, 512, "%s/%s", folder, name);
    return path;
}

static inline int make_folder(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/echosolid-format-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

/* Files left in the folder, removed; -1 when it cannot be read. */
static inline int empty_folder(void) {
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' && (!entry->d_name[1] || entry->d_name[1] == '.')) continue;
        unlink(in_folder(entry->d_name));
        count++;
    }
    closedir(dir);
    return count;
}

static inline int remove_folder(void **state) {
    (void)state;
    empty_folder();
    return rmdir(folder);
}

static inline const char *write_bytes(const char *name, const void *bytes, size_t length) {
    const char *path = in_folder(name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
    return path;
}

/* A header as text, then pixel bytes. */
static inline const char *write_mixed(const char *name, const char *header, const void *pixels,
                                      size_t length) {
    size_t head = strlen(header);
    char *all = malloc(head + length + 1);
    assert_non_null(all);
    memcpy(all, header, head);
    if (length) memcpy(all + head, pixels, length);
    const char *path = write_bytes(name, all, head + length);
    free(all);
    return path;
}

static inline char *slurp(const char *path, size_t *length) {
    es_error err = {0};
    char *text = es_file_read(path, 1 << 28, length, &err);
    if (!text) fail_msg("%s", err.message);
    return text;
}

static inline bool exists(const char *path) { return access(path, F_OK) == 0; }

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        err = (es_error){0};                                                                       \
        if (!(call)) fail_msg("%s: %s", #call, err.message);                                       \
    } while (0)

static inline void assert_says(const es_error *err, es_code code, const char *part) {
    if (!strstr(err->message, part))
        fail_msg("expected a message with \"%s\", got \"%s\"", part, err->message);
    if (err->code != code)
        fail_msg("expected code %d, got %d: %s", (int)code, (int)err->code, err->message);
}

static inline bool next_frame(es_source *source, es_frame *frame, unsigned flags) {
    es_error err = {0};
    bool end = false;
    if (!es_source_next(source, frame, flags, &end, &err)) fail_msg("%s", err.message);
    return !end;
}

/* Deterministic contents of one element: every byte differs from place to
 * place, floats are exact fractions. */
static inline double sample(es_type type, uint64_t place) {
    double low, high, x = (double)((place * 2654435761u) % 1000003u) / 1000003.0;
    es_type_range(type, &low, &high);
    if (type == ES_F32 || type == ES_F64) return ldexp(floor(x * 4096), -5) - 60;
    return floor(low + x * (high - low));
}

#endif
