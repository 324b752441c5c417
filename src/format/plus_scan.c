/* ScanConversion: where a scan converter drew the scan lines.
 *
 * PLUS draws the sample at radius r and angle t of a curvilinear probe where
 *
 *     (u + 1/2 - cu) su = r sin t,    (v - cv) sv + r0 = r cos t
 *
 * with (cu, cv) the TransducerCenterPixel, (su, sv) the spacing in mm and r0
 * the radius of the face (RadiusStartMm). So the apex lies at u = cu - 1/2 and
 * v = cv - r0 / sv, with pixel centres at whole numbers. Checked on recorded
 * pictures: the lit pixels of BkCurvilinearScanConvertedData (cu = 300, 70 deg)
 * reach from -69.998 to +69.998 deg about 299.5, and -70.12 to +69.97 about 300.
 * The rectangle of a linear probe has its axis at cu - 1/2 likewise (190 columns
 * lit from 25 to 214 for cu = 120), and the first sample on row cv. */
#include <math.h>
#include <string.h>

#include "plus_internal.h"

static const char *const geometries[] = {"LINEAR", "CURVILINEAR", NULL};

#define AT(member) offsetof(es_plus_scan_conversion, member)
#define NUMBERS(title, type, n, member, from, to)                                                  \
    {                                                                                              \
        .name = title, .kind = type, .count = n, .value = AT(member), .has = PLUS_ALWAYS,          \
        .low = from, .high = to                                                                    \
    }
static const plus_field items[] = {
    {.name = "TransducerName",
     .kind = PLUS_TEXT,
     .count = 128,
     .value = AT(transducer_name),
     .has = PLUS_ALWAYS},
    {.name = "TransducerGeometry",
     .kind = PLUS_FLAG,
     .count = 1,
     .value = AT(curvilinear),
     .has = PLUS_ALWAYS,
     .words = geometries,
     .required = true},
    NUMBERS("ImagingDepthMm", PLUS_DOUBLE, 1, depth_mm, 1e-3, 1e6),
    NUMBERS("TransducerWidthMm", PLUS_DOUBLE, 1, width_mm, 1e-3, 1e6),
    NUMBERS("RadiusStartMm", PLUS_DOUBLE, 1, radius_start_mm, 0, 1e6),
    NUMBERS("RadiusStopMm", PLUS_DOUBLE, 1, radius_stop_mm, 1e-3, 1e6),
    NUMBERS("ThetaStartDeg", PLUS_DOUBLE, 1, theta_start_deg, -180, 180),
    NUMBERS("ThetaStopDeg", PLUS_DOUBLE, 1, theta_stop_deg, -180, 180),
    NUMBERS("OutputImageSizePixel", PLUS_INT32, 2, image_size, 1, 1e6),
    NUMBERS("OutputImageSpacingMmPerPixel", PLUS_DOUBLE, 2, spacing_mm, 1e-6, 1e6),
    NUMBERS("TransducerCenterPixel", PLUS_DOUBLE, 2, transducer_center_px, -1e6, 1e6),
    NUMBERS("NumberOfScanLines", PLUS_INT32, 1, scan_lines, 1, 1e6),
    NUMBERS("NumberOfSamplesPerScanLine", PLUS_INT32, 1, samples_per_line, 1, 1e6),
};
static const plus_fields fields = {items, sizeof items / sizeof *items};

/* The former way to say where the face is: the depth at which row 0 begins. */
typedef struct old_start {
    double depth_mm;
} old_start;
static const plus_field old_items[] = {{.name = "OutputImageStartDepthMm",
                                        .kind = PLUS_DOUBLE,
                                        .count = 1,
                                        .has = PLUS_ALWAYS,
                                        .low = -1e6,
                                        .high = 1e6}};
static const plus_fields old_fields = {old_items, 1};

static bool find_center(const es_plus *plus, const xmlNode *node, es_plus_scan_conversion *scan,
                        es_error *err) {
    old_start old = {0};
    if (!plus_read_fields(plus, node, old_fields, &old, err)) return false;
    if (!isnan(scan->transducer_center_px[0]) || scan->image_size[0] == 0) return true;
    scan->transducer_center_px[0] = 0.5 * scan->image_size[0];
    scan->transducer_center_px[1] =
        scan->curvilinear ? (scan->radius_start_mm - old.depth_mm) / scan->spacing_mm[1] : 0;
    return true;
}

static bool check_order(const es_plus *plus, const xmlNode *node,
                        const es_plus_scan_conversion *scan, es_error *err) {
    if (scan->radius_start_mm >= scan->radius_stop_mm)
        return plus_fail(plus, node, err,
                         "RadiusStartMm is %g and RadiusStopMm is %g, expected "
                         "the start before the stop",
                         scan->radius_start_mm, scan->radius_stop_mm);
    if (scan->theta_start_deg >= scan->theta_stop_deg)
        return plus_fail(plus, node, err,
                         "ThetaStartDeg is %g and ThetaStopDeg is %g, expected "
                         "the smaller angle first",
                         scan->theta_start_deg, scan->theta_stop_deg);
    return true;
}

bool es_plus_scan_conversion_get(const es_plus *plus, es_plus_scan_conversion *scan, bool *present,
                                 es_error *err) {
    *scan = (es_plus_scan_conversion){.depth_mm = NAN,
                                      .width_mm = NAN,
                                      .radius_start_mm = NAN,
                                      .radius_stop_mm = NAN,
                                      .theta_start_deg = NAN,
                                      .theta_stop_deg = NAN,
                                      .spacing_mm = {NAN, NAN},
                                      .transducer_center_px = {NAN, NAN}};
    xmlNode *node = plus_find(plus, "ScanConversion");
    *present = node != NULL;
    return !node || (plus_read_fields(plus, node, fields, scan, err) &&
                     check_order(plus, node, scan, err) && find_center(plus, node, scan, err));
}

bool es_plus_scan_conversion_set(es_plus *plus, const es_plus_scan_conversion *scan,
                                 es_error *err) {
    xmlNode *node = plus_find_or_add(plus, "ScanConversion", err);
    if (!node) return false;
    plus_remove(node, "OutputImageStartDepthMm");
    return plus_write_fields(node, fields, scan, err);
}

static es_fan curved_fan(const es_plus_scan_conversion *scan) {
    const double degree = 3.14159265358979323846 / 180, row_mm = scan->spacing_mm[1];
    return (es_fan){.kind = ES_FAN_CURVED,
                    .apex_u = scan->transducer_center_px[0] - 0.5,
                    .apex_v = scan->transducer_center_px[1] - scan->radius_start_mm / row_mm,
                    .radius_start = scan->radius_start_mm / row_mm,
                    .radius_stop = scan->radius_stop_mm / row_mm,
                    .angle_start_rad = scan->theta_start_deg * degree,
                    .angle_stop_rad = scan->theta_stop_deg * degree,
                    .aspect = scan->spacing_mm[0] / row_mm};
}

static es_fan linear_fan(const es_plus_scan_conversion *scan) {
    double half = 0.5 * scan->width_mm / scan->spacing_mm[0];
    double axis = scan->transducer_center_px[0] - 0.5, face = scan->transducer_center_px[1];
    return (es_fan){.kind = ES_FAN_LINEAR,
                    .u0 = axis - half,
                    .u1 = axis + half,
                    .v0 = face,
                    .v1 = face + scan->depth_mm / scan->spacing_mm[1]};
}

es_fan es_plus_scan_fan(const es_plus_scan_conversion *scan) {
    es_fan fan = scan->curvilinear ? curved_fan(scan) : linear_fan(scan);
    bool whole = scan->curvilinear ? isfinite(fan.apex_u) && isfinite(fan.apex_v) &&
                                         fan.aspect > 0 && fan.radius_start < fan.radius_stop &&
                                         fan.angle_start_rad < fan.angle_stop_rad
                                   : fan.u0 < fan.u1 && fan.v0 < fan.v1;
    return whole ? fan : (es_fan){.kind = ES_FAN_NONE};
}
