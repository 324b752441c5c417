/* A stylus that is swung about its tip, beside a probe that lies still.
 *
 * The hand begins with small turns and swings wider and wider, all round the vertical,
 * spinning the stylus a little. The pictures are those of a probe in air: a few echoes
 * of its own face, and noise. */
#include <math.h>
#include <string.h>

#include "echosolid/simulate.h"
#include "stream.h"

enum { WIDTH = 160, HEIGHT = 120, STREAM_POSE = 1, STREAM_NOISE = 2 };
static const double TURN = 6.283185307179586, ROUND_S = 2.3, SPIN_S = 7, SPIN_RAD = 0.5;

typedef struct stylus_recording {
    es_stylus stylus;
    int64_t next;
} stylus_recording;

static es_mat4 reference_to_tracker(void) {
    es_mat4 r = es_mat4_rotation(es_vec3_make(1, 0.3, -0.2), 0.7);
    return es_mat4_multiply(es_mat4_translation(120, -80, 900), r);
}

static es_mat4 probe_to_tracker(void) {
    es_mat4 r = es_mat4_rotation(es_vec3_make(0.2, 1, 0.1), 1.3);
    return es_mat4_multiply(es_mat4_translation(-60, 40, 950), r);
}

static es_vec3 noise(es_random *random, double size) {
    double x = es_random_normal(random), y = es_random_normal(random);
    return es_vec3_scale(es_vec3_make(x, y, es_random_normal(random)), size);
}

/* Stylus to reference: turned about the tip, which stays at pivot_mm. */
static es_mat4 pose_at(const es_stylus *s, int64_t index) {
    double t = (double)index / s->rate_hz, about = TURN * t / ROUND_S;
    double wide = s->widening_s > 0 ? fmin(1, t / s->widening_s) : 1;
    double tilt = 0.5 * s->cone_rad * wide * (0.6 + 0.4 * sin(TURN * t / (3.7 * ROUND_S)));
    es_random random = es_random_new(s->seed, STREAM_POSE + 16 * (uint64_t)index);
    es_mat4 r = es_mat4_multiply(
        es_mat4_rotation(es_vec3_make(cos(about), sin(about), 0), tilt),
        es_mat4_rotation(es_vec3_make(0, 0, 1), SPIN_RAD * wide * sin(TURN * t / SPIN_S)));
    es_vec3 shift = noise(&random, s->pose_noise_mm), jitter = noise(&random, s->pose_noise_rad);
    if (es_vec3_length(jitter) > 0)
        r = es_mat4_multiply(es_mat4_rotation(jitter, es_vec3_length(jitter)), r);
    es_vec3 p = es_vec3_add(es_vec3_sub(s->pivot_mm, es_mat4_vector(r, s->tip_mm)), shift);
    return es_mat4_multiply(es_mat4_translation(p.x, p.y, p.z), r);
}

static bool draw(const es_stylus *s, int64_t index, es_image *picture, es_error *err) {
    if (!es_image_resize(picture, ES_U8, 1, WIDTH, HEIGHT, err)) return false;
    es_random random = es_random_new(s->seed, STREAM_NOISE + 16 * (uint64_t)index);
    uint8_t *p = picture->data;
    for (int v = 0; v < HEIGHT; v++) {
        double ring = v % 9 < 2 ? 170 * exp(-0.05 * v) : 0;
        for (int u = 0; u < WIDTH; u++)
            p[v * WIDTH + u] = (uint8_t)fmin(255, ring + 14 * es_random_uniform(&random));
    }
    return true;
}

static bool next_frame(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    stylus_recording *r = self;
    int64_t index = r->next;
    *end = index >= r->stylus.frames;
    if (*end) return true;
    r->next++;
    restart_frame(frame);
    frame->index = index;
    frame->has_time = true;
    frame->time_s = (double)index / r->stylus.rate_hz;
    frame->has_image = (flags & ES_READ_PIXELS) != 0;
    es_mat4 stylus = es_mat4_multiply(reference_to_tracker(), pose_at(&r->stylus, index));
    return es_frame_set_transform(frame, "StylusToTracker", stylus, true, err) &&
           es_frame_set_transform(frame, "ProbeToTracker", probe_to_tracker(), true, err) &&
           es_frame_set_transform(frame, "ReferenceToTracker", reference_to_tracker(), true, err) &&
           (!frame->has_image || draw(&r->stylus, index, &frame->image, err));
}

static bool rewind_stylus(void *self, es_error *err) {
    (void)err;
    ((stylus_recording *)self)->next = 0;
    return true;
}

static bool check(const es_stylus *s, es_error *err) {
    if (s->frames < 1 || s->frames > 1000000 || !(s->rate_hz >= 0.1 && s->rate_hz <= 1000))
        return es_fail(err, ES_USAGE,
                       "stylus: %d frames at %g Hz; expected 1 to 1000000 at 0.1 to 1000",
                       s->frames, s->rate_hz);
    return (s->cone_rad >= 0 && s->cone_rad <= 3 && s->widening_s >= 0 && s->pose_noise_mm >= 0 &&
            s->pose_noise_mm <= 100 && s->pose_noise_rad >= 0 && s->pose_noise_rad <= 1) ||
           es_fail(err, ES_USAGE,
                   "stylus: a cone of %g rad, noise of %g mm and %g rad; expected 0 to 3, 0 to 100 "
                   "and 0 to 1",
                   s->cone_rad, s->pose_noise_mm, s->pose_noise_rad);
}

es_source *es_stylus_open(const es_stylus *stylus, es_error *err) {
    static const es_source_ops ops = {next_frame, rewind_stylus, es_free};
    if (!check(stylus, err)) return NULL;
    stylus_recording *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->stylus = *stylus;
    es_stream_info info = drawn_stream(stylus->frames, WIDTH, HEIGHT);
    return es_source_new(&ops, r, &info, err);
}
