/* Poses in time: the samples of one transform, and the pose at any time
 * between two of them.
 *
 * Trackers and scanners tick at their own rates, so the pose of an image lies
 * between two samples. It is found by binary search, and interpolated: rotation
 * along the great arc (slerp), translation on a straight line. A sample that
 * the tracker marked as invalid is a gap; the pose is taken from the nearest
 * valid samples on both sides, and refused where those are too far apart. */
#include "echosolid/geom.h"

#include <math.h>
#include <string.h>

/* A pose whose R'R is further from I than this has scale, shear or broken
 * numbers in it, and slerp would drop them without a word. */
static const double RIGID_TOLERANCE = 0.01;

typedef struct sample {
    double time_s;
    es_mat4 pose;
    bool valid;
} sample;

struct es_pose_track {
    sample *samples; /* by growing time_s */
    size_t count, capacity;
};

es_pose_track *es_pose_track_new(es_error *err) {
    return es_alloc_zero(1, sizeof(es_pose_track), err);
}

void es_pose_track_free(es_pose_track *track) {
    if (!track) return;
    es_free(track->samples);
    es_free(track);
}

size_t es_pose_track_count(const es_pose_track *track) { return track->count; }

static bool check_time(const es_pose_track *track, double time_s, es_error *err) {
    if (!isfinite(time_s))
        return es_fail(err, ES_FORMAT, "pose %zu has the time %g; expected a number of seconds",
                       track->count, time_s);
    if (track->count == 0 || time_s > track->samples[track->count - 1].time_s) return true;
    return es_fail(err, ES_FORMAT,
                   "pose %zu has the time %.9g s, not after %.9g s of the one before; times must "
                   "grow",
                   track->count, time_s, track->samples[track->count - 1].time_s);
}

static bool check_rigid(es_mat4 pose, double time_s, es_error *err) {
    double defect = es_mat4_rigid_defect(pose);
    if (defect <= RIGID_TOLERANCE && es_mat4_det3(pose) > 0) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the pose at %.9g s is no rotation with translation (R'R is %.2g from the unit "
                   "matrix, determinant %.3g); only rigid poses can be interpolated",
                   time_s, defect, es_mat4_det3(pose));
}

bool es_pose_track_add(es_pose_track *track, double time_s, es_mat4 pose, bool valid,
                       es_error *err) {
    valid = valid && es_mat4_finite(pose);
    if (!check_time(track, time_s, err) || (valid && !check_rigid(pose, time_s, err))) return false;
    if (track->count == track->capacity) {
        size_t room = track->capacity ? 2 * track->capacity : 64;
        if (!es_resize(&track->samples, room, sizeof(sample), err)) return false;
        track->capacity = room;
    }
    track->samples[track->count++] = (sample){time_s, pose, valid};
    return true;
}

/* The number of samples at or before time_s. */
static size_t count_until(const es_pose_track *track, double time_s) {
    size_t low = 0, high = track->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (track->samples[middle].time_s <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The nearest valid samples around time_s, not farther than max_gap_s from it.
 * NULL where there is none. */
static const sample *valid_before(const es_pose_track *track, double time_s, double max_gap_s) {
    for (size_t i = count_until(track, time_s); i-- > 0;) {
        const sample *at = &track->samples[i];
        if (at->valid) return at;
        if (time_s - at->time_s > max_gap_s) break;
    }
    return NULL;
}

static const sample *valid_after(const es_pose_track *track, double time_s, double max_gap_s) {
    for (size_t i = count_until(track, time_s); i < track->count; i++) {
        const sample *at = &track->samples[i];
        if (at->valid) return at;
        if (at->time_s - time_s > max_gap_s) break;
    }
    return NULL;
}

static bool fail_outside(const es_pose_track *track, double time_s, es_error *err) {
    if (track->count == 0)
        return es_fail(err, ES_GEOMETRY, "no pose at %.9g s: there are no samples", time_s);
    return es_fail(err, ES_GEOMETRY, "no pose at %.9g s: the samples go from %.9g s to %.9g s",
                   time_s, track->samples[0].time_s, track->samples[track->count - 1].time_s);
}

bool es_pose_track_at(const es_pose_track *track, double time_s, double max_gap_s, es_mat4 *pose,
                      es_error *err) {
    if (track->count == 0 || !(time_s >= track->samples[0].time_s) ||
        !(time_s <= track->samples[track->count - 1].time_s))
        return fail_outside(track, time_s, err);
    const sample *before = valid_before(track, time_s, max_gap_s);
    if (before && before->time_s == time_s) {
        *pose = before->pose;
        return true;
    }
    const sample *after = valid_after(track, time_s, max_gap_s);
    if (!before || !after)
        return es_fail(err, ES_GEOMETRY, "no pose at %.9g s: no valid sample within %g s %s it",
                       time_s, max_gap_s, before ? "after" : "before");
    double gap_s = after->time_s - before->time_s;
    if (!(gap_s <= max_gap_s))
        return es_fail(err, ES_GEOMETRY,
                       "no pose at %.9g s: the valid samples around it, at %.9g s and %.9g s, are "
                       "%.3g s apart; at most %g s is allowed",
                       time_s, before->time_s, after->time_s, gap_s, max_gap_s);
    *pose = es_pose_interpolate(before->pose, after->pose, (time_s - before->time_s) / gap_s);
    return true;
}
