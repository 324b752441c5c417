/* From a path of samples to bone in millimetres.
 *
 * The path follows the detector's map, whose peak may sit a little beside the
 * echo. The depth that is reported is the crest: from the path's sample to the
 * brightest one close by, then the centre of what is nearly as bright around
 * it, so that a saturated echo gives its middle; or, when that is asked for, the
 * front edge above the crest. A straight line fitted by
 * weighted least squares through the crests within a millimetre or so gives
 * the smoothed depth and its slope; the average of the map over the same
 * stretch is the confidence. */
#include <math.h>

#include "bone_internal.h"

#define CLIMB_MM 0.8   /* the crest is looked for this far from the path */
#define SHOULDER 0.8   /* nearly as bright */
#define STRETCH_MM 0.5 /* sigma of the weights along the trace */
#define BEFORE_MM 3.0  /* the front edge: the darkest of this much above the crest is no echo */
#define SPECK_MM 0.6   /* a dark gap of speckle does not end a thick echo */

/* Depth of the crest in samples. */
static double crest_at(const float *echo, size_t first, size_t last, size_t at, size_t reach) {
    size_t low = at > first + reach ? at - reach : first;
    size_t high = at + reach < last ? at + reach : last - 1;
    size_t top = at;
    for (size_t z = low; z <= high; z++)
        if (echo[z] > echo[top]) top = z;
    double floor = SHOULDER * (double)echo[top], sum = 0, moment = 0;
    low = high = top;
    while (low > first && low + reach > top && echo[low - 1] > floor) low--;
    while (high + 1 < last && high < top + reach && echo[high + 1] > floor) high++;
    for (size_t z = low; z <= high; z++) {
        sum += (double)echo[z] - floor;
        moment += ((double)echo[z] - floor) * (double)z;
    }
    return sum > 0 ? moment / sum : (double)top;
}

/* Where, going up from the crest, the echo has fallen half way to the darkest
 * that lies before it, in samples. */
static double front_at(const struct beams *beams, const float *echo, size_t first, double crest) {
    size_t top = (size_t)lround(crest);
    size_t before = (size_t)lround(BEFORE_MM / beams->depth_step_mm);
    size_t speck = (size_t)lround(SPECK_MM / beams->depth_step_mm);
    size_t low = top > first + before ? top - before : first, front = top;
    float dark = echo[top];
    for (size_t z = low; z < top; z++) dark = fminf(dark, echo[z]);
    float half = (echo[top] + dark) / 2;
    for (size_t z = top; z-- > low && front - z <= speck;)
        if (echo[z] >= half) front = z;
    if (front == low || !(echo[front] > half)) return (double)front;
    float step = echo[front] - echo[front - 1];
    return (double)front - (step > 0 ? (double)((echo[front] - half) / step) : 0);
}

static void find_crests(const struct beams *beams, const float *echo,
                        const es_bone_options *options, struct path *path) {
    size_t reach = (size_t)ceil(CLIMB_MM / beams->depth_step_mm);
    for (size_t i = 0; i < beams->lines; i++) {
        if (path->sample[i] < 0) continue;
        const float *line = echo + i * beams->samples;
        double at = crest_at(line, beams->first[i], beams->last[i], (size_t)path->sample[i], reach);
        if (options->edge == ES_BONE_FRONT) at = front_at(beams, line, beams->first[i], at);
        path->crest_mm[i] = beams->depth_step_mm * at;
    }
}

/* A run of joined lines, [first, last). */
struct piece {
    size_t first, last;
};

struct fit {
    double depth_mm, slope, map; /* slope: mm of depth per line */
};

/* The straight line through the crests of the piece around line `at`. */
static struct fit fit_around(const struct beams *beams, const float *map, const struct path *path,
                             struct piece piece, size_t at) {
    double sigma = STRETCH_MM / beams->line_step_mm;
    size_t reach = (size_t)ceil(3 * sigma);
    size_t low = at > piece.first + reach ? at - reach : piece.first;
    size_t high = at + reach < piece.last ? at + reach : piece.last - 1;
    double w = 0, wx = 0, wxx = 0, wy = 0, wxy = 0, wm = 0;
    for (size_t i = low; i <= high; i++) {
        double x = (double)i - (double)at, y = path->crest_mm[i];
        double weight = exp(-0.5 * x * x / (sigma * sigma));
        w += weight, wx += weight * x, wxx += weight * x * x;
        wy += weight * y, wxy += weight * x * y;
        wm += weight * (double)map[i * beams->samples + (size_t)path->sample[i]];
    }
    double det = w * wxx - wx * wx;
    if (!(det > 1e-9 * w * w)) return (struct fit){wy / w, 0, wm / w};
    return (struct fit){(wxx * wy - wx * wxy) / det, (w * wxy - wx * wy) / det, wm / w};
}

struct point {
    double x, y; /* mm in the image plane */
};

static struct point at_depth(const es_scan_line *line, const double spacing_mm[2], double mm) {
    return (struct point){(line->u + mm * line->du) * spacing_mm[0],
                          (line->v + mm * line->dv) * spacing_mm[1]};
}

/* Cosine of the angle between the beam and the trace's normal. */
static double incidence(const struct beams *beams, const double spacing_mm[2], size_t at,
                        struct fit fit) {
    size_t before = at ? at - 1 : at, after = at + 1 < beams->lines ? at + 1 : at;
    struct point a = at_depth(&beams->line[before], spacing_mm,
                              fit.depth_mm - (double)(at - before) * fit.slope);
    struct point b =
        at_depth(&beams->line[after], spacing_mm, fit.depth_mm + (double)(after - at) * fit.slope);
    double x = b.x - a.x, y = b.y - a.y, length = hypot(x, y);
    double beam_x = beams->line[at].du * spacing_mm[0], beam_y = beams->line[at].dv * spacing_mm[1];
    double beam = hypot(beam_x, beam_y);
    return length > 0 ? fmin(fabs(x * beam_y - y * beam_x) / (length * beam), 1) : 1;
}

static void trace_piece(const struct beams *beams, const float *map, const struct path *path,
                        const es_bone_options *options, struct piece piece, es_trace *trace) {
    for (size_t i = piece.first; i < piece.last; i++) {
        struct fit fit = fit_around(beams, map, path, piece, i);
        es_scan_line *line = &trace->lines[i];
        line->found = true;
        line->depth_mm = fmin(fmax(fit.depth_mm + options->offset_mm, 0), line->length_mm);
        line->cos_incidence = (float)incidence(beams, options->spacing_mm, i, fit);
        line->confidence = (float)fmin(fmax(fit.map, 0), 1);
    }
}

void crest_trace(const struct beams *beams, const float *echo, const float *map, struct path *path,
                 const es_bone_options *options, es_trace *trace) {
    find_crests(beams, echo, options, path);
    for (size_t i = 0; i < beams->lines; i++) trace->lines[i] = beams->line[i];
    struct piece piece;
    for (piece.first = 0; piece.first < beams->lines; piece.first = piece.last) {
        piece.last = piece_end(path, piece.first);
        if (path->sample[piece.first] >= 0) trace_piece(beams, map, path, options, piece, trace);
    }
}
