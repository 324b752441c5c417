/* Pixel buffers. */
#include <string.h>

#include "echosolid/image.h"

static bool image_size(es_type type, int channels, uint32_t width, uint32_t height, size_t *bytes) {
    return es_multiply(width, height, bytes) && es_multiply(*bytes, (size_t)channels, bytes) &&
           es_multiply(*bytes, es_type_size(type), bytes);
}

bool es_image_resize(es_image *image, es_type type, int channels, uint32_t width, uint32_t height,
                     es_error *err) {
    size_t bytes;
    if (channels != 1 && channels != 3)
        return es_fail(err, ES_UNSUPPORTED, "an image of %d channels; expected 1 (grey) or 3 (RGB)",
                       channels);
    if (!image_size(type, channels, width, height, &bytes))
        return es_fail(err, ES_MEMORY, "an image of %u x %u pixels is too large", width, height);
    if (bytes > image->capacity || !image->data) {
        if (!es_resize(&image->data, bytes, 1, err)) return false;
        image->capacity = bytes;
    }
    image->type = type;
    image->channels = channels;
    image->width = width;
    image->height = height;
    return true;
}

void es_image_clear(es_image *image) {
    es_free(image->data);
    memset(image, 0, sizeof *image);
}

size_t es_image_bytes(const es_image *image) {
    return (size_t)image->width * image->height * (size_t)image->channels *
           es_type_size(image->type);
}

bool es_image_copy(const es_image *from, es_image *to, es_error *err) {
    if (!from->data) {
        es_image_clear(to);
        return true;
    }
    if (!es_image_resize(to, from->type, from->channels, from->width, from->height, err))
        return false;
    memcpy(to->data, from->data, es_image_bytes(from));
    return true;
}

bool es_image_to_f32(const es_image *from, es_image *to, es_error *err) {
    if (!es_image_resize(to, ES_F32, 1, from->width, from->height, err)) return false;
    size_t count = (size_t)from->width * from->height;
    float *out = to->data;
    if (from->type == ES_U8 && from->channels == 1) {
        const uint8_t *in = from->data;
        for (size_t i = 0; i < count; i++) out[i] = in[i];
    } else if (from->channels == 1) {
        for (size_t i = 0; i < count; i++) out[i] = (float)es_type_get(from->type, from->data, i);
    } else {
        for (size_t i = 0; i < count; i++) {
            double r = es_type_get(from->type, from->data, 3 * i);
            double g = es_type_get(from->type, from->data, 3 * i + 1);
            double b = es_type_get(from->type, from->data, 3 * i + 2);
            out[i] = (float)(0.299 * r + 0.587 * g + 0.114 * b);
        }
    }
    return true;
}
