/* How often and from how many directions each voxel of the distance field was seen. */
#include <math.h>

#include "recon_internal.h"

/* The middles of an icosahedron's faces: the corners of a dodecahedron, eight of a cube
 * and twelve by cyclic turns of (0, 1 / g, g), g the golden section; all of one length. */
uint32_t seen_from(es_vec3 direction) {
    static const double G = 1.618033988749895;
    const double at[3] = {direction.x, direction.y, direction.z};
    double most = fabs(at[0]) + fabs(at[1]) + fabs(at[2]);
    int face = (at[0] < 0) + 2 * (at[1] < 0) + 4 * (at[2] < 0);
    for (int a = 0; a < 3; a++) {
        double small = at[(a + 1) % 3], large = at[(a + 2) % 3];
        double along = fabs(small) / G + fabs(large) * G;
        if (along <= most) continue;
        most = along;
        face = 8 + 4 * a + (small < 0) + 2 * (large < 0);
    }
    return 1u << face;
}

static void write_seen(const cell *c, es_brick *brick) {
    const distance_voxel *voxels = c->state;
    for (int i = 0; i < ES_BRICK_VOXELS; i++) {
        uint32_t from = voxels[i].seen & ((1u << SEEN_DIRECTIONS) - 1);
        brick->weight[i] = (float)(voxels[i].seen >> SEEN_DIRECTIONS);
        brick->value[i] = (float)__builtin_popcount(from);
    }
}

es_bricks *es_distance_seen(const es_distance *distance, es_error *err) {
    es_bricks *bricks =
        es_bricks_new(distance->options.origin_mm, distance->options.spacing_mm, err);
    bool ok = bricks != NULL;
    for (size_t i = 0; ok && i < distance->store.settled; i++) {
        const cell *c = &distance->store.cells[i];
        es_brick *brick = es_bricks_add(bricks, c->at[0], c->at[1], c->at[2], err);
        ok = brick != NULL;
        if (ok) write_seen(c, brick);
    }
    if (ok) {
        es_bricks_sort(bricks);
        return bricks;
    }
    es_bricks_free(bricks);
    return NULL;
}
