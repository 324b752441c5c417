/* A mesh as TESSELLATED_SOLIDs of AP242 (ISO 10303-42:2014): coordinates in a list and
 * triangles as numbers into it, a tenth of the bytes of facets. Readers that know
 * only exact shapes find nothing in such a file. */
#include <math.h>

#include "step_file.h"

typedef struct list_writer {
    step_file *file;
    const es_mesh *mesh;
    uint32_t *number; /* of a vertex in its piece's list, from 1; 0: none yet */
    uint32_t *used;   /* the piece's vertices in order */
    uint32_t used_count;
} list_writer;

static double rounded(float x) { return round((double)x * 1e4) / 1e4; }

static es_vec3 vertex_at(const es_mesh *mesh, uint32_t vertex) {
    const float *v = mesh->vertices + 3 * (size_t)vertex;
    return es_vec3_make(rounded(v[0]), rounded(v[1]), rounded(v[2]));
}

static void number_vertices(list_writer *w, const uint32_t *triangles, size_t count) {
    w->used_count = 0;
    for (size_t i = 0; i < 3 * count; i++) {
        uint32_t vertex = w->mesh->triangles[3 * (size_t)triangles[i / 3] + i % 3];
        if (w->number[vertex]) continue;
        w->used[w->used_count++] = vertex;
        w->number[vertex] = w->used_count;
    }
}

static uint32_t write_coordinates(list_writer *w) {
    char x[STEP_REAL_SIZE], y[STEP_REAL_SIZE], z[STEP_REAL_SIZE];
    uint32_t list = step_begin(w->file);
    step_put(w->file, "COORDINATES_LIST('',%u,(", w->used_count);
    for (uint32_t i = 0; i < w->used_count; i++) {
        es_vec3 p = vertex_at(w->mesh, w->used[i]);
        step_put(w->file, "%s(%s,%s,%s)", i ? ",\n" : "", step_real(p.x, x), step_real(p.y, y),
                 step_real(p.z, z));
    }
    step_put(w->file, ")");
    step_end(w->file);
    return list;
}

static uint32_t write_triangles(list_writer *w, uint32_t list, const uint32_t *triangles,
                                size_t count) {
    uint32_t face = step_begin(w->file);
    step_put(w->file, "TRIANGULATED_FACE('',#%u,%u,(),$,(),(", list, w->used_count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *k = w->mesh->triangles + 3 * (size_t)triangles[i];
        step_put(w->file, "%s(%u,%u,%u)", i ? ",\n" : "", w->number[k[0]], w->number[k[1]],
                 w->number[k[2]]);
    }
    step_put(w->file, ")");
    step_end(w->file);
    return face;
}

/* By the divergence theorem, with the piece's first vertex as apex. */
static es_patches_measure measure_piece(const es_mesh *mesh, const uint32_t *triangles,
                                        size_t count) {
    es_patches_measure sum = {0};
    es_vec3 apex = vertex_at(mesh, mesh->triangles[3 * (size_t)triangles[0]]);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *k = mesh->triangles + 3 * (size_t)triangles[i];
        es_vec3 a = es_vec3_sub(vertex_at(mesh, k[0]), apex);
        es_vec3 b = es_vec3_sub(vertex_at(mesh, k[1]), apex);
        es_vec3 c = es_vec3_sub(vertex_at(mesh, k[2]), apex);
        double part = es_vec3_dot(a, es_vec3_cross(b, c)) / 6;
        es_vec3 cross = es_vec3_cross(es_vec3_sub(b, a), es_vec3_sub(c, a));
        sum.area_mm2 += es_vec3_length(cross) / 2;
        sum.volume_mm3 += part;
        sum.centroid =
            es_vec3_add(sum.centroid, es_vec3_scale(es_vec3_add(a, es_vec3_add(b, c)), part / 4));
    }
    if (sum.volume_mm3 > 0)
        sum.centroid = es_vec3_add(apex, es_vec3_scale(sum.centroid, 1 / sum.volume_mm3));
    return sum;
}

static bool write_piece(list_writer *w, const uint32_t *triangles, size_t count, step_sum *sum) {
    es_patches_measure m = measure_piece(w->mesh, triangles, count);
    if (!(m.volume_mm3 > 0))
        return es_fail(w->file->err, ES_GEOMETRY,
                       "a piece of %zu triangles has its inside out (%g mm3): a hollow, or a mesh "
                       "that is turned over; leave the hollow out or turn the mesh",
                       count, m.volume_mm3);
    number_vertices(w, triangles, count);
    step_add_measures(sum, &m);
    sum->report.faces += count;
    sum->report.edges += 3 * count / 2;
    sum->report.vertices += w->used_count;
    return true;
}

bool step_write_tessellated(step_file *file, const es_mesh *mesh, const char *encoded,
                            step_sum *sum) {
    list_writer w = {.file = file, .mesh = mesh};
    step_pieces pieces = {0};
    w.number = es_alloc_zero(mesh->vertex_count, sizeof *w.number, file->err);
    w.used = w.number ? es_alloc(mesh->vertex_count, sizeof *w.used, file->err) : NULL;
    bool ok = w.used && step_mesh_pieces(mesh, &pieces, file->err);
    for (size_t p = 0; ok && p < pieces.count; p++) {
        const uint32_t *triangles = pieces.members + pieces.start[p];
        size_t count = pieces.start[p + 1] - pieces.start[p];
        ok = write_piece(&w, triangles, count, sum);
        if (!ok) break;
        uint32_t list = write_coordinates(&w);
        uint32_t face = write_triangles(&w, list, triangles, count);
        uint32_t solid = step_begin(file);
        step_put(file, "TESSELLATED_SOLID(");
        step_put_name(file, encoded, p, pieces.count);
        step_put(file, ",(#%u),$", face);
        step_end(file);
        ok = step_add_item(sum, solid, file->err);
    }
    step_pieces_clear(&pieces);
    es_free(w.number);
    es_free(w.used);
    return ok;
}
