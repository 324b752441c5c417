/* What a page says to the calibrations: hostile, as all of it is. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "echosolid/wizard.h"

static bool copy_name(const json_t *root, const char *key, char *to, size_t size) {
    const char *text = json_string_value(json_object_get(root, key));
    if (!text) text = "";
    if (strlen(text) >= size) return false;
    strcpy(to, text);
    return true;
}

static bool read_request(const json_t *root, es_wizard_request *q) {
    const char *method = json_string_value(json_object_get(root, "method"));
    const json_t *temperature = json_object_get(root, "temperature");
    const json_t *spacing = json_object_get(root, "spacing_mm");
    int k = 0;
    while (method && k < ES_WIZARD_METHODS && strcmp(es_wizard_names[k], method) != 0) k++;
    if (!method || k == ES_WIZARD_METHODS) return false;
    *q =
        (es_wizard_request){.method = (es_wizard_method)k, .temperature_c = NAN, .spacing_mm = NAN};
    if (json_is_number(temperature)) q->temperature_c = json_number_value(temperature);
    if (json_is_number(spacing)) q->spacing_mm = json_number_value(spacing);
    q->isotropic = json_is_true(json_object_get(root, "isotropic"));
    q->begin_at_config = json_is_true(json_object_get(root, "begin_at_config"));
    return copy_name(root, "tool", q->tool, sizeof q->tool) &&
           copy_name(root, "phantom", q->phantom, sizeof q->phantom);
}

es_wizard_said es_wizard_said_read(const char *text, size_t length) {
    es_wizard_said said = {.act = ES_WIZARD_NOTHING};
    json_t *root = json_loadb(text, length, 0, NULL);
    const char *act = json_string_value(json_object_get(root, "act"));
    if (act && strcmp(act, "begin") == 0 && read_request(root, &said.request))
        said.act = ES_WIZARD_BEGIN;
    if (act && strcmp(act, "finish") == 0) said.act = ES_WIZARD_FINISH;
    if (act && strcmp(act, "cancel") == 0) said.act = ES_WIZARD_CANCEL;
    if (act && strcmp(act, "keep") == 0) said.act = ES_WIZARD_KEEP;
    json_decref(root);
    return said;
}
