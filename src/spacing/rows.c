/* First and last row of the echoes: what a depth setting counts.
 *
 * In a fan these are the middle of the face and the end of the middle line.
 * In a rectangle the face is a flat first row; the last row is exact when most
 * of the columns, however faint, turn dark there all at once: a reflector's
 * lower edge is ragged, and a field that fades ends anywhere. Where the echoes
 * run into the border of the picture or fade away, nothing shows the field's
 * end, and what is lit is the least it can have. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

#define FLAT_FACE .5
#define STRAIGHT_END .6   /* share of the columns that end in the last row */
#define ASSUMED_SHARE .08 /* 1-sigma of rows that nothing shows */
#define EXACT_SIGMA_PX .5

static void take_fan(const es_fan_found *fan, const shape_box *box, es_rows_found *found) {
    double last = box->found && !fan->flipped ? box->edge[SHAPE_BOTTOM].at : NAN;
    found->exact = fan->start_seen && fan->stop_seen;
    found->top = fan->fan.apex_v + fan->fan.radius_start;
    found->bottom = fan->stop_seen ? fan->fan.apex_v + fan->fan.radius_stop : last;
    found->found = found->exact || (fan->start_seen && found->bottom > found->top);
    found->sigma = found->exact ? hypot(fan->radius_start_sigma, fan->radius_stop_sigma)
                                : ASSUMED_SHARE * (found->bottom - found->top);
    if (found->found)
        snprintf(found->why, sizeof found->why, "along the middle of the fan: rows %.1f to %.1f%s",
                 found->top, found->bottom,
                 found->exact ? ", from the face to the last echo"
                              : "; the fan goes on below what is lit or shown");
    else
        snprintf(found->why, sizeof found->why,
                 "a fan whose %s is cut off or dark: no rows to count a depth by",
                 fan->start_seen ? "end" : "face");
}

static void take_box(const shape_box *box, es_rows_found *found) {
    const shape_edge *top = &box->edge[SHAPE_TOP], *bottom = &box->edge[SHAPE_BOTTOM];
    bool face = !top->border && top->together >= FLAT_FACE;
    bool end = bottom->sharp && bottom->together >= STRAIGHT_END;
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

void shape_rows(const shape_box *box, const es_fan_found *fan, es_rows_found *found) {
    memset(found, 0, sizeof *found);
    if (fan->found)
        take_fan(fan, box, found);
    else if (box->found)
        take_box(box, found);
    else
        snprintf(found->why, sizeof found->why, "%s", box->why);
}

bool es_rows_find(const es_still *still, es_rows_found *found, es_error *err) {
    shape_box box;
    es_fan_found fan;
    memset(found, 0, sizeof *found);
    if (!es_fan_find(still, &fan, err) || !shape_box_make(still, &box, err)) return false;
    shape_rows(&box, &fan, found);
    shape_box_clear(&box);
    return true;
}
