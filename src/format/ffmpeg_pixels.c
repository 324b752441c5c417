/* AVFrames as rows of grey or RGB. */
#include "ffmpeg_pixels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

int media_fail(char *message, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(message, ES_MEDIA_MESSAGE, format, args);
    va_end(args);
    return ES_MEDIA_FAILED;
}

int media_fail_code(char *message, const char *what, int code) {
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    return media_fail(message, "%s: %s", what, reason);
}

const char *media_codec_name(const AVCodecParameters *par) {
    static _Thread_local char text[64];
    if (par->codec_id != AV_CODEC_ID_NONE) return avcodec_get_name(par->codec_id);
    char tag[AV_FOURCC_MAX_STRING_SIZE];
    snprintf(text, sizeof text, "of tag \"%s\"", av_fourcc_make_string(tag, par->codec_tag));
    return text;
}

media_layout media_layout_of(enum AVPixelFormat format) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    if (!d) return MEDIA_LUMA;
    bool grey = d->nb_components <= 2 && !(d->flags & AV_PIX_FMT_FLAG_PAL);
    if (grey && d->comp[0].depth > 8) return MEDIA_GREY16;
    if (d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) return MEDIA_COLOURS;
    return MEDIA_LUMA;
}

bool media_has_chroma(enum AVPixelFormat format) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    return d && (d->nb_components > 2 || (d->flags & AV_PIX_FMT_FLAG_PAL));
}

int media_scale(media_pixels *p, const AVFrame *f, enum AVPixelFormat format, uint8_t *to,
                char *message) {
    p->scaler =
        sws_getCachedContext(p->scaler, f->width, f->height, f->format, f->width, f->height, format,
                             SWS_POINT | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
    if (!p->scaler)
        return media_fail(message, "pixels stored as %s cannot be converted",
                          av_get_pix_fmt_name(f->format));
    /* The matrix of the file; swscale would take BT.601 for all. */
    const int *matrix =
        sws_getCoefficients(f->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
    sws_setColorspaceDetails(p->scaler, matrix, f->color_range == AVCOL_RANGE_JPEG, matrix, 1, 0,
                             1 << 16, 1 << 16);
    int line = av_image_get_linesize(format, f->width, 0);
    uint8_t *planes[4] = {to};
    int lines[4] = {line};
    if (sws_scale(p->scaler, (const uint8_t *const *)f->data, f->linesize, 0, f->height, planes,
                  lines) != f->height)
        return media_fail(message, "the pixels of a frame cannot be converted");
    return 0;
}

/* Rows as they are: bytes per pixel `step`, of which the first `bytes` count. */
static void take_first(const AVFrame *f, int step, int bytes, uint8_t *to) {
    for (int v = 0; v < f->height; v++) {
        const uint8_t *row = f->data[0] + (ptrdiff_t)v * f->linesize[0];
        if (step == bytes) {
            memcpy(to, row, (size_t)f->width * (size_t)bytes);
        } else {
            for (int u = 0; u < f->width; u++)
                memcpy(to + u * bytes, row + u * step, (size_t)bytes);
        }
        to += (size_t)f->width * (size_t)bytes;
    }
}

/* Grey of RGB: equal parts stay exactly what they are; otherwise the luma of
 * ITU-R BT.601 in 16-bit fixed point, rounded. */
static void grey_of_rgb(const uint8_t *rgb, uint8_t *grey, size_t count) {
    for (size_t i = 0; i < count; i++, rgb += 3)
        grey[i] = (uint8_t)((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

/* Room for a picture as RGB, before it becomes grey. */
static int make_rgb(media_pixels *p, size_t count, char *message) {
    if (count <= p->rgb_pixels) return 0;
    free(p->rgb);
    p->rgb = malloc(3 * count);
    p->rgb_pixels = p->rgb ? count : 0;
    return p->rgb ? 0 : media_fail(message, "out of memory");
}

int media_convert(media_pixels *p, const AVFrame *f, int channels, int bytes, uint8_t *to,
                  char *message) {
    size_t count = (size_t)f->width * (size_t)f->height;
    if (channels == 3) return media_scale(p, f, AV_PIX_FMT_RGB24, to, message);
    if (f->format == AV_PIX_FMT_GRAY8 || (bytes == 2 && f->format == AV_PIX_FMT_GRAY16LE))
        return take_first(f, bytes, bytes, to), 0;
    if (f->format == AV_PIX_FMT_YA8) return take_first(f, 2, 1, to), 0;
    if (bytes == 2) return media_scale(p, f, AV_PIX_FMT_GRAY16LE, to, message);
    if (media_layout_of(f->format) != MEDIA_COLOURS)
        return media_scale(p, f, AV_PIX_FMT_GRAY8, to, message);
    int code = make_rgb(p, count, message);
    if (!code) code = media_scale(p, f, AV_PIX_FMT_RGB24, p->rgb, message);
    if (!code) grey_of_rgb(p->rgb, to, count);
    return code;
}

void media_pixels_clear(media_pixels *p) {
    sws_freeContext(p->scaler);
    free(p->rgb);
    *p = (media_pixels){0};
}
