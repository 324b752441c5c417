/* The module around FFmpeg's libraries: files of video and single pictures.
 *
 * Opening goes over all packets of the video stream once, without decoding:
 * that gives the exact number of frames and their times in the order of
 * showing, also where the header announces more (a file that was cut off).
 * Then frames are decoded as they are asked for and matched to that list by
 * their time stamps, so that one frame that cannot be decoded does not shift
 * the rest. Only local files are opened, by demuxers that read one file and
 * open no others. */
#include "ffmpeg_pixels.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>

/* Left out on purpose: playlists and scripts (hls, concat, dash, image2),
 * which name other files. */
static const char demuxers[] =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,gif,mpeg,mpegts,mpegvideo,flv,ogg,apng,nut,"
    "mjpeg,h264,hevc,m4v,ivf,dv,mxf,wtv,yuv4mpegpipe,rm,swf,"
    "png_pipe,jpeg_pipe,tiff_pipe,bmp_pipe,webp_pipe,jpegls_pipe,j2k_pipe,pgm_pipe,ppm_pipe";

enum { SAMPLED = 16 }; /* frames that are looked at for colour */

struct es_media {
    AVFormatContext *file;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    int stream;
    bool eof, has_frame; /* has_frame: `frame` is decoded and not yet given */
    bool by_order;       /* time stamps are missing: frames are counted */
    int64_t first;       /* time stamp of the first packet, 0 when it has none */
    int64_t decoded;     /* frames so far, when counted */
    int64_t *times;
    size_t count, capacity;
    int (*stopped)(void);
    uint32_t side_limit;
    /* what comes out */
    int channels, bytes, rotation_deg;
    uint32_t width, height; /* as stored */
    media_pixels pixels;
    uint8_t *rgb; /* for looking at colour */
};

static int interrupted(void *self) {
    const es_media *media = self;
    return media->stopped && media->stopped();
}

/* ---- the list of frames ------------------------------------------------------- */

static bool add_time(es_media *media, int64_t time) {
    if (media->count == media->capacity) {
        size_t capacity = media->capacity ? 2 * media->capacity : 1024;
        int64_t *times = realloc(media->times, capacity * sizeof *times);
        if (!times) return false;
        media->times = times;
        media->capacity = capacity;
    }
    media->times[media->count++] = time;
    return true;
}

static int compare_times(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Some packets only feed later frames and are never shown: VP8's hidden ones
 * say so in a bit of their first byte (RFC 6386, 9.1). */
static bool is_shown(const es_media *media, const AVPacket *packet) {
    if (packet->flags & AV_PKT_FLAG_DISCARD) return false;
    enum AVCodecID codec = media->file->streams[media->stream]->codecpar->codec_id;
    return codec != AV_CODEC_ID_VP8 || packet->size < 1 || (packet->data[0] & 0x10);
}

static bool same_times(const es_media *media) {
    for (size_t i = 1; i < media->count; i++)
        if (media->times[i] == media->times[i - 1]) return true;
    return false;
}

static int list_frames(es_media *media, char *message) {
    int code;
    while ((code = av_read_frame(media->file, media->packet)) >= 0) {
        bool ours = media->packet->stream_index == media->stream && media->packet->size > 0;
        bool ok = true;
        if (ours && media->count == 0 && media->packet->pts != AV_NOPTS_VALUE)
            media->first = media->packet->pts;
        if (ours && is_shown(media, media->packet)) {
            media->by_order = media->by_order || media->packet->pts == AV_NOPTS_VALUE;
            ok = add_time(media, media->packet->pts);
        }
        av_packet_unref(media->packet);
        if (!ok) return media_fail(message, "out of memory");
    }
    if (code == AVERROR_EXIT || interrupted(media)) return media_fail(message, "interrupted");
    if (media->count == 0) return media_fail(message, "holds no frame of video");
    qsort(media->times, media->count, sizeof *media->times, compare_times);
    media->by_order = media->by_order || same_times(media);
    return 0;
}

/* Times by the frame rate, in units of 1 / rate. */
static void invent_times(es_media *media, es_media_info *info) {
    AVStream *stream = media->file->streams[media->stream];
    AVRational rate = av_guess_frame_rate(media->file, stream, NULL);
    for (size_t i = 0; i < media->count; i++) media->times[i] = (int64_t)i;
    info->time_unit_s = rate.num > 0 && rate.den > 0 ? av_q2d(av_inv_q(rate)) : 0;
    info->invented_times = 1;
}

/* ---- opening -------------------------------------------------------------------- */

static int open_file(es_media *media, const char *path, char *message) {
    char url[4200];
    if (snprintf(url, sizeof url, "file:%s", path) >= (int)sizeof url)
        return media_fail(message, "the name is too long");
    media->file = avformat_alloc_context();
    if (!media->file) return media_fail(message, "out of memory");
    media->file->interrupt_callback = (AVIOInterruptCB){interrupted, media};
    media->file->max_streams = 64;
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "file", 0);
    av_dict_set(&options, "format_whitelist", demuxers, 0);
    int code = avformat_open_input(&media->file, url, NULL, &options);
    av_dict_free(&options);
    if (code == AVERROR_INVALIDDATA)
        return media_fail(message,
                          "FFmpeg cannot read it: it is no video or picture of a known kind, or "
                          "it was cut off before its index was written");
    if (code < 0) return media_fail_code(message, "FFmpeg cannot open it", code);
    return 0;
}

static int choose_stream(es_media *media, char *message) {
    int code = avformat_find_stream_info(media->file, NULL);
    if (code < 0) return media_fail_code(message, "its streams cannot be found", code);
    media->stream = av_find_best_stream(media->file, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (media->stream < 0)
        return media_fail(message, "holds no stream of video (streams: %u)",
                          media->file->nb_streams);
    for (unsigned i = 0; i < media->file->nb_streams; i++)
        if ((int)i != media->stream) media->file->streams[i]->discard = AVDISCARD_ALL;
    return 0;
}

static int open_codec(es_media *media, char *message) {
    const AVCodecParameters *par = media->file->streams[media->stream]->codecpar;
    const AVCodec *codec = avcodec_find_decoder(par->codec_id);
    if (!codec)
        return media_fail(
            message,
            "the video codec %s cannot be decoded by the FFmpeg installed here; convert the "
            "file to H.264 or FFV1 on the machine that made it",
            media_codec_name(par));
    media->codec = avcodec_alloc_context3(codec);
    if (!media->codec) return media_fail(message, "out of memory");
    int code = avcodec_parameters_to_context(media->codec, par);
    media->codec->max_pixels = (int64_t)media->side_limit * media->side_limit / 4;
    media->codec->pkt_timebase = media->file->streams[media->stream]->time_base;
    media->codec->thread_count = 1; /* the same frames come out of a damaged file every time */
    if (code >= 0) code = avcodec_open2(media->codec, codec, NULL);
    if (code < 0) {
        char what[100];
        snprintf(what, sizeof what, "the decoder of %s does not start", codec->name);
        return media_fail_code(message, what, code);
    }
    return 0;
}

static int go_to_start(es_media *media, char *message) {
    int code = av_seek_frame(media->file, media->stream, media->first, AVSEEK_FLAG_BACKWARD);
    if (code < 0) code = avformat_seek_file(media->file, -1, INT64_MIN, 0, INT64_MAX, 0);
    if (code < 0) code = av_seek_frame(media->file, -1, 0, AVSEEK_FLAG_BYTE);
    if (code < 0) return media_fail_code(message, "cannot go back to its start", code);
    if (media->codec) avcodec_flush_buffers(media->codec);
    media->eof = media->has_frame = false;
    media->decoded = 0;
    return 0;
}

/* ---- decoding --------------------------------------------------------------------- */

/* The next packet into the decoder; damaged ones are passed over. */
static void feed(es_media *media) {
    int code;
    while ((code = av_read_frame(media->file, media->packet)) >= 0) {
        bool ours = media->packet->stream_index == media->stream;
        if (ours) avcodec_send_packet(media->codec, media->packet);
        av_packet_unref(media->packet);
        if (ours) return;
    }
    media->eof = true;
    avcodec_send_packet(media->codec, NULL);
}

/* The next frame in the order of showing, into media->frame. */
static int decode(es_media *media, char *message) {
    for (;;) {
        if (interrupted(media)) return media_fail(message, "interrupted");
        int code = avcodec_receive_frame(media->codec, media->frame);
        if (code == 0) break;
        if (code == AVERROR_EOF) return ES_MEDIA_END;
        if (code == AVERROR(EAGAIN) && !media->eof)
            feed(media);
        else if (code == AVERROR(EAGAIN))
            return ES_MEDIA_END;
        else if (code == AVERROR(ENOMEM))
            return media_fail(message, "out of memory");
        else if (!media->eof)
            feed(media); /* this packet is damaged */
        else
            return ES_MEDIA_END;
    }
    media->has_frame = true;
    media->decoded++;
    return ES_MEDIA_FRAME;
}

static int convert(es_media *media, uint8_t *to, char *message) {
    return media_convert(&media->pixels, media->frame, media->channels, media->bytes, to, message);
}

/* Turned clockwise. width, height and size (bytes of a pixel) of `from`. */
static void turn(const uint8_t *from, uint8_t *to, uint32_t width, uint32_t height, size_t size,
                 int degrees) {
    for (uint32_t v = 0; v < height; v++)
        for (uint32_t u = 0; u < width; u++, from += size) {
            size_t x = degrees == 90 ? height - 1 - v : degrees == 180 ? width - 1 - u : v;
            size_t y = degrees == 90 ? u : degrees == 180 ? height - 1 - v : width - 1 - u;
            memcpy(to + (y * (degrees == 180 ? width : height) + x) * size, from, size);
        }
}

static int give(es_media *media, void *pixels, char *message) {
    const AVFrame *f = media->frame;
    if ((uint32_t)f->width != media->width || (uint32_t)f->height != media->height)
        return media_fail(
            message,
            "the frames change their size from %u x %u to %d x %d; expected one size: cut "
            "the video there into two files",
            media->width, media->height, f->width, f->height);
    if (!media->rotation_deg) return convert(media, pixels, message);
    size_t size = (size_t)media->channels * (size_t)media->bytes;
    uint8_t *upright = malloc((size_t)f->width * (size_t)f->height * size);
    if (!upright) return media_fail(message, "out of memory");
    int code = convert(media, upright, message);
    if (code == 0) turn(upright, pixels, media->width, media->height, size, media->rotation_deg);
    free(upright);
    return code;
}

/* ---- what the first frames show ----------------------------------------------------- */

/* Whether more than one pixel in a thousand is clearly coloured: a distance of
 * 24 between the parts, which lossy codecs do not make out of grey. */
static bool is_coloured(const uint8_t *rgb, size_t count) {
    size_t coloured = 0;
    for (size_t i = 0; i < count; i++, rgb += 3) {
        int low = rgb[0], high = rgb[0];
        for (int c = 1; c < 3; c++) {
            if (rgb[c] < low) low = rgb[c];
            if (rgb[c] > high) high = rgb[c];
        }
        coloured += high - low >= 24;
    }
    return coloured * 1000 > count;
}

static int check_size(es_media *media, char *message) {
    const AVFrame *f = media->frame;
    if (f->width < 1 || f->height < 1 || (uint32_t)f->width > media->side_limit ||
        (uint32_t)f->height > media->side_limit)
        return media_fail(message, "frames of %d x %d pixels; expected 1 to %u a side", f->width,
                          f->height, media->side_limit);
    media->width = (uint32_t)f->width;
    media->height = (uint32_t)f->height;
    media->rgb = malloc((size_t)f->width * (size_t)f->height * 3);
    return media->rgb ? 0 : media_fail(message, "out of memory");
}

static int look(es_media *media, int most, es_media_info *info, char *message) {
    int code = decode(media, message);
    if (code == ES_MEDIA_END)
        return media_fail(message, "no frame of it can be decoded (codec %s)", info->codec);
    if (code || (code = check_size(media, message))) return code;
    enum AVPixelFormat format = media->frame->format;
    info->pixel_ratio[0] = media->frame->sample_aspect_ratio.num;
    info->pixel_ratio[1] = media->frame->sample_aspect_ratio.den;
    snprintf(info->pixels, sizeof info->pixels, "%s", av_get_pix_fmt_name(format));
    media->bytes = media_layout_of(format) == MEDIA_GREY16 ? 2 : 1;
    for (int i = 0; i < most && code == 0 && media_has_chroma(format) && !info->has_colour; i++) {
        bool same = (uint32_t)media->frame->width == media->width &&
                    (uint32_t)media->frame->height == media->height;
        if (!same) break;
        code = media_scale(&media->pixels, media->frame, AV_PIX_FMT_RGB24, media->rgb, message);
        info->has_colour = is_coloured(media->rgb, (size_t)media->width * media->height);
        if (code == 0 && !info->has_colour && i + 1 < most) code = decode(media, message);
    }
    return code == ES_MEDIA_END ? 0 : code;
}

/* The display matrix of phones and cameras, in degrees clockwise. */
static void find_rotation(es_media *media, es_media_info *info) {
    const AVStream *stream = media->file->streams[media->stream];
    const uint8_t *matrix = NULL;
#if LIBAVFORMAT_VERSION_MAJOR < 61
    matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
#else
    const AVPacketSideData *side =
        av_packet_side_data_get(stream->codecpar->coded_side_data,
                                stream->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    if (side) matrix = side->data;
#endif
    double degrees = matrix ? -av_display_rotation_get((const int32_t *)matrix) : 0;
    if (!(degrees >= -360 && degrees <= 360)) return;
    double turned = degrees < 0 ? degrees + 360 : degrees;
    int quarter = (int)(turned / 90 + 0.5);
    double rest = turned - 90 * quarter;
    if (rest < 0.5 && rest > -0.5)
        info->rotation_deg = media->rotation_deg = quarter % 4 * 90;
    else
        info->odd_rotation_deg = turned;
}

static void describe(es_media *media, const es_media_request *request, es_media_info *info) {
    const AVStream *stream = media->file->streams[media->stream];
    bool across = media->rotation_deg % 180 != 0;
    media->channels =
        request->colours == ES_MEDIA_RGB || (request->colours == ES_MEDIA_AUTO && info->has_colour)
            ? 3
            : 1;
    if (media->channels == 3) media->bytes = 1;
    info->width = across ? media->height : media->width;
    info->height = across ? media->width : media->height;
    info->channels = media->channels;
    info->bytes = media->bytes;
    info->frame_count = (int64_t)media->count;
    info->announced = stream->nb_frames > 0 ? stream->nb_frames : -1;
    info->time_unit_s = av_q2d(stream->time_base);
    if (media->by_order) invent_times(media, info);
    info->times = media->times;
}

static void media_close(es_media *media) {
    if (!media) return;
    media_pixels_clear(&media->pixels);
    av_frame_free(&media->frame);
    av_packet_free(&media->packet);
    avcodec_free_context(&media->codec);
    avformat_close_input(&media->file);
    free(media->times);
    free(media->rgb);
    free(media);
}

static es_media *media_open(const es_media_request *request, es_media_info *info, char *message) {
    memset(info, 0, sizeof *info);
    message[0] = '\0';
    av_log_set_level(AV_LOG_QUIET);
    es_media *media = calloc(1, sizeof *media);
    if (!media) return media_fail(message, "out of memory"), NULL;
    media->stopped = request->stopped;
    media->side_limit = request->side_limit;
    media->packet = av_packet_alloc();
    media->frame = av_frame_alloc();
    int code = media->packet && media->frame ? 0 : media_fail(message, "out of memory");
    if (!code) code = open_file(media, request->path, message);
    if (!code) code = choose_stream(media, message);
    if (!code) {
        const AVCodecParameters *par = media->file->streams[media->stream]->codecpar;
        snprintf(info->container, sizeof info->container, "%s", media->file->iformat->name);
        snprintf(info->codec, sizeof info->codec, "%.31s", media_codec_name(par));
        find_rotation(media, info);
        code = open_codec(media, message);
    }
    if (!code && request->still) {
        code = add_time(media, 0) ? 0 : media_fail(message, "out of memory");
        media->by_order = true;
    } else if (!code) {
        code = list_frames(media, message);
        if (!code) code = go_to_start(media, message);
    }
    if (!code) code = look(media, request->still ? 1 : SAMPLED, info, message);
    if (!code) describe(media, request, info);
    if (!code && !request->still) code = go_to_start(media, message);
    if (code) {
        media_close(media);
        return NULL;
    }
    if (request->still) media->has_frame = true;
    return media;
}

static int media_read(es_media *media, int64_t index, void *pixels, char *message) {
    message[0] = '\0';
    for (;;) {
        int code = media->has_frame ? ES_MEDIA_FRAME : decode(media, message);
        if (code == ES_MEDIA_END) {
            media_fail(message, "cannot be decoded");
            return ES_MEDIA_DAMAGED;
        }
        if (code) return code;
        int64_t place = media->by_order ? media->decoded - 1 : media->frame->best_effort_timestamp;
        int64_t wanted = media->by_order ? index : media->times[index];
        if (place > wanted) { /* the one that was wanted did not come out */
            media_fail(message, "cannot be decoded");
            return ES_MEDIA_DAMAGED;
        }
        media->has_frame = false;
        if (place == wanted) return give(media, pixels, message);
    }
}

const es_media_module *echosolid_media_module(void) {
    static const es_media_module module = {
        .version = ES_MEDIA_VERSION,
        .description = "FFmpeg " AV_STRINGIFY(LIBAVFORMAT_VERSION),
        .open = media_open,
        .read = media_read,
        .rewind = go_to_start,
        .close = media_close,
        .flow_open = media_flow_open,
        .decoder_open = media_decoder_open,
        .decoder_put = media_decoder_put,
        .flow_next = media_flow_next,
        .flow_pixels = media_flow_pixels,
        .flow_close = media_flow_close,
    };
    return &module;
}
