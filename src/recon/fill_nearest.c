/* Filling from the nearest voxels in a cube round the hole, all that are
 * equally near.
 *
 * Places at one distance are orbits, (+-x, +-y, +-z); a slice of holes asks one
 * distance after the other who has a known voxel there. Only then are the
 * voxels of a hole read one by one, mirrored places in pairs, so that a mirrored
 * volume gives mirrored bits. */
#include "fill_internal.h"

/* Known voxels round a hole, summed over mirrored places in pairs. */
typedef struct nearby {
    double sum;
    int count;
} nearby;

static nearby add(nearby a, nearby b) { return (nearby){a.sum + b.sum, a.count + b.count}; }

static nearby at(const fill_window *w, const int from[3], int x, int y, int z) {
    fill_place p = fill_window_place(w, from[0] + x, from[1] + y, from[2] + z);
    bool known = p.bits && p.bits->known[p.voxel / ES_BRICK] >> p.voxel % ES_BRICK & 1;
    return known ? (nearby){(double)p.bits->brick->value[p.voxel], 1} : (nearby){0, 0};
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

/* Holes that have a known voxel in the orbit. */
static void look_round(const fill_window *w, int z, const fill_orbit *o, uint64_t out[FILL_WORDS]) {
    for (int n = 0; n < 8; n++) {
        int d[3] = {n & 1 ? -o->x : o->x, n & 2 ? -o->y : o->y, n & 4 ? -o->z : o->z};
        uint64_t known[FILL_WORDS];
        fill_window_slice(w, z, d, known);
        for (int i = 0; i < FILL_WORDS; i++) out[i] |= known[i];
    }
}

static size_t end_of_distance(const fill_method *m, size_t first) {
    size_t last = first + 1;
    while (last < m->count && m->orbits[last].distance_mm == m->orbits[first].distance_mm) last++;
    return last;
}

static void fill_nearest_slice(const fill_method *m, const fill_window *w, int z,
                               uint64_t holes[FILL_WORDS], fill_result *result) {
    for (size_t first = 0, last; first < m->count && fill_any(holes); first = last) {
        uint64_t hit[FILL_WORDS] = {0};
        last = end_of_distance(m, first);
        for (size_t i = first; i < last; i++) look_round(w, z, &m->orbits[i], hit);
        for (int i = 0; i < FILL_WORDS; i++) {
            hit[i] &= holes[i];
            holes[i] &= ~hit[i];
            result->open[z][i] &= ~hit[i];
        }
        for (int word = 0, voxel; (voxel = fill_next(hit, &word)) >= 0;) {
            int from[3] = {voxel % ES_BRICK, voxel / ES_BRICK, z};
            result->value[FILL_SLICE * z + voxel] = nearest_mean(m, w, from, first, last);
        }
    }
}

void fill_by_nearest(const fill_method *method, fill_room *room, fill_result *result) {
    uint64_t holes[ES_BRICK][FILL_WORDS];
    if (!fill_cube_holes(method, room, result, holes)) return;
    for (int z = 0; z < ES_BRICK; z++)
        fill_nearest_slice(method, &room->window, z, holes[z], result);
}
