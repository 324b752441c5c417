/* Filling by sticks: a hole takes the value on the straight line between the
 * two known voxels that it lies between, on the shortest such line.
 *
 * All sticks that there can be, 13 lines times the steps, stand in one list by
 * length. For a slice of holes the list is walked from the shortest, and lines
 * are looked along only as far as it has got: holes with forward steps f and
 * backward steps b = steps - f are first[f] & first[b]. A hole that has its
 * sticks leaves the set, and when none is left the walk ends, mostly early.
 * Values of one hole are averaged in an order that depends on them alone, so
 * that a mirrored volume gives mirrored bits. */
#ifndef RECON_FILL_STICK_H
#define RECON_FILL_STICK_H

#include "fill_look.h"

/* The slice in hand. */
typedef struct filling {
    const fill_method *method;
    const fill_window *window;
    fill_sight *sight;
    fill_ends *ends;
    float *value; /* of the slice's voxels, out */
    int z;
    fill_slice left;    /* holes that want more sticks */
    fill_slice met;     /* of them, those that got one of this length */
    fill_slice some;    /* holes with one stick or more */
    fill_slice several; /* holes with two or more */
} filling;

static inline double value_at(const filling *f, int voxel, const int offset[3]) {
    unsigned i;
    const es_brick *brick = fill_window_find(f->window, voxel % ES_BRICK + offset[0],
                                             voxel / ES_BRICK + offset[1], f->z + offset[2], &i);
    return (double)brick->value[i];
}

/* Keeps the list sorted by length, then value. */
static void add_end(fill_ends *ends, unsigned voxel, float length_mm, float value) {
    struct fill_end *list = ends->ends[voxel];
    int i = ends->count[voxel]++;
    for (; i > 0 && list[i - 1].length_mm == length_mm && list[i - 1].value > value; i--)
        list[i] = list[i - 1];
    list[i] = (struct fill_end){length_mm, value};
}

/* The holes of `hit` lie on this stick, `ahead` steps from its end. */
static void add_sticks(filling *f, const fill_stick *stick, int ahead, fill_slice *hit) {
    const int *d = fill_lines[stick->line], behind = stick->steps - ahead;
    const int front[3] = {ahead * d[0], ahead * d[1], ahead * d[2]};
    const int back[3] = {-behind * d[0], -behind * d[1], -behind * d[2]};
    for (int word = 0, voxel; (voxel = fill_next(hit, &word)) >= 0;) {
        double sum = behind * value_at(f, voxel, front) + ahead * value_at(f, voxel, back);
        f->value[voxel] = (float)(sum / stick->steps);
        add_end(f->ends, (unsigned)voxel, stick->length_mm, f->value[voxel]);
    }
}

/* All the sticks of one line and length. */
static void try_stick(filling *f, const fill_stick *stick) {
    const fill_sight *sight = f->sight;
    const int line = stick->line;
    extend_sight(f->sight, line, stick->steps - 1);
    const fill_slice both = sight->met[line][0] & sight->met[line][1] & f->left;
    if (!fill_any(&both)) return;
    for (int k = 1; k < stick->steps; k++) {
        fill_slice hit =
            sight->first[line][0][k - 1] & sight->first[line][1][stick->steps - k - 1] & both;
        if (!fill_any(&hit)) continue;
        f->met |= hit;
        f->several |= f->some & hit;
        f->some |= hit;
        add_sticks(f, stick, k, &hit);
    }
}

/* Takes the holes that have enough sticks out of those left. */
static void drop_ready(filling *f) {
    if (f->method->step.number_of_sticks == 1)
        f->left &= ~f->met;
    else
        for (int word = 0, voxel; (voxel = fill_next(&f->met, &word)) >= 0;)
            if (f->ends->count[voxel] >= f->method->step.number_of_sticks)
                f->left[word] &= ~((uint64_t)1 << voxel % 64);
}

static float mean_of(const fill_ends *ends, int voxel) {
    double sum = 0, weights = 0;
    for (int i = 0; i < ends->count[voxel]; i++) {
        double weight = 1 / (double)ends->ends[voxel][i].length_mm;
        sum += weight * (double)ends->ends[voxel][i].value;
        weights += weight;
    }
    return (float)(sum / weights);
}

static void fill_holes(filling *f) {
    const fill_stick *sticks = f->method->sticks;
    for (size_t i = 0; i < f->method->count && fill_any(&f->left); i++) {
        try_stick(f, &sticks[i]);
        if (i + 1 == f->method->count || sticks[i + 1].length_mm > sticks[i].length_mm)
            drop_ready(f);
    }
    for (int word = 0, voxel; (voxel = fill_next(&f->several, &word)) >= 0;)
        f->value[voxel] = mean_of(f->ends, voxel);
}

static void fill_by_stick(const fill_method *method, fill_room *room, fill_result *result) {
    for (int z = 0; z < ES_BRICK; z++) {
        if (!fill_any(&result->open[z])) continue;
        filling f = {.method = method,
                     .window = &room->window,
                     .sight = &room->sight,
                     .ends = &room->ends,
                     .z = z,
                     .left = result->open[z]};
        f.value = result->value + FILL_AREA * z;
        start_sight(f.sight, f.window, z);
        memset(f.ends->count, 0, sizeof f.ends->count);
        fill_holes(&f);
        result->open[z] &= ~f.some;
    }
}

#endif
