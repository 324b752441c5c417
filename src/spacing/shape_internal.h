/* The steps shared by the finders of the shape of the echoes: the mask of
 * what is lit, its contour, and edges measured to a part of a pixel. */
#ifndef ES_SHAPE_INTERNAL_H
#define ES_SHAPE_INTERNAL_H

#include "echosolid/spacing.h"

/* What is brighter than the dark around the echoes. `label` numbers the
 * connected parts from 1, largest first; 0 is dark. */
typedef struct shape_mask {
    uint32_t width, height;
    uint8_t *label;
    float dark;      /* grey of the surround */
    float floor;     /* lit means above this */
    size_t count[3]; /* lit pixels: all, of the largest part, of all large parts */
} shape_mask;
enum { SHAPE_ALL, SHAPE_LARGEST, SHAPE_LARGE };
/* `above`: how much brighter than the surround a lit pixel is. */
bool shape_mask_make(const es_still *still, float above, shape_mask *mask, es_error *err);
void shape_mask_clear(shape_mask *mask);
static inline bool shape_lit(const shape_mask *mask, uint32_t u, uint32_t v, int largest) {
    uint8_t label = mask->label[(size_t)v * mask->width + u];
    return label && label <= largest;
}
/* A flood fill with its own stack: visits all places marked 1 in `inside` that
 * join (u, v), clears them, and leaves them in stack[0 .. count). */
typedef struct shape_flood {
    uint32_t width, height;
    uint8_t *inside;
    uint32_t *stack;
    size_t count;
    uint32_t u0, u1, v0, v1; /* box of the part */
} shape_flood;
bool shape_flood_make(uint32_t width, uint32_t height, shape_flood *flood, es_error *err);
void shape_flood_fill(shape_flood *flood, size_t from);
void shape_flood_clear(shape_flood *flood);

/* The thresholds to try, from a clean digital surround to a noisy one. */
enum { SHAPE_LEVELS = 4 };
extern const float shape_levels[SHAPE_LEVELS];

/* First and last lit pixel of each row and column. Points on a straight cut
 * of the picture (its border, a clip) are marked. */
typedef enum shape_side { SHAPE_LEFT, SHAPE_RIGHT, SHAPE_TOP, SHAPE_BOTTOM } shape_side;
typedef struct shape_point {
    float u, v; /* the edge: half a pixel outside of the lit one */
    uint8_t side;
    bool cut;
} shape_point;
typedef struct shape_contour {
    shape_point *points; /* by side, each along its row or column */
    size_t count, first[5];
    bool cut_left, cut_right, cut_top, cut_bottom;
} shape_contour;
/* Parts up to `parts`; upside down when `flipped`. */
bool shape_contour_make(const shape_mask *mask, int parts, bool flipped, shape_contour *contour,
                        es_error *err);
void shape_contour_clear(shape_contour *contour);

/* A fan's coarse shape and how many contour points speak for it. */
typedef struct shape_fan {
    es_fan fan;
    bool left, right, start, stop; /* which edges were found */
    bool wedge;                    /* flat ends instead of arcs: only the side edges count */
    bool cut_left, cut_right;      /* the contour has a straight cut on that side */
    double score;
    bool flipped;
    size_t agreeing, all; /* contour points */
} shape_fan;
bool shape_fan_coarse(const shape_contour *contour, const shape_mask *mask, shape_fan *best,
                      es_error *err);
/* Two straight sides that open downwards from a flat first row, `top`. */
bool shape_wedge_coarse(const shape_contour *contour, const shape_mask *mask, double top,
                        double bottom, shape_fan *best, es_error *err);
/* Refines to a part of a pixel; fills sigmas, seen flags, pinned. A wedge has no radius,
 * but a width_sigma, of its width at the first row. */
bool shape_fan_refine(const es_still *still, const shape_mask *mask, int parts,
                      const shape_fan *coarse, es_fan_found *found, es_error *err);

/* The best coarse fan over thresholds and both ways up; *mask is the one it
 * was seen in (the caller clears it) and *parts how much of it. score 0: none. */
bool shape_fan_search(const es_still *still, shape_fan *best, shape_mask *mask, int *parts,
                      es_error *err);

/* The transducer's bright ring, where the field is dark. With a found fan that
 * lacks its start, the ring gives it; else a bright still arc is looked for. */
bool shape_ring_find(const es_still *still, const shape_mask *mask, int parts, es_fan_found *found,
                     es_error *err);

/* The rectangle around the echoes of a linear array. An edge is sharp when the
 * rows (or columns) begin together there and the grey rises within two pixels;
 * else `at` is how far anything was lit. */
typedef struct shape_edge {
    double at;
    bool sharp, border; /* border: the echoes run into the edge of the picture */
    double rise_px;     /* from a fifth to four fifths of the level inside */
    double together;    /* share of the rows (or columns) that begin there */
} shape_edge;
typedef struct shape_box {
    bool found;
    shape_mask mask;
    shape_contour contour;
    uint32_t first[2], last[2]; /* columns, rows */
    shape_edge edge[4];         /* by shape_side */
    double filled;              /* share of the rectangle that is lit */
    char views[ES_MODES_TEXT];  /* what else of echoes stands in the picture; "": nothing */
    uint32_t views_wide;        /* columns of both fields */
    char why[ES_WHY_SIZE];
} shape_box;
bool shape_box_make(const es_still *still, shape_box *box, es_error *err);
void shape_box_clear(shape_box *box);

/* Aperture and rows from what was found before: a fan is searched for once. */
bool shape_aperture(const es_still *still, const shape_box *box, const es_fan_found *fan,
                    es_aperture_found *found, es_error *err);
void shape_rows(const shape_box *box, const es_fan_found *fan, es_rows_found *found);
bool shape_lines(const es_still *still, const shape_box *box, const es_fan_found *fan,
                 es_lines_found *found, es_error *err);

/* Bilinear grey; NaN outside. `flipped`: rows counted from the bottom. */
float shape_sample(const es_image *grey, bool flipped, double u, double v);

#endif
