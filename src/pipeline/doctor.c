/* The doctor's wiring: what a PLUS configuration and a recording say, into
 * plain structs; the frames, one pass; and the mended copy. */
#include <math.h>
#include <string.h>

#include "judge_internal.h"

#define PIXEL_BYTES 600e6 /* read of a recording: a second or two */
enum { RUN = 8 };         /* neighbours that are read together */

/* ---- the configuration ------------------------------------------------------------ */

typedef struct statics {
    es_doctor_transform *items;
    size_t count, capacity;
} statics;

static bool add_static(statics *list, const es_plus_transform *t, bool commented, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return false;
        list->capacity = capacity;
    }
    es_doctor_transform *to = &list->items[list->count++];
    *to = (es_doctor_transform){.matrix = t->matrix, .commented = commented};
    strcpy(to->from, t->from);
    strcpy(to->to, t->to);
    return true;
}

static bool add_statics(statics *list, const es_plus *plus, bool commented, es_error *err) {
    for (size_t i = 0; i < es_plus_transform_count(plus); i++) {
        es_plus_transform t;
        if (!es_plus_transform_get(plus, i, &t, err) || !add_static(list, &t, commented, err))
            return false;
    }
    return true;
}

/* Adds the <Transform .../> elements of one comment to the text. */
static void take_elements(const char *comment, const char *end, es_text *out) {
    for (const char *at = comment; (at = strstr(at, "<Transform ")) && at < end;) {
        const char *close = strstr(at, "/>");
        if (!close || close > end) return;
        es_text_add_bytes(out, at, (size_t)(close + 2 - at));
        at = close;
    }
}

/* Calibrations that somebody commented out. What cannot be read is no
 * finding: a comment may hold anything. */
static bool add_commented(statics *list, const char *path, es_error *err) {
    enum { LIMIT = 2 << 20 };
    size_t length;
    es_text text = {0};
    char *file = es_file_read(path, LIMIT, &length, err);
    if (!file) return false;
    es_text_add(&text, "<PlusConfiguration><CoordinateDefinitions>");
    for (const char *at = file; (at = strstr(at, "<!--"));) {
        const char *end = strstr(at, "-->");
        if (!end) break;
        take_elements(at, end, &text);
        at = end;
    }
    es_text_add(&text, "</CoordinateDefinitions></PlusConfiguration>");
    es_free(file);
    es_plus *plus = text.failed ? NULL : es_plus_parse(text.bytes, text.length, path, NULL);
    bool ok = !text.failed;
    if (!ok) es_fail(err, ES_MEMORY, "out of memory for the comments of %s", path);
    size_t before = list->count;
    if (plus && !add_statics(list, plus, true, NULL)) list->count = before;
    es_plus_free(plus);
    es_text_free(&text);
    return ok;
}

static bool take_scan(const es_plus *plus, es_doctor_scan *to, es_error *err) {
    es_plus_scan_conversion scan;
    if (!es_plus_scan_conversion_get(plus, &scan, &to->present, err)) return false;
    if (!to->present) return true;
    to->curved = scan.curvilinear;
    strcpy(to->probe, scan.transducer_name);
    memcpy(to->spacing_mm, scan.spacing_mm, sizeof to->spacing_mm);
    to->depth_mm = scan.depth_mm;
    to->width_mm = scan.width_mm;
    to->radius_start_mm = scan.radius_start_mm;
    to->radius_stop_mm = scan.radius_stop_mm;
    return true;
}

static bool take_clip(const es_plus *plus, double clip_px[4], es_error *err) {
    es_plus_reconstruction recon;
    bool present;
    if (!es_plus_reconstruction_get(plus, &recon, &present, err)) return false;
    if (!present || !recon.has_clip) return true;
    for (int a = 0; a < 2; a++) {
        clip_px[a] = recon.clip_origin[a];
        clip_px[a + 2] = recon.clip_size[a];
    }
    return true;
}

static void take_stream(const es_stream_info *info, es_doctor_about *about) {
    about->frame_count = info->frame_count;
    about->width = info->width;
    about->height = info->height;
    memcpy(about->spacing_mm, info->spacing_mm, sizeof about->spacing_mm);
    strcpy(about->orientation, info->orientation);
    strcpy(about->image_kind, info->image_kind);
    es_picture_modes(info, about->modes);
}

static bool tell(es_doctor *doctor, const es_checkup *c, const es_spacing_verdict *verdict,
                 const char *failure, es_error *err) {
    statics list = {0};
    es_doctor_about about;
    es_doctor_about_init(&about);
    about.has_config = c->plus != NULL;
    about.verdict = verdict;
    about.pixel_failure = failure;
    if (c->source) take_stream(es_source_info(c->source), &about);
    if (!*about.modes && c->judge && c->judgement) strcpy(about.modes, c->judgement->shapes.views);
    bool ok = !c->plus ||
              (add_statics(&list, c->plus, false, err) && take_scan(c->plus, &about.scan, err) &&
               take_clip(c->plus, about.clip_px, err));
    if (ok && c->plus && c->plus_path) ok = add_commented(&list, c->plus_path, err);
    about.transforms = list.items;
    about.transform_count = list.count;
    ok = ok && es_doctor_config(doctor, &about, err);
    es_free(list.items);
    return ok;
}

/* ---- the recording ------------------------------------------------------------------ */

/* One visit: the doctor and the judge look at the same frames. */
typedef struct visit {
    const es_checkup *c;
    es_doctor *doctor;
    judge_pass pass; /* maker NULL: nobody judges */
    int64_t every;   /* run of frames whose pixels are read; 0: none */
    int64_t read;
} visit;

static bool show(visit *v, const es_frame *frame, bool judged, es_error *err) {
    if (!es_doctor_add(v->doctor, frame, err) || es_cancelled(err)) return false;
    v->read++;
    es_error why = {0};
    if (!v->pass.maker || judge_pass_add(&v->pass, frame, judged, &why)) return true;
    judge_pass_free(&v->pass); /* pictures of another size: that is the doctor's to tell */
    if (why.code == ES_FORMAT) return true;
    if (err) *err = why;
    return false;
}

/* Reads from the source until its end; those before `skip` were seen. */
static bool read_frames(visit *v, int64_t skip, es_error *err) {
    es_source *source = v->c->source;
    es_frame frame = {0};
    bool end = false, ok = true;
    double total = (double)es_source_info(source)->frame_count;
    for (int64_t f = 0; ok; f++) {
        bool judged = v->every && v->pass.maker && judge_pass_wants(&v->pass, f);
        bool pixels = judged || (v->every && f / RUN % v->every == 0);
        ok = es_source_next(source, &frame, pixels ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        if (f < skip) continue;
        ok = show(v, &frame, judged, err);
        if (f % 64 == 0) es_progress_step(v->c->progress, "examining", (double)f, total);
    }
    es_frame_clear(&frame);
    return ok;
}

static int64_t pixels_every(const es_stream_info *info, double most) {
    double bytes = (double)info->width * info->height * info->channels *
                   (double)es_type_size(info->type) * (double)info->frame_count;
    return info->width ? (int64_t)fmax(ceil(bytes / most), 1) : 0;
}

/* Pixels that cannot be read to their end: the poses are examined all the
 * same. */
static bool examine(visit *v, es_error *failure, es_error *err) {
    double most = v->c->pixel_bytes > 0 ? v->c->pixel_bytes : PIXEL_BYTES;
    v->every = pixels_every(es_source_info(v->c->source), most);
    if (read_frames(v, 0, failure)) return true;
    bool ours = failure->code == ES_MEMORY || failure->code == ES_CANCELLED;
    if (ours || !v->every || !es_source_rewind(v->c->source, NULL)) {
        if (err) *err = *failure;
        return false;
    }
    v->every = 0;
    return read_frames(v, v->read, err);
}

static bool begin_judging(visit *v, es_error *err) {
    const es_checkup *c = v->c;
    if (!c->judge) return true;
    memset(c->judgement, 0, sizeof *c->judgement);
    return judge_check_request(c->judge, err) &&
           (!c->source ||
            judge_pass_begin(&v->pass, es_source_info(c->source), c->judge->frames, err));
}

/* A recording without pictures, or with pictures of several sizes, has no
 * judgement, which is no failure of the doctor. */
static bool end_judging(visit *v, es_error *err) {
    const es_checkup *c = v->c;
    if (!v->pass.maker || v->pass.taken == 0) return true;
    return judge_conclude(es_source_info(c->source), c->judge, &v->pass, c->judgement, err);
}

static bool run_visit(visit *v, es_findings *findings, es_error *err) {
    const es_checkup *c = v->c;
    es_error failure = {0};
    const es_spacing_verdict *verdict = c->verdict;
    if (!(v->doctor = es_doctor_new(c->options, err)) || !begin_judging(v, err)) return false;
    if (c->source && !(examine(v, &failure, err) && end_judging(v, err))) return false;
    if (c->judge) verdict = &c->judgement->without_matrices;
    return tell(v->doctor, c, verdict, failure.code ? failure.message : NULL, err) &&
           es_doctor_finish(v->doctor, findings, err);
}

es_doctor *es_checkup_run(const es_checkup *checkup, es_findings *findings, es_error *err) {
    visit v = {.c = checkup};
    bool ok = run_visit(&v, findings, err);
    judge_pass_free(&v.pass);
    if (ok) return v.doctor;
    es_doctor_free(v.doctor);
    if (checkup->judge) es_judgement_clear(checkup->judgement);
    return NULL;
}

/* ---- the mended copy ------------------------------------------------------------------ */

static bool copy_mended(es_doctor *doctor, es_source *source, es_sink *sink, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end)
        ok = es_doctor_repair(doctor, &frame, err) && es_sink_put(sink, &frame, err) &&
             !es_cancelled(err);
    es_frame_clear(&frame);
    return ok && es_sink_finish(sink, err);
}

bool es_checkup_fix(es_doctor *doctor, es_source *source, const char *path, char **changes,
                    es_error *err) {
    *changes = NULL;
    if (!es_source_rewind(source, err)) return false;
    es_sink *sink = es_sequence_create(path, es_source_info(source), NULL, err);
    bool ok = sink && copy_mended(doctor, source, sink, err);
    es_sink_free(sink);
    if (ok) *changes = es_doctor_repairs(doctor, err);
    return ok && *changes;
}
