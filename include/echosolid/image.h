/* echosolid/image.h: pixel buffers, the tracked frame, frame sources and
 * sinks, fan geometry, dense grids and sparse bricks.
 *
 * Image axes: u to the right along the transducer, v into the body; pixel
 * centres at whole numbers; the first pixel is (0, 0). Every frame that a
 * source gives is already in this orientation (MF in PLUS's words). */
#ifndef ECHOSOLID_IMAGE_H
#define ECHOSOLID_IMAGE_H

#include "echosolid/geom.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum es_type { ES_U8, ES_I8, ES_U16, ES_I16, ES_U32, ES_I32, ES_F32, ES_F64 } es_type;
size_t es_type_size(es_type type);      /* bytes */
const char *es_type_name(es_type type); /* "u8" ... "f64" */
/* Value range of an integer type; +-max of the type for floats. */
void es_type_range(es_type type, double *low, double *high);
/* One element as double, and back: rounded half away from zero and clamped
 * to the type's range, NaN -> 0 for integers. */
double es_type_get(es_type type, const void *data, size_t index);
void es_type_set(es_type type, void *data, size_t index, double value);

/* Rows of width * channels elements without padding; channels 1 (grey) or 3
 * (RGB, interleaved). {0} is an empty image. */
typedef struct es_image {
    es_type type;
    int channels;
    uint32_t width, height;
    void *data;
    size_t capacity; /* bytes allocated, kept when a frame is reused */
} es_image;
/* Makes room for width x height; contents undefined; memory is reused. */
bool es_image_resize(es_image *image, es_type type, int channels, uint32_t width, uint32_t height,
                     es_error *err);
void es_image_clear(es_image *image);
bool es_image_copy(const es_image *from, es_image *to, es_error *err);
size_t es_image_bytes(const es_image *image);
/* Grey f32 of any image (RGB: Rec. 601 luma), same size. */
bool es_image_to_f32(const es_image *from, es_image *to, es_error *err);

/* ---- the frame ------------------------------------------------------- */

typedef struct es_frame_transform {
    char name[ES_NAME_SIZE]; /* "ProbeToTracker", without "Transform" */
    es_mat4 matrix;
    bool valid;
    char status[32]; /* as it was written: OK, INVALID, ... "" when absent */
} es_frame_transform;

/* A field that echosolid does not interpret, kept through a round trip. */
typedef struct es_field {
    char *key, *value;
} es_field;

typedef struct es_fields {
    es_field *items;
    size_t count, capacity;
} es_fields;
bool es_fields_set(es_fields *fields, const char *key, const char *value, es_error *err);
const char *es_fields_get(const es_fields *fields, const char *key); /* NULL when absent */
void es_fields_clear(es_fields *fields);
bool es_fields_copy(const es_fields *from, es_fields *to, es_error *err);

typedef struct es_frame {
    int64_t index;  /* 0-based place in the recording */
    bool has_image; /* false: the pixels were not asked for, or ImageStatus was not OK */
    es_image image;
    bool has_time, has_unfiltered_time;
    double time_s, unfiltered_time_s;
    es_frame_transform *transforms;
    size_t transform_count, transform_capacity;
    es_fields fields; /* other per-frame fields, without the Seq_FrameNNNN_ prefix */
} es_frame;
void es_frame_clear(es_frame *frame);
bool es_frame_copy(const es_frame *from, es_frame *to, es_error *err);
bool es_frame_set_transform(es_frame *frame, const char *name, es_mat4 matrix, bool valid,
                            es_error *err);
const es_frame_transform *es_frame_find_transform(const es_frame *frame, const char *name);
/* Puts all the frame's transforms into the graph. Names that do not split, and
 * transforms from a frame of reference to itself, are skipped. */
bool es_frame_to_graph(const es_frame *frame, es_graph *graph, es_error *err);

/* ---- sources and sinks ----------------------------------------------- */

/* What is known before the first frame. Owned by the source. */
typedef struct es_stream_info {
    int64_t frame_count;    /* -1: unknown (live) */
    uint32_t width, height; /* after orientation; 0 x 0: poses only */
    es_type type;
    int channels;
    double spacing_mm[2]; /* as the file says; 1 1 when it does not know */
    char orientation[8];  /* the mark in the file, e.g. "MFA"; "" when absent */
    char image_kind[32];  /* UltrasoundImageType, e.g. BRIGHTNESS; "" when absent */
    char format[24];      /* "mha", "nrrd", "simulated", ... */
    es_fields fields;     /* other header fields, kept through a round trip */
} es_stream_info;
void es_stream_info_clear(es_stream_info *info);
bool es_stream_info_copy(const es_stream_info *from, es_stream_info *to, es_error *err);

enum { ES_READ_PIXELS = 1 }; /* flags of es_source_next */

/* A source yields frames one by one, from a file larger than memory, a socket
 * or the simulator. Implementations fill `ops` and set `self`. */
typedef struct es_source es_source;
typedef struct es_source_ops {
    /* Fills `frame` (reusing its memory). *end = true when there is none. */
    bool (*next)(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err);
    /* Back to the first frame; NULL when that cannot be (live). */
    bool (*rewind)(void *self, es_error *err);
    void (*free)(void *self);
} es_source_ops;
/* Takes `self` and a copy of info; on failure frees self through ops. */
es_source *es_source_new(const es_source_ops *ops, void *self, const es_stream_info *info,
                         es_error *err);
const es_stream_info *es_source_info(const es_source *source);
bool es_source_next(es_source *source, es_frame *frame, unsigned flags, bool *end, es_error *err);
bool es_source_can_rewind(const es_source *source);
bool es_source_rewind(es_source *source, es_error *err);
void es_source_free(es_source *source);

/* A part of every picture: grey (RGB to Rec. 601 luma); a crop of width x height
 * at (u0, v0), 0 x 0 for all of it; black where `keep` (u8, the size of the
 * whole picture, may be NULL, copied) is 0. The frames' transforms from and to
 * Image move with the corner; the field EchosolidCropOrigin of the header says
 * where it was. An ImageToX of a configuration must be moved by the caller:
 * ImageToX * translation(u0, v0, 0). Takes `inner`, also on failure. ES_USAGE
 * for a crop or mask that does not fit. */
typedef struct es_window {
    bool grey;
    uint32_t u0, v0, width, height;
    const es_image *keep;
} es_window;
es_source *es_source_window(es_source *inner, const es_window *window, es_error *err);

/* A sink takes frames; the output appears under its name at es_sink_finish
 * only. es_sink_free without finish leaves nothing behind. */
typedef struct es_sink es_sink;
typedef struct es_sink_ops {
    bool (*put)(void *self, const es_frame *frame, es_error *err);
    bool (*finish)(void *self, es_error *err);
    void (*free)(void *self);
} es_sink_ops;
es_sink *es_sink_new(const es_sink_ops *ops, void *self, es_error *err);
bool es_sink_put(es_sink *sink, const es_frame *frame, es_error *err);
bool es_sink_finish(es_sink *sink, es_error *err);
void es_sink_free(es_sink *sink);

/* ---- fan geometry ---------------------------------------------------- */

/* The picture of a probe in pixels. A curvilinear one has an apex, two radii
 * and two angles from the +v axis, positive towards +u. kind NONE: unknown,
 * scan lines are taken as image columns. */
typedef enum es_fan_kind { ES_FAN_NONE, ES_FAN_LINEAR, ES_FAN_CURVED } es_fan_kind;
typedef struct es_fan {
    es_fan_kind kind;
    /* LINEAR: the rectangle of the echoes, inclusive first, exclusive last. */
    double u0, v0, u1, v1;
    /* CURVED: apex and radii measured in units of scaled pixels: a point is
     * at (u - apex_u) * aspect, v - apex_v, where aspect = spacing_u / spacing_v. */
    double apex_u, apex_v, radius_start, radius_stop, angle_start_rad, angle_stop_rad, aspect;
} es_fan;
/* Polar coordinates of a pixel: radius (pixels along v) and angle. */
void es_fan_polar(const es_fan *fan, double u, double v, double *radius, double *angle_rad);
bool es_fan_contains(const es_fan *fan, double u, double v);

/* ---- flow: how far a picture has moved ----------------------------------- */

/* Windowed phase correlation (Kuglin and Hines 1975; Hann window; the peak to
 * a fraction of a pixel by its neighbours). Work memory for windows of `size`
 * pixels square; a power of two, 16 to 1024. One thread at a time. */
typedef struct es_flow_plan es_flow_plan;
es_flow_plan *es_flow_plan_new(uint32_t size, es_error *err); /* ES_USAGE: another size */
void es_flow_plan_free(es_flow_plan *plan);
typedef struct es_shift {
    double u_px, v_px; /* what lay at (u, v) in a lies at (u + u_px, v + v_px) in b */
    double response;   /* 0..1: share of the correlation in the peak; 0: no texture */
} es_shift;
/* Pictures of one size, any type, grey or RGB. The window's first pixel is at
 * (u0, v0) in both; ES_USAGE when it does not lie inside. Shifts past half the
 * window alias. */
bool es_flow_shift(es_flow_plan *plan, const es_image *a, const es_image *b, uint32_t u0,
                   uint32_t v0, es_shift *shift, es_error *err);

/* ---- what a detector found along the scan lines ------------------------ */

/* One scan line in pixels: it starts at the transducer's face (u, v) and runs
 * by (du, dv) pixels per millimetre. `found`: bone at depth_mm, with a
 * confidence 0..1 and the cosine of the angle between beam and normal in the
 * image plane. Not found: no claim, not even of free space. */
typedef struct es_scan_line {
    double u, v, du, dv, length_mm;
    bool found;
    double depth_mm;
    float confidence, cos_incidence;
} es_scan_line;
typedef struct es_trace {
    es_scan_line *lines; /* neighbours in the image are neighbours here */
    size_t count, capacity;
} es_trace;
bool es_trace_resize(es_trace *trace, size_t count, es_error *err);
void es_trace_clear(es_trace *trace);

/* ---- dense grids and sparse bricks ------------------------------------ */

/* A regular voxel grid's geometry. Voxel centre (x, y, z) lies at
 * origin + direction * (spacing .* index). Space is LPS unless said. */
typedef struct es_grid_info {
    uint64_t size[3];
    double origin_mm[3], spacing_mm[3];
    double direction[9]; /* row-major 3x3, columns are the axes */
    es_type type;
    int channels;
    es_fields fields; /* kept through a round trip */
} es_grid_info;

typedef struct es_grid {
    es_grid_info info;
    void *data; /* x fastest */
} es_grid;
void es_grid_info_clear(es_grid_info *info);
void es_grid_clear(es_grid *grid);
bool es_grid_alloc(es_grid *grid, es_error *err); /* from info, zeroed, overflow checked */
/* Voxel index -> mm as a matrix. */
es_mat4 es_grid_to_mm(const es_grid_info *info);
/* Writers pull a grid slab by slab: fills `out` with slices z0 .. z0+count-1. */
typedef bool es_slab_fn(void *context, uint64_t z0, uint64_t count, void *out, es_error *err);
/* An es_slab_fn over an es_grid held in memory (context = const es_grid *). */
bool es_grid_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err);

/* A sparse scalar field: cubes of ES_BRICK^3 voxels where there are data, on
 * an unbounded lattice whose voxel (0,0,0) has its centre at origin_mm. A
 * voxel with weight 0 is unknown: never seen, neither in nor out. */
enum { ES_BRICK = 16, ES_BRICK_VOXELS = ES_BRICK * ES_BRICK * ES_BRICK };
typedef struct es_brick {
    int32_t at[3];                /* brick coordinates: voxel = ES_BRICK * at + offset */
    float value[ES_BRICK_VOXELS]; /* x fastest, then y, then z */
    float weight[ES_BRICK_VOXELS];
} es_brick;
/* For tables of bricks or cells by their coordinates: the finaliser of SplitMix64
 * (Steele, Lea and Flood 2014), so that neighbours do not fall into neighbouring slots. */
static inline size_t es_place_hash(const int32_t at[3]) {
    uint64_t h = (uint64_t)(uint32_t)at[0] | (uint64_t)(uint32_t)at[1] << 32;
    h ^= (uint64_t)(uint32_t)at[2] * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return (size_t)(h ^ (h >> 31));
}

typedef struct es_bricks es_bricks;
es_bricks *es_bricks_new(const double origin_mm[3], const double spacing_mm[3], es_error *err);
void es_bricks_free(es_bricks *bricks);
const double *es_bricks_origin(const es_bricks *bricks);
const double *es_bricks_spacing(const es_bricks *bricks);
size_t es_bricks_count(const es_bricks *bricks);
/* Bricks in a fixed order: by age, or by z, then y, then x
 * of `at` after es_bricks_sort. The pointer lives until the next es_bricks_add. */
es_brick *es_bricks_get(const es_bricks *bricks, size_t index);
void es_bricks_sort(es_bricks *bricks);
es_brick *es_bricks_find(const es_bricks *bricks, int32_t x, int32_t y, int32_t z); /* or NULL */
/* Finds or adds a zeroed brick. */
es_brick *es_bricks_add(es_bricks *bricks, int32_t x, int32_t y, int32_t z, es_error *err);
/* The known box as a dense f32 grid, NaN where weight is 0, for es_grid_write
 * (slab context: the es_bricks). ES_GEOMETRY when nothing is known. */
bool es_bricks_grid_info(const es_bricks *bricks, es_grid_info *info, es_error *err);
bool es_bricks_slab(void *bricks, uint64_t z0, uint64_t count, void *out, es_error *err);
/* Box of the voxels with weight > 0; false when there are none. */
bool es_bricks_extent(const es_bricks *bricks, int64_t low[3], int64_t high[3]);
/* A dense grid (axis-aligned direction only) as bricks, weight 1 everywhere,
 * or 0 where `mask` (same size, u8; may be NULL) is 0. */
es_bricks *es_bricks_from_grid(const es_grid *grid, const uint8_t *mask, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
