/* Other people's networks: an .onnx model, run by ONNX Runtime, with a small
 * JSON of the same name beside it that says what the model cannot: in which
 * spacing and normalisation it wants its pictures, and what its output means.
 * What the two say must fit; what does not is refused before a frame is read. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "onnx_api.h"

enum { MODEL_MOST = 1 << 30, JSON_MOST = 1 << 20, CHANNELS_MOST = 3, PAD_MOST = 256 };
#define SURE 16.0f /* |logit| of a probability of 0 or 1 */

/* What a channel of the input holds. */
enum channel { CHANNEL_GREY, CHANNEL_DEPTH };

struct onnx {
    struct onnx_api api;
    ort_env *env;
    ort_session *session;
    ort_memory *memory;
    char *input, *output; /* names */
    enum channel channels[CHANNELS_MOST];
    int channel_count, output_channel, multiple_of;
    bool gives_probability;
    double mean, std;
};

/* Turns a status into an error and releases it. */
static bool worked(const struct onnx *o, ort_status *status, const char *what, es_error *err) {
    if (!status) return true;
    es_fail(err, ES_UNSUPPORTED, "ONNX Runtime could not %s: %.300s", what,
            o->api.error_message(status));
    o->api.release_status(status);
    return false;
}

static void onnx_free(es_network *network) {
    struct onnx *o = network->onnx;
    if (!o) return;
    if (o->session) o->api.release_session(o->session);
    if (o->memory) o->api.release_memory(o->memory);
    if (o->env) o->api.release_env(o->env);
    es_free(o->input);
    es_free(o->output);
    es_free(o);
}

/* ---- the JSON beside the model --------------------------------------------------- */

static const char *const known_keys[] = {
    "name",           "spacing_mm",  "channels",  "mean",  "std",    "output",
    "output_channel", "temperature", "threshold", "width", "height", "multiple_of"};

static bool check_keys(const json_t *json, es_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)json, key, value) {
        bool known = false;
        for (size_t i = 0; i < sizeof known_keys / sizeof *known_keys; i++)
            known = known || strcmp(key, known_keys[i]) == 0;
        if (!known)
            return es_fail(err, ES_FORMAT,
                           "\"%.40s\" is no key of it; there are name, spacing_mm, channels, mean, "
                           "std, output, output_channel, temperature, threshold, width, height, "
                           "multiple_of",
                           key);
    }
    return true;
}

/* A number of the JSON; NaN as `fallback`: it must be there. */
static bool read_number(const json_t *json, const char *key, double low, double high,
                        double fallback, double *value, es_error *err) {
    const json_t *at = json_object_get(json, key);
    *value = at ? json_number_value(at) : fallback;
    if (at ? json_is_number(at) && *value >= low && *value <= high : !isnan(fallback)) return true;
    return es_fail(err, ES_FORMAT, "\"%s\": expected a number from %g to %g%s", key, low, high,
                   at ? "" : ", it is missing");
}

/* One number for both ways, or [across, in depth]. */
static bool read_spacing(const json_t *json, double spacing_mm[2], es_error *err) {
    const json_t *at = json_object_get(json, "spacing_mm");
    bool good = json_is_number(at) || json_array_size(at) == 2;
    for (size_t i = 0; i < 2; i++) {
        spacing_mm[i] = json_number_value(json_is_array(at) ? json_array_get(at, i) : at);
        good = good && spacing_mm[i] >= 0.05 && spacing_mm[i] <= 5;
    }
    return good || es_fail(err, ES_FORMAT,
                           "\"spacing_mm\": expected the size of the model's pixels, 0.05 to 5 mm: "
                           "a number, or [across, in depth]");
}

static bool read_channels(const json_t *json, struct onnx *o, es_error *err) {
    const json_t *list = json_object_get(json, "channels");
    size_t count = json_array_size(list);
    bool good = count >= 1 && count <= CHANNELS_MOST;
    for (size_t i = 0; good && i < count; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        good = word && (strcmp(word, "grey") == 0 || strcmp(word, "depth") == 0);
        o->channels[i] = good && word[0] == 'd' ? CHANNEL_DEPTH : CHANNEL_GREY;
    }
    o->channel_count = (int)count;
    return good || es_fail(err, ES_FORMAT,
                           "\"channels\": expected what the model's one to three input channels "
                           "hold, \"grey\" or \"depth\" each");
}

static bool read_output(const json_t *json, struct onnx *o, es_error *err) {
    const char *word = json_string_value(json_object_get(json, "output"));
    double channel;
    if (!word || (strcmp(word, "logit") != 0 && strcmp(word, "probability") != 0))
        return es_fail(err, ES_FORMAT, "\"output\": expected \"logit\" or \"probability\"");
    o->gives_probability = word[0] == 'p';
    if (!read_number(json, "output_channel", 0, 1e6, NAN, &channel, err)) return false;
    o->output_channel = (int)channel;
    return true;
}

static bool read_settings(const json_t *json, es_network *network, es_error *err) {
    struct onnx *o = network->onnx;
    es_network_info *info = &network->info;
    const char *name = json_string_value(json_object_get(json, "name"));
    if (name) snprintf(info->name, sizeof info->name, "%s", name);
    double multiple, width, height;
    bool ok = check_keys(json, err) && read_spacing(json, info->spacing_mm, err) &&
              read_channels(json, o, err) && read_output(json, o, err) &&
              read_number(json, "mean", -1e6, 1e6, NAN, &o->mean, err) &&
              read_number(json, "std", 1e-6, 1e6, NAN, &o->std, err) &&
              read_number(json, "temperature", 0.01, 100, 1, &info->temperature, err) &&
              read_number(json, "threshold", 0.001, 0.999, 0.5, &info->threshold, err) &&
              read_number(json, "multiple_of", 1, PAD_MOST, 1, &multiple, err) &&
              read_number(json, "width", 1, 4096, 0, &width, err) &&
              read_number(json, "height", 1, 4096, 0, &height, err);
    if (!ok) return false;
    o->multiple_of = (int)multiple;
    info->width = (uint32_t)width;
    info->height = (uint32_t)height;
    return true;
}

static bool read_json(const char *model, es_network *network, es_error *err) {
    char path[4096];
    size_t stem = strlen(model) - strlen(".onnx"), length;
    if (stem + sizeof ".json" > sizeof path)
        return es_fail(err, ES_USAGE, "a name of %zu characters is too long", stem);
    snprintf(path, sizeof path, "%.*s.json", (int)stem, model);
    char *text = es_file_read(path, JSON_MOST, &length, err);
    if (!text) return es_prefix(err, "the model's description (spacing, normalisation, output)");
    json_error_t why;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
    es_free(text);
    bool ok = json_is_object(json) ? read_settings(json, network, err)
                                   : es_fail(err, ES_FORMAT, "no JSON object: %s",
                                             json ? "something else" : why.text);
    json_decref(json);
    return ok || es_prefix(err, "%s", path);
}

/* ---- what the model says of itself -------------------------------------------------- */

static bool check_counts(const struct onnx *o, es_error *err) {
    size_t inputs, outputs;
    if (!worked(o, o->api.input_count(o->session, &inputs), "count the inputs", err) ||
        !worked(o, o->api.output_count(o->session, &outputs), "count the outputs", err))
        return false;
    if (inputs == 1 && outputs >= 1) return true;
    return es_fail(err, ES_UNSUPPORTED,
                   "the model has %zu inputs and %zu outputs; expected one input, and the first "
                   "output is read",
                   inputs, outputs);
}

/* Shape of four dimensions of floats; -1 where it is free. */
static bool read_shape(const struct onnx *o, const ort_type *type, const char *which,
                       int64_t shape[4], es_error *err) {
    const ort_shape *info = NULL;
    int element = 0;
    size_t count = 0;
    if (!worked(o, o->api.as_tensor(type, &info), "read a type", err)) return false;
    if (!info) return es_fail(err, ES_UNSUPPORTED, "the model's %s is no tensor", which);
    if (!worked(o, o->api.element_type(info, &element), "read a type", err) ||
        !worked(o, o->api.dimension_count(info, &count), "read a shape", err))
        return false;
    if (element != ORT_FLOAT || count != 4)
        return es_fail(err, ES_UNSUPPORTED,
                       "the model's %s has %zu dimensions of type %d; expected 32-bit floats (type "
                       "1) of [1, channels, height, width]",
                       which, count, element);
    return worked(o, o->api.dimensions(info, shape, 4), "read a shape", err);
}

static bool check_batch(const int64_t shape[4], const char *which, es_error *err) {
    return shape[0] < 0 || shape[0] == 1 ||
           es_fail(err, ES_UNSUPPORTED,
                   "the model's %s holds %lld pictures; expected 1, or any number", which,
                   (long long)shape[0]);
}

/* A fixed side of the model, and what the JSON says of it, if anything. */
static bool fix_side(const char *name, int64_t models, uint32_t *side, es_error *err) {
    if (models > 4096 || (models > 0 && *side && *side != (uint32_t)models))
        return es_fail(err, ES_UNSUPPORTED,
                       "the model takes a %s of %lld, its JSON says %u; expected the same, 4096 at "
                       "most",
                       name, (long long)models, *side);
    if (models > 0) *side = (uint32_t)models;
    return true;
}

static bool check_input(es_network *network, const int64_t shape[4], es_error *err) {
    const struct onnx *o = network->onnx;
    if (shape[1] >= 0 && shape[1] != o->channel_count)
        return es_fail(err, ES_UNSUPPORTED,
                       "the model takes %lld channels, \"channels\" in its JSON names %d",
                       (long long)shape[1], o->channel_count);
    return check_batch(shape, "input", err) &&
           fix_side("height", shape[2], &network->info.height, err) &&
           fix_side("width", shape[3], &network->info.width, err);
}

static bool check_output(const es_network *network, const int64_t shape[4], es_error *err) {
    const struct onnx *o = network->onnx;
    if (shape[1] >= 0 && o->output_channel >= shape[1])
        return es_fail(err, ES_UNSUPPORTED,
                       "\"output_channel\" is %d, the model gives channels 0 to %lld",
                       o->output_channel, (long long)shape[1] - 1);
    return check_batch(shape, "output", err);
}

static bool check_shapes(es_network *network, es_error *err) {
    const struct onnx *o = network->onnx;
    ort_type *input = NULL, *output = NULL;
    int64_t shape[4];
    bool ok = worked(o, o->api.input_type(o->session, 0, &input), "read the input", err) &&
              worked(o, o->api.output_type(o->session, 0, &output), "read the output", err) &&
              read_shape(o, input, "input", shape, err) && check_input(network, shape, err) &&
              read_shape(o, output, "output", shape, err) && check_output(network, shape, err);
    if (input) o->api.release_type(input);
    if (output) o->api.release_type(output);
    return ok;
}

typedef ort_status *name_fn(const ort_session *, size_t, ort_allocator *, char **);

static bool read_name(const struct onnx *o, name_fn *get, char **copy, es_error *err) {
    ort_allocator *allocator = NULL;
    char *name = NULL;
    if (!worked(o, o->api.default_allocator(&allocator), "give memory", err) ||
        !worked(o, get(o->session, 0, allocator, &name), "read a name", err))
        return false;
    size_t length = strlen(name) + 1;
    if ((*copy = es_alloc(length, 1, err))) memcpy(*copy, name, length);
    return worked(o, o->api.allocator_free(allocator, name), "free memory", *copy ? err : NULL) &&
           *copy;
}

/* ---- opening ------------------------------------------------------------------------- */

/* One thread: the frames of a recording are already spread over all of them. */
static bool make_session(struct onnx *o, const char *bytes, size_t length, es_error *err) {
    ort_options *options = NULL;
    bool ok = worked(o, o->api.create_env(ORT_LOG_FATAL, "echosolid", &o->env), "start", err) &&
              worked(o, o->api.create_cpu_memory(0, 0, &o->memory), "start", err) &&
              worked(o, o->api.create_options(&options), "start", err) &&
              worked(o, o->api.set_optimisation(options, ORT_OPTIMISE_ALL), "optimise", err) &&
              worked(o, o->api.set_intra_threads(options, 1), "set its threads", err) &&
              worked(o, o->api.set_inter_threads(options, 1), "set its threads", err) &&
              worked(o, o->api.create_session(o->env, bytes, length, options, &o->session),
                     "read the model", err);
    if (options) o->api.release_options(options);
    return ok;
}

static bool open_model(const char *path, es_network *network, es_error *err) {
    struct onnx *o = network->onnx;
    size_t length;
    if (!read_json(path, network, err)) return false;
    char *bytes = es_file_read(path, MODEL_MOST, &length, err);
    bool ok = bytes && onnx_api_load(&o->api, err) && make_session(o, bytes, length, err) &&
              check_counts(o, err) && check_shapes(network, err) &&
              read_name(o, o->api.input_name, &o->input, err) &&
              read_name(o, o->api.output_name, &o->output, err);
    es_free(bytes);
    return ok;
}

es_network *network_open_onnx(const char *path, es_error *err) {
    es_network *network = es_alloc_zero(1, sizeof *network, err);
    if (!network) return NULL;
    network->kind = &network_kind_onnx;
    snprintf(network->info.runtime, sizeof network->info.runtime, "ONNX");
    snprintf(network->info.name, sizeof network->info.name, "%.*s",
             (int)sizeof network->info.name - 1, es_path_name(path));
    if ((network->onnx = es_alloc_zero(1, sizeof *network->onnx, err)) &&
        open_model(path, network, err))
        return network;
    es_prefix(err, "%s", path);
    es_network_free(network);
    return NULL;
}

/* ---- running ---------------------------------------------------------------------------- */

struct onnx_run {
    const es_network *network;
    float *input;
    size_t capacity;
};

static void *run_new(const es_network *network, es_error *err) {
    struct onnx_run *run = es_alloc_zero(1, sizeof *run, err);
    if (run) run->network = network;
    return run;
}

static void run_free(void *self) {
    struct onnx_run *run = self;
    if (run) es_free(run->input);
    es_free(run);
}

/* The side that the model gets for a picture of `side`. */
static bool padded(const char *name, uint32_t side, uint32_t fixed, int multiple_of,
                   uint32_t *result, es_error *err) {
    uint32_t m = (uint32_t)multiple_of;
    *result = fixed ? fixed : (side + m - 1) / m * m;
    return side <= *result ||
           es_fail(err, ES_UNSUPPORTED,
                   "the frame's %s is %u in the model's spacing, the model takes %u; export it "
                   "with free sizes, or cut the frame with a clip",
                   name, side, fixed);
}

struct picture {
    const float *grey;
    uint32_t width, height;
};

/* As network_unet.c pads: grey with black, the depth goes on. */
static void fill_input(const struct onnx *o, struct picture p, uint32_t width, uint32_t height,
                       float *to) {
    float mean = (float)o->mean, scale = (float)(1 / o->std);
    for (int c = 0; c < o->channel_count; c++)
        for (uint32_t y = 0; y < height; y++)
            for (uint32_t x = 0; x < width; x++, to++) {
                float depth = ((float)y + 0.5f) / (float)height;
                float grey = x < p.width && y < p.height ? p.grey[(size_t)y * p.width + x] : 0;
                *to = o->channels[c] == CHANNEL_GREY ? (grey - mean) * scale : depth;
            }
}

static bool check_result(const struct onnx *o, const ort_value *value, uint32_t width,
                         uint32_t height, es_error *err) {
    ort_shape *info = NULL;
    size_t count = 0;
    int64_t shape[4] = {0};
    bool ok = worked(o, o->api.shape_of(value, &info), "read its result", err) &&
              worked(o, o->api.dimension_count(info, &count), "read its result", err) &&
              (count != 4 || worked(o, o->api.dimensions(info, shape, 4), "read its result", err));
    if (info) o->api.release_shape(info);
    if (!ok) return false;
    if (count == 4 && shape[0] == 1 && shape[1] > o->output_channel && shape[2] == height &&
        shape[3] == width)
        return true;
    return es_fail(err, ES_UNSUPPORTED,
                   "the model made %lld x %lld x %lld x %lld of an input of %u x %u (height x "
                   "width); expected 1 x (more than %d channels) x %u x %u",
                   (long long)shape[0], (long long)shape[1], (long long)shape[2],
                   (long long)shape[3], height, width, o->output_channel, height, width);
}

static float logit_of(float probability) {
    if (!(probability > 0)) return isnan(probability) ? probability : -SURE;
    if (probability >= 1) return SURE;
    float logit = logf(probability / (1 - probability));
    return fminf(fmaxf(logit, -SURE), SURE);
}

static void take_output(const struct onnx *o, const float *data, struct picture p, uint32_t width,
                        float *logits) {
    for (uint32_t y = 0; y < p.height; y++)
        for (uint32_t x = 0; x < p.width; x++) {
            float value = data[(size_t)y * width + x];
            logits[(size_t)y * p.width + x] = o->gives_probability ? logit_of(value) : value;
        }
}

static bool run_model(const struct onnx *o, float *input, uint32_t width, uint32_t height,
                      ort_value **result, es_error *err) {
    int64_t shape[4] = {1, o->channel_count, height, width};
    size_t bytes = (size_t)o->channel_count * width * height * sizeof *input;
    ort_value *value = NULL;
    if (!worked(o, o->api.create_tensor(o->memory, input, bytes, shape, 4, ORT_FLOAT, &value),
                "take the frame", err))
        return false;
    const char *inputs[] = {o->input}, *outputs[] = {o->output};
    const ort_value *values[] = {value};
    bool ok = worked(o, o->api.run(o->session, NULL, inputs, values, 1, outputs, 1, result),
                     "run the model", err);
    o->api.release_value(value);
    return ok;
}

static bool apply(void *self, const float *grey, uint32_t width, uint32_t height, float *logits,
                  es_error *err) {
    struct onnx_run *run = self;
    const es_network *network = run->network;
    const struct onnx *o = network->onnx;
    struct picture p = {grey, width, height};
    uint32_t w, h;
    if (!padded("width", width, network->info.width, o->multiple_of, &w, err) ||
        !padded("depth", height, network->info.height, o->multiple_of, &h, err))
        return false;
    size_t needed = (size_t)o->channel_count * w * h;
    if (needed > run->capacity) {
        if (!es_resize(&run->input, needed, sizeof *run->input, err)) return false;
        run->capacity = needed;
    }
    fill_input(o, p, w, h, run->input);
    ort_value *result = NULL;
    void *data = NULL;
    bool ok = run_model(o, run->input, w, h, &result, err) && check_result(o, result, w, h, err) &&
              worked(o, o->api.tensor_data(result, &data), "give its result", err);
    if (ok) take_output(o, (const float *)data + (size_t)o->output_channel * w * h, p, w, logits);
    if (result) o->api.release_value(result);
    return ok;
}

const struct network_kind network_kind_onnx = {onnx_free, run_new, run_free, apply};
