/* echosolid/calibration.h: calibrations on recordings: who reads which poses
 * and points from where for the rooms of calib. A second header of the
 * pipeline. */
#ifndef ECHOSOLID_CALIBRATION_H
#define ECHOSOLID_CALIBRATION_H

#include "echosolid/calib.h"
#include "echosolid/phantom.h"
#include "echosolid/pipeline.h"
#include "echosolid/report.h"
#include "echosolid/spacing.h"

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
/* The tracked tools that the first frames name. Rewinds the source. */
enum { ES_TOOLS_MAX = 32 };
typedef struct es_tool_list {
    char names[ES_TOOLS_MAX][ES_NAME_SIZE];
    int count;
    bool reference; /* a Reference is tracked as well */
} es_tool_list;
bool es_tool_list_read(es_source *source, es_tool_list *tools, es_error *err);
/* Adds those of one frame. */
void es_tool_list_see(es_tool_list *tools, const es_frame *frame);
/* The transform's name from what the first frames carry: `tool` or, when it is
 * NULL, Stylus or the only tool; to `reference` or, when NULL, Reference if
 * there is one, else Tracker. ES_USAGE with the tools when several are there.
 * Rewinds the source. */
bool es_pose_list_choose(es_source *source, const char *tool, const char *reference,
                         char transform[2 * ES_NAME_SIZE], es_error *err);

/* The straight bright echo of every picture (es_line_find). Pixels that are
 * bright all through the recording (text, the probe's own ring) are left out. */
typedef struct es_line_seen {
    es_line_found line;
    int64_t index;
    double time_s; /* the frame's number when it has no time stamp */
    bool has_time;
} es_line_seen;
typedef struct es_line_list {
    es_line_seen *items;
    size_t count, found, capacity;
    uint32_t width, height;
    bool timed; /* all of them */
} es_line_list;
/* ES_GEOMETRY when there are no pictures; none with a line is no error. */
bool es_line_list_read(es_source *source, const es_progress *progress, es_line_list *list,
                       es_error *err);
void es_line_list_clear(es_line_list *list);
/* Why the last picture without a line has none; "" when all have one. */
const char *es_line_list_reason(const es_line_list *list);

/* A floor's lines for es_wall_solve, and the pictures without one. Both by
 * es_free; they have list->count at most. */
bool es_wall_lines(const es_line_list *list, es_wall_line **lines, size_t *count,
                   es_wall_reject **rejects, size_t *reject_count, es_error *err);
/* Poses by time; samples whose time does not grow are left out. */
es_pose_track *es_pose_list_track(const es_pose_list *list, es_error *err);

/* What the pictures of a recording show of the probe's motion, a number each. */
typedef struct es_image_signal {
    double *times_s, *values; /* NaN: nothing found in that picture */
    size_t count, found, capacity;
    char unit[40];    /* "px: height of the line in the middle column" */
    char reason[200]; /* why the last picture without a value has none */
} es_image_signal;
/* The height of the line (es_line_list_read) in the middle column.
 * ES_GEOMETRY without time stamps or with fewer than 30
 * pictures that show a line. */
bool es_line_signal_read(es_source *source, const es_progress *progress, es_image_signal *signal,
                         es_error *err);
/* The same from a list that was read; any number of lines will do. */
bool es_line_signal_make(const es_line_list *list, es_image_signal *signal, es_error *err);
void es_image_signal_clear(es_image_signal *signal);

/* ---- pictures that overlap --------------------------------------------------------------- */

/* A recording's pictures in cells of about a hundredth of their longer side;
 * of a long recording every n-th, 240 at most. *timed: all of them have time
 * stamps (else the frame's numbers stand for them). ES_GEOMETRY when there
 * are none. */
bool es_self_pictures_read(es_source *source, const es_progress *progress,
                           es_self_pictures *pictures, bool *timed, es_error *err);
/* Sections and summary about the result. */
void es_self_report(es_report *report, const es_self_pictures *pictures,
                    const es_self_result *result);

/* ---- what moves, whatever is seen -------------------------------------------------------- */

/* What moves from picture to picture, of whatever is seen: the shift of the
 * middle (es_flow_shift) down and across, and how much its greys change. Rates
 * by the second, at the middle of two pictures' times. */
typedef enum es_motion { ES_MOTION_DOWN, ES_MOTION_ACROSS, ES_MOTION_CHANGE, ES_MOTIONS } es_motion;
typedef struct es_motion_signals {
    es_image_signal of[ES_MOTIONS];
} es_motion_signals;
/* ES_GEOMETRY without pictures of 32 x 32 or more, or without time stamps. */
bool es_motion_signals_read(es_source *source, const es_progress *progress,
                            es_motion_signals *signals, es_error *err);
void es_motion_signals_clear(es_motion_signals *signals);
/* The lag by the signal that the poses explain best, which *which names. Shifts
 * go with velocities, the change of greys with speeds. ES_GEOMETRY with the
 * reason of the best one. */
bool es_motion_lag(const es_motion_signals *signals, const es_pose_list *poses,
                   const es_lag_options *options, es_lag_result *result, es_motion *which,
                   es_error *err);

/* ---- whole ways -------------------------------------------------------------------------- */

/* From which signal of the pictures; ANY: the line where half of them show one. */
typedef enum es_lag_from { ES_LAG_FROM_ANY, ES_LAG_FROM_LINE, ES_LAG_FROM_MOTION } es_lag_from;
typedef struct es_lag_request {
    es_lag_options options;
    es_lag_from from;
    const es_progress *progress;
} es_lag_request;
typedef struct es_lag_outcome {
    bool line; /* else of motion */
    size_t pictures, with_line;
    char no_line[200]; /* why the last picture without a line has none */
    es_image_signal signal;
    es_lag_result result;
} es_lag_outcome;
/* What was counted is there also when it is refused; to be cleared in either case.
 * ES_GEOMETRY as es_lag_solve, and without time stamps. */
bool es_lag_calibrate(es_source *pictures, const es_pose_list *poses, const es_lag_request *request,
                      es_lag_outcome *outcome, es_error *err);
void es_lag_outcome_clear(es_lag_outcome *outcome);

typedef struct es_wall_request {
    es_wall_options options; /* lag_free: where there are time stamps */
    bool lag_must;           /* refused where there are none */
    const es_progress *progress;
} es_wall_request;
typedef struct es_wall_outcome {
    size_t pictures, with_line;
    bool lag_held;           /* no time stamps: it was taken as options.lag_s */
    es_wall_reject *rejects; /* pictures without a line first, then those of the fit */
    size_t reject_count;
    es_wall_result result;
} es_wall_outcome;
/* As es_wall_solve; what was counted is there also when it is refused; to be cleared in
 * either case. */
bool es_wall_calibrate(es_source *pictures, const es_pose_list *poses,
                       const es_wall_request *request, es_wall_outcome *outcome, es_error *err);
void es_wall_outcome_clear(es_wall_outcome *outcome);
/* ImageToProbe of a bath of this speed turned into that of tissue, as
 * es_wire_tissue_spacing does it, depths stretched from row face_px. */
es_mat4 es_wall_tissue(const es_wall_result *result, double speed_mps, double face_px,
                       double tissue_mm[2]);

typedef struct es_self_outcome {
    es_self_pictures pictures;
    es_self_result result;
} es_self_outcome;
/* As es_self_solve, and the same from a quarter of the places, in some seconds; to be
 * cleared in either case. */
bool es_self_calibrate(es_source *pictures, const es_pose_list *poses,
                       const es_self_options *options, es_self_outcome *outcome, es_error *err);
bool es_self_look(es_source *pictures, const es_pose_list *poses, const es_self_options *options,
                  es_self_outcome *outcome, es_error *err);
void es_self_outcome_clear(es_self_outcome *outcome);

/* By the fixed transforms of a configuration alone. Errors as es_graph_find. */
bool es_plus_between(const es_plus *plus, const char *from, const char *to, es_mat4 *matrix,
                     es_error *err);
/* A copy of the configuration (NULL: a new one) with the transform, at `path`. */
bool es_calibration_write(const es_plus *plus, const char *path, const es_plus_transform *transform,
                          es_error *err);

/* ---- what can be calibrated ------------------------------------------------------------ */

/* What a method says to a recording. */
typedef struct es_method_verdict {
    const char *method;             /* "wall": as in calibrate wall; static text */
    bool possible;                  /* it was tried, or all that it needs is there */
    char found[300];                /* what it gave or would give */
    char missing[sizeof(es_error)]; /* not possible: why, and what to do */
} es_method_verdict;
enum { ES_METHODS_MAX = ES_TOOLS_MAX + 8 };

typedef struct es_calibration_survey {
    size_t pictures, with_line, looked_at, with_dots; /* dots: in a few pictures */
    size_t poses, placed;
    es_tool_list tools;
    char transform[2 * ES_NAME_SIZE]; /* of the probe; "": no tool of that name */
    bool timed;
    double moved_mm[3];      /* the probe's way along its main axes, standard deviations */
    double turned_rad[3];    /* and its turns about theirs */
    size_t landmarks, wires; /* of the configuration */
    es_method_verdict methods[ES_METHODS_MAX];
    int method_count;
} es_calibration_survey;

typedef struct es_survey_request {
    es_source *pictures, *poses;  /* may be the same; pictures may be without */
    const es_plus *plus;          /* may be NULL */
    const char *tool, *reference; /* of the probe; NULL: Probe; Reference, else Tracker */
    const es_progress *progress;
} es_survey_request;
/* Which calibrations a recording permits, by trying them where that is quick:
 * pivot for every tool but the probe, lag and wall from the line, and by their
 * needs N-wire, self and landmarks. Fails only when the recording cannot be read. */
bool es_calibration_survey_read(const es_survey_request *request, es_calibration_survey *survey,
                                es_error *err);

/* ---- N-wire phantom -------------------------------------------------------------- */

/* PhantomDefinition/Geometry/Pattern/Wire of a configuration. ES_FORMAT when
 * there is none, when a pattern does not have three wires or is no N. */
bool es_wire_phantom_read(const es_plus *plus, es_wire_phantom *phantom, es_error *err);
/* Public phantoms by name, "fcal-1.0" ..., and those of `echosolid phantom`
 * in their usual sizes, "printed-linear" ... ; ES_USAGE with the list. */
bool es_wire_phantom_named(const char *name, es_wire_phantom *phantom, es_error *err);
const char *const *es_wire_phantom_names(void); /* NULL terminated */
/* A configuration with the wires, and with landmarks (may be none). */
es_plus *es_wire_phantom_plus(const es_wire_phantom *phantom, const es_points *landmarks,
                              es_error *err);
/* The default bath with the phantom's wires, fitted to them (es_bath_fit). */
void es_wire_phantom_bath(const es_wire_phantom *phantom, es_bath *bath);
/* How to print, thread and use a phantom: sections with drawings and its
 * picture (may be NULL). */
bool es_phantom_guide(es_report *report, const es_phantom_design *design, const es_mesh *solid,
                      es_error *err);

/* The bright spots of one picture. */
typedef struct es_wire_spots {
    int count;
    es_dot dots[ES_DOTS_MAX];
} es_wire_spots;

/* A recording of a wire phantom: spots, what they are, and poses. */
typedef struct es_wire_recording {
    es_wire_frame *frames; /* `seen` all false where nothing was matched */
    es_wire_spots *spots;  /* NULL: the file has matched dots and no pictures */
    es_wire_reject *whys;  /* reason of each that was not matched; step "" else */
    size_t count, capacity;
    es_pose_list poses;    /* of the probe, one a frame */
    double *track_times_s; /* of the frames with a time, or all with their numbers */
    es_mat4 *track;
    size_t track_count;
    double width, height; /* of the pictures, pixels; 0: unknown */
    double middle_px[2];  /* of the picture, or of the dots where it is unknown */
    size_t still_pixels;  /* left out: they do not change in the recording */
} es_wire_recording;
/* `pose`: "ProbeToReference". Two passes over the pictures: what stands still
 * (text), then the spots; results files carry their dots ("Dot.<WireName>").
 * ES_GEOMETRY without pictures and dots, without poses, or when time stamps go
 * back; ES_FORMAT when the dots have other names than the phantom's wires. */
bool es_wire_recording_read(es_source *source, const es_plus *plus, const char *pose,
                            const es_wire_phantom *phantom, const es_progress *progress,
                            es_wire_recording *recording, es_error *err);
void es_wire_recording_clear(es_wire_recording *recording);

/* What was found on the way. */
typedef struct es_wire_outcome {
    es_wire_result result;
    es_wire_errors validation;
    bool cross_validated;    /* no second recording: blocks of time left out in turn */
    es_wire_reject *rejects; /* of the calibration, by index */
    size_t reject_count;
    es_wire_reject *validation_rejects;
    size_t validation_reject_count;
    double *influence_mm;  /* of each frame on the middle of the dots */
    es_wire_frame *frames; /* those that were solved with */
    size_t frame_count;
    int view;                           /* ES_VIEW_... */
    bool view_by_fit;                   /* the phantom is symmetric: the poses decided */
    double lag_free_s, lag_free_ci95_s; /* found beside a given lag; NaN: could not be */
    double lag_free_m95_mm;
    double half_lag_s[2]; /* NaN: not looked at */
    bool two_lags;
    double motion_rad, motion_mm;
    es_decisions notes;
    char next[240]; /* what to do next, one sentence */
} es_wire_outcome;
/* Matches the dots of both recordings (validation may be NULL) and solves.
 * Views are voted on; a first solution tells where wires should be, which
 * recovers frames and drops wrong dots; frames whose poses stand still while
 * the picture moves are left out. ES_GEOMETRY names what is wrong. */
bool es_wire_calibrate(const es_wire_phantom *phantom, es_wire_recording *calibration,
                       es_wire_recording *validation, const es_wire_options *options,
                       es_wire_outcome *outcome, es_error *err);
void es_wire_outcome_clear(es_wire_outcome *outcome);
/* ES_GEOMETRY for a result that is more than 2 mm off on its validation, or sure to
 * more than 2 mm only. */
bool es_wire_judge(const es_wire_outcome *outcome, es_error *err);

/* The picture with its spots (thin), and the dots taken as wires (full). */
bool es_wire_picture(const es_image *frame, const es_wire_frame *dots, const es_wire_spots *spots,
                     uint32_t width, es_image *picture, es_error *err);

/* Sections about the calibration; `source` (rewound; may be NULL) gives some
 * pictures of used and rejected frames. `earlier` (may be NULL): ImageToProbe
 * that was in use. */
typedef struct es_wire_about {
    const es_wire_phantom *phantom;
    const es_wire_recording *calibration;
    const es_wire_outcome *outcome;
    const es_wire_options *options;
    const es_mat4 *earlier;
    double speed_mps; /* of sound in the bath; NaN: not told */
    es_source *source;
} es_wire_about;
bool es_wire_report(es_report *report, const es_wire_about *about, es_error *err);
/* The same when es_wire_calibrate, or the reading, refused for the reason
 * `why`: what was seen in which frames, pictures with their spots, and what to
 * do next. `outcome`, `options` and `earlier` are not looked at. */
bool es_wire_report_failure(es_report *report, const es_wire_about *about, const char *why,
                            es_error *err);

/* How two ImageToProbe differ: distance at a pixel, the angle between them,
 * and whether the picture's x axis points the other way. */
typedef struct es_wire_difference {
    double middle_mm, angle_rad;
    bool opposite_x;
} es_wire_difference;
es_wire_difference es_wire_compare(es_mat4 a, es_mat4 b, const double middle_px[2]);

/* Spacing found in a bath of this speed, turned into that of tissue (1540
 * m/s): depth only, as it is for a linear array; of a curved one the width
 * grows with the depth too, and this is true along its middle line. */
void es_wire_tissue_spacing(const double bath_mm[2], double speed_mps, double tissue_mm[2]);

#ifdef __cplusplus
}
#endif
#endif
