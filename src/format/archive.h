/* Zip archives: entries by name, unpacked within limits. */
#ifndef ES_FORMAT_ARCHIVE_H
#define ES_FORMAT_ARCHIVE_H

#include <zip.h>

#include "container.h"

enum { ES_ARCHIVE_ENTRIES = 100000 };

zip_t *es_archive_open(const char *path, es_error *err);
/* The name of an entry, NULL when it has none (a damaged directory). */
const char *es_archive_entry(zip_t *zip, size_t index);
/* One entry into a nameless file, which may be at most 1032 times as long as
 * what is stored (deflate cannot do more) and must have its announced length. */
es_scratch *es_archive_unpack(zip_t *zip, size_t index, es_error *err);
/* Its first `limit` bytes alone. */
es_scratch *es_archive_peek(zip_t *zip, size_t index, size_t limit, es_error *err);
/* The same into memory, `limit` bytes at most, NUL-terminated. */
char *es_archive_text(zip_t *zip, size_t index, size_t limit, size_t *length, es_error *err);

/* A Slicer scene: .mrb, .seq.mrb (slicer.c). Takes the archive over. */
es_source *es_slicer_open(const es_input *name, zip_t *zip, es_error *err);

#endif
