/* How the picture goes through the body: too fast, or leaving gaps. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>

/* Steps between placed frames; without a chain those of the probe's marker. */
typedef struct steps {
    double *mm, *across_mm, *speed;
    size_t count, timed;
    bool placed;
} steps;

static const es_mat4 *pose_of(const es_doctor *d, int64_t f) {
    if (d->placed) return d->has_pose[f] ? &d->image_pose[f] : NULL;
    const doctor_track *t = &d->tracks[d->probe];
    return t->state[f] == POSE_VALID && !t->discard[f] ? &t->pose[f] : NULL;
}

static es_vec3 middle_of(const es_doctor *d, const es_mat4 *pose) {
    if (!d->placed) return es_mat4_column(*pose, 3);
    return es_mat4_point(*pose, es_vec3_make(d->about.width / 2.0, d->about.height / 2.0, 0));
}

static void collect(const es_doctor *d, steps *s) {
    const es_mat4 *last = NULL;
    int64_t last_frame = 0;
    for (int64_t f = 0; f < d->frames; f++) {
        const es_mat4 *pose = pose_of(d, f);
        if (pose && last && f == last_frame + 1) {
            es_vec3 way = es_vec3_sub(middle_of(d, pose), middle_of(d, last));
            es_vec3 normal =
                es_vec3_unit(es_vec3_cross(es_mat4_column(*pose, 0), es_mat4_column(*pose, 1)));
            double seconds = d->time_s[f] - d->time_s[last_frame];
            s->mm[s->count] = es_vec3_length(way);
            s->across_mm[s->count] = d->placed ? fabs(es_vec3_dot(way, normal)) : s->mm[s->count];
            if (seconds > 0) s->speed[s->timed++] = s->mm[s->count] / seconds;
            s->count++;
        }
        if (pose) {
            last = pose;
            last_frame = f;
        }
    }
}

static bool too_fast(es_doctor *d, const steps *s, es_error *err) {
    double speed = doctor_median(s->speed, s->timed);
    if (!(speed > d->options.speed_mm_s)) return true;
    es_finding *f = finding_add(d, "probe-speed", ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence, "the %s moves at %.0f mm/s (median); scanning hands stay below %.0f",
        d->placed ? "picture" : "probe's marker", speed, d->options.speed_mm_s);
    SAY(f->cause, "wrong units of length or time, a wrong calibration with a long lever, or a "
                  "hurried scan");
    SAY(f->fix, "check the units of poses and times; scan more slowly");
    return true;
}

/* Values are sorted by then. */
static double share_of(const double *sorted, size_t count, double share) {
    return count ? sorted[(size_t)(share * (double)(count - 1))] : NAN;
}

static bool too_far_apart(es_doctor *d, const steps *s, es_error *err) {
    double median = doctor_median(s->across_mm, s->count);
    double most = share_of(s->across_mm, s->count, 0.9), last = share_of(s->across_mm, s->count, 1);
    if (!(median > d->options.elevation_mm / 2) && !(most > d->options.elevation_mm)) return true;
    es_finding *f = finding_add(d, "frame-gaps", ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "frames lie %.2g mm apart (median%s), one in ten more than %.2g, at most %.2g; a slice is "
        "about %.2g mm thick",
        median, d->placed ? ", across the picture" : "", most, last, d->options.elevation_mm);
    SAY(f->cause, "the probe was moved faster than the frame rate allows");
    SAY(f->fix, "scan more slowly or at a higher rate; hole filling will bridge it otherwise");
    return true;
}

bool doctor_check_motion(es_doctor *d, es_error *err) {
    if (d->frames < 8 || !doctor_is_size(d->about.width, d->about.height) ||
        (!d->placed && d->probe < 0))
        return true;
    size_t n = (size_t)d->frames;
    steps s = {.mm = es_alloc(n, sizeof(double), err),
               .across_mm = es_alloc(n, sizeof(double), err),
               .speed = es_alloc(n, sizeof(double), err)};
    bool ok = s.mm && s.across_mm && s.speed;
    if (ok) {
        collect(d, &s);
        ok = too_fast(d, &s, err) && too_far_apart(d, &s, err);
    }
    es_free(s.mm);
    es_free(s.across_mm);
    es_free(s.speed);
    return ok;
}
