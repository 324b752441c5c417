/* Which pose belongs to which frame.
 *
 * By file name when the table names the pictures; row by row when there are as
 * many poses as frames; by time when both have a clock. Anything else is
 * refused with both counts: a table that is cut to fit puts every picture
 * behind the missing one in a wrong place. Two clocks that both start at zero
 * were started by two hands, so the offset between them must be given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pose_internal.h"

/* Poses are not carried over more than this many steps of the table, ... */
static const double GAP_STEPS = 4;
static const double GAP_LEAST_S = 0.05;   /* but a short loss is nothing */
static const double RELATIVE_CLOCK_S = 1; /* a clock that starts below counts from a start */

typedef struct stamps {
    double *times; /* NaN: none */
    char **files;  /* NULL: none */
    size_t count, capacity, timed, named;
} stamps;

static void clear_stamps(stamps *s) {
    for (size_t i = 0; i < s->count; i++) es_free(s->files[i]);
    es_free(s->times);
    es_free(s->files);
}

static bool add_stamp(stamps *s, const es_frame *frame, double rate_hz, es_error *err) {
    if (s->count == s->capacity) {
        size_t room = s->capacity ? 2 * s->capacity : 256;
        if (!es_resize(&s->times, room, sizeof *s->times, err) ||
            !es_resize(&s->files, room, sizeof *s->files, err))
            return false;
        s->capacity = room;
    }
    const char *file = es_fields_get(&frame->fields, "FileName");
    char *copy = NULL;
    if (file && !(copy = es_copy_text(es_path_name(file), err))) return false;
    double time = frame->has_time ? frame->time_s : (double)s->count / rate_hz;
    s->timed += !isnan(time);
    s->named += copy != NULL;
    s->times[s->count] = time;
    s->files[s->count++] = copy;
    return true;
}

static bool read_stamps(es_source *source, double rate_hz, stamps *s, es_error *err) {
    es_frame frame = {0};
    bool end = false, ok = true;
    while (ok) {
        ok = es_source_next(source, &frame, 0, &end, err);
        if (!ok || end) break;
        ok = add_stamp(s, &frame, rate_hz, err);
    }
    es_frame_clear(&frame);
    return ok && es_source_rewind(source, err);
}

/* ---- by file ------------------------------------------------------------------ */

typedef struct named_sample {
    const char *name;
    size_t sample;
} named_sample;

static int by_name(const void *a, const void *b) {
    return strcmp(((const named_sample *)a)->name, ((const named_sample *)b)->name);
}

static bool pair_by_file(const es_pose_table *table, const stamps *s, pose_pairs *pairs,
                         size_t *found, es_error *err) {
    size_t samples = es_pose_table_about(table)->samples;
    named_sample *list = es_alloc(samples, sizeof *list, err);
    if (!list) return false;
    for (size_t i = 0; i < samples; i++)
        list[i] = (named_sample){es_path_name(es_pose_table_file(table, i)), i};
    qsort(list, samples, sizeof *list, by_name);
    *found = 0;
    for (size_t f = 0; f < s->count; f++) {
        named_sample key = {s->files[f], 0};
        named_sample *hit = key.name ? bsearch(&key, list, samples, sizeof *list, by_name) : NULL;
        if (!hit) continue;
        pairs->items[f] = (pose_pair){hit->sample, hit->sample, 0, true};
        ++*found;
    }
    es_free(list);
    return true;
}

/* ---- by time ------------------------------------------------------------------- */

typedef struct clock_span {
    double first, last, step;
} clock_span;

static clock_span table_clock(const es_pose_table *table) {
    size_t samples = es_pose_table_about(table)->samples;
    double first = es_pose_table_time(table, 0), last = es_pose_table_time(table, samples - 1);
    return (clock_span){first, last, samples > 1 ? (last - first) / (double)(samples - 1) : 0};
}

static clock_span frame_clock(const stamps *s) {
    clock_span c = {INFINITY, -INFINITY, 0};
    for (size_t f = 0; f < s->count; f++) {
        c.first = fmin(c.first, s->times[f]);
        c.last = fmax(c.last, s->times[f]);
    }
    c.step = s->count > 1 ? (c.last - c.first) / (double)(s->count - 1) : 0;
    return c;
}

/* The sample at or before `time`; samples grow in time. */
static size_t sample_before(const es_pose_table *table, double time) {
    size_t low = 0, high = es_pose_table_about(table)->samples;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (es_pose_table_time(table, middle) <= time)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool pair_time(const es_pose_table *table, double time, double gap_s, pose_pair *pair) {
    size_t a = sample_before(table, time), b = a + 1;
    double ta = es_pose_table_time(table, a);
    if (ta == time) b = a;
    if (b == es_pose_table_about(table)->samples || !(ta <= time)) return false;
    double tb = es_pose_table_time(table, b);
    if (!(tb - ta <= gap_s)) return false;
    *pair = (pose_pair){a, b, b == a ? 0 : (time - ta) / (tb - ta), true};
    return true;
}

static size_t pair_by_time(const es_pose_table *table, const stamps *s, double offset_s,
                           double gap_s, pose_pairs *pairs) {
    size_t found = 0;
    for (size_t f = 0; f < s->count; f++)
        found += pair_time(table, s->times[f] - offset_s, gap_s, &pairs->items[f]);
    return found;
}

/* ---- by row --------------------------------------------------------------------- */

/* Rows go with frames when both clocks, if there are two, keep step. */
static bool keeps_step(const es_pose_table *table, const stamps *s, double *offset_s) {
    *offset_s = NAN;
    if (!es_pose_table_about(table)->has_time || s->timed < s->count) return true;
    double low = INFINITY, high = -INFINITY;
    for (size_t f = 0; f < s->count; f++) {
        double d = s->times[f] - es_pose_table_time(table, f);
        low = fmin(low, d);
        high = fmax(high, d);
    }
    *offset_s = 0.5 * (low + high);
    return high - low <= fmax(frame_clock(s).step, 1e-3);
}

static void pair_by_row(pose_pairs *pairs) {
    for (size_t f = 0; f < pairs->count; f++) pairs->items[f] = (pose_pair){f, f, 0, true};
}

/* ---- the choice ------------------------------------------------------------------ */

static bool say_rows(size_t count, double offset_s, es_decisions *d, es_error *err) {
    char why[160] = "as many poses as frames";
    if (!isnan(offset_s))
        snprintf(why, sizeof why, "as many poses as frames, whose clock is %.4g s ahead throughout",
                 offset_s);
    return es_decisions_add(d, err, "poses joined", why, "row by row, %zu of each", count);
}

static bool check_clocks(const es_pose_request *r, clock_span frames, clock_span table,
                         es_error *err) {
    if (!isnan(r->time_offset_s)) return true;
    if (frames.first < RELATIVE_CLOCK_S || table.first < RELATIVE_CLOCK_S)
        return es_fail(
            err, ES_FORMAT,
            "the frames' clock runs from %.4f to %.4f s, the poses' from %.4f to %.4f s, "
            "and one of them counts from its own start; give what to add to the poses' "
            "times with --time-offset (0 when both were started at once)",
            frames.first, frames.last, table.first, table.last);
    if (table.last >= frames.first && table.first <= frames.last) return true;
    return es_fail(
        err, ES_FORMAT,
        "the frames' clock runs from %.4f to %.4f s, the poses' from %.4f to %.4f s: they "
        "never meet; give what to add to the poses' times with --time-offset",
        frames.first, frames.last, table.first, table.last);
}

static bool join_by_time(const es_pose_table *table, const es_pose_request *r, const stamps *s,
                         pose_pairs *pairs, es_decisions *d, es_error *err) {
    clock_span frames = frame_clock(s), poses = table_clock(table);
    if (!check_clocks(r, frames, poses, err)) return false;
    double offset_s = isnan(r->time_offset_s) ? 0 : r->time_offset_s;
    double gap_s = fmax(GAP_LEAST_S, GAP_STEPS * poses.step);
    size_t found = pair_by_time(table, s, offset_s, gap_s, pairs);
    if (found == 0)
        return es_fail(err, ES_FORMAT,
                       "no frame of %.4f to %.4f s lies among the poses of %.4f to %.4f s (offset "
                       "%.4g s); give what to add to the poses' times with --time-offset",
                       frames.first, frames.last, poses.first + offset_s, poses.last + offset_s,
                       offset_s);
    char why[160];
    snprintf(why, sizeof why,
             "%zu frames, %zu poses; offset %.4g s%s; between poses at most %.3g s "
             "apart",
             s->count, es_pose_table_about(table)->samples, offset_s,
             isnan(r->time_offset_s) ? " (the clocks overlap)" : " as given", gap_s);
    return es_decisions_add(d, err, "poses joined", why, "by time, %zu of %zu frames have a pose",
                            found, s->count);
}

static bool join_by_file(const es_pose_table *table, const stamps *s, pose_pairs *pairs,
                         es_decisions *d, es_error *err) {
    size_t found = 0;
    if (!pair_by_file(table, s, pairs, &found, err)) return false;
    if (found == 0)
        return es_fail(err, ES_FORMAT,
                       "the table names files such as '%.60s', the frames such as "
                       "'%.60s': none is in both",
                       es_pose_table_file(table, 0), s->files[0] ? s->files[0] : "");
    return es_decisions_add(d, err, "poses joined", "the table names the pictures' files",
                            "by file name, %zu of %zu frames have a pose", found, s->count);
}

static bool choose(const es_pose_table *table, const es_pose_request *r, const stamps *s,
                   pose_pairs *pairs, es_decisions *d, es_error *err) {
    const es_pose_table_info *about = es_pose_table_about(table);
    bool clocks = about->has_time && s->count > 0 && s->timed == s->count;
    double offset_s = NAN;
    if (about->has_file && s->named == s->count && s->count > 0)
        return join_by_file(table, s, pairs, d, err);
    if (isnan(r->time_offset_s) && about->samples == s->count && keeps_step(table, s, &offset_s)) {
        pair_by_row(pairs);
        return say_rows(s->count, offset_s, d, err);
    }
    if (clocks) return join_by_time(table, r, s, pairs, d, err);
    return es_fail(
        err, ES_FORMAT,
        "%zu frames, but %zu poses, and no clock on %s to join them by%s%s; cut neither: "
        "give the table a time column, the frames their rate (--fps), and --time-offset",
        s->count, about->samples,
        about->has_time ? "the frames"
        : s->timed      ? "the table"
                        : "either",
        about->time_note[0] ? ": " : "", about->time_note);
}

bool pose_pairs_make(es_source *source, const es_pose_table *table, const es_pose_request *request,
                     pose_pairs *pairs, es_decisions *decisions, es_error *err) {
    stamps s = {0};
    memset(pairs, 0, sizeof *pairs);
    bool ok = read_stamps(source, request->rate_hz, &s, err) &&
              (pairs->items = es_alloc_zero(s.count, sizeof *pairs->items, err));
    pairs->count = s.count;
    ok = ok && choose(table, request, &s, pairs, decisions, err);
    clear_stamps(&s);
    return ok;
}

void pose_pairs_clear(pose_pairs *pairs) {
    es_free(pairs->items);
    memset(pairs, 0, sizeof *pairs);
}

bool pose_pair_at(const es_pose_table *table, int tool, const es_pose_reading *reading,
                  const pose_pair *pair, es_mat4 *pose) {
    es_mat4 a, b;
    if (!pair->paired || !es_pose_table_pose(table, tool, pair->a, reading, &a)) return false;
    *pose = a;
    if (pair->a == pair->b) return true;
    if (!es_pose_table_pose(table, tool, pair->b, reading, &b)) return false;
    *pose = es_pose_interpolate(a, b, pair->t);
    return true;
}
