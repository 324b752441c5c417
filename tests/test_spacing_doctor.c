/* The doctor on clean simulated recordings, with each defect put in, on a
 * configuration alone, on mended frames, and on the real recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "doctor_defects.h"
#include "echosolid/judge.h"

/* Small pictures keep the test short; the sphere has overlapping sweeps, without
 * which no reading of the poses can be told from another. */
enum { FRAMES = 130, SIDE = 96 };

static int make_recording(void **state) {
    clean_recording *r = es_alloc_zero(1, sizeof *r, NULL);
    *state = r;
    return r && clean_make("sphere", FRAMES, SIDE, 3, r, NULL) ? 0 : -1;
}

static int drop_recording(void **state) {
    clean_clear(*state);
    es_free(*state);
    return 0;
}

static void a_clean_recording_gives_no_alarm(void **state) {
    es_findings findings = {0};
    es_doctor *doctor = examine_recording(*state, NULL, &findings, NULL);
    assert_non_null(doctor);
    for (size_t i = 0; i < findings.count; i++)
        if (findings.items[i].severity > ES_SEVERITY_NOTE)
            fail_msg("%s: %s", findings.items[i].check, findings.items[i].evidence);
    es_findings_clear(&findings);
    es_doctor_free(doctor);
}

static void every_defect_is_found_by_its_name(void **state) {
    for (int i = 0; i < DEFECTS; i++) {
        es_findings findings = {0};
        es_doctor *doctor = examine_recording(*state, &defects[i], &findings, NULL);
        assert_non_null(doctor);
        const es_finding *found = find_check(&findings, defects[i].check);
        if (!found) print_error("%s: not found as %s\n", defects[i].name, defects[i].check);
        assert_non_null(found);
        assert_true(found->evidence[0] && found->cause[0] && found->fix[0]);
        es_findings_clear(&findings);
        es_doctor_free(doctor);
    }
}

static void notes_never_become_alarms(void **state) {
    static const char *const gentle[] = {"water-calibration", "far-origin", "little-motion"};
    for (int i = 0; i < DEFECTS; i++)
        for (size_t k = 0; k < sizeof gentle / sizeof *gentle; k++) {
            es_findings findings = {0};
            if (strcmp(defects[i].check, gentle[k]) != 0) continue;
            es_doctor *doctor = examine_recording(*state, &defects[i], &findings, NULL);
            assert_int_equal(find_check(&findings, gentle[k])->severity, ES_SEVERITY_NOTE);
            assert_int_equal(count_alarms(&findings), 0);
            es_findings_clear(&findings);
            es_doctor_free(doctor);
        }
}

static void every_word_of_the_defects_is_in_the_list_of_checks(void **state) {
    (void)state;
    for (const char *const *check = es_doctor_checks(); *check; check++) {
        int uses = 0;
        for (int i = 0; i < DEFECTS; i++) uses += strcmp(defects[i].check, *check) == 0;
        if (!uses) print_error("%s: no sample triggers it\n", *check);
        assert_true(uses > 0);
    }
}

/* ---- mending -------------------------------------------------------------------- */

static const defect *defect_named(const char *name) {
    for (int i = 0; i < DEFECTS; i++)
        if (strcmp(defects[i].name, name) == 0) return &defects[i];
    fail_msg("no defect '%s'", name);
    return NULL;
}

/* Spoils, examines, mends; the largest difference from the clean poses over
 * the frames that are still valid. */
static double mended_error(const clean_recording *r, const char *name, int64_t *invalid) {
    const defect *spoilt = defect_named(name);
    es_findings findings = {0};
    es_frame frame = {0};
    double worst = 0;
    es_doctor *doctor = examine_recording(r, spoilt, &findings, NULL);
    assert_non_null(doctor);
    *invalid = 0;
    for (size_t i = 0; i < r->count; i++) {
        assert_true(es_frame_copy(&r->frames[i], &frame, NULL));
        spoilt->spoil_frame(&frame, i, r);
        assert_true(es_doctor_repair(doctor, &frame, NULL));
        const es_frame_transform *t = es_frame_find_transform(&frame, PROBE);
        *invalid += !t->valid;
        for (int k = 0; k < 16 && t->valid; k++)
            worst = fmax(worst, fabs(t->matrix.m[k] - pose_at(r, i, PROBE)->m[k]));
    }
    char *changes = es_doctor_repairs(doctor, NULL);
    assert_true(changes && changes[0]);
    es_free(changes);
    es_frame_clear(&frame);
    es_findings_clear(&findings);
    es_doctor_free(doctor);
    return worst;
}

static void what_is_mended_is_what_was_there_before(void **state) {
    int64_t invalid;
    /* Each is undone but for rounding: 1e-15 of translations of some 100 mm,
     * and the scale, which is measured as a mean of columns. */
    assert_true(mended_error(*state, "4 x 4 matrices transposed", &invalid) == 0);
    assert_true(mended_error(*state, "metres for millimetres", &invalid) < 1e-12);
    assert_true(mended_error(*state, "poses times 1.02", &invalid) < 1e-9);
    assert_int_equal(invalid, 0);
}

static void stand_ins_become_invalid_and_the_others_stay(void **state) {
    int64_t invalid;
    assert_true(mended_error(*state, "five identity poses", &invalid) == 0);
    assert_int_equal(invalid, 5);
    assert_true(mended_error(*state, "twelve equal poses", &invalid) == 0);
    assert_int_equal(invalid, 11); /* the first of them is right */
    assert_true(mended_error(*state, "single poses 20 mm off", &invalid) == 0);
    assert_int_equal(invalid, 5);
}

/* ---- wrong use, lack of memory ------------------------------------------------------ */

static void wrong_use_is_refused(void **state) {
    const clean_recording *r = *state;
    es_doctor_options options = ES_DOCTOR_DEFAULTS;
    es_findings findings = {0};
    es_error err = {0};
    options.elevation_mm = 0;
    assert_null(es_doctor_new(&options, &err));
    assert_int_equal(err.code, ES_USAGE);
    es_doctor *doctor = es_doctor_new(NULL, NULL);
    es_frame frame = {0};
    assert_false(es_doctor_repair(doctor, &frame, &err));
    assert_true(es_doctor_finish(doctor, &findings, NULL)); /* nothing known: nothing said */
    assert_int_equal(findings.count, 0);
    assert_false(es_doctor_finish(doctor, &findings, &err));
    assert_false(es_doctor_add(doctor, &r->frames[0], &err));
    es_findings_clear(&findings);
    es_doctor_free(doctor);
}

static void lack_of_memory_is_reported_wherever_it_strikes(void **state) {
    clean_recording few = *(const clean_recording *)*state;
    bool whole = false;
    few.count = 24;
    for (long n = 0; n < 400 && !whole; n += n < 60 ? 1 : 7) {
        es_findings findings = {0};
        es_error err = {0};
        es_alloc_fail_after(n);
        es_doctor *doctor = examine_recording(&few, NULL, &findings, &err);
        es_alloc_fail_after(-1);
        whole = doctor != NULL;
        if (!whole) assert_int_equal(err.code, ES_MEMORY);
        es_findings_clear(&findings);
        es_doctor_free(doctor);
    }
    assert_true(whole);
}

/* ---- the real recordings -------------------------------------------------------------- */

/* What the facts explain; everything else must stay a note. */
static const struct {
    const char *recording, *config, *checks; /* checks: blank-separated, "" none */
} real[] = {
    {"SpinePhantomFreehand.igs.mha", NULL, "frame-gaps"},
    {"SpinePhantomFreehand.igs.mha", "Config_VolumeReconstruction_SpinePhantom_NN_MEAN.xml",
     "frame-gaps"},
    {"BoneUltrasound_L14.igs.mha", NULL, ""},
    {"BoneUltrasound_L14.igs.mha", "BoneUltrasound_L14_config.xml",
     "spacing-contradicts-itself spacing-contradicts-image"},
    {"fCal_Test_Calibration_3NWires.igs.mha", NULL, ""},
    {"fCal_Test_Calibration_3NWires.igs.mha", "PlusDeviceSet_fCal_Sim_VolumeReconstruction.xml",
     "lag"},
    {"fCal_Test_Validation_3NWires.igs.mha", NULL, ""},
    {"WaterTankBottomTranslationVideoBuffer.igs.mha", NULL, ""},
    {"WaterTankBottomTranslationTrackerBuffer.igs.mha", NULL, ""},
    {"WaterTankBottomTranslationTrackerBuffer-trimmed.igs.mha", NULL, ""},
    {"EightLandmarkPointsTrackedForPhantomRegistration.igs.mha", NULL, ""},
    {"USTC_FrameGrabber_ProbeRotationData.igs.mha", NULL, "overlay-text"},
    {"UltrasonixCurvilinearScanConvertedData.igs.mha", NULL, ""},
    {"UltrasonixCurvilinearScanConvertedDataGroundTruth.igs.mha", NULL, ""},
    {"UltrasonixLinearScanConvertedData.igs.mha", NULL, ""},
    {"BkCurvilinearScanConvertedData.igs.mha", NULL, ""},
    {"BkCurvilinearRfData.igs.mhd", NULL, "rf-data"},
    {"NrrdSample.igs.nrrd", NULL, ""},
    {"ColorNrrdSample.igs.nrrd", NULL, ""},
    {"Agilent_Scope_Recording_DP310.igs.nrrd", NULL, ""},
    {"MetaImageSequenceIOTest1.igs.mhd", NULL, "count-mismatch"},
    {"Prostate10_tracker.igs.mha", NULL, ""},
    {"Prostate10_video.igs.mhd", NULL, "count-mismatch identity-poses spacing-default"},
    {"SyntheticTrackerBuffer20.igs.mha", NULL, ""},
    {"SyntheticVideoBuffer20.igs.mha", NULL, "identity-poses spacing-default"},
    {"TimestampFilteringTest.igs.mha", NULL, "time-gaps time-jitter"},
    {"TransformInterpolationTest.igs.mha", NULL, "identity-poses"},
    {NULL, "PlusDeviceSet_Server_DAQVideoSource.xml", "mirrored-matrix spacing-default"},
    {NULL, "PlusDeviceSet_fCal_BKProstate_Epiphan_NDIPolaris_20130517_102238.xml",
     "mirrored-matrix not-rigid"},
    {NULL, "PlusDeviceSet_Server_HoloLens_SonixTouch_L14-5_NDIAurora.xml",
     "metres-for-millimetres"},
    {NULL, "SpineUltrasound-Lumbar-C5_config.xml", "spacing-contradicts-itself"},
    {NULL, "PlusDeviceSet_Server_TelemedVideoCapture.xml", "spacing-default"},
    {NULL, "PlusDeviceSet_Server_V4L2.xml", "spacing-default"},
    {NULL, "PlusDeviceSet_Server_Sim_NwirePhantom.xml", "spacing-default"},
    {NULL, "PlusDeviceSet_IPEA_OptimizationMethod.xml", ""},
    {NULL, "PlusDeviceSet_OPEA_OptimizationMethod.xml", ""},
    {NULL, "PlusDeviceSet_fCal_Sim_SpatialCalibration_1.2.xml", ""},
    {NULL, "PlusDeviceSet_fCal_Sim_RecordPhantomLandmarks.xml", ""},
    {NULL, "PlusDeviceSet_UsSimulatorAlgoTestCurvilinear.xml", ""},
    {NULL, "PlusDeviceSet_iCal_CalibrationOnly_FrameGrabber.xml", ""},
};

static bool is_listed(const char *word, const char *words) {
    size_t n = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    return false;
}

static void compare(size_t i, const es_findings *findings) {
    const char *name = real[i].recording ? real[i].recording : real[i].config;
    char found[400] = "";
    for (size_t k = 0; k < findings->count; k++) {
        const es_finding *f = &findings->items[k];
        if (f->severity == ES_SEVERITY_NOTE) continue;
        if (!is_listed(f->check, real[i].checks))
            fail_msg("%s: unexpected %s: %s", name, f->check, f->evidence);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s ", f->check);
    }
    char words[200], *rest = words;
    snprintf(words, sizeof words, "%s", real[i].checks);
    for (char *word; (word = strtok_r(rest, " ", &rest));)
        if (!strstr(found, word)) fail_msg("%s: %s was not found", name, word);
}

static void real_recordings_have_the_findings_that_are_known(void **state) {
    const char *folder = getenv("ES_TEST_DATA");
    (void)state;
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        char path[1000], config[1000];
        es_error err = {0};
        es_findings findings = {0};
        snprintf(path, sizeof path, "%s/plus/sequences/%s", folder ? folder : "",
                 real[i].recording ? real[i].recording : "");
        snprintf(config, sizeof config, "%s/plus/config/%s", folder ? folder : "",
                 real[i].config ? real[i].config : "");
        es_source *source = real[i].recording && folder ? es_sequence_open(path, &err) : NULL;
        es_plus *plus = real[i].config && folder ? es_plus_read(config, &err) : NULL;
        if (!source && !plus) {
            print_message("skipped: ES_TEST_DATA has no plus/sequences/%s\n", path);
            skip();
        }
        es_judge_request judge;
        es_judgement spacing = {0};
        es_judge_request_init(&judge);
        judge.plus = plus;
        judge.config = real[i].config;
        es_checkup checkup = {.source = source, .plus = plus, .plus_path = plus ? config : NULL};
        checkup.judge = &judge;
        checkup.judgement = &spacing;
        es_doctor *doctor = es_checkup_run(&checkup, &findings, &err);
        if (!doctor) fail_msg("%s", err.message);
        compare(i, &findings);
        es_judgement_clear(&spacing);
        es_doctor_free(doctor);
        es_findings_clear(&findings);
        es_source_free(source);
        es_plus_free(plus);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_recording_gives_no_alarm),
        cmocka_unit_test(every_defect_is_found_by_its_name),
        cmocka_unit_test(notes_never_become_alarms),
        cmocka_unit_test(every_word_of_the_defects_is_in_the_list_of_checks),
        cmocka_unit_test(what_is_mended_is_what_was_there_before),
        cmocka_unit_test(stand_ins_become_invalid_and_the_others_stay),
        cmocka_unit_test(wrong_use_is_refused),
        cmocka_unit_test(lack_of_memory_is_reported_wherever_it_strikes),
        cmocka_unit_test(real_recordings_have_the_findings_that_are_known),
    };
    return cmocka_run_group_tests(tests, make_recording, drop_recording);
}
