/* ImageToProbe from pictures of one rigid object that overlap.
 *
 * With the right ImageToProbe every place of the object shows the same in all
 * the passes over it; with a wrong one it shows something else in each, as
 * soon as the passes are held differently. No phantom is needed, nor what the
 * object is. The pictures are compared at several degrees of blur, the widest
 * first: a blur of some millimetres sees a solution from as far away, the
 * narrow ones place it. Of bone, which is a surface over a shadow, depths are
 * compared instead, from a wide reach to a narrow one. */
#include "self.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 5, RESTARTS = 8, MOST_SAMPLES = 80000 };

static const double SAME_MM = 0.05; /* ends this near to one another are one */
static const double NEARBY_MM = 8;  /* and within this one solution, found roughly */

/* From the widest blur (cells) to the narrowest, of a surface from the widest
 * reach: how many of the best states go on, and how carefully. */
static const struct {
    double blur, soft, reach_mm, soft_mm;
    size_t greys, crests, keep;
    int rounds;
    bool hold_scale;
} levels[LEVELS] = {{5, 4, 15, 4, 4000, 3000, 6, 10, true},
                    {5, 4, 12, 3, 6000, 6000, 2, 10, true},
                    {2.5, 2, 8, 1.5, 5000, 6000, ES_SELF_STARTS, 18, false},
                    {1.2, 1, 6, 0.8, 7000, 9000, ES_SELF_STARTS, 16, false},
                    {1.2, 1, 6, 0.8, 20000, MOST_SAMPLES, ES_SELF_STARTS, 12, false}};
/* Before this level the best state is also begun from again, a little off in
 * RESTARTS directions: the misfit is rough, and what these ends differ by is
 * part of the interval. */
enum { RESTART_LEVEL = 2, LAST_LEVEL = LEVELS - 1 };

/* ---- the model --------------------------------------------------------------------------- */

int self_scale_count(const self_fit *fit) {
    const es_self_options *o = fit->options;
    return o->spacing_mm[0] > 0 || fit->hold_scale ? 0 : o->isotropic ? 1 : 2;
}

int self_parameter_count(const self_fit *fit) {
    return SELF_SCALE_U + self_scale_count(fit) + fit->options->lag_free;
}

int self_kind(const self_fit *fit, int k) {
    return k - SELF_SCALE_U < self_scale_count(fit) ? k : SELF_LAG;
}

self_state self_moved(const self_fit *fit, const self_state *from, const double *x) {
    self_state s = *from;
    int scales = self_scale_count(fit);
    es_vec3 turn = es_vec3_make(x[0], x[1], x[2]);
    double angle = es_vec3_length(turn);
    s.shift = es_vec3_add(s.shift, es_mat4_vector(s.turn, es_vec3_make(x[3], x[4], x[5])));
    if (angle > 1e-14) s.turn = es_mat4_multiply(s.turn, es_mat4_rotation(turn, angle));
    if (scales > 0) s.scale[0] *= exp(x[SELF_SCALE_U]);
    if (scales > 0) s.scale[1] *= exp(x[scales > 1 ? SELF_SCALE_V : SELF_SCALE_U]);
    if (fit->options->lag_free) s.lag += x[SELF_SCALE_U + scales];
    return s;
}

void self_difference(const self_fit *fit, const self_state *from, const self_state *to, double *x) {
    es_mat4 a = self_pose(from), back;
    double all[SELF_PARAMETERS] = {0};
    if (es_mat4_invert(a, &back, NULL)) {
        es_mat4 d = es_mat4_multiply(back, self_pose(to));
        es_vec3 turn = es_mat4_turn(d), shift = es_mat4_column(d, 3);
        all[0] = turn.x, all[1] = turn.y, all[2] = turn.z;
        all[3] = shift.x, all[4] = shift.y, all[5] = shift.z;
    }
    all[SELF_SCALE_U] = log(to->scale[0] / from->scale[0]);
    all[SELF_SCALE_V] = log(to->scale[1] / from->scale[1]);
    all[SELF_LAG] = to->lag - from->lag;
    for (int k = 0; k < self_parameter_count(fit); k++) x[k] = all[self_kind(fit, k)];
}

es_mat4 self_pose(const self_state *s) {
    es_mat4 m = s->turn;
    m.m[3] = s->shift.x, m.m[7] = s->shift.y, m.m[11] = s->shift.z;
    return m;
}

es_mat4 self_image_to_probe(const self_state *s) {
    es_mat4 scale = es_mat4_scaling(s->scale[0], s->scale[1], 0.5 * (s->scale[0] + s->scale[1]));
    return es_mat4_multiply(self_pose(s), scale);
}

void es_self_pictures_clear(es_self_pictures *pictures) {
    es_free(pictures->grey);
    es_free(pictures->times_s);
    es_free(pictures->index);
    memset(pictures, 0, sizeof *pictures);
}

/* ---- steps ------------------------------------------------------------------------------- */

/* A step towards less loss / blank = m. Less loss alone would be found where the
 * pictures show little: half the slope of the ratio is, in units of blank, that of
 * loss less m times that of blank, and to first order the residuals are
 * (1 - m) b - a. By eigenvectors: what has no slope at all does not move. */
void self_step(const self_fit *fit, const self_sums *sums, double damping, double *x) {
    int n = self_parameter_count(fit);
    double a[SELF_PARAMETERS * SELF_PARAMETERS], scale[SELF_PARAMETERS];
    double values[SELF_PARAMETERS], v[SELF_PARAMETERS * SELF_PARAMETERS];
    bool grey = fit->channel == SELF_GREY; /* a surface is nowhere flat */
    double m = grey && sums->blank > 0 ? fmin(sums->loss / sums->blank, 0.95) : 0;
    for (int k = 0; k < n; k++) scale[k] = sqrt(fmax(sums->normal[k * n + k], 1e-12));
    for (int r = 0; r < n; r++)
        for (int c = 0; c <= r; c++)
            a[r * n + c] = a[c * n + r] = sums->normal[r * n + c] / (scale[r] * scale[c]);
    es_eigen_symmetric(a, n, values, v);
    for (int r = 0; r < n; r++) x[r] = 0;
    for (int k = 0; k < n; k++) {
        double along = 0;
        for (int r = 0; r < n; r++)
            along -= v[r * n + k] * (sums->slope[r] - m * sums->blank_slope[r]) / scale[r];
        along /= (1 - m) * (fmax(values[k], 0) + damping);
        for (int r = 0; r < n; r++) x[r] += v[r * n + k] * along / scale[r];
    }
}

/* Steps past these are cut: the derivatives say nothing that far away. */
static void cut_step(const self_fit *fit, double *x) {
    static const double most[SELF_PARAMETERS] = {0.1, 0.1, 0.1, 8, 8, 8, 0.1, 0.1, 0.1};
    double share = 1;
    int n = self_parameter_count(fit);
    for (int k = 0; k < n; k++) share = fmin(share, most[self_kind(fit, k)] / (fabs(x[k]) + 1e-12));
    for (int k = 0; k < n; k++) x[k] *= share;
}

static bool is_small(const self_fit *fit, const double *x) {
    static const double least[SELF_PARAMETERS] = {5e-5, 5e-5, 5e-5, 3e-3, 3e-3,
                                                  3e-3, 5e-5, 5e-5, 3e-5};
    for (int k = 0; k < self_parameter_count(fit); k++)
        if (fabs(x[k]) > least[self_kind(fit, k)]) return false;
    return true;
}

/* Steps are taken even where they raise the misfit: which lookups there are changes with
 * every step, so that it is rough, and less so where the steps end. That is what is
 * given, unless something on the way fits clearly better. */
double self_refine(self_fit *fit, self_view *view, int rounds) {
    const double about_as_well = 0.97;
    double x[SELF_PARAMETERS], least = INFINITY, misfit = INFINITY;
    self_state now = fit->base, best = fit->base;
    for (int round = 0; round <= rounds; round++) {
        self_sums sums;
        self_look(fit, &now, round < rounds, view);
        self_total(view, -1, &sums);
        misfit = self_misfit(&sums);
        if (misfit < least) least = misfit, best = now;
        if (round == rounds || !isfinite(misfit)) break;
        self_step(fit, &sums, 1e-3, x);
        cut_step(fit, x);
        if (is_small(fit, x)) break;
        now = self_moved(fit, &now, x);
    }
    bool ended_well = 1 - misfit >= about_as_well * (1 - least);
    fit->base = ended_well ? now : best;
    return ended_well ? misfit : least;
}

/* ---- from several starts -------------------------------------------------------------------- */

bool self_scale_allowed(const self_state *s) {
    return s->scale[0] > 1e-3 && s->scale[1] > 1e-3 && s->scale[0] < 10 && s->scale[1] < 10;
}

double self_apart(const self_fit *fit, const self_state *a, const self_state *b) {
    const es_self_pictures *p = fit->pictures;
    es_mat4 first = self_image_to_probe(a), second = self_image_to_probe(b);
    double sum = 0;
    for (int k = 0; k < 4; k++) {
        es_vec3 px = es_vec3_make((k % 2 ? 0.75 : 0.25) * p->width * p->cell_px,
                                  (k / 2 ? 0.75 : 0.25) * p->height * p->cell_px, 0);
        es_vec3 d = es_vec3_sub(es_mat4_point(first, px), es_mat4_point(second, px));
        sum += es_vec3_dot(d, d) / 4;
    }
    return sqrt(sum);
}

static void sort_starts(self_start *list, size_t count) {
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k > 0 && list[k].cost < list[k - 1].cost; k--) {
            self_start other = list[k];
            list[k] = list[k - 1];
            list[k - 1] = other;
        }
}

/* Places that nothing else shows count as misses, so that a state without
 * overlap is no match for one with. */
static double cost_of(const self_fit *fit, double misfit) {
    double share = (double)fit->view->found / (double)fit->sample_count;
    return isfinite(misfit) ? 1 - share * (1 - misfit) : 1;
}

static bool prepare_level(self_fit *fit, int level, es_error *err) {
    bool grey = fit->channel == SELF_GREY;
    double samples = (double)(grey ? levels[level].greys : levels[level].crests);
    fit->soft = grey ? levels[level].soft : levels[level].soft_mm;
    fit->reach_mm = levels[level].reach_mm;
    fit->hold_scale = levels[level].hold_scale;
    if (grey && !self_level_make(fit, levels[level].blur, err)) return false;
    self_samples_make(fit, (size_t)(samples * fit->options->effort));
    return true;
}

static bool run_level(self_fit *fit, int level, self_start *list, size_t *count, es_error *err) {
    static const char *const words[LEVELS] = {"comparing, 1 of 5", "comparing, 2 of 5",
                                              "comparing, 3 of 5", "comparing, 4 of 5",
                                              "comparing, 5 of 5"};
    if (!prepare_level(fit, level, err)) return false;
    for (size_t k = 0; k < *count; k++) {
        fit->base = list[k].state;
        double misfit = self_refine(fit, fit->view, levels[level].rounds);
        list[k].state = fit->base;
        list[k].cost = self_scale_allowed(&fit->base) ? cost_of(fit, misfit) : 1;
        es_progress_step(fit->options->progress, words[level], (double)k, (double)*count);
        if (es_cancelled(err)) return false;
    }
    sort_starts(list, *count);
    return true;
}

/* Those that ended in the same place are one. */
static void drop_twins(const self_fit *fit, double same_mm, self_start *list, size_t *count,
                       size_t keep) {
    size_t kept = 0;
    for (size_t k = 0; k < *count && kept < keep; k++) {
        bool twin = false;
        for (size_t other = 0; other < kept && !twin; other++)
            twin = self_apart(fit, &list[k].state, &list[other].state) < same_mm;
        if (!twin) list[kept++] = list[k];
    }
    *count = kept;
}

/* A direction a start, the same for every recording. */
static void add_restarts(const self_fit *fit, self_start *list, size_t *count) {
    static const double off[SELF_PARAMETERS] = {0.03, 0.03, 0.03, 2, 2, 2, 0.01, 0.01, 0.02};
    for (uint64_t k = 0; k < RESTARTS && *count < ES_SELF_STARTS; k++) {
        double x[SELF_PARAMETERS];
        es_random random = es_random_new(20, k);
        for (int i = 0; i < self_parameter_count(fit); i++)
            x[i] = off[self_kind(fit, i)] * es_random_normal(&random);
        list[*count] = list[0];
        list[(*count)++].state = self_moved(fit, &list[0].state, x);
    }
}

/* What agrees nearly as well as the best, and lies near it. */
static bool is_end(const self_fit *fit, const self_start *end, const self_start *best) {
    return self_apart(fit, &end->state, &best->state) < NEARBY_MM &&
           1 - end->cost >= 0.97 * (1 - best->cost);
}

/* ---- which end fits best --------------------------------------------------------------------- */

/* Without each block of time in turn. */
typedef struct left_out {
    double misfit[SELF_BLOCKS], n[SELF_BLOCKS];
} left_out;

static left_out leave_out(self_fit *fit, const self_state *state) {
    left_out l;
    self_look(fit, state, false, fit->view);
    for (int b = 0; b < SELF_BLOCKS; b++) {
        self_sums sums;
        self_total(fit->view, b, &sums);
        l.misfit[b] = self_misfit(&sums), l.n[b] = sums.n;
    }
    return l;
}

/* Fits worse than the best by more than chance explains: the difference, over its
 * deviation by the jackknife, is more than Student's quantile for ten blocks. */
static bool loses(const left_out *best, const left_out *other) {
    const double quantile = 2.26;
    double difference[SELF_BLOCKS], mean = 0, square = 0;
    for (int b = 0; b < SELF_BLOCKS; b++) {
        double kept = fmin(other->n[b] / best->n[b], 1);
        difference[b] = 1 - kept * (1 - other->misfit[b]) - best->misfit[b];
        mean += difference[b] / SELF_BLOCKS;
    }
    for (int b = 0; b < SELF_BLOCKS; b++) square += pow(difference[b] - mean, 2);
    return !(mean <= quantile * sqrt(square * (SELF_BLOCKS - 1) / SELF_BLOCKS));
}

static void find_losers(self_fit *fit, self_start *list, size_t count) {
    left_out best = leave_out(fit, &list[0].state);
    for (size_t k = 0; k < count; k++) {
        left_out other = leave_out(fit, &list[k].state);
        list[k].lost = k > 0 && loses(&best, &other);
    }
}

/* What the ends that fit as well differ by from the result. */
static void find_scatter(self_fit *fit, const self_start *list, size_t count) {
    int n = self_parameter_count(fit), used = 0;
    double *sum = fit->scatter;
    memset(fit->scatter, 0, sizeof fit->scatter);
    for (size_t i = 0; i < count; i++) {
        double x[SELF_PARAMETERS];
        if (list[i].lost || self_apart(fit, &list[i].state, &list[0].state) > NEARBY_MM) continue;
        self_difference(fit, &fit->base, &list[i].state, x);
        for (int k = 0; k < n * n; k++) sum[k] += x[k / n] * x[k % n];
        used++;
    }
    for (int k = 0; k < n * n && used > 0; k++) sum[k] /= used;
}

static bool is_given(const es_self_options *o) { return es_mat4_finite(o->start); }

/* A given ImageToProbe as a state; its columns need not be quite orthogonal. */
static bool given_state(const self_fit *fit, self_start *start, es_error *err) {
    const es_self_options *o = fit->options;
    self_state *s = &start->state;
    es_vec3 u = es_mat4_column(o->start, 0), v = es_mat4_column(o->start, 1);
    s->scale[0] = es_vec3_length(u), s->scale[1] = es_vec3_length(v);
    if (!self_scale_allowed(s))
        return es_fail(err, ES_GEOMETRY,
                       "the ImageToProbe to start from has pixels of %g x %g mm: expected .001 to "
                       "10 mm",
                       s->scale[0], s->scale[1]);
    es_vec3 x = es_vec3_unit(u), n = es_vec3_unit(es_vec3_cross(x, v)), y = es_vec3_cross(n, x);
    s->turn = (es_mat4){{x.x, y.x, n.x, 0, x.y, y.y, n.y, 0, x.z, y.z, n.z, 0, 0, 0, 0, 1}};
    s->shift = es_mat4_column(o->start, 3);
    s->lag = o->lag_s;
    if (o->spacing_mm[0] > 0) memcpy(s->scale, o->spacing_mm, sizeof s->scale);
    if (o->isotropic && o->spacing_mm[0] <= 0)
        s->scale[0] = s->scale[1] = sqrt(s->scale[0] * s->scale[1]);
    snprintf(start->name, sizeof start->name, "given");
    return true;
}

static bool find_starts(self_fit *fit, self_start *list, size_t *count, es_error *err) {
    if (is_given(fit->options)) {
        *count = 1;
        return given_state(fit, &list[0], err);
    }
    if (!self_level_make(fit, 1.2, err)) return false;
    *count = self_find_starts(fit, list, ES_SELF_STARTS, err);
    return *count > 0;
}

static void note_starts(const self_start *list, size_t count, es_self_result *r) {
    r->start_count = (int)count;
    for (size_t k = 0; k < count; k++) {
        memcpy(r->starts[k].name, list[k].name, sizeof r->starts[k].name);
        r->starts[k].misfit = list[k].cost;
    }
}

/* ---- the result ------------------------------------------------------------------------------ */

static void sum_up(const self_fit *fit, es_self_result *r) {
    const self_state *s = &fit->base;
    r->image_to_probe = self_image_to_probe(s);
    memcpy(r->spacing_mm, s->scale, sizeof r->spacing_mm);
    r->lag_s = s->lag;
}

/* The middle of the ends: what their roughness adds to each is less there. */
static self_start middle_of(const self_fit *fit, const self_start *ends, size_t count) {
    double sum[SELF_PARAMETERS] = {0}, x[SELF_PARAMETERS];
    int n = self_parameter_count(fit), used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_end(fit, &ends[i], &ends[0])) continue;
        self_difference(fit, &ends[0].state, &ends[i].state, x);
        for (int k = 0; k < n; k++) sum[k] += x[k];
        used++;
    }
    for (int k = 0; k < n; k++) sum[k] /= used;
    self_start middle = ends[0];
    middle.state = self_moved(fit, &ends[0].state, sum);
    return middle;
}

/* The middle of the ends goes on as well. */
static void add_middle(const self_fit *fit, self_start *list, size_t *count) {
    if (*count == ES_SELF_STARTS) (*count)--;
    list[*count] = middle_of(fit, list, *count);
    (*count)++;
}

static bool solve(self_fit *fit, es_self_result *r, es_error *err) {
    self_start list[ES_SELF_STARTS];
    size_t count = 0;
    fit->channel = self_choose_channel(fit);
    fit->gap_mm = fit->channel == SELF_GREY ? 5 : 8;
    r->surface = fit->channel == SELF_SURFACE;
    if (!self_source_make(fit, err) || !find_starts(fit, list, &count, err)) return false;
    for (int level = 0; level < LEVELS; level++) {
        fit->hold_scale = levels[level].hold_scale;
        if (level == RESTART_LEVEL) add_restarts(fit, list, &count);
        if (level == LAST_LEVEL) add_middle(fit, list, &count);
        if (!run_level(fit, level, list, &count, err)) return false;
        if (level == 0) note_starts(list, count, r);
        drop_twins(fit, level < RESTART_LEVEL ? 2 : SAME_MM, list, &count, levels[level].keep);
    }
    fit->base = list[0].state;
    find_losers(fit, list, count);
    find_scatter(fit, list, count);
    sum_up(fit, r);
    self_observe(fit, r);
    return self_judge(fit, list, count, r, err);
}

static bool make_room(self_fit *fit, es_error *err) {
    const es_self_pictures *p = fit->pictures;
    size_t cells = (size_t)p->width * p->height, all;
    if (!es_multiply(cells, p->count, &all))
        return es_fail(err, ES_MEMORY, "%zu pictures are too many", p->count);
    fit->sample_room = MOST_SAMPLES;
    return (fit->lit = es_alloc(cells, 1, err)) &&
           (fit->source = es_alloc(all, sizeof *fit->source, err)) &&
           (fit->level = es_alloc(all, sizeof *fit->level, err)) &&
           (fit->crests = es_alloc((size_t)p->width * p->count, sizeof *fit->crests, err)) &&
           (fit->places = es_alloc(p->count, sizeof *fit->places, err)) &&
           (fit->planes = es_alloc(p->count, sizeof *fit->planes, err)) &&
           (fit->samples = es_alloc(fit->sample_room, sizeof *fit->samples, err)) &&
           (fit->view = es_alloc(1, sizeof *fit->view, err));
}

static self_fit begin(const es_self_pictures *pictures, const es_pose_track *poses,
                      const es_self_options *options) {
    return (self_fit){.pictures = pictures, .poses = poses, .options = options};
}

bool es_self_solve(const es_self_pictures *pictures, const es_pose_track *poses,
                   const es_self_options *options, es_self_result *result, es_error *err) {
    memset(result, 0, sizeof *result);
    self_fit fit = begin(pictures, poses, options);
    if (!self_check_motion(&fit, result, err)) return false;
    result->missing_count = 0; /* said again from the fit */
    result->frames_used = 0;
    bool ok = make_room(&fit, err) && solve(&fit, result, err);
    es_free(fit.lit);
    es_free(fit.source);
    es_free(fit.level);
    es_free(fit.crests);
    es_free(fit.places);
    es_free(fit.planes);
    es_free(fit.samples);
    es_free(fit.view);
    return ok;
}
