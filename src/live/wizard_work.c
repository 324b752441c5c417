/* The work of a wizard on what it has collected. */
#include "wizard_work.h"

#include <math.h>
#include <string.h>

static const double DEGREE = 0.017453292519943295;

/* What the solvers ask for at least; they refuse by it, here it is shown. */
enum {
    PIVOT_POSES = 10,
    SIGNAL_PICTURES = 30,
    WIRE_PICTURES = 8,
    WALL_LINES = 20,
    SELF_PICTURES = 30
};
static const double MOST_MISS_MM = 2, WIRE_TURN_DEG = 20, SELF_TURN_DEG = 3;

/* ---- figures ---------------------------------------------------------------------------- */

static void add(wizard_figures *f, const char *what, const char *unit, double found,
                double wanted) {
    f->checks[f->count++] = (es_wizard_check){.what = what,
                                              .unit = unit,
                                              .found = found,
                                              .wanted = wanted,
                                              .enough = isnan(wanted) || found >= wanted};
}

static void add_most(wizard_figures *f, const char *what, const char *unit, double found,
                     double most) {
    if (!(found > 0)) return; /* not known yet */
    add(f, what, unit, found, most);
    f->checks[f->count - 1].at_most = true;
    f->checks[f->count - 1].enough = found <= most;
}

/* ---- the methods ------------------------------------------------------------------------- */

static bool work_pivot(es_wizard_result *r, wizard_figures *f, es_error *err) {
    es_pivot_options options = ES_PIVOT_DEFAULTS;
    es_pivot_result *p = &r->pivot;
    bool ok = es_pivot_solve(r->poses.poses, r->poses.count, &options, NULL, p, err);
    add(f, "valid poses", "", (double)r->poses.placed, PIVOT_POSES);
    add(f, "swung, in the least turned direction", "degrees", p->range_rad / DEGREE,
        options.min_range_rad / DEGREE);
    add_most(f, "tip from its fixed point, RMS", "mm", p->rms_mm, options.max_rms_mm);
    if (ok)
        add_most(f, "95 % interval of the tip, widest", "mm",
                 fmax(p->tip_ci95_mm[0], fmax(p->tip_ci95_mm[1], p->tip_ci95_mm[2])), MOST_MISS_MM);
    return ok;
}

static bool work_lag(es_source *source, es_wizard_result *r, wizard_figures *f, es_error *err) {
    es_lag_request request = {.options = ES_LAG_DEFAULTS};
    es_lag_outcome *found = &r->lag;
    bool ok = es_lag_calibrate(source, &r->poses, &request, found, err);
    add(f, "pictures", "", (double)found->pictures, SIGNAL_PICTURES);
    add(f, "with the line of a floor", "", (double)found->with_line, NAN);
    if (found->result.motion_mm > 0)
        add(f, "motion of the probe, standard deviation", found->line ? "mm" : "mm/s",
            found->result.motion_mm, NAN);
    if (found->result.share > 0)
        add(f, "of the signal explained by the poses", "%", 100 * found->result.share,
            100 * request.options.least_share);
    if (ok) add_most(f, "95 % interval of the lag", "ms", 1e3 * found->result.lag_ci95_s, NAN);
    return ok;
}

static size_t count_matched(const es_wire_recording *recording) {
    size_t count = 0;
    for (size_t i = 0; i < recording->count; i++) {
        bool any = false;
        for (int w = 0; w < ES_WIRES_MAX; w++) any = any || recording->frames[i].seen[w];
        count += any;
    }
    return count;
}

static bool work_nwire(es_source *source, const es_plus *plus, es_wizard_result *r,
                       wizard_figures *f, es_error *err) {
    es_wire_recording *wires = &r->wires;
    if (!es_wire_recording_read(source, plus, r->transform, &r->phantom, NULL, wires, err))
        return false;
    r->wire_options.lag_free = wires->poses.timed;
    r->wire_options.isotropic = r->request.isotropic;
    bool ok = es_wire_calibrate(&r->phantom, wires, NULL, &r->wire_options, &r->nwire, err);
    add(f, "pictures looked at", "", (double)wires->count, NAN);
    add(f, "with the wires told apart", "", (double)count_matched(wires), WIRE_PICTURES);
    if (!ok) return false;
    add(f, "turned over the wires", "degrees", r->nwire.motion_rad / DEGREE, WIRE_TURN_DEG);
    add_most(f, "error in blocks of time left out", "mm", r->nwire.validation.m95_mm, MOST_MISS_MM);
    add_most(f, "95 % interval of a deep point", "mm", r->nwire.result.target_ci95_mm,
             MOST_MISS_MM);
    return es_wire_judge(&r->nwire, err);
}

/* 0: found. */
static void set_spacing(const es_wizard_request *request, double spacing_mm[2]) {
    for (int k = 0; k < 2 && !isnan(request->spacing_mm); k++) spacing_mm[k] = request->spacing_mm;
}

static bool work_wall(es_source *source, es_wizard_result *r, wizard_figures *f, es_error *err) {
    es_wall_request request = {.options = ES_WALL_DEFAULTS};
    es_wall_outcome *w = &r->wall;
    request.options.isotropic = r->request.isotropic;
    set_spacing(&r->request, request.options.spacing_mm);
    bool ok = es_wall_calibrate(source, &r->poses, &request, w, err);
    add(f, "pictures looked at", "", (double)w->pictures, NAN);
    add(f, "with the floor's line", "", (double)w->with_line, WALL_LINES);
    if (!(w->result.target_ci95_mm > 0)) return ok;
    add(f, "rocked, in the picture's plane", "degrees", w->result.rock_rad / DEGREE, NAN);
    add(f, "tilted, out of it", "degrees", w->result.tilt_rad / DEGREE, NAN);
    add(f, "raised", "mm", w->result.raise_mm, NAN);
    add(f, "slid", "mm", w->result.slide_mm, NAN);
    add_most(f, "a point of the picture is known within", "mm", w->result.target_ci95_mm,
             request.options.limit_mm);
    return ok;
}

static bool work_self(es_source *source, bool whole, es_wizard_result *r, wizard_figures *f,
                      es_error *err) {
    es_self_options options = ES_SELF_DEFAULTS;
    es_self_outcome *s = &r->self;
    options.isotropic = r->request.isotropic;
    set_spacing(&r->request, options.spacing_mm);
    if (r->request.begin_at_config && r->has_earlier) options.start = r->earlier;
    bool ok = whole ? es_self_calibrate(source, &r->poses, &options, s, err)
                    : es_self_look(source, &r->poses, &options, s, err);
    add(f, "pictures", "", (double)s->pictures.count, SELF_PICTURES);
    add_most(f, "from one picture to the next", "mm", s->result.apart_mm, ES_SELF_MOST_APART_MM);
    add(f, "turned about the main axis, standard deviation", "degrees",
        s->result.turned_rad[0] / DEGREE, SELF_TURN_DEG);
    add(f, "and about a second one", "degrees", s->result.turned_rad[1] / DEGREE, SELF_TURN_DEG);
    add_most(f, "a point of the picture is known within", "mm", s->result.target_ci95_mm,
             options.limit_mm);
    return ok;
}

/* ---- which poses ------------------------------------------------------------------------- */

static bool read_poses(es_source *source, const es_plus *plus, es_wizard_result *r, es_error *err) {
    const es_wizard_request *q = &r->request;
    const char *tool = q->tool[0] ? q->tool : q->method == ES_WIZARD_PIVOT ? NULL : "Probe";
    const char *reference = q->method == ES_WIZARD_NWIRE ? "Reference" : NULL;
    return es_pose_list_choose(source, tool, reference, r->transform, err) &&
           es_pose_list_read(source, plus, r->transform, &r->poses, err) &&
           es_source_rewind(source, err);
}

bool wizard_work(es_source *source, const es_plus *plus, bool whole, es_wizard_result *r,
                 wizard_figures *f, es_error *err) {
    f->count = 0;
    if (!read_poses(source, plus, r, err)) return false;
    switch (r->request.method) {
    case ES_WIZARD_PIVOT: return work_pivot(r, f, err);
    case ES_WIZARD_LAG: return work_lag(source, r, f, err);
    case ES_WIZARD_NWIRE: return work_nwire(source, plus, r, f, err);
    case ES_WIZARD_WALL: return work_wall(source, r, f, err);
    default: return work_self(source, whole, r, f, err);
    }
}

/* ---- before and after -------------------------------------------------------------------- */

static bool prepare_wires(const es_plus *plus, es_wizard_result *r, es_error *err) {
    const char *name = r->request.phantom;
    if (!name[0] && !plus)
        return es_fail(err, ES_USAGE,
                       "which phantom? choose one, or start with --config XML that "
                       "has a PhantomDefinition");
    bool ok = name[0] ? es_wire_phantom_named(name, &r->phantom, err)
                      : es_wire_phantom_read(plus, &r->phantom, err);
    if (!ok || !es_wire_match_check(&r->phantom, err)) return false;
    r->wire_options.max_gap_s = 0.5;
    return (plus && es_plus_between(plus, "Phantom", "Reference",
                                    &r->wire_options.phantom_to_reference, NULL)) ||
           es_fail(err, ES_USAGE,
                   "where does the phantom lie? touch its landmarks (echosolid calibrate landmarks "
                   "-o placed.xml), then start with --config placed.xml");
}

bool wizard_prepare(const es_plus *plus, const es_wizard_request *request, es_wizard_result *r,
                    es_error *err) {
    double t = request->temperature_c;
    r->request = *request;
    r->speed_mps = isnan(t) ? NAN : es_water_speed(t);
    if (!isnan(t) && !(t >= 0 && t <= 95))
        return es_fail(err, ES_USAGE, "water of %g degrees: expected 0 to 95", t);
    double px = request->spacing_mm;
    if (!isnan(px) && !(px >= 0.001 && px <= 10))
        return es_fail(err, ES_USAGE, "pixels of %g mm: expected 0.001 to 10", px);
    const char *tool = request->tool[0] ? request->tool : "Probe";
    r->has_earlier = plus && es_plus_between(plus, "Image", tool, &r->earlier, NULL);
    return request->method != ES_WIZARD_NWIRE || prepare_wires(plus, r, err);
}

void wizard_result_clear(es_wizard_result *r) {
    es_pose_list_clear(&r->poses);
    es_lag_outcome_clear(&r->lag);
    es_wire_recording_clear(&r->wires);
    es_wire_outcome_clear(&r->nwire);
    es_wall_outcome_clear(&r->wall);
    es_self_outcome_clear(&r->self);
    memset(r, 0, sizeof *r);
}
