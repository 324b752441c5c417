/* Files that appear whole or not at all.
 *
 * Bytes go to <path>.part; es_output_commit flushes, syncs and renames. A
 * crash, a full disk or Ctrl-C leaves the old file as it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "echosolid/base.h"

struct es_output {
    char *path, *part;
    FILE *file;
    uint64_t position;
    bool broken; /* a write failed: it cannot become whole any more */
};

static atomic_long fail_after = -1;
void es_output_fail_after(long n) { atomic_store(&fail_after, n); }

static bool disk_full_for_test(void) {
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    return atomic_fetch_sub(&fail_after, 1) == 0;
}

static void output_free(es_output *out) {
    if (!out) return;
    if (out->file) fclose(out->file);
    es_free(out->path);
    es_free(out->part);
    es_free(out);
}

void es_output_discard(es_output *out) {
    if (out && out->file) unlink(out->part);
    output_free(out);
}

/* A device or pipe of this name must not be replaced by a file. */
static bool may_become_file(const char *path, es_error *err) {
    struct stat status;
    if (!*path) return es_fail(err, ES_IO, "a file name is expected, found an empty one");
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) return true;
    return es_fail(err, ES_IO, "%s: is %s; give a file name", path,
                   S_ISDIR(status.st_mode) ? "a folder" : "no regular file");
}

es_output *es_output_open(const char *path, es_error *err) {
    es_output *out = es_alloc_zero(1, sizeof *out, err);
    if (!out) return NULL;
    es_text part = {0};
    es_text_add(&part, "%s.part", path);
    out->part = part.bytes;
    out->path = es_copy_text(path, err);
    if (!out->path || part.failed) {
        if (part.failed) es_fail(err, ES_MEMORY, "%s: out of memory", path);
        goto failed;
    }
    if (!may_become_file(path, err)) goto failed;
    out->file = fopen(out->part, "wb+");
    if (!out->file) {
        es_fail_errno(err, "%s: cannot be written", path);
        goto failed;
    }
    return out;
failed:
    output_free(out);
    return NULL;
}

/* Always false: the reason is in errno. */
static bool break_output(es_output *out, es_error *err) {
    out->broken = true;
    return es_fail_errno(err, "%s: writing failed", out->path);
}

bool es_output_write(es_output *out, const void *bytes, size_t length, es_error *err) {
    errno = 0;
    if (disk_full_for_test())
        errno = ENOSPC;
    else if (length == 0 || fwrite(bytes, 1, length, out->file) == length) {
        out->position += length;
        return true;
    }
    return break_output(out, err);
}

bool es_output_print(es_output *out, es_error *err, const char *format, ...) {
    char small[1024];
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    bool ok = false;
    if (n < 0) {
        out->broken = true;
        es_fail(err, ES_IO, "%s: a text could not be formatted", out->path);
    } else if ((size_t)n < sizeof small) {
        ok = es_output_write(out, small, (size_t)n, err);
    } else {
        char *large = es_alloc((size_t)n + 1, 1, err);
        if (large) {
            vsnprintf(large, (size_t)n + 1, format, again);
            ok = es_output_write(out, large, (size_t)n, err);
        }
        es_free(large);
    }
    va_end(again);
    return ok;
}

uint64_t es_output_position(const es_output *out) { return out->position; }

bool es_output_patch(es_output *out, uint64_t offset, const void *bytes, size_t length,
                     es_error *err) {
    if (offset > out->position || length > out->position - offset)
        return es_fail(err, ES_USAGE, "%s: %zu bytes at %llu lie past the %llu written", out->path,
                       length, (unsigned long long)offset, (unsigned long long)out->position);
    errno = 0;
    if (disk_full_for_test())
        errno = ENOSPC;
    else if (fseeko(out->file, (off_t)offset, SEEK_SET) == 0 &&
             fwrite(bytes, 1, length, out->file) == length &&
             fseeko(out->file, (off_t)out->position, SEEK_SET) == 0)
        return true;
    return break_output(out, err);
}

/* ---- appearing under the final name ------------------------------------------- */

static bool finish_part(es_output *out, es_error *err) {
    if (out->broken)
        return es_fail(err, ES_IO, "%s: an earlier write failed; the file is not whole", out->path);
    errno = 0;
    if (disk_full_for_test())
        errno = ENOSPC;
    else if (fflush(out->file) == 0 && fsync(fileno(out->file)) == 0)
        return true;
    return break_output(out, err);
}

/* A second name for the file that a rename is about to replace, so that it
 * can come back when a later file of the set fails. NULL where there is none,
 * or where the file system knows no second names. */
static char *keep_old(const char *path) {
    es_text name = {0};
    es_text_add(&name, "%s.part.old", path);
    if (!name.failed) {
        unlink(name.bytes);
        if (link(path, name.bytes) == 0) return name.bytes;
    }
    es_text_free(&name);
    return NULL;
}

static void bring_back(const es_output *out, const char *old) {
    if (old)
        rename(old, out->path);
    else
        unlink(out->path);
}

bool es_output_commit_all(es_output **outs, size_t count, es_error *err) {
    size_t renamed = 0;
    char **old = es_alloc_zero(count, sizeof *old, err);
    bool ok = old != NULL;
    for (size_t i = 0; i < count && ok; i++) ok = finish_part(outs[i], err);
    for (size_t i = 0; i < count && ok; i++) {
        if (count > 1) old[i] = keep_old(outs[i]->path);
        ok = rename(outs[i]->part, outs[i]->path) == 0;
        if (!ok) es_fail_errno(err, "%s: cannot be written", outs[i]->path);
        renamed += ok;
    }
    for (size_t i = 0; i < count; i++) {
        if (!ok && i < renamed) bring_back(outs[i], old[i]);
        if (old && old[i]) unlink(old[i]);
        if (old) es_free(old[i]);
        if (i < renamed)
            output_free(outs[i]);
        else
            es_output_discard(outs[i]);
    }
    es_free(old);
    return ok;
}

bool es_output_commit(es_output *out, es_error *err) { return es_output_commit_all(&out, 1, err); }

char *es_file_read(const char *path, size_t limit, size_t *length, es_error *err) {
    char *bytes = NULL;
    FILE *file = fopen(path, "rb");
    if (!file) {
        es_fail_errno(err, "%s: cannot be opened", path);
        return NULL;
    }
    size_t size = 0, capacity = 0;
    for (;;) {
        if (size + 1 >= capacity) {
            capacity = capacity ? capacity * 2 : 65536;
            if (!es_resize(&bytes, capacity, 1, err)) goto failed;
        }
        size_t n = fread(bytes + size, 1, capacity - size - 1, file);
        size += n;
        if (size > limit) {
            es_fail(err, ES_FORMAT, "%s: longer than the %zu bytes expected of such a file", path,
                    limit);
            goto failed;
        }
        if (n == 0) break;
    }
    if (ferror(file)) {
        es_fail_errno(err, "%s: reading failed", path);
        goto failed;
    }
    fclose(file);
    bytes[size] = '\0';
    if (length) *length = size;
    return bytes;
failed:
    fclose(file);
    es_free(bytes);
    return NULL;
}

bool es_has_suffix(const char *path, const char *suffix) {
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcasecmp(path + n - m, suffix) == 0;
}

const char *es_path_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *es_path_beside(const char *path, const char *name, es_error *err) {
    if (name[0] == '/') return es_copy_text(name, err);
    size_t folder = (size_t)(es_path_name(path) - path), length = strlen(name) + 1;
    char *joined = es_alloc(folder + length, 1, err);
    if (!joined) return NULL;
    memcpy(joined, path, folder);
    memcpy(joined + folder, name, length);
    return joined;
}
