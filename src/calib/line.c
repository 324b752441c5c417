/* The straight echo of a flat floor or plate. */
#include "calib_internal.h"
#include "echosolid/calib.h"

#include <math.h>
#include <string.h>

enum { PER_COLUMN = 2, HALF = 8, DRAWS = 400 };
static const double NEAR_PX = 3, STEEPEST = 1.8; /* 61 degrees */

/* Echoes by column: the brightest local maxima, at their centroid. */
typedef struct echo {
    float u, v, weight;
} echo;

typedef struct echoes {
    echo *items;
    size_t count;
} echoes;

static float brightest(const es_image *grey, const es_image *ignore) {
    const float *p = grey->data;
    const uint8_t *skip = ignore ? ignore->data : NULL;
    float top = 0;
    for (size_t i = 0; i < (size_t)grey->width * grey->height; i++)
        if (!(skip && skip[i]) && p[i] > top) top = p[i];
    return top;
}

static float at(const es_image *grey, uint32_t u, long v) {
    return ((const float *)grey->data)[(size_t)v * grey->width + u];
}

/* The middle of a maximum's top. Scanners show logarithms, in which the tail
 * of an echo (roughness, ringing) looks nearly as bright as its front and pulls
 * a centroid deeper, the more the steeper the echo's flanks: rows under three
 * quarters of the peak do not count. */
static float centroid(const es_image *grey, uint32_t u, long v) {
    double floor = 0.75 * at(grey, u, v), sum = 0, moment = 0;
    long first = v, last = v;
    while (first > 0 && v - first < HALF && at(grey, u, first - 1) > floor) first--;
    while (last + 1 < (long)grey->height && last - v < HALF && at(grey, u, last + 1) > floor)
        last++;
    for (long k = first; k <= last; k++) {
        double w = at(grey, u, k) - floor;
        sum += w;
        moment += w * (double)k;
    }
    return (float)(moment / sum);
}

static void look_at_column(const es_image *grey, const es_image *ignore, uint32_t u, float least,
                           echoes *out) {
    const uint8_t *skip = ignore ? ignore->data : NULL;
    echo best[PER_COLUMN] = {{0}};
    for (long v = 0; v < (long)grey->height; v++) {
        float g = at(grey, u, v);
        if (g < least || (skip && skip[(size_t)v * grey->width + u])) continue;
        long end = v;
        while (end + 1 < (long)grey->height && at(grey, u, end + 1) >= least) {
            end++;
            if (at(grey, u, end) > g) g = at(grey, u, end), v = end;
        }
        echo one = {(float)u, centroid(grey, u, v), g};
        for (int k = 0; k < PER_COLUMN; k++)
            if (one.weight > best[k].weight) {
                echo swap = best[k];
                best[k] = one;
                one = swap;
            }
        v = end;
    }
    for (int k = 0; k < PER_COLUMN; k++)
        if (best[k].weight > 0) out->items[out->count++] = best[k];
}

static double off_line(const echo *e, double slope, double height) {
    return e->v - (height + slope * e->u);
}

/* Columns with an echo on the line; *bright gets the sum of their greys. */
static size_t count_near(const echoes *all, double slope, double height, double *bright) {
    size_t n = 0;
    float last = -1; /* one echo a column */
    *bright = 0;
    for (size_t i = 0; i < all->count; i++) {
        const echo *e = &all->items[i];
        if (e->u == last || fabs(off_line(e, slope, height)) > NEAR_PX) continue;
        last = e->u;
        n++;
        *bright += e->weight;
    }
    return n;
}

/* Between lines as long the brighter one wins: sound that goes to and fro once
 * more draws the floor again at twice the depth, as straight and paler. */
static size_t draw_lines(const echoes *all, double *slope, double *height) {
    es_random random = es_random_new(7, 0);
    size_t columns = 0;
    double best = 0, bright;
    for (int draw = 0; draw < DRAWS; draw++) {
        const echo *a = &all->items[(size_t)(es_random_uniform(&random) * (double)all->count)];
        const echo *b = &all->items[(size_t)(es_random_uniform(&random) * (double)all->count)];
        if (fabsf(a->u - b->u) < 8) continue;
        double s = (b->v - a->v) / (b->u - a->u), h = a->v - s * a->u;
        if (fabs(s) > STEEPEST) continue;
        size_t n = count_near(all, s, h, &bright);
        if (bright <= best) continue;
        best = bright;
        columns = n;
        *slope = s;
        *height = h;
    }
    return columns;
}

/* Least squares over the near echoes. Returns how many they were. */
static size_t refine(const echoes *all, double *slope, double *height, double *mean_u,
                     double *rms) {
    double n = 0, u = 0, v = 0, uu = 0, uv = 0, square = 0;
    for (size_t i = 0; i < all->count; i++) {
        const echo *e = &all->items[i];
        if (fabs(off_line(e, *slope, *height)) > NEAR_PX) continue;
        n++, u += e->u, v += e->v;
        uu += (double)e->u * e->u, uv += (double)e->u * e->v;
    }
    double spread = uu - u * u / n;
    if (n < 3 || !(spread > 0)) return 0;
    double s = (uv - u * v / n) / spread, h = (v - s * u) / n;
    for (size_t i = 0; i < all->count; i++) {
        const echo *e = &all->items[i];
        if (fabs(off_line(e, *slope, *height)) <= NEAR_PX) square += pow(off_line(e, s, h), 2);
    }
    *slope = s;
    *height = h;
    *mean_u = u / n;
    *rms = sqrt(square / n);
    return (size_t)n;
}

static bool refuse(es_line_found *line, const char *why) {
    line->why = why;
    return true;
}

static bool find(const es_image *grey, const es_image *ignore, echoes *all, es_line_found *line) {
    double slope = 0, height = 0, rms = 0, middle = 0, bright;
    float top = brightest(grey, ignore);
    if (top < 12) return refuse(line, "the picture is dark");
    for (uint32_t u = 0; u < grey->width; u++)
        look_at_column(grey, ignore, u, fmaxf(10, 0.2F * top), all);
    size_t least = grey->width / 12 > 24 ? grey->width / 12 : 24;
    if (all->count < least) return refuse(line, "few columns have a bright echo");
    size_t near = draw_lines(all, &slope, &height);
    if (near < least || 3 * near < all->count)
        return refuse(line, "the echoes do not lie on one line");
    for (int round = 0; round < 3; round++)
        if (!refine(all, &slope, &height, &middle, &rms))
            return refuse(line, "the echoes do not lie on one line");
    double length = sqrt(1 + slope * slope);
    *line = (es_line_found){.found = true,
                            .u = middle,
                            .v = height + slope * middle,
                            .du = 1 / length,
                            .dv = slope / length,
                            .rms_px = rms,
                            .columns = count_near(all, slope, height, &bright)};
    return true;
}

bool es_line_find(const es_image *picture, const es_image *ignore, es_line_found *line,
                  es_error *err) {
    es_image grey = {0};
    memset(line, 0, sizeof *line);
    bool ok = es_image_to_f32(picture, &grey, err);
    echoes all = {
        .items = ok ? es_alloc((size_t)picture->width * PER_COLUMN, sizeof *all.items, err) : NULL};
    ok = all.items && find(&grey, ignore, &all, line);
    es_free(all.items);
    es_image_clear(&grey);
    return ok;
}
