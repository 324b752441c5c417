/* echosolid calibrate landmarks: where a phantom lies, from its touched
 * landmarks. */
#include <math.h>
#include <string.h>

#include "calibrate_tell.h"

typedef struct landmark_options {
    common_options common;
    const char *config, *tool, *reference, *output, *points;
    double tolerance_mm, target_mm[3], still_s, still_mm;
} landmark_options;

static const opt table[] = {
    CALIBRATE_TOOL_OPTIONS(landmark_options),
    {.name = "points",
     .type = OPT_TEXT,
     .offset = offsetof(landmark_options, points),
     .help = "touched points, .fcsv or .mrk.json, instead of a recording's stops"},
    {.name = "tolerance",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.01,
     .high = 50,
     .fallback = "3",
     .offset = offsetof(landmark_options, tolerance_mm),
     .help = "a touched point belongs to a landmark within this"},
    {.name = "still-time",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0.05,
     .high = 60,
     .fallback = "1",
     .offset = offsetof(landmark_options, still_s),
     .help = "the tip stays on a landmark at least this long"},
    {.name = "still-radius",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.01,
     .high = 20,
     .fallback = "1",
     .offset = offsetof(landmark_options, still_mm),
     .help = "and within this of one place (RMS)"},
    {.name = "target",
     .type = OPT_NUMBERS,
     .unit = UNIT_MM,
     .count = 3,
     .offset = offsetof(landmark_options, target_mm),
     .help = "place in the phantom for the expected error; without it: the wires' middle, else "
             "the landmarks'"},
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid calibrate landmarks touches.igs.mha --config phantom.xml -o registered.xml",
    "echosolid calibrate landmarks --points touched.fcsv --config phantom.xml --json", NULL};

typedef struct landmark_run {
    calibrate_input in;
    es_points landmarks, touched;
    es_dwell *dwells;
    size_t dwell_count;
    es_landmark_result result;
} landmark_run;

/* ---- the touched points ------------------------------------------------------------------ */

/* "Stylus" -> "StylusTip" when the configuration knows the tip. */
static bool choose_tip(const es_plus *plus, const char *tool, char tip[ES_NAME_SIZE + 8],
                       es_error *err) {
    es_plus_transform t;
    snprintf(tip, ES_NAME_SIZE + 8, "%sTip", tool);
    for (size_t i = 0; i < es_plus_transform_count(plus); i++)
        if (es_plus_transform_get(plus, i, &t, NULL) &&
            (strcmp(t.from, tip) == 0 || strcmp(t.to, tip) == 0))
            return true;
    return es_fail(err, ES_GEOMETRY,
                   "the configuration has no %s to %s: run calibrate pivot first and give its "
                   "result as --config",
                   tip, tool);
}

static bool find_stops(const landmark_options *o, landmark_run *run, es_error *err) {
    const es_pose_list *list = &run->in.poses;
    es_vec3 *tips = es_alloc(list->count, sizeof *tips, err);
    es_dwell_options still = ES_DWELL_DEFAULTS;
    if (!tips) return false;
    still.least_s = o->still_s;
    still.radius_mm = o->still_mm;
    for (size_t i = 0; i < list->count; i++)
        tips[i] = es_mat4_point(list->poses[i], es_vec3_make(0, 0, 0));
    bool ok = es_dwells_find(list->times_s, tips, list->count, &still, &run->dwells,
                             &run->dwell_count, err);
    es_free(tips);
    return ok;
}

static bool read_recording(const landmark_options *o, const char *file, landmark_run *run,
                           es_error *err) {
    char tool[ES_NAME_SIZE], to[ES_NAME_SIZE], tip[ES_NAME_SIZE + 8],
        transform[2 * ES_NAME_SIZE + 8];
    es_source *source = es_sequence_open(file, err);
    bool ok = source && es_pose_list_choose(source, o->tool, o->reference, transform, err) &&
              es_transform_name_split(transform, tool, to, err) &&
              choose_tip(run->in.plus, tool, tip, err);
    if (ok) snprintf(run->in.transform, sizeof run->in.transform, "%.127sTo%.120s", tip, to);
    ok = ok && es_pose_list_read(source, run->in.plus, run->in.transform, &run->in.poses, err) &&
         (run->in.poses.timed ||
          es_fail(err, ES_GEOMETRY, "%s: has no times: stops cannot be found; give --points",
                  es_path_name(file))) &&
         find_stops(o, run, err);
    es_source_free(source);
    return ok;
}

static bool gather(const landmark_options *o, const char *file, landmark_run *run, es_error *err) {
    if (!o->config)
        return es_fail(err, ES_USAGE, "--config XML with the phantom's Landmarks is needed");
    if ((file != NULL) == (o->points != NULL))
        return es_fail(err, ES_USAGE, "give a recording or --points, one of the two");
    run->in.plus = es_plus_read(o->config, err);
    if (!run->in.plus || !es_plus_landmarks(run->in.plus, &run->landmarks, err)) return false;
    if (run->landmarks.count == 0)
        return es_fail(err, ES_GEOMETRY, "%s: has no PhantomDefinition/Geometry/Landmarks",
                       o->config);
    return file ? read_recording(o, file, run, err) : es_points_read(o->points, &run->touched, err);
}

/* ---- solving ------------------------------------------------------------------------------- */

/* The middle of the wires' ends, where the calibration will be used. */
static es_vec3 choose_target(const landmark_options *o, const landmark_run *run) {
    static const char path[] = "PhantomDefinition/Geometry/Pattern/Wire";
    static const char *const ends[] = {"EndPointFront", "EndPointBack"};
    if (!isnan(o->target_mm[0]))
        return es_vec3_make(o->target_mm[0], o->target_mm[1], o->target_mm[2]);
    es_vec3 sum = {0, 0, 0};
    double count = 0, at[3];
    for (size_t i = 0; i < 2 * es_plus_element_count(run->in.plus, path); i++) {
        char *text = es_plus_attribute(run->in.plus, path, i / 2, ends[i % 2], NULL);
        if (text && es_parse_doubles(text, at, 3) == 3) {
            sum = es_vec3_add(sum, es_vec3_make(at[0], at[1], at[2]));
            count++;
        }
        es_free(text);
    }
    for (size_t i = 0; i < run->landmarks.count && count < i + 1; i++) {
        sum = es_vec3_add(sum, run->landmarks.items[i].at_mm);
        if (i + 1 == run->landmarks.count) count = (double)run->landmarks.count;
    }
    return es_vec3_scale(sum, 1 / count);
}

static bool solve(const landmark_options *o, landmark_run *run, es_error *err) {
    size_t n = run->landmarks.count, m = run->dwell_count + run->touched.count;
    es_vec3 *at = es_alloc(n + m, sizeof *at, err);
    if (!at) return false;
    for (size_t i = 0; i < n; i++) at[i] = run->landmarks.items[i].at_mm;
    for (size_t i = 0; i < m; i++)
        at[n + i] = run->dwells ? run->dwells[i].mean_mm : run->touched.items[i].at_mm;
    bool ok = es_landmarks_solve(at, n, at + n, m, choose_target(o, run), o->tolerance_mm,
                                 &run->result, err);
    es_free(at);
    return ok;
}

/* ---- saying it ------------------------------------------------------------------------------ */

static json_t *landmark_json(const landmark_run *run) {
    const es_landmark_result *r = &run->result;
    json_t *list = json_array();
    for (size_t i = 0; i < r->landmarks; i++) {
        json_t *one = json_pack("{s:s, s:i, s:o}", "name", run->landmarks.items[i].name, "point",
                                r->point_of[i], "error_mm", app_json_number(r->error_mm[i]));
        if (run->dwells && r->point_of[i] >= 0) {
            const es_dwell *d = &run->dwells[r->point_of[i]];
            json_object_set_new(one, "first_s", json_real(d->first_s));
            json_object_set_new(one, "last_s", json_real(d->last_s));
            json_object_set_new(one, "at_mm", calibrate_json_vector(d->mean_mm));
        }
        json_array_append_new(list, one);
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:b, s:o}", "phantom_to_reference",
                     calibrate_json_matrix(r->phantom_to_reference), "fre_mm",
                     app_json_number(r->fre_mm), "mean_error_mm", app_json_number(r->mean_mm),
                     "fle_mm", app_json_number(r->fle_mm), "tre_mm", app_json_number(r->tre_mm),
                     "landmarks_defined", (json_int_t)r->landmarks, "landmarks_found",
                     (json_int_t)r->touched, "points",
                     (json_int_t)(run->dwell_count + run->touched.count), "in_order", r->in_order,
                     "landmarks", list);
}

static int print(const landmark_options *o, const landmark_run *run) {
    const es_landmark_result *r = &run->result;
    if (o->common.json) return app_print_json(landmark_json(run));
    if (run->dwells) printf("stops          %zu in the recording\n", run->dwell_count);
    printf("landmarks      %zu found of %zu%s\n", r->touched, r->landmarks,
           r->in_order ? "" : "; touched in ANOTHER ORDER than the configuration lists them");
    for (size_t i = 0; i < r->landmarks; i++)
        if (r->point_of[i] >= 0)
            printf("  %-10s %s %-3d error %.3f mm\n", run->landmarks.items[i].name,
                   run->dwells ? "stop " : "point", r->point_of[i] + 1, r->error_mm[i]);
        else
            printf("  %-10s not touched\n", run->landmarks.items[i].name);
    printf("FRE            %.3f mm RMS, %.3f mm mean\n", r->fre_mm, r->mean_mm);
    printf("expected error %.3f mm at the target\n", r->tre_mm);
    tell_print_matrix("phantom to reference:", r->phantom_to_reference);
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    const landmark_options *o = options;
    landmark_run run = {.dwells = NULL};
    es_error err = {0};
    bool ok = gather(o, count ? files[0] : NULL, &run, &err) && solve(o, &run, &err) &&
              calibrate_write(run.in.plus, o->output, "Phantom",
                              o->reference ? o->reference : "Reference",
                              run.result.phantom_to_reference, run.result.fre_mm, &err);
    int status = ok ? print(o, &run) : app_fail(&err);
    es_free(run.dwells);
    es_points_clear(&run.landmarks);
    es_points_clear(&run.touched);
    calibrate_close(&run.in);
    return status;
}

const command command_calibrate_landmarks = {
    .name = "calibrate landmarks",
    .summary = "where a phantom lies, from its touched landmarks",
    .usage = "[POSES] --config XML [options]",
    .description =
        "Touch the phantom's landmarks one after another and rest a second on each. The stops are "
        "found by themselves, in any order and with others among them, and matched with the "
        "landmarks of the configuration by their distances; a mirrored set is recognised and "
        "refused. Gives Phantom to Reference with the error of each landmark (FRE) and the error "
        "to expect at a target (TRE).",
    .examples = examples,
    .options = table,
    .options_size = sizeof(landmark_options),
    .arguments_min = 0,
    .arguments_max = 1,
    .run = run};
