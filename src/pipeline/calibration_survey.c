/* Which calibrations a recording permits: the answer to "I only have the
 * position and orientation of the probe".
 *
 * A method that works on the recording alone is tried, and its own refusal is
 * the reason; one that needs a phantom is asked for its needs. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { DOT_PICTURES = 24, LEAST_DOTS = 3, MOST_DOTS = 30, LEAST_SIDE = 32 };

typedef struct survey_run {
    const es_survey_request *request;
    es_calibration_survey *s;
    es_line_list lines;
    es_pose_list poses; /* of the probe */
} survey_run;

static es_method_verdict *add_method(es_calibration_survey *s, const char *method) {
    es_method_verdict *v = &s->methods[s->method_count++];
    memset(v, 0, sizeof *v);
    v->method = method;
    return v;
}

static void refuse(es_method_verdict *v, const char *why) {
    snprintf(v->missing, sizeof v->missing, "%s", why);
}

/* Failures of memory and Ctrl-C end the survey; all else is an answer. */
static bool is_answer(const es_error *err) {
    return err->code != ES_MEMORY && err->code != ES_CANCELLED;
}

/* ---- dots ---------------------------------------------------------------------------------- */

/* A few small bright spots, as wires in water are. */
static bool look_for_dots(es_dot_finder *finder, const es_image *picture, size_t *found,
                          es_error *err) {
    es_dot dots[ES_DOTS_MAX];
    int count;
    if (picture->width < LEAST_SIDE || picture->height < LEAST_SIDE) return true;
    if (!es_dots_find(finder, picture, NULL, dots, &count, err)) return false;
    *found += count >= LEAST_DOTS && count <= MOST_DOTS;
    return true;
}

static bool count_dots(survey_run *r, es_error *err) {
    es_source *source = r->request->pictures;
    es_frame frame = {0};
    es_dot_finder *finder = es_dot_finder_new(err);
    bool end = false, ok = finder && es_source_rewind(source, err);
    size_t step = r->s->pictures / DOT_PICTURES + 1;
    for (size_t i = 0; ok && !end; i++) {
        ok = es_source_next(source, &frame, i % step ? 0 : ES_READ_PIXELS, &end, err);
        if (!ok || end || i % step || !frame.has_image) continue;
        r->s->looked_at++;
        ok = look_for_dots(finder, &frame.image, &r->s->with_dots, err) && !es_cancelled(err);
    }
    es_frame_clear(&frame);
    es_dot_finder_free(finder);
    return ok && es_source_rewind(source, err);
}

/* ---- the probe's motion ------------------------------------------------------------------------
 */

/* Deviations along the main axes of the places, or of the turns. */
static void find_deviations(const es_pose_list *list, bool turns, double deviations[3]) {
    double sum[3] = {0}, square[9] = {0}, values[3], vectors[9], count = 0;
    es_mat4 back = {{0}};
    for (size_t i = 0; i < list->count; i++) {
        if (!list->valid[i] || (count == 0 && !es_mat4_invert(list->poses[i], &back, NULL)))
            continue;
        es_mat4 m = es_mat4_multiply(back, list->poses[i]);
        es_vec3 v = turns ? es_mat4_turn(m) : es_mat4_column(m, 3);
        const double x[3] = {v.x, v.y, v.z};
        for (int k = 0; k < 9; k++) square[k] += x[k / 3] * x[k % 3];
        for (int k = 0; k < 3; k++) sum[k] += x[k];
        count++;
    }
    for (int k = 0; k < 9; k++)
        square[k] = square[k] / count - sum[k / 3] / count * (sum[k % 3] / count);
    es_eigen_symmetric(square, 3, values, vectors);
    for (int k = 0; k < 3; k++) deviations[k] = sqrt(fmax(values[k], 0));
}

static bool read_probe(survey_run *r, es_error *err) {
    es_calibration_survey *s = r->s;
    const char *tool = r->request->tool ? r->request->tool : "Probe";
    es_source *source = r->request->poses;
    es_error why = {0};
    if (!es_tool_list_read(source, &s->tools, err)) return false;
    if (!es_pose_list_choose(source, tool, r->request->reference, s->transform, err)) return false;
    if (!es_pose_list_read(source, r->request->plus, s->transform, &r->poses, &why)) {
        s->transform[0] = 0;
        if (!is_answer(&why)) return es_fail(err, why.code, "%s", why.message);
        return es_source_rewind(source, err);
    }
    s->poses = r->poses.count;
    s->placed = r->poses.placed;
    s->timed = r->poses.timed;
    find_deviations(&r->poses, false, s->moved_mm);
    find_deviations(&r->poses, true, s->turned_rad);
    return es_source_rewind(source, err);
}

/* ---- the methods ------------------------------------------------------------------------------
 */

static const char NO_PROBE[] =
    "no poses of the probe: give the recording that has them as a second file, name its marker "
    "with --tool, or record ProbeToTracker";

/* What the pictures lack; NULL: nothing. */
static const char *lacks_line(const survey_run *r) {
    if (r->s->pictures == 0) return "the recording has no pictures";
    if (!r->s->transform[0]) return NO_PROBE;
    if (2 * r->lines.found < r->lines.count)
        return "few pictures show a line: hold the probe over the flat bottom of a water tank, or "
               "a plate";
    return NULL;
}

/* Where the probe also turned, a line's height does not follow the poses
 * linearly, and the floor's fit knows better. */
static bool try_lag(survey_run *r, const es_wall_result *wall, es_error *err) {
    es_method_verdict *v = add_method(r->s, "lag");
    es_lag_options options = ES_LAG_DEFAULTS;
    es_lag_result result;
    es_image_signal signal = {.count = 0};
    es_error why = {0};
    const char *lacks = lacks_line(r);
    if (!lacks && !(r->lines.timed && r->s->timed)) lacks = "there are no time stamps";
    if (lacks) refuse(v, lacks);
    if (lacks && r->s->pictures > 0 && r->s->transform[0] && r->s->timed)
        snprintf(v->missing, sizeof v->missing,
                 "%s; or without any line: calibrate lag --from motion tries whatever moves",
                 lacks);
    if (lacks) return true;
    if (wall->frames_used > 0) {
        v->possible = true;
        snprintf(v->found, sizeof v->found, "lag %+.4f s +- %.4f, by calibrate wall", wall->lag_s,
                 wall->lag_ci95_s);
        return true;
    }
    bool ok = es_line_signal_make(&r->lines, &signal, &why) &&
              es_lag_solve(signal.times_s, signal.values, signal.count, r->poses.times_s,
                           r->poses.poses, r->poses.count, &options, &result, &why);
    v->possible = ok;
    if (ok)
        snprintf(v->found, sizeof v->found, "lag %+.4f s +- %.4f from the line's height",
                 result.lag_s, result.lag_ci95_s);
    else
        refuse(v, why.message);
    es_image_signal_clear(&signal);
    return ok || is_answer(&why) || es_fail(err, why.code, "%s", why.message);
}

static bool solve_wall(survey_run *r, es_wall_result *result, es_error *why) {
    es_wall_options options = ES_WALL_DEFAULTS;
    es_wall_line *lines = NULL;
    es_wall_reject *rejects = NULL;
    size_t count, reject_count;
    options.lag_free = r->lines.timed && r->s->timed;
    es_pose_track *track = es_pose_list_track(&r->poses, why);
    bool ok = track && es_wall_lines(&r->lines, &lines, &count, &rejects, &reject_count, why) &&
              es_wall_solve(lines, count, track, &options, result, NULL, NULL, why);
    es_free(rejects);
    es_free(lines);
    es_pose_track_free(track);
    return ok;
}

/* `result` without frames used: not possible. */
static bool try_wall(survey_run *r, es_wall_result *result, es_error *err) {
    es_method_verdict *v = add_method(r->s, "wall");
    es_error why = {0};
    const char *lacks = lacks_line(r);
    memset(result, 0, sizeof *result);
    if (lacks) return refuse(v, lacks), true;
    v->possible = solve_wall(r, result, &why);
    if (v->possible)
        snprintf(v->found, sizeof v->found,
                 "ImageToProbe and the spacing, a point within %.2g mm (95 %%)",
                 result->target_ci95_mm);
    else
        refuse(v, why.message), result->frames_used = 0;
    return v->possible || is_answer(&why) || es_fail(err, why.code, "%s", why.message);
}

/* The fit takes too long for a survey; here are its needs. */
static void ask_self(survey_run *r) {
    const es_calibration_survey *s = r->s;
    const double least_rad = 0.052; /* as es_self_solve: about two axes */
    es_method_verdict *v = add_method(r->s, "self");
    if (s->pictures == 0)
        refuse(v, "the recording has no pictures");
    else if (!s->transform[0])
        refuse(v, NO_PROBE);
    else if (2 * s->with_dots > s->looked_at || 2 * s->with_line > s->pictures)
        refuse(v, "the pictures show wires or a floor, for which nwire and wall are made: pass "
                  "over a rigid object with more to see");
    else if (s->turned_rad[1] < least_rad)
        snprintf(v->missing, sizeof v->missing, "the probe %s: %s; and %s",
                 s->turned_rad[0] < least_rad ? "was hardly turned" : "was turned about one axis",
                 es_self_motion_text(ES_SELF_TILT), es_self_motion_text(ES_SELF_TURN));
    else
        v->possible = true;
    if (v->possible)
        snprintf(v->found, sizeof v->found,
                 "ImageToProbe and the spacing, about a millimetre, if several passes show the "
                 "same rigid object (not tried here: it takes a minute); best with --start");
}

/* Wires are found and told apart by calibrate nwire; here are its needs. */
static void ask_nwire(survey_run *r) {
    es_calibration_survey *s = r->s;
    es_method_verdict *v = add_method(s, "nwire");
    if (s->pictures == 0)
        refuse(v, "the recording has no pictures");
    else if (!s->transform[0])
        refuse(v, NO_PROBE);
    else if (2 * s->with_dots < s->looked_at || 2 * s->with_line > s->pictures)
        refuse(v, "few pictures show wires as small bright dots: record an N-wire phantom in water "
                  "(echosolid phantom makes one to print)");
    else if (s->wires == 0)
        refuse(v, "pictures show dots, but no --config says where the wires of the phantom are");
    else
        v->possible = true;
    if (v->possible)
        snprintf(v->found, sizeof v->found,
                 "ImageToProbe, the spacing and the lag, from %zu wires; the most accurate way",
                 s->wires);
}

static void ask_landmarks(survey_run *r) {
    es_calibration_survey *s = r->s;
    es_method_verdict *v = add_method(s, "landmarks");
    bool stylus = false;
    for (int k = 0; k < s->tools.count; k++) stylus |= strcmp(s->tools.names[k], "Stylus") == 0;
    if (s->landmarks < 3)
        refuse(v, "no --config with the landmarks of a phantom");
    else if (!stylus)
        refuse(v, "no tracked Stylus: touch the landmarks with one, each for two seconds");
    else
        v->possible = true;
    if (v->possible)
        snprintf(v->found, sizeof v->found,
                 "where the phantom lies, from %zu landmarks, if they were touched", s->landmarks);
}

static bool try_pivot(survey_run *r, int which, es_error *err) {
    es_source *source = r->request->poses;
    es_pivot_options options = ES_PIVOT_DEFAULTS;
    es_pivot_result result;
    es_pose_list list = {0};
    es_error why = {0};
    char transform[2 * ES_NAME_SIZE];
    char tool[ES_NAME_SIZE];
    memcpy(tool, r->s->tools.names[which], sizeof tool);
    es_method_verdict *v = add_method(r->s, "pivot");
    bool ok = es_pose_list_choose(source, tool, r->request->reference, transform, &why) &&
              es_pose_list_read(source, r->request->plus, transform, &list, &why) &&
              es_pivot_solve(list.poses, list.count, &options, NULL, &result, &why);
    v->possible = ok;
    if (ok)
        snprintf(v->found, sizeof v->found, "the tip of %.100s, RMS %.2g mm", tool, result.rms_mm);
    else
        snprintf(v->missing, sizeof v->missing, "%.100s: %.800s", tool, why.message);
    es_pose_list_clear(&list);
    if (!ok && !is_answer(&why)) return es_fail(err, why.code, "%s", why.message);
    return es_source_rewind(source, err);
}

static bool try_tools(survey_run *r, es_error *err) {
    const char *probe = r->request->tool ? r->request->tool : "Probe";
    for (int k = 0; k < r->s->tools.count; k++)
        if (strcmp(r->s->tools.names[k], probe) != 0 && !try_pivot(r, k, err)) return false;
    return true;
}

/* ---- the survey ---------------------------------------------------------------------------------
 */

static bool read_pictures(survey_run *r, es_error *err) {
    es_error why = {0};
    if (!es_line_list_read(r->request->pictures, r->request->progress, &r->lines, &why)) {
        if (why.code != ES_GEOMETRY) return es_fail(err, why.code, "%s", why.message);
        return es_source_rewind(r->request->pictures, err); /* no pictures */
    }
    r->s->pictures = r->lines.count;
    r->s->with_line = r->lines.found;
    return count_dots(r, err);
}

static bool read_config(survey_run *r, es_error *err) {
    es_points landmarks = {0};
    if (!r->request->plus) return true;
    bool ok = es_plus_landmarks(r->request->plus, &landmarks, err);
    r->s->landmarks = landmarks.count;
    size_t patterns = es_plus_element_count(r->request->plus, "PhantomDefinition/Geometry/Pattern");
    for (size_t p = 0; p < patterns; p++) {
        char path[80];
        snprintf(path, sizeof path, "PhantomDefinition/Geometry/Pattern[%zu]/Wire", p);
        r->s->wires += es_plus_element_count(r->request->plus, path);
    }
    es_points_clear(&landmarks);
    return ok;
}

bool es_calibration_survey_read(const es_survey_request *request, es_calibration_survey *survey,
                                es_error *err) {
    survey_run r = {.request = request, .s = survey};
    memset(survey, 0, sizeof *survey);
    bool ok = read_config(&r, err) && read_pictures(&r, err) && read_probe(&r, err);
    if (ok) ask_nwire(&r);
    if (ok) ask_self(&r);
    es_wall_result wall;
    ok = ok && try_wall(&r, &wall, err) && try_lag(&r, &wall, err) && try_tools(&r, err);
    if (ok) ask_landmarks(&r);
    es_line_list_clear(&r.lines);
    es_pose_list_clear(&r.poses);
    return ok;
}
