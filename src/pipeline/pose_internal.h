/* What the files of the pose tables share: which samples a frame lies between,
 * and how far the pictures moved. */
#ifndef ES_POSE_INTERNAL_H
#define ES_POSE_INTERNAL_H

#include "echosolid/pipeline.h"

/* ---- which samples go with which frame (pose_pairs.c) ------------------------ */

/* The frame's pose lies at share t between samples a and b of the table. */
typedef struct pose_pair {
    size_t a, b;
    double t;
    bool paired;
} pose_pair;

typedef struct pose_pairs {
    pose_pair *items; /* one a frame */
    size_t count;     /* frames */
} pose_pairs;

/* Reads all frames without pixels and rewinds the source. */
bool pose_pairs_make(es_source *source, const es_pose_table *table, const es_pose_request *request,
                     pose_pairs *pairs, es_decisions *decisions, es_error *err);
void pose_pairs_clear(pose_pairs *pairs);
/* False when one of the two samples is no pose. */
bool pose_pair_at(const es_pose_table *table, int tool, const es_pose_reading *reading,
                  const pose_pair *pair, es_mat4 *pose);

/* ---- how the pictures moved (pose_flow.c) -------------------------------------- */

/* What lay at (u, v) of frame i lies at (u + du, v + dv) of frame j. Matches
 * of one pair of frames stand together. */
typedef struct pose_match {
    size_t i, j;
    double u, v, du, dv;
} pose_match;

typedef struct pose_flow {
    pose_match *matches;
    size_t count, capacity, tried;
    double rms_px; /* of the shifts */
} pose_flow;

/* Reads frames with pixels, spread over the recording, and rewinds. A source
 * without pictures gives no matches. */
bool pose_flow_measure(es_source *source, size_t frames, pose_flow *flow, es_error *err);
void pose_flow_clear(pose_flow *flow);

/* ---- the guess (pose_guess.c) ----------------------------------------------------- */

typedef struct pose_tools {
    int probe, reference;         /* of the table; reference -1: none */
    char names[64][ES_NAME_SIZE]; /* transform of each tool */
} pose_tools;

/* Finds the one reading, or says which are left. */
bool pose_guess(es_source *source, const es_pose_table *table, const pose_pairs *pairs,
                const pose_tools *tools, const es_pose_request *request, es_pose_reading *reading,
                es_decisions *decisions, es_error *err);

#endif
