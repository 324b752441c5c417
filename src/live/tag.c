/* The little XML that commands are written in. Text from the network: every
 * step looks for the end first; nothing is nested, nothing allocated. */
#include "tag.h"

#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == ':' || c == '.';
}

/* The '>' that ends the tag: not one inside of quotes. */
static const char *find_end(const char *at) {
    for (char quote = 0; *at; at++) {
        if (quote)
            quote = *at == quote ? 0 : quote;
        else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '>')
            return at;
    }
    return NULL;
}

bool tag_next(const char **at, tag *t) {
    for (;;) {
        const char *start = strchr(*at, '<');
        if (!start) return false;
        bool comment = strncmp(start, "<!--", 4) == 0;
        const char *end = comment ? strstr(start + 4, "-->") : find_end(start + 1);
        if (!end) return false;
        *at = comment ? end + 3 : end + 1;
        size_t length = 0;
        while (is_name(start[1 + length])) length++;
        if (comment || length == 0) continue; /* also </x>, <?x?>, <!x> */
        if (length >= sizeof t->name) return false;
        memcpy(t->name, start + 1, length);
        t->name[length] = '\0';
        t->attributes = start + 1 + length;
        t->end = end;
        return true;
    }
}

/* One letter of an attribute's value. */
static char letter(const char **at, const char *end) {
    static const struct {
        const char *name;
        char is;
    } entities[] = {
        {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++) {
        size_t length = strlen(entities[i].name);
        if ((size_t)(end - *at) < length || memcmp(*at, entities[i].name, length) != 0) continue;
        *at += length;
        return entities[i].is;
    }
    return *(*at)++;
}

static bool copy_value(const char *at, const char *end, char *value, size_t size) {
    size_t n = 0;
    while (at < end && n + 1 < size) value[n++] = letter(&at, end);
    value[n] = '\0';
    return at == end;
}

bool tag_attribute(const tag *t, const char *name, char *value, size_t size) {
    const char *at = t->attributes;
    value[0] = '\0';
    while (at < t->end) {
        while (at < t->end && !is_name(*at)) at++;
        const char *key = at;
        while (at < t->end && is_name(*at)) at++;
        size_t length = (size_t)(at - key);
        while (at < t->end && is_blank(*at)) at++;
        if (at >= t->end || *at != '=') return false;
        for (at++; at < t->end && is_blank(*at); at++) {
        }
        if (at >= t->end || (*at != '"' && *at != '\'')) return false;
        const char *first = at + 1, *last = memchr(first, *at, (size_t)(t->end - first));
        if (!last) return false;
        at = last + 1;
        if (length == strlen(name) && memcmp(key, name, length) == 0)
            return copy_value(first, last, value, size);
    }
    return false;
}
