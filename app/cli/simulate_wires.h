/* The nwire scene of `echosolid simulate`. */
#ifndef ECHOSOLID_APP_SIMULATE_WIRES_H
#define ECHOSOLID_APP_SIMULATE_WIRES_H

#include "app.h"

/* The default bath with a phantom of a known name. */
bool wires_bath(const char *phantom, es_bath *bath, es_error *err);
/* Configuration with the phantom's wires and where it lies; no ImageToProbe:
 * that is to be found. */
bool wires_write_config(const char *phantom, const char *path, es_error *err);
int wires_print(const common_options *common, const char *output, const char *config,
                const es_bath *bath);

#endif
