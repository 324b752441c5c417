/* screen_echo.c: echoes as a scanner makes them: on a lattice of lines and
 * samples, in decibels, cut to the range that is shown, then scan-converted.
 *
 * Speckle is the power of a random walk, so its decibels are 10 log10(-ln U)
 * (Goodman 1976); neighbouring pixels share it because they lie between the
 * same samples. Tissue is smooth noise that moves with the frames. A pixel
 * belongs to the echoes when its centre lies in the field: as in scanners the
 * edge has no shades, and the truth is exact. */
#include "screen.h"

#include <math.h>
#include <string.h>

enum { LEAST_LINES = 96, MOST_LINES = 256, LEAST_SAMPLES = 160, MOST_SAMPLES = 512 };
enum { TABLE = 4096, TISSUE = 32, REFLECTORS = 7 };
#define LINE_MM 0.5
#define SAMPLE_MM 0.35

/* A bright curve: middle (share of the field, mm), half length, tilt in mm
 * over the whole field, thickness; it wanders by `wander` mm a frame. */
typedef struct reflector {
    double share, depth_mm, half_share, tilt_mm, thick_mm, gain_db, wander_mm;
} reflector;

struct screen_echoes {
    const es_screen *screen;
    int lines, samples;
    float *line, *sample; /* of each pixel; line < 0: no echo there */
    float speckle_db[TABLE];
    float tissue[TISSUE * TISSUE];
    float ring[MOST_LINES];
    reflector reflectors[REFLECTORS];
    int reflector_count;
};

/* Each use of chance has its own stream; frames have two each. */
enum { STREAM_TISSUE = 1, STREAM_RING, STREAM_REFLECTORS, STREAM_STILL, STREAM_FRAMES = 16 };

static double limit(double x, double low, double high) { return fmin(fmax(x, low), high); }

static double face_mm(const es_screen *s) {
    return s->curved ? 2 * s->half_angle_rad * s->radius_mm : s->width_mm;
}

int es_screen_lines(const es_screen *screen) {
    return (int)limit(face_mm(screen) / LINE_MM, LEAST_LINES, MOST_LINES);
}

/* ---- where a pixel lies ---------------------------------------------------- */

/* Share of the field (0 left, 1 right) and depth of a point in mm from the
 * middle of the face; false outside. */
static bool locate(const es_screen *s, double x, double y, double *share, double *depth) {
    double lateral;
    if (s->curved) {
        *depth = hypot(x, y + s->radius_mm) - s->radius_mm;
        lateral = atan2(x, y + s->radius_mm) / s->half_angle_rad;
    } else {
        *depth = y;
        lateral = x / (s->width_mm / 2 + y * tan(s->half_angle_rad));
    }
    *share = (lateral + 1) / 2;
    return lateral >= -1 && lateral <= 1 && *depth >= s->blank_first_mm &&
           *depth <= s->depth_mm - s->blank_last_mm;
}

static void map_pixels(screen_echoes *e) {
    const es_screen *s = e->screen;
    size_t at = 0;
    for (int v = 0; v < (int)s->height; v++)
        for (int u = 0; u < (int)s->width; u++, at++) {
            double share, depth;
            bool lit = u >= s->panel[0] && v >= s->panel[1] && u < s->panel[2] && v < s->panel[3] &&
                       locate(s, (u - s->face_u) * s->spacing_mm[0],
                              (v - s->face_v) * s->spacing_mm[1], &share, &depth);
            e->line[at] = lit ? (float)(share * (e->lines - 1)) : -1;
            e->sample[at] = lit ? (float)(depth / s->depth_mm * (e->samples - 1)) : 0;
        }
}

/* ---- what is drawn by chance, once ------------------------------------------ */

static void draw_tables(screen_echoes *e) {
    const es_screen *s = e->screen;
    es_random tissue = es_random_new(s->seed, STREAM_TISSUE);
    es_random ring = es_random_new(s->seed, STREAM_RING);
    for (int i = 0; i < TABLE; i++)
        e->speckle_db[i] = (float)(10 * log10(-log((i + 0.5) / TABLE)) + 2.5);
    for (int i = 0; i < TISSUE * TISSUE; i++) e->tissue[i] = (float)es_random_normal(&tissue);
    for (int i = 0; i < e->lines; i++) e->ring[i] = (float)(0.8 + 0.2 * es_random_uniform(&ring));
}

static void draw_reflectors(screen_echoes *e) {
    const es_screen *s = e->screen;
    es_random random = es_random_new(s->seed, STREAM_REFLECTORS);
    e->reflector_count = s->dark_field ? REFLECTORS : (int)(3 * es_random_uniform(&random));
    for (int i = 0; i < e->reflector_count; i++) {
        bool wall = i < 2;
        e->reflectors[i] = (reflector){
            .share = es_random_uniform(&random),
            .depth_mm = s->depth_mm * (0.15 + 0.8 * es_random_uniform(&random)),
            .half_share = wall ? 0.1 + 0.3 * es_random_uniform(&random) : 0.015,
            .tilt_mm = s->depth_mm * (wall ? 0.5 : 0.02) * (es_random_uniform(&random) - 0.5),
            .thick_mm = 0.4 + 0.8 * es_random_uniform(&random),
            .gain_db = s->range_db * (s->dark_field ? 1.1 : 0.5),
            .wander_mm = 0.02 * s->depth_mm * (es_random_uniform(&random) - 0.5)};
    }
}

screen_echoes *screen_echoes_new(const es_screen *screen, es_error *err) {
    screen_echoes *e = es_alloc_zero(1, sizeof *e, err);
    if (!e) return NULL;
    size_t pixels = (size_t)screen->width * screen->height;
    e->screen = screen;
    e->lines = es_screen_lines(screen);
    e->samples = (int)limit(screen->depth_mm / SAMPLE_MM, LEAST_SAMPLES, MOST_SAMPLES);
    e->line = es_alloc(pixels, sizeof *e->line, err);
    e->sample = es_alloc(pixels, sizeof *e->sample, err);
    if (!e->line || !e->sample) {
        screen_echoes_free(e);
        return NULL;
    }
    map_pixels(e);
    draw_tables(e);
    draw_reflectors(e);
    return e;
}

void screen_echoes_free(screen_echoes *echoes) {
    if (!echoes) return;
    es_free(echoes->line);
    es_free(echoes->sample);
    es_free(echoes);
}

size_t screen_echoes_scratch(const screen_echoes *echoes) {
    return (size_t)echoes->lines * (size_t)echoes->samples;
}

/* ---- one frame on the lattice -------------------------------------------------- */

static float blend(float a, float b, float t) { return a + t * (b - a); }

/* Smooth noise of variance about 1/3, that repeats after TISSUE cells. */
static float tissue_at(const screen_echoes *e, float x, float y) {
    float fx = floorf(x), fy = floorf(y), tx = x - fx, ty = y - fy;
    unsigned i = (unsigned)(int)fx % TISSUE, j = (unsigned)(int)fy % TISSUE;
    const float *row = e->tissue + j * TISSUE, *next = e->tissue + (j + 1) % TISSUE * TISSUE;
    tx *= tx * (3 - 2 * tx);
    ty *= ty * (3 - 2 * ty);
    return blend(blend(row[i], row[(i + 1) % TISSUE], tx),
                 blend(next[i], next[(i + 1) % TISSUE], tx), ty);
}

/* 0 in the dark ends of the face and in shadows, 1 where the probe sees. */
static float sight(const es_screen *s, double share, double depth) {
    double left = share * face_mm(s), right = (1 - share) * face_mm(s), seen = 1;
    /* The dark reaches inwards unevenly, by a tenth. */
    double uneven = 1 + 0.1 * sin(depth * 0.9);
    if (s->dark_left_mm > 0) seen = limit(4 * (left / (s->dark_left_mm * uneven) - 0.75), 0, 1);
    if (s->dark_right_mm > 0) seen *= limit(4 * (right / (s->dark_right_mm * uneven) - 0.75), 0, 1);
    for (int i = 0; i < s->shadows; i++) {
        const es_screen_shadow *shadow = &s->shadow[i];
        if (share >= shadow->from && share <= shadow->to && depth >= shadow->start_mm)
            seen *= shadow->gain;
    }
    return (float)seen;
}

static double reflected_db(const screen_echoes *e, int64_t frame, double share, double depth) {
    double best = -1e9;
    for (int i = 0; i < e->reflector_count; i++) {
        const reflector *r = &e->reflectors[i];
        double along = (share - r->share) / r->half_share;
        if (fabs(along) > 1.5) continue;
        double middle = r->depth_mm + r->tilt_mm * (share - r->share) +
                        r->wander_mm * e->screen->change * (double)(frame % 64);
        double across = (depth - middle) / r->thick_mm;
        best = fmax(best, r->gain_db - 20 * pow(along, 4) - 4 * across * across);
    }
    return best;
}

/* Decibels below white without speckle and tissue. */
static double plain_db(const screen_echoes *e, int64_t frame, double share, double depth) {
    const es_screen *s = e->screen;
    double base = s->range_db * (s->dark_field ? -1.35 : -0.42);
    double db = base - s->attenuation_db * depth / s->depth_mm;
    if (s->haze_mm > 0) db += 0.4 * s->range_db * exp(-depth / s->haze_mm);
    return fmax(db, base + reflected_db(e, frame, share, depth));
}

static void draw_line(const screen_echoes *e, int64_t frame, int line, es_random *random,
                      es_random *still, float *levels) {
    const es_screen *s = e->screen;
    double share = (double)line / (e->lines - 1);
    float fresh = (float)s->change, drift = (float)(0.11 * s->change * (double)(frame % 4096));
    for (int i = 0; i < e->samples; i++) {
        double depth = s->depth_mm * i / (e->samples - 1);
        float db = (float)plain_db(e, frame, share, depth);
        float speckle = blend(e->speckle_db[es_random_bits(still) % TABLE],
                              e->speckle_db[es_random_bits(random) % TABLE], fresh);
        db += speckle + 6 * tissue_at(e, (float)share * 7 + drift, (float)depth * 0.09F + drift);
        float level = fminf(fmaxf(1 + db / (float)s->range_db, 0), 1) * sight(s, share, depth);
        if (s->ring_mm > 0) {
            double d = (depth - s->blank_first_mm) / s->ring_mm;
            level = fmaxf(level, e->ring[line] * (float)exp(-d * d));
        }
        levels[i] = 255 * (s->gamma == 1 ? level : powf(level, (float)s->gamma));
    }
}

void screen_echoes_draw(const screen_echoes *echoes, int64_t index, float *scratch,
                        float *picture) {
    const es_screen *s = echoes->screen;
    es_random still = es_random_new(s->seed, STREAM_STILL);
    es_random random = es_random_new(s->seed, STREAM_FRAMES + 2 * (uint64_t)index);
    int samples = echoes->samples;
    for (int line = 0; line < echoes->lines; line++)
        draw_line(echoes, index, line, &random, &still, scratch + (size_t)line * (size_t)samples);
    size_t pixels = (size_t)s->width * s->height;
    for (size_t i = 0; i < pixels; i++) {
        float line = echoes->line[i], sample = echoes->sample[i];
        picture[i] = s->background;
        if (line < 0) continue;
        int l = (int)line, k = (int)sample;
        if (l > echoes->lines - 2) l = echoes->lines - 2;
        if (k > samples - 2) k = samples - 2;
        const float *a = scratch + (size_t)l * (size_t)samples + k, *b = a + samples;
        float t = sample - (float)k;
        picture[i] = blend(blend(a[0], a[1], t), blend(b[0], b[1], t), line - (float)l);
    }
}
