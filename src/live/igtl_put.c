/* OpenIGTLink messages made. */
#include <math.h>
#include <stdlib.h>

#include "igtl_wire.h"

enum { EXTENDED = 12 };

void es_igtl_out_clear(es_igtl_out *out) {
    es_free(out->bytes);
    *out = (es_igtl_out){0};
}

/* Room for `size` more bytes, or NULL. */
static uint8_t *more(es_igtl_out *out, size_t size) {
    if (out->failed) return NULL;
    if (size > SIZE_MAX / 4 - out->length) {
        out->failed = true;
        return NULL;
    }
    if (out->length + size > out->capacity) {
        size_t capacity = out->capacity ? out->capacity : 1024;
        while (capacity < out->length + size) capacity *= 2;
        if (!es_resize(&out->bytes, capacity, 1, NULL)) {
            out->failed = true;
            return NULL;
        }
        out->capacity = capacity;
    }
    uint8_t *at = out->bytes + out->length;
    out->length += size;
    return at;
}

static uint8_t *set_u16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}
static uint8_t *set_u32(uint8_t *to, uint32_t value) {
    return set_u16(set_u16(to, value >> 16), value & 0xffff);
}
static uint8_t *set_u64(uint8_t *to, uint64_t value) {
    return set_u32(set_u32(to, (uint32_t)(value >> 32)), (uint32_t)value);
}

static void put_u8(es_igtl_out *out, uint8_t value) {
    uint8_t *at = more(out, 1);
    if (at) *at = value;
}
static void put_u16(es_igtl_out *out, uint32_t value) {
    uint8_t *at = more(out, 2);
    if (at) set_u16(at, value);
}
static void put_u32(es_igtl_out *out, uint32_t value) {
    uint8_t *at = more(out, 4);
    if (at) set_u32(at, value);
}
static void put_u64(es_igtl_out *out, uint64_t value) {
    uint8_t *at = more(out, 8);
    if (at) set_u64(at, value);
}
static void put_f32(es_igtl_out *out, double value) {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    put_u32(out, bits);
}
static void put_bytes(es_igtl_out *out, const void *bytes, size_t length) {
    uint8_t *at = more(out, length);
    if (at && length) memcpy(at, bytes, length);
}
/* A name in a field of `size` bytes, NUL padded, cut to it. */
static void put_name(es_igtl_out *out, const char *name, size_t size) {
    uint8_t *at = more(out, size);
    if (!at) return;
    size_t length = name ? strnlen(name, size) : 0;
    memset(at, 0, size);
    if (length) memcpy(at, name, length);
}
static void put_matrix(es_igtl_out *out, es_mat4 a) {
    for (int i = 0; i < 12; i++) put_f32(out, a.m[4 * (i % 3) + i / 3]);
}

/* ---- the frame about a content ---------------------------------------------------------- */

static void begin(es_igtl_out *out, const es_igtl_head *head, const char *type) {
    out->start = out->length;
    put_u16(out, (uint32_t)head->version);
    put_name(out, type, ES_IGTL_TYPE);
    put_name(out, head->device, ES_IGTL_DEVICE);
    put_u64(out, head->time);
    put_u64(out, 0);
    put_u64(out, 0);
    if (head->version == 1) return;
    put_u16(out, EXTENDED);
    put_u16(out, 0);
    put_u32(out, 0);
    put_u32(out, head->id);
}

/* Sizes and the sum, once the body is whole. */
static void close_message(es_igtl_out *out) {
    if (out->failed) return;
    uint8_t *start = out->bytes + out->start, *body = start + ES_IGTL_HEADER;
    size_t size = out->length - out->start - ES_IGTL_HEADER;
    set_u64(start + 42, size);
    set_u64(start + 50, es_igtl_crc(0, body, size));
}

static void set_meta_sizes(es_igtl_out *out, size_t index, size_t data) {
    if (out->failed) return;
    uint8_t *body = out->bytes + out->start + ES_IGTL_HEADER;
    set_u16(body + 2, (uint32_t)index);
    set_u32(body + 4, (uint32_t)data);
}

static bool is_ascii(const char *text) {
    for (; *text; text++)
        if ((unsigned char)*text > 127) return false;
    return true;
}

static void put_meta(es_igtl_out *out, const char *const *meta) {
    size_t count = 0, data = 0;
    while (meta && meta[2 * count]) count++;
    put_u16(out, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_u16(out, (uint32_t)strlen(meta[2 * i]));
        put_u16(out, is_ascii(meta[2 * i + 1]) ? 3 : 106);
        put_u32(out, (uint32_t)strlen(meta[2 * i + 1]));
    }
    for (size_t i = 0; i < 2 * count; i++) {
        put_bytes(out, meta[i], strlen(meta[i]));
        data += strlen(meta[i]);
    }
    set_meta_sizes(out, 2 + 8 * count, data);
}

static void end(es_igtl_out *out, const es_igtl_head *head) {
    if (head->version != 1) put_meta(out, head->meta);
    close_message(out);
}

void es_igtl_put_raw(es_igtl_out *out, const es_igtl_head *head, const char *type,
                     const void *content, size_t length) {
    begin(out, head, type);
    put_bytes(out, content, length);
    end(out, head);
}

void es_igtl_put_message(es_igtl_out *out, const es_igtl_message *m) {
    es_igtl_head head = {.version = m->version, .device = m->device, .time = m->time, .id = m->id};
    begin(out, &head, m->type);
    put_bytes(out, m->content, m->content_size);
    if (m->version != 1) {
        put_u16(out, (uint32_t)m->meta_count);
        put_bytes(out, m->meta_index, 8 * (size_t)m->meta_count);
        put_bytes(out, m->meta_data, m->meta_size);
        set_meta_sizes(out, 2 + 8 * (size_t)m->meta_count, m->meta_size);
    }
    close_message(out);
}

/* ---- contents ------------------------------------------------------------------------------ */

void es_igtl_put_transform(es_igtl_out *out, const es_igtl_head *head, es_mat4 matrix) {
    begin(out, head, "TRANSFORM");
    put_matrix(out, matrix);
    end(out, head);
}

void es_igtl_put_position(es_igtl_out *out, const es_igtl_head *head, const es_igtl_position *p) {
    const double numbers[7] = {p->place.x, p->place.y, p->place.z, p->turn.x,
                               p->turn.y,  p->turn.z,  p->turn.w};
    int count = p->numbers == 3 || p->numbers == 6 ? p->numbers : 7;
    begin(out, head, "POSITION");
    for (int i = 0; i < count; i++) put_f32(out, numbers[i]);
    end(out, head);
}

void es_igtl_put_tools(es_igtl_out *out, const es_igtl_head *head, const es_igtl_tool *tools,
                       size_t count, bool quaternions) {
    begin(out, head, quaternions ? "QTDATA" : "TDATA");
    for (size_t i = 0; i < count; i++) {
        const es_igtl_tool *t = &tools[i];
        put_name(out, t->name, ES_IGTL_DEVICE);
        put_u8(out, t->type);
        put_u8(out, 0);
        if (!quaternions) {
            put_matrix(out, t->matrix);
            continue;
        }
        es_vec3 p = es_mat4_column(t->matrix, 3);
        const double numbers[7] = {p.x, p.y, p.z, t->turn.x, t->turn.y, t->turn.z, t->turn.w};
        for (int k = 0; k < 7; k++) put_f32(out, numbers[k]);
    }
    end(out, head);
}

void es_igtl_put_image(es_igtl_out *out, const es_igtl_head *head, const es_igtl_image *image) {
    static const uint8_t codes[] = {3, 2, 5, 4, 7, 6, 10, 11};
    begin(out, head, "IMAGE");
    put_u16(out, 1);
    put_u8(out, (uint8_t)image->channels);
    put_u8(out, codes[image->type]);
    put_u8(out, image->little ? 2 : 1);
    put_u8(out, (uint8_t)image->frame);
    for (int a = 0; a < 3; a++) put_u16(out, image->size[a]);
    put_matrix(out, image->matrix);
    for (int a = 0; a < 3; a++) put_u16(out, image->part_first[a]);
    for (int a = 0; a < 3; a++) put_u16(out, image->part_size[a]);
    put_bytes(out, image->pixels, image->bytes);
    end(out, head);
}

void es_igtl_put_string(es_igtl_out *out, const es_igtl_head *head, const char *text,
                        size_t length) {
    size_t kept = length < 65535 ? length : 65535;
    while (kept < length && kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80) kept--;
    begin(out, head, "STRING");
    put_u16(out, 3);
    put_u16(out, (uint32_t)kept);
    put_bytes(out, text, kept);
    end(out, head);
}

void es_igtl_put_status(es_igtl_out *out, const es_igtl_head *head, uint16_t code, int64_t subcode,
                        const char *name, const char *text) {
    begin(out, head, "STATUS");
    put_u16(out, code);
    put_u64(out, (uint64_t)subcode);
    put_name(out, name, ES_IGTL_DEVICE);
    put_bytes(out, text, strlen(text) + 1);
    end(out, head);
}

void es_igtl_put_command(es_igtl_out *out, const es_igtl_head *head, bool reply, uint32_t id,
                         const char *name, const char *text, size_t length) {
    begin(out, head, reply ? "RTS_COMMAND" : "COMMAND");
    put_u32(out, id);
    put_name(out, name, 128);
    put_u16(out, 3);
    put_u32(out, (uint32_t)length);
    put_bytes(out, text, length);
    end(out, head);
}

void es_igtl_put_capability(es_igtl_out *out, const es_igtl_head *head, const char *const *types,
                            size_t count) {
    begin(out, head, "CAPABILITY");
    for (size_t i = 0; i < count; i++) put_name(out, types[i], ES_IGTL_TYPE);
    end(out, head);
}

void es_igtl_put_sensor(es_igtl_out *out, const es_igtl_head *head, const es_igtl_sensor *s) {
    begin(out, head, "SENSOR");
    put_u8(out, s->count);
    put_u8(out, s->status);
    put_u64(out, s->unit);
    for (int i = 0; i < s->count; i++) {
        uint64_t bits;
        memcpy(&bits, &s->values[i], sizeof bits);
        put_u64(out, bits);
    }
    end(out, head);
}

void es_igtl_put_array(es_igtl_out *out, const es_igtl_head *head, const es_igtl_array *a) {
    begin(out, head, "NDARRAY");
    put_u8(out, a->scalar);
    put_u8(out, a->axes);
    for (int i = 0; i < a->axes; i++) put_u16(out, a->size[i]);
    put_bytes(out, a->data, a->bytes);
    end(out, head);
}

void es_igtl_put_points(es_igtl_out *out, const es_igtl_head *head, const es_igtl_point *points,
                        size_t count) {
    begin(out, head, "POINT");
    for (size_t i = 0; i < count; i++) {
        const es_igtl_point *p = &points[i];
        put_name(out, p->name, 64);
        put_name(out, p->group, 32);
        put_bytes(out, p->rgba, 4);
        put_f32(out, p->place.x);
        put_f32(out, p->place.y);
        put_f32(out, p->place.z);
        put_f32(out, p->radius);
        put_name(out, p->owner, ES_IGTL_DEVICE);
    }
    end(out, head);
}

void es_igtl_put_mesh(es_igtl_out *out, const es_igtl_head *head, const es_mesh *mesh) {
    static const char NAME[12] = "confidence";
    begin(out, head, "POLYDATA");
    put_u32(out, (uint32_t)mesh->vertex_count);
    for (int i = 0; i < 4; i++) put_u32(out, 0);
    put_u32(out, (uint32_t)mesh->triangle_count);
    put_u32(out, (uint32_t)(16 * mesh->triangle_count));
    put_u32(out, 0);
    put_u32(out, 0);
    put_u32(out, mesh->confidence ? 1 : 0);
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++) put_f32(out, mesh->vertices[i]);
    for (size_t t = 0; t < mesh->triangle_count; t++) {
        put_u32(out, 3);
        for (size_t k = 0; k < 3; k++) put_u32(out, mesh->triangles[3 * t + k]);
    }
    if (mesh->confidence) {
        put_u8(out, 0); /* scalars of points, one component */
        put_u8(out, 1);
        put_u32(out, (uint32_t)mesh->vertex_count);
        put_bytes(out, NAME, sizeof NAME); /* ends in NULs, of even length */
        for (size_t v = 0; v < mesh->vertex_count; v++) put_f32(out, mesh->confidence[v]);
    }
    end(out, head);
}

void es_igtl_put_stream(es_igtl_out *out, const es_igtl_head *head, const char *type,
                        const es_igtl_stream *stream) {
    begin(out, head, type);
    put_u32(out, (uint32_t)stream->resolution_ms);
    put_name(out, stream->frame, 32);
    end(out, head);
}
