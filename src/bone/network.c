/* A network as a detector: the frame once more as scan lines, now in the
 * network's own spacing, one pass through the network, and its answer carried
 * over to the finer lines on which the path and the crest are looked for.
 *
 * The path is not paid in probability but in log-odds against the threshold,
 * cut at +-6: doubtful places cost little either way, and no single certain
 * sample outweighs a stretch of others. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define MOST_ODDS 6.0f
enum { MOST_LINES = 512, MOST_SAMPLES = 1024 };

bool eye_open(struct eye *eye, const es_network *network, es_error *err) {
    eye->network = network;
    if (!network) eye->network = eye->own = es_network_built_in(err);
    return eye->network && (eye->run = es_network_run_new(eye->network, err));
}

void eye_close(struct eye *eye) {
    es_network_run_free(eye->run);
    es_network_free(eye->own);
    beams_clear(&eye->coarse);
    es_free(eye->grey);
    es_free(eye->logits);
    es_free(eye->probability);
}

static bool make_room(struct eye *eye, es_error *err) {
    size_t needed = eye->coarse.lines * eye->coarse.samples;
    if (needed <= eye->capacity) return true;
    if (!es_resize(&eye->grey, needed, sizeof *eye->grey, err) ||
        !es_resize(&eye->logits, needed, sizeof *eye->logits, err) ||
        !es_resize(&eye->probability, needed, sizeof *eye->probability, err))
        return false;
    eye->capacity = needed;
    return true;
}

/* Line by line to row by row; black outside the picture. */
static void take_picture(struct eye *eye, float white) {
    const struct beams *b = &eye->coarse;
    float scale = white > 0 ? 1 / white : 0;
    for (size_t i = 0; i < b->lines; i++) {
        const float *echo = b->echo + i * b->samples;
        for (size_t z = 0; z < b->samples; z++)
            eye->grey[z * b->lines + i] = fminf(fmaxf(scale * echo[z], 0), 1);
    }
}

/* Log-odds and probability after calibration. */
static void calibrate(struct eye *eye) {
    size_t count = eye->coarse.lines * eye->coarse.samples;
    float cool = (float)(1 / es_network_about(eye->network)->temperature);
    for (size_t i = 0; i < count; i++) {
        eye->logits[i] *= cool;
        eye->probability[i] = 1 / (1 + expf(-eye->logits[i]));
    }
}

/* Two neighbours and the share of the second. */
struct between {
    size_t low, high;
    float share;
};

static struct between between(double at, size_t count) {
    at = fmin(fmax(at, 0), (double)(count - 1));
    size_t low = (size_t)at;
    return (struct between){low, low + 1 < count ? low + 1 : low, (float)(at - (double)low)};
}

/* Row by row in the network's steps to line by line in the fine ones. */
static void spread(const struct eye *eye, const struct beams *fine, const float *from, float *to) {
    const struct beams *coarse = &eye->coarse;
    double lines = (double)coarse->lines / (double)fine->lines;
    double samples = fine->depth_step_mm / coarse->depth_step_mm;
    for (size_t z = 0; z < fine->samples; z++) {
        struct between v = between((double)z * samples, coarse->samples);
        const float *a = from + v.low * coarse->lines, *b = from + v.high * coarse->lines;
        for (size_t i = 0; i < fine->lines; i++) {
            struct between u = between(((double)i + 0.5) * lines - 0.5, coarse->lines);
            float top = a[u.low] + u.share * (a[u.high] - a[u.low]);
            float bottom = b[u.low] + u.share * (b[u.high] - b[u.low]);
            to[i * fine->samples + z] = top + v.share * (bottom - top);
        }
    }
}

static float log_odds(double probability) {
    double p = fmin(fmax(probability, 1e-3), 1 - 1e-3);
    return (float)log(p / (1 - p));
}

bool eye_look(struct eye *eye, const struct beams *beams, const es_bone_options *options,
              float white, float *map, float *worth, es_error *err) {
    struct beams *coarse = &eye->coarse;
    const double *spacing = es_network_about(eye->network)->spacing_mm;
    struct beam_steps steps = {spacing[0], spacing[1], MOST_LINES, MOST_SAMPLES};
    if (!beams_again(coarse, beams, &steps, options->spacing_mm, err) || !make_room(eye, err))
        return false;
    take_picture(eye, white);
    if (!es_network_apply(eye->run, eye->grey, (uint32_t)coarse->lines, (uint32_t)coarse->samples,
                          eye->logits, err))
        return false;
    calibrate(eye);
    spread(eye, beams, eye->probability, map);
    spread(eye, beams, eye->logits, worth);
    float least = log_odds(options->threshold);
    for (size_t i = 0; i < beams->lines * beams->samples; i++)
        worth[i] = fminf(fmaxf(worth[i] - least, -MOST_ODDS), MOST_ODDS) / MOST_ODDS;
    return true;
}
