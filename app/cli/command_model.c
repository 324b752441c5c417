/* echosolid model: the whole way, from a recording to a solid with a report. */
#include <math.h>
#include <string.h>

#include "echosolid/bone_flow.h"
#include "grey.h"
#include "model_run.h"

static const opt table[] = {
    STEP_OPTIONS(model_options),
    {.name = "sheet",
     .type = OPT_TEXT,
     .offset = offsetof(model_options, sheet),
     .help = "also write the seen surface itself, not thickened"},
    {.name = "volume",
     .type = OPT_TEXT,
     .offset = offsetof(model_options, volume),
     .help = "also write the grey volume"},
    {.name = "field",
     .type = OPT_TEXT,
     .value = "VOLUME",
     .offset = offsetof(model_options, field),
     .help = "also write the signed distances to the bone, mm, negative inside, NaN where unknown"},
    {.name = "report",
     .type = OPT_TEXT,
     .value = "HTML",
     .offset = offsetof(model_options, report),
     .help = "a page that stands alone, and the same figures as .json beside it"},
    {.name = "truth",
     .type = OPT_TEXT,
     .value = "MESH",
     .offset = offsetof(model_options, truth),
     .help = "the true surface: the error against it is measured and printed"},
    SHAPE_OPTIONS(model_options),
    DETECTOR_OPTIONS(model_options, ""),
    {.name = "bone-threshold",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 1,
     .offset = offsetof(model_options, bone_threshold),
     .help = "how sure the detector must be; default: the detector's own"},
    {.name = "bone-spacing",
     .type = OPT_NUMBER,
     .unit = UNIT_MM,
     .low = 0.05,
     .high = 10,
     .offset = offsetof(model_options, bone_spacing),
     .help = "voxel size of the distance volume; default: from pixel size and frame distance"},
    {.name = "blur",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 4,
     .fallback = "0.6",
     .value = "VOXELS",
     .offset = offsetof(model_options, blur),
     .help = "Gaussian on the distance volume before the surface is taken, in voxels"},
    {.name = "min-weight",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 1e6,
     .fallback = "0.2",
     .offset = offsetof(model_options, min_weight),
     .help = "how much evidence a voxel needs to carry surface; one clear, perpendicular hit is 1"},
    {.name = "min-area",
     .type = OPT_NUMBER,
     .low = 0,
     .high = 1e9,
     .fallback = "100",
     .value = "MM2",
     .offset = offsetof(model_options, min_area),
     .help = "drop pieces smaller than this, square millimetres"},
    {.name = "components",
     .type = OPT_INT,
     .low = 0,
     .high = 1e6,
     .fallback = "0",
     .offset = offsetof(model_options, components),
     .help = "keep the N largest pieces; 0: all"},
    {.name = "smooth",
     .type = OPT_INT,
     .low = 0,
     .high = 1000,
     .fallback = "20",
     .offset = offsetof(model_options, smooth),
     .help = "passes of Taubin smoothing"},
    {.name = "keep",
     .type = OPT_TEXT,
     .value = "FOLDER",
     .offset = offsetof(model_options, keep),
     .help = "save what is made on the way there, and take from there what an earlier run made of "
             "the same inputs and options"},
    {.name = "from-bone",
     .type = OPT_TEXT,
     .value = "JSON",
     .offset = offsetof(model_options, from_bone),
     .help = "take the bone of the frames from here, as echosolid bone --json writes it, instead "
             "of looking for it"},
    {.name = "from-field",
     .type = OPT_TEXT,
     .value = "VOLUME",
     .offset = offsetof(model_options, from_field),
     .help = "take the signed distances from here, as --field writes them, instead of making them"},
    {.name = "from-sheet",
     .type = OPT_TEXT,
     .value = "MESH",
     .offset = offsetof(model_options, from_sheet),
     .help =
         "take the seen surface from here (.ply, .stl, .obj; reference mm) instead of making it"},
    {.name = "unchecked",
     .type = OPT_FLAG,
     .offset = offsetof(model_options, unchecked),
     .help = "do not let the doctor look at geometry and spacing first"},
    {.name = "dry-run",
     .letter = 'n',
     .type = OPT_FLAG,
     .offset = offsetof(model_options, dry_run),
     .help = "only say what would be done"},
    SETUP_OPTIONS(model_options),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid model scan.igs.mha --config scan.xml -o knee.stl -o knee.step --report knee.html",
    "echosolid model knee.igs.mha --config knee.xml --truth knee.seen.ply -o knee.stl --json",
    NULL};

static void run_free(model_run *r) {
    es_model_result_clear(&r->result);
    es_mesh_clear(&r->truth);
    es_model_free(r->model);
    model_keep_clear(&r->keep);
    es_network_free(r->network);
    app_origin_clear(&r->origin);
    app_checkup_clear(&r->check);
    session_close(&r->s);
}

static es_model_options make_options(const model_run *r) {
    const model_options *o = r->o;
    es_model_options m = ES_MODEL_DEFAULTS;
    m.method = r->method;
    m.network = r->network;
    m.bone_threshold = o->bone_threshold;
    m.bone_spacing_mm = o->bone_spacing;
    m.smooth_voxels = o->blur;
    m.min_weight = o->min_weight;
    m.components = o->components;
    m.min_area_mm2 = o->min_area;
    m.smooth_iterations = o->smooth;
    m.shape = shape_choose(&o->shape);
    m.with_grey = (o->volume || o->report) && !r->keep.reused[STAGE_VOLUME];
    return m;
}

/* Share of the true surface's vertices (near evenly spread) within 1 mm. */
static bool find_share(model_run *r, es_error *err) {
    float *distances = es_alloc(r->truth.vertex_count, sizeof *distances, err);
    bool ok =
        distances && es_mesh_point_distances(&r->result.sheet, r->truth.vertices,
                                             r->truth.vertex_count, r->s.pool, distances, err);
    size_t near = 0;
    for (size_t i = 0; ok && i < r->truth.vertex_count; i++) near += distances[i] <= 1;
    if (ok && r->truth.vertex_count)
        r->truth_within_1mm = (double)near / (double)r->truth.vertex_count;
    es_free(distances);
    return ok;
}

static bool judge(model_run *r, es_error *err) {
    if (!r->has_truth) return true;
    return es_mesh_compare(&r->result.sheet, &r->truth, 0.25, r->s.pool, &r->to_truth, err) &&
           es_mesh_compare(&r->truth, &r->result.sheet, 0.25, r->s.pool, &r->from_truth, err) &&
           find_share(r, err);
}

/* ---- outputs ------------------------------------------------------------------- */

static bool write_meshes(model_run *r, es_error *err) {
    const model_options *o = r->o;
    const es_shape *shape = &r->result.shape;
    es_shape_options options = shape_choose(&o->shape);
    char what[64], title[80];
    es_mesh_write_options write = {.title = title, .open = !shape->check.closed};
    es_shape_words(shape, &options, what);
    app_origin_title(&r->origin, what, title);
    step_source source = {.sheet = es_shape_source(shape),
                          .open = o->shape.open,
                          .thickness_mm = o->shape.thickness,
                          .seen = what,
                          .origin = title,
                          .pool = r->s.pool};
    if (!step_write_outputs(&o->step, &source, &r->step, err)) return false;
    for (int i = 0; i < OUTPUTS_MAX && o->step.outputs[i]; i++)
        if (!es_step_is_path(o->step.outputs[i]) &&
            !es_surface_write(o->step.outputs[i], &shape->mesh, &write, err))
            return false;
    app_origin_title(&r->origin, "seen sheet", title);
    const es_seen *seen = &r->result.seen;
    const es_mesh_values values[] = {{"frames", seen->frames}, {"directions", seen->directions}};
    write.open = true;
    write.values = values;
    write.value_count = seen->frames ? 2 : 0;
    return !o->sheet || es_surface_write(o->sheet, &r->result.sheet, &write, err);
}

static bool write_volume(model_run *r, es_error *err) {
    if (!r->o->volume) return true;
    if (r->keep.reused[STAGE_VOLUME]) return model_keep_copy_volume(r, err);
    es_fill_stats stats;
    grey_output out = {
        .path = r->o->volume, .holes = &r->s.setup.holes, .pool = r->s.pool, .origin = &r->origin};
    return grey_write(&out, es_model_volume(r->model), &stats, err);
}

static bool write_field(model_run *r, es_error *err) {
    if (!r->o->field) return true;
    es_bricks *field = es_model_field(r->model);
    es_grid_info info = {0};
    es_grid_options options = ES_GRID_DEFAULTS;
    bool ok = es_bricks_grid_info(field, &info, err) &&
              app_origin_fields(&r->origin, &info.fields, err) &&
              es_grid_write(r->o->field, &info, es_bricks_slab, field, &options, err);
    es_grid_info_clear(&info);
    return ok;
}

/* ---- the run --------------------------------------------------------------------- */

static bool check_outputs(const model_options *o, es_error *err) {
    if (!shape_check(&o->shape, err)) return false;
    if ((o->step.outputs[0] || !o->dry_run) && !step_check_outputs(&o->step, "model", err))
        return false;
    if (o->sheet && !es_surface_can_write(o->sheet, err)) return false;
    if (o->report && !es_has_suffix(o->report, ".html"))
        return es_fail(err, ES_USAGE, "%s: the report is a page, name it .html", o->report);
    if (o->field && !es_grid_can_write(o->field, err)) return false;
    return !o->volume || es_grid_can_write(o->volume, err);
}

static bool open_truth(model_run *r, es_error *err) {
    r->has_truth = r->o->truth != NULL;
    return !r->has_truth || es_mesh_read(r->o->truth, &r->truth, err);
}

static bool make_model(model_run *r, es_error *err) {
    es_model_options options = make_options(r);
    r->model = es_model_new(&r->s.setup, &options, r->s.pool, &r->s.setup.decisions, err);
    if (!r->model) return false;
    app_decisions(&r->o->common, &r->s.setup.decisions);
    return true;
}

/* Reads the frames where something is still to be made of them. */
static bool read_frames(model_run *r, es_error *err) {
    const model_options *o = r->o;
    bool lines =
        r->keep.reused[STAGE_BONE] || r->keep.given[STAGE_FIELD] || r->keep.given[STAGE_SURFACE];
    if (lines && !es_model_volume(r->model)) return true;
    es_flow flow = {.source = r->s.source,
                    .placement = r->s.placement,
                    .skip = r->s.setup.skip,
                    .all = o->setup.all,
                    .total = r->s.setup.survey.frames,
                    .progress = app_progress(&o->common),
                    .what = lines ? "compounding" : "finding bone"};
    return es_flow_run(&flow, lines ? es_model_stage_grey : es_model_stage, r->model, &r->flow,
                       err);
}

static bool work(model_run *r, es_error *err) {
    const model_options *o = r->o;
    const char *inputs[] = {r->file,      o->setup.config, o->truth,      o->setup.recording.poses,
                            o->from_bone, o->from_field,   o->from_sheet, o->detector.network};
    bool ok = model_keep_plan(r, err) && make_model(r, err) && model_keep_load(r, err) &&
              es_coverage_find(r->s.source, &r->s.setup, r->s.placement,
                               r->s.setup.recon.spacing_mm[0], &r->coverage, err) &&
              app_origin_make(&r->origin, &command_model, o, inputs, 8, err) &&
              read_frames(r, err) && model_keep_frames(r, err) &&
              es_model_finish(r->model, &r->result, err) && model_keep_result(r, err) &&
              judge(r, err);
    double start = es_clock_s();
    ok = ok && write_meshes(r, err) && write_volume(r, err) && write_field(r, err);
    r->write_s = es_clock_s() - start;
    return ok && (!o->report || model_report_write(r, err));
}

/* The doctor looks first; what it finds is told, and stands in the report. */
static bool look(model_run *r, es_error *err) {
    const model_options *o = r->o;
    if (o->unchecked) return true;
    if (!app_checkup_run(&r->check, r->s.source, r->s.plus, o->setup.config, 0, &o->common, err) ||
        !es_source_rewind(r->s.source, err))
        return false;
    for (size_t i = 0; i < r->check.findings.count; i++) {
        const es_finding *f = &r->check.findings.items[i];
        if (f->severity == ES_SEVERITY_NOTE) continue;
        app_note(&o->common, "%s: %s: %s\n  fix: %s", es_severity_name(f->severity), f->check,
                 f->evidence, f->fix);
    }
    return true;
}

static int dry_run(const model_run *r) {
    if (r->o->common.json) return app_print_json(session_json(&r->s));
    for (size_t i = 0; i < r->s.setup.decisions.count; i++) {
        const es_decision *d = &r->s.setup.decisions.items[i];
        printf("%-16s %s (%s)\n", d->what, d->value, d->why);
    }
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    (void)count;
    es_error err = {0};
    model_run r = {.o = options, .file = files[0]};
    int status = 1;
    if (!check_outputs(r.o, &err) || !open_truth(&r, &err) ||
        !detector_open(&r.o->detector, &r.method, &r.network, &err) ||
        !session_open(&r.s, files[0], &r.o->setup, &err)) {
        status = app_fail(&err);
    } else if (r.o->dry_run) {
        status = dry_run(&r);
    } else if (!look(&r, &err) || !work(&r, &err)) {
        status = app_fail(&err);
    } else if (r.o->common.json) {
        status = app_print_json(model_result_json(&r));
    } else {
        app_progress_end();
        model_result_print(&r);
        status = 0;
    }
    run_free(&r);
    return status;
}

const command command_model = {
    .name = "model",
    .summary = "the whole way: a recording to a bone model, with a report",
    .usage = "FILE -o MODEL [options]",
    .description =
        "Finds the bone in each frame along the scan lines, fuses the signed distances to it in a "
        "sparse volume, and meshes its surface. Ultrasound sees one side of a bone; what lies "
        "behind is unknown. The model is therefore the seen sheet, thickened by --thickness away "
        "from the probe, with --open the sheet itself, or with --cap closed by a membrane that is "
        "marked as not measured. With --truth the error is measured in "
        "millimetres; without, the report says that it is not known.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(model_options),
    .arguments_min = 1,
    .arguments_max = 1,
    .run = run};
