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

#ifdef __cplusplus
}
#endif
#endif
