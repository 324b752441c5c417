/* NatNet's packets made: for a server to try against, and what a client asks. */
#include "natnet_wire.h"

static void put_u16(es_text *out, unsigned value) { little_put(out, value, 2); }
static void put_i32(es_text *out, int32_t value) { little_put(out, (uint32_t)value, 4); }
/* A text in a field of `size` bytes, cut to it less the NUL. */
static void put_field(es_text *out, const char *text, size_t size) {
    char field[256] = {0};
    memcpy(field, text, strnlen(text, size - 1));
    es_text_add_bytes(out, field, size);
}

/* Opens a packet, or from 4.1 a section, whose size is set when it is closed. */
static size_t open_packet(es_text *out, int id) {
    put_u16(out, (unsigned)id);
    put_u16(out, 0);
    return out->length;
}
static void set_size(es_text *out, size_t start, size_t field) {
    size_t size = out->length - start;
    if (out->failed) return;
    for (size_t i = 0; i < field; i++) out->bytes[start - field + i] = (char)(size >> 8 * i);
}

void es_natnet_put(es_text *out, int id, const void *payload, size_t size) {
    size_t start = open_packet(out, id);
    if (size) es_text_add_bytes(out, payload, size);
    set_size(out, start, 2);
}

static void put_version(es_text *out, es_natnet_version v) {
    const uint8_t bytes[4] = {(uint8_t)v.major, (uint8_t)v.minor, 0, 0};
    es_text_add_bytes(out, bytes, 4);
}

void es_natnet_put_connect(es_text *out, const char *name, es_natnet_version version) {
    size_t start = open_packet(out, ES_NATNET_CONNECT);
    put_field(out, name, 256);
    put_version(out, version);
    put_version(out, version);
    set_size(out, start, 2);
}

void es_natnet_put_server(es_text *out, const es_natnet_server *server) {
    size_t start = open_packet(out, ES_NATNET_SERVERINFO);
    put_field(out, server->name, 256);
    es_text_add_bytes(out, server->program, 4);
    put_version(out, server->version);
    if (since(server->version, 3, 0)) {
        little_put(out, server->clock_hz, 8);
        put_u16(out, server->data_port);
        little_put(out, server->multicast, 1);
        es_text_add_bytes(out, server->group, 4);
    }
    set_size(out, start, 2);
}

void es_natnet_put_echo(es_text *out, int id, const es_natnet_echo *echo) {
    size_t start = open_packet(out, id);
    little_put(out, echo->sent, 8);
    if (id == ES_NATNET_ECHO_RESPONSE) little_put(out, echo->ticks, 8);
    set_size(out, start, 2);
}

static void put_model(es_text *out, es_natnet_version v, const es_natnet_model *model) {
    es_text_add_bytes(out, model->name, strlen(model->name) + 1);
    put_i32(out, model->id);
    put_i32(out, model->parent);
    little_put_vec3(out, model->offset_m);
    if (!since(v, 3, 0)) return;
    put_i32(out, model->markers);
    for (int i = 0; i < model->markers; i++) little_put_vec3(out, es_vec3_make(0, 0, 0));
    for (int i = 0; i < model->markers; i++) put_i32(out, 0);
    for (int i = 0; since(v, 4, 0) && i < model->markers; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "Marker%d", i + 1);
        es_text_add_bytes(out, name, (size_t)length + 1);
    }
}

void es_natnet_put_models(es_text *out, es_natnet_version version, const es_natnet_model *models,
                          size_t count) {
    size_t start = open_packet(out, ES_NATNET_MODELDEF);
    put_i32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_i32(out, 1); /* a rigid body */
        if (since(version, 4, 1)) put_i32(out, 0);
        size_t own = out->length;
        put_model(out, version, &models[i]);
        if (since(version, 4, 1)) set_size(out, own, 4);
    }
    set_size(out, start, 2);
}

static void put_body(es_text *out, es_natnet_version v, const es_natnet_body *body) {
    put_i32(out, body->id);
    little_put_vec3(out, body->place_m);
    little_put_f32(out, body->turn.x);
    little_put_f32(out, body->turn.y);
    little_put_f32(out, body->turn.z);
    little_put_f32(out, body->turn.w);
    if (!since(v, 3, 0)) put_i32(out, 0);
    little_put_f32(out, body->error_m);
    if (since(v, 2, 6)) put_u16(out, body->tracked);
}

/* Sections with nothing in them. */
static void put_empty(es_text *out, es_natnet_version v, int sections) {
    for (int i = 0; i < sections; i++) {
        put_i32(out, 0);
        if (since(v, 4, 1)) put_i32(out, 0);
    }
}

static void put_tail(es_text *out, es_natnet_version v, const es_natnet_frame *frame) {
    if (!since(v, 3, 0)) little_put_f32(out, 0);
    put_i32(out, 0);
    put_i32(out, 0);
    if (since(v, 2, 7))
        little_put_f64(out, frame->timestamp_s);
    else
        little_put_f32(out, frame->timestamp_s);
    if (since(v, 3, 0)) {
        little_put(out, frame->exposed, 8);
        little_put(out, frame->received, 8);
        little_put(out, frame->sent, 8);
    }
    if (since(v, 4, 1) && frame->has_precision) {
        little_put(out, frame->precise_s, 4);
        little_put(out, frame->precise_fraction, 4);
    }
    put_u16(out, (unsigned)frame->recording | (unsigned)frame->models_changed << 1);
    put_i32(out, 0);
}

void es_natnet_put_frame(es_text *out, es_natnet_version version, const es_natnet_frame *frame,
                         const es_natnet_body *bodies, size_t count) {
    size_t start = open_packet(out, ES_NATNET_FRAMEOFDATA);
    put_i32(out, frame->number);
    put_empty(out, version, 2); /* marker sets, unlabeled markers */
    put_i32(out, (int32_t)count);
    if (since(version, 4, 1)) put_i32(out, 0);
    size_t own = out->length;
    for (size_t i = 0; i < count; i++) put_body(out, version, &bodies[i]);
    if (since(version, 4, 1)) set_size(out, own, 4);
    put_empty(out, version,
              since(version, 2, 1) + since(version, 4, 1) + since(version, 2, 3) +
                  since(version, 2, 9) + since(version, 2, 11));
    put_tail(out, version, frame);
    set_size(out, start, 2);
}
