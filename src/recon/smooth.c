/* The distance field out of its bricks, through a Gaussian on (w d, w).
 *
 * Normalised convolution (Knutsson and Westin 1993): both sums are smoothed
 * and then divided, so that voxels count by their weight. A third channel, 1
 * where a voxel was seen, tells how much of the kernel fell on data. Each brick
 * is a task that gathers its voxels and those round them, and writes its own. */
#include <math.h>
#include <string.h>

#include "recon_internal.h"

enum {
    MOST_RADIUS = ES_BRICK - 1,
    BLOCK = ES_BRICK + 2 * MOST_RADIUS,
    CHANNELS = 3, /* w d, w, seen */
};

typedef struct scratch {
    float block[BLOCK * BLOCK * BLOCK], lines[BLOCK * BLOCK * ES_BRICK];
    float planes[BLOCK * ES_BRICK * ES_BRICK];
    float out[CHANNELS][ES_BRICK_VOXELS];
} scratch;

typedef struct smoother {
    const es_distance *distance;
    es_bricks *bricks; /* brick i is cell i */
    scratch *scratch;  /* one per worker */
    int radius;
    float kernel[2 * MOST_RADIUS + 1];
} smoother;

static float channel_of(const distance_voxel *v, int channel) {
    return channel == 0 ? v->weighted : channel == 1 ? v->weight : (float)(v->weight > 0);
}

/* The voxels of one brick that fall into the block round another, `step`
 * bricks away. The block's side is ES_BRICK + 2 radius. */
static void gather_brick(const smoother *s, const cell *from, const int step[3], int channel,
                         float *block) {
    const int side = ES_BRICK + 2 * s->radius;
    int first[3], last[3];
    for (int a = 0; a < 3; a++) {
        int low = step[a] * ES_BRICK + s->radius; /* of the brick, in the block */
        first[a] = low < 0 ? -low : 0;
        last[a] = low + ES_BRICK > side ? side - low : ES_BRICK;
    }
    const distance_voxel *voxels = from->state;
    for (int z = first[2]; z < last[2]; z++)
        for (int y = first[1]; y < last[1]; y++) {
            const distance_voxel *row = voxels + ES_BRICK * (y + ES_BRICK * z);
            float *out = block + (step[0] * ES_BRICK + s->radius) +
                         side * ((step[1] * ES_BRICK + s->radius + y) +
                                 side * (step[2] * ES_BRICK + s->radius + z));
            for (int x = first[0]; x < last[0]; x++) out[x] = channel_of(&row[x], channel);
        }
}

static void gather(const smoother *s, const cell *centre, int channel, float *block) {
    const int side = ES_BRICK + 2 * s->radius;
    memset(block, 0, (size_t)side * (size_t)side * (size_t)side * sizeof *block);
    for (int n = 0; n < 27; n++) {
        int step[3] = {n % 3 - 1, n / 3 % 3 - 1, n / 9 - 1};
        int32_t at[3] = {centre->at[0] + step[0], centre->at[1] + step[1], centre->at[2] + step[2]};
        const cell *from = store_find(&s->distance->store, at);
        if (from) gather_brick(s, from, step, channel, block);
    }
}

/* Convolves along an axis that shrinks from side to ES_BRICK elements: in has
 * `outer` runs of side x inner, out of ES_BRICK x inner. */
static void convolve(const smoother *s, const float *in, float *out, int outer, int inner) {
    const int side = ES_BRICK + 2 * s->radius;
    for (int o = 0; o < outer; o++)
        for (int i = 0; i < ES_BRICK; i++) {
            float *to = out + (o * ES_BRICK + i) * inner;
            const float *from = in + (o * side + i) * inner;
            for (int e = 0; e < inner; e++) to[e] = 0;
            for (int k = 0; k <= 2 * s->radius; k++)
                for (int e = 0; e < inner; e++) to[e] += s->kernel[k] * from[k * inner + e];
        }
}

static void write_brick(const cell *c, float (*smooth)[ES_BRICK_VOXELS], es_brick *brick) {
    const distance_voxel *voxels = c->state;
    for (int i = 0; i < ES_BRICK_VOXELS; i++) {
        bool known = voxels[i].weight > 0 || smooth[2][i] >= 0.5f;
        if (!known || !(smooth[1][i] > 0)) continue;
        brick->value[i] = smooth[0][i] / smooth[1][i];
        brick->weight[i] = smooth[1][i];
    }
}

static void smooth_brick(void *context, size_t index, int worker) {
    const smoother *s = context;
    scratch *work = &s->scratch[worker];
    const cell *c = &s->distance->store.cells[index];
    const int side = ES_BRICK + 2 * s->radius;
    for (int channel = 0; channel < CHANNELS; channel++) {
        gather(s, c, channel, work->block);
        convolve(s, work->block, work->lines, side * side, 1);
        convolve(s, work->lines, work->planes, side, ES_BRICK);
        convolve(s, work->planes, work->out[channel], 1, ES_BRICK * ES_BRICK);
    }
    write_brick(c, work->out, es_bricks_get(s->bricks, index));
}

static bool make_kernel(smoother *s, double sigma, es_error *err) {
    if (!(sigma >= 0 && sigma <= 5))
        return es_fail(err, ES_USAGE, "smoothing of %g voxels: expected 0 to 5", sigma);
    s->radius = (int)ceil(3 * sigma);
    double sum = 0;
    double weights[2 * MOST_RADIUS + 1];
    for (int k = 0; k <= 2 * s->radius; k++) {
        double x = k - s->radius;
        weights[k] = sigma > 0 ? exp(-x * x / (2 * sigma * sigma)) : 1;
        sum += weights[k];
    }
    for (int k = 0; k <= 2 * s->radius; k++) s->kernel[k] = (float)(weights[k] / sum);
    return true;
}

es_bricks *es_distance_bricks(const es_distance *distance, double sigma_voxels, es_error *err) {
    smoother s = {.distance = distance};
    if (!make_kernel(&s, sigma_voxels, err)) return NULL;
    s.bricks = es_bricks_new(distance->options.origin_mm, distance->options.spacing_mm, err);
    s.scratch = es_alloc((size_t)es_pool_threads(distance->pool), sizeof *s.scratch, err);
    bool ok = s.bricks && s.scratch;
    for (size_t i = 0; ok && i < distance->store.settled; i++) {
        const int32_t *at = distance->store.cells[i].at;
        ok = es_bricks_add(s.bricks, at[0], at[1], at[2], err) != NULL;
    }
    if (ok) {
        es_pool_run(distance->pool, distance->store.settled, smooth_brick, &s);
        es_bricks_sort(s.bricks);
    } else {
        es_bricks_free(s.bricks);
        s.bricks = NULL;
    }
    es_free(s.scratch);
    return s.bricks;
}
