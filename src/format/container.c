/* Which reader a container of frames belongs to: by its first bytes, and by
 * its name only where these say nothing. */
#include "container.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef es_source *open_fn(const es_container_name *name, es_error *err);

typedef struct mark {
    int at, length;
    const char *bytes;
    open_fn *open;
} mark;

static const mark marks[] = {
    {0, 6, "\x93NUMPY", es_npy_open},
    {0, 4, "PK\x03\x04", es_zip_open},
    {0, 4, "PK\x05\x06", es_zip_open}, /* an empty archive */
    {0, 8, "\x89HDF\r\n\x1a\n", es_hdf5_open},
    {512, 8, "\x89HDF\r\n\x1a\n", es_hdf5_open}, /* MATLAB 7.3, and other user blocks */
    {0, 10, "MATLAB 5.0", es_matlab_open},
    {0, 8, "\x89PNG\r\n\x1a\n", es_stills_open},
    {0, 3, "\xff\xd8\xff", es_stills_open}, /* JPEG */
    {0, 4, "II*\0", es_stills_open},        /* TIFF */
    {0, 4, "MM\0*", es_stills_open},
    {0, 4, "GIF8", es_video_open},
    {8, 4, "AVI ", es_video_open},
    {4, 4, "ftyp", es_video_open}, /* MP4, MOV */
    {4, 4, "moov", es_video_open},
    {4, 4, "wide", es_video_open},
    {0, 4, "\x1a\x45\xdf\xa3", es_video_open},                 /* Matroska, WebM */
    {0, 8, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", es_video_open}, /* ASF: .wmv */
    {0, 4, "\x00\x00\x01\xba", es_video_open},                 /* MPEG */
    {0, 4, "\x00\x00\x01\xb3", es_video_open},
    {0, 4, "FLV\x01", es_video_open},
    {0, 4, "OggS", es_video_open},
    {0, 8, "YUV4MPEG", es_video_open},
};

static const struct {
    const char *extension;
    open_fn *open;
} names[] = {
    {".mp4", es_video_open},   {".m4v", es_video_open},  {".mov", es_video_open},
    {".avi", es_video_open},   {".mkv", es_video_open},  {".webm", es_video_open},
    {".wmv", es_video_open},   {".asf", es_video_open},  {".mpg", es_video_open},
    {".mpeg", es_video_open},  {".ts", es_video_open},   {".flv", es_video_open},
    {".gif", es_video_open},   {".mxf", es_video_open},  {".y4m", es_video_open},
    {".h264", es_video_open},  {".png", es_stills_open}, {".jpg", es_stills_open},
    {".jpeg", es_stills_open}, {".tif", es_stills_open}, {".tiff", es_stills_open},
    {".bmp", es_stills_open},  {".npy", es_npy_open},    {".npz", es_zip_open},
    {".mrb", es_zip_open},     {".h5", es_hdf5_open},    {".hdf5", es_hdf5_open},
    {".mat", es_matlab_open},
};

enum { HEAD = 1024, MARKS = sizeof marks / sizeof *marks, NAMES = sizeof names / sizeof *names };

static size_t read_head(const char *path, unsigned char head[HEAD]) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    size_t length = fread(head, 1, HEAD, file);
    fclose(file);
    return length;
}

/* BM alone is too little: the size of the next header must be a known one. */
static bool is_bmp(const unsigned char *head, size_t length) {
    return length >= 26 && head[0] == 'B' && head[1] == 'M' && head[15] == 0 && head[16] == 0 &&
           (head[14] == 12 || head[14] == 40 || head[14] == 108 || head[14] == 124);
}

static open_fn *find_file_reader(const char *path) {
    unsigned char head[HEAD];
    size_t length = read_head(path, head);
    if (length == 0) return NULL; /* the caller says what is wrong */
    if (is_bmp(head, length)) return es_stills_open;
    for (int i = 0; i < MARKS; i++) {
        const mark *m = &marks[i];
        if (length >= (size_t)(m->at + m->length) &&
            memcmp(head + m->at, m->bytes, (size_t)m->length) == 0)
            return m->open;
    }
    for (int i = 0; i < NAMES; i++)
        if (es_has_suffix(path, names[i].extension)) return names[i].open;
    return NULL;
}

static open_fn *find_reader(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode)) return es_stills_open;
        return S_ISREG(status.st_mode) ? find_file_reader(path) : NULL;
    }
    const char *name = es_path_name(path);
    return strpbrk(name, "*?[%") ? es_stills_open : NULL;
}

/* Splits at the last # when there is no file of the whole name. */
static bool split(const char *given, es_container_name *name, es_error *err) {
    struct stat status;
    const char *hash = strrchr(given, '#');
    bool whole = !hash || hash == given || stat(given, &status) == 0;
    name->given = given;
    name->path = es_copy_text(given, err);
    name->choice = es_copy_text(whole ? "" : hash + 1, err);
    if (!name->path || !name->choice) return false;
    if (!whole) name->path[hash - given] = '\0';
    return true;
}

static void clear(es_container_name *name) {
    es_free(name->path);
    es_free(name->choice);
}

es_source *es_container_open(const char *path, bool *mine, es_error *err) {
    es_container_name name = {0};
    es_source *source = NULL;
    *mine = true;
    if (split(path, &name, err)) {
        open_fn *open = find_reader(name.path);
        *mine = open != NULL;
        if (open) source = open(&name, err);
    }
    clear(&name);
    return source;
}

bool es_container_is(const char *path, bool *is, es_error *err) {
    es_container_name name = {0};
    bool ok = split(path, &name, err);
    *is = ok && find_reader(name.path) != NULL;
    clear(&name);
    return ok;
}

void es_frame_begin(es_frame *frame, int64_t index) {
    frame->index = index;
    frame->has_image = frame->has_time = frame->has_unfiltered_time = false;
    frame->transform_count = 0;
    es_fields_clear(&frame->fields);
}

bool es_blame(es_error *err, const char *scratch, const char *shown) {
    size_t length = strlen(scratch);
    if (err && strncmp(err->message, scratch, length) == 0) {
        const char *rest = err->message + length;
        while (*rest == ':' || *rest == ' ') rest++;
        memmove(err->message, rest, strlen(rest) + 1);
    }
    return *shown && es_prefix(err, "%s", shown);
}
