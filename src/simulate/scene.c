/* scene.c: the scenes, their distances, the tracing of beams and the true
 * surface as sparse bricks.
 *
 * A scene is a function from a point to a signed distance ("field"). Smooth
 * blends make a field whose gradient is not quite 1, so beams step by less
 * than the field says, and distances that count (es_scene_distance, the
 * bricks) are divided by the length of the gradient: true to first order, and
 * the zero level stays where it is. */
#include "scene.h"

#include <string.h>

#include "bones.h"
#include "shapes.h"

/* ---- the models ---------------------------------------------------------- */

enum { CYST, BRIGHT_BALL, ABDOMEN_BALLS };
static const scene_ball abdomen_balls[ABDOMEN_BALLS] = {
    [CYST] = {{-24, -55, -12}, 10, 0.0f},
    [BRIGHT_BALL] = {{20, -65, 12}, 15, 4.0f},
};

static double sphere_field(const scene_model *m, es_vec3 p) {
    (void)m;
    return shape_sphere(p, es_vec3_make(0, 0, 0), 20);
}
static double box_field(const scene_model *m, es_vec3 p) {
    (void)m;
    return shape_box(p, es_vec3_make(22, 15, 26));
}
static double cylinder_field(const scene_model *m, es_vec3 p) {
    (void)m;
    return shape_cylinder(p, 15, 35);
}
static double torus_field(const scene_model *m, es_vec3 p) {
    (void)m;
    return shape_torus(p, 24, 9);
}
static double abdomen_field(const scene_model *m, es_vec3 p) {
    (void)m;

    const scene_ball *cyst = &abdomen_balls[CYST], *ball = &abdomen_balls[BRIGHT_BALL];
    return fmin(shape_sphere(p, cyst->centre, cyst->radius_mm),
                shape_sphere(p, ball->centre, ball->radius_mm));
}

static double floor_field(const scene_model *m, es_vec3 p) {
    (void)m;

    return shape_box(es_vec3_make(p.x, p.y + 4, p.z), es_vec3_make(120, 4, 120));
}

static double sphere_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return sphere_field(m, p) - 12;
}
static double box_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return box_field(m, p) - 12;
}
static double cylinder_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return cylinder_field(m, p) - 12;
}
static double torus_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return torus_field(m, p) - 12;
}
static double abdomen_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return p.y;
}
static double floor_skin(const scene_model *m, es_vec3 p) {
    (void)m;
    return p.y - 40;
}

static double knee_scene_field(const scene_model *m, es_vec3 p) {
    return knee_field(&m->anatomy, p);
}
static double knee_scene_skin(const scene_model *m, es_vec3 p) { return knee_skin(&m->anatomy, p); }
static double knee_scene_cartilage(const scene_model *m, es_vec3 p) {
    return knee_cartilage_mm(&m->anatomy, p);
}

static const scene_model models[] = {
    {.name = "sphere",
     .bone = true,
     .field = sphere_field,
     .skin = sphere_skin,
     .box = {{-20, -20, -20}, {20, 20, 20}},
     .safe_step = 1,
     .hand = {{0, 0, 0}, 2, {-0.5, 0.5}, -17, 17, 100}},
    {.name = "box",
     .bone = true,
     .field = box_field,
     .skin = box_skin,
     .box = {{-22, -15, -26}, {22, 15, 26}},
     .safe_step = 1,
     .hand = {{0, 0, 0}, 3, {-1.35, 0, 1.35}, -25, 25, 300}},
    {.name = "cylinder",
     .bone = true,
     .field = cylinder_field,
     .skin = cylinder_skin,
     .box = {{-15, -15, -35}, {15, 15, 35}},
     .safe_step = 1,
     .hand = {{0, 0, 0}, 3, {-1.2, 0, 1.2}, -34, 34, 320}},
    {.name = "torus",
     .bone = true,
     .field = torus_field,
     .skin = torus_skin,
     .box = {{-33, -9, -33}, {33, 9, 33}},
     .safe_step = 1,
     .hand = {{0, 0, 0}, 3, {-0.6, 0, 0.6}, -31, 31, 280}},
    {.name = "knee",
     .bone = true,
     .field = knee_scene_field,
     .skin = knee_scene_skin,
     .cartilage = knee_scene_cartilage,
     .box = KNEE_BOX,
     .safe_step = 0.8,
     .hand = {{0, -2, 0}, 4, {-1.4, -0.36, 0.36, 1.4}, -56, 74, 900}},
    {.name = "spine",
     .bone = true,
     .field = spine_field,
     .skin = spine_skin,
     .box = SPINE_BOX,
     .deep = true,
     .safe_step = 0.75,
     .hand = {{0, -20, 0}, 3, {-0.35, 0, 0.35}, -46, 46, 420}},
    {.name = "ribs",
     .bone = true,
     .field = ribs_field,
     .skin = ribs_skin,
     .box = RIBS_BOX,
     .safe_step = 0.85,
     .hand = {{0, 0, 0}, 3, {-0.35, 0, 0.35}, -52, 52, 440}},
    {.name = "forearm",
     .bone = true,
     .field = forearm_field,
     .skin = forearm_skin,
     .box = FOREARM_BOX,
     .safe_step = 0.85,
     .hand = {{0, -2, 0}, 4, {-1.1, -0.2, 0.7, 1.5}, -58, 58, 700}},
    {.name = "abdomen",
     .bone = false,
     .deep = true,
     .field = abdomen_field,
     .skin = abdomen_skin,
     .box = {{-34, -80, -22}, {35, -45, 27}},
     .safe_step = 1,
     .balls = abdomen_balls,
     .ball_count = ABDOMEN_BALLS,
     .hand = {{0, -60, 0}, 1, {0}, -34, 40, 110}},
    {.name = "floor",
     .bone = true,
     .water = true,
     .field = floor_field,
     .skin = floor_skin,
     .box = {{-120, -8, -120}, {120, 0, 120}},
     .safe_step = 1,
     .hand = {{0, 0, 0}, 1, {0}, -40, 40, 300}},
};
enum { MODELS = sizeof models / sizeof *models };

const char *const *es_scene_names(void) {
    static const char *const names[MODELS + 1] = {"sphere", "box",  "cylinder", "torus",   "knee",
                                                  "spine",  "ribs", "forearm",  "abdomen", "floor"};
    return names;
}

/* Another person's knee in place of the standard one. */
static bool take_anatomy(scene_model *model, uint64_t anatomy, es_error *err) {
    if (anatomy == 0) return true;
    if (!model->cartilage)
        return es_fail(err, ES_USAGE, "anatomy %llu of scene %s: only the knee has several",
                       (unsigned long long)anatomy, model->name);
    model->anatomy = knee_vary(anatomy);
    model->box = knee_box(&model->anatomy);
    return true;
}

bool scene_model_find(const char *name, uint64_t anatomy, scene_model *model, es_error *err) {
    for (int i = 0; name && i < MODELS; i++)
        if (strcmp(models[i].name, name) == 0) {
            *model = models[i];
            return take_anatomy(model, anatomy, err);
        }
    char list[128] = "";
    for (int i = 0; i < MODELS; i++) {
        strcat(list, i ? ", " : "");
        strcat(list, models[i].name);
    }
    return es_fail(err, ES_USAGE, "scene \"%.64s\" is not known; choose one of: %s",
                   name ? name : "", list);
}

/* ---- the public handle --------------------------------------------------- */

struct es_scene {
    scene_model model;
};

es_scene *es_scene_new(const char *name, es_error *err) {
    return es_scene_new_anatomy(name, 0, err);
}

es_scene *es_scene_new_anatomy(const char *name, uint64_t anatomy, es_error *err) {
    scene_model model;
    if (!scene_model_find(name, anatomy, &model, err)) return NULL;
    es_scene *scene = es_alloc(1, sizeof *scene, err);
    if (scene) scene->model = model;
    return scene;
}

void es_scene_free(es_scene *scene) { es_free(scene); }

es_box3 es_scene_box(const es_scene *scene) { return scene->model.box; }

/* Near a surface the slope of a blend is between these; in the ridge between
 * two bones it may vanish, and says nothing. */
#define LEAST_SLOPE 0.7
#define MOST_SLOPE 1.25

static double true_distance(const scene_model *model, es_vec3 p, double field) {
    if (model->safe_step == 1) return field;
    double slope = shape_length(scene_gradient(model, p));
    return field / shape_clamp(slope, LEAST_SLOPE, MOST_SLOPE);
}

double es_scene_distance(const es_scene *scene, es_vec3 p) {
    return true_distance(&scene->model, p, scene->model.field(&scene->model, p));
}

/* ---- beams --------------------------------------------------------------- */

es_vec3 scene_gradient(const scene_model *model, es_vec3 p) {
    const double h = 0.01;
    const scene_model *m = model;
    double dx =
        m->field(m, es_vec3_make(p.x + h, p.y, p.z)) - m->field(m, es_vec3_make(p.x - h, p.y, p.z));
    double dy =
        m->field(m, es_vec3_make(p.x, p.y + h, p.z)) - m->field(m, es_vec3_make(p.x, p.y - h, p.z));
    double dz =
        m->field(m, es_vec3_make(p.x, p.y, p.z + h)) - m->field(m, es_vec3_make(p.x, p.y, p.z - h));
    return es_vec3_scale(es_vec3_make(dx, dy, dz), 0.5 / h);
}

/* Sphere tracing (Hart 1996): the field is a step that cannot pass the
 * surface. Should one do so all the same, half of it is taken back. */
double scene_trace(const scene_model *model, es_vec3 start, es_vec3 direction, double limit_mm) {
    const double near = 0.001, least = 0.005;
    double depth = 0, step = 0;
    for (int i = 0; i < 4000 && depth <= limit_mm; i++) {
        double field = model->field(model, es_vec3_add(start, es_vec3_scale(direction, depth)));
        if (fabs(field) < near || (field < 0 && depth <= 0)) return depth;
        step = field > 0 ? fmax(field * model->safe_step, least) : -0.5 * fabs(step);
        depth += step;
    }
    return HUGE_VAL;
}

/* ---- the true surface as bricks ------------------------------------------ */

enum { BLOCK = 4, BLOCKS = ES_BRICK / BLOCK }; /* voxels that are skipped together */

typedef struct band {
    const scene_model *model;
    es_bricks *bricks;
    double spacing_mm, band_mm;
    int32_t low[3], count[3]; /* bricks that cover the box */
    uint8_t *touched;         /* per brick of the box: may hold a part of the band */
} band;

/* Whether a cube of `voxels` a side may hold a point of the band. The field
 * changes by at most 1 / safe_step a millimetre. */
static bool cube_may_touch(const band *b, es_vec3 first_voxel, int voxels) {
    double half = (voxels - 1) * 0.5 * b->spacing_mm;
    es_vec3 centre = es_vec3_add(first_voxel, es_vec3_make(half, half, half));
    double reach = half * 1.7321 + b->band_mm;
    return fabs(b->model->field(b->model, centre)) * b->model->safe_step <= reach;
}

static es_vec3 voxel_centre(const band *b, const int32_t at[3], int x, int y, int z) {
    return es_vec3_make((at[0] * (double)ES_BRICK + x) * b->spacing_mm,
                        (at[1] * (double)ES_BRICK + y) * b->spacing_mm,
                        (at[2] * (double)ES_BRICK + z) * b->spacing_mm);
}

static void brick_position(const band *b, size_t index, int32_t at[3]) {
    size_t nx = (size_t)b->count[0], ny = (size_t)b->count[1];
    at[0] = b->low[0] + (int32_t)(index % nx);
    at[1] = b->low[1] + (int32_t)(index / nx % ny);
    at[2] = b->low[2] + (int32_t)(index / (nx * ny));
}

static void test_brick(void *context, size_t index, int worker) {
    (void)worker;
    band *b = context;
    int32_t at[3];
    brick_position(b, index, at);
    b->touched[index] = cube_may_touch(b, voxel_centre(b, at, 0, 0, 0), ES_BRICK);
}

static void fill_block(const band *b, es_brick *brick, int x0, int y0, int z0) {
    if (!cube_may_touch(b, voxel_centre(b, brick->at, x0, y0, z0), BLOCK)) return;
    for (int z = z0; z < z0 + BLOCK; z++)
        for (int y = y0; y < y0 + BLOCK; y++)
            for (int x = x0; x < x0 + BLOCK; x++) {
                es_vec3 p = voxel_centre(b, brick->at, x, y, z);
                double field = b->model->field(b->model, p);
                if (fabs(field) > MOST_SLOPE * b->band_mm) continue;
                double distance = true_distance(b->model, p, field);
                if (fmin(fabs(field), fabs(distance)) > b->band_mm) continue;
                int i = x + ES_BRICK * (y + ES_BRICK * z);
                brick->value[i] = (float)distance;
                brick->weight[i] = 1;
            }
}

static void fill_brick(void *context, size_t index, int worker) {
    (void)worker;
    const band *b = context;
    es_brick *brick = es_bricks_get(b->bricks, index);
    for (int block = 0; block < BLOCKS * BLOCKS * BLOCKS; block++)
        fill_block(b, brick, BLOCK * (block % BLOCKS), BLOCK * (block / BLOCKS % BLOCKS),
                   BLOCK * (block / (BLOCKS * BLOCKS)));
}

static bool cover_box(band *b, size_t *bricks, es_error *err) {
    const es_box3 *box = &b->model->box;
    double low[3] = {box->min.x, box->min.y, box->min.z};
    double high[3] = {box->max.x, box->max.y, box->max.z};
    double brick_mm = b->spacing_mm * ES_BRICK;
    *bricks = 1;
    for (int a = 0; a < 3; a++) {
        b->low[a] = (int32_t)floor((low[a] - b->band_mm) / brick_mm);
        b->count[a] = (int32_t)floor((high[a] + b->band_mm) / brick_mm) - b->low[a] + 1;
        *bricks *= (size_t)b->count[a];
    }
    if (*bricks <= 1 << 22) return true;
    return es_fail(err, ES_USAGE,
                   "scene %s at %g mm needs more than four million bricks; choose a larger voxel",
                   b->model->name, b->spacing_mm);
}

static bool add_touched(band *b, size_t count, es_error *err) {
    for (size_t i = 0; i < count; i++) {
        int32_t at[3];
        brick_position(b, i, at);
        if (b->touched[i] && !es_bricks_add(b->bricks, at[0], at[1], at[2], err)) return false;
    }
    return true;
}

es_bricks *es_scene_bricks(const es_scene *scene, double spacing_mm, double band_voxels,
                           es_pool *pool, es_error *err) {
    if (!(spacing_mm >= 0.01 && spacing_mm <= 100) || !(band_voxels >= 1 && band_voxels <= 100)) {
        es_fail(err, ES_USAGE,
                "voxels of %g mm with a band of %g voxels: expected .01 to 100 mm, and 1 to 100 "
                "voxels",
                spacing_mm, band_voxels);
        return NULL;
    }
    band b = {.model = &scene->model, .spacing_mm = spacing_mm};
    b.band_mm = band_voxels * spacing_mm;
    const double origin[3] = {0, 0, 0}, spacing[3] = {spacing_mm, spacing_mm, spacing_mm};
    bool ok = false;
    size_t count;
    if (!cover_box(&b, &count, err)) return NULL;
    b.touched = es_alloc(count, 1, err);
    b.bricks = es_bricks_new(origin, spacing, err);
    if (!b.touched || !b.bricks) goto done;
    es_pool_run(pool, count, test_brick, &b);
    if (!add_touched(&b, count, err)) goto done;
    es_pool_run(pool, es_bricks_count(b.bricks), fill_brick, &b);
    ok = true;
done:
    es_free(b.touched);
    if (ok) return b.bricks;
    es_bricks_free(b.bricks);
    return NULL;
}
