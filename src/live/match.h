/* Pictures and poses joined in time, without sockets or clocks of its own. */
#ifndef ES_LIVE_MATCH_H
#define ES_LIVE_MATCH_H

#include "echosolid/live.h"

/* A picture waits until every tracker that is alive has spoken of its time or
 * of a later one, at most wait_s. Each then gives the pose of the equal time
 * stamp, else the nearest within tolerance_s, else the transform is there with
 * the status MISSING. `now_s` is any clock that only goes forward. */
typedef struct match_options {
    double tolerance_s, wait_s;
    double lag_s; /* a tracker stamps the same moment later by this */
} match_options;

enum { MATCH_STREAMS = 32, MATCH_PENDING = 16 };

typedef struct matcher matcher;
matcher *matcher_new(const match_options *options, es_error *err);
void matcher_free(matcher *m);
/* ES_FORMAT for a name beyond the MATCH_STREAMS-th. */
bool matcher_pose(matcher *m, const es_live_pose *pose, double now_s, es_error *err);
/* Takes the frame's content and gives an old frame's memory for it. There must
 * be room: call matcher_take until it gives nothing. */
void matcher_picture(matcher *m, es_frame *frame, double arrived_s);
/* The oldest picture once it is ready (always, when no other has room), its
 * memory swapped with that of `frame`. *paired: every living tracker had a pose. */
typedef struct matched {
    double arrived_s;
    bool paired;
} matched;
bool matcher_take(matcher *m, double now_s, es_frame *frame, matched *how, bool *taken,
                  es_error *err);
/* Pictures that wait. */
size_t matcher_waiting(const matcher *m);
/* The newest pose of a name, for those who ask; NULL when there is none. */
const es_live_pose *matcher_latest(const matcher *m, const char *name);
/* After a new connection: old poses mean nothing any more. */
void matcher_reset(matcher *m);

#endif
