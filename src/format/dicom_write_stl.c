/* A model as DICOM: an STL file inside a data set, with what the file itself cannot say:
 * that its unit is the millimetre, and in which frame of reference it lies. Archives keep
 * it beside the pictures (PS3.3 A.85.1, the Encapsulated STL IOD). */
#include <string.h>
#include <xxhash.h>

#include "dicom_write.h"
#include "echosolid/format.h"

static const char SOP_CLASS[] = "1.2.840.10008.5.1.4.1.1.104.3";

/* The digest is that of the bytes: equal models have equal UIDs. */
static void put_identity(es_elements *to) {
    es_put_text(to, 0x00080005, "CS", "ISO_IR 192");
    es_put_text(to, 0x00080016, "UI", SOP_CLASS);
    es_put_uid(to, 0x00080018, ES_SALT_INSTANCE + ES_DICOM_MODEL);
    es_put_text(to, 0x00080020, "DA", "");
    es_put_text(to, 0x00080023, "DA", "");
    es_put_text(to, 0x0008002a, "DT", "");
    es_put_text(to, 0x00080030, "TM", "");
    es_put_text(to, 0x00080033, "TM", "");
    es_put_text(to, 0x00080050, "SH", "");
    es_put_text(to, 0x00080060, "CS", "M3D");
    es_put_text(to, 0x00080070, "LO", "echosolid");
    es_put_text(to, 0x00080090, "PN", "");
    es_put_text(to, 0x0008103e, "LO", "Bone surface from ultrasound");
    es_put_text(to, 0x00081090, "LO", "echosolid");
    es_dicom_put_nobody(to);
    es_put_text(to, 0x00181000, "LO", "none");
    es_put_text(to, 0x00181020, "LO", es_version());
}

static void put_relation(es_elements *to) {
    es_put_uid(to, 0x0020000d, ES_SALT_STUDY);
    es_put_uid(to, 0x0020000e, ES_SALT_SERIES + ES_DICOM_MODEL);
    es_put_text(to, 0x00200010, "SH", "");
    es_put_text(to, 0x00200011, "IS", "1");
    es_put_text(to, 0x00200013, "IS", "1");
    es_put_uid(to, 0x00200052, ES_SALT_SPACE);
    es_put_text(to, 0x00201040, "LO", "");
    es_put_text(to, 0x00204000, "LT", "Research software: not for diagnosis or planning.");
    es_put_text(to, 0x00280301, "CS", "NO");
}

static void put_unit(es_elements *to) {
    es_dicom_put_code(to, 0x004008ea, "mm", "UCUM", "millimeter");
    es_put_sequence(to, 0x0040a043); /* what kind of document: not said */
    es_put_sequence_end(to);
}

static void put_all(es_elements *to, const void *stl, size_t length, const char *title) {
    es_dicom_put_meta(to, SOP_CLASS, ES_DICOM_MODEL, false);
    put_identity(to);
    put_relation(to);
    put_unit(to);
    es_put_text(to, 0x00420010, "ST", title);
    es_put_bytes(to, 0x00420011, "OB", stl, length);
    es_put_text(to, 0x00420012, "LO", "model/stl");
    es_put_long(to, 0x00420015, "UL", (uint32_t)length);
}

bool es_dicom_stl_write(const char *path, const void *stl, size_t length, const char *title,
                        es_error *err) {
    XXH128_hash_t hash = XXH3_128bits(stl, length);
    es_elements all = {.digest = {hash.high64, hash.low64}};
    if (length > UINT32_MAX - 2)
        return es_fail(err, ES_UNSUPPORTED, "%s: a DICOM file holds 4 GiB at most", path);
    put_all(&all, stl, length, title);
    es_output *out = es_output_open(path, err);
    bool ok = out && (!all.bytes.failed || es_fail(err, ES_MEMORY, "%s: out of memory", path)) &&
              es_output_write(out, all.bytes.bytes, all.bytes.length, err);
    es_text_free(&all.bytes);
    if (ok) return es_output_commit(out, err);
    es_output_discard(out);
    return false;
}
