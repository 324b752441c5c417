/* The height of a line, picture by picture, for the lag. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { STATIC_FRAMES = 30, LEAST = 30 };

static bool grow(es_image_signal *s, es_error *err) {
    if (s->count < s->capacity) return true;
    size_t capacity = s->capacity ? 2 * s->capacity : 256;
    if (!es_resize(&s->times_s, capacity, sizeof *s->times_s, err) ||
        !es_resize(&s->values, capacity, sizeof *s->values, err))
        return false;
    s->capacity = capacity;
    return true;
}

/* Keeps in `low` the least value that each pixel had. */
static bool keep_low(const es_image *picture, es_image *grey, es_image *low, es_error *err) {
    if (!es_image_to_f32(picture, grey, err)) return false;
    if (low->width == 0) return es_image_copy(grey, low, err);
    if (low->width != grey->width || low->height != grey->height)
        return es_fail(err, ES_FORMAT, "the picture's size changes within the recording");
    float *a = low->data;
    const float *b = grey->data;
    for (size_t i = 0; i < (size_t)low->width * low->height; i++) a[i] = fminf(a[i], b[i]);
    return true;
}

/* What stays bright while the probe moves is no echo of the floor. */
static bool make_mask(const es_image *low, es_image *mask, es_error *err) {
    if (!es_image_resize(mask, ES_U8, 1, low->width, low->height, err)) return false;
    const float *p = low->data;
    uint8_t *m = mask->data;
    for (size_t i = 0; i < (size_t)low->width * low->height; i++) m[i] = p[i] > 30;
    return true;
}

static bool find_static(es_source *source, es_image *mask, es_error *err) {
    es_frame frame = {0};
    es_image grey = {0}, low = {0};
    bool end = false, ok = true;
    for (int i = 0; i < STATIC_FRAMES && ok && !end; i++) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (ok && !end && frame.has_image) ok = keep_low(&frame.image, &grey, &low, err);
    }
    ok = ok && (low.width > 0 || es_fail(err, ES_GEOMETRY, "the recording has no pictures")) &&
         make_mask(&low, mask, err) && es_source_rewind(source, err);
    es_frame_clear(&frame);
    es_image_clear(&grey);
    es_image_clear(&low);
    return ok;
}

static bool add(es_image_signal *s, const es_frame *frame, const es_image *mask, es_error *err) {
    es_line_found line = {.found = false, .why = "no picture"};
    if (!grow(s, err)) return false;
    if (frame->has_image && !es_line_find(&frame->image, mask, &line, err)) return false;
    double middle = 0.5 * (double)frame->image.width;
    size_t i = s->count++;
    s->times_s[i] = frame->has_time ? frame->time_s : NAN;
    s->values[i] = line.found ? line.v + (middle - line.u) * line.dv / line.du : NAN;
    s->found += line.found && frame->has_time;
    if (!line.found) snprintf(s->reason, sizeof s->reason, "%s", line.why);
    if (!frame->has_time) snprintf(s->reason, sizeof s->reason, "no time stamp");
    return true;
}

bool es_line_signal_read(es_source *source, const es_progress *progress, es_image_signal *signal,
                         es_error *err) {
    es_image mask = {0};
    es_frame frame = {0};
    bool end = false;
    memset(signal, 0, sizeof *signal);
    snprintf(signal->unit, sizeof signal->unit, "px, height of the line");
    bool ok = find_static(source, &mask, err);
    double total = (double)es_source_info(source)->frame_count;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end) {
        ok = add(signal, &frame, &mask, err) && !es_cancelled(err);
        es_progress_step(progress, "finding the line", (double)signal->count, total);
    }
    if (ok && signal->found < LEAST)
        ok = es_fail(err, ES_GEOMETRY,
                     "%zu of %zu pictures show a line (%s): record the flat bottom of a water "
                     "tank while the probe goes up and down",
                     signal->found, signal->count,
                     signal->reason[0] ? signal->reason : "too few pictures");
    es_frame_clear(&frame);
    es_image_clear(&mask);
    if (!ok) es_image_signal_clear(signal);
    return ok;
}

void es_image_signal_clear(es_image_signal *signal) {
    es_free(signal->times_s);
    es_free(signal->values);
    memset(signal, 0, sizeof *signal);
}
