/* The triangle mesh as a value: freeing, copying, its box and its normals. */
#include "echosolid/geom.h"

#include <string.h>

void es_mesh_clear(es_mesh *mesh) {
    es_free(mesh->vertices);
    es_free(mesh->triangles);
    es_free(mesh->confidence);
    *mesh = (es_mesh){0};
}

/* NULL stays NULL. False when there is no memory. */
static bool copy_array(void *copy_address, const void *from, size_t count, size_t size,
                       es_error *err) {
    if (!from) return true;
    void *copy = es_alloc(count, size, err);
    if (!copy) return false;
    if (count) memcpy(copy, from, count * size);
    memcpy(copy_address, &copy, sizeof copy);
    return true;
}

bool es_mesh_copy(const es_mesh *mesh, es_mesh *copy, es_error *err) {
    es_mesh made = {.vertex_count = mesh->vertex_count, .triangle_count = mesh->triangle_count};
    if (!copy_array(&made.vertices, mesh->vertices, mesh->vertex_count, 3 * sizeof(float), err) ||
        !copy_array(&made.triangles, mesh->triangles, mesh->triangle_count, 3 * sizeof(uint32_t),
                    err) ||
        !copy_array(&made.confidence, mesh->confidence, mesh->vertex_count, sizeof(float), err)) {
        es_mesh_clear(&made);
        return false;
    }
    *copy = made;
    return true;
}

static es_vec3 vertex(const es_mesh *mesh, size_t index) {
    const float *v = &mesh->vertices[3 * index];
    return es_vec3_make(v[0], v[1], v[2]);
}

es_box3 es_mesh_box(const es_mesh *mesh) {
    es_box3 box = es_box3_empty();
    for (size_t i = 0; i < mesh->vertex_count; i++) es_box3_add(&box, vertex(mesh, i));
    return box;
}

static void add_normal(float *sum, es_vec3 normal) {
    sum[0] += (float)normal.x;
    sum[1] += (float)normal.y;
    sum[2] += (float)normal.z;
}

/* The cross product of two sides is the normal times twice the area, so their
 * plain sum weighs by area. */
void es_mesh_normals(const es_mesh *mesh, float *normals) {
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) normals[i] = 0;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        const uint32_t *corner = &mesh->triangles[3 * t];
        es_vec3 a = vertex(mesh, corner[0]), b = vertex(mesh, corner[1]);
        es_vec3 c = vertex(mesh, corner[2]);
        es_vec3 normal = es_vec3_cross(es_vec3_sub(b, a), es_vec3_sub(c, a));
        for (int k = 0; k < 3; k++) add_normal(&normals[3 * (size_t)corner[k]], normal);
    }
    for (size_t i = 0; i < mesh->vertex_count; i++) {
        float *n = &normals[3 * i];
        es_vec3 unit = es_vec3_unit(es_vec3_make(n[0], n[1], n[2]));
        n[0] = (float)unit.x;
        n[1] = (float)unit.y;
        n[2] = (float)unit.z;
    }
}
