/* echosolid/format.h: every file in and out, one file a format, one registry.
 * Readers recognise a file by its content first, its name second. All of them
 * stream: a recording larger than memory works. */
#ifndef ECHOSOLID_FORMAT_H
#define ECHOSOLID_FORMAT_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Opens a recording: .mha, .mhd (+ .raw, .zraw, LIST), .nrrd, .nhdr. Frames
 * come in MF orientation whatever the file's mark. Poses alone are read
 * without touching the pixels. Errors name file, line or frame, what was
 * found and what was expected. */
es_source *es_sequence_open(const char *path, es_error *err);

typedef struct es_sequence_options {
    bool compress; /* zlib (MetaImage), gzip (NRRD) */
    int level;     /* 1..9 */
} es_sequence_options;
#define ES_SEQUENCE_DEFAULTS                                                                       \
    { .compress = true, .level = 1 }

/* Creates a recording by the name's extension. The frame count need not be
 * known. Per-frame and header fields are written as they are. */
es_sink *es_sequence_create(const char *path, const es_stream_info *info,
                            const es_sequence_options *options, es_error *err);

/* Volumes by extension: .mha, .mhd, .nrrd, .nhdr, .nii, .nii.gz, (read and
 * write). In memory LPS; NIfTI is converted at the door. NIfTI-2 is chosen
 * when a side passes 32767. */
bool es_grid_read(const char *path, es_grid *grid, es_error *err);
bool es_grid_read_info(const char *path, es_grid_info *info, es_error *err);
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
 * fields, three space axes. */
bool es_file_is_grid(const char *path, bool *is_grid, es_error *err);

/* ---- PLUS device-set configuration ------------------------------------- */

/* A PLUS XML file. Elements and attributes that are not read here are kept
 * when it is saved. */
typedef struct es_plus es_plus;
es_plus *es_plus_new(es_error *err); /* an empty PlusConfiguration */
es_plus *es_plus_read(const char *path, es_error *err);
es_plus *es_plus_parse(const char *text, size_t length, const char *name, es_error *err);
bool es_plus_write(const es_plus *plus, const char *path, es_error *err);
void es_plus_free(es_plus *plus);

typedef struct es_plus_transform {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    es_mat4 matrix;
    double error; /* Error attribute, NaN when absent; no unit is defined for it */
    char date[64];
} es_plus_transform;
size_t es_plus_transform_count(const es_plus *plus);
bool es_plus_transform_get(const es_plus *plus, size_t index, es_plus_transform *transform,
                           es_error *err);
bool es_plus_transform_set(es_plus *plus, const es_plus_transform *transform, es_error *err);
/* All CoordinateDefinitions into the graph. */
bool es_plus_to_graph(const es_plus *plus, es_graph *graph, es_error *err);

/* VolumeReconstruction, every attribute; old spellings are understood
 * (Compounding="On" = MEAN, "Off" = LATEST). Present fields have has_ set. */
typedef struct es_plus_hole_filling {
    char type[40]; /* STICK, GAUSSIAN, NEAREST_NEIGHBOR, DISTANCE_WEIGHT_INVERSE, ... */
    int size, stick_length_limit, number_of_sticks; /* 0 when absent */
    double stdev, minimum_known_voxels_ratio;       /* NaN when absent */
} es_plus_hole_filling;
enum { ES_PLUS_HOLE_MAX = 8 };
typedef struct es_plus_reconstruction {
    bool has_spacing, has_origin, has_extent, has_clip, has_fan_angles, has_fan_origin,
        has_fan_radius_start, has_fan_radius_stop, has_interpolation, has_compounding,
        has_fill_holes, has_skip, has_threads, has_threshold, has_optimization, has_image_frame,
        has_reference_frame, has_importance_mask;
    double spacing_mm[3], origin_mm[3];
    int64_t extent[6];
    int32_t clip_origin[2], clip_size[2];
    double fan_angles_deg[2], fan_origin_px[2], fan_radius_start_px, fan_radius_stop_px;
    char interpolation[32]; /* NEAREST_NEIGHBOR or LINEAR */
    char compounding[32];   /* LATEST, MEAN, MAXIMUM, IMPORTANCE_MASK */
    char optimization[32];
    bool fill_holes;
    int skip_interval, threads;
    double threshold; /* PixelRejectionThreshold: pixels below are ignored */
    char image_frame[ES_NAME_SIZE], reference_frame[ES_NAME_SIZE];
    char importance_mask[256];
    es_plus_hole_filling hole_filling[ES_PLUS_HOLE_MAX];
    int hole_filling_count;
} es_plus_reconstruction;
/* *present = false when the element is absent. */
bool es_plus_reconstruction_get(const es_plus *plus, es_plus_reconstruction *recon, bool *present,
                                es_error *err);
bool es_plus_reconstruction_set(es_plus *plus, const es_plus_reconstruction *recon, es_error *err);

/* ScanConversion as a fan in pixels of the output image. */
typedef struct es_plus_scan_conversion {
    bool curvilinear;
    char transducer_name[128];
    double depth_mm, width_mm;              /* NaN when absent */
    double radius_start_mm, radius_stop_mm; /* curvilinear */
    double theta_start_deg, theta_stop_deg;
    int32_t image_size[2];
    double spacing_mm[2], transducer_center_px[2];
} es_plus_scan_conversion;
bool es_plus_scan_conversion_get(const es_plus *plus, es_plus_scan_conversion *scan, bool *present,
                                 es_error *err);
bool es_plus_scan_conversion_set(es_plus *plus, const es_plus_scan_conversion *scan, es_error *err);
/* The fan of a scan conversion (facts: transducer centre = middle of the
 * transducer's face). */
es_fan es_plus_scan_fan(const es_plus_scan_conversion *scan);

/* Segmentation and PhantomDefinition: attributes and geometry as text, by
 * element path below PlusConfiguration ("PhantomDefinition/Geometry/Pattern",
 * index), for the calibration room to interpret. NULL when absent. es_free. */
size_t es_plus_element_count(const es_plus *plus, const char *path);
char *es_plus_attribute(const es_plus *plus, const char *path, size_t index, const char *name,
                        es_error *err);

#ifdef __cplusplus
}
#endif
#endif
