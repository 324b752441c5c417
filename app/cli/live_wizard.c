/* The calibrations on the live page. */
#include "live_wizard.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calibrate_tell.h"

enum { NUMBERS = 9999 };

struct live_wizard {
    es_wizard *wizard;
    es_plus *plus; /* NULL: none */
    const char *folder, *source;
    bool has_phantom, has_image; /* in the configuration */
    pthread_mutex_t lock;        /* guards all that follows */
    es_live_page *page;
    char *words, *json; /* of the newest result; NULL: none */
    es_plus_transform transform;
    bool has_transform; /* a lag has none */
    char line[1100];    /* of saving, or why it could not begin */
    char base[1200];    /* FOLDER/calibration-N */
};

/* ---- what is told ------------------------------------------------------------------------ */

static const char *const phases[] = {[ES_WIZARD_IDLE] = "idle",
                                     [ES_WIZARD_COLLECTING] = "collecting",
                                     [ES_WIZARD_SOLVING] = "solving",
                                     [ES_WIZARD_DONE] = "done",
                                     [ES_WIZARD_REFUSED] = "refused"};

static json_t *checks_json(const es_wizard_state *s) {
    json_t *list = json_array();
    for (int i = 0; i < s->check_count; i++) {
        const es_wizard_check *c = &s->checks[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:b, s:b}", "what", c->what,
                                              "unit", c->unit, "found", app_json_number(c->found),
                                              "wanted", app_json_number(c->wanted), "at_most",
                                              c->at_most, "enough", c->enough));
    }
    return list;
}

static json_t *tools_json(const es_tool_list *tools) {
    json_t *list = json_array();
    for (int i = 0; i < tools->count; i++)
        json_array_append_new(list, json_string(tools->names[i]));
    return list;
}

static json_t *phantoms_json(void) {
    json_t *list = json_array();
    for (const char *const *name = es_wire_phantom_names(); *name; name++)
        json_array_append_new(list, json_string(*name));
    return list;
}

/* With the lock held. */
static json_t *message(const live_wizard *w, const es_wizard_state *s) {
    const es_wizard_request *q = &s->request;
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:b, s:s, s:o}", "kind", "wizard",
        "phase", phases[s->phase], "method", es_wizard_names[q->method], "tool", q->tool, "seen",
        (json_int_t)s->seen, "kept", (json_int_t)s->kept, "step", (json_int_t)s->step, "lost",
        (json_int_t)s->lost, "bytes", (json_int_t)s->bytes, "seconds", s->seconds, "ready",
        s->ready, "advice", s->advice, "checks", checks_json(s));
    if (!root) return NULL;
    json_object_set_new(root, "full", json_boolean(s->full));
    json_object_set_new(root, "tools", tools_json(&s->tools));
    json_object_set_new(root, "phantoms", phantoms_json());
    json_object_set_new(root, "config_phantom", json_boolean(w->has_phantom));
    json_object_set_new(root, "config_image", json_boolean(w->has_image));
    json_object_set_new(root, "can_save", json_boolean(w->folder != NULL));
    json_object_set_new(root, "result",
                        w->words && s->phase == ES_WIZARD_DONE ? json_string(w->words)
                                                               : json_null());
    json_object_set_new(root, "line", json_string(w->line));
    return root;
}

/* In the order in which the states were. */
static void tell(void *context) {
    live_wizard *w = context;
    es_wizard_state *s = es_alloc_zero(1, sizeof *s, NULL);
    if (!s) return;
    pthread_mutex_lock(&w->lock);
    if (w->page && w->wizard) {
        es_wizard_state_get(w->wizard, s);
        json_t *root = message(w, s);
        char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        if (text) es_live_page_wizard(w->page, text);
        free(text);
        json_decref(root);
    }
    pthread_mutex_unlock(&w->lock);
    es_free(s);
}

/* ---- a result ---------------------------------------------------------------------------- */

static es_plus_transform image_to_tool(const char *transform, es_mat4 matrix, double error) {
    es_plus_transform t = {.from = "Image", .matrix = matrix, .error = error};
    char to[ES_NAME_SIZE];
    if (!es_transform_name_split(transform, t.to, to, NULL)) t.to[0] = '\0';
    return t;
}

static es_plus_transform tip_to_tool(const es_wizard_result *r) {
    es_plus_transform t = image_to_tool(r->transform, r->pivot.tip_to_marker, r->pivot.rms_mm);
    snprintf(t.from, sizeof t.from, "%.*sTip", (int)sizeof t.from - 4, t.to);
    return t;
}

static told_nwire told_of(const es_wizard_result *r) {
    return (told_nwire){.outcome = &r->nwire,
                        .count = r->wires.count,
                        .middle_px = {r->wires.middle_px[0], r->wires.middle_px[1]},
                        .lag_free = r->wire_options.lag_free,
                        .speed_mps = r->speed_mps,
                        .earlier = r->has_earlier ? &r->earlier : NULL};
}

/* Words, figures and the transform as the commands give them. */
static json_t *describe(const es_wizard_result *r, es_text *words, es_plus_transform *t) {
    const told_nwire nwire = told_of(r);
    told_wall wall;
    switch (r->request.method) {
    case ES_WIZARD_PIVOT:
        *t = tip_to_tool(r);
        tell_pivot(words, r->transform, &r->pivot);
        return tell_pivot_json(r->transform, &r->pivot);
    case ES_WIZARD_LAG:
        tell_lag(words, r->transform, &r->lag);
        return tell_lag_json(r->transform, &r->lag);
    case ES_WIZARD_NWIRE:
        *t =
            image_to_tool(r->transform, r->nwire.result.image_to_probe, r->nwire.validation.m95_mm);
        tell_nwire(words, &nwire);
        return tell_nwire_json(&nwire);
    case ES_WIZARD_WALL:
        wall = tell_wall_make(r->transform, &r->wall, r->speed_mps, 0);
        *t = image_to_tool(r->transform, tell_wall_matrix(&wall), r->wall.result.target_ci95_mm);
        tell_wall(words, &wall);
        return tell_wall_json(&wall);
    default:
        *t = image_to_tool(r->transform, r->self.result.image_to_probe,
                           r->self.result.target_ci95_mm);
        tell_self(words, &r->self.result);
        return tell_self_json(r->transform, &r->self.result);
    }
}

static void take_result(void *context, const es_wizard_result *r) {
    live_wizard *w = context;
    es_text words = {0};
    es_plus_transform t = {.error = NAN};
    json_t *root = describe(r, &words, &t);
    if (root) {
        json_object_set_new(root, "method", json_string(es_wizard_names[r->request.method]));
        json_object_set_new(
            root, "made_by",
            json_pack("{s:s, s:s}", "echosolid", es_version(), "source", w->source));
    }
    char *json = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(root);
    pthread_mutex_lock(&w->lock);
    es_free(w->words);
    free(w->json);
    w->words = words.failed ? NULL : words.bytes;
    w->json = json;
    w->transform = t;
    w->has_transform = t.from[0] != '\0';
    w->line[0] = '\0';
    pthread_mutex_unlock(&w->lock);
    if (words.failed) es_text_free(&words);
}

/* ---- keeping it ---------------------------------------------------------------------------- */

static bool is_free(const live_wizard *w) {
    char path[1240];
    snprintf(path, sizeof path, "%s.xml", w->base);
    if (access(path, F_OK) == 0) return false;
    snprintf(path, sizeof path, "%s.json", w->base);
    return access(path, F_OK) != 0;
}

static bool choose_name(live_wizard *w, es_error *err) {
    if (!w->folder) return es_fail(err, ES_USAGE, "start echosolid live with --folder to save");
    if (strlen(w->folder) > sizeof w->base - 30)
        return es_fail(err, ES_USAGE, "the folder's name is longer than %zu letters",
                       sizeof w->base - 30);
    for (int n = 1; n <= NUMBERS; n++) {
        snprintf(w->base, sizeof w->base, "%s/calibration-%d", w->folder, n);
        if (is_free(w)) return true;
    }
    return es_fail(err, ES_USAGE, "%s holds calibration-1 to calibration-%d already: empty it",
                   w->folder, NUMBERS);
}

static bool write_text(const char *path, const char *text, es_error *err) {
    es_output *out = es_output_open(path, err);
    if (out && es_output_print(out, err, "%s\n", text)) return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}

/* With the lock held. */
static bool save(live_wizard *w, es_error *err) {
    char path[1240];
    if (!w->json) return es_fail(err, ES_MEMORY, "out of memory");
    if (!choose_name(w, err)) return false;
    snprintf(path, sizeof path, "%s.json", w->base);
    if (!write_text(path, w->json, err) || !es_live_page_offer(w->page, path, err)) return false;
    snprintf(path, sizeof path, "%s.xml", w->base);
    return !w->has_transform || (es_calibration_write(w->plus, path, &w->transform, err) &&
                                 es_live_page_offer(w->page, path, err));
}

static void keep(void *context) {
    live_wizard *w = context;
    es_error err = {0};
    pthread_mutex_lock(&w->lock);
    if (!save(w, &err))
        snprintf(w->line, sizeof w->line, "%s", err.message);
    else if (w->has_transform)
        snprintf(w->line, sizeof w->line,
                 "%.400s.xml holds %sTo%s. To use it, start echosolid live again with --config and "
                 "this file.",
                 es_path_name(w->base), w->transform.from, w->transform.to);
    else
        snprintf(w->line, sizeof w->line,
                 "%.400s.json holds the lag. To use it, start echosolid live again with --lag and "
                 "its number.",
                 es_path_name(w->base));
    pthread_mutex_unlock(&w->lock);
}

/* ---- what pages ask for ------------------------------------------------------------------ */

static void say(live_wizard *w, const char *line) {
    pthread_mutex_lock(&w->lock);
    snprintf(w->line, sizeof w->line, "%s", line);
    pthread_mutex_unlock(&w->lock);
}

static void begin(live_wizard *w, const es_wizard_request *request) {
    es_error err = {0};
    say(w, "");
    if (es_wizard_begin(w->wizard, request, &err)) return;
    say(w, err.message);
    tell(w);
}

void live_wizard_text(void *context, const char *text, size_t length) {
    live_wizard *w = context;
    const es_wizard_said said = es_wizard_said_read(text, length);
    switch (said.act) {
    case ES_WIZARD_BEGIN: begin(w, &said.request); break;
    case ES_WIZARD_FINISH: es_wizard_finish(w->wizard); break;
    case ES_WIZARD_CANCEL:
        say(w, "");
        es_wizard_cancel(w->wizard);
        break;
    case ES_WIZARD_KEEP: es_wizard_keep(w->wizard); break;
    default: break;
    }
}

void live_wizard_frame(live_wizard *w, const es_frame *frame) {
    if (w) es_wizard_frame(w->wizard, frame);
}

void live_wizard_show(live_wizard *w, es_live_page *page) {
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->page = page;
    pthread_mutex_unlock(&w->lock);
    tell(w);
}

/* ---- beginning and end --------------------------------------------------------------------- */

static bool prepare(live_wizard *w, const es_plus *plus, es_error *err) {
    es_wire_phantom phantom;
    es_mat4 matrix;
    if (plus && !(w->plus = es_plus_copy(plus, err))) return false;
    w->has_phantom = plus && es_wire_phantom_read(plus, &phantom, NULL);
    w->has_image = plus && es_plus_between(plus, "Image", "Probe", &matrix, NULL);
    es_wizard_options options = ES_WIZARD_DEFAULTS;
    options.plus = w->plus;
    options.context = w;
    options.changed = tell;
    options.solved = take_result;
    options.keep = keep;
    w->wizard = es_wizard_new(&options, err);
    return w->wizard != NULL;
}

live_wizard *live_wizard_new(const es_plus *plus, const char *folder, const char *source,
                             es_error *err) {
    live_wizard *w = es_alloc_zero(1, sizeof *w, err);
    if (!w) return NULL;
    pthread_mutex_init(&w->lock, NULL);
    w->folder = folder;
    w->source = source;
    if (prepare(w, plus, err)) return w;
    live_wizard_free(w);
    return NULL;
}

void live_wizard_free(live_wizard *w) {
    if (!w) return;
    es_wizard_free(w->wizard);
    es_plus_free(w->plus);
    es_free(w->words);
    free(w->json);
    pthread_mutex_destroy(&w->lock);
    es_free(w);
}
