/* The trace: what a detector found along the scan lines, memory kept from
 * frame to frame. */
#include "echosolid/image.h"

#include <string.h>

/* Lines that were there keep their values; new ones are zero. */
bool es_trace_resize(es_trace *trace, size_t count, es_error *err) {
    if (count > trace->capacity) {
        if (!es_resize(&trace->lines, count, sizeof *trace->lines, err))
            return es_prefix(err, "a trace of %zu scan lines", count);
        trace->capacity = count;
    }
    if (count > trace->count)
        memset(trace->lines + trace->count, 0, (count - trace->count) * sizeof *trace->lines);
    trace->count = count;
    return true;
}

void es_trace_clear(es_trace *trace) {
    es_free(trace->lines);
    *trace = (es_trace){0};
}
