/* lesson.c: frames to learn from, each a function of its seed alone. */
#include "lesson.h"

enum { STREAM_FRAME = 0x1e550000 };
static const double FINEST_ROW_MM = 0.14, FINEST_LINE_MM = 0.2;

/* ---- waves and clouds ---------------------------------------------------- */

wave wave_of(dice *d, int terms, double size, double shortest, double longest) {
    wave w = {.terms = terms};
    for (int k = 0; k < terms; k++) {
        double length = shortest * pow(longest / shortest, between(d, 0, 1));
        w.amplitude[k] = (float)(between(d, 0.3, 1) * size * sqrt(2.0 / terms));
        w.frequency[k] = (float)(6.283185307 / length);
        w.phase[k] = (float)between(d, 0, 6.283185307);
    }
    return w;
}

float wave_at(const wave *w, float x_mm) {
    float sum = 0;
    for (int k = 0; k < w->terms; k++)
        sum += w->amplitude[k] * sinf(w->frequency[k] * x_mm + w->phase[k]);
    return sum;
}

static void draw_cloud(es_lesson *t, dice *d) {
    for (int k = 0; k < LESSON_CLOUD * LESSON_CLOUD; k++)
        t->cloud[k] = (float)between(d, -1.7, 1.7);
}

float cloud_at(const es_lesson *t, float x, float y) {
    x += 1024 * LESSON_CLOUD; /* the lattice repeats, and no sample lies so far away */
    y += 1024 * LESSON_CLOUD;
    int u = (int)x, v = (int)y, mask = LESSON_CLOUD - 1;
    float fx = x - (float)u, fy = y - (float)v;
    const float *upper = t->cloud + (v & mask) * LESSON_CLOUD;
    const float *lower = t->cloud + ((v + 1) & mask) * LESSON_CLOUD;
    float a = upper[u & mask] + fx * (upper[(u + 1) & mask] - upper[u & mask]);
    float b = lower[u & mask] + fx * (lower[(u + 1) & mask] - lower[u & mask]);
    return a + fy * (b - a);
}

/* ---- memory -------------------------------------------------------------- */

static bool check(const es_lesson_options *o, es_error *err) {
    if (o->rows < 32 || o->rows > 1024 || o->lines < 32 || o->lines > 1024)
        return es_fail(err, ES_USAGE, "a training frame of %u rows x %u lines; expected 32 to 1024",
                       o->rows, o->lines);
    if (!(o->row_mm >= 0.05 && o->row_mm <= 1) || !(o->line_mm >= 0.05 && o->line_mm <= 1))
        return es_fail(err, ES_USAGE, "samples of %g x %g mm; expected 0.05 to 1 mm", o->row_mm,
                       o->line_mm);
    if (!(o->bone_free >= 0 && o->bone_free <= 1))
        return es_fail(err, ES_USAGE, "a share of %g of the frames without bone; expected 0 to 1",
                       o->bone_free);
    return true;
}

static void lay_grid(es_lesson *t) {
    const es_lesson_options *o = &t->options;
    t->row_parts = (int)ceil(o->row_mm / FINEST_ROW_MM);
    t->line_parts = (int)ceil(o->line_mm / FINEST_LINE_MM);
    t->rows = (int)o->rows * t->row_parts;
    t->lines = (int)o->lines * t->line_parts;
    t->row_mm = (float)(o->row_mm / t->row_parts);
    t->line_mm = (float)(o->line_mm / t->line_parts);
    t->depth_mm = (float)t->rows * t->row_mm;
    t->width_mm = (float)t->lines * t->line_mm;
}

static bool make_room(es_lesson *t, es_error *err) {
    size_t rows = (size_t)t->rows, lines = (size_t)t->lines, all = rows * lines;
    size_t wide = 2 * (lines + 2 * LESSON_MARGIN), each = sizeof(float);
    float **a_line[] = {&t->bone_mm, &t->bone_db, &t->cosine, &t->hide_mm, &t->line_db};
    for (size_t k = 0; k < sizeof a_line / sizeof *a_line; k++)
        if (!(*a_line[k] = es_alloc_zero(lines, each, err))) return false;
    return (t->lateral = es_alloc(rows, sizeof *t->lateral, err)) &&
           (t->lateral_sum = es_alloc(rows, each, err)) &&
           (t->row_db = es_alloc(rows, each, err)) &&
           (t->edges = es_alloc(LESSON_LAYERS * lines, each, err)) &&
           (t->level = es_alloc(all, each, err)) && (t->mirror = es_alloc(all, each, err)) &&
           (t->echo = es_alloc(all, each, err)) &&
           (t->field = es_alloc((rows + 2 * LESSON_AXIAL_HALF) * wide, each, err)) &&
           (t->row = es_alloc(2 * wide, each, err)) &&
           (t->output_grey = es_alloc(t->options.rows * t->options.lines, each, err));
}

es_lesson *es_lesson_new(const es_lesson_options *options, es_error *err) {
    if (!check(options, err)) return NULL;
    es_lesson *t = es_alloc_zero(1, sizeof *t, err);
    if (!t) return NULL;
    t->options = *options;
    lay_grid(t);
    if (make_room(t, err)) return t;
    es_lesson_free(t);
    return NULL;
}

void es_lesson_free(es_lesson *t) {
    if (!t) return;
    float *blocks[] = {t->bone_mm,     t->bone_db, t->cosine, t->hide_mm,    t->line_db,
                       t->lateral_sum, t->row_db,  t->edges,  t->level,      t->mirror,
                       t->echo,        t->field,   t->row,    t->output_grey};
    for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) es_free(blocks[k]);
    es_free(t->lateral);
    es_free(t);
}

/* ---- one frame ----------------------------------------------------------- */

static void draw_kind(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_FRAME);
    t->has_bone = !chance(&d, t->options.bone_free);
    double body = between(&d, 0, 1);
    t->body = body < 0.7 ? BODY_TISSUE : body < 0.9 || t->has_bone ? BODY_PHANTOM : BODY_WATER;
    draw_cloud(t, &d);
}

/* Mean of the shown grey over rows [from, to] of three lines. */
static float shown(const es_lesson *t, uint32_t line, int from, int to) {
    int first = (int)line > 0 ? (int)line - 1 : 0, count = 0;
    float sum = 0;
    for (int r = from < 0 ? 0 : from; r <= to && r < (int)t->options.rows; r++)
        for (int i = first; i <= (int)line + 1 && i < (int)t->options.lines; i++, count++)
            sum += t->output_grey[(size_t)r * t->options.lines + (size_t)i];
    return count ? sum / (float)count : 0;
}

/* Brighter than the 1 to 4 mm below it: else nobody could tell it. */
static bool stands_out(const es_lesson *t, uint32_t line, float row) {
    int r = (int)(row + 0.5f), from = (int)(1 / t->options.row_mm), to = 4 * from;
    return shown(t, line, r - 1, r + 1) > 0.04f + shown(t, line, r + from + 1, r + to + 1);
}

/* The crest's row in the output, and whether it can be seen there: lit, not
 * masked, not too steep, and brighter than its shadow. */
static void tell_truth(const es_lesson *t, es_lesson_truth *truth) {
    for (uint32_t line = 0; line < t->options.lines; line++) {
        float sum = 0, rows = (float)t->options.rows;
        bool steep = false, dark = false;
        for (int k = 0; k < t->line_parts; k++) {
            int i = (int)line * t->line_parts + k;
            float z = t->bone_mm[i] + t->look.crest_mm;
            sum += z;
            if (!(z < t->depth_mm)) continue;
            int r = lesson_row(t, z);
            float db = t->bone_db[i] + t->row_db[r] + t->line_db[i];
            steep = steep || t->cosine[i] < 0.3f;
            dark =
                dark || db - t->top_db < -0.75f * t->range_db || t->level[lesson_at(t, r, i)] == 0;
        }
        float row = sum / (float)t->line_parts / (float)t->options.row_mm - 0.5f;
        bool there = row >= 0 && row < rows;
        truth[line].row = there ? row : NAN;
        truth[line].visible = there && !steep && !dark && stands_out(t, line, row);
    }
}

void es_lesson_draw(es_lesson *t, uint64_t seed, uint8_t *grey, es_lesson_truth *truth) {
    t->seed = seed;
    draw_kind(t);
    lesson_draw_pulse(t);
    lesson_draw_bone(t);
    lesson_fill_tissue(t);
    lesson_cast_shadow(t);
    lesson_add_bone(t);
    lesson_make_echoes(t);
    lesson_show(t, grey);
    tell_truth(t, truth);
}
