/* Video files, through the module that holds FFmpeg (ffmpeg.c, media_module.h).
 *
 * The module is looked for in $ECHOSOLID_MODULES, beside the program, and where
 * it was installed. Without it everything else works, and the message says what
 * to install. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "container.h"

#ifndef ES_MODULE_FOLDER
#define ES_MODULE_FOLDER "/usr/local/lib/echosolid"
#define ES_LIBDIR "lib"
#endif
static const char module_name[] = "echosolid_ffmpeg.so";

/* ---- finding the module ----------------------------------------------------- */

/* The folder of the running program with a final slash, or "". */
static void program_folder(char *folder, size_t size) {
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) slash[1] = '\0';
}

static void *open_in(const char *folder, const char *below, char *reason, size_t size) {
    char path[4400];
    if (!folder || !*folder) return NULL;
    int length = snprintf(path, sizeof path, "%s%s/%s", folder, below, module_name);
    if (length >= (int)sizeof path || access(path, F_OK) != 0) return NULL;
    /* It stays: libraries with threads of their own do not like to be unloaded. */
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) snprintf(reason, size, " (%s)", dlerror());
    return handle;
}

const es_media_module *es_media_module_get(es_error *err) {
    char folder[4096], reason[500] = "";
    program_folder(folder, sizeof folder);
    const char *asked = secure_getenv("ECHOSOLID_MODULES");
    void *handle = open_in(asked, "", reason, sizeof reason);
    if (!handle) handle = open_in(folder, ".", reason, sizeof reason);
    if (!handle) handle = open_in(folder, "../" ES_LIBDIR "/echosolid", reason, sizeof reason);
    if (!handle) handle = open_in(ES_MODULE_FOLDER, "", reason, sizeof reason);
    if (!handle) {
        es_fail(err, ES_UNSUPPORTED,
                "video and pictures are read by the module %s, which was not found%s; build "
                "echosolid with libavformat-dev, libavcodec-dev, libswscale-dev and libavutil-dev "
                "installed, or name the module's folder in ECHOSOLID_MODULES",
                module_name, reason);
        return NULL;
    }
    /* POSIX lets dlsym's pointer be used as a function, ISO C has no cast for it. */
    const es_media_module *(*get)(void) = NULL;
    void *symbol = dlsym(handle, ES_MEDIA_SYMBOL);
    memcpy(&get, &symbol, sizeof get);
    const es_media_module *module = get ? get() : NULL;
    if (module && module->version == ES_MEDIA_VERSION) return module;
    es_fail(err, ES_UNSUPPORTED,
            "the module %s is of another version of echosolid; install both anew", module_name);
    return NULL;
}

bool es_media_colours(const es_input *name, int *colours, es_error *err) {
    *colours = strcmp(name->choice, "grey") == 0  ? ES_MEDIA_GREY
               : strcmp(name->choice, "rgb") == 0 ? ES_MEDIA_RGB
                                                  : ES_MEDIA_AUTO;
    return *colours != ES_MEDIA_AUTO || !*name->choice ||
           es_fail(err, ES_USAGE, "%s: \"#%.40s\" chooses nothing here; expected #grey or #rgb",
                   name->path, name->choice);
}

es_type es_media_type(const es_media_info *info) { return info->bytes == 2 ? ES_U16 : ES_U8; }

int es_media_stopped(void) { return es_cancelled(NULL); }

/* ---- the source ---------------------------------------------------------------- */

typedef struct video {
    const es_media_module *module;
    es_media *media;
    es_media_info info;
    char *path;
    int64_t index;
    int warnings_left;
} video;

static void video_free(void *self) {
    video *v = self;
    if (v->media) v->module->close(v->media);
    es_free(v->path);
    es_free(v);
}

static es_code code_of(const char *message) {
    return strstr(message, "out of memory") ? ES_MEMORY : ES_FORMAT;
}

static bool read_pixels(video *v, es_frame *frame, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    if (!es_image_resize(&frame->image, es_media_type(&v->info), v->info.channels, v->info.width,
                         v->info.height, err))
        return false;
    int result = v->module->read(v->media, v->index, frame->image.data, message);
    frame->has_image = result == ES_MEDIA_FRAME;
    if (result == ES_MEDIA_FAILED) {
        if (es_cancelled(err)) return false;
        return es_fail(err, code_of(message), "%s: frame %lld: %s", v->path, (long long)v->index,
                       message);
    }
    if (result == ES_MEDIA_DAMAGED && v->warnings_left-- > 0)
        es_log(ES_WARNING, "%s: frame %lld %s: damaged, it stays without a picture%s", v->path,
               (long long)v->index, message,
               v->warnings_left ? "" : " (no more of these are told)");
    return true;
}

static bool video_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    video *v = self;
    *end = v->index >= v->info.frame_count;
    if (*end) return true;
    es_frame_begin(frame, v->index);
    frame->has_time = v->info.time_unit_s > 0;
    frame->time_s = (double)v->info.times[v->index] * v->info.time_unit_s;
    if ((flags & ES_READ_PIXELS) && !read_pixels(v, frame, err)) return false;
    v->index++;
    return true;
}

static bool video_rewind(void *self, es_error *err) {
    video *v = self;
    char message[ES_MEDIA_MESSAGE];
    v->index = 0;
    return v->module->rewind(v->media, message) == 0 ||
           es_fail(err, ES_IO, "%s: %s", v->path, message);
}

/* What was found and what was taken for granted. */
static void tell(const video *v) {
    const es_media_info *info = &v->info;
    es_log(ES_NOTE, "%s: video, %s in %s, pixels %s, %s; read as %s", v->path, info->codec,
           info->container, info->pixels, info->has_colour ? "has colour" : "grey",
           info->channels == 3 ? "RGB (#grey reads it as grey)" : "grey");
    if (info->invented_times)
        es_log(ES_WARNING, "%s: %s", v->path,
               info->time_unit_s > 0
                   ? "has no usable time stamps; the times are frame number / frame rate"
                   : "has neither time stamps nor a frame rate; the frames have no times");
    if (info->announced > info->frame_count)
        es_log(ES_WARNING,
               "%s: its header announces %lld frames, only %lld are there; it was cut off", v->path,
               (long long)info->announced, (long long)info->frame_count);
    if (info->rotation_deg)
        es_log(ES_NOTE, "%s: turned by %d degrees clockwise, as its header says", v->path,
               info->rotation_deg);
    if (info->odd_rotation_deg != 0)
        es_log(ES_WARNING, "%s: its header asks for a turn by %.1f degrees, which is not done",
               v->path, info->odd_rotation_deg);
    if (info->pixel_ratio[0] > 0 && info->pixel_ratio[0] != info->pixel_ratio[1])
        es_log(ES_WARNING, "%s: its pixels are not square, %d : %d (width : height)", v->path,
               info->pixel_ratio[0], info->pixel_ratio[1]);
}

static es_source *source_of(video *v, es_error *err) {
    static const es_source_ops ops = {video_next, video_rewind, video_free};
    es_stream_info info = {.frame_count = v->info.frame_count,
                           .width = v->info.width,
                           .height = v->info.height,
                           .type = es_media_type(&v->info),
                           .channels = v->info.channels,
                           .spacing_mm = {1, 1}};
    snprintf(info.format, sizeof info.format, "video %.17s", v->info.codec);
    return es_source_new(&ops, v, &info, err);
}

static es_source *video_open(const es_input *name, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    es_media_request request = {
        .path = name->path, .stopped = es_media_stopped, .side_limit = ES_MEDIA_SIDE};
    if (!es_media_colours(name, &request.colours, err)) return NULL;
    video *v = es_alloc_zero(1, sizeof *v, err);
    if (!v) return NULL;
    v->warnings_left = 10;
    v->path = es_copy_text(name->path, err);
    v->module = v->path ? es_media_module_get(err) : NULL;
    if (!v->module) {
        if (v->path) es_prefix(err, "%s", v->path);
        video_free(v);
        return NULL;
    }
    v->media = v->module->open(&request, &v->info, message);
    if (!v->media) {
        if (!es_cancelled(err)) es_fail(err, code_of(message), "%s: %s", v->path, message);
        video_free(v);
        return NULL;
    }
    tell(v);
    return source_of(v, err);
}

static const es_mark marks[] = {
    {0, 4, "GIF8"},
    {8, 4, "AVI "},
    {4, 4, "ftyp"}, /* MP4, MOV */
    {4, 4, "moov"},
    {4, 4, "wide"},
    {0, 4, "\x1a\x45\xdf\xa3"},                 /* Matroska, WebM */
    {0, 8, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"}, /* ASF: .wmv */
    {0, 4, "\x00\x00\x01\xba"},                 /* MPEG */
    {0, 4, "\x00\x00\x01\xb3"},
    {0, 4, "FLV\x01"},
    {0, 4, "OggS"},
    {0, 8, "YUV4MPEG"},
    {0},
};
const es_format es_format_video = {
    .name = "video",
    .reads = ".mp4 .m4v .mov .avi .mkv .webm .wmv .asf .mpg .mpeg .ts .flv .gif .mxf .y4m .h264",
    .marks = marks,
    .open = video_open,
};
