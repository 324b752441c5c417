/* A recording as a frame source, whatever its format.
 *
 * The header has been read; poses come from its frame table and pixels from
 * its payload, both in step with the frame number. A frame that is passed
 * without asking for pixels costs no pixel work: the payload only learns of
 * positions that are really read. */
#include <string.h>

#include "format_internal.h"

typedef struct recording {
    es_layout layout;
    es_turn turn;
    int64_t frame_count, index;
    uint32_t width, height; /* as stored */
    size_t frame_bytes;
    void *stored;           /* a frame before it is turned; NULL when no turn is needed */
    es_error payload_error; /* why no pixels can be read; code ES_OK: they can */
} recording;

static void recording_free(void *self) {
    recording *rec = self;
    es_layout_clear(&rec->layout);
    es_free(rec->stored);
    es_free(rec);
}

static bool is_turned(es_turn turn) { return turn.transpose || turn.flip_u || turn.flip_v; }

static bool read_pixels(recording *rec, es_image *image, es_error *err) {
    const es_layout *layout = &rec->layout;
    if (rec->payload_error.code != ES_OK) {
        if (err) *err = rec->payload_error;
        return false;
    }
    uint32_t width = rec->turn.transpose ? rec->height : rec->width;
    uint32_t height = rec->turn.transpose ? rec->width : rec->height;
    if (!es_image_resize(image, layout->type, layout->channels, width, height, err)) return false;
    if (is_turned(rec->turn) && !rec->stored && !(rec->stored = es_alloc(rec->frame_bytes, 1, err)))
        return false;
    void *to = is_turned(rec->turn) ? rec->stored : image->data;
    uint64_t position = (uint64_t)rec->index * rec->frame_bytes;
    if (!es_payload_read(&rec->layout.payload, position, to, rec->frame_bytes, err)) return false;
    size_t element = es_type_size(layout->type);
    if (layout->swap) es_swap_bytes(to, element, rec->frame_bytes / element);
    if (is_turned(rec->turn))
        es_orientation_apply(rec->turn, to, image->data, rec->width, rec->height,
                             element * (size_t)layout->channels);
    return true;
}

static bool recording_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    recording *rec = self;
    *end = rec->index >= rec->frame_count;
    if (*end) return true;
    frame->index = rec->index;
    frame->has_image = false;
    bool image_ok;
    if (!es_frame_table_fill(&rec->layout.frames, rec->layout.path, frame, &image_ok, err))
        return es_prefix(err, "%s", rec->layout.path);
    if ((flags & ES_READ_PIXELS) && image_ok && !rec->layout.poses_only) {
        if (!read_pixels(rec, &frame->image, err))
            return es_prefix(err, "%s: frame %lld", rec->layout.path, (long long)rec->index);
        frame->has_image = true;
    }
    rec->index++;
    return true;
}

static bool recording_rewind(void *self, es_error *err) {
    (void)err;
    recording *rec = self;
    rec->index = 0;
    rec->layout.frames.cursor = 0;
    return true;
}

/* Poses alone carry the mark XX, and so do the single dummy pixels of older
 * pose files: there is nothing to turn. */
static bool parse_mark(recording *rec, es_error *err) {
    const char *mark = rec->layout.orientation;
    bool no_picture = rec->layout.poses_only || (rec->width <= 1 && rec->height <= 1);
    if (no_picture && strncmp(mark, "XX", 2) == 0) return true;
    if (!es_orientation_parse(mark, &rec->turn, err)) return false;
    if (no_picture) memset(&rec->turn, 0, sizeof rec->turn);
    return true;
}

static bool measure(recording *rec, es_error *err) {
    const es_layout *layout = &rec->layout;
    if (layout->dims == 4 && layout->size[2] > 1)
        return es_fail(err, ES_UNSUPPORTED,
                       "frames of %llu x %llu x %llu voxels; expected single pictures (size 1 in "
                       "the third axis)",
                       (unsigned long long)layout->size[0], (unsigned long long)layout->size[1],
                       (unsigned long long)layout->size[2]);
    rec->frame_count = layout->dims == 2 ? 1 : (int64_t)layout->size[layout->dims - 1];
    rec->width = (uint32_t)layout->size[0];
    rec->height = (uint32_t)layout->size[1];
    rec->frame_bytes = (size_t)(layout->payload.bytes / (uint64_t)rec->frame_count);
    if (!parse_mark(rec, err)) return false;
    if (!es_payload_check(&rec->layout.payload, &rec->payload_error))
        es_log(ES_WARNING, "%s: %s; only the poses can be read", layout->path,
               rec->payload_error.message);
    return true;
}

static es_source *source_of(recording *rec, es_error *err) {
    static const es_source_ops ops = {recording_next, recording_rewind, recording_free};
    es_layout *layout = &rec->layout;
    bool across = rec->turn.transpose;
    es_stream_info info = {
        .frame_count = rec->frame_count,
        .width = across ? rec->height : rec->width,
        .height = across ? rec->width : rec->height,
        .type = layout->type,
        .channels = layout->channels,
        .spacing_mm = {layout->spacing[across], layout->spacing[!across]},
        .fields = layout->fields,
    };
    memcpy(info.orientation, layout->orientation, sizeof info.orientation);
    memcpy(info.image_kind, layout->image_kind, sizeof info.image_kind);
    snprintf(info.format, sizeof info.format, "%s", layout->format);
    return es_source_new(&ops, rec, &info, err);
}

es_source *es_recording_open(es_layout *layout, es_error *err) {
    recording *rec = es_alloc_zero(1, sizeof *rec, err);
    if (!rec) {
        es_layout_clear(layout);
        return NULL;
    }
    rec->layout = *layout;
    if (!measure(rec, err)) {
        es_prefix(err, "%s", rec->layout.path);
        recording_free(rec);
        return NULL;
    }
    return source_of(rec, err);
}
