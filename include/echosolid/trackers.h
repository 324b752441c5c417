/* echosolid/trackers.h: poses from trackers without their makers' SDKs: NatNet
 * (OptiTrack), VRPN, NDI's Combined API, and lines of text from anything else.
 * A header of the live room. docs/trackers.md says what was verified.
 *
 * One thread a tracker reads and reconnects; it never waits for those that take
 * the poses. Everything received is hostile: it is checked, counted, never trusted. */
#ifndef ECHOSOLID_TRACKERS_H
#define ECHOSOLID_TRACKERS_H

#include "echosolid/live.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One pose as it came. */
typedef struct es_tracked {
    es_live_pose pose; /* "ProbeToTracker"; Unix seconds of this machine's clock */
    double error_mm;   /* as the tracker says (mean marker or fit error); NAN: it does not */
    double received_s; /* when the packet was read, same clock */
} es_tracked;
/* Called on the tracker's thread. Must not block. */
typedef void es_tracked_fn(void *context, const es_tracked *tracked);

/* How a stream's axes are turned: never mirrored. */
typedef enum es_up_axis {
    ES_UP_AS_SENT,
    ES_UP_Y_TO_Z, /* y is up in the stream, z in the poses: x -> x, y -> z, z -> -y */
    ES_UP_Z_TO_Y, /* its inverse */
} es_up_axis;

/* Where a tracker's own clock comes from. */
typedef enum es_tracker_clock {
    ES_CLOCK_NONE,    /* no stamps: time of arrival */
    ES_CLOCK_SENT,    /* the sender's Unix time, taken as it is (?clock=sent) */
    ES_CLOCK_ARRIVAL, /* its stamps, laid so that the fastest packet took no time */
    ES_CLOCK_ECHO,    /* asked by echo; the shortest round trip counts */
} es_tracker_clock;
const char *es_tracker_clock_name(es_tracker_clock clock);

typedef struct es_tracker_options {
    es_tracked_fn *pose;
    void *context;
    double silence_s; /* without a pose for so long: silent. 0: 1 s */
} es_tracker_options;

typedef struct es_tracker_state {
    char peer[120];     /* "Motive 2.1.0, NatNet 3.0, unicast"; "" before */
    bool connected;     /* it has answered */
    bool silent;        /* no pose for silence_s */
    bool ended;         /* standard input has ended; nothing more comes */
    uint64_t packets;   /* packets, messages or lines */
    uint64_t malformed; /* of these, refused */
    uint64_t foreign;   /* datagrams from another address, dropped unread */
    uint64_t stale;     /* frames that came again or too late, dropped */
    uint64_t missed;    /* frames that never came, by their numbers */
    uint64_t poses;     /* handed over */
    int connects;       /* how often it was reached */
    es_tracker_clock clock;
    double clock_error_s; /* half of the shortest round trip (ES_CLOCK_ECHO), else NAN */
    char problem[400];    /* the last thing that went wrong, "" none */
} es_tracker_state;

/* Opens what `address` names and starts to read; what cannot be reached yet is
 * tried again each second. Where no port is named, the usual one.
 *   natnet://HOST[:PORT]       interface=A.B.C.D, version=3.0
 *   vrpn://[SENDER@]HOST[:PORT]
 *   ndi://HOST[:PORT]          reply=bx|tx, rom=NAME:FILE (up to 8)
 *   ndi:///dev/ttyUSB0         the same over a serial line
 *   udp://[ADDRESS]:PORT       lines; without ADDRESS from this machine only
 *   tcp://HOST:PORT            lines; tcp://[ADDRESS]:PORT without host waits for a sender
 *   - or stdin://              lines on standard input
 * Behind a '?', joined by '&', also for each: up=as-sent|y-to-z|z-to-y, and for vrpn and
 * lines clock=sent|arrival. ES_USAGE for what is not understood, ES_IO when a
 * port cannot be opened here. */
typedef struct es_tracker es_tracker;
es_tracker *es_tracker_open(const char *address, const es_tracker_options *options, es_error *err);
/* A callback that pushes into the es_live_poses that `context` is. */
void es_tracker_push(void *context, const es_tracked *tracked);
void es_tracker_look(es_tracker *tracker, es_tracker_state *state);
/* Stops the thread (within a quarter of a second) and frees. Accepts NULL. */
void es_tracker_close(es_tracker *tracker);

/* ---- the codecs below, for tests and servers ---------------------------------- */

/* A line of text: JSON {"time": s, "name": "Probe", "position": [x, y, z] mm,
 * "quaternion": [w, x, y, z] or "matrix": 16 numbers by rows, "valid": bool,
 * "error_mm": n}, or comma separated time,name,x,y,z,qw,qx,qy,qz[,valid[,error]]
 * or time,name,16 numbers[,valid[,error]]. Time may be absent or empty. ES_FORMAT. */
enum { ES_POSE_LINE_MAX = 2000 };
typedef struct es_pose_line {
    bool has_time;
    double time_s;
    char name[ES_NAME_SIZE];
    es_mat4 matrix;
    bool valid;
    double error_mm; /* NAN: not said */
} es_pose_line;
bool es_pose_line_parse(const char *text, size_t length, es_pose_line *line, es_error *err);

/* VRPN's messages, big-endian, padded to 8 bytes. */
enum { ES_VRPN_COOKIE = 24, ES_VRPN_HEAD = 24, ES_VRPN_PORT = 3883 };
enum { ES_VRPN_SENDER = -1, ES_VRPN_TYPE = -2 };
void es_vrpn_put_cookie(uint8_t cookie[ES_VRPN_COOKIE]);
bool es_vrpn_check_cookie(const uint8_t cookie[ES_VRPN_COOKIE], es_error *err);
typedef struct es_vrpn_message {
    int32_t sender, type;
    double time_s;
    const uint8_t *payload;
    size_t size;
} es_vrpn_message;
/* One message from the front: the bytes it takes, 0 when it is not whole yet, -1
 * and ES_FORMAT when the stream cannot be trusted any more. */
long es_vrpn_parse(const uint8_t *bytes, size_t length, es_vrpn_message *message, es_error *err);
/* The name in a description of a sender or type. */
bool es_vrpn_get_name(const es_vrpn_message *message, char name[ES_NAME_SIZE], es_error *err);
typedef struct es_vrpn_pose {
    int32_t sensor;
    es_vec3 place_m;
    es_quat turn;
} es_vrpn_pose;
bool es_vrpn_get_pose(const es_vrpn_message *message, es_vrpn_pose *pose, es_error *err);
void es_vrpn_put(es_text *out, const es_vrpn_message *message);
void es_vrpn_put_name(es_text *out, int32_t kind, int32_t id, const char *name);
void es_vrpn_put_pose(es_text *out, const es_vrpn_message *head, const es_vrpn_pose *pose);

/* NDI's Combined API. */
enum { ES_NDI_PORT = 8765, ES_NDI_HANDLES = 64 };
/* CRC-16, polynomial 0xA001 (reflected 0x8005), from 0. */
uint16_t es_ndi_crc(const void *bytes, size_t length);
typedef struct es_ndi_tool {
    uint8_t handle;
    bool valid, disabled; /* neither: missing */
    es_quat turn;
    es_vec3 place_mm;
    double error_mm;
    uint32_t port_status, frame;
} es_ndi_tool;
typedef struct es_ndi_tools {
    es_ndi_tool items[ES_NDI_HANDLES];
    int count;
    uint16_t system_status;
} es_ndi_tools;
/* The size of the whole reply from its first 6 bytes, 0 and ES_FORMAT for others. */
size_t es_ndi_bx_size(const uint8_t head[6], es_error *err);
bool es_ndi_get_bx(const uint8_t *bytes, size_t length, es_ndi_tools *tools, es_error *err);
/* A text reply up to its carriage return, which is not part of it; its CRC is
 * checked, and ERRORxx is ES_IO. *length is what stands before the CRC. */
bool es_ndi_check_reply(const char *reply, size_t *length, es_error *err);
bool es_ndi_get_tx(const char *reply, size_t length, es_ndi_tools *tools, es_error *err);
void es_ndi_put_bx(es_text *out, const es_ndi_tools *tools);
void es_ndi_put_tx(es_text *out, const es_ndi_tools *tools);

#ifdef __cplusplus
}
#endif
#endif
