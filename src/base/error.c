/* Errors are carried, never printed: each layer adds what it knows in front. */
#include <errno.h>
#include <string.h>

#include "echosolid/base.h"

bool es_fail(es_error *err, es_code code, const char *format, ...) {
    if (!err) return false;
    va_list args;
    va_start(args, format);
    err->code = code;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return false;
}

bool es_prefix(es_error *err, const char *format, ...) {
    if (!err) return false;
    char old[sizeof err->message];
    memcpy(old, err->message, sizeof old);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n < 0) n = 0;
    if ((size_t)n < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - (size_t)n, ": %s", old);
    return false;
}

bool es_fail_errno(es_error *err, const char *format, ...) {
    if (!err) return false;
    char reason[128];
    const char *text = strerror_r(errno, reason, sizeof reason);
    char what[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return es_fail(err, ES_IO, "%s: %s", what, text);
}
