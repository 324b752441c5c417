/* The aperture of a linear array: the width between the side edges of its
 * echoes, see shape_box.c. An edge that is not straight, upright and sharp is
 * where the contact or the gain ended, not the array: the width is then a
 * lower bound. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define WHOLE_FACE .9 /* share of the columns that begin in the first row */
#define FILLED .5
#define STRAIGHT .5 /* share of the columns that begin, or end, in one row */
#define UNEVEN .01  /* of a trapezoid's width: its beams meet this near its middle */
/* Of the width. Each end is cut at pixel centres, off by up to half a pixel, each as
 * likely. The ends of a field in the middle of its panel are cut alike: the width is off by
 * up to a pixel, evenly. Others are independent: a triangle of the same extent. Half of
 * each has 95 % within t of a pixel where t / 2 + (1 - (1 - t)^2) / 2 = .95: t = .908. */
#define SHARP_SIGMA_PX (.908 / 1.96)
#define BOUND_SIGMA .02 /* of the width, when an edge is not sharp */

enum { FACE_ROWS = 8, LEAST_FACE = 16 }; /* pixels */

static void refuse(es_aperture_found *found, const char *why) {
    found->found = false;
    snprintf(found->why, sizeof found->why, "%s", why);
}

/* Slanted sides in the echoes brighter than `above`; a wedge that was found
 * stays. */
static bool look_for_wedge(const es_still *still, const shape_box *box, float above,
                           es_fan_found *wedge, es_error *err) {
    shape_mask mask;
    shape_contour contour = {0};
    shape_fan coarse = {.score = 0};
    if (!shape_mask_make(still, above, &mask, err)) return false;
    bool ok = shape_contour_make(&mask, SHAPE_LARGE, false, &contour, err) &&
              shape_wedge_coarse(&contour, &mask, box->edge[SHAPE_TOP].at,
                                 box->edge[SHAPE_BOTTOM].at, &coarse, err);
    if (ok && coarse.score > 0)
        ok = shape_fan_refine(still, &mask, SHAPE_LARGE, &coarse, wedge, err);
    shape_contour_clear(&contour);
    shape_mask_clear(&mask);
    return ok;
}

/* Compression and noise blur a contour's corners: look higher, too. */
static bool find_wedge(const es_still *still, const shape_box *box, es_fan_found *wedge,
                       es_error *err) {
    bool ok = true;
    for (int k = 0; ok && !wedge->found && k < SHAPE_LEVELS; k++)
        ok = look_for_wedge(still, box, shape_levels[k], wedge, err);
    return ok;
}

/* A virtual convex field: straight sides that open downwards from a flat face.
 * Its beams meet above the middle of the face. Where the sides do not, one of
 * them is the last beam that had contact, not the end of the array. */
static void take_trapezoid(const es_fan_found *fan, const shape_box *box,
                           es_aperture_found *found) {
    const es_fan *f = &fan->fan;
    double depth = box->edge[SHAPE_TOP].at - f->apex_v;
    found->left = f->apex_u + depth * tan(f->angle_start_rad) / f->aspect;
    found->right = f->apex_u + depth * tan(f->angle_stop_rad) / f->aspect;
    double width = found->right - found->left;
    double lean = f->apex_u - (found->left + found->right) / 2;
    bool even = fabs(lean) < 2 + UNEVEN * width;
    found->found = found->trapezoid = true;
    found->left_sharp = even || lean > 0;
    found->right_sharp = even || lean < 0;
    found->sigma = even ? fan->width_sigma : fmax(BOUND_SIGMA * width, 2);
    snprintf(found->why, sizeof found->why,
             "a trapezoid: %.1f px wide at its first row, sides meeting at row %.1f%s", width,
             f->apex_v,
             even       ? ""
             : lean < 0 ? ", far from its middle: the left end is dark or cut off"
                        : ", far from its middle: the right end is dark or cut off");
}

/* A few reflectors in a dark field can have ends above one another: a field of
 * echoes is filled, or begins or ends in a straight row. */
static bool is_field(const shape_box *box) {
    const shape_edge *top = &box->edge[SHAPE_TOP], *bottom = &box->edge[SHAPE_BOTTOM];
    return box->filled >= FILLED || top->border || top->together >= STRAIGHT ||
           bottom->together >= STRAIGHT;
}

/* How far the first rows are lit, where an end is no edge: sides that slant
 * outwards, of a trapezoid that was not recognised, are wider than the array
 * further down. */
static void bound_by_face(const shape_box *box, es_aperture_found *found) {
    const shape_mask *m = &box->mask;
    uint32_t left = m->width, right = 0;
    for (uint32_t v = box->first[1]; v < box->first[1] + FACE_ROWS && v <= box->last[1]; v++)
        for (uint32_t u = box->first[0]; u <= box->last[0]; u++) {
            if (!shape_lit(m, u, v, SHAPE_LARGE)) continue;
            if (u < left) left = u;
            if (u > right) right = u;
        }
    if (right < left + LEAST_FACE) return;
    if (!found->left_sharp) found->left = fmax(found->left, left - .5);
    if (!found->right_sharp) found->right = fmin(found->right, right + .5);
}

static void take_rectangle(const shape_box *box, es_aperture_found *found) {
    const shape_edge *l = &box->edge[SHAPE_LEFT], *r = &box->edge[SHAPE_RIGHT];
    bool field = is_field(box);
    found->found = true;
    found->left = l->at;
    found->right = r->at;
    found->left_sharp = l->sharp && field;
    found->right_sharp = r->sharp && field;
    bool both = l->sharp && r->sharp && field;
    if (field) bound_by_face(box, found);
    double width = found->right - found->left;
    found->sigma = both ? SHARP_SIGMA_PX : fmax(BOUND_SIGMA * width, 2);
    snprintf(found->why, sizeof found->why, "%.1f px between the side edges%s%s%s", width,
             both ? "" : ", at least: ",
             both       ? ""
             : !field   ? "these are a few echoes and no field"
             : l->sharp ? "the right"
             : r->sharp ? "the left"
                        : "each",
             both || !field ? "" : " one is dark, ragged or cut off");
}

static bool is_rectangle(const shape_box *box) {
    const shape_edge *e = box->edge;
    return e[SHAPE_LEFT].sharp && e[SHAPE_RIGHT].sharp && e[SHAPE_TOP].together >= WHOLE_FACE;
}

bool shape_aperture(const es_still *still, const shape_box *box, const es_fan_found *fan,
                    es_aperture_found *found, es_error *err) {
    es_fan_found wedge = {0};
    memset(found, 0, sizeof *found);
    if (box->found && !fan->found && !is_rectangle(box) && !find_wedge(still, box, &wedge, err))
        return false;
    if (!box->found)
        refuse(found, box->why);
    else if (fan->found)
        refuse(found, "the echoes form a fan, not a rectangle");
    else if (wedge.found)
        take_trapezoid(&wedge, box, found);
    else if (box->edge[SHAPE_LEFT].border && box->edge[SHAPE_RIGHT].border)
        refuse(found, "the echoes run into both sides of the picture: no side edge is in it");
    else
        take_rectangle(box, found);
    return true;
}

bool es_aperture_find(const es_still *still, es_aperture_found *found, es_error *err) {
    shape_box box;
    es_fan_found fan;
    memset(found, 0, sizeof *found);
    if (!es_fan_find(still, &fan, err) || !shape_box_make(still, &box, err)) return false;
    bool ok = shape_aperture(still, &box, &fan, found, err);
    shape_box_clear(&box);
    return ok;
}
