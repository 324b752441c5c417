/* The table of formats, and what can be asked of any file.
 *
 * A file is recognised by its first bytes; only where these say nothing does
 * its name decide, so that the reader can say what is wrong with it. Folders and
 * patterns of names are claimed by the format whose files they hold. */
#include <string.h>
#include <sys/stat.h>

#include "container.h"

/* Rows of the same bytes or names: the first wins. DICOM without its preamble is
 * told by little, so it comes last; but a folder with DICOM files is DICOM. */
static const es_format *const formats[] = {
    &es_format_mha,  &es_format_nrrd,   &es_format_nifti, &es_format_npy,    &es_format_zip,
    &es_format_hdf5, &es_format_matlab, &es_format_video, &es_format_stills, &es_format_dicom};
enum { FORMATS = sizeof formats / sizeof *formats, HEAD = 4096 };

/* Whether the name ends in one of ".a .b.c"; not for NULL. */
static bool has_extension(const char *path, const char *extensions) {
    char one[16];
    for (const char *at = extensions; at && *(at += strspn(at, " "));) {
        size_t length = strcspn(at, " ");
        memcpy(one, at, length);
        one[length] = '\0';
        if (es_has_suffix(path, one)) return true;
        at += length;
    }
    return false;
}

static const char *written(const es_format *format, bool grid) {
    return grid ? format->volumes : format->recordings;
}

/* "a, b, c" of all that is written. */
static void list_extensions(char *text, size_t size, bool grids) {
    size_t used = 0;
    text[0] = '\0';
    for (int f = 0; f < FORMATS; f++)
        for (const char *at = written(formats[f], grids); at && *(at += strspn(at, " "));) {
            int length = (int)strcspn(at, " ");
            if (used < size)
                used += (size_t)snprintf(text + used, size - used, "%s%.*s", used ? ", " : "",
                                         length, at);
            at += length;
        }
}

static const es_format *find_writer(const char *path, bool grid, es_error *err) {
    for (int f = 0; f < FORMATS && !grid; f++)
        if (formats[f]->claims_output && formats[f]->claims_output(path)) return formats[f];
    for (int f = 0; f < FORMATS; f++)
        if (has_extension(path, written(formats[f], grid))) return formats[f];
    char known[200];
    list_extensions(known, sizeof known, grid);
    es_fail(err, ES_USAGE, "%s: cannot write a %s of this name; expected one that ends in %s%s",
            path, grid ? "volume" : "recording", known, grid ? "" : ", or / for a folder of PNG");
    return NULL;
}

static bool read_head(const char *path, unsigned char head[HEAD], size_t *length, es_error *err) {
    struct stat status;
    if (stat(path, &status) != 0) return es_fail_errno(err, "%s: cannot be opened", path);
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

static bool has_mark(const es_format *format, const unsigned char *head, size_t length) {
    for (const es_mark *m = format->marks; m && m->length; m++)
        if (length >= (size_t)(m->at + m->length) &&
            memcmp(head + m->at, m->bytes, (size_t)m->length) == 0)
            return true;
    return format->probe && format->probe(head, length);
}

/* By the first bytes; NULL without an error: they say nothing. */
static const es_format *find_marked(const char *path, es_error *err) {
    unsigned char head[HEAD];
    size_t length = 0;
    if (!read_head(path, head, &length, err)) return NULL;
    for (int f = 0; f < FORMATS; f++)
        if (has_mark(formats[f], head, length)) return formats[f];
    return NULL;
}

static const es_format *find_file_reader(const char *path, es_error *err) {
    es_error why = {0};
    const es_format *marked = find_marked(path, &why);
    if (marked) return marked;
    if (why.code != ES_OK) {
        if (err) *err = why;
        return NULL;
    }
    for (int f = 0; f < FORMATS; f++)
        if (has_extension(path, formats[f]->reads)) return formats[f];
    char known[200];
    list_extensions(known, sizeof known, true);
    es_fail(err, ES_UNSUPPORTED,
            "%s: is no recording or volume of a known format (%s; video, pictures, .npy, .npz, "
            ".mat, .h5, .mrb)",
            path, known);
    return NULL;
}

/* DICOM's own # (FOLDER#3, FILE#whole) is asked for before the name is split. */
static const es_format *find_reader(const char *given, const char *path, es_error *err) {
    if (es_format_dicom.claims(given)) return &es_format_dicom;
    for (int f = 0; f < FORMATS; f++)
        if (formats[f]->claims && formats[f]->claims(path)) return formats[f];
    return find_file_reader(path, err);
}

/* Splits at the last # when there is no file of the whole name. */
static bool input_set(es_input *input, const char *given, es_error *err) {
    struct stat status;
    const char *hash = strrchr(given, '#');
    bool whole = !hash || hash == given || stat(given, &status) == 0;
    input->given = given;
    input->path = es_copy_text(given, err);
    input->choice = es_copy_text(whole ? "" : hash + 1, err);
    if (!input->path || !input->choice) return false;
    if (!whole) input->path[hash - given] = '\0';
    return true;
}

static void input_clear(es_input *input) {
    es_free(input->path);
    es_free(input->choice);
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
    const es_format *format = find_file_reader(path, err);
    if (!format) return false;
    if (format->read) return read_layout(format, path, layout, err);
    return es_fail(err, ES_UNSUPPORTED, "%s: pixels behind a header are expected here", path);
}

/* "FILE#frames": whatever the header says, the last axis counts frames. */
static bool asks_for_frames(const es_input *input) { return strcmp(input->choice, "frames") == 0; }

static bool check_choice(const es_input *input, es_error *err) {
    return !*input->choice || asks_for_frames(input) ||
           es_fail(err, ES_USAGE,
                   "%s: holds one thing, and nothing called \"%s\"; #frames takes "
                   "its slices as frames",
                   input->path, input->choice);
}

/* Whether three axes may count frames: a volume that says where its slices lie
 * may not, unless it is asked for. */
static bool check_stack(const es_input *input, const es_layout *layout, es_error *err) {
    unsigned long long count = layout->size[2];
    if (!es_layout_is_grid(layout) || asks_for_frames(input)) return true;
    if (es_layout_is_placed(layout))
        return es_fail(err, ES_USAGE,
                       "%s: is a volume of %llu slices, not a recording of frames; echosolid "
                       "surface makes a mesh of it. If its slices are frames, name it %s#frames",
                       input->path, count, input->path);
    es_log(ES_NOTE,
           "%s: a stack of %llu slices that says nothing of where they lie; they are taken as "
           "frames",
           input->path, count);
    return true;
}

static es_source *open_layout(const es_format *format, const es_input *input, es_error *err) {
    es_layout layout;
    if (!check_choice(input, err) || !read_layout(format, input->path, &layout, err)) return NULL;
    if (check_stack(input, &layout, err)) return es_recording_open(&layout, err);
    es_layout_clear(&layout);
    return NULL;
}

es_source *es_sequence_open(const char *path, es_error *err) {
    es_input input = {0};
    es_source *source = NULL;
    const es_format *format =
        input_set(&input, path, err) ? find_reader(path, input.path, err) : NULL;
    if (format)
        source = format->read ? open_layout(format, &input, err) : format->open(&input, err);
    source = es_undone_open(source, path, err);
    input_clear(&input);
    return source;
}

bool es_pose_file_open(const char *path, es_array_table *table, es_source **source, es_error *err) {
    es_input input = {.table = table};
    es_error none = {0};
    memset(table, 0, sizeof *table);
    *source = NULL;
    bool ok = input_set(&input, path, err);
    const es_format *format = ok ? find_marked(input.path, &none) : NULL;
    if (format)
        *source = format->read ? open_layout(format, &input, err) : format->open(&input, err);
    input_clear(&input);
    return ok && (!format || *source || table->numbers);
}

static bool check_level(const char *path, int level, es_error *err) {
    return (level >= 1 && level <= 9) ||
           es_fail(err, ES_USAGE, "%s: compression level %d; expected 1 to 9", path, level);
}

es_sink *es_sequence_create(const char *path, const es_stream_info *info,
                            const es_sequence_options *options, es_error *err) {
    static const es_sequence_options defaults = ES_SEQUENCE_DEFAULTS;
    if (!options) options = &defaults;
    const es_format *format = find_writer(path, false, err);
    if (!format || !check_level(path, options->level, err)) return NULL;
    return format->create ? format->create(path, info, options, err)
                          : es_recorder_open(path, info, options, format->dialect, err);
}

bool es_sequence_can_write(const char *path, es_error *err) {
    return find_writer(path, false, err) != NULL;
}

unsigned es_sequence_keeps(const char *path) {
    const es_format *format = find_writer(path, false, NULL);
    return format ? format->keeps : ES_KEEPS_ALL;
}

/* ---- volumes ---------------------------------------------------------------------- */

static es_grid_file *open_grid(const es_format *format, const char *path, es_error *err) {
    es_layout layout;
    if (format->read)
        return read_layout(format, path, &layout, err) ? es_grid_file_new(&layout, err) : NULL;
    if (format->open_grid) return format->open_grid(path, err);
    es_fail(err, ES_USAGE,
            "%s: is a recording of frames (%s), not a volume; reconstruct a volume from it first",
            path, format->name);
    return NULL;
}

/* Volumes are files or DICOM's folders: nothing is chosen from them by #. */
static const es_format *find_grid_reader(const char *path, es_error *err) {
    return find_reader(path, path, err);
}

es_grid_file *es_grid_open(const char *path, es_error *err) {
    const es_format *format = find_grid_reader(path, err);
    return format ? open_grid(format, path, err) : NULL;
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
    const es_format *format = find_grid_reader(path, err);
    if (!format) return false;
    es_grid_file *file = format->read ? NULL : open_grid(format, path, err);
    bool ok =
        format->read ? plain_info(format, path, info, err) : file && copy_info(file, info, err);
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
    return format->write_grid ? format->write_grid(&job, err)
                              : es_grid_job_run(&job, format->dialect, err);
}

bool es_grid_can_write(const char *path, es_error *err) {
    return find_writer(path, true, err) != NULL;
}

static bool layout_is_grid(const es_format *format, const char *path, bool *is_grid,
                           es_error *err) {
    es_layout layout;
    if (!read_layout(format, path, &layout, err)) return false;
    *is_grid = es_layout_is_grid(&layout);
    es_layout_clear(&layout);
    return true;
}

bool es_file_is_grid(const char *path, bool *is_grid, es_error *err) {
    es_input input = {0};
    *is_grid = false;
    const es_format *format =
        input_set(&input, path, err) ? find_reader(path, input.path, err) : NULL;
    bool ok = format != NULL;
    if (ok && format->read && !asks_for_frames(&input))
        ok = check_choice(&input, err) && layout_is_grid(format, input.path, is_grid, err);
    if (ok && format->is_grid) ok = format->is_grid(path, is_grid, err);
    input_clear(&input);
    return ok;
}
