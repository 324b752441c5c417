/* Depth ticks and dots of the scanner's ruler.
 *
 * A ruler is a comb: marks in one column (or row) at equal steps. On a still
 * picture (the minimum over the frames, where echoes vanish and overlays
 * stay) the small marks are gathered, those in line are taken together, and
 * combs are tried through pairs of marks: at most 7 marks apart and with up to
 * 6 steps between them. A comb that is accepted has at least 5 marks, few
 * gaps, hardly any other mark between its own, an even step to half a pixel,
 * and a fair length. Those guards came from trials: without them one comb in
 * twelve was wrong, most of them lines of text (docs/spacing.md).
 *
 * What a step measures is not said by the picture: es_ticks_evidence asks the
 * rest of the evidence. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "marks.h"

enum { LEAST_MARKS = 5, LONE_MARKS = 7, CROWD = 200, CROWD_MARKS = 12 };
enum { GROUP_MAX = 512, PAIR_REACH = 7, DIVISORS = 6, REFITS = 6, GAP = 3 };
static const double period_min = 9, period_max = 130;
#define TURN 6.283185307179586
#define WHOLE .9 /* of 1: the marks' parts of a pixel within .07 of one another */
/* Pixels from a mark's place to the one it is drawn at: as drawn, compressed, blurred. The
 * least that the marks allow is taken: with many of them, room that is not needed would be
 * most of what is said to be unknown. */
static const double rooms_px[] = {.502, .51, .56};

typedef struct comb {
    double first, period, deviation, score, fill;
    int count, others;
    double sum_squares; /* of k about its mean */
} comb;

/* Marks in line, by growing position, one row each. */
typedef struct group {
    const mark *marks[GROUP_MAX];
    int step[GROUP_MAX]; /* the tick's number in the comb, INT32_MIN: not of it */
    int count;
    double extent; /* of the picture along the ruler */
} group;

/* Gives each mark its number; the nearest of several wins. Returns how many
 * belong to the comb. */
static int number_marks(group *g, double first, double period, double tolerance, double slope) {
    int count = 0, last = -1;
    double last_off = 0;
    for (int i = 0; i < g->count; i++) {
        double k = round((g->marks[i]->at - first) / period);
        double off = fabs(g->marks[i]->at - first - k * period);
        g->step[i] = INT32_MIN;
        if (off > tolerance + slope * fabs(k)) continue;
        if (last >= 0 && g->step[last] == (int)k) {
            if (off >= last_off) continue;
            g->step[last] = INT32_MIN;
            count--;
        }
        g->step[i] = (int)k;
        last = i;
        last_off = off;
        count++;
    }
    return count;
}

/* Keeps the longest stretch without a gap of more than GAP steps. */
static void keep_stretch(group *g) {
    int best_from = 0, best_to = 0, best = 0, from = 0, n = 0, last = INT32_MIN;
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        if (last == INT32_MIN || g->step[i] - last > GAP) from = i, n = 0;
        last = g->step[i];
        if (++n > best) best = n, best_from = from, best_to = i;
    }
    for (int i = 0; i < g->count; i++)
        if (i < best_from || i > best_to) g->step[i] = INT32_MIN;
}

/* Straight line through the numbered marks. */
static bool fit(const group *g, comb *c) {
    double n = 0, sk = 0, sp = 0, skk = 0, skp = 0;
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        double k = g->step[i], p = g->marks[i]->at;
        n++, sk += k, sp += p, skk += k * k, skp += k * p;
    }
    c->count = (int)n;
    c->sum_squares = n > 0 ? skk - sk * sk / n : 0;
    if (n < 3 || !(c->sum_squares > 0)) return false;
    c->period = (skp - sk * sp / n) / c->sum_squares;
    c->first = (sp - c->period * sk) / n;
    return c->period >= period_min && c->period <= period_max;
}

/* Scanners draw a mark at the pixel that is nearest to its place. Then each
 * mark is within half a pixel of it, and two marks bound the step:
 * |m_j - m_i - (j - i) p| <= 1. The errors of neighbours go together (at a step of 10.02
 * pixels they grow for 25 marks), so that a straight line through the marks is
 * off by more than its scatter says; the bounds are exact. Half a pixel and a
 * little are given to each mark. */
static bool bound_period(const group *g, double room, double *low, double *high) {
    *low = 0, *high = INFINITY;
    for (int i = 0; i < g->count; i++)
        for (int j = i + 1; j < g->count; j++) {
            if (g->step[i] == INT32_MIN || g->step[j] == INT32_MIN) continue;
            double steps = g->step[j] - g->step[i], apart = g->marks[j]->at - g->marks[i]->at;
            if (steps < 1) continue;
            *low = fmax(*low, (apart - 2 * room) / steps);
            *high = fmin(*high, (apart + 2 * room) / steps);
        }
    return *low < *high && isfinite(*high);
}

/* For a period, the room that is left for the place of the first mark. */
static double room_left(const group *g, double period, double room) {
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        double at = g->marks[i]->at - g->step[i] * period;
        least = fmin(least, at);
        most = fmax(most, at);
    }
    return fmax(2 * room - (most - least), 0);
}

/* Are the marks at whole pixels, but for a common part of one? */
static bool at_whole_pixels(const group *g) {
    double c = 0, s = 0, n = 0;
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        c += cos(TURN * g->marks[i]->at);
        s += sin(TURN * g->marks[i]->at);
        n++;
    }
    return hypot(c, s) > WHOLE * n;
}

/* Mean and deviation of the period, each place of the first mark being as
 * likely as the others. False where the marks are not drawn at whole pixels. */
static bool period_of_pixels(const group *g, double *period, double *sigma) {
    enum { PARTS = 64 };
    enum { ROOMS = sizeof rooms_px / sizeof *rooms_px };
    double low, high, sum = 0, first = 0, second = 0;
    int k = 0;
    if (!at_whole_pixels(g)) return false;
    while (k < ROOMS && !bound_period(g, rooms_px[k], &low, &high)) k++;
    if (k == ROOMS) return false;
    const double room = rooms_px[k];
    for (int i = 0; i < PARTS; i++) {
        double part = (i + .5) / PARTS, p = low + part * (high - low);
        double weight = room_left(g, p, room);
        sum += weight, first += weight * part, second += weight * part * part;
    }
    if (!(sum > 0)) return false;
    double mean = first / sum;
    *period = low + mean * (high - low);
    *sigma = sqrt(fmax(second / sum - mean * mean, 0)) * (high - low);
    return true;
}

static void measure(const group *g, comb *c) {
    int first = -1, last = -1;
    double squares = 0;
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        double off = g->marks[i]->at - c->first - g->step[i] * c->period;
        squares += off * off;
        if (first < 0) first = i;
        last = i;
    }
    int steps = g->step[last] - g->step[first] + 1;
    c->others = last - first + 1 - c->count;
    c->deviation = sqrt(squares / (c->count - 2));
    c->fill = (double)c->count / steps;
    c->first += g->step[first] * c->period;
    c->score = c->count * c->fill - 2 * c->others - 4 * c->deviation;
}

/* The guards. Where echoes may stand among the marks `least` is higher. */
static bool accept(const group *g, const comb *c, int least) {
    bool alone = least > LEAST_MARKS;
    double length = (c->count / c->fill - 1) * c->period;
    int missing = (int)lround(c->count / c->fill) - c->count;
    if (missing > c->count / 6) return false; /* every other line of a menu */
    return c->count >= least && c->fill >= (alone ? .85 : .75) && c->others <= .2 * c->count &&
           c->deviation <= .45 && length > .22 * g->extent;
}

static bool try_comb(group *g, double first, double period, int least, comb *best) {
    comb c = {.first = first, .period = period};
    if (number_marks(g, first, period, .8, .02) < 3) return false;
    for (int r = 0; r < REFITS; r++) {
        keep_stretch(g);
        if (!fit(g, &c)) return false;
        if (r + 1 < REFITS && number_marks(g, c.first, c.period, .8, 0) < 3) return false;
    }
    measure(g, &c);
    if (!accept(g, &c, least) || c.score <= best->score) return false;
    *best = c;
    return true;
}

/* True when the group has a better comb than *best. */
static bool search_group(group *g, int least, comb *best) {
    bool found = false;
    for (int i = 0; i < g->count; i++)
        for (int j = i + 1; j < g->count && j <= i + PAIR_REACH; j++)
            for (int d = 1; d <= DIVISORS; d++) {
                double period = (g->marks[j]->at - g->marks[i]->at) / d;
                if (period < period_min) break;
                if (period <= period_max)
                    found |= try_comb(g, g->marks[i]->at, period, least, best);
            }
    if (found) { /* number the marks of the best one again */
        number_marks(g, best->first, best->period, .8, 0);
        keep_stretch(g);
    }
    return found;
}

/* ---- marks alike ------------------------------------------------------------------- */

typedef enum measure_kind { MARK_WIDTH, MARK_THICKNESS, MARK_LEVEL } measure_kind;

static double measure_mark(const mark *m, measure_kind kind) {
    return kind == MARK_WIDTH       ? m->right - m->left + 1
           : kind == MARK_THICKNESS ? m->thick
                                    : m->level;
}

/* Share of the comb's marks within `slack` of the lower quarter or of the upper
 * tenth, which long ticks make. */
static double share_alike(const group *g, measure_kind kind, double slack, bool relative) {
    double values[GROUP_MAX];
    int n = 0, alike = 0;
    for (int i = 0; i < g->count; i++)
        if (g->step[i] != INT32_MIN) values[n++] = measure_mark(g->marks[i], kind);
    if (n == 0) return 0;
    qsort(values, (size_t)n, sizeof *values, es_compare_doubles);
    double common[2] = {values[n / 4], values[n - 1 - n / 10]};
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 2; c++)
            if (fabs(values[i] - common[c]) <= (relative ? slack * common[c] : slack)) {
                alike++;
                break;
            }
    return (double)alike / n;
}

/* A ruler's ticks are drawn alike; letters and echoes are not. */
static bool are_alike(const group *g) {
    return share_alike(g, MARK_WIDTH, 1, false) >= .8 &&
           share_alike(g, MARK_THICKNESS, 1, false) >= .8 &&
           share_alike(g, MARK_LEVEL, .25, true) >= .8;
}

/* ---- long ticks ------------------------------------------------------------------- */

/* Every how many ticks a longer one stands: all of those and no other. */
static int find_majors(const group *g) {
    static const int every[] = {2, 4, 5, 10};
    double widths[GROUP_MAX];
    int n = 0;
    for (int i = 0; i < g->count; i++)
        if (g->step[i] != INT32_MIN) widths[n++] = g->marks[i]->right - g->marks[i]->left + 1;
    qsort(widths, (size_t)n, sizeof *widths, es_compare_doubles);
    double limit = 1.3 * widths[n / 4] + 1;
    for (size_t e = 0; e < sizeof every / sizeof *every; e++)
        for (int rest = 0; rest < every[e]; rest++) {
            int right = 0, wrong = 0;
            for (int i = 0; i < g->count; i++) {
                if (g->step[i] == INT32_MIN) continue;
                bool longer = g->marks[i]->right - g->marks[i]->left + 1 > limit;
                bool due = ((g->step[i] - rest) % every[e] + every[e]) % every[e] == 0;
                right += longer && due;
                wrong += longer != due;
            }
            if (right >= 2 && wrong == 0) return every[e];
        }
    return 0;
}

/* ---- groups of marks in line ---------------------------------------------------------- */

/* Long ticks have one edge, or the middle, in line with the short ones. Ticks
 * on an axis line are compared within one column. */
typedef enum key_kind { KEY_LEFT, KEY_CENTRE, KEY_RIGHT, KEY_BESIDE, KEYS } key_kind;

static double key_of(const mark *m, key_kind key) {
    switch (key) {
    case KEY_LEFT: return m->left;
    case KEY_RIGHT: return m->right;
    case KEY_CENTRE: return (m->left + m->right) / 2;
    default: return m->beside - 1;
    }
}

typedef struct keyed {
    double key;
    const mark *mark;
} keyed;

static int compare_keys(const void *a, const void *b) {
    const keyed *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->mark > y->mark) - (x->mark < y->mark);
}

static int compare_positions(const void *a, const void *b) {
    const mark *x = *(const mark *const *)a, *y = *(const mark *const *)b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return (x > y) - (x < y);
}

/* Adds a comb to the best ones; one that is already there, seen by another
 * edge of its ticks or on the other side of the picture, gives way or stays. */
static void keep_best(es_ticks_found found[ES_TICKS_MAX], double score[ES_TICKS_MAX], int *count,
                      const es_ticks_found *candidate, double its_score) {
    for (int i = 0; i < *count; i++)
        if (found[i].axis == candidate->axis && fabs(found[i].at - candidate->at) < 20) {
            if (score[i] >= its_score) return;
            (*count)--;
            for (int k = i; k < *count; k++) found[k] = found[k + 1], score[k] = score[k + 1];
            break;
        }
    int place = *count;
    while (place > 0 && score[place - 1] < its_score) place--;
    if (place == ES_TICKS_MAX) return;
    if (*count < ES_TICKS_MAX) (*count)++;
    for (int k = *count - 1; k > place; k--) found[k] = found[k - 1], score[k] = score[k - 1];
    found[place] = *candidate;
    score[place] = its_score;
}

typedef struct search {
    es_ticks_found *found;
    double score[ES_TICKS_MAX];
    int count, axis;
    int least; /* marks of a comb */
    bool few;  /* frames */
    const es_image *low;
} search;

/* ---- faint marks between ------------------------------------------------------------- */

/* The brightest pixel within one pixel of `along`, over the marks' width. */
static float brightest_at(const es_image *still, int axis, double along, const int across[2]) {
    int size[2] = {(int)still->width, (int)still->height}, centre = (int)lround(along);
    float best = 0;
    for (int a = centre - 1; a <= centre + 1; a++)
        for (int c = across[0]; c <= across[1]; c++) {
            int u = axis ? c : a, v = axis ? a : c;
            if (u < 0 || v < 0 || u >= size[0] || v >= size[1]) continue;
            best = fmaxf(best, ((const float *)still->data)[(size_t)v * still->width + (size_t)u]);
        }
    return best;
}

/* True where most places that cut the steps into `parts` are brighter than
 * those halfway between them. */
static bool divided(const search *s, const comb *c, const int across[2], int parts) {
    static const float contrast = 5;
    double part = c->period / parts;
    int steps = (int)lround((c->count / c->fill - 1) * parts), seen = 0, all = 0;
    if (part < 5) return false;
    for (int k = 0; k < steps; k++) {
        if (k % parts == 0) continue;
        double at = c->first + k * part;
        float here = brightest_at(s->low, s->axis, at, across);
        float beside = fmaxf(brightest_at(s->low, s->axis, at - part / 2, across),
                             brightest_at(s->low, s->axis, at + part / 2, across));
        seen += here > beside + contrast;
        all++;
    }
    return seen >= .8 * all;
}

/* The darkest pixel of a mark like `m` whose centre is at `along`. */
static float darkest_at(const es_image *still, int axis, double along, const mark *m) {
    int size[2] = {(int)still->width, (int)still->height};
    int from = (int)lround(along - (m->thick - 1) / 2), to = from + (int)lround(m->thick) - 1;
    float worst = INFINITY;
    for (int a = from; a <= to; a++)
        for (int c = (int)m->left; c <= (int)m->right; c++) {
            int u = axis ? c : a, v = axis ? a : c;
            if (u < 0 || v < 0 || u >= size[0] || v >= size[1]) return 0;
            worst =
                fminf(worst, ((const float *)still->data)[(size_t)v * still->width + (size_t)u]);
        }
    return worst;
}

/* True where the same mark stands at most places that cut the steps into `parts`: words
 * that touch every other one keep it from being a mark of its own. */
static bool repeated(const search *s, const group *g, const comb *c, int parts) {
    const mark *m = NULL;
    int steps = (int)lround((c->count / c->fill - 1) * parts), seen = 0, all = 0;
    for (int i = 0; i < g->count && !m; i++)
        if (g->step[i] != INT32_MIN) m = g->marks[i];
    for (int k = 0; m && k < steps; k++) {
        if (k % parts == 0) continue;
        double at = c->first + k * c->period / parts;
        float best = 0;
        for (int shift = -1; shift <= 1; shift++)
            best = fmaxf(best, darkest_at(s->low, s->axis, at + shift, m));
        seen += best >= .8 * m->level;
        all++;
    }
    return all > 0 && seen >= .8 * all;
}

/* Long ticks alone, whose short ones between are too faint to be marks: their
 * step may be 2.5 mm, which no ruler's list has. Better no comb than that. */
static bool is_coarse(const search *s, const group *g, const comb *c) {
    static const int parts[] = {2, 5, 10};
    int across[2] = {INT32_MAX, 0};
    for (int i = 0; i < g->count; i++) {
        if (g->step[i] == INT32_MIN) continue;
        across[0] = (int)fmin(across[0], g->marks[i]->left - 1);
        across[1] = (int)fmax(across[1], g->marks[i]->right + 1);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (divided(s, c, across, parts[i]) || repeated(s, g, c, parts[i])) return true;
    return false;
}

static void report(search *s, const group *g, const comb *c, double at) {
    if (!are_alike(g) || is_coarse(s, g, c)) return;
    es_ticks_found f = {.found = true, .axis = s->axis, .at = at, .first = c->first};
    f.period_px = c->period;
    double line = fmax(c->deviation, .3) / sqrt(c->sum_squares);
    f.period_sigma = line;
    period_of_pixels(g, &f.period_px, &f.period_sigma);
    /* One mark that was drawn a pixel beside its place breaks the bounds: never much surer
     * than a straight line through them. */
    f.period_sigma = fmax(f.period_sigma, line / 2);
    f.count = c->count;
    f.major_every = find_majors(g);
    snprintf(f.why, sizeof f.why, "%d marks along %s at %.0f, every %.3f +- %.3f px%s%s", c->count,
             s->axis ? "the column" : "the row", at, f.period_px, f.period_sigma,
             f.major_every ? ", with longer ones between" : "",
             s->few ? "; few frames: what stands still cannot be told from echoes" : "");
    keep_best(s->found, s->score, &s->count, &f, c->score);
}

/* Marks whose keys lie within `reach` of one another. */
static void search_keys(search *s, const keyed *keys, size_t count, double reach, group *g) {
    size_t from = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && keys[i].key == keys[i - 1].key) continue;
        while (keys[from].key < keys[i].key - reach) from++;
        size_t to = i;
        while (to < count && keys[to].key <= keys[i].key + reach) to++;
        if (to - from < 5 || to - from > GROUP_MAX) continue;
        g->count = (int)(to - from);
        for (size_t k = from; k < to; k++) g->marks[k - from] = keys[k].mark;
        qsort(g->marks, to - from, sizeof *g->marks, compare_positions);
        comb best = {.score = 0};
        if (search_group(g, s->least, &best)) report(s, g, &best, keys[i].key);
    }
}

static bool search_axis(search *s, const es_image *still, float threshold, es_error *err) {
    mark_list marks = {0};
    group *g = es_alloc(1, sizeof *g, err);
    bool ok = g && marks_find(still, s->axis, threshold, &marks, err);
    /* of many marks some make a comb by chance */
    int least = s->least;
    if (least > LEAST_MARKS && !s->few && marks.count > CROWD) s->least = CROWD_MARKS;
    keyed *keys = ok ? es_alloc(marks.count, sizeof *keys, err) : NULL;
    ok = ok && keys;
    if (ok) g->extent = s->axis ? still->height : still->width;
    for (key_kind key = KEY_LEFT; ok && key < KEYS; key++) {
        size_t n = 0;
        for (size_t i = 0; i < marks.count; i++)
            if ((marks.items[i].beside != 0) == (key == KEY_BESIDE))
                keys[n++] = (keyed){key_of(&marks.items[i], key), &marks.items[i]};
        qsort(keys, n, sizeof *keys, compare_keys);
        search_keys(s, keys, n, key == KEY_BESIDE ? 0 : 1, g);
    }
    s->least = least;
    es_free(keys);
    es_free(g);
    marks_clear(&marks);
    return ok;
}

/* ---- the still to look at ------------------------------------------------------------- */

static float find_brightest(const es_image *still) {
    const float *grey = still->data;
    float brightest = 0;
    size_t n = (size_t)still->width * still->height;
    for (size_t i = 0; i < n; i++) brightest = fmaxf(brightest, grey[i]);
    return brightest;
}

/* Only what changes by less than `limit`: takes bright echoes from around a
 * ruler that is drawn over them. */
static bool keep_unchanged(const es_still *still, float limit, es_image *unchanged, es_error *err) {
    if (!es_image_copy(&still->low, unchanged, err)) return false;
    const float *deviation = still->deviation.data;
    float *grey = unchanged->data;
    size_t n = (size_t)still->width * still->height;
    for (size_t i = 0; i < n; i++)
        if (deviation[i] > limit) grey[i] = 0;
    return true;
}

/* One direction: in the picture's minimum, then in what hardly changes, as far
 * as compression does, as far as noise does, and in what does not at all. */
static bool search_stills(search *s, const es_still *still, es_error *err) {
    static const float limits[] = {8, 3, .2F};
    float threshold = fmaxf(40, find_brightest(&still->low) / 4);
    int before = s->count;
    es_image unchanged = {0};
    bool ok = search_axis(s, &still->low, threshold, err);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (!ok || s->few || s->count != before) break;
        s->least = LONE_MARKS; /* islands of echoes that happen to stand still are many */
        ok = keep_unchanged(still, limits[i], &unchanged, err) &&
             search_axis(s, &unchanged, threshold, err);
        s->least = LEAST_MARKS;
    }
    es_image_clear(&unchanged);
    return ok;
}

bool es_ticks_find(const es_still *still, es_ticks_found found[ES_TICKS_MAX], int *count,
                   es_error *err) {
    memset(found, 0, ES_TICKS_MAX * sizeof *found);
    const bool few = still->frames < 6;
    search s = {.found = found, .few = few, .low = &still->low};
    s.least = few ? LONE_MARKS : LEAST_MARKS;
    for (s.axis = 0; s.axis < 2; s.axis++)
        if (!search_stills(&s, still, err)) return false;
    *count = s.count;
    if (s.count == 0)
        snprintf(found[0].why, sizeof found[0].why,
                 "no even row of marks stands still in the picture");
    return true;
}
