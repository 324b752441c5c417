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

/* ---- planar YUV of 8 bits ------------------------------------------------------ */

/* Nearly all video is this, and swscale's exact way to RGB takes as long as decoding.
 * R = Y + 2 (1 - Kr) V, B = Y + 2 (1 - Kb) U, G from Y = Kr R + Kg G + Kb B; luma has
 * 16 to 235 and chroma 16 to 240 unless the range is full (ITU-R BT.601, BT.709). Chroma
 * is that of the nearest stored place. No chroma gives three equal parts. */

static bool is_planar_yuv(const AVFrame *f) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    const uint64_t other = AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_HWACCEL;
    if (!d || d->nb_components < 3 || !(d->flags & AV_PIX_FMT_FLAG_PLANAR) || (d->flags & other))
        return false;
    for (int i = 0; i < 3; i++) {
        const AVComponentDescriptor *c = &d->comp[i];
        if (c->plane != i || c->step != 1 || c->depth != 8 || c->shift || c->offset) return false;
    }
    return true;
}

static int32_t in_65536ths(double x) { return (int32_t)(65536 * x + (x < 0 ? -.5 : .5)); }

static void make_yuv(media_yuv *t, bool full, bool bt709) {
    const double kr = bt709 ? .2126 : .299, kb = bt709 ? .0722 : .114, kg = 1 - kr - kb;
    const double luma = full ? 1 : 255. / 219, chroma = full ? 1 : 255. / 224;
    if (t->made && t->full == full && t->bt709 == bt709) return;
    t->made = true, t->full = full, t->bt709 = bt709;
    for (int i = 0; i < 256; i++) {
        double c = 2 * chroma * (i - 128);
        t->luma[i] = in_65536ths(luma * (i - (full ? 0 : 16)) + .5 + MEDIA_BELOW);
        t->red[i] = in_65536ths((1 - kr) * c);
        t->green_u[i] = in_65536ths(-(1 - kb) * kb / kg * c);
        t->green_v[i] = in_65536ths(-(1 - kr) * kr / kg * c);
        t->blue[i] = in_65536ths((1 - kb) * c);
    }
    for (int i = 0; i < MEDIA_GREYS; i++) {
        int grey = i - MEDIA_BELOW;
        t->byte[i] = (uint8_t)(grey < 0 ? 0 : grey > 255 ? 255 : grey);
    }
}

/* Luma is -19 to 278 greys, chroma adds 284 at most: always within the table. */
static uint8_t byte_of(const media_yuv *t, int32_t x) { return t->byte[(uint32_t)x >> 16]; }

static void grey_row(const media_yuv *t, const uint8_t *luma, int width, uint8_t *to) {
    uint8_t greys[256];
    for (int i = 0; i < 256; i++) greys[i] = byte_of(t, t->luma[i]);
    for (int u = 0; u < width; u++) to[u] = greys[luma[u]];
}

/* One row; each chroma sample is that of 2^shift pixels. */
static void rgb_row(const media_yuv *t, const uint8_t *const rows[3], int width, int shift,
                    uint8_t *to) {
    for (int u = 0; u < width;) {
        int k = u >> shift, end = (k + 1) << shift;
        int32_t red = t->red[rows[2][k]], blue = t->blue[rows[1][k]];
        int32_t green = t->green_u[rows[1][k]] + t->green_v[rows[2][k]];
        for (; u < end && u < width; u++, to += 3) {
            int32_t luma = t->luma[rows[0][u]];
            to[0] = byte_of(t, luma + red);
            to[1] = byte_of(t, luma + green);
            to[2] = byte_of(t, luma + blue);
        }
    }
}

static void convert_yuv(media_yuv *t, const AVFrame *f, bool grey, uint8_t *to) {
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    make_yuv(t, f->color_range == AVCOL_RANGE_JPEG, f->colorspace == AVCOL_SPC_BT709);
    for (int v = 0; v < f->height; v++) {
        const uint8_t *rows[3];
        for (int i = 0; i < 3; i++)
            rows[i] = f->data[i] + (ptrdiff_t)(i ? v >> d->log2_chroma_h : v) * f->linesize[i];
        uint8_t *line = to + (size_t)v * (size_t)f->width * (grey ? 1 : 3);
        if (grey)
            grey_row(t, rows[0], f->width, line);
        else
            rgb_row(t, rows, f->width, d->log2_chroma_w, line);
    }
}

/* ---- everything else --------------------------------------------------------------- */

int media_scale(media_pixels *p, const AVFrame *f, enum AVPixelFormat format, uint8_t *to,
                char *message) {
    bool grey = format == AV_PIX_FMT_GRAY8;
    if ((grey || format == AV_PIX_FMT_RGB24) && is_planar_yuv(f) &&
        f->colorspace != AVCOL_SPC_YCGCO)
        return convert_yuv(&p->yuv, f, grey, to), 0;
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
