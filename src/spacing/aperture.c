/* The aperture of a linear array: the width between the side edges of its
 * echoes, see shape_box.c. An edge that is not straight, upright and sharp is
 * where the contact or the gain ended, not the array: the width is then a
 * lower bound. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define FLAT_FACE .5 /* share of the columns that begin in the first row */
#define SHARP_SIGMA_PX .6
#define BOUND_SIGMA .02 /* of the width, when an edge is not sharp */

static bool refuse(es_aperture_found *found, const char *why) {
    found->found = false;
    snprintf(found->why, sizeof found->why, "%s", why);
    return true;
}

static bool find_wedge(const es_still *still, const shape_box *box, es_fan_found *wedge,
                       es_error *err) {
    shape_fan coarse;
    if (!shape_wedge_coarse(&box->contour, &box->mask, box->edge[SHAPE_TOP].at,
                            box->edge[SHAPE_BOTTOM].at, &coarse, err))
        return false;
    return coarse.score <= 0 ||
           shape_fan_refine(still, &box->mask, SHAPE_LARGE, &coarse, wedge, err);
}

/* A virtual convex field: straight sides that open downwards from a flat face. */
static void take_trapezoid(const es_fan_found *fan, const shape_box *box,
                           es_aperture_found *found) {
    const es_fan *f = &fan->fan;
    double depth = box->edge[SHAPE_TOP].at - f->apex_v;
    found->left = f->apex_u + depth * tan(f->angle_start_rad) / f->aspect;
    found->right = f->apex_u + depth * tan(f->angle_stop_rad) / f->aspect;
    found->left_sharp = found->right_sharp = true;
    found->trapezoid = true;
    found->sigma = hypot(2 * SHARP_SIGMA_PX, 2 * fan->apex_sigma);
    snprintf(found->why, sizeof found->why,
             "a trapezoid: %.1f px wide at its first row, sides meeting at row %.1f",
             found->right - found->left, f->apex_v);
}

static void take_rectangle(const shape_box *box, es_aperture_found *found) {
    const shape_edge *l = &box->edge[SHAPE_LEFT], *r = &box->edge[SHAPE_RIGHT];
    double width = r->at - l->at;
    found->left = l->at;
    found->right = r->at;
    found->left_sharp = l->sharp;
    found->right_sharp = r->sharp;
    bool both = l->sharp && r->sharp;
    found->sigma = both ? SHARP_SIGMA_PX : fmax(BOUND_SIGMA * width, 2);
    snprintf(found->why, sizeof found->why, "%.1f px between the side edges%s%s%s", width,
             both ? "" : ", at least: ",
             both       ? ""
             : l->sharp ? "the right"
             : r->sharp ? "the left"
                        : "each",
             both ? "" : " one is dark, ragged or cut off");
}

bool es_aperture_find(const es_still *still, es_aperture_found *found, es_error *err) {
    memset(found, 0, sizeof *found);
    shape_box box;
    if (!shape_box_make(still, &box, err)) return false;
    bool ok = true;
    const shape_edge *e = box.edge;
    bool flat = e[SHAPE_TOP].together >= FLAT_FACE;
    bool upright = e[SHAPE_LEFT].sharp && e[SHAPE_RIGHT].sharp;
    es_fan_found fan = {0}, wedge = {0};
    if (!box.found) {
        refuse(found, box.why);
    } else if (!(upright && flat) &&
               (!find_wedge(still, &box, &wedge, err) ||
                (!wedge.found && !es_fan_find(still, &fan, err)))) {
        ok = false;
    } else if (fan.found) {
        refuse(found, "the echoes form a fan, not a rectangle");
    } else if (e[SHAPE_LEFT].border && e[SHAPE_RIGHT].border) {
        refuse(found, "the echoes run into both sides of the picture: no side edge is in it");
    } else {
        found->found = true;
        if (fan.found)
            take_trapezoid(&fan, &box, found);
        else
            take_rectangle(&box, found);
    }
    shape_box_clear(&box);
    return ok;
}
