/* How fast frames are read: an H.264 video of 640 x 480, and a DICOM cine in each of its
 * encodings beside DCMTK's own program decoding the same file.
 *   bench_files [FILE ...]
 * makes its files with ffmpeg and DCMTK's tools (what is missing is left out, said), or
 * reads those it is given. Processor time of one core, the best of three. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "echosolid/format.h"
#include "echosolid/simulate.h"

enum { TURNS = 3, CINE = 120, PATH = 100, COMMAND = 1000 };

static double used_s(int who) {
    struct rusage u;
    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* The best of all turns; -1: it cannot be read, which is told. */
static double read_s(const char *path, long *frames) {
    double best = -1;
    es_error err = {0};
    for (int turn = 0; turn < TURNS; turn++) {
        double start = used_s(RUSAGE_SELF);
        es_source *source = es_sequence_open(path, &err);
        es_frame frame = {0};
        bool end = false, ok = source != NULL;
        *frames = 0;
        while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, &err)) && !end)
            ++*frames;
        es_frame_clear(&frame);
        es_source_free(source);
        if (!ok) {
            fprintf(stderr, "bench_files: %s\n", err.message);
            return -1;
        }
        double took = used_s(RUSAGE_SELF) - start;
        if (best < 0 || took < best) best = took;
    }
    return best;
}

static bool run(const char *command) {
    char quiet[COMMAND + 40];
    snprintf(quiet, sizeof quiet, "%s >/dev/null 2>&1", command);
    return system(quiet) == 0;
}

static double run_s(const char *command) {
    double best = -1;
    for (int turn = 0; turn < TURNS; turn++) {
        double start = used_s(RUSAGE_CHILDREN);
        if (!run(command)) return -1;
        double took = used_s(RUSAGE_CHILDREN) - start;
        if (best < 0 || took < best) best = took;
    }
    return best;
}

static void read_video(const char *folder) {
    char path[PATH], command[COMMAND];
    long frames;
    snprintf(path, sizeof path, "%s/video.mp4", folder);
    snprintf(command, sizeof command,
             "ffmpeg -y -f lavfi -i testsrc2=s=640x480:r=30:d=20 -vf noise=alls=8 -c:v libx264 "
             "-preset veryfast -pix_fmt yuv420p %s",
             path);
    if (!run(command)) {
        printf("video: left out, ffmpeg with libx264 is not here\n");
        return;
    }
    double took = read_s(path, &frames);
    if (took > 0)
        printf("H.264 of 640 x 480             %6.0f frames/s (asked 200)\n",
               (double)frames / took);
    remove(path);
}

/* A cine of simulated frames, without compression. */
static bool write_cine(const char *path, es_error *err) {
    es_simulation sim = ES_SIMULATION_DEFAULTS;
    sim.frames = CINE;
    es_source *source = es_simulation_open(&sim, err);
    es_sink *sink = source ? es_sequence_create(path, es_source_info(source), NULL, err) : NULL;
    es_frame frame = {0};
    bool end = false, ok = sink != NULL;
    while (ok && (ok = es_source_next(source, &frame, ES_READ_PIXELS, &end, err)) && !end)
        ok = es_sink_put(sink, &frame, err);
    ok = ok && es_sink_finish(sink, err);
    es_sink_free(sink);
    es_frame_clear(&frame);
    es_source_free(source);
    return ok;
}

/* `pack` makes the file of the plain one, `unpack` is DCMTK's program that decodes it. */
static void read_packed(const char *folder, const char *name, const char *pack,
                        const char *unpack) {
    char command[COMMAND], path[PATH];
    long frames;
    snprintf(path, sizeof path, "%s/packed.dcm", folder);
    snprintf(command, sizeof command, "%s %s/plain.dcm %s", pack, folder, path);
    if (!run(command)) {
        printf("DICOM, %-23s left out, %s is not here\n", name, pack);
        return;
    }
    snprintf(command, sizeof command, "%s %s %s/out.dcm", unpack, path, folder);
    double ours = read_s(path, &frames), theirs = run_s(command);
    if (ours > 0 && theirs > 0)
        printf("DICOM, %-23s %6.0f frames/s, %.2f times the speed of %s (which also writes)\n",
               name, (double)frames / ours, theirs / ours, unpack);
    remove(path);
    snprintf(path, sizeof path, "%s/out.dcm", folder);
    remove(path);
}

static void read_cines(const char *folder) {
    static const char *const kinds[][3] = {{"RLE", "dcmcrle", "dcmdrle"},
                                           {"JPEG", "dcmcjpeg +eb +q 95", "dcmdjpeg"},
                                           {"JPEG lossless", "dcmcjpeg +e1", "dcmdjpeg"},
                                           {"JPEG-LS", "dcmcjpls", "dcmdjpls"}};
    char path[PATH];
    long frames;
    es_error err = {0};
    snprintf(path, sizeof path, "%s/plain.dcm", folder);
    if (!write_cine(path, &err)) {
        fprintf(stderr, "bench_files: %s\n", err.message);
        return;
    }
    double took = read_s(path, &frames);
    if (took > 0)
        printf("DICOM, uncompressed            %6.0f frames/s of 512 x 512\n",
               (double)frames / took);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        read_packed(folder, kinds[i][0], kinds[i][1], kinds[i][2]);
    remove(path);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        long frames;
        double took = read_s(argv[i], &frames);
        if (took < 0) return 1;
        printf("%s: %ld frames, %.0f frames/s\n", argv[i], frames, (double)frames / took);
    }
    if (argc > 1) return 0;
    char folder[] = "/tmp/bench_files.XXXXXX";
    if (!mkdtemp(folder)) {
        perror("bench_files: /tmp");
        return 1;
    }
    read_video(folder);
    read_cines(folder);
    rmdir(folder);
    return 0;
}
