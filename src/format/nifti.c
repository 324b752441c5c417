/* NIfTI-1 and NIfTI-2 volumes: .nii, .nii.gz.
 *
 * The header is binary, 348 or 540 bytes. Voxels are placed in RAS
 * millimetres by the sform (an affine matrix) or else the qform (a
 * quaternion); both are turned to LPS here. Structures, byte swapping and the
 * quaternion mathematics are libnifti's; its file functions are not used, as
 * they print, read whole volumes and trust what they read. */
#include <math.h>
#include <string.h>

#include <nifti2_io.h>

#include "format_internal.h"

static const struct {
    int code;
    es_type type;
    int channels;
} type_codes[] = {
    {NIFTI_TYPE_UINT8, ES_U8, 1},    {NIFTI_TYPE_INT8, ES_I8, 1},
    {NIFTI_TYPE_UINT16, ES_U16, 1},  {NIFTI_TYPE_INT16, ES_I16, 1},
    {NIFTI_TYPE_UINT32, ES_U32, 1},  {NIFTI_TYPE_INT32, ES_I32, 1},
    {NIFTI_TYPE_FLOAT32, ES_F32, 1}, {NIFTI_TYPE_FLOAT64, ES_F64, 1},
    {NIFTI_TYPE_RGB24, ES_U8, 3},
};
enum { TYPES = sizeof type_codes / sizeof *type_codes, HEAD_1 = 348, HEAD_2 = 540 };

/* ---- reading ------------------------------------------------------------------ */

/* 1 or 2, and whether the bytes of numbers are reversed; 0: neither. */
static int version_of(const unsigned char *head, size_t length, bool *swap) {
    if (length < HEAD_1) return 0;
    int32_t size;
    memcpy(&size, head, sizeof size);
    *swap = size == 1543569408 || size == 469893120; /* 348 and 540 reversed */
    if (size == HEAD_1 || size == 1543569408) return memcmp(head + 344, "n+1", 4) == 0 ? 1 : 0;
    if (size == HEAD_2 || size == 469893120) return memcmp(head + 4, "n+2", 4) == 0 ? 2 : 0;
    return 0;
}

static bool is_gzip(const unsigned char *head, size_t length) {
    return length >= 2 && head[0] == 0x1f && head[1] == 0x8b;
}

/* The first bytes of a gzip stream, decoded. */
static size_t peek(const unsigned char *head, size_t length, unsigned char *out, size_t size) {
    z_stream stream = {0};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) return 0;
    stream.next_in = (unsigned char *)head;
    stream.avail_in = (uInt)length;
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    inflate(&stream, Z_SYNC_FLUSH);
    size_t made = size - stream.avail_out;
    inflateEnd(&stream);
    return made;
}

static bool nifti_probe(const unsigned char *head, size_t length) {
    unsigned char plain[HEAD_2];
    bool swap;
    if (!is_gzip(head, length)) return version_of(head, length, &swap) != 0;
    return version_of(plain, peek(head, length, plain, sizeof plain), &swap) != 0;
}

/* A NIfTI-1 header in the words of NIfTI-2, which holds everything wider. */
static nifti_2_header widen(const nifti_1_header *from) {
    nifti_2_header to = {0};
    to.datatype = from->datatype;
    for (int i = 0; i < 8; i++) {
        to.dim[i] = from->dim[i];
        to.pixdim[i] = (double)from->pixdim[i];
    }
    to.vox_offset =
        from->vox_offset >= 0 && from->vox_offset < 1e9f ? (int64_t)from->vox_offset : -1;
    to.scl_slope = (double)from->scl_slope;
    to.scl_inter = (double)from->scl_inter;
    to.qform_code = from->qform_code;
    to.sform_code = from->sform_code;
    to.quatern_b = (double)from->quatern_b;
    to.quatern_c = (double)from->quatern_c;
    to.quatern_d = (double)from->quatern_d;
    to.qoffset_x = (double)from->qoffset_x;
    to.qoffset_y = (double)from->qoffset_y;
    to.qoffset_z = (double)from->qoffset_z;
    for (int i = 0; i < 4; i++) {
        to.srow_x[i] = (double)from->srow_x[i];
        to.srow_y[i] = (double)from->srow_y[i];
        to.srow_z[i] = (double)from->srow_z[i];
    }
    to.xyzt_units = from->xyzt_units;
    return to;
}

static bool read_head(es_layout *layout, nifti_2_header *head, es_error *err) {
    unsigned char bytes[HEAD_2] = {0};
    es_payload *payload = &layout->payload;
    unsigned char magic[2];
    if (!es_payload_add(payload, layout->path, err)) return false;
    payload->bytes = sizeof magic;
    if (!es_payload_read(payload, 0, magic, sizeof magic, err)) return false;
    payload->deflated = is_gzip(magic, sizeof magic);
    es_payload_reopen(payload);
    payload->bytes = HEAD_1;
    if (!es_payload_read(payload, 0, bytes, HEAD_1, err)) return false;
    int version = version_of(bytes, HEAD_1, &layout->swap);
    if (version == 0)
        return es_fail(err, ES_FORMAT,
                       "no NIfTI header (its size is not 348 or 540, or its mark is "
                       "not n+1 or n+2)");
    if (version == 1) {
        nifti_1_header one;
        memcpy(&one, bytes, sizeof one);
        if (layout->swap) nifti_swap_as_nifti1(&one);
        *head = widen(&one);
        return true;
    }
    payload->bytes = HEAD_2;
    if (!es_payload_read(payload, 0, bytes, HEAD_2, err)) return false;
    memcpy(head, bytes, sizeof *head);
    if (layout->swap) nifti_swap_as_nifti2(head);
    return true;
}

static bool take_sizes(es_layout *layout, const nifti_2_header *head, es_error *err) {
    if (head->dim[0] < 2 || head->dim[0] > 7)
        return es_fail(err, ES_FORMAT, "%lld dimensions; expected 3", (long long)head->dim[0]);
    for (int i = 1; i <= head->dim[0]; i++)
        if (head->dim[i] < 1 || (i > 4 && head->dim[i] != 1))
            return es_fail(err, i > 4 && head->dim[i] > 1 ? ES_UNSUPPORTED : ES_FORMAT,
                           "size %d is %lld; expected one volume of three axes, or frames in time",
                           i, (long long)head->dim[i]);
    /* The fourth axis is time: frames, when there is more than one. */
    layout->list_last = head->dim[0] > 3 && head->dim[4] > 1;
    layout->dims = layout->list_last ? 4 : 3;
    for (int i = 0; i < layout->dims; i++)
        layout->size[i] = i < head->dim[0] ? (uint64_t)head->dim[i + 1] : 1;
    return true;
}

static void take_rate(es_layout *layout, const nifti_2_header *head) {
    int unit = head->xyzt_units & 0x38;
    double second = unit == NIFTI_UNITS_SEC    ? 1
                    : unit == NIFTI_UNITS_MSEC ? 1e-3
                    : unit == NIFTI_UNITS_USEC ? 1e-6
                                               : 0;
    double step = head->pixdim[4] * second;
    if (layout->list_last && isfinite(step) && step > 0) layout->frame_step_s = step;
}

static bool take_type(es_layout *layout, const nifti_2_header *head, es_error *err) {
    for (int i = 0; i < TYPES; i++)
        if (type_codes[i].code == head->datatype) {
            layout->type = type_codes[i].type;
            layout->channels = type_codes[i].channels;
            double slope = head->scl_slope, inter = head->scl_inter;
            bool sane = isfinite(slope) && isfinite(inter) && slope != 0;
            layout->scaled = sane && layout->channels == 1 && (slope != 1 || inter != 0);
            layout->slope = slope;
            layout->intercept = inter;
            return true;
        }
    return es_fail(
        err, ES_UNSUPPORTED,
        "data type %d is not read; expected 8- to 32-bit integers, 32- or 64-bit floats, "
        "or RGB",
        head->datatype);
}

static bool take_unit(const nifti_2_header *head, double *mm, es_error *err) {
    int unit = head->xyzt_units & 7;
    *mm = unit == NIFTI_UNITS_METER ? 1000 : unit == NIFTI_UNITS_MICRON ? 1e-3 : 1;
    if (unit == NIFTI_UNITS_UNKNOWN || unit == NIFTI_UNITS_METER || unit == NIFTI_UNITS_MM ||
        unit == NIFTI_UNITS_MICRON)
        return true;
    return es_fail(err, ES_FORMAT, "unit of length %d is unknown", unit);
}

/* Voxel index -> RAS: the sform first, as its code says it is meant; else the
 * qform; else the voxel sizes alone (methods 3, 2 and 1 of the standard). */
static nifti_dmat44 placement(const nifti_2_header *head) {
    nifti_dmat44 m = {{{0}}};
    const double *size = head->pixdim;
    if (head->sform_code > 0) {
        memcpy(m.m[0], head->srow_x, sizeof m.m[0]);
        memcpy(m.m[1], head->srow_y, sizeof m.m[1]);
        memcpy(m.m[2], head->srow_z, sizeof m.m[2]);
    } else if (head->qform_code > 0) {
        m = nifti_quatern_to_dmat44(head->quatern_b, head->quatern_c, head->quatern_d,
                                    head->qoffset_x, head->qoffset_y, head->qoffset_z, size[1],
                                    size[2], size[3], size[0] < 0 ? -1 : 1);
    } else {
        for (int i = 0; i < 3; i++) m.m[i][i] = size[i + 1];
    }
    return m;
}

static bool take_geometry(es_layout *layout, const nifti_2_header *head, es_error *err) {
    double mm, axes[9];
    if (!take_unit(head, &mm, err)) return false;
    nifti_dmat44 m = placement(head);
    for (int row = 0; row < 3; row++) {
        double sign = row < 2 ? -mm : mm; /* RAS to LPS */
        for (int i = 0; i < 3; i++) axes[3 * row + i] = sign * m.m[row][i];
        layout->origin[row] = sign * m.m[row][3] + 0.0; /* no -0 */
        if (!isfinite(layout->origin[row]))
            return es_fail(err, ES_FORMAT, "the position of the volume is not finite");
    }
    return es_layout_set_axes(layout, axes, err);
}

static bool nifti_read(const char *path, es_layout *layout, es_error *err) {
    nifti_2_header head;
    if (!es_layout_start(layout, "nifti", path, err)) return false;
    layout->told_kinds = true;
    bool ok = read_head(layout, &head, err);
    layout->told_space = ok && (head.sform_code > 0 || head.qform_code > 0);
    ok = ok && take_sizes(layout, &head, err) && take_type(layout, &head, err) &&
         take_geometry(layout, &head, err);
    if (ok) take_rate(layout, &head);
    int64_t offset = ok ? head.vox_offset : 0;
    if (ok && (offset < HEAD_1 || offset > INT64_MAX / 4))
        ok = es_fail(err, ES_FORMAT, "voxels at byte %lld; expected at least %d", (long long)offset,
                     HEAD_1);
    *(layout->payload.deflated ? &layout->payload.inflated_skip : &layout->payload.skip) =
        (uint64_t)offset;
    es_payload_reopen(&layout->payload);
    return (ok && es_layout_finish(layout, err)) || es_prefix(err, "%s", path);
}

/* ---- writing ------------------------------------------------------------------- */

static int type_code(const es_grid_info *info) {
    for (int i = 0; i < TYPES; i++)
        if (type_codes[i].type == info->type && type_codes[i].channels == info->channels)
            return type_codes[i].code;
    return 0;
}

static nifti_dmat44 ras_matrix(const es_grid_info *info) {
    nifti_dmat44 m = {{{0}}};
    for (int row = 0; row < 3; row++) {
        double sign = row < 2 ? -1 : 1;
        for (int i = 0; i < 3; i++)
            m.m[row][i] = sign * info->direction[3 * row + i] * info->spacing_mm[i];
        m.m[row][3] = sign * info->origin_mm[row];
    }
    m.m[3][3] = 1;
    return m;
}

static bool is_orthogonal(const es_grid_info *info) {
    const double *d = info->direction;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < a; b++)
            if (fabs(d[a] * d[b] + d[3 + a] * d[3 + b] + d[6 + a] * d[6 + b]) > 1e-4) return false;
    return true;
}

static nifti_2_header describe(const es_grid_info *info) {
    nifti_2_header head = {0};
    nifti_dmat44 m = ras_matrix(info);
    head.datatype = (int16_t)type_code(info);
    head.bitpix = (int16_t)(8 * es_type_size(info->type) * (size_t)info->channels);
    for (int i = 0; i < 8; i++) head.dim[i] = i == 0 ? 3 : i <= 3 ? (int64_t)info->size[i - 1] : 1;
    for (int i = 1; i < 8; i++) head.pixdim[i] = i <= 3 ? info->spacing_mm[i - 1] : 1;
    head.pixdim[0] = 1;
    head.scl_slope = 1;
    head.xyzt_units = NIFTI_UNITS_MM;
    head.sform_code = NIFTI_XFORM_SCANNER_ANAT;
    memcpy(head.srow_x, m.m[0], sizeof m.m[0]);
    memcpy(head.srow_y, m.m[1], sizeof m.m[1]);
    memcpy(head.srow_z, m.m[2], sizeof m.m[2]);
    if (is_orthogonal(info)) { /* a quaternion cannot hold a shear */
        double dx, dy, dz;
        head.qform_code = NIFTI_XFORM_SCANNER_ANAT;
        nifti_dmat44_to_quatern(m, &head.quatern_b, &head.quatern_c, &head.quatern_d,
                                &head.qoffset_x, &head.qoffset_y, &head.qoffset_z, &dx, &dy, &dz,
                                &head.pixdim[0]);
    }
    snprintf(head.descrip, sizeof head.descrip, "echosolid %s", es_version());
    return head;
}

static nifti_1_header narrow(const nifti_2_header *from) {
    nifti_1_header to = {0};
    to.sizeof_hdr = HEAD_1;
    to.regular = 'r';
    to.datatype = from->datatype;
    to.bitpix = from->bitpix;
    for (int i = 0; i < 8; i++) {
        to.dim[i] = (short)from->dim[i];
        to.pixdim[i] = (float)from->pixdim[i];
    }
    to.vox_offset = HEAD_1 + 4;
    to.scl_slope = 1;
    to.qform_code = (short)from->qform_code;
    to.sform_code = (short)from->sform_code;
    to.quatern_b = (float)from->quatern_b;
    to.quatern_c = (float)from->quatern_c;
    to.quatern_d = (float)from->quatern_d;
    to.qoffset_x = (float)from->qoffset_x;
    to.qoffset_y = (float)from->qoffset_y;
    to.qoffset_z = (float)from->qoffset_z;
    for (int i = 0; i < 4; i++) {
        to.srow_x[i] = (float)from->srow_x[i];
        to.srow_y[i] = (float)from->srow_y[i];
        to.srow_z[i] = (float)from->srow_z[i];
    }
    to.xyzt_units = (char)from->xyzt_units;
    memcpy(to.descrip, from->descrip, sizeof to.descrip);
    memcpy(to.magic, "n+1", 4);
    return to;
}

static bool grid_header(es_writer *writer, const es_grid_info *info, bool compress, es_error *err) {
    (void)compress;
    static const unsigned char no_extensions[4] = {0};
    if (type_code(info) == 0)
        return es_fail(err, ES_UNSUPPORTED, "NIfTI holds RGB of 8 bits only, not of %s; write .mha",
                       es_type_name(info->type));
    nifti_2_header head = describe(info);
    bool large = false;
    for (int i = 0; i < 3; i++) large = large || info->size[i] > INT16_MAX;
    bool ok;
    if (large) {
        head.sizeof_hdr = HEAD_2;
        memcpy(head.magic, "n+2\0\r\n\032\n", 8);
        head.vox_offset = HEAD_2 + 4;
        ok = es_packer_write(&writer->packer, &head, sizeof head, err);
    } else {
        nifti_1_header one = narrow(&head);
        ok = es_packer_write(&writer->packer, &one, sizeof one, err);
    }
    return ok && es_packer_write(&writer->packer, no_extensions, sizeof no_extensions, err);
}

static const es_dialect dialect = {
    .packing = ES_PACK_GZIP,
    .name_decides = true,
    .grid_header = grid_header,
};

const es_format es_format_nifti = {
    .name = "NIfTI",
    .reads = ".nii .nii.gz",
    .volumes = ".nii .nii.gz",
    .keeps = ES_KEEPS_ALL,
    .probe = nifti_probe,
    .read = nifti_read,
    .dialect = &dialect,
};
