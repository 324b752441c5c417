/* Frames that a wizard holds: so many at most, evenly over the time, and never so far
 * apart that poses could not be bridged. Whoever reads them holds them too, so that
 * nothing is copied twice and nobody waits. */
#ifndef ES_LIVE_WIZARD_STORE_H
#define ES_LIVE_WIZARD_STORE_H

#include "echosolid/image.h"

/* Frames are never changed once they are here. */
typedef struct wizard_held {
    int holders; /* guarded by the wizard's lock, as the list is */
    uint64_t bytes;
    es_frame frame;
} wizard_held;

typedef struct wizard_store {
    wizard_held **items;
    size_t count, capacity;
    size_t step; /* every step-th frame is taken */
    bool full;   /* no more is taken */
    uint64_t bytes;
} wizard_store;

typedef struct wizard_limits {
    size_t frames;
    uint64_t bytes;
    double apart_s; /* frames held are no further apart, in the mean; INFINITY: any */
} wizard_limits;

/* A copy of what is needed: no fields, and pixels only when asked for. */
wizard_held *wizard_held_new(const es_frame *frame, bool pixels, es_error *err);
void wizard_held_drop(wizard_held *held); /* one holder less; NULL is left alone */

/* Takes `held`; past the limits every second one goes, or, where they would be too far
 * apart, this one. */
bool wizard_store_add(wizard_store *store, wizard_held *held, const wizard_limits *limits,
                      es_error *err);
/* They once more, into an empty list: all, or about `most` of them evenly, but no
 * further apart than apart_s. */
bool wizard_store_hold(const wizard_store *store, const wizard_limits *limits, wizard_store *copy,
                       es_error *err);
void wizard_store_drop(wizard_store *store);

/* A source over the list, which must live longer. */
es_source *wizard_store_source(const wizard_store *store, es_error *err);

#endif
