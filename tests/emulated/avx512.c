/* Whether the AVX-512 kernels give the same bits as the plain ones: a program without an
 * operating system, for an emulated processor, since few machines have such vectors. It
 * tells by the serial port. */
#include <stdint.h>
#include <string.h>

#include "network_internal.h"

static void out_byte(uint16_t port, uint8_t byte) {
    __asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

static uint8_t in_byte(uint16_t port) {
    uint8_t byte;
    __asm__ volatile("inb %1, %0" : "=a"(byte) : "Nd"(port));
    return byte;
}

static void tell(const char *text) {
    for (; *text; text++) {
        out_byte(0x3f8, (uint8_t)*text);
        while (!(in_byte(0x3fd) & 0x40)) continue; /* sent */
    }
}

static void tell_number(unsigned number) {
    char digits[12];
    int at = 11;
    digits[at] = 0;
    do digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    tell(digits + at);
}

/* What compilers call without being asked. */
void *memset(void *to, int byte, size_t count) {
    unsigned char *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(byte) : "memory");
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
    return to;
}

static uint32_t seed = 1;

static float random_number(void) { /* -1 to 1, of any size */
    seed = seed * 1664525 + 1013904223;
    float value = (float)(int32_t)seed / 2147483648.0f;
    return seed >> 8 & 15 ? value : value * 1e-30f;
}

enum { TAPS_MOST = 80, LENGTH_MOST = 700, ROOM = LENGTH_MOST + TILE_MOST, CASES = 400 };
static float plane[ROOM + TAPS_MOST], weight[TAPS_MOST * TILE_OUTS];
static float plain[TILE_OUTS][ROOM], wide[TILE_OUTS][ROOM];

static unsigned differ(size_t count, size_t length, bool relu) {
    const float *at[TAPS_MOST];
    float bias[TILE_OUTS], *out[2][TILE_OUTS];
    for (size_t i = 0; i < ROOM + TAPS_MOST; i++) plane[i] = random_number();
    for (size_t i = 0; i < count * TILE_OUTS; i++) weight[i] = random_number();
    for (size_t t = 0; t < count; t++) at[t] = plane + t;
    for (int o = 0; o < TILE_OUTS; o++) {
        bias[o] = random_number();
        out[0][o] = plain[o];
        out[1][o] = wide[o];
    }
    struct taps taps = {at, weight, count};
    network_kernel_plain(&taps, bias, relu, length, out[0]);
    network_kernel_avx512(&taps, bias, relu, length, out[1]);
    unsigned bad = 0;
    for (int o = 0; o < TILE_OUTS; o++)
        for (size_t i = 0; i < length; i++) {
            uint32_t a, b;
            memcpy(&a, &plain[o][i], sizeof a);
            memcpy(&b, &wide[o][i], sizeof b);
            bad += a != b;
        }
    return bad;
}

void program(void);
void program(void) {
    out_byte(0x3fb, 3); /* the serial port sends eight bits */
    unsigned bad = 0, values = 0;
    for (unsigned i = 0; i < CASES; i++) {
        size_t count = 1 + i % TAPS_MOST, length = 1 + i * 37 % LENGTH_MOST;
        bad += differ(count, length, i & 1);
        values += (unsigned)(TILE_OUTS * length);
    }
    tell("network: ");
    tell_number(values);
    tell(" values, ");
    tell_number(bad);
    tell(" differ\n");
    for (const char *p = "Shutdown"; *p; p++) out_byte(0x8900, (uint8_t)*p);
}
