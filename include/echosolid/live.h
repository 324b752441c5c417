/* echosolid/live.h: pictures and poses as they come: queues, the OpenIGTLink
 * client and server, matching in time, and the pipeline that inserts while it
 * records. Wire format: igtl.h.
 *
 * Times are Unix seconds (UTC). Every queue is bounded; what is dropped is
 * counted. Threads that read sockets never wait for those that work. */
#ifndef ECHOSOLID_LIVE_H
#define ECHOSOLID_LIVE_H

#include "echosolid/igtl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- poses from any tracker ------------------------------------------------ */

/* One pose of one tool. Whoever speaks with a tracker (NatNet, VRPN, a line of
 * text) pushes these; the matcher joins them with the pictures. */
typedef struct es_live_pose {
    double time_s;           /* when it was measured, on the clock of the pictures */
    char name[ES_NAME_SIZE]; /* "ProbeToTracker" */
    es_mat4 matrix;          /* mm */
    bool valid;              /* false: the tool was not seen; the matrix says nothing */
} es_live_pose;

/* A bounded queue of poses, first in first out; any number of threads on both
 * ends. A push into a full one drops the oldest: it never waits. */
typedef struct es_live_poses es_live_poses;
es_live_poses *es_live_poses_new(size_t capacity, es_error *err); /* ES_USAGE: 0 */
void es_live_poses_free(es_live_poses *poses);
/* False when an older pose was dropped for it. */
bool es_live_poses_push(es_live_poses *poses, const es_live_pose *pose);
/* Takes up to `room` poses, the oldest first, without waiting. */
size_t es_live_poses_take(es_live_poses *poses, es_live_pose *out, size_t room);
/* How many were pushed and how many of these were dropped, since the start. */
void es_live_poses_count(es_live_poses *poses, uint64_t *pushed, uint64_t *dropped);

/* ---- a server's pictures as a source --------------------------------------- */

/* "HOST:PORT", "HOST" (18944, the usual port of PlusServer) or "[::1]:PORT". */
enum { ES_LIVE_PORT = 18944 };
bool es_live_endpoint(const char *text, char host[256], int *port, es_error *err);

typedef struct es_live_options {
    const char *host;
    int port;
    double first_s;       /* how long to wait for the first picture */
    double tolerance_s;   /* without an equal stamp, the nearest pose within this */
    double wait_s;        /* how long a picture waits for poses that are late */
    double lag_s;         /* a tracker stamps the same moment later by this */
    bool ignore_crc;      /* old bridges send none */
    uint64_t body_max;    /* larger messages end the connection */
    uint64_t queue_bytes; /* pictures that wait to be taken */
    es_live_poses *poses; /* of other trackers, borrowed; NULL: none */
} es_live_options;
#define ES_LIVE_DEFAULTS                                                                           \
    {                                                                                              \
        .host = "127.0.0.1", .port = ES_LIVE_PORT, .first_s = 10, .tolerance_s = 0.02,             \
        .wait_s = 0.1, .body_max = 1 << 28, .queue_bytes = 1 << 28                                 \
    }

/* Since the start. */
typedef struct es_live_stats {
    uint64_t messages, bytes;
    uint64_t pictures;  /* received whole */
    uint64_t poses;     /* received, of all trackers and ways */
    uint64_t paired;    /* pictures with a pose of every tracker that is alive */
    uint64_t unpaired;  /* the others: they come out too, their transforms MISSING */
    uint64_t lost;      /* pictures for which the queue had no room */
    uint64_t odd;       /* pictures of another size or type than the first, or no pictures */
    uint64_t crc;       /* messages with another sum: left out */
    uint64_t malformed; /* the connection was ended and made again */
    uint64_t connections;
    bool connected;
    /* Of es_live_capture alone. */
    uint64_t duplicates; /* pictures equal to the one before: left out */
    uint64_t missed;     /* pictures that never came, by the gaps between the stamps */
    uint64_t damaged;    /* could not be decoded, or hang on one that could not */
} es_live_stats;

/* Connects and waits for the first picture, which says what the frames are. Its
 * thread reads whatever comes and connects again when the server goes away,
 * after 0.25 s, then twice as long each time until it sends a message, up to 4 s. Frames
 * come with
 *  - what a picture's metadata hold: transforms, statuses, fields, as in a
 *    recording of PLUS;
 *  - the picture's own place, where its device is called Image_Reference, as
 *    the transform ImageToReference: invalid when its status or that of any of
 *    its poses says so, or its turn is exactly none;
 *  - the poses of TRANSFORM, POSITION, TDATA and QTDATA messages and of
 *    `poses`, joined by time. A pose that is exactly the identity and has no
 *    status is taken as not seen.
 * Frames end when es_live_stop was called. ES_IO: no server, no picture. */
typedef struct es_live es_live;
es_live *es_live_open(const es_live_options *options, es_error *err);
/* The frames as a source, owned by `live`: do not free it. */
es_source *es_live_source(es_live *live);
/* Whether a frame is there within the time, or the end. */
bool es_live_wait(es_live *live, double timeout_s);
/* When the last byte of the frame that was taken last had come (es_clock_s). */
double es_live_arrived(const es_live *live);
es_live_stats es_live_statistics(es_live *live);
/* "DepthMm" as the server said when it was asked at the start; NaN: it did not. */
double es_live_depth_mm(es_live *live);
void es_live_stop(es_live *live);
void es_live_free(es_live *live);

/* The same from pictures without a server: a grabber or camera, a stream (capture.h:
 * es_capture_is), or a file that es_sequence_open reads, played at its own pace as if it
 * came now. `options` without host and port.
 *
 * A thread of its own reads, another joins: never does one wait for the other. A picture's
 * time is the device's; of a stream its stamps, laid so that the fastest picture of the
 * last seconds took no time (the first second is only looked at); else that of arrival.
 * The rest of the delay is for lag_s.
 *
 * Pictures become grey and are cut to `crop`. In the first ones the field of the echoes is
 * looked for, once: what lies outside of it is black from then on (es_judge_mask). Where it
 * is not found that is told, and all of the picture is taken. Transforms that a file holds
 * come along. A picture that is equal to the one before, and brings no transforms, is left
 * out. Devices and streams that end are opened anew; a file ends the frames. */
typedef struct es_live_capture_options {
    const char *address;
    uint32_t crop[4]; /* u, v, width, height; width 0: all of it */
    bool whole;       /* nothing is looked for, nothing blackened */
} es_live_capture_options;
es_live *es_live_capture(const es_live_capture_options *capture, const es_live_options *options,
                         es_error *err);

/* ---- a server ------------------------------------------------------------------ */

/* Programs such as 3D Slicer connect and get what is sent. One thread serves
 * all; nobody who reads slowly keeps the others or the sender waiting: of
 * messages of one type and device at most same_most wait for a client (Slicer
 * keeps no more than three either), the oldest goes first. Answers to commands are never dropped; a
 * client that leaves 64 of them unread is thrown out. A client gets header version 1 until it has
 * sent version 2, as from PlusServer.
 *
 * Clients that come from elsewhere than this machine must first send a STRING
 * message of the device "Token" with the token, within 10 s. */
typedef struct es_live_server_options {
    const char *address; /* to listen at */
    int port;            /* 0: any that is free */
    const char *token;   /* of clients from elsewhere; NULL: none of them */
    int clients_max;
    uint64_t queue_bytes; /* that wait for one client */
    int same_most;        /* messages of one type and device that wait for one client */
} es_live_server_options;
#define ES_LIVE_SERVER_DEFAULTS                                                                    \
    {                                                                                              \
        .address = "127.0.0.1", .port = ES_LIVE_PORT, .clients_max = 64, .queue_bytes = 1 << 26,   \
        .same_most = 3                                                                             \
    }

typedef struct es_live_server es_live_server;
/* ES_USAGE for an address beyond this machine without a token. */
es_live_server *es_live_server_new(const es_live_server_options *options, es_error *err);
void es_live_server_free(es_live_server *server);
int es_live_server_port(const es_live_server *server);

/* Sends all messages of `out` (header version 2) to every client and empties
 * it. `keep`: they are also the first that later clients get, until a message
 * of the same type and device takes their place. False when memory failed. */
bool es_live_server_send(es_live_server *server, es_igtl_out *out, bool keep);

typedef struct es_live_server_stats {
    int clients;
    uint64_t connections, refused; /* all that came; those that were thrown out */
    uint64_t sent, dropped;        /* messages */
    uint64_t received, malformed, crc;
} es_live_server_stats;
es_live_server_stats es_live_server_statistics(es_live_server *server);

/* A command of a client, in either of PLUS's transports (STRING with the
 * device CMD_<id>, COMMAND). A client's commands come once each: a number that
 * is among its last ten is left out. */
typedef struct es_live_command {
    uint64_t client; /* of this server */
    bool near_by;    /* from this machine: it may write */
    bool as_string;
    uint32_t id;
    char device[ES_IGTL_DEVICE + 1], name[129];
    char *text; /* XML; es_live_command_clear frees it */
} es_live_command;
/* The next one that waits (32 at most; more are answered with "busy"). */
bool es_live_server_command(es_live_server *server, es_live_command *command);
void es_live_command_clear(es_live_command *command);
/* Answers it: as STRING ACK_<id>, or as RTS_COMMAND with the key and value pairs
 * of `meta` (NULL: none) beside Status, Message and Error. `content` replaces
 * the usual CommandReply; NULL: none. */
typedef struct es_live_reply {
    bool ok;
    const char *message, *error, *content;
    const char *const *meta;
} es_live_reply;
bool es_live_server_reply(es_live_server *server, const es_live_command *command,
                          const es_live_reply *reply);

/* Messages that still wait to be sent, of all clients. */
size_t es_live_server_waiting(es_live_server *server);

/* A tracker without cameras: a NatNet 3.0 server at 127.0.0.1 that answers as Motive does
 * by unicast. A frame's transform ProbeToTracker is the rigid body Probe. Port 0: any. */
typedef struct es_natnet_host es_natnet_host;
es_natnet_host *es_natnet_host_new(int port, es_error *err);
void es_natnet_host_free(es_natnet_host *host);
int es_natnet_host_port(const es_natnet_host *host);
/* The bodies that there will be, for those who ask before the first frame. */
void es_natnet_host_learn(es_natnet_host *host, const es_frame *frame);
/* Sends the frame's bodies, seen at a moment of es_clock_s, to whoever is connected. */
void es_natnet_host_put(es_natnet_host *host, const es_frame *frame, double moment_s);

/* Serves a source in real time as PlusServer would: each picture as IMAGE
 * (Image_Image: uncalibrated) with the frame's fields as metadata, and each
 * transform as TRANSFORM with its status, all with one time stamp; the times
 * are those of the source, moved to now. Starts when a client is there; ends
 * with the source (`repeat`: starts again), or when `stop` (may be NULL) says
 * so. *frames: how many were sent. */
typedef struct es_live_play_options {
    double rate_hz; /* instead of the frames' own times; 0: these, else 25 */
    bool repeat;
    uint64_t preload_bytes; /* above 0: all frames are made first; this much at most */
    /* Gets the poses, in step with the pictures, which then come without; borrowed; NULL:
     * none. */
    es_natnet_host *natnet;
    bool (*stop)(void *context);
    void *context;
} es_live_play_options;
bool es_live_play(es_live_server *server, es_source *source, const es_live_play_options *options,
                  int64_t *frames, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
