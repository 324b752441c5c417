/* The nwire scene of `echosolid simulate`. */
#ifndef ECHOSOLID_APP_SIMULATE_WIRES_H
#define ECHOSOLID_APP_SIMULATE_WIRES_H

#include "app.h"
#include "echosolid/calibration.h"

/* The phantom of a configuration or, when that is NULL, of a known name. */
bool wires_phantom(const char *config, const char *name, es_wire_phantom *phantom, es_error *err);
/* Configuration with the phantom's wires and where it lies; no ImageToProbe:
 * that is to be found. */
bool wires_write_config(const es_wire_phantom *phantom, const char *path, es_error *err);
int wires_print(const common_options *common, const char *output, const char *config,
                const es_bath *bath);

#endif
