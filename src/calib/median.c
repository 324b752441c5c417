/* Hoare's selection. */
#include "calib_internal.h"

#include <math.h>

static double select_rank(double *values, size_t count, size_t rank) {
    size_t low = 0, high = count - 1;
    while (low < high) {
        double pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;
        for (;;) {
            while (values[i] < pivot) i++;
            while (values[j] > pivot) j--;
            if (i >= j) break;
            double swap = values[i];
            values[i++] = values[j];
            values[j--] = swap;
        }
        if (rank <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[rank];
}

double calib_median(double *values, size_t count) {
    if (count == 0) return NAN;
    double upper = select_rank(values, count, count / 2);
    return count % 2 ? upper : 0.5 * (upper + select_rank(values, count, count / 2 - 1));
}
