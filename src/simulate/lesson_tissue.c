/* lesson_tissue.c: everything in a training frame that echoes and is not bone.
 *
 * Skin, fat, muscle, tendon and fluid in wavy layers with fibrous texture;
 * between them fascia, in them fibres, vessels, a thick arch that casts no
 * shadow: the bright things that a detector must learn to leave alone. Some
 * bodies are phantoms of even speckle with dashes, some are water with wires.
 * Levels are decibels of a scatterer's amplitude, 0 that of plain tissue. */
#include "lesson.h"

enum {
    STREAM_LAYERS = 0x1e550200,
    STREAM_FASCIA,
    STREAM_FIBRES,
    STREAM_VESSELS,
    STREAM_ARCH,
    STREAM_DOTS,
    STREAM_LOSS,
    STREAM_SHADOW,
    STREAM_REVERB,
    STREAM_RING,
    STREAM_CARTILAGE
};

typedef struct layer {
    float db, noise_db, along_mm, across_mm, tilt, x0, y0;
} layer;

/* ---- echoes -------------------------------------------------------------- */

mirror lesson_mirror(const es_lesson *t, double sigma_mm) {
    mirror m = {.sigma_mm = (float)fmax(sigma_mm, 0.6 * t->row_mm)};
    double sum = 0, squares = 0;
    for (int k = -t->axial.half; k <= t->axial.half; k++) {
        double g = exp(-0.5 * pow(k * t->row_mm / m.sigma_mm, 2));
        double w = t->axial.weight[k + t->axial.half] * g;
        sum += w;
        squares += w * w;
    }
    m.coherent = (float)(1 / sum);
    m.diffuse = (float)(1 / sqrt(squares));
    return m;
}

void lesson_add_echo(es_lesson *t, const mirror *m, int line, float z_mm, float amplitude,
                     float coherent) {
    if (!(z_mm > -1 && z_mm < t->depth_mm + 1)) return;
    int first = lesson_row(t, z_mm - 3 * m->sigma_mm), last = lesson_row(t, z_mm + 3 * m->sigma_mm);
    float even = amplitude * coherent * m->coherent / t->lateral_sum[lesson_row(t, z_mm)];
    float rough = amplitude * (1 - coherent) * m->diffuse;
    for (int r = first; r <= last; r++) {
        float off = (((float)r + 0.5f) * t->row_mm - z_mm) / m->sigma_mm;
        float g = fast_exp2(-0.72134752f * off * off);
        t->mirror[lesson_at(t, r, line)] += even * g;
        t->level[lesson_at(t, r, line)] += rough * g;
    }
}

/* ---- layers -------------------------------------------------------------- */

static layer draw_layer(dice *d, int index) {
    layer l = {.noise_db = (float)between(d, 1, 4),
               .along_mm = (float)between(d, 0.4, 2),
               .across_mm = (float)between(d, 1.2, 8),
               .tilt = (float)between(d, -0.35, 0.35),
               .x0 = (float)between(d, 0, LESSON_CLOUD),
               .y0 = (float)between(d, 0, LESSON_CLOUD)};
    double kind = between(d, 0, 1);
    if (index == 0) {
        l.db = (float)between(d, 0, 12);
    } else if (kind < 0.35) { /* fat */
        l.db = (float)between(d, -14, -4);
    } else if (kind < 0.8) { /* muscle */
        l.db = (float)between(d, -16, -6);
        l.noise_db = (float)between(d, 2, 7);
    } else if (kind < 0.92) { /* tendon */
        l.db = (float)between(d, -6, 4);
        l.along_mm *= 0.4f;
        l.across_mm *= 2;
    } else { /* fluid */
        l.db = (float)between(d, -40, -20);
    }
    return l;
}

/* Fills t->edges and returns the number of layers; the last has no end. */
static int draw_layers(es_lesson *t, layer layers[LESSON_LAYERS]) {
    dice d = dice_of(t->seed, STREAM_LAYERS);
    int count = t->body == BODY_TISSUE ? whole(&d, 3, LESSON_LAYERS) : 1;
    double z = 0;
    for (int k = 0; k < count; k++) {
        layers[k] = draw_layer(&d, k);
        z += k == 0 ? between(&d, 0.8, 3) : between(&d, 1.5, 18);
        double slope = k == 0 ? 0 : between(&d, -0.25, 0.25);
        wave w = wave_of(&d, 3, k == 0 ? 0.1 : between(&d, 0.1, 2.5), 10, 60);
        for (int i = 0; i < t->lines; i++) {
            float x = lesson_x(t, i);
            float at = (float)(z + slope * (x - 0.5f * t->width_mm)) + wave_at(&w, x);
            t->edges[(size_t)k * (size_t)t->lines + (size_t)i] = k + 1 < count ? at : INFINITY;
        }
    }
    if (t->body == BODY_PHANTOM) {
        layers[0].db = 0;
        layers[0].noise_db = (float)between(&d, 0, 2);
    } else if (t->body == BODY_WATER) {
        layers[0].db = (float)between(&d, -70, -40);
    }
    return count;
}

static void fill_layers(es_lesson *t, const layer layers[LESSON_LAYERS], int count) {
    const float db_to_log2 = 0.16609640f;
    for (int i = 0; i < t->lines; i++) {
        float x = lesson_x(t, i);
        int k = 0;
        for (int r = 0; r < t->rows; r++) {
            float z = ((float)r + 0.5f) * t->row_mm;
            while (k + 1 < count && z >= t->edges[(size_t)k * (size_t)t->lines + (size_t)i]) k++;
            const layer *l = &layers[k];
            float cloud =
                cloud_at(t, l->x0 + x / l->across_mm, l->y0 + (z - l->tilt * x) / l->along_mm);
            t->level[lesson_at(t, r, i)] = fast_exp2(db_to_log2 * (l->db + l->noise_db * cloud));
        }
    }
}

static void add_fascia(es_lesson *t, int layers) {
    dice d = dice_of(t->seed, STREAM_FASCIA);
    for (int k = 0; k + 1 < layers; k++) {
        mirror m = lesson_mirror(t, between(&d, 0.08, 0.3));
        double db = between(&d, -4, 20);
        float coherent = (float)between(&d, 0.2, 0.9);
        wave gaps = wave_of(&d, 3, between(&d, 1, 9), 6, 40);
        if (chance(&d, 0.25)) continue;
        for (int i = 0; i < t->lines; i++)
            lesson_add_echo(t, &m, i, t->edges[(size_t)k * (size_t)t->lines + (size_t)i],
                            amplitude_of_db((float)db + wave_at(&gaps, lesson_x(t, i))), coherent);
    }
}

/* A curved piece of a bright line, fading to its ends. */
static void add_piece(es_lesson *t, dice *d, double half_mm, double db, double most_tilt) {
    mirror m = lesson_mirror(t, between(d, 0.06, 0.25));
    double x = between(d, -0.05, 1.05) * t->width_mm, z = between(d, 0.02, 1) * t->depth_mm;
    double tilt = between(d, -most_tilt, most_tilt), bend = between(d, -0.15, 0.15) / half_mm;
    float amplitude = amplitude_of_db((float)db), coherent = (float)between(d, 0.2, 1);
    for (int i = 0; i < t->lines; i++) {
        double off = lesson_x(t, i) - x, share = off / half_mm;
        if (fabs(share) >= 1) continue;
        lesson_add_echo(t, &m, i, (float)(z + tilt * off + bend * off * off),
                        amplitude * (float)(1 - share * share), coherent);
    }
}

static void add_fibres(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_FIBRES);
    bool phantom = t->body == BODY_PHANTOM;
    int count = whole(&d, 0, phantom ? 40 : 25);
    for (int k = 0; k < count; k++)
        add_piece(t, &d, phantom ? between(&d, 0.5, 3) : between(&d, 0.8, 8),
                  phantom ? between(&d, 4, 26) : between(&d, 0, 24), phantom ? 0.15 : 0.6);
}

static void add_vessels(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_VESSELS);
    int count = whole(&d, 0, 2);
    for (int k = 0; k < count; k++) {
        double x = between(&d, 0, 1) * t->width_mm, z = between(&d, 0.05, 0.8) * t->depth_mm;
        double across = between(&d, 1, 6), down = across * between(&d, 0.4, 1);
        float inside = amplitude_of_db((float)between(&d, -35, -12));
        mirror m = lesson_mirror(t, 0.12);
        float wall = amplitude_of_db((float)between(&d, -10, 16));
        for (int i = 0; i < t->lines; i++) {
            double off = (lesson_x(t, i) - x) / across, half = 1 - off * off;
            if (half <= 0) continue;
            float high = (float)(down * sqrt(half));
            for (int r = lesson_row(t, (float)z - high); r < lesson_row(t, (float)z + high); r++)
                t->level[lesson_at(t, r, i)] *= inside;
            lesson_add_echo(t, &m, i, (float)z - high, wall * (float)half, 0.6f);
            lesson_add_echo(t, &m, i, (float)z + high, wall * (float)half, 0.6f);
        }
    }
}

/* Thick, bright, bent like a bone, and the tissue goes on below it. */
static void add_arch(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_ARCH);
    if (!chance(&d, t->body == BODY_PHANTOM ? 0.45 : 0.2)) return;
    double x = between(&d, 0, 1) * t->width_mm, z = between(&d, 0.06, 0.6) * t->depth_mm;
    double half = between(&d, 5, 22), fall = between(&d, -0.1, 0.6) / half;
    double db = between(&d, 6, 26);
    mirror m = lesson_mirror(t, between(&d, 0.1, 1.2));
    wave patches = wave_of(&d, 4, between(&d, 1, 6), 2, 15);
    float coherent = (float)between(&d, 0, 0.7);
    for (int i = 0; i < t->lines; i++) {
        double off = lesson_x(t, i) - x;
        if (fabs(off) >= half) continue;
        float fade = (float)(10 * log10(1 - pow(off / half, 4) + 1e-3));
        lesson_add_echo(t, &m, i, (float)(z + fall * off * off),
                        amplitude_of_db((float)db + fade + wave_at(&patches, lesson_x(t, i))),
                        coherent);
    }
}

/* Wires in water, each with its own repeats below, and a faint far floor. */
static void add_dots(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_DOTS);
    int count = whole(&d, 3, 14), repeats = whole(&d, 0, 3);
    mirror m = lesson_mirror(t, between(&d, 0.08, 0.3));
    for (int k = 0; k < count; k++) {
        double x = between(&d, 0, 1) * t->width_mm, z = between(&d, 0.02, 0.9) * t->depth_mm;
        double half = between(&d, 0.2, 1.6), db = between(&d, 6, 34), step = between(&d, 0.6, 2);
        for (int i = 0; i < t->lines; i++)
            for (int copy = 0; copy <= repeats; copy++) {
                float off = (float)((lesson_x(t, i) - x) / half);
                if (fabsf(off) > 3) continue;
                lesson_add_echo(t, &m, i, (float)(z + copy * step),
                                amplitude_of_db((float)(db - 10 * copy) - 4.3f * off * off), 0.8f);
            }
    }
    if (chance(&d, 0.5)) add_piece(t, &d, between(&d, 4, 20), between(&d, -12, 4), 0.3);
}

/* Copies of the face's own ringing. */
static void add_ring(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_RING);
    if (!chance(&d, 0.4)) return;
    double step = between(&d, 0.5, 2), db = between(&d, 0, 24), fall = between(&d, 3, 12);
    mirror m = lesson_mirror(t, between(&d, 0.08, 0.25));
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < t->lines; i++)
            lesson_add_echo(t, &m, i, (float)(step * (k + 0.3)),
                            amplitude_of_db((float)(db - fall * k)), 0.9f);
}

/* Dark, with a thin bright line on top: the surface that is not bone. */
static void add_cartilage(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_CARTILAGE);
    if (!t->has_bone || !chance(&d, 0.2)) return;
    float thick = (float)between(&d, 1, 3.5),
          inside = amplitude_of_db((float)between(&d, -40, -18));
    float below = (float)between(&d, 5, 20);
    mirror m = lesson_mirror(t, 0.08);
    for (int i = 0; i < t->lines; i++) {
        if (!isfinite(t->bone_mm[i])) continue;
        float top = t->bone_mm[i] - thick;
        for (int r = lesson_row(t, top); r < lesson_row(t, t->bone_mm[i]); r++) {
            t->level[lesson_at(t, r, i)] *= inside;
            t->mirror[lesson_at(t, r, i)] *= inside;
        }
        lesson_add_echo(t, &m, i, top, amplitude_of_db(t->bone_db[i] - below), 0.8f);
    }
}

void lesson_fill_tissue(es_lesson *t) {
    layer layers[LESSON_LAYERS];
    memset(t->mirror, 0, (size_t)t->rows * (size_t)t->lines * sizeof *t->mirror);
    int count = draw_layers(t, layers);
    fill_layers(t, layers, count);
    if (t->body == BODY_WATER) {
        add_dots(t);
    } else {
        add_vessels(t);
        add_fascia(t, count);
        add_fibres(t);
        add_arch(t);
        add_cartilage(t);
    }
    add_ring(t);
}

/* ---- what lies below ----------------------------------------------------- */

/* Below bone, or where sound stops without an echo (gas, bad contact), in
 * frames without bone. */
static void find_hidden(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_LOSS);
    bool lost = !t->has_bone && chance(&d, 0.3);
    double z = between(&d, 0.1, 0.8) * t->depth_mm, slope = between(&d, -0.4, 0.4);
    double from = between(&d, -0.3, 0.6) * t->width_mm,
           to = from + between(&d, 0.2, 1.2) * t->width_mm;
    wave w = wave_of(&d, 3, between(&d, 0, 4), 8, 50);
    for (int i = 0; i < t->lines; i++) {
        float x = lesson_x(t, i);
        bool here = lost && x > from && x < to;
        t->hide_mm[i] =
            here ? (float)(z + slope * (x - 0.5f * t->width_mm)) + wave_at(&w, x) : t->bone_mm[i];
    }
}

/* Repeats of what lies above, seen at a greater depth where it is dark. */
static void add_repeats(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_REVERB);
    if (!chance(&d, 0.6)) return;
    float share = (float)between(&d, 0.55, 1.05),
          level = amplitude_of_db((float)between(&d, -40, -18));
    wave patches = wave_of(&d, 4, between(&d, 0, 8), 4, 30);
    for (int i = 0; i < t->lines; i++) {
        if (!isfinite(t->hide_mm[i]) || t->hide_mm[i] < 2) continue;
        int shift = (int)(share * t->hide_mm[i] / t->row_mm);
        float here = level * amplitude_of_db(wave_at(&patches, lesson_x(t, i)));
        int first = lesson_row(t, t->hide_mm[i]) + 1;
        for (int r = first; r < t->rows && r - shift < first; r++) {
            if (r < shift) continue;
            t->level[lesson_at(t, r, i)] += here * t->level[lesson_at(t, r - shift, i)];
            t->mirror[lesson_at(t, r, i)] += here * t->mirror[lesson_at(t, r - shift, i)];
        }
    }
}

/* The shadow's sides are soft: a running count of hidden lines about each. */
void lesson_cast_shadow(es_lesson *t) {
    dice d = dice_of(t->seed, STREAM_SHADOW);
    float left = amplitude_of_db((float)between(&d, -50, -18));
    float mirrors = chance(&d, 0.6) ? 0.1f : 1;
    int half = (int)(between(&d, 0.1, 1.2) / t->line_mm + 0.5);
    find_hidden(t);
    for (int r = 0; r < t->rows; r++) {
        float z = ((float)r + 0.5f) * t->row_mm;
        int hidden = 0;
        for (int i = -half; i < t->lines; i++) {
            int in = i + half, out = i - half - 1;
            hidden += in < t->lines && t->hide_mm[in] < z;
            hidden -= out >= 0 && t->hide_mm[out] < z;
            if (i < 0 || hidden == 0) continue;
            float shade = (float)hidden / (float)(2 * half + 1);
            float through = 1 - shade * (1 - left);
            t->level[lesson_at(t, r, i)] *= through;
            t->mirror[lesson_at(t, r, i)] *= through * (1 - shade * (1 - mirrors));
        }
    }
    add_repeats(t);
}
