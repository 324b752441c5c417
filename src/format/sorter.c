/* Interleaved frames (all frames' first pixels, then all second ones, ...)
 * sorted into a scratch file, frame after frame.
 *
 * The input is read once, forward, in blocks of about 64 MB; of each block every
 * frame gets its part, which is one piece of that frame. */
#include <string.h>

#include "format_internal.h"

enum { BLOCK = 1 << 26 };

/* What frame f has in `count` steps: runs, a fixed distance apart. */
static void gather(const es_sort_plan *plan, const char *block, size_t bytes, uint64_t f,
                   char *to) {
    size_t distance = plan->run_bytes * (size_t)plan->frames;
    const char *from = block + f * plan->run_bytes;
    for (size_t at = 0; at < bytes; at += distance, from += distance, to += plan->run_bytes)
        memcpy(to, from, plan->run_bytes);
}

static bool sort_block(const es_sort_plan *plan, uint64_t start, size_t count, char *block,
                       char *part, es_scratch *to, es_error *err) {
    size_t bytes = count * plan->step_bytes, share = bytes / (size_t)plan->frames;
    uint64_t one = plan->step_bytes / plan->frames; /* bytes of a frame in a step */
    if (es_cancelled(err) || !plan->read(plan->self, start, count, block, err)) return false;
    for (uint64_t f = 0; f < plan->frames; f++) {
        gather(plan, block, bytes, f, part);
        if (!es_scratch_put(to, (f * plan->steps + start) * one, part, share, err)) return false;
    }
    return true;
}

es_scratch *es_frames_sort(const es_sort_plan *plan, es_error *err) {
    size_t most = plan->step_bytes < BLOCK ? BLOCK / plan->step_bytes : 1;
    if (most > plan->steps) most = (size_t)plan->steps;
    es_scratch *scratch = es_scratch_temporary(err);
    char *block = scratch ? es_alloc(most, plan->step_bytes, err) : NULL;
    char *part = block ? es_alloc(most, plan->step_bytes, err) : NULL;
    bool ok = part != NULL;
    for (uint64_t at = 0; ok && at < plan->steps; at += most) {
        size_t count = plan->steps - at < most ? (size_t)(plan->steps - at) : most;
        ok = sort_block(plan, at, count, block, part, scratch, err);
    }
    es_free(block);
    es_free(part);
    if (ok) return scratch;
    es_scratch_close(scratch);
    return NULL;
}
