/* Conjugate gradients: each step goes along a direction that no earlier step
 * undoes (conjugate in A), so that the product with A is all that is asked of
 * the matrix. */
#include "conjugate.h"

#include <string.h>

static double dot(const double *a, const double *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

void surface_conjugate(conjugate_product *product, void *context, size_t n, int steps_max,
                       double solved, double *rest, double *x) {
    double *way = rest + n, *image = way + n;
    memcpy(way, rest, n * sizeof *way);
    double square = dot(rest, rest, n), first = square;
    for (int step = 0; step < steps_max && square > solved * solved * first; step++) {
        product(context, way, image);
        double along = square / dot(way, image, n);
        for (size_t i = 0; i < n; i++) x[i] += along * way[i];
        for (size_t i = 0; i < n; i++) rest[i] -= along * image[i];
        double next = dot(rest, rest, n);
        for (size_t i = 0; i < n; i++) way[i] = rest[i] + next / square * way[i];
        square = next;
    }
}
