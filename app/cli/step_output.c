/* STEP files as outputs: options, writing, words. */
#include "step_output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const step_mode_words[] = {"smooth", "faceted", "patches6", "tessellated", NULL};
const char *const step_schema_words[] = {"ap214", "ap203", "ap242", NULL};

static const char *const FACE_WORDS[] = {"smooth faces", "facets", "B-spline faces", "triangles"};

/* A file that some readers find empty is never the only one. */
static bool check_tessellated(const step_options *o, const char *who, es_error *err) {
    if (o->mode != ES_STEP_TESSELLATED || !step_first(o)) return true;
    for (int i = 0; i < OUTPUTS_MAX && o->outputs[i]; i++)
        if (!es_step_is_path(o->outputs[i])) return true;
    return es_fail(err, ES_USAGE,
                   "%s: many CAD systems find nothing in a tessellated STEP file, so it is written "
                   "only beside another model: add e.g. -o knee.3mf, or take --step smooth",
                   who);
}

bool step_check_outputs(const step_options *o, const char *who, es_error *err) {
    if (!o->outputs[0])
        return es_fail(err, ES_USAGE, "%s: name the model with -o, e.g. -o knee.stl -o knee.step",
                       who);
    for (int i = 0; i < OUTPUTS_MAX && o->outputs[i]; i++) {
        if (!es_step_is_path(o->outputs[i]) && !es_surface_can_write(o->outputs[i], err))
            return es_prefix(err, "neither STEP (.step, .stp)");
        for (int j = 0; j < i; j++)
            if (strcmp(o->outputs[i], o->outputs[j]) == 0)
                return es_fail(err, ES_USAGE, "%s is named twice with -o", o->outputs[i]);
    }
    return check_tessellated(o, who, err);
}

const char *step_first(const step_options *o) {
    for (int i = 0; i < OUTPUTS_MAX && o->outputs[i]; i++)
        if (es_step_is_path(o->outputs[i])) return o->outputs[i];
    return NULL;
}

/* SOURCE_DATE_EPOCH, or the start of 1970: the same input gives the same bytes. */
static void file_time(char text[40]) {
    int64_t seconds = 0;
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (!epoch || !es_parse_int(epoch, &seconds) || seconds < 0 || seconds > 253402300799)
        seconds = 0;
    time_t when = (time_t)seconds;
    struct tm parts;
    gmtime_r(&when, &parts);
    strftime(text, 40, "%Y-%m-%dT%H:%M:%S+00:00", &parts);
}

/* "out/left knee.step" -> "left knee". */
static void product_name(const char *path, char *name, size_t size) {
    snprintf(name, size, "%s", es_path_name(path));
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = '\0';
}

bool step_write_outputs(const step_options *o, const step_source *source, es_solid_report *report,
                        es_error *err) {
    char time_text[40], name[160];
    file_time(time_text);
    es_solid_options options = {.mode = (es_step_mode)o->mode,
                                .schema = (es_step_schema)o->schema,
                                .tolerance_mm = o->tolerance,
                                .facets = (size_t)o->facets,
                                .many_facets = o->force,
                                .open = source->open,
                                .thickness_mm = source->thickness_mm,
                                .name = name,
                                .seen = source->seen,
                                .origin = source->origin,
                                .time = time_text};
    for (int i = 0; i < OUTPUTS_MAX && o->outputs[i]; i++) {
        if (!es_step_is_path(o->outputs[i])) continue;
        product_name(o->outputs[i], name, sizeof name);
        if (!es_solid_write_step(o->outputs[i], source->sheet, &options, source->pool, report, err))
            return false;
    }
    return true;
}

static void print_distance(const char *what, const es_mesh_distance *d) {
    printf("  %s  RMS %.3f  95 %% %.3f  max %.3f mm\n", what, d->rms_mm, d->p95_mm, d->max_mm);
}

void step_print(const step_options *o, const es_solid_report *r) {
    const char *path = step_first(o);
    char bytes[32];
    if (!path) return;
    printf("%s: %zu solid%s, %zu open shell%s, %zu %s, %s\n", path, r->file.solids,
           r->file.solids == 1 ? "" : "s", r->file.shells, r->file.shells == 1 ? "" : "s",
           r->file.faces, FACE_WORDS[o->mode], app_bytes(r->file.bytes, bytes));
    if (o->mode == ES_STEP_TESSELLATED) {
        printf("  as AP242 lists of triangles, which many CAD systems do not read\n");
        return;
    }
    print_distance("faces to mesh", &r->to_mesh);
    print_distance("mesh to faces", &r->from_mesh);
    if (o->mode == ES_STEP_SMOOTH && !r->reached)
        printf("  the tolerance of %g mm was not reached with 2000 faces a piece; --step faceted "
               "has the triangles themselves\n",
               o->tolerance);
    if (o->mode == ES_STEP_PATCHES6 && !r->reached)
        printf("  the tolerance of %g mm was not reached with 48 x 48 controls a face; --step "
               "smooth may\n",
               o->tolerance);
    if (r->thickened && o->mode == ES_STEP_SMOOTH)
        printf("  thinnest place %.2f mm%s\n", r->thinnest_mm,
               r->folded ? "; the hidden side folds where the sheet bends sharply, take a smaller "
                           "--thickness"
                         : "");
    if (r->planes)
        printf("  %zu flat end%s, each one flat face with a sharp edge\n", r->planes,
               r->planes == 1 ? "" : "s");
    if (r->bridged)
        printf("  %zu hole%s of the sheet, up to %.1f mm round, closed by the patches: not "
               "measured there\n",
               r->bridged, r->bridged == 1 ? "" : "s", r->bridged_mm);
    if (r->surplus > 0)
        printf("  left out: %zu pieces past the %zu largest\n", r->surplus, ES_SOLID_PIECES_MAX);
    if (r->too_small + r->hollows > 0)
        printf("  left out: %zu pieces too small for smooth faces, %zu hollows\n", r->too_small,
               r->hollows);
}

void step_add_json(const step_options *o, const es_solid_report *r, json_t *root) {
    const char *path = step_first(o);
    if (!path) return;
    json_object_set_new(root, "deviation_mm",
                        json_pack("{s:o, s:o}", "to_mesh", app_json_distance(&r->to_mesh),
                                  "from_mesh", app_json_distance(&r->from_mesh)));
    json_object_set_new(
        root, "step",
        json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:f, s:b, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I}",
            "file", path, "mode", step_mode_words[o->mode], "solids", (json_int_t)r->file.solids,
            "shells", (json_int_t)r->file.shells, "faces", (json_int_t)r->file.faces, "bytes",
            (json_int_t)r->file.bytes, "volume_mm3",
            r->file.solids ? json_real(r->file.volume_mm3) : json_null(), "area_mm2",
            r->file.area_mm2, "thickened", r->thickened, "reached", r->reached, "thinnest_mm",
            app_json_number(r->thinnest_mm), "folded", (json_int_t)r->folded, "too_small",
            (json_int_t)r->too_small, "hollows", (json_int_t)r->hollows, "bridged",
            (json_int_t)r->bridged, "planes", (json_int_t)r->planes, "surplus",
            (json_int_t)r->surplus));
}

json_t *step_outputs_json(const step_options *o) {
    json_t *list = json_array();
    for (int i = 0; i < OUTPUTS_MAX && o->outputs[i]; i++)
        json_array_append_new(list, json_string(o->outputs[i]));
    return list;
}
