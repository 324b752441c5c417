/* What a run of `echosolid model` holds, for the command and its report. */
#ifndef ECHOSOLID_APP_MODEL_RUN_H
#define ECHOSOLID_APP_MODEL_RUN_H

#include "checkup.h"
#include "detector.h"
#include "echosolid/keep.h"
#include "echosolid/plan.h"
#include "setup_options.h"
#include "shape_output.h"
#include "step_output.h"

typedef struct model_options {
    common_options common;
    setup_options setup;
    step_options step;
    shape_options shape;
    const char *sheet, *volume, *field, *report, *truth;
    const char *keep, *from_bone, *from_field, *from_sheet;
    detector_options detector;
    double bone_threshold, bone_spacing, blur, min_weight, min_area;
    int64_t components, smooth;
    bool unchecked, dry_run;
} model_options;

/* What is kept between runs (--keep) or given (--from-...), by stage. */
typedef enum model_stage {
    STAGE_BONE,   /* lines of the frames */
    STAGE_VOLUME, /* grey */
    STAGE_FIELD,  /* distances to the bone, smoothed */
    STAGE_SURFACE,
    STAGE_SOLID,
    STAGES
} model_stage;
extern const char *const model_stage_names[STAGES];

typedef struct model_keep {
    es_keep *folder; /* NULL without --keep */
    char keys[STAGES][33];
    bool reused[STAGES], given[STAGES];
    es_lines_writer *lines;
    es_bone_given *bone; /* --from-bone */
    es_bricks *grey;     /* of another run, for the report */
} model_keep;

typedef struct model_run {
    const model_options *o;
    const char *file;
    session s;
    app_checkup check;    /* not looked: --unchecked */
    es_coverage coverage; /* of the frames, for voxels of the grey volume */
    es_bone_method method;
    es_network *network; /* of --network */
    es_model *model;
    model_keep keep;
    es_model_result result;
    es_flow_stats flow;
    double write_s;
    app_origin origin;
    es_solid_report step; /* when a STEP file was asked for */
    bool has_truth;
    es_mesh truth;
    es_mesh_distance to_truth, from_truth; /* sheet to truth and back */
    double truth_within_1mm;               /* share of the truth's vertices */
} model_run;

/* Opens the folder and decides what is made again; before the model is. */
bool model_keep_plan(model_run *run, es_error *err);
/* Hands the model what is there already. */
bool model_keep_load(model_run *run, es_error *err);
/* Keeps what was made: bone and volume when the frames are done, the rest at the end. */
bool model_keep_frames(model_run *run, es_error *err);
bool model_keep_result(model_run *run, es_error *err);
bool model_keep_decisions(const model_run *run, es_error *err);
/* The grey volume of another run under a new name. */
bool model_keep_copy_volume(model_run *run, es_error *err);
void model_keep_clear(model_keep *keep);

/* The page o->report and the same figures as .json beside it. */
bool model_report_write(const model_run *run, es_error *err);

json_t *model_result_json(const model_run *run);
void model_result_print(const model_run *run);
/* Share of the area within the sheet's rims that was seen. */
double model_coverage(const es_model_result *result);

#endif
