/* A frame with the bone that a detector found in it. */
#include <math.h>

#include "picture_internal.h"

static const es_colour sure = {255, 176, 0}, unsure = {150, 90, 190};

static void hit_at(const es_scan_line *line, double *u, double *v) {
    *u = line->u + line->du * line->depth_mm;
    *v = line->v + line->dv * line->depth_mm;
}

/* Neighbouring hits belong to one bone edge when the step in depth between
 * them is small: bone seen at less than some 72 degrees to the beam. */
static bool belong_together(const es_scan_line *a, const es_scan_line *b, double largest_step_px) {
    double ua, va, ub, vb;
    if (!a->found || !b->found) return false;
    hit_at(a, &ua, &va);
    hit_at(b, &ub, &vb);
    double step = sqrt((ua - ub) * (ua - ub) + (va - vb) * (va - vb));
    return step <= largest_step_px +
                       3 * sqrt((a->u - b->u) * (a->u - b->u) + (a->v - b->v) * (a->v - b->v));
}

bool es_picture_trace(const es_image *frame, const es_trace *trace, es_image *picture,
                      es_error *err) {
    if (!es_picture_from_image(frame, 0, 0, frame->width, frame->height, picture, err))
        return false;
    double width = fmax(1.5, frame->width / 300.0), u0, v0, u1, v1;
    for (size_t i = 0; i < trace->count; i++) {
        const es_scan_line *line = &trace->lines[i], *next = line + 1;
        if (!line->found) continue;
        es_colour colour = picture_mix(unsure, sure, fmin(fmax(line->confidence, 0), 1));
        hit_at(line, &u0, &v0);
        es_picture_disc(picture, u0, v0, width / 2, colour);
        if (i + 1 == trace->count || !belong_together(line, next, 2 * width)) continue;
        hit_at(next, &u1, &v1);
        es_picture_line(picture, u0, v0, u1, v1, width, colour);
    }
    return true;
}
