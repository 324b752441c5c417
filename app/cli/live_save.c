/* Save on the live page: the model's own way from a snapshot, beside the scan. */
#include "live_save.h"

#include <string.h>
#include <unistd.h>

#include "step_output.h"

enum { NUMBERS = 9999 };

static const char *const endings[] = {".stl", ".step", ".mha"};

static void path_of(const live_saver *s, const char *ending, char path[1240]) {
    snprintf(path, 1240, "%s%s", s->base, ending);
}

static bool is_free(const live_saver *s) {
    char path[1240];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        path_of(s, endings[i], path);
        if (access(path, F_OK) == 0) return false;
    }
    return true;
}

static bool choose_name(live_saver *s, es_error *err) {
    if (strlen(s->folder) > sizeof s->base - 20)
        return es_fail(err, ES_USAGE, "the folder's name is longer than %zu letters",
                       sizeof s->base - 20);
    for (int n = 1; n <= NUMBERS; n++) {
        snprintf(s->base, sizeof s->base, "%s/scan-%d", s->folder, n);
        if (is_free(s)) return true;
    }
    return es_fail(err, ES_USAGE, "%s holds scan-1 to scan-%d already: empty it", s->folder,
                   NUMBERS);
}

static bool offer(live_saver *s, const char *ending, es_error *err) {
    char path[1240];
    path_of(s, ending, path);
    return es_live_page_offer(s->page, path, err);
}

static bool save_volume(live_saver *s, es_live_snapshot *shot, es_error *err) {
    char path[1240];
    es_grid_options options = ES_GRID_DEFAULTS;
    path_of(s, ".mha", path);
    return app_origin_fields(s->origin, &shot->volume.info.fields, err) &&
           es_grid_write(path, &shot->volume.info, es_grid_slab, &shot->volume, &options, err) &&
           offer(s, ".mha", err);
}

static bool save_mesh(live_saver *s, const es_model_result *result, es_error *err) {
    char title[80], path[1240];
    path_of(s, ".stl", path);
    app_origin_title(s->origin, "bone", title);
    const es_mesh_write_options write = {.title = title, .open = !result->shape.check.closed};
    return es_mesh_write(path, &result->shape.mesh, &write, err) && offer(s, ".stl", err);
}

static bool save_step(live_saver *s, const es_model_result *result, es_error *err) {
    char title[80], path[1240];
    es_solid_report report;
    path_of(s, ".step", path);
    app_origin_title(s->origin, "bone", title);
    const step_options o = {.outputs = {path}, .tolerance = 0.25, .facets = 10000};
    const step_source source = {
        .sheet = es_shape_source(&result->shape), .thickness_mm = s->thickness_mm, .origin = title};
    return step_write_outputs(&o, &source, &report, err) && offer(s, ".step", err);
}

static void tell(live_saver *s, bool goes_on, const char *what) {
    char line[1300]; /* a base and an error */
    snprintf(line, sizeof line, "%.200s: %s", es_path_name(s->base), what);
    es_live_page_saving(s->page, goes_on, line);
}

static bool save_bone(live_saver *s, es_model *model, es_error *err) {
    es_model_result result = {0};
    tell(s, true, "making the surface");
    bool ok = es_model_finish(model, &result, err) && save_mesh(s, &result, err);
    if (ok) tell(s, true, "fitting the STEP solid");
    ok = ok && save_step(s, &result, err);
    es_model_result_clear(&result);
    return ok;
}

static void *save(void *context) {
    live_saver *s = context;
    es_live_snapshot shot = {0};
    es_error err = {0};
    tell(s, true, "taking what is there");
    bool ok = es_live_run_snapshot(s->run, &shot, &err) && save_volume(s, &shot, &err) &&
              (!shot.model || save_bone(s, shot.model, &err));
    tell(s, false, ok ? "saved" : err.message);
    es_live_snapshot_clear(&shot);
    atomic_store(&s->busy, false);
    return NULL;
}

void live_save(live_saver *s) {
    es_error err = {0};
    if (atomic_load(&s->busy) || !es_live_run_setup(s->run)) return;
    live_save_end(s);
    if (!choose_name(s, &err)) {
        es_live_page_saving(s->page, false, err.message);
        return;
    }
    atomic_store(&s->busy, true);
    s->started = pthread_create(&s->thread, NULL, save, s) == 0;
    if (s->started) return;
    atomic_store(&s->busy, false);
    tell(s, false, "no thread could be started for it");
}

void live_save_end(live_saver *s) {
    if (s->started) pthread_join(s->thread, NULL);
    s->started = false;
}
