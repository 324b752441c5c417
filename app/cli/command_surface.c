/* echosolid surface: a volume to a mesh. */
#include <math.h>
#include <string.h>

#include "shape_output.h"
#include "step_output.h"

typedef struct surface_options {
    common_options common;
    step_options step;
    shape_options shape;
    double level, min_area, seed[3];
    int inside;
    int64_t components, smooth, threads;
    bool ascii;
} surface_options;

static const char *const inside_words[] = {"above", "below", NULL};

static const opt table[] = {
    STEP_OPTIONS(surface_options),
    {.name = "level",
     .letter = 'l',
     .type = OPT_NUMBER,
     .offset = offsetof(surface_options, level),
     .help = "the value on the surface; default: 0 for distances, else Otsu's threshold, and the "
             "program says which"},
    {.name = "inside",
     .type = OPT_WORD,
     .words = inside_words,
     .offset = offsetof(surface_options, inside),
     .help = "which side of the level is solid (default: below for distances, above for grey)"},
    {.name = "components",
     .type = OPT_INT,
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .offset = offsetof(surface_options, components),
     .help = "keep the N largest pieces; 0 keeps all"},
    {.name = "min-area",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 1e9,
     .fallback = "0",
     .value = "MM2",
     .offset = offsetof(surface_options, min_area),
     .help = "drop pieces smaller than this, square millimetres"},
    {.name = "seed",
     .type = OPT_NUMBERS,
     .count = 3,
     .value = "X,Y,Z",
     .offset = offsetof(surface_options, seed),
     .help = "of what is kept, only the piece nearest to this point, mm"},
    {.name = "smooth",
     .type = OPT_INT,
     .low = 0,
     .high = 1000,
     .fallback = "0",
     .offset = offsetof(surface_options, smooth),
     .help = "passes of Taubin smoothing (20 takes away voxel steps)"},
    SHAPE_OPTIONS(surface_options),
    {.name = "ascii",
     .type = OPT_FLAG,
     .offset = offsetof(surface_options, ascii),
     .help = "text instead of binary STL or PLY"},
    THREADS_OPTION(surface_options, threads),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid surface volume.mha --level 100 -o surface.stl",
    "echosolid surface distance.mha -o bone.ply --open --smooth 20",
    "echosolid surface distance.mha -o bone.step --smooth 20",
    "echosolid surface distance.mha -o bone.ply --close-holes 5mm --cap", NULL};

/* NaN voxels are unknown. */
static bool known_mask(const es_grid *grid, uint8_t **mask, size_t *known, es_error *err) {
    size_t count = (size_t)(grid->info.size[0] * grid->info.size[1] * grid->info.size[2]);
    *mask = es_alloc(count, 1, err);
    if (!*mask) return false;
    *known = 0;
    for (size_t i = 0; i < count; i++)
        *known += (*mask)[i] = isfinite(es_type_get(grid->info.type, grid->data, i));
    if (*known) return true;
    return es_fail(err, ES_GEOMETRY, "the volume has no known voxel, all are NaN");
}

static void value_range(const es_grid *grid, const uint8_t *mask, double *low, double *high) {
    size_t count = (size_t)(grid->info.size[0] * grid->info.size[1] * grid->info.size[2]);
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (!mask[i]) continue;
        double value = es_type_get(grid->info.type, grid->data, i);
        *low = fmin(*low, value);
        *high = fmax(*high, value);
    }
}

/* Otsu 1979: the threshold that parts the histogram into the two classes of
 * largest between-class variance. */
static double otsu(const es_grid *grid, const uint8_t *mask, double low, double high) {
    enum { BINS = 1024 };
    double histogram[BINS] = {0}, total = 0, sum = 0;
    size_t count = (size_t)(grid->info.size[0] * grid->info.size[1] * grid->info.size[2]);
    double scale = high > low ? (BINS - 1) / (high - low) : 0;
    for (size_t i = 0; i < count; i++)
        if (mask[i])
            histogram[(int)((es_type_get(grid->info.type, grid->data, i) - low) * scale)] += 1;
    for (int b = 0; b < BINS; b++) {
        total += histogram[b];
        sum += b * histogram[b];
    }
    double below = 0, sum_below = 0, best = -1;
    int best_bin = 0;
    for (int b = 0; b < BINS - 1; b++) {
        below += histogram[b];
        sum_below += b * histogram[b];
        double above = total - below;
        if (below == 0 || above == 0) continue;
        double gap = sum_below / below - (sum - sum_below) / above;
        double variance = below * above * gap * gap;
        if (variance > best) {
            best = variance;
            best_bin = b;
        }
    }
    return scale > 0 ? low + (best_bin + 0.5) / scale : low;
}

typedef struct choice {
    es_iso_options iso;
    const char *level_why, *inside_why;
} choice;

static bool choose(const surface_options *o, const es_grid *grid, const uint8_t *mask, choice *c,
                   es_error *err) {
    double low, high;
    value_range(grid, mask, &low, &high);
    bool is_float = grid->info.type == ES_F32 || grid->info.type == ES_F64;
    bool distances = is_float && low < 0 && high > 0;
    *c = (choice){.iso = ES_ISO_DEFAULTS, .level_why = "given", .inside_why = "given"};
    c->iso.min_weight = 0.5f;
    c->iso.level = o->level;
    if (isnan(o->level)) {
        c->iso.level = distances ? 0 : otsu(grid, mask, low, high);
        c->level_why = distances ? "real numbers of both signs: taken as distances"
                                 : "Otsu's threshold of the values";
    }
    c->iso.inside_below = o->inside == 1;
    if (o->inside < 0) {
        c->iso.inside_below = distances;
        c->inside_why = distances ? "distances are negative inside" : "grey: brighter is solid";
    }
    if (c->iso.level >= low && c->iso.level <= high) return true;
    return es_fail(err, ES_USAGE,
                   "level %g lies outside the values %g to %g of the volume: there is no surface",
                   c->iso.level, low, high);
}

typedef struct outcome {
    es_mesh mesh; /* as extracted and smoothed */
    size_t kept, dropped;
    es_shape shape; /* what is written */
    es_solid_report step;
} outcome;

/* Edges under a tenth of a voxel are collapsed, before smoothing and after. */
static bool refine(const surface_options *o, const es_bricks *bricks, outcome *out, es_error *err) {
    const double *spacing = es_bricks_spacing(bricks);
    double shortest = 0.1 * fmin(fmin(spacing[0], spacing[1]), spacing[2]);
    if (!es_mesh_clean(&out->mesh, shortest, NULL, err) ||
        !es_mesh_keep_components(&out->mesh, (size_t)o->components, o->min_area, &out->kept,
                                 &out->dropped, err))
        return false;
    if (!isnan(o->seed[0]) && out->mesh.triangle_count > 0) {
        size_t dropped;
        es_vec3 seed = es_vec3_make(o->seed[0], o->seed[1], o->seed[2]);
        if (!es_mesh_keep_nearest(&out->mesh, seed, &dropped, err)) return false;
        out->kept -= dropped;
        out->dropped += dropped;
    }
    return o->smooth == 0 || (es_mesh_smooth(&out->mesh, (int)o->smooth, 0.5, -0.53, err) &&
                              es_mesh_clean(&out->mesh, shortest, NULL, err));
}

static bool make_mesh(const surface_options *o, es_bricks *bricks, const choice *c, es_pool *pool,
                      outcome *out, es_error *err) {
    es_shape_options shape = shape_choose(&o->shape);
    bool ok = es_surface_extract(bricks, &c->iso, pool, &out->mesh, err) &&
              es_shape_check_size(&out->mesh, err) && refine(o, bricks, out, err);
    if (ok && out->mesh.triangle_count == 0)
        ok = es_fail(err, ES_GEOMETRY,
                     "no surface at level %g; try another --level or a smaller "
                     "--min-area",
                     c->iso.level);
    return ok && es_shape_make(&out->mesh, &shape, pool, &out->shape, err);
}

static bool write_all(const surface_options *o, const char *file, const outcome *out, es_pool *pool,
                      es_solid_report *step, es_error *err) {
    app_origin origin;
    char what[64], title[80];
    const es_shape *shape = &out->shape;
    es_shape_options options = shape_choose(&o->shape);
    es_shape_words(shape, &options, what);
    if (!app_origin_make(&origin, &command_surface, o, &file, 1, err)) return false;
    app_origin_title(&origin, what, title);
    es_mesh_write_options write = {.title = title, .ascii = o->ascii, .open = !shape->check.closed};
    step_source source = {.sheet = es_shape_source(shape),
                          .open = o->shape.open,
                          .thickness_mm = o->shape.thickness,
                          .seen = what,
                          .origin = title,
                          .pool = pool};
    bool ok = step_write_outputs(&o->step, &source, step, err);
    for (int i = 0; ok && i < OUTPUTS_MAX && o->step.outputs[i]; i++)
        ok = es_step_is_path(o->step.outputs[i]) ||
             es_surface_write(o->step.outputs[i], &shape->mesh, &write, err);
    app_origin_clear(&origin);
    return ok;
}

static int print_json(const surface_options *o, const choice *c, const outcome *out) {
    const es_shape *shape = &out->shape;
    bool thickened = shape->kind == ES_SHAPE_THICKENED;
    json_t *root =
        json_pack("{s:s, s:o, s:s, s:b, s:s, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "output",
                  o->step.outputs[0], "level", app_json_number(c->iso.level), "level_why",
                  c->level_why, "inside_below", c->iso.inside_below, "inside_why", c->inside_why,
                  "triangles", (json_int_t)shape->mesh.triangle_count, "vertices",
                  (json_int_t)shape->mesh.vertex_count, "pieces_kept", (json_int_t)out->kept,
                  "pieces_dropped", (json_int_t)out->dropped, "thickened", thickened,
                  "thickness_mm", thickened ? json_real(o->shape.thickness) : json_null(), "check",
                  app_json_check(&shape->check));
    shape_add_json(&o->shape, shape, root);
    json_object_set_new(root, "outputs", step_outputs_json(&o->step));
    step_add_json(&o->step, &out->step, root);
    return app_print_json(root);
}

static int print_result(const surface_options *o, const choice *c, const outcome *out) {
    const es_shape *shape = &out->shape;
    const es_mesh_check *k = &shape->check;
    bool thickened = shape->kind == ES_SHAPE_THICKENED;
    if (o->common.json) return print_json(o, c, out);
    printf("%s: %zu triangles, %zu piece%s%s\n", o->step.outputs[0], shape->mesh.triangle_count,
           k->components, k->components == 1 ? "" : "s",
           thickened ? ", an open sheet thickened" : "");
    printf("level         %g (%s)\n", c->iso.level, c->level_why);
    printf("solid         %s the level (%s)\n", c->iso.inside_below ? "below" : "above",
           c->inside_why);
    if (thickened)
        printf("thickness     %g mm behind the seen side: the scan does not show what lies there\n",
               o->shape.thickness);
    shape_print_closed(shape);
    if (k->closed)
        printf("closed        yes, volume %.1f mm3%s\n", k->volume_mm3,
               k->volume_mm3 < 0 ? ": inside out, what is solid lies around it and ends with the "
                                   "volume; try the other --inside"
                                 : "");
    else
        printf("closed        no, %zu boundary loops\n", k->boundary_loops);
    printf("crossings     %zu pairs of facets that run through one another\n", shape->crossings);
    printf("area          %.1f mm2\n", k->area_mm2);
    step_print(&o->step, &out->step);
    return 0;
}

static bool run_all(const surface_options *o, const char *file, int *status, es_error *err) {
    es_grid grid = {0};
    uint8_t *mask = NULL;
    size_t known;
    es_bricks *bricks = NULL;
    choice c;
    outcome out = {0};
    es_pool *pool = es_pool_new((int)o->threads, err);
    bool ok = pool && es_grid_read(file, &grid, err) && known_mask(&grid, &mask, &known, err) &&
              choose(o, &grid, mask, &c, err) &&
              (bricks = es_bricks_from_grid(&grid, mask, err)) != NULL;
    ok = ok && make_mesh(o, bricks, &c, pool, &out, err) &&
         write_all(o, file, &out, pool, &out.step, err);
    if (ok) *status = print_result(o, &c, &out);
    es_mesh_clear(&out.mesh);
    es_shape_clear(&out.shape);
    es_bricks_free(bricks);
    es_free(mask);
    es_grid_clear(&grid);
    es_pool_free(pool);
    return ok;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    const surface_options *o = options;
    es_error err = {0};
    int status = 1;
    if (step_check_outputs(&o->step, "surface", &err) && shape_check(&o->shape, &err) &&
        run_all(o, files[0], &status, &err))
        return status;
    return app_fail(&err);
}

const command command_surface = {
    .name = "surface",
    .summary = "a volume to a surface mesh or a STEP solid",
    .usage = "VOLUME -o MODEL [options]",
    .description =
        "Finds the surface at a level of the values, two-manifold by construction. A volume of "
        "real numbers of both signs is taken as distances (level 0, negative inside), NaN as not "
        "known. Where the surface closes by itself it is written as it is; an open sheet, as a "
        "one-sided scan gives, becomes a solid of --thickness behind the seen side, with --open "
        "stays the sheet, with --cap is closed by a membrane. What is closed is not measured, "
        "and marked so.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(surface_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
