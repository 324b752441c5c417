/* How long reconstruction takes: SYN0 and SYN30, a freehand-like sweep of 500
 * frames of 512 x 512 pixels whose rows run along the volume's x axis, or 30
 * degrees across all axes; and whether the cost per frame stays flat for longer
 * recordings and longer paths. The plain kernels stand beside those of the
 * processor, memory bandwidth is measured in the same run.
 *
 * Without a sequence (SpinePhantomFreehand.igs.mha) the frames are speckle.
 * ms/frame is wall time of inserting and of the dense output, the best of a few
 * repetitions of the whole sweep. --instructions counts them under callgrind,
 * if valgrind is there, for the first 100 (LINEAR: 40) frames of each row. ES_CPU=scalar
 * measures the plain kernels alone. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "echosolid/format.h"
#include "echosolid/recon.h"

enum { SIDE = 512, WINDOWS = 21, WINDOW_U = 154, WINDOW_V = 52 };
static const double PIXEL_MM = 0.15, SWEEP_MM = 150, VOXEL_MM = 0.5;

typedef struct sweep {
    const char *name;
    size_t count; /* of frames */
    es_image *images;
    const es_image **pointers;
    es_mat4 *poses;
    size_t pixels; /* per frame */
} sweep;

static const char *const interpolations[] = {"nearest", "linear"};
static const char *const compoundings[] = {"latest", "mean", "maximum"};

static void stop(const es_error *err) { exit(app_fail(err)); }

static void *must(void *pointer) {
    static const es_error none = {.code = ES_MEMORY, .message = "out of memory"};
    if (!pointer) stop(&none);
    return pointer;
}

/* ---- the frames ------------------------------------------------------------------- */

/* Log-compressed speckle: an exponential intensity in decibels. */
static void fill_speckle(es_image *image, size_t number) {
    es_random random = es_random_new(1, number);
    for (size_t i = 0; i < (size_t)image->width * image->height; i++) {
        double level = 90 + 18 * log(1e-3 - log(1 - es_random_uniform(&random)));
        es_type_set(ES_U8, image->data, i, level);
    }
}

/* The centred window of the recording's frames; every frame of the recording once. */
static void read_windows(const char *path, es_image *windows) {
    es_error err = {0};
    es_frame frame = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) stop(&err);
    for (size_t i = 0; i < WINDOWS; i++) {
        bool end;
        if (!es_source_next(source, &frame, ES_READ_PIXELS, &end, &err)) stop(&err);
        if (end || frame.image.type != ES_U8 || frame.image.channels != 1 ||
            frame.image.width < WINDOW_U + SIDE || frame.image.height < WINDOW_V + SIDE) {
            es_fail(&err, ES_USAGE, "%s: expected 21 grey u8 frames of 820 x 616 pixels", path);
            stop(&err);
        }
        for (size_t v = 0; v < SIDE; v++)
            memcpy((char *)windows[i].data + v * SIDE,
                   (char *)frame.image.data + (v + WINDOW_V) * frame.image.width + WINDOW_U, SIDE);
    }
    es_frame_clear(&frame);
    es_source_free(source);
}

static void make_windows(const char *sequence, es_image *windows) {
    es_error err = {0};
    for (size_t i = 0; i < WINDOWS; i++) {
        if (!es_image_resize(&windows[i], ES_U8, 1, SIDE, SIDE, &err)) stop(&err);
        if (!sequence) fill_speckle(&windows[i], i);
    }
    if (sequence) read_windows(sequence, windows);
}

/* ---- the path ----------------------------------------------------------------------- */

static double next_jitter(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return 2 * ((double)(*state >> 11) / 9007199254740992.) - 1;
}

static es_mat4 turn(double x, double y, double z, double degrees) {
    return es_mat4_rotation(es_vec3_make(x, y, z), degrees * acos(-1) / 180);
}

static es_mat4 pose_at(double t, double length_mm, double jitter, double width_mm) {
    const double turns = 2 * acos(-1);
    es_mat4 m = es_mat4_translation(2 * sin(turns * 1.5 * t), sin(turns * 2 * t),
                                    length_mm * t + 0.05 * jitter);
    m = es_mat4_multiply(m, turn(0, 0, 1, 5 * sin(turns * 0.5 * t)));
    m = es_mat4_multiply(m, turn(0, 1, 0, 4 * sin(turns * 0.7 * t + 0.5)));
    m = es_mat4_multiply(m, turn(1, 0, 0, 3 * sin(turns * t)));
    return es_mat4_multiply(m, es_mat4_translation(-width_mm / 2, -width_mm / 2, 0));
}

/* Frames that repeat `windows`, cut to side x side, over a path. */
/* The first frames, as many as were asked for, of a sweep of `count`. */
static sweep make_sweep(const bench_options *a, const char *name, const es_image *windows,
                        size_t count, uint32_t side, double length_mm) {
    sweep s = {.name = name, .count = count, .pixels = (size_t)side * side};
    if (a->frames > 0 && (size_t)a->frames < count) s.count = (size_t)a->frames;
    s.images = must(calloc(s.count, sizeof *s.images));
    s.pointers = must(calloc(s.count, sizeof *s.pointers));
    s.poses = must(calloc(s.count, sizeof *s.poses));
    uint64_t state = 88172645463325252u;
    es_error err = {0};
    for (size_t f = 0; f < s.count; f++) {
        if (!es_image_resize(&s.images[f], ES_U8, 1, side, side, &err)) stop(&err);
        for (uint32_t v = 0; v < side; v++)
            memcpy((char *)s.images[f].data + (size_t)v * side,
                   (char *)windows[f % WINDOWS].data + (size_t)v * SIDE, side);
        s.pointers[f] = &s.images[f];
        double t = (double)f / (double)(count - 1);
        s.poses[f] = es_mat4_multiply(pose_at(t, length_mm, next_jitter(&state), side * PIXEL_MM),
                                      es_mat4_scaling(PIXEL_MM, PIXEL_MM, PIXEL_MM));
    }
    return s;
}

static void tilt_sweep(sweep *s, const char *name) {
    s->name = name;
    for (size_t f = 0; f < s->count; f++)
        s->poses[f] = es_mat4_multiply(turn(1, 1, 1, 30), s->poses[f]);
}

static void free_sweep(sweep *s) {
    for (size_t f = 0; f < s->count; f++) es_image_clear(&s->images[f]);
    free(s->images);
    free(s->pointers);
    free(s->poses);
}

/* ---- one measurement -------------------------------------------------------------------- */

typedef struct timing {
    double insert_s, output_s, cpu_s; /* cpu_s: of both, all threads */
    es_volume_stats stats;
    uint64_t size[3];
} timing;

enum { FRAMES_AT_ONCE = 32 };

/* Dense output, a few slices at a time, as a writer would pull it. */
static void pull_output(es_volume *volume, timing *result) {
    es_error err = {0};
    es_grid_info info;
    if (!es_volume_grid_info(volume, &info, &err)) stop(&err);
    enum { SLICES = 16 };
    char *slab = must(malloc((size_t)(info.size[0] * info.size[1]) * SLICES));
    for (uint64_t z = 0; z < info.size[2]; z += SLICES) {
        uint64_t count = info.size[2] - z < SLICES ? info.size[2] - z : SLICES;
        if (!es_volume_slab(volume, z, count, slab, &err)) stop(&err);
    }
    memcpy(result->size, info.size, sizeof info.size);
    free(slab);
    es_grid_info_clear(&info);
}

/* Its name is where callgrind starts and stops to count: no copy of another name. */
#ifdef __clang__
__attribute__((noinline))
#else
__attribute__((noinline, noclone))
#endif
static timing
run_once(const sweep *s, const es_recon_options *options, int threads) {
    es_error err = {0};
    es_pool *pool = threads > 1 ? es_pool_new(threads, &err) : NULL;
    es_volume *volume = es_volume_new(options, pool, &err);
    if (!volume) stop(&err);
    clock_t cpu = clock();
    for (size_t f = 0; f < s->count; f += FRAMES_AT_ONCE) {
        size_t count = s->count - f < FRAMES_AT_ONCE ? s->count - f : FRAMES_AT_ONCE;
        if (!es_volume_insert(volume, s->pointers + f, s->poses + f, count, &err)) stop(&err);
    }
    timing result = {.stats = es_volume_statistics(volume)};
    result.insert_s = result.stats.insert_s;
    double start = es_clock_s();
    pull_output(volume, &result);
    result.output_s = es_clock_s() - start;
    result.cpu_s = (double)(clock() - cpu) / CLOCKS_PER_SEC;
    es_volume_free(volume);
    es_pool_free(pool);
    return result;
}

static timing best_of(const sweep *s, const es_recon_options *options, int threads, int times) {
    timing best = run_once(s, options, threads);
    for (int i = 1; i < times; i++) {
        timing next = run_once(s, options, threads);
        best.insert_s = fmin(best.insert_s, next.insert_s);
        best.cpu_s = fmin(best.cpu_s, next.cpu_s);
        best.output_s = fmin(best.output_s, next.output_s);
    }
    return best;
}

static es_recon_options options_for(const sweep *s) {
    es_recon_options o = ES_RECON_DEFAULTS;
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = VOXEL_MM;
    es_box3 box = es_box3_empty();
    for (size_t f = 0; f < s->count; f++)
        es_recon_box_add(&box, &o, s->images[f].width, s->images[f].height, &s->poses[f]);
    es_error err = {0};
    if (!es_recon_options_set_box(&o, box, &err)) stop(&err);
    return o;
}

/* ---- memory --------------------------------------------------------------------------------- */

enum { COPIED = 64 << 20 }; /* bytes per thread, larger than caches */

typedef struct copy_job {
    char *from[2], *to[2];
} copy_job;

static void copy_block(void *context, size_t index, int worker) {
    const copy_job *job = context;
    (void)worker;
    memcpy(job->to[index], job->from[index], COPIED);
}

/* GB/s read and written by memcpy of large blocks, one a thread. */
static double memory_bandwidth(int threads) {
    copy_job job;
    for (int i = 0; i < threads; i++) {
        memset(job.from[i] = must(malloc(COPIED)), 1, COPIED);
        memset(job.to[i] = must(malloc(COPIED)), 2, COPIED);
    }
    es_error err = {0};
    es_pool *pool = es_pool_new(threads, &err);
    if (!pool) stop(&err);
    double best = INFINITY;
    for (int i = 0; i < 10; i++) {
        double start = es_clock_s();
        es_pool_run(pool, (size_t)threads, copy_block, &job);
        best = fmin(best, es_clock_s() - start);
    }
    es_pool_free(pool);
    for (int i = 0; i < threads; i++) {
        free(job.from[i]);
        free(job.to[i]);
    }
    return 2e-9 * threads * (double)COPIED / best;
}

/* Bytes that a frame must move at least: its pixels read once, and the state of
 * the voxels it hits read and written. */
static double bytes_per_frame(const sweep *s, const es_recon_options *o) {
    double area = (double)s->pixels * PIXEL_MM * PIXEL_MM;
    double layers = o->interpolation == ES_LINEAR ? 2 : 1;
    double state = (double)es_volume_brick_bytes(o) / ES_BRICK_VOXELS;
    return (double)s->pixels + 2 * state * layers * area / (VOXEL_MM * VOXEL_MM);
}

/* ---- instructions --------------------------------------------------------------------------- */

/* What callgrind said: the count, or why there is none. Nothing, or next to
 * nothing, where the program was stopped or has lost its names (strip). */
static double read_count(FILE *output, double least, char why[160]) {
    char line[256];
    double collected = NAN;
    snprintf(why, 160, "valgrind did not run: install it (./do bench does)");
    while (fgets(line, sizeof line, output)) {
        const char *found = strstr(line, "Collected : ");
        if (found) collected = atof(found + strlen("Collected : "));
        if (strstr(line, "Unrecognised instruction"))
            snprintf(why, 160, "this valgrind does not know an instruction of the kernel (%.60s)",
                     strstr(line, "Unrecognised"));
    }
    if (collected >= least) return collected;
    if (isfinite(collected) && !strstr(why, "does not know"))
        snprintf(why, 160, "callgrind saw %.0f, too few: is the program stripped?", collected);
    return NAN;
}

/* Runs this program under callgrind for one row; NaN, said why, when that cannot be. */
static double count_instructions(const bench_options *a, const sweep *s,
                                 const es_recon_options *o) {
    int frames = o->interpolation == ES_NEAREST ? 100 : 40; /* callgrind is slow */
    if (s->count < (size_t)frames) frames = (int)s->count;
    char words[2 * PATH_MAX], program[PATH_MAX], why[160] = "this program was not found";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0) return NAN;
    program[length] = 0;
    snprintf(words, sizeof words,
             "valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect=run_once "
             "'%s' bench reconstruct --best --quick --frames %d --only %s,%s,%s,1 2>&1",
             program, frames, s->name, interpolations[o->interpolation],
             compoundings[o->compounding]);
    const double pixels = frames * (double)s->pixels;
    FILE *output = popen(words, "r");
    double collected = output ? read_count(output, pixels, why) : NAN;
    if (output && pclose(output) != 0) collected = NAN;
    if (!isfinite(collected)) app_note(&a->common, "instructions were not counted: %s", why);
    return collected / pixels;
}

/* ---- the table ------------------------------------------------------------------------------ */

/* What was measured with the kernel of one processor level. */
typedef struct measured {
    es_cpu level;
    timing timing;
    double instructions; /* per pixel; NaN: not counted */
} measured;

static int rows; /* printed, with the one in hand: JSON wants commas between */

static double ms_per_frame(const sweep *s, const timing *t) {
    return 1e3 * (t->insert_s + t->output_s) / (double)s->count;
}

static const char *number_or_null(char text[32], double number) {
    snprintf(text, 32, isfinite(number) ? "%.4f" : "null", number);
    return text;
}

static void print_json(const sweep *s, const es_recon_options *o, int threads, const measured *m,
                       const timing *plain) {
    const timing *t = &m->timing;
    const double frames = (double)s->count;
    char before[32];
    printf("%s\n    {\"workload\": \"%s\", \"interpolation\": \"%s\", \"compounding\": \"%s\", "
           "\"kernel\": \"%s\", \"threads\": %d, \"frames\": %zu, \"ms_per_frame\": %.4f, "
           "\"ms_per_frame_plain\": %s, \"cpu_ms_per_frame\": %.4f, \"ms_per_frame_output\": "
           "%.4f, \"ns_per_pixel\": %.3f, \"bytes_per_frame\": %.0f, ",
           rows > 1 ? "," : "", s->name, interpolations[o->interpolation],
           compoundings[o->compounding], es_cpu_name(m->level), threads, s->count,
           ms_per_frame(s, t), number_or_null(before, plain ? ms_per_frame(s, plain) : NAN),
           1e3 * t->cpu_s / frames, 1e3 * t->output_s / frames,
           1e6 * ms_per_frame(s, t) / (double)s->pixels, bytes_per_frame(s, o));
    if (isfinite(m->instructions)) printf("\"instructions_per_pixel\": %.2f, ", m->instructions);
    printf("\"bricks\": %llu, \"bytes\": %llu, \"size\": [%llu, %llu, %llu]}",
           (unsigned long long)t->stats.bricks, (unsigned long long)t->stats.bytes,
           (unsigned long long)t->size[0], (unsigned long long)t->size[1],
           (unsigned long long)t->size[2]);
}

static void print_row(const bench_options *a, const sweep *s, const es_recon_options *o,
                      int threads, const measured *m, const timing *plain) {
    const timing *t = &m->timing;
    rows++;
    if (a->common.json) {
        print_json(s, o, threads, m, plain);
    } else {
        printf("%-13s %-8s %-8s %-7s %7d %7zu %9.3f %9.3f %9.3f %8.2f %8.1f", s->name,
               interpolations[o->interpolation], compoundings[o->compounding],
               es_cpu_name(m->level), threads, s->count, ms_per_frame(s, t),
               1e3 * t->cpu_s / (double)s->count, 1e3 * t->output_s / (double)s->count,
               bytes_per_frame(s, o) * 1e-6 / ms_per_frame(s, t),
               (double)t->stats.bytes / (1 << 20));
        if (isfinite(m->instructions)) printf(" %8.2f", m->instructions);
        printf("\n");
    }
    fflush(stdout);
}

/* The processor's best level, or what ES_CPU asked for when the program started. */
static es_cpu wanted_level(void) {
    es_error err = {0};
    es_cpu level;
    if (!es_cpu_level(&level, &err)) stop(&err);
    return level;
}

static measured measure(const bench_options *a, const sweep *s, const es_recon_options *o,
                        int threads, es_cpu level) {
    int times = a->quick ? 1 : o->interpolation == ES_NEAREST ? 7 : 3;
    setenv("ES_CPU", es_cpu_name(level), 1);
    measured m = {.level = level, .timing = best_of(s, o, threads, times), .instructions = NAN};
    if (a->instructions && threads == 1) m.instructions = count_instructions(a, s, o);
    return m;
}

/* Whether a row was asked for: all, those of a workload, or one. */
static bool is_wanted(const bench_options *a, const sweep *s, const es_recon_options *o,
                      int threads) {
    char row[64];
    snprintf(row, sizeof row, "%s,%s,%s,%d", s->name, interpolations[o->interpolation],
             compoundings[o->compounding], threads);
    return !a->only || strcmp(a->only, s->name) == 0 || strcmp(a->only, row) == 0;
}

/* One row per kernel, the plain one first. */
static void bench_mode(const bench_options *a, const sweep *s, const es_recon_options *o,
                       int threads, es_cpu best) {
    if (!is_wanted(a, s, o, threads)) return;
    measured plain = {0};
    if (!a->best) plain = measure(a, s, o, threads, ES_CPU_SCALAR);
    if (!a->best) print_row(a, s, o, threads, &plain, &plain.timing);
    if (!a->best && best == ES_CPU_SCALAR) return;
    measured fast = measure(a, s, o, threads, best);
    print_row(a, s, o, threads, &fast, a->best ? NULL : &plain.timing);
}

static void bench_modes(const bench_options *a, const sweep *s, es_cpu best) {
    es_recon_options o = options_for(s);
    for (o.interpolation = ES_NEAREST; o.interpolation <= ES_LINEAR; o.interpolation++)
        for (o.compounding = ES_LATEST; o.compounding <= ES_MAXIMUM; o.compounding++)
            for (int threads = 1; threads <= 2; threads++) bench_mode(a, s, &o, threads, best);
}

/* Small frames: many of them on one path, and the same density on a longer one. */
static void bench_scale(const bench_options *a, const es_image *windows, es_cpu best) {
    static const struct {
        const char *name;
        size_t count;
        double length_mm;
    } scales[] = {{"500-frames", 500, 100},
                  {"20000-frames", 20000, 100},
                  {"path-100mm", 2000, 100},
                  {"path-1000mm", 20000, 1000}};
    bench_options once = *a;
    once.quick = true;
    once.instructions = false;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        if (a->only && strncmp(a->only, scales[i].name, strlen(scales[i].name)) != 0) continue;
        sweep s = make_sweep(a, scales[i].name, windows, scales[i].count, 128, scales[i].length_mm);
        es_recon_options o = options_for(&s);
        o.has_extent = false;
        bench_mode(&once, &s, &o, 1, best);
        free_sweep(&s);
    }
}

static void print_head(const bench_options *a) {
    char one[32], two[32];
    const double bandwidth = a->best ? NAN : memory_bandwidth(1);
    const double bandwidth_2 = a->best ? NAN : memory_bandwidth(2);
    if (a->common.json) {
        printf("{\n  \"bandwidth_gb_s\": %s,\n  \"bandwidth_2_threads_gb_s\": %s,\n  \"rows\": [",
               number_or_null(one, bandwidth), number_or_null(two, bandwidth_2));
        return;
    }
    if (!a->best)
        printf("memcpy: %.1f GB/s read and written by 1 thread, %.1f by 2\n", bandwidth,
               bandwidth_2);
    printf("%-13s %-8s %-8s %-7s %7s %7s %9s %9s %9s %8s %8s%s\n", "workload", "interp.",
           "compound", "kernel", "threads", "frames", "ms/frame", "CPU ms", "output", "GB/s", "MiB",
           a->instructions ? " instr/px" : "");
}

int run_bench_reconstruct(const bench_options *a) {
    const es_cpu best = wanted_level();
    es_image windows[WINDOWS] = {{0}};
    make_windows(a->sequence, windows);
    print_head(a);
    sweep s = make_sweep(a, "SYN0", windows, 500, SIDE, SWEEP_MM);
    bench_modes(a, &s, best);
    tilt_sweep(&s, "SYN30");
    bench_modes(a, &s, best);
    free_sweep(&s);
    bench_scale(a, windows, best);
    if (a->common.json) printf("\n  ]\n}\n");
    for (size_t i = 0; i < WINDOWS; i++) es_image_clear(&windows[i]);
    if (rows > 0) return 0;
    es_error err = {0};
    es_fail(&err, ES_USAGE,
            "bench: no row is called %s; expected a workload as SYN30 or a row as "
            "SYN0,nearest,mean,1",
            a->only);
    return app_fail(&err);
}
