/* First and last row of the echoes: what a depth setting counts.
 *
 * In a fan these are the middle of the face and the end of the middle line.
 * In a rectangle the face is a flat first row; the last row is exact when the
 * echoes, however faint, stop there all at once. Where they run into the
 * border of the picture or fade away, nothing shows the field's end. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define FLAT_FACE .5
#define ASSUMED_SHARE .08 /* 1-sigma of rows that nothing shows */
#define EXACT_SIGMA_PX .5

enum { ABOVE = 8, LEAST_LIT = 8 };

static size_t lit_in_row(const shape_box *b, uint32_t v) {
    size_t lit = 0;
    for (uint32_t u = b->first[0]; u <= b->last[0]; u++)
        lit += shape_lit(&b->mask, u, v, SHAPE_ALL + SHAPE_LARGE);
    return lit;
}

/* Do the echoes stop all at once? The last lit row holds as much as those
 * above it. A reflector's ragged lower edge thins out over several rows. */
static bool stops_at_once(const shape_box *b) {
    uint32_t last = b->last[1];
    if (last < b->first[1] + ABOVE) return false;
    double above = 0, here = (double)lit_in_row(b, last);
    for (uint32_t k = 1; k <= ABOVE; k++) above += (double)lit_in_row(b, last - k) / ABOVE;
    return here >= LEAST_LIT && here > .55 * above;
}

static void take_fan(const es_fan_found *fan, es_rows_found *found) {
    found->found = fan->start_seen && fan->stop_seen;
    found->exact = found->found;
    found->top = fan->fan.apex_v + fan->fan.radius_start;
    found->bottom = fan->fan.apex_v + fan->fan.radius_stop;
    found->sigma = hypot(fan->radius_start_sigma, fan->radius_stop_sigma);
    if (found->found)
        snprintf(found->why, sizeof found->why,
                 "along the middle of the fan: rows %.1f to %.1f, from the face to the last echo",
                 found->top, found->bottom);
    else
        snprintf(found->why, sizeof found->why,
                 "a fan whose %s is cut off or dark: no rows to count a depth by",
                 fan->start_seen ? "end" : "face");
}

static void take_box(const shape_box *box, es_rows_found *found) {
    const shape_edge *top = &box->edge[SHAPE_TOP], *bottom = &box->edge[SHAPE_BOTTOM];
    bool face = !top->border && top->together >= FLAT_FACE;
    bool end = !bottom->border && (bottom->sharp || stops_at_once(box));
    found->found = true;
    found->top = top->at;
    found->bottom = bottom->at;
    found->exact = face && end;
    found->sigma = found->exact ? EXACT_SIGMA_PX : ASSUMED_SHARE * (found->bottom - found->top);
    snprintf(found->why, sizeof found->why, "rows %.1f to %.1f%s%s", found->top, found->bottom,
             face          ? ""
             : top->border ? "; the echoes begin at the picture's border"
                           : "; no flat face shows where they begin",
             end              ? ""
             : bottom->border ? "; they run into the picture's lower border"
                              : "; they fade away and nothing shows where the field ends");
}

bool es_rows_find(const es_still *still, es_rows_found *found, es_error *err) {
    memset(found, 0, sizeof *found);
    shape_box box;
    es_fan_found fan = {0};
    if (!shape_box_make(still, &box, err)) return false;
    const shape_edge *e = box.edge;
    bool rectangle = box.found && e[SHAPE_LEFT].sharp && e[SHAPE_RIGHT].sharp &&
                     e[SHAPE_TOP].together >= FLAT_FACE;
    bool ok = rectangle || es_fan_find(still, &fan, err);
    if (ok && fan.found)
        take_fan(&fan, found);
    else if (ok && box.found)
        take_box(&box, found);
    else if (ok)
        snprintf(found->why, sizeof found->why, "%s", box.why);
    shape_box_clear(&box);
    return ok;
}
