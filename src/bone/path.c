/* The best path of bone across the scan lines, by dynamic programming.
 *
 * Each line is in one of `samples + 1` states: bone at a sample, or no bone.
 * A sample scores by what the detector says it is worth, for the classical ones
 * how far the map exceeds the threshold; going on to the
 * next line costs more the steeper the step, leaving for any other depth costs
 * a jump, entering and leaving "no bone" costs a little, staying there
 * nothing. So a short bright speck does not pay for its entry, a gap in a long
 * echo is bridged or left open, and a frame without bone has none. The best
 * sequence of states is found exactly (Viterbi) in lines * samples * steps.
 *
 * All costs are per millimetre across the lines, so that they do not depend on
 * the line spacing. */
#include <math.h>
#include <string.h>

#include "bone_internal.h"

#define STEEPEST 3.0        /* mm of depth per mm across */
#define STEEPNESS_COST 0.03 /* x |slope|^1.5, per mm */
#define JUMP_COST 1.0       /* mm */
#define BORDER_COST 0.5     /* mm: entering or leaving "no bone" */
enum { MOST_STEP = 16, FROM_JUMP = 100, FROM_NONE = 101 };

static bool make_room(struct path *path, const struct beams *beams, es_error *err) {
    size_t lines = beams->lines, n = beams->samples;
    if (lines > path->line_capacity) {
        if (!es_resize(&path->sample, lines, sizeof *path->sample, err) ||
            !es_resize(&path->joined, lines, sizeof *path->joined, err) ||
            !es_resize(&path->crest_mm, lines, sizeof *path->crest_mm, err) ||
            !es_resize(&path->best, lines, sizeof *path->best, err) ||
            !es_resize(&path->none_from_bone, lines, sizeof *path->none_from_bone, err))
            return false;
        path->line_capacity = lines;
    }
    if (lines * n > path->sample_capacity) {
        if (!es_resize(&path->from, lines * n, sizeof *path->from, err)) return false;
        path->sample_capacity = lines * n;
    }
    if (n > path->depth_capacity) {
        if (!es_resize(&path->score[0], n, sizeof *path->score[0], err) ||
            !es_resize(&path->score[1], n, sizeof *path->score[1], err))
            return false;
        path->depth_capacity = n;
    }
    return true;
}

static size_t best_of(const float *score, size_t count) {
    size_t best = 0;
    for (size_t z = 1; z < count; z++)
        if (score[z] > score[best]) best = z;
    return best;
}

/* score[z] = best of before[z + k] - cost[|k|], from[z] = that k. */
static void step_on(const float *before, size_t count, const float *cost, int steps, float *score,
                    int8_t *from) {
    memcpy(score, before, count * sizeof *score);
    memset(from, 0, count);
    for (int k = 1; k <= steps; k++)
        for (int side = -1; side <= 1; side += 2) {
            size_t first = side < 0 ? (size_t)k : 0, last = side < 0 ? count : count - (size_t)k;
            const float *shifted = before + side * k;
            for (size_t z = first; z < last; z++) {
                float other = shifted[z] - cost[k];
                from[z] = other > score[z] ? (int8_t)(side * k) : from[z];
                score[z] = other > score[z] ? other : score[z];
            }
        }
}

/* A depth that comes from nowhere near: by a jump or out of "no bone". */
static void enter(float jump, float none, size_t count, float *score, int8_t *from) {
    float other = jump > none ? jump : none;
    int8_t code = jump > none ? FROM_JUMP : FROM_NONE;
    for (size_t z = 0; z < count; z++) {
        from[z] = other > score[z] ? code : from[z];
        score[z] = other > score[z] ? other : score[z];
    }
}

/* Outside the picture and near the face nothing can be bone. */
static void add_worth(const struct beams *beams, const float *worth, size_t line,
                      double min_depth_mm, float *score) {
    float per_line = (float)beams->line_step_mm;
    size_t nearest = (size_t)fmin(ceil(min_depth_mm / beams->depth_step_mm), 1e6);
    if (nearest < beams->first[line]) nearest = beams->first[line];
    for (size_t z = 0; z < beams->samples; z++)
        score[z] += z < nearest || z >= beams->last[line]
                        ? -1e6f
                        : per_line * worth[line * beams->samples + z];
}

static void walk_back(struct path *path, const struct beams *beams, const float *score,
                      float none) {
    size_t last = beams->lines - 1;
    int32_t at =
        score[best_of(score, beams->samples)] > none ? (int32_t)best_of(score, beams->samples) : -1;
    for (size_t line = last + 1; line-- > 0;) {
        path->sample[line] = at;
        path->joined[line] = false;
        if (line == 0) break;
        if (at < 0) {
            at = path->none_from_bone[line] ? path->best[line - 1] : -1;
            continue;
        }
        int8_t from = path->from[line * beams->samples + (size_t)at];
        path->joined[line] = from != FROM_JUMP && from != FROM_NONE;
        at = from == FROM_NONE ? -1 : from == FROM_JUMP ? path->best[line - 1] : at + from;
    }
}

bool path_find(struct path *path, const struct beams *beams, const float *worth,
               double min_depth_mm, es_error *err) {
    if (!make_room(path, beams, err)) return false;
    path->lines = beams->lines;
    size_t n = beams->samples;
    double slope = beams->depth_step_mm / beams->line_step_mm; /* of a step of one sample */
    int steps = (int)fmin(ceil(STEEPEST / slope), MOST_STEP);
    float cost[MOST_STEP + 1];
    for (int k = 0; k <= steps; k++)
        cost[k] = (float)(STEEPNESS_COST * pow(k * slope, 1.5) * beams->line_step_mm);
    float *before = path->score[0], *score = path->score[1], none = 0;
    memset(before, 0, n * sizeof *before);
    add_worth(beams, worth, 0, min_depth_mm, before);
    for (size_t line = 1; line < beams->lines; line++) {
        int8_t *from = path->from + line * n;
        size_t best = best_of(before, n);
        path->best[line - 1] = (int32_t)best;
        step_on(before, n, cost, steps, score, from);
        enter(before[best] - (float)JUMP_COST, none - (float)BORDER_COST, n, score, from);
        add_worth(beams, worth, line, min_depth_mm, score);
        path->none_from_bone[line] = before[best] - (float)BORDER_COST > none;
        none = path->none_from_bone[line] ? before[best] - (float)BORDER_COST : none;
        float *swap = before;
        before = score;
        score = swap;
    }
    walk_back(path, beams, before, none);
    return true;
}

void path_clear(struct path *path) {
    es_free(path->sample);
    es_free(path->joined);
    es_free(path->crest_mm);
    es_free(path->from);
    es_free(path->best);
    es_free(path->none_from_bone);
    es_free(path->score[0]);
    es_free(path->score[1]);
    *path = (struct path){0};
}
