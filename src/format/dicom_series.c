/* The DICOM files that belong together: one, those of a folder, or those that
 * a DICOMDIR lists. Scanners export each still as a file, and many series into
 * one folder: which is meant must be said, "FOLDER#3". */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "dicom_internal.h"

enum { FILES_LIMIT = 100000, HEAD = 512 };

void es_dicom_series_clear(es_dicom_series *series) {
    for (size_t i = 0; i < series->count; i++) es_free(series->files[i].path);
    es_free(series->files);
    memset(series, 0, sizeof *series);
}

int64_t es_dicom_series_frames(const es_dicom_series *series) {
    int64_t frames = 0;
    for (size_t i = 0; i < series->count; i++) frames += series->files[i].header.samples.frames;
    return frames;
}

/* ---- recognising -------------------------------------------------------------- */

/* The first element of a data set without preamble: of the meta group, or an
 * early one of group 8, with a VR of two capitals or a short length. */
static bool looks_like_element(const unsigned char *head, size_t length) {
    if (length < 16) return false;
    bool little = (head[0] == 2 || head[0] == 8) && head[1] == 0;
    bool big = head[0] == 0 && head[1] == 8;
    unsigned element = little ? head[2] | (unsigned)head[3] << 8 : (unsigned)head[2] << 8 | head[3];
    if ((!little && !big) || element > 0x60) return false;
    bool named = head[4] >= 'A' && head[4] <= 'Z' && head[5] >= 'A' && head[5] <= 'Z';
    unsigned size = head[4] | (unsigned)head[5] << 8;
    return named || (little && head[6] == 0 && head[7] == 0 && size <= 256 && size % 2 == 0);
}

bool es_dicom_probe(const unsigned char *head, size_t length) {
    return (length >= 132 && memcmp(head + 128, "DICM", 4) == 0) ||
           looks_like_element(head, length);
}

static bool is_dicom_file(const char *path) {
    unsigned char head[HEAD];
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(head, 1, HEAD, file) : 0;
    if (file) fclose(file);
    return es_dicom_probe(head, length);
}

static char *join(const char *folder, const char *name, es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%s/%s", folder, name);
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory");
    return NULL;
}

/* Calls `visit` for each file of a folder until it returns false. */
static bool walk(const char *folder, bool (*visit)(void *context, const char *path, es_error *err),
                 void *context, es_error *err) {
    DIR *dir = opendir(folder);
    if (!dir) return es_fail_errno(err, "%s: cannot be opened", folder);
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        char *path = join(folder, entry->d_name, err);
        ok = path && visit(context, path, err);
        es_free(path);
    }
    closedir(dir);
    return ok;
}

static bool stop_at_dicom(void *context, const char *path, es_error *err) {
    (void)err;
    bool *found = context;
    *found = is_dicom_file(path);
    return !*found;
}

/* `path` without what stands behind a '#', unless a file has such a name. */
static char *plain_path(const char *path, const char **asked, es_error *err) {
    struct stat status;
    char *plain = es_copy_text(path, err);
    *asked = "";
    char *mark = plain && stat(path, &status) != 0 ? strchr(es_path_name(plain), '#') : NULL;
    if (mark) {
        *asked = path + (mark - plain);
        *mark = '\0';
    }
    return plain;
}

bool es_dicom_claims(const char *path) {
    struct stat status;
    const char *asked;
    bool found = false;
    if (stat(path, &status) == 0 && !S_ISDIR(status.st_mode)) return false;
    char *plain = plain_path(path, &asked, NULL);
    if (plain && stat(plain, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            walk(plain, stop_at_dicom, &found, NULL);
        else
            found = *asked && is_dicom_file(plain);
    }
    es_free(plain);
    return found;
}

/* ---- one file -------------------------------------------------------------------- */

/* HHMMSS.FFFFFF as seconds; a date and time has 8 digits in front. */
static double time_of_day(const es_dicom *dicom) {
    static const char *const tags[] = {"0008,002A", "0008,0032", "0008,0033"};
    char text[64];
    double value;
    for (int i = 0; i < 3; i++) {
        if (!es_dicom_text(dicom, tags[i], text, sizeof text)) continue;
        size_t skip = i == 0 ? 8 : 0;
        if (strlen(text) < skip + 6) continue;
        text[strcspn(text, "+-&")] = '\0'; /* the time zone */
        if (!es_parse_double(text + skip, &value) || !(value >= 0 && value < 240000)) continue;
        double hours = floor(value / 10000), minutes = floor(fmod(value, 10000) / 100);
        return 3600 * hours + 60 * minutes + fmod(value, 100);
    }
    return NAN;
}

static bool describe(es_dicom_file *file, const es_dicom *dicom, bool whole, es_error *err) {
    file->series_number = file->number = NAN;
    es_dicom_text(dicom, "0020,000E", file->series, sizeof file->series);
    es_dicom_numbers(dicom, "0020,0011", &file->series_number, 1);
    es_dicom_numbers(dicom, "0020,0013", &file->number, 1);
    file->start_s = time_of_day(dicom);
    file->placed = es_dicom_numbers(dicom, "0020,0032", file->position, 3) == 3 &&
                   es_dicom_numbers(dicom, "0020,0037", file->orientation, 6) == 6;
    return es_dicom_header_read(dicom, whole, &file->header, err);
}

static bool add_file(es_dicom_series *series, const char *path, es_error *err) {
    if (es_cancelled(err)) return false;
    if (series->count == FILES_LIMIT)
        return es_fail(err, ES_UNSUPPORTED, "more than %d files; give a folder of one series",
                       FILES_LIMIT);
    if (series->count == series->capacity) {
        size_t capacity = series->capacity ? 2 * series->capacity : 16;
        if (!es_resize(&series->files, capacity, sizeof *series->files, err)) return false;
        series->capacity = capacity;
    }
    es_dicom *dicom = es_dicom_open(path, err);
    if (!dicom) return es_prefix(err, "%s", path);
    es_dicom_file *file = &series->files[series->count];
    memset(file, 0, sizeof *file);
    bool ok = describe(file, dicom, series->whole, err) || es_prefix(err, "%s", path);
    es_dicom_close(dicom);
    ok = ok && (file->path = es_copy_text(path, err));
    series->count += ok;
    return ok;
}

/* ---- folders and DICOMDIR ----------------------------------------------------------- */

/* Reports and presentation states have no pictures: they are passed over. */
static bool has_picture(const char *path, bool *has, es_error *err) {
    es_dicom *dicom = es_dicom_open(path, err);
    if (!dicom) return es_prefix(err, "%s", path);
    double rows;
    *has = es_dicom_numbers(dicom, "0028,0010", &rows, 1) > 0;
    es_dicom_close(dicom);
    return true;
}

static bool add_picture(void *context, const char *path, es_error *err) {
    bool has = false;
    if (!is_dicom_file(path) || strcmp(es_path_name(path), "DICOMDIR") == 0) return true;
    return has_picture(path, &has, err) && (!has || add_file(context, path, err));
}

/* The file that a record of a DICOMDIR names, "US\IM_0001": beside it or below. */
static char *listed_path(const char *dicomdir, char *id, es_error *err) {
    for (char *at = id; *at; at++)
        if (*at == '\\') *at = '/';
    bool leaves = id[0] == '/' || strcmp(id, "..") == 0 || strncmp(id, "../", 3) == 0 ||
                  strstr(id, "/../") || es_has_suffix(id, "/..");
    if (!leaves) return es_path_beside(dicomdir, id, err);
    es_fail(err, ES_FORMAT, "names the file \"%.100s\", which does not lie below its folder", id);
    return NULL;
}

static bool add_listed(es_dicom_series *series, const char *path, es_error *err) {
    es_dicom *dicom = es_dicom_open(path, err);
    if (!dicom) return es_prefix(err, "%s", path);
    long records = es_dicom_items(dicom, "0004,1220");
    bool ok = records >= 0 || es_fail(err, ES_FORMAT, "lists no files");
    for (long i = 0; ok && i < records; i++) {
        char tag[48], id[ES_DICOM_VALUE];
        snprintf(tag, sizeof tag, "0004,1220[%ld]/0004,1500", i);
        if (!es_dicom_text(dicom, tag, id, sizeof id)) continue;
        char *file = listed_path(path, id, err);
        bool has = false;
        ok = file && has_picture(file, &has, err) && (!has || add_file(series, file, err));
        es_free(file);
    }
    es_dicom_close(dicom);
    return ok || es_prefix(err, "%s", path);
}

static bool add_folder(es_dicom_series *series, const char *folder, es_error *err) {
    char *list = join(folder, "DICOMDIR", err);
    if (!list) return false;
    bool ok = is_dicom_file(list) ? add_listed(series, list, err)
                                  : walk(folder, add_picture, series, err);
    es_free(list);
    return ok;
}

static bool is_dicomdir(const char *path) { return strcmp(es_path_name(path), "DICOMDIR") == 0; }

/* ---- one series of several ------------------------------------------------------------ */

static int compare_numbers(double a, double b) {
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return a < b ? -1 : a > b;
}

static int compare_files(const void *left, const void *right) {
    const es_dicom_file *a = left, *b = right;
    int order = compare_numbers(a->number, b->number);
    if (order == 0) order = compare_numbers(a->start_s, b->start_s);
    return order ? order : strcmp(a->path, b->path);
}

static int compare_series(const void *left, const void *right) {
    const es_dicom_file *a = left, *b = right;
    int order = compare_numbers(a->series_number, b->series_number);
    if (order == 0) order = strcmp(a->series, b->series);
    return order ? order : compare_files(a, b);
}

/* "3 (12 files of 640 x 480), 4 (...)": sorted by series. */
static void list_series(const es_dicom_series *series, es_text *text) {
    for (size_t first = 0, next, listed = 0; first < series->count; first = next, listed++) {
        const es_dicom_file *f = &series->files[first];
        for (next = first + 1; next < series->count; next++)
            if (strcmp(series->files[next].series, f->series) != 0) break;
        if (listed == 8) {
            es_text_add(text, ", ...");
            return;
        }
        es_text_add(text, listed ? ", " : "");
        if (isnan(f->series_number))
            es_text_add(text, "%s", f->series);
        else
            es_text_add(text, "%.0f", f->series_number);
        es_text_add(text, " (%zu file%s of %u x %u)", next - first, next - first == 1 ? "" : "s",
                    f->header.samples.columns, f->header.samples.rows);
    }
}

static bool wanted(const es_dicom_file *file, const char *name) {
    double number;
    return strcmp(file->series, name) == 0 ||
           (es_parse_double(name, &number) && number == file->series_number);
}

static void keep_wanted(es_dicom_series *series, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < series->count; i++) {
        if (wanted(&series->files[i], name))
            series->files[kept++] = series->files[i];
        else
            es_free(series->files[i].path);
    }
    series->count = kept;
}

static bool choose(es_dicom_series *series, const char *path, const char *name, es_error *err) {
    es_text list = {0};
    bool ok = true;
    qsort(series->files, series->count, sizeof *series->files, compare_series);
    list_series(series, &list);
    if (*name) keep_wanted(series, name);
    if (series->count == 0) {
        ok = es_fail(err, ES_USAGE, "%s: has no series %s; it has %s", path, name,
                     list.failed ? "" : list.bytes);
    } else if (strcmp(series->files[0].series, series->files[series->count - 1].series) != 0) {
        ok = es_fail(err, ES_USAGE, "%s: holds several series: %s; name one, as in \"%s#%s\"", path,
                     list.failed ? "" : list.bytes, path,
                     isnan(series->files[0].series_number) ? series->files[0].series : "NUMBER");
    }
    es_text_free(&list);
    return ok;
}

/* All pictures of a series have one size, one type and one crop. */
static bool check_alike(const es_dicom_series *series, const char *path, es_error *err) {
    const es_dicom_file *a = &series->files[0];
    const es_dicom_samples *s = &a->header.samples;
    for (size_t i = 1; i < series->count; i++) {
        const es_dicom_file *b = &series->files[i];
        const es_dicom_samples *t = &b->header.samples;
        if (s->columns != t->columns || s->rows != t->rows || s->channels != t->channels ||
            s->allocated != t->allocated)
            return es_fail(err, ES_FORMAT,
                           "%s: its pictures differ: %s is %u x %u x %d of %d bits, %s is %u x %u "
                           "x %d of %d bits; give one of the files",
                           path, es_path_name(a->path), s->columns, s->rows, s->channels,
                           s->allocated, es_path_name(b->path), t->columns, t->rows, t->channels,
                           t->allocated);
        if (memcmp(a->header.crop, b->header.crop, sizeof a->header.crop) != 0)
            return es_fail(err, ES_FORMAT,
                           "%s: the ultrasound regions of %s and %s differ; give one of the files, "
                           "or \"%s#whole\" for the uncropped pictures",
                           path, es_path_name(a->path), es_path_name(b->path), path);
    }
    return true;
}

/* "#3", "#whole", "#3#whole". */
static bool parse_asked(const char *asked, bool *whole, char name[72], es_error *err) {
    *name = '\0';
    while (*asked == '#') {
        size_t length = strcspn(++asked, "#");
        if (length == 5 && strncmp(asked, "whole", 5) == 0) {
            *whole = true;
        } else if (length == 0 || length >= 72 || *name) {
            return es_fail(err, ES_USAGE, "\"#%s\": expected #SERIES, #whole, or both", asked);
        } else {
            memcpy(name, asked, length);
            name[length] = '\0';
        }
        asked += length;
    }
    return true;
}

static bool add_all(es_dicom_series *series, const char *path, es_error *err) {
    struct stat status;
    if (stat(path, &status) != 0) return es_fail_errno(err, "%s: cannot be opened", path);
    if (S_ISDIR(status.st_mode) ? !add_folder(series, path, err)
        : is_dicomdir(path)     ? !add_listed(series, path, err)
                                : !add_file(series, path, err))
        return false;
    return series->count > 0 || es_fail(err, ES_FORMAT, "%s: holds no DICOM pictures", path);
}

bool es_dicom_series_open(es_dicom_series *series, const char *path, es_error *err) {
    const char *asked;
    char name[72];
    memset(series, 0, sizeof *series);
    char *plain = plain_path(path, &asked, err);
    bool ok = plain && parse_asked(asked, &series->whole, name, err) &&
              add_all(series, plain, err) && choose(series, plain, name, err) &&
              check_alike(series, plain, err);
    if (ok) qsort(series->files, series->count, sizeof *series->files, compare_files);
    if (!ok) es_dicom_series_clear(series);
    es_free(plain);
    return ok;
}
