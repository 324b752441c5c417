/* PLY, the Stanford polygon file: a text header that describes elements and
 * their properties, then the elements as text or binary of either byte order.
 *
 * Written: vertices as floats with their normals, "confidence" where the mesh has it,
 * further values by their names, triangles.
 * Read: any header; x, y, z and confidence (or quality) of the vertices and
 * vertex_indices of the faces are taken, all else is skipped. A polygon becomes
 * a fan of triangles about its first corner. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "echosolid/image.h"
#include "mesh_file.h"

/* ---- writing ------------------------------------------------------------------ */

enum { VALUES_MOST = 8, PLY_NUMBERS = 7 + VALUES_MOST };
enum { RECORDS_AT_ONCE = 1024, VERTEX_BYTES = 4 * PLY_NUMBERS, FACE_BYTES = 13 };

typedef struct ply_writer {
    es_output *out;
    const es_mesh *mesh;
    const es_mesh_write_options *options;
    float *normals;
    es_error *err;
} ply_writer;

static bool write_header(const ply_writer *w) {
    char title[160];
    cad_title(w->options, title, sizeof title);
    bool ok = es_output_print(
        w->out, w->err,
        "ply\nformat %s 1.0\ncomment %s\n"
        "element vertex %zu\nproperty float x\nproperty float y\n"
        "property float z\nproperty float nx\nproperty float ny\nproperty float nz\n%s",
        w->options->ascii ? "ascii" : "binary_little_endian", title, w->mesh->vertex_count,
        w->mesh->confidence ? "property float confidence\n" : "");
    for (size_t i = 0; ok && i < w->options->value_count; i++)
        ok = es_output_print(w->out, w->err, "property float %s\n", w->options->values[i].name);
    return ok && es_output_print(w->out, w->err,
                                 "element face %zu\n"
                                 "property list uchar int vertex_indices\nend_header\n",
                                 w->mesh->triangle_count);
}

/* Place, normal, confidence and further values; returns how many. */
static size_t vertex_numbers(const ply_writer *w, size_t v, float numbers[PLY_NUMBERS]) {
    size_t count = 6;
    memcpy(numbers, w->mesh->vertices + 3 * v, 3 * sizeof *numbers);
    memcpy(numbers + 3, w->normals + 3 * v, 3 * sizeof *numbers);
    if (w->mesh->confidence) numbers[count++] = w->mesh->confidence[v];
    for (size_t i = 0; i < w->options->value_count; i++)
        numbers[count++] = w->options->values[i].values[v];
    return count;
}

static bool write_text(const ply_writer *w) {
    bool ok = true;
    for (size_t v = 0; v < w->mesh->vertex_count && ok; v++) {
        float numbers[PLY_NUMBERS];
        char text[ES_NUMBER_SIZE];
        size_t count = vertex_numbers(w, v, numbers);
        for (size_t i = 0; i < count && ok; i++)
            ok = es_output_print(w->out, w->err, "%s%s", cad_format_float(numbers[i], text),
                                 i + 1 < count ? " " : "\n");
    }
    for (size_t t = 0; t < w->mesh->triangle_count && ok; t++) {
        const uint32_t *corner = w->mesh->triangles + 3 * t;
        ok = es_output_print(w->out, w->err, "3 %u %u %u\n", corner[0], corner[1], corner[2]);
    }
    return ok;
}

static bool write_binary_vertices(const ply_writer *w) {
    uint8_t buffer[RECORDS_AT_ONCE * VERTEX_BYTES];
    for (size_t v = 0; v < w->mesh->vertex_count;) {
        uint8_t *at = buffer;
        for (int i = 0; i < RECORDS_AT_ONCE && v < w->mesh->vertex_count; i++, v++) {
            float numbers[PLY_NUMBERS];
            size_t count = vertex_numbers(w, v, numbers);
            for (size_t k = 0; k < count; k++) at = cad_put_float(at, numbers[k]);
        }
        if (!es_output_write(w->out, buffer, (size_t)(at - buffer), w->err)) return false;
    }
    return true;
}

static bool write_binary_faces(const ply_writer *w) {
    uint8_t buffer[RECORDS_AT_ONCE * FACE_BYTES];
    for (size_t t = 0; t < w->mesh->triangle_count;) {
        uint8_t *at = buffer;
        for (int i = 0; i < RECORDS_AT_ONCE && t < w->mesh->triangle_count; i++, t++) {
            *at++ = 3;
            for (size_t k = 0; k < 3; k++) at = cad_put_u32(at, w->mesh->triangles[3 * t + k]);
        }
        if (!es_output_write(w->out, buffer, (size_t)(at - buffer), w->err)) return false;
    }
    return true;
}

bool cad_ply_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    ply_writer w = {.out = out, .mesh = mesh, .options = options, .err = err};
    if (options->value_count > VALUES_MOST)
        return es_fail(err, ES_USAGE, "%zu further values of each vertex: %d at most",
                       options->value_count, VALUES_MOST);
    w.normals = es_alloc(mesh->vertex_count, 3 * sizeof *w.normals, err);
    if (!w.normals) return false;
    es_mesh_normals(mesh, w.normals);
    bool ok =
        write_header(&w) &&
        (options->ascii ? write_text(&w) : write_binary_vertices(&w) && write_binary_faces(&w));
    es_free(w.normals);
    return ok;
}

/* ---- the header ------------------------------------------------------------------ */

enum { ELEMENTS_MAX = 32, PROPERTIES_MAX = 256, LINE_SIZE = 512 };

typedef enum ply_encoding { TEXT, LITTLE, BIG } ply_encoding;
typedef enum element_kind { VERTEX, FACE, OTHER_ELEMENT } element_kind;
typedef enum ply_role { X, Y, Z, CONFIDENCE, CORNERS, SKIPPED } ply_role;

typedef struct ply_property {
    ply_role role;
    bool is_list;
    es_type count_type, type; /* count_type: of the length of a list */
} ply_property;

typedef struct ply_element {
    char name[TOKEN_SIZE];
    element_kind kind;
    uint64_t count;
    size_t first, property_count; /* into ply.properties */
} ply_element;

typedef struct ply_reader {
    cad_text text;
    ply_encoding encoding;
    bool has_encoding;
    ply_element elements[ELEMENTS_MAX];
    ply_property properties[PROPERTIES_MAX];
    size_t element_count, property_count;
    const ply_element *vertex; /* NULL until the header is read */
    cad_builder builder;
} ply_reader;

static bool parse_type(const char *name, es_type *type) {
    static const struct {
        const char *old_name, *name;
        es_type type;
    } types[] = {{"char", "int8", ES_I8},      {"uchar", "uint8", ES_U8},
                 {"short", "int16", ES_I16},   {"ushort", "uint16", ES_U16},
                 {"int", "int32", ES_I32},     {"uint", "uint32", ES_U32},
                 {"float", "float32", ES_F32}, {"double", "float64", ES_F64}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(name, types[i].old_name) || !strcmp(name, types[i].name)) {
            *type = types[i].type;
            return true;
        }
    return false;
}

static ply_role role_of(element_kind kind, const char *name, bool is_list) {
    if (kind == FACE && is_list)
        return !strcmp(name, "vertex_indices") || !strcmp(name, "vertex_index") ? CORNERS : SKIPPED;
    if (kind != VERTEX || is_list) return SKIPPED;
    if (!strcmp(name, "x")) return X;
    if (!strcmp(name, "y")) return Y;
    if (!strcmp(name, "z")) return Z;
    return !strcmp(name, "confidence") || !strcmp(name, "quality") ? CONFIDENCE : SKIPPED;
}

static bool parse_format(ply_reader *ply, cad_text *line, es_error *err) {
    char word[TOKEN_SIZE] = "";
    cad_token(line, word);
    ply->has_encoding = true;
    if (!strcmp(word, "ascii"))
        ply->encoding = TEXT;
    else if (!strcmp(word, "binary_little_endian"))
        ply->encoding = LITTLE;
    else if (!strcmp(word, "binary_big_endian"))
        ply->encoding = BIG;
    else
        return es_fail(err, ES_FORMAT,
                       "format '%s': expected ascii, binary_little_endian or binary_big_endian",
                       word);
    return true;
}

static bool parse_element(ply_reader *ply, cad_text *line, es_error *err) {
    char count_text[TOKEN_SIZE] = "";
    int64_t count;
    if (ply->element_count == ELEMENTS_MAX)
        return es_fail(err, ES_UNSUPPORTED, "more than %d kinds of element", ELEMENTS_MAX);
    ply_element *element = &ply->elements[ply->element_count++];
    if (!cad_token(line, element->name) || !cad_token(line, count_text) ||
        !es_parse_int(count_text, &count) || count < 0)
        return es_fail(err, ES_FORMAT, "element '%s': '%s' is not a count", element->name,
                       count_text);
    element->count = (uint64_t)count;
    element->first = ply->property_count;
    element->kind = !strcmp(element->name, "vertex") ? VERTEX
                    : !strcmp(element->name, "face") ? FACE
                                                     : OTHER_ELEMENT;
    return true;
}

static bool parse_property(ply_reader *ply, cad_text *line, es_error *err) {
    char word[TOKEN_SIZE] = "", name[TOKEN_SIZE];
    if (ply->element_count == 0)
        return es_fail(err, ES_FORMAT, "a property stands before the first element");
    if (ply->property_count == PROPERTIES_MAX)
        return es_fail(err, ES_UNSUPPORTED, "more than %d properties", PROPERTIES_MAX);
    ply_element *element = &ply->elements[ply->element_count - 1];
    ply_property *property = &ply->properties[ply->property_count++];
    cad_token(line, word);
    property->is_list = !strcmp(word, "list");
    if (property->is_list) {
        cad_token(line, word);
        if (!parse_type(word, &property->count_type) || property->count_type == ES_F32 ||
            property->count_type == ES_F64)
            return es_fail(err, ES_FORMAT, "'%s' is not a type for the length of a list", word);
        word[0] = '\0';
        cad_token(line, word);
    }
    if (!parse_type(word, &property->type))
        return es_fail(err, ES_FORMAT, "'%s' is not a type of number", word);
    if (!cad_token(line, name))
        return es_fail(err, ES_FORMAT, "a property of element '%s' has no name", element->name);
    property->role = role_of(element->kind, name, property->is_list);
    element->property_count++;
    return true;
}

/* One line of the header; *end at its last. */
static bool parse_header_line(ply_reader *ply, const char *bytes, bool *end, es_error *err) {
    char word[TOKEN_SIZE];
    cad_text line = {.at = bytes, .end = bytes + strlen(bytes), .line = 1};
    if (!cad_token(&line, word) || !strcmp(word, "comment") || !strcmp(word, "obj_info"))
        return true;
    *end = !strcmp(word, "end_header");
    if (*end) return true;
    if (!strcmp(word, "format")) return parse_format(ply, &line, err);
    if (!strcmp(word, "element")) return parse_element(ply, &line, err);
    if (!strcmp(word, "property")) return parse_property(ply, &line, err);
    return es_fail(err, ES_FORMAT, "'%s' is no word of a PLY header", word);
}

static bool has_role(const ply_reader *ply, const ply_element *element, ply_role role) {
    for (size_t i = 0; i < element->property_count; i++)
        if (ply->properties[element->first + i].role == role) return true;
    return false;
}

static bool check_header(ply_reader *ply, es_error *err) {
    const ply_element *face = NULL;
    if (!ply->has_encoding) return es_fail(err, ES_FORMAT, "the header has no 'format' line");
    for (size_t i = 0; i < ply->element_count; i++) {
        const ply_element *element = &ply->elements[i];
        const ply_element **known = element->kind == VERTEX ? &ply->vertex
                                    : element->kind == FACE ? &face
                                                            : NULL;
        if (known && *known)
            return es_fail(err, ES_FORMAT, "element '%s' is declared twice", element->name);
        if (known) *known = element;
    }
    if (!ply->vertex || !has_role(ply, ply->vertex, X) || !has_role(ply, ply->vertex, Y) ||
        !has_role(ply, ply->vertex, Z))
        return es_fail(err, ES_FORMAT, "the header has no element 'vertex' with x, y and z");
    if (!face || face->count == 0 || !has_role(ply, face, CORNERS))
        return es_fail(err, ES_UNSUPPORTED,
                       "the file has no faces with 'vertex_indices' (points or strips alone are "
                       "not read)");
    return true;
}

static bool parse_header(ply_reader *ply, es_error *err) {
    char line[LINE_SIZE];
    bool end = false;
    if (!cad_line(&ply->text, line, sizeof line) || strcmp(line, "ply") != 0)
        return es_fail(err, ES_FORMAT, "the first line is not 'ply'");
    while (!end) {
        size_t number = ply->text.line;
        if (!cad_line(&ply->text, line, sizeof line))
            return es_fail(err, ES_FORMAT, "line %zu: ends before 'end_header'", number);
        if (!parse_header_line(ply, line, &end, err)) return es_prefix(err, "line %zu", number);
    }
    return check_header(ply, err);
}

/* ---- numbers ----------------------------------------------------------------------- */

static size_t bytes_left(const ply_reader *ply) { return (size_t)(ply->text.end - ply->text.at); }

static bool read_text_number(ply_reader *ply, double *value, es_error *err) {
    char token[TOKEN_SIZE];
    if (!cad_token(&ply->text, token)) return es_fail(err, ES_FORMAT, "the file ends here");
    if (es_parse_double(token, value)) return true;
    return es_fail(err, ES_FORMAT, "line %zu: '%s' is not a number", ply->text.line, token);
}

static bool host_is_little(void) {
    uint16_t one = 1;
    uint8_t first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static bool read_number(ply_reader *ply, es_type type, double *value, es_error *err) {
    if (ply->encoding == TEXT) return read_text_number(ply, value, err);
    size_t size = es_type_size(type);
    _Alignas(8) uint8_t bytes[8];
    if (bytes_left(ply) < size) return es_fail(err, ES_FORMAT, "the file ends here");
    bool turn = (ply->encoding == LITTLE) != host_is_little();
    for (size_t i = 0; i < size; i++) bytes[turn ? size - 1 - i : i] = (uint8_t)ply->text.at[i];
    ply->text.at += size;
    *value = es_type_get(type, bytes, 0);
    return true;
}

/* The length of a list, held against what is left of the file. */
static bool read_length(ply_reader *ply, const ply_property *property, uint64_t *length,
                        es_error *err) {
    double value;
    if (!read_number(ply, property->count_type, &value, err)) return false;
    size_t least = ply->encoding == TEXT ? 1 : es_type_size(property->type);
    if (!(value >= 0) || value != floor(value))
        return es_fail(err, ES_FORMAT, "a list of %g entries", value);
    if (value > (double)(bytes_left(ply) / least))
        return es_fail(err, ES_FORMAT, "a list of %g entries, but %zu bytes are left", value,
                       bytes_left(ply));
    *length = (uint64_t)value;
    return true;
}

static bool skip_property(ply_reader *ply, const ply_property *property, es_error *err) {
    double ignored;
    uint64_t count = 1;
    if (property->is_list && !read_length(ply, property, &count, err)) return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_number(ply, property->type, &ignored, err)) return false;
    return true;
}

/* ---- elements -------------------------------------------------------------------------- */

/* The least that an element takes in the file. */
static size_t least_bytes(const ply_reader *ply, const ply_element *element) {
    size_t sum = 0;
    for (size_t i = 0; i < element->property_count; i++) {
        const ply_property *property = &ply->properties[element->first + i];
        es_type type = property->is_list ? property->count_type : property->type;
        sum += ply->encoding == TEXT ? 1 : es_type_size(type);
    }
    return sum;
}

static bool check_count(const ply_reader *ply, const ply_element *element, es_error *err) {
    if (element->count <= bytes_left(ply) / least_bytes(ply, element) &&
        element->count <= INT32_MAX)
        return true;
    return es_fail(err, ES_FORMAT, "%llu of element '%s', but %zu bytes are left",
                   (unsigned long long)element->count, element->name, bytes_left(ply));
}

static bool read_vertex(ply_reader *ply, size_t vertex, es_error *err) {
    es_mesh *mesh = &ply->builder.mesh;
    for (size_t i = 0; i < ply->vertex->property_count; i++) {
        const ply_property *property = &ply->properties[ply->vertex->first + i];
        double value;
        if (property->role == SKIPPED) {
            if (!skip_property(ply, property, err)) return false;
            continue;
        }
        if (!read_number(ply, property->type, &value, err)) return false;
        if (property->role == CONFIDENCE) {
            mesh->confidence[vertex] = value > 0 ? (float)fmin(value, 1) : 0.0f;
        } else {
            if (!(fabs(value) <= FLT_MAX))
                return es_fail(err, ES_FORMAT, "%g is not a coordinate", value);
            mesh->vertices[3 * vertex + property->role] = (float)value;
        }
    }
    return true;
}

static bool read_vertices(ply_reader *ply, es_error *err) {
    es_mesh *mesh = &ply->builder.mesh;
    size_t count = (size_t)ply->vertex->count;
    mesh->vertices = es_alloc(count, 3 * sizeof(float), err);
    if (!mesh->vertices) return false;
    if (has_role(ply, ply->vertex, CONFIDENCE)) {
        mesh->confidence = es_alloc(count, sizeof(float), err);
        if (!mesh->confidence) return false;
    }
    for (size_t v = 0; v < count; v++)
        if (!read_vertex(ply, v, err)) return es_prefix(err, "vertex %zu", v);
    mesh->vertex_count = count;
    return true;
}

static bool read_corner(ply_reader *ply, es_type type, uint32_t *corner, es_error *err) {
    double value;
    if (!read_number(ply, type, &value, err)) return false;
    if (!(value >= 0 && value < (double)ply->vertex->count) || value != floor(value))
        return es_fail(err, ES_FORMAT, "vertex %g, but there are %llu", value,
                       (unsigned long long)ply->vertex->count);
    *corner = (uint32_t)value;
    return true;
}

/* A polygon as a fan; those of fewer than three corners are left out. */
static bool read_polygon(ply_reader *ply, const ply_property *property, es_error *err) {
    uint64_t length;
    uint32_t corner[3];
    if (!read_length(ply, property, &length, err)) return false;
    if (length < 3) ply->builder.dropped++;
    for (uint64_t i = 0; i < length; i++) {
        if (!read_corner(ply, property->type, &corner[i < 2 ? i : 2], err)) return false;
        if (i < 2) continue;
        if (!cad_builder_triangle(&ply->builder, corner, err)) return false;
        corner[1] = corner[2];
    }
    return true;
}

static bool read_others(ply_reader *ply, const ply_element *element, es_error *err) {
    for (uint64_t i = 0; i < element->count; i++)
        for (size_t p = 0; p < element->property_count; p++) {
            const ply_property *property = &ply->properties[element->first + p];
            bool ok = property->role == CORNERS ? read_polygon(ply, property, err)
                                                : skip_property(ply, property, err);
            if (!ok) return es_prefix(err, "%s %llu", element->name, (unsigned long long)i);
        }
    return true;
}

static bool read_elements(ply_reader *ply, es_error *err) {
    for (size_t i = 0; i < ply->element_count; i++) {
        const ply_element *element = &ply->elements[i];
        if (element->property_count == 0) continue;
        if (!check_count(ply, element, err)) return false;
        if (!(element->kind == VERTEX ? read_vertices(ply, err) : read_others(ply, element, err)))
            return false;
    }
    if (ply->builder.mesh.triangle_count == 0)
        return es_fail(err, ES_FORMAT, "no face has three different corners");
    return true;
}

bool cad_ply_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err) {
    *mesh = (es_mesh){0};
    ply_reader *ply = es_alloc_zero(1, sizeof *ply, err);
    if (!ply) return false;
    ply->text = (cad_text){.at = bytes, .end = bytes + length, .line = 1};
    bool ok = parse_header(ply, err) && read_elements(ply, err);
    if (ok && ply->builder.dropped)
        es_log(ES_NOTE, "%zu faces of the PLY had fewer than three corners and were left out",
               ply->builder.dropped);
    if (ok) {
        *mesh = ply->builder.mesh;
        ply->builder.mesh = (es_mesh){0};
    }
    cad_builder_clear(&ply->builder);
    es_free(ply);
    return ok;
}
