/* echosolid calibrate, without a method: what a recording permits. */
#include <math.h>
#include <string.h>

#include "calibrate.h"

typedef struct survey_options {
    common_options common;
    const char *config, *tool, *reference;
} survey_options;

static const opt table[] = {
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(survey_options, config),
     .help = "PLUS configuration with the fixed transforms and the phantom"},
    {.name = "tool",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "Probe",
     .offset = offsetof(survey_options, tool),
     .help = "the tracked marker on the probe"},
    {.name = "reference",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(survey_options, reference),
     .help = "what poses are taken to; without it: Reference, else Tracker"},
    {.name = NULL}};

static const char *const examples[] = {"echosolid calibrate tank.igs.mha",
                                       "echosolid calibrate floor.igs.mha --json", NULL};

static const double DEGREE = 0.017453292519943295;

static json_t *json_methods(const es_calibration_survey *s) {
    json_t *array = json_array();
    for (int k = 0; k < s->method_count; k++) {
        const es_method_verdict *v = &s->methods[k];
        json_array_append_new(array,
                              json_pack("{s:s, s:b, s:s, s:s}", "method", v->method, "possible",
                                        v->possible, "found", v->found, "missing", v->missing));
    }
    return array;
}

static json_t *json_three(const double v[3], double unit) {
    return json_pack("[o, o, o]", app_json_number(v[0] / unit), app_json_number(v[1] / unit),
                     app_json_number(v[2] / unit));
}

static json_t *survey_json(const es_calibration_survey *s) {
    json_t *tools = json_array();
    for (int k = 0; k < s->tools.count; k++)
        json_array_append_new(tools, json_string(s->tools.names[k]));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:b, s:o, s:o, s:I, s:I, s:o}", "pictures",
        (json_int_t)s->pictures, "pictures_with_line", (json_int_t)s->with_line,
        "looked_at_for_dots", (json_int_t)s->looked_at, "with_dots", (json_int_t)s->with_dots,
        "poses", (json_int_t)s->poses, "poses_valid", (json_int_t)s->placed, "tools", tools,
        "transform", s->transform, "timed", s->timed, "moved_mm", json_three(s->moved_mm, 1),
        "turned_deg", json_three(s->turned_rad, DEGREE), "landmarks", (json_int_t)s->landmarks,
        "wires", (json_int_t)s->wires, "methods", json_methods(s));
}

static void print_recording(const es_calibration_survey *s) {
    printf("pictures       %zu, %zu with a straight line; dots in %zu of %zu that were looked at\n",
           s->pictures, s->with_line, s->with_dots, s->looked_at);
    printf("tools          ");
    for (int k = 0; k < s->tools.count; k++) printf("%s%s", k ? ", " : "", s->tools.names[k]);
    printf("%s\n", s->tools.count ? "" : "none");
    if (!s->transform[0]) return;
    printf("probe          %zu of %zu poses as %s, %s\n", s->placed, s->poses, s->transform,
           s->timed ? "with times" : "without times");
    printf("motion         %.0f, %.0f, %.0f mm and %.0f, %.0f, %.0f degrees along its main axes "
           "(standard deviations)\n",
           s->moved_mm[0], s->moved_mm[1], s->moved_mm[2], s->turned_rad[0] / DEGREE,
           s->turned_rad[1] / DEGREE, s->turned_rad[2] / DEGREE);
    if (s->wires || s->landmarks)
        printf("phantom        %zu wires, %zu landmarks\n", s->wires, s->landmarks);
}

/* The most accurate way to ImageToProbe that is open; NULL: none. */
static const char *best_method(const es_calibration_survey *s) {
    static const char *const ways[] = {"nwire", "wall", "self"};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        for (int k = 0; k < s->method_count; k++)
            if (s->methods[k].possible && strcmp(s->methods[k].method, ways[w]) == 0)
                return ways[w];
    return NULL;
}

static void print_next(const es_calibration_survey *s) {
    const char *method = best_method(s);
    if (method)
        printf("next           echosolid calibrate %s, with the same files and options\n", method);
    else if (!s->transform[0] && s->pictures > 0)
        printf("next           the poses of the probe are missing: echosolid calibrate PICTURES "
               "POSES takes them from a second recording, --tool names another marker\n");
    else if (2 * s->with_dots > s->looked_at && 2 * s->with_line < s->pictures)
        printf("next           the pictures show dots. If these are the wires of a phantom: "
               "--config with its definition, or echosolid calibrate nwire --phantom NAME\n");
    else
        printf("next           nothing here gives ImageToProbe. Without a phantom: record the flat "
               "bottom of a water tank for a minute while you rock, tilt, turn, raise and slide "
               "the probe, then echosolid calibrate wall\n");
}

static int print(const survey_options *o, const es_calibration_survey *s) {
    if (o->common.json) return app_print_json(survey_json(s));
    print_recording(s);
    for (int k = 0; k < s->method_count; k++) {
        const es_method_verdict *v = &s->methods[k];
        printf("%-14s %s: %s\n", v->method, v->possible ? "yes" : "no",
               v->possible ? v->found : v->missing);
    }
    print_next(s);
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    const survey_options *o = options;
    es_calibration_survey survey;
    es_error err = {0};
    es_plus *plus = NULL;
    es_source *pictures = NULL, *poses = NULL;
    bool ok = !o->config || (plus = es_plus_read(o->config, &err));
    ok = ok && (pictures = es_sequence_open(files[0], &err)) &&
         (poses = es_sequence_open(files[count - 1], &err));
    const es_survey_request request = {.pictures = pictures,
                                       .poses = poses,
                                       .plus = plus,
                                       .tool = o->tool,
                                       .reference = o->reference,
                                       .progress = app_progress(&o->common)};
    ok = ok && es_calibration_survey_read(&request, &survey, &err);
    app_progress_end();
    int status = ok ? print(o, &survey) : app_fail(&err);
    es_source_free(poses);
    es_source_free(pictures);
    es_plus_free(plus);
    return status;
}

const command command_calibrate = {
    .name = "calibrate",
    .summary = "which calibrations a recording permits, and what is missing",
    .usage = "PICTURES [POSES] [options]",
    .description =
        "Looks at the pictures (a straight line, dots, neither), at the poses of every tool and at "
        "the phantom of the configuration, tries the methods that work on the recording alone, and "
        "says what each of them gives or what it misses. The methods: nwire, wall, self, lag, "
        "pivot, "
        "spin, landmarks; echosolid calibrate METHOD --help tells more.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(survey_options),
    .arguments_min = 1,
    .arguments_max = 2,
    .run = run};
