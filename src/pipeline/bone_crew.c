/* Bone in many frames at once: one frame a task, one detector a worker, so
 * that the result is that of the frames alone. */
#include "echosolid/bone_flow.h"

const char *const es_bone_method_names[] = {"shadow", "foroughi", "network", NULL};

es_bone_method es_bone_method_default(void) {
    return es_network_is_built_in() ? ES_BONE_NETWORK : ES_BONE_SHADOW;
}

es_bone_method es_bone_second(es_bone_method method) {
    return method == ES_BONE_SHADOW ? ES_BONE_FOROUGHI : ES_BONE_SHADOW;
}

struct es_bone_crew {
    es_pool *pool;
    es_bone **detectors; /* one a worker */
    es_error errors[ES_BATCH];
};

es_bone_crew *es_bone_crew_new(const es_bone_options *options, es_pool *pool, es_error *err) {
    es_bone_crew *crew = es_alloc_zero(1, sizeof *crew, err);
    if (!crew) return NULL;
    int workers = es_pool_threads(pool);
    crew->pool = pool;
    crew->detectors = es_alloc_zero((size_t)workers, sizeof *crew->detectors, err);
    bool ok = crew->detectors != NULL;
    for (int i = 0; ok && i < workers; i++)
        ok = (crew->detectors[i] = es_bone_new(options, err)) != NULL;
    if (ok) return crew;
    es_bone_crew_free(crew);
    return NULL;
}

void es_bone_crew_free(es_bone_crew *crew) {
    if (!crew) return;
    for (int i = 0; crew->detectors && i < es_pool_threads(crew->pool); i++)
        es_bone_free(crew->detectors[i]);
    es_free(crew->detectors);
    es_free(crew);
}

double es_bone_crew_threshold(const es_bone_crew *crew) {
    return es_bone_threshold(crew->detectors[0]);
}

typedef struct task {
    es_bone_crew *crew;
    const es_frame *const *frames;
    es_trace *traces;
    bool (*look)(es_bone *, const es_image *, es_trace *, es_error *);
    bool ok[ES_BATCH];
} task;

static void look_at_one(void *context, size_t index, int worker) {
    task *t = context;
    t->ok[index] = t->look(t->crew->detectors[worker], &t->frames[index]->image, &t->traces[index],
                           &t->crew->errors[index]);
}

static bool run_crew(task *t, size_t count, es_error *err) {
    es_pool_run(t->crew->pool, count, look_at_one, t);
    for (size_t i = 0; i < count; i++) {
        if (t->ok[i]) continue;
        if (err) *err = t->crew->errors[i];
        return es_prefix(err, "frame %lld", (long long)t->frames[i]->index);
    }
    return true;
}

bool es_bone_crew_detect(es_bone_crew *crew, const es_frame *const *frames, size_t count,
                         es_trace *traces, es_error *err) {
    task t = {.crew = crew, .frames = frames, .traces = traces, .look = es_bone_detect};
    return run_crew(&t, count, err);
}

bool es_bone_crew_lines(es_bone_crew *crew, const es_frame *const *frames, size_t count,
                        es_trace *traces, es_error *err) {
    task t = {.crew = crew, .frames = frames, .traces = traces, .look = es_bone_lines};
    return run_crew(&t, count, err);
}

/* ---- bone as a channel of a volume ------------------------------------------------- */

struct es_bone_channel {
    es_bone_crew *crew;
    es_volume *volume;
    double spacing_mm[2];
    es_trace traces[ES_BATCH];
    es_image pictures[ES_BATCH];
};

es_bone_channel *es_bone_channel_new(const es_bone_options *options, es_pool *pool,
                                     es_volume *volume, es_error *err) {
    es_bone_channel *channel = es_alloc_zero(1, sizeof *channel, err);
    if (!channel) return NULL;
    channel->volume = volume;
    channel->spacing_mm[0] = options->spacing_mm[0];
    channel->spacing_mm[1] = options->spacing_mm[1];
    channel->crew = es_bone_crew_new(options, pool, err);
    if (channel->crew) return channel;
    es_bone_channel_free(channel);
    return NULL;
}

void es_bone_channel_free(es_bone_channel *channel) {
    if (!channel) return;
    es_bone_crew_free(channel->crew);
    for (int i = 0; i < ES_BATCH; i++) {
        es_trace_clear(&channel->traces[i]);
        es_image_clear(&channel->pictures[i]);
    }
    es_free(channel);
}

bool es_stage_bone(void *context, const es_frame *const *frames, const es_mat4 *image_to_reference,
                   size_t count, es_error *err) {
    es_bone_channel *c = context;
    const es_image *pictures[ES_BATCH];
    if (!es_bone_crew_detect(c->crew, frames, count, c->traces, err)) return false;
    for (size_t i = 0; i < count; i++) {
        const es_image *image = &frames[i]->image;
        pictures[i] = &c->pictures[i];
        if (!es_bone_paint(&c->traces[i], c->spacing_mm, image->width, image->height,
                           &c->pictures[i], err))
            return false;
    }
    return es_volume_insert(c->volume, pictures, image_to_reference, count, err);
}
