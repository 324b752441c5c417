/* The calibrations on the live page: what pages ask for becomes deeds of the wizard,
 * and what it says becomes messages and files. */
#ifndef ECHOSOLID_APP_LIVE_WIZARD_H
#define ECHOSOLID_APP_LIVE_WIZARD_H

#include "app.h"
#include "echosolid/live_page.h"
#include "echosolid/wizard.h"

typedef struct live_wizard live_wizard;
/* `plus` (may be NULL) is copied; `folder` NULL: nothing can be written; `source` is
 * named in what is written. Both are borrowed. */
live_wizard *live_wizard_new(const es_plus *plus, const char *folder, const char *source,
                             es_error *err);
/* The page that is spoken to from now on; NULL: none. */
void live_wizard_show(live_wizard *wizard, es_live_page *page);
/* Once its page is gone; NULL is left alone. */
void live_wizard_free(live_wizard *wizard);

/* A frame that came; NULL is left alone. */
void live_wizard_frame(live_wizard *wizard, const es_frame *frame);
/* {"do": "wizard", ...} of a page: es_live_page_options.wizard. Whatever else comes is
 * left out. */
void live_wizard_text(void *wizard, const char *text, size_t length);

#endif
