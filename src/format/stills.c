/* Pictures as frames: a folder of them, a pattern of names, or a single one.
 *
 * Order is that of the numbers in the names (frame9 before frame10). All must
 * have the size and type of the first. Each frame has its name in the field
 * FileName, so that a table of poses can name it. */
#include <ctype.h>
#include <dirent.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "container.h"

enum { FILES_LIMIT = 1000000 };
static const char *const extensions[] = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"};

typedef struct stills {
    const es_media_module *module;
    char **paths;
    size_t count, capacity, index;
    int colours; /* ES_MEDIA_GREY or RGB, once the first is known */
    es_media_info first;
    bool warned;
} stills;

static void stills_free(void *self) {
    stills *s = self;
    for (size_t i = 0; i < s->count; i++) es_free(s->paths[i]);
    es_free(s->paths);
    es_free(s);
}

/* ---- the list of names ------------------------------------------------------------ */

static size_t digits(const char *text) { return strspn(text, "0123456789"); }

/* Runs of digits compare as numbers, the rest letter by letter. */
static int compare_names(const char *a, const char *b) {
    const char *x = a, *y = b;
    while (*x && *y) {
        if (isdigit((unsigned char)*x) && isdigit((unsigned char)*y)) {
            x += strspn(x, "0");
            y += strspn(y, "0");
            size_t n = digits(x), m = digits(y);
            int order = n != m ? (n < m ? -1 : 1) : strncmp(x, y, n);
            if (order) return order;
            x += n;
            y += m;
        } else {
            if (*x != *y) return (unsigned char)*x < (unsigned char)*y ? -1 : 1;
            x++;
            y++;
        }
    }
    if (*x || *y) return *x ? 1 : -1;
    return strcmp(a, b); /* 1 and 01: some order, always the same */
}

static int compare_paths(const void *a, const void *b) {
    return compare_names(*(char *const *)a, *(char *const *)b);
}

static bool is_picture(const char *name) {
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (name[0] != '.' && es_has_suffix(name, extensions[i])) return true;
    return false;
}

static bool add_path(stills *s, const char *folder, const char *name, es_error *err) {
    if (s->count >= FILES_LIMIT)
        return es_fail(err, ES_UNSUPPORTED, "more than %d pictures", FILES_LIMIT);
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 64;
        if (!es_resize(&s->paths, capacity, sizeof *s->paths, err)) return false;
        s->capacity = capacity;
    }
    size_t length = strlen(folder);
    bool slash = length && folder[length - 1] != '/';
    es_text path = {0};
    es_text_add(&path, "%s%s%s", folder, slash ? "/" : "", name);
    if (path.failed) {
        es_text_free(&path);
        return es_fail(err, ES_MEMORY, "out of memory");
    }
    s->paths[s->count++] = path.bytes;
    return true;
}

static bool list_folder(stills *s, const char *path, es_error *err) {
    DIR *dir = opendir(path);
    if (!dir) return es_fail_errno(err, "%s: cannot be opened", path);
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(dir));)
        if (is_picture(entry->d_name)) ok = add_path(s, path, entry->d_name, err);
    closedir(dir);
    if (ok && s->count == 0)
        return es_fail(err, ES_FORMAT,
                       "%s: is a folder without pictures; expected files that end in .png, .jpg, "
                       ".tif or .bmp",
                       path);
    return ok;
}

/* "frame%04d.png" as "frame[0-9]*.png". */
static bool pattern_to_glob(const char *path, es_text *pattern, es_error *err) {
    for (const char *at = path; *at; at++) {
        size_t length = *at == '%' ? 1 + digits(at + 1) : 0;
        if (length && (at[length] == 'd' || at[length] == 'i' || at[length] == 'u')) {
            es_text_add(pattern, "[0-9]*");
            at += length;
        } else {
            es_text_add_bytes(pattern, at, 1);
        }
    }
    return !pattern->failed || es_fail(err, ES_MEMORY, "out of memory");
}

static bool list_pattern(stills *s, const char *path, es_error *err) {
    es_text pattern = {0};
    glob_t found = {0};
    bool ok = pattern_to_glob(path, &pattern, err);
    if (ok && glob(pattern.bytes, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; ok && i < found.gl_pathc; i++)
            ok = add_path(s, "", found.gl_pathv[i], err);
    globfree(&found);
    es_text_free(&pattern);
    return ok && (s->count || es_fail(err, ES_IO, "%s: no file matches this pattern", path));
}

static bool list_paths(stills *s, const char *path, es_error *err) {
    struct stat status;
    bool there = stat(path, &status) == 0;
    bool ok = !there                    ? list_pattern(s, path, err)
              : S_ISDIR(status.st_mode) ? list_folder(s, path, err)
                                        : add_path(s, "", path, err);
    if (ok) qsort(s->paths, s->count, sizeof *s->paths, compare_paths);
    return ok;
}

/* ---- one picture -------------------------------------------------------------------- */

static es_media *open_picture(stills *s, size_t index, es_media_info *info, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    es_media_request request = {.path = s->paths[index],
                                .colours = s->colours,
                                .still = 1,
                                .stopped = es_media_stopped,
                                .side_limit = ES_MEDIA_SIDE};
    es_media *media = s->module->open(&request, info, message);
    if (!media && !es_cancelled(err)) es_fail(err, ES_FORMAT, "%s: %s", s->paths[index], message);
    return media;
}

static bool check_picture(stills *s, const es_media_info *info, es_error *err) {
    const es_media_info *first = &s->first;
    if (info->has_colour && s->colours == ES_MEDIA_GREY && !first->has_colour && !s->warned) {
        s->warned = true;
        es_log(ES_WARNING,
               "%s: has colour, the first picture has none; all are read as grey (#rgb "
               "reads colours)",
               s->paths[s->index]);
    }
    if (info->width == first->width && info->height == first->height && info->bytes == first->bytes)
        return true;
    return es_fail(err, ES_FORMAT,
                   "%s: %u x %u pixels %s, but %s has %u x %u %s; all pictures of a recording have "
                   "one size: move the others to a folder of their own",
                   s->paths[s->index], info->width, info->height, es_type_name(es_media_type(info)),
                   s->paths[0], first->width, first->height, es_type_name(es_media_type(first)));
}

static bool read_picture(stills *s, es_image *image, es_error *err) {
    char message[ES_MEDIA_MESSAGE];
    es_media_info info;
    es_media *media = open_picture(s, s->index, &info, err);
    if (!media) return false;
    bool ok =
        check_picture(s, &info, err) &&
        es_image_resize(image, es_media_type(&info), info.channels, info.width, info.height, err);
    if (ok && s->module->read(media, 0, image->data, message) != ES_MEDIA_FRAME)
        ok = es_fail(err, ES_FORMAT, "%s: %s", s->paths[s->index], message);
    s->module->close(media);
    return ok;
}

static bool stills_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    stills *s = self;
    *end = s->index >= s->count;
    if (*end) return true;
    es_frame_begin(frame, (int64_t)s->index);
    if (!es_fields_set(&frame->fields, "FileName", es_path_name(s->paths[s->index]), err))
        return false;
    if (flags & ES_READ_PIXELS) {
        if (!read_picture(s, &frame->image, err)) return false;
        frame->has_image = true;
    }
    s->index++;
    return true;
}

static bool stills_rewind(void *self, es_error *err) {
    (void)err;
    ((stills *)self)->index = 0;
    return true;
}

/* The first picture says what all are. */
static bool look_at_first(stills *s, es_error *err) {
    es_media *media = open_picture(s, 0, &s->first, err);
    if (!media) return false;
    s->module->close(media);
    s->first.times = NULL;
    s->colours = s->first.channels == 3 ? ES_MEDIA_RGB : ES_MEDIA_GREY;
    return true;
}

static es_source *source_of(stills *s, const char *path, es_error *err) {
    static const es_source_ops ops = {stills_next, stills_rewind, stills_free};
    es_stream_info info = {.frame_count = (int64_t)s->count,
                           .width = s->first.width,
                           .height = s->first.height,
                           .type = es_media_type(&s->first),
                           .channels = s->first.channels,
                           .spacing_mm = {1, 1}};
    snprintf(info.format, sizeof info.format, "pictures %.14s", s->first.codec);
    es_log(ES_NOTE,
           "%s: %zu picture%s (%s, %s), read as %s in the order of the numbers in their names",
           path, s->count, s->count == 1 ? "" : "s", s->first.codec, s->first.pixels,
           s->first.channels == 3 ? "RGB" : "grey");
    return es_source_new(&ops, s, &info, err);
}

static es_source *stills_open(const es_input *name, es_error *err) {
    stills *s = es_alloc_zero(1, sizeof *s, err);
    if (!s) return NULL;
    bool ok = es_media_colours(name, &s->colours, err) && list_paths(s, name->path, err);
    if (ok && !(s->module = es_media_module_get(err))) ok = es_prefix(err, "%s", name->path);
    if (ok && look_at_first(s, err)) return source_of(s, name->path, err);
    stills_free(s);
    return NULL;
}

/* A folder, or a pattern of names. */
static bool claims(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0) return S_ISDIR(status.st_mode);
    return strpbrk(es_path_name(path), "*?[%") != NULL;
}

/* BM alone is too little: the size of the next header must be a known one. */
static bool is_bmp(const unsigned char *head, size_t length) {
    return length >= 26 && head[0] == 'B' && head[1] == 'M' && head[15] == 0 && head[16] == 0 &&
           (head[14] == 12 || head[14] == 40 || head[14] == 108 || head[14] == 124);
}

static const es_mark marks[] = {{0, 8, "\x89PNG\r\n\x1a\n"},
                                {0, 3, "\xff\xd8\xff"}, /* JPEG */
                                {0, 4, "II*\0"},        /* TIFF */
                                {0, 4, "MM\0*"},
                                {0}};
const es_format es_format_stills = {
    .name = "pictures",
    .reads = ".png .jpg .jpeg .tif .tiff .bmp",
    .marks = marks,
    .probe = is_bmp,
    .claims = claims,
    .claims_output = es_folder_is_meant,
    .open = stills_open,
    .create = es_folder_create,
};
