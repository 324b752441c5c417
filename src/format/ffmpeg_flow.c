/* Pictures as they come, in the module around FFmpeg: from a device, from a stream, or
 * from packets that are put in.
 *
 * Start-up is kept short (little is probed, nothing is buffered), so that a picture is
 * as old as it must be and no older. Nothing waits for ever: whoever asks for the
 * next picture is asked whether to go on, and a source that is silent fails. */
#include "ffmpeg_pixels.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libavformat/avformat.h>

/* Containers that hold the pictures themselves. None that names another address. */
static const char containers[] = "mpegts,mpeg,matroska,webm,nut,flv,mjpeg,h264,hevc,m4v";

static const struct {
    const char *protocols, *formats, *probe;
} kinds[] = {
    [ES_MEDIA_DEVICE] = {"file", "video4linux2,v4l2", "1000000"},
    [ES_MEDIA_RTSP] = {"tcp", "rtsp", "4096"},
    [ES_MEDIA_UDP] = {"udp", containers, "65536"},
    [ES_MEDIA_TCP] = {"tcp", containers, "65536"},
};

struct es_media_flow {
    AVFormatContext *file; /* NULL: packets are put in */
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    media_pixels pixels;
    int stream;
    es_media_flow_request request;
    char *url;        /* as it was asked for */
    double heard_s;   /* the last picture */
    uint32_t size[2]; /* of a decoder */
    bool needs_key;   /* a packet was damaged */
    bool sent_on;     /* the server names another address */
    uint64_t damaged;
};

static double clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- going on, or not ----------------------------------------------------------- */

static bool is_stopped(const es_media_flow *flow) {
    return flow->request.stopped && flow->request.stopped(flow->request.context);
}

static bool is_silent(const es_media_flow *flow) {
    return flow->request.silence_s > 0 && clock_s() - flow->heard_s > flow->request.silence_s;
}

/* An RTSP server may send the client to another address; FFmpeg follows, and writes
 * where to into its url. */
static bool is_sent_on(es_media_flow *flow) {
    if (flow->file && flow->file->url && strcmp(flow->file->url, flow->url) != 0)
        flow->sent_on = true;
    return flow->sent_on;
}

static int interrupted(void *self) {
    es_media_flow *flow = self;
    return is_sent_on(flow) || is_stopped(flow) || is_silent(flow);
}

/* ---- opening ------------------------------------------------------------------------ */

/* libavdevice brings fifty libraries along (sound, windows, FireWire): it is opened when a
 * device is asked for, not with every video. Its version goes with libavformat's. */
static int register_devices(char *message) {
    static const char name[] = "libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR);
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *symbol = handle ? dlsym(handle, "avdevice_register_all") : NULL;
    void (*start)(void) = NULL;
    memcpy(&start, &symbol, sizeof start);
    if (!start)
        return media_fail(message,
                          "grabbers are read by FFmpeg's %s, which is not installed (Debian: "
                          "libavdevice-dev, or ffmpeg)",
                          name);
    start();
    return 0;
}

static AVDictionary *make_options(const es_media_flow_request *r) {
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", kinds[r->kind].protocols, 0);
    av_dict_set(&options, "format_whitelist", kinds[r->kind].formats, 0);
    av_dict_set(&options, "probesize", kinds[r->kind].probe, 0);
    av_dict_set(&options, "analyzeduration", "100000", 0);
    av_dict_set(&options, "fpsprobesize", "0", 0);
    if (r->kind == ES_MEDIA_RTSP) av_dict_set(&options, "rtsp_transport", "tcp", 0);
    for (size_t i = 0; r->options && r->options[i]; i += 2)
        av_dict_set(&options, r->options[i], r->options[i + 1], 0);
    return options;
}

static int why_not_open(es_media_flow *flow, int code, char *message) {
    if (is_sent_on(flow)) {
        *flow->request.unsupported = 1;
        return media_fail(message,
                          "the server sends on to another address, which is not followed; ask "
                          "for that address itself if you trust it");
    }
    if (is_stopped(flow)) return media_fail(message, "interrupted");
    if (is_silent(flow))
        return media_fail(message, "nothing came for %g s", flow->request.silence_s);
    if (code == AVERROR(EACCES) && flow->request.kind == ES_MEDIA_DEVICE)
        return media_fail(message,
                          "no permission; add this user to the group of the device (video)");
    if (code == AVERROR_INVALIDDATA)
        return media_fail(message, "what comes is no stream of video that is read here");
    return media_fail_code(message, "it cannot be opened", code);
}

static int open_file(es_media_flow *flow, char *message) {
    const es_media_flow_request *r = &flow->request;
    AVFormatContext *file = avformat_alloc_context();
    const AVInputFormat *format = NULL;
    if (!file) return media_fail(message, "out of memory");
    file->interrupt_callback = (AVIOInterruptCB){interrupted, flow};
    file->max_streams = 16;
    file->flags |= AVFMT_FLAG_NOBUFFER;
    if (r->kind == ES_MEDIA_DEVICE) {
        file->flags |= AVFMT_FLAG_NONBLOCK; /* a grabber without signal gives nothing, ever */
        format = av_find_input_format("v4l2");
    } else if (r->kind == ES_MEDIA_RTSP) {
        format = av_find_input_format("rtsp");
    }
    AVDictionary *options = make_options(r);
    flow->file = file;
    int code = avformat_open_input(&flow->file, r->url, format, &options);
    const AVDictionaryEntry *odd = av_dict_get(options, "", NULL, AV_DICT_IGNORE_SUFFIX);
    if (code >= 0 && odd && r->kind == ES_MEDIA_DEVICE) {
        code = media_fail(message, "the device takes no option %s", odd->key);
        *r->unsupported = 1;
    } else if (code < 0 || is_sent_on(flow)) {
        code = why_not_open(flow, code, message);
    } else {
        code = 0;
    }
    av_dict_free(&options);
    return code;
}

static int choose_stream(es_media_flow *flow, char *message) {
    /* What a device sends is known; looking would only take pictures away. */
    int code =
        flow->request.kind == ES_MEDIA_DEVICE ? 0 : avformat_find_stream_info(flow->file, NULL);
    if (code < 0 || interrupted(flow)) return why_not_open(flow, code, message);
    flow->stream = av_find_best_stream(flow->file, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (flow->stream < 0)
        return media_fail(message, "there is no video in it (streams: %u)", flow->file->nb_streams);
    for (unsigned i = 0; i < flow->file->nb_streams; i++)
        if ((int)i != flow->stream) flow->file->streams[i]->discard = AVDISCARD_ALL;
    return 0;
}

static int start_decoder(es_media_flow *flow, const AVCodec *codec, const AVCodecParameters *par,
                         int64_t pixels_max, char *message) {
    flow->codec = avcodec_alloc_context3(codec);
    flow->packet = av_packet_alloc();
    flow->frame = av_frame_alloc();
    if (!flow->codec || !flow->packet || !flow->frame) return media_fail(message, "out of memory");
    int code = par ? avcodec_parameters_to_context(flow->codec, par) : 0;
    flow->codec->max_pixels = pixels_max;
    flow->codec->thread_count = 1;
    flow->codec->flags |= AV_CODEC_FLAG_LOW_DELAY;
    if (code >= 0 && !par && codec->id == AV_CODEC_ID_RAWVIDEO) {
        flow->codec->width = (int)flow->size[0];
        flow->codec->height = (int)flow->size[1];
        flow->codec->pix_fmt = AV_PIX_FMT_YUV420P;
    }
    if (code >= 0) code = avcodec_open2(flow->codec, codec, NULL);
    if (code >= 0) return 0;
    char what[100];
    snprintf(what, sizeof what, "the decoder of %s does not start", codec->name);
    return media_fail_code(message, what, code);
}

static int open_codec(es_media_flow *flow, char *message) {
    const AVStream *stream = flow->file->streams[flow->stream];
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    if (!codec) {
        *flow->request.unsupported = 1;
        return media_fail(message,
                          "the video codec %s cannot be decoded by the FFmpeg installed here; let "
                          "the sender use H.264 or MJPEG",
                          media_codec_name(stream->codecpar));
    }
    return start_decoder(flow, codec, stream->codecpar, flow->request.pixels_max, message);
}

static void describe(const es_media_flow *flow) {
    AVStream *stream = flow->file->streams[flow->stream];
    const AVCodecParameters *par = stream->codecpar;
    AVRational rate = av_guess_frame_rate(flow->file, stream, NULL);
    int n = snprintf(flow->request.description, 200, "%s", media_codec_name(par));
    if (par->width > 0)
        n += snprintf(flow->request.description + n, 200 - (size_t)n, ", %d x %d", par->width,
                      par->height);
    if (rate.num > 0 && rate.den > 0)
        snprintf(flow->request.description + n, 200 - (size_t)n, ", %.4g Hz", av_q2d(rate));
}

void media_flow_close(es_media_flow *flow) {
    if (!flow) return;
    media_pixels_clear(&flow->pixels);
    av_frame_free(&flow->frame);
    av_packet_free(&flow->packet);
    avcodec_free_context(&flow->codec);
    avformat_close_input(&flow->file);
    free(flow->url);
    free(flow);
}

es_media_flow *media_flow_open(const es_media_flow_request *request, char *message) {
    message[0] = '\0';
    av_log_set_level(AV_LOG_QUIET);
    es_media_flow *flow = calloc(1, sizeof *flow);
    if (!flow) return media_fail(message, "out of memory"), NULL;
    flow->request = *request;
    flow->heard_s = clock_s();
    flow->url = strdup(request->url);
    int code = flow->url ? 0 : media_fail(message, "out of memory");
    if (!code && request->kind == ES_MEDIA_DEVICE && (code = register_devices(message)))
        *request->unsupported = 1;
    if (!code) code = open_file(flow, message);
    if (!code) code = choose_stream(flow, message);
    if (!code) code = open_codec(flow, message);
    if (!code) {
        describe(flow);
        return flow;
    }
    media_flow_close(flow);
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------- */

/* Into the decoder; what it does not take is damaged, and so is all until a key. */
static void send(es_media_flow *flow, const AVPacket *packet) {
    int code = avcodec_send_packet(flow->codec, packet);
    if (code >= 0 || code == AVERROR(EAGAIN)) return;
    flow->damaged++;
    flow->needs_key = true;
}

static int why_ended(es_media_flow *flow, int code, char *message) {
    if (is_stopped(flow)) return ES_MEDIA_END;
    if (is_silent(flow))
        return media_fail(message, "no picture came for %g s", flow->request.silence_s);
    if (code == AVERROR(ENODEV) || code == AVERROR(EIO))
        return media_fail(message, flow->request.kind == ES_MEDIA_DEVICE
                                       ? "the device is gone: was it unplugged?"
                                       : "the connection broke");
    return media_fail_code(message, "reading failed", code);
}

/* The next packet of ours. */
static int feed(es_media_flow *flow, char *message) {
    for (;;) {
        int code = av_read_frame(flow->file, flow->packet);
        if (code == AVERROR(EAGAIN)) {
            if (interrupted(flow)) return why_ended(flow, code, message);
            usleep(1000);
            continue;
        }
        if (code == AVERROR_EOF && !is_silent(flow)) return ES_MEDIA_END;
        if (code < 0) return why_ended(flow, code, message);
        bool ours = flow->packet->stream_index == flow->stream && flow->packet->size > 0;
        if (ours && flow->request.kind == ES_MEDIA_DEVICE &&
            (flow->packet->flags & AV_PKT_FLAG_CORRUPT)) {
            flow->damaged++;
            ours = false;
        }
        if (ours) send(flow, flow->packet);
        av_packet_unref(flow->packet);
        if (ours) return ES_MEDIA_FRAME;
    }
}

#if LIBAVUTIL_VERSION_MAJOR < 59
static bool is_key(const AVFrame *f) { return f->key_frame; }
static int is_interlaced(const AVFrame *f) { return f->interlaced_frame; }
#else
static bool is_key(const AVFrame *f) { return f->flags & AV_FRAME_FLAG_KEY; }
static int is_interlaced(const AVFrame *f) { return (f->flags & AV_FRAME_FLAG_INTERLACED) != 0; }
#endif

/* A whole picture, by itself or after others that were whole. */
static bool is_good(es_media_flow *flow) {
    const AVFrame *f = flow->frame;
    bool broken = (f->flags & AV_FRAME_FLAG_CORRUPT) || f->decode_error_flags;
    if (is_key(f) && !broken) flow->needs_key = false;
    if (broken) flow->needs_key = true;
    flow->damaged += flow->needs_key;
    return !flow->needs_key;
}

int media_flow_next(es_media_flow *flow, es_media_picture *picture, char *message) {
    message[0] = '\0';
    for (;;) {
        int code = avcodec_receive_frame(flow->codec, flow->frame);
        if (code == 0 && is_good(flow)) break;
        if (code == AVERROR(ENOMEM)) return media_fail(message, "out of memory");
        if (code < 0 && code != AVERROR(EAGAIN) && code != AVERROR_EOF) {
            flow->damaged++;
            flow->needs_key = true;
        }
        if (code == 0) continue;
        if (!flow->file) return ES_MEDIA_END;
        if (interrupted(flow)) return why_ended(flow, AVERROR_EXIT, message);
        code = feed(flow, message);
        if (code != ES_MEDIA_FRAME) return code;
    }
    const AVFrame *f = flow->frame;
    flow->heard_s = clock_s();
    if (f->width < 1 || f->height < 1 || f->width > 65535 || f->height > 65535)
        return media_fail(message, "a picture of %d x %d pixels", f->width, f->height);
    *picture = (es_media_picture){.width = (uint32_t)f->width,
                                  .height = (uint32_t)f->height,
                                  .interlaced = is_interlaced(f),
                                  .damaged = flow->damaged};
    if (flow->file && f->best_effort_timestamp != AV_NOPTS_VALUE) {
        picture->has_stamp = 1;
        picture->stamp_s =
            (double)f->best_effort_timestamp * av_q2d(flow->file->streams[flow->stream]->time_base);
    }
    return ES_MEDIA_FRAME;
}

int media_flow_pixels(es_media_flow *flow, void *grey, char *message) {
    return media_convert(&flow->pixels, flow->frame, 1, 1, grey, message);
}

/* ---- packets that are put in ------------------------------------------------------------ */

es_media_flow *media_decoder_open(const char *name, uint32_t width, uint32_t height,
                                  char *message) {
    message[0] = '\0';
    av_log_set_level(AV_LOG_QUIET);
    const AVCodec *codec =
        strcmp(name, "i420") == 0 ? avcodec_find_decoder(AV_CODEC_ID_RAWVIDEO) : NULL;
    const AVCodecDescriptor *known = codec ? NULL : avcodec_descriptor_get_by_name(name);
    if (known) codec = avcodec_find_decoder(known->id);
    if (!codec) return media_fail(message, "the FFmpeg installed here has no decoder of it"), NULL;
    es_media_flow *flow = calloc(1, sizeof *flow);
    if (!flow) return media_fail(message, "out of memory"), NULL;
    flow->size[0] = width;
    flow->size[1] = height;
    flow->needs_key = true;
    /* Codecs round sides up to their blocks before they cut. */
    int64_t pixels_max = ((int64_t)width + 128) * ((int64_t)height + 128);
    if (start_decoder(flow, codec, NULL, pixels_max, message) == 0) return flow;
    media_flow_close(flow);
    return NULL;
}

int media_decoder_put(es_media_flow *flow, const void *bytes, size_t length, char *message) {
    message[0] = '\0';
    if (length > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE ||
        av_new_packet(flow->packet, (int)length) < 0)
        return media_fail(message, "out of memory");
    memcpy(flow->packet->data, bytes, length);
    uint64_t before = flow->damaged;
    send(flow, flow->packet);
    av_packet_unref(flow->packet);
    return flow->damaged > before ? ES_MEDIA_DAMAGED : ES_MEDIA_FRAME;
}
