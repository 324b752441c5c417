/* The iso-surface of a sparse field: marching cubes brick by brick.
 *
 * Each brick is worked on alone, in three rounds: its voxels become two bits
 * each (inside, known); the crossed lattice edges it owns and the triangles
 * of its cells are counted; and, once a running sum over the bricks has given
 * each its place in the mesh, vertices and triangles are written there. The
 * place depends on the data alone, so any number of threads gives the same
 * bytes. The order of work follows flying edges (Schroeder, Maynard and
 * Geveci 2015), on rows of bits.
 *
 * A voxel owns the edges that leave it along +x, +y and +z, a cell is named
 * after its first corner. A crossed edge carries one vertex, which the four
 * cells about the edge share: round it they form one fan. Where the field is
 * unknown cells are left out, and the surface has a boundary. If just two
 * opposite cells about an edge remain, they touch in the vertex alone; such an
 * edge carries two vertices, one each, a little apart, so that no vertex has two
 * fans, not even after a file format has merged equal points. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "cases.h"
#include "echosolid/surface.h"

enum { ROWS = ES_BRICK * ES_BRICK, WINDOW = ES_BRICK + 2, SHIFT = 4, ROW_BITS = 0xffff };

/* Vertices keep this part of an edge's length away from its ends, so that no
 * two coincide (in a lattice point) and no triangle is without area. */
static const double MARGIN = 1e-3;
/* ... or this many steps of a 32-bit float where those are coarser, ... */
static const double MARGIN_STEPS = 8;
/* ... up to this part, past which 32-bit vertices cannot hold the shape. */
static const double MARGIN_LIMIT = 0.125;

/* Edges along one axis in one row of a brick. A vertex's number in the brick
 * is base + how many of `crossed` and `split` lie below its bit. */
typedef struct edge_row {
    uint16_t crossed; /* bit x: the edge carries a vertex */
    uint16_t split;   /* bit x: it carries two */
    uint16_t base;
} edge_row;

typedef struct brick_part {
    int32_t at[3];
    const es_brick *brick;               /* NULL: all unknown, but next to a brick */
    bool any_inside, any_outside;        /* outside: unknown too */
    bool has_surface;                    /* it has triangles, or vertices for its neighbours */
    size_t first_vertex, first_triangle; /* counts until make_mesh sums them */
    uint16_t inside[ROWS], known[ROWS];  /* row y + 16 z, bit x */
    edge_row edges[ROWS][3];
} brick_part;

/* Where parts lie, apart from them, for a compact search. */
typedef struct part_place {
    int32_t at[3];
    const es_brick *brick;
} part_place;

/* Where a cube edge starts, counted from its cell, and runs along. */
typedef struct edge_place {
    int8_t offset[3], axis;
} edge_place;

typedef struct extraction {
    const es_iso_options *options;
    double origin_mm[3], spacing_mm[3], margin[3];
    part_place *places; /* by z, then y, then x; parts alike */
    brick_part *parts;
    size_t count;
    iso_case cases[256];
    edge_place edges[CUBE_EDGES];
    es_mesh mesh;
} extraction;

/* A part and its 26 neighbours; [(dz + 1) * 9 + (dy + 1) * 3 + dx + 1]. Where there is
 * none, NOTHING: all unknown. */
typedef struct neighbourhood {
    const brick_part *parts[27];
} neighbourhood;
static const brick_part NOTHING = {.any_outside = true};

/* The bits of a part with one voxel more on each side: row [z + 1][y + 1],
 * bit x + 1. cell: the cells that are drawn, named by their first corner. */
typedef struct bit_window {
    uint32_t inside[WINDOW][WINDOW], known[WINDOW][WINDOW], cell[WINDOW - 1][WINDOW - 1];
} bit_window;

/* ---- the places of the parts -------------------------------------------- */

static int compare_at(const int32_t a[3], const int32_t b[3]) {
    for (int axis = 2; axis >= 0; axis--)
        if (a[axis] != b[axis]) return a[axis] < b[axis] ? -1 : 1;
    return 0;
}

static int compare_places(const void *a, const void *b) {
    const part_place *p = a, *q = b;
    int order = compare_at(p->at, q->at);
    /* A brick comes before the empty places that its neighbours ask for. */
    return order ? order : (p->brick == NULL) - (q->brick == NULL);
}

/* One place per brick; when unknown is outside, also the bricks below each
 * along the axes and diagonals, for they own edges into it. */
static bool find_places(extraction *work, const es_bricks *bricks, es_error *err) {
    size_t copies = work->options->outside_unknown ? 8 : 1, total;
    size_t count = es_bricks_count(bricks);
    if (!es_multiply(count, copies, &total))
        return es_fail(err, ES_MEMORY, "%zu bricks are too many", count);
    work->places = es_alloc(total, sizeof *work->places, err);
    if (!work->places) return false;
    for (size_t i = 0; i < total; i++) {
        const es_brick *brick = es_bricks_get(bricks, i / copies);
        int step = (int)(i % copies);
        part_place *place = &work->places[i];
        for (int axis = 0; axis < 3; axis++) place->at[axis] = brick->at[axis] - (step >> axis & 1);
        place->brick = step ? NULL : brick;
    }
    qsort(work->places, total, sizeof *work->places, compare_places);
    for (size_t i = 0; i < total; i++)
        if (i == 0 || compare_at(work->places[i].at, work->places[work->count - 1].at) != 0)
            work->places[work->count++] = work->places[i];
    return true;
}

/* The first place not before `at`. */
static size_t search_place(const extraction *work, const int32_t at[3]) {
    size_t low = 0, high = work->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_at(work->places[middle].at, at) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static neighbourhood find_neighbours(const extraction *work, const brick_part *centre) {
    neighbourhood around;
    for (int i = 0; i < 27; i++) around.parts[i] = &NOTHING;
    for (int row = 0; row < 9; row++) {
        int32_t at[3] = {centre->at[0] - 1, centre->at[1] + row % 3 - 1,
                         centre->at[2] + row / 3 - 1};
        size_t i = search_place(work, at);
        for (int dx = 0; dx < 3; dx++, at[0]++)
            if (i < work->count && compare_at(work->places[i].at, at) == 0)
                around.parts[3 * row + dx] = &work->parts[i++];
    }
    return around;
}

/* The part that holds voxel (x, y, z) counted from the centre's first. */
static const brick_part *part_of(const neighbourhood *around, const int voxel[3]) {
    int dx = voxel[0] >> SHIFT, dy = voxel[1] >> SHIFT, dz = voxel[2] >> SHIFT;
    return around->parts[9 * (dz + 1) + 3 * (dy + 1) + dx + 1];
}

static int row_of(int y, int z) { return (y & (ES_BRICK - 1)) + ES_BRICK * (z & (ES_BRICK - 1)); }

/* ---- first round: bits -------------------------------------------------- */

/* Smallest float not under x: value < x says the same with it for x. */
static float float_above(double x) {
    float f = (float)x;
    return f < x ? nextafterf(f, INFINITY) : f;
}

/* What makes a voxel inside and known. */
typedef struct limits {
    float sign, level, least; /* sign * value < level; weight >= least */
} limits;

/* Bit x of voxel x of a row: known (not NaN, seen enough), and under the level. */
static void classify_row(const float *value, const float *weight, limits limit, uint32_t *known,
                         uint32_t *below) {
    *known = *below = 0;
#ifdef __SSE2__ /* four at a time; the same comparisons as below */
    const __m128 sign = _mm_set1_ps(limit.sign), level = _mm_set1_ps(limit.level);
    const __m128 least = _mm_set1_ps(limit.least);
    for (int x = 0; x < ES_BRICK; x += 4) {
        __m128 v = _mm_loadu_ps(value + x), w = _mm_loadu_ps(weight + x);
        __m128 seen = _mm_and_ps(_mm_cmpge_ps(w, least), _mm_cmpord_ps(v, v));
        *known |= (uint32_t)_mm_movemask_ps(seen) << x;
        *below |= (uint32_t)_mm_movemask_ps(_mm_cmplt_ps(_mm_mul_ps(sign, v), level)) << x;
    }
#else
    for (int x = 0; x < ES_BRICK; x++) {
        *known |= (uint32_t)((weight[x] >= limit.least) & (value[x] == value[x])) << x;
        *below |= (uint32_t)(limit.sign * value[x] < limit.level) << x;
    }
#endif
}

static limits find_limits(const es_iso_options *options) {
    limits limit = {.sign = options->inside_below ? 1 : -1};
    limit.level = float_above(limit.sign * options->level);
    limit.least = fmaxf(options->min_weight, FLT_TRUE_MIN);
    return limit;
}

static void classify_part(void *context, size_t index, int worker) {
    (void)worker;
    extraction *work = context;
    brick_part *part = &work->parts[index];
    part->any_outside = true;
    if (!part->brick) return;
    limits limit = find_limits(work->options);
    uint32_t any = 0, all = ROW_BITS;
    for (int row = 0; row < ROWS; row++) {
        uint32_t known, below;
        classify_row(part->brick->value + row * ES_BRICK, part->brick->weight + row * ES_BRICK,
                     limit, &known, &below);
        part->known[row] = (uint16_t)known;
        part->inside[row] = (uint16_t)(below & known);
        any |= part->inside[row];
        all &= part->inside[row];
    }
    part->any_inside = any != 0;
    part->any_outside = all != ROW_BITS;
}

/* ---- the window about a part -------------------------------------------- */

static uint32_t join_bits(uint32_t before, uint32_t here, uint32_t behind) {
    return before >> (ES_BRICK - 1) | here << 1 | (behind & 1) << (ES_BRICK + 1);
}

/* Rows (y0 - 1, z - 1) and on, of three parts in a row. */
static void gather_rows(const neighbourhood *around, int z, int y0, int y1, bit_window *window) {
    const brick_part *const *three =
        &around->parts[9 * (((z - 1) >> SHIFT) + 1) + 3 * (((y0 - 1) >> SHIFT) + 1)];
    const brick_part *before = three[0], *here = three[1], *behind = three[2];
    for (int y = y0; y < y1; y++) {
        int row = row_of(y - 1, z - 1);
        window->inside[z][y] =
            join_bits(before->inside[row], here->inside[row], behind->inside[row]);
        window->known[z][y] = join_bits(before->known[row], here->known[row], behind->known[row]);
    }
}

/* False when nothing is inside or nothing outside: no surface here. */
static bool may_cross(const neighbourhood *around) {
    bool inside = false, outside = false;
    for (int i = 0; i < 27; i++) {
        inside |= around->parts[i]->any_inside;
        outside |= around->parts[i]->any_outside;
    }
    return inside && outside;
}

static void gather_window(const neighbourhood *around, bool outside_unknown, bit_window *window) {
    for (int z = 0; z < WINDOW; z++) {
        gather_rows(around, z, 0, 1, window);
        gather_rows(around, z, 1, WINDOW - 1, window);
        gather_rows(around, z, WINDOW - 1, WINDOW, window);
    }
    for (int z = 0; z + 1 < WINDOW; z++)
        for (int y = 0; y + 1 < WINDOW; y++) {
            uint32_t known = window->known[z][y] & window->known[z][y + 1] &
                             window->known[z + 1][y] & window->known[z + 1][y + 1];
            window->cell[z][y] = outside_unknown ? ~0u : known & known >> 1;
        }
}

/* ---- second round: counts ------------------------------------------------ */

/* Which edges along `axis` of row (y, z) carry a vertex, and which two. */
static edge_row find_edges(const bit_window *window, int axis, int y, int z) {
    uint32_t here = window->inside[z + 1][y + 1] >> 1;
    uint32_t next = window->inside[z + 1 + (axis == 2)][y + 1 + (axis == 1)] >> (1 + (axis == 0));
    uint32_t crossed = (here ^ next) & ROW_BITS;
    if (crossed == 0) return (edge_row){0};
    uint32_t cell[4]; /* the cells about the edge, by their offset from it */
    for (int i = 0; i < 4; i++) {
        int offset[3] = {0};
        offset[(axis + 1) % 3] = i & 1;
        offset[(axis + 2) % 3] = i >> 1;
        cell[i] = window->cell[z + 1 - offset[2]][y + 1 - offset[1]] >> (1 - offset[0]);
    }
    crossed &= cell[0] | cell[1] | cell[2] | cell[3];
    uint32_t opposite =
        (cell[0] & cell[3] & ~(cell[1] | cell[2])) | (cell[1] & cell[2] & ~(cell[0] | cell[3]));
    return (edge_row){.crossed = (uint16_t)crossed, .split = (uint16_t)(crossed & opposite)};
}

/* Whether the row's own edges and cells are all on one side: nothing is there. */
static bool row_is_plain(const bit_window *window, int y, int z) {
    const uint32_t *low = &window->inside[z + 1][y + 1], *high = &window->inside[z + 2][y + 1];
    const uint32_t whole = (ROW_BITS << 1) | 1u << (ES_BRICK + 1);
    uint32_t any = low[0] | low[1] | high[0] | high[1];
    uint32_t all = low[0] & low[1] & high[0] & high[1];
    return !(any & whole) || (all & whole) == whole;
}

/* Bit x: the cell is drawn and has corners of both kinds. */
static uint32_t find_cells(const bit_window *window, int y, int z) {
    const uint32_t *low = &window->inside[z + 1][y + 1], *high = &window->inside[z + 2][y + 1];
    uint32_t any = low[0] | low[1] | high[0] | high[1];
    uint32_t all = low[0] & low[1] & high[0] & high[1];
    return ((any | any >> 1) & ~(all & all >> 1) & window->cell[z + 1][y + 1]) >> 1 & ROW_BITS;
}

static unsigned cell_pattern(const bit_window *window, int x, int y, int z) {
    const uint32_t *low = &window->inside[z + 1][y + 1], *high = &window->inside[z + 2][y + 1];
    int shift = x + 1;
    return (low[0] >> shift & 3) | (low[1] >> shift & 3) << 2 | (high[0] >> shift & 3) << 4 |
           (high[1] >> shift & 3) << 6;
}

/* By halves: sums of pairs, of fours, of bytes. A call without the instruction
 * for it would cost more. */
static int bit_count(uint32_t bits) {
    bits -= bits >> 1 & 0x55555555u;
    bits = (bits & 0x33333333u) + (bits >> 2 & 0x33333333u);
    return (int)(((bits + (bits >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
}

static int lowest_bit(uint32_t bits) { return __builtin_ctz(bits); }

static void count_part(void *context, size_t index, int worker) {
    (void)worker;
    extraction *work = context;
    brick_part *part = &work->parts[index];
    neighbourhood around = find_neighbours(work, part);
    if (!may_cross(&around)) return;
    bit_window window;
    gather_window(&around, work->options->outside_unknown, &window);
    unsigned vertices = 0, triangles = 0;
    for (int row = 0; row < ROWS; row++) {
        int y = row % ES_BRICK, z = row / ES_BRICK;
        if (row_is_plain(&window, y, z)) continue; /* the edges are zero from the start */
        for (int axis = 0; axis < 3; axis++) {
            edge_row *edges = &part->edges[row][axis];
            *edges = find_edges(&window, axis, y, z);
            edges->base = (uint16_t)vertices;
            vertices += (unsigned)bit_count(edges->crossed | (uint32_t)edges->split << 16);
        }
        for (uint32_t cells = find_cells(&window, y, z); cells; cells &= cells - 1)
            triangles += work->cases[cell_pattern(&window, lowest_bit(cells), y, z)].triangles;
    }
    part->has_surface = vertices > 0 || triangles > 0;
    part->first_vertex = vertices;
    part->first_triangle = triangles;
}

/* ---- third round: vertices and triangles --------------------------------- */

static bool fetch_voxel(const neighbourhood *around, const int voxel[3], float *value,
                        float *weight) {
    const brick_part *part = part_of(around, voxel);
    if (!part->brick) return false;
    int row = row_of(voxel[1], voxel[2]), x = voxel[0] & (ES_BRICK - 1);
    *value = part->brick->value[row * ES_BRICK + x];
    *weight = part->brick->weight[row * ES_BRICK + x];
    return part->known[row] >> x & 1;
}

/* Both ends of an edge that lies in the centre part, which most do. */
static bool fetch_edge(const brick_part *centre, const int start[3], int axis, float value[2],
                       float weights[2]) {
    static const int step[3] = {1, ES_BRICK, ROWS};
    int row = row_of(start[1], start[2]), next = row + (step[axis] >> SHIFT);
    int i = row * ES_BRICK + start[0], x = start[0] + (axis == 0);
    if (!(centre->known[row] >> start[0] & centre->known[next] >> x & 1)) return false;
    value[0] = centre->brick->value[i];
    value[1] = centre->brick->value[i + step[axis]];
    weights[0] = centre->brick->weight[i];
    weights[1] = centre->brick->weight[i + step[axis]];
    return true;
}

/* Where along the edge the field crosses the level, and the weight there;
 * half way, with weight 0, when one end is unknown. */
static double cross_edge(const extraction *work, const neighbourhood *around, const int start[3],
                         int axis, double *weight) {
    float value[2], weights[2];
    int end[3] = {start[0], start[1], start[2]};
    end[axis]++;
    *weight = 0;
    bool seen = end[axis] < ES_BRICK ? fetch_edge(around->parts[13], start, axis, value, weights)
                                     : fetch_voxel(around, start, &value[0], &weights[0]) &&
                                           fetch_voxel(around, end, &value[1], &weights[1]);
    if (!seen) return 0.5;
    double t = (work->options->level - value[0]) / ((double)value[1] - value[0]);
    if (!(t >= 0)) t = isnan(t) ? 0.5 : 0; /* infinite values */
    t = fmin(fmax(t, work->margin[axis]), 1 - work->margin[axis]);
    *weight = weights[0] + t * ((double)weights[1] - weights[0]);
    return t;
}

static void write_vertex(extraction *work, const brick_part *centre, size_t index,
                         const double voxel[3], double weight) {
    for (int a = 0; a < 3; a++) {
        double at = (double)centre->at[a] * ES_BRICK + voxel[a];
        work->mesh.vertices[3 * index + a] = (float)(work->origin_mm[a] + work->spacing_mm[a] * at);
    }
    if (work->mesh.confidence)
        work->mesh.confidence[index] =
            isfinite(weight) ? (float)(weight / (weight + work->options->half_weight)) : 1.0f;
}

/* The vertex of an edge, or both of them. */
static void write_edge(extraction *work, const neighbourhood *around, size_t index,
                       const int start[3], int axis, bool split) {
    double weight, t = cross_edge(work, around, start, axis, &weight);
    double voxel[3] = {start[0], start[1], start[2]};
    voxel[axis] += t;
    write_vertex(work, around->parts[13], index, voxel, weight);
    if (!split) return;
    voxel[axis] += t < 0.5 ? work->margin[axis] : -work->margin[axis];
    write_vertex(work, around->parts[13], index + 1, voxel, weight);
}

static void write_vertices(extraction *work, const neighbourhood *around, int y, int z) {
    const brick_part *centre = around->parts[13];
    for (int axis = 0; axis < 3; axis++) {
        edge_row edges = centre->edges[row_of(y, z)][axis];
        size_t next = centre->first_vertex + edges.base;
        for (uint32_t bits = edges.crossed; bits; bits &= bits - 1) {
            int x = lowest_bit(bits), start[3] = {x, y, z};
            bool split = edges.split >> x & 1;
            write_edge(work, around, next, start, axis, split);
            next += split ? 2 : 1;
        }
    }
}

/* The number in the mesh of the vertex on cube edge `edge` of a cell. Of two
 * vertices on one edge, the cell with the larger offset has the second. */
static uint32_t find_vertex(const extraction *work, const neighbourhood *around, const int cell[3],
                            int edge) {
    const edge_place *at = &work->edges[edge];
    int start[3] = {cell[0] + at->offset[0], cell[1] + at->offset[1], cell[2] + at->offset[2]};
    bool own = (start[0] | start[1] | start[2]) < ES_BRICK; /* cells start in the centre */
    const brick_part *owner = own ? around->parts[13] : part_of(around, start);
    edge_row edges = owner->edges[row_of(start[1], start[2])][at->axis];
    int x = start[0] & (ES_BRICK - 1);
    uint32_t below = (1u << x) - 1;
    size_t index = owner->first_vertex + edges.base;
    if (!(edges.crossed & below)) return (uint32_t)(index + (edges.split >> x & 1 & edge >> 1));
    index += (size_t)bit_count((edges.crossed & below) | (edges.split & below) << 16);
    if (edges.split >> x & 1) index += (size_t)(edge >> 1 & 1);
    return (uint32_t)index;
}

/* Returns where the next cell's triangles go. */
static uint32_t *write_cell(const extraction *work, const neighbourhood *around, const int cell[3],
                            const iso_case *shape, uint32_t *out) {
    uint32_t vertex[CUBE_EDGES];
    for (uint32_t edges = shape->edges; edges; edges &= edges - 1)
        vertex[lowest_bit(edges)] = find_vertex(work, around, cell, lowest_bit(edges));
    for (int i = 0; i < 3 * shape->triangles; i++) *out++ = vertex[shape->corner[i]];
    return out;
}

static void fill_part(void *context, size_t index, int worker) {
    (void)worker;
    extraction *work = context;
    const brick_part *part = &work->parts[index];
    if (!part->has_surface) return;
    neighbourhood around = find_neighbours(work, part);
    bit_window window;
    gather_window(&around, work->options->outside_unknown, &window);
    uint32_t *out = work->mesh.triangles + 3 * part->first_triangle;
    for (int row = 0; row < ROWS; row++) {
        int y = row % ES_BRICK, z = row / ES_BRICK;
        if (row_is_plain(&window, y, z)) continue;
        write_vertices(work, &around, y, z);
        for (uint32_t cells = find_cells(&window, y, z); cells; cells &= cells - 1) {
            int cell[3] = {lowest_bit(cells), y, z};
            out = write_cell(work, &around, cell,
                             &work->cases[cell_pattern(&window, cell[0], y, z)], out);
        }
    }
}

static void place_edges(edge_place edges[CUBE_EDGES]) {
    for (int e = 0; e < CUBE_EDGES; e++) {
        int corner = surface_edge_corner(e);
        edges[e].axis = (int8_t)surface_edge_axis(e);
        for (int a = 0; a < 3; a++) edges[e].offset[a] = (int8_t)(corner >> a & 1);
    }
}

/* ---- the whole ----------------------------------------------------------- */

static bool check_options(const es_iso_options *options, es_error *err) {
    if (!isfinite(options->level))
        return es_fail(err, ES_USAGE, "level %g: expected a finite number", options->level);
    if (isnan(options->min_weight))
        return es_fail(err, ES_USAGE, "the least weight is not a number");
    if (!(options->half_weight >= 0) || isinf(options->half_weight))
        return es_fail(err, ES_USAGE, "half weight %g: expected a finite number, 0 or more",
                       options->half_weight);
    return true;
}

/* How far vertices stay from lattice points, given where the bricks lie. */
static bool find_margins(extraction *work, const es_bricks *bricks, es_error *err) {
    for (int axis = 0; axis < 3; axis++) {
        double farthest = 0, spacing = work->spacing_mm[axis];
        for (size_t i = 0; i < es_bricks_count(bricks); i++) {
            double first = (double)es_bricks_get(bricks, i)->at[axis] * ES_BRICK - 1;
            double last = first + ES_BRICK + 2;
            farthest = fmax(farthest, fmax(fabs(work->origin_mm[axis] + spacing * first),
                                           fabs(work->origin_mm[axis] + spacing * last)));
        }
        work->margin[axis] = fmax(MARGIN, MARGIN_STEPS * farthest * 0x1p-23 / spacing);
        if (!(work->margin[axis] <= MARGIN_LIMIT))
            return es_fail(err, ES_GEOMETRY,
                           "voxels of %g mm as far as %g mm from the origin are too fine for the "
                           "32-bit vertices of a mesh; move the volume nearer to the origin",
                           spacing, farthest);
    }
    return true;
}

static bool make_parts(extraction *work, es_error *err) {
    work->parts = es_alloc_zero(work->count, sizeof *work->parts, err);
    if (!work->parts) return false;
    for (size_t i = 0; i < work->count; i++) {
        memcpy(work->parts[i].at, work->places[i].at, sizeof work->parts[i].at);
        work->parts[i].brick = work->places[i].brick;
    }
    return true;
}

/* Turns the parts' counts into places in the mesh, and makes the mesh. */
static bool make_mesh(extraction *work, es_error *err) {
    es_mesh *mesh = &work->mesh;
    for (size_t i = 0; i < work->count; i++) {
        brick_part *part = &work->parts[i];
        size_t vertices = part->first_vertex, triangles = part->first_triangle;
        part->first_vertex = mesh->vertex_count;
        part->first_triangle = mesh->triangle_count;
        mesh->vertex_count += vertices;
        mesh->triangle_count += triangles;
    }
    if (mesh->triangle_count > ES_MESH_TRIANGLES_MAX)
        return es_fail(err, ES_MEMORY,
                       "the surface has %zu triangles, more than the %zu of a mesh; take larger "
                       "voxels or a smoother field",
                       mesh->triangle_count, ES_MESH_TRIANGLES_MAX);
    mesh->vertices = es_alloc(mesh->vertex_count, 3 * sizeof(float), err);
    mesh->triangles = es_alloc(mesh->triangle_count, 3 * sizeof(uint32_t), err);
    if (!mesh->vertices || !mesh->triangles) return false;
    if (work->options->half_weight == 0) return true;
    mesh->confidence = es_alloc(mesh->vertex_count, sizeof(float), err);
    return mesh->confidence != NULL;
}

bool es_surface_extract(const es_bricks *bricks, const es_iso_options *options, es_pool *pool,
                        es_mesh *mesh, es_error *err) {
    extraction work = {.options = options};
    bool ok = false;
    *mesh = (es_mesh){0};
    memcpy(work.origin_mm, es_bricks_origin(bricks), sizeof work.origin_mm);
    memcpy(work.spacing_mm, es_bricks_spacing(bricks), sizeof work.spacing_mm);
    surface_cases(work.cases);
    place_edges(work.edges);
    if (!check_options(options, err) || !find_margins(&work, bricks, err) ||
        !find_places(&work, bricks, err) || !make_parts(&work, err))
        goto done;
    es_pool_run(pool, work.count, classify_part, &work);
    es_pool_run(pool, work.count, count_part, &work);
    if (es_cancelled(err) || !make_mesh(&work, err)) goto done;
    es_pool_run(pool, work.count, fill_part, &work);
    *mesh = work.mesh;
    work.mesh = (es_mesh){0};
    ok = true;
done:
    es_mesh_clear(&work.mesh);
    es_free(work.parts);
    es_free(work.places);
    return ok;
}
