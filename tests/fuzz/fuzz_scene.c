/* Archives (.npz) and Slicer's scenes: every second input is taken for the XML
 * of a scene with one small sequence of pictures and one of transforms. */
#include "fuzz_format.h"

#include <string.h>
#include <zip.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static const char sequence[] = "NRRD0005\ntype: uchar\ndimension: 4\nsizes: 2 3 2 1\n"
                               "kinds: list domain domain domain\nencoding: raw\n"
                               "axis 0 index type:=numeric\naxis 0 index values:=0 1\n\n"
                               "abcdefghijkl";

static void add(zip_t *zip, const char *name, const void *data, size_t length) {
    zip_source_t *source = zip_source_buffer(zip, data, length, 0);
    if (!source || zip_file_add(zip, name, source, 0) < 0) abort();
}

static int fuzz_scene(const uint8_t *bytes, size_t length) {
    static uint8_t packed[1 << 18];
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t *memory = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *zip = zip_open_from_source(memory, ZIP_TRUNCATE, &error);
    if (!zip) abort();
    zip_source_keep(memory);
    add(zip, "s.mrml", bytes, length);
    add(zip, "Data/a.seq.nrrd", sequence, sizeof sequence - 1);
    if (zip_close(zip) != 0 || zip_source_open(memory) != 0) abort();
    zip_int64_t got = zip_source_read(memory, packed, sizeof packed);
    zip_source_close(memory);
    zip_source_free(memory);
    return got > 0 ? fuzz_file(packed, (size_t)got) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 2 || length > 1 << 16) return 0;
    return bytes[0] & 1 ? fuzz_file(bytes + 1, length - 1) : fuzz_scene(bytes + 1, length - 1);
}
