/* What the finders saw, drawn over the mean of the recording. */
#include "echosolid/spacing.h"

#include <math.h>

static const es_colour edge_colour = {255, 190, 60}, side_colour = {90, 200, 255},
                       rows_colour = {120, 230, 120}, ticks_colour = {255, 110, 170};

enum { ARC_STEPS = 96 };

static void draw_arc(const es_fan *f, double radius, bool flipped, es_image *picture) {
    double u0 = 0, v0 = 0;
    for (int k = 0; k <= ARC_STEPS; k++) {
        double t = f->angle_start_rad + (f->angle_stop_rad - f->angle_start_rad) * k / ARC_STEPS;
        double u = f->apex_u + radius * sin(t) / f->aspect, v = f->apex_v + radius * cos(t);
        if (flipped) v = picture->height - 1. - v;
        if (k) es_picture_line(picture, u0, v0, u, v, 1.2, edge_colour);
        u0 = u, v0 = v;
    }
}

static void draw_side(const es_fan *f, double angle, bool flipped, es_image *picture) {
    double s = sin(angle) / f->aspect, c = cos(angle), v[2], u[2];
    const double radius[2] = {f->radius_start, f->radius_stop};
    for (int k = 0; k < 2; k++) {
        u[k] = f->apex_u + radius[k] * s;
        v[k] = f->apex_v + radius[k] * c;
        if (flipped) v[k] = picture->height - 1. - v[k];
    }
    es_picture_line(picture, u[0], v[0], u[1], v[1], 1.2, side_colour);
}

static void draw_fan(const es_fan_found *found, es_image *picture) {
    const es_fan *f = &found->fan;
    if (found->start_seen) draw_arc(f, f->radius_start, found->flipped, picture);
    if (found->stop_seen) draw_arc(f, f->radius_stop, found->flipped, picture);
    draw_side(f, f->angle_start_rad, found->flipped, picture);
    draw_side(f, f->angle_stop_rad, found->flipped, picture);
}

static void draw_ticks(const es_ticks_found *t, es_image *picture) {
    for (int k = 0; k < t->count; k++) {
        double along = t->first + k * t->period_px;
        es_picture_disc(picture, t->axis ? t->at : along, t->axis ? along : t->at, 2.5,
                        ticks_colour);
    }
}

bool es_shape_picture(const es_still *still, const es_fan_found *fan,
                      const es_aperture_found *aperture, const es_rows_found *rows,
                      const es_ticks_found *ticks, int tick_count, es_image *picture,
                      es_error *err) {
    double w = still->width, h = still->height;
    if (!es_picture_from_image(&still->mean, 0, 255, still->width, still->height, picture, err))
        return false;
    if (fan && fan->found) draw_fan(fan, picture);
    if (aperture && aperture->found) {
        es_picture_line(picture, aperture->left, 0, aperture->left, h, 1.2,
                        aperture->left_sharp ? side_colour : ticks_colour);
        es_picture_line(picture, aperture->right, 0, aperture->right, h, 1.2,
                        aperture->right_sharp ? side_colour : ticks_colour);
    }
    if (rows && rows->found) {
        es_picture_line(picture, 0, rows->top, w, rows->top, 1.2, rows_colour);
        es_picture_line(picture, 0, rows->bottom, w, rows->bottom, 1.2, rows_colour);
    }
    for (int k = 0; k < tick_count; k++)
        if (ticks[k].found) draw_ticks(&ticks[k], picture);
    return true;
}
