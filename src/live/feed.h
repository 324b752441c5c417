/* What every live source has: a thread that reads, pictures joined with poses, and a
 * bounded queue from which they are taken. What is read, and how, is of its kind:
 * client.c (OpenIGTLink), capture.c (cameras, streams, files). */
#ifndef ES_LIVE_FEED_H
#define ES_LIVE_FEED_H

#include <pthread.h>

#include "echosolid/live.h"
#include "match.h"

typedef struct feed_kind {
    const char *format, *orientation; /* of the frames */
    /* The thread's work, until feed_is_stopped or nothing more will come; false
     * when it cannot go on. */
    bool (*run)(es_live *live, es_error *err);
    /* Why no picture came in time; returns false. */
    bool (*refuse)(const es_live *live, const es_live_stats *stats, es_error *err);
    void (*free)(void *link);
} feed_kind;

typedef struct feed_slot {
    es_frame frame;
    double arrived_s;
} feed_slot;

struct es_live {
    es_live_options options;
    const feed_kind *kind;
    void *link;     /* the kind's own */
    char name[300]; /* in messages */
    pthread_t thread;
    bool started;
    /* The reader's alone. */
    matcher *match;
    es_frame incoming, ready;
    bool warned;
    es_fields header; /* of the recording; set before the first picture */
    /* Guarded by the lock. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    feed_slot *queue; /* a ring, once the first picture told its size */
    size_t capacity_slots, first, count;
    int64_t next_index;
    es_stream_info info;
    bool has_info, stop, done;
    bool busy; /* the first picture is looked at: it has come */
    es_live_stats stats;
    double depth_mm;
    es_error error; /* why there is no connection */
    /* The taker's alone. */
    es_source *source;
    double arrived_s;
};

/* Takes `link`, also on failure; waits for the first picture. */
es_live *feed_open(const feed_kind *kind, void *link, const es_live_options *options,
                   const char *name, es_error *err);

/* ---- for the kind's thread --------------------------------------------------------- */

void feed_lock(es_live *live);
void feed_unlock(es_live *live);
bool feed_is_stopped(es_live *live);
void feed_pause(es_live *live, double seconds); /* ends early when stopped */
/* The connection came or went; `why` (may be NULL) is told when no picture ever comes. */
void feed_connected(es_live *live, bool connected, const es_error *why);

/* live->incoming goes on to be joined, unless it is of another size or kind than the
 * first: that is counted. spacing_mm counts of the first. False: out of memory. */
bool feed_picture(es_live *live, const double spacing_mm[2], double arrived_s, es_error *err);
/* Another pose; what cannot be used is told once. False: out of memory. */
bool feed_pose(es_live *live, es_live_pose *pose, es_error *err);
/* The poses of other trackers, and what waits no longer; call it every few
 * milliseconds. */
bool feed_look_around(es_live *live, es_error *err);
bool feed_release(es_live *live, es_error *err);

double feed_now(void); /* Unix seconds */

#endif
