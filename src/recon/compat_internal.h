/* What the files of the compatibility mode share. */
#ifndef COMPAT_INTERNAL_H
#define COMPAT_INTERNAL_H

#include "compat_numbers.h"
#include "echosolid/compat.h"

struct es_compat_volume {
    es_recon_options options;
    es_compat_optimization optimization;
    es_image mask; /* empty: none */
    int64_t first[3], size[3];
    int64_t voxels;
    void *values;      /* of options.type, x fastest */
    uint16_t *weights; /* 256 for a whole pixel */
    void *filled;      /* values after hole filling, or NULL */
};

/* ---- compat_rows.c: which pixels of a row --------------------------------------- */

/* A frame on the lattice: voxel = origin + u du + v dv, from the first voxel of
 * the lattice (not of the extent). */
typedef struct compat_frame {
    const es_image *image;
    double origin[3], du[3], dv[3];
} compat_frame;

typedef struct compat_run {
    int64_t first, last; /* empty: last = first - 1 */
} compat_run;

/* The run of a row, and pixels in its middle that are left out. */
typedef struct compat_row {
    compat_run run, gap;
    bool has_gap;
} compat_row;

/* FULL and PARTIAL: cut to the volume, then the fan, then the clip. */
compat_row compat_cut_row(const es_compat_volume *volume, const compat_frame *frame, int64_t v);
/* NONE: pixel by pixel. */
bool compat_wanted(const es_compat_volume *volume, const es_image *image, int64_t u, int64_t v);

/* ---- compat_pixel.c: what a pixel does to the volume ------------------------------ */

void compat_insert_rows(es_compat_volume *volume, const compat_frame *frame);

#endif
