/* Bricks of private state, found by a hash of their coordinates. A batch of
 * frames first touches all the bricks it needs; only when they are known to
 * fit the memory limit do the new ones get their state, so that a refusal can
 * name the whole size and leaves everything as it was.
 *
 * States stand side by side in large blocks, for which huge pages are asked:
 * a page fault for every 4 kB of a volume takes as long as a quarter of the
 * insertion. Blocks come cleared from the system, when they are first touched; but for
 * the first, small ones they are large, for what is not touched takes no memory. */
#include <math.h>
#include <string.h>

#include "recon_internal.h"

enum {
    FIRST_CAPACITY = 256,
    LARGE_BLOCK = 33 << 20, /* always taken from the system: there once it is touched */
    HUGE_PAGE = 2 << 20,
    SMALL_PAGE = 4096,
    CACHE_LINE = 64
};

static size_t find_slot(const store *s, const int32_t at[3]) {
    size_t slot = es_place_hash(at) & s->slot_mask;
    while (s->slots[slot] != 0 && memcmp(s->cells[s->slots[slot] - 1].at, at, 3 * sizeof *at) != 0)
        slot = (slot + 1) & s->slot_mask;
    return slot;
}

static void fill_slots(store *s) {
    memset(s->slots, 0, (s->slot_mask + 1) * sizeof *s->slots);
    for (size_t i = 0; i < s->count; i++) s->slots[find_slot(s, s->cells[i].at)] = i + 1;
}

static bool reserve(store *s, size_t capacity, es_error *err) {
    if (!es_resize(&s->cells, capacity, sizeof *s->cells, err) ||
        !es_resize(&s->idle, capacity, sizeof *s->idle, err))
        return false;
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

void store_drop_deep(store *s, cell *c) {
    s->deep_count -= c->deep != NULL;
    es_free(c->deep);
    c->deep = NULL;
    c->deep_hits = 0;
}

void store_clear(store *s) {
    for (size_t i = 0; i < s->settled; i++) store_drop_deep(s, &s->cells[i]);
    for (size_t i = 0; i < s->slabs.count; i++) es_free(s->slabs.blocks[i]);
    for (size_t i = 0; i < s->deep_spare_count; i++) es_free(s->deep_spare[i]);
    store_forget(s);
    es_free(s->deep_spare);
    es_free(s->slabs.blocks);
    es_free(s->idle);
    es_free(s->cells);
    es_free(s->slots);
    es_free(s->touched);
    *s = (store){0};
}

/* ---- a batch ------------------------------------------------------------- */

static bool refuse(const store *s, bool all_known, const double spacing_mm[3], es_error *err) {
    const double gib = 1024. * 1024 * 1024;
    double needed = (double)s->count * (double)s->state_bytes +
                    (double)(s->deep_count + s->deep_wanted) * (double)s->deep_bytes;
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

/* Bricks that would take as much memory, deep parts included, spare ones too. */
static uint64_t bricks_wanted(const store *s) {
    const size_t more = s->deep_wanted > s->deep_spare_count ? s->deep_wanted : s->deep_spare_count;
    const uint64_t deep = (uint64_t)(s->deep_count + more) * s->deep_bytes;
    return s->count + (deep + s->state_bytes - 1) / s->state_bytes;
}

bool store_past_limit(const store *s) { return bricks_wanted(s) > s->limit / s->state_bytes; }

uint64_t store_bytes(const store *s) {
    return s->settled * (uint64_t)s->state_bytes + s->deep_count * (uint64_t)s->deep_bytes;
}

/* ---- states ---------------------------------------------------------------- */

static size_t state_stride(const store *s) {
    return (s->state_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

/* A block for `needed` states, or as many as there are, or a large one, if the limit
 * allows, so that blocks are few. */
static bool add_block(store *s, size_t needed, es_error *err) {
    slab_list *slabs = &s->slabs;
    const size_t stride = state_stride(s), large = LARGE_BLOCK / stride;
    const uint64_t most = s->limit / s->state_bytes, taken = slabs->states;
    const size_t allowed = most > taken ? (size_t)(most - taken) : 0;
    const size_t least = slabs->states > needed ? slabs->states : needed;
    size_t states = least < HUGE_PAGE / stride ? least : large;
    if (states > allowed) states = allowed;
    if (states < needed) states = needed;
    if (slabs->count == slabs->capacity) {
        if (!es_resize(&slabs->blocks, 2 * slabs->capacity + 8, sizeof *slabs->blocks, err))
            return false;
        slabs->capacity = 2 * slabs->capacity + 8;
    }
    size_t bytes;
    if (!es_multiply(states, stride, &bytes))
        return es_fail(err, ES_MEMORY, "%zu bricks are more than memory can hold", states);
    char *block = es_alloc_large(1, bytes + CACHE_LINE, err);
    if (!block) return false;
    slabs->blocks[slabs->count++] = block;
    slabs->next = block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE;
    slabs->cold = slabs->next;
    slabs->left = states;
    slabs->states += states;
    return true;
}

/* A cleared state that nobody has, for the cell `settled`. */
static void *take_state(store *s, es_error *err) {
    if (s->idle_count > 0) return s->idle[--s->idle_count];
    if (s->slabs.left == 0 && !add_block(s, s->count - s->settled, err)) return NULL;
    void *state = s->slabs.next;
    s->slabs.next += state_stride(s);
    s->slabs.left--;
    return state;
}

bool store_settle(store *s, const double spacing_mm[3], es_error *err) {
    if (store_past_limit(s)) return refuse(s, !store_hopeless(s), spacing_mm, err);
    for (; s->settled < s->count; s->settled++)
        if (!(s->cells[s->settled].state = take_state(s, err))) return false;
    return true;
}

static void *make_deep(store *s, es_error *err) {
    if (s->deep_spare_count > 0) return s->deep_spare[--s->deep_spare_count];
    if (!es_resize(&s->deep_spare, s->deep_made + 1, sizeof *s->deep_spare, err)) return NULL;
    void *deep = es_alloc_zero(1, s->deep_bytes, err);
    s->deep_made += deep != NULL;
    return deep;
}

bool store_deepen(store *s, cell *c, es_error *err) {
    if (!(c->deep = make_deep(s, err))) return false;
    s->deep_count++;
    return true;
}

static void take_unused_deep(store *s, cell *c) {
    if (!c->deep || c->deep_hits > 0) return;
    s->deep_spare[s->deep_spare_count++] = c->deep;
    s->deep_count--;
    c->deep = NULL;
}

void store_shrink(store *s, size_t settled) {
    while (s->settled > settled) {
        void *state = s->cells[--s->settled].state;
        store_drop_deep(s, &s->cells[s->settled]);
        memset(state, 0, s->state_bytes);
        s->idle[s->idle_count++] = state;
    }
    s->count = settled;
    fill_slots(s);
}

/* Bytes from `at` to the next huge page. */
static size_t rest_of_page(const char *at) { return HUGE_PAGE - (uintptr_t)at % HUGE_PAGE; }

/* The part of huge page `index` that new states lie in, from the first cold one on. */
static void touch_page(void *context, size_t index, int worker) {
    const slab_list *slabs = context;
    const size_t bytes = (size_t)(slabs->next - slabs->cold), first = rest_of_page(slabs->cold);
    const size_t from = index == 0 ? 0 : first + (index - 1) * HUGE_PAGE;
    const size_t end = first + index * HUGE_PAGE, to = end < bytes ? end : bytes;
    (void)worker;
    for (size_t at = from; at < to; at += SMALL_PAGE) *(volatile char *)(slabs->cold + at) = 0;
}

void store_warm(store *s, es_pool *pool) {
    slab_list *slabs = &s->slabs;
    if (es_pool_threads(pool) == 1 || slabs->next <= slabs->cold) return;
    const size_t bytes = (size_t)(slabs->next - slabs->cold), first = rest_of_page(slabs->cold);
    const size_t pages = bytes <= first ? 1 : 1 + (bytes - first + HUGE_PAGE - 1) / HUGE_PAGE;
    es_pool_run(pool, pages, touch_page, slabs);
    const size_t room = slabs->left * state_stride(s), rest = rest_of_page(slabs->next);
    slabs->cold = slabs->next + (rest < room ? rest : room);
}

bool store_hopeless(const store *s) { return s->count / 4 > s->limit / s->state_bytes; }

void store_end_batch(store *s) {
    s->deep_wanted = 0;
    for (size_t i = 0; i < s->touched_count; i++) {
        s->cells[s->touched[i]].frames = 0;
        take_unused_deep(s, &s->cells[s->touched[i]]);
    }
    s->touched_count = 0;
    if (s->count == s->settled) return;
    s->count = s->settled;
    fill_slots(s);
}
