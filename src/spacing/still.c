/* What the pictures of a recording have in common: minimum, maximum, mean and
 * deviation of each pixel. Mean and deviation by Welford's update. */
#include "echosolid/spacing.h"

#include <math.h>
#include <string.h>

struct es_still_maker {
    es_still still;
    es_image grey;
    bool bytes;
};

es_still_maker *es_still_maker_new(es_error *err) {
    return es_alloc_zero(1, sizeof(es_still_maker), err);
}

static bool start(es_still_maker *maker, const es_image *picture, es_error *err) {
    es_still *still = &maker->still;
    uint32_t w = picture->width, h = picture->height;
    es_image *all[] = {&still->low, &still->high, &still->mean, &still->deviation};
    if (w == 0 || h == 0) return es_fail(err, ES_FORMAT, "a picture of %u x %u pixels", w, h);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!es_image_resize(all[i], ES_F32, 1, w, h, err)) return false;
        memset(all[i]->data, 0, es_image_bytes(all[i]));
    }
    still->width = w;
    still->height = h;
    maker->bytes = picture->type == ES_U8;
    return true;
}

bool es_still_maker_add(es_still_maker *maker, const es_image *picture, es_error *err) {
    es_still *still = &maker->still;
    if (still->frames == 0 && !start(maker, picture, err)) return false;
    if (picture->width != still->width || picture->height != still->height)
        return es_fail(err, ES_FORMAT,
                       "picture %lld has %u x %u pixels where the first has %u x %u: the size "
                       "changes within the recording",
                       (long long)still->frames, picture->width, picture->height, still->width,
                       still->height);
    if (!es_image_to_f32(picture, &maker->grey, err)) return false;
    const float *grey = maker->grey.data;
    float *low = still->low.data, *high = still->high.data, *mean = still->mean.data,
          *square = still->deviation.data;
    size_t n = (size_t)still->width * still->height;
    bool first = still->frames++ == 0;
    float share = 1.0F / (float)still->frames;
    for (size_t i = 0; i < n; i++) {
        float g = isfinite(grey[i]) ? grey[i] : 0, from = g - mean[i];
        low[i] = first ? g : fminf(low[i], g);
        high[i] = first ? g : fmaxf(high[i], g);
        mean[i] += from * share;
        square[i] += from * (g - mean[i]);
    }
    return true;
}

/* Other types come to 0..255 by the range of what was seen. */
static void scale_to_bytes(es_still *still, bool bytes) {
    float *low = still->low.data, *high = still->high.data, *mean = still->mean.data,
          *deviation = still->deviation.data;
    size_t n = (size_t)still->width * still->height;
    float bottom = 0, top = 255;
    if (!bytes) {
        bottom = low[0], top = high[0];
        for (size_t i = 1; i < n; i++) {
            bottom = fminf(bottom, low[i]);
            top = fmaxf(top, high[i]);
        }
    }
    float scale = top > bottom ? 255 / (top - bottom) : 0;
    for (size_t i = 0; i < n; i++) {
        low[i] = (low[i] - bottom) * scale;
        high[i] = (high[i] - bottom) * scale;
        mean[i] = (mean[i] - bottom) * scale;
        deviation[i] = sqrtf(fmaxf(deviation[i], 0) / (float)still->frames) * scale;
    }
}

bool es_still_maker_finish(es_still_maker *maker, es_still *still, es_error *err) {
    if (maker->still.frames == 0)
        return es_fail(err, ES_FORMAT, "the recording has no pictures to look at");
    scale_to_bytes(&maker->still, maker->bytes);
    *still = maker->still;
    memset(&maker->still, 0, sizeof maker->still);
    return true;
}

void es_still_clear(es_still *still) {
    es_image_clear(&still->low);
    es_image_clear(&still->high);
    es_image_clear(&still->mean);
    es_image_clear(&still->deviation);
    memset(still, 0, sizeof *still);
}

void es_still_maker_free(es_still_maker *maker) {
    if (!maker) return;
    es_still_clear(&maker->still);
    es_image_clear(&maker->grey);
    es_free(maker);
}
