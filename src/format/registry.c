/* The table of formats, and what can be asked of any file.
 *
 * A file is recognised by its first bytes; only where these say nothing does
 * its name decide, so that the reader can say what is wrong with it. */
#include <string.h>
#include <sys/stat.h>

#include "container.h"

static const es_format *const formats[] = {&es_format_mha, &es_format_nrrd, &es_format_nifti,
                                           &es_format_dicom};
enum { FORMATS = sizeof formats / sizeof *formats, HEAD = 4096 };

/* Whether the name ends in one of ".a .b.c". */
static bool has_extension(const char *path, const char *extensions) {
    char one[16];
    for (const char *at = extensions; *(at += strspn(at, " "));) {
        size_t length = strcspn(at, " ");
        memcpy(one, at, length);
        one[length] = '\0';
        if (es_has_suffix(path, one)) return true;
        at += length;
    }
    return false;
}

/* "a, b, c" of all formats' extensions. */
static void list_extensions(char *text, size_t size, bool grids) {
    size_t used = 0;
    text[0] = '\0';
    for (int f = 0; f < FORMATS; f++) {
        const char *at = grids ? formats[f]->grid_extensions : formats[f]->recording_extensions;
        while (*(at += strspn(at, " ")) && used < size) {
            int length = (int)strcspn(at, " ");
            used +=
                (size_t)snprintf(text + used, size - used, "%s%.*s", used ? ", " : "", length, at);
            at += length;
        }
    }
}

static const es_format *find_writer(const char *path, bool grid, es_error *err) {
    for (int f = 0; f < FORMATS; f++)
        if (has_extension(path,
                          grid ? formats[f]->grid_extensions : formats[f]->recording_extensions))
            return formats[f];
    char known[200];
    list_extensions(known, sizeof known, grid);
    es_fail(err, ES_USAGE, "%s: cannot write a %s of this name; expected one that ends in %s%s",
            path, grid ? "volume" : "recording", known,
            grid ? "" : ", .npy, .npz, .h5, or / for a folder of PNG");
    return NULL;
}

static bool read_head(const char *path, unsigned char head[HEAD], size_t *length, es_error *err) {
    struct stat status;
    if (stat(path, &status) != 0) return es_fail_errno(err, "%s: cannot be opened", path);
    if (S_ISDIR(status.st_mode))
        return es_fail(err, ES_FORMAT, "%s: is a folder without DICOM files", path);
    if (!S_ISREG(status.st_mode))
        return es_fail(err, ES_IO,
                       "%s: is not a plain file; give the name of a recording or a volume", path);
    FILE *file = fopen(path, "rb");
    if (!file) return es_fail_errno(err, "%s: cannot be opened", path);
    *length = fread(head, 1, HEAD, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return es_fail_errno(err, "%s: reading failed", path);
    return *length > 0 || es_fail(err, ES_FORMAT, "%s: is empty", path);
}

/* The format that a folder or a name of its own making belongs to, or NULL. */
static const es_format *find_claimed(const char *path) {
    for (int f = 0; f < FORMATS; f++)
        if (formats[f]->codec && formats[f]->codec->claims(path)) return formats[f];
    return NULL;
}

static const es_format *find_reader(const char *path, es_error *err) {
    unsigned char head[HEAD];
    size_t length = 0;
    const es_format *claimed = find_claimed(path);
    if (claimed) return claimed;
    if (!read_head(path, head, &length, err)) return NULL;
    for (int f = 0; f < FORMATS; f++)
        if (formats[f]->probe(head, length)) return formats[f];
    for (int f = 0; f < FORMATS; f++)
        if (has_extension(path, formats[f]->recording_extensions) ||
            has_extension(path, formats[f]->grid_extensions))
            return formats[f];
    char known[200];
    list_extensions(known, sizeof known, true);
    es_fail(err, ES_UNSUPPORTED,
            "%s: is no recording or volume of a known format (%s; video, pictures, .npy, .npz, "
            ".mat, .h5, .mrb)",
            path, known);
    return NULL;
}

static bool read_layout(const es_format *format, const char *path, es_layout *layout,
                        es_error *err) {
    memset(layout, 0, sizeof *layout);
    es_payload_start(&layout->payload);
    if (format->read(path, layout, err)) return true;
    es_layout_clear(layout);
    return false;
}

/* ---- recordings ----------------------------------------------------------------- */

bool es_layout_read(const char *path, es_layout *layout, es_error *err) {
    const es_format *format = find_reader(path, err);
    if (!format) return false;
    if (!format->codec) return read_layout(format, path, layout, err);
    return es_fail(err, ES_UNSUPPORTED, "%s: pixels behind a header are expected here", path);
}

es_source *es_sequence_open(const char *path, es_error *err) {
    bool container = false;
    if (!find_claimed(path)) {
        es_source *source = es_container_open(path, &container, err);
        if (container) return source;
    }
    const es_format *format = find_reader(path, err);
    if (!format) return NULL;
    if (format->codec) return format->codec->open(path, err);
    es_layout layout;
    return read_layout(format, path, &layout, err) ? es_recording_open(&layout, err) : NULL;
}

static bool check_level(const char *path, int level, es_error *err) {
    return (level >= 1 && level <= 9) ||
           es_fail(err, ES_USAGE, "%s: compression level %d; expected 1 to 9", path, level);
}

es_sink *es_sequence_create(const char *path, const es_stream_info *info,
                            const es_sequence_options *options, es_error *err) {
    static const es_sequence_options defaults = ES_SEQUENCE_DEFAULTS;
    if (!options) options = &defaults;
    if (!check_level(path, options->level, err)) return NULL;
    if (es_container_can_write(path)) return es_container_create(path, info, options, err);
    const es_format *format = find_writer(path, false, err);
    if (!format) return NULL;
    if (format->codec) return format->codec->create(path, info, options, err);
    return es_recorder_open(path, info, options, format->dialect, err);
}

bool es_sequence_can_write(const char *path, es_error *err) {
    return es_container_can_write(path) || find_writer(path, false, err) != NULL;
}

/* ---- volumes ---------------------------------------------------------------------- */

es_grid_file *es_grid_open(const char *path, es_error *err) {
    const es_format *format = find_reader(path, err);
    if (!format) return NULL;
    if (format->codec) return format->codec->open_grid(path, err);
    es_layout layout;
    return read_layout(format, path, &layout, err) ? es_grid_file_new(&layout, err) : NULL;
}

static bool copy_info(const es_grid_file *file, es_grid_info *info, es_error *err) {
    const es_grid_info *from = es_grid_file_info(file);
    es_fields fields = {0};
    bool ok = es_fields_copy(&from->fields, &fields, err);
    *info = *from;
    info->fields = fields;
    return ok;
}

bool es_grid_read(const char *path, es_grid *grid, es_error *err) {
    memset(grid, 0, sizeof *grid);
    es_grid_file *file = es_grid_open(path, err);
    bool ok = file && copy_info(file, &grid->info, err) && es_grid_alloc(grid, err) &&
              es_grid_file_slab(file, 0, grid->info.size[2], grid->data, err);
    if (!ok) es_grid_clear(grid);
    es_grid_close(file);
    return ok;
}

/* Of a plain format even where its data file is missing. */
static bool plain_info(const es_format *format, const char *path, es_grid_info *info,
                       es_error *err) {
    es_layout layout;
    if (!read_layout(format, path, &layout, err)) return false;
    bool ok = es_layout_to_grid(&layout, info, err) || es_prefix(err, "%s", path);
    es_layout_clear(&layout);
    return ok;
}

bool es_grid_read_info(const char *path, es_grid_info *info, es_error *err) {
    memset(info, 0, sizeof *info);
    const es_format *format = find_reader(path, err);
    if (!format) return false;
    es_grid_file *file = format->codec ? format->codec->open_grid(path, err) : NULL;
    bool ok =
        format->codec ? file && copy_info(file, info, err) : plain_info(format, path, info, err);
    es_grid_close(file);
    if (!ok) es_grid_info_clear(info);
    return ok;
}

bool es_grid_write(const char *path, const es_grid_info *info, es_slab_fn *slab, void *context,
                   const es_grid_options *options, es_error *err) {
    static const es_grid_options defaults = ES_GRID_DEFAULTS;
    es_grid_job job = {path, info, slab, context, options ? *options : defaults};
    const es_format *format = find_writer(path, true, err);
    if (!format || !check_level(path, job.options.level, err)) return false;
    return format->codec ? format->codec->write_grid(&job, err)
                         : es_grid_job_run(&job, format->dialect, err);
}

bool es_grid_can_write(const char *path, es_error *err) {
    return find_writer(path, true, err) != NULL;
}

bool es_file_is_grid(const char *path, bool *is_grid, es_error *err) {
    bool container = false;
    *is_grid = false;
    if (!find_claimed(path) && !es_container_is(path, &container, err)) return false;
    if (container) return true;
    const es_format *format = find_reader(path, err);
    if (!format) return false;
    if (format->codec) return format->codec->is_grid(path, is_grid, err);
    es_layout layout;
    if (!read_layout(format, path, &layout, err)) return false;
    *is_grid = es_layout_is_grid(&layout);
    es_layout_clear(&layout);
    return true;
}
