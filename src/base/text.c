/* Text that grows, and numbers in text without the locale. */
#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/base.h"

static bool make_room(es_text *text, size_t more) {
    if (text->failed) return false;
    if (more >= PTRDIFF_MAX - text->length) {
        text->failed = true;
        return false;
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < needed) capacity *= 2;
    if (!es_resize(&text->bytes, capacity, 1, NULL)) {
        text->failed = true;
        return false;
    }
    text->capacity = capacity;
    return true;
}

void es_text_add_bytes(es_text *text, const void *bytes, size_t length) {
    if (!make_room(text, length)) return;
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void es_text_add(es_text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) text->failed = true;
    if (n >= 0 && make_room(text, (size_t)n)) {
        vsnprintf(text->bytes + text->length, (size_t)n + 1, format, again);
        text->length += (size_t)n;
    }
    va_end(again);
}

void es_text_add_escaped(es_text *out, const char *text) {
    for (size_t plain; *text; text += plain) {
        plain = strcspn(text, "&<>\"'");
        es_text_add_bytes(out, text, plain);
        switch (text[plain]) {
        case '&': es_text_add(out, "&amp;"); break;
        case '<': es_text_add(out, "&lt;"); break;
        case '>': es_text_add(out, "&gt;"); break;
        case '"': es_text_add(out, "&quot;"); break;
        case '\'': es_text_add(out, "&#39;"); break;
        default: continue;
        }
        plain++;
    }
}

void es_text_free(es_text *text) {
    es_free(text->bytes);
    memset(text, 0, sizeof *text);
}

/* strtod and printf follow the locale of the process (a decimal comma in half
 * of Europe); numbers in files never do. */
static locale_t c_locale;
static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static locale_t plain_locale(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_c_locale);
    return c_locale;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *skip_blanks(const char *text) {
    while (is_blank(*text)) text++;
    return text;
}

bool es_parse_double(const char *text, double *value) {
    char *end;
    text = skip_blanks(text);
    double parsed = strtod_l(text, &end, plain_locale());
    if (end == text || *skip_blanks(end)) return false;
    *value = parsed;
    return true;
}

bool es_parse_int(const char *text, int64_t *value) {
    char *end;
    text = skip_blanks(text);
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || errno || *skip_blanks(end)) return false;
    *value = parsed;
    return true;
}

static bool is_separator(char c) { return is_blank(c) || c == ',' || c == ';'; }

long es_parse_doubles(const char *text, double *values, long limit) {
    long count = 0;
    for (;;) {
        while (*text && is_separator(*text)) text++;
        if (!*text) return count;
        char *end;
        double parsed = strtod_l(text, &end, plain_locale());
        if (end == text || (*end && !is_separator(*end))) return -1;
        if (count < limit) values[count] = parsed;
        count++;
        text = end;
    }
}

char *es_format_double(double value, char text[ES_NUMBER_SIZE]) {
    locale_t old = uselocale(plain_locale());
    /* 15 digits always hold, fewer are cut by %g; subnormals have fewer still. */
    for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
        snprintf(text, ES_NUMBER_SIZE, "%.*g", digits, value);
        double back;
        if (es_parse_double(text, &back) && (back == value || value != value)) break;
    }
    uselocale(old);
    return text;
}
