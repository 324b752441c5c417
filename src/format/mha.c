/* MetaImage: .mha (header and pixels in one file), .mhd (pixels elsewhere).
 *
 * The header is text, "Key = value" a line, in nearly any order; the last is
 * ElementDataFile. Recordings (.igs.mha, as PLUS writes them) add
 * "Seq_Frame0012_Name = value" lines. See the MetaIO documentation of ITK and
 * the sequence file page of PLUS. Coordinates are LPS; TransformMatrix lists
 * the direction of the first axis, then of the second, then of the third. */
#include <string.h>
#include <strings.h>

#include "format_internal.h"

enum {
    OBJECT_TYPE,
    N_DIMS,
    DIM_SIZE,
    KINDS,
    ELEMENT_TYPE,
    CHANNELS,
    SPACING,
    ELEMENT_SIZE,
    OFFSET,
    POSITION,
    ORIGIN,
    MATRIX,
    ROTATION,
    ORIENTATION,
    CENTER,
    ANATOMY,
    BINARY,
    BINARY_MSB,
    ELEMENT_MSB,
    COMPRESSED,
    COMPRESSED_SIZE,
    HEADER_SIZE,
    US_ORIENTATION,
    US_TYPE,
    DATA_FILE,
    KEYS
};
static const char *const key_names[KEYS] = {
    [OBJECT_TYPE] = "ObjectType",
    [N_DIMS] = "NDims",
    [DIM_SIZE] = "DimSize",
    [KINDS] = "Kinds",
    [ELEMENT_TYPE] = "ElementType",
    [CHANNELS] = "ElementNumberOfChannels",
    [SPACING] = "ElementSpacing",
    [ELEMENT_SIZE] = "ElementSize",
    [OFFSET] = "Offset",
    [POSITION] = "Position",
    [ORIGIN] = "Origin",
    [MATRIX] = "TransformMatrix",
    [ROTATION] = "Rotation",
    [ORIENTATION] = "Orientation",
    [CENTER] = "CenterOfRotation",
    [ANATOMY] = "AnatomicalOrientation",
    [BINARY] = "BinaryData",
    [BINARY_MSB] = "BinaryDataByteOrderMSB",
    [ELEMENT_MSB] = "ElementByteOrderMSB",
    [COMPRESSED] = "CompressedData",
    [COMPRESSED_SIZE] = "CompressedDataSize",
    [HEADER_SIZE] = "HeaderSize",
    [US_ORIENTATION] = "UltrasoundImageOrientation",
    [US_TYPE] = "UltrasoundImageType",
    [DATA_FILE] = "ElementDataFile",
};

static const char *const type_names[] = {
    [ES_U8] = "MET_UCHAR", [ES_I8] = "MET_CHAR", [ES_U16] = "MET_USHORT", [ES_I16] = "MET_SHORT",
    [ES_U32] = "MET_UINT", [ES_I32] = "MET_INT", [ES_F32] = "MET_FLOAT",  [ES_F64] = "MET_DOUBLE",
};
enum { TYPES = sizeof type_names / sizeof *type_names };

/* ---- reading ---------------------------------------------------------------- */

typedef struct mha {
    const char *value[KEYS]; /* NULL when absent; they point into the header */
} mha;

static bool is_last(const char *line, size_t length) {
    static const char key[] = "ElementDataFile";
    while (length && (*line == ' ' || *line == '\t')) line++, length--;
    if (length < sizeof key || strncasecmp(line, key, sizeof key - 1) != 0) return false;
    const char *equals = memchr(line, '=', length);
    if (!equals) return false;
    const char *value = equals + 1;
    while (value < line + length && (*value == ' ' || *value == '\t')) value++;
    size_t rest = (size_t)(line + length - value);
    bool list = rest >= 4 && strncasecmp(value, "LIST", 4) == 0 && (rest == 4 || value[4] <= ' ');
    return !list; /* the names of a list follow until the end of the file */
}

static bool take_line(es_layout *layout, mha *m, char *line, es_error *err) {
    char *equals = strchr(line, '=');
    if (!equals) return es_fail(err, ES_FORMAT, "expected \"Key = value\", found \"%.60s\"", line);
    *equals = '\0';
    char *key = es_trim(line), *value = es_trim(equals + 1);
    if (es_is_frame_key(key))
        return es_frame_table_add(&layout->frames, layout->header.text, key, value, err);
    int known = es_key_find(key_names, KEYS, key);
    if (known < 0) return es_layout_add_field(layout, key, value, err);
    if (m->value[known] && strcmp(m->value[known], value) != 0)
        return es_fail(err, ES_FORMAT, "%s stands twice, as \"%.40s\" and as \"%.40s\"",
                       key_names[known], m->value[known], value);
    m->value[known] = value;
    return true;
}

static bool take_lines(es_layout *layout, mha *m, es_error *err) {
    char *line;
    while (!m->value[DATA_FILE] && (line = es_header_line(&layout->header))) {
        if (!*es_trim(line)) continue;
        if (!take_line(layout, m, line, err))
            return es_prefix(err, "line %ld", layout->header.line);
    }
    if (!m->value[DATA_FILE])
        return es_fail(err, ES_FORMAT,
                       "the header ends after %ld lines without ElementDataFile; the file was cut "
                       "off or is no MetaImage",
                       layout->header.line);
    return true;
}

static bool need(const mha *m, int key, es_error *err) {
    return m->value[key] || es_fail(err, ES_FORMAT, "%s is missing", key_names[key]);
}

/* A whole number of at least `low`; stays as it is when the key is absent. */
static bool take_int(const mha *m, int key, int64_t low, int64_t *value, es_error *err) {
    if (!m->value[key]) return true;
    if (es_parse_int(m->value[key], value) && *value >= low) return true;
    return es_fail(err, ES_FORMAT, "%s: expected a whole number from %lld, found \"%.60s\"",
                   key_names[key], (long long)low, m->value[key]);
}

static bool take_bool(const mha *m, int key, bool *value, es_error *err) {
    const char *text = m->value[key];
    if (!text) return true;
    bool yes = strcasecmp(text, "True") == 0 || strcmp(text, "1") == 0;
    bool no = strcasecmp(text, "False") == 0 || strcmp(text, "0") == 0;
    if (!yes && !no)
        return es_fail(err, ES_FORMAT, "%s: expected True or False, found \"%.60s\"",
                       key_names[key], text);
    *value = yes;
    return true;
}

static bool take_sizes(es_layout *layout, const mha *m, es_error *err) {
    int64_t dims = 3;
    if (!need(m, DIM_SIZE, err) || !take_int(m, N_DIMS, 0, &dims, err)) return false;
    if (dims < 2 || dims > 4)
        return es_fail(err, ES_UNSUPPORTED, "NDims: expected 2, 3 or 4, found %lld",
                       (long long)dims);
    layout->dims = (int)dims;
    return es_parse_sizes("DimSize", m->value[DIM_SIZE], layout->size, layout->dims, err);
}

/* "domain domain list": only the last axis may count frames. */
static bool take_kinds(es_layout *layout, const mha *m, es_error *err) {
    const char *at = m->value[KINDS];
    if (!at) return true;
    int count = 0;
    layout->told_kinds = layout->told_space = true;
    while (*(at += strspn(at, " \t"))) {
        size_t length = strcspn(at, " \t");
        bool list = (length == 4 && strncasecmp(at, "list", 4) == 0) ||
                    (length == 4 && strncasecmp(at, "time", 4) == 0);
        if (list && count != layout->dims - 1)
            return es_fail(err, ES_UNSUPPORTED, "Kinds: frames must be counted by the last axis");
        layout->list_last = list;
        count++;
        at += length;
    }
    if (count != layout->dims)
        return es_fail(err, ES_FORMAT, "Kinds: expected %d words, found %d", layout->dims, count);
    return true;
}

static bool take_type(es_layout *layout, const mha *m, es_error *err) {
    int64_t channels = 1;
    if (!need(m, ELEMENT_TYPE, err) || !take_int(m, CHANNELS, 1, &channels, err)) return false;
    layout->channels = channels > 1000 ? 1000 : (int)channels;
    const char *name = m->value[ELEMENT_TYPE];
    bool poses_only = layout->size[0] == 0 && layout->size[1] == 0;
    if (poses_only && strcasecmp(name, "MET_OTHER") == 0) return true;
    int type = es_key_find(type_names, TYPES, name);
    if (type < 0)
        return es_fail(err, strncmp(name, "MET_", 4) == 0 ? ES_UNSUPPORTED : ES_FORMAT,
                       "ElementType: \"%.40s\" is not read; expected MET_CHAR, UCHAR, SHORT, "
                       "USHORT, INT, UINT, FLOAT or DOUBLE",
                       name);
    layout->type = (es_type)type;
    return true;
}

static const char *first_of(const mha *m, const int *keys, int count, int *which) {
    for (int i = 0; i < count; i++)
        if (m->value[keys[i]]) return m->value[*which = keys[i]];
    return NULL;
}

/* The 2-D and 4-D headers have as many numbers as dimensions; what a volume
 * needs of them is the first three. */
static bool take_geometry(es_layout *layout, const mha *m, es_error *err) {
    static const int spacing_keys[] = {SPACING, ELEMENT_SIZE};
    static const int origin_keys[] = {OFFSET, POSITION, ORIGIN};
    static const int matrix_keys[] = {MATRIX, ROTATION, ORIENTATION};
    int n = layout->dims, used = n < 3 ? n : 3, key;
    double v[16];
    const char *text = first_of(m, spacing_keys, 2, &key);
    if (text) {
        if (!es_parse_vector(key_names[key], text, v, n, err)) return false;
        memcpy(layout->spacing, v, (size_t)used * sizeof *v);
    }
    if ((text = first_of(m, origin_keys, 3, &key))) {
        if (!es_parse_vector(key_names[key], text, v, n, err)) return false;
        memcpy(layout->origin, v, (size_t)used * sizeof *v);
    }
    if ((text = first_of(m, matrix_keys, 3, &key))) {
        if (!es_parse_vector(key_names[key], text, v, n * n, err)) return false;
        for (int axis = 0; axis < used; axis++)
            for (int row = 0; row < used; row++)
                layout->direction[3 * row + axis] = v[n * axis + row];
    }
    return true;
}

static bool take_byte_order(es_layout *layout, const mha *m, es_error *err) {
    bool binary = true, msb = false, element_msb;
    if (!take_bool(m, BINARY, &binary, err) || !take_bool(m, BINARY_MSB, &msb, err)) return false;
    element_msb = msb;
    if (!take_bool(m, ELEMENT_MSB, &element_msb, err)) return false;
    if (!binary)
        return es_fail(err, ES_UNSUPPORTED, "BinaryData = False: pixels as text are not read");
    if (m->value[BINARY_MSB] && element_msb != msb)
        return es_fail(err, ES_FORMAT,
                       "BinaryDataByteOrderMSB and ElementByteOrderMSB contradict each other");
    layout->swap = element_msb;
    return true;
}

static bool take_data_file(es_layout *layout, const mha *m, es_error *err) {
    es_payload *payload = &layout->payload;
    const char *value = m->value[DATA_FILE];
    int64_t header_size = 0, stored = 0;
    if (!take_int(m, HEADER_SIZE, -1, &header_size, err) ||
        !take_int(m, COMPRESSED_SIZE, 0, &stored, err) ||
        !take_bool(m, COMPRESSED, &payload->deflated, err))
        return false;
    payload->stored = payload->deflated ? (uint64_t)stored : 0;
    payload->skip_from_end = header_size < 0;
    payload->skip = header_size > 0 ? (uint64_t)header_size : 0;
    if (payload->skip_from_end && payload->deflated)
        return es_fail(err, ES_FORMAT, "HeaderSize = -1 needs uncompressed pixels");
    if (strcasecmp(value, "LOCAL") == 0) {
        if (payload->skip)
            return es_fail(err, ES_FORMAT, "HeaderSize = %lld does not go with LOCAL pixels",
                           (long long)header_size);
        payload->skip = payload->skip_from_end ? 0 : layout->header.length;
        return es_payload_add(payload, layout->path, err);
    }
    if (strncasecmp(value, "LIST", 4) == 0 && (value[4] == '\0' || value[4] == ' ')) {
        payload->stored = 0;
        return es_layout_take_names(layout, err);
    }
    bool pattern = strchr(value, '%') != NULL;
    if (pattern) payload->stored = 0;
    return (pattern ? es_payload_add_pattern(payload, layout->path, value, err)
                    : es_payload_add_beside(payload, layout->path, value, err)) ||
           es_prefix(err, "ElementDataFile");
}

static bool take_marks(es_layout *layout, const mha *m, es_error *err) {
    const char *mark = m->value[US_ORIENTATION], *kind = m->value[US_TYPE];
    layout->told_frames = mark != NULL || layout->frames.count > 0;
    if (mark && strlen(mark) >= sizeof layout->orientation)
        return es_fail(err, ES_FORMAT, "UltrasoundImageOrientation: \"%.40s\" is unknown", mark);
    if (kind && strlen(kind) >= sizeof layout->image_kind)
        return es_fail(err, ES_FORMAT, "UltrasoundImageType: \"%.40s\" is unknown", kind);
    if (mark) strcpy(layout->orientation, mark);
    if (kind) strcpy(layout->image_kind, kind);
    return true;
}

/* Where a recording says where it lies: its poses do not mean this, but it is
 * kept for the way back when it says anything. */
static bool keep_placement(es_layout *layout, const mha *m, es_error *err) {
    static const int keys[] = {OFFSET, MATRIX, CENTER, ANATOMY};
    if (es_layout_is_grid(layout)) return true;
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *text = m->value[keys[k]];
        double v[16] = {0};
        bool trivial = !text || strcmp(text, "RAI") == 0;
        if (!trivial && es_parse_doubles(text, v, 16) > 0) {
            trivial = true;
            for (int i = 0; i < 16; i++) {
                bool diagonal = keys[k] == MATRIX && i < layout->dims * layout->dims &&
                                i % (layout->dims + 1) == 0;
                trivial = trivial && v[i] == (diagonal ? 1 : 0);
            }
        }
        if (!trivial && !es_layout_add_field(layout, key_names[keys[k]], text, err)) return false;
    }
    return true;
}

static bool mha_read(const char *path, es_layout *layout, es_error *err) {
    mha m = {{0}};
    if (!es_layout_start(layout, "mha", path, err) ||
        !es_header_read(&layout->header, path, is_last, err))
        return false; /* the header names the path itself */
    bool ok = take_lines(layout, &m, err) && take_sizes(layout, &m, err) &&
              take_kinds(layout, &m, err) && take_type(layout, &m, err) &&
              take_geometry(layout, &m, err) && take_byte_order(layout, &m, err) &&
              take_marks(layout, &m, err) && take_data_file(layout, &m, err) &&
              keep_placement(layout, &m, err) && es_layout_finish(layout, err);
    return ok || es_prefix(err, "%s", path);
}

static bool mha_probe(const unsigned char *head, size_t length) {
    static const char *const first[] = {"ObjectType", "NDims", "Comment", "ObjectSubType"};
    size_t at = 0;
    while (at < length && (head[at] == ' ' || head[at] == '\n' || head[at] == '\r')) at++;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        size_t n = strlen(first[i]);
        if (length - at > n && strncasecmp((const char *)head + at, first[i], n) == 0 &&
            memchr(head + at, '=', length - at > n + 8 ? n + 8 : length - at))
            return true;
    }
    return false;
}

/* ---- writing ------------------------------------------------------------------ */

static const char *field_or(const es_fields *fields, const char *key, const char *other) {
    const char *value = es_fields_get(fields, key);
    return value ? value : other;
}

static bool write_compression(es_writer *writer, bool compress, es_error *err) {
    return es_output_print(writer->head, err, "CompressedData = %s\n",
                           compress ? "True" : "False") &&
           (!compress ||
            es_write_later(writer->head, "CompressedDataSize = ", &writer->stored_at, err));
}

static const es_dialect dialect;

static bool write_fields(es_output *out, const es_fields *fields, es_error *err) {
    for (size_t i = 0; i < fields->count; i++)
        if (es_key_find(key_names, KEYS, fields->items[i].key) < 0 &&
            !es_write_field(out, &dialect, "", fields->items[i].key, fields->items[i].value, err))
            return false;
    return true;
}

static bool recording_begin(es_writer *writer, const es_stream_info *info, bool compress,
                            uint64_t *count_at, es_error *err) {
    es_output *out = writer->head;
    const es_fields *fields = &info->fields;
    bool poses_only = info->width == 0;
    char sizes[64], x[ES_NUMBER_SIZE], y[ES_NUMBER_SIZE];
    snprintf(sizes, sizeof sizes, "DimSize = %u %u ", info->width, info->height);
    return es_output_print(out, err,
                           "ObjectType = Image\nNDims = 3\nAnatomicalOrientation = %s\n"
                           "BinaryData = True\nBinaryDataByteOrderMSB = False\n"
                           "CenterOfRotation = %s\n",
                           field_or(fields, "AnatomicalOrientation", "RAI"),
                           field_or(fields, "CenterOfRotation", "0 0 0")) &&
           write_compression(writer, compress, err) && es_write_later(out, sizes, count_at, err) &&
           es_output_print(out, err,
                           "Kinds = domain domain list\nElementNumberOfChannels = %d\n"
                           "ElementSpacing = %s %s 1\nElementType = %s\nOffset = %s\n"
                           "TransformMatrix = %s\n",
                           info->channels, es_format_double(info->spacing_mm[0], x),
                           es_format_double(info->spacing_mm[1], y),
                           poses_only ? "MET_OTHER" : type_names[info->type],
                           field_or(fields, "Offset", "0 0 0"),
                           field_or(fields, "TransformMatrix", "1 0 0 0 1 0 0 0 1")) &&
           (!info->orientation[0] ||
            es_output_print(out, err, "UltrasoundImageOrientation = %s\n", info->orientation)) &&
           (!info->image_kind[0] ||
            es_output_print(out, err, "UltrasoundImageType = %s\n", info->image_kind)) &&
           write_fields(out, fields, err);
}

static bool header_end(es_writer *writer, es_error *err) {
    const char *name = writer->data_name ? writer->data_name : "LOCAL";
    return es_output_print(writer->head, err, "ElementDataFile = %s\n", name);
}

static bool grid_header(es_writer *writer, const es_grid_info *info, bool compress, es_error *err) {
    es_output *out = writer->head;
    es_text text = {0};
    const double *d = info->direction;
    double by_axis[9] = {d[0], d[3], d[6], d[1], d[4], d[7], d[2], d[5], d[8]};
    es_text_add(&text, "TransformMatrix = ");
    es_text_add_numbers(&text, by_axis, 9, " ");
    es_text_add(&text, "\nOffset = ");
    es_text_add_numbers(&text, info->origin_mm, 3, " ");
    es_text_add(&text, "\nElementSpacing = ");
    es_text_add_numbers(&text, info->spacing_mm, 3, " ");
    es_text_add(&text,
                "\nCenterOfRotation = 0 0 0\nAnatomicalOrientation = RAI\n"
                "DimSize = %llu %llu %llu\nKinds = domain domain domain\n"
                "ElementNumberOfChannels = %d\nElementType = %s\n",
                (unsigned long long)info->size[0], (unsigned long long)info->size[1],
                (unsigned long long)info->size[2], info->channels, type_names[info->type]);
    bool ok = !text.failed || es_fail(err, ES_MEMORY, "out of memory");
    ok = ok &&
         es_output_print(out, err,
                         "ObjectType = Image\nNDims = 3\nBinaryData = True\n"
                         "BinaryDataByteOrderMSB = False\n") &&
         write_compression(writer, compress, err) &&
         es_output_write(out, text.bytes, text.length, err) &&
         write_fields(out, &info->fields, err) && header_end(writer, err);
    es_text_free(&text);
    return ok;
}

static const es_dialect dialect = {
    .assign = " = ",
    .image_status = "ImageStatus",
    .packing = ES_PACK_ZLIB,
    .detached = ".mhd",
    .raw = ".raw",
    .packed = ".zraw",
    .begin = recording_begin,
    .end = header_end,
    .grid_header = grid_header,
};

const es_format es_format_mha = {
    .name = "MetaImage",
    .reads = ".mha .mhd",
    .recordings = ".mha .mhd",
    .volumes = ".mha .mhd",
    .keeps = ES_KEEPS_ALL,
    .probe = mha_probe,
    .read = mha_read,
    .dialect = &dialect,
};
