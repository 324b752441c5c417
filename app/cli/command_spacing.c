/* echosolid spacing: how many millimetres a pixel is, and who says so. */
#include <math.h>
#include <string.h>

#include "echosolid/judge.h"
#include "recording.h"

typedef struct spacing_options {
    common_options common;
    double depth_mm, depth_error_mm, speed, scanner_speed, temperature;
    const char *probe, *probes, *config, *picture, *out;
    bool write;
    recording_options recording;
} spacing_options;

static const opt table[] = {
    {.name = "depth-mm",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 1,
     .high = 1000,
     .value = "MM",
     .offset = offsetof(spacing_options, depth_mm),
     .help = "the depth that the scanner showed (a PLUS server tells it: GetUsParameter DepthMm)"},
    {.name = "depth-error",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 1e-3,
     .high = 100,
     .fallback = "0.5",
     .value = "MM",
     .offset = offsetof(spacing_options, depth_error_mm),
     .help = "how far the depth may be off, 1-sigma"},
    {.name = "probe",
     .type = OPT_TEXT,
     .value = "NAME",
     .offset = offsetof(spacing_options, probe),
     .help = "the name on the probe, e.g. C5-2R60S-3: gives radius or width"},
    {.name = "probes",
     .type = OPT_TEXT,
     .value = "JSON",
     .offset = offsetof(spacing_options, probes),
     .help = "your own probes, asked before the built-in table (docs/spacing.md)"},
    {.name = "config",
     .letter = 'c',
     .type = OPT_TEXT,
     .value = "XML",
     .offset = offsetof(spacing_options, config),
     .help = "PLUS device-set file: calibration, scan conversion, depth"},
    {.name = "speed",
     .type = OPT_NUMBER,
     .low = 1000,
     .high = 2000,
     .value = "M/S",
     .offset = offsetof(spacing_options, speed),
     .help = "true speed of sound in the medium; corrects the axial direction"},
    {.name = "scanner-speed",
     .type = OPT_NUMBER,
     .low = 1000,
     .high = 2000,
     .fallback = "1540",
     .value = "M/S",
     .offset = offsetof(spacing_options, scanner_speed),
     .help = "speed of sound that the scanner takes"},
    {.name = "temperature",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 95,
     .value = "C",
     .offset = offsetof(spacing_options, temperature),
     .help = "the medium is water of this temperature; in place of --speed"},
    {.name = "picture",
     .type = OPT_TEXT,
     .value = "PNG",
     .offset = offsetof(spacing_options, picture),
     .help = "draw what was seen over the mean picture"},
    {.name = "write",
     .type = OPT_FLAG,
     .offset = offsetof(spacing_options, write),
     .help = "store the result: with -o OUT.xml in a copy of --config, else in a copy of the "
             "recording"},
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "OUT",
     .offset = offsetof(spacing_options, out),
     .help = "the copy that --write makes"},
    RECORDING_OPTIONS(spacing_options, recording),
    {.name = NULL}};

static const char *const examples[] = {"echosolid spacing scan.igs.mha --config scan.xml",
                                       "echosolid spacing scan.igs.mha --depth-mm 60 --json", NULL};

/* ---- what came out ----------------------------------------------------------------- */

static json_t *evidence_json(const es_evidence_list *list) {
    static const char *const bounds[] = {"not larger", "equal", "not smaller"};
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        json_array_append_new(
            array,
            json_pack("{s:s, s:[o,o], s:[o,o], s:s, s:b, s:s}", "source", e->source, "spacing_mm",
                      app_json_number(e->spacing_mm[0]), app_json_number(e->spacing_mm[1]), "sigma",
                      app_json_number(e->sigma[0]), app_json_number(e->sigma[1]), "note", e->note,
                      "suspect", e->suspect, "bound", bounds[e->bound + 1]));
    }
    return array;
}

static json_t *verdict_json(const es_judgement *j, const es_decisions *changes) {
    const es_spacing_verdict *v = &j->verdict;
    json_t *asked = json_array();
    for (int i = 0; i < v->ask_count; i++) json_array_append_new(asked, json_string(v->ask[i]));
    return json_pack("{s:s, s:[o,o], s:[[o,o],[o,o]], s:b, s:s, s:o, s:o, s:I, s:o, s:o}",
                     "verdict", v->known ? "known" : "unknown", "spacing_mm",
                     app_json_number(v->spacing_mm[0]), app_json_number(v->spacing_mm[1]),
                     "ci95_mm", app_json_number(v->ci95_mm[0][0]),
                     app_json_number(v->ci95_mm[0][1]), app_json_number(v->ci95_mm[1][0]),
                     app_json_number(v->ci95_mm[1][1]), "anisotropic", v->anisotropic, "summary",
                     v->summary, "evidence", evidence_json(&j->evidence), "ask", asked,
                     "frames_looked_at", (json_int_t)j->still.frames, "decisions",
                     app_json_decisions(&j->decisions), "changes", app_json_decisions(changes));
}

static void print_value(double spacing, double sigma) {
    if (isnan(spacing))
        printf("%9s %7s", "-", "");
    else if (isfinite(sigma))
        printf("%9.4f %5.2g %%", spacing, 100 * sigma);
    else
        printf("%9.4f %7s", spacing, "unused");
}

static void print_evidence(const es_evidence_list *list) {
    static const char *const bounds[] = {"at most: ", "", "at least: "};
    if (list->count) printf("\n%-20s%17s%18s\n", "source", "across mm", "down mm");
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        printf("%-20s", e->source);
        print_value(e->spacing_mm[0], e->sigma[0]);
        printf(" ");
        print_value(e->spacing_mm[1], e->sigma[1]);
        printf("  %s%s%s\n", e->suspect ? "SUSPECT: " : "", bounds[e->bound + 1], e->note);
    }
}

static void print_verdict(const es_judgement *j, const es_decisions *changes) {
    const es_spacing_verdict *v = &j->verdict;
    if (v->known)
        printf("%.4f x %.4f mm a pixel (95 %%: %.4f to %.4f across, %.4f to %.4f down)\n",
               v->spacing_mm[0], v->spacing_mm[1], v->ci95_mm[0][0], v->ci95_mm[0][1],
               v->ci95_mm[1][0], v->ci95_mm[1][1]);
    else
        printf("unknown\n");
    print_evidence(&j->evidence);
    printf("\n%s\n", v->summary);
    for (int i = 0; i < v->ask_count; i++)
        printf("%s%d. %s\n", i ? "" : "\nWhat would settle it, cheapest first:\n", i + 1,
               v->ask[i]);
    for (size_t i = 0; i < changes->count; i++)
        printf("%schanged %s: %s (%s)\n", i ? "" : "\n", changes->items[i].what,
               changes->items[i].value, changes->items[i].why);
}

/* ---- the run ------------------------------------------------------------------------- */

typedef struct spacing_run {
    const spacing_options *o;
    const char *file;
    es_plus *plus;
    es_source *source;
    es_judgement judgement;
    es_decisions changes;
} spacing_run;

/* Before any reading. */
static bool check_options(const spacing_options *o, const char *file, es_error *err) {
    if (o->write != (o->out != NULL))
        return es_fail(err, ES_USAGE, "--write and -o OUT go together");
    if (!isnan(o->speed) && !isnan(o->temperature))
        return es_fail(err, ES_USAGE, "--speed and --temperature both give the speed of sound");
    if (!o->out) return true;
    bool xml = es_has_suffix(o->out, ".xml");
    if (xml && !o->config)
        return es_fail(err, ES_USAGE, "-o %s needs the configuration to change: --config XML",
                       o->out);
    if (strcmp(o->out, xml ? o->config : file) == 0)
        return es_fail(err, ES_USAGE, "%s would be overwritten; give another name with -o", o->out);
    return xml || es_sequence_can_write(o->out, err);
}

static bool read_all(spacing_run *r, es_error *err) {
    const spacing_options *o = r->o;
    es_judge_request request;
    es_judge_request_init(&request);
    if (o->config && !(r->plus = es_plus_read(o->config, err))) return false;
    request.plus = r->plus;
    request.config = o->config ? es_path_name(o->config) : NULL;
    request.depth_mm = o->depth_mm;
    request.depth_sigma_mm = o->depth_error_mm;
    request.probe = o->probe;
    request.probes = o->probes;
    request.scanner_speed_m_s = o->scanner_speed;
    request.motion = true;
    request.true_speed_m_s = isnan(o->temperature) ? o->speed : es_water_speed(o->temperature);
    r->source = app_open_recording_told(r->file, &o->recording, r->plus, &o->common, err);
    return r->source && es_judge(r->source, &request, &r->judgement, err);
}

static bool write_all(spacing_run *r, es_error *err) {
    const spacing_options *o = r->o;
    const es_spacing_verdict *v = &r->judgement.verdict;
    es_image picture = {0};
    bool ok = !o->picture || (es_judge_picture(&r->judgement, &picture, err) &&
                              es_png_write(o->picture, &picture, err));
    es_image_clear(&picture);
    if (!ok || !o->write) return ok;
    if (es_has_suffix(o->out, ".xml"))
        return es_judge_write_plus(v, r->plus, &r->changes, err) &&
               es_plus_write(r->plus, o->out, err);
    return es_judge_write_recording(v, r->source, o->out, err) &&
           es_decisions_add(&r->changes, err, "spacing of the header", "the verdict",
                            "%.5g x %.5g mm", v->spacing_mm[0], v->spacing_mm[1]);
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    spacing_run r = {.o = options, .file = files[0]};
    es_error err = {0};
    int status = 0;
    bool judged = check_options(r.o, r.file, &err) && read_all(&r, &err);
    bool ok = judged && write_all(&r, &err);
    if (judged) app_decisions(&r.o->common, &r.judgement.decisions);
    if (!ok)
        status = app_fail(&err);
    else if (r.o->common.json)
        status = app_print_json(verdict_json(&r.judgement, &r.changes));
    else
        print_verdict(&r.judgement, &r.changes);
    es_judgement_clear(&r.judgement);
    es_decisions_clear(&r.changes);
    es_source_free(r.source);
    es_plus_free(r.plus);
    return status;
}

const command command_spacing = {
    .name = "spacing",
    .summary = "how many millimetres a pixel is, from whatever is at hand",
    .usage = "FILE [options]",
    .description =
        "Finds the pixel spacing from all the evidence there is: the shape of the echoes with the "
        "probe's radius or width, the depth setting, the ruler on the screen, DICOM's ultrasound "
        "regions, calibrations, fields of the recording. Says how sure it is, which sources "
        "disagree and why that may be, and calls constants that nobody measured by their name. "
        "Where nothing settles the matter it says unknown and asks for what would, cheapest "
        "first; that is no failure. docs/spacing.md goes through it step by step.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(spacing_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
