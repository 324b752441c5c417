/* Small bright marks on a still picture, candidates for a ruler's ticks. */
#ifndef ES_SPACING_MARKS_H
#define ES_SPACING_MARKS_H

#include "echosolid/spacing.h"

/* `along` the ruler: 0 u, 1 v. Everything in pixels of the picture. */
typedef struct mark {
    double at;           /* centre along the ruler, weighted by brightness */
    double left, right;  /* across the ruler: first and last pixel */
    double level, thick; /* mean brightness; pixels along the ruler */
    int beside;          /* 0, or the column (plus one) beside an axis line it was cut out of */
} mark;
typedef struct mark_list {
    mark *items;
    size_t count, capacity;
} mark_list;

/* Marks of a ruler along `axis` in the picture, brighter than `threshold`. */
bool marks_find(const es_image *still, int axis, float threshold, mark_list *list, es_error *err);
void marks_clear(mark_list *list);

#endif
