/* Frames with the poses of a table: the door, and the source that joins them. */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "pose_internal.h"

void es_pose_request_init(es_pose_request *request) {
    *request = (es_pose_request){.time_offset_s = NAN, .rate_hz = NAN};
}

/* ---- names of tools ------------------------------------------------------------- */

static void trim_blanks(const char **start, const char **end) {
    while (*start < *end && isspace((unsigned char)**start)) ++*start;
    while (*end > *start && isspace((unsigned char)(*end)[-1])) --*end;
}

static bool same_word(const char *start, const char *end, const char *word) {
    size_t length = strlen(word);
    return (size_t)(end - start) == length && strncasecmp(start, word, length) == 0;
}

/* What `text` ("A=Probe, B=Reference"; "A" alone: A=Probe) calls the tool. */
static bool given_name(const char *text, const char *tool, char name[ES_NAME_SIZE]) {
    for (const char *at = text; at && *at;) {
        const char *end = at + strcspn(at, ","), *stop = end;
        const char *equals = memchr(at, '=', (size_t)(end - at));
        const char *left = at, *left_end = equals ? equals : end;
        trim_blanks(&left, &left_end);
        const char *right = equals ? equals + 1 : "Probe";
        if (!equals) stop = right + 5;
        trim_blanks(&right, &stop);
        if (same_word(left, left_end, tool)) {
            snprintf(name, ES_NAME_SIZE, "%.*s", (int)(stop - right), right);
            return true;
        }
        at = end + (*end == ',');
    }
    return false;
}

/* Letters and digits, the first one a capital: "rigid body 1" -> "RigidBody1".
 * Bytes of UTF-8 stay. */
static void plain_name(const char *tool, char name[ES_NAME_SIZE]) {
    size_t used = 0;
    bool capital = true;
    for (; *tool && used < ES_NAME_SIZE - 16; tool++) {
        unsigned char c = (unsigned char)*tool;
        bool keep = isalnum(c) || c >= 0x80;
        if (keep) name[used++] = capital ? (char)toupper(c) : (char)c;
        capital = !keep;
    }
    name[used] = '\0';
}

/* The tool's transform: as it is called already, or <Name>ToTracker. */
static void name_tool(const es_pose_table *table, int tool, const es_pose_request *r,
                      char transform[ES_NAME_SIZE]) {
    char from[ES_NAME_SIZE], to[ES_NAME_SIZE], name[ES_NAME_SIZE];
    const char *own = es_pose_table_tool(table, tool);
    if (!given_name(r->tools, own, name)) {
        if (es_transform_name_split(own, from, to, NULL)) {
            snprintf(transform, ES_NAME_SIZE, "%s", own);
            return;
        }
        plain_name(own, name);
        if (strcasecmp(name, "probe") == 0) strcpy(name, "Probe");
        if (strcasecmp(name, "ref") == 0 || strcasecmp(name, "reference") == 0)
            strcpy(name, "Reference");
    }
    snprintf(transform, ES_NAME_SIZE, "%.*sToTracker", ES_NAME_SIZE - 16, name);
}

static int tool_called(const pose_tools *tools, int count, const char *transform) {
    for (int i = 0; i < count; i++)
        if (strcmp(tools->names[i], transform) == 0) return i;
    return -1;
}

static void list_tools(const es_pose_table *table, char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < es_pose_table_about(table)->tools && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s'%s'", i ? ", " : "",
                                 es_pose_table_tool(table, i));
}

static bool find_tools(const es_pose_table *table, const es_pose_request *r, pose_tools *tools,
                       es_decisions *d, es_error *err) {
    int count = es_pose_table_about(table)->tools;
    char list[400] = "", from[ES_NAME_SIZE], to[ES_NAME_SIZE];
    for (int i = 0; i < count; i++) name_tool(table, i, r, tools->names[i]);
    bool one = count == 1 && !r->tools && tool_called(tools, 1, "ProbeToTracker") < 0 &&
               !es_transform_name_split(es_pose_table_tool(table, 0), from, to, NULL);
    if (one) strcpy(tools->names[0], "ProbeToTracker");
    tools->probe = tool_called(tools, count, "ProbeToTracker");
    if (tools->probe < 0 && count == 1) tools->probe = 0;
    tools->reference = tool_called(tools, count, "ReferenceToTracker");
    list_tools(table, list, sizeof list);
    if (tools->probe < 0)
        return es_fail(err, ES_USAGE,
                       "none of the tools %s is called Probe; say which one is, with "
                       "--pose-tool NAME or --pose-tool \"NAME=Probe\"",
                       list);
    for (int i = 0; i < count; i++) {
        if (tool_called(tools, count, tools->names[i]) != i)
            return es_fail(err, ES_USAGE,
                           "two tools become %s; name them apart with --pose-tool "
                           "\"A=Probe,B=Reference\"",
                           tools->names[i]);
        const char *why = one                             ? "the only tool of the table"
                          : r->tools && i == tools->probe ? "as --pose-tool says"
                                                          : "the table's name of the tool";
        if (!es_decisions_add(d, err, "pose tool", why, "'%s' as %s", es_pose_table_tool(table, i),
                              tools->names[i]))
            return false;
    }
    return true;
}

/* ---- the joined source ------------------------------------------------------------- */

typedef struct joined {
    es_source *source;
    es_pose_table *table;
    pose_pairs pairs;
    pose_tools tools;
    es_pose_reading reading;
    size_t next;
} joined;

static bool joined_next(void *self, es_frame *frame, unsigned flags, bool *end, es_error *err) {
    joined *j = self;
    if (!es_source_next(j->source, frame, flags, end, err) || *end) return *end;
    if (j->next >= j->pairs.count)
        return es_fail(err, ES_FORMAT,
                       "the recording has more than the %zu frames that the poses "
                       "were joined to; it has changed",
                       j->pairs.count);
    const pose_pair *pair = &j->pairs.items[j->next++];
    for (int t = 0; t < es_pose_table_about(j->table)->tools; t++) {
        es_mat4 pose = es_mat4_identity();
        bool valid = pose_pair_at(j->table, t, &j->reading, pair, &pose);
        if (!valid) pose = es_mat4_identity();
        if (!es_frame_set_transform(frame, j->tools.names[t], pose, valid, err)) return false;
    }
    return true;
}

static bool joined_rewind(void *self, es_error *err) {
    joined *j = self;
    j->next = 0;
    return es_source_rewind(j->source, err);
}

static void joined_free(void *self) {
    joined *j = self;
    if (!j) return;
    es_source_free(j->source);
    es_pose_table_free(j->table);
    pose_pairs_clear(&j->pairs);
    es_free(j);
}

static bool tell_table(const char *path, const es_pose_table *table, es_decisions *d,
                       es_error *err) {
    const es_pose_table_info *about = es_pose_table_about(table);
    const char *cut = about->separator == '\t'  ? "tabs"
                      : about->separator == ' ' ? "blanks"
                      : about->separator == ';' ? "semicolons"
                                                : "commas";
    char why[300];
    if (about->separator)
        snprintf(why, sizeof why, "cut at %s, decimals behind a %s%s%s", cut,
                 about->decimal_comma ? "comma" : "point", about->unread[0] ? "; not read: " : "",
                 about->unread);
    else
        snprintf(why, sizeof why, "the file's own numbers");
    if (!es_decisions_add(d, err, "poses", why, "%s: %s, %zu poses", es_path_name(path),
                          about->format, about->samples))
        return false;
    return !about->has_time || !about->time_note[0] ||
           es_decisions_add(d, err, "poses' time", "the column's own steps", "%s",
                            about->time_note);
}

/* Gaps are told, not hidden: a picture without a pose is not used. */
static bool tell_gaps(const joined *j, es_decisions *d, es_error *err) {
    size_t gaps = 0;
    es_mat4 pose;
    for (size_t f = 0; f < j->pairs.count; f++)
        gaps += !pose_pair_at(j->table, j->tools.probe, &j->reading, &j->pairs.items[f], &pose);
    if (gaps == j->pairs.count)
        return es_fail(err, ES_FORMAT,
                       "no frame has a pose: the table's are gaps, not OK, or no "
                       "rotations under this reading");
    return !gaps || es_decisions_add(d, err, "frames without pose", "gaps of the table",
                                     "%zu of %zu", gaps, j->pairs.count);
}

static bool join(joined *j, const es_pose_request *r, es_decisions *d, es_error *err) {
    j->table = es_pose_table_read(r->path, r->layout, err);
    if (!j->table) return false;
    bool ok = tell_table(r->path, j->table, d, err) && find_tools(j->table, r, &j->tools, d, err) &&
              pose_pairs_make(j->source, j->table, r, &j->pairs, d, err) &&
              pose_guess(j->source, j->table, &j->pairs, &j->tools, r, &j->reading, d, err) &&
              tell_gaps(j, d, err);
    return ok || es_prefix(err, "%s", r->path);
}

es_source *es_pose_join(es_source *source, const es_pose_request *request, es_decisions *decisions,
                        es_error *err) {
    static const es_source_ops ops = {joined_next, joined_rewind, joined_free};
    joined *j = es_alloc_zero(1, sizeof *j, err);
    if (!j) {
        es_source_free(source);
        return NULL;
    }
    j->source = source;
    if (!join(j, request, decisions, err)) {
        joined_free(j);
        return NULL;
    }
    return es_source_new(&ops, j, es_source_info(source), err);
}
