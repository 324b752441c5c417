/* What the poses of one transform tell over time: stand-ins for missing ones
 * (identity, repeats), jumps, a reference that moves, units of angles.
 *
 * A jump must stand out from its neighbours, not only from the median: a hand
 * that rests and then moves on quickly has steps far above the median, but
 * they come in a row. And it must be faster than a hand. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>

#define JUMP_MM 5.0 /* beside eight spreads above the median */
#define JUMP_RAD (5 * DEGREE)
#define JUMP_SPREADS 8.0
#define JUMP_MM_S 100.0 /* a hand is seldom faster without speeding up first */
#define JUMP_RAD_S (200 * DEGREE)
#define MOVING_MM 0.05      /* median step of something that a hand moves */
#define MOVING_RANGE_MM 5.0 /* and goes so far: a resting marker only trembles */
#define RUN_STEPS 2         /* so many steps of nothing are a freeze */
#define REPEATED_SHARE 0.05
#define REFERENCE_RANGE_MM 10.0
#define SPIN_RAD_S (60 * DEGREE) /* median angular speed of a wrong unit */
#define TINY_RAD (5.5 * DEGREE)  /* pi read as degrees, on three axes */
#define TINY_RANGE_RAD (6 * DEGREE)
#define FAR_MM 1500.0
#define LITTLE_RAD (15 * DEGREE)

/* The valid poses of a track in order, with the steps between them. */
typedef struct walk {
    const doctor_track *track;
    size_t count;
    int64_t *frame;
    double *mm, *rad, *seconds; /* from pose i to i + 1; seconds NaN without times */
    double *sorted;
} walk;

static void walk_clear(walk *w) {
    es_free(w->frame);
    es_free(w->mm);
    es_free(w->rad);
    es_free(w->seconds);
    es_free(w->sorted);
}

static bool walk_make(const es_doctor *d, const doctor_track *t, walk *w, es_error *err) {
    size_t room = (size_t)d->frames;
    *w = (walk){.track = t};
    w->frame = es_alloc(room, sizeof *w->frame, err);
    w->mm = es_alloc_zero(room, sizeof(double), err);
    w->rad = es_alloc_zero(room, sizeof(double), err);
    w->seconds = es_alloc_zero(room, sizeof(double), err);
    w->sorted = es_alloc(room, sizeof(double), err);
    if (!w->frame || !w->mm || !w->rad || !w->seconds || !w->sorted) {
        walk_clear(w);
        return false;
    }
    for (int64_t f = 0; f < d->frames; f++)
        if (t->state[f] == POSE_VALID && !t->discard[f]) w->frame[w->count++] = f;
    for (size_t i = 0; i + 1 < w->count; i++) {
        int64_t a = w->frame[i], b = w->frame[i + 1];
        w->mm[i] = doctor_distance(&t->pose[a], &t->pose[b]);
        w->rad[i] = doctor_rotation(&t->pose[a], &t->pose[b]);
        w->seconds[i] = d->time_s[b] - d->time_s[a];
    }
    return true;
}

static double median_of(const walk *w, const double *values) {
    size_t n = w->count ? w->count - 1 : 0;
    if (n) memcpy(w->sorted, values, n * sizeof *values);
    return doctor_median(w->sorted, n);
}

static double spread_of(const walk *w, const double *values, double median) {
    size_t n = w->count ? w->count - 1 : 0;
    if (n) memcpy(w->sorted, values, n * sizeof *values);
    return doctor_spread(w->sorted, n, median);
}

/* ---- stand-ins ---------------------------------------------------------------------- */

static bool is_identity(const es_mat4 *m) {
    es_mat4 one = es_mat4_identity();
    for (int i = 0; i < 16; i++)
        if (fabs(m->m[i] - one.m[i]) > 1e-9) return false;
    return true;
}

static bool identity(es_doctor *d, doctor_track *t, es_error *err) {
    int64_t count = 0, first = -1;
    if (strcmp(t->from, t->to) == 0) return true; /* IdentityToIdentity says it itself */
    for (int64_t f = 0; f < d->frames; f++) {
        if (t->state[f] != POSE_VALID || !is_identity(&t->pose[f])) continue;
        if (!count++) first = f;
        t->discard[f] = 1;
    }
    if (!count) return true;
    es_finding *f = finding_add(d, "identity-poses", ES_SEVERITY_WARNING, t->name, err);
    if (!f) return false;
    SAY(f->evidence, "%s is the identity in %lld of %lld valid frames (first: frame %lld)", t->name,
        (long long)count, (long long)t->valid, (long long)first);
    SAY(f->cause, "%s",
        count == t->valid ? "nobody measured it: a placeholder, or a device without a tracker"
                          : "the marker was not seen, and the software wrote a stand-in as OK");
    SAY(f->fix, "give these frames the status INVALID");
    f->fix_is_safe = true;
    return true;
}

static bool invalid(es_doctor *d, const doctor_track *t, es_error *err) {
    int64_t count = 0, plausible = 0;
    for (int64_t f = 0; f < d->frames; f++) {
        if (t->state[f] != POSE_INVALID) continue;
        count++;
        plausible += !is_identity(&t->pose[f]) && es_mat4_finite(t->pose[f]) &&
                     es_mat4_rigid_defect(t->pose[f]) < 0.01;
    }
    if (!count) return true;
    bool many = count * 5 > d->frames;
    es_finding *f = finding_add(d, "invalid-poses", many ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE,
                                t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s has status INVALID in %lld of %lld frames; %lld of these carry a matrix that looks "
        "like a pose",
        t->name, (long long)count, (long long)d->frames, (long long)plausible);
    SAY(f->cause, "the marker was out of sight; trackers then repeat or guess the pose");
    SAY(f->fix, "echosolid leaves such frames out; see that other software does too");
    return true;
}

/* ---- frozen ----------------------------------------------------------------------------- */

/* Whether the pictures of the frames first..last differ: true also where
 * there are none, for a tracker alone is judged by itself. */
static bool pictures_change(const es_doctor *d, int64_t first, int64_t last) {
    for (int64_t f = first + 1; f <= last; f++)
        if (!d->digest[f] || d->digest[f] != d->digest[f - 1]) return true;
    return false;
}

typedef struct repeats {
    int64_t steps, runs, longest, longest_at;
} repeats;

static repeats find_repeats(const es_doctor *d, const walk *w) {
    repeats r = {.longest_at = -1};
    for (size_t i = 0; i + 1 < w->count;) {
        size_t end = i;
        while (end + 1 < w->count && w->mm[end] == 0 && w->rad[end] == 0) end++;
        int64_t run = (int64_t)(end - i);
        bool seen = run && pictures_change(d, w->frame[i], w->frame[end]);
        if (seen) {
            r.steps += run;
            r.runs += run >= RUN_STEPS;
            if (run > r.longest) {
                r.longest = run;
                r.longest_at = w->frame[i];
            }
        }
        i = run ? end : i + 1;
    }
    return r;
}

/* The copies after the first pose of each run. */
static void discard_repeats(es_doctor *d, doctor_track *t, const walk *w) {
    for (size_t i = 0; i + 1 < w->count;) {
        size_t end = i;
        while (end + 1 < w->count && w->mm[end] == 0 && w->rad[end] == 0) end++;
        if (end - i >= RUN_STEPS && pictures_change(d, w->frame[i], w->frame[end]))
            for (size_t k = i + 1; k <= end; k++) t->discard[w->frame[k]] = 1;
        i = end > i ? end : i + 1;
    }
}

/* A marker at rest repeats its pose rightly: only what moves can freeze. */
static bool frozen(es_doctor *d, doctor_track *t, const walk *w, es_error *err) {
    if (w->count < 8 || !(t->step_mm > MOVING_MM) || t->range_mm < MOVING_RANGE_MM) return true;
    repeats r = find_repeats(d, w);
    double share = (double)r.steps / (double)(w->count - 1);
    if (!r.runs && share < REPEATED_SHARE) return true;
    es_finding *f = finding_add(d, "frozen-poses",
                                d->pictures ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE, t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s repeats its pose exactly in %lld of %zu steps (%.0f %%) although it moves %.2g mm a "
        "frame; the longest run is %lld frames, from frame %lld",
        t->name, (long long)r.steps, w->count - 1, 100 * share, t->step_mm,
        (long long)r.longest + 1, (long long)r.longest_at);
    SAY(f->cause, "%s",
        r.runs ? "the tracker lost the marker and the software kept the last pose"
               : "the tracker is slower than the pictures");
    SAY(f->fix, "%s",
        r.runs ? "give the copies the status INVALID"
               : "interpolate the poses in time, or record at the tracker's rate");
    f->fix_is_safe = r.runs > 0;
    if (r.runs) discard_repeats(d, t, w);
    return true;
}

/* ---- jumps --------------------------------------------------------------------------------- */

typedef struct jump_limits {
    double mm, rad, seconds; /* seconds: the usual interval, NaN unknown */
} jump_limits;

static double excess(const walk *w, const jump_limits *limits, size_t i) {
    double by = fmax(w->mm[i] / limits->mm, w->rad[i] / limits->rad), s = w->seconds[i];
    if (!(by > 1)) return 0;
    if (s > 2.5 * limits->seconds) return 0; /* a gap in time: no jump */
    bool fast = !(s > 0) || w->mm[i] > JUMP_MM_S * s || w->rad[i] > JUMP_RAD_S * s;
    return fast ? by : 0;
}

/* Steps before a jump and after `next` are ordinary, and less than half. */
static bool stands_out(const walk *w, const jump_limits *limits, size_t i, size_t next) {
    double most = fmin(fmax(w->mm[i] / limits->mm, w->rad[i] / limits->rad) / 2, 1);
    for (size_t k = i < 2 ? 0 : i - 2; k <= next + 1 && k + 1 < w->count; k++) {
        if (k >= i && k < next) continue;
        if (fmax(w->mm[k] / limits->mm, w->rad[k] / limits->rad) > most) return false;
    }
    return true;
}

/* How many poses are away before they come back to where they were; 0: they
 * do not within three. */
static size_t comes_back(const walk *w, size_t i) {
    const es_mat4 *pose = w->track->pose, *before = &pose[w->frame[i]];
    for (size_t k = 2; k <= 4 && i + k < w->count; k++) {
        const es_mat4 *after = &pose[w->frame[i + k]];
        bool near = doctor_distance(before, after) <= 0.5 * w->mm[i] + 1e-9;
        bool turned = doctor_rotation(before, after) <= 0.5 * w->rad[i] + 1e-9;
        bool by_length = w->mm[i] > JUMP_MM;
        if (by_length ? near : turned) return k - 1;
    }
    return 0;
}

typedef struct jumps {
    int64_t outliers, first_outlier, swaps, first_swap;
    double outlier_mm, swap_mm, swap_rad, outlier_rad;
} jumps;

static jumps find_jumps(doctor_track *t, const walk *w, const jump_limits *limits) {
    jumps j = {.first_outlier = -1, .first_swap = -1};
    for (size_t i = 0; i + 1 < w->count; i++) {
        if (!(excess(w, limits, i) > 1)) continue;
        size_t away = comes_back(w, i);
        if (away && stands_out(w, limits, i, i + away + 1)) {
            if (!j.outliers) j.first_outlier = w->frame[i + 1];
            j.outliers += (int64_t)away;
            j.outlier_mm = fmax(j.outlier_mm, w->mm[i]);
            j.outlier_rad = fmax(j.outlier_rad, w->rad[i]);
            for (size_t k = 1; k <= away; k++) t->discard[w->frame[i + k]] = 1;
            i += away;
        } else if (!away && stands_out(w, limits, i, i + 1) && i >= 2 && i + 4 < w->count) {
            if (!j.swaps) j.first_swap = w->frame[i + 1];
            j.swaps++;
            j.swap_mm = fmax(j.swap_mm, w->mm[i]);
            j.swap_rad = fmax(j.swap_rad, w->rad[i]);
        }
    }
    return j;
}

static bool say_swap(es_doctor *d, const doctor_track *t, const jumps *j, es_error *err) {
    bool reference = doctor_is_reference(t->from);
    es_finding *f = finding_add(d, reference ? "reference-moves" : "marker-swap", ES_SEVERITY_ERROR,
                                t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s jumps by up to %.1f mm and %.1f degrees in one step and stays there (%lld times, first "
        "at frame %lld)",
        t->name, j->swap_mm, j->swap_rad / DEGREE, (long long)j->swaps, (long long)j->first_swap);
    SAY(f->cause, "%s",
        reference ? "the reference was knocked, or its markers were taken for "
                    "others"
                  : "the tracker took the markers in another order, or the marker "
                    "slipped on the probe");
    SAY(f->fix, "use the frames before and after as two recordings; fasten the marker and make "
                "its spheres' distances differ");
    return true;
}

static bool jumped(es_doctor *d, doctor_track *t, const walk *w, es_error *err) {
    if (w->count < 8) return true;
    double rad = median_of(w, w->rad), mm = median_of(w, w->mm);
    jump_limits limits = {.mm = mm + JUMP_SPREADS * spread_of(w, w->mm, mm) + JUMP_MM,
                          .rad = rad + JUMP_SPREADS * spread_of(w, w->rad, rad) + JUMP_RAD,
                          .seconds = median_of(w, w->seconds)};
    jumps j = find_jumps(t, w, &limits);
    if (j.swaps && !say_swap(d, t, &j, err)) return false;
    if (!j.outliers) return true;
    es_finding *f = finding_add(d, "pose-jumps", ES_SEVERITY_WARNING, t->name, err);
    if (!f) return false;
    SAY(f->evidence,
        "%s leaves its path by up to %.1f mm and %.1f degrees and comes back, in %lld frames "
        "(first: frame %lld); the usual step is %.2g mm",
        t->name, j.outlier_mm, j.outlier_rad / DEGREE, (long long)j.outliers,
        (long long)j.first_outlier, mm);
    SAY(f->cause, "a reflection or a half-hidden marker was taken for the marker");
    SAY(f->fix, "give these frames the status INVALID");
    f->fix_is_safe = true;
    return true;
}

/* ---- units of angles ------------------------------------------------------------------------ */

static bool say_angles(es_doctor *d, const doctor_track *t, bool degrees, const char *evidence,
                       es_error *err) {
    es_finding *f = finding_add(d, "degrees-radians",
                                degrees ? ES_SEVERITY_ERROR : ES_SEVERITY_WARNING, t->name, err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, degrees ? "angles in degrees were read as radians"
                          : "angles in radians were read as degrees");
    SAY(f->fix, "convert the pose table again, naming the unit of its angles");
    return true;
}

static bool angles(es_doctor *d, const doctor_track *t, const walk *w, es_error *err) {
    if (w->count < 16 || t->path_mm < 10) return true;
    char text[480];
    double rad = median_of(w, w->rad), seconds = median_of(w, w->seconds), largest = 0;
    double speed = rad / (seconds > 0 ? seconds : 0.1);
    if (speed > SPIN_RAD_S && rad > 2 * DEGREE && t->step_mm < 10) {
        snprintf(text, sizeof text,
                 "%.100s turns %.1f degrees a frame (%.0f a second) all the time, while it moves "
                 "%.2g mm",
                 t->name, rad / DEGREE, speed / DEGREE, t->step_mm);
        return say_angles(d, t, true, text, err);
    }
    es_mat4 one = es_mat4_identity();
    for (size_t i = 0; i < w->count; i++)
        largest = fmax(largest, doctor_rotation(&one, &t->pose[w->frame[i]]));
    bool tiny = largest < TINY_RAD && largest > 0.01 * DEGREE && t->range_rad < TINY_RANGE_RAD;
    if (!tiny || t->range_rad <= 1e-4 || t->path_mm < 20) return true;
    snprintf(text, sizeof text,
             "%.100s is never turned by more than %.2f degrees from the tracker's axes, and its "
             "rotation changes by %.3f degrees over %.0f mm of motion",
             t->name, largest / DEGREE, t->range_rad / DEGREE, t->path_mm);
    return say_angles(d, t, false, text, err);
}

/* ---- how it moves ------------------------------------------------------------------------------
 */

static void measure(doctor_track *t, const walk *w) {
    t->path_mm = t->range_mm = t->range_rad = 0;
    for (size_t i = 0; i + 1 < w->count; i++) t->path_mm += w->mm[i];
    for (size_t i = 1; i < w->count; i++) {
        const es_mat4 *first = &t->pose[w->frame[0]], *at = &t->pose[w->frame[i]];
        t->range_mm = fmax(t->range_mm, doctor_distance(first, at));
        t->range_rad = fmax(t->range_rad, doctor_rotation(first, at));
    }
    t->step_mm = median_of(w, w->mm);
    t->moves = t->range_mm > 2 || t->range_rad > 2 * DEGREE;
}

static bool far_away(es_doctor *d, const doctor_track *t, const walk *w, es_error *err) {
    for (size_t i = 0; i < w->count; i++)
        w->sorted[i] = es_vec3_length(es_mat4_column(t->pose[w->frame[i]], 3));
    double far = doctor_median(w->sorted, w->count);
    if (!(far > FAR_MM)) return true;
    es_finding *f = finding_add(d, "far-origin", ES_SEVERITY_NOTE, t->name, err);
    if (!f) return false;
    SAY(f->evidence, "%s lies %.0f mm from the origin (median)", t->name, far);
    SAY(f->cause, "a far tracker: each .01 degrees of rotation noise is %.2g mm there",
        far * 0.01 * DEGREE);
    SAY(f->fix, "use a reference marker near the patient: its noise and the probe's cancel");
    return true;
}

static bool reference_range(es_doctor *d, const doctor_track *t, es_error *err) {
    if (!doctor_is_reference(t->from) || !(t->range_mm > REFERENCE_RANGE_MM)) return true;
    for (size_t i = 0; i < d->findings.count; i++) /* said already, as a jump */
        if (strcmp(d->findings.items[i].check, "reference-moves") == 0) return true;
    es_finding *f = finding_add(d, "reference-moves",
                                d->pictures ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE, t->name, err);
    if (!f) return false;
    SAY(f->evidence, "%s moves by up to %.1f mm and %.1f degrees during the recording", t->name,
        t->range_mm, t->range_rad / DEGREE);
    SAY(f->cause, "the patient or the tracker moved (then all is well), or the reference slipped "
                  "(then it is not)");
    SAY(f->fix, "see whether the reference was touched; fasten it to what is scanned");
    return true;
}

static bool check_track(es_doctor *d, doctor_track *t, es_error *err) {
    walk w;
    if (!identity(d, t, err) || !invalid(d, t, err) || !walk_make(d, t, &w, err)) return false;
    measure(t, &w);
    bool sound = t->fault != FAULT_OTHER && !doctor_is_picture(t->from);
    bool ok = !sound || (frozen(d, t, &w, err) && jumped(d, t, &w, err) && angles(d, t, &w, err) &&
                         far_away(d, t, &w, err) && reference_range(d, t, err));
    walk_clear(&w);
    return ok;
}

/* ---- one against the other
 * ----------------------------------------------------------------------- */

static const doctor_track *find_from(const es_doctor *d, const char *from, const char *to) {
    for (int i = 0; i < d->track_count; i++)
        if (strcmp(d->tracks[i].from, from) == 0 && strcmp(d->tracks[i].to, to) == 0)
            return &d->tracks[i];
    return NULL;
}

static bool swapped(es_doctor *d, es_error *err) {
    const doctor_track *probe = find_from(d, "Probe", "Tracker");
    const doctor_track *reference = find_from(d, "Reference", "Tracker");
    if (!probe || !reference || reference->path_mm < 20 ||
        reference->range_mm < 3 * probe->range_mm || reference->path_mm < 2 * probe->path_mm)
        return true;
    es_finding *f =
        finding_add(d, "reference-swapped", ES_SEVERITY_ERROR, "ReferenceToTracker", err);
    if (!f) return false;
    SAY(f->evidence,
        "the reference moves %.0f mm in all (range %.0f mm), the probe only %.0f mm "
        "(range %.0f mm)",
        reference->path_mm, reference->range_mm, probe->path_mm, probe->range_mm);
    SAY(f->cause, "the names of probe and reference are exchanged, or the reference sits on the "
                  "probe");
    SAY(f->fix, "exchange the two tool definitions (ROM files, ports, ids) and record again, or "
                "rename the transforms");
    return true;
}

static bool little_motion(es_doctor *d, es_error *err) {
    const doctor_track *most = NULL;
    for (int i = 0; i < d->track_count; i++)
        if (d->tracks[i].splits && d->tracks[i].valid > 1 &&
            strcmp(d->tracks[i].from, d->tracks[i].to) != 0 &&
            (!most || d->tracks[i].range_rad > most->range_rad))
            most = &d->tracks[i];
    if (!most || most->range_rad >= LITTLE_RAD || d->frames < 8) return true;
    es_finding *f = finding_add(d, "little-motion", ES_SEVERITY_NOTE, most->name, err);
    if (!f) return false;
    SAY(f->evidence, "no transform turns by more than %.1f degrees (%s) from where it starts",
        most->range_rad / DEGREE, most->name);
    SAY(f->cause, "enough for a volume; too little for a pivot or self-calibration, and for "
                  "telling some conventions apart");
    SAY(f->fix, "for a calibration turn the probe by more than 15 degrees about each axis");
    return true;
}

bool doctor_check_poses(es_doctor *d, es_error *err) {
    for (int i = 0; i < d->track_count; i++)
        if (d->tracks[i].splits && !check_track(d, &d->tracks[i], err)) return false;
    return swapped(d, err) && little_motion(d, err);
}
