/* Filling from the nearest voxels in a cube round the hole, all that are
 * equally near.
 *
 * Places at one distance are orbits, (+-x, +-y, +-z); a slice of holes asks one
 * distance after the other who has a known voxel there. Only then are the
 * voxels of a hole read one by one, mirrored places in pairs, so that a mirrored
 * volume gives mirrored bits. */
#ifndef RECON_FILL_NEAREST_H
#define RECON_FILL_NEAREST_H

#include "fill_cube.h"

/* Known voxels round a hole, summed over mirrored places in pairs. */
typedef struct nearby {
    double sum;
    int count;
} nearby;

static nearby add(nearby a, nearby b) { return (nearby){a.sum + b.sum, a.count + b.count}; }

static nearby at(const fill_window *w, const int from[3], int x, int y, int z) {
    unsigned i;
    const int column = (from[0] + x + ES_BRICK * w->ring) / ES_BRICK;
    const es_brick *brick = fill_window_find(w, from[0] + x, from[1] + y, from[2] + z, &i);
    bool known = w->rows[fill_window_row(w, column, from[1] + y, from[2] + z)] >> i % ES_BRICK & 1;
    return known ? (nearby){(double)brick->value[i], 1} : (nearby){0, 0};
}

static nearby pair(const fill_window *w, const int from[3], int x, int y, int z) {
    nearby a = at(w, from, x, y, z);
    return x == 0 ? a : add(at(w, from, -x, y, z), a);
}

static nearby quad(const fill_window *w, const int from[3], int x, int y, int z) {
    nearby a = pair(w, from, x, y, z);
    return y == 0 ? a : add(pair(w, from, x, -y, z), a);
}

static nearby orbit_sum(const fill_window *w, const int from[3], const fill_orbit *o) {
    nearby a = quad(w, from, o->x, o->y, o->z);
    return o->z == 0 ? a : add(quad(w, from, o->x, o->y, -o->z), a);
}

/* Orbits first .. last - 1, all at one distance, are the nearest of the voxel. */
static float nearest_mean(const fill_method *m, const fill_window *w, const int from[3],
                          size_t first, size_t last) {
    nearby all = {0, 0};
    for (size_t i = first; i < last; i++) all = add(all, orbit_sum(w, from, &m->orbits[i]));
    return (float)(all.sum / all.count);
}

/* Adds the holes that have a known voxel in the orbit. */
static void look_round(const fill_window *w, int z, const fill_orbit *o, fill_slice *out) {
    for (int n = 0; n < 8; n++) {
        const int d[3] = {n & 1 ? -o->x : o->x, n & 2 ? -o->y : o->y, n & 4 ? -o->z : o->z};
        fill_slice known;
        get_known(w, z, d, &known);
        *out |= known;
    }
}

static size_t end_of_distance(const fill_method *m, size_t first) {
    size_t last = first + 1;
    while (last < m->count && m->orbits[last].distance_mm == m->orbits[first].distance_mm) last++;
    return last;
}

static void fill_nearest_slice(const fill_method *m, const fill_window *w, int z, fill_slice *holes,
                               fill_result *result) {
    for (size_t first = 0, last; first < m->count && fill_any(holes); first = last) {
        fill_slice hit = {0};
        last = end_of_distance(m, first);
        for (size_t i = first; i < last; i++) look_round(w, z, &m->orbits[i], &hit);
        hit &= *holes;
        *holes &= ~hit;
        result->open[z] &= ~hit;
        for (int word = 0, voxel; (voxel = fill_next(&hit, &word)) >= 0;) {
            const int from[3] = {voxel % ES_BRICK, voxel / ES_BRICK, z};
            result->value[FILL_AREA * z + voxel] = nearest_mean(m, w, from, first, last);
        }
    }
}

static void fill_by_nearest(const fill_method *method, fill_room *room, fill_result *result) {
    fill_slice holes[ES_BRICK];
    if (!find_cube_holes(method, room, result, holes)) return;
    for (int z = 0; z < ES_BRICK; z++)
        fill_nearest_slice(method, &room->window, z, &holes[z], result);
}

#endif
