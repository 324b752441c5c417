/* Everything resolved before the work starts.
 *
 * One pass over the poses (no pixels) tells where the frames lie, how far
 * apart they are and how large a pixel is. What the command line gives comes
 * first, then the PLUS configuration, then a choice from those figures; each
 * is written down as a decision with its reason. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/pipeline.h"

void es_setup_request_init(es_setup_request *request) {
    memset(request, 0, sizeof *request);
    for (int i = 0; i < 3; i++)
        request->spacing_mm[i] = request->origin_mm[i] = request->size_mm[i] = NAN;
    for (int i = 0; i < 2; i++)
        request->fan_angles_deg[i] = request->fan_origin_px[i] = request->fan_radii_px[i] = NAN;
    request->clip_px[0] = request->threshold = NAN;
    request->interpolation = request->compounding = -1;
}

void es_setup_clear(es_setup *setup) {
    es_decisions_clear(&setup->decisions);
    es_image_clear(&setup->mask);
    memset(setup, 0, sizeof *setup);
}

/* The places a value can come from, in order of precedence. */
static const char *const from_user = "given", *const from_config = "configuration",
                         *const from_default = "default";

typedef struct maker {
    const es_setup_request *request;
    const es_stream_info *info;
    es_plus_reconstruction plus; /* zero when absent */
    es_setup *setup;
    es_error *err;
    bool lives;         /* a live run, or its recording: nobody knew the whole region */
    double first_mm[3]; /* then the voxels are counted from here */
} maker;

static bool decide(maker *m, const char *what, const char *why, const char *value) {
    return es_decisions_add(&m->setup->decisions, m->err, what, why, "%s", value);
}

static int find_word(const char *word, const char *const *words, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0) return i;
    return -1;
}

/* A PNG, or a volume of one slice. */
static bool read_mask(maker *m) {
    const char *path = m->request->mask;
    es_image *mask = &m->setup->mask;
    if (!path)
        return es_fail(m->err, ES_USAGE,
                       "compounding by importance mask needs the mask; give it with --mask");
    if (es_has_suffix(path, ".png")) return es_png_read(path, mask, m->err);
    es_grid grid = {0};
    if (!es_grid_read(path, &grid, m->err)) return false;
    bool ok = grid.info.size[2] == 1 && grid.info.channels == 1 && grid.info.size[0] < UINT16_MAX &&
              grid.info.size[1] < UINT16_MAX;
    if (!ok)
        es_fail(m->err, ES_USAGE, "%s: an importance mask is one grey picture, found a volume",
                path);
    ok = ok && es_image_resize(mask, ES_U8, 1, (uint32_t)grid.info.size[0],
                               (uint32_t)grid.info.size[1], m->err);
    for (size_t i = 0; ok && i < grid.info.size[0] * grid.info.size[1]; i++)
        es_type_set(ES_U8, mask->data, i, es_type_get(grid.info.type, grid.data, i));
    es_grid_clear(&grid);
    return ok;
}

static bool resolve_interpolation(maker *m) {
    static const char *const plus_words[] = {"NEAREST_NEIGHBOR", "LINEAR"};
    static const char *const words[] = {"nearest", "linear"};
    int choice = m->request->interpolation;
    const char *why = from_user;
    if (choice < 0 && m->plus.has_interpolation) {
        choice = find_word(m->plus.interpolation, plus_words, 2);
        why = from_config;
    }
    if (choice < 0) {
        choice = ES_NEAREST;
        why = from_default;
    }
    m->setup->recon.interpolation = (es_interpolation)choice;
    return decide(m, "interpolation", why, words[choice]);
}

/* PLUS names the weighted mean as a way of compounding of its own. */
static bool resolve_compounding(maker *m) {
    static const char *const plus_words[] = {"LATEST", "MEAN", "MAXIMUM", "IMPORTANCE_MASK"};
    static const char *const words[] = {"latest", "mean", "maximum", "mean by importance mask"};
    enum { MASK = 3 };
    int choice = m->request->compounding;
    const char *why = from_user;
    if (choice < 0 && m->plus.has_compounding) {
        choice = find_word(m->plus.compounding, plus_words, 4);
        why = from_config;
    }
    if (choice < 0) {
        choice = ES_MEAN;
        why = from_default;
    }
    m->setup->recon.compounding = choice == MASK ? ES_MEAN : (es_compounding)choice;
    if (!decide(m, "compounding", why, words[choice])) return false;
    if (choice != MASK) return true;
    m->setup->recon.mask = &m->setup->mask;
    return read_mask(m);
}

static bool resolve_clip(maker *m) {
    es_recon_options *recon = &m->setup->recon;
    const char *why = from_user;
    if (!isnan(m->request->clip_px[0])) {
        recon->has_clip = true;
        for (int i = 0; i < 2; i++) {
            recon->clip_origin[i] = (int32_t)m->request->clip_px[i];
            recon->clip_size[i] = (int32_t)m->request->clip_px[2 + i];
        }
    } else if (m->plus.has_clip) {
        recon->has_clip = true;
        memcpy(recon->clip_origin, m->plus.clip_origin, sizeof recon->clip_origin);
        memcpy(recon->clip_size, m->plus.clip_size, sizeof recon->clip_size);
        why = from_config;
    }
    if (!recon->has_clip) return decide(m, "clip", from_default, "none, the whole picture");
    const int32_t *o = recon->clip_origin, *s = recon->clip_size;
    if (s[0] <= 0 || s[1] <= 0 || (int64_t)o[0] + s[0] <= 0 || (int64_t)o[1] + s[1] <= 0 ||
        o[0] >= (int64_t)m->info->width || o[1] >= (int64_t)m->info->height)
        return es_fail(m->err, ES_USAGE,
                       "clip rectangle (%s): %d x %d pixels at %d, %d lies outside the %u x %u "
                       "picture, no pixel would be left",
                       why, s[0], s[1], o[0], o[1], m->info->width, m->info->height);
    for (int i = 0; i < 2; i++) { /* the part inside the picture */
        int64_t size = i ? m->info->height : m->info->width;
        int64_t first = o[i] > 0 ? o[i] : 0, last = (int64_t)o[i] + s[i];
        recon->clip_origin[i] = (int32_t)first;
        recon->clip_size[i] = (int32_t)((last < size ? last : size) - first);
    }
    return es_decisions_add(&m->setup->decisions, m->err, "clip", why, "%d x %d px at %d, %d", s[0],
                            s[1], o[0], o[1]);
}

static bool resolve_fan_clip(maker *m) {
    const es_setup_request *r = m->request;
    const es_plus_reconstruction *p = &m->plus;
    es_fan fan = {.kind = ES_FAN_CURVED, .aspect = 1};
    const char *why = from_user;
    const double degree = 0.017453292519943295;
    if (!isnan(r->fan_angles_deg[0])) {
        if (isnan(r->fan_origin_px[0]) || isnan(r->fan_radii_px[0]))
            return es_fail(m->err, ES_USAGE,
                           "--fan-angles needs --fan-origin and --fan-radii beside it");
        fan.angle_start_rad = r->fan_angles_deg[0] * degree;
        fan.angle_stop_rad = r->fan_angles_deg[1] * degree;
        fan.apex_u = r->fan_origin_px[0];
        fan.apex_v = r->fan_origin_px[1];
        fan.radius_start = r->fan_radii_px[0];
        fan.radius_stop = r->fan_radii_px[1];
    } else if (p->has_fan_angles && (p->has_fan_origin || r->peer_defaults) &&
               p->fan_angles_deg[0] != p->fan_angles_deg[1]) {
        why = from_config;
        fan.angle_start_rad = p->fan_angles_deg[0] * degree;
        fan.angle_stop_rad = p->fan_angles_deg[1] * degree;
        fan.apex_u = p->fan_origin_px[0];
        fan.apex_v = p->fan_origin_px[1];
        fan.radius_start = p->has_fan_radius_start ? p->fan_radius_start_px : 0;
        fan.radius_stop = p->has_fan_radius_stop ? p->fan_radius_stop_px
                          : r->peer_defaults
                              ? 500
                              : hypot((double)m->info->width, (double)m->info->height) * 2;
    } else if (p->has_fan_angles && !p->has_fan_origin) {
        return decide(m, "fan clip", "FanAnglesDeg is given, FanOriginPixel is missing", "none");
    } else {
        return decide(m, "fan clip", from_default, "none");
    }
    m->setup->recon.fan = fan;
    return es_decisions_add(&m->setup->decisions, m->err, "fan clip", why,
                            "%g to %g deg, %g to %g px from apex %g, %g",
                            fan.angle_start_rad / degree, fan.angle_stop_rad / degree,
                            fan.radius_start, fan.radius_stop, fan.apex_u, fan.apex_v);
}

/* A rectangle of echoes that reaches beyond the picture (a configuration of
 * another depth) is cut; true when it was. */
static bool cut_to_picture(maker *m) {
    es_fan *fan = &m->setup->fan, whole = *fan;
    fan->u0 = fmax(fan->u0, 0);
    fan->v0 = fmax(fan->v0, 0);
    fan->u1 = fmin(fan->u1, m->info->width);
    fan->v1 = fmin(fan->v1, m->info->height);
    return fan->u0 != whole.u0 || fan->v0 != whole.v0 || fan->u1 != whole.u1 || fan->v1 != whole.v1;
}

/* Where detectors look: the scan conversion, else the clip's fan. */
static bool resolve_fan(maker *m) {
    es_plus_scan_conversion scan;
    bool present = false;
    if (m->request->plus && !es_plus_scan_conversion_get(m->request->plus, &scan, &present, m->err))
        return false;
    if (present) {
        m->setup->fan = es_plus_scan_fan(&scan);
        bool cut = m->setup->fan.kind == ES_FAN_LINEAR && cut_to_picture(m);
        return decide(m, "scan lines",
                      cut ? "ScanConversion, cut to the picture: it describes a larger one"
                          : "ScanConversion of the configuration",
                      m->setup->fan.kind == ES_FAN_CURVED   ? "curved array"
                      : m->setup->fan.kind == ES_FAN_LINEAR ? "linear array"
                                                            : "image columns: it is incomplete");
    }
    m->setup->fan = m->setup->recon.fan;
    return decide(m, "scan lines", m->setup->fan.kind ? "the fan clip" : from_default,
                  m->setup->fan.kind ? "curved array" : "image columns");
}

static bool resolve_small(maker *m) {
    es_recon_options *recon = &m->setup->recon;
    const es_setup_request *r = m->request;
    recon->threshold = !isnan(r->threshold)    ? r->threshold
                       : m->plus.has_threshold ? m->plus.threshold
                                               : NAN;
    m->setup->skip = r->skip > 0 ? r->skip : m->plus.has_skip ? m->plus.skip_interval : 1;
    if (m->setup->skip < 1) m->setup->skip = 1;
    recon->type = m->info->type;
    recon->channels = m->info->channels;
    recon->memory_limit = r->memory_limit;
    if (!isnan(recon->threshold) && !es_decisions_add(&m->setup->decisions, m->err, "threshold",
                                                      isnan(r->threshold) ? from_config : from_user,
                                                      "pixels below %g ignored", recon->threshold))
        return false;
    return m->setup->skip == 1 || es_decisions_add(&m->setup->decisions, m->err, "frames",
                                                   r->skip > 0 ? from_user : from_config,
                                                   "every %lld.", (long long)m->setup->skip);
}

static bool resolve_holes(maker *m) {
    static const char *const words[] = {"FULL", "PARTIAL", "NONE"};
    char text[120];
    const char *given = m->request->fill;
    if (!(given ? es_holes_parse(given, &m->setup->holes, m->err)
                : es_holes_from_plus(&m->plus, &m->setup->holes, m->err)))
        return false;
    int word = m->plus.has_optimization ? find_word(m->plus.optimization, words, 3) : 0;
    m->setup->optimization = word < 0 ? ES_COMPAT_FULL : (es_compat_optimization)word;
    es_holes_describe(&m->setup->holes, text, sizeof text);
    return decide(m, "hole filling",
                  given                    ? from_user
                  : m->plus.has_fill_holes ? from_config
                                           : from_default,
                  text);
}

/* ---- the survey --------------------------------------------------------- */

typedef struct steps {
    double *mm;
    size_t count, capacity;
} steps;

static bool steps_add(steps *s, double mm, es_error *err) {
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 1024;
        if (!es_resize(&s->mm, capacity, sizeof *s->mm, err)) return false;
        s->capacity = capacity;
    }
    s->mm[s->count++] = mm;
    return true;
}

static double median(steps *s) {
    if (s->count == 0) return 0;
    qsort(s->mm, s->count, sizeof *s->mm, es_compare_doubles);
    return s->mm[s->count / 2];
}

static void survey_time(es_survey *survey, const es_frame *frame) {
    if (!frame->has_time) return;
    if (isnan(survey->first_s)) survey->first_s = frame->time_s;
    survey->last_s = frame->time_s;
}

/* A placed frame that is not skipped. */
static bool survey_frame(maker *m, steps *s, es_vec3 *last, const es_mat4 *transform) {
    es_survey *survey = &m->setup->survey;
    es_vec3 centre =
        es_mat4_point(*transform, es_vec3_make(m->info->width / 2.0, m->info->height / 2.0, 0));
    if (survey->used > 0) {
        double mm = es_vec3_length(es_vec3_sub(centre, *last));
        survey->path_mm += mm;
        if (!steps_add(s, mm, m->err)) return false;
    } else {
        survey->pixel_mm[0] = es_vec3_length(es_mat4_column(*transform, 0));
        survey->pixel_mm[1] = es_vec3_length(es_mat4_column(*transform, 1));
    }
    *last = centre;
    survey->used++;
    return true;
}

static bool survey_frames(maker *m, es_source *source, es_placement *placement) {
    es_survey *survey = &m->setup->survey;
    es_frame frame = {0};
    steps s = {0};
    es_vec3 last = {0};
    bool ok = true, end = false;
    survey->first_s = survey->last_s = NAN;
    survey->box = es_box3_empty();
    while (ok) {
        es_mat4 transform;
        bool placed = false;
        ok = es_source_next(source, &frame, 0, &end, m->err);
        if (!ok || end) break;
        bool wanted = survey->frames % m->setup->skip == 0;
        survey->frames++;
        survey_time(survey, &frame);
        ok = es_placement_find(placement, &frame, &transform, &placed, m->err);
        if (!ok || !placed) continue;
        survey->placed++;
        es_recon_box_add(&survey->box, &m->setup->recon, m->info->width, m->info->height,
                         &transform);
        if (wanted) ok = survey_frame(m, &s, &last, &transform);
    }
    survey->step_mm = median(&s);
    snprintf(survey->reason, sizeof survey->reason, "%s", es_placement_reason(placement));
    es_frame_clear(&frame);
    es_free(s.mm);
    return ok;
}

/* ---- what a live run knew ------------------------------------------------ */

bool es_frame_was_dropped(const es_frame *frame) {
    const char *mark = es_fields_get(&frame->fields, ES_LIVE_INSERTED);
    return mark && strcmp(mark, "0") == 0;
}

char *es_setup_survey_text(const es_setup *setup, es_error *err) {
    const es_survey *s = &setup->survey;
    const double values[6] = {s->pixel_mm[0], s->pixel_mm[1], s->step_mm,
                              s->box.min.x,   s->box.min.y,   s->box.min.z};
    es_text text = {0};
    char number[ES_NUMBER_SIZE];
    for (int i = 0; i < 6; i++)
        es_text_add(&text, "%s%s", i ? " " : "", es_format_double(values[i], number));
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory");
    return NULL;
}

/* The survey of a live run takes the place of ours, so that the same lattice is
 * chosen again. */
static bool recall_live(maker *m) {
    es_survey *s = &m->setup->survey;
    const char *text = es_fields_get(&m->info->fields, ES_LIVE_SURVEY);
    double v[6];
    m->first_mm[0] = s->box.min.x;
    m->first_mm[1] = s->box.min.y;
    m->first_mm[2] = s->box.min.z;
    if (!text || m->request->grow) return true;
    if (es_parse_doubles(text, v, 6) != 6)
        return es_fail(m->err, ES_FORMAT, "%s: expected 6 numbers, found \"%.80s\"", ES_LIVE_SURVEY,
                       text);
    for (int i = 0; i < 6; i++)
        if (!isfinite(v[i]))
            return es_fail(m->err, ES_FORMAT, "%s: number %d is not finite", ES_LIVE_SURVEY, i + 1);
    s->pixel_mm[0] = v[0];
    s->pixel_mm[1] = v[1];
    s->step_mm = v[2];
    memcpy(m->first_mm, v + 3, sizeof m->first_mm);
    m->lives = true;
    return true;
}

static bool survey_check(maker *m) {
    const es_survey *survey = &m->setup->survey;
    const es_image *mask = &m->setup->mask;
    if (mask->data && (mask->width != m->info->width || mask->height != m->info->height))
        return es_fail(
            m->err, ES_USAGE,
            "the importance mask is %u x %u pixels, the pictures %u x %u: they must be of "
            "one size",
            mask->width, mask->height, m->info->width, m->info->height);
    if (survey->frames == 0) return es_fail(m->err, ES_GEOMETRY, "the recording has no frames");
    if (m->info->width == 0)
        return es_fail(m->err, ES_GEOMETRY, "the recording holds poses only, no pictures");
    if (survey->used == 0)
        return es_fail(m->err, ES_GEOMETRY, "none of the %lld frames has a valid position: %s",
                       (long long)survey->frames, survey->reason);
    const double *pixel = survey->pixel_mm;
    if (!(pixel[0] > 1e-4 && pixel[0] < 100 && pixel[1] > 1e-4 && pixel[1] < 100))
        return es_fail(m->err, ES_GEOMETRY,
                       "a pixel would be %g x %g mm, which no scanner gives; check the unit of "
                       "ImageToProbe (it must map pixels to millimetres)",
                       pixel[0], pixel[1]);
    return true;
}

/* ---- spacing and region -------------------------------------------------- */

static bool resolve_spacing(maker *m) {
    const es_setup_request *r = m->request;
    const es_survey *survey = &m->setup->survey;
    double *spacing = m->setup->recon.spacing_mm;
    const char *why = from_user;
    char reason[160];
    if (!isnan(r->spacing_mm[0])) {
        memcpy(spacing, r->spacing_mm, sizeof r->spacing_mm);
    } else if (m->plus.has_spacing) {
        memcpy(spacing, m->plus.spacing_mm, sizeof m->plus.spacing_mm);
        why = from_config;
    } else {
        double pixel = fmax(survey->pixel_mm[0], survey->pixel_mm[1]);
        spacing[0] = spacing[1] = spacing[2] = es_recon_choose_spacing(pixel, survey->step_mm);
        snprintf(reason, sizeof reason, "chosen from pixels of %.3f mm and frames %.2f mm apart",
                 pixel, survey->step_mm);
        why = reason;
    }
    for (int a = 0; a < 3; a++)
        if (!(spacing[a] >= 1e-3 && spacing[a] <= 1e3))
            return es_fail(m->err, ES_USAGE,
                           "voxel spacing (%s) of %g x %g x %g mm; expected 0.001 to 1000 mm", why,
                           spacing[0], spacing[1], spacing[2]);
    return es_decisions_add(&m->setup->decisions, m->err, "voxel spacing", why, "%g x %g x %g mm",
                            spacing[0], spacing[1], spacing[2]);
}

static bool set_region(maker *m, const double origin[3], const int64_t last[3], const char *why) {
    es_recon_options *recon = &m->setup->recon;
    memcpy(recon->origin_mm, origin, sizeof recon->origin_mm);
    recon->has_extent = true;
    for (int a = 0; a < 3; a++) {
        recon->extent[2 * a] = 0;
        recon->extent[2 * a + 1] = last[a];
    }
    return es_decisions_add(&m->setup->decisions, m->err, "region", why,
                            "%lld x %lld x %lld voxels from %.4g, %.4g, %.4g mm",
                            (long long)last[0] + 1, (long long)last[1] + 1, (long long)last[2] + 1,
                            origin[0], origin[1], origin[2]);
}

/* Bricks come where frames fall; the extent is for estimates only. */
static bool grow_region(maker *m) {
    es_recon_options *recon = &m->setup->recon;
    const es_box3 *box = &m->setup->survey.box;
    const double low[3] = {box->min.x, box->min.y, box->min.z},
                 high[3] = {box->max.x, box->max.y, box->max.z}, *first = m->first_mm;
    memcpy(recon->origin_mm, first, sizeof recon->origin_mm);
    recon->has_extent = false;
    for (int a = 0; a < 3; a++) {
        double lowest = floor((low[a] - first[a]) / recon->spacing_mm[a]),
               highest = ceil((high[a] - first[a]) / recon->spacing_mm[a]);
        if (!(fabs(lowest) < 1e9 && fabs(highest) < 1e9))
            return es_fail(m->err, ES_GEOMETRY,
                           "the frames lie %g mm apart, voxels of %g mm cannot be counted there",
                           high[a] - low[a], recon->spacing_mm[a]);
        recon->extent[2 * a] = (int64_t)lowest;
        recon->extent[2 * a + 1] = (int64_t)highest;
    }
    return es_decisions_add(&m->setup->decisions, m->err, "region", "live",
                            "grows where frames fall, voxels counted from %.4g, %.4g, %.4g mm",
                            first[0], first[1], first[2]);
}

static bool resolve_region(maker *m) {
    const es_setup_request *r = m->request;
    es_recon_options *recon = &m->setup->recon;
    if (isnan(r->origin_mm[0]) != isnan(r->size_mm[0]))
        return es_fail(m->err, ES_USAGE, "--origin and --size go together");
    int64_t last[3];
    if (!isnan(r->origin_mm[0])) {
        for (int a = 0; a < 3; a++) last[a] = (int64_t)floor(r->size_mm[a] / recon->spacing_mm[a]);
        return set_region(m, r->origin_mm, last, from_user);
    }
    if (m->plus.has_origin && m->plus.has_extent) {
        double origin[3];
        for (int a = 0; a < 3; a++) {
            origin[a] = m->plus.origin_mm[a] + m->plus.extent[2 * a] * recon->spacing_mm[a];
            last[a] = m->plus.extent[2 * a + 1] - m->plus.extent[2 * a];
        }
        return set_region(m, origin, last, from_config);
    }
    if (m->lives) return grow_region(m);
    if (!es_recon_options_set_box(recon, m->setup->survey.box, m->err)) return false;
    for (int a = 0; a < 3; a++) last[a] = recon->extent[2 * a + 1];
    double origin[3];
    memcpy(origin, recon->origin_mm, sizeof origin);
    return set_region(m, origin, last, "the box of all the placed frames");
}

static bool read_plus(maker *m) {
    bool present = false;
    if (m->request->plus &&
        !es_plus_reconstruction_get(m->request->plus, &m->plus, &present, m->err))
        return false;
    if (!present) memset(&m->plus, 0, sizeof m->plus);
    return true;
}

static bool make(maker *m, es_source *source) {
    es_setup *setup = m->setup;
    if (!read_plus(m) || !resolve_interpolation(m) || !resolve_compounding(m) || !resolve_clip(m) ||
        !resolve_fan_clip(m) || !resolve_fan(m) || !resolve_small(m) || !resolve_holes(m))
        return false;
    es_placement *placement = es_placement_new(m->request->plus, m->request->transform, m->err);
    bool ok = placement && survey_frames(m, source, placement) && survey_check(m) &&
              recall_live(m) && es_source_rewind(source, m->err);
    if (ok) {
        snprintf(setup->image_frame, ES_NAME_SIZE, "%s", es_placement_image(placement));
        snprintf(setup->reference_frame, ES_NAME_SIZE, "%s", es_placement_reference(placement));
        ok = es_decisions_add(&setup->decisions, m->err, "transform",
                              m->request->transform ? from_user : "the frames that are known",
                              "%sTo%s", setup->image_frame, setup->reference_frame) &&
             resolve_spacing(m) && resolve_region(m);
    }
    es_placement_free(placement);
    return ok;
}

bool es_setup_make(es_source *source, const es_setup_request *request, es_setup *setup,
                   es_error *err) {
    memset(setup, 0, sizeof *setup);
    maker m = {.request = request,
               .info = es_source_info(source),
               .setup = setup,
               .err = err,
               .lives = request->grow};
    setup->recon = (es_recon_options)ES_RECON_DEFAULTS;
    if (make(&m, source)) return true;
    es_setup_clear(setup);
    return false;
}

bool es_setup_make_picture(const es_stream_info *info, const es_setup_request *request,
                           es_setup *setup, es_error *err) {
    memset(setup, 0, sizeof *setup);
    maker m = {.request = request, .info = info, .setup = setup, .err = err};
    setup->recon = (es_recon_options)ES_RECON_DEFAULTS;
    if (read_plus(&m) && resolve_clip(&m) && resolve_fan_clip(&m) && resolve_fan(&m)) return true;
    es_setup_clear(setup);
    return false;
}

void es_setup_memory(const es_setup *setup, uint64_t *dense_bytes, uint64_t *brick_bytes,
                     uint64_t dense_size[3]) {
    const es_recon_options *r = &setup->recon;
    double voxels = 1, bricks = 1;
    for (int a = 0; a < 3; a++) {
        uint64_t n = (uint64_t)(r->extent[2 * a + 1] - r->extent[2 * a] + 1);
        dense_size[a] = n;
        voxels *= (double)n;
        uint64_t along = (n + 2 * ES_BRICK - 2) / ES_BRICK; /* at most, however they lie */
        bricks *= (double)along;
    }
    double bytes = voxels * (double)es_type_size(r->type) * r->channels;
    *dense_bytes = bytes < 1.8e19 ? (uint64_t)bytes : UINT64_MAX;
    bytes = bricks * (double)es_volume_brick_bytes(r);
    *brick_bytes = bytes < 1.8e19 ? (uint64_t)bytes : UINT64_MAX;
}
