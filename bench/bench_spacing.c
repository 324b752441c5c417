/* The finders of the pixel spacing against screens whose scale is known.
 *
 *   bench_spacing [--seed N] [--screens N] [--json] [--list]
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
 * Radii are judged against what is lit: where the first or last samples of
 * the lines are not shown, no finder can know the others.
 *
 * --list names each miss. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/pipeline.h"
#include "echosolid/spacing.h"

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
    SOURCE_ROWS
} source_row;

typedef struct source_name {
    const char *name;
    double p95; /* asked of the 95th percentile of the error; 0: nothing */
} source_name;
static const source_name row_names[SOURCE_ROWS] = {{"fan, inner radius", 0.003},
                                                   {"fan, outer radius", 0.003},
                                                   {"fan, aspect", 0},
                                                   {"linear aperture", 0.01},
                                                   {"rows, said to be exact", 0.015},
                                                   {"rows, any", 0},
                                                   {"ticks", 0.004}};

typedef enum verdict_of { NOT_ASKED, FOUND, MISSING, WRONG, FALSE_ALARM } finding;
typedef struct mark {
    finding finding;
    double error, sigma; /* relative */
} mark;

typedef struct judgement {
    mark marks[SOURCE_ROWS];
    double seconds[4]; /* fan, aperture, rows, ticks */
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
    *any = compare(found->bottom - found->top, truth.v1 - truth.v0, found->sigma);
    if (found->exact) j->marks[ROWS_EXACT] = *any;
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

/* ---- one screen ------------------------------------------------------------------------ */

static bool make_still(const es_screen *screen, es_still *still, es_error *err) {
    es_source *source = es_screen_open(screen, 1, err);
    es_still_maker *maker = source ? es_still_maker_new(err) : NULL;
    es_frame frame = {0};
    bool ok = maker != NULL, end = false;
    while (ok) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        ok = es_still_maker_add(maker, &frame.image, err);
    }
    ok = ok && es_still_maker_finish(maker, still, err);
    es_frame_clear(&frame);
    es_still_maker_free(maker);
    es_source_free(source);
    return ok;
}

typedef struct clues {
    es_fan_found fan;
    es_aperture_found aperture;
    es_rows_found rows;
    es_ticks_found ticks[ES_TICKS_MAX];
    int tick_count;
} clues;

static bool find_all(const es_still *still, clues *c, double seconds[4], es_error *err) {
    double from = es_clock_s();
    if (!es_fan_find(still, &c->fan, err)) return false;
    seconds[0] = es_clock_s() - from;
    if (!es_aperture_find(still, &c->aperture, err)) return false;
    seconds[1] = es_clock_s() - from - seconds[0];
    if (!es_rows_find(still, &c->rows, err)) return false;
    seconds[2] = es_clock_s() - from - seconds[0] - seconds[1];
    if (!es_ticks_find(still, c->ticks, &c->tick_count, err)) return false;
    seconds[3] = es_clock_s() - from - seconds[0] - seconds[1] - seconds[2];
    return true;
}

/* What was drawn, and what the finders took it for. */
static void explain(const es_screen *s, const clues *c, judgement *j) {
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
    clues c = {0};
    es_screen_random(all->first_seed + index, &screen);
    if (make_still(&screen, &still, &all->errors[index]) &&
        find_all(&still, &c, j->seconds, &all->errors[index])) {
        judge_fan(&screen, &c.fan, j);
        judge_aperture(&screen, &c.aperture, j);
        judge_rows(&screen, &c.rows, j);
        judge_ticks(&screen, c.ticks, c.tick_count, j);
        explain(&screen, &c, j);
    }
    es_still_clear(&still);
}

/* ---- all of them -------------------------------------------------------------------------- */

typedef struct summary {
    int asked, found, missing, wrong, alarms, covered, far;
    double p50, p95, most;
} summary;

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

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
    qsort(room, (size_t)s.found, sizeof *room, by_size);
    s.p50 = quantile(room, s.found, 0.5);
    s.p95 = quantile(room, s.found, 0.95);
    s.most = quantile(room, s.found, 1);
    return s;
}

static void list_misses(const judgement *judgements, int count, uint64_t first_seed) {
    static const char *const words[] = {"", "far", "missing", "WRONG", "FALSE"};
    for (int i = 0; i < count; i++)
        for (int row = 0; row < SOURCE_ROWS; row++) {
            const mark *m = &judgements[i].marks[row];
            if (m->finding == NOT_ASKED || (m->finding == FOUND && !is_far(m))) continue;
            fprintf(stderr, "seed %llu: %s: %s, error %+.3f %%, sigma %.3f %%; %s\n",
                    (unsigned long long)(first_seed + (uint64_t)i), row_names[row].name,
                    words[m->finding], 100 * m->error, 100 * m->sigma, judgements[i].why);
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

static json_t *print_times(const judgement *judgements, int count, bool json) {
    static const char *const names[] = {"fan", "aperture", "rows", "ticks"};
    json_t *times = json_object();
    for (int k = 0; k < 4; k++) {
        double sum = 0, most = 0;
        for (int i = 0; i < count; i++) {
            sum += judgements[i].seconds[k];
            most = fmax(most, judgements[i].seconds[k]);
        }
        if (!json)
            printf("%-9s %6.1f ms mean, %6.1f ms most\n", names[k], 1e3 * sum / count, 1e3 * most);
        json_object_set_new(times, names[k],
                            json_pack("{s:f, s:f}", "mean_s", sum / count, "max_s", most));
    }
    return times;
}

static void print_all(const judgement *judgements, int count, double *room, bool json) {
    int bounds = 0;
    json_t *rows = json_array();
    if (!json)
        printf("%d screens\n%-28s %5s %5s %7s %5s %5s  %7s %7s %7s  %7s %4s\n", count, "", "asked",
               "found", "missing", "wrong", "false", "p50 %", "p95 %", "max %", "covered", "far");
    for (int row = 0; row < SOURCE_ROWS; row++) {
        summary s = summarise(judgements, count, (source_row)row, room);
        json_array_append_new(rows, print_row(&row_names[row], &s, json));
    }
    for (int i = 0; i < count; i++) bounds += judgements[i].bound_missed;
    if (!json) printf("dark or cut edges taken for the aperture's own: %d\n", bounds);
    json_t *times = print_times(judgements, count, json);
    json_t *root = json_pack("{s:i, s:o, s:i, s:o}", "screens", count, "sources", rows,
                             "bounds_missed", bounds, "times", times);
    if (json) json_dumpf(root, stdout, JSON_INDENT(1));
    json_decref(root);
}

typedef struct request {
    uint64_t seed;
    int screens;
    bool json, list;
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
        else
            return es_fail(err, ES_USAGE,
                           "unknown \"%s\": expected --seed N, --screens N, --json or --list",
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
    if (ok && r->list) list_misses(all.judgements, r->screens, r->seed);
    if (ok) print_all(all.judgements, r->screens, room, r->json);
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
