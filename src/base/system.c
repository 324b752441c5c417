/* Version, processor, clock, memory, chance. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "echosolid/base.h"

const char *es_version(void) { return ES_VERSION; }

static es_cpu detect_cpu(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ES_CPU_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ES_CPU_AVX2;
#endif
    return ES_CPU_SCALAR;
}

const char *es_cpu_name(es_cpu level) {
    static const char *const names[] = {"scalar", "avx2", "avx512"};
    return names[level];
}

bool es_cpu_level(es_cpu *level, es_error *err) {
    es_cpu best = detect_cpu();
    const char *wish = getenv("ES_CPU");
    *level = best;
    if (!wish || !*wish) return true;
    for (es_cpu c = ES_CPU_SCALAR; c <= ES_CPU_AVX512; c++)
        if (strcmp(wish, es_cpu_name(c)) == 0) {
            *level = c < best ? c : best;
            return true;
        }
    return es_fail(err, ES_USAGE, "ES_CPU=%s: unknown; it may be scalar, avx2 or avx512", wish);
}

double es_clock_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

uint64_t es_memory_peak(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
}

uint64_t es_memory_free(void) {
    FILE *file = fopen("/proc/meminfo", "r");
    static const char key[] = "MemAvailable:";
    unsigned long long kib = 0;
    char line[128];
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, sizeof key - 1) == 0)
            kib = strtoull(line + sizeof key - 1, NULL, 10);
    if (file) fclose(file);
    return (uint64_t)kib * 1024;
}

es_random es_random_new(uint64_t seed, uint64_t stream) {
    es_random random = {seed};
    random.state = es_random_bits(&random) ^ (stream * 0xd1342543de82ef95u);
    es_random_bits(&random);
    return random;
}

uint64_t es_random_bits(es_random *random) {
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double es_random_uniform(es_random *random) {
    return (double)(es_random_bits(random) >> 11) * 0x1p-53;
}

double es_random_normal(es_random *random) { /* Box and Muller 1958 */
    double u = 1.0 - es_random_uniform(random), v = es_random_uniform(random);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}
