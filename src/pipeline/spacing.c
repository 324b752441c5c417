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

enum { MATRICES = 4, FRAMES = 60 };

typedef struct pass {
    es_still_maker *maker;
    es_frame_scale scale;
    struct {
        char name[ES_NAME_SIZE];
        es_mat4 matrix;
    } matrices[MATRICES];
    int matrix_count;
    int64_t stride, taken, limit;
} pass;

/* The first valid matrix of each transform of picture pixels. */
static void look_at_transforms(pass *p, const es_frame *frame) {
    for (size_t i = 0; i < frame->transform_count && p->matrix_count < MATRICES; i++) {
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

/* Frames are taken evenly; where their number is not known, the distance
 * doubles whenever there are enough. */
static bool read_frames(es_source *source, pass *p, es_error *err) {
    int64_t count = es_source_info(source)->frame_count;
    bool pictures = es_source_info(source)->width > 0;
    es_frame frame = {0};
    bool ok = true, end = false;
    p->stride = count > p->limit ? (count + p->limit - 1) / p->limit : 1;
    for (int64_t f = 0; ok; f++) {
        bool take = pictures && f % p->stride == 0;
        ok = !es_cancelled(err) &&
             es_source_next(source, &frame, take ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        es_frame_scale_add(&p->scale, &frame);
        look_at_transforms(p, &frame);
        if (take && frame.has_image) ok = es_still_maker_add(p->maker, &frame.image, err);
        if (take && ++p->taken % (2 * p->limit) == 0) p->stride *= 2;
    }
    es_frame_clear(&frame);
    return ok;
}

static bool look(es_source *source, const es_judge_request *r, pass *p, es_judgement *j,
                 es_error *err) {
    p->scale = (es_frame_scale)ES_FRAME_SCALE_NONE;
    p->limit = r->frames > 0 ? r->frames : FRAMES;
    p->maker = es_still_maker_new(err);
    bool ok = p->maker && read_frames(source, p, err);
    ok = ok && es_still_maker_finish(p->maker, &j->still, err);
    es_still_maker_free(p->maker);
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

static bool check_request(const es_judge_request *r, es_error *err) {
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

static bool collect_written(es_source *source, const es_judge_request *r, const pass *p,
                            es_judgement *j, es_error *err) {
    if (!es_header_evidence(es_source_info(source), &j->evidence, err) ||
        !es_frame_scale_evidence(&p->scale, &j->evidence, err))
        return false;
    for (int i = 0; i < p->matrix_count; i++) {
        char where[ES_NAME_SIZE + 32];
        snprintf(where, sizeof where, "%s of the recording", p->matrices[i].name);
        if (!judge_add_matrix(where, p->matrices[i].matrix, j, err)) return false;
    }
    return judge_configuration(r, j, err);
}

static bool collect_seen(es_judgement *j, es_error *err) {
    const es_still *still = &j->still;
    return es_shapes_find(still, &j->shapes, err) &&
           es_shape_evidence(&j->shapes, &j->hints, &j->evidence, err) &&
           es_depth_readings(&j->shapes.fan, still, &j->hints, &j->evidence, err) &&
           es_ticks_evidence(&j->shapes, still, &j->hints, &j->evidence, err);
}

bool es_judge(es_source *source, const es_judge_request *r, es_judgement *j, es_error *err) {
    memset(j, 0, sizeof *j);
    pass p = {0};
    if (check_request(r, err) && collect_hints(es_source_info(source), r, j, err) &&
        look(source, r, &p, j, err) && collect_written(source, r, &p, j, err) &&
        collect_seen(j, err) && es_spacing_resolve(&j->evidence, &j->hints, &j->verdict, err))
        return true;
    es_judgement_clear(j);
    return false;
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
