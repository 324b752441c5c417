/* Which kernel this processor runs. */
#include "network_internal.h"

network_kernel *network_kernel_find(es_cpu level) {
#ifdef __x86_64__
    if (level >= ES_CPU_AVX512) return network_kernel_avx512;
    if (level >= ES_CPU_AVX2) return network_kernel_avx2;
#endif
    (void)level;
    return network_kernel_plain;
}
