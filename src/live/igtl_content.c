/* OpenIGTLink's bodies: sizes held against what is there, then read. */
#include <math.h>

#include "igtl_wire.h"

enum {
    TRANSFORM = 48,
    QTDATA = 50,
    TDATA = 70,
    IMAGE = 72,
    VIDEO = 76,
    STATUS = 30,
    COMMAND = 138,
    POINT = 136,
    POLYDATA = 40,
    STREAM = 36,
    SENSOR = 10
};

size_t wire_scalar_size(uint8_t code) {
    static const uint8_t sizes[14] = {0, 0, 1, 1, 2, 2, 4, 4, 0, 0, 4, 8, 0, 16};
    return code < sizeof sizes ? sizes[code] : 0;
}

static bool to_type(uint8_t code, es_type *type) {
    static const uint8_t codes[] = {3, 2, 5, 4, 7, 6, 10, 11};
    for (int t = 0; t < 8; t++)
        if (codes[t] == code) {
            *type = (es_type)t;
            return true;
        }
    return false;
}

es_mat4 wire_matrix(const uint8_t *from) {
    es_mat4 a = {{0}};
    for (int i = 0; i < 12; i++) a.m[4 * (i % 3) + i / 3] = wire_f32(from + 4 * i);
    a.m[15] = 1;
    return a;
}

static bool is(const es_igtl_message *m, const char *type) { return strcmp(m->type, type) == 0; }

static bool wrong_size(const es_igtl_message *m, const char *expected, es_error *err) {
    return es_fail(err, ES_FORMAT, "%s of %zu bytes; expected %s", m->type, m->content_size,
                   expected);
}

/* ---- fixed sizes and lists --------------------------------------------------------- */

static bool check_transform(const es_igtl_message *m, es_error *err) {
    return m->content_size == TRANSFORM || wrong_size(m, "48", err);
}

static bool check_position(const es_igtl_message *m, es_error *err) {
    size_t n = m->content_size;
    return n == 12 || n == 24 || n == 28 || wrong_size(m, "12, 24 or 28", err);
}

static bool check_stream(const es_igtl_message *m, es_error *err) {
    return m->content_size == STREAM || wrong_size(m, "36", err);
}

static bool check_reply(const es_igtl_message *m, es_error *err) {
    return m->content_size == 1 || wrong_size(m, "1", err);
}

static bool check_list(const es_igtl_message *m, size_t entry, es_error *err) {
    return m->content_size % entry == 0 ||
           es_fail(err, ES_FORMAT, "%s of %zu bytes; expected a multiple of %zu", m->type,
                   m->content_size, entry);
}

static bool check_tdata(const es_igtl_message *m, es_error *err) {
    return check_list(m, TDATA, err);
}
static bool check_qtdata(const es_igtl_message *m, es_error *err) {
    return check_list(m, QTDATA, err);
}
static bool check_capability(const es_igtl_message *m, es_error *err) {
    return check_list(m, ES_IGTL_TYPE, err);
}
static bool check_point(const es_igtl_message *m, es_error *err) {
    return check_list(m, POINT, err);
}
static bool check_imgmeta(const es_igtl_message *m, es_error *err) {
    return check_list(m, 260, err);
}
static bool check_lbmeta(const es_igtl_message *m, es_error *err) {
    return check_list(m, 116, err);
}
static bool check_traj(const es_igtl_message *m, es_error *err) { return check_list(m, 150, err); }
static bool check_videometa(const es_igtl_message *m, es_error *err) {
    return check_list(m, 322, err);
}

/* ---- texts ---------------------------------------------------------------------------- */

static bool check_string(const es_igtl_message *m, es_error *err) {
    if (m->content_size < 4) return wrong_size(m, "4 and more", err);
    size_t length = wire_u16(m->content + 2);
    return 4 + length == m->content_size ||
           es_fail(err, ES_FORMAT, "%s says %zu characters and has %zu", m->type, length,
                   m->content_size - 4);
}

static bool check_status(const es_igtl_message *m, es_error *err) {
    return m->content_size >= STATUS || wrong_size(m, "30 and more", err);
}

static bool check_command(const es_igtl_message *m, es_error *err) {
    if (m->content_size < COMMAND) return wrong_size(m, "138 and more", err);
    uint64_t length = wire_u32(m->content + 134);
    return COMMAND + length == m->content_size ||
           es_fail(err, ES_FORMAT, "%s says %llu characters and has %zu", m->type,
                   (unsigned long long)length, m->content_size - COMMAND);
}

/* ---- pictures and arrays ----------------------------------------------------------------- */

static bool check_part(const uint8_t *c, es_error *err) {
    for (int a = 0; a < 3; a++) {
        int size = wire_u16(c + 6 + 2 * a), first = wire_u16(c + 60 + 2 * a);
        int part = wire_u16(c + 66 + 2 * a);
        if (size == 0 || part == 0 || first + part > size)
            return es_fail(err, ES_FORMAT, "IMAGE: voxels %d to %d of the axis %c, which has %d",
                           first, first + part - 1, "ijk"[a], size);
    }
    return true;
}

static bool check_image(const es_igtl_message *m, es_error *err) {
    const uint8_t *c = m->content;
    es_type type;
    if (m->content_size < IMAGE) return wrong_size(m, "72 and more", err);
    if (wire_u16(c) != 1)
        return es_fail(err, ES_FORMAT, "IMAGE of version %d; expected 1", wire_u16(c));
    if (c[2] == 0 || !to_type(c[3], &type))
        return es_fail(err, ES_FORMAT, "IMAGE of %d components of the scalar type %d", c[2], c[3]);
    if (c[4] != 1 && c[4] != 2)
        return es_fail(err, ES_FORMAT, "IMAGE: byte order %d; expected 1 (big) or 2 (little)",
                       c[4]);
    if (!check_part(c, err)) return false;
    uint64_t bytes = (uint64_t)c[2] * es_type_size(type);
    for (int a = 0; a < 3; a++) {
        bytes *= wire_u16(c + 66 + 2 * a); /* 8 x 255 x 2^48 does not overflow */
    }
    return bytes == m->content_size - IMAGE ||
           es_fail(err, ES_FORMAT, "IMAGE: its size takes %llu bytes of pixels, there are %zu",
                   (unsigned long long)bytes, m->content_size - IMAGE);
}

static bool check_video(const es_igtl_message *m, es_error *err) {
    return m->content_size >= VIDEO || wrong_size(m, "76 and more", err);
}

static bool check_sensor(const es_igtl_message *m, es_error *err) {
    if (m->content_size < SENSOR) return wrong_size(m, "10 and more", err);
    size_t count = m->content[0];
    return SENSOR + 8 * count == m->content_size ||
           es_fail(err, ES_FORMAT, "SENSOR says %zu values and has %zu bytes for them", count,
                   m->content_size - SENSOR);
}

static bool check_array(const es_igtl_message *m, es_error *err) {
    const uint8_t *c = m->content;
    if (m->content_size < 2) return wrong_size(m, "2 and more", err);
    size_t head = 2 + 2 * (size_t)c[1];
    uint64_t bytes = wire_scalar_size(c[0]);
    if (bytes == 0) return es_fail(err, ES_FORMAT, "NDARRAY of the scalar type %d", c[0]);
    if (c[1] == 0 || head > m->content_size)
        return es_fail(err, ES_FORMAT, "NDARRAY of %d axes in %zu bytes", c[1], m->content_size);
    for (int a = 0; a < c[1] && bytes <= m->content_size; a++) bytes *= wire_u16(c + 2 + 2 * a);
    return bytes == m->content_size - head ||
           es_fail(err, ES_FORMAT, "NDARRAY: its size takes %llu bytes, there are %zu",
                   (unsigned long long)bytes, m->content_size - head);
}

/* ---- colours and bundles -------------------------------------------------------------------- */

static bool check_colours(const es_igtl_message *m, es_error *err) {
    if (m->content_size < 2) return wrong_size(m, "2 and more", err);
    uint8_t index = m->content[0], map = m->content[1];
    size_t entries = index == 3 ? 256 : index == 5 ? 65536 : 0;
    size_t each = map == 3 ? 1 : map == 5 ? 2 : map == 19 ? 3 : 0;
    if (entries == 0 || each == 0)
        return es_fail(err, ES_FORMAT, "%s: index type %d, map type %d", m->type, index, map);
    return 2 + entries * each == m->content_size ||
           es_fail(err, ES_FORMAT, "%s: a table of %zu entries takes %zu bytes, there are %zu",
                   m->type, entries, entries * each, m->content_size - 2);
}

/* u16 count, {type, u64 size} each, u16 bytes of names, names, bodies. */
static bool check_bind(const es_igtl_message *m, es_error *err) {
    if (m->content_size < 4) return wrong_size(m, "4 and more", err);
    size_t count = wire_u16(m->content), head = 2 + 20 * count + 2;
    if (head > m->content_size)
        return es_fail(err, ES_FORMAT, "BIND of %zu messages in %zu bytes", count, m->content_size);
    size_t names = wire_u16(m->content + head - 2), rest = m->content_size - head;
    if (names % 2 || names > rest)
        return es_fail(err, ES_FORMAT, "BIND: names of %zu bytes in %zu", names, rest);
    uint64_t bodies = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t size = wire_u64(m->content + 2 + 20 * i + 12);
        if (size > rest) bodies = UINT64_MAX / 2;
        bodies += size > rest ? 0 : size + size % 2;
    }
    /* The last body's padding may be left out. */
    return bodies == rest - names || bodies == rest - names + 1 ||
           es_fail(err, ES_FORMAT, "BIND: bodies of %llu bytes in %zu", (unsigned long long)bodies,
                   rest - names);
}

/* ---- polygons ----------------------------------------------------------------------------------
 */

typedef struct cell_block {
    const uint8_t *at;
    uint64_t cells, bytes;
} cell_block;

/* points, then vertices, lines, polygons, strips, then attributes */
typedef struct poly_layout {
    uint64_t points, attributes;
    const uint8_t *places;
    cell_block blocks[4];
    const uint8_t *rest;
    size_t rest_bytes;
} poly_layout;

static bool lay_out(const es_igtl_message *m, poly_layout *p, es_error *err) {
    static const char *const names[] = {"vertices", "lines", "polygons", "strips"};
    if (m->content_size < POLYDATA) return wrong_size(m, "40 and more", err);
    const uint8_t *c = m->content;
    p->points = wire_u32(c);
    p->attributes = wire_u32(c + 36);
    p->places = c + POLYDATA;
    uint64_t at = POLYDATA + 12 * p->points;
    for (int i = 0; i < 4; i++) {
        p->blocks[i].cells = wire_u32(c + 4 + 8 * i);
        p->blocks[i].bytes = wire_u32(c + 8 + 8 * i);
        if (p->blocks[i].bytes % 4)
            return es_fail(err, ES_FORMAT, "POLYDATA: %s of %llu bytes, no multiple of 4", names[i],
                           (unsigned long long)p->blocks[i].bytes);
        if (at > m->content_size) break;
        p->blocks[i].at = c + at;
        at += p->blocks[i].bytes;
    }
    if (at > m->content_size)
        return es_fail(err, ES_FORMAT, "POLYDATA: points and cells take %llu bytes, there are %zu",
                       (unsigned long long)at, m->content_size);
    p->rest = c + at;
    p->rest_bytes = m->content_size - (size_t)at;
    return true;
}

/* A block is {count, index...}, cell after cell, of points that exist. */
static bool check_cells(const cell_block *b, uint64_t points, es_error *err) {
    uint64_t words = b->bytes / 4, at = 0;
    for (uint64_t i = 0; i < b->cells; i++) {
        uint64_t count = at < words ? wire_u32(b->at + 4 * at) : UINT64_MAX;
        if (count > words - at - (at < words))
            return es_fail(err, ES_FORMAT, "POLYDATA: cell %llu is past the end of its block",
                           (unsigned long long)i);
        for (uint64_t k = 1; k <= count; k++)
            if (wire_u32(b->at + 4 * (at + k)) >= points)
                return es_fail(err, ES_FORMAT, "POLYDATA: point %u, but there are %llu",
                               wire_u32(b->at + 4 * (at + k)), (unsigned long long)points);
        at += 1 + count;
    }
    return at == words || es_fail(err, ES_FORMAT, "POLYDATA: %llu bytes of cells are left over",
                                  (unsigned long long)(4 * (words - at)));
}

/* {type, components, u32 count} each, names, data: all float32. */
static bool check_attributes(const poly_layout *p, es_error *err) {
    uint64_t heads = 6 * p->attributes, data = 0, names = 0, at = heads;
    if (heads > p->rest_bytes)
        return es_fail(err, ES_FORMAT, "POLYDATA: %llu attributes in %zu bytes",
                       (unsigned long long)p->attributes, p->rest_bytes);
    for (uint64_t i = 0; i < p->attributes; i++) {
        const uint8_t *a = p->rest + 6 * i;
        uint8_t kind = a[0] & 15;
        uint64_t each = kind == 1 || kind == 2 ? 3 : kind == 3 ? 9 : kind == 4 ? 4 : a[1];
        data += 4 * each * wire_u32(a + 2);
        const uint8_t *end = memchr(p->rest + at, 0, p->rest_bytes - (size_t)at);
        if (!end) return es_fail(err, ES_FORMAT, "POLYDATA: a name without its end");
        at = (uint64_t)(end - p->rest) + 1;
    }
    names = at - heads;
    names += names % 2;
    return heads + names + data == p->rest_bytes ||
           es_fail(err, ES_FORMAT, "POLYDATA: attributes take %llu bytes, there are %zu",
                   (unsigned long long)(heads + names + data), p->rest_bytes);
}

static bool check_polydata(const es_igtl_message *m, es_error *err) {
    poly_layout p;
    if (!lay_out(m, &p, err)) return false;
    for (int i = 0; i < 4; i++)
        if (!check_cells(&p.blocks[i], p.points, err)) return false;
    return check_attributes(&p, err);
}

/* ---- which check
 * ---------------------------------------------------------------------------------- */

bool wire_check_content(const es_igtl_message *m, es_error *err) {
    static const struct {
        const char *type;
        bool (*check)(const es_igtl_message *, es_error *);
    } checks[] = {
        {"TRANSFORM", check_transform}, {"POSITION", check_position},
        {"QTRANS", check_position},     {"TDATA", check_tdata},
        {"QTDATA", check_qtdata},       {"IMAGE", check_image},
        {"STRING", check_string},       {"CLIENTINFO", check_string},
        {"STATUS", check_status},       {"COMMAND", check_command},
        {"RTS_COMMAND", check_command}, {"CAPABILITY", check_capability},
        {"SENSOR", check_sensor},       {"NDARRAY", check_array},
        {"POINT", check_point},         {"POLYDATA", check_polydata},
        {"VIDEO", check_video},         {"BIND", check_bind},
        {"COLORT", check_colours},      {"COLORTABLE", check_colours},
        {"IMGMETA", check_imgmeta},     {"LBMETA", check_lbmeta},
        {"TRAJ", check_traj},           {"VIDEOMETA", check_videometa},
        {"STT_TDATA", check_stream},    {"STT_QTDATA", check_stream},
        {"RTS_TDATA", check_reply},     {"RTS_QTDATA", check_reply},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        if (is(m, checks[i].type)) return checks[i].check(m, err);
    return true;
}

/* A getter is for one type; its content may come from elsewhere than a parse. */
static bool expect(const es_igtl_message *m, bool right, const char *type, es_error *err) {
    if (!right) return es_fail(err, ES_USAGE, "a %s message holds no %s", m->type, type);
    return wire_check_content(m, err);
}

/* ---- reading
 * ------------------------------------------------------------------------------------------ */

bool es_igtl_get_transform(const es_igtl_message *m, es_mat4 *matrix, es_error *err) {
    if (!expect(m, is(m, "TRANSFORM"), "TRANSFORM", err)) return false;
    *matrix = wire_matrix(m->content);
    return true;
}

bool es_igtl_get_position(const es_igtl_message *m, es_igtl_position *p, es_error *err) {
    if (!expect(m, is(m, "POSITION") || is(m, "QTRANS"), "POSITION", err)) return false;
    const uint8_t *c = m->content;
    *p = (es_igtl_position){.turn = {1, 0, 0, 0}, .numbers = (int)(m->content_size / 4)};
    p->place = es_vec3_make(wire_f32(c), wire_f32(c + 4), wire_f32(c + 8));
    if (p->numbers == 3) return true;
    double x = wire_f32(c + 12), y = wire_f32(c + 16), z = wire_f32(c + 20);
    double w =
        p->numbers == 7 ? (double)wire_f32(c + 24) : sqrt(fmax(0, 1 - x * x - y * y - z * z));
    p->turn = (es_quat){w, x, y, z};
    return true;
}

size_t es_igtl_tool_count(const es_igtl_message *m) {
    return m->content_size / (is(m, "QTDATA") ? QTDATA : TDATA);
}

bool es_igtl_get_tool(const es_igtl_message *m, size_t index, es_igtl_tool *tool, es_error *err) {
    bool quaternions = is(m, "QTDATA");
    if (!expect(m, quaternions || is(m, "TDATA"), "TDATA", err)) return false;
    if (index >= es_igtl_tool_count(m))
        return es_fail(err, ES_USAGE, "%s has %zu tools", m->type, es_igtl_tool_count(m));
    const uint8_t *c = m->content + index * (quaternions ? QTDATA : TDATA);
    *tool = (es_igtl_tool){.type = c[20], .turn = {1, 0, 0, 0}};
    wire_name(c, ES_IGTL_DEVICE, tool->name);
    c += 22;
    if (!quaternions) {
        tool->matrix = wire_matrix(c);
        return true;
    }
    tool->turn = (es_quat){wire_f32(c + 24), wire_f32(c + 12), wire_f32(c + 16), wire_f32(c + 20)};
    tool->matrix =
        es_quat_to_mat4(tool->turn, es_vec3_make(wire_f32(c), wire_f32(c + 4), wire_f32(c + 8)));
    return true;
}

bool es_igtl_get_image(const es_igtl_message *m, es_igtl_image *image, es_error *err) {
    if (!expect(m, is(m, "IMAGE"), "IMAGE", err)) return false;
    const uint8_t *c = m->content;
    *image = (es_igtl_image){.channels = c[2], .little = c[4] == 2, .frame = c[5]};
    to_type(c[3], &image->type);
    for (int a = 0; a < 3; a++) {
        image->size[a] = wire_u16(c + 6 + 2 * a);
        image->part_first[a] = wire_u16(c + 60 + 2 * a);
        image->part_size[a] = wire_u16(c + 66 + 2 * a);
    }
    image->matrix = wire_matrix(c + 12);
    image->pixels = c + IMAGE;
    image->bytes = m->content_size - IMAGE;
    return true;
}

bool es_igtl_get_video(const es_igtl_message *m, es_igtl_video *video, es_error *err) {
    if (!expect(m, is(m, "VIDEO"), "VIDEO", err)) return false;
    const uint8_t *c = m->content;
    *video = (es_igtl_video){.grey = wire_u16(c + 7) > 0xff, .frame = c[9]};
    for (int i = 0; i < 4 && c[3 + i]; i++)
        video->codec[i] = (char)(c[3 + i] > 32 && c[3 + i] < 127 ? c[3 + i] : '?');
    bool whole = true;
    for (int a = 0; a < 3; a++) {
        video->size[a] = wire_u16(c + 10 + 2 * a);
        whole =
            whole && wire_u16(c + 64 + 2 * a) == 0 && wire_u16(c + 70 + 2 * a) == video->size[a];
    }
    video->matrix = wire_matrix(c + 16);
    video->bytes = c + VIDEO;
    video->length = m->content_size - VIDEO;
    return (whole && video->size[2] == 1) ||
           es_fail(err, ES_FORMAT, "VIDEO of %u x %u x %u: expected a whole flat picture",
                   video->size[0], video->size[1], video->size[2]);
}

/* The centre lies (size - 1) / 2 steps from the first voxel's. */
static es_mat4 shift(es_mat4 a, const uint16_t size[3], double sign) {
    for (int row = 0; row < 3; row++)
        for (int k = 0; k < 3; k++) a.m[4 * row + 3] += sign * a.m[4 * row + k] * (size[k] - 1) / 2;
    return a;
}

es_mat4 es_igtl_image_place(const es_igtl_image *image) {
    return shift(image->matrix, image->size, -1);
}

es_mat4 es_igtl_image_centre(es_mat4 place, const uint16_t size[3]) {
    return shift(place, size, 1);
}

void es_igtl_image_copy(const es_igtl_image *image, void *to) {
    const uint16_t one = 1;
    uint8_t low, *out = to;
    size_t each = es_type_size(image->type);
    memcpy(&low, &one, 1);
    if (each == 1 || image->little == (low == 1)) {
        memcpy(to, image->pixels, image->bytes);
        return;
    }
    for (size_t i = 0; i < image->bytes; i += each)
        for (size_t k = 0; k < each; k++) out[i + k] = image->pixels[i + each - 1 - k];
}

bool es_igtl_get_string(const es_igtl_message *m, es_igtl_text *text, es_error *err) {
    if (!expect(m, is(m, "STRING") || is(m, "CLIENTINFO"), "STRING", err)) return false;
    *text = (es_igtl_text){wire_u16(m->content), (const char *)m->content + 4, m->content_size - 4};
    return true;
}

bool es_igtl_get_status(const es_igtl_message *m, es_igtl_status *s, es_error *err) {
    if (!expect(m, is(m, "STATUS"), "STATUS", err)) return false;
    const char *text = (const char *)m->content + STATUS;
    size_t length = m->content_size - STATUS;
    s->code = wire_u16(m->content);
    s->subcode = (int64_t)wire_u64(m->content + 2);
    wire_name(m->content + 10, ES_IGTL_DEVICE, s->name);
    s->text = (es_igtl_text){3, text, strnlen(text, length)};
    return true;
}

bool es_igtl_get_command(const es_igtl_message *m, es_igtl_command *c, es_error *err) {
    if (!expect(m, is(m, "COMMAND") || is(m, "RTS_COMMAND"), "COMMAND", err)) return false;
    c->id = wire_u32(m->content);
    wire_name(m->content + 4, 128, c->name);
    c->text = (es_igtl_text){wire_u16(m->content + 132), (const char *)m->content + COMMAND,
                             m->content_size - COMMAND};
    return true;
}

size_t es_igtl_capability_count(const es_igtl_message *m) { return m->content_size / ES_IGTL_TYPE; }

void es_igtl_get_capability(const es_igtl_message *m, size_t index, char type[ES_IGTL_TYPE + 1]) {
    wire_name(m->content + ES_IGTL_TYPE * index, ES_IGTL_TYPE, type);
}

bool es_igtl_get_sensor(const es_igtl_message *m, es_igtl_sensor *s, es_error *err) {
    if (!expect(m, is(m, "SENSOR"), "SENSOR", err)) return false;
    s->count = m->content[0];
    s->status = m->content[1];
    s->unit = wire_u64(m->content + 2);
    for (int i = 0; i < s->count; i++) s->values[i] = wire_f64(m->content + SENSOR + 8 * i);
    return true;
}

bool es_igtl_get_array(const es_igtl_message *m, es_igtl_array *a, es_error *err) {
    if (!expect(m, is(m, "NDARRAY"), "NDARRAY", err)) return false;
    a->scalar = m->content[0];
    a->axes = m->content[1];
    for (int i = 0; i < a->axes; i++) a->size[i] = wire_u16(m->content + 2 + 2 * i);
    a->data = m->content + 2 + 2 * a->axes;
    a->bytes = m->content_size - 2 - 2 * (size_t)a->axes;
    return true;
}

size_t es_igtl_point_count(const es_igtl_message *m) { return m->content_size / POINT; }

void es_igtl_get_point(const es_igtl_message *m, size_t index, es_igtl_point *p) {
    const uint8_t *c = m->content + POINT * index;
    wire_name(c, 64, p->name);
    wire_name(c + 64, 32, p->group);
    memcpy(p->rgba, c + 96, 4);
    p->place = es_vec3_make(wire_f32(c + 100), wire_f32(c + 104), wire_f32(c + 108));
    p->radius = wire_f32(c + 112);
    wire_name(c + 116, ES_IGTL_DEVICE, p->owner);
}

bool es_igtl_get_stream(const es_igtl_message *m, es_igtl_stream *s, es_error *err) {
    if (!expect(m, is(m, "STT_TDATA") || is(m, "STT_QTDATA"), "STT_TDATA", err)) return false;
    s->resolution_ms = (int32_t)wire_u32(m->content);
    wire_name(m->content + 4, 32, s->frame);
    return true;
}

/* ---- polygons to a mesh
 * ------------------------------------------------------------------------------- */

static size_t count_triangles(const cell_block *b) {
    size_t count = 0;
    for (uint64_t i = 0, at = 0; i < b->cells; i++) {
        uint32_t n = wire_u32(b->at + 4 * at);
        count += n > 2 ? n - 2 : 0;
        at += 1 + (uint64_t)n;
    }
    return count;
}

/* Fans, or strips whose every other triangle runs the other way. */
static void add_triangles(const cell_block *b, bool strips, es_mesh *mesh) {
    for (uint64_t i = 0, at = 0; i < b->cells; i++) {
        const uint8_t *cell = b->at + 4 * at;
        uint32_t n = wire_u32(cell);
        for (uint32_t k = 2; k < n; k++) {
            uint32_t *t = mesh->triangles + 3 * mesh->triangle_count++;
            bool turned = strips && k % 2;
            t[0] = wire_u32(cell + 4 * (strips ? k - 1 : 1));
            t[turned ? 2 : 1] = wire_u32(cell + 4 * k);
            t[turned ? 1 : 2] = wire_u32(cell + 4 * (k + 1));
        }
        at += 1 + (uint64_t)n;
    }
}

bool es_igtl_get_mesh(const es_igtl_message *m, es_mesh *mesh, es_error *err) {
    poly_layout p;
    *mesh = (es_mesh){0};
    if (!expect(m, is(m, "POLYDATA"), "POLYDATA", err) || !lay_out(m, &p, err)) return false;
    size_t triangles = count_triangles(&p.blocks[2]) + count_triangles(&p.blocks[3]);
    mesh->vertices = es_alloc((size_t)p.points + 1, 3 * sizeof(float), err);
    mesh->triangles = mesh->vertices ? es_alloc(triangles + 1, 3 * sizeof(uint32_t), err) : NULL;
    if (!mesh->triangles) {
        es_mesh_clear(mesh);
        return false;
    }
    mesh->vertex_count = (size_t)p.points;
    for (size_t i = 0; i < 3 * mesh->vertex_count; i++)
        mesh->vertices[i] = wire_f32(p.places + 4 * i);
    add_triangles(&p.blocks[2], false, mesh);
    add_triangles(&p.blocks[3], true, mesh);
    return true;
}
