/* glTF 2.0 in one binary file (.glb): for browsers and 3-D viewers.
 *
 * glTF counts in metres with y up; the coordinates stay millimetres as they are
 * and the node's matrix turns and scales them. Confidence goes as _CONFIDENCE.
 * Chunks: JSON padded with blanks, then positions, normals, confidence and
 * indices as 32-bit numbers. */
#include <string.h>

#include "mesh_file.h"

enum { HEAD = 12, CHUNK_HEAD = 8, NUMBERS_AT_ONCE = 4096 };
static const uint32_t GLTF = 0x46546C67, JSON = 0x4E4F534A, BINARY = 0x004E4942;

/* Accessor 3, and the attribute that names it. */
static void add_confidence(es_text *json, const es_mesh *mesh) {
    if (!mesh->confidence) return;
    es_text_add(json,
                ",{\"bufferView\":3,\"componentType\":5126,\"count\":%zu,\"type\":\"SCALAR\"}",
                mesh->vertex_count);
}

static void add_views(es_text *json, const es_mesh *mesh) {
    size_t points = 12 * mesh->vertex_count, corners = 12 * mesh->triangle_count;
    es_text_add(json,
                "\"bufferViews\":[{\"buffer\":0,\"byteOffset\":0,\"byteLength\":%zu,"
                "\"target\":34962},{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu,"
                "\"target\":34962},{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu,"
                "\"target\":34963}",
                points, points, points, 2 * points, corners);
    if (mesh->confidence)
        es_text_add(json, ",{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu,\"target\":34962}",
                    2 * points + corners, points / 3);
    es_text_add(json, "],\"buffers\":[{\"byteLength\":%zu}]}",
                2 * points + corners + (mesh->confidence ? points / 3 : 0));
}

static void add_accessors(es_text *json, const es_mesh *mesh) {
    float low[3], high[3];
    char text[6][ES_NUMBER_SIZE];
    for (size_t a = 0; a < 3; a++) low[a] = high[a] = mesh->vertices[a];
    for (size_t i = 3; i < 3 * mesh->vertex_count; i++) {
        float value = mesh->vertices[i];
        if (value < low[i % 3]) low[i % 3] = value;
        if (value > high[i % 3]) high[i % 3] = value;
    }
    for (int a = 0; a < 3; a++) {
        cad_format_float(low[a], text[a]);
        cad_format_float(high[a], text[3 + a]);
    }
    es_text_add(json,
                "\"accessors\":[{\"bufferView\":0,\"componentType\":5126,\"count\":%zu,"
                "\"type\":\"VEC3\",\"min\":[%s,%s,%s],\"max\":[%s,%s,%s]},"
                "{\"bufferView\":1,\"componentType\":5126,\"count\":%zu,\"type\":\"VEC3\"},"
                "{\"bufferView\":2,\"componentType\":5125,\"count\":%zu,\"type\":\"SCALAR\"}",
                mesh->vertex_count, text[0], text[1], text[2], text[3], text[4], text[5],
                mesh->vertex_count, 3 * mesh->triangle_count);
    add_confidence(json, mesh);
    es_text_add(json, "],");
}

/* A title has no control characters; quotes and backslashes are left out. */
static void add_head(es_text *json, const es_mesh *mesh, const es_mesh_write_options *options) {
    char title[160];
    cad_title(options, title, sizeof title);
    for (char *c = title; *c; c++)
        if (*c == '"' || *c == '\\') *c = ' ';
    es_text_add(json,
                "{\"asset\":{\"version\":\"2.0\",\"generator\":\"%s\"},\"scene\":0,"
                "\"scenes\":[{\"nodes\":[0]}],\"nodes\":[{\"name\":\"bone\",\"mesh\":0,"
                "\"matrix\":[0.001,0,0,0,0,0,-0.001,0,0,0.001,0,0,0,0,0,1]}],"
                "\"materials\":[{\"pbrMetallicRoughness\":{\"baseColorFactor\":"
                "[0.89,0.85,0.76,1],\"metallicFactor\":0,\"roughnessFactor\":0.8},"
                "\"doubleSided\":true}],\"meshes\":[{\"name\":\"bone\",\"primitives\":"
                "[{\"attributes\":{\"POSITION\":0,\"NORMAL\":1%s},\"indices\":2,"
                "\"material\":0}]}],",
                title, mesh->confidence ? ",\"_CONFIDENCE\":3" : "");
}

static bool write_floats(es_output *out, const float *values, size_t count, es_error *err) {
    uint8_t buffer[4 * NUMBERS_AT_ONCE];
    for (size_t i = 0; i < count;) {
        uint8_t *at = buffer;
        for (int n = 0; n < NUMBERS_AT_ONCE && i < count; n++) at = cad_put_float(at, values[i++]);
        if (!es_output_write(out, buffer, (size_t)(at - buffer), err)) return false;
    }
    return true;
}

static bool write_indices(es_output *out, const es_mesh *mesh, es_error *err) {
    uint8_t buffer[4 * NUMBERS_AT_ONCE];
    for (size_t i = 0; i < 3 * mesh->triangle_count;) {
        uint8_t *at = buffer;
        for (int n = 0; n < NUMBERS_AT_ONCE && i < 3 * mesh->triangle_count; n++)
            at = cad_put_u32(at, mesh->triangles[i++]);
        if (!es_output_write(out, buffer, (size_t)(at - buffer), err)) return false;
    }
    return true;
}

static bool write_heads(es_output *out, const es_text *json, uint64_t binary, es_error *err) {
    uint8_t head[HEAD + CHUNK_HEAD], *at = head;
    uint64_t total = HEAD + 2 * CHUNK_HEAD + json->length + binary;
    if (total > UINT32_MAX)
        return es_fail(err, ES_UNSUPPORTED, "a .glb file holds 4 GiB at most; write PLY instead");
    at = cad_put_u32(at, GLTF);
    at = cad_put_u32(at, 2);
    at = cad_put_u32(at, (uint32_t)total);
    at = cad_put_u32(at, (uint32_t)json->length);
    at = cad_put_u32(at, JSON);
    if (!es_output_write(out, head, sizeof head, err) ||
        !es_output_write(out, json->bytes, json->length, err))
        return false;
    at = cad_put_u32(head, (uint32_t)binary);
    at = cad_put_u32(at, BINARY);
    return es_output_write(out, head, CHUNK_HEAD, err);
}

static bool write_chunks(es_output *out, const es_mesh *mesh, const es_text *json,
                         const float *normals, es_error *err) {
    size_t points = 3 * mesh->vertex_count;
    uint64_t numbers = 2 * (uint64_t)points + 3 * (uint64_t)mesh->triangle_count +
                       (mesh->confidence ? mesh->vertex_count : 0);
    return write_heads(out, json, 4 * numbers, err) &&
           write_floats(out, mesh->vertices, points, err) &&
           write_floats(out, normals, points, err) && write_indices(out, mesh, err) &&
           (!mesh->confidence || write_floats(out, mesh->confidence, mesh->vertex_count, err));
}

bool cad_glb_write(es_output *out, const es_mesh *mesh, const es_mesh_write_options *options,
                   es_error *err) {
    es_text json = {0};
    add_head(&json, mesh, options);
    add_accessors(&json, mesh);
    add_views(&json, mesh);
    while (json.length % 4 && !json.failed) es_text_add(&json, " ");
    float *normals = es_alloc(mesh->vertex_count, 3 * sizeof *normals, err);
    bool ok = normals && (!json.failed || es_fail(err, ES_MEMORY, "out of memory"));
    if (ok) es_mesh_normals(mesh, normals);
    ok = ok && write_chunks(out, mesh, &json, normals, err);
    es_free(normals);
    es_text_free(&json);
    return ok;
}
