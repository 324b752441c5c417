/* DICOM files: structure, header and pixels. */
#include "fuzz_format.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t length, size_t limit);

/* A still of 8 x 4 pixels behind a meta header: something to start from. */
static size_t small_file(uint8_t *out, uint8_t coding) {
    static const char meta[] = "\2\0\20\0UI\24\0001.2.840.10008.1.2.1\0";
    static const char jpeg[] = "\2\0\20\0UI\26\0001.2.840.10008.1.2.4.5";
    static const char elements[] = "(\0\2\0US\2\0\1\0" /* samples */
                                   "(\0\4\0CS\14\0MONOCHROME2 "
                                   "(\0\10\0IS\2\0001 "
                                   "(\0\20\0US\2\0\4\0(\0\21\0US\2\0\10\0"
                                   "(\0\0\1US\2\0\10\0(\0\1\1US\2\0\10\0"
                                   "(\0\2\1US\2\0\7\0(\0\3\1US\2\0\0\0";
    static const char native[] = "\340\177\20\0OB\0\0 \0\0\0";
    size_t at = 132;
    memset(out, 0, 128);
    memcpy(out + 128, "DICM", 4);
    if (coding % 3 == 0) {
        memcpy(out + at, meta, sizeof meta - 1);
        at += sizeof meta - 1;
    } else {
        memcpy(out + at, jpeg, sizeof jpeg - 1);
        at += sizeof jpeg - 1;
        out[at++] = '0' + coding % 2 * 7;
    }
    memcpy(out + at, elements, sizeof elements - 1);
    at += sizeof elements - 1;
    memcpy(out + at, native, sizeof native - 1);
    at += sizeof native - 1;
    memset(out + at, 77, 32);
    return at + 32;
}

/* Inputs that are no DICOM at all are refused at the door: these start over. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t length, size_t limit, unsigned seed) {
    bool marked = length > 160 && memcmp(bytes + 128, "DICM", 4) == 0;
    if (!marked && limit > 512) length = small_file(bytes, (uint8_t)seed);
    size_t head = length > 132 ? 132 : 0;
    return head + LLVMFuzzerMutate(bytes + head, length - head, limit - head);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) { return fuzz_file(bytes, length); }
