/* echosolid/picture.h: rasters for people: slices, overlays, rendered meshes,
 * plots, PNG. Pictures are RGB u8 es_images. */
#ifndef ECHOSOLID_PICTURE_H
#define ECHOSOLID_PICTURE_H

#include "echosolid/image.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct es_colour {
    uint8_t r, g, b;
} es_colour;
/* The scale of every coloured picture: dark blue over green to yellow; lightness
 * grows evenly with t in 0..1. */
es_colour es_picture_colour_map(double t);

/* An RGB u8 picture of one colour; sides of 1 to 16384 pixels, else ES_USAGE.
 * What is drawn outside of it is clipped; the drawing calls leave images that
 * are not RGB u8 as they are. */
bool es_picture_new(es_image *picture, uint32_t width, uint32_t height, es_colour fill,
                    es_error *err);
void es_picture_line(es_image *picture, double u0, double v0, double u1, double v1, double width_px,
                     es_colour colour);
void es_picture_disc(es_image *picture, double u, double v, double radius_px, es_colour colour);
/* Own small bitmap font, ASCII 32..126; scale 1 is 6 x 10 pixels a letter. */
void es_picture_text(es_image *picture, int u, int v, int scale, es_colour colour,
                     const char *text);
/* Pastes `from` at (u, v), clipped. */
void es_picture_paste(es_image *picture, const es_image *from, int u, int v);
/* Grey or RGB of any type to RGB u8 with a window low..high, resized to
 * width x height (area average down, bilinear up). low == high: full range
 * of the data. */
bool es_picture_from_image(const es_image *image, double low, double high, uint32_t width,
                           uint32_t height, es_image *picture, es_error *err);
/* The frame with its found bone drawn over it, in frame pixels. */
bool es_picture_trace(const es_image *frame, const es_trace *trace, es_image *picture,
                      es_error *err);

/* A plane through sparse bricks: axis 0..2 is the normal, at `position_mm`
 * along it; unknown voxels are drawn in a dark blue that grey never has. The
 * position stands above the plane, a millimetre bar and the axes below it.
 * x runs to the right (y where x is the normal), z up, else y down. ES_USAGE
 * for an empty volume or a position outside of it. */
typedef struct es_slice_view {
    int axis;
    double position_mm; /* NaN: the middle of what is known */
    double low, high;   /* grey window; low == high: the data's 1 and 99 % */
    uint32_t width;     /* pixels; the height follows */
} es_slice_view;
bool es_picture_slice(const es_bricks *bricks, const es_slice_view *view, es_image *picture,
                      es_error *err);

/* A shaded mesh, z-buffered, anti-aliased 2 x 2, orthographic, fitted to the
 * picture, with a millimetre bar and the axes. Seen along -toward_eye with
 * `up` upwards. Triangles seen from their inside are blue. Optional scalar
 * per vertex coloured over low..high (low == high: its range; NaN: grey) with
 * a colour bar titled `scalar_name`. Vertices that are not finite take their
 * triangles out of the picture; ES_USAGE when nothing is left. */
typedef struct es_mesh_view {
    es_vec3 toward_eye, up;
    uint32_t width, height;
    const float *scalar; /* NULL: bone colour */
    double low, high;
    const char *scalar_name;
} es_mesh_view;
bool es_picture_mesh(const es_mesh *mesh, const es_mesh_view *view, es_image *picture,
                     es_error *err);

/* PNG (grey or RGB u8) through libpng, into memory or a file. es_free it. */
void *es_png_encode(const es_image *picture, size_t *length, es_error *err);
bool es_png_write(const char *path, const es_image *picture, es_error *err);
/* A grey PNG file of 32768 pixels a side at most as u8 (deeper ones are cut to
 * 8 bits, transparent parts are black); reuses the picture's memory. ES_IO,
 * ES_FORMAT, ES_UNSUPPORTED for colour. */
bool es_png_read(const char *path, es_image *picture, es_error *err);

/* ---- plots --------------------------------------------------------------- */

/* How `count` values spread over `bins` bars between low and high (low ==
 * high: their range; values that are not finite are left out). */
typedef struct es_histogram {
    const float *values;
    size_t count;
    double low, high;
    int bins;          /* 1..400; 0: 40 */
    const char *label; /* below the axis, with the unit: "distance, mm" */
} es_histogram;
/* Adds one <svg> element without outside references; it takes the text colour
 * of the page it stands in. What lies past low..high is said under the axis.
 * ES_USAGE when no value is finite. */
bool es_plot_histogram(const es_histogram *plot, es_text *svg, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
