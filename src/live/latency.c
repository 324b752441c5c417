#include "latency.h"

#include <math.h>
#include <stddef.h>

void latencies_add(latencies *l, double seconds) {
    double bin = seconds / LATENCY_BIN_S;
    if (isnan(bin)) return;
    size_t at = bin < 0 ? 0 : bin >= LATENCY_BINS ? LATENCY_BINS : (size_t)bin;
    l->bins[at]++;
    l->count++;
}

double latencies_percentile(const latencies *l, double share) {
    uint64_t wanted = (uint64_t)ceil(share * (double)l->count), sum = 0;
    if (l->count == 0) return NAN;
    for (size_t i = 0; i <= LATENCY_BINS; i++)
        if ((sum += l->bins[i]) >= wanted) return ((double)i + 1) * LATENCY_BIN_S;
    return NAN;
}
