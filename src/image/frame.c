/* The tracked frame: pixels, time, named transforms, and the fields that we
 * only carry along. */
#include <string.h>

#include "echosolid/image.h"

bool es_fields_set(es_fields *fields, const char *key, const char *value, es_error *err) {
    char *copy = es_copy_text(value, err);
    if (!copy) return false;
    for (size_t i = 0; i < fields->count; i++)
        if (strcmp(fields->items[i].key, key) == 0) {
            es_free(fields->items[i].value);
            fields->items[i].value = copy;
            return true;
        }
    if (fields->count == fields->capacity) {
        size_t capacity = fields->capacity ? 2 * fields->capacity : 8;
        if (!es_resize(&fields->items, capacity, sizeof *fields->items, err)) goto failed;
        fields->capacity = capacity;
    }
    char *name = es_copy_text(key, err);
    if (!name) goto failed;
    fields->items[fields->count++] = (es_field){name, copy};
    return true;
failed:
    es_free(copy);
    return false;
}

const char *es_fields_get(const es_fields *fields, const char *key) {
    for (size_t i = 0; i < fields->count; i++)
        if (strcmp(fields->items[i].key, key) == 0) return fields->items[i].value;
    return NULL;
}

static void fields_empty(es_fields *fields) {
    for (size_t i = 0; i < fields->count; i++) {
        es_free(fields->items[i].key);
        es_free(fields->items[i].value);
    }
    fields->count = 0;
}

void es_fields_clear(es_fields *fields) {
    fields_empty(fields);
    es_free(fields->items);
    memset(fields, 0, sizeof *fields);
}

bool es_fields_copy(const es_fields *from, es_fields *to, es_error *err) {
    fields_empty(to);
    for (size_t i = 0; i < from->count; i++)
        if (!es_fields_set(to, from->items[i].key, from->items[i].value, err)) return false;
    return true;
}

void es_frame_clear(es_frame *frame) {
    es_image_clear(&frame->image);
    es_free(frame->transforms);
    es_fields_clear(&frame->fields);
    memset(frame, 0, sizeof *frame);
}

static bool transforms_room(es_frame *frame, size_t count, es_error *err) {
    if (count <= frame->transform_capacity) return true;
    size_t capacity = count < 4 ? 4 : 2 * count;
    if (!es_resize(&frame->transforms, capacity, sizeof *frame->transforms, err)) return false;
    frame->transform_capacity = capacity;
    return true;
}

bool es_frame_copy(const es_frame *from, es_frame *to, es_error *err) {
    if (!es_image_copy(&from->image, &to->image, err) ||
        !transforms_room(to, from->transform_count, err) ||
        !es_fields_copy(&from->fields, &to->fields, err))
        return false;
    if (from->transform_count)
        memcpy(to->transforms, from->transforms, from->transform_count * sizeof *from->transforms);
    to->transform_count = from->transform_count;
    to->index = from->index;
    to->has_image = from->has_image;
    to->has_time = from->has_time;
    to->has_unfiltered_time = from->has_unfiltered_time;
    to->time_s = from->time_s;
    to->unfiltered_time_s = from->unfiltered_time_s;
    return true;
}

const es_frame_transform *es_frame_find_transform(const es_frame *frame, const char *name) {
    for (size_t i = 0; i < frame->transform_count; i++)
        if (strcmp(frame->transforms[i].name, name) == 0) return &frame->transforms[i];
    return NULL;
}

bool es_frame_set_transform(es_frame *frame, const char *name, es_mat4 matrix, bool valid,
                            es_error *err) {
    if (strlen(name) >= ES_NAME_SIZE)
        return es_fail(err, ES_FORMAT, "transform name of %zu letters; %d are the limit",
                       strlen(name), ES_NAME_SIZE - 1);
    es_frame_transform *slot = (es_frame_transform *)es_frame_find_transform(frame, name);
    if (!slot) {
        if (!transforms_room(frame, frame->transform_count + 1, err)) return false;
        slot = &frame->transforms[frame->transform_count++];
        memset(slot, 0, sizeof *slot);
        strcpy(slot->name, name);
    }
    slot->matrix = matrix;
    slot->valid = valid;
    strcpy(slot->status, valid ? "OK" : "INVALID");
    return true;
}

bool es_frame_to_graph(const es_frame *frame, es_graph *graph, es_error *err) {
    for (size_t i = 0; i < frame->transform_count; i++) {
        const es_frame_transform *t = &frame->transforms[i];
        char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
        if (!es_transform_name_split(t->name, from, to, NULL) || strcmp(from, to) == 0) continue;
        if (!es_graph_set(graph, from, to, t->matrix, t->valid, err))
            return es_prefix(err, "frame %lld: %s", (long long)frame->index, t->name);
    }
    return true;
}
