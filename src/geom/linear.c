/* Vectors, 4x4 matrices, quaternions, boxes. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "echosolid/geom.h"

double es_vec3_length(es_vec3 a) { return sqrt(es_vec3_dot(a, a)); }

es_vec3 es_vec3_unit(es_vec3 a) {
    double length = es_vec3_length(a);
    return length > 0 ? es_vec3_scale(a, 1 / length) : a;
}

es_mat4 es_mat4_identity(void) { return es_mat4_scaling(1, 1, 1); }

es_mat4 es_mat4_translation(double x, double y, double z) {
    return (es_mat4){{1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1}};
}

es_mat4 es_mat4_scaling(double x, double y, double z) {
    return (es_mat4){{x, 0, 0, 0, 0, y, 0, 0, 0, 0, z, 0, 0, 0, 0, 1}};
}

es_mat4 es_mat4_rotation(es_vec3 axis, double angle_rad) {
    es_vec3 a = es_vec3_scale(es_vec3_unit(axis), sin(angle_rad / 2));
    es_quat q = {cos(angle_rad / 2), a.x, a.y, a.z};
    return es_quat_to_mat4(q, es_vec3_make(0, 0, 0));
}

es_mat4 es_mat4_multiply(es_mat4 a, es_mat4 b) {
    es_mat4 c;
    for (int r = 0; r < 4; r++)
        for (int k = 0; k < 4; k++) {
            double sum = 0;
            for (int i = 0; i < 4; i++) sum += a.m[4 * r + i] * b.m[4 * i + k];
            c.m[4 * r + k] = sum;
        }
    return c;
}

bool es_mat4_finite(es_mat4 a) {
    for (int i = 0; i < 16; i++)
        if (!isfinite(a.m[i])) return false;
    return true;
}

es_vec3 es_mat4_column(es_mat4 a, int column) {
    return es_vec3_make(a.m[column], a.m[4 + column], a.m[8 + column]);
}

static es_vec3 row3(es_mat4 a, int row) {
    return es_vec3_make(a.m[4 * row], a.m[4 * row + 1], a.m[4 * row + 2]);
}

double es_mat4_det3(es_mat4 a) {
    return es_vec3_dot(row3(a, 0), es_vec3_cross(row3(a, 1), row3(a, 2)));
}

bool es_mat4_invert(es_mat4 a, es_mat4 *inverse, es_error *err) {
    if (!es_mat4_finite(a)) return es_fail(err, ES_GEOMETRY, "the matrix has a NaN or infinity");
    if (fabs(a.m[12]) > 1e-9 || fabs(a.m[13]) > 1e-9 || fabs(a.m[14]) > 1e-9 ||
        fabs(a.m[15] - 1) > 1e-9)
        return es_fail(err, ES_GEOMETRY,
                       "the matrix's last row is %g %g %g %g, expected 0 0 0 1 (is it transposed?)",
                       a.m[12], a.m[13], a.m[14], a.m[15]);
    double det = es_mat4_det3(a), size = 1;
    for (int c = 0; c < 3; c++) size *= es_vec3_length(es_mat4_column(a, c));
    if (!(fabs(det) > 1e-12 * size) || fabs(det) < DBL_MIN)
        return es_fail(err, ES_GEOMETRY, "the matrix is singular (determinant %g)", det);
    es_vec3 r0 = row3(a, 0), r1 = row3(a, 1), r2 = row3(a, 2);
    es_vec3 columns[3] = {es_vec3_cross(r1, r2), es_vec3_cross(r2, r0), es_vec3_cross(r0, r1)};
    es_mat4 result = es_mat4_identity();
    for (int c = 0; c < 3; c++) {
        result.m[c] = columns[c].x / det;
        result.m[4 + c] = columns[c].y / det;
        result.m[8 + c] = columns[c].z / det;
    }
    es_vec3 t = es_mat4_vector(result, es_mat4_column(a, 3));
    result.m[3] = -t.x;
    result.m[7] = -t.y;
    result.m[11] = -t.z;
    *inverse = result;
    return true;
}

es_vec3 es_mat4_vector(es_mat4 a, es_vec3 v) {
    return es_vec3_make(es_vec3_dot(row3(a, 0), v), es_vec3_dot(row3(a, 1), v),
                        es_vec3_dot(row3(a, 2), v));
}

es_vec3 es_mat4_point(es_mat4 a, es_vec3 p) {
    return es_vec3_add(es_mat4_vector(a, p), es_mat4_column(a, 3));
}

double es_mat4_rigid_defect(es_mat4 a) {
    double worst = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double dot = es_vec3_dot(es_mat4_column(a, i), es_mat4_column(a, j)) - (i == j);
            if (!(fabs(dot) <= worst)) worst = fabs(dot);
        }
    return worst;
}

es_quat es_quat_from_mat4(es_mat4 a) { /* Shepperd 1978: divide by the largest */
    const double *m = a.m;
    double trace = m[0] + m[5] + m[10];
    es_quat q;
    if (trace >= m[0] && trace >= m[5] && trace >= m[10]) {
        double s = 2 * sqrt(1 + trace);
        q = (es_quat){s / 4, (m[9] - m[6]) / s, (m[2] - m[8]) / s, (m[4] - m[1]) / s};
    } else if (m[0] >= m[5] && m[0] >= m[10]) {
        double s = 2 * sqrt(1 + m[0] - m[5] - m[10]);
        q = (es_quat){(m[9] - m[6]) / s, s / 4, (m[1] + m[4]) / s, (m[2] + m[8]) / s};
    } else if (m[5] >= m[10]) {
        double s = 2 * sqrt(1 + m[5] - m[0] - m[10]);
        q = (es_quat){(m[2] - m[8]) / s, (m[1] + m[4]) / s, s / 4, (m[6] + m[9]) / s};
    } else {
        double s = 2 * sqrt(1 + m[10] - m[0] - m[5]);
        q = (es_quat){(m[4] - m[1]) / s, (m[2] + m[8]) / s, (m[6] + m[9]) / s, s / 4};
    }
    return q;
}

static es_quat quat_unit(es_quat q) {
    double n = sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z);
    return (es_quat){q.w / n, q.x / n, q.y / n, q.z / n};
}

es_vec3 es_mat4_turn(es_mat4 a) {
    es_quat q = es_quat_from_mat4(a);
    double s = sqrt(q.x * q.x + q.y * q.y + q.z * q.z);
    double scale = s > 1e-12 ? 2 * atan2(q.w < 0 ? -s : s, fabs(q.w)) / s : 0;
    return es_vec3_scale(es_vec3_make(q.x, q.y, q.z), scale);
}

es_mat4 es_quat_to_mat4(es_quat q, es_vec3 t) {
    q = quat_unit(q);
    double w = q.w, x = q.x, y = q.y, z = q.z;
    return (es_mat4){{1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y), t.x,
                      2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x), t.y,
                      2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y), t.z, 0, 0,
                      0, 1}};
}

es_quat es_quat_slerp(es_quat a, es_quat b, double t) {
    a = quat_unit(a);
    b = quat_unit(b);
    double dot = a.w * b.w + a.x * b.x + a.y * b.y + a.z * b.z;
    double sign = dot < 0 ? -1 : 1; /* q and -q are one rotation: take the shorter way */
    dot = fmin(fabs(dot), 1);
    double angle = acos(dot), wa = 1 - t, wb = t;
    if (angle > 1e-6) { /* below, linear is exact to 1e-13 */
        wa = sin((1 - t) * angle) / sin(angle);
        wb = sin(t * angle) / sin(angle);
    }
    wb *= sign;
    return quat_unit((es_quat){wa * a.w + wb * b.w, wa * a.x + wb * b.x, wa * a.y + wb * b.y,
                               wa * a.z + wb * b.z});
}

es_mat4 es_pose_interpolate(es_mat4 a, es_mat4 b, double t) {
    es_quat q = es_quat_slerp(es_quat_from_mat4(a), es_quat_from_mat4(b), t);
    es_vec3 ta = es_mat4_column(a, 3), tb = es_mat4_column(b, 3);
    return es_quat_to_mat4(q, es_vec3_add(es_vec3_scale(ta, 1 - t), es_vec3_scale(tb, t)));
}

es_box3 es_box3_empty(void) {
    return (es_box3){{INFINITY, INFINITY, INFINITY}, {-INFINITY, -INFINITY, -INFINITY}};
}

bool es_box3_is_empty(es_box3 box) { return !(box.min.x <= box.max.x); }

void es_box3_add(es_box3 *box, es_vec3 p) {
    box->min = es_vec3_make(fmin(box->min.x, p.x), fmin(box->min.y, p.y), fmin(box->min.z, p.z));
    box->max = es_vec3_make(fmax(box->max.x, p.x), fmax(box->max.y, p.y), fmax(box->max.z, p.z));
}
