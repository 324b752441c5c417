/* How far a picture has moved: phase correlation.
 *
 * A shift in the plane turns the phase of each frequency in proportion, so
 * the cross spectrum of two windows, each frequency brought to length one,
 * has its inverse transform at the shift: a single peak, whatever the
 * brightness (Kuglin and Hines, "The phase correlation image alignment
 * method", 1975). A Hann window keeps the edges from posing as texture. The
 * peak lies between pixels; its place comes from the neighbours on each side.
 *
 * Both windows go through one complex transform, one as the real part and one
 * as the imaginary: their spectra come apart by symmetry. */
#include <kiss_fftnd.h>
#include <math.h>
#include <string.h>

#include "echosolid/image.h"

enum { LEAST = 16, MOST = 1024 };

/* Frequencies of ultrasound past this share of the band are noise: the phase
 * is weighted down by a Gaussian of this sigma, in cycles a pixel. */
static const double BAND = 0.17;
/* Frequencies under this share of the mean power count little. */
static const double FLOOR = 0.5;
enum { ROUNDS = 3 };

struct es_flow_plan {
    uint32_t size;
    kiss_fftnd_cfg forward, backward;
    kiss_fft_cpx *window, *spectrum;
    float *hann, *band; /* per sample and per frequency of one axis */
};

/* kissfft's plans in our memory: it is asked how much it needs. */
static kiss_fftnd_cfg new_transform(uint32_t size, int inverse, es_error *err) {
    int sides[2] = {(int)size, (int)size};
    size_t bytes = 0;
    kiss_fftnd_alloc(sides, 2, inverse, NULL, &bytes);
    void *memory = es_alloc(bytes, 1, err);
    return memory ? kiss_fftnd_alloc(sides, 2, inverse, memory, &bytes) : NULL;
}

es_flow_plan *es_flow_plan_new(uint32_t size, es_error *err) {
    if (size < LEAST || size > MOST || size & (size - 1)) {
        es_fail(err, ES_USAGE, "window of %u pixels; expected a power of two from %d to %d", size,
                LEAST, MOST);
        return NULL;
    }
    es_flow_plan *p = es_alloc_zero(1, sizeof *p, err);
    if (!p) return NULL;
    size_t pixels = (size_t)size * size;
    p->size = size;
    if (!(p->forward = new_transform(size, 0, err)) ||
        !(p->backward = new_transform(size, 1, err)) ||
        !(p->window = es_alloc(pixels, sizeof *p->window, err)) ||
        !(p->spectrum = es_alloc(pixels, sizeof *p->spectrum, err)) ||
        !(p->hann = es_alloc(size, sizeof *p->hann, err)) ||
        !(p->band = es_alloc(size, sizeof *p->band, err))) {
        es_flow_plan_free(p);
        return NULL;
    }
    for (uint32_t i = 0; i < size; i++) {
        double f = (i <= size / 2 ? (double)i : (double)i - size) / size;
        p->hann[i] = (float)(0.5 - 0.5 * cos(2 * M_PI * (i + 0.5) / size));
        p->band[i] = (float)exp(-0.5 * f * f / (BAND * BAND));
    }
    return p;
}

void es_flow_plan_free(es_flow_plan *p) {
    if (!p) return;
    es_free(p->forward);
    es_free(p->backward);
    es_free(p->window);
    es_free(p->spectrum);
    es_free(p->hann);
    es_free(p->band);
    es_free(p);
}

/* ---- windows ------------------------------------------------------------------ */

static double grey(const es_image *image, uint32_t u, uint32_t v) {
    size_t at = ((size_t)v * image->width + u) * (size_t)image->channels;
    if (image->channels != 3) return es_type_get(image->type, image->data, at);
    return 0.299 * es_type_get(image->type, image->data, at) +
           0.587 * es_type_get(image->type, image->data, at + 1) +
           0.114 * es_type_get(image->type, image->data, at + 2);
}

static double mean_grey(const es_flow_plan *p, const es_image *image, uint32_t u0, uint32_t v0) {
    double sum = 0;
    for (uint32_t v = 0; v < p->size; v++)
        for (uint32_t u = 0; u < p->size; u++) sum += grey(image, u0 + u, v0 + v);
    return sum / ((double)p->size * p->size);
}

/* a as the real part, b, from `du`, `dv` further on, as the imaginary. */
static void fill_window(es_flow_plan *p, const es_image *a, const es_image *b, uint32_t u0,
                        uint32_t v0, const int32_t move[2]) {
    uint32_t u1 = (uint32_t)((int64_t)u0 + move[0]), v1 = (uint32_t)((int64_t)v0 + move[1]);
    double mean_a = mean_grey(p, a, u0, v0), mean_b = mean_grey(p, b, u1, v1);
    for (uint32_t v = 0; v < p->size; v++)
        for (uint32_t u = 0; u < p->size; u++) {
            double w = (double)p->hann[u] * p->hann[v];
            kiss_fft_cpx *to = &p->window[(size_t)v * p->size + u];
            to->r = (float)(w * (grey(a, u0 + u, v0 + v) - mean_a));
            to->i = (float)(w * (grey(b, u1 + u, v1 + v) - mean_b));
        }
}

/* conj(A) B from the spectrum Z of a + ib: A = (Z(f) + conj Z(-f)) / 2,
 * B = (Z(f) - conj Z(-f)) / 2i. Returns the mean of its length. */
static double cross_spectrum(es_flow_plan *p) {
    uint32_t n = p->size;
    double sum = 0;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t x = 0; x < n; x++) {
            kiss_fft_cpx z = p->spectrum[(size_t)y * n + x];
            kiss_fft_cpx m = p->spectrum[(size_t)((n - y) % n) * n + (n - x) % n];
            double ar = z.r + m.r, ai = z.i - m.i, br = z.i + m.i, bi = m.r - z.r;
            double re = ar * br + ai * bi, im = ar * bi - ai * br;
            p->window[(size_t)y * n + x] = (kiss_fft_cpx){(float)re, (float)im};
            sum += hypot(re, im);
        }
    return sum / ((double)n * n);
}

/* Leaves the phases, weighted down where the window holds next to nothing:
 * there the phase is that of the window's edge. Returns the sum of weights. */
static double keep_phases(es_flow_plan *p, double mean) {
    uint32_t n = p->size;
    double sum = 0;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t x = 0; x < n; x++) {
            kiss_fft_cpx *c = &p->window[(size_t)y * n + x];
            double length = hypot(c->r, c->i);
            double w = (double)p->band[x] * p->band[y] / (length + FLOOR * mean);
            if (!(length > 0) || (x == 0 && y == 0)) w = 0;
            *c = (kiss_fft_cpx){(float)(c->r * w), (float)(c->i * w)};
            sum += length * w;
        }
    return sum;
}

/* ---- the peak ------------------------------------------------------------------- */

static double height(const es_flow_plan *p, uint32_t x, uint32_t y) {
    uint32_t n = p->size;
    return p->spectrum[(size_t)(y & (n - 1)) * n + (x & (n - 1))].r;
}

/* The correlation is a Gaussian about the shift (the transform of the band),
 * so the logarithms of three neighbours lie on a parabola. */
static double between(double before, double at, double after) {
    if (!(before > 0) || !(after > 0) || !(at > 0)) return 0;
    double b = log(before), c = log(at), a = log(after), bend = b - 2 * c + a;
    return bend < 0 ? fmax(-0.5, fmin(0.5, 0.5 * (b - a) / bend)) : 0;
}

static double signed_place(uint32_t x, uint32_t n) { return x < n / 2 ? (double)x : (double)x - n; }

static void find_peak(const es_flow_plan *p, double weights, es_shift *shift) {
    uint32_t n = p->size, at_x = 0, at_y = 0;
    double best = 0;
    for (uint32_t y = 0; y < n; y++)
        for (uint32_t x = 0; x < n; x++)
            if (height(p, x, y) > best) {
                best = height(p, x, y);
                at_x = x;
                at_y = y;
            }
    shift->response = weights > 0 ? fmin(1, best / weights) : 0;
    shift->u_px = signed_place(at_x, n) +
                  between(height(p, at_x + n - 1, at_y), best, height(p, at_x + 1, at_y));
    shift->v_px = signed_place(at_y, n) +
                  between(height(p, at_x, at_y + n - 1), best, height(p, at_x, at_y + 1));
}

static void correlate(es_flow_plan *p, const es_image *a, const es_image *b, uint32_t u0,
                      uint32_t v0, const int32_t move[2], es_shift *shift) {
    fill_window(p, a, b, u0, v0, move);
    kiss_fftnd(p->forward, p->window, p->spectrum);
    double weights = keep_phases(p, cross_spectrum(p));
    kiss_fftnd(p->backward, p->window, p->spectrum);
    find_peak(p, weights, shift);
    shift->u_px += move[0];
    shift->v_px += move[1];
}

static bool fits(const es_flow_plan *p, const es_image *image, int64_t u0, int64_t v0) {
    return u0 >= 0 && v0 >= 0 && u0 + p->size <= image->width && v0 + p->size <= image->height;
}

/* Two equal windows share only a part of what has moved, which draws the peak
 * towards zero: the window of b follows the shift, and what is left is small. */
bool es_flow_shift(es_flow_plan *plan, const es_image *a, const es_image *b, uint32_t u0,
                   uint32_t v0, es_shift *shift, es_error *err) {
    *shift = (es_shift){0, 0, 0};
    if (a->width != b->width || a->height != b->height)
        return es_fail(err, ES_USAGE, "pictures of %u x %u and %u x %u; expected one size",
                       a->width, a->height, b->width, b->height);
    if (!fits(plan, a, u0, v0))
        return es_fail(err, ES_USAGE, "window of %u pixels at %u, %u does not lie in %u x %u",
                       plan->size, u0, v0, a->width, a->height);
    int32_t move[2] = {0, 0};
    correlate(plan, a, b, u0, v0, move, shift);
    for (int round = 0; round < ROUNDS; round++) {
        es_shift again;
        int32_t next[2] = {(int32_t)lround(shift->u_px), (int32_t)lround(shift->v_px)};
        if (next[0] == move[0] && next[1] == move[1]) break;
        if (!fits(plan, b, (int64_t)u0 + next[0], (int64_t)v0 + next[1])) break;
        correlate(plan, a, b, u0, v0, next, &again);
        if (again.response < shift->response) break;
        *shift = again;
        memcpy(move, next, sizeof move);
    }
    return true;
}
