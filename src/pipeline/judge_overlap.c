/* The spacing from crossing pictures: at which scale do they show the same?
 *
 * Where two pictures of one body cross, both show the same tissue along the
 * line that they share. The poses, with the directions of a calibration, say
 * in millimetres where that line lies; the scale says which pixels lie on it.
 * So the correlation of what crossing pictures show has its maximum at the
 * true scale. Where the calibration's origin belongs, when its scale is wrong,
 * is not known either: the place of the picture's corner in its plane is
 * sought along with the scale.
 *
 * It is claimed only where it stands out: enough pairs far apart in time, a
 * correlation as right poses have it, clearly more than at scales a fifth off
 * to either side, and four parts of the pairs that find the same. What they
 * differ by is the sigma, 4 % at least: thick slices and tissue that the probe
 * presses pull the maximum away without a trace. Pixels are taken as square. */
#include <math.h>
#include <string.h>

#include "judge_internal.h"

enum {
    PICTURES = 40,
    SIDE = 64,   /* cells of a picture's longer side, at most */
    GRID = 14,   /* samples along each side of a picture, in a comparison */
    APART = 6,   /* pictures between two that are compared */
    PARTS = 4,   /* of the pairs, that must agree */
    ALL = PARTS, /* instead of a part */
    COARSE = 17, /* steps to either side of the calibration's scale */
    LEAST_FRAMES = 24,
    LEAST_SAMPLES = 1500
};
static const double COARSE_STEP = 0.04;      /* of ln scale */
static const double SLICE_MM = 0.7;          /* a sample this near to the other picture is in it */
static const double LEAST_CORRELATION = 0.3; /* right poses give .3 to .7 */
static const double LEAST_COARSE = 0.15;     /* of a quarter of the pairs, before refining */
static const double FALL = 0.1, FALL_AT = 0.2; /* of the correlation, at scales this much off */
static const double LEAST_SIGMA = 0.04, MOST_SIGMA = 0.1;

typedef struct overlap {
    size_t frames, count; /* of the recording; pictures taken */
    es_mat4 *pose;        /* of each frame: picture's axes -> reference, unit columns */
    bool *placed;
    es_mat4 taken[PICTURES], back[PICTURES];
    float *grey[PICTURES]; /* cells, what all pictures share taken away */
    uint32_t width, height, cell;
    es_image picture; /* scratch */
} overlap;

/* Scale in mm a pixel, and where the picture's corner lies beside the origin, mm. */
typedef struct guess {
    double scale, at[2];
} guess;

static void overlap_clear(overlap *o) {
    for (size_t i = 0; i < PICTURES; i++) es_free(o->grey[i]);
    es_free(o->pose);
    es_free(o->placed);
    es_image_clear(&o->picture);
}

/* ---- the pictures ---------------------------------------------------------------- */

static bool take_picture(overlap *o, const es_frame *frame, size_t f, es_error *err) {
    float *cells = es_alloc((size_t)o->width * o->height, sizeof *cells, err);
    if (!cells) return false;
    o->grey[o->count] = cells;
    if (!es_image_to_f32(&frame->image, &o->picture, err)) return false;
    const float *from = o->picture.data;
    for (uint32_t v = 0; v < o->height; v++)
        for (uint32_t u = 0; u < o->width; u++) {
            float sum = 0;
            for (uint32_t y = 0; y < o->cell; y++)
                for (uint32_t x = 0; x < o->cell; x++)
                    sum += from[(size_t)(v * o->cell + y) * o->picture.width + u * o->cell + x];
            cells[(size_t)v * o->width + u] = sum / (float)(o->cell * o->cell);
        }
    o->taken[o->count] = o->pose[f];
    if (es_mat4_invert(o->pose[f], &o->back[o->count], NULL))
        o->count++;
    else
        es_free(cells), o->grey[o->count] = NULL;
    return true;
}

/* Borders, text and the near field are the same wherever the probe is. */
static void subtract_mean(overlap *o) {
    size_t n = (size_t)o->width * o->height;
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t p = 0; p < o->count; p++) sum += o->grey[p][i];
        for (size_t p = 0; p < o->count; p++) o->grey[p][i] -= sum / (float)o->count;
    }
}

static bool read_pictures(overlap *o, es_source *source, es_error *err) {
    es_frame frame = {0};
    size_t step = (o->frames + PICTURES - 1) / PICTURES;
    bool ok = true, end = false;
    for (size_t f = 0; ok && f < o->frames && o->count < PICTURES; f++) {
        bool wanted = f % step == 0 && o->placed[f];
        ok = es_source_next(source, &frame, wanted ? ES_READ_PIXELS : 0, &end, err);
        if (!ok || end) break;
        bool fits = wanted && frame.has_image && frame.image.width / o->cell == o->width &&
                    frame.image.height / o->cell == o->height;
        if (fits) ok = take_picture(o, &frame, f, err);
    }
    es_frame_clear(&frame);
    if (ok && o->count) subtract_mean(o);
    return ok && es_source_rewind(source, err);
}

/* ---- how well they agree ------------------------------------------------------------ */

typedef struct sums {
    double n, x, y, xx, yy, xy;
} sums;

/* Bilinear between the middles of the cells; false outside. */
static bool look(const overlap *o, size_t picture, double u, double v, double *grey) {
    double half = 0.5 * (o->cell - 1.0), x = (u - half) / o->cell, y = (v - half) / o->cell;
    if (!(x >= 0 && y >= 0 && x < o->width - 1.0 && y < o->height - 1.0)) return false;
    uint32_t i = (uint32_t)x, j = (uint32_t)y;
    const float *g = o->grey[picture] + (size_t)j * o->width + i;
    double a = x - i, b = y - j;
    *grey =
        (1 - b) * ((1 - a) * g[0] + a * g[1]) + b * ((1 - a) * g[o->width] + a * g[o->width + 1]);
    return true;
}

static void compare(const overlap *o, size_t i, size_t j, const guess *g, sums *s) {
    es_mat4 d = es_mat4_multiply(o->back[j], o->taken[i]);
    double du = (double)(o->width - 1) * o->cell / GRID,
           dv = (double)(o->height - 1) * o->cell / GRID;
    for (int b = 0; b < GRID; b++)
        for (int a = 0; a < GRID; a++) {
            double u = (a + 0.5) * du, v = (b + 0.5) * dv, here, there;
            double x = g->scale * u + g->at[0], y = g->scale * v + g->at[1];
            if (fabs(d.m[8] * x + d.m[9] * y + d.m[11]) > SLICE_MM) continue;
            double far_u = (d.m[0] * x + d.m[1] * y + d.m[3] - g->at[0]) / g->scale;
            double far_v = (d.m[4] * x + d.m[5] * y + d.m[7] - g->at[1]) / g->scale;
            if (!look(o, j, far_u, far_v, &there) || !look(o, i, u, v, &here)) continue;
            s->n++, s->x += here, s->y += there;
            s->xx += here * here, s->yy += there * there, s->xy += here * there;
        }
}

/* Correlation of one part of the pairs; 0 with fewer samples than `least`. */
static double agreement(const overlap *o, const guess *g, int part, double least, double *samples) {
    sums s = {0};
    size_t pair = 0;
    for (size_t i = 0; i < o->count; i++)
        for (size_t j = i + APART; j < o->count; j++, pair++)
            if (part == ALL || pair % PARTS == (size_t)part) compare(o, i, j, g, &s);
    if (samples) *samples = s.n;
    double x = s.xx - s.x * s.x / fmax(s.n, 1), y = s.yy - s.y * s.y / fmax(s.n, 1);
    if (s.n < least || !(x > 0) || !(y > 0)) return 0;
    return (s.xy - s.x * s.y / s.n) / sqrt(x * y);
}

/* ---- the search ----------------------------------------------------------------------- */

/* The calibration's origin may stay with the corner, the middle of the first
 * row, or the middle of the picture, when its scale is another. */
static guess coarse_guess(const overlap *o, double first, double factor, int fixed) {
    double u = fixed ? 0.5 * (double)(o->width * o->cell) : 0;
    double v = fixed == 2 ? 0.5 * (double)(o->height * o->cell) : 0;
    double scale = first * factor;
    return (guess){scale, {(first - scale) * u, (first - scale) * v}};
}

/* Steps in scale and place, halved where none is better. */
static double refine(const overlap *o, int part, double least, guess *best) {
    double most = agreement(o, best, part, least, NULL);
    double steps[3] = {0.02, 1, 1};
    for (int round = 0; round < 40 && steps[0] > 0.001; round++) {
        bool better = false;
        for (int k = 0; k < 6; k++) {
            guess tried = *best;
            double step = k % 2 ? -steps[k / 2] : steps[k / 2];
            if (k < 2)
                tried.scale *= exp(step);
            else
                tried.at[k / 2 - 1] += step;
            double r = agreement(o, &tried, part, least, NULL);
            if (r > most) most = r, *best = tried, better = true;
        }
        for (int a = 0; a < 3 && !better; a++) steps[a] /= 2;
    }
    return most;
}

/* False where no scale stands out. */
static bool search(const overlap *o, double first, guess *best, double *r) {
    *r = 0;
    for (int k = -COARSE; k <= COARSE; k++)
        for (int fixed = 0; fixed < 3; fixed++) {
            guess g = coarse_guess(o, first, exp(k * COARSE_STEP), fixed);
            double here = agreement(o, &g, 0, LEAST_SAMPLES / (2. * PARTS), NULL);
            if (here > *r) *r = here, *best = g;
        }
    if (*r < LEAST_COARSE) return false;
    *r = refine(o, ALL, LEAST_SAMPLES, best);
    for (int side = -1; side <= 1; side += 2) {
        guess off = *best;
        off.scale *= exp(side * FALL_AT);
        if (refine(o, ALL, LEAST_SAMPLES, &off) > *r)
            *best = off, *r = agreement(o, best, ALL, LEAST_SAMPLES, NULL);
    }
    return *r >= LEAST_CORRELATION;
}

/* The scale alone, a fifth off, must agree clearly less: else any would do. */
static bool stands_out(const overlap *o, const guess *best, double r) {
    for (int side = -1; side <= 1; side += 2) {
        guess off = *best;
        double change = expm1(side * FALL_AT) * best->scale;
        off.scale += change;
        off.at[0] -= 0.5 * change * (double)(o->width * o->cell);
        off.at[1] -= 0.5 * change * (double)(o->height * o->cell);
        if (agreement(o, &off, ALL, LEAST_SAMPLES / 2., NULL) > r - FALL) return false;
    }
    return true;
}

/* What the parts of the pairs, each on its own, differ by. */
static double spread_of_parts(const overlap *o, const guess *best) {
    double sum = 0, squares = 0;
    for (int part = 0; part < PARTS; part++) {
        guess g = *best;
        refine(o, part, LEAST_SAMPLES / (2. * PARTS), &g);
        double x = log(g.scale / best->scale);
        sum += x, squares += x * x;
    }
    return sqrt(fmax(squares / PARTS - sum * sum / (PARTS * PARTS), 0));
}

/* ---- evidence ----------------------------------------------------------------------------- */

static bool add_overlap(const overlap *o, double first, es_evidence_list *list, es_error *err) {
    guess best;
    double r, samples;
    if (!search(o, first, &best, &r) || !stands_out(o, &best, r)) return true;
    double sigma = hypot(LEAST_SIGMA, spread_of_parts(o, &best));
    if (sigma > MOST_SIGMA) return true;
    agreement(o, &best, ALL, 0, &samples);
    es_evidence e = {.source = "overlap", .group = "overlap"};
    for (int a = 0; a < 2; a++) e.spacing_mm[a] = best.scale, e.sigma[a] = sigma;
    snprintf(
        e.note, sizeof e.note,
        "crossing pictures agree best at this scale (r %.2f over %.0f places of %zu pictures); "
        "the calibration's directions are used, not its scale; pixels are taken as square; "
        "tissue that the probe presses would make it wrong",
        r, samples, o->count);
    return es_evidence_add(list, &e, err);
}

/* Where the search begins: the calibration's own scale. */
static bool first_scale(es_source *source, const es_plus *plus, double *scale, es_error *err) {
    es_placement *placement = es_placement_new(plus, NULL, err);
    es_frame frame = {0};
    bool ok = placement != NULL, end = false, placed = false;
    es_mat4 pose;
    *scale = NAN;
    while (ok && !placed && (ok = es_source_next(source, &frame, 0, &end, err)) && !end)
        ok = es_placement_find(placement, &frame, &pose, &placed, err);
    if (ok && placed)
        *scale =
            sqrt(es_vec3_length(es_mat4_column(pose, 0)) * es_vec3_length(es_mat4_column(pose, 1)));
    es_frame_clear(&frame);
    es_placement_free(placement);
    return ok && es_source_rewind(source, err);
}

static bool make(overlap *o, es_source *source, const es_plus *plus, es_error *err) {
    o->pose = es_alloc(o->frames, sizeof *o->pose, err);
    o->placed = o->pose ? es_alloc_zero(o->frames, sizeof *o->placed, err) : NULL;
    return o->placed && judge_read_poses(source, plus, o->frames, o->pose, o->placed, err) &&
           read_pictures(o, source, err);
}

bool judge_overlap(es_source *source, const es_plus *plus, es_evidence_list *list, es_error *err) {
    const es_stream_info *info = es_source_info(source);
    double first;
    if (!es_source_can_rewind(source) || info->frame_count < LEAST_FRAMES || info->width < SIDE ||
        info->height < SIDE || info->channels != 1)
        return true;
    if (!first_scale(source, plus, &first, err)) return false;
    if (!(first >= 0.005 && first <= 5)) return true;
    overlap o = {.frames = (size_t)info->frame_count};
    uint32_t most = info->width > info->height ? info->width : info->height;
    o.cell = (most + SIDE - 1) / SIDE;
    o.width = info->width / o.cell;
    o.height = info->height / o.cell;
    bool ok = make(&o, source, plus, err);
    if (ok && o.count >= LEAST_FRAMES) ok = add_overlap(&o, first, list, err);
    overlap_clear(&o);
    return ok;
}
