/* What the passes over an object determine.
 *
 * Places that are near one another show the same errors, so counting lookups
 * would be far too sure. Blocks of time are left out in turn instead, each with
 * all that was looked up in it or from it, and the spread of the results is the
 * interval (jackknife; for pairs: Arvesen, "Jackknifing U-statistics", 1969).
 * Where a motion is missing altogether the jackknife sees nothing; there the
 * normal matrix speaks, scaled by what the jackknife found, with a wide prior.
 *
 * Which motion is missing is asked of the same matrix: a further pass of each
 * kind is acted out about the recorded pictures, as many lookups again, and the
 * one that shrinks the interval of a point most is named. */
#include <math.h>
#include <string.h>

#include "self.h"

enum { N = SELF_PARAMETERS, AIMS = 3 };
static const double DEGREE = 0.017453292519943295;
/* What all passes may share, per axis: where an echo seems to lie depends on how it is
 * met. On simulated bone it is within 0.03 mm of the surface along the beam (cosine of the
 * incidence over 0.4; the middle of the echo: 0.2 to 0.4 mm too deep), and the mean of
 * 30 results is off by 0.1 mm an axis (docs/calibration-self.md). */
static const double SHARED_MM = 0.1;
static const double QUANTILE = 2.26; /* Student's, 95 %, ten blocks */

/* What is believed without any recording, one standard deviation. */
static const double PRIOR[N] = {1, 1, 1, 300, 300, 300, 0.5, 0.5, 1};

const char *es_self_motion_text(es_self_motion motion) {
    static const char *const texts[ES_SELF_MOTIONS] = {
        [ES_SELF_TILT] = "pass over the same place again with the probe tilted by 20 degrees out "
                         "of the image plane, both ways",
        [ES_SELF_ROCK] = "pass again with the probe rocked by 20 degrees in the image plane (left "
                         "end of the face up, then the right end)",
        [ES_SELF_TURN] = "pass again with the probe turned by 60 degrees about its long axis",
        [ES_SELF_SLIDE] = "pass again 15 mm further to the side, and with the probe 10 mm higher"};
    return motion >= 0 && motion < ES_SELF_MOTIONS ? texts[motion] : "";
}

typedef struct look {
    const self_fit *fit;
    int n;
    double normal[N * N];   /* full */
    double spread;          /* what a unit of the normal matrix is worth */
    double lookups, slope2; /* squared slope of the level per mm, mean */
} look;

/* ---- matrices ------------------------------------------------------------------ */

static void invert(const double *matrix, int n, double *inverse) {
    double a[N * N] = {0}, scale[N], values[N], v[N * N];
    for (int k = 0; k < n; k++) scale[k] = sqrt(fmax(matrix[k * n + k], 1e-300));
    for (int k = 0; k < n * n; k++) a[k] = matrix[k] / (scale[k / n] * scale[k % n]);
    es_eigen_symmetric(a, n, values, v);
    for (int r = 0; r < n; r++)
        for (int c = 0; c < n; c++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += v[r * n + k] * v[c * n + k] / fmax(values[k], 1e-12 * values[0]);
            inverse[r * n + c] = sum / (scale[r] * scale[c]);
        }
}

/* (normal / spread + prior)^-1 */
static void find_covariance(const look *l, double *covariance) {
    double a[N * N];
    for (int k = 0; k < l->n * l->n; k++) a[k] = l->normal[k] / l->spread;
    for (int k = 0; k < l->n; k++) {
        double prior = PRIOR[self_kind(l->fit, k)];
        a[k * l->n + k] += 1 / (prior * prior);
    }
    invert(a, l->n, covariance);
}

static void mirror(const self_sums *sums, int n, double *full) {
    for (int r = 0; r < n; r++)
        for (int c = 0; c <= r; c++) full[r * n + c] = full[c * n + r] = sums->normal[r * n + c];
}

/* ---- jackknife -------------------------------------------------------------------- */

static void jackknife(const self_fit *fit, const self_view *view, double change[][N],
                      double *covariance) {
    int n = self_parameter_count(fit);
    double mean[N] = {0};
    for (int b = 0; b < SELF_BLOCKS; b++) {
        self_sums left;
        self_total(view, b, &left);
        self_step(fit, &left, 1e-6, change[b]);
        for (int k = 0; k < n; k++) mean[k] += change[b][k] / SELF_BLOCKS;
    }
    memset(covariance, 0, N * N * sizeof *covariance);
    for (int b = 0; b < SELF_BLOCKS; b++)
        for (int r = 0; r < n; r++)
            for (int c = 0; c < n; c++)
                covariance[r * n + c] += (change[b][r] - mean[r]) * (change[b][c] - mean[c]) *
                                         (SELF_BLOCKS - 1) / SELF_BLOCKS;
}

/* Against the normal matrix: how much less sure. */
static double find_spread(const look *l, const double *covariance, double noise) {
    double inverse[N * N], values[N], vectors[N * N], share[N * N];
    int n = l->n, used = 0;
    double sum = 0;
    invert(l->normal, n, inverse);
    for (int k = 0; k < n * n; k++)
        share[k] = covariance[k] / sqrt(inverse[k / n * (n + 1)] * inverse[k % n * (n + 1)]);
    es_eigen_symmetric(share, n, values, vectors);
    for (int k = 0; k < n; k++) sum += share[k * n + k], used++;
    return fmax(sum / used, noise);
}

/* ---- a point of the picture ---------------------------------------------------------- */

/* How a point moves, image axes, by every parameter. */
static void move_point(const self_fit *fit, es_vec3 m, es_vec3 j[N]) {
    const es_vec3 all[N] = {{0, 0, m.y}, {0, 0, -m.x}, {-m.y, m.x, 0}, {1, 0, 0}, {0, 1, 0},
                            {0, 0, 1},   {m.x, 0, 0},  {0, m.y, 0},    {0, 0, 0}};
    for (int k = 0; k < self_parameter_count(fit); k++) j[k] = all[self_kind(fit, k)];
    if (fit->options->isotropic && self_parameter_count(fit) > SELF_SCALE_U &&
        self_kind(fit, SELF_SCALE_U) == SELF_SCALE_U)
        j[SELF_SCALE_U] = es_vec3_make(m.x, m.y, 0);
}

/* Some places of the picture, mm. */
static es_vec3 aim(const self_fit *fit, int k) {
    double u = (k % AIMS + 1) / (AIMS + 1.0), v = (k / AIMS + 1) / (AIMS + 1.0);
    const es_self_pictures *p = fit->pictures;
    return es_vec3_make(u * p->width * p->cell_px * fit->base.scale[0],
                        v * p->height * p->cell_px * fit->base.scale[1], 0);
}

static double target_ci95(const look *l, const double *covariance) {
    double sum = 0;
    for (int k = 0; k < AIMS * AIMS; k++) {
        es_vec3 j[N];
        move_point(l->fit, aim(l->fit, k), j);
        for (int a = 0; a < l->n; a++)
            for (int b = 0; b < l->n; b++)
                sum += covariance[a * l->n + b] * es_vec3_dot(j[a], j[b]);
    }
    return QUANTILE * sqrt(sum / (AIMS * AIMS));
}

static double moved_mm(const self_fit *fit, const double *change) {
    double most = 0;
    for (int k = 0; k < AIMS * AIMS; k++) {
        es_vec3 j[N], sum = es_vec3_make(0, 0, 0);
        move_point(fit, aim(fit, k), j);
        for (int a = 0; a < self_parameter_count(fit); a++)
            sum = es_vec3_add(sum, es_vec3_scale(j[a], change[a]));
        most = fmax(most, es_vec3_length(sum));
    }
    return most;
}

/* ---- motions that were not made ------------------------------------------------------- */

static double mean_slope2(const self_fit *fit) {
    const es_self_pictures *p = fit->pictures;
    if (fit->channel == SELF_SURFACE) return 1.0 / 3; /* along the normal only */
    size_t cells = (size_t)p->width * p->height, n = 0;
    double sum = 0, mm = fit->base.scale[0] * p->cell_px;
    for (size_t k = 0; k < fit->sample_count; k += 7) {
        const self_sample *s = &fit->samples[k];
        if (s->u + 1 >= (float)p->width) continue;
        const float *g = fit->level + s->frame * cells + (size_t)(s->v * (float)p->width + s->u);
        sum += (double)(g[1] - g[0]) * (double)(g[1] - g[0]), n++;
    }
    return n ? sum / (double)n / (mm * mm) : 0;
}

/* A pass held otherwise, seen from one that was recorded. */
static es_mat4 acted(es_self_motion motion, double part, es_vec3 middle) {
    if (motion == ES_SELF_SLIDE) return es_mat4_translation(15 * part, 10 * part, 0);
    es_vec3 axis =
        es_vec3_make(motion == ES_SELF_TILT, motion == ES_SELF_TURN, motion == ES_SELF_ROCK);
    double angle = (motion == ES_SELF_TURN ? 60 : 20) * DEGREE * part;
    es_mat4 there = es_mat4_translation(middle.x, middle.y, 0);
    es_mat4 back = es_mat4_translation(-middle.x, -middle.y, 0);
    return es_mat4_multiply(there, es_mat4_multiply(es_mat4_rotation(axis, angle), back));
}

static void add_motion(look *l, es_self_motion motion) {
    double weight = 0.25 * l->slope2 * l->lookups / (2 * AIMS * AIMS);
    for (int k = 0; k < 2 * AIMS * AIMS; k++) {
        es_vec3 m = aim(l->fit, k / 2), from[N], to[N];
        es_mat4 a = acted(motion, k % 2 ? -1 : 1, aim(l->fit, AIMS * AIMS / 2));
        es_vec3 q = es_mat4_point(a, m);
        move_point(l->fit, m, from);
        move_point(l->fit, q, to);
        for (int i = 0; i < l->n; i++) from[i] = es_vec3_sub(es_mat4_vector(a, from[i]), to[i]);
        for (int i = 0; i < l->n; i++)
            for (int j = 0; j < l->n; j++)
                l->normal[i * l->n + j] += weight * es_vec3_dot(from[i], from[j]);
    }
}

static bool is_listed(const es_self_result *r, int motion) {
    for (int k = 0; k < r->missing_count; k++)
        if ((int)r->missing[k] == motion) return true;
    return false;
}

/* Motions are added until a point is known well enough, or none helps. */
static void find_missing(const look *l, es_self_result *r) {
    look now = *l;
    double covariance[N * N], ci = r->target_ci95_mm;
    while (ci > 1 && r->missing_count < ES_SELF_MOTIONS) {
        double least = INFINITY;
        int which = 0;
        for (int m = 0; m < ES_SELF_MOTIONS; m++) {
            look with = now;
            if (is_listed(r, m)) continue;
            add_motion(&with, (es_self_motion)m);
            find_covariance(&with, covariance);
            double tried = target_ci95(&with, covariance);
            if (tried < least) least = tried, which = m;
        }
        if (r->missing_count > 0 && !(least < 0.9 * ci)) return;
        r->missing[r->missing_count++] = (es_self_motion)which;
        add_motion(&now, (es_self_motion)which);
        ci = least;
    }
}

/* ---- the report --------------------------------------------------------------------------- */

static void name_parameters(const look *l, const double *covariance, es_self_result *r) {
    static const struct {
        const char *name, *unit;
        double limit; /* some 2 mm at 100 mm */
    } words[N] = {{"rotation about the image's x axis", "rad", 0.02},
                  {"rotation about the image's y axis", "rad", 0.02},
                  {"rotation about the image's normal", "rad", 0.02},
                  {"translation along the image's x axis", "mm", 2},
                  {"translation along the image's y axis", "mm", 2},
                  {"translation across the image", "mm", 2},
                  {"scale u", "share", 0.02},
                  {"scale v", "share", 0.02},
                  {"lag", "s", 0.1}};
    r->parameter_count = l->n;
    for (int k = 0; k < l->n; k++) {
        int kind = self_kind(l->fit, k);
        double ci = QUANTILE * sqrt(covariance[k * l->n + k]);
        r->parameters[k] =
            (es_self_parameter){words[kind].name, words[kind].unit, ci, ci <= words[kind].limit};
        if (kind < SELF_SHIFT) r->rotation_ci95_rad[kind] = ci;
        if (kind >= SELF_SHIFT && kind < SELF_SCALE_U)
            r->translation_ci95_mm[kind - SELF_SHIFT] = ci;
        if (kind == SELF_SCALE_U && l->fit->options->isotropic)
            r->spacing_ci95_mm[1] = r->spacing_mm[1] * ci, r->parameters[k].name = "scale";
        if (kind == SELF_SCALE_U || kind == SELF_SCALE_V)
            r->spacing_ci95_mm[kind - SELF_SCALE_U] = r->spacing_mm[kind - SELF_SCALE_U] * ci;
        if (kind == SELF_LAG) r->lag_ci95_s = ci;
    }
}

/* Ranges of how the pictures were held, against the first of them. */
static void find_ranges(const self_fit *fit, es_self_result *r) {
    double low[6] = {0}, high[6] = {0};
    const self_place *first = NULL;
    for (size_t f = 0; f < fit->pictures->count; f++) {
        const self_place *p = &fit->places[f];
        if (!p->valid) continue;
        if (!first) first = p;
        es_mat4 a = es_mat4_multiply(first->back, p->image);
        es_vec3 turn = es_mat4_turn(a), move = es_mat4_column(a, 3);
        const double v[6] = {turn.x, turn.y, turn.z, move.x, move.y, move.z};
        for (int k = 0; k < 6; k++) {
            low[k] = p == first ? v[k] : fmin(low[k], v[k]);
            high[k] = p == first ? v[k] : fmax(high[k], v[k]);
        }
        r->frames_used++;
    }
    if (!first) return;
    r->tilt_rad = high[0] - low[0];
    r->turn_rad = high[1] - low[1];
    r->rock_rad = high[2] - low[2];
    r->slide_mm = fmax(high[3] - low[3], fmax(high[4] - low[4], high[5] - low[5]));
}

/* Each block, under the result without it. */
static void hold_out(self_fit *fit, double change[][N], es_self_result *r) {
    self_sums held = {.n = 0};
    self_view *view = fit->view;
    for (int b = 0; b < SELF_BLOCKS; b++) {
        self_sums all, rest;
        self_state without = self_moved(fit, &fit->base, change[b]);
        self_look(fit, &without, false, view);
        self_total(view, -1, &all);
        self_total(view, b, &rest);
        held.n += all.n - rest.n, held.loss += all.loss - rest.loss;
        held.blank += all.blank - rest.blank;
        held.aa += all.aa - rest.aa, held.bb += all.bb - rest.bb, held.ab += all.ab - rest.ab;
        r->held_out_mm = fmax(r->held_out_mm, moved_mm(fit, change[b]));
    }
    r->held_out = self_agreement(fit, &held);
}

void self_observe(self_fit *fit, es_self_result *r) {
    double change[SELF_BLOCKS][N], covariance[N * N], informed[N * N];
    self_sums sums;
    self_look(fit, &fit->base, true, fit->view);
    self_total(fit->view, -1, &sums);
    look l = {.fit = fit, .n = self_parameter_count(fit), .lookups = sums.n};
    r->agreement = self_agreement(fit, &sums);
    r->overlap = (double)fit->view->found / (double)fit->sample_count;
    find_ranges(fit, r);
    mirror(&sums, l.n, l.normal);
    jackknife(fit, fit->view, change, covariance);
    l.slope2 = mean_slope2(fit);
    l.spread = find_spread(&l, covariance, sums.loss / fmax(sums.n, 1));
    find_covariance(&l, informed);
    for (int k = 0; k < l.n * l.n; k++) covariance[k] += informed[k] + fit->scatter[k];
    for (int k = SELF_SHIFT; k < SELF_SCALE_U; k++)
        covariance[k * (l.n + 1)] += SHARED_MM * SHARED_MM;
    name_parameters(&l, covariance, r);
    r->target_ci95_mm = target_ci95(&l, covariance);
    find_missing(&l, r);
    hold_out(fit, change, r);
}
