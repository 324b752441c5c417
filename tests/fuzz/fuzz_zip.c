/* Archives: .npz, and scenes of Slicer within stored entries. */
#include "fuzz_format.h"

#include <zip.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t limit);

/* A scene of one picture and one pose, stored without compression. */
static size_t small_scene(uint8_t *out, size_t limit) {
    static const char mrml[] =
        "<MRML><Sequence id='s' name='I' indexValues='v:0;'/><Sequence id='q' "
        "name='ProbeToTracker' "
        "indexValues='t:0'/><Volume id='v' storageNodeRef='a'/><VolumeArchetypeStorage id='a' "
        "fileName='i.nrrd'/><LinearTransform id='t' matrixTransformToParent="
        "'1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1'/></MRML>";
    static const char nrrd[] =
        "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 1\nencoding: raw\n\nabcd";
    static const struct {
        const char *name, *text;
        size_t length;
    } entries[] = {{"s.mrml", mrml, sizeof mrml - 1}, {"i.nrrd", nrrd, sizeof nrrd - 1}};
    zip_error_t error;
    zip_source_t *whole = zip_source_buffer_create(NULL, 0, 0, &error);
    zip_t *zip = zip_open_from_source(whole, ZIP_TRUNCATE, &error);
    if (!zip) abort();
    zip_source_keep(whole);
    for (int i = 0; i < 2; i++) {
        zip_source_t *source = zip_source_buffer(zip, entries[i].text, entries[i].length, 0);
        zip_int64_t at = zip_file_add(zip, entries[i].name, source, 0);
        if (at < 0 || zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0) != 0)
            abort();
    }
    if (zip_close(zip) != 0 || zip_source_open(whole) != 0) abort();
    zip_int64_t length = zip_source_read(whole, out, limit);
    zip_source_close(whole);
    zip_source_free(whole);
    return length > 0 ? (size_t)length : 0;
}

/* libzip checks sums, so a change within a text is refused when it is unpacked to its
 * end; the directory and the lengths are what is tried here. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed) {
    if (length < 22 || memcmp(bytes, "PK", 2) != 0)
        length = seed % 2 ? fuzz_recording(".npz", bytes, limit) : small_scene(bytes, limit);
    if (length <= 4) return LLVMFuzzerMutate(bytes, length, limit);
    return 4 + LLVMFuzzerMutate(bytes + 4, length - 4, limit - 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) { return fuzz_file(bytes, length); }
