/* The pixel bytes behind a header, wherever and however they are stored.
 *
 * A payload is one run of bytes laid over one or more files, each raw or a
 * zlib or gzip stream. Reads name a position: raw files are read there
 * directly, compressed ones are inflated forward from where the last read
 * stopped, a quarter of a megabyte of input at a time, so memory does not
 * depend on the length of the recording. All counts are 64-bit. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format_internal.h"

enum { INPUT = 1 << 18, DISCARD = 1 << 16 };

/* Deflate cannot do better than 1032:1 (zlib's technical notes), so more is
 * announced than the file can hold when a size is past this. */
static const uint64_t DEFLATE_LIMIT = 1032;

void es_payload_start(es_payload *payload) {
    memset(payload, 0, sizeof *payload);
    payload->fd = -1;
}

static void close_file(es_payload *payload) {
    if (payload->inflating) inflateEnd(&payload->stream);
    payload->inflating = false;
    if (payload->fd >= 0) close(payload->fd);
    payload->fd = -1;
}

void es_payload_reopen(es_payload *payload) { close_file(payload); }

void es_payload_clear(es_payload *payload) {
    close_file(payload);
    for (size_t i = 0; i < payload->file_count; i++) es_free(payload->files[i]);
    es_free(payload->files);
    es_free(payload->input);
    es_payload_start(payload);
}

/* ---- the plan ------------------------------------------------------------- */

/* Takes `name` over. */
static bool add_file(es_payload *payload, char *name, es_error *err) {
    size_t count = payload->file_count;
    bool full = (count & (count - 1)) == 0; /* room is a power of two */
    if (!name ||
        (full && !es_resize(&payload->files, count ? 2 * count : 1, sizeof *payload->files, err))) {
        es_free(name);
        return false;
    }
    payload->files[payload->file_count++] = name;
    return true;
}

bool es_payload_add(es_payload *payload, const char *path, es_error *err) {
    return add_file(payload, es_copy_text(path, err), err);
}

static bool leaves_folder(const char *name) {
    if (name[0] == '/' || name[0] == '\\' || (name[0] && name[1] == ':')) return true;
    for (const char *at = name; at; at = strchr(at, '/')) {
        if (*at == '/') at++;
        if (at[0] == '.' && at[1] == '.' && (at[2] == '/' || at[2] == '\0')) return true;
    }
    return false;
}

bool es_payload_add_beside(es_payload *payload, const char *path, const char *name, es_error *err) {
    if (!*name) return es_fail(err, ES_FORMAT, "the name of a data file is empty");
    if (leaves_folder(name))
        return es_fail(err, ES_FORMAT,
                       "the data file \"%.200s\" is outside the folder of the header; put it "
                       "beside the header and give its name alone",
                       name);
    return add_file(payload, es_path_beside(path, name, err), err);
}

/* A name with exactly one %d, %i or %u, perhaps with a width such as %03d:
 * what a printf format may hold beyond that must never reach printf. */
typedef struct pattern {
    char *before; /* the percent sign, NUL-terminated there */
    const char *after;
    int width;
    bool zeros;
    int64_t first, last, step;
} pattern;

static bool split_name(char *name, pattern *p) {
    char *at = strchr(name, '%');
    if (!at) return false;
    *at++ = '\0';
    p->before = name;
    p->zeros = *at == '0';
    while (*at >= '0' && *at <= '9' && p->width < 100) p->width = 10 * p->width + (*at++ - '0');
    if ((*at != 'd' && *at != 'i' && *at != 'u') || p->width > 20) return false;
    p->after = at + 1;
    return strchr(p->after, '%') == NULL;
}

static bool split_range(const char *text, pattern *p) {
    double n[4] = {-1, -1, 1, 0};
    long found = es_parse_doubles(text, n, 4);
    if (found < 2 || found > 4) return false;
    for (int i = 0; i < 3; i++)
        if (!(n[i] >= 0 && n[i] <= INT32_MAX)) return false;
    p->first = (int64_t)n[0];
    p->last = (int64_t)n[1];
    p->step = (int64_t)n[2];
    return p->last >= p->first && p->step >= 1 && (p->last - p->first) / p->step < 1000000;
}

static bool add_numbered(es_payload *payload, const char *path, const pattern *p, es_error *err) {
    bool ok = true;
    for (int64_t i = p->first; ok && i <= p->last; i += p->step) {
        es_text name = {0};
        es_text_add(&name, p->zeros ? "%s%0*lld%s" : "%s%*lld%s", p->before, p->width, (long long)i,
                    p->after);
        ok = name.failed ? es_fail(err, ES_MEMORY, "out of memory")
                         : es_payload_add_beside(payload, path, name.bytes, err);
        es_text_free(&name);
    }
    return ok;
}

bool es_payload_add_pattern(es_payload *payload, const char *path, const char *text,
                            es_error *err) {
    char *copy = es_copy_text(text, err);
    if (!copy) return false;
    pattern p = {0};
    char *range = copy + strcspn(copy, " \t");
    bool split = *range != '\0';
    if (split) *range = '\0';
    bool ok = split && split_range(range + 1, &p) && split_name(copy, &p);
    if (ok)
        ok = add_numbered(payload, path, &p, err);
    else
        es_fail(err, ES_FORMAT, "expected \"name%%03d.raw first last step\", found \"%.80s\"",
                text);
    es_free(copy);
    return ok;
}

static uint64_t part_bytes(const es_payload *payload) {
    return payload->bytes / payload->file_count;
}

static bool check_file(const es_payload *payload, const char *path, es_error *err) {
    struct stat status;
    if (stat(path, &status) != 0) return es_fail_errno(err, "the data file %s", path);
    if (!S_ISREG(status.st_mode))
        return es_fail(err, ES_FORMAT, "the data file %s is not a plain file", path);
    uint64_t size = (uint64_t)status.st_size, expected = part_bytes(payload);
    uint64_t skip = payload->skip + payload->skip_more;
    uint64_t here = size > skip ? size - skip : 0;
    if (payload->deflated && payload->stored > here)
        return es_fail(err, ES_FORMAT,
                       "%s: expected %llu bytes of compressed pixels, found %llu; the file was cut "
                       "off",
                       path, (unsigned long long)payload->stored, (unsigned long long)here);
    if (payload->deflated ? expected / DEFLATE_LIMIT > here : expected > here)
        return es_fail(
            err, ES_FORMAT,
            "%s: expected %llu bytes of pixels, found %llu%s; the file was cut off or its "
            "sizes are wrong",
            path, (unsigned long long)expected, (unsigned long long)here,
            payload->deflated ? " compressed ones" : "");
    return true;
}

bool es_payload_check(const es_payload *payload, es_error *err) {
    if (payload->bytes == 0) return true;
    for (size_t i = 0; i < payload->file_count; i++)
        if (!check_file(payload, payload->files[i], err)) return false;
    return true;
}

/* ---- reading --------------------------------------------------------------- */

/* pread that goes on after short reads; less than count only at the end. */
static bool read_at(es_payload *payload, uint64_t offset, void *out, size_t count, size_t *got,
                    es_error *err) {
    for (*got = 0; *got < count;) {
        ssize_t n = pread(payload->fd, (char *)out + *got, count - *got, (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            return es_fail_errno(err, "%s: reading failed", payload->files[payload->open_file]);
        if (n == 0) break;
        *got += (size_t)n;
    }
    return true;
}

static bool skip_lines(es_payload *payload, es_error *err) {
    unsigned char block[4096];
    for (uint64_t left = payload->skip_lines; left;) {
        size_t got;
        if (!read_at(payload, payload->start, block, sizeof block, &got, err)) return false;
        if (got == 0)
            return es_fail(err, ES_FORMAT, "%s: ends within the %llu lines to be skipped",
                           payload->files[payload->open_file],
                           (unsigned long long)payload->skip_lines);
        for (size_t i = 0; i < got && left; i++) {
            payload->start++;
            left -= block[i] == '\n';
        }
    }
    return true;
}

/* zlib's own memory goes through es_alloc, so that limits and tests see it. */
static void *inflate_alloc(void *unused, unsigned count, unsigned size) {
    (void)unused;
    return es_alloc(count, size, NULL);
}
static void inflate_free(void *unused, void *block) {
    (void)unused;
    es_free(block);
}

static bool start_inflating(es_payload *payload, es_error *err) {
    if (!payload->input && !(payload->input = es_alloc(INPUT, 1, err))) return false;
    memset(&payload->stream, 0, sizeof payload->stream);
    payload->stream.zalloc = inflate_alloc;
    payload->stream.zfree = inflate_free;
    /* 15: the largest window; + 32: zlib or gzip by the first bytes. */
    if (inflateInit2(&payload->stream, 15 + 32) != Z_OK)
        return es_fail(err, ES_MEMORY, "out of memory for decompression");
    payload->inflating = true;
    return true;
}

static bool open_file(es_payload *payload, size_t index, es_error *err) {
    close_file(payload);
    payload->open_file = index;
    const char *path = payload->files[index];
    if (!check_file(payload, path, err)) return false;
    payload->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (payload->fd < 0) return es_fail_errno(err, "the data file %s", path);
    payload->start = payload->skip;
    payload->at = 0;
    if (!skip_lines(payload, err)) return false;
    payload->start += payload->skip_more;
    if (payload->skip_from_end) {
        off_t size = lseek(payload->fd, 0, SEEK_END);
        uint64_t part = part_bytes(payload);
        if (size < 0 || (uint64_t)size < part)
            return es_fail(err, ES_FORMAT, "%s: expected %llu bytes of pixels, found %lld", path,
                           (unsigned long long)part, (long long)size);
        payload->start = (uint64_t)size - part;
    }
    return !payload->deflated || start_inflating(payload, err);
}

static bool refill(es_payload *payload, bool *eof, es_error *err) {
    size_t got;
    if (!read_at(payload, payload->start, payload->input, INPUT, &got, err)) return false;
    payload->start += got;
    payload->stream.next_in = payload->input;
    payload->stream.avail_in = (uInt)got;
    *eof = got == 0;
    return true;
}

static bool cut_off(const es_payload *payload, es_error *err) {
    return es_fail(
        err, ES_FORMAT,
        "%s: the compressed pixels end after %llu of %llu bytes; the file was cut off or "
        "its sizes are wrong",
        payload->files[payload->open_file], (unsigned long long)payload->at,
        (unsigned long long)(part_bytes(payload) + payload->inflated_skip));
}

static bool damaged(const es_payload *payload, es_error *err) {
    return es_fail(err, ES_FORMAT, "%s: the compressed pixels are damaged after %llu bytes (%s)",
                   payload->files[payload->open_file], (unsigned long long)payload->at,
                   payload->stream.msg ? payload->stream.msg : "no zlib or gzip stream");
}

/* The next `count` bytes of the open stream. Streams may follow one another. */
static bool inflate_bytes(es_payload *payload, unsigned char *out, size_t count, es_error *err) {
    z_stream *stream = &payload->stream;
    while (count) {
        bool eof = false;
        if (stream->avail_in == 0 && !refill(payload, &eof, err)) return false;
        uInt room = count > (1u << 30) ? 1u << 30 : (uInt)count;
        stream->next_out = out;
        stream->avail_out = room;
        int status = inflate(stream, Z_NO_FLUSH);
        size_t made = room - stream->avail_out;
        out += made;
        count -= made;
        payload->at += made;
        if (status == Z_STREAM_END && count) {
            if (stream->avail_in == 0 && !refill(payload, &eof, err)) return false;
            if (eof) return cut_off(payload, err);
            status = inflateReset(stream);
        }
        if (status == Z_MEM_ERROR) return es_fail(err, ES_MEMORY, "out of memory");
        if (status == Z_BUF_ERROR && eof) return cut_off(payload, err);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return damaged(payload, err);
    }
    return true;
}

static bool inflate_forward(es_payload *payload, uint64_t to, es_error *err) {
    unsigned char unwanted[DISCARD];
    while (payload->at < to) {
        uint64_t left = to - payload->at;
        if (es_cancelled(err) ||
            !inflate_bytes(payload, unwanted, left < DISCARD ? (size_t)left : DISCARD, err))
            return false;
    }
    return true;
}

/* After the last byte: the stream's checksum must agree. Bytes beyond what
 * the header announces are left alone. */
static bool check_end(es_payload *payload, es_error *err) {
    z_stream *stream = &payload->stream;
    unsigned char beyond;
    for (;;) {
        bool eof = false;
        if (stream->avail_in == 0 && !refill(payload, &eof, err)) return false;
        stream->next_out = &beyond;
        stream->avail_out = 1;
        int status = inflate(stream, Z_NO_FLUSH);
        if (status == Z_STREAM_END || stream->avail_out == 0) return true;
        if (eof) return cut_off(payload, err);
        if (status != Z_OK && status != Z_BUF_ERROR) return damaged(payload, err);
    }
}

static bool read_deflated(es_payload *payload, uint64_t position, void *out, size_t count,
                          es_error *err) {
    return inflate_forward(payload, position + payload->inflated_skip, err) &&
           inflate_bytes(payload, out, count, err) &&
           (position + count < part_bytes(payload) || check_end(payload, err));
}

static bool read_part(es_payload *payload, uint64_t position, void *out, size_t count,
                      es_error *err) {
    if (payload->deflated) return read_deflated(payload, position, out, count, err);
    size_t got;
    if (!read_at(payload, payload->start + position, out, count, &got, err)) return false;
    if (got < count)
        return es_fail(err, ES_FORMAT, "%s: the pixels end after %llu of %llu bytes",
                       payload->files[payload->open_file], (unsigned long long)(position + got),
                       (unsigned long long)part_bytes(payload));
    return true;
}

bool es_payload_read(es_payload *payload, uint64_t position, void *out, size_t count,
                     es_error *err) {
    unsigned char *to = out;
    while (count) {
        uint64_t part = part_bytes(payload), within = position % part;
        size_t index = (size_t)(position / part);
        size_t here = count < part - within ? count : (size_t)(part - within);
        bool behind = payload->deflated && within + payload->inflated_skip < payload->at;
        if ((payload->fd < 0 || payload->open_file != index || behind) &&
            !open_file(payload, index, err)) {
            close_file(payload);
            return false;
        }
        if (!read_part(payload, within, to, here, err)) {
            close_file(payload); /* the state of the stream is lost */
            return false;
        }
        to += here;
        position += here;
        count -= here;
    }
    return true;
}

void es_swap_bytes(void *data, size_t element_size, size_t count) {
    unsigned char *bytes = data;
    for (size_t i = 0; i < count; i++, bytes += element_size)
        for (size_t a = 0, b = element_size - 1; a < b; a++, b--) {
            unsigned char first = bytes[a];
            bytes[a] = bytes[b];
            bytes[b] = first;
        }
}
