/* Recordings as other programs take them: .npy and .npz (NumPy), HDF5 as the
 * TUS-REC challenges have it, a folder of PNG.
 *
 * Frames are written as they come. Transforms and times are kept until the end
 * (128 bytes a transform and frame) and become arrays of their own: one [N, 4, 4]
 * a transform, NaN where it is not valid, and `timestamps` in seconds. */
#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "container.h"
#include "echosolid/picture.h"

enum { NPY_HEADER = 128, ZIP_LOCAL = 30, ZIP_EXTRA = 20, ENTRIES = ES_ARRAY_POSES + 2 };

/* ---- what all of them keep -------------------------------------------------------- */

typedef struct frames_out {
    char *path;
    es_stream_info info;
    size_t frame_bytes;
    uint64_t frames;
    es_array_extra extra; /* poses and times so far; counts are filled in at the end */
    size_t capacity;      /* frames that `extra` has room for */
    uint64_t times;       /* frames with a time */
    void *blank;          /* zeros for frames without an image */
    bool broken;
} frames_out;

static void out_clear(frames_out *o) {
    es_array_extra_clear(&o->extra);
    es_stream_info_clear(&o->info);
    es_free(o->blank);
    es_free(o->path);
}

static bool out_start(frames_out *o, const char *path, const es_stream_info *info, es_error *err) {
    size_t bytes;
    o->path = es_copy_text(path, err);
    if (!o->path || !es_stream_info_copy(info, &o->info, err)) return false;
    if (!info->width || !info->height)
        return es_fail(err, ES_USAGE, "%s: holds pictures; a recording of poses alone has none",
                       path);
    if (es_multiply(info->width, info->height, &bytes) &&
        es_multiply(bytes, (size_t)info->channels * es_type_size(info->type), &o->frame_bytes))
        return true;
    return es_fail(err, ES_MEMORY, "%s: frames of %u x %u pixels are too large", path, info->width,
                   info->height);
}

/* Room for one more frame in all arrays; a transform that appears late is NaN
 * before. */
static bool out_room(frames_out *o, es_error *err) {
    if (o->frames < o->capacity) return true;
    size_t capacity = o->capacity ? 2 * o->capacity : 256;
    for (int i = 0; i < o->extra.pose_count; i++)
        if (!es_resize(&o->extra.poses[i].matrices, capacity, 16 * sizeof(double), err))
            return false;
    if (!es_resize(&o->extra.times_s, capacity, sizeof(double), err)) return false;
    o->capacity = capacity;
    return true;
}

static es_array_poses *out_poses(frames_out *o, const char *name, es_error *err) {
    for (int i = 0; i < o->extra.pose_count; i++)
        if (strcmp(o->extra.poses[i].name, name) == 0) return &o->extra.poses[i];
    if (o->extra.pose_count == ES_ARRAY_POSES) {
        es_fail(err, ES_UNSUPPORTED, "more than %d transforms", ES_ARRAY_POSES);
        return NULL;
    }
    es_array_poses *poses = &o->extra.poses[o->extra.pose_count];
    poses->matrices = es_alloc(o->capacity, 16 * sizeof(double), err);
    if (!poses->matrices) return NULL;
    for (uint64_t i = 0; i < 16 * o->frames; i++) poses->matrices[i] = NAN;
    snprintf(poses->name, sizeof poses->name, "%s", name);
    o->extra.pose_count++;
    return poses;
}

static bool out_keep(frames_out *o, const es_frame *frame, es_error *err) {
    if (!out_room(o, err)) return false;
    for (int i = 0; i < o->extra.pose_count; i++)
        for (int k = 0; k < 16; k++) o->extra.poses[i].matrices[16 * o->frames + (uint64_t)k] = NAN;
    for (size_t i = 0; i < frame->transform_count; i++) {
        const es_frame_transform *t = &frame->transforms[i];
        es_array_poses *poses = out_poses(o, t->name, err);
        if (!poses) return false;
        for (int k = 0; k < 16; k++)
            poses->matrices[16 * o->frames + (uint64_t)k] = t->valid ? t->matrix.m[k] : NAN;
    }
    o->extra.times_s[o->frames] = frame->has_time ? frame->time_s : NAN;
    o->times += frame->has_time;
    return true;
}

/* The pixels to write: the frame's, or zeros. NULL on failure. */
static const void *out_pixels(frames_out *o, const es_frame *frame, es_error *err) {
    const es_image *image = &frame->image;
    if (!frame->has_image) {
        if (!o->blank) o->blank = es_alloc_zero(o->frame_bytes, 1, err);
        return o->blank;
    }
    if (image->width == o->info.width && image->height == o->info.height &&
        image->type == o->info.type && image->channels == o->info.channels)
        return image->data;
    es_fail(err, ES_USAGE, "an image of %u x %u in a recording of %u x %u", image->width,
            image->height, o->info.width, o->info.height);
    return NULL;
}

static bool out_ready(const frames_out *o, es_error *err) {
    if (o->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", o->path);
    return o->frames ||
           es_fail(err, ES_USAGE, "%s: a recording without frames is not written", o->path);
}

/* ---- .npy and .npz ------------------------------------------------------------------ */

/* One entry of the archive; a .npy is one entry without an archive. */
typedef struct entry {
    char name[ES_NAME_SIZE + 8];
    uint64_t at, data_at, bytes; /* of the local header, of the contents */
    uint32_t crc;
} entry;

typedef struct npy_out {
    frames_out out;
    es_output *file;
    bool archive;
    entry entries[ENTRIES];
    int count;
} npy_out;

static void npy_out_free(void *self) {
    npy_out *n = self;
    es_output_discard(n->file);
    out_clear(&n->out);
    es_free(n);
}

static void put_little(unsigned char *to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(value >> (8 * i));
}

static char *npy_header(char header[NPY_HEADER + 1], es_type type, uint64_t frames,
                        const char *rest) {
    static const char *const types[] = {"|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<f4", "<f8"};
    char text[NPY_HEADER - 10];
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%llu,%s), }",
             types[type], (unsigned long long)frames, rest);
    snprintf(header, NPY_HEADER + 1, "\x93NUMPY\x01_%c_%-117s\n", NPY_HEADER - 10, text);
    header[7] = header[9] = '\0';
    return header;
}

/* Sizes stand in a zip64 field in any case, so that any length fits. */
static bool write_local(npy_out *n, entry *e, es_error *err) {
    unsigned char head[ZIP_LOCAL + ZIP_EXTRA] = {'P', 'K', 3, 4, 45};
    size_t length = strlen(e->name);
    put_little(head + 14, e->crc, 4);
    put_little(head + 18, UINT32_MAX, 4);
    put_little(head + 22, UINT32_MAX, 4);
    put_little(head + 26, length, 2);
    put_little(head + 28, ZIP_EXTRA, 2);
    put_little(head + ZIP_LOCAL, 1, 2);
    put_little(head + ZIP_LOCAL + 2, 16, 2);
    put_little(head + ZIP_LOCAL + 4, e->bytes, 8);
    put_little(head + ZIP_LOCAL + 12, e->bytes, 8);
    if (e->data_at) /* again, now that all is known */
        return es_output_patch(n->file, e->at, head, ZIP_LOCAL, err) &&
               es_output_patch(n->file, e->at + ZIP_LOCAL + length, head + ZIP_LOCAL, ZIP_EXTRA,
                               err);
    e->at = es_output_position(n->file);
    return es_output_write(n->file, head, ZIP_LOCAL, err) &&
           es_output_write(n->file, e->name, length, err) &&
           es_output_write(n->file, head + ZIP_LOCAL, ZIP_EXTRA, err);
}

static entry *begin_entry(npy_out *n, const char *name, es_error *err) {
    entry *e = &n->entries[n->count++];
    char header[NPY_HEADER + 1];
    snprintf(e->name, sizeof e->name, "%s.npy", name);
    if (n->archive && !write_local(n, e, err)) return NULL;
    e->data_at = es_output_position(n->file);
    return es_output_write(n->file, npy_header(header, ES_U8, 0, ""), NPY_HEADER, err) ? e : NULL;
}

static bool write_part(npy_out *n, entry *e, const void *bytes, size_t length, es_error *err) {
    e->bytes += length;
    if (n->archive) e->crc = (uint32_t)crc32_z(e->crc, bytes, length);
    return es_output_write(n->file, bytes, length, err);
}

/* The true header, and what the archive says of the entry. */
static bool end_entry(npy_out *n, entry *e, es_type type, const char *rest, es_error *err) {
    char header[NPY_HEADER + 1];
    npy_header(header, type, n->out.frames, rest);
    uint32_t first = (uint32_t)crc32_z(0, (const unsigned char *)header, NPY_HEADER);
    e->crc = (uint32_t)crc32_combine(first, e->crc, (z_off_t)e->bytes);
    e->bytes += NPY_HEADER;
    return es_output_patch(n->file, e->data_at, header, NPY_HEADER, err) &&
           (!n->archive || write_local(n, e, err));
}

static bool write_central(npy_out *n, const entry *e, es_error *err) {
    unsigned char head[46 + 28] = {'P', 'K', 1, 2, 45, 3, 45};
    put_little(head + 16, e->crc, 4);
    put_little(head + 20, UINT32_MAX, 4);
    put_little(head + 24, UINT32_MAX, 4);
    put_little(head + 28, strlen(e->name), 2);
    put_little(head + 30, 28, 2);
    put_little(head + 38, 0x81a40000u, 4); /* a plain file, rw-r--r-- */
    put_little(head + 42, UINT32_MAX, 4);
    put_little(head + 46, 1, 2);
    put_little(head + 48, 24, 2);
    put_little(head + 50, e->bytes, 8);
    put_little(head + 58, e->bytes, 8);
    put_little(head + 66, e->at, 8);
    return es_output_write(n->file, head, 46, err) &&
           es_output_write(n->file, e->name, strlen(e->name), err) &&
           es_output_write(n->file, head + 46, 28, err);
}

/* The archive's directory with its zip64 end (PKWARE's APPNOTE, 4.3). */
static bool end_archive(npy_out *n, es_error *err) {
    unsigned char end[56 + 20 + 22] = {'P', 'K', 6, 6, 44};
    uint64_t at = es_output_position(n->file);
    for (int i = 0; i < n->count; i++)
        if (!write_central(n, &n->entries[i], err)) return false;
    uint64_t stop = es_output_position(n->file);
    put_little(end + 12, 45, 2);
    put_little(end + 14, 45, 2);
    put_little(end + 24, (uint64_t)n->count, 8);
    put_little(end + 32, (uint64_t)n->count, 8);
    put_little(end + 40, stop - at, 8);
    put_little(end + 48, at, 8);
    memcpy(end + 56, "PK\x06\x07", 4);
    put_little(end + 64, stop, 8);
    put_little(end + 72, 1, 4);
    memcpy(end + 76, "PK\x05\x06", 4);
    put_little(end + 84, (uint64_t)n->count, 2);
    put_little(end + 86, (uint64_t)n->count, 2);
    put_little(end + 88, UINT32_MAX, 4);
    put_little(end + 92, UINT32_MAX, 4);
    return es_output_write(n->file, end, sizeof end, err);
}

static bool npy_out_put(void *self, const es_frame *frame, es_error *err) {
    npy_out *n = self;
    frames_out *o = &n->out;
    if (o->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", o->path);
    o->broken = true;
    const void *pixels = out_pixels(o, frame, err);
    if (!pixels || (n->archive && !out_keep(o, frame, err)) ||
        !write_part(n, &n->entries[0], pixels, o->frame_bytes, err))
        return es_prefix(err, "%s: frame %llu", o->path, (unsigned long long)o->frames);
    o->frames++;
    o->broken = false;
    return true;
}

static bool write_extra(npy_out *n, const char *name, const double *values, size_t each,
                        es_error *err) {
    entry *e = begin_entry(n, name, err);
    return e && write_part(n, e, values, (size_t)n->out.frames * each * sizeof *values, err) &&
           end_entry(n, e, ES_F64, each == 16 ? " 4, 4" : "", err);
}

static bool npy_out_finish(void *self, es_error *err) {
    npy_out *n = self;
    frames_out *o = &n->out;
    char rest[64];
    if (!out_ready(o, err)) return false;
    o->broken = true;
    snprintf(rest, sizeof rest, " %u, %u%s", o->info.height, o->info.width,
             o->info.channels == 3 ? ", 3" : "");
    if (!end_entry(n, &n->entries[0], o->info.type, rest, err)) return false;
    for (int i = 0; n->archive && i < o->extra.pose_count; i++)
        if (!write_extra(n, o->extra.poses[i].name, o->extra.poses[i].matrices, 16, err))
            return false;
    if (n->archive && o->times && !write_extra(n, "timestamps", o->extra.times_s, 1, err))
        return false;
    if (n->archive && !end_archive(n, err)) return false;
    es_output *file = n->file;
    n->file = NULL;
    return es_output_commit(file, err);
}

es_sink *es_npy_create(const char *path, const es_stream_info *info,
                       const es_sequence_options *options, es_error *err) {
    (void)options; /* nothing is compressed */
    static const es_sink_ops ops = {npy_out_put, npy_out_finish, npy_out_free};
    npy_out *n = es_alloc_zero(1, sizeof *n, err);
    if (!n) return NULL;
    n->archive = es_has_suffix(path, ".npz");
    if (out_start(&n->out, path, info, err) && (n->file = es_output_open(path, err)) &&
        begin_entry(n, "frames", err))
        return es_sink_new(&ops, n, err);
    npy_out_free(n);
    return NULL;
}

/* ---- HDF5 --------------------------------------------------------------------------- */

typedef struct hdf5_out {
    frames_out out;
    es_output *part; /* keeps the name, and appears at the end */
    hid_t file, frames;
} hdf5_out;

static void hdf5_out_close(hdf5_out *h) {
    if (h->frames > 0) H5Dclose(h->frames);
    if (h->file > 0) H5Fclose(h->file);
    h->frames = h->file = -1;
}

static void hdf5_out_free(void *self) {
    hdf5_out *h = self;
    hdf5_out_close(h);
    es_output_discard(h->part);
    out_clear(&h->out);
    es_free(h);
}

static hid_t memory_type(es_type type) {
    switch (type) {
    case ES_U8: return H5T_NATIVE_UINT8;
    case ES_I8: return H5T_NATIVE_INT8;
    case ES_U16: return H5T_NATIVE_UINT16;
    case ES_I16: return H5T_NATIVE_INT16;
    case ES_U32: return H5T_NATIVE_UINT32;
    case ES_I32: return H5T_NATIVE_INT32;
    case ES_F32: return H5T_NATIVE_FLOAT;
    case ES_F64: return H5T_NATIVE_DOUBLE;
    }
    return -1;
}

static bool fail_hdf5(const hdf5_out *h, es_error *err) {
    return es_fail(err, ES_IO, "%s: HDF5 could not write it; is the disk full?", h->out.path);
}

static bool create_frames(hdf5_out *h, const es_sequence_options *options, es_error *err) {
    const es_stream_info *info = &h->out.info;
    int rank = info->channels == 3 ? 4 : 3;
    hsize_t none[4] = {0, info->height, info->width, 3},
            chunk[4] = {1, info->height, info->width, 3};
    hsize_t most[4] = {H5S_UNLIMITED, info->height, info->width, 3};
    hid_t space = H5Screate_simple(rank, none, most), plan = H5Pcreate(H5P_DATASET_CREATE);
    bool ok = space > 0 && plan > 0 && H5Pset_chunk(plan, rank, chunk) >= 0 &&
              (!options->compress || H5Pset_deflate(plan, (unsigned)options->level) >= 0);
    if (ok)
        h->frames = H5Dcreate2(h->file, "frames", memory_type(info->type), space, H5P_DEFAULT, plan,
                               H5P_DEFAULT);
    if (plan > 0) H5Pclose(plan);
    if (space > 0) H5Sclose(space);
    return h->frames > 0 || fail_hdf5(h, err);
}

static bool write_frame(hdf5_out *h, const void *pixels, es_error *err) {
    const es_stream_info *info = &h->out.info;
    int rank = info->channels == 3 ? 4 : 3;
    hsize_t size[4] = {h->out.frames + 1, info->height, info->width, 3};
    hsize_t at[4] = {h->out.frames}, one[4] = {1, info->height, info->width, 3};
    bool ok = H5Dset_extent(h->frames, size) >= 0;
    hid_t space = ok ? H5Dget_space(h->frames) : -1, memory = H5Screate_simple(rank, one, NULL);
    ok = space > 0 && memory > 0 &&
         H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, one, NULL) >= 0 &&
         H5Dwrite(h->frames, memory_type(info->type), memory, space, H5P_DEFAULT, pixels) >= 0;
    if (memory > 0) H5Sclose(memory);
    if (space > 0) H5Sclose(space);
    return ok || fail_hdf5(h, err);
}

static bool hdf5_out_put(void *self, const es_frame *frame, es_error *err) {
    hdf5_out *h = self;
    frames_out *o = &h->out;
    if (o->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", o->path);
    o->broken = true;
    const void *pixels = out_pixels(o, frame, err);
    if (!pixels || !out_keep(o, frame, err) || !write_frame(h, pixels, err))
        return es_prefix(err, "%s: frame %llu", o->path, (unsigned long long)o->frames);
    o->frames++;
    o->broken = false;
    return true;
}

static bool write_values(hdf5_out *h, const char *name, const double *values, int rank,
                         es_error *err) {
    hsize_t size[3] = {h->out.frames, 4, 4};
    hid_t space = H5Screate_simple(rank, size, NULL);
    hid_t id = space > 0 ? H5Dcreate2(h->file, name, H5T_IEEE_F64LE, space, H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT)
                         : -1;
    bool ok = id > 0 && H5Dwrite(id, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (id > 0) H5Dclose(id);
    if (space > 0) H5Sclose(space);
    return ok || fail_hdf5(h, err);
}

static bool hdf5_out_finish(void *self, es_error *err) {
    hdf5_out *h = self;
    frames_out *o = &h->out;
    if (!out_ready(o, err)) return false;
    o->broken = true;
    bool ok = true;
    for (int i = 0; i < o->extra.pose_count && ok; i++) {
        const es_array_poses *poses = &o->extra.poses[i];
        /* The challenges' name, which is read as ProbeToTracker. */
        bool only = o->extra.pose_count == 1 && strcmp(poses->name, "ProbeToTracker") == 0;
        ok = write_values(h, only ? "tforms" : poses->name, poses->matrices, 3, err);
    }
    ok = ok && (!o->times || write_values(h, "timestamps", o->extra.times_s, 1, err));
    if (ok && H5Fflush(h->file, H5F_SCOPE_GLOBAL) < 0) ok = fail_hdf5(h, err);
    hdf5_out_close(h);
    if (!ok) return false;
    es_output *part = h->part;
    h->part = NULL;
    return es_output_commit(part, err);
}

es_sink *es_hdf5_create(const char *path, const es_stream_info *info,
                        const es_sequence_options *options, es_error *err) {
    static const es_sink_ops ops = {hdf5_out_put, hdf5_out_finish, hdf5_out_free};
    hdf5_out *h = es_alloc_zero(1, sizeof *h, err);
    if (!h) return NULL;
    es_text part = {0};
    es_text_add(&part, "%s.part", path); /* es_output's file, which HDF5 fills */
    bool ok = !part.failed || es_fail(err, ES_MEMORY, "out of memory");
    ok = ok && out_start(&h->out, path, info, err) && (h->part = es_output_open(path, err));
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (ok) {
        h->file = H5Fcreate(part.bytes, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        ok = (h->file > 0 || fail_hdf5(h, err)) && create_frames(h, options, err);
    }
    es_text_free(&part);
    if (ok) return es_sink_new(&ops, h, err);
    hdf5_out_free(h);
    return NULL;
}

/* ---- a folder of PNG ------------------------------------------------------------------ */

typedef struct folder_out {
    frames_out out;
    char *part; /* the folder until it is whole */
    bool made;
} folder_out;

static bool png_name(const folder_out *f, uint64_t frame, es_text *name, es_error *err) {
    es_text_add(name, "%s/frame%06llu.png", f->part, (unsigned long long)frame);
    return !name->failed || es_fail(err, ES_MEMORY, "out of memory");
}

static void folder_out_free(void *self) {
    folder_out *f = self;
    for (uint64_t i = 0; f->made && i < f->out.frames; i++) {
        es_text name = {0};
        if (png_name(f, i, &name, NULL)) unlink(name.bytes);
        es_text_free(&name);
    }
    if (f->made) rmdir(f->part);
    es_free(f->part);
    out_clear(&f->out);
    es_free(f);
}

static bool folder_out_put(void *self, const es_frame *frame, es_error *err) {
    folder_out *f = self;
    frames_out *o = &f->out;
    es_text name = {0};
    es_image picture = {.type = o->info.type,
                        .channels = o->info.channels,
                        .width = o->info.width,
                        .height = o->info.height};
    if (o->broken) return es_fail(err, ES_USAGE, "%s: a frame could not be written", o->path);
    const void *pixels = out_pixels(o, frame, err);
    picture.data = (void *)pixels; /* only read */
    o->broken =
        !pixels || !png_name(f, o->frames, &name, err) || !es_png_write(name.bytes, &picture, err);
    es_text_free(&name);
    o->frames += !o->broken;
    return !o->broken;
}

static bool folder_out_finish(void *self, es_error *err) {
    folder_out *f = self;
    if (!out_ready(&f->out, err)) return false;
    if (rename(f->part, f->out.path) != 0)
        return es_fail_errno(err, "%s: cannot be written", f->out.path);
    f->made = false;
    return true;
}

/* The folder under its preliminary name; an empty one of the final name makes
 * room. */
static bool make_folder(folder_out *f, es_error *err) {
    char *path = f->out.path;
    es_text part = {0};
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--) path[n - 1] = '\0';
    es_text_add(&part, "%s.part", path);
    f->part = part.bytes;
    if (part.failed) return es_fail(err, ES_MEMORY, "out of memory");
    if (rmdir(path) != 0 && errno != ENOENT)
        return es_fail(err, ES_USAGE, "%s: is there already and not empty; give another folder",
                       path);
    f->made = mkdir(f->part, 0777) == 0;
    return f->made || es_fail_errno(err, "%s: cannot be made", f->part);
}

es_sink *es_folder_create(const char *path, const es_stream_info *info,
                          const es_sequence_options *options, es_error *err) {
    (void)options; /* PNG is always compressed */
    static const es_sink_ops ops = {folder_out_put, folder_out_finish, folder_out_free};
    folder_out *f = es_alloc_zero(1, sizeof *f, err);
    if (!f) return NULL;
    bool ok = out_start(&f->out, path, info, err);
    if (ok && info->type != ES_U8)
        ok = es_fail(err, ES_UNSUPPORTED,
                     "%s: PNG pictures are written of u8 pixels, these are %s; write .npy or .mha",
                     path, es_type_name(info->type));
    if (ok && make_folder(f, err)) return es_sink_new(&ops, f, err);
    folder_out_free(f);
    return NULL;
}

bool es_folder_is_meant(const char *path) {
    struct stat status;
    size_t length = strlen(path);
    return (length && path[length - 1] == '/') ||
           (stat(path, &status) == 0 && S_ISDIR(status.st_mode));
}
