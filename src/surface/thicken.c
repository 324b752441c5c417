/* A sheet becomes a solid: the sheet itself, unchanged, a second sheet a
 * thickness behind it, and a wall between their rims.
 *
 * Closed and two-manifold by construction: first vertices where several fans
 * of triangles touch are doubled, so that each rim is a simple loop; then each
 * triangle of an open component is repeated turned round on a copy of its
 * vertices, and each rim edge gets two wall triangles.
 *
 * Where the copies go is the rest. They move against normals averaged over
 * about one thickness, for a noisy sheet's own normals would cross. Where the
 * sheet bends round more sharply than the thickness allows, the way is
 * shortened to a part of the radius of the bend. What still is turned over
 * (slivers that marching cubes leaves) is evened out by letting its vertices
 * slide to the mean of their neighbours, until every copied triangle looks the
 * way the sheet does there. Where facets of the solid still cross, the way is halved
 * there, and all is placed again. */
#include <math.h>
#include <string.h>

#include "untangle.h"

enum {
    SMOOTH_LEAST = 5,
    SMOOTH_MOST = 60,
    UNFOLD_ROUNDS = 200,
    UNFOLD_PATIENCE = 20, /* rounds without fewer folds */
    RESTORE_ROUNDS = 20,
    WAY_ROUNDS = 10,
    NEARER_ROUNDS = 8,
    FACE_ROUNDS = 12,
    TRIMS = 6
};

/* The way behind a bend is at most this part of its radius. */
static const double RADIUS_PART = 0.5;

/* A folded copy goes this part of the way to where it should be, each round. */
static const double EASE = 0.5;

/* A copied triangle must face the normals there by at least this cosine, and
 * keep this part of its area. */
static const double LEAST_COSINE = 0.3, LEAST_AREA = 1e-3;

/* Of the mean edge: how far vertices that would share a place are moved. */
static const double STEP_PART = 1e-3;

static const double NEARER = 0.4; /* of the way where facets cross, each round */

/* Under this part of the thickness a copy follows its own triangles, and is not evened
 * out: the sheet is rougher there than the way is long. */
static const double ROUGH = 0.3;

/* An own normal faces each triangle about it by this cosine, where it can. */
static const double FACE_ENOUGH = 0.3;

typedef struct thickening {
    double thickness_mm;
    es_mesh outer;          /* the sheet, one fan per vertex */
    mesh_topology topology; /* of outer */
    bool *open;             /* per vertex: in a component with a rim */
    double *normal;         /* three per vertex, unit, averaged over about one thickness */
    double *own;            /* three per vertex, unit: of its triangles alone */
    double *most;           /* per vertex: the way at most */
    double *way;            /* three per vertex, the first used: length of the move */
    double *inner;          /* three per vertex: where the copy lies */
    double *scratch;        /* three per vertex */
    uint32_t *corners;      /* per vertex: how many triangles have it */
    uint32_t *counts;       /* scratch */
} thickening;

/* Marks the vertices of components that have a rim. */
static bool find_open(thickening *work, es_error *err) {
    const es_mesh *mesh = &work->outer;
    uint32_t *sets = surface_components(mesh, err);
    if (!sets) return false;
    for (size_t h = 0; h < work->topology.half_edges; h++)
        if (work->topology.twin[h] == NO_TWIN)
            work->open[surface_sets_root(sets, mesh->triangles[h])] = true;
    for (size_t v = 0; v < mesh->vertex_count; v++)
        work->open[v] = work->open[surface_sets_root(sets, (uint32_t)v)];
    es_free(sets);
    return true;
}

/* ---- where the copies go --------------------------------------------------------- */

static es_vec3 at3(const double *values, size_t vertex) {
    return es_vec3_make(values[3 * vertex], values[3 * vertex + 1], values[3 * vertex + 2]);
}

static void put3(double *values, size_t vertex, es_vec3 v) {
    values[3 * vertex] = v.x;
    values[3 * vertex + 1] = v.y;
    values[3 * vertex + 2] = v.z;
}

static double mean_edge(const thickening *work) {
    double sum = 0;
    const es_mesh *mesh = &work->outer;
    for (size_t h = 0; h < work->topology.half_edges; h++)
        sum += es_vec3_length(es_vec3_sub(surface_vertex(mesh, mesh->triangles[surface_next(h)]),
                                          surface_vertex(mesh, mesh->triangles[h])));
    return work->topology.half_edges ? sum / (double)work->topology.half_edges : 0;
}

/* Each round spreads a normal by about an edge's length, n rounds by sqrt n. */
static int smoothing_rounds(const thickening *work) {
    double rounds = pow(work->thickness_mm / mean_edge(work), 2);
    return rounds < SMOOTH_LEAST ? SMOOTH_LEAST : rounds < SMOOTH_MOST ? (int)rounds : SMOOTH_MOST;
}

static void mean_of(thickening *work, bool along_rim, const double *values) {
    surface_neighbour_mean(&work->outer, &work->topology, along_rim, values, work->scratch,
                           work->counts);
}

/* Turns own normals until each looks the same way as all triangles about it, where
 * that can be: in each round towards the one that it faces least. */
static void face_all(thickening *work, double *least, es_vec3 *worst) {
    const es_mesh *mesh = &work->outer;
    for (int round = 0; round < FACE_ROUNDS; round++) {
        for (size_t v = 0; v < mesh->vertex_count; v++) least[v] = FACE_ENOUGH;
        for (size_t h = 0; h < work->topology.half_edges; h++) {
            uint32_t v = mesh->triangles[h];
            es_vec3 facet = es_vec3_unit(surface_cross(mesh, h / 3));
            double facing = es_vec3_dot(facet, at3(work->own, v));
            if (facing >= least[v]) continue;
            least[v] = facing;
            worst[v] = facet;
        }
        for (size_t v = 0; v < mesh->vertex_count; v++)
            if (least[v] < FACE_ENOUGH)
                put3(work->own, v,
                     es_vec3_unit(es_vec3_add(at3(work->own, v), es_vec3_scale(worst[v], 0.5))));
    }
}

static bool find_own_normals(thickening *work, es_error *err) {
    size_t count = work->outer.vertex_count;
    double *least = es_alloc(count, sizeof *least, err);
    es_vec3 *worst = least ? es_alloc(count, sizeof *worst, err) : NULL;
    if (worst) face_all(work, least, worst);
    es_free(least);
    es_free(worst);
    return worst != NULL;
}

/* Area-weighted normals, then averaged over neighbours again and again. */
static void find_normals(thickening *work) {
    const es_mesh *mesh = &work->outer;
    memset(work->normal, 0, 3 * mesh->vertex_count * sizeof *work->normal);
    for (size_t h = 0; h < work->topology.half_edges; h++) {
        uint32_t v = mesh->triangles[h];
        work->corners[v]++;
        put3(work->normal, v, es_vec3_add(at3(work->normal, v), surface_cross(mesh, h / 3)));
    }
    for (size_t v = 0; v < mesh->vertex_count; v++)
        put3(work->own, v, es_vec3_unit(at3(work->normal, v)));
    int rounds = smoothing_rounds(work);
    for (int round = 0; round <= rounds; round++) {
        if (round > 0) mean_of(work, false, work->normal);
        const double *from = round > 0 ? work->scratch : work->normal;
        for (size_t v = 0; v < mesh->vertex_count; v++) {
            es_vec3 unit = es_vec3_unit(at3(from, v));
            if (es_vec3_dot(unit, unit) > 0) put3(work->normal, v, unit);
        }
    }
}

/* Shortens the ways at both ends of an edge to what its bend allows: normals
 * that come apart by as much as the edge is long meet at one edge's length
 * behind it. Edges shorter than half the mean say nothing about the bend. */
static void limit_ways(thickening *work) {
    const es_mesh *mesh = &work->outer;
    double shortest = mean_edge(work) / 2;
    for (size_t h = 0; h < work->topology.half_edges; h++) {
        uint32_t v = mesh->triangles[h], w = mesh->triangles[surface_next(h)];
        es_vec3 edge = es_vec3_sub(surface_vertex(mesh, w), surface_vertex(mesh, v));
        double length2 = es_vec3_dot(edge, edge);
        double opening = es_vec3_dot(es_vec3_sub(at3(work->normal, w), at3(work->normal, v)), edge);
        if (length2 < shortest * shortest || opening * work->thickness_mm <= RADIUS_PART * length2)
            continue;
        double way = RADIUS_PART * length2 / opening;
        work->way[3 * (size_t)v] = fmin(work->way[3 * (size_t)v], way);
        work->way[3 * (size_t)w] = fmin(work->way[3 * (size_t)w], way);
    }
}

static bool is_rough(const thickening *work, size_t vertex) {
    return work->most[vertex] < ROUGH * work->thickness_mm;
}

static void place_copy(thickening *work, size_t vertex) {
    const double *normals = is_rough(work, vertex) ? work->own : work->normal;
    es_vec3 move = es_vec3_scale(at3(normals, vertex), work->way[3 * vertex]);
    put3(work->inner, vertex, es_vec3_sub(surface_vertex(&work->outer, (uint32_t)vertex), move));
}

/* The way at each vertex, changing gently, and the copies moved by it. */
static void place_copies(thickening *work) {
    const es_mesh *mesh = &work->outer;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) work->way[i] = work->most[i / 3];
    limit_ways(work);
    for (int round = 0; round < WAY_ROUNDS; round++) {
        mean_of(work, false, work->way);
        for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
            work->way[i] = fmin(work->way[i], work->scratch[i]);
    }
    for (size_t v = 0; v < mesh->vertex_count; v++) place_copy(work, v);
}

static es_vec3 copy_cross(const thickening *work, size_t triangle) {
    const uint32_t *corner = work->outer.triangles + 3 * triangle;
    es_vec3 a = at3(work->inner, corner[0]);
    return es_vec3_cross(es_vec3_sub(at3(work->inner, corner[1]), a),
                         es_vec3_sub(at3(work->inner, corner[2]), a));
}

static double least_area(const thickening *work, size_t triangle) {
    return LEAST_AREA * es_vec3_length(surface_cross(&work->outer, triangle));
}

/* Whether the copy leans away from the normals there, or has lost its area. */
static bool turned_over(const thickening *work, size_t triangle) {
    const uint32_t *corner = work->outer.triangles + 3 * triangle;
    es_vec3 normal = {0, 0, 0}, cross = copy_cross(work, triangle);
    for (int k = 0; k < 3; k++) normal = es_vec3_add(normal, at3(work->normal, corner[k]));
    double facing = es_vec3_dot(cross, es_vec3_unit(normal));
    return facing <= LEAST_COSINE * es_vec3_length(cross) || facing <= least_area(work, triangle);
}

/* Marks the vertices of turned triangles; how many triangles are. */
static size_t find_folds(const thickening *work, bool *folded) {
    size_t count = 0;
    memset(folded, 0, work->outer.vertex_count * sizeof *folded);
    for (size_t t = 0; t < work->outer.triangle_count; t++) {
        const uint32_t *corner = work->outer.triangles + 3 * t;
        if (!work->open[corner[0]] || !turned_over(work, t)) continue;
        for (int k = 0; k < 3; k++) folded[corner[k]] = true;
        count++;
    }
    return count;
}

/* Part of the way only: two vertices with the same neighbours must not meet. */
static void ease(double *values, size_t vertex, es_vec3 to) {
    es_vec3 from = at3(values, vertex);
    put3(values, vertex, es_vec3_add(from, es_vec3_scale(es_vec3_sub(to, from), EASE)));
}

/* A tip of the rim, the corner of one triangle alone, moves as its neighbours
 * do: their mean would flatten the triangle. */
static void ease_folds(thickening *work, const bool *folded, double *moves) {
    const es_mesh *mesh = &work->outer;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        moves[i] = work->inner[i] - mesh->vertices[i];
    mean_of(work, true, work->inner);
    for (size_t v = 0; v < mesh->vertex_count; v++)
        if (folded[v] && work->corners[v] > 1 && !is_rough(work, v))
            ease(work->inner, v, at3(work->scratch, v));
    mean_of(work, true, moves);
    for (size_t v = 0; v < mesh->vertex_count; v++)
        if (folded[v] && work->corners[v] == 1 && !is_rough(work, v))
            ease(work->inner, v,
                 es_vec3_add(surface_vertex(mesh, (uint32_t)v), at3(work->scratch, v)));
}

/* Copies that were eased until nothing was left of them go back to where they
 * were placed. One round: that may flatten the triangle beside. */
static bool restore_flattened(thickening *work) {
    bool any = false;
    for (size_t t = 0; t < work->outer.triangle_count; t++) {
        const uint32_t *corner = work->outer.triangles + 3 * t;
        if (!work->open[corner[0]] || es_vec3_length(copy_cross(work, t)) >= least_area(work, t))
            continue;
        for (int k = 0; k < 3; k++) place_copy(work, corner[k]);
        any = true;
    }
    return any;
}

/* A handle in the sheet cannot face one way all round: hence the limit. */
static bool unfold(thickening *work, es_error *err) {
    size_t count = work->outer.vertex_count;
    bool *folded = es_alloc(count, sizeof *folded, err);
    double *moves = folded ? es_alloc(count, 3 * sizeof *moves, err) : NULL;
    size_t least = SIZE_MAX;
    for (int round = 0, since = 0; moves && round < UNFOLD_ROUNDS; round++) {
        size_t folds = find_folds(work, folded);
        since = folds < least ? 0 : since + 1;
        if (folds == 0 || since == UNFOLD_PATIENCE) break;
        least = folds < least ? folds : least;
        ease_folds(work, folded, moves);
    }
    for (int round = 0; moves && round < RESTORE_ROUNDS && restore_flattened(work);) round++;
    es_free(folded);
    bool ok = moves != NULL;
    es_free(moves);
    return ok;
}

/* ---- the solid ---------------------------------------------------------------------- */

static void add_triangle(es_mesh *mesh, uint32_t a, uint32_t b, uint32_t c) {
    uint32_t *corner = mesh->triangles + 3 * mesh->triangle_count++;
    corner[0] = a;
    corner[1] = b;
    corner[2] = c;
}

/* Numbers the copies after the outer vertices; returns how many there are. */
static size_t number_copies(const thickening *work, uint32_t *copy) {
    size_t count = 0;
    for (size_t v = 0; v < work->outer.vertex_count; v++)
        if (work->open[v]) copy[v] = (uint32_t)(work->outer.vertex_count + count++);
    return count;
}

static void build_solid(const thickening *work, const uint32_t *copy, es_mesh *solid) {
    const es_mesh *outer = &work->outer;
    for (size_t v = 0; v < outer->vertex_count; v++) {
        surface_copy_vertex(outer, v, solid, v);
        if (!work->open[v]) continue;
        surface_copy_vertex(outer, v, solid, copy[v]);
        for (int a = 0; a < 3; a++)
            solid->vertices[3 * (size_t)copy[v] + a] = (float)work->inner[3 * v + a];
    }
    solid->triangle_count = outer->triangle_count;
    memcpy(solid->triangles, outer->triangles, 3 * outer->triangle_count * sizeof(uint32_t));
    for (size_t t = 0; t < outer->triangle_count; t++) {
        const uint32_t *corner = outer->triangles + 3 * t;
        if (work->open[corner[0]])
            add_triangle(solid, copy[corner[0]], copy[corner[2]], copy[corner[1]]);
    }
    for (size_t h = 0; h < work->topology.half_edges; h++) {
        if (work->topology.twin[h] != NO_TWIN) continue;
        uint32_t a = outer->triangles[h], b = outer->triangles[surface_next(h)];
        add_triangle(solid, b, a, copy[a]);
        add_triangle(solid, b, copy[a], copy[b]);
    }
}

static bool assemble(const thickening *work, es_mesh *solid, es_error *err) {
    uint32_t *copy = es_alloc(work->outer.vertex_count, sizeof *copy, err);
    if (!copy) return false;
    *solid = (es_mesh){.vertex_count = work->outer.vertex_count + number_copies(work, copy),
                       .triangle_count =
                           2 * work->outer.triangle_count + 2 * work->topology.boundary_edges};
    bool ok = surface_alloc_mesh(solid, work->outer.confidence != NULL, err);
    if (ok) build_solid(work, copy, solid);
    es_free(copy);
    return ok;
}

/* ---- crossings ---------------------------------------------------------------------- */

/* Halves the way of what crosses. The copies are the solid's last vertices, in the
 * order of the open ones; doubles have none behind them. */
static bool bring_nearer(thickening *work, const crossed_facets *c, es_error *err) {
    size_t outer = work->outer.vertex_count, count = 0;
    bool *near = es_alloc_zero(c->mesh->vertex_count, sizeof *near, err);
    if (!near) return false;
    for (size_t h = 0; h < 3 * c->mesh->triangle_count; h++)
        near[c->mesh->triangles[h]] |= c->crossed[h / 3];
    for (size_t v = 0; v < outer; v++)
        if (work->open[v] && near[outer + count++])
            work->most[v] = fmin(work->most[v], work->way[3 * v]) * NEARER;
    es_free(near);
    return true;
}

static bool alloc_work(thickening *work, es_error *err) {
    size_t count = work->outer.vertex_count;
    work->open = es_alloc_zero(count, sizeof *work->open, err);
    work->corners = es_alloc_zero(count, sizeof *work->corners, err);
    work->counts = es_alloc(count, sizeof *work->counts, err);
    double **fields[5] = {&work->normal, &work->own, &work->way, &work->inner, &work->scratch};
    work->most = es_alloc(count, sizeof *work->most, err);
    bool ok = work->open && work->corners && work->counts && work->most;
    for (size_t v = 0; ok && v < count; v++) work->most[v] = work->thickness_mm;
    for (int i = 0; i < 5; i++) ok = ok && (*fields[i] = es_alloc(count, 3 * sizeof(double), err));
    return ok;
}

static void clear_work(thickening *work) {
    es_mesh_clear(&work->outer);
    surface_topology_clear(&work->topology);
    es_free(work->open);
    es_free(work->corners);
    es_free(work->counts);
    es_free(work->most);
    es_free(work->normal);
    es_free(work->own);
    es_free(work->way);
    es_free(work->inner);
    es_free(work->scratch);
}

/* Copies placed, unfolded and joined to the sheet. */
static bool make_solid(thickening *work, size_t first, es_mesh *solid, es_error *err) {
    es_mesh_clear(solid);
    place_copies(work);
    return unfold(work, err) && assemble(work, solid, err) &&
           surface_part_places(solid, first, STEP_PART * mean_edge(work), err);
}

/* Until nothing crosses, or bringing nearer does not help; `crossed` has what is left. */
static bool make_untangled(thickening *work, size_t first, es_pool *pool, es_mesh *solid,
                           crossed_facets *crossed, es_error *err) {
    bool ok = make_solid(work, first, solid, err);
    size_t least = SIZE_MAX;
    for (int round = 0, since = 0; ok; round++) {
        surface_crossed_clear(crossed);
        ok = surface_crossed_new(crossed, solid, pool, err);
        bool hopeless = crossed->count >= solid->triangle_count / 4;
        since = crossed->pairs < least ? 0 : since + 1;
        least = crossed->pairs < least ? crossed->pairs : least;
        if (!ok || crossed->pairs == 0 || hopeless || since == 2 || round == NEARER_ROUNDS) break;
        ok = bring_nearer(work, crossed, err) && make_solid(work, first, solid, err);
    }
    return ok;
}

/* ---- what cannot be thickened ---------------------------------------------------------- */

/* keep[t] of the sheet's triangles: not those that cross, whose copies do, or whose
 * walls do; in the order in which build_solid made them. Only of open components.
 * Returns how many go. */
static size_t find_unfit(const thickening *work, const crossed_facets *c, bool *keep) {
    const es_mesh *outer = &work->outer;
    size_t at = outer->triangle_count, gone = 0;
    for (size_t t = 0; t < outer->triangle_count; t++) {
        bool open = work->open[outer->triangles[3 * t]];
        keep[t] = !open || !(c->crossed[t] || c->crossed[at]);
        at += open;
    }
    for (size_t h = 0; h < work->topology.half_edges; h++) {
        if (work->topology.twin[h] != NO_TWIN) continue;
        if (c->crossed[at] || c->crossed[at + 1]) keep[h / 3] = false;
        at += 2;
    }
    for (size_t t = 0; t < outer->triangle_count; t++) gone += !keep[t];
    return gone;
}

static bool begin(thickening *work, const es_mesh *sheet, es_error *err) {
    bool ok = surface_split_fans(sheet, &work->outer, err) &&
              surface_topology_find(&work->outer, &work->topology, err) && alloc_work(work, err) &&
              find_open(work, err);
    if (ok) find_normals(work);
    return ok && find_own_normals(work, err);
}

/* Bits that come off by it go too, and those that hang on by a corner. */
static bool leave_out(es_mesh *sheet, const bool *keep, double step_mm, es_error *err) {
    es_mesh_check check;
    es_mesh split = {0};
    bool ok = es_mesh_inspect(sheet, &check, err) && surface_keep_triangles(sheet, keep, err) &&
              surface_split_fans(sheet, &split, err) &&
              es_mesh_keep_components(&split, check.components, 0, NULL, NULL, err) &&
              surface_part_places(&split, 0, step_mm, err);
    if (ok) {
        es_mesh_clear(sheet);
        *sheet = split;
    } else {
        es_mesh_clear(&split);
    }
    return ok;
}

/* One solid of the sheet; if facets of it cross, the sheet loses those about which they
 * do, and the parts say how many. */
static bool thicken_once(es_mesh *sheet, double thickness_mm, bool last, es_pool *pool,
                         es_mesh *solid, thickened_parts *parts, es_error *err) {
    thickening work = {.thickness_mm = thickness_mm};
    crossed_facets crossed = {0};
    bool *keep = es_alloc(sheet->triangle_count, sizeof *keep, err);
    bool ok = keep && begin(&work, sheet, err) &&
              make_untangled(&work, sheet->vertex_count, pool, solid, &crossed, err);
    *parts = (thickened_parts){.sheet_vertices = work.outer.vertex_count,
                               .sheet_triangles = work.outer.triangle_count,
                               .walls = 2 * work.topology.boundary_edges};
    if (ok && !last && crossed.pairs > 0 && crossed.count < solid->triangle_count / 4) {
        parts->left_out = find_unfit(&work, &crossed, keep);
        ok = parts->left_out == 0 || leave_out(sheet, keep, STEP_PART * mean_edge(&work), err);
    }
    surface_crossed_clear(&crossed);
    es_free(keep);
    clear_work(&work);
    return ok;
}

bool surface_thicken(const es_mesh *sheet, double thickness_mm, es_pool *pool, es_mesh *solid,
                     thickened_parts *parts, es_error *err) {
    es_mesh fit = {0};
    *solid = (es_mesh){0};
    if (!(thickness_mm > 0) || isinf(thickness_mm))
        return es_fail(err, ES_USAGE, "thickness %g mm: expected a length above 0", thickness_mm);
    bool ok = surface_check_mesh(sheet, err) && es_mesh_copy(sheet, &fit, err);
    for (int trim = 0; ok && trim <= TRIMS; trim++) {
        ok = thicken_once(&fit, thickness_mm, trim == TRIMS, pool, solid, parts, err);
        if (parts->left_out == 0) break;
    }
    parts->left_out = sheet->triangle_count - fit.triangle_count;
    if (ok && parts->left_out > 0)
        es_log(ES_NOTE, "%zu facets of %zu could not be thickened and were left out",
               parts->left_out, sheet->triangle_count);
    if (!ok) es_mesh_clear(solid);
    es_mesh_clear(&fit);
    return ok;
}

bool es_mesh_thicken(const es_mesh *sheet, double thickness_mm, es_pool *pool, es_mesh *solid,
                     size_t *left_out, es_error *err) {
    thickened_parts parts = {0};
    bool ok = surface_thicken(sheet, thickness_mm, pool, solid, &parts, err);
    if (left_out) *left_out = parts.left_out;
    return ok;
}
