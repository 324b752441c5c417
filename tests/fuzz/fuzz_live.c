/* Any bytes as what a server sends to a live run, and as a client's command: no
 * crash, and whatever comes of it is a frame or a pose of finite numbers, or is
 * said to be invalid. */
#include <stdlib.h>
#include <string.h>

#include "../../src/live/intake.h"
#include "../../src/live/subscribe.h"
#include "../../src/live/tag.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_frame(const es_frame *frame) {
    for (size_t i = 0; i < frame->transform_count; i++)
        if (frame->transforms[i].valid && !es_mat4_finite(frame->transforms[i].matrix)) abort();
    if (es_image_bytes(&frame->image) > (1 << 20)) abort();
}

static void take(const es_igtl_message *m, es_frame *frame) {
    double spacing_mm[2];
    bool flat, is_pose;
    es_live_pose pose;
    static es_image whole;
    es_fields sensors = {0};
    if (intake_picture(m, frame, &whole, spacing_mm, &flat, NULL) && flat) check_frame(frame);
    intake_sensor(m, &sensors, NULL);
    es_fields_clear(&sensors);
    intake_pose(m, &pose, &is_pose);
    if (is_pose && pose.valid && !es_mat4_finite(pose.matrix)) abort();
    if (strcmp(m->type, "TDATA") == 0 || strcmp(m->type, "QTDATA") == 0)
        intake_tool(m, 0, &pose, &is_pose);
}

static void read_command(const uint8_t *bytes, size_t length) {
    char text[4097], value[64];
    tag t;
    size_t kept = length < 4096 ? length : 4096;
    memcpy(text, bytes, kept);
    text[kept] = '\0';
    subscription asked = {0};
    subscription_read(&asked, text);
    for (const char *at = text; tag_next(&at, &t);) {
        tag_attribute(&t, "Name", value, sizeof value);
        if (at > text + kept) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static es_frame frame;
    const es_igtl_limits limits = {.body_max = 1 << 20, .ignore_crc = true};
    es_igtl_message m;
    size_t used;
    read_command(bytes, length);
    while (es_igtl_parse(bytes, length, &limits, &m, &used, NULL) == ES_IGTL_WHOLE) {
        take(&m, &frame);
        bytes += used;
        length -= used;
    }
    return 0;
}
