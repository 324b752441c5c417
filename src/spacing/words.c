/* The verdict in plain words: what to use, who says so, who says otherwise
 * and why that may be, and what would settle an open question. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "resolve.h"

/* ---- speed of sound ------------------------------------------------------------ */

static const double usual_speed = 1540;

/* Curved arrays: a warp about the face, no scale (the radius is metal). */
static bool seen_curved(const resolution *r) {
    if (r->hints->probe) return r->hints->probe->curved;
    for (size_t i = 0; i < r->evidence->count; i++)
        if (strncmp(r->evidence->items[i].source, "fan", 3) == 0) return true;
    return false;
}

bool resolve_speed(resolution *r, es_error *err) {
    const es_spacing_hints *h = r->hints;
    double assumed = isnan(h->scanner_speed_m_s) ? usual_speed : h->scanner_speed_m_s;
    double truth = isnan(h->true_speed_m_s) ? assumed : h->true_speed_m_s;
    if (!(assumed >= 1000 && assumed <= 2000 && truth >= 1000 && truth <= 2000))
        return es_fail(err, ES_USAGE,
                       "speed of sound: scanner %g m/s, medium %g m/s; expected 1000 to 2000",
                       assumed, truth);
    double ratio = truth / assumed;
    if (ratio == 1 || isnan(r->verdict->spacing_mm[1])) return true;
    if (seen_curved(r)) {
        snprintf(
            r->speed, sizeof r->speed,
            "Speed of sound %.0f m/s where the scanner takes %.0f: along each line, depths "
            "from the face are %.4f of what is drawn. With a curved array that is a warp about "
            "the face, not a spacing: the value above is the scanner's own scale.",
            truth, assumed, ratio);
        return true;
    }
    r->verdict->spacing_mm[1] *= ratio;
    for (int i = 0; i < 2; i++) r->verdict->ci95_mm[1][i] *= ratio;
    snprintf(r->speed, sizeof r->speed,
             "Corrected for a speed of sound of %.0f m/s where the scanner takes %.0f: the axial "
             "spacing is %.4f of what is drawn, the lateral one is unchanged.",
             truth, assumed, ratio);
    return true;
}

/* ---- what would settle it ------------------------------------------------------------ */

static const es_evidence *find_source(const resolution *r, const char *source) {
    for (size_t i = 0; i < r->evidence->count; i++)
        if (strcmp(r->evidence->items[i].source, source) == 0) return &r->evidence->items[i];
    return NULL;
}

static void ask(es_spacing_verdict *verdict, const char *text) {
    if (verdict->ask_count < ES_ASK_MAX)
        snprintf(verdict->ask[verdict->ask_count++], sizeof verdict->ask[0], "%s", text);
}

/* Cheapest first: looking, then exporting, then measuring. */
void resolve_ask(resolution *r) {
    es_spacing_verdict *v = r->verdict;
    if (v->known) return;
    if (isnan(r->hints->depth_mm))
        ask(v, "the depth that the scanner showed (--depth-mm); a PLUS server tells it: "
               "GetUsParameter DepthMm");
    if (!r->hints->probe) ask(v, "the name on the probe (--probe), e.g. C5-2R60S-3");
    if (r->contradicted)
        ask(v, "whether depth, zoom or probe were changed between the recording and the "
               "configuration or setting given here");
    if (!find_source(r, "ticks"))
        ask(v, "a recording or screenshot that shows the scanner's depth ruler, at the same "
               "setting");
    ask(v, "a DICOM file that the scanner exports at the same setting (its ultrasound regions "
           "carry the scale)");
    ask(v, "a picture of two wires or edges at a known distance in water at a known temperature, "
           "one pair across and one pair down");
    ask(v, "a calibrated ImageToProbe for this depth (--config)");
}

/* ---- the summary ------------------------------------------------------------------------ */

/* Adds a sentence while it fits; a cut sentence would say something else. */
static void say(char *summary, size_t size, const char *text) {
    size_t used = strlen(summary), length = strlen(text);
    if (length == 0 || used + length + 2 > size) return;
    if (used) summary[used++] = ' ';
    memcpy(summary + used, text, length + 1);
}

static void say_answer(const resolution *r, char *text, size_t size) {
    const es_spacing_verdict *v = r->verdict;
    double half[2];
    for (int a = 0; a < 2; a++) half[a] = (v->ci95_mm[a][1] - v->ci95_mm[a][0]) / 2;
    if (isnan(v->spacing_mm[0]) && isnan(v->spacing_mm[1]))
        snprintf(text, size, "Unknown: nothing here measures the size of a pixel.");
    else if (!v->known && r->contradicted)
        snprintf(text, size,
                 "Unknown: the sources contradict one another; all that can be said is %.4f to "
                 "%.4f mm across and %.4f to %.4f mm down.",
                 v->ci95_mm[0][0], v->ci95_mm[0][1], v->ci95_mm[1][0], v->ci95_mm[1][1]);
    else if (!v->known)
        snprintf(text, size,
                 "Unknown: no source is good to 3 %%; about %.3f x %.3f mm, to be used for "
                 "nothing but a plausibility check.",
                 v->spacing_mm[0], v->spacing_mm[1]);
    else if (!v->anisotropic && fabs(v->spacing_mm[0] - v->spacing_mm[1]) < 5e-5)
        snprintf(text, size, "Use %.4f +- %.4f mm a pixel.", v->spacing_mm[0],
                 fmax(half[0], half[1]));
    else
        snprintf(text, size, "Use %.4f +- %.4f mm across and %.4f +- %.4f mm down.",
                 v->spacing_mm[0], half[0], v->spacing_mm[1], half[1]);
}

/* Why a value may differ from the answer by this factor. */
static const char *likely_cause(const es_evidence *e, double ratio) {
    if (fabs(ratio * 10 - 1) < .05) return "ten times too small: centimetres taken as millimetres";
    if (fabs(ratio / 10 - 1) < .05) return "ten times too large: millimetres taken as centimetres";
    if (fabs(ratio * 1000 - 1) < .05) return "a thousand times too small: metres";
    if (strcmp(e->group, "calibration") == 0)
        return "a calibration of another depth or zoom, or one that was never measured";
    if (strcmp(e->group, "depth") == 0)
        return "the depth was changed after the recording, the picture was zoomed, or the ruler "
               "starts elsewhere";
    if (strcmp(e->group, "probe") == 0) return "another probe, or the picture was stretched";
    if (strcmp(e->group, "ticks") == 0) return "a scale of something else than millimetres";
    return "written down for another setting";
}

/* How much an item says against the answer, in %; 0: nothing. */
static double disagreement(const resolution *r, const es_evidence *e) {
    const es_spacing_verdict *v = r->verdict;
    double worst = 0;
    for (int a = 0; a < 2; a++) {
        if (!(e->spacing_mm[a] > 0) || !isfinite(e->sigma[a])) continue;
        double off = log(e->spacing_mm[a] / v->spacing_mm[a]);
        double half = log(v->ci95_mm[a][1] / v->ci95_mm[a][0]) / 2;
        if (e->bound && off * e->bound <= 0) continue; /* a bound that holds */
        if (fabs(off) > fmax(1.5 * hypot(half, 2 * e->sigma[a]), .003) && fabs(off) > fabs(worst))
            worst = off;
    }
    return 100 * (exp(worst) - 1);
}

/* The two precise voices that are farthest apart. */
static void say_contradiction(const resolution *r, char *summary, size_t size) {
    const es_evidence_list *list = r->evidence;
    const es_evidence *one = NULL, *other = NULL;
    double worst = 0, a_value = 0, b_value = 0;
    for (size_t i = 0; r->contradicted && i < list->count; i++)
        for (size_t k = 0; k < list->count; k++)
            for (int a = 0; a < 2; a++) {
                const es_evidence *e = &list->items[i], *f = &list->items[k];
                if (!evidence_usable(e, a) || !evidence_usable(f, a)) continue;
                double z =
                    log(f->spacing_mm[a] / e->spacing_mm[a]) / hypot(e->sigma[a], f->sigma[a]);
                if (z <= worst) continue;
                worst = z, one = e, other = f;
                a_value = e->spacing_mm[a], b_value = f->spacing_mm[a];
            }
    if (!one) return;
    bool written = strcmp(one->group, "calibration") == 0; /* rather than seen */
    char text[400];
    snprintf(text, sizeof text, "%s says %.4f where %s says %.4f (%+.1f %%). Likely: %s.",
             one->source, a_value, other->source, b_value, 100 * (b_value / a_value - 1),
             likely_cause(written ? one : other, written ? a_value / b_value : b_value / a_value));
    say(summary, size, text);
}

static void say_others(const resolution *r, char *summary, size_t size) {
    char text[ES_EVIDENCE_NOTE + 300];
    for (size_t i = 0; i < r->evidence->count; i++) {
        const es_evidence *e = &r->evidence->items[i];
        double s = isnan(e->spacing_mm[1]) ? e->spacing_mm[0] : e->spacing_mm[1];
        if (isnan(s)) continue;
        double off = r->verdict->known ? disagreement(r, e) : 0;
        if (e->suspect || strcmp(e->source, "depth-height") == 0 ||
            strncmp(e->note, TWO_READINGS, strlen(TWO_READINGS)) == 0) {
            snprintf(text, sizeof text, "%s.", e->note);
            text[0] = (char)toupper((unsigned char)text[0]);
        } else if (off != 0)
            snprintf(text, sizeof text, "%s says %.4g (%+.1f %%): %s.", e->source, s, off,
                     likely_cause(e, s / r->verdict->spacing_mm[isnan(e->spacing_mm[1]) ? 0 : 1]));
        else
            continue;
        say(summary, size, text);
    }
}

/* "fan-radius 0.3092, fan-depth 0.3087 and ticks 0.3085" of what was used. */
static void say_used(const resolution *r, char *summary, size_t size) {
    char text[600] = "";
    int count = 0;
    for (size_t i = 0; i < r->evidence->count; i++) {
        const es_evidence *e = &r->evidence->items[i];
        int a = evidence_usable(e, 1) ? 1 : 0;
        if (!evidence_usable(e, a)) continue;
        size_t used = strlen(text);
        if (used + 80 > sizeof text) break;
        snprintf(text + used, sizeof text - used, "%s%s %.4f (+-%.2g %%)", count++ ? ", " : "From ",
                 e->source, e->spacing_mm[a], 196 * e->sigma[a]);
    }
    if (count) strcat(text, ".");
    say(summary, size, text);
}

bool resolve_words(resolution *r, es_error *err) {
    (void)err;
    es_spacing_verdict *v = r->verdict;
    char text[400];
    v->summary[0] = 0;
    say_answer(r, text, sizeof text);
    say(v->summary, sizeof v->summary, text);
    say_contradiction(r, v->summary, sizeof v->summary);
    if (r->width_apart > 0) {
        snprintf(text, sizeof text,
                 "Across, only the array's width speaks, %.1f %% above what is measured down: a "
                 "dark end of the array, or oblong pixels.",
                 100 * expm1(r->width_apart));
        say(v->summary, sizeof v->summary, text);
    }
    say_used(r, v->summary, sizeof v->summary);
    for (int a = 0; a < 2; a++)
        if (r->borrowed[a] && v->known) {
            snprintf(text, sizeof text,
                     "Nothing measures the direction %s: its value assumes square pixels%s.",
                     a ? "down" : "across",
                     v->ci95_mm[a][1] > 1.02 * v->spacing_mm[a] ? ", to 2 % (1-sigma)" : "");
            say(v->summary, sizeof v->summary, text);
        }
    if (v->anisotropic)
        say(v->summary, sizeof v->summary,
            "The pixels are not square: use both numbers (a frame grabber or a calibration in "
            "water "
            "stretches one direction).");
    say(v->summary, sizeof v->summary, r->speed);
    say_others(r, v->summary, sizeof v->summary);
    return true;
}
