/* Which reading of the poses makes overlapping pictures agree?
 *
 * The poses as they stand are measured first, early and late; then the usual
 * misreadings: rotation transposed, pose inverted, quaternion in the other
 * order (of the probe alone, and of all that the tracker gave), picture
 * mirrored. Another reading is claimed only when it agrees, the one at hand
 * does not, and both had the chance to. Without overlap nothing is claimed,
 * but for the pose-only sign of an inverted pose. */
#include "doctor_overlap.h"

#include <math.h>
#include <string.h>

#define AGREES 0.15     /* right poses give .3 to .7 */
#define BETTER 0.1      /* than the reading at hand */
#define LAG_BETTER 0.03 /* the curve over the lag is smooth: less is enough */
#define LAG_S 0.04
#define LONGEST_LAG_S 1.0
#define PATH_RATIO (1 / 1.5) /* of inverted to given: 5 right recordings gave .93 to 15 */
enum { LEAST_PAIRS = 300 };
#define LEAST_SHARE 0.01

typedef enum reading {
    AS_GIVEN,
    TRANSPOSED,
    INVERTED,
    QUATERNION_LATER, /* x y z w was read as w x y z */
    QUATERNION_SOONER,
    MIRRORED,
    READINGS
} reading;

/* X = before * probe * after: the chain, with the probe's pose taken out. */
typedef struct chain_parts {
    overlap *o;
    size_t count;
    es_mat4 *before, *probe, *poses; /* one a picture */
    es_mat4 after;
    const doctor_track *reference; /* before = inverse of it; NULL: something else */
    uint8_t *use;
} chain_parts;

static void parts_clear(chain_parts *c) {
    overlap_free(c->o);
    es_free(c->before);
    es_free(c->probe);
    es_free(c->poses);
    es_free(c->use);
}

/* From the picture to what carries the probe's marker. */
static bool find_after(const es_doctor *d, const doctor_track *probe, es_mat4 *after,
                       es_error *err) {
    *after = es_mat4_identity();
    if (strcmp(probe->from, d->options.image) == 0) return true;
    es_graph *graph = es_graph_new(err);
    bool ok = graph != NULL;
    for (size_t i = 0; i < d->about.transform_count && ok; i++) {
        const es_doctor_transform *t = &d->statics[i];
        if (!t->commented) es_graph_set(graph, t->from, t->to, t->matrix, true, NULL);
    }
    ok = ok && es_graph_find(graph, d->options.image, probe->from, after, NULL, NULL);
    es_graph_free(graph);
    return ok;
}

static const doctor_track *find_reference(const es_doctor *d, const doctor_track *probe) {
    for (int i = 0; i < d->track_count; i++)
        if (strcmp(d->tracks[i].from, d->reference) == 0 && strcmp(d->tracks[i].to, probe->to) == 0)
            return &d->tracks[i];
    return NULL;
}

static bool parts_make(es_doctor *d, chain_parts *c, es_error *err) {
    *c = (chain_parts){0};
    if (d->probe < 0 || !d->placed || d->pictures < 16) return false;
    const doctor_track *probe = &d->tracks[d->probe];
    c->o = overlap_new(d, err);
    if (!c->o) return false;
    c->count = overlap_count(c->o);
    c->before = es_alloc(c->count, sizeof *c->before, err);
    c->probe = es_alloc(c->count, sizeof *c->probe, err);
    c->poses = es_alloc(c->count, sizeof *c->poses, err);
    c->use = es_alloc_zero(c->count, 1, err);
    if (!c->before || !c->probe || !c->poses || !c->use || !find_after(d, probe, &c->after, err))
        return false;
    for (size_t p = 0; p < c->count; p++) {
        int64_t f = overlap_frame(c->o, p);
        es_mat4 image_to_tracker, back;
        c->probe[p] = probe->pose[f];
        image_to_tracker = es_mat4_multiply(c->probe[p], c->after);
        c->use[p] = probe->state[f] == POSE_VALID && es_mat4_invert(image_to_tracker, &back, NULL);
        if (c->use[p]) c->before[p] = es_mat4_multiply(d->image_pose[f], back);
    }
    c->reference = find_reference(d, probe);
    return true;
}

/* ---- the readings ------------------------------------------------------------------ */

static es_mat4 transpose_rotation(es_mat4 a) {
    es_mat4 t = a;
    for (int r = 0; r < 3; r++)
        for (int k = 0; k < 3; k++) t.m[4 * r + k] = a.m[4 * k + r];
    return t;
}

static es_mat4 read_as(es_mat4 pose, reading how) {
    es_quat q, p;
    es_mat4 inverse;
    switch (how) {
    case TRANSPOSED: return transpose_rotation(pose);
    case INVERTED: return es_mat4_invert(pose, &inverse, NULL) ? inverse : pose;
    case QUATERNION_LATER:
        q = es_quat_from_mat4(pose);
        p = (es_quat){q.z, q.w, q.x, q.y};
        return es_quat_to_mat4(p, es_mat4_column(pose, 3));
    case QUATERNION_SOONER:
        q = es_quat_from_mat4(pose);
        p = (es_quat){q.x, q.y, q.z, q.w};
        return es_quat_to_mat4(p, es_mat4_column(pose, 3));
    default: return pose;
    }
}

static es_mat4 mirrored(const es_doctor *d, es_mat4 after) {
    es_mat4 flip = es_mat4_scaling(-1, 1, 1);
    flip.m[3] = (double)d->picture_width - 1;
    return es_mat4_multiply(after, flip);
}

static agreement measure(es_doctor *d, chain_parts *c, reading how, bool all) {
    es_mat4 after = how == MIRRORED ? mirrored(d, c->after) : c->after;
    for (size_t p = 0; p < c->count; p++) {
        es_mat4 before = c->before[p], inverse;
        if (!c->use[p]) continue;
        if (all) {
            es_mat4 reference = c->reference->pose[overlap_frame(c->o, p)];
            if (es_mat4_invert(read_as(reference, how), &inverse, NULL)) before = inverse;
        }
        c->poses[p] = es_mat4_multiply(before, es_mat4_multiply(read_as(c->probe[p], how), after));
    }
    return overlap_measure(c->o, c->poses, c->use);
}

/* ---- lag ------------------------------------------------------------------------------- */

/* The poses of `frames` frames later. */
static agreement measure_late(const es_doctor *d, chain_parts *c, int64_t frames) {
    for (size_t p = 0; p < c->count; p++) {
        int64_t f = overlap_frame(c->o, p) + frames;
        f = f < 0 ? 0 : f >= d->frames ? d->frames - 1 : f;
        c->poses[p] = d->image_pose[f];
        c->use[p] = d->has_pose[f];
    }
    return overlap_measure(c->o, c->poses, c->use);
}

typedef struct lag_look {
    agreement now, best;
    int64_t frames;
    double shift; /* of the peak from `frames`, in frames */
} lag_look;

static void try_lag(const es_doctor *d, chain_parts *c, lag_look *look, int64_t frames) {
    agreement a = measure_late(d, c, frames);
    if (a.pairs >= LEAST_PAIRS && a.pairs * 2 > look->now.pairs && a.r > look->best.r) {
        look->best = a;
        look->frames = frames;
    }
}

/* A coarse scan, then frame by frame about the best. */
static lag_look look_for_lag(const es_doctor *d, chain_parts *c, double interval) {
    lag_look look = {.now = measure_late(d, c, 0)};
    look.best = look.now;
    int64_t reach = interval > 0 ? (int64_t)(LONGEST_LAG_S / interval) : 0;
    int64_t step = reach > 8 ? reach / 8 : 1;
    if (reach > d->frames / 4) reach = d->frames / 4;
    for (int64_t k = step; k <= reach; k += step) {
        try_lag(d, c, &look, k);
        try_lag(d, c, &look, -k);
    }
    for (int64_t half = step / 2; half >= 1; half /= 2) {
        int64_t middle = look.frames;
        try_lag(d, c, &look, middle - half);
        try_lag(d, c, &look, middle + half);
    }
    double left = measure_late(d, c, look.frames - 1).r;
    double right = measure_late(d, c, look.frames + 1).r;
    double bend = left - 2 * look.best.r + right;
    look.shift = bend < 0 ? fmin(fmax(0.5 * (left - right) / bend, -0.5), 0.5) : 0;
    return look;
}

static double usual_interval(const es_doctor *d, es_error *err) {
    double *steps = es_alloc((size_t)d->frames, sizeof *steps, err), median;
    size_t count = 0;
    if (!steps) return NAN;
    for (int64_t f = 1; f < d->frames; f++)
        if (isfinite(d->time_s[f] - d->time_s[f - 1]))
            steps[count++] = d->time_s[f] - d->time_s[f - 1];
    median = doctor_median(steps, count);
    es_free(steps);
    return median;
}

static bool say_lag(es_doctor *d, const lag_look *look, double interval, es_error *err) {
    double lag = ((double)look->frames + look->shift) * interval;
    double step = d->probe >= 0 ? d->tracks[d->probe].step_mm : NAN;
    double shift_mm = fabs(lag) / interval * step;
    bool serious = shift_mm > 1;
    es_finding *f =
        finding_add(d, "lag", serious ? ES_SEVERITY_ERROR : ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "overlapping pictures agree best (r = %.2f, %lld places) with poses %.2f s %s than theirs; "
        "as they stand r = %.2f; at the usual speed that is %.2g mm",
        look->best.r, (long long)look->best.pairs, fabs(lag), lag > 0 ? "later" : "earlier",
        look->now.r, shift_mm);
    SAY(f->cause, "%s",
        lag > 0 ? "the tracker's times are late, or the pictures were stamped too "
                  "early"
                : "the pictures are late: a frame grabber or a buffering scanner");
    SAY(f->fix,
        "calibrate the lag (echosolid calibrate lag), or shift the times of the poses by "
        "%+.2f s",
        -lag);
    return true;
}

/* ---- the verdict ---------------------------------------------------------------------------- */

static const struct {
    reading how;
    const char *check, *words, *cause, *fix;
} readings[] = {
    {TRANSPOSED, "rotation-transposed", "with their rotations transposed",
     "the rotation was written column by column, or the other way round than the translation",
     "transpose the 3 x 3 part of the poses"},
    {INVERTED, "inverse-pose", "inverted", "tracker-to-probe was written for probe-to-tracker",
     "invert the poses, or rename the transform"},
    {QUATERNION_LATER, "quaternion-order", "with the quaternion read as x y z w",
     "the table has x y z w and was read as w x y z", "convert the pose table with x y z w"},
    {QUATERNION_SOONER, "quaternion-order", "with the quaternion read as w x y z",
     "the table has w x y z and was read as x y z w", "convert the pose table with w x y z"},
    {MIRRORED, "mirrored-image", "with the picture mirrored left to right",
     "the orientation mark is wrong or was ignored, or the scanner's left/right switch was turned "
     "after the calibration",
     "correct the mark (MF against UF), or calibrate with this picture"},
};

static bool had_chance(const agreement *given, const agreement *other) {
    if (other->pairs < LEAST_PAIRS || other->share < LEAST_SHARE) return false;
    return given->pairs >= LEAST_PAIRS || other->share > 2 * LEAST_SHARE;
}

static bool say_reading(es_doctor *d, int which, const agreement *given, const agreement *other,
                        bool all, es_error *err) {
    const char *name = d->tracks[d->probe].name;
    es_finding *f = finding_add(d, readings[which].check, ES_SEVERITY_ERROR, name, err);
    if (!f) return false;
    SAY(f->evidence,
        "where pictures overlap they agree %s%s (r = %.2f, %lld places); as they stand they do not "
        "(r = %.2f, %lld places)",
        readings[which].words, all ? ", the reference's too" : "", other->r,
        (long long)other->pairs, given->r, (long long)given->pairs);
    SAY(f->cause, "%s", readings[which].cause);
    SAY(f->fix, "%s", readings[which].fix);
    return true;
}

static bool judge_readings(es_doctor *d, chain_parts *c, const lag_look *look, bool *claimed,
                           es_error *err) {
    int best = -1;
    bool best_all = false;
    agreement top = {0};
    for (size_t p = 0; p < c->count; p++) c->use[p] = d->has_pose[overlap_frame(c->o, p)];
    for (int i = 0; i < (int)(sizeof readings / sizeof *readings); i++)
        for (int all = 0; all < 2; all++) {
            if (all && (!c->reference || readings[i].how == MIRRORED)) continue;
            agreement a = measure(d, c, readings[i].how, all);
            if (a.r <= top.r || !had_chance(&look->now, &a)) continue;
            top = a;
            best = i;
            best_all = all;
        }
    *claimed =
        best >= 0 && top.r >= AGREES && top.r > look->best.r + BETTER && top.r > 2 * look->best.r;
    return !*claimed || say_reading(d, best, &look->now, &top, best_all, err);
}

/* Inverted poses swing about the tracker: the path of their origin is longer.
 * So when the given one is the longer, it may be the inverted one. */
static bool judge_path(es_doctor *d, es_error *err) {
    const doctor_track *t = d->probe >= 0 ? &d->tracks[d->probe] : NULL;
    if (!t || t->path_mm < 20 || t->valid < 16 || t->fault == FAULT_OTHER ||
        doctor_is_picture(t->from))
        return true;
    double path = 0;
    es_mat4 last, at;
    bool has_last = false;
    for (int64_t f = 0; f < d->frames; f++) {
        if (t->state[f] != POSE_VALID || t->discard[f] || !es_mat4_invert(t->pose[f], &at, NULL))
            continue;
        if (has_last) path += doctor_distance(&last, &at);
        last = at;
        has_last = true;
    }
    if (!(path / t->path_mm < PATH_RATIO)) return true;
    es_finding *f = finding_add(d, "inverse-pose", ES_SEVERITY_WARNING, t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "the origin of %s travels %.0f mm, that of its inverse only %.0f mm (ratio %.2f, below "
        "%.2f); for a hand-held probe it is the other way round",
        t->name, t->path_mm, path, path / t->path_mm, PATH_RATIO);
    SAY(f->cause, "tracker-to-probe was written for probe-to-tracker");
    SAY(f->fix, "invert the poses, or rename the transform; overlapping sweeps would decide it");
    return true;
}

/* Pictures that agree refute what the poses alone made suspect. */
static void withdraw_angles(es_doctor *d) {
    size_t kept = 0;
    for (size_t i = 0; i < d->findings.count; i++)
        if (strcmp(d->findings.items[i].check, "degrees-radians") != 0)
            d->findings.items[kept++] = d->findings.items[i];
    d->findings.count = kept;
}

/* Findings that make the pictures disagree by themselves. */
static bool spoiled(const es_doctor *d) {
    static const char *const by[] = {"mirrored-matrix", "degrees-radians", "reference-swapped"};
    for (size_t i = 0; i < d->findings.count; i++)
        for (size_t k = 0; k < sizeof by / sizeof *by; k++)
            if (strcmp(d->findings.items[i].check, by[k]) == 0) return true;
    return false;
}

bool doctor_check_agreement(es_doctor *d, es_error *err) {
    chain_parts c = {0};
    es_error why = {0};
    bool claimed = false, known = false, ok = true;
    double interval = usual_interval(d, &why);
    if (why.code == ES_OK && parts_make(d, &c, &why)) {
        lag_look look = look_for_lag(d, &c, interval);
        double lag = fabs((double)look.frames + look.shift) * interval;
        known = look.best.r >= AGREES && look.best.pairs >= LEAST_PAIRS;
        if (known) withdraw_angles(d);
        if (!known && !spoiled(d))
            ok = judge_readings(d, &c, &look, &claimed, err);
        else if (known && look.frames && lag > LAG_S && look.best.r > look.now.r + LAG_BETTER)
            ok = say_lag(d, &look, interval, err);
        parts_clear(&c);
    } else if (why.code == ES_OK) {
        parts_clear(&c);
    }
    if (why.code == ES_MEMORY) {
        parts_clear(&c);
        if (err) *err = why;
        return false;
    }
    return ok && (known || claimed || judge_path(d, err));
}
