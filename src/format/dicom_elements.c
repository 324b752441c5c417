/* DICOM data elements into memory (PS3.5 section 7). Values have even lengths:
 * text is filled up with a blank, UIDs with a zero. */
#include <string.h>
#include <xxhash.h>

#include "dicom_elements.h"

static void put_number(es_elements *to, uint64_t value, size_t bytes) {
    es_text_add_bytes(&to->bytes, &value, bytes); /* little-endian, like our memory */
}

static void put_key(es_elements *to, uint32_t tag) {
    put_number(to, tag >> 16, 2);
    put_number(to, tag & 0xffff, 2);
}

void es_put_head(es_elements *to, uint32_t tag, const char *vr, uint32_t length) {
    bool wide = strstr("OB OW OF SQ UT UN", vr) != NULL;
    put_key(to, tag);
    if (!to->implicit) es_text_add_bytes(&to->bytes, vr, 2);
    if (!to->implicit && wide) put_number(to, 0, 2);
    put_number(to, length, to->implicit || wide ? 4 : 2);
}

void es_put_bytes(es_elements *to, uint32_t tag, const char *vr, const void *bytes, size_t length) {
    bool zero = strcmp(vr, "UI") == 0 || vr[0] == 'O';
    es_put_head(to, tag, vr, (uint32_t)(length + length % 2));
    es_text_add_bytes(&to->bytes, bytes, length);
    if (length % 2) es_text_add_bytes(&to->bytes, zero ? "" : " ", 1);
}

void es_put_text(es_elements *to, uint32_t tag, const char *vr, const char *text) {
    es_put_bytes(to, tag, vr, text, strlen(text));
}

void es_put_words(es_elements *to, uint32_t tag, const uint16_t *words, size_t count) {
    es_put_bytes(to, tag, "US", words, 2 * count);
}

void es_put_word(es_elements *to, uint32_t tag, uint16_t word) { es_put_words(to, tag, &word, 1); }

void es_put_longs(es_elements *to, uint32_t tag, const char *vr, const uint32_t *values,
                  size_t count) {
    es_put_bytes(to, tag, vr, values, 4 * count);
}

void es_put_long(es_elements *to, uint32_t tag, const char *vr, uint32_t value) {
    es_put_longs(to, tag, vr, &value, 1);
}

void es_put_doubles(es_elements *to, uint32_t tag, const double *values, size_t count) {
    es_put_bytes(to, tag, "FD", values, 8 * count);
}

/* A decimal string has at most 16 characters: as many digits as fit. */
static void add_decimal(es_text *text, double value) {
    char number[32];
    es_format_double(value, number);
    for (int digits = 16; strlen(number) > 16; digits--)
        snprintf(number, sizeof number, "%.*g", digits, value);
    es_text_add(text, "%s", number);
}

void es_put_decimals(es_elements *to, uint32_t tag, const double *values, size_t count) {
    es_text text = {0};
    for (size_t i = 0; i < count; i++) {
        if (i) es_text_add(&text, "\\");
        add_decimal(&text, values[i]);
    }
    to->bytes.failed = to->bytes.failed || text.failed;
    if (!text.failed) es_put_bytes(to, tag, "DS", text.bytes, text.length);
    es_text_free(&text);
}

void es_put_tag(es_elements *to, uint32_t tag, uint32_t value) {
    uint16_t words[2] = {(uint16_t)(value >> 16), (uint16_t)value};
    es_put_bytes(to, tag, "AT", words, sizeof words);
}

/* ---- sequences: lengths undefined, ends marked ------------------------------------ */

void es_put_sequence(es_elements *to, uint32_t tag) { es_put_head(to, tag, "SQ", UINT32_MAX); }

static void put_mark(es_elements *to, uint32_t tag, uint32_t length) {
    put_key(to, tag);
    put_number(to, length, 4);
}

void es_put_item(es_elements *to) { put_mark(to, 0xfffee000, UINT32_MAX); }
void es_put_item_end(es_elements *to) { put_mark(to, 0xfffee00d, 0); }
void es_put_sequence_end(es_elements *to) { put_mark(to, 0xfffee0dd, 0); }

/* ---- UIDs --------------------------------------------------------------------------- */

char *es_make_uid(const uint64_t digest[2], unsigned salt, char uid[ES_UID_SIZE]) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(digest, 16, salt);
    uint64_t high = (hash.high64 & ~(uint64_t)0xf000) | 0x8000;             /* version 8 */
    uint64_t low = (hash.low64 & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62; /* variant */
    uint32_t limbs[4] = {(uint32_t)(high >> 32), (uint32_t)high, (uint32_t)(low >> 32),
                         (uint32_t)low};
    char digits[40];
    int count = 0;
    while (limbs[0] | limbs[1] | limbs[2] | limbs[3]) { /* long division by ten */
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | limbs[i];
            limbs[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        digits[count++] = (char)('0' + rest);
    }
    strcpy(uid, "2.25.");
    size_t at = strlen(uid);
    while (count > 0) uid[at++] = digits[--count];
    uid[at] = '\0';
    return uid;
}

void es_put_uid(es_elements *to, uint32_t tag, unsigned salt) {
    char uid[ES_UID_SIZE];
    es_put_text(to, tag, "UI", es_make_uid(to->digest, salt, uid));
}
