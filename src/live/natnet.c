/* NatNet's packets: u16 what it is, u16 size, then what it holds. The server says
 * in SERVERINFO by which version its frames are to be read; before a version
 * that changed a layout the fields of the next are simply not there, so each
 * reader below asks `since` where something came in. */
#include <stdlib.h>

#include "natnet_wire.h"

bool es_natnet_version_parse(const char *text, es_natnet_version *version, es_error *err) {
    char *end = NULL;
    long major = strtol(text, &end, 10), minor = 0;
    bool good = end != text;
    if (good && *end == '.') {
        const char *from = end + 1;
        minor = strtol(from, &end, 10);
        good = end != from;
    }
    if (!good || *end || major < 2 || major > 4 || minor < 0 || minor > 255)
        return es_fail(err, ES_USAGE, "NatNet version \"%.20s\": 2.0 to 4.x are known, as in 3.0",
                       text);
    *version = (es_natnet_version){(int)major, (int)minor};
    return true;
}

bool es_natnet_parse(const uint8_t *bytes, size_t length, es_natnet_packet *packet, es_error *err) {
    little in = {bytes, bytes + length, false};
    int id = little_u16(&in);
    size_t size = little_u16(&in);
    if (in.failed)
        return es_fail(err, ES_FORMAT, "NatNet: a packet of %zu bytes, its head takes 4", length);
    if (size != little_left(&in))
        return es_fail(err, ES_FORMAT, "NatNet: packet %d says %zu bytes and has %zu", id, size,
                       little_left(&in));
    *packet = (es_natnet_packet){id, in.at, size};
    return true;
}

little natnet_open(const es_natnet_packet *packet) {
    return (little){packet->payload, packet->payload + packet->size, false};
}

bool natnet_is(const es_natnet_packet *packet, int id, const char *what, es_error *err) {
    return packet->id == id ||
           es_fail(err, ES_FORMAT, "NatNet: packet %d where %s (%d) was expected", packet->id, what,
                   id);
}

bool es_natnet_get_server(const es_natnet_packet *packet, es_natnet_server *server, es_error *err) {
    *server = (es_natnet_server){0};
    if (!natnet_is(packet, ES_NATNET_SERVERINFO, "SERVERINFO", err)) return false;
    little in = natnet_open(packet);
    const uint8_t *name = little_take(&in, 256);
    if (name) memcpy(server->name, name, 256);
    for (int i = 0; i < 4; i++) server->program[i] = little_u8(&in);
    const uint8_t *version = little_take(&in, 4);
    if (version) server->version = (es_natnet_version){version[0], version[1]};
    if (!in.failed && (server->version.major < 2 || server->version.major > 4))
        return es_fail(err, ES_UNSUPPORTED,
                       "NatNet: the server streams version %d.%d; 2.x, 3.x and 4.x are known",
                       server->version.major, server->version.minor);
    if (server->version.major >= 3) {
        server->clock_hz = little_u64(&in);
        server->data_port = little_u16(&in);
        server->multicast = little_u8(&in) != 0;
        const uint8_t *group = little_take(&in, 4);
        if (group) memcpy(server->group, group, 4);
    }
    return !in.failed ||
           es_fail(err, ES_FORMAT, "NatNet: SERVERINFO of %zu bytes ends early for version %d.%d",
                   packet->size, server->version.major, server->version.minor);
}

void es_natnet_get_text(const es_natnet_packet *packet, char text[256]) {
    text[0] = '\0';
    if (packet->size <= 4) return; /* a number */
    size_t length = packet->size < 255 ? packet->size : 255;
    memcpy(text, packet->payload, length);
    text[length] = '\0';
    for (char *at = text; *at; at++)
        if ((unsigned char)*at < ' ') *at = ' ';
}

bool es_natnet_get_echo(const es_natnet_packet *packet, es_natnet_echo *echo, es_error *err) {
    little in = natnet_open(packet);
    bool answer = packet->id == ES_NATNET_ECHO_RESPONSE;
    echo->sent = little_u64(&in);
    echo->ticks = answer ? little_u64(&in) : 0;
    return (!in.failed && little_left(&in) == 0) ||
           es_fail(err, ES_FORMAT, "NatNet: an echo of %zu bytes, expected %d", packet->size,
                   answer ? 16 : 8);
}
