/* The pixels that count: inside the clip rectangle and inside the fan. The fan
 * is asked once for every pixel when the image size changes, and kept as runs
 * per row; the rows are then cut before any loop over pixels. */
#include <string.h>

#include "recon_internal.h"

void support_clear(support *s) {
    es_free(s->runs);
    es_free(s->row_first);
    *s = (support){0};
}

/* The clip rectangle inside the image: [from, to) along one axis. */
static void clip_axis(const es_recon_options *options, int axis, uint32_t size, uint32_t *from,
                      uint32_t *to) {
    *from = 0;
    *to = size;
    if (!options->has_clip) return;
    int64_t low = options->clip_origin[axis], high = low + options->clip_size[axis];
    if (low < 0) low = 0;
    if (high > size) high = size;
    *from = (uint32_t)(low < high ? low : 0);
    *to = (uint32_t)(low < high ? high : 0);
}

typedef struct run_list {
    run *runs;
    size_t count, capacity;
} run_list;

static bool add_run(run_list *list, uint32_t from, uint32_t to, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 1024;
        if (!es_resize(&list->runs, capacity, sizeof *list->runs, err)) return false;
        list->capacity = capacity;
    }
    list->runs[list->count++] = (run){from, to};
    return true;
}

/* The runs of one row within [from, to). */
static bool add_row(run_list *list, const es_fan *fan, uint32_t v, run clip, es_error *err) {
    if (fan->kind == ES_FAN_NONE)
        return clip.from == clip.to || add_run(list, clip.from, clip.to, err);
    int runs = 0;
    for (uint32_t u = clip.from; u < clip.to; u++) {
        if (!es_fan_contains(fan, u, v)) continue;
        uint32_t first = u;
        while (u < clip.to && es_fan_contains(fan, u, v)) u++;
        if (!add_run(list, first, u, err)) return false;
        if (++runs > CUTS)
            return es_fail(err, ES_UNSUPPORTED, "the fan cuts row %u into more than %d parts", v,
                           CUTS);
    }
    return true;
}

static void measure(support *s) {
    s->pixels = 0;
    s->most_runs = 0;
    s->box = (pixel_box){s->width, 0, s->height, 0};
    for (uint32_t v = 0; v < s->height; v++) {
        size_t runs = s->row_first[v + 1] - s->row_first[v];
        if (runs > s->most_runs) s->most_runs = runs;
        for (size_t i = s->row_first[v]; i < s->row_first[v + 1]; i++) {
            run r = s->runs[i];
            s->pixels += r.to - r.from;
            if (r.from < s->box.u0) s->box.u0 = r.from;
            if (r.to - 1 > s->box.u1) s->box.u1 = r.to - 1;
            if (v < s->box.v0) s->box.v0 = v;
            s->box.v1 = v;
        }
    }
    const uint64_t area = (uint64_t)(s->box.u1 - s->box.u0 + 1) * (s->box.v1 - s->box.v0 + 1);
    s->rectangle = s->most_runs == 1 && s->pixels == area;
}

bool support_make(support *s, const es_recon_options *options, uint32_t width, uint32_t height,
                  es_error *err) {
    if (s->row_first && s->width == width && s->height == height) return true;
    run_list list = {0};
    size_t *row_first = es_alloc((size_t)height + 1, sizeof *row_first, err);
    if (!row_first) return false;
    uint32_t from, to, top, bottom;
    clip_axis(options, 0, width, &from, &to);
    clip_axis(options, 1, height, &top, &bottom);
    bool ok = true;
    for (uint32_t v = 0; ok && v < height; v++) {
        row_first[v] = list.count;
        if (v >= top && v < bottom) ok = add_row(&list, &options->fan, v, (run){from, to}, err);
    }
    if (!ok) {
        es_free(list.runs);
        es_free(row_first);
        return false;
    }
    row_first[height] = list.count;
    support_clear(s);
    *s = (support){.width = width, .height = height, .runs = list.runs, .row_first = row_first};
    measure(s);
    return true;
}
