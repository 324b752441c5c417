/* The report of a self calibration. */
#include <math.h>
#include <string.h>

#include "echosolid/calibration.h"

static const double DEGREE = 0.017453292519943295;

static void report_result(es_report *report, const es_self_result *r) {
    char text[400];
    size_t length = 0;
    es_report_section(report, "Result");
    for (int k = 0; k < 16; k++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%.9g", k ? " " : "",
                                   r->image_to_probe.m[k]);
    es_report_row(report, "image_to_probe", "ImageToProbe, by rows", text);
    es_report_number(report, "spacing_u", "pixel spacing along u", r->spacing_mm[0], "mm",
                     r->spacing_ci95_mm[0]);
    es_report_number(report, "spacing_v", "pixel spacing along v", r->spacing_mm[1], "mm",
                     r->spacing_ci95_mm[1]);
    es_report_number(report, "lag", "lag, tracker minus video", r->lag_s, "s", r->lag_ci95_s);
    es_report_number(report, "target_ci95", "a point of the picture is within (95 %)",
                     r->target_ci95_mm, "mm", NAN);
    if (r->target_ci95_mm > 1)
        es_report_note(report, ES_WARNING, "More than 1 mm: good enough for a first look only.");
}

static void report_agreement(es_report *report, const es_self_pictures *pictures,
                             const es_self_result *r) {
    es_report_section(report, "Agreement");
    es_report_row(report, "compared", "what was compared",
                  r->surface ? "the deepest bright surface of every column"
                             : "edges and spots, bright and dark");
    es_report_number(report, "picture_count", "pictures", (double)pictures->count, "", NAN);
    es_report_number(report, "used", "of them with a pose", (double)r->frames_used, "", NAN);
    es_report_number(report, "overlap", "places that another pass shows", 100 * r->overlap, "%",
                     NAN);
    es_report_number(report, "agreement", "agreement where passes overlap", r->agreement, "", NAN);
    es_report_number(report, "held_out", "the same in blocks that were not fitted to", r->held_out,
                     "", NAN);
    es_report_number(report, "held_out_mm", "largest move of a point without one block",
                     r->held_out_mm, "mm", NAN);
    es_report_number(report, "rival_mm", "distance to the best other solution", r->rival_mm, "mm",
                     NAN);
}

static void report_motion(es_report *report, const es_self_result *r) {
    es_report_section(report, "Motion");
    es_report_number(report, "tilt", "tilted out of the plane", r->tilt_rad / DEGREE, "degrees",
                     NAN);
    es_report_number(report, "rock", "rocked in the plane", r->rock_rad / DEGREE, "degrees", NAN);
    es_report_number(report, "turn", "turned about the long axis", r->turn_rad / DEGREE, "degrees",
                     NAN);
    es_report_number(report, "slide", "moved along", r->slide_mm, "mm", NAN);
    for (int k = 0; k < r->parameter_count; k++) {
        char key[24], text[100];
        const es_self_parameter *p = &r->parameters[k];
        snprintf(key, sizeof key, "parameter_%d", k);
        snprintf(text, sizeof text, "known within %.2g %s%s", p->ci95, p->unit,
                 p->determined ? "" : ": NOT DETERMINED");
        es_report_row(report, key, p->name, text);
    }
    for (int k = 0; k < r->missing_count; k++)
        es_report_note(report, ES_WARNING, es_self_motion_text(r->missing[k]));
}

static void report_starts(es_report *report, const es_self_result *r) {
    es_report_section(report, "Where the search began");
    for (int k = 0; k < r->start_count; k++) {
        char key[24];
        snprintf(key, sizeof key, "start_%d", k);
        es_report_number(report, key, r->starts[k].name, r->starts[k].misfit, "of 1, misfit", NAN);
    }
}

void es_self_report(es_report *report, const es_self_pictures *pictures, const es_self_result *r) {
    char text[300];
    snprintf(text, sizeof text, "A point of the picture is known within %.2f mm (95 %%).%s%.200s",
             r->target_ci95_mm, r->missing_count ? " To be surer, " : "",
             r->missing_count ? es_self_motion_text(r->missing[0]) : "");
    es_report_summary(report, text);
    report_result(report, r);
    report_agreement(report, pictures, r);
    report_motion(report, r);
    report_starts(report, r);
}
