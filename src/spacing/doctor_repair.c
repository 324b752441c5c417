/* Mending what can be mended without a guess. Each frame is given again, and
 * the collector's verdict on its transforms is carried out. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>

typedef enum repair_kind {
    REPAIR_ORDER,
    REPAIR_SCALE,
    REPAIR_NOISE,
    REPAIR_METRES,
    REPAIR_INVALID,
    REPAIR_KINDS
} repair_kind;

static const char *const repair_words[REPAIR_KINDS] = {
    "matrices in column order were transposed",
    "a constant scale was divided out of rotations",
    "rotations were replaced by the nearest right-angled one",
    "translations in metres became millimetres",
    "stand-ins (identity, repeated or outlying poses) got the status INVALID",
};

static es_mat4 transposed(es_mat4 a) {
    es_mat4 t;
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) t.m[4 * r + c] = a.m[4 * c + r];
    return t;
}

/* The nearest rotation by Newton's iteration for the polar factor (Higham,
 * SIAM J. Sci. Stat. Comput. 7, 1986): R <- (R + R^-T) / 2. */
static es_mat4 nearest_rotation(es_mat4 a) {
    es_mat4 r = a;
    for (int a0 = 0; a0 < 3; a0++) r.m[4 * a0 + 3] = 0;
    for (int step = 0; step < 20 && es_mat4_rigid_defect(r) > 1e-14; step++) {
        es_mat4 inverse;
        if (!es_mat4_invert(r, &inverse, NULL)) return a;
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++)
                r.m[4 * i + k] = (r.m[4 * i + k] + inverse.m[4 * k + i]) / 2;
    }
    for (int a0 = 0; a0 < 3; a0++) r.m[4 * a0 + 3] = a.m[4 * a0 + 3];
    return r;
}

static es_mat4 mend(es_doctor *d, const doctor_track *t, es_mat4 m) {
    if (t->fault == FAULT_ORDER && fabs(m.m[3]) + fabs(m.m[7]) + fabs(m.m[11]) == 0) {
        m = transposed(m);
        d->repaired[REPAIR_ORDER]++;
    }
    if (t->fault == FAULT_SCALE) {
        for (int r = 0; r < 3; r++)
            for (int c = 0; c < 3; c++) m.m[4 * r + c] /= t->scale;
        d->repaired[REPAIR_SCALE]++;
    }
    if (t->fault == FAULT_NOISE && es_mat4_rigid_defect(m) > 1e-9) {
        m = nearest_rotation(m);
        d->repaired[REPAIR_NOISE]++;
    }
    if (t->metres) {
        for (int r = 0; r < 3; r++) m.m[4 * r + 3] *= 1000;
        d->repaired[REPAIR_METRES]++;
    }
    return m;
}

bool es_doctor_repair(es_doctor *d, es_frame *frame, es_error *err) {
    if (!d->finished) return es_fail(err, ES_USAGE, "es_doctor_repair before es_doctor_finish");
    for (size_t i = 0; i < frame->transform_count; i++) {
        es_frame_transform *own = &frame->transforms[i];
        const doctor_track *t = NULL;
        for (int k = 0; k < d->track_count; k++)
            if (strcmp(d->tracks[k].name, own->name) == 0) t = &d->tracks[k];
        if (!t || !own->valid) continue;
        own->matrix = mend(d, t, own->matrix);
        bool known = frame->index >= 0 && frame->index < d->frames;
        if (!known || !t->discard[frame->index]) continue;
        own->valid = false;
        SAY(own->status, "INVALID");
        d->repaired[REPAIR_INVALID]++;
    }
    return true;
}

char *es_doctor_repairs(const es_doctor *d, es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%s", "");
    for (int k = 0; k < REPAIR_KINDS; k++)
        if (d->repaired[k])
            es_text_add(&text, "%lld times: %s\n", (long long)d->repaired[k], repair_words[k]);
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory for the list of repairs");
    return NULL;
}
