/* A sequence whose pictures lie in files of their own: what Slicer wrote before
 * it had .seq.nrrd, and writes still where the pictures do not all lie at one
 * place (.seq.mrb, a scene of its own with one volume a picture).
 *
 * The headers of all pictures are read at the start, for their places; pixels
 * are unpacked one picture at a time, when they are asked for. */
#include <math.h>
#include <string.h>

#include "slicer_internal.h"

enum { HEADER = 66000 }; /* bytes of a picture that hold its header */

typedef struct picture {
    size_t entry;
    double time_s; /* NaN: none */
} picture;

typedef struct pictures {
    zip_t *zip;
    char *shown;
    picture *items;
    size_t count, capacity;
    int64_t index;
    es_stream_info info;
} pictures;

static void pictures_free(void *self) {
    pictures *p = self;
    if (p->zip) zip_discard(p->zip);
    es_stream_info_clear(&p->info);
    es_free(p->items);
    es_free(p->shown);
    es_free(p);
}

/* ---- one picture --------------------------------------------------------------- */

static const char *name_of(const pictures *p, const picture *item) {
    const char *name = es_archive_entry(p->zip, item->entry);
    return name ? name : "";
}

static es_source *open_picture(const pictures *p, const picture *item, es_error *err) {
    char path[ES_SCRATCH_NAME];
    double pixel_to_ras[16];
    es_scratch *scratch = es_archive_unpack(p->zip, item->entry, err);
    if (!scratch) return NULL;
    es_scratch_name(scratch, path);
    es_source *source =
        es_recording_open_scratch(path, name_of(p, item), scratch, pixel_to_ras, err);
    if (!source) es_blame(err, path, name_of(p, item));
    if (!source || es_source_info(source)->frame_count == 1) return source;
    es_fail(err, ES_UNSUPPORTED, "%s: a volume of %lld slices; expected a single picture",
            name_of(p, item), (long long)es_source_info(source)->frame_count);
    es_source_free(source);
    return NULL;
}

/* The place of a picture, from its header alone. */
static bool read_place(const pictures *p, const picture *item, es_mat4 *place, es_error *err) {
    char path[ES_SCRATCH_NAME];
    es_layout layout;
    es_scratch *scratch = es_archive_peek(p->zip, item->entry, HEADER, err);
    if (!scratch) return false;
    es_scratch_name(scratch, path);
    bool ok = es_layout_read(path, &layout, err) || es_blame(err, path, name_of(p, item));
    if (ok) {
        es_layout_pixel_to_ras(&layout, place->m);
        es_layout_clear(&layout);
    }
    es_scratch_close(scratch);
    return ok;
}

static bool check_size(const pictures *p, const es_image *image, es_error *err) {
    return (image->width == p->info.width && image->height == p->info.height &&
            image->type == p->info.type && image->channels == p->info.channels) ||
           es_fail(err, ES_FORMAT, "is %u x %u x %d %s; the first picture is %u x %u x %d %s",
                   image->width, image->height, image->channels, es_type_name(image->type),
                   p->info.width, p->info.height, p->info.channels, es_type_name(p->info.type));
}

static bool read_frame(const pictures *p, es_frame *frame, es_error *err) {
    const picture *item = &p->items[p->index];
    bool end = false;
    es_source *source = open_picture(p, item, err);
    bool ok = source && es_source_next(source, frame, ES_READ_PIXELS, &end, err);
    es_source_free(source);
    return ok && (!frame->has_image || check_size(p, &frame->image, err) ||
                  es_prefix(err, "%s", name_of(p, item)));
}

static bool pictures_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    pictures *p = self;
    *end = p->index >= (int64_t)p->count;
    if (*end) return true;
    es_frame_begin(frame, p->index);
    if ((flags & ES_READ_PIXELS) && !read_frame(p, frame, err))
        return es_prefix(err, "%s: frame %lld", p->shown, (long long)p->index);
    frame->index = p->index;
    frame->time_s = p->items[p->index].time_s;
    frame->has_time = isfinite(frame->time_s);
    p->index++;
    return true;
}

static bool pictures_rewind(void *self, es_error *err) {
    (void)err;
    ((pictures *)self)->index = 0;
    return true;
}

/* ---- all of them ----------------------------------------------------------------- */

static bool add_picture(pictures *p, const es_mrml *mrml, const es_mrml_item *item, es_error *err) {
    char file[1000] = "";
    if (item->node) es_mrml_file(mrml, item->node, file, sizeof file);
    zip_int64_t entry = es_mrml_entry(mrml, file, false);
    if (entry < 0)
        return es_fail(err, ES_FORMAT, "%s: picture %zu of the sequence, \"%.100s\", is not there",
                       p->shown, p->count, file);
    if (p->count == p->capacity) {
        size_t capacity = p->capacity ? 2 * p->capacity : 64;
        if (!es_resize(&p->items, capacity, sizeof *p->items, err)) return false;
        p->capacity = capacity;
    }
    p->items[p->count++] = (picture){(size_t)entry, item->value};
    return true;
}

static bool same_place(const es_mat4 *a, const es_mat4 *b) {
    for (int i = 0; i < 16; i++)
        if (!(fabs(a->m[i] - b->m[i]) <= 1e-9 * (1 + fabs(a->m[i])))) return false;
    return true;
}

static bool read_places(const pictures *p, es_placements *places, es_error *err) {
    places->pixel_to_ras = es_alloc(p->count, sizeof *places->pixel_to_ras, err);
    if (!places->pixel_to_ras) return false;
    places->count = 1;
    for (size_t i = 0; i < p->count; i++) {
        if (es_cancelled(err)) return false;
        if (!read_place(p, &p->items[i], &places->pixel_to_ras[i], err))
            return es_prefix(err, "%s", p->shown);
        if (!same_place(&places->pixel_to_ras[i], places->pixel_to_ras)) places->count = p->count;
    }
    return true;
}

/* What the first picture is, all are. */
static bool take_info(pictures *p, es_error *err) {
    es_source *first = open_picture(p, &p->items[0], err);
    bool ok = first && es_stream_info_copy(es_source_info(first), &p->info, err);
    es_source_free(first);
    p->info.frame_count = (int64_t)p->count;
    return ok || es_prefix(err, "%s", p->shown);
}

static bool find_pictures(pictures *p, const es_mrml *mrml, const char *values, es_error *err) {
    es_mrml_item item;
    while (es_mrml_next_item(mrml, &values, &item))
        if (!add_picture(p, mrml, &item, err)) return false;
    return p->count > 0 || es_fail(err, ES_FORMAT, "%s: a sequence without pictures", p->shown);
}

es_source *es_pictures_open(const char *path, const char *shown, const es_mrml *mrml,
                            const char *values, es_placements *placements, es_error *err) {
    static const es_source_ops ops = {pictures_next, pictures_rewind, pictures_free};
    pictures *p = es_alloc_zero(1, sizeof *p, err);
    bool ok = p && (p->shown = es_copy_text(shown, err)) && (p->zip = es_archive_open(path, err)) &&
              find_pictures(p, mrml, values, err) && read_places(p, placements, err) &&
              take_info(p, err);
    if (ok) return es_source_new(&ops, p, &p->info, err);
    if (p) pictures_free(p);
    return NULL;
}
