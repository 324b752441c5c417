/* Wire dots: small bright spots in a picture.
 *
 * A wire that is cut across gives a spot some two to four times as wide as it
 * is high; the floor and reverberations give long streaks, tissue gives
 * texture. So a place is judged by the mean of a small box against the
 * brightest of four equal boxes to its left, right, above and below: a streak
 * has a bright neighbour to the side, a spot has none. This is done at three
 * sizes on a picture reduced to some 400 pixels a side, so that neither depth
 * nor zoom matter; the strongest places that are not near a stronger one are
 * kept. The dot is then the centroid of what is brighter than half of the
 * spot's peak, in the full picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib_internal.h"
#include "echosolid/calib.h"

enum { SCALES = 3, REDUCED_AREA = 300000, PEAKS = 4096, UNIT = 8 };
enum { HALF_WIDE = 40, HALF_HIGH = 28, WIDE = 2 * HALF_WIDE + 1, HIGH = 2 * HALF_HIGH + 1 };
static const int radii[SCALES] = {1, 2, 4};
static const int LEAST_CONTRAST = 6 * UNIT; /* of 255 grey levels */

typedef struct peak {
    int u, v, radius; /* reduced pixels */
    int response;
} peak;

struct es_dot_finder {
    es_image grey, bytes; /* of pictures that are not u8 grey */
    es_image clean;       /* without what is ignored */
    uint16_t *small, *mean;
    int16_t *response;
    uint8_t *radius;
    uint32_t *columns, *running;
    uint32_t width, height; /* reduced */
    size_t capacity;
    peak peaks[PEAKS];
};

es_dot_finder *es_dot_finder_new(es_error *err) {
    return es_alloc_zero(1, sizeof(es_dot_finder), err);
}

void es_dot_finder_free(es_dot_finder *finder) {
    if (!finder) return;
    es_image_clear(&finder->grey);
    es_image_clear(&finder->bytes);
    es_image_clear(&finder->clean);
    es_free(finder->small);
    es_free(finder->mean);
    es_free(finder->response);
    es_free(finder->radius);
    es_free(finder->columns);
    es_free(finder->running);
    es_free(finder);
}

/* ---- the picture as bytes, reduced ------------------------------------------------------- */

/* Anything but bytes is scaled so that its brightest pixel is 255. */
static bool to_bytes(es_dot_finder *f, const es_image *picture, const es_image **bytes,
                     es_error *err) {
    *bytes = picture;
    if (picture->type == ES_U8 && picture->channels == 1) return true;
    size_t n = (size_t)picture->width * picture->height;
    if (!es_image_to_f32(picture, &f->grey, err) ||
        !es_image_resize(&f->bytes, ES_U8, 1, picture->width, picture->height, err))
        return false;
    const float *from = f->grey.data;
    uint8_t *to = f->bytes.data;
    float most = 255;
    if (picture->type != ES_U8) {
        most = 0;
        for (size_t i = 0; i < n; i++)
            if (isfinite(from[i])) most = fmaxf(most, from[i]);
    }
    float scale = most > 0 ? 255 / most : 0;
    for (size_t i = 0; i < n; i++)
        to[i] = isfinite(from[i]) ? (uint8_t)fminf(255, fmaxf(0, from[i] * scale)) : 0;
    *bytes = &f->bytes;
    return true;
}

static bool take_out(es_dot_finder *f, const es_image *ignore, const es_image **bytes,
                     es_error *err) {
    if (!ignore) return true;
    if (ignore->type != ES_U8 || ignore->channels != 1 || ignore->width != (*bytes)->width ||
        ignore->height != (*bytes)->height)
        return es_fail(err, ES_USAGE, "the mask of what to ignore is not as large as the picture");
    if (!es_image_copy(*bytes, &f->clean, err)) return false;
    uint8_t *p = f->clean.data;
    const uint8_t *m = ignore->data;
    for (size_t i = 0; i < (size_t)ignore->width * ignore->height; i++)
        if (m[i]) p[i] = 0;
    *bytes = &f->clean;
    return true;
}

static bool make_room(es_dot_finder *f, uint32_t width, uint32_t height, es_error *err) {
    size_t n = (size_t)width * height;
    f->width = width;
    f->height = height;
    if (n <= f->capacity) return true;
    f->capacity = 0;
    if (!es_resize(&f->small, n, sizeof *f->small, err) ||
        !es_resize(&f->mean, n, sizeof *f->mean, err) ||
        !es_resize(&f->response, n, sizeof *f->response, err) ||
        !es_resize(&f->radius, n, sizeof *f->radius, err) ||
        !es_resize(&f->columns, n, sizeof *f->columns, err) ||
        !es_resize(&f->running, n + 1, sizeof *f->running, err))
        return false;
    f->capacity = n;
    return true;
}

/* Sums of factor x factor pixels as mean * UNIT. */
static void reduce(const es_dot_finder *f, const es_image *bytes, uint32_t factor) {
    uint32_t *row = f->columns, area = factor * factor;
    const uint8_t *p = bytes->data;
    for (uint32_t v = 0; v < f->height; v++) {
        memset(row, 0, f->width * sizeof *row);
        for (uint32_t k = 0; k < factor; k++) {
            const uint8_t *from = p + (size_t)(v * factor + k) * bytes->width;
            if (factor == 2)
                for (uint32_t u = 0; u < f->width; u++)
                    row[u] += (uint32_t)from[2 * u] + from[2 * u + 1];
            else
                for (uint32_t u = 0; u < f->width; u++)
                    for (uint32_t j = 0; j < factor; j++) row[u] += from[u * factor + j];
        }
        uint16_t *to = f->small + (size_t)v * f->width;
        for (uint32_t u = 0; u < f->width; u++) to[u] = (uint16_t)(row[u] * UNIT / area);
    }
}

/* ---- contrast ------------------------------------------------------------------------------ */

/* Means over (2 r + 1) squared boxes; those that leave the picture are cut. */
static void box_means(const es_dot_finder *f, int r) {
    int width = (int)f->width, height = (int)f->height;
    uint32_t *sum = f->columns, *running = f->running;
    memset(sum, 0, f->width * sizeof *sum);
    for (int v = -r; v < height; v++) {
        int in = v + r, out = v - r - 1;
        if (in >= 0 && in < height)
            for (int u = 0; u < width; u++) sum[u] += f->small[(size_t)in * f->width + (size_t)u];
        if (out >= 0)
            for (int u = 0; u < width; u++) sum[u] -= f->small[(size_t)out * f->width + (size_t)u];
        if (v < 0) continue;
        int rows = (in < height ? in : height - 1) - (out >= 0 ? out : -1);
        uint16_t *to = f->mean + (size_t)v * f->width;
        uint32_t total = running[0] = 0;
        for (int u = 0; u < width; u++) running[u + 1] = total += sum[u];
        float scale = 1.0F / (float)(rows * (2 * r + 1));
        for (int u = 0; u < width; u++) {
            int left = u > r ? u - r : 0, right = u + r < width ? u + r + 1 : width;
            to[u] = (uint16_t)((float)(running[right] - running[left]) * scale);
        }
    }
}

static inline int max_int(int a, int b) { return a > b ? a : b; }

/* Brightness over the brightest of the four neighbours; the best of all sizes
 * so far is kept with its radius. Neighbours outside of the picture are dark. */
static void add_responses(const es_dot_finder *f, int r) {
    int width = (int)f->width, height = (int)f->height, du = 4 * r + 2, dv = 3 * r + 1;
    static const uint16_t dark[1] = {0};
    for (int v = 0; v < height; v++) {
        const uint16_t *here = f->mean + (size_t)v * f->width;
        const uint16_t *up = v >= dv ? here - (size_t)dv * f->width : NULL;
        const uint16_t *down = v + dv < height ? here + (size_t)dv * f->width : NULL;
        int16_t *best = f->response + (size_t)v * f->width;
        uint8_t *radius = f->radius + (size_t)v * f->width;
        for (int u = 0; u < width; u++) {
            int left = u >= du ? here[u - du] : dark[0];
            int right = u + du < width ? here[u + du] : dark[0];
            int around = max_int(left, right);
            if (up) around = max_int(around, up[u]);
            if (down) around = max_int(around, down[u]);
            int contrast = here[u] - around;
            if (contrast > best[u]) {
                best[u] = (int16_t)contrast;
                radius[u] = (uint8_t)r;
            }
        }
    }
}

/* ---- peaks ----------------------------------------------------------------------------------- */

static int by_response(const void *a, const void *b) {
    const peak *p = a, *q = b;
    if (p->response != q->response) return p->response > q->response ? -1 : 1;
    if (p->v != q->v) return p->v < q->v ? -1 : 1;
    return p->u < q->u ? -1 : p->u > q->u;
}

static bool is_peak(const int16_t *r, size_t width) {
    int c = r[0];
    const int16_t *up = r - width, *down = r + width;
    return c > up[-1] && c > up[0] && c > up[1] && c > r[-1] && c >= r[1] && c >= down[-1] &&
           c >= down[0] && c >= down[1];
}

/* Local maxima, the strongest first. */
static int find_peaks(es_dot_finder *f) {
    int count = 0, least = LEAST_CONTRAST;
    for (int v = 1; v + 1 < (int)f->height; v++)
        for (int u = 1; u + 1 < (int)f->width; u++) {
            size_t i = (size_t)v * f->width + (size_t)u;
            if (f->response[i] < least || !is_peak(f->response + i, f->width)) continue;
            if (count == PEAKS) { /* texture everywhere: only what stands out is of use */
                qsort(f->peaks, PEAKS, sizeof *f->peaks, by_response);
                count = PEAKS / 2;
                least = f->peaks[count].response;
            }
            f->peaks[count++] =
                (peak){.u = u, .v = v, .radius = f->radius[i], .response = f->response[i]};
        }
    qsort(f->peaks, (size_t)count, sizeof *f->peaks, by_response);
    return count;
}

static bool near_stronger(const peak *kept, int count, const peak *p) {
    for (int k = 0; k < count; k++) {
        int r = max_int(kept[k].radius, p->radius);
        if (abs(kept[k].u - p->u) <= 3 * r + 1 && abs(kept[k].v - p->v) <= 2 * r + 1) return true;
    }
    return false;
}

/* ---- the dot in the full picture ---------------------------------------------------------------
 */

typedef struct window {
    const uint8_t *pixels; /* of the whole picture */
    size_t stride;
    int u0, v0, width, height;
    uint8_t seen[WIDE * HIGH];
    int16_t queue[WIDE * HIGH][2];
} window;

static int value_at(const window *w, int u, int v) {
    return w->pixels[(size_t)(w->v0 + v) * w->stride + (size_t)(w->u0 + u)];
}

/* A window about the peak, cut by the picture. */
static void place_window(window *w, const es_image *bytes, int u, int v, int du, int dv) {
    w->pixels = bytes->data;
    w->stride = bytes->width;
    w->u0 = max_int(u - du, 0);
    w->v0 = max_int(v - dv, 0);
    int u1 = u + du < (int)bytes->width ? u + du : (int)bytes->width - 1;
    int v1 = v + dv < (int)bytes->height ? v + dv : (int)bytes->height - 1;
    w->width = u1 - w->u0 + 1;
    w->height = v1 - w->v0 + 1;
}

static int brightest(const window *w, int reach_u, int reach_v, int at[2]) {
    int best = -1, mu = at[0], mv = at[1];
    for (int v = max_int(mv - reach_v, 0); v <= mv + reach_v && v < w->height; v++)
        for (int u = max_int(mu - reach_u, 0); u <= mu + reach_u && u < w->width; u++)
            if (value_at(w, u, v) > best) {
                best = value_at(w, u, v);
                at[0] = u;
                at[1] = v;
            }
    return best;
}

static int push(window *w, int tail, int u, int v, double level) {
    if (u < 0 || v < 0 || u >= w->width || v >= w->height) return tail;
    uint8_t *seen = &w->seen[v * WIDE + u];
    if (*seen || value_at(w, u, v) <= level) return tail;
    *seen = 1;
    w->queue[tail][0] = (int16_t)u;
    w->queue[tail][1] = (int16_t)v;
    return tail + 1;
}

/* Weighted centroid of what is joined with the start and above the level. */
static void centroid(window *w, const int start[2], double level, es_dot *dot) {
    double sum = 0, su = 0, sv = 0, suu = 0, svv = 0;
    memset(w->seen, 0, sizeof w->seen);
    int tail = push(w, 0, start[0], start[1], level);
    for (int head = 0; head < tail; head++) {
        int u = w->queue[head][0], v = w->queue[head][1];
        double weight = value_at(w, u, v) - level;
        sum += weight;
        su += weight * u;
        sv += weight * v;
        suu += weight * u * u;
        svv += weight * v * v;
        tail = push(w, tail, u - 1, v, level);
        tail = push(w, tail, u + 1, v, level);
        tail = push(w, tail, u, v - 1, level);
        tail = push(w, tail, u, v + 1, level);
    }
    su /= sum;
    sv /= sum;
    dot->u = w->u0 + su;
    dot->v = w->v0 + sv;
    dot->width_px = 2 * sqrt(fmax(suu / sum - su * su, 0));
    dot->height_px = 2 * sqrt(fmax(svv / sum - sv * sv, 0));
}

static void refine(window *w, const es_image *bytes, const peak *p, int factor, es_dot *dot) {
    int r = p->radius * factor, u = p->u * factor + factor / 2, v = p->v * factor + factor / 2;
    int du = 5 * r + 2, dv = 4 * r + 2;
    place_window(w, bytes, u, v, du < HALF_WIDE ? du : HALF_WIDE, dv < HALF_HIGH ? dv : HALF_HIGH);
    int at[2] = {u - w->u0, v - w->v0};
    double contrast = (double)p->response / UNIT;
    int top = brightest(w, r + 1, r + 1, at);
    /* what lies around has `contrast` less than the mean of the spot at most */
    double level = fmax(0.5 * top, top - fmax(contrast, 0.5 * top));
    dot->contrast = contrast;
    centroid(w, at, level < top ? level : top - 0.5, dot);
}

bool es_dots_find(es_dot_finder *f, const es_image *picture, const es_image *ignore,
                  es_dot dots[ES_DOTS_MAX], int *count, es_error *err) {
    const es_image *bytes = NULL;
    peak kept[ES_DOTS_MAX];
    window w;
    *count = 0;
    if (picture->width < 32 || picture->height < 32)
        return es_fail(err, ES_USAGE, "a picture of %u x %u pixels; wire dots take 32 x 32 or more",
                       picture->width, picture->height);
    if (!to_bytes(f, picture, &bytes, err) || !take_out(f, ignore, &bytes, err)) return false;
    uint32_t factor = 1;
    while ((uint64_t)(bytes->width / factor) * (bytes->height / factor) > REDUCED_AREA) factor *= 2;
    if (!make_room(f, bytes->width / factor, bytes->height / factor, err)) return false;
    reduce(f, bytes, factor);
    memset(f->response, 0, (size_t)f->width * f->height * sizeof *f->response);
    for (int s = 0; s < SCALES; s++) {
        box_means(f, radii[s]);
        add_responses(f, radii[s]);
    }
    int peaks = find_peaks(f);
    for (int i = 0; i < peaks && *count < ES_DOTS_MAX; i++) {
        if (near_stronger(kept, *count, &f->peaks[i])) continue;
        refine(&w, bytes, &f->peaks[i], (int)factor, &dots[*count]);
        kept[(*count)++] = f->peaks[i];
    }
    return true;
}
