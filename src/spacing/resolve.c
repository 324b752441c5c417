/* What all the evidence says together.
 *
 * Everything is done in ln(s), where sigmas are relative. Evidence that shares
 * an error (a depth setting, one calibration, a copied constant) has one voice:
 * the best of its group. Voices are combined per axis by a mean that is robust
 * (Huber, at two sigma); when they scatter more than they say, the interval
 * grows with the scatter, and when two disagree without a third to decide, it
 * covers both and the verdict is "unknown". An axis without a voice of its own
 * takes the other's, with a stated doubt about the shape of the pixel. */
#include "resolve.h"

#include <math.h>
#include <string.h>

/* An axis that is only inferred from the other one: frame grabbers stretch by
 * up to 7 %, scanners' own pictures do not; 2 % is between the two. */
static const double square_doubt = 0.02, square_sure = 0.001, good = 0.03, most_stretch = 0.07;

bool evidence_usable(const es_evidence *e, int axis) {
    return !e->suspect && e->bound == 0 && isfinite(e->sigma[axis]) && e->sigma[axis] > 0 &&
           isfinite(e->spacing_mm[axis]) && e->spacing_mm[axis] > 0;
}

/* ---- voices ------------------------------------------------------------------- */

enum { VOICES = 32 };
typedef struct voice {
    double x, sigma;
    const es_evidence *from; /* NULL: the other axis */
} voice;
typedef struct axis_state {
    voice voices[VOICES];
    int count;
    double x, sigma; /* NaN: nothing */
    bool contradicted;
} axis_state;

static bool same_group(const es_evidence *a, const es_evidence *b) {
    return a->group[0] ? strcmp(a->group, b->group) == 0 : strcmp(a->source, b->source) == 0;
}

static void hear(axis_state *s, const es_evidence *e, int axis) {
    voice v = {log(e->spacing_mm[axis]), e->sigma[axis], e};
    for (int i = 0; i < s->count; i++)
        if (same_group(s->voices[i].from, e)) {
            if (v.sigma < s->voices[i].sigma) s->voices[i] = v;
            return;
        }
    if (s->count < VOICES) s->voices[s->count++] = v;
}

/* The voice with half of the weight below it. */
static double weighted_median(const axis_state *s) {
    double total = 0;
    for (int i = 0; i < s->count; i++) total += 1 / s->voices[i].sigma;
    for (int i = 0; i < s->count; i++) {
        double below = 0, here = 0;
        for (int k = 0; k < s->count; k++) {
            double w = 1 / s->voices[k].sigma;
            below += s->voices[k].x < s->voices[i].x ? w : 0;
            here += s->voices[k].x == s->voices[i].x ? w : 0;
        }
        if (below <= total / 2 && below + here >= total / 2) return s->voices[i].x;
    }
    return s->voices[0].x;
}

static void combine(axis_state *s) {
    s->x = s->sigma = NAN;
    if (s->count == 0) return;
    double x = weighted_median(s), sum = 0, squares = 0;
    for (int step = 0; step < 50; step++) {
        double moment = 0;
        sum = squares = 0;
        for (int i = 0; i < s->count; i++) {
            const voice *v = &s->voices[i];
            double z = fabs(v->x - x) / v->sigma;
            double w = fmin(1, 2 / z) / (v->sigma * v->sigma);
            sum += w;
            moment += w * v->x;
            squares += fmin(z * z, 2 * z); /* Huber's share */
        }
        x = moment / sum;
    }
    double scatter = s->count > 1 ? squares / (s->count - 1) : 1;
    s->x = x;
    s->sigma = sqrt(fmax(1, scatter) / sum);
}

/* ---- disagreement ---------------------------------------------------------------- */

static bool agree(const voice *a, const voice *b) {
    return fabs(a->x - b->x) <= 3 * hypot(a->sigma, b->sigma);
}

/* Keeps the largest party of precise voices and silences those against it;
 * without a majority nobody can say who is right: the interval covers all. */
static void choose_party(axis_state *s) {
    int precise = 0, best = 0, chief = 0, kept = 0;
    for (int i = 0; i < s->count; i++) {
        if (s->voices[i].sigma >= good) continue;
        int party = 0;
        for (int k = 0; k < s->count; k++)
            party += s->voices[k].sigma < good && agree(&s->voices[i], &s->voices[k]);
        precise++;
        if (party > best || (party == best && s->voices[i].sigma < s->voices[chief].sigma))
            best = party, chief = i;
    }
    s->contradicted = precise > 1 && 2 * best <= precise;
    if (s->contradicted || precise < 2) return;
    voice head = s->voices[chief];
    for (int i = 0; i < s->count; i++)
        if (s->voices[i].sigma >= good || agree(&head, &s->voices[i]))
            s->voices[kept++] = s->voices[i];
    s->count = kept;
}

static void cover_all(axis_state *s) {
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < s->count; i++) {
        const voice *v = &s->voices[i];
        if (v->sigma >= good) continue;
        low = fmin(low, v->x - v->sigma);
        high = fmax(high, v->x + v->sigma);
    }
    s->x = (low + high) / 2;
    s->sigma = (high - low) / 2 / 1.96;
}

/* ---- bounds -------------------------------------------------------------------------- */

static void respect_bounds(const es_evidence_list *list, int axis, double *low, double *high) {
    for (size_t i = 0; i < list->count; i++) {
        const es_evidence *e = &list->items[i];
        double s = e->spacing_mm[axis], sigma = e->sigma[axis];
        if (e->suspect || e->bound == 0 || !(s > 0) || !isfinite(sigma)) continue;
        double edge = s * exp(-1.96 * e->bound * sigma);
        if (e->bound < 0 && edge > *low) *high = fmin(*high, edge);
        if (e->bound > 0 && edge < *high) *low = fmax(*low, edge);
    }
}

/* ---- the two axes ---------------------------------------------------------------------- */

static bool has_good(const axis_state *s) {
    for (int i = 0; i < s->count; i++)
        if (s->voices[i].sigma < good) return true;
    return false;
}

static double shape_doubt(const es_evidence_list *list) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].square) return square_sure;
    return square_doubt;
}

/* True when the axis took the other's value. */
static bool borrow(axis_state *to, const axis_state *from, double doubt) {
    if (has_good(to) || !has_good(from) || to->count == VOICES) return false;
    to->voices[to->count++] = (voice){from->x, hypot(from->sigma, doubt), NULL};
    combine(to);
    return true;
}

/* A dark end that looks like the array's own makes the width too small and a
 * pixel across too large. Where only a width speaks for across, and by more
 * than the errors above what speaks for down, either the pixel is oblong or
 * that has happened: the interval covers both, and what no grabber stretches
 * by is no answer at all. */
static double doubt_aperture(axis_state s[2]) {
    const voice *alone = NULL;
    for (int i = 0; i < s[0].count; i++) {
        if (s[0].voices[i].sigma >= good) continue;
        if (alone || strcmp(s[0].voices[i].from->source, "aperture") != 0) return 0;
        alone = &s[0].voices[i];
    }
    if (!alone || !has_good(&s[1]) || s[1].contradicted) return 0;
    double apart = s[0].x - s[1].x, error = hypot(s[0].sigma, s[1].sigma);
    if (apart <= 3 * error) return 0;
    s[0].x -= apart / 2;
    s[0].sigma = hypot(apart / 2 / 1.96, error);
    s[0].contradicted = apart > most_stretch + 3 * error;
    return apart;
}

/* A bound that leaves out the value that was taken from the other direction:
 * the pixels are oblong. By how much is not known, only what grabbers do. */
static void doubt_borrowed(double x, double ci[2]) {
    if (x > log(ci[1])) ci[0] = fmin(ci[0], ci[1] * exp(-most_stretch));
    if (x < log(ci[0])) ci[1] = fmax(ci[1], ci[0] * exp(most_stretch));
}

static void conclude(const es_evidence_list *list, const axis_state s[2], const bool borrowed[2],
                     es_spacing_verdict *verdict) {
    for (int a = 0; a < 2; a++) {
        double x = s[a].x, half = 1.96 * s[a].sigma;
        verdict->spacing_mm[a] = exp(x);
        double *ci = verdict->ci95_mm[a];
        ci[0] = exp(x - half);
        ci[1] = exp(x + half);
        if (isfinite(x)) respect_bounds(list, a, &ci[0], &ci[1]);
        bool outside = isfinite(x) && borrowed[a] && (x < log(ci[0]) || x > log(ci[1]));
        if (outside) doubt_borrowed(x, ci);
        if (isfinite(x)) verdict->spacing_mm[a] = fmin(fmax(exp(x), ci[0]), ci[1]);
        if (outside) verdict->spacing_mm[a] = sqrt(ci[0] * ci[1]);
    }
    verdict->known = has_good(&s[0]) && has_good(&s[1]) && !s[0].contradicted && !s[1].contradicted;
    double apart = fabs(s[0].x - s[1].x);
    verdict->anisotropic = verdict->known && apart > 3 * hypot(s[0].sigma, s[1].sigma);
}

bool es_spacing_resolve(const es_evidence_list *evidence, const es_spacing_hints *hints,
                        es_spacing_verdict *verdict, es_error *err) {
    axis_state s[2];
    memset(s, 0, sizeof s);
    memset(verdict, 0, sizeof *verdict);
    for (int a = 0; a < 2; a++) {
        for (size_t i = 0; i < evidence->count; i++)
            if (evidence_usable(&evidence->items[i], a)) hear(&s[a], &evidence->items[i], a);
        choose_party(&s[a]);
        combine(&s[a]);
        if (s[a].contradicted) cover_all(&s[a]);
    }
    resolution r = {.evidence = evidence, .hints = hints, .verdict = verdict};
    r.width_apart = doubt_aperture(s);
    double doubt = shape_doubt(evidence);
    r.borrowed[0] = borrow(&s[0], &s[1], doubt);
    r.borrowed[1] = !r.borrowed[0] && borrow(&s[1], &s[0], doubt);
    r.contradicted = s[0].contradicted || s[1].contradicted;
    conclude(evidence, s, r.borrowed, verdict);
    if (!resolve_speed(&r, err)) return false;
    resolve_ask(&r);
    return resolve_words(&r, err);
}
