/* A part of the pictures of a recording: cropped, blanked outside of a mask,
 * in grey. Transforms of the picture move with the crop. */
#include "echosolid/image.h"

#include <math.h>
#include <string.h>

typedef struct windowed {
    es_source *inner;
    es_window window;
    es_frame frame; /* as the inner source gives it */
    es_image keep;  /* the mask, cropped; empty: none */
} windowed;

/* ---- pixels ---------------------------------------------------------------------- */

/* Rec. 601 luma, rounded, in the picture's own type. */
static void to_grey(const es_image *from, size_t index, es_image *to, size_t at) {
    double r = es_type_get(from->type, from->data, 3 * index),
           g = es_type_get(from->type, from->data, 3 * index + 1),
           b = es_type_get(from->type, from->data, 3 * index + 2);
    es_type_set(to->type, to->data, at, 0.299 * r + 0.587 * g + 0.114 * b);
}

static void copy_row(const windowed *w, const es_image *from, uint32_t v, es_image *to) {
    size_t pixel = es_type_size(to->type) * (size_t)to->channels;
    size_t first = (size_t)(v + w->window.v0) * from->width + w->window.u0;
    uint8_t *row = (uint8_t *)to->data + (size_t)v * to->width * pixel;
    if (from->channels == to->channels)
        memcpy(row, (const uint8_t *)from->data + first * pixel, to->width * pixel);
    else
        for (uint32_t u = 0; u < to->width; u++)
            to_grey(from, first + u, to, (size_t)v * to->width + u);
    const uint8_t *keep = w->keep.data;
    if (!keep) return;
    keep += (size_t)v * to->width;
    for (uint32_t u = 0; u < to->width; u++)
        if (!keep[u]) memset(row + u * pixel, 0, pixel);
}

static bool cut_picture(const windowed *w, const es_image *from, es_image *to, es_error *err) {
    const es_window *o = &w->window;
    if (from->width < o->u0 + o->width || from->height < o->v0 + o->height)
        return es_fail(err, ES_FORMAT, "a picture of %u x %u is smaller than the crop needs",
                       from->width, from->height);
    int channels = o->grey ? 1 : from->channels;
    if (!es_image_resize(to, from->type, channels, o->width, o->height, err)) return false;
    for (uint32_t v = 0; v < o->height; v++) copy_row(w, from, v, to);
    return true;
}

/* ---- frames ------------------------------------------------------------------------ */

/* Image coordinates begin at the crop's corner now. */
static void move_transforms(const es_window *o, es_frame *frame) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    es_mat4 corner = es_mat4_translation(o->u0, o->v0, 0);
    es_mat4 back = es_mat4_translation(-(double)o->u0, -(double)o->v0, 0);
    for (size_t i = 0; i < frame->transform_count; i++) {
        es_frame_transform *t = &frame->transforms[i];
        if (!es_transform_name_split(t->name, from, to, NULL)) continue;
        if (strcmp(from, "Image") == 0) t->matrix = es_mat4_multiply(t->matrix, corner);
        if (strcmp(to, "Image") == 0) t->matrix = es_mat4_multiply(back, t->matrix);
    }
}

static bool next_window(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    windowed *w = self;
    es_image picture = frame->image;
    if (!es_source_next(w->inner, &w->frame, flags, end, err)) return false;
    if (*end) return true;
    /* the frame's own pixels are reused; all else is copied */
    es_image whole = w->frame.image;
    bool seen = w->frame.has_image && (flags & ES_READ_PIXELS);
    memset(&w->frame.image, 0, sizeof w->frame.image);
    memset(&frame->image, 0, sizeof frame->image);
    bool ok = es_frame_copy(&w->frame, frame, err);
    w->frame.image = whole;
    es_image_clear(&frame->image);
    frame->image = picture;
    frame->has_image = w->frame.has_image;
    move_transforms(&w->window, frame);
    return ok && (!seen || cut_picture(w, &whole, &frame->image, err));
}

static bool rewind_window(void *self, es_error *err) {
    return es_source_rewind(((windowed *)self)->inner, err);
}

static void free_window(void *self) {
    windowed *w = self;
    es_source_free(w->inner);
    es_frame_clear(&w->frame);
    es_image_clear(&w->keep);
    es_free(w);
}

/* ---- opening ------------------------------------------------------------------------ */

static bool check_window(const es_stream_info *info, es_window *o, es_error *err) {
    if (info->width == 0) return es_fail(err, ES_USAGE, "there are no pictures to cut");
    if (o->width == 0) *o = (es_window){o->grey, 0, 0, info->width, info->height, o->keep};
    if (o->height == 0 || (uint64_t)o->u0 + o->width > info->width ||
        (uint64_t)o->v0 + o->height > info->height)
        return es_fail(err, ES_USAGE,
                       "a crop of %u x %u at %u, %u does not lie in the picture of %u x %u",
                       o->width, o->height, o->u0, o->v0, info->width, info->height);
    const es_image *keep = o->keep;
    if (keep && (keep->width != info->width || keep->height != info->height ||
                 keep->type != ES_U8 || keep->channels != 1))
        return es_fail(err, ES_USAGE, "the mask has %u x %u pixels, the picture %u x %u",
                       keep->width, keep->height, info->width, info->height);
    return true;
}

static bool crop_mask(windowed *w, es_error *err) {
    const es_window *o = &w->window;
    if (!o->keep) return true;
    if (!es_image_resize(&w->keep, ES_U8, 1, o->width, o->height, err)) return false;
    for (uint32_t v = 0; v < o->height; v++)
        memcpy((uint8_t *)w->keep.data + (size_t)v * o->width,
               (const uint8_t *)o->keep->data + (size_t)(v + o->v0) * o->keep->width + o->u0,
               o->width);
    return true;
}

/* The corner in the picture as it was first stored, through several crops. */
static bool note_corner(const es_window *o, es_stream_info *info, es_error *err) {
    double before[2] = {0, 0};
    char text[64];
    const char *old = es_fields_get(&info->fields, "EchosolidCropOrigin");
    if (old) es_parse_doubles(old, before, 2);
    if (o->u0 == 0 && o->v0 == 0) return true;
    snprintf(text, sizeof text, "%g %g", before[0] + o->u0, before[1] + o->v0);
    return es_fields_set(&info->fields, "EchosolidCropOrigin", text, err);
}

es_source *es_source_window(es_source *inner, const es_window *window, es_error *err) {
    static const es_source_ops ops = {next_window, rewind_window, free_window};
    static const es_source_ops live = {next_window, NULL, free_window};
    es_stream_info info = {0};
    windowed *w = es_alloc_zero(1, sizeof *w, err);
    if (!w) {
        es_source_free(inner);
        return NULL;
    }
    w->inner = inner;
    w->window = *window;
    es_source *source = NULL;
    if (check_window(es_source_info(inner), &w->window, err) && crop_mask(w, err) &&
        es_stream_info_copy(es_source_info(inner), &info, err) &&
        note_corner(&w->window, &info, err)) {
        info.width = w->window.width;
        info.height = w->window.height;
        if (w->window.grey) info.channels = 1;
        source = es_source_new(es_source_can_rewind(inner) ? &ops : &live, w, &info, err);
        w = NULL; /* es_source_new has taken it */
    }
    if (w) free_window(w);
    es_stream_info_clear(&info);
    return source;
}
