/* The model's figures: how sound the meshes are, how fast, and how near to the truth.
 *
 *   bench_model [--scenes N] [--knees N] [--only scenes|shape|extract|knees|whole]
 *
 *   scenes   random blends of balls, tubes and rings, partly unseen, with noise, and white
 *            noise: bad edges and crossing facets after each step
 *   shape    smoothing and decimation: volume and distance
 *   extract  the surface of a dense and of a sparse volume; VTK's flying edges beside it
 *   knees    simulated sweeps, 0.3 mm and 0.3 degrees of noise, against what they saw
 *   whole    500 frames to STL and STEP on two threads
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/simulate.h"
#include "echosolid/surface.h"

typedef struct settings {
    int64_t scenes, knees;
    const char *only;
} settings;

static bool wanted(const settings *s, const char *part) {
    return !s->only || strcmp(s->only, part) == 0;
}

/* ---- random scenes ------------------------------------------------------------------ */

enum { HALF = 26, PARTS = 6 };
static const double VOXEL = 0.8;

typedef struct blob {
    es_vec3 a, b;
    double radius;
} blob;

typedef struct scene {
    blob parts[PARTS];
    int count;
    double blend, noise, hollow; /* mm; hollow: half a shell's thickness, 0: solid */
    es_vec3 seen;                /* unit; what faces away is not known */
    double seen_from;            /* mm along it; -INFINITY: all is known */
    double drops;                /* share of voxels without a value */
} scene;

static double uniform(es_random *r, double low, double high) {
    return low + (high - low) * es_random_uniform(r);
}

static es_vec3 random_point(es_random *r, double most) {
    double x = uniform(r, -most, most), y = uniform(r, -most, most), z = uniform(r, -most, most);
    return es_vec3_make(x, y, z);
}

static scene random_scene(uint64_t seed) {
    es_random r = es_random_new(seed, 17);
    scene s = {.count = 1 + (int)(PARTS * es_random_uniform(&r)), .seen_from = -INFINITY};
    for (int i = 0; i < s.count; i++) {
        s.parts[i].a = random_point(&r, 11);
        s.parts[i].b = es_random_uniform(&r) < 0.5 ? s.parts[i].a : random_point(&r, 11);
        s.parts[i].radius = uniform(&r, 1.5, 8);
    }
    s.blend = uniform(&r, 0.2, 4);
    s.noise = es_random_uniform(&r) < 0.6 ? uniform(&r, 0, 0.5) : 0;
    s.hollow = es_random_uniform(&r) < 0.2 ? uniform(&r, 0.6, 2) : 0;
    s.seen = es_vec3_unit(random_point(&r, 1));
    if (es_random_uniform(&r) < 0.7) s.seen_from = uniform(&r, -6, 4);
    s.drops = es_random_uniform(&r) < 0.3 ? uniform(&r, 0, 0.02) : 0;
    return s;
}

static double part_distance(const blob *part, es_vec3 p) {
    es_vec3 along = es_vec3_sub(part->b, part->a), way = es_vec3_sub(p, part->a);
    double length2 = es_vec3_dot(along, along);
    double t = length2 > 0 ? fmin(fmax(es_vec3_dot(way, along) / length2, 0), 1) : 0;
    return es_vec3_length(es_vec3_sub(way, es_vec3_scale(along, t))) - part->radius;
}

static double scene_distance(const scene *s, es_vec3 p) {
    double d = INFINITY;
    for (int i = 0; i < s->count; i++) {
        double more = part_distance(&s->parts[i], p);
        double h = fmax(s->blend - fabs(d - more), 0) / s->blend;
        d = fmin(d, more) - (isinf(d) ? 0 : h * h * s->blend / 4);
    }
    return s->hollow > 0 ? fabs(d) - s->hollow : d;
}

static void fill_brick(es_brick *brick, const scene *s, es_random *r) {
    for (int v = 0; v < ES_BRICK_VOXELS; v++) {
        int at[3];
        for (int a = 0; a < 3; a++) at[a] = 16 * brick->at[a] + (v >> 4 * a & 15);
        double noise = es_random_normal(r), chance = es_random_uniform(r);
        if (abs(at[0]) > HALF || abs(at[1]) > HALF || abs(at[2]) > HALF) continue;
        es_vec3 p = es_vec3_make(VOXEL * at[0], VOXEL * at[1], VOXEL * at[2]);
        if (s && (es_vec3_dot(p, s->seen) < s->seen_from || chance < s->drops)) continue;
        brick->weight[v] = 1;
        brick->value[v] = (float)(s ? scene_distance(s, p) + s->noise * noise : noise);
    }
}

/* NULL scene: white noise. */
static es_bricks *scene_bricks(const scene *s, uint64_t seed, es_error *err) {
    const double origin[3] = {0, 0, 0}, spacing[3] = {VOXEL, VOXEL, VOXEL};
    es_random r = es_random_new(seed, 23);
    es_bricks *bricks = es_bricks_new(origin, spacing, err);
    for (int z = -2; z < 2 && bricks; z++)
        for (int y = -2; y < 2; y++)
            for (int x = -2; x < 2; x++) {
                es_brick *brick = es_bricks_add(bricks, x, y, z, err);
                if (!brick) return NULL;
                fill_brick(brick, s, &r);
            }
    return bricks;
}

enum { STEPS = 7 };
static const char *const steps[STEPS] = {"extracted",      "cleaned",        "smoothed",
                                         "decimated",      "smoothed thick", "smoothed capped",
                                         "decimated thick"};
typedef struct sums {
    size_t meshes[STEPS], triangles[STEPS], bad[STEPS], open[STEPS], crossings[STEPS],
        crossed_meshes[STEPS], refused[STEPS];
} sums;

static bool judge(const es_mesh *mesh, int step, bool must_close, es_pool *pool, sums *all,
                  es_error *err) {
    es_mesh_check check;
    size_t pairs;
    if (!es_mesh_inspect_welded(mesh, &check, err) ||
        !es_mesh_find_crossings(mesh, pool, NULL, &pairs, err))
        return false;
    all->meshes[step]++;
    all->triangles[step] += mesh->triangle_count;
    all->bad[step] += check.bad_edges + check.bad_vertices;
    all->open[step] += must_close && !check.closed;
    all->crossings[step] += pairs;
    all->crossed_meshes[step] += pairs > 0;
    return true;
}

static bool judge_solid(const es_mesh *mesh, bool cap, int step, es_pool *pool, sums *all,
                        es_error *err) {
    es_mesh solid;
    bool ok = cap ? es_mesh_cap(mesh, 2, &solid, NULL, err) : es_mesh_thicken(mesh, 2, &solid, err);
    ok = ok && judge(&solid, step, true, pool, all, err);
    es_mesh_clear(&solid);
    return ok;
}

static bool run_scene(const scene *s, uint64_t seed, es_pool *pool, sums *all, es_error *err) {
    es_bricks *bricks = scene_bricks(s, seed, err);
    es_iso_options iso = ES_ISO_DEFAULTS;
    es_mesh mesh = {0};
    bool ok = bricks && es_surface_extract(bricks, &iso, pool, &mesh, err);
    es_bricks_free(bricks);
    if (ok) ok = judge(&mesh, 0, false, pool, all, err);
    ok = ok && es_mesh_clean(&mesh, 0.1 * VOXEL, NULL, err) &&
         (!s || es_mesh_keep_components(&mesh, 0, 20, NULL, NULL, err));
    bool empty = mesh.triangle_count == 0;
    if (ok && !empty) ok = judge(&mesh, 1, false, pool, all, err);
    ok = ok && (empty || (es_mesh_smooth(&mesh, 20, 0.5, -0.53, err) &&
                          es_mesh_clean(&mesh, 0.1 * VOXEL, NULL, err)));
    empty |= mesh.triangle_count == 0;
    if (ok && !empty) ok = judge(&mesh, 2, false, pool, all, err);
    if (ok && !empty && s)
        ok = judge_solid(&mesh, false, 4, pool, all, err) &&
             judge_solid(&mesh, true, 5, pool, all, err);
    if (ok && !empty && s) {
        es_error why = {0};
        es_decimate_options options = {.max_distance_mm = 0.05 * VOXEL};
        if (es_mesh_decimate(&mesh, &options, pool, NULL, &why))
            ok = judge(&mesh, 3, false, pool, all, err) &&
                 judge_solid(&mesh, false, 6, pool, all, err);
        else
            all->refused[3]++;
    }
    es_mesh_clear(&mesh);
    return ok;
}

static bool run_scenes(const settings *s, es_pool *pool, es_error *err) {
    sums all = {{0}, {0}, {0}, {0}, {0}, {0}, {0}};
    double start = es_clock_s();
    for (int64_t i = 0; i < s->scenes; i++) {
        scene one = random_scene((uint64_t)i);
        if (!run_scene(&one, (uint64_t)i, pool, &all, err))
            return es_prefix(err, "scene %d", (int)i);
    }
    if (s->scenes >= 100 && !run_scene(NULL, 1, pool, &all, err)) return es_prefix(err, "white noise");
    printf("%d random scenes and white noise, %d^3 voxels of %g mm, %.1f s\n", (int)s->scenes,
           2 * HALF + 1, VOXEL, es_clock_s() - start);
    printf("  %-16s %6s %10s %9s %8s %10s %10s %8s\n", "", "meshes", "facets", "bad edges",
           "not closed", "crossings", "in meshes", "refused");
    for (int i = 0; i < STEPS; i++)
        printf("  %-16s %6zu %10zu %9zu %8zu %10zu %10zu %8zu\n", steps[i], all.meshes[i],
               all.triangles[i], all.bad[i], all.open[i], all.crossings[i], all.crossed_meshes[i],
               all.refused[i]);
    return true;
}

int main(int argc, char **argv) {
    settings s = {.scenes = 200, .knees = 20};
    es_error err = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--scenes") == 0) es_parse_int(argv[i + 1], &s.scenes);
        if (strcmp(argv[i], "--knees") == 0) es_parse_int(argv[i + 1], &s.knees);
        if (strcmp(argv[i], "--only") == 0) s.only = argv[i + 1];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    es_pool *pool = es_pool_new(2, &err);
    bool ok = pool && (!wanted(&s, "scenes") || run_scenes(&s, pool, &err));
    es_pool_free(pool);
    if (ok) return 0;
    fprintf(stderr, "bench_model: %s\n", err.message);
    return 1;
}
