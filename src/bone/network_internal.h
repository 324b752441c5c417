/* Inside the bone room: how networks are kept and run.
 *
 * Every convolution here is one sum: out[o][p] = bias[o] + sum over taps t of
 * weight[t][o] * tap[t][p], p running over a plane as one long line. A plane of
 * width x height pixels has rows of width + 1 floats whose last is 0, and zeros
 * before its first and behind its last row, so that the left and right, upper
 * and lower neighbours of a pixel are the same line, shifted, and zero padding
 * costs nothing. A 3 x 3 convolution over several channels is then a list of
 * pointers, and so are a concatenation, a 1 x 1 convolution and, on every other
 * row and column, a stride of two: one kernel runs them all. */
#ifndef ES_NETWORK_INTERNAL_H
#define ES_NETWORK_INTERNAL_H

#include "echosolid/network.h"

/* ---- kernels: network_plain.c, network_avx2.c, network_avx512.c ------------- */

enum {
    TILE_OUTS = 4,  /* outputs that a kernel makes at once */
    TILE_MOST = 128 /* floats past the end of its planes that a kernel may write */
};

struct taps {
    const float *const *at; /* count pointers to where output 0 reads */
    const float *weight;    /* count x TILE_OUTS */
    size_t count;
};

/* out[o][0..length) = bias[o] + sum in the order of the taps, each step one
 * fused multiply-add; with `relu` negative ones become 0. */
typedef void network_kernel(const struct taps *taps, const float bias[TILE_OUTS], bool relu,
                            size_t length, float *const out[TILE_OUTS]);
network_kernel network_kernel_plain;
network_kernel network_kernel_avx2; /* these only where the processor has them */
network_kernel network_kernel_avx512;
network_kernel *network_kernel_find(es_cpu level);

/* ---- the U-Net ----------------------------------------------------------------- */

enum { NETWORK_LEVELS = 6, NETWORK_WIDEST = 64, NETWORK_CONVS = 4 * NETWORK_LEVELS };

/* One convolution; weights as the kernel reads them: [group of outputs][tap]
 * [TILE_OUTS], the last group filled up with zeros. */
struct conv {
    int ins, outs, side; /* side x side taps an input */
    float *weight, *bias;
};

struct unet {
    int inputs, outputs, levels, widths[NETWORK_LEVELS];
    bool stem;
    struct conv conv[NETWORK_CONVS];
    int convs;
    float *storage; /* all weights and biases */
};

/* What a kind of network can do. */
struct network_kind {
    void (*free)(es_network *network);
    void *(*run_new)(const es_network *network, es_error *err);
    void (*run_free)(void *run);
    bool (*apply)(void *run, const float *grey, uint32_t width, uint32_t height, float *logits,
                  es_error *err);
};

struct es_network {
    es_network_info info;
    const struct network_kind *kind;
    struct unet *unet; /* .esnn */
    struct onnx *onnx; /* .onnx */
};

extern const struct network_kind network_kind_unet, network_kind_onnx;

/* network_unet.c */
void unet_free(struct unet *unet);

/* onnx.c */
es_network *network_open_onnx(const char *path, es_error *err);

/* The weights that the build put into the library; length 0: none. */
extern const unsigned char network_built_in_bytes[];
extern const size_t network_built_in_length;

#endif
