/* Other people's networks through ONNX Runtime: the same network exported to
 * ONNX gives what the own kernels give, and models that do not fit are refused
 * in words. Skips where the runtime (./do onnx) or torch is not installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "echosolid/network.h"
#include "network_support.h"

/* The runtime keeps 14 bytes of its own for good. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libonnxruntime"; }

static char folder[256];
static const char *missing; /* why the tests skip */

static es_network *open_named(const char *name, es_error *err) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return es_network_open(path, err);
}

static void run_shell(const char *command, int *status) {
    int all = system(command);
    *status = WIFEXITED(all) ? WEXITSTATUS(all) : -1;
}

static int make_models(void **state) {
    (void)state;
    const char *tmp = getenv("TMPDIR"), *source = getenv("ES_TEST_SOURCE");
    char command[1000];
    int status;
    snprintf(folder, sizeof folder, "%.200s/onnx-XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(folder)) return -1;
    snprintf(command, sizeof command, "%.400s/tests/make_network.py %s >%s/log 2>&1",
             source ? source : ".", folder, folder);
    run_shell(command, &status);
    if (status == 77) missing = "python3-torch or python3-onnx is not installed";
    if (status != 0 && !missing) {
        print_error("%s failed\n", command);
        return -1;
    }
    es_error err = {0};
    es_network *network = missing ? NULL : open_named("net.onnx", &err);
    es_network_free(network);
    if (!missing && !network && strstr(err.message, "./do onnx"))
        missing = "ONNX Runtime is not installed";
    return 0;
}

static int remove_models(void **state) {
    (void)state;
    char command[300];
    int status;
    snprintf(command, sizeof command, "rm -r %s", folder);
    run_shell(command, &status);
    return status;
}

static void skip_if_missing(void) {
    if (!missing) return;
    print_message("skipped: %s\n", missing);
    skip();
}

static void picture(float *grey, int count) {
    es_random random = es_random_new(6, 6);
    for (int i = 0; i < count; i++) grey[i] = (float)es_random_uniform(&random);
}

static void apply(const char *name, uint32_t width, uint32_t height, float *logits) {
    static float grey[128 * 128];
    es_error err = {0};
    picture(grey, (int)(width * height));
    es_network *network = open_named(name, &err);
    if (!network) fail_msg("%s", err.message);
    es_network_run *run = es_network_run_new(network, &err);
    if (!es_network_apply(run, grey, width, height, logits, &err)) fail_msg("%s", err.message);
    es_network_run_free(run);
    es_network_free(network);
}

/* Random weights make logits of about 1; the two sum in different orders. */
static void check_same(const char *name, uint32_t width, uint32_t height, double tolerance) {
    static float own[128 * 128], theirs[128 * 128];
    apply("net.esnn", width, height, own);
    apply(name, width, height, theirs);
    double most = 0;
    for (uint32_t i = 0; i < width * height; i++) {
        most = fmax(most, fabs((double)own[i]));
        if (fabs((double)own[i] - (double)theirs[i]) > tolerance)
            fail_msg("%s at %u: %g and %g", name, i, (double)own[i], (double)theirs[i]);
    }
    assert_true(most > 0.1);
}

static void the_export_of_a_network_gives_what_our_kernels_give(void **state) {
    (void)state;
    skip_if_missing();
    check_same("net.onnx", 40, 48, 1e-4);
    check_same("net.onnx", 95, 121, 1e-4);
    check_same("fixed.onnx", 40, 48, 1e-4);
}

/* A float probability near 0 or 1 has few digits left to give a logit from. */
static void a_model_that_gives_probabilities_means_the_same(void **state) {
    (void)state;
    skip_if_missing();
    check_same("sigmoid.onnx", 40, 48, 1e-2);
}

static void refuse(const char *name, const char *word) {
    es_error err = {0};
    es_network *network = open_named(name, &err);
    assert_null(network);
    if (!strstr(err.message, word)) fail_msg("%s: \"%s\" does not say %s", name, err.message, word);
}

static void models_and_descriptions_that_do_not_fit_are_refused_in_words(void **state) {
    (void)state;
    skip_if_missing();
    refuse("three.onnx", "3 channels");
    refuse("flat.onnx", "3 dimensions");
    refuse("far.onnx", "output_channel");
    refuse("typo.onnx", "\"spacing\" is no key");
    refuse("spacing.onnx", "spacing_mm");
    refuse("channels.onnx", "channels");
    refuse("std.onnx", "std");
    refuse("kind.onnx", "probability");
    refuse("size.onnx", "width of 40");
    refuse("cut.onnx", "ONNX Runtime");
    refuse("text.onnx", "ONNX Runtime");
    refuse("alone.onnx", "alone.json");
    refuse("nowhere.onnx", "nowhere.json");
}

static void refuse_frame(const char *name, uint32_t width, uint32_t height, const char *word) {
    static float grey[128 * 128], logits[128 * 128];
    es_error err = {0};
    es_network *network = open_named(name, &err);
    assert_non_null(network);
    es_network_run *run = es_network_run_new(network, &err);
    assert_false(es_network_apply(run, grey, width, height, logits, &err));
    if (!strstr(err.message, word)) fail_msg("%s: \"%s\" does not say %s", name, err.message, word);
    es_network_run_free(run);
    es_network_free(network);
}

static void frames_that_do_not_fit_the_model_are_refused_in_words(void **state) {
    (void)state;
    skip_if_missing();
    refuse_frame("fixed.onnx", 41, 48, "takes 40");
    refuse_frame("fixed.onnx", 40, 49, "takes 48");
    refuse_frame("halved.onnx", 40, 48, "1 x 2 x 24 x 20");
}

static void without_the_runtime_the_message_says_how_to_get_it(void **state) {
    (void)state;
    if (missing && strstr(missing, "torch")) skip_if_missing();
    const char *kept = getenv("ECHOSOLID_ONNXRUNTIME");
    char copy[4096] = "";
    if (kept) snprintf(copy, sizeof copy, "%s", kept);
    setenv("ECHOSOLID_ONNXRUNTIME", "/nowhere/libonnxruntime.so.1", 1);
    refuse("net.onnx", "./do onnx");
    if (*copy)
        setenv("ECHOSOLID_ONNXRUNTIME", copy, 1);
    else
        unsetenv("ECHOSOLID_ONNXRUNTIME");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_export_of_a_network_gives_what_our_kernels_give),
        cmocka_unit_test(a_model_that_gives_probabilities_means_the_same),
        cmocka_unit_test(models_and_descriptions_that_do_not_fit_are_refused_in_words),
        cmocka_unit_test(frames_that_do_not_fit_the_model_are_refused_in_words),
        cmocka_unit_test(without_the_runtime_the_message_says_how_to_get_it),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
