/* Fan geometry: where in the picture the echoes of a probe are.
 *
 * A scan converter draws the scan lines of a linear probe as columns of a
 * rectangle, those of a curvilinear one as rays from an apex behind the
 * transducer's face. Pixels need not be square: everything curved is measured
 * in pixels along v, after u was stretched by `aspect`. */
#include "echosolid/image.h"

#include <math.h>

void es_fan_polar(const es_fan *fan, double u, double v, double *radius, double *angle_rad) {
    if (fan->kind != ES_FAN_CURVED) {
        *radius = fan->kind == ES_FAN_LINEAR ? v - fan->v0 : v;
        *angle_rad = 0;
        return;
    }
    double x = (u - fan->apex_u) * fan->aspect, y = v - fan->apex_v;
    *radius = hypot(x, y);
    *angle_rad = atan2(x, y);
}

bool es_fan_contains(const es_fan *fan, double u, double v) {
    if (!isfinite(u) || !isfinite(v)) return false;
    if (fan->kind == ES_FAN_NONE) return true;
    if (fan->kind == ES_FAN_LINEAR)
        return u >= fan->u0 && u < fan->u1 && v >= fan->v0 && v < fan->v1;
    double radius, angle;
    es_fan_polar(fan, u, v, &radius, &angle);
    return radius >= fan->radius_start && radius <= fan->radius_stop &&
           angle >= fan->angle_start_rad && angle <= fan->angle_stop_rad;
}
