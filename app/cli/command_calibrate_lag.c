/* echosolid calibrate lag: the time between the clocks of pictures and poses. */
#include <math.h>
#include <string.h>

#include "calibrate.h"

typedef struct lag_options {
    common_options common;
    const char *config, *tool, *reference;
    double range_s;
    int from;
    recording_options recording;
} lag_options;

enum { FROM_LINE, FROM_MOTION };
static const char *const FROM[] = {"line", "motion", NULL};

static const opt table[] = {
    CALIBRATE_PROBE_OPTIONS(lag_options, ""),
    {.name = "from",
     .type = OPT_WORD,
     .words = FROM,
     .offset = offsetof(lag_options, from),
     .help = "what is followed in the pictures: the line of a flat floor, or whatever moves; "
             "without it: the line where half of the pictures show one"},
    {.name = "range",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0.1,
     .high = 60,
     .fallback = "2s",
     .offset = offsetof(lag_options, range_s),
     .help = "look for lags up to this, both ways"},
    RECORDING_OPTIONS(lag_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid calibrate lag tank.igs.mha --json",
    "echosolid calibrate lag tank.igs.mha tank.igs.mha --range 1s", NULL};

typedef struct lag_run {
    bool line; /* else of motion */
    calibrate_input in;
    es_image_signal signal;
    es_motion_signals motion;
    es_lag_result result;
} lag_run;

static json_t *lag_json(const lag_run *run) {
    const es_image_signal *signal = &run->signal;
    const es_lag_result *r = &run->result;
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:b, s:[o, o]}", "lag_s",
        app_json_number(r->lag_s), "lag_ci95_s", app_json_number(r->lag_ci95_s), "signal",
        signal->unit, "transform", run->in.transform, "pictures", (json_int_t)signal->count,
        "pictures_with_signal", (json_int_t)signal->found, "samples", (json_int_t)r->samples,
        "share_explained", app_json_number(r->share), "share_explained_without_lag",
        app_json_number(r->share_unshifted), "residual_px", app_json_number(r->residual),
        "motion_mm", app_json_number(r->motion_mm), "drifts", r->drifts, "lag_of_halves_s",
        app_json_number(r->half_lag_s[0]), app_json_number(r->half_lag_s[1]));
}

static int print(const lag_options *o, const lag_run *run) {
    const es_image_signal *signal = &run->signal;
    const es_lag_result *r = &run->result;
    if (o->common.json) return app_print_json(lag_json(run));
    printf("lag            %+.4f s +- %.4f (95 %%): the tracker's stamp minus the video's for one "
           "event\n",
           r->lag_s, r->lag_ci95_s);
    printf("signal         %s, found in %zu of %zu pictures\n", signal->unit, signal->found,
           signal->count);
    printf("explained      %.1f %% of the signal's variance at this lag, %.1f %% at 0; residual "
           "%.2f\n",
           100 * r->share, 100 * r->share_unshifted, r->residual);
    printf("motion         %.1f %s of %s (standard deviation)\n", r->motion_mm,
           run->line ? "mm" : "mm/s", run->in.transform);
    if (r->drifts)
        printf(
            "WARNING        the halves disagree: %+.3f and %+.3f s; two lags in one recording, or "
            "drifting clocks\n",
            r->half_lag_s[0], r->half_lag_s[1]);
    if (r->lag_ci95_s > 0.02)
        printf(
            "next           record a minute of faster, irregular motion: the interval narrows\n");
    return 0;
}

/* A line in half of the pictures is the floor of a tank. */
static bool from_line(const lag_options *o, lag_run *run, es_source *source, es_error *err) {
    es_line_list list;
    if (!es_line_list_read(source, app_progress(&o->common), &list, err)) return false;
    run->line = o->from == FROM_LINE || 2 * list.found >= list.count;
    bool ok = !run->line || es_line_signal_make(&list, &run->signal, err);
    if (!run->line)
        app_note(&o->common,
                 "%zu of %zu pictures show a line (%s): the lag is taken from what moves",
                 list.found, list.count, es_line_list_reason(&list));
    es_line_list_clear(&list);
    return ok && (run->line || es_source_rewind(source, err));
}

/* What the pictures say, of a line or of motion. */
static bool read_signal(const lag_options *o, lag_run *run, es_source *source, es_error *err) {
    if (o->from != FROM_MOTION && !from_line(o, run, source, err)) return false;
    return run->line || es_motion_signals_read(source, app_progress(&o->common), &run->motion, err);
}

static bool solve(const lag_options *o, lag_run *run, es_error *err) {
    const es_pose_list *poses = &run->in.poses;
    es_lag_options how = ES_LAG_DEFAULTS;
    es_motion which;
    how.range_s = o->range_s;
    if (run->line)
        return es_lag_solve(run->signal.times_s, run->signal.values, run->signal.count,
                            poses->times_s, poses->poses, poses->count, &how, &run->result, err);
    if (!es_motion_lag(&run->motion, poses, &how, &run->result, &which, err)) return false;
    run->signal = run->motion.of[which];
    memset(&run->motion.of[which], 0, sizeof run->signal); /* it has moved */
    return true;
}

static int run(const void *options, const char *const *files, int count) {
    const lag_options *o = options;
    lag_run run = {.line = false};
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    es_source *source =
        calibrate_check_poses(&o->recording, count, &err) ? es_sequence_open(files[0], &err) : NULL;
    bool ok = source && read_signal(o, &run, source, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &run.in, &err);
    if (ok && !run.in.poses.timed)
        ok = es_fail(&err, ES_GEOMETRY, "%s: has no time stamps", files[count - 1]);
    ok = ok && solve(o, &run, &err);
    es_source_free(source);
    int status = ok ? print(o, &run) : app_fail(&err);
    es_image_signal_clear(&run.signal);
    es_motion_signals_clear(&run.motion);
    calibrate_close(&run.in);
    return status;
}

const command command_calibrate_lag = {
    .name = "calibrate lag",
    .summary = "the time between the clocks of pictures and poses",
    .usage = "PICTURES [POSES] [options]",
    .description =
        "Hold the probe over the flat bottom of a water tank and move it up and down for half a "
        "minute. The height of the bottom in each picture is compared with the poses, which may "
        "stand in a recording of their own: a picture of time t belongs to the pose of t + lag. "
        "Where no line is seen, and with --from motion, whatever moves in the pictures is "
        "compared with the probe's velocity: no phantom is needed, only a probe that goes to and "
        "fro. The interval comes from leaving out a tenth of the recording at a time. Refuses "
        "without motion, without a signal, or when several lags fit.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(lag_options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run};
