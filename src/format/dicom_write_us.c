/* What the standard demands of an Enhanced US Volume (PS3.3 A.59) beyond pixels
 * and places. A volume put together from many pictures knows nothing of it, and
 * most of it must not be empty (type 1): codes say "Unknown", and numbers are
 * stand-ins that es_dicom_us_comment names as such. */
#include "dicom_write.h"

const char *const es_dicom_us_comment =
    "Anatomy, view, transducer, indices, focus, depth of scan field and duration are not known; "
    "their values are stand-ins.";

static void put_unknown(es_elements *to, uint32_t tag) {
    es_dicom_put_code(to, tag, "261665006", "SCT", "Unknown");
}

void es_dicom_us_put_anatomy(es_elements *to) { put_unknown(to, 0x00082218); }

void es_dicom_us_put_acquisition(es_elements *to, const void *context) {
    (void)context;
    es_put_text(to, 0x0018106a, "CS", "NO TRIGGER");
    es_put_text(to, 0x00181800, "CS", "N");
    for (uint32_t tag = 0x00185022; tag <= 0x00185026; tag += 2) es_put_text(to, tag, "DS", "0");
    es_put_text(to, 0x00185027, "DS", "0");
    es_put_text(to, 0x00185050, "IS", "0");
}

void es_dicom_us_put_technique(es_elements *to) {
    static const double none = 0;
    es_put_doubles(to, 0x00189073, &none, 1);
    es_put_doubles(to, 0x00189801, &none, 1);
    put_unknown(to, 0x00189809);
    for (uint32_t tag = 0x0018980d; tag <= 0x0018980f; tag++) put_unknown(to, tag);
}

/* The volume lies in the patient's directions (LPS); the probe moved while it was
 * taken, so the one matrix that places it is nominal. */
void es_dicom_us_put_space(es_elements *to) {
    static const double identity[16] = {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
    es_put_text(to, 0x00209307, "CS", "PATIENT");
    es_put_doubles(to, 0x00209309, identity, 16);
    es_put_text(to, 0x0020930b, "CS", "VARIABLE");
    es_put_text(to, 0x0020930c, "CS", "ESTIMATED");
    es_put_text(to, 0x00209311, "CS", "3D");
    es_put_uid(to, 0x00209312, ES_SALT_SPACE);
}

void es_dicom_us_put_view(es_elements *to) {
    es_put_sequence(to, 0x00400555); /* the context of acquisition: none */
    es_put_sequence_end(to);
    put_unknown(to, 0x00540220);
}
