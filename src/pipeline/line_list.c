/* The straight echo of every picture of a recording. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { STATIC_FRAMES = 30 };

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

/* From pictures all over the recording: a hand may rest for a while. */
static bool find_static(es_source *source, es_image *mask, es_error *err) {
    es_frame frame = {0};
    es_image grey = {0}, low = {0};
    bool end = false, ok = true;
    int64_t total = es_source_info(source)->frame_count;
    int64_t step = total > STATIC_FRAMES ? total / STATIC_FRAMES : 1;
    for (int64_t i = 0; i < STATIC_FRAMES * step && ok && !end; i++) {
        ok = es_source_next(source, &frame, i % step ? 0 : ES_READ_PIXELS, &end, err);
        if (ok && !end && i % step == 0 && frame.has_image)
            ok = keep_low(&frame.image, &grey, &low, err);
    }
    ok = ok && (low.width > 0 || es_fail(err, ES_GEOMETRY, "the recording has no pictures")) &&
         make_mask(&low, mask, err) && es_source_rewind(source, err);
    es_frame_clear(&frame);
    es_image_clear(&grey);
    es_image_clear(&low);
    return ok;
}

static bool add(es_line_list *list, const es_frame *frame, const es_image *mask, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return false;
        list->capacity = capacity;
    }
    es_line_seen *seen = &list->items[list->count];
    *seen = (es_line_seen){.line = {.why = "no picture"},
                           .index = frame->index,
                           .has_time = frame->has_time,
                           .time_s = frame->has_time ? frame->time_s : (double)frame->index};
    if (frame->has_image && !es_line_find(&frame->image, mask, &seen->line, err)) return false;
    list->timed = list->timed && frame->has_time;
    list->found += seen->line.found;
    list->count++;
    return true;
}

bool es_line_list_read(es_source *source, const es_progress *progress, es_line_list *list,
                       es_error *err) {
    es_image mask = {0};
    es_frame frame = {0};
    bool end = false;
    memset(list, 0, sizeof *list);
    list->timed = true;
    bool ok = find_static(source, &mask, err);
    double total = (double)es_source_info(source)->frame_count;
    list->width = mask.width;
    list->height = mask.height;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end) {
        ok = add(list, &frame, &mask, err) && !es_cancelled(err);
        es_progress_step(progress, "finding the line", (double)list->count, total);
    }
    es_frame_clear(&frame);
    es_image_clear(&mask);
    if (!ok) es_line_list_clear(list);
    return ok;
}

void es_line_list_clear(es_line_list *list) {
    es_free(list->items);
    memset(list, 0, sizeof *list);
}

const char *es_line_list_reason(const es_line_list *list) {
    for (size_t i = list->count; i-- > 0;)
        if (!list->items[i].line.found) return list->items[i].line.why;
    return "";
}

/* ---- for a floor -------------------------------------------------------------------------- */

static es_wall_line line_of(const es_line_seen *seen) {
    const es_line_found *l = &seen->line;
    es_wall_line line = {.index = seen->index, .time_s = seen->time_s};
    for (int e = 0; e < 2; e++) {
        double along = (e ? 0.5 : -0.5) * (double)l->columns;
        line.ends[e][0] = l->u + along;
        line.ends[e][1] = l->v + along * l->dv / l->du;
    }
    return line;
}

bool es_wall_lines(const es_line_list *list, es_wall_line **lines, size_t *count,
                   es_wall_reject **rejects, size_t *reject_count, es_error *err) {
    *count = *reject_count = 0;
    *lines = es_alloc(list->count, sizeof **lines, err);
    /* room for those that the fit will reject as well */
    *rejects = *lines ? es_alloc(list->count, sizeof **rejects, err) : NULL;
    if (!*rejects) {
        es_free(*lines);
        *lines = NULL;
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        const es_line_seen *seen = &list->items[i];
        if (seen->line.found)
            (*lines)[(*count)++] = line_of(seen);
        else
            (*rejects)[(*reject_count)++] = (es_wall_reject){seen->index, "line", seen->line.why};
    }
    return true;
}

es_pose_track *es_pose_list_track(const es_pose_list *list, es_error *err) {
    es_pose_track *track = es_pose_track_new(err);
    bool ok = track != NULL;
    double last = -INFINITY;
    for (size_t i = 0; i < list->count && ok; i++) {
        if (!(list->times_s[i] > last)) continue;
        last = list->times_s[i];
        ok = es_pose_track_add(track, last, list->poses[i], list->valid[i], err);
    }
    if (ok) return track;
    es_pose_track_free(track);
    return NULL;
}
