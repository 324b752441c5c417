/* echosolid/calib.h: calibration from evidence, each with its interval and
 * with the reason when it cannot be done. Poses are given as lists; who reads
 * them from where is the pipeline's business. */
#ifndef ECHOSOLID_CALIB_H
#define ECHOSOLID_CALIB_H

#include <math.h>

#include "echosolid/picture.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Why one sample was not used; for people. */
typedef enum es_use { ES_USED, ES_NOT_VALID, ES_OUTLIER } es_use;

/* ---- pivot and spin ---------------------------------------------------------- */

/* The tip of a stylus that was turned about a fixed point. Minimises
 * |R_i t + p_i - c| over the tip t (in the marker's axes) and the fixed point
 * c, from the best of fixed random triples of poses (Rousseeuw's least median
 * of squares, 1984), then with the poses beyond three robust deviations left
 * out. */
typedef struct es_pivot_result {
    es_vec3 tip_mm, pivot_mm;  /* in the marker's axes; in the reference */
    double tip_ci95_mm[3];     /* half widths */
    es_mat4 tip_to_marker;     /* z from the marker to the tip, origin at the tip */
    double rms_mm, largest_mm; /* distance of the used poses' tips from the fixed point */
    double range_rad;          /* largest turn of the least turned direction */
    double condition;          /* best to worst determined direction of the tip */
    size_t poses, used, outliers;
} es_pivot_result;
typedef struct es_pivot_options {
    double min_range_rad; /* least turn of the least turned direction */
    double max_rms_mm;    /* more than that is no fixed point; INFINITY: any */
} es_pivot_options;
#define ES_PIVOT_DEFAULTS                                                                          \
    { .min_range_rad = 0.2617993877991494, .max_rms_mm = 2 }
/* `uses` (may be NULL) gets one es_use a pose. ES_GEOMETRY with what was seen:
 * too little turning, fewer than 10 poses, most poses disagreeing, RMS. Then `used`
 * (valid poses) and `range_rad` say how far it got. */
bool es_pivot_solve(const es_mat4 *marker_to_reference, size_t count,
                    const es_pivot_options *options, es_use *uses, es_pivot_result *result,
                    es_error *err);

/* The direction about which a stylus was spun, in the marker's axes; its sign
 * is that of `toward` (the tip's place; the zero vector: free). */
typedef struct es_spin_result {
    es_vec3 axis;
    double ci95_rad;  /* half width of the direction */
    double range_rad; /* turned about the axis, and most about any other */
    double wobble_rad;
    size_t poses, used, outliers;
} es_spin_result;
bool es_spin_solve(const es_mat4 *marker_to_reference, size_t count, es_vec3 toward,
                   double min_range_rad, es_spin_result *result, es_error *err);

/* ---- landmarks ------------------------------------------------------------------ */

/* A place where the tip stood still. */
typedef struct es_dwell {
    double first_s, last_s;
    es_vec3 mean_mm;
    double spread_mm; /* RMS distance from the mean */
    size_t samples;
} es_dwell;
typedef struct es_dwell_options {
    double least_s;   /* a stop is at least this long */
    double radius_mm; /* and stays within this of its middle (RMS) */
    double apart_mm;  /* nearer stops that follow one another are one */
} es_dwell_options;
#define ES_DWELL_DEFAULTS                                                                          \
    { .least_s = 1, .radius_mm = 1, .apart_mm = 5 }
/* Stops of a track of tip positions, in order of time; *dwells by es_free.
 * Samples that are not finite are gaps. */
bool es_dwells_find(const double *times_s, const es_vec3 *tips_mm, size_t count,
                    const es_dwell_options *options, es_dwell **dwells, size_t *found,
                    es_error *err);

enum { ES_LANDMARKS_MAX = 32 };
typedef struct es_landmark_result {
    es_mat4 phantom_to_reference;
    size_t landmarks, touched;         /* touched: matched with a point */
    int point_of[ES_LANDMARKS_MAX];    /* index of the point, -1: none */
    double error_mm[ES_LANDMARKS_MAX]; /* FRE of each; NaN where not touched */
    double fre_mm;                     /* RMS over the touched ones */
    double mean_mm, fle_mm;            /* FLE = FRE / sqrt(1 - 2 / N) */
    double tre_mm;                     /* expected at `target` of es_landmarks_solve */
    bool in_order;                     /* the points came in the order of the definition */
    bool mirrored;                     /* they fit only after a mirror: refused with ES_GEOMETRY */
} es_landmark_result;
/* Which of `points` are which landmarks, whatever was touched besides and in
 * whatever order, then the rigid fit. At least 3, and all but one in four of
 * the landmarks, must be found within `tolerance_mm` (NaN: 3). When the order
 * of the points gives a fit as good as any, it is kept. The expected error at
 * `target` (phantom, mm): Fitzpatrick, West, Maurer, "Predicting error in
 * rigid-body point-based registration", 1998. ES_GEOMETRY names what is
 * wrong: too few, on a line, mirrored, another phantom. */
bool es_landmarks_solve(const es_vec3 *landmarks, size_t landmark_count, const es_vec3 *points,
                        size_t point_count, es_vec3 target, double tolerance_mm,
                        es_landmark_result *result, es_error *err);

/* ---- a line in a picture -------------------------------------------------------- */

/* A bright straight echo, like the floor of a water tank: (u, v) its middle,
 * (du, dv) its unit direction with du > 0. */
typedef struct es_line_found {
    bool found;
    double u, v, du, dv;
    double rms_px;   /* of the columns' echoes about the line */
    size_t columns;  /* that lie on it */
    const char *why; /* not found: the reason, static text */
} es_line_found;
/* The line that most columns agree on (fixed random pairs, then least squares
 * on the echoes' centroids). `ignore` (u8, same size, may be NULL) is not 0
 * where nothing is looked at. */
bool es_line_find(const es_image *picture, const es_image *ignore, es_line_found *line,
                  es_error *err);

/* ---- lag ------------------------------------------------------------------------- */

/* The time between two clocks: lag = time stamp of the tracker minus time stamp
 * of the video for one and the same event. A number seen in the picture (the
 * height of a line; the picture's shift) is taken as linear in the probe's
 * pose, signal(t) = a + b . pose(t + lag), and the lag is the one that leaves
 * the least: least squares with Huber's weights. Poses are smoothed over five
 * neighbours first, since the noise of single ones draws a lag to where two are
 * averaged. The interval is a jackknife over ten blocks of time. */
typedef struct es_lag_options {
    double range_s;     /* looked for in -range .. range */
    double max_gap_s;   /* poses further apart are not bridged */
    bool rates;         /* the signal is a rate: poses are taken as velocities, about the
                           probe's own axes */
    bool speeds;        /* and of these the amounts alone count */
    double least_share; /* of the signal's variance that the poses must explain */
} es_lag_options;
#define ES_LAG_DEFAULTS                                                                            \
    { .range_s = 2, .max_gap_s = 0.5, .least_share = 0.6 }
typedef struct es_lag_result {
    double lag_s, lag_ci95_s; /* half width */
    double share;             /* of the variance explained at the lag */
    double share_unshifted;   /* and at 0 */
    double residual;          /* RMS, in the signal's unit */
    size_t samples;           /* used */
    double motion_mm;         /* of the probe, standard deviation; of rates: mm/s */
    double turn_rad;          /* the same of its turning; rad/s */
    bool drifts;              /* first and second half differ by more than three deviations */
    double half_lag_s[2];
} es_lag_result;
/* Signal values that are not finite are gaps. Times of poses must grow.
 * ES_GEOMETRY with the reason: too few samples in common, no motion, no
 * signal, unrelated, periodic (several lags fit), at the end of the range. */
bool es_lag_solve(const double *signal_times_s, const double *signal, size_t signal_count,
                  const double *pose_times_s, const es_mat4 *poses, size_t pose_count,
                  const es_lag_options *options, es_lag_result *result, es_error *err);

/* ---- wire dots in a picture ------------------------------------------------------ */

enum { ES_DOTS_MAX = 32 };
typedef struct es_dot {
    double u, v;                /* pixels */
    double contrast;            /* grey levels (of 255) over its surroundings */
    double width_px, height_px; /* four standard deviations would be the whole of it; this is two */
} es_dot;
/* Work memory; one thread at a time. */
typedef struct es_dot_finder es_dot_finder;
es_dot_finder *es_dot_finder_new(es_error *err);
void es_dot_finder_free(es_dot_finder *finder);
/* Small bright spots, strongest first, at any zoom; a picture of any type
 * (other than bytes: scaled by its brightest pixel). `ignore` (u8, same size,
 * may be NULL) is not 0 where text and other things stand still. ES_USAGE for
 * pictures under 32 x 32. */
bool es_dots_find(es_dot_finder *finder, const es_image *picture, const es_image *ignore,
                  es_dot dots[ES_DOTS_MAX], int *count, es_error *err);
/* ---- a flat floor or plate -------------------------------------------------------------- */

/* The floor's line in one picture, by two points on it: pixels u, v. */
typedef struct es_wall_line {
    int64_t index; /* of the frame in its recording */
    double time_s;
    double ends[2][2];
} es_wall_line;

typedef struct es_wall_options {
    double spacing_mm[2]; /* of the pixels, when it is known; 0: found */
    bool isotropic;       /* one scale for both axes */
    bool lag_free;        /* the lag is found too */
    double lag_s;         /* else this one: tracker's stamp minus video's */
    double lag_range_s;   /* looked for in -range .. range */
    double max_gap_s;     /* poses further apart are not bridged */
    double limit_mm;      /* a result expected to be worse is refused; INFINITY: any */
} es_wall_options;
#define ES_WALL_DEFAULTS                                                                           \
    { .lag_free = true, .lag_range_s = 1.5, .max_gap_s = 0.5, .limit_mm = 2 }

/* What a hand can do over a floor; see es_wall_motion_text. */
typedef enum es_wall_motion {
    ES_WALL_ROCK,  /* turn in the image plane, one end of the face up */
    ES_WALL_TILT,  /* turn out of it, about the line along the face */
    ES_WALL_TURN,  /* about the probe's long axis */
    ES_WALL_RAISE, /* away from the floor */
    ES_WALL_SLIDE, /* along it */
    ES_WALL_MOTIONS
} es_wall_motion;
/* "tilt the probe by 20 degrees both ways, out of the image plane" */
const char *es_wall_motion_text(es_wall_motion motion);

/* What the motion says of one parameter. */
typedef struct es_wall_parameter {
    const char *name, *unit; /* static text */
    double ci95;             /* half width */
    bool determined;         /* well enough for a picture point within some 2 mm */
} es_wall_parameter;
enum { ES_WALL_PARAMETERS = 12 };

/* Why a frame was left out, by the step that failed. */
typedef struct es_wall_reject {
    int64_t index;
    const char *step, *reason; /* static text; steps: "pose", "fit" */
} es_wall_reject;

typedef struct es_wall_result {
    es_mat4 image_to_probe; /* columns: mm per pixel; the third their mean, across */
    double spacing_mm[2], spacing_ci95_mm[2];
    double lag_s, lag_ci95_s; /* 0 wide when given, as the spacing's */
    double translation_ci95_mm[3], rotation_ci95_rad[3];
    es_vec3 floor_normal;  /* in the reference, towards the probe */
    double floor_mm;       /* normal . p of its points */
    double rms_mm;         /* of the used lines' ends from the floor, in the picture */
    double target_ci95_mm; /* of a point where the lines lie: its miss is less, 19 times of 20 */
    double condition;
    es_wall_parameter parameters[ES_WALL_PARAMETERS];
    int parameter_count;
    es_wall_motion missing[ES_WALL_MOTIONS]; /* most needed first */
    int missing_count;
    double missing_ci95_mm; /* expected of target_ci95_mm with them; NaN: cannot be told */
    double rock_rad, tilt_rad, raise_mm, slide_mm; /* ranges that the poses had, by the result */
    double turned_rad[3]; /* standard deviations of the probe's turns about their own main axes */
    size_t frames_used, frames_rejected;
} es_wall_result;
/* ImageToProbe from the lines that a flat floor draws into the pictures: the
 * floor (3), ImageToProbe (6), the scales (1 or 2) and the lag (1) that leave
 * the least distance between the lines' ends and the floor; Huber's weights at
 * three robust deviations, then Tukey's biweight at six.
 * Prager, Rohling, Gee, Berman, "Rapid calibration for 3-D freehand
 * ultrasound", 1998. The start: for directions of the floor's normal over half
 * a sphere the rest is linear. Intervals: the sandwich estimator with frames
 * as clusters. The missing motions are those that, added to this recording,
 * would shrink the interval most.
 * `poses`: probe to reference. `rejects` (room for `count`, may be NULL) names
 * frames left out. ES_GEOMETRY with the reason: too few lines, lines that are
 * no plane, two solutions, a motion that does not determine the result (the
 * result is filled then all the same, and missing_count is not 0). */
bool es_wall_solve(const es_wall_line *lines, size_t count, const es_pose_track *poses,
                   const es_wall_options *options, es_wall_result *result, es_wall_reject *rejects,
                   size_t *reject_count, es_error *err);

/* ---- pictures that overlap ---------------------------------------------------------- */

/* The pictures of a recording, shrunk: each cell is the mean of cell_px x
 * cell_px pixels. By es_free; es_self_pictures_clear. */
typedef struct es_self_pictures {
    uint32_t width, height; /* cells */
    uint32_t cell_px;
    size_t count, capacity;
    float *grey; /* count x height x width */
    double *times_s;
    int64_t *index; /* of the frame in its recording */
} es_self_pictures;
void es_self_pictures_clear(es_self_pictures *pictures);

typedef struct es_self_options {
    es_mat4 start;        /* ImageToProbe to begin with; not finite: searched for */
    double spacing_mm[2]; /* of the pixels, when it is known; 0: found */
    bool isotropic;       /* one scale for both axes */
    bool lag_free;        /* the lag is found too */
    double lag_s;         /* else this one: tracker's stamp minus video's */
    double max_gap_s;     /* poses further apart are not bridged */
    double limit_mm;      /* a result expected to be worse is refused; INFINITY: any, and of any
                             agreement */
    double effort;        /* share of the places that are looked at, 0.1 to 1 */
    const es_progress *progress;
} es_self_options;
#define ES_SELF_DEFAULTS                                                                           \
    { .start = {{NAN}}, .max_gap_s = 0.5, .limit_mm = 2, .effort = 1 }

/* What a hand can do over an object; see es_self_motion_text. */
typedef enum es_self_motion {
    ES_SELF_TILT,  /* passes turned out of the image plane */
    ES_SELF_ROCK,  /* in it */
    ES_SELF_TURN,  /* about the probe's long axis */
    ES_SELF_SLIDE, /* passes beside one another */
    ES_SELF_MOTIONS
} es_self_motion;
/* "make another pass with the probe tilted by 20 degrees, out of the image plane" */
const char *es_self_motion_text(es_self_motion motion);

enum { ES_SELF_PARAMETERS = 9, ES_SELF_STARTS = 40 };
typedef struct es_self_parameter {
    const char *name, *unit; /* static text */
    double ci95;             /* half width */
    bool determined;         /* well enough for a picture point within some 2 mm */
} es_self_parameter;

/* A place that the search began at. */
typedef struct es_self_start {
    char name[64];
    double misfit; /* after the coarse fit: 0 all agrees, 1 nothing does */
} es_self_start;

typedef struct es_self_result {
    es_mat4 image_to_probe; /* columns: mm per pixel; the third their mean, across */
    double spacing_mm[2], spacing_ci95_mm[2];
    double lag_s, lag_ci95_s;                            /* 0 wide when given, as the spacing's */
    double translation_ci95_mm[3], rotation_ci95_rad[3]; /* in the image's own axes */
    double target_ci95_mm; /* of a point of the picture: its miss is less, 19 times of 20 */
    double agreement;      /* of what overlaps: correlation, -1 .. 1; of a surface 1 less the loss
                              over that of one which lies anywhere, 1: the same */
    double held_out;       /* the same in blocks of time that were not fitted to */
    double held_out_mm;    /* largest move of a point when a block is left out */
    double overlap;        /* share of the looked-up places that another pass shows */
    es_self_parameter parameters[ES_SELF_PARAMETERS];
    int parameter_count;
    es_self_motion missing[ES_SELF_MOTIONS]; /* most needed first */
    int missing_count;
    double tilt_rad, rock_rad, turn_rad, slide_mm; /* ranges between passes, by the result */
    bool surface;    /* a surface with a shadow was compared; else edges and spots */
    double rival_mm; /* how far off the best other solution puts a point; NaN: none */
    es_self_start starts[ES_SELF_STARTS];
    int start_count;
    size_t frames_used;
    double turned_rad[3]; /* standard deviations of the probe's turns about their main axes */
    double apart_mm;      /* of the marker from one picture to the next, median */
} es_self_result;
/* Pictures further apart are refused: what lies between them is not seen. */
#define ES_SELF_MOST_APART_MM 6.0
/* ImageToProbe from pictures of one rigid object that overlap: the six of the
 * pose, the scales and the lag under which every place shows the same in all the
 * passes that saw it. Coarse to fine: Gauss and Newton's steps on the differences
 * of blurred pictures, or of the depths of a surface over a shadow, Cauchy's
 * loss. Intervals: jackknife over blocks of time (Arvesen 1969 for pairs), the
 * information of the fit, and what all passes may share. `poses`: probe to
 * reference. ES_GEOMETRY with the reason: too few pictures or poses, a probe that
 * was hardly turned, pictures too far apart (then frames_used, those with a pose,
 * turned_rad, apart_mm and the missing motions are filled); nothing seen, no
 * overlap, no agreement, two solutions, a motion that does not determine the
 * result (the result is then filled all the same, and missing_count is not 0). */
bool es_self_solve(const es_self_pictures *pictures, const es_pose_track *poses,
                   const es_self_options *options, es_self_result *result, es_error *err);

/* ---- N-wire phantom ---------------------------------------------------------------- */

enum { ES_PATTERNS_MAX = 8, ES_WIRES_MAX = 3 * ES_PATTERNS_MAX };
typedef struct es_wire {
    char name[32];
    es_vec3 front, back; /* phantom, mm */
} es_wire;
/* Patterns of three wires one after another: the first and the third parallel,
 * the second between them aslant. */
typedef struct es_wire_phantom {
    es_wire wires[ES_WIRES_MAX];
    int patterns;
} es_wire_phantom;
/* ES_FORMAT naming the wires when a pattern is no N: outer wires that are not
 * parallel within a degree, a middle one that is, wires not in one plane. */
bool es_wire_phantom_check(const es_wire_phantom *phantom, es_error *err);

/* The dots of one picture, wire by wire, and where the phantom lay when. */
typedef struct es_wire_frame {
    int64_t index; /* of the frame in its recording */
    double time_s;
    bool seen[ES_WIRES_MAX];
    double dots[ES_WIRES_MAX][2]; /* pixels u, v */
} es_wire_frame;

/* The pose of the probe in the phantom's reference, as a track in time. */
typedef struct es_wire_poses {
    const double *times_s;
    const es_mat4 *probe_to_reference; /* not finite: no pose then */
    size_t count;
} es_wire_poses;

typedef struct es_wire_options {
    es_mat4 phantom_to_reference;
    bool isotropic;   /* one scale for both axes */
    bool lag_free;    /* the lag is found too */
    double lag_s;     /* else this one: tracker's stamp minus video's */
    double max_gap_s; /* poses further apart are not bridged */
} es_wire_options;

/* Why a frame was left out, by the step that failed. */
typedef struct es_wire_reject {
    int64_t index;
    char step[24]; /* "image", "dots", "match", "pose", "fit" */
    char reason[160];
} es_wire_reject;
/* Fills step and reason; returns false always. */
bool es_wire_refuse(es_wire_reject *why, const char *step, const char *format, ...) ES_PRINTF(3, 4);

/* ---- which dot is which wire -------------------------------------------------------- */

/* How the phantom stands in the picture: seen from its front or its back, and
 * upright or on its head. One recording has one view of the four, and from the
 * dots alone nobody can tell a phantom that was turned about from a picture
 * that was mirrored: the poses tell. */
enum { ES_VIEW_MIRRORED = 1, ES_VIEW_REVERSED = 2, ES_VIEWS = 4 };

/* What is known before the dots are matched. */
typedef struct es_wire_prior {
    unsigned views;        /* bit v: view v may be */
    double spacing_mm;     /* NaN: anything between 0.01 and 2 mm */
    double spacing_spread; /* allowed ratio to it less 1, 0.1 */
} es_wire_prior;

typedef struct es_wire_match {
    int view;
    double score;      /* more is better; a whole row counts about 6 */
    double spacing_mm; /* mean over the directions, from the outer wires */
    double stretch;    /* largest to smallest spacing: tilt, or pixels that are not square */
    double angle_rad;  /* of the rows, to the picture's rows */
    double error_mm;   /* RMS of the outer wires */
    int rows;          /* whole patterns */
} es_wire_match;

/* Outer wires are parallel, so however the picture cuts them, their dots are
 * an affine image of their places across the wires: found from a row (two
 * outer dots with a middle one between) and a third outer dot, judged by the
 * rest, in any of the allowed views. Whole rows are given as seen: all of them,
 * or two at least when one is out of the picture. False: `why` has step
 * ("dots" or "match") and reason. Errors of the phantom: es_wire_match_check. */
bool es_wire_match_dots(const es_wire_phantom *phantom, const es_dot *dots, int count,
                        const es_wire_prior *prior, es_wire_frame *frame, es_wire_match *match,
                        es_wire_reject *why);
/* The dots nearest to where the wires are expected (es_wire_predict), whole
 * rows only; false when fewer than two rows (or the only one) are there. */
bool es_wire_match_expected(const es_wire_phantom *phantom, const es_dot *dots, int count,
                            double expected[ES_WIRES_MAX][2], double tolerance_px,
                            es_wire_frame *frame, es_wire_reject *why);
/* es_wire_phantom_check, and that the patterns are parallel to one another. */
bool es_wire_match_check(const es_wire_phantom *phantom, es_error *err);

/* How far the predicted wires are from the dots. */
typedef struct es_wire_errors {
    double m95_mm;              /* mean of the lowest 95 % of the middle wires' 3-D errors */
    double mean_mm, largest_mm; /* of all of them */
    double rms_2d_mm;           /* all wires, in the picture's plane */
    size_t frames, dots;
} es_wire_errors;

typedef struct es_wire_result {
    es_mat4 image_to_probe; /* columns: mm per pixel; the third their mean, across */
    double spacing_mm[2], spacing_ci95_mm[2];
    double lag_s, lag_ci95_s; /* 0 wide when given */
    double translation_ci95_mm[3], rotation_ci95_rad[3];
    double target_ci95_mm; /* in its worst direction, of a point under the dots' middle, twice as
                              deep */
    double condition;
    es_wire_errors calibration;
    size_t frames_used, dots_used, dots_rejected;
    double rotation_range_rad; /* of the probe over the phantom */
} es_wire_result;
/* What happened to single frames; arrays with room for frame_count, either may
 * be NULL. */
typedef struct es_wire_details {
    es_wire_reject *rejects; /* frames without a pose or far off the fit */
    size_t reject_count;
    double *influence_mm; /* how far the middle of all dots would move without the frame */
} es_wire_details;
/* ImageToProbe from dots: all wires' distances in the picture between the dots
 * and where the wires cut the image plane (in mm) are least, with Huber's
 * weights at three robust deviations; orthogonal by construction. Starts from
 * the middle wires' places by their ratio between the outer ones (Chen et al.,
 * "Guidance of spinal needle injections ... N-wire", after Comeau 1998). Lag:
 * poses are taken at time + lag. The intervals are those of whole frames, whose
 * dots share one pose and its error, and of errors that last for some frames:
 * Newey and West, "A simple, positive semi-definite, heteroskedasticity and
 * autocorrelation consistent covariance matrix", 1987. An error of
 * PhantomToReference is in none of them. `details` may be NULL. ES_GEOMETRY
 * with the reason: too few frames, motion that does not determine the result. */
bool es_wire_solve(const es_wire_phantom *phantom, const es_wire_frame *frames, size_t frame_count,
                   const es_wire_poses *poses, const es_wire_options *options,
                   es_wire_result *result, es_wire_details *details, es_error *err);
/* The errors of a calibration on other frames. */
bool es_wire_validate(const es_wire_phantom *phantom, const es_wire_frame *frames,
                      size_t frame_count, const es_wire_poses *poses,
                      const es_wire_options *options, const es_wire_result *calibration,
                      es_wire_errors *errors, es_error *err);
/* Where the wires cut the image plane, pixels, for a frame at time_s: NaN when
 * parallel to it. False without a pose. */
bool es_wire_predict(const es_wire_phantom *phantom, const es_wire_poses *poses,
                     const es_wire_options *options, const es_wire_result *calibration,
                     double time_s, double dots[ES_WIRES_MAX][2]);

#ifdef __cplusplus
}
#endif
#endif
