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

enum {
    BLOCK = 4,            /* parts are joined over gaps of up to a block */
    LEAST_FILLED = 2,     /* lit pixels that make a block part of something */
    LARGE_SHARE = 10,     /* a large part has this percentage of the largest one */
    STILL_FRAMES = 4,     /* fewer cannot tell overlay from echoes */
    OVERLAY_AREA = 600,   /* pixels of an unchanging part that is overlay by its size */
    OVERLAY_THICKNESS = 5 /* or by its thickness */
};

static float surround(const es_still *still) {
    size_t bins[64] = {0}, n = (size_t)still->width * still->height;
    const float *high = still->high.data;
    for (size_t i = 0; i < n; i++) {
        int bin = (int)lrintf(high[i]);
        if (bin >= 0 && bin < 64) bins[bin]++;
    }
    int best = 0;
    for (int b = 1; b < 64; b++)
        if (bins[b] > bins[best]) best = b;
    return (float)best;
}

/* A flood fill with its own stack; visits `from` and all that `inside` marks. */
typedef struct flood {
    uint32_t width, height;
    uint8_t *inside; /* 1: to visit; cleared while visiting */
    uint32_t *stack;
    size_t count;
    uint32_t u0, u1, v0, v1; /* box of the part */
} flood;

static void flood_push(flood *f, uint32_t u, uint32_t v) {
    size_t i = (size_t)v * f->width + u;
    if (!f->inside[i]) return;
    f->inside[i] = 0;
    f->stack[f->count++] = (uint32_t)i;
    if (u < f->u0) f->u0 = u;
    if (u > f->u1) f->u1 = u;
    if (v < f->v0) f->v0 = v;
    if (v > f->v1) f->v1 = v;
}

/* After this stack[0 .. count) are all places of the part. */
static void flood_fill(flood *f, uint32_t u, uint32_t v) {
    f->count = 0;
    f->u0 = f->v0 = UINT32_MAX;
    f->u1 = f->v1 = 0;
    flood_push(f, u, v);
    for (size_t done = 0; done < f->count; done++) {
        uint32_t x = f->stack[done] % f->width, y = f->stack[done] / f->width;
        for (uint32_t b = y ? y - 1 : 0; b <= y + 1 && b < f->height; b++)
            for (uint32_t a = x ? x - 1 : 0; a <= x + 1 && a < f->width; a++) flood_push(f, a, b);
    }
}

/* Takes small and thin unchanging parts out of the mask. */
static bool drop_overlay(const es_still *still, shape_mask *mask, es_error *err) {
    size_t n = (size_t)mask->width * mask->height, lit = 0, unchanging = 0;
    const float *low = still->low.data, *high = still->high.data;
    flood f = {mask->width,
               mask->height,
               es_alloc(n, 1, err),
               es_alloc(n, sizeof(uint32_t), err),
               0,
               0,
               0,
               0,
               0};
    bool ok = f.inside && f.stack;
    for (size_t i = 0; ok && i < n; i++) {
        f.inside[i] = mask->label[i] && high[i] - low[i] < .5F;
        lit += mask->label[i];
        unchanging += f.inside[i];
    }
    /* a recording of a probe at rest says nothing */
    bool tells = ok && still->frames >= STILL_FRAMES && unchanging * 5 < lit * 4;
    for (size_t i = 0; tells && i < n; i++) {
        if (!f.inside[i]) continue;
        flood_fill(&f, (uint32_t)(i % f.width), (uint32_t)(i / f.width));
        uint32_t wide = f.u1 - f.u0 + 1, tall = f.v1 - f.v0 + 1, length = wide > tall ? wide : tall;
        if (f.count > OVERLAY_AREA && f.count > (size_t)OVERLAY_THICKNESS * length) continue;
        for (size_t k = 0; k < f.count; k++) mask->label[f.stack[k]] = 0;
    }
    es_free(f.inside);
    es_free(f.stack);
    return ok;
}

/* Blocks of the mask: how many pixels are lit in each, and its part. */
typedef struct blocks {
    uint32_t width, height;
    uint16_t *filled;
    uint32_t *part;
    size_t *lit; /* of each part */
    flood flood;
} blocks;

static bool blocks_make(const shape_mask *mask, blocks *b, es_error *err) {
    b->width = (mask->width + BLOCK - 1) / BLOCK;
    b->height = (mask->height + BLOCK - 1) / BLOCK;
    size_t n = (size_t)b->width * b->height;
    b->filled = es_alloc_zero(n, sizeof *b->filled, err);
    b->part = es_alloc_zero(n, sizeof *b->part, err);
    b->lit = es_alloc_zero(n + 1, sizeof *b->lit, err);
    b->flood = (flood){
        b->width, b->height, es_alloc(n, 1, err), es_alloc(n, sizeof(uint32_t), err), 0, 0, 0,
        0,        0};
    if (!b->filled || !b->part || !b->lit || !b->flood.inside || !b->flood.stack) return false;
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
    es_free(b->flood.inside);
    es_free(b->flood.stack);
}

/* Numbers the parts; returns the one with most lit pixels, 0 when none is. */
static uint32_t number_parts(blocks *b) {
    uint32_t next = 1, best = 0;
    size_t n = (size_t)b->width * b->height;
    for (size_t i = 0; i < n; i++) {
        if (!b->flood.inside[i]) continue;
        flood_fill(&b->flood, (uint32_t)(i % b->width), (uint32_t)(i / b->width));
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
    mask->dark = surround(still);
    mask->floor = mask->dark + above;
    mask->label = es_alloc(n, 1, err);
    if (!mask->label) return false;
    for (size_t i = 0; i < n; i++) mask->label[i] = high[i] > mask->floor;
    if (drop_overlay(still, mask, err) && join_parts(mask, err)) return true;
    shape_mask_clear(mask);
    return false;
}

void shape_mask_clear(shape_mask *mask) {
    es_free(mask->label);
    memset(mask, 0, sizeof *mask);
}
