/* What the two DICOM writers share: frames wait in a scratch file while their
 * digest, from which all UIDs are made, is taken; then header and frames go
 * out. */
#ifndef ES_DICOM_WRITE_H
#define ES_DICOM_WRITE_H

#include "dicom_elements.h"
#include "format_internal.h"

typedef struct XXH3_state_s es_digest_state;

typedef struct es_dicom_frames {
    char *path;
    es_scratch *scratch;
    es_digest_state *digest;
    uint64_t bytes, count;
    uint32_t width, height;
    es_type type;
    int channels;
} es_dicom_frames;
/* ES_UNSUPPORTED for pixels that are not 8- or 16-bit grey or 8-bit RGB. On
 * failure es_dicom_frames_clear is still the caller's to call. */
bool es_dicom_frames_start(es_dicom_frames *frames, const char *path, es_error *err);
bool es_dicom_frames_put(es_dicom_frames *frames, const void *bytes, size_t length, es_error *err);
void es_dicom_frames_clear(es_dicom_frames *frames);
/* Numbers that belong to the contents too: places, times. */
void es_dicom_frames_mix(es_dicom_frames *frames, const void *bytes, size_t length);

typedef enum es_dicom_kind {
    ES_DICOM_CAPTURE,   /* multi-frame secondary capture: byte, word or true colour */
    ES_DICOM_CINE,      /* ultrasound multi-frame */
    ES_DICOM_US_VOLUME, /* Enhanced US Volume */
    ES_DICOM_MODEL,     /* Encapsulated STL; no es_dicom_document */
} es_dicom_kind;

/* Of es_put_uid; instance and series + kind. */
enum {
    ES_SALT_STUDY = 1,
    ES_SALT_SPACE = 2,
    ES_SALT_DIMENSIONS = 3,
    ES_SALT_TIME = 4,
    ES_SALT_INSTANCE = 16,
    ES_SALT_SERIES = 32
};

/* Preamble and meta header; an unknown patient; a sequence of one code. */
void es_dicom_put_meta(es_elements *to, const char *sop_class, es_dicom_kind kind, bool implicit);
void es_dicom_put_nobody(es_elements *to);
void es_dicom_put_code(es_elements *to, uint32_t tag, const char *value, const char *scheme,
                       const char *meaning);

/* The rows of a data set that differ; each is called where its tags come.
 * With functional groups the frames have places in space. */
typedef struct es_dicom_document {
    es_dicom_kind kind;
    const es_dicom_frames *frames;
    bool implicit, burned_in;
    const char *derivation;
    uint32_t increment;          /* tag that Frame Increment Pointer names */
    const double *row_column_mm; /* pixel spacing outside of functional groups, or NULL */
    void (*acquisition)(es_elements *to, const void *context); /* 0018,1030 to 9000 */
    void (*relation)(es_elements *to, const void *context);    /* 0020,9000 on */
    void (*groups)(es_elements *to, const void *context);      /* 5200,9229 and 9230 */
    const void *context;
} es_dicom_document;
/* Header and frames to `path`, not yet under its name. */
es_output *es_dicom_document_write(const es_dicom_document *document, const char *path,
                                   es_error *err);

/* What an Enhanced US Volume has and the others have not (dicom_write_us.c), each
 * at its place in the order of tags. */
extern const char *const es_dicom_us_comment;
void es_dicom_us_put_anatomy(es_elements *to);
void es_dicom_us_put_acquisition(es_elements *to, const void *context); /* unused */
void es_dicom_us_put_technique(es_elements *to);
void es_dicom_us_put_space(es_elements *to);
void es_dicom_us_put_view(es_elements *to);

#endif
