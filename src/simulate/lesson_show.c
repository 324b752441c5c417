/* lesson_show.c: from scatterers to greys.
 *
 * Complex white noise times the level, plus the mirrors, goes through the
 * pulse (a Gaussian along the line, and one across that is narrowest at the
 * focus); then magnitude, gain, decibels, a window of them to greys, gamma;
 * what a grabber adds (blur, a black frame or fan, words); at last the mean
 * over each output sample. */
#include "lesson.h"

enum {
    STREAM_PULSE = 0x1e550300,
    STREAM_NOISE,
    STREAM_GAIN,
    STREAM_WINDOW,
    STREAM_MASK,
    STREAM_WORDS,
    STREAM_BLUR
};
enum { BINS = 1024 };
static const float LEAST_DB = -160, BIN_DB = 0.25f;

/* ---- pulse --------------------------------------------------------------- */

void lesson_draw_pulse(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_PULSE);
    bool wide = t->options.unlike;
    t->axial_mm = (float)between(&d, 0.09, wide ? 0.33 : 0.28);
    double lateral = between(&d, 0.25, wide ? 1 : 0.9), spread = between(&d, 1.2, 2.2);
    double focus = between(&d, 0.15, 0.9) * t->depth_mm;
    t->axial = gaussian(t->axial_mm / t->row_mm, LESSON_AXIAL_HALF);
    for (int r = 0; r < t->rows; r++) {
        double away = (((double)r + 0.5) * t->row_mm - focus) / (0.5 * t->depth_mm);
        double sigma = lateral * sqrt(1 + (spread * spread - 1) * away * away);
        t->lateral[r] = gaussian(fmax(sigma / t->line_mm, 0.4), LESSON_MARGIN);
        t->lateral_sum[r] = 0;
        for (int k = 0; k <= 2 * t->lateral[r].half; k++)
            t->lateral_sum[r] += t->lateral[r].weight[k];
    }
}

static int clamp_index(int i, int count) { return i < 0 ? 0 : i >= count ? count - 1 : i; }

/* White noise times the level plus the mirrors, continued beyond the edges. */
static void fill_field(es_lesson *t) {
    size_t wide = 2 * (size_t)(t->lines + 2 * LESSON_MARGIN);
    int rows = t->rows + 2 * t->axial.half;
    fill_noise(es_random_new(t->seed, STREAM_NOISE), t->field, wide * (size_t)rows);
    for (int r = 0; r < rows; r++) {
        size_t from = lesson_at(t, clamp_index(r - t->axial.half, t->rows), 0);
        float *out = t->field + (size_t)r * wide;
        for (int i = -LESSON_MARGIN; i < t->lines + LESSON_MARGIN; i++, out += 2) {
            size_t at = from + (size_t)clamp_index(i, t->lines);
            out[0] = t->level[at] * out[0] + t->mirror[at];
            out[1] *= t->level[at];
        }
    }
}

/* ---- gain ---------------------------------------------------------------- */

static void draw_row_gain(es_lesson *t, dice *d) {
    double fall =
        between(d, -0.2, 0.5) * between(d, 0, 1) + (chance(d, 0.15) ? between(d, 0, 0.6) : 0);
    wave w = wave_of(d, 4, chance(d, 0.7) ? between(d, 0, 10) : 0, 20, 120);
    bool bright = chance(d, 0.6);
    double near_db = bright ? between(d, 3, 25) : 0, near_mm = between(d, 1, 6);
    for (int r = 0; r < t->rows; r++) {
        float z = ((float)r + 0.5f) * t->row_mm;
        t->row_db[r] = (float)(near_db * exp(-z / near_mm) - fall * z) + wave_at(&w, z);
    }
}

/* Bad contact takes the sound of whole lines. */
static void draw_line_gain(es_lesson *t, dice *d) {
    int patches = chance(d, 0.35) ? whole(d, 1, 3) : 0;
    wave w = wave_of(d, 3, between(d, 0, 2), 8, 60);
    for (int i = 0; i < t->lines; i++) t->line_db[i] = wave_at(&w, lesson_x(t, i));
    for (int k = 0; k < patches; k++) {
        double middle =
            chance(d, 0.5) ? (chance(d, 0.5) ? 0 : t->width_mm) : between(d, 0, 1) * t->width_mm;
        double half = between(d, 1, 8), soft = between(d, 0.2, 2.5), loss = between(d, 5, 30);
        for (int i = 0; i < t->lines; i++)
            t->line_db[i] -=
                (float)(loss / (1 + exp((fabs(lesson_x(t, i) - middle) - half) / soft)));
    }
}

static void blur_and_detect(es_lesson *t, float floor_power) {
    size_t lines = (size_t)t->lines, wide = 2 * (lines + 2 * LESSON_MARGIN);
    for (int r = 0; r < t->rows; r++) {
        /* The echo's row holds the blurred field before its power: it needs
         * two floats a line, so the scratch row's end serves. */
        float *blurred = t->row + wide, *out = t->echo + lesson_at(t, r, 0);
        blur_row(t->field + (size_t)r * wide, wide, &t->axial, &t->lateral[r], LESSON_MARGIN, lines,
                 t->row, blurred);
        for (size_t i = 0; i < lines; i++) {
            float re = blurred[2 * i], im = blurred[2 * i + 1];
            out[i] = db_of_power(re * re + im * im + floor_power) + t->row_db[r] + t->line_db[i];
        }
    }
}

void lesson_make_echoes(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_GAIN);
    draw_row_gain(t, &d);
    draw_line_gain(t, &d);
    float floor = amplitude_of_db((float)between(&d, -70, -26));
    for (size_t i = 0; i < (size_t)t->rows * (size_t)t->lines; i++) t->level[i] += floor;
    fill_field(t);
    blur_and_detect(t, 1e-12f);
}

/* ---- window -------------------------------------------------------------- */

static float percentile(const es_lesson *t, double share) {
    uint32_t bins[BINS] = {0};
    size_t count = (size_t)t->rows * (size_t)t->lines, below = 0;
    for (size_t i = 0; i < count; i++) {
        float bin = (t->echo[i] - LEAST_DB) / BIN_DB;
        bins[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (int)bin]++;
    }
    for (int b = 0; b < BINS; b++) {
        below += bins[b];
        if ((double)below >= share * (double)count) return LEAST_DB + BIN_DB * (float)(b + 1);
    }
    return LEAST_DB + BIN_DB * BINS;
}

static void draw_window(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_WINDOW);
    bool unlike = t->options.unlike;
    t->top_db = percentile(t, between(&d, 0.93, 0.999));
    if (t->body == BODY_WATER) t->top_db = fmaxf(t->top_db, (float)between(&d, -5, 20));
    t->range_db = (float)(unlike ? between(&d, 40, 85) : between(&d, 35, 75));
    t->gamma = (float)between(&d, 0.7, unlike ? 2.1 : 1.9);
    t->output = (float)between(&d, 0.6, 1.05);
}

/* Share of the window's height, 0 to 1, to grey, 0 to 1. */
static float tone(const es_lesson *t, float share) {
    if (share <= 1e-6f) return 0;
    if (share > 1) share = 1;
    float grey = t->output * fast_exp2(t->gamma * fast_log2(share));
    return grey > 1 ? 1 : grey;
}

static void compress(es_lesson *t) {
    size_t count = (size_t)t->rows * (size_t)t->lines;
    for (size_t i = 0; i < count; i++)
        t->level[i] = tone(t, 1 + (t->echo[i] - t->top_db) / t->range_db);
}

/* ---- screen -------------------------------------------------------------- */

/* Black outside of a fan whose apex lies above the face, or of a rectangle. */
static void mask(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_MASK);
    bool fan = chance(&d, 0.2), box = !fan && chance(&d, 0.2);
    if (!fan && !box) return;
    float apex = (float)between(&d, 5, 60), half = (float)between(&d, 0.3, 0.9);
    float middle = (float)between(&d, 0.35, 0.65) * t->width_mm;
    float first = (float)between(&d, 0, 6), last = (float)between(&d, 0.6, 1.1) * t->depth_mm;
    float left = (float)between(&d, -5, 5), right = t->width_mm - (float)between(&d, -5, 5);
    float lowest = first + apex - apex * cosf(half);
    for (int r = 0; r < t->rows; r++)
        for (int i = 0; i < t->lines; i++) {
            float x = lesson_x(t, i), z = ((float)r + 0.5f) * t->row_mm;
            float u = x - middle, v = z + apex - lowest;
            float from2 = u * u + v * v, to = apex + last;
            bool inside =
                fan ? v > 0 && fabsf(u) < v * half && from2 > apex * apex && from2 < to * to
                    : x > left && x < right && z < last;
            if (!inside) t->level[lesson_at(t, r, i)] = 0;
        }
}

/* Letters: any pattern of 5 x 7 dots reads as one at this size. */
static void write_word(es_lesson *t, dice *d) {
    double dot = between(d, 0.15, 0.45);
    double x0 = between(d, 0, 0.9) * t->width_mm, z0 = between(d, 0, 0.97) * t->depth_mm;
    int letters = whole(d, 1, 12);
    float level = (float)between(d, 0.3, 1);
    for (int k = 0; k < letters; k++, x0 += 6 * dot) {
        uint64_t pattern = es_random_bits(&d->random) | 0x1f;
        for (int r = lesson_row(t, (float)z0); r <= lesson_row(t, (float)(z0 + 7 * dot)); r++)
            for (int i = (int)(x0 / t->line_mm); i < t->lines; i++) {
                int u = (int)floor((lesson_x(t, i) - x0) / dot);
                int v = (int)floor((((double)r + 0.5) * t->row_mm - z0) / dot);
                if (u >= 5) break;
                if (u >= 0 && v >= 0 && v < 7 && (pattern >> (5 * v + u) & 1))
                    t->level[lesson_at(t, r, i)] = level;
            }
    }
}

static void write_words(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_WORDS);
    int words = chance(&d, 0.15) ? whole(&d, 1, 4) : 0;
    for (int k = 0; k < words; k++) write_word(t, &d);
}

/* ---- output -------------------------------------------------------------- */

static void average(es_lesson *t) {
    int rows = (int)t->options.rows, lines = (int)t->options.lines;
    float share = 1 / (float)(t->row_parts * t->line_parts);
    memset(t->output_grey, 0, (size_t)rows * (size_t)lines * sizeof *t->output_grey);
    for (int r = 0; r < t->rows; r++) {
        float *out = t->output_grey + (size_t)(r / t->row_parts) * (size_t)lines;
        const float *in = t->level + lesson_at(t, r, 0);
        for (int i = 0; i < lines; i++)
            for (int k = 0; k < t->line_parts; k++) out[i] += share * in[i * t->line_parts + k];
    }
}

void lesson_show(es_lesson *t, uint8_t *grey) {
    dice d = dice_of(t->seed, STREAM_BLUR);
    int rows = (int)t->options.rows, lines = (int)t->options.lines;
    float side = chance(&d, 0.4) ? (float)between(&d, 0, 0.2) : 0;
    draw_window(t);
    compress(t);
    mask(t);
    write_words(t);
    average(t);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < lines; i++) {
            float sum = 0;
            for (int v = -1; v <= 1; v++)
                for (int u = -1; u <= 1 && (side > 0 || (u == 0 && v == 0)); u++)
                    sum += (u ? side : 1 - 2 * side) * (v ? side : 1 - 2 * side) *
                           t->output_grey[(size_t)clamp_index(r + v, rows) * (size_t)lines +
                                          (size_t)clamp_index(i + u, lines)];
            sum = side > 0 ? sum : t->output_grey[(size_t)r * (size_t)lines + (size_t)i];
            grey[(size_t)r * (size_t)lines + (size_t)i] = (uint8_t)(255 * sum + 0.5f);
        }
}
