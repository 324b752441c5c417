/* The doctor's collector: names, poses, times and small pictures of all the
 * frames; then one family of checks after another.
 *
 * Order matters: matrices first, because they are put right for what follows
 * (metres, column order, scale), so that one mistake gives one finding and not
 * five; then the poses of each transform, then the chain, which leaves out the
 * poses that were found to be stand-ins; then time, pictures, and the motion
 * of the picture; at last what needs all of them: do the pictures agree where
 * they overlap. */
#include "doctor_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THUMBS = 256, MOST_STILLS = 24 };

static const char *const checks[] = {"mirrored-matrix",
                                     "not-rigid",
                                     "scale-in-pose",
                                     "row-column-order",
                                     "rotation-transposed",
                                     "inverse-pose",
                                     "metres-for-millimetres",
                                     "degrees-radians",
                                     "quaternion-order",
                                     "mirrored-image",
                                     "spacing-default",
                                     "spacing-contradicts-image",
                                     "spacing-contradicts-itself",
                                     "water-calibration",
                                     "orientation-mark",
                                     "rf-data",
                                     "several-views",
                                     "missing-link",
                                     "duplicate-names",
                                     "invalid-poses",
                                     "identity-poses",
                                     "frozen-poses",
                                     "pose-jumps",
                                     "marker-swap",
                                     "reference-moves",
                                     "reference-swapped",
                                     "time-not-increasing",
                                     "time-gaps",
                                     "dropped-frames",
                                     "time-jitter",
                                     "time-is-frame-number",
                                     "lag",
                                     "frozen-image",
                                     "probe-speed",
                                     "frame-gaps",
                                     "far-origin",
                                     "little-motion",
                                     "count-mismatch",
                                     "overlay-text",
                                     "depth-change",
                                     "depth-implausible",
                                     NULL};

const char *const *es_doctor_checks(void) { return checks; }

const char *es_severity_name(es_severity severity) {
    static const char *const names[] = {"note", "warning", "error"};
    return names[severity];
}

void es_findings_clear(es_findings *findings) {
    es_free(findings->items);
    *findings = (es_findings){0};
}

es_finding *finding_add(es_doctor *d, const char *check, es_severity severity, const char *subject,
                        es_error *err) {
    es_findings *list = &d->findings;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        if (!es_resize(&list->items, capacity, sizeof *list->items, err)) return NULL;
        list->capacity = capacity;
    }
    es_finding *f = &list->items[list->count++];
    *f = (es_finding){.severity = severity};
    SAY(f->check, "%s", check);
    SAY(f->subject, "%s", subject);
    return f;
}

void doctor_say(char *field, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(field, size, format, args);
    va_end(args);
}

/* ---- made and told ------------------------------------------------------------ */

void es_doctor_about_init(es_doctor_about *about) {
    *about = (es_doctor_about){
        .frame_count = -1, .spacing_mm = {NAN, NAN}, .clip_px = {NAN, NAN, NAN, NAN}};
    about->scan = (es_doctor_scan){.spacing_mm = {NAN, NAN},
                                   .depth_mm = NAN,
                                   .width_mm = NAN,
                                   .radius_start_mm = NAN,
                                   .radius_stop_mm = NAN};
}

es_doctor *es_doctor_new(const es_doctor_options *options, es_error *err) {
    static const es_doctor_options defaults = ES_DOCTOR_DEFAULTS;
    es_doctor *d = es_alloc_zero(1, sizeof *d, err);
    if (!d) return NULL;
    d->options = options ? *options : defaults;
    d->thumb_step = 1;
    d->probe = -1;
    es_doctor_about_init(&d->about);
    d->maker = es_still_maker_new(err);
    bool sane = d->options.elevation_mm > 0 && d->options.speed_mm_s > 0;
    if (!sane)
        es_fail(err, ES_USAGE,
                "the doctor needs a slice thickness and a highest speed above 0, found %g mm and "
                "%g mm/s",
                d->options.elevation_mm, d->options.speed_mm_s);
    if (sane && d->maker) return d;
    es_doctor_free(d);
    return NULL;
}

void es_doctor_free(es_doctor *d) {
    if (!d) return;
    for (int i = 0; i < d->track_count; i++) {
        es_free(d->tracks[i].pose);
        es_free(d->tracks[i].state);
        es_free(d->tracks[i].discard);
    }
    for (size_t i = 0; i < d->thumb_count; i++) es_free(d->thumbs[i].grey);
    void *blocks[] = {d->thumbs, d->statics, d->time_s,   d->raw_s,
                      d->number, d->digest,  d->has_pose, d->image_pose};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) es_free(blocks[i]);
    es_image_clear(&d->grey);
    es_still_maker_free(d->maker);
    es_still_clear(&d->still);
    es_findings_clear(&d->findings);
    es_free(d);
}

bool es_doctor_config(es_doctor *d, const es_doctor_about *about, es_error *err) {
    es_doctor_transform *copy = es_alloc(about->transform_count, sizeof *copy, err);
    if (!copy) return false;
    if (about->transform_count)
        memcpy(copy, about->transforms, about->transform_count * sizeof *copy);
    es_free(d->statics);
    d->statics = copy;
    d->about = *about;
    d->about.transforms = copy;
    d->has_verdict = about->verdict != NULL;
    if (about->verdict) d->verdict = *about->verdict;
    d->about.verdict = NULL;
    SAY(d->pixel_failure, "%s", about->pixel_failure ? about->pixel_failure : "");
    d->about.pixel_failure = NULL;
    return true;
}

/* ---- poses and times ------------------------------------------------------------ */

static bool grow(es_doctor *d, es_error *err) {
    if (d->frames < d->capacity) return true;
    int64_t capacity = d->capacity ? 2 * d->capacity : 256;
    size_t n = (size_t)capacity;
    if (!es_resize(&d->time_s, n, sizeof(double), err) ||
        !es_resize(&d->raw_s, n, sizeof(double), err) ||
        !es_resize(&d->number, n, sizeof(int64_t), err) ||
        !es_resize(&d->digest, n, sizeof(uint64_t), err))
        return false;
    for (int i = 0; i < d->track_count; i++) {
        doctor_track *t = &d->tracks[i];
        if (!es_resize(&t->pose, n, sizeof *t->pose, err) || !es_resize(&t->state, n, 1, err) ||
            !es_resize(&t->discard, n, 1, err))
            return false;
    }
    d->capacity = capacity;
    return true;
}

/* NULL with *failed unset: there are too many. */
static doctor_track *find_track(es_doctor *d, const char *name, bool *failed, es_error *err) {
    for (int i = 0; i < d->track_count; i++)
        if (strcmp(d->tracks[i].name, name) == 0) return &d->tracks[i];
    if (d->track_count == DOCTOR_TRACKS) return NULL;
    doctor_track *t = &d->tracks[d->track_count];
    size_t n = (size_t)d->capacity;
    *t = (doctor_track){.scale = 1};
    t->pose = es_alloc_zero(n, sizeof *t->pose, err);
    t->state = es_alloc_zero(n, 1, err);
    t->discard = es_alloc_zero(n, 1, err);
    d->track_count++; /* freed with the doctor, whole or not */
    *failed = !t->pose || !t->state || !t->discard;
    if (*failed) return NULL;
    SAY(t->name, "%s", name);
    t->splits = es_transform_name_split(name, t->from, t->to, NULL);
    return t;
}

static bool add_poses(es_doctor *d, const es_frame *frame, es_error *err) {
    int64_t f = d->frames;
    for (int i = 0; i < d->track_count; i++) {
        d->tracks[i].state[f] = POSE_ABSENT;
        d->tracks[i].discard[f] = 0;
    }
    for (size_t i = 0; i < frame->transform_count; i++) {
        const es_frame_transform *from = &frame->transforms[i];
        bool failed = false;
        doctor_track *t = find_track(d, from->name, &failed, err);
        if (failed) return false;
        if (!t) continue;
        t->pose[f] = from->matrix;
        t->state[f] = from->valid ? POSE_VALID : POSE_INVALID;
        t->valid += from->valid;
    }
    return true;
}

/* Settings that a device writes beside each frame. */
static void watch_fields(es_doctor *d, const es_frame *frame) {
    static const char *const watched[4] = {"PixelSpacingMm", "micronsPerPixel", "DepthMm",
                                           "ImagingDepthMm"};
    for (int i = 0; i < 4; i++) {
        const char *value = es_fields_get(&frame->fields, watched[i]);
        if (!value) continue;
        if (d->field_value[i][0] && strncmp(value, d->field_value[i], 39) != 0 &&
            !d->changed_field[0])
            SAY(d->changed_field, "%s changes from %.40s to %.40s at frame %lld", watched[i],
                d->field_value[i], value, (long long)d->frames);
        SAY(d->field_value[i], "%s", value);
    }
}

static void add_times(es_doctor *d, const es_frame *frame) {
    const char *number = es_fields_get(&frame->fields, "FrameNumber");
    int64_t value = -1, f = d->frames;
    d->time_s[f] = frame->has_time ? frame->time_s : NAN;
    d->raw_s[f] = frame->has_unfiltered_time ? frame->unfiltered_time_s : NAN;
    d->number[f] = number && es_parse_int(number, &value) ? value : -1;
}

/* ---- pictures --------------------------------------------------------------------- */

/* Equal pictures have equal digests; others differ but for one in 2^64. */
static uint64_t digest_of(const es_image *image) {
    const unsigned char *bytes = image->data;
    size_t n = es_image_bytes(image), i = 0;
    uint64_t hash = 0x9E3779B97F4A7C15ull, word;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * 0xFF51AFD7ED558CCDull;
        hash ^= hash >> 32;
    }
    for (; i < n; i++) hash = (hash ^ bytes[i]) * 0xFF51AFD7ED558CCDull;
    return hash ? hash : 1;
}

static bool halve_thumbs(es_doctor *d) {
    size_t kept = 0;
    for (size_t i = 0; i < d->thumb_count; i++)
        if (i % 2)
            es_free(d->thumbs[i].grey);
        else
            d->thumbs[kept++] = d->thumbs[i];
    d->thumb_count = kept;
    d->thumb_step *= 2;
    return true;
}

static void mean_of_cells(const es_doctor *d, const es_image *image, const float *grey,
                          float *out) {
    uint32_t cell = d->cell, width = d->thumb_width;
    const uint8_t *bytes = grey ? NULL : image->data;
    for (uint32_t y = 0; y < d->thumb_height; y++) {
        float *row = out + (size_t)y * width;
        memset(row, 0, width * sizeof *row);
        for (uint32_t v = y * cell; v < (y + 1) * cell; v++) {
            size_t start = (size_t)v * image->width;
            for (uint32_t x = 0; x < width; x++) {
                float sum = 0;
                uint32_t whole = 0;
                size_t from = start + (size_t)x * cell;
                if (bytes) /* whole numbers: quicker, and exact */
                    for (uint32_t k = 0; k < cell; k++) whole += bytes[from + k];
                else
                    for (uint32_t k = 0; k < cell; k++)
                        sum += isfinite(grey[from + k]) ? grey[from + k] : 0;
                row[x] += bytes ? (float)whole : sum;
            }
        }
        for (uint32_t x = 0; x < width; x++) row[x] /= (float)(cell * cell);
    }
}

static bool add_thumb(es_doctor *d, const es_image *image, es_error *err) {
    if (d->pictures % d->thumb_step) return true;
    if (d->thumb_count == MOST_THUMBS && halve_thumbs(d) && d->pictures % d->thumb_step)
        return true;
    if (d->thumb_count == d->thumb_capacity) {
        size_t capacity = d->thumb_capacity ? 2 * d->thumb_capacity : 32;
        if (!es_resize(&d->thumbs, capacity, sizeof *d->thumbs, err)) return false;
        d->thumb_capacity = capacity;
    }
    bool bytes = image->type == ES_U8 && image->channels == 1;
    if (!bytes && !es_image_to_f32(image, &d->grey, err)) return false;
    float *grey = es_alloc((size_t)d->thumb_width * d->thumb_height, sizeof *grey, err);
    if (!grey) return false;
    mean_of_cells(d, image, bytes ? NULL : d->grey.data, grey);
    d->thumbs[d->thumb_count++] = (doctor_thumb){.frame = d->frames, .grey = grey};
    return true;
}

/* The still needs no more than some pictures: every 2^k-th. */
static bool add_to_still(es_doctor *d, const es_image *image, es_error *err) {
    int64_t step = 1;
    while (d->pictures / step >= MOST_STILLS) step *= 2;
    return d->pictures % step != 0 || es_still_maker_add(d->maker, image, err);
}

static void first_picture(es_doctor *d, const es_image *image) {
    uint32_t side = image->width > image->height ? image->width : image->height;
    d->picture_width = image->width;
    d->picture_height = image->height;
    d->cell = (side + THUMB - 1) / THUMB;
    d->thumb_width = image->width / d->cell;
    d->thumb_height = image->height / d->cell;
}

static bool add_picture(es_doctor *d, const es_image *image, es_error *err) {
    if (!doctor_is_size(image->width, image->height)) return true;
    if (!d->pictures) first_picture(d, image);
    if (image->width != d->picture_width || image->height != d->picture_height) {
        if (!d->changed_field[0])
            SAY(d->changed_field,
                "the picture changes from %u x %u to %u x %u pixels at frame %lld",
                d->picture_width, d->picture_height, image->width, image->height,
                (long long)d->frames);
        return true;
    }
    d->digest[d->frames] = digest_of(image);
    if (!add_thumb(d, image, err) || !add_to_still(d, image, err)) return false;
    d->pictures++;
    return true;
}

bool es_doctor_add(es_doctor *d, const es_frame *frame, es_error *err) {
    if (d->finished) return es_fail(err, ES_USAGE, "a frame after es_doctor_finish");
    if (d->frames == DOCTOR_FRAMES) {
        d->full = true;
        return true;
    }
    if (!grow(d, err)) return false;
    d->digest[d->frames] = 0;
    add_times(d, frame);
    watch_fields(d, frame);
    if (!add_poses(d, frame, err)) return false;
    if (frame->has_image && !add_picture(d, &frame->image, err)) return false;
    d->frames++;
    return true;
}

/* ---- the end ------------------------------------------------------------------------ */

static int by_severity(const void *a, const void *b) {
    const es_finding *x = a, *y = b;
    if (x->severity != y->severity) return (int)y->severity - (int)x->severity;
    int order = strcmp(x->check, y->check);
    return order ? order : strcmp(x->subject, y->subject);
}

bool es_doctor_finish(es_doctor *d, es_findings *findings, es_error *err) {
    if (d->finished) return es_fail(err, ES_USAGE, "es_doctor_finish may be called once");
    d->finished = true;
    if (d->pictures && !es_still_maker_finish(d->maker, &d->still, err)) return false;
    if (!doctor_check_statics(d, err) || !doctor_check_matrices(d, err) ||
        !doctor_check_spacing(d, err) || !doctor_check_poses(d, err) ||
        !doctor_check_chain(d, err) || !doctor_check_time(d, err) || !doctor_check_image(d, err) ||
        !doctor_check_motion(d, err) || !doctor_check_agreement(d, err))
        return false;
    if (d->findings.count)
        qsort(d->findings.items, d->findings.count, sizeof *d->findings.items, by_severity);
    *findings = d->findings;
    d->findings = (es_findings){0};
    return true;
}

/* ---- small things --------------------------------------------------------------------- */

double doctor_distance(const es_mat4 *a, const es_mat4 *b) {
    return es_vec3_length(es_vec3_sub(es_mat4_column(*a, 3), es_mat4_column(*b, 3)));
}

/* From the length of the difference of the two rotations, |R - S|_F =
 * 2 sqrt 2 sin(angle / 2): exact for small angles too. */
double doctor_rotation(const es_mat4 *a, const es_mat4 *b) {
    double sum = 0;
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            double apart = a->m[4 * r + c] - b->m[4 * r + c];
            sum += apart * apart;
        }
    return 2 * asin(fmin(sqrt(sum / 8), 1));
}

double doctor_median(double *values, size_t count) {
    if (!count) return NAN;
    qsort(values, count, sizeof *values, es_compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double doctor_spread(double *values, size_t count, double median) {
    for (size_t i = 0; i < count; i++) values[i] = fabs(values[i] - median);
    return doctor_median(values, count);
}

bool doctor_is_reference(const char *name) {
    return strncmp(name, "Reference", 9) == 0 || strcmp(name, "Patient") == 0;
}

bool doctor_is_picture(const char *from) {
    return strncmp(from, "Image", 5) == 0 || strstr(from, "Pixel") != NULL;
}

double doctor_column_length(const es_mat4 *m, int column) {
    return es_vec3_length(es_mat4_column(*m, column));
}

/* Smaller ones are placeholders of files with poses alone. */
bool doctor_is_size(double width, double height) {
    enum { LEAST_SIDE = 16 };
    return width >= LEAST_SIDE && height >= LEAST_SIDE;
}
