/* The volume's three slices on the live page, and where they lie. */
#ifndef ES_LIVE_PAGE_SLICES_H
#define ES_LIVE_PAGE_SLICES_H

#include <pthread.h>

#include "echosolid/page.h"
#include "page_wire.h"

typedef struct page_slices {
    es_page_server *server; /* gets them, on this channel */
    int channel;
    pthread_mutex_t lock; /* guards all that follows */
    es_grid volume;       /* a copy of the newest one: slices are moved between two */
    bool placed;          /* by a page; else they follow the picture */
    es_vec3 at, middle;   /* mm: that place, and the picture's middle */
    double white;
    es_text bytes;
} page_slices;

void page_slices_init(page_slices *slices);
void page_slices_clear(page_slices *slices);
/* A new volume: its slices are sent. Where memory fails, the next one comes soon. */
void page_slices_volume(page_slices *slices, const es_grid *volume, es_vec3 middle, double white);
/* To a place in mm, NULL: with the picture again; sends them. */
void page_slices_move(page_slices *slices, const es_vec3 *at);
/* Whether they are at a place of their own. */
bool page_slices_place(page_slices *slices, es_vec3 *at);

#endif
