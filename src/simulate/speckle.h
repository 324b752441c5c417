/* speckle.h: the pieces of speckle, white noise through a separable Gaussian
 * point-spread function, and decibels. */
#ifndef SIMULATE_SPECKLE_H
#define SIMULATE_SPECKLE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "echosolid/base.h"

enum { KERNEL_TAPS = 65 };

typedef struct kernel {
    int half;
    float weight[KERNEL_TAPS];
} kernel;

/* A Gaussian whose squares sum to 1: white noise keeps its variance.
 * most_half: (KERNEL_TAPS - 1) / 2 at most. */
static inline kernel gaussian(double sigma, int most_half) {
    kernel k = {.half = (int)fmin(ceil(2.5 * sigma), most_half)};
    double sum = 0;
    for (int i = -k.half; i <= k.half; i++) {
        double w = exp(-0.5 * i * i / (sigma * sigma));
        k.weight[i + k.half] = (float)w;
        sum += w * w;
    }
    for (int i = 0; i <= 2 * k.half; i++) k.weight[i] /= (float)sqrt(sum);
    return k;
}

/* Uniform numbers of variance 1/2: the blur makes them normal. Four from
 * each draw of 64 bits. */
static inline void fill_noise(es_random random, float *noise, size_t count) {
    const float scale = 3.7374e-5f; /* sqrt(6) / 65536 */
    for (size_t i = 0; i < count; i += 4) {
        uint64_t bits = es_random_bits(&random);
        for (size_t j = i; j < i + 4 && j < count; j++, bits >>= 16)
            noise[j] = ((float)(bits & 0xffff) - 32767.5f) * scale;
    }
}

static inline void add_scaled(float *restrict to, const float *restrict from, float weight,
                              size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += weight * from[i];
}

/* One row of white noise through the pulse: `from` is the first of 2 axial.half
 * + 1 rows of `wide` = 2 (lines + 2 margin) floats, re and im by turns; `row`
 * (wide) is scratch; out: 2 lines. */
static inline void blur_row(const float *from, size_t wide, const kernel *axial,
                            const kernel *lateral, int margin, size_t lines, float *row,
                            float *out) {
    memset(row, 0, wide * sizeof *row);
    memset(out, 0, 2 * lines * sizeof *out);
    for (size_t k = 0; k <= 2 * (size_t)axial->half; k++)
        add_scaled(row, from + wide * k, axial->weight[k], wide);
    const float *first = row + 2 * (margin - lateral->half);
    for (size_t k = 0; k <= 2 * (size_t)lateral->half; k++)
        add_scaled(out, first + 2 * k, lateral->weight[k], 2 * lines);
}

static inline float from_db(double db) { return (float)pow(10, db / 20); }

/* log2 by its series in (m - 1) / (m + 1): wrong by 2e-5 at most, the same on
 * every machine. */
static inline float fast_log2(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 23) - 127;
    bits = (bits & 0x7fffff) | 0x3f800000;
    float m;
    memcpy(&m, &bits, sizeof m);
    float t = (m - 1) / (m + 1), t2 = t * t;
    return (float)exponent +
           2.8853901f * t * (1 + t2 * (0.33333333f + t2 * (0.2f + t2 * 0.14285714f)));
}

/* 2^x for |x| < 126 by its series about the nearest whole number: wrong by
 * 3e-6 of the value at most, the same on every machine. */
static inline float fast_exp2(float x) {
    int nearest = (int)(x + (x < 0 ? -0.5f : 0.5f));
    float f = 0.69314718f * (x - (float)nearest);
    float m = 1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666667f + f * 0.0083333333f))));
    uint32_t bits = (uint32_t)(nearest + 127) << 23;
    float power;
    memcpy(&power, &bits, sizeof power);
    return m * power;
}

/* Decibels of an amplitude <-> the amplitude. */
static inline float amplitude_of_db(float db) { return fast_exp2(0.16609640f * db); }
static inline float db_of_power(float power) { return 3.0102999f * fast_log2(power); }

#endif
