/* Symmetric positive systems, solved through products alone. */
#ifndef ECHOSOLID_SURFACE_CONJUGATE_H
#define ECHOSOLID_SURFACE_CONJUGATE_H

#include <stddef.h>

/* out = A x */
typedef void conjugate_product(void *context, const double *x, double *out);

/* x += y with A y = rest, n unknowns each, by conjugate gradients (Hestenes and Stiefel
 * 1952): steps_max steps, or until what is left over is `solved` of what it was. `rest` has
 * the right side and room for three vectors, which are overwritten. */
void surface_conjugate(conjugate_product *product, void *context, size_t n, int steps_max,
                       double solved, double *rest, double *x);

#endif
