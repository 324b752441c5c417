/* Pixel types: sizes, names, ranges, single elements as doubles. */
#include <float.h>
#include <math.h>

#include "echosolid/image.h"

static const struct {
    const char *name;
    size_t size;
    double low, high;
} types[] = {
    [ES_U8] = {"u8", 1, 0, UINT8_MAX},        [ES_I8] = {"i8", 1, INT8_MIN, INT8_MAX},
    [ES_U16] = {"u16", 2, 0, UINT16_MAX},     [ES_I16] = {"i16", 2, INT16_MIN, INT16_MAX},
    [ES_U32] = {"u32", 4, 0, UINT32_MAX},     [ES_I32] = {"i32", 4, INT32_MIN, INT32_MAX},
    [ES_F32] = {"f32", 4, -FLT_MAX, FLT_MAX}, [ES_F64] = {"f64", 8, -DBL_MAX, DBL_MAX},
};

size_t es_type_size(es_type type) { return types[type].size; }
const char *es_type_name(es_type type) { return types[type].name; }

void es_type_range(es_type type, double *low, double *high) {
    *low = types[type].low;
    *high = types[type].high;
}

double es_type_get(es_type type, const void *data, size_t index) {
    switch (type) {
    case ES_U8: return ((const uint8_t *)data)[index];
    case ES_I8: return ((const int8_t *)data)[index];
    case ES_U16: return ((const uint16_t *)data)[index];
    case ES_I16: return ((const int16_t *)data)[index];
    case ES_U32: return ((const uint32_t *)data)[index];
    case ES_I32: return ((const int32_t *)data)[index];
    case ES_F32: return (double)((const float *)data)[index];
    case ES_F64: return ((const double *)data)[index];
    }
    return 0;
}

void es_type_set(es_type type, void *data, size_t index, double value) {
    if (type == ES_F64) {
        ((double *)data)[index] = value;
        return;
    }
    if (type == ES_F32) {
        ((float *)data)[index] = (float)value;
        return;
    }
    double clamped = isnan(value) ? 0 : fmin(fmax(round(value), types[type].low), types[type].high);
    switch (type) {
    case ES_U8: ((uint8_t *)data)[index] = (uint8_t)clamped; break;
    case ES_I8: ((int8_t *)data)[index] = (int8_t)clamped; break;
    case ES_U16: ((uint16_t *)data)[index] = (uint16_t)clamped; break;
    case ES_I16: ((int16_t *)data)[index] = (int16_t)clamped; break;
    case ES_U32: ((uint32_t *)data)[index] = (uint32_t)clamped; break;
    default: ((int32_t *)data)[index] = (int32_t)clamped; break;
    }
}
