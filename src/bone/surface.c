/* What a trace says, for those who do not care for scan lines: its pieces as
 * lines in the picture, how far two detectors agree, and a picture of how
 * probable bone is. */
#include <math.h>
#include <string.h>

#include "echosolid/bone.h"

#define STEEPEST 3.5 /* mm of depth per mm across: more is a jump */
#define SLACK_MM 0.3 /* that much is noise of the depth */
#define FAINT 3.0    /* the Gaussian ends after this many sigma */

void es_bone_point(const es_scan_line *line, double *u, double *v) {
    *u = line->u + line->depth_mm * line->du;
    *v = line->v + line->depth_mm * line->dv;
}

/* Does the bone of `a` go on in its neighbour `b`? */
static bool goes_on(const es_scan_line *a, const es_scan_line *b) {
    if (!a->found || !b->found) return false;
    double u0, v0, u1, v1;
    es_scan_line level = *b; /* b at the depth of a: the way across */
    level.depth_mm = a->depth_mm;
    es_bone_point(a, &u0, &v0);
    es_bone_point(&level, &u1, &v1);
    double across_mm = hypot(u1 - u0, v1 - v0) / hypot(a->du, a->dv);
    return fabs(b->depth_mm - a->depth_mm) <= STEEPEST * across_mm + SLACK_MM;
}

size_t es_bone_piece_end(const es_trace *trace, size_t first) {
    size_t last = first + 1;
    while (last < trace->count && goes_on(&trace->lines[last - 1], &trace->lines[last])) last++;
    return last;
}

double es_bone_confidence(const es_trace *trace, size_t first, size_t last) {
    double sum = 0;
    size_t found = 0;
    for (size_t i = first; i < last; i++) {
        if (!trace->lines[i].found) continue;
        sum += (double)trace->lines[i].confidence;
        found++;
    }
    return found ? sum / (double)found : 0;
}

/* ---- two detectors ------------------------------------------------------------ */

static bool check_same_lines(const es_trace *a, const es_trace *b, es_error *err) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->lines[i].u == b->lines[i].u && a->lines[i].v == b->lines[i].v &&
               a->lines[i].du == b->lines[i].du && a->lines[i].dv == b->lines[i].dv;
    if (same) return true;
    return es_fail(err, ES_USAGE,
                   "two traces of different scan lines (%zu and %zu) cannot be compared; trace the "
                   "same image with the same fan, clip and spacing",
                   a->count, b->count);
}

/* Across the surface: on a flank, depths differ by more. */
static bool both_near(const es_scan_line *a, const es_scan_line *b, double within_mm) {
    double lean = ((double)a->cos_incidence + (double)b->cos_incidence) / 2;
    return a->found && b->found && fabs(a->depth_mm - b->depth_mm) * lean <= within_mm;
}

bool es_bone_agreement(const es_trace *a, const es_trace *b, double within_mm, double *share,
                       es_error *err) {
    if (!check_same_lines(a, b, err)) return false;
    size_t agreed = 0;
    for (size_t i = 0; i < a->count; i++)
        agreed += (!a->lines[i].found && !b->lines[i].found) ||
                  both_near(&a->lines[i], &b->lines[i], within_mm);
    *share = a->count ? (double)agreed / (double)a->count : 1;
    return true;
}

bool es_bone_keep_agreed(es_trace *trace, const es_trace *other, double within_mm, es_error *err) {
    if (!check_same_lines(trace, other, err)) return false;
    for (size_t i = 0; i < trace->count; i++) {
        es_scan_line *line = &trace->lines[i];
        if (both_near(line, &other->lines[i], within_mm)) continue;
        *line = (es_scan_line){.u = line->u,
                               .v = line->v,
                               .du = line->du,
                               .dv = line->dv,
                               .length_mm = line->length_mm};
    }
    return true;
}

/* ---- the picture ----------------------------------------------------------------- */

struct end {
    double u, v, confidence;
};

static struct end end_at(const es_scan_line *line) {
    struct end end = {.confidence = (double)line->confidence};
    es_bone_point(line, &end.u, &end.v);
    return end;
}

/* Whole pixels low..high about [a, b], cut to the picture; false: none. */
static bool pixels_about(double a, double b, double margin, uint32_t size, int64_t *low,
                         int64_t *high) {
    double first = fmax(ceil(fmin(a, b) - margin), 0);
    double last = fmin(floor(fmax(a, b) + margin), (double)size - 1);
    if (!(first <= last)) return false;
    *low = (int64_t)first;
    *high = (int64_t)last;
    return true;
}

/* The brighter of what is there and the band about one stretch of bone. */
static void paint_stretch(struct end a, struct end b, const double spacing_mm[2],
                          es_image *picture) {
    int64_t u0, u1, v0, v1;
    double reach = FAINT * ES_BONE_BAND_MM;
    if (!pixels_about(a.u, b.u, reach / spacing_mm[0], picture->width, &u0, &u1) ||
        !pixels_about(a.v, b.v, reach / spacing_mm[1], picture->height, &v0, &v1))
        return;
    double x = (b.u - a.u) * spacing_mm[0], y = (b.v - a.v) * spacing_mm[1];
    double square = x * x + y * y;
    for (int64_t v = v0; v <= v1; v++) {
        uint8_t *row = (uint8_t *)picture->data + (size_t)v * picture->width;
        for (int64_t u = u0; u <= u1; u++) {
            double px = ((double)u - a.u) * spacing_mm[0], py = ((double)v - a.v) * spacing_mm[1];
            double t = square > 0 ? fmin(fmax((px * x + py * y) / square, 0), 1) : 0;
            double off2 = (px - t * x) * (px - t * x) + (py - t * y) * (py - t * y);
            if (off2 > reach * reach) continue;
            double confidence = a.confidence + t * (b.confidence - a.confidence);
            double value = exp(-0.5 * off2 / (ES_BONE_BAND_MM * ES_BONE_BAND_MM)) * confidence;
            uint8_t grey = (uint8_t)lround(255 * fmin(fmax(value, 0), 1));
            if (grey > row[u]) row[u] = grey;
        }
    }
}

bool es_bone_paint(const es_trace *trace, const double spacing_mm[2], uint32_t width,
                   uint32_t height, es_image *picture, es_error *err) {
    if (!(spacing_mm[0] >= 1e-4 && spacing_mm[1] >= 1e-4))
        return es_fail(err, ES_USAGE, "a pixel of %g x %g mm; expected 0.0001 mm or more",
                       spacing_mm[0], spacing_mm[1]);
    if (!es_image_resize(picture, ES_U8, 1, width, height, err)) return false;
    memset(picture->data, 0, es_image_bytes(picture));
    for (size_t i = 0, last; i < trace->count; i = last) {
        last = es_bone_piece_end(trace, i);
        if (!trace->lines[i].found) continue;
        for (size_t k = i; k + 1 < last || k == i; k++)
            paint_stretch(end_at(&trace->lines[k]), end_at(&trace->lines[k + 1 < last ? k + 1 : k]),
                          spacing_mm, picture);
    }
    return true;
}
