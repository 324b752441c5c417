/* NRRD: .nrrd (header and pixels in one file), .nhdr (pixels elsewhere).
 *
 * The header has "field: value" lines, which the format defines, and
 * "key:=value" lines, which are free; an empty line ends it. See "Definition
 * of NRRD File Format" of the Teem project. Recordings, as PLUS and Slicer
 * write them, count frames by their last axis (kind list) and keep what is
 * known of a frame in keys such as Seq_Frame0012_Timestamp. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "format_internal.h"

enum {
    TYPE,
    DIMENSION,
    SIZES,
    ENCODING,
    ENDIAN,
    SPACE,
    SPACE_DIMENSION,
    DIRECTIONS,
    SPACE_ORIGIN,
    KINDS,
    SPACINGS,
    AXIS_MINS,
    SPACE_UNITS,
    DATA_FILE,
    DATA_FILE_2,
    LINE_SKIP,
    LINE_SKIP_2,
    BYTE_SKIP,
    BYTE_SKIP_2,
    UNITS,
    FIELDS
};
static const char *const field_names[FIELDS] = {
    [TYPE] = "type",
    [DIMENSION] = "dimension",
    [SIZES] = "sizes",
    [ENCODING] = "encoding",
    [ENDIAN] = "endian",
    [SPACE] = "space",
    [SPACE_DIMENSION] = "space dimension",
    [DIRECTIONS] = "space directions",
    [SPACE_ORIGIN] = "space origin",
    [KINDS] = "kinds",
    [SPACINGS] = "spacings",
    [AXIS_MINS] = "axis mins",
    [SPACE_UNITS] = "space units",
    [DATA_FILE] = "data file",
    [DATA_FILE_2] = "datafile",
    [LINE_SKIP] = "line skip",
    [LINE_SKIP_2] = "lineskip",
    [BYTE_SKIP] = "byte skip",
    [BYTE_SKIP_2] = "byteskip",
    [UNITS] = "units",
};
/* Fields of the format that change nothing here. */
static const char *const unused_names[] = {
    "axis maxs",  "axismaxs",    "axismins",     "centers",     "centerings",
    "labels",     "content",     "number",       "min",         "max",
    "old min",    "oldmin",      "old max",      "oldmax",      "blocksize",
    "block size", "thicknesses", "sample units", "sampleunits", "measurement frame",
};
static const char orientation_key[] = "ultrasound image orientation";
static const char kind_key[] = "ultrasound image type";

static const struct {
    const char *name;
    es_type type;
} type_names[] = {
    {"uint8", ES_U8},
    {"int8", ES_I8},
    {"uint16", ES_U16},
    {"int16", ES_I16},
    {"uint32", ES_U32},
    {"int32", ES_I32},
    {"float", ES_F32},
    {"double", ES_F64}, /* these eight are written, in type order */
    {"uchar", ES_U8},
    {"unsigned char", ES_U8},
    {"uint8_t", ES_U8},
    {"signed char", ES_I8},
    {"int8_t", ES_I8},
    {"ushort", ES_U16},
    {"unsigned short", ES_U16},
    {"uint16_t", ES_U16},
    {"unsigned short int", ES_U16},
    {"short", ES_I16},
    {"short int", ES_I16},
    {"signed short", ES_I16},
    {"signed short int", ES_I16},
    {"int16_t", ES_I16},
    {"uint", ES_U32},
    {"unsigned int", ES_U32},
    {"uint32_t", ES_U32},
    {"int", ES_I32},
    {"signed int", ES_I32},
    {"int32_t", ES_I32},
};
enum { TYPES = sizeof type_names / sizeof *type_names };

/* ---- reading ------------------------------------------------------------------ */

enum { AXES = 5 }; /* channels, three of space, frames */
typedef enum axis_role { SPACE_AXIS, CHANNEL_AXIS, LIST_AXIS } axis_role;

typedef struct nrrd {
    const char *value[FIELDS]; /* NULL when absent; they point into the header */
    int axes;
    uint64_t size[AXES];
    axis_role role[AXES];
    int space_dimension;
    bool has_direction[AXES];
    double direction[AXES][3];
} nrrd;

static bool is_last(const char *line, size_t length) {
    return length == 0 || (length == 1 && line[0] == '\r');
}

/* "\n" and "\\" in the value of a key, in place. */
static void unescape(char *value) {
    char *to = value;
    for (char *from = value; *from; from++) {
        bool escape = from[0] == '\\' && (from[1] == 'n' || from[1] == '\\');
        if (escape) from++;
        *to++ = escape && *from == 'n' ? '\n' : *from;
    }
    *to = '\0';
}

static bool take_text(char *to, size_t size, const char *key, const char *value, es_error *err) {
    if (strlen(value) >= size)
        return es_fail(err, ES_FORMAT, "%s: \"%.40s\" is unknown", key, value);
    strcpy(to, value);
    return true;
}

static bool take_key(es_layout *layout, char *key, char *value, es_error *err) {
    if (es_is_frame_key(key))
        return es_frame_table_add(&layout->frames, layout->header.text, key, value, err);
    if (strcasecmp(key, orientation_key) == 0)
        return take_text(layout->orientation, sizeof layout->orientation, key, value, err);
    if (strcasecmp(key, kind_key) == 0)
        return take_text(layout->image_kind, sizeof layout->image_kind, key, value, err);
    /* Slicer: "axis 0 index values", "axis 3 index values" */
    if (strncasecmp(key, "axis ", 5) == 0 && es_has_suffix(key, " index values")) {
        layout->index_values = value;
        return true;
    }
    return es_layout_add_field(layout, key, value, err);
}

static bool take_field(es_layout *layout, nrrd *n, const char *name, const char *value,
                       es_error *err) {
    enum { UNUSED = sizeof unused_names / sizeof *unused_names };
    int known = es_key_find(field_names, FIELDS, name);
    if (known < 0) {
        if (es_key_find(unused_names, UNUSED, name) >= 0) return true;
        return es_layout_add_field(layout, name, value, err);
    }
    if (n->value[known] && strcmp(n->value[known], value) != 0)
        return es_fail(err, ES_FORMAT, "%s stands twice, as \"%.40s\" and as \"%.40s\"", name,
                       n->value[known], value);
    n->value[known] = value;
    return true;
}

static bool take_line(es_layout *layout, nrrd *n, char *line, es_error *err) {
    char *colon = strchr(line, ':');
    if (!colon)
        return es_fail(err, ES_FORMAT,
                       "expected \"field: value\" or \"key:=value\", found \"%.60s\"", line);
    bool is_key = colon[1] == '=';
    *colon = '\0';
    char *name = es_trim(line), *value = es_trim(colon + 1 + is_key);
    if (!is_key) return take_field(layout, n, name, value, err);
    unescape(value);
    return take_key(layout, name, value, err);
}

static bool is_list(const char *value) {
    return value && strncmp(value, "LIST", 4) == 0 && (value[4] == '\0' || value[4] == ' ');
}

static const char *either(const nrrd *n, int one, int other) {
    return n->value[one] ? n->value[one] : n->value[other];
}

/* The lines up to the empty one, or up to the names of a list of files. */
static bool take_lines(es_layout *layout, nrrd *n, es_error *err) {
    char *line = es_header_line(&layout->header);
    if (!line || strncmp(line, "NRRD000", 7) != 0)
        return es_fail(err, ES_FORMAT, "line 1: expected NRRD0001 to NRRD0005, found \"%.20s\"",
                       line ? line : "");
    while (!is_list(either(n, DATA_FILE, DATA_FILE_2)) &&
           (line = es_header_line(&layout->header)) && *line) {
        if (*line == '#') continue;
        if (!take_line(layout, n, line, err))
            return es_prefix(err, "line %ld", layout->header.line);
    }
    if (!either(n, DATA_FILE, DATA_FILE_2) && !layout->header.ended)
        return es_fail(err, ES_FORMAT,
                       "the header ends after %ld lines without an empty one; the file was cut off",
                       layout->header.line);
    return true;
}

static bool need(const nrrd *n, int field, es_error *err) {
    return n->value[field] || es_fail(err, ES_FORMAT, "%s is missing", field_names[field]);
}

static bool take_sizes(nrrd *n, es_error *err) {
    int64_t axes;
    if (!need(n, DIMENSION, err) || !need(n, SIZES, err)) return false;
    if (!es_parse_int(n->value[DIMENSION], &axes) || axes < 1)
        return es_fail(err, ES_FORMAT, "dimension: expected a whole number, found \"%.40s\"",
                       n->value[DIMENSION]);
    if (axes < 2 || axes > AXES)
        return es_fail(err, ES_UNSUPPORTED, "dimension: expected 2 to 5, found %lld",
                       (long long)axes);
    n->axes = (int)axes;
    return es_parse_sizes("sizes", n->value[SIZES], n->size, n->axes, err);
}

static axis_role role_of(const char *word, size_t length) {
    static const char *const space[] = {"domain", "space", "???", "none"};
    static const char *const list[] = {"list", "time"};
    for (int i = 0; i < 4; i++)
        if (strlen(space[i]) == length && strncasecmp(word, space[i], length) == 0)
            return SPACE_AXIS;
    for (int i = 0; i < 2; i++)
        if (strlen(list[i]) == length && strncasecmp(word, list[i], length) == 0) return LIST_AXIS;
    return CHANNEL_AXIS; /* vector, RGB-color, 3-color, ... */
}

static bool take_kinds(es_layout *layout, nrrd *n, es_error *err) {
    const char *at = n->value[KINDS];
    layout->told_kinds = at != NULL;
    layout->told_space = at || n->value[SPACE];
    if (!at) return true;
    int count = 0;
    while (*(at += strspn(at, " \t"))) {
        size_t length = strcspn(at, " \t");
        if (count < n->axes) n->role[count] = role_of(at, length);
        count++;
        at += length;
    }
    if (count != n->axes)
        return es_fail(err, ES_FORMAT, "kinds: expected %d words, found %d", n->axes, count);
    for (int i = 0; i < n->axes; i++) {
        if (n->role[i] == LIST_AXIS && i != 0 && i != n->axes - 1 && n->size[i] > 1)
            return es_fail(err, ES_UNSUPPORTED,
                           "kinds: the frames are counted by axis %d of %d; expected the first "
                           "(Slicer) or the last",
                           i + 1, n->axes);
        if (n->role[i] == CHANNEL_AXIS && i != 0)
            return es_fail(err, ES_UNSUPPORTED, "kinds: channels are read on the first axis only");
    }
    return true;
}

/* "(1,0,0)" or "none"; *at moves behind it. */
static bool take_direction(nrrd *n, int axis, const char **at, es_error *err) {
    const char *text = *at + strspn(*at, " \t");
    if (strncmp(text, "none", 4) == 0) {
        *at = text + 4;
        return true;
    }
    const char *close = strchr(text, ')');
    char numbers[256];
    if (*text != '(' || !close || (size_t)(close - text) >= sizeof numbers)
        return es_fail(err, ES_FORMAT,
                       "space directions: axis %d: expected (x,y,z) or none, found "
                       "\"%.40s\"",
                       axis + 1, text);
    memcpy(numbers, text + 1, (size_t)(close - text) - 1);
    numbers[close - text - 1] = '\0';
    *at = close + 1;
    n->has_direction[axis] = true;
    return es_parse_vector("space directions", numbers, n->direction[axis], n->space_dimension,
                           err);
}

/* Signs that bring the first two axes of the file's space to LPS. */
static bool take_space(nrrd *n, double signs[3], es_error *err) {
    static const struct {
        const char *name, *letters;
        double x, y;
    } spaces[] = {
        {"left-posterior-superior", "LPS", 1, 1},
        {"right-anterior-superior", "RAS", -1, -1},
        {"left-anterior-superior", "LAS", 1, -1},
        /* A scanner's or a program's own axes: taken as they are. */
        {"scanner-xyz", "", 1, 1},
        {"3D-right-handed", "", 1, 1},
        {"3D-left-handed", "", 1, 1},
    };
    const char *space = n->value[SPACE];
    int64_t dimension = 3;
    signs[0] = signs[1] = signs[2] = 1;
    if (n->value[SPACE_DIMENSION] && !es_parse_int(n->value[SPACE_DIMENSION], &dimension))
        return es_fail(err, ES_FORMAT, "space dimension: expected a number, found \"%.40s\"",
                       n->value[SPACE_DIMENSION]);
    if (dimension < 2 || dimension > 3)
        return es_fail(err, ES_UNSUPPORTED, "space dimension: expected 2 or 3, found %lld",
                       (long long)dimension);
    n->space_dimension = (int)dimension;
    for (size_t i = 0; space && i < sizeof spaces / sizeof *spaces; i++)
        if (strcasecmp(space, spaces[i].name) == 0 ||
            (*spaces[i].letters && strcasecmp(space, spaces[i].letters) == 0)) {
            signs[0] = spaces[i].x;
            signs[1] = spaces[i].y;
            return true;
        }
    return !space || es_fail(err, ES_UNSUPPORTED,
                             "space: \"%.60s\" is not read; expected LPS, RAS, LAS, scanner-xyz or "
                             "3D-right-handed",
                             space);
}

/* Millimetres in one unit of the file's space. */
static bool take_unit(const nrrd *n, double *mm, es_error *err) {
    static const struct {
        const char *name;
        double mm;
    } units[] = {{"mm", 1}, {"millimeter", 1}, {"cm", 10}, {"m", 1000}, {"um", 1e-3}};
    const char *text = n->value[SPACE_UNITS];
    *mm = 1;
    if (!text) return true;
    text += strspn(text, "\" \t");
    size_t length = strcspn(text, "\" \t");
    if (length == 0) return true;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strlen(units[i].name) == length && strncmp(text, units[i].name, length) == 0) {
            *mm = units[i].mm;
            return true;
        }
    return es_fail(err, ES_UNSUPPORTED, "space units: \"%.40s\" is not read; expected \"mm\"",
                   text);
}

/* Per-axis numbers where those of channels and lists may be NaN. */
static bool take_axis_numbers(const nrrd *n, int field, double values[AXES], es_error *err) {
    long found = es_parse_doubles(n->value[field], values, AXES);
    return found == n->axes || es_fail(err, ES_FORMAT, "%s: expected %d numbers, found \"%.60s\"",
                                       field_names[field], n->axes, n->value[field]);
}

static bool take_spacings(es_layout *layout, const nrrd *n, int first, es_error *err) {
    double spacing[AXES], min[AXES];
    int used = n->axes - first < 3 ? n->axes - first : 3;
    if (n->value[SPACINGS]) {
        if (!take_axis_numbers(n, SPACINGS, spacing, err)) return false;
        for (int i = 0; i < used; i++)
            if (n->role[first + i] == SPACE_AXIS && isfinite(spacing[first + i]))
                layout->spacing[i] = spacing[first + i];
    }
    if (n->value[AXIS_MINS]) {
        if (!take_axis_numbers(n, AXIS_MINS, min, err)) return false;
        for (int i = 0; i < used; i++)
            if (isfinite(min[first + i])) layout->origin[i] = min[first + i];
    }
    return true;
}

static bool take_directions(es_layout *layout, nrrd *n, int first, const double signs[3],
                            es_error *err) {
    const char *at = n->value[DIRECTIONS];
    for (int axis = 0; axis < n->axes; axis++)
        if (!take_direction(n, axis, &at, err)) return false;
    if (at[strspn(at, " \t")])
        return es_fail(err, ES_FORMAT, "space directions: more than %d axes", n->axes);
    double m[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (int i = 0; i < 3 && i < layout->dims; i++)
        for (int row = 0; row < 3 && n->has_direction[first + i]; row++)
            m[3 * row + i] = signs[row] * n->direction[first + i][row];
    return es_layout_set_axes(layout, m, err);
}

static bool take_origin(es_layout *layout, const nrrd *n, const double signs[3], es_error *err) {
    const char *text = n->value[SPACE_ORIGIN];
    if (!text) return true;
    char numbers[256];
    size_t length = strlen(text);
    if (length < 2 || length >= sizeof numbers || text[0] != '(' || text[length - 1] != ')')
        return es_fail(err, ES_FORMAT, "space origin: expected (x,y,z), found \"%.60s\"", text);
    memcpy(numbers, text + 1, length - 2);
    numbers[length - 2] = '\0';
    double v[3] = {0};
    if (!es_parse_vector("space origin", numbers, v, n->space_dimension, err)) return false;
    for (int i = 0; i < 3; i++) layout->origin[i] = signs[i] * v[i];
    return true;
}

static bool take_geometry(es_layout *layout, nrrd *n, int first, es_error *err) {
    double signs[3], mm;
    if (!take_space(n, signs, err) || !take_unit(n, &mm, err) ||
        !(n->value[DIRECTIONS] ? take_directions(layout, n, first, signs, err)
                               : take_spacings(layout, n, first, err)) ||
        !take_origin(layout, n, signs, err))
        return false;
    for (int i = 0; i < 3; i++) {
        layout->spacing[i] *= mm;
        layout->origin[i] *= mm;
    }
    return true;
}

/* The unit of the times of frames: the word of the list axis in
 * units: "" "" "" "s". */
static bool take_index_unit(es_layout *layout, const nrrd *n, int axis) {
    const char *at = n->value[UNITS];
    char word[16] = "";
    for (int i = 0; at && i <= axis; i++) {
        const char *open = strchr(at, '"'), *close = open ? strchr(open + 1, '"') : NULL;
        size_t length = close ? (size_t)(close - open) - 1 : 0;
        at = close ? close + 1 : NULL;
        word[0] = '\0';
        if (close && length < sizeof word)
            snprintf(word, sizeof word, "%.*s", (int)length, open + 1);
    }
    layout->index_unit_s = strcmp(word, "s") == 0 ? 1 : strcmp(word, "ms") == 0 ? 1e-3 : 0;
    return layout->index_unit_s > 0 || !*word;
}

/* Slicer's way: the list comes first, the frames lie interleaved. In memory the
 * list is the last axis. */
static bool take_list_first(es_layout *layout, nrrd *n, es_error *err) {
    layout->interleaved = layout->list_last = true;
    layout->dims = n->axes;
    if (layout->dims > 4)
        return es_fail(err, ES_UNSUPPORTED,
                       "dimension: five axes are read only with channels first");
    for (int i = 1; i < n->axes; i++) layout->size[i - 1] = n->size[i];
    layout->size[n->axes - 1] = n->size[0];
    if (!take_index_unit(layout, n, 0)) layout->index_values = NULL;
    return take_geometry(layout, n, 1, err);
}

static bool take_axes(es_layout *layout, nrrd *n, es_error *err) {
    if (!take_sizes(n, err) || !take_kinds(layout, n, err)) return false;
    if (n->role[0] == LIST_AXIS && n->axes > 2) return take_list_first(layout, n, err);
    int first = n->role[0] == CHANNEL_AXIS;
    if (first) {
        if (n->size[0] > 1000)
            return es_fail(err, ES_UNSUPPORTED, "sizes: %llu channels; expected 1 or 3",
                           (unsigned long long)n->size[0]);
        layout->channels = (int)n->size[0];
    }
    layout->dims = n->axes - first;
    if (layout->dims > 4)
        return es_fail(err, ES_UNSUPPORTED,
                       "dimension: five axes are read only with channels first");
    for (int i = 0; i < layout->dims; i++) layout->size[i] = n->size[first + i];
    layout->list_last = n->role[n->axes - 1] == LIST_AXIS;
    if (!take_index_unit(layout, n, n->axes - 1)) layout->index_values = NULL;
    return take_geometry(layout, n, first, err);
}

static bool take_type(es_layout *layout, const nrrd *n, es_error *err) {
    if (!need(n, TYPE, err)) return false;
    int found = -1;
    for (int i = 0; i < TYPES && found < 0; i++)
        if (strcasecmp(n->value[TYPE], type_names[i].name) == 0) found = i;
    if (found < 0)
        return es_fail(
            err, ES_UNSUPPORTED,
            "type: \"%.40s\" is not read; expected (u)int8, (u)int16, (u)int32, float or "
            "double",
            n->value[TYPE]);
    layout->type = type_names[found].type;
    const char *endian = n->value[ENDIAN];
    if (endian && strcasecmp(endian, "little") != 0 && strcasecmp(endian, "big") != 0)
        return es_fail(err, ES_FORMAT, "endian: expected little or big, found \"%.40s\"", endian);
    if (!endian && es_type_size(layout->type) > 1)
        return es_fail(err, ES_FORMAT, "endian is missing, and needed for %s",
                       es_type_name(layout->type));
    layout->swap = endian && strcasecmp(endian, "big") == 0;
    return true;
}

static bool take_encoding(es_layout *layout, const nrrd *n, es_error *err) {
    if (!need(n, ENCODING, err)) return false;
    const char *encoding = n->value[ENCODING];
    layout->payload.deflated = strcasecmp(encoding, "gzip") == 0 || strcasecmp(encoding, "gz") == 0;
    if (!layout->payload.deflated && strcasecmp(encoding, "raw") != 0)
        return es_fail(err, ES_UNSUPPORTED,
                       "encoding: \"%.40s\" is not read; write the file with encoding raw or gzip",
                       encoding);
    return true;
}

static bool take_skips(es_layout *layout, const nrrd *n, es_error *err) {
    es_payload *payload = &layout->payload;
    const char *lines = either(n, LINE_SKIP, LINE_SKIP_2),
               *bytes = either(n, BYTE_SKIP, BYTE_SKIP_2);
    int64_t line_skip = 0, byte_skip = 0;
    if (lines && (!es_parse_int(lines, &line_skip) || line_skip < 0))
        return es_fail(err, ES_FORMAT, "line skip: expected a whole number, found \"%.40s\"",
                       lines);
    if (bytes && (!es_parse_int(bytes, &byte_skip) || byte_skip < -1 || byte_skip > INT64_MAX / 4))
        return es_fail(err, ES_FORMAT, "byte skip: expected a whole number or -1, found \"%.40s\"",
                       bytes);
    if (byte_skip < 0 && payload->deflated)
        return es_fail(err, ES_FORMAT, "byte skip: -1 needs encoding raw");
    payload->skip_lines = (uint64_t)line_skip;
    payload->skip_from_end = byte_skip < 0;
    if (byte_skip > 0) /* of a compressed file, decoded bytes are skipped */
        *(payload->deflated ? &payload->inflated_skip : &payload->skip_more) = (uint64_t)byte_skip;
    return true;
}

static bool take_data_file(es_layout *layout, const nrrd *n, es_error *err) {
    es_payload *payload = &layout->payload;
    const char *value = either(n, DATA_FILE, DATA_FILE_2);
    if (!value) {
        if (!payload->skip_from_end) payload->skip = layout->header.length;
        return es_payload_add(payload, layout->path, err);
    }
    if (is_list(value)) return es_layout_take_names(layout, err);
    bool ok = strchr(value, '%') ? es_payload_add_pattern(payload, layout->path, value, err)
                                 : es_payload_add_beside(payload, layout->path, value, err);
    return ok || es_prefix(err, "data file");
}

static bool nrrd_read(const char *path, es_layout *layout, es_error *err) {
    nrrd n = {.axes = 0};
    if (!es_layout_start(layout, "nrrd", path, err) ||
        !es_header_read(&layout->header, path, is_last, err))
        return false;
    layout->frames.image_status = "Status"; /* PLUS's word in NRRD */
    bool ok = take_lines(layout, &n, err) && take_axes(layout, &n, err) &&
              take_type(layout, &n, err) && take_encoding(layout, &n, err) &&
              take_skips(layout, &n, err) && take_data_file(layout, &n, err);
    layout->told_frames = layout->orientation[0] || layout->frames.count;
    return (ok && es_layout_finish(layout, err)) || es_prefix(err, "%s", path);
}

static bool nrrd_probe(const unsigned char *head, size_t length) {
    return length >= 8 && memcmp(head, "NRRD000", 7) == 0;
}

/* ---- writing -------------------------------------------------------------------- */

static bool write_common(es_writer *writer, es_type type, bool compress, es_error *err) {
    const char *name = writer->data_name;
    return es_output_print(writer->head, err,
                           "NRRD0005\n# written by echosolid %s\n# format: "
                           "http://teem.sourceforge.net/nrrd/format.html\ntype: %s\n"
                           "encoding: %s\nendian: little\n",
                           es_version(), type_names[type].name, compress ? "gzip" : "raw") &&
           (!name || es_output_print(writer->head, err, "data file: %s\n", name));
}

static const es_dialect dialect;

static bool write_fields(es_output *out, const es_fields *fields, es_error *err) {
    for (size_t i = 0; i < fields->count; i++)
        if (!es_write_field(out, &dialect, "", fields->items[i].key, fields->items[i].value, err))
            return false;
    return true;
}

static bool recording_begin(es_writer *writer, const es_stream_info *info, bool compress,
                            uint64_t *count_at, es_error *err) {
    es_output *out = writer->head;
    if (info->width == 0)
        return es_fail(err, ES_UNSUPPORTED,
                       "NRRD holds no recordings without pixels; write the poses as .mha");
    bool rgb = info->channels == 3;
    char sizes[80], x[ES_NUMBER_SIZE], y[ES_NUMBER_SIZE];
    snprintf(sizes, sizeof sizes, "sizes: %s%u %u ", rgb ? "3 " : "", info->width, info->height);
    return write_common(writer, info->type, compress, err) &&
           es_output_print(out, err, "dimension: %d\nspace dimension: 2\n", rgb ? 4 : 3) &&
           es_write_later(out, sizes, count_at, err) &&
           es_output_print(out, err,
                           "kinds: %sdomain domain list\n"
                           "space directions: %s(%s,0) (0,%s) none\nspace origin: (0,0)\n",
                           rgb ? "vector " : "", rgb ? "none " : "",
                           es_format_double(info->spacing_mm[0], x),
                           es_format_double(info->spacing_mm[1], y)) &&
           (!info->orientation[0] ||
            es_output_print(out, err, "%s:=%s\n", orientation_key, info->orientation)) &&
           (!info->image_kind[0] ||
            es_output_print(out, err, "%s:=%s\n", kind_key, info->image_kind)) &&
           write_fields(out, &info->fields, err);
}

static bool header_end(es_writer *writer, es_error *err) {
    return es_output_write(writer->head, "\n", 1, err);
}

static bool grid_header(es_writer *writer, const es_grid_info *info, bool compress, es_error *err) {
    es_text text = {0};
    bool rgb = info->channels == 3;
    es_text_add(&text,
                "dimension: %d\nspace: left-posterior-superior\nsizes: %s%llu %llu %llu\n"
                "space directions:%s",
                rgb ? 4 : 3, rgb ? "3 " : "", (unsigned long long)info->size[0],
                (unsigned long long)info->size[1], (unsigned long long)info->size[2],
                rgb ? " none" : "");
    for (int axis = 0; axis < 3; axis++) {
        double v[3];
        for (int row = 0; row < 3; row++)
            v[row] = info->direction[3 * row + axis] * info->spacing_mm[axis];
        es_text_add(&text, " (");
        es_text_add_numbers(&text, v, 3, ",");
        es_text_add(&text, ")");
    }
    es_text_add(&text, "\nkinds: %sdomain domain domain\nspace origin: (", rgb ? "RGB-color " : "");
    es_text_add_numbers(&text, info->origin_mm, 3, ",");
    es_text_add(&text, ")\n");
    bool ok = !text.failed || es_fail(err, ES_MEMORY, "out of memory");
    ok = ok && write_common(writer, info->type, compress, err) &&
         es_output_write(writer->head, text.bytes, text.length, err) &&
         write_fields(writer->head, &info->fields, err) && header_end(writer, err);
    es_text_free(&text);
    return ok;
}

static const es_dialect dialect = {
    .assign = ":=",
    .image_status = "Status",
    .escapes = true,
    .packing = ES_PACK_GZIP,
    .detached = ".nhdr",
    .raw = ".raw",
    .packed = ".raw.gz",
    .begin = recording_begin,
    .end = header_end,
    .grid_header = grid_header,
};

const es_format es_format_nrrd = {
    .name = "NRRD",
    .reads = ".nrrd .nhdr",
    .recordings = ".nrrd .nhdr",
    .volumes = ".nrrd .nhdr",
    .keeps = ES_KEEPS_ALL,
    .probe = nrrd_probe,
    .read = nrrd_read,
    .dialect = &dialect,
};
