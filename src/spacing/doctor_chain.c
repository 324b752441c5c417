/* The chain from the picture to the reference: is it whole, is it said once,
 * and where does each picture lie. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>

#define SAME_MATRIX 1e-6 /* of the size: rounding of a file's digits */

static double apart(const es_mat4 *a, const es_mat4 *b) {
    double worst = 0, size = 1e-12;
    for (int i = 0; i < 12; i++) {
        worst = fmax(worst, fabs(a->m[i] - b->m[i]));
        size = fmax(size, fabs(a->m[i]));
    }
    return worst / size;
}

static bool say_twice(es_doctor *d, const char *name, es_severity severity, const char *evidence,
                      es_error *err) {
    es_finding *f = finding_add(d, "duplicate-names", severity, name, err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, "an old calibration was left in the file beside the new one, or a device sends "
                  "what is also configured");
    SAY(f->fix, "keep one of them");
    return true;
}

/* The same From and To, or the two exchanged. */
static bool said_twice(es_doctor *d, const es_doctor_transform *a, const es_doctor_transform *b,
                       es_error *err) {
    bool same = strcmp(a->from, b->from) == 0 && strcmp(a->to, b->to) == 0;
    bool turned = strcmp(a->from, b->to) == 0 && strcmp(a->to, b->from) == 0;
    es_mat4 other = b->matrix;
    char name[ES_NAME_SIZE], text[480];
    if (a->commented || b->commented || !(same || turned)) return true;
    if (turned && !es_mat4_invert(b->matrix, &other, NULL)) return true;
    bool differ = apart(&a->matrix, &other) > SAME_MATRIX;
    snprintf(name, sizeof name, "%.60sTo%.60s", a->from, a->to);
    snprintf(text, sizeof text, "%.120s is given twice%s, %s", name,
             turned ? ", once as its inverse" : "",
             differ ? "with different matrices" : "with the same matrix");
    return say_twice(d, name, differ ? ES_SEVERITY_ERROR : ES_SEVERITY_NOTE, text, err);
}

static bool said_in_frames(es_doctor *d, const es_doctor_transform *a, es_error *err) {
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        if (a->commented || !t->splits || strcmp(t->from, a->from) != 0 ||
            strcmp(t->to, a->to) != 0)
            continue;
        char text[480];
        snprintf(text, sizeof text, "%.120s stands in the configuration and in the frames too",
                 t->name);
        return say_twice(d, t->name, ES_SEVERITY_WARNING, text, err);
    }
    return true;
}

static bool duplicates(es_doctor *d, es_error *err) {
    for (size_t i = 0; i < d->about.transform_count; i++) {
        if (!said_in_frames(d, &d->statics[i], err)) return false;
        for (size_t k = i + 1; k < d->about.transform_count; k++)
            if (!said_twice(d, &d->statics[i], &d->statics[k], err)) return false;
    }
    return true;
}

/* ---- where the pictures lie ---------------------------------------------------------- */

static bool add_statics(const es_doctor *d, es_graph *graph, es_error *err) {
    for (size_t i = 0; i < d->about.transform_count; i++) {
        const es_doctor_transform *t = &d->statics[i];
        es_error why = {0};
        if (t->commented || es_graph_set(graph, t->from, t->to, t->matrix, true, &why)) continue;
        if (why.code != ES_MEMORY) continue; /* a duplicate: said already */
        if (err) *err = why;
        return false;
    }
    return true;
}

static bool add_frame(const es_doctor *d, es_graph *graph, int64_t f, es_error *err) {
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        es_error why = {0};
        bool valid = t->state[f] == POSE_VALID && !t->discard[f];
        if (!t->splits || strcmp(t->from, t->to) == 0 ||
            es_graph_set(graph, t->from, t->to, t->pose[f], valid, &why))
            continue;
        if (why.code != ES_MEMORY) continue;
        if (err) *err = why;
        return false;
    }
    return true;
}

static void choose_names(es_doctor *d, const es_graph *graph) {
    static const char *const known[] = {"Reference", "World", "Tracker"};
    if (!d->options.image[0]) SAY(d->options.image, "Image");
    SAY(d->reference, "%s", d->options.reference);
    for (size_t i = 0; i < 3 && !d->reference[0]; i++)
        if (es_graph_has_node(graph, known[i])) SAY(d->reference, "%s", known[i]);
}

static bool place_frames(es_doctor *d, es_graph *graph, es_error *why, es_error *err) {
    for (int64_t f = 0; f < d->frames; f++) {
        es_error at = {0};
        if (!add_frame(d, graph, f, err)) return false;
        if (f == 0) choose_names(d, graph);
        d->has_pose[f] = d->reference[0] && es_graph_find(graph, d->options.image, d->reference,
                                                          &d->image_pose[f], NULL, &at);
        d->placed |= d->has_pose[f];
        if (at.code == ES_MEMORY) {
            if (err) *err = at;
            return false;
        }
        if (!d->has_pose[f] && !why->code) *why = at;
    }
    return true;
}

/* The moving link that is nearest to the picture. */
static void find_probe(es_doctor *d) {
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        bool named = strcmp(t->from, "Probe") == 0;
        bool picture = strcmp(t->from, d->options.image) == 0;
        if (t->splits && t->valid && (named || picture) &&
            (d->probe < 0 || picture || !strcmp(t->to, d->reference)))
            d->probe = i;
    }
}

static bool say_missing(es_doctor *d, es_severity severity, const char *evidence, const char *fix,
                        es_error *err) {
    es_finding *f = finding_add(d, "missing-link", severity, "", err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, "the configuration with the calibration is missing, or a tool was not recorded");
    SAY(f->fix, "%s", fix);
    return true;
}

static bool has_track(const es_doctor *d, const char *from) {
    for (int i = 0; i < d->track_count; i++)
        if (d->tracks[i].splits && strcmp(d->tracks[i].from, from) == 0) return true;
    return false;
}

static bool static_names(const es_doctor *d, const char *node) {
    for (size_t i = 0; i < d->about.transform_count; i++)
        if (!strcmp(d->statics[i].from, node) || !strcmp(d->statics[i].to, node)) return true;
    return false;
}

static bool missing(es_doctor *d, const es_error *why, es_error *err) {
    bool poses = false;
    for (int i = 0; i < d->track_count; i++) poses |= d->tracks[i].splits && d->tracks[i].valid;
    if (!doctor_is_size(d->about.width, d->about.height))
        return true; /* a tracker alone: no picture to place */
    if (!poses)
        return say_missing(d, ES_SEVERITY_NOTE, "the frames carry no poses",
                           "give poses with the pictures where a volume is wanted", err);
    if (!d->placed) {
        bool calibrated = static_names(d, d->options.image[0] ? d->options.image : "Image");
        bool probe = has_track(d, "Probe") || has_track(d, "Image");
        es_severity severity = calibrated && probe ? ES_SEVERITY_ERROR : ES_SEVERITY_NOTE;
        return say_missing(d, severity, why->message[0] ? why->message : "no chain was found",
                           "add the transform that is missing: ImageToProbe by calibration "
                           "(--config), poses from the tracker",
                           err);
    }
    if (!has_track(d, "Reference") && strcmp(d->reference, "Tracker") == 0)
        return say_missing(d, ES_SEVERITY_NOTE,
                           "there is no Reference: the pictures are placed relative to the tracker",
                           "fasten a reference marker to what is scanned, or keep tracker and "
                           "patient still",
                           err);
    return true;
}

/* A chain that exists but whose pieces disagree. */
static bool disagreeing(es_doctor *d, const es_error *why, es_error *err) {
    if (!strstr(why->message, "disagree")) return true;
    return say_twice(d, "", ES_SEVERITY_ERROR, why->message, err);
}

bool doctor_check_chain(es_doctor *d, es_error *err) {
    es_error why = {0};
    es_graph *graph = es_graph_new(err);
    size_t n = (size_t)d->frames;
    d->image_pose = es_alloc(n, sizeof *d->image_pose, err);
    d->has_pose = es_alloc_zero(n, 1, err);
    bool ok = graph && d->image_pose && d->has_pose && duplicates(d, err) &&
              add_statics(d, graph, err) && place_frames(d, graph, &why, err);
    es_graph_free(graph);
    if (!ok) return false;
    find_probe(d);
    return disagreeing(d, &why, err) && (d->frames == 0 || missing(d, &why, err));
}
