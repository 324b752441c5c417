/* How well the frames agree with the surface that they made together. */
#include "scatter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 1 << 17, LINES_OF_A_FRAME = 256 };

struct scatter_list {
    float *points;
    size_t count;
    int64_t lines, stride; /* found lines so far; one of `stride` is kept */
};

scatter_list *scatter_new(int64_t frames, es_error *err) {
    scatter_list *list = es_alloc_zero(1, sizeof *list, err);
    if (!list) return NULL;
    list->stride = 1 + frames * LINES_OF_A_FRAME / POINTS_MAX;
    list->points = es_alloc(POINTS_MAX, 3 * sizeof *list->points, err);
    if (list->points) return list;
    scatter_free(list);
    return NULL;
}

scatter_list *scatter_copy(const scatter_list *list, es_error *err) {
    scatter_list *copy = scatter_new(0, err);
    if (!copy) return NULL;
    float *points = copy->points;
    memcpy(points, list->points, list->count * 3 * sizeof *points);
    *copy = *list;
    copy->points = points;
    return copy;
}

void scatter_free(scatter_list *list) {
    if (!list) return;
    es_free(list->points);
    es_free(list);
}

scatter_mark scatter_where(const scatter_list *list) {
    return (scatter_mark){list->count, list->lines};
}

void scatter_back(scatter_list *list, scatter_mark mark) {
    list->count = mark.count;
    list->lines = mark.lines;
}

void scatter_add(scatter_list *list, const es_trace *trace, es_mat4 image_to_reference) {
    for (size_t i = 0; i < trace->count; i++) {
        double u, v;
        if (!trace->lines[i].found || list->lines++ % list->stride != 0) continue;
        if (list->count == POINTS_MAX) return;
        es_bone_point(&trace->lines[i], &u, &v);
        es_vec3 p = es_mat4_point(image_to_reference, es_vec3_make(u, v, 0));
        float *to = list->points + 3 * list->count++;
        to[0] = (float)p.x;
        to[1] = (float)p.y;
        to[2] = (float)p.z;
    }
}

bool scatter_judge(const scatter_list *list, const es_mesh *sheet, double limit_mm, es_pool *pool,
                   es_scatter *scatter, es_error *err) {
    *scatter =
        (es_scatter){.points = list->count, .rms_mm = NAN, .p95_mm = NAN, .limit_mm = limit_mm};
    if (list->count == 0) return true;
    float *distances = es_alloc(list->count, sizeof *distances, err);
    bool ok = distances &&
              es_mesh_point_distances(sheet, list->points, list->count, pool, distances, err);
    if (ok) {
        double sum = 0;
        size_t near = 0;
        qsort(distances, list->count, sizeof *distances, es_compare_floats);
        for (; near < list->count && distances[near] <= limit_mm; near++)
            sum += (double)distances[near] * distances[near];
        scatter->beyond = 1 - (double)near / (double)list->count;
        if (near) {
            scatter->rms_mm = sqrt(sum / (double)near);
            scatter->p95_mm = distances[(near - 1) * 95 / 100];
        }
    }
    es_free(distances);
    return ok;
}
