/* echosolid compare: two volumes voxel by voxel, or two meshes in mm. */
#include <math.h>
#include <string.h>

#include "app.h"

typedef struct compare_options {
    common_options common;
    double sample_mm2;
    int64_t threads;
} compare_options;

static const opt table[] = {
    {.name = "sample",
     .type = OPT_NUMBER,
     .low = 1e-4,
     .high = 1e4,
     .fallback = "0.25",
     .value = "MM2",
     .offset = offsetof(compare_options, sample_mm2),
     .help = "meshes: one sample point per this area in square millimetres"},
    THREADS_OPTION(compare_options, threads),
    {.name = NULL}};

static const char *const examples[] = {"echosolid compare volume.mha volume.nii.gz --json",
                                       "echosolid compare knee-sheet.stl knee.seen.ply", NULL};

/* ---- volumes ---------------------------------------------------------------- */

typedef struct difference {
    uint64_t voxels, differing, over_2;
    double max_abs, sum_squares, range;
} difference;

static void find_difference(const es_grid *a, const es_grid *b, difference *d) {
    double low = INFINITY, high = -INFINITY;
    memset(d, 0, sizeof *d);
    d->voxels = a->info.size[0] * a->info.size[1] * a->info.size[2] * (uint64_t)a->info.channels;
    for (uint64_t i = 0; i < d->voxels; i++) {
        double x = es_type_get(a->info.type, a->data, i), y = es_type_get(b->info.type, b->data, i);
        if (isnan(x) && isnan(y)) continue;
        double gap = isnan(x) || isnan(y) ? INFINITY : fabs(x - y);
        d->differing += gap > 0;
        d->over_2 += gap > 2;
        d->max_abs = fmax(d->max_abs, gap);
        d->sum_squares += gap * gap;
        low = fmin(low, x);
        high = fmax(high, x);
    }
    double type_low, type_high;
    es_type_range(a->info.type, &type_low, &type_high);
    d->range = a->info.type < ES_U32 ? type_high - type_low : high - low;
}

static bool same_size(const char *const *files, const es_grid *a, const es_grid *b, es_error *err) {
    const uint64_t *s = a->info.size, *t = b->info.size;
    if (memcmp(s, t, sizeof a->info.size) == 0 && a->info.channels == b->info.channels) return true;
    return es_fail(err, ES_GEOMETRY,
                   "%s is %llu x %llu x %llu x %d, %s is %llu x %llu x %llu x %d: volumes of "
                   "different size cannot be compared voxel by voxel",
                   es_path_name(files[0]), (unsigned long long)s[0], (unsigned long long)s[1],
                   (unsigned long long)s[2], a->info.channels, es_path_name(files[1]),
                   (unsigned long long)t[0], (unsigned long long)t[1], (unsigned long long)t[2],
                   b->info.channels);
}

/* Largest distance between corresponding corners of the two grids. */
static double geometry_gap(const es_grid_info *a, const es_grid_info *b) {
    es_mat4 ma = es_grid_to_mm(a), mb = es_grid_to_mm(b);
    double worst = 0;
    for (int c = 0; c < 8; c++) {
        es_vec3 p =
            es_vec3_make((c & 1) ? (double)a->size[0] - 1 : 0, (c & 2) ? (double)a->size[1] - 1 : 0,
                         (c & 4) ? (double)a->size[2] - 1 : 0);
        worst =
            fmax(worst, es_vec3_length(es_vec3_sub(es_mat4_point(ma, p), es_mat4_point(mb, p))));
    }
    return worst;
}

static int print_difference(const compare_options *o, const difference *d, double gap_mm) {
    double rms = d->voxels ? sqrt(d->sum_squares / (double)d->voxels) : 0;
    double psnr = rms > 0 ? 20 * log10(d->range / rms) : INFINITY;
    double within = d->voxels ? 100.0 * (double)(d->voxels - d->over_2) / (double)d->voxels : 100;
    if (o->common.json)
        return app_print_json(
            json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "kind", "volumes", "voxels",
                      (json_int_t)d->voxels, "voxels_differing", (json_int_t)d->differing,
                      "voxels_over_2", (json_int_t)d->over_2, "max_abs",
                      app_json_number(d->max_abs), "rms", app_json_number(rms), "psnr_db",
                      app_json_number(psnr), "geometry_mm", app_json_number(gap_mm)));
    printf("voxels            %llu\n", (unsigned long long)d->voxels);
    printf("differing         %llu\n", (unsigned long long)d->differing);
    printf("differing over 2  %llu (%.3f %% are within 2)\n", (unsigned long long)d->over_2,
           within);
    printf("largest           %g\n", d->max_abs);
    printf("RMS               %.6g\n", rms);
    printf("PSNR              %.2f dB\n", psnr);
    printf("geometry apart    %.4g mm\n", gap_mm);
    return 0;
}

static int compare_volumes(const compare_options *o, const char *const *files) {
    es_error err = {0};
    es_grid a = {0}, b = {0};
    int status = 1;
    if (es_grid_read(files[0], &a, &err) && es_grid_read(files[1], &b, &err) &&
        same_size(files, &a, &b, &err)) {
        difference d;
        find_difference(&a, &b, &d);
        status = print_difference(o, &d, geometry_gap(&a.info, &b.info));
    } else {
        status = app_fail(&err);
    }
    es_grid_clear(&a);
    es_grid_clear(&b);
    return status;
}

/* ---- meshes ------------------------------------------------------------------ */

static void print_row(const char *name, const es_mesh_distance *d) {
    printf("%-8s mean %.3f  RMS %.3f  95 %% %.3f  max %.3f  signed mean %+.3f mm\n", name,
           d->mean_mm, d->rms_mm, d->p95_mm, d->max_mm, d->signed_mean_mm);
}

static int print_meshes(const compare_options *o, const es_mesh_distance d[2],
                        const es_mesh_check checks[2]) {
    bool closed = checks[0].closed && checks[1].closed;
    double volume_gap = checks[0].volume_mm3 - checks[1].volume_mm3;
    double hausdorff = fmax(d[0].max_mm, d[1].max_mm);
    if (o->common.json)
        return app_print_json(
            json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", "meshes", "a_to_b",
                      app_json_distance(&d[0]), "b_to_a", app_json_distance(&d[1]), "hausdorff_mm",
                      app_json_number(hausdorff), "volume_difference_mm3",
                      closed ? app_json_number(volume_gap) : json_null(), "a",
                      app_json_check(&checks[0]), "b", app_json_check(&checks[1])));
    print_row("A to B", &d[0]);
    print_row("B to A", &d[1]);
    printf("Hausdorff distance %.3f mm\n", hausdorff);
    if (closed)
        printf("volumes %.1f and %.1f mm3, difference %+.1f mm3 (%+.3f %%)\n", checks[0].volume_mm3,
               checks[1].volume_mm3, volume_gap, 100 * volume_gap / checks[1].volume_mm3);
    else
        printf("volume difference: none, an open mesh has no volume\n");
    return 0;
}

static int compare_meshes(const compare_options *o, const char *const *files) {
    es_error err = {0};
    es_mesh meshes[2] = {{0}, {0}};
    es_mesh_distance d[2];
    es_mesh_check checks[2];
    es_pool *pool = es_pool_new((int)o->threads, &err);
    bool ok = pool != NULL;
    for (int i = 0; i < 2 && ok; i++)
        ok = es_mesh_read(files[i], &meshes[i], &err) &&
             es_mesh_inspect(&meshes[i], &checks[i], &err);
    for (int i = 0; i < 2 && ok; i++)
        ok = es_mesh_compare(&meshes[i], &meshes[1 - i], o->sample_mm2, pool, &d[i], &err);
    int status = ok ? print_meshes(o, d, checks) : app_fail(&err);
    es_mesh_clear(&meshes[0]);
    es_mesh_clear(&meshes[1]);
    es_pool_free(pool);
    return status;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    bool first = es_mesh_can_write(files[0], NULL), second = es_mesh_can_write(files[1], NULL);
    if (first != second) {
        es_error err = {0};
        es_fail(&err, ES_USAGE, "%s is a %s and %s a %s: give two of a kind",
                es_path_name(files[0]), first ? "mesh" : "volume", es_path_name(files[1]),
                second ? "mesh" : "volume");
        return app_fail(&err);
    }
    return first ? compare_meshes(options, files) : compare_volumes(options, files);
}

const command command_compare = {
    .name = "compare",
    .summary = "how far two volumes or two meshes are from one another",
    .usage = "A B [options]",
    .description =
        "Volumes of one size: how many voxels differ, how many by more than 2, the largest "
        "difference, RMS and PSNR, and how far their corners lie apart. Meshes: distances of "
        "points spread evenly over A to the nearest point of B and the reverse (mean, RMS, 95 %, "
        "largest), the Hausdorff distance, and the difference of the volumes when both are closed. "
        "The signed mean is positive where the first lies outside the second.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(compare_options),
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run};
