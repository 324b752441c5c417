/* libFuzzer: any bytes as a PLUS configuration, then all that can be asked of
 * it, set in it and saved from it. */
#include "echosolid/format.h"

static void read_transforms(const es_plus *plus) {
    es_plus_transform t;
    es_graph *graph = es_graph_new(NULL);
    es_mat4 matrix;
    for (size_t i = 0; i < 4; i++) es_plus_transform_get(plus, i, &t, NULL);
    if (graph && es_plus_to_graph(plus, graph, NULL))
        es_graph_find(graph, "Image", "Reference", &matrix, NULL, NULL);
    es_graph_free(graph);
}

static void read_paths(const es_plus *plus) {
    static const char *const paths[] = {"Segmentation", "PhantomDefinition/Geometry/Pattern/Wire",
                                        "PhantomDefinition/Geometry/Pattern[1]/Wire[0]"};
    for (size_t i = 0; i < 3; i++) {
        es_plus_element_count(plus, paths[i]);
        es_free(es_plus_attribute(plus, paths[i], i, "Name", NULL));
    }
}

static void set_everything(es_plus *plus) {
    es_plus_transform t = {.from = "Image", .to = "Probe", .matrix = es_mat4_identity()};
    es_plus_reconstruction recon;
    es_plus_scan_conversion scan;
    bool present;
    if (es_plus_reconstruction_get(plus, &recon, &present, NULL)) {
        es_plus_reconstruction_set(plus, &recon, NULL);
        es_plus_reconstruction_get(plus, &recon, &present, NULL);
    }
    if (es_plus_scan_conversion_get(plus, &scan, &present, NULL)) {
        es_plus_scan_fan(&scan);
        es_plus_scan_conversion_set(plus, &scan, NULL);
    }
    es_plus_transform_set(plus, &t, NULL);
    es_plus_attribute_set(plus, "Segmentation/A[1]", 0, "B", "c", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    es_error err = {0};
    es_plus *plus = es_plus_parse((const char *)data, size, "fuzz.xml", &err);
    if (!plus) {
        if (err.code == ES_OK) __builtin_trap();
        return 0;
    }
    read_transforms(plus);
    read_paths(plus);
    set_everything(plus);
    read_transforms(plus);
    es_plus_free(plus);
    return 0;
}
