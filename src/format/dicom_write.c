/* DICOM documents: everything around the pixels that secondary captures, cine
 * loops and volumes have in common. No names, numbers or dates of anybody:
 * what the standard wants to be there is empty, and where it must not be empty
 * it is a stand-in (1900-01-01). */
#include <string.h>
#include <xxhash.h>

#include "dicom_write.h"

/* ---- frames ------------------------------------------------------------------- */

bool es_dicom_frames_start(es_dicom_frames *frames, const char *path, es_error *err) {
    bool grey = frames->channels == 1 && (frames->type == ES_U8 || frames->type == ES_U16);
    bool colour = frames->channels == 3 && frames->type == ES_U8;
    if (!grey && !colour)
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: DICOM is written from u8 or u16 grey and u8 RGB, not from %s%s; write "
                       ".mha or .nrrd",
                       path, es_type_name(frames->type), frames->channels == 3 ? " RGB" : "");
    if (frames->width < 1 || frames->height < 1 || frames->width > 65535 || frames->height > 65535)
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: pictures of %u x %u pixels; DICOM holds 1 to 65535 a side", path,
                       frames->width, frames->height);
    frames->path = es_copy_text(path, err);
    frames->digest = XXH3_createState();
    if (!frames->digest) return es_fail(err, ES_MEMORY, "out of memory");
    XXH3_128bits_reset(frames->digest);
    frames->scratch = frames->path ? es_scratch_open(path, err) : NULL;
    return frames->scratch != NULL;
}

bool es_dicom_frames_put(es_dicom_frames *frames, const void *bytes, size_t length, es_error *err) {
    if (frames->bytes + length > UINT32_MAX - 1)
        return es_fail(err, ES_UNSUPPORTED,
                       "a DICOM file holds 4 GiB of pixels at most; write .mha, or fewer frames");
    es_dicom_frames_mix(frames, bytes, length);
    frames->bytes += length;
    return es_scratch_write(frames->scratch, bytes, length, err);
}

void es_dicom_frames_mix(es_dicom_frames *frames, const void *bytes, size_t length) {
    XXH3_128bits_update(frames->digest, bytes, length);
}

void es_dicom_frames_clear(es_dicom_frames *frames) {
    es_scratch_close(frames->scratch);
    XXH3_freeState(frames->digest);
    es_free(frames->path);
    memset(frames, 0, sizeof *frames);
}

/* ---- the data set ------------------------------------------------------------------ */

static const char *class_of(const es_dicom_document *d) {
    if (d->kind == ES_DICOM_CINE) return "1.2.840.10008.5.1.4.1.1.3.1";
    if (d->kind == ES_DICOM_US_VOLUME) return "1.2.840.10008.5.1.4.1.1.6.2";
    return d->frames->channels == 3    ? "1.2.840.10008.5.1.4.1.1.7.4"
           : d->frames->type == ES_U16 ? "1.2.840.10008.5.1.4.1.1.7.3"
                                       : "1.2.840.10008.5.1.4.1.1.7.2";
}

void es_dicom_put_meta(es_elements *to, const char *sop_class, es_dicom_kind kind, bool implicit) {
    static const char preamble[128];
    es_elements meta = {.digest = {to->digest[0], to->digest[1]}};
    es_put_bytes(&meta, 0x00020001, "OB", "\0\1", 2);
    es_put_text(&meta, 0x00020002, "UI", sop_class);
    es_put_uid(&meta, 0x00020003, ES_SALT_INSTANCE + kind);
    es_put_text(&meta, 0x00020010, "UI", implicit ? "1.2.840.10008.1.2" : "1.2.840.10008.1.2.1");
    es_put_text(&meta, 0x00020012, "UI", "2.25.148829604716593407528104620839176435021");
    es_put_text(&meta, 0x00020013, "SH", "ECHOSOLID");
    es_text_add_bytes(&to->bytes, preamble, sizeof preamble);
    es_text_add_bytes(&to->bytes, "DICM", 4);
    to->implicit = false; /* the meta header is always explicit */
    es_put_long(to, 0x00020000, "UL", (uint32_t)meta.bytes.length);
    if (meta.bytes.failed)
        to->bytes.failed = true;
    else
        es_text_add_bytes(&to->bytes, meta.bytes.bytes, meta.bytes.length);
    to->implicit = implicit;
    es_text_free(&meta.bytes);
}

void es_dicom_put_nobody(es_elements *to) {
    es_put_text(to, 0x00100010, "PN", "");
    es_put_text(to, 0x00100020, "LO", "");
    es_put_text(to, 0x00100030, "DA", "");
    es_put_text(to, 0x00100040, "CS", "");
    es_put_text(to, 0x00120062, "CS", "YES");
    es_put_text(to, 0x00120063, "LO", "Written without patient data");
}

void es_dicom_put_code(es_elements *to, uint32_t tag, const char *value, const char *scheme,
                       const char *meaning) {
    es_put_sequence(to, tag);
    es_put_item(to);
    es_put_text(to, 0x00080100, "SH", value);
    es_put_text(to, 0x00080102, "SH", scheme);
    es_put_text(to, 0x00080104, "LO", meaning);
    es_put_item_end(to);
    es_put_sequence_end(to);
}

static void put_identity(es_elements *to, const es_dicom_document *d) {
    bool volume = d->kind == ES_DICOM_US_VOLUME;
    es_put_text(to, 0x00080005, "CS", "ISO_IR 192");
    es_put_text(to, 0x00080008, "CS",
                volume ? "DERIVED\\PRIMARY\\VOLUME\\NONE" : "DERIVED\\SECONDARY");
    es_put_text(to, 0x00080016, "UI", class_of(d));
    es_put_uid(to, 0x00080018, ES_SALT_INSTANCE + d->kind);
    es_put_text(to, 0x00080020, "DA", "");
    es_put_text(to, 0x00080023, "DA", "19000101");
    if (volume) es_put_text(to, 0x0008002a, "DT", "19000101000000");
    es_put_text(to, 0x00080030, "TM", "");
    es_put_text(to, 0x00080033, "TM", "000000");
    es_put_text(to, 0x00080050, "SH", "");
    es_put_text(to, 0x00080060, "CS", "US");
    if (d->kind == ES_DICOM_CAPTURE) es_put_text(to, 0x00080064, "CS", "WSD");
    es_put_text(to, 0x00080070, "LO", "echosolid");
    es_put_text(to, 0x00080090, "PN", "");
    es_put_text(to, 0x00081090, "LO", "echosolid");
    es_put_text(to, 0x00082111, "ST", d->derivation);
    if (volume) es_dicom_us_put_anatomy(to);
    es_dicom_put_nobody(to);
}

static void put_acquisition(es_elements *to, const es_dicom_document *d) {
    if (d->kind == ES_DICOM_US_VOLUME) es_put_text(to, 0x00181000, "LO", "none");
    es_put_text(to, 0x00181020, "LO", es_version());
    if (d->acquisition) d->acquisition(to, d->context);
    es_put_text(to, 0x00189004, "CS", "RESEARCH");
    if (d->kind == ES_DICOM_US_VOLUME) es_dicom_us_put_technique(to);
}

static void put_comment(es_elements *to, const es_dicom_document *d) {
    char comment[300];
    bool volume = d->kind == ES_DICOM_US_VOLUME;
    snprintf(comment, sizeof comment, "Research software: not for diagnosis or planning.%s%s",
             volume ? " " : "", volume ? es_dicom_us_comment : "");
    es_put_text(to, 0x00204000, "LT", comment);
}

static void put_relation(es_elements *to, const es_dicom_document *d) {
    es_put_uid(to, 0x0020000d, ES_SALT_STUDY);
    es_put_uid(to, 0x0020000e, ES_SALT_SERIES + d->kind);
    es_put_text(to, 0x00200010, "SH", "");
    es_put_text(to, 0x00200011, "IS", "1");
    es_put_text(to, 0x00200013, "IS", "1");
    es_put_text(to, 0x00200020, "CS", "");
    if (d->groups) es_put_uid(to, 0x00200052, ES_SALT_SPACE);
    if (d->kind == ES_DICOM_US_VOLUME) es_put_uid(to, 0x00200200, ES_SALT_TIME);
    if (d->groups) es_put_text(to, 0x00201040, "LO", "");
    put_comment(to, d);
    if (d->relation) d->relation(to, d->context);
}

static void put_samples(es_elements *to, const es_dicom_document *d) {
    const es_dicom_frames *f = d->frames;
    char count[16];
    uint16_t bits = f->type == ES_U16 ? 16 : 8;
    snprintf(count, sizeof count, "%llu", (unsigned long long)f->count);
    es_put_word(to, 0x00280002, (uint16_t)f->channels);
    es_put_text(to, 0x00280004, "CS", f->channels == 3 ? "RGB" : "MONOCHROME2");
    if (f->channels == 3) es_put_word(to, 0x00280006, 0);
    es_put_text(to, 0x00280008, "IS", count);
    es_put_tag(to, 0x00280009, d->increment);
    es_put_word(to, 0x00280010, (uint16_t)f->height);
    es_put_word(to, 0x00280011, (uint16_t)f->width);
    if (d->kind == ES_DICOM_CINE) es_put_word(to, 0x00280014, f->channels == 3);
    if (d->row_column_mm) es_put_decimals(to, 0x00280030, d->row_column_mm, 2);
    es_put_word(to, 0x00280100, bits);
    es_put_word(to, 0x00280101, bits);
    es_put_word(to, 0x00280102, (uint16_t)(bits - 1));
    es_put_word(to, 0x00280103, 0);
    es_put_text(to, 0x00280301, "CS", d->burned_in ? "YES" : "NO");
    if (f->channels == 1) {
        es_put_text(to, 0x00281052, "DS", "0");
        es_put_text(to, 0x00281053, "DS", "1");
        es_put_text(to, 0x00281054, "LO", "US");
    }
    es_put_text(to, 0x00282110, "CS", "00");
    if (d->kind == ES_DICOM_US_VOLUME) es_dicom_us_put_view(to);
    if (f->channels == 1) es_put_text(to, 0x20500020, "CS", "IDENTITY");
}

static void put_all(es_elements *to, const es_dicom_document *d) {
    uint32_t length = (uint32_t)(d->frames->bytes + d->frames->bytes % 2);
    es_dicom_put_meta(to, class_of(d), d->kind, d->implicit);
    put_identity(to, d);
    put_acquisition(to, d);
    put_relation(to, d);
    put_samples(to, d);
    if (d->groups) d->groups(to, d->context);
    es_put_head(to, 0x7fe00010, d->frames->type == ES_U8 ? "OB" : "OW", length);
}

es_output *es_dicom_document_write(const es_dicom_document *d, const char *path, es_error *err) {
    XXH128_hash_t hash = XXH3_128bits_digest(d->frames->digest);
    es_elements head = {.digest = {hash.high64, hash.low64}};
    es_output *out = es_output_open(path, err);
    put_all(&head, d);
    bool ok = out && (!head.bytes.failed || es_fail(err, ES_MEMORY, "%s: out of memory", path)) &&
              es_output_write(out, head.bytes.bytes, head.bytes.length, err) &&
              es_scratch_copy(d->frames->scratch, out, err) &&
              (d->frames->bytes % 2 == 0 || es_output_write(out, "", 1, err));
    es_text_free(&head.bytes);
    if (ok) return out;
    es_output_discard(out);
    return NULL;
}
