/* OpenIGTLink's framing: header, extended header, metadata, sum.
 *
 * Layouts: the protocol's documents and the byte vectors of its own
 * implementation. "Version 3" of the protocol is header version 2. */
#include <math.h>
#include <pthread.h>

#include "igtl_wire.h"

enum { EXTENDED = 12, INDEX_ENTRY = 8, SLICES = 8 };

/* ---- the sum ---------------------------------------------------------------------- */

static uint64_t tables[SLICES][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

/* tables[k][b]: byte b, then k zero bytes ("slicing by 8", Kounavis and Berry 2005). */
static void make_tables(void) {
    const uint64_t polynomial = 0x42F0E1EBA9EA3693u;
    for (uint64_t b = 0; b < 256; b++) {
        uint64_t c = b << 56;
        for (int bit = 0; bit < 8; bit++) c = c >> 63 ? c << 1 ^ polynomial : c << 1;
        tables[0][b] = c;
    }
    for (int k = 1; k < SLICES; k++)
        for (int b = 0; b < 256; b++) {
            uint64_t c = tables[k - 1][b];
            tables[k][b] = c << 8 ^ tables[0][c >> 56];
        }
}

uint64_t es_igtl_crc(uint64_t crc, const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    pthread_once(&tables_once, make_tables);
    for (; length >= SLICES; length -= SLICES, p += SLICES) {
        crc ^= wire_u64(p);
        crc = tables[7][crc >> 56] ^ tables[6][crc >> 48 & 255] ^ tables[5][crc >> 40 & 255] ^
              tables[4][crc >> 32 & 255] ^ tables[3][crc >> 24 & 255] ^ tables[2][crc >> 16 & 255] ^
              tables[1][crc >> 8 & 255] ^ tables[0][crc & 255];
    }
    for (; length > 0; length--, p++) crc = tables[0][crc >> 56 ^ *p] ^ crc << 8;
    return crc;
}

double es_igtl_seconds(uint64_t time) { return (double)time / 4294967296.0; }

uint64_t es_igtl_time(double unix_s) {
    if (!(unix_s > 0) || unix_s >= 4294967296.0) return 0;
    double whole = floor(unix_s);
    return (uint64_t)whole << 32 | (uint64_t)((unix_s - whole) * 4294967296.0);
}

/* ---- parsing --------------------------------------------------------------------- */

/* Version 2: body = extended header, content, metadata index, metadata. */
static bool split_body(const uint8_t *body, size_t size, es_igtl_message *m, es_error *err) {
    if (size < EXTENDED)
        return es_fail(err, ES_FORMAT, "%s: a body of %zu bytes, the extended header takes %d",
                       m->type, size, EXTENDED);
    uint64_t extended = wire_u16(body), index = wire_u16(body + 2), data = wire_u32(body + 4);
    m->id = wire_u32(body + 8);
    if (extended < EXTENDED || extended + index + data > size)
        return es_fail(err, ES_FORMAT,
                       "%s: an extended header of %llu bytes and metadata of %llu + %llu in a body "
                       "of %zu",
                       m->type, (unsigned long long)extended, (unsigned long long)index,
                       (unsigned long long)data, size);
    m->content = body + extended;
    m->content_size = (size_t)(size - extended - index - data);
    m->meta_index = m->content + m->content_size;
    m->meta_data = m->meta_index + index;
    m->meta_size = (size_t)data;
    if (index == 0 && data == 0) return true;
    if (index < 2) return es_fail(err, ES_FORMAT, "%s: metadata without their count", m->type);
    m->meta_count = wire_u16(m->meta_index);
    if (2 + (uint64_t)INDEX_ENTRY * (unsigned)m->meta_count != index)
        return es_fail(err, ES_FORMAT, "%s: %d entries of metadata in an index of %llu bytes",
                       m->type, m->meta_count, (unsigned long long)index);
    m->meta_index += 2;
    return true;
}

static bool check_meta(const es_igtl_message *m, es_error *err) {
    uint64_t sum = 0;
    for (int i = 0; i < m->meta_count; i++) {
        const uint8_t *entry = m->meta_index + INDEX_ENTRY * i;
        sum += (uint64_t)wire_u16(entry) + wire_u32(entry + 4);
    }
    return sum == m->meta_size ||
           es_fail(err, ES_FORMAT, "%s: metadata of %llu bytes in a place of %zu", m->type,
                   (unsigned long long)sum, m->meta_size);
}

static bool parse_body(const uint8_t *body, size_t size, es_igtl_message *m, es_error *err) {
    if (m->version == 1) {
        m->content = body;
        m->content_size = size;
    } else if (!split_body(body, size, m, err) || !check_meta(m, err)) {
        return false;
    }
    return wire_check_content(m, err);
}

es_igtl_state es_igtl_parse(const uint8_t *bytes, size_t length, const es_igtl_limits *limits,
                            es_igtl_message *m, size_t *used, es_error *err) {
    *m = (es_igtl_message){0};
    *used = ES_IGTL_HEADER;
    if (length < ES_IGTL_HEADER) return ES_IGTL_SHORT;
    m->version = wire_u16(bytes);
    if (m->version != 1 && m->version != 2) {
        es_fail(err, ES_FORMAT, "header version %d; this program speaks 1 and 2", m->version);
        return ES_IGTL_MALFORMED;
    }
    wire_name(bytes + 2, ES_IGTL_TYPE, m->type);
    wire_name(bytes + 14, ES_IGTL_DEVICE, m->device);
    m->time = wire_u64(bytes + 34);
    uint64_t size = wire_u64(bytes + 42);
    if (size > limits->body_max) {
        es_fail(err, ES_UNSUPPORTED, "%s announces a body of %llu bytes; at most %llu are taken",
                m->type, (unsigned long long)size, (unsigned long long)limits->body_max);
        return ES_IGTL_TOO_LARGE;
    }
    *used = ES_IGTL_HEADER + (size_t)size;
    if (length < *used) return ES_IGTL_SHORT;
    const uint8_t *body = bytes + ES_IGTL_HEADER;
    if (!limits->ignore_crc && es_igtl_crc(0, body, (size_t)size) != wire_u64(bytes + 50)) {
        es_fail(err, ES_FORMAT, "%s \"%s\": its sum (CRC) is wrong", m->type, m->device);
        return ES_IGTL_CRC;
    }
    return parse_body(body, (size_t)size, m, err) ? ES_IGTL_WHOLE : ES_IGTL_MALFORMED;
}

es_igtl_meta es_igtl_meta_at(const es_igtl_message *m, int index) {
    const uint8_t *data = m->meta_data;
    for (int i = 0; i < index; i++) {
        const uint8_t *entry = m->meta_index + INDEX_ENTRY * i;
        data += (size_t)wire_u16(entry) + wire_u32(entry + 4);
    }
    const uint8_t *entry = m->meta_index + INDEX_ENTRY * index;
    es_igtl_meta meta = {.key = (const char *)data,
                         .key_length = wire_u16(entry),
                         .encoding = wire_u16(entry + 2),
                         .value_length = wire_u32(entry + 4)};
    meta.value = meta.key + meta.key_length;
    return meta;
}

bool es_igtl_meta_find(const es_igtl_message *m, const char *key, es_igtl_meta *meta) {
    size_t length = strlen(key);
    const char *at = (const char *)m->meta_data;
    for (int i = 0; i < m->meta_count; i++) {
        const uint8_t *entry = m->meta_index + INDEX_ENTRY * i;
        size_t key_length = wire_u16(entry), value_length = wire_u32(entry + 4);
        if (key_length == length && memcmp(at, key, length) == 0) {
            *meta =
                (es_igtl_meta){at, at + key_length, key_length, value_length, wire_u16(entry + 2)};
            return true;
        }
        at += key_length + value_length;
    }
    return false;
}
