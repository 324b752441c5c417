/* The whole ways of calibrations on recordings, from pictures and poses to the
 * result: what the commands and the wizards of the live page have in common. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

static const double MOST_WIRE_MM = 2;

/* ---- lag ------------------------------------------------------------------------------------ */

/* A line in half of the pictures is the floor of a tank. */
static bool look_for_line(es_source *pictures, const es_lag_request *request, es_lag_outcome *out,
                          es_error *err) {
    es_line_list list;
    if (!es_line_list_read(pictures, request->progress, &list, err)) return false;
    out->pictures = list.count;
    out->with_line = list.found;
    snprintf(out->no_line, sizeof out->no_line, "%s", es_line_list_reason(&list));
    out->line = request->from == ES_LAG_FROM_LINE || 2 * list.found >= list.count;
    bool ok = !out->line || es_line_signal_make(&list, &out->signal, err);
    es_line_list_clear(&list);
    return ok && (out->line || es_source_rewind(pictures, err));
}

static bool solve_motion(es_source *pictures, const es_pose_list *poses,
                         const es_lag_request *request, es_lag_outcome *out, es_error *err) {
    es_motion_signals motion;
    es_motion which;
    if (!es_motion_signals_read(pictures, request->progress, &motion, err)) return false;
    out->pictures = motion.of[0].count + 1;
    bool ok = es_motion_lag(&motion, poses, &request->options, &out->result, &which, err);
    if (ok) {
        out->signal = motion.of[which];
        memset(&motion.of[which], 0, sizeof out->signal); /* it has moved */
    }
    es_motion_signals_clear(&motion);
    return ok;
}

bool es_lag_calibrate(es_source *pictures, const es_pose_list *poses, const es_lag_request *request,
                      es_lag_outcome *out, es_error *err) {
    memset(out, 0, sizeof *out);
    if (!poses->timed) return es_fail(err, ES_GEOMETRY, "the poses have no time stamps");
    if (request->from != ES_LAG_FROM_MOTION && !look_for_line(pictures, request, out, err))
        return false;
    if (!out->line) return solve_motion(pictures, poses, request, out, err);
    return es_lag_solve(out->signal.times_s, out->signal.values, out->signal.count, poses->times_s,
                        poses->poses, poses->count, &request->options, &out->result, err);
}

void es_lag_outcome_clear(es_lag_outcome *outcome) {
    es_image_signal_clear(&outcome->signal);
    memset(outcome, 0, sizeof *outcome);
}

/* ---- wall ------------------------------------------------------------------------------------ */

static bool solve_wall(const es_line_list *list, const es_pose_list *poses,
                       const es_wall_options *options, es_wall_outcome *out, es_error *err) {
    es_wall_line *lines = NULL;
    size_t count = 0, unseen = 0, unfit = 0;
    es_pose_track *track = es_pose_list_track(poses, err);
    bool ok = track && es_wall_lines(list, &lines, &count, &out->rejects, &unseen, err) &&
              es_wall_solve(lines, count, track, options, &out->result, out->rejects + unseen,
                            &unfit, err);
    if (!ok && track && list->found < list->count / 2)
        es_prefix(err, "%zu of %zu pictures show a line (%s)", list->found, list->count,
                  es_line_list_reason(list));
    out->reject_count = unseen + unfit;
    es_free(lines);
    es_pose_track_free(track);
    return ok;
}

bool es_wall_calibrate(es_source *pictures, const es_pose_list *poses,
                       const es_wall_request *request, es_wall_outcome *out, es_error *err) {
    es_line_list list;
    es_wall_options options = request->options;
    memset(out, 0, sizeof *out);
    if (!es_line_list_read(pictures, request->progress, &list, err)) return false;
    out->pictures = list.count;
    out->with_line = list.found;
    out->lag_held = options.lag_free && !(list.timed && poses->timed);
    if (out->lag_held) options.lag_free = false;
    bool ok = (!out->lag_held || !request->lag_must ||
               es_fail(err, ES_GEOMETRY,
                       "the recording has no time stamps, so no lag can be found: say --lag 0")) &&
              solve_wall(&list, poses, &options, out, err);
    es_line_list_clear(&list);
    return ok;
}

void es_wall_outcome_clear(es_wall_outcome *outcome) {
    es_free(outcome->rejects);
    memset(outcome, 0, sizeof *outcome);
}

es_mat4 es_wall_tissue(const es_wall_result *result, double speed_mps, double face_px,
                       double tissue_mm[2]) {
    es_wire_tissue_spacing(result->spacing_mm, speed_mps, tissue_mm);
    double stretch = tissue_mm[1] / result->spacing_mm[1];
    es_mat4 deeper = es_mat4_scaling(1, stretch, 1);
    deeper.m[7] = face_px * (1 - stretch);
    es_mat4 tissue = es_mat4_multiply(result->image_to_probe, deeper);
    double across = 0.5 * (tissue_mm[0] + tissue_mm[1]) / es_vec3_length(es_mat4_column(tissue, 2));
    for (int row = 0; row < 3; row++) tissue.m[4 * row + 2] *= across;
    return tissue;
}

/* ---- self ------------------------------------------------------------------------------------ */

static bool prepare_self(es_source *pictures, const es_pose_list *poses,
                         const es_self_options *options, es_self_outcome *out, es_error *err) {
    bool timed;
    if (!es_self_pictures_read(pictures, options->progress, &out->pictures, &timed, err))
        return false;
    return !options->lag_free || (timed && poses->timed) ||
           es_fail(err, ES_GEOMETRY,
                   "the recording has no time stamps, so no lag can be found: say --lag 0");
}

typedef bool self_work(const es_self_pictures *pictures, const es_pose_track *poses,
                       const es_self_options *options, es_self_result *result, es_error *err);

static bool run_self(es_source *pictures, const es_pose_list *poses, const es_self_options *options,
                     self_work *work, es_self_outcome *out, es_error *err) {
    memset(out, 0, sizeof *out);
    es_pose_track *track =
        prepare_self(pictures, poses, options, out, err) ? es_pose_list_track(poses, err) : NULL;
    bool ok = track && work(&out->pictures, track, options, &out->result, err);
    es_pose_track_free(track);
    return ok;
}

bool es_self_calibrate(es_source *pictures, const es_pose_list *poses,
                       const es_self_options *options, es_self_outcome *outcome, es_error *err) {
    return run_self(pictures, poses, options, es_self_solve, outcome, err);
}

/* What it would be refused for, and how sure it would be: from a share of the places. */
static bool look_roughly(const es_self_pictures *pictures, const es_pose_track *poses,
                         const es_self_options *options, es_self_result *result, es_error *err) {
    es_self_options rough = *options;
    rough.effort = fmin(rough.effort, 0.25);
    return es_self_solve(pictures, poses, &rough, result, err);
}

bool es_self_look(es_source *pictures, const es_pose_list *poses, const es_self_options *options,
                  es_self_outcome *outcome, es_error *err) {
    return run_self(pictures, poses, options, look_roughly, outcome, err);
}

void es_self_outcome_clear(es_self_outcome *outcome) {
    es_self_pictures_clear(&outcome->pictures);
    memset(outcome, 0, sizeof *outcome);
}

/* ---- what is given -------------------------------------------------------------------------- */

bool es_wire_judge(const es_wire_outcome *outcome, es_error *err) {
    double m95 = outcome->validation.m95_mm, ci = outcome->result.target_ci95_mm;
    char why[120];
    if (m95 <= MOST_WIRE_MM && ci <= MOST_WIRE_MM) return true;
    if (!(m95 <= MOST_WIRE_MM))
        snprintf(why, sizeof why, "the result is %.2f mm off on its validation", m95);
    else
        snprintf(why, sizeof why, "a deep point is sure to +-%.2f mm only", ci);
    return es_fail(err, ES_GEOMETRY, "%s and is not given (2 mm at most; --force gives it). %s",
                   why, outcome->next);
}

bool es_plus_between(const es_plus *plus, const char *from, const char *to, es_mat4 *matrix,
                     es_error *err) {
    es_graph *graph = es_graph_new(err);
    bool ok = graph && es_plus_to_graph(plus, graph, err) &&
              es_graph_find(graph, from, to, matrix, NULL, err);
    es_graph_free(graph);
    return ok;
}

bool es_calibration_write(const es_plus *plus, const char *path, const es_plus_transform *transform,
                          es_error *err) {
    es_plus *copy = es_plus_copy(plus, err);
    bool ok = copy && es_plus_transform_set(copy, transform, err) && es_plus_write(copy, path, err);
    es_plus_free(copy);
    return ok;
}
