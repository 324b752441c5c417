/* What the judge saw, drawn over the mean picture. */
#include <math.h>
#include <string.h>

#include "echosolid/judge.h"

static const es_colour fan_colour = {255, 176, 0}, edge_colour = {0, 200, 255},
                       tick_colour = {80, 255, 80}, text_colour = {255, 255, 255};

typedef struct canvas {
    es_image *picture;
    double scale; /* of the drawn picture to the recording's */
} canvas;

/* Pixel centres at whole numbers, in both. */
static void line(const canvas *c, double u0, double v0, double u1, double v1, es_colour colour) {
    double s = c->scale, o = s / 2 - .5;
    es_picture_line(c->picture, u0 * s + o, v0 * s + o, u1 * s + o, v1 * s + o, 1.5, colour);
}

static void draw_arc(const canvas *c, const es_fan *fan, double radius) {
    enum { PIECES = 96 };
    double from = fan->angle_start_rad, step = (fan->angle_stop_rad - from) / PIECES;
    for (int i = 0; i < PIECES; i++) {
        double a = from + i * step, b = a + step;
        line(c, fan->apex_u + radius * sin(a) / fan->aspect, fan->apex_v + radius * cos(a),
             fan->apex_u + radius * sin(b) / fan->aspect, fan->apex_v + radius * cos(b),
             fan_colour);
    }
}

static void draw_fan(const canvas *c, const es_fan_found *found) {
    const es_fan *fan = &found->fan;
    if (!found->found) return;
    if (found->start_seen) draw_arc(c, fan, fan->radius_start);
    if (found->stop_seen) draw_arc(c, fan, fan->radius_stop);
    double angles[2] = {fan->angle_start_rad, fan->angle_stop_rad};
    for (int i = 0; i < 2; i++) {
        double u = sin(angles[i]) / fan->aspect, v = cos(angles[i]);
        line(c, fan->apex_u + fan->radius_start * u, fan->apex_v + fan->radius_start * v,
             fan->apex_u + fan->radius_stop * u, fan->apex_v + fan->radius_stop * v, fan_colour);
    }
}

static void draw_edges(const canvas *c, const es_judgement *j) {
    double w = j->still.width, h = j->still.height;
    if (j->aperture.found && !j->fan.found) {
        line(c, j->aperture.left, 0, j->aperture.left, h, edge_colour);
        line(c, j->aperture.right, 0, j->aperture.right, h, edge_colour);
    }
    if (j->rows.found && !j->fan.found) {
        line(c, 0, j->rows.top, w, j->rows.top, edge_colour);
        line(c, 0, j->rows.bottom, w, j->rows.bottom, edge_colour);
    }
}

static void draw_ticks(const canvas *c, const es_ticks_found *t) {
    for (int k = 0; k < t->count; k++) {
        double at = t->first + k * t->period_px;
        if (t->axis == 1)
            line(c, t->at - 12, at, t->at + 12, at, tick_colour);
        else
            line(c, at, t->at - 12, at, t->at + 12, tick_colour);
    }
}

bool es_judge_picture(const es_judgement *j, es_image *picture, es_error *err) {
    const es_still *still = &j->still;
    double larger = fmax(still->width, still->height);
    double scale = fmin(fmax(1, 512 / larger), 1600 / larger);
    uint32_t w = (uint32_t)fmax(1, still->width * scale);
    uint32_t h = (uint32_t)fmax(1, still->height * scale);
    if (!es_picture_from_image(&still->mean, 0, 255, w, h, picture, err)) return false;
    canvas c = {picture, scale};
    draw_fan(&c, &j->fan);
    draw_edges(&c, j);
    for (int i = 0; i < j->tick_count; i++) draw_ticks(&c, &j->ticks[i]);
    char text[160];
    if (j->verdict.known)
        snprintf(text, sizeof text, "%.4f x %.4f mm a pixel", j->verdict.spacing_mm[0],
                 j->verdict.spacing_mm[1]);
    else
        snprintf(text, sizeof text, "spacing unknown");
    es_picture_text(picture, 4, (int)h - 14, 1, text_colour, text);
    return true;
}
