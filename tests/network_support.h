/* Networks for tests: random ones, as the bytes of an .esnn, and the same
 * network run by the plainest code there is. */
#ifndef NETWORK_SUPPORT_H
#define NETWORK_SUPPORT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echosolid/network.h"

enum { NET_MOST_CONVS = 32 };

typedef struct test_net {
    int levels, widths[6], inputs, outputs, stem;
    struct {
        int ins, outs, side;
        float *weight, *bias;
    } conv[NET_MOST_CONVS];
    int convs;
    unsigned char *bytes; /* of the .esnn */
    size_t length, header, weights;
    float *values;
} test_net;

static inline void net_add(test_net *n, int ins, int outs, int side) {
    n->conv[n->convs].ins = ins;
    n->conv[n->convs].outs = outs;
    n->conv[n->convs++].side = side;
    n->weights += (size_t)(ins * side * side + 1) * (size_t)outs;
}

static inline void net_shapes(test_net *n) {
    int ins = n->inputs, last = n->levels - 1;
    if (n->stem) net_add(n, ins, n->widths[0], 3), ins = n->widths[0];
    for (int l = 0; l <= last; ins = n->widths[l++])
        net_add(n, ins, n->widths[l], 3), net_add(n, n->widths[l], n->widths[l], 3);
    for (int l = last - 1; l >= 0; l--)
        net_add(n, n->widths[l] + n->widths[l + 1], n->widths[l], 3),
            net_add(n, n->widths[l], n->widths[l], 3);
    net_add(n, n->widths[0], n->outputs, 1);
}

/* Weights of He et al. 2015, so that values neither vanish nor grow. */
static inline void net_random(test_net *n, uint64_t seed) {
    es_random random = es_random_new(seed, 1);
    float *at = n->values = malloc(n->weights * sizeof *at);
    for (int i = 0; i < n->convs; i++) {
        int taps = n->conv[i].ins * n->conv[i].side * n->conv[i].side, outs = n->conv[i].outs;
        n->conv[i].weight = at;
        for (int k = 0; k < taps * outs; k++)
            *at++ = (float)(sqrt(2. / taps) * es_random_normal(&random));
        n->conv[i].bias = at;
        for (int k = 0; k < outs; k++) *at++ = (float)(0.1 * es_random_normal(&random));
    }
}

static inline void net_pack(test_net *n, const char *more) {
    char widths[64] = "", header[1024];
    for (int i = 0; i < n->levels; i++)
        snprintf(widths + strlen(widths), 8, "%s%d", i ? "," : "", n->widths[i]);
    int length =
        snprintf(header, sizeof header,
                 "{\"architecture\":\"unet\",\"widths\":[%s],\"inputs\":%d,\"outputs\":%d,"
                 "\"stem\":%d,\"spacing_mm\":0.4,\"temperature\":1.0,\"name\":\"random\"%s}",
                 widths, n->inputs, n->outputs, n->stem, more);
    n->header = (size_t)length;
    n->length = 12 + n->header + 4 * n->weights;
    n->bytes = malloc(n->length);
    memcpy(n->bytes, "ESNN1\0\0", 8);
    for (int i = 0; i < 4; i++) n->bytes[8 + i] = (unsigned char)(n->header >> 8 * i);
    memcpy(n->bytes + 12, header, n->header);
    memcpy(n->bytes + 12 + n->header, n->values, 4 * n->weights); /* the machine's own order */
}

/* widths end with 0. */
static inline test_net net_make(const int *widths, int inputs, int stem, uint64_t seed) {
    test_net n = {.inputs = inputs, .outputs = 2, .stem = stem};
    while (widths[n.levels]) n.widths[n.levels] = widths[n.levels], n.levels++;
    net_shapes(&n);
    net_random(&n, seed);
    net_pack(&n, "");
    return n;
}

static inline void net_free(test_net *n) {
    free(n->values);
    free(n->bytes);
}

/* ---- the plainest way to run it, in doubles ----------------------------------- */

typedef struct volume {
    int channels, height, width;
    double *data;
} volume;

static inline volume volume_make(int channels, int height, int width) {
    volume v = {channels, height, width,
                calloc((size_t)channels * (size_t)height * (size_t)width, sizeof(double))};
    return v;
}

static inline double volume_at(const volume *v, int c, int y, int x) {
    if (y < 0 || x < 0 || y >= v->height || x >= v->width) return 0;
    return v->data[((size_t)c * (size_t)v->height + (size_t)y) * (size_t)v->width + (size_t)x];
}

static inline void volume_put(volume *v, int c, int y, int x, double value) {
    v->data[((size_t)c * (size_t)v->height + (size_t)y) * (size_t)v->width + (size_t)x] = value;
}

static inline volume net_convolve(const test_net *n, int index, volume in, int stride, bool relu) {
    int side = n->conv[index].side, outs = n->conv[index].outs, half = side / 2, k = 0;
    volume out = volume_make(outs, in.height / stride, in.width / stride);
    for (int o = 0; o < outs; o++)
        for (int y = 0; y < out.height; y++)
            for (int x = 0; x < out.width; x++) {
                double sum = (double)n->conv[index].bias[o];
                k = o * in.channels * side * side;
                for (int c = 0; c < in.channels; c++)
                    for (int j = -half; j <= half; j++)
                        for (int i = -half; i <= half; i++)
                            sum += (double)n->conv[index].weight[k++] *
                                   volume_at(&in, c, y * stride + j, x * stride + i);
                volume_put(&out, o, y, x, relu ? fmax(sum, 0) : sum);
            }
    free(in.data);
    return out;
}

static inline volume net_pool(const volume *in) {
    volume out = volume_make(in->channels, in->height / 2, in->width / 2);
    for (int c = 0; c < out.channels; c++)
        for (int y = 0; y < out.height; y++)
            for (int x = 0; x < out.width; x++) {
                double most = -INFINITY;
                for (int k = 0; k < 4; k++)
                    most = fmax(most, volume_at(in, c, 2 * y + k / 2, 2 * x + k % 2));
                volume_put(&out, c, y, x, most);
            }
    return out;
}

/* skip first, then the lower level at twice its size. */
static inline volume net_join(volume skip, volume low) {
    volume out = volume_make(skip.channels + low.channels, skip.height, skip.width);
    for (int c = 0; c < out.channels; c++)
        for (int y = 0; y < out.height; y++)
            for (int x = 0; x < out.width; x++)
                volume_put(&out, c, y, x,
                           c < skip.channels ? volume_at(&skip, c, y, x)
                                             : volume_at(&low, c - skip.channels, y / 2, x / 2));
    free(skip.data);
    free(low.data);
    return out;
}

/* Twice the size, between pixel centres, the edge going on. */
static inline double net_between(const volume *v, int y, int x) {
    double at[2] = {(y + 0.5) / 2 - 0.5, (x + 0.5) / 2 - 0.5}, sum = 0;
    int size[2] = {v->height, v->width};
    for (int k = 0; k < 4; k++) {
        int pixel[2] = {0}, side[2] = {k / 2, k % 2};
        double weight = 1;
        for (int a = 0; a < 2; a++) {
            double low = floor(at[a]), share = at[a] - low;
            pixel[a] = (int)fmin(fmax(low + side[a], 0), size[a] - 1);
            weight *= side[a] ? share : 1 - share;
        }
        sum += weight * volume_at(v, 0, pixel[0], pixel[1]);
    }
    return sum;
}

static inline void net_reference(const test_net *n, const float *grey, int width, int height,
                                 double *logits) {
    int least = 1 << (n->levels - 1 + n->stem), k = 0;
    volume at = volume_make(n->inputs, (height + least - 1) / least * least,
                            (width + least - 1) / least * least);
    for (int c = 0; c < n->inputs; c++)
        for (int y = 0; y < at.height; y++)
            for (int x = 0; x < at.width; x++) {
                double black = y < height && x < width ? (double)grey[y * width + x] : 0;
                volume_put(&at, c, y, x, c ? (y + 0.5) / at.height : black);
            }
    if (n->stem) at = net_convolve(n, k++, at, 2, true);
    volume skip[6];
    for (int l = 0; l < n->levels; l++) {
        at = net_convolve(n, k++, at, 1, true);
        at = net_convolve(n, k++, at, 1, true);
        skip[l] = at;
        if (l + 1 < n->levels) at = net_pool(&skip[l]);
    }
    for (int l = n->levels - 2; l >= 0; l--) {
        at = net_convolve(n, k++, net_join(skip[l], at), 1, true);
        at = net_convolve(n, k++, at, 1, true);
    }
    at = net_convolve(n, k, at, 1, false);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            logits[y * width + x] = n->stem ? net_between(&at, y, x) : volume_at(&at, 0, y, x);
    free(at.data);
}

#endif
