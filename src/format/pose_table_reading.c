/* What numbers of a row mean: the attributes of a reading, their words, and
 * the pose that a reading makes of a row.
 *
 * A reading is one value for each attribute. Attributes that are in doubt are
 * held as sets of values; all readings are the product of the sets, less the
 * attributes that mean nothing for the rotation at hand (an Euler sequence to
 * a quaternion), which are held at 0 so that no reading comes twice. */
#include <math.h>
#include <string.h>

#include "pose_table_internal.h"

/* |q| and R'R may be off by what a table of two decimals leaves. */
static const double UNIT_TOLERANCE = 0.02;

static const char *const rotation_words[] = {"quaternion", "matrix", "euler",
                                             "axis-angle", "points", NULL};
static const char *const first_words[] = {"position", "rotation", NULL};
static const char *const quaternion_words[] = {"wxyz", "xyzw", NULL};
static const char *const matrix_words[] = {"rows", "columns", NULL};
static const char *const euler_words[] = {
    "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "XYX", "XZX", "YXY", "YZY", "ZXZ", "ZYZ", "xyz",
    "xzy", "yxz", "yzx", "zxy", "zyx", "xyx", "xzx", "yxy", "yzy", "zxz", "zyz", NULL};
static const char *const angle_words[] = {"rad", "deg", NULL};
static const char *const unit_words[] = {"mm", "cm", "m", "inch", NULL};
static const double unit_mm[] = {1, 10, 1000, 25.4};
static const char *const direction_words[] = {"tool-to-tracker", "tracker-to-tool", NULL};
static const char *const sense_words[] = {"same", "opposite", NULL};
static const char *const handedness_words[] = {"right", "left", NULL};

static const struct {
    const char *name;
    const char *const *words;
} attributes[ES_POSE_ATTRIBUTES] = {[ES_POSE_ROTATION] = {"rotation", rotation_words},
                                    [ES_POSE_FIRST] = {"first", first_words},
                                    [ES_POSE_QUATERNION] = {"quaternion", quaternion_words},
                                    [ES_POSE_MATRIX] = {"matrix", matrix_words},
                                    [ES_POSE_EULER] = {"euler", euler_words},
                                    [ES_POSE_ANGLE] = {"angle", angle_words},
                                    [ES_POSE_UNIT] = {"unit", unit_words},
                                    [ES_POSE_DIRECTION] = {"direction", direction_words},
                                    [ES_POSE_SENSE] = {"sense", sense_words},
                                    [ES_POSE_HANDEDNESS] = {"handedness", handedness_words}};

const char *const *es_pose_words(es_pose_attribute attribute) {
    return attributes[attribute].words;
}
const char *es_pose_attribute_name(es_pose_attribute attribute) {
    return attributes[attribute].name;
}

int pose_attribute_value(int attribute, const char *word) {
    const char *const *words = attributes[attribute].words;
    for (int v = 0; words[v]; v++)
        if (strcmp(words[v], word) == 0) return v;
    return -1;
}

bool es_pose_attribute_counts(es_pose_attribute attribute, int rotation) {
    switch (attribute) {
    case ES_POSE_QUATERNION: return rotation == ES_POSE_IS_QUATERNION;
    case ES_POSE_MATRIX: return rotation == ES_POSE_IS_MATRIX;
    case ES_POSE_EULER: return rotation == ES_POSE_IS_EULER;
    case ES_POSE_ANGLE: return rotation == ES_POSE_IS_EULER || rotation == ES_POSE_IS_AXIS_ANGLE;
    case ES_POSE_SENSE: return rotation != ES_POSE_IS_POINTS;
    default: return true;
    }
}

/* The rotation's kind goes without saying where its order is said, the usual
 * order of the columns too. */
static bool is_said(int attribute, const es_pose_reading *r) {
    int rotation = r->is[ES_POSE_ROTATION];
    if (attribute == ES_POSE_FIRST) return r->is[ES_POSE_FIRST] != 0;
    if (attribute == ES_POSE_ROTATION)
        return rotation == ES_POSE_IS_AXIS_ANGLE || rotation == ES_POSE_IS_POINTS;
    return es_pose_attribute_counts((es_pose_attribute)attribute, rotation);
}

void es_pose_reading_text(const es_pose_reading *reading, char text[ES_POSE_TEXT]) {
    size_t used = 0;
    text[0] = '\0';
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        if (!is_said(a, reading)) continue;
        int n = snprintf(text + used, ES_POSE_TEXT - used, "%s%s=%s", used ? "," : "",
                         attributes[a].name, attributes[a].words[reading->is[a]]);
        used += (size_t)n;
    }
}

void pose_doubt_settle(es_pose_doubt *doubt, int attribute, int value, const char *why) {
    doubt->possible[attribute] = 1u << value;
    snprintf(doubt->why[attribute], sizeof doubt->why[attribute], "%s", why);
}

/* ---- all readings ------------------------------------------------------------- */

static bool is_possible(const es_pose_doubt *doubt, const es_pose_reading *r) {
    int rotation = r->is[ES_POSE_ROTATION];
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        bool counts = es_pose_attribute_counts((es_pose_attribute)a, rotation);
        if (counts ? !(doubt->possible[a] >> r->is[a] & 1) : r->is[a] != 0) return false;
    }
    /* The opposite sense of a matrix is its other order. */
    return !(rotation == ES_POSE_IS_MATRIX && r->is[ES_POSE_SENSE] &&
             doubt->possible[ES_POSE_MATRIX] == 3);
}

/* Counts up like an odometer; false past the last. */
static bool next_reading(es_pose_reading *r) {
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        if (attributes[a].words[++r->is[a]]) return true;
        r->is[a] = 0;
    }
    return false;
}

bool es_pose_table_readings(const es_pose_table *table, es_pose_reading **readings, size_t *count,
                            es_error *err) {
    const es_pose_doubt *doubt = es_pose_table_doubt(table);
    size_t room = 0;
    *readings = NULL;
    *count = 0;
    es_pose_reading r = {{0}};
    do {
        if (!is_possible(doubt, &r)) continue;
        if (*count == room) {
            room = room ? 2 * room : 16;
            if (!es_resize(readings, room, sizeof **readings, err)) {
                es_free(*readings);
                *readings = NULL;
                return false;
            }
        }
        (*readings)[(*count)++] = r;
    } while (next_reading(&r));
    return *count > 0 ||
           es_fail(err, ES_USAGE, "no reading of the poses is left; the layout contradicts itself");
}

/* ---- from numbers to a pose ------------------------------------------------------ */

static bool from_quaternion(const double *n, bool w_last, es_mat4 *r) {
    es_quat q = w_last ? (es_quat){n[3], n[0], n[1], n[2]} : (es_quat){n[0], n[1], n[2], n[3]};
    double length = sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z);
    if (!(fabs(length - 1) <= UNIT_TOLERANCE)) return false;
    *r = es_quat_to_mat4(q, es_vec3_make(0, 0, 0));
    return true;
}

static bool from_matrix(const double *n, bool by_columns, es_mat4 *r) {
    *r = es_mat4_identity();
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) r->m[4 * i + j] = by_columns ? n[3 * j + i] : n[3 * i + j];
    return es_mat4_rigid_defect(*r) <= 2 * UNIT_TOLERANCE && es_mat4_det3(*r) > 0;
}

/* Upper case: each turn about the axes as they have become, R = R1 R2 R3;
 * lower case: about the axes as they stood, R = R3 R2 R1 (Diebel 2006). */
static es_mat4 from_euler(const double *angles, const char *sequence, bool by_axis, double unit) {
    es_mat4 r = es_mat4_identity();
    for (int i = 0; i < 3; i++) {
        int axis = (sequence[i] | 0x20) - 'x';
        es_vec3 about = es_vec3_make(axis == 0, axis == 1, axis == 2);
        es_mat4 turn = es_mat4_rotation(about, angles[by_axis ? axis : i] * unit);
        r = sequence[i] < 'a' ? es_mat4_multiply(r, turn) : es_mat4_multiply(turn, r);
    }
    return r;
}

static es_mat4 from_axis_angle(const double *n, double unit) {
    es_vec3 v = es_vec3_make(n[0], n[1], n[2]);
    double angle = es_vec3_length(v);
    return angle > 0 ? es_mat4_rotation(v, angle * unit) : es_mat4_identity();
}

/* Three points: x from the first to the second, z across their plane. */
static bool from_points(es_vec3 first, const double *n, es_mat4 *r) {
    es_vec3 x = es_vec3_sub(es_vec3_make(n[0], n[1], n[2]), first);
    es_vec3 in_plane = es_vec3_sub(es_vec3_make(n[3], n[4], n[5]), first);
    es_vec3 z = es_vec3_unit(es_vec3_cross(x, in_plane));
    x = es_vec3_unit(x);
    es_vec3 y = es_vec3_cross(z, x);
    *r = (es_mat4){{x.x, y.x, z.x, 0, x.y, y.y, z.y, 0, x.z, y.z, z.z, 0, 0, 0, 0, 1}};
    return es_vec3_length(x) > 0 && es_vec3_length(z) > 0;
}

int pose_rotation_numbers(int rotation) {
    static const int numbers[] = {4, 9, 3, 3, 6};
    return numbers[rotation];
}

static bool make_rotation(const es_pose_reading *reading, es_vec3 position, const double *n,
                          bool by_axis, es_mat4 *r) {
    double unit = reading->is[ES_POSE_ANGLE] ? M_PI / 180 : 1;
    switch (reading->is[ES_POSE_ROTATION]) {
    case ES_POSE_IS_QUATERNION: return from_quaternion(n, reading->is[ES_POSE_QUATERNION], r);
    case ES_POSE_IS_MATRIX: return from_matrix(n, reading->is[ES_POSE_MATRIX], r);
    case ES_POSE_IS_EULER:
        *r = from_euler(n, euler_words[reading->is[ES_POSE_EULER]], by_axis, unit);
        return true;
    case ES_POSE_IS_AXIS_ANGLE: *r = from_axis_angle(n, unit); return true;
    default: return from_points(position, n, r);
    }
}

static es_mat4 transposed3(es_mat4 a) {
    es_mat4 t = a;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) t.m[4 * i + j] = a.m[4 * j + i];
    return t;
}

/* Both axis systems with z mirrored: S R S and S t. */
static void mirror(es_mat4 *pose) {
    for (int i = 0; i < 2; i++) {
        pose->m[4 * i + 2] = -pose->m[4 * i + 2];
        pose->m[8 + i] = -pose->m[8 + i];
    }
    pose->m[11] = -pose->m[11];
}

bool pose_from_numbers(const double position[3], const double *rotation, bool by_axis,
                       const es_pose_reading *reading, es_mat4 *pose) {
    es_vec3 t = es_vec3_make(position[0], position[1], position[2]);
    if (!make_rotation(reading, t, rotation, by_axis, pose)) return false;
    if (reading->is[ES_POSE_SENSE]) *pose = transposed3(*pose);
    double scale = unit_mm[reading->is[ES_POSE_UNIT]];
    for (int i = 0; i < 3; i++) pose->m[4 * i + 3] = position[i] * scale;
    if (reading->is[ES_POSE_HANDEDNESS]) mirror(pose);
    if (!es_mat4_finite(*pose)) return false;
    return !reading->is[ES_POSE_DIRECTION] || es_mat4_invert(*pose, pose, NULL);
}
