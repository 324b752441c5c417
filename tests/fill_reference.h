/* Hole filling written plainly: every hole by itself, every voxel round it by
 * its coordinates, on a dense field. It shares no code with the library; the
 * test and the bench hold the two together bit by bit. */
#ifndef FILL_REFERENCE_H
#define FILL_REFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/recon.h"

typedef struct dense {
    int size[3];
    int64_t first[3]; /* lattice voxel of element 0 */
    double spacing_mm[3];
    float *value, *weight; /* x fastest; weight 0: unknown */
} dense;

static size_t dense_index(const dense *d, int x, int y, int z) {
    return (size_t)x + (size_t)d->size[0] * ((size_t)y + (size_t)d->size[1] * (size_t)z);
}

static bool dense_known(const dense *d, int x, int y, int z) {
    if (x < 0 || y < 0 || z < 0 || x >= d->size[0] || y >= d->size[1] || z >= d->size[2])
        return false;
    size_t i = dense_index(d, x, y, z);
    return d->weight[i] > 0 && isfinite(d->value[i]) && isfinite(d->weight[i]);
}

static void dense_alloc(dense *d) {
    size_t count = (size_t)d->size[0] * (size_t)d->size[1] * (size_t)d->size[2];
    d->value = calloc(count, sizeof *d->value);
    d->weight = calloc(count, sizeof *d->weight);
}

static void dense_free(dense *d) {
    free(d->value);
    free(d->weight);
    *d = (dense){{0}, {0}, {0}, NULL, NULL};
}

/* ---- one hole -------------------------------------------------------------- */

/* Steps from (x, y, z) to the first known voxel along d; 0 within `most`: none. */
static int steps_to_known(const dense *f, const int at[3], const int d[3], int sign, int most) {
    for (int k = 1; k <= most; k++)
        if (dense_known(f, at[0] + sign * k * d[0], at[1] + sign * k * d[1],
                        at[2] + sign * k * d[2]))
            return k;
    return 0;
}

static double reference_length(const dense *f, int x, int y, int z) {
    double dx = x * f->spacing_mm[0], dy = y * f->spacing_mm[1], dz = z * f->spacing_mm[2];
    return sqrt(dx * dx + dy * dy + dz * dz);
}

typedef struct reference_stick {
    float length_mm, value;
} reference_stick;

/* The sticks of at most `longest` steps through a hole, shortest and then
 * smallest first. */
static int reference_sticks(const dense *f, const int at[3], int longest,
                            reference_stick sticks[13]) {
    int count = 0;
    for (int n = 14; n < 27; n++) { /* the half of the 26 neighbours after the middle */
        int d[3] = {n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1};
        int ahead = steps_to_known(f, at, d, 1, longest - 1);
        int behind = ahead ? steps_to_known(f, at, d, -1, longest - ahead) : 0;
        if (!behind) continue;
        double a = f->value[dense_index(f, at[0] + ahead * d[0], at[1] + ahead * d[1],
                                        at[2] + ahead * d[2])];
        double b = f->value[dense_index(f, at[0] - behind * d[0], at[1] - behind * d[1],
                                        at[2] - behind * d[2])];
        reference_stick new = {(float)((ahead + behind) * reference_length(f, d[0], d[1], d[2])),
                               (float)((behind * a + ahead * b) / (ahead + behind))};
        int i = count++;
        for (; i > 0 &&
               (sticks[i - 1].length_mm > new.length_mm ||
                (sticks[i - 1].length_mm == new.length_mm &&sticks[i - 1].value > new.value));
             i--)
            sticks[i] = sticks[i - 1];
        sticks[i] = new;
    }
    return count;
}

static bool reference_stick_fill(const dense *f, const es_fill_step *s, const int at[3],
                                 float *value) {
    reference_stick sticks[13];
    int count = reference_sticks(f, at, s->stick_length_limit - 1, sticks);
    int used = count < s->number_of_sticks ? count : s->number_of_sticks;
    while (used > 0 && used < count && sticks[used].length_mm == sticks[used - 1].length_mm) used++;
    double sum = 0, weights = 0;
    for (int i = 0; i < used; i++) {
        sum += 1 / (double)sticks[i].length_mm * (double)sticks[i].value;
        weights += 1 / (double)sticks[i].length_mm;
    }
    if (used > 0) *value = used == 1 ? sticks[0].value : (float)(sum / weights);
    return used > 0;
}

/* Sums of weight * value and of weight over the cube, mirrored places first. */
static void reference_sums(const dense *f, const es_fill_step *s, const int at[3], float *value,
                           float *weight) {
    const int r = s->size / 2;
    *value = *weight = 0;
    for (int c = 0; c <= r; c++)
        for (int b = 0; b <= r; b++)
            for (int a = 0; a <= r; a++) {
                float v[8], w[8], share = 0;
                for (int n = 0; n < 8; n++) {
                    int x = at[0] + (n & 4 ? a : -a), y = at[1] + (n & 1 ? b : -b),
                        z = at[2] + (n & 2 ? c : -c);
                    bool twin = (a == 0 && n & 4) || (b == 0 && n & 1) || (c == 0 && n & 2);
                    bool known = !twin && dense_known(f, x, y, z);
                    w[n] = known ? 1 : 0;
                    v[n] = known ? f->value[dense_index(f, x, y, z)] : 0;
                    if (known && s->kind == ES_FILL_GAUSSIAN_ACCUMULATION) {
                        w[n] = f->weight[dense_index(f, x, y, z)];
                        v[n] *= w[n];
                    }
                }
                if (a + b + c == 0) continue;
                share = s->kind == ES_FILL_INVERSE_DISTANCE
                            ? (float)(reference_length(f, 1, 0, 0) / reference_length(f, a, b, c))
                            : (float)exp(-(a * a + b * b + c * c - 1) / (2 * s->stdev * s->stdev));
                *value +=
                    share * (((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])));
                *weight +=
                    share * (((w[0] + w[1]) + (w[2] + w[3])) + ((w[4] + w[5]) + (w[6] + w[7])));
            }
}

static bool reference_nearest(const dense *f, const es_fill_step *s, const int at[3],
                              float *value) {
    const int r = s->size / 2;
    float best = INFINITY;
    double sum = 0, count = 0;
    for (int z = -r; z <= r; z++)
        for (int y = -r; y <= r; y++)
            for (int x = -r; x <= r; x++) {
                if (!dense_known(f, at[0] + x, at[1] + y, at[2] + z)) continue;
                float distance = (float)reference_length(f, x, y, z);
                if (distance < best) {
                    best = distance;
                    sum = count = 0;
                }
                if (distance > best) continue;
                sum += (double)f->value[dense_index(f, at[0] + x, at[1] + y, at[2] + z)];
                count++;
            }
    if (count > 0) *value = (float)(sum / count);
    return count > 0;
}

/* Is the hole in a gap of the step's reach, and enough of its cube known? */
static bool reference_worthy(const dense *f, const es_fill_step *s, const int at[3]) {
    reference_stick sticks[13];
    if (reference_sticks(f, at, s->size, sticks) == 0) return false;
    const int r = s->size / 2;
    int known = 0;
    for (int z = -r; z <= r; z++)
        for (int y = -r; y <= r; y++)
            for (int x = -r; x <= r; x++) known += dense_known(f, at[0] + x, at[1] + y, at[2] + z);
    return (double)known / (s->size * s->size * s->size) > s->minimum_known_ratio;
}

static bool reference_step(const dense *f, const es_fill_step *s, const int at[3], float *value) {
    if (s->kind == ES_FILL_STICK) return reference_stick_fill(f, s, at, value);
    if (!reference_worthy(f, s, at)) return false;
    if (s->kind == ES_FILL_NEAREST) return reference_nearest(f, s, at, value);
    float sum, weight;
    reference_sums(f, s, at, &sum, &weight);
    if (weight > 0) *value = sum / weight;
    return weight > 0;
}

/* ---- the whole field ----------------------------------------------------------- */

/* filled->weight: 1 + the step that filled the voxel; 0: not filled. */
static void reference_fill(const dense *f, const es_fill_options *options, dense *filled) {
    *filled = *f;
    dense_alloc(filled);
    for (int z = 0; z < f->size[2]; z++)
        for (int y = 0; y < f->size[1]; y++)
            for (int x = 0; x < f->size[0]; x++) {
                const int at[3] = {x, y, z};
                size_t i = dense_index(f, x, y, z);
                if (f->weight[i] > 0) continue;
                for (int s = 0; s < options->count; s++)
                    if (reference_step(f, &options->steps[s], at, &filled->value[i])) {
                        filled->weight[i] = (float)(1 + s);
                        break;
                    }
            }
}

/* Bricks over their box, and a field as bricks. */
static bool dense_from_bricks(const es_bricks *bricks, const int64_t low[3], const int64_t high[3],
                              dense *d) {
    for (int a = 0; a < 3; a++) {
        d->size[a] = (int)(high[a] - low[a] + 1);
        d->first[a] = low[a];
        d->spacing_mm[a] = es_bricks_spacing(bricks)[a];
    }
    dense_alloc(d);
    for (size_t b = 0; b < es_bricks_count(bricks); b++) {
        const es_brick *brick = es_bricks_get(bricks, b);
        for (int i = 0; i < ES_BRICK_VOXELS; i++) {
            int offset[3] = {i % ES_BRICK, i / ES_BRICK % ES_BRICK, i / ES_BRICK / ES_BRICK};
            int64_t at[3];
            bool inside = true;
            for (int a = 0; a < 3; a++) {
                at[a] = (int64_t)brick->at[a] * ES_BRICK + offset[a] - low[a];
                inside = inside && at[a] >= 0 && at[a] < d->size[a];
            }
            if (!(brick->weight[i] > 0)) continue;
            if (!inside) return false;
            size_t n = dense_index(d, (int)at[0], (int)at[1], (int)at[2]);
            d->value[n] = brick->value[i];
            d->weight[n] = brick->weight[i];
        }
    }
    return true;
}

static es_bricks *dense_to_bricks(const dense *d) {
    const double origin_mm[3] = {0, 0, 0};
    es_bricks *bricks = es_bricks_new(origin_mm, d->spacing_mm, NULL);
    for (int z = 0; bricks && z < d->size[2]; z++)
        for (int y = 0; y < d->size[1]; y++)
            for (int x = 0; x < d->size[0]; x++) {
                const int64_t at[3] = {d->first[0] + x, d->first[1] + y, d->first[2] + z};
                int32_t b[3];
                int voxel = 0;
                for (int a = 2; a >= 0; a--) {
                    b[a] = (int32_t)((at[a] + ((int64_t)ES_BRICK << 32)) / ES_BRICK -
                                     ((int64_t)1 << 32));
                    voxel = ES_BRICK * voxel + (int)(at[a] - (int64_t)ES_BRICK * b[a]);
                }
                size_t i = dense_index(d, x, y, z);
                if (!(d->weight[i] > 0)) continue;
                es_brick *brick = es_bricks_add(bricks, b[0], b[1], b[2], NULL);
                if (!brick) abort();
                brick->value[voxel] = d->value[i];
                brick->weight[voxel] = d->weight[i];
            }
    return bricks;
}

/* Voxels that differ in a bit, or in whether they are filled at all. */
static size_t count_differences(const dense *reference, const es_bricks *filled) {
    int64_t high[3];
    dense d;
    size_t different = 0;
    for (int a = 0; a < 3; a++) high[a] = reference->first[a] + reference->size[a] - 1;
    size_t count =
        (size_t)reference->size[0] * (size_t)reference->size[1] * (size_t)reference->size[2];
    bool inside = dense_from_bricks(filled, reference->first, high, &d);
    for (size_t i = 0; i < count; i++)
        different += (d.weight[i] > 0) != (reference->weight[i] > 0) ||
                     memcmp(&d.value[i], &reference->value[i], sizeof(float)) != 0;
    dense_free(&d);
    return inside ? different : SIZE_MAX;
}

/* ---- against truth ---------------------------------------------------------------- */

enum { TRUTH_SIZE = 64 };

/* A smooth volume of greys 0 to 255: three waves of 40 to 64 voxels, none of
 * them along an axis. */
static float truth_at(int x, int y, int z) {
    double a = sin(2 * M_PI * (x / 57. + y / 130. + 0.1)), b = sin(2 * M_PI * (y / 49. - z / 110.)),
           c = sin(2 * M_PI * (z / 64. + x / 90. + y / 200. + 0.3));
    return (float)(127.5 + 42.5 * (a + b + c));
}

/* The volume with about 30 % taken out: voxels at random, or slabs of 1 and of
 * 2 voxels in every 10 across an axis (0 to 2; -1: at random). */
static void truth_with_holes(int across, dense *d) {
    *d = (dense){.size = {TRUTH_SIZE, TRUTH_SIZE, TRUTH_SIZE}, .spacing_mm = {0.5, 0.5, 0.5}};
    dense_alloc(d);
    es_random random = es_random_new(4, 30);
    for (int z = 0; z < TRUTH_SIZE; z++)
        for (int y = 0; y < TRUTH_SIZE; y++)
            for (int x = 0; x < TRUTH_SIZE; x++) {
                const int at[3] = {x, y, z};
                bool hole =
                    across < 0 ? es_random_uniform(&random) < 0.3 : (0x188 >> at[across] % 10 & 1);
                if (hole) continue;
                d->value[dense_index(d, x, y, z)] = truth_at(x, y, z);
                d->weight[dense_index(d, x, y, z)] = 1;
            }
}

typedef struct truth_error {
    double rms, bias, worst; /* greys */
    size_t holes, filled;
} truth_error;

static truth_error measure_fill(const dense *seen, const es_bricks *filled) {
    truth_error e = {0, 0, 0, (size_t)TRUTH_SIZE * TRUTH_SIZE * TRUTH_SIZE, 0};
    for (size_t i = 0; i < (size_t)TRUTH_SIZE * TRUTH_SIZE * TRUTH_SIZE; i++)
        e.holes -= seen->weight[i] > 0;
    for (size_t b = 0; b < es_bricks_count(filled); b++) {
        const es_brick *brick = es_bricks_get(filled, b);
        for (int i = 0; i < ES_BRICK_VOXELS; i++) {
            if (!(brick->weight[i] > 0)) continue;
            double error = (double)brick->value[i] -
                           (double)truth_at(ES_BRICK * brick->at[0] + i % ES_BRICK,
                                            ES_BRICK * brick->at[1] + i / ES_BRICK % ES_BRICK,
                                            ES_BRICK * brick->at[2] + i / ES_BRICK / ES_BRICK);
            e.rms += error * error;
            e.bias += error;
            e.worst = fmax(e.worst, fabs(error));
            e.filled++;
        }
    }
    e.rms = sqrt(e.rms / (double)e.filled);
    e.bias /= (double)e.filled;
    return e;
}

#endif
