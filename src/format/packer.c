/* Pixel bytes on their way out: compressed as they come, into an output or
 * into a nameless scratch file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format_internal.h"

/* ---- scratch file ---------------------------------------------------------- */

struct es_scratch {
    int fd;
    uint64_t length;
    char *path; /* for messages */
};

enum { BLOCK = 1 << 18 };

/* O_TMPFILE makes a file without a name; where the file system cannot, one is
 * made and its name removed at once. Both vanish with the process. */
static int open_nameless(const char *path, es_error *err) {
    es_text folder = {0}, name = {0};
    size_t length = (size_t)(es_path_name(path) - path);
    es_text_add(&folder, "%.*s", length ? (int)length : 1, length ? path : ".");
    es_text_add(&name, "%s.XXXXXX", path);
    int fd = -1;
    if (folder.failed || name.failed) {
        es_fail(err, ES_MEMORY, "out of memory");
    } else {
        fd = open(folder.bytes, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0) fd = mkostemp(name.bytes, O_CLOEXEC), fd < 0 ? 0 : unlink(name.bytes);
        if (fd < 0) es_fail_errno(err, "%s: cannot be written", path);
    }
    es_text_free(&folder);
    es_text_free(&name);
    return fd;
}

es_scratch *es_scratch_open(const char *path, es_error *err) {
    es_scratch *scratch = es_alloc_zero(1, sizeof *scratch, err);
    if (!scratch) return NULL;
    scratch->fd = -1;
    scratch->path = es_copy_text(path, err);
    if (scratch->path) scratch->fd = open_nameless(path, err);
    if (scratch->fd >= 0) return scratch;
    es_scratch_close(scratch);
    return NULL;
}

es_scratch *es_scratch_temporary(es_error *err) {
    const char *folder = getenv("TMPDIR");
    char path[4100];
    if (!folder || !*folder || strlen(folder) > 4000) folder = "/tmp";
    snprintf(path, sizeof path, "%s/echosolid", folder);
    return es_scratch_open(path, err);
}

void es_scratch_name(const es_scratch *scratch, char name[ES_SCRATCH_NAME]) {
    snprintf(name, ES_SCRATCH_NAME, "/proc/self/fd/%d", scratch->fd);
}

bool es_scratch_put(es_scratch *scratch, uint64_t at, const void *bytes, size_t length,
                    es_error *err) {
    const char *from = bytes;
    while (length) {
        ssize_t n = pwrite(scratch->fd, from, length, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return es_fail_errno(err, "%s: writing failed", scratch->path);
        from += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return true;
}

bool es_scratch_get(const es_scratch *scratch, uint64_t at, void *bytes, size_t length,
                    es_error *err) {
    char *to = bytes;
    while (length) {
        ssize_t n = pread(scratch->fd, to, length, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO; /* shorter than what was written */
        if (n <= 0) return es_fail_errno(err, "%s: reading back failed", scratch->path);
        to += n;
        at += (uint64_t)n;
        length -= (size_t)n;
    }
    return true;
}

bool es_scratch_write(es_scratch *scratch, const void *bytes, size_t length, es_error *err) {
    const char *at = bytes;
    while (length) {
        ssize_t n = write(scratch->fd, at, length);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return es_fail_errno(err, "%s: writing failed", scratch->path);
        at += n;
        length -= (size_t)n;
        scratch->length += (uint64_t)n;
    }
    return true;
}

bool es_scratch_copy(es_scratch *scratch, es_output *out, es_error *err) {
    char *block = es_alloc(BLOCK, 1, err);
    bool ok = block != NULL;
    for (uint64_t at = 0; ok && at < scratch->length;) {
        ssize_t n = pread(scratch->fd, block, BLOCK, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = EIO; /* shorter than what was written */
            ok = es_fail_errno(err, "%s: reading back failed", scratch->path);
        } else {
            ok = !es_cancelled(err) && es_output_write(out, block, (size_t)n, err);
            at += (uint64_t)n;
        }
    }
    es_free(block);
    return ok;
}

void es_scratch_close(es_scratch *scratch) {
    if (!scratch) return;
    if (scratch->fd >= 0) close(scratch->fd);
    es_free(scratch->path);
    es_free(scratch);
}

/* ---- packer ------------------------------------------------------------------ */

static void *deflate_alloc(void *unused, unsigned count, unsigned size) {
    (void)unused;
    return es_alloc(count, size, NULL);
}
static void deflate_free(void *unused, void *block) {
    (void)unused;
    es_free(block);
}

bool es_packer_start(es_packer *packer, es_packing packing, int level, es_error *err) {
    packer->packing = packing;
    if (packing == ES_PACK_RAW) return true;
    packer->buffer = es_alloc(BLOCK, 1, err);
    if (!packer->buffer) return false;
    packer->stream.zalloc = deflate_alloc;
    packer->stream.zfree = deflate_free;
    int window = packing == ES_PACK_GZIP ? 15 + 16 : 15; /* + 16: a gzip header */
    if (deflateInit2(&packer->stream, level, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return es_fail(err, ES_MEMORY, "out of memory for compression");
    return packer->deflating = true;
}

static bool pass_on(es_packer *packer, const void *bytes, size_t length, es_error *err) {
    packer->stored += length;
    return packer->scratch ? es_scratch_write(packer->scratch, bytes, length, err)
                           : es_output_write(packer->output, bytes, length, err);
}

/* Lets zlib work until it has taken its input, or, at Z_FINISH, given all. */
static bool run_deflate(es_packer *packer, int flush, es_error *err) {
    z_stream *stream = &packer->stream;
    for (;;) {
        stream->next_out = packer->buffer;
        stream->avail_out = BLOCK;
        int status = deflate(stream, flush);
        if (status == Z_STREAM_ERROR) return es_fail(err, ES_IO, "compression failed");
        size_t made = BLOCK - stream->avail_out;
        if (made && !pass_on(packer, packer->buffer, made, err)) return false;
        if (flush == Z_FINISH ? status == Z_STREAM_END : stream->avail_out > 0) return true;
    }
}

bool es_packer_write(es_packer *packer, const void *bytes, size_t length, es_error *err) {
    if (packer->packing == ES_PACK_RAW) return pass_on(packer, bytes, length, err);
    const unsigned char *at = bytes;
    while (length) {
        size_t here = length > (1u << 30) ? 1u << 30 : length;
        packer->stream.next_in = (unsigned char *)at; /* zlib does not write to it */
        packer->stream.avail_in = (uInt)here;
        if (!run_deflate(packer, Z_NO_FLUSH, err)) return false;
        at += here;
        length -= here;
    }
    return true;
}

bool es_packer_finish(es_packer *packer, es_error *err) {
    if (packer->packing == ES_PACK_RAW) return true;
    packer->stream.avail_in = 0;
    return run_deflate(packer, Z_FINISH, err);
}

void es_packer_clear(es_packer *packer) {
    if (packer->deflating) deflateEnd(&packer->stream);
    es_free(packer->buffer);
    memset(packer, 0, sizeof *packer);
}
