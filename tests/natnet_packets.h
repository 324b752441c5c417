/* Whole frames of NatNet with every section in use, byte by byte from the layout
 * and not by the library's own writer. Motive's numbers are metres. */
#ifndef NATNET_PACKETS_H
#define NATNET_PACKETS_H

#include <string.h>

#include "echosolid/natnet.h"

typedef struct packet_bytes {
    uint8_t bytes[4096];
    size_t length;
} packet_bytes;

static inline void add_bytes(packet_bytes *p, const void *bytes, size_t size) {
    memcpy(p->bytes + p->length, bytes, size);
    p->length += size;
}
static inline void add_i32(packet_bytes *p, int32_t v) { add_bytes(p, &v, 4); } /* little-endian */
static inline void add_i16(packet_bytes *p, int16_t v) { add_bytes(p, &v, 2); }
static inline void add_u64(packet_bytes *p, uint64_t v) { add_bytes(p, &v, 8); }
static inline void add_f32(packet_bytes *p, float v) { add_bytes(p, &v, 4); }
static inline void add_floats(packet_bytes *p, int count) {
    for (int i = 0; i < count; i++) add_f32(p, (float)(0.25 * i));
}
static inline void add_name(packet_bytes *p, const char *name) {
    add_bytes(p, name, strlen(name) + 1);
}
static inline bool from(es_natnet_version v, int major, int minor) {
    return v.major * 1000 + v.minor >= major * 1000 + minor;
}

/* A count, and from 4.1 the size of what follows, filled in by end_section. */
static inline size_t begin_section(packet_bytes *p, es_natnet_version v, int32_t count) {
    add_i32(p, count);
    if (from(v, 4, 1)) add_i32(p, 0);
    return p->length;
}
static inline void end_section(packet_bytes *p, es_natnet_version v, size_t start) {
    int32_t size = (int32_t)(p->length - start);
    if (from(v, 4, 1)) memcpy(p->bytes + start - 4, &size, 4);
}

static inline void add_body(packet_bytes *p, es_natnet_version v, int32_t id, int markers) {
    const float pose[7] = {0.1f * (float)id, 0.2f, -0.3f, 0, 0.6f, 0, 0.8f}; /* x y z qx qy qz qw */
    add_i32(p, id);
    for (int i = 0; i < 7; i++) add_f32(p, pose[i]);
    if (!from(v, 3, 0)) {
        add_i32(p, markers);
        add_floats(p, 3 * markers);
        for (int i = 0; i < markers; i++) add_i32(p, i);
        add_floats(p, markers);
    }
    add_f32(p, 0.0005f);
    if (from(v, 2, 6)) add_i16(p, id != 3); /* body 3 is not tracked */
}

static inline void add_channels(packet_bytes *p, es_natnet_version v) {
    size_t start = begin_section(p, v, 1);
    add_i32(p, 1);
    add_i32(p, 2);
    for (int c = 0; c < 2; c++) {
        add_i32(p, 3);
        add_floats(p, 3);
    }
    end_section(p, v, start);
}

static inline void add_markers(packet_bytes *p, es_natnet_version v) {
    size_t start = begin_section(p, v, 2);
    add_name(p, "Probe");
    add_i32(p, 4);
    add_floats(p, 12);
    add_name(p, "all");
    add_i32(p, 0);
    end_section(p, v, start);
    start = begin_section(p, v, 3);
    add_floats(p, 9);
    end_section(p, v, start);
}

static inline void add_rest(packet_bytes *p, es_natnet_version v) {
    size_t start;
    if (from(v, 2, 1)) {
        start = begin_section(p, v, 1);
        add_i32(p, 7);
        add_i32(p, 2);
        add_body(p, v, 100, 1);
        add_body(p, v, 101, 0);
        end_section(p, v, start);
    }
    if (from(v, 4, 1)) {
        start = begin_section(p, v, 1);
        add_i32(p, 9);
        add_i32(p, 1);
        add_body(p, v, 5, 0);
        add_i32(p, 1);
        add_i32(p, 44);
        add_floats(p, 4);
        add_i16(p, 0);
        add_f32(p, 0.001f);
        end_section(p, v, start);
    }
    if (from(v, 2, 3)) {
        start = begin_section(p, v, 2);
        for (int i = 0; i < 2; i++) {
            add_i32(p, 0x20001 + i);
            add_floats(p, 4);
            if (from(v, 2, 6)) add_i16(p, 10);
            if (from(v, 3, 0)) add_f32(p, 0.0002f);
        }
        end_section(p, v, start);
    }
    if (from(v, 2, 9)) add_channels(p, v);
    if (from(v, 2, 11)) add_channels(p, v);
}

static inline void add_tail(packet_bytes *p, es_natnet_version v, bool precision) {
    double stamp = 12.5;
    if (!from(v, 3, 0)) add_f32(p, 0.004f);
    add_i32(p, 0);
    add_i32(p, 0);
    if (from(v, 2, 7))
        add_bytes(p, &stamp, 8);
    else
        add_f32(p, (float)stamp);
    for (uint64_t i = 0; from(v, 3, 0) && i < 3; i++) add_u64(p, 1000000 + 1000 * i);
    if (precision) {
        add_i32(p, 77);
        add_i32(p, 88);
    }
    add_i16(p, 3); /* recording, list changed */
    add_i32(p, 0);
}

/* Bodies 2 and 3; frame 4711. */
static inline void full_frame(packet_bytes *p, es_natnet_version v, bool precision) {
    p->length = 0;
    add_i32(p, 4711);
    add_markers(p, v);
    size_t start = begin_section(p, v, 2);
    add_body(p, v, 2, 4);
    add_body(p, v, 3, 0);
    end_section(p, v, start);
    add_rest(p, v);
    add_tail(p, v, precision);
}

#endif
