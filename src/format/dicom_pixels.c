/* One frame of a DICOM file as a picture: grey or RGB, cut to its crop.
 *
 * DCMTK (or OpenJPEG) gives samples as they were coded; here they become what
 * they mean: luminance and chrominance, palette indices, inverted grey, bits
 * within their words. PS3.3 C.7.6.3.1 and PS3.5 section 8. */
#include <string.h>

#include "dicom_internal.h"

/* ---- colours ------------------------------------------------------------------ */

static uint8_t clamp_byte(int32_t value) {
    return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* ITU-R BT.601, full range, in 16-bit fixed point (PS3.3 C.7.6.3.1.2). */
static void ybr_to_rgb(int32_t y, int32_t cb, int32_t cr, uint8_t rgb[3]) {
    enum { HALF = 1 << 15 };
    cb -= 128;
    cr -= 128;
    y = y * 65536 + HALF;
    rgb[0] = clamp_byte((y + 91881 * cr) >> 16);
    rgb[1] = clamp_byte((y - 22554 * cb - 46802 * cr) >> 16);
    rgb[2] = clamp_byte((y + 116130 * cb) >> 16);
}

/* The row `v` of the crop in three samples a pixel. */
static void colour_row(const es_dicom_reader *reader, uint32_t v, bool ybr, uint8_t *out) {
    const es_dicom_header *h = &reader->header;
    size_t pixels = (size_t)h->samples.columns * h->samples.rows;
    size_t first = (size_t)(h->crop[1] + v) * h->samples.columns + h->crop[0];
    size_t step = h->samples.planar ? 1 : 3, plane = h->samples.planar ? pixels : 1;
    const uint8_t *in = reader->raw + first * step;
    uint32_t width = h->crop[2];
    if (!ybr && step == 3) {
        memcpy(out, in, (size_t)width * 3);
        return;
    }
    for (uint32_t u = 0; u < width; u++, in += step, out += 3) {
        if (ybr)
            ybr_to_rgb(in[0], in[plane], in[2 * plane], out);
        else
            out[0] = in[0], out[1] = in[plane], out[2] = in[2 * plane];
    }
}

/* Native 4:2:2: Y0 Y1 Cb Cr for each two pixels of a row. */
static void shared_colour_row(const es_dicom_reader *reader, uint32_t v, uint8_t *out) {
    const es_dicom_header *h = &reader->header;
    const uint8_t *row = reader->raw + (size_t)(h->crop[1] + v) * h->samples.columns * 2;
    for (uint32_t u = h->crop[0]; u < h->crop[0] + h->crop[2]; u++, out += 3) {
        const uint8_t *pair = row + (size_t)(u / 2) * 4;
        ybr_to_rgb(pair[u % 2], pair[2], pair[3], out);
    }
}

/* ---- grey and palettes ---------------------------------------------------------- */

/* Sample i as the number it stands for. */
static int32_t sample_at(const es_dicom_samples *s, const void *raw, size_t i) {
    uint32_t word = s->allocated == 8 ? ((const uint8_t *)raw)[i] : ((const uint16_t *)raw)[i];
    uint32_t value = (word >> s->shift) & ((1u << s->stored) - 1);
    if (s->is_signed && value >> (s->stored - 1)) return (int32_t)value - (1 << s->stored);
    return (int32_t)value;
}

static void palette_row(const es_dicom_reader *reader, size_t first, uint8_t *out) {
    size_t channels = (size_t)reader->channels;
    for (uint32_t u = 0; u < reader->header.crop[2]; u++, out += channels) {
        long at =
            sample_at(&reader->header.samples, reader->raw, first + u) - reader->palette_first;
        at = at < 0 ? 0 : at >= reader->palette_count ? reader->palette_count - 1 : at;
        memcpy(out, reader->palette + 3 * at, channels);
    }
}

static void grey_row(const es_dicom_reader *reader, size_t first, void *out) {
    const es_dicom_samples *s = &reader->header.samples;
    uint32_t width = reader->header.crop[2];
    bool inverse = s->colour == ES_DICOM_GREY_INVERSE;
    if (!inverse && s->stored == s->allocated) {
        size_t element = (size_t)s->allocated / 8;
        memcpy(out, reader->raw + first * element, width * element);
        return;
    }
    int32_t mirror = s->is_signed ? -1 : (int32_t)((1u << s->stored) - 1);
    uint8_t *bytes = out;
    uint16_t *words = out;
    for (uint32_t u = 0; u < width; u++) {
        int32_t value = sample_at(s, reader->raw, first + u);
        if (inverse) value = mirror - value;
        if (s->allocated == 8)
            bytes[u] = (uint8_t)value;
        else
            words[u] = (uint16_t)value;
    }
}

static void convert_row(const es_dicom_reader *reader, uint32_t v, bool ybr, uint8_t *out) {
    const es_dicom_header *h = &reader->header;
    size_t first = (size_t)(h->crop[1] + v) * h->samples.columns + h->crop[0];
    if (h->samples.colour == ES_DICOM_YBR_422)
        shared_colour_row(reader, v, out);
    else if (h->samples.colour == ES_DICOM_PALETTE)
        palette_row(reader, first, out);
    else if (h->samples.channels == 3)
        colour_row(reader, v, ybr, out);
    else
        grey_row(reader, first, out);
}

/* ---- frames ----------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static bool decode(es_dicom_reader *reader, uint32_t frame, es_error *err) {
    const es_dicom_samples *s = &reader->header.samples;
    const char *syntax = es_dicom_syntax(reader->dicom);
    if (!starts_with(syntax, "1.2.840.10008.1.2.4.9"))
        return es_dicom_frame(reader->dicom, frame, reader->raw, s->frame_bytes, err);
    unsigned char *stream = NULL;
    size_t length = 0;
    bool ok = es_dicom_stream(reader->dicom, frame, SIZE_MAX, &stream, &length, err) &&
              es_jpeg2000_decode(stream, length, s, reader->raw, err);
    es_free(stream);
    return ok;
}

/* Whether the decoded samples are YCbCr. */
static bool find_ybr(const es_dicom_reader *reader, uint32_t frame, bool *ybr, es_error *err) {
    enum { HEAD = 4096 };
    *ybr = reader->header.samples.colour == ES_DICOM_YBR;
    const char *syntax = es_dicom_syntax(reader->dicom);
    bool jpeg = starts_with(syntax, "1.2.840.10008.1.2.4.5") ||
                strcmp(syntax, "1.2.840.10008.1.2.4.70") == 0;
    if (!jpeg || reader->header.samples.channels != 3) return true;
    unsigned char *stream = NULL;
    size_t length = 0;
    bool ok = es_dicom_stream(reader->dicom, frame, HEAD, &stream, &length, err);
    if (ok) *ybr = es_jpeg_is_ybr(stream, length, *ybr);
    es_free(stream);
    return ok;
}

bool es_dicom_reader_frame(es_dicom_reader *reader, int64_t frame, es_image *picture,
                           es_error *err) {
    const es_dicom_header *h = &reader->header;
    bool ybr;
    size_t even = h->samples.frame_bytes + h->samples.frame_bytes % 2;
    if (!reader->raw && !(reader->raw = es_alloc(even, 1, err))) return false;
    if (!find_ybr(reader, (uint32_t)frame, &ybr, err) || !decode(reader, (uint32_t)frame, err) ||
        !es_image_resize(picture, reader->type, reader->channels, h->crop[2], h->crop[3], err))
        return false;
    size_t row = (size_t)h->crop[2] * (size_t)reader->channels * es_type_size(reader->type);
    for (uint32_t v = 0; v < h->crop[3]; v++)
        convert_row(reader, v, ybr, (uint8_t *)picture->data + v * row);
    return true;
}

/* ---- opening ------------------------------------------------------------------------ */

/* One of the three tables into every third byte of the palette. The descriptor
 * holds the number of entries (0: 65536), the first index, bits an entry. */
static bool read_table(es_dicom_reader *reader, int colour, uint16_t *words, es_error *err) {
    static const char *const descriptors[] = {"0028,1101", "0028,1102", "0028,1103"};
    static const char *const tables[] = {"0028,1201", "0028,1202", "0028,1203"};
    double told[3];
    if (es_dicom_numbers(reader->dicom, descriptors[colour], told, 3) != 3 ||
        (told[2] != 8 && told[2] != 16))
        return es_fail(err, ES_FORMAT, "its palette descriptor (%s) is missing or broken",
                       descriptors[colour]);
    long count = told[0] == 0 ? 65536 : (long)(uint16_t)(int32_t)told[0], first = (long)told[1];
    if (colour > 0 && (count != reader->palette_count || first != reader->palette_first))
        return es_fail(err, ES_UNSUPPORTED, "its palettes of red, green and blue differ in size");
    if (colour == 0 && !(reader->palette = es_alloc((size_t)count, 3, err))) return false;
    reader->palette_count = count;
    reader->palette_first = first;
    long found = es_dicom_words(reader->dicom, tables[colour], words, 65536);
    bool packed = told[2] == 8 && found == (count + 1) / 2; /* two entries a word */
    if (found < count && !packed)
        return es_fail(err, ES_FORMAT, "its palette (%s) has %ld entries; expected %ld",
                       tables[colour], found < 0 ? 0 : found, count);
    bool wide = false; /* 16-bit entries that fit 8 bits are 8-bit ones, written carelessly */
    for (long i = 0; i < count && told[2] == 16 && !packed; i++) wide = wide || words[i] > 255;
    for (long i = 0; i < count; i++)
        reader->palette[3 * i + colour] = (uint8_t)(packed ? words[i / 2] >> (8 * (i % 2))
                                                    : wide ? words[i] >> 8
                                                           : words[i]);
    return true;
}

static bool read_palette(es_dicom_reader *reader, es_error *err) {
    uint16_t *words = es_alloc(65536, sizeof *words, err);
    bool ok = words != NULL;
    for (int colour = 0; ok && colour < 3; colour++) ok = read_table(reader, colour, words, err);
    es_free(words);
    if (!ok) return false;
    bool grey = true;
    const unsigned char *at = reader->palette;
    for (long i = 0; i < reader->palette_count && grey; i++, at += 3)
        grey = at[0] == at[1] && at[1] == at[2];
    reader->channels = grey ? 1 : 3;
    reader->type = ES_U8;
    return true;
}

bool es_dicom_reader_open(es_dicom_reader *reader, const char *path, bool whole, es_error *err) {
    static const es_type types[2][2] = {{ES_U8, ES_I8}, {ES_U16, ES_I16}};
    memset(reader, 0, sizeof *reader);
    reader->dicom = es_dicom_open(path, err);
    if (!reader->dicom || !es_dicom_header_read(reader->dicom, whole, &reader->header, err))
        goto failed;
    const es_dicom_samples *s = &reader->header.samples;
    reader->type = types[s->allocated == 16][s->is_signed];
    reader->channels = s->channels;
    if (s->colour == ES_DICOM_PALETTE && !read_palette(reader, err)) goto failed;
    return true;
failed:
    es_dicom_reader_close(reader);
    return es_prefix(err, "%s", path);
}

void es_dicom_reader_close(es_dicom_reader *reader) {
    if (reader->dicom) es_dicom_close(reader->dicom);
    es_free(reader->raw);
    es_free(reader->palette);
    memset(reader, 0, sizeof *reader);
}
