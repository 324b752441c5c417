/* JPEG 2000 frames, decoded by OpenJPEG from memory. */
#include <string.h>

#include <openjpeg.h>

#include "dicom_internal.h"

typedef struct memory {
    const unsigned char *bytes;
    size_t length, at;
} memory;

static OPJ_SIZE_T read_some(void *buffer, OPJ_SIZE_T count, void *context) {
    memory *m = context;
    size_t left = m->length - m->at;
    if (left == 0) return (OPJ_SIZE_T)-1;
    if (count > left) count = left;
    memcpy(buffer, m->bytes + m->at, count);
    m->at += count;
    return count;
}

static OPJ_OFF_T skip_some(OPJ_OFF_T count, void *context) {
    memory *m = context;
    if (count < 0 || (size_t)count > m->length - m->at) return -1;
    m->at += (size_t)count;
    return count;
}

static OPJ_BOOL seek_to(OPJ_OFF_T place, void *context) {
    memory *m = context;
    if (place < 0 || (size_t)place > m->length) return OPJ_FALSE;
    m->at = (size_t)place;
    return OPJ_TRUE;
}

static opj_stream_t *open_memory(memory *m) {
    opj_stream_t *stream = opj_stream_default_create(OPJ_TRUE);
    if (!stream) return NULL;
    opj_stream_set_read_function(stream, read_some);
    opj_stream_set_skip_function(stream, skip_some);
    opj_stream_set_seek_function(stream, seek_to);
    opj_stream_set_user_data(stream, m, NULL);
    opj_stream_set_user_data_length(stream, m->length);
    return stream;
}

/* The stream must be the picture that the data set announces, before any of it
 * is decoded. */
static bool check_picture(const opj_image_t *image, const es_dicom_samples *expected,
                          es_error *err) {
    uint32_t width = image->x1 - image->x0, height = image->y1 - image->y0;
    if (width != expected->columns || height != expected->rows ||
        (int)image->numcomps != expected->channels)
        return es_fail(
            err, ES_FORMAT, "its JPEG 2000 stream is %u x %u x %u, the header says %u x %u x %d",
            width, height, image->numcomps, expected->columns, expected->rows, expected->channels);
    for (OPJ_UINT32 c = 0; c < image->numcomps; c++) {
        const opj_image_comp_t *part = &image->comps[c];
        if (part->dx != 1 || part->dy != 1 || part->w != width || part->h != height ||
            part->prec > (OPJ_UINT32)expected->allocated)
            return es_fail(err, ES_UNSUPPORTED,
                           "its JPEG 2000 stream has samples of %u bits, one in %u x %u pixels; "
                           "expected %d bits for each pixel",
                           part->prec, part->dx, part->dy, expected->allocated);
    }
    return true;
}

/* Lossy streams may overshoot the bits that count. */
static OPJ_INT32 clamp(OPJ_INT32 value, const es_dicom_samples *s) {
    OPJ_INT32 high = (1 << (s->stored - s->is_signed)) - 1, low = s->is_signed ? -high - 1 : 0;
    return value < low ? low : value > high ? high : value;
}

static bool put_samples(const opj_image_t *image, const es_dicom_samples *expected, void *out,
                        es_error *err) {
    size_t pixels = (size_t)expected->columns * expected->rows, channels = image->numcomps;
    for (size_t c = 0; c < channels; c++) {
        const OPJ_INT32 *from = image->comps[c].data;
        if (!from) return es_fail(err, ES_FORMAT, "its JPEG 2000 stream is not whole");
        uint8_t *bytes = out;
        uint16_t *words = out;
        for (size_t i = 0; expected->allocated == 8 && i < pixels; i++)
            bytes[channels * i + c] = (uint8_t)clamp(from[i], expected);
        for (size_t i = 0; expected->allocated == 16 && i < pixels; i++)
            words[channels * i + c] = (uint16_t)clamp(from[i], expected);
    }
    return true;
}

bool es_jpeg2000_decode(const unsigned char *bytes, size_t length, const es_dicom_samples *expected,
                        void *out, es_error *err) {
    memory source = {bytes, length, 0};
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    bool boxed = length > 12 && memcmp(bytes + 4, "jP  ", 4) == 0;
    opj_stream_t *stream = open_memory(&source);
    opj_codec_t *codec = opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_set_default_decoder_parameters(&parameters);
    bool ok = stream && codec;
    if (!ok) es_fail(err, ES_MEMORY, "out of memory");
    if (ok && (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, &image)))
        ok = es_fail(err, ES_FORMAT, "its JPEG 2000 stream has no whole header");
    ok = ok && check_picture(image, expected, err);
    if (ok && !opj_decode(codec, stream, image))
        ok = es_fail(err, ES_FORMAT, "its JPEG 2000 stream is broken");
    ok = ok && check_picture(image, expected, err) && put_samples(image, expected, out, err);
    opj_image_destroy(image);
    opj_destroy_codec(codec);
    opj_stream_destroy(stream);
    return ok;
}
