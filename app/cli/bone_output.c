/* JSON, frames and contact sheet of `echosolid bone`. */
#include "bone_output.h"

#include <math.h>
#include <string.h>

/* ---- JSON ------------------------------------------------------------------- */

enum { JSON_FLAGS = JSON_COMPACT | JSON_REAL_PRECISION(8) };

static bool write_text(bone_json *json, const char *text, es_error *err) {
    if (json->file) return es_output_write(json->file, text, strlen(text), err);
    return fputs(text, stdout) != EOF || es_fail(err, ES_IO, "standard output is closed");
}

/* Writes and frees `value`; the first `skip` and the last `drop` bytes are
 * left out, so that an object can be opened and closed in parts. */
static bool write_value(bone_json *json, json_t *value, size_t skip, size_t drop, es_error *err) {
    char *text = value ? json_dumps(value, JSON_FLAGS) : NULL;
    json_decref(value);
    if (!text) return es_fail(err, ES_MEMORY, "out of memory");
    size_t length = strlen(text);
    text[length - drop] = 0;
    bool ok = write_text(json, text + skip, err);
    free(text);
    return ok;
}

bool bone_json_begin(bone_json *json, json_t *head, es_error *err) {
    return write_value(json, head, 0, 1, err) && write_text(json, ",\"frames\":[", err);
}

bool bone_json_end(bone_json *json, json_t *tail, es_error *err) {
    if (!write_text(json, "\n],", err) || !write_value(json, tail, 1, 0, err) ||
        !write_text(json, "\n", err))
        return false;
    if (json->file) return true;
    return fflush(stdout) == 0 || es_fail(err, ES_IO, "standard output is closed");
}

static double hundredths(double value) { return round(value * 100) / 100; }

static bool add_point(json_t *line, const es_stream_info *info, const es_scan_line *at,
                      es_error *err) {
    double u, v;
    es_bone_point(at, &u, &v);
    if (!es_stored_place(info, &u, &v, err)) return false;
    json_array_append_new(line, json_pack("[f, f]", hundredths(u), hundredths(v)));
    return true;
}

/* The pieces as polylines and, beside them, their confidences. */
static bool add_pieces(const es_stream_info *info, const es_trace *trace, json_t *surface,
                       json_t *confidences, es_error *err) {
    for (size_t i = 0, last; i < trace->count; i = last) {
        last = es_bone_piece_end(trace, i);
        if (!trace->lines[i].found) continue;
        json_t *line = json_array();
        json_array_append_new(surface, line);
        for (size_t k = i; k < last; k++)
            if (!add_point(line, info, &trace->lines[k], err)) return false;
        json_array_append_new(confidences,
                              json_real(hundredths(es_bone_confidence(trace, i, last))));
    }
    return true;
}

bool bone_json_put(bone_json *json, const bone_frame *f, es_error *err) {
    json_t *surface = json_array(), *confidences = json_array();
    if (f->trace && !add_pieces(json->info, f->trace, surface, confidences, err)) {
        json_decref(surface);
        json_decref(confidences);
        return false;
    }
    double confidence = f->trace ? es_bone_confidence(f->trace, 0, f->trace->count) : 0;
    json_t *value = json_pack("{s:I, s:o, s:f, s:o, s:o}", "index", (json_int_t)f->frame->index,
                              "surface", surface, "confidence", hundredths(confidence), "agreement",
                              f->trace ? json_real(hundredths(f->agreement)) : json_null(),
                              "surface_confidence", confidences);
    if (value && !f->trace) json_object_set_new(value, "no_picture", json_true());
    const char *before = json->more ? ",\n" : "\n";
    json->more = true;
    if (write_text(json, before, err)) return write_value(json, value, 0, 0, err);
    json_decref(value);
    return false;
}

/* ---- frames ------------------------------------------------------------------- */

bool bone_frames_open(bone_frames *out, const char *path, bone_picture kind,
                      const es_stream_info *info, const double spacing_mm[2], es_error *err) {
    if (!path) return true;
    es_stream_info copy = {0};
    out->kind = kind;
    memcpy(out->spacing_mm, spacing_mm, sizeof out->spacing_mm);
    bool ok = es_stream_info_copy(info, &copy, err);
    copy.type = ES_U8;
    copy.channels = kind == BONE_PROBABILITY ? 1 : 3;
    copy.frame_count = -1;
    if (kind != BONE_PROBABILITY) strcpy(copy.image_kind, "RGB_COLOR");
    out->sink = ok ? es_sequence_create(path, &copy, NULL, err) : NULL;
    es_stream_info_clear(&copy);
    return out->sink != NULL;
}

/* Channel 0: the probability; 1 and 2: the picture in grey. */
static bool put_beside(bone_frames *out, const es_image *original, es_error *err) {
    const es_image *p = &out->probability;
    double low, high;
    if (!es_image_to_f32(original, &out->grey, err) ||
        !es_image_resize(&out->frame.image, ES_U8, 3, p->width, p->height, err))
        return false;
    es_type_range(original->type, &low, &high);
    double scale = original->type == ES_U8 || high > 1e10 ? 1 : 255 / high;
    uint8_t *rgb = out->frame.image.data;
    for (size_t i = 0; i < (size_t)p->width * p->height; i++) {
        rgb[3 * i] = ((const uint8_t *)p->data)[i];
        es_type_set(ES_U8, rgb, 3 * i + 1, scale * (double)((const float *)out->grey.data)[i]);
        rgb[3 * i + 2] = rgb[3 * i + 1];
    }
    return true;
}

static bool make_picture(bone_frames *out, const bone_frame *f, es_error *err) {
    const es_image *original = &f->frame->image;
    if (out->kind == BONE_OVERLAY)
        return es_picture_trace(original, f->trace, &out->frame.image, err);
    es_image *to = out->kind == BONE_BESIDE ? &out->probability : &out->frame.image;
    return es_bone_paint(f->trace, out->spacing_mm, original->width, original->height, to, err) &&
           (out->kind != BONE_BESIDE || put_beside(out, original, err));
}

bool bone_frames_put(bone_frames *out, const bone_frame *f, es_error *err) {
    if (!out->sink) return true;
    return es_frame_copy(f->frame, &out->frame, err) && (!f->trace || make_picture(out, f, err)) &&
           es_sink_put(out->sink, &out->frame, err);
}

bool bone_frames_finish(bone_frames *out, es_error *err) {
    return !out->sink || es_sink_finish(out->sink, err);
}

void bone_frames_close(bone_frames *out) {
    es_sink_free(out->sink);
    es_frame_clear(&out->frame);
    es_image_clear(&out->probability);
    es_image_clear(&out->grey);
}

/* ---- the contact sheet ------------------------------------------------------------ */

enum { TILE_WIDTH = 320, TILE_CAPTION = 14, GAP = 4 };

static bool wanted(bone_sheet *sheet) {
    int64_t tiles = sheet->expected < BONE_TILES ? sheet->expected : BONE_TILES;
    int64_t seen = sheet->seen++;
    return sheet->count < tiles && seen * tiles >= (int64_t)sheet->count * sheet->expected;
}

bool bone_sheet_put(bone_sheet *sheet, const bone_frame *f, es_error *err) {
    static const es_colour ink = {230, 230, 230}, paper = {40, 40, 40};
    if (!sheet->path || !f->trace || !wanted(sheet)) return true;
    const es_image *frame = &f->frame->image;
    double height = ceil((double)TILE_WIDTH * frame->height / frame->width);
    if (height < 8 || height > 1024)
        return es_fail(err, ES_UNSUPPORTED,
                       "a contact sheet of pictures of %u x %u pixels cannot be drawn; leave out "
                       "--picture",
                       frame->width, frame->height);
    es_image drawn = {0}, small = {0}, *tile = &sheet->tiles[sheet->count++];
    char caption[80];
    snprintf(caption, sizeof caption, "frame %lld  sure %.2f  agreed %.2f",
             (long long)f->frame->index, es_bone_confidence(f->trace, 0, f->trace->count),
             f->agreement);
    bool ok = es_picture_trace(frame, f->trace, &drawn, err) &&
              es_picture_from_image(&drawn, 0, 255, TILE_WIDTH, (uint32_t)height, &small, err) &&
              es_picture_new(tile, TILE_WIDTH, (uint32_t)height + TILE_CAPTION, paper, err);
    if (ok) {
        es_picture_text(tile, 2, 2, 1, ink, caption);
        es_picture_paste(tile, &small, 0, TILE_CAPTION);
    }
    es_image_clear(&drawn);
    es_image_clear(&small);
    return ok;
}

bool bone_sheet_write(const bone_sheet *sheet, es_error *err) {
    static const es_colour paper = {90, 90, 90};
    if (!sheet->path) return true;
    if (sheet->count == 0)
        return es_fail(err, ES_GEOMETRY, "no frame has a picture: there is no contact sheet");
    int columns = sheet->count < 5 ? sheet->count : 5,
        rows = (sheet->count + columns - 1) / columns;
    uint32_t height = 0;
    for (int i = 0; i < sheet->count; i++)
        if (sheet->tiles[i].height > height) height = sheet->tiles[i].height;
    es_image page = {0};
    bool ok = es_picture_new(&page, (uint32_t)(columns * (TILE_WIDTH + GAP) + GAP),
                             (uint32_t)rows * (height + GAP) + GAP, paper, err);
    for (int i = 0; ok && i < sheet->count; i++)
        es_picture_paste(&page, &sheet->tiles[i], GAP + i % columns * (TILE_WIDTH + GAP),
                         GAP + i / columns * ((int)height + GAP));
    ok = ok && es_png_write(sheet->path, &page, err);
    es_image_clear(&page);
    return ok;
}

void bone_sheet_clear(bone_sheet *sheet) {
    for (int i = 0; i < BONE_TILES; i++) es_image_clear(&sheet->tiles[i]);
}
