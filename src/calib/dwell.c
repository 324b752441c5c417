/* Where the tip of a stylus stood still. A window of `least_s` slides over the
 * track; runs of still windows are stops. */
#include "calib_internal.h"
#include "echosolid/calib.h"

#include <math.h>
#include <string.h>

static const double GAP_S = 0.5; /* a hole in the track ends a stop */

typedef struct tip_track {
    const double *times;
    const es_vec3 *tips;
    size_t count;
    double *sums; /* running sums of x, y, z and square, of offsets from the first tip */
} tip_track;

static bool is_finite(es_vec3 p) { return isfinite(p.x + p.y + p.z); }

static void add_up(tip_track *t) {
    es_vec3 origin = {0, 0, 0};
    for (size_t i = 0; i < t->count; i++)
        if (is_finite(t->tips[i])) {
            origin = t->tips[i];
            break;
        }
    memset(t->sums, 0, 4 * sizeof *t->sums);
    for (size_t i = 0; i < t->count; i++) {
        es_vec3 d = is_finite(t->tips[i]) ? es_vec3_sub(t->tips[i], origin) : es_vec3_make(0, 0, 0);
        const double next[4] = {d.x, d.y, d.z, es_vec3_dot(d, d)};
        for (int k = 0; k < 4; k++) t->sums[4 * (i + 1) + k] = t->sums[4 * i + k] + next[k];
    }
}

/* RMS distance of samples first..last from their mean. */
static double spread(const tip_track *t, size_t first, size_t last) {
    double n = (double)(last - first + 1), d[4];
    for (int k = 0; k < 4; k++) d[k] = (t->sums[4 * (last + 1) + k] - t->sums[4 * first + k]) / n;
    return sqrt(fmax(d[3] - d[0] * d[0] - d[1] * d[1] - d[2] * d[2], 0));
}

/* The last sample of the window that starts at `first`; SIZE_MAX when a hole
 * or the end comes before it is `least_s` long. */
static size_t window_end(const tip_track *t, size_t first, double least_s) {
    if (!is_finite(t->tips[first])) return SIZE_MAX;
    for (size_t i = first + 1; i < t->count; i++) {
        if (!is_finite(t->tips[i]) || !(t->times[i] - t->times[i - 1] <= GAP_S)) return SIZE_MAX;
        if (t->times[i] - t->times[first] >= least_s) return i;
    }
    return SIZE_MAX;
}

static double median_of(const tip_track *t, size_t first, size_t last, int axis, double *work) {
    size_t n = 0;
    for (size_t i = first; i <= last; i++) {
        es_vec3 p = t->tips[i];
        work[n++] = axis == 0 ? p.x : axis == 1 ? p.y : p.z;
    }
    return calib_median(work, n);
}

/* The mean of what lies near the run's median: the way in and out is left out. */
static es_dwell describe(const tip_track *t, size_t first, size_t last, double radius,
                         double *work) {
    es_dwell d = {.first_s = t->times[first], .last_s = t->times[last]};
    es_vec3 middle =
        es_vec3_make(median_of(t, first, last, 0, work), median_of(t, first, last, 1, work),
                     median_of(t, first, last, 2, work));
    double square = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = first; i <= last; i++) {
            if (es_vec3_length(es_vec3_sub(t->tips[i], middle)) > 2 * radius) continue;
            es_vec3 off = es_vec3_sub(t->tips[i], d.mean_mm);
            if (pass == 0) {
                d.samples++;
                d.mean_mm = es_vec3_add(d.mean_mm, es_vec3_scale(off, 1 / (double)d.samples));
            } else {
                square += es_vec3_dot(off, off);
            }
        }
    d.spread_mm = d.samples ? sqrt(square / (double)d.samples) : NAN;
    return d;
}

static void join(es_dwell *a, const es_dwell *b) {
    double n = (double)a->samples, m = (double)b->samples;
    a->mean_mm = es_vec3_scale(
        es_vec3_add(es_vec3_scale(a->mean_mm, n), es_vec3_scale(b->mean_mm, m)), 1 / (n + m));
    a->spread_mm = fmax(a->spread_mm, b->spread_mm);
    a->samples += b->samples;
    a->last_s = b->last_s;
}

static bool find(tip_track *t, const es_dwell_options *o, es_dwell *dwells, size_t *found,
                 double *work, es_error *err) {
    add_up(t);
    for (size_t i = 0; i < t->count;) {
        size_t end = window_end(t, i, o->least_s);
        if (end == SIZE_MAX || spread(t, i, end) > o->radius_mm) {
            i++;
            continue;
        }
        size_t first = i;
        size_t next = end;
        while (next != SIZE_MAX && spread(t, i, next) <= o->radius_mm) {
            end = next;
            i++;
            next = i < t->count ? window_end(t, i, o->least_s) : SIZE_MAX;
        }
        es_dwell d = describe(t, first, end, o->radius_mm, work);
        es_dwell *last = *found ? &dwells[*found - 1] : NULL;
        bool same = last && es_vec3_length(es_vec3_sub(last->mean_mm, d.mean_mm)) < o->apart_mm;
        if (same)
            join(last, &d);
        else if (d.samples)
            dwells[(*found)++] = d;
        i = end + 1;
        if (es_cancelled(err)) return false;
    }
    return true;
}

bool es_dwells_find(const double *times_s, const es_vec3 *tips_mm, size_t count,
                    const es_dwell_options *options, es_dwell **dwells, size_t *found,
                    es_error *err) {
    tip_track t = {.times = times_s, .tips = tips_mm, .count = count};
    *found = 0;
    *dwells = NULL;
    if (!(options->least_s > 0) || !(options->radius_mm > 0) || !(options->apart_mm >= 0))
        return es_fail(err, ES_USAGE, "a stop needs a time and a radius above 0");
    t.sums = es_alloc(4 * (count + 1), sizeof *t.sums, err);
    double *work = es_alloc(count, sizeof *work, err);
    *dwells = es_alloc(count, sizeof **dwells, err);
    bool ok = t.sums && work && *dwells && find(&t, options, *dwells, found, work, err);
    es_free(work);
    es_free(t.sums);
    if (!ok) {
        es_free(*dwells);
        *dwells = NULL;
        *found = 0;
    }
    return ok;
}
