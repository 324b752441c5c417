/* What the live page gets besides JSON: little-endian, aligned to four bytes, as
 * viewer/live/link.js reads it.
 *
 *   "PICT" version, f64 time_s, f64 index, u32 width, height (as sent), u32 width,
 *     height (of the frame), u32 1 = placed + 2 = bone was
 *     looked for, u32 points, f32 12: the first three
 *     rows of image_to_reference (row-major; pixels of the frame to mm; 0 when not
 *     placed), points: f32 u, v (pixels of the frame), confidence, a NaN between two
 *     pieces; then width * height grey bytes, padded.
 *   "MESH" version, u32 vertices, triangles, f32 3: an origin (mm), f32: a step (mm), then
 *     u16 3 a vertex (steps from the origin), padded, i8 4 a vertex (its normal by 127), u8 a
 *     vertex (confidence by 255), padded, 3 a triangle, padded: u16, or u32 where there are
 *     more than 65536 vertices.
 *   "CUTS" version, then of the slices across x, y and z: u32 width, height, f32 9: the
 *     middle of its first voxel, the steps to the next along a row and to the next row
 *     (mm), width * height grey bytes, padded; then u32 3: the volume's voxels along x, y
 *     and z, u32 3: the voxel that the slices go through, f32 12: the first three rows of
 *     the matrix from voxels to mm.
 *   "PATH" version, u32 places, gaps, then f32 3 of each (mm). */
#ifndef ES_LIVE_PAGE_WIRE_H
#define ES_LIVE_PAGE_WIRE_H

#include "echosolid/image.h"

enum { PAGE_WIRE_VERSION = 2 };

typedef struct page_picture {
    const es_frame *frame;
    const es_mat4 *place;  /* NULL: none */
    const es_trace *trace; /* NULL: not looked for */
    int side;              /* px at most */
    double *full;          /* white: kept from picture to picture where the type is not u8 */
} page_picture;

/* Each fills `out`, whose memory is used again; false: out of memory. */
bool page_put_picture(es_text *out, const page_picture *picture);
bool page_put_mesh(es_text *out, const es_mesh *mesh);
/* Slices of a grey volume through a place; `full`: white. */
bool page_put_cuts(es_text *out, const es_grid *volume, es_vec3 place, double full);
bool page_put_path(es_text *out, const float *places, size_t count, const es_vec3 *gaps,
                   size_t gap_count);

#endif
