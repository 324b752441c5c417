/* Frames in arrays of numbers, whatever file they lie in.
 *
 * A file lists its arrays; here is decided which of them are the frames, the
 * poses and the times, and what their axes mean. Axes are letters (N frames, H
 * rows, W columns, C colours) in the order of storage, so that C order, Fortran
 * order, MATLAB and interleaved frames are one case: where N is the slowest
 * axis, a frame is read where it lies and only its axes are brought to H W C;
 * otherwise the array is sorted once into a scratch file, frame by frame. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "container.h"

enum { SMALLEST_PICTURE = 16, VALUES_LIMIT = 1 << 27 };

void es_array_reader_clear(es_array_reader *reader) {
    if (reader->free) reader->free(reader->self);
    memset(reader, 0, sizeof *reader);
}

void es_array_extra_clear(es_array_extra *extra) {
    for (int i = 0; i < extra->pose_count; i++) es_free(extra->poses[i].matrices);
    es_free(extra->times_s);
    memset(extra, 0, sizeof *extra);
}

/* ---- the source --------------------------------------------------------------- */

typedef struct stack {
    es_array array;
    es_array_reader reader;
    es_array_extra extra;
    char *given;
    int n_axis; /* -1: one frame */
    uint64_t frame_count, index;
    uint32_t width, height;
    int channels;
    size_t step_bytes; /* of one step of the slowest axis */
    size_t frame_bytes;
    es_scratch *sorted; /* frames one after another, where N is not the slowest axis */
    void *stored;       /* a frame in the order of storage, where that is not H W C */
    bool straight;      /* the axes of a frame are H W or H W C */
} stack;

static void stack_free(void *self) {
    stack *s = self;
    es_array_reader_clear(&s->reader);
    es_array_extra_clear(&s->extra);
    es_scratch_close(s->sorted);
    es_free(s->stored);
    es_free(s->given);
    es_free(s);
}

static int axis_of(const es_array *array, char letter) {
    const char *at = strchr(array->axes, letter);
    return at ? (int)(at - array->axes) : -1;
}

static uint64_t size_of(const es_array *array, char letter) {
    int axis = axis_of(array, letter);
    return axis < 0 ? 1 : array->size[axis];
}

/* Elements between neighbours of that axis within a frame. */
static size_t stride_of(const es_array *array, char letter) {
    size_t stride = 1;
    int axis = axis_of(array, letter);
    for (int i = array->rank - 1; axis >= 0 && i > axis; i--)
        if (array->axes[i] != 'N') stride *= (size_t)array->size[i];
    return axis < 0 ? 0 : stride;
}

static void arrange(const stack *s, const char *from, char *to) {
    size_t size = es_type_size(s->array.type);
    size_t du = stride_of(&s->array, 'W') * size, dv = stride_of(&s->array, 'H') * size,
           dc = stride_of(&s->array, 'C') * size;
    for (uint32_t v = 0; v < s->height; v++)
        for (uint32_t u = 0; u < s->width; u++)
            for (int c = 0; c < s->channels; c++, to += size)
                memcpy(to, from + v * dv + u * du + (size_t)c * dc, size);
}

/* The whole array into a scratch file, frame after frame. */
static bool sort_frames(stack *s, es_error *err) {
    es_sort_plan plan = {.steps = s->array.size[0],
                         .frames = s->frame_count,
                         .step_bytes = s->step_bytes,
                         .run_bytes = es_type_size(s->array.type),
                         .read = s->reader.read,
                         .self = s->reader.self};
    for (int i = s->n_axis + 1; i < s->array.rank; i++) plan.run_bytes *= (size_t)s->array.size[i];
    s->sorted = es_frames_sort(&plan, err);
    return s->sorted != NULL;
}

static bool read_stored(stack *s, void *to, es_error *err) {
    if (s->n_axis == 0) return s->reader.read(s->reader.self, s->index, 1, to, err);
    if (s->n_axis < 0) return s->reader.read(s->reader.self, 0, s->array.size[0], to, err);
    if (!s->sorted && !sort_frames(s, err)) return false;
    return es_scratch_get(s->sorted, s->index * s->frame_bytes, to, s->frame_bytes, err);
}

static bool read_pixels(stack *s, es_image *image, es_error *err) {
    if (!es_image_resize(image, s->array.type, s->channels, s->width, s->height, err)) return false;
    if (!s->straight && !s->stored && !(s->stored = es_alloc(s->frame_bytes, 1, err))) return false;
    void *to = s->straight ? image->data : s->stored;
    if (!read_stored(s, to, err)) return false;
    size_t size = es_type_size(s->array.type);
    if (s->array.swap) es_swap_bytes(to, size, s->frame_bytes / size);
    if (!s->straight) arrange(s, s->stored, image->data);
    return true;
}

/* Rigid or not, its last row is 0 0 0 1. */
static bool is_affine(const double m[16], bool column) {
    for (int i = 0; i < 16; i++)
        if (!isfinite(m[i])) return false;
    int step = column ? 4 : 1;
    const double *last = m + (column ? 3 : 12);
    return fabs(last[0]) < 1e-6 && fabs(last[step]) < 1e-6 && fabs(last[2 * step]) < 1e-6 &&
           fabs(last[3 * step] - 1) < 1e-6;
}

static bool set_poses(const stack *s, es_frame *frame, es_error *err) {
    bool ok = true;
    for (int i = 0; i < s->extra.pose_count && ok; i++) {
        const es_array_poses *poses = &s->extra.poses[i];
        es_mat4 m;
        memcpy(m.m, poses->matrices + 16 * s->index, sizeof m.m);
        bool valid = is_affine(m.m, false);
        ok = es_frame_set_transform(frame, poses->name, valid ? m : es_mat4_identity(), valid, err);
    }
    return ok;
}

static bool stack_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    stack *s = self;
    *end = s->index >= s->frame_count;
    if (*end) return true;
    es_frame_begin(frame, (int64_t)s->index);
    if (!set_poses(s, frame, err)) return false;
    if (s->extra.times_s) {
        frame->time_s = s->extra.times_s[s->index];
        frame->has_time = isfinite(frame->time_s);
    }
    if (flags & ES_READ_PIXELS) {
        if (!read_pixels(s, &frame->image, err)) {
            es_blame(err, s->given, "");
            return es_prefix(err, "%s: frame %llu", s->given, (unsigned long long)s->index);
        }
        frame->has_image = true;
    }
    s->index++;
    return true;
}

static bool stack_rewind(void *self, es_error *err) {
    (void)err;
    ((stack *)self)->index = 0;
    return true;
}

static bool measure(stack *s, es_error *err) {
    const es_array *array = &s->array;
    uint64_t width = size_of(array, 'W'), height = size_of(array, 'H'),
             channels = size_of(array, 'C');
    size_t bytes = es_type_size(array->type);
    s->n_axis = axis_of(array, 'N');
    s->frame_count = size_of(array, 'N');
    if (channels != 1 && channels != 3)
        return es_fail(err, ES_UNSUPPORTED, "%llu colours a pixel; expected 1 or 3",
                       (unsigned long long)channels);
    if (width == 0 || height == 0 || s->frame_count == 0)
        return es_fail(err, ES_FORMAT, "%llu frames of %llu x %llu pixels: nothing is there",
                       (unsigned long long)s->frame_count, (unsigned long long)width,
                       (unsigned long long)height);
    if (width > UINT32_MAX || height > UINT32_MAX || s->frame_count > INT64_MAX)
        return es_fail(err, ES_FORMAT, "frames of %llu x %llu pixels: the file is damaged",
                       (unsigned long long)width, (unsigned long long)height);
    bool fits = es_multiply(bytes, (size_t)width, &s->frame_bytes) &&
                es_multiply(s->frame_bytes, (size_t)(height * channels), &s->frame_bytes);
    s->step_bytes = bytes;
    for (int i = 1; i < array->rank; i++)
        fits = fits && es_multiply(s->step_bytes, (size_t)array->size[i], &s->step_bytes);
    if (!fits || s->frame_bytes > INT32_MAX || (s->n_axis > 0 && s->step_bytes > INT32_MAX))
        return es_fail(err, ES_MEMORY, "frames of %llu x %llu pixels are too large",
                       (unsigned long long)width, (unsigned long long)height);
    s->width = (uint32_t)width;
    s->height = (uint32_t)height;
    s->channels = (int)channels;
    return true;
}

/* Whether the axes of one frame are already H W or H W C. */
static bool is_straight(const es_array *array) {
    int h = axis_of(array, 'H'), w = axis_of(array, 'W'), c = axis_of(array, 'C');
    return h < w && (c < 0 || w < c);
}

static bool check_count(const stack *s, uint64_t count, const char *what, es_error *err) {
    return count == s->frame_count ||
           es_fail(
               err, ES_FORMAT,
               "%llu frames but %llu %s; expected as many: cut the file to what belongs together",
               (unsigned long long)s->frame_count, (unsigned long long)count, what);
}

static bool check_counts(const stack *s, es_error *err) {
    const es_array_extra *extra = &s->extra;
    for (int i = 0; i < extra->pose_count; i++)
        if (!check_count(s, extra->poses[i].count, "poses", err)) return false;
    return !extra->times_s || check_count(s, extra->time_count, "times", err);
}

static es_source *source_of(stack *s, const char *format, es_error *err) {
    static const es_source_ops ops = {stack_next, stack_rewind, stack_free};
    es_stream_info info = {.frame_count = (int64_t)s->frame_count,
                           .width = s->width,
                           .height = s->height,
                           .type = s->array.type,
                           .channels = s->channels,
                           .spacing_mm = {1, 1}};
    snprintf(info.format, sizeof info.format, "%s", format);
    return es_source_new(&ops, s, &info, err);
}

/* Takes reader and extra over, also on failure. */
static es_source *open_stack(const es_array_file *file, const es_array *array,
                             es_array_reader *reader, es_array_extra *extra, es_error *err) {
    stack *s = es_alloc_zero(1, sizeof *s, err);
    if (!s) {
        es_array_reader_clear(reader);
        es_array_extra_clear(extra);
        return NULL;
    }
    s->array = *array;
    s->reader = *reader;
    s->extra = *extra;
    s->straight = is_straight(array);
    s->given = es_copy_text(file->given, err);
    if (s->given && measure(s, err) && check_counts(s, err)) return source_of(s, file->format, err);
    if (s->given) es_prefix(err, "%s", file->given);
    stack_free(s);
    return NULL;
}

/* ---- what the axes mean ---------------------------------------------------------- */

/* Sizes as the file's own world counts them. */
uint64_t es_array_world_size(const es_array *array, int axis) {
    return array->size[array->reversed ? array->rank - 1 - axis : axis];
}

static bool colour_size(uint64_t size) { return size == 1 || size == 3; }

static bool looks_like_poses(const es_array *array) {
    if (array->rank != 3) return false;
    const uint64_t *s = array->size;
    return (s[1] == 4 && s[2] == 4) || (s[0] == 4 && s[1] == 4);
}

static bool looks_like_frames(const es_array *array) {
    if (looks_like_poses(array) || array->rank < 2) return false;
    int large = 0;
    for (int i = 0; i < array->rank; i++) large += array->size[i] >= SMALLEST_PICTURE;
    return array->rank > 2 || large == 2;
}

static uint64_t vector_size(const es_array *array) {
    if (array->rank == 1) return array->size[0];
    if (array->rank == 2 && array->size[0] == 1) return array->size[1];
    return array->rank == 2 && array->size[1] == 1 ? array->size[0] : 0;
}

/* The letters in the file's own order, by sizes, the number of poses (0: not
 * known) and what is usual there. NULL: they cannot be told. */
static const char *guess_axes(const es_array *array, uint64_t poses, bool matlab) {
    uint64_t s[ES_ARRAY_AXES] = {0};
    for (int i = 0; i < array->rank; i++) s[i] = es_array_world_size(array, i);
    if (array->rank == 2) return "HW";
    if (array->rank == 4) {
        if (matlab && colour_size(s[2])) return "HWCN";
        if (colour_size(s[3])) return "NHWC";
        return colour_size(s[1]) ? "NCHW" : NULL;
    }
    if (s[2] == 3 && s[0] >= SMALLEST_PICTURE && s[1] >= SMALLEST_PICTURE && poses != s[0])
        return "HWC";
    if (poses && s[matlab ? 2 : 0] != poses && s[matlab ? 0 : 2] == poses)
        return matlab ? "NHW" : "HWN";
    return matlab ? "HWN" : "NHW";
}

static bool check_letters(const es_array_file *file, const es_array *array, const char *letters,
                          es_error *err) {
    bool ok = (int)strlen(letters) == array->rank && strchr(letters, 'H') && strchr(letters, 'W');
    for (const char *at = letters; ok && *at; at++)
        ok = strchr("NHWC", *at) && strchr(letters, *at) == at;
    return ok || es_fail(err, ES_USAGE,
                         "%s: \"%.20s\" does not name the %d axes; expected letters such as %s: N "
                         "frames, H rows, W columns, C colours",
                         file->given, letters, array->rank, array->rank == 2 ? "HW" : file->advice);
}

static bool name_axes(const es_array_file *file, const es_array_entry *entry, const char *letters,
                      uint64_t poses, es_array *array) {
    bool matlab = strcmp(file->advice, "HWN") == 0;
    if (!*letters) {
        const char *guess = guess_axes(array, poses, matlab);
        if (!guess) return false;
        bool sure = array->rank == 2 || poses || !matlab;
        es_log(sure ? ES_NOTE : ES_WARNING,
               "%s: the axes of %s are taken as %s (N frames, H rows, W columns, C colours)%s",
               file->given, *entry->name ? entry->name : "the array", guess,
               sure ? "" : "; where that is wrong, say FILE#NAME,NHW");
        letters = guess;
    }
    for (int i = 0; i < array->rank && i < ES_ARRAY_AXES; i++)
        array->axes[i] = letters[array->reversed ? array->rank - 1 - i : i];
    return true;
}

/* ---- which array is which ----------------------------------------------------------- */

bool es_array_file_add(es_array_file *file, const char *name, const es_array *array,
                       const char *refused, es_error *err) {
    enum { ENTRIES_LIMIT = 100000 };
    if (array->rank < 1 || array->rank > ES_ARRAY_AXES) return true;
    if (file->count >= ENTRIES_LIMIT)
        return es_fail(err, ES_UNSUPPORTED, "more than %d arrays", ENTRIES_LIMIT);
    if (file->count == file->capacity) {
        size_t capacity = file->capacity ? 2 * file->capacity : 16;
        if (!es_resize(&file->items, capacity, sizeof *file->items, err)) return false;
        file->capacity = capacity;
    }
    es_array_entry *entry = &file->items[file->count];
    *entry = (es_array_entry){es_copy_text(name, err), *array, refused};
    file->count += entry->name != NULL;
    return entry->name != NULL;
}

void es_array_file_clear(es_array_file *file) {
    for (size_t i = 0; i < file->count; i++) es_free(file->items[i].name);
    es_free(file->items);
    file->items = NULL;
    file->count = file->capacity = 0;
}

static const char *const frame_names[] = {"frames", "images", "image", "img",  "imgs",
                                          "video",  "data",   "bmode", "scan", NULL};
static const char *const pose_names[] = {"tforms", "poses", "transforms", "tform", "pose", NULL};
static const char *const time_names[] = {"timestamps", "times", "timestamp", "time",
                                         "time_s",     "t",     NULL};

/* The last part of "group/name". */
static bool is_named(const es_array_entry *entry, const char *const *names) {
    for (; *names; names++)
        if (strcasecmp(es_path_name(entry->name), *names) == 0) return true;
    return false;
}

bool es_array_usual_pose_name(const es_array_entry *entry) { return is_named(entry, pose_names); }

static bool entry_frames(const es_array_entry *e) { return looks_like_frames(&e->array); }
static bool entry_poses(const es_array_entry *e) { return looks_like_poses(&e->array); }

/* The only entry that fits, or the only one of them with a usual name, or -1.
 * *fitting counts. */
static int find_only(const es_array_file *file, bool (*fits)(const es_array_entry *),
                     const char *const *names, int *fitting) {
    int any = -1, named = -1, named_count = 0;
    *fitting = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (!fits(&file->items[i])) continue;
        any = (int)i;
        ++*fitting;
        if (is_named(&file->items[i], names)) {
            named = (int)i;
            named_count++;
        }
    }
    return *fitting == 1 ? any : named_count == 1 ? named : -1;
}

static bool entry_stack(const es_array_entry *e) { return entry_frames(e) && e->array.rank > 2; }

int es_array_find(const es_array_file *file, const char *name) {
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->items[i].name, name) == 0) return (int)i;
    for (size_t i = 0; i < file->count; i++) /* "frames" for "/group/frames" */
        if (strcmp(es_path_name(file->items[i].name), name) == 0) return (int)i;
    return -1;
}

/* "frames [20, 480, 640], mask [480, 640]" */
void es_array_list(const es_array_file *file, bool (*fits)(const es_array_entry *), char *text,
                   size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < file->count && used + 120 < size; i++) {
        const es_array_entry *e = &file->items[i];
        if (fits && !fits(e)) continue;
        used += (size_t)snprintf(text + used, size - used, "%s%.60s [", used ? ", " : "", e->name);
        for (int axis = 0; axis < e->array.rank && used < size; axis++)
            used += (size_t)snprintf(text + used, size - used, "%s%llu", axis ? ", " : "",
                                     (unsigned long long)es_array_world_size(&e->array, axis));
        if (used < size) used += (size_t)snprintf(text + used, size - used, "]");
    }
}

static int find_frames(const es_array_file *file, const char *name, es_error *err) {
    char all[700];
    int fitting, found;
    if (*name) {
        found = es_array_find(file, name);
        es_array_list(file, NULL, all, sizeof all);
        if (found < 0)
            es_fail(err, ES_USAGE, "%s: has no array \"%.60s\"; it has: %s", file->given, name,
                    all);
        return found;
    }
    found = find_only(file, entry_stack, frame_names, &fitting);
    if (found < 0 && fitting == 0) found = find_only(file, entry_frames, frame_names, &fitting);
    if (found >= 0) return found;
    es_array_list(file, fitting ? entry_frames : NULL, all, sizeof all);
    if (fitting)
        es_fail(err, ES_USAGE, "%s: several arrays could be the frames: %s; choose one: FILE#NAME",
                file->given, all);
    else
        es_fail(err, ES_FORMAT,
                "%s: holds no array that could be frames (three axes, or two of 16 or more); it "
                "has: %s",
                file->given, *all ? all : "no arrays of numbers");
    return -1;
}

/* "sub01_frames3" -> "sub01_tforms3": the poses that go by the name of the frames. */
static int find_partner(const es_array_file *file, const char *frames, const char *const *names) {
    char name[300];
    for (int i = 0; i < 2; i++) {
        const char *at = strstr(frames, frame_names[i]);
        for (int j = 0; at && names[j]; j++) {
            int length = snprintf(name, sizeof name, "%.*s%s%s", (int)(at - frames), frames,
                                  names[j], at + strlen(frame_names[i]));
            int found = length < (int)sizeof name ? es_array_find(file, name) : -1;
            if (found >= 0) return found;
        }
    }
    return -1;
}

/* The name of an array where it is one of a transform (ProbeToTracker). */
bool es_array_is_transform(const es_array_entry *entry, char name[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    const char *last = es_path_name(entry->name);
    if (strlen(last) >= ES_NAME_SIZE || !es_transform_name_split(last, from, to, NULL))
        return false;
    snprintf(name, ES_NAME_SIZE, "%s", last);
    if (es_has_suffix(last, "Transform")) name[strlen(last) - strlen("Transform")] = '\0';
    return true;
}

static int find_poses(const es_array_file *file, const char *frames) {
    int fitting, found = find_partner(file, frames, pose_names);
    if (found >= 0 && entry_poses(&file->items[found])) return found;
    found = find_only(file, entry_poses, pose_names, &fitting);
    if (found < 0 && fitting) {
        char all[700];
        es_array_list(file, entry_poses, all, sizeof all);
        es_log(ES_WARNING, "%s: several arrays could be the poses: %s; none is taken", file->given,
               all);
    }
    return found;
}

int es_array_find_times(const es_array_file *file, const char *frames) {
    int found = find_partner(file, frames, time_names);
    for (size_t i = 0; found < 0 && i < file->count; i++)
        if (is_named(&file->items[i], time_names)) found = (int)i;
    return found >= 0 && vector_size(&file->items[found].array) ? found : -1;
}

/* ---- poses and times -------------------------------------------------------------- */

/* All values of an entry as doubles, in the order of storage. */
double *es_array_values(es_array_file *file, int index, es_error *err) {
    const es_array_entry *entry = &file->items[index];
    size_t count = 1, size = es_type_size(entry->array.type);
    bool fits = true;
    for (int i = 0; i < entry->array.rank; i++)
        fits = fits && es_multiply(count, (size_t)entry->array.size[i], &count);
    if (entry->refused || !fits || count == 0 || count > VALUES_LIMIT) {
        es_fail(err, entry->refused ? ES_UNSUPPORTED : ES_FORMAT, "%s: %s", entry->name,
                entry->refused ? entry->refused : "is empty or too large");
        return NULL;
    }
    es_array_reader reader = {0};
    double *values = es_alloc(count, sizeof *values, err);
    void *stored = values ? es_alloc(count, size, err) : NULL;
    bool ok = stored && file->open(file->self, (size_t)index, &reader, err) &&
              reader.read(reader.self, 0, entry->array.size[0], stored, err);
    if (ok && entry->array.swap) es_swap_bytes(stored, size, count);
    for (size_t i = 0; ok && i < count; i++) values[i] = es_type_get(entry->array.type, stored, i);
    es_array_reader_clear(&reader);
    es_free(stored);
    if (ok) return values;
    es_prefix(err, "%s", entry->name);
    es_free(values);
    return NULL;
}

static void transpose_all(double *poses, uint64_t count) {
    for (double *m = poses; count--; m += 16)
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < r; c++) {
                double t = m[4 * r + c];
                m[4 * r + c] = m[4 * c + r];
                m[4 * c + r] = t;
            }
}

/* The place of 0 0 0 1 tells rows from columns: matrices that all have it in
 * their last column, and not all in their last row, are stored by columns. */
static void settle_rows(const es_array_file *file, const char *name, double *poses,
                        uint64_t count) {
    uint64_t rows = 0, columns = 0, finite = 0;
    for (uint64_t i = 0; i < count; i++) {
        es_mat4 m;
        memcpy(m.m, poses + 16 * i, sizeof m.m);
        finite += es_mat4_finite(m);
        rows += is_affine(m.m, false);
        columns += is_affine(m.m, true);
    }
    if (columns == finite && rows < finite) {
        transpose_all(poses, count);
        es_log(ES_NOTE,
               "%s: the matrices of %s hold 0 0 0 1 in their last column: they are read "
               "column by column",
               file->given, name);
    } else if (rows < count) {
        es_log(ES_WARNING,
               "%s: %llu of %llu matrices of %s are not finite or do not end in 0 0 0 1; they are "
               "invalid",
               file->given, (unsigned long long)(count - rows), (unsigned long long)count, name);
    }
}

/* [N, 4, 4] or [4, 4, N] of the file's world to row-major matrices. */
static bool take_poses(es_array_file *file, int index, const char *name, es_array_extra *extra,
                       es_error *err) {
    const es_array_entry *entry = &file->items[index];
    const es_array *a = &entry->array;
    bool matlab = strcmp(file->advice, "HWN") == 0;
    bool first = es_array_world_size(a, 1) == 4 && es_array_world_size(a, 2) == 4 &&
                 !(matlab && es_array_world_size(a, 0) == 4);
    uint64_t n = es_array_world_size(a, first ? 0 : 2);
    double *values = es_array_values(file, index, err);
    double *matrices = values ? es_alloc((size_t)n, 16 * sizeof *matrices, err) : NULL;
    if (matrices) {
        /* elements between neighbours in n, row and column: [first][reversed] */
        const uint64_t steps[2][2][3] = {{{1, 4 * n, n}, {16, 1, 4}}, {{16, 4, 1}, {1, n, 4 * n}}};
        const uint64_t *step = steps[first][a->reversed];
        for (uint64_t i = 0; i < 16 * n; i++)
            matrices[i] = values[i / 16 * step[0] + i % 16 / 4 * step[1] + i % 4 * step[2]];
        settle_rows(file, entry->name, matrices, n);
        es_array_poses *poses = &extra->poses[extra->pose_count++];
        *poses = (es_array_poses){.matrices = matrices, .count = n};
        snprintf(poses->name, sizeof poses->name, "%s", name);
        es_log(ES_NOTE, "%s: poses are read from %s as %s, in millimetres", file->given,
               entry->name, name);
    }
    es_free(values);
    return matrices != NULL;
}

/* All arrays that bear a transform's name; otherwise the one array of poses, as
 * those of a tool as its tracker gives them (so TUS-REC and others store them). */
static bool take_all_poses(es_array_file *file, const char *frames, es_array_extra *extra,
                           es_error *err) {
    char name[ES_NAME_SIZE];
    for (size_t i = 0; i < file->count && extra->pose_count < ES_ARRAY_POSES; i++)
        if (entry_poses(&file->items[i]) && es_array_is_transform(&file->items[i], name) &&
            !take_poses(file, (int)i, name, extra, err))
            return false;
    if (extra->pose_count) return true;
    int index = find_poses(file, frames);
    return index < 0 || take_poses(file, index, "ProbeToTracker", extra, err);
}

static bool take_times(es_array_file *file, int index, es_array_extra *extra, es_error *err) {
    extra->times_s = es_array_values(file, index, err);
    extra->time_count = vector_size(&file->items[index].array);
    es_log(ES_NOTE, "%s: times are read from %s, in seconds", file->given, file->items[index].name);
    return extra->times_s != NULL;
}

static bool take_extra(es_array_file *file, int frames, es_array_extra *extra, es_error *err) {
    const char *name = file->items[frames].name;
    int times = es_array_find_times(file, name);
    return take_all_poses(file, name, extra, err) &&
           (times < 0 || times == frames || take_times(file, times, extra, err));
}

es_source *es_array_file_open(es_array_file *file, const es_input *input, es_error *err) {
    char name[300];
    const char *choice = input->choice, *comma = strrchr(choice, ',');
    if (input->table) {
        if (!es_array_file_table(file, choice, input->table, err))
            es_prefix(err, "%s", file->given);
        return NULL;
    }
    size_t length = comma ? (size_t)(comma - choice) : strlen(choice);
    if (length >= sizeof name) {
        es_fail(err, ES_USAGE, "%s: the name behind # is too long", file->given);
        return NULL;
    }
    snprintf(name, sizeof name, "%.*s", (int)length, choice);
    int index = find_frames(file, name, err);
    if (index < 0) return NULL;
    const es_array_entry *entry = &file->items[index];
    const char *letters = comma ? comma + 1 : "";
    es_array array = entry->array; /* its letters are all NUL so far */
    es_array_extra extra = {0};
    es_array_reader reader = {0};
    if (entry->refused) {
        es_fail(err, ES_UNSUPPORTED, "%s: %s: %s", file->given, entry->name, entry->refused);
        return NULL;
    }
    if (*letters && !check_letters(file, &array, letters, err)) return NULL;
    if (!take_extra(file, index, &extra, err)) {
        es_prefix(err, "%s", file->given);
    } else if (array.rank < 2 || !name_axes(file, entry, letters, extra.poses[0].count, &array)) {
        es_fail(err, ES_UNSUPPORTED,
                "%s: the axes of %s cannot be told by their sizes; name them: FILE#%s,NHWC",
                file->given, entry->name, entry->name);
    } else if (!file->open(file->self, (size_t)index, &reader, err)) {
        es_prefix(err, "%s", file->given);
    } else {
        return open_stack(file, &array, &reader, &extra, err);
    }
    es_array_extra_clear(&extra);
    return NULL;
}
