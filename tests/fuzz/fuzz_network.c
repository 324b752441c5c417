/* The reader of .esnn: any bytes give a network that runs, or an error. */
#include "echosolid/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const float grey[6 * 5];
    float logits[6 * 5];
    es_error err = {0};
    es_network *network = es_network_new(data, size, &err);
    if (!network) return 0;
    es_network_run *run = es_network_run_new(network, &err);
    if (run) es_network_apply(run, grey, 6, 5, logits, &err);
    es_network_run_free(run);
    es_network_free(network);
    return 0;
}
