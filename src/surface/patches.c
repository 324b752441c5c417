/* A mesh as smooth patches: grid, fit, judgement, and another grid if needed.
 *
 * The error of the fit falls with about the 2.3rd power of the size of the
 * patches (measured on knees), which tells the next size to try from the last. */
#include <math.h>
#include <string.h>

#include "patch_fit.h"

enum {
    FITS = 6,
    GRIDS = 14,
    SHIFTS = 4,
    LENSES_MAX = 3,
    START_LEAST = 60,
    START_MOST = 500,
    DRAWN_STEPS = 5,
    THICKNESS_ROUNDS = 4
};
static const double ORDER = 2.3, CELL_MAX_MM = 10;
/* A surface crosses 1.5 edges of a cubic grid per cell's area, over all directions. */
static const double QUADS_PER_CELL = 1.5;
/* Where to begin: what reached 0.12 mm on knees, but not fewer than some patches
 * over a small piece, nor more than many over a large one. */
static const double START_CELL_MM = 4, START_TOLERANCE_MM = 0.12;
static const double SAMPLES_WANTED = 30000;
static const double RMS_SHARE = 2.0 / 3;
/* A place as many times worse than the rest gets a lens, of so many cells. */
static const double LENS_FROM = 6, LENS_CELLS = 4, LENS_SCALE = 0.45;

typedef struct patch_job {
    const es_mesh *whole; /* what was given */
    const es_mesh *mesh;  /* what patches are put on: whole, or what flat ends leave of it */
    flat_cuts cuts;
    const es_patch_options *options;
    es_pool *pool;
    nearest_tree *tree, *whole_tree;
    es_box3 box;
    double area;
    bool closed;                  /* mesh */
    quad_lens lenses[LENSES_MAX]; /* about places where earlier tries were worst */
    size_t lens_count;
    es_vec3 farthest; /* of the mesh, from the patches of the present try */
    /* of the present try */
    rim_line *rim; /* of an open mesh */
    quad_mesh quads;
    quad_masks masks;
    uint8_t *seen;
    bool *use;       /* per quad */
    uint32_t *point; /* per row of the masks: control point + 1, 0: not used */
    uint32_t *held;  /* per vertex of the quads: cut + 1 on whose rim it is, or 0 */
} patch_job;

static void clear_try(patch_job *job) {
    surface_rim_free(job->rim);
    job->rim = NULL;
    surface_quads_clear(&job->quads);
    surface_masks_clear(&job->masks);
    es_free(job->seen);
    es_free(job->use);
    es_free(job->point);
    es_free(job->held);
    job->seen = NULL;
    job->use = NULL;
    job->point = NULL;
    job->held = NULL;
}

/* ---- which patches ------------------------------------------------------------------ */

/* A vertex has as many quads as its sheet crosses edges of a cell, 12 at most. */
enum { AROUND_MOST = 12 };

/* The widest run of used quads in the circle about a vertex, from `gap`, which is
 * not used. */
static void find_widest(const bool used[AROUND_MOST], uint32_t count, uint32_t gap, uint32_t *start,
                        uint32_t *width) {
    *start = *width = 0;
    for (uint32_t i = 1, run = 0; i <= count; i++) {
        run = used[(gap + i) % count] ? run + 1 : 0;
        if (run <= *width) continue;
        *width = run;
        *start = gap + i + 1 - run;
    }
}

/* Around a vertex inside the quads: drops the used quads that are not of its
 * widest fan, so that the surface hangs together by edges. */
static size_t drop_fans(patch_job *job, uint32_t first) {
    const quad_mesh *q = &job->quads;
    uint32_t count = q->valence[q->quads[first]], quad[AROUND_MOST], gap = UINT32_MAX, start, width;
    bool used[AROUND_MOST];
    if (count > AROUND_MOST) return 0;
    for (uint32_t i = 0, h = first; i < count; i++, h = q->twin[quad_previous(h)]) {
        quad[i] = h / 4;
        used[i] = job->use[quad[i]];
        if (!used[i]) gap = i;
    }
    if (gap == UINT32_MAX) return 0;
    size_t dropped = 0;
    find_widest(used, count, gap, &start, &width);
    for (uint32_t i = width; i < count; i++) {
        uint32_t at = (start + i) % count;
        dropped += used[at];
        job->use[quad[at]] = false;
    }
    return dropped;
}

static size_t drop_pinches(patch_job *job) {
    size_t dropped = 0, last;
    do {
        last = dropped;
        for (uint32_t h = 0; h < 4 * job->quads.quad_count; h++)
            if (job->quads.valence[job->quads.quads[h]]) dropped += drop_fans(job, h);
    } while (dropped > last);
    return dropped;
}

static bool choose_patches(patch_job *job, es_patch_report *report, es_error *err) {
    job->use = es_alloc(job->quads.quad_count, sizeof *job->use, err);
    if (!job->use) return false;
    report->patches = 0;
    for (uint32_t q = 0; q < job->quads.quad_count; q++)
        job->use[q] = job->closed || job->quads.rimmed ||
                      (surface_quad_is_whole(&job->quads, q) && job->seen[q] > FIT_POINTS / 2);
    report->dropped = job->closed || job->quads.rimmed ? 0 : drop_pinches(job);
    for (uint32_t q = 0; q < job->quads.quad_count; q++) report->patches += job->use[q];
    if (report->patches > 0) return true;
    return es_fail(err, ES_GEOMETRY,
                   "no patch of %.3g mm is covered by the surface; it is too small or too ragged "
                   "for smooth patches: take a smaller tolerance, or facets",
                   report->cell_mm);
}

/* ---- control points ------------------------------------------------------------------- */

/* Numbers the rows that the used patches need, in the order of the rows. */
static bool number_points(patch_job *job, size_t *count, es_error *err) {
    uint32_t row[16];
    job->point = es_alloc_zero(job->masks.rows, sizeof *job->point, err);
    if (!job->point) return false;
    for (uint32_t q = 0; q < job->quads.quad_count; q++) {
        surface_mask_rows(&job->quads, q, row);
        for (int i = 0; i < 16 && job->use[q]; i++) job->point[row[i]] = 1;
    }
    *count = 0;
    for (size_t r = 0; r < job->masks.rows; r++)
        if (job->point[r]) job->point[r] = (uint32_t)++ * count;
    return true;
}

static bool put_points(const patch_job *job, const double *vertices, double *points,
                       es_error *err) {
    double *all = es_alloc(job->masks.rows, 3 * sizeof *all, err);
    if (!all) return false;
    surface_masks_apply(&job->masks, vertices, all);
    for (size_t r = 0; r < job->masks.rows; r++)
        if (job->point[r])
            memcpy(points + 3 * (size_t)(job->point[r] - 1), all + 3 * r, 3 * sizeof *all);
    es_free(all);
    return true;
}

static void put_patches(const patch_job *job, es_patches *patches) {
    uint32_t row[16];
    for (uint32_t q = 0; q < job->quads.quad_count; q++) {
        if (!job->use[q]) continue;
        es_patch *patch = &patches->patches[patches->count++];
        *patch = (es_patch){.ruled = false};
        surface_mask_rows(&job->quads, q, row);
        for (int i = 0; i < 16; i++) patch->point[i] = job->point[row[i]] - 1;
    }
}

/* ---- flat ends ------------------------------------------------------------------------ */

static es_vec3 vertex_at(const double *vertices, size_t v) {
    return es_vec3_make(vertices[3 * v], vertices[3 * v + 1], vertices[3 * v + 2]);
}

/* The next side along the rim. */
static uint32_t rim_after(const quad_mesh *q, uint32_t h) {
    h = quad_next(h);
    while (q->twin[h] != NO_TWIN) h = quad_next(q->twin[h]);
    return h;
}

/* The cut in whose plane a rim of the quads lies best. */
static size_t cut_of_rim(const patch_job *job, uint32_t start) {
    size_t best = 0;
    double least = INFINITY;
    for (size_t c = 0; c < job->cuts.count; c++) {
        double worst = 0;
        uint32_t h = start;
        do {
            es_vec3 p = vertex_at(job->quads.vertices, job->quads.quads[h]);
            worst = fmax(worst, fabs(surface_cut_height(&job->cuts.items[c], p)));
            h = rim_after(&job->quads, h);
        } while (h != start);
        if (worst < least) best = c, least = worst;
    }
    return best;
}

static long count_euler(const quad_mesh *q) {
    size_t sides = 4 * q->quad_count, edges = 0;
    for (uint32_t h = 0; h < sides; h++) edges += q->twin[h] == NO_TWIN || q->twin[h] > h;
    return (long)q->vertex_count - (long)edges + (long)q->quad_count;
}

/* Each cut's rim is one of the quads', which have the sheet's handles. */
static bool hold_rims(patch_job *job, long euler, es_error *err) {
    const quad_mesh *q = &job->quads;
    size_t rims = 0;
    uint64_t taken = 0;
    double longest;
    if (!q->rimmed || surface_rim_bridged(job->rim, &longest) > 0)
        return es_fail(err, ES_GEOMETRY, "cells of %.3g mm do not go round the flat ends",
                       q->cell_mm);
    job->held = es_alloc_zero(q->vertex_count, sizeof *job->held, err);
    if (!job->held) return false;
    for (uint32_t start = 0; start < 4 * q->quad_count; start++) {
        if (q->twin[start] != NO_TWIN || job->held[q->quads[start]]) continue;
        size_t cut = cut_of_rim(job, start);
        rims++;
        taken |= (uint64_t)1 << cut;
        for (uint32_t h = start; !job->held[q->quads[h]]; h = rim_after(q, h))
            job->held[q->quads[h]] = (uint32_t)cut + 1;
    }
    if (rims == job->cuts.count && taken == ((uint64_t)1 << rims) - 1 &&
        count_euler(q) == euler - (long)rims)
        return true;
    es_free(job->held);
    job->held = NULL;
    return es_fail(err, ES_GEOMETRY, "cells of %.3g mm do not have the shape of the surface",
                   q->cell_mm);
}

/* The middle of a ring, in its plane; false unless all of it is seen from there. */
static bool place_plane(const es_patches *patches, const flat_cut *cut, es_patch_plane *plane) {
    const uint32_t *sides = patches->plane_sides + plane->first;
    es_vec3 sum = {0, 0, 0};
    uint32_t along[4];
    for (size_t i = 0; i < plane->count; i++) {
        es_patch_side(&patches->patches[sides[i] / 4], (int)(sides[i] % 4), along);
        sum = es_vec3_add(sum, vertex_at(patches->points, along[0]));
    }
    sum = es_vec3_scale(sum, 1 / (double)plane->count);
    plane->normal = cut->normal;
    plane->at = es_vec3_sub(sum, es_vec3_scale(cut->normal, surface_cut_height(cut, sum)));
    for (size_t i = 0; i < plane->count; i++) {
        es_patch_side(&patches->patches[sides[i] / 4], (int)(sides[i] % 4), along);
        for (int k = 0; k < 3; k++) {
            es_vec3 a = es_vec3_sub(vertex_at(patches->points, along[k]), plane->at);
            es_vec3 b = es_vec3_sub(vertex_at(patches->points, along[k + 1]), plane->at);
            if (!(es_vec3_dot(es_vec3_cross(b, a), cut->normal) > 0)) return false;
        }
    }
    return true;
}

/* Of rimmed quads all are used, and have their patches' numbers. */
static bool add_planes(const patch_job *job, es_patches *patches, es_error *err) {
    const quad_mesh *q = &job->quads;
    size_t sides = 0, first = 0;
    for (size_t h = 0; h < 4 * q->quad_count; h++) sides += q->twin[h] == NO_TWIN;
    patches->planes = es_alloc(job->cuts.count, sizeof *patches->planes, err);
    patches->plane_sides =
        patches->planes ? es_alloc(sides, sizeof *patches->plane_sides, err) : NULL;
    if (!patches->plane_sides) return false;
    for (uint32_t c = 1; c <= job->cuts.count; c++) {
        es_patch_plane plane = {.first = first};
        uint32_t start = 0;
        while (q->twin[start] != NO_TWIN || job->held[q->quads[start]] != c) start++;
        uint32_t h = start;
        do {
            patches->plane_sides[first + plane.count++] = h;
            h = rim_after(q, h);
        } while (h != start);
        if (!place_plane(patches, &job->cuts.items[c - 1], &plane))
            return es_fail(err, ES_GEOMETRY, "a flat end is not seen whole from its middle");
        patches->planes[patches->plane_count++] = plane;
        first += plane.count;
    }
    return true;
}

/* The used patches; with room for a copy behind them and walls. */
static bool make_sheet(patch_job *job, es_patches *patches, es_error *err) {
    size_t count = 0, used = 0;
    if (!number_points(job, &count, err)) return false;
    for (size_t q = 0; q < job->quads.quad_count; q++) used += job->use[q];
    patches->points = es_alloc(2 * count, 3 * sizeof(double), err);
    patches->patches = patches->points ? es_alloc(6 * used, sizeof(es_patch), err) : NULL;
    if (!patches->patches || !put_points(job, job->quads.vertices, patches->points, err))
        return false;
    patches->point_count = count;
    put_patches(job, patches);
    return job->cuts.count == 0 || add_planes(job, patches, err);
}

/* ---- the hidden side --------------------------------------------------------------------- */

static void add_to(double *vertices, size_t v, es_vec3 add) {
    vertices[3 * v] += add.x;
    vertices[3 * v + 1] += add.y;
    vertices[3 * v + 2] += add.z;
}

/* Of the quads about each vertex, by area. */
static void find_normals(const quad_mesh *q, double *normals) {
    memset(normals, 0, 3 * q->vertex_count * sizeof *normals);
    for (size_t i = 0; i < q->quad_count; i++) {
        const uint32_t *k = q->quads + 4 * i;
        es_vec3 across = es_vec3_sub(vertex_at(q->vertices, k[2]), vertex_at(q->vertices, k[0]));
        es_vec3 other = es_vec3_sub(vertex_at(q->vertices, k[3]), vertex_at(q->vertices, k[1]));
        for (int c = 0; c < 4; c++) add_to(normals, k[c], es_vec3_cross(across, other));
    }
    for (size_t v = 0; v < q->vertex_count; v++) {
        es_vec3 unit = es_vec3_unit(vertex_at(normals, v));
        memcpy(normals + 3 * v, (double[]){unit.x, unit.y, unit.z}, 3 * sizeof *normals);
    }
}

/* Vertices such that the corners of the patches lie `thickness` behind those of
 * the front: moving a vertex moves its corner by less where the sheet bends, so
 * the way is corrected in rounds. `work`: 6 numbers per row of the masks. */
static void move_behind(const patch_job *job, const double *normals, double *behind, double *work) {
    const quad_mesh *q = &job->quads;
    double t = job->options->thickness_mm, *front = work, *back = work + 3 * job->masks.rows;
    memcpy(behind, q->vertices, 3 * q->vertex_count * sizeof *behind);
    for (size_t v = 0; v < q->vertex_count; v++)
        add_to(behind, v, es_vec3_scale(vertex_at(normals, v), -t));
    surface_masks_apply(&job->masks, q->vertices, front);
    for (int round = 0; round < THICKNESS_ROUNDS; round++) {
        surface_masks_apply(&job->masks, behind, back);
        for (size_t v = 0; v < q->vertex_count; v++) {
            if (q->valence[v] == 0 && !q->rimmed) continue;
            es_vec3 n = vertex_at(normals, v);
            double now = es_vec3_dot(es_vec3_sub(vertex_at(front, v), vertex_at(back, v)), n);
            double more = fmax(-0.25 * t, fmin(0.25 * t, t - now));
            add_to(behind, v, es_vec3_scale(n, -more));
        }
    }
}

/* The copy runs the other way round: u and v change places. */
static void add_back(es_patches *patches, size_t count) {
    for (size_t p = 0; p < count; p++) {
        es_patch *back = &patches->patches[patches->count++];
        *back = (es_patch){.ruled = false};
        for (int i = 0; i < 16; i++)
            back->point[i] =
                patches->patches[p].point[4 * (i % 4) + i / 4] + (uint32_t)patches->point_count;
    }
}

static void add_walls(es_patches *patches, size_t count, const es_patch_edges *edges,
                      es_patch_report *report) {
    for (size_t side = 0; side < 4 * count; side++) {
        if (edges->edges[edges->of_side[side]].uses != 1) continue;
        es_patch *wall = &patches->patches[patches->count++];
        uint32_t along[4];
        es_patch_side(&patches->patches[side / 4], (int)(side % 4), along);
        *wall = (es_patch){.ruled = true};
        for (int i = 0; i < 4; i++) {
            wall->point[2 * i] = along[3 - i];
            wall->point[2 * i + 1] = along[3 - i] + (uint32_t)patches->point_count;
        }
        report->walls++;
    }
}

/* How often the copy's normal, at three by three places of each patch, looks
 * the same way as the front's. */
static size_t count_folded(const es_patches *patches, size_t count) {
    size_t folded = 0;
    for (size_t p = 0; p < count; p++) {
        bool bad = false;
        for (int i = 0; i < 9; i++) {
            double u = 0.1 + 0.4 * (i / 3), v = 0.1 + 0.4 * (i % 3), e = 0.02;
            es_vec3 side[2];
            for (int s = 0; s < 2; s++) {
                size_t which = s ? p + count : p;
                double x = s ? v : u, y = s ? u : v;
                es_vec3 at = es_patch_point(patches, which, x, y);
                es_vec3 du = es_vec3_sub(es_patch_point(patches, which, x + e, y), at);
                es_vec3 dv = es_vec3_sub(es_patch_point(patches, which, x, y + e), at);
                side[s] = es_vec3_cross(du, dv);
            }
            bad |= es_vec3_dot(side[0], side[1]) >= 0;
        }
        folded += bad;
    }
    return folded;
}

static bool judge_thickness(const es_patches *patches, size_t count, es_patch_report *report,
                            es_error *err) {
    es_patches front = *patches;
    front.count = count;
    es_mesh drawn = {0};
    nearest_tree *tree = NULL;
    report->thinnest_mm = INFINITY;
    report->folded = count_folded(patches, count);
    if (es_patches_mesh(&front, DRAWN_STEPS, &drawn, err) &&
        (tree = surface_nearest_new(&drawn, false, err)) != NULL)
        for (size_t p = count; p < 2 * count; p++)
            report->thinnest_mm =
                fmin(report->thinnest_mm,
                     surface_nearest_distance(tree, es_patch_point(patches, p, 0.5, 0.5)));
    bool ok = tree != NULL;
    surface_nearest_free(tree);
    es_mesh_clear(&drawn);
    return ok;
}

static size_t count_rim(const es_patch_edges *edges) {
    size_t rim = 0;
    for (size_t e = 0; e < edges->count; e++) rim += edges->edges[e].uses == 1;
    return rim;
}

/* Patches that close all holes of the sheet, for these are small, are a solid as they are. */
static bool thicken(patch_job *job, es_patches *patches, es_patch_report *report, es_error *err) {
    size_t count = patches->count, vertices = job->quads.vertex_count;
    double *normals = es_alloc(vertices, 6 * sizeof *normals, err);
    double *work = normals ? es_alloc(job->masks.rows, 6 * sizeof *work, err) : NULL;
    es_patch_edges edges = {0};
    bool ok = work && es_patch_edges_find(patches, &edges, err);
    bool sealed = ok && count_rim(&edges) == 0;
    if (sealed) report->bridged = surface_rim_bridged(job->rim, &report->bridged_mm);
    if (ok && !sealed) {
        double *behind = normals + 3 * vertices;
        find_normals(&job->quads, normals);
        move_behind(job, normals, behind, work);
        ok = put_points(job, behind, patches->points + 3 * patches->point_count, err);
    }
    if (ok && !sealed) {
        add_back(patches, count);
        add_walls(patches, count, &edges, report);
        patches->point_count *= 2;
        ok = judge_thickness(patches, count, report, err);
    }
    es_patch_edges_clear(&edges);
    es_free(normals);
    es_free(work);
    return ok;
}

/* ---- judging ------------------------------------------------------------------------------ */

static bool measure(patch_job *job, const es_patches *patches, es_patch_report *report,
                    es_error *err) {
    es_patches front = *patches;
    front.count = report->patches;
    patch_judge judge = {job->whole_tree, job->area / SAMPLES_WANTED, job->pool};
    surface_deviation found[2] = {{.farthest = {0, 0, 0}}};
    bool ok = surface_compare_patches(&front, DRAWN_STEPS, job->whole, &judge, found, err);
    report->to_mesh = found[0].all;
    report->from_mesh = found[1].all;
    job->farthest = found[1].farthest;
    return ok;
}

/* Of an open mesh whose rim the patches do not follow, the mesh's edge beyond them
 * is no miss of theirs. */
static double worst_p95(const patch_job *job, const es_patch_report *r) {
    bool both = job->closed || job->quads.rimmed;
    return both ? fmax(r->to_mesh.p95_mm, r->from_mesh.p95_mm) : r->to_mesh.p95_mm;
}

/* ---- one size of patches -------------------------------------------------------------------- */

static bool has_shape(const patch_job *job, long euler) {
    return job->quads.bad == 0 && job->quads.quad_count > 0 &&
           (!job->closed || count_euler(&job->quads) == euler);
}

/* Quads up to the rim; where the outline of the quads does not go round it as it
 * should, the patches that the mesh covers are taken as they are. */
static bool follow_rim(patch_job *job, es_error *err) {
    quad_mesh plain = job->quads;
    surface_rim_free(job->rim);
    double cell = plain.cell_mm;
    job->quads = (quad_mesh){0};
    job->rim = surface_rim_new(job->mesh, cell, err);
    bool ok = job->rim && surface_quads_copy(&plain, &job->quads, err) &&
              surface_rim_follow(job->tree, job->rim, cell, &job->quads, err);
    if (ok && job->quads.rimmed) {
        surface_quads_clear(&plain);
    } else {
        surface_quads_clear(&job->quads);
        job->quads = plain;
    }
    return ok;
}

/* Another place of the grid when the surface is not two-manifold on it, or has
 * other handles than the mesh: a narrow gap between two folds closes on a coarse
 * grid. The places are the fractions of an even sequence (Roberts 2018). */
static bool find_grid(patch_job *job, double cell, long euler, es_error *err) {
    es_error why = {0};
    for (int place = 0; place < SHIFTS; place++) {
        surface_quads_clear(&job->quads);
        quad_grid grid = {.cell_mm = cell * (1 - 0.01 * place),
                          .shift = {fmod(0.8191725 * place, 1), fmod(0.6710436 * place, 1),
                                    fmod(0.5497005 * place, 1)},
                          .lenses = job->lenses,
                          .lens_count = job->lens_count,
                          .closed = job->closed};
        if (!surface_quads_find(job->tree, job->box, &grid, &job->quads, err)) return false;
        if (!has_shape(job, euler)) continue;
        if (job->closed) return true;
        if (!follow_rim(job, err)) return false;
        if (job->cuts.count == 0) return true;
        if (!hold_rims(job, euler, &why) && why.code != ES_GEOMETRY)
            return es_fail(err, why.code, "%s", why.message);
        if (job->held) return true;
    }
    if (job->quads.bad == 0 && job->quads.quad_count > 0 && job->options->cell_mm > 0 &&
        job->cuts.count == 0)
        return job->closed || follow_rim(job, err);
    return es_fail(
        err, ES_GEOMETRY,
        "cells of %.3g mm are too coarse for the shape of the surface (narrow gaps, "
        "handles, specks); take a smaller tolerance, smooth the surface, or write facets",
        cell);
}

static bool try_cell(patch_job *job, double cell, es_patches *patches, es_patch_report *report,
                     es_error *err) {
    clear_try(job);
    report->cell_mm = cell;
    report->tries++;
    report->walls = report->folded = 0;
    if (!find_grid(job, cell, report->mesh_euler, err) ||
        !surface_masks_find(&job->quads, &job->masks, err))
        return false;
    job->seen = es_alloc_zero(job->quads.quad_count, 1, err);
    patch_fit fit = {.tree = job->tree,
                     .pool = job->pool,
                     .rim = job->rim,
                     .cuts = job->cuts.items,
                     .held = job->held,
                     .quads = &job->quads,
                     .masks = &job->masks,
                     .cell_mm = cell,
                     .seen = job->seen};
    report->planes = job->cuts.count;
    report->euler = count_euler(&job->quads) + (long)report->planes;
    report->rimmed = job->quads.rimmed && report->planes == 0;
    if (report->rimmed) report->bridged = surface_rim_bridged(job->rim, &report->bridged_mm);
    bool ok = job->seen && surface_fit_quads(&fit, err) && choose_patches(job, report, err) &&
              make_sheet(job, patches, err) && measure(job, patches, report, err);
    if (ok && !report->closed && job->options->thickness_mm > 0)
        ok = thicken(job, patches, report, err);
    report->reached = ok && worst_p95(job, report) <= job->options->tolerance_mm;
    if (!ok) es_patches_clear(patches);
    return ok;
}

static double start_cell(const patch_job *job) {
    double usual = START_CELL_MM * pow(job->options->tolerance_mm / START_TOLERANCE_MM, 1 / ORDER);
    double few = sqrt(QUADS_PER_CELL * job->area / START_LEAST);
    double many = sqrt(QUADS_PER_CELL * job->area / START_MOST);
    return fmin(CELL_MAX_MM, fmax(many, fmin(usual, few)));
}

/* How much worse than asked: 95 % beyond the tolerance, or the mean square beyond
 * two thirds of it, which a few places decide; both ways, rims included. */
static double excess(const patch_job *job, const es_patch_report *r) {
    double p95 = fmax(r->to_mesh.p95_mm, r->from_mesh.p95_mm);
    double rms = fmax(r->to_mesh.rms_mm, r->from_mesh.rms_mm);
    return fmax(p95, rms / RMS_SHARE) / job->options->tolerance_mm;
}

/* Where one place is much worse than the rest, the grid is drawn together there. */
static bool add_lens(patch_job *job, const es_patch_report *r) {
    if (!r->closed || job->lens_count == LENSES_MAX || job->options->cell_mm > 0 ||
        r->from_mesh.max_mm < LENS_FROM * fmax(job->options->tolerance_mm, r->from_mesh.p95_mm))
        return false;
    job->lenses[job->lens_count++] =
        (quad_lens){job->farthest, LENS_CELLS * r->cell_mm, LENS_SCALE};
    return true;
}

/* The next size after a fit of another excess; a lens is given a try of its own. */
static double next_cell(patch_job *job, const es_patch_report *r, double least) {
    double share = worst_p95(job, r) / job->options->tolerance_mm;
    bool lens = add_lens(job, r);
    if (lens && share <= 1) return r->cell_mm;
    if (!lens) share = excess(job, r);
    return fmax(least, r->cell_mm *
                           fmax(r->closed ? 0.5 : 0.75, fmin(0.93, 0.97 * pow(share, -1 / ORDER))));
}

/* The largest cells that reach the tolerance, or the best that may be tried. */
static bool try_cells(patch_job *job, es_patches *patches, es_patch_report *report, es_error *err) {
    const es_patch_options *o = job->options;
    double least = sqrt(QUADS_PER_CELL * job->area / (double)o->patches_max);
    double cell = o->cell_mm > 0 ? o->cell_mm : fmax(start_cell(job), least), best = INFINITY;
    for (int i = 0, fits = 0; i < GRIDS && fits < FITS; i++) {
        es_patches next = {0};
        es_patch_report r = {
            .tries = report->tries, .closed = report->closed, .mesh_euler = report->mesh_euler};
        es_error why = {0};
        bool ok = try_cell(job, cell, &next, &r, &why),
             last = o->cell_mm > 0 || cell <= 1.001 * least;
        report->tries = r.tries;
        fits += ok;
        if (!ok && (why.code != ES_GEOMETRY || i == GRIDS - 1 || last))
            return best < INFINITY || es_fail(err, why.code, "%s", why.message);
        if (!ok) {
            cell = fmax(least, 0.9 * cell);
            continue;
        }
        double now = excess(job, &r);
        if (best == INFINITY || r.reached > report->reached ||
            (r.reached == report->reached && now < best)) {
            es_patches_clear(patches);
            *patches = next;
            *report = r;
            best = now;
        } else {
            es_patches_clear(&next);
        }
        if (best <= 1 || last) break;
        cell = next_cell(job, &r, least);
    }
    return best < INFINITY;
}

/* ---- the door ---------------------------------------------------------------------------------
 */

static bool check_options(const es_patch_options *o, es_error *err) {
    if (!(o->tolerance_mm > 0) || !(o->cell_mm >= 0) || isinf(o->cell_mm))
        return es_fail(err, ES_USAGE, "tolerance %g mm and cells of %g mm: expected above 0",
                       o->tolerance_mm, o->cell_mm);
    if (o->patches_max < 6 || o->patches_max > 100000)
        return es_fail(err, ES_USAGE, "at most %zu patches: expected 6 to 100000", o->patches_max);
    if (!(o->thickness_mm >= 0) || isinf(o->thickness_mm))
        return es_fail(err, ES_USAGE, "thickness %g mm: expected 0 or more", o->thickness_mm);
    return true;
}

/* What patches are put on: the mesh, or what its flat ends leave of it. */
static bool open_surface(patch_job *job, bool keep_planes, es_error *err) {
    job->mesh = job->whole;
    job->tree = job->whole_tree;
    job->lens_count = 0;
    surface_cuts_clear(&job->cuts);
    if (keep_planes && !surface_cuts_find(job->whole, &job->cuts, err)) return false;
    if (job->cuts.count == 0) return true;
    job->mesh = &job->cuts.sheet;
    job->closed = false;
    job->tree = surface_nearest_new(job->mesh, true, err);
    return job->tree != NULL;
}

static bool open_job(patch_job *job, es_patch_report *report, es_error *err) {
    es_mesh_check check;
    if (!check_options(job->options, err) || !es_mesh_inspect(job->whole, &check, err))
        return false;
    if (!(check.area_mm2 > 0))
        return es_fail(err, ES_GEOMETRY, "the mesh has no surface to put patches on");
    if (check.bad_edges > 0)
        return es_fail(err, ES_GEOMETRY,
                       "the mesh has %zu edges where more than two triangles meet, or two that "
                       "face opposite ways; it must be repaired first",
                       check.bad_edges);
    job->closed = check.boundary_edges == 0;
    if (job->closed && !(check.volume_mm3 > 0))
        return es_fail(err, ES_GEOMETRY, "the mesh has its inside out (%g mm3)", check.volume_mm3);
    report->closed = job->closed;
    report->mesh_euler = check.euler;
    job->area = check.area_mm2;
    job->box = es_mesh_box(job->whole);
    job->whole_tree = surface_nearest_new(job->whole, true, err);
    return job->whole_tree && open_surface(job, job->closed, err);
}

static void close_surface(patch_job *job) {
    clear_try(job);
    if (job->tree != job->whole_tree) surface_nearest_free(job->tree);
    job->tree = NULL;
    surface_cuts_clear(&job->cuts);
}

/* Where no patches fit the rims of flat ends, these are rounded like the rest. */
static bool try_surfaces(patch_job *job, es_patches *patches, es_patch_report *report,
                         es_error *err) {
    es_error why = {0};
    if (job->cuts.count == 0) return try_cells(job, patches, report, err);
    if (try_cells(job, patches, report, &why)) return true;
    if (why.code != ES_GEOMETRY) return es_fail(err, why.code, "%s", why.message);
    close_surface(job);
    job->closed = true;
    return open_surface(job, false, err) && try_cells(job, patches, report, err);
}

bool es_surface_patches(const es_mesh *mesh, const es_patch_options *options, es_pool *pool,
                        es_patches *patches, es_patch_report *report, es_error *err) {
    patch_job job = {.whole = mesh, .options = options, .pool = pool};
    es_patch_report own;
    if (!report) report = &own;
    *patches = (es_patches){0};
    *report = (es_patch_report){0};
    bool ok = open_job(&job, report, err) && try_surfaces(&job, patches, report, err);
    close_surface(&job);
    surface_nearest_free(job.whole_tree);
    return ok;
}
