/* A fuzzer's bytes as a file, through everything a reader does with one. */
#ifndef FUZZ_FORMAT_H
#define FUZZ_FORMAT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "echosolid/format.h"

/* Past these, a reader only repeats itself, and memory is the machine's. */
enum { FUZZ_FRAMES = 64, FUZZ_BYTES = 1 << 24 };

static void read_frames(const char *path) {
    es_error err = {0};
    es_source *source = es_sequence_open(path, &err);
    if (!source) return;
    const es_stream_info *info = es_source_info(source);
    double bytes = (double)info->width * info->height * 24;
    for (unsigned flags = 0; flags <= ES_READ_PIXELS && bytes < FUZZ_BYTES; flags++) {
        es_frame frame = {0};
        bool end = false;
        for (int f = 0; f < FUZZ_FRAMES && !end; f++)
            if (!es_source_next(source, &frame, flags, &end, &err)) break;
        es_frame_clear(&frame);
        if (!es_source_rewind(source, &err)) abort();
    }
    es_source_free(source);
}

static void read_slices(const char *path) {
    es_error err = {0};
    es_grid_file *file = es_grid_open(path, &err);
    if (!file) return;
    const es_grid_info *info = es_grid_file_info(file);
    double bytes = (double)info->size[0] * (double)info->size[1] * 24;
    void *slice = bytes < FUZZ_BYTES ? malloc((size_t)bytes) : NULL;
    for (uint64_t z = 0; slice && z < info->size[2] && z < FUZZ_FRAMES; z++)
        if (!es_grid_file_slab(file, z, 1, slice, &err)) break;
    free(slice);
    es_grid_close(file);
}

static int fuzz_file(const uint8_t *bytes, size_t length) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool is_grid;
    es_error err = {0};
    es_file_is_grid(path, &is_grid, &err);
    read_frames(path);
    read_slices(path);
    close(fd);
    return 0;
}

/* A sound recording as echosolid writes it under that name's extension, for a
 * fuzzer to start from: two frames of 4 x 3 pixels with a pose and a time. Returns
 * its length, 0 when it does not fit. */
static inline size_t fuzz_recording(const char *extension, uint8_t *out, size_t limit) {
    char path[64] = "/tmp/fuzzXXXXXX", name[80];
    es_error err = {0};
    es_stream_info info = {.frame_count = 2, .width = 4, .height = 3, .type = ES_U8, .channels = 1};
    es_frame frame = {.has_image = true, .has_time = true};
    int fd = mkstemp(path);
    snprintf(name, sizeof name, "%s%s", path, extension);
    es_sink *sink = es_sequence_create(name, &info, NULL, &err);
    bool ok = fd >= 0 && sink && es_image_resize(&frame.image, ES_U8, 1, 4, 3, &err);
    if (ok) memset(frame.image.data, 77, 12);
    for (int f = 0; ok && f < 2; f++) {
        frame.time_s = f;
        ok = es_frame_set_transform(&frame, "ProbeToTracker", es_mat4_identity(), true, &err) &&
             es_sink_put(sink, &frame, &err);
    }
    if (!ok || !es_sink_finish(sink, &err)) abort();
    es_sink_free(sink);
    es_frame_clear(&frame);
    FILE *file = fopen(name, "rb");
    size_t length = file ? fread(out, 1, limit, file) : 0;
    bool whole = file && fgetc(file) == EOF;
    if (file) fclose(file);
    close(fd);
    unlink(path);
    unlink(name);
    return whole ? length : 0;
}

#endif
