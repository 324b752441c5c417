/* Containers of frames: files that are no header with pixels behind it (those
 * are es_layouts), each opened as a frame source by a reader of its own. What they
 * share; their rows of the table of formats stand beside their readers. */
#ifndef ES_FORMAT_CONTAINER_H
#define ES_FORMAT_CONTAINER_H

#include "format_internal.h"
#include "media_module.h"

/* Writers (frames_out.c). A folder is meant by a / at the end of a name, or is there. */
es_sink *es_npy_create(const char *path, const es_stream_info *info,
                       const es_sequence_options *options, es_error *err); /* .npy, .npz */
es_sink *es_hdf5_create(const char *path, const es_stream_info *info,
                        const es_sequence_options *options, es_error *err);
es_sink *es_folder_create(const char *path, const es_stream_info *info,
                          const es_sequence_options *options, es_error *err);
bool es_folder_is_meant(const char *path);

/* The module with FFmpeg (video.c); NULL when it is not installed. It stays. */
const es_media_module *es_media_module_get(es_error *err);
/* The choice #grey or #rgb; anything else is ES_USAGE. */
bool es_media_colours(const es_input *name, int *colours, es_error *err);
es_type es_media_type(const es_media_info *info);
int es_media_stopped(void);
enum { ES_MEDIA_SIDE = 16384 }; /* pixels */

/* A scratch file's name at the start of a message says nothing to a person: puts
 * `shown` there instead ("": nothing). Returns false. */
bool es_blame(es_error *err, const char *scratch, const char *shown);

/* A frame without anything but its number. */
void es_frame_begin(es_frame *frame, int64_t index);

/* ---- arrays of numbers as frames (array.c) -------------------------------- */

/* Frames in one array of up to four axes: N frames, H rows, W columns, C
 * colours. Sizes are in the order of storage, slowest first. `reversed`: the
 * file's own world counts the axes the other way (MATLAB, Fortran). */
enum { ES_ARRAY_AXES = 4 };
typedef struct es_array {
    int rank;
    uint64_t size[ES_ARRAY_AXES];
    bool reversed;
    es_type type;
    bool swap;                    /* the bytes of an element are reversed */
    char axes[ES_ARRAY_AXES + 1]; /* letters in the order of storage */
} es_array;

/* Reads what an array holds, in the order of storage. {0} reads nothing. */
typedef struct es_array_reader {
    /* `count` steps of the slowest axis from `start`, all of the others. */
    bool (*read)(void *self, uint64_t start, uint64_t count, void *out, es_error *err);
    void (*free)(void *self);
    void *self;
} es_array_reader;
void es_array_reader_clear(es_array_reader *reader);

/* One transform of all frames: 16 numbers each, row-major. */
typedef struct es_array_poses {
    char name[ES_NAME_SIZE];
    double *matrices;
    uint64_t count;
} es_array_poses;
/* What is known of each frame beside its pixels. */
enum { ES_ARRAY_POSES = 16 };
typedef struct es_array_extra {
    es_array_poses poses[ES_ARRAY_POSES];
    int pose_count;
    double *times_s; /* NULL when absent */
    uint64_t time_count;
} es_array_extra;
void es_array_extra_clear(es_array_extra *extra);

/* One array among those of a file. */
typedef struct es_array_entry {
    char *name;
    es_array array;
    const char *refused; /* why it cannot be read, or NULL */
} es_array_entry;

/* A file of arrays: .npz, HDF5, .mat. */
typedef struct es_array_file {
    const char *given, *format;
    const char *advice; /* how the axes are counted here: "NHW" or, in MATLAB, "HWN" */
    es_array_entry *items;
    size_t count, capacity;
    /* A reader of entry `index`; the file may be closed before it is. */
    bool (*open)(void *self, size_t index, es_array_reader *reader, es_error *err);
    void *self;
} es_array_file;
/* rank above ES_ARRAY_AXES: it is listed nowhere. */
bool es_array_file_add(es_array_file *file, const char *name, const es_array *array,
                       const char *refused, es_error *err);
void es_array_file_clear(es_array_file *file);
/* Frames, poses and times among the arrays of a file, by `choice` ("NAME",
 * "NAME,NHW", ",NHW" or ""), names and sizes; refuses, listing all, when several
 * could be the frames. Says what it took. */
es_source *es_array_file_open(es_array_file *file, const es_input *name, es_error *err);

/* What the table (below) needs to choose. Sizes as the file's own world counts them; all
 * values of an entry as doubles, in the order of storage; the index of the entry of that
 * name, or -1; the size of a vector, or 0; "frames [20, 480, 640], mask [480, 640]" of
 * those that fit (NULL: all); whether the last part of a name is that of a transform
 * (ProbeToTracker), which it gives; the entry with the times of `of`, or -1. */
uint64_t es_array_world_size(const es_array *array, int axis);
double *es_array_values(es_array_file *file, int index, es_error *err);
int es_array_find(const es_array_file *file, const char *name);
bool es_array_usual_pose_name(const es_array_entry *entry);
void es_array_list(const es_array_file *file, bool (*fits)(const es_array_entry *), char *text,
                   size_t size);
bool es_array_is_transform(const es_array_entry *entry, char name[ES_NAME_SIZE]);
int es_array_find_times(const es_array_file *file, const char *of);

/* ---- arrays of numbers as a table (array_table.c) ------------------------- */

/* A row for each pose: the time where there is one, then one array after another, their
 * numbers in the order in which the file's own world writes them in a row: N x 7 as they
 * are, 4 x 4 row by row. */
typedef struct es_array_table {
    double *numbers; /* rows x columns */
    size_t rows, columns;
    bool has_time; /* the first column */
    char format[24];
    char names[ES_ARRAY_POSES][ES_NAME_SIZE]; /* of the arrays; "" where it says nothing */
    int count;
} es_array_table;
void es_array_table_clear(es_array_table *table);
/* `choice`: the name of one array, or "". */
bool es_array_file_table(es_array_file *file, const char *choice, es_array_table *table,
                         es_error *err);

/* A file that its first bytes tell: arrays as a table, or the source of a recording.
 * Neither of them: it may be text (registry.c). */
bool es_pose_file_open(const char *path, es_array_table *table, es_source **source, es_error *err);

/* ---- single formats used by others ------------------------------------------ */

/* A .npy file: its header, and a reader of what follows. `scratch` (may be
 * NULL, taken over) is where the file lies when it came out of an archive. */
bool es_npy_read(const char *path, es_scratch *scratch, es_array *array, es_array_reader *reader,
                 const char **refused, es_error *err);

#endif
