/* The first frames of a live stream as a recording that can be read again. */
#include "frame_list.h"

#include <string.h>

bool frame_list_add(frame_list *list, const es_frame *frame, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 32;
        if (!es_resize(&list->frames, capacity, sizeof *list->frames, err)) return false;
        list->capacity = capacity;
    }
    es_frame *slot = &list->frames[list->count];
    memset(slot, 0, sizeof *slot);
    if (!es_frame_copy(frame, slot, err)) {
        es_frame_clear(slot);
        return false;
    }
    list->count++;
    return true;
}

void frame_list_clear(frame_list *list) {
    for (size_t i = 0; i < list->count; i++) es_frame_clear(&list->frames[i]);
    es_free(list->frames);
    memset(list, 0, sizeof *list);
}

typedef struct reader {
    const frame_list *list;
    size_t next;
} reader;

static bool next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    reader *r = self;
    (void)flags;
    *end = r->next == r->list->count;
    return *end || es_frame_copy(&r->list->frames[r->next++], frame, err);
}

static bool rewind_list(void *self, es_error *err) {
    (void)err;
    ((reader *)self)->next = 0;
    return true;
}

es_source *frame_list_source(const frame_list *list, const es_stream_info *info, es_error *err) {
    static const es_source_ops ops = {next, rewind_list, es_free};
    reader *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->list = list;
    return es_source_new(&ops, r, info, err);
}
