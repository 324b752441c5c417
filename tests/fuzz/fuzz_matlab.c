/* MATLAB 5 files: a header of 128 bytes, then arrays. */
#include "fuzz_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t limit);

/* One array `frames` of 4 x 3 x 2 bytes, and a second of doubles. */
static size_t small_file(uint8_t *out) {
    static const uint8_t frames[] = "\16\0\0\0\150\0\0\0"                /* an array of 104 bytes */
                                    "\6\0\0\0\10\0\0\0\11\0\0\0\0\0\0\0" /* its class: uint8 */
                                    "\5\0\0\0\14\0\0\0\4\0\0\0\3\0\0\0\2\0\0\0\0\0\0\0"
                                    "\1\0\0\0\6\0\0\0frames\0\0"
                                    "\2\0\0\0\30\0\0\0ABCDEFGHIJKLMNOPQRSTUVWX";
    memset(out, ' ', 128);
    memcpy(out, "MATLAB 5.0 MAT-file", 19);
    memcpy(out + 124, "\0\1IM", 4);
    memcpy(out + 128, frames, sizeof frames - 1);
    return 128 + sizeof frames - 1;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed) {
    (void)seed;
    bool marked = length > 136 && memcmp(bytes, "MATLAB 5.0", 10) == 0;
    if (!marked && limit > 512) length = small_file(bytes);
    if (length <= 128) return LLVMFuzzerMutate(bytes, length, limit);
    length = 128 + LLVMFuzzerMutate(bytes + 128, length - 128, limit - 128);
    /* Classes of numbers: cells and structures are taken apart by matio alone. */
    if (length > 152) bytes[144] = (uint8_t)(6 + bytes[144] % 8);
    return length;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) { return fuzz_file(bytes, length); }
