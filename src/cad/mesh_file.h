/* What the mesh formats share: one table entry each, text in tokens, and
 * meshes that grow. Inside the room. */
#ifndef ECHOSOLID_CAD_MESH_FILE_H
#define ECHOSOLID_CAD_MESH_FILE_H

#include "echosolid/cad.h"

/* Parsers take hostile bytes: every size in them is held against `length`
 * before memory is asked for. On failure *mesh is {0}. */
typedef struct mesh_format {
    const char *suffix; /* ".stl" */
    bool (*write)(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                  es_error *err);
    /* NULL for a format that is only written. */
    bool (*parse)(const char *bytes, size_t length, es_mesh *mesh, es_error *err);
} mesh_format;

/* ES_GEOMETRY without triangles, for indices past the vertices and numbers that are not finite. */
bool cad_check_mesh(const es_mesh *mesh, es_error *err);
bool cad_stl_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
bool cad_stl_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err);
bool cad_ply_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
bool cad_ply_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err);
bool cad_obj_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
bool cad_obj_parse(const char *bytes, size_t length, es_mesh *mesh, es_error *err);
bool cad_3mf_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);
bool cad_glb_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err);

/* "echosolid <version> mm <title>" on one line, cut to `size` with its NUL. */
void cad_title(const es_mesh_write_options *options, char *line, size_t size);

/* Little endian, wherever it runs; the place after it. */
uint8_t *cad_put_u32(uint8_t *to, uint32_t value);
uint8_t *cad_put_float(uint8_t *to, float value);

/* ---- text ------------------------------------------------------------------- */

enum { TOKEN_SIZE = 64 };

typedef struct cad_text {
    const char *at, *end;
    size_t line; /* of `at`, from 1 */
} cad_text;

/* The next word; false at the end. One of TOKEN_SIZE or more characters is cut,
 * which makes it equal to no keyword and no number. */
bool cad_token(cad_text *text, char token[TOKEN_SIZE]);
/* The rest of the line, without its end; false at the end of the text. A line
 * of `size` or more characters is cut. */
bool cad_line(cad_text *text, char *line, size_t size);
/* A token as a coordinate, a finite 32-bit float. ES_FORMAT naming the line. */
bool cad_token_float(cad_text *text, float *value, es_error *err);
/* The shortest decimals that read back to the same 32-bit float. */
char *cad_format_float(float value, char text[ES_NUMBER_SIZE]);

/* ---- a mesh that grows --------------------------------------------------------- */

typedef struct cad_builder {
    es_mesh mesh;
    size_t vertex_capacity, triangle_capacity;
    uint32_t *slots;   /* hash table: vertex + 1, 0 free */
    size_t slot_count; /* a power of two, or 0 */
    size_t dropped;    /* facets of which two corners were one point */
} cad_builder;

/* One more vertex, whatever the others are. */
bool cad_builder_vertex(cad_builder *builder, const float at[3], es_error *err);
/* The number of the vertex at these coordinates, the old one if there is one
 * (-0 equals 0). */
bool cad_builder_weld(cad_builder *builder, const float at[3], uint32_t *vertex, es_error *err);
bool cad_builder_triangle(cad_builder *builder, const uint32_t corner[3], es_error *err);
void cad_builder_clear(cad_builder *builder);

#endif
