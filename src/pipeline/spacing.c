/* Judging the spacing of a recording: one pass over its frames gives the still
 * picture, the fields and the transforms; the finders look at the still; what
 * files and the user say is added; the resolver concludes. */
#include <math.h>
#include <string.h>

#include "judge_internal.h"

void es_judge_request_init(es_judge_request *request) {
    memset(request, 0, sizeof *request);
    request->depth_mm = request->depth_sigma_mm = NAN;
    request->scanner_speed_m_s = request->true_speed_m_s = NAN;
}

void es_judgement_clear(es_judgement *j) {
    es_still_clear(&j->still);
    es_evidence_clear(&j->evidence);
    es_decisions_clear(&j->decisions);
    memset(j, 0, sizeof *j);
}

/* ---- one pass over the frames ------------------------------------------------------ */

enum { FRAMES = 60 };

bool judge_pass_begin(judge_pass *p, const es_stream_info *info, int frames, es_error *err) {
    int64_t count = info->frame_count;
    *p = (judge_pass){.scale = ES_FRAME_SCALE_NONE, .limit = frames > 0 ? frames : FRAMES};
    p->stride = count > p->limit ? (count + p->limit - 1) / p->limit : 1;
    if (info->width == 0) p->stride = 0;
    p->maker = es_still_maker_new(err);
    return p->maker != NULL;
}

void judge_pass_free(judge_pass *p) {
    es_still_maker_free(p->maker);
    p->maker = NULL;
}

bool judge_pass_wants(const judge_pass *p, int64_t f) { return p->stride && f % p->stride == 0; }

/* The first valid matrix of each transform of picture pixels. */
static void look_at_transforms(judge_pass *p, const es_frame *frame) {
    for (size_t i = 0; i < frame->transform_count && p->matrix_count < JUDGE_MATRICES; i++) {
        const es_frame_transform *t = &frame->transforms[i];
        char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
        if (!t->valid || !es_transform_name_split(t->name, from, to, NULL) ||
            !judge_is_pixel_transform(from, to))
            continue;
        int k = 0;
        while (k < p->matrix_count && strcmp(p->matrices[k].name, t->name) != 0) k++;
        if (k < p->matrix_count) continue;
        strcpy(p->matrices[k].name, t->name);
        p->matrices[k].matrix = t->matrix;
        p->matrix_count++;
    }
}

bool judge_pass_add(judge_pass *p, const es_frame *frame, bool wanted, es_error *err) {
    es_frame_scale_add(&p->scale, frame);
    look_at_transforms(p, frame);
    if (!wanted || !frame->has_image) return true;
    if (!es_still_maker_add(p->maker, &frame->image, err)) return false;
    if (++p->taken % (2 * p->limit) == 0) p->stride *= 2;
    return true;
}

static bool read_frames(es_source *source, judge_pass *p, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false;
    for (int64_t f = 0; ok; f++) {
        bool wanted = judge_pass_wants(p, f);
        ok = !es_cancelled(err) &&
             es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        ok = judge_pass_add(p, &frame, wanted, err);
    }
    es_frame_clear(&frame);
    return ok && (!es_source_can_rewind(source) || es_source_rewind(source, err));
}

/* ---- what the user and the files say about depth and probe ---------------------------- */

static bool name_probe(const es_judge_request *r, es_judgement *j, es_error *err) {
    bool known = false;
    if (!r->probe) return true;
    if (!es_probe_find(r->probe, r->probes, &j->probe, &known, err)) return false;
    if (!known)
        return es_fail(err, ES_USAGE,
                       "probe \"%.60s\" is in no table and follows no maker's naming; give its "
                       "radius or width in a JSON file with --probes",
                       r->probe);
    j->hints.probe = &j->probe;
    return true;
}

static bool take_header_hints(const es_stream_info *info, const es_judge_request *r,
                              es_judgement *j, es_error *err) {
    double depth = es_header_depth(info);
    if (isnan(j->hints.depth_mm) && !isnan(depth)) {
        j->hints.depth_mm = depth;
        if (!es_decisions_add(&j->decisions, err, "depth", "Depth of Scan Field (DICOM)", "%g mm",
                              depth))
            return false;
    }
    const char *name = es_header_probe(info);
    bool known = false;
    if (j->hints.probe || !name) return true;
    if (!es_probe_find(name, r->probes, &j->probe, &known, err)) return false;
    if (!known) return true;
    j->hints.probe = &j->probe;
    return es_decisions_add(&j->decisions, err, "probe", "Transducer Data (DICOM)", "%s",
                            j->probe.name);
}

bool judge_check_request(const es_judge_request *r, es_error *err) {
    if (!isnan(r->depth_mm) && !(r->depth_mm >= 1 && r->depth_mm <= 1000))
        return es_fail(err, ES_USAGE, "a depth of %g mm; expected 1 to 1000", r->depth_mm);
    return true;
}

static bool collect_hints(const es_stream_info *info, const es_judge_request *r, es_judgement *j,
                          es_error *err) {
    j->hints = (es_spacing_hints){.depth_mm = r->depth_mm,
                                  .depth_sigma_mm = r->depth_sigma_mm,
                                  .scanner_speed_m_s = r->scanner_speed_m_s,
                                  .true_speed_m_s = r->true_speed_m_s};
    return name_probe(r, j, err) && take_header_hints(info, r, j, err);
}

/* ---- evidence ------------------------------------------------------------------------------ */

static bool collect_matrices(const judge_pass *p, es_judgement *j, es_error *err) {
    for (int i = 0; i < p->matrix_count; i++) {
        char where[ES_NAME_SIZE + 32];
        snprintf(where, sizeof where, "%s of the recording", p->matrices[i].name);
        if (!judge_add_matrix(where, p->matrices[i].matrix, j, err)) return false;
    }
    return true;
}

/* What does not depend on any matrix; needs depth and probe. */
static bool collect_seen(const es_stream_info *info, const judge_pass *p, const es_judgement *j,
                         es_evidence_list *list, es_error *err) {
    const es_still *still = &j->still;
    return es_header_evidence(info, list, err) && es_frame_scale_evidence(&p->scale, list, err) &&
           es_shape_evidence(&j->shapes, &j->hints, list, err) &&
           es_depth_readings(&j->shapes.fan, still, &j->hints, list, err);
}

/* The steps of a ruler and of the scan lines are told by what else is known: they come
 * last. */
static bool resolve(const es_judgement *j, es_evidence_list *list, es_spacing_verdict *verdict,
                    es_error *err) {
    return es_ticks_evidence(&j->shapes, &j->still, &j->hints, list, err) &&
           es_lines_evidence(&j->shapes, &j->hints, list, err) &&
           es_spacing_resolve(list, &j->hints, verdict, err);
}

static bool resolve_without_matrices(const es_stream_info *info, const judge_pass *p,
                                     es_judgement *j, es_error *err) {
    es_evidence_list list = {0};
    bool ok = collect_seen(info, p, j, &list, err) && resolve(j, &list, &j->without_matrices, err);
    es_evidence_clear(&list);
    return ok;
}

static bool tell_views(es_judgement *j, es_error *err) {
    return !*j->shapes.views ||
           es_decisions_add(&j->decisions, err, "pictures", "only one of them is measured", "%s",
                            j->shapes.views);
}

bool judge_conclude(const es_stream_info *info, const es_judge_request *r, judge_pass *p,
                    es_judgement *j, es_error *err) {
    return collect_hints(info, r, j, err) && es_still_maker_finish(p->maker, &j->still, err) &&
           es_shapes_find(&j->still, &j->shapes, err) && tell_views(j, err) &&
           collect_matrices(p, j, err) && judge_configuration(r, j, err) &&
           collect_seen(info, p, j, &j->evidence, err) &&
           resolve(j, &j->evidence, &j->verdict, err) && resolve_without_matrices(info, p, j, err);
}

bool es_judge(es_source *source, const es_judge_request *r, es_judgement *j, es_error *err) {
    const es_stream_info *info = es_source_info(source);
    judge_pass p = {0};
    memset(j, 0, sizeof *j);
    bool ok = judge_check_request(r, err) && judge_pass_begin(&p, info, r->frames, err) &&
              read_frames(source, &p, err) &&
              (!r->motion || (judge_motion(source, r->plus, &j->evidence, err) &&
                              judge_overlap(source, r->plus, &j->evidence, err))) &&
              judge_conclude(info, r, &p, j, err);
    judge_pass_free(&p);
    if (!ok) es_judgement_clear(j);
    return ok;
}

/* ---- writing the verdict into a recording ---------------------------------------------------- */

static bool copy_frames(es_source *source, es_sink *sink, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false;
    while (ok && !end) {
        ok = !es_cancelled(err) && es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (ok && !end) ok = es_sink_put(sink, &frame, err);
    }
    es_frame_clear(&frame);
    return ok && es_sink_finish(sink, err);
}

bool es_judge_write_recording(const es_spacing_verdict *verdict, es_source *source,
                              const char *path, es_error *err) {
    if (!verdict->known)
        return es_fail(err, ES_GEOMETRY, "the spacing is not known: nothing is written");
    es_stream_info info = {0};
    char interval[160];
    const double(*ci)[2] = verdict->ci95_mm;
    snprintf(interval, sizeof interval, "%.6g %.6g %.6g %.6g", ci[0][0], ci[0][1], ci[1][0],
             ci[1][1]);
    bool ok = es_stream_info_copy(es_source_info(source), &info, err);
    memcpy(info.spacing_mm, verdict->spacing_mm, sizeof info.spacing_mm);
    ok = ok && es_fields_set(&info.fields, "EchosolidSpacingCi95Mm", interval, err);
    es_sink *sink = ok ? es_sequence_create(path, &info, NULL, err) : NULL;
    ok = sink && copy_frames(source, sink, err);
    es_sink_free(sink);
    es_stream_info_clear(&info);
    return ok;
}

/* ---- the picture --------------------------------------------------------------------------------
 */

bool es_judge_picture(const es_judgement *j, es_image *picture, es_error *err) {
    const es_colour white = {255, 255, 255};
    const es_shapes *s = &j->shapes;
    bool fan = s->fan.found;
    if (!es_shape_picture(&j->still, &s->fan, fan ? NULL : &s->aperture, fan ? NULL : &s->rows,
                          s->ticks, s->tick_count, picture, err))
        return false;
    char text[160] = "spacing unknown";
    if (j->verdict.known)
        snprintf(text, sizeof text, "%.4f x %.4f mm a pixel", j->verdict.spacing_mm[0],
                 j->verdict.spacing_mm[1]);
    es_picture_text(picture, 4, (int)picture->height - 14, 1, white, text);
    return true;
}
