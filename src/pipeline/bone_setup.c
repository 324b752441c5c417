/* What a bone detector must know of a recording: how large a pixel is and
 * where the scan lines run. Poses are not needed; what files and users say
 * comes first, then what the pictures show, and nothing is assumed. */
#include <math.h>
#include <string.h>

#include "echosolid/bone_flow.h"

#define ASPECT_SLACK 0.05 /* a fan's shape tells the ratio of the axes to some per cent */

es_bone_options es_setup_bone_options(const es_setup *setup) {
    es_bone_options b = ES_BONE_DEFAULTS;
    const double *pixel = setup->survey.pixel_mm;
    b.method = es_bone_method_default();
    b.fan = setup->fan;
    /* The scan is round in millimetres, and those come from the calibration. */
    if (b.fan.kind == ES_FAN_CURVED) b.fan.aspect = pixel[0] / pixel[1];
    memcpy(b.spacing_mm, pixel, sizeof b.spacing_mm);
    b.has_clip = setup->recon.has_clip;
    memcpy(b.clip_origin, setup->recon.clip_origin, sizeof b.clip_origin);
    memcpy(b.clip_size, setup->recon.clip_size, sizeof b.clip_size);
    return b;
}

void es_setup_for_bone(es_setup *setup) {
    setup->recon.type = ES_U8;
    setup->recon.channels = 1;
    setup->recon.threshold = NAN;
}

typedef struct maker {
    const es_bone_request *request;
    es_setup *setup;
    es_judgement judgement;
    es_error *err;
} maker;

static bool decide(maker *m, const char *why, double u_mm, double v_mm) {
    m->setup->survey.pixel_mm[0] = u_mm;
    m->setup->survey.pixel_mm[1] = v_mm;
    return es_decisions_add(&m->setup->decisions, m->err, "pixel spacing", why, "%.5g x %.5g mm",
                            u_mm, v_mm);
}

/* The calibration that reconstruction uses as it is, unless it is a known
 * constant; NULL: none. */
static const es_evidence *find_calibration(const es_evidence_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        if (strcmp(e->source, "matrix") == 0 && !e->suspect && isfinite(e->sigma[0]) &&
            isfinite(e->sigma[1]) && e->spacing_mm[0] > 0 && e->spacing_mm[1] > 0)
            return e;
    }
    return NULL;
}

static bool ask(const es_spacing_verdict *v, es_error *err) {
    return es_fail(err, ES_GEOMETRY,
                   "the pixel spacing is not known, and bone is a matter of millimetres; give "
                   "--spacing-mm SX,SY or --config XML (echosolid spacing helps to find it%s%s)",
                   v->ask_count ? "; cheapest: " : "", v->ask_count ? v->ask[0] : "");
}

static bool resolve_spacing(maker *m) {
    const double *given = m->request->spacing_mm;
    if (!isnan(given[0])) return decide(m, "given", given[0], given[1]);
    const es_evidence *calibration = find_calibration(&m->judgement.evidence);
    if (calibration)
        return decide(m, calibration->note, calibration->spacing_mm[0], calibration->spacing_mm[1]);
    const es_spacing_verdict *v = &m->judgement.verdict;
    if (!v->known) return ask(v, m->err);
    return decide(m, "all the evidence: echosolid spacing tells it", v->spacing_mm[0],
                  v->spacing_mm[1]);
}

/* A fan that the pictures show, where no configuration tells it. */
static bool take_seen_fan(maker *m) {
    const es_fan_found *seen = &m->judgement.shapes.fan;
    const double *pixel = m->setup->survey.pixel_mm;
    if (m->setup->fan.kind != ES_FAN_NONE || !seen->found) return true;
    if (seen->flipped)
        return es_fail(m->err, ES_GEOMETRY,
                       "the pictures lie upside down: the fan's apex is below the echoes; write "
                       "the true orientation mark (MF: probe on top) into the recording");
    if (fabs(seen->fan.aspect / (pixel[0] / pixel[1]) - 1) > ASPECT_SLACK)
        es_log(ES_WARNING,
               "the fan that is seen is round for pixels of ratio %.3f, the spacing says %.3f",
               seen->fan.aspect, pixel[0] / pixel[1]);
    m->setup->fan = seen->fan;
    return es_decisions_add(&m->setup->decisions, m->err, "scan lines",
                            "the fan that the pictures show", "curved array, %.1f to %.1f deg",
                            seen->fan.angle_start_rad * 180 / M_PI,
                            seen->fan.angle_stop_rad * 180 / M_PI);
}

static bool look(maker *m, es_source *source) {
    es_judge_request judge;
    es_judge_request_init(&judge);
    judge.plus = m->request->plus;
    judge.config = m->request->config;
    if (!es_source_can_rewind(source))
        return es_fail(m->err, ES_USAGE,
                       "a live source cannot be looked at first; give --spacing-mm and --config");
    return es_judge(source, &judge, &m->judgement, m->err);
}

bool es_bone_setup_make(es_source *source, const es_bone_request *request, es_setup *setup,
                        es_error *err) {
    maker m = {.request = request, .setup = setup, .err = err};
    const es_stream_info *info = es_source_info(source);
    es_setup_request picture;
    es_setup_request_init(&picture);
    picture.plus = request->plus;
    memset(setup, 0, sizeof *setup);
    if (info->width == 0)
        return es_fail(err, ES_GEOMETRY, "the recording holds poses only, no pictures");
    bool ok = es_setup_make_picture(info, &picture, setup, err);
    bool told = !isnan(request->spacing_mm[0]) && setup->fan.kind != ES_FAN_NONE;
    ok = ok && (told || look(&m, source)) && resolve_spacing(&m) && take_seen_fan(&m);
    es_judgement_clear(&m.judgement);
    if (!ok) es_setup_clear(setup);
    return ok;
}
