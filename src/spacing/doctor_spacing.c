/* What is said about the pixel's size: by a calibration's columns, by a scan
 * conversion, by the header of the recording, and by the pictures. A number
 * that came from nowhere is named; two that differ are put side by side. */
#include "doctor_internal.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define SAME_SPACING 0.03 /* three sigma of 1 %: a calibration and a drawn size agree so */
#define NAME_AGREES 0.03  /* of the number in a probe's name */

/* Sizes that sample configurations and drivers carry; nobody measured them. */
static const struct {
    double mm;
    const char *where;
} constants[] = {{0.2, "the constant of PLUS's sample configurations (Telemed, Clarius, BK, "
                       "Interson, Epiphan, V4L2)"},
                 {1, "what is written when nothing is known"},
                 {0.3, "a driver's start value (WinProbe)"},
                 {0.5, "the constant of the DAQ and PCO samples"},
                 {0.1, "the constant of BK's offline sample"},
                 {0.08, "the constant of the simulated N-wire samples"}};

static const char *constant_of(double x, double y) {
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (fabs(x - constants[i].mm) < 1e-6 && fabs(y - constants[i].mm) < 1e-6)
            return constants[i].where;
    return NULL;
}

/* One number in each of the first two columns: typed, not calibrated. */
static bool is_typed(const es_mat4 *m) {
    for (int c = 0; c < 2; c++) {
        int count = 0;
        for (int r = 0; r < 3; r++) count += m->m[4 * r + c] != 0;
        if (count != 1) return false;
    }
    return true;
}

static bool say_default(es_doctor *d, const char *subject, es_severity severity, double x, double y,
                        const char *where, es_error *err) {
    es_finding *f = finding_add(d, "spacing-default", severity, subject, err);
    if (!f) return false;
    SAY(f->evidence, "%s says %g x %g mm a pixel exactly", subject, x, y);
    SAY(f->cause, "%s, not a measurement", where);
    SAY(f->fix, "find the size from evidence: echosolid spacing, with the depth setting and the "
                "probe's name; then write it into ImageToProbe");
    return true;
}

/* ---- calibrations -------------------------------------------------------------------- */

/* A calibration from pixels to mm; ImageToTransducerOriginPixel is none. */
static bool gives_size(const es_doctor_transform *t) {
    return doctor_is_picture(t->from) && !strstr(t->to, "Pixel");
}

static void join_name(const es_doctor_transform *t, char name[ES_NAME_SIZE]) {
    snprintf(name, ES_NAME_SIZE, "%.60sTo%.60s", t->from, t->to);
}

/* In water sound is slower than scanners assume, so the picture is drawn too
 * deep, and the calibration has a smaller pixel along the beam: 1466 to 1497
 * over 1540 for 15 to 25 degrees C. */
static bool water(es_doctor *d, const char *name, double x, double y, es_error *err) {
    double ratio = y / x;
    bool in_water = ratio >= 0.95 && ratio <= 0.97, apart = fabs(log(ratio)) > SAME_SPACING;
    if ((!in_water && !apart) || fabs(log(ratio)) > 0.3) return true; /* that is no picture */
    es_finding *f = finding_add(d, "water-calibration", ES_SEVERITY_NOTE, name, err);
    if (!f) return false;
    SAY(f->evidence, "%s has %.5g mm along the transducer and %.5g mm along the beam: ratio %.4f",
        name, x, y, ratio);
    if (in_water)
        SAY(f->cause,
            "a calibration in water at room temperature: sound runs at %.0f m/s there, "
            "the scanner assumes 1540; this is no error of the calibration",
            1540 * ratio);
    else
        SAY(f->cause, "more than water explains (.95 to .97): a picture with oblong pixels, or a "
                      "calibration with a bad fit along one axis");
    SAY(f->fix, in_water ? "in tissue use the first number for both axes"
                         : "look at the calibration's error, and at echosolid spacing");
    return true;
}

static bool calibration(es_doctor *d, const es_doctor_transform *t, es_error *err) {
    char name[ES_NAME_SIZE];
    double x = doctor_column_length(&t->matrix, 0), y = doctor_column_length(&t->matrix, 1);
    const char *where = constant_of(x, y);
    join_name(t, name);
    if (where && is_typed(&t->matrix))
        return say_default(d, name, ES_SEVERITY_WARNING, x, y, where, err);
    return x <= 0 || water(d, name, x, y, err);
}

/* ---- two sources --------------------------------------------------------------------- */

static bool say_contradiction(es_doctor *d, const char *subject, const char *cause,
                              const char *evidence, es_error *err) {
    es_finding *f = finding_add(d, "spacing-contradicts-itself", ES_SEVERITY_WARNING, subject, err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, "%s", cause);
    SAY(f->fix, "see which belongs to this recording: echosolid spacing tells what the pictures "
                "say; correct the other");
    return true;
}

static bool against_scan(es_doctor *d, const es_doctor_transform *t, es_error *err) {
    const es_doctor_scan *scan = &d->about.scan;
    double x = doctor_column_length(&t->matrix, 0), y = doctor_column_length(&t->matrix, 1);
    if (!(scan->spacing_mm[0] > 0) || x <= 0 || y <= 0) return true;
    double apart_x = log(x / scan->spacing_mm[0]), apart_y = log(y / scan->spacing_mm[1]);
    bool y_apart = fabs(apart_y) > SAME_SPACING &&
                   !(y / x >= 0.95 && y / x <= 0.97); /* water explains that one */
    if (fabs(apart_x) <= SAME_SPACING && !y_apart) return true;
    char name[ES_NAME_SIZE], text[480];
    join_name(t, name);
    int used = snprintf(text, sizeof text,
                        "%s%.100s has %.5g x %.5g mm a pixel, the scan conversion of the same file "
                        "%.5g x %.5g (%+.1f %%, %+.1f %%)",
                        t->commented ? "a commented-out " : "", name, x, y, scan->spacing_mm[0],
                        scan->spacing_mm[1], 100 * expm1(-apart_x), 100 * expm1(-apart_y));
    if (scan->curved && scan->radius_start_mm > 0 && used > 0 && (size_t)used < sizeof text)
        snprintf(text + used, sizeof text - (size_t)used,
                 "; with the calibration's pixel the radius of %.4g mm would be %.4g mm",
                 scan->radius_start_mm, scan->radius_start_mm * x / scan->spacing_mm[0]);
    return say_contradiction(d, name,
                             "one of the two was made for another depth, probe or picture size, or "
                             "the radius in the scan conversion is another probe's",
                             text, err);
}

/* "L9-4/38": a width of 38 mm; "C5-2R60": a radius of 60 mm. */
static double number_in_name(const char *probe, bool curved) {
    const char *mark = strrchr(probe, '/');
    double value = NAN;
    char digits[16] = "";
    for (const char *p = probe; curved && *p; p++)
        if (*p == 'R' && p > probe && p[-1] >= '0' && p[-1] <= '9' && p[1] >= '0' && p[1] <= '9')
            mark = p;
    if (!mark) return NAN;
    size_t n = strspn(mark + 1, "0123456789");
    snprintf(digits, sizeof digits, "%.*s", (int)(n < 6 ? n : 6), mark + 1);
    return es_parse_double(digits, &value) ? value : NAN;
}

static bool against_name(es_doctor *d, es_error *err) {
    const es_doctor_scan *scan = &d->about.scan;
    double said = scan->curved ? scan->radius_start_mm : scan->width_mm;
    double named = number_in_name(scan->probe, scan->curved);
    if (!(said > 0) || !(named > 3) || fabs(log(said / named)) <= NAME_AGREES) return true;
    char text[480];
    snprintf(text, sizeof text,
             "the scan conversion has a %s of %g mm, the probe's name %.100s "
             "says %g mm (%+.1f %%)",
             scan->curved ? "radius" : "width", said, scan->probe, named, 100 * (said / named - 1));
    return say_contradiction(d, "ScanConversion",
                             "the width or radius was taken from another probe", text, err);
}

/* What the pictures say; the interval is the verdict's own, plus what a
 * calibration is worth. */
static bool against_image(es_doctor *d, const char *name, double x, double y, es_error *err) {
    const es_spacing_verdict *v = &d->verdict;
    double size[2] = {x, y};
    if (!d->has_verdict || !v->known) return true;
    for (int a = 0; a < 2; a++) {
        double true_mm = v->spacing_mm[a];
        if (!(true_mm > 0) || !(size[a] > 0)) continue;
        double sigma = log(v->ci95_mm[a][1] / v->ci95_mm[a][0]) / 3.92;
        double apart = log(size[a] / true_mm), allowed = 3 * hypot(sigma, 0.005);
        bool is_water = a == 1 && y / x >= 0.95 && y / x <= 0.97;
        if (!(fabs(apart) > allowed) || is_water) continue;
        es_finding *f = finding_add(d, "spacing-contradicts-image", ES_SEVERITY_ERROR, name, err);
        if (!f) return false;
        SAY(f->evidence,
            "%s has %.5g mm a pixel along %s, the pictures say %.5g (95 %%: %.5g to %.5g): %+.1f "
            "%%, more than three sigma",
            name, size[a], a ? "the beam" : "the transducer", true_mm, v->ci95_mm[a][0],
            v->ci95_mm[a][1], 100 * expm1(apart));
        SAY(f->cause, "the calibration was made at another depth or with another probe, or the "
                      "size is a constant");
        SAY(f->fix, "use the calibration of this depth, or scale ImageToProbe's columns; echosolid "
                    "spacing explains the evidence");
        return true;
    }
    return true;
}

/* ---- the recording's header ------------------------------------------------------------ */

static bool header(es_doctor *d, es_error *err) {
    double x = d->about.spacing_mm[0], y = d->about.spacing_mm[1];
    const char *where = constant_of(x, y);
    if (!where || !doctor_is_size(d->about.width, d->about.height)) return true;
    /* 1 is how such files say that they do not know. */
    es_severity severity = x == 1 ? ES_SEVERITY_NOTE : ES_SEVERITY_WARNING;
    return say_default(d, "the recording's header", severity, x, y, where, err);
}

/* Deepest and flattest pictures that medicine knows, with room. */
static bool depth(es_doctor *d, const es_doctor_transform *t, es_error *err) {
    double y = doctor_column_length(&t->matrix, 1), x = doctor_column_length(&t->matrix, 0);
    double deep = y * d->about.height, wide = x * d->about.width;
    bool metres = x < 0.005, plausible = deep >= 10 && deep <= 400 && wide >= 8 && wide <= 500;
    if (!doctor_is_size(d->about.width, d->about.height) || metres || plausible) return true;
    char name[ES_NAME_SIZE];
    join_name(t, name);
    es_finding *f = finding_add(d, "depth-implausible", ES_SEVERITY_WARNING, name, err);
    if (!f) return false;
    SAY(f->evidence, "with %s the picture of %u x %u pixels is %.4g mm wide and %.4g mm deep", name,
        d->about.width, d->about.height, wide, deep);
    SAY(f->cause, "ultrasound of the body shows 10 to 400 mm: the pixel size belongs to another "
                  "picture size, or is a constant");
    SAY(f->fix, "echosolid spacing --depth-mm with the scanner's depth setting");
    return true;
}

bool doctor_check_spacing(es_doctor *d, es_error *err) {
    if (!header(d, err)) return false;
    if (d->about.scan.present && !against_name(d, err)) return false;
    for (size_t i = 0; i < d->about.transform_count; i++) {
        const es_doctor_transform *t = &d->statics[i];
        char name[ES_NAME_SIZE];
        if (!gives_size(t)) continue;
        if (d->about.scan.present && !against_scan(d, t, err)) return false;
        if (t->commented || strncmp(t->from, "Image", 5) != 0) continue;
        join_name(t, name);
        if (!calibration(d, t, err) || !depth(d, t, err) ||
            !against_image(d, name, doctor_column_length(&t->matrix, 0),
                           doctor_column_length(&t->matrix, 1), err))
            return false;
    }
    return true;
}
