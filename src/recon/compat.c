/* The compatibility mode's volume: dense values with 16-bit weights, and where
 * the peer puts a frame in it. Written afresh after the rules that can be read
 * in the public repository IGSIO/IGSIO, folder VolumeReconstruction, so that
 * older results can be compared; its defects are part of them. */
#include <math.h>
#include <string.h>

#include "compat_internal.h"
#include "recon_internal.h"

/* ---- options ----------------------------------------------------------------------- */

static bool check_kind(const es_recon_options *o, es_compat_optimization optimization,
                       es_error *err) {
    if ((int)optimization < ES_COMPAT_FULL || optimization > ES_COMPAT_NONE)
        return es_fail(err, ES_USAGE,
                       "optimization %d is not known: expected FULL, PARTIAL or NONE",
                       (int)optimization);
    if (o->channels != 1)
        return es_fail(err, ES_USAGE,
                       "pixels of %d channels: the compatibility mode holds grey pictures only "
                       "(IGSIO's volume has one channel, whatever the pictures have)",
                       o->channels);
    if (o->spread)
        return es_fail(err, ES_USAGE, "the compatibility mode does not collect the spread of hits");
    if (o->fan.kind == ES_FAN_LINEAR || (o->fan.kind == ES_FAN_CURVED && o->fan.aspect != 1))
        return es_fail(err, ES_USAGE,
                       "the compatibility mode clips to a curved fan with square pixels, or to "
                       "none; use the clip rectangle");
    if (!o->has_extent)
        return es_fail(err, ES_USAGE,
                       "the compatibility mode needs the volume's origin and extent before the "
                       "first frame (es_recon_options_set_box)");
    return true;
}

static bool check_mask(const es_recon_options *o, const es_image *mask, es_error *err) {
    if (!mask) return true;
    if (o->compounding != ES_MEAN)
        return es_fail(err, ES_USAGE, "an importance mask is a weighted mean: expected MEAN");
    if (mask->type != ES_U8 || mask->channels != 1 || mask->width == 0 || mask->height == 0)
        return es_fail(err, ES_USAGE,
                       "importance mask of %u x %u pixels, type %s, %d channels: expected a grey "
                       "8-bit picture",
                       mask->width, mask->height, es_type_name(mask->type), mask->channels);
    return true;
}

static bool measure(es_compat_volume *volume, es_error *err) {
    const es_recon_options *o = &volume->options;
    double voxels = 1;
    bool flat = true;
    for (int a = 0; a < 3; a++) {
        volume->first[a] = o->extent[2 * a];
        volume->size[a] = o->extent[2 * a + 1] - o->extent[2 * a] + 1;
        voxels *= (double)volume->size[a];
        flat = flat && volume->size[a] == 1;
    }
    if (flat) return es_fail(err, ES_USAGE, "a volume of one voxel: IGSIO inserts nothing in it");
    double bytes = voxels * (double)(es_type_size(o->type) + sizeof(uint16_t));
    uint64_t limit = o->memory_limit ? o->memory_limit : es_memory_free() / 4 * 3;
    if (voxels > INT32_MAX || bytes > (double)limit)
        return es_fail(err, ES_MEMORY,
                       "a dense volume of %lld x %lld x %lld voxels takes %.3g GB; the limits are "
                       "%.3g GB and IGSIO's 2^31 voxels: use a larger spacing or a smaller region",
                       (long long)volume->size[0], (long long)volume->size[1],
                       (long long)volume->size[2], bytes / 1e9, (double)limit / 1e9);
    volume->voxels = (int64_t)voxels;
    return true;
}

/* ---- the volume ------------------------------------------------------------------------ */

static bool allocate(es_compat_volume *volume, const es_image *mask, es_error *err) {
    size_t voxels = (size_t)volume->voxels;
    volume->values = es_alloc_zero(voxels, es_type_size(volume->options.type), err);
    if (!volume->values) return false;
    volume->weights = es_alloc_zero(voxels, sizeof *volume->weights, err);
    return volume->weights && (!mask || es_image_copy(mask, &volume->mask, err));
}

/* IGSIO takes the fan's angles in either order. */
static void sort_angles(es_fan *fan) {
    double start = fan->angle_start_rad;
    if (fan->kind != ES_FAN_CURVED || start <= fan->angle_stop_rad) return;
    fan->angle_start_rad = fan->angle_stop_rad;
    fan->angle_stop_rad = start;
}

es_compat_volume *es_compat_new(const es_recon_options *options,
                                es_compat_optimization optimization, const es_image *mask,
                                es_error *err) {
    es_recon_options o = *options;
    sort_angles(&o.fan);
    if (!check_options(&o, err) || !check_kind(&o, optimization, err) || !check_mask(&o, mask, err))
        return NULL;
    es_compat_volume *volume = es_alloc_zero(1, sizeof *volume, err);
    if (!volume) return NULL;
    volume->options = o;
    volume->optimization = optimization;
    if (measure(volume, err) && allocate(volume, mask, err)) return volume;
    es_compat_free(volume);
    return NULL;
}

void es_compat_free(es_compat_volume *volume) {
    if (!volume) return;
    es_free(volume->values);
    es_free(volume->weights);
    es_free(volume->filled);
    es_image_clear(&volume->mask);
    es_free(volume);
}

/* ---- a frame on the lattice --------------------------------------------------------------- */

/* Reference mm to voxels as the peer computes it: the inverse of "scale, then
 * move" by cofactors over the determinant. */
static void to_lattice(const es_recon_options *o, double scale[3], double shift[3]) {
    const double *s = o->spacing_mm, *t = o->origin_mm;
    double det = s[0] * (s[1] * s[2]);
    const double cofactor[3] = {s[1] * s[2], s[0] * s[2], s[0] * s[1]};
    const double moved[3] = {t[0] * (s[1] * s[2]), s[0] * (s[2] * t[1]), s[0] * (s[1] * t[2])};
    for (int a = 0; a < 3; a++) {
        scale[a] = cofactor[a] / det;
        shift[a] = -moved[a] / det;
    }
}

static bool in_reach(const es_compat_volume *volume, const compat_frame *f, es_error *err) {
    double reach = volume->optimization == ES_COMPAT_FULL ? 0x1p17 : 0x1p30;
    for (int corner = 0; corner < 4; corner++)
        for (int a = 0; a < 3; a++) {
            double u = corner & 1 ? f->image->width : 0, v = corner & 2 ? f->image->height : 0;
            double at = f->origin[a] + v * f->dv[a] + u * f->du[a];
            if (!(fabs(at) < reach) || !(fabs(f->du[a]) < reach) || !(fabs(f->dv[a]) < reach))
                return es_fail(err, ES_GEOMETRY,
                               "the frame lies at %g voxels along %c, further than %g from the "
                               "volume's origin: check the poses and the spacing",
                               at, 'x' + a, reach);
        }
    return true;
}

static bool place(const es_compat_volume *volume, const es_mat4 *m, compat_frame *f,
                  es_error *err) {
    double scale[3], shift[3];
    if (!es_mat4_finite(*m) || m->m[12] != 0 || m->m[13] != 0 || m->m[14] != 0 || m->m[15] != 1)
        return es_fail(err, ES_GEOMETRY,
                       "ImageToReference is not affine, or holds a number that is not finite");
    to_lattice(&volume->options, scale, shift);
    for (int a = 0; a < 3; a++) {
        f->du[a] = scale[a] * m->m[4 * a];
        f->dv[a] = scale[a] * m->m[4 * a + 1];
        f->origin[a] = scale[a] * m->m[4 * a + 3] + shift[a];
    }
    if (!in_reach(volume, f, err)) return false;
    if (volume->optimization != ES_COMPAT_FULL) return true;
    for (int a = 0; a < 3; a++) {
        f->du[a] = compat_from_fixed(compat_fixed(f->du[a]));
        f->dv[a] = compat_from_fixed(compat_fixed(f->dv[a]));
        f->origin[a] = compat_from_fixed(compat_fixed(f->origin[a]));
    }
    return true;
}

bool es_compat_insert(es_compat_volume *volume, const es_image *image,
                      const es_mat4 *image_to_reference, es_error *err) {
    const es_image *mask = &volume->mask;
    compat_frame frame = {.image = image};
    if (image->type != volume->options.type || image->channels != 1)
        return es_fail(
            err, ES_USAGE,
            "a picture of type %s with %d channels does not fit a grey volume of type %s",
            es_type_name(image->type), image->channels, es_type_name(volume->options.type));
    if (mask->data && (mask->width != image->width || mask->height != image->height))
        return es_fail(err, ES_USAGE,
                       "the importance mask has %u x %u pixels, the picture %u x %u: they must be "
                       "of one size",
                       mask->width, mask->height, image->width, image->height);
    if (image->width == 0 || image->height == 0) return true;
    if (!place(volume, image_to_reference, &frame, err)) return false;
    es_free(volume->filled);
    volume->filled = NULL;
    compat_insert_rows(volume, &frame);
    return true;
}

/* ---- the result ------------------------------------------------------------------------------ */

bool es_compat_grid_info(const es_compat_volume *volume, es_grid_info *info, es_error *err) {
    const es_recon_options *o = &volume->options;
    (void)err;
    *info = (es_grid_info){
        .direction = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .type = o->type, .channels = o->channels};
    for (int a = 0; a < 3; a++) {
        info->size[a] = (uint64_t)volume->size[a];
        info->spacing_mm[a] = o->spacing_mm[a];
        info->origin_mm[a] = o->origin_mm[a] + o->spacing_mm[a] * (double)volume->first[a];
    }
    return true;
}

static bool copy_slices(const es_compat_volume *volume, const void *from, size_t element_bytes,
                        const uint64_t range[2], void *out, es_error *err) {
    uint64_t slices = (uint64_t)volume->size[2];
    if (range[0] > slices || range[1] > slices - range[0])
        return es_fail(err, ES_USAGE, "slices %llu to %llu of a volume of %llu",
                       (unsigned long long)range[0], (unsigned long long)(range[0] + range[1]),
                       (unsigned long long)slices);
    size_t slice = (size_t)volume->size[0] * (size_t)volume->size[1] * element_bytes;
    memcpy(out, (const char *)from + slice * range[0], slice * range[1]);
    return true;
}

bool es_compat_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_compat_volume *volume = context;
    return copy_slices(volume, volume->filled ? volume->filled : volume->values,
                       es_type_size(volume->options.type), (const uint64_t[2]){z0, count}, out,
                       err);
}

bool es_compat_weight_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    const es_compat_volume *volume = context;
    return copy_slices(volume, volume->weights, sizeof *volume->weights,
                       (const uint64_t[2]){z0, count}, out, err);
}
