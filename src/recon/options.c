/* Options: checked once, and chosen where the user gave none. */
#include <math.h>

#include "recon_internal.h"

/* ---- checks ------------------------------------------------------------------ */

bool check_lattice(const double origin_mm[3], const double spacing_mm[3], es_error *err) {
    for (int a = 0; a < 3; a++) {
        if (!isfinite(origin_mm[a]))
            return es_fail(err, ES_USAGE,
                           "the volume's origin has %g along %c: expected a number "
                           "of millimetres",
                           origin_mm[a], 'x' + a);
        if (!isfinite(spacing_mm[a]) || spacing_mm[a] < 1e-6 || spacing_mm[a] > 1e6)
            return es_fail(err, ES_USAGE,
                           "the voxel spacing along %c is %g mm: expected 1e-6 to 1e6", 'x' + a,
                           spacing_mm[a]);
    }
    return true;
}

static bool check_extent(const es_recon_options *o, es_error *err) {
    static const int64_t most = (int64_t)1 << 33; /* as far as frames may lie */
    if (!o->has_extent) return true;
    for (int a = 0; a < 3; a++) {
        int64_t first = o->extent[2 * a], last = o->extent[2 * a + 1];
        if (first > last || first < -most || last > most)
            return es_fail(err, ES_USAGE,
                           "the extent along %c is %lld to %lld: expected first <= last, within "
                           "2^33 voxels of the origin",
                           'x' + a, (long long)first, (long long)last);
    }
    return true;
}

static bool check_clip(const es_recon_options *o, es_error *err) {
    if (o->has_clip && (o->clip_size[0] < 1 || o->clip_size[1] < 1))
        return es_fail(err, ES_USAGE, "the clip rectangle is %d x %d pixels: expected 1 or more",
                       (int)o->clip_size[0], (int)o->clip_size[1]);
    const es_fan *fan = &o->fan;
    if (fan->kind == ES_FAN_LINEAR && !(fan->u0 < fan->u1 && fan->v0 < fan->v1))
        return es_fail(err, ES_USAGE, "the linear fan's rectangle %g %g to %g %g is empty", fan->u0,
                       fan->v0, fan->u1, fan->v1);
    if (fan->kind != ES_FAN_CURVED) return true;
    if (!(fan->radius_start >= 0 && fan->radius_start < fan->radius_stop))
        return es_fail(err, ES_USAGE, "fan radii %g to %g pixels: expected 0 <= start < stop",
                       fan->radius_start, fan->radius_stop);
    if (!(fan->angle_start_rad < fan->angle_stop_rad) || !(fan->aspect > 0) ||
        !isfinite(fan->apex_u) || !isfinite(fan->apex_v))
        return es_fail(err, ES_USAGE,
                       "fan angles %g to %g rad, aspect %g, apex %g %g: expected start < stop, an "
                       "aspect above 0 and a finite apex",
                       fan->angle_start_rad, fan->angle_stop_rad, fan->aspect, fan->apex_u,
                       fan->apex_v);
    return true;
}

static bool check_mask(const es_recon_options *o, es_error *err) {
    const es_image *mask = o->mask;
    if (!mask) return true;
    if (o->compounding != ES_MEAN)
        return es_fail(err, ES_USAGE, "an importance mask is a weighted mean: expected MEAN");
    if (!mask->data || mask->type != ES_U8 || mask->channels != 1 || mask->width == 0 ||
        mask->height == 0)
        return es_fail(err, ES_USAGE,
                       "importance mask of %u x %u pixels, type %s, %d channels: expected a grey "
                       "picture of 8-bit weights",
                       mask->width, mask->height, es_type_name(mask->type), mask->channels);
    return true;
}

bool check_options(const es_recon_options *o, es_error *err) {
    if (!check_lattice(o->origin_mm, o->spacing_mm, err)) return false;
    if (o->interpolation != ES_NEAREST && o->interpolation != ES_LINEAR)
        return es_fail(err, ES_USAGE, "interpolation %d is not known", (int)o->interpolation);
    if (o->compounding != ES_LATEST && o->compounding != ES_MEAN && o->compounding != ES_MAXIMUM)
        return es_fail(err, ES_USAGE, "compounding %d is not known", (int)o->compounding);
    if ((int)o->type < ES_U8 || o->type > ES_F64)
        return es_fail(err, ES_USAGE, "pixel type %d is not known", (int)o->type);
    if (o->channels != 1 && o->channels != 3)
        return es_fail(err, ES_USAGE, "%d channels: expected 1 (grey) or 3 (RGB)", o->channels);
    if (o->spread && o->compounding != ES_MEAN)
        return es_fail(err, ES_USAGE, "the spread of the hits is collected with MEAN only");
    return check_extent(o, err) && check_clip(o, err) && check_mask(o, err);
}

/* ---- the PLUS box ---------------------------------------------------------------- */

/* Corners of the rectangle along one axis, PLUS's way: origin + size counts,
 * as far as there are pixels. */
static bool corner_range(const es_recon_options *o, int axis, uint32_t size, double range[2]) {
    int64_t low = 0, high = size;
    if (o->has_clip) {
        low = o->clip_origin[axis];
        high = low + o->clip_size[axis];
    }
    if (low < 0) low = 0;
    if (high > (int64_t)size - 1) high = (int64_t)size - 1;
    range[0] = (double)low;
    range[1] = (double)high;
    return low <= high;
}

void es_recon_box_add(es_box3 *box, const es_recon_options *options, uint32_t width,
                      uint32_t height, const es_mat4 *image_to_reference) {
    double u[2], v[2];
    if (!corner_range(options, 0, width, u) || !corner_range(options, 1, height, v)) return;
    for (int corner = 0; corner < 4; corner++)
        es_box3_add(box, es_mat4_point(*image_to_reference,
                                       es_vec3_make(u[corner & 1], v[corner >> 1], 0)));
}

bool es_recon_options_set_box(es_recon_options *options, es_box3 box, es_error *err) {
    if (es_box3_is_empty(box))
        return es_fail(err, ES_GEOMETRY,
                       "no frame with a valid pose shows anything inside the "
                       "clip rectangle: the volume would be empty");
    const double low[3] = {box.min.x, box.min.y, box.min.z};
    const double high[3] = {box.max.x, box.max.y, box.max.z};
    int64_t extent[6];
    for (int a = 0; a < 3; a++) {
        double voxels = round((high[a] - low[a]) / options->spacing_mm[a]);
        if (!(options->spacing_mm[a] > 0))
            return es_fail(err, ES_USAGE, "the voxel spacing must be set before the box");
        if (!isfinite(low[a]) || !(voxels < 0x1p33))
            return es_fail(err, ES_GEOMETRY,
                           "the frames reach from %g to %g mm along %c, %g voxels: check the poses "
                           "and the spacing",
                           low[a], high[a], 'x' + a, voxels);
        extent[2 * a] = 0;
        extent[2 * a + 1] = (int64_t)voxels;
    }
    for (int a = 0; a < 3; a++) options->origin_mm[a] = low[a];
    for (int i = 0; i < 6; i++) options->extent[i] = extent[i];
    options->has_extent = true;
    return true;
}

/* ---- the spacing ------------------------------------------------------------------- */

double es_recon_choose_spacing(double pixel_mm, double frame_distance_mm) {
    double finest = 0;
    if (isfinite(pixel_mm) && pixel_mm > finest) finest = pixel_mm;
    if (isfinite(frame_distance_mm) && frame_distance_mm / 1.5 > finest)
        finest = frame_distance_mm / 1.5;
    if (isfinite(pixel_mm) && pixel_mm > 0) finest = fmin(finest, 10 * pixel_mm);
    double steps_per_mm = finest < 0.05 ? 1000 : 20;
    /* A hair less than exact, so that 0.05 mm does not become 0.1 mm. */
    return ceil(finest * steps_per_mm * (1 - 1e-9)) / steps_per_mm;
}
