/* What the doctor and the spacing's evidence say of a recording. */
#include "checkup.h"

#include <math.h>

void app_checkup_clear(app_checkup *checkup) {
    es_judgement_clear(&checkup->spacing);
    es_findings_clear(&checkup->findings);
    *checkup = (app_checkup){0};
}

bool app_checkup_run(app_checkup *checkup, es_source *source, const es_plus *plus,
                     const char *config, double pixel_bytes, const common_options *common,
                     es_error *err) {
    double start = es_clock_s();
    es_judge_request judge;
    es_judge_request_init(&judge);
    judge.plus = plus;
    judge.config = config ? es_path_name(config) : NULL;
    es_checkup request = {.source = source,
                          .plus = plus,
                          .plus_path = config,
                          .judge = &judge,
                          .judgement = &checkup->spacing,
                          .pixel_bytes = pixel_bytes,
                          .progress = app_progress(common)};
    if (!es_source_rewind(source, err)) return false;
    es_doctor *doctor = es_checkup_run(&request, &checkup->findings, err);
    app_progress_end();
    es_doctor_free(doctor);
    checkup->looked = doctor != NULL;
    checkup->seconds = es_clock_s() - start;
    return checkup->looked;
}

size_t app_count_findings(const es_findings *list, es_severity severity) {
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) count += list->items[i].severity == severity;
    return count;
}

json_t *app_json_spacing(const es_judgement *j) {
    const es_spacing_verdict *v = &j->verdict;
    if (j->still.frames == 0) return json_null();
    return json_pack("{s:s, s:[o,o], s:[[o,o],[o,o]], s:s}", "verdict",
                     v->known ? "known" : "unknown", "spacing_mm",
                     app_json_number(v->spacing_mm[0]), app_json_number(v->spacing_mm[1]),
                     "ci95_mm", app_json_number(v->ci95_mm[0][0]),
                     app_json_number(v->ci95_mm[0][1]), app_json_number(v->ci95_mm[1][0]),
                     app_json_number(v->ci95_mm[1][1]), "summary", v->summary);
}

json_t *app_json_findings(const es_findings *list) {
    json_t *checks = json_array();
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].severity != ES_SEVERITY_NOTE)
            json_array_append_new(checks, json_string(list->items[i].check));
    return json_pack("{s:I, s:I, s:I, s:o}", "errors",
                     (json_int_t)app_count_findings(list, ES_SEVERITY_ERROR), "warnings",
                     (json_int_t)app_count_findings(list, ES_SEVERITY_WARNING), "notes",
                     (json_int_t)app_count_findings(list, ES_SEVERITY_NOTE), "checks", checks);
}

void app_print_spacing(const es_judgement *j) {
    const es_spacing_verdict *v = &j->verdict;
    if (j->still.frames == 0) return;
    if (v->known)
        printf("spacing       %.4f x %.4f mm a pixel (95 %%: %.4f to %.4f across, %.4f to %.4f "
               "down)\n",
               v->spacing_mm[0], v->spacing_mm[1], v->ci95_mm[0][0], v->ci95_mm[0][1],
               v->ci95_mm[1][0], v->ci95_mm[1][1]);
    else
        printf("spacing       unknown%s%s\n", v->ask_count ? "; it would help to have " : "",
               v->ask_count ? v->ask[0] : "");
}

void app_print_findings(const es_findings *list) {
    size_t errors = app_count_findings(list, ES_SEVERITY_ERROR);
    size_t warnings = app_count_findings(list, ES_SEVERITY_WARNING);
    if (errors + warnings == 0) {
        printf("doctor        nothing wrong was found\n");
        return;
    }
    printf("doctor        %zu error%s, %zu warning%s:", errors, errors == 1 ? "" : "s", warnings,
           warnings == 1 ? "" : "s");
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].severity != ES_SEVERITY_NOTE) printf(" %s", list->items[i].check);
    printf(" (echosolid doctor explains)\n");
}
