/* NRRD headers and pixels. */
#include "fuzz_format.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Half the inputs get the mark of the format, so that they are not all
 * refused at the door. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const char mark[] = "NRRD0004\n";
    static uint8_t whole[1 << 16];
    if (length == 0 || length > sizeof whole - sizeof mark) return 0;
    if (bytes[0] & 1) return fuzz_file(bytes, length);
    memcpy(whole, mark, sizeof mark - 1);
    memcpy(whole + sizeof mark - 1, bytes + 1, length - 1);
    return fuzz_file(whole, length + sizeof mark - 2);
}
