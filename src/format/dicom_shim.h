/* The door to DCMTK, which is C++: everything that this room asks of it, in
 * plain C. No type of DCMTK passes, and no exception does.
 *
 * An attribute is named by its path: "0028,0010" at the top, or through the
 * items of sequences, "0018,6011[1]/0018,6024". Files are not trusted: how
 * deep sequences may nest and how many elements there may be is limited. */
#ifndef ES_DICOM_SHIM_H
#define ES_DICOM_SHIM_H

#include "echosolid/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ES_DICOM_VALUE = 256 }; /* room for most values as text */

/* A data set of which large values stay in the file until they are asked for.
 * It belongs to one thread at a time; several may be open. */
typedef struct es_dicom es_dicom;
es_dicom *es_dicom_open(const char *path, es_error *err);
void es_dicom_close(es_dicom *dicom);
/* UID of the transfer syntax. */
const char *es_dicom_syntax(const es_dicom *dicom);
/* Whether the pixels are encapsulated, a stream for each frame. */
bool es_dicom_is_encapsulated(const es_dicom *dicom);

/* The whole value, parts separated by '\', blanks cut off both ends. False
 * when it is absent, empty, no text, or longer than size - 1 bytes. */
bool es_dicom_text(const es_dicom *dicom, const char *path, char *text, size_t size);
/* Up to `limit` numbers of the value. Returns how many it has (may exceed
 * limit), or -1 when it is absent, empty or holds something else. */
long es_dicom_numbers(const es_dicom *dicom, const char *path, double *values, long limit);
/* The same of 16-bit words (OW, US, SS), as they are. */
long es_dicom_words(const es_dicom *dicom, const char *path, uint16_t *values, long limit);
/* Items of a sequence, -1 when it is absent. */
long es_dicom_items(const es_dicom *dicom, const char *path);

/* Bytes of the native pixel data; 0 when there are none. */
uint64_t es_dicom_pixel_bytes(const es_dicom *dicom);
/* Streams of encapsulated pixel data: at most one for each frame. */
long es_dicom_streams(const es_dicom *dicom);
/* Frame `frame` as native samples in the byte order of this machine; `bytes`
 * is its size by the header, and `samples` has room for an even number. Those
 * of encapsulated frames come pixel by pixel, in the colours they were coded. */
bool es_dicom_frame(es_dicom *dicom, uint32_t frame, void *samples, size_t bytes, es_error *err);
/* The coded stream of a frame, or its first `limit` bytes; es_free it. */
bool es_dicom_stream(es_dicom *dicom, uint32_t frame, size_t limit, unsigned char **bytes,
                     size_t *length, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
