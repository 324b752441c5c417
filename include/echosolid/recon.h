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

/* What a voxel becomes.
 * NEAREST: a pixel counts for the voxel whose centre is nearest (floor(x + 0.5)
 * on the lattice), as one hit. LATEST takes the last hit in the order of
 * frames, rows and columns; MEAN the mean of all hits; MAXIMUM the largest.
 * LINEAR: a pixel counts for the 8 voxels round it by its trilinear weights.
 * MEAN is the weighted mean of all pixels. For LATEST and MAXIMUM each frame
 * first makes its own weighted mean in the voxel; then the latest or largest
 * of the frames is taken. A frame whose weights in a voxel sum to less than
 * 1/8 (what the nearest corner gets at least) speaks there only where no frame
 * does better: the far corner of a single pixel does not wipe out a good value.
 * A voxel is seen once it has a hit of any value, black included. Pixels that
 * are not finite are never inserted.
 *
 * Memory per voxel and channel of a brick, in bytes: NEAREST MEAN 4 (types of 1
 * byte; 12 in bricks where more than 4095 hits fell into a voxel), 8 (of 2 bytes)
 * or 16; with spread 16 or 24; NEAREST LATEST and MAXIMUM 4, 8 or
 * 16 for types of 1-2, 4 and 8 bytes. LINEAR MEAN 20 (30 with spread), LATEST
 * and MAXIMUM 41, the brick's rim included.
 * NEAREST MEAN of 1- and 2-byte types is exact up to 2^24 hits a voxel; each
 * time that is reached, sum and count are halved, so that old hits count half.
 * With a mask the states of MEAN are those of the wide types, and a hit is the
 * sum of weights / 255. */
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
    double threshold;                     /* pixels below are ignored (RGB: all three); NaN: none */
    bool spread; /* MEAN only: also collect the standard deviation of the hits */
    /* MEAN only: how much each pixel of every frame counts, 0 (not at all) to
     * 255 (like one without a mask): a u8 image with one channel, of the frames'
     * size. es_volume_new copies it. NULL: all pixels count alike. */
    const es_image *mask;
    uint64_t memory_limit; /* bytes of bricks; 0: three quarters of free memory */
} es_recon_options;
#define ES_RECON_DEFAULTS                                                                          \
    {                                                                                              \
        .interpolation = ES_NEAREST, .compounding = ES_MEAN, .type = ES_U8, .channels = 1,         \
        .threshold = __builtin_nan("")                                                             \
    }

/* Adds to `box` the four corners of the inserted rectangle (the clip, or the
 * whole image) of one frame, as PLUS does: from the clip's origin to origin +
 * size, at most the last pixel. The fan is not used. A clip outside the image
 * adds nothing. */
void es_recon_box_add(es_box3 *box, const es_recon_options *options, uint32_t width,
                      uint32_t height, const es_mat4 *image_to_reference);
/* Origin and extent from a box, as PLUS does: voxel (0,0,0) at its minimum and
 * round(size / spacing) + 1 voxels per axis. ES_GEOMETRY when the box is
 * empty or not finite, ES_USAGE when the spacing is not set. */
bool es_recon_options_set_box(es_recon_options *options, es_box3 box, es_error *err);
/* An output spacing when the user gives none: not finer than a pixel, nor than
 * 2/3 of the (median) distance between frames, which leaves no empty voxels
 * between them to speak of; but not coarser than 10 pixels, since a sparse
 * sweep is no reason to blur its pictures; rounded up to a multiple of 0.05 mm
 * (0.001 mm under 0.05 mm). A number that is not known is 0. Returns 0 when neither is
 * known: then nothing can be chosen. */
double es_recon_choose_spacing(double pixel_mm, double frame_distance_mm);

/* Bytes that one brick (ES_BRICK^3 voxels) of such a volume takes, with few hits; for
 * valid options. */
size_t es_volume_brick_bytes(const es_recon_options *options);

typedef struct es_volume es_volume;
/* Checks the options (ES_USAGE). The pool is borrowed and may be NULL. One
 * volume is used by one thread at a time. */
es_volume *es_volume_new(const es_recon_options *options, es_pool *pool, es_error *err);
void es_volume_free(es_volume *volume);

/* Inserts `count` frames in order; images all of the volume's type and
 * channels (ES_USAGE). ImageToReference maps (u, v, 0) pixels to mm; ES_GEOMETRY
 * when its u and v columns are not finite, zero or parallel, or when the frame
 * lies further than 2^33 voxels from the origin. Batches let the threads split
 * the volume: 8 or more at a time is good. How frames are split into batches
 * does not change the result. ES_MEMORY with the size and the spacing that
 * would fit when bricks pass the limit; ES_CANCELLED. After an error, some of
 * the frames, always the first ones, may be in the volume: `frames` of the
 * statistics says how many. */
bool es_volume_insert(es_volume *volume, const es_image *const *images,
                      const es_mat4 *image_to_reference, size_t count, es_error *err);

typedef struct es_volume_stats {
    uint64_t frames;
    uint64_t pixels_inserted; /* distance: scan lines with bone */
    uint64_t pixels_outside;  /* nearest voxel outside the given extent */
    uint64_t pixels_ignored;  /* below the threshold, not finite, or of weight 0 in the mask */
    uint64_t bricks, bytes;
    uint64_t undo_bytes; /* of copies, for checkpoints */
    double insert_s;     /* wall time inside insert */
} es_volume_stats;
es_volume_stats es_volume_statistics(const es_volume *volume);

/* The dense result's geometry: the option's extent, or the box of the voxels
 * that were hit. ES_GEOMETRY when none was. `info` is overwritten. */
bool es_volume_grid_info(const es_volume *volume, es_grid_info *info, es_error *err);
/* Slabs for es_grid_write: values in the volume's type (0 where unseen), hits
 * (u16, clamped; LINEAR or a mask: the sum of the weights, rounded, at least 1
 * where seen), or standard deviation of the hits (f32, one channel: the first; 0
 * where fewer than two; ES_USAGE unless the option `spread` was set). Context:
 * an es_volume. The geometry is es_volume_grid_info's with type and channels
 * changed. */
bool es_volume_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
bool es_volume_hits_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
bool es_volume_spread_slab(void *volume, uint64_t z0, uint64_t count, void *out, es_error *err);
/* Channel 0 as a sparse field: value and number of hits (sum of weights). */
es_bricks *es_volume_bricks(const es_volume *volume, es_error *err);

/* ---- taking frames back -------------------------------------------------- */

/* How many checkpoints are kept at most, and bytes of copies. */
typedef struct es_undo_limit {
    size_t checkpoints;
    uint64_t bytes;
} es_undo_limit;
/* From now on what changes is copied first, a brick once after each checkpoint, so
 * that the volume can become again what it is now. Past either limit the oldest
 * checkpoint is forgotten; all of them where one alone holds too much, or memory
 * fails. Without checkpoints nothing is copied. */
void es_volume_checkpoint(es_volume *volume, const es_undo_limit *limit);
size_t es_volume_checkpoints(const es_volume *volume); /* that are kept */
/* Back to the `steps`-th newest checkpoint (1: the newest), which is forgotten with
 * all later ones. The volume is then in every bit what it was, and what is inserted
 * from now on gives what it would have given then. Needs no memory. False, and
 * nothing changes, when so many are not kept. */
bool es_volume_undo(es_volume *volume, size_t steps);

/* ---- signed distance along the beam ------------------------------------ */

typedef struct es_distance_options {
    double origin_mm[3], spacing_mm[3];
    double truncation_mm; /* 2.5 */
    /* Elevation over which a frame counts: the full width at half of a
     * triangular weight, so that frames this far apart blend linearly and
     * leave no voxel between them empty. 0: one voxel. */
    double slice_thickness_mm;
    double min_cos;        /* steeper hits are ignored: cos 72 deg */
    uint64_t memory_limit; /* bytes of bricks; 0: three quarters of free memory */
} es_distance_options;
#define ES_DISTANCE_DEFAULTS                                                                       \
    { .truncation_mm = 2.5, .slice_thickness_mm = 0, .min_cos = 0.309 }

/* Signed distance along the beam, after Curless and Levoy 1996 with weights
 * that suit ultrasound: d = (depth of bone - depth) * cos(incidence), positive
 * in front of the bone, clipped to +-truncation; weight = confidence * cos^2 *
 * plateau, where the plateau is 0.1 further than the truncation in front, 1
 * from there to 0.6 truncations behind, and falls to 0 at one truncation
 * behind. It is symmetric about the surface as far as it matters; weights that
 * fall directly from the surface pull it inward. Lines without bone say
 * nothing, not even that space is free: steep bone is invisible. Between two
 * neighbouring lines that both hit, depth, cosine and confidence are
 * interpolated, unless their depths are further apart than a surface can be
 * that is not too steep: then each line speaks for its half. */
typedef struct es_distance es_distance;
es_distance *es_distance_new(const es_distance_options *options, es_pool *pool, es_error *err);
void es_distance_free(es_distance *distance);
const es_distance_options *es_distance_get_options(const es_distance *distance);
/* Inserts `count` traces in order; the rest as for es_volume_insert. A trace of
 * fewer than two lines has no width and adds nothing. Hits whose numbers are
 * not finite, or whose confidence is not above 0, are no hits. */
bool es_distance_insert(es_distance *distance, const es_trace *const *traces,
                        const es_mat4 *image_to_reference, size_t count, es_error *err);
/* pixels_inserted counts scan lines with bone. */
es_volume_stats es_distance_statistics(const es_distance *distance);
/* As es_volume_checkpoint and es_volume_undo. */
void es_distance_checkpoint(es_distance *distance, const es_undo_limit *limit);
size_t es_distance_checkpoints(const es_distance *distance);
bool es_distance_undo(es_distance *distance, size_t steps);
/* The field (negative inside the bone) after a Gaussian of sigma_voxels (0 to
 * 5; 0: none) on (w d, w). A voxel that was not seen itself stays unknown
 * (weight 0) unless at least half of the Gaussian's mass round it was seen: so
 * pinholes close and edges do not grow. */
es_bricks *es_distance_bricks(const es_distance *distance, double sigma_voxels, es_error *err);
/* How the voxels were seen: weight is the number of frames whose bone spoke for the voxel (4095
 * at most), value the number of directions their beams came from, of twenty: the faces of an
 * icosahedron, 42 degrees from one to the next. */
es_bricks *es_distance_seen(const es_distance *distance, es_error *err);

/* A coarse copy that follows the field while it grows: a voxel of it stands for
 * 2^level voxels along each axis (level 0 to 4), with the means of the distances
 * by weight and of the weights of those that were seen, where at least a quarter
 * of them was. es_distance_follow brings
 * it up to date at the cost of the bricks that changed since it last did, of all of
 * them after es_distance_undo; the result is that of a new copy. */
typedef struct es_distance_copy {
    int level;
    es_bricks *bricks;
    uint32_t seen, undos; /* batches; es_distance_undo */
} es_distance_copy;
/* ES_USAGE for another level. es_bricks_free(copy->bricks) frees it. */
bool es_distance_copy_new(const es_distance *distance, int level, es_distance_copy *copy,
                          es_error *err);
/* After an error part of it is old; follow again. */
bool es_distance_follow(const es_distance *distance, es_distance_copy *copy, es_error *err);

/* ---- hole filling ---------------------------------------------------------- */

/* How voxels that no frame saw get a value from the seen ones round them. A
 * hole is a voxel of weight 0, never one that was seen black. A voxel of weight
 * > 0 whose value is not finite is no hole, and nothing reads it.
 *
 * Steps are tried in order for each hole; the first that can fill it does. All
 * of them read seen voxels only, never filled ones. A hole is filled only
 * where it lies between two seen voxels, on one of the 13 lines through it that
 * run along the axes and their diagonals: so nothing grows out of the scanned
 * region. How wide the gap on that line may be is the reach of the step. */
typedef enum es_fill_kind {
    /* The value on the straight line between the two ends of a stick, the
     * hole's own place on it. The shortest stick in mm counts, with all others
     * of its length; more of them, by 1 / length, until there are
     * number_of_sticks or no more. A stick is stick_length_limit voxels long at
     * most, its seen ends included: gaps up to stick_length_limit - 2. */
    ES_FILL_STICK,
    /* The weighted mean of the seen voxels in a cube of size^3: by a Gaussian of
     * stdev voxels; the same times the voxels' own weights; by 1 / distance in
     * mm; the nearest in mm, all that are equally near. Only where more than
     * minimum_known_ratio of the cube's voxels, the hole itself included in
     * size^3, are known; gaps up to size - 1. */
    ES_FILL_GAUSSIAN,
    ES_FILL_GAUSSIAN_ACCUMULATION,
    ES_FILL_INVERSE_DISTANCE,
    ES_FILL_NEAREST,
} es_fill_kind;
typedef struct es_fill_step {
    es_fill_kind kind;
    int stick_length_limit;     /* 3 to 127 voxels */
    int number_of_sticks;       /* 1 to 13 */
    int size;                   /* odd, 3 to 15 voxels */
    double stdev;               /* voxels, 0.1 or more */
    double minimum_known_ratio; /* 0 to 1 */
} es_fill_step;
enum { ES_FILL_STEPS = 8 };
typedef struct es_fill_options {
    es_fill_step steps[ES_FILL_STEPS];
    int count;
    es_pool *pool; /* borrowed, may be NULL */
} es_fill_options;

typedef struct es_fill_stats {
    uint64_t bricks;                /* examined: near data */
    uint64_t holes;                 /* voxels in them that no frame saw */
    uint64_t filled[ES_FILL_STEPS]; /* by each step */
    double seconds;
} es_fill_stats;

/* The filled voxels, and only they, as bricks on the same lattice: weight 1
 * where a value was made up, 0 elsewhere, sorted. So whoever reads `seen` sees
 * what was measured, and a writer lays the filled ones over it
 * (es_fill_overlay). The same bits on any number of threads; a mirrored volume
 * gives the mirrored result. ES_USAGE when a step's numbers are out of range, or
 * a stick is longer than the seen volume; ES_CANCELLED. stats may be NULL. */
es_bricks *es_fill(const es_bricks *seen, const es_fill_options *options, es_fill_stats *stats,
                   es_error *err);

/* Brings `filled`, es_fill's result for an earlier state of `seen` (or empty
 * bricks on its lattice), up to date after the bricks at `at` changed or were
 * added: what they can reach is done again. Gives the bits of a new es_fill;
 * bricks where nothing is filled any more stay, all of weight 0. A stick longer
 * than the volume is not refused here: a live volume starts small. After an
 * error `filled` is partly old; update it with the same bricks again. */
typedef struct es_brick_places {
    const int32_t (*at)[3];
    size_t count;
} es_brick_places;
bool es_fill_update(const es_bricks *seen, es_brick_places changed, const es_fill_options *options,
                    es_bricks *filled, es_fill_stats *stats, es_error *err);

/* For writers: lays the filled voxels over slices z0 .. z0 + count - 1 of a
 * dense grid with one channel on the same lattice (es_volume_grid_info's),
 * converted as es_type_set does. ES_USAGE for another lattice or three
 * channels. */
bool es_fill_overlay(const es_bricks *filled, const es_grid_info *info, uint64_t z0, uint64_t count,
                     void *out, es_error *err);
/* Sets the same places to 1 in the slices of a u8 mask of info's size. */
bool es_fill_mark(const es_bricks *filled, const es_grid_info *info, uint64_t z0, uint64_t count,
                  uint8_t *out, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
