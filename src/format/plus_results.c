/* The frames of a PLUS calibration result: found dots and poses, no pixels. */
#include <string.h>

#include "plus_internal.h"

typedef struct results {
    es_frame *frames;
    size_t count, capacity, at;
} results;

static bool add_field(const xmlNode *node, es_frame *frame, es_error *err) {
    char *name = NULL, *value = NULL, from[ES_NAME_SIZE], to[ES_NAME_SIZE], bare[ES_NAME_SIZE];
    double m[16];
    bool ok = plus_get(node, "Name", &name, err) && plus_get(node, "Value", &value, err);
    size_t length = ok && name ? strlen(name) : 0;
    bool transform =
        length > 9 && length < ES_NAME_SIZE && strcmp(name + length - 9, "Transform") == 0;
    if (ok && value && transform && es_parse_doubles(value, m, 16) == 16) {
        es_mat4 matrix;
        memcpy(matrix.m, m, sizeof m);
        snprintf(bare, sizeof bare, "%.*s", (int)(length - 9), name);
        if (es_transform_name_split(bare, from, to, NULL))
            ok = es_frame_set_transform(frame, bare, matrix, es_mat4_finite(matrix), err);
    } else if (ok && name && value) {
        ok = es_fields_set(&frame->fields, name, value, err);
    }
    es_free(name);
    es_free(value);
    return ok;
}

/* "OK" or anything else beside each transform, after all are in. */
static void apply_statuses(es_frame *frame) {
    for (size_t i = 0; i < frame->transform_count; i++) {
        char key[ES_NAME_SIZE + 20];
        es_frame_transform *t = &frame->transforms[i];
        snprintf(key, sizeof key, "%sTransformStatus", t->name);
        const char *status = es_fields_get(&frame->fields, key);
        if (status && strcmp(status, "OK") != 0) t->valid = false;
    }
}

static bool add_dots(const xmlNode *node, es_frame *frame, es_error *err) {
    const xmlNode *points = plus_first_child(node, "SegmentedPoints");
    const xmlNode *p = points ? plus_first_child(points, "Point") : NULL;
    bool ok = true;
    for (; p && ok; p = plus_next_sibling(p, "Point")) {
        char *wire = NULL, *at = NULL, key[ES_NAME_SIZE];
        ok = plus_get(p, "WireName", &wire, err) && plus_get(p, "Position", &at, err);
        if (ok && wire && at) {
            snprintf(key, sizeof key, "Dot.%.100s", wire);
            ok = es_fields_set(&frame->fields, key, at, err);
        }
        es_free(wire);
        es_free(at);
    }
    return ok;
}

static bool read_frame(const es_plus *plus, const xmlNode *node, es_frame *frame, es_error *err) {
    char *index = NULL, *status = NULL;
    int64_t number = 0;
    bool ok =
        plus_get(node, "Index", &index, err) && plus_get(node, "SegmentationStatus", &status, err);
    if (ok && index && !es_parse_int(index, &number))
        ok = plus_fail(plus, node, err, "Index %.40s is no whole number", index);
    frame->index = number;
    ok = ok && es_fields_set(&frame->fields, "SegmentationStatus", status ? status : "", err);
    es_free(index);
    es_free(status);
    if (!ok || !add_dots(node, frame, err)) return false;
    const xmlNode *tracked = plus_first_child(node, "TrackedFrame");
    const xmlNode *field = tracked ? plus_first_child(tracked, "CustomFrameField") : NULL;
    for (; field; field = plus_next_sibling(field, "CustomFrameField"))
        if (!add_field(field, frame, err)) return false;
    apply_statuses(frame);
    const char *time = es_fields_get(&frame->fields, "Timestamp");
    frame->has_time = time && es_parse_double(time, &frame->time_s);
    return true;
}

static bool grow(results *r, es_error *err) {
    if (r->count < r->capacity) return true;
    size_t capacity = r->capacity ? 2 * r->capacity : 64;
    if (!es_resize(&r->frames, capacity, sizeof *r->frames, err)) return false;
    memset(r->frames + r->count, 0, (capacity - r->count) * sizeof *r->frames);
    r->capacity = capacity;
    return true;
}

static void free_results(void *self) {
    results *r = self;
    for (size_t i = 0; i < r->count; i++) es_frame_clear(&r->frames[i]);
    es_free(r->frames);
    es_free(r);
}

static bool next_result(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    results *r = self;
    (void)flags;
    *end = r->at == r->count;
    return *end || es_frame_copy(&r->frames[r->at++], frame, err);
}

static bool rewind_results(void *self, es_error *err) {
    results *r = self;
    (void)err;
    r->at = 0;
    return true;
}

es_source *es_plus_results_open(const es_plus *plus, const char *part, es_error *err) {
    static const es_source_ops ops = {next_result, rewind_results, free_results};
    const xmlNode *data = plus_find(plus, part);
    if (!data) {
        es_fail(err, ES_FORMAT, "%s: has no %s: not a PLUS calibration result", plus->name, part);
        return NULL;
    }
    results *r = es_alloc_zero(1, sizeof *r, err);
    bool ok = r != NULL;
    const xmlNode *node = plus_first_child(data, "Frame");
    for (; node && ok; node = plus_next_sibling(node, "Frame"))
        ok = grow(r, err) && read_frame(plus, node, &r->frames[r->count++], err);
    if (!ok) {
        if (r) free_results(r);
        return NULL;
    }
    es_stream_info info = {
        .frame_count = (int64_t)r->count, .spacing_mm = {1, 1}, .format = "plus-results"};
    return es_source_new(&ops, r, &info, err);
}

bool es_plus_is_results(const es_plus *plus) {
    return plus_find(plus, "CalibrationData") || plus_find(plus, "ValidationData");
}
