/* A fixed scale of grey for every machine.
 *
 * Scanners compress, amplify and bend the grey scale as their user likes. A
 * detector with thresholds needs one scale: here the brightest half percent of
 * the frame becomes 1, the darkest half percent 0, and the power that brings
 * the upper quartile to a fixed grey undoes most of a gamma. All three come
 * from one histogram of the samples, so a monotone change of the picture that
 * is a gain, an offset or a power leaves the tone almost as it was. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

enum { BINS = 1024 };
#define QUARTILE_TONE 0.2 /* where the upper quartile goes */
#define LEAST_HIGH 0.3f
#define LEAST_GAMMA 0.6
#define MOST_GAMMA 2.5

struct histogram {
    uint32_t count[BINS], total;
    float low, per_bin;
};

static void count_samples(const struct beams *beams, struct histogram *h) {
    float low = INFINITY, high = -INFINITY;
    for (size_t line = 0; line < beams->lines; line++) {
        const float *echo = beams->echo + line * beams->samples;
        for (uint32_t z = beams->first[line]; z < beams->last[line]; z++) {
            low = echo[z] < low ? echo[z] : low;
            high = echo[z] > high ? echo[z] : high;
        }
    }
    memset(h, 0, sizeof *h);
    h->low = low;
    h->per_bin = (high - low) / (BINS - 1);
    if (!(h->per_bin > 0)) return;
    for (size_t line = 0; line < beams->lines; line++) {
        const float *echo = beams->echo + line * beams->samples;
        for (uint32_t z = beams->first[line]; z < beams->last[line]; z++) {
            h->count[(uint32_t)((echo[z] - low) / h->per_bin)]++;
            h->total++;
        }
    }
}

static float quantile(const struct histogram *h, double share) {
    double wanted = share * h->total, seen = 0;
    for (int bin = 0; bin < BINS; bin++) {
        seen += h->count[bin];
        if (seen >= wanted) return h->low + ((float)bin + 0.5f) * h->per_bin;
    }
    return h->low + BINS * h->per_bin;
}

bool beams_tone(struct beams *beams) {
    struct histogram h;
    count_samples(beams, &h);
    if (h.total == 0) return false;
    float low = quantile(&h, 0.005), high = quantile(&h, 0.995);
    float brightest = h.low + BINS * h.per_bin;
    high = fmaxf(high, low + LEAST_HIGH * (brightest - low)); /* a few bright dots on black */
    float middle = (quantile(&h, 0.75) - low) / (high - low);
    double gamma = middle > 0 ? log(QUARTILE_TONE) / log(fmin(middle, 0.99)) : LEAST_GAMMA;
    gamma = fmin(fmax(gamma, LEAST_GAMMA), MOST_GAMMA);
    float table[BINS]; /* by bin: powf per sample would cost more than all the rest */
    for (int bin = 0; bin < BINS; bin++) {
        float x = (h.low + (float)bin * h.per_bin - low) / (high - low);
        table[bin] = (float)pow(fmin(fmax(x, 0), 1), gamma);
    }
    for (size_t line = 0; line < beams->lines; line++) {
        float *echo = beams->echo + line * beams->samples;
        float *tone = beams->tone + line * beams->samples;
        memset(tone, 0, beams->samples * sizeof *tone);
        for (uint32_t z = beams->first[line]; z < beams->last[line]; z++) {
            tone[z] = table[(uint32_t)((echo[z] - h.low) / h.per_bin)];
            echo[z] -= h.low;
        }
    }
    return true;
}
