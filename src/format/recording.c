/* A recording as a frame source, whatever its format.
 *
 * The header has been read; poses come from its frame table and pixels from
 * its payload, both in step with the frame number. A frame that is passed
 * without asking for pixels costs no pixel work: the payload only learns of
 * positions that are really read. */
#include <math.h>
#include <string.h>

#include "format_internal.h"

typedef struct recording {
    es_layout layout;
    es_turn turn;
    int64_t frame_count, index;
    uint32_t width, height; /* as stored */
    size_t frame_bytes;
    void *stored;           /* a frame before it is turned; NULL when no turn is needed */
    es_scratch *home;       /* the file itself, where it came out of an archive */
    es_scratch *sorted;     /* the frames of an interleaved file, once they are needed */
    double *times_s;        /* of all frames, where the file lists them; else NULL */
    es_error payload_error; /* why no pixels can be read; code ES_OK: they can */
} recording;

static void recording_free(void *self) {
    recording *rec = self;
    es_layout_clear(&rec->layout);
    es_free(rec->stored);
    es_free(rec->times_s);
    es_scratch_close(rec->sorted);
    es_scratch_close(rec->home);
    es_free(rec);
}

static bool is_turned(es_turn turn) { return turn.transpose || turn.flip_u || turn.flip_v; }

static bool read_rows(void *self, uint64_t start, uint64_t count, void *out, es_error *err) {
    recording *rec = self;
    size_t row = rec->frame_bytes / rec->height * (size_t)rec->frame_count;
    return es_payload_read(&rec->layout.payload, start * row, out, (size_t)count * row, err);
}

static bool sort_frames(recording *rec, es_error *err) {
    es_sort_plan plan = {.steps = rec->height,
                         .frames = (uint64_t)rec->frame_count,
                         .step_bytes = rec->frame_bytes / rec->height * (size_t)rec->frame_count,
                         .run_bytes = es_type_size(rec->layout.type),
                         .read = read_rows,
                         .self = rec};
    rec->sorted = es_frames_sort(&plan, err);
    return rec->sorted != NULL;
}

/* A frame as it is stored. */
static bool read_stored(recording *rec, void *to, es_error *err) {
    uint64_t position = (uint64_t)rec->index * rec->frame_bytes;
    if (!rec->layout.interleaved)
        return es_payload_read(&rec->layout.payload, position, to, rec->frame_bytes, err);
    return (rec->sorted || sort_frames(rec, err)) &&
           es_scratch_get(rec->sorted, position, to, rec->frame_bytes, err);
}

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
    if (!read_stored(rec, to, err)) return false;
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
    if (rec->times_s && !frame->has_time) {
        frame->time_s = rec->times_s[rec->index];
        frame->has_time = true;
    }
    if (!frame->has_time && rec->layout.frame_step_s > 0) {
        frame->time_s = (double)rec->index * rec->layout.frame_step_s;
        frame->has_time = true;
    }
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

/* The times that Slicer lists in one line. */
static bool take_times(recording *rec, es_error *err) {
    const es_layout *layout = &rec->layout;
    if (!layout->index_values) return true;
    rec->times_s = es_alloc((size_t)rec->frame_count, sizeof *rec->times_s, err);
    if (!rec->times_s) return false;
    long found = es_parse_doubles(layout->index_values, rec->times_s, (long)rec->frame_count);
    bool usable = found == rec->frame_count;
    double unit = layout->index_unit_s > 0 ? layout->index_unit_s : 1;
    for (int64_t f = 0; usable && f < rec->frame_count; f++) {
        usable = isfinite(rec->times_s[f]);
        rec->times_s[f] *= unit;
    }
    if (!usable) {
        es_log(ES_WARNING, "%s: its index values are no %lld numbers; the frames have no times",
               layout->path, (long long)rec->frame_count);
        es_free(rec->times_s);
        rec->times_s = NULL;
    } else if (layout->index_unit_s <= 0) {
        es_log(ES_NOTE, "%s: its index values are taken as times in seconds; no unit is told",
               layout->path);
    }
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
    if (layout->interleaved && rec->height &&
        rec->frame_bytes / rec->height > INT32_MAX / (uint64_t)rec->frame_count)
        return es_fail(err, ES_UNSUPPORTED, "rows of %lld interleaved frames are too long",
                       (long long)rec->frame_count);
    if (layout->scaled)
        es_log(ES_WARNING,
               "%s: its values are to be scaled by %g and shifted by %g, which is not "
               "done for frames",
               layout->path, layout->slope, layout->intercept);
    if (!parse_mark(rec, err) || !take_times(rec, err)) return false;
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

static es_source *open_recording(es_layout *layout, es_scratch *home, es_error *err) {
    recording *rec = es_alloc_zero(1, sizeof *rec, err);
    if (!rec) {
        es_layout_clear(layout);
        es_scratch_close(home);
        return NULL;
    }
    rec->home = home;
    rec->layout = *layout;
    if (!measure(rec, err)) {
        es_prefix(err, "%s", rec->layout.path);
        recording_free(rec);
        return NULL;
    }
    return source_of(rec, err);
}

es_source *es_recording_open(es_layout *layout, es_error *err) {
    return open_recording(layout, NULL, err);
}

void es_layout_pixel_to_ras(const es_layout *layout, double pixel_to_ras[16]) {
    for (int row = 0; row < 4; row++) {
        double sign = row < 2 ? -1 : 1; /* LPS to RAS */
        for (int i = 0; i < 3; i++)
            pixel_to_ras[4 * row + i] =
                row < 3 ? sign * layout->direction[3 * row + i] * layout->spacing[i] : 0;
        pixel_to_ras[4 * row + 3] = row < 3 ? sign * layout->origin[row] : 1;
    }
}

es_source *es_recording_open_scratch(const char *path, const char *shown, es_scratch *scratch,
                                     double pixel_to_ras[16], es_error *err) {
    es_layout layout;
    if (!es_layout_read(path, &layout, err)) {
        es_scratch_close(scratch);
        return NULL;
    }
    char *name = es_copy_text(shown, err);
    if (!name) {
        es_layout_clear(&layout);
        es_scratch_close(scratch);
        return NULL;
    }
    es_free(layout.path);
    layout.path = name;
    es_layout_pixel_to_ras(&layout, pixel_to_ras);
    return open_recording(&layout, scratch, err);
}
