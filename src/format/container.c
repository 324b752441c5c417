/* What the readers of containers share. */
#include "container.h"

#include <string.h>

void es_frame_begin(es_frame *frame, int64_t index) {
    frame->index = index;
    frame->has_image = frame->has_time = frame->has_unfiltered_time = false;
    frame->transform_count = 0;
    es_fields_clear(&frame->fields);
}

bool es_blame(es_error *err, const char *scratch, const char *shown) {
    size_t length = strlen(scratch);
    if (err && strncmp(err->message, scratch, length) == 0) {
        const char *rest = err->message + length;
        while (*rest == ':' || *rest == ' ') rest++;
        memmove(err->message, rest, strlen(rest) + 1);
    }
    return *shown && es_prefix(err, "%s", shown);
}
