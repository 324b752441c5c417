/* A recording as DICOM: an ultrasound multi-frame image with one region that
 * carries the scale, or, where the size of a pixel is not known or samples have
 * 16 bits, a multi-frame secondary capture. Poses have no place in either. */
#include <math.h>
#include <string.h>

#include "dicom_internal.h"
#include "dicom_write.h"

typedef struct cine {
    es_dicom_frames frames;
    es_stream_info info;
    double *times; /* of the frames, NaN: unknown */
    size_t capacity;
    void *blank; /* zeros for frames without an image, once needed */
    size_t frame_bytes;
    bool broken; /* a put failed: the output can only be thrown away */
} cine;

static void cine_free(void *self) {
    cine *c = self;
    es_dicom_frames_clear(&c->frames);
    es_stream_info_clear(&c->info);
    es_free(c->times);
    es_free(c->blank);
    es_free(c);
}

/* ---- frames ------------------------------------------------------------------- */

static bool add_time(cine *c, const es_frame *frame, es_error *err) {
    size_t at = (size_t)c->frames.count;
    if (at == c->capacity) {
        size_t capacity = c->capacity ? 2 * c->capacity : 256;
        if (!es_resize(&c->times, capacity, sizeof *c->times, err)) return false;
        c->capacity = capacity;
    }
    c->times[at] = frame->has_time ? frame->time_s : NAN;
    return true;
}

static bool put_frame(cine *c, const es_frame *frame, es_error *err) {
    const void *pixels = frame->image.data;
    if (frame->has_image) {
        if (!es_check_picture(&c->info, &frame->image, err)) return false;
    } else {
        if (!c->blank && !(c->blank = es_alloc_zero(c->frame_bytes, 1, err))) return false;
        pixels = c->blank;
    }
    return add_time(c, frame, err) && es_dicom_frames_put(&c->frames, pixels, c->frame_bytes, err);
}

static bool cine_put(void *self, const es_frame *frame, es_error *err) {
    cine *c = self;
    if (c->broken)
        return es_fail(err, ES_USAGE, "%s: a frame could not be written", c->frames.path);
    c->broken = true;
    if (!put_frame(c, frame, err)) {
        es_prefix(err, "frame %llu", (unsigned long long)c->frames.count);
        return es_prefix(err, "%s", c->frames.path);
    }
    c->frames.count++;
    c->broken = false;
    return true;
}

/* ---- the header ----------------------------------------------------------------- */

/* Every frame has a time and none goes back. */
static bool is_timed(const cine *c) {
    for (uint64_t f = 0; f < c->frames.count; f++)
        if (!isfinite(c->times[f]) || (f && c->times[f] < c->times[f - 1])) return false;
    return c->frames.count > 0;
}

/* Milliseconds from frame to frame, first 0. Each is the difference of rounded
 * times, so that their sum does not drift from the true time. */
static void put_steps(es_elements *to, const cine *c) {
    es_text text = {0};
    double before = 0;
    for (uint64_t f = 0; f < c->frames.count; f++) {
        double ms = round((c->times[f] - c->times[0]) * 1e6) / 1e3;
        char number[ES_NUMBER_SIZE];
        es_text_add(&text, "%s%s", f ? "\\" : "",
                    es_format_double(round((ms - before) * 1e3) / 1e3, number));
        before = ms;
    }
    to->bytes.failed = to->bytes.failed || text.failed;
    if (!text.failed) es_put_bytes(to, 0x00181065, "DS", text.bytes, text.length);
    es_text_free(&text);
}

/* Frames without times are numbered pages. */
static void put_pages(es_elements *to, const cine *c) {
    es_text text = {0};
    for (uint64_t f = 0; f < c->frames.count; f++)
        es_text_add(&text, "%s%llu", f ? "\\" : "", (unsigned long long)f + 1);
    to->bytes.failed = to->bytes.failed || text.failed;
    if (!text.failed) es_put_bytes(to, 0x00182001, "IS", text.bytes, text.length);
    es_text_free(&text);
}

static void put_region(es_elements *to, const cine *c) {
    const double *mm = c->info.spacing_mm;
    double delta_cm[2] = {mm[0] / 10, mm[1] / 10};
    es_put_sequence(to, 0x00186011);
    es_put_item(to);
    es_put_word(to, 0x00186012, 1); /* 2-D */
    es_put_word(to, 0x00186014, 1); /* tissue */
    es_put_long(to, 0x00186016, "UL", 0);
    es_put_long(to, 0x00186018, "UL", 0);
    es_put_long(to, 0x0018601a, "UL", 0);
    es_put_long(to, 0x0018601c, "UL", c->info.width - 1);
    es_put_long(to, 0x0018601e, "UL", c->info.height - 1);
    es_put_word(to, 0x00186024, 3); /* cm */
    es_put_word(to, 0x00186026, 3);
    es_put_doubles(to, 0x0018602c, &delta_cm[0], 1);
    es_put_doubles(to, 0x0018602e, &delta_cm[1], 1);
    es_put_item_end(to);
    es_put_sequence_end(to);
}

/* 1 x 1 is how a recording says that it does not know. */
static bool knows_spacing(const cine *c) {
    const double *mm = c->info.spacing_mm;
    return isfinite(mm[0]) && isfinite(mm[1]) && mm[0] > 0 && mm[1] > 0 &&
           (mm[0] != 1 || mm[1] != 1);
}

static bool is_scaled(const cine *c) { return knows_spacing(c) && c->info.type == ES_U8; }

static void tell_scale(const cine *c) {
    const double *mm = c->info.spacing_mm;
    if (is_scaled(c))
        es_log(ES_NOTE, "%s: the recording's pixel size, %g x %g mm, becomes the region's scale",
               c->frames.path, mm[0], mm[1]);
    else if (knows_spacing(c))
        es_log(ES_WARNING,
               "%s: pixels of 16 bits make a secondary capture, without their size of %g x %g mm",
               c->frames.path, mm[0], mm[1]);
}

static void put_acquisition(es_elements *to, const void *context) {
    const cine *c = context;
    if (is_timed(c))
        put_steps(to, c);
    else
        put_pages(to, c);
    if (is_scaled(c)) put_region(to, c);
}

static bool cine_finish(void *self, es_error *err) {
    cine *c = self;
    enum { EXPLICIT_LIMIT = 5000 }; /* frames: an explicit value of text has 64 KiB at most */
    if (c->broken)
        return es_fail(err, ES_USAGE, "%s: a frame could not be written", c->frames.path);
    c->broken = true;
    if (c->frames.count == 0)
        return es_fail(err, ES_USAGE, "%s: a recording without frames is not written",
                       c->frames.path);
    es_dicom_frames_mix(&c->frames, c->times, (size_t)c->frames.count * sizeof *c->times);
    es_dicom_frames_mix(&c->frames, c->info.spacing_mm, sizeof c->info.spacing_mm);
    es_dicom_document document = {
        .kind = is_scaled(c) ? ES_DICOM_CINE : ES_DICOM_CAPTURE,
        .frames = &c->frames,
        .implicit = c->frames.count > EXPLICIT_LIMIT,
        .burned_in = true, /* nobody has looked */
        .derivation = "Frames written by echosolid",
        .increment = is_timed(c) ? 0x00181065 : 0x00182001,
        .acquisition = put_acquisition,
        .context = c,
    };
    es_output *out = es_dicom_document_write(&document, c->frames.path, err);
    return out && es_output_commit(out, err);
}

es_sink *es_dicom_create(const char *path, const es_stream_info *info,
                         const es_sequence_options *options, es_error *err) {
    static const es_sink_ops ops = {cine_put, cine_finish, cine_free};
    (void)options; /* DICOM is written uncompressed */
    cine *c = es_alloc_zero(1, sizeof *c, err);
    if (!c) return NULL;
    c->frames = (es_dicom_frames){.width = info->width,
                                  .height = info->height,
                                  .type = info->type,
                                  .channels = info->channels};
    if (es_stream_info_copy(info, &c->info, err) && es_dicom_frames_start(&c->frames, path, err)) {
        c->frame_bytes =
            (size_t)info->width * info->height * (size_t)info->channels * es_type_size(info->type);
        tell_scale(c);
        return es_sink_new(&ops, c, err);
    }
    cine_free(c);
    return NULL;
}
