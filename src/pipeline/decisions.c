/* What was chosen, its value, and why. */
#include <string.h>

#include "echosolid/pipeline.h"

bool es_decisions_add(es_decisions *decisions, es_error *err, const char *what, const char *why,
                      const char *value, ...) {
    if (decisions->count == decisions->capacity) {
        size_t capacity = decisions->capacity ? 2 * decisions->capacity : 16;
        if (!es_resize(&decisions->items, capacity, sizeof *decisions->items, err)) return false;
        decisions->capacity = capacity;
    }
    es_decision *d = &decisions->items[decisions->count++];
    snprintf(d->what, sizeof d->what, "%s", what);
    snprintf(d->why, sizeof d->why, "%s", why);
    va_list args;
    va_start(args, value);
    vsnprintf(d->value, sizeof d->value, value, args);
    va_end(args);
    return true;
}

void es_decisions_clear(es_decisions *decisions) {
    es_free(decisions->items);
    memset(decisions, 0, sizeof *decisions);
}
