/* wall.h: what the parts of the wall calibration share. */
#ifndef CALIB_WALL_H
#define CALIB_WALL_H

#include "echosolid/calib.h"

/* The parameters as changes of a state: turns in rad, mm, shares of a scale, s.
 * Those that are not free are left out, so the last ones have no fixed place
 * in a fit's vector: wall_kind tells which parameter stands where. */
enum {
    WALL_TURN,         /* 3, of the image's axes about themselves */
    WALL_SHIFT = 3,    /* 3, of the image's origin in the probe */
    WALL_NORMAL = 6,   /* 2, of the floor's normal across itself */
    WALL_DISTANCE = 8, /* of the floor */
    WALL_SCALE_U = 9,  /* both scales when isotropic */
    WALL_SCALE_V,
    WALL_LAG,
    WALL_PARAMETERS = ES_WALL_PARAMETERS
};

typedef struct wall_state {
    es_mat4 turn; /* image axes in the probe, a rotation */
    es_vec3 shift;
    double scale[2];
    es_vec3 normal; /* in the reference */
    double distance, lag;
} wall_state;

typedef struct wall_fit {
    const es_wall_line *lines;
    size_t count;
    const es_pose_track *poses;
    const es_wall_options *options;
    wall_state base, anchor; /* anchor: where the base began */
    double *weights;         /* of each line, factors of its residuals; 0: not used */
    double slope;            /* factor of the slopes' residuals besides, see wall_parts */
    bool far;                /* from the solution: misses are over the root of the scale */
    size_t stride;           /* every n-th line, for quick looks */
    size_t starts;           /* that were tried */
} wall_fit;

bool wall_spacing_given(const es_wall_options *options);
int wall_parameter_count(const es_wall_options *options);
int wall_kind(const es_wall_options *options, int parameter);
/* `change` has wall_parameter_count numbers. */
wall_state wall_moved(const wall_fit *fit, const double *change);
es_mat4 wall_image_to_probe(const wall_state *state);
/* Distance of a picture's point from the floor, mm. Not the one within the
 * picture: that is larger by a factor which depends on the unknowns, and a fit
 * would make it small by bending them. */
double wall_miss(const wall_state *state, es_mat4 probe_to_reference, const double px[2]);
/* A line's residuals from the misses of its ends: its height and its slope.
 * The noise of a pose shifts the whole line, so heights are uncertain where
 * slopes are sharp; fit->slope makes both count by what they know. */
void wall_parts(const wall_fit *fit, const double miss[2], double parts[2]);
bool wall_pose(const wall_fit *fit, const es_wall_line *line, double lag, es_mat4 *pose);

/* States that may be near the solution, best first: `starts` has room for
 * `room`. Returns how many. */
size_t wall_find_starts(const wall_fit *fit, wall_state *starts, size_t room, es_error *err);

/* Intervals, observability and the missing motions, at fit->base. */
bool wall_observe(const wall_fit *fit, es_wall_result *result, es_error *err);

#endif
