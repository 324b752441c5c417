/* echosolid/pipeline.h: the wiring of sources, stages and sinks. One flow
 * serves every command, offline and live: frames are read in batches, placed
 * by the transform graph, and handed to stages.
 *
 * Everything that was chosen rather than given is written down as a decision:
 * what, its value, and why. Commands print them, reports carry them. */
#ifndef ECHOSOLID_PIPELINE_H
#define ECHOSOLID_PIPELINE_H

#include "echosolid/bone.h"
#include "echosolid/bone_given.h"
#include "echosolid/cad.h"
#include "echosolid/compat.h"
#include "echosolid/doctor.h"
#include "echosolid/format.h"
#include "echosolid/keep.h"
#include "echosolid/picture.h"
#include "echosolid/recon.h"
#include "echosolid/simulate.h"
#include "echosolid/solid.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- decisions --------------------------------------------------------- */

typedef struct es_decision {
    char what[64], value[200], why[200];
} es_decision;
typedef struct es_decisions {
    es_decision *items;
    size_t count, capacity;
} es_decisions;
/* `value` and `why` are cut when they are too long. */
bool es_decisions_add(es_decisions *decisions, es_error *err, const char *what, const char *why,
                      const char *value, ...) ES_PRINTF(5, 6);
void es_decisions_clear(es_decisions *decisions);

/* ---- where frames lie --------------------------------------------------- */

/* Static transforms of a configuration joined with those of each frame. */
typedef struct es_placement es_placement;
/* `plus` may be NULL and is only read. `transform`: "ImageToReference", or
 * NULL to take the configuration's frames, else Image and the first known of
 * Reference, World, Tracker. */
es_placement *es_placement_new(const es_plus *plus, const char *transform, es_error *err);
void es_placement_free(es_placement *placement);
/* False in *placed when this frame has no valid pose: that is no error, the
 * reason is kept. Errors are only failures of memory and malformed names. */
bool es_placement_find(es_placement *placement, const es_frame *frame, es_mat4 *image_to_reference,
                       bool *placed, es_error *err);
/* The last reason why a frame was not placed; "" when none. */
const char *es_placement_reason(const es_placement *placement);
const char *es_placement_image(const es_placement *placement);
const char *es_placement_reference(const es_placement *placement);

/* ---- poses of a table beside the frames ---------------------------------- */

/* What the caller says of a pose table; NULL and NaN: not said. */
typedef struct es_pose_request {
    const char *path;     /* of the table */
    const char *layout;   /* as es_pose_table_read takes it */
    const char *tools;    /* "Rigid Body 1=Probe, Ref=Reference"; one name alone is the probe */
    double time_offset_s; /* added to the table's times */
    double rate_hz;       /* of frames without times */
    const es_plus *plus;  /* its ImageToProbe lets the pictures' motion judge the readings */
} es_pose_request;
void es_pose_request_init(es_pose_request *request);

/* Takes `source`, also on failure, and gives its frames with the table's poses
 * as <Tool>ToTracker. What the table leaves open is found in this order:
 * header, algebra, ranges, smoothness, the motion of the pictures; every
 * finding is a decision. ES_GEOMETRY with the open readings and the words that
 * choose them when they stay in doubt; ES_FORMAT with both counts when frames
 * and poses do not go together; ES_USAGE when the probe is not named among
 * several tools. The source must rewind. */
es_source *es_pose_join(es_source *source, const es_pose_request *request, es_decisions *decisions,
                        es_error *err);

/* ---- hole filling ---------------------------------------------------------- */

/* The elements of a PLUS configuration, every attribute set. */
typedef struct es_holes {
    es_plus_hole_filling steps[ES_PLUS_HOLE_MAX];
    int count; /* 0: holes stay holes */
} es_holes;
/* "none", or steps joined by +: stick:LENGTH:STICKS, gaussian:SIZE:STDEV:RATIO,
 * accumulation:..., inverse:SIZE:RATIO, nearest:SIZE:RATIO; numbers that are
 * left out have PLUS's usual values (stick:9:1, gaussian:5:0.667:0.5). */
bool es_holes_parse(const char *text, es_holes *holes, es_error *err);
/* What FillHoles and HoleFilling ask for. */
bool es_holes_from_plus(const es_plus_reconstruction *plus, es_holes *holes, es_error *err);
/* "stick 9 long, 1, then gaussian of 5 voxels" */
void es_holes_describe(const es_holes *holes, char *text, size_t size);
es_fill_options es_holes_fill_options(const es_holes *holes, es_pool *pool);
size_t es_holes_compat_steps(const es_holes *holes, es_compat_fill_step steps[ES_PLUS_HOLE_MAX]);

/* ---- the setup: everything resolved before the work --------------------- */

/* What the caller asks for; NaN, NULL, -1 and 0 mean: take the configuration,
 * else choose, and say which. */
typedef struct es_setup_request {
    const es_plus *plus;
    const char *transform;
    double spacing_mm[3], origin_mm[3]; /* NaN: not given */
    double size_mm[3];                  /* with origin: the region; NaN: where frames fall */
    int interpolation, compounding;     /* -1: not given; 3: importance mask */
    double clip_px[4];                  /* u v width height; NaN first: not given */
    double fan_angles_deg[2], fan_origin_px[2], fan_radii_px[2];
    double threshold;
    int64_t skip;     /* every n-th frame; 0: not given */
    const char *fill; /* as es_holes_parse takes it; NULL: not given */
    const char *mask; /* importance mask, PNG or a volume of one slice; NULL: none */
    uint64_t memory_limit;
    bool peer_defaults; /* missing attributes as IGSIO takes them: fan origin 0 0, stop 500 */
    bool grow;          /* frames still come: no region unless one is given */
} es_setup_request;
void es_setup_request_init(es_setup_request *request);

/* What one pass over the poses tells (the pixels are not read). */
typedef struct es_survey {
    int64_t frames, placed, used; /* used: placed and not skipped */
    double pixel_mm[2];           /* length of a pixel along u and v */
    double step_mm;               /* median distance of successive image centres */
    double path_mm;               /* their sum */
    double first_s, last_s;       /* time; NaN when there is none */
    es_box3 box;                  /* of the clipped images, reference mm */
    char reason[1000];            /* why the last unplaced frame was not placed */
} es_survey;

typedef struct es_setup {
    es_recon_options recon;
    es_fan fan; /* where the echoes are, for detectors; NONE: unknown */
    int64_t skip;
    es_holes holes;
    es_image mask;                       /* weights of the pixels, u8; empty: all count alike */
    es_compat_optimization optimization; /* of the configuration; for the compatible mode only */
    es_survey survey;
    es_decisions decisions;
    char image_frame[ES_NAME_SIZE], reference_frame[ES_NAME_SIZE];
} es_setup;
/* Reads the poses of the whole source and rewinds it. ES_GEOMETRY when no
 * frame can be placed, with the chain that was tried. */
bool es_setup_make(es_source *source, const es_setup_request *request, es_setup *setup,
                   es_error *err);
/* The part that looks at the picture alone, for frames that need no place:
 * clip and fan; the rest of the setup stays empty. */
bool es_setup_make_picture(const es_stream_info *info, const es_setup_request *request,
                           es_setup *setup, es_error *err);
void es_setup_clear(es_setup *setup);
/* A live run chooses its lattice before most frames have come. What it chose
 * from is written into its recording as this field, so that es_setup_make
 * chooses the same again: "pixel_u pixel_v step x y z", mm. */
#define ES_LIVE_SURVEY "EchosolidLiveSurvey"
char *es_setup_survey_text(const es_setup *setup, es_error *err); /* es_free it */
/* Whether the frame's field ES_LIVE_INSERTED (format.h) is "0". */
bool es_frame_was_dropped(const es_frame *frame);
/* Bytes of the dense result and an upper bound of the bricks' memory. */
void es_setup_memory(const es_setup *setup, uint64_t *dense_bytes, uint64_t *brick_bytes,
                     uint64_t dense_size[3]);

/* ---- the flow ------------------------------------------------------------ */

enum { ES_BATCH = 16 };

/* A stage takes a batch of placed frames with pixels, in order. */
typedef bool es_stage_fn(void *context, const es_frame *const *frames,
                         const es_mat4 *image_to_reference, size_t count, es_error *err);

typedef struct es_flow_stats {
    int64_t read, placed, inserted;
    double read_s, stage_s; /* wall time in the source and in the stage, which overlap */
    double wall_s;          /* of the whole */
} es_flow_stats;

/* Reads the source to its end, places every `skip`-th frame, and gives batches
 * to the stage. `total` is for progress only (-1: unknown). */
typedef struct es_flow {
    es_source *source;
    es_placement *placement;
    int64_t skip, total;
    bool all; /* also the frames that a live run dropped */
    const es_progress *progress;
    const char *what; /* shown with the progress */
} es_flow;
bool es_flow_run(const es_flow *flow, es_stage_fn *stage, void *context, es_flow_stats *stats,
                 es_error *err);

/* An es_stage_fn that inserts into an es_volume (the context). */
bool es_stage_volume(void *volume, const es_frame *const *frames, const es_mat4 *image_to_reference,
                     size_t count, es_error *err);

/* An es_stage_fn that inserts into an es_compat_volume (the context). */
bool es_stage_compat(void *volume, const es_frame *const *frames, const es_mat4 *image_to_reference,
                     size_t count, es_error *err);

/* ---- frames to a bone ----------------------------------------------------- */

typedef struct es_model_options {
    es_bone_method method;
    const es_network *network; /* borrowed, for ES_BONE_NETWORK; NULL: the built-in one */
    double bone_threshold;     /* NaN: the detector's default */
    double bone_spacing_mm;    /* of the distance volume; NaN: chosen */
    double truncation_mm;      /* NaN: default */
    double smooth_voxels;      /* Gaussian on the field */
    double min_weight;         /* seen enough to be surface */
    int64_t components;        /* kept, largest first; 0: all */
    double min_area_mm2;       /* smaller pieces are dropped */
    int64_t smooth_iterations; /* Taubin */
    es_shape_options shape;    /* what becomes of the sheet, solid.h */
    bool with_grey;            /* also compound the grey volume */
} es_model_options;
#define ES_MODEL_DEFAULTS                                                                          \
    {                                                                                              \
        .bone_threshold = __builtin_nan(""), .bone_spacing_mm = __builtin_nan(""),                 \
        .truncation_mm = __builtin_nan(""), .smooth_voxels = 0.6, .min_weight = 0.2,               \
        .components = 0, .min_area_mm2 = 100, .smooth_iterations = 20,                             \
        .shape = {.close_holes_mm = __builtin_nan(""), .thickness_mm = 2}, .with_grey = true       \
    }

/* Takes frames (es_model_stage), gives meshes (es_model_finish). */
typedef struct es_model es_model;
es_model *es_model_new(const es_setup *setup, const es_model_options *options, es_pool *pool,
                       es_decisions *decisions, es_error *err);
void es_model_free(es_model *model);
bool es_model_stage(void *model, const es_frame *const *frames, const es_mat4 *image_to_reference,
                    size_t count, es_error *err);
/* The two halves of es_model_stage, for who looks at the model meanwhile: the first
 * finds the bone and changes no volume, the second inserts what it found. */
bool es_model_detect(es_model *model, const es_frame *const *frames, size_t count, es_error *err);
bool es_model_insert(es_model *model, const es_frame *const *frames,
                     const es_mat4 *image_to_reference, size_t count, es_error *err);
/* As es_volume_checkpoint and es_volume_undo, of all that frames change (`limit` is that
 * of each of the two volumes); between two batches, the first before their
 * es_model_detect. */
void es_model_checkpoint(es_model *model, const es_undo_limit *limit);
size_t es_model_checkpoints(const es_model *model);
bool es_model_undo(es_model *model, size_t steps);
/* Inserts the grey of the frames alone, where their bone comes from es_model_take_lines. */
bool es_model_stage_grey(void *model, const es_frame *const *frames,
                         const es_mat4 *image_to_reference, size_t count, es_error *err);
es_volume *es_model_volume(const es_model *model); /* NULL without grey */

/* ---- what is there already (keep.h) -------------------------------------------------- */

/* es_model_stage also writes the lines (borrowed; may be NULL). */
void es_model_keep_lines(es_model *model, es_lines_writer *lines);
/* The lines of another run in place of es_model_stage. */
bool es_model_take_lines(es_model *model, es_lines_reader *lines, es_error *err);
/* The bone of each frame as polylines (bone_given.h) in place of a detector; borrowed. */
void es_model_use_given(es_model *model, const es_bone_given *given);
/* The smoothed field, how it was seen (NULL: not known) and what stands in
 * es_model_result.distance: frames are no longer inserted. Takes both; `field` may be NULL
 * where the sheet is given too. */
void es_model_give_field(es_model *model, es_bricks *field, es_bricks *seen,
                         es_volume_stats statistics);
/* The sheet, or what is written of it, in place of those that es_model_finish would make.
 * Both are taken, and empty afterwards. */
void es_model_give_sheet(es_model *model, es_mesh *sheet, size_t kept, size_t dropped);
void es_model_give_shape(es_model *model, es_shape *shape);
/* A picture of the examples, in place of those of es_model_stage; copied. */
bool es_model_give_example(es_model *model, int64_t frame, const es_image *picture, es_error *err);
/* The distance field, for es_distance_follow; not during es_model_insert. */
const es_distance *es_model_distance(const es_model *model);
es_iso_options es_model_iso(const es_model *model); /* how such a field is meshed */
/* The model so far, to be finished while this one takes more frames; called
 * between two es_model_stage. The copy takes none itself, has no grey volume and
 * no examples, and uses `pool` (borrowed; NULL: the caller's thread alone). */
es_model *es_model_snapshot(const es_model *model, es_pool *pool, es_error *err);
/* What was found in the i-th frame of the last es_model_stage; lives until the next. */
const es_trace *es_model_trace(const es_model *model, size_t i);

/* Of bone points of single frames to the sheet that all frames made: how well
 * they agree. Holds what differs between frames (tracker, detector), not an error
 * that all have in common (calibration, spacing). */
typedef struct es_scatter {
    size_t points;           /* evenly spread, 2^17 at most */
    double rms_mm, p95_mm;   /* of those within `limit_mm`; NaN without any */
    double limit_mm, beyond; /* share further off: pieces that were dropped, false echoes */
} es_scatter;

/* How a surface was seen: by how many frames, and from how many directions of the twenty that
 * es_distance_seen knows. */
typedef struct es_seen {
    float *frames, *directions; /* per vertex; NULL: not known, as of a field from a file */
    double frames_p50;          /* half of the area was seen by more */
    double share[4];            /* of the area: from none (closed holes), one, two, more */
} es_seen;
enum { ES_SEEN_SHARES = 4 };
/* `voxels` as of es_distance_seen; NULL: nothing is known. */
bool es_seen_find(const es_bricks *voxels, const es_mesh *mesh, es_seen *seen, es_error *err);
void es_seen_clear(es_seen *seen);

typedef struct es_model_result {
    es_mesh sheet;  /* what was seen */
    es_seen seen;   /* how */
    es_shape shape; /* what is written of it */
    es_mesh_check sheet_check;
    size_t pieces_kept, pieces_dropped;
    int64_t frames, frames_with_bone, lines, lines_found;
    double detect_s, insert_s, field_s, surface_s, shape_s; /* field: smoothing it */
    es_volume_stats distance;
    es_scatter scatter;
    double depth_mm; /* mean depth of the found bone below the picture's first row */
    /* Holes within the sheet's rims, and their area. */
    size_t holes;
    double hole_mm2;
} es_model_result;
/* ES_GEOMETRY when no bone surface was found, with what to try. */
bool es_model_finish(es_model *model, es_model_result *result, es_error *err);
void es_model_result_clear(es_model_result *result);
/* The distance field after smoothing, owned by the model; after finish. */
es_bricks *es_model_field(const es_model *model);
es_bricks *es_model_seen(const es_model *model); /* alike, es_distance_seen's; may be NULL */
/* Up to 6 frames spread over the recording with the found bone drawn in. */
size_t es_model_example_count(const es_model *model);
const es_image *es_model_example(const es_model *model, size_t index, int64_t *frame);

/* ---- a look at the pictures --------------------------------------------------- */

/* Up to twelve frames of the `frames` that the recording has, evenly spread
 * from the first to the last, as one RGB picture with their numbers and times.
 * Rewinds first. ES_USAGE when there are no pictures. */
bool es_contact_sheet(es_source *source, int64_t frames, es_image *picture, es_error *err);

/* ---- the doctor ------------------------------------------------------------- */

/* What is examined: a recording, a configuration, or both. */
typedef struct es_checkup {
    es_source *source;                 /* NULL: the configuration alone; must rewind */
    const es_plus *plus;               /* NULL: none */
    const char *plus_path;             /* also looks for transforms in comments; NULL: does not */
    const es_spacing_verdict *verdict; /* what the pictures say of the spacing; NULL: not asked */
    /* Judges the spacing in the same pass (judge.h), for `verdict`. The
     * judgement is the caller's; empty where there is no picture. NULL: not. */
    const struct es_judge_request *judge;
    struct es_judgement *judgement;
    const es_doctor_options *options; /* NULL: the defaults */
    double pixel_bytes;               /* of pictures to read at most, about; 0: 600 MB */
    const es_progress *progress;
} es_checkup;
/* Reads the whole source once (the pixels of some frames only where they pass
 * `pixel_bytes`). The doctor is the caller's, for es_checkup_fix. A recording whose
 * pixels end early is a finding, not an error. */
es_doctor *es_checkup_run(const es_checkup *checkup, es_findings *findings, es_error *err);
/* Copies the recording to `path` with what es_doctor_repair mends; *changes
 * lists it (es_free it), "" when there was nothing to mend. */
bool es_checkup_fix(es_doctor *doctor, es_source *source, const char *path, char **changes,
                    es_error *err);

#ifdef __cplusplus
}
#endif
#endif
