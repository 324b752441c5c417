/* echosolid calibrate lag: the time between the clocks of pictures and poses. */
#include <math.h>

#include "calibrate.h"

typedef struct lag_options {
    common_options common;
    const char *config, *tool, *reference;
    double range_s;
    recording_options recording;
} lag_options;

static const opt table[] = {
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(lag_options, config),
     .help = "PLUS configuration with the fixed transforms"},
    {.name = "tool",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "Probe",
     .offset = offsetof(lag_options, tool),
     .help = "the tracked marker on the probe"},
    {.name = "reference",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(lag_options, reference),
     .help = "what its poses are taken to; without it: Reference, else Tracker"},
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

static json_t *lag_json(const lag_options *o, const calibrate_input *in,
                        const es_image_signal *signal, const es_lag_result *r) {
    (void)o;
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:b, s:[o, o]}", "lag_s",
        app_json_number(r->lag_s), "lag_ci95_s", app_json_number(r->lag_ci95_s), "signal",
        signal->unit, "transform", in->transform, "pictures", (json_int_t)signal->count,
        "pictures_with_signal", (json_int_t)signal->found, "samples", (json_int_t)r->samples,
        "share_explained", app_json_number(r->share), "share_explained_without_lag",
        app_json_number(r->share_unshifted), "residual_px", app_json_number(r->residual),
        "motion_mm", app_json_number(r->motion_mm), "drifts", r->drifts, "lag_of_halves_s",
        app_json_number(r->half_lag_s[0]), app_json_number(r->half_lag_s[1]));
}

static int print(const lag_options *o, const calibrate_input *in, const es_image_signal *signal,
                 const es_lag_result *r) {
    if (o->common.json) return app_print_json(lag_json(o, in, signal, r));
    printf("lag            %+.4f s +- %.4f (95 %%): the tracker's stamp minus the video's for one "
           "event\n",
           r->lag_s, r->lag_ci95_s);
    printf("signal         %s, found in %zu of %zu pictures\n", signal->unit, signal->found,
           signal->count);
    printf("explained      %.1f %% of the signal's variance at this lag, %.1f %% at 0; residual "
           "%.2f px\n",
           100 * r->share, 100 * r->share_unshifted, r->residual);
    printf("motion         %.1f mm of %s (standard deviation)\n", r->motion_mm, in->transform);
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

static int run(const void *options, const char *const *files, int count) {
    const lag_options *o = options;
    calibrate_input in = {.plus = NULL};
    es_image_signal signal = {.count = 0};
    es_lag_options how = ES_LAG_DEFAULTS;
    es_lag_result result;
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    how.range_s = o->range_s;
    es_source *source =
        calibrate_check_poses(&o->recording, count, &err) ? es_sequence_open(files[0], &err) : NULL;
    bool ok = source && es_line_signal_read(source, app_progress(&o->common), &signal, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &in, &err);
    if (ok && !in.poses.timed)
        ok = es_fail(&err, ES_GEOMETRY, "%s: has no time stamps", files[count - 1]);
    ok = ok && es_lag_solve(signal.times_s, signal.values, signal.count, in.poses.times_s,
                            in.poses.poses, in.poses.count, &how, &result, &err);
    es_source_free(source);
    int status = ok ? print(o, &in, &signal, &result) : app_fail(&err);
    es_image_signal_clear(&signal);
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
        "The interval comes from leaving out a tenth of the recording at a time. Refuses without "
        "motion, without a line, or when several lags fit.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(lag_options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run};
