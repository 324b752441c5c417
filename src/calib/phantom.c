/* Where the holes, landmarks and threads of a printable N-wire phantom are.
 *
 * Rows of wires lie one above the other. Each stands further to the right than
 * the one above, so that no wire hides in another's shadow, and the uppermost
 * is narrower: seen from the back, in a mirror or upside down it looks
 * different, and pictures tell the view by themselves. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "echosolid/phantom.h"

es_phantom_options es_phantom_preset(es_phantom_probe probe) {
    es_phantom_options o = {.rows = 3,
                            .width = 30,
                            .length = 40,
                            .gap = 10,
                            .stagger = 3,
                            .inset = 5,
                            .above = 15,
                            .below = 15,
                            .side = 20,
                            .wall = 5,
                            .hole = 1,
                            .line = 0.3};
    if (probe == ES_PHANTOM_CURVED) {
        o.rows = 4;
        o.width = 42;
        o.length = 50;
        o.gap = 16;
        o.above = 30;
        o.below = 20;
        o.side = 28;
    } else if (probe == ES_PHANTOM_ENDOCAVITY) {
        o.width = 20;
        o.length = 30;
        o.gap = 8;
        o.stagger = 2;
        o.inset = 4;
        o.above = 10;
        o.below = 12;
    }
    return o;
}

/* ---- what goes together --------------------------------------------------------------- */

static bool at_least(const char *what, double value, double low, const char *why, es_error *err) {
    return (isfinite(value) && value >= low) ||
           es_fail(err, ES_USAGE, "phantom: %s is %g mm; expected %g or more: %s", what, value, low,
                   why);
}

static bool check(const es_phantom_options *o, es_error *err) {
    if (o->rows < 1 || o->rows > ES_PATTERNS_MAX)
        return es_fail(err, ES_USAGE, "phantom: %d rows of wires; expected 1 to %d", o->rows,
                       ES_PATTERNS_MAX);
    double across = o->stylus * 0.7072 + 1, clear = o->hole + 2;
    return at_least("the thread", o->line, 0.05, "thinner is not seen", err) &&
           at_least("a hole", o->hole, o->line + 0.2, "the thread has to go through", err) &&
           at_least("the stylus' ball", o->stylus, 0, "0 is a point", err) &&
           at_least("the inset", o->inset, clear, "holes would run into one another", err) &&
           at_least("the width", o->width, 3 * o->inset,
                    "five sixths of it are the uppermost row's, and a middle wire has to cross "
                    "over",
                    err) &&
           at_least("the gap", o->gap, clear, "holes would run into one another", err) &&
           at_least("the stagger", o->stagger, 0, "rows stand further to the right", err) &&
           at_least("the length", o->length, 25, "the probe moves between the walls", err) &&
           at_least("the wall", o->wall, fmax(4, across + 1),
                    "it bends, or a landmark's divot does not fit on it", err) &&
           at_least("above", o->above, clear, "holes would break through the top", err) &&
           at_least("below", o->below, 12, "the floor's echo would lie on the wires", err) &&
           at_least("the side", o->side, 15, "the probe moves to the sides", err);
}

/* ---- the places ------------------------------------------------------------------------- */

static void set_wire(es_phantom_design *d, int row, int column, const double x[2], double z) {
    es_wire *w = &d->wires.wires[3 * row + column];
    snprintf(w->name, sizeof w->name, "%d:%c%d_%c%d", 3 * row + column + 1, 'A' + row, column + 1,
             'a' + row, column + 1);
    w->front = es_vec3_make(x[0], d->options.wall, z);
    w->back = es_vec3_make(x[1], d->options.wall + d->options.length, z);
}

static void set_wires(es_phantom_design *d) {
    const es_phantom_options *o = &d->options;
    d->wires.patterns = o->rows;
    for (int row = 0; row < o->rows; row++) {
        double left = o->wall + o->side + o->stagger * row;
        double right = left + (row == 0 && o->rows > 1 ? o->width * 5 / 6 : o->width);
        double z = d->floor_top + o->below + o->gap * (o->rows - 1 - row);
        double near = left + o->inset, far = right - o->inset;
        bool rising = row % 2 == 0; /* its middle wire goes to the right on its way back */
        set_wire(d, row, 0, (const double[2]){left, left}, z);
        set_wire(d, row, 1, (const double[2]){rising ? near : far, rising ? far : near}, z);
        set_wire(d, row, 2, (const double[2]){right, right}, z);
    }
}

/* No two distances among them are alike enough to be confused. */
static void set_landmarks(es_phantom_design *d) {
    const es_phantom_options *o = &d->options;
    double x = d->size.x, y = d->size.y, half = 0.5 * o->wall;
    const es_vec3 at[ES_PHANTOM_LANDMARKS] = {
        {6, half, d->size.z},
        {x - 10, half, d->size.z},
        {14, y - half, d->size.z},
        {0.5 * x + 5, y - half, d->size.z},
        {x - 6, y - half, d->size.z},
        {half, o->wall + 0.3 * o->length, d->side_top},
        {x - half, o->wall + 0.65 * o->length, d->side_top},
        {o->wall + 0.5 * d->rim, o->wall + 0.5 * d->rim, d->floor_top}};
    /* a ball touches a cone of 90 degrees where its centre is sqrt(2) radii above the apex */
    double seat = 0.5 * o->stylus * 1.4142135623730951 - d->divot;
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
        d->cones[k] = at[k];
        d->landmarks[k] = es_vec3_add(at[k], es_vec3_make(0, 0, seat));
    }
}

bool es_phantom_make(const es_phantom_options *options, es_phantom_design *d, es_error *err) {
    memset(d, 0, sizeof *d);
    if (!check(options, err)) return false;
    const es_phantom_options *o = options;
    d->options = *o;
    d->floor_top = o->wall;
    d->size = es_vec3_make(2 * (o->wall + o->side) + o->width + o->stagger * (o->rows - 1),
                           2 * o->wall + o->length,
                           d->floor_top + o->below + o->gap * (o->rows - 1) + o->above);
    d->side_top = d->size.z - o->above;
    d->rim = fmin(9, o->length / 4);
    d->divot = fmax(1.5, 0.3536 * o->stylus + 0.5);
    set_wires(d);
    set_landmarks(d);
    return at_least("a divot", d->rim - 2 * d->divot, 1, "the stylus' ball is too large for it",
                    err) &&
           es_wire_match_check(&d->wires, err);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static es_vec3 hole_at(const es_phantom_design *d, int wire, bool back) {
    const es_wire *w = &d->wires.wires[wire];
    return back ? w->back : w->front;
}

static void name_hole(char name[8], int wire, bool back) {
    snprintf(name, 8, "%c%d", (back ? 'a' : 'A') + wire / 3, wire % 3 + 1);
}

static int add_step(es_phantom_step *steps, int n, int wire, const int from[2], const int to[2],
                    double length) {
    steps[n].wire = wire;
    steps[n].length = length;
    name_hole(steps[n].from, from[0], from[1]);
    name_hole(steps[n].to, to[0], to[1]);
    return n + 1;
}

int es_phantom_thread(const es_phantom_design *d, es_phantom_step steps[ES_PHANTOM_STEPS],
                      double *length_mm) {
    int n = 0, before = -1;
    bool back = false; /* where the thread comes out */
    *length_mm = 0;
    for (int k = 0; k < 3 * d->wires.patterns; k++) {
        int row = k / 3, wire = 3 * row + (row % 2 ? 2 - k % 3 : k % 3);
        const int from[2] = {wire, back}, to[2] = {wire, !back};
        if (before >= 0)
            n = add_step(
                steps, n, -1, (const int[2]){before, back}, from,
                es_vec3_length(es_vec3_sub(hole_at(d, wire, back), hole_at(d, before, back))));
        n = add_step(steps, n, wire, from, to,
                     es_vec3_length(es_vec3_sub(hole_at(d, wire, true), hole_at(d, wire, false))) +
                         2 * d->options.wall);
        back = !back;
        before = wire;
    }
    for (int k = 0; k < n; k++) *length_mm += steps[k].length;
    return n;
}
