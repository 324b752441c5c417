/* A volume as DICOM: a multi-frame secondary capture with functional groups,
 * which is the form that GDCM, and with it ITK and 3D Slicer, places and
 * scales rightly; and beside it, for 8-bit grey, an Enhanced US Volume
 * (name.eus.dcm), the form made for ultrasound that fewer programs know. */
#include <math.h>
#include <string.h>

#include "dicom_internal.h"
#include "dicom_write.h"

typedef struct volume {
    const es_grid_info *info;
    es_dicom_kind kind;
} volume;

/* ---- functional groups -------------------------------------------------------------- */

static void begin_group(es_elements *to, uint32_t tag) {
    es_put_sequence(to, tag);
    es_put_item(to);
}

static void end_group(es_elements *to) {
    es_put_item_end(to);
    es_put_sequence_end(to);
}

static void put_measures(es_elements *to, const es_grid_info *info) {
    double row_column[2] = {info->spacing_mm[1], info->spacing_mm[0]};
    begin_group(to, 0x00289110);
    es_put_decimals(to, 0x00180050, &info->spacing_mm[2], 1);
    es_put_decimals(to, 0x00180088, &info->spacing_mm[2], 1);
    es_put_decimals(to, 0x00280030, row_column, 2);
    end_group(to);
}

/* In the patient's directions, and for an Enhanced US Volume also in its own,
 * which are the same (PATIENT, see es_dicom_us_put_space). */
static void put_orientation(es_elements *to, const volume *v) {
    const double *d = v->info->direction;
    double axes[6] = {d[0], d[3], d[6], d[1], d[4], d[7]};
    begin_group(to, 0x00209116);
    es_put_decimals(to, 0x00200037, axes, 6);
    end_group(to);
    if (v->kind != ES_DICOM_US_VOLUME) return;
    begin_group(to, 0x0020930f);
    es_put_doubles(to, 0x00209302, axes, 6);
    end_group(to);
}

static void put_position(es_elements *to, const volume *v, uint64_t z) {
    double position[3];
    for (int k = 0; k < 3; k++)
        position[k] = v->info->origin_mm[k] +
                      (double)z * v->info->spacing_mm[2] * v->info->direction[3 * k + 2];
    begin_group(to, 0x00209113);
    es_put_decimals(to, 0x00200032, position, 3);
    end_group(to);
    if (v->kind != ES_DICOM_US_VOLUME) return;
    begin_group(to, 0x0020930e);
    es_put_doubles(to, 0x00209301, position, 3);
    end_group(to);
}

/* What an Enhanced US Volume says of each frame besides its place. */
static void put_us_frame(es_elements *to) {
    double start_s = 0;
    begin_group(to, 0x00209310);
    es_put_doubles(to, 0x0020930d, &start_s, 1);
    end_group(to);
}

static void put_us_shared(es_elements *to) {
    begin_group(to, 0x00189806);
    es_put_text(to, 0x00089007, "CS", "DERIVED\\PRIMARY\\VOLUME\\NONE");
    es_put_text(to, 0x00089206, "CS", "VOLUME");
    es_put_text(to, 0x00089207, "CS", "NONE");
    end_group(to);
    begin_group(to, 0x00189807);
    es_put_text(to, 0x00189808, "CS", "TISSUE_INTENSITY");
    es_put_text(to, 0x0018980b, "CS", "NO");
    end_group(to);
}

/* 0 to 255 as they are: PS3.3 C.11.2.1.2. */
static void put_window(es_elements *to) {
    begin_group(to, 0x00289132);
    es_put_text(to, 0x00281050, "DS", "128");
    es_put_text(to, 0x00281051, "DS", "256");
    end_group(to);
}

static void put_groups(es_elements *to, const void *context) {
    const volume *v = context;
    bool us = v->kind == ES_DICOM_US_VOLUME;
    begin_group(to, 0x52009229);
    if (us) put_us_shared(to);
    put_orientation(to, v);
    put_measures(to, v->info);
    if (us) put_window(to);
    end_group(to);
    es_put_sequence(to, 0x52009230);
    for (uint64_t z = 0; z < v->info->size[2] && !to->bytes.failed; z++) {
        es_put_item(to);
        begin_group(to, 0x00209111);
        es_put_long(to, 0x00209157, "UL", (uint32_t)z + 1);
        end_group(to);
        put_position(to, v, z);
        if (us) put_us_frame(to);
        es_put_item_end(to);
    }
    es_put_sequence_end(to);
}

/* The frames' one dimension is their place. */
static void put_dimensions(es_elements *to, const void *context) {
    const volume *v = context;
    bool us = v->kind == ES_DICOM_US_VOLUME;
    begin_group(to, 0x00209221);
    es_put_uid(to, 0x00209164, ES_SALT_DIMENSIONS);
    end_group(to);
    begin_group(to, 0x00209222);
    es_put_uid(to, 0x00209164, ES_SALT_DIMENSIONS);
    es_put_tag(to, 0x00209165, us ? 0x00209301 : 0x00200032);
    es_put_tag(to, 0x00209167, us ? 0x0020930e : 0x00209113);
    end_group(to);
    if (us) es_dicom_us_put_space(to);
}

/* ---- files ------------------------------------------------------------------------------ */

static bool put(void *frames, const void *bytes, size_t length, es_error *err) {
    return es_dicom_frames_put(frames, bytes, length, err);
}

static bool take_frames(const es_grid_job *job, es_dicom_frames *frames, es_error *err) {
    const es_grid_info *info = job->info;
    double geometry[15];
    memcpy(geometry, info->origin_mm, sizeof info->origin_mm);
    memcpy(geometry + 3, info->spacing_mm, sizeof info->spacing_mm);
    memcpy(geometry + 6, info->direction, sizeof info->direction);
    if (info->size[2] > INT32_MAX)
        return es_fail(err, ES_UNSUPPORTED, "%s: too many slices for DICOM", job->path);
    *frames = (es_dicom_frames){
        .width = (uint32_t)(info->size[0] <= 65535 ? info->size[0] : 0),
        .height = (uint32_t)(info->size[1] <= 65535 ? info->size[1] : 0),
        .count = info->size[2],
        .type = info->type,
        .channels = info->channels,
    };
    if (!es_dicom_frames_start(frames, job->path, err)) return false;
    es_dicom_frames_mix(frames, info->size, sizeof info->size);
    es_dicom_frames_mix(frames, geometry, sizeof geometry);
    return es_grid_job_pump(job, put, frames, err) || es_prefix(err, "%s", job->path);
}

static es_output *write_kind(const es_grid_job *job, const es_dicom_frames *frames,
                             es_dicom_kind kind, const char *path, es_error *err) {
    volume v = {job->info, kind};
    double row_column_mm[2] = {job->info->spacing_mm[1], job->info->spacing_mm[0]};
    bool us = kind == ES_DICOM_US_VOLUME;
    es_dicom_document document = {
        .kind = kind,
        .frames = frames,
        .derivation = "Volume made by echosolid",
        .increment = 0x52009230,
        .row_column_mm = us ? row_column_mm : NULL,
        .acquisition = us ? es_dicom_us_put_acquisition : NULL,
        .relation = put_dimensions,
        .groups = put_groups,
        .context = &v,
    };
    return es_dicom_document_write(&document, path, err);
}

/* "name.dcm" -> "name.eus.dcm"; es_free it. */
static char *beside(const char *path, es_error *err) {
    es_text text = {0};
    es_text_add(&text, "%.*s.eus.dcm", (int)(strlen(path) - strlen(".dcm")), path);
    if (!text.failed) return text.bytes;
    es_text_free(&text);
    es_fail(err, ES_MEMORY, "out of memory");
    return NULL;
}

static bool holds_us_volume(const es_grid_info *info) {
    return info->type == ES_U8 && info->channels == 1;
}

static bool is_us_volume_name(const char *path) { return es_has_suffix(path, ".eus.dcm"); }

static bool write_files(const es_grid_job *job, const es_dicom_frames *frames, es_error *err) {
    es_output *outs[2] = {NULL, NULL};
    size_t count = 0;
    bool only = is_us_volume_name(job->path);
    char *name = only ? es_copy_text(job->path, err) : beside(job->path, err);
    bool ok = name != NULL;
    if (ok && !only)
        ok = (outs[count++] = write_kind(job, frames, ES_DICOM_CAPTURE, job->path, err)) != NULL;
    if (ok && holds_us_volume(job->info))
        ok = (outs[count++] = write_kind(job, frames, ES_DICOM_US_VOLUME, name, err)) != NULL;
    if (ok)
        ok = es_output_commit_all(outs, count, err);
    else
        for (size_t i = 0; i < count; i++) es_output_discard(outs[i]);
    if (ok && count == 2) es_log(ES_NOTE, "%s: the same as an Enhanced US Volume", name);
    es_free(name);
    return ok;
}

bool es_dicom_grid_write(const es_grid_job *job, es_error *err) {
    es_dicom_frames frames = {0};
    if (is_us_volume_name(job->path) && !holds_us_volume(job->info))
        return es_fail(err, ES_UNSUPPORTED,
                       "%s: an Enhanced US Volume is 8-bit grey; write name.dcm", job->path);
    bool ok = es_grid_job_check(job, err) && take_frames(job, &frames, err) &&
              write_files(job, &frames, err);
    es_dicom_frames_clear(&frames);
    return ok;
}
