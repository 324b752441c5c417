/* MODELDEF: the descriptors of what is streamed; here for the names of the rigid
 * bodies. From 4.1 each has a size, so that others are passed over; before, they
 * are walked where their layout is agreed on. */
#include "natnet_wire.h"

enum { MARKER_SET = 0, RIGID_BODY = 1, FORCE_PLATE = 3, DEVICE = 4, CAMERA = 5 };

static void skip_texts(little *in, int32_t count) {
    if (count < 0) in->failed = true;
    for (int32_t i = 0; i < count && !in->failed; i++) little_text(in);
}

static void read_body(little *in, es_natnet_version v, es_natnet_model *model) {
    *model = (es_natnet_model){0};
    snprintf(model->name, sizeof model->name, "%s", little_text(in));
    model->id = little_i32(in);
    model->parent = little_i32(in);
    model->offset_m = natnet_vec3(in);
    if (!since(v, 3, 0)) return;
    model->markers = little_i32(in);
    little_skip(in, model->markers, 12); /* places */
    little_skip(in, model->markers, 4);  /* active labels */
    if (since(v, 4, 0)) skip_texts(in, model->markers);
}

/* False for a descriptor that cannot be walked without its size. */
static bool skip_other(little *in, int32_t type) {
    switch (type) {
    case MARKER_SET:
        little_text(in);
        skip_texts(in, little_i32(in));
        return true;
    case FORCE_PLATE:
        little_i32(in);
        little_text(in);
        little_skip(in, 2 + 3 + 144 + 12 + 2, 4);
        skip_texts(in, little_i32(in));
        return true;
    case DEVICE:
        little_i32(in);
        little_text(in);
        little_text(in);
        little_skip(in, 2, 4);
        skip_texts(in, little_i32(in));
        return true;
    case CAMERA:
        little_text(in);
        little_skip(in, 7, 4);
        return true;
    default: return false;
    }
}

/* One descriptor; false when no further one can be found. */
static bool read_descriptor(little *in, es_natnet_version v, es_natnet_models *models) {
    int32_t type = little_i32(in);
    bool sized = since(v, 4, 1);
    uint32_t size = sized ? little_u32(in) : 0;
    if (size > little_left(in)) in->failed = true;
    if (in->failed) return false;
    const uint8_t *end = sized ? in->at + size : in->end;
    little own = {in->at, end, false};
    if (type == RIGID_BODY && models->count < ES_NATNET_MODELS)
        read_body(&own, v, &models->items[models->count++]);
    else if (!sized && !skip_other(&own, type)) {
        models->whole = false;
        models->stopped_at = type;
        return false;
    } else
        models->others++;
    if (own.failed) in->failed = true;
    in->at = sized ? end : own.at;
    return !in->failed;
}

bool es_natnet_get_models(const es_natnet_packet *packet, es_natnet_version version,
                          es_natnet_models *models, es_error *err) {
    models->count = models->others = models->stopped_at = 0;
    models->whole = true;
    if (!natnet_is(packet, ES_NATNET_MODELDEF, "MODELDEF", err)) return false;
    little in = natnet_open(packet);
    int32_t count = little_i32(&in), done = 0;
    if (count < 0) in.failed = true;
    while (done < count && read_descriptor(&in, version, models)) done++;
    if (in.failed) {
        models->count = 0;
        return es_fail(err, ES_FORMAT,
                       "NatNet %d.%d: MODELDEF of %zu bytes does not fit this version "
                       "(descriptor %d of %d)",
                       version.major, version.minor, packet->size, (int)done + 1, (int)count);
    }
    return !models->whole || little_left(&in) == 0 ||
           es_fail(err, ES_FORMAT, "NatNet %d.%d: MODELDEF has %zu bytes left over", version.major,
                   version.minor, little_left(&in));
}
