/* Frames that a wizard holds. */
#include "wizard_store.h"

#include <string.h>

/* ---- one frame ----------------------------------------------------------------------- */

/* The parts of `frame` that are kept; its memory stays its own. */
static es_frame part_of(const es_frame *frame, bool pixels) {
    es_frame part = *frame;
    memset(&part.fields, 0, sizeof part.fields);
    if (!pixels) {
        memset(&part.image, 0, sizeof part.image);
        part.has_image = false;
    }
    return part;
}

/* An empty picture has nothing to copy. */
static bool copy_part(const es_frame *part, es_frame *to, es_error *err) {
    if (part->has_image) return es_frame_copy(part, to, err);
    for (size_t i = to->transform_count = 0; i < part->transform_count; i++) {
        const es_frame_transform *t = &part->transforms[i];
        if (!es_frame_set_transform(to, t->name, t->matrix, t->valid, err)) return false;
    }
    es_fields_clear(&to->fields);
    to->index = part->index;
    to->has_image = false;
    to->has_time = part->has_time;
    to->has_unfiltered_time = part->has_unfiltered_time;
    to->time_s = part->time_s;
    to->unfiltered_time_s = part->unfiltered_time_s;
    return true;
}

wizard_held *wizard_held_new(const es_frame *frame, bool pixels, es_error *err) {
    wizard_held *held = es_alloc_zero(1, sizeof *held, err);
    if (!held) return NULL;
    es_frame part = part_of(frame, pixels && frame->has_image);
    held->holders = 1;
    held->bytes = sizeof *held + part.transform_count * sizeof *part.transforms +
                  (part.has_image ? es_image_bytes(&part.image) : 0);
    if (copy_part(&part, &held->frame, err)) return held;
    wizard_held_drop(held);
    return NULL;
}

void wizard_held_drop(wizard_held *held) {
    if (!held || --held->holders > 0) return;
    es_frame_clear(&held->frame);
    es_free(held);
}

/* ---- the list ------------------------------------------------------------------------ */

static void thin(wizard_store *s) {
    size_t kept = 0;
    s->bytes = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (i % 2) {
            wizard_held_drop(s->items[i]);
            continue;
        }
        s->bytes += s->items[i]->bytes;
        s->items[kept++] = s->items[i];
    }
    s->count = kept;
    s->step *= 2;
}

static bool make_room(wizard_store *s, size_t count, es_error *err) {
    if (count <= s->capacity) return true;
    size_t capacity = s->capacity ? 2 * s->capacity : 64;
    if (capacity < count) capacity = count;
    if (!es_resize(&s->items, capacity, sizeof *s->items, err)) return false;
    s->capacity = capacity;
    return true;
}

/* Mean distance in time; 0 where it is not known. */
static double apart_s(const wizard_store *s) {
    if (s->count < 2) return 0;
    const es_frame *first = &s->items[0]->frame, *last = &s->items[s->count - 1]->frame;
    if (!first->has_time || !last->has_time) return 0;
    return (last->time_s - first->time_s) / (double)(s->count - 1);
}

bool wizard_store_add(wizard_store *s, wizard_held *held, const wizard_limits *limits,
                      es_error *err) {
    if (s->step == 0) s->step = 1;
    if (s->full || !make_room(s, s->count + 1, err)) {
        wizard_held_drop(held);
        return s->full;
    }
    s->items[s->count++] = held;
    s->bytes += held->bytes;
    while (s->count > limits->frames || s->bytes > limits->bytes) {
        s->full = s->count < 2 || 2 * apart_s(s) > limits->apart_s;
        if (!s->full) {
            thin(s);
            continue;
        }
        s->bytes -= held->bytes;
        wizard_held_drop(s->items[--s->count]);
    }
    return true;
}

bool wizard_store_hold(const wizard_store *s, const wizard_limits *limits, wizard_store *copy,
                       es_error *err) {
    size_t every = 1;
    while (s->count / (2 * every) >= limits->frames &&
           2 * (double)every * apart_s(s) <= limits->apart_s)
        every *= 2;
    if (!make_room(copy, s->count / every + 1, err)) return false;
    for (size_t i = 0; i < s->count; i += every) {
        copy->items[copy->count++] = s->items[i];
        s->items[i]->holders++;
    }
    return true;
}

void wizard_store_drop(wizard_store *s) {
    for (size_t i = 0; i < s->count; i++) wizard_held_drop(s->items[i]);
    es_free(s->items);
    memset(s, 0, sizeof *s);
}

/* ---- as a recording ------------------------------------------------------------------ */

typedef struct reader {
    const wizard_store *store;
    size_t next;
} reader;

static bool next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    reader *r = self;
    *end = r->next == r->store->count;
    if (*end) return true;
    size_t index = r->next++;
    const es_frame *from = &r->store->items[index]->frame;
    es_frame part = part_of(from, (flags & ES_READ_PIXELS) && from->has_image);
    part.index = (int64_t)index;
    return copy_part(&part, frame, err);
}

static bool rewind_store(void *self, es_error *err) {
    (void)err;
    ((reader *)self)->next = 0;
    return true;
}

es_source *wizard_store_source(const wizard_store *store, es_error *err) {
    static const es_source_ops ops = {next, rewind_store, es_free};
    es_stream_info info = {.frame_count = (int64_t)store->count,
                           .channels = 1,
                           .spacing_mm = {1, 1},
                           .format = "live"};
    for (size_t i = 0; i < store->count && info.width == 0; i++) {
        const es_frame *f = &store->items[i]->frame;
        if (!f->has_image) continue;
        info.width = f->image.width;
        info.height = f->image.height;
        info.type = f->image.type;
        info.channels = f->image.channels;
    }
    reader *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->store = store;
    return es_source_new(&ops, r, &info, err);
}
