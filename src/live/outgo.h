/* Frames as OpenIGTLink messages, as PlusServer sends them. */
#ifndef ES_LIVE_OUTGO_H
#define ES_LIVE_OUTGO_H

#include "echosolid/live.h"

/* An IMAGE with all the frame's transforms, statuses and fields as metadata.
 * `place`: pixel to mm; NULL: the identity, as for Image_Image. False when
 * the frame has no picture. */
bool outgo_picture(es_igtl_out *out, const es_frame *frame, const char *device,
                   const es_mat4 *place, uint64_t time);
/* A TRANSFORM with TransformValid, TransformStatus and, where the name is longer
 * than the header takes, IGTL_DEVICE_NAME. */
void outgo_transform(es_igtl_out *out, const es_frame_transform *transform, uint64_t time);
/* A volume, or slices of one, as IMAGE: u8, i16, u16 or f32. `grid` without data. */
void outgo_volume(es_igtl_out *out, const char *device, const es_grid *grid, uint64_t time);
/* The voxels `first` to `last` of it, which are `pixels`. */
void outgo_volume_part(es_igtl_out *out, const char *device, const es_grid *grid,
                       const uint64_t first[3], const uint64_t last[3], const void *pixels,
                       uint64_t time);

uint64_t outgo_now(void);

#endif
