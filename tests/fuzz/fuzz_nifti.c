/* NIfTI-1 headers and what follows. */
#include "fuzz_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t limit);

static size_t small_file(uint8_t *out) {
    static const int16_t dims[] = {4, 3, 2, 1, 2, 1, 1, 1}, type[] = {2, 8};
    static const float steps[] = {1, 1, 1, 1, 1, 1, 1, 1}, offset = 352;
    memset(out, 0, 352 + 12);
    out[0] = 348 & 255, out[1] = 348 >> 8;
    memcpy(out + 40, dims, sizeof dims);
    memcpy(out + 70, type, sizeof type);
    memcpy(out + 76, steps, sizeof steps);
    memcpy(out + 108, &offset, sizeof offset);
    memcpy(out + 344, "n+1", 4);
    return 352 + 12;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed) {
    (void)seed;
    if ((length < 348 || memcmp(bytes + 344, "n+1", 3) != 0) && limit > 512)
        length = small_file(bytes);
    return LLVMFuzzerMutate(bytes, length, limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) { return fuzz_file(bytes, length); }
