/* What the files of hole filling share: a brick's surroundings as bits, what is
 * seen along 13 lines, and the steps made ready.
 *
 * Nearly everything is decided on slices of a brick, 256 voxels at a time, as
 * bits; only voxels that are really filled are looked at one by one.
 *
 * The work itself stands in fill_look.h, fill_stick.h, fill_cube.h,
 * fill_gaussian.h and fill_nearest.h: plain C that is compiled once for any
 * processor (fill_plain.c) and once more for those with AVX2 (fill_avx2.c),
 * where the compiler makes wider instructions of it. The bits are the same. */
#ifndef RECON_FILL_INTERNAL_H
#define RECON_FILL_INTERNAL_H

#include <float.h>
#include <limits.h>
#include <string.h>

#include "recon_internal.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "rows of 16 bits are read four at a time"
#endif

enum {
    FILL_LINES = 13,
    FILL_MOST_STICK = 127,
    FILL_MOST_SIZE = 15,                  /* cubes reach half a brick past its faces at most */
    FILL_MOST_LOOK = FILL_MOST_STICK - 2, /* voxels from a hole to the end of a stick */
    FILL_MOST_RING = (FILL_MOST_LOOK + ES_BRICK - 1) / ES_BRICK,
    FILL_MOST_BRICKS =
        (2 * FILL_MOST_RING + 1) * (2 * FILL_MOST_RING + 1) * (2 * FILL_MOST_RING + 1),
    FILL_MOST_BLOCK = ES_BRICK + FILL_MOST_SIZE - 1,
    FILL_AREA = ES_BRICK * ES_BRICK, /* voxels of a slice */
    FILL_ROW = 2 * ES_BRICK,         /* a row and half a brick on each side */
    FILL_COUNT_BITS = 12,            /* of 15^3 voxels */
};

/* One voxel step along each line; the other way is its negative. */
static const int fill_lines[FILL_LINES][3] = {
    {1, 0, 0}, {0, 1, 0},  {0, 0, 1}, {1, 1, 0},  {1, -1, 0}, {1, 0, 1},  {1, 0, -1},
    {0, 1, 1}, {0, 1, -1}, {1, 1, 1}, {1, 1, -1}, {1, -1, 1}, {1, -1, -1}};

/* ---- slices of bits ------------------------------------------------------------ */

/* 16 rows of 16 voxels: voxel (x, y) is bit 16 * (y % 4) + x of word y / 4.
 * Always handed on by address. */
typedef uint64_t fill_slice __attribute__((vector_size(32), aligned(8), may_alias));
enum { FILL_WORDS = 4 };

static inline bool fill_any(const fill_slice *s) {
    return ((*s)[0] | (*s)[1] | (*s)[2] | (*s)[3]) != 0;
}

/* Takes the next voxel out of the slice, x + 16 y, or -1 when it is empty.
 * `word` starts at 0. */
static inline int fill_next(fill_slice *s, int *word) {
    while (*word < FILL_WORDS && (*s)[*word] == 0) ++*word;
    if (*word == FILL_WORDS) return -1;
    int bit = __builtin_ctzll((*s)[*word]);
    (*s)[*word] &= (*s)[*word] - 1;
    return 64 * *word + bit;
}

static inline unsigned fill_row_bits(const fill_slice *s, int y) {
    return (unsigned)((*s)[y / 4] >> 16 * (y % 4)) & 0xffff;
}
static inline void fill_drop(fill_slice *s, int y, unsigned row_bits) {
    (*s)[y / 4] &= ~((uint64_t)row_bits << 16 * (y % 4));
}

/* ---- bricks as bits ------------------------------------------------------------ */

/* A brick as bits: the state of a cell. All zero is a brick that is not there. */
typedef struct fill_bits {
    const es_brick *brick;
    bool any;                  /* known */
    uint8_t low[3], high[3];   /* box of the known voxels */
    uint16_t seen[FILL_AREA];  /* weight > 0: row y of slice z is element y + 16 z, bit x */
    uint16_t known[FILL_AREA]; /* and its numbers are finite: what a step may read */
} fill_bits;

/* The bricks round one, `ring` on each side, and their known bits. Voxels are
 * counted from the middle brick's first. */
typedef struct fill_window {
    int ring, side;                              /* side = 16 * (2 ring + 1) voxels */
    int low[3], high[3];                         /* box of the known voxels */
    const es_brick *bricks[FILL_MOST_BRICKS];    /* x fastest; NULL: nothing known */
    uint16_t rows[FILL_MOST_BRICKS * FILL_AREA]; /* column of 16 x, then z, then y */
} fill_window;
/* The brick that a voxel lies in, and its place there. */
static inline const es_brick *fill_window_find(const fill_window *w, int x, int y, int z,
                                               unsigned *voxel) {
    const unsigned n = 2 * (unsigned)w->ring + 1, first = ES_BRICK * (unsigned)w->ring;
    const unsigned i = first + (unsigned)x, j = first + (unsigned)y, k = first + (unsigned)z;
    *voxel = i % ES_BRICK + ES_BRICK * (j % ES_BRICK + ES_BRICK * (k % ES_BRICK));
    return w->bricks[i / ES_BRICK + n * (j / ES_BRICK + n * (k / ES_BRICK))];
}
/* The element of rows with 16 voxels of a row; their column is 0 .. 2 ring. */
static inline size_t fill_window_row(const fill_window *w, int column, int y, int z) {
    const int first = ES_BRICK * w->ring;
    return ((size_t)column * (size_t)w->side + (size_t)(first + z)) * (size_t)w->side +
           (size_t)(first + y);
}

/* What the voxels of one slice see, as far as it was looked: first[line][0][k]
 * has the voxels whose first known voxel forward lies k + 1 steps away, [1]
 * backward. */
typedef struct fill_sight {
    const fill_window *window;
    int z;
    int depth[FILL_LINES][2];      /* steps looked so far */
    fill_slice met[FILL_LINES][2]; /* any known voxel so far */
    fill_slice first[FILL_LINES][2][FILL_MOST_LOOK];
} fill_sight;

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
    fill_slice holes[ES_BRICK];   /* that may be filled */
    fill_slice open[ES_BRICK];    /* of them, those that are not yet */
    float value[ES_BRICK_VOXELS]; /* of those that are */
    uint64_t hole_count, filled[ES_FILL_STEPS];
} fill_result;

typedef struct fill_ends { /* the sticks of the voxels of a slice, as far as they count */
    uint8_t count[FILL_AREA];
    struct fill_end {
        float length_mm, value;
    } ends[FILL_AREA][FILL_LINES];
} fill_ends;
typedef struct fill_room { /* one for each worker */
    fill_window window;
    fill_sight sight;
    fill_ends ends;
    fill_slice squares[FILL_MOST_BLOCK][FILL_COUNT_BITS];
    float value[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_ROW];
    float weight[FILL_MOST_BLOCK * FILL_MOST_BLOCK * FILL_ROW];
} fill_room;

/* ---- fill_plain.c, fill_avx2.c ---------------------------------------------------- */

typedef struct fill_kernels {
    void (*make_bits)(fill_bits *bits); /* from bits->brick */
    /* The steps in order for the brick at `at`, whose neighbours lie in `cells`. */
    void (*fill)(const fill_method *methods, int count, const store *cells, const int32_t at[3],
                 fill_room *room, fill_result *result);
    void (*write)(const fill_result *result, es_brick *out);
} fill_kernels;
extern const fill_kernels fill_kernels_plain;
extern const fill_kernels fill_kernels_avx2; /* only where the processor has it */

/* ---- fill_method.c -------------------------------------------------------------- */

/* Checks the steps (ES_USAGE) without making anything. */
bool fill_check(const es_fill_options *options, es_error *err);
bool fill_method_make(fill_method *method, const es_fill_step *step, const double spacing_mm[3],
                      es_error *err);
void fill_method_clear(fill_method *method);

#endif
