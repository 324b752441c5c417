/* Deflated DICOM data sets: everything behind the meta header is one raw
 * deflate stream (PS3.5 A.5), inflated here into a nameless file, so that
 * frames can then be read one by one like those of any other file. */
#include <string.h>
#include <zlib.h>

#include "dicom_inflate.h"

enum { BLOCK = 1 << 16 };
static const uint64_t LIMIT = (uint64_t)2 << 30;

typedef struct inflater {
    FILE *in, *out;
    z_stream stream;
    uint64_t made;
    unsigned char *input, *output;
} inflater;

/* Everything that the input at hand gives. *end: the stream is over. */
static bool inflate_block(inflater *it, bool *end, es_error *err) {
    do {
        it->stream.next_out = it->output;
        it->stream.avail_out = BLOCK;
        int status = inflate(&it->stream, Z_NO_FLUSH);
        size_t made = BLOCK - it->stream.avail_out;
        it->made += made;
        *end = status == Z_STREAM_END;
        if (status != Z_OK && !*end && status != Z_BUF_ERROR)
            return es_fail(err, ES_FORMAT, "its deflated data are broken");
        if (it->made > LIMIT)
            return es_fail(err, ES_MEMORY,
                           "its deflated data hold more than 2 GiB; inflate it "
                           "first (dcmconv +te)");
        if (fwrite(it->output, 1, made, it->out) != made)
            return es_fail_errno(err, "its deflated data need room in the temporary folder");
    } while (!*end && it->stream.avail_out == 0);
    return true;
}

static bool inflate_all(inflater *it, es_error *err) {
    for (bool end = false; !end;) {
        if (es_cancelled(err)) return false;
        size_t n = fread(it->input, 1, BLOCK, it->in);
        if (n == 0) return es_fail(err, ES_FORMAT, "its deflated data end too early");
        it->stream.next_in = it->input;
        it->stream.avail_in = (uInt)n;
        if (!inflate_block(it, &end, err)) return false;
    }
    return fflush(it->out) == 0 || es_fail_errno(err, "its deflated data cannot be kept");
}

FILE *es_dicom_inflate(const char *path, int64_t offset, es_error *err) {
    inflater it = {.input = es_alloc(BLOCK, 1, err), .output = es_alloc(BLOCK, 1, err)};
    bool ok = it.input && it.output;
    if (ok && inflateInit2(&it.stream, -15) != Z_OK) ok = es_fail(err, ES_MEMORY, "out of memory");
    if (ok) {
        it.in = fopen(path, "rb");
        it.out = tmpfile();
        ok = it.in && it.out && fseeko(it.in, offset, SEEK_SET) == 0;
        if (!ok) es_fail_errno(err, "its deflated data cannot be read or kept");
        ok = ok && inflate_all(&it, err);
        inflateEnd(&it.stream);
    }
    if (it.in) fclose(it.in);
    if (it.out && !ok) fclose(it.out);
    es_free(it.input);
    es_free(it.output);
    return ok ? it.out : NULL;
}
