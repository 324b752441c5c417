/* Which of the possible readings of a pose table is the right one.
 *
 * Header and algebra have had their say when the readings come here. What a
 * hand and a tracker can do removes more: a probe that is 300 m away, that
 * flies, or that turns a quarter between two rows. Smoothness can do no more:
 * permuted quaternions and transposed rotations move just as smoothly. The
 * pictures can: a reading foretells how each place of the picture moves
 * between two frames, which phase correlation has measured. The reading that
 * foretells it best is taken when it explains the motion and every other one
 * is worse beyond doubt, or places all pictures alike. Else nobody guesses:
 * the error lists what is open and the words that close it. */
#include <math.h>
#include <string.h>

#include "pose_internal.h"

/* What is impossible for a hand-held probe before a tracker: further off than
 * a hall of cameras is long, faster, and stiller than any tracker's noise. A
 * true reading must never fall to these, so they are wide. */
static const double FAR_MM = 20000, FAST_MM_S = 1000, STEP_MM = 100, STILL_MM = 0.1,
                    TURN_RAD = 0.35;
/* What the pictures must say. */
static const double EXPLAINED = 0.35; /* residual against motion, RMS */
static const double WORSE = 1.5;      /* RMS of the next against the best */
static const double SURE = 4;         /* standard errors between them */
static const double LEAST_MOTION_PX = 1;
enum { LEAST_PAIRS = 8, STEPS = 400, LOOKS = 64, DOUBT_MAX = 6000 };
/* Two readings are one when they place every picture alike within this. */
static const double ALIKE_MM = 0.1;

typedef struct guess {
    const es_pose_table *table;
    const pose_pairs *pairs;
    const pose_tools *tools;
    pose_flow flow;
    es_mat4 image_to_probe, probe_to_image;
    bool has_image;       /* ImageToProbe is known */
    double width, height; /* of the picture, px */
    es_pose_reading *readings;
    double *scores; /* RMS of each, px */
    size_t count;
} guess;

/* Probe to tracker, or to the reference where there is one. */
static bool pose_of(const guess *g, const es_pose_reading *r, size_t frame, es_mat4 *pose) {
    es_mat4 reference, inverse;
    const pose_pair *pair = &g->pairs->items[frame];
    if (!pose_pair_at(g->table, g->tools->probe, r, pair, pose)) return false;
    if (g->tools->reference < 0) return true;
    if (!pose_pair_at(g->table, g->tools->reference, r, pair, &reference)) return false;
    if (!es_mat4_invert(reference, &inverse, NULL)) return false;
    *pose = es_mat4_multiply(inverse, *pose);
    return true;
}

/* ---- ranges and smoothness ------------------------------------------------------ */

typedef struct motion_stats {
    double distance_mm, travel_mm, step_mm, speed_mm_s, turn_rad; /* mean of the steps */
    size_t steps;
} motion_stats;

static double turn_between(es_mat4 a, es_mat4 b) {
    double trace = 0;
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) trace += a.m[4 * i + j] * b.m[4 * i + j];
    return acos(fmax(-1, fmin(1, 0.5 * (trace - 1))));
}

/* Over at most STEPS steps from row to row, spread over the table. */
static motion_stats look_at_motion(const guess *g, const es_pose_reading *r) {
    motion_stats m = {0};
    size_t samples = es_pose_table_about(g->table)->samples;
    size_t stride = samples / STEPS + 1;
    es_box3 box = es_box3_empty();
    double seconds = 0;
    for (size_t s = 0; s + 1 < samples; s += stride) {
        es_mat4 a, b;
        if (!es_pose_table_pose(g->table, g->tools->probe, s, r, &a) ||
            !es_pose_table_pose(g->table, g->tools->probe, s + 1, r, &b))
            continue;
        es_vec3 p = es_mat4_column(a, 3), q = es_mat4_column(b, 3);
        es_box3_add(&box, p);
        es_box3_add(&box, q);
        m.distance_mm += es_vec3_length(p);
        m.step_mm += es_vec3_length(es_vec3_sub(q, p));
        m.turn_rad += turn_between(a, b);
        seconds += es_pose_table_time(g->table, s + 1) - es_pose_table_time(g->table, s);
        m.steps++;
    }
    if (m.steps == 0) return m;
    m.travel_mm = es_vec3_length(es_vec3_sub(box.max, box.min));
    m.speed_mm_s = m.step_mm / seconds; /* NaN without time */
    m.distance_mm /= (double)m.steps;
    m.step_mm /= (double)m.steps;
    m.turn_rad /= (double)m.steps;
    return m;
}

static bool can_be(const motion_stats *m) {
    return m->distance_mm <= FAR_MM && m->travel_mm >= STILL_MM && m->step_mm <= STEP_MM &&
           m->turn_rad <= TURN_RAD && !(m->speed_mm_s > FAST_MM_S);
}

/* Keeps what a hand can do; when nothing is left, keeps all. */
static void keep_possible(guess *g) {
    size_t kept = 0;
    for (size_t i = 0; i < g->count; i++) {
        motion_stats m = look_at_motion(g, &g->readings[i]);
        if (!can_be(&m)) continue;
        es_pose_reading swap = g->readings[kept];
        g->readings[kept++] = g->readings[i];
        g->readings[i] = swap;
    }
    if (kept) g->count = kept;
}

/* ---- the pictures -------------------------------------------------------------- */

/* Mean over one pair of frames of the squared, bounded residual; NaN where the
 * reading has no pose. */
static double pair_error(const guess *g, const es_pose_reading *r, size_t first, size_t last,
                         double bound) {
    const pose_match *m = &g->flow.matches[first];
    es_mat4 from, to, back;
    if (!pose_of(g, r, m->i, &from) || !pose_of(g, r, m->j, &to) ||
        !es_mat4_invert(to, &back, NULL))
        return NAN;
    es_mat4 move = es_mat4_multiply(
        g->probe_to_image, es_mat4_multiply(es_mat4_multiply(back, from), g->image_to_probe));
    double sum = 0;
    for (size_t k = first; k < last; k++) {
        m = &g->flow.matches[k];
        es_vec3 p = es_mat4_point(move, es_vec3_make(m->u, m->v, 0));
        double e = hypot(p.x - m->u - m->du, p.y - m->v - m->dv);
        sum += fmin(e, bound) * fmin(e, bound);
    }
    return sum / (double)(last - first);
}

static size_t end_of_pair(const pose_flow *flow, size_t first) {
    size_t last = first + 1;
    while (last < flow->count && flow->matches[last].i == flow->matches[first].i &&
           flow->matches[last].j == flow->matches[first].j)
        last++;
    return last;
}

/* Errors by pair of frames; returns how many pairs have one, and their RMS. */
static size_t pair_errors(const guess *g, const es_pose_reading *r, double *errors, double *rms) {
    double bound = fmax(4, 1.5 * g->flow.rms_px), sum = 0;
    size_t count = 0, known = 0;
    for (size_t first = 0, last; first < g->flow.count; first = last) {
        last = end_of_pair(&g->flow, first);
        double e = pair_error(g, r, first, last, bound);
        errors[count++] = e;
        if (isnan(e)) continue;
        sum += e;
        known++;
    }
    *rms = known ? sqrt(sum / (double)known) : INFINITY;
    return known;
}

/* Whether `other` is worse than `best` beyond doubt. */
static bool is_worse(const double *best, const double *other, size_t pairs) {
    double sum = 0, squares = 0, sum_best = 0, sum_other = 0;
    size_t n = 0;
    for (size_t i = 0; i < pairs; i++) {
        if (isnan(best[i]) || isnan(other[i])) continue;
        double d = other[i] - best[i];
        sum += d;
        squares += d * d;
        sum_best += best[i];
        sum_other += other[i];
        n++;
    }
    if (n < LEAST_PAIRS) return false;
    double mean = sum / (double)n;
    double error = sqrt(fmax(0, squares / (double)n - mean * mean) / (double)(n - 1));
    return mean > SURE * error && sum_other > WORSE * WORSE * sum_best;
}

/* ---- readings that place all pictures alike ------------------------------------------ */

/* The farthest that three corners of the picture lie apart under the two
 * readings, seen from the first look; NAN when a reading has no poses. */
static double apart_mm(const guess *g, const es_pose_reading *a, const es_pose_reading *b) {
    double most = NAN;
    es_mat4 home_a = es_mat4_identity(), home_b = home_a, pa, pb;
    const double corners[3][2] = {{0, 0}, {g->width, 0}, {0, g->height}};
    size_t stride = g->pairs->count / LOOKS + 1;
    for (size_t f = 0; f < g->pairs->count; f += stride) {
        if (!pose_of(g, a, f, &pa) || !pose_of(g, b, f, &pb)) continue;
        if (isnan(most) &&
            (!es_mat4_invert(pa, &home_a, NULL) || !es_mat4_invert(pb, &home_b, NULL)))
            continue;
        most = fmax(most, 0); /* NaN becomes 0 */
        pa = es_mat4_multiply(home_a, pa);
        pb = es_mat4_multiply(home_b, pb);
        for (int c = 0; c < 3; c++) {
            es_vec3 at =
                es_mat4_point(g->image_to_probe, es_vec3_make(corners[c][0], corners[c][1], 0));
            most = fmax(most,
                        es_vec3_length(es_vec3_sub(es_mat4_point(pa, at), es_mat4_point(pb, at))));
        }
    }
    return most;
}

/* Moves the chosen reading to the front and drops those that are worse or
 * alike. */
static bool keep_rivals(guess *g, size_t chosen, const double *best, size_t pairs, es_error *err) {
    double *errors = es_alloc(pairs + 1, sizeof *errors, err);
    if (!errors) return false;
    es_pose_reading choice = g->readings[chosen];
    size_t kept = 1;
    g->readings[chosen] = g->readings[0];
    g->readings[0] = choice;
    for (size_t i = 1; i < g->count; i++) {
        double rms;
        if (best) pair_errors(g, &g->readings[i], errors, &rms);
        if (best && is_worse(best, errors, pairs)) continue;
        if (apart_mm(g, &choice, &g->readings[i]) <= ALIKE_MM) continue;
        es_pose_reading rival = g->readings[i];
        g->readings[i] = g->readings[kept];
        g->readings[kept++] = rival;
    }
    g->count = kept;
    es_free(errors);
    return true;
}

/* ---- words --------------------------------------------------------------------------- */

static uint32_t values_left(const guess *g, int attribute) {
    uint32_t values = 0;
    for (size_t i = 0; i < g->count; i++)
        if (es_pose_attribute_counts((es_pose_attribute)attribute,
                                     g->readings[i].is[ES_POSE_ROTATION]))
            values |= 1u << g->readings[i].is[attribute];
    return values;
}

static bool is_open(uint32_t values) { return (values & (values - 1)) != 0; }

/* "unit=mm or cm; direction=tool-to-tracker or tracker-to-tool" */
static void list_open(const guess *g, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int a = 0; a < ES_POSE_ATTRIBUTES && used < size; a++) {
        uint32_t values = values_left(g, a);
        if (!is_open(values)) continue;
        const char *between = "";
        used += (size_t)snprintf(text + used, size - used, "%s%s=", used ? "; " : "",
                                 es_pose_attribute_name((es_pose_attribute)a));
        for (int v = 0; v < 32 && used < size; v++) {
            if (!(values >> v & 1)) continue;
            used += (size_t)snprintf(text + used, size - used, "%s%s", between,
                                     es_pose_words((es_pose_attribute)a)[v]);
            between = " or ";
        }
    }
}

static bool fail_open(const guess *g, const char *why, es_error *err) {
    char open[400], example[ES_POSE_TEXT];
    list_open(g, open, sizeof open);
    es_pose_reading_text(&g->readings[0], example);
    return es_fail(err, ES_GEOMETRY,
                   "the poses can be read in %zu ways: %s (%s); say which with --pose-layout, e.g. "
                   "--pose-layout \"%s\"",
                   g->count, open, why, example);
}

/* One decision an attribute that was not settled by the table itself. */
static bool tell(const es_pose_doubt *doubt, const es_pose_reading *r, uint32_t possible_unit,
                 const char *pictures, es_decisions *d, es_error *err) {
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        if (!es_pose_attribute_counts((es_pose_attribute)a, r->is[ES_POSE_ROTATION])) continue;
        if (a == ES_POSE_FIRST && !is_open(doubt->possible[a])) continue;
        char what[64];
        const char *why = !is_open(doubt->possible[a]) ? doubt->why[a]
                          : a == ES_POSE_UNIT && !is_open(possible_unit)
                              ? "the only one in which a "
                                "hand can move like this"
                              : pictures;
        snprintf(what, sizeof what, "poses' %s", es_pose_attribute_name((es_pose_attribute)a));
        if (!es_decisions_add(d, err, what, why, "%s",
                              es_pose_words((es_pose_attribute)a)[r->is[a]]))
            return false;
    }
    return true;
}

/* ---- the order of the questions ---------------------------------------------------------- */

static bool find_image(guess *g, const es_plus *plus, es_source *source, es_error *err) {
    const es_stream_info *info = es_source_info(source);
    g->image_to_probe = es_mat4_scaling(0.2, 0.2, 0.2); /* only for readings alike: about 100 mm */
    g->width = info->width ? info->width : 500;
    g->height = info->height ? info->height : 500;
    if (!plus) return true;
    es_graph *graph = es_graph_new(err);
    bool ok = graph && es_plus_to_graph(plus, graph, err);
    es_mat4 found;
    if (ok && es_graph_find(graph, "Image", "Probe", &found, NULL, NULL)) {
        g->has_image = es_mat4_invert(found, &g->probe_to_image, NULL);
        if (g->has_image) g->image_to_probe = found;
    }
    es_graph_free(graph);
    return ok;
}

/* Scores all, and keeps the best with its rivals. `why` says what came out. */
static bool ask_pictures(guess *g, char *why, size_t size, es_error *err) {
    double *best = es_alloc(g->flow.count + 1, sizeof *best, err);
    double *errors = best ? es_alloc(g->flow.count + 1, sizeof *errors, err) : NULL;
    size_t chosen = 0, pairs = 0, known = 0;
    double least = INFINITY, rms;
    bool ok = errors != NULL;
    for (size_t i = 0; ok && i < g->count; i++) {
        size_t n = pair_errors(g, &g->readings[i], errors, &rms);
        if (!(rms < least)) continue;
        least = rms;
        chosen = i;
        known = n;
        memcpy(best, errors, g->flow.count * sizeof *best);
    }
    for (size_t first = 0; first < g->flow.count; first = end_of_pair(&g->flow, first)) pairs++;
    bool answers = known >= LEAST_PAIRS && g->flow.rms_px >= LEAST_MOTION_PX &&
                   least <= EXPLAINED * g->flow.rms_px;
    if (answers)
        snprintf(why, size, "it foretells how the pictures move to %.2g px of %.2g", least,
                 g->flow.rms_px);
    else if (g->flow.count < LEAST_PAIRS || g->flow.rms_px < LEAST_MOTION_PX)
        snprintf(why, size,
                 "the pictures show too little motion in their plane to judge by: %zu "
                 "matches of %zu",
                 g->flow.count, g->flow.tried);
    else
        snprintf(why, size,
                 "no reading foretells how the pictures move: the best to %.2g px of "
                 "%.2g; is there a lag (--time-offset), is ImageToProbe that of this probe?",
                 least, g->flow.rms_px);
    ok = ok && keep_rivals(g, answers ? chosen : 0, answers ? best : NULL, pairs, err);
    es_free(best);
    es_free(errors);
    return ok;
}

static bool check_motion(const guess *g, es_error *err) {
    size_t samples = es_pose_table_about(g->table)->samples, poses = 0;
    es_mat4 first = es_mat4_identity(), pose;
    for (size_t s = 0; s < samples; s++) {
        if (!es_pose_table_pose(g->table, g->tools->probe, s, &g->readings[0], &pose)) continue;
        if (poses++ == 0) first = pose;
        if (memcmp(&first, &pose, sizeof pose) != 0) return true;
    }
    if (poses == 0)
        return es_fail(err, ES_FORMAT, "none of the %zu rows holds a pose of the probe", samples);
    return es_fail(err, ES_FORMAT,
                   "all %zu poses of the probe are the same: the tracker stood still or froze, and "
                   "nothing tells how to read them; give all of --pose-layout to use them",
                   poses);
}

static bool settle(guess *g, es_source *source, const es_plus *plus, char *why, size_t size,
                   es_error *err) {
    snprintf(why, size, "all readings that are left place the pictures alike");
    if (!find_image(g, plus, source, err)) return false;
    if (g->count == 1) return true;
    if (!g->has_image) {
        if (!keep_rivals(g, 0, NULL, 0, err)) return false;
        if (g->count > 1)
            snprintf(why, size, "without an ImageToProbe (--config) the pictures cannot judge");
        return true;
    }
    return pose_flow_measure(source, g->pairs->count, &g->flow, err) &&
           ask_pictures(g, why, size, err);
}

bool pose_guess(es_source *source, const es_pose_table *table, const pose_pairs *pairs,
                const pose_tools *tools, const es_pose_request *request, es_pose_reading *reading,
                es_decisions *decisions, es_error *err) {
    guess g = {.table = table, .pairs = pairs, .tools = tools};
    char why[200] = "";
    bool ok = es_pose_table_readings(table, &g.readings, &g.count, err);
    bool given = ok && g.count == 1;
    ok = ok && (given || check_motion(&g, err));
    if (ok && !given) keep_possible(&g);
    uint32_t units = ok ? values_left(&g, ES_POSE_UNIT) : 0;
    ok = ok && (given || settle(&g, source, request->plus, why, sizeof why, err));
    if (ok && g.count > 1) ok = fail_open(&g, why, err);
    if (ok) *reading = g.readings[0];
    ok = ok && tell(es_pose_table_doubt(table), reading, units, why, decisions, err);
    pose_flow_clear(&g.flow);
    es_free(g.readings);
    return ok;
}
