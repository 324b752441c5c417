/* echosolid/natnet.h: the packets of OptiTrack's Motive (NatNet 2 to 4) to values
 * and back, without its SDK. A header of the live room, without sockets.
 *
 * Little-endian, packed. The layout depends on the version that the server says
 * (es_natnet_server). 3.0 was checked against packets of Motive 2.1; 2.x, 4.0 and
 * 4.1 come from what public parsers agree on and were not seen on a wire.
 *
 * Everything from a socket is hostile: every count is held against the bytes that
 * are there. Positions are metres in the axes of the stream, quaternions right-handed. */
#ifndef ECHOSOLID_NATNET_H
#define ECHOSOLID_NATNET_H

#include "echosolid/geom.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ES_NATNET_COMMAND_PORT = 1510, ES_NATNET_DATA_PORT = 1511 };

/* What a packet is, its first number. */
enum {
    ES_NATNET_CONNECT = 0,
    ES_NATNET_SERVERINFO = 1,
    ES_NATNET_REQUEST = 2,
    ES_NATNET_RESPONSE = 3,
    ES_NATNET_REQUEST_MODELDEF = 4,
    ES_NATNET_MODELDEF = 5,
    ES_NATNET_FRAMEOFDATA = 7,
    ES_NATNET_MESSAGE = 8,
    ES_NATNET_DISCONNECT = 9,
    ES_NATNET_KEEPALIVE = 10,
    ES_NATNET_DISCONNECT_BY_TIMEOUT = 11,
    ES_NATNET_ECHO_REQUEST = 12,
    ES_NATNET_ECHO_RESPONSE = 13,
    ES_NATNET_UNRECOGNIZED = 100,
};

typedef struct es_natnet_version {
    int major, minor;
} es_natnet_version;
/* "3.0", "4.1"; ES_USAGE for others than 2.0 to 4.x. */
bool es_natnet_version_parse(const char *text, es_natnet_version *version, es_error *err);

/* One UDP datagram. `payload` borrows from its bytes. */
typedef struct es_natnet_packet {
    int id;
    const uint8_t *payload;
    size_t size;
} es_natnet_packet;
/* ES_FORMAT when the size it states is not the size it has. */
bool es_natnet_parse(const uint8_t *bytes, size_t length, es_natnet_packet *packet, es_error *err);

/* ---- what the server says of itself ------------------------------------------ */

typedef struct es_natnet_server {
    char name[257]; /* "Motive" */
    uint8_t program[4];
    es_natnet_version version; /* of the stream */
    uint64_t clock_hz;         /* of the stamps in frames and echoes; 0: not said (2.x) */
    uint16_t data_port;        /* 0: not said (2.x) */
    bool multicast;
    uint8_t group[4];
} es_natnet_server;
/* ES_UNSUPPORTED for a version outside 2 to 4. */
bool es_natnet_get_server(const es_natnet_packet *packet, es_natnet_server *server, es_error *err);

/* The text of a RESPONSE or MESSAGE; "" for a number. Cut to 255 bytes. */
void es_natnet_get_text(const es_natnet_packet *packet, char text[256]);

typedef struct es_natnet_echo {
    uint64_t sent;  /* the client's own stamp, as it came */
    uint64_t ticks; /* the server's clock; 0 in a request */
} es_natnet_echo;
bool es_natnet_get_echo(const es_natnet_packet *packet, es_natnet_echo *echo, es_error *err);

/* ---- which bodies there are ---------------------------------------------------- */

typedef struct es_natnet_model {
    int32_t id, parent; /* parent -1: none */
    char name[ES_NAME_SIZE];
    es_vec3 offset_m; /* to the parent; says nothing for a body without one */
    int markers;
} es_natnet_model;
enum { ES_NATNET_MODELS = 256 };
typedef struct es_natnet_models {
    es_natnet_model items[ES_NATNET_MODELS]; /* rigid bodies */
    int count;
    int others; /* marker sets, plates, cameras, ... passed over */
    /* False: before 4.1 a descriptor of this kind (2 skeleton, 6 asset, ...) has no
     * size and no layout that is agreed on; what came before it is here. */
    bool whole;
    int stopped_at;
} es_natnet_models;
bool es_natnet_get_models(const es_natnet_packet *packet, es_natnet_version version,
                          es_natnet_models *models, es_error *err);

/* ---- a frame -------------------------------------------------------------------- */

typedef struct es_natnet_body {
    int32_t id;
    es_vec3 place_m;
    es_quat turn;
    double error_m; /* mean over its markers */
    bool tracked;   /* as the server says; before 2.6 it does not: true */
} es_natnet_body;

typedef struct es_natnet_frame {
    int32_t number;
    int body_count;
    const uint8_t *bodies; /* for es_natnet_next_body */
    size_t bodies_size;
    int marker_sets, other_markers, skeletons, assets, labeled_markers;
    double timestamp_s; /* since the program's start */
    bool has_ticks;     /* 3.0 and later, of the server's clock: */
    uint64_t exposed, received, sent;
    bool has_precision; /* 4.1 and later, when sent: */
    uint32_t precise_s, precise_fraction;
    bool recording, models_changed;
} es_natnet_frame;
/* Every section is walked; ES_FORMAT names the one that does not fit, or tells of
 * bytes that are left over. */
bool es_natnet_get_frame(const es_natnet_packet *packet, es_natnet_version version,
                         es_natnet_frame *frame, es_error *err);
/* The bodies one by one; *at starts at 0. False behind the last. */
bool es_natnet_next_body(const es_natnet_frame *frame, es_natnet_version version, size_t *at,
                         es_natnet_body *body);

/* ---- making packets --------------------------------------------------------------- */

/* Each appends one packet to `out`, to be sent as one datagram. */
void es_natnet_put(es_text *out, int id, const void *payload, size_t size);
/* What a client says first: its name and the version it can read. */
void es_natnet_put_connect(es_text *out, const char *name, es_natnet_version version);
void es_natnet_put_server(es_text *out, const es_natnet_server *server);
void es_natnet_put_echo(es_text *out, int id, const es_natnet_echo *echo);
void es_natnet_put_models(es_text *out, es_natnet_version version, const es_natnet_model *models,
                          size_t count);
/* Numbers and times of `frame`; the bodies; no markers, skeletons, assets. */
void es_natnet_put_frame(es_text *out, es_natnet_version version, const es_natnet_frame *frame,
                         const es_natnet_body *bodies, size_t count);

#ifdef __cplusplus
}
#endif
#endif
