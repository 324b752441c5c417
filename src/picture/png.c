/* PNG through libpng, into memory. libpng reports errors by a jump; all that
 * must survive it lives in one struct outside the function that sets it. */
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "picture_internal.h"

typedef struct encoder {
    png_structp png;
    png_infop info;
    es_text bytes;
    es_error *err;
} encoder;

static void on_error(png_structp png, png_const_charp message) {
    encoder *e = png_get_error_ptr(png);
    es_fail(e->err, ES_MEMORY, "PNG: %s", message); /* sizes were checked: only memory is left */
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static png_voidp allocate(png_structp png, png_alloc_size_t size) {
    (void)png;
    return es_alloc(size, 1, NULL);
}

static void release(png_structp png, png_voidp block) {
    (void)png;
    es_free(block);
}

static void take_bytes(png_structp png, png_bytep bytes, size_t length) {
    encoder *e = png_get_io_ptr(png);
    es_text_add_bytes(&e->bytes, bytes, length);
    if (e->bytes.failed) png_error(png, "out of memory");
}

static void flush_nothing(png_structp png) { (void)png; }

static bool encode(encoder *e, const es_image *picture) {
    if (setjmp(png_jmpbuf(e->png))) return false;
    e->info = png_create_info_struct(e->png);
    if (!e->info) png_error(e->png, "out of memory");
    png_set_write_fn(e->png, e, take_bytes, flush_nothing);
    png_set_IHDR(e->png, e->info, picture->width, picture->height, 8,
                 picture->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(e->png, e->info);
    size_t row = (size_t)picture->width * (size_t)picture->channels;
    for (uint32_t v = 0; v < picture->height; v++)
        png_write_row(e->png, (png_const_bytep)picture->data + v * row);
    png_write_end(e->png, e->info);
    return true;
}

void *es_png_encode(const es_image *picture, size_t *length, es_error *err) {
    if (!picture->data || picture->type != ES_U8) {
        es_fail(err, ES_USAGE, "PNG: the picture holds %s; expected u8 pixels",
                picture->data ? es_type_name(picture->type) : "nothing");
        return NULL;
    }
    if (!picture_check_size(picture->width, picture->height, err)) return NULL;
    encoder e = {.err = err};
    e.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &e, on_error, on_warning, NULL,
                                      allocate, release);
    bool ok = false;
    if (e.png)
        ok = encode(&e, picture);
    else
        es_fail(err, ES_MEMORY, "PNG: out of memory");
    png_destroy_write_struct(&e.png, &e.info);
    if (!ok) es_text_free(&e.bytes);
    *length = e.bytes.length;
    return e.bytes.bytes;
}

bool es_png_write(const char *path, const es_image *picture, es_error *err) {
    size_t length;
    void *bytes = es_png_encode(picture, &length, err);
    es_output *out = bytes ? es_output_open(path, err) : NULL;
    bool ok = out && es_output_write(out, bytes, length, err);
    es_free(bytes);
    if (ok) return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}
