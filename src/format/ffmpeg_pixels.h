/* What the parts of the module around FFmpeg share: messages, and pixels of decoded
 * pictures. */
#ifndef ES_FORMAT_FFMPEG_PIXELS_H
#define ES_FORMAT_FFMPEG_PIXELS_H

#include <stdbool.h>

#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>

#include "media_module.h"

/* Both give ES_MEDIA_FAILED. */
int media_fail(char *message, const char *format, ...) __attribute__((format(printf, 2, 3)));
int media_fail_code(char *message, const char *what, int code);
const char *media_codec_name(const AVCodecParameters *par);

typedef enum media_layout { MEDIA_LUMA, MEDIA_COLOURS, MEDIA_GREY16 } media_layout;
media_layout media_layout_of(enum AVPixelFormat format);
bool media_has_chroma(enum AVPixelFormat format);

/* What planar YUV of 8 bits becomes, in 1/65536 of a grey: by luma (and MEDIA_BELOW greys
 * more, so that no sum is negative), and by chroma; and the byte of each whole number of
 * greys. */
enum { MEDIA_BELOW = 384, MEDIA_GREYS = 1024 };
typedef struct media_yuv {
    bool made, full, bt709; /* made for this range and this matrix */
    int32_t luma[256], red[256], green_u[256], green_v[256], blue[256];
    uint8_t byte[MEDIA_GREYS];
} media_yuv;

/* {0} at first. */
typedef struct media_pixels {
    struct SwsContext *scaler;
    media_yuv yuv;
    uint8_t *rgb; /* a picture before it becomes grey */
    size_t rgb_pixels;
} media_pixels;
/* The frame in `format`, rows without padding; 0 or ES_MEDIA_FAILED. */
int media_scale(media_pixels *pixels, const AVFrame *frame, enum AVPixelFormat format, uint8_t *to,
                char *message);
/* As grey (1 or 2 bytes) or RGB. */
int media_convert(media_pixels *pixels, const AVFrame *frame, int channels, int bytes, uint8_t *to,
                  char *message);
void media_pixels_clear(media_pixels *pixels);

/* ffmpeg_flow.c: what comes as it comes. */
es_media_flow *media_flow_open(const es_media_flow_request *request, char *message);
es_media_flow *media_decoder_open(const char *codec, uint32_t width, uint32_t height,
                                  char *message);
int media_decoder_put(es_media_flow *flow, const void *bytes, size_t length, char *message);
int media_flow_next(es_media_flow *flow, es_media_picture *picture, char *message);
int media_flow_pixels(es_media_flow *flow, void *grey, char *message);
void media_flow_close(es_media_flow *flow);

#endif
