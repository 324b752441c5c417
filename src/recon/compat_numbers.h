/* The arithmetic of the compatibility mode: rounding of positions, 14-bit fixed
 * point, and elements that are stored as C++ stores them. */
#ifndef COMPAT_NUMBERS_H
#define COMPAT_NUMBERS_H

#include <math.h>

#include "echosolid/image.h"

/* ---- positions ------------------------------------------------------------------ */

/* Adding and taking away 1.5 * 2^36 leaves a multiple of 2^-16: doubles of
 * that size are 2^-16 apart. So a position a hair below a whole number counts
 * as that number. */
static inline double compat_snap(double x) {
    const double large = 0x1.8p36;
    return (x + large) - large;
}

static inline int64_t compat_floor(double x) {
    double snapped = compat_snap(x);
    int64_t whole = (int64_t)snapped;
    return whole - (snapped < (double)whole);
}
static inline int64_t compat_nearest(double x) { return compat_floor(compat_snap(x) + 0.5); }

/* 14-bit fixed point: the nearest step (ties to even), kept in 32 bits. */
static inline int32_t compat_fixed(double x) { return (int32_t)(uint32_t)llrint(x * 0x1p14); }
static inline double compat_from_fixed(int32_t x) { return x * 0x1p-14; }

/* ---- elements of an array as numbers ------------------------------------------- */

static inline bool compat_is_float(es_type type) { return type == ES_F32 || type == ES_F64; }

/* Whole-number types only. */
static inline int64_t compat_whole(es_type type, const void *data, int64_t i) {
    switch (type) {
    case ES_U8: return ((const uint8_t *)data)[i];
    case ES_I8: return ((const int8_t *)data)[i];
    case ES_U16: return ((const uint16_t *)data)[i];
    case ES_I16: return ((const int16_t *)data)[i];
    case ES_U32: return ((const uint32_t *)data)[i];
    default: return ((const int32_t *)data)[i];
    }
}

/* Keeps the low bits. */
static inline void compat_put_whole(es_type type, void *data, int64_t i, int64_t value) {
    switch (type) {
    case ES_U8: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case ES_I8: ((int8_t *)data)[i] = (int8_t)value; break;
    case ES_U16: ((uint16_t *)data)[i] = (uint16_t)value; break;
    case ES_I16: ((int16_t *)data)[i] = (int16_t)value; break;
    case ES_U32: ((uint32_t *)data)[i] = (uint32_t)value; break;
    default: ((int32_t *)data)[i] = (int32_t)value; break;
    }
}

static inline double compat_number(es_type type, const void *data, int64_t i) {
    if (type == ES_F32) return ((const float *)data)[i];
    if (type == ES_F64) return ((const double *)data)[i];
    return (double)compat_whole(type, data, i);
}

/* Cuts towards zero. */
static inline void compat_put(es_type type, void *data, int64_t i, double value) {
    if (type == ES_F32)
        ((float *)data)[i] = (float)value;
    else if (type == ES_F64)
        ((double *)data)[i] = value;
    else
        compat_put_whole(type, data, i, (int64_t)value);
}

#endif
