/* The mask of the echoes: everything brighter than the dark around them.
 *
 * The surround's grey is the commonest dark grey of the picture. In a
 * recording, what never changes and is small or thin (text, ticks, rulers,
 * frames) is overlay and taken out; large unchanging parts (a saturated near
 * field, the transducer's ring) stay. What is left is joined over gaps of a
 * few pixels, since log-compressed speckle has black holes, and the connected
 * parts are numbered by size. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

const float shape_levels[SHAPE_LEVELS] = {.5F, 4, 12, 28};
#define NOISE_SIGMAS 5
#define MOST_RANGE 3 /* more is no grabber's noise but dark echoes */

enum {
    DARK = 64,          /* the surround is darker than this */
    DARK_RANGE = 16,    /* around it, noise included */
    QUIET = 3,          /* above its commonest grey: surely the surround */
    BLOCK = 4,          /* parts are joined over gaps of up to a block */
    LEAST_FILLED = 2,   /* lit pixels that make a block part of something */
    LARGE_SHARE = 10,   /* a large part has this percentage of the largest one */
    STILL_FRAMES = 4,   /* fewer cannot tell overlay from echoes */
    OVERLAY_AREA = 600, /* pixels of an unchanging part that is overlay by its size */
    DRAWN_ABOVE = 12,   /* grey of overlay over the surround, at least */
    BAR_LENGTH = 4,     /* times its width */
    HALO = 3,           /* pixels around overlay that blur and compression light */
    CORE_SHARE = 8      /* percent: a part with less of a core is lines */
};

/* The commonest dark grey, and how much grabbing has shaken it. */
typedef struct surround {
    float grey;
    float noise; /* what neighbours differ by: the median, or the mean of the quiet ones */
    float range; /* what high - low rarely exceeds */
} surround;

static float commonest(const es_still *still) {
    size_t bins[DARK] = {0}, n = (size_t)still->width * still->height;
    const float *high = still->high.data;
    for (size_t i = 0; i < n; i++)
        if (high[i] >= 0 && high[i] < DARK - 1) bins[(int)(high[i] + .5F)]++;
    int best = 0;
    for (int b = 1; b < DARK; b++)
        if (bins[b] > bins[best]) best = b;
    return (float)best;
}

enum { BINS = 256 };
static const float per_bin = 1 / 8.F;

static void count(size_t bins[BINS], float value) {
    int bin = (int)(fabsf(value) / per_bin);
    bins[bin < BINS ? bin : BINS - 1]++;
}

static float quantile(const size_t bins[BINS], int percent) {
    size_t all = 0, sum = 0;
    for (int b = 0; b < BINS; b++) all += bins[b];
    for (int b = 0; b < BINS; b++)
        if ((sum += bins[b]) * 100 > all * (size_t)percent) return (float)b * per_bin;
    return 0;
}

static surround measure_surround(const es_still *still) {
    size_t differences[BINS] = {0}, ranges[BINS] = {0}, n = (size_t)still->width * still->height;
    const float *high = still->high.data, *low = still->low.data;
    surround s = {.grey = commonest(still)};
    float most = s.grey + DARK_RANGE, quiet = s.grey + QUIET;
    double sum = 0, pairs = 0;
    for (size_t i = 1; i < n; i++) {
        if (high[i] > most || high[i - 1] > most) continue;
        count(differences, high[i] - high[i - 1]);
        if (high[i] > quiet) continue;
        count(ranges, high[i] - low[i]);
        if (high[i - 1] > quiet) continue;
        sum += fabsf(high[i] - high[i - 1]);
        pairs++;
    }
    s.noise = quantile(differences, 50);
    s.range = fminf(quantile(ranges, 75), MOST_RANGE);
    /* the median of little noise, in whole numbers, is 0; a surround that never
     * changes has none */
    if (s.range > 0 && pairs > 0) s.noise = fmaxf(s.noise, (float)(sum / pairs));
    return s;
}

bool shape_flood_make(uint32_t width, uint32_t height, shape_flood *f, es_error *err) {
    size_t n = (size_t)width * height;
    *f = (shape_flood){.width = width, .height = height};
    f->inside = es_alloc_zero(n, 1, err);
    f->stack = es_alloc(n, sizeof *f->stack, err);
    return f->inside && f->stack;
}

void shape_flood_clear(shape_flood *f) {
    es_free(f->inside);
    es_free(f->stack);
    memset(f, 0, sizeof *f);
}

static void push(shape_flood *f, uint32_t u, uint32_t v) {
    size_t i = (size_t)v * f->width + u;
    if (!f->inside[i]) return;
    f->inside[i] = 0;
    f->stack[f->count++] = (uint32_t)i;
    if (u < f->u0) f->u0 = u;
    if (u > f->u1) f->u1 = u;
    if (v < f->v0) f->v0 = v;
    if (v > f->v1) f->v1 = v;
}

void shape_flood_fill(shape_flood *f, size_t from) {
    f->count = 0;
    f->u0 = f->v0 = UINT32_MAX;
    f->u1 = f->v1 = 0;
    push(f, (uint32_t)(from % f->width), (uint32_t)(from / f->width));
    for (size_t done = 0; done < f->count; done++) {
        uint32_t x = f->stack[done] % f->width, y = f->stack[done] / f->width;
        uint32_t right = x + 1 < f->width ? x + 1 : x, below = y + 1 < f->height ? y + 1 : y;
        for (uint32_t b = y ? y - 1 : 0; b <= below; b++)
            for (uint32_t a = x ? x - 1 : 0; a <= right; a++) push(f, a, b);
    }
}

/* What of the recording does not change, as far as grabbing lets it. */
typedef struct unchanging {
    const shape_mask *mask;
    const float *low, *high;
    float range;
} unchanging;

static bool is_still(const unchanging *s, size_t i) {
    return s->mask->label[i] && s->high[i] - s->low[i] <= s->range;
}

/* Overlay is drawn to be read: brighter than the halo around it. */
static bool is_drawn(const unchanging *s, size_t i) {
    return is_still(s, i) && s->high[i] > s->mask->dark + DRAWN_ABOVE;
}

/* A grey bar: an upright rectangle, filled. Unchanging echoes, such as a
 * saturated near field, lie along the face. */
static bool is_bar(const shape_flood *f) {
    size_t width = f->u1 - f->u0 + 1, height = f->v1 - f->v0 + 1;
    return height > BAR_LENGTH * width && f->count * 10 >= width * height * 9;
}

/* Letters and lines: small, or hardly a pixel that is two or more away from
 * the part's border. */
static bool is_overlay(const unchanging *s, const shape_flood *f) {
    if (f->count <= OVERLAY_AREA || is_bar(f)) return true;
    size_t core = 0;
    for (size_t k = 0; k < f->count; k++) {
        uint32_t i = f->stack[k], u = i % f->width, v = i / f->width;
        if (u < 2 || v < 2 || u + 2 >= f->width || v + 2 >= f->height) continue;
        core += is_drawn(s, i - 2) && is_drawn(s, i + 2) && is_drawn(s, i - 2 * f->width) &&
                is_drawn(s, i + 2 * f->width);
    }
    return core * 100 < f->count * CORE_SHARE;
}

/* Takes a place out of the mask, and what does not change around it. */
static void clear_around(const unchanging *s, shape_mask *mask, uint32_t i) {
    uint32_t u = i % mask->width, v = i / mask->width;
    uint32_t u0 = u > HALO ? u - HALO : 0, v0 = v > HALO ? v - HALO : 0;
    mask->label[i] = 0;
    for (uint32_t b = v0; b <= v + HALO && b < mask->height; b++)
        for (uint32_t a = u0; a <= u + HALO && a < mask->width; a++) {
            size_t k = (size_t)b * mask->width + a;
            if (is_still(s, k) && !is_drawn(s, k)) mask->label[k] = 0;
        }
}

/* Takes letters and lines that do not change out of the mask. */
static bool drop_overlay(const es_still *still, float range, shape_mask *mask, es_error *err) {
    size_t n = (size_t)mask->width * mask->height, lit = 0, at_rest = 0;
    unchanging s = {mask, still->low.data, still->high.data, range};
    shape_flood f = {0};
    if (still->frames < STILL_FRAMES) return true;
    bool ok = shape_flood_make(mask->width, mask->height, &f, err);
    for (size_t i = 0; ok && i < n; i++) {
        f.inside[i] = is_drawn(&s, i);
        lit += mask->label[i];
        at_rest += f.inside[i];
    }
    /* a recording of a probe at rest says nothing */
    bool tells = ok && at_rest * 5 < lit * 4;
    for (size_t i = 0; tells && i < n; i++) {
        if (!f.inside[i]) continue;
        shape_flood_fill(&f, i);
        if (!is_overlay(&s, &f)) continue;
        for (size_t k = 0; k < f.count; k++) clear_around(&s, mask, f.stack[k]);
    }
    shape_flood_clear(&f);
    return ok;
}

/* Blocks of the mask: how many pixels are lit in each, and its part. */
typedef struct blocks {
    uint32_t width, height;
    uint16_t *filled;
    uint32_t *part;
    size_t *lit; /* of each part */
    shape_flood flood;
} blocks;

static bool blocks_make(const shape_mask *mask, blocks *b, es_error *err) {
    b->width = (mask->width + BLOCK - 1) / BLOCK;
    b->height = (mask->height + BLOCK - 1) / BLOCK;
    size_t n = (size_t)b->width * b->height;
    b->filled = es_alloc_zero(n, sizeof *b->filled, err);
    b->part = es_alloc_zero(n, sizeof *b->part, err);
    b->lit = es_alloc_zero(n + 1, sizeof *b->lit, err);
    if (!b->filled || !b->part || !b->lit || !shape_flood_make(b->width, b->height, &b->flood, err))
        return false;
    for (uint32_t v = 0; v < mask->height; v++)
        for (uint32_t u = 0; u < mask->width; u++)
            b->filled[(size_t)(v / BLOCK) * b->width + u / BLOCK] +=
                mask->label[(size_t)v * mask->width + u];
    for (size_t i = 0; i < n; i++) b->flood.inside[i] = b->filled[i] >= LEAST_FILLED;
    return true;
}

static void blocks_clear(blocks *b) {
    es_free(b->filled);
    es_free(b->part);
    es_free(b->lit);
    shape_flood_clear(&b->flood);
}

/* Numbers the parts; returns the one with most lit pixels, 0 when none is. */
static uint32_t number_parts(blocks *b) {
    uint32_t next = 1, best = 0;
    size_t n = (size_t)b->width * b->height;
    for (size_t i = 0; i < n; i++) {
        if (!b->flood.inside[i]) continue;
        shape_flood_fill(&b->flood, i);
        for (size_t k = 0; k < b->flood.count; k++) {
            b->part[b->flood.stack[k]] = next;
            b->lit[next] += b->filled[b->flood.stack[k]];
        }
        if (b->lit[next] > b->lit[best]) best = next;
        next++;
    }
    return best;
}

/* Lit pixels get the rank of their part: 1 largest, 2 large, 0 small. */
static void rank_pixels(const blocks *b, uint32_t best, shape_mask *mask) {
    memset(mask->count, 0, sizeof mask->count);
    for (uint32_t v = 0; v < mask->height; v++) {
        uint8_t *label = mask->label + (size_t)v * mask->width;
        const uint32_t *parts = b->part + (size_t)(v / BLOCK) * b->width;
        for (uint32_t u = 0; u < mask->width; u++) {
            if (!label[u]) continue;
            uint32_t part = parts[u / BLOCK];
            bool large = part && b->lit[part] * 100 >= b->lit[best] * LARGE_SHARE;
            label[u] = (uint8_t)(large ? part == best ? SHAPE_LARGEST : SHAPE_LARGE : 0);
            mask->count[0]++;
            if (label[u]) mask->count[SHAPE_LARGE]++;
            if (label[u] == SHAPE_LARGEST) mask->count[SHAPE_LARGEST]++;
        }
    }
}

static bool join_parts(shape_mask *mask, es_error *err) {
    blocks b = {0};
    bool ok = blocks_make(mask, &b, err);
    if (ok) rank_pixels(&b, number_parts(&b), mask);
    blocks_clear(&b);
    return ok;
}

bool shape_mask_make(const es_still *still, float above, shape_mask *mask, es_error *err) {
    size_t n = (size_t)still->width * still->height;
    const float *high = still->high.data;
    *mask = (shape_mask){.width = still->width, .height = still->height};
    surround s = measure_surround(still);
    mask->dark = s.grey;
    mask->floor = s.grey + NOISE_SIGMAS * s.noise + above;
    mask->label = es_alloc(n, 1, err);
    if (!mask->label) return false;
    for (size_t i = 0; i < n; i++) mask->label[i] = high[i] > mask->floor;
    if (drop_overlay(still, 4 * s.range + .5F, mask, err) && join_parts(mask, err)) return true;
    shape_mask_clear(mask);
    return false;
}

void shape_mask_clear(shape_mask *mask) {
    es_free(mask->label);
    memset(mask, 0, sizeof *mask);
}
