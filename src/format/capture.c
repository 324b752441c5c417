/* Grabbers, cameras and streams, and coded pictures, through FFmpeg's module. Here an
 * address is read, and what may be reached by it decided. */
#include "echosolid/capture.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "container.h"

enum { ADDRESS_MOST = 1000, OPTIONS_MOST = 8, PIXELS_MOST = 1 << 25 /* 8192 x 4096 */ };

/* ---- addresses ---------------------------------------------------------------------- */

static const struct {
    const char *start;
    int kind;
} schemes[] = {{"v4l2://", ES_MEDIA_DEVICE},
               {"rtsp://", ES_MEDIA_RTSP},
               {"udp://", ES_MEDIA_UDP},
               {"tcp://", ES_MEDIA_TCP}};

static bool is_device(const char *address) {
    struct stat about;
    return strncmp(address, "/dev/", 5) == 0 ||
           (stat(address, &about) == 0 && S_ISCHR(about.st_mode));
}

/* The kind, and what follows its "://"; -1 for none. */
static int kind_of(const char *address, const char **rest) {
    *rest = address;
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i].start);
        if (strncmp(address, schemes[i].start, length) != 0) continue;
        *rest = address + length;
        return schemes[i].kind;
    }
    return is_device(address) ? ES_MEDIA_DEVICE : -1;
}

bool es_capture_is(const char *address) {
    const char *rest;
    return kind_of(address, &rest) >= 0 || strstr(address, "://");
}

void es_capture_name(const char *address, char name[300]) {
    const char *host = strstr(address, "://"), *at = NULL;
    for (const char *c = host ? host + 3 : ""; *c && *c != '/'; c++)
        if (*c == '@') at = c;
    if (at)
        snprintf(name, 300, "%.*s%s", (int)(host + 3 - address), address, at + 1);
    else
        snprintf(name, 300, "%s", address);
}

/* What FFmpeg is asked for. */
typedef struct request {
    int kind;
    char url[ADDRESS_MOST + 100];
    char text[ADDRESS_MOST]; /* keys and values of the options */
    const char *options[2 * OPTIONS_MOST + 1];
} request;

/* "size=1920x1080&rate=30" of a device. */
static bool take_option(request *r, size_t index, char *pair, es_error *err) {
    static const struct {
        const char *ours, *theirs;
    } names[] = {{"size", "video_size"},
                 {"rate", "framerate"},
                 {"format", "input_format"},
                 {"input", "channel"},
                 {"standard", "standard"}};
    char *value = strchr(pair, '=');
    if (value) *value++ = '\0';
    for (size_t i = 0; value && *value && i < sizeof names / sizeof *names; i++) {
        if (strcmp(pair, names[i].ours) != 0) continue;
        r->options[2 * index] = names[i].theirs;
        r->options[2 * index + 1] = value;
        return true;
    }
    return es_fail(err, ES_USAGE,
                   "\"%.60s\" behind the device: expected size=WxH, rate=HZ, format=NAME, input=N "
                   "or standard=NAME, joined by &",
                   pair);
}

static bool read_device(request *r, const char *rest, es_error *err) {
    size_t length = strcspn(rest, "?"), count = 0;
    snprintf(r->url, sizeof r->url, "%.*s", (int)length, rest);
    if (*rest != '/')
        return es_fail(err, ES_USAGE, "%.200s: expected v4l2:///dev/video0 with three slashes",
                       rest);
    if (!rest[length]) return true;
    snprintf(r->text, sizeof r->text, "%s", rest + length + 1);
    char *save, *pair = strtok_r(r->text, "&", &save);
    for (; pair; pair = strtok_r(NULL, "&", &save), count++)
        if (count == OPTIONS_MOST || !take_option(r, count, pair, err)) return false;
    return true;
}

/* HOST:PORT alone: what stands behind it would be options of FFmpeg's. */
static bool read_port(const char *rest, char host[256], int *port, es_error *err) {
    const char *colon = strrchr(rest, ':');
    int64_t number = 0;
    size_t length = colon ? (size_t)(colon - rest) : 0;
    if (!colon || !es_parse_int(colon + 1, &number) || number < 1 || number > 65535 ||
        length >= 256 ||
        strspn(rest, "0123456789abcdefghijklmnopqrstuvwxyz"
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_") < length)
        return es_fail(err, ES_USAGE, "%.200s: expected HOST:PORT with a port from 1 to 65535",
                       rest);
    snprintf(host, 256, "%.*s", (int)length, rest);
    *port = (int)number;
    return true;
}

static bool read_udp(request *r, const char *rest, es_error *err) {
    char host[256];
    int port = 0, part[4], used = 0;
    if (!read_port(rest, host, &port, err)) return false;
    if (!*host) strcpy(host, "127.0.0.1");
    bool address =
        sscanf(host, "%d.%d.%d.%d%n", &part[0], &part[1], &part[2], &part[3], &used) == 4 &&
        host[used] == '\0';
    for (int i = 0; address && i < 4; i++) address = part[i] >= 0 && part[i] <= 255;
    if (!address || part[0] >= 224)
        return es_fail(err, ES_USAGE,
                       "udp://%.200s: expected udp://:PORT, for a stream from this machine, or "
                       "udp://ADDRESS:PORT with an IPv4 address of this machine to which it is "
                       "sent (0.0.0.0: any); no multicast",
                       rest);
    /* Bound to that address, it gets what is sent there and nothing else. */
    snprintf(r->url, sizeof r->url, "udp://%s:%d?localaddr=%s&overrun_nonfatal=1", host, port,
             host);
    return true;
}

static bool read_tcp(request *r, const char *rest, es_error *err) {
    char host[256];
    int port = 0;
    if (!read_port(rest, host, &port, err)) return false;
    if (!*host) return es_fail(err, ES_USAGE, "tcp://%.200s: expected tcp://HOST:PORT", rest);
    snprintf(r->url, sizeof r->url, "tcp://%s:%d", host, port);
    return true;
}

static bool read_address(const char *address, request *r, es_error *err) {
    const char *rest;
    memset(r, 0, sizeof *r);
    r->kind = kind_of(address, &rest);
    if (strlen(address) >= ADDRESS_MOST)
        return es_fail(err, ES_USAGE, "an address of more than %d letters", ADDRESS_MOST);
    switch (r->kind) {
    case ES_MEDIA_DEVICE: return read_device(r, rest, err);
    case ES_MEDIA_UDP: return read_udp(r, rest, err);
    case ES_MEDIA_TCP: return read_tcp(r, rest, err);
    case ES_MEDIA_RTSP: snprintf(r->url, sizeof r->url, "%s", address); return true;
    default:
        return es_fail(err, ES_USAGE,
                       "%.200s: expected v4l2:///dev/video0, rtsp://HOST/PATH, udp://:PORT, "
                       "tcp://HOST:PORT or a file",
                       address);
    }
}

/* ---- pictures ----------------------------------------------------------------------------- */

struct es_capture {
    const es_media_module *module;
    es_media_flow *flow;
    es_capture_options options;
    int kind;
    char name[300], description[200];
    uint64_t damaged;
};

static int stopped(void *context) {
    const es_capture *c = context;
    return c->options.stop && c->options.stop(c->options.context);
}

static bool blame(const es_capture *c, const char *message, bool unsupported, es_error *err) {
    es_code code = strstr(message, "out of memory") ? ES_MEMORY
                   : unsupported                    ? ES_UNSUPPORTED
                                                    : ES_IO;
    return es_fail(err, code, "%s: %s", c->name, message);
}

void es_capture_close(es_capture *c) {
    if (!c) return;
    if (c->flow) c->module->flow_close(c->flow);
    es_free(c);
}

static bool open_flow(es_capture *c, const request *r, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    int unsupported = 0;
    es_media_flow_request asked = {.kind = r->kind,
                                   .url = r->url,
                                   .options = r->options,
                                   .stopped = stopped,
                                   .context = c,
                                   .silence_s = c->options.silence_s,
                                   .pixels_max = PIXELS_MOST,
                                   .description = c->description,
                                   .unsupported = &unsupported};
    c->kind = r->kind;
    c->module = es_media_module_get(err);
    if (!c->module) return es_prefix(err, "%s", c->name), false;
    c->flow = c->module->flow_open(&asked, message);
    return c->flow || blame(c, message, unsupported, err);
}

es_capture *es_capture_open(const char *address, const es_capture_options *options, es_error *err) {
    request *r = es_alloc(1, sizeof *r, err);
    es_capture *c = r ? es_alloc_zero(1, sizeof *c, err) : NULL;
    bool ok = c && read_address(address, r, err);
    if (ok) {
        c->options = *options;
        es_capture_name(address, c->name);
        ok = open_flow(c, r, err);
    }
    if (!ok) es_capture_close(c);
    es_free(r);
    return ok ? c : NULL;
}

const char *es_capture_description(const es_capture *c) { return c->description; }
uint64_t es_capture_damaged(const es_capture *c) { return c->damaged; }

static double clock_now(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Drivers stamp by the clock that only goes forward, or by Unix time. */
static void date_device(double stamp_s, es_capture_moment *moment) {
    double running = clock_now(CLOCK_MONOTONIC), unix_s = clock_now(CLOCK_REALTIME);
    const double old_s = 10, ahead_s = 1;
    moment->clock = ES_CAPTURE_UNIX;
    if (stamp_s > unix_s - old_s && stamp_s < unix_s + ahead_s)
        moment->stamp_s = stamp_s;
    else if (stamp_s > running - old_s && stamp_s < running + ahead_s)
        moment->stamp_s = stamp_s + (unix_s - running);
    else
        moment->clock = ES_CAPTURE_NONE;
}

bool es_capture_next(es_capture *c, es_image *picture, es_capture_moment *moment, bool *end,
                     es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    es_media_picture found;
    int result = c->module->flow_next(c->flow, &found, message);
    *end = result == ES_MEDIA_END;
    if (*end) return true;
    if (result != ES_MEDIA_FRAME) return blame(c, message, false, err);
    if (!es_image_resize(picture, ES_U8, 1, found.width, found.height, err)) return false;
    if (c->module->flow_pixels(c->flow, picture->data, message) != 0)
        return blame(c, message, true, err);
    c->damaged = found.damaged;
    *moment = (es_capture_moment){.clock = found.has_stamp ? ES_CAPTURE_OWN : ES_CAPTURE_NONE,
                                  .stamp_s = found.stamp_s,
                                  .interlaced = found.interlaced};
    if (found.has_stamp && c->kind == ES_MEDIA_DEVICE) date_device(found.stamp_s, moment);
    return true;
}

/* ---- packets ------------------------------------------------------------------------------ */

struct es_decoder {
    const es_media_module *module;
    es_media_flow *flow;
    uint32_t width, height;
};

static const char *codec_of(const char *letters) {
    static const char *const names[][2] = {{"H264", "h264"}, {"AVC1", "h264"}, {"H265", "hevc"},
                                           {"X265", "hevc"}, {"HEVC", "hevc"}, {"VP90", "vp9"},
                                           {"VP9", "vp9"},   {"AV1", "av1"},   {"AV10", "av1"},
                                           {"AV01", "av1"},  {"I420", "i420"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(letters, names[i][0]) == 0) return names[i][1];
    return NULL;
}

void es_decoder_free(es_decoder *d) {
    if (!d) return;
    if (d->flow) d->module->flow_close(d->flow);
    es_free(d);
}

es_decoder *es_decoder_new(const char *letters, uint32_t width, uint32_t height, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    const char *codec = codec_of(letters);
    const uint32_t side_most = 8192;
    if (!codec) {
        es_fail(err, ES_UNSUPPORTED,
                "the codec \"%.4s\" is not known here; expected H264, H265, VP90, AV1 or I420",
                letters);
        return NULL;
    }
    if (width < 1 || height < 1 || width > side_most || height > side_most ||
        (uint64_t)width * height > PIXELS_MOST) {
        es_fail(err, ES_FORMAT, "pictures of %u x %u pixels; expected 1 to %u a side, %d in all",
                width, height, side_most, PIXELS_MOST);
        return NULL;
    }
    es_decoder *d = es_alloc_zero(1, sizeof *d, err);
    if (!d) return NULL;
    d->width = width;
    d->height = height;
    d->module = es_media_module_get(err);
    d->flow = d->module ? d->module->decoder_open(codec, width, height, message) : NULL;
    if (d->flow) return d;
    if (d->module) es_fail(err, ES_UNSUPPORTED, "the codec \"%.4s\": %s", letters, message);
    es_decoder_free(d);
    return NULL;
}

/* The last of the pictures that have become ready; a packet makes one. */
static bool take_pictures(es_decoder *d, es_image *picture, bool *got, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    es_media_picture found;
    int result;
    while ((result = d->module->flow_next(d->flow, &found, message)) == ES_MEDIA_FRAME) {
        if (found.width != d->width || found.height != d->height)
            return es_fail(err, ES_FORMAT,
                           "a picture of %u x %u pixels where %u x %u were announced", found.width,
                           found.height, d->width, d->height);
        if (!es_image_resize(picture, ES_U8, 1, d->width, d->height, err)) return false;
        if (d->module->flow_pixels(d->flow, picture->data, message) != 0)
            return es_fail(err, ES_FORMAT, "%s", message);
        *got = true;
    }
    if (result == ES_MEDIA_END) return true;
    return es_fail(err, strstr(message, "out of memory") ? ES_MEMORY : ES_FORMAT, "%s", message);
}

bool es_decoder_put(es_decoder *d, const void *bytes, size_t length, es_image *picture, bool *got,
                    es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    *got = false;
    int result = d->module->decoder_put(d->flow, bytes, length, message);
    if (result == ES_MEDIA_FAILED) return es_fail(err, ES_MEMORY, "%s", message);
    return result == ES_MEDIA_DAMAGED || take_pictures(d, picture, got, err);
}
