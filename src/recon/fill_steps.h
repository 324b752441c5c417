/* One brick through all the steps; included once for each kind of processor. */
#ifndef RECON_FILL_STEPS_H
#define RECON_FILL_STEPS_H

#include "fill_gaussian.h"
#include "fill_nearest.h"
#include "fill_stick.h"

static void apply_step(const fill_method *method, fill_room *room, fill_result *result) {
    switch (method->step.kind) {
    case ES_FILL_STICK: fill_by_stick(method, room, result); break;
    case ES_FILL_GAUSSIAN:
    case ES_FILL_GAUSSIAN_ACCUMULATION: fill_by_gaussian(method, room, result); break;
    case ES_FILL_INVERSE_DISTANCE: fill_by_distance(method, room, result); break;
    case ES_FILL_NEAREST: fill_by_nearest(method, room, result); break;
    }
}

static uint64_t count_bits(const fill_slice slices[ES_BRICK]) {
    uint64_t count = 0;
    for (int z = 0; z < ES_BRICK; z++)
        for (int i = 0; i < FILL_WORDS; i++) count += (uint64_t)__builtin_popcountll(slices[z][i]);
    return count;
}

static void fill_brick(const fill_method *methods, int count, const store *cells,
                       const int32_t at[3], fill_room *room, fill_result *result) {
    const fill_bits *bits = store_find(cells, at)->state;
    memset(result->filled, 0, sizeof result->filled);
    memcpy(result->holes, bits->seen, sizeof result->holes);
    for (int z = 0; z < ES_BRICK; z++) result->holes[z] = ~result->holes[z];
    result->hole_count = count_bits(result->holes);
    bool any = result->hole_count > 0 && gather_window(&room->window, cells, at);
    if (any) cut_holes(&room->window, result->holes);
    memcpy(result->open, result->holes, sizeof result->open);
    uint64_t left = any ? count_bits(result->open) : 0;
    for (int s = 0; s < count && left > 0; s++) {
        apply_step(&methods[s], room, result);
        uint64_t now = count_bits(result->open);
        result->filled[s] = left - now;
        left = now;
    }
}

/* Value and weight 1 of the holes that were filled, 0 elsewhere. */
static void write_brick(const fill_result *result, es_brick *out) {
    const ints one = (ints)((floats){0} + 1.0f);
    for (int i = 0; i < ES_BRICK_VOXELS; i += LANES) {
        const int z = i / FILL_AREA, y = i / ES_BRICK % ES_BRICK;
        const unsigned filled =
            fill_row_bits(&result->holes[z], y) & ~fill_row_bits(&result->open[z], y);
        ints mask;
        make_mask(filled >> i % ES_BRICK, &mask);
        *(ints *)(out->value + i) = *(const ints *)(result->value + i) & mask;
        *(ints *)(out->weight + i) = one & mask;
    }
}

#endif
