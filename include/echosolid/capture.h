/* echosolid/capture.h: pictures as they come from grabbers, cameras and streams, and
 * the coded pictures of messages, decoded by FFmpeg's module. A second header of format.
 *
 * Everything received is hostile: kinds of streams that name other addresses
 * (playlists, descriptions) are not read, a server that sends on elsewhere is refused,
 * sizes are limited. Without the module all of it is ES_UNSUPPORTED, saying so. */
#ifndef ECHOSOLID_CAPTURE_H
#define ECHOSOLID_CAPTURE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What an address is:
 *   v4l2:///dev/video0, /dev/video0   a grabber or camera; behind '?', joined by '&':
 *                                     size=1920x1080, rate=30, format=mjpeg, input=0,
 *                                     standard=pal
 *   rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH   over TCP
 *   udp://:PORT, udp://ADDRESS:PORT   a stream that is sent here (MPEG-TS): from this
 *                                     machine alone, or to that address of it
 *   tcp://HOST:PORT                   a stream that is fetched (MPEG-TS, Matroska, ...)
 * False for others: names of files. */
bool es_capture_is(const char *address);
/* The address without user and password, for messages. */
void es_capture_name(const char *address, char name[300]);

typedef struct es_capture_options {
    bool (*stop)(void *context); /* asked while it waits, several times a second; NULL: never */
    void *context;
    double silence_s; /* nothing for so long is an error */
} es_capture_options;

/* What a picture's stamp counts from. */
typedef enum es_capture_clock {
    ES_CAPTURE_NONE, /* it has no stamp */
    ES_CAPTURE_UNIX, /* seconds of this machine's clock, when the device had taken it */
    ES_CAPTURE_OWN   /* the stream's own: only distances mean something */
} es_capture_clock;
typedef struct es_capture_moment {
    es_capture_clock clock;
    double stamp_s;
    bool interlaced; /* its odd and even rows are of two moments */
} es_capture_moment;

typedef struct es_capture es_capture;
/* ES_USAGE for an address that is not understood, ES_UNSUPPORTED for what cannot be
 * decoded here, ES_IO for what cannot be reached: that may change. */
es_capture *es_capture_open(const char *address, const es_capture_options *options, es_error *err);
const char *es_capture_description(const es_capture *capture); /* "h264, 1280 x 720, 25 Hz" */
/* The next picture, u8 grey (colour by Rec. 601). Pictures that are damaged are left
 * out. *end: the stream is over, or `stop` said so. ES_IO: the device or server is gone. */
bool es_capture_next(es_capture *capture, es_image *picture, es_capture_moment *moment, bool *end,
                     es_error *err);
uint64_t es_capture_damaged(const es_capture *capture);
void es_capture_close(es_capture *capture);

/* Decodes pictures that come as packets. `codec`: four letters as OpenIGTLink writes
 * them: H264, H265 (X265, HEVC), VP90, AV1 (AV10, AV01), I420. All pictures are width x
 * height: any other is ES_FORMAT. */
typedef struct es_decoder es_decoder;
es_decoder *es_decoder_new(const char *codec, uint32_t width, uint32_t height, es_error *err);
/* One packet; *got: `picture` (u8 grey) is one. A packet that cannot be decoded gives
 * none, and so do those that follow until a key picture. */
bool es_decoder_put(es_decoder *decoder, const void *bytes, size_t length, es_image *picture,
                    bool *got, es_error *err);
void es_decoder_free(es_decoder *decoder);

#ifdef __cplusplus
}
#endif
#endif
