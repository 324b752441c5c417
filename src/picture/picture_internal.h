/* Inside the picture room: glyphs, resampling, colours and small furniture
 * (scale bars, axes) that slices and rendered meshes share. */
#ifndef ES_PICTURE_INTERNAL_H
#define ES_PICTURE_INTERNAL_H

#include "echosolid/picture.h"

/* ---- letters ----------------------------------------------------------- */

enum {
    PICTURE_GLYPH_COLUMNS = 5,
    PICTURE_GLYPH_ROWS = 9,
    PICTURE_CELL_WIDTH = 6, /* at scale 1, as es_picture_text says */
    PICTURE_CELL_HEIGHT = 10,
};
bool picture_glyph_dot(unsigned char letter, int column, int row);
/* Pixels that es_picture_text covers from left to right. */
int picture_text_width(const char *text, int scale);
/* A number with so many decimals at most, no trailing zeros, no locale. */
char *picture_number(double value, int decimals, char text[ES_NUMBER_SIZE]);
/* Decimals that tell values apart that lie `step` from each other. */
int picture_decimals(double step);

/* The largest 1, 2 or 5 x 10^n that is not above `limit` (> 0, finite). */
double picture_round_length(double limit);

/* ---- colours and samples ----------------------------------------------- */

es_colour picture_mix(es_colour a, es_colour b, double share_of_b);
uint8_t picture_byte(double value); /* rounded, clamped to 0..255; NaN -> 0 */
/* value in [low, high] as 0..1, clamped; NaN -> 0. low == high: 0 or 1. */
double picture_window(double value, double low, double high);
/* Lowest and highest of the finite values; false when there is none. */
bool picture_range(const float *values, size_t count, double *low, double *high);

/* Resizes a plane of floats: area average down, bilinear up, each axis by
 * itself. Both planes are rows without padding. */
bool picture_resample(const float *from, const uint32_t from_size[2], float *to,
                      const uint32_t to_size[2], es_error *err);

/* Refuses sizes of 0 and sides past PICTURE_LARGEST with ES_USAGE. */
enum { PICTURE_LARGEST = 16384 };
bool picture_check_size(uint32_t width, uint32_t height, es_error *err);

/* ---- furniture --------------------------------------------------------- */

/* Letter scale that suits a picture of this width. */
int picture_letter_scale(uint32_t width);
/* A bar of 1, 2 or 5 x 10^n mm, at most max_px long, with its length written
 * above; (u, v) is its left lower end. */
void picture_scale_bar(es_image *picture, int u, int v, double px_per_mm, int max_px,
                       es_colour colour);
/* Arrows from (u, v), each with its name beyond the tip: tips are u and v in
 * pixels from the start, `names` one letter each. */
void picture_axes(es_image *picture, double u, double v, const double (*tips)[2],
                  const char *const *names, const es_colour *colours, int count);

#endif
