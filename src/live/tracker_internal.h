/* What the trackers share; inside the room. */
#ifndef ECHOSOLID_LIVE_TRACKER_INTERNAL_H
#define ECHOSOLID_LIVE_TRACKER_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "echosolid/natnet.h"
#include "echosolid/trackers.h"
#include "socket.h"

/* ---- the address ------------------------------------------------------------- */

enum { TRACKER_ROMS = 8 };
typedef struct tracker_address {
    char scheme[16], user[ES_NAME_SIZE], host[256]; /* ndi: or a device, "/dev/..." */
    int port;                                       /* 0: not said */
    es_up_axis up;
    bool clock_sent;
    bool text_replies;         /* ndi: TX */
    char interface[64];        /* natnet: of this machine, "" any */
    es_natnet_version version; /* natnet: asked for; 0: the server's */
    int rom_count;
    char roms[TRACKER_ROMS][400]; /* ndi: NAME:FILE */
} tracker_address;
bool tracker_address_parse(const char *text, tracker_address *address, es_error *err);

/* ---- a foreign clock ------------------------------------------------------------ */

/* Lays a foreign clock on ours: ours = theirs + offset. The best of the last
 * samples counts, that with the least `cost` (round trip, or delay), so that a slow
 * drift is followed and one late packet changes nothing. */
enum { CLOCK_SAMPLES = 32 };
typedef struct clock_fit {
    double offset[CLOCK_SAMPLES], cost[CLOCK_SAMPLES], begun_s;
    int count, next;
} clock_fit;
void clock_fit_add(clock_fit *fit, double offset_s, double cost);
/* The offset with the least cost; false before the first sample. */
bool clock_fit_best(const clock_fit *fit, double *offset_s, double *cost);
/* For stamps without echo: the earliest arrival in each half second is one sample. */
double clock_fit_arrival(clock_fit *fit, double stamp_s, double arrived_s);

/* ---- one tracker ------------------------------------------------------------------ */

struct es_tracker {
    tracker_address address;
    es_tracker_options options;
    struct sockaddr_in peer; /* natnet: the host's address, once found */
    es_mat4 turn;            /* of the up axis */
    double unix_s;           /* monotonic clock -> Unix time, fixed at the start */
    pthread_t thread;
    atomic_bool stop;
    int listening; /* udp, tcp without host: opened at the start; -1 none */
    pthread_mutex_t lock;
    es_tracker_state state; /* under the lock */
    double last_pose_s;     /* under the lock */
    clock_fit arrivals;     /* the thread's own, and the stamp before: */
    double stamp_s, stamp_time_s;
};

/* Each runs until tracker_stopping. */
void tracker_run_natnet(es_tracker *tracker);
void tracker_run_vrpn(es_tracker *tracker);
void tracker_run_ndi(es_tracker *tracker);
void tracker_run_lines(es_tracker *tracker);

static inline bool tracker_stopping(es_tracker *tracker) { return atomic_load(&tracker->stop); }
/* Unix time that does not jump while the tracker is open. */
double tracker_now(const es_tracker *tracker);
/* Sleeps, less when asked to stop. */
void tracker_pause(es_tracker *tracker, double seconds);

/* Hands over a pose of `name` (a tool, or From and To already). `place_mm` and `turn`
 * as sent; not finite or no rotation: invalid. */
typedef struct tracker_sample {
    const char *name;
    double time_s, received_s, error_mm;
    bool valid;
    es_quat turn;
    es_vec3 place_mm;
} tracker_sample;
void tracker_give(es_tracker *tracker, const tracker_sample *sample);
/* The same of a matrix, which must be rigid. */
void tracker_give_matrix(es_tracker *tracker, const tracker_sample *sample, es_mat4 matrix);
/* The time of a stamp of the sender's clock as the address says. */
double tracker_stamp(es_tracker *tracker, double stamp_s, double arrived_s);

void tracker_connected(es_tracker *tracker, const char *format, ...) ES_PRINTF(2, 3);
void tracker_problem(es_tracker *tracker, const char *format, ...) ES_PRINTF(2, 3);
/* A packet that was refused, with its reason. */
void tracker_malformed(es_tracker *tracker, const es_error *err);
typedef enum tracker_counter {
    COUNT_PACKET,
    COUNT_FOREIGN,
    COUNT_STALE,
    COUNT_MISSED,
} tracker_counter;
void tracker_count(es_tracker *tracker, tracker_counter counter, uint64_t more);
void tracker_set_clock(es_tracker *tracker, es_tracker_clock clock, double error_s);

/* A serial line, raw, 8N1, or -1; and its rate. */
int serial_open(const char *device, es_error *err);
bool serial_rate(int fd, bool fast, es_error *err); /* 115200, else 9600 baud */

#endif
