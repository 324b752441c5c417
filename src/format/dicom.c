/* A DICOM recording as a frame source: stills and cine loops, one file or the
 * files of a series one after the other. Frames are decoded one at a time. */
#include <math.h>
#include <string.h>

#include "dicom_internal.h"

typedef struct cine {
    es_dicom_series series;
    es_dicom_reader reader; /* of file `open` */
    size_t open;
    double *times; /* of its frames, seconds from its first; NULL: not known */
    const char *timing;
    bool files_timed;
    size_t file;    /* the next frame: of this file, */
    int64_t inside; /* this one, */
    int64_t index;  /* and of the recording */
    es_type type;   /* of all pictures */
    int channels;
} cine;

static void close_file(cine *c) {
    es_dicom_reader_close(&c->reader);
    es_free(c->times);
    c->times = NULL;
}

static void cine_free(void *self) {
    cine *c = self;
    close_file(c);
    es_dicom_series_clear(&c->series);
    es_free(c);
}

static bool open_file(cine *c, size_t file, es_error *err) {
    if (c->reader.dicom && c->open == file) return true;
    close_file(c);
    if (!es_dicom_reader_open(&c->reader, c->series.files[file].path, c->series.whole, err))
        return false;
    c->open = file;
    int64_t frames = c->reader.header.samples.frames;
    c->times = es_alloc((size_t)frames, sizeof *c->times, err);
    if (!c->times) return false;
    if (es_dicom_frame_times(c->reader.dicom, frames, c->times, &c->timing)) return true;
    es_free(c->times);
    c->times = NULL;
    return true;
}

/* Times of day of several files, when all have one and none goes back. */
static bool files_are_timed(const es_dicom_series *series) {
    bool moves = false;
    for (size_t i = 0; i < series->count; i++) {
        double step = i ? series->files[i].start_s - series->files[i - 1].start_s : 0;
        if (!isfinite(series->files[i].start_s) || step < 0) return false;
        moves = moves || step > 0;
    }
    return moves;
}

static void set_time(const cine *c, es_frame *frame) {
    bool several = c->series.count > 1, inner = c->times || c->reader.header.samples.frames == 1;
    frame->has_time = several ? c->files_timed && inner : c->times != NULL;
    frame->time_s = c->times ? c->times[c->inside] : 0;
    if (several) frame->time_s += c->series.files[c->file].start_s - c->series.files[0].start_s;
}

static bool read_picture(cine *c, es_frame *frame, es_error *err) {
    es_dicom_reader *reader = &c->reader;
    if (reader->type != c->type || reader->channels != c->channels)
        return es_fail(err, ES_FORMAT, "is %s, the first file's pictures are not",
                       reader->channels == 3 ? "coloured" : "grey");
    frame->has_image = true;
    return es_dicom_reader_frame(reader, c->inside, &frame->image, err);
}

static bool cine_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    cine *c = self;
    *end = c->file >= c->series.count;
    if (*end) return true;
    if (!open_file(c, c->file, err)) return false;
    frame->index = c->index;
    frame->has_image = frame->has_unfiltered_time = false;
    frame->transform_count = 0;
    es_fields_clear(&frame->fields);
    set_time(c, frame);
    if ((flags & ES_READ_PIXELS) && !read_picture(c, frame, err)) {
        frame->has_image = false;
        es_prefix(err, "frame %lld", (long long)c->inside);
        return es_prefix(err, "%s", c->series.files[c->file].path);
    }
    c->index++;
    if (++c->inside == c->reader.header.samples.frames) {
        c->inside = 0;
        c->file++;
    }
    return true;
}

static bool cine_rewind(void *self, es_error *err) {
    (void)err;
    cine *c = self;
    c->file = 0;
    c->inside = c->index = 0;
    return true;
}

static bool describe(const cine *c, es_stream_info *info, es_error *err) {
    const es_dicom_header *h = &c->reader.header;
    *info = (es_stream_info){
        .frame_count = es_dicom_series_frames(&c->series),
        .width = h->crop[2],
        .height = h->crop[3],
        .type = c->type,
        .channels = c->channels,
        .spacing_mm = {h->spacing_mm[0], h->spacing_mm[1]},
        .format = "dicom",
    };
    const char *timing = c->series.count > 1 ? (c->files_timed ? "times of the files" : NULL)
                         : c->times          ? c->timing
                                             : NULL;
    return es_dicom_header_fields(c->reader.dicom, h, &info->fields, err) &&
           (!timing || es_fields_set(&info->fields, "DicomFrameTiming", timing, err));
}

es_source *es_dicom_source(const es_input *input, es_error *err) {
    static const es_source_ops ops = {cine_next, cine_rewind, cine_free};
    cine *c = es_alloc_zero(1, sizeof *c, err);
    if (!c) return NULL;
    es_stream_info info = {0};
    es_source *source = NULL;
    bool ok = es_dicom_series_open(&c->series, input->given, err);
    c->files_timed = ok && files_are_timed(&c->series);
    ok = ok && open_file(c, 0, err);
    c->type = c->reader.type;
    c->channels = c->reader.channels;
    if (ok && describe(c, &info, err))
        source = es_source_new(&ops, c, &info, err);
    else
        cine_free(c);
    es_stream_info_clear(&info);
    return source;
}

const es_format es_format_dicom = {
    .name = "DICOM",
    .reads = ".dcm",
    .recordings = ".dcm",
    .volumes = ".dcm",
    .keeps = ES_KEEPS_TIMES | ES_KEEPS_SPACING,
    .probe = es_dicom_probe,
    .claims = es_dicom_claims,
    .open = es_dicom_source,
    .open_grid = es_dicom_grid,
    .is_grid = es_dicom_is_grid,
    .create = es_dicom_create,
    .write_grid = es_dicom_grid_write,
};
