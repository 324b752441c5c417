/* The nwire scene of `echosolid simulate`: a recording to calibrate with, and
 * its truth. */
#include "simulate_wires.h"

#include <math.h>

#include "calibrate.h"

bool wires_bath(const char *phantom, es_bath *bath, es_error *err) {
    es_wire_phantom p;
    if (!es_wire_phantom_named(phantom, &p, err)) return false;
    *bath = (es_bath)ES_BATH_DEFAULTS;
    bath->wire_count = 3 * p.patterns;
    for (int w = 0; w < bath->wire_count; w++) {
        bath->wires[w][0] = p.wires[w].front;
        bath->wires[w][1] = p.wires[w].back;
    }
    return true;
}

static void add_wire(es_text *xml, const es_wire *w) {
    es_text_add(xml, "<Wire Name=\"%s\" EndPointFront=\"%g %g %g\" EndPointBack=\"%g %g %g\"/>\n",
                w->name, w->front.x, w->front.y, w->front.z, w->back.x, w->back.y, w->back.z);
}

bool wires_write_config(const char *phantom, const char *path, es_error *err) {
    es_wire_phantom p;
    es_text xml = {0};
    es_plus_transform place = {.from = "Phantom",
                               .to = "Reference",
                               .matrix = es_bath_phantom_to_reference(),
                               .error = NAN};
    if (!es_wire_phantom_named(phantom, &p, err)) return false;
    es_text_add(&xml, "<PlusConfiguration version=\"2.1\">\n<PhantomDefinition><Geometry>\n");
    for (int w = 0; w < 3 * p.patterns; w++) {
        if (w % 3 == 0) es_text_add(&xml, "<Pattern Type=\"NWire\">\n");
        add_wire(&xml, &p.wires[w]);
        if (w % 3 == 2) es_text_add(&xml, "</Pattern>\n");
    }
    es_text_add(&xml, "</Geometry></PhantomDefinition>\n</PlusConfiguration>\n");
    es_plus *plus =
        xml.failed ? NULL : es_plus_parse(xml.bytes, xml.length, "simulated phantom", err);
    bool ok = plus && es_plus_transform_set(plus, &place, err) && es_plus_write(plus, path, err);
    if (xml.failed) es_fail(err, ES_MEMORY, "out of memory for the configuration");
    es_plus_free(plus);
    es_text_free(&xml);
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
    calibrate_print_matrix("image to probe:", truth);
    return 0;
}
