/* What the files of this room share: bricks of private state, frames placed on
 * the lattice in fixed point, the pixels that count, and the row kernels. */
#ifndef RECON_INTERNAL_H
#define RECON_INTERNAL_H

#include "echosolid/recon.h"

/* ---- store.c: bricks of private state ----------------------------------- */

/* One brick: its place, its state, and what the current batch does to it. */
typedef struct cell {
    int32_t at[3];
    void *state;        /* NULL until the batch that first touches it is sure to fit */
    void *deep;         /* NULL, or where what the state cannot count has gone: see kernel.deepen */
    uint64_t frames;    /* bit f: frame f of the batch in hand touches the brick */
    uint32_t most_hits; /* no voxel of the state has more */
    uint32_t deep_hits; /* nor of `deep` */
    uint32_t stamp;     /* the last batch that changed it, for whoever follows */
    uint32_t saved;     /* the last checkpoint after which its state was copied; 0: none */
} cell;

/* What a brick was at a checkpoint. */
typedef struct saved_cell {
    size_t index;
    uint32_t most_hits, deep_hits;
    void *state, *deep; /* deep: NULL if the cell had none */
} saved_cell;

typedef struct checkpoint {
    uint32_t number; /* from 1, never used again */
    size_t settled;  /* cells from here on came later */
    saved_cell *saved;
    size_t count, capacity;
    es_volume_stats stats;
} checkpoint;

/* What undo.c keeps of them. */
typedef struct undo_log {
    checkpoint *points; /* the oldest first */
    size_t count, capacity;
    uint32_t number;      /* of checkpoints so far */
    uint64_t bytes, held; /* that copies may take; that those held take */
    void **spare;         /* memory for a state's copy that is not held; room for `buffers` */
    size_t spare_count, spare_capacity, buffers;
    size_t deep_count; /* copies of cells' deep parts, all held */
} undo_log;

/* Memory for the states of many bricks, cleared. Blocks grow, up to a limit. */
typedef struct slab_list {
    void **blocks;
    size_t count, capacity;
    size_t states; /* in all the blocks */
    char *next;    /* the first state that nobody has, and how many there are */
    size_t left;
    char *cold; /* the memory of the last block from here on was not touched yet */
} slab_list;

/* A hash map of cells by brick coordinates, in order of age. */
typedef struct store {
    size_t state_bytes, deep_bytes; /* of a cell */
    uint64_t limit;                 /* bytes of both */
    cell *cells;
    size_t count, capacity;
    size_t settled; /* cells before this one have a state */
    slab_list slabs;
    size_t *slots, slot_mask;
    size_t *touched, touched_count, touched_capacity; /* cells of the batch */
    void **idle; /* cleared states of cells that were taken back; room for `capacity` */
    size_t idle_count;
    size_t deep_count, deep_wanted; /* cells that have a deep part; more that may need one */
    void **deep_spare;              /* cleared deep parts that no cell has; room for `deep_made` */
    size_t deep_spare_count, deep_made;
    undo_log log;
} store;

bool store_init(store *s, size_t state_bytes, uint64_t limit, es_error *err);
void store_clear(store *s);
/* Marks the brick as touched by frame `frame` (0..63) of the batch. */
bool store_touch(store *s, const int32_t at[3], int frame, es_error *err);
/* More bricks than the limit allows; four times more: not worth counting on. */
bool store_past_limit(const store *s);
bool store_hopeless(const store *s);
/* Gives every new cell a cleared state or, past the limit, removes the new cells
 * and fails with the size and a spacing that would fit. */
bool store_settle(store *s, const double spacing_mm[3], es_error *err);
/* Touches the memory of new states, each huge page by one thread: two threads that
 * meet in a page both clear one, and the slower one's is thrown away. */
void store_warm(store *s, es_pool *pool);
/* Gives a cell that has none a deep part, cleared. Where nothing goes into it, the end of
 * the batch takes it back. */
bool store_deepen(store *s, cell *c, es_error *err);
void store_drop_deep(store *s, cell *c);
/* Bytes of states and deep parts. */
uint64_t store_bytes(const store *s);
/* Forgets bricks whose every frame mark was cleared since they were touched. */
void store_drop_idle(store *s);
const cell *store_find(const store *s, const int32_t at[3]); /* or NULL */
/* Forgets the batch: new cells without a state, marks, the touched list. */
void store_end_batch(store *s);
/* Between two batches: leaves the first `settled` cells. Fails never. */
void store_shrink(store *s, size_t settled);

/* undo.c. See es_volume_checkpoint and es_volume_undo. */
void store_checkpoint(store *s, const es_undo_limit *limit, const es_volume_stats *stats);
/* Copies the cells of the batch that have changed since the newest checkpoint for the
 * first time; to be called when they are settled, before they change. */
void store_save(store *s);
bool store_undo(store *s, size_t steps, es_volume_stats *stats);
uint64_t store_undo_bytes(const store *s); /* that copies take, held or not */
void store_forget(store *s);               /* all of it */

enum { BATCH = 64 }; /* frames that one mark in `cell.frames` can hold */

/* ---- place.c: a frame on the lattice -------------------------------------- */

/* Positions are whole numbers of 2^-40 voxels, counted from the voxel `base`
 * of the frame. A pixel's position is row_start() + u * du in 64-bit integers:
 * exact, so that it cannot depend on where a row was cut, and every kernel gets
 * the same bits. The rounding of du and dv moves the last pixel of a
 * 10,000-pixel row by less than 1e-8 voxels.
 *
 * Rows start at whole numbers of 2^-28 voxels, so that a kernel that drops what is
 * finer from the way along a row has the same voxels in 32 bits. */
enum { FRACTION = 40, ROW_FRACTION = 28 };
#define ONE_VOXEL ((int64_t)1 << FRACTION)
#define ROW_UNIT ((int64_t)1 << (FRACTION - ROW_FRACTION))
#define FRAME_SPAN (1 << 20) /* voxels that one frame may reach */

struct row_lines;
struct row_ends;
/* Where rows, at most CUTS, enter and leave a box: see place_rows.h. */
typedef void estimate_rows_fn(const struct row_lines *lines, uint32_t rows, struct row_ends *out);

/* Vectors whose product with (position - start) is a pixel's column, or its row, for
 * every point of the frame's plane; and their absolute values. */
typedef struct plane_range {
    int count;
    double dual[3][3], size[3][3];
} plane_range;

typedef struct placed {
    estimate_rows_fn *estimate; /* the plain one, unless the processor has a faster one */
    int64_t base[3];            /* a multiple of ES_BRICK */
    int64_t start[3], du[3], dv[3];
    double inverse_du[3]; /* 1 / du, 0 when du is 0 */
    plane_range columns, rows;
    es_vec3 normal;     /* unit, in voxels */
    uint32_t most_hits; /* no voxel has more pixels of the frame nearest to it */
} placed;

/* Where row v starts along one axis. */
static inline int64_t row_start(int64_t start, int64_t dv, uint32_t v) {
    return (start + (int64_t)v * dv) & -ROW_UNIT;
}

/* ES_GEOMETRY unless finite, affine, and u and v columns span a plane. */
bool check_matrix(const es_mat4 *image_to_reference, es_error *err);

/* The rectangle of pixels that a placement must cover, last ones included. */
typedef struct pixel_box {
    uint32_t u0, u1, v0, v1;
} pixel_box;

/* `shift` voxels are added to every coordinate: 0.5 makes floor() the nearest
 * voxel. */
bool place_frame(const es_mat4 *image_to_reference, const double origin_mm[3],
                 const double spacing_mm[3], double shift, pixel_box pixels, placed *frame,
                 es_error *err);

/* A box in the frame's fixed-point coordinates: low <= position < low + size. */
typedef struct fixed_box {
    int64_t low[3];
    uint64_t size[3];
} fixed_box;
fixed_box make_fixed_box(const placed *frame, const int64_t first[3], const int64_t last[3]);

/* Calls `visit` for every brick that the frame's parallelogram may touch when
 * it is thickened by `reach` voxels on each side: a superset. */
typedef bool visit_brick_fn(void *context, const int32_t at[3], es_error *err);
bool visit_bricks(const placed *frame, pixel_box pixels, double reach, visit_brick_fn *visit,
                  void *context, es_error *err);

/* ---- support.c: the pixels that count ------------------------------------- */

/* Per row the runs of pixels inside clip rectangle and fan. */
typedef struct run {
    uint32_t from, to;
} run;
typedef struct support {
    uint32_t width, height; /* of the images it was made for */
    pixel_box box;          /* of all the runs */
    run *runs;
    size_t *row_first; /* runs of row v: row_first[v] to row_first[v + 1] */
    size_t most_runs;  /* of any row */
    bool rectangle;    /* the runs fill the box */
    uint64_t pixels;
} support;
bool support_make(support *s, const es_recon_options *options, uint32_t width, uint32_t height,
                  es_error *err);
void support_clear(support *s);

/* ---- place.c again: rows cut to boxes -------------------------------------- */

/* Rows that can reach the box; false when there are none. */
bool rows_of_box(const placed *frame, const fixed_box *box, pixel_box pixels, uint32_t *first,
                 uint32_t *last);

enum { CUTS = 64 };
/* Where row `first` + r enters and leaves the box along each axis: a line in r. */
typedef struct row_lines {
    double enter[3], leave[3], step[3];
    double first, last; /* half a pixel outside the columns that count */
    double margin;      /* pixels; the estimate errs by less */
    bool good;          /* an axis along which a row hardly moves gives no good lines */
} row_lines;

/* The pixels of some rows in the box, [from, to). `from` is UNSURE_ROW for a row
 * where an end lies so close to a whole pixel that only integers can tell. */
enum { UNSURE_ROW = -1 };
typedef struct row_ends {
    int32_t from[CUTS], to[CUTS];
    bool sure; /* each of them, and up to the next whole eight */
} row_ends;
/* NULL, or what the processor level has in place of the plain estimate. */
estimate_rows_fn *find_estimate(es_cpu level);

typedef struct row_cut {
    uint32_t v;
    run pixels;
} row_cut;
/* The runs of the rows *v to `last` that fall into the box, up to CUTS of them;
 * *v becomes the next row to do. Exact: neighbouring boxes share no pixel and
 * lose none. */
size_t cut_rows(const placed *frame, const fixed_box *box, const support *s, uint32_t *v,
                uint32_t last, row_cut cuts[CUTS]);

/* ---- kernels.c: rows into bricks ------------------------------------------ */

/* Pixels that kernels take at a time. LINEAR gathers the pixels of one cell
 * within a chunk, so that its size is part of the result. Weights are read in
 * whole chunks. */
enum { CHUNK = 64 };

/* A run of pixels that all fall into one brick. */
typedef struct row_span {
    const void *pixels;  /* `count` of them, one channel, without gaps */
    const uint8_t *keep; /* NULL, or 0 for each pixel to leave out; with a mask its weight */
    uint64_t at[3];      /* position of the first, local to the state, never negative */
    uint32_t count;
} row_span;

/* How the pixels of one frame lie in memory and in a brick's state. */
typedef struct layout {
    const char *pixels; /* pixel (u, v) is at v * row_bytes + (u - u0) * pixel_bytes */
    size_t pixel_bytes, row_bytes;
    const uint8_t *keep; /* NULL, or alike, a byte a pixel: see row_span */
    size_t keep_row;
    uint32_t u0;
    int64_t start[3],
        dv[3];        /* pixel (0, 0), seen from the state's first voxel, and from row to row */
    uint64_t step[3]; /* from pixel to pixel */
} layout;

/* What one frame puts into one brick, or a part of it, in the order of rows. */
typedef struct tile {
    layout layout;
    const void *end; /* of the memory that holds the pixels of all the spans */
    uintptr_t ahead; /* from a pixel to what is worth fetching meanwhile; 0: nothing */
    uint32_t frame;  /* 1-based number of the frame, for LATEST and MAXIMUM */
    void *deep;      /* NULL, or what the tile goes into: the state cannot count its hits */
    uint32_t count;
    row_cut cuts[CUTS];
} tile;
typedef void insert_tile_fn(void *state, const tile *tile);

/* What one voxel holds, as numbers. */
typedef struct reading {
    double value, hits, spread; /* hits 0: unseen, and then all are 0 */
} reading;

/* States of NEAREST MEAN of bytes count few hits, which makes them small. Before one
 * could count too many, what it holds goes into a deep part that counts more. */
typedef struct kernel {
    size_t brick_bytes;          /* of a state, one channel */
    insert_tile_fn *insert_kept; /* heeds what spans say of pixels to leave out */
    insert_tile_fn *insert;      /* for spans that keep all their pixels; with a mask, any */
    /* `count` neighbours in x, from element `first` of the state; deep may be NULL. */
    void (*read)(const void *state, const void *deep, size_t first, uint32_t count, reading *out);
    /* The same as pixels of the volume's type, 0 where unseen. */
    void (*values)(const void *state, const void *deep, size_t first, uint32_t count, void *out);
    /* Marks pixels that are not finite or below the threshold; returns how many stay. */
    uint32_t (*keep)(const void *pixels, uint32_t count, int channels, double threshold,
                     uint8_t *keep);
    /* One channel out of interleaved ones. */
    void (*pick)(const void *pixels, uint32_t count, int channels, int channel, void *out);
    uint32_t state_hits; /* of a voxel, that a state can count; 0: any number */
    /* NULL, or scales down a state, or its deep part if there is one, when more hits per
     * voxel than it can count could come. */
    void (*make_room)(void *state);
    size_t deep_bytes; /* of the deep part of a state; 0: it never needs one */
    /* Moves what the state holds into the deep part, and clears the state. */
    void (*deepen)(void *state, void *deep);
    uint32_t (*count_most)(const void *state); /* hits of the voxel of a state that has most */
    estimate_rows_fn *estimate;                /* NULL: the plain one */
} kernel;

/* The kernel for valid options at a processor level. */
kernel kernel_find(const es_recon_options *options, es_cpu level);

/* LINEAR states have a rim that takes the weights which belong to neighbouring
 * bricks: voxel (x, y, z), each -1 .. 16, is element
 * RIM_FIRST + x + RIM_ROW * y + RIM_SLICE * z. Rows overlap in the rim, which
 * is never read. */
enum {
    RIM_ROW = ES_BRICK + 1,
    RIM_SLICE = RIM_ROW * RIM_ROW,
    RIM_FIRST = 1 + RIM_ROW + RIM_SLICE,
    RIM_VOXELS = RIM_FIRST + ES_BRICK * (1 + RIM_ROW + RIM_SLICE) + 1
};

enum { MOST_HITS = (1 << 24) - 1 }; /* that a state with make_room, or its deep part, can count */

/* ---- volume.c, for resolve.c ------------------------------------------------ */

struct es_volume {
    es_recon_options options; /* its mask, if any, is the copy below */
    es_image mask;            /* with room for CHUNK bytes behind it */
    es_pool *pool;
    kernel kernel;
    store store;
    support support;
    es_volume_stats stats;
    struct batch *batch; /* room for the frames in hand */
};

/* First and last voxel of a brick that belong to the volume; false when the
 * whole brick lies outside the extent. */
bool brick_range(const es_recon_options *options, const int32_t at[3], int64_t first[3],
                 int64_t last[3]);
/* Element of a brick's state that holds one of its voxels, each 0 .. 15. */
size_t state_index(const es_recon_options *options, int x, int y, int z);

/* ---- distance.c, for smooth.c, coarse.c and seen.c ---------------------------------------- */

typedef struct distance_voxel {
    float weighted, weight; /* sums of w d and of w */
    uint32_t seen;          /* seen.c: frames and directions */
} distance_voxel;

/* seen.c. A direction is one of twenty: the bit of the face of an icosahedron that a unit
 * vector meets. Frames are counted above, as far as there is room. */
uint32_t seen_from(es_vec3 direction);
enum { SEEN_DIRECTIONS = 20, SEEN_FRAMES_MOST = (1 << (32 - SEEN_DIRECTIONS)) - 1 };
static inline uint32_t seen_add(uint32_t seen, uint32_t from) {
    seen |= from;
    return seen >> SEEN_DIRECTIONS < SEEN_FRAMES_MOST ? seen + (1u << SEEN_DIRECTIONS) : seen;
}

struct es_distance {
    es_distance_options options;
    es_pool *pool;
    store store; /* a state is ES_BRICK_VOXELS distance_voxels, x fastest */
    es_volume_stats stats;
    uint32_t batches;     /* inserted; the newest stamp */
    uint32_t undos;       /* a copy from before the last one is not to be followed on */
    struct sheet *sheets; /* the frames in hand, BATCH of them */
};

/* ---- options.c --------------------------------------------------------------- */

bool check_options(const es_recon_options *options, es_error *err);
bool check_lattice(const double origin_mm[3], const double spacing_mm[3], es_error *err);

#endif
