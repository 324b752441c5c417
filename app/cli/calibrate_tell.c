/* The results of calibrations, in words and as JSON. */
#include "calibrate_tell.h"

#include <math.h>
#include <string.h>

#include "echosolid/spacing.h"

static const double DEGREE = 0.017453292519943295;

int tell_print(es_text *text) {
    bool ok = !text->failed && text->bytes && fputs(text->bytes, stdout) != EOF;
    es_text_free(text);
    if (!ok) fprintf(stderr, "echosolid: the result could not be written\n");
    return ok ? 0 : 1;
}

void tell_matrix(es_text *out, const char *name, es_mat4 m) {
    es_text_add(out, "%s\n", name);
    for (int r = 0; r < 4; r++)
        es_text_add(out, "  %12.6f %12.6f %12.6f %12.4f\n", m.m[4 * r], m.m[4 * r + 1],
                    m.m[4 * r + 2], m.m[4 * r + 3]);
}

void tell_print_matrix(const char *name, es_mat4 matrix) {
    es_text text = {0};
    tell_matrix(&text, name, matrix);
    tell_print(&text);
}

static json_t *numbers_json(const double *values, int count) {
    json_t *list = json_array();
    for (int k = 0; k < count; k++) json_array_append_new(list, app_json_number(values[k]));
    return list;
}

static json_t *parameter_json(const char *name, const char *unit, double ci95, bool determined) {
    return json_pack("{s:s, s:s, s:o, s:b}", "parameter", name, "unit", unit, "ci95",
                     app_json_number(ci95), "determined", determined);
}

static void tell_vague(es_text *out, const char *name, const char *unit, double ci95) {
    es_text_add(out, "NOT DETERMINED %s: +- %.2g %s\n", name, ci95, unit);
}

static void warn_of_miss(es_text *out, double ci95_mm) {
    if (ci95_mm > 1)
        es_text_add(out, "WARNING        more than 1 mm: good enough for a first look only\n");
}

/* ---- pivot --------------------------------------------------------------------------- */

json_t *tell_pivot_json(const char *transform, const es_pivot_result *r) {
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "transform", transform,
        "tip_mm", calibrate_json_vector(r->tip_mm), "tip_ci95_mm", numbers_json(r->tip_ci95_mm, 3),
        "tip_to_marker", calibrate_json_matrix(r->tip_to_marker), "pivot_mm",
        calibrate_json_vector(r->pivot_mm), "rms_mm", app_json_number(r->rms_mm), "largest_mm",
        app_json_number(r->largest_mm), "range_deg", app_json_number(r->range_rad / DEGREE),
        "condition", app_json_number(r->condition), "poses", (json_int_t)r->poses, "poses_used",
        (json_int_t)r->used, "poses_rejected", (json_int_t)(r->poses - r->used));
}

void tell_pivot(es_text *out, const char *transform, const es_pivot_result *r) {
    char tool[ES_NAME_SIZE] = "", to[ES_NAME_SIZE] = "";
    es_transform_name_split(transform, tool, to, NULL);
    es_text_add(out, "tip in %s    %.3f  %.3f  %.3f mm\n", tool, r->tip_mm.x, r->tip_mm.y,
                r->tip_mm.z);
    es_text_add(out, "95 %% interval  +-%.3f +-%.3f +-%.3f mm\n", r->tip_ci95_mm[0],
                r->tip_ci95_mm[1], r->tip_ci95_mm[2]);
    es_text_add(out, "fixed point    %.2f  %.2f  %.2f mm in %s\n", r->pivot_mm.x, r->pivot_mm.y,
                r->pivot_mm.z, to);
    es_text_add(out, "residual       RMS %.3f mm, largest %.3f mm\n", r->rms_mm, r->largest_mm);
    if (r->rms_mm > 1)
        es_text_add(out,
                    "WARNING        more than 1 mm: the tip slipped, or the marker is loose\n");
    es_text_add(out, "poses          %zu used of %zu, %zu outliers left out\n", r->used, r->poses,
                r->outliers);
    es_text_add(out, "motion         %.1f degrees in the least turned direction, condition %.1f\n",
                r->range_rad / DEGREE, r->condition);
    if (r->range_rad / DEGREE < 30)
        es_text_add(
            out, "next           swing wider: at 60 degrees the interval is about half as wide\n");
    tell_matrix(out,
                "tip to marker (z along the shaft, from the marker to the tip):", r->tip_to_marker);
}

/* ---- lag ----------------------------------------------------------------------------- */

json_t *tell_lag_json(const char *transform, const es_lag_outcome *found) {
    const es_image_signal *signal = &found->signal;
    const es_lag_result *r = &found->result;
    return json_pack(
        "{s:o, s:o, s:s, s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:b, s:[o, o]}", "lag_s",
        app_json_number(r->lag_s), "lag_ci95_s", app_json_number(r->lag_ci95_s), "signal",
        signal->unit, "transform", transform, "pictures", (json_int_t)signal->count,
        "pictures_with_signal", (json_int_t)signal->found, "samples", (json_int_t)r->samples,
        "share_explained", app_json_number(r->share), "share_explained_without_lag",
        app_json_number(r->share_unshifted), "residual_px", app_json_number(r->residual),
        "motion_mm", app_json_number(r->motion_mm), "drifts", r->drifts, "lag_of_halves_s",
        app_json_number(r->half_lag_s[0]), app_json_number(r->half_lag_s[1]));
}

void tell_lag(es_text *out, const char *transform, const es_lag_outcome *found) {
    const es_image_signal *signal = &found->signal;
    const es_lag_result *r = &found->result;
    es_text_add(out,
                "lag            %+.4f s +- %.4f (95 %%): the tracker's stamp minus the video's for "
                "one event\n",
                r->lag_s, r->lag_ci95_s);
    es_text_add(out, "signal         %s, found in %zu of %zu pictures\n", signal->unit,
                signal->found, signal->count);
    es_text_add(
        out,
        "explained      %.1f %% of the signal's variance at this lag, %.1f %% at 0; residual "
        "%.2f\n",
        100 * r->share, 100 * r->share_unshifted, r->residual);
    es_text_add(out, "motion         %.1f %s of %s (standard deviation)\n", r->motion_mm,
                found->line ? "mm" : "mm/s", transform);
    if (r->drifts)
        es_text_add(out,
                    "WARNING        the halves disagree: %+.3f and %+.3f s; two lags in one "
                    "recording, or drifting clocks\n",
                    r->half_lag_s[0], r->half_lag_s[1]);
    if (r->lag_ci95_s > 0.02)
        es_text_add(out, "next           record a minute of faster, irregular motion: the interval "
                         "narrows\n");
}

/* ---- N-wire ---------------------------------------------------------------------------- */

static json_t *wire_rejects_json(const es_wire_reject *rejects, size_t count) {
    json_t *list = json_array();
    for (size_t k = 0; k < count; k++)
        json_array_append_new(list,
                              json_pack("{s:I, s:s, s:s}", "index", (json_int_t)rejects[k].index,
                                        "step", rejects[k].step, "reason", rejects[k].reason));
    return list;
}

static void add_sound(json_t *root, const told_nwire *told) {
    double tissue[2], speed = isnan(told->speed_mps) ? es_water_speed(20) : told->speed_mps;
    es_wire_tissue_spacing(told->outcome->result.spacing_mm, speed, tissue);
    json_object_set_new(root, "bath_speed_mps", app_json_number(speed));
    json_object_set_new(root, "bath_speed_assumed", json_boolean(isnan(told->speed_mps)));
    json_object_set_new(root, "spacing_tissue_mm", numbers_json(tissue, 2));
}

static void add_validation(json_t *root, const told_nwire *told) {
    const es_wire_outcome *w = told->outcome;
    json_object_set_new(root, "validation_frames", json_integer((json_int_t)w->validation.frames));
    json_object_set_new(root, "validation_frames_rejected",
                        wire_rejects_json(w->validation_rejects, w->validation_reject_count));
    json_object_set_new(root, "cross_validated", json_boolean(w->cross_validated));
    json_object_set_new(root, "lag_fixed", json_boolean(!told->lag_free));
    json_object_set_new(root, "lag_if_free_s", app_json_number(w->lag_free_s));
    json_object_set_new(root, "lag_of_halves_s", numbers_json(w->half_lag_s, 2));
    json_object_set_new(root, "two_lags", json_boolean(w->two_lags));
}

json_t *tell_nwire_json(const told_nwire *told) {
    const es_wire_outcome *w = told->outcome;
    const es_wire_result *s = &w->result;
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "image_to_probe",
        calibrate_json_matrix(s->image_to_probe), "spacing_mm", numbers_json(s->spacing_mm, 2),
        "lag_s", app_json_number(s->lag_s), "lag_ci95_s", app_json_number(s->lag_ci95_s),
        "calibration_m95_mm", app_json_number(s->calibration.m95_mm), "validation_m95_mm",
        app_json_number(w->validation.m95_mm), "validation_2d_rms_mm",
        app_json_number(w->validation.rms_2d_mm), "frames_used", (json_int_t)s->frames_used,
        "frames_rejected", wire_rejects_json(w->rejects, w->reject_count));
    add_validation(root, told);
    json_object_set_new(root, "spacing_ci95_mm", numbers_json(s->spacing_ci95_mm, 2));
    json_object_set_new(root, "translation_ci95_mm", numbers_json(s->translation_ci95_mm, 3));
    json_object_set_new(root, "rotation_ci95_rad", numbers_json(s->rotation_ci95_rad, 3));
    json_object_set_new(root, "target_ci95_mm", app_json_number(s->target_ci95_mm));
    json_object_set_new(root, "rotation_range_rad", app_json_number(w->motion_rad));
    json_object_set_new(root, "next", json_string(w->next));
    add_sound(root, told);
    if (told->earlier) {
        es_wire_difference d = es_wire_compare(s->image_to_probe, *told->earlier, told->middle_px);
        json_object_set_new(root, "differs_from_config_mm", app_json_number(d.middle_mm));
        json_object_set_new(root, "opposite_x", json_boolean(d.opposite_x));
    }
    return root;
}

static void tell_rejects(es_text *out, const es_wire_outcome *w) {
    size_t shown = 0;
    for (size_t k = 0; k < w->reject_count && shown < 5; k++, shown++)
        es_text_add(out, "  frame %-5lld %-6s %s\n", (long long)w->rejects[k].index,
                    w->rejects[k].step, w->rejects[k].reason);
    if (shown < w->reject_count)
        es_text_add(out, "  and %zu more (--json has all)\n", w->reject_count - shown);
}

void tell_nwire(es_text *out, const told_nwire *told) {
    const es_wire_outcome *w = told->outcome;
    const es_wire_result *s = &w->result;
    es_text_add(out, "frames         %zu used of %zu\n", s->frames_used, told->count);
    tell_rejects(out, w);
    es_text_add(out,
                "%s %.3f mm (mean of the best 95 %%, 3-D), %.3f mm RMS in the picture's plane\n",
                w->cross_validated ? "cross-validated" : "validation    ", w->validation.m95_mm,
                w->validation.rms_2d_mm);
    es_text_add(out, "calibration    %.3f mm\n", s->calibration.m95_mm);
    if (told->lag_free)
        es_text_add(out, "lag            %+.4f s +- %.4f: the tracker's stamp minus the video's\n",
                    s->lag_s, s->lag_ci95_s);
    else
        es_text_add(out, "lag            %+.4f s, held; free it would be %+.4f s\n", s->lag_s,
                    w->lag_free_s);
    es_text_add(out,
                "spacing        %.5f +- %.5f mm across, %.5f +- %.5f mm in depth (in the bath)\n",
                s->spacing_mm[0], s->spacing_ci95_mm[0], s->spacing_mm[1], s->spacing_ci95_mm[1]);
    if (told->earlier) {
        es_wire_difference d = es_wire_compare(s->image_to_probe, *told->earlier, told->middle_px);
        es_text_add(out, "against config %.2f mm at the picture's middle%s\n", d.middle_mm,
                    d.opposite_x ? "; the x axes point OPPOSITE ways: mirrored pictures?" : "");
    }
    tell_matrix(out, "image to probe:", s->image_to_probe);
    es_text_add(out, "next           %s\n", w->next);
}

/* ---- wall -------------------------------------------------------------------------------- */

told_wall tell_wall_make(const char *transform, const es_wall_outcome *found, double speed_mps,
                         double face_px) {
    told_wall told = {.transform = transform, .found = found, .face_px = face_px};
    told.assumed = isnan(speed_mps);
    told.speed_mps = told.assumed ? es_water_speed(20) : speed_mps;
    told.tissue = es_wall_tissue(&found->result, told.speed_mps, face_px, told.tissue_mm);
    return told;
}

es_mat4 tell_wall_matrix(const told_wall *told) {
    return told->assumed ? told->found->result.image_to_probe : told->tissue;
}

static json_t *wall_rejects_json(const es_wall_outcome *found) {
    json_t *list = json_array();
    for (size_t i = 0; i < found->reject_count; i++) {
        const es_wall_reject *r = &found->rejects[i];
        json_array_append_new(list, json_pack("{s:I, s:s, s:s}", "index", (json_int_t)r->index,
                                              "step", r->step, "reason", r->reason));
    }
    return list;
}

static json_t *wall_parameters_json(const es_wall_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->parameter_count; k++) {
        const es_wall_parameter *p = &r->parameters[k];
        json_array_append_new(list, parameter_json(p->name, p->unit, p->ci95, p->determined));
    }
    return list;
}

static json_t *wall_missing_json(const es_wall_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->missing_count; k++)
        json_array_append_new(list, json_string(es_wall_motion_text(r->missing[k])));
    return list;
}

json_t *tell_wall_json(const told_wall *told) {
    const es_wall_result *r = &told->found->result;
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o}", "image_to_probe",
        calibrate_json_matrix(r->image_to_probe), "spacing_mm", numbers_json(r->spacing_mm, 2),
        "spacing_ci95_mm", numbers_json(r->spacing_ci95_mm, 2), "lag_s", app_json_number(r->lag_s),
        "lag_ci95_s", app_json_number(r->lag_ci95_s), "translation_ci95_mm",
        numbers_json(r->translation_ci95_mm, 3), "rotation_ci95_rad",
        numbers_json(r->rotation_ci95_rad, 3), "rms_mm", app_json_number(r->rms_mm),
        "target_ci95_mm", app_json_number(r->target_ci95_mm), "condition",
        app_json_number(r->condition), "frames_used", (json_int_t)r->frames_used, "frames_rejected",
        wall_rejects_json(told->found), "observability", wall_parameters_json(r), "missing_motions",
        wall_missing_json(r));
    json_object_set_new(
        root, "motion",
        json_pack("{s:o, s:o, s:o, s:o}", "rock_deg", app_json_number(r->rock_rad / DEGREE),
                  "tilt_deg", app_json_number(r->tilt_rad / DEGREE), "raise_mm",
                  app_json_number(r->raise_mm), "slide_mm", app_json_number(r->slide_mm)));
    json_object_set_new(root, "floor",
                        json_pack("{s:o, s:o}", "normal", calibrate_json_vector(r->floor_normal),
                                  "distance_mm", app_json_number(r->floor_mm)));
    json_object_set_new(root, "transform", json_string(told->transform));
    json_object_set_new(root, "speed_m_s", app_json_number(told->speed_mps));
    json_object_set_new(root, "bath_speed_assumed", json_boolean(told->assumed));
    json_object_set_new(root, "spacing_tissue_mm", numbers_json(told->tissue_mm, 2));
    json_object_set_new(root, "image_to_probe_tissue", calibrate_json_matrix(told->tissue));
    return root;
}

static void tell_wall_motion(es_text *out, const es_wall_result *r) {
    es_text_add(out,
                "motion         rocked %.0f, tilted %.0f degrees, raised %.0f mm, slid %.0f mm\n",
                r->rock_rad / DEGREE, r->tilt_rad / DEGREE, r->raise_mm, r->slide_mm);
    for (int k = 0; k < r->parameter_count; k++)
        if (!r->parameters[k].determined)
            tell_vague(out, r->parameters[k].name, r->parameters[k].unit, r->parameters[k].ci95);
    for (int k = 0; k < r->missing_count; k++)
        es_text_add(out, "next           record again and also %s\n",
                    es_wall_motion_text(r->missing[k]));
}

void tell_wall(es_text *out, const told_wall *told) {
    const es_wall_result *r = &told->found->result;
    tell_matrix(out, "ImageToProbe (as in the bath)", r->image_to_probe);
    es_text_add(out, "spacing        %.5f +- %.5f, %.5f +- %.5f mm (95 %%) in the bath\n",
                r->spacing_mm[0], r->spacing_ci95_mm[0], r->spacing_mm[1], r->spacing_ci95_mm[1]);
    es_text_add(out,
                "tissue         %.5f, %.5f mm at 1540 m/s (%s: %.1f m/s; linear array; face in row "
                "%g)\n",
                told->tissue_mm[0], told->tissue_mm[1],
                told->assumed ? "no --temperature or --speed, so water of 20 C" : "bath",
                told->speed_mps, told->face_px);
    es_text_add(out, "lag            %+.4f s +- %.4f (95 %%)\n", r->lag_s, r->lag_ci95_s);
    es_text_add(
        out,
        "expected miss  within %.2f mm (95 %%) of a point where the lines lie; %.2f mm left "
        "in %zu pictures\n",
        r->target_ci95_mm, r->rms_mm, r->frames_used);
    es_text_add(out, "left out       %zu of %zu pictures\n", told->found->reject_count,
                told->found->pictures);
    tell_wall_motion(out, r);
    warn_of_miss(out, r->target_ci95_mm);
}

/* ---- self -------------------------------------------------------------------------------- */

static json_t *self_parameters_json(const es_self_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->parameter_count; k++) {
        const es_self_parameter *p = &r->parameters[k];
        json_array_append_new(list, parameter_json(p->name, p->unit, p->ci95, p->determined));
    }
    return list;
}

static json_t *self_starts_json(const es_self_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->start_count; k++)
        json_array_append_new(list, json_pack("{s:s, s:o}", "start", r->starts[k].name, "misfit",
                                              app_json_number(r->starts[k].misfit)));
    return list;
}

static json_t *self_missing_json(const es_self_result *r) {
    json_t *list = json_array();
    for (int k = 0; k < r->missing_count; k++)
        json_array_append_new(list, json_string(es_self_motion_text(r->missing[k])));
    return list;
}

json_t *tell_self_json(const char *transform, const es_self_result *r) {
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s}",
        "image_to_probe", calibrate_json_matrix(r->image_to_probe), "spacing_mm",
        numbers_json(r->spacing_mm, 2), "spacing_ci95_mm", numbers_json(r->spacing_ci95_mm, 2),
        "lag_s", app_json_number(r->lag_s), "lag_ci95_s", app_json_number(r->lag_ci95_s),
        "translation_ci95_mm", numbers_json(r->translation_ci95_mm, 3), "rotation_ci95_rad",
        numbers_json(r->rotation_ci95_rad, 3), "target_ci95_mm", app_json_number(r->target_ci95_mm),
        "agreement", app_json_number(r->agreement), "held_out_agreement",
        app_json_number(r->held_out), "held_out_mm", app_json_number(r->held_out_mm), "overlap",
        app_json_number(r->overlap), "frames_used", (json_int_t)r->frames_used, "observability",
        self_parameters_json(r), "missing_motions", self_missing_json(r), "starts",
        self_starts_json(r), "compared", r->surface ? "surface" : "edges and spots");
    json_object_set_new(root, "rival_mm", app_json_number(r->rival_mm));
    json_object_set_new(root, "transform", json_string(transform));
    json_object_set_new(
        root, "motion",
        json_pack("{s:o, s:o, s:o, s:o}", "tilt_deg", app_json_number(r->tilt_rad / DEGREE),
                  "rock_deg", app_json_number(r->rock_rad / DEGREE), "turn_deg",
                  app_json_number(r->turn_rad / DEGREE), "slide_mm", app_json_number(r->slide_mm)));
    return root;
}

static void tell_self_motion(es_text *out, const es_self_result *r) {
    es_text_add(out, "motion         tilted %.0f, rocked %.0f, turned %.0f degrees, slid %.0f mm\n",
                r->tilt_rad / DEGREE, r->rock_rad / DEGREE, r->turn_rad / DEGREE, r->slide_mm);
    for (int k = 0; k < r->parameter_count; k++)
        if (!r->parameters[k].determined)
            tell_vague(out, r->parameters[k].name, r->parameters[k].unit, r->parameters[k].ci95);
    for (int k = 0; k < r->missing_count; k++)
        es_text_add(out, "next           %s\n", es_self_motion_text(r->missing[k]));
}

void tell_self(es_text *out, const es_self_result *r) {
    tell_matrix(out, "ImageToProbe", r->image_to_probe);
    es_text_add(out, "spacing        %.5f +- %.5f, %.5f +- %.5f mm (95 %%)\n", r->spacing_mm[0],
                r->spacing_ci95_mm[0], r->spacing_mm[1], r->spacing_ci95_mm[1]);
    es_text_add(out, "lag            %+.4f s +- %.4f (95 %%)\n", r->lag_s, r->lag_ci95_s);
    es_text_add(out, "expected miss  within %.2f mm (95 %%) of a point of the picture\n",
                r->target_ci95_mm);
    es_text_add(
        out,
        "agreement      %.2f where passes overlap (%.0f %% of the places), %.2f in what was "
        "not fitted to; compared: %s\n",
        r->agreement, 100 * r->overlap, r->held_out, r->surface ? "surface" : "edges and spots");
    for (int k = 0; k < r->start_count; k++)
        es_text_add(out, "start          %s: misfit %.2f\n", r->starts[k].name,
                    r->starts[k].misfit);
    tell_self_motion(out, r);
    warn_of_miss(out, r->target_ci95_mm);
}
