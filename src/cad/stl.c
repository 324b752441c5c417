/* STL, the list of loose triangles that every slicer reads.
 *
 * Binary: 80 bytes of any text, the count of facets, and per facet 12 floats
 * (normal, three corners) and 16 unused bits, all little endian. Text: "solid
 * name", facets, "endsolid". Readers tell them apart by the first word, which
 * goes wrong for binary files that start with "solid"; here the size decides,
 * and what is written never starts so. There is no unit: millimetres, and the
 * header says it. The file has no shared corners; equal ones are welded. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "mesh_file.h"

enum { HEADER = 80, START = HEADER + 4, FACET = 50, FACETS_AT_ONCE = 1024 };

/* ---- writing ---------------------------------------------------------------- */

/* The unit normal, then the corners; a facet without area has normal 0. */
static void facet_numbers(const es_mesh *mesh, size_t triangle, float numbers[12]) {
    for (int k = 0; k < 3; k++)
        memcpy(numbers + 3 + 3 * k,
               mesh->vertices + 3 * (size_t)mesh->triangles[3 * triangle + (size_t)k],
               3 * sizeof(float));
    const float *a = numbers + 3, *b = numbers + 6, *c = numbers + 9;
    es_vec3 u = es_vec3_make((double)b[0] - a[0], (double)b[1] - a[1], (double)b[2] - a[2]);
    es_vec3 v = es_vec3_make((double)c[0] - a[0], (double)c[1] - a[1], (double)c[2] - a[2]);
    es_vec3 normal = es_vec3_unit(es_vec3_cross(u, v));
    numbers[0] = (float)normal.x;
    numbers[1] = (float)normal.y;
    numbers[2] = (float)normal.z;
}

static void put_start(uint8_t start[START], const es_mesh *mesh, const char *title) {
    memset(start, 0, START);
    memcpy(start, title, strlen(title));
    cad_put_u32(start + HEADER, (uint32_t)mesh->triangle_count);
}

static uint8_t *put_facet(uint8_t *at, const es_mesh *mesh, size_t triangle) {
    float numbers[12];
    facet_numbers(mesh, triangle, numbers);
    for (int i = 0; i < 12; i++) at = cad_put_float(at, numbers[i]);
    *at++ = 0;
    *at++ = 0;
    return at;
}

static bool write_binary(es_output *out, const es_mesh *mesh, const char *title, es_error *err) {
    uint8_t start[START], buffer[FACETS_AT_ONCE * FACET];
    put_start(start, mesh, title);
    if (!es_output_write(out, start, sizeof start, err)) return false;
    for (size_t t = 0; t < mesh->triangle_count;) {
        uint8_t *at = buffer;
        for (int n = 0; n < FACETS_AT_ONCE && t < mesh->triangle_count; n++, t++)
            at = put_facet(at, mesh, t);
        if (!es_output_write(out, buffer, (size_t)(at - buffer), err)) return false;
    }
    return true;
}

static bool write_point(es_output *out, const char *words, const float at[3], es_error *err) {
    char x[ES_NUMBER_SIZE], y[ES_NUMBER_SIZE], z[ES_NUMBER_SIZE];
    return es_output_print(out, err, "%s %s %s %s\n", words, cad_format_float(at[0], x),
                           cad_format_float(at[1], y), cad_format_float(at[2], z));
}

static bool write_text(es_output *out, const es_mesh *mesh, const char *title, es_error *err) {
    bool ok = es_output_print(out, err, "solid %s\n", title);
    for (size_t t = 0; t < mesh->triangle_count && ok; t++) {
        float numbers[12];
        facet_numbers(mesh, t, numbers);
        ok = write_point(out, "facet normal", numbers, err) &&
             es_output_print(out, err, "outer loop\n") &&
             write_point(out, "vertex", numbers + 3, err) &&
             write_point(out, "vertex", numbers + 6, err) &&
             write_point(out, "vertex", numbers + 9, err) &&
             es_output_print(out, err, "endloop\nendfacet\n");
    }
    return ok && es_output_print(out, err, "endsolid %s\n", title);
}

void *es_mesh_stl(const es_mesh *mesh, const char *title, size_t *length, es_error *err) {
    char line[HEADER + 1];
    es_mesh_write_options options = {.title = title};
    if (!cad_check_mesh(mesh, err)) return NULL;
    cad_title(&options, line, sizeof line);
    *length = START + FACET * mesh->triangle_count;
    uint8_t *bytes = es_alloc(*length, 1, err), *at = bytes + START;
    if (!bytes) return NULL;
    put_start(bytes, mesh, line);
    for (size_t t = 0; t < mesh->triangle_count; t++) at = put_facet(at, mesh, t);
    return bytes;
}

bool cad_stl_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    char title[HEADER + 1];
    cad_title(options, title, sizeof title);
    return options->ascii ? write_text(out, mesh, title, err) : write_binary(out, mesh, title, err);
}

/* ---- reading ------------------------------------------------------------------ */

static uint32_t get_u32(const uint8_t *from) {
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

static bool add_facet(cad_builder *builder, const float corners[9], es_error *err) {
    uint32_t corner[3];
    for (int k = 0; k < 3; k++)
        if (!cad_builder_weld(builder, corners + 3 * k, &corner[k], err)) return false;
    return cad_builder_triangle(builder, corner, err);
}

static bool parse_binary(const uint8_t *bytes, uint32_t count, cad_builder *builder,
                         es_error *err) {
    for (uint32_t t = 0; t < count; t++) {
        const uint8_t *facet = bytes + START + (size_t)FACET * t;
        float corners[9];
        for (int i = 0; i < 9; i++) {
            uint32_t bits = get_u32(facet + 12 + 4 * i);
            memcpy(&corners[i], &bits, sizeof bits);
            if (!isfinite(corners[i]))
                return es_fail(err, ES_FORMAT, "facet %u of %u: corner %d is not finite", t, count,
                               i / 3);
        }
        if (!add_facet(builder, corners, err)) return false;
    }
    return true;
}

static bool expect_word(cad_text *text, const char *word, es_error *err) {
    char token[TOKEN_SIZE];
    if (!cad_token(text, token))
        return es_fail(err, ES_FORMAT, "line %zu: ends where '%s' should stand", text->line, word);
    if (strcasecmp(token, word) != 0)
        return es_fail(err, ES_FORMAT, "line %zu: '%s' where '%s' should stand", text->line, token,
                       word);
    return true;
}

/* From after "facet" to "endfacet". The normal is not used: many files have
 * wrong ones, and the corners say it. */
static bool parse_facet(cad_text *text, cad_builder *builder, es_error *err) {
    float corners[9];
    char ignored[TOKEN_SIZE];
    if (!expect_word(text, "normal", err)) return false;
    for (int i = 0; i < 3; i++) cad_token(text, ignored);
    if (!expect_word(text, "outer", err) || !expect_word(text, "loop", err)) return false;
    for (int k = 0; k < 3; k++) {
        if (!expect_word(text, "vertex", err)) return false;
        for (int i = 0; i < 3; i++)
            if (!cad_token_float(text, &corners[3 * k + i], err)) return false;
    }
    return expect_word(text, "endloop", err) && expect_word(text, "endfacet", err) &&
           add_facet(builder, corners, err);
}

/* One or more solids, one after the other. */
static bool parse_text(cad_text *text, cad_builder *builder, es_error *err) {
    char token[TOKEN_SIZE], name[TOKEN_SIZE];
    bool open = false;
    while (cad_token(text, token)) {
        if (open && strcasecmp(token, "facet") == 0) {
            if (!parse_facet(text, builder, err)) return false;
        } else if (strcasecmp(token, open ? "endsolid" : "solid") == 0) {
            cad_line(text, name, sizeof name);
            open = !open;
        } else {
            return es_fail(err, ES_FORMAT, "line %zu: '%s' where '%s' should stand", text->line,
                           token, open ? "facet' or 'endsolid" : "solid");
        }
    }
    if (open) return es_fail(err, ES_FORMAT, "line %zu: ends without 'endsolid'", text->line);
    return true;
}

static bool starts_as_text(const char *bytes, size_t length, cad_text *text) {
    char token[TOKEN_SIZE];
    bool marked = length >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0; /* of UTF-8 */
    *text = (cad_text){.at = bytes + (marked ? 3 : 0), .end = bytes + length, .line = 1};
    cad_text ahead = *text;
    return cad_token(&ahead, token) && strcasecmp(token, "solid") == 0;
}

static bool parse_any(const char *bytes, size_t length, cad_builder *builder, es_error *err) {
    const uint8_t *raw = (const uint8_t *)bytes;
    uint32_t count = length >= START ? get_u32(raw + HEADER) : 0;
    uint64_t size = START + (uint64_t)FACET * count;
    cad_text text;
    if (length >= START && size == length) return parse_binary(raw, count, builder, err);
    if (starts_as_text(bytes, length, &text)) return parse_text(&text, builder, err);
    if (length < START)
        return es_fail(err, ES_FORMAT,
                       "%zu bytes, neither text that starts with 'solid' nor the %d bytes that a "
                       "binary STL has at least",
                       length, START);
    if (size > length)
        return es_fail(err, ES_FORMAT,
                       "cut off: %u facets take %llu bytes, but there are %zu; or it is no STL",
                       count, (unsigned long long)size, length);
    es_log(ES_WARNING, "%llu bytes after the last facet of the STL are ignored",
           (unsigned long long)(length - size));
    return parse_binary(raw, count, builder, err);
}

bool cad_stl_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err) {
    cad_builder builder = {0};
    *mesh = (es_mesh){0};
    bool ok = parse_any(bytes, length, &builder, err);
    if (ok && builder.mesh.triangle_count == 0)
        ok = es_fail(err, ES_FORMAT, "the STL has no facets with an area");
    if (ok && builder.dropped)
        es_log(ES_NOTE, "%zu facets of the STL had two corners in one place and were left out",
               builder.dropped);
    if (ok) {
        *mesh = builder.mesh;
        builder.mesh = (es_mesh){0};
    }
    cad_builder_clear(&builder);
    return ok;
}
