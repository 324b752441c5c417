/* A recording on its way to a file, whatever its format: frames come one by
 * one, their number is not known before the end. Header lines go straight
 * into the output, with blanks where the count will stand; pixels go through
 * the packer. Memory does not grow with the recording. */
#include <math.h>
#include <string.h>

#include "format_internal.h"

typedef struct recorder {
    const es_dialect *dialect;
    es_stream_info info;
    es_writer writer;
    uint64_t frames, count_at;
    size_t frame_bytes;
    void *blank; /* zeros for frames without an image, once needed */
    char *path;
    bool broken; /* a put failed: the output can only be thrown away */
} recorder;

static void recorder_free(void *self) {
    recorder *rec = self;
    es_writer_discard(&rec->writer);
    es_stream_info_clear(&rec->info);
    es_free(rec->blank);
    es_free(rec->path);
    es_free(rec);
}

/* ---- one field ------------------------------------------------------------- */

static bool check_key(const char *key, es_error *err) {
    if (!*key || strpbrk(key, "=:\n\r") || strlen(key) > 1000)
        return es_fail(err, ES_USAGE,
                       "a field named \"%.60s\" cannot be written: names have no = : or line break",
                       key);
    return true;
}

static void add_value(es_text *text, const es_dialect *dialect, const char *value) {
    for (; *value; value++) {
        const char *special = *value == '\n' ? "\\n" : *value == '\\' ? "\\\\" : NULL;
        if (dialect->escapes && special)
            es_text_add_bytes(text, special, 2);
        else
            es_text_add_bytes(text, *value == '\n' || *value == '\r' ? " " : value, 1);
    }
}

bool es_add_field(es_text *text, const es_dialect *dialect, const char *prefix, const char *key,
                  const char *value, es_error *err) {
    size_t start = text->length;
    if (!check_key(key, err)) return false;
    es_text_add(text, "%s%s%s", prefix, key, dialect->assign);
    add_value(text, dialect, value);
    es_text_add(text, "\n");
    if (text->failed) return es_fail(err, ES_MEMORY, "out of memory");
    return text->length - start <= ES_HEADER_LINE_LIMIT ||
           es_fail(err, ES_USAGE, "the field %.60s is longer than %d bytes", key,
                   ES_HEADER_LINE_LIMIT);
}

bool es_write_field(es_output *out, const es_dialect *dialect, const char *prefix, const char *key,
                    const char *value, es_error *err) {
    es_text line = {0};
    bool ok = es_add_field(&line, dialect, prefix, key, value, err) &&
              es_output_write(out, line.bytes, line.length, err);
    es_text_free(&line);
    return ok;
}

void es_text_add_numbers(es_text *text, const double *values, int count, const char *separator) {
    char number[ES_NUMBER_SIZE];
    for (int i = 0; i < count; i++)
        es_text_add(text, "%s%s", i ? separator : "", es_format_double(values[i], number));
}

/* ---- one frame --------------------------------------------------------------- */

typedef struct frame_lines {
    es_text *text;
    const es_dialect *dialect;
    char prefix[48];
} frame_lines;

static bool put_field(frame_lines *to, const char *key, const char *value, es_error *err) {
    return es_add_field(to->text, to->dialect, to->prefix, key, value, err);
}

static bool put_transform(frame_lines *to, const es_frame_transform *transform, es_error *err) {
    char key[ES_NAME_SIZE + 32];
    bool usable = es_mat4_finite(transform->matrix);
    es_mat4 matrix = usable ? transform->matrix : es_mat4_identity();
    const char *status = transform->valid && usable ? "OK" : transform->status;
    if ((!transform->valid || !usable) && (!*status || strcmp(status, "OK") == 0))
        status = "INVALID";
    es_text numbers = {0};
    es_text_add_numbers(&numbers, matrix.m, 16, " ");
    if (numbers.failed) {
        es_text_free(&numbers);
        return es_fail(err, ES_MEMORY, "out of memory");
    }
    snprintf(key, sizeof key, "%sTransform", transform->name);
    bool ok = put_field(to, key, numbers.bytes, err);
    es_text_free(&numbers);
    snprintf(key, sizeof key, "%sTransformStatus", transform->name);
    return ok && put_field(to, key, status, err);
}

static bool put_time(frame_lines *to, const char *key, bool has, double time_s, es_error *err) {
    char number[ES_NUMBER_SIZE];
    return !has || !isfinite(time_s) || put_field(to, key, es_format_double(time_s, number), err);
}

bool es_add_frame_lines(es_text *text, const es_dialect *dialect, uint64_t number,
                        const es_frame *frame, bool image_ok, es_error *err) {
    frame_lines to = {.text = text, .dialect = dialect};
    snprintf(to.prefix, sizeof to.prefix, "Seq_Frame%04llu_", (unsigned long long)number);
    for (size_t i = 0; i < frame->transform_count; i++)
        if (!put_transform(&to, &frame->transforms[i], err)) return false;
    if (!put_time(&to, "Timestamp", frame->has_time, frame->time_s, err) ||
        !put_time(&to, "UnfilteredTimestamp", frame->has_unfiltered_time, frame->unfiltered_time_s,
                  err))
        return false;
    for (size_t i = 0; i < frame->fields.count; i++)
        if (!put_field(&to, frame->fields.items[i].key, frame->fields.items[i].value, err))
            return false;
    return put_field(&to, dialect->image_status, image_ok ? "OK" : "INVALID", err);
}

static bool put_lines(recorder *rec, const es_frame *frame, bool image_ok, es_error *err) {
    es_text lines = {0};
    bool ok = es_add_frame_lines(&lines, rec->dialect, rec->frames, frame, image_ok, err) &&
              es_output_write(rec->writer.head, lines.bytes, lines.length, err);
    es_text_free(&lines);
    return ok;
}

bool es_check_picture(const es_stream_info *info, const es_image *image, es_error *err) {
    if (image->width == info->width && image->height == info->height && image->type == info->type &&
        image->channels == info->channels)
        return true;
    return es_fail(err, ES_USAGE,
                   "an image of %u x %u x %d %s in a recording of %u x %u x %d %s: all frames of a "
                   "recording have one size and type",
                   image->width, image->height, image->channels, es_type_name(image->type),
                   info->width, info->height, info->channels, es_type_name(info->type));
}

static bool put_pixels(recorder *rec, const es_frame *frame, bool image_ok, es_error *err) {
    if (rec->frame_bytes == 0) return true;
    if (image_ok)
        return es_packer_write(&rec->writer.packer, frame->image.data, rec->frame_bytes, err);
    if (!rec->blank && !(rec->blank = es_alloc_zero(rec->frame_bytes, 1, err))) return false;
    return es_packer_write(&rec->writer.packer, rec->blank, rec->frame_bytes, err);
}

static bool recorder_put(void *self, const es_frame *frame, es_error *err) {
    recorder *rec = self;
    if (rec->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", rec->path);
    bool image_ok = frame->has_image && rec->frame_bytes > 0;
    rec->broken = true;
    if ((image_ok && !es_check_picture(&rec->info, &frame->image, err)) ||
        !put_lines(rec, frame, image_ok, err) || !put_pixels(rec, frame, image_ok, err))
        return es_prefix(err, "%s: frame %llu", rec->path, (unsigned long long)rec->frames);
    rec->frames++;
    rec->broken = false;
    return true;
}

static bool recorder_finish(void *self, es_error *err) {
    recorder *rec = self;
    es_writer *writer = &rec->writer;
    if (rec->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", rec->path);
    rec->broken = true;
    if (rec->frames == 0)
        return es_fail(err, ES_USAGE, "%s: a recording without frames is not written", rec->path);
    return rec->dialect->end(writer, err) &&
           es_patch_number(writer->head, rec->count_at, rec->frames, err) &&
           es_writer_finish(writer, err);
}

/* ---- start ---------------------------------------------------------------------- */

/* Frames lie MF whatever the mark they came with; without a mark nobody knows
 * how they lie, and none is invented. */
void es_set_mark(es_stream_info *info) {
    bool poses_only = info->width == 0 || info->height == 0;
    if (poses_only) {
        info->width = info->height = 0;
        strcpy(info->orientation, "XX");
    } else if (info->orientation[0]) {
        strcpy(info->orientation, "MFA");
    }
}

bool es_frame_size(const es_stream_info *info, size_t *frame_bytes, es_error *err) {
    if (info->channels != 1 && info->channels != 3 && info->width)
        return es_fail(err, ES_UNSUPPORTED, "%d channels; expected 1 or 3", info->channels);
    size_t bytes;
    if (!es_multiply(info->width, info->height, &bytes) ||
        !es_multiply(bytes, (size_t)info->channels * es_type_size(info->type), frame_bytes))
        return es_fail(err, ES_MEMORY, "frames of %u x %u pixels are too large", info->width,
                       info->height);
    return true;
}

static bool start(recorder *rec, const es_sequence_options *options, es_error *err) {
    const es_dialect *dialect = rec->dialect;
    es_set_mark(&rec->info);
    if (!es_frame_size(&rec->info, &rec->frame_bytes, err)) return es_prefix(err, "%s", rec->path);
    bool compress = options->compress && rec->frame_bytes;
    /* Poses alone have no data file. */
    bool detached = es_has_suffix(rec->path, dialect->detached) && rec->frame_bytes;
    es_writer_plan plan = {
        .path = rec->path,
        .packing = compress ? dialect->packing : ES_PACK_RAW,
        .level = options->level,
        .data_extension = !detached  ? NULL
                          : compress ? dialect->packed
                                     : dialect->raw,
        .header_grows = !detached,
    };
    return es_writer_start(&rec->writer, &plan, err) &&
           dialect->begin(&rec->writer, &rec->info, compress, &rec->count_at, err);
}

es_sink *es_recorder_open(const char *path, const es_stream_info *info,
                          const es_sequence_options *options, const es_dialect *dialect,
                          es_error *err) {
    static const es_sink_ops ops = {recorder_put, recorder_finish, recorder_free};
    recorder *rec = es_alloc_zero(1, sizeof *rec, err);
    if (!rec) return NULL;
    rec->dialect = dialect;
    rec->path = es_copy_text(path, err);
    if (rec->path && es_stream_info_copy(info, &rec->info, err) && start(rec, options, err))
        return es_sink_new(&ops, rec, err);
    recorder_free(rec);
    return NULL;
}
