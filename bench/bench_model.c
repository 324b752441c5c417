/* The model's figures: how sound the meshes are, how fast, and how near to the truth.
 *
 *   bench_model [--scenes N] [--knees N] [--first N] [--only scenes|shape|extract|knees|whole]
 *
 *   scenes   random blends of balls, tubes and rings, partly unseen, with noise, and white
 *            noise: bad edges and crossing facets after each step
 *   shape    smoothing and decimation: volume and distance
 *   extract  the surface of a dense and of a sparse volume; VTK's flying edges beside it
 *   knees    other people's knees (from number --first on) and sweeps, 0.3 mm and 0.3 degrees of
 *            noise, against what the sweeps could see
 *   whole    500 frames to STL and STEP on two threads
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "echosolid/simulate.h"
#include "echosolid/surface.h"

typedef struct settings {
    int64_t scenes, knees, first;
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
    bool ok = cap ? es_mesh_cap(mesh, 2, &solid, NULL, err)
                  : es_mesh_thicken(mesh, 2, NULL, &solid, NULL, err);
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
        fprintf(stderr, "\rscene %d of %d, %.0f s", (int)i + 1, (int)s->scenes,
                es_clock_s() - start);
    }
    if (s->scenes > 0) fprintf(stderr, "\n");
    if (s->scenes > 0 && !run_scene(NULL, 1, pool, &all, err)) return es_prefix(err, "white noise");
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

/* ---- smoothing and decimation ---------------------------------------------------------- */

static bool run_shape(es_pool *pool, es_error *err) {
    es_scene *knee = es_scene_new("knee", err);
    es_bricks *bricks = knee ? es_scene_bricks(knee, 0.5, 3, pool, err) : NULL;
    es_iso_options iso = ES_ISO_DEFAULTS;
    es_decimate_options options = {.max_distance_mm = 0.05};
    es_decimate_report r = {0};
    es_mesh mesh = {0};
    es_mesh_check before = {0}, smooth = {0}, fewer = {0};
    double start = es_clock_s(), smoothed = 0, decimated = 0;
    bool ok = bricks && es_surface_extract(bricks, &iso, pool, &mesh, err) &&
              es_mesh_clean(&mesh, 0.05, NULL, err) && es_mesh_inspect(&mesh, &before, err);
    start = es_clock_s();
    ok = ok && es_mesh_smooth(&mesh, 20, 0.5, -0.53, err);
    smoothed = es_clock_s() - start;
    ok = ok && es_mesh_inspect(&mesh, &smooth, err);
    start = es_clock_s();
    ok = ok && es_mesh_decimate(&mesh, &options, pool, &r, err);
    decimated = es_clock_s() - start;
    ok = ok && es_mesh_inspect(&mesh, &fewer, err);
    if (ok)
        printf("knee of 0.5 mm voxels, %zu facets: smoothed 20 rounds, volume %+.4f %%, %.2f s\n"
               "  decimated within 0.05 mm to %zu facets: volume %+.4f %%, farthest %.4f and %.4f "
               "mm, %.2f s\n",
               r.triangles_before, 100 * (smooth.volume_mm3 / before.volume_mm3 - 1), smoothed,
               mesh.triangle_count, 100 * (fewer.volume_mm3 / smooth.volume_mm3 - 1),
               r.to_original.max_mm, r.from_original.max_mm, decimated);
    es_mesh_clear(&mesh);
    es_bricks_free(bricks);
    es_scene_free(knee);
    return ok;
}

/* ---- extraction ---------------------------------------------------------------------------- */

enum { SIDE = 256 };

static double ripples(int x, int y, int z, double radius) {
    double u = x - SIDE / 2 + 0.3, v = y - SIDE / 2 - 0.2, w = z - SIDE / 2 + 0.1;
    return sqrt(u * u + v * v + w * w) - radius + 3 * sin(u / 5) * sin(v / 6) * sin(w / 7);
}

/* All of the cube, or the bricks about the surface, until `share` of it is there. */
static es_bricks *cube(double share, size_t *count, es_error *err) {
    const double origin[3] = {0, 0, 0}, spacing[3] = {1, 1, 1};
    es_bricks *bricks = es_bricks_new(origin, spacing, err);
    int most = SIDE / 16;
    *count = 0;
    for (int i = 0; i < most * most * most && bricks; i++) {
        int x = i % most, y = i / most % most, z = i / most / most;
        double d = ripples(16 * x + 8, 16 * y + 8, 16 * z + 8, share < 1 ? 70 : 100);
        if (share < 1 && (fabs(d) > 18 || (double)*count >= share * most * most * most)) continue;
        es_brick *brick = es_bricks_add(bricks, x, y, z, err);
        if (!brick) return NULL;
        for (int v = 0; v < ES_BRICK_VOXELS; v++) {
            brick->weight[v] = 1;
            brick->value[v] = (float)ripples(16 * x + (v & 15), 16 * y + (v >> 4 & 15),
                                             16 * z + (v >> 8), share < 1 ? 70 : 100);
        }
        ++*count;
    }
    return bricks;
}

/* The least of several runs: wall clock, and processor time of all threads, which other
 * work on the machine lengthens less. */
typedef struct timing {
    double wall_s, cpu_s;
} timing;

static timing least(timing a, timing b) {
    return (timing){fmin(a.wall_s, b.wall_s), fmin(a.cpu_s, b.cpu_s)};
}

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool time_extract(const es_bricks *bricks, es_pool *pool, timing *best, es_mesh *mesh,
                         es_error *err) {
    es_iso_options iso = ES_ISO_DEFAULTS;
    for (int i = 0; i < 5; i++) {
        double start = es_clock_s(), cpu = cpu_s();
        es_mesh_clear(mesh);
        if (!es_surface_extract(bricks, &iso, pool, mesh, err)) return false;
        *best = least(*best, (timing){es_clock_s() - start, cpu_s() - cpu});
    }
    return true;
}

/* VTK's flying edges over the same cube, dense: it has no sparse volumes. Two threads
 * at most, the best of five; infinity where VTK is not there. */
static timing time_vtk(double radius) {
    char line[2000];
    timing t = {INFINITY, INFINITY};
    snprintf(line, sizeof line,
             "/usr/bin/python3 -c \""
             "import vtk,time,numpy as np\n"
             "from vtk.util.numpy_support import numpy_to_vtk as n2v\n"
             "vtk.vtkSMPTools.Initialize(2)\n"
             "g=np.arange(%d)-%d.0\n"
             "w,v,u=np.meshgrid(g+.1,g-.2,g+.3,indexing='ij')\n"
             "d=np.sqrt(u*u+v*v+w*w)-%g+3*np.sin(u/5)*np.sin(v/6)*np.sin(w/7)\n"
             "i=vtk.vtkImageData();i.SetDimensions(%d,%d,%d)\n"
             "i.GetPointData().SetScalars(n2v(d.astype('f4').ravel(),1))\n"
             "b=c=9e9\n"
             "for k in range(5):\n"
             "  f=vtk.vtkFlyingEdges3D();f.SetInputData(i);f.SetValue(0,0);f.ComputeNormalsOff()\n"
             "  f.ComputeScalarsOff();t=time.time();p=time.process_time();f.Update()\n"
             "  c=min(c,time.process_time()-p);b=min(b,time.time()-t)\n"
             "print(b,c)\" 2>/dev/null",
             SIDE, SIDE / 2, radius, SIDE, SIDE, SIDE);
    FILE *answer = popen(line, "r");
    if (answer && fgets(line, sizeof line, answer)) es_parse_doubles(line, &t.wall_s, 2);
    if (answer) pclose(answer);
    return t;
}

static bool same_mesh(const es_mesh *a, const es_mesh *b) {
    return a->triangle_count == b->triangle_count && a->vertex_count == b->vertex_count &&
           memcmp(a->vertices, b->vertices, 12 * a->vertex_count) == 0 &&
           memcmp(a->triangles, b->triangles, 12 * a->triangle_count) == 0;
}

/* By turns, so that both meet the same machine. */
static bool run_cube(double share, double radius, es_pool *pool, es_error *err) {
    size_t count;
    timing two = {INFINITY, INFINITY}, one = two, vtk = two;
    es_mesh a = {0}, b = {0};
    es_bricks *bricks = cube(share, &count, err);
    bool ok = bricks != NULL;
    for (int turn = 0; ok && turn < 4; turn++) {
        ok = time_extract(bricks, pool, &two, &a, err) && time_extract(bricks, NULL, &one, &b, err);
        if (ok) vtk = least(vtk, time_vtk(radius));
    }
    if (ok)
        printf("  %3.0f %% of %d^3: %7zu facets; wall clock %.3f (one thread %.3f), VTK %.3f: %.2f "
               "times; processor %.3f (%.3f), VTK %.3f: %.2f times; same bytes: %s\n",
               100.0 * (double)count * ES_BRICK_VOXELS / SIDE / SIDE / SIDE, SIDE, a.triangle_count,
               two.wall_s, one.wall_s, vtk.wall_s, vtk.wall_s / two.wall_s, two.cpu_s, one.cpu_s,
               vtk.cpu_s, vtk.cpu_s / two.cpu_s, same_mesh(&a, &b) ? "yes" : "NO");
    es_mesh_clear(&a);
    es_mesh_clear(&b);
    es_bricks_free(bricks);
    return ok;
}

static bool run_extract(es_pool *pool, es_error *err) {
    printf("extraction, two threads, best of 20 [s]; VTK's flying edges by turns, on the dense "
           "cube\n");
    return run_cube(1, 100, pool, err) && run_cube(0.1, 70, pool, err);
}

/* ---- simulated sweeps through the program ------------------------------------------------------
 */

static double number(const json_t *root, const char *group, const char *name) {
    const json_t *from = group ? json_object_get(root, group) : root;
    const json_t *value = json_object_get(from, name);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A folder of our own for the recordings; removed at the end. */
static char folder[] = "/tmp/es-bench-XXXXXX";

/* A sweep of this seed over this anatomy, and the model of it; the JSON of the command. */
static json_t *model_of(int seed, int anatomy, int frames, const char *outputs, es_error *err) {
    char line[1000];
    snprintf(line, sizeof line,
             "build/echosolid simulate --scene knee --seed %d --anatomy %d --frames %d "
             "--pose-noise 0.3mm "
             "--angle-noise 0.3deg --threads 2 --quiet -o %s/scan.igs.mha >/dev/null",
             seed, anatomy, frames, folder);
    json_t *root = NULL;
    if (system(line) != 0) {
        es_fail(err, ES_IO, "build/echosolid simulate failed; start the bench by ./do bench model");
        return NULL;
    }
    snprintf(line, sizeof line,
             "cd %s && %s/build/echosolid model scan.igs.mha --config scan.xml "
             "--truth scan.seen.ply %s --threads 2 --json --quiet",
             folder, getenv("PWD") ? getenv("PWD") : ".", outputs);
    FILE *answer = popen(line, "r");
    json_error_t why;
    if (answer) root = json_loadf(answer, 0, &why);
    if (answer) pclose(answer);
    if (!root) es_fail(err, ES_FORMAT, "build/echosolid model gave no JSON: %s", why.text);
    return root;
}

static bool run_knees(const settings *s, es_error *err) {
    double worst_rms = 0, worst_p95 = 0, sum = 0;
    double least = 1, within = 0;
    int reached = 0;
    printf("other people's knees, each with its own sweep, 0.3 mm and 0.3 degrees of noise; model "
           "to truth, mm\n  number  RMS   95 %%   max   found within 1 mm  crossings  closed\n");
    for (int i = 0; i < s->knees; i++) {
        int person = (int)s->first + i;
        json_t *root = model_of(person, person, 0, "-o knee.stl --unchecked", err);
        if (!root) return es_prefix(err, "knee %d", person);
        double rms = number(root, "a_to_b", "rms_mm"), p95 = number(root, "a_to_b", "p95_mm");
        double found = number(root, NULL, "truth_within_1mm");
        printf(
            "  %5d  %.3f  %.3f  %5.2f  %5.1f %%            %.0f          %s\n", person, rms, p95,
            number(root, "a_to_b", "max_mm"), 100 * found, number(root, NULL, "self_intersections"),
            json_is_true(json_object_get(json_object_get(root, "solid"), "closed")) ? "yes" : "NO");
        worst_rms = fmax(worst_rms, rms);
        worst_p95 = fmax(worst_p95, p95);
        sum += rms;
        least = fmin(least, found);
        within += found;
        reached += rms <= 0.6 && p95 <= 1.2;
        json_decref(root);
    }
    printf("  mean RMS %.3f, worst RMS %.3f (asked 0.6), worst 95 %% %.3f mm (asked 1.2), %d of %d "
           "reach both; found %.1f %% on average, %.1f %% at worst\n",
           sum / (double)s->knees, worst_rms, worst_p95, reached, (int)s->knees,
           100 * within / (double)s->knees, 100 * least);
    return true;
}

static bool run_whole(es_error *err) {
    double start = es_clock_s();
    json_t *root = model_of(1, 0, 500, "-o knee.stl -o knee.step", err), *stage;
    size_t i;
    double all = 0;
    if (!root) return false;
    printf("500 frames to STL and STEP, two threads:");
    json_array_foreach(json_object_get(root, "stages"), i, stage) {
        printf(" %s %.2f,", json_string_value(json_object_get(stage, "name")),
               number(stage, NULL, "seconds"));
        all += number(stage, NULL, "seconds");
    }
    printf(" together %.2f s; peak memory %.0f MB (with simulating and judging %.1f s)\n", all,
           number(root, NULL, "peak_memory_bytes") / 1e6, es_clock_s() - start);
    json_decref(root);
    return true;
}

static void remove_folder(void) {
    static const char *const names[] = {"scan.igs.mha",   "scan.xml", "scan.seen.ply",
                                        "scan.truth.ply", "knee.stl", "knee.step"};
    char path[100];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    remove(folder);
}

int main(int argc, char **argv) {
    settings s = {.scenes = 200, .knees = 20, .first = 1000};
    es_error err = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--scenes") == 0) es_parse_int(argv[i + 1], &s.scenes);
        if (strcmp(argv[i], "--first") == 0) es_parse_int(argv[i + 1], &s.first);
        if (strcmp(argv[i], "--knees") == 0) es_parse_int(argv[i + 1], &s.knees);
        if (strcmp(argv[i], "--only") == 0) s.only = argv[i + 1];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    es_pool *pool = es_pool_new(2, &err);
    bool ok = pool && (mkdtemp(folder) || es_fail_errno(&err, "%s", folder)) &&
              (!wanted(&s, "shape") || run_shape(pool, &err)) &&
              (!wanted(&s, "extract") || run_extract(pool, &err)) &&
              (!wanted(&s, "whole") || run_whole(&err)) &&
              (!wanted(&s, "knees") || run_knees(&s, &err)) &&
              (!wanted(&s, "scenes") || run_scenes(&s, pool, &err));
    es_pool_free(pool);
    remove_folder();
    if (ok) return 0;
    fprintf(stderr, "bench_model: %s\n", err.message);
    return 1;
}
