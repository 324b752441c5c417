/* What the readers of NatNet share; inside the room. */
#ifndef ECHOSOLID_LIVE_NATNET_WIRE_H
#define ECHOSOLID_LIVE_NATNET_WIRE_H

#include "echosolid/natnet.h"
#include "little_wire.h"

static inline bool since(es_natnet_version v, int major, int minor) {
    return v.major > major || (v.major == major && v.minor >= minor);
}
little natnet_open(const es_natnet_packet *packet);
bool natnet_is(const es_natnet_packet *packet, int id, const char *what, es_error *err);

static inline es_vec3 natnet_vec3(little *in) {
    double x = little_f32(in), y = little_f32(in), z = little_f32(in);
    return es_vec3_make(x, y, z);
}

#endif
