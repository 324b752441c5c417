/* Networks in memory: the reader of .esnn, and what all kinds share.
 *
 * An .esnn is the 8 bytes "ESNN1\0\0\0", the length of a JSON header (32 bits,
 * little endian), that header, and the weights as little-endian floats to the
 * end of the file, convolution after convolution in the order in which they
 * run: weight[out][in][row][column], then bias[out]. The header's numbers give
 * every shape, so the file has one right length. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "network_internal.h"

enum { MAGIC = 8, HEAD = 12, HEADER_MOST = 1 << 20, FILE_MOST = 64 << 20 };

void es_network_free(es_network *network) {
    if (!network) return;
    network->kind->free(network);
    es_free(network);
}

const es_network_info *es_network_about(const es_network *network) { return &network->info; }

struct es_network_run {
    const struct network_kind *kind;
    void *self;
};

es_network_run *es_network_run_new(const es_network *network, es_error *err) {
    es_network_run *run = es_alloc_zero(1, sizeof *run, err);
    if (!run) return NULL;
    run->kind = network->kind;
    run->self = network->kind->run_new(network, err);
    if (run->self) return run;
    es_free(run);
    return NULL;
}

void es_network_run_free(es_network_run *run) {
    if (!run) return;
    run->kind->run_free(run->self);
    es_free(run);
}

static bool check_finite(const float *values, size_t count, es_error *err) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return es_fail(err, ES_FORMAT,
                           "the network gave %g at value %zu of %zu; expected finite numbers: its "
                           "weights are damaged, or its input is not what it was trained on",
                           (double)values[i], i, count);
    return true;
}

enum { LARGEST_SIDE = 4096, MOST_PIXELS = 1 << 20 };

bool es_network_apply(es_network_run *run, const float *grey, uint32_t width, uint32_t height,
                      float *logits, es_error *err) {
    if (width == 0 || height == 0 || width > LARGEST_SIDE || height > LARGEST_SIDE ||
        (size_t)width * height > MOST_PIXELS)
        return es_fail(err, ES_USAGE,
                       "a picture of %u x %u for a network; expected 1 to %d a side and %d pixels "
                       "at most",
                       width, height, LARGEST_SIDE, MOST_PIXELS);
    return run->kind->apply(run->self, grey, width, height, logits, err) &&
           check_finite(logits, (size_t)width * height, err);
}

/* ---- the header ---------------------------------------------------------------- */

static bool refuse(es_error *err, const char *key, const char *expected) {
    return es_fail(err, ES_UNSUPPORTED,
                   "the network's header: \"%s\" is missing or not %s; was the file made for "
                   "another version?",
                   key, expected);
}

static bool whole_number(const json_t *header, const char *key, int low, int high, int *value) {
    const json_t *at = json_object_get(header, key);
    json_int_t number = json_integer_value(at);
    *value = (int)number;
    return json_is_integer(at) && number >= low && number <= high;
}

static bool number(const json_t *header, const char *key, double low, double high, double *value) {
    const json_t *at = json_object_get(header, key);
    *value = json_number_value(at);
    return json_is_number(at) && *value >= low && *value <= high;
}

static bool read_widths(const json_t *header, struct unet *net, es_error *err) {
    const json_t *widths = json_object_get(header, "widths");
    size_t count = json_array_size(widths);
    if (count < 2 || count > NETWORK_LEVELS)
        return refuse(err, "widths", "a list of two to six numbers");
    net->levels = (int)count;
    for (size_t i = 0; i < count; i++) {
        const json_t *at = json_array_get(widths, i);
        json_int_t width = json_integer_value(at);
        if (!json_is_integer(at) || width < TILE_OUTS || width > NETWORK_WIDEST ||
            width % TILE_OUTS)
            return refuse(err, "widths", "multiples of 4 from 4 to 64");
        net->widths[i] = (int)width;
    }
    return true;
}

/* "threshold" is optional: a network may not know from where on it means bone. */
static bool read_about(const json_t *header, es_network_info *info, es_error *err) {
    const char *name = json_string_value(json_object_get(header, "name"));
    snprintf(info->name, sizeof info->name, "%s", name ? name : "unnamed");
    snprintf(info->runtime, sizeof info->runtime, "echosolid");
    if (!number(header, "spacing_mm", 0.05, 5, &info->spacing_mm[0]))
        return refuse(err, "spacing_mm", "a number from 0.05 to 5");
    info->spacing_mm[1] = info->spacing_mm[0];
    if (!number(header, "temperature", 0.01, 100, &info->temperature))
        return refuse(err, "temperature", "a number from 0.01 to 100");
    info->threshold = NAN;
    if (json_object_get(header, "threshold") &&
        !number(header, "threshold", 0.001, 0.999, &info->threshold))
        return refuse(err, "threshold", "a number from 0.001 to 0.999");
    return true;
}

static bool read_shapes(const json_t *header, struct unet *net, es_error *err) {
    const char *architecture = json_string_value(json_object_get(header, "architecture"));
    int stem;
    if (!architecture || strcmp(architecture, "unet") != 0)
        return refuse(err, "architecture", "\"unet\"");
    if (!whole_number(header, "inputs", 1, 2, &net->inputs))
        return refuse(err, "inputs", "1 (grey) or 2 (grey and depth)");
    if (!whole_number(header, "outputs", 1, TILE_OUTS, &net->outputs))
        return refuse(err, "outputs", "a number from 1 to 4");
    if (!whole_number(header, "stem", 0, 1, &stem)) return refuse(err, "stem", "0 or 1");
    net->stem = stem;
    return read_widths(header, net, err);
}

/* ---- the weights ------------------------------------------------------------------ */

static void add_conv(struct unet *net, int ins, int outs, int side) {
    net->conv[net->convs++] = (struct conv){.ins = ins, .outs = outs, .side = side};
}

/* The convolutions in the order in which they run. */
static void list_convs(struct unet *net) {
    int deepest = net->levels - 1, ins = net->inputs;
    if (net->stem) add_conv(net, ins, net->widths[0], 3);
    if (net->stem) ins = net->widths[0];
    for (int l = 0; l <= deepest; ins = net->widths[l++]) {
        add_conv(net, ins, net->widths[l], 3);
        add_conv(net, net->widths[l], net->widths[l], 3);
    }
    for (int l = deepest - 1; l >= 0; l--) {
        add_conv(net, net->widths[l] + net->widths[l + 1], net->widths[l], 3);
        add_conv(net, net->widths[l], net->widths[l], 3);
    }
    add_conv(net, net->widths[0], net->outputs, 1);
}

static size_t tap_count(const struct conv *c) { return (size_t)(c->ins * c->side * c->side); }

static size_t groups_of(const struct conv *c) {
    return ((size_t)c->outs + TILE_OUTS - 1) / TILE_OUTS;
}

static size_t file_floats(const struct unet *net) {
    size_t count = 0;
    for (int i = 0; i < net->convs; i++)
        count += (tap_count(&net->conv[i]) + 1) * (size_t)net->conv[i].outs;
    return count;
}

static bool make_storage(struct unet *net, es_error *err) {
    size_t count = 0;
    for (int i = 0; i < net->convs; i++)
        count += (tap_count(&net->conv[i]) + 1) * groups_of(&net->conv[i]) * TILE_OUTS;
    float *at = net->storage = es_alloc_zero(count, sizeof *net->storage, err);
    for (int i = 0; at && i < net->convs; i++) {
        struct conv *c = &net->conv[i];
        c->weight = at;
        c->bias = at + tap_count(c) * groups_of(c) * TILE_OUTS;
        at = c->bias + groups_of(c) * TILE_OUTS;
    }
    return at != NULL;
}

static float little_endian(const unsigned char *bytes) {
    uint32_t bits = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
                    (uint32_t)bytes[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool take(const unsigned char *bytes, size_t index, float *to, es_error *err) {
    *to = little_endian(bytes + 4 * index);
    return isfinite(*to) ||
           es_fail(err, ES_FORMAT,
                   "the network's weight %zu is %g; expected finite numbers: the file is damaged",
                   index, (double)*to);
}

/* From the file's order to the kernels'. */
static bool read_weights(struct unet *net, const unsigned char *bytes, es_error *err) {
    size_t index = 0;
    for (int i = 0; i < net->convs; i++) {
        const struct conv *c = &net->conv[i];
        size_t taps = tap_count(c), outs = (size_t)c->outs;
        for (size_t o = 0; o < outs; o++)
            for (size_t t = 0; t < taps; t++)
                if (!take(bytes, index++,
                          &c->weight[(o / TILE_OUTS * taps + t) * TILE_OUTS + o % TILE_OUTS], err))
                    return false;
        for (size_t o = 0; o < outs; o++)
            if (!take(bytes, index++, &c->bias[o], err)) return false;
    }
    return true;
}

static bool check_length(size_t expected, size_t bytes, es_error *err) {
    if (bytes == 4 * expected) return true;
    return es_fail(err, ES_FORMAT,
                   "the network's shapes ask for %zu bytes of weights, %zu are there: the file is "
                   "%s",
                   4 * expected, bytes,
                   bytes < 4 * expected ? "truncated" : "longer than it should be");
}

void unet_free(struct unet *unet) {
    if (!unet) return;
    es_free(unet->storage);
    es_free(unet);
}

static json_t *parse_header(const unsigned char *bytes, size_t length, size_t *end, es_error *err) {
    if (length < HEAD || memcmp(bytes, "ESNN1\0\0", MAGIC) != 0) {
        es_fail(err, ES_FORMAT, "no network: expected a file that begins with ESNN1");
        return NULL;
    }
    size_t header =
        bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (header > HEADER_MOST || header > length - HEAD) {
        es_fail(err, ES_FORMAT,
                "the network's header should have %zu bytes, %zu are left: the file is truncated",
                header, length - HEAD);
        return NULL;
    }
    json_error_t why;
    json_t *json = json_loadb((const char *)bytes + HEAD, header, JSON_REJECT_DUPLICATES, &why);
    if (!json) es_fail(err, ES_FORMAT, "the network's header is no JSON: %s", why.text);
    *end = HEAD + header;
    return json;
}

es_network *es_network_new(const void *bytes, size_t length, es_error *err) {
    size_t end = 0;
    json_t *header = parse_header(bytes, length, &end, err);
    if (!header) return NULL;
    es_network *network = es_alloc_zero(1, sizeof *network, err);
    struct unet *net = network ? es_alloc_zero(1, sizeof *net, err) : NULL;
    bool ok = net && read_about(header, &network->info, err) && read_shapes(header, net, err);
    json_decref(header);
    if (ok) {
        list_convs(net);
        network->info.weights = file_floats(net);
        ok = check_length(network->info.weights, length - end, err) && make_storage(net, err) &&
             read_weights(net, (const unsigned char *)bytes + end, err);
    }
    if (network) {
        network->kind = &network_kind_unet;
        network->unet = net;
    }
    if (ok) return network;
    es_network_free(network);
    return NULL;
}

es_network *es_network_open(const char *path, es_error *err) {
    if (es_has_suffix(path, ".onnx")) return network_open_onnx(path, err);
    if (!es_has_suffix(path, ".esnn")) {
        es_fail(err, ES_USAGE, "%s: a network is a file named .onnx or .esnn", path);
        return NULL;
    }
    size_t length;
    char *bytes = es_file_read(path, FILE_MOST, &length, err);
    es_network *network = bytes ? es_network_new(bytes, length, err) : NULL;
    if (bytes && !network) es_prefix(err, "%s", path);
    es_free(bytes);
    return network;
}

bool es_network_is_built_in(void) { return network_built_in_length > 0; }

es_network *es_network_built_in(es_error *err) {
    if (network_built_in_length > 0)
        return es_network_new(network_built_in_bytes, network_built_in_length, err);
    es_fail(err, ES_UNSUPPORTED,
            "this build has no network of its own: models/bone.esnn was not there; name one with "
            "--model, or choose --method shadow");
    return NULL;
}
