/* Little-endian bytes, read by a cursor that stays failed after the first read past
 * the end (reads give 0 then), and written; inside the room. */
#ifndef ECHOSOLID_LIVE_LITTLE_WIRE_H
#define ECHOSOLID_LIVE_LITTLE_WIRE_H

#include <string.h>

#include "echosolid/geom.h"

typedef struct little {
    const uint8_t *at, *end;
    bool failed;
} little;

static inline size_t little_left(const little *in) { return (size_t)(in->end - in->at); }

/* `size` bytes, or NULL. */
static inline const uint8_t *little_take(little *in, size_t size) {
    if (in->failed || size > little_left(in)) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += size;
    return taken;
}
/* count * each bytes, of a count from the wire. */
static inline void little_skip(little *in, int32_t count, size_t each) {
    if (count < 0 || (count > 0 && (size_t)count > little_left(in) / each)) in->failed = true;
    if (!in->failed) in->at += (size_t)count * each;
}
static inline uint64_t little_number(little *in, size_t size) {
    const uint8_t *p = little_take(in, size);
    uint64_t value = 0;
    for (size_t i = 0; p && i < size; i++) value |= (uint64_t)p[i] << 8 * i;
    return value;
}
static inline uint8_t little_u8(little *in) { return (uint8_t)little_number(in, 1); }
static inline uint16_t little_u16(little *in) { return (uint16_t)little_number(in, 2); }
static inline uint32_t little_u32(little *in) { return (uint32_t)little_number(in, 4); }
static inline int32_t little_i32(little *in) { return (int32_t)little_u32(in); }
static inline uint64_t little_u64(little *in) { return little_number(in, 8); }
static inline double little_f32(little *in) {
    uint32_t bits = little_u32(in);
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}
static inline double little_f64(little *in) {
    uint64_t bits = little_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
/* A text up to its NUL, which must be there; "" and failed otherwise. */
static inline const char *little_text(little *in) {
    const void *nul = in->failed ? NULL : memchr(in->at, 0, little_left(in));
    if (!nul) {
        in->failed = true;
        return "";
    }
    const char *text = (const char *)in->at;
    in->at = (const uint8_t *)nul + 1;
    return text;
}

static inline void little_put(es_text *out, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    es_text_add_bytes(out, bytes, size);
}
static inline void little_put_f32(es_text *out, double value) {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    little_put(out, bits, 4);
}
static inline void little_put_f64(es_text *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    little_put(out, bits, 8);
}
static inline void little_put_vec3(es_text *out, es_vec3 v) {
    little_put_f32(out, v.x);
    little_put_f32(out, v.y);
    little_put_f32(out, v.z);
}

#endif
