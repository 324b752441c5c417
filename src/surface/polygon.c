/* The surface of least area between the points of a polygon in space.
 *
 * A triangulation has one triangle at the polygon's last side; its tip parts the
 * rest into two polygons. So the best of each run of points follows from the best
 * of shorter runs (Barequet and Sharir 1995, after Klincsek 1980): n^3 / 6 steps.
 * A rim of thousands of points is first taken with some hundred of them. Each
 * coarse triangle that lies along the rim then is a small polygon itself, its
 * sides along the rim with all their points, and is done in the same way. */
#include <math.h>
#include <string.h>

#include "span.h"

/* Points that are taken at once, and of rims so long that what lies between would
 * be many. */
enum { EXACT_MOST = 200, COARSE = 200, COARSE_LONG = 1000, LONG_RIM = 20000 };

typedef struct polygon_work {
    const es_vec3 *at;      /* of the whole rim */
    const uint32_t *corner; /* the polygon's points */
    size_t count;
    double *least;  /* count x count: area of the run from a to b */
    uint32_t *tip;  /* the third corner at its closing side */
    uint32_t *runs; /* scratch: runs still to be written down */
} polygon_work;

static double double_area(const polygon_work *w, size_t a, size_t b, size_t c) {
    es_vec3 p = w->at[w->corner[a]];
    return es_vec3_length(
        es_vec3_cross(es_vec3_sub(w->at[w->corner[b]], p), es_vec3_sub(w->at[w->corner[c]], p)));
}

static void find_best(const polygon_work *w, size_t a, size_t b) {
    size_t n = w->count;
    double best = INFINITY;
    size_t best_tip = a + 1;
    for (size_t m = a + 1; m < b; m++) {
        double sum = w->least[a * n + m] + w->least[m * n + b];
        if (sum >= best) continue;
        sum += double_area(w, a, m, b);
        if (sum >= best) continue;
        best = sum;
        best_tip = m;
    }
    w->least[a * n + b] = best;
    w->tip[a * n + b] = (uint32_t)best_tip;
}

/* Writes the triangles of the best triangulation; a stack instead of recursion. */
static size_t write_best(const polygon_work *w, uint32_t *triangles) {
    size_t depth = 0, written = 0, n = w->count;
    w->runs[depth++] = 0;
    w->runs[depth++] = (uint32_t)(n - 1);
    while (depth > 0) {
        uint32_t b = w->runs[--depth], a = w->runs[--depth];
        if (b - a < 2) continue;
        uint32_t m = w->tip[a * n + b];
        uint32_t *corner = triangles + 3 * written++;
        corner[0] = w->corner[a];
        corner[1] = w->corner[m];
        corner[2] = w->corner[b];
        w->runs[depth++] = a;
        w->runs[depth++] = m;
        w->runs[depth++] = m;
        w->runs[depth++] = b;
    }
    return written;
}

/* `corner`: count indices into the points. Returns how many triangles were written,
 * 0 on failure. */
static size_t span_small(const es_vec3 *at, const uint32_t *corner, size_t count,
                         uint32_t *triangles, es_error *err) {
    polygon_work w = {.at = at, .corner = corner, .count = count};
    size_t cells, written = 0;
    if (!es_multiply(count, count, &cells)) cells = SIZE_MAX;
    w.least = es_alloc_zero(cells, sizeof *w.least, err);
    w.tip = w.least ? es_alloc_zero(cells, sizeof *w.tip, err) : NULL;
    w.runs = w.tip ? es_alloc(count, 4 * sizeof *w.runs, err) : NULL;
    if (w.runs) {
        for (size_t length = 2; length < count; length++)
            for (size_t a = 0; a + length < count; a++) find_best(&w, a, a + length);
        written = write_best(&w, triangles);
    }
    es_free(w.least);
    es_free(w.tip);
    es_free(w.runs);
    return written;
}

/* Point number i of `coarse` that are taken of `count`. */
static uint32_t coarse_point(size_t i, size_t coarse, size_t count) {
    return (uint32_t)(i * count / coarse);
}

/* The points from a coarse corner to the next of its triangle, the last left out:
 * all of the rim's where they follow one another, else the corner alone. */
static size_t add_side(uint32_t from, uint32_t to, size_t coarse, size_t count, uint32_t *points) {
    size_t i = ((size_t)from * coarse + count - 1) / count, used = 0;
    uint32_t next = coarse_point(i + 1, coarse, count);
    points[used++] = from;
    if (next % count != to) return used;
    for (uint32_t p = from + 1; p < next; p++) points[used++] = p;
    return used;
}

static bool span_coarse(const es_vec3 *at, size_t count, size_t coarse, uint32_t *triangles,
                        es_error *err) {
    uint32_t *corner = es_alloc(count, sizeof *corner, err);
    uint32_t *first = corner ? es_alloc(coarse, 3 * sizeof *first, err) : NULL;
    size_t written = 0, found = 0;
    bool ok = first != NULL;
    if (ok) {
        for (size_t i = 0; i < coarse; i++) corner[i] = coarse_point(i, coarse, count);
        ok = (found = span_small(at, corner, coarse, first, err)) > 0;
    }
    for (size_t t = 0; ok && t < found; t++) {
        size_t points = 0;
        for (size_t k = 0; k < 3; k++)
            points += add_side(first[3 * t + k], first[3 * t + (k + 1) % 3], coarse, count,
                               corner + points);
        size_t more = span_small(at, corner, points, triangles + 3 * written, err);
        ok = more > 0;
        written += more;
    }
    es_free(corner);
    es_free(first);
    return ok;
}

bool surface_span_polygon(const es_vec3 *at, size_t count, uint32_t *triangles, es_error *err) {
    if (count < 3 || count > SPAN_RIM_MOST)
        return es_fail(err, ES_UNSUPPORTED,
                       "a rim of %zu vertices: expected 3 to %d; take larger voxels, or reduce the "
                       "mesh first",
                       count, SPAN_RIM_MOST);
    if (count > EXACT_MOST)
        return span_coarse(at, count, count > LONG_RIM ? COARSE_LONG : COARSE, triangles, err);
    uint32_t corner[EXACT_MOST];
    for (size_t i = 0; i < count; i++) corner[i] = (uint32_t)i;
    return span_small(at, corner, count, triangles, err) > 0;
}
