/* A grey volume for the browser: means over blocks of voxels until few enough
 * are left, in 8 bits, 0 for what is not known. */
#include <math.h>
#include <string.h>

#include "report_internal.h"
#include "view_internal.h"

enum { SLAB = 16, SIDE_MAX = 256, BINS = 4096 }; /* every WebGL 2 has textures of 256^3 */

typedef struct reducer {
    const es_grid_info *info;
    uint64_t block[3], size[3];
    size_t count; /* voxels of the small volume */
    float *sum;
    uint32_t *known; /* voxels in the sum */
    double low, high;
} reducer;

/* ---- how small --------------------------------------------------------------- */

static void find_size(reducer *r) {
    for (int k = 0; k < 3; k++) r->size[k] = (r->info->size[k] + r->block[k] - 1) / r->block[k];
}

static bool is_small(const reducer *r) {
    const uint64_t *n = r->size;
    for (int k = 0; k < 3; k++)
        if (n[k] > SIDE_MAX) return false;
    return n[0] * n[1] * n[2] <= ES_VIEW_VOXELS;
}

/* The axis whose blocks are shortest in millimetres, of those that can grow. */
static int shortest(const reducer *r) {
    int best = -1;
    double least = INFINITY;
    for (int k = 0; k < 3; k++) {
        double length = (double)r->block[k] * r->info->spacing_mm[k];
        if (r->size[k] < 2 || (best >= 0 && length >= least)) continue;
        best = k;
        least = length;
    }
    return best;
}

static void choose_blocks(reducer *r) {
    for (int k = 0; k < 3; k++) r->block[k] = (r->info->size[k] + SIDE_MAX - 1) / SIDE_MAX;
    for (find_size(r); !is_small(r); find_size(r)) r->block[shortest(r)]++;
}

/* ---- means ---------------------------------------------------------------------- */

static bool is_known(const es_grid_info *info, double value) {
    bool is_unsigned = info->type == ES_U8 || info->type == ES_U16 || info->type == ES_U32;
    return isfinite(value) && !(is_unsigned && value == 0);
}

static void add_row(reducer *r, uint64_t y, uint64_t z, const uint8_t *row) {
    const es_grid_info *info = r->info;
    size_t start = ((z / r->block[2]) * r->size[1] + y / r->block[1]) * r->size[0];
    for (uint64_t x = 0; x < info->size[0]; x++) {
        double value = es_type_get(info->type, row, x);
        if (!is_known(info, value)) continue;
        size_t at = start + x / r->block[0];
        r->sum[at] += (float)value;
        r->known[at]++;
    }
}

static bool add_slabs(reducer *r, es_slab_fn *slab, void *context, es_error *err) {
    const es_grid_info *info = r->info;
    size_t row = info->size[0] * es_type_size(info->type), plane, bytes;
    if (!es_multiply(row, info->size[1], &plane) || !es_multiply(plane, SLAB, &bytes))
        return es_fail(err, ES_MEMORY, "view: the volume's planes do not fit into memory");
    uint8_t *data = es_alloc(bytes, 1, err);
    bool ok = data != NULL;
    for (uint64_t z0 = 0; ok && z0 < info->size[2]; z0 += SLAB) {
        uint64_t count = info->size[2] - z0 < SLAB ? info->size[2] - z0 : SLAB;
        ok = !es_cancelled(err) && slab(context, z0, count, data, err);
        for (uint64_t i = 0; ok && i < count * info->size[1]; i++)
            add_row(r, i % info->size[1], z0 + i / info->size[1], data + i * row);
    }
    es_free(data);
    return ok;
}

/* ---- the grey window ---------------------------------------------------------------- */

static double mean_of(const reducer *r, size_t i) { return (double)r->sum[i] / r->known[i]; }

/* The value with this share of the known ones below it, to 1/4096 of the range. */
static double quantile(const reducer *r, double least, double most, double share) {
    uint64_t bins[BINS] = {0}, all = 0, below = 0;
    double scale = most > least ? (BINS - 1) / (most - least) : 0;
    for (size_t i = 0; i < r->count; i++) {
        if (!r->known[i]) continue;
        bins[(int)((mean_of(r, i) - least) * scale)]++;
        all++;
    }
    int bin = 0;
    while (bin < BINS - 1 && (double)(below += bins[bin]) < share * (double)all) bin++;
    return least + bin * (most - least) / (BINS - 1);
}

static bool choose_window(reducer *r, const char *name, es_error *err) {
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < r->count; i++) {
        if (!r->known[i]) continue;
        least = fmin(least, mean_of(r, i));
        most = fmax(most, mean_of(r, i));
    }
    if (!(most >= least)) return es_fail(err, ES_GEOMETRY, "view: no voxel of %s is known", name);
    r->low = quantile(r, least, most, 0.01);
    r->high = quantile(r, least, most, 0.99);
    if (r->high > r->low) return true;
    r->low = least - 1; /* one value only: mid grey */
    r->high = most > least ? most : least + 1;
    return true;
}

/* ---- all of it ------------------------------------------------------------------------ */

static bool put_values(reducer *r, es_view *view, json_t *volume, es_error *err) {
    uint8_t *bytes = es_alloc(r->count, 1, err);
    if (!bytes) return false;
    for (size_t i = 0; i < r->count; i++) {
        double share = r->known[i] ? (mean_of(r, i) - r->low) / (r->high - r->low) : 0;
        bytes[i] = r->known[i] ? (uint8_t)(1 + lround(254 * fmin(1, fmax(0, share)))) : 0;
    }
    bool ok = view_set(volume, "values", view_put_bytes(view, bytes, r->count), err);
    es_free(bytes);
    return ok;
}

/* Where the blocks lie: the first one's middle and the steps between them. */
static bool put_geometry(const reducer *r, json_t *volume, es_error *err) {
    es_mat4 to_mm = es_grid_to_mm(r->info);
    es_vec3 middle[4]; /* of the first block, and of its neighbours along x, y, z */
    for (int k = 0; k < 4; k++) {
        double at[3];
        for (int a = 0; a < 3; a++)
            at[a] = ((double)r->block[a] - 1) / 2 + (k == a + 1 ? (double)r->block[a] : 0);
        middle[k] = es_mat4_point(to_mm, es_vec3_make(at[0], at[1], at[2]));
    }
    json_t *axes = json_array();
    bool ok = view_set(volume, "origin", view_vector(middle[0].x, middle[0].y, middle[0].z), err) &&
              view_set(volume, "axes", axes, err);
    for (int k = 1; ok && k < 4; k++) {
        es_vec3 step = es_vec3_sub(middle[k], middle[0]);
        ok = json_array_append_new(axes, view_vector(step.x, step.y, step.z)) == 0;
    }
    return ok || es_fail(err, ES_MEMORY, "view: out of memory");
}

static bool reduce(reducer *r, es_slab_fn *slab, void *context, es_error *err) {
    choose_blocks(r);
    r->count = (size_t)(r->size[0] * r->size[1] * r->size[2]);
    r->sum = es_alloc_zero(r->count, sizeof *r->sum, err);
    r->known = r->sum ? es_alloc_zero(r->count, sizeof *r->known, err) : NULL;
    return r->known && add_slabs(r, slab, context, err);
}

static json_t *volume_head(const reducer *r, const char *name, es_error *err) {
    char *clean = report_clean(name, err);
    if (!clean) return NULL;
    const uint64_t *n = r->size;
    json_t *volume =
        json_pack("{s:s, s:[I, I, I], s:[f, f]}", "name", clean, "size", (json_int_t)n[0],
                  (json_int_t)n[1], (json_int_t)n[2], "window", r->low, r->high);
    es_free(clean);
    if (!volume) es_fail(err, ES_MEMORY, "view: out of memory");
    return volume;
}

static bool can_show(const es_view *view, const char *name, const es_grid_info *info,
                     es_error *err) {
    if (json_object_get(view->head, "volume"))
        return es_fail(err, ES_USAGE, "view: %s would be a second volume; one view has one", name);
    if (info->channels != 1)
        return es_fail(err, ES_UNSUPPORTED, "view: %s has %d channels; grey volumes have one", name,
                       info->channels);
    for (int k = 0; k < 3; k++)
        if (info->size[k] == 0 || !(info->spacing_mm[k] > 0))
            return es_fail(err, ES_GEOMETRY, "view: %s has %llu voxels of %g mm along axis %d",
                           name, (unsigned long long)info->size[k], info->spacing_mm[k], k);
    return true;
}

bool es_view_set_volume(es_view *view, const char *name, const es_grid_info *info, es_slab_fn *slab,
                        void *context, es_error *err) {
    reducer r = {.info = info};
    json_t *volume = NULL;
    bool ok = can_show(view, name, info, err) && reduce(&r, slab, context, err) &&
              choose_window(&r, name, err) && (volume = volume_head(&r, name, err)) != NULL &&
              put_geometry(&r, volume, err) && put_values(&r, view, volume, err);
    if (ok && json_object_set(view->head, "volume", volume) != 0)
        ok = es_fail(err, ES_MEMORY, "view: out of memory");
    json_decref(volume);
    es_free(r.sum);
    es_free(r.known);
    return ok;
}
