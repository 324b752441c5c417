/* How long insertion takes: SYN0 and SYN30, a freehand-like sweep of 500 frames
 * of 512 x 512 pixels whose rows run along the volume's x axis, or 30 degrees
 * across all axes; and whether the cost per frame stays flat for longer
 * recordings and longer paths. Memory bandwidth is measured in the same run.
 *
 *   bench_reconstruct [--json] [--quick] [--sequence SpinePhantomFreehand.igs.mha]
 *
 * Without a sequence the frames are speckle. Times are the best of a few
 * repetitions of the whole sweep. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "echosolid/format.h"
#include "echosolid/recon.h"

enum { SIDE = 512, WINDOWS = 21, WINDOW_U = 154, WINDOW_V = 52 };
static const double PIXEL_MM = 0.15, SWEEP_MM = 150, VOXEL_MM = 0.5;

typedef struct sweep {
    const char *name;
    size_t count;
    es_image *images;
    const es_image **pointers;
    es_mat4 *poses;
    size_t pixels; /* per frame */
} sweep;

typedef struct arguments {
    bool json, quick;
    const char *sequence;
} arguments;

static const char *const interpolations[] = {"nearest", "linear"};
static const char *const compoundings[] = {"latest", "mean", "maximum"};

static void stop(const es_error *err) {
    fprintf(stderr, "bench_reconstruct: %s\n", err->message);
    exit(1);
}

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
static sweep make_sweep(const char *name, const es_image *windows, size_t count, uint32_t side,
                        double length_mm) {
    sweep s = {.name = name, .count = count, .pixels = (size_t)side * side};
    s.images = must(calloc(count, sizeof *s.images));
    s.pointers = must(calloc(count, sizeof *s.pointers));
    s.poses = must(calloc(count, sizeof *s.poses));
    uint64_t state = 88172645463325252u;
    es_error err = {0};
    for (size_t f = 0; f < count; f++) {
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
    double insert_s, output_s, cpu_s; /* cpu_s: of inserting, all threads */
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

static timing run_once(const sweep *s, const es_recon_options *options, int threads) {
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
    result.cpu_s = (double)(clock() - cpu) / CLOCKS_PER_SEC;
    double start = es_clock_s();
    pull_output(volume, &result);
    result.output_s = es_clock_s() - start;
    es_volume_free(volume);
    es_pool_free(pool);
    return result;
}

static timing best_of(const sweep *s, const es_recon_options *options, int threads, int times) {
    timing best = run_once(s, options, threads);
    for (int i = 1; i < times; i++) {
        timing next = run_once(s, options, threads);
        if (next.insert_s < best.insert_s) best.insert_s = next.insert_s;
        if (next.cpu_s < best.cpu_s) best.cpu_s = next.cpu_s;
        if (next.output_s < best.output_s) best.output_s = next.output_s;
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

/* Bytes read and written per second by memcpy of a block larger than caches. */
static double memory_bandwidth(void) {
    const size_t bytes = (size_t)128 << 20;
    char *from = must(malloc(bytes)), *to = must(malloc(bytes));
    memset(from, 1, bytes);
    memset(to, 2, bytes);
    double best = INFINITY;
    for (int i = 0; i < 5; i++) {
        double start = es_clock_s();
        memcpy(to, from, bytes);
        from[i] = to[bytes - 1];
        best = fmin(best, es_clock_s() - start);
    }
    free(from);
    free(to);
    return 2 * (double)bytes / best * 1e-9;
}

/* ---- the table ------------------------------------------------------------------------------ */

static int rows; /* printed so far: JSON wants commas between */

static void print_row(const arguments *a, const sweep *s, const es_recon_options *o, int threads,
                      const timing *t) {
    double per_frame = 1e3 * t->insert_s / (double)s->count;
    double cpu = 1e3 * t->cpu_s / (double)s->count;
    double output = 1e3 * t->output_s / (double)s->count;
    double per_pixel = 1e6 * per_frame / (double)s->pixels;
    const char *interpolation = interpolations[o->interpolation];
    const char *compounding = compoundings[o->compounding];
    if (a->json)
        printf("%s\n    {\"workload\": \"%s\", \"interpolation\": \"%s\", \"compounding\": \"%s\", "
               "\"kernel\": \"scalar\", \"threads\": %d, \"frames\": %zu, \"ms_per_frame\": %.4f, "
               "\"ms_per_frame_plain\": %.4f, \"cpu_ms_per_frame\": %.4f, \"ms_per_frame_output\": "
               "%.4f, \"ns_per_pixel\": "
               "%.3f, \"bricks\": %llu, \"bytes\": %llu, \"size\": [%llu, %llu, %llu]}",
               rows++ ? "," : "", s->name, interpolation, compounding, threads, s->count, per_frame,
               per_frame, cpu, output, per_pixel, (unsigned long long)t->stats.bricks,
               (unsigned long long)t->stats.bytes, (unsigned long long)t->size[0],
               (unsigned long long)t->size[1], (unsigned long long)t->size[2]);
    else
        printf("%-14s %-8s %-8s %7d %7zu %9.3f %9.3f %9.3f %8.2f %8llu %9.1f\n", s->name,
               interpolation, compounding, threads, s->count, per_frame, cpu, output, per_pixel,
               (unsigned long long)t->stats.bricks, (double)t->stats.bytes / (1 << 20));
    fflush(stdout);
}

static void bench_modes(const arguments *a, const sweep *s) {
    es_recon_options o = options_for(s);
    for (o.interpolation = ES_NEAREST; o.interpolation <= ES_LINEAR; o.interpolation++)
        for (o.compounding = ES_LATEST; o.compounding <= ES_MAXIMUM; o.compounding++)
            for (int threads = 1; threads <= 2; threads++) {
                int times = a->quick ? 1 : o.interpolation == ES_NEAREST ? 5 : 2;
                timing t = best_of(s, &o, threads, times);
                print_row(a, s, &o, threads, &t);
            }
}

/* Small frames: many of them on one path, and the same density on a longer one. */
static void bench_scale(const arguments *a, const es_image *windows) {
    static const struct {
        const char *name;
        size_t count;
        double length_mm;
    } scales[] = {{"500-frames", 500, 100},
                  {"20000-frames", 20000, 100},
                  {"path-100mm", 2000, 100},
                  {"path-1000mm", 20000, 1000}};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        sweep s = make_sweep(scales[i].name, windows, scales[i].count, 128, scales[i].length_mm);
        es_recon_options o = options_for(&s);
        o.has_extent = false;
        timing t = best_of(&s, &o, 1, a->quick || scales[i].count > 5000 ? 2 : 5);
        print_row(a, &s, &o, 1, &t);
        free_sweep(&s);
    }
}

static arguments parse(int argc, char **argv) {
    arguments a = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            a.json = true;
        else if (strcmp(argv[i], "--quick") == 0)
            a.quick = true;
        else if (strcmp(argv[i], "--sequence") == 0 && i + 1 < argc)
            a.sequence = argv[++i];
        else {
            fprintf(stderr, "usage: bench_reconstruct [--json] [--quick] [--sequence FILE]\n");
            exit(2);
        }
    }
    return a;
}

int main(int argc, char **argv) {
    arguments a = parse(argc, argv);
    es_image windows[WINDOWS] = {{0}};
    make_windows(a.sequence, windows);
    double bandwidth = memory_bandwidth();
    if (a.json)
        printf("{\n  \"bandwidth_gb_s\": %.2f,\n  \"rows\": [", bandwidth);
    else
        printf("memcpy, 1 thread: %.1f GB/s read and written\n"
               "%-14s %-8s %-8s %7s %7s %9s %9s %9s %8s %8s %9s\n",
               bandwidth, "workload", "interp.", "compound", "threads", "frames", "ms/frame",
               "CPU ms", "+output", "ns/px", "bricks", "MiB");
    sweep s = make_sweep("SYN0", windows, 500, SIDE, SWEEP_MM);
    bench_modes(&a, &s);
    tilt_sweep(&s, "SYN30");
    bench_modes(&a, &s);
    free_sweep(&s);
    bench_scale(&a, windows);
    if (a.json) printf("\n  ]\n}\n");
    for (size_t i = 0; i < WINDOWS; i++) es_image_clear(&windows[i]);
    return 0;
}
