/* The nwire scene of `echosolid simulate`: a recording to calibrate with, and
 * its truth. */
#include "simulate_wires.h"

#include <math.h>

#include "calibrate_tell.h"

bool wires_phantom(const char *config, const char *name, es_wire_phantom *phantom, es_error *err) {
    if (!config) return es_wire_phantom_named(name, phantom, err);
    es_plus *plus = es_plus_read(config, err);
    bool ok = plus && (es_wire_phantom_read(plus, phantom, err) || es_prefix(err, "%s", config));
    es_plus_free(plus);
    return ok;
}

bool wires_write_config(const es_wire_phantom *phantom, const char *path, es_error *err) {
    const es_points none = {0};
    es_plus_transform place = {.from = "Phantom",
                               .to = "Reference",
                               .matrix = es_bath_phantom_to_reference(),
                               .error = NAN};
    es_plus *plus = es_wire_phantom_plus(phantom, &none, err);
    bool ok = plus && es_plus_transform_set(plus, &place, err) && es_plus_write(plus, path, err);
    es_plus_free(plus);
    return ok;
}

int wires_print(const common_options *common, const char *output, const char *config,
                const es_bath *bath) {
    es_mat4 truth = es_bath_image_to_probe(bath);
    if (common->json)
        return app_print_json(json_pack(
            "{s:s, s:s, s:i, s:o, s:[f, f], s:f}", "output", output, "config", config, "frames",
            bath->frames, "image_to_probe", calibrate_json_matrix(truth), "spacing_mm",
            bath->spacing_mm[0], bath->spacing_mm[1], "lag_s", bath->lag_s));
    printf("%s: %d frames of an N-wire phantom in a bath\n", output, bath->frames);
    printf("%s: the phantom's wires and where it lies\n", config);
    printf("truth: lag %+g s, spacing %g x %g mm\n", bath->lag_s, bath->spacing_mm[0],
           bath->spacing_mm[1]);
    tell_print_matrix("image to probe:", truth);
    return 0;
}
