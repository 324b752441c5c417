/* What `echosolid model` says of its run: JSON for programs, lines for people. */
#include <math.h>
#include <string.h>

#include "model_run.h"

double model_coverage(const es_model_result *m) {
    return m->sheet_check.area_mm2 / (m->sheet_check.area_mm2 + m->hole_mm2);
}

static void add_step(json_t *stages, const char *name, double seconds) {
    json_array_append_new(
        stages, json_pack("{s:s, s:f, s:b}", "name", name, "seconds", seconds, "reused", false));
}

static void add_stage(json_t *stages, const model_run *r, model_stage stage, double seconds) {
    json_array_append_new(stages, json_pack("{s:s, s:f, s:b, s:b}", "name",
                                            model_stage_names[stage], "seconds", seconds, "reused",
                                            r->keep.reused[stage], "given", r->keep.given[stage]));
}

static json_t *stages_json(const model_run *r) {
    const es_model_result *m = &r->result;
    json_t *stages = json_array();
    double grey = r->flow.stage_s > 0 ? r->flow.stage_s - m->detect_s - m->insert_s : 0;
    if (r->check.looked) add_step(stages, "doctor and spacing", r->check.seconds);
    add_step(stages, "reading", r->flow.read_s);
    add_stage(stages, r, STAGE_BONE, m->detect_s);
    add_stage(stages, r, STAGE_VOLUME, fmax(0, grey));
    add_stage(stages, r, STAGE_FIELD, m->insert_s + m->field_s);
    add_stage(stages, r, STAGE_SURFACE, m->surface_s);
    add_stage(stages, r, STAGE_SOLID, m->shape_s);
    add_step(stages, "writing", r->write_s);
    return stages;
}

static void warn(json_t *list, const char *what, const char *text) {
    json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "text", text));
}

/* Everything that a person should know before using the model. */
static json_t *warnings_json(const model_run *r) {
    json_t *list = json_array();
    const es_shape *shape = &r->result.shape;
    if (shape->kind == ES_SHAPE_THICKENED)
        warn(list, "one-sided", "the back of the model is an offset of its front, not measured");
    if (shape->kind == ES_SHAPE_CAPPED)
        warn(list, "one-sided", "the back of the model is a membrane in its rims, not measured");
    if (shape->holes.closed > 0)
        warn(list, "holes-closed", "holes of the sheet were closed, not measured");
    if (shape->left_out > 0)
        warn(list, "left-out",
             "facets of the seen sheet that fold could not be thickened and are not in the model; "
             "--open writes them all");
    if (shape->crossings > 0)
        warn(list, "self-intersections", "facets of the model run through one another");
    if (!r->has_truth)
        warn(list, "error-unknown", "no truth was given: the whole error is not known");
    if (!r->check.looked)
        warn(list, "unchecked", "the doctor did not look at geometry and spacing");
    for (size_t i = 0; i < r->check.findings.count; i++)
        if (r->check.findings.items[i].severity != ES_SEVERITY_NOTE)
            warn(list, r->check.findings.items[i].check, r->check.findings.items[i].evidence);
    if (r->s.setup.survey.placed < r->s.setup.survey.frames)
        warn(list, "frames-without-pose", r->s.setup.survey.reason);
    return list;
}

static json_t *coverage_json(const model_run *r) {
    const es_model_result *m = &r->result;
    return json_pack("{s:f, s:I, s:f, s:f, s:o, s:f, s:I, s:I}", "seen_mm2",
                     m->sheet_check.area_mm2, "holes", (json_int_t)m->holes, "hole_mm2",
                     m->hole_mm2, "share", model_coverage(m), "lines_with_bone",
                     app_json_number(m->lines ? (double)m->lines_found / (double)m->lines : NAN),
                     "frames_share", r->coverage.share, "frame_gaps",
                     (json_int_t)r->coverage.gaps_in_all, "steps_too_long",
                     (json_int_t)r->coverage.too_far);
}

static json_t *scatter_json(const es_scatter *s) {
    return json_pack("{s:I, s:o, s:o, s:f, s:f}", "points", (json_int_t)s->points, "rms_mm",
                     app_json_number(s->rms_mm), "p95_mm", app_json_number(s->p95_mm), "limit_mm",
                     s->limit_mm, "beyond", s->beyond);
}

static json_t *seen_json(const es_seen *s) {
    if (!s->frames) return json_null();
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "frames_p50", s->frames_p50, "from_none",
                     s->share[0], "from_one", s->share[1], "from_two", s->share[2], "from_more",
                     s->share[3]);
}

json_t *model_result_json(const model_run *r) {
    const es_model_result *m = &r->result;
    json_t *root = session_json(&r->s);
    json_object_set_new(root, "output", json_string(r->o->step.outputs[0]));
    json_object_set_new(root, "outputs", step_outputs_json(&r->o->step));
    step_add_json(&r->o->step, &r->step, root);
    json_object_set_new(root, "frames_inserted", json_integer(m->frames));
    json_object_set_new(root, "frames_with_bone", json_integer(m->frames_with_bone));
    json_object_set_new(
        root, "lines_with_bone",
        app_json_number(m->lines ? (double)m->lines_found / (double)m->lines : NAN));
    json_object_set_new(root, "bricks", json_integer((json_int_t)m->distance.bricks));
    json_object_set_new(root, "bytes", json_integer((json_int_t)m->distance.bytes));
    json_object_set_new(root, "pieces_kept", json_integer((json_int_t)m->pieces_kept));
    json_object_set_new(root, "pieces_dropped", json_integer((json_int_t)m->pieces_dropped));
    json_object_set_new(root, "triangles", json_integer((json_int_t)m->sheet.triangle_count));
    json_object_set_new(root, "sheet", app_json_check(&m->sheet_check));
    json_object_set_new(root, "solid",
                        r->o->shape.open ? json_null() : app_json_check(&m->shape.check));
    json_object_set_new(root, "thickness_mm", json_real(r->o->shape.thickness));
    shape_add_json(&r->o->shape, &m->shape, root);
    json_object_set_new(root, "read_s", json_real(r->flow.read_s));
    json_object_set_new(root, "detect_s", json_real(m->detect_s));
    json_object_set_new(root, "insert_s", json_real(m->insert_s));
    json_object_set_new(root, "surface_s", json_real(m->surface_s));
    json_object_set_new(root, "peak_memory_bytes", json_integer((json_int_t)es_memory_peak()));
    json_object_set_new(root, "stages", stages_json(r));
    json_object_set_new(root, "coverage", coverage_json(r));
    json_object_set_new(root, "seen", seen_json(&m->seen));
    json_object_set_new(root, "scatter", scatter_json(&m->scatter));
    json_object_set_new(root, "warnings", warnings_json(r));
    if (r->check.looked) {
        json_object_set_new(root, "doctor", app_json_findings(&r->check.findings));
        json_object_set_new(root, "spacing", app_json_spacing(&r->check.spacing));
    }
    if (r->has_truth) {
        json_object_set_new(root, "a_to_b", app_json_distance(&r->to_truth));
        json_object_set_new(root, "b_to_a", app_json_distance(&r->from_truth));
        json_object_set_new(root, "truth_within_1mm", app_json_number(r->truth_within_1mm));
    }
    return root;
}

static void print_model(const model_run *r, const char *path) {
    const es_shape *shape = &r->result.shape;
    es_shape_options options = shape_choose(&r->o->shape);
    char words[64];
    es_shape_words(shape, &options, words);
    printf("%s: %s", path, words);
    if (shape->check.closed) printf(", %.1f mm3", shape->check.volume_mm3);
    if (shape->left_out > 0)
        printf(", without %zu of its facets that fold (--open has them)", shape->left_out);
    if (shape->crossings > 0) printf(", %zu pairs of facets cross", shape->crossings);
    if (shape->kind == ES_SHAPE_THICKENED) printf("; what lies behind it was not measured");
    printf("\n");
}

void model_result_print(const model_run *r) {
    const es_model_result *m = &r->result;
    const model_options *o = r->o;
    if (m->lines > 0)
        printf("frames        %lld of %lld inserted, bone in %lld\n", (long long)m->frames,
               (long long)r->s.setup.survey.frames, (long long)m->frames_with_bone);
    printf("surface       %.0f mm2 in %zu piece%s, %zu small one%s dropped\n",
           m->sheet_check.area_mm2, m->pieces_kept, m->pieces_kept == 1 ? "" : "s",
           m->pieces_dropped, m->pieces_dropped == 1 ? "" : "s");
    printf("coverage      %.1f %% of what its rims enclose; %zu hole%s of %.0f mm2\n",
           100 * model_coverage(m), m->holes, m->holes == 1 ? "" : "s", m->hole_mm2);
    if (m->seen.frames)
        printf(
            "seen          half of it by %.0f frames or more; %.0f %% from one direction, %.0f %% "
            "from two, %.0f %% from more, %.0f %% from none\n",
            m->seen.frames_p50, 100 * m->seen.share[1], 100 * m->seen.share[2],
            100 * m->seen.share[3], 100 * m->seen.share[0]);
    if (m->scatter.points > 0)
        printf(
            "scatter       single frames lie %.2f mm RMS (95 %% %.2f mm) from the fused surface; "
            "%.1f %% lie off it\n",
            m->scatter.rms_mm, m->scatter.p95_mm, 100 * m->scatter.beyond);
    if (r->check.looked) {
        app_print_spacing(&r->check.spacing);
        app_print_findings(&r->check.findings);
    }
    shape_print_closed(&m->shape);
    for (int i = 0; i < OUTPUTS_MAX && o->step.outputs[i]; i++)
        if (!es_step_is_path(o->step.outputs[i])) print_model(r, o->step.outputs[i]);
    step_print(&o->step, &r->step);
    if (o->sheet) printf("%s: the seen sheet\n", o->sheet);
    if (o->volume) printf("%s: the grey volume\n", o->volume);
    if (o->field) printf("%s: the distances\n", o->field);
    if (o->report) printf("%s: the report\n", o->report);
    if (r->has_truth) {
        const es_mesh_distance *a = &r->to_truth, *b = &r->from_truth;
        printf("error against the truth (%s):\n", es_path_name(o->truth));
        printf("  surface to truth  mean %.2f  RMS %.2f  95 %% %.2f  max %.2f mm, bias %+.2f mm\n",
               a->mean_mm, a->rms_mm, a->p95_mm, a->max_mm, a->signed_mean_mm);
        printf("  truth to surface  mean %.2f  RMS %.2f  95 %% %.2f  max %.2f mm, %.0f %% within "
               "1 mm\n",
               b->mean_mm, b->rms_mm, b->p95_mm, b->max_mm, 100 * r->truth_within_1mm);
    } else {
        printf("error         not known: no truth was given (--truth)\n");
    }
}
