/* Which pieces of a path are believed.
 *
 * The path is the best one that there is, not a good one everywhere. Here it
 * loses the stretches that it only crossed to come from one echo to the next,
 * the ends that are dark, the pieces that are too short for an echo on bone or
 * poor beside a good one, and last the layers that run on above a better bone: nothing is seen
 * below bone, so a line whose continuation has bone below it was a fascia all along. */
#include <math.h>
#include <stdlib.h>

#include "bone_internal.h"

#define SUPPORT 0.5       /* x threshold: the map under a stretch only crossed */
#define CROSSING_MM 1.5   /* shorter drop-outs stay bridged */
#define FOLLOW_MM 25.0    /* how far a continuation is followed */
#define FOLLOW_ECHO 0.6f  /* x mean tone of the piece: darker is a drop-out */
#define END_ECHO 0.35f    /* x mean tone: ends darker than this are cut off */
#define POOR_SHARE 0.15   /* of the worth of the frame's best piece */
#define LAYER_GAP_MM 3.0  /* bone below, this much deeper, ... */
#define LAYER_OVER_MM 3.0 /* ... on this many mm of the continuation */
#define LAYER_SHARE 0.9   /* only a piece of less worth than this share gives way */
#define FAINT 0.08f       /* of the frame's brightest echo: bone reflects more */
#define WATER_TONE 0.04f  /* mean tone above and below: nothing there echoes */
#define WATER_MM 10.0     /* shorter pieces prove nothing in water, ... */
#define WATER_ECHO 0.5f   /* ... nor do those dimmer than this share of the brightest echo */

/* From the line before, in mm, along the path. */
static double step_mm(const struct beams *beams, const struct path *path, size_t line) {
    if (line == 0 || !path->joined[line]) return beams->line_step_mm;
    double depth = (path->sample[line] - path->sample[line - 1]) * beams->depth_step_mm;
    return hypot(beams->line_step_mm, depth);
}

static void forget(struct path *path, size_t first, size_t last) {
    for (size_t i = first; i < last; i++) {
        path->sample[i] = -1;
        path->joined[i] = false;
    }
    if (last < path->lines) path->joined[last] = false;
}

static float worth(const struct beams *beams, const struct path *path, const float *map,
                   size_t line) {
    return map[line * beams->samples + (size_t)path->sample[line]];
}

/* A stretch whose values are below `least` and that is too long to be a
 * drop-out goes. */
static void drop_stretches(const struct beams *beams, const float *values, float least,
                           struct path *path) {
    for (size_t i = 0; i < path->lines; i++) {
        double length = 0;
        size_t first = i;
        while (i < path->lines && path->sample[i] >= 0 && worth(beams, path, values, i) < least)
            length += step_mm(beams, path, i++);
        if (length > CROSSING_MM) forget(path, first, i);
    }
}

static float brightest(const struct beams *beams, const float *echo) {
    float most = 0;
    for (size_t i = 0; i < beams->lines; i++)
        for (uint32_t z = beams->first[i]; z < beams->last[i]; z++)
            most = echo[i * beams->samples + z] > most ? echo[i * beams->samples + z] : most;
    return most;
}

size_t piece_end(const struct path *path, size_t first) {
    size_t last = first + 1;
    while (last < path->lines && path->joined[last]) last++;
    return last;
}

static double piece_mm(const struct beams *beams, const struct path *path, size_t first,
                       size_t last) {
    double length = 0;
    for (size_t i = first; i < last; i++) length += step_mm(beams, path, i);
    return length;
}

static void drop_short(const struct beams *beams, double least_mm, struct path *path) {
    for (size_t i = 0, last; i < path->lines; i = last) {
        last = piece_end(path, i);
        if (path->sample[i] >= 0 && piece_mm(beams, path, i, last) < least_mm)
            forget(path, i, last);
    }
}

/* Mean tone of the lines of a piece, the echo itself (2 mm) left out. */
static float surroundings(const struct beams *beams, const struct path *path, size_t first,
                          size_t last) {
    int32_t side = (int32_t)lround(1 / beams->depth_step_mm);
    float sum = 0, count = 0;
    for (size_t i = first; i < last; i++)
        for (uint32_t z = beams->first[i]; z < beams->last[i]; z++) {
            if (abs((int32_t)z - path->sample[i]) <= side) continue;
            sum += beams->tone[i * beams->samples + z];
            count++;
        }
    return count > 0 ? sum / count : 0;
}

static float mean_along(const struct beams *beams, const struct path *path, const float *values,
                        size_t first, size_t last) {
    float sum = 0;
    for (size_t i = first; i < last; i++) sum += worth(beams, path, values, i);
    return sum / (float)(last - first);
}

/* A shadow is darkness where there would be echoes. In water all is dark, so
 * it proves nothing there; what is left is that bone is long and bright. */
static void drop_in_water(const struct beams *beams, const float *echo, float most,
                          struct path *path) {
    for (size_t i = 0, last; i < path->lines; i = last) {
        last = piece_end(path, i);
        if (path->sample[i] < 0 || surroundings(beams, path, i, last) >= WATER_TONE) continue;
        if (piece_mm(beams, path, i, last) < WATER_MM ||
            mean_along(beams, path, echo, i, last) < WATER_ECHO * most)
            forget(path, i, last);
    }
}

/* Sum of the map along the piece that line `at` belongs to. */
static double piece_worth(const struct beams *beams, const struct path *path, const float *map,
                          size_t at) {
    while (path->joined[at]) at--;
    double sum = 0;
    for (size_t i = at, last = piece_end(path, at); i < last; i++)
        sum += (double)worth(beams, path, map, i);
    return sum;
}

/* Smoothing along a slope carries an echo's ridge past its end. */
static void trim_ends(const struct beams *beams, const float *tone, struct path *path) {
    for (size_t i = 0, last; i < path->lines; i = last) {
        last = piece_end(path, i);
        if (path->sample[i] < 0) continue;
        float least = END_ECHO * mean_along(beams, path, tone, i, last);
        size_t low = i, high = last;
        while (low < high && worth(beams, path, tone, low) < least) low++;
        while (high > low && worth(beams, path, tone, high - 1) < least) high--;
        forget(path, i, low);
        forget(path, high, last);
    }
}

/* Beside a good bone a poor piece is more likely a fascia in dark tissue. */
static void drop_poor(const struct beams *beams, const float *map, struct path *path) {
    double best = 0;
    for (size_t i = 0; i < path->lines; i = piece_end(path, i))
        if (path->sample[i] >= 0) best = fmax(best, piece_worth(beams, path, map, i));
    for (size_t i = 0, last; i < path->lines; i = last) {
        last = piece_end(path, i);
        if (path->sample[i] >= 0 && piece_worth(beams, path, map, i) < POOR_SHARE * best)
            forget(path, i, last);
    }
}

/* The brightest sample of a line within two of `at`. */
static size_t follow(const float *line, size_t count, size_t at) {
    size_t best = at, low = at > 2 ? at - 2 : 0, high = at + 2 < count ? at + 2 : count - 1;
    for (size_t z = low; z <= high; z++)
        if (line[z] > line[best]) best = z;
    return best;
}

/* Follows the echo beyond one end of a piece (side -1 or 1, `end` its last
 * line): does it run above a bone that is worth much more? */
static bool runs_above(const struct beams *beams, const struct path *path, const float *map,
                       const float *tone, ptrdiff_t end, int side, float least, double limit) {
    double over = 0, dark = 0, step = beams->line_step_mm;
    int32_t gap = (int32_t)lround(LAYER_GAP_MM / beams->depth_step_mm);
    size_t at = (size_t)path->sample[end];
    ptrdiff_t lines = (ptrdiff_t)beams->lines, reach = lround(FOLLOW_MM / step);
    for (ptrdiff_t i = end + side; i >= 0 && i < lines && (i - end) * side <= reach; i += side) {
        const float *line = tone + (size_t)i * beams->samples;
        at = follow(line, beams->samples, at);
        dark = line[at] < least ? dark + step : 0;
        if (dark > CROSSING_MM) return false;
        if (path->sample[i] > (int32_t)at + gap && piece_worth(beams, path, map, (size_t)i) > limit)
            over += step;
        if (over > LAYER_OVER_MM) return true;
    }
    return false;
}

static void drop_layers(const struct beams *beams, const float *map, const float *tone,
                        struct path *path) {
    for (size_t i = 0, last; i < path->lines; i = last) {
        last = piece_end(path, i);
        if (path->sample[i] < 0) continue;
        double limit = piece_worth(beams, path, map, i) / LAYER_SHARE;
        float least = FOLLOW_ECHO * mean_along(beams, path, tone, i, last);
        if (runs_above(beams, path, map, tone, (ptrdiff_t)i, -1, least, limit) ||
            runs_above(beams, path, map, tone, (ptrdiff_t)last - 1, 1, least, limit))
            forget(path, i, last);
    }
}

void pieces_judge(const struct beams *beams, const float *map, const struct smoothed *smooth,
                  const es_bone_options *options, struct path *path) {
    float most = brightest(beams, smooth->echo);
    drop_stretches(beams, map, (float)(SUPPORT * options->threshold), path);
    drop_stretches(beams, smooth->echo, FAINT * most, path);
    trim_ends(beams, smooth->tone, path);
    drop_short(beams, options->min_length_mm, path);
    drop_in_water(beams, smooth->echo, most, path);
    drop_poor(beams, map, path);
    drop_layers(beams, map, smooth->tone, path);
}
