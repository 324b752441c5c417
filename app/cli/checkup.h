/* What the doctor and the spacing's evidence say of a recording, for the
 * commands that look before they work. */
#ifndef ECHOSOLID_APP_CHECKUP_H
#define ECHOSOLID_APP_CHECKUP_H

#include "app.h"
#include "echosolid/judge.h"

typedef struct app_checkup {
    bool looked;
    es_judgement spacing;
    es_findings findings;
    double seconds;
} app_checkup;
void app_checkup_clear(app_checkup *checkup);

/* Reads the source once, `pixel_bytes` of pictures at most (0: as the doctor
 * does), and rewinds it first. `plus` and `config`, its path, may be NULL. */
bool app_checkup_run(app_checkup *checkup, es_source *source, const es_plus *plus,
                     const char *config, double pixel_bytes, const common_options *common,
                     es_error *err);

size_t app_count_findings(const es_findings *list, es_severity severity);
/* {"errors", "warnings", "notes", "checks"}: the names of what is more than a note. */
json_t *app_json_findings(const es_findings *list);
/* {"verdict", "spacing_mm", "ci95_mm", "summary"}; null without pictures. */
json_t *app_json_spacing(const es_judgement *judgement);

/* The lines "spacing" and "doctor" for people. */
void app_print_spacing(const es_judgement *judgement);
void app_print_findings(const es_findings *list);

#endif
