/* Inside the view: its two halves. */
#ifndef ES_PIPELINE_VIEW_INTERNAL_H
#define ES_PIPELINE_VIEW_INTERNAL_H

#include <jansson.h>

#include "echosolid/view.h"

struct es_view {
    json_t *head;  /* with the array "meshes", and "volume" when there is one */
    es_text bytes; /* the arrays one behind the other */
};

/* Appends `count` numbers of `size` (1, 2 or 4) bytes, at a multiple of 4;
 * returns {"kind", "offset", "count"}, NULL when memory ran out. */
json_t *view_put(es_view *view, const uint32_t *numbers, size_t count, int size);
json_t *view_put_bytes(es_view *view, const uint8_t *bytes, size_t count);
/* The three components as an array. */
json_t *view_vector(double x, double y, double z);
/* Sets or appends; false, with ES_MEMORY, when value is NULL or cannot be taken. */
bool view_set(json_t *object, const char *key, json_t *value, es_error *err);

/* In place: at most so many triangles; no corner moves by more than *within_mm. */
bool view_cluster(es_mesh *mesh, size_t triangles, double *within_mm, es_error *err);

#endif
