/* The report of `echosolid model`: what came out, how sure it is, what was
 * assumed, and pictures to judge it by. */
#include <math.h>
#include <string.h>

#include "echosolid/picture.h"
#include "echosolid/report.h"
#include "model_run.h"
#include "report_pictures.h"

static void add_closed(es_report *p, const es_shape *shape) {
    char text[160];
    if (shape->holes.closed > 0) {
        snprintf(text, sizeof text, "%zu holes of %.1f mm2: closed, not measured",
                 shape->holes.closed, shape->holes.area_mm2);
        es_report_row(p, "closed_holes", "Holes closed", text);
    }
    if (shape->kind == ES_SHAPE_CAPPED) {
        snprintf(text, sizeof text, "%.1f mm2 over %zu rims: closed, not measured",
                 shape->cap.area_mm2, shape->cap.closed);
        es_report_row(p, "cap", "Cap", text);
    }
}

/* What the model is made of besides what was seen. */
static void add_shape(es_report *p, const model_run *r) {
    static const char *const notes[] = {
        NULL, NULL, "The back of the model is an offset of its front, not a measurement.",
        "The cap of the model is a membrane in the rims of what was seen, not a measurement."};
    const es_shape *shape = &r->result.shape;
    es_shape_options options = shape_choose(&r->o->shape);
    char words[64], text[160];
    es_shape_words(shape, &options, words);
    snprintf(text, sizeof text, "the seen sheet, %s; %s", words,
             shape->check.closed            ? "closed"
             : shape->kind == ES_SHAPE_OPEN ? "it has no volume"
                                            : "NOT CLOSED");
    es_report_row(p, "model", "Model", text);
    add_closed(p, shape);
    if (shape->check.closed)
        es_report_number(p, "solid_volume", "Its volume", shape->check.volume_mm3, "mm3", NAN);
    es_report_number(p, "left_out", "Facets of the seen sheet that fold and were left out",
                     (double)shape->left_out, "", NAN);
    es_report_number(p, "self_intersections", "Pairs of facets that cross",
                     (double)shape->crossings, "", NAN);
    if (notes[shape->kind]) {
        snprintf(text, sizeof text, "Ultrasound sees one side of a bone. %s", notes[shape->kind]);
        es_report_note(p, ES_WARNING, text);
    }
}

static void add_result(es_report *p, const model_run *r) {
    const es_model_result *m = &r->result;
    char text[160];
    es_report_section(p, "Result");
    es_report_number(p, "area", "Bone surface that was seen", m->sheet_check.area_mm2, "mm2", NAN);
    es_report_number(p, "coverage", "Seen of what the surface's rims enclose",
                     100 * model_coverage(m), "%", NAN);
    es_report_number(p, "holes", "Holes in it", (double)m->holes, "", NAN);
    if (m->seen.frames) {
        es_report_number(p, "seen_frames", "Frames that saw it, half of it more often",
                         m->seen.frames_p50, "", NAN);
        es_report_number(p, "seen_from_one", "Seen from one direction only", 100 * m->seen.share[1],
                         "%", NAN);
        es_report_number(p, "seen_from_more", "Seen from three directions or more",
                         100 * m->seen.share[3], "%", NAN);
    }
    es_report_number(p, "pieces", "Pieces", (double)m->pieces_kept, "", NAN);
    es_report_number(p, "pieces_dropped", "Small pieces dropped", (double)m->pieces_dropped, "",
                     NAN);
    snprintf(text, sizeof text, "%lld of %lld", (long long)m->frames_with_bone,
             (long long)m->frames);
    es_report_row(p, "frames_with_bone", "Frames with bone", text);
    add_shape(p, r);
}

static void add_step(es_report *p, const model_run *r) {
    const es_solid_report *k = &r->step;
    const char *path = step_first(&r->o->step);
    char text[200];
    if (!path) return;
    es_report_section(p, "The STEP file");
    snprintf(text, sizeof text, "%zu solids and %zu open shells of %zu faces", k->file.solids,
             k->file.shells, k->file.faces);
    es_report_row(p, "step", es_path_name(path), text);
    es_report_number(p, "deviation_mm_rms", "Faces to mesh, RMS", k->to_mesh.rms_mm, "mm", NAN);
    es_report_number(p, "deviation_mm_p95", "Faces to mesh, 95 %", k->to_mesh.p95_mm, "mm", NAN);
    es_report_number(p, "deviation_mm_max", "Faces to mesh, largest", k->to_mesh.max_mm, "mm", NAN);
    es_report_number(p, "deviation_mm_back_rms", "Mesh to faces, RMS", k->from_mesh.rms_mm, "mm",
                     NAN);
    es_report_number(p, "deviation_mm_back_p95", "Mesh to faces, 95 %", k->from_mesh.p95_mm, "mm",
                     NAN);
    es_report_number(p, "deviation_mm_back_max", "Mesh to faces, largest", k->from_mesh.max_mm,
                     "mm", NAN);
    if (!k->reached)
        es_report_note(p, ES_WARNING, "The faces do not reach the tolerance that was asked for.");
    if (k->folded > 0)
        es_report_note(p, ES_WARNING,
                       "The hidden side of the solid folds where the sheet bends sharply; a "
                       "smaller --thickness avoids it.");
}

static void add_error(es_report *p, const model_run *r) {
    es_report_section(p, "Error against the truth");
    if (!r->has_truth) {
        es_report_note(p, ES_WARNING,
                       "No truth was given: the error of this surface in millimetres is not known. "
                       "It holds the tracker's and the calibration's errors in full.");
        return;
    }
    const es_mesh_distance *a = &r->to_truth, *b = &r->from_truth;
    es_report_row(p, "truth", "True surface", es_path_name(r->o->truth));
    es_report_number(p, "rms", "Surface to truth, RMS", a->rms_mm, "mm", NAN);
    es_report_number(p, "mean", "Surface to truth, mean", a->mean_mm, "mm", NAN);
    es_report_number(p, "p95", "Surface to truth, 95 %", a->p95_mm, "mm", NAN);
    es_report_number(p, "max", "Surface to truth, largest", a->max_mm, "mm", NAN);
    es_report_number(p, "bias", "Bias (positive: outside the truth)", a->signed_mean_mm, "mm", NAN);
    es_report_number(p, "back_rms", "Truth to surface, RMS", b->rms_mm, "mm", NAN);
    es_report_number(p, "back_p95", "Truth to surface, 95 %", b->p95_mm, "mm", NAN);
    es_report_number(p, "complete", "True surface found within 1 mm", 100 * r->truth_within_1mm,
                     "%", NAN);
}

/* ---- what is known of the error without a truth ------------------------------------ */

/* What an interval of the pixel's size does at the bone's depth, and the pixel
 * that was used against the pictures' evidence. */
static void add_spacing_error(es_report *p, const model_run *r) {
    const es_spacing_verdict *v = &r->check.spacing.verdict;
    double depth = r->result.depth_mm, used = r->s.setup.survey.pixel_mm[1];
    if (!v->known) {
        es_report_row(p, "spacing_error", "From the pixel size",
                      "not known: nothing settles the pixel size");
        return;
    }
    double half = (v->ci95_mm[1][1] - v->ci95_mm[1][0]) / 2 / v->spacing_mm[1];
    es_report_number(p, "spacing_error", "From the pixel size's interval, at the bone's depth",
                     depth * half, "mm", NAN);
    es_report_number(p, "spacing_offset", "Pixel used against the evidence, at the bone's depth",
                     depth * (used / v->spacing_mm[1] - 1), "mm", depth * half);
}

static void add_calibration_error(es_report *p, const model_run *r) {
    es_plus_transform t;
    char text[400];
    for (size_t i = 0; r->s.plus && i < es_plus_transform_count(r->s.plus); i++) {
        if (!es_plus_transform_get(r->s.plus, i, &t, NULL)) continue;
        if (strcmp(t.from, r->s.setup.image_frame) != 0 || isnan(t.error)) continue;
        snprintf(text, sizeof text, "%g, by the Error of %sTo%s%s%s; PLUS writes millimetres",
                 t.error, t.from, t.to, t.date[0] ? " of " : "", t.date);
        es_report_row(p, "calibration_error", "From the calibration", text);
        return;
    }
    es_report_row(p, "calibration_error", "From the calibration",
                  "not known: the configuration does not say; echosolid calibrate measures it");
}

static void add_budget(es_report *p, const model_run *r) {
    const es_scatter *s = &r->result.scatter;
    es_report_section(p, "Error budget");
    es_report_number(p, "scatter_rms", "Single frames to the fused surface, RMS", s->rms_mm, "mm",
                     NAN);
    es_report_number(p, "scatter_p95", "Single frames to the fused surface, 95 %", s->p95_mm, "mm",
                     NAN);
    es_report_number(p, "scatter_beyond", "Bone points that lie off the surface", 100 * s->beyond,
                     "%", NAN);
    es_report_number(p, "depth", "Mean depth of the bone below the picture's top",
                     r->result.depth_mm, "mm", NAN);
    add_spacing_error(p, r);
    add_calibration_error(p, r);
    es_report_note(p, ES_NOTE,
                   "The scatter holds what differs between frames: tracker, detector, motion. A "
                   "wrong calibration, pixel size or time offset moves all frames together and "
                   "does not show in it where the sweeps do not cross.");
}

/* ---- what the doctor says ------------------------------------------------------------ */

static void add_check(es_report *p, const model_run *r) {
    const es_findings *list = &r->check.findings;
    es_report_section(p, "Geometry and spacing");
    if (!r->check.looked) {
        es_report_note(p, ES_WARNING, "Neither geometry nor pixel size was checked (--unchecked).");
        return;
    }
    es_report_row(p, "spacing_verdict", "Pixel size by the evidence",
                  r->check.spacing.verdict.summary);
    for (size_t i = 0; i < list->count; i++) {
        const es_finding *f = &list->items[i];
        char text[900];
        snprintf(text, sizeof text, "%s: %s. What to do: %s.", f->check, f->evidence, f->fix);
        es_report_note(p, f->severity == ES_SEVERITY_NOTE ? ES_NOTE : ES_WARNING, text);
    }
    if (app_count_findings(list, ES_SEVERITY_ERROR) > 0)
        es_report_note(p, ES_WARNING,
                       "The geometry of this recording cannot be trusted as it stands; nor can "
                       "the model's size and shape.");
}

/* ---- how many frames, and where more are wanted --------------------------------------- */

static void add_coverage(es_report *p, const model_run *r) {
    const es_coverage *c = &r->coverage;
    char text[300], key[32];
    es_report_section(p, "Coverage by frames");
    es_report_number(p, "voxel", "For voxels of", r->s.setup.recon.spacing_mm[0], "mm", NAN);
    es_report_number(p, "limit", "Frames may lie apart by", c->limit_mm, "mm", NAN);
    es_report_number(p, "step_p95", "They do in 95 % by less than", c->step_p95_mm, "mm", NAN);
    es_report_number(p, "steps_too_long", "Steps that are longer", (double)c->too_far, "", NAN);
    es_report_number(p, "frames_share", "Seen of what the frames enclose", 100 * c->share, "%",
                     NAN);
    es_report_number(p, "frame_gaps", "Gaps in it", (double)c->gaps_in_all, "", NAN);
    for (int i = 0; i < c->gap_count && i < 5; i++) {
        const es_gap *g = &c->gaps[i];
        snprintf(key, sizeof key, "gap_%d", i + 1);
        snprintf(text, sizeof text,
                 "%.1f cm3 about (%.1f, %.1f, %.1f) mm near frame %lld: a sweep of %lld frames "
                 "along (%.2f, %.2f, %.2f) would close it",
                 g->volume_mm3 / 1000, g->centre.x, g->centre.y, g->centre.z,
                 (long long)g->near_frame, (long long)g->frames, g->direction.x, g->direction.y,
                 g->direction.z);
        es_report_row(p, key, i ? "" : "The largest", text);
    }
    if (c->too_far > 0 && c->rate_hz > 0) {
        snprintf(text, sizeof text,
                 "At %.1f frames a second the probe may move by %.0f mm/s for these voxels; "
                 "echosolid plan says how many frames a region takes.",
                 c->rate_hz, c->limit_mm * c->rate_hz);
        es_report_note(p, ES_NOTE, text);
    }
}

/* ---- pictures --------------------------------------------------------------------- */

static bool add_histogram(es_report *p, const float *distances, size_t count, es_error *err) {
    es_histogram plot = {.values = distances,
                         .count = count,
                         .high = 2,
                         .bins = 40,
                         .label = "distance to the truth, mm"};
    es_text svg = {0};
    bool ok = es_plot_histogram(&plot, &svg, err);
    if (ok) es_report_plot(p, "How the distances to the truth spread", &svg);
    es_text_free(&svg);
    return ok;
}

typedef struct colouring {
    const char *name;
    const float *scalar; /* per vertex; NULL: not known, no picture */
    double high;
} colouring;

static bool add_coloured(es_report *p, const app_mesh_picture *plain, colouring c,
                         const char *caption, es_error *err) {
    app_mesh_picture coloured = *plain;
    if (!c.scalar) return true;
    coloured.scalar = c.scalar;
    coloured.high = c.high;
    coloured.scalar_name = c.name;
    return app_add_mesh(p, &coloured, caption, err);
}

static bool add_meshes(es_report *p, const model_run *r, es_error *err) {
    const es_mesh *sheet = &r->result.sheet;
    app_views views = app_views_of(sheet);
    app_mesh_picture front = {.mesh = sheet, .toward_eye = views.front},
                     oblique = {.mesh = sheet, .toward_eye = views.oblique};
    float *scalar = NULL;
    bool ok = true;
    es_report_section(p, "The surface");
    if (r->has_truth) {
        scalar = es_alloc(sheet->vertex_count, sizeof *scalar, err);
        ok = scalar && es_mesh_point_distances(&r->truth, sheet->vertices, sheet->vertex_count,
                                               r->s.pool, scalar, err);
    }
    ok = ok && app_add_mesh(p, &front, "The seen surface, from the side of the probe", err) &&
         app_add_mesh(p, &oblique, "The seen surface, obliquely", err);
    ok = ok &&
         add_coloured(p, &front, (colouring){"confidence", sheet->confidence, 1},
                      "How much was seen where: 0.5 for one clear, perpendicular hit, towards "
                      "1 for many",
                      err) &&
         add_coloured(p, &front, (colouring){"directions", r->result.seen.directions, 4},
                      "From how many directions it was seen, of twenty that are 42 degrees "
                      "apart: 0 to 4 and more",
                      err) &&
         add_coloured(p, &front, (colouring){"error mm", scalar, 2},
                      "Distance to the truth, 0 to 2 mm", err) &&
         (!scalar || add_histogram(p, scalar, sheet->vertex_count, err));
    es_free(scalar);
    return ok;
}

static bool add_slices(es_report *p, const model_run *r, const es_bricks *bricks, es_error *err) {
    es_report_section(p, "The grey volume");
    return app_add_slices(p, bricks, es_mesh_box(&r->result.sheet),
                          "through the middle of the surface; blue was never seen", err);
}

/* ---- what can be turned --------------------------------------------------------------- */

static bool fill_view(es_view *view, const model_run *r, es_bricks *bricks, es_error *err) {
    es_view_mesh sheet = {.name = "seen surface",
                          .mesh = &r->result.sheet,
                          .sheet = true,
                          .truth = r->has_truth ? &r->truth : NULL,
                          .seen = es_model_seen(r->model)};
    es_grid_info info = {0};
    bool ok = es_view_add_mesh(view, &sheet, r->s.pool, err) &&
              es_bricks_grid_info(bricks, &info, err) &&
              es_view_set_volume(view, "grey volume", &info, es_bricks_slab, bricks, err);
    es_grid_info_clear(&info);
    return ok;
}

static bool add_view(es_report *p, const model_run *r, es_bricks *bricks, es_error *err) {
    es_view *view = es_view_new("Seen surface and grey volume", err);
    bool ok = view && fill_view(view, r, bricks, err);
    es_report_section(p, "In three dimensions");
    if (ok)
        es_report_view(p,
                       "The seen surface (its inner side is blue) with slices of the grey volume, "
                       "in millimetres of the reference frame",
                       view);
    es_view_free(view);
    return ok;
}

static void add_examples(es_report *p, const model_run *r) {
    es_report_section(p, "Frames with the bone that was found");
    for (size_t i = 0; i < es_model_example_count(r->model); i++) {
        int64_t frame;
        char caption[64];
        const es_image *picture = es_model_example(r->model, i, &frame);
        snprintf(caption, sizeof caption, "Frame %lld", (long long)frame);
        es_report_picture(p, caption, picture);
    }
}

/* ---- what was done ------------------------------------------------------------------ */

static void add_done(es_report *p, const model_run *r) {
    const es_survey *v = &r->s.setup.survey;
    const es_model_result *m = &r->result;
    char text[420];
    es_report_section(p, "What was done");
    snprintf(text, sizeof text, "%lld frames, %lld with a valid position, %lld used",
             (long long)v->frames, (long long)v->placed, (long long)v->used);
    es_report_row(p, "frames", "Recording", text);
    if (v->placed < v->frames) es_report_note(p, ES_WARNING, v->reason);
    es_report_number(p, "pixel_u", "Pixel along the transducer", v->pixel_mm[0], "mm", NAN);
    es_report_number(p, "pixel_v", "Pixel into the body", v->pixel_mm[1], "mm", NAN);
    es_report_number(p, "frame_distance", "Median distance of frames", v->step_mm, "mm", NAN);
    for (size_t i = 0; i < r->s.setup.decisions.count; i++) {
        const es_decision *d = &r->s.setup.decisions.items[i];
        char key[64];
        snprintf(key, sizeof key, "decision_%zu", i + 1);
        snprintf(text, sizeof text, "%s (%s)", d->value, d->why);
        es_report_row(p, key, d->what, text);
    }
    es_report_number(p, "brick_mb", "Distance bricks", (double)m->distance.bytes / 1e6, "MB", NAN);
    es_report_note(p, ES_NOTE, "The surface is the crest of the echo, not its front edge.");
}

static bool add_origin(es_report *p, const model_run *r, es_error *err) {
    char *line = options_command_line(&command_model, r->o, &r->file, 1);
    if (!line) return es_fail(err, ES_MEMORY, "out of memory");
    es_report_option(p, "command", line);
    es_report_option(p, "options", r->origin.options);
    es_free(line);
    for (int i = 0; i < r->origin.input_count; i++)
        es_report_input(p, es_path_name(r->origin.inputs[i]), r->origin.digests[i]);
    return true;
}

static void add_summary(es_report *p, const model_run *r) {
    char text[300];
    const es_mesh_distance *a = &r->to_truth;
    double cm2 = r->result.sheet_check.area_mm2 / 100;
    if (r->has_truth)
        snprintf(text, sizeof text,
                 "%.1f cm2 of bone surface, %.2f mm RMS (95 %% within %.2f mm) from the truth.",
                 cm2, a->rms_mm, a->p95_mm);
    else
        snprintf(text, sizeof text,
                 "%.1f cm2 of bone surface; its error is not known, there is no truth to compare "
                 "with.",
                 cm2);
    es_report_summary(p, text);
}

/* Everything in the order of the page. */
static bool fill_report(es_report *p, const model_run *r, es_bricks *bricks, es_error *err) {
    add_summary(p, r);
    if (!add_view(p, r, bricks, err)) return false;
    add_result(p, r);
    add_step(p, r);
    add_error(p, r);
    add_budget(p, r);
    add_check(p, r);
    add_coverage(p, r);
    if (!add_meshes(p, r, err) || !add_slices(p, r, bricks, err)) return false;
    add_examples(p, r);
    add_done(p, r);
    return add_origin(p, r, err);
}

bool model_report_write(const model_run *r, es_error *err) {
    char title[200];
    snprintf(title, sizeof title, "Bone surface of %s", es_path_name(r->file));
    es_report *p = es_report_new(title, err);
    char *json = p ? app_sibling(r->o->report, ".json", err) : NULL;
    es_volume *volume = es_model_volume(r->model);
    es_bricks *made = json && volume ? es_volume_bricks(volume, err) : NULL;
    es_bricks *bricks = made ? made : r->keep.grey;
    bool ok = json && bricks && fill_report(p, r, bricks, err) &&
              es_report_write_html(p, r->o->report, err) && es_report_write_json(p, json, err);
    es_bricks_free(made);
    es_free(json);
    es_report_free(p);
    return ok;
}
