/* echosolid doctor: can the geometry of this recording be true? */
#include <string.h>
#include <sys/stat.h>

#include "checkup.h"
#include "recording.h"

typedef struct doctor_options {
    common_options common;
    const char *config, *output;
    bool fix, strict;
    double elevation, speed;
    recording_options recording;
} doctor_options;

static const opt table[] = {
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(doctor_options, config),
     .help = "PLUS device-set file with the calibration; may be examined alone, without a FILE"},
    {.name = "fix",
     .type = OPT_FLAG,
     .offset = offsetof(doctor_options, fix),
     .help = "write a copy with what can be mended safely (needs -o; the original stays)"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "FILE.igs.mha",
     .offset = offsetof(doctor_options, output),
     .help = "the mended copy"},
    {.name = "strict",
     .type = OPT_FLAG,
     .offset = offsetof(doctor_options, strict),
     .help = "exit with 1 when there is an error among the findings"},
    {.name = "elevation",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.1,
     .high = 50,
     .fallback = "3",
     .offset = offsetof(doctor_options, elevation),
     .help = "thickness of the slice: frames further apart leave gaps"},
    {.name = "speed",
     .type = OPT_NUMBER,
     .low = 1,
     .high = 1e5,
     .fallback = "200",
     .value = "MM/S",
     .offset = offsetof(doctor_options, speed),
     .help = "a probe that scans is slower than this, in mm a second"},
    RECORDING_OPTIONS(doctor_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid doctor scan.igs.mha --config scan.xml", "echosolid doctor --config scan.xml",
    "echosolid doctor scan.igs.mha --json", "echosolid doctor scan.igs.mha --fix -o mended.igs.mha",
    NULL};

/* ---- words ------------------------------------------------------------------------- */

static void print_finding(const es_finding *f) {
    printf("%-8s%s%s%s\n", es_severity_name(f->severity), f->check, f->subject[0] ? ": " : "",
           f->subject);
    printf("        seen   %s\n        cause  %s\n        fix    %s%s\n", f->evidence, f->cause,
           f->fix, f->fix_is_safe ? " (--fix does it)" : "");
}

static void print_verdict(const char *name, const es_findings *list) {
    size_t errors = app_count_findings(list, ES_SEVERITY_ERROR);
    size_t warnings = app_count_findings(list, ES_SEVERITY_WARNING);
    if (errors)
        printf("%s: its geometry cannot be trusted as it stands: %zu error%s and %zu warning%s.\n",
               name, errors, errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
    else if (warnings)
        printf("%s: usable with care: %zu warning%s.\n", name, warnings, warnings == 1 ? "" : "s");
    else
        printf("%s: nothing wrong was found.\n", name);
}

static json_t *json_of(const es_findings *list, const char *changes) {
    json_t *items = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const es_finding *f = &list->items[i];
        json_array_append_new(items,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "check", f->check,
                                        "severity", es_severity_name(f->severity), "subject",
                                        f->subject, "evidence", f->evidence, "cause", f->cause,
                                        "fix", f->fix, "fix_is_safe", f->fix_is_safe));
    }
    json_t *root = json_pack("{s:o, s:I, s:I}", "findings", items, "errors",
                             (json_int_t)app_count_findings(list, ES_SEVERITY_ERROR), "warnings",
                             (json_int_t)app_count_findings(list, ES_SEVERITY_WARNING));
    if (changes) json_object_set_new(root, "changes", json_string(changes));
    return root;
}

/* ---- the run ------------------------------------------------------------------------- */

typedef struct visit {
    es_source *source;
    es_plus *plus;
    es_doctor *doctor;
    es_findings findings;
    es_judgement spacing;
    char *changes;
} visit;

static void visit_clear(visit *v) {
    es_doctor_free(v->doctor);
    es_findings_clear(&v->findings);
    es_judgement_clear(&v->spacing);
    es_source_free(v->source);
    es_plus_free(v->plus);
    es_free(v->changes);
}

static bool is_config(const char *path) { return es_has_suffix(path, ".xml"); }

/* The copy must not be the original by another name. */
static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool check_usage(const doctor_options *o, const char *file, es_error *err) {
    if (!file && !o->config)
        return es_fail(err, ES_USAGE, "give a recording, or a configuration with --config");
    if (o->fix != (o->output != NULL))
        return es_fail(err, ES_USAGE,
                       "--fix and -o OUT go together: the original is never changed");
    if (!o->fix) return true;
    if (!file) return es_fail(err, ES_USAGE, "--fix mends a recording; a configuration is yours");
    if (same_file(file, o->output))
        return es_fail(err, ES_USAGE, "%s is the recording itself; give another name to -o",
                       o->output);
    return es_sequence_can_write(o->output, err);
}

static bool examine(const doctor_options *o, const char *file, visit *v, es_error *err) {
    es_doctor_options options = ES_DOCTOR_DEFAULTS;
    options.elevation_mm = o->elevation;
    options.speed_mm_s = o->speed;
    if (o->config && !(v->plus = es_plus_read(o->config, err))) return false;
    if (file &&
        !(v->source = app_open_recording_told(file, &o->recording, v->plus, &o->common, err)))
        return false;
    es_judge_request judge;
    es_judge_request_init(&judge);
    judge.plus = v->plus;
    judge.config = o->config ? es_path_name(o->config) : NULL;
    es_checkup checkup = {.source = v->source,
                          .plus = v->plus,
                          .plus_path = o->config,
                          .judge = v->source ? &judge : NULL,
                          .judgement = &v->spacing,
                          .options = &options,
                          .progress = app_progress(&o->common)};
    v->doctor = es_checkup_run(&checkup, &v->findings, err);
    app_progress_end();
    if (!v->doctor) return false;
    return !o->fix || es_checkup_fix(v->doctor, v->source, o->output, &v->changes, err);
}

static int report(const doctor_options *o, const char *name, const visit *v) {
    bool failed = o->strict && app_count_findings(&v->findings, ES_SEVERITY_ERROR) > 0;
    if (o->common.json) {
        int status = app_print_json(json_of(&v->findings, v->changes));
        return status ? status : failed;
    }
    for (size_t i = 0; i < v->findings.count; i++) print_finding(&v->findings.items[i]);
    if (v->changes)
        printf("%s: %s\n%s", o->output,
               v->changes[0] ? "a mended copy:" : "a copy; there was nothing to mend safely",
               v->changes);
    print_verdict(name, &v->findings);
    return failed;
}

static int run(const void *options, const char *const *files, int count) {
    doctor_options o = *(const doctor_options *)options;
    const char *file = count ? files[0] : NULL;
    es_error err = {0};
    visit v = {0};
    if (file && !o.config && is_config(file)) {
        o.config = file;
        file = NULL;
    }
    bool ok = check_usage(&o, file, &err) && examine(&o, file, &v, &err);
    int status = ok ? report(&o, file ? file : o.config, &v) : app_fail(&err);
    visit_clear(&v);
    return status;
}

const command command_doctor = {
    .name = "doctor",
    .summary = "can the geometry of a recording be true? what to do if not",
    .usage = "[FILE] [--config XML] [options]",
    .description =
        "Looks at a recording, a configuration, or both, and lists what cannot be or is not likely "
        "to be right, most severe first: each with what was seen, its likely cause and what to do. "
        "Matrices, the chain of transforms, poses and times, the pictures, and whether pictures "
        "that overlap agree. FILE may be a PLUS XML file too. The exit status is 0 with or without "
        "findings; --strict makes it 1 when there is an error. docs/doctor.md has every check with "
        "its threshold.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(doctor_options),
    .arguments_min = 0,
    .arguments_max = 1,
    .run = run};
