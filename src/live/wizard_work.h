/* The work of a wizard on what it has collected: one way for a look and for the
 * solution. */
#ifndef ES_LIVE_WIZARD_WORK_H
#define ES_LIVE_WIZARD_WORK_H

#include "echosolid/wizard.h"

/* Into result (zeroed at first), and what it says of what is there. `whole` false: a
 * look, which leaves out what takes more than seconds. False: refused, `err` says why;
 * the figures are there all the same. */
typedef struct wizard_figures {
    es_wizard_check checks[ES_WIZARD_CHECKS];
    int count;
} wizard_figures;
bool wizard_work(es_source *source, const es_plus *plus, bool whole, es_wizard_result *result,
                 wizard_figures *figures, es_error *err);
/* What can be known before frames come: phantom, where it lies, temperature. */
bool wizard_prepare(const es_plus *plus, const es_wizard_request *request, es_wizard_result *result,
                    es_error *err);
void wizard_result_clear(es_wizard_result *result);

#endif
