/* echosolid calibrate wall: ImageToProbe from sweeps over a flat floor. */
#include <math.h>
#include <string.h>

#include "calibrate.h"
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

static const double DEGREE = 0.017453292519943295;

typedef struct wall_run {
    calibrate_input in;
    es_line_list list;
    es_wall_line *lines;
    es_wall_reject *rejects; /* without a line first, then those of the fit */
    size_t line_count, reject_count;
    es_wall_result result;
    double speed_m_s; /* of the bath */
    bool assumed;     /* it was not told: water of 20 C */
    es_mat4 tissue;   /* ImageToProbe at 1540 m/s */
    double tissue_mm[2];
} wall_run;

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

/* The scanner reckons depth with 1540 m/s: in a slower bath a pixel is less
 * deep than in tissue. Across the lines of a linear array nothing changes. */
static void find_tissue(const wall_options *o, wall_run *w) {
    const es_wall_result *r = &w->result;
    es_wire_tissue_spacing(r->spacing_mm, w->speed_m_s, w->tissue_mm);
    double stretch = w->tissue_mm[1] / r->spacing_mm[1];
    es_mat4 deeper = es_mat4_scaling(1, stretch, 1);
    deeper.m[7] = o->face_px * (1 - stretch);
    w->tissue = es_mat4_multiply(r->image_to_probe, deeper);
    double across =
        0.5 * (w->tissue_mm[0] + w->tissue_mm[1]) / es_vec3_length(es_mat4_column(w->tissue, 2));
    for (int row = 0; row < 3; row++) w->tissue.m[4 * row + 2] *= across;
}

static bool choose_lag(const wall_options *o, es_wall_options *how, const wall_run *w,
                       es_error *err) {
    bool timed = w->list.timed && w->in.poses.timed;
    if (!how->lag_free || timed) return true;
    if (o->lag)
        return es_fail(err, ES_GEOMETRY,
                       "the recording has no time stamps, so no lag can be found: say --lag 0");
    app_note(&o->common, "no time stamps: the lag is taken as 0");
    how->lag_free = false;
    return true;
}

static bool solve(const wall_options *o, es_wall_options *how, wall_run *w, es_error *err) {
    size_t unseen = 0, unfit = 0;
    if (!choose_lag(o, how, w, err)) return false;
    es_pose_track *track = es_pose_list_track(&w->in.poses, err);
    bool ok =
        track && es_wall_lines(&w->list, &w->lines, &w->line_count, &w->rejects, &unseen, err);
    ok = ok && es_wall_solve(w->lines, w->line_count, track, how, &w->result, w->rejects + unseen,
                             &unfit, err);
    if (!ok && track && w->list.found < w->list.count / 2)
        es_prefix(err, "%zu of %zu pictures show a line (%s)", w->list.found, w->list.count,
                  es_line_list_reason(&w->list));
    w->reject_count = unseen + unfit;
    es_pose_track_free(track);
    w->assumed = isnan(w->speed_m_s);
    if (w->assumed) w->speed_m_s = es_water_speed(20);
    if (ok) find_tissue(o, w);
    return ok;
}

static bool write(const wall_options *o, const wall_run *w, es_error *err) {
    return calibrate_write(w->in.plus, o->output, "Image", o->tool,
                           w->assumed ? w->result.image_to_probe : w->tissue,
                           w->result.target_ci95_mm, err);
}

/* ---- the words ------------------------------------------------------------------------------- */

static json_t *json_numbers(const double *values, int count) {
    json_t *array = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(array, app_json_number(values[i]));
    return array;
}

static json_t *json_rejects(const wall_run *w) {
    json_t *array = json_array();
    for (size_t i = 0; i < w->reject_count; i++) {
        const es_wall_reject *r = &w->rejects[i];
        json_array_append_new(array, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)r->index,
                                               "step", r->step, "reason", r->reason));
    }
    return array;
}

static json_t *json_observability(const es_wall_result *r) {
    json_t *array = json_array();
    for (int k = 0; k < r->parameter_count; k++) {
        const es_wall_parameter *p = &r->parameters[k];
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:b}", "parameter", p->name, "unit",
                                               p->unit, "ci95", app_json_number(p->ci95),
                                               "determined", p->determined));
    }
    return array;
}

static json_t *json_missing(const es_wall_result *r) {
    json_t *array = json_array();
    for (int k = 0; k < r->missing_count; k++)
        json_array_append_new(array, json_string(es_wall_motion_text(r->missing[k])));
    return array;
}

static json_t *wall_json(const wall_run *w) {
    const es_wall_result *r = &w->result;
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "image_to_probe",
        calibrate_json_matrix(r->image_to_probe), "spacing_mm", json_numbers(r->spacing_mm, 2),
        "spacing_ci95_mm", json_numbers(r->spacing_ci95_mm, 2), "lag_s", app_json_number(r->lag_s),
        "lag_ci95_s", app_json_number(r->lag_ci95_s), "translation_ci95_mm",
        json_numbers(r->translation_ci95_mm, 3), "rotation_ci95_rad",
        json_numbers(r->rotation_ci95_rad, 3), "rms_mm", app_json_number(r->rms_mm),
        "target_ci95_mm", app_json_number(r->target_ci95_mm), "condition",
        app_json_number(r->condition), "frames_used", (json_int_t)r->frames_used, "frames_rejected",
        json_rejects(w), "observability", json_observability(r), "missing_motions",
        json_missing(r));
    json_object_set_new(
        root, "motion",
        json_pack("{s:o, s:o, s:o, s:o}", "rock_deg", app_json_number(r->rock_rad / DEGREE),
                  "tilt_deg", app_json_number(r->tilt_rad / DEGREE), "raise_mm",
                  app_json_number(r->raise_mm), "slide_mm", app_json_number(r->slide_mm)));
    json_object_set_new(root, "floor",
                        json_pack("{s:o, s:o}", "normal", calibrate_json_vector(r->floor_normal),
                                  "distance_mm", app_json_number(r->floor_mm)));
    json_object_set_new(root, "transform", json_string(w->in.transform));
    json_object_set_new(root, "speed_m_s", app_json_number(w->speed_m_s));
    json_object_set_new(root, "bath_speed_assumed", json_boolean(w->assumed));
    json_object_set_new(root, "spacing_tissue_mm", json_numbers(w->tissue_mm, 2));
    json_object_set_new(root, "image_to_probe_tissue", calibrate_json_matrix(w->tissue));
    return root;
}

static void print_motion(const es_wall_result *r) {
    printf("motion         rocked %.0f, tilted %.0f degrees, raised %.0f mm, slid %.0f mm\n",
           r->rock_rad / DEGREE, r->tilt_rad / DEGREE, r->raise_mm, r->slide_mm);
    for (int k = 0; k < r->parameter_count; k++)
        if (!r->parameters[k].determined)
            printf("NOT DETERMINED %s: +- %.2g %s\n", r->parameters[k].name, r->parameters[k].ci95,
                   r->parameters[k].unit);
    for (int k = 0; k < r->missing_count; k++)
        printf("next           record again and also %s\n", es_wall_motion_text(r->missing[k]));
}

static int print(const wall_options *o, const wall_run *w) {
    const es_wall_result *r = &w->result;
    if (o->common.json) return app_print_json(wall_json(w));
    calibrate_print_matrix("ImageToProbe (as in the bath)", r->image_to_probe);
    printf("spacing        %.5f +- %.5f, %.5f +- %.5f mm (95 %%) in the bath\n", r->spacing_mm[0],
           r->spacing_ci95_mm[0], r->spacing_mm[1], r->spacing_ci95_mm[1]);
    printf("tissue         %.5f, %.5f mm at 1540 m/s (%s: %.1f m/s; linear array; face in row "
           "%g)\n",
           w->tissue_mm[0], w->tissue_mm[1],
           w->assumed ? "no --temperature or --speed, so water of 20 C" : "bath", w->speed_m_s,
           o->face_px);
    printf("lag            %+.4f s +- %.4f (95 %%)\n", r->lag_s, r->lag_ci95_s);
    printf("expected miss  within %.2f mm (95 %%) of a point where the lines lie; %.2f mm left in "
           "%zu pictures\n",
           r->target_ci95_mm, r->rms_mm, r->frames_used);
    printf("left out       %zu of %zu pictures\n", w->reject_count, w->list.count);
    print_motion(r);
    if (r->target_ci95_mm > 1)
        printf("WARNING        more than 1 mm: good enough for a first look only\n");
    if (o->output)
        printf("%s: ImageTo%s %s\n", o->output, o->tool,
               w->assumed ? "as in the bath" : "for tissue");
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    const wall_options *o = options;
    wall_run w = {.reject_count = 0};
    es_wall_options how;
    es_error err = {0};
    calibrate_how reading = {o->config, o->tool, o->reference, &o->recording};
    bool ok = parse_options(o, &how, &w.speed_m_s, &err) &&
              calibrate_check_poses(&o->recording, count, &err) &&
              calibrate_open(&o->common, files[count - 1], &reading, &w.in, &err);
    es_source *source = ok ? es_sequence_open(files[0], &err) : NULL;
    ok = source && es_line_list_read(source, app_progress(&o->common), &w.list, &err) &&
         solve(o, &how, &w, &err) && write(o, &w, &err);
    es_source_free(source);
    app_progress_end();
    int status = ok ? print(o, &w) : app_fail(&err);
    es_free(w.lines);
    es_free(w.rejects);
    es_line_list_clear(&w.list);
    calibrate_close(&w.in);
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
