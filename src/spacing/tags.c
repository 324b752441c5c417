/* Evidence from what files say: the header's spacing, DICOM's fields, the
 * columns of calibrations, and the scale that some drivers write with each
 * frame. The sigmas and the order of trust are those of docs/spacing.md. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "echosolid/spacing.h"

static es_evidence make_item(const char *source, const char *group, double u, double v,
                             double sigma) {
    es_evidence e = {.spacing_mm = {u, v}, .sigma = {sigma, sigma}};
    snprintf(e.source, sizeof e.source, "%s", source);
    snprintf(e.group, sizeof e.group, "%s", group);
    return e;
}

/* ---- DICOM: the sequence of ultrasound regions ---------------------------------- */

enum { JSON_LIMIT = 1 << 20, REGIONS = 64 };

typedef struct region {
    double box[4], units[2], delta[2];
    int64_t format, type;
} region;

static bool read_numbers(const json_t *array, double *out, size_t count) {
    if (json_array_size(array) != count) return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        if (!json_is_number(item)) return false;
        out[i] = json_number_value(item);
    }
    return true;
}

static bool read_region(const json_t *object, region *r) {
    r->format = json_integer_value(json_object_get(object, "format"));
    r->type = json_integer_value(json_object_get(object, "type"));
    return read_numbers(json_object_get(object, "box"), r->box, 4) &&
           read_numbers(json_object_get(object, "units"), r->units, 2) &&
           read_numbers(json_object_get(object, "delta"), r->delta, 2);
}

/* NULL when the region gives a scale of tissue, else why it does not. */
static const char *region_problem(const region *r) {
    if (r->format != 1) return "no 2-D picture";
    if (r->type != 1 && r->type != 2) return "neither tissue nor colour flow";
    if (r->units[0] != 3 || r->units[1] != 3) return "its units are not centimetres";
    for (int a = 0; a < 2; a++) {
        double mm = 10 * fabs(r->delta[a]);
        if (!(mm >= 0.01 && mm <= 2)) return "its deltas cannot be a pixel's size";
    }
    if (!(r->box[2] > r->box[0] && r->box[3] > r->box[1])) return "its box is empty";
    return NULL;
}

static double region_area(const region *r) {
    return (r->box[2] - r->box[0]) * (r->box[3] - r->box[1]);
}

/* How much of the picture (a crop of the stored one) lies in the region. */
static bool region_shows(const region *r, const es_stream_info *info, const double crop[2]) {
    double right = crop[0] + info->width, bottom = crop[1] + info->height;
    double w = fmin(r->box[2] + 1, right) - fmax(r->box[0], crop[0]);
    double h = fmin(r->box[3] + 1, bottom) - fmax(r->box[1], crop[1]);
    return w > 0 && h > 0 && r->box[2] <= right + 1e5;
}

static bool add_region(const region *r, const char *problem, bool main_one, es_evidence_list *list,
                       es_error *err) {
    double u = 10 * fabs(r->delta[0]), v = 10 * fabs(r->delta[1]);
    es_evidence e = make_item("dicom-regions", "dicom", problem ? NAN : u, problem ? NAN : v,
                              problem || !main_one ? INFINITY : 0.001);
    snprintf(e.note, sizeof e.note, "region %.0f,%.0f to %.0f,%.0f: %s%s", r->box[0], r->box[1],
             r->box[2], r->box[3],
             problem    ? problem
             : main_one ? "the scanner's own scale of the tissue, in cm a pixel"
                        : "another view, with a scale of its own",
             problem ? ": not used" : "");
    return es_evidence_add(list, &e, err);
}

static bool same_scale(const region *a, const region *b) {
    for (int i = 0; i < 2; i++)
        if (fabs(fabs(a->delta[i]) / fabs(b->delta[i]) - 1) > 1e-3) return false;
    return true;
}

/* Of several regions the largest of tissue counts; a colour box inside has the
 * same scale and adds nothing; another scale is told, never averaged in. */
static bool use_regions(const region *regions, size_t count, const es_stream_info *info,
                        const double crop[2], es_evidence_list *list, es_error *err) {
    const region *best = NULL;
    for (int type = 1; type <= 2 && !best; type++)
        for (size_t i = 0; i < count; i++)
            if (regions[i].type == type && !region_problem(&regions[i]) &&
                region_shows(&regions[i], info, crop) &&
                (!best || region_area(&regions[i]) > region_area(best)))
                best = &regions[i];
    if (best && !add_region(best, NULL, true, list, err)) return false;
    for (size_t i = 0; i < count; i++) {
        const region *r = &regions[i];
        const char *problem = region_problem(r);
        if (r == best || (best && problem && r->format != 1)) continue; /* M-mode, ECG beside it */
        if (best && !problem && same_scale(r, best)) continue;
        if (!add_region(r, problem, !best && !problem && false, list, err)) return false;
    }
    return true;
}

static bool note_broken(const char *source, const char *problem, es_evidence_list *list,
                        es_error *err) {
    es_evidence e = make_item(source, "dicom", NAN, NAN, INFINITY);
    snprintf(e.note, sizeof e.note, "%s: not used", problem);
    return es_evidence_add(list, &e, err);
}

/* Regions out of the field's text; false when it is broken. */
static bool read_regions(const char *text, region regions[REGIONS], size_t *count) {
    size_t length = strlen(text);
    json_t *root = length <= JSON_LIMIT ? json_loadb(text, length, 0, NULL) : NULL;
    *count = json_array_size(root);
    bool good = root && json_is_array(root) && *count <= REGIONS;
    for (size_t i = 0; good && i < *count; i++)
        good = read_region(json_array_get(root, i), &regions[i]);
    json_decref(root);
    return good;
}

static void read_crop(const es_stream_info *info, double crop[2]) {
    const char *text = es_fields_get(&info->fields, "DicomCropOrigin");
    if (!text || es_parse_doubles(text, crop, 2) != 2) crop[0] = crop[1] = 0;
}

static bool apart(const region *a, const region *b) {
    return a->box[0] > b->box[2] || b->box[0] > a->box[2] || a->box[1] > b->box[3] ||
           b->box[1] > a->box[3];
}

void es_picture_modes(const es_stream_info *info, char text[ES_MODES_TEXT]) {
    /* PS3.3 C.8.5.5.1.1, Region Spatial Format */
    static const char *const formats[] = {"", "", "M-mode", "a Doppler spectrum", "a waveform"};
    const char *field = es_fields_get(&info->fields, "DicomRegions");
    region regions[REGIONS];
    const region *views[REGIONS];
    size_t count, used = 0, seen = 0;
    double crop[2];
    text[0] = '\0';
    read_crop(info, crop);
    if (!field || !read_regions(field, regions, &count)) return;
    for (size_t i = 0; i < count; i++) {
        const region *r = &regions[i];
        if (!region_shows(r, info, crop)) continue;
        if (r->format >= 2 && r->format <= 4 && used < ES_MODES_TEXT)
            used += (size_t)snprintf(
                text + used, ES_MODES_TEXT - used, "%s%s (%.0f,%.0f to %.0f,%.0f)",
                used ? ", " : "", formats[r->format], r->box[0], r->box[1], r->box[2], r->box[3]);
        bool view = r->format == 1 && r->type == 1;
        for (size_t k = 0; k < seen && view; k++) view = apart(r, views[k]);
        if (view) views[seen++] = r;
    }
    if (seen > 1 && used < ES_MODES_TEXT)
        snprintf(text + used, ES_MODES_TEXT - used, "%s%zu pictures of tissue beside one another",
                 used ? ", " : "", seen);
}

static bool region_evidence(const es_stream_info *info, const double crop[2],
                            es_evidence_list *list, es_error *err) {
    const char *text = es_fields_get(&info->fields, "DicomRegions");
    region regions[REGIONS];
    size_t count;
    if (!text) return true;
    if (!read_regions(text, regions, &count))
        return note_broken("dicom-regions", "the ultrasound regions are broken", list, err);
    return use_regions(regions, count, info, crop, list, err);
}

/* ---- DICOM: the other tags -------------------------------------------------------------- */

/* What ITK, GDCM and Slicer write is the volume node's own spacing: a copy of
 * whatever constant it had. */
static bool is_converted(const es_fields *fields) {
    static const char *const keys[] = {"DicomImplementation", "DicomManufacturer", "DicomModel"};
    static const char *const words[] = {"GDCM", "ITK", "Slicer", "DCMTK"};
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const char *text = es_fields_get(fields, keys[k]);
        for (size_t w = 0; text && w < sizeof words / sizeof *words; w++)
            if (strcasestr(text, words[w])) return true;
    }
    return false;
}

typedef struct tag_rule {
    const char *key, *source, *note;
    double sigma;
    int numbers; /* 2, or 3 with the slice distance */
} tag_rule;

/* Row spacing (y) comes first in all of them. */
static bool tag_evidence(const es_fields *fields, const tag_rule *rule, es_evidence_list *list,
                         es_error *err) {
    const char *text = es_fields_get(fields, rule->key);
    double v[3];
    if (!text) return true;
    long count = es_parse_doubles(text, v, 3);
    if (count < 2 || count > rule->numbers || !isfinite(v[0]) || !isfinite(v[1]))
        return note_broken(rule->source, "two numbers were expected", list, err);
    es_evidence e = make_item(rule->source, "dicom-tag", v[1], v[0], rule->sigma);
    snprintf(e.note, sizeof e.note, "%s", rule->note);
    if (isfinite(rule->sigma) && is_converted(fields)) {
        e.suspect = true;
        e.sigma[0] = e.sigma[1] = INFINITY;
        snprintf(e.note, sizeof e.note,
                 "%s %g x %g was written by a converter: it repeats the number the converter was "
                 "given, the scanner never said it",
                 rule->key + strlen("Dicom"), v[1], v[0]);
    }
    return es_evidence_add_written(list, e, err);
}

static bool dicom_evidence(const es_stream_info *info, es_evidence_list *list, es_error *err) {
    static const tag_rule rules[] = {
        {"DicomMeasures", "dicom-measures", "pixel measures of the functional groups", .005, 3},
        {"DicomPixelSpacing", "dicom-pixel-spacing",
         "Pixel Spacing, no part of the ultrasound standard: who wrote it is not known", .05, 2},
        {"DicomImagerPixelSpacing", "dicom-imager",
         "Imager Pixel Spacing is about X-ray detectors: not used", INFINITY, 2},
        {"DicomNominalScannedPixelSpacing", "dicom-nominal",
         "Nominal Scanned Pixel Spacing is about scanned film: not used", INFINITY, 2},
    };
    double crop[2];
    read_crop(info, crop);
    if (!region_evidence(info, crop, list, err)) return false;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!tag_evidence(&info->fields, &rules[i], list, err)) return false;
    return true;
}

double es_header_depth(const es_stream_info *info) {
    const char *text = es_fields_get(&info->fields, "DicomDepthOfScanField");
    double depth;
    return text && es_parse_double(text, &depth) && depth >= 5 && depth <= 500 ? depth : NAN;
}

const char *es_header_probe(const es_stream_info *info) {
    const char *text = es_fields_get(&info->fields, "DicomTransducer");
    return text && text[0] ? text : NULL;
}

/* ---- the header ------------------------------------------------------------------------------ */

bool es_header_evidence(const es_stream_info *info, es_evidence_list *list, es_error *err) {
    if (!dicom_evidence(info, list, err)) return false;
    const double *s = info->spacing_mm;
    bool silent = s[0] == 1 && s[1] == 1; /* what every reader says that does not know */
    if (strncmp(info->format, "dicom", 5) == 0 || info->width == 0 || silent) return true;
    es_evidence e = make_item("header", "file", s[0], s[1], .05);
    snprintf(e.note, sizeof e.note, "spacing %g x %g in the header of the %s file", s[0], s[1],
             info->format);
    return es_evidence_add_written(list, e, err);
}

/* ---- matrices ------------------------------------------------------------------------------- */

/* One nonzero element to a column: somebody typed it. */
static bool is_axis_aligned(es_mat4 m) {
    for (int c = 0; c < 2; c++) {
        es_vec3 v = es_mat4_column(m, c);
        if ((v.x != 0) + (v.y != 0) + (v.z != 0) != 1) return false;
    }
    return true;
}

bool es_matrix_evidence(const char *where, es_mat4 matrix, es_evidence_list *list, es_error *err) {
    if (!es_mat4_finite(matrix)) return true;
    es_vec3 x = es_mat4_column(matrix, 0), y = es_mat4_column(matrix, 1);
    double u = es_vec3_length(x), v = es_vec3_length(y), ratio = v / u;
    if (!(u > 0 && v > 0)) return true;
    bool typed = is_axis_aligned(matrix);
    es_evidence e = make_item("matrix", "calibration", u, v, typed ? .05 : .005);
    double skew = fabs(es_vec3_dot(x, y)) / (u * v);
    snprintf(e.note, sizeof e.note, "columns of %.150s%s", where,
             typed ? ", axis-aligned: typed in rather than measured" : "");
    if (skew > .05) {
        e.sigma[0] = e.sigma[1] = INFINITY;
        snprintf(e.note, sizeof e.note,
                 "columns of %.150s are not perpendicular (%.2f): a broken calibration, not used",
                 where, skew);
    } else if (!typed && ratio > .909 && ratio < .987) {
        e.sigma[1] = INFINITY;
        snprintf(e.note, sizeof e.note,
                 "columns of %.120s: down is %.3f of across, what a calibration in water of %.0f "
                 "m/s gives; its value down is for that water, not for tissue, and is not used",
                 where, ratio, 1540 * ratio);
    }
    if (typed) return es_evidence_add_written(list, e, err);
    double both[2] = {u, v};
    const char *constant = es_spacing_default(both);
    return constant || !(u >= .005 && u <= 5) ? es_evidence_add_written(list, e, err)
                                              : es_evidence_add(list, &e, err);
}

/* ---- fields of the frames -----------------------------------------------------------------------
 */

static bool read_scale(const es_frame *frame, const char **key, double mm[2]) {
    static const struct {
        const char *key;
        double unit;
    } keys[] = {{"PixelSpacingMm", 1}, {"micronsPerPixel", .001}, {"MicronsPerPixel", .001}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = es_fields_get(&frame->fields, keys[i].key);
        double v[3];
        long count = text ? es_parse_doubles(text, v, 3) : 0;
        if (count < 1 || count > 3) continue;
        mm[0] = v[0] * keys[i].unit;
        mm[1] = (count > 1 ? v[1] : v[0]) * keys[i].unit;
        *key = keys[i].key;
        if (mm[0] > 0 && mm[1] > 0 && isfinite(mm[0]) && isfinite(mm[1])) return true;
    }
    return false;
}

void es_frame_scale_add(es_frame_scale *scale, const es_frame *frame) {
    const char *key;
    double mm[2];
    if (!read_scale(frame, &key, mm)) return;
    if (scale->frames++ == 0) {
        memcpy(scale->first_mm, mm, sizeof mm);
        snprintf(scale->key, sizeof scale->key, "%s", key);
    }
    bool same =
        fabs(mm[0] / scale->first_mm[0] - 1) < 1e-3 && fabs(mm[1] / scale->first_mm[1] - 1) < 1e-3;
    if (!same && scale->changed_at < 0) {
        scale->changed_at = frame->index;
        memcpy(scale->last_mm, mm, sizeof mm);
    }
}

bool es_frame_scale_evidence(const es_frame_scale *scale, es_evidence_list *list, es_error *err) {
    if (scale->frames == 0) return true;
    es_evidence e =
        make_item("frame-fields", "driver", scale->first_mm[0], scale->first_mm[1], .006);
    snprintf(e.note, sizeof e.note, "%s of the frames, from the scanner's driver", scale->key);
    if (scale->changed_at >= 0) {
        e.sigma[0] = e.sigma[1] = INFINITY;
        snprintf(e.note, sizeof e.note,
                 "%s changes from %g to %g at frame %lld: depth or zoom changed, no one spacing is "
                 "right for the whole recording; cut it there",
                 scale->key, scale->first_mm[0], scale->last_mm[0], (long long)scale->changed_at);
    }
    return es_evidence_add_written(list, e, err);
}
