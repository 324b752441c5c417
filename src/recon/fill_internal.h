/* What the fill_*.c files share: a brick's surroundings as bits, what is seen
 * along 13 lines, and the steps made ready.
 *
 * One slice of a brick, 16 rows of 16 voxels, is 256 bits in four 64-bit words:
 * voxel (x, y) is bit 16 * (y % 4) + x of word y / 4. Nearly everything is
 * decided on such slices, 256 voxels at a time; only voxels that are really
 * filled are looked at one by one. */
#ifndef RECON_FILL_INTERNAL_H
#define RECON_FILL_INTERNAL_H

#include <float.h>

#include "recon_internal.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "slices are read as four rows of 16 bits in one 64-bit word"
#endif

enum {
    FILL_LINES = 13,
    FILL_WORDS = 4, /* of a slice */
    FILL_MOST_STICK = 127,
    FILL_MOST_SIZE = 31,
    FILL_MOST_LOOK = FILL_MOST_STICK - 2, /* voxels from a hole to the end of a stick */
    FILL_MOST_RING = (FILL_MOST_LOOK + ES_BRICK - 1) / ES_BRICK,
    FILL_MOST_SIDE = ES_BRICK * (2 * FILL_MOST_RING + 1),
    FILL_MOST_BLOCK = ES_BRICK + FILL_MOST_SIZE - 1,
    FILL_SLICE = ES_BRICK * ES_BRICK,
};

/* One voxel step along each line; the other way is its negative. */
extern const int fill_lines[FILL_LINES][3];

/* ---- fill_look.c ------------------------------------------------------------ */

/* What a step may read. */
static inline bool fill_known(float value, float weight) {
    return (weight > 0) & (weight <= FLT_MAX) & (value >= -FLT_MAX) & (value <= FLT_MAX);
}

/* A brick as bits: the state of a cell. All zero is a brick that is not there. */
typedef struct fill_bits {
    const es_brick *brick;
    bool any;                   /* known */
    uint8_t low[3], high[3];    /* box of the known voxels */
    uint16_t seen[FILL_SLICE];  /* weight > 0: row y of slice z is element y + 16 z, bit x */
    uint16_t known[FILL_SLICE]; /* fill_known */
} fill_bits;
void fill_bits_make(fill_bits *bits);

/* The bricks round one, `ring` on each side, and their known bits. */
typedef struct fill_window {
    int ring, side; /* side = 16 * (2 ring + 1) voxels */
    const fill_bits *bricks[(2 * FILL_MOST_RING + 1) * (2 * FILL_MOST_RING + 1) *
                            (2 * FILL_MOST_RING + 1)]; /* x fastest; NULL: not there */
    /* Column c (16 voxels of x), then z, then y; 16 bits of x each. */
    uint16_t rows[(2 * FILL_MOST_RING + 1) * FILL_MOST_SIDE * FILL_MOST_SIDE];
} fill_window;
/* Returns false when nothing in it is known. */
bool fill_window_gather(fill_window *window, const store *cells, const int32_t at[3]);
/* The voxel (x, y, z), counted from the middle brick's first: NULL brick when
 * it is not known. */
typedef struct fill_voxel {
    const es_brick *brick;
    int index;
} fill_voxel;
fill_voxel fill_window_voxel(const fill_window *window, int x, int y, int z);
/* Bit (x, y) of out: is (x + d[0], y + d[1], z + d[2]) known? */
void fill_window_slice(const fill_window *window, int z, const int d[3], uint64_t out[FILL_WORDS]);

/* What the voxels of one slice see: first[line][0][k] has the voxels whose
 * first known voxel forward lies k + 1 steps away, [1] backward. */
typedef struct fill_sight {
    uint64_t first[FILL_LINES][2][FILL_MOST_LOOK][FILL_WORDS];
    bool useful[FILL_LINES]; /* some voxel lies between two known ones */
} fill_sight;
/* Keeps in `open` the voxels that have a known voxel on both sides of a line,
 * with forward + backward steps at most `longest`. False when none has. */
bool fill_look(const fill_window *window, int z, int longest, uint64_t open[FILL_WORDS],
               fill_sight *sight);

/* ---- the steps -------------------------------------------------------------- */

/* A stick of `steps` steps, forward and backward, along one line. */
typedef struct fill_stick {
    float length_mm;
    int line, steps;
} fill_stick;
/* The voxels at (+-x, +-y, +-z) of a hole. */
typedef struct fill_orbit {
    float distance_mm;
    int x, y, z;
} fill_orbit;

/* A step made ready. */
typedef struct fill_method {
    es_fill_step step;
    int radius;         /* of a cube */
    int longest;        /* forward + backward steps from seen to seen on a line */
    int least_known;    /* voxels of the cube */
    fill_stick *sticks; /* by length */
    fill_orbit *orbits; /* by distance */
    float *weights;     /* of orbit (x, y, z), at x + (radius + 1) * (y + (radius + 1) * z) */
    size_t count;       /* of sticks or orbits */
} fill_method;

/* One brick while it is filled. */
typedef struct fill_result {
    uint64_t holes[ES_BRICK][FILL_WORDS]; /* slice by slice */
    uint64_t open[ES_BRICK][FILL_WORDS];  /* holes that are left */
    float value[ES_BRICK_VOXELS];         /* of holes that are not */
    uint64_t hole_count, filled[ES_FILL_STEPS];
} fill_result;

typedef struct fill_cube { /* room for the cube steps */
    uint8_t along_x[FILL_MOST_BLOCK * FILL_MOST_BLOCK * ES_BRICK];
    uint16_t along_y[FILL_MOST_BLOCK * FILL_SLICE], known[ES_BRICK_VOXELS];
    float value[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_MOST_BLOCK];
    float weight[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_MOST_BLOCK];
} fill_cube;
typedef struct fill_ends { /* the sticks of one voxel, as far as they count */
    int count;
    struct {
        float length_mm, value;
    } sticks[FILL_LINES];
} fill_ends;
typedef struct fill_room { /* one for each worker */
    fill_window window;
    fill_sight sight;
    fill_ends ends[FILL_SLICE];
    fill_cube cube;
} fill_room;

/* Each fills what it can of result->open, and takes it out of there. */
void fill_by_stick(const fill_method *method, fill_room *room, fill_result *result);
void fill_by_weights(const fill_method *method, fill_room *room, fill_result *result);
void fill_by_nearest(const fill_method *method, fill_room *room, fill_result *result);
/* Holes between seen voxels whose cube is known well enough, slice by slice;
 * false when there are none. */
bool fill_cube_holes(const fill_method *method, fill_room *room, const fill_result *result,
                     uint64_t holes[ES_BRICK][FILL_WORDS]);

/* Checks the steps (ES_USAGE) without making anything. */
bool fill_check(const es_fill_options *options, es_error *err);
bool fill_method_make(fill_method *method, const es_fill_step *step, const double spacing_mm[3],
                      es_error *err);
void fill_method_clear(fill_method *method);

static inline bool fill_any(const uint64_t slice[FILL_WORDS]) {
    return (slice[0] | slice[1] | slice[2] | slice[3]) != 0;
}

/* Takes the next voxel out of the slice: x + 16 y, or -1 when it is empty. */
static inline int fill_next(uint64_t slice[FILL_WORDS], int *word) {
    while (*word < FILL_WORDS && slice[*word] == 0) ++*word;
    if (*word == FILL_WORDS) return -1;
    int bit = __builtin_ctzll(slice[*word]);
    slice[*word] &= slice[*word] - 1;
    return 64 * *word + bit;
}

#endif
