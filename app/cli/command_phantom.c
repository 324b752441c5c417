/* echosolid phantom: an N-wire phantom to print, its wire table, and how to
 * thread it. */
#include <math.h>

#include "app.h"
#include "echosolid/calibration.h"

typedef struct phantom_command_options {
    common_options common;
    const char *output, *config_out, *guide;
    int probe;
    int64_t rows;
    double width, length, gap, stagger, inset, above, below, side, wall, hole, line, stylus;
} phantom_command_options;

static const char *const probe_words[] = {"linear", "curved", "endocavity", NULL};

#define SIZE(field, help_text)                                                                     \
    {                                                                                              \
        .name = #field, .type = OPT_NUMBER, .unit = UNIT_MM, .low = 0, .high = 500,                \
        .offset = offsetof(phantom_command_options, field), .help = help_text                      \
    }

static const opt table[] = {
    {.name = "output",
     .letter = 'o',
     .type = OPT_TEXT,
     .value = "PHANTOM.stl",
     .offset = offsetof(phantom_command_options, output),
     .help = "the solid to print"},
    {.name = "config-out",
     .type = OPT_TEXT,
     .value = "WIRES.xml",
     .offset = offsetof(phantom_command_options, config_out),
     .help = "its wires and landmarks, for --config of calibrate landmarks and calibrate nwire"},
    {.name = "guide",
     .type = OPT_TEXT,
     .value = "GUIDE.html",
     .offset = offsetof(phantom_command_options, guide),
     .help = "how to print, thread and use it, with drawings"},
    {.name = "probe",
     .type = OPT_WORD,
     .words = probe_words,
     .fallback = "linear",
     .offset = offsetof(phantom_command_options, probe),
     .help = "the array whose usual sizes are taken: linear (30 mm wide, rows to 35 mm deep), "
             "curved (42 mm, to 78 mm), endocavity (20 mm, to 26 mm)"},
    {.name = "rows",
     .type = OPT_INT,
     .low = 0,
     .high = ES_PATTERNS_MAX,
     .fallback = "0",
     .offset = offsetof(phantom_command_options, rows),
     .help = "rows of three wires, one above the other; 0: what suits the probe (3; curved 4)"},
    SIZE(width, "between the outer wires of a row (30; curved 42, endocavity 20)"),
    SIZE(length, "of the wires, from wall to wall (40; curved 50, endocavity 30)"),
    SIZE(gap, "from row to row (10; curved 16, endocavity 8)"),
    SIZE(stagger, "each row stands further to the right by this (3; endocavity 2)"),
    SIZE(inset, "of the middle wire from the outer ones at the walls (5; endocavity 4)"),
    SIZE(above, "from the uppermost wires to the walls' top (15; curved 30, endocavity 10)"),
    SIZE(below, "from the lowest wires to the floor (15; curved 20, endocavity 12)"),
    SIZE(side, "free room beside the wires (20; curved 28)"),
    SIZE(wall, "thickness of walls and floor (5)"),
    SIZE(hole, "across a hole (1)"),
    SIZE(line, "thickness of the thread (0.3)"),
    SIZE(stylus, "across the ball at the stylus' tip; 0 is a point (0)"),
    {.name = NULL}};

static const char *const examples[] = {
    "echosolid phantom -o phantom.stl --config-out wires.xml --guide guide.html",
    "echosolid phantom --probe curved --rows 5 --stylus 2 -o phantom.stl --json", NULL};

static void take(double *size, double given) {
    if (!isnan(given)) *size = given;
}

static es_phantom_options sizes(const phantom_command_options *o) {
    es_phantom_options s = es_phantom_preset((es_phantom_probe)o->probe);
    if (o->rows > 0) s.rows = (int)o->rows;
    take(&s.width, o->width);
    take(&s.length, o->length);
    take(&s.gap, o->gap);
    take(&s.stagger, o->stagger);
    take(&s.inset, o->inset);
    take(&s.above, o->above);
    take(&s.below, o->below);
    take(&s.side, o->side);
    take(&s.wall, o->wall);
    take(&s.hole, o->hole);
    take(&s.line, o->line);
    take(&s.stylus, o->stylus);
    return s;
}

/* ---- what is written -------------------------------------------------------------------- */

static bool write_config(const char *path, const es_phantom_design *design, es_error *err) {
    es_point items[ES_PHANTOM_LANDMARKS];
    es_points landmarks = {.items = items, .count = ES_PHANTOM_LANDMARKS};
    if (!path) return true;
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++) {
        snprintf(items[k].name, sizeof items[k].name, "L%d", k + 1);
        items[k].at_mm = design->landmarks[k];
    }
    es_plus *plus = es_wire_phantom_plus(&design->wires, &landmarks, err);
    bool ok = plus && es_plus_write(plus, path, err);
    es_plus_free(plus);
    return ok;
}

static bool write_guide(const phantom_command_options *o, const es_phantom_design *design,
                        const es_mesh *solid, const app_origin *origin, es_error *err) {
    if (!o->guide) return true;
    es_report *report = es_report_new("N-wire phantom", err);
    if (!report) return false;
    es_report_summary(report, "A box to print and to thread, whose wires' places are known.");
    es_report_option(report, "options", origin->options);
    bool ok =
        es_phantom_guide(report, design, solid, err) && es_report_write_html(report, o->guide, err);
    es_report_free(report);
    return ok;
}

static bool write_all(const phantom_command_options *o, const es_phantom_design *design,
                      es_error *err) {
    es_mesh solid = {0};
    app_origin origin = {.options = NULL};
    char title[80];
    bool ok = es_phantom_solid(design, &solid, err) &&
              app_origin_make(&origin, &command_phantom, o, NULL, 0, err);
    if (ok) {
        es_mesh_write_options how = {.title = title};
        app_origin_title(&origin, "N-wire phantom", title);
        ok = es_mesh_write(o->output, &solid, &how, err) &&
             write_config(o->config_out, design, err) &&
             write_guide(o, design, &solid, &origin, err);
    }
    app_origin_clear(&origin);
    es_mesh_clear(&solid);
    return ok;
}

/* ---- what is said ------------------------------------------------------------------------- */

static json_t *point_json(es_vec3 p) { return json_pack("[f, f, f]", p.x, p.y, p.z); }

static int print_json(const phantom_command_options *o, const es_phantom_design *d,
                      double thread_mm) {
    json_t *wires = json_array(), *landmarks = json_array();
    for (int w = 0; w < 3 * d->wires.patterns; w++)
        json_array_append_new(wires, json_pack("{s:s, s:o, s:o}", "name", d->wires.wires[w].name,
                                               "front_mm", point_json(d->wires.wires[w].front),
                                               "back_mm", point_json(d->wires.wires[w].back)));
    for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++)
        json_array_append_new(landmarks, point_json(d->landmarks[k]));
    return app_print_json(json_pack(
        "{s:s, s:s?, s:s?, s:o, s:o, s:o, s:f, s:f}", "output", o->output, "config", o->config_out,
        "guide", o->guide, "size_mm", point_json(d->size), "wires", wires, "landmarks_mm",
        landmarks, "thread_mm", thread_mm, "play_mm", 0.5 * (d->options.hole - d->options.line)));
}

static int print(const phantom_command_options *o, const es_phantom_design *d) {
    es_phantom_step steps[ES_PHANTOM_STEPS];
    double thread_mm;
    es_phantom_thread(d, steps, &thread_mm);
    if (o->common.json) return print_json(o, d, thread_mm);
    printf("%s: %.1f x %.1f x %.1f mm, %d rows of wires\n", o->output, d->size.x, d->size.y,
           d->size.z, d->options.rows);
    printf("wires          %.1f to %.1f mm below the walls' top\n", d->options.above,
           d->options.above + d->options.gap * (d->options.rows - 1));
    printf("thread         %.2f m without the ends; free in its holes by %.2f mm\n",
           thread_mm / 1000, 0.5 * (d->options.hole - d->options.line));
    if (o->config_out) printf("%s: wires and landmarks\n", o->config_out);
    if (o->guide) printf("%s: how to print, thread and use it\n", o->guide);
    return 0;
}

static int run(const void *options, const char *const *files, int count) {
    (void)files;
    (void)count;
    const phantom_command_options *o = options;
    es_phantom_options s = sizes(o);
    es_phantom_design design;
    es_error err = {0};
    bool ok = (o->output || es_fail(&err, ES_USAGE, "phantom: name the solid with -o")) &&
              es_mesh_can_write(o->output, &err) && es_phantom_make(&s, &design, &err) &&
              write_all(o, &design, &err);
    return ok ? print(o, &design) : app_fail(&err);
}

const command command_phantom = {
    .name = "phantom",
    .summary = "an N-wire phantom to print, its wire table, and how to thread it",
    .usage = "-o PHANTOM.stl [--config-out WIRES.xml] [--guide GUIDE.html] [options]",
    .description =
        "A box without a lid whose front and back wall carry the holes for the wires, with eight "
        "divots for the stylus and screw holes for a marker; it prints as it stands, without "
        "supports. Sizes are millimetres; those that are not given suit the probe. The solid, the "
        "wire table and the guide have the same axes: the origin is the lower front left corner. "
        "See docs/phantom.md.",
    .examples = examples,
    .options = table,
    .options_size = sizeof(phantom_command_options),
    .arguments_min = 0,
    .arguments_max = 0,
    .run = run};
