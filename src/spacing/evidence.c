/* The list of what was found, and the constants that nobody measured. */
#include <math.h>
#include <string.h>

#include "echosolid/spacing.h"

bool es_evidence_add(es_evidence_list *list, const es_evidence *evidence, es_error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return false;
        list->capacity = capacity;
    }
    list->items[list->count++] = *evidence;
    return true;
}

void es_evidence_clear(es_evidence_list *list) {
    es_free(list->items);
    memset(list, 0, sizeof *list);
}

const char *es_spacing_default(const double spacing_mm[2]) {
    static const struct {
        double value;
        const char *from;
    } known[] = {
        {0.2, "the constant of PLUS's sample configurations (ImageToReference), which viewers and "
              "converters copy"},
        {1, "what files say when nobody knows: one millimetre a pixel"},
        {0.1, "the constant of PLUS's sample configurations for BK scanners"},
        {0.3, "the constant of PLUS's sample configuration for WinProbe"},
        {0.5, "the constant of PLUS's sample configurations for grabbed video"},
        {0.08, "the constant of PLUS's simulated N-wire configurations"},
        {0, "an empty value"},
    };
    /* Files carry floats: .2 comes back as .200000003. */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (fabs(spacing_mm[0] - known[i].value) < 1e-6 &&
            fabs(spacing_mm[1] - known[i].value) < 1e-6)
            return known[i].from;
    return NULL;
}

bool es_evidence_add_written(es_evidence_list *list, es_evidence item, es_error *err) {
    const double *s = item.spacing_mm;
    const char *constant = es_spacing_default(s);
    char note[ES_EVIDENCE_NOTE];
    memcpy(note, item.note, sizeof note);
    if (constant) {
        item.suspect = true;
        snprintf(item.note, sizeof item.note, "%g is %s, not a measurement (%.200s)", s[0],
                 constant, note);
    } else if (!(s[0] >= 0.005 && s[0] <= 5 && s[1] >= 0.005 && s[1] <= 5)) {
        snprintf(item.note, sizeof item.note,
                 "%g x %g cannot be the size of a pixel in mm (.005 to 5)%s (%.200s)", s[0], s[1],
                 s[0] > 0 && s[0] < 0.005 ? "; written in metres or centimetres?" : "", note);
        item.spacing_mm[0] = item.spacing_mm[1] = NAN;
    }
    if (item.suspect || isnan(item.spacing_mm[0])) item.sigma[0] = item.sigma[1] = INFINITY;
    return es_evidence_add(list, &item, err);
}

double es_water_speed(double t) {
    return 1402.385 +
           t * (5.038813 +
                t * (-5.799136e-2 + t * (3.287156e-4 + t * (-1.398845e-6 + t * 2.787860e-9))));
}
