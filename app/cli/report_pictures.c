/* The still pictures that the commands' reports share. */
#include "report_pictures.h"

#include <math.h>

/* The mean normal; of a closed mesh, which has none, from the front. */
static es_vec3 facing(const es_mesh *mesh) {
    es_vec3 sum = {0, 0, 0};
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *k = &mesh->triangles[3 * t];
        const float *a = &mesh->vertices[3 * (size_t)k[0]], *b = &mesh->vertices[3 * (size_t)k[1]],
                    *c = &mesh->vertices[3 * (size_t)k[2]];
        es_vec3 u = es_vec3_make(b[0] - a[0], b[1] - a[1], b[2] - a[2]);
        es_vec3 v = es_vec3_make(c[0] - a[0], c[1] - a[1], c[2] - a[2]);
        sum = es_vec3_add(sum, es_vec3_cross(u, v));
    }
    return es_vec3_length(sum) > 0 ? es_vec3_unit(sum) : es_vec3_make(0, 1, 0);
}

app_views app_views_of(const es_mesh *mesh) {
    es_vec3 front = facing(mesh);
    es_vec3 other = fabs(front.z) > 0.9 ? es_vec3_make(0, 1, 0) : es_vec3_make(0, 0, 1);
    es_vec3 side = es_vec3_unit(es_vec3_cross(other, front));
    return (app_views){front, es_vec3_unit(es_vec3_add(front, es_vec3_scale(side, 1.5)))};
}

bool app_add_mesh(es_report *report, const app_mesh_picture *p, const char *caption,
                  es_error *err) {
    es_image picture = {0};
    es_vec3 up = fabs(p->toward_eye.z) > 0.9 ? es_vec3_make(0, 1, 0) : es_vec3_make(0, 0, 1);
    es_mesh_view view = {.toward_eye = p->toward_eye,
                         .up = up,
                         .width = 800,
                         .height = 640,
                         .scalar = p->scalar,
                         .high = p->high,
                         .scalar_name = p->scalar_name};
    bool ok = es_picture_mesh(p->mesh, &view, &picture, err);
    if (ok) es_report_picture(report, caption, &picture);
    es_image_clear(&picture);
    return ok;
}

bool app_add_slices(es_report *report, const es_bricks *bricks, es_box3 box, const char *where,
                    es_error *err) {
    const double middle[3] = {(box.min.x + box.max.x) / 2, (box.min.y + box.max.y) / 2,
                              (box.min.z + box.max.z) / 2};
    bool ok = true;
    for (int axis = 0; axis < 3 && ok; axis++) {
        es_image picture = {0};
        char caption[160];
        es_slice_view view = {.axis = axis, .position_mm = middle[axis], .width = 640};
        ok = es_picture_slice(bricks, &view, &picture, err);
        snprintf(caption, sizeof caption, "Slice at %c = %.1f mm %s", "xyz"[axis], middle[axis],
                 where);
        if (ok) es_report_picture(report, caption, &picture);
        es_image_clear(&picture);
    }
    return ok;
}
