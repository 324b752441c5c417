/* What the pictures tell without poses: raw data shown as a picture, the face
 * on the wrong side, frozen frames, writing that is burnt in, and a depth or
 * zoom that changes on the way. */
#include "doctor_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOVED_MM 0.05
#define STILL_DEVIATION 1.5F /* grey: burnt-in pixels do not change, beyond a grabber's noise */

static bool is_burnt(const es_still *still, size_t i) {
    return ((const float *)still->low.data)[i] >= 60 &&
           ((const float *)still->deviation.data)[i] <= STILL_DEVIATION;
}

/* ---- raw data ---------------------------------------------------------------------- */

static bool raw_data(es_doctor *d, es_error *err) {
    const char *kind = d->about.image_kind, *mark = d->about.orientation;
    double w = d->about.width, h = d->about.height;
    bool says = strncmp(kind, "RF", 2) == 0;
    bool lines = (mark[0] == 'F' || mark[0] == 'N') && (mark[1] == 'M' || mark[1] == 'U');
    bool narrow = w >= 32 && h > 6 * w;
    if (!says && !lines && !narrow) return true;
    es_finding *f = finding_add(d, "rf-data", ES_SEVERITY_ERROR, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "the picture is %.0f samples by %.0f lines, kind '%s', mark '%s': raw echoes "
        "along scan lines, not a picture of the body",
        h, w, kind, mark);
    SAY(f->cause, "the scanner's RF or pre-scan-conversion stream was recorded");
    SAY(f->fix, "convert the lines to a picture (PLUS: RfProcessing with the ScanConversion of "
                "the probe), or record the B-mode stream");
    return true;
}

static bool several_views(es_doctor *d, es_error *err) {
    if (!d->about.modes[0]) return true;
    es_finding *f = finding_add(d, "several-views", ES_SEVERITY_WARNING, "", err);
    if (!f) return false;
    SAY(f->evidence, "the pictures hold %s", d->about.modes);
    SAY(f->cause, "the scanner was in a dual, M-mode or Doppler display while it recorded");
    SAY(f->fix, "record a single B-mode picture; or keep one view: echosolid convert --crop "
                "U,V,WIDTH,HEIGHT");
    return true;
}

/* ---- the face -------------------------------------------------------------------------- */

#define LIT_GREY 8.0F
#define STILL_GREY 20.0F

/* The mean of the least grey that each lit pixel of a row ever had; 0 where
 * less than half of them are always bright, or where they do not hang together
 * (a line of writing does not). */
static double static_row(const es_still *still, uint32_t v) {
    const float *low = (const float *)still->low.data + (size_t)v * still->width;
    const float *high = (const float *)still->high.data + (size_t)v * still->width;
    double sum = 0;
    uint32_t lit = 0, bright = 0, first = 0, last = 0, run = 0, longest = 0;
    for (uint32_t u = 0; u < still->width; u++) {
        if (high[u] <= LIT_GREY) continue;
        if (!lit) first = u;
        run = lit && u - last <= 2 ? run + u - last : 1;
        longest = run > longest ? run : longest;
        last = u;
        lit++;
        sum += low[u];
        bright += low[u] > STILL_GREY;
    }
    bool whole = lit * 5 > still->width && longest * 10 > (last - first) * 6;
    return whole && bright * 2 > lit ? sum / lit : 0;
}

static double static_level(const es_still *still, double from, double to) {
    double best = 0;
    uint32_t first = (uint32_t)(from * still->height), last = (uint32_t)(to * still->height);
    for (uint32_t v = first; v < last && v < still->height; v++)
        best = fmax(best, static_row(still, v));
    return best;
}

/* Straight line through the first or last lit pixel of each row; false when
 * the edge is not straight. */
static bool edge_slope(const es_still *still, uint32_t from, uint32_t to, bool right,
                       double *slope) {
    double n = 0, sv = 0, su = 0, svv = 0, suv = 0, suu = 0;
    for (uint32_t v = from; v < to; v++) {
        const float *high = (const float *)still->high.data + (size_t)v * still->width;
        uint32_t u = right ? still->width - 1 : 0;
        while (u < still->width && high[u] <= LIT_GREY) u += right ? -1u : 1u;
        if (u >= still->width) return false;
        n++, sv += v, su += u, svv += (double)v * v, suv += (double)u * v, suu += (double)u * u;
    }
    if (n < 16) return false;
    double vv = svv - sv * sv / n, uv = suv - su * sv / n, uu = suu - su * su / n;
    *slope = uv / vv;
    return (uu - uv * uv / vv) / n < 1.5 * 1.5;
}

/* The side edges of a fan meet above its face. */
static bool narrows_downward(const es_still *still, double from, double to) {
    double left, right, high = to - from;
    uint32_t first = (uint32_t)((from + 0.25 * high) * still->height);
    uint32_t last = (uint32_t)((from + 0.7 * high) * still->height);
    return edge_slope(still, first, last, false, &left) &&
           edge_slope(still, first, last, true, &right) && left > 0.1 && right < -0.1;
}

/* The share of the height that the lit rows cover, to look just inside it. */
static bool lit_rows(const es_still *still, double *from, double *to) {
    const float *high = still->high.data;
    int64_t first = -1, last = -1;
    for (uint32_t v = 0; v < still->height; v++) {
        size_t lit = 0;
        for (uint32_t u = 0; u < still->width; u++)
            lit += high[(size_t)v * still->width + u] > LIT_GREY;
        if (lit * 5 <= still->width) continue;
        if (first < 0) first = v;
        last = v;
    }
    *from = (double)first / still->height;
    *to = (double)(last + 1) / still->height;
    return first >= 0 && last - first > still->height / 4;
}

static bool face_side(es_doctor *d, es_error *err) {
    double from, to;
    if (d->still.frames < 6 || !lit_rows(&d->still, &from, &to)) return true;
    double band = 0.12 * (to - from);
    double top = static_level(&d->still, from, from + band);
    double bottom = static_level(&d->still, to - band, to);
    bool face = bottom > 3 * top + 20, fan = narrows_downward(&d->still, from, to);
    if (!face && !fan) return true;
    es_finding *f = finding_add(d, "orientation-mark", ES_SEVERITY_ERROR, "", err);
    if (!f) return false;
    if (face)
        SAY(f->evidence,
            "the still, bright rows of the transducer's face are at the bottom of the picture "
            "(grey %.0f against %.0f at the top), the mark is '%s'",
            bottom, top, d->about.orientation);
    else
        SAY(f->evidence,
            "the sides of the fan meet below the picture, so the transducer's face is at the "
            "bottom; the mark is '%s'",
            d->about.orientation);
    SAY(f->cause, "the mark is wrong, or a viewer that ignores it wrote the file (PLUS: "
                  "PortUsImageOrientation; F: the face at the top, N: at the bottom)");
    SAY(f->fix, "correct the mark's second letter (F against N)");
    return true;
}

/* ---- frozen ---------------------------------------------------------------------------- */

static bool moved(const es_doctor *d, int64_t a, int64_t b) {
    bool any = false;
    for (int i = 0; i < d->track_count; i++) {
        const doctor_track *t = &d->tracks[i];
        if (t->state[a] != POSE_VALID || t->state[b] != POSE_VALID) continue;
        any = true;
        if (doctor_distance(&t->pose[a], &t->pose[b]) > MOVED_MM) return true;
    }
    return !any; /* without poses nothing says that it was at rest */
}

static bool frozen(es_doctor *d, es_error *err) {
    int64_t equal = 0, pairs = 0, run = 0, longest = 0, at = -1;
    for (int64_t f = 1; f < d->frames; f++) {
        bool both = d->digest[f] && d->digest[f - 1];
        bool same = both && d->digest[f] == d->digest[f - 1] && moved(d, f - 1, f);
        pairs += both;
        equal += same;
        run = same ? run + 1 : 0;
        if (run > longest) {
            longest = run;
            at = f - run;
        }
    }
    if (!equal) return true;
    bool many = longest >= 2 || equal * 20 > pairs;
    es_finding *f =
        finding_add(d, "frozen-image", many ? ES_SEVERITY_WARNING : ES_SEVERITY_NOTE, "", err);
    if (!f) return false;
    SAY(f->evidence,
        "the picture is the one before, pixel by pixel, in %lld of %lld steps while the poses move "
        "or time goes on; the longest run is %lld frames, from frame %lld",
        (long long)equal, (long long)pairs, (long long)longest + 1, (long long)at);
    SAY(f->cause, "the scanner was frozen, or the grabber is faster than the scanner");
    SAY(f->fix, "leave these frames out; a volume would hold one picture at several places");
    return true;
}

/* ---- writing ------------------------------------------------------------------------------ */

enum {
    MOST_SIDE = 48,
    LEAST_HEIGHT = 4,
    LEAST_AREA = 5,
    RING = 4,
    LEAST_LETTERS = 4,
    MOST_LETTERS = 512
};

typedef struct piece {
    int32_t u0, v0, u1, v1;
    int32_t area;
} piece;

/* Collects the pixels that hang together with `start`; marks them seen. */
static piece collect(const es_still *still, uint32_t start, uint8_t *seen, uint32_t *stack) {
    int32_t w = (int32_t)still->width, h = (int32_t)still->height;
    piece p = {.u0 = w, .v0 = h, .u1 = -1, .v1 = -1};
    size_t top = 0;
    stack[top++] = start;
    seen[start] = 1;
    while (top) {
        uint32_t i = stack[--top];
        int32_t u = (int32_t)(i % still->width), v = (int32_t)(i / still->width);
        p.area++;
        p.u0 = u < p.u0 ? u : p.u0;
        p.u1 = u > p.u1 ? u : p.u1;
        p.v0 = v < p.v0 ? v : p.v0;
        p.v1 = v > p.v1 ? v : p.v1;
        for (int32_t dv = -1; dv <= 1; dv++)
            for (int32_t du = -1; du <= 1; du++) {
                int32_t x = u + du, y = v + dv;
                if (x < 0 || y < 0 || x >= w || y >= h) continue;
                uint32_t k = (uint32_t)y * still->width + (uint32_t)x;
                if (seen[k] || !is_burnt(still, k)) continue;
                seen[k] = 1;
                stack[top++] = k;
            }
    }
    return p;
}

/* Writing is crisp: beside it the picture is, or at times has been, dark. The
 * saturated near field, which is still and bright too, goes over into grey. */
static bool is_crisp(const es_still *still, const piece *p) {
    const float *low = still->low.data;
    double inside = 0, beside = 0;
    int32_t count = 0, w = (int32_t)still->width, h = (int32_t)still->height;
    for (int32_t v = p->v0 - RING; v <= p->v1 + RING; v++)
        for (int32_t u = p->u0 - RING; u <= p->u1 + RING; u++) {
            if (u < 0 || v < 0 || u >= w || v >= h) continue;
            size_t i = (size_t)v * still->width + (size_t)u;
            bool ring = u < p->u0 - 1 || u > p->u1 + 1 || v < p->v0 - 1 || v > p->v1 + 1;
            if (ring && !is_burnt(still, i)) {
                beside += low[i];
                count++;
            } else if (!ring && is_burnt(still, i)) {
                inside += low[i];
            }
        }
    return count && inside / p->area > 3 * beside / count;
}

static bool is_used(const es_doctor *d, const piece *p) {
    const double *c = d->about.clip_px;
    if (!(c[2] > 0)) return true;
    return p->u0 >= c[0] && p->v0 >= c[1] && p->u1 < c[0] + c[2] && p->v1 < c[1] + c[3];
}

/* Letters stand in a line: alike in height, close together. */
static bool same_line(const piece *a, const piece *b) {
    int32_t high = a->v1 - a->v0 + 1, other = b->v1 - b->v0 + 1;
    bool level = abs(a->v0 - b->v0) <= 3 || abs(a->v1 - b->v1) <= 3;
    bool near = a->u0 <= b->u1 + 3 * high && b->u0 <= a->u1 + 3 * high;
    return level && near && high <= 2 * other && other <= 2 * high;
}

typedef struct letters {
    piece items[MOST_LETTERS];
    int count, in_line, pixels;
    piece box; /* around those in a line */
} letters;

static void count_lines(letters *l) {
    l->box = (piece){.u0 = INT32_MAX, .v0 = INT32_MAX, .u1 = -1, .v1 = -1};
    for (int i = 0; i < l->count; i++) {
        const piece *p = &l->items[i];
        int others = 0;
        for (int k = 0; k < l->count; k++) others += k != i && same_line(p, &l->items[k]);
        if (others < 2) continue;
        l->in_line++;
        l->pixels += p->area;
        l->box = (piece){.u0 = p->u0 < l->box.u0 ? p->u0 : l->box.u0,
                         .v0 = p->v0 < l->box.v0 ? p->v0 : l->box.v0,
                         .u1 = p->u1 > l->box.u1 ? p->u1 : l->box.u1,
                         .v1 = p->v1 > l->box.v1 ? p->v1 : l->box.v1};
    }
}

static bool find_letters(const es_doctor *d, letters *l, es_error *err) {
    const es_still *still = &d->still;
    size_t n = (size_t)still->width * still->height;
    uint8_t *seen = es_alloc_zero(n, 1, err);
    uint32_t *stack = es_alloc(n, sizeof *stack, err);
    for (uint32_t i = 0; seen && stack && i < n && l->count < MOST_LETTERS; i++) {
        if (seen[i] || !is_burnt(still, i)) continue;
        piece p = collect(still, i, seen, stack);
        int32_t wide = p.u1 - p.u0 + 1, high = p.v1 - p.v0 + 1;
        bool small = wide <= MOST_SIDE && high <= MOST_SIDE && high >= LEAST_HEIGHT;
        if (small && p.area >= LEAST_AREA && is_used(d, &p) && is_crisp(still, &p))
            l->items[l->count++] = p;
    }
    bool ok = seen && stack;
    es_free(seen);
    es_free(stack);
    return ok;
}

static bool writing(es_doctor *d, es_error *err) {
    if (d->still.frames < 6) return true;
    letters *l = es_alloc_zero(1, sizeof *l, err);
    bool ok = l && find_letters(d, l, err);
    if (ok) count_lines(l);
    if (ok && l->in_line >= LEAST_LETTERS) {
        es_finding *f = finding_add(d, "overlay-text", ES_SEVERITY_WARNING, "", err);
        ok = f != NULL;
        if (f) {
            SAY(f->evidence,
                "%d small bright pieces (%d pixels) in lines, crisp and without any change, in "
                "columns %d to %d, rows %d to %d of what is used of the picture",
                l->in_line, l->pixels, l->box.u0, l->box.u1, l->box.v0, l->box.v1);
            SAY(f->cause, "the scanner's or grabber's writing is burnt into the picture");
            SAY(f->fix, "switch the overlay off, or leave it out with --clip or --mask");
        }
    }
    es_free(l);
    return ok;
}

/* ---- depth -------------------------------------------------------------------------------- */

enum { SCALES = 24, ANCHORS = 3, MOST_CANDIDATES = 8 };
#define SCALE_STEP 0.03 /* of ln s, to a factor of 2 each way */
#define STANDS_OUT 1.15
#define CORRELATES 0.6
#define BETTER 0.12

/* Correlation between b and a, enlarged by `scale` about the anchor. */
static double correlate(const es_doctor *d, const float *a, const float *b, double scale,
                        int anchor) {
    int w = (int)d->thumb_width, h = (int)d->thumb_height;
    double cx = anchor == 2 ? 0 : (w - 1) / 2.0, cy = anchor == 1 ? (h - 1) / 2.0 : 0;
    double n = 0, sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double u = cx + (x - cx) / scale, v = cy + (y - cy) / scale;
            int u0 = (int)floor(u), v0 = (int)floor(v);
            if (u0 < 0 || v0 < 0 || u0 + 1 >= w || v0 + 1 >= h) continue;
            const float *p = a + (size_t)v0 * (size_t)w + u0;
            double fu = u - u0, fv = v - v0;
            double g =
                (p[0] * (1 - fu) + p[1] * fu) * (1 - fv) + (p[w] * (1 - fu) + p[w + 1] * fu) * fv;
            double k = b[(size_t)y * (size_t)w + (size_t)x];
            n++, sx += g, sy += k, sxx += g * g, syy += k * k, sxy += g * k;
        }
    double vx = sxx - sx * sx / fmax(n, 1), vy = syy - sy * sy / fmax(n, 1);
    return n > 100 && vx > 1 && vy > 1 ? (sxy - sx * sy / n) / sqrt(vx * vy) : 0;
}

typedef struct rescale {
    double plain, best, scale;
    int anchor;
} rescale;

static rescale find_scale(const es_doctor *d, const float *a, const float *b) {
    rescale r = {.plain = correlate(d, a, b, 1, 0), .scale = 1};
    r.best = r.plain;
    for (int s = -SCALES; s <= SCALES; s++)
        for (int k = 0; k < ANCHORS && s; k++) {
            double scale = exp(s * SCALE_STEP), c = correlate(d, a, b, scale, k);
            if (c <= r.best) continue;
            r = (rescale){.plain = r.plain, .best = c, .scale = scale, .anchor = k};
        }
    return r;
}

static double difference(const es_doctor *d, size_t i) {
    size_t n = (size_t)d->thumb_width * d->thumb_height;
    double sum = 0;
    for (size_t k = 0; k < n; k++) sum += fabsf(d->thumbs[i + 1].grey[k] - d->thumbs[i].grey[k]);
    return sum / (double)n;
}

/* The same scale must explain the pictures one further apart. */
static bool is_rescaled(const es_doctor *d, size_t i, rescale *r) {
    *r = find_scale(d, d->thumbs[i].grey, d->thumbs[i + 1].grey);
    if (r->best < CORRELATES || r->best < r->plain + BETTER || fabs(log(r->scale)) < 0.05)
        return false;
    if (i == 0 || i + 2 >= d->thumb_count) return false;
    const float *before = d->thumbs[i - 1].grey, *after = d->thumbs[i + 2].grey;
    double again = correlate(d, before, after, r->scale, r->anchor);
    return again > correlate(d, before, after, 1, 0) + BETTER / 2;
}

static bool say_depth(es_doctor *d, const char *evidence, es_error *err) {
    es_finding *f = finding_add(d, "depth-change", ES_SEVERITY_ERROR, "", err);
    if (!f) return false;
    SAY(f->evidence, "%s", evidence);
    SAY(f->cause, "depth or zoom was changed while recording: the pixel size changes with it");
    SAY(f->fix, "split the recording there, and give each part its own calibration");
    return true;
}

/* A change of depth stands out from the steps before and after it. The steps
 * that do so most are tried, each once: its excess becomes 0. */
static size_t next_candidate(double *excess, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (excess[i] > excess[best]) best = i;
    return best;
}

static bool zoom(es_doctor *d, double *changes, double *excess, es_error *err) {
    size_t n = d->thumb_count - 1;
    for (size_t i = 0; i < n; i++) changes[i] = difference(d, i);
    for (size_t i = 0; i < n; i++) {
        double near = i && i + 1 < n ? (changes[i - 1] + changes[i + 1]) / 2 : INFINITY;
        excess[i] = near > 0 ? changes[i] / near : 0;
    }
    for (int tried = 0; tried < MOST_CANDIDATES; tried++) {
        size_t i = next_candidate(excess, n);
        rescale r;
        if (!(excess[i] > STANDS_OUT)) return true;
        excess[i] = 0;
        if (!is_rescaled(d, i, &r)) continue;
        char text[480];
        snprintf(text, sizeof text,
                 "from frame %lld on the picture is the one before, drawn %.2f times as large "
                 "(correlation %.2f, without %.2f)",
                 (long long)d->thumbs[i + 1].frame, r.scale, r.best, r.plain);
        return say_depth(d, text, err);
    }
    return true;
}

static bool depth(es_doctor *d, es_error *err) {
    if (d->changed_field[0]) return say_depth(d, d->changed_field, err);
    if (d->thumb_count < 6) return true;
    double *changes = es_alloc(d->thumb_count, sizeof *changes, err);
    double *excess = es_alloc(d->thumb_count, sizeof *excess, err);
    bool ok = changes && excess && zoom(d, changes, excess, err);
    es_free(changes);
    es_free(excess);
    return ok;
}

bool doctor_check_image(es_doctor *d, es_error *err) {
    if (!raw_data(d, err) || !several_views(d, err)) return false;
    if (!d->pictures) return true;
    return face_side(d, err) && frozen(d, err) && writing(d, err) && depth(d, err);
}
