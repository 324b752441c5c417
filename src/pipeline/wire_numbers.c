/* What surrounds a calibration: comparing two, and the speed of sound. */
#include <math.h>

#include "echosolid/calibration.h"

es_wire_difference es_wire_compare(es_mat4 a, es_mat4 b, const double middle_px[2]) {
    es_vec3 middle = es_vec3_make(middle_px[0], middle_px[1], 0);
    es_vec3 step = es_vec3_sub(es_mat4_point(a, middle), es_mat4_point(b, middle));
    es_vec3 au = es_vec3_unit(es_mat4_column(a, 0)), bu = es_vec3_unit(es_mat4_column(b, 0));
    es_vec3 av = es_vec3_unit(es_mat4_column(a, 1)), bv = es_vec3_unit(es_mat4_column(b, 1));
    double along_u = es_vec3_dot(au, bu), along_v = es_vec3_dot(av, bv);
    double normals = es_vec3_dot(es_vec3_cross(au, av), es_vec3_cross(bu, bv));
    return (es_wire_difference){
        .middle_mm = es_vec3_length(step),
        .angle_rad = acos(fmax(-1, fmin(1, 0.5 * (along_u + along_v + normals - 1)))),
        .opposite_x = along_u < -0.7 && along_v > 0.7};
}

void es_wire_tissue_spacing(const double bath_mm[2], double speed_mps, double tissue_mm[2]) {
    /* The same time of flight is drawn at the same row; across, lines stand where they stand. */
    tissue_mm[0] = bath_mm[0];
    tissue_mm[1] = bath_mm[1] * 1540 / speed_mps;
}
