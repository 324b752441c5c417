/* echosolid/calibration.h: calibrations on recordings: who reads which poses
 * and points from where for the rooms of calib. A second header of the
 * pipeline. */
#ifndef ECHOSOLID_CALIBRATION_H
#define ECHOSOLID_CALIBRATION_H

#include "echosolid/calib.h"
#include "echosolid/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One transform of every frame. Poses that are not valid are NaN. */
typedef struct es_pose_list {
    double *times_s; /* frame numbers when the recording has no times */
    es_mat4 *poses;
    bool *valid;
    size_t count, placed, capacity;
    bool timed;
} es_pose_list;
/* `transform`: "StylusToReference", found through the frame's transforms and
 * those of `plus` (may be NULL). ES_GEOMETRY when no frame has it. */
bool es_pose_list_read(es_source *source, const es_plus *plus, const char *transform,
                       es_pose_list *list, es_error *err);
void es_pose_list_clear(es_pose_list *list);
/* The transform's name from what the first frames carry: `tool` or, when it is
 * NULL, Stylus or the only tool; to `reference` or, when NULL, Reference if
 * there is one, else Tracker. ES_USAGE with the tools when several are there.
 * Rewinds the source. */
bool es_pose_list_choose(es_source *source, const char *tool, const char *reference,
                         char transform[2 * ES_NAME_SIZE], es_error *err);

#ifdef __cplusplus
}
#endif
#endif
