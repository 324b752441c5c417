/* Any bytes as what a tracker sends. The first byte chooses the format and the version;
 * the rest is one packet, reply or line: no crash, nothing read past its end, and
 * counts that the bytes can hold. */
#include <stdlib.h>
#include <string.h>

#include "echosolid/natnet.h"
#include "echosolid/trackers.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_frame(const es_natnet_packet *packet, es_natnet_version version) {
    es_natnet_frame frame;
    es_natnet_body body;
    size_t at = 0;
    int count = 0;
    if (!es_natnet_get_frame(packet, version, &frame, NULL)) return;
    while (es_natnet_next_body(&frame, version, &at, &body)) count++;
    if (at != frame.bodies_size || count != frame.body_count) abort();
}

/* As it stands, and as each kind of packet, so that a size that lies hides nothing. */
static void read_natnet(const uint8_t *bytes, size_t length, es_natnet_version version) {
    static es_natnet_models models;
    es_natnet_packet packet = {ES_NATNET_FRAMEOFDATA, bytes, length};
    es_natnet_server server;
    es_natnet_echo echo;
    char text[256];
    read_frame(&packet, version);
    packet.id = ES_NATNET_MODELDEF;
    if (es_natnet_get_models(&packet, version, &models, NULL) && models.count > ES_NATNET_MODELS)
        abort();
    packet.id = ES_NATNET_SERVERINFO;
    es_natnet_get_server(&packet, &server, NULL);
    packet.id = ES_NATNET_ECHO_RESPONSE;
    es_natnet_get_echo(&packet, &echo, NULL);
    es_natnet_get_text(&packet, text);
    if (es_natnet_parse(bytes, length, &packet, NULL) && packet.size + 4 != length) abort();
}

static void read_vrpn(const uint8_t *bytes, size_t length) {
    es_vrpn_message m;
    es_vrpn_pose pose;
    char name[ES_NAME_SIZE];
    long used;
    while ((used = es_vrpn_parse(bytes, length, &m, NULL)) > 0) {
        if ((size_t)used > length) abort();
        es_vrpn_get_name(&m, name, NULL);
        es_vrpn_get_pose(&m, &pose, NULL);
        bytes += used;
        length -= (size_t)used;
    }
}

/* The sums are set right: what they guard is what is tried. */
static void read_ndi(const uint8_t *bytes, size_t length) {
    static es_ndi_tools tools;
    uint8_t *copy = malloc(length + 8);
    if (!copy || length > 60000) {
        free(copy);
        return;
    }
    es_ndi_get_tx((const char *)bytes, length, &tools, NULL);
    const uint8_t head[4] = {0xC4, 0xA5, (uint8_t)length, (uint8_t)(length >> 8)};
    uint16_t head_sum = es_ndi_crc(head, 4), sum = es_ndi_crc(bytes, length);
    memcpy(copy, head, 4);
    memcpy(copy + 4, &head_sum, 2);
    if (length) memcpy(copy + 6, bytes, length);
    memcpy(copy + 6 + length, &sum, 2);
    es_ndi_get_bx(copy, length + 8, &tools, NULL);
    free(copy);
    es_ndi_check_reply((const char *)bytes, &length, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const es_natnet_version versions[] = {{2, 0},  {2, 5}, {2, 6}, {2, 7}, {2, 9},
                                                 {2, 11}, {3, 0}, {4, 0}, {4, 1}};
    if (length == 0) return 0;
    unsigned choice = bytes[0] % 12;
    es_pose_line line;
    if (choice < 9)
        read_natnet(bytes + 1, length - 1, versions[choice]);
    else if (choice == 9)
        read_vrpn(bytes + 1, length - 1);
    else if (choice == 10)
        read_ndi(bytes + 1, length - 1);
    else
        es_pose_line_parse((const char *)bytes + 1, length - 1, &line, NULL);
    return 0;
}
