/* The field of the echoes as a mask: what lies outside of it is the scanner's
 * own writing. */
#include <math.h>
#include <string.h>

#include "echosolid/judge.h"

static const double MARGIN_PX = 2;

static bool in_fan(const es_fan_found *found, double u, double v) {
    es_fan fan = found->fan;
    double radius, angle;
    es_fan_polar(&fan, u, v, &radius, &angle);
    double slack = MARGIN_PX / fmax(radius, 1);
    return (!found->start_seen || radius >= fan.radius_start - MARGIN_PX) &&
           (!found->stop_seen || radius <= fan.radius_stop + MARGIN_PX) &&
           angle >= fan.angle_start_rad - slack && angle <= fan.angle_stop_rad + slack;
}

bool es_judge_mask(const es_judgement *j, es_image *mask, es_error *err) {
    const es_fan_found *fan = &j->shapes.fan;
    const es_aperture_found *array = &j->shapes.aperture;
    const es_rows_found *rows = &j->shapes.rows;
    bool linear = array->found && !array->trapezoid && array->left_sharp && array->right_sharp;
    double top = rows->found && rows->exact ? rows->top : 0;
    double bottom = rows->found && rows->exact ? rows->bottom : j->still.height;
    if (!fan->found && !linear)
        return es_fail(
            err, ES_GEOMETRY,
            "the whole field of the echoes was not found (no fan: %s; no linear field with "
            "two sharp sides: %s); give --crop",
            fan->why, array->why[0] ? array->why : "its sides are dark or cut");
    if (!es_image_resize(mask, ES_U8, 1, j->still.width, j->still.height, err)) return false;
    uint8_t *at = mask->data;
    for (uint32_t v = 0; v < mask->height; v++)
        for (uint32_t u = 0; u < mask->width; u++) {
            bool inside = fan->found
                              ? in_fan(fan, u, v)
                              : u >= array->left - MARGIN_PX && u <= array->right + MARGIN_PX &&
                                    v >= top - MARGIN_PX && v <= bottom + MARGIN_PX;
            *at++ = inside ? 255 : 0;
        }
    return true;
}
