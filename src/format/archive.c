/* Zip archives through libzip, and NumPy's .npz, which is one.
 *
 * Entries are unpacked into nameless files and read from there, so that memory
 * does not grow with them. A stranger's archive may lie about lengths: they
 * are held against what is stored before and while unpacking. */
#include "archive.h"

#include <string.h>

enum { BLOCK = 1 << 18, DEFLATE_LIMIT = 1032 };

zip_t *es_archive_open(const char *path, es_error *err) {
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_RDONLY, &code);
    if (!zip) {
        zip_error_t reason;
        zip_error_init_with_code(&reason, code);
        es_fail(err, code == ZIP_ER_MEMORY ? ES_MEMORY : ES_FORMAT,
                "%s: the archive cannot be opened (%s); it was cut off or is damaged", path,
                zip_error_strerror(&reason));
        zip_error_fini(&reason);
        return NULL;
    }
    zip_int64_t count = zip_get_num_entries(zip, 0);
    if (count <= ES_ARCHIVE_ENTRIES) return zip;
    es_fail(err, ES_UNSUPPORTED, "%s: an archive of %lld entries; expected at most %d", path,
            (long long)count, ES_ARCHIVE_ENTRIES);
    zip_discard(zip);
    return NULL;
}

const char *es_archive_entry(zip_t *zip, size_t index) {
    return zip_get_name(zip, index, ZIP_FL_ENC_RAW);
}

/* Opens an entry whose announced length could be true. */
static zip_file_t *open_entry(zip_t *zip, size_t index, uint64_t *size, es_error *err) {
    zip_stat_t stat;
    zip_stat_init(&stat);
    if (zip_stat_index(zip, index, 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE) ||
        !(stat.valid & ZIP_STAT_COMP_SIZE)) {
        es_fail(err, ES_FORMAT, "an entry of the archive has no length; it is damaged");
        return NULL;
    }
    if (stat.comp_size > UINT64_MAX / DEFLATE_LIMIT - 1 ||
        stat.size > (stat.comp_size + 1) * DEFLATE_LIMIT) {
        es_fail(err, ES_FORMAT,
                "the entry \"%.100s\" claims to hold %llu bytes in %llu; that is not possible",
                stat.name ? stat.name : "", (unsigned long long)stat.size,
                (unsigned long long)stat.comp_size);
        return NULL;
    }
    *size = stat.size;
    zip_file_t *file = zip_fopen_index(zip, index, 0);
    if (!file)
        es_fail(err, ES_UNSUPPORTED, "the entry \"%.100s\" cannot be unpacked: %s",
                stat.name ? stat.name : "", zip_strerror(zip));
    return file;
}

static bool fail_entry(zip_file_t *file, es_error *err) {
    return es_fail(err, ES_FORMAT, "an entry of the archive is damaged: %s",
                   zip_file_strerror(file));
}

es_scratch *es_archive_unpack(zip_t *zip, size_t index, es_error *err) {
    uint64_t size = 0;
    zip_file_t *file = open_entry(zip, index, &size, err);
    es_scratch *scratch = file ? es_scratch_temporary(err) : NULL;
    char *block = scratch ? es_alloc(BLOCK, 1, err) : NULL;
    bool ok = block != NULL;
    uint64_t done = 0;
    while (ok) {
        zip_int64_t n = zip_fread(file, block, BLOCK);
        if (n < 0) ok = fail_entry(file, err);
        if (n <= 0) break;
        done += (uint64_t)n;
        ok = done <= size ? !es_cancelled(err) && es_scratch_write(scratch, block, (size_t)n, err)
                          : es_fail(err, ES_FORMAT, "an entry is longer than it says");
    }
    if (ok && done < size) ok = es_fail(err, ES_FORMAT, "an entry of the archive is cut off");
    es_free(block);
    if (file) zip_fclose(file);
    if (ok) return scratch;
    es_scratch_close(scratch);
    return NULL;
}

es_scratch *es_archive_peek(zip_t *zip, size_t index, size_t limit, es_error *err) {
    uint64_t size = 0;
    zip_file_t *file = open_entry(zip, index, &size, err);
    es_scratch *scratch = file ? es_scratch_temporary(err) : NULL;
    char *block = scratch ? es_alloc(limit, 1, err) : NULL;
    zip_int64_t n = block ? zip_fread(file, block, limit) : 0;
    bool ok = block && (n >= 0 || fail_entry(file, err)) &&
              es_scratch_write(scratch, block, (size_t)n, err);
    if (file) zip_fclose(file);
    es_free(block);
    if (ok) return scratch;
    es_scratch_close(scratch);
    return NULL;
}

char *es_archive_text(zip_t *zip, size_t index, size_t limit, size_t *length, es_error *err) {
    uint64_t size = 0;
    zip_file_t *file = open_entry(zip, index, &size, err);
    if (!file) return NULL;
    char *text = NULL;
    if (size > limit)
        es_fail(err, ES_UNSUPPORTED, "an entry of %llu bytes; expected at most %zu",
                (unsigned long long)size, limit);
    else
        text = es_alloc((size_t)size + 1, 1, err);
    bool ok = text != NULL;
    for (*length = 0; ok && *length < size;) {
        zip_int64_t n = zip_fread(file, text + *length, size - *length);
        if (n <= 0)
            ok = fail_entry(file, err);
        else
            *length += (size_t)n;
    }
    zip_fclose(file);
    if (ok) {
        text[size] = '\0';
        return text;
    }
    es_free(text);
    return NULL;
}

/* ---- .npz ------------------------------------------------------------------------- */

typedef struct npz {
    zip_t *zip;
    size_t *indices; /* of the entries, by array */
} npz;

static bool open_entry_array(zip_t *zip, size_t index, es_array *array, es_array_reader *reader,
                             const char **refused, es_error *err) {
    char path[ES_SCRATCH_NAME];
    es_scratch *scratch = es_archive_unpack(zip, index, err);
    if (!scratch) return false;
    es_scratch_name(scratch, path);
    return es_npy_read(path, scratch, array, reader, refused, err) ||
           es_blame(err, path, es_archive_entry(zip, index));
}

static bool open_array(void *self, size_t index, es_array_reader *reader, es_error *err) {
    npz *z = self;
    es_array array;
    const char *refused;
    return open_entry_array(z->zip, z->indices[index], &array, reader, &refused, err);
}

/* The header of an entry, from its first bytes alone. */
static bool look_at(zip_t *zip, size_t index, es_array *array, const char **refused,
                    es_error *err) {
    enum { FIRST = 66000 };
    es_array_reader reader = {0};
    char path[ES_SCRATCH_NAME];
    es_scratch *scratch = es_archive_peek(zip, index, FIRST, err);
    if (!scratch) return false;
    es_scratch_name(scratch, path);
    bool ok = es_npy_read(path, NULL, array, &reader, refused, err);
    es_array_reader_clear(&reader);
    es_scratch_close(scratch);
    return ok;
}

static bool add_entry(es_array_file *file, npz *z, size_t index, es_error *err) {
    es_array array;
    const char *refused, *entry = es_archive_entry(z->zip, index);
    char name[200];
    size_t length = entry ? strlen(entry) : 0;
    if (length < 4 || length >= sizeof name || !es_has_suffix(entry, ".npy")) return true;
    memcpy(name, entry, length - 4);
    name[length - 4] = '\0';
    if (!look_at(z->zip, index, &array, &refused, err)) return es_prefix(err, "%s", entry);
    size_t before = file->count;
    if (!es_array_file_add(file, name, &array, refused, err)) return false;
    if (file->count > before) z->indices[before] = index;
    return true;
}

static es_source *open_npz(const es_input *name, zip_t *zip, es_error *err) {
    npz z = {.zip = zip};
    es_array_file file = {
        .given = name->path, .format = "npz", .advice = "NHW", .open = open_array, .self = &z};
    es_source *source = NULL;
    size_t count = (size_t)zip_get_num_entries(zip, 0);
    z.indices = es_alloc(count, sizeof *z.indices, err);
    bool ok = z.indices != NULL;
    for (size_t i = 0; ok && i < count; i++) ok = add_entry(&file, &z, i, err);
    if (ok)
        source = es_array_file_open(&file, name, err);
    else
        es_prefix(err, "%s", name->path);
    es_array_file_clear(&file);
    es_free(z.indices);
    zip_discard(zip);
    return source;
}

static es_source *zip_open_frames(const es_input *name, es_error *err) {
    zip_t *zip = es_archive_open(name->path, err);
    if (!zip) return NULL;
    bool scene = false;
    zip_int64_t count = zip_get_num_entries(zip, 0);
    for (zip_int64_t i = 0; i < count && !scene; i++) {
        const char *entry = es_archive_entry(zip, (size_t)i);
        scene = entry && es_has_suffix(entry, ".mrml");
    }
    return scene ? es_slicer_open(name, zip, err) : open_npz(name, zip, err);
}

/* The second: an empty archive. */
static const es_mark marks[] = {{0, 4, "PK\x03\x04"}, {0, 4, "PK\x05\x06"}, {0}};
const es_format es_format_zip = {
    .name = "archive",
    .reads = ".npz .mrb",
    .recordings = ".npz",
    .keeps = ES_KEEPS_POSES | ES_KEEPS_TIMES,
    .marks = marks,
    .open = zip_open_frames,
    .create = es_npy_create,
};
