/* A recording that survives its writer.
 *
 * A detached NRRD header is text to which lines can be added for ever; only
 * the number of frames stands at a fixed place near its start. A frame is
 * written in this order: its pixels behind the others, the new number of
 * frames, its lines. Killed between any two of these steps, the files are a
 * whole recording: pixels that are not counted are not read, a counted frame
 * without lines is one without a pose, and of a half line the reader takes
 * nothing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "format_internal.h"

struct es_journal {
    es_stream_info info;
    char *path, *data_path;
    int head, data; /* -1: not open */
    size_t frame_bytes, count_at;
    uint64_t frames, head_end, data_end;
    void *blank;
    double synced_s;
};

void es_journal_free(es_journal *j) {
    if (!j) return;
    if (j->head >= 0) close(j->head);
    if (j->data >= 0) close(j->data);
    if (j->frames == 0) {
        if (j->head >= 0) unlink(j->path);
        if (j->data >= 0) unlink(j->data_path);
    }
    es_stream_info_clear(&j->info);
    es_free(j->blank);
    es_free(j->path);
    es_free(j->data_path);
    es_free(j);
}

static bool write_at(int fd, uint64_t at, const void *bytes, size_t length, es_error *err) {
    const char *rest = bytes;
    while (length > 0) {
        ssize_t n = pwrite(fd, rest, length, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return es_fail_errno(err, "writing failed");
        rest += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return true;
}

static bool write_count(const es_journal *j, uint64_t frames, es_error *err) {
    char digits[ES_BLANK_NUMBER + 1];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)frames);
    return write_at(j->head, j->count_at, digits, (size_t)length, err);
}

static bool add_text(es_journal *j, const es_text *text, es_error *err) {
    if (!write_at(j->head, j->head_end, text->bytes, text->length, err)) return false;
    j->head_end += text->length;
    return true;
}

/* What the system holds reaches the disk once a second, pixels first. */
static bool sync_files(es_journal *j, double every_s, es_error *err) {
    double now = es_clock_s();
    if (now - j->synced_s < every_s) return true;
    j->synced_s = now;
    return (fdatasync(j->data) == 0 && fdatasync(j->head) == 0) ||
           es_fail_errno(err, "writing to the disk failed");
}

static bool put_pixels(es_journal *j, const es_frame *frame, es_error *err) {
    const void *pixels = frame->image.data;
    if (frame->has_image) {
        if (!es_check_picture(&j->info, &frame->image, err)) return false;
    } else {
        if (!j->blank && !(j->blank = es_alloc_zero(j->frame_bytes, 1, err))) return false;
        pixels = j->blank;
    }
    return write_at(j->data, j->data_end, pixels, j->frame_bytes, err);
}

bool es_journal_put(es_journal *j, const es_frame *frame, es_error *err) {
    es_text lines = {0};
    bool ok = es_add_frame_lines(&lines, es_format_nrrd.dialect, j->frames, frame, frame->has_image,
                                 err) &&
              put_pixels(j, frame, err) && write_count(j, j->frames + 1, err);
    if (ok) {
        j->data_end += j->frame_bytes;
        j->frames++;
        ok = add_text(j, &lines, err) && sync_files(j, 1, err);
    }
    es_text_free(&lines);
    return ok || es_prefix(err, "%s: frame %llu", j->path, (unsigned long long)j->frames);
}

bool es_journal_sync(es_journal *j, es_error *err) {
    return sync_files(j, 0, err) || es_prefix(err, "%s", j->path);
}

bool es_journal_field(es_journal *j, const char *key, const char *value, es_error *err) {
    es_text line = {0};
    bool ok =
        es_add_field(&line, es_format_nrrd.dialect, "", key, value, err) && add_text(j, &line, err);
    es_text_free(&line);
    return ok || es_prefix(err, "%s", j->path);
}

static int create_new(const char *path, es_error *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 && errno == EEXIST)
        es_fail(err, ES_USAGE,
                "%s: is there already; a recording is never written over: move it away, or name "
                "another",
                path);
    else if (fd < 0)
        es_fail_errno(err, "%s: cannot be written", path);
    return fd;
}

static bool begin(es_journal *j, es_error *err) {
    es_text head = {0};
    es_set_mark(&j->info);
    j->synced_s = es_clock_s();
    bool ok = es_frame_size(&j->info, &j->frame_bytes, err) &&
              es_nrrd_recording_head(&head, &j->info, es_path_name(j->data_path), false,
                                     &j->count_at, err);
    if (ok && head.failed) ok = es_fail(err, ES_MEMORY, "out of memory");
    ok = ok && (j->head = create_new(j->path, err)) >= 0 &&
         (j->data = create_new(j->data_path, err)) >= 0 && add_text(j, &head, err) &&
         write_count(j, 0, err);
    es_text_free(&head);
    return ok;
}

es_journal *es_journal_create(const char *path, const es_stream_info *info, es_error *err) {
    if (!es_has_suffix(path, ".nhdr")) {
        es_fail(err, ES_USAGE, "%s: what is recorded as it comes ends in .nhdr", path);
        return NULL;
    }
    es_journal *j = es_alloc_zero(1, sizeof *j, err);
    if (!j) return NULL;
    j->head = j->data = -1;
    j->path = es_copy_text(path, err);
    j->data_path = j->path ? es_with_extension(path, ".raw", err) : NULL;
    if (j->data_path && es_stream_info_copy(info, &j->info, err) && begin(j, err)) return j;
    es_journal_free(j);
    return NULL;
}

/* ---- into another recording ---------------------------------------------------- */

static bool copy_frames(es_source *source, const char *path, const es_sequence_options *options,
                        int64_t *frames, es_error *err) {
    es_sink *sink = es_sequence_create(path, es_source_info(source), options, err);
    es_frame frame = {0};
    bool ok = sink != NULL, end = false;
    for (*frames = 0; ok; ++*frames) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_sink_put(sink, &frame, err);
    }
    ok = ok && es_sink_finish(sink, err);
    es_frame_clear(&frame);
    es_sink_free(sink);
    return ok;
}

bool es_journal_convert(const char *journal, const char *path, const es_sequence_options *options,
                        int64_t *frames, es_error *err) {
    char *data = es_with_extension(journal, ".raw", err);
    es_source *source = data ? es_sequence_open(journal, err) : NULL;
    bool ok = source && copy_frames(source, path, options, frames, err);
    es_source_free(source);
    if (ok) {
        unlink(journal);
        unlink(data);
    } else {
        es_prefix(err, "the recording stays as %s", journal);
    }
    es_free(data);
    return ok;
}
