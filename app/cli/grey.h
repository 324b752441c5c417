/* Writing a grey volume with its holes filled, for reconstruct and model. */
#ifndef ECHOSOLID_APP_GREY_H
#define ECHOSOLID_APP_GREY_H

#include "app.h"

typedef struct grey_output {
    const char *path;   /* NULL: nothing */
    const char *filled; /* mask of the filled voxels; NULL: nothing */
    const es_holes *holes;
    es_pool *pool;
    const app_origin *origin;
    bool raw;
} grey_output;

/* `stats` is zero when no hole was to be filled. */
bool grey_write(const grey_output *out, es_volume *volume, es_fill_stats *stats, es_error *err);

#endif
