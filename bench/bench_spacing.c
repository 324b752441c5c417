/* The finders of the pixel spacing against screens whose scale is known.
 *
 *   bench_spacing [--seed N] [--screens N] [--json] [--list] [--marks]
 *
 * Seeds from 500000 on are for judging; whoever tunes a finder uses others.
 *
 *   asked    screens on which the source can be found
 *   missing  of these, nothing was found (allowed, but it should be rare)
 *   wrong    something else was taken for it: a comb of another step, a radius
 *            or width more than 5 % and three times its stated interval off
 *   false    found where there is none
 *   p50 ...  |error| relative to the truth, of what was found and not wrong
 *   covered  truths inside of the stated 95 % interval (1.96 sigma)
 *   far      truths further off than three times that interval, wrong ones
 *            with them
 *
 * First the finders, in pixels; radii are judged against what is lit: where
 * the first or last samples of the lines are not shown, no finder can know the
 * others. Then the evidence in mm, and the verdict with more and less known of
 * probe and depth; what is said of them is off by chance as much as their
 * sigmas say (1 % of the probe, .5 mm of the depth). Then the real frames in
 * ES_TEST_DATA or ../shared/data, where there are some, and the time of a
 * recording of 500 frames.
 *
 * --list names each miss, and each error beyond what is asked of most; --marks every
 * error beside its sigma, for whoever weighs the sigmas. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "echosolid/judge.h"

enum { FIRST_SEED = 500000, SCREENS = 500, MOST_SCREENS = 100000 };

/* ---- what one screen tells ------------------------------------------------------- */

typedef enum source_row {
    FAN_START,
    FAN_STOP,
    FAN_ASPECT,
    APERTURE,
    ROWS_EXACT,
    ROWS_ANY,
    TICKS,
    LINES,
    /* Evidence, named as in es_evidence. */
    FIRST_EVIDENCE,
    LAST_EVIDENCE = FIRST_EVIDENCE + 7,
    /* Verdicts: what was said, times two axes. */
    FIRST_VERDICT,
    LAST_VERDICT = FIRST_VERDICT + 7,
    SOURCE_ROWS
} source_row;

typedef struct source_name {
    const char *name;
    double p95; /* asked of the 95th percentile of the error; 0: nothing */
} source_name;
static const source_name row_names[SOURCE_ROWS] = {
    {"fan, inner radius", 0.003},
    {"fan, outer radius", 0.003},
    {"fan, aspect", 0},
    {"linear aperture", 0.01},
    {"rows, said to be exact", 0.015},
    {"rows, exact or a bound", 0},
    {"ticks", 0.004},
    {"scan lines of an array", 0},
    {"fan-radius", 0},
    {"fan-depth", 0},
    {"fan-end", 0},
    {"depth-height", 0},
    {"aperture", 0},
    {"depth-rows", 0},
    {"ticks", 0},
    {"scan-lines", 0},
    {"verdict, probe + depth, u", 0},
    {"verdict, probe + depth, v", 0},
    {"verdict, depth, u", 0},
    {"verdict, depth, v", 0},
    {"verdict, probe, u", 0},
    {"verdict, probe, v", 0},
    {"verdict, nothing, u", 0},
    {"verdict, nothing, v", 0},
};

typedef enum finding { NOT_ASKED, FOUND, MISSING, WRONG, FALSE_ALARM } finding;
typedef struct mark {
    finding finding;
    double error, sigma; /* relative */
} mark;

typedef struct judgement {
    mark marks[SOURCE_ROWS];
    double seconds;    /* of the finders */
    bool bound_missed; /* a dark or cut edge taken for the aperture's */
    char why[800];     /* what the finders said */
} judgement;

static bool beyond(double error, double sigma) { return fabs(error) > 3 * 1.96 * sigma; }

static mark compare(double found, double truth, double sigma) {
    double error = found / truth - 1;
    bool wrong = fabs(error) > 0.05 && beyond(error, sigma / truth);
    return (mark){wrong ? WRONG : FOUND, error, sigma / truth};
}

/* ---- each finder against the truth -------------------------------------------------- */

static void judge_fan(const es_screen *s, const es_fan_found *found, judgement *j) {
    mark *start = &j->marks[FAN_START], *stop = &j->marks[FAN_STOP];
    if (!s->curved) {
        /* A trapezoid has slanted edges, but flat ends: no fan either. */
        start->finding = found->found ? FALSE_ALARM : NOT_ASKED;
        return;
    }
    es_fan truth = es_screen_fan(s);
    truth.radius_start += s->blank_first_mm / s->spacing_mm[1];
    truth.radius_stop -= s->blank_last_mm / s->spacing_mm[1];
    double bottom = s->face_v + s->depth_mm / s->spacing_mm[1];
    bool stop_shown = bottom < s->panel[3] - 1 && !s->dark_field;
    start->finding = MISSING;
    stop->finding = stop_shown ? MISSING : NOT_ASKED;
    if (!found->found) return;
    if (found->start_seen)
        *start = compare(found->fan.radius_start, truth.radius_start, found->radius_start_sigma);
    if (found->stop_seen)
        *stop = compare(found->fan.radius_stop, truth.radius_stop, found->radius_stop_sigma);
    j->marks[FAN_ASPECT] = compare(found->fan.aspect, truth.aspect, found->aspect_sigma);
}

static void judge_aperture(const es_screen *s, const es_aperture_found *found, judgement *j) {
    mark *m = &j->marks[APERTURE];
    bool sharp = found->found && found->left_sharp && found->right_sharp;
    if (s->curved) {
        m->finding = sharp ? FALSE_ALARM : NOT_ASKED;
        return;
    }
    es_fan truth = es_screen_fan(s);
    bool whole_left = s->dark_left_mm == 0 && truth.u0 >= s->panel[0];
    bool whole_right = s->dark_right_mm == 0 && truth.u1 <= s->panel[2] - 1;
    if (whole_left && whole_right && !s->dark_field) {
        m->finding = MISSING;
        if (sharp) *m = compare(found->right - found->left, truth.u1 - truth.u0, found->sigma);
    } else if (sharp) {
        mark as_equal = compare(found->right - found->left, truth.u1 - truth.u0, found->sigma);
        j->bound_missed = beyond(as_equal.error, as_equal.sigma);
    }
}

static void judge_rows(const es_screen *s, const es_rows_found *found, judgement *j) {
    es_fan truth = es_screen_fan(s);
    bool shown = truth.v0 >= s->panel[1] - 0.5 && truth.v1 <= s->panel[3] - 0.5;
    if (s->curved || !shown || s->dark_field) return;
    mark *any = &j->marks[ROWS_ANY];
    any->finding = MISSING;
    if (!found->found) return;
    double rows = found->bottom - found->top, true_rows = truth.v1 - truth.v0;
    *any = compare(rows, true_rows, found->sigma);
    if (found->exact)
        j->marks[ROWS_EXACT] = *any;
    else /* a bound: judged by whether it holds */
        *any = (mark){rows < 1.03 * true_rows ? FOUND : WRONG, 0, found->sigma / true_rows};
}

/* Marks that are on the picture. */
static int shown_marks(const es_screen *s, const es_screen_comb *c) {
    int shown = 0, side = (int)(c->axis ? s->height : s->width);
    for (int k = 0; k < c->marks; k++) {
        double at = c->zero_px + k * c->step_mm / s->spacing_mm[c->axis];
        shown += at >= 0 && at + c->thickness <= side;
    }
    return shown;
}

static bool same_comb(const es_screen *s, const es_screen_comb *c, const es_ticks_found *t) {
    double period = c->step_mm / s->spacing_mm[c->axis];
    return c->axis == t->axis && fabs(t->period_px / period - 1) < 0.02;
}

static void judge_ticks(const es_screen *s, const es_ticks_found *found, int count, judgement *j) {
    mark *m = &j->marks[TICKS];
    bool expected = false, wrong = false;
    for (int i = 0; i < s->combs; i++) expected |= shown_marks(s, &s->comb[i]) >= 5;
    m->finding = expected ? MISSING : NOT_ASKED;
    for (int f = 0; f < count; f++) {
        const es_screen_comb *match = NULL;
        for (int i = 0; i < s->combs && !match; i++)
            if (same_comb(s, &s->comb[i], &found[f])) match = &s->comb[i];
        if (match && m->finding != FOUND)
            *m = compare(found[f].period_px, match->step_mm / s->spacing_mm[match->axis],
                         found[f].period_sigma);
        wrong |= !match;
    }
    if (wrong) m->finding = s->combs ? WRONG : FALSE_ALARM;
}

/* Seen below half a cycle a pixel. */
static double folded(double rate) { return fabs(rate - round(rate)); }

/* Once or twice the lines. */
static void judge_lines(const es_screen *s, const es_lines_found *found, judgement *j) {
    mark *m = &j->marks[LINES];
    double once = (es_screen_lines(s) - 1) * s->spacing_mm[0] / s->width_mm;
    if (s->curved || s->half_angle_rad > 0) {
        m->finding = found->found ? FALSE_ALARM : NOT_ASKED;
        return;
    }
    m->finding = s->dark_field ? NOT_ASKED : MISSING;
    if (!found->found) return;
    double one = folded(once), two = folded(2 * once);
    bool twice = fabs(found->per_px - two) < fabs(found->per_px - one);
    *m = compare(found->per_px, twice ? two : one, found->sigma);
}

/* ---- evidence and verdict ---------------------------------------------------------------- */

/* What a person may say: both, the depth, the probe, neither. Off as much as
 * the sigmas say, by chance. */
static es_spacing_hints make_hints(const es_screen *s, int said, es_probe_entry *probe) {
    es_random random = es_random_new(s->seed, 0xbe9c);
    double off_probe = exp(0.01 * es_random_normal(&random));
    double off_depth = 0.5 * es_random_normal(&random);
    *probe = (es_probe_entry){.name = "simulated",
                              .curved = s->curved,
                              .radius_mm = s->curved ? s->radius_mm * off_probe : NAN,
                              .radius_sigma = s->curved ? 0.01 : NAN,
                              .aperture_mm = s->curved ? NAN : s->width_mm * off_probe,
                              .aperture_sigma = s->curved ? NAN : 0.01,
                              .field_deg = NAN,
                              .pitch_mm = NAN,
                              .elements = s->curved ? 0 : es_screen_lines(s),
                              .source = "simulated"};
    return (es_spacing_hints){.depth_mm = said < 2 ? s->setting_mm + off_depth : NAN,
                              .depth_sigma_mm = NAN,
                              .probe = said % 2 == 0 ? probe : NULL,
                              .scanner_speed_m_s = NAN,
                              .true_speed_m_s = NAN};
}

/* The worse axis of an item that is used. */
static mark judge_item(const es_screen *s, const es_evidence *e) {
    mark worst = {NOT_ASKED, 0, 0};
    for (int a = 0; a < 2; a++) {
        if (e->suspect || e->bound || !isfinite(e->sigma[a]) || isnan(e->spacing_mm[a])) continue;
        mark m = compare(e->spacing_mm[a], s->spacing_mm[a], e->sigma[a] * s->spacing_mm[a]);
        if (worst.finding == NOT_ASKED || fabs(m.error / m.sigma) > fabs(worst.error / worst.sigma))
            worst = m;
    }
    return worst;
}

static void judge_evidence(const es_screen *s, const es_evidence_list *list, judgement *j) {
    for (size_t i = 0; i < list->count; i++)
        for (int row = FIRST_EVIDENCE; row <= LAST_EVIDENCE; row++)
            if (strcmp(list->items[i].source, row_names[row].name) == 0)
                j->marks[row] = judge_item(s, &list->items[i]);
}

static void judge_verdict(const es_screen *s, const es_spacing_verdict *v, int said, judgement *j) {
    for (int a = 0; a < 2; a++) {
        mark *m = &j->marks[FIRST_VERDICT + 2 * said + a];
        m->finding = MISSING;
        if (!v->known) continue;
        double sigma = log(v->ci95_mm[a][1] / v->ci95_mm[a][0]) / 2 / 1.96;
        *m = compare(v->spacing_mm[a], s->spacing_mm[a], sigma * s->spacing_mm[a]);
    }
}

static bool conclude(const es_screen *s, const es_still *still, const es_shapes *shapes,
                     judgement *j, es_error *err) {
    bool ok = true;
    /* 0: both, 1: depth, 2: probe, 3: neither */
    for (int said = 0; ok && said < 4; said++) {
        es_probe_entry probe;
        es_spacing_hints hints = make_hints(s, said, &probe);
        es_evidence_list list = {0};
        es_spacing_verdict verdict;
        ok = es_shape_evidence(shapes, &hints, &list, err) &&
             es_depth_readings(&shapes->fan, still, &hints, &list, err) &&
             es_ticks_evidence(shapes, still, &hints, &list, err) &&
             es_lines_evidence(shapes, &hints, &list, err) &&
             es_spacing_resolve(&list, &hints, &verdict, err);
        if (ok && said == 0) judge_evidence(s, &list, j);
        if (ok) judge_verdict(s, &verdict, said, j);
        es_evidence_clear(&list);
    }
    return ok;
}

/* ---- one screen ------------------------------------------------------------------------ */

static bool make_still(es_source *source, es_still *still, es_error *err) {
    es_still_maker *maker = es_still_maker_new(err);
    es_frame frame = {0};
    bool ok = maker != NULL, end = false;
    while (ok) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = !frame.has_image || es_still_maker_add(maker, &frame.image, err);
    }
    ok = ok && es_still_maker_finish(maker, still, err);
    es_frame_clear(&frame);
    es_still_maker_free(maker);
    return ok;
}

static bool still_of_screen(const es_screen *screen, es_still *still, es_error *err) {
    es_source *source = es_screen_open(screen, 1, err);
    bool ok = source && make_still(source, still, err);
    es_source_free(source);
    return ok;
}

/* What was drawn, and what the finders took it for. */
static void explain(const es_screen *s, const es_shapes *c, judgement *j) {
    es_fan fan = es_screen_fan(s);
    int n = snprintf(j->why, sizeof j->why, "%s%s%s%s%s, blur %.2f jpeg %d noise %.1f ground %d; ",
                     s->curved               ? "fan"
                     : s->half_angle_rad > 0 ? "trapezoid"
                                             : "linear",
                     s->dark_field ? ", dark field" : "", s->shadows ? ", shadows" : "",
                     s->dark_left_mm + s->dark_right_mm > 0 ? ", dark ends" : "",
                     s->blank_first_mm > 0 ? ", unlit samples" : "", s->blur_px, s->jpeg, s->noise,
                     s->background);
    for (int i = 0; i < s->combs; i++)
        n += snprintf(j->why + n, sizeof j->why - (size_t)n, "comb %d of %d every %.2f px; ",
                      s->comb[i].axis, s->comb[i].marks,
                      s->comb[i].step_mm / s->spacing_mm[s->comb[i].axis]);
    for (int i = 0; i < c->tick_count; i++)
        n += snprintf(j->why + n, sizeof j->why - (size_t)n, "found comb %d of %d every %.2f px; ",
                      c->ticks[i].axis, c->ticks[i].count, c->ticks[i].period_px);
    if (s->curved)
        snprintf(j->why + n, sizeof j->why - (size_t)n, "r %.1f..%.1f found %.1f..%.1f: %.150s",
                 fan.radius_start, fan.radius_stop, c->fan.fan.radius_start, c->fan.fan.radius_stop,
                 c->fan.why);
    else
        snprintf(j->why + n, sizeof j->why - (size_t)n, "u %.1f..%.1f found %.1f..%.1f: %.150s",
                 fan.u0, fan.u1, c->aperture.left, c->aperture.right, c->aperture.why);
}

typedef struct job {
    uint64_t first_seed;
    judgement *judgements;
    es_error *errors; /* one a screen */
} job;

static void judge_one(void *context, size_t index, int worker) {
    (void)worker;
    job *all = context;
    judgement *j = &all->judgements[index];
    es_screen screen;
    es_still still = {0};
    es_shapes shapes;
    es_error *err = &all->errors[index];
    es_screen_random(all->first_seed + index, &screen);
    if (still_of_screen(&screen, &still, err)) {
        double from = es_clock_s();
        bool ok = es_shapes_find(&still, &shapes, err);
        j->seconds = es_clock_s() - from;
        if (ok && conclude(&screen, &still, &shapes, j, err)) {
            judge_fan(&screen, &shapes.fan, j);
            judge_aperture(&screen, &shapes.aperture, j);
            judge_rows(&screen, &shapes.rows, j);
            judge_ticks(&screen, shapes.ticks, shapes.tick_count, j);
            judge_lines(&screen, &shapes.lines, j);
            explain(&screen, &shapes, j);
        }
    }
    es_still_clear(&still);
}

/* ---- all of them -------------------------------------------------------------------------- */

typedef struct summary {
    int asked, found, missing, wrong, alarms, covered, far;
    double p50, p95, most;
} summary;

/* Linear between the sorted values. */
static double quantile(const double *sorted, int count, double share) {
    if (count == 0) return NAN;
    double at = share * (count - 1);
    int i = (int)at;
    return i + 1 < count ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

static bool is_far(const mark *m) {
    return m->finding == WRONG || (m->finding == FOUND && beyond(m->error, m->sigma));
}

static summary summarise(const judgement *judgements, int count, source_row row, double *room) {
    summary s = {0};
    for (int i = 0; i < count; i++) {
        const mark *m = &judgements[i].marks[row];
        s.asked += m->finding == FOUND || m->finding == MISSING || m->finding == WRONG;
        s.missing += m->finding == MISSING;
        s.wrong += m->finding == WRONG;
        s.alarms += m->finding == FALSE_ALARM;
        s.far += is_far(m);
        if (m->finding != FOUND) continue;
        room[s.found++] = fabs(m->error);
        s.covered += fabs(m->error) <= 1.96 * m->sigma;
    }
    qsort(room, (size_t)s.found, sizeof *room, es_compare_doubles);
    s.p50 = quantile(room, s.found, 0.5);
    s.p95 = quantile(room, s.found, 0.95);
    s.most = quantile(room, s.found, 1);
    return s;
}

/* Nothing to be said about it? */
static bool is_fine(const mark *m, const source_name *row) {
    if (m->finding == NOT_ASKED) return true;
    return m->finding == FOUND && !is_far(m) && !(row->p95 > 0 && fabs(m->error) > row->p95);
}

/* Misses, or with `all` whatever was found as well. */
static void list_marks(const judgement *judgements, int count, uint64_t first_seed, bool all) {
    static const char *const words[] = {"", "off", "missing", "WRONG", "FALSE"};
    for (int i = 0; i < count; i++)
        for (int row = 0; row < SOURCE_ROWS; row++) {
            const mark *m = &judgements[i].marks[row];
            if (all ? m->finding == NOT_ASKED : is_fine(m, &row_names[row])) continue;
            fprintf(stderr, "seed %llu: %s: %s, error %+.3f %%, sigma %.3f %%; %s\n",
                    (unsigned long long)(first_seed + (uint64_t)i), row_names[row].name,
                    is_far(m) && m->finding == FOUND ? "far" : words[m->finding], 100 * m->error,
                    100 * m->sigma, judgements[i].why);
        }
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *print_row(const source_name *name, const summary *s, bool json) {
    double covered = s->found ? 100.0 * s->covered / s->found : NAN;
    if (!json) {
        printf("%-28s %5d %5d %7d %5d %5d  %7.3f %7.3f %7.3f  %7.1f %4d", name->name, s->asked,
               s->found, s->missing, s->wrong, s->alarms, 100 * s->p50, 100 * s->p95, 100 * s->most,
               covered, s->far);
        if (name->p95 > 0)
            printf("  p95 asked %.1f: %s", 100 * name->p95, s->p95 <= name->p95 ? "yes" : "MISSED");
        printf("\n");
    }
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:i}", "source",
                     name->name, "asked", s->asked, "found", s->found, "missing", s->missing,
                     "wrong", s->wrong, "false", s->alarms, "p50", number(s->p50), "p95",
                     number(s->p95), "max", number(s->most), "covered_percent", number(covered),
                     "far", s->far);
}

static const char *heading_of(int row) {
    return row == 0                ? "in pixels"
           : row == FIRST_EVIDENCE ? "evidence, worse axis"
           : row == FIRST_VERDICT  ? "verdict, with what is known"
                                   : NULL;
}

static json_t *print_rows(const judgement *judgements, int count, double *room, bool json) {
    json_t *rows = json_array();
    for (int row = 0; row < SOURCE_ROWS; row++) {
        summary s = summarise(judgements, count, (source_row)row, room);
        if (!json && heading_of(row))
            printf("%-28s %5s %5s %7s %5s %5s  %7s %7s %7s  %7s %4s\n", heading_of(row), "asked",
                   "found", "missing", "wrong", "false", "p50 %", "p95 %", "max %", "covered",
                   "far");
        json_array_append_new(rows, print_row(&row_names[row], &s, json));
    }
    return rows;
}

static json_t *print_screens(const judgement *judgements, int count, double *room, bool json) {
    int bounds = 0;
    double sum = 0, most = 0;
    if (!json) printf("%d simulated screens\n", count);
    json_t *rows = print_rows(judgements, count, room, json);
    for (int i = 0; i < count; i++) {
        bounds += judgements[i].bound_missed;
        sum += judgements[i].seconds;
        most = fmax(most, judgements[i].seconds);
    }
    if (!json)
        printf("dark or cut edges taken for the aperture's own: %d\n"
               "finders: %.3f s on average, %.3f s at most\n",
               bounds, sum / count, most);
    return json_pack("{s:i, s:o, s:i, s:f, s:f}", "screens", count, "rows", rows, "bounds_missed",
                     bounds, "finders_mean_s", sum / count, "finders_max_s", most);
}

/* ---- real frames ---------------------------------------------------------------------------- */

typedef struct real_case {
    const char *file, *what;
    source_row row;
    double truth; /* pixels; NaN: nothing is to be found */
} real_case;
/* The lengths follow from each file's configuration: facts on the spacing. */
static const real_case real_cases[] = {
    {"BkCurvilinearScanConvertedData", "inner radius, 10 mm at .15", FAN_START, 10 / 0.15},
    {"BkCurvilinearScanConvertedData", "outer radius, 60 mm at .15", FAN_STOP, 60 / 0.15},
    {"UltrasonixCurvilinearScanConvertedData", "inner radius, first samples unlit", FAN_START,
     10 / 0.15},
    {"UltrasonixCurvilinearScanConvertedData", "outer radius, last samples unlit", FAN_STOP,
     82 / 0.15},
    {"UltrasonixCurvilinearScanConvertedDataGroundTruth", "the transducer's ring, 10 mm at .15",
     FAN_START, 10 / 0.15},
    {"USTC_FrameGrabber_ProbeRotationData", "dots every 5 mm at .27033", TICKS, 5 / 0.27033},
    {"SpinePhantomFreehand", "aperture of 38 mm at .08542", APERTURE, 38 / 0.08542},
    {"SpinePhantomFreehand", "no ruler", TICKS, NAN},
    {"BoneUltrasound_L14", "aperture of 38 mm (config .08544: +5 %)", APERTURE, 38 / 0.08137},
    {"BoneUltrasound_L14", "no ruler", TICKS, NAN},
    {"UltrasonixLinearScanConvertedData", "aperture of 38 mm at .2", APERTURE, 38 / 0.2},
    {"fCal_Test_Calibration_3NWires", "aperture of 38 mm at .078, water", APERTURE, 38 / 0.078},
};

/* What was found of a kind, pixels; false: nothing. */
static bool value_of(const es_shapes *s, source_row row, double *value, double *sigma) {
    switch (row) {
    case FAN_START:
        *value = s->fan.fan.radius_start;
        *sigma = s->fan.radius_start_sigma;
        return s->fan.found && s->fan.start_seen;
    case FAN_STOP:
        *value = s->fan.fan.radius_stop;
        *sigma = s->fan.radius_stop_sigma;
        return s->fan.found && s->fan.stop_seen;
    case APERTURE:
        *value = s->aperture.right - s->aperture.left;
        *sigma = s->aperture.sigma;
        return s->aperture.found;
    default:
        *value = s->ticks[0].period_px;
        *sigma = s->ticks[0].period_sigma;
        return s->tick_count > 0;
    }
}

static json_t *print_real(const real_case *c, const es_shapes *s, bool json) {
    double value = NAN, sigma = NAN;
    char text[64] = "nothing found";
    bool found = value_of(s, c->row, &value, &sigma);
    double error = found ? value / c->truth - 1 : NAN;
    bool bound = c->row == APERTURE && !(s->aperture.left_sharp && s->aperture.right_sharp);
    if (found)
        snprintf(text, sizeof text, "%.2f +- %.2f px%s, %+.2f %%", value, sigma,
                 bound ? " at least" : "", 100 * error);
    if (!json) printf("%-50s %-40s %8.2f px: %s\n", c->file, c->what, c->truth, text);
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "file", c->file, "what", c->what,
                     "truth_px", number(c->truth), "found_px", number(found ? value : NAN),
                     "sigma_px", number(found ? sigma : NAN), "error", number(error), "bound",
                     bound);
}

static bool shapes_of_file(const char *path, es_shapes *shapes, es_error *err) {
    es_still still = {0};
    es_source *source = es_sequence_open(path, err);
    bool ok = source && make_still(source, &still, err) && es_shapes_find(&still, shapes, err);
    es_still_clear(&still);
    es_source_free(source);
    return ok;
}

/* Files that are not there are skipped, saying so. */
static json_t *judge_real(bool json) {
    const char *folder = getenv("ES_TEST_DATA"), *last = "";
    json_t *rows = json_array();
    bool there = false;
    es_shapes shapes;
    for (size_t i = 0; i < sizeof real_cases / sizeof *real_cases; i++) {
        const real_case *c = &real_cases[i];
        if (strcmp(last, c->file) != 0) {
            char path[1024];
            es_error err = {0};
            last = c->file;
            snprintf(path, sizeof path, "%s/plus/sequences/%s.igs.mha",
                     folder && folder[0] ? folder : "../shared/data", c->file);
            there = shapes_of_file(path, &shapes, &err);
            if (!there) fprintf(stderr, "skipped: %s\n", err.message);
        }
        if (there) json_array_append_new(rows, print_real(c, &shapes, json));
    }
    return rows;
}

/* ---- the time of a verdict ----------------------------------------------------------------------
 */

/* Frames that are in memory, so that only the verdict is timed. */
typedef struct memory_source {
    es_frame *frames;
    int64_t count, next, total;
} memory_source;

static bool memory_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    memory_source *m = self;
    *end = m->next == m->total;
    if (*end) return true;
    const es_frame *from = &m->frames[m->next % m->count];
    frame->index = m->next++;
    frame->has_image = flags & ES_READ_PIXELS;
    return !frame->has_image || es_image_copy(&from->image, &frame->image, err);
}
static bool memory_rewind(void *self, es_error *err) {
    (void)err;
    ((memory_source *)self)->next = 0;
    return true;
}
static void memory_free(void *self) {
    memory_source *m = self;
    for (int64_t i = 0; i < m->count; i++) es_frame_clear(&m->frames[i]);
    es_free(m->frames);
    es_free(m);
}

/* Takes the screen's frames in. */
static es_source *memory_open(const es_screen *screen, int64_t total, es_error *err) {
    static const es_source_ops ops = {memory_next, memory_rewind, memory_free};
    es_source *from = es_screen_open(screen, 0, err), *source = NULL;
    memory_source *m = from ? es_alloc_zero(1, sizeof *m, err) : NULL;
    bool end, ok = m && (m->frames = es_alloc_zero((size_t)screen->frames, sizeof(es_frame), err));
    if (ok) *m = (memory_source){m->frames, screen->frames, 0, total};
    for (int64_t i = 0; ok && i < m->count; i++)
        ok = es_source_next(from, &m->frames[i], ES_READ_PIXELS, &end, err);
    if (ok) {
        es_stream_info info = *es_source_info(from);
        info.frame_count = total;
        source = es_source_new(&ops, m, &info, err);
    } else if (m) {
        memory_free(m);
    }
    es_source_free(from);
    return source;
}

static bool time_verdict(bool json, json_t *root, es_error *err) {
    es_screen screen;
    es_judge_request request;
    es_judgement judged = {0};
    if (!es_screen_named("c5-2r60-b", &screen, err)) return false;
    es_source *source = memory_open(&screen, 500, err);
    if (!source) return false;
    es_judge_request_init(&request);
    request.depth_mm = 150;
    request.probe = "C5-2R60S-3";
    clock_t from = clock(); /* processor time: the verdict has one thread */
    bool ok = es_judge(source, &request, &judged, err);
    double seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
    if (ok && !json) printf("verdict of 500 frames of 512 x 512: %.2f s (asked 1 s)\n", seconds);
    if (ok) json_object_set_new(root, "verdict_500_frames_s", json_real(seconds));
    es_judgement_clear(&judged);
    es_source_free(source);
    return ok;
}

/* ---- the program
 * ----------------------------------------------------------------------------------- */

typedef struct request {
    uint64_t seed;
    int screens;
    bool json, list, marks;
} request;

static bool parse(int argc, char **argv, request *r, es_error *err) {
    *r = (request){.seed = FIRST_SEED, .screens = SCREENS};
    for (int i = 1; i < argc; i++) {
        int64_t value = 0;
        bool valued = strcmp(argv[i], "--seed") == 0 || strcmp(argv[i], "--screens") == 0;
        if (valued && (i + 1 == argc || !es_parse_int(argv[i + 1], &value) || value < 1))
            return es_fail(err, ES_USAGE, "%s: a whole number above 0 is expected", argv[i]);
        if (strcmp(argv[i], "--seed") == 0)
            r->seed = (uint64_t)value;
        else if (valued)
            r->screens = (int)(value < MOST_SCREENS ? value : MOST_SCREENS);
        else if (strcmp(argv[i], "--json") == 0)
            r->json = true;
        else if (strcmp(argv[i], "--list") == 0)
            r->list = true;
        else if (strcmp(argv[i], "--marks") == 0)
            r->marks = true;
        else
            return es_fail(err, ES_USAGE,
                           "unknown \"%s\": expected --seed N, --screens N, --json, --list or "
                           "--marks",
                           argv[i]);
        i += valued;
    }
    return true;
}

static bool run(const request *r, es_error *err) {
    size_t n = (size_t)r->screens;
    job all = {r->seed, es_alloc_zero(n, sizeof(judgement), err),
               es_alloc_zero(n, sizeof(es_error), err)};
    double *room = es_alloc(n, sizeof *room, err);
    es_pool *pool = es_pool_new(0, err);
    bool ok = all.judgements && all.errors && room && pool;
    if (ok) es_pool_run(pool, n, judge_one, &all);
    for (size_t i = 0; ok && i < n; i++)
        if (all.errors[i].code != ES_OK) {
            *err = all.errors[i];
            ok = es_prefix(err, "seed %llu", (unsigned long long)(r->seed + i));
        }
    if (ok && (r->list || r->marks)) list_marks(all.judgements, r->screens, r->seed, r->marks);
    json_t *root = ok ? print_screens(all.judgements, r->screens, room, r->json) : NULL;
    if (ok) json_object_set_new(root, "real", judge_real(r->json));
    ok = ok && time_verdict(r->json, root, err);
    if (ok && r->json) json_dumpf(root, stdout, JSON_INDENT(1));
    json_decref(root);
    es_pool_free(pool);
    es_free(room);
    es_free(all.errors);
    es_free(all.judgements);
    return ok;
}

int main(int argc, char **argv) {
    es_error err = {0};
    request r;
    if (parse(argc, argv, &r, &err) && run(&r, &err)) return 0;
    fprintf(stderr, "bench_spacing: %s\n", err.message);
    return err.code == ES_USAGE ? 2 : 1;
}
