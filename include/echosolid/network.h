/* echosolid/network.h: networks that give every place of a picture a value for
 * "the bone's surface is here". A second header of the bone room: es_bone uses
 * a network through it, and so may anybody with pictures in beam space.
 *
 * Two kinds: echosolid's own (.esnn, a small U-Net that runs on kernels of its
 * own), and any .onnx model through ONNX Runtime, which is looked for when
 * such a model is opened. */
#ifndef ECHOSOLID_NETWORK_H
#define ECHOSOLID_NETWORK_H

#include "echosolid/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a network wants and gives. Its input is a picture in beam space, row 0
 * at the transducer's face, a column a scan line, resampled to spacing_mm. */
typedef struct es_network_info {
    char name[64];          /* as its file calls it */
    char runtime[16];       /* "echosolid" or "ONNX" */
    double spacing_mm[2];   /* across and in depth */
    uint32_t width, height; /* the only size it takes; 0: any */
    double temperature;     /* logit / temperature is the calibrated log-odds */
    double threshold;       /* probability from which on it means bone; NaN: not said */
    size_t weights;         /* 0: not known */
} es_network_info;

/* Read-only once made: any number of threads may share one. */
typedef struct es_network es_network;

/* The network that is part of the library. ES_UNSUPPORTED in a build without
 * models/bone.esnn. */
bool es_network_is_built_in(void);
es_network *es_network_built_in(es_error *err);
/* Bytes of an .esnn file (training/README.md gives the format); nothing of them is
 * kept. ES_FORMAT: truncated, longer than its shapes ask for, a weight that is
 * not finite; ES_UNSUPPORTED: shapes that the kernels do not run. */
es_network *es_network_new(const void *bytes, size_t length, es_error *err);
/* A file by its name: .esnn, or .onnx with MODEL.json beside it (docs/bone.md).
 * ES_UNSUPPORTED: ONNX Runtime is not there, or the model's inputs and outputs
 * are not what its JSON says. */
es_network *es_network_open(const char *path, es_error *err);
void es_network_free(es_network *network);
const es_network_info *es_network_about(const es_network *network);

/* The memory that one thread needs to run a network (borrowed). */
typedef struct es_network_run es_network_run;
es_network_run *es_network_run_new(const es_network *network, es_error *err);
void es_network_run_free(es_network_run *run);
/* Grey 0..1 and logits, both width x height row by row. The size is free where
 * the network's is: what its levels need is padded with black. The result depends
 * on the picture alone; the own kernels give the same bytes on every processor.
 * ES_USAGE: an empty or too large picture; ES_FORMAT: the network gave a value
 * that is not finite. */
bool es_network_apply(es_network_run *run, const float *grey, uint32_t width, uint32_t height,
                      float *logits, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
