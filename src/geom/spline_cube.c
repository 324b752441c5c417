/* A cube of six bicubic B-splines: its controls, its weights, its Bezier patches.
 *
 * Weights come from the blossom of a spline segment (de Boor 1972, Ramshaw 1987):
 * with all three arguments at t it is the spline's point, with arguments at the
 * segment's two ends the segment's Bezier points. */
#include <string.h>

#include "echosolid/patches.h"

/* ---- controls -------------------------------------------------------------------- */

/* The place of a control in the cube's lattice. */
static size_t lattice_key(int size, int face, int i, int j) {
    int at[3], axis = face / 2;
    bool forwards = face % 2;
    at[axis] = forwards ? size - 1 : 0;
    at[(axis + 1) % 3] = forwards ? i : j;
    at[(axis + 2) % 3] = forwards ? j : i;
    return ((size_t)at[2] * (size_t)size + (size_t)at[1]) * (size_t)size + (size_t)at[0];
}

/* `number`: of a lattice place, the control + 1. */
static void number_controls(es_spline_cube *cube, uint32_t *number) {
    uint32_t *index = cube->index;
    for (int face = 0; face < 6; face++)
        for (int i = 0; i < cube->size; i++)
            for (int j = 0; j < cube->size; j++) {
                uint32_t *at = &number[lattice_key(cube->size, face, i, j)];
                if (*at == 0) *at = (uint32_t)++cube->point_count;
                *index++ = *at - 1;
            }
}

bool es_spline_cube_new(int size, es_spline_cube *cube, es_error *err) {
    *cube = (es_spline_cube){.size = size};
    if (size < 4 || size > ES_CUBE_SIZE_MAX)
        return es_fail(err, ES_USAGE, "%d controls a side: expected 4 to %d", size,
                       ES_CUBE_SIZE_MAX);
    size_t side = (size_t)size;
    uint32_t *number = es_alloc_zero(side * side * side, sizeof *number, err);
    cube->index = number ? es_alloc(6 * side * side, sizeof *cube->index, err) : NULL;
    if (cube->index) {
        number_controls(cube, number);
        cube->points = es_alloc_zero(cube->point_count, 3 * sizeof(double), err);
    }
    es_free(number);
    if (!cube->points) es_spline_cube_clear(cube);
    return cube->points != NULL;
}

void es_spline_cube_clear(es_spline_cube *cube) {
    es_free(cube->points);
    es_free(cube->index);
    *cube = (es_spline_cube){0};
}

/* ---- weights ---------------------------------------------------------------------- */

static double knot(int size, int k) {
    return k <= 3 ? 0 : k >= size ? 1 : (double)(k - 3) / (size - 3);
}

/* The weights of controls segment .. segment + 3 in the blossom at x. */
static void blossom_weights(int size, int segment, const double x[3], double weight[4]) {
    for (int c = 0; c < 4; c++) {
        double d[4] = {c == 0, c == 1, c == 2, c == 3};
        for (int r = 1; r <= 3; r++)
            for (int j = 3; j >= r; j--) {
                double low = knot(size, segment + j), high = knot(size, segment + j + 4 - r);
                double part = (x[r - 1] - low) / (high - low);
                d[j] = (1 - part) * d[j - 1] + part * d[j];
            }
        weight[c] = d[3];
    }
}

int es_spline_weights(int size, double t, double weight[4]) {
    int segment = (int)(t * (size - 3));
    segment = segment < 0 ? 0 : segment > size - 4 ? size - 4 : segment;
    blossom_weights(size, segment, (double[3]){t, t, t}, weight);
    return segment;
}

/* ---- Bezier patches ------------------------------------------------------------------ */

typedef struct bezier_row {
    int first; /* control */
    double weight[4];
} bezier_row;

enum { NET_MAX = 3 * (ES_CUBE_SIZE_MAX - 3) + 1 };

/* Point 3 q + j of the net is Bezier point j of segment q. */
static int find_rows(int size, bezier_row rows[NET_MAX]) {
    int count = 3 * (size - 3) + 1;
    for (int n = 0; n < count; n++) {
        int q = n == count - 1 ? size - 4 : n / 3, j = n - 3 * q;
        double low = knot(size, q + 3), high = knot(size, q + 4), x[3];
        for (int k = 0; k < 3; k++) x[k] = k < 3 - j ? low : high;
        rows[n].first = q;
        blossom_weights(size, q, x, rows[n].weight);
    }
    return count;
}

static void net_point(const es_spline_cube *cube, int face, const bezier_row *u,
                      const bezier_row *v, double out[3]) {
    memset(out, 0, 3 * sizeof *out);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            int at = (face * cube->size + u->first + i) * cube->size + v->first + j;
            const double *p = cube->points + 3 * (size_t)cube->index[at];
            for (int a = 0; a < 3; a++) out[a] += u->weight[i] * v->weight[j] * p[a];
        }
}

static void put_face(es_patches *patches, int face, int net) {
    uint32_t base = (uint32_t)(face * net * net);
    for (int i = 0; i + 3 < net; i += 3)
        for (int j = 0; j + 3 < net; j += 3) {
            es_patch *patch = &patches->patches[patches->count++];
            *patch = (es_patch){.ruled = false};
            for (int k = 0; k < 16; k++)
                patch->point[k] = base + (uint32_t)((i + k / 4) * net + j + k % 4);
        }
}

bool es_spline_cube_patches(const es_spline_cube *cube, es_patches *patches, es_error *err) {
    bezier_row rows[NET_MAX];
    int net = find_rows(cube->size, rows);
    size_t segments = (size_t)cube->size - 3;
    *patches = (es_patches){.point_count = 6 * (size_t)net * (size_t)net};
    patches->points = es_alloc(patches->point_count, 3 * sizeof(double), err);
    patches->patches =
        patches->points ? es_alloc(6 * segments * segments, sizeof(es_patch), err) : NULL;
    if (!patches->patches) {
        es_patches_clear(patches);
        return false;
    }
    double *at = patches->points;
    for (int face = 0; face < 6; face++) {
        for (int i = 0; i < net; i++)
            for (int j = 0; j < net; j++, at += 3) net_point(cube, face, &rows[i], &rows[j], at);
        put_face(patches, face, net);
    }
    return true;
}
