/* Grey PNG files into images, through libpng's simplified reader (which keeps
 * its jumps to itself). */
#include <png.h>
#include <string.h>

#include "echosolid/picture.h"

/* A mask or a still of more pixels than this is a mistake or an attack. */
static const uint32_t LARGEST_SIDE = 32768;

static bool read_pixels(png_image *png, const char *path, es_image *picture, es_error *err) {
    if (png->width > LARGEST_SIDE || png->height > LARGEST_SIDE)
        return es_fail(err, ES_FORMAT, "%s: %u x %u pixels; expected %u a side at most", path,
                       png->width, png->height, LARGEST_SIDE);
    if (png->format & PNG_FORMAT_FLAG_COLOR)
        return es_fail(err, ES_UNSUPPORTED, "%s: a colour PNG; expected a grey one", path);
    png->format = PNG_FORMAT_GRAY;
    if (!es_image_resize(picture, ES_U8, 1, png->width, png->height, err)) return false;
    const png_color black = {0, 0, 0}; /* under what is transparent */
    if (png_image_finish_read(png, &black, picture->data, 0, NULL)) return true;
    return es_fail(err, ES_FORMAT, "%s: %s", path, png->message);
}

bool es_png_read(const char *path, es_image *picture, es_error *err) {
    png_image png;
    memset(&png, 0, sizeof png);
    png.version = PNG_IMAGE_VERSION;
    FILE *file = fopen(path, "rb");
    if (!file) return es_fail_errno(err, "%s: cannot be opened", path);
    bool ok = png_image_begin_read_from_stdio(&png, file) != 0;
    if (!ok) es_fail(err, ES_FORMAT, "%s: %s", path, png.message);
    ok = ok && read_pixels(&png, path, picture, err);
    png_image_free(&png);
    fclose(file);
    return ok;
}
