/* Points sorted by the cell they lie in: a neighbour within one cell's size is
 * in one of the 27 cells around. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/geom.h"

typedef struct cell_point {
    int64_t cell[3];
    float p[3];
} cell_point;

struct es_point_set {
    cell_point *points; /* sorted by cell */
    size_t count;
    double reach;
};

static int compare_cells(const int64_t a[3], const int64_t b[3]) {
    for (int i = 2; i >= 0; i--)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int by_cell(const void *a, const void *b) {
    return compare_cells(((const cell_point *)a)->cell, ((const cell_point *)b)->cell);
}

/* False for points that have no cell: NaN, or further out than 2^53 cells. */
static bool find_cell(const es_point_set *set, const float *p, int64_t cell[3]) {
    for (int i = 0; i < 3; i++) {
        double c = floor((double)p[i] / set->reach);
        if (!(fabs(c) < 0x1p53)) return false;
        cell[i] = (int64_t)c;
    }
    return true;
}

es_point_set *es_point_set_new(const float *points, size_t count, double reach_mm, es_error *err) {
    if (!(reach_mm > 0)) {
        es_fail(err, ES_USAGE, "a reach of %g mm; expected more than 0", reach_mm);
        return NULL;
    }
    es_point_set *set = es_alloc_zero(1, sizeof *set, err);
    if (!set) return NULL;
    set->reach = reach_mm;
    set->points = es_alloc(count, sizeof *set->points, err);
    if (!set->points) {
        es_free(set);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        cell_point *slot = &set->points[set->count];
        memcpy(slot->p, &points[3 * i], sizeof slot->p);
        set->count += find_cell(set, slot->p, slot->cell);
    }
    qsort(set->points, set->count, sizeof *set->points, by_cell);
    return set;
}

void es_point_set_free(es_point_set *set) {
    if (!set) return;
    es_free(set->points);
    es_free(set);
}

/* First point whose cell is not before `cell`. */
static size_t lower_bound(const es_point_set *set, const int64_t cell[3]) {
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_cells(set->points[middle].cell, cell) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool near_in_row(const es_point_set *set, const int64_t first[3], const float *p) {
    for (size_t i = lower_bound(set, first); i < set->count; i++) {
        const cell_point *q = &set->points[i];
        if (q->cell[2] != first[2] || q->cell[1] != first[1] || q->cell[0] > first[0] + 2)
            return false;
        double dx = q->p[0] - p[0], dy = q->p[1] - p[1], dz = q->p[2] - p[2];
        if (dx * dx + dy * dy + dz * dz <= set->reach * set->reach) return true;
    }
    return false;
}

bool es_point_set_near(const es_point_set *set, const float *p) {
    int64_t cell[3];
    if (!find_cell(set, p, cell)) return false;
    for (int64_t z = cell[2] - 1; z <= cell[2] + 1; z++)
        for (int64_t y = cell[1] - 1; y <= cell[1] + 1; y++)
            if (near_in_row(set, (int64_t[3]){cell[0] - 1, y, z}, p)) return true;
    return false;
}
