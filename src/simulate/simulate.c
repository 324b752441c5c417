/* simulate.c: the door of the room: a simulation is checked, laid out and
 * read as a recording, or asked for its truth.
 *
 * A frame is a function of (simulation, index) alone. That lets the source
 * make frames ahead, a batch at a time on all threads, and give the same
 * bytes on any number of them. */
#include "echosolid/simulate.h"

#include <math.h>
#include <string.h>

#include "bmode.h"
#include "motion.h"
#include "stream.h"
#include "tissue.h"

enum { MOST_FRAMES = 1000000, BATCH = 16 };
static const double DEGREE = 0.017453292519943295;

/* ---- checks -------------------------------------------------------------- */

static bool check_number(const char *what, double value, double low, double high, es_error *err) {
    if (value >= low && value <= high) return true;
    return es_fail(err, ES_USAGE, "%s %g: expected %g to %g", what, value, low, high);
}

static bool check_options(const es_simulation *s, es_error *err) {
    if (s->frames < 1 || s->frames > MOST_FRAMES)
        return es_fail(err, ES_USAGE, "%d frames: expected 1 to %d", s->frames, MOST_FRAMES);
    return check_number("frame rate in Hz", s->rate_hz, 0.1, 10000, err) &&
           check_number("pose noise in mm", s->pose_noise_mm, 0, 100, err) &&
           check_number("pose noise in rad", s->pose_noise_rad, 0, 1, err) &&
           check_number("lag in s", s->lag_s, -10, 10, err) &&
           check_number("speckle", s->speckle, 0, 1, err) &&
           check_number("sweeps", s->sweeps, 0, ES_SWEEPS_MAX, err) &&
           check_number("lean of the sweeps in rad", s->lean_rad, 0, 1, err) &&
           check_number("turn of the sweeps in rad", s->turn_rad, 0, 1.6, err);
}

/* The motion holds the checked simulation with all that follows from it. */
static bool lay_out(const es_simulation *simulation, motion *m, es_error *err) {
    probe_geometry geometry;
    scene_model model;
    if (!scene_model_find(simulation->scene, simulation->anatomy, &model, err) ||
        !check_options(simulation, err))
        return false;
    if (simulation->hold && !model.water)
        return es_fail(err, ES_USAGE, "motions can be held over the floor only, not over the %s",
                       model.name);
    if (simulation->sweeps && model.water)
        return es_fail(err, ES_USAGE, "sweeps side by side are for all scenes but the floor");
    if (!probe_geometry_make(&simulation->probe, &geometry, err)) return false;
    return motion_make(simulation, &model, &geometry, m, err);
}

bool es_simulation_preset(const char *scene, es_simulation *simulation, es_error *err) {
    scene_model model;
    if (!scene_model_find(scene, 0, &model, err)) return false;
    *simulation = (es_simulation)ES_SIMULATION_DEFAULTS;
    simulation->scene = model.name;
    simulation->frames = model.hand.frames;
    if (model.water)
        simulation->probe = (es_probe){.width_mm = 50, .depth_mm = 100, .image_size = {512, 512}};
    if (model.deep)
        simulation->probe = (es_probe){.curved = true,
                                       .radius_mm = 60,
                                       .half_angle_rad = 0.5236,
                                       .depth_mm = 110,
                                       .image_size = {512, 384}};
    return true;
}

int es_simulation_frames(const es_simulation *simulation) {
    const double apart_mm = 0.7;
    scene_model model;
    if (!scene_model_find(simulation->scene, 0, &model, NULL)) return 0;
    if (simulation->sweeps == 0 || simulation->sweeps > ES_SWEEPS_MAX || model.water)
        return model.hand.frames;
    return (int)fmin(fmax(motion_length_mm(simulation, &model) / apart_mm, 1), 1e6);
}

/* ---- calibration --------------------------------------------------------- */

es_mat4 es_simulation_image_to_probe(const es_simulation *simulation) {
    probe_geometry geometry;
    if (!probe_geometry_make(&simulation->probe, &geometry, NULL)) return es_mat4_identity();
    return es_mat4_multiply(probe_face_to_marker(), probe_image_to_face(&geometry));
}

es_fan es_simulation_fan(const es_simulation *simulation) {
    probe_geometry geometry;
    if (!probe_geometry_make(&simulation->probe, &geometry, NULL)) return (es_fan){0};
    return probe_fan(&geometry);
}

es_mat4 es_simulation_scene_to_reference(const es_simulation *simulation) {
    (void)simulation;
    return motion_scene_to_reference();
}

/* ---- the recording ------------------------------------------------------- */

typedef struct recording {
    motion motion;
    bmode *bmode;
    es_pool *pool;
    bmode_scratch **scratch; /* one a worker */
    int workers;
    int64_t next;
    int64_t batch_first, batch_count; /* frames whose pixels are in `batch` */
    uint8_t *batch;
    size_t picture_bytes;
} recording;

static es_mat4 true_pose(const motion *m, int64_t index) {
    return motion_face_to_scene(m, (double)index / m->options.rate_hz);
}

static void render_one(void *context, size_t offset, int worker) {
    recording *r = context;
    int64_t index = r->batch_first + (int64_t)offset;
    bmode_render(r->bmode, r->scratch[worker], index, true_pose(&r->motion, index),
                 r->batch + offset * r->picture_bytes);
}

static const uint8_t *picture_of(recording *r, int64_t index) {
    if (index < r->batch_first || index >= r->batch_first + r->batch_count) {
        int64_t left = r->motion.options.frames - index;
        r->batch_first = index;
        r->batch_count = left < BATCH ? left : BATCH;
        es_pool_run(r->pool, (size_t)r->batch_count, render_one, r);
    }
    return r->batch + (size_t)(index - r->batch_first) * r->picture_bytes;
}

static bool show_picture(recording *r, int64_t index, es_frame *frame, es_error *err) {
    const uint32_t *size = r->motion.options.probe.image_size;
    if (!es_image_resize(&frame->image, ES_U8, 1, size[0], size[1], err)) return false;
    memcpy(frame->image.data, picture_of(r, index), r->picture_bytes);
    frame->has_image = true;
    return true;
}

static bool recording_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    recording *r = self;
    const es_simulation *options = &r->motion.options;
    restart_frame(frame);
    *end = r->next >= options->frames;
    if (*end) return true;
    int64_t index = r->next;
    frame->index = index;
    frame->has_time = true;
    frame->time_s = (double)index / options->rate_hz;
    if (!es_frame_set_transform(frame, "ProbeToTracker", motion_probe_to_tracker(&r->motion, index),
                                true, err) ||
        !es_frame_set_transform(frame, "ReferenceToTracker",
                                motion_reference_to_tracker(&r->motion, index), true, err))
        return false;
    if (flags & ES_READ_PIXELS && !show_picture(r, index, frame, err)) return false;
    r->next++;
    return true;
}

static bool recording_rewind(void *self, es_error *err) {
    (void)err;
    ((recording *)self)->next = 0;
    return true;
}

static void recording_free(void *self) {
    recording *r = self;
    if (!r) return;
    for (int i = 0; r->scratch && i < r->workers; i++) bmode_scratch_free(r->scratch[i]);
    es_free(r->scratch);
    es_free(r->batch);
    es_pool_free(r->pool);
    bmode_free(r->bmode);
    motion_clear(&r->motion);
    es_free(r);
}

static bool make_room(recording *r, es_error *err) {
    const es_simulation *options = &r->motion.options;
    const uint32_t *size = options->probe.image_size;
    r->picture_bytes = (size_t)size[0] * size[1];
    r->batch = es_alloc(BATCH, r->picture_bytes, err);
    r->bmode = bmode_new(options, r->motion.model, &r->motion.geometry, err);
    r->pool = es_pool_new(options->threads, err);
    if (!r->batch || !r->bmode || !r->pool) return false;
    r->workers = es_pool_threads(r->pool);
    r->scratch = es_alloc_zero((size_t)r->workers, sizeof *r->scratch, err);
    if (!r->scratch) return false;
    for (int i = 0; i < r->workers; i++)
        if (!(r->scratch[i] = bmode_scratch_new(r->bmode, err))) return false;
    return true;
}

static bool set_number(es_fields *fields, const char *key, double value, es_error *err) {
    char text[ES_NUMBER_SIZE];
    return es_fields_set(fields, key, es_format_double(value, text), err);
}

static bool describe_probe(const es_probe *probe, es_fields *fields, es_error *err) {
    if (!es_fields_set(fields, "SimulatedProbe", probe->curved ? "curved" : "linear", err) ||
        !set_number(fields, "SimulatedDepthMm", probe->depth_mm, err))
        return false;
    if (!probe->curved) return set_number(fields, "SimulatedWidthMm", probe->width_mm, err);
    return set_number(fields, "SimulatedRadiusMm", probe->radius_mm, err) &&
           set_number(fields, "SimulatedHalfAngleRad", probe->half_angle_rad, err);
}

static bool describe_anatomy(const es_simulation *s, es_fields *fields, es_error *err) {
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)s->anatomy);
    return s->anatomy == 0 || es_fields_set(fields, "SimulatedAnatomy", number, err);
}

static bool describe(const motion *m, es_stream_info *info, es_error *err) {
    const es_simulation *options = &m->options;
    char seed[32];
    info->frame_count = options->frames;
    info->width = options->probe.image_size[0];
    info->height = options->probe.image_size[1];
    info->type = ES_U8;
    info->channels = 1;
    info->spacing_mm[0] = info->spacing_mm[1] = 1;
    strcpy(info->orientation, "MFA");
    strcpy(info->image_kind, "BRIGHTNESS");
    strcpy(info->format, "simulated");
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)options->seed);
    es_fields *fields = &info->fields;
    return es_fields_set(fields, "SimulatedScene", m->model->name, err) &&
           es_fields_set(fields, "SimulatedSeed", seed, err) &&
           describe_anatomy(options, fields, err) && describe_probe(&options->probe, fields, err) &&
           set_number(fields, "SimulatedRateHz", options->rate_hz, err) &&
           set_number(fields, "SimulatedPoseNoiseMm", options->pose_noise_mm, err) &&
           set_number(fields, "SimulatedPoseNoiseRad", options->pose_noise_rad, err) &&
           set_number(fields, "SimulatedLagS", options->lag_s, err) &&
           set_number(fields, "SimulatedSpeckle", options->speckle, err);
}

es_source *es_simulation_open(const es_simulation *simulation, es_error *err) {
    static const es_source_ops ops = {recording_next, recording_rewind, recording_free};
    es_stream_info info = {0};
    es_source *source = NULL;
    recording *r = es_alloc_zero(1, sizeof *r, err);
    if (!r) return NULL;
    if (lay_out(simulation, &r->motion, err) && make_room(r, err) &&
        describe(&r->motion, &info, err)) {
        source = es_source_new(&ops, r, &info, err);
        r = NULL; /* the source's, or freed by it */
    }
    recording_free(r);
    es_stream_info_clear(&info);
    return source;
}

/* ---- the truth that beams met -------------------------------------------- */

typedef struct hit_search {
    const motion *motion;
    double least_cosine; /* between beam and normal */
    float *points;       /* frames x lines x 3; NaN where a beam met nothing, or too steep a face */
} hit_search;

static bool meets(const hit_search *search, es_vec3 hit, es_vec3 direction) {
    es_vec3 normal = es_vec3_unit(scene_gradient(search->motion->model, hit));
    return -es_vec3_dot(normal, direction) >= search->least_cosine;
}

static void find_hits(void *context, size_t index, int worker) {
    (void)worker;
    hit_search *search = context;
    const motion *m = search->motion;
    const probe_geometry *g = &m->geometry;
    es_mat4 face_to_scene = true_pose(m, (int64_t)index);
    float *point = search->points + index * (size_t)g->lines * 3;
    for (int i = 0; i < g->lines; i++, point += 3) {
        es_vec3 start, direction;
        probe_beam(g, face_to_scene, i, &start, &direction);
        double depth = scene_trace(m->model, start, direction, g->depth_mm);
        es_vec3 hit = es_vec3_add(start, es_vec3_scale(direction, depth));
        point[0] = isfinite(depth) && meets(search, hit, direction) ? (float)hit.x : NAN;
        point[1] = (float)hit.y;
        point[2] = (float)hit.z;
    }
}

static size_t keep_hits(float *points, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(points[3 * i])) continue;
        memmove(points + 3 * kept, points + 3 * i, 3 * sizeof *points);
        kept++;
    }
    return kept;
}

float *es_simulation_first_hits(const es_simulation *simulation, double incidence_deg,
                                es_pool *pool, size_t *count, es_error *err) {
    motion m = {0};
    *count = 0;
    if (!lay_out(simulation, &m, err)) return NULL;
    size_t beams = (size_t)m.options.frames * (size_t)m.geometry.lines;
    hit_search search = {&m, incidence_deg < 90 ? cos(incidence_deg * DEGREE) : -INFINITY,
                         es_alloc(beams, 3 * sizeof(float), err)};
    if (search.points) {
        es_pool_run(pool, (size_t)m.options.frames, find_hits, &search);
        *count = keep_hits(search.points, beams);
    }
    motion_clear(&m);
    return search.points;
}
