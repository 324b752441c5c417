/* Frames that a live run took back out of its volume.
 *
 * When they are taken back their lines stand in the recording already, and nothing
 * written is ever changed: so a line of the header, added behind them, says which
 * they are. Here these lines become what every reader knows, the mark of each
 * frame that is not in the volume, and leave the header: frames may be cut out and
 * numbered anew, a frame keeps its mark. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format_internal.h"

/* Frames, the first and the last one. */
typedef struct range {
    double first, last;
} range;

typedef struct undone {
    es_source *inner;
    range *ranges; /* in order, apart from one another */
    size_t count;
} undone;

static bool is_mark(const es_field *field) {
    const size_t length = strlen(ES_LIVE_UNDONE);
    return strncmp(field->key, ES_LIVE_UNDONE, length) == 0 &&
           strspn(field->key + length, "0123456789") == strlen(field->key + length);
}

static bool read_range(const es_field *field, range *r, es_error *err) {
    double v[2];
    bool ok = es_parse_doubles(field->value, v, 2) == 2 && v[0] >= 0 && v[1] >= v[0] &&
              v[1] <= 0x1p53 && v[0] == floor(v[0]) && v[1] == floor(v[1]);
    r->first = v[0];
    r->last = v[1];
    return ok || es_fail(err, ES_FORMAT,
                         "%s: expected the numbers of the first and the last frame that were "
                         "taken back, found \"%.80s\"",
                         field->key, field->value);
}

static int by_first(const void *a, const void *b) {
    const range *one = a, *two = b;
    return (one->first > two->first) - (one->first < two->first);
}

static void join_ranges(undone *u) {
    size_t kept = 0;
    qsort(u->ranges, u->count, sizeof *u->ranges, by_first);
    for (size_t i = 1; i < u->count; i++) {
        range *last = &u->ranges[kept];
        if (u->ranges[i].first > last->last + 1)
            u->ranges[++kept] = u->ranges[i];
        else
            last->last = fmax(last->last, u->ranges[i].last);
    }
    u->count = kept + 1;
}

/* Moves the marks out of the fields. */
static bool take_marks(undone *u, es_fields *fields, size_t marks, es_error *err) {
    es_fields others = {0};
    u->ranges = es_alloc(marks, sizeof *u->ranges, err);
    bool ok = u->ranges != NULL;
    for (size_t i = 0; ok && i < fields->count; i++) {
        const es_field *field = &fields->items[i];
        ok = is_mark(field) ? read_range(field, &u->ranges[u->count++], err)
                            : es_fields_set(&others, field->key, field->value, err);
    }
    es_fields_clear(fields);
    *fields = others;
    if (ok) join_ranges(u);
    return ok;
}

static int where(const void *key, const void *item) {
    const double index = *(const double *)key;
    const range *r = item;
    return (index > r->last) - (index < r->first);
}

static bool next_frame(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    undone *u = self;
    if (!es_source_next(u->inner, frame, flags, end, err)) return false;
    const double index = (double)frame->index;
    if (*end || !bsearch(&index, u->ranges, u->count, sizeof *u->ranges, where)) return true;
    return es_fields_set(&frame->fields, ES_LIVE_INSERTED, "0", err);
}

static bool rewind_frames(void *self, es_error *err) {
    return es_source_rewind(((undone *)self)->inner, err);
}

static void free_undone(void *self) {
    undone *u = self;
    es_source_free(u->inner);
    es_free(u->ranges);
    es_free(u);
}

/* Takes `u`, also on failure. */
static es_source *wrap(undone *u, size_t marks, es_error *err) {
    static const es_source_ops ops = {next_frame, rewind_frames, free_undone};
    static const es_source_ops once = {next_frame, NULL, free_undone};
    es_stream_info info = {0};
    es_source *source = NULL;
    if (es_stream_info_copy(es_source_info(u->inner), &info, err) &&
        take_marks(u, &info.fields, marks, err))
        source = es_source_new(es_source_can_rewind(u->inner) ? &ops : &once, u, &info, err);
    else
        free_undone(u);
    es_stream_info_clear(&info);
    return source;
}

static size_t count_marks(const es_fields *fields) {
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++) count += is_mark(&fields->items[i]);
    return count;
}

es_source *es_undone_open(es_source *inner, const char *path, es_error *err) {
    const size_t marks = inner ? count_marks(&es_source_info(inner)->fields) : 0;
    if (marks == 0) return inner;
    undone *u = es_alloc_zero(1, sizeof *u, err);
    if (!u) {
        es_source_free(inner);
        return NULL;
    }
    u->inner = inner;
    es_source *source = wrap(u, marks, err);
    if (!source) es_prefix(err, "%s", path);
    return source;
}
