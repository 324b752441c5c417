/* Pose tables: the door. The text is cut into cells (pose_table_text.c), the
 * columns are understood by their maker, their names or their numbers
 * (pose_table_vendor.c, _names.c, _numbers.c), the option's words have their
 * say, and what is left open stays open (pose_table_reading.c). */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "pose_table_internal.h"

struct es_pose_table {
    pose_cells cells;
    pose_columns columns;
    es_pose_table_info info;
    size_t *rows; /* sample s, tool t: its row + 1 at [s * tools + t], 0: none; NULL: row = s */
    char names[POSE_TOOL_LIMIT][ES_NAME_SIZE];
};

/* ---- the option's words ------------------------------------------------------------ */

typedef struct layout {
    char *copy;
    const char *columns; /* "time:tx:..." or NULL */
    double time_s;       /* NaN: not said */
    es_pose_doubt doubt; /* possible 0: not said */
} layout;

static void say(es_pose_doubt *doubt, int attribute, int value) {
    pose_doubt_settle(doubt, attribute, value, "as --pose-layout says");
}

/* Whole conventions by name. */
static bool take_preset(layout *l, const char *word) {
    bool tum = strcmp(word, "tum") == 0, kitti = strcmp(word, "kitti") == 0;
    bool ndi = strcmp(word, "ndi") == 0;
    if (!tum && !kitti && !ndi) return false;
    if (kitti) {
        say(&l->doubt, ES_POSE_ROTATION, ES_POSE_IS_MATRIX);
        say(&l->doubt, ES_POSE_MATRIX, 0);
    } else {
        say(&l->doubt, ES_POSE_ROTATION, ES_POSE_IS_QUATERNION);
        say(&l->doubt, ES_POSE_QUATERNION, tum);
    }
    say(&l->doubt, ES_POSE_UNIT, pose_attribute_value(ES_POSE_UNIT, ndi ? "mm" : "m"));
    say(&l->doubt, ES_POSE_DIRECTION, 0);
    say(&l->doubt, ES_POSE_SENSE, 0);
    say(&l->doubt, ES_POSE_HANDEDNESS, 0);
    if (tum) l->time_s = 1;
    return true;
}

static bool fail_words(const char *name, const char *value, const char *const *words,
                       es_error *err) {
    char list[200] = "";
    for (int i = 0; words[i]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", words[i]);
    }
    return es_fail(err, ES_USAGE, "pose layout: %s '%.40s'; expected one of %s", name, value, list);
}

static bool take_time(layout *l, const char *value, es_error *err) {
    static const char *const units[] = {"s", "ms", "us", "ns", NULL};
    static const double seconds[] = {1, 1e-3, 1e-6, 1e-9};
    for (int i = 0; units[i]; i++)
        if (strcmp(value, units[i]) == 0) {
            l->time_s = seconds[i];
            return true;
        }
    return fail_words("time", value, units, err);
}

static void imply(es_pose_doubt *doubt, int attribute) {
    if (attribute == ES_POSE_QUATERNION || attribute == ES_POSE_MATRIX ||
        attribute == ES_POSE_EULER)
        say(doubt, ES_POSE_ROTATION,
            attribute == ES_POSE_QUATERNION ? ES_POSE_IS_QUATERNION
            : attribute == ES_POSE_MATRIX   ? ES_POSE_IS_MATRIX
                                            : ES_POSE_IS_EULER);
    if (attribute == ES_POSE_DIRECTION && !doubt->possible[ES_POSE_SENSE])
        say(doubt, ES_POSE_SENSE, 0);
}

static bool take_pair(layout *l, const char *name, const char *value, es_error *err) {
    static const char *const names[] = {"rotation", "first",   "quaternion", "matrix", "euler",
                                        "angle",    "unit",    "direction",  "sense",  "handedness",
                                        "time",     "columns", NULL};
    if (strcmp(name, "time") == 0) return take_time(l, value, err);
    if (strcmp(name, "columns") == 0) {
        l->columns = value;
        return true;
    }
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        if (strcmp(name, es_pose_attribute_name((es_pose_attribute)a)) != 0) continue;
        int v = pose_attribute_value(a, value);
        if (v < 0) return fail_words(name, value, es_pose_words((es_pose_attribute)a), err);
        say(&l->doubt, a, v);
        imply(&l->doubt, a);
        return true;
    }
    return fail_words("word", name, names, err);
}

static bool parse_layout(const char *text, layout *l, es_error *err) {
    memset(l, 0, sizeof *l);
    l->time_s = NAN;
    if (!text) return true;
    l->copy = es_copy_text(text, err);
    if (!l->copy) return false;
    for (char *at = l->copy, *next; at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        at += strspn(at, " ");
        char *value = strchr(at, '=');
        if (value) *value++ = '\0';
        if (*at == '\0' && !value) continue;
        if (!value && take_preset(l, at)) continue;
        if (!value)
            return es_fail(err, ES_USAGE,
                           "pose layout: '%.40s'; expected name=value, or tum, kitti, "
                           "ndi",
                           at);
        if (!take_pair(l, at, value, err)) return false;
    }
    return true;
}

static bool apply_layout(es_pose_table *t, const layout *l, es_error *err) {
    es_pose_doubt *d = &t->columns.doubt;
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++) {
        if (!l->doubt.possible[a]) continue;
        int said = __builtin_ctz(l->doubt.possible[a]);
        if (!(d->possible[a] >> said & 1))
            return es_fail(err, ES_USAGE, "pose layout: %s=%s does not go with the table: %s",
                           es_pose_attribute_name((es_pose_attribute)a),
                           es_pose_words((es_pose_attribute)a)[said],
                           d->why[a][0] ? d->why[a] : "its columns hold another");
        if (d->possible[a] != l->doubt.possible[a]) say(d, a, said);
    }
    if (!isnan(l->time_s)) t->columns.time_s = l->time_s;
    return true;
}

/* ---- the columns ------------------------------------------------------------------- */

static void start_columns(pose_columns *c) {
    memset(c, 0, sizeof *c);
    c->time = c->frame = c->file = c->tool = -1;
    c->time_s = NAN;
    strcpy(c->format, "table");
    for (int a = 0; a < ES_POSE_ATTRIBUTES; a++)
        for (int v = 0; es_pose_words((es_pose_attribute)a)[v]; v++)
            c->doubt.possible[a] |= 1u << v;
    c->doubt.possible[ES_POSE_ROTATION] &= ~(1u << ES_POSE_IS_POINTS);
}

static pose_style style_of(const pose_cells *cells, int turn) {
    static const pose_style others[] = {{' ', false}, {',', false}, {':', false}};
    return turn == 0 ? cells->style : others[turn - 1];
}

/* Cells of a header line; rows that end in a separator have one more. */
static size_t count_names(const pose_cells *cells, char **names, size_t count) {
    char *last = cells->text + cells->cells[cells->columns - 1];
    if (count + 1 == cells->columns && *last == '\0') names[count++] = last;
    while (count > cells->columns && count <= POSE_COLUMN_LIMIT && !names[count - 1][0]) count--;
    return count;
}

/* The line as names of columns, when it has as many words as rows have cells. */
static bool names_in(const pose_cells *cells, const char *line, bool any_style,
                     pose_columns *columns, bool *found, es_error *err) {
    char *copy = es_copy_text(line, err);
    char **names = es_alloc(POSE_COLUMN_LIMIT, sizeof *names, err);
    bool ok = copy && names;
    for (int turn = 0; ok && !*found && turn < (any_style ? 4 : 1); turn++) {
        strcpy(copy, line);
        size_t count = pose_line_cut(copy, style_of(cells, turn), names, POSE_COLUMN_LIMIT);
        if (count_names(cells, names, count) != cells->columns) continue;
        pose_columns trial = *columns;
        ok = pose_columns_by_name(cells, names, &trial, found, err);
        if (*found) *columns = trial;
    }
    es_free(names);
    es_free(copy);
    return ok;
}

/* A header of another width would shift every name. */
static bool check_header(const pose_cells *cells, es_error *err) {
    if (cells->first == 0) return true;
    const pose_line *line = &cells->lines[cells->first - 1];
    char *copy = es_copy_text(line->text, err);
    char **names = es_alloc(POSE_COLUMN_LIMIT, sizeof *names, err);
    size_t count = copy && names ? pose_line_cut(copy, cells->style, names, POSE_COLUMN_LIMIT) : 0;
    bool ok = copy && names;
    es_free(names);
    es_free(copy);
    if (!ok || count == cells->columns || count < POSE_NEEDED) return ok;
    return es_fail(err, ES_FORMAT,
                   "line %ld: the header has %zu names, but line %ld has %zu columns; make them "
                   "agree, or name the columns with --pose-layout columns=",
                   line->number, count, cells->lines[cells->first].number, cells->columns);
}

static bool find_columns(es_pose_table *t, const layout *l, es_error *err) {
    const pose_cells *cells = &t->cells;
    pose_columns *columns = &t->columns;
    bool found = false;
    if (l->columns) {
        if (!names_in(cells, l->columns, true, columns, &found, err)) return false;
        return found || es_fail(err, ES_USAGE,
                                "pose layout: columns=%.200s names no whole pose of "
                                "the %zu columns",
                                l->columns, cells->columns);
    }
    for (size_t i = cells->first; i-- > 0 && !found;)
        if (!names_in(cells, cells->lines[i].text, false, columns, &found, err)) return false;
    if (!found && cells->comment.text &&
        !names_in(cells, cells->comment.text, true, columns, &found, err))
        return false;
    return found || (check_header(cells, err) && pose_columns_by_number(cells, columns, err));
}

static void know_frame(pose_columns *c, const char *format, int unit, const char *why) {
    snprintf(c->format, sizeof c->format, "%s", format);
    pose_doubt_settle(&c->doubt, ES_POSE_UNIT, unit, why);
    pose_doubt_settle(&c->doubt, ES_POSE_DIRECTION, 0, why);
    pose_doubt_settle(&c->doubt, ES_POSE_SENSE, 0, why);
    pose_doubt_settle(&c->doubt, ES_POSE_HANDEDNESS, 0, why);
}

/* NDI names its quaternion Q0 Qx Qy Qz and its tools by port: millimetres, the
 * tool in the tracker. TUM says so in its comment, and so do tables of our own. */
static void know_makers(es_pose_table *t) {
    pose_columns *c = &t->columns;
    const char *comment = t->cells.comment.text;
    const char *header = t->cells.first ? t->cells.lines[t->cells.first - 1].text : "";
    if (strncasecmp(header, "Tools", 5) == 0 && strcasestr(header, "Q0"))
        know_frame(c, "NDI", 0, "NDI's logs have it so");
    bool tum = comment && strcasestr(comment, "timestamp tx ty tz qx qy qz qw");
    if (tum) know_frame(c, "TUM", 2, "the comment is that of a TUM trajectory");
    bool ours = comment && strstr(comment, "echosolid track: tool to tracker, mm, right-handed");
    if (ours) know_frame(c, "echosolid track", 0, "the comment is that of echosolid track");
    if (tum || ours) c->time_s = 1;
}

/* Words in a column of numbers are a broken table, not a gap. */
static bool check_words(const es_pose_table *t, es_error *err) {
    const pose_columns *c = &t->columns;
    for (int i = 0; i < c->tool_count; i++)
        for (int k = 0; k < 12; k++) {
            int column = k < 3 ? c->tools[i].position[k] : c->tools[i].rotation[k - 3];
            int rotation = __builtin_ctz(c->doubt.possible[ES_POSE_ROTATION]);
            if (k - 3 >= pose_rotation_numbers(rotation)) break;
            for (size_t r = 0; r < t->cells.rows; r++) {
                const char *words = pose_words(&t->cells, r, column);
                if (!isnan(pose_cell(&t->cells, r, column)) || pose_is_gap(words)) continue;
                return es_fail(err, ES_FORMAT,
                               "line %ld: column %d: '%.40s'; expected a number, or nothing for a "
                               "gap",
                               t->cells.lines[t->cells.first + r].number, column + 1, words);
            }
        }
    return true;
}

/* ---- samples ------------------------------------------------------------------------ */

static int find_name(const es_pose_table *t, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(t->names[i], name) == 0) return i;
    return -1;
}

static bool list_tools(es_pose_table *t, es_error *err) {
    int tools = 0;
    for (size_t r = 0; r < t->cells.rows; r++) {
        const char *name = pose_words(&t->cells, r, t->columns.tool);
        if (find_name(t, tools, name) >= 0) continue;
        if (tools == POSE_TOOL_LIMIT)
            return es_fail(err, ES_FORMAT, "more than %d tools", POSE_TOOL_LIMIT);
        snprintf(t->names[tools++], ES_NAME_SIZE, "%s", name);
    }
    t->info.tools = tools;
    return true;
}

/* Rows name their tool: those of one frame number, or else of one time, make a
 * sample. They stand together. */
static bool group_rows(es_pose_table *t, es_error *err) {
    const pose_columns *c = &t->columns;
    int key = c->frame >= 0 ? c->frame : c->time;
    size_t samples = 0;
    if (key < 0)
        return es_fail(err, ES_FORMAT,
                       "rows of several tools without a frame number or a time; "
                       "expected one, to know which rows belong together");
    if (!list_tools(t, err)) return false;
    size_t tools = (size_t)t->info.tools;
    t->rows = es_alloc_zero(t->cells.rows, tools * sizeof *t->rows, err);
    if (!t->rows) return false;
    for (size_t r = 0; r < t->cells.rows; r++) {
        size_t tool = (size_t)find_name(t, t->info.tools, pose_words(&t->cells, r, c->tool));
        bool same = samples && pose_cell(&t->cells, r, key) == pose_cell(&t->cells, r - 1, key) &&
                    !t->rows[(samples - 1) * tools + tool];
        if (!same) samples++;
        t->rows[(samples - 1) * tools + tool] = r + 1;
    }
    t->info.samples = samples;
    return true;
}

static bool find_samples(es_pose_table *t, es_error *err) {
    const pose_columns *c = &t->columns;
    bool several = false;
    if (c->tool >= 0 && c->tool_count == 1)
        for (size_t r = 1; r < t->cells.rows && !several; r++)
            several =
                strcmp(pose_words(&t->cells, r, c->tool), pose_words(&t->cells, 0, c->tool)) != 0;
    if (several) return group_rows(t, err);
    t->info.samples = t->cells.rows;
    t->info.tools = c->tool_count;
    for (int i = 0; i < c->tool_count; i++) memcpy(t->names[i], c->tools[i].name, ES_NAME_SIZE);
    return true;
}

static size_t any_row(const es_pose_table *t, size_t sample) {
    if (!t->rows) return sample;
    const size_t *rows = t->rows + sample * (size_t)t->info.tools;
    for (int i = 0; i < t->info.tools; i++)
        if (rows[i]) return rows[i] - 1;
    return 0;
}

/* ---- time ----------------------------------------------------------------------------- */

/* Median step of the time column, in its own unit; NaN when it does not grow. */
static double typical_step(const es_pose_table *t) {
    double first = NAN, last = NAN;
    size_t count = 0;
    for (size_t s = 0; s < t->info.samples; s++) {
        double now = pose_cell(&t->cells, any_row(t, s), t->columns.time);
        if (isnan(now)) continue;
        if (count && !(now > last)) return NAN;
        if (!count) first = now;
        last = now;
        count++;
    }
    return count > 1 ? (last - first) / (double)(count - 1) : NAN;
}

/* Trackers give 1 to 1000 poses a second; only one unit can do that, unless
 * the steps lie at the very edge. */
static void find_time(es_pose_table *t) {
    static const struct {
        double low, high, seconds;
        const char *name;
    } units[] = {{0.0011, 0.9, 1, "s"},
                 {1.1, 900, 1e-3, "ms"},
                 {1100, 9e5, 1e-6, "us"},
                 {1.1e6, 9e8, 1e-9, "ns"}};
    pose_columns *c = &t->columns;
    char *note = t->info.time_note;
    size_t size = sizeof t->info.time_note;
    if (c->time < 0) return;
    double step = typical_step(t);
    t->info.has_time = isfinite(step);
    if (!t->info.has_time) {
        snprintf(note, size, "the times do not grow from row to row");
        return;
    }
    for (int i = 0; i < 4 && isnan(c->time_s); i++)
        if (step >= units[i].low && step <= units[i].high) {
            c->time_s = units[i].seconds;
            snprintf(note, size, "unit %s: steps of %.4g on average", units[i].name, step);
        }
    t->info.has_time = !isnan(c->time_s);
    if (!t->info.has_time)
        snprintf(note, size,
                 "the times grow by %.4g on average, in an unknown unit: give it with "
                 "--pose-layout time=s, ms, us or ns",
                 step);
}

/* Arrays that bear the names of transforms; of several, each was one tool. */
static void name_arrays(es_pose_table *t) {
    for (int i = 0; i < t->columns.tool_count; i++)
        if (t->cells.names[i][0]) memcpy(t->columns.tools[i].name, t->cells.names[i], ES_NAME_SIZE);
}

/* ---- reading ---------------------------------------------------------------------------- */

/* Text cut into cells; *known: the columns too. */
static bool read_text(es_pose_table *t, const char *path, bool *known, es_error *err) {
    return pose_text_read(&t->cells, path, err) &&
           pose_vendor_read(&t->cells, path, &t->columns, known, err) &&
           (*known || pose_text_cut(&t->cells, path, SIZE_MAX, false, err));
}

static bool read_table(es_pose_table *t, const char *path, const layout *l, es_error *err) {
    pose_file kind;
    start_columns(&t->columns);
    if (!pose_data_read(&t->cells, path, &t->columns, &kind, err)) return false;
    bool known = kind == POSE_RECORDING;
    if (kind == POSE_TEXT && !read_text(t, path, &known, err)) return false;
    bool ok = known || find_columns(t, l, err);
    if (ok && !known) know_makers(t);
    if (kind == POSE_ARRAYS) name_arrays(t);
    ok = ok && apply_layout(t, l, err) && check_words(t, err) && find_samples(t, err);
    if (!ok) return es_prefix(err, "%s", path);
    find_time(t);
    t->info.has_file = t->columns.file >= 0;
    memcpy(t->info.format, t->columns.format, sizeof t->info.format);
    memcpy(t->info.unread, t->columns.unread, sizeof t->info.unread);
    t->info.separator = kind == POSE_TEXT ? t->cells.style.separator : '\0';
    t->info.decimal_comma = t->cells.style.decimal_comma;
    return true;
}

es_pose_table *es_pose_table_read(const char *path, const char *text, es_error *err) {
    layout l;
    es_pose_table *t = es_alloc_zero(1, sizeof *t, err);
    if (!t) return NULL;
    if (!parse_layout(text, &l, err) || !read_table(t, path, &l, err)) {
        es_pose_table_free(t);
        t = NULL;
    }
    es_free(l.copy);
    return t;
}

void es_pose_table_free(es_pose_table *table) {
    if (!table) return;
    pose_text_clear(&table->cells);
    es_free(table->rows);
    es_free(table);
}

const es_pose_table_info *es_pose_table_about(const es_pose_table *table) { return &table->info; }
const es_pose_doubt *es_pose_table_doubt(const es_pose_table *table) {
    return &table->columns.doubt;
}
const char *es_pose_table_tool(const es_pose_table *table, int tool) { return table->names[tool]; }

double es_pose_table_time(const es_pose_table *table, size_t sample) {
    if (!table->info.has_time) return NAN;
    return pose_cell(&table->cells, any_row(table, sample), table->columns.time) *
           table->columns.time_s;
}

const char *es_pose_table_file(const es_pose_table *table, size_t sample) {
    if (!table->info.has_file) return "";
    return pose_words(&table->cells, any_row(table, sample), table->columns.file);
}

long es_pose_table_line(const es_pose_table *table, size_t sample) {
    return table->cells.lines[table->cells.first + any_row(table, sample)].number;
}

/* A state column counts when it says something else than yes. */
static bool is_valid(const es_pose_table *t, size_t row, const pose_tool *tool) {
    if (tool->valid < 0) return true;
    static const char *const good[] = {"ok",      "valid",   "true", "1",
                                       "tracked", "enabled", "good", ""};
    const char *words = pose_words(&t->cells, row, tool->valid);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strcasecmp(words, good[i]) == 0) return true;
    return false;
}

bool es_pose_table_pose(const es_pose_table *table, int tool, size_t sample,
                        const es_pose_reading *reading, es_mat4 *pose) {
    size_t row = sample;
    if (table->rows) {
        row = table->rows[sample * (size_t)table->info.tools + (size_t)tool];
        if (row-- == 0) return false;
    }
    const pose_tool *columns = &table->columns.tools[table->rows ? 0 : tool];
    int count = pose_rotation_numbers(reading->is[ES_POSE_ROTATION]);
    double position[3], rotation[9];
    if (!is_valid(table, row, columns)) return false;
    for (int i = 0; i < 3; i++) position[i] = pose_cell(&table->cells, row, columns->position[i]);
    for (int i = 0; i < count; i++)
        rotation[i] = pose_cell(&table->cells, row, columns->rotation[i]);
    for (int i = 0; i < 3; i++)
        if (isnan(position[i])) return false;
    for (int i = 0; i < count; i++)
        if (isnan(rotation[i])) return false;
    bool swap = reading->is[ES_POSE_FIRST] && count == 3;
    return pose_from_numbers(swap ? rotation : position, swap ? position : rotation,
                             table->columns.angles_by_axis, reading, pose);
}
