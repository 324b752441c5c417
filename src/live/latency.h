/* Latencies counted in bins, for the median and the 99 % of millions of them. */
#ifndef ES_LIVE_LATENCY_H
#define ES_LIVE_LATENCY_H

#include <stdint.h>

enum { LATENCY_BINS = 20000 };
#define LATENCY_BIN_S 1e-4

typedef struct latencies {
    uint32_t bins[LATENCY_BINS + 1]; /* the last: all that are longer */
    uint64_t count;
} latencies;

/* NaN is not counted. */
void latencies_add(latencies *latencies, double seconds);
/* The least that `share` of them do not pass; NaN without any. */
double latencies_percentile(const latencies *latencies, double share);

#endif
