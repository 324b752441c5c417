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
#include <string.h>

#include "recon_internal.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "slices are read as four rows of 16 bits in one 64-bit word"
#endif

enum {
    FILL_LINES = 13,
    FILL_WORDS = 4, /* of a slice */
    FILL_MOST_STICK = 127,
    FILL_MOST_SIZE = 15,                  /* sums over its square fit into a byte */
    FILL_MOST_LOOK = FILL_MOST_STICK - 2, /* voxels from a hole to the end of a stick */
    FILL_MOST_RING = (FILL_MOST_LOOK + ES_BRICK - 1) / ES_BRICK,
    FILL_MOST_BRICKS =
        (2 * FILL_MOST_RING + 1) * (2 * FILL_MOST_RING + 1) * (2 * FILL_MOST_RING + 1),
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

/* The bricks round one, `ring` on each side, and their known bits. Voxels are
 * counted from the middle brick's first. */
typedef struct fill_window {
    int ring, side;                               /* side = 16 * (2 ring + 1) voxels */
    int low[3], high[3];                          /* box of the known voxels */
    const fill_bits *bricks[FILL_MOST_BRICKS];    /* x fastest; NULL: nothing known */
    uint16_t rows[FILL_MOST_BRICKS * FILL_SLICE]; /* column of 16 x, then z, then y */
} fill_window;
/* False when nothing in it is known. */
bool fill_window_gather(fill_window *window, const store *cells, const int32_t at[3]);
/* Takes out of the middle brick's holes those outside the box: no line through
 * them can have a known voxel on both sides. */
void fill_window_cut(const fill_window *window, uint64_t holes[ES_BRICK][FILL_WORDS]);

/* Where a voxel is kept; the brick is NULL where there is none. */
typedef struct fill_place {
    const fill_bits *bits;
    unsigned voxel;
} fill_place;
static inline fill_place fill_window_place(const fill_window *w, int x, int y, int z) {
    const unsigned n = 2 * (unsigned)w->ring + 1, first = ES_BRICK * (unsigned)w->ring;
    const unsigned u[3] = {first + (unsigned)x, first + (unsigned)y, first + (unsigned)z};
    return (fill_place){w->bricks[u[0] / ES_BRICK + n * (u[1] / ES_BRICK + n * (u[2] / ES_BRICK))],
                        u[0] % ES_BRICK +
                            ES_BRICK * (u[1] % ES_BRICK + ES_BRICK * (u[2] % ES_BRICK))};
}

/* Bit (x, y) of out: is (x + d[0], y + d[1], z + d[2]) known? */
void fill_window_slice(const fill_window *window, int z, const int d[3], uint64_t out[FILL_WORDS]);

/* What the voxels of one slice see, as far as it was looked: first[line][0][k]
 * has the voxels whose first known voxel forward lies k + 1 steps away, [1]
 * backward. */
typedef struct fill_sight {
    const fill_window *window;
    int z;
    int depth[FILL_LINES][2]; /* steps looked so far */
    uint64_t met[FILL_LINES][2][FILL_WORDS];
    uint64_t first[FILL_LINES][2][FILL_MOST_LOOK][FILL_WORDS];
} fill_sight;
void fill_sight_start(fill_sight *sight, const fill_window *window, int z);
/* Looks both ways along a line, `steps` far. */
void fill_sight_extend(fill_sight *sight, int line, int steps);
/* Keeps in `open` the voxels that have a known voxel on both sides of a line,
 * with forward + backward steps at most `longest`. False when none has. */
bool fill_between(fill_sight *sight, int longest, uint64_t open[FILL_WORDS]);

/* 16 bytes of 0 or 1 as 16 bits, and back. */
static inline unsigned fill_pack(const uint8_t bytes[ES_BRICK]) {
    uint64_t half[2];
    memcpy(half, bytes, sizeof half);
    return (unsigned)(half[0] * 0x0102040810204080u >> 56 | (half[1] * 0x0102040810204080u >> 56)
                                                                << 8);
}
static inline void fill_unpack(unsigned bits, uint8_t out[ES_BRICK]) {
    for (int i = 0; i < 2; i++) {
        uint64_t picked = 0x0101010101010101u * (bits >> 8 * i & 0xff) & 0x8040201008040201u;
        uint64_t bytes = (picked + 0x7f7f7f7f7f7f7f7fu) >> 7 & 0x0101010101010101u;
        memcpy(out + 8 * i, &bytes, 8);
    }
}
/* Row y of a slice as 16 bits. */
static inline unsigned fill_row_bits(const uint64_t slice[FILL_WORDS], int y) {
    return (unsigned)(slice[y / 4] >> 16 * (y % 4)) & 0xffff;
}

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
    size_t count;       /* of sticks or orbits */
    fill_stick *sticks; /* by length */
    fill_orbit *orbits; /* by distance */
    /* Gaussian: of one axis, by distance. Inverse distance: of orbit (x, y, z),
     * at x + (radius + 1) * (y + (radius + 1) * z). */
    float *weights;
} fill_method;

/* One brick while it is filled. */
typedef struct fill_result {
    uint64_t holes[ES_BRICK][FILL_WORDS]; /* that may be filled, slice by slice */
    uint64_t open[ES_BRICK][FILL_WORDS];  /* of them, those that are not yet */
    float value[ES_BRICK_VOXELS];         /* of those that are */
    uint64_t hole_count, filled[ES_FILL_STEPS];
} fill_result;

/* A value channel and a weight channel. */
typedef struct fill_pair {
    float *value, *weight;
} fill_pair;
typedef struct fill_ends { /* the sticks of the voxels of a slice, as far as they count */
    uint8_t count[FILL_SLICE];
    struct fill_end {
        float length_mm, value;
    } ends[FILL_SLICE][FILL_LINES];
} fill_ends;
typedef struct fill_room { /* one for each worker */
    fill_window window;
    fill_sight sight;
    fill_ends ends;
    uint8_t counts[FILL_MOST_BLOCK][FILL_SLICE];
    float value[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_MOST_BLOCK];
    float weight[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_MOST_BLOCK];
} fill_room;

/* Each fills what it can of result->open, and takes it out of there. */
void fill_by_stick(const fill_method *method, fill_room *room, fill_result *result);
void fill_by_gaussian(const fill_method *method, fill_room *room, fill_result *result);
void fill_by_distance(const fill_method *method, fill_room *room, fill_result *result);
void fill_by_nearest(const fill_method *method, fill_room *room, fill_result *result);

/* ---- fill_cube.c, for the cube steps ------------------------------------------ */

/* Holes between seen voxels whose cube is known well enough, slice by slice;
 * false when there are none. */
bool fill_cube_holes(const fill_method *method, fill_room *room, const fill_result *result,
                     uint64_t holes[ES_BRICK][FILL_WORDS]);
/* Weights, and values times weights, of the voxels -radius .. 15 + radius of
 * row (y, z); 0 where nothing is known. Weights are 1 unless the step goes by
 * them. */
void fill_gather_row(const fill_method *method, const fill_window *window, int y, int z,
                     fill_pair out);
/* The quotients of one slice's sums into the holes, where there is any weight. */
void fill_put_slice(const float value[FILL_SLICE], const float weight[FILL_SLICE], int z,
                    uint64_t holes[FILL_WORDS], fill_result *result);

/* ---- fill_method.c -------------------------------------------------------------- */

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
