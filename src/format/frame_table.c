/* What a header says of single frames.
 *
 * A recording of 20,000 frames has hundreds of thousands of lines such as
 *   Seq_Frame0012_ProbeToTrackerTransform = 1 0 0 ...
 * They stay as text in the header; the table holds 16 bytes for each and is
 * sorted by frame once (files usually are already). Numbers are parsed when a
 * frame is asked for, so opening a recording is quick. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format_internal.h"

static const char prefix[] = "Seq_Frame";
enum { PREFIX = sizeof prefix - 1, WARNINGS = 3 };

bool es_is_frame_key(const char *key) { return strncmp(key, prefix, PREFIX) == 0; }

bool es_frame_table_add(es_frame_table *table, const char *text, const char *key, const char *value,
                        es_error *err) {
    const char *digits = key + PREFIX, *at = digits;
    uint64_t frame = 0;
    for (; isdigit((unsigned char)*at) && frame <= INT32_MAX; at++)
        frame = 10 * frame + (uint64_t)(*at - '0');
    if (at == digits || *at != '_' || !at[1] || frame > INT32_MAX)
        return es_fail(err, ES_FORMAT, "\"%.60s\": expected Seq_Frame<number>_<name>", key);
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? 2 * table->capacity : 256;
        if (!es_resize(&table->entries, capacity, sizeof *table->entries, err)) return false;
        table->capacity = capacity;
    }
    table->text = text;
    table->warnings_left = WARNINGS;
    table->entries[table->count++] =
        (es_frame_entry){(uint32_t)frame, (uint32_t)(value - (at + 1)), (uint64_t)(at + 1 - text)};
    return true;
}

static int by_frame_then_place(const void *a, const void *b) {
    const es_frame_entry *p = a, *q = b;
    if (p->frame != q->frame) return p->frame < q->frame ? -1 : 1;
    return p->name < q->name ? -1 : p->name > q->name;
}

static bool is_sorted(const es_frame_table *table) {
    for (size_t i = 1; i < table->count; i++)
        if (by_frame_then_place(&table->entries[i - 1], &table->entries[i]) > 0) return false;
    return true;
}

/* es_fields_set looks through all fields of a frame: a hostile frame with a
 * million of them must not take for ever. */
static bool check_crowding(const es_frame_table *table, es_error *err) {
    for (size_t i = ES_FRAME_FIELD_LIMIT; i < table->count; i++)
        if (table->entries[i].frame == table->entries[i - ES_FRAME_FIELD_LIMIT].frame)
            return es_fail(err, ES_FORMAT, "frame %u has more than %d fields",
                           table->entries[i].frame, ES_FRAME_FIELD_LIMIT);
    return true;
}

bool es_frame_table_sort(es_frame_table *table, int64_t frame_count, es_error *err) {
    if (!is_sorted(table))
        qsort(table->entries, table->count, sizeof *table->entries, by_frame_then_place);
    int64_t frames = es_frame_table_frames(table);
    if (frames > frame_count)
        return es_fail(err, ES_FORMAT,
                       "there are fields of frame %lld, but the sizes announce %lld frames",
                       (long long)frames - 1, (long long)frame_count);
    return check_crowding(table, err);
}

int64_t es_frame_table_frames(const es_frame_table *table) {
    return table->count ? (int64_t)table->entries[table->count - 1].frame + 1 : 0;
}

void es_frame_table_clear(es_frame_table *table) {
    es_free(table->entries);
    memset(table, 0, sizeof *table);
}

/* ---- one frame ------------------------------------------------------------ */

static bool ends_with(const char *name, const char *ending) {
    size_t length = strlen(name), tail = strlen(ending);
    return length > tail && strcmp(name + length - tail, ending) == 0;
}

/* Never fails: what is wrong is said, and the frame goes on without. */
static void warn(es_frame_table *table, const char *path, const es_frame *frame, const char *what,
                 const es_error *why) {
    if (table->warnings_left == 0) return;
    table->warnings_left--;
    es_log(ES_WARNING, "%s: frame %lld: %s: %s%s", path, (long long)frame->index, what,
           why->message, table->warnings_left ? "" : " (more of this kind is not reported)");
}

static bool parse_pose(const char *value, es_mat4 *pose, es_error *why) {
    long found = es_parse_doubles(value, pose->m, 16);
    if (found < 0) return es_fail(why, ES_FORMAT, "expected 16 numbers, found \"%.60s\"", value);
    if (found != 16) return es_fail(why, ES_FORMAT, "expected 16 numbers, found %ld", found);
    if (!es_mat4_finite(*pose)) return es_fail(why, ES_FORMAT, "not all numbers are finite");
    const double *row = pose->m + 12;
    if (row[0] != 0 || row[1] != 0 || row[2] != 0 || row[3] != 1)
        return es_fail(why, ES_FORMAT, "expected a last row of 0 0 0 1, found %g %g %g %g", row[0],
                       row[1], row[2], row[3]);
    return true;
}

/* "ProbeToTrackerTransform" without its ending. */
static bool stem_of(const char *name, const char *ending, char key[ES_NAME_SIZE], es_error *err) {
    size_t stem = strlen(name) - strlen(ending);
    if (stem >= ES_NAME_SIZE)
        return es_fail(err, ES_FORMAT, "a transform's name of %zu letters; %d are the limit", stem,
                       ES_NAME_SIZE - 1);
    memcpy(key, name, stem);
    key[stem] = '\0';
    return true;
}

static bool set_pose(es_frame_table *table, const char *path, es_frame *frame, const char *name,
                     const char *value, es_error *err) {
    char key[ES_NAME_SIZE];
    if (!stem_of(name, "Transform", key, err)) return false;
    es_mat4 pose;
    es_error why = {0};
    bool valid = parse_pose(value, &pose, &why);
    if (!valid) {
        char what[ES_NAME_SIZE + 16];
        snprintf(what, sizeof what, "transform %s", key);
        warn(table, path, frame, what, &why);
        pose = es_mat4_identity(); /* marked invalid: nobody uses it */
    }
    return es_frame_set_transform(frame, key, pose, valid, err);
}

static void set_time(es_frame_table *table, const char *path, const es_frame *frame,
                     const char *name, const char *value, bool *has, double *time_s) {
    *has = es_parse_double(value, time_s) && isfinite(*time_s);
    if (*has) return;
    es_error why = {0};
    es_fail(&why, ES_FORMAT, "expected a time in seconds, found \"%.60s\"", value);
    warn(table, path, frame, name, &why);
}

static es_frame_transform *status_owner(es_frame *frame, const char *name) {
    char key[ES_NAME_SIZE];
    if (!ends_with(name, "TransformStatus") || !stem_of(name, "TransformStatus", key, NULL))
        return NULL;
    return (es_frame_transform *)es_frame_find_transform(frame, key);
}

/* Statuses come after all transforms have been seen: files order them freely. */
static bool set_status_or_field(es_frame *frame, const char *name, const char *value,
                                es_error *err) {
    es_frame_transform *owner = status_owner(frame, name);
    if (!owner) return es_fields_set(&frame->fields, name, value, err);
    if (owner->valid) snprintf(owner->status, sizeof owner->status, "%s", value);
    owner->valid = owner->valid && strcmp(value, "OK") == 0;
    return true;
}

typedef enum what { POSE, TIME, UNFILTERED_TIME, IMAGE_STATUS, STATUS_OR_FIELD } what;

static what classify(const es_frame_table *table, const char *name) {
    if (ends_with(name, "Transform")) return POSE;
    if (strcmp(name, "Timestamp") == 0) return TIME;
    if (strcmp(name, "UnfilteredTimestamp") == 0) return UNFILTERED_TIME;
    if (strcmp(name, "ImageStatus") == 0) return IMAGE_STATUS;
    if (table->image_status && strcmp(name, table->image_status) == 0) return IMAGE_STATUS;
    return STATUS_OR_FIELD;
}

static bool set_entry(es_frame_table *table, const char *path, es_frame *frame, const char *name,
                      const char *value, bool *image_ok, es_error *err) {
    switch (classify(table, name)) {
    case POSE: return set_pose(table, path, frame, name, value, err);
    case TIME:
        set_time(table, path, frame, name, value, &frame->has_time, &frame->time_s);
        return true;
    case UNFILTERED_TIME:
        set_time(table, path, frame, name, value, &frame->has_unfiltered_time,
                 &frame->unfiltered_time_s);
        return true;
    case IMAGE_STATUS: *image_ok = strcmp(value, "OK") == 0; return true;
    case STATUS_OR_FIELD: return set_status_or_field(frame, name, value, err);
    }
    return true;
}

bool es_frame_table_fill(es_frame_table *table, const char *path, es_frame *frame, bool *image_ok,
                         es_error *err) {
    frame->transform_count = 0;
    frame->has_time = frame->has_unfiltered_time = false;
    es_fields_clear(&frame->fields);
    *image_ok = true;
    size_t first = table->cursor, stop = first;
    while (stop < table->count && table->entries[stop].frame == frame->index) stop++;
    for (int later = 0; later < 2; later++)
        for (size_t i = first; i < stop; i++) {
            const char *name = table->text + table->entries[i].name;
            if ((classify(table, name) == STATUS_OR_FIELD) != later) continue;
            const char *value = name + table->entries[i].value;
            if (!set_entry(table, path, frame, name, value, image_ok, err))
                return es_prefix(err, "frame %lld", (long long)frame->index);
        }
    table->cursor = stop;
    return true;
}
