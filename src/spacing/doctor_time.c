/* Times: they grow, at an even pace, without holes; and there are as many
 * pictures, poses and statuses as frames. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>

#define GAP 3.0            /* medians */
#define DROPPED 1.5        /* medians: at least one frame is missing */
#define JITTER 0.2         /* robust spread over the median */
#define FILTER_SPREAD 2.0  /* medians between raw and filtered times */
#define GAP_SHARE 0.01     /* of the steps */
#define DROPPED_SHARE 0.02 /* of the steps */

typedef struct steps {
    double *s;   /* between frames that have times */
    int64_t *at; /* the later frame */
    size_t count;
    double median, spread;
} steps;

static bool steps_make(const es_doctor *d, steps *t, es_error *err) {
    size_t room = (size_t)d->frames;
    double last = NAN, *sorted = es_alloc(room, sizeof *sorted, err);
    *t = (steps){.s = es_alloc(room, sizeof *t->s, err), .at = es_alloc(room, sizeof *t->at, err)};
    if (!sorted || !t->s || !t->at) {
        es_free(sorted);
        es_free(t->s);
        es_free(t->at);
        return false;
    }
    for (int64_t f = 0; f < d->frames; f++) {
        if (!isfinite(d->time_s[f])) continue;
        if (isfinite(last)) {
            t->s[t->count] = d->time_s[f] - last;
            t->at[t->count++] = f;
        }
        last = d->time_s[f];
    }
    if (t->count) memcpy(sorted, t->s, t->count * sizeof *sorted);
    t->median = doctor_median(sorted, t->count);
    t->spread = 1.4826 * doctor_spread(sorted, t->count, t->median);
    es_free(sorted);
    return true;
}

static bool backward(es_doctor *d, const steps *t, es_error *err) {
    int64_t count = 0, first = -1;
    double worst = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->s[i] > 0) continue;
        if (!count++) first = t->at[i];
        worst = fmin(worst, t->s[i]);
    }
    if (!count) return true;
    es_finding *f = finding_add(d, "time-not-increasing", ES_SEVERITY_ERROR, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "the time does not grow in %lld of %zu steps (first at frame %lld, by down to "
        "%.4g s)",
        (long long)count, t->count, (long long)first, worst);
    SAY(f->cause, "frames were stored in the wrong order or twice, two clocks were mixed, or a "
                  "clock was set during the recording");
    SAY(f->fix, "sort the frames by time, or use the unfiltered times");
    return true;
}

/* How far the picture, or what moves most, went over step i. */
static double moved(const es_doctor *d, int64_t from, int64_t to) {
    double most = 0;
    if (d->has_pose[from] && d->has_pose[to])
        return doctor_distance(&d->image_pose[from], &d->image_pose[to]);
    if (!d->pictures) return 0;
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        if (t->splits && t->state[from] == POSE_VALID && t->state[to] == POSE_VALID &&
            strncmp(t->from, "Stylus", 6) != 0)
            most = fmax(most, doctor_distance(&t->pose[from], &t->pose[to]));
    }
    return most;
}

static bool gaps(es_doctor *d, const steps *t, es_error *err) {
    int64_t count = 0, at = -1;
    double longest = 0, lost_mm = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (!(t->s[i] > GAP * t->median)) continue;
        count++;
        lost_mm = fmax(lost_mm, moved(d, t->at[i] - 1, t->at[i]));
        if (t->s[i] > longest) {
            longest = t->s[i];
            at = t->at[i];
        }
    }
    if (!count || t->count < 3) return true;
    bool many = (double)count > GAP_SHARE * (double)t->count && count > 1;
    bool serious = many || lost_mm > d->options.elevation_mm;
    es_finding *f =
        finding_add(d, "time-gaps", serious ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "%lld of %zu steps are longer than %g times the usual %.4g s; the longest is %.4g s, "
        "before frame %lld; the probe moved up to %.1f mm meanwhile",
        (long long)count, t->count, GAP, t->median, longest, (long long)at, lost_mm);
    SAY(f->cause, "the computer or the network was busy, or frames were cut out");
    SAY(f->fix, "scan the place again where something is missing; poses across the gap are not "
                "interpolated");
    return true;
}

static bool dropped(es_doctor *d, const steps *t, es_error *err) {
    int64_t steps_lost = 0, frames_lost = 0, first = -1;
    if (!(t->median > 0) || t->spread > JITTER * t->median) return true; /* no even pace to miss */
    for (size_t i = 0; i < t->count; i++) {
        if (!(t->s[i] > DROPPED * t->median) || t->s[i] > GAP * t->median) continue;
        if (!steps_lost++) first = t->at[i];
        frames_lost += (int64_t)lround(t->s[i] / t->median) - 1;
    }
    if (!steps_lost) return true;
    bool many =
        steps_lost > 2 && d->pictures && (double)steps_lost > DROPPED_SHARE * (double)t->count;
    es_finding *f =
        finding_add(d, "dropped-frames", many ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "about %lld frames are missing, in %lld places (first before frame %lld): "
        "steps of %.2g to %g times the usual %.4g s",
        (long long)frames_lost, (long long)steps_lost, (long long)first, DROPPED, GAP, t->median);
    SAY(f->cause, "the recorder could not keep up");
    SAY(f->fix, "record without compression, to a faster disk, or at a lower rate");
    return true;
}

static bool jitter(es_doctor *d, const steps *t, es_error *err) {
    if (t->count < 16 || !(t->spread > JITTER * t->median)) return true;
    es_finding *f = finding_add(d, "time-jitter", ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence, "the steps of time scatter by %.4g s (robust) about %.4g s: %.0f %%",
        t->spread, t->median, 100 * t->spread / t->median);
    SAY(f->cause, "times were taken when frames arrived, not when they were made");
    SAY(f->fix, "filter the times (PLUS: AveragedItemsForFiltering), or use the device's own");
    return true;
}

static bool filtered(es_doctor *d, const steps *t, es_error *err) {
    double worst = 0, sum = 0, square = 0;
    size_t count = 0;
    for (int64_t f = 0; f < d->frames; f++) {
        double apart = d->time_s[f] - d->raw_s[f];
        if (!isfinite(apart)) continue;
        sum += apart;
        square += apart * apart;
        worst = fmax(worst, fabs(apart));
        count++;
    }
    if (count < 8) return true;
    double mean = sum / (double)count;
    double deviation = sqrt(fmax(square / (double)count - mean * mean, 0));
    if (!(deviation > FILTER_SPREAD * t->median)) return true;
    es_finding *f = finding_add(d, "time-jitter", ES_SEVERITY_WARNING, "UnfilteredTimestamp", err);
    if (!f) return false;
    SAY(f->evidence,
        "filtered and unfiltered times differ by %.3g s (deviation) and up to %.3g s, "
        "at a usual step of %.3g s",
        deviation, worst, t->median);
    SAY(f->cause, "the filter follows a clock or a frame number that does not run evenly");
    SAY(f->fix, "use the unfiltered times, and look at the FrameNumber that the device gives");
    return true;
}

static bool frame_number(es_doctor *d, const steps *t, es_error *err) {
    if (t->count < 8) return true;
    for (size_t i = 0; i < t->count; i++)
        if (fabs(t->s[i] - 1) > 1e-9) return true;
    double first = d->time_s[t->at[0]];
    if (fabs(first - round(first)) > 1e-9) return true;
    es_finding *f = finding_add(d, "time-is-frame-number", ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence, "the times are whole numbers that grow by 1 with each frame");
    SAY(f->cause, "the frame's number was written as its time");
    SAY(f->fix, "divide by the frame rate; until then speeds, lag and gaps cannot be judged");
    return true;
}

/* ---- counts -------------------------------------------------------------------------- */

static bool say_count(es_doctor *d, const char *subject, es_severity severity, const char *evidence,
                      es_error *err) {
    es_finding *f = finding_add(d, "count-mismatch", severity, subject, err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, "the recording was cut off while it was written or copied, or pictures and "
                  "poses were recorded apart");
    SAY(f->fix, "use the frames that have both, or copy the file again");
    return true;
}

static bool counts(es_doctor *d, es_error *err) {
    char text[480];
    if (d->pixel_failure[0]) {
        snprintf(text, sizeof text, "the pictures end early: %.400s", d->pixel_failure);
        if (!say_count(d, "pictures", ES_SEVERITY_ERROR, text, err)) return false;
    }
    if (d->about.frame_count >= 0 && d->about.frame_count != d->frames && !d->full) {
        snprintf(text, sizeof text, "the header declares %lld frames, %lld were found",
                 (long long)d->about.frame_count, (long long)d->frames);
        if (!say_count(d, "frames", ES_SEVERITY_ERROR, text, err)) return false;
    }
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        int64_t present = 0;
        for (int64_t f = 0; f < d->frames; f++) present += t->state[f] != POSE_ABSENT;
        if (present == d->frames || !present) continue;
        snprintf(text, sizeof text, "%.120s is given in %lld of %lld frames", t->name,
                 (long long)present, (long long)d->frames);
        if (!say_count(d, t->name, ES_SEVERITY_WARNING, text, err)) return false;
    }
    return true;
}

bool doctor_check_time(es_doctor *d, es_error *err) {
    steps t;
    if (!counts(d, err) || !steps_make(d, &t, err)) return false;
    bool ok = backward(d, &t, err) && gaps(d, &t, err) && dropped(d, &t, err) &&
              jitter(d, &t, err) && filtered(d, &t, err) && frame_number(d, &t, err);
    es_free(t.s);
    es_free(t.at);
    return ok;
}
