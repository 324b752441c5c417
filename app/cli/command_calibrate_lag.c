/* echosolid calibrate lag: the time between the clocks of pictures and poses. */
#include "calibrate.h"
#include "calibrate_tell.h"

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

static int print(const lag_options *o, const char *transform, const es_lag_outcome *found) {
    if (o->common.json) return app_print_json(tell_lag_json(transform, found));
    es_text text = {0};
    tell_lag(&text, transform, found);
    return tell_print(&text);
}

static void tell_signal(const lag_options *o, const es_lag_outcome *found) {
    if (found->pictures > 0 && !found->line && o->from != FROM_MOTION)
        app_note(&o->common,
                 "%zu of %zu pictures show a line (%s): the lag is taken from what moves",
                 found->with_line, found->pictures, found->no_line);
}

static int run(const void *options, const char *const *files, int count) {
    static const es_lag_from from[] = {
        [FROM_LINE] = ES_LAG_FROM_LINE, [FROM_MOTION] = ES_LAG_FROM_MOTION};
    const lag_options *o = options;
    calibrate_input in = {.plus = NULL};
    es_lag_outcome found = {.line = false};
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    es_lag_request request = {.options = ES_LAG_DEFAULTS,
                              .from = o->from < 0 ? ES_LAG_FROM_ANY : from[o->from],
                              .progress = app_progress(&o->common)};
    request.options.range_s = o->range_s;
    es_source *source =
        calibrate_check_poses(&o->recording, count, &err) ? es_sequence_open(files[0], &err) : NULL;
    bool ok = source && calibrate_open(&o->common, files[count - 1], &reading, &in, &err);
    if (ok && !(ok = es_lag_calibrate(source, &in.poses, &request, &found, &err)) &&
        !in.poses.timed)
        es_prefix(&err, "%s", files[count - 1]);
    es_source_free(source);
    app_progress_end();
    tell_signal(o, &found);
    int status = ok ? print(o, in.transform, &found) : app_fail(&err);
    es_lag_outcome_clear(&found);
    calibrate_close(&in);
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
