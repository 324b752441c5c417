/* bench_calibration: every figure of the calibrations, against simulated
 * truths and, where ES_TEST_DATA names the folder, recordings. `--json` for
 * programs, `--runs N` (50) simulated N-wire recordings (with pictures 20 at
 * most), `--only WORD` those kinds of pictures and traps alone, or
 * the `recordings`. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../tests/wire_scene.h"

static bool as_json;
static const char *only;
static int printed;

static void show(const char *name, double value, const char *unit, const char *aim) {
    char number[32] = "null"; /* JSON has no nan */
    if (isfinite(value)) snprintf(number, sizeof number, "%.6g", value);
    if (as_json)
        printf("%s\n  \"%s\": {\"value\": %s, \"unit\": \"%s\", \"aim\": \"%s\"}",
               printed++ ? "," : "{", name, number, unit, aim);
    else
        printf("%-44s %10.4g %-4s  aim %s\n", name, value, unit, aim);
}

/* Processor time: the machine may be busy. */
static double seconds(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, es_compare_doubles);
    return n ? values[n / 2] : NAN;
}

/* ---- pivot -------------------------------------------------------------------------- */

static double pivot_miss(uint64_t seed, double noise_mm, double noise_deg) {
    enum { POSES = 200 };
    static es_mat4 poses[POSES];
    es_random r = es_random_new(seed, 0);
    es_vec3 tip = es_vec3_make(0, 0, -200);
    for (int k = 0; k < POSES; k++) {
        double around = 6.2831853 * es_random_uniform(&r),
               lean = 0.5236 * sqrt(es_random_uniform(&r));
        es_mat4 turn = es_mat4_rotation(es_vec3_make(cos(around), sin(around), 0), lean);
        es_vec3 at = es_mat4_point(turn, tip);
        es_vec3 axis =
            es_vec3_make(es_random_normal(&r), es_random_normal(&r), es_random_normal(&r));
        double angle = noise_deg * 0.0174533 * es_vec3_length(axis);
        double gross = k % 20 == 0 ? 20 : noise_mm; /* 5 % */
        poses[k] = angle > 0 ? es_mat4_multiply(turn, es_mat4_rotation(axis, angle)) : turn;
        poses[k].m[3] = -at.x + gross * es_random_normal(&r);
        poses[k].m[7] = -at.y + gross * es_random_normal(&r);
        poses[k].m[11] = -at.z + gross * es_random_normal(&r);
    }
    es_pivot_options o = ES_PIVOT_DEFAULTS;
    es_pivot_result result;
    if (!es_pivot_solve(poses, POSES, &o, NULL, &result, NULL)) return INFINITY;
    return es_vec3_length(es_vec3_sub(result.tip_mm, tip));
}

static void bench_pivot(void) {
    double fine[100], coarse[100];
    for (int k = 0; k < 100; k++) {
        fine[k] = pivot_miss((uint64_t)k, 0.2, 0.02);
        coarse[k] = pivot_miss((uint64_t)k, 0.2, 0.2);
    }
    show("pivot, tip miss at 0.2 mm 0.02 deg", median(fine, 100), "mm", "<= 0.20");
    show("pivot, tip miss at 0.2 mm 0.2 deg", median(coarse, 100), "mm", "printed");
}

/* ---- N-wire, simulated ---------------------------------------------------------------- */

static void bench_tracks(int runs, bool lag_free) {
    double *miss = malloc((size_t)runs * sizeof *miss), spent = 0, lags = 0;
    int held = 0, asked = 0, lag_held = 0, n = 0;
    for (int k = 0; k < runs; k++) {
        es_bath bath;
        es_wire_phantom phantom;
        wire_scene_track t;
        es_wire_options o = wire_scene_options(lag_free);
        es_wire_result r;
        int one;
        wire_scene_bath(&bath, "fcal-1.2", (uint64_t)k + 1);
        es_wire_phantom_named("fcal-1.2", &phantom, NULL);
        bath.pose_noise_mm = 0.3;
        bath.dot_noise_px = 1;
        bath.lag_s = lag_free ? 0.12 : 0;
        bath.text = false;
        if (!wire_scene_track_make(&bath, &t, NULL)) exit(1);
        es_wire_poses poses = {t.times, t.poses, t.count};
        double start = seconds();
        bool ok = es_wire_solve(&phantom, t.frames, t.count, &poses, &o, &r, NULL, NULL);
        spent += seconds() - start;
        wire_scene_track_clear(&t);
        if (!ok) continue;
        bool lag = fabs(r.lag_s - bath.lag_s) <= r.lag_ci95_s;
        miss[n++] = wire_scene_miss(&bath, r.image_to_probe);
        held += wire_scene_covered(&bath, &r, &one) - lag;
        asked += one - 1;
        lag_held += lag;
        lags += fabs(r.lag_s - bath.lag_s);
    }
    const char *name = lag_free ? "lag free" : "lag held";
    char text[80];
    snprintf(text, sizeof text, "nwire simulated, %s, miss at 50 mm", name);
    show(text, median(miss, n), "mm", "<= 0.4");
    snprintf(text, sizeof text, "nwire simulated, %s, covered", name);
    show(text, 100.0 * held / asked, "%", "86 .. 100");
    snprintf(text, sizeof text, "nwire solve, %s", name);
    show(text, 1e3 * spent / runs, "ms", lag_free ? "<= 1000" : "<= 50");
    if (lag_free) {
        show("nwire simulated, lag covered", 100.0 * lag_held / n, "%", "86 .. 100");
        show("nwire simulated, lag off", 1e3 * lags / n, "ms", "printed");
    }
    free(miss);
}

/* One kind of array, phantom or picture. */
typedef struct kind {
    const char *name, *phantom;
    int only_row; /* of the phantom; -1: all */
    double face_mm, half_angle_rad, gain, speckle;
    int dashes;
    bool grabber, mirrored, reversed;
} kind;
static const kind kinds[] = {
    {"linear, three rows", "fcal-1.2", -1, 0, 0, 1, 1, 0, false, false, false},
    {"linear, two rows", "fcal-1.0", -1, 0, 0, 1, 1, 0, false, false, false},
    {"linear, wide rows", "fcal-2.0", -1, 0, 0, 1, 1, 0, false, false, false},
    {"linear, one row turned by 30 degrees", "fcal-1.2", 2, 0, 0, 1, 1, 0, false, false, false},
    {"curved, printed phantom", "printed-curved", -1, 60, 0.55, 1, 1, 0, false, false, false},
    {"endocavity, printed phantom", "printed-endocavity", -1, 10, 1.2, 1, 1, 0, false, false,
     false},
    {"grabbed screen", "fcal-1.2", -1, 0, 0, 1, 1, 0, true, false, false},
    {"grabbed curved screen", "printed-linear", -1, 50, 0.6, 1, 1, 6, true, false, false},
    {"gain low (0.2)", "fcal-1.2", -1, 0, 0, 0.2, 1, 0, false, false, false},
    {"gain high (4)", "fcal-1.2", -1, 0, 0, 4, 1, 0, false, false, false},
    {"20 dashes", "fcal-1.2", -1, 0, 0, 1, 1, 20, false, false, false},
    {"strong reverberation", "fcal-1.2", -1, 0, 0, 1, 2.5, 0, false, false, false},
    {"mirrored", "fcal-1.2", -1, 0, 0, 1, 1, 0, false, true, false},
    {"from the other side", "fcal-2.0", -1, 0, 0, 1, 1, 0, false, false, true},
};

/* Fewer pixels for the same field: twenty runs of each kind are many pictures. */
static void make_small(es_bath *bath) {
    bath->width = 320;
    bath->height = 267;
    for (int i = 0; i < 2; i++) bath->spacing_mm[i] *= 1.5;
    bath->frames = 45;
}

static void make_kind(const kind *k, uint64_t seed, es_wire_phantom *phantom, es_bath *bath) {
    es_wire_phantom_named(k->phantom, phantom, NULL);
    if (k->only_row >= 0) {
        memmove(phantom->wires, phantom->wires + 3 * k->only_row, 3 * sizeof *phantom->wires);
        phantom->patterns = 1;
    }
    es_wire_phantom_bath(phantom, bath);
    make_small(bath);
    if (k->only_row >= 0) { /* the picture's tilt comes from the motion alone */
        bath->tilt_rad = 0.52;
        bath->frames = 150;
    }
    bath->seed = seed;
    bath->pose_noise_mm = 0.3;
    bath->face_mm = k->face_mm;
    bath->half_angle_rad = k->half_angle_rad;
    bath->gain = k->gain;
    bath->speckle = k->speckle;
    bath->dashes = k->dashes;
    bath->grabber = k->grabber;
    bath->mirrored = k->mirrored;
    bath->reversed = k->reversed;
}

/* Success: given, and a point 50 mm deep within 1 mm. Wrong: given as good to
 * 2 mm, and that point off by more. */
static void bench_kind(const kind *k, int runs) {
    double *miss = malloc((size_t)runs * sizeof *miss), off[2] = {0};
    int n = 0, good = 0, wrong = 0, frames = 0, used = 0;
    char text[120];
    for (int run = 0; run < runs; run++) {
        es_bath bath;
        es_wire_phantom phantom;
        es_wire_options o = wire_scene_options(false);
        es_wire_recording recording;
        es_wire_outcome out;
        es_error err = {0};
        make_kind(k, (uint64_t)run + 1, &phantom, &bath);
        if (!wire_scene_run(&bath, &phantom, &o, &recording, &out, &err)) {
            if (getenv("ES_BENCH_WHY"))
                fprintf(stderr, "%s, %d: %s\n", k->name, run + 1, err.message);
            es_wire_recording_clear(&recording);
            continue;
        }
        miss[n] = wire_scene_miss(&bath, out.result.image_to_probe);
        good += miss[n] <= 1 && out.validation.m95_mm <= 2;
        wrong += miss[n] > 2 && out.validation.m95_mm <= 2 && out.result.target_ci95_mm <= 2;
        if (getenv("ES_BENCH_WHY") && miss[n] > 1)
            fprintf(stderr, "%s, %d: miss %.2f ci %.2f m95 %.2f: %s\n", k->name, run + 1, miss[n],
                    out.result.target_ci95_mm, out.validation.m95_mm, out.next);
        for (int axis = 0; axis < 2; axis++)
            off[axis] += 100 * (out.result.spacing_mm[axis] / bath.spacing_mm[axis] - 1);
        used += (int)out.result.frames_used;
        frames += bath.frames;
        n++;
        es_wire_outcome_clear(&out);
        es_wire_recording_clear(&recording);
    }
    snprintf(text, sizeof text, "nwire pictures, %s: success", k->name);
    show(text, 100.0 * good / runs, "%", "printed");
    snprintf(text, sizeof text, "nwire pictures, %s: miss at 50 mm", k->name);
    show(text, median(miss, n), "mm", "<= 0.4");
    for (int axis = 0; axis < 2; axis++) {
        snprintf(text, sizeof text, "nwire pictures, %s: spacing %s, mean off", k->name,
                 axis ? "in depth" : "across");
        show(text, off[axis] / n, "%", "-0.5 .. 0.5");
    }
    snprintf(text, sizeof text, "nwire pictures, %s: frames used", k->name);
    show(text, frames ? 100.0 * used / frames : NAN, "%", "printed");
    snprintf(text, sizeof text, "nwire pictures, %s: wrong and given", k->name);
    show(text, wrong, "", "0");
    free(miss);
}

/* What must not be given as good to 2 mm. */
typedef struct trap {
    const char *name, *phantom, *taken_for;
    bool frozen, stranger;
    double second_lag_s, slide_mm, tilt_rad;
} trap;
static const trap traps[] = {
    {"fcal-2.0 taken for fcal-1.2", "fcal-2.0", "fcal-1.2", false, false, NAN, 10, 0.3},
    {"fcal-1.2 taken for fcal-2.0", "fcal-1.2", "fcal-2.0", false, false, NAN, 10, 0.3},
    {"printed-linear taken for fcal-1.2", "printed-linear", "fcal-1.2", false, false, NAN, 10, 0.3},
    {"fcal-1.2 taken for printed-linear", "fcal-1.2", "printed-linear", false, false, NAN, 10, 0.3},
    {"poses of another tool", "fcal-1.2", "fcal-1.2", false, true, NAN, 10, 0.3},
    {"frozen poses", "fcal-1.2", "fcal-1.2", true, false, NAN, 10, 0.3},
    {"probe at rest", "fcal-1.2", "fcal-1.2", false, false, NAN, 0, 0},
    {"probe only slid", "fcal-1.2", "fcal-1.2", false, false, NAN, 10, 0},
    {"two lags", "fcal-1.2", "fcal-1.2", false, false, 0.4, 10, 0.3},
};

/* The poses of a probe that is moved otherwise. */
static void take_poses_of(uint64_t seed, es_wire_recording *recording) {
    es_bath bath;
    wire_scene_track t;
    wire_scene_bath(&bath, "fcal-1.2", seed);
    bath.frames = (int)recording->count;
    if (wire_scene_track_make(&bath, &t, NULL))
        for (size_t k = 0; k < recording->track_count && k < t.count; k++)
            recording->track[k] = recording->poses.poses[k] = t.poses[k];
    wire_scene_track_clear(&t);
}

static bool falls(const trap *t, uint64_t seed) {
    es_bath bath;
    es_wire_phantom phantom;
    es_wire_options o = wire_scene_options(!isnan(t->second_lag_s));
    es_wire_recording recording;
    es_wire_outcome out;
    wire_scene_bath(&bath, t->phantom, seed);
    make_small(&bath);
    bath.pose_noise_mm = 0.3;
    bath.frozen = t->frozen;
    bath.second_lag_s = t->second_lag_s;
    bath.slide_mm = t->slide_mm;
    bath.tilt_rad = t->tilt_rad;
    es_wire_phantom_named(t->taken_for, &phantom, NULL);
    es_source *source = es_bath_open(&bath, NULL);
    bool read = source && es_wire_recording_read(source, NULL, "ProbeToReference", &phantom, NULL,
                                                 &recording, NULL);
    es_source_free(source);
    if (read && t->stranger) take_poses_of(seed + 1000, &recording);
    bool given = read && es_wire_calibrate(&phantom, &recording, NULL, &o, &out, NULL);
    bool fell = given && out.validation.m95_mm <= 2 && out.result.target_ci95_mm <= 2 &&
                !out.two_lags && wire_scene_miss(&bath, out.result.image_to_probe) > 2;
    if (fell && getenv("ES_BENCH_WHY"))
        fprintf(stderr, "%s, %d: m95 %.2f, %.2f: %s\n", t->name, (int)seed, out.validation.m95_mm,
                wire_scene_miss(&bath, out.result.image_to_probe), out.next);
    if (given) es_wire_outcome_clear(&out);
    if (read) es_wire_recording_clear(&recording);
    return fell;
}

static void bench_traps(int runs) {
    for (size_t k = 0; k < sizeof traps / sizeof *traps; k++) {
        char text[120];
        int fell = 0;
        if (only && !strstr(traps[k].name, only)) continue;
        for (int run = 0; run < runs; run++) fell += falls(&traps[k], (uint64_t)run + 1);
        snprintf(text, sizeof text, "nwire, %s: wrong and given", traps[k].name);
        show(text, fell, "", "0");
    }
}

static void bench_pictures(int runs) {
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (!only || strstr(kinds[k].name, only)) bench_kind(&kinds[k], runs);
}

/* ---- recordings --------------------------------------------------------------------------- */

static es_source *open_in(const char *folder, const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return es_sequence_open(path, NULL);
}

static es_plus *plus_in(const char *folder, const char *name) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return es_plus_read(path, NULL);
}

typedef struct pair {
    es_plus *plus;
    es_wire_phantom phantom;
    es_wire_options options;
    es_wire_recording calibration, validation;
} pair;

static bool read_pair(pair *p, es_source *calibration, es_source *validation) {
    es_graph *graph = es_graph_new(NULL);
    p->options = (es_wire_options){.max_gap_s = 0.5};
    bool ok = p->plus && calibration && validation && es_plus_to_graph(p->plus, graph, NULL) &&
              es_graph_find(graph, "Phantom", "Reference", &p->options.phantom_to_reference, NULL,
                            NULL) &&
              es_wire_phantom_read(p->plus, &p->phantom, NULL) &&
              es_wire_recording_read(calibration, p->plus, "ProbeToReference", &p->phantom, NULL,
                                     &p->calibration, NULL) &&
              es_wire_recording_read(validation, p->plus, "ProbeToReference", &p->phantom, NULL,
                                     &p->validation, NULL);
    es_graph_free(graph);
    es_source_free(calibration);
    es_source_free(validation);
    return ok;
}

/* reference_mm: lengths of the reference transform's columns; 0: none. */
static void judge_pair(pair *p, const char *name, bool lag_free, const double reference_mm[2],
                       const char *aim) {
    es_wire_outcome out;
    char text[80];
    p->options.lag_free = lag_free;
    if (!es_wire_calibrate(&p->phantom, &p->calibration, &p->validation, &p->options, &out, NULL))
        return;
    snprintf(text, sizeof text, "%s, %s, validation M95", name, lag_free ? "lag free" : "lag 0");
    show(text, out.validation.m95_mm, "mm", aim);
    for (int k = 0; k < 2 && reference_mm[0] > 0 && !lag_free; k++) {
        snprintf(text, sizeof text, "%s, lag 0, spacing %s, off the reference's", name,
                 k ? "in depth" : "across");
        show(text, 100 * (out.result.spacing_mm[k] / reference_mm[k] - 1), "%", "-0.5 .. 0.5");
    }
    if (lag_free) {
        snprintf(text, sizeof text, "%s, 2-D RMS", name);
        show(text, out.validation.rms_2d_mm, "mm", "<= 0.45 (fCal)");
        snprintf(text, sizeof text, "%s, lag", name);
        show(text, out.result.lag_s, "s", "0.43 +- 0.06 (fCal)");
        snprintf(text, sizeof text, "%s, half width of the lag's interval", name);
        show(text, out.result.lag_ci95_s, "s", "printed");
    }
    es_wire_outcome_clear(&out);
}

/* The pictures alone: the size of a pixel by which the outer wires of a row are as far apart
 * as defined, if the row is cut upright. A slanted cut is longer, so that pixels are as large
 * as this or larger, whatever poses and lag are. */
static void judge_row(const pair *p, const char *name, int row, double reference_mm) {
    const es_wire_recording *r = &p->calibration;
    const es_wire *first = &p->phantom.wires[3 * row];
    double apart = es_vec3_length(es_vec3_sub(first[2].front, first[0].front));
    double *off = malloc((r->count + 1) * sizeof *off);
    char text[80];
    int n = 0;
    for (size_t f = 0; f < r->count; f++) {
        const double(*dots)[2] = (const double(*)[2])(r->frames[f].dots + 3 * row);
        if (!r->frames[f].seen[3 * row]) continue;
        double px = hypot(dots[0][0] - dots[2][0], dots[0][1] - dots[2][1]);
        off[n++] = 100 * (apart / px / reference_mm - 1);
    }
    snprintf(text, sizeof text, "%s, row %d upright: least spacing across, off", name, row + 1);
    show(text, median(off, n), "%", "<= 0 if the reference's is right");
    free(off);
}

/* Against the points of the reference's results file: which of its frames are matched here
 * too, and how far the dots lie from its points. */
static void judge_dots(const pair *p, es_source *points, const char *name) {
    es_wire_recording theirs = {.count = 0};
    size_t wires = (size_t)p->phantom.patterns * 3, both = 0, frames = 0, n = 0;
    const es_wire_recording *ours = &p->calibration;
    bool ok = points && es_wire_recording_read(points, p->plus, "ProbeToReference", &p->phantom,
                                               NULL, &theirs, NULL);
    double *apart = malloc((theirs.count * wires + 1) * sizeof *apart);
    for (size_t f = 0; ok && f < theirs.count && f < ours->count; f++) {
        const es_wire_frame *a = &theirs.frames[f], *b = &ours->frames[f];
        bool matched = a->seen[0];
        frames += matched;
        for (size_t w = 0; w < wires; w++) {
            matched = matched && b->seen[w];
            if (a->seen[w] && b->seen[w])
                apart[n++] = hypot(a->dots[w][0] - b->dots[w][0], a->dots[w][1] - b->dots[w][1]);
        }
        both += matched;
    }
    char text[80];
    snprintf(text, sizeof text, "%s, frames matched of those the reference has", name);
    show(text, frames ? 100.0 * (double)both / (double)frames : NAN, "%", "100");
    snprintf(text, sizeof text, "%s, dots from the reference's points, median", name);
    show(text, median(apart, (int)n), "px", "<= 2");
    free(apart);
    es_wire_recording_clear(&theirs);
    es_source_free(points);
}

static void time_dots(const char *folder) {
    es_source *source = open_in(folder, "sequences/fCal_Test_Validation_3NWires.igs.mha");
    es_dot_finder *finder = es_dot_finder_new(NULL);
    es_frame frame = {0};
    es_dot dots[ES_DOTS_MAX];
    bool end = false;
    double spent = 0;
    int n = 0, count;
    while (source && finder && es_source_next(source, &frame, ES_READ_PIXELS, &end, NULL) && !end) {
        double start = seconds();
        es_dots_find(finder, &frame.image, NULL, dots, &count, NULL);
        spent += seconds() - start;
        n++;
    }
    if (n) show("dots of a picture of 820 x 616", 1e3 * spent / n, "ms", "<= 5");
    es_frame_clear(&frame);
    es_dot_finder_free(finder);
    es_source_free(source);
}

/* Lengths of the columns of a configuration's Image to Probe; 0 without. */
static void read_columns(es_plus *plus, double mm[2]) {
    es_plus_transform t;
    mm[0] = mm[1] = 0;
    for (size_t i = 0; plus && i < es_plus_transform_count(plus); i++)
        if (es_plus_transform_get(plus, i, &t, NULL) && strcmp(t.from, "Image") == 0 &&
            strcmp(t.to, "Probe") == 0)
            for (int k = 0; k < 2; k++) mm[k] = es_vec3_length(es_mat4_column(t.matrix, k));
    es_plus_free(plus);
}

static void bench_recordings(const char *folder) {
    double columns[2];
    static const double none[2] = {0, 0};
    read_columns(plus_in(folder, "reference/FreehandCalibration3NWires.results.xml"), columns);
    pair fcal = {.plus =
                     plus_in(folder, "config/PlusDeviceSet_fCal_Sim_SpatialCalibration_1.2.xml")};
    if (read_pair(&fcal, open_in(folder, "sequences/fCal_Test_Calibration_3NWires.igs.mha"),
                  open_in(folder, "sequences/fCal_Test_Validation_3NWires.igs.mha"))) {
        judge_pair(&fcal, "fCal 1.2", false, columns, "<= 1.25");
        judge_pair(&fcal, "fCal 1.2", true, columns, "<= 0.75");
        for (int row = 0; row < fcal.phantom.patterns; row++)
            judge_row(&fcal, "fCal 1.2", row, columns[0]);
    }
    es_plus *points = plus_in(folder, "reference/FreehandCalibration3NWires.results.xml");
    if (points && fcal.calibration.count)
        judge_dots(&fcal, es_plus_results_open(points, "CalibrationData", NULL), "fCal 1.2");
    es_plus_free(points);
    pair deep = {.plus = plus_in(folder, "config/PlusDeviceSet_IPEA_OptimizationMethod.xml")};
    es_plus *results = plus_in(folder, "reference/IPEA_OptimizationMethod_Calibration.results.xml");
    if (results && read_pair(&deep, es_plus_results_open(results, "CalibrationData", NULL),
                             es_plus_results_open(results, "ValidationData", NULL)))
        judge_pair(&deep, "depth 15 points", false, none, "<= 1.19");
    es_plus_free(results);
    pair *both[] = {&fcal, &deep};
    for (int k = 0; k < 2; k++) {
        es_wire_recording_clear(&both[k]->calibration);
        es_wire_recording_clear(&both[k]->validation);
        es_plus_free(both[k]->plus);
    }
    time_dots(folder);
}

/* ---- lag of the water tank ------------------------------------------------------------------ */

static void judge_lag(const char *name, const es_image_signal *s, const es_pose_list *p,
                      size_t first, size_t count, double shift, const char *aim) {
    es_lag_options o = ES_LAG_DEFAULTS;
    es_lag_result r;
    double *times = malloc(count * sizeof *times);
    for (size_t k = 0; k < count; k++) times[k] = s->times_s[first + k] - shift;
    bool ok =
        es_lag_solve(times, s->values + first, count, p->times_s, p->poses, p->count, &o, &r, NULL);
    show(name, ok ? r.lag_s - shift : NAN, "s", aim);
    free(times);
}

static void bench_lag(const char *folder) {
    es_source *video = open_in(folder, "sequences/WaterTankBottomTranslationVideoBuffer.igs.mha"),
              *tracker =
                  open_in(folder, "sequences/WaterTankBottomTranslationTrackerBuffer.igs.mha");
    es_image_signal signal = {.count = 0};
    es_pose_list poses = {.count = 0};
    char transform[2 * ES_NAME_SIZE];
    if (video && tracker && es_line_signal_read(video, NULL, &signal, NULL) &&
        es_pose_list_choose(tracker, "Probe", NULL, transform, NULL) &&
        es_pose_list_read(tracker, NULL, transform, &poses, NULL)) {
        size_t n = signal.count;
        judge_lag("water tank, lag", &signal, &poses, 0, n, 0, "-0.0648 +- 0.005");
        judge_lag("water tank, shifted by 0.1 s, less it", &signal, &poses, 0, n, 0.1,
                  "-0.0648 +- 0.005");
        for (size_t k = 0; k < 3; k++) {
            char name[60];
            snprintf(name, sizeof name, "water tank, third %zu, lag", k + 1);
            judge_lag(name, &signal, &poses, k * n / 3, n / 3, 0, "-0.0648 +- 0.020");
        }
    }
    es_image_signal_clear(&signal);
    es_pose_list_clear(&poses);
    es_source_free(video);
    es_source_free(tracker);
}

/* From whatever moves in the pictures. */
static void judge_motion(es_source *source, const es_plus *plus, const char *transform,
                         const char *name, const char *aim) {
    es_motion_signals signals = {0};
    es_pose_list poses = {.count = 0};
    es_lag_options o = ES_LAG_DEFAULTS;
    es_lag_result r;
    es_motion which;
    char text[80];
    bool ok = source && es_motion_signals_read(source, NULL, &signals, NULL) &&
              es_source_rewind(source, NULL) &&
              es_pose_list_read(source, plus, transform, &poses, NULL) &&
              es_motion_lag(&signals, &poses, &o, &r, &which, NULL);
    snprintf(text, sizeof text, "%s, lag from motion", name);
    show(text, ok ? r.lag_s : NAN, "s", aim);
    snprintf(text, sizeof text, "%s, from motion, half width", name);
    if (ok) show(text, r.lag_ci95_s, "s", "printed");
    es_motion_signals_clear(&signals);
    es_pose_list_clear(&poses);
    es_source_free(source);
}

/* A hand that raises and slides a level probe over a floor, 15 pictures a second. */
static void bench_simulated_motion(double lag_s) {
    char name[60], aim[40];
    es_simulation s;
    if (!es_simulation_preset("floor", &s, NULL)) return;
    s.frames = 120;
    s.rate_hz = 15;
    s.probe.image_size[0] = 128;
    s.probe.image_size[1] = 192;
    s.pose_noise_mm = 0.1;
    s.lag_s = lag_s;
    s.hold = ES_HOLD_ROCK | ES_HOLD_TILT | ES_HOLD_TURN;
    snprintf(name, sizeof name, "simulated hand, lag %g s", lag_s);
    snprintf(aim, sizeof aim, "%g +- 0.020", lag_s);
    judge_motion(es_simulation_open(&s, NULL), NULL, "ProbeToReference", name, aim);
}

static void bench_motion(const char *folder) {
    judge_motion(open_in(folder, "sequences/fCal_Test_Validation_3NWires.igs.mha"), NULL,
                 "ProbeToReference", "fCal 1.2 validation", "0.43 +- 0.06");
    judge_motion(open_in(folder, "sequences/fCal_Test_Calibration_3NWires.igs.mha"), NULL,
                 "ProbeToReference", "fCal 1.2 calibration", "0.43 +- 0.06, or refused (nan)");
}

/* ---- landmarks ---------------------------------------------------------------------------- */

/* The printed phantom's divots, touched with 0.2 mm of noise. */
static void bench_divots(int runs) {
    es_phantom_options options = es_phantom_preset(ES_PHANTOM_LINEAR);
    es_phantom_design d;
    double *fre = malloc((size_t)runs * sizeof *fre);
    int n = 0;
    if (!es_phantom_make(&options, &d, NULL)) exit(1);
    for (int run = 0; run < runs; run++) {
        es_random random = es_random_new((uint64_t)run + 1, 5);
        es_vec3 touched[ES_PHANTOM_LANDMARKS];
        es_landmark_result r;
        for (int k = 0; k < ES_PHANTOM_LANDMARKS; k++)
            touched[k] = es_vec3_add(d.landmarks[k], es_vec3_make(0.1 * es_random_normal(&random),
                                                                  0.1 * es_random_normal(&random),
                                                                  0.1 * es_random_normal(&random)));
        if (es_landmarks_solve(d.landmarks, ES_PHANTOM_LANDMARKS, touched, ES_PHANTOM_LANDMARKS,
                               es_vec3_scale(d.size, 0.5), NAN, &r, NULL))
            fre[n++] = r.fre_mm;
    }
    show("landmarks simulated at 0.1 mm an axis, found", 100.0 * n / runs, "%", "100");
    show("landmarks simulated at 0.1 mm an axis, FRE", median(fre, n), "mm", "<= 0.20");
    free(fre);
}

static void bench_touches(const char *folder) {
    es_plus *plus = plus_in(folder, "config/PlusDeviceSet_fCal_Sim_RecordPhantomLandmarks.xml");
    es_source *source =
        open_in(folder, "sequences/EightLandmarkPointsTrackedForPhantomRegistration.igs.mha");
    es_points landmarks = {0};
    es_pose_list poses = {.count = 0};
    es_dwell_options still = ES_DWELL_DEFAULTS;
    es_dwell *dwells = NULL;
    size_t found = 0, n = 0;
    es_vec3 at[ES_LANDMARKS_MAX], tips[4096], stops[256];
    es_landmark_result r;
    if (plus && source && es_plus_landmarks(plus, &landmarks, NULL) &&
        es_pose_list_read(source, plus, "StylusTipToReference", &poses, NULL)) {
        for (; n < poses.count && n < 4096; n++)
            tips[n] = es_mat4_point(poses.poses[n], es_vec3_make(0, 0, 0));
        for (size_t k = 0; k < landmarks.count; k++) at[k] = landmarks.items[k].at_mm;
        if (es_dwells_find(poses.times_s, tips, n, &still, &dwells, &found, NULL)) {
            for (size_t k = 0; k < found && k < 256; k++) stops[k] = dwells[k].mean_mm;
            if (es_landmarks_solve(at, landmarks.count, stops, found < 256 ? found : 256, at[0],
                                   NAN, &r, NULL)) {
                show("eight landmarks, found", (double)r.touched, "", "8");
                show("eight landmarks, mean error", r.mean_mm, "mm", "<= 0.50");
                show("eight landmarks, FRE", r.fre_mm, "mm", "printed");
            }
        }
    }
    es_free(dwells);
    es_points_clear(&landmarks);
    es_pose_list_clear(&poses);
    es_source_free(source);
    es_plus_free(plus);
}

static void bench_data(void) {
    const char *folder = getenv("ES_TEST_DATA");
    if (!folder) {
        fprintf(stderr, "ES_TEST_DATA is not set: no recordings\n");
        return;
    }
    bench_recordings(folder);
    bench_lag(folder);
    bench_motion(folder);
    bench_touches(folder);
}

static void bench_all(int runs) {
    bench_pivot();
    bench_tracks(runs, false);
    bench_tracks(runs, true);
    bench_pictures(runs < 20 ? runs : 20);
    bench_traps(runs < 20 ? runs : 20);
    bench_divots(runs);
    bench_simulated_motion(0.1);
    bench_simulated_motion(-0.2);
    bench_data();
}

int main(int argc, char **argv) {
    int runs = 50;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) as_json = true;
        if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) only = argv[++i];
        if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc) runs = atoi(argv[++i]);
    }
    if (runs < 1 || runs > 100000) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0); /* some figures take minutes */
    if (!only)
        bench_all(runs);
    else if (strcmp(only, "recordings") == 0)
        bench_data();
    else {
        bench_pictures(runs < 20 ? runs : 20);
        bench_traps(runs < 20 ? runs : 20);
    }
    if (as_json) printf("\n}\n");
    return 0;
}
