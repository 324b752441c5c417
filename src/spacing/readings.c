/* Evidence that has no meaning without other evidence.
 *
 * A depth setting counts millimetres, but from where? A convex face is an arc
 * whose middle is its lowest point. Some pictures count from that middle (then
 * spacing = depth / (r_out - r_in)), some show exactly the set depth from the
 * top of the picture to its bottom (spacing = depth / rows), 4 to 7 % apart.
 * The probe's radius tells which. Without it both stay possible where the fan
 * fills the picture from top to bottom.
 *
 * A ruler's step is one of half a dozen lengths, each at least twice the one
 * before: evidence good to 10 % tells which. So it does of the scan lines: once
 * or twice an element, seen as they are or folded. */
#include <math.h>
#include <string.h>

#include "resolve.h"

static es_evidence *find_item(es_evidence_list *list, const char *source) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].source, source) == 0) return &list->items[i];
    return NULL;
}

/* ---- from where the depth counts -------------------------------------------------- */

typedef struct depth_case {
    double depth_mm, rows;
    double from_height; /* mm a pixel when the depth is the picture's height */
    double height_sigma;
    bool fills; /* the fan reaches from the first to the last row */
} depth_case;

/* A shadow can hide a fan's side, so the wider one tells how high the face's
 * ends reach; three degrees of doubt remain. */
#define SIDE_DOUBT .05

static depth_case make_case(const es_fan_found *found, const es_still *still, double depth_mm,
                            double depth_sigma) {
    const es_fan *fan = &found->fan;
    double wide = fmax(fabs(fan->angle_start_rad), fabs(fan->angle_stop_rad));
    double top = fan->apex_v + fan->radius_start * cos(wide) + .5;
    double bottom = fan->apex_v + fan->radius_stop + .5;
    double slack = 4 + 2 * found->radius_stop_sigma;
    double slack_top = slack + SIDE_DOUBT * fan->radius_start * sin(wide);
    return (depth_case){.depth_mm = depth_mm,
                        .rows = still->height,
                        .from_height = depth_mm / still->height,
                        .height_sigma = hypot(.003, depth_sigma / depth_mm),
                        .fills = (!found->pinned || fabs(top) < slack_top) &&
                                 fabs(bottom - still->height) < slack};
}

static bool add_height(const depth_case *c, bool used, es_evidence_list *list, es_error *err) {
    double s = c->from_height, sigma = used ? c->height_sigma : INFINITY;
    es_evidence e = {.source = "depth-height", .group = "depth"};
    for (int a = 0; a < 2; a++) e.spacing_mm[a] = s, e.sigma[a] = sigma;
    snprintf(e.note, sizeof e.note,
             used ? "the depth of %g mm is the height of the picture: %g/%g = %.4f agrees with the "
                    "probe's radius, counting from the middle of the face does not"
                  : "%g/%g = %.4f would hold only if %g mm were the height of the picture",
             c->depth_mm, used ? c->depth_mm : c->rows, used ? c->rows : s, used ? s : c->depth_mm);
    return es_evidence_add(list, &e, err);
}

/* Both readings stay: one value between them whose interval has both. */
static void widen(es_evidence *depth, const depth_case *c) {
    double from_face = depth->spacing_mm[1];
    for (int a = 0; a < 2; a++) {
        double half = fabs(log(depth->spacing_mm[a] / c->from_height)) / 2;
        depth->spacing_mm[a] = sqrt(depth->spacing_mm[a] * c->from_height);
        depth->sigma[a] = hypot(half / 1.8, depth->sigma[a]);
    }
    snprintf(depth->note, sizeof depth->note,
             TWO_READINGS "%.4f if the depth counts from the middle of the face, %.4f if it is the "
                          "height of the picture; the name of the probe (--probe) would tell",
             from_face, c->from_height);
}

bool es_depth_readings(const es_fan_found *found, const es_still *still,
                       const es_spacing_hints *hints, es_evidence_list *list, es_error *err) {
    es_evidence *depth = find_item(list, "fan-depth"), *radius = find_item(list, "fan-radius");
    if (!found->found || !depth || !evidence_usable(depth, 1) || isnan(hints->depth_mm))
        return true;
    double depth_sigma = isnan(hints->depth_sigma_mm) ? .5 : hints->depth_sigma_mm;
    depth_case c = make_case(found, still, hints->depth_mm, depth_sigma);
    bool judged = radius && evidence_usable(radius, 1);
    double tolerance = judged ? fmax(.015, 2.5 * hypot(radius->sigma[1], depth->sigma[1])) : 0;
    double face = judged ? fabs(log(depth->spacing_mm[1] / radius->spacing_mm[1])) : 0;
    double height = judged ? fabs(log(c.from_height / radius->spacing_mm[1])) : 0;
    bool may_face = face <= tolerance, may_height = c.fills && height <= tolerance;
    if (c.fills && (!judged || (may_face && may_height))) {
        widen(depth, &c);
        return true;
    }
    if (may_height && !may_face) {
        depth->sigma[0] = depth->sigma[1] = INFINITY;
        snprintf(depth->note, sizeof depth->note,
                 "would hold if the depth counted from the middle of the face; the probe's radius "
                 "says that it does not");
        return add_height(&c, true, list, err);
    }
    return add_height(&c, false, list, err);
}

/* ---- what a ruler's step measures ---------------------------------------------------- */

enum { STEPS = 6 };
static const double steps_mm[STEPS] = {.5, 1, 2, 5, 10, 20};
/* Of rulers on real screens: the one whose truth is known is .04 % off, which its own
 * sigma covers. */
static const double ruler_floor = .0002;

/* Whether an item is close enough to tell steps apart, and says this one. */
static bool tells_step(const es_evidence *e, int axis) {
    return evidence_usable(e, axis) && e->sigma[axis] <= .1;
}

static bool supports(const es_evidence *e, int axis, double s, double doubt) {
    return fabs(log(s / e->spacing_mm[axis])) <= 3 * hypot(e->sigma[axis], doubt) + .01;
}

static bool bound_allows(const es_evidence *e, int axis, double s) {
    if (e->bound == 0 || e->suspect || !(e->spacing_mm[axis] > 0)) return true;
    return e->bound * log(s / e->spacing_mm[axis]) > -.1 - 2 * e->sigma[axis];
}

/* The picture shows most of the depth; a ruler may go on below it, not for
 * ever. */
static bool depth_allows(const es_ticks_found *f, double step, double extent, double depth_mm) {
    double s = step / f->period_px;
    return extent * s >= .8 * depth_mm && (f->count - 1) * step <= 3 * depth_mm;
}

static bool size_allows(double extent, double s) { return extent * s >= 15 && extent * s <= 450; }

/* Marks the steps that other evidence names, and says how many. A ruler along
 * u may be one of time: it must agree within the errors with something good,
 * or with the ruler along v. */
static int steps_by_evidence(const es_ticks_found *f, const es_evidence_list *list,
                             bool marked[STEPS]) {
    int count = 0;
    for (int k = 0; k < STEPS; k++) {
        double s = steps_mm[k] / f->period_px;
        bool allowed = true, named = false;
        for (size_t i = 0; i < list->count; i++) {
            const es_evidence *e = &list->items[i];
            int axis = evidence_usable(e, f->axis) ? f->axis : 1 - f->axis;
            double doubt = f->axis == 1 && axis == 0 ? .02 : 0;
            allowed = allowed && bound_allows(e, f->axis, s);
            if (tells_step(e, axis) && (f->axis == 1 || e->sigma[axis] <= .03))
                named = named || supports(e, axis, s, doubt);
        }
        marked[k] = allowed && named;
        count += marked[k];
    }
    return count;
}

/* Without a value: the picture must hold the depth, and the echoes, which are
 * bounds, must not be deeper than it. */
static int steps_by_size(const es_ticks_found *f, double extent, const es_spacing_hints *hints,
                         const es_evidence_list *list, bool marked[STEPS]) {
    int count = 0;
    for (int k = 0; k < STEPS; k++) {
        double s = steps_mm[k] / f->period_px;
        bool told = !isnan(hints->depth_mm) && f->axis == 1;
        bool allowed =
            told ? depth_allows(f, steps_mm[k], extent, hints->depth_mm) : size_allows(extent, s);
        for (size_t i = 0; i < list->count; i++)
            allowed = allowed && bound_allows(&list->items[i], f->axis, s);
        marked[k] = allowed;
        count += allowed;
    }
    return count;
}

static void describe(const es_ticks_found *f, const bool marked[STEPS], int count, bool used,
                     es_evidence *e) {
    char set[160] = "";
    for (int k = 0; k < STEPS; k++)
        if (marked[k])
            snprintf(set + strlen(set), sizeof set - strlen(set), "%s%g mm (%.4f)",
                     set[0] ? " or " : "", steps_mm[k], steps_mm[k] / f->period_px);
    snprintf(e->note, sizeof e->note, "%.200s; a step is %s%s", f->why, count ? set : "unclear",
             used ? "" : ": not used");
}

static bool add_comb(const es_ticks_found *f, const es_still *still, const es_spacing_hints *hints,
                     es_evidence_list *list, es_error *err) {
    bool marked[STEPS];
    double extent = f->axis ? still->height : still->width;
    int count = steps_by_evidence(f, list, marked);
    bool used = count == 1;
    if (count == 0) {
        count = steps_by_size(f, extent, hints, list, marked);
        used = count == 1 && f->axis == 1 && !isnan(hints->depth_mm);
    }
    es_evidence e = {.spacing_mm = {NAN, NAN}, .sigma = {INFINITY, INFINITY}};
    snprintf(e.source, sizeof e.source, f->axis ? "ticks" : "ticks-across");
    snprintf(e.group, sizeof e.group, f->axis ? "ticks" : "ticks-across");
    for (int k = 0; used && k < STEPS; k++)
        if (marked[k]) e.spacing_mm[f->axis] = steps_mm[k] / f->period_px;
    if (used) e.sigma[f->axis] = hypot(ruler_floor, f->period_sigma / f->period_px);
    describe(f, marked, count, used, &e);
    return es_evidence_add(list, &e, err);
}

bool es_ticks_evidence(const es_shapes *shapes, const es_still *still,
                       const es_spacing_hints *hints, es_evidence_list *list, es_error *err) {
    for (int axis = 1; axis >= 0; axis--)
        for (int i = 0; i < shapes->tick_count; i++)
            if (shapes->ticks[i].axis == axis) {
                if (!add_comb(&shapes->ticks[i], still, hints, list, err)) return false;
                break; /* the best one of this direction */
            }
    return true;
}

/* ---- what a scan line measures ------------------------------------------------------- */

enum { LINE_VALUES = 4 };
/* Of four recordings of an L14-5/38 and an array of 128 lines: 0 to 2 % off, the width
 * shown over the elements taken as their distance. Not below what is good enough alone:
 * other scanners have other numbers of lines. */
static const double lines_sigma = .03;

/* Elements of a linear array apart, as shown; NaN when the table does not say. */
static double element_mm(const es_probe_entry *p) {
    if (!p || p->curved) return NAN;
    if (p->aperture_mm > 0 && p->elements > 0) return p->aperture_mm / p->elements;
    return p->pitch_mm > 0 ? p->pitch_mm : NAN;
}

/* Is there anything that could name one? */
static bool asks_lines(const es_evidence_list *list) {
    for (size_t i = 0; i < list->count; i++)
        if (tells_step(&list->items[i], 0) || tells_step(&list->items[i], 1)) return true;
    return false;
}

static bool names_line(const es_evidence_list *list, double s) {
    bool named = false;
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        int axis = evidence_usable(e, 0) ? 0 : 1;
        if (!bound_allows(e, 0, s)) return false;
        named = named || (tells_step(e, axis) && supports(e, axis, s, lines_sigma));
    }
    return named;
}

bool es_lines_evidence(const es_shapes *shapes, const es_spacing_hints *hints,
                       es_evidence_list *list, es_error *err) {
    const es_lines_found *f = &shapes->lines;
    double element = element_mm(hints->probe), named = NAN;
    if (!f->found || isnan(element)) return true;
    es_evidence e = {.source = "scan-lines", .group = "probe"};
    e.spacing_mm[0] = e.spacing_mm[1] = NAN, e.sigma[0] = e.sigma[1] = INFINITY;
    char set[100] = "";
    int count = 0;
    for (int i = 0; i < LINE_VALUES; i++) {
        double s = (i % 2 ? 1 - f->per_px : f->per_px) * element / (i / 2 + 1);
        snprintf(set + strlen(set), sizeof set - strlen(set), "%s%.4f", i ? ", " : "", s);
        if (names_line(list, s)) named = s, count++;
    }
    if (count == 1) e.spacing_mm[0] = named, e.sigma[0] = lines_sigma;
    snprintf(e.note, sizeof e.note, "%.150s; once or twice an element of %.4f mm gives %s: %s",
             f->why, element, set,
             count == 1         ? "one of them agrees"
             : count > 1        ? "several agree, none is used"
             : asks_lines(list) ? "none agrees with the rest: another probe or number of lines, or "
                                  "a spacing that is off by a factor"
                                : "nothing else tells which, none is used");
    return es_evidence_add(list, &e, err);
}
