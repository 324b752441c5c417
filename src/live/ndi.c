/* Replies of NDI's Combined API: BX in little-endian bytes, TX in hexadecimal and
 * signed decimal text; each with the CRC-16 that serial lines have always had. */
#include <math.h>
#include <stdlib.h>

#include "echosolid/trackers.h"
#include "little_wire.h"

enum { BX_MARK = 0xA5C4, VALID = 1, MISSING = 2, DISABLED = 4 };

uint16_t es_ndi_crc(const void *bytes, size_t length) {
    const uint8_t *p = bytes;
    unsigned crc = 0;
    for (size_t i = 0; i < length; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xA001u : crc >> 1;
    }
    return (uint16_t)crc;
}

/* ---- BX ------------------------------------------------------------------------------ */

size_t es_ndi_bx_size(const uint8_t head[6], es_error *err) {
    little in = {head, head + 6, false};
    unsigned mark = little_u16(&in), size = little_u16(&in), crc = little_u16(&in);
    if (mark == BX_MARK && crc == es_ndi_crc(head, 4)) return size + 8u;
    es_fail(err, ES_FORMAT, "NDI: no BX reply (it starts with %04X, its head's sum is %04X)", mark,
            crc);
    return 0;
}

static bool read_handle(little *in, es_ndi_tool *tool) {
    *tool = (es_ndi_tool){.handle = little_u8(in), .error_mm = NAN, .turn.w = 1};
    unsigned status = little_u8(in);
    tool->disabled = status == DISABLED;
    tool->valid = status == VALID;
    if (tool->valid) {
        tool->turn.w = little_f32(in);
        tool->turn.x = little_f32(in);
        tool->turn.y = little_f32(in);
        tool->turn.z = little_f32(in);
        tool->place_mm.x = little_f32(in);
        tool->place_mm.y = little_f32(in);
        tool->place_mm.z = little_f32(in);
        tool->error_mm = little_f32(in);
    }
    if (!tool->disabled) {
        tool->port_status = little_u32(in);
        tool->frame = little_u32(in);
    }
    return status == VALID || status == MISSING || status == DISABLED;
}

bool es_ndi_get_bx(const uint8_t *bytes, size_t length, es_ndi_tools *tools, es_error *err) {
    tools->count = 0;
    if (length < 9 || es_ndi_bx_size(bytes, err) != length)
        return es_fail(err, ES_FORMAT, "NDI: a BX reply of %zu bytes is not what it says", length);
    little in = {bytes + length - 2, bytes + length, false};
    if (little_u16(&in) != es_ndi_crc(bytes + 6, length - 8))
        return es_fail(err, ES_FORMAT, "NDI: the sum of a BX reply is wrong");
    in = (little){bytes + 6, bytes + length - 2, false};
    int count = little_u8(&in);
    if (count > ES_NDI_HANDLES)
        return es_fail(err, ES_FORMAT, "NDI: %d handles; at most %d", count, ES_NDI_HANDLES);
    for (int i = 0; i < count; i++)
        if (!read_handle(&in, &tools->items[i]) || in.failed)
            return es_fail(err, ES_FORMAT, "NDI: handle %d of %d in a BX reply is broken", i + 1,
                           count);
    tools->system_status = little_u16(&in);
    if (in.failed || little_left(&in))
        return es_fail(err, ES_FORMAT, "NDI: a BX reply has %zu bytes left over", little_left(&in));
    tools->count = count;
    return true;
}

/* ---- text ------------------------------------------------------------------------------ */

typedef struct reader {
    const char *at, *end;
    bool failed;
} reader;

static const char *take(reader *in, size_t size, char text[16]) {
    if (in->failed || size > (size_t)(in->end - in->at)) {
        in->failed = true;
        size = 0;
    }
    memcpy(text, in->at, size);
    text[size] = '\0';
    in->at += size;
    return text;
}
static uint32_t take_hex(reader *in, size_t digits) {
    char text[16];
    take(in, digits, text);
    if (strspn(text, "0123456789ABCDEFabcdef") != digits) in->failed = true;
    return (uint32_t)strtoul(text, NULL, 16);
}
/* "+12345": a sign and digits */
static double take_number(reader *in, size_t size, double unit) {
    char text[16];
    take(in, size, text);
    if ((text[0] != '+' && text[0] != '-') || strspn(text + 1, "0123456789") != size - 1)
        in->failed = true;
    return (double)strtol(text, NULL, 10) * unit;
}
static bool take_word(reader *in, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) return false;
    in->at += length;
    return true;
}

bool es_ndi_check_reply(const char *reply, size_t *length, es_error *err) {
    reader crc = {reply + (*length < 4 ? 0 : *length - 4), reply + *length, false};
    if (*length < 4 || take_hex(&crc, 4) != es_ndi_crc(reply, *length - 4) || crc.failed)
        return es_fail(err, ES_FORMAT, "NDI: the sum of a reply of %zu characters is wrong",
                       *length);
    *length -= 4;
    if (*length >= 7 && memcmp(reply, "ERROR", 5) == 0)
        return es_fail(err, ES_IO, "the NDI tracker answers ERROR%.2s", reply + 5);
    return true;
}

static void read_tool(reader *in, es_ndi_tool *tool) {
    *tool = (es_ndi_tool){.handle = (uint8_t)take_hex(in, 2), .error_mm = NAN, .turn.w = 1};
    if (take_word(in, "DISABLED") || take_word(in, "UNOCCUPIED")) {
        tool->disabled = true;
    } else if (!take_word(in, "MISSING")) {
        tool->valid = true;
        tool->turn.w = take_number(in, 6, 1e-4);
        tool->turn.x = take_number(in, 6, 1e-4);
        tool->turn.y = take_number(in, 6, 1e-4);
        tool->turn.z = take_number(in, 6, 1e-4);
        tool->place_mm.x = take_number(in, 7, 1e-2);
        tool->place_mm.y = take_number(in, 7, 1e-2);
        tool->place_mm.z = take_number(in, 7, 1e-2);
        tool->error_mm = take_number(in, 6, 1e-4);
    }
    if (!tool->disabled || (in->at < in->end && *in->at != '\n')) {
        tool->port_status = take_hex(in, 8);
        tool->frame = take_hex(in, 8);
    }
    if (!take_word(in, "\n")) in->failed = true;
}

bool es_ndi_get_tx(const char *reply, size_t length, es_ndi_tools *tools, es_error *err) {
    reader in = {reply, reply + length, false};
    int count = (int)take_hex(&in, 2);
    tools->count = 0;
    if (count > ES_NDI_HANDLES)
        return es_fail(err, ES_FORMAT, "NDI: %d handles; at most %d", count, ES_NDI_HANDLES);
    for (int i = 0; i < count && !in.failed; i++) read_tool(&in, &tools->items[i]);
    tools->system_status = (uint16_t)take_hex(&in, 4);
    if (in.failed || in.at != in.end)
        return es_fail(err, ES_FORMAT, "NDI: a TX reply of %zu characters and %d handles is broken",
                       length, count);
    tools->count = count;
    return true;
}

/* ---- making them, for a server to try against ------------------------------------------- */

static void put(es_text *out, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(value >> 8 * i);
    es_text_add_bytes(out, bytes, size);
}
static void put_f32(es_text *out, double value) {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    put(out, bits, 4);
}

static void put_handle(es_text *out, const es_ndi_tool *t) {
    const double numbers[8] = {t->turn.w,     t->turn.x,     t->turn.y,     t->turn.z,
                               t->place_mm.x, t->place_mm.y, t->place_mm.z, t->error_mm};
    put(out, t->handle, 1);
    put(out, t->disabled ? DISABLED : t->valid ? VALID : MISSING, 1);
    for (int i = 0; t->valid && i < 8; i++) put_f32(out, numbers[i]);
    if (t->disabled) return;
    put(out, t->port_status, 4);
    put(out, t->frame, 4);
}

void es_ndi_put_bx(es_text *out, const es_ndi_tools *tools) {
    es_text body = {0}, head = {0};
    put(&body, (uint64_t)tools->count, 1);
    for (int i = 0; i < tools->count; i++) put_handle(&body, &tools->items[i]);
    put(&body, tools->system_status, 2);
    put(&head, BX_MARK, 2);
    put(&head, body.length, 2);
    if (body.failed || head.failed) {
        out->failed = true;
    } else {
        put(&head, es_ndi_crc(head.bytes, 4), 2);
        es_text_add_bytes(out, head.bytes, head.length);
        es_text_add_bytes(out, body.bytes, body.length);
        put(out, es_ndi_crc(body.bytes, body.length), 2);
    }
    es_text_free(&body);
    es_text_free(&head);
}

void es_ndi_put_tx(es_text *out, const es_ndi_tools *tools) {
    size_t start = out->length;
    es_text_add(out, "%02X", (unsigned)tools->count);
    for (int i = 0; i < tools->count; i++) {
        const es_ndi_tool *t = &tools->items[i];
        es_text_add(out, "%02X", (unsigned)t->handle);
        if (t->valid)
            es_text_add(out, "%+06.0f%+06.0f%+06.0f%+06.0f%+07.0f%+07.0f%+07.0f%+06.0f",
                        t->turn.w * 1e4, t->turn.x * 1e4, t->turn.y * 1e4, t->turn.z * 1e4,
                        t->place_mm.x * 100, t->place_mm.y * 100, t->place_mm.z * 100,
                        t->error_mm * 1e4);
        else
            es_text_add(out, "%s", t->disabled ? "DISABLED" : "MISSING");
        if (!t->disabled)
            es_text_add(out, "%08lX%08lX", (unsigned long)t->port_status, (unsigned long)t->frame);
        es_text_add(out, "\n");
    }
    es_text_add(out, "%04X", (unsigned)tools->system_status);
    if (out->failed) return;
    unsigned crc = es_ndi_crc(out->bytes + start, out->length - start);
    es_text_add(out, "%04X\r", crc);
}
