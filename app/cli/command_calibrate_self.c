/* echosolid calibrate self: ImageToProbe from passes that overlap. */
#include <math.h>
#include <string.h>

#include "calibrate.h"

typedef struct self_options {
    common_options common;
    const char *config, *tool, *reference, *output, *lag, *start, *report;
    double spacing_mm[2];
    bool isotropic, force;
    recording_options recording;
} self_options;

static const opt table[] = {
    CALIBRATE_PROBE_OPTIONS(self_options, ", still to the object"),
    {.name = "start",
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(self_options, start),
     .help = "configuration whose ImageTo<tool> is about right (within some 5 mm and 5 degrees): "
             "begin there; without it: 24 ways the picture's axes may lie along the marker's"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(self_options, output),
     .help = "write ImageTo<tool> into a copy of the configuration"},
    {.name = "report",
     .type = OPT_TEXT,
     .value = "HTML",
     .offset = offsetof(self_options, report),
     .help = "what was found, how sure it is, and from where the search began"},
    {.name = "lag",
     .type = OPT_TEXT,
     .value = "0|free|SECONDS",
     .offset = offsetof(self_options, lag),
     .help = "time stamp of the tracker minus that of the video for one event; free: found too; "
             "without it: 0, and said"},
    {.name = "isotropic",
     .type = OPT_FLAG,
     .offset = offsetof(self_options, isotropic),
     .help = "one scale for both axes of the picture"},
    {.name = "spacing-mm",
     .type = OPT_NUMBERS,
     .unit = UNIT_MM,
     .count = 2,
     .low = 0.001,
     .high = 10,
     .value = "SX,SY",
     .offset = offsetof(self_options, spacing_mm),
     .help = "the pixel spacing, when it is known (echosolid spacing); without it it is found"},
    {.name = "force",
     .type = OPT_FLAG,
     .offset = offsetof(self_options, force),
     .help = "give a result even when it is expected to be off by more than 2 mm, or the passes "
             "do not agree"},
    RECORDING_OPTIONS(self_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid calibrate self passes.igs.mha --start ruler.xml -o calibrated.xml",
    "echosolid calibrate self passes.igs.mha --start ruler.xml --isotropic --json", NULL};

static const double DEGREE = 0.017453292519943295;

typedef struct self_run {
    calibrate_input in;
    es_self_pictures pictures;
    es_self_options how;
    es_self_result result;
    bool timed;
} self_run;

/* ---- the work ------------------------------------------------------------------------------ */

static bool read_start(const self_options *o, es_mat4 *start, es_error *err) {
    es_plus *plus = es_plus_read(o->start, err);
    bool found = false;
    es_plus_transform t;
    for (size_t i = 0; plus && i < es_plus_transform_count(plus) && !found; i++) {
        if (!es_plus_transform_get(plus, i, &t, NULL)) continue;
        found = strcmp(t.from, "Image") == 0 && strcmp(t.to, o->tool) == 0;
    }
    if (found) *start = t.matrix;
    if (plus && !found)
        es_fail(err, ES_GEOMETRY, "%s: no ImageTo%s to start from", o->start, o->tool);
    if (found && !es_mat4_finite(*start))
        found = es_fail(err, ES_FORMAT, "%s: ImageTo%s is not finite", o->start, o->tool);
    es_plus_free(plus);
    return found;
}

static bool parse_options(const self_options *o, es_self_options *how, es_error *err) {
    *how = (es_self_options)ES_SELF_DEFAULTS;
    how->progress = app_progress(&o->common);
    how->isotropic = o->isotropic;
    how->lag_free = o->lag && strcmp(o->lag, "free") == 0;
    if (o->lag && !how->lag_free &&
        !(es_parse_double(o->lag, &how->lag_s) && fabs(how->lag_s) <= 10))
        return es_fail(err, ES_USAGE, "--lag %.40s: expected free or seconds, at most 10", o->lag);
    if (o->force) how->limit_mm = INFINITY;
    bool spacing = !isnan(o->spacing_mm[0]);
    if (spacing) memcpy(how->spacing_mm, o->spacing_mm, sizeof how->spacing_mm);
    if (spacing && o->isotropic && o->spacing_mm[0] != o->spacing_mm[1])
        return es_fail(err, ES_USAGE, "--isotropic: the two numbers of --spacing-mm differ");
    return !o->start || read_start(o, &how->start, err);
}

static bool solve(const self_options *o, const char *file, self_run *w, es_error *err) {
    es_source *source = es_sequence_open(file, err);
    bool ok = source &&
              es_self_pictures_read(source, app_progress(&o->common), &w->pictures, &w->timed, err);
    es_source_free(source);
    bool timed = w->timed && w->in.poses.timed;
    if (ok && !timed && w->how.lag_free)
        ok = es_fail(err, ES_GEOMETRY,
                     "the recording has no time stamps, so no lag can be found: say --lag 0");
    if (ok && !o->lag) app_note(&o->common, "the lag is taken as 0; --lag free finds it");
    es_pose_track *track = ok ? es_pose_list_track(&w->in.poses, err) : NULL;
    ok = track && es_self_solve(&w->pictures, track, &w->how, &w->result, err);
    es_pose_track_free(track);
    return ok;
}

static bool write_report(const self_options *o, const char *file, const self_run *w,
                         es_error *err) {
    app_origin origin = {.options = NULL};
    const char *inputs[] = {file, o->config, o->start};
    if (!o->report) return true;
    es_report *report = es_report_new("Self calibration", err);
    bool ok = report && app_origin_make(&origin, &command_calibrate_self, o, inputs, 3, err);
    if (ok) {
        es_report_option(report, "options", origin.options);
        for (int i = 0; i < origin.input_count; i++)
            es_report_input(report, origin.inputs[i], origin.digests[i]);
        es_self_report(report, &w->pictures, &w->result);
        ok = es_report_write_html(report, o->report, err);
    }
    app_origin_clear(&origin);
    es_report_free(report);
    return ok;
}

/* ---- the words ------------------------------------------------------------------------------- */

static json_t *json_numbers(const double *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(array, app_json_number(values[i]));
    return array;
}

static json_t *json_observability(const es_self_result *r) {
    json_t *array = json_array();
    for (int k = 0; k < r->parameter_count; k++) {
        const es_self_parameter *p = &r->parameters[k];
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:b}", "parameter", p->name, "unit",
                                               p->unit, "ci95", app_json_number(p->ci95),
                                               "determined", p->determined));
    }
    return array;
}

static json_t *json_starts(const es_self_result *r) {
    json_t *array = json_array();
    for (int k = 0; k < r->start_count; k++)
        json_array_append_new(array, json_pack("{s:s, s:o}", "start", r->starts[k].name, "misfit",
                                               app_json_number(r->starts[k].misfit)));
    return array;
}

static json_t *self_json(const self_run *w) {
    const es_self_result *r = &w->result;
    json_t *missing = json_array();
    for (int k = 0; k < r->missing_count; k++)
        json_array_append_new(missing, json_string(es_self_motion_text(r->missing[k])));
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s}",
        "image_to_probe", calibrate_json_matrix(r->image_to_probe), "spacing_mm",
        json_numbers(r->spacing_mm, 2), "spacing_ci95_mm", json_numbers(r->spacing_ci95_mm, 2),
        "lag_s", app_json_number(r->lag_s), "lag_ci95_s", app_json_number(r->lag_ci95_s),
        "translation_ci95_mm", json_numbers(r->translation_ci95_mm, 3), "rotation_ci95_rad",
        json_numbers(r->rotation_ci95_rad, 3), "target_ci95_mm", app_json_number(r->target_ci95_mm),
        "agreement", app_json_number(r->agreement), "held_out_agreement",
        app_json_number(r->held_out), "held_out_mm", app_json_number(r->held_out_mm), "overlap",
        app_json_number(r->overlap), "frames_used", (json_int_t)r->frames_used, "observability",
        json_observability(r), "missing_motions", missing, "starts", json_starts(r), "compared",
        r->surface ? "surface" : "edges and spots");
    json_object_set_new(root, "rival_mm", app_json_number(r->rival_mm));
    json_object_set_new(root, "transform", json_string(w->in.transform));
    json_object_set_new(
        root, "motion",
        json_pack("{s:o, s:o, s:o, s:o}", "tilt_deg", app_json_number(r->tilt_rad / DEGREE),
                  "rock_deg", app_json_number(r->rock_rad / DEGREE), "turn_deg",
                  app_json_number(r->turn_rad / DEGREE), "slide_mm", app_json_number(r->slide_mm)));
    return root;
}

static void print_motion(const es_self_result *r) {
    printf("motion         tilted %.0f, rocked %.0f, turned %.0f degrees, slid %.0f mm\n",
           r->tilt_rad / DEGREE, r->rock_rad / DEGREE, r->turn_rad / DEGREE, r->slide_mm);
    for (int k = 0; k < r->parameter_count; k++)
        if (!r->parameters[k].determined)
            printf("NOT DETERMINED %s: +- %.2g %s\n", r->parameters[k].name, r->parameters[k].ci95,
                   r->parameters[k].unit);
    for (int k = 0; k < r->missing_count; k++)
        printf("next           %s\n", es_self_motion_text(r->missing[k]));
}

static int print(const self_options *o, const self_run *w) {
    const es_self_result *r = &w->result;
    if (o->common.json) return app_print_json(self_json(w));
    calibrate_print_matrix("ImageToProbe", r->image_to_probe);
    printf("spacing        %.5f +- %.5f, %.5f +- %.5f mm (95 %%)\n", r->spacing_mm[0],
           r->spacing_ci95_mm[0], r->spacing_mm[1], r->spacing_ci95_mm[1]);
    printf("lag            %+.4f s +- %.4f (95 %%)\n", r->lag_s, r->lag_ci95_s);
    printf("expected miss  within %.2f mm (95 %%) of a point of the picture\n", r->target_ci95_mm);
    printf("agreement      %.2f where passes overlap (%.0f %% of the places), %.2f in what was not "
           "fitted to; compared: %s\n",
           r->agreement, 100 * r->overlap, r->held_out, r->surface ? "surface" : "edges and spots");
    for (int k = 0; k < r->start_count; k++)
        printf("start          %s: misfit %.2f\n", r->starts[k].name, r->starts[k].misfit);
    print_motion(r);
    if (r->target_ci95_mm > 1)
        printf("WARNING        more than 1 mm: good enough for a first look only\n");
    if (o->output) printf("%s: ImageTo%s\n", o->output, o->tool);
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    const self_options *o = options;
    self_run w = {.timed = false};
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    bool ok = parse_options(o, &w.how, &err) && calibrate_check_poses(&o->recording, count, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &w.in, &err) &&
              solve(o, files[0], &w, &err) && write_report(o, files[0], &w, &err) &&
              calibrate_write(w.in.plus, o->output, "Image", o->tool, w.result.image_to_probe,
                              w.result.target_ci95_mm, &err);
    app_progress_end();
    int status = ok ? print(o, &w) : app_fail(&err);
    es_self_pictures_clear(&w.pictures);
    calibrate_close(&w.in);
    return status;
}

const command command_calibrate_self = {
    .name = "calibrate self",
    .summary = "ImageToProbe from overlapping passes over any rigid object, without a phantom",
    .usage = "PICTURES [POSES] [options]",
    .description =
        "Pass over one rigid object (a bone, a phantom, a piece of meat that lies still) four to "
        "six times, each pass with the probe held otherwise: tilted out of the image plane, "
        "rocked in it, turned about its long axis, by 20 degrees and more. Under the right "
        "ImageToProbe all passes show the same at every place; that gives ImageToProbe, the pixel "
        "spacing and, when asked for, the lag, each with its interval. What the motion does not "
        "determine is named, with the motion that is missing; a result that is expected to be off "
        "by more than 2 mm is refused. The object must not move against the reference, nor be "
        "pressed out of shape.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(self_options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run};
