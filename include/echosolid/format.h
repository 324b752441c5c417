/* echosolid/format.h: every file in and out, one file a format, one registry.
 * Readers recognise a file by its content first, its name second. All of them
 * stream: a recording larger than memory works. */
#ifndef ECHOSOLID_FORMAT_H
#define ECHOSOLID_FORMAT_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a recording: .mha, .mhd (+ .raw, .zraw, LIST, pattern), .nrrd, .nhdr
 * (raw or gzip; list axis last or, as Slicer has it, first), .nii (frames by the
 * fourth axis, or the third); video (.mp4, .avi, .mkv, .mov, .wmv, .gif, ...),
 * pictures (a folder, a pattern such as "f%04d.png" or "f*.png", or one: PNG,
 * JPEG, TIFF, BMP); arrays in .npy, .npz, .mat and HDF5; Slicer's scenes, .mrb.
 * FILE#NAME chooses among what a container holds: an array ("#frames", with its
 * axes "#frames,NHW"), a sequence, or #grey and #rgb of video and pictures.
 * DICOM ultrasound, cut to its one tissue region (field DicomCropOrigin): a
 * file, a folder or a DICOMDIR; FOLDER#3 takes the series of that number where
 * there are several (else ES_USAGE lists them), FILE#whole leaves all pixels.
 * Its fields (Dicom...) hold what bears on the spacing, nothing of a person.
 * What was guessed is told as notes (es_log). Video and pictures need the
 * module echosolid_ffmpeg; without it they are ES_UNSUPPORTED, saying so. Frames come in MF
 * orientation whatever the file's mark. Poses alone are read without touching the pixels: a missing
 * or short data file is a warning (es_log) here and an error at the first frame whose pixels are
 * asked for. A broken transform or time of a frame is a warning too: that one becomes invalid, the
 * rest stays of use. A transform without a status is valid. Data files must lie in the folder of
 * their header or below it: a stranger's header must not make us read other files. Errors
 * (ES_FORMAT, ES_UNSUPPORTED, ES_IO, ES_MEMORY) name file, line or frame, what was found and what
 * was expected. A source belongs to one thread at a time. */
es_source *es_sequence_open(const char *path, es_error *err);

/* A place in a frame of the source (MF) as a place in the picture as the file
 * stores it, by its orientation mark and, for DICOM, where it was cut out. */
bool es_stored_place(const es_stream_info *info, double *u, double *v, es_error *err);

typedef struct es_sequence_options {
    bool compress; /* zlib (MetaImage), gzip (NRRD) */
    int level;     /* 1..9 */
} es_sequence_options;
#define ES_SEQUENCE_DEFAULTS                                                                       \
    { .compress = true, .level = 1 }

/* Creates a recording by the name's extension: .mha, .mhd, .nrrd, .nhdr; .npy
 * (pictures alone), .npz and .h5 (with a [N, 4, 4] array a transform, NaN where
 * invalid, and timestamps); a name that ends in / or is a folder becomes a
 * folder of PNG; .dcm (uncompressed, at most 4 GiB) becomes ultrasound
 * multi-frame where the spacing is known, else secondary capture. See
 * es_sequence_keeps for what is lost. The frame count need not be
 * known. Per-frame and header fields are written as they are; frames without
 * an image keep their place (zeros, status INVALID). info->orientation ""
 * means that nobody knows how the frames lie, and no mark is written; any other
 * becomes MFA. width 0: poses alone (not in NRRD). .mha and .nrrd need disk
 * room for the pixels twice until es_sink_finish. options may be NULL. */
es_sink *es_sequence_create(const char *path, const es_stream_info *info,
                            const es_sequence_options *options, es_error *err);

/* A recording that can be read at any time, whatever happens to its writer:
 * NAME.nhdr, to which lines are only ever added, and NAME.raw beside it. Each
 * frame is in the hands of the system when es_journal_put returns; the disk is
 * at most a second behind. Neither file may exist yet (ES_USAGE: what was
 * recorded is never written over); both stay once a frame was put. After a
 * failed put the frames before it can be read. ES_USAGE for another extension. */
typedef struct es_journal es_journal;
es_journal *es_journal_create(const char *path, const es_stream_info *info, es_error *err);
bool es_journal_put(es_journal *journal, const es_frame *frame, es_error *err);
/* Adds a field to the header, each key once. */
bool es_journal_field(es_journal *journal, const char *key, const char *value, es_error *err);
/* Waits until all of it is on the disk. */
bool es_journal_sync(es_journal *journal, es_error *err);
void es_journal_free(es_journal *journal); /* closes the files */
/* Makes another recording of a closed journal, as es_sequence_create, and then
 * removes the journal; on failure it stays. */
bool es_journal_convert(const char *journal, const char *path, const es_sequence_options *options,
                        int64_t *frames, es_error *err);

/* What a recording of this name holds beside pictures; the rest is lost when
 * one is written. */
enum {
    ES_KEEPS_POSES = 1,
    ES_KEEPS_TIMES = 2,
    ES_KEEPS_FIELDS = 4, /* of frames and header, image status, second times */
    ES_KEEPS_SPACING = 8,
    ES_KEEPS_ORIENTATION = 16,
    ES_KEEPS_ALL = 31
};
unsigned es_sequence_keeps(const char *path);

/* Volumes by extension: .mha, .mhd, .nrrd, .nhdr, .nii, .nii.gz, .dcm (read and
 * write). In memory LPS; NIfTI is converted at the door. NIfTI-2 is chosen
 * when a side passes 32767. DICOM is read from Enhanced US Volumes, multi-frame
 * files with functional groups, and folders of slices with places: ES_GEOMETRY
 * when these make no even stack. Writing name.dcm gives a multi-frame secondary
 * capture with functional groups (u8, u16, u8 RGB) and, for u8 grey, an
 * Enhanced US Volume name.eus.dcm beside it; that name gives it alone. */
bool es_grid_read(const char *path, es_grid *grid, es_error *err);
/* The same slab by slab: a volume larger than memory works. es_grid_file_slab
 * is an es_slab_fn (context = es_grid_file *), so that one file can be written
 * from another; slices in growing order are read once over. */
typedef struct es_grid_file es_grid_file;
es_grid_file *es_grid_open(const char *path, es_error *err);
const es_grid_info *es_grid_file_info(const es_grid_file *file);
bool es_grid_file_slab(void *file, uint64_t z0, uint64_t count, void *out, es_error *err);
void es_grid_close(es_grid_file *file);
bool es_grid_read_info(const char *path, es_grid_info *info, es_error *err);
/* A binary STL in millimetres as DICOM, Encapsulated STL (PS3.3 A.85.1): the space of the
 * mesh is the frame of reference, LPS. `title` is one line; nobody is named. UIDs follow from
 * the bytes. ES_UNSUPPORTED past 4 GiB. */
bool es_dicom_stl_write(const char *path, const void *stl, size_t length, const char *title,
                        es_error *err);

typedef struct es_grid_options {
    bool compress;
    int level;
} es_grid_options;
#define ES_GRID_DEFAULTS                                                                           \
    { .compress = true, .level = 1 }
bool es_grid_write(const char *path, const es_grid_info *info, es_slab_fn *slab, void *context,
                   const es_grid_options *options, es_error *err);
/* Whether es_grid_write / es_sequence_create / know the extension, with the list of
 * known ones in the error. For checks before long work. */
bool es_grid_can_write(const char *path, es_error *err);
bool es_sequence_can_write(const char *path, es_error *err);
/* True when the file is a 3-D volume rather than a recording: no Seq_Frame
 * fields or mark, or kinds that say so; three space axes. DICOM: two slices or
 * more that stand in one even stack. */
bool es_file_is_grid(const char *path, bool *is_grid, es_error *err);

/* ---- PLUS device-set configuration ------------------------------------- */

/* A PLUS XML file. Elements, attributes and comments that are not read here
 * are kept when it is saved. Files are not trusted: at most 2 MB, 64 levels,
 * 256 attributes to an element, no document type declaration, no network.
 * Every error of a getter is ES_FORMAT with file, line, element, attribute,
 * what was found and what is allowed. Getters may run on several threads. */
typedef struct es_plus es_plus;
es_plus *es_plus_new(es_error *err); /* an empty PlusConfiguration */
es_plus *es_plus_read(const char *path, es_error *err);
/* `name` stands for the file in messages. */
es_plus *es_plus_parse(const char *text, size_t length, const char *name, es_error *err);
/* Through es_output: the old file stays until the new one is whole. Values are
 * kept; line breaks between attributes are not. */
bool es_plus_write(const es_plus *plus, const char *path, es_error *err);
void es_plus_free(es_plus *plus);
/* A copy of its own; of an empty PlusConfiguration for NULL. */
es_plus *es_plus_copy(const es_plus *plus, es_error *err);

typedef struct es_plus_transform {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    es_mat4 matrix;
    double error; /* Error attribute, NaN when absent; no unit is defined for it */
    char date[64];
} es_plus_transform;
/* CoordinateDefinitions. Setting replaces From -> To, or adds it; ES_FORMAT
 * when the file has To -> From. */
size_t es_plus_transform_count(const es_plus *plus);
bool es_plus_transform_get(const es_plus *plus, size_t index, es_plus_transform *transform,
                           es_error *err);
bool es_plus_transform_set(es_plus *plus, const es_plus_transform *transform, es_error *err);
/* All CoordinateDefinitions into the graph. A transform that is given twice
 * with different matrices is ES_FORMAT. */
bool es_plus_to_graph(const es_plus *plus, es_graph *graph, es_error *err);

/* VolumeReconstruction, every attribute; old spellings are understood
 * (Compounding="On" = MEAN, "Off" = LATEST, Calculation="MAXIMUM", FanAngles,
 * FanOrigin, FanDepth) and replaced by the new ones when set. Present fields
 * have has_ set; a clip rectangle of size 0 0 and fan angles of 0 0 mean none. */
typedef struct es_plus_hole_filling {
    char type[40]; /* STICK, GAUSSIAN, GAUSSIAN_ACCUMULATION, NEAREST_NEIGHBOR,
                      DISTANCE_WEIGHT_INVERSE */
    int size, stick_length_limit, number_of_sticks; /* 0 when absent */
    double stdev, minimum_known_voxels_ratio;       /* NaN when absent */
} es_plus_hole_filling;
enum { ES_PLUS_HOLE_MAX = 8 };
typedef struct es_plus_reconstruction {
    bool has_spacing, has_origin, has_extent, has_clip, has_fan_angles, has_fan_origin,
        has_fan_radius_start, has_fan_radius_stop, has_fan_detect, has_fan_detect_threshold,
        has_fan_detect_radius, has_interpolation, has_compounding, has_fill_holes, has_skip,
        has_threads, has_threshold, has_optimization, has_image_frame, has_reference_frame,
        has_importance_mask;
    double spacing_mm[3], origin_mm[3];
    int64_t extent[6]; /* first and last voxel of x, y, z */
    int32_t clip_origin[2], clip_size[2];
    double fan_angles_deg[2], fan_origin_px[2], fan_radius_start_px, fan_radius_stop_px;
    bool fan_detect; /* EnableFanAnglesAutoDetect: angles are limits only */
    double fan_detect_threshold;
    int fan_detect_radius_px;
    char interpolation[32]; /* NEAREST_NEIGHBOR or LINEAR */
    char compounding[32];   /* LATEST, MEAN, MAXIMUM, IMPORTANCE_MASK */
    char optimization[32];  /* NONE, PARTIAL, FULL */
    bool fill_holes;
    int skip_interval, threads; /* threads 0: all the cores */
    double threshold;           /* PixelRejectionThreshold: pixels below are ignored */
    char image_frame[ES_NAME_SIZE], reference_frame[ES_NAME_SIZE];
    char importance_mask[256];
    es_plus_hole_filling hole_filling[ES_PLUS_HOLE_MAX];
    int hole_filling_count;
} es_plus_reconstruction;
/* The element below the root, else the first anywhere (it may lie in a
 * Device). *present = false when there is none. */
bool es_plus_reconstruction_get(const es_plus *plus, es_plus_reconstruction *recon, bool *present,
                                es_error *err);
/* Fields without has_ are removed. */
bool es_plus_reconstruction_set(es_plus *plus, const es_plus_reconstruction *recon, es_error *err);

/* ScanConversion: how scan lines were drawn into the picture. Numbers that the
 * file does not give are NaN, or 0 for whole numbers. */
typedef struct es_plus_scan_conversion {
    bool curvilinear;
    char transducer_name[128];
    double depth_mm, width_mm;              /* linear */
    double radius_start_mm, radius_stop_mm; /* curvilinear */
    double theta_start_deg, theta_stop_deg;
    int32_t image_size[2];
    double spacing_mm[2];
    /* The middle of the transducer's face, counted as PLUS counts: the middle
     * of the picture is half its width. Absent: there, with the face (linear)
     * or the centre of curvature (curvilinear) on row 0. */
    double transducer_center_px[2];
    int scan_lines, samples_per_line;
} es_plus_scan_conversion;
bool es_plus_scan_conversion_get(const es_plus *plus, es_plus_scan_conversion *scan, bool *present,
                                 es_error *err);
bool es_plus_scan_conversion_set(es_plus *plus, const es_plus_scan_conversion *scan, es_error *err);
/* The fan of a scan conversion in pixels of the picture, pixel centres at whole
 * numbers (so its axis is at transducer_center_px[0] - 1/2). kind NONE when the
 * file leaves out what is needed. */
es_fan es_plus_scan_fan(const es_plus_scan_conversion *scan);

/* Segmentation, PhantomDefinition and anything else: attributes as text by the
 * path below PlusConfiguration. Elements of the path are counted together over
 * all parents; [n] takes the n-th of a name only, from 0:
 * "PhantomDefinition/Geometry/Pattern[1]/Wire" are the wires of the second
 * pattern. Getting gives NULL and no error when absent; es_free it. Setting
 * adds the element when it is absent and index is 0. */
size_t es_plus_element_count(const es_plus *plus, const char *path);
char *es_plus_attribute(const es_plus *plus, const char *path, size_t index, const char *name,
                        es_error *err);
bool es_plus_attribute_set(es_plus *plus, const char *path, size_t index, const char *name,
                           const char *value, es_error *err);

/* ---- pose tables ----------------------------------------------------------- */

/* A table of poses beside any frames: comma, semicolon, tab or blank separated,
 * with or without header, by NDI, Motive, Vicon, TUM, KITTI or anybody; arrays of
 * numbers (.npy, .npz, .mat, HDF5, FILE#NAME); or a recording (of PLUS, of Slicer),
 * whose valid rigid transforms are taken as they are called. What
 * its numbers mean is a reading: one value for each attribute below. The
 * header, the option text and the algebra of the numbers settle some of them;
 * the rest stays in doubt until somebody finds it out (es_pose_guess) or asks.
 * Nothing in doubt is ever chosen here. docs/poses.md explains the attributes. */
typedef enum es_pose_attribute {
    ES_POSE_ROTATION,   /* quaternion, matrix, euler, axis-angle, points */
    ES_POSE_FIRST,      /* position, rotation: which stands first */
    ES_POSE_QUATERNION, /* wxyz, xyzw */
    ES_POSE_MATRIX,     /* rows, columns */
    ES_POSE_EULER,      /* XYZ ... ZYZ about moving axes, xyz ... zyz about fixed ones */
    ES_POSE_ANGLE,      /* rad, deg */
    ES_POSE_UNIT,       /* mm, cm, m, inch */
    ES_POSE_DIRECTION,  /* tool-to-tracker, tracker-to-tool */
    ES_POSE_SENSE,      /* same, opposite: the rotation against the position */
    ES_POSE_HANDEDNESS, /* right, left: of the tracker's and the tool's axes (z mirrored) */
    ES_POSE_ATTRIBUTES
} es_pose_attribute;
enum {
    ES_POSE_IS_QUATERNION,
    ES_POSE_IS_MATRIX,
    ES_POSE_IS_EULER,
    ES_POSE_IS_AXIS_ANGLE,
    ES_POSE_IS_POINTS
};
/* The values' words, NULL terminated; "unit" for ES_POSE_UNIT. */
const char *const *es_pose_words(es_pose_attribute attribute);
const char *es_pose_attribute_name(es_pose_attribute attribute);

typedef struct es_pose_reading {
    int8_t is[ES_POSE_ATTRIBUTES]; /* index of the word; 0 where the rotation makes it void */
} es_pose_reading;
/* "quaternion=wxyz,unit=mm,direction=tool-to-tracker,...", as the option takes it. */
enum { ES_POSE_TEXT = 200 };
void es_pose_reading_text(const es_pose_reading *reading, char text[ES_POSE_TEXT]);
/* Whether the attribute means anything for this rotation. */
bool es_pose_attribute_counts(es_pose_attribute attribute, int rotation);

/* Bit v of possible[a]: value v of attribute a is not excluded. */
typedef struct es_pose_doubt {
    uint32_t possible[ES_POSE_ATTRIBUTES];
    char why[ES_POSE_ATTRIBUTES][120]; /* who settled or narrowed it; "" nobody */
} es_pose_doubt;

typedef struct es_pose_table es_pose_table;
typedef struct es_pose_table_info {
    size_t samples; /* poses in time; rows, or frames where each tool has a row of its own */
    int tools;
    bool has_time, has_file;
    char time_note[160]; /* why a time column is not used, or which unit it has */
    char format[40];     /* "table", "NDI", "Motive", ... */
    char unread[200];    /* columns that say nothing to us */
    char separator;      /* , ; tab or blank; NUL: no text */
    bool decimal_comma;
} es_pose_table_info;
/* `layout` (NULL: none) settles attributes in words: "quaternion=wxyz,unit=mm",
 * "time=ms", "columns=time:tx:ty:tz:qw:qx:qy:qz" in place of a header, or "tum",
 * "kitti", "ndi". Errors name file, line, column, what was found and expected:
 * ES_FORMAT, ES_UNSUPPORTED (UTF-16, markers without a body), ES_USAGE (layout
 * words that are unknown or contradict the header), ES_IO, ES_MEMORY. */
es_pose_table *es_pose_table_read(const char *path, const char *layout, es_error *err);
void es_pose_table_free(es_pose_table *table);
const es_pose_table_info *es_pose_table_about(const es_pose_table *table);
const es_pose_doubt *es_pose_table_doubt(const es_pose_table *table);
/* As the table calls it; "" for the only tool of a table without names. */
const char *es_pose_table_tool(const es_pose_table *table, int tool);
/* NaN without time or where it is missing. */
double es_pose_table_time(const es_pose_table *table, size_t sample);
const char *es_pose_table_file(const es_pose_table *table, size_t sample); /* "" when none */
/* Line of the sample in the file, for messages. */
long es_pose_table_line(const es_pose_table *table, size_t sample);
/* Tool to tracker in mm. False: a gap, a state that is not OK, or numbers that
 * are no rotation under this reading. */
bool es_pose_table_pose(const es_pose_table *table, int tool, size_t sample,
                        const es_pose_reading *reading, es_mat4 *pose);
/* All readings that are still possible; es_free the list. */
bool es_pose_table_readings(const es_pose_table *table, es_pose_reading **readings, size_t *count,
                            es_error *err);
/* A PLUS calibration result as a recording without pixels: `part` is
 * "CalibrationData" or "ValidationData". Frames keep their Index; each found
 * dot is a field "Dot.<WireName>" = "u v 0", beside SegmentationStatus. */
es_source *es_plus_results_open(const es_plus *plus, const char *part, es_error *err);
bool es_plus_is_results(const es_plus *plus);

/* ---- points ------------------------------------------------------------- */

typedef struct es_point {
    char name[ES_NAME_SIZE];
    es_vec3 at_mm;
} es_point;
typedef struct es_points {
    es_point *items;
    size_t count, capacity;
} es_points;
/* Slicer's .fcsv or .mrk.json by content, in RAS, as Slicer shows them: frames
 * that PLUS sends to Slicer have the same numbers there. At most 4 MB. */
bool es_points_read(const char *path, es_points *points, es_error *err);
/* PhantomDefinition/Geometry/Landmarks of a configuration, phantom mm; none is
 * no error. */
bool es_plus_landmarks(const es_plus *plus, es_points *landmarks, es_error *err);
void es_points_clear(es_points *points);

#ifdef __cplusplus
}
#endif
#endif
