/* .npy headers and arrays. */
#include "fuzz_format.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The header's own length is set right, so that not all are refused there. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static uint8_t whole[1 << 16];
    if (length < 2 || length > sizeof whole - 16) return 0;
    size_t header = bytes[0] < length ? bytes[0] : length - 1;
    memcpy(whole, "\x93NUMPY\1\0\0\0", 10);
    whole[8] = (uint8_t)header;
    memcpy(whole + 10, bytes + 1, length - 1);
    return fuzz_file(whole, 10 + length - 1);
}
