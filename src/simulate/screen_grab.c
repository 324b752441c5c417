/* screen_grab.c: from a screen to a file: the blur of a video cable, blocks of
 * 8 x 8 as JPEG quantises them (cosine transform, the standard's example
 * luminance table in ITU-T T.81, K.1, scaled by quality as libraries do), and
 * the noise of a converter. */
#include "screen.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 8, REACH = 6, NOISE_STREAM = 17, MOST_SIDE = 2048 };

/* ---- blur --------------------------------------------------------------------- */

/* One line of `count` values `stride` apart; the ends repeat. */
static void blur_line(float *values, size_t stride, int count, const float kernel[REACH + 1]) {
    float line[MOST_SIDE + 2 * REACH];
    for (int i = -REACH; i < count + REACH; i++) {
        int k = i < 0 ? 0 : i >= count ? count - 1 : i;
        line[i + REACH] = values[(size_t)k * stride];
    }
    for (int i = 0; i < count; i++) {
        const float *middle = line + i + REACH;
        float sum = kernel[0] * middle[0];
        for (int k = 1; k <= REACH; k++) sum += kernel[k] * (middle[-k] + middle[k]);
        values[(size_t)i * stride] = sum;
    }
}

static void blur(const es_screen *s, float *picture) {
    float kernel[REACH + 1];
    double sum = 0;
    for (int k = 0; k <= REACH; k++) {
        kernel[k] = (float)exp(-k * k / (2 * s->blur_px * s->blur_px));
        sum += (k ? 2 : 1) * (double)kernel[k];
    }
    for (int k = 0; k <= REACH; k++) kernel[k] = (float)(kernel[k] / sum);
    for (uint32_t v = 0; v < s->height; v++)
        blur_line(picture + (size_t)v * s->width, 1, (int)s->width, kernel);
    for (uint32_t u = 0; u < s->width; u++)
        blur_line(picture + u, s->width, (int)s->height, kernel);
}

/* ---- compression ----------------------------------------------------------------- */

static const uint8_t luminance[BLOCK * BLOCK] = {
    16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,
    14, 13, 16, 24, 40,  57,  69,  56,  14, 17, 22, 29, 51,  87,  80,  62,
    18, 22, 37, 56, 68,  109, 103, 77,  24, 35, 55, 64, 81,  104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99};

typedef struct quantiser {
    float cosine[BLOCK][BLOCK]; /* frequency, place; orthonormal */
    float step[BLOCK * BLOCK];
} quantiser;

static void quantiser_make(quantiser *q, int quality) {
    double scale = quality < 50 ? 50.0 / quality : 2 - quality / 50.0;
    for (int f = 0; f < BLOCK; f++)
        for (int i = 0; i < BLOCK; i++)
            q->cosine[f][i] =
                (float)((f ? 0.5 : sqrt(0.125)) * cos((2 * i + 1) * f * 3.14159265358979 / 16));
    for (int i = 0; i < BLOCK * BLOCK; i++)
        q->step[i] = (float)fmax(1, floor(luminance[i] * scale + 0.5));
}

/* to = m * from * m' forward, m' * from * m back. */
static void transform(const quantiser *q, const float *from, bool back, float *to) {
    float half[BLOCK][BLOCK];
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++) {
            float sum = 0;
            for (int j = 0; j < BLOCK; j++)
                sum += (back ? q->cosine[j][i] : q->cosine[i][j]) * from[j * BLOCK + k];
            half[i][k] = sum;
        }
    for (int i = 0; i < BLOCK; i++)
        for (int k = 0; k < BLOCK; k++) {
            float sum = 0;
            for (int j = 0; j < BLOCK; j++)
                sum += half[i][j] * (back ? q->cosine[j][k] : q->cosine[k][j]);
            to[i * BLOCK + k] = sum;
        }
}

/* The block at (u, v); pixels past the edge repeat the last ones. */
static void quantise_block(const quantiser *q, const es_screen *s, uint32_t u, uint32_t v,
                           float *picture) {
    float block[BLOCK * BLOCK], waves[BLOCK * BLOCK];
    uint32_t wide = s->width - u < BLOCK ? s->width - u : BLOCK;
    uint32_t high = s->height - v < BLOCK ? s->height - v : BLOCK;
    for (uint32_t i = 0; i < BLOCK * BLOCK; i++) {
        uint32_t x = i % BLOCK < wide ? i % BLOCK : wide - 1;
        uint32_t y = i / BLOCK < high ? i / BLOCK : high - 1;
        block[i] = picture[(size_t)(v + y) * s->width + u + x] - 128;
    }
    transform(q, block, false, waves);
    for (int i = 0; i < BLOCK * BLOCK; i++) waves[i] = roundf(waves[i] / q->step[i]) * q->step[i];
    transform(q, waves, true, block);
    for (uint32_t y = 0; y < high; y++)
        for (uint32_t x = 0; x < wide; x++)
            picture[(size_t)(v + y) * s->width + u + x] = block[y * BLOCK + x] + 128;
}

static void compress(const es_screen *s, float *picture) {
    quantiser q;
    quantiser_make(&q, s->jpeg);
    for (uint32_t v = 0; v < s->height; v += BLOCK)
        for (uint32_t u = 0; u < s->width; u += BLOCK) quantise_block(&q, s, u, v, picture);
}

/* ---- all of it ---------------------------------------------------------------------- */

void screen_grab(const es_screen *screen, int64_t index, float *picture, uint8_t *pixels) {
    size_t n = (size_t)screen->width * screen->height;
    if (screen->blur_px > 0) blur(screen, picture);
    if (screen->jpeg > 0) compress(screen, picture);
    es_random random = es_random_new(screen->seed, NOISE_STREAM + 2 * (uint64_t)index);
    for (size_t i = 0; i < n; i++) {
        float level = picture[i];
        /* Sum of 4 uniform numbers: near enough to normal, and quick. */
        if (screen->noise > 0) {
            uint64_t bits = es_random_bits(&random);
            double sum = 0;
            for (int k = 0; k < 4; k++) sum += (double)(bits >> 16 * k & 0xffff) / 65536 - 0.5;
            level += (float)(sum * 1.7320508 * screen->noise);
        }
        pixels[i] = (uint8_t)(fminf(fmaxf(level, 0), 255) + 0.5F);
    }
}
