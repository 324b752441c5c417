/* make_lessons COUNT SEED FOLDER [--rows N] [--lines N] [--step MM] [--bone-free SHARE] [--unlike]
 *
 * Writes training frames for train.py: FOLDER/grey.u8 (COUNT x rows x lines)
 * and FOLDER/truth.f32 (COUNT x lines x 2: row of the bone or NaN, 1 where it
 * can be seen). Frame i has the seed SEED * 2^32 + i. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "echosolid/simulate.h"

static int usage(void) {
    fprintf(stderr, "usage: make_lessons COUNT SEED FOLDER [--rows N] [--lines N] [--step MM] "
                    "[--bone-free SHARE] [--unlike]\n");
    return 2;
}

static bool parse(int argc, char **argv, es_lesson_options *o) {
    for (int i = 4; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--unlike") == 0) {
            o->unlike = true;
            continue;
        }
        if (!value) return false;
        if (strcmp(argv[i], "--rows") == 0)
            o->rows = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--lines") == 0)
            o->lines = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(argv[i], "--step") == 0)
            o->row_mm = o->line_mm = strtod(value, NULL);
        else if (strcmp(argv[i], "--bone-free") == 0)
            o->bone_free = strtod(value, NULL);
        else
            return false;
        i++;
    }
    return true;
}

static es_output *open_in(const char *folder, const char *name, es_error *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) {
        es_fail(err, ES_USAGE, "the name of the folder is too long");
        return NULL;
    }
    return es_output_open(path, err);
}

static bool write_lessons(es_lesson *lesson, const es_lesson_options *o, long count, uint64_t seed,
                          es_output *grey_out, es_output *truth_out, es_error *err) {
    size_t pixels = (size_t)o->rows * o->lines;
    uint8_t *grey = es_alloc(pixels, 1, err);
    es_lesson_truth *truth = es_alloc(o->lines, sizeof *truth, err);
    float(*pair)[2] = es_alloc(o->lines, sizeof *pair, err);
    bool ok = grey && truth && pair;
    for (long f = 0; ok && f < count; f++) {
        es_lesson_draw(lesson, (seed << 32) + (uint64_t)f, grey, truth);
        for (uint32_t i = 0; i < o->lines; i++) {
            pair[i][0] = truth[i].row;
            pair[i][1] = truth[i].visible;
        }
        ok = es_output_write(grey_out, grey, pixels, err) &&
             es_output_write(truth_out, pair, o->lines * sizeof *pair, err);
    }
    es_free(grey);
    es_free(truth);
    es_free(pair);
    return ok;
}

int main(int argc, char **argv) {
    es_lesson_options o = ES_LESSON_DEFAULTS;
    es_error err = {0};
    char *end;
    if (argc < 4 || !parse(argc, argv, &o)) return usage();
    long count = strtol(argv[1], &end, 10);
    if (*end || count < 1) return usage();
    if (mkdir(argv[3], 0777) != 0 && errno != EEXIST) {
        perror(argv[3]);
        return 1;
    }
    es_lesson *lesson = es_lesson_new(&o, &err);
    es_output *outs[2] = {0};
    bool ok = lesson && (outs[0] = open_in(argv[3], "grey.u8", &err)) &&
              (outs[1] = open_in(argv[3], "truth.f32", &err)) &&
              write_lessons(lesson, &o, count, strtoull(argv[2], NULL, 10), outs[0], outs[1], &err);
    if (ok) {
        ok = es_output_commit_all(outs, 2, &err);
    } else {
        es_output_discard(outs[0]);
        es_output_discard(outs[1]);
    }
    es_lesson_free(lesson);
    if (!ok) fprintf(stderr, "make_lessons: %s\n", err.message);
    return ok ? 0 : 1;
}
