/* A recording of a wire phantom: what stands still, spots, poses. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

enum { SAMPLES = 64, LEAST_SAMPLES = 20, GROW_PX = 2, CHANGING_SHARE = 2000 };
/* Text keeps its grey but for the noise of a grabber; echoes do not. */
static const int STILL_LEVEL = 30, STILL_CHANGE = 12;

/* ---- what stands still ------------------------------------------------------------------- */

typedef struct still_search {
    es_image low, high, bytes;
    int samples;
} still_search;

/* Least and greatest value that each pixel had. */
static bool see(still_search *s, const es_image *picture, es_error *err) {
    const es_image *grey = picture;
    if (picture->type != ES_U8 || picture->channels != 1) {
        if (!es_image_to_f32(picture, &s->bytes, err)) return false;
        if (picture->type != ES_U8) return true; /* no screen has such pixels */
        const float *from = s->bytes.data;
        uint8_t *to = s->bytes.data;
        for (size_t i = 0; i < (size_t)picture->width * picture->height; i++)
            to[i] = (uint8_t)fminf(255, fmaxf(0, from[i]));
        s->bytes.type = ES_U8;
        grey = &s->bytes;
    }
    if (s->samples++ == 0)
        return es_image_copy(grey, &s->low, err) && es_image_copy(grey, &s->high, err);
    if (s->low.width != grey->width || s->low.height != grey->height)
        return es_fail(err, ES_FORMAT, "the picture's size changes within the recording");
    const uint8_t *p = grey->data;
    uint8_t *low = s->low.data, *high = s->high.data;
    for (size_t i = 0; i < (size_t)grey->width * grey->height; i++) {
        low[i] = p[i] < low[i] ? p[i] : low[i];
        high[i] = p[i] > high[i] ? p[i] : high[i];
    }
    return true;
}

static void mark(uint8_t *mask, const es_image *size, int u, int v) {
    for (int y = v - GROW_PX; y <= v + GROW_PX; y++)
        for (int x = u - GROW_PX; x <= u + GROW_PX; x++)
            if (x >= 0 && y >= 0 && x < (int)size->width && y < (int)size->height)
                mask[(size_t)y * size->width + (size_t)x] = 1;
}

/* Nothing is ignored when hardly anything changes: then the probe stands still,
 * and the poses will say so. (What is bright is no measure: at a low gain that
 * is the text alone.) */
static bool make_mask(still_search *s, es_image *mask, size_t *still, es_error *err) {
    size_t changing = 0;
    const uint8_t *low = s->low.data, *high = s->high.data;
    if (!es_image_resize(mask, ES_U8, 1, s->low.width, s->low.height, err)) return false;
    uint8_t *m = mask->data;
    memset(m, 0, es_image_bytes(mask));
    *still = 0;
    if (s->samples < LEAST_SAMPLES) return true;
    for (int v = 0; v < (int)mask->height; v++)
        for (int u = 0; u < (int)mask->width; u++) {
            size_t i = (size_t)v * mask->width + (size_t)u;
            changing += high[i] - low[i] > STILL_CHANGE;
            if (low[i] <= STILL_LEVEL || high[i] - low[i] > STILL_CHANGE) continue;
            (*still)++;
            mark(m, mask, u, v);
        }
    if (changing > (size_t)mask->width * mask->height / CHANGING_SHARE) return true;
    memset(m, 0, es_image_bytes(mask));
    *still = 0;
    return true;
}

static bool find_still(es_source *source, es_image *mask, size_t *still, es_error *err) {
    still_search s = {.samples = 0};
    es_frame frame = {0};
    bool end = false, ok = true;
    int64_t total = es_source_info(source)->frame_count,
            step = total > SAMPLES ? total / SAMPLES : 1;
    for (int64_t i = 0; ok && !end && s.samples < SAMPLES; i++) {
        bool wanted = i % step == 0;
        ok = es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (ok && !end && wanted && frame.has_image) ok = see(&s, &frame.image, err);
    }
    if (ok && s.samples > 0 && s.low.data) ok = make_mask(&s, mask, still, err);
    ok = ok && es_source_rewind(source, err);
    es_frame_clear(&frame);
    es_image_clear(&s.low);
    es_image_clear(&s.high);
    es_image_clear(&s.bytes);
    return ok;
}

/* ---- frames --------------------------------------------------------------------------------- */

static bool grow(es_wire_recording *r, bool pictures, es_error *err) {
    if (r->count < r->capacity) return true;
    size_t capacity = r->capacity ? 2 * r->capacity : 128;
    if (!es_resize(&r->frames, capacity, sizeof *r->frames, err) ||
        !es_resize(&r->whys, capacity, sizeof *r->whys, err) ||
        (pictures && !es_resize(&r->spots, capacity, sizeof *r->spots, err)))
        return false;
    r->capacity = capacity;
    return true;
}

static void not_used(es_wire_reject *why, const char *step, const char *reason) {
    snprintf(why->step, sizeof why->step, "%s", step);
    snprintf(why->reason, sizeof why->reason, "%s", reason);
}

/* Starts the next frame of the list. */
static bool add(es_wire_recording *r, const es_frame *frame, bool pictures, es_error *err) {
    if (!grow(r, pictures, err)) return false;
    es_wire_frame *f = &r->frames[r->count];
    memset(f, 0, sizeof *f);
    memset(&r->whys[r->count], 0, sizeof *r->whys);
    if (pictures) r->spots[r->count].count = 0;
    f->index = r->whys[r->count].index = frame->index;
    f->time_s = frame->has_time ? frame->time_s : NAN;
    r->count++;
    return true;
}

static bool add_picture(es_wire_recording *r, es_dot_finder *finder, const es_frame *frame,
                        const es_image *mask, es_error *err) {
    if (!add(r, frame, true, err)) return false;
    es_wire_spots *spots = &r->spots[r->count - 1];
    if (!frame->has_image) {
        not_used(&r->whys[r->count - 1], "image", "the frame has no valid picture");
        return true;
    }
    r->width = frame->image.width;
    r->height = frame->image.height;
    const es_image *ignore = r->still_pixels > 0 && mask->width == frame->image.width &&
                                     mask->height == frame->image.height
                                 ? mask
                                 : NULL;
    return es_dots_find(finder, &frame->image, ignore, spots->dots, &spots->count, err);
}

static bool read_pictures(es_source *source, const es_progress *progress, es_wire_recording *r,
                          es_error *err) {
    es_image mask = {0};
    es_frame frame = {0};
    es_dot_finder *finder = es_dot_finder_new(err);
    double total = (double)es_source_info(source)->frame_count;
    bool end = false, ok = finder && find_still(source, &mask, &r->still_pixels, err);
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end) {
        ok = add_picture(r, finder, &frame, &mask, err) && !es_cancelled(err);
        es_progress_step(progress, "finding the wires", (double)r->count, total);
    }
    if (ok && r->count == 0) ok = es_fail(err, ES_GEOMETRY, "the recording is empty");
    if (ok && r->width == 0)
        ok = es_fail(err, ES_GEOMETRY, "none of the %zu frames has a valid picture", r->count);
    es_dot_finder_free(finder);
    es_frame_clear(&frame);
    es_image_clear(&mask);
    return ok;
}

/* ---- results files -----------------------------------------------------------------------------
 */

/* Dots of whole rows; `named` counts dots whose name is a wire's. */
static void take_named(const es_wire_phantom *phantom, const es_frame *frame, es_wire_frame *f,
                       size_t *named) {
    for (int w = 0; w < 3 * phantom->patterns; w++) {
        char key[48];
        double at[3];
        snprintf(key, sizeof key, "Dot.%s", phantom->wires[w].name);
        const char *text = es_fields_get(&frame->fields, key);
        f->seen[w] = text && es_parse_doubles(text, at, 3) >= 2 && isfinite(at[0] + at[1]);
        if (!f->seen[w]) continue;
        f->dots[w][0] = at[0];
        f->dots[w][1] = at[1];
        (*named)++;
    }
}

static void find_middle(es_wire_recording *r) {
    double sum[2] = {0, 0}, n = 0;
    r->middle_px[0] = 0.5 * (r->width - 1);
    r->middle_px[1] = 0.5 * (r->height - 1);
    for (size_t i = 0; i < r->count * ES_WIRES_MAX && r->width == 0; i++) {
        const es_wire_frame *f = &r->frames[i / ES_WIRES_MAX];
        if (!f->seen[i % ES_WIRES_MAX]) continue;
        for (int k = 0; k < 2; k++) sum[k] += f->dots[i % ES_WIRES_MAX][k];
        n++;
    }
    for (int k = 0; k < 2 && n > 0; k++) r->middle_px[k] = sum[k] / n;
}

static bool has_dots(const es_frame *frame) {
    for (size_t i = 0; i < frame->fields.count; i++)
        if (strncmp(frame->fields.items[i].key, "Dot.", 4) == 0) return true;
    return false;
}

static bool read_named(es_source *source, const es_wire_phantom *phantom, es_wire_recording *r,
                       es_error *err) {
    es_frame frame = {0};
    size_t named = 0, dotted = 0;
    bool end = false, ok = true;
    while (ok && (ok = es_source_next(source, &frame, 0, &end, err)) && !end) {
        ok = add(r, &frame, false, err);
        if (!ok) break;
        dotted += has_dots(&frame);
        es_wire_frame *f = &r->frames[r->count - 1];
        take_named(phantom, &frame, f, &named);
        bool any = false;
        for (int w = 0; w < 3 * phantom->patterns; w++) any = any || f->seen[w];
        if (!any)
            not_used(&r->whys[r->count - 1], "dots", "the results file has no dots for this frame");
    }
    if (ok && named == 0)
        ok = es_fail(err, ES_FORMAT,
                     dotted ? "the dots of the results file belong to other wires than the "
                              "phantom's (%s, ...): another phantom definition?"
                            : "no frame of the results file has dots (of wires such as %s)",
                     phantom->wires[0].name);
    es_frame_clear(&frame);
    return ok;
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

/* Times of the frames; numbers where no frame has one. In a recording with
 * times, frames without are of no use. */
static void set_times(es_wire_recording *r) {
    r->poses.timed = false;
    for (size_t k = 0; k < r->count; k++)
        r->poses.timed = r->poses.timed || isfinite(r->frames[k].time_s);
    for (size_t k = 0; k < r->count; k++) {
        if (!r->poses.timed) r->frames[k].time_s = (double)k;
        r->poses.times_s[k] = r->frames[k].time_s;
        if (!isnan(r->frames[k].time_s)) continue;
        not_used(&r->whys[k], "image", "the frame has no time stamp");
        r->poses.valid[k] = false;
    }
}

static bool make_track(es_wire_recording *r, es_error *err) {
    r->track_times_s = es_alloc(r->count, sizeof *r->track_times_s, err);
    r->track = es_alloc(r->count, sizeof *r->track, err);
    if (!r->track_times_s || !r->track) return false;
    for (size_t k = 0; k < r->count; k++) {
        double time = r->poses.times_s[k];
        if (isnan(time)) continue;
        size_t n = r->track_count;
        if (n > 0 && !(time >= r->track_times_s[n - 1]))
            return es_fail(
                err, ES_GEOMETRY,
                "time stamps go back from %.4f to %.4f s at frame %zu: two recordings in "
                "one file?",
                r->track_times_s[n - 1], time, k);
        r->track_times_s[n] = time;
        r->track[n] = r->poses.poses[k];
        r->track_count++;
    }
    return true;
}

bool es_wire_recording_read(es_source *source, const es_plus *plus, const char *pose,
                            const es_wire_phantom *phantom, const es_progress *progress,
                            es_wire_recording *recording, es_error *err) {
    memset(recording, 0, sizeof *recording);
    const es_stream_info *info = es_source_info(source);
    bool results = strcmp(info->format, "plus-results") == 0;
    bool ok = results || info->width > 0 ||
              es_fail(err, ES_GEOMETRY,
                      "the recording has poses but no pictures: the wires are seen in pictures");
    ok = ok && es_pose_list_read(source, plus, pose, &recording->poses, err) &&
         es_source_rewind(source, err) &&
         (results ? read_named(source, phantom, recording, err)
                  : read_pictures(source, progress, recording, err));
    if (ok && recording->count != recording->poses.count)
        ok = es_fail(err, ES_IO, "the recording changed while it was read");
    if (ok) {
        set_times(recording);
        find_middle(recording);
    }
    ok = ok && make_track(recording, err);
    if (!ok) es_wire_recording_clear(recording);
    return ok;
}

void es_wire_recording_clear(es_wire_recording *recording) {
    es_free(recording->frames);
    es_free(recording->spots);
    es_free(recording->whys);
    es_pose_list_clear(&recording->poses);
    es_free(recording->track_times_s);
    es_free(recording->track);
    memset(recording, 0, sizeof *recording);
}
