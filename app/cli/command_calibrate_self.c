/* echosolid calibrate self: ImageToProbe from passes that overlap. */
#include <math.h>
#include <string.h>

#include "calibrate.h"
#include "calibrate_tell.h"

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

typedef struct self_run {
    calibrate_input in;
    es_self_options how;
    es_self_outcome found;
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
    if (source && !o->lag) app_note(&o->common, "the lag is taken as 0; --lag free finds it");
    bool ok = source && es_self_calibrate(source, &w->in.poses, &w->how, &w->found, err);
    es_source_free(source);
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
        es_self_report(report, &w->found.pictures, &w->found.result);
        ok = es_report_write_html(report, o->report, err);
    }
    app_origin_clear(&origin);
    es_report_free(report);
    return ok;
}

/* ---- the words ------------------------------------------------------------------------------- */

static int print(const self_options *o, const self_run *w) {
    const es_self_result *r = &w->found.result;
    if (o->common.json) return app_print_json(tell_self_json(w->in.transform, r));
    es_text text = {0};
    tell_self(&text, r);
    if (o->output) es_text_add(&text, "%s: ImageTo%s\n", o->output, o->tool);
    return tell_print(&text);
}

static int run(const void *options, const char *const *files, int count) {
    const self_options *o = options;
    self_run w = {.how = {.isotropic = false}};
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    bool ok = parse_options(o, &w.how, &err) && calibrate_check_poses(&o->recording, count, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &w.in, &err) &&
              solve(o, files[0], &w, &err) && write_report(o, files[0], &w, &err) &&
              calibrate_write(w.in.plus, o->output, "Image", o->tool, w.found.result.image_to_probe,
                              w.found.result.target_ci95_mm, &err);
    app_progress_end();
    int status = ok ? print(o, &w) : app_fail(&err);
    es_self_outcome_clear(&w.found);
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
