/* Checks the steps of hole filling and makes them ready: sticks and orbits in
 * one list by length, weights of the cubes. Lengths are compared as floats, so
 * that sums that are equal on paper are equal here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fill_internal.h"

static const char *const kind_names[] = {
    [ES_FILL_STICK] = "STICK",
    [ES_FILL_GAUSSIAN] = "GAUSSIAN",
    [ES_FILL_GAUSSIAN_ACCUMULATION] = "GAUSSIAN_ACCUMULATION",
    [ES_FILL_INVERSE_DISTANCE] = "DISTANCE_WEIGHT_INVERSE",
    [ES_FILL_NEAREST] = "NEAREST_NEIGHBOR",
};

static bool is_gaussian(es_fill_kind kind) {
    return kind == ES_FILL_GAUSSIAN || kind == ES_FILL_GAUSSIAN_ACCUMULATION;
}

/* ---- checks ------------------------------------------------------------------ */

static bool check_stick(const es_fill_step *s, es_error *err) {
    if (s->stick_length_limit < 3 || s->stick_length_limit > FILL_MOST_STICK)
        return es_fail(
            err, ES_USAGE,
            "StickLengthLimit is %d voxels: expected 3 to %d, the two seen ends included",
            s->stick_length_limit, FILL_MOST_STICK);
    if (s->number_of_sticks < 1 || s->number_of_sticks > FILL_LINES)
        return es_fail(err, ES_USAGE, "NumberOfSticksToUse is %d: expected 1 to %d",
                       s->number_of_sticks, FILL_LINES);
    return true;
}

static bool check_cube(const es_fill_step *s, es_error *err) {
    if (s->size < 3 || s->size > FILL_MOST_SIZE || s->size % 2 == 0)
        return es_fail(err, ES_USAGE,
                       "Size is %d voxels: expected an odd number from 3 to %d, so that the cube "
                       "has a middle",
                       s->size, FILL_MOST_SIZE);
    if (!(s->minimum_known_ratio >= 0 && s->minimum_known_ratio <= 1))
        return es_fail(err, ES_USAGE, "MinimumKnownVoxelsRatio is %g: expected 0 to 1",
                       s->minimum_known_ratio);
    if (is_gaussian(s->kind) && !(s->stdev > 0 && isfinite(s->stdev)))
        return es_fail(err, ES_USAGE, "Stdev is %g voxels: expected a number above 0", s->stdev);
    return true;
}

bool fill_check(const es_fill_options *options, es_error *err) {
    if (options->count < 1 || options->count > ES_FILL_STEPS)
        return es_fail(err, ES_USAGE, "hole filling has %d steps: expected 1 to %d", options->count,
                       ES_FILL_STEPS);
    for (int i = 0; i < options->count; i++) {
        const es_fill_step *step = &options->steps[i];
        if ((unsigned)step->kind >= sizeof kind_names / sizeof *kind_names)
            return es_fail(err, ES_USAGE, "hole filling, step %d of %d: no method has number %d",
                           i + 1, options->count, (int)step->kind);
        bool ok = step->kind == ES_FILL_STICK ? check_stick(step, err) : check_cube(step, err);
        if (!ok)
            return es_prefix(err, "hole filling, step %d of %d, %s", i + 1, options->count,
                             kind_names[step->kind]);
    }
    return true;
}

/* ---- sticks -------------------------------------------------------------------- */

static double length_of(int x, int y, int z, const double spacing_mm[3]) {
    double dx = x * spacing_mm[0], dy = y * spacing_mm[1], dz = z * spacing_mm[2];
    return sqrt(dx * dx + dy * dy + dz * dz);
}

static int compare_sticks(const void *a, const void *b) {
    const fill_stick *p = a, *q = b;
    if (p->length_mm != q->length_mm) return p->length_mm < q->length_mm ? -1 : 1;
    return p->line != q->line ? p->line - q->line : p->steps - q->steps;
}

static bool make_sticks(fill_method *m, const double spacing_mm[3], es_error *err) {
    m->longest = m->step.stick_length_limit - 1;
    m->sticks = es_alloc((size_t)FILL_LINES * (size_t)(m->longest - 1), sizeof *m->sticks, err);
    if (!m->sticks) return false;
    for (int line = 0; line < FILL_LINES; line++) {
        const int *d = fill_lines[line];
        double step_mm = length_of(d[0], d[1], d[2], spacing_mm);
        for (int steps = 2; steps <= m->longest; steps++)
            m->sticks[m->count++] = (fill_stick){(float)(steps * step_mm), line, steps};
    }
    qsort(m->sticks, m->count, sizeof *m->sticks, compare_sticks);
    return true;
}

/* ---- cubes ---------------------------------------------------------------------- */

/* The hole itself, in the middle, is never known: its weight is not used. */
static float weight_of(const es_fill_step *s, int x, int y, int z, const double spacing_mm[3]) {
    if (x == 0 && y == 0 && z == 0) return 0;
    if (s->kind == ES_FILL_INVERSE_DISTANCE)
        return (float)(length_of(1, 0, 0, spacing_mm) / length_of(x, y, z, spacing_mm));
    /* 1 for the next voxel, so that a narrow Gaussian does not vanish. */
    return (float)exp(-(x * x + y * y + z * z - 1) / (2 * s->stdev * s->stdev));
}

static int compare_orbits(const void *a, const void *b) {
    const fill_orbit *p = a, *q = b;
    if (p->distance_mm != q->distance_mm) return p->distance_mm < q->distance_mm ? -1 : 1;
    if (p->z != q->z) return p->z - q->z;
    return p->y != q->y ? p->y - q->y : p->x - q->x;
}

static bool make_cube(fill_method *m, const double spacing_mm[3], es_error *err) {
    const int r = m->radius = m->step.size / 2, voxels = m->step.size * m->step.size * m->step.size;
    const size_t places = (size_t)(r + 1) * (size_t)(r + 1) * (size_t)(r + 1);
    m->longest = m->step.size;
    m->least_known = 1; /* more than the ratio, as PLUS counts */
    while (m->least_known < voxels &&
           !((double)m->least_known / voxels > m->step.minimum_known_ratio))
        m->least_known++;
    m->weights = es_alloc(places, sizeof *m->weights, err);
    m->orbits = es_alloc(places, sizeof *m->orbits, err);
    if (!m->weights || !m->orbits) return false;
    for (int z = 0, i = 0; z <= r; z++)
        for (int y = 0; y <= r; y++)
            for (int x = 0; x <= r; x++, i++) {
                m->weights[i] = weight_of(&m->step, x, y, z, spacing_mm);
                if (i > 0)
                    m->orbits[m->count++] =
                        (fill_orbit){(float)length_of(x, y, z, spacing_mm), x, y, z};
            }
    qsort(m->orbits, m->count, sizeof *m->orbits, compare_orbits);
    return true;
}

bool fill_method_make(fill_method *method, const es_fill_step *step, const double spacing_mm[3],
                      es_error *err) {
    *method = (fill_method){.step = *step};
    return step->kind == ES_FILL_STICK ? make_sticks(method, spacing_mm, err)
                                       : make_cube(method, spacing_mm, err);
}

void fill_method_clear(fill_method *method) {
    es_free(method->sticks);
    es_free(method->orbits);
    es_free(method->weights);
    *method = (fill_method){0};
}
