/* HDF5 as TUS-REC has it. The library's own structure is deep: every input starts
 * from a sound file, of which some bytes are changed. */
#include "fuzz_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t limit);

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed) {
    (void)seed;
    if (length < 64 || memcmp(bytes, "\x89HDF", 4) != 0)
        length = fuzz_recording(".h5", bytes, limit);
    if (length <= 8) return LLVMFuzzerMutate(bytes, length, limit);
    return 8 + LLVMFuzzerMutate(bytes + 8, length - 8, limit - 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) { return fuzz_file(bytes, length); }
