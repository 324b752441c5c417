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

/* What a copy of the cell takes. */
static uint64_t copy_bytes(const store *s, const void *deep) {
    return s->state_bytes + (deep ? s->deep_bytes : 0);
}

static void give_spare(store *s, saved_cell *saved) {
    undo_log *log = &s->log;
    log->spare[log->spare_count++] = saved->state;
    log->held -= copy_bytes(s, saved->deep);
    log->deep_count -= saved->deep != NULL;
    es_free(saved->deep);
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

static void forget_saved(store *s, checkpoint *point) {
    for (size_t i = 0; i < point->count; i++) give_spare(s, &point->saved[i]);
    point->count = 0;
}

static void forget_oldest(store *s) {
    undo_log *log = &s->log;
    checkpoint oldest = log->points[0];
    forget_saved(s, &oldest);
    es_free(oldest.saved);
    memmove(log->points, log->points + 1, --log->count * sizeof *log->points);
}

static void forget_all(store *s) {
    while (s->log.count > 0) forget_oldest(s);
}

void store_forget(store *s) {
    undo_log *log = &s->log;
    forget_all(s);
    for (size_t i = 0; i < log->spare_count; i++) es_free(log->spare[i]);
    es_free(log->spare);
    es_free(log->points);
    *log = (undo_log){0};
}

void store_checkpoint(store *s, const es_undo_limit *limit, const es_volume_stats *stats) {
    undo_log *log = &s->log;
    log->bytes = limit->bytes;
    while (log->count > 0 && log->count >= limit->checkpoints) forget_oldest(s);
    if (limit->checkpoints == 0) return;
    if (log->count == log->capacity) {
        size_t capacity = 2 * log->capacity + 8;
        if (!es_resize(&log->points, capacity, sizeof *log->points, NULL)) {
            forget_all(s);
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
    saved_cell copy = {.index = index, .most_hits = c->most_hits, .deep_hits = c->deep_hits};
    if (c->deep && !(copy.deep = es_alloc(1, s->deep_bytes, NULL))) return false;
    if (!(copy.state = take_spare(s))) {
        es_free(copy.deep);
        return false;
    }
    memcpy(copy.state, c->state, s->state_bytes);
    if (copy.deep) memcpy(copy.deep, c->deep, s->deep_bytes);
    point->saved[point->count++] = copy;
    s->log.held += copy_bytes(s, copy.deep);
    s->log.deep_count += copy.deep != NULL;
    c->saved = point->number;
    return true;
}

/* A copy of the cell may be held, if need be in place of the oldest. */
static bool make_room(store *s, const cell *c) {
    undo_log *log = &s->log;
    const uint64_t more = copy_bytes(s, c->deep);
    while (log->held + more > log->bytes && log->count > 1) forget_oldest(s);
    return log->held + more <= log->bytes;
}

void store_save(store *s) {
    undo_log *log = &s->log;
    if (log->count == 0) return;
    for (size_t i = 0; i < s->touched_count; i++) {
        checkpoint *newest = &log->points[log->count - 1];
        const size_t index = s->touched[i];
        if (index >= newest->settled || s->cells[index].saved == newest->number) continue;
        if (make_room(s, &s->cells[index]) && save_cell(s, &log->points[log->count - 1], index))
            continue;
        forget_all(s);
        return;
    }
}

/* ---- back -------------------------------------------------------------------- */

static void lay_cell_back(store *s, const saved_cell *saved) {
    cell *c = &s->cells[saved->index];
    memcpy(c->state, saved->state, s->state_bytes);
    if (saved->deep)
        memcpy(c->deep, saved->deep, s->deep_bytes);
    else
        store_drop_deep(s, c);
    c->most_hits = saved->most_hits;
    c->deep_hits = saved->deep_hits;
}

/* A brick that two checkpoints hold gets the older copy last. */
static void lay_back(store *s, checkpoint *point) {
    for (size_t i = point->count; i-- > 0;) lay_cell_back(s, &point->saved[i]);
    forget_saved(s, point);
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

uint64_t store_undo_bytes(const store *s) {
    const undo_log *log = &s->log;
    return log->buffers * (uint64_t)s->state_bytes + log->deep_count * (uint64_t)s->deep_bytes;
}
