/* Bricks of private state, found by a hash of their coordinates. A batch of
 * frames first touches all the bricks it needs; only when they are known to
 * fit the memory limit do the new ones get their state, so that a refusal can
 * name the whole size and leaves everything as it was. */
#include <math.h>
#include <string.h>

#include "recon_internal.h"

enum { FIRST_CAPACITY = 256 };

/* SplitMix64's finaliser (Steele, Lea and Flood 2014) over the coordinates. */
static size_t hash_of(const int32_t at[3]) {
    uint64_t h = (uint64_t)(uint32_t)at[0] | (uint64_t)(uint32_t)at[1] << 32;
    h ^= (uint64_t)(uint32_t)at[2] * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    return (size_t)(h ^ (h >> 31));
}

static size_t find_slot(const store *s, const int32_t at[3]) {
    size_t slot = hash_of(at) & s->slot_mask;
    while (s->slots[slot] != 0 && memcmp(s->cells[s->slots[slot] - 1].at, at, 3 * sizeof *at) != 0)
        slot = (slot + 1) & s->slot_mask;
    return slot;
}

static void fill_slots(store *s) {
    memset(s->slots, 0, (s->slot_mask + 1) * sizeof *s->slots);
    for (size_t i = 0; i < s->count; i++) s->slots[find_slot(s, s->cells[i].at)] = i + 1;
}

static bool reserve(store *s, size_t capacity, es_error *err) {
    if (!es_resize(&s->cells, capacity, sizeof *s->cells, err)) return false;
    size_t *slots = es_alloc(capacity, 2 * sizeof *slots, err);
    if (!slots) return false;
    es_free(s->slots);
    s->slots = slots;
    s->slot_mask = 2 * capacity - 1;
    s->capacity = capacity;
    fill_slots(s);
    return true;
}

bool store_init(store *s, size_t state_bytes, uint64_t limit, es_error *err) {
    *s = (store){.state_bytes = state_bytes, .limit = limit};
    if (limit == 0) s->limit = es_memory_free() / 4 * 3;
    return reserve(s, FIRST_CAPACITY, err);
}

void store_clear(store *s) {
    for (size_t i = 0; i < s->count; i++) es_free(s->cells[i].state);
    es_free(s->cells);
    es_free(s->slots);
    es_free(s->touched);
    *s = (store){0};
}

/* ---- a batch ------------------------------------------------------------- */

static bool refuse(const store *s, bool all_known, const double spacing_mm[3], es_error *err) {
    const double gib = 1024. * 1024 * 1024;
    double needed = (double)s->count * (double)s->state_bytes;
    /* The bricks that a sweep touches grow with the inverse cube of the voxel. */
    double scale = cbrt(needed / (double)s->limit) * 1.05;
    return es_fail(err, ES_MEMORY,
                   "the volume needs %s%.3g GiB (%zu bricks) so far, more than the limit of %.3g "
                   "GiB; a spacing of about %.2g x %.2g x %.2g mm would fit%s, or give an extent "
                   "or a higher limit",
                   all_known ? "" : "more than ", needed / gib, s->count, (double)s->limit / gib,
                   spacing_mm[0] * scale, spacing_mm[1] * scale, spacing_mm[2] * scale,
                   all_known ? "" : " this part");
}

static bool add_touched(store *s, size_t index, es_error *err) {
    if (s->touched_count == s->touched_capacity) {
        size_t capacity = s->touched_capacity ? 2 * s->touched_capacity : FIRST_CAPACITY;
        if (!es_resize(&s->touched, capacity, sizeof *s->touched, err)) return false;
        s->touched_capacity = capacity;
    }
    s->touched[s->touched_count++] = index;
    return true;
}

bool store_touch(store *s, const int32_t at[3], int frame, es_error *err) {
    size_t slot = find_slot(s, at);
    if (s->slots[slot] == 0) {
        if (s->count == s->capacity) {
            if (!reserve(s, 2 * s->capacity, err)) return false;
            slot = find_slot(s, at);
        }
        s->cells[s->count] = (cell){.at = {at[0], at[1], at[2]}};
        s->slots[slot] = ++s->count;
    }
    size_t index = s->slots[slot] - 1;
    if (s->cells[index].frames == 0 && !add_touched(s, index, err)) return false;
    s->cells[index].frames |= (uint64_t)1 << frame;
    return true;
}

void store_drop_idle(store *s) {
    size_t kept = 0, next = s->settled; /* new cells stand in the order of `touched` */
    /* Taken back in reverse order, new cells leave no gap in other cells' way. */
    for (size_t i = s->count; i-- > s->settled;) s->slots[find_slot(s, s->cells[i].at)] = 0;
    for (size_t i = 0; i < s->touched_count; i++) {
        size_t index = s->touched[i];
        if (s->cells[index].frames == 0) continue;
        if (index >= s->settled) {
            s->cells[next] = s->cells[index];
            index = next++;
        }
        s->touched[kept++] = index;
    }
    s->touched_count = kept;
    s->count = next;
    for (size_t i = s->settled; i < next; i++) s->slots[find_slot(s, s->cells[i].at)] = i + 1;
}

const cell *store_find(const store *s, const int32_t at[3]) {
    size_t position = s->slots[find_slot(s, at)];
    return position ? &s->cells[position - 1] : NULL;
}

bool store_past_limit(const store *s) { return s->count > s->limit / s->state_bytes; }

void store_clear_fresh(const store *s, cell *c) {
    if (c->fresh) memset(c->state, 0, s->state_bytes);
    c->fresh = false;
}

bool store_settle(store *s, const double spacing_mm[3], es_error *err) {
    if (store_past_limit(s)) return refuse(s, !store_hopeless(s), spacing_mm, err);
    const size_t first = s->settled;
    while (s->settled < s->count) {
        cell *c = &s->cells[s->settled];
        c->state = es_alloc(1, s->state_bytes, err);
        if (!c->state) break;
        c->fresh = true;
        s->settled++;
    }
    if (s->settled == s->count) return true;
    for (size_t i = first; i < s->settled; i++) store_clear_fresh(s, &s->cells[i]);
    return false;
}

bool store_hopeless(const store *s) { return s->count / 4 > s->limit / s->state_bytes; }

void store_end_batch(store *s) {
    for (size_t i = 0; i < s->touched_count; i++) s->cells[s->touched[i]].frames = 0;
    s->touched_count = 0;
    if (s->count == s->settled) return;
    s->count = s->settled;
    fill_slots(s);
}
