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
/* The tracked tools that the first frames name. Rewinds the source. */
enum { ES_TOOLS_MAX = 32 };
typedef struct es_tool_list {
    char names[ES_TOOLS_MAX][ES_NAME_SIZE];
    int count;
    bool reference; /* a Reference is tracked as well */
} es_tool_list;
bool es_tool_list_read(es_source *source, es_tool_list *tools, es_error *err);
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
 * needs N-wire and landmarks. Fails only when the recording cannot be read. */
bool es_calibration_survey_read(const es_survey_request *request, es_calibration_survey *survey,
                                es_error *err);

#ifdef __cplusplus
}
#endif
#endif
