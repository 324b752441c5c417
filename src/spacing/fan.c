/* The fan of a curvilinear probe: apex, radii, angles, aspect. See
 * shape_mask.c, shape_contour.c, shape_fan_coarse.c and shape_fan_refine.c for
 * the steps. */
#include "shape_internal.h"

#include <math.h>
#include <string.h>

enum { LEAST_SIDE = 32 };

static void say(es_fan_found *found) {
    if (!found->found) return;
    const es_fan *f = &found->fan;
    snprintf(found->why, sizeof found->why,
             "fan of %.1f degrees, apex at %.1f %.1f, radii %.2f to %.2f px%s%s%s%s%s",
             (f->angle_stop_rad - f->angle_start_rad) * 57.29577951308232, f->apex_u, f->apex_v,
             f->radius_start, f->radius_stop,
             found->pinned ? "" : "; a side edge is not in the picture, so the arcs alone tell",
             found->start_seen ? "" : "; the transducer's face is cut off or dark",
             found->stop_seen ? "" : "; the last echoes are cut off or dark",
             found->ring ? "; its face seen as a bright ring" : "",
             found->flipped ? "; upside down" : "");
}

bool es_fan_find(const es_still *still, es_fan_found *found, es_error *err) {
    memset(found, 0, sizeof *found);
    if (still->width < LEAST_SIDE || still->height < LEAST_SIDE) {
        snprintf(found->why, sizeof found->why, "%u x %u pixels are too few", still->width,
                 still->height);
        return true;
    }
    shape_mask mask;
    shape_fan coarse;
    int parts;
    if (!shape_fan_search(still, &coarse, &mask, &parts, err)) return false;
    bool ok = true;
    if (coarse.score <= 0)
        snprintf(found->why, sizeof found->why,
                 "no straight side edges that meet and no concentric arcs");
    else
        ok = shape_fan_refine(still, &mask, parts, &coarse, found, err);
    if (ok && !(found->found && found->start_seen))
        ok = shape_ring_find(still, &mask, parts, found, err);
    shape_mask_clear(&mask);
    if (ok) say(found);
    return ok;
}
