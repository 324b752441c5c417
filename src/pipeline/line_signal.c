/* The height of a line, picture by picture, for the lag. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { LEAST = 30 };

bool es_line_signal_make(const es_line_list *list, es_image_signal *s, es_error *err) {
    memset(s, 0, sizeof *s);
    double middle = 0.5 * (double)list->width;
    s->times_s = es_alloc(list->count, sizeof *s->times_s, err);
    s->values = es_alloc(list->count, sizeof *s->values, err);
    if (!s->times_s || !s->values) return false;
    s->count = s->capacity = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const es_line_seen *seen = &list->items[i];
        const es_line_found *l = &seen->line;
        s->times_s[i] = seen->has_time ? seen->time_s : NAN;
        s->values[i] = l->found ? l->v + (middle - l->u) * l->dv / l->du : NAN;
        s->found += l->found && seen->has_time;
    }
    snprintf(s->unit, sizeof s->unit, "px, height of the line");
    snprintf(s->reason, sizeof s->reason, "%s",
             list->timed ? es_line_list_reason(list) : "no time stamp");
    return true;
}

bool es_line_signal_read(es_source *source, const es_progress *progress, es_image_signal *signal,
                         es_error *err) {
    es_line_list list;
    memset(signal, 0, sizeof *signal);
    if (!es_line_list_read(source, progress, &list, err)) return false;
    bool ok = es_line_signal_make(&list, signal, err);
    if (ok && signal->found < LEAST)
        ok = es_fail(err, ES_GEOMETRY,
                     "%zu of %zu pictures show a line (%s): record the flat bottom of a water "
                     "tank while the probe goes up and down",
                     signal->found, signal->count,
                     signal->reason[0] ? signal->reason : "too few pictures");
    es_line_list_clear(&list);
    if (!ok) es_image_signal_clear(signal);
    return ok;
}

void es_image_signal_clear(es_image_signal *signal) {
    es_free(signal->times_s);
    es_free(signal->values);
    memset(signal, 0, sizeof *signal);
}
