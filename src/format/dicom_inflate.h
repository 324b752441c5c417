/* Deflated DICOM data sets. */
#ifndef ES_DICOM_INFLATE_H
#define ES_DICOM_INFLATE_H

#include "echosolid/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes of `path` from `offset` on, inflated (without a zlib header) into a
 * nameless temporary file of 2 GiB at most; fclose it. */
FILE *es_dicom_inflate(const char *path, int64_t offset, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
