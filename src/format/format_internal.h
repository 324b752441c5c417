/* What the readers and writers of one format share.
 *
 * Every header, of whatever format, is read into one es_layout: what lies
 * where, and what it means. From there one recording source (recording.c) and
 * one grid reader (grid_file.c) serve all formats. Writers differ only in the
 * words of their header: one recorder (recorder.c) serves all recordings. */
#ifndef ES_FORMAT_INTERNAL_H
#define ES_FORMAT_INTERNAL_H

#include <zlib.h>

#include "echosolid/format.h"

/* Files are little-endian inside unless their header says otherwise, and the
 * writers copy memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "writers assume little-endian memory");

typedef struct es_scratch es_scratch; /* packer.c */

/* ---- header text (header.c) ------------------------------------------- */

enum {
    ES_HEADER_LINE_LIMIT = 1 << 21, /* bytes of a line: Slicer lists all times in one */
    ES_HEADER_LIMIT = 1 << 30,      /* bytes of a header */
    ES_HEADER_FIELD_LIMIT = 4096,   /* fields of the whole recording */
    ES_FRAME_FIELD_LIMIT = 1024,    /* fields of one frame */
};

/* The text at the start of a file up to and with its last header line. */
typedef struct es_header {
    char *text;
    size_t length; /* of the header: the pixels of a LOCAL file start here */
    bool ended;    /* by its last line, not by the end of the file */
    size_t cursor; /* of es_header_line */
    long line;     /* 1-based number of the line given last */
} es_header;

/* Reads lines until is_last(line, length) says so or the file ends. */
bool es_header_read(es_header *header, const char *path,
                    bool (*is_last)(const char *line, size_t length), es_error *err);
/* The next line without its line break, or NULL at the end. It is cut off in
 * place: call it once over a header. */
char *es_header_line(es_header *header);
void es_header_clear(es_header *header);

/* Cuts blanks off both ends, in place. */
char *es_trim(char *text);
/* Index of `key` among `names`, without case; -1 when absent. */
int es_key_find(const char *const *names, int count, const char *key);
/* Exactly `count` finite numbers in `text`; the error says what `key` holds. */
bool es_parse_vector(const char *key, const char *text, double *values, int count, es_error *err);

/* The same for at most eight sizes: whole numbers, not negative. */
bool es_parse_sizes(const char *key, const char *text, uint64_t *sizes, int count, es_error *err);

/* ---- fields of single frames (frame_table.c) ---------------------------- */

/* "Seq_Frame0012_Name = value" lines by frame: 16 bytes each into the header
 * text, sorted once. */
typedef struct es_frame_entry {
    uint32_t frame, value; /* value: its offset from the name */
    uint64_t name;         /* offset into the text */
} es_frame_entry;
typedef struct es_frame_table {
    const char *text; /* of the header, which lives as long */
    es_frame_entry *entries;
    size_t count, capacity, cursor;
    const char *image_status; /* a second name of the key ImageStatus, or NULL */
    int warnings_left;
} es_frame_table;

bool es_is_frame_key(const char *key);
/* key and value point into text; value lies behind key. */
bool es_frame_table_add(es_frame_table *table, const char *text, const char *key, const char *value,
                        es_error *err);
bool es_frame_table_sort(es_frame_table *table, int64_t frame_count, es_error *err);
/* Number of the last frame that has fields + 1. After sorting. */
int64_t es_frame_table_frames(const es_frame_table *table);
/* Time, transforms and fields of frame->index. Frames are asked for in
 * growing order; cursor = 0 starts again. A broken transform or time becomes
 * an invalid one, with a warning, so that the rest stays of use. */
bool es_frame_table_fill(es_frame_table *table, const char *path, es_frame *frame, bool *image_ok,
                         es_error *err);
void es_frame_table_clear(es_frame_table *table);

/* ---- pixel bytes of one or more files (payload.c) ---------------------- */

typedef struct es_payload {
    /* the plan */
    char **files; /* paths; each holds the same number of bytes */
    size_t file_count;
    uint64_t bytes;         /* decoded, all files together */
    bool deflated;          /* zlib or gzip, told apart by the first bytes */
    uint64_t stored;        /* compressed bytes announced; 0: not known */
    uint64_t skip;          /* bytes in front of the data of each file, */
    uint64_t skip_lines;    /* then lines, */
    uint64_t skip_more;     /* then bytes again */
    bool skip_from_end;     /* the data are the last bytes of each file */
    uint64_t inflated_skip; /* decoded bytes in front of the data */
    /* the state */
    int fd;
    size_t open_file; /* index, meaningful while fd >= 0 */
    uint64_t start;   /* of the data within it */
    uint64_t at;      /* decoded bytes of it consumed so far (deflated) */
    z_stream stream;
    bool inflating;
    unsigned char *input;
} es_payload;

void es_payload_start(es_payload *payload); /* {0} with fd = -1 */
void es_payload_clear(es_payload *payload);
/* Forgets the open file: the plan has changed. */
void es_payload_reopen(es_payload *payload);
/* Adds a file named in the header of `path`. Names that leave the folder of
 * the header are refused: a recording from a stranger must not make this
 * program read (and show) other files of the machine. */
bool es_payload_add_beside(es_payload *payload, const char *path, const char *name, es_error *err);
bool es_payload_add(es_payload *payload, const char *path, es_error *err);
/* "name%03d.raw 1 20 1": the files of a pattern, first to last by step. The
 * step may be absent, and a fourth number is not needed. */
bool es_payload_add_pattern(es_payload *payload, const char *path, const char *text, es_error *err);
/* Whether all files exist and are long enough, without reading them. */
bool es_payload_check(const es_payload *payload, es_error *err);
/* `count` decoded bytes from `position`. Going forward in a compressed
 * stream inflates what lies between; going back starts over. */
bool es_payload_read(es_payload *payload, uint64_t position, void *out, size_t count,
                     es_error *err);

void es_swap_bytes(void *data, size_t element_size, size_t count);

/* ---- orientation (orientation.c) ---------------------------------------- */

/* What brings a stored picture to MF: first transpose, then mirror. */
typedef struct es_turn {
    bool transpose, flip_u, flip_v;
} es_turn;
/* Reads a mark of two or three letters. "" is no turn. */
bool es_orientation_parse(const char *mark, es_turn *turn, es_error *err);
/* from: width x height elements of `bytes` each; `to` has the same size and
 * does not overlap. */
void es_orientation_apply(es_turn turn, const void *from, void *to, uint32_t width, uint32_t height,
                          size_t bytes);

/* ---- what a header says -------------------------------------------------- */

typedef struct es_layout {
    const char *format; /* "mha", "nrrd", "nifti" */
    char *path;
    es_header header; /* keeps the text that frames point into */
    int dims;         /* 2..4, without the channel axis */
    uint64_t size[4];
    es_type type;
    int channels;
    bool list_last;   /* the last axis counts frames */
    bool interleaved; /* and lies first in the file: see es_frames_sort */
    bool told_kinds;  /* kinds were given */
    bool told_frames; /* an orientation mark or fields of frames were found */
    bool told_space;  /* the header names the space or the kinds of its axes */
    bool poses_only;
    double spacing[3], origin[3], direction[9]; /* LPS; columns are the axes */
    char orientation[8], image_kind[32];
    es_fields fields;
    es_frame_table frames;
    const char *index_values; /* times of frames that have none of their own, or NULL; */
    double index_unit_s;      /* 0: their unit is not told */
    double frame_step_s;      /* NIfTI: between frames; 0: not told */
    es_payload payload;
    bool swap;   /* the bytes of an element are reversed */
    bool scaled; /* NIfTI: value = slope * stored + intercept */
    double slope, intercept;
} es_layout;

/* An empty layout of `path` with identity geometry. */
bool es_layout_start(es_layout *layout, const char *format, const char *path, es_error *err);
void es_layout_clear(es_layout *layout);
/* Sizes, overflow, frame table: what every format needs checked at the end. */
bool es_layout_finish(es_layout *layout, es_error *err);
/* The rest of the header: names of data files, one a line. */
bool es_layout_take_names(es_layout *layout, es_error *err);
bool es_layout_is_grid(const es_layout *layout);
/* Whether its slices lie somewhere: a volume, not frames one after another. */
bool es_layout_is_placed(const es_layout *layout);
bool es_layout_to_grid(const es_layout *layout, es_grid_info *info, es_error *err);
/* Pixel (u, v, 0) to the place Slicer shows it at; row-major 4x4. */
void es_layout_pixel_to_ras(const es_layout *layout, double pixel_to_ras[16]);
/* Columns of `m` (row-major 3x3, voxel -> mm) as spacing and unit direction. */
bool es_layout_set_axes(es_layout *layout, const double m[9], es_error *err);
bool es_layout_add_field(es_layout *layout, const char *key, const char *value, es_error *err);

/* A volume of slices that are no plain bytes of a file. */
typedef struct es_slice_ops {
    bool (*slice)(void *self, uint64_t z, void *out, es_error *err);
    void (*free)(void *self);
} es_slice_ops;
/* Takes `self` (also on failure) and a copy of info. */
es_grid_file *es_grid_file_of_slices(const char *path, const es_slice_ops *ops, void *self,
                                     const es_grid_info *info, es_error *err);

/* Both take the layout's contents over, also on failure. */
es_source *es_recording_open(es_layout *layout, es_error *err);
/* A recording in a scratch file, which is taken over, also on failure; messages
 * call it `shown`. pixel_to_ras gets the placement of its pictures (row-major
 * 4x4). */
es_source *es_recording_open_scratch(const char *path, const char *shown, es_scratch *scratch,
                                     double pixel_to_ras[16], es_error *err);
/* Header of a recording or volume, its format by content, then by name. */
bool es_layout_read(const char *path, es_layout *layout, es_error *err);
es_grid_file *es_grid_file_new(es_layout *layout, es_error *err);

/* ---- writing pixel bytes (packer.c) ------------------------------------- */

/* A nameless file in the folder of `path`: gone when closed, however we end. */
es_scratch *es_scratch_open(const char *path, es_error *err);
es_scratch *es_scratch_temporary(es_error *err); /* in $TMPDIR or /tmp */
/* A path by which this process can open it once more. */
enum { ES_SCRATCH_NAME = 40 };
void es_scratch_name(const es_scratch *scratch, char name[ES_SCRATCH_NAME]);
/* At any place; do not mix with es_scratch_write. */
bool es_scratch_put(es_scratch *scratch, uint64_t at, const void *bytes, size_t length,
                    es_error *err);
bool es_scratch_get(const es_scratch *scratch, uint64_t at, void *bytes, size_t length,
                    es_error *err);
bool es_scratch_write(es_scratch *scratch, const void *bytes, size_t length, es_error *err);
bool es_scratch_copy(es_scratch *scratch, es_output *out, es_error *err);
void es_scratch_close(es_scratch *scratch);

/* Frames that lie interleaved in `steps` steps of step_bytes: each holds runs of
 * run_bytes of frame 0, 1, ... frames - 1, again and again. */
typedef struct es_sort_plan {
    uint64_t steps, frames;
    size_t step_bytes, run_bytes;
    bool (*read)(void *self, uint64_t start, uint64_t count, void *out, es_error *err);
    void *self;
} es_sort_plan;
/* All frames, one after another (sorter.c). */
es_scratch *es_frames_sort(const es_sort_plan *plan, es_error *err);

typedef enum es_packing { ES_PACK_RAW, ES_PACK_ZLIB, ES_PACK_GZIP } es_packing;
/* Bytes, compressed or not, on their way into an output or a scratch file. */
typedef struct es_packer {
    es_output *output;
    es_scratch *scratch; /* used when set */
    es_packing packing;
    z_stream stream;
    unsigned char *buffer;
    uint64_t stored; /* bytes written so far */
    bool deflating;
} es_packer;
bool es_packer_start(es_packer *packer, es_packing packing, int level, es_error *err);
bool es_packer_write(es_packer *packer, const void *bytes, size_t length, es_error *err);
bool es_packer_finish(es_packer *packer, es_error *err);
void es_packer_clear(es_packer *packer);

/* ---- one output, or a header and its data file (writer.c) ---------------- */

typedef struct es_writer_plan {
    const char *path;
    const char *data_extension; /* of a detached data file; NULL: one file */
    es_packing packing;
    int level;
    bool header_grows; /* the pixels wait in a scratch file until the header is whole */
} es_writer_plan;
typedef struct es_writer {
    es_output *head, *data;
    es_scratch *scratch;
    es_packer packer;
    char *data_path;
    const char *data_name; /* NULL: the pixels follow the header */
    uint64_t stored_at;    /* where the compressed size is patched in; 0: nowhere */
} es_writer;
/* On failure es_writer_discard is still the caller's to call. */
/* "<path without its last extension><extension>"; es_free it. */
char *es_with_extension(const char *path, const char *extension, es_error *err);
bool es_writer_start(es_writer *writer, const es_writer_plan *plan, es_error *err);
/* Ends the pixels, joins the files and gives them their names. */
bool es_writer_finish(es_writer *writer, es_error *err);
void es_writer_discard(es_writer *writer);

/* A number that is known only later: room is left and patched. */
enum { ES_BLANK_NUMBER = 20 };
bool es_write_later(es_output *out, const char *text, uint64_t *at, es_error *err);
bool es_patch_number(es_output *out, uint64_t at, uint64_t value, es_error *err);

/* ---- writers: what formats say differently ------------------------------- */

typedef struct es_dialect {
    const char *assign;       /* between key and value of a field */
    const char *image_status; /* key of the image status */
    bool escapes;             /* line breaks in values become \n, otherwise blanks */
    es_packing packing;       /* when compressed */
    bool name_decides;        /* compressed exactly when the name ends in .gz */
    const char *detached;     /* the extension that puts pixels into a file of their own, */
    const char *raw, *packed; /* which gets one of these extensions */
    /* Everything up to the first frame of a recording. *count_at gets the
     * place of the frame count, writer->stored_at that of the compressed size. */
    bool (*begin)(es_writer *writer, const es_stream_info *info, bool compress, uint64_t *count_at,
                  es_error *err);
    /* The last line or lines of the header. */
    bool (*end)(es_writer *writer, es_error *err);
    /* The whole header of a volume. */
    bool (*grid_header)(es_writer *writer, const es_grid_info *info, bool compress, es_error *err);
} es_dialect;

/* recorder.c */
es_sink *es_recorder_open(const char *path, const es_stream_info *info,
                          const es_sequence_options *options, const es_dialect *dialect,
                          es_error *err);
/* All pictures of a recording have the size and type that its info says. */
bool es_check_picture(const es_stream_info *info, const es_image *image, es_error *err);
/* Bytes of a frame's pixels; ES_UNSUPPORTED, ES_MEMORY. */
bool es_frame_size(const es_stream_info *info, size_t *frame_bytes, es_error *err);
/* The mark of frames that are written: they lie MF whatever they came with. */
void es_set_mark(es_stream_info *info);
/* All lines of one frame. */
bool es_add_frame_lines(es_text *text, const es_dialect *dialect, uint64_t number,
                        const es_frame *frame, bool image_ok, es_error *err);
/* "<prefix><key><assign><value>" and a line break. */
bool es_add_field(es_text *text, const es_dialect *dialect, const char *prefix, const char *key,
                  const char *value, es_error *err);
bool es_write_field(es_output *out, const es_dialect *dialect, const char *prefix, const char *key,
                    const char *value, es_error *err);
/* Numbers that read back to the same doubles. */
void es_text_add_numbers(es_text *text, const double *values, int count, const char *separator);

/* grid_file.c */
typedef struct es_grid_job {
    const char *path;
    const es_grid_info *info;
    es_slab_fn *slab;
    void *context;
    es_grid_options options;
} es_grid_job;
/* What every format needs checked: sizes, spacing, direction. */
bool es_grid_job_check(const es_grid_job *job, es_error *err);
/* All slices, a few megabytes at a time, into put(to, bytes, length). */
bool es_grid_job_pump(const es_grid_job *job,
                      bool (*put)(void *to, const void *bytes, size_t length, es_error *err),
                      void *to, es_error *err);
bool es_grid_job_run(const es_grid_job *job, const es_dialect *dialect, es_error *err);

/* ---- the formats ----------------------------------------------------------- */

/* What is to be opened: FILE or FILE#NAME, where NAME chooses among what the
 * file holds. */
typedef struct es_input {
    const char *given; /* for messages */
    char *path;
    char *choice;                 /* "" when there is none */
    struct es_array_table *table; /* not NULL: arrays are read into it, and give no source */
} es_input;

/* Bytes that tell a format, at a place among the first of a file. */
typedef struct es_mark {
    int at, length; /* length 0 ends a list */
    const char *bytes;
} es_mark;

/* One row of the table of formats (registry.c). A format is either a header with
 * pixels behind it (read, dialect), or opens its files itself (the rest). */
typedef struct es_format {
    const char *name;
    /* Extensions, ".a .b" or NULL: of what is read where the first bytes say
     * nothing, of recordings and of volumes that are written. */
    const char *reads, *recordings, *volumes;
    unsigned keeps; /* ES_KEEPS_... of a recording */
    const es_mark *marks;
    bool (*probe)(const unsigned char *head, size_t length); /* where marks say too little */
    /* Names that are no plain file: folders, patterns. */
    bool (*claims)(const char *path), (*claims_output)(const char *path);
    /* On failure es_layout_clear is still the caller's to call. */
    bool (*read)(const char *path, es_layout *layout, es_error *err);
    const es_dialect *dialect;
    es_source *(*open)(const es_input *input, es_error *err);
    es_grid_file *(*open_grid)(const char *path, es_error *err);
    bool (*is_grid)(const char *path, bool *is_grid, es_error *err);
    es_sink *(*create)(const char *path, const es_stream_info *info,
                       const es_sequence_options *options, es_error *err);
    bool (*write_grid)(const es_grid_job *job, es_error *err);
} es_format;
/* The header of a recording in NRRD up to its frames' lines; *count_at is the
 * place of ES_BLANK_NUMBER blanks where the number of frames comes. */
bool es_nrrd_recording_head(es_text *text, const es_stream_info *info, const char *data_name,
                            bool compress, size_t *count_at, es_error *err);
extern const es_format es_format_mha, es_format_nrrd, es_format_nifti, es_format_dicom,
    es_format_npy, es_format_zip, es_format_hdf5, es_format_matlab, es_format_stills,
    es_format_video;

#endif
