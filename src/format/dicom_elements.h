/* DICOM data elements into memory, little-endian, in the order they are put
 * (ascending tags: the caller's care). */
#ifndef ES_DICOM_ELEMENTS_H
#define ES_DICOM_ELEMENTS_H

#include "echosolid/base.h"

/* Start with {0}; bytes.failed tells of memory that ran out. */
typedef struct es_elements {
    es_text bytes;
    bool implicit; /* no VR is written, and every length has 32 bits */
    uint64_t digest[2];
} es_elements;
enum { ES_UID_SIZE = 48 };

void es_put_text(es_elements *to, uint32_t tag, const char *vr, const char *text);
void es_put_words(es_elements *to, uint32_t tag, const uint16_t *words, size_t count); /* US */
void es_put_word(es_elements *to, uint32_t tag, uint16_t word);
void es_put_longs(es_elements *to, uint32_t tag, const char *vr, const uint32_t *values,
                  size_t count); /* UL, SL */
void es_put_long(es_elements *to, uint32_t tag, const char *vr, uint32_t value);
void es_put_doubles(es_elements *to, uint32_t tag, const double *values, size_t count);  /* FD */
void es_put_decimals(es_elements *to, uint32_t tag, const double *values, size_t count); /* DS */
void es_put_tag(es_elements *to, uint32_t tag, uint32_t value);                          /* AT */
void es_put_bytes(es_elements *to, uint32_t tag, const char *vr, const void *bytes, size_t length);
/* A sequence, its items, and their ends. */
void es_put_sequence(es_elements *to, uint32_t tag);
void es_put_item(es_elements *to);
void es_put_item_end(es_elements *to);
void es_put_sequence_end(es_elements *to);
/* The head of an element whose value follows elsewhere. */
void es_put_head(es_elements *to, uint32_t tag, const char *vr, uint32_t length);
/* A UID made of the digest and `salt`: under the root 2.25, where the number
 * is a UUID (version 8, RFC 9562). */
void es_put_uid(es_elements *to, uint32_t tag, unsigned salt);
char *es_make_uid(const uint64_t digest[2], unsigned salt, char uid[ES_UID_SIZE]);

#endif
