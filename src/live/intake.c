/* OpenIGTLink messages as frames and poses.
 *
 * PlusServer sends each tracked frame as an IMAGE with all fields of the frame
 * in its metadata (to clients that have shown header version 2), and its
 * transforms as TRANSFORM messages with the same stamp. A device name such as
 * Image_Reference says that the matrix of the picture is ImageToReference. It
 * sends the picture, with an old matrix, also when the tool was not seen: only
 * the statuses tell. */
#include "intake.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { KEY = 256, VALUE = 4096 };

static bool take_text(const char *from, size_t length, char *text, size_t size) {
    if (length >= size) return false;
    memcpy(text, from, length);
    text[length] = '\0';
    return strlen(text) == length; /* no zero bytes within */
}

bool intake_meta(const es_igtl_message *message, const char *key, char *text, size_t size) {
    es_igtl_meta meta;
    return es_igtl_meta_find(message, key, &meta) &&
           take_text(meta.value, meta.value_length, text, size);
}

/* What the header of a recording cannot hold in a name. */
static bool is_odd(char c) { return c == '=' || c == ':' || (unsigned char)c < 32; }

static bool is_writable(const char *key) {
    for (const char *at = key; *at; at++)
        if (is_odd(*at)) return false;
    return *key != '\0';
}

static void make_writable(char *name) {
    for (; *name; name++)
        if (is_odd(*name)) *name = '_';
}

void intake_name(const es_igtl_message *message, char name[ES_NAME_SIZE]) {
    if (!intake_meta(message, "IGTL_DEVICE_NAME", name, ES_NAME_SIZE) || !*name)
        snprintf(name, ES_NAME_SIZE, "%s", message->device);
    make_writable(name);
}

/* ---- transforms in metadata -------------------------------------------------- */

/* "ProbeToTrackerTransform" without `ending`; false for other keys. */
static bool stem(const char *key, const char *ending, char name[ES_NAME_SIZE]) {
    size_t length = strlen(key), tail = strlen(ending);
    if (length <= tail || strcmp(key + length - tail, ending) != 0) return false;
    return take_text(key, length - tail, name, ES_NAME_SIZE);
}

static bool set_matrix(es_frame *frame, const char *name, const char *value, es_error *err) {
    es_mat4 m;
    bool valid = es_parse_doubles(value, m.m, 16) == 16 && es_mat4_finite(m) && m.m[12] == 0 &&
                 m.m[13] == 0 && m.m[14] == 0 && m.m[15] == 1;
    return es_frame_set_transform(frame, name, valid ? m : es_mat4_identity(), valid, err);
}

static bool is_ours(const char *key) {
    static const char *const names[] = {"IGTL_DEVICE_NAME",    "FriendlyDeviceName", "Timestamp",
                                        "UnfilteredTimestamp", "ImageStatus",        "Status"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(key, names[i]) == 0) return true;
    return false;
}

/* Other fields are kept as they are, if a recording can hold them. */
static bool keep_field(es_frame *frame, const char *key, const char *value, es_error *err) {
    char name[ES_NAME_SIZE];
    return is_ours(key) || stem(key, "TransformStatus", name) ||
           es_fields_set(&frame->fields, key, value, err);
}

static bool take_fields(const es_igtl_message *message, es_frame *frame, es_error *err) {
    char key[KEY], value[VALUE], name[ES_NAME_SIZE];
    for (int i = 0; i < message->meta_count && i < 256; i++) {
        es_igtl_meta meta = es_igtl_meta_at(message, i);
        if (!take_text(meta.key, meta.key_length, key, sizeof key) ||
            !take_text(meta.value, meta.value_length, value, sizeof value) || !is_writable(key))
            continue;
        bool ok = stem(key, "Transform", name) ? set_matrix(frame, name, value, err)
                                               : keep_field(frame, key, value, err);
        if (!ok) return false;
    }
    return true;
}

/* Statuses after all transforms: metadata come in any order. */
static void take_statuses(const es_igtl_message *message, es_frame *frame) {
    char key[ES_NAME_SIZE + 32], value[sizeof frame->transforms->status];
    for (size_t i = 0; i < frame->transform_count; i++) {
        es_frame_transform *t = &frame->transforms[i];
        snprintf(key, sizeof key, "%sTransformStatus", t->name);
        if (!intake_meta(message, key, value, sizeof value)) continue;
        t->valid = t->valid && strcmp(value, "OK") == 0;
        strcpy(t->status, value);
    }
}

/* ---- the picture's own place --------------------------------------------------- */

/* "Image_Reference" -> "ImageToReference"; a name that is a transform already
 * stays. */
static bool place_name(const char *device, char name[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    const char *bar = strrchr(device, '_');
    if (bar && bar > device && bar[1]) {
        int n = snprintf(name, ES_NAME_SIZE, "%.*sTo%s", (int)(bar - device), device, bar + 1);
        if (n < 0 || n >= ES_NAME_SIZE) return false;
    } else {
        snprintf(name, ES_NAME_SIZE, "%s", device);
    }
    return es_transform_name_split(name, from, to, NULL) && strcmp(from, to) != 0;
}

/* The place of the first pixel comes back from that of the middle, in floats:
 * zero is zero to a hundredth of a pixel of any scanner. */
static bool has_no_turn(es_mat4 a) {
    const double zero_mm = 1e-3;
    for (int row = 0; row < 3; row++)
        for (int column = 0; column < 3; column++)
            if (row != column && a.m[4 * row + column] != 0) return false;
    return fabs(a.m[3]) < zero_mm && fabs(a.m[7]) < zero_mm && fabs(a.m[11]) < zero_mm;
}

/* The matrix is stale when one of the poses that made it was not valid, and the
 * server sends it all the same. Which poses these are is not said: those of
 * the probe and of the frame that it leads to. */
static bool poses_are_valid(const es_frame *frame, const char *to) {
    for (size_t i = 0; i < frame->transform_count; i++) {
        char a[ES_NAME_SIZE], b[ES_NAME_SIZE];
        const es_frame_transform *t = &frame->transforms[i];
        if (t->valid || !es_transform_name_split(t->name, a, b, NULL)) continue;
        if (strcmp(a, "Probe") == 0 || strcmp(a, to) == 0) return false;
    }
    return true;
}

static bool set_place(const es_igtl_message *message, const char *name, es_mat4 place,
                      es_frame *frame, es_error *err) {
    char key[ES_NAME_SIZE + 32], status[32], from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    snprintf(key, sizeof key, "%sTransformStatus", name);
    bool valid;
    if (intake_meta(message, key, status, sizeof status))
        valid = strcmp(status, "OK") == 0;
    else
        valid = es_transform_name_split(name, from, to, NULL) && poses_are_valid(frame, to) &&
                !has_no_turn(place);
    return es_frame_set_transform(frame, name, place, valid && es_mat4_finite(place), err);
}

static bool take_place(const es_igtl_message *message, const es_igtl_image *image, es_frame *frame,
                       double spacing_mm[2], es_error *err) {
    char device[ES_NAME_SIZE], name[ES_NAME_SIZE];
    es_mat4 place = es_igtl_image_place(image);
    intake_name(message, device);
    spacing_mm[0] = spacing_mm[1] = 1;
    if (place_name(device, name))
        return es_frame_find_transform(frame, name) || set_place(message, name, place, frame, err);
    if (strchr(device, '_')) return true; /* Image_Image: nothing is said */
    for (int a = 0; a < 2; a++) {
        double mm = es_vec3_length(es_mat4_column(place, a));
        if (isfinite(mm) && mm > 0) spacing_mm[a] = mm;
    }
    return true;
}

/* ---- the picture ----------------------------------------------------------------- */

static bool is_flat(const es_igtl_image *image) {
    for (int a = 0; a < 3; a++)
        if (image->part_first[a] != 0 || image->part_size[a] != image->size[a]) return false;
    return image->size[2] == 1 && image->size[0] > 0 && image->size[1] > 0 &&
           (image->channels == 1 || image->channels == 3);
}

static void start_frame(const es_igtl_message *message, es_frame *frame) {
    frame->transform_count = 0;
    frame->has_image = frame->has_time = true;
    frame->has_unfiltered_time = false;
    frame->time_s = es_igtl_seconds(message->time);
    frame->unfiltered_time_s = 0;
}

/* Of a picture that is there; that the part lies within it was checked when the
 * message was read. */
static bool is_part_of(const es_igtl_image *part, const es_image *whole) {
    return whole->data && part->size[2] == 1 && part->part_size[2] == 1 &&
           part->size[0] == whole->width && part->size[1] == whole->height &&
           part->type == whole->type && part->channels == whole->channels;
}

static void patch(const es_igtl_image *part, es_image *whole) {
    const size_t pixel = es_type_size(whole->type) * (size_t)whole->channels;
    es_igtl_image row = *part;
    row.bytes = pixel * part->part_size[0];
    for (uint32_t v = 0; v < part->part_size[1]; v++, row.pixels += row.bytes) {
        size_t first = (size_t)(part->part_first[1] + v) * whole->width + part->part_first[0];
        es_igtl_image_copy(&row, (char *)whole->data + pixel * first);
    }
}

/* The picture, new or mended in a part, also into *whole. */
static bool take_pixels(const es_igtl_image *image, es_image *whole, es_image *to, es_error *err) {
    if (!is_flat(image)) {
        patch(image, whole);
        return es_image_copy(whole, to, err);
    }
    if (!es_image_resize(to, image->type, image->channels, image->size[0], image->size[1], err))
        return false;
    es_igtl_image_copy(image, to->data);
    return es_image_copy(to, whole, err);
}

/* All of the frame but its pixels. */
static bool describe(const es_igtl_message *message, const es_igtl_image *image, es_frame *frame,
                     double spacing_mm[2], es_error *err) {
    start_frame(message, frame);
    es_fields_clear(&frame->fields);
    if (!take_fields(message, frame, err)) return false;
    take_statuses(message, frame);
    return take_place(message, image, frame, spacing_mm, err);
}

bool intake_picture(const es_igtl_message *message, es_frame *frame, es_image *whole,
                    double spacing_mm[2], bool *flat, es_error *err) {
    es_igtl_image image;
    *flat =
        es_igtl_get_image(message, &image, NULL) && (is_flat(&image) || is_part_of(&image, whole));
    if (!*flat) return true;
    return take_pixels(&image, whole, &frame->image, err) &&
           describe(message, &image, frame, spacing_mm, err);
}

bool intake_image(const es_igtl_message *message, const es_igtl_image *image, es_frame *frame,
                  double spacing_mm[2], es_error *err) {
    if (!es_image_resize(&frame->image, image->type, image->channels, image->size[0],
                         image->size[1], err))
        return false;
    es_igtl_image_copy(image, frame->image.data);
    return describe(message, image, frame, spacing_mm, err);
}

/* ---- poses ------------------------------------------------------------------------- */

static bool is_identity(es_mat4 a) {
    es_mat4 identity = es_mat4_identity();
    for (int i = 0; i < 16; i++)
        if (a.m[i] != identity.m[i]) return false;
    return true;
}

/* Older servers flag nothing and send the identity for a tool out of view. */
static bool is_seen(const es_igtl_message *message, es_mat4 matrix) {
    char text[32];
    if (!es_mat4_finite(matrix)) return false;
    if (intake_meta(message, "TransformValid", text, sizeof text) && strcmp(text, "1") != 0 &&
        strcasecmp(text, "true") != 0)
        return false;
    if (intake_meta(message, "TransformStatus", text, sizeof text)) return strcmp(text, "OK") == 0;
    return !is_identity(matrix);
}

static void name_tool(const char *name, char pose[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    snprintf(pose, ES_NAME_SIZE,
             es_transform_name_split(name, from, to, NULL) ? "%s" : "%.100sToTracker", name);
}

static bool place_of(const es_igtl_message *message, es_mat4 *matrix) {
    es_igtl_position position;
    if (strcmp(message->type, "TRANSFORM") == 0)
        return es_igtl_get_transform(message, matrix, NULL);
    if (strcmp(message->type, "POSITION") != 0 && strcmp(message->type, "QTRANS") != 0)
        return false;
    if (!es_igtl_get_position(message, &position, NULL)) return false;
    *matrix = es_quat_to_mat4(position.turn, position.place);
    return position.numbers > 3; /* a place alone is no pose */
}

void intake_pose(const es_igtl_message *message, es_live_pose *pose, bool *is_pose) {
    char name[ES_NAME_SIZE];
    *is_pose = place_of(message, &pose->matrix);
    if (!*is_pose) return;
    intake_name(message, name);
    name_tool(name, pose->name);
    pose->time_s = es_igtl_seconds(message->time);
    pose->valid = is_seen(message, pose->matrix);
}

void intake_tool(const es_igtl_message *message, size_t index, es_live_pose *pose, bool *is_pose) {
    es_igtl_tool tool;
    char key[64], status[32];
    *is_pose = es_igtl_get_tool(message, index, &tool, NULL);
    if (!*is_pose) return;
    snprintf(key, sizeof key, "%sStatus", tool.name);
    make_writable(tool.name);
    name_tool(tool.name, pose->name);
    pose->matrix = tool.matrix;
    pose->time_s = es_igtl_seconds(message->time);
    pose->valid = es_mat4_finite(tool.matrix) &&
                  (intake_meta(message, key, status, sizeof status) ? strcmp(status, "OK") == 0
                                                                    : !is_identity(tool.matrix));
}

/* ---- what a sensor says ------------------------------------------------------------ */

bool intake_sensor(const es_igtl_message *message, es_fields *fields, es_error *err) {
    enum { SENSORS_MOST = 16 };
    es_igtl_sensor sensor;
    char name[ES_NAME_SIZE], key[ES_NAME_SIZE + 8], number[ES_NUMBER_SIZE];
    es_text values = {0};
    if (!es_igtl_get_sensor(message, &sensor, NULL)) return true;
    intake_name(message, name);
    snprintf(key, sizeof key, "%sSensor", name);
    if (!es_fields_get(fields, key) && fields->count >= SENSORS_MOST) return true;
    for (int i = 0; i < sensor.count; i++)
        es_text_add(&values, "%s%s", i ? " " : "", es_format_double(sensor.values[i], number));
    bool ok = values.failed ? es_fail(err, ES_MEMORY, "out of memory")
                            : es_fields_set(fields, key, values.bytes ? values.bytes : "", err);
    es_text_free(&values);
    return ok;
}
