/* What is refused before the search, and what its result is refused for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "self.h"

enum { LEAST_PICTURES = 30 };
static const double ELSEWHERE_MM = 4; /* a state this far off is another solution */
static const double DEGREE = 0.017453292519943295;

/* ---- the motion ------------------------------------------------------------------------------ */

/* Turns of the probe, whatever ImageToProbe is: deviations along main axes. */
static void find_turns(const self_fit *fit, double deviations[3], size_t *placed) {
    double sum[3] = {0}, square[9] = {0}, values[3], vectors[9], n = 0;
    es_mat4 back = {{0}}, pose;
    for (size_t f = 0; f < fit->pictures->count; f++) {
        if (!es_pose_track_at(fit->poses, fit->pictures->times_s[f] + fit->options->lag_s,
                              fit->options->max_gap_s, &pose, NULL) ||
            (n == 0 && !es_mat4_invert(pose, &back, NULL)))
            continue;
        es_vec3 t = es_mat4_turn(es_mat4_multiply(back, pose));
        const double v[3] = {t.x, t.y, t.z};
        for (int k = 0; k < 9; k++) square[k] += v[k / 3] * v[k % 3];
        for (int k = 0; k < 3; k++) sum[k] += v[k];
        n++;
    }
    *placed = (size_t)n;
    for (int k = 0; k < 9; k++) square[k] = square[k] / n - sum[k / 3] / n * (sum[k % 3] / n);
    es_eigen_symmetric(square, 3, values, vectors);
    for (int k = 0; k < 3; k++) deviations[k] = sqrt(fmax(values[k], 0));
}

/* Median of the ways of the marker from one picture to the next; NaN with ES_OK: none. */
static bool find_apart(const self_fit *fit, double *apart_mm, es_error *err) {
    size_t count = fit->pictures->count, n = 0;
    double *ways = es_alloc(count, sizeof *ways, err);
    es_mat4 pose[2];
    bool had = false;
    for (size_t f = 0; ways && f < count; f++) {
        bool has = es_pose_track_at(fit->poses, fit->pictures->times_s[f] + fit->options->lag_s,
                                    fit->options->max_gap_s, &pose[f % 2], NULL);
        if (has && had)
            ways[n++] =
                es_vec3_length(es_vec3_sub(es_mat4_column(pose[0], 3), es_mat4_column(pose[1], 3)));
        had = has;
    }
    if (!ways) return false;
    qsort(ways, n, sizeof *ways, es_compare_doubles);
    *apart_mm = n > 0 ? ways[n / 2] : NAN;
    es_free(ways);
    return true;
}

static bool check_apart(const self_fit *fit, es_self_result *r, es_error *err) {
    if (!find_apart(fit, &r->apart_mm, err)) return false;
    return !(r->apart_mm > ES_SELF_MOST_APART_MM) || !isfinite(fit->options->limit_mm) ||
           es_fail(err, ES_GEOMETRY,
                   "the probe goes %.1f mm from one picture to the next, so that what lies between "
                   "is not seen: %g mm at most, 3 is good. Move it slower, or record more pictures "
                   "a second",
                   r->apart_mm, ES_SELF_MOST_APART_MM);
}

bool self_check_motion(const self_fit *fit, es_self_result *r, es_error *err) {
    double turns[3];
    size_t placed, count = fit->pictures->count;
    if (count < LEAST_PICTURES)
        return es_fail(err, ES_GEOMETRY,
                       "%zu pictures: %d or more are needed. Record four to six passes over the "
                       "same place, each held otherwise, 150 pictures or more in all",
                       count, LEAST_PICTURES);
    find_turns(fit, turns, &placed);
    r->frames_used = placed;
    memcpy(r->turned_rad, turns, sizeof turns);
    if (placed < LEAST_PICTURES)
        return es_fail(
            err, ES_GEOMETRY,
            "%zu of %zu pictures have a pose: %d or more are needed. Keep the markers in "
            "the tracker's sight, and check that pictures and poses have the same clock",
            placed, count, LEAST_PICTURES);
    if (!check_apart(fit, r, err)) return false;
    /* two axes of turning are what a shift and a turn of the picture need */
    if (turns[1] > 3 * DEGREE) return true;
    r->missing[r->missing_count++] = ES_SELF_TILT;
    r->missing[r->missing_count++] = turns[0] > 10 * DEGREE ? ES_SELF_ROCK : ES_SELF_TURN;
    if (!isfinite(fit->options->limit_mm)) return true;
    return es_fail(err, ES_GEOMETRY,
                   "the probe %s (%.1f, %.1f, %.1f degrees about its main axes, standard "
                   "deviations), so its pictures do not determine ImageToProbe. Record again, and "
                   "%s; and %s",
                   turns[0] > 3 * DEGREE ? "was turned about one axis only" : "was hardly turned",
                   turns[0] / DEGREE, turns[1] / DEGREE, turns[2] / DEGREE,
                   es_self_motion_text(r->missing[0]), es_self_motion_text(r->missing[1]));
}

/* ---- the result ------------------------------------------------------------------------------ */

static bool judge_overlap(const es_self_result *r, es_error *err) {
    const double least_overlap = 0.05, least_agreement = 0.2;
    if (!(r->overlap >= least_overlap))
        return es_fail(err, ES_GEOMETRY,
                       "%.0f %% of what the pictures show is seen in another pass as well: record "
                       "several passes over the same place, held differently",
                       100 * r->overlap);
    if (!(r->agreement >= least_agreement && r->held_out >= 0.5 * least_agreement))
        return es_fail(err, ES_GEOMETRY,
                       "where passes overlap they do not show the same (agreement %.2f, %.2f in "
                       "what was not fitted to; %.1f is expected). Did the object or the reference "
                       "move, are these the poses of this probe, is the lag right? Or the search "
                       "ended in a wrong place: give an ImageToProbe to start from with --start",
                       r->agreement, r->held_out, least_agreement);
    return true;
}

/* What need not be found. */
static const char *known_instead(const self_fit *fit) {
    static const char *const texts[3] = {
        "", "; or give the size of the pixels (--spacing-mm, see echosolid spacing)",
        ("; or say that the pixels are square (--isotropic), or their size (--spacing-mm, see "
         "echosolid spacing)")};
    return texts[self_scale_count(fit)];
}

static bool judge_interval(const self_fit *fit, const es_self_result *r, es_error *err) {
    char missing[500] = "", vague[300] = "";
    if (r->target_ci95_mm <= fit->options->limit_mm) return true;
    size_t length = 0;
    for (int k = 0; k < r->parameter_count && length < sizeof vague; k++)
        if (!r->parameters[k].determined)
            length += (size_t)snprintf(vague + length, sizeof vague - length, "%s%s",
                                       length ? ", " : "", r->parameters[k].name);
    length = 0;
    for (int k = 0; k < r->missing_count && length < sizeof missing; k++)
        length += (size_t)snprintf(missing + length, sizeof missing - length, "%s%s",
                                   length ? "; and " : "", es_self_motion_text(r->missing[k]));
    return es_fail(err, ES_GEOMETRY,
                   "the motion does not determine %s: a point of the picture is known within %.2g "
                   "mm only, %g is allowed. Record again, and %s%s",
                   vague[0] ? vague : "ImageToProbe well enough", r->target_ci95_mm,
                   fit->options->limit_mm, missing[0] ? missing : "take more pictures",
                   known_instead(fit));
}

bool self_judge(const self_fit *fit, const self_start *list, size_t count, es_self_result *r,
                es_error *err) {
    size_t other = 1;
    while (other < count && self_apart(fit, &list[0].state, &list[other].state) < ELSEWHERE_MM)
        other++;
    r->rival_mm = other < count ? self_apart(fit, &list[0].state, &list[other].state) : NAN;
    if (!isfinite(fit->options->limit_mm)) return true;
    if (!judge_overlap(r, err) || !judge_interval(fit, r, err)) return false;
    /* the gain of the best over the rival, against what it has over nothing */
    bool rival = other < count && !list[other].lost &&
                 list[other].cost - list[0].cost < 0.05 * (1 - list[0].cost) &&
                 r->rival_mm > r->target_ci95_mm + 3;
    return !rival || es_fail(err, ES_GEOMETRY,
                             "two ImageToProbe, %.0f mm apart, go equally well with this "
                             "recording. Record again, and %s; or give --start",
                             r->rival_mm, es_self_motion_text(ES_SELF_TILT));
}
