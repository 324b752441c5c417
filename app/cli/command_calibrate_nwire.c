/* echosolid calibrate nwire: ImageToProbe from pictures of an N-wire phantom. */
#include <math.h>
#include <string.h>

#include "calibrate.h"
#include "calibrate_tell.h"

enum { SHEET = 6, TILE = 480 };
static const double WARNED_MM = 1;

typedef struct nwire_options {
    common_options common;
    const char *config, *validation, *lag, *phantom, *phantom_to_reference, *tool, *reference,
        *output, *report, *picture;
    bool isotropic, force;
    double temperature, speed, max_gap_s;
    recording_options recording;
} nwire_options;

static const opt table[] = {
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(nwire_options, config),
     .help = "PLUS configuration with PhantomDefinition and Phantom to Reference"},
    {.name = "validation",
     .letter = 'v',
     .type = OPT_TEXT,
     .value = "FILE",
     .offset = offsetof(nwire_options, validation),
     .help = "a second recording, or a results file, to judge by; without it blocks of time are "
             "left out in turn"},
    {.name = "lag",
     .type = OPT_TEXT,
     .value = "free|SECONDS",
     .offset = offsetof(nwire_options, lag),
     .help = "the tracker's time stamp minus the video's for one event: found (free), or given; "
             "without it free where there are time stamps, else 0"},
    {.name = "isotropic",
     .type = OPT_FLAG,
     .offset = offsetof(nwire_options, isotropic),
     .help = "one pixel spacing for both directions"},
    {.name = "phantom",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(nwire_options, phantom),
     .help = "a known phantom instead of the configuration's: fcal-1.0, fcal-1.2, fcal-2.0, or "
             "printed-linear, printed-curved, printed-endocavity as echosolid phantom makes them"},
    {.name = "phantom-to-reference",
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(nwire_options, phantom_to_reference),
     .help = "take Phantom to Reference from here, as calibrate landmarks -o writes it"},
    {.name = "tool",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "Probe",
     .offset = offsetof(nwire_options, tool),
     .help = "the tracked marker on the probe"},
    {.name = "reference",
     .type = OPT_TEXT,
     .value = "NAME",
     .fallback = "Reference",
     .offset = offsetof(nwire_options, reference),
     .help = "the marker on the phantom"},
    {.name = "max-gap",
     .type = OPT_NUMBER,
     .unit = UNIT_S,
     .low = 0.001,
     .high = 60,
     .fallback = "0.5s",
     .offset = offsetof(nwire_options, max_gap_s),
     .help = "do not bridge poses that are further apart"},
    {.name = "temperature",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 95,
     .value = "CELSIUS",
     .offset = offsetof(nwire_options, temperature),
     .help = "of the water bath, for its speed of sound"},
    {.name = "speed",
     .type = OPT_NUMBER,
     .low = 300,
     .high = 5000,
     .value = "M/S",
     .offset = offsetof(nwire_options, speed),
     .help = "speed of sound in the bath, when it is not plain water"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(nwire_options, output),
     .help = "write Image to Probe into a copy of the configuration"},
    {.name = "report",
     .type = OPT_TEXT,
     .value = "HTML",
     .offset = offsetof(nwire_options, report),
     .help = "write what was done, with pictures of the dots and errors of all kinds; also when "
             "there is no result: then why, and what to do next"},
    {.name = "picture",
     .type = OPT_TEXT,
     .value = "PNG",
     .offset = offsetof(nwire_options, picture),
     .help = "write some pictures with the found dots"},
    {.name = "force",
     .type = OPT_FLAG,
     .offset = offsetof(nwire_options, force),
     .help = "give and write a result that is worse than 2 mm, with a warning; what is refused for "
             "another reason (no motion, frozen poses, wires not found, not determined) stays so"},
    RECORDING_OPTIONS(nwire_options, recording),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid calibrate nwire wires.igs.mha --config wires.xml -o calibrated.xml --json",
    "echosolid calibrate nwire wires.igs.mha --validation check.igs.mha --config wires.xml "
    "--report calibration.html",
    NULL};

typedef struct nwire_run {
    const nwire_options *o;
    const char *file;
    es_plus *plus;
    es_wire_phantom phantom;
    es_wire_options how;
    es_wire_recording calibration, validation;
    es_wire_outcome outcome;
    es_mat4 earlier;
    bool has_earlier, lag_chosen;
    double speed_mps;
} nwire_run;

/* ---- what is given --------------------------------------------------------------------- */

static bool read_phantom(nwire_run *r, es_error *err) {
    const nwire_options *o = r->o;
    if (o->phantom) return es_wire_phantom_named(o->phantom, &r->phantom, err);
    if (!r->plus)
        return es_fail(err, ES_USAGE,
                       "which phantom? give --config XML with a PhantomDefinition, or --phantom");
    return es_wire_phantom_read(r->plus, &r->phantom, err);
}

static bool read_place(nwire_run *r, es_error *err) {
    const nwire_options *o = r->o;
    const char *file = o->phantom_to_reference ? o->phantom_to_reference : o->config;
    es_plus *other = o->phantom_to_reference ? es_plus_read(file, err) : NULL;
    if (o->phantom_to_reference && !other) return false;
    const es_plus *from = other ? other : r->plus;
    bool ok = from != NULL;
    if (!ok)
        es_fail(err, ES_USAGE,
                "where does the phantom lie? give --config or "
                "--phantom-to-reference, as calibrate landmarks -o writes it");
    else if (!(ok = es_plus_between(from, "Phantom", o->reference, &r->how.phantom_to_reference,
                                    err)))
        es_prefix(err, "%s: where the phantom lies (calibrate landmarks finds it)", file);
    es_plus_free(other);
    return ok;
}

static bool read_lag(nwire_run *r, es_error *err) {
    const char *lag = r->o->lag;
    r->how.lag_free = lag && strcmp(lag, "free") == 0;
    if (!lag || r->how.lag_free) return true;
    return (es_parse_double(lag, &r->how.lag_s) && fabs(r->how.lag_s) <= 10) ||
           es_fail(err, ES_USAGE, "--lag %s: expected free, or seconds from -10 to 10", lag);
}

static bool read_setup(nwire_run *r, es_error *err) {
    const nwire_options *o = r->o;
    r->how.isotropic = o->isotropic;
    r->how.max_gap_s = o->max_gap_s;
    if (!isnan(o->temperature) && !isnan(o->speed))
        return es_fail(err, ES_USAGE, "give --temperature or --speed, one of the two");
    r->speed_mps = !isnan(o->temperature) ? es_water_speed(o->temperature) : o->speed;
    if (o->config && !(r->plus = es_plus_read(o->config, err))) return false;
    if (!read_lag(r, err) || !read_phantom(r, err) || !es_wire_match_check(&r->phantom, err) ||
        !read_place(r, err))
        return false;
    r->has_earlier = r->plus && es_plus_between(r->plus, "Image", o->tool, &r->earlier, NULL);
    return true;
}

/* ---- recordings ---------------------------------------------------------------------------- */

static bool is_xml(const char *file) {
    size_t n = strlen(file);
    return n > 4 && strcmp(file + n - 4, ".xml") == 0;
}

/* A recording, or a part of a results file, whose tree must outlive it. The table of
 * poses is that of the first recording; the second carries its own. */
static es_source *open_either(const nwire_run *r, const char *file, const char *part,
                              es_plus **results, es_error *err) {
    static const recording_options none = {.time_offset = NAN, .fps = NAN};
    const recording_options *poses = file == r->file ? &r->o->recording : &none;
    if (!is_xml(file)) return app_open_recording_told(file, poses, r->plus, &r->o->common, err);
    *results = es_plus_read(file, err);
    return *results ? es_plus_results_open(*results, part, err) : NULL;
}

static bool read_recording(nwire_run *r, const char *file, const char *part,
                           es_wire_recording *recording, es_error *err) {
    char pose[2 * ES_NAME_SIZE];
    es_plus *results = NULL;
    snprintf(pose, sizeof pose, "%.120sTo%.120s", r->o->tool, r->o->reference);
    es_source *source = open_either(r, file, part, &results, err);
    bool ok = source && (es_wire_recording_read(source, r->plus, pose, &r->phantom,
                                                app_progress(&r->o->common), recording, err) ||
                         es_prefix(err, "%s", es_path_name(file)));
    app_progress_end();
    es_source_free(source);
    es_plus_free(results);
    return ok;
}

static bool calibrate(nwire_run *r, es_error *err) {
    const nwire_options *o = r->o;
    if (!read_recording(r, r->file, "CalibrationData", &r->calibration, err) ||
        (o->validation && !read_recording(r, o->validation, "ValidationData", &r->validation, err)))
        return false;
    if (!o->lag) {
        r->how.lag_free = r->calibration.poses.timed;
        app_note(&o->common, r->how.lag_free ? "the lag is found too (--lag 0 holds it)"
                                             : "no time stamps: the lag is taken as 0");
    }
    return es_wire_calibrate(&r->phantom, &r->calibration, o->validation ? &r->validation : NULL,
                             &r->how, &r->outcome, err);
}

/* ---- what is written --------------------------------------------------------------------------
 */

static bool draw_sheet(nwire_run *r, es_source *source, es_image *sheet, es_error *err) {
    const es_wire_recording *c = &r->calibration;
    double tall = TILE * c->height / c->width;
    es_frame frame = {0};
    es_image tile = {0};
    bool end = false;
    size_t shown = 0, step = c->count > SHEET ? c->count / SHEET : 1;
    bool ok = es_picture_new(sheet, 3 * TILE, (uint32_t)(2 * tall), (es_colour){0, 0, 0}, err);
    for (size_t k = 0; k < c->count && shown < SHEET && ok && !end; k++) {
        bool wanted = k % step == 0;
        ok = es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end || !wanted || !frame.has_image) continue;
        ok = es_wire_picture(&frame.image, &c->frames[k], &c->spots[k], TILE, &tile, err);
        if (ok) es_picture_paste(sheet, &tile, (int)(shown % 3) * TILE, (int)(shown / 3 * tall));
        shown++;
    }
    es_frame_clear(&frame);
    es_image_clear(&tile);
    return ok;
}

static bool write_picture(nwire_run *r, es_error *err) {
    es_image sheet = {0};
    if (!r->o->picture) return true;
    if (!r->calibration.spots)
        return es_fail(err, ES_USAGE, "--picture: %s has no pictures", es_path_name(r->file));
    es_source *source = es_sequence_open(r->file, err);
    bool ok =
        source && draw_sheet(r, source, &sheet, err) && es_png_write(r->o->picture, &sheet, err);
    es_source_free(source);
    es_image_clear(&sheet);
    return ok;
}

/* Title, summary, what it was made of and with. */
static bool begin_report(nwire_run *r, es_report *report, const char *summary, es_error *err) {
    const nwire_options *o = r->o;
    const char *inputs[] = {r->file, o->validation, o->config};
    app_origin origin = {.options = NULL};
    bool ok = app_origin_make(&origin, &command_calibrate_nwire, o, inputs, 3, err);
    if (ok) {
        es_report_summary(report, summary);
        es_report_option(report, "options", origin.options);
        for (int i = 0; i < origin.input_count; i++)
            es_report_input(report, origin.inputs[i], origin.digests[i]);
    }
    app_origin_clear(&origin);
    return ok;
}

/* `refused`: why there is no result; NULL when there is one. */
static bool write_report(nwire_run *r, const char *refused, es_error *err) {
    const nwire_options *o = r->o;
    if (!o->report) return true;
    es_report *report = es_report_new("N-wire calibration", err);
    es_source *source = r->calibration.spots ? es_sequence_open(r->file, err) : NULL;
    es_wire_about about = {.phantom = &r->phantom,
                           .calibration = &r->calibration,
                           .outcome = &r->outcome,
                           .options = &r->how,
                           .earlier = r->has_earlier ? &r->earlier : NULL,
                           .speed_mps = r->speed_mps,
                           .source = source};
    bool ok = report && (source || !r->calibration.spots) &&
              begin_report(r, report, refused ? "There is no result." : r->outcome.next, err) &&
              (refused ? es_wire_report_failure(report, &about, refused, err)
                       : es_wire_report(report, &about, err)) &&
              es_report_write_html(report, o->report, err);
    es_source_free(source);
    es_report_free(report);
    return ok;
}

/* The refusal stays what is said; a report that fails as well is a note. */
static void report_failure(nwire_run *r, const es_error *why) {
    es_error also = {0};
    if (why->code == ES_USAGE || why->code == ES_CANCELLED) return;
    if (!write_report(r, why->message, &also))
        es_log(ES_WARNING, "the report could not be written: %s", also.message);
    else if (r->o->report)
        app_note(&r->o->common, "%s: what was seen, and why there is no result",
                 es_path_name(r->o->report));
    if (r->o->picture && r->calibration.spots) write_picture(r, NULL);
}

/* ---- what is said ------------------------------------------------------------------------------
 */

static int print(const nwire_run *r) {
    const es_wire_recording *c = &r->calibration;
    const told_nwire told = {.outcome = &r->outcome,
                             .count = c->count,
                             .middle_px = {c->middle_px[0], c->middle_px[1]},
                             .lag_free = r->how.lag_free,
                             .speed_mps = r->speed_mps,
                             .earlier = r->has_earlier ? &r->earlier : NULL};
    if (r->o->common.json) return app_print_json(tell_nwire_json(&told));
    es_text text = {0};
    tell_nwire(&text, &told);
    return tell_print(&text);
}

/* ---- the command ----------------------------------------------------------------------------- */

/* --force lets a bad figure pass, nothing else: what es_wire_calibrate refuses
 * has no result to give. */
static bool judge(const nwire_run *r, es_error *err) {
    double m95 = r->outcome.validation.m95_mm, ci = r->outcome.result.target_ci95_mm;
    es_error why = {0};
    if (r->outcome.two_lags) es_log(ES_WARNING, "%s", r->outcome.next);
    if (es_wire_judge(&r->outcome, &why)) {
        if (m95 > WARNED_MM || ci > WARNED_MM)
            es_log(ES_WARNING,
                   "the error is %.2f mm, a deep point sure to +-%.2f mm; below 1 mm "
                   "is usual",
                   m95, ci);
        return true;
    }
    if (!r->o->force) return es_fail(err, why.code, "%s", why.message);
    es_log(ES_WARNING, "given by --force: %s", why.message);
    return true;
}

static bool write_result(nwire_run *r, es_error *err) {
    return calibrate_write(r->plus, r->o->output, "Image", r->o->tool,
                           r->outcome.result.image_to_probe, r->outcome.validation.m95_mm, err);
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    es_error err = {0};
    nwire_run r = {.o = options, .file = files[0]};
    bool ready = read_setup(&r, &err), found = ready && calibrate(&r, &err);
    if (ready && !found) report_failure(&r, &err);
    bool ok = found && write_report(&r, NULL, &err) && write_picture(&r, &err) && judge(&r, &err) &&
              write_result(&r, &err);
    int status = ok ? print(&r) : app_fail(&err);
    es_wire_outcome_clear(&r.outcome);
    es_wire_recording_clear(&r.calibration);
    es_wire_recording_clear(&r.validation);
    es_plus_free(r.plus);
    return status;
}

const command command_calibrate_nwire = {
    .name = "calibrate nwire",
    .summary = "from image to probe, with an N-wire phantom",
    .usage = "RECORDING [--validation FILE] --config XML [options]",
    .description =
        "Scan the wires of the phantom in a bath while sliding, turning and tilting the probe, "
        "markers on probe (Probe) and phantom (Reference). The wires' dots are found at any depth "
        "and gain and told apart by the phantom's geometry. Image to Probe, the pixel spacing in "
        "both directions and the lag are solved together; lag is the tracker's time stamp minus "
        "the video's for one and the same event. A results XML of PLUS with segmented points can "
        "stand in place of a recording (its CalibrationData; its ValidationData for --validation). "
        "A result that is off by more than 2 mm is refused, by more than 1 mm warned of.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(nwire_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
