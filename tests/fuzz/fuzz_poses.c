/* Pose tables: any text, every reading that is possible. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "echosolid/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Past these, a reader only repeats itself. */
enum { FUZZ_READINGS = 40, FUZZ_SAMPLES = 20 };

static void read_poses(const es_pose_table *table) {
    es_pose_reading *readings = NULL;
    size_t count = 0;
    es_error err = {0};
    if (!es_pose_table_readings(table, &readings, &count, &err)) return;
    const es_pose_table_info *about = es_pose_table_about(table);
    size_t step = count / FUZZ_READINGS + 1;
    for (size_t r = 0; r < count; r += step)
        for (size_t s = 0; s < about->samples && s < FUZZ_SAMPLES; s++)
            for (int t = 0; t < about->tools; t++) {
                es_mat4 pose;
                char text[ES_POSE_TEXT];
                es_pose_reading_text(&readings[r], text);
                if (es_pose_table_pose(table, t, s, &readings[r], &pose) && !es_mat4_finite(pose))
                    abort();
            }
    for (size_t s = 0; s < about->samples && s < FUZZ_SAMPLES; s++)
        if (es_pose_table_line(table, s) < 1 || !es_pose_table_file(table, s)) abort();
    es_free(readings);
}

/* The first byte says how many of the next are the option's words. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    if (length < 2) return 0;
    char layout[65] = "";
    size_t words = bytes[0] < 64 ? bytes[0] : 0;
    if (words > length - 1) words = length - 1;
    memcpy(layout, bytes + 1, words);
    int fd = memfd_create("fuzz", 0);
    size_t rest = length - 1 - words;
    if (fd < 0 || write(fd, bytes + 1 + words, rest) != (ssize_t)rest) abort();
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    es_error err = {0};
    es_pose_table *table = es_pose_table_read(path, words ? layout : NULL, &err);
    if (table) read_poses(table);
    es_pose_table_free(table);
    close(fd);
    return 0;
}
