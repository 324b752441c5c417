/* The texts of the live page, embedded at build (cmake/live_pages.cmake): inside
 * the room. */
#ifndef ES_LIVE_PAGES_H
#define ES_LIVE_PAGES_H

#include "echosolid/page.h"

extern const es_page live_pages[];
extern const size_t live_page_count;
extern const bool live_pages_have_scene;

#endif
