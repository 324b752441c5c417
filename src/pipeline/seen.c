/* How the surface was seen: frames and directions at each vertex, from the voxels about it. */
#include <math.h>
#include <string.h>

#include "echosolid/pipeline.h"

enum { FRAMES_MOST = 4096 };

/* Of the eight voxels about the point, the most. */
static void look_up(const es_bricks *seen, const float *point, float *frames, float *directions) {
    const double *origin = es_bricks_origin(seen), *spacing = es_bricks_spacing(seen);
    int32_t low[3];
    *frames = *directions = 0;
    for (int a = 0; a < 3; a++) {
        double at = floor(((double)point[a] - origin[a]) / spacing[a]);
        if (!(fabs(at) < 1e9)) return;
        low[a] = (int32_t)at;
    }
    for (int k = 0; k < 8; k++) {
        int32_t voxel[3] = {low[0] + (k & 1), low[1] + (k >> 1 & 1), low[2] + (k >> 2)};
        int32_t at[3], in[3];
        for (int a = 0; a < 3; a++) {
            in[a] = voxel[a] & (ES_BRICK - 1);
            at[a] = (voxel[a] - in[a]) / ES_BRICK;
        }
        const es_brick *brick = es_bricks_find(seen, at[0], at[1], at[2]);
        if (!brick) continue;
        int i = in[0] + ES_BRICK * (in[1] + ES_BRICK * in[2]);
        *frames = fmaxf(*frames, brick->weight[i]);
        *directions = fmaxf(*directions, brick->value[i]);
    }
}

static double area_of(const es_mesh *mesh, const uint32_t *corner) {
    es_vec3 p[3];
    for (int k = 0; k < 3; k++) {
        const float *v = mesh->vertices + 3 * (size_t)corner[k];
        p[k] = es_vec3_make(v[0], v[1], v[2]);
    }
    return es_vec3_length(es_vec3_cross(es_vec3_sub(p[1], p[0]), es_vec3_sub(p[2], p[0]))) / 2;
}

/* Over the area: each corner stands for a third of its triangle. */
static bool summarise(const es_mesh *mesh, es_seen *s, es_error *err) {
    double *by_frames = es_alloc_zero(FRAMES_MOST, sizeof *by_frames, err), all = 0, below = 0;
    if (!by_frames) return false;
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        double third = area_of(mesh, mesh->triangles + 3 * t) / 3;
        for (int k = 0; k < 3; k++) {
            uint32_t v = mesh->triangles[3 * t + (size_t)k];
            int directions = (int)fminf(s->directions[v], ES_SEEN_SHARES - 1);
            by_frames[(int)fminf(s->frames[v], FRAMES_MOST - 1)] += third;
            s->share[directions] += third;
            all += third;
        }
    }
    for (int i = 0; i < ES_SEEN_SHARES && all > 0; i++) s->share[i] /= all;
    int median = 0;
    while (median < FRAMES_MOST - 1 && (below += by_frames[median]) < all / 2) median++;
    s->frames_p50 = median;
    es_free(by_frames);
    return true;
}

bool es_seen_find(const es_bricks *voxels, const es_mesh *mesh, es_seen *seen, es_error *err) {
    es_seen s = {0};
    *seen = s;
    if (!voxels || mesh->triangle_count == 0) return true;
    s.frames = es_alloc(mesh->vertex_count, sizeof *s.frames, err);
    s.directions = s.frames ? es_alloc(mesh->vertex_count, sizeof *s.directions, err) : NULL;
    for (size_t v = 0; s.directions && v < mesh->vertex_count; v++)
        look_up(voxels, mesh->vertices + 3 * v, &s.frames[v], &s.directions[v]);
    if (s.directions && summarise(mesh, &s, err)) {
        *seen = s;
        return true;
    }
    es_seen_clear(&s);
    return false;
}

void es_seen_clear(es_seen *seen) {
    es_free(seen->frames);
    es_free(seen->directions);
    memset(seen, 0, sizeof *seen);
}
