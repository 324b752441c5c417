/* What a PLUS configuration says about spacing, and writing a verdict there. */
#include <math.h>
#include <string.h>

#include "judge_internal.h"

bool judge_is_pixel_transform(const char *from, const char *to) {
    bool pixels = strcmp(from, "Image") == 0 || strstr(from, "Pixel") != NULL;
    return pixels && strstr(to, "Pixel") == NULL && strcmp(to, "Image") != 0;
}

bool judge_add_matrix(const char *where, es_mat4 matrix, es_judgement *j, es_error *err) {
    double s[2];
    for (int a = 0; a < 2; a++) s[a] = es_vec3_length(es_mat4_column(matrix, a));
    for (size_t i = 0; i < j->evidence.count; i++) {
        const es_evidence *e = &j->evidence.items[i];
        if (strcmp(e->source, "matrix") == 0 && fabs(e->spacing_mm[0] / s[0] - 1) < 1e-4 &&
            fabs(e->spacing_mm[1] / s[1] - 1) < 1e-4)
            return true;
    }
    return es_matrix_evidence(where, matrix, &j->evidence, err);
}

static bool read_transforms(const es_judge_request *r, es_judgement *j, es_error *err) {
    for (size_t i = 0; i < es_plus_transform_count(r->plus); i++) {
        es_plus_transform t;
        if (!es_plus_transform_get(r->plus, i, &t, err)) return false;
        if (!judge_is_pixel_transform(t.from, t.to)) continue;
        char where[400];
        snprintf(where, sizeof where, "%sTo%s of %.100s", t.from, t.to, r->config);
        if (!judge_add_matrix(where, t.matrix, j, err)) return false;
    }
    return true;
}

/* ---- scan conversion ------------------------------------------------------------- */

static bool add_scan_spacing(const es_plus_scan_conversion *scan, es_judgement *j, es_error *err) {
    es_evidence e = {.source = "scan-conversion", .group = "configuration"};
    if (!(scan->spacing_mm[0] > 0)) return true;
    for (int a = 0; a < 2; a++) e.spacing_mm[a] = scan->spacing_mm[a], e.sigma[a] = .05;
    size_t used = (size_t)snprintf(e.note, sizeof e.note,
                                   "ScanConversion of the configuration: picture drawn at %g x %g",
                                   scan->spacing_mm[0], scan->spacing_mm[1]);
    if (scan->depth_mm > 0)
        used +=
            (size_t)snprintf(e.note + used, sizeof e.note - used, ", depth %g mm", scan->depth_mm);
    if (scan->width_mm > 0)
        snprintf(e.note + used, sizeof e.note - used, ", transducer %g mm wide", scan->width_mm);
    return es_evidence_add_written(&j->evidence, e, err);
}

/* The probe that the configuration names, or the radius or width it gives. */
static bool take_probe(const es_judge_request *r, const es_plus_scan_conversion *scan,
                       es_judgement *j, es_error *err) {
    bool known = false;
    if (scan->transducer_name[0] &&
        !es_probe_find(scan->transducer_name, r->probes, &j->probe, &known, err))
        return false;
    double mm = scan->curvilinear ? scan->radius_start_mm : scan->width_mm;
    if (!known && mm > 0) {
        j->probe = (es_probe_entry){.curved = scan->curvilinear,
                                    .radius_mm = scan->curvilinear ? mm : NAN,
                                    .radius_sigma = .02,
                                    .aperture_mm = scan->curvilinear ? NAN : mm,
                                    .aperture_sigma = .03,
                                    .field_deg = NAN,
                                    .pitch_mm = NAN};
        snprintf(j->probe.name, sizeof j->probe.name, "%.60s",
                 scan->transducer_name[0] ? scan->transducer_name : "of the configuration");
        snprintf(j->probe.source, sizeof j->probe.source, "ScanConversion of the configuration");
        known = true;
    }
    if (!known) return true;
    j->hints.probe = &j->probe;
    return es_decisions_add(&j->decisions, err, "probe", "ScanConversion of the configuration",
                            "%s", j->probe.name);
}

/* ---- depth -------------------------------------------------------------------------- */

/* PLUS sets the scanner to this depth when it connects. */
static bool find_depth(const es_plus *plus, double *depth, es_error *err) {
    static const char *const parameter = "DataCollection/Device/UsImagingParameters/UsParameter";
    *depth = NAN;
    for (size_t i = 0; i < es_plus_element_count(plus, parameter) && isnan(*depth); i++) {
        char *name = es_plus_attribute(plus, parameter, i, "name", err);
        char *value = es_plus_attribute(plus, parameter, i, "value", err);
        if (name && value && strcmp(name, "DepthMm") == 0 && !es_parse_double(value, depth))
            *depth = NAN;
        es_free(name);
        es_free(value);
    }
    if (!(*depth >= 5 && *depth <= 500)) *depth = NAN;
    return true;
}

static bool take_depth(const es_judge_request *r, es_judgement *j, es_error *err) {
    double depth;
    if (!find_depth(r->plus, &depth, err)) return false;
    if (isnan(depth)) return true;
    j->hints.depth_mm = depth;
    return es_decisions_add(&j->decisions, err, "depth", "DepthMm of the configuration", "%g mm",
                            depth);
}

bool judge_configuration(const es_judge_request *r, es_judgement *j, es_error *err) {
    es_plus_scan_conversion scan;
    bool present = false;
    if (!r->plus) return true;
    if (!read_transforms(r, j, err) || !es_plus_scan_conversion_get(r->plus, &scan, &present, err))
        return false;
    if (present && !add_scan_spacing(&scan, j, err)) return false;
    if (present && !j->hints.probe && !take_probe(r, &scan, j, err)) return false;
    return !isnan(j->hints.depth_mm) || take_depth(r, j, err);
}

/* ---- writing ---------------------------------------------------------------------------- */

/* A matrix that says nothing but a scale: one element to each column. */
static bool means_spacing(es_mat4 m) {
    for (int c = 0; c < 3; c++) {
        es_vec3 v = es_mat4_column(m, c);
        if ((v.x != 0) + (v.y != 0) + (v.z != 0) != 1) return false;
    }
    return true;
}

/* The third column has no scale of its own: PLUS puts the mean there. The
 * origin, a place in pixels times the old scale, grows with it. */
static void rescale(es_mat4 *m, const double s[2]) {
    double to[3] = {s[0], s[1], (s[0] + s[1]) / 2};
    for (int c = 0; c < 3; c++) {
        double factor = to[c] / es_vec3_length(es_mat4_column(*m, c));
        for (int row = 0; row < 3; row++) {
            double *element = &m->m[4 * row + c];
            if (*element != 0) m->m[4 * row + 3] *= factor;
            *element *= factor;
        }
    }
}

static bool write_transforms(const double s[2], es_plus *plus, es_decisions *changes,
                             es_error *err) {
    for (size_t i = 0; i < es_plus_transform_count(plus); i++) {
        es_plus_transform t;
        if (!es_plus_transform_get(plus, i, &t, err)) return false;
        if (!judge_is_pixel_transform(t.from, t.to) || !means_spacing(t.matrix)) continue;
        char name[300];
        double old[2];
        for (int a = 0; a < 2; a++) old[a] = es_vec3_length(es_mat4_column(t.matrix, a));
        rescale(&t.matrix, s);
        snprintf(name, sizeof name, "%.30sTo%.30s", t.from, t.to);
        if (!es_plus_transform_set(plus, &t, err) ||
            !es_decisions_add(changes, err, name, "a bare scale: directions stay",
                              "%g x %g -> %.5g x %.5g mm", old[0], old[1], s[0], s[1]))
            return false;
    }
    return true;
}

static bool write_scan(const double s[2], es_plus *plus, es_decisions *changes, es_error *err) {
    es_plus_scan_conversion scan;
    bool present = false;
    if (!es_plus_scan_conversion_get(plus, &scan, &present, err)) return false;
    if (!present || !(scan.spacing_mm[0] > 0)) return true;
    double old[2] = {scan.spacing_mm[0], scan.spacing_mm[1]};
    memcpy(scan.spacing_mm, s, sizeof scan.spacing_mm);
    return es_plus_scan_conversion_set(plus, &scan, err) &&
           es_decisions_add(changes, err, "ScanConversion", "OutputImageSpacingMmPerPixel",
                            "%g x %g -> %.5g x %.5g mm", old[0], old[1], s[0], s[1]);
}

bool es_judge_write_plus(const es_spacing_verdict *verdict, es_plus *plus, es_decisions *changes,
                         es_error *err) {
    if (!verdict->known)
        return es_fail(err, ES_GEOMETRY, "the spacing is not known: nothing is written");
    size_t before = changes->count;
    if (!write_transforms(verdict->spacing_mm, plus, changes, err) ||
        !write_scan(verdict->spacing_mm, plus, changes, err))
        return false;
    return changes->count > before ||
           es_fail(err, ES_GEOMETRY,
                   "no place in the configuration means spacing alone: a measured ImageToProbe is "
                   "not rescaled, calibrate again instead");
}
