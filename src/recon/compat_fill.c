/* Hole filling by the peer's rules.
 *
 * A hole is a voxel of weight 0. STICK looks from it along 13 directions for
 * the nearest known voxel forwards and backwards, and interpolates between the
 * two with weights that count the hole once too often: (backward + 1) over
 * (forward + backward + 1) for the forward value. So a lone hole between 0 and
 * 200 becomes 133, or 66 when the axis is turned round. The shortest sticks
 * win. The others weigh the known voxels of a cube round the hole. Every value
 * is cut towards zero when it is stored, which makes the order of the sums part
 * of the result: they run over x, then y, then z. */
#include <math.h>
#include <string.h>

#include "compat_internal.h"

enum { STICKS = 13, MOST_SIZE = 99 };

/* In the order in which sticks of equal length are added up. */
static const int8_t directions[STICKS][3] = {
    {1, 0, 0},  {0, 1, 0},  {0, 0, 1}, {1, 1, 0},  {1, 0, 1},  {0, 1, 1},   {1, -1, 0},
    {1, 0, -1}, {0, 1, -1}, {1, 1, 1}, {-1, 1, 1}, {1, -1, 1}, {-1, -1, 1},
};

/* A step with what it needs. */
typedef struct filler {
    const es_compat_volume *volume;
    es_compat_fill_step step;
    float *kernel; /* size^3, x fastest; NULL for STICK and NEAREST_NEIGHBOR */
} filler;

static int64_t index_of(const es_compat_volume *volume, const int64_t at[3]) {
    return (at[2] * volume->size[1] + at[1]) * volume->size[0] + at[0];
}

static bool is_inside(const es_compat_volume *volume, const int64_t at[3]) {
    for (int a = 0; a < 3; a++)
        if (at[a] < 0 || at[a] >= volume->size[a]) return false;
    return true;
}

static double value_at(const es_compat_volume *volume, int64_t voxel) {
    return compat_number(volume->options.type, volume->values, voxel);
}

/* The value that stays of `value` in the volume's type. */
static double cut(es_type type, double value) {
    if (type == ES_F64) return value;
    return type == ES_F32 ? (double)(float)value : trunc(value);
}

/* ---- sticks ----------------------------------------------------------------------- */

/* Steps to the next known voxel, at most `most`; 0 when there is none. */
static int reach(const es_compat_volume *volume, const int64_t hole[3], const int8_t direction[3],
                 int sign, int most) {
    int64_t at[3] = {hole[0], hole[1], hole[2]};
    for (int j = 1; j <= most; j++) {
        for (int a = 0; a < 3; a++) at[a] += sign * direction[a];
        if (!is_inside(volume, at)) return 0;
        if (volume->weights[index_of(volume, at)] != 0) return j;
    }
    return 0;
}

static double value_along(const es_compat_volume *volume, const int64_t hole[3],
                          const int8_t direction[3], int steps) {
    int64_t at[3];
    for (int a = 0; a < 3; a++) at[a] = hole[a] + steps * direction[a];
    return value_at(volume, index_of(volume, at));
}

typedef struct stick {
    double value, weight; /* one over its length; 0: no use */
} stick;

static stick lay_stick(const filler *f, const int64_t hole[3], const int8_t d[3]) {
    const es_compat_volume *volume = f->volume;
    int limit = f->step.stick_length;
    int forward = reach(volume, hole, d, 1, limit - 1);
    int backward = forward ? reach(volume, hole, d, -1, limit - 1 - forward) : 0;
    if (!backward) return (stick){0};
    double length = forward + backward + 1;
    double share = (backward + 1) / length, rest = 1.0 - share;
    double mean = rest * value_along(volume, hole, d, -backward) +
                  share * value_along(volume, hole, d, forward);
    double step = sqrt((double)(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]));
    return (stick){cut(volume->options.type, mean), 1.0 / (length * step)};
}

/* The shortest sticks; all of the same length count together. */
static bool fill_by_sticks(const filler *f, const int64_t hole[3], double *value) {
    stick sticks[STICKS];
    double sum = 0, weights = 0;
    for (int i = 0; i < STICKS; i++) sticks[i] = lay_stick(f, hole, directions[i]);
    for (int used = 0; used < f->step.sticks;) {
        double most = 0;
        for (int i = 0; i < STICKS; i++) most = fmax(most, sticks[i].weight);
        if (most == 0) break;
        for (int i = 0; i < STICKS; i++) {
            if (sticks[i].weight != most) continue;
            sum += sticks[i].value * sticks[i].weight;
            weights += sticks[i].weight;
            sticks[i].weight = 0;
            used++;
        }
    }
    *value = weights > 0 ? sum / weights : 0;
    return weights > 0;
}

/* ---- cubes -------------------------------------------------------------------------- */

typedef struct cube_sum {
    double values, weights;
    int known;
} cube_sum;

static void add_voxel(const filler *f, int64_t voxel, size_t kernel_index, cube_sum *sum) {
    uint16_t seen = f->volume->weights[voxel];
    double weight = 1;
    if (seen == 0) return;
    if (f->step.kind == ES_COMPAT_GAUSSIAN_ACCUMULATION)
        weight = (float)seen * f->kernel[kernel_index];
    else if (f->kernel)
        weight = f->kernel[kernel_index];
    sum->values += value_at(f->volume, voxel) * weight;
    sum->weights += weight;
    sum->known++;
}

static cube_sum sum_cube(const filler *f, const int64_t hole[3], int range) {
    cube_sum sum = {0};
    size_t size = (size_t)f->step.size;
    int64_t at[3];
    for (int x = -range; x <= range; x++)
        for (int y = -range; y <= range; y++)
            for (int z = -range; z <= range; z++) {
                at[0] = hole[0] + x;
                at[1] = hole[1] + y;
                at[2] = hole[2] + z;
                size_t kx = (size_t)(x + range), ky = (size_t)(y + range), kz = (size_t)(z + range);
                if (is_inside(f->volume, at))
                    add_voxel(f, index_of(f->volume, at), (kz * size + ky) * size + kx, &sum);
            }
    return sum;
}

static bool fill_by_cube(const filler *f, const int64_t hole[3], double *value) {
    int most = (f->step.size - 1) / 2;
    int range = f->step.kind == ES_COMPAT_NEAREST_NEIGHBOR ? 1 : most;
    cube_sum sum = {0};
    for (; range <= most && sum.known == 0; range++) sum = sum_cube(f, hole, range);
    double voxels = (double)f->step.size * f->step.size * f->step.size;
    bool enough = sum.weights != 0 && sum.known / voxels > (double)f->step.known_ratio;
    *value = enough ? sum.values / sum.weights : 0;
    return enough;
}

/* Density of a normal distribution in three dimensions, in float as the peer
 * keeps it. */
static float gaussian(float stdev, float x, float y, float z) {
    float divisor = (float)(stdev * stdev * 2.0);
    float scale = (float)(pow(2 * 3.1415926535897932384626433832795, 3.0 / 2) * pow(stdev, 3));
    double exponent = -(pow(x, 2) / divisor + pow(y, 2) / divisor + pow(z, 2) / divisor);
    return (float)(1.0f / scale * exp(exponent));
}

static float inverse_distance(float x, float y, float z) {
    float distance = sqrtf(x * x + y * y + z * z);
    return distance > 0 ? 1.0f / distance : 0;
}

static bool make_kernel(filler *f, es_error *err) {
    es_compat_fill_kind kind = f->step.kind;
    if (kind == ES_COMPAT_STICK || kind == ES_COMPAT_NEAREST_NEIGHBOR) return true;
    int n = f->step.size;
    float middle = (float)((n - 1) / 2.0), *k;
    f->kernel = k = es_alloc((size_t)n * (size_t)n * (size_t)n, sizeof *k, err);
    if (!k) return false;
    for (int z = 0; z < n; z++)
        for (int y = 0; y < n; y++)
            for (int x = 0; x < n; x++) {
                float dx = (float)x - middle, dy = (float)y - middle, dz = (float)z - middle;
                *k++ = kind == ES_COMPAT_DISTANCE_WEIGHT_INVERSE
                           ? inverse_distance(dx, dy, dz)
                           : gaussian(f->step.stdev_voxels, dx, dy, dz);
            }
    return true;
}

/* ---- steps -------------------------------------------------------------------------- */

static bool check_sticks(const es_compat_volume *volume, const es_compat_fill_step *s,
                         es_error *err) {
    int64_t longest = 0;
    for (int a = 0; a < 3; a++)
        if (volume->size[a] > longest) longest = volume->size[a];
    if (s->stick_length < 3 || s->stick_length > longest)
        return es_fail(err, ES_USAGE,
                       "sticks of %d voxels: expected 3 (a hole between two known voxels) to %lld, "
                       "the volume's longest side",
                       s->stick_length, (long long)longest);
    if (s->sticks < 1 || s->sticks > STICKS)
        return es_fail(err, ES_USAGE,
                       "%d sticks to use: expected 1 to %d, the directions there are", s->sticks,
                       STICKS);
    return true;
}

static bool check_step(const es_compat_volume *volume, const es_compat_fill_step *s,
                       es_error *err) {
    if ((int)s->kind < ES_COMPAT_STICK || s->kind > ES_COMPAT_DISTANCE_WEIGHT_INVERSE)
        return es_fail(err, ES_USAGE, "hole filling of kind %d is not known", (int)s->kind);
    if (s->kind == ES_COMPAT_STICK) return check_sticks(volume, s, err);
    if (s->size < 1 || s->size > MOST_SIZE)
        return es_fail(err, ES_USAGE, "hole filling over %d voxels: expected 1 to %d", s->size,
                       MOST_SIZE);
    if (!(s->known_ratio >= 0 && s->known_ratio < 1))
        return es_fail(err, ES_USAGE,
                       "minimum ratio of known voxels %g: expected 0 or more and less than 1",
                       (double)s->known_ratio);
    bool gaussian_kind =
        s->kind == ES_COMPAT_GAUSSIAN || s->kind == ES_COMPAT_GAUSSIAN_ACCUMULATION;
    if (gaussian_kind && !(s->stdev_voxels > 0 && isfinite(s->stdev_voxels)))
        return es_fail(err, ES_USAGE, "standard deviation of %g voxels: expected more than 0",
                       (double)s->stdev_voxels);
    return true;
}

static void fill_hole(const filler *fillers, size_t count, const int64_t hole[3], void *out) {
    const es_compat_volume *volume = fillers[0].volume;
    double value = 0;
    bool done = false;
    for (size_t i = 0; i < count && !done; i++)
        done = fillers[i].step.kind == ES_COMPAT_STICK ? fill_by_sticks(&fillers[i], hole, &value)
                                                       : fill_by_cube(&fillers[i], hole, &value);
    compat_put(volume->options.type, out, index_of(volume, hole), value);
}

static bool fill_holes(const es_compat_volume *volume, const filler *fillers, size_t count,
                       void *out, es_error *err) {
    int64_t at[3];
    for (at[2] = 0; at[2] < volume->size[2]; at[2]++) {
        if (es_cancelled(err)) return false;
        for (at[1] = 0; at[1] < volume->size[1]; at[1]++)
            for (at[0] = 0; at[0] < volume->size[0]; at[0]++)
                if (volume->weights[index_of(volume, at)] == 0) fill_hole(fillers, count, at, out);
    }
    return true;
}

bool es_compat_fill(es_compat_volume *volume, const es_compat_fill_step *steps, size_t count,
                    es_error *err) {
    size_t bytes = (size_t)volume->voxels * es_type_size(volume->options.type);
    if (count == 0)
        return es_fail(err, ES_USAGE, "hole filling without a step: expected 1 or more");
    for (size_t i = 0; i < count; i++)
        if (!check_step(volume, &steps[i], err))
            return es_prefix(err, "hole filling step %zu", i + 1);
    filler *fillers = es_alloc_zero(count, sizeof *fillers, err);
    void *out = fillers ? es_alloc(bytes, 1, err) : NULL;
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        fillers[i] = (filler){.volume = volume, .step = steps[i]};
        ok = make_kernel(&fillers[i], err);
    }
    if (ok) memcpy(out, volume->values, bytes);
    ok = ok && fill_holes(volume, fillers, count, out, err);
    for (size_t i = 0; fillers && i < count; i++) es_free(fillers[i].kernel);
    es_free(fillers);
    if (!ok) {
        es_free(out);
        return false;
    }
    es_free(volume->filled);
    volume->filled = out;
    return true;
}
