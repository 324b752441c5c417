/* A coarser field for previews: inside the room. */
#ifndef ES_LIVE_PREVIEW_FIELD_H
#define ES_LIVE_PREVIEW_FIELD_H

#include "echosolid/image.h"

/* Each voxel the weighted mean of by x by x by voxels of the field (by: 2, 4 or 8),
 * where at least half of them are known; its weight the mean of theirs. */
es_bricks *preview_coarsen(const es_bricks *field, int by, es_error *err);

#endif
