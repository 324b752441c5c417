/* The text at the start of a file: read once, bounded, cut into lines. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "format_internal.h"

static bool check_line(const char *path, long number, const char *line, size_t length,
                       es_error *err) {
    if (length > ES_HEADER_LINE_LIMIT)
        return es_fail(err, ES_FORMAT,
                       "%s: header line %ld is longer than %d bytes; the file is damaged or not "
                       "what its name says",
                       path, number, ES_HEADER_LINE_LIMIT);
    if (memchr(line, 0, length))
        return es_fail(err, ES_FORMAT,
                       "%s: header line %ld holds a zero byte; expected text: the file is damaged "
                       "or not what its name says",
                       path, number);
    return true;
}

/* Goes over the complete lines that have come in; *done at the last one. */
static bool scan_lines(es_header *header, const char *path, size_t filled, bool eof, bool *done,
                       bool (*is_last)(const char *line, size_t length), es_error *err) {
    while (header->length < filled) {
        const char *line = header->text + header->length;
        size_t rest = filled - header->length;
        const char *stop = memchr(line, '\n', rest);
        size_t length = stop ? (size_t)(stop - line) : rest;
        if (!stop && !eof && length <= ES_HEADER_LINE_LIMIT) return true;
        if (!check_line(path, ++header->line, line, length, err)) return false;
        header->length += length + (stop != NULL);
        if (is_last(line, length)) return header->ended = *done = true;
    }
    return true;
}

bool es_header_read(es_header *header, const char *path,
                    bool (*is_last)(const char *line, size_t length), es_error *err) {
    memset(header, 0, sizeof *header);
    FILE *file = fopen(path, "rb");
    if (!file) return es_fail_errno(err, "%s: cannot be opened", path);
    size_t filled = 0, capacity = 0;
    bool ok = true, done = false;
    while (ok && !done) {
        if (filled + 1 >= capacity) {
            capacity = capacity ? 2 * capacity : 65536;
            ok = es_resize(&header->text, capacity, 1, err);
            if (!ok) break;
        }
        size_t n = fread(header->text + filled, 1, capacity - filled - 1, file);
        filled += n;
        if (n == 0 && ferror(file)) ok = es_fail_errno(err, "%s: reading failed", path);
        ok = ok && scan_lines(header, path, filled, n == 0, &done, is_last, err);
        if (ok && !done && filled > ES_HEADER_LIMIT)
            ok = es_fail(err, ES_FORMAT, "%s: no end of the header within %d bytes", path,
                         ES_HEADER_LIMIT);
        done = done || n == 0;
    }
    fclose(file);
    if (ok) header->text[header->length] = '\0';
    header->line = 0;
    return ok;
}

char *es_header_line(es_header *header) {
    if (header->cursor >= header->length) return NULL;
    char *line = header->text + header->cursor;
    char *stop = memchr(line, '\n', header->length - header->cursor);
    if (!stop) stop = header->text + header->length;
    header->cursor = (size_t)(stop - header->text) + 1;
    *stop = '\0';
    if (stop > line && stop[-1] == '\r') stop[-1] = '\0';
    header->line++;
    return line;
}

void es_header_clear(es_header *header) {
    es_free(header->text);
    memset(header, 0, sizeof *header);
}

char *es_trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

int es_key_find(const char *const *names, int count, const char *key) {
    for (int i = 0; i < count; i++)
        if (names[i] && strcasecmp(names[i], key) == 0) return i;
    return -1;
}

bool es_parse_vector(const char *key, const char *text, double *values, int count, es_error *err) {
    long found = es_parse_doubles(text, values, count);
    if (found < 0)
        return es_fail(err, ES_FORMAT, "%s: expected %d numbers, found \"%.60s\"", key, count,
                       text);
    if (found != count)
        return es_fail(err, ES_FORMAT, "%s: expected %d numbers, found %ld", key, count, found);
    for (int i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return es_fail(err, ES_FORMAT, "%s: number %d is not finite", key, i + 1);
    return true;
}

bool es_parse_sizes(const char *key, const char *text, uint64_t *sizes, int count, es_error *err) {
    enum { MOST = 8 };
    static const double limit = 9007199254740992.0; /* whole numbers are exact up to 2^53 */
    double values[MOST];
    if (!es_parse_vector(key, text, values, count < MOST ? count : MOST, err)) return false;
    for (int i = 0; i < count; i++) {
        if (!(values[i] >= 0 && values[i] <= limit && values[i] == (double)(int64_t)values[i]))
            return es_fail(err, ES_FORMAT, "%s: expected whole numbers, found %g", key, values[i]);
        sizes[i] = (uint64_t)values[i];
    }
    return true;
}
