/* The peer's arithmetic: rounding of positions, 14-bit fixed point, and
 * elements that are stored as C++ stores them. */
#include <math.h>

#include "compat_internal.h"

/* Adding and taking away 1.5 * 2^36 leaves a multiple of 2^-16: doubles of
 * that size are 2^-16 apart. So a position a hair below a whole number counts
 * as that number. */
static double snap(double x) {
    const double large = 0x1.8p36;
    return (x + large) - large;
}

int64_t compat_floor(double x) { return (int64_t)floor(snap(x)); }
int64_t compat_nearest(double x) { return (int64_t)floor(snap(x) + 0.5); }

int32_t compat_fixed(double x) { return (int32_t)(uint32_t)llrint(x * 0x1p14); }
double compat_from_fixed(int32_t x) { return x * 0x1p-14; }

int64_t compat_whole(es_type type, const void *data, int64_t i) {
    switch (type) {
    case ES_U8: return ((const uint8_t *)data)[i];
    case ES_I8: return ((const int8_t *)data)[i];
    case ES_U16: return ((const uint16_t *)data)[i];
    case ES_I16: return ((const int16_t *)data)[i];
    case ES_U32: return ((const uint32_t *)data)[i];
    default: return ((const int32_t *)data)[i];
    }
}

void compat_put_whole(es_type type, void *data, int64_t i, int64_t value) {
    switch (type) {
    case ES_U8: ((uint8_t *)data)[i] = (uint8_t)value; break;
    case ES_I8: ((int8_t *)data)[i] = (int8_t)value; break;
    case ES_U16: ((uint16_t *)data)[i] = (uint16_t)value; break;
    case ES_I16: ((int16_t *)data)[i] = (int16_t)value; break;
    case ES_U32: ((uint32_t *)data)[i] = (uint32_t)value; break;
    default: ((int32_t *)data)[i] = (int32_t)value; break;
    }
}

void compat_put(es_type type, void *data, int64_t i, double value) {
    if (type == ES_F32)
        ((float *)data)[i] = (float)value;
    else if (type == ES_F64)
        ((double *)data)[i] = value;
    else
        compat_put_whole(type, data, i, (int64_t)value);
}
