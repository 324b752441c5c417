/* What the calibrations share. */
#ifndef ECHOSOLID_CALIB_INTERNAL_H
#define ECHOSOLID_CALIB_INTERNAL_H

#include <stddef.h>

/* Median of `count` values, which are put into another order. NaN for none. */
double calib_median(double *values, size_t count);

#endif
