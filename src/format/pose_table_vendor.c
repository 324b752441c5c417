/* Tables whose makers are known by the first line: Motive (OptiTrack), Vicon,
 * and .trc. Their headers run over several rows and say most of the reading. */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "pose_table_internal.h"

enum { CELLS = POSE_COLUMN_LIMIT };
static const pose_style COMMA = {',', false}, TAB = {'\t', false};

/* The cells of one header line, cut from a copy. */
typedef struct header_row {
    char *copy;
    char **cells;
    size_t count;
} header_row;

static bool cut_header(const pose_cells *c, size_t line, pose_style style, header_row *row,
                       es_error *err) {
    row->copy = es_copy_text(c->lines[line].text, err);
    row->cells = row->copy ? es_alloc(CELLS, sizeof *row->cells, err) : NULL;
    if (!row->cells) return false;
    row->count = pose_line_cut(row->copy, style, row->cells, CELLS);
    if (row->count > CELLS) row->count = CELLS;
    return true;
}

static void clear_header(header_row *row) {
    es_free(row->copy);
    es_free(row->cells);
    memset(row, 0, sizeof *row);
}

static const char *cell(const header_row *row, size_t i) {
    return i < row->count ? row->cells[i] : "";
}

static void settle_frame(es_pose_doubt *d, int unit, const char *why) {
    if (unit >= 0) pose_doubt_settle(d, ES_POSE_UNIT, unit, why);
    pose_doubt_settle(d, ES_POSE_FIRST, 0, why);
    pose_doubt_settle(d, ES_POSE_DIRECTION, 0, why);
    pose_doubt_settle(d, ES_POSE_SENSE, 0, why);
    pose_doubt_settle(d, ES_POSE_HANDEDNESS, 0, why);
}

/* The tool of that name, added when it is new; NULL when there are too many. */
static pose_tool *tool_named(pose_columns *columns, const char *name) {
    for (int t = 0; t < columns->tool_count; t++)
        if (strcmp(columns->tools[t].name, name) == 0) return &columns->tools[t];
    if (columns->tool_count == POSE_TOOL_LIMIT) return NULL;
    pose_tool *tool = &columns->tools[columns->tool_count++];
    memset(tool, 0xFF, sizeof *tool);
    snprintf(tool->name, sizeof tool->name, "%s", name);
    return tool;
}

static void drop_partial_tools(pose_columns *columns, int numbers) {
    int kept = 0;
    for (int t = 0; t < columns->tool_count; t++) {
        const pose_tool *tool = &columns->tools[t];
        bool all = true;
        for (int i = 0; i < 3; i++) all = all && tool->position[i] >= 0;
        for (int i = 0; i < numbers; i++) all = all && tool->rotation[i] >= 0;
        if (all) columns->tools[kept++] = *tool;
    }
    columns->tool_count = kept;
}

/* ---- Motive ------------------------------------------------------------------------ */

static int motive_unit(const char *word) {
    return strcasecmp(word, "meters") == 0        ? pose_attribute_value(ES_POSE_UNIT, "m")
           : strcasecmp(word, "centimeters") == 0 ? pose_attribute_value(ES_POSE_UNIT, "cm")
           : strcasecmp(word, "millimeters") == 0 ? pose_attribute_value(ES_POSE_UNIT, "mm")
                                                  : -1;
}

/* Rotation Type and Length Units stand on the first line as key, value, ... */
static bool motive_first_line(const header_row *row, es_pose_doubt *doubt, int *numbers,
                              es_error *err) {
    static const char why[] = "Motive writes it into the first line";
    const char *type = "", *units = "";
    for (size_t i = 0; i + 1 < row->count; i++) {
        if (strcasecmp(row->cells[i], "Rotation Type") == 0) type = row->cells[i + 1];
        if (strcasecmp(row->cells[i], "Length Units") == 0) units = row->cells[i + 1];
    }
    settle_frame(doubt, motive_unit(units), why);
    int sequence = pose_attribute_value(ES_POSE_EULER, type);
    *numbers = sequence >= 0 ? 3 : 4;
    if (sequence >= 0) { /* about moving or fixed axes is not said */
        pose_doubt_settle(doubt, ES_POSE_ROTATION, ES_POSE_IS_EULER, why);
        doubt->possible[ES_POSE_EULER] = 1u << sequence | 1u << (sequence + 12);
        snprintf(doubt->why[ES_POSE_EULER], sizeof doubt->why[0], "%s", why);
        pose_doubt_settle(doubt, ES_POSE_ANGLE, 1, why);
        return true;
    }
    pose_doubt_settle(doubt, ES_POSE_ROTATION, ES_POSE_IS_QUATERNION, why);
    pose_doubt_settle(doubt, ES_POSE_QUATERNION, 0, "Motive names X, Y, Z and W");
    return strcasecmp(type, "Quaternion") == 0 ||
           es_fail(err, ES_UNSUPPORTED,
                   "line 1: rotation type '%s'; expected Quaternion or XYZ and "
                   "its like; export rigid bodies with rotations from Motive",
                   type);
}

static void motive_column(const char *name, const char *group, const char *letter, int column,
                          int numbers, const char *sequence, pose_columns *columns) {
    bool rotation = strcasecmp(group, "Rotation") == 0;
    const char *at = letter[0] && !letter[1] ? strchr("WXYZ", letter[0]) : NULL;
    if (!at || (!rotation && strcasecmp(group, "Position") != 0)) return;
    pose_tool *tool = tool_named(columns, name);
    int axis = (int)(at - "WXYZ");
    if (!tool) return;
    if (!rotation && axis > 0) tool->position[axis - 1] = column;
    if (rotation && numbers == 4) tool->rotation[axis] = column;
    if (rotation && numbers == 3) /* angles stand in the order of the axes' names */
        tool->rotation[strchr(sequence, *at) ? strchr(sequence, *at) - sequence : 0] = column;
}

static bool read_motive(pose_cells *c, pose_columns *columns, es_error *err) {
    header_row first = {0}, types = {0}, names = {0}, groups = {0}, letters = {0};
    size_t last = 1;
    while (last < c->line_count && last < POSE_HEADER_LINES &&
           strncasecmp(c->lines[last].text, "Frame", 5) != 0)
        last++;
    int numbers = 0;
    bool ok = last + 1 < c->line_count && last >= 5;
    if (!ok)
        es_fail(err, ES_FORMAT,
                "a Motive table without rows; expected a line that starts with "
                "Frame and rows behind it");
    /* Type, Name, ID, [Parent,] Rotation/Position, Frame. */
    ok = ok && cut_header(c, 0, COMMA, &first, err) && cut_header(c, 1, COMMA, &types, err) &&
         cut_header(c, 2, COMMA, &names, err) && cut_header(c, last - 1, COMMA, &groups, err) &&
         cut_header(c, last, COMMA, &letters, err) &&
         motive_first_line(&first, &columns->doubt, &numbers, err);
    const char *sequence =
        ok && numbers == 3
            ? es_pose_words(ES_POSE_EULER)[__builtin_ctz(columns->doubt.possible[ES_POSE_EULER])]
            : "";
    for (size_t i = 2; ok && i < letters.count; i++)
        if (strcasecmp(cell(&types, i), "Rigid Body") == 0 ||
            strcasecmp(cell(&types, i), "Bone") == 0)
            motive_column(cell(&names, i), cell(&groups, i), letters.cells[i], (int)i, numbers,
                          sequence, columns);
    if (ok) drop_partial_tools(columns, numbers);
    columns->frame = 0;
    columns->time = 1;
    columns->time_s = 1;
    c->columns = letters.count;
    c->style = COMMA;
    c->first = last + 1;
    header_row *const rows[] = {&first, &types, &names, &groups, &letters};
    for (int i = 0; i < 5; i++) clear_header(rows[i]);
    return ok;
}

/* ---- Vicon -------------------------------------------------------------------------- */

/* Segments (or Joints), the rate, names, RX RY RZ TX TY TZ, units, rows; a
 * second block may follow. */
static bool read_vicon(pose_cells *c, pose_columns *columns, es_error *err) {
    static const char why[] = "Vicon's table of segments has it so";
    static const char *const words[] = {"RX", "RY", "RZ", "TX", "TY", "TZ"};
    header_row rate = {0}, names = {0}, letters = {0}, units = {0};
    double hz = NAN;
    bool ok = c->line_count > 5 ||
              es_fail(err, ES_FORMAT, "a Vicon table without rows; expected five lines of header");
    ok = ok && cut_header(c, 1, COMMA, &rate, err) && cut_header(c, 2, COMMA, &names, err) &&
         cut_header(c, 3, COMMA, &letters, err) && cut_header(c, 4, COMMA, &units, err);
    ok = ok && ((pose_number(cell(&rate, 0), false, &hz) && hz > 0) ||
                es_fail(err, ES_FORMAT, "line %ld: '%.40s'; expected the rate in Hz",
                        c->lines[1].number, cell(&rate, 0)));
    const char *name = "";
    bool degrees = true;
    for (size_t i = 2; ok && i < letters.count; i++) {
        if (cell(&names, i)[0]) name = cell(&names, i);
        for (int w = 0; w < 6; w++) {
            pose_tool *tool =
                strcasecmp(letters.cells[i], words[w]) == 0 ? tool_named(columns, name) : NULL;
            if (tool) *(w < 3 ? &tool->rotation[w] : &tool->position[w - 3]) = (int)i;
            if (tool && w < 3) degrees = strcasecmp(cell(&units, i), "rad") != 0;
        }
    }
    drop_partial_tools(columns, 3);
    es_pose_doubt *d = &columns->doubt;
    settle_frame(d, 0, why);
    pose_doubt_settle(d, ES_POSE_ANGLE, degrees, why);
    columns->angles_by_axis = true;
    d->possible[ES_POSE_ROTATION] = 1u << ES_POSE_IS_EULER | 1u << ES_POSE_IS_AXIS_ANGLE;
    d->possible[ES_POSE_EULER] = 0x3F;
    snprintf(d->why[ES_POSE_EULER], sizeof d->why[0], "Vicon names the axes, not their order");
    columns->frame = 0;
    columns->time = 0; /* frame numbers at the rate of line 2 */
    columns->time_s = 1 / hz;
    c->columns = letters.count;
    c->style = COMMA;
    c->first = 5;
    for (size_t i = 5; i < c->line_count; i++) /* up to the next block */
        if (strncasecmp(c->lines[i].text, "Trajectories", 12) == 0 ||
            strncasecmp(c->lines[i].text, "Devices", 7) == 0)
            c->line_count = i;
    header_row *const rows[] = {&rate, &names, &letters, &units};
    for (int i = 0; i < 4; i++) clear_header(rows[i]);
    return ok;
}

/* ---- .trc ----------------------------------------------------------------------------- */

/* "Probe1", "Probe2", "Probe3": three markers make the axes of Probe. */
static void trc_marker(const char *name, int column, pose_columns *columns) {
    size_t length = strlen(name);
    int number = length ? name[length - 1] - '1' : -1;
    if (number < 0 || number > 2 || length < 2) return;
    char body[ES_NAME_SIZE];
    snprintf(body, sizeof body, "%.*s", (int)(length - 1), name);
    pose_tool *tool = tool_named(columns, body);
    for (int i = 0; tool && i < 3; i++)
        *(number == 0 ? &tool->position[i] : &tool->rotation[3 * (number - 1) + i]) = column + i;
}

static bool read_trc(pose_cells *c, pose_columns *columns, es_error *err) {
    static const char why[] = "three markers of a body: x from the first to the second, z across";
    header_row units = {0}, names = {0}, letters = {0};
    bool ok = c->line_count > 5 ||
              es_fail(err, ES_FORMAT, "a .trc file without rows; expected five lines of header");
    ok = ok && cut_header(c, 2, TAB, &units, err) && cut_header(c, 3, TAB, &names, err) &&
         cut_header(c, 4, TAB, &letters, err);
    for (size_t i = 2; ok && i < names.count; i++)
        if (names.cells[i][0]) trc_marker(names.cells[i], (int)i, columns);
    es_pose_doubt *d = &columns->doubt;
    int unit = ok ? pose_attribute_value(ES_POSE_UNIT, cell(&units, 4)) : -1;
    settle_frame(d, unit, why);
    pose_doubt_settle(d, ES_POSE_ROTATION, ES_POSE_IS_POINTS, why);
    if (ok) drop_partial_tools(columns, 6);
    columns->frame = 0;
    columns->time = 1;
    columns->time_s = 1;
    c->columns = letters.count > names.count ? letters.count : names.count;
    c->style = TAB;
    c->first = 5;
    header_row *const rows[] = {&units, &names, &letters};
    for (int i = 0; i < 3; i++) clear_header(rows[i]);
    return ok;
}

/* ---- the door ------------------------------------------------------------------------- */

static const struct {
    const char *mark, *name;
    bool (*read)(pose_cells *, pose_columns *, es_error *);
    const char *what; /* that must be in it */
} vendors[] = {
    {"Format Version", "Motive", read_motive,
     "rigid bodies; export them from Motive, not only markers"},
    {"Segments", "Vicon", read_vicon, "segments with RX RY RZ TX TY TZ"},
    {"Joints", "Vicon", read_vicon, "joints with RX RY RZ TX TY TZ"},
    {"PathFileType", "trc", read_trc,
     "bodies; expected markers named <body>1, <body>2 and <body>3, since one marker has a place "
     "but no direction"}};

bool pose_vendor_read(pose_cells *c, const char *path, pose_columns *columns, bool *known,
                      es_error *err) {
    *known = false;
    for (size_t v = 0; v < sizeof vendors / sizeof *vendors; v++) {
        if (strncasecmp(c->lines[0].text, vendors[v].mark, strlen(vendors[v].mark)) != 0) continue;
        *known = true;
        snprintf(columns->format, sizeof columns->format, "%s", vendors[v].name);
        if (!vendors[v].read(c, columns, err)) return es_prefix(err, "%s", path);
        if (columns->tool_count == 0)
            return es_fail(err, ES_UNSUPPORTED, "%s: a %s table without %s", path, vendors[v].name,
                           vendors[v].what);
        return pose_text_cut(c, path, c->first, true, err);
    }
    return true;
}
