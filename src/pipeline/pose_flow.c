/* How the pictures of a recording moved, at a few places of a few frames: what
 * a right reading of the poses must foretell.
 *
 * Anchors are spread over the recording. At each, the picture is compared with
 * those 1, 2, 4 and 8 frames before, in five windows. Big pictures are first
 * made smaller by averaging, which also quiets the speckle. A window that
 * seems to stand still is left out, since borders and printed text stand still
 * whatever the probe does. */
#include <math.h>
#include <string.h>

#include "pose_internal.h"

enum { ANCHORS = 32, BACK = 8, WINDOW = 64, PLACES = 5, SIDE = 320 };
static const double LEAST_RESPONSE = 0.42;
static const double LEAST_SHIFT_PX = 0.5; /* of the smaller picture */
static const double MOST_SHIFT = 0.45;    /* of the window; more may be an alias */

typedef struct flow_work {
    es_flow_plan *plan;
    uint32_t window, factor;
    es_image grey, ring[BACK + 1];
    size_t in_ring; /* frames of the run that are in the ring */
    pose_flow *flow;
} flow_work;

/* The mean of factor x factor pixels. */
static bool shrink(const es_image *from, uint32_t factor, es_image *to, es_error *err) {
    uint32_t width = from->width / factor, height = from->height / factor;
    if (!es_image_resize(to, ES_F32, 1, width, height, err)) return false;
    const float *in = from->data;
    float *out = to->data;
    for (uint32_t v = 0; v < height; v++)
        for (uint32_t u = 0; u < width; u++) {
            float sum = 0;
            for (uint32_t y = 0; y < factor; y++)
                for (uint32_t x = 0; x < factor; x++)
                    sum += in[(size_t)(v * factor + y) * from->width + u * factor + x];
            out[(size_t)v * width + u] = sum / (float)(factor * factor);
        }
    return true;
}

static bool add_match(pose_flow *flow, pose_match match, es_error *err) {
    if (flow->count == flow->capacity) {
        size_t room = flow->capacity ? 2 * flow->capacity : 256;
        if (!es_resize(&flow->matches, room, sizeof *flow->matches, err)) return false;
        flow->capacity = room;
    }
    flow->matches[flow->count++] = match;
    return true;
}

/* The middle, and the middles of the quarters. */
static void window_place(const flow_work *w, const es_image *image, int place, uint32_t *u0,
                         uint32_t *v0) {
    static const uint32_t quarters[PLACES][2] = {{2, 2}, {1, 1}, {3, 1}, {1, 3}, {3, 3}};
    uint32_t free_u = image->width - w->window, free_v = image->height - w->window;
    *u0 = free_u * quarters[place][0] / 4;
    *v0 = free_v * quarters[place][1] / 4;
}

static bool compare(flow_work *w, size_t i, size_t j, es_error *err) {
    const es_image *a = &w->ring[i % (BACK + 1)], *b = &w->ring[j % (BACK + 1)];
    for (int place = 0; place < PLACES; place++) {
        uint32_t u0, v0;
        es_shift s;
        window_place(w, a, place, &u0, &v0);
        if (!es_flow_shift(w->plan, a, b, u0, v0, &s, err)) return false;
        w->flow->tried++;
        double length = hypot(s.u_px, s.v_px);
        if (s.response < LEAST_RESPONSE || length < LEAST_SHIFT_PX ||
            length > MOST_SHIFT * w->window)
            continue;
        double middle = 0.5 * (w->window - 1), f = w->factor;
        pose_match m = {
            i,          j,         (u0 + middle + 0.5) * f - 0.5, (v0 + middle + 0.5) * f - 0.5,
            s.u_px * f, s.v_px * f};
        if (!add_match(w->flow, m, err)) return false;
    }
    return true;
}

/* Frame f has come: into the ring, and at an anchor against those before. */
static bool take_picture(flow_work *w, size_t f, const es_frame *frame, bool anchor,
                         es_error *err) {
    if (!frame->has_image) {
        w->in_ring = 0;
        return true;
    }
    if (!es_image_to_f32(&frame->image, &w->grey, err) ||
        !shrink(&w->grey, w->factor, &w->ring[f % (BACK + 1)], err))
        return false;
    w->in_ring++;
    for (size_t k = 1; anchor && k <= BACK; k *= 2)
        if (w->in_ring > k && !compare(w, f - k, f, err)) return false;
    return true;
}

static bool prepare(flow_work *w, const es_stream_info *info, es_error *err) {
    uint32_t least = info->width < info->height ? info->width : info->height;
    w->factor = least / SIDE + 1;
    w->window = WINDOW;
    while (w->window > 16 && 2 * w->window > least / w->factor) w->window /= 2;
    if (least / w->factor < w->window) return true; /* too small: no plan, no matches */
    w->plan = es_flow_plan_new(w->window, err);
    return w->plan != NULL;
}

static bool run(es_source *source, size_t frames, flow_work *w, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    size_t step = frames / ANCHORS > 1 ? frames / ANCHORS : 1;
    for (size_t f = 0; ok && f < frames; f++) {
        /* Pixels only of anchors and what they look back at. */
        bool anchor = f > 0 && f % step == 0;
        size_t next = (f + step - 1) / step * step;
        ok = es_source_next(source, &frame, next - f <= BACK ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        if (next - f <= BACK)
            ok = take_picture(w, f, &frame, anchor, err);
        else
            w->in_ring = 0;
    }
    es_frame_clear(&frame);
    return ok;
}

bool pose_flow_measure(es_source *source, size_t frames, pose_flow *flow, es_error *err) {
    flow_work w = {.flow = flow};
    memset(flow, 0, sizeof *flow);
    const es_stream_info *info = es_source_info(source);
    if (!info->width || frames < 2) return true;
    bool ok = prepare(&w, info, err);
    if (ok && w.plan) ok = run(source, frames, &w, err) && es_source_rewind(source, err);
    double sum = 0;
    for (size_t m = 0; m < flow->count; m++)
        sum +=
            flow->matches[m].du * flow->matches[m].du + flow->matches[m].dv * flow->matches[m].dv;
    flow->rms_px = flow->count ? sqrt(sum / (double)flow->count) : 0;
    es_image_clear(&w.grey);
    for (int i = 0; i <= BACK; i++) es_image_clear(&w.ring[i]);
    es_flow_plan_free(w.plan);
    return ok;
}

void pose_flow_clear(pose_flow *flow) {
    es_free(flow->matches);
    memset(flow, 0, sizeof *flow);
}
