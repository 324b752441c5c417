/* How many frames a region takes. */
#include "echosolid/plan.h"

#include <math.h>

static const double VOXELS_APART = 1.5, DEGREES_APART = 45, DEGREE = 57.29577951308232;

static bool check(const es_plan_request *r, es_error *err) {
    const struct {
        const char *what;
        double value, low, high;
    } numbers[] = {
        {"the region's length", r->length_mm, 1, 1e4},
        {"the region's width", r->across_mm, 0, 1e4},
        {"the depth", r->depth_mm, 1, 500},
        {"the picture's width", r->width_mm, 1, 1000},
        {"the frame rate", r->rate_hz, 0.1, 1e4},
        {"the voxel", r->voxel_mm, 0.01, 50},
        {"the overlap", r->overlap, 0, 0.9},
        {"the arc", r->arc_deg, 0, 360},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(numbers[i].value >= numbers[i].low && numbers[i].value <= numbers[i].high))
            return es_fail(err, ES_USAGE, "%s is %g; expected %g to %g", numbers[i].what,
                           numbers[i].value, numbers[i].low, numbers[i].high);
    return true;
}

bool es_plan_make(const es_plan_request *r, es_plan *plan, es_error *err) {
    *plan = (es_plan){0};
    if (!check(r, err)) return false;
    double apart = VOXELS_APART * r->voxel_mm;
    double fresh = r->width_mm * (1 - r->overlap), left = r->across_mm - r->width_mm;
    plan->frame_distance_mm = apart;
    plan->speed_mm_s = apart * r->rate_hz;
    plan->turn_deg_s = atan(apart / r->depth_mm) * DEGREE * r->rate_hz;
    plan->sweeps_across = left > 0 ? 1 + (int64_t)ceil(left / fresh - 1e-9) : 1;
    plan->directions = 1 + (int64_t)ceil(r->arc_deg / DEGREES_APART - 1e-9);
    if (r->arc_deg > 360 - DEGREES_APART) plan->directions--; /* the last is the first again */
    plan->sweeps = plan->sweeps_across * plan->directions;
    plan->frames_per_sweep = 1 + (int64_t)ceil(r->length_mm / apart - 1e-9);
    plan->frames = plan->sweeps * plan->frames_per_sweep;
    plan->seconds = (double)plan->frames / r->rate_hz;
    return true;
}
