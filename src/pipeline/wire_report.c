/* The explaining report of an N-wire calibration. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { SHOWN = 6, THUMB = 360 };
enum { WIDTH = 520, HEIGHT = 240, LEFT = 56, RIGHT = 16, TOP = 12, BOTTOM = 48 }; /* of a plot */
static const double DEGREES = 57.29577951308232;

/* ---- pictures of dots --------------------------------------------------------------------- */

static void ring(es_image *picture, double u, double v, double radius, es_colour colour) {
    enum { SIDES = 16 };
    for (int k = 0; k < SIDES; k++) {
        double a = 2 * 3.14159265358979 * k / SIDES, b = 2 * 3.14159265358979 * (k + 1) / SIDES;
        es_picture_line(picture, u + radius * cos(a), v + radius * sin(a), u + radius * cos(b),
                        v + radius * sin(b), 1.2, colour);
    }
}

bool es_wire_picture(const es_image *frame, const es_wire_frame *dots, const es_wire_spots *spots,
                     uint32_t width, es_image *picture, es_error *err) {
    static const es_colour spot = {120, 150, 190},
                           rows[3] = {{255, 140, 0}, {0, 210, 190}, {250, 90, 160}};
    double scale = (double)width / (double)frame->width;
    uint32_t height = (uint32_t)fmax(1, scale * frame->height + 0.5);
    if (!es_picture_from_image(frame, 0, 0, width, height, picture, err)) return false;
    for (int k = 0; spots && k < spots->count; k++)
        ring(picture, scale * spots->dots[k].u, scale * spots->dots[k].v, 4, spot);
    for (int p = 0; p < ES_PATTERNS_MAX; p++)
        for (int k = 0; k < 3; k++) {
            int w = 3 * p + k;
            if (!dots->seen[w]) continue;
            double u = scale * dots->dots[w][0], v = scale * dots->dots[w][1];
            char number[16];
            snprintf(number, sizeof number, "%d", w + 1);
            ring(picture, u, v, 6, rows[p % 3]);
            es_picture_text(picture, (int)u + 7, (int)v - 9, 1, rows[p % 3], number);
        }
    return true;
}

static size_t place_of(const es_wire_recording *r, int64_t index) {
    for (size_t k = 0; k < r->count; k++)
        if (r->frames[k].index == index) return k;
    return r->count;
}

static const es_wire_reject *rejected(const es_wire_outcome *o, int64_t index) {
    for (size_t k = 0; k < o->reject_count; k++)
        if (o->rejects[k].index == index) return &o->rejects[k];
    return NULL;
}

/* Which frames are shown: some used ones over the whole, the first rejected
 * one of each reason. */
static void choose_shown(const es_wire_about *a, bool *show) {
    const es_wire_outcome *o = a->outcome;
    const es_wire_recording *r = a->calibration;
    size_t used = o->frame_count < SHOWN ? o->frame_count : SHOWN, bad = 0;
    for (size_t k = 0; k < used; k++) {
        size_t at = place_of(r, o->frames[(2 * k + 1) * o->frame_count / (2 * used)].index);
        if (at < r->count) show[at] = true;
    }
    for (size_t k = 0; k < o->reject_count && bad < SHOWN; k++) {
        bool seen = false;
        for (size_t j = 0; j < k; j++)
            seen = seen || strncmp(o->rejects[j].reason, o->rejects[k].reason, 13) == 0;
        size_t at = place_of(r, o->rejects[k].index);
        if (seen || at >= r->count) continue;
        show[at] = true;
        bad++;
    }
}

static bool add_shown(es_report *p, const es_wire_about *a, const es_frame *frame, size_t at,
                      es_error *err) {
    es_image picture = {0};
    char caption[240];
    const es_wire_frame *f = &a->calibration->frames[at];
    const es_wire_reject *why = rejected(a->outcome, f->index);
    const es_wire_spots *spots = a->calibration->spots ? &a->calibration->spots[at] : NULL;
    if (!es_wire_picture(&frame->image, f, spots, THUMB, &picture, err)) return false;
    if (why)
        snprintf(caption, sizeof caption, "Frame %lld, rejected at step %s: %s",
                 (long long)f->index, why->step, why->reason);
    else
        snprintf(caption, sizeof caption, "Frame %lld, %s", (long long)f->index,
                 a->outcome->result.frames_used > 0 ? "used" : "wires found");
    es_report_picture(p, caption, &picture);
    es_image_clear(&picture);
    return true;
}

static bool add_pictures(es_report *p, const es_wire_about *a, es_error *err) {
    if (!a->source || !a->calibration->spots) return true;
    bool *show = es_alloc_zero(a->calibration->count, sizeof *show, err);
    es_frame frame = {0};
    bool end = false, ok = show != NULL;
    if (ok) choose_shown(a, show);
    for (size_t k = 0; k < a->calibration->count && ok && !end; k++) {
        ok = es_source_next(a->source, &frame, show[k] ? ES_READ_PIXELS : 0, &end, err);
        if (ok && !end && show[k] && frame.has_image) ok = add_shown(p, a, &frame, k, err);
    }
    es_frame_clear(&frame);
    es_free(show);
    return ok;
}

/* ---- plots ------------------------------------------------------------------------------------
 */

typedef struct scatter {
    float *x, *y;
    size_t count;
    const char *label_x, *label_y;
} scatter;

static void tick(es_text *svg, double x, double y, const char *anchor, double value) {
    es_text_add(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%.3g</text>", (int)x, (int)y,
                anchor, value);
}

/* Points over linear axes from the data's range (x) and from 0 (y). */
static void add_scatter(es_text *svg, const scatter *s) {
    float low = s->x[0], high = s->x[0], top = 0;
    for (size_t i = 0; i < s->count; i++) {
        low = fminf(low, s->x[i]);
        high = fmaxf(high, s->x[i]);
        top = fmaxf(top, s->y[i]);
    }
    double wide = WIDTH - LEFT - RIGHT, tall = HEIGHT - TOP - BOTTOM;
    double span = high > low ? (double)high - (double)low : 1, most = top > 0 ? (double)top : 1;
    es_text_add(svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" "
                "font-family=\"system-ui,sans-serif\" font-size=\"15\">\n<g fill=\"#0b8f8c\">",
                WIDTH, HEIGHT);
    for (size_t i = 0; i < s->count; i++)
        es_text_add(svg, "<circle cx=\"%d\" cy=\"%d\" r=\"2\"/>",
                    (int)lround(LEFT + wide * ((double)s->x[i] - (double)low) / span),
                    (int)lround(TOP + tall * (1 - (double)s->y[i] / most)));
    es_text_add(svg,
                "</g>\n<g fill=\"currentColor\"><rect x=\"%d\" y=\"%d\" width=\"%d\" "
                "height=\"1\"/><rect x=\"%d\" y=\"%d\" width=\"1\" height=\"%d\"/>",
                LEFT, HEIGHT - BOTTOM, (int)wide, LEFT, TOP, (int)tall);
    tick(svg, LEFT, HEIGHT - BOTTOM + 18, "start", (double)low);
    tick(svg, WIDTH - RIGHT, HEIGHT - BOTTOM + 18, "end", (double)low + span);
    tick(svg, LEFT - 6, TOP + 12, "end", most);
    tick(svg, LEFT - 6, HEIGHT - BOTTOM, "end", 0);
    es_text_add(svg, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2,
                HEIGHT - 8);
    es_text_add_escaped(svg, s->label_x);
    es_text_add(svg, "</text><text x=\"%d\" y=\"%d\">", LEFT + 8, TOP + 12);
    es_text_add_escaped(svg, s->label_y);
    es_text_add(svg, "</text></g>\n</svg>\n");
}

/* Distance in the picture's plane of every dot, with its depth and time. */
typedef struct dot_errors {
    float *miss_mm, *depth_mm, *time_s;
    size_t count;
} dot_errors;

static bool find_errors(const es_wire_about *a, dot_errors *e, es_error *err) {
    const es_wire_outcome *o = a->outcome;
    const es_wire_recording *c = a->calibration;
    es_wire_poses poses = {c->track_times_s, c->track, c->track_count};
    size_t room = o->frame_count * (size_t)(3 * a->phantom->patterns);
    e->count = 0;
    e->miss_mm = es_alloc(3 * room, sizeof *e->miss_mm, err);
    if (!e->miss_mm) return false;
    e->depth_mm = e->miss_mm + room;
    e->time_s = e->depth_mm + room;
    const double *s = o->result.spacing_mm;
    for (size_t k = 0; k < o->frame_count; k++) {
        double at[ES_WIRES_MAX][2];
        const es_wire_frame *f = &o->frames[k];
        if (!es_wire_predict(a->phantom, &poses, a->options, &o->result, f->time_s, at)) continue;
        for (int w = 0; w < 3 * a->phantom->patterns; w++) {
            double miss =
                hypot(s[0] * (f->dots[w][0] - at[w][0]), s[1] * (f->dots[w][1] - at[w][1]));
            if (!f->seen[w] || !isfinite(miss)) continue;
            e->miss_mm[e->count] = (float)miss;
            e->depth_mm[e->count] = (float)(s[1] * f->dots[w][1]);
            e->time_s[e->count++] = (float)(f->time_s - o->frames[0].time_s);
        }
    }
    return true;
}

static void add_plot(es_report *p, const char *caption, const scatter *s) {
    es_text svg = {0};
    add_scatter(&svg, s);
    if (!svg.failed) es_report_plot(p, caption, &svg);
    es_text_free(&svg);
}

static bool add_error_plots(es_report *p, const es_wire_about *a, es_error *err) {
    dot_errors e;
    es_text svg = {0};
    bool ok = find_errors(a, &e, err);
    if (ok && e.count > 0) {
        es_histogram plot = {.values = e.miss_mm,
                             .count = e.count,
                             .high = 3,
                             .label = "distance of a dot from its wire, mm"};
        ok = es_plot_histogram(&plot, &svg, err);
        if (ok) es_report_plot(p, "How the errors spread", &svg);
        es_text_free(&svg);
        scatter depth = {e.depth_mm, e.miss_mm, e.count, "depth in the picture, mm", "error, mm"};
        scatter time = {e.time_s, e.miss_mm, e.count, "time, s", "error, mm"};
        add_plot(p, "Errors against depth: growth with depth points at scale or tilt", &depth);
        add_plot(p, "Errors against time: growth points at a marker that moved", &time);
    }
    es_free(e.miss_mm);
    return ok;
}

static bool add_influence(es_report *p, const es_wire_about *a, es_error *err) {
    const es_wire_outcome *o = a->outcome;
    size_t n = o->frame_count;
    float *values = es_alloc(2 * n, sizeof *values, err);
    if (!values) return false;
    size_t strongest = 0;
    for (size_t k = 0; k < n; k++) {
        values[k] = (float)(o->frames[k].time_s - o->frames[0].time_s);
        values[n + k] = (float)o->influence_mm[k];
        if (o->influence_mm[k] > o->influence_mm[strongest]) strongest = k;
    }
    char text[120];
    snprintf(text, sizeof text, "frame %lld moves the result by %.3f mm",
             (long long)o->frames[strongest].index, o->influence_mm[strongest]);
    es_report_row(p, "strongest_frame", "Strongest single frame", text);
    scatter s = {values, values + n, n, "time, s", "influence, mm"};
    add_plot(p, "How far the middle of the dots would move without each frame", &s);
    es_free(values);
    return true;
}

/* ---- sections
 * ------------------------------------------------------------------------------------- */

static void add_result(es_report *p, const es_wire_about *a) {
    const es_wire_outcome *o = a->outcome;
    const es_wire_result *r = &o->result;
    static const char *const axes[] = {"x", "y", "z"};
    char key[40], label[60], text[400];
    int n = 0;
    es_report_section(p, "Result");
    es_report_number(p, "validation_m95",
                     o->cross_validated ? "Cross-validation, mean of the best 95 % (3-D)"
                                        : "Validation, mean of the best 95 % (3-D)",
                     o->validation.m95_mm, "mm", NAN);
    es_report_number(p, "validation_2d", "All wires, RMS in the picture's plane",
                     o->validation.rms_2d_mm, "mm", NAN);
    es_report_number(p, "calibration_m95", "Calibration, mean of the best 95 % (3-D)",
                     r->calibration.m95_mm, "mm", NAN);
    es_report_number(p, "lag", "Lag, tracker's stamp minus video's", r->lag_s, "s",
                     a->options->lag_free ? r->lag_ci95_s : NAN);
    es_report_number(p, "spacing_u", "Pixel spacing, across", r->spacing_mm[0], "mm",
                     r->spacing_ci95_mm[0]);
    es_report_number(p, "spacing_v", "Pixel spacing, in depth", r->spacing_mm[1], "mm",
                     r->spacing_ci95_mm[1]);
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, "translation_%s", axes[k]);
        snprintf(label, sizeof label, "Translation %s", axes[k]);
        es_report_number(p, key, label, r->image_to_probe.m[4 * k + 3], "mm",
                         r->translation_ci95_mm[k]);
    }
    for (int k = 0; k < 3; k++) {
        snprintf(key, sizeof key, "rotation_ci_%s", axes[k]);
        snprintf(label, sizeof label, "Rotation about %s, half width of the interval", axes[k]);
        es_report_number(p, key, label, DEGREES * r->rotation_ci95_rad[k], "deg", NAN);
    }
    es_report_number(p, "target_ci", "Half width of a deep point's interval, worst direction",
                     r->target_ci95_mm, "mm", NAN);
    for (int k = 0; k < 16; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%.6g", k ? " " : "",
                      r->image_to_probe.m[k]);
    es_report_row(p, "image_to_probe", "ImageToProbe", text);
    es_report_row(p, "next", "What to do next", o->next);
    es_report_note(p, ES_NOTE,
                   "The intervals hold the noise of dots and poses. An error in where the phantom "
                   "lies or how it is built is in none of them, but shows in the validation.");
    if (o->cross_validated)
        es_report_note(p, ES_NOTE,
                       "No second recording was given: fifths of the recording were left out in "
                       "turn. A separate validation recording is stricter.");
}

/* How many frames each step turned away, and the first one's reason. */
static void add_rejects(es_report *p, const es_wire_outcome *o) {
    static const char *const steps[] = {"image", "dots", "match", "pose", "fit"};
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        size_t count = 0;
        const char *reason = "";
        for (size_t k = 0; k < o->reject_count; k++)
            if (strcmp(o->rejects[k].step, steps[s]) == 0 && count++ == 0)
                reason = o->rejects[k].reason;
        if (count == 0) continue;
        char key[40], label[60], why[240];
        snprintf(key, sizeof key, "rejected_%s", steps[s]);
        snprintf(label, sizeof label, "Rejected at step %s", steps[s]);
        snprintf(why, sizeof why, "%zu; first: %s", count, reason);
        es_report_row(p, key, label, why);
    }
}

static void add_still(es_report *p, const es_wire_recording *r) {
    char text[120];
    if (r->still_pixels == 0) return;
    snprintf(text, sizeof text, "%zu pixels that never change (text, marks) were left out",
             r->still_pixels);
    es_report_note(p, ES_NOTE, text);
}

static void add_frames(es_report *p, const es_wire_about *a) {
    const es_wire_outcome *o = a->outcome;
    char text[60];
    es_report_section(p, "Frames");
    snprintf(text, sizeof text, "%zu of %zu", o->result.frames_used, a->calibration->count);
    es_report_row(p, "used", "Frames used", text);
    add_rejects(p, o);
    add_still(p, a->calibration);
    if (o->view_by_fit)
        es_report_note(p, ES_WARNING,
                       "This phantom looks alike from front and back or upside down: the poses "
                       "decided which it was.");
}

static void add_motion(es_report *p, const es_wire_about *a) {
    const es_wire_outcome *o = a->outcome;
    char text[200];
    es_report_section(p, "Motion and lag");
    es_report_number(p, "turned", "Most that the probe turned", DEGREES * o->motion_rad, "deg",
                     NAN);
    es_report_number(p, "moved", "Most that it moved", o->motion_mm, "mm", NAN);
    if (!a->options->lag_free && isfinite(o->lag_free_s))
        es_report_number(p, "lag_if_free", "Lag that would fit best", o->lag_free_s, "s",
                         o->lag_free_ci95_s);
    if (isfinite(o->half_lag_s[0]) && isfinite(o->half_lag_s[1])) {
        snprintf(text, sizeof text, "%+.3f s and %+.3f s", o->half_lag_s[0], o->half_lag_s[1]);
        es_report_row(p, "lag_of_halves", "Lag of the first and second half", text);
    }
    if (o->two_lags)
        es_report_note(p, ES_WARNING,
                       "Two lags in one recording: the halves disagree beyond their intervals.");
}

static void add_sound(es_report *p, const es_wire_about *a) {
    const double *s = a->outcome->result.spacing_mm;
    bool told = isfinite(a->speed_mps);
    double speed = told ? a->speed_mps : es_water_speed(20), tissue[2];
    char text[240];
    es_wire_tissue_spacing(s, speed, tissue);
    es_report_section(p, "Speed of sound");
    es_report_number(p, "ratio", "Spacing in depth to across", s[1] / s[0], "", NAN);
    es_report_number(p, "ratio_water", "This ratio if pixels are square in tissue (bath / 1540)",
                     speed / 1540, "", NAN);
    es_report_number(p, "speed", "Speed of sound in the bath", speed, "m/s", NAN);
    es_report_number(p, "tissue_u", "Spacing in tissue, across", tissue[0], "mm", NAN);
    es_report_number(p, "tissue_v", "Spacing in tissue, in depth", tissue[1], "mm", NAN);
    snprintf(text, sizeof text,
             "%s. The matrix holds for the bath in which it was measured; scanners draw depths for "
             "1540 m/s, so in tissue the spacing in depth is %.2f %% larger.",
             told
                 ? "The speed was given"
                 : "The speed was not told: water of 20 C is assumed here (--temperature, --speed)",
             100 * (1540 / speed - 1));
    es_report_note(p, told ? ES_NOTE : ES_WARNING, text);
}

static void add_earlier(es_report *p, const es_wire_about *a) {
    if (!a->earlier) return;
    es_wire_difference d =
        es_wire_compare(a->outcome->result.image_to_probe, *a->earlier, a->calibration->middle_px);
    es_report_section(p, "Against the calibration in use");
    es_report_number(p, "middle", "Difference at the picture's middle", d.middle_mm, "mm", NAN);
    es_report_number(p, "angle", "Angle between the two", DEGREES * d.angle_rad, "deg", NAN);
    if (d.opposite_x)
        es_report_note(p, ES_WARNING,
                       "The x axes point opposite ways: one of the two was made with mirrored "
                       "pictures (check the orientation mark, MF or UF).");
}

bool es_wire_report(es_report *report, const es_wire_about *about, es_error *err) {
    add_result(report, about);
    if (!add_error_plots(report, about, err)) return false;
    add_frames(report, about);
    if (!add_pictures(report, about, err)) return false;
    add_motion(report, about);
    if (!add_influence(report, about, err)) return false;
    add_sound(report, about);
    add_earlier(report, about);
    return true;
}

/* ---- when there is no result ------------------------------------------------------------------
 */

/* What to do about the step that most pictures failed at. */
static const char *advice(const char *step) {
    if (strcmp(step, "image") == 0)
        return "Most frames have no picture or no time: check the grabber and how it is recorded.";
    if (strcmp(step, "dots") == 0)
        return "The wires are not seen: more gain, the focus at their depth, the probe lower and "
               "across the wires, no bubbles; all of them have to be in the picture.";
    if (strcmp(step, "match") == 0)
        return "Spots are seen, but not as this phantom's wires stand: compare the pictures with "
               "the phantom's definition (rows, distances, version), and see that whole rows are "
               "in "
               "the picture.";
    if (strcmp(step, "pose") == 0)
        return "The tracker's poses cannot be used: keep both markers in its view, and see that it "
               "sends poses while the probe moves.";
    return "Wires and poses were found and do not fit together: check that the tool is the probe "
           "(--tool), where the phantom lies (calibrate landmarks), and its definition.";
}

static int by_count(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static bool add_spots(es_report *p, const es_wire_about *a, es_error *err) {
    const es_wire_recording *r = a->calibration;
    if (!r->spots || r->count == 0) return true;
    int *counts = es_alloc(r->count, sizeof *counts, err);
    char text[120];
    if (!counts) return false;
    for (size_t k = 0; k < r->count; k++) counts[k] = r->spots[k].count;
    qsort(counts, r->count, sizeof *counts, by_count);
    snprintf(text, sizeof text, "%d in the median picture (%d to %d); the phantom has %d wires",
             counts[r->count / 2], counts[0], counts[r->count - 1], 3 * a->phantom->patterns);
    es_report_row(p, "spots", "Bright spots", text);
    es_free(counts);
    return true;
}

/* What the recording says by itself: frames with wires, and the others' reasons. */
static bool take_reasons(const es_wire_recording *r, es_wire_outcome *o, es_error *err) {
    o->frames = es_alloc(r->count + 1, sizeof *o->frames, err);
    o->rejects = es_alloc(r->count + 1, sizeof *o->rejects, err);
    if (!o->frames || !o->rejects) return false;
    for (size_t k = 0; k < r->count; k++)
        if (r->whys[k].step[0] == '\0')
            o->frames[o->frame_count++] = r->frames[k];
        else
            o->rejects[o->reject_count++] = r->whys[k];
    return true;
}

/* The step that turned most frames away; "fit" when most have their wires. */
static const char *worst_step(const es_wire_outcome *o) {
    const char *worst = "fit";
    size_t most = o->frame_count;
    for (size_t k = 0; k < o->reject_count; k++) {
        size_t same = 0;
        for (size_t j = 0; j < o->reject_count; j++)
            same += strcmp(o->rejects[j].step, o->rejects[k].step) == 0;
        if (same > most) most = same, worst = o->rejects[k].step;
    }
    return worst;
}

bool es_wire_report_failure(es_report *report, const es_wire_about *about, const char *why,
                            es_error *err) {
    es_wire_outcome seen = {0};
    es_wire_about a = *about;
    const es_wire_recording *r = a.calibration;
    char text[60];
    a.outcome = &seen;
    bool ok = take_reasons(r, &seen, err);
    if (ok) {
        es_report_section(report, "Result");
        es_report_row(report, "refused", "No result", why);
        if (r->count > 0)
            es_report_row(report, "next", "What to do next", advice(worst_step(&seen)));
        es_report_section(report, "Frames");
        snprintf(text, sizeof text, "%zu of %zu", seen.frame_count, r->count);
        es_report_row(report, "found", "Frames with found wires", text);
        add_rejects(report, &seen);
        add_still(report, r);
        ok = add_spots(report, &a, err) && add_pictures(report, &a, err);
    }
    es_wire_outcome_clear(&seen);
    return ok;
}
