/* probe.c: linear and curved probes.
 *
 * A linear probe has parallel lines over its aperture; a curved one has lines
 * that fan out from the centre of curvature behind its face. The picture has
 * square pixels, the face a few rows under its upper edge, and the middle
 * line in its middle column. */
#include "probe.h"

#include <math.h>

enum { TOP_MARGIN = 4, LEAST_LINES = 64, MOST_LINES = 384, LEAST_ROWS = 128, MOST_ROWS = 1024 };
#define LINE_PITCH_MM 0.2
#define CURVED_PITCH_MM 0.4
#define ROW_MM 0.1

/* ---- checks -------------------------------------------------------------- */

static bool within(double value, double low, double high) { return value >= low && value <= high; }

static bool check_face(const es_probe *probe, es_error *err) {
    if (!probe->curved) {
        if (!within(probe->width_mm, 5, 300))
            return es_fail(err, ES_USAGE, "linear probe %g mm wide: expected 5 to 300 mm",
                           probe->width_mm);
        if (probe->radius_mm != 0 || probe->half_angle_rad != 0)
            return es_fail(err, ES_USAGE,
                           "a linear probe has no radius (%g mm) and no angle (%g rad): set them "
                           "to 0, or ask for a curved probe",
                           probe->radius_mm, probe->half_angle_rad);
        return true;
    }
    if (!within(probe->radius_mm, 5, 200) || !within(probe->half_angle_rad, 0.05, 1.4))
        return es_fail(err, ES_USAGE,
                       "curved probe of %g mm radius and %g rad to each side: expected 5 to 200 mm "
                       "and .05 to 1.4 rad",
                       probe->radius_mm, probe->half_angle_rad);
    if (probe->width_mm != 0)
        return es_fail(
            err, ES_USAGE,
            "a curved probe is given by its radius and angle; set its width (%g mm) to 0",
            probe->width_mm);
    return true;
}

static bool check_picture(const es_probe *probe, es_error *err) {
    if (!within(probe->depth_mm, 5, 400))
        return es_fail(err, ES_USAGE, "depth %g mm: expected 5 to 400 mm", probe->depth_mm);
    for (int a = 0; a < 2; a++)
        if (probe->image_size[a] < 32 || probe->image_size[a] > 4096)
            return es_fail(err, ES_USAGE, "picture of %u x %u pixels: expected 32 to 4096 a side",
                           probe->image_size[0], probe->image_size[1]);
    if (probe->spacing_mm != 0 && !within(probe->spacing_mm, 0.005, 10))
        return es_fail(err, ES_USAGE,
                       "pixel spacing %g mm: expected .005 to 10 mm, or 0 to have it chosen",
                       probe->spacing_mm);
    return true;
}

/* ---- the picture --------------------------------------------------------- */

/* Least spacing at which the whole fan is in the picture. */
static double fitting_spacing(const es_probe *probe, double width_mm, double height_mm) {
    double across = width_mm / (probe->image_size[0] - 1.0);
    double down = height_mm / (probe->image_size[1] - 1.0 - TOP_MARGIN);
    return ceil(fmax(across, down) * 1e4) / 1e4;
}

bool probe_geometry_make(const es_probe *probe, probe_geometry *geometry, es_error *err) {
    if (!check_face(probe, err) || !check_picture(probe, err)) return false;
    probe_geometry g = {.depth_mm = probe->depth_mm};
    double width = probe->width_mm, height = probe->depth_mm, sag = 0, pitch = LINE_PITCH_MM;
    double lines_over = width;
    g.half_width_mm = 0.5 * width;
    if (probe->curved) {
        g.radius_mm = probe->radius_mm;
        g.half_angle_rad = probe->half_angle_rad;
        sag = g.radius_mm * (1 - cos(g.half_angle_rad)); /* of the face's ends */
        width = 2 * (g.radius_mm + g.depth_mm) * sin(g.half_angle_rad);
        height += sag;
        lines_over = 2 * g.half_angle_rad * (g.radius_mm + 0.5 * g.depth_mm);
        pitch = CURVED_PITCH_MM;
    }
    double least = fitting_spacing(probe, width, height);
    g.spacing_mm = probe->spacing_mm != 0 ? probe->spacing_mm : least;
    if (g.spacing_mm < least)
        return es_fail(err, ES_USAGE,
                       "%.0f x %.0f mm do not fit %u x %u pixels of %g mm: take a spacing of %g mm "
                       "or more, or a larger picture",
                       width, height, probe->image_size[0], probe->image_size[1], g.spacing_mm,
                       least);
    g.centre_u = 0.5 * (probe->image_size[0] - 1.0);
    g.face_v = TOP_MARGIN + sag / g.spacing_mm;
    g.lines = (int)fmin(fmax(ceil(lines_over / pitch) + 1, LEAST_LINES), MOST_LINES);
    g.rows = (int)fmin(fmax(ceil(g.depth_mm / ROW_MM) + 1, LEAST_ROWS), MOST_ROWS);
    g.row_mm = g.depth_mm / (g.rows - 1);
    *geometry = g;
    return true;
}

es_fan probe_fan(const probe_geometry *g) {
    es_fan fan = {.kind = ES_FAN_LINEAR, .aspect = 1};
    if (g->radius_mm == 0) {
        fan.u0 = g->centre_u - g->half_width_mm / g->spacing_mm;
        fan.u1 = g->centre_u + g->half_width_mm / g->spacing_mm;
        fan.v0 = g->face_v;
        fan.v1 = g->face_v + g->depth_mm / g->spacing_mm;
        return fan;
    }
    fan.kind = ES_FAN_CURVED;
    fan.apex_u = g->centre_u;
    fan.apex_v = g->face_v - g->radius_mm / g->spacing_mm;
    fan.radius_start = g->radius_mm / g->spacing_mm;
    fan.radius_stop = (g->radius_mm + g->depth_mm) / g->spacing_mm;
    fan.angle_start_rad = -g->half_angle_rad;
    fan.angle_stop_rad = g->half_angle_rad;
    return fan;
}

es_mat4 probe_image_to_face(const probe_geometry *g) {
    double s = g->spacing_mm;
    return es_mat4_multiply(es_mat4_translation(-g->centre_u * s, -g->face_v * s, 0),
                            es_mat4_scaling(s, s, s));
}

es_mat4 probe_face_to_marker(void) {
    es_mat4 turn = es_mat4_multiply(es_mat4_rotation(es_vec3_make(0, 0, 1), -1.52),
                                    es_mat4_rotation(es_vec3_make(1, 0.3, 0), 0.11));
    return es_mat4_multiply(es_mat4_translation(12.7, 46.3, -7.4), turn);
}

/* ---- scan lines ---------------------------------------------------------- */

void probe_line(const probe_geometry *g, int line, es_vec3 *start, es_vec3 *direction) {
    double t = 2.0 * line / (g->lines - 1) - 1;
    if (g->radius_mm == 0) {
        *start = es_vec3_make(t * g->half_width_mm, 0, 0);
        *direction = es_vec3_make(0, 1, 0);
        return;
    }
    double angle = t * g->half_angle_rad;
    *direction = es_vec3_make(sin(angle), cos(angle), 0);
    *start = es_vec3_sub(es_vec3_scale(*direction, g->radius_mm), es_vec3_make(0, g->radius_mm, 0));
}

void probe_beam(const probe_geometry *g, es_mat4 face_to_scene, int line, es_vec3 *start,
                es_vec3 *direction) {
    probe_line(g, line, start, direction);
    *start = es_mat4_point(face_to_scene, *start);
    *direction = es_mat4_vector(face_to_scene, *direction);
}

double probe_line_pitch_mm(const probe_geometry *g, double depth_mm) {
    if (g->radius_mm == 0) return 2 * g->half_width_mm / (g->lines - 1);
    return 2 * g->half_angle_rad * (g->radius_mm + depth_mm) / (g->lines - 1);
}

void probe_line_of(const probe_geometry *g, double x_mm, double y_mm, double *line, double *row) {
    double across = x_mm / fmax(g->half_width_mm, 1e-9), depth = y_mm;
    if (g->radius_mm != 0) {
        double y = y_mm + g->radius_mm;
        across = atan2(x_mm, y) / g->half_angle_rad;
        depth = hypot(x_mm, y) - g->radius_mm;
    }
    *line = (across + 1) * 0.5 * (g->lines - 1);
    *row = depth / g->row_mm;
}
