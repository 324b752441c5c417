/* Wavefront OBJ: lines of text, "v x y z" and "f a b c" with indices from 1.
 *
 * Written with normals per vertex. Read: v and f, whose corners may be "7",
 * "7/1", "7//3" or "7/1/3" and count from the end when negative; a polygon
 * becomes a fan. There is no unit: millimetres, and the first line says it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mesh_file.h"

static bool write_vector(es_output *out, const char *word, const float at[3], es_error *err) {
    char x[ES_NUMBER_SIZE], y[ES_NUMBER_SIZE], z[ES_NUMBER_SIZE];
    return es_output_print(out, err, "%s %s %s %s\n", word, cad_format_float(at[0], x),
                           cad_format_float(at[1], y), cad_format_float(at[2], z));
}

bool cad_obj_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    char title[160];
    cad_title(options, title, sizeof title);
    float *normals = es_alloc(mesh->vertex_count, 3 * sizeof *normals, err);
    if (!normals) return false;
    es_mesh_normals(mesh, normals);
    bool ok = es_output_print(out, err, "# %s\no bone\n", title);
    for (size_t v = 0; ok && v < mesh->vertex_count; v++)
        ok = write_vector(out, "v", mesh->vertices + 3 * v, err);
    for (size_t v = 0; ok && v < mesh->vertex_count; v++)
        ok = write_vector(out, "vn", normals + 3 * v, err);
    for (size_t t = 0; ok && t < mesh->triangle_count; t++) {
        const uint32_t *k = mesh->triangles + 3 * t;
        uint32_t a = k[0] + 1, b = k[1] + 1, c = k[2] + 1;
        ok = es_output_print(out, err, "f %u//%u %u//%u %u//%u\n", a, a, b, b, c, c);
    }
    es_free(normals);
    return ok;
}

/* ---- reading -------------------------------------------------------------------- */

typedef struct obj_line {
    cad_text words; /* of this line alone */
    size_t number;
} obj_line;

static bool next_line(cad_text *text, obj_line *line) {
    if (text->at >= text->end) return false;
    const char *end = memchr(text->at, '\n', (size_t)(text->end - text->at));
    line->number = text->line++;
    line->words = (cad_text){.at = text->at, .end = end ? end : text->end, .line = line->number};
    text->at = end ? end + 1 : text->end;
    return true;
}

static bool read_vertex(obj_line *line, cad_builder *builder, es_error *err) {
    float at[3];
    for (int a = 0; a < 3; a++)
        if (!cad_token_float(&line->words, &at[a], err)) return false;
    return cad_builder_vertex(builder, at, err);
}

/* "7", "-1", "7/1", "7//3": which of the vertices so far. */
static bool read_corner(const obj_line *line, const char *word, size_t vertices, uint32_t *corner,
                        es_error *err) {
    char number[TOKEN_SIZE];
    int64_t index;
    snprintf(number, sizeof number, "%.*s", (int)strcspn(word, "/"), word);
    if (!es_parse_int(number, &index))
        return es_fail(err, ES_FORMAT, "line %zu: '%s' is not the number of a vertex", line->number,
                       word);
    int64_t place = index < 0 ? (int64_t)vertices + index : index - 1;
    if (place < 0 || place >= (int64_t)vertices)
        return es_fail(err, ES_FORMAT, "line %zu: vertex %s, but there are %zu so far",
                       line->number, number, vertices);
    *corner = (uint32_t)place;
    return true;
}

static bool read_face(obj_line *line, cad_builder *builder, es_error *err) {
    char word[TOKEN_SIZE];
    uint32_t corner[3];
    size_t count = 0;
    for (; cad_token(&line->words, word); count++) {
        if (!read_corner(line, word, builder->mesh.vertex_count, &corner[count < 2 ? count : 2],
                         err))
            return false;
        if (count < 2) continue;
        if (!cad_builder_triangle(builder, corner, err)) return false;
        corner[1] = corner[2];
    }
    builder->dropped += count < 3;
    return true;
}

static bool read_lines(cad_text *text, cad_builder *builder, es_error *err) {
    obj_line line;
    char word[TOKEN_SIZE];
    while (next_line(text, &line)) {
        if (!cad_token(&line.words, word)) continue;
        if (strcmp(word, "v") == 0 && !read_vertex(&line, builder, err)) return false;
        if (strcmp(word, "f") == 0 && !read_face(&line, builder, err)) return false;
    }
    return builder->mesh.triangle_count > 0 ||
           es_fail(err, ES_FORMAT, "no face ('f 1 2 3') with three different corners");
}

bool cad_obj_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err) {
    cad_builder builder = {0};
    cad_text text = {.at = bytes, .end = bytes + length, .line = 1};
    *mesh = (es_mesh){0};
    bool ok = read_lines(&text, &builder, err);
    if (ok && builder.dropped)
        es_log(ES_NOTE, "%zu faces of the OBJ had fewer than three corners and were left out",
               builder.dropped);
    if (ok) {
        *mesh = builder.mesh;
        builder.mesh = (es_mesh){0};
    }
    cad_builder_clear(&builder);
    return ok;
}
