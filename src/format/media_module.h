/* What passes between the program and the module that holds FFmpeg.
 *
 * The module (ffmpeg.c) is a shared object of its own, opened at run time: the
 * program links no part of FFmpeg, and works without it. Plain C types only;
 * neither side frees what the other allocated. */
#ifndef ES_FORMAT_MEDIA_MODULE_H
#define ES_FORMAT_MEDIA_MODULE_H

#include <stddef.h>
#include <stdint.h>

/* Changes with every change of this file: a module of another one is refused. */
enum { ES_MEDIA_VERSION = 2, ES_MEDIA_MESSAGE = 600 };

typedef struct es_media es_media; /* an open video or picture; the module's own */

/* What is asked for. AUTO: RGB when a picture among the first has colour. */
enum { ES_MEDIA_AUTO, ES_MEDIA_GREY, ES_MEDIA_RGB };
typedef struct es_media_request {
    const char *path;
    int colours;
    int still;            /* one picture: FileName.png and so on */
    int (*stopped)(void); /* not 0: give up (Ctrl-C) */
    uint32_t side_limit;  /* pixels */
} es_media_request;

typedef struct es_media_info {
    uint32_t width, height; /* after rotation */
    int channels;           /* 1 or 3 */
    int bytes;              /* of a value: 1, or 2 for grey of more than 8 bits */
    int has_colour;         /* some picture among the first has */
    int64_t frame_count;
    int64_t announced;    /* frames that the file's header tells of; -1: it does not */
    const int64_t *times; /* frame_count of them, the module's, in units of time_unit_s */
    double time_unit_s;
    int invented_times;      /* the file has no time stamps: frame number / rate */
    int rotation_deg;        /* clockwise, honoured: 0, 90, 180, 270 */
    double odd_rotation_deg; /* not a multiple of 90: not honoured */
    int pixel_ratio[2];      /* width : height of a pixel; 0 0 when not told */
    char container[32], codec[32], pixels[32];
} es_media_info;

/* Results of `next`. */
enum { ES_MEDIA_FRAME = 0, ES_MEDIA_END = 1, ES_MEDIA_FAILED = 2, ES_MEDIA_DAMAGED = 3 };

/* Pictures as they come: from a device, a stream, or packets that are put in. */
typedef struct es_media_flow es_media_flow;
enum { ES_MEDIA_DEVICE, ES_MEDIA_RTSP, ES_MEDIA_UDP, ES_MEDIA_TCP };
typedef struct es_media_flow_request {
    int kind;
    const char *url;
    const char *const *options; /* of the device: key, value, ..., NULL */
    int (*stopped)(void *context);
    void *context;
    double silence_s; /* nothing for so long: failed */
    int64_t pixels_max;
    char *description; /* 200 bytes to fill */
    int *unsupported;  /* set when trying again will not help */
} es_media_flow_request;
typedef struct es_media_picture {
    uint32_t width, height;
    int has_stamp, interlaced;
    double stamp_s;
    uint64_t damaged; /* pictures left out so far */
} es_media_picture;

typedef struct es_media_module {
    int version;
    const char *description; /* of FFmpeg: version and licence */
    /* NULL on failure, with the reason in message. */
    es_media *(*open)(const es_media_request *request, es_media_info *info,
                      char message[ES_MEDIA_MESSAGE]);
    /* Frame `index` (frames are asked for in growing order; some may be passed
     * over) into pixels: height rows of width * channels * bytes. DAMAGED: this
     * one cannot be decoded, later ones perhaps. */
    int (*read)(es_media *media, int64_t index, void *pixels, char message[ES_MEDIA_MESSAGE]);
    /* Back to the first frame; 0 on success. */
    int (*rewind)(es_media *media, char message[ES_MEDIA_MESSAGE]);
    void (*close)(es_media *media);
    es_media_flow *(*flow_open)(const es_media_flow_request *request,
                                char message[ES_MEDIA_MESSAGE]);
    /* `codec`: FFmpeg's name of it, or "i420"; all pictures are of this size. */
    es_media_flow *(*decoder_open)(const char *codec, uint32_t width, uint32_t height,
                                   char message[ES_MEDIA_MESSAGE]);
    /* One packet, before flow_next is asked until it says END. FRAME, or DAMAGED. */
    int (*decoder_put)(es_media_flow *flow, const void *bytes, size_t length,
                       char message[ES_MEDIA_MESSAGE]);
    /* FRAME, END (stopped, over, or more packets are needed) or FAILED. */
    int (*flow_next)(es_media_flow *flow, es_media_picture *picture,
                     char message[ES_MEDIA_MESSAGE]);
    /* That picture as grey of one byte. */
    int (*flow_pixels)(es_media_flow *flow, void *grey, char message[ES_MEDIA_MESSAGE]);
    void (*flow_close)(es_media_flow *flow);
} es_media_module;

/* The one symbol of the module. */
#define ES_MEDIA_SYMBOL "echosolid_media_module"
__attribute__((visibility("default"))) const es_media_module *echosolid_media_module(void);

#endif
