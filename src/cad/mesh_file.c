/* Mesh files by extension. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "mesh_file.h"

static const mesh_format FORMATS[] = {
    {".stl", cad_stl_write, cad_stl_parse}, {".ply", cad_ply_write, cad_ply_parse},
    {".obj", cad_obj_write, cad_obj_parse}, {".3mf", cad_3mf_write, NULL},
    {".glb", cad_glb_write, NULL},
};
enum { FORMAT_COUNT = sizeof FORMATS / sizeof *FORMATS };

static const size_t FILE_LIMIT = (size_t)1 << 32;

static const mesh_format *find_format(const char *path, es_error *err) {
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (es_has_suffix(path, FORMATS[i].suffix)) return &FORMATS[i];
    es_text known = {0};
    for (int i = 0; i < FORMAT_COUNT; i++)
        es_text_add(&known, "%s%s", i ? ", " : "", FORMATS[i].suffix);
    es_fail(err, ES_UNSUPPORTED, "%s: not a mesh file by its name; known are %s", path,
            known.failed ? ".stl" : known.bytes);
    es_text_free(&known);
    return NULL;
}

bool es_mesh_can_write(const char *path, es_error *err) { return find_format(path, err) != NULL; }

bool cad_check_mesh(const es_mesh *mesh, es_error *err) {
    if (mesh->triangle_count == 0)
        return es_fail(err, ES_GEOMETRY, "the mesh has no triangles; nothing is written");
    if (mesh->vertex_count > INT32_MAX || mesh->triangle_count > INT32_MAX)
        return es_fail(err, ES_UNSUPPORTED, "%zu triangles: a file holds %d at most",
                       mesh->triangle_count, INT32_MAX);
    for (size_t i = 0; i < 3 * mesh->triangle_count; i++)
        if (mesh->triangles[i] >= mesh->vertex_count)
            return es_fail(err, ES_GEOMETRY, "triangle %zu: vertex %u, but there are %zu", i / 3,
                           mesh->triangles[i], mesh->vertex_count);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        if (!isfinite(mesh->vertices[i]))
            return es_fail(err, ES_GEOMETRY, "vertex %zu: %g is not a coordinate", i / 3,
                           (double)mesh->vertices[i]);
    return true;
}

bool es_mesh_write(const char *path, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    static const es_mesh_write_options plain = {0};
    const mesh_format *format = find_format(path, err);
    if (!format) return false;
    if (!cad_check_mesh(mesh, err)) return es_prefix(err, "%s", path);
    es_output *out = es_output_open(path, err);
    if (!out) return false;
    if (format->write(out, mesh, options ? options : &plain, err))
        return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}

bool es_mesh_read(const char *path, es_mesh *mesh, es_error *err) {
    *mesh = (es_mesh){0};
    const mesh_format *format = find_format(path, err);
    if (!format) return false;
    if (!format->parse)
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: %s files are written, not read; read STL, PLY or OBJ", path,
                       format->suffix);
    size_t length;
    char *bytes = es_file_read(path, FILE_LIMIT, &length, err);
    if (!bytes) return false;
    bool ok = format->parse(bytes, length, mesh, err) || es_prefix(err, "%s", path);
    es_free(bytes);
    return ok;
}

void cad_title(const es_mesh_write_options *options, char *line, size_t size) {
    const char *title = options->title ? options->title : "";
    bool signed_already = strncmp(title, "echosolid", 9) == 0;
    if (signed_already)
        snprintf(line, size, "%s", title);
    else
        snprintf(line, size, "echosolid %s mm%s%s", es_version(), *title ? " " : "", title);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = ' ';
}

uint8_t *cad_put_u32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) *to++ = (uint8_t)(value >> 8 * i);
    return to;
}

uint8_t *cad_put_float(uint8_t *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return cad_put_u32(to, bits);
}

/* ---- text --------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; }

bool cad_token(cad_text *text, char token[TOKEN_SIZE]) {
    for (; text->at < text->end && is_blank(*text->at); text->at++) text->line += *text->at == '\n';
    size_t length = 0;
    for (; text->at < text->end && !is_blank(*text->at); text->at++)
        if (length < TOKEN_SIZE - 1) token[length++] = *text->at;
    token[length] = '\0';
    if (length == TOKEN_SIZE - 1) token[0] = '?';
    return length > 0;
}

bool cad_line(cad_text *text, char *line, size_t size) {
    if (text->at >= text->end) return false;
    size_t length = 0;
    for (; text->at < text->end && *text->at != '\n'; text->at++)
        if (length < size - 1) line[length++] = *text->at;
    if (text->at < text->end) text->at++;
    text->line++;
    if (length > 0 && line[length - 1] == '\r') length--;
    line[length] = '\0';
    return true;
}

bool cad_token_float(cad_text *text, float *value, es_error *err) {
    char token[TOKEN_SIZE];
    double number;
    if (!cad_token(text, token))
        return es_fail(err, ES_FORMAT, "line %zu: ends where a coordinate should stand",
                       text->line);
    if (!es_parse_double(token, &number))
        return es_fail(err, ES_FORMAT, "line %zu: '%s' is not a number", text->line, token);
    if (!(fabs(number) <= FLT_MAX))
        return es_fail(err, ES_FORMAT, "line %zu: %s is too large for a coordinate", text->line,
                       token);
    *value = (float)number;
    return true;
}

char *cad_format_float(float value, char text[ES_NUMBER_SIZE]) {
    double power = 1, decimal = value;
    for (int decimals = 0; decimals <= 12; decimals++, power *= 10) {
        double rounded = round(value * power) / power;
        if ((float)rounded != value) continue;
        decimal = rounded;
        break;
    }
    return es_format_double(decimal, text);
}

/* ---- a mesh that grows ----------------------------------------------------------- */

static bool reserve(void *block_address, size_t count, size_t *capacity, size_t size,
                    es_error *err) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? 2 * *capacity : 1024;
    if (!es_resize(block_address, wanted, size, err)) return false;
    *capacity = wanted;
    return true;
}

/* Bits of a coordinate, the same for 0 and -0. */
static uint32_t coordinate_bits(float value) {
    uint32_t bits;
    value += 0.0f;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014). */
static size_t hash_point(const float at[3]) {
    uint64_t h = coordinate_bits(at[0]) | (uint64_t)coordinate_bits(at[1]) << 32;
    h ^= coordinate_bits(at[2]) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return (size_t)(h ^ h >> 31);
}

/* The slot of the vertex at these coordinates, or the free one for it. */
static size_t find_slot(const cad_builder *builder, const float at[3]) {
    size_t mask = builder->slot_count - 1;
    for (size_t slot = hash_point(at) & mask;; slot = (slot + 1) & mask) {
        if (builder->slots[slot] == 0) return slot;
        const float *there = builder->mesh.vertices + 3 * (size_t)(builder->slots[slot] - 1);
        if (there[0] == at[0] && there[1] == at[1] && there[2] == at[2]) return slot;
    }
}

/* Keeps the table at most half full. */
static bool grow_slots(cad_builder *builder, es_error *err) {
    if (2 * builder->mesh.vertex_count < builder->slot_count) return true;
    size_t count = builder->slot_count ? 2 * builder->slot_count : 4096;
    uint32_t *slots = es_alloc_zero(count, sizeof *slots, err);
    if (!slots) return false;
    es_free(builder->slots);
    builder->slots = slots;
    builder->slot_count = count;
    for (size_t v = 0; v < builder->mesh.vertex_count; v++)
        slots[find_slot(builder, builder->mesh.vertices + 3 * v)] = (uint32_t)v + 1;
    return true;
}

bool cad_builder_vertex(cad_builder *builder, const float at[3], es_error *err) {
    es_mesh *mesh = &builder->mesh;
    if (mesh->vertex_count >= INT32_MAX)
        return es_fail(err, ES_MEMORY, "more than %d vertices", INT32_MAX);
    if (!reserve(&mesh->vertices, mesh->vertex_count, &builder->vertex_capacity, 3 * sizeof(float),
                 err))
        return false;
    memcpy(mesh->vertices + 3 * mesh->vertex_count++, at, 3 * sizeof(float));
    return true;
}

bool cad_builder_weld(cad_builder *builder, const float at[3], uint32_t *vertex, es_error *err) {
    es_mesh *mesh = &builder->mesh;
    if (!grow_slots(builder, err)) return false;
    size_t slot = find_slot(builder, at);
    if (builder->slots[slot] == 0) {
        if (!cad_builder_vertex(builder, at, err)) return false;
        builder->slots[slot] = (uint32_t)mesh->vertex_count;
    }
    *vertex = builder->slots[slot] - 1;
    return true;
}

bool cad_builder_triangle(cad_builder *builder, const uint32_t corner[3], es_error *err) {
    es_mesh *mesh = &builder->mesh;
    if (corner[0] == corner[1] || corner[1] == corner[2] || corner[2] == corner[0]) {
        builder->dropped++;
        return true;
    }
    if (!reserve(&mesh->triangles, mesh->triangle_count, &builder->triangle_capacity,
                 3 * sizeof(uint32_t), err))
        return false;
    memcpy(mesh->triangles + 3 * mesh->triangle_count++, corner, 3 * sizeof *corner);
    return true;
}

void cad_builder_clear(cad_builder *builder) {
    es_mesh_clear(&builder->mesh);
    es_free(builder->slots);
    *builder = (cad_builder){0};
}
