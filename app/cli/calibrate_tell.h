/* The results of calibrations, in words and as JSON: the same on the command line
 * and on the live page. */
#ifndef ECHOSOLID_APP_CALIBRATE_TELL_H
#define ECHOSOLID_APP_CALIBRATE_TELL_H

#include "calibrate.h"

void tell_pivot(es_text *out, const char *transform, const es_pivot_result *result);
json_t *tell_pivot_json(const char *transform, const es_pivot_result *result);

void tell_lag(es_text *out, const char *transform, const es_lag_outcome *found);
json_t *tell_lag_json(const char *transform, const es_lag_outcome *found);

/* An N-wire result; `speed_mps` of the bath, NaN: not told. */
typedef struct told_nwire {
    const es_wire_outcome *outcome;
    size_t count; /* of the recording's frames */
    double middle_px[2];
    bool lag_free;
    double speed_mps;
    const es_mat4 *earlier; /* ImageToProbe of the configuration; NULL: none */
} told_nwire;
void tell_nwire(es_text *out, const told_nwire *told);
json_t *tell_nwire_json(const told_nwire *told);

/* A wall's result, and what it means for tissue. */
typedef struct told_wall {
    const char *transform;
    const es_wall_outcome *found;
    double speed_mps, face_px;
    bool assumed; /* the speed was not told: water of 20 C */
    es_mat4 tissue;
    double tissue_mm[2];
} told_wall;
/* `speed_mps` NaN: not told. */
told_wall tell_wall_make(const char *transform, const es_wall_outcome *found, double speed_mps,
                         double face_px);
/* What a configuration gets: for tissue where the bath's speed was told. */
es_mat4 tell_wall_matrix(const told_wall *told);
void tell_wall(es_text *out, const told_wall *told);
json_t *tell_wall_json(const told_wall *told);

void tell_self(es_text *out, const es_self_result *result);
json_t *tell_self_json(const char *transform, const es_self_result *result);

void tell_matrix(es_text *out, const char *name, es_mat4 matrix);
void tell_print_matrix(const char *name, es_mat4 matrix);
/* On standard output, and frees it; the exit status. */
int tell_print(es_text *text);

#endif
