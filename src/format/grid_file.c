/* Volumes in and out, slab by slab, whatever their format. */
#include <math.h>
#include <string.h>

#include "format_internal.h"

/* ---- reading ------------------------------------------------------------------- */

struct es_grid_file {
    es_layout layout;
    es_grid_info info;
    size_t row_values;       /* of one slice, channels included */
    void *stored;            /* a slice before scaling; NULL when none is needed */
    const es_slice_ops *ops; /* set: slices come from here, not from the layout */
    void *self;
};

void es_grid_close(es_grid_file *file) {
    if (!file) return;
    if (file->ops) file->ops->free(file->self);
    es_layout_clear(&file->layout);
    es_grid_info_clear(&file->info);
    es_free(file->stored);
    es_free(file);
}

const es_grid_info *es_grid_file_info(const es_grid_file *file) { return &file->info; }

/* Scaled integers become f32, or f64 where f32 would lose digits. */
static es_type scaled_type(es_type type) {
    return type == ES_U32 || type == ES_I32 || type == ES_F64 ? ES_F64 : ES_F32;
}

static bool check_layout(const es_layout *layout, es_error *err) {
    if (layout->poses_only)
        return es_fail(err, ES_FORMAT, "holds poses without pixels; expected a volume");
    if (layout->list_last || (layout->told_frames && !layout->told_kinds))
        return es_fail(
            err, ES_FORMAT,
            "is a recording of frames, not a volume; reconstruct a volume from it first");
    if (layout->dims == 4 && layout->size[3] > 1)
        return es_fail(err, ES_UNSUPPORTED, "holds %llu volumes; expected one",
                       (unsigned long long)layout->size[3]);
    return true;
}

bool es_layout_to_grid(const es_layout *layout, es_grid_info *info, es_error *err) {
    memset(info, 0, sizeof *info);
    if (!check_layout(layout, err)) return false;
    double m[9];
    for (int i = 0; i < 3; i++) {
        info->size[i] = i < layout->dims ? layout->size[i] : 1;
        info->origin_mm[i] = layout->origin[i];
        info->spacing_mm[i] = layout->spacing[i];
    }
    memcpy(m, layout->direction, sizeof m);
    es_layout unit = {0}; /* directions of any length become unit ones */
    if (!es_layout_set_axes(&unit, m, err)) return false;
    memcpy(info->direction, unit.direction, sizeof info->direction);
    info->type = layout->scaled ? scaled_type(layout->type) : layout->type;
    info->channels = layout->channels;
    return es_fields_copy(&layout->fields, &info->fields, err);
}

es_grid_file *es_grid_file_new(es_layout *layout, es_error *err) {
    es_grid_file *file = es_alloc_zero(1, sizeof *file, err);
    if (!file) {
        es_layout_clear(layout);
        return NULL;
    }
    file->layout = *layout;
    layout = &file->layout;
    bool ok =
        es_payload_check(&layout->payload, err) && es_layout_to_grid(layout, &file->info, err);
    file->row_values =
        (size_t)(layout->size[0] * layout->size[1]) * (size_t)layout->channels; /* checked */
    if (ok && layout->scaled) {
        file->stored = es_alloc(file->row_values, es_type_size(layout->type), err);
        ok = file->stored != NULL;
    }
    if (ok) return file;
    es_prefix(err, "%s", layout->path);
    es_grid_close(file);
    return NULL;
}

es_grid_file *es_grid_file_of_slices(const char *path, const es_slice_ops *ops, void *self,
                                     const es_grid_info *info, es_error *err) {
    es_grid_file *file = es_alloc_zero(1, sizeof *file, err);
    if (!file) {
        ops->free(self);
        return NULL;
    }
    file->ops = ops;
    file->self = self;
    es_payload_start(&file->layout.payload);
    file->info = *info;
    file->info.fields = (es_fields){0};
    file->row_values = (size_t)(info->size[0] * info->size[1]) * (size_t)info->channels;
    file->layout.path = es_copy_text(path, err);
    if (file->layout.path && es_fields_copy(&info->fields, &file->info.fields, err)) return file;
    es_grid_close(file);
    return NULL;
}

static bool read_slice(es_grid_file *file, uint64_t z, void *out, es_error *err) {
    if (file->ops) return file->ops->slice(file->self, z, out, err);
    es_layout *layout = &file->layout;
    size_t element = es_type_size(layout->type), bytes = file->row_values * element;
    void *to = layout->scaled ? file->stored : out;
    if (!es_payload_read(&layout->payload, z * bytes, to, bytes, err)) return false;
    if (layout->swap) es_swap_bytes(to, element, file->row_values);
    for (size_t i = 0; layout->scaled && i < file->row_values; i++)
        es_type_set(file->info.type, out, i,
                    layout->slope * es_type_get(layout->type, to, i) + layout->intercept);
    return true;
}

bool es_grid_file_slab(void *context, uint64_t z0, uint64_t count, void *out, es_error *err) {
    es_grid_file *file = context;
    unsigned char *to = out;
    if (z0 > file->info.size[2] || count > file->info.size[2] - z0)
        return es_fail(err, ES_USAGE, "%s: slices %llu to %llu of %llu", file->layout.path,
                       (unsigned long long)z0, (unsigned long long)(z0 + count),
                       (unsigned long long)file->info.size[2]);
    for (uint64_t z = z0; z < z0 + count; z++) {
        if (es_cancelled(err)) return false;
        if (!read_slice(file, z, to, err))
            return es_prefix(err, "%s: slice %llu", file->layout.path, (unsigned long long)z);
        to += file->row_values * es_type_size(file->info.type);
    }
    return true;
}

/* ---- writing ------------------------------------------------------------------- */

static bool check_info(const es_grid_info *info, es_error *err) {
    for (int i = 0; i < 3; i++) {
        if (info->size[i] == 0 || info->size[i] > INT64_MAX)
            return es_fail(err, ES_USAGE, "a volume of %llu x %llu x %llu voxels cannot be written",
                           (unsigned long long)info->size[0], (unsigned long long)info->size[1],
                           (unsigned long long)info->size[2]);
        if (!isfinite(info->origin_mm[i]) || !isfinite(info->spacing_mm[i]) ||
            !(info->spacing_mm[i] > 0))
            return es_fail(err, ES_USAGE,
                           "a volume with origin %g and spacing %g mm cannot be written",
                           info->origin_mm[i], info->spacing_mm[i]);
    }
    if (info->channels != 1 && info->channels != 3)
        return es_fail(err, ES_USAGE, "a volume of %d channels; expected 1 or 3", info->channels);
    es_layout unit = {0};
    return es_layout_set_axes(&unit, info->direction, err);
}

/* Bytes of a slice; all voxels must be countable too. */
static bool slice_bytes(const es_grid_info *info, size_t *bytes, es_error *err) {
    size_t all;
    if (es_multiply(info->size[0], info->size[1], bytes) &&
        es_multiply(*bytes, (size_t)info->channels * es_type_size(info->type), bytes) &&
        es_multiply(*bytes, info->size[2], &all) && all <= INT64_MAX)
        return true;
    return es_fail(err, ES_MEMORY, "a volume of %llu x %llu x %llu voxels is too large",
                   (unsigned long long)info->size[0], (unsigned long long)info->size[1],
                   (unsigned long long)info->size[2]);
}

bool es_grid_job_check(const es_grid_job *job, es_error *err) {
    return check_info(job->info, err) || es_prefix(err, "%s", job->path);
}

bool es_grid_job_pump(const es_grid_job *job,
                      bool (*put)(void *to, const void *bytes, size_t length, es_error *err),
                      void *to, es_error *err) {
    enum { SLAB = 4 << 20 };
    size_t slice;
    if (!slice_bytes(job->info, &slice, err)) return false;
    uint64_t depth = job->info->size[2], step = slice < SLAB ? SLAB / slice : 1;
    if (step > depth) step = depth;
    void *slab = es_alloc((size_t)step, slice, err);
    bool ok = slab != NULL;
    for (uint64_t z = 0; ok && z < depth; z += step) {
        uint64_t count = depth - z < step ? depth - z : step;
        ok = !es_cancelled(err) && job->slab(job->context, z, count, slab, err) &&
             put(to, slab, (size_t)count * slice, err);
    }
    es_free(slab);
    return ok;
}

static bool pack(void *packer, const void *bytes, size_t length, es_error *err) {
    return es_packer_write(packer, bytes, length, err);
}

bool es_grid_job_run(const es_grid_job *job, const es_dialect *dialect, es_error *err) {
    if (!es_grid_job_check(job, err)) return false;
    bool compress = dialect->name_decides ? es_has_suffix(job->path, ".gz") : job->options.compress;
    bool detached = dialect->detached && es_has_suffix(job->path, dialect->detached);
    es_writer_plan plan = {
        .path = job->path,
        .packing = compress ? dialect->packing : ES_PACK_RAW,
        .level = job->options.level,
        .data_extension = !detached  ? NULL
                          : compress ? dialect->packed
                                     : dialect->raw,
    };
    es_writer writer;
    bool ok = es_writer_start(&writer, &plan, err) &&
              dialect->grid_header(&writer, job->info, compress, err) &&
              es_grid_job_pump(job, pack, &writer.packer, err) && es_writer_finish(&writer, err);
    es_writer_discard(&writer);
    return ok;
}
