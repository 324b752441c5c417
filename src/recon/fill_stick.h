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

/* Keeps the list sorted by length, then value. */
static void add_end(fill_ends *ends, unsigned voxel, float length_mm, float value) {
    struct fill_end *list = ends->ends[voxel];
    int i = ends->count[voxel]++;
    for (; i > 0 && list[i - 1].length_mm == length_mm && list[i - 1].value > value; i--)
        list[i] = list[i - 1];
    list[i] = (struct fill_end){length_mm, value};
}

/* Values of a row of voxels, x = 0 .. 15 and `offset` from it, whatever is known of them. */
static inline void load_values(const filling *f, int y, const int offset[3], float row[ES_BRICK]) {
    const fill_window *w = f->window;
    const int first = ES_BRICK * w->ring, n = 2 * w->ring + 1;
    const int x = first + offset[0], j = first + y + offset[1], k = first + f->z + offset[2];
    const es_brick *const *bricks =
        w->bricks + x / ES_BRICK + n * (j / ES_BRICK + n * (k / ES_BRICK));
    const int at = ES_BRICK * (j % ES_BRICK + ES_BRICK * (k % ES_BRICK)), shift = x % ES_BRICK;
    float both[2 * ES_BRICK] = {0};
    if (bricks[0]) memcpy(both, bricks[0]->value + at, ES_BRICK * sizeof *both);
    if (shift > 0 && bricks[1])
        memcpy(both + ES_BRICK, bricks[1]->value + at, ES_BRICK * sizeof *both);
    memcpy(row, both + shift, ES_BRICK * sizeof *row);
}

/* A stick, `ahead` steps from its end. */
typedef struct stick_place {
    const fill_stick *stick;
    int ahead, behind;
    int front[3], back[3]; /* offsets of the ends */
} stick_place;

static inline stick_place place_stick(const fill_stick *stick, int ahead) {
    stick_place p = {.stick = stick, .ahead = ahead, .behind = stick->steps - ahead};
    for (int a = 0; a < 3; a++) {
        p.front[a] = p.ahead * fill_lines[stick->line][a];
        p.back[a] = -p.behind * fill_lines[stick->line][a];
    }
    return p;
}

static inline float value_on(const stick_place *p, double front, double back) {
    return (float)((p->behind * front + p->ahead * back) / p->stick->steps);
}

/* Values on the stick for row y; anything where it is no hole's. */
static inline void stick_row(const filling *f, const stick_place *p, int y, float out[ES_BRICK]) {
    float front[ES_BRICK], back[ES_BRICK];
    load_values(f, y, p->front, front);
    load_values(f, y, p->back, back);
    for (int x = 0; x < ES_BRICK; x++) out[x] = value_on(p, (double)front[x], (double)back[x]);
}

/* Remembers the stick for the holes of `listed`, so that a mean can be taken; where one
 * stick is enough, the one that they had before it as well. */
static void add_ends(filling *f, const stick_place *p, int y, unsigned listed,
                     const float value[ES_BRICK]) {
    const bool lazy = f->method->step.number_of_sticks == 1;
    const float length_mm = p->stick->length_mm;
    for (; listed != 0; listed &= listed - 1) {
        const int x = __builtin_ctz(listed), i = ES_BRICK * y + x;
        const unsigned voxel = (unsigned)i;
        if (lazy && f->ends->count[voxel] == 0) add_end(f->ends, voxel, length_mm, f->value[i]);
        add_end(f->ends, voxel, length_mm, value[x]);
    }
}

/* The holes of row y that lie on the stick. Where one stick is enough, only those that
 * have several need a list. */
static void add_row(filling *f, const stick_place *p, int y, unsigned holes, unsigned again) {
    float value[ES_BRICK], *to = f->value + ES_BRICK * y;
    stick_row(f, p, y, value);
    add_ends(f, p, y, f->method->step.number_of_sticks == 1 ? again : holes, value);
    for (int x = 0; x < ES_BRICK; x += LANES) {
        ints mask;
        make_mask(holes >> x, &mask);
        *(ints *)(to + x) = (*(const ints *)(value + x) & mask) | (*(const ints *)(to + x) & ~mask);
    }
}

/* The holes of `hit` lie on this stick, `ahead` steps from its end; those of `again` have
 * one already. */
static void add_sticks(filling *f, const fill_stick *stick, int ahead, const fill_slice *hit,
                       const fill_slice *again) {
    const stick_place p = place_stick(stick, ahead);
    for (int word = 0; word < FILL_WORDS; word++) {
        uint64_t rows = (*hit)[word], before = (*again)[word];
        for (int y = 4 * word; rows != 0; y++, rows >>= ES_BRICK, before >>= ES_BRICK)
            if (rows & 0xffff) add_row(f, &p, y, rows & 0xffff, before & 0xffff);
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
        const fill_slice hit =
            sight->first[line][0][k - 1] & sight->first[line][1][stick->steps - k - 1] & both;
        if (!fill_any(&hit)) continue;
        const fill_slice again = f->some & hit;
        f->met |= hit;
        f->several |= again;
        f->some |= hit;
        add_sticks(f, stick, k, &hit, &again);
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
