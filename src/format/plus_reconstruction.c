/* VolumeReconstruction: what PLUS and 3D Slicer users set for their volumes.
 *
 * Attribute names, words and defaults are PLUS's. Until 2014 compounding was
 * spelled with two attributes, Compounding (ON: mean, OFF: latest) and
 * Calculation (MAXIMUM overrides both), and the fan with FanAngles, FanOrigin
 * and FanDepth, in the same units as today. */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "plus_internal.h"

static const char *const off_on[] = {"OFF", "ON", NULL};
static const char *const false_true[] = {"FALSE", "TRUE", NULL};
static const char *const interpolations[] = {"NEAREST_NEIGHBOR", "LINEAR", NULL};
static const char *const optimizations[] = {"NONE", "PARTIAL", "FULL", NULL};
static const char *const compoundings[] = {"LATEST", "MEAN", "MAXIMUM", "IMPORTANCE_MASK", NULL};
static const char *const calculations[] = {"WEIGHTED_AVERAGE", "MAXIMUM", NULL};
static const char *const fillings[] = {
    "STICK", "GAUSSIAN", "GAUSSIAN_ACCUMULATION", "NEAREST_NEIGHBOR", "DISTANCE_WEIGHT_INVERSE",
    NULL};

#define AT(member) offsetof(es_plus_reconstruction, member)
#define NUMBERS(title, former, type, n, member, flag, from, to)                                    \
    {                                                                                              \
        .name = title, .old_name = former, .kind = type, .count = n, .value = AT(member),          \
        .has = AT(flag), .low = from, .high = to                                                   \
    }
#define CHOICE(title, type, member, flag, list)                                                    \
    {                                                                                              \
        .name = title, .kind = type, .count = sizeof((es_plus_reconstruction *)0)->member,         \
        .value = AT(member), .has = AT(flag), .words = list                                        \
    }
#define TEXT(title, member, flag) CHOICE(title, PLUS_TEXT, member, flag, NULL)

/* ClipRectangleSize stands after ClipRectangleOrigin: it decides has_clip. */
static const plus_field items[] = {
    TEXT("ImageCoordinateFrame", image_frame, has_image_frame),
    TEXT("ReferenceCoordinateFrame", reference_frame, has_reference_frame),
    NUMBERS("OutputSpacing", NULL, PLUS_DOUBLE, 3, spacing_mm, has_spacing, 1e-6, 1e6),
    NUMBERS("OutputOrigin", NULL, PLUS_DOUBLE, 3, origin_mm, has_origin, -1e9, 1e9),
    NUMBERS("OutputExtent", NULL, PLUS_INT64, 6, extent, has_extent, INT_MIN, INT_MAX),
    NUMBERS("ClipRectangleOrigin", NULL, PLUS_INT32, 2, clip_origin, has_clip, 0, 1e9),
    NUMBERS("ClipRectangleSize", NULL, PLUS_INT32, 2, clip_size, has_clip, 0, 1e9),
    NUMBERS("FanAnglesDeg", "FanAngles", PLUS_DOUBLE, 2, fan_angles_deg, has_fan_angles, -180, 180),
    NUMBERS("FanOriginPixel", "FanOrigin", PLUS_DOUBLE, 2, fan_origin_px, has_fan_origin, -1e9,
            1e9),
    NUMBERS("FanRadiusStartPixel", NULL, PLUS_DOUBLE, 1, fan_radius_start_px, has_fan_radius_start,
            0, 1e9),
    NUMBERS("FanRadiusStopPixel", "FanDepth", PLUS_DOUBLE, 1, fan_radius_stop_px,
            has_fan_radius_stop, 0, 1e9),
    CHOICE("EnableFanAnglesAutoDetect", PLUS_FLAG, fan_detect, has_fan_detect, false_true),
    NUMBERS("FanAnglesAutoDetectBrightnessThreshold", NULL, PLUS_DOUBLE, 1, fan_detect_threshold,
            has_fan_detect_threshold, -1e300, 1e300),
    NUMBERS("FanAnglesAutoDetectFilterRadiusPixel", NULL, PLUS_INT32, 1, fan_detect_radius_px,
            has_fan_detect_radius, 0, 1e6),
    NUMBERS("PixelRejectionThreshold", NULL, PLUS_DOUBLE, 1, threshold, has_threshold, -1e300,
            1e300),
    NUMBERS("SkipInterval", NULL, PLUS_INT32, 1, skip_interval, has_skip, 1, 1e9),
    CHOICE("Interpolation", PLUS_WORD, interpolation, has_interpolation, interpolations),
    CHOICE("CompoundingMode", PLUS_WORD, compounding, has_compounding, compoundings),
    CHOICE("Optimization", PLUS_WORD, optimization, has_optimization, optimizations),
    NUMBERS("NumberOfThreads", NULL, PLUS_INT32, 1, threads, has_threads, 0, 4096),
    CHOICE("FillHoles", PLUS_FLAG, fill_holes, has_fill_holes, off_on),
    TEXT("ImportanceMaskFilename", importance_mask, has_importance_mask),
};
static const plus_fields fields = {items, sizeof items / sizeof *items};

#define HOLE(member) offsetof(es_plus_hole_filling, member)
#define HOLE_NUMBER(title, type, member, from, to)                                                 \
    {                                                                                              \
        .name = title, .kind = type, .count = 1, .value = HOLE(member), .has = PLUS_ALWAYS,        \
        .low = from, .high = to                                                                    \
    }
static const plus_field hole_items[] = {
    {.name = "Type",
     .kind = PLUS_WORD,
     .count = sizeof((es_plus_hole_filling *)0)->type,
     .value = HOLE(type),
     .has = PLUS_ALWAYS,
     .words = fillings,
     .required = true},
    HOLE_NUMBER("Size", PLUS_INT32, size, 1, 9999),
    HOLE_NUMBER("StickLengthLimit", PLUS_INT32, stick_length_limit, 1, 9999),
    HOLE_NUMBER("NumberOfSticksToUse", PLUS_INT32, number_of_sticks, 1, 9999),
    HOLE_NUMBER("Stdev", PLUS_DOUBLE, stdev, 1e-6, 1e6),
    HOLE_NUMBER("MinimumKnownVoxelsRatio", PLUS_DOUBLE, minimum_known_voxels_ratio, 0, 1),
};
static const plus_fields hole_fields = {hole_items, sizeof hole_items / sizeof *hole_items};

/* ---- reading ----------------------------------------------------------- */

/* Where CompoundingMode is absent, the former attributes speak. */
static bool read_old_compounding(const es_plus *plus, const xmlNode *node,
                                 es_plus_reconstruction *recon, es_error *err) {
    int on, maximum;
    if (!plus_read_word(plus, node, "Compounding", off_on, &on, err) ||
        !plus_read_word(plus, node, "Calculation", calculations, &maximum, err))
        return false;
    if (recon->has_compounding || (on < 0 && maximum < 0)) return true;
    recon->has_compounding = true;
    strcpy(recon->compounding, maximum == 1 ? "MAXIMUM" : on == 0 ? "LATEST" : "MEAN");
    return true;
}

static bool check_extent(const es_plus *plus, const xmlNode *node, const int64_t extent[6],
                         es_error *err) {
    size_t voxels = 1;
    for (int axis = 0; axis < 3; axis++) {
        int64_t first = extent[2 * axis], last = extent[2 * axis + 1];
        if (last < first)
            return plus_fail(plus, node, err,
                             "OutputExtent goes from %lld to %lld along %c, expected first and "
                             "last voxel of each axis",
                             (long long)first, (long long)last, "xyz"[axis]);
        if (!es_multiply(voxels, (size_t)(last - first + 1), &voxels) || voxels > INT64_MAX)
            return plus_fail(plus, node, err, "OutputExtent has more voxels than can be counted");
    }
    return true;
}

static bool check_fan(const es_plus *plus, const xmlNode *node, const es_plus_reconstruction *recon,
                      es_error *err) {
    const double *angles = recon->fan_angles_deg;
    if (recon->has_fan_angles && !(angles[0] < angles[1]))
        return plus_fail(plus, node, err,
                         "FanAnglesDeg goes from %g to %g, expected the smaller "
                         "angle first",
                         angles[0], angles[1]);
    if (recon->has_fan_radius_start && recon->has_fan_radius_stop &&
        !(recon->fan_radius_start_px < recon->fan_radius_stop_px))
        return plus_fail(plus, node, err,
                         "FanRadiusStartPixel is %g and FanRadiusStopPixel is %g, "
                         "expected the start before the stop",
                         recon->fan_radius_start_px, recon->fan_radius_stop_px);
    return true;
}

static bool check_mask(const es_plus *plus, const xmlNode *node,
                       const es_plus_reconstruction *recon, es_error *err) {
    if (recon->has_importance_mask || strcmp(recon->compounding, "IMPORTANCE_MASK") != 0)
        return true;
    return plus_fail(plus, node, err,
                     "CompoundingMode is IMPORTANCE_MASK, but ImportanceMaskFilename is missing");
}

/* What each type needs: a stick two numbers, the others a kernel. */
static bool check_hole(const es_plus *plus, const xmlNode *node, const es_plus_hole_filling *hole,
                       es_error *err) {
    bool stick = strcmp(hole->type, "STICK") == 0;
    bool gaussian = strncmp(hole->type, "GAUSSIAN", 8) == 0;
    const char *missing = NULL;
    if (stick && !hole->number_of_sticks) missing = "NumberOfSticksToUse";
    if (stick && !hole->stick_length_limit) missing = "StickLengthLimit";
    if (gaussian && isnan(hole->stdev)) missing = "Stdev";
    if (!stick && isnan(hole->minimum_known_voxels_ratio)) missing = "MinimumKnownVoxelsRatio";
    if (!stick && !hole->size) missing = "Size";
    if (missing)
        return plus_fail(plus, node, err, "Type %s needs the attribute %s", hole->type, missing);
    if (!stick && hole->size % 2 == 0)
        return plus_fail(plus, node, err, "Size is %d, expected an odd number", hole->size);
    return true;
}

static bool read_holes(const es_plus *plus, const xmlNode *node, es_plus_reconstruction *recon,
                       es_error *err) {
    xmlNode *parent = plus_first_child(node, "HoleFilling");
    xmlNode *at = parent ? plus_first_child(parent, "HoleFillingElement") : NULL;
    for (; at; at = plus_next_sibling(at, "HoleFillingElement")) {
        if (recon->hole_filling_count == ES_PLUS_HOLE_MAX)
            return plus_fail(plus, at, err, "more than %d of these; expected one to three",
                             ES_PLUS_HOLE_MAX);
        es_plus_hole_filling *hole = &recon->hole_filling[recon->hole_filling_count++];
        *hole = (es_plus_hole_filling){.stdev = NAN, .minimum_known_voxels_ratio = NAN};
        if (!plus_read_fields(plus, at, hole_fields, hole, err) || !check_hole(plus, at, hole, err))
            return false;
    }
    if (recon->fill_holes && recon->hole_filling_count == 0)
        return plus_fail(plus, node, err,
                         "FillHoles is ON, but there is no HoleFilling with a "
                         "HoleFillingElement that says how");
    return true;
}

bool es_plus_reconstruction_get(const es_plus *plus, es_plus_reconstruction *recon, bool *present,
                                es_error *err) {
    *recon = (es_plus_reconstruction){0};
    xmlNode *node = plus_find(plus, "VolumeReconstruction");
    *present = node != NULL;
    if (!node) return true;
    if (!plus_read_fields(plus, node, fields, recon, err) ||
        !read_old_compounding(plus, node, recon, err))
        return false;
    if (recon->clip_size[0] == 0 && recon->clip_size[1] == 0) recon->has_clip = false;
    if (recon->fan_angles_deg[0] == 0 && recon->fan_angles_deg[1] == 0)
        recon->has_fan_angles = false;
    return (!recon->has_extent || check_extent(plus, node, recon->extent, err)) &&
           check_fan(plus, node, recon, err) && check_mask(plus, node, recon, err) &&
           read_holes(plus, node, recon, err);
}

static bool is_known(const char *name) {
    if (strcmp(name, "Compounding") == 0 || strcmp(name, "Calculation") == 0) return true;
    for (size_t i = 0; i < fields.count; i++)
        if (strcmp(name, items[i].name) == 0 ||
            (items[i].old_name && strcmp(name, items[i].old_name) == 0))
            return true;
    return false;
}

void plus_review_reconstruction(const es_plus *plus) {
    xmlNode *node = plus_find(plus, "VolumeReconstruction");
    for (const xmlAttr *at = node ? node->properties : NULL; at; at = at->next)
        if (!is_known((const char *)at->name))
            es_log(ES_WARNING,
                   "%s:%ld: VolumeReconstruction: the attribute %.60s is not known and has no "
                   "effect",
                   plus->name, plus_line(node), (const char *)at->name);
}

/* ---- writing ----------------------------------------------------------- */

static void drop_holes_from(xmlNode *at) {
    while (at) {
        xmlNode *next = plus_next_sibling(at, "HoleFillingElement");
        xmlUnlinkNode(at);
        xmlFreeNode(at);
        at = next;
    }
}

/* Elements that are there are set again, so that what else they hold stays. */
static bool write_holes(xmlNode *node, const es_plus_reconstruction *recon, es_error *err) {
    xmlNode *parent = plus_first_child(node, "HoleFilling");
    if (!parent && recon->hole_filling_count == 0) return true;
    if (!parent && !(parent = plus_add_child(node, "HoleFilling", err))) return false;
    xmlNode *at = plus_first_child(parent, "HoleFillingElement");
    for (int i = 0; i < recon->hole_filling_count; i++) {
        if (!at && !(at = plus_add_child(parent, "HoleFillingElement", err))) return false;
        if (!plus_write_fields(at, hole_fields, &recon->hole_filling[i], err)) return false;
        at = plus_next_sibling(at, "HoleFillingElement");
    }
    drop_holes_from(at);
    return true;
}

bool es_plus_reconstruction_set(es_plus *plus, const es_plus_reconstruction *recon, es_error *err) {
    if (recon->hole_filling_count < 0 || recon->hole_filling_count > ES_PLUS_HOLE_MAX)
        return es_fail(err, ES_USAGE, "%d ways of hole filling; at most %d can be stored",
                       recon->hole_filling_count, ES_PLUS_HOLE_MAX);
    xmlNode *node = plus_find_or_add(plus, "VolumeReconstruction", err);
    if (!node || !plus_write_fields(node, fields, recon, err)) return false;
    plus_remove(node, "Compounding");
    plus_remove(node, "Calculation");
    return write_holes(node, recon, err);
}
