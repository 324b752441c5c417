/* What the commands share. */
#include "app.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

int app_fail(const es_error *err) {
    app_progress_end();
    fprintf(stderr, "echosolid: %s\n", err->message);
    return err->code == ES_USAGE ? 2 : 1;
}

/* ---- progress ------------------------------------------------------------ */

static bool bar_shown;
static double bar_last;

static void draw_bar(void *context, const char *what, double done, double total) {
    (void)context;
    double now = es_clock_s();
    if (bar_shown && now - bar_last < 0.1 && done < total) return;
    bar_last = now;
    bar_shown = true;
    if (!(total > 0)) {
        fprintf(stderr, "\r%-24s %.0f ", what, done);
        return;
    }
    char bar[31] = {0};
    int filled = (int)fmin(30, 30 * done / total);
    memset(bar, '#', (size_t)filled);
    fprintf(stderr, "\r%-24s [%-30s] %3.0f %% ", what, bar, fmin(100, 100 * done / total));
}

const es_progress *app_progress(const common_options *common) {
    static const es_progress bar = {.step = draw_bar};
    return !common->quiet && isatty(STDERR_FILENO) ? &bar : NULL;
}

void app_progress_end(void) {
    if (bar_shown) fputs("\r\033[K", stderr);
    bar_shown = false;
}

void app_note(const common_options *common, const char *format, ...) {
    if (common->quiet) return;
    app_progress_end();
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

void app_decisions(const common_options *common, const es_decisions *decisions) {
    for (size_t i = 0; i < decisions->count; i++) {
        const es_decision *d = &decisions->items[i];
        app_note(common, "  %-16s %-36s (%s)", d->what, d->value, d->why);
    }
}

/* ---- JSON ------------------------------------------------------------------ */

int app_print_json(json_t *root) {
    bool ok = root && json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) == 0;
    json_decref(root);
    ok = ok && fputc('\n', stdout) != EOF && fflush(stdout) == 0;
    if (!ok) fprintf(stderr, "echosolid: the JSON result could not be written\n");
    return ok ? 0 : 1;
}

json_t *app_json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

json_t *app_json_decisions(const es_decisions *decisions) {
    json_t *array = json_array();
    for (size_t i = 0; i < decisions->count; i++) {
        const es_decision *d = &decisions->items[i];
        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s}", "what", d->what, "value", d->value, "why", d->why));
    }
    return array;
}

json_t *app_json_distance(const es_mesh_distance *d) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "mean_mm", app_json_number(d->mean_mm),
                     "rms_mm", app_json_number(d->rms_mm), "p95_mm", app_json_number(d->p95_mm),
                     "max_mm", app_json_number(d->max_mm), "signed_mean_mm",
                     app_json_number(d->signed_mean_mm), "samples", (json_int_t)d->samples);
}

json_t *app_json_check(const es_mesh_check *c) {
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "closed", c->closed,
                     "components", (json_int_t)c->components, "boundary_edges",
                     (json_int_t)c->boundary_edges, "boundary_loops", (json_int_t)c->boundary_loops,
                     "bad_edges", (json_int_t)c->bad_edges, "bad_vertices",
                     (json_int_t)c->bad_vertices, "degenerate", (json_int_t)c->degenerate,
                     "area_mm2", app_json_number(c->area_mm2), "volume_mm3",
                     c->closed ? app_json_number(c->volume_mm3) : json_null());
}

char *app_bytes(uint64_t bytes, char text[32]) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    int unit = 0;
    for (; value >= 1000 && unit < 6; unit++) value /= 1000;
    snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
    return text;
}

/* ---- where a result comes from --------------------------------------------- */

bool app_origin_make(app_origin *origin, const command *cmd, const void *options,
                     const char *const *inputs, int count, es_error *err) {
    memset(origin, 0, sizeof *origin);
    origin->options = options_used(cmd, options);
    if (!origin->options) return es_fail(err, ES_MEMORY, "out of memory");
    for (int i = 0; i < count; i++) {
        if (!inputs[i]) continue;
        int k = origin->input_count++;
        origin->inputs[k] = inputs[i];
        if (!es_input_digest(inputs[i], origin->digests[k], err)) {
            app_origin_clear(origin);
            return false;
        }
    }
    return true;
}

bool app_origin_fields(const app_origin *origin, es_fields *fields, es_error *err) {
    es_text inputs = {0};
    for (int i = 0; i < origin->input_count; i++)
        es_text_add(&inputs, "%s%s xxh3:%s", i ? ", " : "", es_path_name(origin->inputs[i]),
                    origin->digests[i]);
    bool ok = !inputs.failed;
    if (!ok) es_fail(err, ES_MEMORY, "out of memory");
    ok = ok && es_fields_set(fields, "EchosolidVersion", es_version(), err) &&
         es_fields_set(fields, "EchosolidOptions", origin->options, err) &&
         (!inputs.length || es_fields_set(fields, "EchosolidInputs", inputs.bytes, err));
    es_text_free(&inputs);
    return ok;
}

void app_origin_title(const app_origin *origin, const char *what, char title[80]) {
    snprintf(title, 80, "echosolid %s, mm, SPACE=LPS, %s%s%.8s", es_version(), what,
             origin->input_count ? ", input " : "", origin->input_count ? origin->digests[0] : "");
}

void app_origin_clear(app_origin *origin) {
    es_free(origin->options);
    memset(origin, 0, sizeof *origin);
}

char *app_sibling(const char *path, const char *suffix, es_error *err) {
    size_t folder = (size_t)(es_path_name(path) - path);
    const char *dot = strchr(path + folder + (path[folder] == '.'), '.');
    size_t stem = dot ? (size_t)(dot - path) : strlen(path);
    size_t length = stem + strlen(suffix) + 1;
    char *name = es_alloc(length, 1, err);
    if (name) snprintf(name, length, "%.*s%s", (int)stem, path, suffix);
    return name;
}
