/* The part of ONNX Runtime's C interface that echosolid calls.
 *
 * The library hands out one table of function pointers that only ever grows,
 * so a function is known by its place in it. The places and signatures are
 * those of its version 17 (ONNX Runtime 1.17, 2024) and later ones. */
#ifndef ES_ONNX_API_H
#define ES_ONNX_API_H

#include "network_internal.h"

typedef struct ort_status ort_status; /* NULL: it worked */
typedef struct ort_env ort_env;
typedef struct ort_session ort_session;
typedef struct ort_options ort_options;
typedef struct ort_value ort_value;
typedef struct ort_memory ort_memory;
typedef struct ort_allocator ort_allocator;
typedef struct ort_type ort_type;
typedef struct ort_shape ort_shape;

enum { ORT_VERSION = 17, ORT_FLOAT = 1, ORT_LOG_FATAL = 4, ORT_OPTIMISE_ALL = 99 };

struct onnx_api {
    const char *(*error_message)(const ort_status *);
    ort_status *(*create_env)(int level, const char *name, ort_env **);
    ort_status *(*create_session)(const ort_env *, const void *bytes, size_t length,
                                  const ort_options *, ort_session **);
    ort_status *(*run)(ort_session *, const void *options, const char *const *input_names,
                       const ort_value *const *inputs, size_t input_count,
                       const char *const *output_names, size_t output_count, ort_value **outputs);
    ort_status *(*create_options)(ort_options **);
    ort_status *(*set_optimisation)(ort_options *, int level);
    ort_status *(*set_intra_threads)(ort_options *, int);
    ort_status *(*set_inter_threads)(ort_options *, int);
    ort_status *(*input_count)(const ort_session *, size_t *);
    ort_status *(*output_count)(const ort_session *, size_t *);
    ort_status *(*input_type)(const ort_session *, size_t, ort_type **);
    ort_status *(*output_type)(const ort_session *, size_t, ort_type **);
    ort_status *(*input_name)(const ort_session *, size_t, ort_allocator *, char **);
    ort_status *(*output_name)(const ort_session *, size_t, ort_allocator *, char **);
    ort_status *(*create_tensor)(const ort_memory *, void *data, size_t bytes, const int64_t *shape,
                                 size_t dimensions, int type, ort_value **);
    ort_status *(*tensor_data)(ort_value *, void **);
    ort_status *(*as_tensor)(const ort_type *, const ort_shape **);
    ort_status *(*element_type)(const ort_shape *, int *);
    ort_status *(*dimension_count)(const ort_shape *, size_t *);
    ort_status *(*dimensions)(const ort_shape *, int64_t *, size_t);
    ort_status *(*shape_of)(const ort_value *, ort_shape **);
    ort_status *(*create_cpu_memory)(int allocator, int kind, ort_memory **);
    ort_status *(*allocator_free)(ort_allocator *, void *);
    ort_status *(*default_allocator)(ort_allocator **);
    void (*release_env)(ort_env *);
    void (*release_status)(ort_status *);
    void (*release_memory)(ort_memory *);
    void (*release_session)(ort_session *);
    void (*release_value)(ort_value *);
    void (*release_type)(ort_type *);
    void (*release_shape)(ort_shape *);
    void (*release_options)(ort_options *);
};

/* Finds and opens the library; ES_UNSUPPORTED, saying how to get it. */
bool onnx_api_load(struct onnx_api *api, es_error *err);

#endif
