/* lesson.h: the frame in the making, shared by the lesson_*.c files. */
#ifndef SIMULATE_LESSON_H
#define SIMULATE_LESSON_H

#include "dice.h"
#include "echosolid/simulate.h"
#include "speckle.h"

enum { LESSON_LAYERS = 8, LESSON_CLOUD = 64, WAVE_TERMS = 6 };

typedef enum lesson_body { BODY_TISSUE, BODY_PHANTOM, BODY_WATER } lesson_body;

/* A sum of sines along x: wavy borders, roughness, uneven brightness. */
typedef struct wave {
    int terms;
    float amplitude[WAVE_TERMS], frequency[WAVE_TERMS], phase[WAVE_TERMS];
} wave;

/* How an echo of a given thickness comes out of the point-spread function. */
typedef struct mirror {
    float sigma_mm, coherent, diffuse; /* factors that make its peak what was asked for */
} mirror;

/* What the bone of this frame looks like. */
typedef struct bone_look {
    float power, floor; /* of the cosine of incidence, and the least that comes back */
    float coherent;     /* share of the echo whose phase is the same all along */
    float tail_mm, tail;
    float crest_mm; /* from the surface to the brightest depth of its echo */
    mirror echo;
} bone_look;

struct es_lesson {
    es_lesson_options options;
    /* The fine grid on which echoes are made: sample (r, i) lies at depth
     * (r + .5) row_mm and at (i + .5) line_mm along the face. */
    int rows, lines, row_parts, line_parts;
    float row_mm, line_mm, depth_mm, width_mm;
    /* Drawn anew for each frame. */
    uint64_t seed;
    lesson_body body;
    bool has_bone;
    bone_look look;
    float axial_mm;
    kernel axial, *lateral; /* one a row */
    float *lateral_sum;
    float *bone_mm, *bone_db, *cosine; /* a line; INFINITY where there is no bone */
    float *hide_mm;                    /* a line: below, little sound is left */
    float *line_db, *row_db;           /* gain along the face and down */
    float *edges;                      /* LESSON_LAYERS x lines: where layers end, mm */
    float top_db, range_db, gamma, output;
    float *level;       /* rows x lines: amplitude of scatterers; decibels while tissue is filled;
                           grey in the end */
    float *mirror;      /* rows x lines: amplitude of what has the same phase all along */
    float *field;       /* (rows + 2 axial.half) x 2 (lines + 2 margin) */
    float *row;         /* one blurred row of it */
    float *echo;        /* rows x lines, dB */
    float *output_grey; /* rows x lines of the options */
    float cloud[LESSON_CLOUD * LESSON_CLOUD];
};
enum { LESSON_MARGIN = (KERNEL_TAPS - 1) / 2, LESSON_AXIAL_HALF = 12 };

static inline size_t lesson_at(const es_lesson *t, int r, int i) {
    return (size_t)r * (size_t)t->lines + (size_t)i;
}
static inline float lesson_x(const es_lesson *t, int i) { return ((float)i + 0.5f) * t->line_mm; }
static inline int lesson_row(const es_lesson *t, float z_mm) { /* within the picture */
    float r = z_mm / t->row_mm - 0.5f;
    return r < 0 ? 0 : r > (float)(t->rows - 1) ? t->rows - 1 : (int)(r + 0.5f);
}

/* Waves of `shortest` to `longest` mm, about `size` high in all. */
wave wave_of(dice *d, int terms, double size, double shortest, double longest);
float wave_at(const wave *w, float x_mm);
/* Smooth noise over the plane, about -1 to 1, one lattice step a unit. */
float cloud_at(const es_lesson *t, float x, float y);

/* lesson_bone.c: where the bone is, and its echo. */
void lesson_draw_bone(es_lesson *t);
void lesson_add_bone(es_lesson *t);
/* lesson_tissue.c: everything else that echoes, and the shadow below bone. */
void lesson_fill_tissue(es_lesson *t);
void lesson_cast_shadow(es_lesson *t);
mirror lesson_mirror(const es_lesson *t, double sigma_mm);
/* An echo of a peak of `amplitude` at z_mm of a line. */
void lesson_add_echo(es_lesson *t, const mirror *m, int line, float z_mm, float amplitude,
                     float coherent);
/* lesson_show.c: pulse, gain, decibels to greys, screen. */
void lesson_draw_pulse(es_lesson *t);
void lesson_make_echoes(es_lesson *t);
void lesson_show(es_lesson *t, uint8_t *grey);

#endif
