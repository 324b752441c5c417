/* Cancelling, progress, notes to a person. */
#include <stdatomic.h>

#include "echosolid/base.h"

/* Lock-free, so that signal handlers and other threads may both set it. */
static atomic_bool cancelled;
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "es_cancel must be safe in a signal handler");

void es_cancel(void) { atomic_store(&cancelled, true); }
void es_cancel_reset(void) { atomic_store(&cancelled, false); }

bool es_cancelled(es_error *err) {
    if (!atomic_load(&cancelled)) return false;
    es_fail(err, ES_CANCELLED, "stopped before the end; nothing was written");
    return true;
}

void es_progress_step(const es_progress *progress, const char *what, double done, double total) {
    if (progress && progress->step) progress->step(progress->context, what, done, total);
}

static es_log_fn *log_fn;
static void *log_context;

void es_log_set(es_log_fn *fn, void *context) {
    log_fn = fn;
    log_context = context;
}

void es_log(es_level level, const char *format, ...) {
    if (!log_fn) return;
    char message[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_fn(log_context, level, message);
}
