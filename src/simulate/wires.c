/* Wires in a water bath, seen by a tracked probe.
 *
 * The hand moves about the middle of the wires in all six freedoms, each a sum
 * of two slow waves drawn from the seed. A picture is the plane through the
 * array: where it cuts a wire there is a spot. The tracker says the pose of
 * lag_s ago: an event of time t gets the stamp t from the video, t + lag_s from
 * the tracker. */
#include <math.h>
#include <string.h>

#include "echosolid/simulate.h"
#include "stream.h"

enum {
    FREEDOMS = 6,
    WAVES = 2,
    ECHOES = 3,
    STREAM_HAND = 1,
    STREAM_POSE = 2,
    STREAM_DOTS = 3,
    STREAM_NOISE = 4,
    STREAM_DASHES = 6
};
enum { LEVELS = 1024 };
static const double TURN = 6.283185307179586;

typedef struct bath_recording {
    es_bath bath;
    es_vec3 middle;                  /* of the wires */
    double wave[FREEDOMS][WAVES][2]; /* Hz, phase */
    es_image words;                  /* RGB */
    double noise[LEVELS];            /* quantiles of the speckle */
    int64_t next;
} bath_recording;

/* ---- fixed frames ------------------------------------------------------------------------ */

static es_mat4 face_to_probe(void) {
    es_mat4 r = es_mat4_rotation(es_vec3_make(0.3, -0.5, 0.8), 1.1);
    return es_mat4_multiply(es_mat4_translation(11, 47, -12), r);
}

/* Pixels to the face's axes: x along the array, y into the bath, both from the
 * middle of the face. */
static es_mat4 image_to_face(const es_bath *b) {
    double across = 0.5 * (b->spacing_mm[0] + b->spacing_mm[1]);
    es_mat4 m = es_mat4_scaling(b->spacing_mm[0], b->spacing_mm[1], across);
    m.m[3] = -0.5 * (b->width - 1) * b->spacing_mm[0];
    return m;
}

es_mat4 es_bath_image_to_probe(const es_bath *b) {
    es_mat4 m = image_to_face(b);
    if (b->mirrored) { /* u runs the other way; so does the normal, to stay right-handed */
        m.m[0] = -m.m[0];
        m.m[10] = -m.m[10];
        m.m[3] = -m.m[3];
    }
    return es_mat4_multiply(face_to_probe(), m);
}

es_mat4 es_bath_phantom_to_reference(void) {
    es_mat4 r = es_mat4_rotation(es_vec3_make(-0.2, 1, 0.4), 2.2);
    return es_mat4_multiply(es_mat4_translation(9, 36, 88), r);
}

static es_mat4 reference_to_tracker(void) {
    es_mat4 r = es_mat4_rotation(es_vec3_make(1, 0.3, -0.2), 0.7);
    return es_mat4_multiply(es_mat4_translation(120, -80, 900), r);
}

/* ---- the hand ------------------------------------------------------------------------------ */

static void draw_hand(bath_recording *r) {
    es_random random = es_random_new(r->bath.seed, STREAM_HAND);
    es_vec3 sum = {0, 0, 0};
    for (int i = 0; i < 2 * r->bath.wire_count; i++)
        sum = es_vec3_add(sum, r->bath.wires[i / 2][i % 2]);
    r->middle = es_vec3_scale(sum, 0.5 / r->bath.wire_count);
    for (int k = 0; k < FREEDOMS; k++)
        for (int w = 0; w < WAVES; w++) {
            r->wave[k][w][0] = (w ? 0.25 : 0.09) * (0.8 + 0.5 * es_random_uniform(&random));
            r->wave[k][w][1] = TURN * es_random_uniform(&random);
        }
}

/* -1 .. 1 */
static double sway(const bath_recording *r, int freedom, double time) {
    static const double share[WAVES] = {0.7, 0.3};
    double sum = 0;
    for (int w = 0; w < WAVES; w++)
        sum += share[w] * sin(TURN * r->wave[freedom][w][0] * time + r->wave[freedom][w][1]);
    return sum;
}

static es_mat4 face_to_phantom(const bath_recording *r, double time) {
    const es_bath *b = &r->bath;
    double side = b->reversed ? -1 : 1;
    es_mat4 upright = {{side, 0, 0, 0, 0, 0, side, 0, 0, -1, 0, 0, 0, 0, 0, 1}};
    upright.m[11] = b->standoff_mm;
    es_mat4 turn = es_mat4_identity();
    for (int k = 0; k < 3; k++)
        turn = es_mat4_multiply(
            turn, es_mat4_rotation(es_vec3_make(k == 0, k == 1, k == 2),
                                   (k == 1 ? 0.5 : 1) * b->tilt_rad * sway(r, k, time)));
    es_mat4 to = es_mat4_translation(r->middle.x + 0.25 * b->slide_mm * sway(r, 3, time),
                                     r->middle.y + b->slide_mm * sway(r, 4, time),
                                     r->middle.z + 0.3 * b->slide_mm * sway(r, 5, time));
    return es_mat4_multiply(to, es_mat4_multiply(turn, upright));
}

static double lag_at(const es_bath *b, int64_t index) {
    return isfinite(b->second_lag_s) && index >= b->frames / 2 ? b->second_lag_s : b->lag_s;
}

static es_mat4 probe_to_tracker(const bath_recording *r, int64_t index) {
    const es_bath *b = &r->bath;
    int64_t seen = b->frozen ? 0 : index;
    es_random random = es_random_new(b->seed, STREAM_POSE + 16 * (uint64_t)seen);
    double time = (double)seen / b->rate_hz - lag_at(b, index), n[6];
    es_mat4 inverse, face;
    for (int k = 0; k < 6; k++)
        n[k] = (k < 3 ? b->pose_noise_mm : b->pose_noise_rad) * es_random_normal(&random);
    es_mat4_invert(face_to_probe(), &inverse, NULL);
    face = es_mat4_multiply(es_bath_phantom_to_reference(), face_to_phantom(r, time));
    es_mat4 probe = es_mat4_multiply(reference_to_tracker(), es_mat4_multiply(face, inverse));
    es_vec3 axis = es_vec3_make(n[3], n[4], n[5]);
    double angle = es_vec3_length(axis);
    if (angle > 0) probe = es_mat4_multiply(probe, es_mat4_rotation(axis, angle));
    for (int k = 0; k < 3; k++) probe.m[4 * k + 3] += n[k];
    return probe;
}

/* ---- the picture
 * --------------------------------------------------------------------------------- */

/* Whether a pixel is in the fan, and the angle of its beam; a linear array's
 * pixels all are, at 0. */
static bool in_field(const es_bath *b, double u, double v, double *angle) {
    *angle = 0;
    if (!(b->face_mm > 0)) return true;
    double x = (u - 0.5 * (b->width - 1)) * b->spacing_mm[0];
    double y = v * b->spacing_mm[1] + b->face_mm;
    *angle = atan2(x, y);
    return fabs(*angle) <= b->half_angle_rad && x * x + y * y >= b->face_mm * b->face_mm;
}

static void find_dots(const bath_recording *r, int64_t index, double dots[ES_BATH_WIRES][2]) {
    const es_bath *b = &r->bath;
    es_mat4 to_image;
    es_random random = es_random_new(b->seed, STREAM_DOTS + 16 * (uint64_t)index);
    es_mat4_invert(
        es_mat4_multiply(face_to_phantom(r, (double)index / b->rate_hz), image_to_face(b)),
        &to_image, NULL);
    for (int w = 0; w < b->wire_count; w++) {
        es_vec3 p = es_mat4_point(to_image, b->wires[w][0]);
        es_vec3 q = es_mat4_point(to_image, b->wires[w][1]);
        double t = p.z / (p.z - q.z), du = es_random_normal(&random),
               dv = es_random_normal(&random);
        double u = p.x + t * (q.x - p.x), v = p.y + t * (q.y - p.y), angle;
        bool inside = t >= 0 && t <= 1 && u >= 0 && v >= 0 && u < b->width && v < b->height &&
                      in_field(b, u, v, &angle);
        if (b->mirrored) u = (double)b->width - 1 - u;
        dots[w][0] = inside ? u + b->dot_noise_px * du : NAN;
        dots[w][1] = inside ? v + b->dot_noise_px * dv : NAN;
    }
}

/* Two standard deviations, along the array's face there and along the beam. */
typedef struct spot {
    double u, v, angle; /* of the beam to the picture's columns */
    double sigma_mm[2], level;
} spot;

static void add_spot(const es_bath *b, es_image *picture, const spot *s) {
    uint8_t *p = picture->data;
    const double *mm = b->spacing_mm;
    double c = cos(s->angle), n = sin(s->angle);
    double wide = 3 * (fabs(c) * s->sigma_mm[0] + fabs(n) * s->sigma_mm[1]);
    double high = 3 * (fabs(n) * s->sigma_mm[0] + fabs(c) * s->sigma_mm[1]);
    int du = (int)(wide / mm[0]) + 1, dv = (int)(high / mm[1]) + 1, cu = (int)s->u, cv = (int)s->v;
    for (int y = cv - dv; y <= cv + dv; y++)
        for (int x = cu - du; x <= cu + du; x++) {
            if (x < 0 || y < 0 || x >= (int)picture->width || y >= (int)picture->height) continue;
            double right = (x - s->u) * mm[0], down = (y - s->v) * mm[1];
            double along = (right * c - down * n) / s->sigma_mm[0];
            double deep = (right * n + down * c) / s->sigma_mm[1];
            uint8_t *at = p + (size_t)y * picture->width + (size_t)x;
            *at = (uint8_t)fmin(255, *at + s->level * exp(-0.5 * (along * along + deep * deep)));
        }
}

/* A wire, and its reverberation behind it along the beam. */
static void add_wires(const bath_recording *r, int64_t index, es_image *picture) {
    const es_bath *b = &r->bath;
    double dots[ES_BATH_WIRES][2];
    es_random random = es_random_new(b->seed, STREAM_NOISE + 16 * (uint64_t)index);
    find_dots(r, index, dots);
    for (int w = 0; w < b->wire_count; w++) {
        double bright = b->gain * (120 + 110 * es_random_uniform(&random));
        if (isnan(dots[w][0])) continue;
        double depth = dots[w][1] * b->spacing_mm[1];
        spot s = {dots[w][0], dots[w][1], 0, {0.4 + 0.008 * depth, 0.2}, bright};
        in_field(b, s.u, s.v, &s.angle);
        add_spot(b, picture, &s);
        for (int k = 1; k <= ECHOES; k++) {
            s.u = dots[w][0] + 1.1 * k * sin(s.angle) / b->spacing_mm[0];
            s.v = dots[w][1] + 1.1 * k * cos(s.angle) / b->spacing_mm[1];
            s.level = b->speckle * bright * pow(0.3, k);
            add_spot(b, picture, &s);
        }
    }
}

/* Streaks across the beam, 3 to 9 mm long, as bright as wires. */
static void add_dashes(const bath_recording *r, int64_t index, es_image *picture) {
    const es_bath *b = &r->bath;
    es_random random = es_random_new(b->seed, STREAM_DASHES + 16 * (uint64_t)index);
    for (int k = 0; k < b->dashes; k++) {
        spot s = {.u = b->width * es_random_uniform(&random),
                  .v = b->height * es_random_uniform(&random)};
        s.sigma_mm[0] = 0.8 + 1.5 * es_random_uniform(&random);
        s.sigma_mm[1] = 0.2;
        s.level = b->gain * (60 + 120 * es_random_uniform(&random));
        if (in_field(b, s.u, s.v, &s.angle)) add_spot(b, picture, &s);
    }
}

/* Adds a bright line's profile to one column. */
static void add_column(const es_bath *b, es_image *picture, int u, double v, double level) {
    static const double SIGMA_MM = 0.35;
    int reach = (int)(3 * SIGMA_MM / b->spacing_mm[1]) + 1, middle = (int)v;
    for (int y = middle - reach; y <= middle + reach; y++) {
        if (y < 0 || y >= (int)picture->height) continue;
        double off = (y - v) * b->spacing_mm[1] / SIGMA_MM;
        uint8_t *at = (uint8_t *)picture->data + (size_t)y * picture->width + (size_t)u;
        *at = (uint8_t)fmin(255, *at + level * exp(-0.5 * off * off));
    }
}

/* The floor of the bath, 12 mm under the lowest wire. */
static void add_floor(const bath_recording *r, int64_t index, es_image *picture) {
    const es_bath *b = &r->bath;
    es_mat4 to = es_mat4_multiply(face_to_phantom(r, (double)index / b->rate_hz), image_to_face(b));
    double low = INFINITY;
    for (int i = 0; i < 2 * b->wire_count; i++) low = fmin(low, b->wires[i / 2][i % 2].z);
    for (int u = 0; u < (int)b->width; u++) {
        double z0 = es_mat4_point(to, es_vec3_make(u, 0, 0)).z, dz = es_mat4_column(to, 1).z;
        double v = (low - 12 - z0) / dz, off = (u - 0.5 * b->width) / (0.25 * b->width);
        if (v > 0 && v < b->height)
            add_column(b, picture, u, v, 340 * b->gain * b->speckle * exp(-off * off));
    }
}

static void draw_noise(bath_recording *r) {
    for (int k = 0; k < LEVELS; k++) r->noise[k] = sqrt(-log(1 - (k + 0.5) / LEVELS));
}

static void add_noise(const bath_recording *r, int64_t index, es_image *picture) {
    es_random random = es_random_new(r->bath.seed, STREAM_NOISE + 1 + 16 * (uint64_t)index);
    uint8_t *p = picture->data;
    double last = 0, level = 5 * r->bath.gain * r->bath.speckle;
    for (size_t i = 0; i < (size_t)picture->width * picture->height; i++) {
        double bits = es_random_uniform(&random);
        double factor = 1 - 0.25 * r->bath.speckle * bits;
        last = 0.6 * last + 0.4 * level * r->noise[(int)(bits * LEVELS)]; /* lateral blur */
        p[i] = (uint8_t)fmax(0, fmin(255, p[i] * factor + last));
    }
}

static void cut_fan(const es_bath *b, es_image *picture) {
    uint8_t *p = picture->data;
    double angle;
    for (int v = 0; v < (int)picture->height && b->face_mm > 0; v++)
        for (int u = 0; u < (int)picture->width; u++, p++)
            if (!in_field(b, u, v, &angle)) *p = 0;
}

/* The clock of a screen: digits that change from picture to picture. */
static bool add_clock(const bath_recording *r, int64_t index, es_image *picture, es_error *err) {
    static const es_colour white = {230, 230, 230};
    es_image digits = {0};
    char text[24];
    int seconds = (int)((double)index / r->bath.rate_hz);
    snprintf(text, sizeof text, "10:%02d:%02d.%02d", seconds / 60 % 60, seconds % 60,
             (int)(index * 7 % 100));
    if (!es_picture_new(&digits, 80, 12, (es_colour){0, 0, 0}, err)) return false;
    es_picture_text(&digits, 1, 1, 1, white, text);
    const uint8_t *from = digits.data;
    uint8_t *to = picture->data;
    for (uint32_t v = 0; v < 12 && v + 4 < picture->height; v++)
        for (uint32_t u = 0; u < 80 && u + 90 < picture->width; u++) {
            uint8_t *at = to + (size_t)(v + 4) * picture->width + picture->width - 84 + u;
            if (from[3 * (80 * (size_t)v + u)] > 0) *at = from[3 * (80 * (size_t)v + u)];
        }
    es_image_clear(&digits);
    return true;
}

static void add_words(const bath_recording *r, es_image *picture) {
    const uint8_t *w = r->words.data;
    uint8_t *p = picture->data;
    for (size_t i = 0; i < (size_t)picture->width * picture->height; i++)
        if (w[3 * i] > 0) p[i] = w[3 * i];
}

/* Ruler and grey bar, as beside a scanner's field. */
static void draw_screen(bath_recording *r) {
    static const es_colour white = {230, 230, 230};
    const es_bath *b = &r->bath;
    double step = 5 / b->spacing_mm[1], right = b->width - 6.0;
    for (int k = 0; k * step < b->height; k++)
        es_picture_line(&r->words, right - (k % 2 ? 4 : 8), k * step, right, k * step, 1, white);
    for (int v = 40; v < 140 && v < (int)b->height; v++) {
        uint8_t level = (uint8_t)(240 - 2 * (v - 40));
        es_picture_line(&r->words, 4, v, 12, v, 1, (es_colour){level, level, level});
    }
    es_picture_text(&r->words, 6, (int)b->height - 14, 1, white, "MI 0.9  TIS 0.4  FR 22 Hz");
}

static bool draw_words(bath_recording *r, es_error *err) {
    static const es_colour white = {230, 230, 230};
    if (!r->bath.text && !r->bath.grabber) return true;
    if (!es_picture_new(&r->words, r->bath.width, r->bath.height, (es_colour){0, 0, 0}, err))
        return false;
    if (r->bath.grabber) draw_screen(r);
    if (!r->bath.text) return true;
    es_picture_text(&r->words, 6, 4, 1, white, "WIRES  L14-5  6.6 MHz");
    es_picture_text(&r->words, 6, 18, 1, white, "Depth 46 mm  Gain 34 %");
    for (int k = 1; k < 8; k++)
        es_picture_disc(&r->words, 3, k * (double)r->bath.height / 8, 1.5, white);
    return true;
}

static bool draw(const bath_recording *r, int64_t index, es_image *picture, es_error *err) {
    if (!es_image_resize(picture, ES_U8, 1, r->bath.width, r->bath.height, err)) return false;
    memset(picture->data, 0, es_image_bytes(picture));
    if (r->bath.speckle > 0 && !r->bath.mirrored) add_floor(r, index, picture);
    add_wires(r, index, picture);
    add_dashes(r, index, picture);
    if (r->bath.speckle > 0) add_noise(r, index, picture);
    cut_fan(&r->bath, picture);
    if (r->bath.text || r->bath.grabber) add_words(r, picture);
    return !r->bath.grabber || add_clock(r, index, picture, err);
}

/* ---- the recording
 * --------------------------------------------------------------------------------- */

static bool next_frame(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    bath_recording *r = self;
    int64_t index = r->next;
    *end = index >= r->bath.frames;
    if (*end) return true;
    r->next++;
    restart_frame(frame);
    frame->index = index;
    frame->has_time = true;
    frame->time_s = (double)index / r->bath.rate_hz;
    frame->has_image = (flags & ES_READ_PIXELS) != 0;
    es_random random = es_random_new(r->bath.seed, STREAM_HAND + 16 * (uint64_t)(index + 1));
    bool valid = es_random_uniform(&random) >= r->bath.dropped;
    return es_frame_set_transform(frame, "ProbeToTracker", probe_to_tracker(r, index), valid,
                                  err) &&
           es_frame_set_transform(frame, "ReferenceToTracker", reference_to_tracker(), true, err) &&
           (!frame->has_image || draw(r, index, &frame->image, err));
}

static bool rewind_bath(void *self, es_error *err) {
    (void)err;
    ((bath_recording *)self)->next = 0;
    return true;
}

static void free_bath(void *self) {
    bath_recording *r = self;
    es_image_clear(&r->words);
    es_free(r);
}

static bool in_range(const char *what, double value, double low, double high, es_error *err) {
    return (value >= low && value <= high) ||
           es_fail(err, ES_USAGE, "bath: %s is %g; expected %g to %g", what, value, low, high);
}

static bool check(const es_bath *b, es_error *err) {
    return in_range("number of wires", b->wire_count, 1, ES_BATH_WIRES, err) &&
           in_range("width", b->width, 64, 4096, err) &&
           in_range("height", b->height, 64, 4096, err) &&
           in_range("spacing across, mm", b->spacing_mm[0], 0.01, 2, err) &&
           in_range("spacing in depth, mm", b->spacing_mm[1], 0.01, 2, err) &&
           in_range("standoff, mm", b->standoff_mm, 1, 300, err) &&
           in_range("number of frames", b->frames, 1, 1e6, err) &&
           in_range("rate, Hz", b->rate_hz, 0.1, 1000, err) &&
           in_range("slide, mm", b->slide_mm, 0, 100, err) &&
           in_range("tilt, rad", b->tilt_rad, 0, 1, err) &&
           in_range("pose noise, mm", b->pose_noise_mm, 0, 100, err) &&
           in_range("pose noise, rad", b->pose_noise_rad, 0, 1, err) &&
           in_range("lag, s", b->lag_s, -10, 10, err) &&
           in_range("speckle", b->speckle, 0, 4, err) &&
           in_range("share of dropped poses", b->dropped, 0, 1, err) &&
           in_range("noise of the dots, px", b->dot_noise_px, 0, 100, err) &&
           in_range("gain", b->gain, 0, 20, err) &&
           in_range("radius of the face, mm", b->face_mm, 0, 200, err) &&
           in_range("half angle of the fan, rad", b->half_angle_rad, 0, 1.5, err) &&
           in_range("number of dashes", b->dashes, 0, 200, err);
}

es_source *es_bath_open(const es_bath *bath, es_error *err) {
    static const es_source_ops ops = {next_frame, rewind_bath, free_bath};
    if (!check(bath, err)) return NULL;
    bath_recording *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    r->bath = *bath;
    draw_hand(r);
    draw_noise(r);
    if (!draw_words(r, err)) {
        free_bath(r);
        return NULL;
    }
    es_stream_info info = drawn_stream(bath->frames, bath->width, bath->height);
    return es_source_new(&ops, r, &info, err);
}

void es_bath_fit(es_bath *bath) {
    static const double USUAL = 35;
    double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
    for (int i = 0; i < 2 * bath->wire_count; i++) {
        es_vec3 p = bath->wires[i / 2][i % 2];
        const double at[3] = {p.x, p.y, p.z};
        for (int k = 0; k < 3; k++) {
            low[k] = fmin(low[k], at[k]);
            high[k] = fmax(high[k], at[k]);
        }
    }
    double zoom = fmax(high[0] - low[0], high[2] - low[2] + 14) / USUAL;
    if (!(zoom > 1)) return;
    bath->spacing_mm[0] *= zoom;
    bath->spacing_mm[1] *= zoom;
    bath->standoff_mm = fmax(bath->standoff_mm, 0.5 * (high[2] - low[2]) + 14);
}

void es_bath_dots(const es_bath *bath, int64_t index, double dots[ES_BATH_WIRES][2]) {
    bath_recording r = {.bath = *bath};
    draw_hand(&r);
    find_dots(&r, index, dots);
}
