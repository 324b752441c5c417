/* Opening a recording with its configuration, for the commands that need
 * both. */
#include <math.h>
#include <string.h>

#include "setup_options.h"

const char *const interpolation_words[] = {"nearest", "linear", NULL};
const char *const compounding_words[] = {"latest", "mean", "maximum", "mask", NULL};

static void fill_request(const setup_options *o, const es_plus *plus, es_setup_request *r) {
    es_setup_request_init(r);
    r->plus = plus;
    r->transform = o->transform;
    memcpy(r->spacing_mm, o->spacing, sizeof o->spacing);
    memcpy(r->origin_mm, o->origin, sizeof o->origin);
    memcpy(r->size_mm, o->size, sizeof o->size);
    memcpy(r->clip_px, o->clip, sizeof o->clip);
    memcpy(r->fan_angles_deg, o->fan_angles, sizeof o->fan_angles);
    memcpy(r->fan_origin_px, o->fan_origin, sizeof o->fan_origin);
    memcpy(r->fan_radii_px, o->fan_radii, sizeof o->fan_radii);
    r->interpolation = o->interpolation;
    r->compounding = o->compounding;
    r->threshold = o->threshold;
    r->skip = o->skip;
    r->fill = o->fill;
    r->mask = o->mask;
    r->peer_defaults = o->peer_defaults;
    r->memory_limit = isnan(o->memory) ? 0 : (uint64_t)(o->memory * 1e9);
}

/* The mask that the configuration names, beside it, unless one is given. */
static bool name_mask(const session *s, const setup_options *o, char **name,
                      es_setup_request *request, es_error *err) {
    es_plus_reconstruction recon;
    bool present = false;
    if (o->mask || !s->plus) return true;
    if (!es_plus_reconstruction_get(s->plus, &recon, &present, err)) return false;
    if (!present || !recon.has_importance_mask) return true;
    *name = es_path_beside(o->config, recon.importance_mask, err);
    request->mask = *name;
    return *name != NULL;
}

static bool check_recording(const char *file, const setup_options *o, es_error *err) {
    bool is_volume = false;
    if (!app_is_volume(file, &o->recording, &is_volume, err)) return false;
    return !is_volume || es_fail(err, ES_USAGE,
                                 "%s: is a volume, not a recording of frames; echosolid surface "
                                 "makes a mesh of it; where its slices are frames, give --poses",
                                 file);
}

/* What was found out about the poses stands before what was chosen from them. */
static bool put_before(es_decisions *first, es_decisions *all, es_error *err) {
    bool ok = true;
    for (size_t i = 0; ok && i < all->count; i++)
        ok = es_decisions_add(first, err, all->items[i].what, all->items[i].why, "%s",
                              all->items[i].value);
    es_decisions rest = *all;
    *all = *first;
    *first = rest;
    return ok;
}

bool session_open(session *s, const char *file, const setup_options *options, es_error *err) {
    memset(s, 0, sizeof *s);
    es_setup_request request;
    bool ok = !options->config || (s->plus = es_plus_read(options->config, err)) != NULL;
    char *mask = NULL;
    es_decisions poses = {0};
    fill_request(options, s->plus, &request);
    ok = ok && name_mask(s, options, &mask, &request, err);
    ok = ok && check_recording(file, options, err) &&
         (s->source = app_open_recording(file, &options->recording, s->plus, &poses, err));
    if (ok && !es_setup_make(s->source, &request, &s->setup, err)) {
        if (err->code == ES_GEOMETRY) es_prefix(err, "%s", file);
        ok = false;
    }
    ok = ok && put_before(&poses, &s->setup.decisions, err);
    es_decisions_clear(&poses);
    ok = ok && (s->placement = es_placement_new(s->plus, options->transform, err)) &&
         (s->pool = es_pool_new((int)options->threads, err));
    es_free(mask);
    if (!ok) session_close(s);
    return ok;
}

void session_close(session *s) {
    es_setup_clear(&s->setup);
    es_pool_free(s->pool);
    es_placement_free(s->placement);
    es_source_free(s->source);
    es_plus_free(s->plus);
    memset(s, 0, sizeof *s);
}

json_t *session_json(const session *s) {
    const es_survey *v = &s->setup.survey;
    return json_pack("{s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "frames", (json_int_t)v->frames,
                     "frames_placed", (json_int_t)v->placed, "frames_used", (json_int_t)v->used,
                     "pixel_u_mm", app_json_number(v->pixel_mm[0]), "pixel_v_mm",
                     app_json_number(v->pixel_mm[1]), "frame_distance_mm",
                     app_json_number(v->step_mm), "path_mm", app_json_number(v->path_mm),
                     "decisions", app_json_decisions(&s->setup.decisions));
}
