/* VRPN's messages over TCP. Both sides send a cookie first; then each message is six
 * big-endian numbers (size, seconds, microseconds, sender, type, sequence) and a
 * payload padded to 8 bytes. Ids mean nothing by themselves: descriptions
 * (types -1 and -2) tie them to names, once a connection. */
#include <math.h>

#include "echosolid/trackers.h"
#include "igtl_wire.h"

enum { LONGEST = 1 << 20, POSE = 64 };

void es_vrpn_put_cookie(uint8_t cookie[ES_VRPN_COOKIE]) {
    memset(cookie, 0, ES_VRPN_COOKIE);
    memcpy(cookie, "vrpn: ver. 07.38  0", 19); /* 0: nothing is to be logged */
}

bool es_vrpn_check_cookie(const uint8_t cookie[ES_VRPN_COOKIE], es_error *err) {
    char text[ES_VRPN_COOKIE + 1];
    if (memcmp(cookie, "vrpn: ver. 07.", 14) == 0) return true;
    wire_name(cookie, ES_VRPN_COOKIE, text);
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || (unsigned char)*at > 126) *at = '?';
    return es_fail(err, ES_FORMAT, "it says \"%s\" where VRPN says \"vrpn: ver. 07.\"", text);
}

static size_t padded(size_t size) { return (size + 7) & ~(size_t)7; }

long es_vrpn_parse(const uint8_t *bytes, size_t length, es_vrpn_message *message, es_error *err) {
    if (length < ES_VRPN_HEAD) return 0;
    uint32_t size = wire_u32(bytes);
    if (size < ES_VRPN_HEAD || size > LONGEST) {
        es_fail(err, ES_FORMAT, "VRPN: a message of %lu bytes; %d to %d are taken",
                (unsigned long)size, ES_VRPN_HEAD, LONGEST);
        return -1;
    }
    size_t whole = ES_VRPN_HEAD + padded(size - ES_VRPN_HEAD);
    if (length < whole) return 0;
    *message = (es_vrpn_message){.time_s = (int32_t)wire_u32(bytes + 4) +
                                           1e-6 * (int32_t)wire_u32(bytes + 8),
                                 .sender = (int32_t)wire_u32(bytes + 12),
                                 .type = (int32_t)wire_u32(bytes + 16),
                                 .payload = bytes + ES_VRPN_HEAD,
                                 .size = size - ES_VRPN_HEAD};
    return (long)whole;
}

bool es_vrpn_get_name(const es_vrpn_message *message, char name[ES_NAME_SIZE], es_error *err) {
    name[0] = '\0';
    uint32_t length = message->size >= 4 ? wire_u32(message->payload) : 0;
    if (length == 0 || length > message->size - 4 || length > ES_NAME_SIZE - 1)
        return es_fail(err, ES_FORMAT, "VRPN: a name of %lu bytes in a description of %zu",
                       (unsigned long)length, message->size);
    memcpy(name, message->payload + 4, length);
    name[length] = '\0'; /* the length counts its NUL, if there is one */
    return true;
}

bool es_vrpn_get_pose(const es_vrpn_message *message, es_vrpn_pose *pose, es_error *err) {
    const uint8_t *p = message->payload;
    if (message->size != POSE)
        return es_fail(err, ES_FORMAT, "VRPN: a pose of %zu bytes, expected %d", message->size,
                       POSE);
    pose->sensor = (int32_t)wire_u32(p);
    pose->place_m = es_vec3_make(wire_f64(p + 8), wire_f64(p + 16), wire_f64(p + 24));
    pose->turn = (es_quat){
        .x = wire_f64(p + 32), .y = wire_f64(p + 40), .z = wire_f64(p + 48), .w = wire_f64(p + 56)};
    return true;
}

/* ---- making them ------------------------------------------------------------------- */

static void put_u32(es_text *out, uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    es_text_add_bytes(out, bytes, 4);
}
static void put_f64(es_text *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u32(out, (uint32_t)(bits >> 32));
    put_u32(out, (uint32_t)bits);
}

void es_vrpn_put(es_text *out, const es_vrpn_message *m) {
    static const uint8_t zeros[8] = {0};
    double second = floor(m->time_s);
    put_u32(out, (uint32_t)(ES_VRPN_HEAD + m->size));
    put_u32(out, (uint32_t)(int32_t)second);
    put_u32(out, (uint32_t)((m->time_s - second) * 1e6));
    put_u32(out, (uint32_t)m->sender);
    put_u32(out, (uint32_t)m->type);
    put_u32(out, 0);
    if (m->size) es_text_add_bytes(out, m->payload, m->size);
    es_text_add_bytes(out, zeros, padded(m->size) - m->size);
}

void es_vrpn_put_name(es_text *out, int32_t kind, int32_t id, const char *name) {
    uint8_t payload[4 + ES_NAME_SIZE] = {0};
    size_t length = strnlen(name, ES_NAME_SIZE - 1) + 1;
    payload[3] = (uint8_t)length;
    memcpy(payload + 4, name, length - 1);
    es_vrpn_message m = {.sender = id, .type = kind, .payload = payload, .size = 4 + length};
    es_vrpn_put(out, &m);
}

void es_vrpn_put_pose(es_text *out, const es_vrpn_message *head, const es_vrpn_pose *pose) {
    es_text payload = {0};
    const double numbers[7] = {pose->place_m.x, pose->place_m.y, pose->place_m.z, pose->turn.x,
                               pose->turn.y,    pose->turn.z,    pose->turn.w};
    put_u32(&payload, (uint32_t)pose->sensor);
    put_u32(&payload, 0);
    for (int i = 0; i < 7; i++) put_f64(&payload, numbers[i]);
    es_vrpn_message m = *head;
    m.payload = (const uint8_t *)payload.bytes;
    m.size = payload.length;
    if (payload.failed)
        out->failed = true;
    else
        es_vrpn_put(out, &m);
    es_text_free(&payload);
}
