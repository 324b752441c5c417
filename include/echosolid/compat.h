/* echosolid/compat.h: volumes as IGSIO's vtkIGSIOVolumeReconstructor makes
 * them, for people who compare with older results. A second door of the recon
 * room: plain code, one thread, dense. docs/compatibility.md says what is
 * reproduced and why es_volume (recon.h) is better for anything else. */
#ifndef ECHOSOLID_COMPAT_H
#define ECHOSOLID_COMPAT_H

#include "echosolid/recon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The attribute Optimization of a PLUS configuration; it changes values, not
 * only speed. FULL (PLUS's default): positions and weights in steps of 2^-14.
 * PARTIAL: double precision. NONE: double precision, a fan that is one pixel
 * wider on every side, and weights of LATEST and MAXIMUM that add up. */
typedef enum es_compat_optimization {
    ES_COMPAT_FULL,
    ES_COMPAT_PARTIAL,
    ES_COMPAT_NONE
} es_compat_optimization;

/* Values, and beside each a 16-bit weight: 256 for a whole pixel. A voxel of
 * weight 0 is a hole. */
typedef struct es_compat_volume es_compat_volume;

/* `options` as for es_volume_new, but with an extent (es_recon_options_set_box
 * gives the peer's), one channel, no spread, and a fan that is curved with
 * square pixels, or none. Every pixel type is held. The clip rectangle has one
 * column and one row more than its size, as the peer's has. With a mask (u8,
 * one channel, the size of the images; copied; NULL for none) each pixel counts
 * as much as the mask says: then `compounding` must be ES_MEAN. Errors:
 * ES_USAGE for options that contradict each other or that the peer cannot
 * hold, ES_MEMORY when the dense volume passes the limit. */
es_compat_volume *es_compat_new(const es_recon_options *options,
                                es_compat_optimization optimization, const es_image *mask,
                                es_error *err);
void es_compat_free(es_compat_volume *volume);

/* Inserts one frame. ES_USAGE when the image is of another type than the
 * volume, or of another size than the mask; ES_GEOMETRY when the matrix is not
 * finite and affine, or takes a pixel further from the origin than the numbers
 * reach (2^17 voxels with FULL, 2^30 else). Drops what es_compat_fill made. */
bool es_compat_insert(es_compat_volume *volume, const es_image *image,
                      const es_mat4 *image_to_reference, es_error *err);

/* ---- holes --------------------------------------------------------------- */

typedef enum es_compat_fill_kind {
    ES_COMPAT_STICK,
    ES_COMPAT_GAUSSIAN,
    ES_COMPAT_GAUSSIAN_ACCUMULATION, /* the Gaussian times the voxels' weights */
    ES_COMPAT_NEAREST_NEIGHBOR,      /* mean of the smallest cube with a known voxel */
    ES_COMPAT_DISTANCE_WEIGHT_INVERSE
} es_compat_fill_kind;

/* One HoleFillingElement. */
typedef struct es_compat_fill_step {
    es_compat_fill_kind kind;
    int stick_length, sticks; /* STICK: voxels from end to end, at least 3; 1 to 13 */
    int size;                 /* the others: edge of the cube in voxels, 1 to 99 */
    float stdev_voxels;       /* the Gaussians: above 0 */
    float known_ratio;        /* the others: more of the cube must be known; 0 <= it < 1 */
} es_compat_fill_step;

/* Tries the steps in order on each hole; the first that succeeds gives the
 * value, none gives 0. Filled voxels do not fill others, and keep weight 0.
 * ES_USAGE for numbers out of range and for sticks longer than the volume. */
bool es_compat_fill(es_compat_volume *volume, const es_compat_fill_step *steps, size_t count,
                    es_error *err);

/* ---- the result ------------------------------------------------------------ */

/* `info` is overwritten. Never fails: the extent is known. */
bool es_compat_grid_info(const es_compat_volume *volume, es_grid_info *info, es_error *err);
/* Slabs for es_grid_write: values (filled after es_compat_fill), and weights
 * (u16). Context: an es_compat_volume. */
bool es_compat_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
bool es_compat_weight_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
