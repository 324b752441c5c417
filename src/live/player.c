/* A recording, or a simulation, served in real time as PlusServer would. */
#include <math.h>
#include <pthread.h>
#include <time.h>

#include "frame_list.h"
#include "outgo.h"

static void sleep_s(double seconds) {
    struct timespec pause = {.tv_nsec = (long)(fmin(seconds, 0.05) * 1e9)};
    if (seconds > 0) nanosleep(&pause, NULL);
}

static bool may_go_on(const es_live_play_options *o) { return !o->stop || !o->stop(o->context); }

/* Waits for the moment `due_s` of es_clock_s. */
static bool wait_until(const es_live_play_options *o, double due_s) {
    for (;;) {
        double rest = due_s - es_clock_s();
        if (!may_go_on(o)) return false;
        if (rest <= 0) return true;
        sleep_s(rest);
    }
}

static bool wait_for_client(es_live_server *server, const es_live_play_options *o) {
    while (es_live_server_statistics(server).clients == 0) {
        if (!may_go_on(o)) return false;
        sleep_s(0.01);
    }
    return true;
}

/* One pass over the recording. */
typedef struct pass {
    es_live_server *server;
    es_source *source;
    const es_live_play_options *o;
    double start_s, start_unix_s;
    double first_s, offset_s, last_s; /* of the frames' times */
    int64_t frames;
} pass;

/* The frame's time since the first one; by the rate where it says none. */
static double since_first(pass *p, const es_frame *frame) {
    double rate = p->o->rate_hz;
    if (!frame->has_time || rate > 0) return (double)p->frames / (rate > 0 ? rate : 25);
    if (p->frames == 0) p->first_s = frame->time_s;
    return frame->time_s - p->first_s;
}

static bool send_frame(pass *p, const es_frame *frame, es_error *err) {
    es_igtl_out out = {0};
    uint64_t time = es_igtl_time(p->start_unix_s + p->last_s);
    es_frame sent = *frame; /* its transforms are the tracker's to tell, where there is one */
    if (p->o->natnet) sent.transform_count = 0;
    if (frame->has_image) outgo_picture(&out, &sent, "Image_Image", NULL, time);
    for (size_t i = 0; i < sent.transform_count; i++)
        outgo_transform(&out, &sent.transforms[i], time);
    if (p->o->natnet) es_natnet_host_put(p->o->natnet, frame, p->start_s + p->last_s);
    bool ok = es_live_server_send(p->server, &out, false);
    es_igtl_out_clear(&out);
    return ok || es_fail(err, ES_MEMORY, "out of memory");
}

static bool play_once(pass *p, es_error *err) {
    es_frame frame = {0};
    bool ok = true, end = false, go_on = true;
    p->frames = 0;
    while (ok && go_on) {
        ok = es_source_next(p->source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        p->last_s = p->offset_s + since_first(p, &frame);
        go_on = wait_until(p->o, p->start_s + p->last_s);
        if (go_on) ok = send_frame(p, &frame, err);
        p->frames++;
    }
    es_frame_clear(&frame);
    return ok && go_on;
}

/* All frames into memory: making them takes longer than their time. */
static bool preload(es_source *source, const es_live_play_options *o, frame_list *list,
                    es_error *err) {
    es_frame frame = {0};
    uint64_t bytes = 0;
    bool ok = true, end = false;
    while (ok && may_go_on(o)) {
        ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err);
        if (!ok || end) break;
        bytes += es_image_bytes(&frame.image);
        ok = bytes <= o->preload_bytes
                 ? frame_list_add(list, &frame, err)
                 : es_fail(err, ES_MEMORY,
                           "more than %llu MB of pictures; write them to a file and replay that",
                           (unsigned long long)(o->preload_bytes / 1000000));
    }
    es_frame_clear(&frame);
    return ok;
}

/* A tracker is asked for its bodies before anything moves. */
static bool learn_bodies(es_source *source, const es_live_play_options *o, es_error *err) {
    es_frame frame = {0};
    bool end = false;
    if (!o->natnet || !es_source_can_rewind(source)) return true;
    bool ok = es_source_next(source, &frame, 0, &end, err);
    if (ok && !end) es_natnet_host_learn(o->natnet, &frame);
    es_frame_clear(&frame);
    return ok && es_source_rewind(source, err);
}

static bool play(es_live_server *server, es_source *source, const es_live_play_options *options,
                 int64_t *frames, es_error *err) {
    pass p = {.server = server, .source = source, .o = options};
    es_error why = {0};
    *frames = 0;
    if (!learn_bodies(source, options, err)) return false;
    bool ok = true, again = wait_for_client(server, options);
    p.start_s = es_clock_s() + 0.1; /* time for the client to say hello */
    p.start_unix_s = es_igtl_seconds(outgo_now()) + 0.1;
    while (again) {
        again = play_once(&p, &why);
        ok = why.code == ES_OK;
        *frames += p.frames;
        again = again && options->repeat && p.frames > 0 && es_source_can_rewind(source) &&
                es_source_rewind(source, &why);
        p.offset_s =
            p.last_s + (p.frames > 1 ? (p.last_s - p.offset_s) / (double)(p.frames - 1) : 0.04);
    }
    if (!ok && err) *err = why;
    /* What was sent last is still on its way. */
    for (int i = 0; ok && i < 20 && es_live_server_waiting(server) > 0; i++) sleep_s(0.05);
    return ok;
}

bool es_live_play(es_live_server *server, es_source *source, const es_live_play_options *options,
                  int64_t *frames, es_error *err) {
    *frames = 0;
    if (options->preload_bytes == 0) return play(server, source, options, frames, err);
    frame_list list = {0};
    es_source *loaded = preload(source, options, &list, err)
                            ? frame_list_source(&list, es_source_info(source), err)
                            : NULL;
    bool ok = loaded && play(server, loaded, options, frames, err);
    es_source_free(loaded);
    frame_list_clear(&list);
    return ok;
}
