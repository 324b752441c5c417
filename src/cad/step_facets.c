/* A closed mesh as FACETED_BREP: per facet a polygon of shared points on its
 * plane. Points are rounded first, and planes follow the rounded points. */
#include <math.h>

#include "step_file.h"

static const double STEPS_PER_MM = 1e4; /* 0.1 um changes no volume that counts */

typedef struct facet_writer {
    step_file *file;
    const es_mesh *mesh;
    uint32_t *point; /* entity of a vertex; 0: none yet */
    uint32_t *faces; /* entities of one piece */
} facet_writer;

static es_vec3 rounded_vertex(const es_mesh *mesh, uint32_t vertex) {
    const float *v = mesh->vertices + 3 * (size_t)vertex;
    return es_vec3_make(round(v[0] * STEPS_PER_MM) / STEPS_PER_MM,
                        round(v[1] * STEPS_PER_MM) / STEPS_PER_MM,
                        round(v[2] * STEPS_PER_MM) / STEPS_PER_MM);
}

/* Volume about the origin, and its moment. */
static void add_to_sum(step_sum *sum, const es_vec3 corner[3], es_vec3 cross) {
    double volume = es_vec3_dot(corner[0], cross) / 6;
    es_vec3 ends = es_vec3_add(es_vec3_add(corner[0], corner[1]), corner[2]);
    sum->report.volume_mm3 += volume;
    sum->report.area_mm2 += es_vec3_length(cross) / 2;
    sum->moment[0] += volume * ends.x / 4;
    sum->moment[1] += volume * ends.y / 4;
    sum->moment[2] += volume * ends.z / 4;
}

static bool write_facet(facet_writer *w, uint32_t triangle, uint32_t *face, step_sum *sum) {
    const uint32_t *k = w->mesh->triangles + 3 * (size_t)triangle;
    es_vec3 corner[3];
    for (int i = 0; i < 3; i++) {
        corner[i] = rounded_vertex(w->mesh, k[i]);
        if (w->point[k[i]] == 0) w->point[k[i]] = step_point(w->file, "", corner[i]);
    }
    es_vec3 cross =
        es_vec3_cross(es_vec3_sub(corner[1], corner[0]), es_vec3_sub(corner[2], corner[0]));
    if (!(es_vec3_length(cross) > 0))
        return es_fail(w->file->err, ES_GEOMETRY,
                       "triangle %u has no area once rounded to 0.1 um; collapse short edges first",
                       triangle);
    add_to_sum(sum, corner, cross);
    step_file *f = w->file;
    uint32_t loop =
        step_add(f, "POLY_LOOP('',(#%u,#%u,#%u))", w->point[k[0]], w->point[k[1]], w->point[k[2]]);
    uint32_t bound = step_add(f, "FACE_OUTER_BOUND('',#%u,.T.)", loop);
    uint32_t normal = step_direction(f, es_vec3_unit(cross));
    uint32_t axes = step_add(f, "AXIS2_PLACEMENT_3D('',#%u,#%u,$)", w->point[k[0]], normal);
    uint32_t plane = step_add(f, "PLANE('',#%u)", axes);
    *face = step_add(f, "FACE_SURFACE('',(#%u),#%u,.T.)", bound, plane);
    return !f->failed;
}

static bool write_piece(facet_writer *w, const uint32_t *triangles, size_t count, step_sum *sum) {
    double before = sum->report.volume_mm3;
    for (size_t i = 0; i < count; i++)
        if (!write_facet(w, triangles[i], &w->faces[i], sum)) return false;
    if (sum->report.volume_mm3 > before) return true;
    return es_fail(w->file->err, ES_GEOMETRY,
                   "a piece of %zu triangles has its inside out (%g mm3): a hollow, or a mesh "
                   "that is turned over; leave the hollow out or turn the mesh",
                   count, sum->report.volume_mm3 - before);
}

static bool write_pieces(facet_writer *w, const step_pieces *pieces, const char *encoded,
                         step_sum *sum) {
    for (size_t p = 0; p < pieces->count; p++) {
        size_t start = pieces->start[p], count = pieces->start[p + 1] - start;
        if (!write_piece(w, pieces->members + start, count, sum)) return false;
        uint32_t shell = step_begin(w->file);
        step_put(w->file, "CLOSED_SHELL('',(");
        step_put_list(w->file, w->faces, count);
        step_put(w->file, ")");
        step_end(w->file);
        uint32_t solid = step_begin(w->file);
        step_put(w->file, "FACETED_BREP(");
        step_put_name(w->file, encoded, p, pieces->count);
        step_put(w->file, ",#%u", shell);
        step_end(w->file);
        if (!step_add_item(sum, solid, w->file->err)) return false;
        sum->report.solids++;
        sum->report.faces += count;
    }
    return true;
}

bool step_mesh_pieces(const es_mesh *mesh, step_pieces *pieces, es_error *err) {
    uint32_t *sets = step_sets_new(mesh->triangle_count, err);
    uint32_t *seen = sets ? es_alloc_zero(mesh->vertex_count, sizeof *seen, err) : NULL;
    bool ok = seen != NULL;
    for (size_t h = 0; ok && h < 3 * mesh->triangle_count; h++) {
        uint32_t vertex = mesh->triangles[h], triangle = (uint32_t)(h / 3);
        if (seen[vertex])
            step_sets_join(sets, seen[vertex] - 1, triangle);
        else
            seen[vertex] = triangle + 1;
    }
    ok = ok && step_pieces_find(sets, mesh->triangle_count, pieces, err);
    es_free(sets);
    es_free(seen);
    return ok;
}

bool step_write_mesh(step_file *file, const es_mesh *mesh, const char *encoded, step_sum *sum) {
    facet_writer w = {.file = file, .mesh = mesh};
    step_pieces pieces = {0};
    w.point = es_alloc_zero(mesh->vertex_count, sizeof *w.point, file->err);
    w.faces = w.point ? es_alloc(mesh->triangle_count, sizeof *w.faces, file->err) : NULL;
    bool ok = w.faces && step_mesh_pieces(mesh, &pieces, file->err) &&
              write_pieces(&w, &pieces, encoded, sum);
    for (size_t v = 0; ok && v < mesh->vertex_count; v++) sum->report.vertices += w.point[v] != 0;
    if (ok) sum->report.edges += 3 * mesh->triangle_count / 2;
    step_pieces_clear(&pieces);
    es_free(w.point);
    es_free(w.faces);
    return ok;
}
