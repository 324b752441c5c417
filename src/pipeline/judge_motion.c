/* The spacing from motion: how far the pictures moved, in pixels, against how
 * far the poses say the picture's plane moved in itself, in millimetres.
 *
 * Of the calibration only the directions and the origin of the picture are
 * used, never the length of its columns: X is image -> reference with columns
 * of unit length. Between frames i and j, D = X_j^-1 X_i maps mm of picture i
 * to mm of picture j, so a place (u, v) that is found again at (u + du, v + dv)
 * obeys, for spacings s and t along u and v,
 *
 *   s (u + du - D00 u) = D03 + D01 t v,   t (v + dv - D11 v) = D13 + D10 s u
 *
 * each of the form s A = B. Both sides have errors, of the flow and of the
 * tracker: fitting B on A gives too small an s and A on B too large a one, so
 * the truth lies between them, and half of their distance is doubt. Poses that
 * are late or early hide the motion: the shift in time at which both agree
 * best is taken and told. Tissue that the probe drags along moves less in the
 * picture than the probe does, by how much no recording shows: the sigma is
 * never below 3 %, so that motion checks other evidence and never decides. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge_internal.h"
#include "pose_internal.h"

enum { LEAST_PAIRS = 10, LEAST_MATCHES = 20, ROUNDS = 8, ROUGH_ROUNDS = 3, MOST_LAG = 12 };
static const double FIRST_GUESS_MM = 0.2; /* the turn's small share starts with it */
static const double LEAST_RMS_PX = 2, LEAST_AGREEMENT = 0.85; /* r^2 of A and B */
static const double LEAST_SIGMA = 0.03;
static const double OUTLIER_SIGMAS = 3;

typedef struct motion {
    es_mat4 *pose; /* picture's axes -> reference, unit columns; one a frame */
    bool *placed;
    size_t frames;
    pose_flow flow;
    double *spread; /* room for a median */
} motion;

static void motion_clear(motion *m) {
    es_free(m->pose);
    es_free(m->placed);
    es_free(m->spread);
    pose_flow_clear(&m->flow);
}

/* Unit columns, square to one another; false where the matrix is flat. */
static bool make_rigid(es_mat4 *m) {
    es_vec3 u = es_mat4_column(*m, 0), v = es_mat4_column(*m, 1);
    if (!(es_vec3_length(u) > 0) || !(es_vec3_length(v) > 0)) return false;
    u = es_vec3_unit(u);
    v = es_vec3_sub(v, es_vec3_scale(u, es_vec3_dot(u, v)));
    if (!(es_vec3_length(v) > 0)) return false;
    v = es_vec3_unit(v);
    es_vec3 w = es_vec3_cross(u, v);
    const es_vec3 columns[3] = {u, v, w};
    for (int a = 0; a < 3; a++) {
        m->m[a] = columns[a].x;
        m->m[4 + a] = columns[a].y;
        m->m[8 + a] = columns[a].z;
    }
    return true;
}

bool judge_read_poses(es_source *source, const es_plus *plus, size_t frames, es_mat4 *pose,
                      bool *placed, es_error *err) {
    es_placement *placement = es_placement_new(plus, NULL, err);
    es_frame frame = {0};
    bool ok = placement != NULL, end = false;
    for (size_t f = 0; ok && f < frames; f++) {
        ok = es_source_next(source, &frame, 0, &end, err);
        if (!ok || end) break;
        bool found = false;
        ok = es_placement_find(placement, &frame, &pose[f], &found, err);
        placed[f] = ok && found && make_rigid(&pose[f]);
    }
    es_frame_clear(&frame);
    es_placement_free(placement);
    return ok && es_source_rewind(source, err);
}

/* ---- one axis ----------------------------------------------------------------- */

/* A and B of a match along `axis` with the other spacing as it stands. */
static bool sides(const motion *m, const pose_match *match, int lag, int axis,
                  const double spacing[2], double *a, double *b) {
    int64_t i = (int64_t)match->i + lag, j = (int64_t)match->j + lag;
    int64_t frames = (int64_t)m->frames;
    es_mat4 back;
    if (i < 0 || j < 0 || i >= frames || j >= frames || !m->placed[i] || !m->placed[j] ||
        !es_mat4_invert(m->pose[j], &back, NULL))
        return false;
    es_mat4 d = es_mat4_multiply(back, m->pose[i]);
    const double at[2] = {match->u, match->v}, moved[2] = {match->du, match->dv};
    int other = 1 - axis;
    *a = at[axis] + moved[axis] - d.m[5 * axis] * at[axis];
    *b = d.m[4 * axis + 3] + d.m[4 * axis + other] * spacing[other] * at[other];
    return true;
}

typedef struct line {
    double slope, bracket; /* of ln s: half of what the two fits differ by */
    double agreement;      /* r^2 */
    double rms_px, sigma;
    size_t matches, pairs;
} line;

/* The distance in mm from the line beyond which a match is an outlier. */
static double outlier_mm(motion *m, int lag, int axis, const double spacing[2]) {
    size_t n = 0;
    for (size_t k = 0; k < m->flow.count; k++) {
        double a, b;
        if (sides(m, &m->flow.matches[k], lag, axis, spacing, &a, &b))
            m->spread[n++] = fabs(b - spacing[axis] * a);
    }
    qsort(m->spread, n, sizeof *m->spread, es_compare_doubles);
    return n ? OUTLIER_SIGMAS * 1.4826 * m->spread[n / 2] : 0;
}

/* The line through the origin; matches further off than `most` mm are left out. */
static line fit_line(const motion *m, int lag, int axis, const double spacing[2], double most) {
    double aa = 0, ab = 0, bb = 0, rest = 0;
    line l = {.slope = NAN};
    size_t last = SIZE_MAX;
    for (size_t k = 0; k < m->flow.count; k++) {
        const pose_match *match = &m->flow.matches[k];
        double a, b;
        if (!sides(m, match, lag, axis, spacing, &a, &b)) continue;
        double off = b - spacing[axis] * a;
        if (fabs(off) > most) continue;
        aa += a * a, ab += a * b, bb += b * b, rest += off * off;
        l.matches++;
        l.pairs += match->i * m->frames + match->j != last;
        last = match->i * m->frames + match->j;
    }
    if (!(ab > 0) || !l.matches) return l;
    l.slope = sqrt(bb / aa);
    l.agreement = ab * ab / (aa * bb);
    l.bracket = -log(l.agreement) / 2;
    l.rms_px = sqrt(aa / (double)l.matches);
    /* the windows of one pair of frames share the pose's error */
    l.sigma = sqrt(rest / (bb * (double)l.pairs));
    return l;
}

/* Both axes at one lag; returns how well they agree together, 0 to 2. */
static double fit_axes(motion *m, int lag, int rounds, line lines[2]) {
    double spacing[2] = {FIRST_GUESS_MM, FIRST_GUESS_MM};
    for (int round = 0; round < rounds; round++)
        for (int axis = 0; axis < 2; axis++) {
            double most = round > 1 ? outlier_mm(m, lag, axis, spacing) : INFINITY;
            lines[axis] = fit_line(m, lag, axis, spacing, most);
            if (isnan(lines[axis].slope)) return 0;
            spacing[axis] = lines[axis].slope;
        }
    return lines[0].agreement + lines[1].agreement;
}

static int find_lag(motion *m) {
    line lines[2];
    double best = 0;
    int lag = 0;
    for (int k = 0; k <= 2 * MOST_LAG; k++) {
        int tried = k % 2 ? (k + 1) / 2 : -k / 2; /* the smallest first */
        double agreement = fit_axes(m, tried, ROUGH_ROUNDS, lines);
        if (agreement > best + 1e-9) best = agreement, lag = tried;
    }
    return lag;
}

static bool tells(const line *l) {
    return l->pairs >= LEAST_PAIRS && l->matches >= LEAST_MATCHES && l->rms_px >= LEAST_RMS_PX &&
           l->agreement >= LEAST_AGREEMENT;
}

/* ---- evidence ------------------------------------------------------------------- */

static bool add_motion(motion *m, es_evidence_list *list, es_error *err) {
    line lines[2];
    es_evidence e = {.source = "motion", .group = "motion", .spacing_mm = {NAN, NAN}};
    int lag = find_lag(m);
    if (fit_axes(m, lag, ROUNDS, lines) == 0 || (!tells(&lines[0]) && !tells(&lines[1])))
        return true;
    for (int a = 0; a < 2; a++) {
        bool used = tells(&lines[a]);
        e.spacing_mm[a] = used ? lines[a].slope : NAN;
        e.sigma[a] = used ? hypot(LEAST_SIGMA, hypot(lines[a].bracket, lines[a].sigma)) : INFINITY;
    }
    const line *best = tells(&lines[0]) ? &lines[0] : &lines[1];
    char late[64] = "";
    if (lag)
        snprintf(late, sizeof late, ", poses taken %d frames %s", abs(lag),
                 lag > 0 ? "later" : "earlier");
    snprintf(e.note, sizeof e.note,
             "pictures moved as the poses say (r %.2f, %zu pairs of frames, %.0f px on average%s); "
             "along %s; the calibration's directions are used, not its scale; tissue dragged "
             "along by the probe would make it too large",
             sqrt(best->agreement), best->pairs, best->rms_px, late,
             !tells(&lines[0])   ? "the rows only"
             : !tells(&lines[1]) ? "the columns only"
                                 : "both axes");
    return es_evidence_add(list, &e, err);
}

bool judge_motion(es_source *source, const es_plus *plus, es_evidence_list *list, es_error *err) {
    const es_stream_info *info = es_source_info(source);
    motion m = {0};
    if (!es_source_can_rewind(source) || info->frame_count < LEAST_PAIRS || !info->width)
        return true;
    m.frames = (size_t)info->frame_count;
    m.pose = es_alloc(m.frames, sizeof *m.pose, err);
    m.placed = m.pose ? es_alloc_zero(m.frames, sizeof *m.placed, err) : NULL;
    bool ok = m.placed && judge_read_poses(source, plus, m.frames, m.pose, m.placed, err);
    size_t placed = 0;
    for (size_t f = 0; ok && f < m.frames; f++) placed += m.placed[f];
    if (ok && placed >= LEAST_PAIRS) {
        ok = pose_flow_measure(source, m.frames, &m.flow, err);
        bool some = ok && m.flow.count >= LEAST_MATCHES;
        m.spread = some ? es_alloc(m.flow.count, sizeof *m.spread, err) : NULL;
        if (some) ok = m.spread && add_motion(&m, list, err);
    }
    motion_clear(&m);
    return ok;
}
