/* Finding ONNX Runtime: the file that $ECHOSOLID_ONNXRUNTIME names, else where
 * `./do onnx` puts it, seen from the program, else wherever the system's loader
 * finds a libonnxruntime.so.1. It is opened when a model asks for it and stays. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "onnx_api.h"

#if defined(__aarch64__)
#define PROCESSOR "arm64"
#else
#define PROCESSOR "x64"
#endif
static const char library_name[] = "libonnxruntime.so.1";
static const char installed[] =
    "third_party/ort/node_modules/onnxruntime-node/bin/napi-v6/linux/" PROCESSOR;

typedef struct ort_base {
    const void *const *(*table)(uint32_t version);
    const char *(*version)(void);
} ort_base;

/* The folder of the running program with a final slash, or "". */
static void program_folder(char *folder, size_t size) {
    ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    folder[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) slash[1] = '\0';
}

static void *open_file(const char *path, char *reason, size_t size) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle) snprintf(reason, size, " (%s)", dlerror());
    return handle;
}

/* `up`: from the program's folder to that of the sources it was built in. */
static void *open_installed(const char *up, char *reason, size_t size) {
    char folder[4096], path[4400];
    program_folder(folder, sizeof folder);
    snprintf(path, sizeof path, "%s%s%s/%s", folder, up, installed, library_name);
    return access(path, F_OK) == 0 ? open_file(path, reason, size) : NULL;
}

static void *open_library(es_error *err) {
    char reason[300] = "";
    const char *asked = secure_getenv("ECHOSOLID_ONNXRUNTIME");
    void *handle = asked && *asked ? open_file(asked, reason, sizeof reason) : NULL;
    if (!handle && !(asked && *asked)) {
        handle = open_installed("../", reason, sizeof reason);
        if (!handle) handle = open_installed("../../", reason, sizeof reason);
        if (!handle) handle = open_file(library_name, reason, sizeof reason);
    }
    if (!handle)
        es_fail(err, ES_UNSUPPORTED,
                "an .onnx model needs ONNX Runtime, which could not be opened%s: \"./do onnx\" in "
                "echosolid's sources installs it, or name its %s in ECHOSOLID_ONNXRUNTIME",
                reason, library_name);
    return handle;
}

/* POSIX lets data pointers and function pointers be one another; ISO C has no
 * cast for it. */
#define TAKE(member, place) memcpy(&api->member, &table[place], sizeof api->member)

static void take_table(struct onnx_api *api, const void *const *table) {
    TAKE(error_message, 2);
    TAKE(create_env, 3);
    TAKE(create_session, 8);
    TAKE(run, 9);
    TAKE(create_options, 10);
    TAKE(set_optimisation, 23);
    TAKE(set_intra_threads, 24);
    TAKE(set_inter_threads, 25);
    TAKE(input_count, 30);
    TAKE(output_count, 31);
    TAKE(input_type, 33);
    TAKE(output_type, 34);
    TAKE(input_name, 36);
    TAKE(output_name, 37);
    TAKE(create_tensor, 49);
    TAKE(tensor_data, 51);
    TAKE(as_tensor, 55);
    TAKE(element_type, 60);
    TAKE(dimension_count, 61);
    TAKE(dimensions, 62);
    TAKE(shape_of, 65);
    TAKE(create_cpu_memory, 69);
    TAKE(allocator_free, 76);
    TAKE(default_allocator, 78);
    TAKE(release_env, 92);
    TAKE(release_status, 93);
    TAKE(release_memory, 94);
    TAKE(release_session, 95);
    TAKE(release_value, 96);
    TAKE(release_type, 98);
    TAKE(release_shape, 99);
    TAKE(release_options, 100);
}

bool onnx_api_load(struct onnx_api *api, es_error *err) {
    void *handle = open_library(err);
    if (!handle) return false;
    const ort_base *(*base)(void) = NULL;
    void *symbol = dlsym(handle, "OrtGetApiBase");
    memcpy(&base, &symbol, sizeof base);
    const ort_base *found = base ? base() : NULL;
    const void *const *table = found ? found->table(ORT_VERSION) : NULL;
    if (!table)
        return es_fail(err, ES_UNSUPPORTED,
                       "ONNX Runtime %s does not offer interface %d; version 1.17 or later is "
                       "needed: \"./do onnx\" installs one",
                       found ? found->version() : "of unknown version", ORT_VERSION);
    take_table(api, table);
    return true;
}
