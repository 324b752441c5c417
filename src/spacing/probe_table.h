/* The built-in probe table. */
#ifndef ES_SPACING_PROBE_TABLE_H
#define ES_SPACING_PROBE_TABLE_H

#include "echosolid/spacing.h"

extern const es_probe_entry probe_table[];
extern const size_t probe_table_count;

#endif
