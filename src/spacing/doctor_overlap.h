/* Do pictures that cross the same place agree? */
#ifndef ECHOSOLID_SPACING_DOCTOR_OVERLAP_H
#define ECHOSOLID_SPACING_DOCTOR_OVERLAP_H

#include "doctor_internal.h"

typedef struct overlap overlap;
/* Takes the thumbs of the doctor's placed frames. NULL and no error (err->code
 * 0) when there are too few of them or nothing in them. */
overlap *overlap_new(const es_doctor *d, es_error *err);
void overlap_free(overlap *o);
size_t overlap_count(const overlap *o);                  /* pictures */
int64_t overlap_frame(const overlap *o, size_t picture); /* the frame of a picture */

typedef struct agreement {
    double r;      /* correlation of what different pictures show at one place */
    int64_t pairs; /* of places in pictures far apart in time */
    double share;  /* of the samples that met another picture */
} agreement;
/* `poses`: picture -> reference, mm, one per picture; `use` 0 leaves it out. */
agreement overlap_measure(overlap *o, const es_mat4 *poses, const uint8_t *use);

#endif
