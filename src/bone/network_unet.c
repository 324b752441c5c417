/* A U-Net (Ronneberger, Fischer and Brox 2015): the picture goes down through
 * levels of half the size each, and back up with what each level saw joined
 * in, so that every pixel's answer rests on its surroundings and is still
 * sharp. A level is two 3 x 3 convolutions each way; batch normalisation is
 * already part of the weights.
 *
 * network_internal.h explains how a plane lies in memory. All planes of a run
 * are one block, made when the picture's size changes and kept. */
#include <string.h>

#include "network_internal.h"

enum { ALIGN = 16 }; /* floats */

/* The planes of one level. */
struct level {
    uint32_t width, height;
    size_t stride, length, front, plane; /* floats: of a row, of all rows, before, altogether */
    float *in, *middle, *skip, *up;      /* what comes in, between two convolutions, after them,
                                            and from the level below */
};

struct unet_run {
    const struct unet *net;
    network_kernel *kernel;
    const float **taps;
    uint32_t width, height; /* of the planes now; 0: none */
    struct level level[NETWORK_LEVELS];
    float *phase; /* with a stem: the four phases of each input */
    float *head;  /* TILE_OUTS planes of logits */
    float *storage;
    size_t capacity;
};

static void run_free(void *self) {
    struct unet_run *run = self;
    if (!run) return;
    es_free(run->taps);
    es_free(run->storage);
    es_free(run);
}

static void *run_new(const es_network *network, es_error *err) {
    struct unet_run *run = es_alloc_zero(1, sizeof *run, err);
    es_cpu level;
    if (!run) return NULL;
    run->net = network->unet;
    run->taps = es_alloc((size_t)NETWORK_WIDEST * 2 * 9, sizeof *run->taps, err);
    if (run->taps && es_cpu_level(&level, err)) {
        run->kernel = network_kernel_find(level);
        return run;
    }
    run_free(run);
    return NULL;
}

/* ---- planes ---------------------------------------------------------------------- */

static size_t rounded(size_t count) { return (count + ALIGN - 1) / ALIGN * ALIGN; }

static void size_level(struct level *l, uint32_t width, uint32_t height) {
    l->width = width;
    l->height = height;
    l->stride = (size_t)width + 1;
    l->length = l->stride * height;
    l->front = rounded(l->stride + 1);
    l->plane = rounded(l->front + l->length + l->stride + 1 + TILE_MOST);
}

/* The next `count` planes of the block; with a NULL base only counts. */
static float *next_planes(float *base, size_t *used, const struct level *l, int count) {
    float *at = base ? base + *used + l->front : NULL;
    *used += (size_t)count * l->plane;
    return at;
}

/* Where everything lies; returns how many floats that takes. */
static size_t lay_out(struct unet_run *run, float *base) {
    const struct unet *net = run->net;
    size_t used = 0;
    struct level *top = &run->level[0];
    for (int i = 0; i < net->levels; i++) {
        struct level *l = &run->level[i];
        int ins = i ? net->widths[i - 1] : net->stem ? net->widths[0] : net->inputs;
        l->in = next_planes(base, &used, l, ins);
        l->middle = next_planes(base, &used, l, net->widths[i]);
        l->skip = next_planes(base, &used, l, net->widths[i]);
        l->up = i + 1 < net->levels ? next_planes(base, &used, l, net->widths[i + 1]) : NULL;
    }
    run->phase = net->stem ? next_planes(base, &used, top, 4 * net->inputs) : NULL;
    run->head = next_planes(base, &used, top, TILE_OUTS);
    return used;
}

static bool make_planes(struct unet_run *run, uint32_t width, uint32_t height, es_error *err) {
    uint32_t least = 1u << (run->net->levels - 1 + run->net->stem);
    uint32_t w = (width + least - 1) / least * least, h = (height + least - 1) / least * least;
    if (w == run->width && h == run->height) return true;
    run->width = run->height = 0;
    for (int i = 0; i < run->net->levels; i++)
        size_level(&run->level[i], w >> (i + run->net->stem), h >> (i + run->net->stem));
    size_t needed = lay_out(run, NULL);
    if (needed > run->capacity) {
        if (!es_resize(&run->storage, needed, sizeof *run->storage, err)) return false;
        run->capacity = needed;
    }
    memset(run->storage, 0, needed * sizeof *run->storage);
    lay_out(run, run->storage);
    run->width = w;
    run->height = h;
    return true;
}

/* ---- the steps -------------------------------------------------------------------- */

/* Zeros again where a kernel wrote past the rows. */
static void clear_margin(const struct level *l, float *plane) {
    for (uint32_t y = 0; y < l->height; y++) plane[y * l->stride + l->width] = 0;
    memset(plane + l->length, 0, TILE_MOST * sizeof *plane);
}

static void run_kernel(const struct unet_run *run, const struct conv *c, const struct level *l,
                       bool relu, float *out) {
    size_t count = (size_t)(c->ins * c->side * c->side);
    for (int first = 0; first < c->outs; first += TILE_OUTS) {
        struct taps taps = {run->taps, c->weight + (size_t)first * count, count};
        float *outs[TILE_OUTS];
        for (int o = 0; o < TILE_OUTS; o++) outs[o] = out + (size_t)(first + o) * l->plane;
        run->kernel(&taps, c->bias + first, relu, l->length, outs);
        for (int o = 0; o < TILE_OUTS; o++) clear_margin(l, outs[o]);
    }
}

/* One convolution over `from` planes of `first`, the others of `second`. */
static void convolve(const struct unet_run *run, const struct conv *c, const struct level *l,
                     const float *first, int from, const float *second, bool relu, float *out) {
    size_t count = 0;
    ptrdiff_t reach = c->side / 2, stride = (ptrdiff_t)l->stride;
    for (int i = 0; i < c->ins; i++) {
        const float *in =
            i < from ? first + (size_t)i * l->plane : second + (size_t)(i - from) * l->plane;
        for (ptrdiff_t y = -reach; y <= reach; y++)
            for (ptrdiff_t x = -reach; x <= reach; x++) run->taps[count++] = in + y * stride + x;
    }
    run_kernel(run, c, l, relu, out);
}

/* The stem's stride of two: a tap left of (above) a pixel's pair lies in the
 * odd phase of the pair before it. */
static void convolve_stem(const struct unet_run *run, const struct conv *c) {
    const struct level *l = &run->level[0];
    size_t count = 0;
    for (int i = 0; i < c->ins; i++)
        for (int y = 0; y < 3; y++)
            for (int x = 0; x < 3; x++) {
                int phase = 2 * (y != 1) + (x != 1);
                const float *in = run->phase + (size_t)(4 * i + phase) * l->plane;
                run->taps[count++] = in - (y == 0 ? l->stride : 0) - (x == 0);
            }
    run_kernel(run, c, l, true, l->in);
}

static float larger(float a, float b) { return a > b ? a : b; }

static void pool(const struct level *from, const float *in, int planes, const struct level *to,
                 float *out) {
    for (int i = 0; i < planes; i++, in += from->plane, out += to->plane)
        for (uint32_t y = 0; y < to->height; y++) {
            const float *a = in + 2 * y * from->stride, *b = a + from->stride;
            float *row = out + y * to->stride;
            for (uint32_t x = 0; x < to->width; x++)
                row[x] = larger(larger(a[2 * x], a[2 * x + 1]), larger(b[2 * x], b[2 * x + 1]));
        }
}

static void enlarge(const struct level *from, const float *in, int planes, const struct level *to,
                    float *out) {
    for (int i = 0; i < planes; i++, in += from->plane, out += to->plane)
        for (uint32_t y = 0; y < to->height; y++) {
            const float *source = in + y / 2 * from->stride;
            float *row = out + y * to->stride;
            for (uint32_t x = 0; x < from->width; x++) row[2 * x] = row[2 * x + 1] = source[x];
        }
}

/* ---- in and out --------------------------------------------------------------------- */

/* Where pixel (x, y) of input `channel` lies: in its plane, or in its phase. */
static float *input_pixel(const struct unet_run *run, int channel, uint32_t x, uint32_t y) {
    const struct level *l = &run->level[0];
    if (!run->net->stem) return l->in + (size_t)channel * l->plane + y * l->stride + x;
    size_t phase = 4 * (size_t)channel + 2 * (y & 1) + (x & 1);
    return run->phase + phase * l->plane + y / 2 * l->stride + x / 2;
}

/* Channel 0 is grey, black where the picture was padded; channel 1 the row as a
 * share of the padded height. */
static void put_input(const struct unet_run *run, const float *grey, uint32_t width,
                      uint32_t height) {
    for (int channel = 0; channel < run->net->inputs; channel++)
        for (uint32_t y = 0; y < run->height; y++) {
            float depth = ((float)y + 0.5f) / (float)run->height;
            const float *row = y < height ? grey + (size_t)y * width : NULL;
            for (uint32_t x = 0; x < run->width; x++)
                *input_pixel(run, channel, x, y) = channel ? depth : row && x < width ? row[x] : 0;
        }
}

/* Half-resolution logits at a full-resolution pixel: bilinear, edges go on. */
static float between(const struct level *l, const float *plane, uint32_t x, uint32_t y) {
    uint32_t x0 = x & 1 ? x / 2 : x / 2 - (x > 0), y0 = y & 1 ? y / 2 : y / 2 - (y > 0);
    uint32_t x1 = x0 + 1 < l->width ? x0 + 1 : x0, y1 = y0 + 1 < l->height ? y0 + 1 : y0;
    float fx = x == 0 ? 0 : x & 1 ? 0.25f : 0.75f, fy = y == 0 ? 0 : y & 1 ? 0.25f : 0.75f;
    const float *a = plane + y0 * l->stride, *b = plane + y1 * l->stride;
    float top = a[x0] + fx * (a[x1] - a[x0]), bottom = b[x0] + fx * (b[x1] - b[x0]);
    return top + fy * (bottom - top);
}

static void get_output(const struct unet_run *run, uint32_t width, uint32_t height, float *logits) {
    const struct level *l = &run->level[0];
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            logits[(size_t)y * width + x] =
                run->net->stem ? between(l, run->head, x, y) : run->head[y * l->stride + x];
}

static bool apply(void *self, const float *grey, uint32_t width, uint32_t height, float *logits,
                  es_error *err) {
    struct unet_run *run = self;
    const struct unet *net = run->net;
    const struct conv *c = net->conv;
    if (!make_planes(run, width, height, err)) return false;
    put_input(run, grey, width, height);
    if (net->stem) convolve_stem(run, c++);
    for (int i = 0; i < net->levels; i++) {
        const struct level *l = &run->level[i], *above = l - 1;
        if (i) pool(above, above->skip, net->widths[i - 1], l, l->in);
        convolve(run, c, l, l->in, c->ins, NULL, true, l->middle);
        convolve(run, c + 1, l, l->middle, net->widths[i], NULL, true, l->skip);
        c += 2;
    }
    for (int i = net->levels - 2; i >= 0; i--) {
        const struct level *l = &run->level[i], *below = l + 1;
        enlarge(below, below->skip, net->widths[i + 1], l, l->up);
        convolve(run, c, l, l->skip, net->widths[i], l->up, true, l->middle);
        convolve(run, c + 1, l, l->middle, net->widths[i], NULL, true, l->skip);
        c += 2;
    }
    convolve(run, c, &run->level[0], run->level[0].skip, net->widths[0], NULL, false, run->head);
    get_output(run, width, height, logits);
    return true;
}

static void free_network(es_network *network) { unet_free(network->unet); }

const struct network_kind network_kind_unet = {free_network, run_new, run_free, apply};
