/* What one matrix tells by itself.
 *
 * A pose is a rotation and a translation: its columns have length 1, are at
 * right angles, and turn right-handed (det > 0). A calibration of the picture
 * has the pixel's size as the length of its first two columns, and the third
 * one made right-handed, so there det > 0 too. A matrix written column by
 * column has its translation in the bottom row.
 *
 * The matrices of frames are put right here where that can be done (order,
 * scale, metres), so that the checks that follow see what was meant. */
#include "doctor_internal.h"

#include <math.h>

#define POSE_DEFECT 1e-3      /* of R'R - I: rounding of files is below 5e-4 */
#define CALIBRATION_SKEW 0.05 /* accepted calibrations have up to .048 */
#define METRES_PIXEL 0.005    /* columns shorter than this are metres a pixel */
#define METRES_PATH 1.0       /* moves less than this ... */
#define METRES_FAR 5.0        /* ... and lies nearer than this */
#define METRES_NEAR 0.02      /* stands on the tracker itself: says nothing */
#define NOISE_DEFECT 0.1      /* up to here the nearest rotation is what was meant */

/* ---- the parts ------------------------------------------------------------------ */

static bool is_column_order(const es_mat4 *m) {
    const double *a = m->m;
    bool last = a[3] == 0 && a[7] == 0 && a[11] == 0 && fabs(a[15] - 1) < 1e-9;
    return last && fabs(a[12]) + fabs(a[13]) + fabs(a[14]) > 1e-9;
}

static es_mat4 turn_round(es_mat4 a) {
    es_mat4 t;
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) t.m[4 * r + c] = a.m[4 * c + r];
    return t;
}

/* Largest cosine between two columns. */
static double skew(const es_mat4 *m) {
    double worst = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < i; j++) {
            es_vec3 a = es_vec3_unit(es_mat4_column(*m, i));
            es_vec3 b = es_vec3_unit(es_mat4_column(*m, j));
            worst = fmax(worst, fabs(es_vec3_dot(a, b)));
        }
    return worst;
}

static es_mat4 without_scale(es_mat4 m, double scale) {
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) m.m[4 * r + c] /= scale;
    return m;
}

static double mean_scale(const es_mat4 *m) {
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += doctor_column_length(m, c);
    return sum / 3;
}

static es_mat4 in_millimetres(es_mat4 m) {
    for (int r = 0; r < 3; r++) m.m[4 * r + 3] *= 1000;
    return m;
}

/* ---- the matrices of a track ------------------------------------------------------ */

typedef struct track_look {
    int64_t valid, mirrored, order, off; /* off: not rigid */
    double worst, scale_low, scale_high, worst_unscaled;
    int64_t worst_frame;
} track_look;

static track_look look_at(const doctor_track *t, int64_t frames) {
    track_look k = {.scale_low = INFINITY, .scale_high = 0, .worst_frame = -1};
    for (int64_t f = 0; f < frames; f++) {
        if (t->state[f] != POSE_VALID) continue;
        es_mat4 m = t->pose[f];
        k.valid++;
        if (is_column_order(&m)) {
            k.order++;
            m = turn_round(m);
        }
        k.mirrored += es_mat4_det3(m) < 0;
        double defect = es_mat4_rigid_defect(m), scale = mean_scale(&m);
        k.off += !(defect <= POSE_DEFECT);
        if (!(defect <= k.worst)) {
            k.worst = defect;
            k.worst_frame = f;
        }
        k.scale_low = fmin(k.scale_low, scale);
        k.scale_high = fmax(k.scale_high, scale);
        es_mat4 plain = without_scale(m, scale > 0 ? scale : 1);
        k.worst_unscaled = fmax(k.worst_unscaled, es_mat4_rigid_defect(plain));
    }
    return k;
}

static bool say_mirrored(es_doctor *d, const char *name, double det, int64_t count, es_error *err) {
    es_finding *f = finding_add(d, "mirrored-matrix", ES_SEVERITY_ERROR, name, err);
    if (!f) return false;
    if (count > 0)
        SAY(f->evidence, "%s is left-handed (determinant below 0) in %lld frames", name,
            (long long)count);
    else
        SAY(f->evidence, "%s is left-handed: its determinant is %.4g", name, det);
    SAY(f->cause, "an axis was negated without its partner, or a left-handed tracker or game "
                  "engine wrote the matrix");
    SAY(f->fix, "negate one axis consistently: of the picture by its orientation mark, of the "
                "tracker by converting its left-handed axes; then calibrate again");
    return true;
}

static bool say_order(es_doctor *d, const char *name, const char *where, es_error *err) {
    es_finding *f = finding_add(d, "row-column-order", ES_SEVERITY_ERROR, name, err);
    if (!f) return false;
    SAY(f->evidence, "%s has its translation in the bottom row and 0 0 0 1 in the last column %s",
        name, where);
    SAY(f->cause, "the matrix was written column by column (Unity, OpenGL, MATLAB), and is read "
                  "row by row");
    SAY(f->fix, "transpose the 4 x 4 matrix");
    f->fix_is_safe = where[0] == 'i';
    return true;
}

static bool say_scale(es_doctor *d, const doctor_track *t, const track_look *k, es_error *err) {
    es_finding *f = finding_add(d, "scale-in-pose", ES_SEVERITY_ERROR, t->name, err);
    if (!f) return false;
    SAY(f->evidence, "the columns of %s have length %.5g to %.5g; a pose has 1", t->name,
        k->scale_low, k->scale_high);
    SAY(f->cause, "a scale (pixel size, a unit, a scaled scene) was multiplied into the pose");
    SAY(f->fix, "divide the rotation by it; keep pixel sizes in ImageToProbe");
    f->fix_is_safe = true;
    return true;
}

static bool say_not_rigid(es_doctor *d, const doctor_track *t, const track_look *k, es_error *err) {
    bool noise = k->worst <= NOISE_DEFECT;
    es_finding *f = finding_add(d, "not-rigid", ES_SEVERITY_ERROR, t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s is not a rotation in %lld of %lld frames: R'R differs from 1 by up to %.2g (frame "
        "%lld), more than %g",
        t->name, (long long)k->off, (long long)k->valid, k->worst, (long long)k->worst_frame,
        POSE_DEFECT);
    SAY(f->cause, noise ? "numbers were averaged, filtered or rounded one by one"
                        : "the numbers are not a pose: wrong columns, an average of far poses, or "
                          "another matrix");
    SAY(f->fix, noise ? "replace each by the nearest rotation"
                      : "export the poses again, as quaternions or full matrices");
    f->fix_is_safe = noise;
    return true;
}

static bool judge_shape(es_doctor *d, doctor_track *t, es_error *err) {
    track_look k = look_at(t, d->frames);
    bool picture = doctor_is_picture(t->from);
    if (!k.valid) return true;
    if (k.order * 2 > k.valid) {
        t->fault = FAULT_ORDER;
        if (!say_order(d, t->name, "in its frames", err)) return false;
    }
    if (k.mirrored * 2 > k.valid) {
        t->fault = FAULT_OTHER;
        if (!say_mirrored(d, t->name, -1, k.mirrored, err)) return false;
    }
    if (picture || t->fault == FAULT_OTHER || k.worst <= POSE_DEFECT) return true;
    bool constant = k.scale_high - k.scale_low < 1e-3 * k.scale_high;
    if (constant && k.worst_unscaled <= POSE_DEFECT && fabs(k.scale_high - 1) > POSE_DEFECT / 2) {
        t->fault = FAULT_SCALE;
        t->scale = (k.scale_low + k.scale_high) / 2;
        return say_scale(d, t, &k, err);
    }
    t->fault = k.worst <= NOISE_DEFECT ? FAULT_NOISE : FAULT_OTHER;
    return say_not_rigid(d, t, &k, err);
}

static void put_right(es_doctor *d, doctor_track *t) {
    for (int64_t f = 0; f < d->frames; f++) {
        if (t->state[f] != POSE_VALID) continue;
        if (is_column_order(&t->pose[f])) t->pose[f] = turn_round(t->pose[f]);
        if (t->fault == FAULT_SCALE) t->pose[f] = without_scale(t->pose[f], t->scale);
    }
}

/* ---- metres ------------------------------------------------------------------------- */

static double origin_path(const doctor_track *t, int64_t frames, double *far, double *lengths) {
    double path = 0;
    size_t count = 0;
    const es_mat4 *last = NULL;
    for (int64_t f = 0; f < frames; f++) {
        if (t->state[f] != POSE_VALID) continue;
        if (last) path += doctor_distance(last, &t->pose[f]);
        last = &t->pose[f];
        lengths[count++] = es_vec3_length(es_mat4_column(t->pose[f], 3));
    }
    *far = doctor_median(lengths, count);
    return path;
}

/* A marker that never leaves 5 mm of its tracker and moves less than 1 mm in
 * all, and is not simply at rest on it. */
static bool judge_metres(es_doctor *d, doctor_track *t, double *lengths, es_error *err) {
    double far = 0, path = origin_path(t, d->frames, &far, lengths);
    if (t->valid < 5 || doctor_is_picture(t->from) || !(far < METRES_FAR && far > METRES_NEAR) ||
        !(path < METRES_PATH && path > 0))
        return true;
    es_finding *f = finding_add(d, "metres-for-millimetres", ES_SEVERITY_ERROR, t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s stays %.3g from its tracker and moves %.3g in all: as millimetres both are too small, "
        "as metres they are usual",
        t->name, far, path);
    SAY(f->cause, "the tracker's software writes metres (OptiTrack, ROS, TUM, KITTI, Unity)");
    SAY(f->fix, "multiply the translations by 1000");
    f->fix_is_safe = true;
    t->metres = true;
    for (int64_t k = 0; k < d->frames; k++)
        if (t->state[k] == POSE_VALID) t->pose[k] = in_millimetres(t->pose[k]);
    return true;
}

bool doctor_check_matrices(es_doctor *d, es_error *err) {
    double *lengths = es_alloc((size_t)d->frames, sizeof *lengths, err);
    bool ok = lengths != NULL;
    for (int i = 0; i < d->track_count && ok; i++) {
        doctor_track *t = &d->tracks[i];
        if (!t->splits) continue;
        ok = judge_shape(d, t, err);
        if (!ok) break;
        put_right(d, t);
        ok = judge_metres(d, t, lengths, err);
    }
    es_free(lengths);
    return ok;
}

/* ---- the matrices of a configuration ------------------------------------------------ */

static bool static_not_rigid(es_doctor *d, const char *name, const es_mat4 *m, bool picture,
                             es_error *err) {
    double askew = skew(m), low = INFINITY, high = 0;
    for (int c = 0; c < 3; c++) {
        low = fmin(low, doctor_column_length(m, c));
        high = fmax(high, doctor_column_length(m, c));
    }
    bool stretched = !picture && (low < 1 - CALIBRATION_SKEW || high > 1 + CALIBRATION_SKEW);
    if (askew <= CALIBRATION_SKEW && !stretched) return true;
    bool scale = stretched && askew <= CALIBRATION_SKEW && high - low < 1e-3 * high;
    es_finding *f =
        finding_add(d, scale ? "scale-in-pose" : "not-rigid", ES_SEVERITY_ERROR, name, err);
    if (!f) return false;
    SAY(f->evidence,
        "the columns of %s have lengths %.4g, %.4g, %.4g and are up to %.2f away from right angles "
        "(cosine; accepted calibrations stay below %g)",
        name, doctor_column_length(m, 0), doctor_column_length(m, 1), doctor_column_length(m, 2),
        askew, CALIBRATION_SKEW);
    SAY(f->cause, picture ? "the calibration failed: too few or wrong points, and was saved "
                            "all the same"
                          : "not a rigid transform: a failed registration or a scale in it");
    SAY(f->fix, "calibrate again, and look at the error that the calibration reports");
    return true;
}

static bool static_metres(es_doctor *d, const char *name, const es_mat4 *m, es_error *err) {
    double x = doctor_column_length(m, 0), y = doctor_column_length(m, 1);
    es_finding *f = finding_add(d, "metres-for-millimetres", ES_SEVERITY_ERROR, name, err);
    if (!f) return false;
    SAY(f->evidence,
        "a pixel of %s is %.3g x %.3g: as millimetres that is finer than sound, as metres it is "
        "%.3g x %.3g mm",
        name, x, y, 1000 * x, 1000 * y);
    SAY(f->cause, "the calibration was computed or scaled in metres (Unity, HoloLens, ROS)");
    SAY(f->fix, "multiply the upper three rows by 1000, and see that the poses are in mm too");
    return true;
}

static bool check_static(es_doctor *d, const es_doctor_transform *t, es_error *err) {
    char name[2 * ES_NAME_SIZE];
    es_mat4 m = t->matrix;
    snprintf(name, sizeof name, "%.120sTo%.120s", t->from, t->to);
    if (is_column_order(&m)) {
        m = turn_round(m);
        if (!say_order(d, name, "of the configuration", err)) return false;
    }
    if (es_mat4_det3(m) < 0 && !say_mirrored(d, name, es_mat4_det3(m), 0, err)) return false;
    bool picture = doctor_is_picture(t->from);
    if (!static_not_rigid(d, name, &m, picture, err)) return false;
    double x = doctor_column_length(&m, 0), y = doctor_column_length(&m, 1);
    if (picture && x < METRES_PIXEL && y < METRES_PIXEL && x > 0)
        return static_metres(d, name, &m, err);
    return true;
}

bool doctor_check_statics(es_doctor *d, es_error *err) {
    for (size_t i = 0; i < d->about.transform_count; i++)
        if (!d->statics[i].commented && !check_static(d, &d->statics[i], err)) return false;
    return true;
}
