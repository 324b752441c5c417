/* echosolid/recon.h: tracked frames into sparse volumes.
 *
 * Two kinds: es_volume compounds grey values; es_distance holds the truncated
 * signed distance to a surface that a detector found along the beams. Both
 * allocate bricks where frames fall, so that no region need be known. Every
 * result is the same, byte for byte, on any number of threads. */
#ifndef ECHOSOLID_RECON_H
#define ECHOSOLID_RECON_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum es_interpolation { ES_NEAREST, ES_LINEAR } es_interpolation;
typedef enum es_compounding { ES_LATEST, ES_MEAN, ES_MAXIMUM } es_compounding;

typedef struct es_recon_options {
    double origin_mm[3]; /* centre of lattice voxel (0,0,0), in reference mm */
    double spacing_mm[3];
    bool has_extent;   /* else: grows where frames fall */
    int64_t extent[6]; /* inclusive first and last voxel: x0 x1 y0 y1 z0 z1 */
    es_interpolation interpolation;
    es_compounding compounding;
    es_type type; /* of the pixels, and of the resolved voxels */
    int channels; /* 1 or 3 */
    bool has_clip;
    int32_t clip_origin[2], clip_size[2]; /* pixels */
    es_fan fan;                           /* kind NONE: no fan clip */
    double threshold;                     /* pixels below are ignored; NaN: none */
    uint64_t memory_limit;                /* bytes of bricks; 0: three quarters of free memory */
} es_recon_options;
#define ES_RECON_DEFAULTS                                                                          \
    {                                                                                              \
        .interpolation = ES_NEAREST, .compounding = ES_MEAN, .type = ES_U8, .channels = 1,         \
        .threshold = __builtin_nan("")                                                             \
    }

typedef struct es_volume es_volume;
/* Checks the options (ES_USAGE). The pool is borrowed and may be NULL. */
es_volume *es_volume_new(const es_recon_options *options, es_pool *pool, es_error *err);
void es_volume_free(es_volume *volume);

/* Inserts `count` frames in order; images all of the volume's type and
 * channels. ImageToReference maps (u, v, 0) pixels to mm. Batches let the
 * threads split the volume: 8 or more at a time is good. ES_MEMORY with the
 * size and the spacing that would fit when bricks pass the limit. */
bool es_volume_insert(es_volume *volume, const es_image *const *images,
                      const es_mat4 *image_to_reference, size_t count, es_error *err);

typedef struct es_volume_stats {
    uint64_t frames, pixels_inserted, pixels_outside, bricks, bytes;
    double insert_s; /* wall time inside es_volume_insert */
} es_volume_stats;
es_volume_stats es_volume_statistics(const es_volume *volume);

/* The dense result's geometry: the option's extent, or the box of the voxels
 * that were hit. ES_GEOMETRY when none was. */
bool es_volume_grid_info(const es_volume *volume, es_grid_info *info, es_error *err);
/* Slabs for es_grid_write: values in the volume's type (0 where unseen), and
 * hits (u16, clamped) or standard deviation (f32) of the hits. Context: an
 * es_volume. The geometry is es_volume_grid_info's with the type changed. */
bool es_volume_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
bool es_volume_hits_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
bool es_volume_spread_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
/* Channel 0 as a sparse field: value and number of hits (sum of weights). */
es_bricks *es_volume_bricks(const es_volume *volume, es_error *err);

/* ---- signed distance along the beam ------------------------------------ */

typedef struct es_distance_options {
    double origin_mm[3], spacing_mm[3];
    double truncation_mm;      /* 2.5 */
    double slice_thickness_mm; /* elevation over which a frame counts; 0: one voxel */
    double min_cos;            /* steeper hits are ignored: cos 72 deg */
    uint64_t memory_limit;
} es_distance_options;
#define ES_DISTANCE_DEFAULTS                                                                       \
    { .truncation_mm = 2.5, .slice_thickness_mm = 0, .min_cos = 0.309 }

/* facts/bone.md section 6: d = (depth of bone - depth) * cos, clipped to
 * +-truncation; weight confidence * cos^2 * plateau that is symmetric about
 * the surface; lines without a hit give no free space. */
typedef struct es_distance es_distance;
es_distance *es_distance_new(const es_distance_options *options, es_pool *pool, es_error *err);
void es_distance_free(es_distance *distance);
bool es_distance_insert(es_distance *distance, const es_trace *const *traces,
                        const es_mat4 *image_to_reference, size_t count, es_error *err);
es_volume_stats es_distance_statistics(const es_distance *distance);
/* The field (negative inside the bone) after a Gaussian of sigma_voxels on
 * (w d, w); weight 0 where nothing was seen. */
es_bricks *es_distance_bricks(const es_distance *distance, double sigma_voxels, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
