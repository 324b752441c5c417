/* The first frames of a live stream as a recording that can be read again. */
#ifndef ES_LIVE_FRAME_LIST_H
#define ES_LIVE_FRAME_LIST_H

#include "echosolid/image.h"

typedef struct frame_list {
    es_frame *frames;
    size_t count, capacity;
} frame_list;

bool frame_list_add(frame_list *list, const es_frame *frame, es_error *err);
void frame_list_clear(frame_list *list);
/* A source over the list, which must live longer. */
es_source *frame_list_source(const frame_list *list, const es_stream_info *info, es_error *err);

#endif
