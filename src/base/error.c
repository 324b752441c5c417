/* Errors are carried, never printed: each layer adds what it knows in front. */
#include <errno.h>
#include <string.h>

#include "echosolid/base.h"

/* Formatted aside first: the arguments may point into the old message. */
bool es_fail(es_error *err, es_code code, const char *format, ...) {
    if (!err) return false;
    char message[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    err->code = code;
    memcpy(err->message, message, sizeof message);
    return false;
}

bool es_prefix(es_error *err, const char *format, ...) {
    if (!err) return false;
    char what[sizeof err->message], old[sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    size_t length = strlen(what), room = sizeof what - length - 1;
    memcpy(old, err->message, sizeof old);
    memcpy(err->message, what, length + 1);
    snprintf(err->message + length, room + 1, ": %.*s", (int)room, old);
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
