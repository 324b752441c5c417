/* motion.c: freehand sweeps over the skin.
 *
 * The path is a line of knots (azimuth about the hand's axis, height along
 * it): sweeps up and down, joined by arcs at their ends, with the corners
 * rounded. At every knot the flat or curved face is lowered along its beam
 * onto the skin; this gives the reach. A hand then wobbles in five degrees of
 * freedom, each a sum of three sines of the path's length, and its pace
 * varies. All of it is a function of the simulation and the time alone. */
#include "motion.h"

#include <math.h>

#include "floor.h"
#include "shapes.h"

#define ARC_RADIUS_MM 60.0 /* at which an arc's length is reckoned */
#define PRESSURE_MM 2.0    /* the face is pressed into the skin */
#define LEAST_REACH_MM 5.0
enum { CORNER_KNOTS = 5, REACH_KNOTS = 6, MOST_KNOTS = 4096, FACE_POINTS = 7 };

/* Random streams; frames have their own. */
enum { STREAM_HAND = 1, STREAM_NOISE = 1 << 20 };

/* ---- the path ------------------------------------------------------------ */

typedef struct corner {
    double azimuth_rad, z_mm, sweep;
} corner;

/* Sweeps asked for lie evenly over the scene's own range of azimuths, and over
 * 40 degrees at least. */
static double sweep_azimuth(const motion *m, const scene_hand *hand, int sweep) {
    if (m->options.sweeps == 0) return hand->azimuth_rad[sweep];
    double low = fmin(hand->azimuth_rad[0], -0.35);
    double high = fmax(hand->azimuth_rad[hand->sweeps - 1], 0.35);
    return m->options.sweeps == 1 ? 0.5 * (low + high)
                                  : low + (high - low) * sweep / (m->options.sweeps - 1);
}

static int sweep_count(const motion *m, const scene_hand *hand) {
    return m->options.sweeps ? m->options.sweeps : hand->sweeps;
}

/* Up one side, round, down the next. */
static int list_corners(const motion *m, const scene_hand *hand, corner *corners) {
    int sweeps = sweep_count(m, hand);
    for (int sweep = 0; sweep < sweeps; sweep++) {
        bool up = sweep % 2 == 0;
        double azimuth = sweep_azimuth(m, hand, sweep);
        corners[2 * sweep] = (corner){azimuth, up ? hand->z_low_mm : hand->z_high_mm, sweep};
        corners[2 * sweep + 1] = (corner){azimuth, up ? hand->z_high_mm : hand->z_low_mm, sweep};
    }
    return 2 * sweeps;
}

static double corner_distance(corner a, corner b) {
    return hypot((b.azimuth_rad - a.azimuth_rad) * ARC_RADIUS_MM, b.z_mm - a.z_mm);
}

static double corners_length(const corner *corners, int count) {
    double length = 0;
    for (int i = 1; i < count; i++) length += corner_distance(corners[i - 1], corners[i]);
    return length;
}

static size_t count_knots(const corner *corners, int count) {
    return (size_t)fmin(ceil(corners_length(corners, count)) + 1, MOST_KNOTS);
}

double motion_length_mm(const es_simulation *simulation, const scene_model *model) {
    corner corners[2 * ES_SWEEPS_MAX];
    motion m = {.options = *simulation};
    return corners_length(corners, list_corners(&m, &model->hand, corners));
}

static void spread_knots(motion *m, const corner *corners, int count) {
    double length = corners_length(corners, count), before = 0;
    int leg = 1;
    for (size_t k = 0; k < m->knots; k++) {
        double at = length * (double)k / (double)(m->knots - 1);
        while (leg < count - 1 && at > before + corner_distance(corners[leg - 1], corners[leg])) {
            before += corner_distance(corners[leg - 1], corners[leg]);
            leg++;
        }
        corner a = corners[leg - 1], b = corners[leg];
        double t = shape_clamp((at - before) / corner_distance(a, b), 0, 1);
        m->azimuth_rad[k] = a.azimuth_rad + t * (b.azimuth_rad - a.azimuth_rad);
        m->z_mm[k] = a.z_mm + t * (b.z_mm - a.z_mm);
        m->sweep[k] = a.sweep + t * (b.sweep - a.sweep);
    }
}

/* Three running means, the ends repeated: nearly a Gaussian. */
static void smooth_knots(double *values, double *scratch, size_t count, int half) {
    for (int pass = 0; pass < 3; pass++) {
        for (size_t k = 0; k < count; k++) {
            double sum = 0;
            for (int d = -half; d <= half; d++) {
                double at = shape_clamp((double)k + d, 0, (double)(count - 1));
                sum += values[(size_t)at];
            }
            scratch[k] = sum / (2 * half + 1);
        }
        for (size_t k = 0; k < count; k++) values[k] = scratch[k];
    }
}

/* ---- the face on the skin ------------------------------------------------ */

static es_vec3 outward(double azimuth_rad) {
    return es_vec3_make(sin(azimuth_rad), cos(azimuth_rad), 0);
}

static es_vec3 along_face(double azimuth_rad) {
    return es_vec3_make(cos(azimuth_rad), -sin(azimuth_rad), 0);
}

/* From far outside inwards along -out: how far from `origin` the skin is. */
static double skin_reach(const scene_model *model, es_vec3 origin, es_vec3 out) {
    double reach = 400;
    for (int i = 0; i < 400 && reach > 0; i++) {
        double d = model->skin(model, es_vec3_add(origin, es_vec3_scale(out, reach)));
        if (d < 0.01) return reach;
        reach -= fmax(d * model->safe_step, 0.01);
    }
    return 0;
}

/* The face comes to rest where its first point meets the skin. */
static double face_reach(const motion *m, double azimuth_rad, double z_mm) {
    es_vec3 out = outward(azimuth_rad), along = along_face(azimuth_rad);
    es_vec3 axis = m->model->hand.axis_mm, base = es_vec3_make(axis.x, axis.y, z_mm);
    double reach = LEAST_REACH_MM;
    for (int i = 0; i < FACE_POINTS; i++) {
        es_vec3 start, direction;
        probe_line(&m->geometry, i * (m->geometry.lines - 1) / (FACE_POINTS - 1), &start,
                   &direction);
        es_vec3 origin = es_vec3_add(base, es_vec3_scale(along, start.x));
        reach = fmax(reach, skin_reach(m->model, origin, out) + start.y);
    }
    return reach - PRESSURE_MM;
}

/* ---- chance -------------------------------------------------------------- */

static motion_wave random_wave(es_random *random, double wavelength) {
    motion_wave wave;
    wave.wavelength = wavelength * (0.85 + 0.3 * es_random_uniform(random));
    wave.phase = 2 * M_PI * es_random_uniform(random);
    return wave;
}

static void draw_waves(motion *m) {
    static const double wobble_mm[MOTION_WAVES] = {97, 53, 31};
    es_random random = es_random_new(m->options.seed, STREAM_HAND);
    for (int f = 0; f < MOTION_FREEDOMS; f++)
        for (int i = 0; i < MOTION_WAVES; i++) m->wobble[f][i] = random_wave(&random, wobble_mm[i]);
    for (int i = 0; i < MOTION_WAVES; i++) m->pace[i] = random_wave(&random, 1);
    for (int i = 0; i < MOTION_DRIFTS; i++) m->drift[i] = random_wave(&random, 9);
}

/* About -1 to 1. */
static double wobble(const motion *m, int freedom, double at_mm) {
    static const double share[MOTION_WAVES] = {0.5, 0.3, 0.2};
    double sum = 0;
    for (int i = 0; i < MOTION_WAVES; i++) {
        const motion_wave *wave = &m->wobble[freedom][i];
        sum += share[i] * sin(2 * M_PI * at_mm / wave->wavelength + wave->phase);
    }
    return sum;
}

bool motion_make(const es_simulation *simulation, const scene_model *model,
                 const probe_geometry *geometry, motion *m, es_error *err) {
    corner corners[2 * ES_SWEEPS_MAX];
    *m = (motion){.options = *simulation, .own = *model, .geometry = *geometry};
    m->model = &m->own;
    int count = list_corners(m, &model->hand, corners);
    m->options.scene = model->name; /* ours, not the caller's */
    m->knots = count_knots(corners, count);
    m->azimuth_rad = es_alloc(m->knots, sizeof *m->azimuth_rad, err);
    m->z_mm = es_alloc(m->knots, sizeof *m->z_mm, err);
    m->reach_mm = es_alloc(m->knots, sizeof *m->reach_mm, err);
    m->sweep = es_alloc(m->knots, sizeof *m->sweep, err);
    double *scratch = es_alloc(m->knots, sizeof *scratch, err);
    bool ok = m->azimuth_rad && m->z_mm && m->reach_mm && m->sweep && scratch;
    if (ok) {
        spread_knots(m, corners, count);
        smooth_knots(m->azimuth_rad, scratch, m->knots, CORNER_KNOTS);
        smooth_knots(m->z_mm, scratch, m->knots, CORNER_KNOTS);
        smooth_knots(m->sweep, scratch, m->knots, CORNER_KNOTS);
        for (size_t k = 0; k < m->knots; k++)
            m->reach_mm[k] = face_reach(m, m->azimuth_rad[k], m->z_mm[k]);
        smooth_knots(m->reach_mm, scratch, m->knots, REACH_KNOTS);
        draw_waves(m);
    }
    es_free(scratch);
    if (!ok) motion_clear(m);
    return ok;
}

void motion_clear(motion *m) {
    es_free(m->azimuth_rad);
    es_free(m->z_mm);
    es_free(m->reach_mm);
    es_free(m->sweep);
    *m = (motion){0};
}

/* ---- the truth at a time ------------------------------------------------- */

/* Share of the path that is behind the hand: 0 to 1, always growing. */
static double progress(const motion *m, double time_s) {
    if (m->options.frames < 2) return 0.5;
    double t = shape_clamp(time_s * m->options.rate_hz / (m->options.frames - 1), 0, 1);
    double sum = t;
    for (int i = 0; i < MOTION_WAVES; i++) {
        double turns = 2 * M_PI * (3 + 4 * i); /* whole turns: the ends stay */
        double phase = m->pace[i].phase;
        sum += 0.12 / turns * (sin(turns * t + phase) - sin(phase));
    }
    return shape_clamp(sum, 0, 1);
}

/* Catmull-Rom spline through the knots. */
static double spline(const double *values, size_t count, double at) {
    size_t k = (size_t)fmin(at, (double)(count - 2));
    double t = at - (double)k;
    double b = values[k], c = values[k + 1];
    double a = k > 0 ? values[k - 1] : 2 * b - c;
    double d = k + 2 < count ? values[k + 2] : 2 * c - b;
    double slope_b = 0.5 * (c - a), slope_c = 0.5 * (d - b);
    double rest = c - b;
    return b + t * (slope_b +
                    t * (3 * rest - 2 * slope_b - slope_c + t * (slope_b + slope_c - 2 * rest)));
}

/* How the sweeps that were asked for are held, as shares of the angles. */
static double share_of_sweep(const double shares[4], double sweep) {
    int below = (int)sweep;
    double t = sweep - below;
    return shares[below % 4] + t * (shares[(below + 1) % 4] - shares[below % 4]);
}

static es_mat4 hold_of_sweep(const motion *m, double at) {
    static const double tilt[4] = {1, -1, -1, 1}, turn[4] = {0, 1, -1, 0.3};
    static const double rock[4] = {0.5, 0.5, -0.5, -0.5};
    if (m->options.sweeps == 0) return es_mat4_identity();
    double sweep = shape_clamp(spline(m->sweep, m->knots, at), 0, ES_SWEEPS_MAX);
    double lean = m->options.lean_rad;
    es_mat4 yaw =
        es_mat4_rotation(es_vec3_make(0, 1, 0), m->options.turn_rad * share_of_sweep(turn, sweep));
    es_mat4 out = es_mat4_rotation(es_vec3_make(1, 0, 0), lean * share_of_sweep(tilt, sweep));
    es_mat4 in = es_mat4_rotation(es_vec3_make(0, 0, 1), lean * share_of_sweep(rock, sweep));
    return es_mat4_multiply(yaw, es_mat4_multiply(out, in));
}

es_mat4 motion_face_to_scene(const motion *m, double time_s) {
    if (m->model->water) return floor_face_to_scene(&m->options, progress(m, time_s));
    double at = progress(m, time_s) * (double)(m->knots - 1);
    double azimuth = spline(m->azimuth_rad, m->knots, at);
    double reach = spline(m->reach_mm, m->knots, at) + 0.6 * wobble(m, 0, at);
    es_vec3 out = outward(azimuth), x = along_face(azimuth), y = es_vec3_scale(out, -1);
    es_vec3 z = es_vec3_cross(x, y), axis = m->model->hand.axis_mm;
    es_vec3 o = es_vec3_make(axis.x, axis.y, spline(m->z_mm, m->knots, at));
    o = es_vec3_add(o, es_vec3_scale(out, reach));
    o = es_vec3_add(o, es_vec3_scale(x, 1.5 * wobble(m, 1, at)));
    es_mat4 base = {{x.x, y.x, z.x, o.x, x.y, y.y, z.y, o.y, x.z, y.z, z.z, o.z, 0, 0, 0, 1}};
    es_mat4 tilt = es_mat4_rotation(es_vec3_make(1, 0, 0), 0.10 * wobble(m, 2, at));
    es_mat4 yaw = es_mat4_rotation(es_vec3_make(0, 1, 0), 0.06 * wobble(m, 3, at));
    es_mat4 roll = es_mat4_rotation(es_vec3_make(0, 0, 1), 0.06 * wobble(m, 4, at));
    es_mat4 wobbled = es_mat4_multiply(tilt, es_mat4_multiply(yaw, roll));
    return es_mat4_multiply(es_mat4_multiply(base, hold_of_sweep(m, at)), wobbled);
}

es_mat4 motion_scene_to_reference(void) {
    return es_mat4_multiply(es_mat4_translation(31.5, -12.25, 143),
                            es_mat4_rotation(es_vec3_make(0.4, -0.7, 0.6), 0.83));
}

/* ---- the tracker --------------------------------------------------------- */

static double tracked_time(const motion *m, int64_t index) {
    return (double)index / m->options.rate_hz - m->options.lag_s;
}

static double drift(const motion *m, int i, double time_s) {
    return sin(2 * M_PI * time_s / m->drift[i].wavelength + m->drift[i].phase);
}

static es_mat4 reference_at(const motion *m, double time_s) {
    es_mat4 fixed = es_mat4_multiply(es_mat4_translation(307.5, -88.25, 912),
                                     es_mat4_rotation(es_vec3_make(-0.3, 0.5, 0.9), 2.1));
    es_vec3 axis = es_vec3_make(1, 0.2 * drift(m, 1, time_s), 0.3 * drift(m, 2, time_s));
    es_mat4 turn = es_mat4_rotation(axis, 0.02 * drift(m, 0, time_s));
    es_mat4 shift = es_mat4_translation(1.5 * drift(m, 3, time_s), 2 * drift(m, 4, time_s),
                                        1.5 * drift(m, 5, time_s));
    return es_mat4_multiply(fixed, es_mat4_multiply(shift, turn));
}

es_mat4 motion_reference_to_tracker(const motion *m, int64_t index) {
    return reference_at(m, tracked_time(m, index));
}

static es_vec3 normal_vector(es_random *random, double deviation) {
    double x = es_random_normal(random), y = es_random_normal(random);
    return es_vec3_scale(es_vec3_make(x, y, es_random_normal(random)), deviation);
}

/* Independent noise of every frame: the marker is turned about itself and
 * moved, each axis by its own draw. */
static es_mat4 add_noise(const motion *m, int64_t index, es_mat4 pose) {
    es_random random = es_random_new(m->options.seed, STREAM_NOISE + (uint64_t)index);
    es_vec3 shift = normal_vector(&random, m->options.pose_noise_mm);
    es_vec3 turn = normal_vector(&random, m->options.pose_noise_rad);
    double angle = shape_length(turn);
    if (angle > 0) pose = es_mat4_multiply(pose, es_mat4_rotation(turn, angle));
    return es_mat4_multiply(es_mat4_translation(shift.x, shift.y, shift.z), pose);
}

es_mat4 motion_probe_to_tracker(const motion *m, int64_t index) {
    double time_s = tracked_time(m, index);
    es_mat4 marker_to_face, scene_to_tracker;
    es_mat4_invert(probe_face_to_marker(), &marker_to_face, NULL);
    scene_to_tracker = es_mat4_multiply(reference_at(m, time_s), motion_scene_to_reference());
    es_mat4 face_to_tracker = es_mat4_multiply(scene_to_tracker, motion_face_to_scene(m, time_s));
    return add_noise(m, index, es_mat4_multiply(face_to_tracker, marker_to_face));
}
