#include "detector.h"

bool detector_open(const detector_options *options, es_bone_method *method, es_network **network,
                   es_error *err) {
    *network = NULL;
    *method = options->method >= 0 ? (es_bone_method)options->method
              : options->network   ? ES_BONE_NETWORK
                                   : es_bone_method_default();
    if (!options->network) return true;
    if (*method != ES_BONE_NETWORK)
        return es_fail(err, ES_USAGE, "--network is for --detector network, not %s",
                       es_bone_method_names[*method]);
    return (*network = es_network_open(options->network, err)) != NULL;
}
