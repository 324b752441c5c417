/* What a header says, whatever its format: checked once, here. */
#include <math.h>
#include <string.h>

#include "format_internal.h"

bool es_layout_start(es_layout *layout, const char *format, const char *path, es_error *err) {
    memset(layout, 0, sizeof *layout);
    es_payload_start(&layout->payload);
    layout->format = format;
    layout->channels = 1;
    for (int i = 0; i < 4; i++) layout->size[i] = 1;
    for (int i = 0; i < 3; i++) layout->spacing[i] = layout->direction[4 * i] = 1;
    layout->path = es_copy_text(path, err);
    return layout->path != NULL;
}

void es_layout_clear(es_layout *layout) {
    es_free(layout->path);
    es_header_clear(&layout->header);
    es_fields_clear(&layout->fields);
    es_frame_table_clear(&layout->frames);
    es_payload_clear(&layout->payload);
    memset(layout, 0, sizeof *layout);
    es_payload_start(&layout->payload);
}

bool es_layout_add_field(es_layout *layout, const char *key, const char *value, es_error *err) {
    if (layout->fields.count >= ES_HEADER_FIELD_LIMIT)
        return es_fail(err, ES_FORMAT, "more than %d header fields", ES_HEADER_FIELD_LIMIT);
    return es_fields_set(&layout->fields, key, value, err);
}

bool es_layout_set_axes(es_layout *layout, const double m[9], es_error *err) {
    for (int axis = 0; axis < 3; axis++) {
        double length =
            sqrt(m[axis] * m[axis] + m[3 + axis] * m[3 + axis] + m[6 + axis] * m[6 + axis]);
        if (!isfinite(length) || length <= 0)
            return es_fail(err, ES_FORMAT, "the %s axis of the volume has no direction",
                           axis == 0   ? "first"
                           : axis == 1 ? "second"
                                       : "third");
        layout->spacing[axis] = length;
        for (int row = 0; row < 3; row++)
            layout->direction[3 * row + axis] = m[3 * row + axis] / length;
    }
    const double *d = layout->direction;
    double det = d[0] * (d[4] * d[8] - d[5] * d[7]) - d[1] * (d[3] * d[8] - d[5] * d[6]) +
                 d[2] * (d[3] * d[7] - d[4] * d[6]);
    if (!(fabs(det) > 1e-6))
        return es_fail(err, ES_FORMAT, "the axes of the volume lie in one plane");
    return true;
}

bool es_layout_take_names(es_layout *layout, es_error *err) {
    char *line;
    while ((line = es_header_line(&layout->header))) {
        char *name = es_trim(line);
        if (*name && !es_payload_add_beside(&layout->payload, layout->path, name, err))
            return es_prefix(err, "line %ld", layout->header.line);
    }
    return layout->payload.file_count ||
           es_fail(err, ES_FORMAT, "the list of data files names none");
}

/* How many frames the sizes announce. */
static int64_t frame_count(const es_layout *layout) {
    uint64_t count = layout->dims == 2 ? 1 : layout->size[layout->dims - 1];
    return count > INT64_MAX ? INT64_MAX : (int64_t)count;
}

static bool count_bytes(es_layout *layout, es_error *err) {
    size_t bytes = es_type_size(layout->type) * (size_t)layout->channels;
    bool fits = true;
    for (int i = 0; i < layout->dims; i++)
        fits = fits && es_multiply(bytes, layout->size[i], &bytes);
    if (!fits || bytes > INT64_MAX)
        return es_fail(err, ES_FORMAT,
                       "sizes of %llu x %llu x %llu x %llu overflow; the header is damaged",
                       (unsigned long long)layout->size[0], (unsigned long long)layout->size[1],
                       (unsigned long long)layout->size[2], (unsigned long long)layout->size[3]);
    layout->payload.bytes = layout->poses_only ? 0 : bytes;
    size_t files = layout->payload.file_count;
    if (files && layout->payload.bytes % files)
        return es_fail(err, ES_FORMAT, "%llu bytes of pixels do not divide among %zu data files",
                       (unsigned long long)layout->payload.bytes, files);
    return true;
}

static bool check_sizes(es_layout *layout, es_error *err) {
    if (layout->dims < 2 || layout->dims > 4)
        return es_fail(err, ES_UNSUPPORTED, "%d dimensions; expected 2, 3 or 4", layout->dims);
    layout->poses_only = layout->size[0] == 0 && layout->size[1] == 0;
    for (int i = 0; i < layout->dims; i++)
        if (layout->size[i] == 0 && !(layout->poses_only && i < 3))
            return es_fail(err, ES_FORMAT, "size %d of %d is 0; only poses alone have 0 x 0 pixels",
                           i + 1, layout->dims);
    if (layout->size[0] > UINT32_MAX || layout->size[1] > UINT32_MAX)
        return es_fail(err, ES_FORMAT, "a picture of %llu x %llu pixels; the header is damaged",
                       (unsigned long long)layout->size[0], (unsigned long long)layout->size[1]);
    if (layout->channels != 1 && layout->channels != 3)
        return es_fail(err, ES_UNSUPPORTED, "%d channels; expected 1 (grey) or 3 (RGB)",
                       layout->channels);
    return count_bytes(layout, err);
}

bool es_layout_finish(es_layout *layout, es_error *err) {
    if (!check_sizes(layout, err)) return false;
    int64_t frames = frame_count(layout);
    if (!es_frame_table_sort(&layout->frames, frames, err)) return false;
    if (layout->poses_only && frames > es_frame_table_frames(&layout->frames))
        return es_fail(err, ES_FORMAT,
                       "%lld frames without pixels are announced, found fields of %lld",
                       (long long)frames, (long long)es_frame_table_frames(&layout->frames));
    for (int i = 0; i < 3; i++)
        if (!isfinite(layout->spacing[i]) || !(layout->spacing[i] > 0))
            return es_fail(err, ES_FORMAT, "a spacing of %g mm; expected more than 0",
                           layout->spacing[i]);
    return true;
}

/* Not what a writer puts there when it knows nothing: steps of 1 from 0 on along the
 * axes (of NIfTI, against x and y). */
bool es_layout_is_placed(const es_layout *layout) {
    bool placed = layout->told_space || layout->spacing[2] != 1;
    for (int i = 0; i < 9; i++) {
        double size = fabs(layout->direction[i]);
        placed = placed || size != (i % 4 == 0) || (i < 3 && layout->origin[i] != 0);
    }
    return placed;
}

bool es_layout_is_grid(const es_layout *layout) {
    bool three_axes = layout->dims == 3 || (layout->dims == 4 && layout->size[3] == 1);
    return three_axes && !layout->list_last && !layout->poses_only &&
           (layout->told_kinds || !layout->told_frames);
}
