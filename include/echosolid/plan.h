/* echosolid/plan.h: how many frames a region takes, and what a recording left
 * out. A further header of the pipeline. */
#ifndef ECHOSOLID_PLAN_H
#define ECHOSOLID_PLAN_H

#include "echosolid/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_plan_request {
    double length_mm, across_mm; /* of the region: along the sweep, and across it */
    double depth_mm;             /* of what is wanted, below the skin */
    double width_mm;             /* of the picture at that depth */
    double rate_hz;              /* frames a second */
    double voxel_mm;             /* what is wanted in the volume */
    double overlap;              /* of neighbouring sweeps, 0 to 0.9 */
    double arc_deg;              /* how far round the bone, 0: from one side */
} es_plan_request;

typedef struct es_plan {
    double frame_distance_mm; /* at most */
    double speed_mm_s;        /* of the probe, at most */
    double turn_deg_s;        /* when the probe turns in place, at most */
    int64_t sweeps_across, directions, sweeps;
    int64_t frames_per_sweep, frames;
    double seconds; /* of scanning */
} es_plan;

/* A voxel stays empty unless frames lie within 1.5 voxels of one another (facts
 * of the distance volume); sweeps side by side overlap by the given share; round
 * a bone they stand 45 degrees apart, so that each place is seen from two of
 * them within 45 degrees of its normal. ES_USAGE for numbers out of range. */
bool es_plan_make(const es_plan_request *request, es_plan *plan, es_error *err);

/* A place within the recording that no frame shows. */
typedef struct es_gap {
    es_vec3 centre;    /* reference mm */
    es_vec3 direction; /* unit, its longest way */
    double length_mm, width_mm, volume_mm3;
    int64_t frames;     /* of a sweep along it that would close it */
    int64_t near_frame; /* the recording's frame whose middle is nearest */
    double near_s;      /* its time; NaN without */
} es_gap;

/* Two successive frames that lie too far apart for the voxel. */
typedef struct es_step_gap {
    int64_t frame; /* the later one */
    double time_s, distance_mm;
} es_step_gap;

enum { ES_GAPS_MAX = 10 };

typedef struct es_coverage {
    int64_t frames;           /* with a place */
    double cell_mm;           /* 1.5 voxels, or what memory allows */
    bool coarsened;           /* cell_mm is more than 1.5 voxels */
    double seen_mm3;          /* volume of the cells that frames pass through */
    double gaps_mm3;          /* of unseen cells with seen ones on both sides along an axis */
    double share;             /* seen / (seen + gaps) */
    es_gap gaps[ES_GAPS_MAX]; /* the largest, of 8 cells or more */
    int gap_count;
    size_t gaps_in_all;

    double limit_mm;                 /* of the distance of frames: 1.5 voxels */
    double step_p50_mm, step_p95_mm; /* distances of successive frames, new sweeps apart */
    int64_t steps, too_far, sweeps;  /* a step over ten limits starts a new sweep */
    es_step_gap far[ES_GAPS_MAX];    /* the largest of those too far */
    int far_count;
    double rate_hz; /* median; NaN without times */
} es_coverage;

/* Reads the poses of the whole source (no pixels) and rewinds it. The setup gives
 * clip, fan and region; `placement` as for es_setup_make. ES_GEOMETRY for a
 * recording without a place. */
bool es_coverage_find(es_source *source, const es_setup *setup, es_placement *placement,
                      double voxel_mm, es_coverage *coverage, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
