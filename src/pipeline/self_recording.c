/* The pictures of a recording, shrunk for the self calibration. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { MOST_CELLS = 128, MOST_PICTURES = 240 };

/* Means of cell x cell pixels; a rest at the right and lower edge is left out. */
static void shrink(const es_image *grey, const es_self_pictures *p, float *out) {
    const float *g = grey->data;
    uint32_t cell = p->cell_px;
    for (uint32_t y = 0; y < p->height; y++)
        for (uint32_t x = 0; x < p->width; x++) {
            float sum = 0;
            for (uint32_t v = 0; v < cell; v++)
                for (uint32_t u = 0; u < cell; u++)
                    sum += g[(size_t)(y * cell + v) * grey->width + x * cell + u];
            out[(size_t)y * p->width + x] = sum / (float)(cell * cell);
        }
}

static bool begin(es_self_pictures *p, const es_image *grey, es_error *err) {
    uint32_t longest = grey->width > grey->height ? grey->width : grey->height;
    p->cell_px = (longest + MOST_CELLS - 1) / MOST_CELLS;
    p->width = grey->width / p->cell_px;
    p->height = grey->height / p->cell_px;
    return p->width >= 16 && p->height >= 16
               ? true
               : es_fail(err, ES_GEOMETRY, "pictures of %u x %u pixels: expected 16 x 16 or more",
                         grey->width, grey->height);
}

static bool make_room(es_self_pictures *p, es_error *err) {
    if (p->count < p->capacity) return true;
    size_t capacity = p->capacity ? 2 * p->capacity : 64, cells = (size_t)p->width * p->height;
    if (!es_resize(&p->grey, capacity, cells * sizeof *p->grey, err) ||
        !es_resize(&p->times_s, capacity, sizeof *p->times_s, err) ||
        !es_resize(&p->index, capacity, sizeof *p->index, err))
        return false;
    p->capacity = capacity;
    return true;
}

static bool add(es_self_pictures *p, const es_frame *frame, es_image *grey, bool *timed,
                es_error *err) {
    if (!es_image_to_f32(&frame->image, grey, err)) return false;
    if (p->count == 0 && !begin(p, grey, err)) return false;
    if (grey->width / p->cell_px != p->width || grey->height / p->cell_px != p->height)
        return es_fail(err, ES_FORMAT, "the picture's size changes within the recording");
    if (!make_room(p, err)) return false;
    double time_s = frame->has_time ? frame->time_s : (double)frame->index;
    if (p->count > 0 && !(time_s > p->times_s[p->count - 1])) return true;
    *timed = *timed && frame->has_time;
    p->times_s[p->count] = time_s;
    p->index[p->count] = frame->index;
    shrink(grey, p, p->grey + p->count * (size_t)p->width * p->height);
    p->count++;
    return true;
}

bool es_self_pictures_read(es_source *source, const es_progress *progress,
                           es_self_pictures *pictures, bool *timed, es_error *err) {
    es_frame frame = {0};
    es_image grey = {0};
    bool ok = true, end = false;
    int64_t total = es_source_info(source)->frame_count;
    int64_t step = total > MOST_PICTURES ? (total + MOST_PICTURES - 1) / MOST_PICTURES : 1;
    memset(pictures, 0, sizeof *pictures);
    *timed = true;
    for (int64_t i = 0; ok && !end; i++) {
        bool wanted = i % step == 0;
        ok = es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end || !wanted || !frame.has_image) continue;
        ok = add(pictures, &frame, &grey, timed, err) && !es_cancelled(err);
        es_progress_step(progress, "reading pictures", (double)i, (double)total);
    }
    if (ok && pictures->count == 0) ok = es_fail(err, ES_GEOMETRY, "the recording has no pictures");
    es_frame_clear(&frame);
    es_image_clear(&grey);
    if (!ok) es_self_pictures_clear(pictures);
    return ok;
}
