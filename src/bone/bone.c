/* Where the bone is in one frame: the picture becomes scan lines (beams.c) on
 * a fixed scale of grey (tone.c), a detector gives every sample a value 0..1
 * (shadow.c, foroughi.c, network.c), dynamic programming finds the bone's path through
 * that map (path.c), and the crest of the echo along it is the result
 * (crest.c). A better detector only has to make a better map. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define CREST_DEPTH_MM 0.2 /* blur before the crest is looked for */
#define CREST_LINES_MM 0.4

#define CLASSICAL_THRESHOLD 0.3
#define NETWORK_THRESHOLD 0.5 /* of a network that says none */

struct es_bone {
    es_bone_options options;
    detector_fn *detector; /* NULL: the eye */
    struct eye eye;
    struct beams beams;
    struct path path;
    float *map, *worth, *scratch[BONE_SCRATCHES];
    size_t capacity;
};

static bool check_number(const char *name, double value, double low, double high, es_error *err) {
    if (value >= low && value <= high) return true;
    return es_fail(err, ES_USAGE, "%s is %g; expected a number from %g to %g", name, value, low,
                   high);
}

static bool check_linear(const es_fan *fan, es_error *err) {
    if (isfinite(fan->u0) && isfinite(fan->v0) && fan->u1 > fan->u0 && fan->v1 > fan->v0 &&
        isfinite(fan->u1) && isfinite(fan->v1))
        return true;
    return es_fail(err, ES_USAGE,
                   "the fan's rectangle is (%g, %g) to (%g, %g); expected finite numbers, the "
                   "first pair smaller",
                   fan->u0, fan->v0, fan->u1, fan->v1);
}

static bool check_curved(const es_bone_options *o, es_error *err) {
    const es_fan *fan = &o->fan;
    double aspect = o->spacing_mm[0] / o->spacing_mm[1];
    if (!isfinite(fan->apex_u) || !isfinite(fan->apex_v))
        return es_fail(err, ES_USAGE, "the fan's apex is (%g, %g); expected finite pixels",
                       fan->apex_u, fan->apex_v);
    if (!(fan->radius_start >= 0 && fan->radius_stop > fan->radius_start &&
          isfinite(fan->radius_stop)))
        return es_fail(err, ES_USAGE,
                       "the fan's radii are %g to %g pixels; expected 0 or more, growing",
                       fan->radius_start, fan->radius_stop);
    if (!(fan->angle_start_rad >= -M_PI && fan->angle_stop_rad > fan->angle_start_rad &&
          fan->angle_stop_rad <= M_PI))
        return es_fail(err, ES_USAGE,
                       "the fan's angles are %g to %g rad; expected -pi to pi, growing",
                       fan->angle_start_rad, fan->angle_stop_rad);
    if (!(fabs(fan->aspect / aspect - 1) < 0.02))
        return es_fail(err, ES_USAGE,
                       "the fan's aspect is %g, but the pixel spacing gives %g / %g = %g; one of "
                       "the two is not of this recording",
                       fan->aspect, o->spacing_mm[0], o->spacing_mm[1], aspect);
    return true;
}

static bool check_fan(const es_bone_options *o, es_error *err) {
    switch (o->fan.kind) {
    case ES_FAN_NONE: return true;
    case ES_FAN_LINEAR: return check_linear(&o->fan, err);
    case ES_FAN_CURVED: return check_curved(o, err);
    }
    return es_fail(err, ES_USAGE, "%d is no kind of fan", (int)o->fan.kind);
}

static bool check_options(const es_bone_options *o, es_error *err) {
    if (o->edge != ES_BONE_CREST && o->edge != ES_BONE_FRONT)
        return es_fail(err, ES_USAGE, "%d is no edge of an echo", (int)o->edge);
    if (o->has_clip && (o->clip_size[0] <= 0 || o->clip_size[1] <= 0))
        return es_fail(err, ES_USAGE, "the clip is %d x %d pixels; expected 1 x 1 at least",
                       o->clip_size[0], o->clip_size[1]);
    return check_number("the pixel spacing along u (mm)", o->spacing_mm[0], 1e-4, 100, err) &&
           check_number("the pixel spacing along v (mm)", o->spacing_mm[1], 1e-4, 100, err) &&
           check_number("min_depth_mm", o->min_depth_mm, 0, 1000, err) &&
           (isnan(o->threshold) || check_number("threshold", o->threshold, 0, 1, err)) &&
           check_number("min_length_mm", o->min_length_mm, 0, 1000, err) &&
           check_number("offset_mm", o->offset_mm, -100, 100, err) && check_fan(o, err);
}

static double own_threshold(const struct eye *eye) {
    if (!eye->network) return CLASSICAL_THRESHOLD;
    double said = es_network_about(eye->network)->threshold;
    return isnan(said) ? NETWORK_THRESHOLD : said;
}

static bool find_detector(es_bone *bone, es_error *err) {
    es_bone_options *o = &bone->options;
    switch (o->method) {
    case ES_BONE_SHADOW: bone->detector = shadow_map; break;
    case ES_BONE_FOROUGHI: bone->detector = foroughi_map; break;
    case ES_BONE_NETWORK:
        if (!eye_open(&bone->eye, o->network, err)) return false;
        break;
    default: return es_fail(err, ES_USAGE, "%d is no bone detector", (int)o->method);
    }
    if (isnan(o->threshold)) o->threshold = own_threshold(&bone->eye);
    return true;
}

es_bone *es_bone_new(const es_bone_options *options, es_error *err) {
    if (!check_options(options, err)) return NULL;
    es_bone *bone = es_alloc_zero(1, sizeof *bone, err);
    if (!bone) return NULL;
    bone->options = *options;
    if (find_detector(bone, err)) return bone;
    es_bone_free(bone);
    return NULL;
}

double es_bone_threshold(const es_bone *bone) { return bone->options.threshold; }

void es_bone_free(es_bone *bone) {
    if (!bone) return;
    eye_close(&bone->eye);
    beams_clear(&bone->beams);
    path_clear(&bone->path);
    es_free(bone->map);
    es_free(bone->worth);
    for (int i = 0; i < BONE_SCRATCHES; i++) es_free(bone->scratch[i]);
    es_free(bone);
}

static bool make_room(es_bone *bone, es_error *err) {
    size_t samples = bone->beams.lines * bone->beams.samples;
    if (samples <= bone->capacity) return true;
    if (!es_resize(&bone->map, samples, sizeof *bone->map, err) ||
        !es_resize(&bone->worth, samples, sizeof *bone->worth, err))
        return false;
    for (int i = 0; i < BONE_SCRATCHES; i++)
        if (!es_resize(&bone->scratch[i], samples, sizeof *bone->scratch[i], err)) return false;
    bone->capacity = samples;
    return true;
}

/* All the scan lines, nothing found. */
static void empty_trace(const struct beams *beams, es_trace *trace) {
    memcpy(trace->lines, beams->line, beams->lines * sizeof *trace->lines);
}

/* The grey that is white: of bytes it is known, of other types what is seen. */
static float white_of(const struct beams *beams, const es_image *image) {
    return image->type == ES_U8 ? 255 : beams->most;
}

/* The map of probabilities, and what the path earns on it. */
static bool make_map(es_bone *bone, const es_image *image, es_error *err) {
    const struct beams *beams = &bone->beams;
    if (!bone->detector)
        return eye_look(&bone->eye, beams, &bone->options, white_of(beams, image), bone->map,
                        bone->worth, err);
    bone->detector(beams, bone->scratch, bone->map);
    float threshold = (float)bone->options.threshold;
    for (size_t i = 0; i < beams->lines * beams->samples; i++)
        bone->worth[i] = bone->map[i] - threshold;
    return true;
}

bool es_bone_lines(es_bone *bone, const es_image *image, es_trace *trace, es_error *err) {
    struct beams *beams = &bone->beams;
    if (!beams_from_image(beams, &bone->options, image, err) ||
        !es_trace_resize(trace, beams->lines, err))
        return false;
    empty_trace(beams, trace);
    return true;
}

bool es_bone_detect(es_bone *bone, const es_image *image, es_trace *trace, es_error *err) {
    struct beams *beams = &bone->beams;
    if (!beams_from_image(beams, &bone->options, image, err) || !make_room(bone, err) ||
        !es_trace_resize(trace, beams->lines, err))
        return false;
    if (!beams_tone(beams)) {
        empty_trace(beams, trace);
        return true;
    }
    if (!make_map(bone, image, err) ||
        !path_find(&bone->path, beams, bone->worth, bone->options.min_depth_mm, err))
        return false;
    float *crest = bone->scratch[0], *tone = bone->scratch[2];
    beams_smooth(beams, beams->echo, CREST_DEPTH_MM, CREST_LINES_MM, bone->scratch[1], crest);
    beams_smooth(beams, beams->tone, CREST_DEPTH_MM, CREST_LINES_MM, bone->scratch[1], tone);
    struct smoothed smooth = {.echo = crest, .tone = tone};
    pieces_judge(beams, bone->map, &smooth, &bone->options, &bone->path);
    crest_trace(beams, crest, bone->map, &bone->path, &bone->options, trace);
    return true;
}
