/* What a drawn recording, a screen or a bath, says of itself, and how its frames begin. */
#ifndef ECHOSOLID_SIMULATE_STREAM_H
#define ECHOSOLID_SIMULATE_STREAM_H

#include "echosolid/image.h"

static inline es_stream_info drawn_stream(int64_t frames, uint32_t width, uint32_t height) {
    return (es_stream_info){.frame_count = frames,
                            .width = width,
                            .height = height,
                            .type = ES_U8,
                            .channels = 1,
                            .spacing_mm = {1, 1},
                            .orientation = "MFA",
                            .image_kind = "BRIGHTNESS",
                            .format = "simulated"};
}

/* An empty frame that keeps its memory. */
static inline void restart_frame(es_frame *frame) {
    frame->transform_count = 0;
    frame->has_image = frame->has_time = frame->has_unfiltered_time = false;
    es_fields_clear(&frame->fields);
}

#endif
