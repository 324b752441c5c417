/* From shapes in pixels to millimetres: what a known probe or a known depth
 * makes of the fan, the aperture and the rows of the echoes.
 *
 * The sigmas: what the finders say, the probe table's doubt of a radius or a
 * width, half a millimetre of the depth setting, and the first and last samples
 * of the lines, which some scanners leave blank (up to 2.5 pixels, seen on
 * recordings): they make the face's radius too large and the last one too
 * small, one-sided, and get one pixel on the radius and .8 of one on the
 * difference: the finders' own sigmas are about what is lit. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

static const double blank_start = 1, blank_length = .8, depth_floor = .001, rows_floor = .005;

typedef struct adder {
    es_evidence_list *list;
    const es_spacing_hints *hints;
    es_error *err;
} adder;

static double depth_sigma(const es_spacing_hints *h) {
    return (isnan(h->depth_sigma_mm) ? .5 : h->depth_sigma_mm) / h->depth_mm;
}

/* ---- the fan ---------------------------------------------------------------------- */

static bool add_fan(const adder *a, const char *source, const char *group, double down,
                    double sigma, const es_fan_found *found, const char *note) {
    es_evidence e = {.spacing_mm = {down * found->fan.aspect, down}};
    e.sigma[0] = hypot(sigma, found->aspect_sigma);
    e.sigma[1] = sigma;
    e.square = found->fan.aspect == 1 && found->aspect_sigma < .005;
    snprintf(e.source, sizeof e.source, "%s", source);
    snprintf(e.group, sizeof e.group, "%s", group);
    snprintf(e.note, sizeof e.note, "%s%s", note,
             found->ring ? "; from the transducer's bright ring" : "");
    return es_evidence_add(a->list, &e, a->err);
}

static bool add_radius(const adder *a, const es_fan_found *found) {
    const es_probe_entry *p = a->hints->probe;
    double r = found->fan.radius_start;
    if (!p || !p->curved || !(p->radius_mm > 0) || !found->start_seen || !(r > 0)) return true;
    double sigma = hypot(p->radius_sigma > 0 ? p->radius_sigma : .01,
                         hypot(found->radius_start_sigma, blank_start) / r);
    char note[ES_EVIDENCE_NOTE];
    snprintf(note, sizeof note, "radius of %.60s, %g mm (%.100s), over %.2f px of the face's arc",
             p->name, p->radius_mm, p->source, r);
    return add_fan(a, "fan-radius", "probe", p->radius_mm / r, sigma, found, note);
}

static bool add_depth(const adder *a, const es_fan_found *found) {
    double length = found->fan.radius_stop - found->fan.radius_start;
    double depth = a->hints->depth_mm;
    if (isnan(depth) || !found->start_seen || !found->stop_seen || !(length > 0)) return true;
    double px = hypot(hypot(found->radius_start_sigma, found->radius_stop_sigma), blank_length);
    double sigma = hypot(hypot(depth_floor, depth_sigma(a->hints)), px / length);
    char note[ES_EVIDENCE_NOTE];
    snprintf(note, sizeof note, "depth of %g mm, from the middle of the face, over %.2f px", depth,
             length);
    return add_fan(a, "fan-depth", "depth", depth / length, sigma, found, note);
}

/* The face is not in the picture: both settings together give the last arc. */
static bool add_end(const adder *a, const es_fan_found *found) {
    const es_probe_entry *p = a->hints->probe;
    double depth = a->hints->depth_mm, r = found->fan.radius_stop;
    if (found->start_seen || !found->stop_seen || isnan(depth) || !(r > 0) || !p || !p->curved ||
        !(p->radius_mm > 0))
        return true;
    double whole = p->radius_mm + depth;
    double sigma = hypot(p->radius_mm * p->radius_sigma / whole,
                         hypot(.01, hypot(found->radius_stop_sigma, blank_start) / r));
    char note[ES_EVIDENCE_NOTE];
    snprintf(note, sizeof note,
             "radius and depth together, %g mm, over %.2f px from the apex to the last arc", whole,
             r);
    return add_fan(a, "fan-end", "depth", whole / r, sigma, found, note);
}

/* ---- the rectangle ------------------------------------------------------------------- */

static bool add_aperture(const adder *a, const es_aperture_found *found) {
    const es_probe_entry *p = a->hints->probe;
    double width = found->right - found->left;
    if (!found->found || !p || p->curved || !(p->aperture_mm > 0) || !(width > 0)) return true;
    bool whole = found->left_sharp && found->right_sharp;
    double table = p->aperture_sigma > 0 ? p->aperture_sigma : .01;
    es_evidence e = {.source = "aperture", .group = "probe", .spacing_mm = {NAN, NAN}};
    e.spacing_mm[0] = p->aperture_mm / width;
    e.sigma[0] = hypot(table, fmax(found->sigma, 1) / width);
    e.sigma[1] = INFINITY;
    e.bound = whole ? 0 : -1;
    snprintf(e.note, sizeof e.note, "width of %.60s, %g mm (%.120s), over %.1f px%s", p->name,
             p->aperture_mm, p->source, width,
             whole ? "" : "; an edge is dark or cut off, so that a pixel is at most this");
    return es_evidence_add(a->list, &e, a->err);
}

static bool add_rows(const adder *a, const es_rows_found *found) {
    double rows = found->bottom - found->top, depth = a->hints->depth_mm;
    if (!found->found || isnan(depth) || !(rows > 0)) return true;
    es_evidence e = {.source = "depth-rows", .group = "depth", .spacing_mm = {NAN, depth / rows}};
    e.sigma[0] = INFINITY;
    e.sigma[1] = hypot(hypot(rows_floor, depth_sigma(a->hints)), fmax(found->sigma, 1) / rows);
    e.bound = found->exact ? 0 : -1;
    snprintf(e.note, sizeof e.note, "depth of %g mm over %.1f rows (%.250s)%s", depth, rows,
             found->why,
             found->exact ? "" : "; the field may go on, so that a pixel is at most this");
    return es_evidence_add(a->list, &e, a->err);
}

bool es_shape_evidence(const es_shapes *shapes, const es_spacing_hints *hints,
                       es_evidence_list *list, es_error *err) {
    adder a = {list, hints, err};
    const es_fan_found *fan = &shapes->fan;
    if (fan->found && !(add_radius(&a, fan) && add_depth(&a, fan) && add_end(&a, fan)))
        return false;
    return add_aperture(&a, &shapes->aperture) &&
           ((fan->found && shapes->rows.exact) || add_rows(&a, &shapes->rows));
}

bool es_shapes_find(const es_still *still, es_shapes *shapes, es_error *err) {
    shape_box box;
    if (!es_fan_find(still, &shapes->fan, err) || !shape_box_make(still, &box, err)) return false;
    bool ok = shape_aperture(still, &box, &shapes->fan, &shapes->aperture, err);
    if (ok) shape_rows(&box, &shapes->fan, &shapes->rows);
    if (ok) ok = shape_lines(still, &box, &shapes->fan, &shapes->lines, err);
    memcpy(shapes->views, box.views, sizeof shapes->views);
    shape_box_clear(&box);
    return ok && es_ticks_find(still, shapes->ticks, &shapes->tick_count, err);
}
