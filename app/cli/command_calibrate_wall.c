/* echosolid calibrate wall: ImageToProbe from sweeps over a flat floor. */
#include <math.h>
#include <string.h>

#include "calibrate.h"
#include "calibrate_tell.h"
#include "echosolid/spacing.h"

typedef struct wall_options {
    common_options common;
    const char *config, *tool, *reference, *output, *lag;
    double spacing_mm[2], temperature, speed, face_px;
    bool isotropic, force;
    recording_options recording;
} wall_options;

static const opt table[] = {
    CALIBRATE_PROBE_OPTIONS(wall_options, ", still to the floor"),
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(wall_options, output),
     .help = "write ImageTo<tool> into a copy of the configuration"},
    {.name = "lag",
     .type = OPT_TEXT,
     .value = "0|free|SECONDS",
     .offset = offsetof(wall_options, lag),
     .help = "time stamp of the tracker minus that of the video for one event; free: found too; "
             "without it: free when the recording has time stamps, else 0"},
    {.name = "isotropic",
     .type = OPT_FLAG,
     .offset = offsetof(wall_options, isotropic),
     .help = "one scale for both axes of the picture"},
    {.name = "spacing-mm",
     .type = OPT_NUMBERS,
     .unit = UNIT_MM,
     .count = 2,
     .low = 0.001,
     .high = 10,
     .value = "SX,SY",
     .offset = offsetof(wall_options, spacing_mm),
     .help = "the pixel spacing in this bath, when it is known; without it it is found"},
    {.name = "temperature",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 95,
     .value = "C",
     .offset = offsetof(wall_options, temperature),
     .help = "of the water, degrees Celsius: results for tissue are given as well"},
    {.name = "speed",
     .type = OPT_NUMBER,
     .low = 1000,
     .high = 2000,
     .value = "M/S",
     .offset = offsetof(wall_options, speed),
     .help = "speed of sound in the bath, instead of --temperature"},
    {.name = "face",
     .type = OPT_NUMBER,
     .unit = UNIT_PX,
     .low = -10000,
     .high = 10000,
     .fallback = "0",
     .offset = offsetof(wall_options, face_px),
     .help = "row of the transducer's face, from which depths for tissue are stretched"},
    {.name = "force",
     .type = OPT_FLAG,
     .offset = offsetof(wall_options, force),
     .help = "give a result even when it is expected to be off by more than 2 mm"},
    RECORDING_OPTIONS(wall_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid calibrate wall floor.igs.mha --lag 0 --temperature 22 -o floor-calibrated.xml",
    "echosolid calibrate wall floor.igs.mha --json", NULL};

/* ---- the work ------------------------------------------------------------------------------ */

static bool parse_options(const wall_options *o, es_wall_options *how, double *speed,
                          es_error *err) {
    *how = (es_wall_options)ES_WALL_DEFAULTS;
    how->isotropic = o->isotropic;
    how->lag_free = !o->lag || strcmp(o->lag, "free") == 0;
    if (!how->lag_free && !(es_parse_double(o->lag, &how->lag_s) && fabs(how->lag_s) <= 10))
        return es_fail(err, ES_USAGE, "--lag %.40s: expected free or seconds, at most 10", o->lag);
    if (o->force) how->limit_mm = INFINITY;
    if (!isnan(o->spacing_mm[0])) memcpy(how->spacing_mm, o->spacing_mm, sizeof how->spacing_mm);
    if (!isnan(o->spacing_mm[0]) && o->isotropic && o->spacing_mm[0] != o->spacing_mm[1])
        return es_fail(err, ES_USAGE, "--isotropic: the two numbers of --spacing-mm differ");
    if (!isnan(o->temperature) && !isnan(o->speed))
        return es_fail(err, ES_USAGE, "give --temperature or --speed, not both");
    *speed = isnan(o->temperature) ? o->speed : es_water_speed(o->temperature);
    return true;
}

static bool write(const wall_options *o, const calibrate_input *in, const told_wall *told,
                  es_error *err) {
    return calibrate_write(in->plus, o->output, "Image", o->tool, tell_wall_matrix(told),
                           told->found->result.target_ci95_mm, err);
}

static int print(const wall_options *o, const told_wall *told) {
    if (o->common.json) return app_print_json(tell_wall_json(told));
    es_text text = {0};
    tell_wall(&text, told);
    if (o->output)
        es_text_add(&text, "%s: ImageTo%s %s\n", o->output, o->tool,
                    told->assumed ? "as in the bath" : "for tissue");
    return tell_print(&text);
}

static int run(const void *options, const char *const *files, int count) {
    const wall_options *o = options;
    calibrate_input in = {.plus = NULL};
    es_wall_outcome found = {.pictures = 0};
    told_wall told = {.found = NULL};
    es_wall_request request = {.lag_must = o->lag != NULL, .progress = app_progress(&o->common)};
    double speed_mps = NAN;
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    bool ok = parse_options(o, &request.options, &speed_mps, &err) &&
              calibrate_check_poses(&o->recording, count, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &in, &err);
    es_source *source = ok ? es_sequence_open(files[0], &err) : NULL;
    ok = source && es_wall_calibrate(source, &in.poses, &request, &found, &err);
    app_progress_end();
    if (found.lag_held && !o->lag) app_note(&o->common, "no time stamps: the lag is taken as 0");
    if (ok) told = tell_wall_make(in.transform, &found, speed_mps, o->face_px);
    ok = ok && write(o, &in, &told, &err);
    es_source_free(source);
    int status = ok ? print(o, &told) : app_fail(&err);
    es_wall_outcome_clear(&found);
    calibrate_close(&in);
    return status;
}

const command command_calibrate_wall = {
    .name = "calibrate wall",
    .summary = "ImageToProbe from sweeps over a flat floor or plate",
    .usage = "PICTURES [POSES] [options]",
    .description =
        "Hold the probe over the flat bottom of a water tank, or a plate, and for a minute rock it "
        "in the image plane, tilt it out of it, turn it about its long axis, raise, lower and "
        "slide it, about 30 degrees each way. The floor's line in every picture and the poses give "
        "ImageToProbe, the pixel spacing and the lag, each with its interval. What the motion does "
        "not determine is named, with the motion that is missing; a result that is expected to be "
        "off by more than 2 mm is refused. The reference must stay still to the floor. One plane "
        "alone cannot tell a scanner's depth error from the bath's speed of sound: give "
        "--temperature to have the spacing for tissue, which is then what --output holds.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(wall_options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run};
