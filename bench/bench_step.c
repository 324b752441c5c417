/* Smooth STEP of known shapes: patches, bytes, seconds, deviation from the mesh.
 *   bench_step [--tolerance MM] [--voxel MM] [--only SCENE] [--folder DIR]
 * prints one line per shape (sawn: the knee's bones with flat ends); with a folder it leaves the
 * files and pictures there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "echosolid/cad.h"
#include "echosolid/picture.h"
#include "echosolid/simulate.h"
#include "echosolid/surface.h"

/* Of this process: other programs on the machine do not count. */
static double processor_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct settings {
    double tolerance, voxel;
    const char *folder, *only;
} settings;

/* The scene sawn off flat, at a slant, 100 mm above and below its middle. */
static double sawn(const es_scene *scene, es_vec3 p) {
    es_vec3 up = es_vec3_unit(es_vec3_make(0.1, 0.2, 1)),
            down = es_vec3_unit(es_vec3_make(0.15, -0.1, -1));
    double saw = fmax(es_vec3_dot(p, up), es_vec3_dot(p, down)) - 100;
    return fmax(es_scene_distance(scene, p), saw);
}

static void fill_sawn(const es_scene *scene, double voxel, es_brick *brick) {
    for (int v = 0; v < ES_BRICK_VOXELS; v++) {
        double at[3];
        for (int a = 0; a < 3; a++) at[a] = voxel * (16 * brick->at[a] + (v >> 4 * a & 15));
        brick->weight[v] = 1;
        brick->value[v] = (float)sawn(scene, es_vec3_make(at[0], at[1], at[2]));
    }
}

/* The bricks that the surface may meet. */
static es_bricks *sawn_bricks(const es_scene *scene, double voxel, es_error *err) {
    const double origin[3] = {0, 0, 0}, spacing[3] = {voxel, voxel, voxel}, side = 16 * voxel;
    es_box3 box = es_scene_box(scene);
    int low[3] = {(int)floor(box.min.x / side) - 1, (int)floor(box.min.y / side) - 1,
                  (int)floor(box.min.z / side) - 1};
    int high[3] = {(int)(box.max.x / side) + 1, (int)(box.max.y / side) + 1,
                   (int)(box.max.z / side) + 1};
    es_bricks *bricks = es_bricks_new(origin, spacing, err);
    for (int z = low[2]; z <= high[2] && bricks; z++)
        for (int y = low[1]; y <= high[1]; y++)
            for (int x = low[0]; x <= high[0]; x++) {
                es_vec3 middle = es_vec3_make(side * (x + 0.5), side * (y + 0.5), side * (z + 0.5));
                if (fabs(sawn(scene, middle)) > side) continue;
                es_brick *brick = es_bricks_add(bricks, x, y, z, err);
                if (!brick) return NULL;
                fill_sawn(scene, voxel, brick);
            }
    return bricks;
}

static bool scene_mesh(const char *name, double voxel, es_mesh *mesh, es_error *err) {
    bool cut = strcmp(name, "sawn") == 0;
    es_scene *scene = es_scene_new(cut ? "knee" : name, err);
    es_bricks *bricks = !scene ? NULL
                        : cut  ? sawn_bricks(scene, voxel, err)
                               : es_scene_bricks(scene, voxel, 3, NULL, err);
    es_iso_options iso = ES_ISO_DEFAULTS;
    bool ok = bricks && es_surface_extract(bricks, &iso, NULL, mesh, err) &&
              es_mesh_clean(mesh, 0.1 * voxel, NULL, err);
    es_bricks_free(bricks);
    es_scene_free(scene);
    return ok;
}

/* The triangles whose normal looks towards +y: what a sweep in front would see. */
static bool front_of(const es_mesh *whole, es_mesh *sheet, es_error *err) {
    if (!es_mesh_copy(whole, sheet, err)) return false;
    size_t kept = 0;
    for (size_t t = 0; t < whole->triangle_count; t++) {
        const uint32_t *k = whole->triangles + 3 * t;
        const float *a = whole->vertices + 3 * (size_t)k[0],
                    *b = whole->vertices + 3 * (size_t)k[1],
                    *c = whole->vertices + 3 * (size_t)k[2];
        es_vec3 u = es_vec3_make((double)b[0] - a[0], (double)b[1] - a[1], (double)b[2] - a[2]);
        es_vec3 v = es_vec3_make((double)c[0] - a[0], (double)c[1] - a[1], (double)c[2] - a[2]);
        if (es_vec3_unit(es_vec3_cross(u, v)).y < 0.3) continue;
        memcpy(sheet->triangles + 3 * kept++, k, 3 * sizeof *k);
    }
    sheet->triangle_count = kept;
    return es_mesh_keep_components(sheet, 1, 0, NULL, NULL, err);
}

static bool draw(const char *folder, const char *name, const es_patches *patches, es_error *err) {
    char path[500];
    es_mesh mesh = {0};
    es_image picture = {0};
    es_mesh_view view = {.toward_eye = {0.5, 1, 0.3}, .up = {0, 0, 1}, .width = 900, .height = 900};
    snprintf(path, sizeof path, "%s/%s.png", folder, name);
    bool ok = es_patches_mesh(patches, 8, &mesh, err) &&
              es_picture_mesh(&mesh, &view, &picture, err) && es_png_write(path, &picture, err);
    es_mesh_clear(&mesh);
    es_image_clear(&picture);
    return ok;
}

static bool run_case(const settings *s, const char *name, const es_mesh *mesh, double thickness,
                     es_error *err) {
    es_patch_options options = ES_PATCH_DEFAULTS;
    es_patches patches = {0};
    es_patch_report r;
    es_step_report written;
    es_mesh_check check;
    char path[500];
    options.tolerance_mm = s->tolerance;
    options.thickness_mm = thickness;
    double start = processor_s();
    bool ok = es_surface_patches(mesh, &options, NULL, &patches, &r, err);
    double fitted = processor_s() - start;
    snprintf(path, sizeof path, "%s/%s.step", s->folder ? s->folder : "/tmp", name);
    es_step_body body = {
        .name = name, .patches = &patches, .open = ok && !r.closed && !(thickness > 0)};
    ok = ok && es_step_write(path, &body, 1, NULL, &written, err) &&
         es_mesh_inspect(mesh, &check, err);
    double seconds = processor_s() - start;
    if (ok)
        printf("%-22s %8zu %6zu %5.1f %2d %7.0f %6.2f %6.2f  %.3f %.3f %.3f  %.3f %.3f %.3f %10.2e "
               "%ld/%ld %.2f %zu %zu\n",
               name, mesh->triangle_count, written.faces, r.cell_mm, r.tries,
               (double)written.bytes / 1e3, fitted, seconds, r.to_mesh.rms_mm, r.to_mesh.p95_mm,
               r.to_mesh.max_mm, r.from_mesh.rms_mm, r.from_mesh.p95_mm, r.from_mesh.max_mm,
               r.closed ? written.volume_mm3 / check.volume_mm3 - 1 : NAN, r.euler, r.mesh_euler,
               r.thinnest_mm, r.folded, r.planes);
    if (ok && s->folder) ok = draw(s->folder, name, &patches, err);
    if (ok && !s->folder) unlink(path);
    es_patches_clear(&patches);
    return ok;
}

static bool run_scene(const settings *s, const char *scene, es_error *err) {
    es_mesh mesh = {0};
    size_t count = 0;
    bool ok = scene_mesh(scene, s->voxel, &mesh, err);
    es_mesh *bones = ok ? es_mesh_split(&mesh, &count, err) : NULL;
    ok = bones != NULL;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        es_mesh sheet = {0};
        snprintf(name, sizeof name, "%s-%zu", scene, i + 1);
        ok = ok && run_case(s, name, &bones[i], 0, err);
        if (i == 0 && ok) {
            ok = front_of(&bones[0], &sheet, err);
            snprintf(name, sizeof name, "%s-open", scene);
            ok = ok && run_case(s, name, &sheet, 0, err);
            snprintf(name, sizeof name, "%s-thick", scene);
            ok = ok && run_case(s, name, &sheet, 2, err);
        }
        es_mesh_clear(&sheet);
        es_mesh_clear(&bones[i]);
    }
    es_free(bones);
    es_mesh_clear(&mesh);
    return ok;
}

int main(int argc, char **argv) {
    settings s = {.tolerance = 0.12, .voxel = 0.5};
    es_error err = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--tolerance") == 0) es_parse_double(argv[i + 1], &s.tolerance);
        if (strcmp(argv[i], "--voxel") == 0) es_parse_double(argv[i + 1], &s.voxel);
        if (strcmp(argv[i], "--folder") == 0) s.folder = argv[i + 1];
        if (strcmp(argv[i], "--only") == 0) s.only = argv[i + 1];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("tolerance %g mm, meshes of %g mm voxels, one thread, processor seconds; patches to "
           "mesh, then back: RMS, "
           "95 %%, max mm\n%-22s %8s %6s %5s %2s %7s %6s %6s\n",
           s.tolerance, s.voxel, "shape", "facets", "faces", "cell", "n", "kB", "fit s", "all s");
    const char *const scenes[] = {"sphere", "torus", "knee", "sawn"};
    for (int i = 0; i < 4; i++)
        if ((!s.only || strcmp(s.only, scenes[i]) == 0) && !run_scene(&s, scenes[i], &err)) {
            fprintf(stderr, "bench_step: %s: %s\n", scenes[i], err.message);
            return 1;
        }
    return 0;
}
