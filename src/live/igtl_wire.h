/* Numbers and names on the wire; inside the room. */
#ifndef ECHOSOLID_LIVE_IGTL_WIRE_H
#define ECHOSOLID_LIVE_IGTL_WIRE_H

#include <string.h>

#include "echosolid/igtl.h"

static inline uint16_t wire_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t wire_u32(const uint8_t *p) {
    return (uint32_t)wire_u16(p) << 16 | wire_u16(p + 2);
}
static inline uint64_t wire_u64(const uint8_t *p) {
    return (uint64_t)wire_u32(p) << 32 | wire_u32(p + 4);
}
static inline float wire_f32(const uint8_t *p) {
    uint32_t bits = wire_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline double wire_f64(const uint8_t *p) {
    uint64_t bits = wire_u64(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
/* A field of `size` bytes that a NUL may end early; `to` has size + 1. */
static inline void wire_name(const uint8_t *from, size_t size, char *to) {
    memcpy(to, from, size);
    to[size] = '\0';
}

/* Bytes of one scalar of the wire's code, 0 for one that is none. */
size_t wire_scalar_size(uint8_t code);
/* The twelve numbers of TRANSFORM, TDATA and IMAGE: columns of 3 x 4. */
es_mat4 wire_matrix(const uint8_t *from);

/* The content of a known type, sizes and codes; true for others. */
bool wire_check_content(const es_igtl_message *message, es_error *err);

#endif
