/* Frames as OpenIGTLink messages, as PlusServer sends them. */
#include "outgo.h"

#include <string.h>
#include <time.h>

/* Receivers read the size of metadata as 16 bits. */
enum { PAIRS = 120, META_MOST = 60000 };

uint64_t outgo_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return es_igtl_time((double)now.tv_sec + (double)now.tv_nsec * 1e-9);
}

/* Texts one behind the other, and later the pointers to them. */
typedef struct meta_list {
    es_text text;
    size_t at[2 * PAIRS];
    const char *items[2 * PAIRS + 1];
    size_t count;
} meta_list;

static void add_pair(meta_list *list, const char *key, const char *value) {
    size_t length = strlen(key) + strlen(value) + 2;
    if (list->count == 2 * PAIRS || list->text.length + length > META_MOST) return;
    list->at[list->count++] = list->text.length;
    es_text_add_bytes(&list->text, key, strlen(key) + 1);
    list->at[list->count++] = list->text.length;
    es_text_add_bytes(&list->text, value, strlen(value) + 1);
}

static const char *const *finish(meta_list *list) {
    if (list->text.failed) return NULL;
    for (size_t i = 0; i < list->count; i++) list->items[i] = list->text.bytes + list->at[i];
    list->items[list->count] = NULL;
    return list->count ? list->items : NULL;
}

static const char *status_of(const es_frame_transform *t) {
    return t->valid ? "OK" : t->status[0] && strcmp(t->status, "OK") != 0 ? t->status : "INVALID";
}

static void add_transform(meta_list *list, const es_frame_transform *t) {
    char key[ES_NAME_SIZE + 32], number[ES_NUMBER_SIZE];
    es_text numbers = {0};
    for (int i = 0; i < 16; i++)
        es_text_add(&numbers, "%s%s", i ? " " : "", es_format_double(t->matrix.m[i], number));
    snprintf(key, sizeof key, "%sTransform", t->name);
    if (!numbers.failed) add_pair(list, key, numbers.bytes);
    es_text_free(&numbers);
    snprintf(key, sizeof key, "%sTransformStatus", t->name);
    add_pair(list, key, status_of(t));
}

static es_igtl_image image_of(const es_image *image, const es_mat4 *place) {
    es_igtl_image sent = {.channels = image->channels,
                          .type = image->type,
                          .little = true,
                          .frame = 1,
                          .size = {(uint16_t)image->width, (uint16_t)image->height, 1},
                          .part_size = {(uint16_t)image->width, (uint16_t)image->height, 1},
                          .pixels = image->data,
                          .bytes = es_image_bytes(image)};
    sent.matrix = es_igtl_image_centre(place ? *place : es_mat4_identity(), sent.size);
    return sent;
}

bool outgo_picture(es_igtl_out *out, const es_frame *frame, const char *device,
                   const es_mat4 *place, uint64_t time) {
    meta_list *list = es_alloc_zero(1, sizeof *list, NULL);
    const es_image *image = &frame->image;
    bool ok = list && frame->has_image && image->width <= UINT16_MAX && image->height <= UINT16_MAX;
    if (ok) {
        for (size_t i = 0; i < frame->transform_count; i++)
            add_transform(list, &frame->transforms[i]);
        for (size_t i = 0; i < frame->fields.count; i++)
            add_pair(list, frame->fields.items[i].key, frame->fields.items[i].value);
        es_igtl_head head = {.version = 2, .device = device, .time = time, .meta = finish(list)};
        es_igtl_image sent = image_of(image, place);
        es_igtl_put_image(out, &head, &sent);
    }
    if (list) es_text_free(&list->text);
    es_free(list);
    return ok;
}

void outgo_transform(es_igtl_out *out, const es_frame_transform *t, uint64_t time) {
    const char *meta[] = {
        "TransformValid", t->valid ? "1" : "0", "TransformStatus", status_of(t), NULL, NULL, NULL};
    if (strlen(t->name) > ES_IGTL_DEVICE) {
        meta[4] = "IGTL_DEVICE_NAME";
        meta[5] = t->name;
    }
    es_igtl_head head = {.version = 2, .device = t->name, .time = time, .meta = meta};
    es_igtl_put_transform(out, &head, t->matrix);
}

void outgo_volume_part(es_igtl_out *out, const char *device, const es_grid *grid,
                       const uint64_t first[3], const uint64_t last[3], const void *pixels,
                       uint64_t time) {
    const es_grid_info *info = &grid->info;
    es_igtl_image sent = {.channels = info->channels,
                          .type = info->type,
                          .little = true,
                          .frame = 1,
                          .pixels = pixels,
                          .bytes = es_type_size(info->type) * (size_t)info->channels};
    for (int a = 0; a < 3; a++) {
        sent.size[a] = (uint16_t)info->size[a];
        sent.part_first[a] = (uint16_t)first[a];
        sent.part_size[a] = (uint16_t)(last[a] - first[a] + 1);
        sent.bytes *= (size_t)sent.part_size[a];
    }
    sent.matrix = es_igtl_image_centre(es_grid_to_mm(info), sent.size);
    es_igtl_head head = {.version = 2, .device = device, .time = time};
    es_igtl_put_image(out, &head, &sent);
}

void outgo_volume(es_igtl_out *out, const char *device, const es_grid *grid, uint64_t time) {
    const uint64_t first[3] = {0, 0, 0}, *n = grid->info.size;
    const uint64_t last[3] = {n[0] - 1, n[1] - 1, n[2] - 1};
    outgo_volume_part(out, device, grid, first, last, grid->data, time);
}
