/* What a DICOM data set says about its pictures: the layout of samples, the
 * ultrasound regions with their scales, and when each frame was taken. */
#include <math.h>
#include <string.h>

#include "dicom_internal.h"

/* ---- the samples of a frame ------------------------------------------------ */

static const char *const encodings[][2] = {
    /* UID, and why it is not read (NULL: it is) */
    {"1.2.840.10008.1.2", NULL},      /* implicit */
    {"1.2.840.10008.1.2.1", NULL},    /* explicit */
    {"1.2.840.10008.1.2.1.99", NULL}, /* deflated */
    {"1.2.840.10008.1.2.2", NULL},    /* big-endian */
    {"1.2.840.10008.1.2.5", NULL},    /* RLE */
    {"1.2.840.10008.1.2.4.50", NULL}, /* JPEG baseline */
    {"1.2.840.10008.1.2.4.51", NULL}, /* JPEG extended */
    {"1.2.840.10008.1.2.4.53", NULL}, /* JPEG spectral selection */
    {"1.2.840.10008.1.2.4.55", NULL}, /* JPEG progressive */
    {"1.2.840.10008.1.2.4.57", NULL}, /* JPEG lossless */
    {"1.2.840.10008.1.2.4.70", NULL}, /* JPEG lossless, first predictor */
    {"1.2.840.10008.1.2.4.80", NULL}, /* JPEG-LS lossless */
    {"1.2.840.10008.1.2.4.81", NULL}, /* JPEG-LS near lossless */
    {"1.2.840.10008.1.2.4.90", NULL}, /* JPEG 2000 lossless */
    {"1.2.840.10008.1.2.4.91", NULL}, /* JPEG 2000 */
    {"1.2.840.10008.1.2.4.94", "its pixels lie on a server (JPIP); ask the archive for the file"},
    {"1.2.840.10008.1.2.4.95", "its pixels lie on a server (JPIP); ask the archive for the file"},
    {"1.2.840.10008.1.2.4.100", "it holds MPEG-2 video; export it as JPEG or uncompressed"},
    {"1.2.840.10008.1.2.4.101", "it holds MPEG-2 video; export it as JPEG or uncompressed"},
    {"1.2.840.10008.1.2.4.102", "it holds H.264 video; export it as JPEG or uncompressed"},
    {"1.2.840.10008.1.2.4.103", "it holds H.264 video; export it as JPEG or uncompressed"},
    {"1.2.840.10008.1.2.4.107", "it holds H.265 video; export it as JPEG or uncompressed"},
};
enum { ENCODINGS = sizeof encodings / sizeof *encodings };

static bool check_encoding(const es_dicom *dicom, es_error *err) {
    const char *uid = es_dicom_syntax(dicom);
    for (int i = 0; i < ENCODINGS; i++)
        if (strcmp(uid, encodings[i][0]) == 0)
            return !encodings[i][1] || es_fail(err, ES_UNSUPPORTED, "%s", encodings[i][1]);
    return es_fail(err, ES_UNSUPPORTED,
                   "transfer syntax \"%.64s\" is unknown; export it uncompressed, or as JPEG, "
                   "JPEG-LS, JPEG 2000 or RLE",
                   uid);
}

/* A whole number within [low, high]; `fallback` < 0: it must be there. */
static bool take_whole(const es_dicom *dicom, const char *tag, const char *name, double low,
                       double high, double fallback, double *value, es_error *err) {
    long count = es_dicom_numbers(dicom, tag, value, 1);
    if (count < 0 && fallback >= 0) {
        *value = fallback;
        return true;
    }
    if (count < 0) return es_fail(err, ES_FORMAT, "%s (%s) is missing", name, tag);
    if (*value >= low && *value <= high && *value == floor(*value)) return true;
    return es_fail(err, ES_FORMAT, "%s (%s) is %g; expected a whole number from %g to %g", name,
                   tag, *value, low, high);
}

static bool take_colour(const es_dicom *dicom, es_dicom_samples *s, es_error *err) {
    static const struct {
        const char *name;
        es_dicom_colour colour;
        int channels;
    } known[] = {
        {"MONOCHROME2", ES_DICOM_GREY, 1},
        {"MONOCHROME1", ES_DICOM_GREY_INVERSE, 1},
        {"RGB", ES_DICOM_RGB, 3},
        {"YBR_FULL", ES_DICOM_YBR, 3},
        {"YBR_RCT", ES_DICOM_RGB, 3}, /* JPEG 2000 undoes these two itself */
        {"YBR_ICT", ES_DICOM_RGB, 3},
        {"YBR_FULL_422", ES_DICOM_YBR, 3},
        {"PALETTE COLOR", ES_DICOM_PALETTE, 1},
    };
    char name[32];
    if (!es_dicom_text(dicom, "0028,0004", name, sizeof name))
        return es_fail(err, ES_FORMAT, "Photometric Interpretation (0028,0004) is missing");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) != 0) continue;
        if (known[i].channels != s->channels)
            return es_fail(err, ES_FORMAT, "%s with %d samples a pixel; expected %d", name,
                           s->channels, known[i].channels);
        s->colour = known[i].colour;
        if (strcmp(name, "YBR_FULL_422") == 0 && !es_dicom_is_encapsulated(dicom))
            s->colour = ES_DICOM_YBR_422;
        return true;
    }
    return es_fail(err, ES_UNSUPPORTED,
                   "Photometric Interpretation \"%s\" is not read; expected MONOCHROME, RGB, "
                   "YBR_FULL, YBR_FULL_422, YBR_RCT, YBR_ICT or PALETTE COLOR",
                   name);
}

static bool take_bits(const es_dicom *dicom, es_dicom_samples *s, es_error *err) {
    double allocated, stored, high, sign, planar;
    if (!take_whole(dicom, "0028,0100", "Bits Allocated", 1, 64, -1, &allocated, err)) return false;
    if (allocated != 8 && allocated != 16)
        return es_fail(err, ES_UNSUPPORTED, "samples of %g bits are not read; expected 8 or 16",
                       allocated);
    if (!take_whole(dicom, "0028,0101", "Bits Stored", 1, allocated, -1, &stored, err) ||
        !take_whole(dicom, "0028,0102", "High Bit", stored - 1, allocated - 1, stored - 1, &high,
                    err) ||
        !take_whole(dicom, "0028,0103", "Pixel Representation", 0, 1, 0, &sign, err) ||
        !take_whole(dicom, "0028,0006", "Planar Configuration", 0, 1, 0, &planar, err))
        return false;
    s->allocated = (int)allocated;
    s->stored = (int)stored;
    s->shift = (int)(high + 1 - stored);
    s->is_signed = sign == 1;
    s->planar = planar == 1 && !es_dicom_is_encapsulated(dicom);
    bool plain = s->allocated == 8 && s->stored == 8 && !s->is_signed;
    if (s->channels == 3 && !plain)
        return es_fail(err, ES_UNSUPPORTED, "colours of %d of %d bits are not read; expected 8",
                       s->stored, s->allocated);
    return true;
}

/* Whether the pixels that the header announces are there. Hostile sizes end
 * here, before anything is allocated. */
static bool check_amount(const es_dicom *dicom, es_dicom_samples *s, es_error *err) {
    enum { FRAME_LIMIT = 1 << 28 };
    uint64_t pixels = (uint64_t)s->columns * s->rows; /* < 2^32 */
    uint64_t bytes = pixels * (uint64_t)(s->channels * s->allocated / 8);
    if (s->colour == ES_DICOM_YBR_422) bytes = pixels * 2;
    if (bytes > FRAME_LIMIT)
        return es_fail(err, ES_MEMORY, "frames of %u x %u pixels; %d MiB a frame are the limit",
                       s->columns, s->rows, FRAME_LIMIT >> 20);
    s->frame_bytes = (size_t)bytes;
    if (es_dicom_is_encapsulated(dicom)) {
        long streams = es_dicom_streams(dicom);
        return streams >= s->frames ||
               es_fail(err, ES_FORMAT, "the header says %lld frames, the pixel data hold %ld",
                       (long long)s->frames, streams);
    }
    uint64_t found = es_dicom_pixel_bytes(dicom), expected = bytes * (uint64_t)s->frames;
    if (found == 0) return es_fail(err, ES_FORMAT, "has no pixel data (7FE0,0010)");
    return found >= expected ||
           es_fail(err, ES_FORMAT,
                   "%lld frames of %u x %u x %d samples need %llu bytes, the pixel data hold %llu",
                   (long long)s->frames, s->columns, s->rows, s->channels,
                   (unsigned long long)expected, (unsigned long long)found);
}

static bool read_samples(const es_dicom *dicom, es_dicom_samples *s, es_error *err) {
    double rows, columns, channels, frames;
    if (!take_whole(dicom, "0028,0010", "Rows", 1, 65535, -1, &rows, err) ||
        !take_whole(dicom, "0028,0011", "Columns", 1, 65535, -1, &columns, err) ||
        !take_whole(dicom, "0028,0002", "Samples per Pixel", 1, 4, -1, &channels, err) ||
        !take_whole(dicom, "0028,0008", "Number of Frames", 1, 1e7, 1, &frames, err))
        return false;
    s->rows = (uint32_t)rows;
    s->columns = (uint32_t)columns;
    s->channels = (int)channels;
    s->frames = (int64_t)frames;
    return check_encoding(dicom, err) && take_colour(dicom, s, err) && take_bits(dicom, s, err) &&
           check_amount(dicom, s, err);
}

/* ---- ultrasound regions ------------------------------------------------------ */

static double region_number(const es_dicom *dicom, int region, const char *tag) {
    char path[48];
    double value = NAN;
    snprintf(path, sizeof path, "0018,6011[%d]/%s", region, tag);
    es_dicom_numbers(dicom, path, &value, 1);
    return value;
}

/* Inside the picture; a last pixel given as the size itself is forgiven, as
 * some scanners count so. */
static bool inside(const es_dicom_region *r, const es_dicom_samples *s) {
    return r->box[0] >= 0 && r->box[1] >= 0 && r->box[2] > r->box[0] && r->box[3] > r->box[1] &&
           r->box[2] <= s->columns && r->box[3] <= s->rows;
}

static bool can_be_a_scale(double delta_cm) {
    double mm = 10 * fabs(delta_cm);
    return mm >= 0.01 && mm <= 2;
}

static es_dicom_region read_region(const es_dicom *dicom, const es_dicom_samples *s, int i) {
    static const char *const box[] = {"0018,6018", "0018,601A", "0018,601C", "0018,601E"};
    es_dicom_region r = {.format = region_number(dicom, i, "0018,6012"),
                         .type = region_number(dicom, i, "0018,6014"),
                         .flags = region_number(dicom, i, "0018,6016")};
    for (int k = 0; k < 4; k++) r.box[k] = region_number(dicom, i, box[k]);
    for (int k = 0; k < 2; k++) {
        r.reference[k] = region_number(dicom, i, k ? "0018,6022" : "0018,6020");
        r.units[k] = region_number(dicom, i, k ? "0018,6026" : "0018,6024");
        r.delta[k] = region_number(dicom, i, k ? "0018,602E" : "0018,602C");
    }
    r.tissue = r.format == 1 && (r.type == 1 || r.type == 2) && r.units[0] == 3 &&
               r.units[1] == 3 && can_be_a_scale(r.delta[0]) && can_be_a_scale(r.delta[1]) &&
               inside(&r, s);
    return r;
}

/* The scale of the tissue regions when they agree; colour flow stands in for
 * tissue where that has none. Dual pictures of different scales have no one. */
static bool region_spacing(const es_dicom_header *h, double spacing_mm[2]) {
    for (int type = 1; type <= 2; type++) {
        bool found = false;
        for (int i = 0; i < h->region_count; i++) {
            const es_dicom_region *r = &h->regions[i];
            if (!r->tissue || r->type != type) continue;
            double x = 10 * fabs(r->delta[0]), y = 10 * fabs(r->delta[1]);
            if (found && (fabs(x / spacing_mm[0] - 1) > 1e-3 || fabs(y / spacing_mm[1] - 1) > 1e-3))
                return false;
            if (!found) spacing_mm[0] = x, spacing_mm[1] = y;
            found = true;
        }
        if (found) return true;
    }
    return false;
}

/* Row and column distance, as DICOM orders them. */
static bool measures(const es_dicom *dicom, const char *path, double row_column[2]) {
    return es_dicom_numbers(dicom, path, row_column, 2) == 2 && row_column[0] > 0 &&
           row_column[1] > 0 && isfinite(row_column[0]) && isfinite(row_column[1]);
}

static void read_spacing(const es_dicom *dicom, es_dicom_header *h) {
    static const char *const paths[] = {"5200,9229[0]/0028,9110[0]/0028,0030",
                                        "5200,9230[0]/0028,9110[0]/0028,0030", "0028,0030"};
    double row_column[2];
    h->spacing_mm[0] = h->spacing_mm[1] = 1;
    if (region_spacing(h, h->spacing_mm)) return;
    h->spacing_mm[0] = h->spacing_mm[1] = 1;
    for (int i = 0; i < 3; i++)
        if (measures(dicom, paths[i], row_column)) {
            h->spacing_mm[0] = row_column[1];
            h->spacing_mm[1] = row_column[0];
            return;
        }
}

/* The one tissue picture is cut out when there is one; else all is left. */
static void find_crop(es_dicom_header *h, bool whole) {
    const es_dicom_samples *s = &h->samples;
    const es_dicom_region *only = NULL;
    h->crop[2] = s->columns;
    h->crop[3] = s->rows;
    int tissues = 0;
    for (int i = 0; i < h->region_count; i++)
        if (h->regions[i].format == 1 && h->regions[i].type == 1) {
            only = &h->regions[i];
            tissues++;
        }
    if (whole || tissues != 1 || !inside(only, s)) return;
    h->crop[0] = (uint32_t)only->box[0];
    h->crop[1] = (uint32_t)only->box[1];
    h->crop[2] = (uint32_t)fmin(only->box[2] + 1, s->columns) - h->crop[0];
    h->crop[3] = (uint32_t)fmin(only->box[3] + 1, s->rows) - h->crop[1];
    h->cropped = h->crop[2] < s->columns || h->crop[3] < s->rows;
}

bool es_dicom_header_read(const es_dicom *dicom, bool whole, es_dicom_header *header,
                          es_error *err) {
    memset(header, 0, sizeof *header);
    if (!read_samples(dicom, &header->samples, err)) return false;
    long items = es_dicom_items(dicom, "0018,6011");
    for (int i = 0; i < items && i < ES_DICOM_REGIONS; i++)
        header->regions[header->region_count++] = read_region(dicom, &header->samples, i);
    read_spacing(dicom, header);
    find_crop(header, whole);
    return true;
}

/* ---- fields ----------------------------------------------------------------------- */

static void add_list(es_text *text, const char *name, const double *values, int count) {
    char number[ES_NUMBER_SIZE];
    es_text_add(text, ",\"%s\":[", name);
    for (int i = 0; i < count; i++)
        es_text_add(text, "%s%s", i ? "," : "",
                    isfinite(values[i]) ? es_format_double(values[i], number) : "null");
    es_text_add(text, "]");
}

static void add_region(es_text *text, const es_dicom_region *r) {
    const double codes[] = {r->format, r->type, r->flags};
    static const char *const names[] = {"format", "type", "flags"};
    for (int i = 0; i < 3; i++) {
        es_text_add(text, "%s\"%s\":", i ? "," : "{", names[i]);
        es_text_add(text, isfinite(codes[i]) ? "%.0f" : "null", codes[i]);
    }
    add_list(text, "box", r->box, 4);
    add_list(text, "ref", r->reference, 2);
    add_list(text, "units", r->units, 2);
    add_list(text, "delta", r->delta, 2);
    es_text_add(text, "}");
}

static bool set_text(es_fields *fields, const char *key, es_text *text, es_error *err) {
    bool ok = !text->failed || es_fail(err, ES_MEMORY, "out of memory");
    ok = ok && es_fields_set(fields, key, text->bytes, err);
    es_text_free(text);
    return ok;
}

static bool add_regions(const es_dicom_header *h, es_fields *fields, es_error *err) {
    if (h->region_count == 0) return true;
    es_text text = {0};
    for (int i = 0; i < h->region_count; i++) {
        es_text_add(&text, i ? "," : "[");
        add_region(&text, &h->regions[i]);
    }
    es_text_add(&text, "]");
    return set_text(fields, "DicomRegions", &text, err);
}

static bool add_crop(const es_dicom_header *h, es_fields *fields, es_error *err) {
    if (!h->cropped) return true;
    es_text origin = {0}, size = {0};
    es_text_add(&origin, "%u %u", h->crop[0], h->crop[1]);
    es_text_add(&size, "%u %u", h->samples.columns, h->samples.rows);
    bool ok = set_text(fields, "DicomCropOrigin", &origin, err);
    return set_text(fields, "DicomStoredSize", &size, err) && ok;
}

/* Row, column and slice distance of the functional groups. */
static bool add_measures(const es_dicom *dicom, es_fields *fields, es_error *err) {
    static const char *const groups[] = {"5200,9229", "5200,9230"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        double m[3];
        snprintf(path, sizeof path, "%s[0]/0028,9110[0]/0028,0030", groups[i]);
        if (!measures(dicom, path, m)) continue;
        snprintf(path, sizeof path, "%s[0]/0028,9110[0]/0018,0088", groups[i]);
        bool spaced = es_dicom_numbers(dicom, path, &m[2], 1) == 1;
        snprintf(path, sizeof path, "%s[0]/0028,9110[0]/0018,0050", groups[i]);
        if (!spaced) spaced = es_dicom_numbers(dicom, path, &m[2], 1) == 1;
        es_text text = {0};
        es_text_add_numbers(&text, m, spaced ? 3 : 2, " ");
        return set_text(fields, "DicomMeasures", &text, err);
    }
    return true;
}

/* Values that name a machine or a size, never a person. */
static bool add_tags(const es_dicom *dicom, es_fields *fields, es_error *err) {
    static const char *const tags[][2] = {
        {"0028,0030", "DicomPixelSpacing"},
        {"0018,1164", "DicomImagerPixelSpacing"},
        {"0018,2010", "DicomNominalScannedPixelSpacing"},
        {"0018,5050", "DicomDepthOfScanField"},
        {"0018,5010", "DicomTransducer"},
        {"0008,1090", "DicomModel"},
        {"0008,0070", "DicomManufacturer"},
        {"0002,0013", "DicomImplementation"},
        {"0008,0016", "DicomSopClass"},
    };
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        char value[ES_DICOM_VALUE];
        if (!es_dicom_text(dicom, tags[i][0], value, sizeof value)) continue;
        for (char *at = value; *at; at++)
            if (*at == '\\' || (unsigned char)*at < ' ') *at = ' ';
        if (!es_fields_set(fields, tags[i][1], value, err)) return false;
    }
    return true;
}

bool es_dicom_header_fields(const es_dicom *dicom, const es_dicom_header *header, es_fields *fields,
                            es_error *err) {
    return add_tags(dicom, fields, err) && add_measures(dicom, fields, err) &&
           add_regions(header, fields, err) && add_crop(header, fields, err);
}

/* ---- times --------------------------------------------------------------------------- */

/* Increments in ms, the first of them 0 (PS3.3 C.7.6.5.1.2). */
static bool times_by_vector(const es_dicom *dicom, int64_t frames, double *times) {
    long count = es_dicom_numbers(dicom, "0018,1065", times, (long)frames);
    if (count < 0) return false;
    if (count != frames) {
        es_log(ES_WARNING, "the DICOM file has %lld frames and %ld frame times: not used",
               (long long)frames, count);
        return false;
    }
    double sum_ms = 0;
    for (int64_t f = 0; f < frames; f++) {
        if (f > 0) sum_ms += times[f];
        if (!isfinite(sum_ms) || (f > 0 && times[f] < 0)) {
            es_log(ES_WARNING, "the DICOM file's frame time %lld is %g ms: times are not used",
                   (long long)f, times[f]);
            return false;
        }
        times[f] = sum_ms / 1000;
    }
    return true;
}

static bool times_by_step(double step_s, int64_t frames, double *times) {
    if (!(step_s > 0) || !isfinite(step_s)) return false;
    for (int64_t f = 0; f < frames; f++) times[f] = (double)f * step_s;
    return true;
}

bool es_dicom_frame_times(const es_dicom *dicom, int64_t frames, double *times, const char **how) {
    double ms = NAN, cine = NAN, display = NAN;
    char pointer[64] = "";
    es_dicom_text(dicom, "0028,0009", pointer, sizeof pointer);
    es_dicom_numbers(dicom, "0018,1063", &ms, 1);
    es_dicom_numbers(dicom, "0018,0040", &cine, 1);
    es_dicom_numbers(dicom, "0008,2144", &display, 1);
    *how = "Frame Time";
    if (strstr(pointer, "0018,1063") && times_by_step(ms / 1000, frames, times)) return true;
    *how = "Frame Time Vector";
    if (times_by_vector(dicom, frames, times)) return true;
    *how = "Frame Time";
    if (times_by_step(ms / 1000, frames, times)) return true;
    *how = "Cine Rate";
    if (times_by_step(1 / cine, frames, times)) return true;
    *how = "Recommended Display Frame Rate";
    return times_by_step(1 / display, frames, times);
}
