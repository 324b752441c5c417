/* Earlier states of a store, to go back to.
 *
 * A checkpoint holds nothing at first. Whatever brick a later batch changes is
 * copied before that, once after each checkpoint: so what is kept is what
 * changed, not the volume. Going back lays the copies back, the newest first, and
 * takes away the bricks that came since: their memory, cleared, is the first that
 * new bricks get. Copies' memory is used again too: a steady scan takes none. */
#include <string.h>

#include "recon_internal.h"

enum { FIRST_SAVED = 64 };

/* ---- copies ------------------------------------------------------------------ */

static void give_spare(undo_log *log, saved_cell *saved) {
    log->spare[log->spare_count++] = saved->state;
}

/* A buffer for one state; there is room in `spare` for every one that was made. */
static void *take_spare(store *s) {
    undo_log *log = &s->log;
    if (log->spare_count > 0) return log->spare[--log->spare_count];
    if (log->buffers == log->spare_capacity) {
        size_t capacity = 2 * log->buffers + FIRST_SAVED;
        if (!es_resize(&log->spare, capacity, sizeof *log->spare, NULL)) return NULL;
        log->spare_capacity = capacity;
    }
    void *state = es_alloc(1, s->state_bytes, NULL);
    log->buffers += state != NULL;
    return state;
}

/* ---- checkpoints ------------------------------------------------------------- */

static void forget_saved(undo_log *log, checkpoint *point) {
    for (size_t i = 0; i < point->count; i++) give_spare(log, &point->saved[i]);
    log->held -= point->count;
    point->count = 0;
}

static void forget_oldest(undo_log *log) {
    checkpoint oldest = log->points[0];
    forget_saved(log, &oldest);
    es_free(oldest.saved);
    memmove(log->points, log->points + 1, --log->count * sizeof *log->points);
}

static void forget_all(undo_log *log) {
    while (log->count > 0) forget_oldest(log);
}

void store_forget(store *s) {
    undo_log *log = &s->log;
    forget_all(log);
    for (size_t i = 0; i < log->spare_count; i++) es_free(log->spare[i]);
    es_free(log->spare);
    es_free(log->points);
    *log = (undo_log){0};
}

void store_checkpoint(store *s, const es_undo_limit *limit, const es_volume_stats *stats) {
    undo_log *log = &s->log;
    log->bytes = limit->bytes;
    while (log->count > 0 && log->count >= limit->checkpoints) forget_oldest(log);
    if (limit->checkpoints == 0) return;
    if (log->count == log->capacity) {
        size_t capacity = 2 * log->capacity + 8;
        if (!es_resize(&log->points, capacity, sizeof *log->points, NULL)) {
            forget_all(log);
            return;
        }
        log->capacity = capacity;
    }
    log->points[log->count++] =
        (checkpoint){.number = ++log->number, .settled = s->settled, .stats = *stats};
}

/* ---- before a batch ---------------------------------------------------------- */

static bool save_cell(store *s, checkpoint *point, size_t index) {
    cell *c = &s->cells[index];
    if (point->count == point->capacity) {
        size_t capacity = 2 * point->capacity + FIRST_SAVED;
        if (!es_resize(&point->saved, capacity, sizeof *point->saved, NULL)) return false;
        point->capacity = capacity;
    }
    void *state = take_spare(s);
    if (!state) return false;
    memcpy(state, c->state, s->state_bytes);
    point->saved[point->count++] = (saved_cell){index, c->most_hits, state};
    s->log.held++;
    c->saved = point->number;
    return true;
}

/* One more copy may be held, if need be in place of the oldest. */
static bool make_room(store *s) {
    undo_log *log = &s->log;
    const uint64_t most = log->bytes / s->state_bytes;
    while (log->held >= most && log->count > 1) forget_oldest(log);
    return log->held < most;
}

void store_save(store *s) {
    undo_log *log = &s->log;
    if (log->count == 0) return;
    for (size_t i = 0; i < s->touched_count; i++) {
        checkpoint *newest = &log->points[log->count - 1];
        const size_t index = s->touched[i];
        if (index >= newest->settled || s->cells[index].saved == newest->number) continue;
        if (make_room(s) && save_cell(s, &log->points[log->count - 1], index)) continue;
        forget_all(log);
        return;
    }
}

/* ---- back -------------------------------------------------------------------- */

/* A brick that two checkpoints hold gets the older copy last. */
static void lay_back(store *s, checkpoint *point) {
    for (size_t i = point->count; i-- > 0;) {
        const saved_cell *saved = &point->saved[i];
        memcpy(s->cells[saved->index].state, saved->state, s->state_bytes);
        s->cells[saved->index].most_hits = saved->most_hits;
    }
    forget_saved(&s->log, point);
    es_free(point->saved);
}

bool store_undo(store *s, size_t steps, es_volume_stats *stats) {
    undo_log *log = &s->log;
    if (steps > log->count) return false;
    if (steps == 0) return true;
    const size_t target = log->count - steps;
    const double insert_s = stats->insert_s;
    while (log->count > target + 1) lay_back(s, &log->points[--log->count]);
    checkpoint point = log->points[--log->count];
    lay_back(s, &point);
    store_shrink(s, point.settled);
    *stats = point.stats;
    stats->insert_s = insert_s; /* time that was spent is spent */
    return true;
}
