/* The pictures at one degree of blur, and where they are sampled.
 *
 * What all pictures have in common at a place (the probe's own shading, the
 * near field) is taken away first, then the wide background: left are edges
 * and spots of about the size of the blur, in units of their deviation. Near
 * the edge of the echoes the blur takes what lies inside only. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "self.h"

enum { MOST_TAPS = 128, MOST_GREYS = 64 };
static const float LEAST_RANGE = 8; /* grey levels that a lit cell changes by */

typedef struct blurring {
    uint32_t width, height;
    const uint8_t *lit;
    float *along;  /* one picture */
    float *weight; /* of lit cells under the kernel; the same for all pictures */
} blurring;

static int make_taps(double sigma, float taps[MOST_TAPS]) {
    int reach = (int)fmin(ceil(3 * sigma), MOST_TAPS - 1);
    for (int k = 0; k <= reach; k++) taps[k] = (float)exp(-0.5 * k * k / (sigma * sigma));
    return reach;
}

/* One axis: `count` cells `step` apart, from `in` to `out`. */
static void blur_line(const float *in, float *out, int count, size_t step, const float *taps,
                      int reach) {
    for (int k = 0; k < count; k++) {
        int low = k < reach ? -k : -reach, high = count - 1 - k < reach ? count - 1 - k : reach;
        float sum = 0;
        for (int d = low; d <= high; d++) sum += taps[d < 0 ? -d : d] * in[(size_t)(k + d) * step];
        out[(size_t)k * step] = sum;
    }
}

static void blur(const blurring *b, float *picture, double sigma) {
    float taps[MOST_TAPS] = {0};
    int reach = make_taps(sigma, taps);
    for (uint32_t y = 0; y < b->height; y++)
        blur_line(picture + (size_t)y * b->width, b->along + (size_t)y * b->width, (int)b->width, 1,
                  taps, reach);
    for (uint32_t x = 0; x < b->width; x++)
        blur_line(b->along + x, picture + x, (int)b->height, b->width, taps, reach);
}

static void make_weight(const blurring *b, double sigma, float *weight) {
    size_t cells = (size_t)b->width * b->height;
    for (size_t c = 0; c < cells; c++) weight[c] = b->lit[c];
    blur(b, weight, sigma);
}

/* Lit cells change in the recording. `still`: the grey that a share of the
 * pictures stays under; a mean would hold a ghost of the object, which lies
 * still in the picture and draws every fit to itself. */
static void find_lit(self_fit *fit, double share, float *still) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height, step = p->count / MOST_GREYS + 1;
    fit->lit_count = 0;
    for (size_t c = 0; c < cells; c++) {
        float values[MOST_GREYS];
        size_t n = 0;
        for (size_t f = 0; f < p->count; f += step) values[n++] = p->grey[f * cells + c];
        qsort(values, n, sizeof *values, es_compare_floats);
        still[c] = values[(size_t)(share * (double)(n - 1))];
        fit->lit[c] = values[n - 1] - values[0] > LEAST_RANGE;
        fit->lit_count += fit->lit[c];
    }
}

/* ---- channels ---------------------------------------------------------------------- */

static void take_grey(self_fit *fit, const float *still) {
    size_t cells = (size_t)fit->pictures->width * fit->pictures->height;
    for (size_t k = 0; k < fit->pictures->count * cells; k++)
        fit->source[k] = fit->lit[k % cells] ? fit->pictures->grey[k] - still[k % cells] : 0;
}

/* A bright ridge over nothing else: what lies deeper in the column is dark,
 * because the object throws a shadow. `room`: two pictures. */
static void take_surface(const self_fit *fit, const blurring *b, size_t f, const float *still,
                         float *fine) {
    size_t w = b->width, cells = w * b->height;
    const float *grey = fit->pictures->grey + f * cells;
    float *out = fit->source + f * cells, *wide = fine + cells;
    for (size_t c = 0; c < cells; c++) fine[c] = wide[c] = fit->lit[c] ? grey[c] - still[c] : 0;
    blur(b, fine, 1);
    blur(b, wide, 4);
    for (size_t c = 0; c < cells; c++)
        fine[c] = fit->lit[c] ? fmaxf(fine[c] / 6.28F - wide[c] / 100.5F, 0) : 0;
    for (size_t x = 0; x < w; x++) {
        float deeper = 0;
        for (size_t y = b->height; y-- > 0;) {
            size_t c = y * w + x;
            out[c] = fine[c] * expf(-deeper / 60);
            if (y + 3 < b->height) deeper += fine[c + 3 * w];
        }
    }
}

/* Mean grey of the rows first .. last - 1 of a column. */
static double mean_of_column(const float *column, size_t width, size_t first, size_t last) {
    double sum = 0;
    for (size_t y = first; y < last; y++) sum += column[y * width];
    return last > first ? sum / (double)(last - first) : 0;
}

static bool is_shadowed(const float *column, size_t width, size_t height) {
    size_t margin = height / 16 + 1, at = height / 8;
    for (size_t y = at; y < height; y++)
        if (column[y * width] > column[at * width]) at = y;
    if (at + 3 * margin > height) return false;
    double above = mean_of_column(column, width, height / 16, at > margin ? at - margin : 0);
    double below = mean_of_column(column, width, at + margin, height);
    return below < 0.5 * above && column[at * width] > 2 * above;
}

self_channel self_choose_channel(const self_fit *fit) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height, columns = 0, shadowed = 0;
    for (size_t f = 0; f < p->count; f += 5)
        for (size_t x = p->width / 8; x < p->width - p->width / 8; x += 3, columns++)
            shadowed += is_shadowed(p->grey + f * cells + x, p->width, p->height);
    return 3 * shadowed > columns ? SELF_SURFACE : SELF_GREY;
}

bool self_source_make(self_fit *fit, es_error *err) {
    const es_self_pictures *p = fit->pictures;
    bool grey = fit->channel == SELF_GREY;
    size_t cells = (size_t)p->width * p->height;
    float *room = es_alloc(4 * cells, sizeof *room, err);
    if (!room) return false;
    blurring b = {p->width, p->height, fit->lit, room, NULL};
    find_lit(fit, grey ? 0.5 : 0.1, room + cells);
    bool ok = 10 * fit->lit_count > cells && fit->lit_count > 200;
    if (!ok)
        es_fail(err, ES_GEOMETRY,
                "the pictures show nothing that changes as the probe moves (%zu of %zu places do): "
                "they are blank, or the video was frozen",
                fit->lit_count, cells);
    if (ok && grey) take_grey(fit, room + cells);
    for (size_t f = 0; ok && !grey && f < p->count; f++) {
        take_surface(fit, &b, f, room + cells, room + 2 * cells);
        self_find_crests(fit, f, room);
    }
    es_free(room);
    return ok;
}

/* ---- levels ------------------------------------------------------------------------- */

/* Blurred less the wide background; 0 outside of the echoes. */
static void make_picture(const self_fit *fit, const blurring *fine, const blurring *wide, size_t f,
                         float *background) {
    size_t cells = (size_t)fine->width * fine->height;
    float *out = fit->level + f * cells;
    memcpy(out, fit->source + f * cells, cells * sizeof *out);
    memcpy(background, out, cells * sizeof *out);
    blur(fine, out, fit->blur);
    blur(wide, background, 3 * fit->blur + 4);
    for (size_t c = 0; c < cells; c++)
        out[c] = fit->lit[c] ? out[c] / fine->weight[c] - background[c] / wide->weight[c] : 0;
}

static void even_out(self_fit *fit) {
    size_t all = fit->pictures->count * fit->pictures->width * fit->pictures->height;
    double square = 0;
    for (size_t k = 0; k < all; k++) square += (double)fit->level[k] * fit->level[k];
    double deviation = sqrt(square / (double)(fit->lit_count * fit->pictures->count));
    if (!(deviation > 0)) return;
    for (size_t k = 0; k < all; k++) {
        double v = fit->level[k] / deviation;
        fit->level[k] = (float)fmax(fmin(v, 4), -4);
    }
}

bool self_level_make(self_fit *fit, double sigma, es_error *err) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height;
    float *room = es_alloc(4 * cells, sizeof *room, err);
    if (!room) return false;
    blurring fine = {p->width, p->height, fit->lit, room, room + cells};
    blurring wide = fine;
    wide.weight = room + 2 * cells;
    fit->blur = sigma;
    make_weight(&fine, sigma, fine.weight);
    make_weight(&wide, 3 * sigma + 4, wide.weight);
    for (size_t f = 0; f < p->count; f++) make_picture(fit, &fine, &wide, f, room + 3 * cells);
    even_out(fit);
    es_free(room);
    return true;
}

/* ---- samples ------------------------------------------------------------------------ */

/* What a place is worth: what the neighbours in time show there as well. Speckle
 * and noise are not there again. */
static double worth_of(const self_fit *fit, size_t f, size_t c) {
    const double least = 0.05, noise = 0.5;
    size_t cells = (size_t)fit->pictures->width * fit->pictures->height;
    const float *here = fit->level + f * cells + c;
    double before = f > 0 ? here[-(ptrdiff_t)cells] : 0;
    double after = f + 1 < fit->pictures->count ? here[cells] : 0;
    return fit->lit[c] ? least + fmax(*here * 0.5 * (before + after) - noise, 0) : 0;
}

static double worth_of_all(const self_fit *fit) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height;
    double sum = 0;
    for (size_t k = 0; k < cells * p->count; k++) sum += worth_of(fit, k / cells, k % cells);
    return sum;
}

/* In proportion to what places are worth, evenly spread. */
static void sample_greys(self_fit *fit, size_t budget) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height;
    double step = worth_of_all(fit) / (double)budget, left = step;
    for (size_t k = 0; k < cells * p->count && fit->sample_count < budget; k++) {
        size_t c = k % cells;
        left -= worth_of(fit, k / cells, c);
        if (left > 0) continue;
        left = left + step > 0 ? left + step : step;
        fit->samples[fit->sample_count++] = (self_sample){
            (uint32_t)(k / cells), (float)(c % p->width), (float)(c / p->width), fit->level[k]};
    }
}

/* Every n-th crest. */
static void sample_crests(self_fit *fit, size_t budget) {
    const es_self_pictures *p = fit->pictures;
    size_t all = 0, seen = 0;
    for (size_t k = 0; k < p->count * p->width; k++) all += !isnan(fit->crests[k].row);
    size_t every = budget > 0 ? all / budget + 1 : all + 1;
    for (size_t k = 0; k < p->count * p->width; k++) {
        if (isnan(fit->crests[k].row) || seen++ % every) continue;
        fit->samples[fit->sample_count++] =
            (self_sample){(uint32_t)(k / p->width), (float)(k % p->width), fit->crests[k].row, 0};
    }
}

void self_samples_make(self_fit *fit, size_t budget) {
    if (budget > fit->sample_room) budget = fit->sample_room;
    fit->sample_count = 0;
    if (fit->channel == SELF_GREY)
        sample_greys(fit, budget);
    else
        sample_crests(fit, budget);
}
