/* A DICOM volume: slices that lie parallel and evenly in space, as frames of
 * one file (Enhanced US Volume, multi-frame images with functional groups) or
 * as files of a series (CT, MR, and what converters make of ultrasound). DICOM
 * is LPS, as we are inside; an Enhanced US Volume is placed in its own volume
 * frame of reference. Slices are read in the order of their places. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicom_internal.h"

typedef struct plane {
    size_t file;
    int64_t frame;
    double position[3], depth; /* along the normal of the slices */
} plane;

typedef struct grid {
    es_dicom_series series;
    es_dicom_reader reader;
    size_t open;
    plane *planes; /* by depth */
    size_t count;
    double orientation[6];
    bool scaled; /* slices have a rescale slope: they are given as f32 */
    es_image picture;
} grid;

static void grid_free(void *self) {
    grid *g = self;
    es_dicom_reader_close(&g->reader);
    es_dicom_series_clear(&g->series);
    es_image_clear(&g->picture);
    es_free(g->planes);
    es_free(g);
}

static bool open_file(grid *g, size_t file, es_error *err) {
    if (g->reader.dicom && g->open == file) return true;
    es_dicom_reader_close(&g->reader);
    g->open = file;
    return es_dicom_reader_open(&g->reader, g->series.files[file].path, true, err);
}

/* ---- planes ---------------------------------------------------------------------- */

/* A value of the functional groups of a frame: its own, else the shared one. */
static bool group_value(const es_dicom *dicom, int64_t frame, const char *inner, double *values,
                        long count) {
    char path[96];
    snprintf(path, sizeof path, "5200,9230[%lld]/%s", (long long)frame, inner);
    if (es_dicom_numbers(dicom, path, values, count) == count) return true;
    snprintf(path, sizeof path, "5200,9229[0]/%s", inner);
    return es_dicom_numbers(dicom, path, values, count) == count;
}

static bool frame_plane(const es_dicom *dicom, int64_t frame, double position[3],
                        double orientation[6]) {
    return (group_value(dicom, frame, "0020,9113[0]/0020,0032", position, 3) &&
            group_value(dicom, frame, "0020,9116[0]/0020,0037", orientation, 6)) ||
           (group_value(dicom, frame, "0020,930E[0]/0020,9301", position, 3) &&
            group_value(dicom, frame, "0020,930F[0]/0020,9302", orientation, 6));
}

static const char unplaced[] = "has no place in space: a recording of frames, not a volume; "
                               "reconstruct a volume from it first";

/* The place of slice i, wherever it is written. */
static bool find_plane(grid *g, size_t i, double orientation[6], es_error *err) {
    plane *p = &g->planes[i];
    bool several = g->series.count > 1;
    const es_dicom_file *file = &g->series.files[several ? i : 0];
    p->file = several ? i : 0;
    p->frame = several ? 0 : (int64_t)i;
    if (file->placed && file->header.samples.frames == 1) {
        memcpy(p->position, file->position, sizeof p->position);
        memcpy(orientation, file->orientation, 6 * sizeof *orientation);
        return true;
    }
    return (!several && frame_plane(g->reader.dicom, p->frame, p->position, orientation)) ||
           es_fail(err, ES_GEOMETRY, "%s %zu %s", several ? "file" : "frame", i, unplaced);
}

static void cross(const double a[3], const double b[3], double out[3]) {
    for (int i = 0; i < 3; i++)
        out[i] = a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3];
}

static double dot(const double a[3], const double b[3]) {
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static bool check_orientation(const double o[6], es_error *err) {
    if (fabs(dot(o, o) - 1) < 1e-3 && fabs(dot(o + 3, o + 3) - 1) < 1e-3 &&
        fabs(dot(o, o + 3)) < 1e-3)
        return true;
    return es_fail(err, ES_GEOMETRY,
                   "its rows and columns run along (%g %g %g) and (%g %g %g); expected two "
                   "perpendicular directions of length 1",
                   o[0], o[1], o[2], o[3], o[4], o[5]);
}

static bool find_planes(grid *g, es_error *err) {
    double normal[3] = {0};
    for (size_t i = 0; i < g->count; i++) {
        double orientation[6];
        if (!find_plane(g, i, orientation, err)) return false;
        if (i == 0) {
            memcpy(g->orientation, orientation, sizeof orientation);
            if (!check_orientation(orientation, err)) return false;
            cross(orientation, orientation + 3, normal);
        }
        for (int k = 0; k < 6; k++)
            if (!(fabs(orientation[k] - g->orientation[k]) < 1e-3))
                return es_fail(err, ES_GEOMETRY, "slice %zu is not parallel to the first", i);
        g->planes[i].depth = dot(normal, g->planes[i].position);
        if (!isfinite(g->planes[i].depth))
            return es_fail(err, ES_GEOMETRY, "the place of slice %zu is not finite", i);
    }
    return true;
}

static int compare_planes(const void *left, const void *right) {
    const plane *a = left, *b = right;
    if (a->depth != b->depth) return a->depth < b->depth ? -1 : 1;
    return a->file != b->file ? (a->file < b->file ? -1 : 1)
                              : (a->frame > b->frame) - (a->frame < b->frame);
}

/* ---- geometry ----------------------------------------------------------------------- */

/* From slice to slice, all alike to a hundredth (rounded decimals). */
static bool find_step(const grid *g, double step[3], es_error *err) {
    const plane *first = &g->planes[0], *last = &g->planes[g->count - 1];
    double mean = (last->depth - first->depth) / (double)(g->count - 1);
    for (int k = 0; k < 3; k++)
        step[k] = (last->position[k] - first->position[k]) / (double)(g->count - 1);
    if (!(mean > 1e-6))
        return es_fail(err, ES_GEOMETRY, "its %zu slices lie in one place", g->count);
    for (size_t i = 1; i < g->count; i++)
        for (int k = 0; k < 3; k++) {
            double off = g->planes[i].position[k] - first->position[k] - (double)i * step[k];
            if (!(fabs(off) <= 0.01 * mean + 1e-3))
                return es_fail(err, ES_GEOMETRY,
                               "slice %zu of %zu lies %.3g mm off its place in an even stack with "
                               "steps of %.4g mm: one is missing, or there are several volumes",
                               i, g->count, off, mean);
        }
    return true;
}

/* One slice has no step: the file's word, and the normal. */
static bool single_step(const grid *g, double step[3], es_error *err) {
    const es_dicom *dicom = g->reader.dicom;
    double mm = NAN;
    bool known = group_value(dicom, 0, "0028,9110[0]/0018,0088", &mm, 1) ||
                 group_value(dicom, 0, "0028,9110[0]/0018,0050", &mm, 1) ||
                 es_dicom_numbers(dicom, "0018,0088", &mm, 1) == 1 ||
                 es_dicom_numbers(dicom, "0018,0050", &mm, 1) == 1;
    if (!known || !(mm > 0) || !isfinite(mm))
        return es_fail(err, ES_GEOMETRY, "its one slice has no thickness");
    cross(g->orientation, g->orientation + 3, step);
    for (int k = 0; k < 3; k++) step[k] *= mm;
    return true;
}

static bool pixel_measures(const grid *g, double row_column[2], es_error *err) {
    const es_dicom *dicom = g->reader.dicom;
    if ((group_value(dicom, 0, "0028,9110[0]/0028,0030", row_column, 2) ||
         es_dicom_numbers(dicom, "0028,0030", row_column, 2) == 2) &&
        row_column[0] > 0 && row_column[1] > 0 && isfinite(row_column[0] + row_column[1]))
        return true;
    return es_fail(err, ES_GEOMETRY, "it does not say how far apart its pixels lie");
}

static bool take_geometry(const grid *g, es_grid_info *info, es_error *err) {
    double step[3], row_column[2], axes[9];
    if (!pixel_measures(g, row_column, err) ||
        !(g->count > 1 ? find_step(g, step, err) : single_step(g, step, err)))
        return false;
    for (int k = 0; k < 3; k++) {
        axes[3 * k] = g->orientation[k] * row_column[1];
        axes[3 * k + 1] = g->orientation[3 + k] * row_column[0];
        axes[3 * k + 2] = step[k];
        info->origin_mm[k] = g->planes[0].position[k];
    }
    es_layout unit = {0};
    if (!es_layout_set_axes(&unit, axes, err)) return false;
    memcpy(info->spacing_mm, unit.spacing, sizeof info->spacing_mm);
    memcpy(info->direction, unit.direction, sizeof info->direction);
    return true;
}

/* Stored numbers to those that are meant (CT): value = slope * stored + intercept. */
static bool find_scale(const grid *g, int64_t frame, double *slope, double *intercept) {
    const es_dicom *dicom = g->reader.dicom;
    *slope = 1;
    *intercept = 0;
    if (!group_value(dicom, frame, "0028,9145[0]/0028,1053", slope, 1))
        es_dicom_numbers(dicom, "0028,1053", slope, 1);
    if (!group_value(dicom, frame, "0028,9145[0]/0028,1052", intercept, 1))
        es_dicom_numbers(dicom, "0028,1052", intercept, 1);
    if (!isfinite(*slope) || *slope == 0 || !isfinite(*intercept)) *slope = 1, *intercept = 0;
    return g->reader.channels == 1 && (*slope != 1 || *intercept != 0);
}

/* ---- slices --------------------------------------------------------------------------- */

static bool grid_slice(void *self, uint64_t z, void *out, es_error *err) {
    grid *g = self;
    const plane *p = &g->planes[z];
    double slope, intercept;
    if (!open_file(g, p->file, err) ||
        !es_dicom_reader_frame(&g->reader, p->frame, &g->picture, err))
        return false;
    if (find_scale(g, p->frame, &slope, &intercept) && !g->scaled)
        return es_fail(err, ES_UNSUPPORTED, "has a rescale slope, the first slice has none");
    size_t values = (size_t)g->picture.width * g->picture.height * (size_t)g->picture.channels;
    if (!g->scaled) memcpy(out, g->picture.data, values * es_type_size(g->picture.type));
    for (size_t i = 0; g->scaled && i < values; i++)
        ((float *)out)[i] =
            (float)(slope * es_type_get(g->picture.type, g->picture.data, i) + intercept);
    return true;
}

static bool take_slices(grid *g, es_grid_info *info, es_error *err) {
    const es_dicom_samples *s = &g->series.files[0].header.samples;
    for (size_t i = 0; i < g->series.count && g->series.count > 1; i++)
        if (g->series.files[i].header.samples.frames != 1)
            return es_fail(err, ES_GEOMETRY, "a series of multi-frame files is no volume");
    g->count = (size_t)es_dicom_series_frames(&g->series);
    g->planes = es_alloc_zero(g->count, sizeof *g->planes, err);
    if (!g->planes || !open_file(g, 0, err) || !find_planes(g, err)) return false;
    qsort(g->planes, g->count, sizeof *g->planes, compare_planes);
    info->size[0] = s->columns;
    info->size[1] = s->rows;
    info->size[2] = g->count;
    info->channels = g->reader.channels;
    double slope, intercept;
    g->scaled = find_scale(g, g->planes[0].frame, &slope, &intercept);
    info->type = g->scaled ? ES_F32 : g->reader.type;
    return take_geometry(g, info, err) &&
           es_dicom_header_fields(g->reader.dicom, &g->reader.header, &info->fields, err);
}

es_grid_file *es_dicom_grid(const char *path, es_error *err) {
    static const es_slice_ops ops = {grid_slice, grid_free};
    es_grid_info info = {0};
    es_grid_file *file = NULL;
    grid *g = es_alloc_zero(1, sizeof *g, err);
    if (!g) return NULL;
    if (es_dicom_series_open(&g->series, path, err)) {
        if (take_slices(g, &info, err)) {
            file = es_grid_file_of_slices(path, &ops, g, &info, err);
            es_grid_info_clear(&info);
            return file;
        }
        es_prefix(err, "%s", path);
    }
    es_grid_info_clear(&info);
    grid_free(g);
    return NULL;
}

/* Ultrasound pictures without places are no volume; frames that have places
 * but make no even stack are said to be none. */
bool es_dicom_is_grid(const char *path, bool *is_grid, es_error *err) {
    es_error why = {0};
    es_grid_file *file = es_dicom_grid(path, &why);
    *is_grid = file != NULL && es_grid_file_info(file)->size[2] > 1;
    es_grid_close(file);
    if (why.code == ES_GEOMETRY && !strstr(why.message, unplaced))
        es_log(ES_NOTE, "%s; it is taken as single pictures", why.message);
    if (file || why.code == ES_GEOMETRY) return true;
    if (err) *err = why;
    return false;
}
