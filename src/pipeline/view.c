/* What a page's 3-D view is given, and how it is packed.
 *
 * The browser gets typed arrays without any parsing: a JSON head says what each
 * array is and where it stands. Meshes are quantised to 16 bits (2 um for a
 * bone of 15 cm), scalars and grey to 8; zlib takes the rest. */
#include "echosolid/view.h"

#include <string.h>
#include <zlib.h>

#include "echosolid/picture.h"
#include "report_internal.h"
#include "view_internal.h"
#include "view_program.h"

enum { COLOURS = 13 };

static const char magic[] = "ESVIEW1\n";

/* ---- pieces ---------------------------------------------------------------- */

static bool out_of_memory(es_error *err) { return es_fail(err, ES_MEMORY, "view: out of memory"); }

bool view_set(json_t *object, const char *key, json_t *value, es_error *err) {
    return json_object_set_new(object, key, value) == 0 || out_of_memory(err);
}

json_t *view_vector(double x, double y, double z) { return json_pack("[f, f, f]", x, y, z); }

static json_t *describe(es_view *view, const char *kind, size_t offset, size_t count) {
    es_text_add_bytes(&view->bytes, "\0\0\0", (4 - view->bytes.length % 4) % 4);
    if (view->bytes.failed) return NULL;
    return json_pack("{s:s, s:I, s:I}", "kind", kind, "offset", (json_int_t)offset, "count",
                     (json_int_t)count);
}

json_t *view_put_bytes(es_view *view, const uint8_t *bytes, size_t count) {
    size_t offset = view->bytes.length;
    es_text_add_bytes(&view->bytes, bytes, count);
    return describe(view, "u8", offset, count);
}

json_t *view_put(es_view *view, const uint32_t *numbers, size_t count, int size) {
    size_t offset = view->bytes.length;
    for (size_t i = 0; i < count; i++) {
        uint32_t n = numbers[i];
        uint8_t bytes[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
        es_text_add_bytes(&view->bytes, bytes, (size_t)size);
    }
    return describe(view, size == 1 ? "u8" : size == 2 ? "u16" : "u32", offset, count);
}

/* ---- beginning and end ------------------------------------------------------- */

/* The scale of the still pictures, at even steps. */
static json_t *colour_scale(void) {
    json_t *scale = json_array();
    for (int i = 0; i < COLOURS; i++) {
        es_colour c = es_picture_colour_map(i / (COLOURS - 1.0));
        if (json_array_append_new(scale, view_vector(c.r, c.g, c.b)) != 0) {
            json_decref(scale);
            return NULL;
        }
    }
    return scale;
}

es_view *es_view_new(const char *title, es_error *err) {
    es_view *view = es_alloc_zero(1, sizeof *view, err);
    char *clean = report_clean(title, err);
    bool ok = view && clean;
    if (ok) view->head = json_pack("{s:s, s:[]}", "title", clean, "meshes");
    ok = ok && view_set(view->head, "colours", colour_scale(), err);
    es_free(clean);
    if (ok) return view;
    es_view_free(view);
    return NULL;
}

void es_view_free(es_view *view) {
    if (!view) return;
    json_decref(view->head);
    es_text_free(&view->bytes);
    es_free(view);
}

/* ---- packing ------------------------------------------------------------------- */

static int take_piece(const char *bytes, size_t length, void *context) {
    es_text *text = context;
    es_text_add_bytes(text, bytes, length);
    return text->failed ? -1 : 0;
}

/* Magic, length, head padded with blanks, arrays. */
static bool join(const es_view *view, es_text *all, es_error *err) {
    es_text head = {0};
    size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(9);
    if (json_dump_callback(view->head, take_piece, &head, flags) != 0) head.failed = true;
    es_text_add_bytes(&head, "   ", (4 - head.length % 4) % 4);
    uint32_t n = (uint32_t)head.length;
    uint8_t length[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    es_text_add_bytes(all, magic, sizeof magic - 1);
    es_text_add_bytes(all, length, sizeof length);
    if (!head.failed) es_text_add_bytes(all, head.bytes, head.length);
    if (view->bytes.length) es_text_add_bytes(all, view->bytes.bytes, view->bytes.length);
    bool ok = !head.failed && !view->bytes.failed && !all->failed;
    es_text_free(&head);
    return ok || out_of_memory(err);
}

void *es_view_encode(const es_view *view, size_t *length, es_error *err) {
    es_text all = {0};
    uint8_t *packed = NULL;
    if (join(view, &all, err)) {
        uLongf size = compressBound((uLong)all.length);
        packed = es_alloc(size, 1, err);
        if (packed &&
            compress2(packed, &size, (const Bytef *)all.bytes, (uLong)all.length, 6) != Z_OK) {
            es_free(packed);
            packed = NULL;
            out_of_memory(err);
        }
        *length = size;
    }
    es_text_free(&all);
    return packed;
}

const es_view_program *es_view_program_get(void) {
    return view_program.script ? &view_program : NULL;
}
