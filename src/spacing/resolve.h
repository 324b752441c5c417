/* Inside the resolver: the numbers (resolve.c) and the words (words.c). */
#ifndef ES_SPACING_RESOLVE_H
#define ES_SPACING_RESOLVE_H

#include "echosolid/spacing.h"

typedef struct resolution {
    const es_evidence_list *evidence;
    const es_spacing_hints *hints;
    es_spacing_verdict *verdict;
    bool borrowed[2]; /* the axis took the other's value */
    bool contradicted;
    double width_apart; /* a lone array width against what is down, ln; 0: no doubt */
    char speed[400];    /* what the speed of sound did; "" nothing */
} resolution;

/* Counts for an axis: a finite value and sigma, no suspect, no bound. */
bool evidence_usable(const es_evidence *evidence, int axis);

/* Corrects the axial direction where a speed of sound was given. */
bool resolve_speed(resolution *r, es_error *err);
void resolve_ask(resolution *r);
bool resolve_words(resolution *r, es_error *err);

/* How the note of a depth begins that may count from two places: the summary repeats it. */
#define TWO_READINGS "two readings are left: "

#endif
