/* How to print, thread and use an N-wire phantom: a page to lay beside it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "echosolid/calibration.h"

static const double MARGIN = 12; /* mm around a drawing */
static const char *const colours[] = {"#d9480f", "#0b8f8c", "#a61e4d", "#1864ab",
                                      "#5c940d", "#862e9c", "#e67700", "#364fc7"};
enum { COLOURS = sizeof colours / sizeof *colours };

/* ---- drawings ------------------------------------------------------------------------------ */

/* Millimetres of a flat view; v runs up. */
typedef struct drawing {
    es_text svg;
    double width, height;
} drawing;

static double across(double u) { return MARGIN + u; }

static double up(const drawing *d, double v) { return MARGIN + d->height - v; }

static void begin(drawing *d, double width, double height) {
    *d = (drawing){.width = width, .height = height};
    es_text_add(&d->svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %.1f %.1f\" "
                "font-family=\"system-ui,sans-serif\" font-size=\"3\" stroke-width=\".4\">\n",
                width + 2 * MARGIN, height + 2 * MARGIN);
}

static void box(drawing *d, double u0, double v0, double u1, double v1) {
    es_text_add(&d->svg,
                "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"none\" "
                "stroke=\"currentColor\"/>\n",
                across(u0), up(d, v1), u1 - u0, v1 - v0);
}

static void line(drawing *d, const double a[2], const double b[2], const char *colour,
                 const char *dashes) {
    es_text_add(&d->svg,
                "<line x1=\"%.2f\" y1=\"%.2f\" x2=\"%.2f\" y2=\"%.2f\" stroke=\"%s\"%s/>\n",
                across(a[0]), up(d, a[1]), across(b[0]), up(d, b[1]), colour, dashes);
}

static void spot(drawing *d, const double at[2], double radius, const char *colour) {
    es_text_add(&d->svg, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"%.2f\" fill=\"%s\"/>\n",
                across(at[0]), up(d, at[1]), radius, colour);
}

static void words(drawing *d, double u, double v, const char *text) {
    es_text_add(&d->svg,
                "<text x=\"%.2f\" y=\"%.2f\" text-anchor=\"middle\" "
                "fill=\"currentColor\">%s</text>\n",
                across(u), up(d, v), text);
}

static void end(drawing *d, es_report *report, const char *caption) {
    es_text_add(&d->svg, "</svg>\n");
    if (!d->svg.failed) es_report_plot(report, caption, &d->svg);
    es_text_free(&d->svg);
}

static const char *colour_of(int wire) { return colours[wire / 3 % COLOURS]; }

static const char dashed[] = " stroke-dasharray=\"1.5 1\"";

/* A wall as it looks from outside; from the back x runs to the left. */
static void wall_place(const es_phantom_design *p, int wire, bool back, double at[2]) {
    const es_wire *w = &p->wires.wires[wire];
    at[0] = back ? p->size.x - w->back.x : w->front.x;
    at[1] = back ? w->back.z : w->front.z;
}

static void draw_runs(drawing *d, const es_phantom_design *p, bool back) {
    es_phantom_step steps[ES_PHANTOM_STEPS];
    double length;
    int n = es_phantom_thread(p, steps, &length), before = -1;
    bool at_back = false;
    for (int k = 0; k < n; k++) {
        if (steps[k].wire >= 0) {
            before = steps[k].wire;
            at_back = !at_back;
            continue;
        }
        double a[2], b[2];
        if (at_back != back) continue;
        wall_place(p, before, back, a);
        wall_place(p, steps[k + 1].wire, back, b);
        line(d, a, b, colour_of(steps[k + 1].wire), dashed);
    }
}

static void draw_wall(es_report *report, const es_phantom_design *p, bool back) {
    drawing d;
    begin(&d, p->size.x, p->size.z);
    box(&d, 0, 0, p->size.x, p->size.z);
    draw_runs(&d, p, back);
    for (int w = 0; w < 3 * p->wires.patterns; w++) {
        double at[2];
        char name[8];
        wall_place(p, w, back, at);
        spot(&d, at, 0.8, colour_of(w));
        snprintf(name, sizeof name, "%c%d", (back ? 'a' : 'A') + w / 3, w % 3 + 1);
        words(&d, at[0], at[1] + 2, name);
    }
    words(&d, 0.5 * p->size.x, p->size.z + 3, "up: the probe");
    end(&d, report,
        back ? "The back wall (three landmarks on top) from outside; dashed: thread along it"
             : "The front wall (two landmarks on top) from outside; dashed: thread along it");
}

static void draw_above(es_report *report, const es_phantom_design *p) {
    drawing d;
    double t = p->options.wall, x = p->size.x, y = p->size.y;
    begin(&d, x, y);
    box(&d, 0, 0, x, y);
    box(&d, t, t, x - t, y - t);
    for (int w = 0; w < 3 * p->wires.patterns; w++) {
        const es_wire *wire = &p->wires.wires[w];
        line(&d, (const double[2]){wire->front.x, wire->front.y},
             (const double[2]){wire->back.x, wire->back.y}, colour_of(w), "");
    }
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
        char name[8];
        snprintf(name, sizeof name, "L%d", k + 1);
        spot(&d, (const double[2]){p->cones[k].x, p->cones[k].y}, 1, "currentColor");
        words(&d, p->cones[k].x, p->cones[k].y + 2, name);
    }
    words(&d, 0.5 * x, -5, "front");
    words(&d, 0.5 * x, y + 3, "back");
    end(&d, report, "From above: wires (one colour a row) and landmarks L1 to L8");
}

/* ---- sections -------------------------------------------------------------------------------- */

/* A copy whose triangles share no corners, so that faces are drawn flat. */
static bool part_faces(const es_mesh *solid, es_mesh *parted, es_error *err) {
    size_t n = 3 * solid->triangle_count;
    *parted = (es_mesh){.vertex_count = n, .triangle_count = solid->triangle_count};
    parted->vertices = es_alloc(3 * n, sizeof *parted->vertices, err);
    parted->triangles = es_alloc(n, sizeof *parted->triangles, err);
    if (!parted->vertices || !parted->triangles) return false;
    for (size_t i = 0; i < n; i++) {
        memcpy(&parted->vertices[3 * i], &solid->vertices[3 * (size_t)solid->triangles[i]],
               3 * sizeof *parted->vertices);
        parted->triangles[i] = (uint32_t)i;
    }
    return true;
}

static bool add_view(es_report *r, const es_mesh *solid, es_error *err) {
    es_image picture = {0};
    es_mesh parted;
    es_mesh_view view = {
        .toward_eye = {0.6, -1, 0.8}, .up = {0, 0, 1}, .width = 720, .height = 560};
    bool ok = part_faces(solid, &parted, err) && es_picture_mesh(&parted, &view, &picture, err);
    if (ok) es_report_picture(r, "The solid, seen from its front", &picture);
    es_mesh_clear(&parted);
    es_image_clear(&picture);
    return ok;
}

static void add_sizes(es_report *r, const es_phantom_design *p) {
    const es_phantom_options *o = &p->options;
    char text[200];
    es_report_section(r, "Print");
    snprintf(text, sizeof text, "%.1f x %.1f x %.1f mm", p->size.x, p->size.y, p->size.z);
    es_report_row(r, "size", "Outside, x (along the holes' walls), y, z", text);
    snprintf(text, sizeof text, "%d rows, %.1f to %.1f mm below the walls' top", o->rows, o->above,
             o->above + o->gap * (o->rows - 1));
    es_report_row(r, "depth", "Wires", text);
    es_report_row(r, "how", "How",
                  "As it stands, floor down, without supports; PETG or ABS, which do not swell; "
                  "four lines of wall; holes drilled through by hand where they are tight");
    es_report_row(r, "check", "Check",
                  "Measure the outside: where it differs by more than 0.1 mm, print with the "
                  "scale corrected, for the wire table is true for this size only");
    snprintf(text, sizeof text,
             "The thread is free in its hole by %.2f mm to each side at most; a drop of glue where "
             "it leaves the wall keeps it",
             0.5 * (o->hole - o->line));
    es_report_row(r, "play", "Play", text);
}

static void add_steps(es_report *r, const es_phantom_design *p) {
    es_phantom_step steps[ES_PHANTOM_STEPS];
    double length;
    int n = es_phantom_thread(p, steps, &length);
    char key[20], label[40], text[160];
    es_report_section(r, "Thread");
    snprintf(text, sizeof text, "%.2f m of %.2f mm nylon (fishing line), in one piece",
             (length + 300) / 1000, p->options.line);
    es_report_row(r, "line", "Line, with 150 mm at either end to knot", text);
    es_report_row(r, "holes", "Names",
                  "Capital letters: front wall; small letters: back wall; A is the uppermost row; "
                  "1 to 3 from left to right, seen from the front, by wire");
    draw_wall(r, p, false);
    draw_wall(r, p, true);
    draw_above(r, p);
    for (int k = 0; k < n; k++) {
        snprintf(key, sizeof key, "step_%d", k + 1);
        snprintf(label, sizeof label, "%d: %s to %s", k + 1, steps[k].from, steps[k].to);
        if (steps[k].wire >= 0)
            snprintf(text, sizeof text, "%.1f mm, through: wire %s", steps[k].length,
                     p->wires.wires[steps[k].wire].name);
        else
            snprintf(text, sizeof text, "%.1f mm along the outside", steps[k].length);
        es_report_row(r, key, label, text);
    }
    es_report_row(r, "tighten", "Then",
                  "Pull tight from the first hole on, knot both ends outside, and see that every "
                  "wire is straight");
}

static void add_places(es_report *r, const es_phantom_design *p) {
    char key[20], text[160];
    es_report_section(r, "Landmarks");
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
        es_vec3 at = p->landmarks[k];
        char name[8];
        snprintf(key, sizeof key, "l%d", k + 1);
        snprintf(name, sizeof name, "L%d", k + 1);
        snprintf(text, sizeof text, "%.3f %.3f %.3f mm", at.x, at.y, at.z);
        es_report_row(r, key, name, text);
    }
    es_report_note(r, ES_NOTE,
                   p->options.stylus > 0
                       ? "Places of the ball's centre, as calibrate pivot finds it, in its divot."
                       : "Places of the divots' deepest points, for a pointed stylus.");
}

static void add_use(es_report *r) {
    es_report_section(r, "Use");
    es_report_row(r, "marker", "1",
                  "Screw the Reference marker to the wall at the right (two M3, 20 mm apart); it "
                  "must not move any more");
    es_report_row(r, "landmarks", "2",
                  "Touch the landmarks with the stylus: echosolid calibrate landmarks TOUCHES "
                  "--config WIRES.xml -o RIG.xml");
    es_report_row(r, "bath", "3",
                  "Into a bath, so that the walls' top is just under water, on a rubber mat; no "
                  "bubbles on the wires");
    es_report_row(r, "record", "4",
                  "Record 100 pictures or more, image plane across the wires; slide, turn and "
                  "tilt: echosolid calibrate nwire RECORDING --config RIG.xml -o DONE.xml "
                  "--report calibration.html");
}

bool es_phantom_guide(es_report *report, const es_phantom_design *design, const es_mesh *solid,
                      es_error *err) {
    add_sizes(report, design);
    if (solid && !add_view(report, solid, err)) return false;
    add_steps(report, design);
    add_places(report, design);
    add_use(report);
    return true;
}
