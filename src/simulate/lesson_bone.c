/* lesson_bone.c: where the bone of a training frame is, and its echo.
 *
 * Bone is a curve of first hits, one depth a scan line: arcs of long bones and
 * condyles (super-ellipses), straight and wavy cortex, spines, bumps, a row of
 * ribs; often a second bone deeper, sometimes a gap. Its echo fades with the
 * incidence (cos^n above a floor) and along the face, is partly one mirror of
 * even phase and partly speckle, and has a tail of sound that the rough
 * surface sent back later. The truth is the crest: the brightest depth of the
 * mean echo, which lies a little below the surface where the tail is strong. */
#include "lesson.h"

enum { STREAM_SHAPE = 0x1e550100, STREAM_LOOK, STREAM_SMEAR };

/* ---- shapes -------------------------------------------------------------- */

static void put(es_lesson *t, int line, double z_mm) {
    if (z_mm > 3.5 && z_mm < t->bone_mm[line]) t->bone_mm[line] = (float)z_mm;
}

static void put_arc(es_lesson *t, dice *d, double x_mm, double top_mm) {
    double across = between(d, 6, 28), down = across * between(d, 0.5, 1.5);
    double power = between(d, 1.6, 3), lean = between(d, -0.4, 0.4);
    for (int i = 0; i < t->lines; i++) {
        double x = (lesson_x(t, i) - x_mm) / across;
        if (fabs(x) >= 1) continue;
        double rise = pow(1 - pow(fabs(x), power), 1 / power);
        put(t, i, top_mm + down * (1 - rise) + lean * x * across);
    }
}

static void draw_arcs(es_lesson *t, dice *d) {
    int count = whole(d, 1, 2);
    for (int k = 0; k < count; k++)
        put_arc(t, d, between(d, -0.1, 1.1) * t->width_mm, between(d, 0.12, 0.72) * t->depth_mm);
}

static void draw_cortex(es_lesson *t, dice *d) {
    double z = between(d, 0.12, 0.8) * t->depth_mm;
    double slope = between(d, -0.8, 0.8) * between(d, 0, 1);
    wave w = wave_of(d, 3, between(d, 0.2, 3), 15, 70);
    for (int i = 0; i < t->lines; i++) {
        float x = lesson_x(t, i);
        put(t, i, z + slope * (x - 0.5f * t->width_mm) + wave_at(&w, x));
    }
}

/* Spinous process, two laminae, and the vertebra's body beside them. */
static void draw_spine(es_lesson *t, dice *d) {
    double middle = between(d, 0.25, 0.75) * t->width_mm, tip = between(d, 0.1, 0.45) * t->depth_mm;
    double process = chance(d, 0.7) ? between(d, 2, 6) : 0, laminae = between(d, 8, 18);
    double depth = tip + between(d, 4, 16), body = depth + between(d, 6, 18);
    double steep = between(d, 0.3, 1.6), slope = between(d, -0.2, 0.7);
    bool has_body = chance(d, 0.5);
    for (int i = 0; i < t->lines; i++) {
        double x = fabs(lesson_x(t, i) - middle);
        if (x < process)
            put(t, i, tip + steep * pow(x, 1.6));
        else if (x < laminae)
            put(t, i, depth + slope * (x - process));
        else if (has_body)
            put(t, i, body + 0.2 * (x - laminae));
    }
}

static void draw_bumps(es_lesson *t, dice *d) {
    double z = between(d, 0.2, 0.75) * t->depth_mm;
    double at[4], size[4], height[4];
    int count = whole(d, 1, 4);
    for (int k = 0; k < count; k++) {
        at[k] = between(d, 0, 1) * t->width_mm;
        size[k] = between(d, 2, 10);
        height[k] = between(d, -6, 10);
    }
    for (int i = 0; i < t->lines; i++) {
        double up = 0;
        for (int k = 0; k < count; k++)
            up += height[k] * exp(-0.5 * pow((lesson_x(t, i) - at[k]) / size[k], 2));
        put(t, i, z - up);
    }
}

static void draw_ribs(es_lesson *t, dice *d) {
    double z = between(d, 0.15, 0.5) * t->depth_mm, step = between(d, 14, 26);
    double half = between(d, 0.25, 0.4) * step, slope = between(d, -0.2, 0.2);
    double first = between(d, -1, 0) * step;
    for (int i = 0; i < t->lines; i++) {
        double x = lesson_x(t, i), off = remainder(x - first, step) / half;
        if (fabs(off) < 1) put(t, i, z + slope * x + 0.6 * half * (1 - sqrt(1 - off * off)));
    }
}

/* A broken bone: straight pieces, each with its own slope, with steps. */
static void draw_pieces(es_lesson *t, dice *d) {
    double z = between(d, 0.2, 0.7) * t->depth_mm, slope = between(d, -0.5, 0.5), left = 0;
    double end = between(d, 6, 22);
    for (int i = 0; i < t->lines; i++) {
        double x = lesson_x(t, i);
        if (x > end) {
            z += slope * (x - left) + between(d, -3, 3);
            slope = between(d, -0.5, 0.5);
            left = x;
            end = x + between(d, 6, 22);
        }
        put(t, i, z + slope * (x - left));
    }
}

static void draw_shape(es_lesson *t, dice *d) {
    double which = between(d, 0, 1);
    if (t->options.unlike && chance(d, 0.5))
        draw_pieces(t, d);
    else if (which < 0.36)
        draw_arcs(t, d);
    else if (which < 0.58)
        draw_cortex(t, d);
    else if (which < 0.74)
        draw_spine(t, d);
    else if (which < 0.88)
        draw_ribs(t, d);
    else
        draw_bumps(t, d);
    if (chance(d, 0.3)) put_arc(t, d, between(d, 0, 1) * t->width_mm, 0.8 * t->depth_mm);
}

static void roughen(es_lesson *t, dice *d) {
    wave w = wave_of(d, WAVE_TERMS, between(d, 0.02, 0.35), 1.5, 12);
    for (int i = 0; i < t->lines; i++) t->bone_mm[i] += wave_at(&w, lesson_x(t, i));
}

static void cut_gap(es_lesson *t, dice *d) {
    double from = between(d, 0, 1) * t->width_mm, to = from + between(d, 2, 10);
    for (int i = 0; i < t->lines; i++)
        if (lesson_x(t, i) > from && lesson_x(t, i) < to) t->bone_mm[i] = INFINITY;
}

/* Cosine of incidence from the slope over some 1.2 mm; across an edge, from
 * the side that there is. */
static void find_cosines(es_lesson *t) {
    int reach = (int)fmax(0.6 / t->line_mm, 1);
    for (int i = 0; i < t->lines; i++) {
        int a = i - reach < 0 ? 0 : i - reach, b = i + reach >= t->lines ? t->lines - 1 : i + reach;
        float here = t->bone_mm[i], steepest = 3 * (float)(b - a) * t->line_mm;
        if (!isfinite(here)) continue;
        if (!(fabsf(t->bone_mm[a] - here) < steepest)) a = i;
        if (!(fabsf(t->bone_mm[b] - here) < steepest)) b = i;
        float slope = b > a ? (t->bone_mm[b] - t->bone_mm[a]) / ((float)(b - a) * t->line_mm) : 0;
        t->cosine[i] = 1 / sqrtf(1 + slope * slope);
    }
}

/* ---- its look ------------------------------------------------------------ */

/* Mean power of the echo at z from the surface: the mirror, and the tail
 * through the squared pulse. */
static double mean_power(const es_lesson *t, double z) {
    const bone_look *b = &t->look;
    double wide = t->axial_mm * t->axial_mm + b->echo.sigma_mm * b->echo.sigma_mm;
    double peak = b->coherent * b->coherent + (1 - b->coherent) * (1 - b->coherent);
    double power = peak * exp(-z * z / wide), step = t->axial_mm / 4, norm = 0, sum = 0;
    for (double o = -10 * step; o <= 10 * step; o += step) {
        double weight = exp(-o * o / (t->axial_mm * t->axial_mm));
        norm += weight;
        if (z - o >= 0) sum += weight * exp(-2 * (z - o) / b->tail_mm);
    }
    return power + b->tail * b->tail * sum / norm;
}

static float crest_of(const es_lesson *t) {
    double best = 0, at = 0;
    for (double z = -0.2; z < 1; z += 0.02) {
        double power = mean_power(t, z);
        if (power <= best) continue;
        best = power;
        at = z;
    }
    return (float)at;
}

static void draw_look(es_lesson *t, dice *d) {
    bool thick = t->body == BODY_PHANTOM || chance(d, 0.15);
    bone_look *b = &t->look;
    b->power = (float)between(d, 0.6, 3.5);
    b->floor = (float)between(d, 0.05, 0.2);
    b->coherent = (float)(thick ? between(d, 0, 0.5) : between(d, 0.2, 0.95));
    b->tail_mm = (float)(thick ? between(d, 0.3, 2.5) : between(d, 0.08, 0.6));
    b->tail = (float)between(d, 0.15, thick ? 0.9 : 0.6);
    b->echo = lesson_mirror(t, thick ? between(d, 0.1, 0.5) : between(d, 0.06, 0.2));
    b->crest_mm = crest_of(t);
    double db = between(d, 10, t->options.unlike ? 30 : 36);
    wave w = wave_of(d, 4, between(d, 0.5, 5), 3, 25);
    for (int i = 0; i < t->lines; i++)
        t->bone_db[i] = (float)(db + wave_at(&w, lesson_x(t, i)) +
                                20 * log10(fmax(pow(t->cosine[i], b->power), b->floor)));
}

void lesson_draw_bone(es_lesson *t) {
    dice shape = dice_of(t->seed, STREAM_SHAPE), look = dice_of(t->seed, STREAM_LOOK);
    for (int i = 0; i < t->lines; i++) {
        t->bone_mm[i] = INFINITY;
        t->cosine[i] = 1;
    }
    if (t->has_bone) {
        draw_shape(t, &shape);
        if (chance(&shape, 0.25)) cut_gap(t, &shape);
        roughen(t, &shape);
        find_cosines(t);
    }
    draw_look(t, &look);
}

/* ---- its echo ------------------------------------------------------------ */

static void add_tail(es_lesson *t, int line, float z_mm, float amplitude) {
    const bone_look *b = &t->look;
    int first = lesson_row(t, z_mm), last = lesson_row(t, z_mm + 6 * b->tail_mm);
    float fall = expf(-t->row_mm / b->tail_mm);
    for (int r = first; r <= last; r++, amplitude *= fall)
        t->level[lesson_at(t, r, line)] += amplitude * b->tail;
}

/* The slice is thick: what lies beside its middle plane echoes at other
 * depths, weaker. */
static void add_smear(es_lesson *t, const float *shift_mm, const float *share, int copies) {
    for (int i = 0; i < t->lines; i++)
        for (int k = 0; k < copies && isfinite(t->bone_mm[i]); k++)
            lesson_add_echo(t, &t->look.echo, i, t->bone_mm[i] + shift_mm[k],
                            share[k] * amplitude_of_db(t->bone_db[i]), 0.3f * t->look.coherent);
}

void lesson_add_bone(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_SMEAR);
    float shift_mm[4], share[4];
    int copies = chance(&d, 0.5) ? whole(&d, 1, 4) : 0;
    double spread = between(&d, 0.2, 2) * (chance(&d, 0.7) ? 1 : -1);
    for (int k = 0; k < copies; k++) {
        shift_mm[k] = (float)(spread * (k + 1) / copies);
        share[k] = (float)between(&d, 0.05, 0.45);
    }
    for (int i = 0; i < t->lines; i++) {
        if (!isfinite(t->bone_mm[i]) || t->bone_mm[i] > t->depth_mm) continue;
        float amplitude = amplitude_of_db(t->bone_db[i]);
        lesson_add_echo(t, &t->look.echo, i, t->bone_mm[i], amplitude, t->look.coherent);
        add_tail(t, i, t->bone_mm[i], amplitude);
    }
    add_smear(t, shift_mm, share, copies);
}
