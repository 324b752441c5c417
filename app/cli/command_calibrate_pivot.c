/* echosolid calibrate pivot, calibrate spin: the tip and the axis of a stylus. */
#include <math.h>

#include "calibrate.h"
#include "calibrate_tell.h"

static const double DEG = 57.295779513082321;

typedef struct pivot_options {
    common_options common;
    const char *config, *tool, *reference, *output;
    bool force;
    double min_range_deg;
    double tip_mm[3]; /* spin: where the tip is, for the sign of the axis */
} pivot_options;

#define RANGE_OPTION(least)                                                                        \
    {                                                                                              \
        .name = "min-range", .type = OPT_NUMBER, .unit = UNIT_DEG, .low = 1, .high = 180,          \
        .fallback = least, .offset = offsetof(pivot_options, min_range_deg),                       \
        .help = "refuse when the stylus turned by less"                                            \
    }

static const opt pivot_table[] = {CALIBRATE_TOOL_OPTIONS(pivot_options),
                                  RANGE_OPTION("15"),
                                  {.name = "force",
                                   .type = OPT_FLAG,
                                   .offset = offsetof(pivot_options, force),
                                   .help = "accept a residual of more than 2 mm"},
                                  {.name = NULL}};

static const opt spin_table[] = {CALIBRATE_TOOL_OPTIONS(pivot_options),
                                 RANGE_OPTION("30"),
                                 {.name = "tip",
                                  .type = OPT_NUMBERS,
                                  .unit = UNIT_MM,
                                  .count = 3,
                                  .offset = offsetof(pivot_options, tip_mm),
                                  .help = "the tip in the marker's axes: the axis points there"},
                                 {.name = NULL}};

static const char *const pivot_examples[] = {
    "echosolid calibrate pivot stylus-swing.igs.mha -o calibrated.xml",
    "echosolid calibrate pivot stylus-swing.igs.mha --tool Stylus --json", NULL};
static const char *const spin_examples[] = {
    "echosolid calibrate spin spun.igs.mha --tip 0,0,200 --json", NULL};

/* ---- pivot --------------------------------------------------------------------------- */

static void tool_name(const char *transform, char tool[ES_NAME_SIZE], char to[ES_NAME_SIZE]) {
    if (!es_transform_name_split(transform, tool, to, NULL)) tool[0] = to[0] = '\0';
}

static int print_pivot(const pivot_options *o, const calibrate_input *in,
                       const es_pivot_result *r) {
    if (o->common.json) return app_print_json(tell_pivot_json(in->transform, r));
    es_text text = {0};
    tell_pivot(&text, in->transform, r);
    return tell_print(&text);
}

static int run_pivot(const void *options, const char *const *files, int count) {
    const pivot_options *o = options;
    calibrate_input in;
    es_pivot_result result;
    es_error err = {0};
    const calibrate_how reading = {o->config, o->tool, o->reference, NULL};
    char tool[ES_NAME_SIZE], to[ES_NAME_SIZE], tip[ES_NAME_SIZE + 8];
    (void)count;
    if (!calibrate_open(&o->common, files[0], &reading, &in, &err)) return app_fail(&err);
    es_pivot_options how = ES_PIVOT_DEFAULTS;
    how.min_range_rad = o->min_range_deg / DEG;
    if (o->force) how.max_rms_mm = INFINITY;
    bool ok = es_pivot_solve(in.poses.poses, in.poses.count, &how, NULL, &result, &err);
    if (ok) {
        tool_name(in.transform, tool, to);
        snprintf(tip, sizeof tip, "%sTip", tool);
        ok = calibrate_write(in.plus, o->output, tip, tool, result.tip_to_marker, result.rms_mm,
                             &err);
    }
    int status = ok ? print_pivot(o, &in, &result) : app_fail(&err);
    calibrate_close(&in);
    return status;
}

const command command_calibrate_pivot = {
    .name = "calibrate pivot",
    .summary = "the tip of a stylus that was swung about its tip",
    .usage = "POSES [options]",
    .description =
        "Put the tip into a hole, swing the stylus to all sides for half a minute and give the "
        "recording. Finds the tip in the marker's axes with its 95 % interval; gross outliers are "
        "found and left out. Refuses when the stylus turned too little, with the range it saw. "
        "The result is StylusTip to Stylus, its z axis from the marker to the tip; -o writes it "
        "into a PLUS configuration.",
    .examples = pivot_examples,
    .options = pivot_table,
    .options_size = sizeof(pivot_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run_pivot};

/* ---- spin ---------------------------------------------------------------------------- */

static int print_spin(const pivot_options *o, const calibrate_input *in, const es_spin_result *r) {
    if (o->common.json)
        return app_print_json(json_pack(
            "{s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "transform", in->transform, "axis",
            calibrate_json_vector(r->axis), "axis_ci95_deg", app_json_number(r->ci95_rad * DEG),
            "range_deg", app_json_number(r->range_rad * DEG), "wobble_deg",
            app_json_number(r->wobble_rad * DEG), "poses", (json_int_t)r->poses, "poses_used",
            (json_int_t)r->used, "poses_rejected", (json_int_t)(r->poses - r->used)));
    printf("axis in the marker's axes  %.5f  %.5f  %.5f  +-%.2f degrees\n", r->axis.x, r->axis.y,
           r->axis.z, r->ci95_rad * DEG);
    printf("poses                      %zu used of %zu; spun %.0f degrees, wobble %.2f (RMS)\n",
           r->used, r->poses, r->range_rad * DEG, r->wobble_rad * DEG);
    return 0;
}

static int run_spin(const void *options, const char *const *files, int count) {
    const pivot_options *o = options;
    calibrate_input in;
    es_spin_result result;
    es_error err = {0};
    const calibrate_how reading = {o->config, o->tool, o->reference, NULL};
    (void)count;
    if (o->output) {
        es_fail(&err, ES_USAGE, "an axis alone is no transform: calibrate pivot writes one");
        return app_fail(&err);
    }
    if (!calibrate_open(&o->common, files[0], &reading, &in, &err)) return app_fail(&err);
    es_vec3 toward = isnan(o->tip_mm[0]) ? es_vec3_make(0, 0, 0)
                                         : es_vec3_make(o->tip_mm[0], o->tip_mm[1], o->tip_mm[2]);
    bool ok = es_spin_solve(in.poses.poses, in.poses.count, toward, o->min_range_deg / DEG, &result,
                            &err);
    int status = ok ? print_spin(o, &in, &result) : app_fail(&err);
    calibrate_close(&in);
    return status;
}

const command command_calibrate_spin = {
    .name = "calibrate spin",
    .summary = "the axis of a stylus that was spun about itself",
    .usage = "POSES [options]",
    .description =
        "Spin the stylus about its own shaft, held still otherwise. Gives the direction of the "
        "shaft in the marker's axes with its 95 % interval, and how much the shaft wobbled. "
        "--tip (from calibrate pivot) gives the axis its sign.",
    .examples = spin_examples,
    .options = spin_table,
    .options_size = sizeof(pivot_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run_spin};
