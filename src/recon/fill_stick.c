/* Filling by sticks: a hole takes the value on the straight line between the
 * two known voxels that it lies between, on the shortest such line.
 *
 * All sticks that there can be, 13 lines times the steps, stand in one list by
 * length. For a slice of holes the list is walked from the shortest: holes that
 * have forward steps f and backward steps b = steps - f are first[f] & first[b].
 * A hole that got its sticks leaves the set, so the walk mostly ends early.
 * Values of one hole are averaged in an order that depends on them alone, so
 * that a mirrored volume gives mirrored bits. */
#include <string.h>

#include "fill_internal.h"

/* The slice in hand. */
typedef struct filling {
    const fill_method *method;
    fill_room *room;
    int z;
    uint64_t left[FILL_WORDS]; /* holes that want more sticks */
    uint64_t met[FILL_WORDS];  /* of them, those that got one of this length */
} filling;

static float value_at(const fill_window *window, const int from[3], const int d[3], int steps) {
    fill_voxel v = fill_window_voxel(window, from[0] + steps * d[0], from[1] + steps * d[1],
                                     from[2] + steps * d[2]);
    return v.brick->value[v.index];
}

/* Keeps the list sorted by length, then value. */
static void add_end(fill_ends *ends, float length_mm, float value) {
    int i = ends->count++;
    for (; i > 0 && ends->sticks[i - 1].length_mm == length_mm && ends->sticks[i - 1].value > value;
         i--)
        ends->sticks[i] = ends->sticks[i - 1];
    ends->sticks[i].length_mm = length_mm;
    ends->sticks[i].value = value;
}

static void add_stick(const filling *f, const fill_stick *stick, int voxel, int forward) {
    const int *d = fill_lines[stick->line], backward = stick->steps - forward;
    const int from[3] = {voxel % ES_BRICK, voxel / ES_BRICK, f->z};
    double ahead = value_at(&f->room->window, from, d, forward);
    double behind = value_at(&f->room->window, from, d, -backward);
    double value = (backward * ahead + forward * behind) / stick->steps;
    add_end(&f->room->ends[voxel], stick->length_mm, (float)value);
}

/* All the sticks of one line and length. */
static void try_stick(filling *f, const fill_stick *stick) {
    uint64_t(*ahead)[FILL_WORDS] = f->room->sight.first[stick->line][0];
    uint64_t(*behind)[FILL_WORDS] = f->room->sight.first[stick->line][1];
    for (int k = 1; k < stick->steps; k++) {
        uint64_t hit[FILL_WORDS];
        for (int i = 0; i < FILL_WORDS; i++)
            hit[i] = ahead[k - 1][i] & behind[stick->steps - k - 1][i] & f->left[i];
        if (!fill_any(hit)) continue;
        for (int i = 0; i < FILL_WORDS; i++) f->met[i] |= hit[i];
        for (int word = 0, voxel; (voxel = fill_next(hit, &word)) >= 0;)
            add_stick(f, stick, voxel, k);
    }
}

/* Takes the holes that have enough sticks out of those left. */
static void drop_ready(filling *f) {
    for (int word = 0, voxel; (voxel = fill_next(f->met, &word)) >= 0;)
        if (f->room->ends[voxel].count >= f->method->step.number_of_sticks)
            f->left[word] &= ~((uint64_t)1 << voxel % 64);
}

static float mean_of(const fill_ends *ends) {
    if (ends->count == 1) return ends->sticks[0].value;
    double sum = 0, weights = 0;
    for (int i = 0; i < ends->count; i++) {
        double weight = 1 / (double)ends->sticks[i].length_mm;
        sum += weight * (double)ends->sticks[i].value;
        weights += weight;
    }
    return (float)(sum / weights);
}

static void gather_sticks(filling *f) {
    const fill_method *m = f->method;
    for (size_t i = 0; i < m->count && fill_any(f->left); i++) {
        if (f->room->sight.useful[m->sticks[i].line]) try_stick(f, &m->sticks[i]);
        if (i + 1 == m->count || m->sticks[i + 1].length_mm > m->sticks[i].length_mm) drop_ready(f);
    }
}

static void fill_slice(filling *f, fill_result *result, const uint64_t holes[FILL_WORDS]) {
    uint64_t rest[FILL_WORDS];
    for (int i = 0; i < FILL_WORDS; i++) {
        result->open[f->z][i] &= ~holes[i];
        f->left[i] = rest[i] = holes[i];
    }
    for (int voxel = 0; voxel < FILL_SLICE; voxel++) f->room->ends[voxel].count = 0;
    gather_sticks(f);
    for (int word = 0, voxel; (voxel = fill_next(rest, &word)) >= 0;)
        result->value[FILL_SLICE * f->z + voxel] = mean_of(&f->room->ends[voxel]);
}

void fill_by_stick(const fill_method *method, fill_room *room, fill_result *result) {
    for (int z = 0; z < ES_BRICK; z++) {
        uint64_t holes[FILL_WORDS];
        memcpy(holes, result->open[z], sizeof holes);
        if (!fill_any(holes) || !fill_look(&room->window, z, method->longest, holes, &room->sight))
            continue;
        filling f = {.method = method, .room = room, .z = z};
        fill_slice(&f, result, holes);
    }
}
