/* What the parts of the DICOM reader and writer share.
 *
 * dicom_header.c says what a data set holds, dicom_pixels.c turns one frame of
 * it into a picture, dicom_series.c finds the files that belong together,
 * dicom.c is the frame source over them and dicom_grid.c the volume. What
 * tags mean is PS3.3 and PS3.6 of the DICOM standard. */
#ifndef ES_DICOM_INTERNAL_H
#define ES_DICOM_INTERNAL_H

#include "dicom_shim.h"
#include "format_internal.h"

/* ---- what a data set holds (dicom_header.c) ----------------------------- */

typedef enum es_dicom_colour {
    ES_DICOM_GREY,
    ES_DICOM_GREY_INVERSE, /* MONOCHROME1 */
    ES_DICOM_RGB,
    ES_DICOM_YBR,     /* YBR_FULL, or YBR_FULL_422 after its stream was decoded */
    ES_DICOM_YBR_422, /* native: two luminances share the chrominances */
    ES_DICOM_PALETTE,
} es_dicom_colour;

/* The samples of a frame; everything checked, sizes multiply without overflow. */
typedef struct es_dicom_samples {
    uint32_t columns, rows;
    int64_t frames;
    int channels;  /* samples a pixel: 1 or 3 */
    int allocated; /* bits of a sample: 8 or 16 */
    int stored;    /* bits that count, from `shift` on */
    int shift;
    bool is_signed, planar;
    es_dicom_colour colour;
    size_t frame_bytes; /* decoded, before conversion */
} es_dicom_samples;

/* An ultrasound region (PS3.3 C.8.5.5), as written. */
typedef struct es_dicom_region {
    double format, type, flags, box[4], reference[2], units[2], delta[2];
    bool tissue; /* a 2-D picture with a scale that can be true, inside the frame */
} es_dicom_region;
enum { ES_DICOM_REGIONS = 32 };

typedef struct es_dicom_header {
    es_dicom_samples samples;
    es_dicom_region regions[ES_DICOM_REGIONS];
    int region_count;
    uint32_t crop[4]; /* x, y, width, height of what is given out */
    bool cropped;
    double spacing_mm[2]; /* of the pixels; 1 1 when the file does not say */
} es_dicom_header;

/* `whole`: nothing is cropped. */
bool es_dicom_header_read(const es_dicom *dicom, bool whole, es_dicom_header *header,
                          es_error *err);
/* What others want to know of it: spacing evidence, the machine, the crop. No
 * names, dates or numbers of persons. */
bool es_dicom_header_fields(const es_dicom *dicom, const es_dicom_header *header, es_fields *fields,
                            es_error *err);
/* When each frame was taken, seconds from the first; false when the file does
 * not say. `times` has room for all frames; `how` names what was used. */
bool es_dicom_frame_times(const es_dicom *dicom, int64_t frames, double *times, const char **how);

/* ---- one frame as a picture (dicom_pixels.c) ------------------------------ */

/* What is kept between frames. Start with {0}. */
typedef struct es_dicom_reader {
    es_dicom *dicom;
    es_dicom_header header;
    es_type type; /* of the pictures */
    int channels;
    unsigned char *raw;     /* a decoded frame */
    unsigned char *palette; /* RGB by index, from palette_first on */
    long palette_first, palette_count;
} es_dicom_reader;
bool es_dicom_reader_open(es_dicom_reader *reader, const char *path, bool whole, es_error *err);
void es_dicom_reader_close(es_dicom_reader *reader);
bool es_dicom_reader_frame(es_dicom_reader *reader, int64_t frame, es_image *picture,
                           es_error *err);

/* dicom_jpeg.c: whether the colours in a JPEG stream are YCbCr, by its own
 * marks; `told` is what the data set says, for streams without any. */
bool es_jpeg_is_ybr(const unsigned char *stream, size_t length, bool told);
/* dicom_jpeg2000.c: samples as es_dicom_frame gives them. */
bool es_jpeg2000_decode(const unsigned char *stream, size_t length,
                        const es_dicom_samples *expected, void *out, es_error *err);

/* ---- files that belong together (dicom_series.c) --------------------------- */

/* Whether the first bytes are DICOM: the mark behind the preamble, or a data
 * set without one. */
bool es_dicom_probe(const unsigned char *head, size_t length);
/* Whether a name that is no plain file means DICOM: a folder with such files,
 * or either with "#..." behind it. */
bool es_dicom_claims(const char *path);

typedef struct es_dicom_file {
    char *path, series[72]; /* UID of its series */
    es_dicom_header header;
    double series_number, number, start_s; /* instance number, time of day; NaN: not given */
    bool placed;                           /* has a plane in space: */
    double position[3], orientation[6];
} es_dicom_file;
typedef struct es_dicom_series {
    es_dicom_file *files; /* in order, of one size and type */
    size_t count, capacity;
    bool whole; /* nothing is cropped */
} es_dicom_series;
/* A file, a folder or a DICOMDIR; "#3" behind it picks the series of that
 * number, "#whole" leaves pictures uncropped. */
bool es_dicom_series_open(es_dicom_series *series, const char *path, es_error *err);
void es_dicom_series_clear(es_dicom_series *series);
int64_t es_dicom_series_frames(const es_dicom_series *series);

/* ---- opening and writing (dicom.c, dicom_grid.c, dicom_write_*.c) ---------- */

es_source *es_dicom_source(const es_input *input, es_error *err);
es_grid_file *es_dicom_grid(const char *path, es_error *err);
bool es_dicom_is_grid(const char *path, bool *is_grid, es_error *err);
es_sink *es_dicom_create(const char *path, const es_stream_info *info,
                         const es_sequence_options *options, es_error *err);
bool es_dicom_grid_write(const es_grid_job *job, es_error *err);

#endif
