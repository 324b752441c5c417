/* echosolid compare: two volumes voxel by voxel, or two meshes in mm. */
#include <math.h>
#include <string.h>

#include "app.h"
#include "echosolid/picture.h"

typedef struct compare_options {
    common_options common;
    double sample_mm2;
    int64_t threads;
    bool align;
    const char *picture, *histogram;
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
    {.name = "align",
     .type = OPT_FLAG,
     .offset = offsetof(compare_options, align),
     .help = "meshes: also after turning and shifting A onto B (no scale)"},
    {.name = "picture",
     .type = OPT_TEXT,
     .value = "PNG",
     .offset = offsetof(compare_options, picture),
     .help = "meshes: A coloured by its distance to B"},
    {.name = "histogram",
     .type = OPT_TEXT,
     .value = "SVG",
     .offset = offsetof(compare_options, histogram),
     .help = "meshes: how A's distances to B spread"},
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

typedef struct mesh_pair {
    es_mesh meshes[2];
    es_mesh_check checks[2];
    es_mesh_distance d[2];       /* A to B and back, where they are */
    es_mesh_distance aligned[2]; /* with --align */
    es_mesh_alignment alignment;
} mesh_pair;

static double chamfer(const es_mesh_distance d[2]) { return d[0].mean_mm + d[1].mean_mm; }
static double larger(double a, double b) { return fmax(a, b); }

static json_t *distances_json(const es_mesh_distance d[2]) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "a_to_b", app_json_distance(&d[0]), "b_to_a",
                     app_json_distance(&d[1]), "hausdorff_mm",
                     app_json_number(larger(d[0].max_mm, d[1].max_mm)), "hausdorff95_mm",
                     app_json_number(larger(d[0].p95_mm, d[1].p95_mm)), "chamfer_mm",
                     app_json_number(chamfer(d)));
}

static json_t *alignment_json(const mesh_pair *p) {
    json_t *root = distances_json(p->aligned), *motion = json_array();
    const es_mesh_alignment *a = &p->alignment;
    for (int i = 0; i < 16; i++) json_array_append_new(motion, json_real(a->motion.m[i]));
    json_object_set_new(root, "motion", motion);
    json_object_set_new(root, "turn_deg",
                        json_real(es_vec3_length(es_mat4_turn(a->motion)) * 57.29577951308232));
    json_object_set_new(root, "directions_determined", json_integer(a->determined));
    json_object_set_new(root, "converged", json_boolean(a->converged));
    return root;
}

static int print_json(const compare_options *o, const mesh_pair *p) {
    const es_mesh_check *c = p->checks;
    bool closed = c[0].closed && c[1].closed;
    json_t *root = distances_json(p->d);
    json_object_set_new(root, "kind", json_string("meshes"));
    json_object_set_new(root, "volume_difference_mm3",
                        closed ? app_json_number(c[0].volume_mm3 - c[1].volume_mm3) : json_null());
    json_object_set_new(root, "a", app_json_check(&c[0]));
    json_object_set_new(root, "b", app_json_check(&c[1]));
    if (o->align) json_object_set_new(root, "aligned", alignment_json(p));
    return app_print_json(root);
}

static void print_rows(const es_mesh_distance d[2]) {
    static const char *const names[] = {"A to B", "B to A"};
    for (int i = 0; i < 2; i++)
        printf("%-8s mean %.3f  RMS %.3f  95 %% %.3f  max %.3f  signed mean %+.3f mm\n", names[i],
               d[i].mean_mm, d[i].rms_mm, d[i].p95_mm, d[i].max_mm, d[i].signed_mean_mm);
    printf("Hausdorff distance %.3f mm (of 95 %%: %.3f), Chamfer (sum of both means) %.3f mm\n",
           larger(d[0].max_mm, d[1].max_mm), larger(d[0].p95_mm, d[1].p95_mm), chamfer(d));
}

static int print_meshes(const compare_options *o, const mesh_pair *p) {
    const es_mesh_check *c = p->checks;
    if (o->common.json) return print_json(o, p);
    print_rows(p->d);
    if (c[0].closed && c[1].closed)
        printf("volumes %.1f and %.1f mm3, difference %+.1f mm3 (%+.3f %%)\n", c[0].volume_mm3,
               c[1].volume_mm3, c[0].volume_mm3 - c[1].volume_mm3,
               100 * (c[0].volume_mm3 / c[1].volume_mm3 - 1));
    else
        printf("volume difference: none, an open mesh has no volume\n");
    if (!o->align) return 0;
    const es_mesh_alignment *a = &p->alignment;
    es_vec3 shift = es_mat4_column(a->motion, 3);
    printf("\nA turned by %.3f degrees and shifted by (%.3f, %.3f, %.3f) mm onto B%s%s:\n",
           es_vec3_length(es_mat4_turn(a->motion)) * 57.29577951308232, shift.x, shift.y, shift.z,
           a->determined < 6 ? "; not all directions are determined" : "",
           a->converged ? "" : "; not settled");
    print_rows(p->aligned);
    return 0;
}

static bool measure(const es_mesh meshes[2], double sample_mm2, es_pool *pool,
                    es_mesh_distance d[2], es_error *err) {
    return es_mesh_compare(&meshes[0], &meshes[1], sample_mm2, pool, &d[0], err) &&
           es_mesh_compare(&meshes[1], &meshes[0], sample_mm2, pool, &d[1], err);
}

static bool align(mesh_pair *p, double sample_mm2, es_pool *pool, es_error *err) {
    es_mesh moved[2] = {{0}, p->meshes[1]};
    if (!es_mesh_align(&p->meshes[0], &p->meshes[1], &p->alignment, err) ||
        !es_mesh_copy(&p->meshes[0], &moved[0], err))
        return false;
    for (size_t v = 0; v < moved[0].vertex_count; v++) {
        float *at = moved[0].vertices + 3 * v;
        es_vec3 q = es_mat4_point(p->alignment.motion, es_vec3_make(at[0], at[1], at[2]));
        at[0] = (float)q.x;
        at[1] = (float)q.y;
        at[2] = (float)q.z;
    }
    bool ok = measure(moved, sample_mm2, pool, p->aligned, err);
    es_mesh_clear(&moved[0]);
    return ok;
}

static bool write_picture(const compare_options *o, const mesh_pair *p, const float *distances,
                          es_error *err) {
    es_image picture = {0};
    es_mesh_view view = {.toward_eye = es_vec3_unit(es_vec3_make(1, 1, 0.6)),
                         .up = es_vec3_make(0, 0, 1),
                         .width = 1000,
                         .height = 800,
                         .scalar = distances,
                         .high = fmax(p->d[0].p95_mm, 1e-6),
                         .scalar_name = "distance mm"};
    bool ok = es_picture_mesh(&p->meshes[0], &view, &picture, err) &&
              es_png_write(o->picture, &picture, err);
    es_image_clear(&picture);
    return ok;
}

static bool write_histogram(const compare_options *o, const mesh_pair *p, const float *distances,
                            es_error *err) {
    es_histogram plot = {.values = distances,
                         .count = p->meshes[0].vertex_count,
                         .high = fmax(p->d[0].p95_mm * 1.5, 1e-6),
                         .bins = 60,
                         .label = "distance of A to B, mm"};
    es_text svg = {0};
    es_output *out = es_plot_histogram(&plot, &svg, err) ? es_output_open(o->histogram, err) : NULL;
    bool ok = out && es_output_write(out, svg.bytes, svg.length, err);
    if (ok)
        ok = es_output_commit(out, err);
    else if (out)
        es_output_discard(out);
    es_text_free(&svg);
    return ok;
}

static bool show(const compare_options *o, const mesh_pair *p, es_pool *pool, es_error *err) {
    if (!o->picture && !o->histogram) return true;
    const es_mesh *a = &p->meshes[0];
    float *distances = es_alloc(a->vertex_count, sizeof *distances, err);
    bool ok = distances &&
              es_mesh_point_distances(&p->meshes[1], a->vertices, a->vertex_count, pool, distances,
                                      err) &&
              (!o->picture || write_picture(o, p, distances, err)) &&
              (!o->histogram || write_histogram(o, p, distances, err));
    es_free(distances);
    return ok;
}

static int compare_meshes(const compare_options *o, const char *const *files) {
    es_error err = {0};
    mesh_pair p = {.alignment = {.motion = es_mat4_identity()}};
    es_pool *pool = es_pool_new((int)o->threads, &err);
    bool ok = pool != NULL;
    for (int i = 0; i < 2 && ok; i++)
        ok = es_mesh_read(files[i], &p.meshes[i], &err) &&
             es_mesh_inspect(&p.meshes[i], &p.checks[i], &err);
    ok = ok && measure(p.meshes, o->sample_mm2, pool, p.d, &err) &&
         (!o->align || align(&p, o->sample_mm2, pool, &err)) && show(o, &p, pool, &err);
    int status = ok ? print_meshes(o, &p) : app_fail(&err);
    es_mesh_clear(&p.meshes[0]);
    es_mesh_clear(&p.meshes[1]);
    es_pool_free(pool);
    return status;
}

/* What is for meshes only is refused for volumes. */
static bool check_options(const compare_options *o, bool meshes, es_error *err) {
    if (meshes || (!o->align && !o->picture && !o->histogram)) return true;
    return es_fail(err, ES_USAGE, "--align, --picture and --histogram are for two meshes");
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
    es_error err = {0};
    if (!check_options(options, first, &err)) return app_fail(&err);
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
        "largest), the Hausdorff distance, the Chamfer distance (sum of both means), and the "
        "difference of the volumes when both are closed; with --align again after a rigid motion "
        "of "
        "A onto B. The signed mean is positive where the first lies outside the second.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(compare_options),
    .arguments_min = 2,
    .arguments_max = 2,
    .run = run};
