/* What the calibrations share. */
#ifndef ECHOSOLID_CALIB_INTERNAL_H
#define ECHOSOLID_CALIB_INTERNAL_H

#include "echosolid/geom.h"

/* Median of `count` values, which are put into another order. NaN for none. */
double calib_median(double *values, size_t count);

/* Poses smoothed over five neighbours in time (smooth.c); gaps stay. */
void calib_smooth_track(const double *times, const es_mat4 *poses, size_t count, double max_gap,
                        es_mat4 *smooth);

#endif
