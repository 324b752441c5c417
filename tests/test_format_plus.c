/* PLUS device-set files: every real one, what they mean, what is kept, and all
 * the ways in which they can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "echosolid/format.h"

#define DEGREE (3.14159265358979323846 / 180)

static char folder[512]; /* of this run, made by main */

static es_plus *parsed(const char *text) {
    es_error err = {0};
    es_plus *plus = es_plus_parse(text, strlen(text), "test.xml", &err);
    if (!plus) fail_msg("%s", err.message);
    return plus;
}

static void assert_says(const char *message, const char *part) {
    if (!strstr(message, part)) fail_msg("\"%s\" does not say \"%s\"", message, part);
}

static void assert_near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g is not within %g of %.12g", a, tolerance, b);
}

static const char *path_of(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* All that can be asked of a file; false with the first error. */
static bool get_everything(const es_plus *plus, es_error *err) {
    es_plus_reconstruction recon;
    es_plus_scan_conversion scan;
    bool present;
    es_graph *graph = es_graph_new(err);
    bool good = graph && es_plus_to_graph(plus, graph, err) &&
                es_plus_reconstruction_get(plus, &recon, &present, err) &&
                es_plus_scan_conversion_get(plus, &scan, &present, err);
    es_graph_free(graph);
    return good;
}

static es_plus_reconstruction reconstruction(const es_plus *plus) {
    es_plus_reconstruction recon;
    es_error err = {0};
    bool present;
    if (!es_plus_reconstruction_get(plus, &recon, &present, &err)) fail_msg("%s", err.message);
    assert_true(present);
    return recon;
}

static es_plus_scan_conversion scan_conversion(const es_plus *plus) {
    es_plus_scan_conversion scan;
    es_error err = {0};
    bool present;
    if (!es_plus_scan_conversion_get(plus, &scan, &present, &err)) fail_msg("%s", err.message);
    assert_true(present);
    return scan;
}

/* ---- the real files ---------------------------------------------------- */

/* ES_TEST_DATA/plus/<name>, or a skipped test. */
static const char *data_path(const char *name) {
    static char path[1024];
    const char *data = getenv("ES_TEST_DATA");
    snprintf(path, sizeof path, "%s/plus/%s", data ? data : "", name);
    if (!data || access(path, R_OK) != 0) {
        print_message("skipped: no real recordings at ES_TEST_DATA\n");
        skip();
    }
    return path;
}

static es_plus *real(const char *name) {
    char config[256];
    es_error err = {0};
    snprintf(config, sizeof config, "config/%s", name);
    es_plus *plus = es_plus_read(data_path(config), &err);
    if (!plus) fail_msg("%s", err.message);
    return plus;
}

/* Canonical XML with comments: what the file says, whatever its line breaks
 * between attributes. xmlFree it. */
static xmlChar *canonical(const char *path) {
    xmlDoc *doc = xmlReadFile(path, NULL, XML_PARSE_NONET);
    xmlChar *text = NULL;
    assert_non_null(doc);
    assert_true(xmlC14NDocDumpMemory(doc, NULL, XML_C14N_1_0, NULL, 1, &text) > 0);
    xmlFreeDoc(doc);
    return text;
}

static void check_round_trip(const char *path, const es_plus *plus) {
    es_error err = {0};
    const char *copy = path_of("round_trip.xml");
    if (!es_plus_write(plus, copy, &err)) fail_msg("%s", err.message);
    xmlChar *before = canonical(path), *after = canonical(copy);
    assert_string_equal((char *)before, (char *)after);
    xmlFree(before);
    xmlFree(after);
}

static void every_real_configuration_is_read_and_kept_whole(void **state) {
    (void)state;
    char path[1024], file[1400];
    snprintf(path, sizeof path, "%s", data_path("config"));
    DIR *dir = opendir(path);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (!es_has_suffix(entry->d_name, ".xml")) continue;
        es_error err = {0};
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        es_plus *plus = es_plus_read(file, &err);
        if (!plus || !get_everything(plus, &err)) fail_msg("%s", err.message);
        check_round_trip(file, plus);
        es_plus_free(plus);
        count++;
    }
    closedir(dir);
    assert_in_range(count, 20, 1000);
}

static void the_calibration_of_a_real_recording_is_found(void **state) {
    (void)state;
    es_plus *plus = real("BoneUltrasound_L14_config.xml");
    es_plus_transform t;
    assert_int_equal(es_plus_transform_count(plus), 1);
    assert_true(es_plus_transform_get(plus, 0, &t, NULL));
    assert_string_equal(t.from, "Image");
    assert_string_equal(t.to, "Probe");
    assert_string_equal(t.date, "2012.02.06 17:57:00");
    assert_true(t.error == 0.582721);
    assert_true(t.matrix.m[1] == 0.0854272 && t.matrix.m[7] == 50.76 && t.matrix.m[15] == 1);
    es_plus_reconstruction recon = reconstruction(plus);
    assert_true(recon.has_spacing && recon.spacing_mm[2] == 0.5);
    assert_true(recon.has_clip && recon.clip_size[0] == 820 && recon.clip_size[1] == 616);
    assert_string_equal(recon.compounding, "MEAN"); /* Compounding="On" */
    assert_true(recon.has_fill_holes && !recon.fill_holes);
    assert_false(recon.has_threads || recon.has_origin || recon.has_fan_angles);
    es_plus_free(plus);
}

static void fan_and_hole_filling_of_the_reference_volumes_are_read(void **state) {
    (void)state;
    es_plus *plus = real("Config_VolumeReconstruction_SonixRP_TRUS_D70mm_NN_LATE.xml");
    es_plus_reconstruction recon = reconstruction(plus);
    es_plus_free(plus);
    assert_true(recon.has_fan_angles && recon.fan_angles_deg[0] == -45);
    assert_true(recon.has_fan_origin && recon.fan_origin_px[1] == 20);
    assert_true(recon.fan_radius_start_px == 120 && recon.fan_radius_stop_px == 360);
    assert_string_equal(recon.interpolation, "NEAREST_NEIGHBOR");
    plus = real("Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml");
    recon = reconstruction(plus);
    es_plus_free(plus);
    assert_true(recon.fill_holes && recon.threads == 1);
    assert_int_equal(recon.hole_filling_count, 1);
    assert_string_equal(recon.hole_filling[0].type, "STICK");
    assert_int_equal(recon.hole_filling[0].stick_length_limit, 9);
}

static void elements_inside_devices_are_found(void **state) {
    (void)state;
    es_plus *plus = real("PlusDeviceSet_Server_Sim_NwirePhantom.xml");
    es_plus_reconstruction recon = reconstruction(plus);
    es_plus_free(plus);
    assert_true(recon.has_extent && recon.extent[5] == 300);
    assert_true(recon.has_origin && recon.origin_mm[2] == 30);
    assert_string_equal(recon.reference_frame, "Reference");
    plus = real("PlusDeviceSet_UsSimulatorAlgoTestCurvilinear.xml");
    es_plus_scan_conversion scan = scan_conversion(plus);
    es_plus_free(plus);
    assert_true(scan.curvilinear && scan.spacing_mm[0] == 0.084 && scan.spacing_mm[1] == 0.087);
}

static void phantom_wires_are_reached_by_path(void **state) {
    (void)state;
    es_plus *plus = real("PlusDeviceSet_fCal_Sim_SpatialCalibration_1.2.xml");
    const char *wires = "PhantomDefinition/Geometry/Pattern/Wire";
    size_t patterns = es_plus_element_count(plus, "PhantomDefinition/Geometry/Pattern");
    assert_int_equal(patterns, 3); /* the three N-wires of the phantom's name */
    assert_int_equal(es_plus_element_count(plus, wires), 9);
    assert_int_equal(es_plus_element_count(plus, "PhantomDefinition/Geometry/Pattern[2]/Wire"), 3);
    assert_int_equal(es_plus_element_count(plus, "PhantomDefinition/Geometry/Pattern[3]/Wire"), 0);
    char *a = es_plus_attribute(plus, wires, 4, "EndPointFront", NULL);
    char *b = es_plus_attribute(plus, "PhantomDefinition/Geometry/Pattern[1]/Wire", 1,
                                "EndPointFront", NULL);
    assert_string_equal(a, b);
    es_free(a);
    es_free(b);
    double clip[2];
    char *size = es_plus_attribute(plus, "Segmentation", 0, "ClipRectangleSize", NULL);
    assert_int_equal(es_parse_doubles(size, clip, 2), 2);
    es_free(size);
    es_plus_free(plus);
}

/* ---- with a recording, against a volume made by PLUS ------------------- */

/* The corners of all pictures of a recording in Reference, by the transforms of
 * its frames and of its configuration. */
static es_box3 box_of_recording(const char *sequence, const es_plus *plus) {
    es_error err = {0};
    es_graph *graph = es_graph_new(NULL);
    es_source *source = es_sequence_open(data_path(sequence), &err);
    if (!source || !es_plus_to_graph(plus, graph, &err)) fail_msg("%s", err.message);
    double last_u = es_source_info(source)->width - 1, last_v = es_source_info(source)->height - 1;
    es_box3 box = es_box3_empty();
    es_frame frame = {0};
    es_mat4 matrix;
    for (bool end = false;;) {
        if (!es_source_next(source, &frame, 0, &end, &err)) fail_msg("%s", err.message);
        if (end) break;
        if (!es_frame_to_graph(&frame, graph, &err) ||
            !es_graph_find(graph, "Image", "Reference", &matrix, NULL, &err))
            fail_msg("%s", err.message);
        for (int corner = 0; corner < 4; corner++)
            es_box3_add(&box, es_mat4_point(matrix, es_vec3_make(corner & 1 ? last_u : 0,
                                                                 corner & 2 ? last_v : 0, 0)));
    }
    es_frame_clear(&frame);
    es_source_free(source);
    es_graph_free(graph);
    return box;
}

/* PLUS puts the first voxel at the least corner and rounds the size to whole
 * voxels; the header has six digits. */
static void a_recording_lies_where_plus_put_its_volume(void **state) {
    (void)state;
    es_plus *plus = real("Config_VolumeReconstruction_SpinePhantom_LN_MAXI.xml");
    es_box3 box = box_of_recording("sequences/SpinePhantomFreehand.igs.mha", plus);
    es_plus_free(plus);
    char *header = es_file_read(data_path("reference/VolumeReconstructorTestLNMAXIvolumeRef.mha"),
                                1 << 26, NULL, NULL);
    double origin[3], size[3];
    const char *offset = strstr(header, "\nOffset = "), *dims = strstr(header, "\nDimSize = ");
    assert_int_equal(sscanf(offset, "\nOffset = %lf %lf %lf", &origin[0], &origin[1], &origin[2]),
                     3);
    assert_int_equal(sscanf(dims, "\nDimSize = %lf %lf %lf", &size[0], &size[1], &size[2]), 3);
    es_free(header);
    const double low[3] = {box.min.x, box.min.y, box.min.z};
    const double high[3] = {box.max.x, box.max.y, box.max.z};
    for (int axis = 0; axis < 3; axis++) {
        assert_near(origin[axis], low[axis], 1e-3);
        assert_near(0.5 * (size[axis] - 1), high[axis] - low[axis], 0.25 + 1e-3);
    }
}

/* ---- the fan against recorded pictures --------------------------------- */

typedef struct picture {
    int width, height;
    unsigned char *lit; /* some frame has an echo there; es_free it */
} picture;

/* Reads an uncompressed 8-bit .mha on its own, without the readers under test. */
static picture read_picture(const char *name) {
    char path[256];
    size_t length;
    picture p = {0};
    snprintf(path, sizeof path, "sequences/%s", name);
    char *file = es_file_read(data_path(path), 1 << 26, &length, NULL);
    assert_non_null(file);
    int frames = 1;
    assert_true(
        sscanf(strstr(file, "DimSize"), "DimSize = %d %d %d", &p.width, &p.height, &frames) >= 2);
    const char *echo = strchr(strstr(file, "ElementDataFile"), '\n') + 1;
    size_t pixels = (size_t)p.width * (size_t)p.height;
    assert_int_equal(length - (size_t)(echo - file), pixels * (size_t)frames);
    p.lit = es_alloc_zero(pixels, 1, NULL);
    for (size_t i = 0; i < pixels * (size_t)frames; i++) p.lit[i % pixels] |= echo[i] != 0;
    es_free(file);
    return p;
}

static long lit_outside(const picture *p, const es_fan *fan) {
    long count = 0;
    for (int v = 0; v < p->height; v++)
        for (int u = 0; u < p->width; u++)
            count += p->lit[v * p->width + u] && !es_fan_contains(fan, u, v);
    return count;
}

/* No echo outside, and echoes up to the edges: a fan a little narrower, shifted
 * by half a pixel, or with a face 3 pixels further out cuts some off. */
static void check_fan_of_picture(const es_fan *fan, const char *name) {
    picture p = read_picture(name);
    es_fan narrow = *fan, left = *fan, right = *fan, late = *fan;
    assert_int_equal(lit_outside(&p, fan), 0);
    narrow.angle_stop_rad -= 0.1 * DEGREE;
    left.apex_u -= 0.5;
    right.apex_u += 0.5;
    late.radius_start += 3;
    assert_true(lit_outside(&p, &narrow) > 0);
    assert_true(lit_outside(&p, &left) > 0);
    assert_true(lit_outside(&p, &right) > 0);
    assert_true(lit_outside(&p, &late) > 0);
    es_free(p.lit);
}

/* The picture's own settings, as its makers give them. */
static const char bk_scan[] =
    "<PlusConfiguration><ScanConversion TransducerName=\"BK_8848-axial\"\n"
    "TransducerGeometry=\"CURVILINEAR\" RadiusStartMm=\"10.0\" RadiusStopMm=\"60.0\"\n"
    "ThetaStartDeg=\"-70.0\" ThetaStopDeg=\"70.0\" OutputImageSizePixel=\"600 400\"\n"
    "TransducerCenterPixel=\"300 53\" OutputImageSpacingMmPerPixel=\"0.15 0.15\"/>\n"
    "</PlusConfiguration>";

static void a_curvilinear_fan_encloses_the_echoes_of_recorded_pictures(void **state) {
    (void)state;
    es_plus *plus = parsed(bk_scan);
    es_plus_scan_conversion scan = scan_conversion(plus);
    es_fan fan = es_plus_scan_fan(&scan);
    es_plus_free(plus);
    check_fan_of_picture(&fan, "BkCurvilinearScanConvertedData.igs.mha");
    plus = real("PlusDeviceSet_RfProcessingAlgoCurvilinearTest.xml");
    scan = scan_conversion(plus);
    fan = es_plus_scan_fan(&scan);
    es_plus_free(plus);
    check_fan_of_picture(&fan, "UltrasonixCurvilinearScanConvertedData.igs.mha");
}

/* Apex row, radii and angles that were measured on the picture itself, by
 * fitting its contour: -13.71, 66.69, 399.87 px, 69.99 deg, good to 0.05 px. */
static void the_fan_agrees_with_the_contour_of_the_picture(void **state) {
    (void)state;
    es_plus *plus = parsed(bk_scan);
    es_plus_scan_conversion scan = scan_conversion(plus);
    es_fan fan = es_plus_scan_fan(&scan);
    es_plus_free(plus);
    assert_int_equal(fan.kind, ES_FAN_CURVED);
    assert_near(fan.apex_v, -13.71, 0.05);
    assert_near(fan.radius_start, 66.69, 0.05);
    assert_near(fan.radius_stop, 399.87, 0.2);
    assert_near(fan.angle_stop_rad, 69.99 * DEGREE, 0.02 * DEGREE);
    assert_near(fan.angle_start_rad, -69.99 * DEGREE, 0.02 * DEGREE);
}

static void a_linear_fan_encloses_the_echoes_of_a_recorded_picture(void **state) {
    (void)state;
    es_plus *plus = real("PlusDeviceSet_RfProcessingAlgoLinearTest.xml");
    es_plus_scan_conversion scan = scan_conversion(plus);
    es_fan fan = es_plus_scan_fan(&scan);
    es_plus_free(plus);
    assert_int_equal(fan.kind, ES_FAN_LINEAR);
    picture p = read_picture("UltrasonixLinearScanConvertedData.igs.mha");
    es_fan left = fan, right = fan;
    left.u1 -= 1;
    right.u0 += 1;
    assert_int_equal(lit_outside(&p, &fan), 0);
    assert_true(lit_outside(&p, &left) > 0);
    assert_true(lit_outside(&p, &right) > 0);
    assert_near(fan.u1 - fan.u0, 38 / 0.2, 1e-9); /* the transducer's width */
    es_free(p.lit);
}

static void pixels_that_are_not_square_keep_radii_in_mm(void **state) {
    (void)state;
    es_plus_scan_conversion scan = {.curvilinear = true,
                                    .radius_start_mm = 40,
                                    .radius_stop_mm = 90,
                                    .theta_start_deg = -30,
                                    .theta_stop_deg = 30,
                                    .image_size = {400, 300},
                                    .spacing_mm = {0.3, 0.2},
                                    .transducer_center_px = {200, 10}};
    es_fan fan = es_plus_scan_fan(&scan);
    double radius, angle; /* 60 mm from the apex, 20 deg to the right */
    double u = 199.5 + 60 * sin(20 * DEGREE) / 0.3, v = 10 - 40 / 0.2 + 60 * cos(20 * DEGREE) / 0.2;
    es_fan_polar(&fan, u, v, &radius, &angle);
    assert_near(radius * 0.2, 60, 1e-9);
    assert_near(angle, 20 * DEGREE, 1e-12);
}

static void a_fan_is_not_made_up_from_half_a_description(void **state) {
    (void)state;
    static const char *const without[] = {"RadiusStartMm=\"10.0\"", "RadiusStopMm=\"60.0\"",
                                          "ThetaStartDeg=\"-70.0\"", "ThetaStopDeg=\"70.0\"",
                                          "OutputImageSpacingMmPerPixel=\"0.15 0.15\""};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        char text[sizeof bk_scan];
        strcpy(text, bk_scan);
        char *at = strstr(text, without[i]);
        memset(at, ' ', strlen(without[i]));
        es_plus *plus = parsed(text);
        es_plus_scan_conversion scan = scan_conversion(plus);
        assert_int_equal(es_plus_scan_fan(&scan).kind, ES_FAN_NONE);
        es_plus_free(plus);
    }
}

static void where_the_face_is_follows_from_the_size_when_it_is_not_said(void **state) {
    (void)state;
    char text[sizeof bk_scan + 40];
    strcpy(text, bk_scan);
    char *at = strstr(text, "TransducerCenterPixel=\"300 53\"");
    memset(at, ' ', strlen("TransducerCenterPixel=\"300 53\""));
    es_plus *plus = parsed(text);
    es_plus_scan_conversion scan = scan_conversion(plus);
    assert_near(scan.transducer_center_px[0], 300, 0);
    assert_near(scan.transducer_center_px[1], 10 / 0.15, 1e-9); /* curvature centre on row 0 */
    es_plus_free(plus);
    memcpy(at, "OutputImageStartDepthMm=\"2.05\"", strlen("OutputImageStartDepthMm=\"2.05\""));
    plus = parsed(text);
    scan = scan_conversion(plus);
    assert_near(scan.transducer_center_px[1], 53, 1e-9); /* (10 - 2.05) / 0.15 */
    es_plus_free(plus);
}

/* ---- old spellings ----------------------------------------------------- */

static es_plus_reconstruction with_attributes(const char *attributes) {
    char text[2000];
    snprintf(text, sizeof text, "<PlusConfiguration><VolumeReconstruction %s/></PlusConfiguration>",
             attributes);
    es_plus *plus = parsed(text);
    es_plus_reconstruction recon = reconstruction(plus);
    es_plus_free(plus);
    return recon;
}

static void old_spellings_of_compounding_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *attributes, *mode;
    } cases[] = {
        {"Compounding=\"On\"", "MEAN"},
        {"Compounding=\"OFF\"", "LATEST"},
        {"Compounding=\"ON\" Calculation=\"MAXIMUM\"", "MAXIMUM"},
        {"Compounding=\"OFF\" Calculation=\"MAXIMUM\"", "MAXIMUM"},
        {"Compounding=\"off\" Calculation=\"WEIGHTED_AVERAGE\"", "LATEST"},
        {"Calculation=\"weighted_average\"", "MEAN"},
        {"Compounding=\"Off\" CompoundingMode=\"MEAN\"", "MEAN"},
        {"CompoundingMode=\"maximum\" Compounding=\"ON\"", "MAXIMUM"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_plus_reconstruction recon = with_attributes(cases[i].attributes);
        assert_string_equal(recon.compounding, cases[i].mode);
        assert_int_equal(recon.has_compounding, cases[i].mode[0] != '\0');
    }
}

static void old_spellings_of_the_fan_are_understood(void **state) {
    (void)state;
    es_plus_reconstruction recon =
        with_attributes("FanAngles=\"-30 40\" FanOrigin=\"10 -20\" FanDepth=\"300\"");
    assert_true(recon.has_fan_angles && recon.fan_angles_deg[1] == 40);
    assert_true(recon.has_fan_origin && recon.fan_origin_px[1] == -20);
    assert_true(recon.has_fan_radius_stop && recon.fan_radius_stop_px == 300);
    recon = with_attributes("FanAngles=\"-30 40\" FanAnglesDeg=\"-5 5\"");
    assert_true(recon.fan_angles_deg[1] == 5); /* the new one counts */
}

static void zeros_mean_no_clip_and_no_fan(void **state) {
    (void)state;
    es_plus_reconstruction recon = with_attributes(
        "ClipRectangleOrigin=\"0 0\" ClipRectangleSize=\"0 0\" FanAnglesDeg=\"0 0\"");
    assert_false(recon.has_clip || recon.has_fan_angles);
    recon = with_attributes("ClipRectangleOrigin=\"7 8\"");
    assert_false(recon.has_clip);
    recon = with_attributes("ClipRectangleSize=\"7 8\"");
    assert_true(recon.has_clip && recon.clip_origin[0] == 0 && recon.clip_size[1] == 8);
}

static void all_the_other_attributes_are_read(void **state) {
    (void)state;
    es_plus_reconstruction recon = with_attributes(
        "ImageCoordinateFrame='Image' ReferenceCoordinateFrame='Reference' SkipInterval='3'\n"
        "OutputOrigin='-1 2 3.5' OutputExtent='-10 20 0 0 5 6' PixelRejectionThreshold='4.5'\n"
        "EnableFanAnglesAutoDetect='TRUE' FanAnglesAutoDetectBrightnessThreshold='30'\n"
        "FanAnglesAutoDetectFilterRadiusPixel='10' Optimization='partial' Interpolation='linear'\n"
        "CompoundingMode='IMPORTANCE_MASK' ImportanceMaskFilename='mask.png' NumberOfThreads='0'");
    assert_string_equal(recon.image_frame, "Image");
    assert_string_equal(recon.reference_frame, "Reference");
    assert_true(recon.has_skip && recon.skip_interval == 3);
    assert_true(recon.has_origin && recon.origin_mm[2] == 3.5);
    assert_true(recon.has_extent && recon.extent[0] == -10 && recon.extent[5] == 6);
    assert_true(recon.has_threshold && recon.threshold == 4.5);
    assert_true(recon.has_fan_detect && recon.fan_detect);
    assert_true(recon.has_fan_detect_threshold && recon.fan_detect_threshold == 30);
    assert_true(recon.has_fan_detect_radius && recon.fan_detect_radius_px == 10);
    assert_string_equal(recon.optimization, "PARTIAL");
    assert_string_equal(recon.interpolation, "LINEAR");
    assert_string_equal(recon.importance_mask, "mask.png");
    assert_true(recon.has_threads && recon.threads == 0);
}

static void several_ways_of_hole_filling_keep_their_order(void **state) {
    (void)state;
    es_plus *plus = parsed(
        "<PlusConfiguration><VolumeReconstruction FillHoles='ON'><HoleFilling>\n"
        "<HoleFillingElement Type='GAUSSIAN' Size='5' Stdev='0.6667'\n"
        "  MinimumKnownVoxelsRatio='0.50001'/>\n"
        "<HoleFillingElement Type='STICK' StickLengthLimit='9' NumberOfSticksToUse='1'/>\n"
        "<HoleFillingElement Type='nearest_neighbor' Size='3' MinimumKnownVoxelsRatio='0'/>\n"
        "</HoleFilling></VolumeReconstruction></PlusConfiguration>");
    es_plus_reconstruction recon = reconstruction(plus);
    assert_int_equal(recon.hole_filling_count, 3);
    assert_true(recon.hole_filling[0].size == 5 && recon.hole_filling[0].stdev == 0.6667);
    assert_true(isnan(recon.hole_filling[1].stdev) && recon.hole_filling[1].size == 0);
    assert_string_equal(recon.hole_filling[2].type, "NEAREST_NEIGHBOR");
    es_plus_free(plus);
}

static void the_element_below_the_root_comes_first(void **state) {
    (void)state;
    es_plus *plus = parsed("<PlusConfiguration><DataCollection><Device><VolumeReconstruction "
                           "SkipInterval='9'/></Device></DataCollection>"
                           "<VolumeReconstruction SkipInterval='2'/></PlusConfiguration>");
    assert_int_equal(reconstruction(plus).skip_interval, 2);
    es_plus_free(plus);
}

static void what_is_absent_is_said_to_be_absent(void **state) {
    (void)state;
    es_plus *plus = es_plus_new(NULL);
    es_plus_reconstruction recon;
    es_plus_scan_conversion scan;
    es_error err = {0};
    bool present = true;
    assert_true(es_plus_reconstruction_get(plus, &recon, &present, &err));
    assert_false(present || recon.has_spacing || recon.hole_filling_count);
    present = true;
    assert_true(es_plus_scan_conversion_get(plus, &scan, &present, &err));
    assert_false(present);
    assert_int_equal(es_plus_scan_fan(&scan).kind, ES_FAN_NONE);
    assert_int_equal(es_plus_transform_count(plus), 0);
    assert_null(es_plus_attribute(plus, "Segmentation", 0, "MinThetaDegrees", &err));
    assert_int_equal(err.code, ES_OK);
    es_plus_transform t;
    assert_false(es_plus_transform_get(plus, 0, &t, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_plus_free(plus);
    es_plus_free(NULL);
}

/* ---- setting and saving ------------------------------------------------ */

static const char furnished[] =
    "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n"
    "<!-- before the root -->\n"
    "<PlusConfiguration version=\"2.1\" Operator=\"M\xfcller &amp; S\xf6hne\">\n"
    "  <!-- L14-5, 50 mm -->\n"
    "  <DataCollection><Device Id=\"V\" Type=\"Strange\" Depth=\"50\"/></DataCollection>\n"
    "  <CoordinateDefinitions Note=\"kept\">\n"
    "    <!-- of Monday -->\n"
    "    <Transform From=\"Image\" To=\"Probe\" Extra=\"kept\"\n"
    "      Matrix=\"0.1 0 0 1\n 0 0.1 0 2\n 0 0 0.1 3\n 0 0 0 1\" Error=\"0.5\" Date=\"old\"/>\n"
    "  </CoordinateDefinitions>\n"
    "  <VolumeReconstruction OutputSpacing=\"1 1 1\" Compounding=\"On\" Calculation=\"MAXIMUM\"\n"
    "    FanAngles=\"-30 30\" Private=\"kept\" FillHoles=\"ON\">\n"
    "    <HoleFilling Hint=\"kept\"><HoleFillingElement Type=\"STICK\" StickLengthLimit=\"9\"\n"
    "      NumberOfSticksToUse=\"1\" Why=\"kept\"/></HoleFilling>\n"
    "  </VolumeReconstruction>\n"
    "</PlusConfiguration>\n";

static void save_and_reopen(es_plus **plus) {
    es_error err = {0};
    if (!es_plus_write(*plus, path_of("saved.xml"), &err)) fail_msg("%s", err.message);
    es_plus_free(*plus);
    *plus = es_plus_read(path_of("saved.xml"), &err);
    if (!*plus) fail_msg("%s", err.message);
}

static void what_is_set_comes_back_to_the_last_bit(void **state) {
    (void)state;
    es_plus *plus = es_plus_new(NULL);
    es_plus_transform t = {.from = "Image", .to = "Probe", .error = 1.0 / 3, .date = "today"};
    es_random random = es_random_new(5, 0);
    for (int i = 0; i < 12; i++) t.matrix.m[i] = 300 * es_random_normal(&random);
    t.matrix.m[15] = 1;
    assert_true(es_plus_transform_set(plus, &t, NULL));
    strcpy(t.to, "TransducerOriginPixel");
    t.error = NAN;
    assert_true(es_plus_transform_set(plus, &t, NULL));
    save_and_reopen(&plus);
    es_plus_transform back;
    assert_int_equal(es_plus_transform_count(plus), 2);
    assert_true(es_plus_transform_get(plus, 0, &back, NULL));
    assert_memory_equal(&back.matrix, &t.matrix, sizeof t.matrix);
    assert_true(back.error == 1.0 / 3);
    assert_true(es_plus_transform_get(plus, 1, &back, NULL));
    assert_true(isnan(back.error));
    es_plus_free(plus);
}

static void a_whole_reconstruction_and_scan_come_back(void **state) {
    (void)state;
    es_plus *plus = es_plus_new(NULL);
    es_plus_reconstruction recon = with_attributes(
        "ImageCoordinateFrame='Image' ReferenceCoordinateFrame='Reference' SkipInterval='3'\n"
        "OutputSpacing='0.1 0.2 0.3' OutputOrigin='-1 2 3.5' OutputExtent='-10 20 0 0 5 6'\n"
        "PixelRejectionThreshold='4.5' ClipRectangleOrigin='0 0' ClipRectangleSize='820 616'\n"
        "FanAnglesDeg='-30 40.5' FanOriginPixel='10 -20' FanRadiusStartPixel='7'\n"
        "FanRadiusStopPixel='300' EnableFanAnglesAutoDetect='FALSE' Optimization='FULL'\n"
        "Interpolation='LINEAR' CompoundingMode='MEAN' NumberOfThreads='2'");
    recon.hole_filling_count = 2;
    recon.hole_filling[0] = (es_plus_hole_filling){
        .type = "GAUSSIAN", .size = 5, .stdev = 2.0 / 3, .minimum_known_voxels_ratio = 0.5};
    recon.hole_filling[1] = (es_plus_hole_filling){.type = "STICK",
                                                   .stick_length_limit = 9,
                                                   .number_of_sticks = 1,
                                                   .stdev = NAN,
                                                   .minimum_known_voxels_ratio = NAN};
    es_plus *bk = parsed(bk_scan);
    es_plus_scan_conversion scan = scan_conversion(bk), scan_back;
    es_plus_free(bk);
    assert_true(es_plus_reconstruction_set(plus, &recon, NULL));
    assert_true(es_plus_scan_conversion_set(plus, &scan, NULL));
    save_and_reopen(&plus);
    es_plus_reconstruction back = reconstruction(plus);
    scan_back = scan_conversion(plus);
    assert_memory_equal(back.spacing_mm, recon.spacing_mm, sizeof recon.spacing_mm);
    assert_memory_equal(back.extent, recon.extent, sizeof recon.extent);
    assert_true(back.has_clip && back.clip_size[0] == 820 && back.fan_angles_deg[1] == 40.5);
    assert_true(back.has_fan_detect && !back.fan_detect && !back.has_fill_holes);
    assert_int_equal(back.hole_filling_count, 2);
    assert_true(back.hole_filling[0].stdev == 2.0 / 3 && isnan(back.hole_filling[1].stdev));
    assert_string_equal(back.compounding, "MEAN");
    assert_true(scan_back.curvilinear && scan_back.radius_stop_mm == 60);
    assert_true(isnan(scan_back.depth_mm) && scan_back.image_size[1] == 400);
    assert_string_equal(scan_back.transducer_name, "BK_8848-axial");
    es_plus_free(plus);
}

static void setting_keeps_what_it_does_not_know(void **state) {
    (void)state;
    es_plus *plus = parsed(furnished);
    es_plus_transform t;
    assert_true(es_plus_transform_get(plus, 0, &t, NULL));
    t.matrix.m[3] = 77.25;
    assert_true(es_plus_transform_set(plus, &t, NULL));
    es_plus_reconstruction recon = reconstruction(plus);
    recon.spacing_mm[0] = 0.25;
    assert_true(es_plus_reconstruction_set(plus, &recon, NULL));
    save_and_reopen(&plus);
    assert_int_equal(es_plus_transform_count(plus), 1);
    assert_true(es_plus_transform_get(plus, 0, &t, NULL));
    assert_true(t.matrix.m[3] == 77.25 && t.error == 0.5);
    assert_string_equal(t.date, "old");
    recon = reconstruction(plus);
    assert_true(recon.spacing_mm[0] == 0.25 && recon.fan_angles_deg[1] == 30);
    assert_string_equal(recon.compounding, "MAXIMUM");
    es_plus_free(plus);
    char *text = es_file_read(path_of("saved.xml"), 1 << 20, NULL, NULL);
    static const char *const kept[] = {"<!-- before the root -->",
                                       "<!-- L14-5, 50 mm -->",
                                       "<!-- of Monday -->",
                                       "Note=\"kept\"",
                                       "Extra=\"kept\"",
                                       "Private=\"kept\"",
                                       "Hint=\"kept\"",
                                       "Why=\"kept\"",
                                       "M\xc3\xbcller &amp; S\xc3\xb6hne",
                                       "Type=\"Strange\"",
                                       "FanAnglesDeg=",
                                       "CompoundingMode=\"MAXIMUM\""};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) assert_says(text, kept[i]);
    assert_null(strstr(text, "FanAngles="));
    assert_null(strstr(text, "Compounding="));
    assert_null(strstr(text, "Calculation="));
    es_free(text);
}

static void fewer_ways_of_hole_filling_leave_none_behind(void **state) {
    (void)state;
    es_plus *plus = parsed(furnished);
    es_plus_reconstruction recon = reconstruction(plus);
    recon.fill_holes = false;
    recon.hole_filling_count = 0;
    assert_true(es_plus_reconstruction_set(plus, &recon, NULL));
    assert_int_equal(reconstruction(plus).hole_filling_count, 0);
    recon.hole_filling_count = ES_PLUS_HOLE_MAX + 1;
    assert_false(es_plus_reconstruction_set(plus, &recon, NULL));
    es_plus_free(plus);
}

static void transforms_that_cannot_be_saved_are_refused(void **state) {
    (void)state;
    es_plus *plus = parsed(furnished);
    es_error err = {0};
    es_plus_transform t = {.from = "Probe", .to = "Image", .matrix = es_mat4_identity()};
    assert_false(es_plus_transform_set(plus, &t, &err));
    assert_says(err.message, "test.xml:8: Transform ImageToProbe: stands in the way");
    strcpy(t.to, "Probe");
    assert_false(es_plus_transform_set(plus, &t, &err));
    strcpy(t.to, "");
    assert_false(es_plus_transform_set(plus, &t, &err));
    strcpy(t.to, "Tracker\x01");
    assert_false(es_plus_transform_set(plus, &t, &err));
    strcpy(t.to, "Tr\xff\xff");
    assert_false(es_plus_transform_set(plus, &t, &err));
    strcpy(t.to, "Tracker");
    t.matrix.m[5] = NAN;
    assert_false(es_plus_transform_set(plus, &t, &err));
    assert_int_equal(err.code, ES_USAGE);
    assert_int_equal(es_plus_transform_count(plus), 1);
    save_and_reopen(&plus);
    assert_true(get_everything(plus, &err));
    es_plus_free(plus);
}

static void values_that_could_not_be_read_again_are_not_set(void **state) {
    (void)state;
    es_plus *plus = parsed(furnished);
    const es_plus_reconstruction good = reconstruction(plus);
    es_plus_reconstruction bad[4] = {good, good, good, good};
    bad[0].spacing_mm[1] = NAN;
    bad[1].has_skip = true; /* 0 */
    bad[2].hole_filling[0].size = -3;
    strcpy(bad[3].compounding, "MEDIAN");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_error err = {0};
        assert_false(es_plus_reconstruction_set(plus, &bad[i], &err));
        assert_int_equal(err.code, ES_USAGE);
        assert_true(reconstruction(plus).spacing_mm[1] == 1);
    }
    es_plus_free(plus);
}

static void attributes_can_be_set_by_path(void **state) {
    (void)state;
    es_plus *plus = es_plus_new(NULL);
    es_error err = {0};
    assert_true(es_plus_attribute_set(plus, "PhantomDefinition/Description", 0, "Name",
                                      "<a> & \"b\" \xc3\xa4", &err));
    assert_true(es_plus_attribute_set(plus, "PhantomDefinition/Description", 0, "Name2", "", &err));
    assert_int_equal(es_plus_element_count(plus, "PhantomDefinition/Description"), 1);
    save_and_reopen(&plus);
    char *name = es_plus_attribute(plus, "PhantomDefinition/Description", 0, "Name", &err);
    assert_string_equal(name, "<a> & \"b\" \xc3\xa4");
    es_free(name);
    name = es_plus_attribute(plus, "PhantomDefinition/Description", 0, "Name2", &err);
    assert_string_equal(name, "");
    es_free(name);
    assert_false(es_plus_attribute_set(plus, "PhantomDefinition", 4, "A", "b", &err));
    assert_false(es_plus_attribute_set(plus, "No Name", 0, "A", "b", &err));
    assert_false(es_plus_attribute_set(plus, "PhantomDefinition", 0, "a b", "c", &err));
    static const char *const bad[] = {
        "",     "/",   "a//b",  "a/",  "a[",    "a[]",
        "a[x]", "a[1", "a[1]b", "[1]", "a[-1]", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        err = (es_error){0};
        assert_int_equal(es_plus_element_count(plus, bad[i]), 0);
        assert_null(es_plus_attribute(plus, bad[i], 0, "A", &err));
        assert_int_equal(err.code, ES_USAGE);
    }
    es_plus_free(plus);
}

static void a_failed_save_leaves_the_old_file(void **state) {
    (void)state;
    es_plus *plus = parsed(furnished);
    assert_true(es_plus_write(plus, path_of("old.xml"), NULL));
    xmlChar *before = canonical(path_of("old.xml"));
    assert_true(es_plus_attribute_set(plus, "Segmentation", 0, "A", "b", NULL));
    es_error err = {0};
    es_output_fail_after(0);
    assert_false(es_plus_write(plus, path_of("old.xml"), &err));
    es_output_fail_after(-1);
    assert_int_equal(err.code, ES_IO);
    xmlChar *after = canonical(path_of("old.xml"));
    assert_string_equal((char *)before, (char *)after);
    xmlFree(before);
    xmlFree(after);
    assert_int_not_equal(access(path_of("old.xml.part"), F_OK), 0);
    assert_false(es_plus_write(plus, path_of("no/such/folder.xml"), &err));
    assert_int_equal(err.code, ES_IO);
    es_plus_free(plus);
}

/* ---- broken files ------------------------------------------------------ */

#define MATRIX "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"
#define TRANSFORM(attributes)                                                                      \
    "<PlusConfiguration>\n<CoordinateDefinitions>\n\n<Transform " attributes                       \
    "/>\n</CoordinateDefinitions></PlusConfiguration>"
#define RECON(attributes)                                                                          \
    "<PlusConfiguration>\n<VolumeReconstruction\n " attributes "/>\n</PlusConfiguration>"
#define HOLE(attributes)                                                                           \
    "<PlusConfiguration><VolumeReconstruction "                                                    \
    "FillHoles='ON'><HoleFilling>\n<HoleFillingElement " attributes                                \
    "/></HoleFilling></VolumeReconstruction></PlusConfiguration>"
#define SCAN(attributes) "<PlusConfiguration>\n<ScanConversion " attributes "/></PlusConfiguration>"

/* Each is refused with ES_FORMAT and these words. */
static const struct {
    const char *text, *says;
} broken[] = {
    /* not PLUS, not XML */
    {"", "test.xml"},
    {"no XML at all", "test.xml:1: no XML"},
    {"<PlusConfiguration>", "test.xml:1: "},
    {"<PlusConfiguration>\n<A>\n</PlusConfiguration>", "test.xml:3: "},
    {"<PlusConfiguration><A b='1' b='2'/></PlusConfiguration>", "redefined"},
    {"<PlusConfiguration>\n<A b='1/><B c=\"2\"/></PlusConfiguration>", "test.xml:2: "},
    {"<PlusConfiguration>\n<A b='1/><B c='2'/></PlusConfiguration>", "test.xml:2: a < in the"},
    {"<PlusConfiguration>\n<!--\x01--></PlusConfiguration>", "test.xml:2: a control character"},
    {"\x4c\x6f\xa7\x94 in EBCDIC", "test.xml:1: no XML"},
    {"<?xml version='encoding=\"UTF-8\"' encoding='UTF-7'?><PlusConfiguration/>", "two encod"},
    {"<PlusConfiguration a=\"\x80\xff\"/>", "test.xml:1: "},
    {"<PlusConfiguration a='&nothing;'/>", "nothing"},
    {"<PlusConfiguration/><PlusConfiguration/>", "test.xml:1: "},
    {"<PlusConfiguration><![CDATA[ never closed </PlusConfiguration>", "test.xml:1: "},
    {"<PlusConfiguration><!-- never closed </PlusConfiguration>", "test.xml:1: "},
    {"<Calibration/>", "root element is <Calibration>, expected <PlusConfiguration>"},
    {"<?xml version='1.0' encoding='UTF-7'?><PlusConfiguration/>", "save it as UTF-8"},
    {"<?xml version='1.0' encoding='IBM037'?><PlusConfiguration/>", "save it as UTF-8"},
    /* declarations: bombs, local files, addresses */
    {"<!DOCTYPE a [<!ENTITY x 'xxxx'><!ENTITY y '&x;&x;&x;&x;'>]>\n"
     "<PlusConfiguration a='&y;'/>",
     "test.xml:1: a document type declaration"},
    {"\n<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><PlusConfiguration a='&x;'/>",
     "test.xml:2: a document type declaration"},
    {"<!DOCTYPE a SYSTEM 'http://localhost:1/a.dtd'><PlusConfiguration/>",
     "a document type declaration"},
    /* transforms */
    {TRANSFORM("From='Image' To='Probe' Matrix='1 0 0 0 0 1 0 0 0 0 1 0 0 0 1'"),
     "test.xml:4: Transform ImageToProbe: Matrix has 15 numbers, expected 16"},
    {TRANSFORM("From='Image' To='Probe' Matrix='" MATRIX " 1'"),
     "test.xml:4: Transform ImageToProbe: Matrix has 17 numbers, expected 16"},
    {TRANSFORM("From='Image' To='Probe' Matrix=''"), "Matrix has 0 numbers, expected 16"},
    {TRANSFORM("From='Image' To='Probe'"), "the attribute Matrix is missing"},
    {TRANSFORM("From='Image' Matrix='" MATRIX "'"), "test.xml:4: Transform: the attribute To"},
    {TRANSFORM("To='Image' Matrix='" MATRIX "'"), "the attribute From is missing"},
    {TRANSFORM("From='' To='Probe' Matrix='" MATRIX "'"), "two different frames"},
    {TRANSFORM("From='A' To='A' Matrix='" MATRIX "'"), "two different frames"},
    {TRANSFORM("From='A' To='B' Matrix='1 0 0 nan 0 1 0 0 0 0 1 0 0 0 0 1'"),
     "Transform AToB: Matrix is \"1 0 0 nan"},
    {TRANSFORM("From='A' To='B' Matrix='1 0 0 0 0 1 0 1e999 0 0 1 0 0 0 0 1'"), "Matrix is"},
    {TRANSFORM("From='A' To='B' Matrix='1 0 0 0 0 1 0 zero 0 0 1 0 0 0 0 1'"), "Matrix is"},
    {TRANSFORM("From='A' To='B' Matrix='" MATRIX "' Error='large'"), "Error is \"large\""},
    {TRANSFORM("From='A' To='B' Matrix='" MATRIX "'/>\n<Transform From='A' To='B' Matrix='2 0 0 0 "
               "0 1 0 0 0 0 1 0 0 0 0 1'"),
     "test.xml:5: Transform AToB: given again with another matrix (the first is on line 4)"},
    /* volume reconstruction */
    {RECON("OutputSpacing='0.5 0.5'"),
     "test.xml:2: VolumeReconstruction: OutputSpacing has 2 numbers, expected 3"},
    {RECON("OutputSpacing='0.5 0.5 0'"), "OutputSpacing is \"0.5 0.5 0\", expected 3 numbers from"},
    {RECON("OutputSpacing='0.5 -0.5 1'"), "OutputSpacing is"},
    {RECON("OutputSpacing='nan 1 1'"), "OutputSpacing is"},
    {RECON("OutputSpacing='0,5mm 1 1'"), "OutputSpacing is"},
    {RECON("OutputOrigin='inf 0 0'"), "OutputOrigin is"},
    {RECON("OutputExtent='0 99999999999999999999 0 1 0 1'"), "OutputExtent is"},
    {RECON("OutputExtent='0 1 5 4 0 1'"), "OutputExtent goes from 5 to 4 along y"},
    {RECON("OutputExtent='-2147483648 2147483647 -2147483648 2147483647 -2147483648 2147483647'"),
     "more voxels than can be counted"},
    {RECON("OutputExtent='0 1.5 0 1 0 1'"), "expected 6 whole numbers"},
    {RECON("ClipRectangleSize='-1 5'"), "ClipRectangleSize is \"-1 5\""},
    {RECON("ClipRectangleOrigin='0 3e9'"), "ClipRectangleOrigin is"},
    {RECON("FanAnglesDeg='30 -30'"), "FanAnglesDeg goes from 30 to -30"},
    {RECON("FanAngles='0'"), "FanAngles has 1 number, expected 2"},
    {RECON("FanRadiusStartPixel='10' FanRadiusStopPixel='10'"), "start before the stop"},
    {RECON("Interpolation='CUBIC'"),
     "test.xml:2: VolumeReconstruction: Interpolation is \"CUBIC\", expected NEAREST_NEIGHBOR or "
     "LINEAR"},
    {RECON("CompoundingMode='AVERAGE'"),
     "CompoundingMode is \"AVERAGE\", expected LATEST, MEAN, MAXIMUM or IMPORTANCE_MASK"},
    {RECON("CompoundingMode='IMPORTANCE_MASK'"), "ImportanceMaskFilename is missing"},
    {RECON("Compounding='Yes'"), "Compounding is \"Yes\", expected OFF or ON"},
    {RECON("Calculation='MEDIAN'"), "expected WEIGHTED_AVERAGE or MAXIMUM"},
    {RECON("Optimization='FAST'"), "expected NONE, PARTIAL or FULL"},
    {RECON("FillHoles='MAYBE'"), "expected OFF or ON"},
    {RECON("FillHoles='ON'"), "there is no HoleFilling"},
    {RECON("EnableFanAnglesAutoDetect='1'"), "expected FALSE or TRUE"},
    {RECON("SkipInterval='0'"), "SkipInterval is \"0\", expected 1 whole number from 1"},
    {RECON("NumberOfThreads='-2'"), "NumberOfThreads is \"-2\""},
    {RECON("NumberOfThreads='many'"), "NumberOfThreads is \"many\""},
    {RECON("PixelRejectionThreshold='nan'"), "PixelRejectionThreshold is"},
    /* hole filling */
    {HOLE(""), "test.xml:2: HoleFillingElement: the attribute Type is missing"},
    {HOLE("Type='MAGIC'"), "GAUSSIAN_ACCUMULATION"},
    {HOLE("Type='STICK' NumberOfSticksToUse='1'"), "needs the attribute StickLengthLimit"},
    {HOLE("Type='STICK' StickLengthLimit='9'"), "needs the attribute NumberOfSticksToUse"},
    {HOLE("Type='GAUSSIAN' Size='5' MinimumKnownVoxelsRatio='0.5'"), "needs the attribute Stdev"},
    {HOLE("Type='NEAREST_NEIGHBOR' Size='5'"), "needs the attribute MinimumKnownVoxelsRatio"},
    {HOLE("Type='NEAREST_NEIGHBOR' Size='4' MinimumKnownVoxelsRatio='0'"), "odd number"},
    {HOLE("Type='NEAREST_NEIGHBOR' Size='5' MinimumKnownVoxelsRatio='2'"), "Ratio is \"2\""},
    /* scan conversion */
    {SCAN(""), "test.xml:2: ScanConversion: the attribute TransducerGeometry is missing"},
    {SCAN("TransducerGeometry='ROUND'"), "expected LINEAR or CURVILINEAR"},
    {SCAN("TransducerGeometry='CURVILINEAR' RadiusStartMm='60' RadiusStopMm='50'"),
     "start before the stop"},
    {SCAN("TransducerGeometry='CURVILINEAR' ThetaStartDeg='30' ThetaStopDeg='-30'"),
     "smaller angle first"},
    {SCAN("TransducerGeometry='LINEAR' OutputImageSpacingMmPerPixel='0 0'"),
     "OutputImageSpacingMmPerPixel is"},
    {SCAN("TransducerGeometry='LINEAR' OutputImageSizePixel='820.5 616'"), "whole numbers"},
    {SCAN("TransducerGeometry='LINEAR' ImagingDepthMm='-5'"), "ImagingDepthMm is"},
    {SCAN("TransducerGeometry='LINEAR' TransducerCenterPixel='nan nan'"), "TransducerCenterPixel"},
};

static void every_broken_file_is_refused_with_its_place_and_what_is_allowed(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        es_error err = {0};
        es_plus *plus = es_plus_parse(broken[i].text, strlen(broken[i].text), "test.xml", &err);
        if (plus && get_everything(plus, &err)) fail_msg("accepted: %s", broken[i].text);
        es_plus_free(plus);
        assert_int_equal(err.code, ES_FORMAT);
        assert_says(err.message, broken[i].says);
    }
}

/* Cut anywhere, the only whole one is the last. */
static void a_truncated_file_is_refused_wherever_it_ends(void **state) {
    (void)state;
    size_t whole = strlen(furnished) - 1; /* without the last line break */
    for (size_t length = 0; length < whole; length++) {
        es_error err = {0};
        char *text = es_alloc(length, 1, NULL); /* so that ASan sees the end */
        memcpy(text, furnished, length);
        assert_null(es_plus_parse(text, length, "cut.xml", &err));
        assert_int_equal(err.code, ES_FORMAT);
        assert_says(err.message, "cut.xml");
        es_free(text);
    }
}

static void a_singular_matrix_is_known_but_not_used(void **state) {
    (void)state;
    es_plus *plus = parsed(TRANSFORM("From='Image' To='Probe' Matrix='1 2 3 0 2 4 6 0 1 1 1 0 0 0 "
                                     "0 1'"));
    es_graph *graph = es_graph_new(NULL);
    es_mat4 matrix;
    es_error err = {0};
    assert_true(es_plus_to_graph(plus, graph, &err));
    assert_false(es_graph_find(graph, "Image", "Probe", &matrix, NULL, &err));
    assert_says(err.message, "ImageToProbe is not valid");
    assert_says(err.message, "singular");
    es_graph_free(graph);
    es_plus_free(plus);
}

static es_plus *parse_text(es_text *text, es_error *err) {
    assert_false(text->failed);
    *err = (es_error){0};
    es_plus *plus = es_plus_parse(text->bytes, text->length, "big.xml", err);
    es_text_free(text);
    return plus;
}

static void huge_things_are_refused_quickly(void **state) {
    (void)state;
    es_error err;
    double start_s = es_clock_s();
    es_text text = {0};
    for (int i = 0; i < 100000; i++) es_text_add(&text, "<a>");
    assert_null(parse_text(&text, &err));
    assert_says(err.message, "nested more than 64 deep");
    es_text_add(&text, "<PlusConfiguration");
    for (int i = 0; i < 150000; i++) es_text_add(&text, " a%d=''", i);
    es_text_add(&text, "/>");
    assert_null(parse_text(&text, &err));
    assert_says(err.message, "more than 256 attributes");
    for (int i = 0; i < 300000; i++) es_text_add(&text, "0123456789");
    assert_null(parse_text(&text, &err));
    assert_says(err.message, "3000000 bytes");
    assert_null(es_plus_parse("<PlusConfiguration\0/>", 21, "zero.xml", &err));
    assert_says(err.message, "zero.xml:1: a control character");
    /* seconds of a slow machine under ASan; an attribute compared with each
     * other one takes minutes */
    assert_true(es_clock_s() - start_s < 20);
}

static void a_huge_attribute_is_an_error_where_it_does_not_fit(void **state) {
    (void)state;
    es_error err;
    es_text text = {0};
    es_text_add(&text, "<PlusConfiguration><CoordinateDefinitions><Transform To='B' From='");
    for (int i = 0; i < 100000; i++) es_text_add(&text, "0123456789");
    es_text_add(&text, "' Matrix='" MATRIX "'/></CoordinateDefinitions></PlusConfiguration>");
    es_plus *plus = parse_text(&text, &err);
    assert_non_null(plus);
    assert_false(get_everything(plus, &err));
    assert_says(err.message, "From has 1000000 characters, expected at most 127");
    es_plus_free(plus);
    es_text_add(&text, "<PlusConfiguration><VolumeReconstruction OutputSpacing='");
    for (int i = 0; i < 300000; i++) es_text_add(&text, "1 ");
    es_text_add(&text, "'/></PlusConfiguration>");
    plus = parse_text(&text, &err);
    assert_non_null(plus);
    assert_false(get_everything(plus, &err));
    assert_says(err.message, "OutputSpacing has 300000 numbers, expected 3");
    es_plus_free(plus);
}

static void a_flood_of_transforms_is_refused(void **state) {
    (void)state;
    es_error err;
    es_text text = {0};
    es_text_add(&text, "<PlusConfiguration><CoordinateDefinitions>");
    for (int i = 0; i < 20000; i++)
        es_text_add(&text, "<Transform From='A%d' To='B' Matrix='" MATRIX "'/>", i);
    es_text_add(&text, "</CoordinateDefinitions></PlusConfiguration>");
    es_plus *plus = parse_text(&text, &err);
    assert_non_null(plus);
    assert_false(get_everything(plus, &err));
    assert_int_equal(err.code, ES_UNSUPPORTED);
    assert_says(err.message, "20000 transforms");
    es_plus_free(plus);
}

static void a_file_that_is_not_there_is_an_error_of_the_system(void **state) {
    (void)state;
    es_error err = {0};
    assert_null(es_plus_read(path_of("not_there.xml"), &err));
    assert_int_equal(err.code, ES_IO);
    assert_says(err.message, "not_there.xml");
    assert_null(es_plus_read(folder, &err));
}

static int warnings;
static void count_warning(void *context, es_level level, const char *message) {
    warnings += level == ES_WARNING && strstr(message, context) != NULL;
}

static void a_misspelt_attribute_is_warned_about(void **state) {
    (void)state;
    es_log_set(count_warning, (void *)"OutputSpaceing");
    warnings = 0;
    es_plus_free(parsed(RECON("OutputSpaceing='0.5 0.5 0.5'")));
    assert_int_equal(warnings, 1);
    es_plus_free(parsed(RECON("OutputSpacing='0.5 0.5 0.5' FanDepth='5' Compounding='On'")));
    assert_int_equal(warnings, 1);
    es_log_set(NULL, NULL);
}

/* Whichever allocation fails, there is an error and nothing is lost; libxml2's
 * own allocations are not among them. */
static void every_failed_allocation_is_an_error(void **state) {
    (void)state;
    long n = 0;
    for (bool done = false; !done; n++) {
        es_error err = {0};
        es_plus_transform t = {.from = "A", .to = "B", .matrix = es_mat4_identity(), .error = 1};
        es_alloc_fail_after(n);
        es_plus *plus = es_plus_parse(furnished, strlen(furnished), "test.xml", &err);
        bool good = plus && get_everything(plus, &err) && es_plus_transform_set(plus, &t, &err);
        char *text =
            good ? es_plus_attribute(plus, "VolumeReconstruction/HoleFilling", 0, "Hint", &err)
                 : NULL;
        es_alloc_fail_after(-1);
        done = text != NULL;
        if (!done) assert_int_equal(err.code, ES_MEMORY);
        es_free(text);
        es_plus_free(plus);
        assert_true(n < 1000);
    }
    assert_true(n > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_real_configuration_is_read_and_kept_whole),
        cmocka_unit_test(the_calibration_of_a_real_recording_is_found),
        cmocka_unit_test(fan_and_hole_filling_of_the_reference_volumes_are_read),
        cmocka_unit_test(elements_inside_devices_are_found),
        cmocka_unit_test(phantom_wires_are_reached_by_path),
        cmocka_unit_test(a_recording_lies_where_plus_put_its_volume),
        cmocka_unit_test(a_curvilinear_fan_encloses_the_echoes_of_recorded_pictures),
        cmocka_unit_test(the_fan_agrees_with_the_contour_of_the_picture),
        cmocka_unit_test(a_linear_fan_encloses_the_echoes_of_a_recorded_picture),
        cmocka_unit_test(pixels_that_are_not_square_keep_radii_in_mm),
        cmocka_unit_test(a_fan_is_not_made_up_from_half_a_description),
        cmocka_unit_test(where_the_face_is_follows_from_the_size_when_it_is_not_said),
        cmocka_unit_test(old_spellings_of_compounding_are_understood),
        cmocka_unit_test(old_spellings_of_the_fan_are_understood),
        cmocka_unit_test(zeros_mean_no_clip_and_no_fan),
        cmocka_unit_test(all_the_other_attributes_are_read),
        cmocka_unit_test(several_ways_of_hole_filling_keep_their_order),
        cmocka_unit_test(the_element_below_the_root_comes_first),
        cmocka_unit_test(what_is_absent_is_said_to_be_absent),
        cmocka_unit_test(what_is_set_comes_back_to_the_last_bit),
        cmocka_unit_test(a_whole_reconstruction_and_scan_come_back),
        cmocka_unit_test(setting_keeps_what_it_does_not_know),
        cmocka_unit_test(fewer_ways_of_hole_filling_leave_none_behind),
        cmocka_unit_test(transforms_that_cannot_be_saved_are_refused),
        cmocka_unit_test(values_that_could_not_be_read_again_are_not_set),
        cmocka_unit_test(attributes_can_be_set_by_path),
        cmocka_unit_test(a_failed_save_leaves_the_old_file),
        cmocka_unit_test(every_broken_file_is_refused_with_its_place_and_what_is_allowed),
        cmocka_unit_test(a_truncated_file_is_refused_wherever_it_ends),
        cmocka_unit_test(a_singular_matrix_is_known_but_not_used),
        cmocka_unit_test(huge_things_are_refused_quickly),
        cmocka_unit_test(a_huge_attribute_is_an_error_where_it_does_not_fit),
        cmocka_unit_test(a_flood_of_transforms_is_refused),
        cmocka_unit_test(a_file_that_is_not_there_is_an_error_of_the_system),
        cmocka_unit_test(a_misspelt_attribute_is_warned_about),
        cmocka_unit_test(every_failed_allocation_is_an_error),
    };
    const char *temp = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/echosolid_plus_XXXXXX", temp ? temp : "/tmp");
    if (!mkdtemp(folder)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const left[] = {"round_trip.xml", "saved.xml", "old.xml"};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) unlink(path_of(left[i]));
    rmdir(folder);
    xmlCleanupParser();
    return failed;
}
